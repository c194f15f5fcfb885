//! Checking a configuration, and what came of it.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use crate::config::Config;
use crate::protocol::{Action, Protocol};

/// What came of a check.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub transitions: usize,
    /// The longest of the shortest ways to a state, in steps.
    pub depth: usize,
    /// Promises that can be broken, each with how.
    pub broken: Vec<(&'static str, Vec<Action>)>,
    /// What should have been met on the way and was not.
    pub unmet: Vec<&'static str>,
}

/// Goes through every state that a configuration can come to.
pub fn check(config: Config) -> Checked {
    check_until(config, HasDiscoveries::All)
}

/// Goes through the states that a configuration can come to until a promise is broken, if it can be.
pub fn check_for(config: Config, promise: &'static str) -> Checked {
    check_until(config, HasDiscoveries::AnyOf(BTreeSet::from([promise])))
}

fn check_until(config: Config, until: HasDiscoveries) -> Checked {
    let model = Protocol::new(config);
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let checker = model
        .checker()
        .threads(threads)
        .finish_when(until)
        .spawn_bfs()
        .join();
    let found = checker.discoveries();
    let (mut broken, mut unmet) = (Vec::new(), Vec::new());
    for property in checker.model().properties() {
        match (property.expectation, found.get(property.name)) {
            (Expectation::Sometimes, None) => unmet.push(property.name),
            (Expectation::Sometimes, Some(_)) | (_, None) => {}
            (_, Some(path)) => broken.push((property.name, path.clone().into_actions())),
        }
    }
    Checked {
        states: checker.unique_state_count(),
        transitions: checker.state_count(),
        depth: checker.max_depth(),
        broken,
        unmet,
    }
}

/// The configurations that the tests go through, each with its name.
pub fn small() -> Vec<(&'static str, Config)> {
    let two = Config::default();
    let three = Config { acts: 3, ..two };
    vec![
        ("two acts", two),
        ("two acts, two deaths", Config { crashes: 2, ..two }),
        (
            "two acts, a lost answer, a death",
            Config {
                lost_answers: 1,
                crashes: 1,
                ..two
            },
        ),
        (
            "two acts, a webhook doubled, one lost",
            Config {
                repeated_hints: 1,
                lost_hints: 1,
                ..two
            },
        ),
        (
            "two acts, a webhook doubled, a death",
            Config {
                repeated_hints: 1,
                crashes: 1,
                ..two
            },
        ),
        ("two acts, a minute", Config { minutes: 1, ..two }),
        ("three acts, a death", Config { crashes: 1, ..three }),
        ("three acts, two fields", Config { texts: true, ..three }),
        ("three acts, two worklogs", Config { logs: 2, ..three }),
        (
            "three acts, a write that comes late",
            Config {
                late_effects: 1,
                ..three
            },
        ),
    ]
}

/// Those that take a release build and some minutes.
pub fn large() -> Vec<(&'static str, Config)> {
    let two = Config::default();
    let three = Config { acts: 3, ..two };
    vec![
        (
            "three acts, a lost answer",
            Config {
                lost_answers: 1,
                ..three
            },
        ),
        (
            "three acts, a webhook doubled, one lost",
            Config {
                repeated_hints: 1,
                lost_hints: 1,
                ..three
            },
        ),
        (
            "three acts, a lost answer, a death",
            Config {
                lost_answers: 1,
                crashes: 1,
                ..three
            },
        ),
        (
            "three acts, a webhook doubled, a death",
            Config {
                repeated_hints: 1,
                crashes: 1,
                ..three
            },
        ),
        ("three acts, two deaths", Config { crashes: 2, ..three }),
        ("four acts", Config { acts: 4, ..two }),
        (
            "two acts, a minute, a death",
            Config {
                minutes: 1,
                crashes: 1,
                ..two
            },
        ),
        (
            "two acts, a minute, a lost answer",
            Config {
                minutes: 1,
                lost_answers: 1,
                ..two
            },
        ),
    ]
}

/// Those in which a promise is known to be broken: RELIABILITY.md tells which, and why it still is.
pub fn open() -> Vec<(&'static str, Config)> {
    vec![(
        "open: four acts, two fields, a lost answer",
        Config {
            acts: 4,
            texts: true,
            lost_answers: 1,
            ..Config::default()
        },
    )]
}
