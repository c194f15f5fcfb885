//! The table as one process sees it: the shared rows, behind a network that misbehaves.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tandem_core::{
    AccountId, ConnectionName, Intent, IntentKind, IssueId, JiraWorklogId, LinkKey, Pair, PairId, Sides,
    SiteName, WorklogId,
};
use tandem_engine::ports::store::{
    Claim, Committed, ConfigVersion, Cursor, DueKey, DueRow, Evidence, EvidenceId, Finish, Hint, HistoryRow,
    IssueRow, LinkRow, Linked, Lookup, LookupQuery, Op, Origin, PersonRow, Root, SiteState, Slot,
    Whereabouts,
};
use tandem_engine::ports::{Store, StoreError};

use crate::faults::Rule;
use crate::process::Process;
use crate::table::Rows;

/// How long a throttled call takes: the client's own repetitions.
const THROTTLED: Duration = Duration::from_secs(3);

/// The rule that a row with a secret breaks; also one that is written over later.
pub const ROW: &str = "a secret in a row";

/// The table in the hands of a process.
pub struct Table(pub Arc<Process>);

/// Whether a call changes rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Transaction,
}

impl Table {
    async fn call<T>(
        &self,
        name: &str,
        kind: Kind,
        act: impl FnOnce(&mut Rows) -> T,
    ) -> Result<T, StoreError> {
        let world = self.0.world();
        let (before, after, refused, lost) = world.draw(|chance, weather| {
            let before = chance.span(Duration::from_millis(8));
            let after = chance.span(Duration::from_millis(8));
            let refused =
                chance.yes(weather.throttled) || (kind == Kind::Transaction && chance.yes(weather.cancelled));
            let lost = kind != Kind::Read && chance.yes(weather.table_answer_lost);
            (before, after, refused, lost)
        });
        self.0.point(before).await;
        if refused {
            world.log(|| format!("{} {name} refused", self.0.name));
            self.0.point(THROTTLED).await;
            return Err(StoreError::Unavailable("throttled".into()));
        }
        let done = {
            let mut rows = world.rows();
            act(&mut rows)
        };
        world.log(|| {
            format!(
                "{} {name}{}",
                self.0.name,
                if lost { " (answer lost)" } else { "" }
            )
        });
        world.stirred();
        if lost {
            self.0.point(THROTTLED).await;
            return Err(StoreError::Unavailable("the answer was lost".into()));
        }
        self.0.point(after).await;
        Ok(done)
    }

    /// Leaves a rule out, where one is to be seen missing.
    fn break_rules(&self, ops: &mut Vec<Op>) {
        let world = self.0.world();
        if world.breaks(Rule::Lease) {
            ops.retain(|op| !matches!(op, Op::Fence { .. } | Op::Held { .. }));
        }
        if world.breaks(Rule::Echo) {
            ops.retain(|op| !matches!(op, Op::PutEcho(_)));
        }
        for op in ops {
            let Op::PutPair(pair) = op else { continue };
            let creates = |intent: &mut Intent| intent.kind == IntentKind::Create;
            if world.breaks(Rule::IntentBeforeCreate) {
                pair.intent.take_if(creates);
            }
            if world.breaks(Rule::BothSideBase)
                && let Some(base) = &mut pair.base
            {
                base.b = base.a.clone();
            }
        }
    }

    /// Until when the index shows changes.
    fn indexed(&self) -> Timestamp {
        let world = self.0.world();
        let lag = world.draw(|chance, weather| match chance.yes(weather.index_lag) {
            true => chance.between(1, 4_000) as i64,
            false => -3_600_000,
        });
        world.now() - SignedDuration::from_millis(lag)
    }
}

#[async_trait]
impl Store for Table {
    async fn issues(&self, issues: &[(SiteName, IssueId)]) -> Result<Vec<IssueRow>, StoreError> {
        self.call("issues", Kind::Read, |rows| rows.issues(issues)).await
    }

    async fn put_unlinked(
        &self,
        site: &SiteName,
        issue: IssueId,
        key: Option<&str>,
        connection: &ConnectionName,
        look_again: Timestamp,
    ) -> Result<(), StoreError> {
        self.call("put_unlinked", Kind::Write, |rows| {
            rows.put_unlinked(site, issue, key, connection, look_again);
        })
        .await
    }

    async fn put_link(&self, link: &LinkRow, sites: &Sides<SiteName>) -> Result<Linked, StoreError> {
        self.0.world().suspect(ROW, &format!("{link:?}"));
        self.call("put_link", Kind::Transaction, |rows| rows.put_link(link, sites))
            .await
    }

    async fn note_link(&self, link: &LinkRow) -> Result<(), StoreError> {
        self.0.world().suspect(ROW, &format!("{link:?}"));
        self.call("note_link", Kind::Write, |rows| rows.note_link(link))
            .await
    }

    async fn drop_link(&self, key: &LinkKey, sites: &Sides<SiteName>) -> Result<bool, StoreError> {
        self.call("drop_link", Kind::Transaction, |rows| rows.drop_link(key, sites))
            .await
    }

    async fn link(&self, key: &LinkKey) -> Result<Option<LinkRow>, StoreError> {
        self.call("link", Kind::Read, |rows| rows.link(key)).await
    }

    async fn links(
        &self,
        connection: &ConnectionName,
        _: Option<String>,
    ) -> Result<(Vec<LinkRow>, Option<String>), StoreError> {
        self.call("links", Kind::Read, |rows| (rows.links(connection), None))
            .await
    }

    async fn first_run(&self, connection: &ConnectionName, now: Timestamp) -> Result<Timestamp, StoreError> {
        self.call("first_run", Kind::Write, |rows| rows.first_run(connection, now))
            .await
    }

    async fn ran_first(&self, connection: &ConnectionName) -> Result<Option<Timestamp>, StoreError> {
        self.call("ran_first", Kind::Read, |rows| rows.ran_first(connection))
            .await
    }

    async fn lookup(&self, query: &LookupQuery<'_>) -> Result<Lookup, StoreError> {
        self.call("lookup", Kind::Read, |rows| rows.lookup(query)).await
    }

    async fn hint(&self, hints: &[Hint], extra: &[Op], now: Timestamp) -> Result<(), StoreError> {
        self.0.world().suspect(ROW, &format!("{hints:?} {extra:?}"));
        self.call("hint", Kind::Transaction, |rows| rows.hint(hints, extra, now))
            .await
    }

    async fn ready(&self, now: Timestamp, limit: usize) -> Result<Vec<DueRow>, StoreError> {
        let seen_until = self.indexed();
        self.call("ready", Kind::Read, |rows| rows.ready(now, limit, seen_until))
            .await
    }

    async fn due(&self, _: Option<String>) -> Result<(Vec<DueRow>, Option<String>), StoreError> {
        self.call("due", Kind::Read, |rows| (rows.all_due(), None)).await
    }

    async fn due_row(&self, key: &DueKey) -> Result<Option<DueRow>, StoreError> {
        self.call("due_row", Kind::Read, |rows| rows.due_row(key)).await
    }

    async fn take(
        &self,
        key: &DueKey,
        owner: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<DueRow>, StoreError> {
        let lease = match self.0.world().breaks(Rule::Lease) {
            true => Duration::ZERO,
            false => lease,
        };
        self.call("take", Kind::Write, |rows| rows.take(key, owner, now, lease))
            .await
    }

    async fn renew(
        &self,
        key: &DueKey,
        owner: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        self.call("renew", Kind::Write, |rows| rows.renew(key, owner, now, lease))
            .await
    }

    async fn finish(
        &self,
        taken: &DueRow,
        owner: &str,
        finish: &Finish,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.0.world().suspect(ROW, &format!("{finish:?}"));
        self.call("finish", Kind::Write, |rows| {
            rows.finish(taken, owner, finish, now)
        })
        .await
    }

    async fn pairs(&self, link: &LinkKey) -> Result<Vec<Pair>, StoreError> {
        self.call("pairs", Kind::Read, |rows| rows.pairs(link)).await
    }

    async fn pair(&self, link: &LinkKey, id: &PairId) -> Result<Option<Pair>, StoreError> {
        self.call("pair", Kind::Read, |rows| rows.pair(link, id)).await
    }

    async fn commit(&self, mut ops: Vec<Op>) -> Result<Committed, StoreError> {
        self.break_rules(&mut ops);
        let world = Arc::clone(self.0.world());
        world.suspect(ROW, &format!("{ops:?}"));
        let done = self.call("commit", Kind::Transaction, |rows| {
            if let Some(op) = rows.refuses(&ops) {
                world.log(|| format!("refused: {op:?}"));
            }
            let committed = rows.commit(&ops);
            if matches!(committed, Ok(Committed::Yes)) {
                // A pair without an intent: whatever was written to its worklogs is recorded.
                let settled = ops.iter().filter_map(|op| match op {
                    Op::PutPair(pair) if pair.intent.is_none() => Some([pair.ids.a, pair.ids.b]),
                    _ => None,
                });
                let mut observer = world.observer();
                for id in settled.flatten().flatten() {
                    observer.records(id.0, &self.0.name);
                }
            }
            committed
        });
        let done = done.await;
        if !matches!(done, Ok(Ok(Committed::Yes))) {
            // What it had heard before, it has not recorded.
            self.0.world().observer().forgets(&self.0.name);
        }
        done?
    }

    async fn whereabouts(
        &self,
        connection: &ConnectionName,
        site: &SiteName,
        worklogs: &[WorklogId],
    ) -> Result<Vec<Whereabouts>, StoreError> {
        self.call("whereabouts", Kind::Read, |rows| {
            rows.whereabouts(connection, site, worklogs)
        })
        .await
    }

    async fn origins(
        &self,
        worklogs: &[(SiteName, WorklogId)],
    ) -> Result<Vec<((SiteName, WorklogId), Origin)>, StoreError> {
        self.call("origins", Kind::Read, |rows| rows.origins(worklogs))
            .await
    }

    async fn claims(&self, site: &SiteName, roots: &[Root]) -> Result<Vec<(Root, Claim)>, StoreError> {
        self.call("claims", Kind::Read, |rows| rows.claims(site, roots))
            .await
    }

    async fn evidence(&self, site: &SiteName, ids: &[EvidenceId]) -> Result<Vec<Evidence>, StoreError> {
        let at = self.0.world().now();
        let absence_proves = self.0.world().breaks(Rule::ProofOfDelete);
        self.call("evidence", Kind::Read, |rows| {
            if !absence_proves {
                return rows.evidence(site, ids);
            }
            let made_up = |id: &EvidenceId| Evidence {
                site: site.clone(),
                id: id.clone(),
                source: "absence".into(),
                at,
            };
            ids.iter().map(made_up).collect()
        })
        .await
    }

    async fn jira_ids(
        &self,
        site: &SiteName,
        worklogs: &[WorklogId],
    ) -> Result<Vec<(WorklogId, JiraWorklogId)>, StoreError> {
        self.call("jira_ids", Kind::Read, |rows| rows.jira_ids(site, worklogs))
            .await
    }

    async fn tempo_ids(
        &self,
        site: &SiteName,
        jira: &[JiraWorklogId],
    ) -> Result<Vec<(JiraWorklogId, WorklogId)>, StoreError> {
        self.call("tempo_ids", Kind::Read, |rows| rows.tempo_ids(site, jira))
            .await
    }

    async fn to_learn(
        &self,
        site: &SiteName,
        limit: usize,
    ) -> Result<Vec<(WorklogId, Timestamp)>, StoreError> {
        self.call("to_learn", Kind::Read, |rows| rows.to_learn(site, limit))
            .await
    }

    async fn drop_learn(&self, site: &SiteName, worklogs: &[WorklogId]) -> Result<(), StoreError> {
        self.call("drop_learn", Kind::Write, |rows| rows.drop_learn(site, worklogs))
            .await
    }

    async fn waiting(
        &self,
        connection: &ConnectionName,
        _: Option<String>,
    ) -> Result<(Vec<Pair>, Option<String>), StoreError> {
        self.call("waiting", Kind::Read, |rows| (rows.waiting(connection), None))
            .await
    }

    async fn brake(
        &self,
        connection: &ConnectionName,
        deletes: &[(SiteName, WorklogId)],
        since: Timestamp,
        now: Timestamp,
        enough: usize,
    ) -> Result<usize, StoreError> {
        self.call("brake", Kind::Write, |rows| {
            rows.brake(connection, deletes, since, now, enough)
        })
        .await
    }

    async fn brake_ahead(
        &self,
        connection: &ConnectionName,
        deletes: &[(SiteName, WorklogId)],
        since: Timestamp,
        enough: usize,
    ) -> Result<(usize, Vec<(SiteName, WorklogId)>), StoreError> {
        self.call("brake_ahead", Kind::Read, |rows| {
            rows.brake_ahead(connection, deletes, since, enough)
        })
        .await
    }

    async fn release_brake(&self, connection: &ConnectionName, _: Timestamp) -> Result<(), StoreError> {
        self.call("release_brake", Kind::Write, |rows| {
            rows.release_brake(connection)
        })
        .await
    }

    async fn history(
        &self,
        connections: &[ConnectionName],
        link: Option<&LinkKey>,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        self.call("history", Kind::Read, |rows| {
            rows.history(connections, link, limit)
        })
        .await
    }

    async fn history_line(
        &self,
        connection: &ConnectionName,
        id: &str,
    ) -> Result<Option<HistoryRow>, StoreError> {
        self.call("history_line", Kind::Read, |rows| {
            rows.history_line(connection, id)
        })
        .await
    }

    async fn reserve(
        &self,
        site: &SiteName,
        now: Timestamp,
        interval: Duration,
        patience: Duration,
    ) -> Result<Slot, StoreError> {
        self.call("reserve", Kind::Write, |rows| {
            rows.reserve(site, now, interval, patience)
        })
        .await
    }

    async fn free_at(&self, site: &SiteName) -> Result<Option<Timestamp>, StoreError> {
        self.call("free_at", Kind::Read, |rows| rows.free_at(site)).await
    }

    async fn hold(&self, site: &SiteName, until: Timestamp) -> Result<(), StoreError> {
        self.call("hold", Kind::Write, |rows| rows.hold(site, until))
            .await
    }

    async fn site(&self, site: &SiteName) -> Result<SiteState, StoreError> {
        self.call("site", Kind::Read, |rows| rows.site(site)).await
    }

    async fn put_site(&self, site: &SiteName, state: &SiteState) -> Result<Committed, StoreError> {
        self.0.world().suspect(ROW, &format!("{state:?}"));
        self.call("put_site", Kind::Write, |rows| rows.put_site(site, state))
            .await
    }

    async fn people(
        &self,
        from: &SiteName,
        to: &SiteName,
        accounts: &[AccountId],
        now: Timestamp,
    ) -> Result<Vec<PersonRow>, StoreError> {
        self.call("people", Kind::Read, |rows| rows.people(from, to, accounts, now))
            .await
    }

    async fn put_person(&self, from: &SiteName, to: &SiteName, person: &PersonRow) -> Result<(), StoreError> {
        self.0.world().suspect(ROW, &format!("{person:?}"));
        self.call("put_person", Kind::Write, |rows| {
            rows.put_person(from, to, person)
        })
        .await
    }

    async fn cursor(&self, name: &str) -> Result<Option<Cursor>, StoreError> {
        self.call("cursor", Kind::Read, |rows| rows.cursor(name)).await
    }

    async fn put_cursor(&self, name: &str, cursor: &Cursor) -> Result<(), StoreError> {
        self.0.world().suspect(ROW, &format!("{cursor:?}"));
        self.call("put_cursor", Kind::Write, |rows| rows.put_cursor(name, cursor))
            .await
    }

    async fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.call("note", Kind::Read, |rows| rows.note(name)).await
    }

    async fn put_note(&self, name: &str, text: &str) -> Result<(), StoreError> {
        self.0.world().suspect(ROW, text);
        self.call("put_note", Kind::Write, |rows| rows.put_note(name, text))
            .await
    }

    async fn config(&self) -> Result<Option<ConfigVersion>, StoreError> {
        self.call("config", Kind::Read, |rows| rows.configs(1).pop())
            .await
    }

    async fn put_config(&self, text: &str, now: Timestamp) -> Result<u64, StoreError> {
        self.call("put_config", Kind::Write, |rows| rows.put_config(text, now))
            .await
    }

    async fn configs(&self, limit: usize) -> Result<Vec<ConfigVersion>, StoreError> {
        self.call("configs", Kind::Read, |rows| rows.configs(limit)).await
    }
}
