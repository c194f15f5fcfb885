//! The protocol keeps its promises in every interleaving; with a rule left out, it does not.
#![allow(missing_docs)]

use tandem_model::check::{check, check_for, small};
use tandem_model::protocol::{CREATE_ONCE, EQUAL_AT_REST, NO_LOST_UPDATE, NO_RETURN};
use tandem_model::{Config, Rule};

#[test]
fn promises_hold_in_every_interleaving() {
    for (name, config) in small() {
        let checked = check(config);
        assert!(checked.broken.is_empty(), "{name}: {:#?}", checked.broken);
        assert!(
            checked.unmet.is_empty(),
            "{name} never comes to: {:?}",
            checked.unmet
        );
    }
}

#[track_caller]
fn breaks(without: Rule, config: Config, promise: &'static str) {
    let without = Some(without);
    let checked = check_for(Config { without, ..config }, promise);
    let found = checked.broken.iter().any(|(broken, _)| *broken == promise);
    assert!(found, "{promise} holds in all {} states", checked.states);
}

#[test]
fn without_an_intent_a_death_makes_a_second_twin() {
    let config = Config {
        crashes: 1,
        ..Config::default()
    };
    breaks(Rule::IntentBeforeWrite, config, CREATE_ONCE);
}

#[test]
fn without_an_intent_a_write_that_was_slow_brings_a_deleted_worklog_back() {
    let config = Config {
        minutes: 1,
        ..Config::default()
    };
    breaks(Rule::IntentBeforeWrite, config, NO_RETURN);
}

#[test]
fn without_create_grace_a_stolen_lease_makes_a_second_twin() {
    let config = Config {
        minutes: 1,
        ..Config::default()
    };
    breaks(Rule::CreateGrace, config, CREATE_ONCE);
}

#[test]
fn without_the_fence_a_run_that_lost_its_lease_leaves_the_sides_apart() {
    let config = Config {
        minutes: 1,
        ..Config::default()
    };
    breaks(Rule::Fence, config, EQUAL_AT_REST);
}

#[test]
fn a_finish_that_forgets_newer_hints_leaves_the_sides_apart() {
    breaks(Rule::HintOutlivesFinish, Config::default(), EQUAL_AT_REST);
}

#[test]
fn a_base_of_one_side_does_not_carry_the_other_sides_edit() {
    breaks(Rule::BaseOfBothSides, Config::default(), EQUAL_AT_REST);
}

#[test]
fn without_a_base_a_copy_wins_over_the_newer_edit() {
    let config = Config {
        acts: 3,
        ..Config::default()
    };
    breaks(Rule::Base, config, NO_LOST_UPDATE);
}

#[test]
fn a_delete_that_nothing_ever_tells_of_leaves_the_sides_apart() {
    let config = Config {
        lost_hints: 1,
        ..Config::default()
    };
    breaks(Rule::Evidence, config, EQUAL_AT_REST);
}

#[test]
fn an_update_taken_for_over_too_early_undoes_what_was_written_since() {
    let config = Config {
        acts: 3,
        late_effects: 1,
        ..Config::default()
    };
    breaks(Rule::AttemptLasts, config, NO_LOST_UPDATE);
}
