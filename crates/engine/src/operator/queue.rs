//! What waits, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};
use tandem_core::{
    AccountId, ConnectionName, IssueId, LinkKey, Pair, PairId, Reason, Side, Sides, SiteName, WorklogId,
};

use crate::error::EngineError;
use crate::options::Engine;
use crate::ports::store::{DueKey, DueRow, Lane, LinkRow};

/// Attempts from which something fails rather than that it failed once and waits in line since: an hour of backoff has more.
const FAILING_FROM: u32 = 5;

/// For how long something may go on failing before a person should look.
const PASSING: SignedDuration = SignedDuration::from_hours(1);

/// Names one item of the queue; the same for as long as it waits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QueueId {
    /// A pair that is parked or misses a worklog.
    Pair {
        /// Its link.
        link: LinkKey,
        /// The pair.
        pair: PairId,
    },
    /// A link with work to do, or that waits as a whole.
    Link(LinkKey),
    /// An issue whose twin is looked for.
    Issue {
        /// Its site.
        site: SiteName,
        /// The issue.
        issue: IssueId,
    },
}

/// A text that is no id of the queue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id of the queue; `tandem queue` shows them")]
pub struct BadQueueId(String);

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueId::Pair { link, pair } => {
                write!(f, "pair:{}:{}:{}:{pair}", link.connection, link.a, link.b)
            }
            QueueId::Link(link) => write!(f, "link:{}:{}:{}", link.connection, link.a, link.b),
            QueueId::Issue { site, issue } => write!(f, "issue:{site}:{issue}"),
        }
    }
}

impl FromStr for QueueId {
    type Err = BadQueueId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Names of sites and connections have no colon in them.
        let parts: Vec<&str> = text.splitn(5, ':').collect();
        let bad = || BadQueueId(text.chars().take(80).collect());
        let issue = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse::<IssueId>().map_err(|_| bad()),
            false => Err(bad()),
        };
        let link = |name: &str, a: &str, b: &str| {
            Ok(LinkKey {
                connection: ConnectionName::new(name),
                a: issue(a)?,
                b: issue(b)?,
            })
        };
        match parts.as_slice() {
            ["pair", name, a, b, pair] if !name.is_empty() && !pair.is_empty() => Ok(QueueId::Pair {
                link: link(name, a, b)?,
                pair: PairId::new(*pair),
            }),
            ["link", name, a, b] if !name.is_empty() => Ok(QueueId::Link(link(name, a, b)?)),
            ["issue", site, id] if !site.is_empty() => Ok(QueueId::Issue {
                site: SiteName::new(*site),
                issue: issue(id)?,
            }),
            _ => Err(bad()),
        }
    }
}

impl Serialize for QueueId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How an item waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemState {
    /// For its turn, or for its next attempt after a failure.
    Due,
    /// Somebody works on it.
    Running,
    /// For a cause to go away, or for a person.
    Parked,
    /// For a worklog that a listing no longer shows.
    Missing,
}

impl ItemState {
    /// Returns the word that the queue shows.
    pub fn as_str(self) -> &'static str {
        match self {
            ItemState::Due => "due",
            ItemState::Running => "running",
            ItemState::Parked => "parked",
            ItemState::Missing => "missing",
        }
    }
}

/// One item of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueItem {
    /// Its id, for `retry`.
    pub id: QueueId,
    /// The connection.
    pub connection: Option<ConnectionName>,
    /// The key of A's issue, or its id where the key is not known.
    pub a_issue: Option<String>,
    /// The key of B's issue, or its id where the key is not known.
    pub b_issue: Option<String>,
    /// The worklog, when it is about one.
    pub worklog: Option<WorklogId>,
    /// The side that it concerns, when it is about one.
    pub side: Option<Side>,
    /// How it waits.
    pub state: ItemState,
    /// Why, when somebody can do something about it.
    pub reason: Option<Reason>,
    /// What happened.
    pub detail: Option<String>,
    /// What a person can do.
    pub advice: Option<&'static str>,
    /// Since when it waits.
    pub since: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried again by itself.
    pub next_attempt: Option<Timestamp>,
    /// Whose time it is, as far as the table knows: the accounts on both sides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<AccountId>,
    /// The same people by the side that they were seen on.
    #[serde(skip)]
    pub seen: Sides<BTreeSet<AccountId>>,
    /// The ids of the worklog and of its twin, or of those of which one may be its twin, as far as the table knows.
    #[serde(skip)]
    pub twins: Vec<WorklogId>,
    /// A person said to leave it alone.
    #[serde(skip_serializing_if = "is_false")]
    pub ignored: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl QueueItem {
    /// Says whether it waits for more than its turn.
    pub fn is_stuck(&self) -> bool {
        matches!(self.state, ItemState::Parked | ItemState::Missing) || self.attempts > 0
    }

    /// Says whether it has been failing for more than an hour without a reason that would set it aside: a site that
    /// answers the same write with 500 each time, say. It is tried again, and may be for ever.
    pub fn is_failing(&self, now: Timestamp) -> bool {
        let tried =
            matches!(self.state, ItemState::Due | ItemState::Running) && self.attempts >= FAILING_FROM;
        tried && self.reason.is_none() && now.duration_since(self.since) > PASSING
    }
}

/// What came of asking for another attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    /// Links and issues that are looked at again.
    pub hinted: usize,
    /// Ids that are not in the queue.
    pub unknown: Vec<QueueId>,
}

impl Engine {
    /// Returns what waits: what is due, and what is parked or missing and nobody said to ignore.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn queue(&self) -> Result<Vec<QueueItem>, EngineError> {
        let mut items = self.whole_queue().await?;
        items.retain(|item| !item.ignored);
        Ok(items)
    }

    /// Returns what waits, and what is ignored.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn whole_queue(&self) -> Result<Vec<QueueItem>, EngineError> {
        let now = self.clock.now();
        let mut links = Links::default();
        let mut items = Vec::new();
        let mut cursor = None;
        loop {
            let (rows, next) = self.store.due(cursor).await?;
            for row in rows {
                items.extend(self.due_item(row, now, &mut links).await?);
            }
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        for connection in &self.connections {
            let mut cursor = None;
            loop {
                let (pairs, next) = self.store.waiting(&connection.name, cursor).await?;
                for pair in pairs {
                    // Pairs of a link that was removed stay for the history; nothing of them waits.
                    if let Some(link) = links.get(self, &pair.link).await? {
                        items.extend(pair_item(pair, &link));
                    }
                }
                match next {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
        }
        items.sort_by(|left, right| (left.since, &left.id).cmp(&(right.since, &right.id)));
        items.dedup_by(|left, right| left.id == right.id);
        Ok(items)
    }

    async fn due_item(
        &self,
        row: DueRow,
        now: Timestamp,
        links: &mut Links,
    ) -> Result<Option<QueueItem>, EngineError> {
        let running = row.lease_until.is_some_and(|until| until > now);
        if row.quiet && !running {
            return Ok(None);
        }
        let state = match row.reason {
            _ if running => ItemState::Running,
            Some(Reason::Missing) => ItemState::Missing,
            Some(_) => ItemState::Parked,
            None => ItemState::Due,
        };
        let (id, connection, a_issue, b_issue) = match row.key {
            DueKey::Link(link) => {
                let (a, b) = match links.get(self, &link).await? {
                    Some(row) => names(&row),
                    None => (link.a.to_string(), link.b.to_string()),
                };
                (
                    QueueId::Link(link.clone()),
                    Some(link.connection),
                    Some(a),
                    Some(b),
                )
            }
            DueKey::Issue { site, issue } => {
                let known = self
                    .store
                    .issues(&[(site.clone(), issue)])
                    .await?
                    .into_iter()
                    .next();
                let name = known.and_then(|row| row.key).unwrap_or_else(|| issue.to_string());
                let place = self
                    .connections_of(&site)
                    .next()
                    .map(|(connection, side)| (connection.name.clone(), side));
                let (a, b) = match &place {
                    Some((_, Side::B)) => (None, Some(name)),
                    _ => (Some(name), None),
                };
                (QueueId::Issue { site, issue }, place.map(|(name, _)| name), a, b)
            }
            // Housekeeping: no worklog waits for it.
            DueKey::Learn { .. } => return Ok(None),
        };
        Ok(Some(QueueItem {
            id,
            connection,
            a_issue,
            b_issue,
            worklog: None,
            side: None,
            state,
            reason: row.reason,
            advice: row.reason.map(Reason::advice),
            detail: row.detail,
            since: row.since,
            attempts: row.attempts,
            next_attempt: Some(row.next_attempt),
            people: Vec::new(),
            seen: Sides::default(),
            twins: Vec::new(),
            ignored: false,
        }))
    }

    /// Has items tried again now: these, or everything that is parked, missing or failed. Deletes that the brake
    /// holds back are looked at, but not let through.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn retry(&self, ids: &[QueueId]) -> Result<Retried, EngineError> {
        self.retry_for(ids, None).await
    }

    /// The same, with a line in the history for each item that says who asked for it. An item that is named and
    /// was ignored is ignored no longer.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn retry_for(&self, ids: &[QueueId], by: Option<&str>) -> Result<Retried, EngineError> {
        let items = self.whole_queue().await?;
        let mut retried = Retried::default();
        let mut keys = BTreeSet::new();
        if ids.is_empty() {
            keys.extend(
                items
                    .iter()
                    .filter(|item| item.is_stuck() && !item.ignored)
                    .map(|item| key_of(&item.id)),
            );
        } else {
            let known: BTreeSet<&QueueId> = items.iter().map(|item| &item.id).collect();
            retried.unknown = ids.iter().filter(|id| !known.contains(id)).cloned().collect();
            if !retried.unknown.is_empty() {
                return Ok(retried);
            }
            for id in ids {
                if let QueueId::Pair { link, pair } = id {
                    self.heed(link, pair).await?;
                }
            }
            keys.extend(ids.iter().map(key_of));
        }
        if let Some(by) = by {
            let named = |item: &&QueueItem| match ids.is_empty() {
                true => item.is_stuck() && !item.ignored,
                false => ids.contains(&item.id),
            };
            let asked: Vec<&QueueItem> = items.iter().filter(named).collect();
            self.tell_retried(&asked, by).await?;
        }
        let sites: BTreeSet<SiteName> = keys.iter().flat_map(|key| self.sites_of(key)).collect();
        self.probe_paused(if ids.is_empty() { None } else { Some(&sites) })
            .await?;
        retried.hinted = keys.len();
        self.hint_all(keys.into_iter().collect(), Lane::Live, true)
            .await?;
        Ok(retried)
    }

    fn sites_of(&self, key: &DueKey) -> Vec<SiteName> {
        match key {
            DueKey::Link(link) => {
                let connection = self.connection(&link.connection);
                connection
                    .map(|one| vec![one.sites.a.clone(), one.sites.b.clone()])
                    .unwrap_or_default()
            }
            DueKey::Issue { site, .. } | DueKey::Learn { site } => vec![site.clone()],
        }
    }

    /// Lets one call through to each paused site, to see whether its credentials are accepted again.
    async fn probe_paused(&self, only: Option<&BTreeSet<SiteName>>) -> Result<(), EngineError> {
        let now = self.clock.now();
        for name in self
            .sites
            .keys()
            .filter(|name| only.is_none_or(|only| only.contains(name)))
        {
            self.change_site(name, |state| {
                if let Some(pause) = &mut state.paused {
                    pause.probe_at = now;
                }
            })
            .await?;
        }
        Ok(())
    }
}

fn key_of(id: &QueueId) -> DueKey {
    match id {
        QueueId::Pair { link, .. } | QueueId::Link(link) => DueKey::Link(link.clone()),
        QueueId::Issue { site, issue } => DueKey::Issue {
            site: site.clone(),
            issue: *issue,
        },
    }
}

fn pair_item(pair: Pair, link: &LinkRow) -> Option<QueueItem> {
    let ignored = pair.is_ignored();
    let wait = pair.wait?;
    let seen = Sides::from_fn(|side| {
        let tried = wait.tried[side].as_ref();
        let said = tried.or(pair.base.as_ref().map(|base| &base[side]));
        said.map(|content| content.author.clone())
            .into_iter()
            .collect::<BTreeSet<_>>()
    });
    let (a, b) = names(link);
    let state = if wait.reason == Reason::Missing {
        ItemState::Missing
    } else {
        ItemState::Parked
    };
    Some(QueueItem {
        id: QueueId::Pair {
            link: pair.link.clone(),
            pair: pair.id,
        },
        connection: Some(pair.link.connection),
        a_issue: Some(a),
        b_issue: Some(b),
        worklog: pair.ids[wait.side].or(pair.ids[wait.side.other()]),
        side: Some(wait.side),
        state,
        reason: Some(wait.reason),
        advice: Some(wait.reason.advice()),
        detail: Some(wait.detail),
        since: wait.since,
        attempts: wait.attempts,
        next_attempt: wait.next_attempt,
        people: seen.a.union(&seen.b).cloned().collect(),
        seen,
        twins: Side::BOTH
            .into_iter()
            .filter_map(|side| pair.ids[side])
            .chain(pair.rivals)
            .collect(),
        ignored,
    })
}

/// The names of a link's issues: keys, or ids where no key is known.
pub(super) fn names(link: &LinkRow) -> (String, String) {
    let name = |key: &Option<String>, id: IssueId| key.clone().unwrap_or_else(|| id.to_string());
    (name(&link.a_key, link.key.a), name(&link.b_key, link.key.b))
}

/// Rows of links already read.
#[derive(Default)]
struct Links(BTreeMap<LinkKey, Option<LinkRow>>);

impl Links {
    async fn get(&mut self, engine: &Engine, key: &LinkKey) -> Result<Option<LinkRow>, EngineError> {
        if let Some(row) = self.0.get(key) {
            return Ok(row.clone());
        }
        let row = engine.store.link(key).await?;
        self.0.insert(key.clone(), row.clone());
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_shown() {
        for text in [
            "pair:acme-globex:10001:1010001:a500001",
            "link:x.y_z:1:2",
            "issue:acme:10001",
        ] {
            assert_eq!(
                text.parse::<QueueId>().map(|id| id.to_string()),
                Ok(text.to_string())
            );
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "pair",
            "pair:x:1:2",
            "pair:x:1:2:",
            "pair:x:one:2:a1",
            "link:x:1",
            "link:x:1:2:3",
            "link::1:2",
            "issue:acme:",
            "issue:acme:+1",
            "issue:acme:1:2",
            "note:x:1:2",
            " link:x:1:2",
        ] {
            assert!(text.parse::<QueueId>().is_err(), "{text}");
        }
    }
}
