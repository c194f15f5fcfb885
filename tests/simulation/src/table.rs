//! The table's semantics without a table: what each method of [`Store`] does to the rows, in memory.
//!
//! `DynamoStore` says the same with DynamoDB's expressions. A simulation of a hundred thousand lives has no time for
//! an SDK, so the rules are written a second time here, and `tests/table.rs` holds both to the same answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tandem_core::{
    AccountId, ConnectionName, IssueId, JiraWorklogId, LinkKey, Pair, PairId, Reason, Side, Sides, SiteName,
    WorklogId,
};
use tandem_engine::ports::StoreError;
use tandem_engine::ports::store::{
    Announcement, Claim, Committed, ConfigVersion, Cursor, DueKey, DueRow, Echo, Evidence, EvidenceId,
    Finish, Hint, HistoryRow, IssueRow, Lane, LinkRow, Linked, Lookup, LookupQuery, Op, Origin, PersonRow,
    Root, SiteState, Slot, Whereabouts,
};

/// Announcements that a due row keeps.
const ANNOUNCED_MAX: usize = 50;

/// How many traces of a due row are kept.
const TRACES_MAX: usize = 10;

/// Writes that one transaction takes.
const WRITES_MAX: usize = 100;

/// How far apart two hints may be without the row's time being moved.
const SLACK: SignedDuration = SignedDuration::from_secs(2);

const LANES: [Lane; 3] = [Lane::Live, Lane::Sweep, Lane::Backfill];

/// What hints brought: not yet taken, or taken by the run under way.
#[derive(Clone, Debug, Default)]
struct Brought {
    announced: Vec<Announcement>,
    plain: u64,
    forced: u64,
    traces: Vec<String>,
    lanes: [u64; 3],
}

impl Brought {
    fn absorb(&mut self, mut other: Self) {
        self.announced.append(&mut other.announced);
        self.plain += other.plain;
        self.forced += other.forced;
        self.traces.append(&mut other.traces);
        for (mine, theirs) in self.lanes.iter_mut().zip(other.lanes) {
            *mine += theirs;
        }
    }
}

#[derive(Clone, Debug)]
struct Due {
    generation: u64,
    since: Option<Timestamp>,
    lane: Lane,
    next_attempt: Timestamp,
    hint_at: Option<Timestamp>,
    hint_since: Option<Timestamp>,
    fresh: Brought,
    taken: Brought,
    owner: Option<String>,
    lease_until: Option<Timestamp>,
    attempts: u32,
    reason: Option<Reason>,
    detail: Option<String>,
    quiet: bool,
    /// When the row last changed, for an index that lags.
    changed_at: Timestamp,
}

#[derive(Clone, Debug)]
struct Hold {
    link: LinkKey,
    until: Timestamp,
    busy_until: Option<Timestamp>,
}

#[derive(Clone, Debug, Default)]
struct TempoId {
    jira: Option<JiraWorklogId>,
    asked_at: Option<Timestamp>,
}

/// All rows.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    issues: BTreeMap<(SiteName, IssueId), IssueRow>,
    holds: BTreeMap<(SiteName, IssueId), Hold>,
    links: BTreeMap<LinkKey, LinkRow>,
    first_runs: BTreeMap<ConnectionName, Timestamp>,
    due: BTreeMap<DueKey, Due>,
    pairs: BTreeMap<LinkKey, BTreeMap<PairId, Pair>>,
    whereabouts: BTreeMap<(ConnectionName, SiteName, WorklogId), Whereabouts>,
    origins: BTreeMap<(SiteName, WorklogId), Origin>,
    claims: BTreeMap<(Root, SiteName), Claim>,
    evidence: BTreeMap<(SiteName, EvidenceId), Evidence>,
    echoes: BTreeMap<(SiteName, String), Echo>,
    tempo: BTreeMap<(SiteName, WorklogId), TempoId>,
    jira: BTreeMap<(SiteName, JiraWorklogId), WorklogId>,
    rounds: BTreeMap<ConnectionName, u64>,
    full_at: BTreeMap<(ConnectionName, u64), Timestamp>,
    brake: BTreeMap<(ConnectionName, u64), BTreeMap<(SiteName, WorklogId), Timestamp>>,
    history: BTreeMap<(ConnectionName, String), HistoryRow>,
    sites: BTreeMap<SiteName, SiteState>,
    buckets: BTreeMap<SiteName, Timestamp>,
    people: BTreeMap<(SiteName, SiteName, AccountId), PersonRow>,
    cursors: BTreeMap<String, Timestamp>,
    notes: BTreeMap<String, String>,
    configs: Vec<ConfigVersion>,
    /// Due rows that a hint touched since the stream was last read: what wakes the worker.
    pub woken: Vec<DueKey>,
}

impl Rows {
    /// Returns every row's text, for whoever looks for what must not be there.
    pub fn texts(&self) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        texts.extend(self.history.values().map(|row| format!("{row:?}")));
        texts.extend(
            self.pairs
                .values()
                .flat_map(BTreeMap::values)
                .map(|row| format!("{row:?}")),
        );
        texts.extend(self.due.values().map(|row| format!("{row:?}")));
        texts.extend(self.sites.values().map(|row| format!("{row:?}")));
        texts.extend(self.notes.values().cloned());
        texts.extend(self.echoes.values().map(|row| format!("{row:?}")));
        texts.extend(self.issues.values().map(|row| format!("{row:?}")));
        texts.extend(self.people.values().map(|row| format!("{row:?}")));
        let rest = (
            (&self.links, &self.whereabouts, &self.origins, &self.claims),
            (&self.evidence, &self.brake, &self.cursors, &self.configs),
        );
        texts.push(format!("{rest:?}"));
        texts
    }

    // --- issues and links ---

    /// See [`Store::issues`](tandem_engine::ports::Store::issues).
    pub fn issues(&self, issues: &[(SiteName, IssueId)]) -> Vec<IssueRow> {
        let asked: BTreeSet<_> = issues.iter().collect();
        asked
            .into_iter()
            .filter_map(|key| self.issues.get(key).cloned())
            .collect()
    }

    fn issue(&mut self, site: &SiteName, issue: IssueId, key: Option<&str>) -> &mut IssueRow {
        let row = self
            .issues
            .entry((site.clone(), issue))
            .or_insert_with(|| IssueRow {
                site: site.clone(),
                issue,
                key: None,
                links: BTreeMap::new(),
                look_again: BTreeMap::new(),
            });
        if let Some(key) = key {
            row.key = Some(key.to_owned());
        }
        row
    }

    /// See [`Store::put_unlinked`](tandem_engine::ports::Store::put_unlinked).
    pub fn put_unlinked(
        &mut self,
        site: &SiteName,
        issue: IssueId,
        key: Option<&str>,
        connection: &ConnectionName,
        look_again: Timestamp,
    ) {
        let linked = self
            .issues
            .get(&(site.clone(), issue))
            .is_some_and(|row| row.links.contains_key(connection));
        if !linked {
            self.issue(site, issue, key)
                .look_again
                .insert(connection.clone(), look_again);
        }
    }

    /// See [`Store::put_link`](tandem_engine::ports::Store::put_link).
    pub fn put_link(&mut self, link: &LinkRow, sites: &Sides<SiteName>) -> Linked {
        for side in Side::BOTH {
            let found = self.issues.get(&(sites[side].clone(), link.key.issue(side)));
            if let Some(existing) = found.and_then(|row| row.links.get(&link.key.connection))
                && *existing != link.key
            {
                return Linked::Refused {
                    side,
                    existing: existing.clone(),
                };
            }
        }
        if self.links.contains_key(&link.key) {
            return Linked::Already;
        }
        self.links.insert(link.key.clone(), link.clone());
        for side in Side::BOTH {
            let key = match side {
                Side::A => link.a_key.as_deref(),
                Side::B => link.b_key.as_deref(),
            };
            let row = self.issue(&sites[side], link.key.issue(side), key);
            row.links.insert(link.key.connection.clone(), link.key.clone());
            row.look_again.remove(&link.key.connection);
        }
        Linked::New
    }

    /// See [`Store::note_link`](tandem_engine::ports::Store::note_link).
    pub fn note_link(&mut self, link: &LinkRow) {
        if let Some(row) = self.links.get_mut(&link.key) {
            *row = link.clone();
        }
    }

    /// See [`Store::drop_link`](tandem_engine::ports::Store::drop_link).
    pub fn drop_link(&mut self, key: &LinkKey, sites: &Sides<SiteName>) -> bool {
        if self.links.remove(key).is_none() {
            return false;
        }
        self.due.remove(&DueKey::Link(key.clone()));
        for side in Side::BOTH {
            if let Some(row) = self.issues.get_mut(&(sites[side].clone(), key.issue(side)))
                && row.links.get(&key.connection) == Some(key)
            {
                row.links.remove(&key.connection);
            }
        }
        true
    }

    /// See [`Store::link`](tandem_engine::ports::Store::link).
    pub fn link(&self, key: &LinkKey) -> Option<LinkRow> {
        self.links.get(key).cloned()
    }

    /// See [`Store::links`](tandem_engine::ports::Store::links).
    pub fn links(&self, connection: &ConnectionName) -> Vec<LinkRow> {
        self.links
            .values()
            .filter(|row| row.key.connection == *connection)
            .cloned()
            .collect()
    }

    /// See [`Store::first_run`](tandem_engine::ports::Store::first_run).
    pub fn first_run(&mut self, connection: &ConnectionName, now: Timestamp) -> Timestamp {
        *self.first_runs.entry(connection.clone()).or_insert(now)
    }

    /// See [`Store::ran_first`](tandem_engine::ports::Store::ran_first).
    pub fn ran_first(&self, connection: &ConnectionName) -> Option<Timestamp> {
        self.first_runs.get(connection).copied()
    }

    // --- hints and due rows ---

    /// See [`Store::lookup`](tandem_engine::ports::Store::lookup).
    pub fn lookup(&self, query: &LookupQuery<'_>) -> Lookup {
        let site = query.site;
        let mut lookup = Lookup {
            issue: query
                .issue
                .and_then(|issue| self.issues.get(&(site.clone(), issue)).cloned()),
            worklog: query
                .jira
                .and_then(|jira| self.jira.get(&(site.clone(), jira)).copied()),
            ..Lookup::default()
        };
        let marks: BTreeSet<_> = query.marks.iter().collect();
        for mark in marks {
            if let Some(echo) = self.echoes.get(&(site.clone(), mark.clone()))
                && echo.expires > query.now
            {
                lookup.echoes.push(echo.clone());
            }
        }
        if let Some(worklog) = query.worklog {
            let connections: BTreeSet<_> = query.connections.iter().collect();
            for connection in connections {
                lookup.whereabouts.extend(
                    self.whereabouts
                        .get(&(connection.clone(), site.clone(), worklog))
                        .cloned(),
                );
            }
        }
        lookup
    }

    /// See [`Store::hint`](tandem_engine::ports::Store::hint).
    pub fn hint(&mut self, hints: &[Hint], extra: &[Op], now: Timestamp) {
        // A condition that no longer holds leaves out the row, not the hint.
        for op in extra {
            if self.holds(op) {
                self.apply(op);
            }
        }
        let mut keys: BTreeMap<&DueKey, Vec<&Hint>> = BTreeMap::new();
        for hint in hints {
            keys.entry(&hint.key).or_default().push(hint);
        }
        for (key, hints) in keys {
            self.touch(key, &hints, now);
        }
    }

    fn touch(&mut self, key: &DueKey, hints: &[&Hint], now: Timestamp) {
        let (Some(ready), Some(lane)) = (
            hints.iter().map(|hint| hint.ready_at).min(),
            hints.iter().map(|hint| hint.lane).min(),
        ) else {
            return;
        };
        let count = hints.len() as u64;
        let there = self.due.contains_key(key);
        let row = self.due.entry(key.clone()).or_insert_with(|| Due {
            generation: 0,
            since: None,
            lane,
            next_attempt: ready,
            hint_at: None,
            hint_since: None,
            fresh: Brought::default(),
            taken: Brought::default(),
            owner: None,
            lease_until: None,
            attempts: 0,
            reason: None,
            detail: None,
            quiet: false,
            changed_at: now,
        });
        let soon = ready + SLACK;
        let fits = match (row.hint_at, ready.duration_since(now) <= SLACK) {
            (Some(hint_at), _) => hint_at <= soon,
            (None, true) => true,
            (None, false) => !there || row.next_attempt > ready || row.owner.is_some(),
        };
        let at = match (fits, row.hint_at) {
            (true, hint_at) => hint_at.unwrap_or(ready),
            (false, Some(hint_at)) => ready.min(hint_at),
            (false, None) => ready.min(row.next_attempt),
        };
        row.next_attempt = at;
        row.hint_at = Some(at);
        row.generation += count;
        row.since.get_or_insert(now);
        row.hint_since.get_or_insert(now);
        row.quiet = false;
        row.changed_at = now;
        if lane == Lane::Live {
            row.lane = Lane::Live;
        }
        row.fresh.lanes[lane as usize] += count;
        let announced = hints.iter().flat_map(|hint| hint.announced.iter().cloned());
        row.fresh.announced.extend(announced);
        row.fresh.plain += hints.iter().filter(|hint| hint.announced.is_empty()).count() as u64;
        let traces = hints.iter().filter_map(|hint| hint.trace.clone());
        row.fresh.traces.extend(traces);
        if hints.iter().any(|hint| hint.force) {
            row.fresh.forced += count;
        }
        self.woken.push(key.clone());
    }

    fn shown(key: &DueKey, row: &Due) -> DueRow {
        let mut announced = row.taken.announced.clone();
        announced.extend(row.fresh.announced.iter().cloned());
        announced.drain(..announced.len().saturating_sub(ANNOUNCED_MAX));
        let mut traces = [row.taken.traces.clone(), row.fresh.traces.clone()].concat();
        traces.drain(..traces.len().saturating_sub(TRACES_MAX));
        let lanes = [0, 1].map(|lane: usize| row.taken.lanes[lane] + row.fresh.lanes[lane] > 0);
        DueRow {
            key: key.clone(),
            generation: row.generation,
            since: row.since.unwrap_or(row.next_attempt),
            next_attempt: row.next_attempt,
            attempts: row.attempts,
            lane: match lanes {
                [true, _] => Lane::Live,
                [false, true] => Lane::Sweep,
                [false, false] => Lane::Backfill,
            },
            announced,
            traces,
            plain_hints: row.taken.plain + row.fresh.plain,
            force: row.taken.forced + row.fresh.forced > 0,
            reason: row.reason,
            detail: row.detail.clone(),
            quiet: row.quiet,
            owner: row.owner.clone(),
            lease_until: row.lease_until,
        }
    }

    /// Lists ready rows; those that changed after `seen_until` are missing, as from an index that lags.
    pub fn ready(&self, now: Timestamp, limit: usize, seen_until: Timestamp) -> Vec<DueRow> {
        let mut ready = Vec::new();
        for lane in LANES {
            let mut of_lane: Vec<_> = self
                .due
                .iter()
                .filter(|(_, row)| row.lane == lane && row.next_attempt <= now)
                .filter(|(_, row)| row.lease_until.is_none_or(|until| until <= now))
                .filter(|(_, row)| row.changed_at <= seen_until)
                .map(|(key, row)| Self::shown(key, row))
                .collect();
            of_lane.sort_by_key(|row| row.next_attempt);
            of_lane.truncate(limit.saturating_sub(ready.len()));
            ready.append(&mut of_lane);
        }
        ready.sort_by_key(|row| row.next_attempt);
        ready
    }

    /// Lists all due rows.
    pub fn all_due(&self) -> Vec<DueRow> {
        self.due.iter().map(|(key, row)| Self::shown(key, row)).collect()
    }

    /// See [`Store::due_row`](tandem_engine::ports::Store::due_row).
    pub fn due_row(&self, key: &DueKey) -> Option<DueRow> {
        self.due.get(key).map(|row| Self::shown(key, row))
    }

    /// See [`Store::take`](tandem_engine::ports::Store::take).
    pub fn take(&mut self, key: &DueKey, owner: &str, now: Timestamp, lease: Duration) -> Option<DueRow> {
        let row = self.due.get_mut(key)?;
        if row.lease_until.is_some_and(|until| until > now) {
            return None;
        }
        row.owner = Some(owner.to_owned());
        row.lease_until = Some(now + lease);
        row.hint_at = None;
        row.hint_since = None;
        row.changed_at = now;
        let fresh = std::mem::take(&mut row.fresh);
        row.taken.absorb(fresh);
        Some(Self::shown(key, row))
    }

    /// See [`Store::renew`](tandem_engine::ports::Store::renew).
    pub fn renew(&mut self, key: &DueKey, owner: &str, now: Timestamp, lease: Duration) -> bool {
        match self.due.get_mut(key) {
            Some(row) if row.owner.as_deref() == Some(owner) => {
                row.lease_until = Some(now + lease);
                true
            }
            _ => false,
        }
    }

    /// See [`Store::finish`](tandem_engine::ports::Store::finish).
    pub fn finish(&mut self, taken: &DueRow, owner: &str, finish: &Finish, now: Timestamp) {
        let Some(row) = self.due.get_mut(&taken.key) else {
            return;
        };
        if row.owner.as_deref() != Some(owner) {
            return;
        }
        row.changed_at = now;
        match finish {
            Finish::Done => {
                let Some(hint_at) = row.hint_at else {
                    self.due.remove(&taken.key);
                    return;
                };
                row.next_attempt = hint_at;
                row.since = row.hint_since;
                row.attempts = 0;
                row.reason = None;
                row.detail = None;
                row.quiet = false;
                row.taken = Brought::default();
            }
            Finish::Again {
                at,
                attempts,
                reason,
                detail,
                quiet,
                announced,
            } => {
                if *quiet {
                    row.taken.plain = 0;
                    row.taken.forced = 0;
                    row.taken.traces.clear();
                }
                row.next_attempt = row.hint_at.map_or(*at, |hint_at| hint_at.min(*at));
                if row.hint_at.is_some() {
                    row.hint_at = Some(row.next_attempt);
                }
                (row.since, row.quiet) = match (*quiet, row.hint_at) {
                    (true, None) => (None, true),
                    (true, Some(_)) => (row.hint_since, false),
                    (false, _) => (row.since.or(Some(taken.since.min(now))), false),
                };
                row.attempts = *attempts;
                row.reason = *reason;
                row.detail = detail.clone();
                row.taken.announced = announced[announced.len().saturating_sub(ANNOUNCED_MAX)..].to_vec();
            }
        }
        row.owner = None;
        row.lease_until = None;
        if row.hint_at.is_some() {
            // As the stream shows a row that is given back with a newer hint.
            self.woken.push(taken.key.clone());
        }
    }

    // --- pairs ---

    /// Returns all pairs of a link.
    pub fn pairs(&self, link: &LinkKey) -> Vec<Pair> {
        self.pairs
            .get(link)
            .map(|pairs| pairs.values().cloned().collect())
            .unwrap_or_default()
    }

    /// Returns all pairs.
    pub fn all_pairs(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.values().flat_map(BTreeMap::values)
    }

    /// See [`Store::pair`](tandem_engine::ports::Store::pair).
    pub fn pair(&self, link: &LinkKey, id: &PairId) -> Option<Pair> {
        self.pairs.get(link)?.get(id).cloned()
    }

    /// See [`Store::commit`](tandem_engine::ports::Store::commit).
    pub fn commit(&mut self, ops: &[Op]) -> Result<Committed, StoreError> {
        let rows: usize = ops
            .iter()
            .map(|op| 1 + usize::from(matches!(op, Op::PutJiraId { .. })))
            .sum();
        if rows > WRITES_MAX {
            return Err(StoreError::Corrupt(format!("a commit of {rows} rows")));
        }
        for op in ops {
            if let Op::PutPair(pair) = op
                && pair.rev == 0
            {
                return Err(StoreError::Corrupt("a pair would be written with rev 0".into()));
            }
        }
        if !ops.iter().all(|op| self.holds(op)) {
            return Ok(Committed::Lost);
        }
        for op in ops {
            self.apply(op);
        }
        Ok(Committed::Yes)
    }

    /// The first of some operations whose condition does not hold.
    pub fn refuses<'o>(&self, ops: &'o [Op]) -> Option<&'o Op> {
        ops.iter().find(|op| !self.holds(op))
    }

    fn holds(&self, op: &Op) -> bool {
        match op {
            Op::Fence { key, owner } => self
                .due
                .get(key)
                .is_some_and(|row| row.owner.as_ref() == Some(owner)),
            Op::Hold {
                site,
                issue,
                link,
                now,
                ..
            } => self.holds.get(&(site.clone(), *issue)).is_none_or(|hold| {
                hold.link == *link || hold.until.max(hold.busy_until.unwrap_or(hold.until)) <= *now
            }),
            Op::Held {
                site, issue, link, ..
            } => self
                .holds
                .get(&(site.clone(), *issue))
                .is_some_and(|hold| hold.link == *link),
            Op::PutPair(pair) => {
                let rev = self
                    .pairs
                    .get(&pair.link)
                    .and_then(|pairs| pairs.get(&pair.id))
                    .map(|pair| pair.rev);
                match pair.rev {
                    1 => rev.is_none(),
                    wanted => rev == Some(wanted.wrapping_sub(1)),
                }
            }
            Op::DropPair { link, id, rev } => self
                .pairs
                .get(link)
                .and_then(|pairs| pairs.get(id))
                .is_some_and(|pair| pair.rev == *rev),
            Op::PutWhere(new) => self
                .whereabouts
                .get(&place_of(new))
                .is_none_or(|row| row.rival || (!new.rival && row.pair == new.pair)),
            Op::TakeWhere { whereabouts, from } => self
                .whereabouts
                .get(&place_of(whereabouts))
                .is_some_and(|row| !row.rival && row.pair == *from),
            Op::PutClaim {
                root,
                site,
                claim,
                instead_of,
            } => self
                .claims
                .get(&(root.clone(), site.clone()))
                .is_none_or(|row| row.connection == claim.connection || instead_of.as_ref() == Some(row)),
            Op::DropClaim {
                root,
                site,
                connection,
            } => self
                .claims
                .get(&(root.clone(), site.clone()))
                .is_some_and(|row| row.connection == *connection),
            Op::PutOrigin { .. }
            | Op::PutEvidence(_)
            | Op::PutEcho(_)
            | Op::PutHistory(_)
            | Op::PutLearn { .. }
            | Op::PutJiraId { .. } => true,
        }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Fence { .. } => {}
            Op::Hold {
                site,
                issue,
                link,
                until,
                ..
            } => {
                let hold = self.holds.entry((site.clone(), *issue)).or_insert_with(|| Hold {
                    link: link.clone(),
                    until: *until,
                    busy_until: None,
                });
                hold.link = link.clone();
                hold.until = *until;
            }
            Op::Held {
                site,
                issue,
                busy_until,
                ..
            } => {
                if let Some(hold) = self.holds.get_mut(&(site.clone(), *issue)) {
                    hold.busy_until = *busy_until;
                }
            }
            Op::PutPair(pair) => {
                let pairs = self.pairs.entry(pair.link.clone()).or_default();
                pairs.insert(pair.id.clone(), Pair::clone(pair));
            }
            Op::DropPair { link, id, .. } => {
                if let Some(pairs) = self.pairs.get_mut(link) {
                    pairs.remove(id);
                }
            }
            Op::PutWhere(row) | Op::TakeWhere { whereabouts: row, .. } => {
                self.whereabouts.insert(place_of(row), row.clone());
            }
            Op::PutOrigin {
                site,
                worklog,
                origin,
            } => {
                self.origins.insert((site.clone(), *worklog), origin.clone());
            }
            Op::PutClaim {
                root, site, claim, ..
            } => {
                self.claims.insert((root.clone(), site.clone()), claim.clone());
            }
            Op::DropClaim { root, site, .. } => {
                self.claims.remove(&(root.clone(), site.clone()));
            }
            Op::PutEvidence(row) => {
                self.evidence
                    .insert((row.site.clone(), row.id.clone()), row.clone());
            }
            Op::PutEcho(row) => {
                self.echoes
                    .insert((row.site.clone(), row.mark.clone()), row.clone());
            }
            Op::PutHistory(row) => {
                let key = (row.connection.clone(), row.id.clone());
                self.history.insert(key, HistoryRow::clone(row));
            }
            Op::PutLearn {
                site,
                worklog,
                at,
                anew,
            } => {
                let row = self.tempo.entry((site.clone(), *worklog)).or_default();
                row.asked_at = Some(*at);
                row.jira.take_if(|_| *anew);
            }
            Op::PutJiraId { site, jira, worklog } => {
                self.jira.insert((site.clone(), *jira), *worklog);
                let known = TempoId {
                    jira: Some(*jira),
                    asked_at: None,
                };
                self.tempo.insert((site.clone(), *worklog), known);
            }
        }
    }

    /// See [`Store::whereabouts`](tandem_engine::ports::Store::whereabouts).
    pub fn whereabouts(
        &self,
        connection: &ConnectionName,
        site: &SiteName,
        worklogs: &[WorklogId],
    ) -> Vec<Whereabouts> {
        let asked: BTreeSet<_> = worklogs.iter().copied().collect();
        asked
            .into_iter()
            .filter_map(|id| {
                self.whereabouts
                    .get(&(connection.clone(), site.clone(), id))
                    .cloned()
            })
            .collect()
    }

    /// See [`Store::origins`](tandem_engine::ports::Store::origins).
    pub fn origins(&self, worklogs: &[(SiteName, WorklogId)]) -> Vec<((SiteName, WorklogId), Origin)> {
        let asked: BTreeSet<_> = worklogs.iter().cloned().collect();
        asked
            .into_iter()
            .filter_map(|key| Some((key.clone(), self.origins.get(&key)?.clone())))
            .collect()
    }

    /// See [`Store::claims`](tandem_engine::ports::Store::claims).
    pub fn claims(&self, site: &SiteName, roots: &[Root]) -> Vec<(Root, Claim)> {
        let asked: BTreeSet<_> = roots.iter().cloned().collect();
        asked
            .into_iter()
            .filter_map(|root| Some((root.clone(), self.claims.get(&(root, site.clone()))?.clone())))
            .collect()
    }

    /// See [`Store::evidence`](tandem_engine::ports::Store::evidence).
    pub fn evidence(&self, site: &SiteName, ids: &[EvidenceId]) -> Vec<Evidence> {
        let asked: BTreeSet<_> = ids.iter().cloned().collect();
        asked
            .into_iter()
            .filter_map(|id| self.evidence.get(&(site.clone(), id)).cloned())
            .collect()
    }

    /// See [`Store::jira_ids`](tandem_engine::ports::Store::jira_ids).
    pub fn jira_ids(&self, site: &SiteName, worklogs: &[WorklogId]) -> Vec<(WorklogId, JiraWorklogId)> {
        let asked: BTreeSet<_> = worklogs.iter().copied().collect();
        asked
            .into_iter()
            .filter_map(|id| Some((id, self.tempo.get(&(site.clone(), id))?.jira?)))
            .collect()
    }

    /// See [`Store::tempo_ids`](tandem_engine::ports::Store::tempo_ids).
    pub fn tempo_ids(&self, site: &SiteName, jira: &[JiraWorklogId]) -> Vec<(JiraWorklogId, WorklogId)> {
        let asked: BTreeSet<_> = jira.iter().copied().collect();
        asked
            .into_iter()
            .filter_map(|id| Some((id, *self.jira.get(&(site.clone(), id))?)))
            .collect()
    }

    /// See [`Store::to_learn`](tandem_engine::ports::Store::to_learn).
    pub fn to_learn(&self, site: &SiteName, limit: usize) -> Vec<(WorklogId, Timestamp)> {
        let mut asked: Vec<_> = self
            .tempo
            .iter()
            .filter(|((of, _), row)| of == site && row.jira.is_none())
            .filter_map(|((_, id), row)| Some((*id, row.asked_at?)))
            .collect();
        asked.sort_by_key(|(id, at)| (*at, *id));
        asked.truncate(limit);
        asked
    }

    /// See [`Store::drop_learn`](tandem_engine::ports::Store::drop_learn).
    pub fn drop_learn(&mut self, site: &SiteName, worklogs: &[WorklogId]) {
        for id in worklogs {
            let key = (site.clone(), *id);
            if self.tempo.get(&key).is_some_and(|row| row.jira.is_none()) {
                self.tempo.remove(&key);
            }
        }
    }

    /// See [`Store::waiting`](tandem_engine::ports::Store::waiting).
    pub fn waiting(&self, connection: &ConnectionName) -> Vec<Pair> {
        let mut waiting: Vec<Pair> = self
            .all_pairs()
            .filter(|pair| pair.link.connection == *connection && pair.wait.is_some())
            .cloned()
            .collect();
        waiting.sort_by_key(|pair| {
            let since = pair.wait.as_ref().map(|wait| wait.since);
            (since, pair.link.to_string(), pair.id.clone())
        });
        waiting
    }

    // --- brake ---

    /// See [`Store::brake`](tandem_engine::ports::Store::brake).
    pub fn brake(
        &mut self,
        connection: &ConnectionName,
        deletes: &[(SiteName, WorklogId)],
        since: Timestamp,
        now: Timestamp,
        enough: usize,
    ) -> usize {
        let round = self.rounds.get(connection).copied().unwrap_or_default();
        let registered = self.brake.entry((connection.clone(), round)).or_default();
        for delete in deletes {
            registered.entry(delete.clone()).or_insert(now);
        }
        let (count, _) = self.brake_ahead(connection, deletes, since, enough);
        if count >= enough && !deletes.is_empty() {
            let full_at = self.full_at.entry((connection.clone(), round)).or_insert(now);
            *full_at = now.max(*full_at);
        }
        count
    }

    /// See [`Store::brake_ahead`](tandem_engine::ports::Store::brake_ahead).
    pub fn brake_ahead(
        &self,
        connection: &ConnectionName,
        deletes: &[(SiteName, WorklogId)],
        since: Timestamp,
        enough: usize,
    ) -> (usize, Vec<(SiteName, WorklogId)>) {
        let round = self.rounds.get(connection).copied().unwrap_or_default();
        let key = (connection.clone(), round);
        let none = BTreeMap::new();
        let registered = self.brake.get(&key).unwrap_or(&none);
        let known = |delete: &&(SiteName, WorklogId)| registered.contains_key(*delete);
        let full_at = self.full_at.get(&key);
        let is_held = |delete: &(SiteName, WorklogId)| full_at.is_some() && registered.get(delete) <= full_at;
        let new = deletes.iter().filter(|delete| !known(delete)).cloned().collect();
        if deletes.iter().filter(known).any(is_held) {
            return (enough, new);
        }
        (registered.values().filter(|at| **at >= since).count(), new)
    }

    /// See [`Store::release_brake`](tandem_engine::ports::Store::release_brake).
    pub fn release_brake(&mut self, connection: &ConnectionName) {
        *self.rounds.entry(connection.clone()).or_default() += 1;
    }

    // --- history ---

    /// See [`Store::history`](tandem_engine::ports::Store::history).
    pub fn history(
        &self,
        connections: &[ConnectionName],
        link: Option<&LinkKey>,
        limit: usize,
    ) -> Vec<HistoryRow> {
        let mut lines: Vec<HistoryRow> = self
            .history
            .values()
            .filter(|line| match link {
                Some(link) => line.link.as_ref() == Some(link),
                None => connections.contains(&line.connection),
            })
            .cloned()
            .collect();
        lines.sort_by(|left, right| (left.time, &left.id).cmp(&(right.time, &right.id)));
        lines.drain(..lines.len().saturating_sub(limit));
        lines
    }

    /// See [`Store::history_line`](tandem_engine::ports::Store::history_line).
    pub fn history_line(&self, connection: &ConnectionName, id: &str) -> Option<HistoryRow> {
        let mut lines = self.history.values();
        lines
            .find(|line| line.connection == *connection && line.id == id)
            .cloned()
    }

    // --- sites ---

    /// See [`Store::reserve`](tandem_engine::ports::Store::reserve).
    pub fn reserve(
        &mut self,
        site: &SiteName,
        now: Timestamp,
        interval: Duration,
        patience: Duration,
    ) -> Slot {
        match self.buckets.get_mut(site) {
            Some(free_at) if *free_at >= now => {
                if *free_at > now + patience {
                    return Slot::NotBefore(*free_at - patience);
                }
                let at = *free_at;
                *free_at = at + interval;
                Slot::At(at)
            }
            _ => {
                self.buckets.insert(site.clone(), now + interval);
                Slot::At(now)
            }
        }
    }

    /// See [`Store::free_at`](tandem_engine::ports::Store::free_at).
    pub fn free_at(&self, site: &SiteName) -> Option<Timestamp> {
        self.buckets.get(site).copied()
    }

    /// See [`Store::hold`](tandem_engine::ports::Store::hold).
    pub fn hold(&mut self, site: &SiteName, until: Timestamp) {
        let free_at = self.buckets.entry(site.clone()).or_insert(until);
        *free_at = until.max(*free_at);
    }

    /// See [`Store::site`](tandem_engine::ports::Store::site).
    pub fn site(&self, site: &SiteName) -> SiteState {
        self.sites.get(site).cloned().unwrap_or_default()
    }

    /// See [`Store::put_site`](tandem_engine::ports::Store::put_site).
    pub fn put_site(&mut self, site: &SiteName, state: &SiteState) -> Committed {
        let known = self.sites.get(site).map_or(0, |known| known.rev);
        if known != state.rev {
            return Committed::Lost;
        }
        let next = SiteState {
            rev: known + 1,
            ..state.clone()
        };
        self.sites.insert(site.clone(), next);
        Committed::Yes
    }

    /// See [`Store::people`](tandem_engine::ports::Store::people).
    pub fn people(
        &self,
        from: &SiteName,
        to: &SiteName,
        accounts: &[AccountId],
        now: Timestamp,
    ) -> Vec<PersonRow> {
        let asked: BTreeSet<_> = accounts.iter().cloned().collect();
        asked
            .into_iter()
            .filter_map(|account| self.people.get(&(from.clone(), to.clone(), account)).cloned())
            .filter(|person| person.expires > now)
            .collect()
    }

    /// See [`Store::put_person`](tandem_engine::ports::Store::put_person).
    pub fn put_person(&mut self, from: &SiteName, to: &SiteName, person: &PersonRow) {
        let key = (from.clone(), to.clone(), person.account.clone());
        self.people.insert(key, person.clone());
    }

    /// See [`Store::cursor`](tandem_engine::ports::Store::cursor).
    pub fn cursor(&self, name: &str) -> Option<Cursor> {
        self.cursors.get(name).map(|at| Cursor { at: *at })
    }

    /// See [`Store::put_cursor`](tandem_engine::ports::Store::put_cursor).
    pub fn put_cursor(&mut self, name: &str, cursor: &Cursor) {
        let at = self.cursors.entry(name.to_owned()).or_insert(cursor.at);
        *at = cursor.at.max(*at);
    }

    /// See [`Store::note`](tandem_engine::ports::Store::note).
    pub fn note(&self, name: &str) -> Option<String> {
        self.notes.get(name).cloned()
    }

    /// See [`Store::put_note`](tandem_engine::ports::Store::put_note).
    pub fn put_note(&mut self, name: &str, text: &str) {
        self.notes.insert(name.to_owned(), text.to_owned());
    }

    // --- configuration ---

    /// See [`Store::put_config`](tandem_engine::ports::Store::put_config).
    pub fn put_config(&mut self, text: &str, now: Timestamp) -> u64 {
        let number = self.configs.len() as u64 + 1;
        self.configs.push(ConfigVersion {
            number,
            text: text.to_owned(),
            at: now,
        });
        number
    }

    /// See [`Store::configs`](tandem_engine::ports::Store::configs).
    pub fn configs(&self, limit: usize) -> Vec<ConfigVersion> {
        self.configs.iter().rev().take(limit).cloned().collect()
    }
}

fn place_of(row: &Whereabouts) -> (ConnectionName, SiteName, WorklogId) {
    (row.connection.clone(), row.site.clone(), row.worklog)
}
