//! A table that can only be read.
//!
//! For looking ahead: what the engine would remember is dropped, or kept in memory for as long as this lives. Its
//! requests count towards a site's limit all the same; [`Line`] says how.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tandem_core::{
    AccountId, ConnectionName, IssueId, JiraWorklogId, LinkKey, Pair, PairId, Side, Sides, SiteName,
    WorklogId,
};

use crate::gate::signed;
use crate::ports::store::{
    Claim, Committed, ConfigVersion, Cursor, DueKey, DueRow, Evidence, EvidenceId, Finish, Hint, HistoryRow,
    IssueRow, LinkRow, Linked, Lookup, LookupQuery, Op, Origin, PersonRow, Root, SiteState, Slot, StoreError,
    Whereabouts,
};
use crate::ports::{Clock, Store};

/// The links that were found meanwhile, and the deletes that were counted.
#[derive(Default)]
struct Found {
    links: BTreeMap<LinkKey, LinkRow>,
    issues: BTreeMap<(SiteName, IssueId), IssueRow>,
    deletes: BTreeMap<ConnectionName, BTreeSet<(SiteName, WorklogId)>>,
    notes: BTreeMap<String, String>,
    evidence: BTreeMap<(SiteName, EvidenceId), Evidence>,
}

/// Since when nobody else has taken a slot of a site for it to be at rest.
const AT_REST: SignedDuration = SignedDuration::from_secs(1);

/// For how long slots are taken in line with all others after somebody else was seen at work.
const IN_LINE: SignedDuration = SignedDuration::from_secs(10);

/// How one site's slots are taken.
///
/// While nobody else is at work on the site, its bucket is only looked at: whoever begins later finds a bucket that is
/// empty by then, for this side waits out its own last slot (see [`Engine::rest`](crate::Engine::rest)). Somebody at
/// work could not know of slots that are counted here alone, and the site would answer 429: as long as that lasts, and
/// after a 429, slots are taken from the one bucket that all share.
#[derive(Clone, Copy, Default)]
struct Line {
    /// From when on a slot is free after those that were taken here.
    own: Option<Timestamp>,
    /// How the shared bucket stood when it was last looked at or taken from here.
    left: Option<Timestamp>,
    /// Until when slots are taken from the shared bucket.
    shared_until: Option<Timestamp>,
}

impl Line {
    /// Says whether somebody else took a slot: just now, or, whatever their clock says, since the last look.
    fn others(&self, bucket: Option<Timestamp>, now: Timestamp) -> bool {
        let news = bucket.filter(|free_at| Some(*free_at) > self.left);
        news.is_some_and(|free_at| self.left.is_some() || free_at + AT_REST > now)
    }

    fn is_shared(&self, now: Timestamp) -> bool {
        self.shared_until.is_some_and(|until| now < until)
    }
}

/// Reads from another store and writes nothing to it, except a site's bucket while others are at work on that site.
pub struct ReadOnly {
    inner: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    found: Mutex<Found>,
    lines: Mutex<BTreeMap<SiteName, Line>>,
}

impl ReadOnly {
    /// Wraps a store.
    pub fn new(inner: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner,
            clock,
            found: Mutex::default(),
            lines: Mutex::default(),
        }
    }

    /// Changes how a site's slots are taken, and returns how they are.
    fn line(&self, site: &SiteName, change: impl FnOnce(&mut Line)) -> Line {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.entry(site.clone()).or_default();
        change(line);
        *line
    }

    /// Looks whether others are at work on a site, and notes it. At the first look, whoever took a slot a moment ago may just
    /// have ended: waits a moment and looks again.
    async fn look_round(&self, site: &SiteName) -> Result<Option<Timestamp>, StoreError> {
        let mut bucket = self.inner.free_at(site).await?;
        let now = self.clock.now();
        let line = self.line(site, |_| {});
        let mut at_work = line.others(bucket, now);
        if at_work && line.left.is_none() {
            let rest = bucket.map_or(now, |free_at| free_at.min(now + AT_REST)) + AT_REST;
            let wait = rest.duration_since(now);
            self.clock
                .sleep(Duration::try_from(wait).unwrap_or_default())
                .await;
            let before = std::mem::replace(&mut bucket, self.inner.free_at(site).await?);
            at_work = bucket != before;
        }
        let now = self.clock.now();
        self.line(site, |line| {
            line.left = line.left.max(bucket);
            if at_work {
                line.shared_until = Some(now + IN_LINE);
            }
        });
        Ok(bucket)
    }

    /// Later looks of the same rehearsal rest on what was found to be gone, as they would on the table's rows.
    fn keep_proofs(&self, ops: &[Op]) {
        let mut found = self.found();
        for op in ops {
            if let Op::PutEvidence(proof) = op {
                let key = (proof.site.clone(), proof.id.clone());
                found.evidence.insert(key, proof.clone());
            }
        }
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn blank(site: &SiteName, issue: IssueId) -> IssueRow {
    IssueRow {
        site: site.clone(),
        issue,
        key: None,
        links: BTreeMap::new(),
        look_again: BTreeMap::new(),
    }
}

#[async_trait]
impl Store for ReadOnly {
    async fn issues(&self, issues: &[(SiteName, IssueId)]) -> Result<Vec<IssueRow>, StoreError> {
        let mut rows = self.inner.issues(issues).await?;
        let found = self.found();
        for asked in issues {
            let Some(new) = found.issues.get(asked) else {
                continue;
            };
            match rows
                .iter_mut()
                .find(|row| row.site == asked.0 && row.issue == asked.1)
            {
                Some(row) => {
                    row.links.extend(new.links.clone());
                    row.look_again.extend(new.look_again.clone());
                }
                None => rows.push(new.clone()),
            }
        }
        // Looking ahead looks everywhere: that there was no twin a while ago is no reason not to.
        for row in &mut rows {
            let known = found.issues.get(&(row.site.clone(), row.issue));
            row.look_again = known.map(|row| row.look_again.clone()).unwrap_or_default();
        }
        Ok(rows)
    }

    async fn put_unlinked(
        &self,
        site: &SiteName,
        issue: IssueId,
        key: Option<&str>,
        connection: &ConnectionName,
        look_again: Timestamp,
    ) -> Result<(), StoreError> {
        let mut found = self.found();
        let row = found
            .issues
            .entry((site.clone(), issue))
            .or_insert_with(|| blank(site, issue));
        row.key = key.map(ToOwned::to_owned);
        row.look_again.insert(connection.clone(), look_again);
        Ok(())
    }

    async fn put_link(&self, link: &LinkRow, sites: &Sides<SiteName>) -> Result<Linked, StoreError> {
        let connection = &link.key.connection;
        for side in Side::BOTH {
            let known = self
                .issues(&[(sites[side].clone(), link.key.issue(side))])
                .await?;
            let existing = known.into_iter().find_map(|mut row| row.links.remove(connection));
            match existing {
                Some(existing) if existing == link.key => return Ok(Linked::Already),
                Some(existing) => return Ok(Linked::Refused { side, existing }),
                None => {}
            }
        }
        let mut found = self.found();
        for side in Side::BOTH {
            let (site, issue) = (&sites[side], link.key.issue(side));
            let row = found
                .issues
                .entry((site.clone(), issue))
                .or_insert_with(|| blank(site, issue));
            row.links.insert(connection.clone(), link.key.clone());
        }
        found.links.insert(link.key.clone(), link.clone());
        Ok(Linked::New)
    }

    async fn note_link(&self, link: &LinkRow) -> Result<(), StoreError> {
        self.found().links.insert(link.key.clone(), link.clone());
        Ok(())
    }

    async fn drop_link(&self, _key: &LinkKey, _sites: &Sides<SiteName>) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn link(&self, key: &LinkKey) -> Result<Option<LinkRow>, StoreError> {
        let found = self.found().links.get(key).cloned();
        match found {
            Some(row) => Ok(Some(row)),
            None => self.inner.link(key).await,
        }
    }

    async fn links(
        &self,
        connection: &ConnectionName,
        cursor: Option<String>,
    ) -> Result<(Vec<LinkRow>, Option<String>), StoreError> {
        let (mut rows, next) = self.inner.links(connection, cursor).await?;
        let found = self.found();
        // What is only noted of one that is there already comes with its page, as noted.
        rows.retain(|row| !found.links.contains_key(&row.key));
        if next.is_none() {
            let own = found.links.values();
            rows.extend(own.filter(|row| row.key.connection == *connection).cloned());
        }
        Ok((rows, next))
    }

    async fn first_run(&self, connection: &ConnectionName, now: Timestamp) -> Result<Timestamp, StoreError> {
        Ok(self.inner.ran_first(connection).await?.unwrap_or(now))
    }

    async fn ran_first(&self, connection: &ConnectionName) -> Result<Option<Timestamp>, StoreError> {
        self.inner.ran_first(connection).await
    }

    async fn lookup(&self, query: &LookupQuery<'_>) -> Result<Lookup, StoreError> {
        self.inner.lookup(query).await
    }

    async fn hint(&self, _hints: &[Hint], extra: &[Op], _now: Timestamp) -> Result<(), StoreError> {
        self.keep_proofs(extra);
        Ok(())
    }

    async fn ready(&self, now: Timestamp, limit: usize) -> Result<Vec<DueRow>, StoreError> {
        self.inner.ready(now, limit).await
    }

    async fn due(&self, cursor: Option<String>) -> Result<(Vec<DueRow>, Option<String>), StoreError> {
        self.inner.due(cursor).await
    }

    async fn due_row(&self, key: &DueKey) -> Result<Option<DueRow>, StoreError> {
        self.inner.due_row(key).await
    }

    async fn take(
        &self,
        _key: &DueKey,
        _owner: &str,
        _now: Timestamp,
        _lease: Duration,
    ) -> Result<Option<DueRow>, StoreError> {
        Ok(None)
    }

    async fn renew(
        &self,
        _key: &DueKey,
        _owner: &str,
        _now: Timestamp,
        _lease: Duration,
    ) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn finish(
        &self,
        _taken: &DueRow,
        _owner: &str,
        _finish: &Finish,
        _now: Timestamp,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn pairs(&self, link: &LinkKey) -> Result<Vec<Pair>, StoreError> {
        self.inner.pairs(link).await
    }

    async fn pair(&self, link: &LinkKey, id: &PairId) -> Result<Option<Pair>, StoreError> {
        self.inner.pair(link, id).await
    }

    async fn commit(&self, ops: Vec<Op>) -> Result<Committed, StoreError> {
        self.keep_proofs(&ops);
        Ok(Committed::Yes)
    }

    async fn whereabouts(
        &self,
        connection: &ConnectionName,
        site: &SiteName,
        worklogs: &[WorklogId],
    ) -> Result<Vec<Whereabouts>, StoreError> {
        self.inner.whereabouts(connection, site, worklogs).await
    }

    async fn origins(
        &self,
        worklogs: &[(SiteName, WorklogId)],
    ) -> Result<Vec<((SiteName, WorklogId), Origin)>, StoreError> {
        self.inner.origins(worklogs).await
    }

    async fn claims(&self, site: &SiteName, roots: &[Root]) -> Result<Vec<(Root, Claim)>, StoreError> {
        self.inner.claims(site, roots).await
    }

    async fn evidence(&self, site: &SiteName, ids: &[EvidenceId]) -> Result<Vec<Evidence>, StoreError> {
        let mut proofs = self.inner.evidence(site, ids).await?;
        let found = self.found();
        let new = ids
            .iter()
            .filter(|id| !proofs.iter().any(|proof| proof.id == **id));
        let new: Vec<Evidence> = new
            .filter_map(|id| found.evidence.get(&(site.clone(), id.clone())).cloned())
            .collect();
        proofs.extend(new);
        Ok(proofs)
    }

    async fn jira_ids(
        &self,
        site: &SiteName,
        worklogs: &[WorklogId],
    ) -> Result<Vec<(WorklogId, JiraWorklogId)>, StoreError> {
        self.inner.jira_ids(site, worklogs).await
    }

    async fn tempo_ids(
        &self,
        site: &SiteName,
        jira: &[JiraWorklogId],
    ) -> Result<Vec<(JiraWorklogId, WorklogId)>, StoreError> {
        self.inner.tempo_ids(site, jira).await
    }

    async fn to_learn(
        &self,
        site: &SiteName,
        limit: usize,
    ) -> Result<Vec<(WorklogId, Timestamp)>, StoreError> {
        self.inner.to_learn(site, limit).await
    }

    async fn drop_learn(&self, _site: &SiteName, _worklogs: &[WorklogId]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn waiting(
        &self,
        connection: &ConnectionName,
        cursor: Option<String>,
    ) -> Result<(Vec<Pair>, Option<String>), StoreError> {
        self.inner.waiting(connection, cursor).await
    }

    /// Counts what would be deleted now, of all looks, besides what the table has counted.
    async fn brake(
        &self,
        connection: &ConnectionName,
        deletes: &[(SiteName, WorklogId)],
        since: Timestamp,
        _now: Timestamp,
        enough: usize,
    ) -> Result<usize, StoreError> {
        let (count, new) = self.inner.brake_ahead(connection, deletes, since, enough).await?;
        let mut found = self.found();
        let counted = found.deletes.entry(connection.clone()).or_default();
        counted.extend(new);
        Ok(count + counted.len())
    }

    async fn brake_ahead(
        &self,
        connection: &ConnectionName,
        deletes: &[(SiteName, WorklogId)],
        since: Timestamp,
        enough: usize,
    ) -> Result<(usize, Vec<(SiteName, WorklogId)>), StoreError> {
        self.inner.brake_ahead(connection, deletes, since, enough).await
    }

    async fn release_brake(&self, _connection: &ConnectionName, _now: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn history(
        &self,
        connections: &[ConnectionName],
        link: Option<&LinkKey>,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        self.inner.history(connections, link, limit).await
    }

    async fn history_line(
        &self,
        connection: &ConnectionName,
        id: &str,
    ) -> Result<Option<HistoryRow>, StoreError> {
        self.inner.history_line(connection, id).await
    }

    async fn reserve(
        &self,
        site: &SiteName,
        now: Timestamp,
        interval: Duration,
        patience: Duration,
    ) -> Result<Slot, StoreError> {
        let bucket = self.look_round(site).await?;
        let now = now.max(self.clock.now());
        let line = self.line(site, |_| {});
        if line.is_shared(now) {
            let asked = line.own.map_or(now, |own| own.max(now));
            let slot = self.inner.reserve(site, asked, interval, patience).await?;
            if let Slot::At(at) = slot {
                let next = Some(at + signed(interval));
                self.line(site, |line| {
                    line.own = line.own.max(next);
                    line.left = line.left.max(next);
                });
            }
            return Ok(slot);
        }
        let mut slot = Slot::At(now);
        self.line(site, |line| {
            let at = [line.own, bucket].into_iter().flatten().fold(now, Timestamp::max);
            if at > now + signed(patience) {
                slot = Slot::NotBefore(at - signed(patience));
            } else {
                slot = Slot::At(at);
                line.own = Some(at + signed(interval));
            }
        });
        Ok(slot)
    }

    async fn free_at(&self, site: &SiteName) -> Result<Option<Timestamp>, StoreError> {
        let own = self.line(site, |_| {}).own;
        Ok(self.inner.free_at(site).await?.max(own))
    }

    /// Others must know of a 429 too, and whoever caused it together with this side is at work.
    async fn hold(&self, site: &SiteName, until: Timestamp) -> Result<(), StoreError> {
        self.line(site, |line| line.shared_until = Some(until + IN_LINE));
        self.inner.hold(site, until).await
    }

    async fn site(&self, site: &SiteName) -> Result<SiteState, StoreError> {
        self.inner.site(site).await
    }

    async fn put_site(&self, _site: &SiteName, _state: &SiteState) -> Result<Committed, StoreError> {
        Ok(Committed::Yes)
    }

    async fn people(
        &self,
        from: &SiteName,
        to: &SiteName,
        accounts: &[AccountId],
        now: Timestamp,
    ) -> Result<Vec<PersonRow>, StoreError> {
        self.inner.people(from, to, accounts, now).await
    }

    async fn put_person(
        &self,
        _from: &SiteName,
        _to: &SiteName,
        _person: &PersonRow,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn cursor(&self, name: &str) -> Result<Option<Cursor>, StoreError> {
        self.inner.cursor(name).await
    }

    async fn put_cursor(&self, _name: &str, _cursor: &Cursor) -> Result<(), StoreError> {
        Ok(())
    }

    async fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        let kept = self.found().notes.get(name).cloned();
        match kept {
            Some(text) => Ok(Some(text)),
            None => self.inner.note(name).await,
        }
    }

    async fn put_note(&self, name: &str, text: &str) -> Result<(), StoreError> {
        self.found().notes.insert(name.to_owned(), text.to_owned());
        Ok(())
    }

    async fn config(&self) -> Result<Option<ConfigVersion>, StoreError> {
        self.inner.config().await
    }

    async fn put_config(&self, _text: &str, _now: Timestamp) -> Result<u64, StoreError> {
        Err(StoreError::Unusable("it is open for reading only".into()))
    }

    async fn configs(&self, limit: usize) -> Result<Vec<ConfigVersion>, StoreError> {
        self.inner.configs(limit).await
    }
}
