//! Tempo's webhooks.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use serde_json::Value;
use tandem_core::{AccountId, IssueId, WorklogId};

use super::{NotJson, WorklogChange, object};
use crate::instant::{parse_date, parse_instant, parse_time};
use crate::lenient::{scalar_number, scalar_text};

/// An event from Tempo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TempoEvent {
    /// Something happened to a worklog. Its attributes are never in the payload.
    Worklog {
        /// What happened.
        kind: WorklogChange,
        /// Tempo's id of the delivery; whether a retry keeps it is not documented.
        event_id: Option<String>,
        /// Its id.
        id: WorklogId,
        /// Its issue.
        issue: Option<IssueId>,
        /// Whose time it is.
        author: Option<AccountId>,
        /// Who did it. A retention purge names the last person who edited it.
        updater: Option<AccountId>,
        /// The worker's calendar day.
        start_date: Option<Date>,
        /// The worker's wall clock.
        start_time: Option<Time>,
        /// Time worked, in seconds.
        time_spent_secs: Option<u64>,
        /// Time billed, in seconds.
        billable_secs: Option<u64>,
        /// The text; empty when there is none.
        description: String,
        /// When it came to be.
        created_at: Option<Timestamp>,
        /// When it last changed.
        updated_at: Option<Timestamp>,
    },
    /// Another event, by name; empty where it has none.
    Other(String),
}

/// Reads a payload. The signature must have been checked before.
///
/// # Errors
/// [`NotJson`]. JSON of another shape is [`TempoEvent::Other`].
pub fn parse_tempo(raw_body: &[u8]) -> Result<TempoEvent, NotJson> {
    let event = object(raw_body)?;
    let name = event["eventType"].as_str().unwrap_or_default();
    let kind = match name {
        "worklog.created" => Some(WorklogChange::Created),
        "worklog.updated" => Some(WorklogChange::Updated),
        "worklog.deleted" => Some(WorklogChange::Deleted),
        _ => None,
    };
    Ok(kind
        .and_then(|kind| worklog(&event, kind))
        .unwrap_or_else(|| TempoEvent::Other(name.to_owned())))
}

fn worklog(event: &Value, kind: WorklogChange) -> Option<TempoEvent> {
    let payload = &event["payload"];
    let text = |name: &str| payload[name].as_str();
    let person = |name: &str| payload[name]["accountId"].as_str().map(AccountId::new);
    Some(TempoEvent::Worklog {
        kind,
        event_id: scalar_text(&event["eventId"]),
        id: WorklogId(scalar_number(&payload["tempoWorklogId"])?),
        issue: scalar_number(&payload["issue"]["id"]).map(IssueId),
        author: person("author"),
        updater: person("updater"),
        start_date: text("startDate").and_then(parse_date),
        start_time: text("startTime").and_then(parse_time),
        time_spent_secs: scalar_number(&payload["timeSpentSeconds"]),
        billable_secs: scalar_number(&payload["billableSeconds"]),
        description: text("description").unwrap_or_default().to_owned(),
        created_at: text("createdAt").and_then(parse_instant),
        updated_at: text("updatedAt").and_then(parse_instant),
    })
}
