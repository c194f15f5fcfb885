//! What webhooks say, once their signature has been checked.
//!
//! A payload is a hint: it says where to look. Parsing is therefore forgiving - JSON of an unknown shape is an
//! event that is not for us - and only what is not JSON at all is an error.

mod jira;
mod tempo;

pub use jira::{JiraEvent, parse_jira};
pub use tempo::{TempoEvent, parse_tempo};

/// The body is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not JSON")]
pub struct NotJson;

/// What happened to a worklog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorklogChange {
    /// It is new.
    Created,
    /// It was edited.
    Updated,
    /// It is gone.
    Deleted,
}

fn object(raw_body: &[u8]) -> Result<serde_json::Value, NotJson> {
    serde_json::from_slice(raw_body).map_err(|_| NotJson)
}
