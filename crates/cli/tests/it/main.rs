//! The binary as people run it: exit codes, stdout, and two simulated sites over real HTTP.
#![allow(missing_docs, clippy::unwrap_used, unreachable_pub)]

mod acting;
mod alerting;
mod amazon;
mod backfill;
mod bad_input;
mod bench;
mod books;
mod connect;
mod deciding;
mod doctor;
mod forget;
mod glance;
mod guide;
mod guides;
mod helping;
mod knowing;
mod looking;
mod naming;
mod picking;
mod planning;
mod privacy;
mod serving;
mod setting;
mod showing;
#[cfg(unix)]
mod signing;
mod storing;
mod tabled;
mod telling;
mod terminal;
mod vault;
mod versions;
