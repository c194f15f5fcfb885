//! What proves that a worklog is gone, what only says so, and how long a delete waits.
#![allow(missing_docs, clippy::unwrap_used)]

mod twins;

use tandem_core::observed::{Observed, Proof, Settings};
use tandem_core::plan::{Action, Recorded, plan};
use tandem_core::{Pair, PairState, Reason, Side, Sides};

use twins::{A, B, at, put, said, twins};

fn gone(world: &mut Observed, side: Side, source: &str) {
    let id = if side == Side::A { A } else { B };
    world.listings[side].remove(&id);
    let proof = Proof {
        source: source.into(),
        at: at(100),
        moved_to: None,
    };
    world.proofs[side].insert(id, proof);
}

#[test]
fn what_tandem_itself_took_away_is_not_the_one_that_may_stand() {
    let settings = Settings::default();
    for ours in Side::BOTH {
        let mut world = twins();
        gone(&mut world, ours.other(), "jira-feed");
        // It set out to delete the twin, and has not heard of it; its site's Jira tells of that very delete.
        let step = plan(&world, &settings).steps.remove(0);
        assert!(matches!(step.action, Action::Delete { side, .. } if side == ours));
        world.pairs[0] = step.begun(&step.pair, at(1000), at(1040), &settings.rules);
        gone(&mut world, ours, "jira-webhook");
        world.now = at(2000);
        let step = plan(&world, &settings).steps.remove(0);
        assert_eq!(step.action, Action::Record(Recorded::Forget));
        assert_eq!(step.pair.state, PairState::Left);
        assert_eq!(step.pair.ids[ours], None, "{:?}", step.pair.ids);
        assert!(step.pair.ids[ours.other()].is_some());
    }
}

#[test]
fn a_delete_whose_answer_is_lost_has_waited_as_long_as_before() {
    let settings = Settings::default();
    let rules = &settings.rules;
    let mut world = twins();
    gone(&mut world, Side::A, "tempo-webhook");
    let refuse = |world: &mut Observed, second: i64| {
        world.now = at(second);
        let step = plan(world, &settings).steps.remove(0);
        let row = step.begun(&step.pair, at(second), at(second + 40), rules);
        let reason = Reason::PeriodClosed;
        world.pairs[0] = step.refused(&row, reason, "closed".into(), at(second), at(second + 900), rules);
        world.pairs[0].wait.clone().unwrap()
    };
    let first = refuse(&mut world, 1000);
    // The answer to the next is lost.
    world.now = at(2000);
    let step = plan(&world, &settings).steps.remove(0);
    world.pairs[0] = step.begun(&step.pair, at(2000), at(2040), rules);
    let again = refuse(&mut world, 3000);
    assert_eq!((again.since, again.attempts), (first.since, 2));
}

#[test]
fn what_a_write_had_waited_for_takes_no_texts_along_beside_what_is_agreed_on() {
    let settings = Settings::default();
    let rules = &settings.rules;
    let mut world = twins();
    let (old, new) = ("the old text", "the new text");
    world.pairs[0].base = Some(Sides::new(said(old, 3600), said(old, 3600)));
    put(&mut world, Side::B, B, said(old, 3600), 0);
    put(&mut world, Side::A, A, said(new, 3600), 900);
    let texts = |row: &Pair| {
        let row = serde_json::to_string(row).unwrap();
        row.matches(old).count() + row.matches(new).count()
    };
    let step = plan(&world, &settings).steps.remove(0);
    let first = step.begun(&step.pair, at(1000), at(1040), rules);
    let closed = Reason::PeriodClosed;
    world.pairs[0] = step.refused(&first, closed, "closed".into(), at(1001), at(1900), rules);
    world.now = at(2000);
    let step = plan(&world, &settings).steps.remove(0);
    let second = step.begun(&step.pair, at(2000), at(2040), rules);
    let mut without = second.clone();
    without.intent.as_mut().unwrap().waited = None;
    assert_ne!(without, second);
    assert_eq!(texts(&second), texts(&without));
}
