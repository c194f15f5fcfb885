//! The full comparison.
//!
//! Reads each side once, whatever the number of issues, and keeps a digest per issue: memory does not grow with
//! the number of worklogs. Where a digest differs from what the table's pairs add up to, the link is hinted at.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::civil::Date;
use tandem_core::{Content, IssueId, LinkKey, Pair, PairState, Side, Sides, WorklogId};
use tracing::{info, warn};

use crate::error::EngineError;
use crate::options::{Connection, Engine};
use crate::ports::site::LISTED_MAX;
use crate::ports::store::{AUDIT, Cursor, DueKey, Lane};
use crate::sweep::{Feed, Swept};

/// Issues without a known twin that one audit asks to be looked at, at most. The next one takes the rest.
const DISCOVER_MAX: usize = 500;

/// What an issue's worklogs add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    digest: u64,
}

impl Sum {
    fn add(&mut self, id: WorklogId, content: &Content) {
        let mut hash = DefaultHasher::new();
        (id, content).hash(&mut hash);
        self.count += 1;
        // Addition, so that the order of the rows does not matter.
        self.digest = self.digest.wrapping_add(hash.finish());
    }
}

impl Engine {
    /// Audits all connections, and has everything that is parked tried again.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn audit(&self) -> Result<Swept, EngineError> {
        let mut swept = Swept::default();
        for site in self.sites.values() {
            // Rights may have been given since.
            if self.site_state(site).await?.papertrail == Some(false) {
                self.change_site(&site.name, |state| state.papertrail = None)
                    .await?;
            }
            if let Err(error) = self.sweep_deletes(site, Lane::Sweep, Feed::Too).await {
                warn!(site.name = %site.name, "Could not read what was deleted on {}: {}", site.name, error.unsaid());
            }
        }
        for connection in &self.connections {
            // What the first look at a connection finds has not drifted: it was never together.
            let known = self.store.cursor(&audited(connection)).await?.is_some();
            match self.audit_connection(connection, known.then_some(AUDIT)).await {
                Ok(hinted) => swept.hinted += hinted,
                Err(EngineError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    warn!(connection.name = %connection.name, "Could not audit {}: {}", connection.name, error.unsaid());
                    swept.failed += 1;
                }
            }
        }
        swept.hinted += self.wake_parked().await?;
        Ok(swept)
    }

    /// Audits connections that never were; a sweep knows only what changes from now on.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn audit_new(&self) -> Result<Swept, EngineError> {
        let mut swept = Swept::default();
        for connection in &self.connections {
            if self.store.cursor(&audited(connection)).await?.is_some() {
                continue;
            }
            match self.audit_connection(connection, None).await {
                Ok(hinted) => swept.hinted += hinted,
                Err(EngineError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    warn!(connection.name = %connection.name, "Could not look at {} for the first time: {}", connection.name, error.unsaid());
                    swept.failed += 1;
                }
            }
        }
        Ok(swept)
    }

    pub(crate) async fn audit_connection(
        &self,
        connection: &Connection,
        trace: Option<&str>,
    ) -> Result<usize, EngineError> {
        let start = self.clock.now();
        let since = self.since(connection).await?;
        let mut sums = Sides::new(
            self.sum_up(connection, Side::A, since).await?,
            self.sum_up(connection, Side::B, since).await?,
        );
        let mut hinted = 0;
        let mut cursor = None;
        loop {
            let (links, next) = self.store.links(&connection.name, cursor).await?;
            self.note_scope(connection, &links, Lane::Sweep).await?;
            let mut differing = Vec::new();
            for link in links {
                let found =
                    Sides::from_fn(|side| sums[side].remove(&link.key.issue(side)).unwrap_or_default());
                if !self.adds_up(&link.key, &found, since).await? {
                    differing.push(DueKey::Link(link.key));
                }
            }
            hinted += differing.len();
            self.hint_traced(differing, Lane::Sweep, true, trace).await?;
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        for side in Side::BOTH {
            hinted += self
                .hint_unlinked(connection, side, sums[side].keys().copied().collect())
                .await?;
        }
        self.store
            .put_cursor(&audited(connection), &Cursor { at: start })
            .await?;
        info!(connection.name = %connection.name, audit.n_hinted = hinted, "Audited {}", connection.name);
        Ok(hinted)
    }

    /// Adds up a side's worklogs per issue.
    async fn sum_up(
        &self,
        connection: &Connection,
        side: Side,
        since: Date,
    ) -> Result<BTreeMap<IssueId, Sum>, EngineError> {
        let site = self.site_of(connection, side)?;
        let mut sums: BTreeMap<IssueId, Sum> = BTreeMap::new();
        let mut offset = 0;
        while offset < LISTED_MAX {
            let page = self
                .call_in_turn(site, Lane::Sweep, async |client| {
                    client.list_dates(since, None, offset).await
                })
                .await?;
            for worklog in &page.rows {
                sums.entry(worklog.issue)
                    .or_default()
                    .add(worklog.id, &worklog.content);
            }
            // What cannot be read adds up to nothing: its link's run sets it aside.
            for issue in page.bad.iter().filter_map(|bad| bad.issue) {
                sums.entry(issue).or_default().count += 1;
            }
            match page.next {
                Some(next) if next > offset => offset = next,
                _ => break,
            }
        }
        Ok(sums)
    }

    /// Says whether both sides of a link show what its pairs remember.
    async fn adds_up(&self, link: &LinkKey, found: &Sides<Sum>, since: Date) -> Result<bool, EngineError> {
        let mut expected = Sides::<Sum>::default();
        for pair in self.store.pairs(link).await? {
            if pair.state != PairState::Live {
                continue;
            }
            let Some(base) = pair.base.as_ref().filter(|_| is_settled(&pair)) else {
                return Ok(false);
            };
            for side in Side::BOTH {
                if let Some(id) = pair.ids[side].filter(|_| base[side].start_date >= since) {
                    expected[side].add(id, &base[side]);
                }
            }
        }
        Ok(expected == *found)
    }

    async fn hint_unlinked(
        &self,
        connection: &Connection,
        side: Side,
        issues: Vec<IssueId>,
    ) -> Result<usize, EngineError> {
        let now = self.clock.now();
        let site = &connection.sites[side];
        let asked: Vec<_> = issues.iter().map(|issue| (site.clone(), *issue)).collect();
        let known: BTreeMap<IssueId, _> = self
            .store
            .issues(&asked)
            .await?
            .into_iter()
            .map(|row| (row.issue, row))
            .collect();
        let again = |issue: &IssueId| {
            known
                .get(issue)
                .and_then(|row| row.look_again.get(&connection.name))
                .copied()
        };
        let mut open: Vec<IssueId> = issues
            .into_iter()
            .filter(|issue| again(issue).is_none_or(|again| again <= now))
            .collect();
        // Those never looked at first, then those not looked at for longest, so that all have their turn.
        open.sort_by_key(|issue| again(issue));
        let open: Vec<DueKey> = open
            .into_iter()
            .take(DISCOVER_MAX)
            .map(|issue| DueKey::Issue {
                site: site.clone(),
                issue,
            })
            .collect();
        let count = open.len();
        self.hint_all(open, Lane::Sweep, false).await?;
        Ok(count)
    }
}

pub(crate) fn audited(connection: &Connection) -> String {
    format!("audited:{}", connection.name)
}

fn is_settled(pair: &Pair) -> bool {
    pair.intent.is_none() && pair.wait.is_none() && pair.ids.a.is_some() && pair.ids.b.is_some()
}
