//! Tandem's pure heart.
//!
//! Merging and planning are plain functions over plain data. There is no `async`, clock, randomness,
//! environment, HTTP or SDK type here, and no vendor's wire format: time and identifiers come in as arguments.
//!
//! Start with [`plan::plan`], which turns what was observed into steps; it calls [`merge::merge`] for each
//! pair of twins and [`render`] for each value that crosses from one side to the other. [`check::check`]
//! refuses a plan that breaks a promise.

pub mod check;
pub mod copies;
pub mod decide;
pub mod field;
pub mod ids;
pub mod merge;
pub mod observed;
pub mod pair;
pub mod plan;
pub mod reason;
pub mod render;
pub mod rules;
pub mod step;
pub mod twin;
pub mod worklog;

#[cfg(test)]
mod testing;

pub use ids::{
    AccountId, ConnectionName, IssueId, JiraWorklogId, LinkKey, PairId, Side, Sides, SiteName, WorklogId,
};
pub use pair::{Ignored, Intent, IntentKind, Pair, PairState, Unmet, Wait};
pub use reason::Reason;
pub use worklog::{Content, Worklog};
