//! Laws of the planner, on a small world of two sides: people act, writes may be lost on either side of their
//! effect, runners die between any two steps. In the end both sides must be equal and nothing invented.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{date, time};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use tandem_core::observed::{Observed, Proof, Settings};
use tandem_core::plan::{Action, Plan, plan};
use tandem_core::rules::{ConflictPolicy, DeleteVsEdit};
use tandem_core::{
    Content, IssueId, LinkKey, Pair, PairId, PairState, Reason, Side, Sides, Worklog, WorklogId, check,
};

#[derive(Clone, Debug)]
enum Act {
    Log(Side, u8),
    Edit(Side, usize, u8),
    Delete(Side, usize),
    Run(Fate),
}

/// What befalls the first vendor write of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Fine,
    LostBefore,
    LostAfter,
    DiesBeforeRecord,
    /// The site says no, and changes nothing.
    Refused,
    /// The site accepts it, but keeps its own time spent and billable hours.
    KeptHours,
    /// The site accepts it, and makes the billable hours a minute.
    OwnBillable,
}

#[derive(Clone, Debug)]
struct World {
    now: Timestamp,
    next: u64,
    sides: Sides<BTreeMap<WorklogId, Worklog>>,
    deleted: Sides<BTreeSet<WorklogId>>,
    pairs: BTreeMap<PairId, Pair>,
    settings: Settings,
}

fn link() -> LinkKey {
    LinkKey {
        connection: "a-b".into(),
        a: IssueId(1),
        b: IssueId(2),
    }
}

fn content(variant: u8) -> Content {
    Content {
        author: if variant & 1 == 0 { "ann" } else { "bob" }.into(),
        start_date: date(2026, 3, 1 + (variant % 3) as i8),
        start_time: Some(time(8 + (variant % 5) as i8, 30, 0, 0)),
        time_spent_secs: 900 * (1 + u64::from(variant % 4)),
        billable_secs: Some(if variant & 2 == 0 { 0 } else { 900 }),
        description: format!("text {}", variant % 6),
        attributes: BTreeMap::new(),
    }
}

impl World {
    fn new() -> Self {
        Self {
            now: Timestamp::from_second(1_770_000_000).unwrap(),
            next: 1,
            sides: Sides::default(),
            deleted: Sides::default(),
            pairs: BTreeMap::new(),
            settings: Settings::default(),
        }
    }

    fn tick(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    fn create(&mut self, side: Side, content: Content) -> Worklog {
        let id = WorklogId(self.next + if side == Side::A { 1000 } else { 5000 });
        self.next += 1;
        let issue = link().issue(side);
        let worklog = Worklog {
            id,
            issue,
            content,
            created_at: self.now,
            updated_at: self.now,
        };
        self.sides[side].insert(id, worklog.clone());
        worklog
    }

    fn update(&mut self, side: Side, id: WorklogId, content: Content) -> Option<Worklog> {
        let now = self.now;
        let worklog = self.sides[side].get_mut(&id)?;
        worklog.content = content;
        worklog.updated_at = now;
        Some(worklog.clone())
    }

    fn delete(&mut self, side: Side, id: WorklogId) {
        if self.sides[side].remove(&id).is_some() {
            self.deleted[side].insert(id);
        }
    }

    fn observe(&self) -> Observed {
        let mut observed = Observed::empty(link(), self.now);
        observed.listings = self.sides.clone();
        observed.pairs = self.pairs.values().cloned().collect();
        for side in Side::BOTH {
            for id in &self.deleted[side] {
                let proof = Proof {
                    source: "papertrail".into(),
                    at: self.now,
                    moved_to: None,
                };
                observed.proofs[side].insert(*id, proof);
            }
        }
        observed
    }

    fn plan(&self) -> Plan {
        let observed = self.observe();
        let plan = plan(&observed, &self.settings);
        check::check(&plan, &observed, &self.settings).unwrap();
        plan
    }

    fn put(&mut self, mut pair: Pair) -> Pair {
        pair.rev += 1;
        self.pairs.insert(pair.id.clone(), pair.clone());
        pair
    }

    /// Executes a plan; `false` when the runner died on the way.
    fn execute(&mut self, plan: &Plan, mut fate: Fate) -> bool {
        for step in &plan.steps {
            let row = self
                .pairs
                .get(&step.pair.id)
                .filter(|row| row.rev > step.pair.rev)
                .cloned();
            let row = row.unwrap_or_else(|| step.pair.clone());
            if matches!(step.action, Action::Record(_)) {
                self.put(step.pair.clone());
                continue;
            }
            self.tick(1);
            let until = self.now + SignedDuration::from_secs(30);
            let row = self.put(step.begun(&row, self.now, until, &self.settings.rules));
            if fate == Fate::LostBefore {
                fate = Fate::Fine;
                continue;
            }
            let retry = self.now + SignedDuration::from_secs(60);
            if fate == Fate::Refused {
                fate = Fate::Fine;
                let (reason, detail) = (Reason::PeriodClosed, "it is closed".to_owned());
                let rules = &self.settings.rules;
                self.put(step.refused(&row, reason, detail, self.now, retry, rules));
                continue;
            }
            let answer = match &step.action {
                Action::Record(_) => None,
                Action::Create { side, body, .. } => Some(self.create(*side, body.clone())),
                Action::Update {
                    side,
                    worklog,
                    body,
                    before,
                    ..
                } => {
                    let mut body = body.clone();
                    if fate == Fate::KeptHours {
                        fate = Fate::Fine;
                        body.time_spent_secs = before.time_spent_secs;
                        body.billable_secs = before.billable_secs;
                    }
                    if fate == Fate::OwnBillable {
                        fate = Fate::Fine;
                        body.billable_secs = Some(60);
                    }
                    self.update(*side, *worklog, body)
                }
                Action::Delete { side, worklog, .. } => {
                    self.delete(*side, *worklog);
                    None
                }
            };
            match fate {
                Fate::LostAfter => {
                    fate = Fate::Fine;
                    continue;
                }
                Fate::DiesBeforeRecord => return false,
                _ => {}
            }
            let done = step.done(&row, answer.as_ref(), self.now, retry, &self.settings.rules);
            self.put(done);
        }
        true
    }

    fn act(&mut self, act: &Act) {
        self.tick(7);
        let pick = |worklogs: &BTreeMap<WorklogId, Worklog>, nth: usize| {
            worklogs.keys().nth(nth % worklogs.len().max(1)).copied()
        };
        match act {
            Act::Log(side, variant) => {
                self.create(*side, content(*variant));
            }
            Act::Edit(side, nth, variant) => {
                if let Some(id) = pick(&self.sides[*side], *nth) {
                    self.update(*side, id, content(*variant));
                }
            }
            Act::Delete(side, nth) => {
                if let Some(id) = pick(&self.sides[*side], *nth) {
                    self.delete(*side, id);
                }
            }
            Act::Run(fate) => {
                let plan = self.plan();
                self.execute(&plan, *fate);
            }
        }
    }

    /// Runs until nothing is left to do. What waits for a person is looked at again and again, and nothing comes
    /// of it.
    fn converge(&mut self) {
        let mut idle = 0;
        for _ in 0..40 {
            let plan = self.plan();
            idle = if plan.steps.is_empty() { idle + 1 } else { 0 };
            let waits = self.pairs.values().any(|pair| pair.wait.is_some());
            if idle > 0 && (plan.look_again.is_none() || (waits && idle > 3)) {
                return;
            }
            self.execute(&plan, Fate::Fine);
            self.tick(90);
        }
        panic!("does not converge: {:#?}\n{:#?}", self.plan(), self.sides);
    }

    fn said(&self, side: Side) -> Vec<&Content> {
        let mut said: Vec<_> = self.sides[side]
            .values()
            .map(|worklog| &worklog.content)
            .collect();
        said.sort();
        said
    }

    /// The same world with the sides exchanged.
    fn swapped(&self) -> Observed {
        let observed = self.observe();
        let key = LinkKey {
            connection: "a-b".into(),
            a: IssueId(2),
            b: IssueId(1),
        };
        let mut swapped = Observed::empty(key.clone(), observed.now);
        swapped.listings = observed.listings.swap();
        swapped.proofs = observed.proofs.swap();
        swapped.pairs = observed
            .pairs
            .into_iter()
            .map(|mut pair| {
                pair.link = key.clone();
                pair.ids = pair.ids.swap();
                pair.seen = pair.seen.swap();
                pair.base = pair.base.map(Sides::swap);
                if let Some(wait) = &mut pair.wait {
                    wait.side = wait.side.other();
                    wait.tried = wait.tried.clone().swap();
                }
                let decided = pair.decided.iter_mut();
                for intent in pair
                    .intent
                    .iter_mut()
                    .chain(pair.abandoned.iter_mut())
                    .chain(decided)
                {
                    intent.side = intent.side.other();
                }
                pair
            })
            .collect();
        swapped
    }
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::A), Just(Side::B)]
}

fn act() -> impl Strategy<Value = Act> {
    let fate = prop_oneof![
        4 => Just(Fate::Fine),
        1 => Just(Fate::LostBefore),
        1 => Just(Fate::LostAfter),
        1 => Just(Fate::DiesBeforeRecord),
        1 => Just(Fate::Refused),
        1 => Just(Fate::KeptHours),
    ];
    prop_oneof![
        3 => (side(), any::<u8>()).prop_map(|(side, variant)| Act::Log(side, variant)),
        3 => (side(), any::<usize>(), any::<u8>()).prop_map(|(side, nth, variant)| Act::Edit(side, nth, variant)),
        1 => (side(), any::<usize>()).prop_map(|(side, nth)| Act::Delete(side, nth)),
        4 => fate.prop_map(Act::Run),
    ]
}

fn writes(plan: &Plan) -> Vec<(Side, String)> {
    let mut writes: Vec<_> = plan
        .steps
        .iter()
        .filter_map(|step| {
            let text = match &step.action {
                Action::Record(_) => return None,
                Action::Create { body, .. } => format!("create {body:?}"),
                Action::Update { worklog, body, .. } => format!("update {worklog} {body:?}"),
                Action::Delete { worklog, .. } => format!("delete {worklog}"),
            };
            Some((step.side()?, text))
        })
        .collect();
    writes.sort();
    writes
}

/// As many cases as `PROPTEST_CASES` says, 256 otherwise; a failing case is kept beside this file.
fn config() -> ProptestConfig {
    let kept = FileFailurePersistence::WithSource("proptest-regressions");
    ProptestConfig {
        failure_persistence: Some(Box::new(kept)),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn both_sides_are_equal_once_people_rest_and_runs_go_through(acts in prop::collection::vec(act(), 1..25)) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
        }
        world.tick(600);
        world.converge();
        let waiting = world.pairs.values().filter(|pair| pair.wait.is_some()).count();
        prop_assume!(waiting == 0);
        prop_assert_eq!(world.said(Side::A), world.said(Side::B));
    }

    #[test]
    fn after_a_plan_has_been_executed_the_next_one_writes_nothing(acts in prop::collection::vec(act(), 1..25)) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
        }
        world.tick(600);
        world.converge();
        prop_assert!(world.plan().steps.is_empty());
        let before = world.sides.clone();
        let plan = world.plan();
        world.execute(&plan, Fate::Fine);
        prop_assert_eq!(before, world.sides);
    }

    #[test]
    fn no_worklog_is_ever_there_twice(logs in prop::collection::vec((side(), 0u8..60), 1..12), acts in prop::collection::vec(act(), 1..25)) {
        // Each logged worklog gets a text of its own; edits, deletes and crashes follow.
        let mut world = World::new();
        for (nth, (side, variant)) in logs.iter().enumerate() {
            world.tick(3);
            world.create(*side, Content { description: format!("own {nth}"), ..content(*variant) });
        }
        for act in acts.iter().filter(|act| matches!(act, Act::Run(_))) {
            world.act(act);
        }
        world.tick(600);
        world.converge();
        for side in Side::BOTH {
            prop_assert_eq!(world.sides[side].len(), logs.len());
        }
    }

    #[test]
    fn nothing_is_planned_that_no_change_explains(acts in prop::collection::vec(act(), 1..25)) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
        }
        world.tick(600);
        world.converge();
        // Nobody acts; time passes; a listing shows nothing at all.
        world.tick(86_400);
        prop_assert!(world.plan().steps.is_empty());
        let mut hidden = world.observe();
        hidden.listings = Sides::default();
        hidden.proofs = Sides::default();
        let plan = plan(&hidden, &world.settings);
        prop_assert!(writes(&plan).is_empty(), "absence wrote something: {plan:?}");
    }

    #[test]
    fn with_the_sides_exchanged_the_plan_is_the_same_with_its_sides_exchanged(acts in prop::collection::vec(act(), 1..25)) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
        }
        let mut swapped = writes(&plan(&world.swapped(), &world.settings));
        for write in &mut swapped {
            write.0 = write.0.other();
        }
        swapped.sort();
        prop_assert_eq!(writes(&world.plan()), swapped);
    }

    #[test]
    fn a_policy_that_asks_a_person_never_writes_a_contested_field(acts in prop::collection::vec(act(), 1..25)) {
        let mut world = World::new();
        world.settings.rules.policy.conflict = ConflictPolicy::Park;
        world.settings.rules.policy.delete_vs_edit = DeleteVsEdit::Park;
        for act in &acts {
            world.act(act);
        }
        let plan = world.plan();
        prop_assert!(plan.steps.iter().all(|step| step.lost.is_empty()));
    }
}

#[test]
fn a_deleted_worklog_takes_its_twin_along_only_with_proof() {
    let mut world = World::new();
    let worklog = world.create(Side::A, content(3));
    world.converge();
    assert_eq!(world.sides.b.len(), 1);
    world.sides.a.clear();
    world.tick(100);
    for _ in 0..3 {
        let plan = world.plan();
        world.execute(&plan, Fate::Fine);
        world.tick(1000);
    }
    assert_eq!(world.sides.b.len(), 1, "absence deleted something");
    world.deleted.a.insert(worklog.id);
    world.converge();
    assert!(world.sides.b.is_empty());
    assert!(world.pairs.values().all(|pair| pair.state == PairState::Gone));
}

/// A world of one pair, both sides agreed on `content(3)`.
fn agreed() -> (World, Sides<WorklogId>) {
    let mut world = World::new();
    world.create(Side::A, content(3));
    world.converge();
    let ids = world.pairs.values().map(|pair| pair.ids).next().unwrap();
    let ids = ids.map(|_, id| id.unwrap());
    world.tick(100);
    (world, ids)
}

fn lasting(secs: u64) -> Content {
    Content {
        time_spent_secs: secs,
        ..content(3)
    }
}

fn described(secs: u64) -> Content {
    Content {
        description: "described".into(),
        ..lasting(secs)
    }
}

/// The same, edited on both sides since: the older value on one, the newer one on the side that is named.
fn contested(newer: Side) -> (World, Sides<WorklogId>) {
    let (mut world, ids) = agreed();
    world.update(newer.other(), ids[newer.other()], lasting(OLDER));
    world.tick(5);
    world.update(newer, ids[newer], lasting(NEWER));
    world.tick(5);
    (world, ids)
}

const OLDER: u64 = 1800;
const NEWER: u64 = 2700;
const NEWEST: u64 = 4500;

#[track_caller]
fn both_say(world: &World, content: &Content, story: &str) {
    for side in Side::BOTH {
        assert_eq!(world.said(side), [content], "{story}, shown on {side}");
    }
}

#[test]
fn an_edit_that_was_not_read_is_not_one_upon_a_write_that_was_never_sent() {
    for unread in Side::BOTH {
        let (mut world, ids) = agreed();
        let mut observed = world.observe();
        // Between the two readings: first the side that was read already is edited, then the other.
        world.update(unread, ids[unread], lasting(1800));
        world.tick(5);
        world.update(unread.other(), ids[unread.other()], lasting(2700));
        observed.listings[unread.other()] = world.sides[unread.other()].clone();
        world.tick(1);
        let planned = plan(&observed, &world.settings);
        assert_eq!(planned.steps.len(), 1, "{planned:#?}");
        world.execute(&planned, Fate::LostBefore);
        world.tick(60);
        world.converge();
        both_say(&world, &lasting(2700), &format!("unread on {unread}"));
    }
}

#[test]
fn an_edit_upon_a_write_that_was_not_heard_of_wins_whatever_else_was_edited_since() {
    for from in Side::BOTH {
        let (mut world, ids) = agreed();
        world.update(from, ids[from], lasting(2700));
        world.tick(1);
        let planned = world.plan();
        world.execute(&planned, Fate::LostAfter);
        world.tick(5);
        world.update(from.other(), ids[from.other()], lasting(1800));
        world.tick(5);
        let described = Content {
            description: "described anew".into(),
            ..lasting(2700)
        };
        world.update(from, ids[from], described.clone());
        world.tick(60);
        world.converge();
        let newest = Content {
            time_spent_secs: 1800,
            ..described
        };
        both_say(&world, &newest, &format!("written from {from}"));
    }
}

/// Does what is planned for one side, and dies.
#[track_caller]
fn attempt(world: &mut World, side: Side, fate: Fate) {
    let mut planned = world.plan();
    planned.steps.retain(|step| step.side() == Some(side));
    assert_eq!(planned.steps.len(), 1, "{side}, {fate:?}: {planned:#?}");
    world.execute(&planned, fate);
    world.tick(5);
}

/// What may keep a write from having an effect.
const IN_VAIN: [Fate; 3] = [Fate::LostBefore, Fate::Refused, Fate::KeptHours];

#[test]
fn what_was_decided_stays_decided_though_its_write_was_in_vain_and_another_field_was_edited_since() {
    for (newer, times) in [(Side::A, 1), (Side::B, 1), (Side::A, 3), (Side::B, 3)] {
        for fate in IN_VAIN {
            let (mut world, ids) = contested(newer);
            let older = newer.other();
            let mut described = lasting(OLDER);
            // Each time the next run finds what the last one had begun, and another edit beside it.
            for nth in 0..times {
                attempt(&mut world, older, fate);
                described.description = format!("described for the {nth} time");
                world.update(older, ids[older], described.clone());
                world.tick(60);
            }
            world.converge();
            described.time_spent_secs = NEWER;
            both_say(
                &world,
                &described,
                &format!("newer on {newer}, {fate:?} {times} times"),
            );
        }
    }
}

#[test]
fn whoever_sets_a_field_back_after_a_write_that_was_in_vain_is_the_newest() {
    for newer in Side::BOTH {
        for fate in IN_VAIN {
            let set_back = [
                // To what both sides had once agreed on, to the other side's value, and again to one's own.
                (newer, content(3)),
                (newer, lasting(OLDER)),
                (newer.other(), content(3)),
            ];
            for (side, last) in set_back {
                let same_twice = side == newer && last == lasting(OLDER);
                let (mut world, ids) = contested(newer);
                attempt(&mut world, newer.other(), fate);
                let described = Content {
                    description: "described".into(),
                    ..lasting(OLDER)
                };
                world.update(newer.other(), ids[newer.other()], described);
                world.tick(60);
                // The next run is in vain too: it has taken note of the description.
                attempt(&mut world, newer.other(), fate);
                let last = Content {
                    description: if side == newer {
                        last.description
                    } else {
                        "described".into()
                    },
                    ..last
                };
                world.update(side, ids[side], last.clone());
                world.tick(60);
                if !same_twice {
                    // And so is what is to set it back.
                    attempt(&mut world, side.other(), fate);
                    world.tick(60);
                }
                world.converge();
                let wanted = Content {
                    description: "described".into(),
                    ..last
                };
                both_say(
                    &world,
                    &wanted,
                    &format!("newer on {newer}, {fate:?}, back on {side}"),
                );
            }
        }
    }
}

#[test]
fn what_is_set_again_counts_though_the_other_side_was_edited_in_another_field_since() {
    let nexts = [
        None,
        Some(Fate::Fine),
        Some(Fate::LostBefore),
        Some(Fate::Refused),
    ];
    let fates = IN_VAIN.map(|fate| nexts.map(|next| (fate, next)));
    for newer in Side::BOTH {
        for (fate, next) in fates.as_flattened().iter().copied() {
            let (mut world, ids) = contested(newer);
            attempt(&mut world, newer.other(), fate);
            world.update(newer.other(), ids[newer.other()], lasting(NEWEST));
            world.tick(5);
            world.update(newer, ids[newer], described(NEWER));
            world.tick(60);
            if let Some(next) = next {
                // The description alone goes, or not even that.
                attempt(&mut world, newer.other(), next);
                world.tick(60);
            }
            world.converge();
            both_say(
                &world,
                &described(NEWEST),
                &format!("newer on {newer}, {fate:?}, {next:?}"),
            );
        }
    }
}

#[test]
fn what_is_set_back_after_a_write_that_was_not_heard_of_stays_so_whatever_was_decided_before() {
    for newer in Side::BOTH {
        for fate in IN_VAIN {
            let (mut world, ids) = contested(newer);
            attempt(&mut world, newer.other(), fate);
            world.update(newer.other(), ids[newer.other()], lasting(NEWEST));
            world.tick(60);
            attempt(&mut world, newer, Fate::LostAfter);
            world.update(newer, ids[newer], lasting(NEWER));
            world.tick(60);
            world.converge();
            both_say(&world, &lasting(NEWER), &format!("newer on {newer}, {fate:?}"));
        }
    }
}

#[test]
fn what_people_came_to_agree_on_is_decided_no_more() {
    for newer in Side::BOTH {
        for fate in IN_VAIN {
            let (mut world, ids) = contested(newer);
            let older = newer.other();
            attempt(&mut world, older, fate);
            // The newer one gives in, and describes it.
            world.update(newer, ids[newer], described(OLDER));
            world.tick(60);
            attempt(&mut world, older, Fate::LostAfter);
            world.update(older, ids[older], described(NEWEST));
            world.tick(5);
            let billed = |secs| Content {
                billable_secs: Some(60),
                ..described(secs)
            };
            world.update(newer, ids[newer], billed(OLDER));
            world.tick(60);
            world.converge();
            both_say(&world, &billed(NEWEST), &format!("newer on {newer}, {fate:?}"));
        }
    }
}

#[test]
fn what_is_made_good_is_decided_no_more() {
    let goods = [Fate::Fine, Fate::LostAfter, Fate::DiesBeforeRecord];
    let fates = IN_VAIN.map(|fate| goods.map(|good| (fate, good)));
    for newer in Side::BOTH {
        for (fate, good) in fates.as_flattened().iter().copied() {
            let (mut world, ids) = contested(newer);
            attempt(&mut world, newer.other(), fate);
            world.tick(60);
            attempt(&mut world, newer.other(), good);
            // Before anybody has looked again.
            world.update(newer, ids[newer], lasting(NEWEST));
            world.tick(5);
            world.update(newer.other(), ids[newer.other()], described(NEWER));
            world.tick(60);
            world.converge();
            both_say(
                &world,
                &described(NEWEST),
                &format!("newer on {newer}, {fate:?}, {good:?}"),
            );
        }
    }
}

#[test]
fn what_was_decided_outlasts_a_write_the_other_way_that_was_in_vain_too() {
    for newer in Side::BOTH {
        for fate in IN_VAIN {
            let (mut world, ids) = contested(newer);
            let older = newer.other();
            attempt(&mut world, older, fate);
            let described = Content {
                billable_secs: Some(60),
                description: "described".into(),
                ..lasting(OLDER)
            };
            world.update(older, ids[older], described.clone());
            world.tick(60);
            attempt(&mut world, newer, fate);
            world.tick(60);
            world.converge();
            let wanted = Content {
                time_spent_secs: NEWER,
                ..described
            };
            both_say(&world, &wanted, &format!("newer on {newer}, {fate:?}"));
        }
    }
}

#[test]
fn what_a_site_has_of_its_own_in_a_field_that_was_not_written_is_its_change() {
    for from in Side::BOTH {
        let (mut world, ids) = agreed();
        world.update(from, ids[from], lasting(NEWER));
        world.tick(5);
        let mut planned = world.plan();
        planned.steps.retain(|step| step.side() == Some(from.other()));
        assert_eq!(planned.steps.len(), 1, "{planned:#?}");
        // It works the billable hours out from the time.
        world.execute(&planned, Fate::OwnBillable);
        world.tick(60);
        world.converge();
        let wanted = Content {
            billable_secs: Some(60),
            ..lasting(NEWER)
        };
        both_say(&world, &wanted, &format!("edited on {from}"));
    }
}

#[test]
fn what_was_decided_of_two_that_were_taken_for_twins_stays_decided() {
    let billing = |secs, text: &str| Content {
        billable_secs: Some(secs),
        description: text.into(),
        ..content(3)
    };
    for newer in Side::BOTH {
        for fate in [Fate::LostBefore, Fate::Refused, Fate::KeptHours] {
            let mut world = World::new();
            let older = world.create(newer.other(), billing(300, "text"));
            world.tick(5);
            world.create(newer, billing(600, "text"));
            world.tick(5);
            let adopting = world.plan();
            world.execute(&adopting, Fate::Fine);
            attempt(&mut world, newer.other(), fate);
            world.update(newer.other(), older.id, billing(300, "described"));
            world.tick(60);
            world.converge();
            both_say(
                &world,
                &billing(600, "described"),
                &format!("newer on {newer}, {fate:?}"),
            );
        }
    }
}

#[test]
fn what_is_set_back_after_a_write_that_was_not_heard_of_stays_set_back() {
    for newer in Side::BOTH {
        let (mut world, ids) = contested(newer);
        let planned = world.plan();
        world.execute(&planned, Fate::LostAfter);
        world.tick(5);
        world.update(newer.other(), ids[newer.other()], lasting(OLDER));
        world.tick(60);
        world.converge();
        both_say(&world, &lasting(OLDER), &format!("newer on {newer}"));
    }
}

#[test]
fn a_twin_that_is_not_shown_is_not_deleted_unless_it_is_there_or_tandem_had_begun_to() {
    let deletes = |plan: &Plan| {
        plan.steps
            .iter()
            .any(|step| matches!(step.action, Action::Delete { .. }))
    };
    for gone in Side::BOTH {
        let (mut world, ids) = agreed();
        let twin = ids[gone.other()];
        world.tick(1000);
        world.delete(gone, ids[gone]);
        // Where it is shown, the delete follows; also where all that can be read of it is its id.
        let shown = world.observe();
        assert!(deletes(&plan(&shown, &world.settings)), "{gone}");
        let mut hidden = shown.clone();
        hidden.listings[gone.other()].clear();
        let mut odd = hidden.clone();
        odd.unreadable[gone.other()].insert(twin, "half a row".into());
        assert!(deletes(&plan(&odd, &world.settings)), "{gone}");
        // It may stand on an issue that is nobody's to write to.
        let planned = plan(&hidden, &world.settings);
        assert!(!deletes(&planned), "{gone}: {planned:#?}");
        let waits = planned.steps[0].pair.wait.as_ref().unwrap();
        assert_eq!((waits.reason, waits.side), (Reason::Missing, gone.other()));
        // A delete that was begun and not heard of is done again, though nothing is there to be seen any more.
        let begun = plan(&shown, &world.settings);
        assert!(world.execute(&begun, Fate::LostAfter));
        world.deleted[gone.other()].clear();
        world.tick(1000);
        assert!(deletes(&world.plan()), "{gone}");
    }
}

#[test]
fn what_was_logged_on_both_sides_is_a_pair_though_an_earlier_create_of_the_same_was_given_up_on() {
    for side in Side::BOTH {
        let mut world = World::new();
        world.act(&Act::Log(side, 1));
        world.act(&Act::Run(Fate::LostBefore));
        world.tick(1000);
        world.act(&Act::Run(Fate::Fine));
        assert_eq!(world.sides[side.other()].len(), 1);
        world.act(&Act::Log(Side::A, 1));
        world.act(&Act::Log(Side::B, 1));
        world.converge();
        assert_eq!(
            (world.sides.a.len(), world.sides.b.len()),
            (2, 2),
            "first on {side}"
        );
        assert!(
            world.pairs.values().all(|pair| pair.wait.is_none()),
            "first on {side}"
        );
    }
}
