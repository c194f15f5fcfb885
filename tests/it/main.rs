//! The whole system on the simulator: real engine, real adapters, real table, no sockets, virtual time.
#![allow(missing_docs, clippy::unwrap_used, unreachable_pub)]

mod ahead;
mod backfill;
mod brake;
mod convergence;
mod counts;
mod deletes;
mod failing;
mod interruptions;
mod limits;
mod linking;
mod moves;
mod passes;
mod rings;
mod scenarios;
mod subscriptions;
mod template;
mod told;
mod waiting;
mod world;
