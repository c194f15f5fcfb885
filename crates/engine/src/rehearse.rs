//! Carrying out a plan in the head: what a run would do, with every write taken as done.

use std::collections::BTreeSet;

use tandem_core::observed::{Observed, Proof, Settings};
use tandem_core::plan::{Action, Plan, Recorded, Step, plan, take_over};
use tandem_core::{Content, IssueId, LinkKey, Pair, Side, Worklog, WorklogId, check, copies};

use crate::error::EngineError;
use crate::execute::{RECORDS_PER_COMMIT, replace};
use crate::observe::Sight;
use crate::options::{Connection, Engine};
use crate::ports::store::{DueKey, DueRow, Lane};

/// Plans that are looked ahead: with a thousand steps each, more than an issue's listing may have worklogs.
const ROUNDS_MAX: usize = 1000;

/// Ids from here on stand for worklogs that are not there yet.
const MADE_UP: u64 = 1 << 62;

impl Engine {
    /// Observes a link as its next run would.
    ///
    /// # Errors
    /// As a run would fail.
    pub(crate) async fn look_ahead(
        &self,
        connection: &Connection,
        link: &LinkKey,
    ) -> Result<Observed, EngineError> {
        let now = self.clock.now();
        let row = DueRow {
            key: DueKey::Link(link.clone()),
            generation: 0,
            since: now,
            next_attempt: now,
            attempts: 0,
            lane: Lane::Sweep,
            announced: Vec::new(),
            plain_hints: 1,
            force: false,
            reason: None,
            detail: None,
            quiet: false,
            traces: Vec::new(),
            owner: None,
            lease_until: None,
        };
        match self.observe(connection, link, &row).await? {
            Sight::Clear(observed, _) => Ok(*observed),
            Sight::NotYet(_) => Err(EngineError::Lost),
        }
    }

    /// Tells of each step that a run would take, in the order in which it would, and keeps `observed` in step.
    ///
    /// That a site refuses something, or keeps a value of its own, is not foreseen.
    pub(crate) async fn rehearse(
        &self,
        connection: &Connection,
        observed: &mut Observed,
        step_taken: impl FnMut(&Step),
    ) -> Result<(), EngineError> {
        self.rehearse_all(plan, connection, observed, step_taken).await
    }

    /// The same for what is recorded before a backfill begins (see [`take_over`]).
    pub(crate) async fn rehearse_taking_over(
        &self,
        connection: &Connection,
        observed: &mut Observed,
        step_taken: impl FnMut(&Step),
    ) -> Result<(), EngineError> {
        self.rehearse_all(take_over, connection, observed, step_taken)
            .await
    }

    async fn rehearse_all(
        &self,
        planner: fn(&Observed, &Settings) -> Plan,
        connection: &Connection,
        observed: &mut Observed,
        mut step_taken: impl FnMut(&Step),
    ) -> Result<(), EngineError> {
        let settings = &connection.settings;
        // What an earlier rehearsal has made stays what it is.
        let newest = Side::BOTH
            .into_iter()
            .filter_map(|side| observed.listings[side].last_key_value());
        let newest = newest.map(|(id, _)| id.0 + 1).max().unwrap_or_default();
        let mut next_id = newest.max(MADE_UP);
        let mut asked: BTreeSet<(Side, WorklogId)> = BTreeSet::new();
        for _ in 0..ROUNDS_MAX {
            if has_unfetched(observed, &mut asked) {
                self.unhurried(async || self.fetch_strays(connection, observed, Lane::Sweep).await)
                    .await?;
            }
            copies::heal_in_backfill(observed, &settings.rules);
            let planned = planner(observed, settings);
            check::check(&planned, observed, settings)?;
            if planned.steps.is_empty() {
                return Ok(());
            }
            let (records, writes): (Vec<&Step>, Vec<&Step>) = planned
                .steps
                .iter()
                .partition(|step| matches!(step.action, Action::Record(_)));
            // In the same portions as a run, so that what comes of them stands in the same order.
            for batch in records.chunks(RECORDS_PER_COMMIT).chain(writes.chunks(1)) {
                let mut pairs = Vec::with_capacity(batch.len());
                for step in batch {
                    step_taken(step);
                    pairs.push(taken(step, observed, connection, &mut next_id));
                }
                replace(observed, pairs);
            }
        }
        Ok(())
    }
}

/// Says whether a twin that a move left behind is still to be fetched; each is asked for once.
fn has_unfetched(observed: &Observed, asked: &mut BTreeSet<(Side, WorklogId)>) -> bool {
    let mut found = false;
    for pair in &observed.pairs {
        for side in Side::BOTH {
            if let Some(id) = pair.strays[side].and(pair.ids[side])
                && observed.worklog(side, id).is_none()
            {
                found |= asked.insert((side, id));
            }
        }
    }
    found
}

/// Takes a step as done, and returns what it leaves of its pair.
fn taken(step: &Step, observed: &mut Observed, connection: &Connection, next_id: &mut u64) -> Pair {
    let rules = &connection.settings.rules;
    let now = observed.now;
    let known = observed.pairs.iter().find(|row| row.id == step.pair.id);
    let newer = known.filter(|row| row.rev > step.pair.rev);
    let begun = |until| step.begun(newer.unwrap_or(&step.pair), now, until, rules);
    let answered = |id: WorklogId, issue: IssueId, content: &Content| Worklog {
        id,
        issue,
        content: content.clone(),
        created_at: now,
        updated_at: now,
    };
    let (mut pair, answer) = match &step.action {
        Action::Record(recorded) => {
            let mut pair = step.pair.clone();
            if *recorded == Recorded::Move && known.is_some_and(|row| row.link != pair.link) {
                pair.rev = 0;
            }
            (pair, None)
        }
        Action::Create { side, body, .. } => {
            let row = begun(now);
            let answer = answered(WorklogId(*next_id), row.link.issue(*side), body);
            *next_id += 1;
            (
                step.done(&row, Some(&answer), now, now, rules),
                Some((*side, answer)),
            )
        }
        Action::Update {
            side, worklog, body, ..
        } => {
            let row = begun(now);
            let issue = row.strays[*side].unwrap_or_else(|| row.link.issue(*side));
            let answer = answered(*worklog, issue, body);
            (
                step.done(&row, Some(&answer), now, now, rules),
                Some((*side, answer)),
            )
        }
        Action::Delete { side, worklog, .. } => {
            let pair = step.done(&begun(now), None, now, now, rules);
            observed.listings[*side].remove(worklog);
            observed.strays[*side].remove(worklog);
            let proof = Proof {
                source: "own-delete".into(),
                at: now,
                moved_to: None,
            };
            observed.proofs[*side].insert(*worklog, proof);
            (pair, None)
        }
    };
    if let Some((side, answer)) = answer {
        let created = observed.worklog(side, answer.id).map(|old| old.created_at);
        let answer = Worklog {
            created_at: created.unwrap_or(now),
            ..answer
        };
        let place = match observed.strays[side].contains_key(&answer.id) {
            true => &mut observed.strays[side],
            false => &mut observed.listings[side],
        };
        place.insert(answer.id, answer);
    }
    pair.rev += 1;
    pair
}
