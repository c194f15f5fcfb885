//! Holds the simulator against what is known of the vendors.

mod behaviour;
mod determinism;
mod faults;
mod harness;
mod shapes;
mod webhooks;
