//! The binary as people run it: exit codes, stdout, and two simulated sites over real HTTP.
#![allow(missing_docs, clippy::unwrap_used, unreachable_pub)]

mod acting;
mod bad_input;
mod bench;
mod deciding;
mod doctor;
mod forget;
mod looking;
mod privacy;
mod serving;
mod setting;
mod showing;
mod storing;
mod versions;
