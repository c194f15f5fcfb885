//! The states, the actions, and what must hold.

use stateright::{Model, Property};
use tandem_core::observed::Settings;
use tandem_core::plan::{Action as Planned, Recorded, Step};
use tandem_core::{Content, Side, Worklog, WorklogId};

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::config::{Config, Rule};
use crate::run::{self, Fate, LEASE, Next, Run};
use crate::sites::{Request, Sites, Verdict};
use crate::table::{self, Due, Owner, Table};
use crate::told::Told;

/// How often a world at rest looks again by itself: at what waits, or by a sweep.
const RESTS_MAX: u8 = 12;

/// The protocol under one configuration.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// What happens, and which rule is left out.
    pub config: Config,
    pub(crate) settings: Settings,
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The clock, in seconds. An act takes one; all else takes none, but for [`Action::Minute`] and
    /// [`Action::Wait`].
    pub now: u32,
    /// Acts of people so far.
    pub acts: u8,
    /// What may still happen.
    pub left: Left,
    /// The sites.
    pub sites: Sites,
    /// The table's rows about pairs.
    pub table: Table,
    /// The table's due row.
    pub due: Option<Due>,
    /// Webhooks on their way, in no order.
    pub webhooks: Vec<Webhook>,
    /// Writes that nothing was heard of, on their way.
    pub on_their_way: Vec<Request>,
    /// The workers: `None` while idle.
    pub workers: [Option<Box<Run>>; 2],
    /// The promise that was broken, if one was.
    pub verdict: Option<Verdict>,
}

/// What may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    acts: u8,
    logs: u8,
    crashes: u8,
    lost_answers: u8,
    late_effects: u8,
    repeated_hints: u8,
    lost_hints: u8,
    minutes: u8,
    rests: u8,
    /// Whether the last thing that a world at rest did was to sweep: then what waits has its turn.
    swept: bool,
}

/// A webhook of a person's act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Webhook {
    /// The side.
    pub side: Side,
    /// The worklog.
    pub worklog: WorklogId,
    /// Whether it tells of a delete.
    pub deleted: bool,
}

/// What happens from one state to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A person logs time.
    Log(Side),
    /// A person edits the hours.
    EditHours(Side, WorklogId),
    /// A person edits the text.
    EditText(Side, WorklogId),
    /// A person deletes a worklog.
    DeleteByHand(Side, WorklogId),
    /// A webhook arrives: `ingest`, `hint`.
    Hint(Webhook),
    /// A webhook arrives and will arrive again.
    HintRepeated(Webhook),
    /// A webhook is lost.
    HintLost(Webhook),
    /// The sweep finds what no webhook told.
    Sweep,
    /// A minute passes.
    Minute,
    /// Nothing goes on until what waits is due, or a lease has run out.
    Wait,
    /// A write that nothing was heard of takes effect.
    TakesEffect(usize),
    /// It never will.
    NeverTakesEffect(usize),
    /// A worker dies.
    Crash(usize),
    /// A worker takes the due row.
    Take(usize),
    /// A worker lists a side.
    List(usize, Side),
    /// A worker reads the table, plans and checks.
    Plan(usize),
    /// A worker commits the plan's rows.
    Record(usize),
    /// A worker looks after its lease.
    Stay(usize),
    /// A worker commits an intent.
    Begin(usize),
    /// A worker sends a create, an update or a delete.
    Sent(usize, Fate),
    /// A worker that slept since its intent takes it back.
    GiveUp(usize),
    /// A worker commits the answer.
    Answered(usize),
    /// A worker ends its look.
    Finish(usize),
}

impl State {
    pub(crate) fn listing(&self, side: Side) -> Told<BTreeMap<WorklogId, Worklog>> {
        Told::new(self.sites.list(side))
    }

    fn act(&mut self) -> u8 {
        self.left.acts -= 1;
        self.left.swept = false;
        self.acts += 1;
        self.advance(1);
        self.acts
    }

    fn advance(&mut self, seconds: u32) {
        self.now += seconds;
        let now = self.now;
        self.on_their_way.retain(|request| request.until > now);
    }

    fn announce(&mut self, side: Side, worklog: WorklogId, deleted: bool) {
        self.webhooks.push(Webhook {
            side,
            worklog,
            deleted,
        });
        self.webhooks.sort();
    }

    fn ingest(&mut self, webhook: Webhook) {
        if webhook.deleted {
            self.table.evidence.insert((webhook.side, webhook.worklog));
        }
        table::hint(&mut self.due, self.now);
    }

    fn arrived(&mut self, webhook: Webhook) {
        if let Some(at) = self.webhooks.iter().position(|one| *one == webhook) {
            self.webhooks.remove(at);
        }
    }

    fn idle(&self) -> bool {
        self.workers.iter().all(Option::is_none)
    }

    /// Whether the due row can be taken now.
    fn ready(&self, leases: bool) -> bool {
        self.due.as_ref().is_some_and(|due| {
            let free = due.lease.is_none_or(|(_, until)| !leases || until <= self.now);
            free && due.next_attempt <= self.now
        })
    }

    /// When the due row can be taken, if that takes time alone.
    fn wakes_at(&self) -> Option<u32> {
        let due = self.due.as_ref()?;
        let free = due.lease.map_or(0, |(_, until)| until);
        Some(due.next_attempt.max(free))
    }

    /// What a sweep would find: worklogs that the table does not account for, and deletes without evidence.
    fn news(&self) -> (bool, Vec<table::Key>) {
        let unknown = Side::BOTH.into_iter().any(|side| {
            self.sites.entries[side].values().any(|entry| {
                let place = self.table.places.get(&(side, entry.worklog.id));
                place.is_none_or(|place| {
                    place.live && place.seen.is_none_or(|seen| seen < entry.worklog.updated_at)
                })
            })
        });
        let deletes = self
            .sites
            .deleted
            .iter()
            .map(|gone| (gone.side, gone.id))
            .chain(self.sites.taken_away.iter().copied())
            .filter(|key| !self.table.evidence.contains(key))
            .collect();
        (unknown, deletes)
    }

    /// Says whether Tandem has heard how a worklog came to say what it does, where that was Tandem's doing.
    fn heard_of(&self, side: Side, id: WorklogId) -> bool {
        let says = |content: &Content| {
            let entry = self.sites.entries[side].get(&id);
            entry.is_some_and(|entry| entry.worklog.content == *content)
        };
        let unheard = self.table.pairs.values().any(|pair| {
            let intent = pair.intent.as_ref();
            intent.is_some_and(|intent| intent.side == side && says(&intent.body))
        });
        self.table.places.contains_key(&(side, id)) && !unheard
    }

    /// Says whether a pair waits, with a reason for people.
    pub fn waits(&self) -> bool {
        self.table.pairs.values().any(|pair| pair.wait.is_some())
    }

    fn runs(&self) -> impl Iterator<Item = &Run> {
        self.workers.iter().flatten().map(|run| &**run)
    }

    /// Says whether a run is about to write on a worklog that says something else by now.
    fn is_overtaken(&self, run: &Run) -> bool {
        let Some(Planned::Update {
            side,
            worklog,
            before,
            ..
        }) = run.current().map(|step| &step.action)
        else {
            return false;
        };
        let now = self.sites.entries[*side].get(worklog);
        run.next == Next::Sent && now.is_some_and(|entry| entry.worklog.content != *before)
    }

    /// Which of two workers is the first is not told apart.
    fn ordered(mut self) -> Self {
        let [first, second] = &self.workers;
        let digest = |run: &Option<Box<Run>>| {
            let mut hasher = DefaultHasher::new();
            run.hash(&mut hasher);
            hasher.finish()
        };
        if first != second && digest(first) > digest(second) {
            self.workers.swap(0, 1);
            if let Some((Owner::Worker(worker), _)) = self.due.as_mut().and_then(|due| due.lease.as_mut()) {
                *worker = 1 - *worker;
            }
        }
        self
    }
}

impl Protocol {
    /// The protocol under a configuration.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            settings: run::settings(config.without),
        }
    }

    /// What goes on by itself, without people and without faults.
    fn by_itself(&self, state: &State, actions: &mut Vec<Action>) {
        let leases = self.config.without != Some(Rule::Lease);
        for worker in 0..self.config.workers {
            match &state.workers[worker] {
                // One idle worker is like another.
                None if worker == 1 && state.workers[0].is_none() => {}
                None if state.ready(leases) => actions.push(Action::Take(worker)),
                None => {}
                Some(run) => actions.push(match run.next {
                    Next::ListA => Action::List(worker, Side::A),
                    Next::ListB => Action::List(worker, Side::B),
                    Next::Plan => Action::Plan(worker),
                    Next::Record => Action::Record(worker),
                    Next::Stay => Action::Stay(worker),
                    Next::Begin => Action::Begin(worker),
                    Next::Sent if self.too_late(state, run) => Action::GiveUp(worker),
                    Next::Sent => Action::Sent(worker, Fate::Answered),
                    Next::Answered(_) => Action::Answered(worker),
                    Next::Finish(_) => Action::Finish(worker),
                }),
            }
        }
        let mut webhooks = state.webhooks.clone();
        webhooks.dedup();
        actions.extend(webhooks.into_iter().map(Action::Hint));
        for request in 0..state.on_their_way.len() {
            actions.extend([Action::TakesEffect(request), Action::NeverTakesEffect(request)]);
        }
        let resting = state.idle() && state.webhooks.is_empty() && !state.ready(leases);
        if resting && state.left.rests > 0 {
            let (unknown, deletes) = state.news();
            let news = unknown || !deletes.is_empty();
            if self.config.sweep && news && !state.left.swept && state.on_their_way.is_empty() {
                actions.push(Action::Sweep);
            } else if state.wakes_at().is_some() {
                actions.push(Action::Wait);
            }
        }
    }

    fn people(&self, state: &State, actions: &mut Vec<Action>) {
        if state.left.acts == 0 {
            return;
        }
        for side in Side::BOTH {
            if state.left.logs > 0 {
                actions.push(Action::Log(side));
            }
            for id in state.sites.entries[side].keys() {
                actions.push(Action::EditHours(side, *id));
                if self.config.texts {
                    actions.push(Action::EditText(side, *id));
                }
                actions.push(Action::DeleteByHand(side, *id));
            }
        }
    }

    fn faults(&self, state: &State, actions: &mut Vec<Action>) {
        for (worker, run) in state.workers.iter().enumerate() {
            let Some(run) = run else { continue };
            if state.left.crashes > 0 {
                actions.push(Action::Crash(worker));
            }
            if run.next == Next::Sent && !self.too_late(state, run) {
                if state.left.lost_answers > 0 {
                    actions.push(Action::Sent(worker, Fate::AnswerLost));
                    actions.push(Action::Sent(worker, Fate::RequestLost));
                }
                if state.left.late_effects > 0 {
                    actions.push(Action::Sent(worker, Fate::Late));
                }
            }
        }
        let mut webhooks = state.webhooks.clone();
        webhooks.dedup();
        for webhook in webhooks {
            if state.left.repeated_hints > 0 {
                actions.push(Action::HintRepeated(webhook));
            }
            if state.left.lost_hints > 0 {
                actions.push(Action::HintLost(webhook));
            }
        }
        if state.left.minutes > 0 && state.due.is_some() {
            actions.push(Action::Minute);
        }
    }

    /// Says whether nothing goes on by itself any more.
    pub fn at_rest(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        self.by_itself(state, &mut actions);
        actions.is_empty()
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let config = &self.config;
        vec![State {
            now: 0,
            acts: 0,
            left: Left {
                acts: config.acts,
                logs: config.logs,
                crashes: config.crashes,
                lost_answers: config.lost_answers,
                late_effects: config.late_effects,
                repeated_hints: config.repeated_hints,
                lost_hints: config.lost_hints,
                minutes: config.minutes,
                rests: RESTS_MAX,
                swept: false,
            },
            sites: Sites::default(),
            table: Table::default(),
            due: None,
            webhooks: Vec::new(),
            on_their_way: Vec::new(),
            workers: [None, None],
            verdict: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.verdict.is_some() {
            return;
        }
        self.by_itself(state, actions);
        self.people(state, actions);
        self.faults(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Log(side) => {
                let act = state.act();
                state.left.logs -= 1;
                let id = state.sites.log(side, act, state.now);
                state.announce(side, id, false);
            }
            Action::EditHours(side, id) => {
                let act = state.act();
                state
                    .sites
                    .edit(side, id, |entered| entered.hours = act, state.now);
                state.announce(side, id, false);
            }
            Action::EditText(side, id) => {
                let act = state.act();
                state
                    .sites
                    .edit(side, id, |entered| entered.text = act, state.now);
                state.announce(side, id, false);
            }
            Action::DeleteByHand(side, id) => {
                let act = state.act();
                let heard = state.heard_of(side, id);
                state.sites.delete(side, id, act, heard);
                state.announce(side, id, true);
            }
            Action::Hint(webhook) => {
                state.arrived(webhook);
                state.ingest(webhook);
            }
            Action::HintRepeated(webhook) => {
                state.left.repeated_hints -= 1;
                state.ingest(webhook);
            }
            Action::HintLost(webhook) => {
                state.left.lost_hints -= 1;
                state.arrived(webhook);
            }
            Action::Sweep => {
                state.left.rests -= 1;
                state.left.swept = true;
                let (_, deletes) = state.news();
                if self.config.without != Some(Rule::Evidence) {
                    state.table.evidence.extend(deletes);
                }
                table::hint(&mut state.due, state.now);
            }
            Action::Minute => {
                state.left.minutes -= 1;
                state.advance(60);
            }
            Action::Wait => {
                state.left.rests -= 1;
                state.left.swept = false;
                let until = state.wakes_at()?;
                let seconds = until.saturating_sub(state.now);
                state.advance(seconds);
            }
            Action::TakesEffect(request) => {
                let request = state.on_their_way.remove(request);
                let (_, verdict) = state.sites.serve(&request, state.now);
                state.verdict = state.verdict.or(verdict);
            }
            Action::NeverTakesEffect(request) => {
                state.on_their_way.remove(request);
            }
            Action::Crash(worker) => {
                state.left.crashes -= 1;
                state.workers[worker] = None;
                let lease = state.due.as_mut().and_then(|due| due.lease.as_mut());
                if let Some((owner, _)) = lease.filter(|(owner, _)| *owner == Owner::Worker(worker)) {
                    *owner = Owner::Dead;
                }
            }
            Action::Take(worker) => {
                let due = state.due.as_mut()?;
                due.lease = Some((Owner::Worker(worker), state.now + LEASE));
                due.hinted = false;
                state.workers[worker] = Some(Box::new(Run::taken(due.generation, state.now)));
            }
            Action::Sent(worker, fate) => {
                match fate {
                    Fate::Answered => {}
                    Fate::AnswerLost | Fate::RequestLost => state.left.lost_answers -= 1,
                    Fate::Late => state.left.late_effects -= 1,
                }
                self.step(&mut state, worker, fate);
            }
            Action::List(worker, _)
            | Action::Plan(worker)
            | Action::Record(worker)
            | Action::Stay(worker)
            | Action::Begin(worker)
            | Action::GiveUp(worker)
            | Action::Answered(worker)
            | Action::Finish(worker) => self.step(&mut state, worker, Fate::Answered),
        }
        Some(state.ordered())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(CREATE_ONCE, |_, state: &State| {
                Side::BOTH.into_iter().all(|side| state.sites.copies(side) <= 1)
            }),
            Property::always(NO_LOST_UPDATE, |_, state: &State| {
                !matches!(
                    state.verdict,
                    Some(Verdict::Overwritten | Verdict::DeletedWithNews)
                )
            }),
            Property::always(NO_DELETE_UNBIDDEN, |_, state: &State| {
                state.verdict != Some(Verdict::DeletedUnbidden)
            }),
            Property::always(NO_RETURN, |_, state: &State| {
                state.verdict != Some(Verdict::CameBack)
            }),
            Property::always(NO_PLAN_REFUSED, |_, state: &State| {
                state.verdict != Some(Verdict::PlanRefused)
            }),
            Property::always(EQUAL_AT_REST, |model: &Self, state: &State| {
                state.verdict.is_some() || state.sites.equal() || !model.at_rest(state)
            }),
        ];
        if self.config.without.is_none() {
            properties.extend(self.what_happens());
        }
        properties
    }
}

impl Protocol {
    /// What has to be met on the way, lest the model prove something about a world in which nothing happens.
    fn what_happens(&self) -> Vec<Property<Self>> {
        let config = &self.config;
        let mut happens = vec![Property::sometimes("a twin is made", |_, state: &State| {
            let twins = state.sites.entries.a.values();
            twins.into_iter().any(|a| {
                let mut others = state.sites.entries.b.values();
                others.any(|b| a.root == b.root)
            })
        })];
        if config.acts > 1 {
            happens.extend([
                Property::sometimes("a newer hint outlives a look", |_, state: &State| {
                    let ends = state.runs().any(|run| run.next == Next::Finish(false));
                    ends && state.due.as_ref().is_some_and(|due| due.hinted)
                }),
                Property::sometimes("a delete is carried over", |_, state: &State| {
                    state
                        .runs()
                        .any(|run| run.current().is_some_and(|step| is_delete(&step.action)))
                }),
            ]);
        }
        if config.acts > 2 {
            happens.extend([
                Property::sometimes("both sides are edited", |_, state: &State| {
                    let loses = |step: &Step| !step.lost.is_empty();
                    state.runs().any(|run| run.current().is_some_and(loses))
                }),
                Property::sometimes("an edit wins over a delete", |_, state: &State| {
                    let revives = |step: &Step| {
                        let from_edit = step.pair.rev > 1 && !state.sites.deleted.is_empty();
                        from_edit && matches!(step.action, Planned::Create { .. })
                    };
                    state.runs().any(|run| run.current().is_some_and(revives))
                }),
                Property::sometimes(
                    "a person edits between a run's look and its write",
                    |_, state: &State| state.runs().any(|run| state.is_overtaken(run)),
                ),
            ]);
        }
        if config.crashes + config.lost_answers > 0 {
            happens.push(Property::sometimes(
                "what an interrupted create made is found",
                |_, state: &State| {
                    state.runs().any(|run| {
                        let adopts = |step: &Step| matches!(step.action, Planned::Record(Recorded::Adopt));
                        run.plan
                            .as_ref()
                            .is_some_and(|plan| plan.steps.iter().any(adopts))
                    })
                },
            ));
            happens.push(Property::sometimes(
                "an interrupted create is given up on",
                |_, state: &State| state.table.pairs.values().any(|pair| !pair.abandoned.is_empty()),
            ));
        }
        if config.minutes > 0 && config.workers > 1 {
            happens.push(Property::sometimes(
                "a lease is taken from a run",
                |_, state: &State| {
                    let both = state.runs().count() == 2;
                    both && state.due.as_ref().is_some_and(|due| due.lease.is_some())
                },
            ));
        }
        happens
    }
}

fn is_delete(action: &Planned) -> bool {
    matches!(action, Planned::Delete { .. })
}

/// No site ever shows two worklogs that come from the same root.
pub const CREATE_ONCE: &str = "create-once";
/// No person's value gives way to an older one.
pub const NO_LOST_UPDATE: &str = "no-lost-update";
/// Nothing is deleted that nobody deleted.
pub const NO_DELETE_UNBIDDEN: &str = "no-delete-unbidden";
/// Nothing that a person deleted comes back, but by the policy that an edit wins.
pub const NO_RETURN: &str = "no-return";
/// The plan checker finds nothing.
pub const NO_PLAN_REFUSED: &str = "no-plan-refused";
/// When nothing goes on any more, both sides are equal.
pub const EQUAL_AT_REST: &str = "equal-at-rest";
