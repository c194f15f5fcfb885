//! Carrying out a plan.
//!
//! A write goes: slot, intent, call, record. A process that dies in between leaves an intent, and the next run
//! knows what to look for. A step that a site refuses parks its pair and holds up nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::{SignedDuration, Timestamp};
use tandem_core::merge::Lost;
use tandem_core::observed::{Observed, Proof};
use tandem_core::plan::{Action, Plan, Recorded, Step};
use tandem_core::rules::Person;
use tandem_core::{
    AccountId, Content, Intent, IntentKind, IssueId, LinkKey, Pair, PairId, PairState, Reason, Side, Worklog,
    WorklogId,
};
use tracing::{info, warn};

use crate::echo;
use crate::error::EngineError;
use crate::gate::signed;
use crate::hold::{HELD_MAX, SharedIssue};
use crate::observe::SKEW;
use crate::options::{Connection, Engine, Site};
use crate::people::Taken;
use crate::ports::site::{IssueRef, Outcome, SiteError, SiteErrorKind};
use crate::ports::store::{
    Claim, Committed, DueKey, DueRow, Echo, Evidence, EvidenceId, HistoryRow, Lane, Op, Origin, Root,
    Whereabouts,
};

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

    /// Keeps the lease alive, and stops a run that has had its time.
    pub(crate) async fn stay(&mut self, observed: &Observed) -> Result<bool, EngineError> {
        let now = self.now();
        if now > self.started + signed(self.engine.options.run_budget) || self.engine.is_stopping() {
            self.report.unfinished = true;
            return Ok(false);
        }
        if now > self.renewed + signed(self.engine.options.lease / 3) {
            let lease = self.engine.options.lease;
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
        }
        if now > observed.now + FRESH {
            let row = self.engine.store.due_row(&self.taken.key).await?;
            if row.is_none_or(|row| row.generation != self.taken.generation) {
                self.report.unfinished = true;
                return Ok(false);
            }
        }
        Ok(true)
    }

    // --- rows only ---

    async fn record_singly(&mut self, batch: &[&Step], observed: &mut Observed) -> Result<(), EngineError> {
        let mut lost = 0;
        for step in batch {
            match self.record(&[step], observed).await {
                Ok(()) => self.report.steps += 1,
                Err(EngineError::Lost) => {
                    lost += 1;
                    self.report.failed.insert(step.pair.id.clone());
                    let what = format!("{} was changed by another runner", step.pair.id);
                    self.report.trouble.get_or_insert((None, what));
                }
                Err(error) => return Err(error),
            }
        }
        // All of them: it is the lease that is gone.
        if lost == batch.len() {
            Err(EngineError::Lost)
        } else {
            Ok(())
        }
    }

    async fn record(&mut self, batch: &[&Step], observed: &mut Observed) -> Result<(), EngineError> {
        let now = self.now();
        let mut ops = Vec::new();
        let mut pairs = Vec::new();
        for step in batch {
            let Action::Record(recorded) = step.action else {
                continue;
            };
            let mut pair = step.pair.clone();
            if recorded == Recorded::Move {
                let old = observed
                    .pairs
                    .iter()
                    .find(|row| row.id == pair.id)
                    .map(|row| row.link.clone());
                if let Some(link) = old.filter(|link| *link != pair.link) {
                    ops.push(Op::DropPair {
                        link,
                        id: pair.id.clone(),
                        rev: pair.rev,
                    });
                    pair.rev = 0;
                }
            }
            pair.rev += 1;
            ops.extend(self.places(&pair, Some(observed)));
            if let Some(row) = observed.pairs.iter().find(|row| row.id == pair.id) {
                let parted = recorded == Recorded::Move && observed.orphaned.contains(&pair.id);
                ops.extend(self.without(row, &pair, parted));
                ops.extend(self.stand_again(row, &pair, observed).await?);
            }
            if recorded == Recorded::Adopt {
                ops.extend(self.adopted(step, &pair, observed).await?);
            }
            if recorded == Recorded::Forget {
                ops.extend(self.unclaimed(&pair).await?);
            }
            // A moved worklog has another shadow in Jira than before.
            if matches!(recorded, Recorded::Adopt | Recorded::Move) {
                ops.extend(self.learn(&pair, now, recorded == Recorded::Move));
            }
            ops.extend(self.made(step, now, observed));
            // The line of our own write says all of it.
            let is_told = step.made.is_some() && matches!(recorded, Recorded::Forget | Recorded::Adopt);
            if recorded != Recorded::Agree && !is_told {
                ops.push(self.history(step, &pair, now, None, None, observed));
            }
            if recorded == Recorded::Park
                && let Some(wait) = &pair.wait
            {
                warn!(link.key = %self.link, pair.id = %pair.id, wait.reason = %wait.reason, "Parked {} of {}: {}", pair.id, self.link, wait.reason);
            }
            ops.push(Op::PutPair(Box::new(pair.clone())));
            pairs.push(pair);
        }
        self.set_busy(observed, &pairs);
        self.commit(ops).await?;
        pairs.iter().for_each(|pair| self.tell_parked(pair));
        replace(observed, pairs);
        Ok(())
    }

    /// The rows that say where a pair's worklogs belong.
    fn places(&self, pair: &Pair, observed: Option<&Observed>) -> Vec<Op> {
        let place = |side: Side, worklog| {
            let listed = observed
                .and_then(|observed| observed.worklog(side, worklog))
                .filter(|listed| Some(listed.updated_at) == pair.seen[side])
                .map(|listed| &listed.content);
            let said = listed.or(pair.base.as_ref().map(|base| &base[side]));
            Op::PutWhere(self.whereabouts(pair, side, worklog, pair.state, said))
        };
        Side::BOTH
            .into_iter()
            .filter_map(|side| pair.ids[side].map(|worklog| place(side, worklog)))
            .collect()
    }

    /// Worklogs that a pair had and has no more: a listing that still shows one shows the past.
    pub(crate) fn left_behind(&self, row: &Pair, pair: &Pair) -> Vec<Op> {
        self.without(row, pair, false)
    }

    /// The same, for worklogs that stay where they are when `parted` says so.
    fn without(&self, row: &Pair, pair: &Pair, parted: bool) -> Vec<Op> {
        Side::BOTH
            .into_iter()
            .filter_map(|side| {
                row.ids[side]
                    .filter(|id| pair.ids[side] != Some(*id))
                    .map(|id| (side, id))
            })
            .map(|(side, worklog)| {
                Op::PutWhere(Whereabouts {
                    parted,
                    ..self.whereabouts(pair, side, worklog, PairState::Gone, None)
                })
            })
            .collect()
    }

    /// Remembers where an adopted twin came from, so that a ring of connections makes no second copy of it.
    async fn adopted(&self, step: &Step, pair: &Pair, observed: &Observed) -> Result<Vec<Op>, EngineError> {
        let interrupted = observed
            .pairs
            .iter()
            .find(|row| row.id == pair.id)
            .and_then(|row| row.intent.as_ref().or(row.abandoned.last()))
            .map(|intent| intent.side);
        if interrupted.is_none() && self.engine.connections.len() < 2 {
            return Ok(Vec::new());
        }
        let to = interrupted.unwrap_or(Side::B);
        let (Some(source), Some(twin)) = (pair.ids[to.other()], pair.ids[to]) else {
            return Ok(Vec::new());
        };
        let (here, there) = (
            self.connection.sites[to.other()].clone(),
            self.connection.sites[to].clone(),
        );
        let known = self
            .engine
            .store
            .origins(&[(here.clone(), source), (there.clone(), twin)])
            .await?;
        let of = |site: &tandem_core::SiteName, id| {
            known
                .iter()
                .find(|((at, worklog), _)| at == site && *worklog == id)
                .map(|(_, origin)| origin)
        };
        if of(&there, twin).is_some() {
            return Ok(Vec::new());
        }
        let root = of(&here, source).map_or(
            Root {
                site: here,
                worklog: source,
            },
            |origin| origin.root.clone(),
        );
        let listed = observed.worklog(to, twin);
        let edited = observed
            .worklog(to.other(), source)
            .map(|source| observed.edited_at(to.other(), source));
        let (Some(listed), Some(edited_at)) = (listed, edited) else {
            return Ok(Vec::new());
        };
        let mut ops = Vec::new();
        let claims = self
            .engine
            .store
            .claims(&there, std::slice::from_ref(&root))
            .await?;
        if claims
            .iter()
            .all(|(_, claim)| claim.connection == self.connection.name)
        {
            let claim = Claim {
                connection: self.connection.name.clone(),
                worklog: Some(twin),
            };
            ops.push(Op::PutClaim {
                root: root.clone(),
                site: there.clone(),
                claim,
                instead_of: None,
            });
        }
        // What stands there may be a person's edit of what we wrote: it is as old as the listing says.
        let same = step
            .pair
            .base
            .as_ref()
            .is_some_and(|base| base[to] == listed.content);
        let edited_at = if same { edited_at } else { listed.updated_at };
        let origin = Origin {
            root,
            written_updated_at: listed.updated_at,
            edited_at,
            moved_away: false,
        };
        ops.push(Op::PutOrigin {
            site: there,
            worklog: twin,
            origin,
        });
        Ok(ops)
    }

    fn whereabouts(
        &self,
        pair: &Pair,
        side: Side,
        worklog: WorklogId,
        state: PairState,
        said: Option<&Content>,
    ) -> Whereabouts {
        Whereabouts {
            connection: self.connection.name.clone(),
            site: self.connection.sites[side].clone(),
            worklog,
            link: pair.link.clone(),
            pair: pair.id.clone(),
            side,
            state,
            seen: pair.seen[side],
            said: said.map(echo::said),
            parted: false,
        }
    }

    fn learn(&mut self, pair: &Pair, at: Timestamp, anew: bool) -> Vec<Op> {
        let mut ops = Vec::new();
        for side in Side::BOTH {
            if let Some(worklog) = pair.ids[side] {
                self.report.to_learn.insert(side);
                ops.push(Op::PutLearn {
                    site: self.connection.sites[side].clone(),
                    worklog,
                    at,
                    anew,
                });
            }
        }
        ops
    }

    fn history(
        &self,
        step: &Step,
        pair: &Pair,
        now: Timestamp,
        answer: Option<&Worklog>,
        refusal: Option<&str>,
        observed: &Observed,
    ) -> Op {
        let (op, before, after) = match &step.action {
            _ if refusal.is_some() => ("park", None, None),
            Action::Create { body, .. } => (
                "create",
                None,
                Some(answer.map_or(body, |answer| &answer.content)),
            ),
            Action::Update { before, body, .. } => (
                "update",
                Some(before),
                Some(answer.map_or(body, |answer| &answer.content)),
            ),
            Action::Delete {
                before, moves: false, ..
            } => ("delete", Some(before), None),
            Action::Delete {
                before, moves: true, ..
            } => ("move", Some(before), None),
            Action::Record(recorded) => (
                match recorded {
                    Recorded::Adopt => "adopt",
                    Recorded::Agree => "agree",
                    Recorded::Move => "move",
                    Recorded::Park => "park",
                    Recorded::Resume => "resume",
                    Recorded::Forget => "forget",
                    Recorded::Keep => "keep",
                },
                None,
                None,
            ),
        };
        let waiting = pair.wait.as_ref().map(|wait| wait.side);
        let side = step
            .side()
            .or(waiting)
            .unwrap_or(if pair.ids.b.is_some() { Side::B } else { Side::A });
        let worklog = match &step.action {
            Action::Create { .. } => answer.map(|answer| answer.id),
            Action::Update { worklog, .. } | Action::Delete { worklog, .. } => Some(*worklog),
            Action::Record(_) => pair.ids[side].or(pair.ids[side.other()]),
        };
        let issue = match &step.action {
            Action::Delete { issue, .. } => *issue,
            _ => self.link.issue(side),
        };
        let cause = match (refusal, &pair.wait) {
            (Some(refusal), _) => format!("{}; refused: {refusal}", step.cause),
            (None, Some(wait)) => format!("{}: {}", wait.reason, step.cause),
            (None, None) => step.cause.clone(),
        };
        let lost = told_lost(&step.lost);
        Op::PutHistory(Box::new(HistoryRow {
            // The pair's `rev` makes the id of a line the same however often the line is written.
            id: format!("{:013}-{}-{}", now.as_millisecond(), pair.id, pair.rev),
            time: now,
            connection: self.connection.name.clone(),
            link: Some(self.link.clone()),
            op: op.to_string(),
            side,
            issue: Some(issue),
            worklog,
            pair: pair.id.clone(),
            cause,
            before: before.cloned(),
            after: after.cloned(),
            lost,
            trace: (!self.taken.traces.is_empty()).then(|| self.taken.traces.join(" ")),
            grounds: Some(self.grounds(step, observed, (before, after))),
            expires: now + signed(self.engine.options.history),
        }))
    }

    /// The line of an earlier write that was found to have taken effect.
    pub(crate) fn made(&self, step: &Step, now: Timestamp, observed: &Observed) -> Option<Op> {
        let made = step.made.as_ref()?;
        let intent = &made.intent;
        let (op, before, after) = match intent.kind {
            IntentKind::Create => ("create", None, Some(&intent.body)),
            IntentKind::Update => ("update", intent.before.as_ref(), Some(&intent.body)),
            IntentKind::Delete => ("delete", Some(&intent.body), None),
        };
        Some(Op::PutHistory(Box::new(HistoryRow {
            // As the row was then: no other line has that.
            id: format!("{:013}-{}-{}", now.as_millisecond(), step.pair.id, step.pair.rev),
            time: now,
            connection: self.connection.name.clone(),
            link: Some(step.pair.link.clone()),
            op: op.to_string(),
            side: intent.side,
            issue: Some(intent.issue),
            worklog: intent.worklog,
            pair: step.pair.id.clone(),
            cause: made.cause.clone(),
            before: before.cloned(),
            after: after.cloned(),
            lost: told_lost(&made.lost),
            trace: (!self.taken.traces.is_empty()).then(|| self.taken.traces.join(" ")),
            grounds: Some(self.grounds(step, observed, (before, after))),
            expires: now + signed(self.engine.options.history),
        })))
    }

    // --- vendor writes ---

    async fn write(&mut self, step: &Step, observed: &mut Observed) -> Result<Fate, EngineError> {
        let Some(side) = step.side() else {
            return Ok(Fate::Skipped);
        };
        if !self.stay(observed).await? {
            return Ok(Fate::Skipped);
        }
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

    /// Commits what became of a write. `gone` says that a delete met nothing any more.
    #[expect(
        clippy::too_many_arguments,
        reason = "everything that is known of one step that was sent"
    )]
    async fn answered(
        &mut self,
        step: &Step,
        side: Side,
        site: &Site,
        row: Pair,
        root: Option<Root>,
        answer: Result<Option<Worklog>, SiteError>,
        gone: bool,
        observed: &mut Observed,
    ) -> Result<Fate, EngineError> {
        match answer {
            Ok(None) if gone && self.may_be_there(step, side, site, observed).await? => {
                self.report.failures_in_row = 0;
                self.lost_sight(step, side, row, observed).await
            }
            Ok(answer) => {
                self.report.failures_in_row = 0;
                self.done(step, side, row, answer, root, observed).await?;
                Ok(Fate::Done)
            }
            Err(error) => self.failed(step, side, site, row, error, root, observed).await,
        }
    }

    /// Says whether a worklog whose delete was answered with 404 may be there all the same: for somebody who may not
    /// see it, a site answers the same. Only an earlier attempt of ours explains that it is gone, and then only
    /// if Jira does not show it there either, to somebody who lacks no permission: it may have moved meanwhile.
    async fn may_be_there(
        &self,
        step: &Step,
        side: Side,
        site: &Site,
        observed: &mut Observed,
    ) -> Result<bool, EngineError> {
        let Action::Delete {
            worklog,
            issue,
            moves,
            ..
        } = &step.action
        else {
            return Ok(false);
        };
        let row = observed.pairs.iter().find(|row| row.id == step.pair.id);
        let tried = row
            .and_then(|row| row.intent.as_ref())
            .is_some_and(|intent| intent.kind == IntentKind::Delete);
        // A twin that is made anew elsewhere was seen a moment ago; Jira tells whether it still stands.
        if !tried && !moves {
            return Ok(true);
        }
        if self.engine.is_shadowed(site, *issue, *worklog, self.lane).await? {
            return Ok(true);
        }
        if self.engine.is_blind(site, side, observed, self.lane).await? {
            return Ok(true);
        }
        match step.pair.seen[side] {
            Some(seen) => {
                self.engine
                    .is_elsewhere(site, *worklog, seen - SKEW, self.lane)
                    .await
            }
            None => Ok(false),
        }
    }

    /// The site answered 404 for a worklog that it does not list either: it may be gone, or out of sight. The pair
    /// waits until one of the two is known.
    async fn lost_sight(
        &mut self,
        step: &Step,
        side: Side,
        row: Pair,
        observed: &mut Observed,
    ) -> Result<Fate, EngineError> {
        let now = self.now();
        let retry = now + self.connection.settings.look_at_missing;
        let (reason, detail) = if observed.blind[side] {
            (
                Reason::PermissionMissing,
                "cannot be seen, and so not deleted: the service user lacks permissions",
            )
        } else {
            (
                Reason::Missing,
                "was to be deleted, but the site shows it no longer, and nothing proves that it is gone",
            )
        };
        let told = format!("on side {side} it {detail}");
        let rules = &self.connection.settings.rules;
        let mut row = step.refused(&row, reason, told, now, retry, rules);
        row.rev += 1;
        let ops = vec![
            Op::PutPair(Box::new(row.clone())),
            self.history(step, &row, now, None, Some(detail), observed),
        ];
        self.set_busy(observed, std::slice::from_ref(&row));
        self.commit(ops).await?;
        self.tell_parked(&row);
        self.report.failed.insert(row.id.clone());
        replace(observed, vec![row]);
        Ok(Fate::Skipped)
    }

    /// What is written where a worklog stands that was to be taken away for a move: from then on it is a person's again to
    /// delete.
    async fn stands(&self, side: Side, worklog: WorklogId) -> Result<Option<Op>, EngineError> {
        let site = self.connection.sites[side].clone();
        let known = self.engine.store.origins(&[(site.clone(), worklog)]).await?;
        let marked = known.into_iter().find(|(_, origin)| origin.moved_away);
        Ok(marked.map(|(_, mut origin)| {
            origin.moved_away = false;
            Op::PutOrigin {
                site,
                worklog,
                origin,
            }
        }))
    }

    /// The same for a step whose write had no effect.
    async fn stands_still(&self, step: &Step) -> Result<Option<Op>, EngineError> {
        match &step.action {
            Action::Delete {
                side,
                worklog,
                moves: true,
                ..
            } => self.stands(*side, *worklog).await,
            _ => Ok(None),
        }
    }

    /// The same for what a row was to have deleted, and is listed when it is not to be any more.
    async fn stand_again(
        &self,
        row: &Pair,
        next: &Pair,
        observed: &Observed,
    ) -> Result<Option<Op>, EngineError> {
        let deletes = |pair: &Pair| {
            let intent = pair.intent.as_ref()?;
            (intent.kind == IntentKind::Delete).then_some(intent.side)
        };
        let Some(side) = deletes(row).filter(|_| deletes(next).is_none() && next.state == PairState::Live)
        else {
            return Ok(None);
        };
        match next.ids[side].filter(|id| row.ids[side] == Some(*id) && observed.worklog(side, *id).is_some())
        {
            Some(worklog) => self.stands(side, worklog).await,
            None => Ok(None),
        }
    }

    /// What lets other connections make a copy that this one set out to make and will not.
    async fn unclaimed(&self, pair: &Pair) -> Result<Option<Op>, EngineError> {
        for side in Side::BOTH {
            let is_of_side = |intent: &Intent| intent.side == side && intent.kind == IntentKind::Create;
            let (None, Some(id)) = (pair.ids[side], pair.ids[side.other()]) else {
                continue;
            };
            if pair.abandoned.iter().any(is_of_side) {
                let root = self.root_of(side.other(), id).await?;
                let (site, roots) = (&self.connection.sites[side], std::slice::from_ref(&root));
                let known = self.engine.store.claims(site, roots).await?;
                let is_open =
                    |claim: &Claim| claim.connection == self.connection.name && claim.worklog.is_none();
                if known.iter().any(|(_, claim)| is_open(claim)) {
                    return Ok(self.give_up_claim(pair, Some(root), side));
                }
            }
        }
        Ok(None)
    }

    /// The worklog at the start of the chain that one is in.
    async fn root_of(&self, side: Side, id: WorklogId) -> Result<Root, EngineError> {
        let site = self.connection.sites[side].clone();
        let known = self.engine.store.origins(&[(site.clone(), id)]).await?;
        let own = Root { site, worklog: id };
        Ok(known.into_iter().next().map_or(own, |(_, origin)| origin.root))
    }

    /// The worklog at the start of the chain that a write carries on.
    async fn root(&self, step: &Step, side: Side) -> Result<Option<Root>, EngineError> {
        let from = side.other();
        let source = match &step.action {
            Action::Create { .. } => step.pair.ids[from],
            Action::Update { .. } | Action::Delete { moves: true, .. } => step.pair.ids[side],
            _ => None,
        };
        let at = if matches!(step.action, Action::Create { .. }) {
            from
        } else {
            side
        };
        let Some(id) = source else { return Ok(None) };
        self.root_of(at, id).await.map(Some)
    }

    /// What is written with the intent of a step. `None` where another connection makes that copy.
    pub(crate) async fn intent_ops(
        &self,
        step: &Step,
        side: Side,
        row: &Pair,
        root: Option<&Root>,
        now: Timestamp,
        observed: &Observed,
    ) -> Result<Option<Vec<Op>>, EngineError> {
        let site = &self.connection.sites[side];
        let mut ops = vec![Op::PutPair(Box::new(row.clone()))];
        let echo =
            |mark: String, worklog: Option<WorklogId>, author: Option<AccountId>, lasts: SignedDuration| {
                Op::PutEcho(Echo {
                    site: site.clone(),
                    mark,
                    connection: self.connection.name.clone(),
                    worklog,
                    author,
                    updated_at: None,
                    expires: now + lasts,
                })
            };
        match &step.action {
            Action::Create { body, .. } | Action::Update { body, .. } => {
                let issue = row.strays[side].unwrap_or_else(|| row.link.issue(side));
                let worklog = row.ids[side];
                let author = Some(body.author.clone());
                let text = &body.description;
                let tempo =
                    echo::tempo_mark(issue, &body.author, body.start_date, body.time_spent_secs, text);
                ops.push(echo(tempo, worklog, author.clone(), ECHO_FOR));
                ops.push(echo(
                    echo::jira_mark(issue, body.time_spent_secs, text),
                    worklog,
                    author,
                    JIRA_ECHO_FOR,
                ));
            }
            Action::Delete { worklog, issue, .. } => {
                ops.push(echo(
                    echo::tempo_deleted_mark(*worklog),
                    Some(*worklog),
                    None,
                    ECHO_FOR,
                ));
                let known = self.engine.store.jira_ids(site, &[*worklog]).await?;
                // So soon that its Jira id is still to be learned: then the issue is all there is to know it by.
                let (mark, lasts) = match known.first() {
                    Some((_, jira)) => (echo::jira_deleted_mark(*jira), ECHO_FOR),
                    None => (echo::unknown_jira_deleted_mark(*issue), UNKNOWN_ECHO_FOR),
                };
                ops.push(echo(mark, Some(*worklog), None, lasts));
            }
            Action::Record(_) => {}
        }
        if let (
            Action::Delete {
                worklog, moves: true, ..
            },
            Some(root),
        ) = (&step.action, root)
        {
            // Before the delete, so that no other connection ever takes it for a person's. What else is known of it is kept:
            // the delete may come to nothing.
            let known = self.engine.store.origins(&[(site.clone(), *worklog)]).await?;
            let known = known.into_iter().next().map(|(_, origin)| origin);
            let (written_updated_at, edited_at) = match known {
                Some(origin) => (origin.written_updated_at, origin.edited_at),
                None => (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH),
            };
            let origin = Origin {
                root: root.clone(),
                written_updated_at,
                edited_at,
                moved_away: true,
            };
            ops.push(Op::PutOrigin {
                site: site.clone(),
                worklog: *worklog,
                origin,
            });
        }
        if let (Action::Create { .. }, Some(root)) = (&step.action, root) {
            ops.extend(self.places(row, None));
            let Some(claim) = self.claim(row, side, root, observed).await? else {
                return Ok(None);
            };
            ops.push(claim);
        }
        Ok(Some(ops))
    }

    /// Claims a root's copy on a side, which `None` says that another connection has or makes. A copy of another
    /// connection that was deleted is made again only where an edit of its twin brings it back.
    async fn claim(
        &self,
        row: &Pair,
        side: Side,
        root: &Root,
        observed: &Observed,
    ) -> Result<Option<Op>, EngineError> {
        let site = self.connection.sites[side].clone();
        let mut instead_of = None;
        if self.contested || self.engine.is_shared(self.connection, side) {
            let known = self
                .engine
                .store
                .claims(&site, std::slice::from_ref(root))
                .await?;
            let theirs = known.into_iter().map(|(_, claim)| claim);
            let theirs = theirs.filter(|claim| claim.connection != self.connection.name);
            for claim in theirs {
                let known = observed.pairs.iter().find(|known| known.id == row.id);
                let had_twin = row.had_twin() || known.is_some_and(Pair::had_twin);
                let is_void = self.engine.is_void(self.connection, side, observed, &claim);
                if !(had_twin || claim.worklog.is_none()) || !is_void.await? {
                    return Ok(None);
                }
                instead_of = Some(claim);
            }
        }
        Ok(Some(Op::PutClaim {
            root: root.clone(),
            site,
            claim: Claim {
                connection: self.connection.name.clone(),
                worklog: None,
            },
            instead_of,
        }))
    }

    async fn done(
        &mut self,
        step: &Step,
        side: Side,
        row: Pair,
        answer: Option<Worklog>,
        root: Option<Root>,
        observed: &mut Observed,
    ) -> Result<(), EngineError> {
        let (pair, ops) = self.done_ops(step, side, &row, answer.as_ref(), root, observed);
        self.set_busy(observed, std::slice::from_ref(&pair));
        self.commit(ops).await?;
        self.recorded(step, side, pair, answer, observed);
        let issue = row.strays[side].unwrap_or_else(|| row.link.issue(side));
        let site = self.connection.sites[side].clone();
        self.wake_others(&site, issue).await
    }

    /// A pair's row once the site has done a step, and what is written with it.
    pub(crate) fn done_ops(
        &mut self,
        step: &Step,
        side: Side,
        row: &Pair,
        answer: Option<&Worklog>,
        root: Option<Root>,
        observed: &Observed,
    ) -> (Pair, Vec<Op>) {
        let now = self.now();
        let site = self.connection.sites[side].clone();
        let retry = now + signed(self.engine.options.park_retry);
        let mut pair = step.done(row, answer, now, retry, &self.connection.settings.rules);
        pair.rev += 1;
        let mut ops = vec![
            Op::PutPair(Box::new(pair.clone())),
            self.history(step, &pair, now, answer, None, observed),
        ];
        ops.extend(self.places(&pair, Some(observed)));
        ops.extend(self.left_behind(row, &pair));
        if let Some(answer) = answer {
            let body = &answer.content;
            let mark = echo::tempo_mark(
                answer.issue,
                &body.author,
                body.start_date,
                body.time_spent_secs,
                &body.description,
            );
            ops.push(Op::PutEcho(Echo {
                site: site.clone(),
                mark,
                connection: self.connection.name.clone(),
                worklog: Some(answer.id),
                author: Some(body.author.clone()),
                updated_at: Some(answer.updated_at),
                expires: now + ECHO_FOR,
            }));
            if let Some(root) = root {
                let from = side.other();
                let source = pair.ids[from].and_then(|id| observed.worklog(from, id));
                let edited_at = source.map_or(answer.updated_at, |source| observed.edited_at(from, source));
                let written_updated_at = answer.updated_at;
                let origin = Origin {
                    root: root.clone(),
                    written_updated_at,
                    edited_at,
                    moved_away: false,
                };
                ops.push(Op::PutOrigin {
                    site: site.clone(),
                    worklog: answer.id,
                    origin,
                });
                if matches!(step.action, Action::Create { .. }) {
                    let claim = Claim {
                        connection: self.connection.name.clone(),
                        worklog: Some(answer.id),
                    };
                    ops.push(Op::PutClaim {
                        root,
                        site: site.clone(),
                        claim,
                        instead_of: None,
                    });
                }
            }
        }
        match &step.action {
            Action::Create { .. } => ops.extend(self.learn(&pair, now, false)),
            Action::Delete {
                worklog,
                moves: false,
                ..
            } => {
                // For other connections of the site, our own delete is a proof like any other.
                let (id, source) = (EvidenceId::Tempo(*worklog), "own-delete".to_string());
                ops.push(Op::PutEvidence(Evidence {
                    site: site.clone(),
                    id,
                    source,
                    at: now,
                    moved_to: None,
                }));
            }
            _ => {}
        }
        (pair, ops)
    }

    /// Takes a step that is done and recorded into what this run knows.
    pub(crate) fn recorded(
        &mut self,
        step: &Step,
        side: Side,
        pair: Pair,
        answer: Option<Worklog>,
        observed: &mut Observed,
    ) {
        let now = self.now();
        let site = &self.connection.sites[side];
        if pair.wait.is_some() {
            // The site took it, but not all of it: that is not tried again in the same run.
            self.report.failed.insert(pair.id.clone());
        }
        self.report.written += 1;
        self.tell_written(step, &pair);
        info!(link.key = %self.link, pair.id = %pair.id, "Wrote {} on {site}: {}", pair.id, step.cause);
        match (&step.action, answer) {
            (Action::Delete { worklog, .. }, _) => {
                observed.listings[side].remove(worklog);
                observed.strays[side].remove(worklog);
                let proof = Proof {
                    source: "own-delete".into(),
                    at: now,
                    moved_to: None,
                };
                observed.proofs[side].insert(*worklog, proof);
            }
            (_, Some(answer)) if observed.strays[side].contains_key(&answer.id) => {
                observed.strays[side].insert(answer.id, answer);
            }
            (_, Some(answer)) => {
                observed.listings[side].insert(answer.id, answer);
            }
            (_, None) => {}
        }
        replace(observed, vec![pair]);
    }

    /// Hints at the links that the written issue has in other connections: for them this is news.
    pub(crate) async fn wake_others(
        &self,
        site: &tandem_core::SiteName,
        issue: IssueId,
    ) -> Result<(), EngineError> {
        if self.engine.connections_of(site).count() < 2 {
            return Ok(());
        }
        let rows = self.engine.store.issues(&[(site.clone(), issue)]).await?;
        let others = rows
            .into_iter()
            .flat_map(|row| row.links.into_values())
            .filter(|link| link != self.link);
        self.engine
            .hint_all(others.map(DueKey::Link).collect(), self.lane, false)
            .await
    }

    // --- failures ---

    #[expect(
        clippy::too_many_arguments,
        reason = "everything that is known of one failed step"
    )]
    async fn failed(
        &mut self,
        step: &Step,
        side: Side,
        site: &Site,
        mut row: Pair,
        error: SiteError,
        root: Option<Root>,
        observed: &mut Observed,
    ) -> Result<Fate, EngineError> {
        let now = self.now();
        let unknown = error.outcome == Outcome::Unknown;
        if unknown {
            // The intent stays: a later run looks for what became of it. An update or a delete that nobody answered may
            // take effect as long as its attempt lasts, and would then undo what was done since; so nothing is done until
            // it is over. A create that comes late undoes nothing and is recognised: `create_grace` is enough.
            if let Some(intent) = row
                .intent
                .as_mut()
                .filter(|intent| intent.kind == IntentKind::Create || error.is_over())
            {
                intent.until = now;
            }
        } else {
            row.had_no_effect(&self.connection.settings.rules);
        }
        let retry = now + signed(self.engine.options.park_retry);
        let (reason, stop) = match &error.kind {
            SiteErrorKind::Unreachable { retry_after } => {
                let after = retry_after.map(|after| now + signed(after));
                return self.keep(step, row, root, after, &error, observed).await;
            }
            SiteErrorKind::Malformed if unknown => {
                return self.keep(step, row, root, None, &error, observed).await;
            }
            SiteErrorKind::Busy => return self.keep(step, row, root, None, &error, observed).await,
            SiteErrorKind::RateLimited { .. } | SiteErrorKind::CredentialsRejected => (None, true),
            // It went while we looked. The next look tells what became of it.
            SiteErrorKind::NotFound if !matches!(step.action, Action::Create { .. }) => {
                return self.keep(step, row, root, None, &error, observed).await;
            }
            SiteErrorKind::NotFound => (Some(Reason::IssueUnlinked), false),
            SiteErrorKind::Refused(reason) => (Some(*reason), false),
            SiteErrorKind::Malformed | SiteErrorKind::Unusable => (Some(Reason::Rejected), false),
        };
        if stop {
            self.put(step, row, root, observed).await?;
            return Err(EngineError::site(&site.name, error));
        }
        let reason = reason.unwrap_or(Reason::Rejected);
        if asks_for_estimate(&error) {
            let mut state = self.engine.site_state(site).await?;
            if !state.demands_estimate {
                state.demands_estimate = true;
                self.engine.put_site_state(site, &state).await?;
                self.put(step, row, root, observed).await?;
                return Ok(Fate::PlanAgain);
            }
        }
        match self
            .authors_were_guesses(&[step], side, Some(reason), observed)
            .await
        {
            Ok(false) => {}
            Ok(true) => {
                self.put(step, row, root, observed).await?;
                return Ok(Fate::PlanAgain);
            }
            Err(error) => {
                self.put(step, row, root, observed).await?;
                return Err(error);
            }
        }
        let detail = error.to_string();
        let rules = &self.connection.settings.rules;
        let mut row = step.refused(&row, reason, detail.clone(), now, retry, rules);
        row.rev += 1;
        let mut ops = vec![
            Op::PutPair(Box::new(row.clone())),
            self.history(step, &row, now, None, Some(&detail), observed),
        ];
        ops.extend(self.give_up_claim(&row, root, side));
        ops.extend(self.stands_still(step).await?);
        self.set_busy(observed, std::slice::from_ref(&row));
        self.commit(ops).await?;
        warn!(link.key = %self.link, pair.id = %row.id, wait.reason = %reason, "{} refused {} of {}: {reason}", site.name, row.id, self.link);
        self.tell_parked(&row);
        self.report.failed.insert(row.id.clone());
        replace(observed, vec![row]);
        Ok(Fate::Skipped)
    }

    /// Leaves a pair for a later run, with its intent if the outcome is unknown.
    async fn keep(
        &mut self,
        step: &Step,
        row: Pair,
        root: Option<Root>,
        not_before: Option<Timestamp>,
        error: &SiteError,
        observed: &mut Observed,
    ) -> Result<Fate, EngineError> {
        warn!(link.key = %self.link, pair.id = %row.id, "Left {} of {} for later: {}", row.id, self.link, error.unsaid());
        self.report.failed.insert(row.id.clone());
        self.report.failures_in_row += 1;
        let over = row.intent.as_ref().map_or(self.now(), |intent| intent.until);
        self.report.over = Some(self.report.over.map_or(over, |sooner| sooner.min(over)));
        self.report.trouble.get_or_insert((not_before, error.to_string()));
        self.put(step, row, root, observed).await?;
        Ok(Fate::Skipped)
    }

    async fn put(
        &mut self,
        step: &Step,
        mut row: Pair,
        root: Option<Root>,
        observed: &mut Observed,
    ) -> Result<(), EngineError> {
        row.rev += 1;
        let mut ops = vec![Op::PutPair(Box::new(row.clone()))];
        if row.intent.is_none() {
            ops.extend(step.side().and_then(|side| self.give_up_claim(&row, root, side)));
            ops.extend(self.stands_still(step).await?);
        }
        self.set_busy(observed, std::slice::from_ref(&row));
        self.commit(ops).await?;
        replace(observed, vec![row]);
        Ok(())
    }

    /// Lets another connection of a ring make the copy that this one could not.
    pub(crate) fn give_up_claim(&self, row: &Pair, root: Option<Root>, side: Side) -> Option<Op> {
        let root = root.filter(|_| row.ids[side].is_none())?;
        let (site, connection) = (self.connection.sites[side].clone(), self.connection.name.clone());
        Some(Op::DropClaim {
            root,
            site,
            connection,
        })
    }

    /// After a refusal: asks who the authors are that were taken over unseen. `true` when that changes the plan.
    pub(crate) async fn authors_were_guesses(
        &mut self,
        steps: &[&Step],
        side: Side,
        reason: Option<Reason>,
        observed: &mut Observed,
    ) -> Result<bool, EngineError> {
        // These have nothing to do with who it was.
        if matches!(reason, Some(Reason::AttributeRequired | Reason::PeriodClosed)) {
            return Ok(false);
        }
        let from = side.other();
        let connection = self.connection;
        let rules = &connection.settings.rules;
        let authored = |step: &&Step| match &step.action {
            Action::Create { source, .. } => Some((source.author.clone(), true)),
            // That of a worklog that is there stays whatever is found out, unless it is what changes.
            Action::Update {
                source, before, body, ..
            } => Some((source.author.clone(), before.author != body.author)),
            _ => None,
        };
        let authors: BTreeSet<(AccountId, bool)> = steps.iter().filter_map(authored).collect();
        // Of several in one request, nothing tells which one the site does not take.
        let is_the_one = authors.len() == 1 && authors.iter().all(|(_, is_written)| *is_written);
        let taken = match reason {
            Some(Reason::AuthorUnmapped) if is_the_one && rules.fallback().is_some() => Taken::NotNow,
            Some(Reason::AuthorUnmapped) => Taken::NotBefore,
            _ => Taken::Untold,
        };
        let guess = |step: &&Step| {
            let (source, body) = match &step.action {
                Action::Create { source, body, .. } | Action::Update { source, body, .. } => (source, body),
                _ => return None,
            };
            // That somebody exists there under the same id does not say that time can be logged for them.
            let known = observed.lookups.people[from].get(&source.author);
            let is_same = |known: &Person| known.other.as_ref() == Some(&source.author);
            let is_open = known.is_none_or(|known| taken == Taken::NotNow && is_same(known));
            let guessed = body.author == source.author
                && rules.mapped(from, &source.author).is_none()
                && is_open
                && !self.report.untold.contains(&source.author);
            guessed.then(|| source.author.clone())
        };
        let guesses: BTreeSet<AccountId> = steps.iter().filter_map(guess).collect();
        let mut changed = false;
        for account in guesses {
            let looked_up = self
                .engine
                .look_up_person(self.connection, from, &account, taken, self.lane);
            let person = match looked_up.await {
                Ok(person) => person,
                // The site does not say who they are: what it said of the write stands.
                Err(error) if error.is_refusal() => {
                    self.report.untold.insert(account);
                    continue;
                }
                Err(error) => return Err(error),
            };
            changed |= person.other.as_ref() != Some(&account);
            if taken == Taken::NotNow {
                self.report.untold.insert(account);
            }
            let known = Person {
                other: person.other,
                display_name: person.display_name,
            };
            observed.lookups.people[from].insert(person.account, known);
        }
        Ok(changed)
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
    for row in &mut observed.pairs {
        if let Some(pair) = pairs.remove(&row.id) {
            *row = pair;
        }
    }
    observed.pairs.extend(pairs.into_values());
}

/// Values that lost a conflict, as the history tells them.
fn told_lost(lost: &[Lost]) -> Vec<String> {
    lost.iter()
        .map(|lost| format!("{} on {}: {}", lost.field, lost.side, lost.value))
        .collect()
}
