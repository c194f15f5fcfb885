//! Links, and whether their issues are still there.

use std::collections::{BTreeMap, BTreeSet};

use tandem_core::{IssueId, Side, SiteName};
use tandem_engine::Connection;
use tandem_engine::ports::site::{IssueRef, SiteClient, Vendor};
use tandem_engine::ports::store::LinkRow;

use super::look::{Finding, Look, Trouble, some};
use crate::ending::Failure;
use crate::resolve;
use crate::words::count;

/// Issues that one request may ask for.
const ASKED_AT_ONCE: usize = 100;

/// Links per connection whose issues are asked for: a hundred requests per site.
const LINKS_MAX: usize = 10_000;

/// Issues that are named in a line.
const NAMED_MAX: usize = 10;

/// What the table says of links.
pub(super) struct Linked<'t> {
    pub(super) of: Vec<(&'t Connection, Vec<LinkRow>)>,
}

impl Linked<'_> {
    /// The linked issues of a site by project; from the configuration's table where nothing is linked yet.
    pub(super) fn projects(&self, site: &SiteName) -> BTreeMap<String, BTreeSet<IssueId>> {
        let mut projects: BTreeMap<String, BTreeSet<IssueId>> = BTreeMap::new();
        for (connection, rows) in &self.of {
            let Some(side) = connection.side(site) else {
                continue;
            };
            for row in rows {
                if let Some(project) = key(row, side).and_then(project) {
                    projects.entry(project).or_default().insert(row.key.issue(side));
                }
            }
            for (a, b) in &connection.links.table {
                if let Some(project) = project(if side == Side::A { a } else { b }) {
                    projects.entry(project).or_default();
                }
            }
        }
        projects
    }

    /// Which project each linked issue of a site is in.
    pub(super) fn project_of(&self, site: &SiteName) -> BTreeMap<IssueId, String> {
        let by_project = self.projects(site).into_iter();
        by_project
            .flat_map(|(project, issues)| issues.into_iter().map(move |issue| (issue, project.clone())))
            .collect()
    }
}

fn key(row: &LinkRow, side: Side) -> Option<&str> {
    match side {
        Side::A => row.a_key.as_deref(),
        Side::B => row.b_key.as_deref(),
    }
}

fn project(key: &str) -> Option<String> {
    let (project, number) = key.rsplit_once('-')?;
    let is_key = !project.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_key.then(|| project.to_uppercase())
}

pub(super) async fn read<'t>(look: &Look<'t>) -> Result<Linked<'t>, Failure> {
    let mut of = Vec::new();
    for connection in &look.connections {
        of.push((*connection, resolve::links(look.engine(), connection).await?));
    }
    Ok(Linked { of })
}

pub(super) async fn look(look: &Look<'_>, site: &SiteName, linked: &Linked<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (connection, rows) in &linked.of {
        let Some(side) = connection.side(site) else {
            continue;
        };
        if rows.is_empty() {
            findings.push(
                Finding::unknown(
                    "links",
                    site,
                    "no issues are linked yet",
                    "`tandem link discover` shows what the automatic ways find; `tandem link add` and `tandem link import` make links by hand",
                )
                .of(connection),
            );
            continue;
        }
        findings.push(match gone(look, site, side, rows).await {
            Ok(gone) if gone.is_empty() => {
                let seen = count(rows.len().min(LINKS_MAX), "linked issue");
                let rest = rows.len().saturating_sub(LINKS_MAX);
                let rest = if rest > 0 {
                    format!("; {rest} more were not looked at")
                } else {
                    String::new()
                };
                Finding::ok("links", site, format!("{seen} can be seen{rest}"))
            }
            Ok(gone) => Finding::fail(
                "links",
                site,
                format!(
                    "{} gone or cannot be seen by the service user: {}",
                    count(gone.len(), "linked issue"),
                    some(gone, NAMED_MAX)
                ),
                "restore the issue or the permission Browse Projects, or take the link away with `tandem link rm A_KEY B_KEY` (worklogs stay as they are)",
            ),
            Err(trouble) => Finding::trouble("links", site, &trouble, "open the linked issues as the service user"),
        }
        .of(connection));
    }
    findings
}

async fn gone(
    look: &Look<'_>,
    site: &SiteName,
    side: Side,
    rows: &[LinkRow],
) -> Result<Vec<String>, Trouble> {
    let rows = rows.get(..LINKS_MAX).unwrap_or(rows);
    let mut gone = Vec::new();
    for chunk in rows.chunks(ASKED_AT_ONCE) {
        let asked: Vec<IssueRef> = chunk
            .iter()
            .map(|row| IssueRef::Id(row.key.issue(side)))
            .collect();
        let found = look
            .ask(site, Vendor::Jira, async |client| {
                client.issues(&asked, &[]).await
            })
            .await?;
        let seen: BTreeSet<IssueId> = found.into_iter().map(|issue| issue.id).collect();
        for row in chunk.iter().filter(|row| !seen.contains(&row.key.issue(side))) {
            let (a, b) = resolve::shown(row);
            gone.push(if side == Side::A { a } else { b });
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_what_stands_before_the_last_dash() {
        assert_eq!(project("sup-12").as_deref(), Some("SUP"));
        assert_eq!(project("A_B-1").as_deref(), Some("A_B"));
        for text in ["10001", "-1", "SUP-x"] {
            assert_eq!(project(text), None, "{text}");
        }
    }
}
