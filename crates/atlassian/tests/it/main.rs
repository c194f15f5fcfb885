//! The adapters against scripted answers, recorded payloads, the vendors' schemas and random input.

mod conformance;
mod doubles;
mod network;
mod properties;
mod recorded;
mod site;
