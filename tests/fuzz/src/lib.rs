//! What strangers send, thrown at Tandem.
//!
//! A target is a function that takes any bytes, feeds them to a part of Tandem, and panics when a promise is
//! broken. `tests/bounded.rs` gives each target its kept corpus and a fixed number of mutated inputs, with any
//! stable toolchain and nothing installed; `tests/fuzz/long` gives them to a coverage-guided fuzzer for as long
//! as one likes. Both make new inputs with [`mutate`].
//!
//! Start with [`TARGETS`]. Not in here: people who act, time that passes, faults of the network. Those are the
//! simulation's.

#![expect(
    clippy::unwrap_used,
    reason = "a target says by a panic that something is wrong"
)]

mod answer;
mod bytes_of;
mod config;
mod csv;
mod due_key;
mod leaks;
pub mod mutate;
mod plan;
mod secret;
mod webhook;
mod world;

/// Takes any bytes; panics when a promise is broken.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also its folder in `corpus`.
    pub name: &'static str,
    /// The function.
    pub run: fn(&[u8]),
    /// How many mutated inputs the bounded run gives it.
    pub inputs: usize,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "webhook",
        run: webhook::run,
        inputs: 3_000,
    },
    Target {
        name: "answer",
        run: answer::run,
        inputs: 8_000,
    },
    Target {
        name: "config",
        run: config::run,
        inputs: 3_000,
    },
    Target {
        name: "secret",
        run: secret::run,
        inputs: 5_000,
    },
    Target {
        name: "due-key",
        run: due_key::run,
        inputs: 5_000,
    },
    Target {
        name: "csv",
        run: csv::run,
        inputs: 5_000,
    },
    Target {
        name: "plan",
        run: plan::run,
        inputs: 10_000,
    },
];
