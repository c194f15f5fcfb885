//! Worklogs as Tempo and as Jira keep them.

use std::collections::BTreeMap;
use std::ops::Deref;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use serde::Serialize;

/// What a person can fill in on a worklog, apart from the issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Content {
    /// Account id of the person whose time it is.
    pub author: String,
    /// The worker's calendar day.
    pub start_date: Date,
    /// The worker's time of day.
    pub start_time: Time,
    /// Time spent.
    pub time_spent_secs: i64,
    /// Billable time; zero is a value of its own.
    pub billable_secs: i64,
    /// What was done; `None` when left empty.
    pub description: Option<String>,
    /// Work attributes by key.
    pub attributes: BTreeMap<String, String>,
}

impl Content {
    /// Makes the content of a billable worklog without description or attributes.
    ///
    /// # Panics
    /// When `date` is not `YYYY-MM-DD` or `time` is not `HH:MM:SS`.
    pub fn new(author: impl Into<String>, date: &str, time: &str, time_spent_secs: i64) -> Self {
        Self {
            author: author.into(),
            start_date: date.parse().expect("the date is written YYYY-MM-DD"),
            start_time: time.parse().expect("the time is written HH:MM:SS"),
            time_spent_secs,
            billable_secs: time_spent_secs,
            description: None,
            attributes: BTreeMap::new(),
        }
    }

    /// Sets the description.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into()).filter(|t: &String| !t.is_empty());
        self
    }

    /// Sets the billable time.
    pub fn billable(mut self, secs: i64) -> Self {
        self.billable_secs = secs;
        self
    }

    /// Sets a work attribute.
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(key.into(), value.into());
        self
    }
}

/// A worklog in Tempo. Its [`Content`] can be read as if its fields were here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Worklog {
    /// Tempo's id; survives a move to another issue.
    pub id: u64,
    /// Id of the worklog's shadow in Jira, when it has one.
    pub jira_id: Option<u64>,
    /// Id of the issue.
    pub issue: u64,
    /// Account id of who changed it last.
    pub updater: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// What the person filled in.
    #[serde(flatten)]
    pub content: Content,
}

impl Deref for Worklog {
    type Target = Content;

    fn deref(&self) -> &Content {
        &self.content
    }
}

/// A worklog in Jira: made there by a person, or the shadow of one in Tempo.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JiraWorklog {
    /// Jira's id; a move in Tempo gives the worklog a new one.
    pub id: u64,
    /// Id of the issue.
    pub issue: u64,
    /// Account id of the author: a person, or the Tempo app.
    pub author: String,
    /// Account id of who changed it last, as Jira sees it.
    pub update_author: String,
    /// The comment as plain text.
    pub comment: Option<String>,
    /// When the work started, as an instant.
    pub started: Timestamp,
    /// Time spent.
    pub time_spent_secs: i64,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed last.
    pub updated: Timestamp,
    /// Worklog properties; Tempo keeps its own id under `tempo`.
    pub properties: BTreeMap<String, serde_json::Value>,
}
