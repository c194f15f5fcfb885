//! The Lambda functions as binaries, between API Gateway, the table with its stream, schedules and two sites.
#![allow(missing_docs, clippy::unwrap_used, unreachable_pub)]

mod alerts;
mod cost;
mod metrics;
mod permissions;
mod privacy;
mod reconcile;
mod rotate;
mod start;
mod webhook;
mod worker;
mod world;
