//! The store's contract, as sentences about the world, held against the embedded table.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod brake;
mod due;
mod faults;
mod files;
mod forget;
mod history;
mod keep;
mod links;
mod looking_ahead;
mod newer;
mod pairs;
mod secrets;
mod sites;
mod world;
