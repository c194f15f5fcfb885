//! Tandem's composition root: the one place where configuration, adapters and the engine meet.
//!
//! Start with [`config::Config`], which turns the text of `tandem.toml` into plain structs.

pub mod alerts;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod current;
pub mod lambda;
pub mod metrics;
pub mod pairs;
pub mod panics;
pub mod router;
pub mod scratch;
pub mod subscriptions;
pub mod wiring;
