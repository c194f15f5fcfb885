//! A worker's run, step by step, between one access to what is shared and the next.
//!
//! Every decision is `tandem-core`'s: `plan`, `check`, `Step::begun`, `done`, `refused`. What is written here is
//! what `tandem-engine` does around them, in `run.rs`, `observe.rs` and `execute.rs`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use tandem_core::observed::{Copy, Observed, Proof, Settings};
use tandem_core::plan::{Action, Plan, Recorded, Step, plan};
use tandem_core::{
    Content, Intent, IntentKind, Pair, PairId, PairState, Reason, Side, Sides, Worklog, WorklogId, check,
    field,
};

use crate::config::Rule;
use crate::protocol::{Protocol, State};
use crate::sites::{Answer, Request, Verdict, Write, at, link};
use crate::table::{self, Finish, Key, Op, Origin, Owner, Table};
use crate::told::Told;

/// `Options::lease`, in seconds.
pub(crate) const LEASE: u32 = 60;
/// `execute::ATTEMPT`.
const ATTEMPT: u32 = 40;
/// `execute::LATE`.
const LATE: u32 = 8;
/// `execute::FRESH`.
const FRESH: u32 = 5;
/// `Options::retry_min`: the first backoff, which is the only one here.
const BACKOFF: u32 = 5;
/// `Options::park_retry`.
const PARK_RETRY: u32 = 900;
/// `create_grace`: how long a write that nothing was heard of may take to show itself.
pub(crate) const GRACE: u32 = 30;

/// Where a run is: what it does next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    /// Lists side A.
    ListA,
    /// Lists side B.
    ListB,
    /// Reads the table; plans and checks.
    Plan,
    /// Commits the plan's rows.
    Record,
    /// Prolongs the lease where it is time, and stops where a newer hint came to an old observation.
    Stay,
    /// Commits an intent.
    Begin,
    /// Sends the write.
    Sent,
    /// Commits what the site answered; `None` when nothing was heard.
    Answered(Option<Answer>),
    /// Ends the look; `true` when a commit was lost.
    Finish(bool),
}

/// A run from `take` to `finish`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// What it does next.
    pub next: Next,
    /// The due row's generation when it was taken.
    generation: u8,
    /// When the lease was last prolonged.
    renewed: u32,
    /// When it began to look.
    looked: u32,
    /// How many acts there had been when each side was listed.
    listed: Sides<u8>,
    /// The listings, until they are part of `observed`.
    listings: Sides<Option<Told<BTreeMap<WorklogId, Worklog>>>>,
    /// The table, where the model reads it first.
    early: Option<Told<Table>>,
    /// What it has seen, kept in step with what it did.
    pub observed: Option<Told<Observed>>,
    /// The plan that it carries out.
    pub plan: Option<Told<Plan>>,
    /// Which of its steps is next.
    step: usize,
    /// Whether a step of the plan was carried out.
    progress: bool,
    failed: BTreeSet<PairId>,
    trouble: bool,
    unfinished: bool,
    look_again: Option<Timestamp>,
    /// The pair's row as the intent left it, and when that was.
    row: Option<(Told<Pair>, u32)>,
}

/// What befalls a write to a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It is answered.
    Answered,
    /// It takes effect, and its answer is lost.
    AnswerLost,
    /// It is lost on its way.
    RequestLost,
    /// Nothing is heard, and it takes effect later, if at all.
    Late,
}

impl Run {
    /// Begins a run that has just taken the row.
    pub(crate) fn taken(generation: u8, now: u32) -> Self {
        Self {
            next: Next::ListA,
            generation,
            renewed: now,
            looked: now,
            listed: Sides::default(),
            listings: Sides::default(),
            early: None,
            observed: None,
            plan: None,
            step: 0,
            progress: false,
            failed: BTreeSet::new(),
            trouble: false,
            unfinished: false,
            look_again: None,
            row: None,
        }
    }

    /// The step that is being carried out.
    pub fn current(&self) -> Option<&Step> {
        self.plan.as_ref()?.steps.get(self.step)
    }

    fn finish(&mut self, lost: bool) {
        // What is not looked at any more would only tell equal states apart.
        *self = Self {
            next: Next::Finish(lost),
            trouble: self.trouble,
            unfinished: self.unfinished,
            look_again: self.look_again,
            ..Self::taken(0, 0)
        };
    }

    /// Keeps what was seen in step with the table.
    fn replace(&mut self, pair: &Pair, and: impl FnOnce(&mut Observed)) {
        let Some(seen) = &self.observed else { return };
        let mut observed = Observed::clone(seen);
        match observed.pairs.iter_mut().find(|row| row.id == pair.id) {
            Some(row) => *row = pair.clone(),
            None => observed.pairs.push(pair.clone()),
        }
        and(&mut observed);
        self.observed = Some(Told::new(observed));
    }

    fn known(&self, id: &PairId) -> Option<&Pair> {
        self.observed.as_ref()?.pairs.iter().find(|row| row.id == *id)
    }
}

impl Protocol {
    fn lacks(&self, rule: Rule) -> bool {
        self.config.without == Some(rule)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// One step of a worker's run. `fate` is what befalls a write.
    pub(crate) fn step(&self, state: &mut State, worker: usize, fate: Fate) {
        let Some(mut run) = state.workers[worker].take() else {
            return;
        };
        match run.next.clone() {
            Next::ListA => {
                run.looked = state.now;
                if self.lacks(Rule::ListingsBeforeTable) {
                    run.early = Some(Told::new(state.table.clone()));
                }
                self.list(state, &mut run, Side::A);
                run.next = Next::ListB;
            }
            Next::ListB => {
                self.list(state, &mut run, Side::B);
                run.next = Next::Plan;
            }
            Next::Plan => {
                let observed = self.observe(state, &run);
                run.observed = Some(Told::new(observed));
                run.listings = Sides::default();
                run.early = None;
                state.verdict = state.verdict.or(self.plan(&mut run));
            }
            Next::Record => self.record(state, worker, &mut run),
            Next::Stay => self.stay(state, worker, &mut run),
            Next::Begin => self.begin(state, worker, &mut run),
            Next::Sent if self.too_late(state, &run) => self.give_up(state, worker, &mut run),
            Next::Sent => self.sent(state, &mut run, fate),
            Next::Answered(answer) => {
                self.answered(state, worker, &mut run, answer);
            }
            Next::Finish(lost) => {
                let how = finish_done(&run, state.now, lost);
                let stays = !self.lacks(Rule::HintOutlivesFinish);
                table::finish(&mut state.due, Owner::Worker(worker), how, stays);
                return;
            }
        }
        state.workers[worker] = Some(run);
    }

    fn list(&self, state: &State, run: &mut Run, side: Side) {
        run.listings[side] = Some(state.listing(side));
        run.listed[side] = state.acts;
    }

    /// The table's part of `Engine::observe`.
    fn observe(&self, state: &State, run: &Run) -> Observed {
        let table: &Table = run.early.as_deref().unwrap_or(&state.table);
        let mut observed = Observed::empty(link(), at(run.looked));
        for side in Side::BOTH {
            if let Some(listing) = &run.listings[side] {
                observed.listings[side] = BTreeMap::clone(listing);
            }
        }
        observed.pairs = table.pairs.values().map(|pair| Pair::clone(pair)).collect();
        self.leave_out_bases(&mut observed);
        // `place_unpaired`
        for side in Side::BOTH {
            let paired: BTreeSet<_> = observed.pairs.iter().filter_map(|pair| pair.ids[side]).collect();
            let foreign = observed.listings[side]
                .keys()
                .filter(|id| !paired.contains(id) && table.places.contains_key(&(side, **id)));
            observed.foreign[side] = foreign.copied().collect();
        }
        self.gather_proofs(state, table, &mut observed);
        trace_origins(table, &mut observed, &self.settings().rules);
        observed
    }

    fn leave_out_bases(&self, observed: &mut Observed) {
        let listings = observed.listings.b.clone();
        for pair in &mut observed.pairs {
            if self.lacks(Rule::Base) {
                pair.base = None;
            }
            let now = pair.ids.b.and_then(|id| listings.get(&id));
            if let (true, Some(base), Some(now)) = (self.lacks(Rule::BaseOfBothSides), &mut pair.base, now) {
                base.b = now.content.clone();
            }
            if let (true, Some(intent)) = (self.lacks(Rule::CreateGrace), &mut pair.intent) {
                intent.until = intent.at;
            }
        }
    }

    /// Proofs of absent worklogs, and the one request about each of which nothing is known.
    fn gather_proofs(&self, state: &State, table: &Table, observed: &mut Observed) {
        for side in Side::BOTH {
            let absent: Vec<_> = observed
                .pairs
                .iter()
                .filter(|pair| pair.state == PairState::Live)
                .filter_map(|pair| Some((pair.ids[side]?, pair.written_at)))
                .filter(|(id, _)| observed.worklog(side, *id).is_none())
                .collect();
            for (id, written_at) in absent {
                if table.evidence.contains(&(side, id)) || self.lacks(Rule::ProofOfDelete) {
                    observed.proofs[side].insert(id, proof("tempo-webhook", observed.now));
                    continue;
                }
                let grace = self.settings().grace;
                if written_at.is_some_and(|at| observed.now < at + grace) {
                    continue;
                }
                if let Some(entry) = state.sites.entries[side].get(&id) {
                    let worklog = Worklog::clone(&entry.worklog);
                    observed.listings[side].insert(id, worklog);
                }
            }
        }
    }

    /// Plans on what the run has seen; what follows from that without looking at anything shared.
    fn plan(&self, run: &mut Run) -> Option<Verdict> {
        let observed = run.observed.clone()?;
        let made = plan(&observed, self.settings());
        if check::check(&made, &observed, self.settings()).is_err() {
            return Some(Verdict::PlanRefused);
        }
        run.look_again = made.look_again;
        let open = made.steps.iter().any(|step| !run.failed.contains(&step.pair.id));
        if !open || run.unfinished {
            run.finish(false);
            return None;
        }
        let records = made.steps.iter().any(is_record);
        run.step = made.steps.iter().take_while(|step| is_record(step)).count();
        run.plan = Some(Told::new(made));
        run.progress = false;
        if records {
            run.next = Next::Record;
            return None;
        }
        self.go_on(run)
    }

    /// To the next write of the plan, to the next plan, or to the end.
    fn go_on(&self, run: &mut Run) -> Option<Verdict> {
        while let Some(step) = run.current() {
            if !run.failed.contains(&step.pair.id) && !run.unfinished {
                // A step without the passing of minutes is none.
                run.next = if self.config.minutes > 0 {
                    Next::Stay
                } else {
                    Next::Begin
                };
                return None;
            }
            run.step += 1;
        }
        if run.progress {
            return self.plan(run);
        }
        run.finish(false);
        None
    }

    fn commit(&self, state: &mut State, worker: usize, run: &mut Run, ops: Vec<Op>) -> bool {
        let leased = state.due.as_ref().and_then(|due| due.lease);
        let fenced = leased.is_some_and(|(owner, _)| owner == Owner::Worker(worker));
        let through =
            (fenced || self.lacks(Rule::Fence)) && state.table.commit(ops, !self.lacks(Rule::RowCondition));
        if !through {
            run.finish(true);
        }
        through
    }

    fn record(&self, state: &mut State, worker: usize, run: &mut Run) {
        let (Some(made), Some(observed)) = (run.plan.clone(), run.observed.clone()) else {
            return;
        };
        let mut ops = Vec::new();
        let mut pairs = Vec::new();
        for step in made.steps.iter().filter(|step| is_record(step)) {
            let mut pair = step.pair.clone();
            pair.rev += 1;
            ops.extend(table::places(&pair));
            if let Some(row) = run.known(&pair.id) {
                ops.extend(table::left_behind(row, &pair));
            }
            if matches!(step.action, Action::Record(Recorded::Adopt)) {
                ops.extend(adopted(&state.table, step, &pair, &observed));
            }
            ops.push(Op::PutPair(Box::new(pair.clone())));
            pairs.push(pair);
        }
        if self.commit(state, worker, run, ops) {
            for pair in &pairs {
                run.replace(pair, |_| ());
            }
            run.progress = true;
            state.verdict = state.verdict.or(self.go_on(run));
        }
    }

    fn stay(&self, state: &mut State, worker: usize, run: &mut Run) {
        if state.now > run.renewed + LEASE / 3 {
            match state.due.as_mut().and_then(|due| due.lease.as_mut()) {
                Some((owner, until)) if *owner == Owner::Worker(worker) => *until = state.now + LEASE,
                _ => return run.finish(true),
            }
            run.renewed = state.now;
        }
        let same = |due: &table::Due| due.generation == run.generation;
        if state.now > run.looked + FRESH && !state.due.as_ref().is_some_and(same) {
            run.unfinished = true;
            return run.finish(false);
        }
        run.next = Next::Begin;
    }

    fn begin(&self, state: &mut State, worker: usize, run: &mut Run) {
        let Some((step, side)) = run.current().and_then(|step| Some((step.clone(), step.side()?))) else {
            return;
        };
        let begun = run.known(&step.pair.id).filter(|row| row.rev > step.pair.rev);
        let before = begun.cloned().unwrap_or_else(|| step.pair.clone());
        let now = state.now;
        let mut row = step.begun(&before, at(now), at(now + ATTEMPT), &self.settings().rules);
        run.next = Next::Sent;
        if self.lacks(Rule::IntentBeforeWrite) {
            run.row = Some((Told::new(row), now));
            return;
        }
        row.rev += 1;
        let mut ops = vec![Op::PutPair(Box::new(row.clone()))];
        if let Action::Create { .. } = step.action {
            ops.extend(table::places(&row));
            if let Some(root) = root(&state.table, &step, side) {
                ops.push(Op::PutClaim(root, side, None));
            }
        }
        if let Some(known) = run.known(&row.id) {
            ops.extend(table::left_behind(known, &row));
        }
        run.row = Some((Told::new(row), now));
        self.commit(state, worker, run, ops);
    }

    pub(crate) fn too_late(&self, state: &State, run: &Run) -> bool {
        let old = run
            .row
            .as_ref()
            .is_some_and(|(_, since)| state.now > since + LATE);
        old && !self.lacks(Rule::SentWhileFresh)
    }

    /// The machine slept between intent and call.
    fn give_up(&self, state: &mut State, worker: usize, run: &mut Run) {
        let Some((row, _)) = run.row.take() else { return };
        let mut row = Pair::clone(&row);
        row.had_no_effect(&self.settings().rules);
        run.unfinished = true;
        if self.put(state, worker, run, row) {
            run.finish(false);
        }
    }

    fn sent(&self, state: &mut State, run: &mut Run, fate: Fate) {
        let Some((step, side)) = run.current().and_then(|step| Some((step.clone(), step.side()?))) else {
            return;
        };
        let write = match &step.action {
            Action::Create { body, .. } => Write::Create(Told::new(body.clone())),
            Action::Update { worklog, body, .. } => Write::Update(*worklog, Told::new(body.clone())),
            Action::Delete { worklog, .. } => Write::Delete(*worklog),
            Action::Record(_) => return,
        };
        let request = Request {
            side,
            write,
            twin: step.pair.ids[side.other()].or_else(|| {
                // A twin that an edit brings back begins anew from the one that was edited.
                run.known(&step.pair.id).and_then(|row| row.ids[side.other()])
            }),
            listed: run.listed,
            until: state.now + GRACE,
        };
        let mut answer = None;
        match fate {
            Fate::Answered | Fate::AnswerLost => {
                let (given, verdict) = state.sites.serve(&request, state.now);
                state.verdict = state.verdict.or(verdict);
                answer = Some(given).filter(|_| fate == Fate::Answered);
            }
            Fate::RequestLost => {}
            Fate::Late => state.on_their_way.push(request),
        }
        run.next = Next::Answered(answer);
    }

    fn answered(&self, state: &mut State, worker: usize, run: &mut Run, answer: Option<Answer>) {
        let Some((step, side)) = run.current().and_then(|step| Some((step.clone(), step.side()?))) else {
            return;
        };
        let Some((row, _)) = run.row.take() else { return };
        let mut row = Pair::clone(&row);
        let through = match answer {
            None => {
                // The intent stays: the next run looks for what became of it.
                if self.lacks(Rule::IntentBeforeWrite) {
                    row.intent = None;
                }
                let is_over = self.lacks(Rule::AttemptLasts);
                let over = |intent: &&mut Intent| is_over || intent.kind == IntentKind::Create;
                if let Some(intent) = row.intent.as_mut().filter(over) {
                    intent.until = at(state.now);
                }
                self.keep(state, worker, run, row)
            }
            Some(Answer::NotFound) if !matches!(step.action, Action::Delete { .. }) => {
                row.had_no_effect(&self.settings().rules);
                self.keep(state, worker, run, row)
            }
            Some(Answer::NotFound) if is_unseen(&step, side, run) => {
                self.lost_sight(state, worker, run, &step, &row)
            }
            Some(Answer::Worklog(worklog)) => {
                self.done(state, worker, run, &step, side, &row, Some(&worklog))
            }
            Some(_) => self.done(state, worker, run, &step, side, &row, None),
        };
        if through {
            run.step += 1;
            state.verdict = state.verdict.or(self.go_on(run));
        }
    }

    /// Leaves a pair for a later run.
    fn keep(&self, state: &mut State, worker: usize, run: &mut Run, row: Pair) -> bool {
        run.failed.insert(row.id.clone());
        run.trouble = true;
        self.put(state, worker, run, row)
    }

    fn put(&self, state: &mut State, worker: usize, run: &mut Run, mut row: Pair) -> bool {
        row.rev += 1;
        let mut ops = vec![Op::PutPair(Box::new(row.clone()))];
        if let Some((step, side)) = run.current().and_then(|step| Some((step.clone(), step.side()?)))
            && row.intent.is_none()
            && row.ids[side].is_none()
            && let Some(root) = root(&state.table, &step, side)
        {
            ops.push(Op::DropClaim(root, side));
        }
        let through = self.commit(state, worker, run, ops);
        if through {
            run.replace(&row, |_| ());
        }
        through
    }

    fn lost_sight(&self, state: &mut State, worker: usize, run: &mut Run, step: &Step, row: &Pair) -> bool {
        let now = at(state.now);
        let retry = now + self.settings().look_at_missing;
        let detail = "it is out of sight".into();
        let mut row = step.refused(row, Reason::Missing, detail, now, retry, &self.settings().rules);
        row.rev += 1;
        let through = self.commit(state, worker, run, vec![Op::PutPair(Box::new(row.clone()))]);
        if through {
            run.failed.insert(row.id.clone());
            run.replace(&row, |_| ());
        }
        through
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "everything that is known of one step that went through"
    )]
    fn done(
        &self,
        state: &mut State,
        worker: usize,
        run: &mut Run,
        step: &Step,
        side: Side,
        row: &Pair,
        answer: Option<&Worklog>,
    ) -> bool {
        let now = at(state.now);
        let retry = at(state.now + PARK_RETRY);
        let mut pair = step.done(row, answer, now, retry, &self.settings().rules);
        pair.rev += 1;
        let mut ops = vec![Op::PutPair(Box::new(pair.clone()))];
        ops.extend(table::places(&pair));
        ops.extend(table::left_behind(row, &pair));
        if let (Some(answer), Some(root)) = (answer, root(&state.table, step, side)) {
            let from = side.other();
            let observed = run.observed.as_ref();
            let edited_at = observed
                .and_then(|seen| Some(seen.edited_at(from, seen.worklog(from, pair.ids[from]?)?)))
                .unwrap_or(answer.updated_at);
            let origin = Origin {
                root,
                written_updated_at: answer.updated_at,
                edited_at,
            };
            ops.push(Op::PutOrigin((side, answer.id), origin));
            if let Action::Create { .. } = step.action {
                ops.push(Op::PutClaim(root, side, Some(answer.id)));
            }
        }
        if let Action::Delete { worklog, .. } = step.action {
            ops.push(Op::PutEvidence((side, worklog)));
        }
        if !self.commit(state, worker, run, ops) {
            return false;
        }
        if pair.wait.is_some() {
            run.failed.insert(pair.id.clone());
        }
        run.replace(&pair, |observed| match (&step.action, answer) {
            (Action::Delete { worklog, .. }, _) => {
                observed.listings[side].remove(worklog);
                observed.proofs[side].insert(*worklog, proof("own-delete", now));
            }
            (_, Some(answer)) => {
                observed.listings[side].insert(answer.id, answer.clone());
            }
            (_, None) => {}
        });
        run.progress = true;
        true
    }
}

/// `Engine::finish_done` and `finish_failed`.
fn finish_done(run: &Run, now: u32, lost: bool) -> Finish {
    let look_again = run.look_again.map(|when| {
        let second = when.duration_since(at(0)).as_secs();
        u32::try_from(second).unwrap_or(0).max(now)
    });
    let wakes = [
        (run.trouble || lost).then_some(now + BACKOFF),
        (run.unfinished && !lost).then_some(now),
        look_again.filter(|_| !lost),
    ];
    match wakes.into_iter().flatten().min() {
        Some(at) => Finish::Again(at),
        None => Finish::Done,
    }
}

fn is_record(step: &Step) -> bool {
    matches!(step.action, Action::Record(_))
}

fn proof(source: &str, at: Timestamp) -> Proof {
    Proof {
        source: source.to_string(),
        at,
        moved_to: None,
    }
}

/// Says whether a delete was for a worklog that nobody had seen, and that no earlier attempt can have taken away.
fn is_unseen(step: &Step, side: Side, run: &Run) -> bool {
    let Action::Delete { worklog, .. } = &step.action else {
        return false;
    };
    let tried = run
        .known(&step.pair.id)
        .and_then(|row| row.intent.as_ref())
        .is_some_and(|intent| intent.kind == IntentKind::Delete);
    let seen = run
        .observed
        .as_ref()
        .is_some_and(|seen| seen.worklog(side, *worklog).is_some());
    !seen && !tried
}

/// The worklog at the start of the chain that a write carries on.
fn root(table: &Table, step: &Step, side: Side) -> Option<Key> {
    match &step.action {
        Action::Create { .. } => {
            let from = side.other();
            step.pair.ids[from].map(|id| table.root((from, id)))
        }
        Action::Update { .. } => step.pair.ids[side].map(|id| table.root((side, id))),
        _ => None,
    }
}

/// The rows about where an adopted twin came from, after an interrupted create.
fn adopted(table: &Table, step: &Step, pair: &Pair, observed: &Observed) -> Vec<Op> {
    let interrupted = observed
        .pairs
        .iter()
        .find(|row| row.id == pair.id)
        .and_then(|row| row.intent.as_ref().or(row.abandoned.last()))
        .map(|intent| intent.side);
    let Some(to) = interrupted else { return Vec::new() };
    let (Some(source), Some(twin)) = (pair.ids[to.other()], pair.ids[to]) else {
        return Vec::new();
    };
    if table.origins.contains_key(&(to, twin)) {
        return Vec::new();
    }
    let root = table.root((to.other(), source));
    let listed = observed.worklog(to, twin);
    let edited = observed
        .worklog(to.other(), source)
        .map(|source| observed.edited_at(to.other(), source));
    let (Some(listed), Some(edited_at)) = (listed, edited) else {
        return Vec::new();
    };
    let same = |base: &Sides<Content>| base[to] == listed.content;
    let edited_at = if step.pair.base.as_ref().is_some_and(same) {
        edited_at
    } else {
        listed.updated_at
    };
    let origin = Origin {
        root,
        written_updated_at: listed.updated_at,
        edited_at,
    };
    vec![
        Op::PutClaim(root, to, Some(twin)),
        Op::PutOrigin((to, twin), origin),
    ]
}

/// Follows worklogs back to where they came from.
fn trace_origins(table: &Table, observed: &mut Observed, rules: &tandem_core::rules::Rules) {
    let mut asked: BTreeSet<Key> = BTreeSet::new();
    let mut unpaired: BTreeSet<Key> = BTreeSet::new();
    for side in Side::BOTH {
        let half: BTreeSet<_> = observed
            .pairs
            .iter()
            .filter(|pair| pair.state == PairState::Live && pair.ids[side.other()].is_none())
            .filter_map(|pair| pair.ids[side])
            .collect();
        let paired: BTreeSet<_> = observed.pairs.iter().filter_map(|pair| pair.ids[side]).collect();
        for id in observed.listings[side].keys() {
            let new = !paired.contains(id) && !observed.foreign[side].contains(id);
            if new || half.contains(id) {
                unpaired.insert((side, *id));
            }
        }
    }
    asked.extend(&unpaired);
    for pair in &observed.pairs {
        let now = Sides::from_fn(|side| pair.ids[side].and_then(|id| observed.worklog(side, id)));
        if let (Some(base), Some(a), Some(b)) = (&pair.base, now.a, now.b)
            && field::changed(Side::A, &base.a, &a.content, rules)
            && field::changed(Side::B, &base.b, &b.content, rules)
        {
            asked.extend([(Side::A, a.id), (Side::B, b.id)]);
        }
    }
    for (side, id) in asked {
        let Some(origin) = table.origins.get(&(side, id)) else {
            continue;
        };
        let untouched = observed
            .worklog(side, id)
            .is_some_and(|worklog| worklog.updated_at == origin.written_updated_at);
        if untouched {
            observed.edited[side].insert(id, origin.edited_at);
        }
    }
    for (side, id) in unpaired {
        let there = side.other();
        let root = table.root((side, id));
        if table.claims.contains_key(&(root, there)) || root.0 != there {
            continue;
        }
        let gone = observed.worklog(there, root.1).is_none() && table.evidence.contains(&root);
        if !gone {
            observed.copies[side].insert(id, Copy::Known(root.1));
        }
    }
}

/// The engine's patience, and one person who has an account on either site.
pub(crate) fn settings(without: Option<Rule>) -> Settings {
    let mut settings = Settings::default();
    let people = crate::sites::PEOPLE;
    settings.rules.authors = vec![(people.a.into(), people.b.into())];
    settings.grace = match without {
        Some(Rule::CreateGrace) => SignedDuration::ZERO,
        _ => SignedDuration::from_secs(GRACE.into()),
    };
    settings
}
