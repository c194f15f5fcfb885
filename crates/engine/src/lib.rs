//! Tandem's engine: the run, and the ports that it needs.
//!
//! Whatever triggers it, a run takes a link and nothing else: it observes both sides, the pairs and the
//! evidence, plans with [`tandem_core::plan`], lets the checker refuse, executes, and records. It is async but
//! owns no client; [`ports`] says what it needs.
//!
//! Start with [`run`].

pub mod audit;
pub mod backfill;
mod bulk;
mod decided;
pub mod discover;
pub mod echo;
pub mod error;
pub mod execute;
pub mod forget;
pub mod gate;
mod health;
mod hold;
pub mod ingest;
pub mod learn;
mod memory;
pub mod observe;
pub mod operator;
pub mod options;
pub mod pass;
pub mod people;
pub mod ports;
mod rehearse;
pub mod run;
pub mod sweep;
mod tell;
pub mod verify;
pub mod wanted;

pub use error::EngineError;
pub use gate::Asking;
pub use ingest::{Event, Stored};
pub use options::{Connection, Engine, LinkSource, LinkSources, Options, Site};
