//! A small model of Tandem's protocol, checked in every interleaving.
//!
//! Two sites, one link, two workers, one table. People log, edit and delete; webhooks come late, twice, in any
//! order or not at all; workers die before any of their steps; answers get lost before or after the effect; a lease runs
//! out under a run. [`check::check`] goes through *every* state that a [`Config`] can come to (with
//! [stateright](https://docs.rs/stateright)) and says which promises can be broken, and how.
//!
//! ```text
//! cargo test -p tandem-model                            # the small configurations, and rules left out
//! cargo run -p tandem-model --release --example check   # the large ones too; prints the states of each
//! ```
//!
//! # What is the product's own
//!
//! Every decision: the model calls `tandem_core`'s `plan`, `check`, `Step::begun`, `Step::done` and
//! `Step::refused`, on its `Observed` and its `Pair`. What stands around them is written anew, small, after
//! `tandem-engine`, under its names: `hint`, `take`, `list` of both sides before the table, `plan`, `record`, `stay`,
//! `begin` (the intent, under the fence), `sent`, `answered`, `give_up`, `keep`, `lost_sight`, `finish`; the conditions
//! of `Op`; the due row's generations and leases; and the engine's times (a lease of 60 s, an attempt of 40 s, a call no later than 8 s after its
//! intent, `create_grace` of 30 s).
//!
//! # What must hold
//!
//! An observer ([`sites`]) knows what people did and what the sites show, nothing of the table:
//!
//! - *create-once*: no site ever shows two worklogs that come from the same root;
//! - *no-lost-update*: no write of Tandem's puts an older value in the place of a person's newer one, and no delete takes along an
//!   edit that whoever deleted the twin could not see;
//! - *no-delete-unbidden*: no worklog is deleted whose twin no person deleted;
//! - *no-return*: no worklog that a person deleted comes back, but where its twin was edited and they could not see that;
//! - *no-plan-refused*: the plan checker never has to refuse;
//! - *equal-at-rest*: when nothing goes on by itself any more, both sides are equal.
//!
//! Two exceptions are part of the claim. A site has no conditional write: what a person does to a worklog after a run listed it and
//! before that run's write lands can be overwritten. And where the answer to a write was lost and a person deletes what it
//! wrote before Tandem has looked again, nobody can tell which came first: the edit wins, and it comes back.
//!
//! A configuration also says what must be *met* on the way (a twin, a stolen lease, an adopted create, a conflict,
//! …), so that it does not hold of a world in which nothing happens; and a [`Rule`] can be left out, to see
//! the check fail.
//!
//! # What is not modelled
//!
//! Several links, moves, rings and chains of connections, the brake, permissions, refusals and parking for them, attributes, rate
//! limits, echoes (own writes send no webhook here), announced changes, listings that lag, several pages, a run's
//! budget, growing backoff (always 5 s), batches of rows that go through in part. A person's act takes a second and no act shares one
//! with another; the clocks of the sites and of the workers agree. A step of a worker is one access to what is shared: the
//! reads of the table between the listings and the plan count as one. The sweep comes when all else is at rest.
//! States are told apart by 64-bit digests.

pub mod check;
pub mod config;
pub mod protocol;
pub mod run;
pub mod sites;
pub mod table;
pub mod told;

pub use config::{Config, Rule};
pub use protocol::{Action, Protocol, State};
