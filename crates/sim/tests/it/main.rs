//! Holds the simulator against what is known of the vendors.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod behaviour;
mod determinism;
mod faults;
mod harness;
mod shapes;
mod webhooks;
