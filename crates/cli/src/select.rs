//! Picking connections by name, and what waits or was done by issue, worklog or person.

use std::collections::BTreeSet;

use clap::{ArgGroup, Args};
use serde::Serialize;
use tandem_core::{AccountId, ConnectionName, LinkKey, PairState, Side, WorklogId};
use tandem_engine::operator::{QueueId, QueueItem, Standing};
use tandem_engine::ports::store::LinkRow;
use tandem_engine::{Connection, Engine};

use crate::ending::Failure;
use crate::{output, resolve, values};

/// Which items are meant.
#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct Only {
    /// Only of this connection
    #[arg(long, value_name = "NAME")]
    pub(crate) connection: Option<String>,
    /// Only of this issue, by its key or id on either side
    #[arg(long, value_name = "KEY", value_parser = values::some)]
    pub(crate) issue: Option<String>,
    /// Only about this worklog, or its twin
    #[arg(long, value_name = "ID", value_parser = values::worklog)]
    pub(crate) worklog: Option<u64>,
    /// Only of this person's time, by account id on either site
    #[arg(long, value_name = "ACCOUNT", value_parser = values::some)]
    pub(crate) person: Option<String>,
}

/// Has a command that takes an item's id ask for that or for a filter, and name them all where there is neither.
pub(crate) fn which() -> ArgGroup {
    ArgGroup::new("which")
        .args(["id", "issue", "worklog", "person"])
        .required(true)
        .multiple(true)
}

impl Only {
    /// Says whether anything was asked for.
    pub(crate) fn is_some(&self) -> bool {
        self.connection.is_some() || self.picks()
    }

    /// Says whether some of a connection's items were asked for.
    pub(crate) fn picks(&self) -> bool {
        self.issue.is_some() || self.worklog.is_some() || self.person.is_some()
    }

    /// Leaves the items of the queue that are meant.
    pub(crate) async fn pick(
        &self,
        engine: &Engine,
        mut items: Vec<QueueItem>,
    ) -> Result<Vec<QueueItem>, Failure> {
        connections(engine, self.connection.as_deref())?;
        let links = self.links_of_worklog(engine).await?;
        let of_issue = self.links_of_issue(engine, &items).await?;
        for item in &mut items {
            let QueueId::Link(link) = &item.id else { continue };
            // A link that waits as a whole keeps each of its worklogs waiting.
            item.twins
                .extend(self.worklog.filter(|_| links.contains(link)).map(WorklogId));
            if self.person.is_some() && item.is_stuck() {
                let pairs = engine.store.pairs(link).await?;
                for base in pairs.iter().filter_map(|pair| pair.base.as_ref()) {
                    for side in Side::BOTH {
                        item.seen[side].insert(base[side].author.clone());
                    }
                }
                item.people.extend(item.seen.a.union(&item.seen.b).cloned());
            }
        }
        items.retain(|item| self.wants(item, &of_issue));
        Ok(items)
    }

    /// The links of the issue that is meant, where its name is none that the items bear: it may have got another since it
    /// was linked.
    async fn links_of_issue(
        &self,
        engine: &Engine,
        items: &[QueueItem],
    ) -> Result<BTreeSet<LinkKey>, Failure> {
        match &self.issue {
            Some(name) if !items.is_empty() && !items.iter().any(|item| bears(item, name)) => {
                let rows = resolve::links_of(engine, name).await?;
                Ok(rows.into_iter().map(|row| row.key).collect())
            }
            _ => Ok(BTreeSet::new()),
        }
    }

    /// The links that a worklog is known on.
    async fn links_of_worklog(&self, engine: &Engine) -> Result<BTreeSet<LinkKey>, Failure> {
        let mut links = BTreeSet::new();
        let Some(id) = self.worklog else { return Ok(links) };
        for connection in &engine.connections {
            for side in Side::BOTH {
                let site = &connection.sites[side];
                let store = &engine.store;
                let places = store
                    .whereabouts(&connection.name, site, &[WorklogId(id)])
                    .await?;
                let live = places.into_iter().filter(|place| place.state == PairState::Live);
                links.extend(live.map(|place| place.link));
            }
        }
        Ok(links)
    }

    /// Says whether an item of the queue is meant.
    fn wants(&self, item: &QueueItem, of_issue: &BTreeSet<LinkKey>) -> bool {
        let connection = self.connection.as_deref().is_none_or(|name| {
            let of_item = item.connection.as_ref();
            of_item.is_some_and(|connection| connection.as_str() == name)
        });
        let is_of_issue = match &item.id {
            QueueId::Pair { link, .. } | QueueId::Link(link) => of_issue.contains(link),
            QueueId::Issue { .. } => false,
        };
        let issue = self
            .issue
            .as_ref()
            .is_none_or(|name| is_of_issue || bears(item, name));
        let worklog = self
            .worklog
            .is_none_or(|id| item.worklog.iter().chain(&item.twins).any(|one| one.0 == id));
        let person = self
            .person
            .as_ref()
            .is_none_or(|account| item.people.iter().any(|one| one.as_str() == account));
        connection && issue && worklog && person
    }

    /// Refuses an issue that has no link: that nothing of it waits would say nothing. Returns its links, if one is meant.
    pub(crate) async fn has_link(&self, engine: &Engine) -> Result<Vec<LinkRow>, Failure> {
        let Some(name) = &self.issue else {
            return Ok(Vec::new());
        };
        let mut links = resolve::links_of(engine, name).await?;
        if let Some(connection) = &self.connection {
            links.retain(|row| row.key.connection.as_str() == connection);
        }
        if links.is_empty() {
            return Err(Failure::usage(format!(
                "no linked issue is known as `{}`; `tandem link list` shows those that are",
                output::plain(name)
            )));
        }
        Ok(links)
    }

    /// Where nothing was found: refuses a worklog or a person that nobody knows, since that nothing of them waits would say
    /// nothing.
    pub(crate) async fn is_known(&self, engine: &Engine) -> Result<(), Failure> {
        if let Some(id) = self.worklog {
            let mut known = false;
            for connection in &engine.connections {
                for site in [&connection.sites.a, &connection.sites.b] {
                    let places = engine
                        .store
                        .whereabouts(&connection.name, site, &[WorklogId(id)])
                        .await?;
                    known |= !places.is_empty();
                }
            }
            if !known {
                return Err(Failure::usage(format!(
                    "no worklog {id} is known; its id is Tempo's, as `tandem history` shows it"
                )));
            }
        }
        if let Some(account) = &self.person {
            for connection in &engine.connections {
                for side in Side::BOTH {
                    // A site that cannot be asked now does not say that there is nobody.
                    let standing = engine.standing(connection, side, &AccountId::new(account)).await;
                    if standing.unwrap_or(Standing::Active) != Standing::Unknown {
                        return Ok(());
                    }
                }
            }
            return Err(Failure::usage(format!(
                "no site has an account {}; it is the last part of the address of the person's profile in Jira",
                output::plain(account)
            )));
        }
        Ok(())
    }

    /// What was asked for, in words.
    pub(crate) fn words(&self) -> String {
        let issue = self.issue.as_ref().map(|key| format!("issue {key}"));
        let worklog = self.worklog.map(|id| format!("worklog {id}"));
        let person = self.person.as_ref().map(|account| format!("person {account}"));
        let connection = self.connection.as_ref().map(|name| format!("connection {name}"));
        let words: Vec<String> = [connection, issue, worklog, person]
            .into_iter()
            .flatten()
            .collect();
        output::plain(&words.join(", "))
    }
}

/// Of many items that are meant, so many are named.
const NAMED_MAX: usize = 20;

/// Names an item of the queue by its issues and its worklog.
pub(crate) fn named(item: &QueueItem) -> String {
    let issues: Vec<&str> = [&item.a_issue, &item.b_issue]
        .into_iter()
        .filter_map(Option::as_deref)
        .collect();
    let worklog = item
        .worklog
        .map(|id| format!(", worklog {id}"))
        .unwrap_or_default();
    output::plain(&format!("{}{worklog}", issues.join(" ~ ")))
}

/// Says which items a filter meant, and why each waits.
pub(crate) fn tell(items: &[QueueItem]) {
    for item in items.iter().take(NAMED_MAX) {
        let reason = item
            .reason
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        output::say(format!("{}{reason}", named(item)));
    }
    if items.len() > NAMED_MAX {
        output::say(format!("and {} more", items.len() - NAMED_MAX));
    }
}

/// Returns the connection of that name, or all of them.
pub(crate) fn connections<'e>(
    engine: &'e Engine,
    name: Option<&str>,
) -> Result<Vec<&'e Connection>, Failure> {
    match name {
        None => Ok(engine.connections.iter().collect()),
        Some(name) => match engine.connection(&ConnectionName::new(name)) {
            Some(connection) => Ok(vec![connection]),
            None => Err(Failure::usage(format!(
                "there is no connection `{name}`; there are: {}",
                names(engine)
            ))),
        },
    }
}

/// Returns the connection of that name, or the only one.
pub(crate) fn connection<'e>(engine: &'e Engine, name: Option<&str>) -> Result<&'e Connection, Failure> {
    match connections(engine, name)?.as_slice() {
        [connection] => Ok(connection),
        _ => Err(Failure::usage(format!(
            "say which connection with --connection NAME; there are: {}",
            names(engine)
        ))),
    }
}

fn names(engine: &Engine) -> String {
    engine
        .connections
        .iter()
        .map(|connection| connection.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Says whether an item of the queue is about an issue of this name, as it was called when it was linked, or of this id.
fn bears(item: &QueueItem, name: &str) -> bool {
    let name = name.trim();
    let mut keys = [&item.a_issue, &item.b_issue].into_iter().flatten();
    let ids = match &item.id {
        QueueId::Pair { link, .. } | QueueId::Link(link) => vec![link.a, link.b],
        QueueId::Issue { issue, .. } => vec![*issue],
    };
    keys.any(|key| key.eq_ignore_ascii_case(name)) || ids.iter().any(|id| id.to_string() == name)
}
