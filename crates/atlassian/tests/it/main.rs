//! The adapters against scripted answers, recorded payloads, the vendors' schemas and random input.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod conformance;
mod doubles;
mod network;
mod properties;
mod recorded;
mod site;
