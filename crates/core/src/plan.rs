//! What has to be done to bring the two sides of a link together.
//!
//! The planner is a function of what was observed. It leaves no choice to execution: a step says what is
//! written, where, why, and what the pair's row says before and after. After a plan has been executed, planning
//! again gives an empty plan.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;

use crate::field::changed;
use crate::ids::{AccountId, PairId, Side, Sides, WorklogId};
use crate::merge::Lost;
use crate::observed::{Observed, Settings};
use crate::pair::{Pair, PairState, Unmet, Wait};
use crate::reason::Reason;
use crate::render::Unrenderable;
use crate::rules::Rules;
use crate::worklog::{Content, Worklog};

mod absent;
mod adopt;
mod both;
mod choose;
mod half;
mod newcomers;

pub use crate::step::{Action, Made, Recorded, Step};

/// Steps per plan. What is left over comes with the next plan, so that an issue with very many worklogs does not
/// need very much memory.
pub const STEPS_MAX: usize = 1000;

/// The steps for one link, in the order in which they are safe, and when to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// The earliest moment at which something that waits for time alone should be looked at.
    pub look_again: Option<Timestamp>,
}

/// Returns the steps that bring the sides together.
pub fn plan(observed: &Observed, settings: &Settings) -> Plan {
    let mut planner = Planner::new(observed, settings);
    planner.run();
    if let Some(at) = observed.known_by.filter(|at| *at > observed.now) {
        planner.look_at(at);
    }
    // Rows first: they cost nothing and later steps may rest on them. Deletes make room under a site's cap of
    // hours per day before creates fill it. What a site has failed at before comes after all else, what was tried longest
    // ago first: a run ends where a site seems not to answer, and nothing may stand behind the same few for ever.
    let mut steps = std::mem::take(&mut planner.plan.steps);
    steps.sort_by_cached_key(|step| {
        let tried = || planner.row(&step.pair.id).and_then(Pair::last_attempt);
        match &step.action {
            Action::Record(_) => (None, 0),
            Action::Delete { .. } => (tried(), 1),
            Action::Update { .. } => (tried(), 2),
            Action::Create { .. } => (tried(), 3),
        }
    });
    planner.plan.steps = steps;
    planner.plan
}

/// Returns what is recorded when a person was told of what another tool copied, and has it taken over: before anything is
/// written to a site, so that whatever becomes of a copy from then on happens to a twin. To be asked again until there
/// is no step more.
pub fn take_over(observed: &Observed, settings: &Settings) -> Plan {
    let mut planner = Planner::new(observed, settings);
    planner.adopt_copies(true);
    planner.plan
}

/// Worklogs of which one may be the twin of another that waits for a person.
fn rivals(observed: &Observed, side: Side) -> impl Iterator<Item = &WorklogId> {
    let waiting = move |pair: &&Pair| pair.state == PairState::Live && pair.ids[side].is_none();
    observed
        .pairs
        .iter()
        .filter(waiting)
        .flat_map(|pair| &pair.rivals)
}

/// Worklogs by author, day and time worked.
type ByWork<'o> = BTreeMap<(&'o AccountId, Date, u64), Vec<&'o Worklog>>;

struct Planner<'o> {
    observed: &'o Observed,
    settings: &'o Settings,
    rules: &'o Rules,
    plan: Plan,
    /// Worklogs that belong to a pair, or that a step of this plan has claimed.
    taken: Sides<BTreeSet<WorklogId>>,
    /// Worklogs that have a twin or are another's, where copies are taken over.
    claimed: Sides<BTreeSet<WorklogId>>,
    /// Of those taken, what creates of unknown outcome may have made where nobody can tell which is whose.
    disputed: Sides<BTreeSet<WorklogId>>,
    rows: BTreeMap<&'o PairId, &'o Pair>,
    /// Worklogs that no pair knows at the start.
    unpaired: Sides<ByWork<'o>>,
    /// Pairs that remember creates that were given up on.
    with_abandoned: Vec<&'o Pair>,
    /// What is found to have taken effect, by pair, until a step of the pair's tells of it.
    made: BTreeMap<PairId, Box<Made>>,
    /// Pairs about which all is said.
    settled: BTreeSet<PairId>,
    /// Whether twins may be made of what has none: not before it is known what interrupted creates have made, where
    /// copies are to be taken over.
    may_begin: bool,
}

impl<'o> Planner<'o> {
    fn new(observed: &'o Observed, settings: &'o Settings) -> Self {
        let taken = Sides::from_fn(|side| {
            let mut taken = observed.foreign[side].clone();
            taken.extend(observed.successors[side].keys());
            taken.extend(observed.parted[side].keys());
            taken.extend(observed.pairs.iter().filter_map(|pair| pair.ids[side]));
            taken.extend(rivals(observed, side));
            taken
        });
        let unpaired = Sides::from_fn(|side| {
            let mut unpaired: BTreeMap<_, Vec<&Worklog>> = BTreeMap::new();
            for worklog in observed.listings[side]
                .values()
                .filter(|worklog| !taken[side].contains(&worklog.id))
            {
                let content = &worklog.content;
                let key = (&content.author, content.start_date, content.time_spent_secs);
                unpaired.entry(key).or_default().push(worklog);
            }
            unpaired
        });
        Self {
            observed,
            settings,
            rules: &settings.rules,
            plan: Plan::default(),
            taken,
            claimed: Sides::default(),
            disputed: Sides::default(),
            rows: observed.pairs.iter().map(|pair| (&pair.id, pair)).collect(),
            unpaired,
            with_abandoned: observed
                .pairs
                .iter()
                .filter(|pair| !pair.abandoned.is_empty())
                .collect(),
            made: BTreeMap::new(),
            settled: BTreeSet::new(),
            may_begin: true,
        }
    }

    fn run(&mut self) {
        let observed = self.observed;
        self.may_begin = self.adopt_copies(false);
        for pair in &observed.pairs {
            if self.settled.contains(&pair.id) {
                continue;
            }
            if pair.state == PairState::Left {
                self.come_back(pair);
                continue;
            }
            if pair.state != PairState::Live {
                continue;
            }
            if pair.link != observed.link || self.is_succeeded(pair) {
                if self.turned_up(pair) {
                    self.arrive(pair);
                }
                continue;
            }
            match (pair.ids.a, pair.ids.b) {
                (Some(a), Some(b)) => self.both(pair, Sides::new(a, b)),
                (Some(id), None) => self.half(pair, Side::A, id),
                (None, Some(id)) => self.half(pair, Side::B, id),
                (None, None) => {}
            }
        }
        if self.may_begin {
            self.newcomers();
        }
    }

    /// Listed worklogs of a side that no pair has.
    fn free(&self, side: Side) -> Vec<&'o Worklog> {
        let unpaired = self.unpaired[side].values().flatten();
        unpaired
            .filter(|worklog| !self.taken[side].contains(&worklog.id))
            .copied()
            .collect()
    }

    fn row(&self, id: &PairId) -> Option<&'o Pair> {
        self.rows.get(id).copied()
    }

    /// Says until when a pair that a site has refused is left alone: until its time comes, or something about it changes.
    fn waits(&self, pair: &Pair, now: &Sides<Content>) -> Option<Timestamp> {
        let wait = pair.wait.as_ref()?;
        let differs = Side::BOTH.into_iter().any(|side| {
            wait.tried[side]
                .as_ref()
                .is_some_and(|tried| changed(side, tried, &now[side], self.rules))
        });
        if pair.is_ignored() && !differs {
            return Some(self.observed.now + self.settings.park_retry);
        }
        let due = wait.next_attempt?;
        let refused = wait.attempts > 0;
        (refused && !differs && !self.observed.force && self.observed.now < due).then_some(due)
    }

    /// Leaves a refused pair alone, but remembers what was seen of it, so that no sweep takes it for news.
    fn wait_on(&mut self, pair: Pair, until: Timestamp) {
        self.look_at(until);
        if self.row(&pair.id).is_some_and(|row| row.seen != pair.seen) {
            self.push(
                pair,
                Action::Record(Recorded::Agree),
                "seen while it waits".to_string(),
                vec![],
            );
        }
    }

    fn park(&mut self, pair: Pair, side: Side, why: Unrenderable, tried: Sides<Option<Content>>) {
        self.park_gone(pair, side, why, tried, false);
    }

    /// The same for one of which a worklog is gone; `moved` says that it stands on an issue without a twin.
    fn park_gone(
        &mut self,
        mut pair: Pair,
        side: Side,
        why: Unrenderable,
        tried: Sides<Option<Content>>,
        moved: bool,
    ) {
        let now = self.observed.now;
        let patience = if why.reason == Reason::Missing {
            self.settings.look_at_missing
        } else {
            self.settings.park_retry
        };
        let retry = now + patience;
        self.look_at(retry);
        // Of what a person set aside, what it says counts too: two edits may share a second.
        let same = pair.wait.as_ref().is_some_and(|wait| {
            let edited =
                |side| matches!((&wait.tried[side], &tried[side]), (Some(then), Some(now)) if then != now);
            let edited = Side::BOTH.into_iter().any(edited);
            let heeded = edited && pair.ignored.is_some();
            wait.reason == why.reason && wait.detail == why.detail && wait.moved == moved && !heeded
        });
        let unchanged = self.row(&pair.id).is_some_and(|row| {
            row.intent == pair.intent
                && row.ids == pair.ids
                && row.seen == pair.seen
                && row.state == pair.state
        });
        if same && unchanged {
            return;
        }
        let since = pair
            .wait
            .as_ref()
            .filter(|wait| wait.reason == why.reason)
            .map_or(now, |wait| wait.since);
        let cause = why.detail.clone();
        // `attempts` counts refusals by a site; what the planner itself sets aside is decided anew each time.
        pair.wait = Some(Wait {
            reason: why.reason,
            side,
            detail: why.detail,
            since,
            attempts: 0,
            next_attempt: (why.reason != Reason::MassDelete).then_some(retry),
            tried,
            moved,
        });
        self.push(pair, Action::Record(Recorded::Park), cause, vec![]);
    }

    fn look_at(&mut self, at: Timestamp) {
        self.plan.look_again = Some(self.plan.look_again.map_or(at, |earlier| earlier.min(at)));
    }

    fn push(&mut self, mut pair: Pair, action: Action, cause: String, lost: Vec<Lost>) {
        // What was decided on other worklogs than those that it has now says nothing of these.
        if self.row(&pair.id).is_some_and(|row| row.ids != pair.ids) {
            pair.decided = Unmet::default();
        }
        if self.plan.steps.len() < STEPS_MAX {
            self.plan.steps.push(Step {
                made: self.made.remove(&pair.id),
                pair,
                action,
                cause,
                lost,
            });
        }
    }
}
