//! Authors of late, and who they are on the other site.

use std::collections::{BTreeMap, BTreeSet};

use tandem_core::rules::UnknownAuthor;
use tandem_core::{AccountId, Side, SiteName};
use tandem_engine::Connection;
use tandem_engine::operator::How;
use tandem_engine::ports::site::{SiteClient, Vendor};

use super::look::{Finding, Look, Trouble, some};
use super::sight::Recent;
use crate::words::count;

/// Authors per site and connection who are looked up: up to three requests each.
const AUTHORS_MAX: usize = 300;

/// People who are named in a line.
const NAMED_MAX: usize = 10;

const CHECK: &str = "authors";

pub(super) async fn look(look: &Look<'_>, site: &SiteName, recent: &Recent) -> Vec<Finding> {
    let mut findings = Vec::new();
    for connection in &look.connections {
        let Some(side) = connection.side(site) else {
            continue;
        };
        let by = match &recent.by {
            Ok(by) => by,
            Err(trouble) => {
                let by_hand =
                    "look who logs time on the linked issues, and compare with [connections.authors]";
                findings.push(Finding::trouble(CHECK, site, trouble, by_hand).of(connection));
                continue;
            }
        };
        let authors: BTreeSet<&AccountId> = by.keys().map(|(who, _)| who).collect();
        findings.extend(
            of_connection(look, connection, side, (&authors, recent.anywhere))
                .await
                .into_iter()
                .chain(recent.unread(CHECK, look, site))
                .map(|finding| finding.of(connection)),
        );
    }
    findings
}

async fn of_connection(
    look: &Look<'_>,
    connection: &Connection,
    side: Side,
    (authors, anywhere): (&BTreeSet<&AccountId>, bool),
) -> Vec<Finding> {
    let site = &connection.sites[side];
    let there = &connection.sites[side.other()];
    if look.knows_nobody(connection) {
        return vec![Finding::trouble(CHECK, site, &Trouble::Rejected, "")];
    }
    let mut how: BTreeMap<How, usize> = BTreeMap::new();
    let mut unmatched = Vec::new();
    let mut trouble = None;
    for author in authors.iter().take(AUTHORS_MAX) {
        match look.engine().match_person(connection, side, author).await {
            Ok(person) if person.how == How::Nobody => {
                unmatched.push(match person.display_name {
                    Some(name) => format!("{name} ({author})"),
                    None => author.to_string(),
                });
            }
            Ok(person) => *how.entry(person.how).or_default() += 1,
            Err(error) => {
                trouble = Some(Look::failed(&error));
                break;
            }
        }
    }
    if let Some(trouble) = trouble {
        return vec![Finding::trouble(CHECK, site, &trouble, "")];
    }
    let rest = authors.len().saturating_sub(AUTHORS_MAX);
    let rest = if rest > 0 {
        format!("; {rest} more were not looked up")
    } else {
        String::new()
    };
    if unmatched.is_empty() {
        let ways: Vec<String> = how
            .iter()
            .map(|(how, number)| format!("{number} by {how}"))
            .collect();
        let ways = if ways.is_empty() {
            String::new()
        } else {
            format!(" ({})", ways.join(", "))
        };
        let authors = match authors.len() {
            0 => "nobody logged time of late".to_owned(),
            number => format!(
                "{} of late{}, all known on {there}{ways}{rest}",
                count(number, "author"),
                place(anywhere)
            ),
        };
        return vec![Finding::ok(CHECK, site, authors)];
    }
    let browse = look
        .ask(there, Vendor::Jira, async |client| {
            client.permissions(&["USER_PICKER"], None).await
        })
        .await;
    let blind = browse.is_ok_and(|held| held.get("USER_PICKER") == Some(&false));
    let hint = if blind {
        format!(
            "; the service user of {there} lacks Browse Users and Groups, without which nobody is found by e-mail"
        )
    } else {
        String::new()
    };
    let what = format!(
        "{} of late{} not known on {there}: {}{rest}",
        count(unmatched.len(), "author"),
        place(anywhere),
        some(unmatched, NAMED_MAX)
    );
    let fix = format!(
        "give them access to {there}, or say who they are there: [connections.authors] map, or `tandem users import FILE.csv`{hint}"
    );
    if anywhere {
        // They may never log time on an issue that gets a twin.
        return vec![Finding::unknown(
            CHECK,
            site,
            format!("{what}; whose time concerns a linked issue is known once there are links"),
            fix,
        )];
    }
    vec![match connection.settings.rules.unknown_author {
        UnknownAuthor::Park => Finding::fail(CHECK, site, format!("{what}; their time waits"), fix),
        UnknownAuthor::Account(_) => Finding::warn(
            CHECK,
            site,
            format!("{what}; their time goes to the fallback account"),
            fix,
        ),
    }]
}

fn place(anywhere: bool) -> &'static str {
    match anywhere {
        true => " on the whole site (nothing is linked yet)",
        false => "",
    }
}
