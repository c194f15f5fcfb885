//! Carrying out a plan.
//!
//! A write goes: slot, intent, call, record. A process that dies in between leaves an intent, and the next run
//! knows what to look for. A step that a site refuses parks its pair and holds up nobody else.

mod claims;
mod history;
mod records;
mod results;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::{SignedDuration, Timestamp};
use tandem_core::observed::Observed;
use tandem_core::plan::{Action, Plan, Step};
use tandem_core::{AccountId, IssueId, LinkKey, Pair, PairId, Reason, Side};

use crate::error::EngineError;
use crate::gate::signed;
use crate::hold::{HELD_MAX, SharedIssue};
use crate::options::{Connection, Engine, Site};
use crate::ports::StoreError;
use crate::ports::site::{IssueRef, SiteError};
use crate::ports::store::{Committed, DueRow, Lane, Op, Root};

/// How long a vendor call may take altogether; the client's deadline is shorter.
pub(crate) const ATTEMPT: SignedDuration = SignedDuration::from_secs(40);

/// How long an own write is recognised when it comes back. Tempo repeats a webhook for two and a half hours.
pub(crate) const ECHO_FOR: SignedDuration = SignedDuration::from_hours(3);

/// Jira tells less, so that a person's worklog may look the same: its echoes are recognised for less long.
const JIRA_ECHO_FOR: SignedDuration = SignedDuration::from_mins(15);

/// A delete that is told by its issue alone may be another worklog's: a minute is what Jira mostly takes.
const UNKNOWN_ECHO_FOR: SignedDuration = SignedDuration::from_mins(1);

/// How long after its intent a call is not sent any more: the client's own deadline still has to fit in.
pub(crate) const LATE: SignedDuration = SignedDuration::from_secs(8);

/// Failures in a row after which a run stops trying.
const FAILURES_MAX: u32 = 3;

/// Row-only steps that go into one transaction: each is at most nine rows of its hundred, one is the fence, and the rest
/// is for what the run holds.
pub(crate) const RECORDS_PER_COMMIT: usize = (100 - 1 - HELD_MAX) / 9;

/// An observation older than this is not written on when a newer hint has come in.
const FRESH: SignedDuration = SignedDuration::from_secs(5);

/// One look at one link, from lease to release.
pub(crate) struct Run<'e> {
    pub(crate) engine: &'e Engine,
    pub(crate) connection: &'e Connection,
    pub(crate) link: &'e LinkKey,
    pub(crate) taken: &'e DueRow,
    pub(crate) owner: &'e str,
    pub(crate) lane: Lane,
    pub(crate) started: Timestamp,
    pub(crate) renewed: Timestamp,
    /// The issues that it holds (see [`crate::hold`]).
    pub(crate) held: Vec<SharedIssue>,
    /// Whether a create could not be begun: somebody else may have made that copy.
    pub(crate) contested: bool,
    /// Until when something that was sent may still take effect.
    pub(crate) busy_until: Option<Timestamp>,
    pub(crate) report: Report,
}

/// What came of a run so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Pairs with which something went wrong; left alone for the rest of the run.
    pub(crate) failed: BTreeSet<PairId>,
    /// The first failure that time may heal, for the due row.
    pub(crate) trouble: Option<(Option<Timestamp>, String)>,
    /// When the first attempt of those that failed is over, if nothing else is left to do: to look sooner would be
    /// for nothing.
    pub(crate) over: Option<Timestamp>,
    pub(crate) failures_in_row: u32,
    /// Vendor writes that went through.
    pub(crate) written: usize,
    /// Steps carried out, row-only ones included.
    pub(crate) steps: usize,
    /// Authors of whom a site does not say who they are.
    pub(crate) untold: BTreeSet<AccountId>,
    /// Sides with worklogs whose Jira id is to be learned.
    pub(crate) to_learn: BTreeSet<Side>,
    /// What pairs waited for when the run began, or was set aside for since.
    pub(crate) waits: BTreeMap<PairId, Reason>,
    /// The run has had its time, or a newer hint came: go on at once in another run.
    pub(crate) unfinished: bool,
    /// There is more than one run may hold (see [`crate::hold`]).
    pub(crate) left: bool,
}

pub(crate) enum Fate {
    Done,
    /// Not done together; it is to be tried in groups of at most so many.
    InGroups(usize),
    /// Left as it is; other steps go on.
    Skipped,
    /// What the planner rests on changed: plan again in this run.
    PlanAgain,
}

impl<'e> Run<'e> {
    /// A look of whoever has taken the link's row, beginning now.
    pub(crate) fn new(
        engine: &'e Engine,
        connection: &'e Connection,
        link: &'e LinkKey,
        taken: &'e DueRow,
        owner: &'e str,
    ) -> Self {
        let now = engine.clock.now();
        Self {
            engine,
            connection,
            link,
            taken,
            owner,
            lane: taken.lane,
            started: now,
            renewed: now,
            held: Vec::new(),
            contested: false,
            busy_until: None,
            report: Report::default(),
        }
    }
}

impl Run<'_> {
    /// Carries out the steps of a plan and keeps `observed` in step with what was done.
    pub(crate) async fn execute(&mut self, plan: &Plan, observed: &mut Observed) -> Result<(), EngineError> {
        let (records, writes): (Vec<&Step>, Vec<&Step>) = plan
            .steps
            .iter()
            .partition(|step| matches!(step.action, Action::Record(_)));
        for batch in records.chunks(RECORDS_PER_COMMIT) {
            if !self.stay(observed).await? {
                return Ok(());
            }
            match self.record(batch, observed).await {
                Ok(()) => self.report.steps += batch.len(),
                // One row that another runner changed must not hold up the others of its batch.
                Err(EngineError::Lost) => self.record_singly(batch, observed).await?,
                Err(error) => return Err(error),
            }
        }
        let mut rest = writes.as_slice();
        // Steps from here on that go in smaller groups than they could, and how many of them go together: within what was
        // refused, what was refused again.
        let mut groups: Vec<(usize, usize)> = Vec::new();
        while let Some(step) = rest.first() {
            let mut together = self.together(rest, observed);
            if let Some((left, at_most)) = groups.last() {
                together = together.min(*at_most).min(*left);
            }
            if self.report.failed.contains(&step.pair.id) {
                rest = &rest[1..];
                passed(&mut groups, 1);
                continue;
            }
            if self.report.failures_in_row >= FAILURES_MAX {
                // The site does not answer. The rest waits for the backoff.
                self.report.over = None;
                return Ok(());
            }
            let fate = match together {
                1 => self.write(step, observed).await?,
                _ => self.write_bulk(&rest[..together], observed).await?,
            };
            if let Fate::InGroups(size) = fate {
                groups.push((together, size));
                continue;
            }
            rest = &rest[together..];
            passed(&mut groups, together);
            match fate {
                Fate::InGroups(_) => {}
                Fate::Done => self.report.steps += together,
                Fate::Skipped if self.report.unfinished => return Ok(()),
                Fate::Skipped => {}
                Fate::PlanAgain => {
                    self.report.steps += 1;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.engine.clock.now()
    }

    fn fence(&self) -> Op {
        Op::Fence {
            key: self.taken.key.clone(),
            owner: self.owner.to_string(),
        }
    }

    pub(crate) async fn commit(&self, mut ops: Vec<Op>) -> Result<(), EngineError> {
        ops.insert(0, self.fence());
        ops.extend(self.held_ops());
        match self.engine.store.commit(ops).await? {
            Committed::Yes => Ok(()),
            Committed::Lost => Err(EngineError::Lost),
        }
    }

    /// Keeps the lease alive.
    pub(crate) async fn keep_lease(&mut self) -> Result<(), EngineError> {
        let (now, lease) = (self.now(), self.engine.options.lease);
        if now <= self.renewed + signed(lease / 3) {
            return Ok(());
        }
        if !self
            .engine
            .store
            .renew(&self.taken.key, self.owner, now, lease)
            .await?
        {
            return Err(EngineError::Lost);
        }
        self.hold(None).await?;
        self.renewed = now;
        Ok(())
    }

    /// Keeps the lease alive, and stops a run that has had its time.
    pub(crate) async fn stay(&mut self, observed: &Observed) -> Result<bool, EngineError> {
        let now = self.now();
        if now > self.started + signed(self.engine.options.run_budget) || self.engine.is_stopping() {
            self.report.unfinished = true;
            return Ok(false);
        }
        self.keep_lease().await?;
        if now > observed.now + FRESH {
            let row = self.engine.store.due_row(&self.taken.key).await?;
            if row.is_none_or(|row| row.generation != self.taken.generation) {
                self.report.unfinished = true;
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn write(&mut self, step: &Step, observed: &mut Observed) -> Result<Fate, EngineError> {
        let Some(side) = step.side() else {
            return Ok(Fate::Skipped);
        };
        if !self.stay(observed).await? {
            return Ok(Fate::Skipped);
        }
        let step = &upon_earlier(step, side, observed);
        let site = self.engine.site_of(self.connection, side)?;
        let remaining = match step.action {
            Action::Delete { .. } => None,
            _ => {
                let issue = step.pair.strays[side].unwrap_or_else(|| self.link.issue(side));
                self.engine.remaining_estimate(site, issue, self.lane).await?
            }
        };
        // The slot comes before the intent, so that little time passes between intent and call.
        self.engine.pass(site, self.lane).await?;

        let mut begun = self.begin(step, side, observed).await;
        // Of a connection that is configured no more, nobody reads the claims beforehand.
        if matches!(begun, Err(EngineError::Lost))
            && !self.contested
            && matches!(step.action, Action::Create { .. })
        {
            self.contested = true;
            begun = self.begin(step, side, observed).await;
        }
        // What is too long for a row holds up nobody else.
        if let Err(EngineError::Store(StoreError::TooLarge(detail))) = &begun {
            return self.outgrown(step, detail, observed).await;
        }
        let Some((row, root)) = begun? else {
            return Ok(self.left_to_others(step));
        };
        if row
            .intent
            .as_ref()
            .is_some_and(|intent| self.now() > intent.at + LATE)
        {
            return self.give_up(step, row, root, observed).await;
        }

        let was_there = AtomicBool::new(true);
        let sent = match &step.action {
            Action::Create { body, .. } => {
                let issue = row.link.issue(side);
                self.engine
                    .sent(site, async |client| {
                        client.create(issue, body, remaining).await.map(Some)
                    })
                    .await
            }
            Action::Update { worklog, body, .. } => {
                self.engine
                    .sent(site, async |client| {
                        client.update(*worklog, body, remaining).await.map(Some)
                    })
                    .await
            }
            Action::Delete { worklog, .. } => {
                self.engine
                    .sent(site, async |client| {
                        let deleted = client.delete(*worklog).await?;
                        was_there.store(deleted, Ordering::Relaxed);
                        Ok(None)
                    })
                    .await
            }
            Action::Record(_) => Ok(None),
        };
        // What it leaves out is not to pass for the site's own where a later step rests on it.
        let sent = sent.map(|answer| answer.map(|answer| step.answered(answer)));
        let gone = !was_there.into_inner();
        self.answered(step, side, site, row, root, sent, gone, observed)
            .await
    }

    /// Leaves a copy to the connection that is making it: the next look finds it.
    fn left_to_others(&mut self, step: &Step) -> Fate {
        self.report.failed.insert(step.pair.id.clone());
        let what = format!("another connection makes the copy of {}", step.pair.id);
        self.report.trouble.get_or_insert((None, what));
        Fate::Skipped
    }

    /// Commits the intent of a step, and returns the pair's row as it stands then; `None` where another connection makes
    /// that copy.
    async fn begin(
        &mut self,
        step: &Step,
        side: Side,
        observed: &mut Observed,
    ) -> Result<Option<(Pair, Option<Root>)>, EngineError> {
        let begun = observed
            .pairs
            .iter()
            .find(|row| row.id == step.pair.id)
            .filter(|row| row.rev > step.pair.rev);
        let before_row = begun.cloned().unwrap_or_else(|| step.pair.clone());
        let now = self.now();
        let mut row = step.begun(&before_row, now, now + ATTEMPT, &self.connection.settings.rules);
        row.rev += 1;
        let root = self.root(step, side).await?;
        let Some(mut ops) = self
            .intent_ops(step, side, &row, root.as_ref(), now, observed)
            .await?
        else {
            return Ok(None);
        };
        ops.extend(self.made(step, now, observed));
        // A worklog that this step gives up on, such as one that an edit of its twin brings back under a new id.
        if let Some(known) = observed.pairs.iter().find(|known| known.id == row.id) {
            ops.extend(self.left_behind(known, &row));
            ops.extend(self.stand_again(known, &row, observed).await?);
        }
        self.set_busy(observed, std::slice::from_ref(&row));
        self.commit(ops).await?;
        Ok(Some((row, root)))
    }

    /// Takes an intent back: the machine slept since, and somebody else may have given up on us by now.
    async fn give_up(
        &mut self,
        step: &Step,
        mut row: Pair,
        root: Option<Root>,
        observed: &mut Observed,
    ) -> Result<Fate, EngineError> {
        row.had_no_effect(&self.connection.settings.rules);
        self.put(step, row, root, observed).await?;
        self.report.unfinished = true;
        Ok(Fate::Skipped)
    }
}

impl Engine {
    /// Where a site demands a remaining estimate with each write: the one that the issue has, so that it stays.
    pub(crate) async fn remaining_estimate(
        &self,
        site: &Site,
        issue: IssueId,
        lane: Lane,
    ) -> Result<Option<u64>, EngineError> {
        if !self.site_state(site).await?.demands_estimate {
            return Ok(None);
        }
        let fields = ["timetracking".to_string(), "timeestimate".to_string()];
        let found = self
            .call(site, lane, async |client| {
                client.issue(&IssueRef::Id(issue), &fields).await
            })
            .await?;
        Ok(Some(
            found.and_then(|issue| issue.remaining_estimate_secs).unwrap_or(0),
        ))
    }
}

/// A step upon those of the same plan that wrote its pair's other twin before it.
fn upon_earlier(step: &Step, side: Side, observed: &Observed) -> Step {
    let mut step = step.clone();
    let rows = &observed.pairs;
    let is_later = rows
        .iter()
        .any(|row| row.id == step.pair.id && row.rev > step.pair.rev);
    let twin = step.pair.ids[side.other()].filter(|_| is_later);
    if let Some(twin) = twin.and_then(|twin| observed.worklog(side.other(), twin)) {
        step.upon(&twin.content);
    }
    step
}

/// Counts steps that are through in all groups that they belong to, and leaves those that are through.
fn passed(groups: &mut Vec<(usize, usize)>, steps: usize) {
    for (left, _) in groups.iter_mut() {
        *left = left.saturating_sub(steps);
    }
    groups.retain(|(left, _)| *left > 0);
}

/// Says whether a site demands the remaining estimate with each write.
fn asks_for_estimate(error: &SiteError) -> bool {
    let message = error.message.to_lowercase();
    message.contains("remaining") && message.contains("must not be empty")
}

pub(crate) fn replace(observed: &mut Observed, pairs: Vec<Pair>) {
    let mut pairs: BTreeMap<PairId, Pair> = pairs.into_iter().map(|pair| (pair.id.clone(), pair)).collect();
    observed
        .pairs
        .retain(|row| !pairs.values().any(|pair| pair.takes_in(row)));
    for row in &mut observed.pairs {
        if let Some(pair) = pairs.remove(&row.id) {
            *row = pair;
        }
    }
    observed.pairs.extend(pairs.into_values());
}
