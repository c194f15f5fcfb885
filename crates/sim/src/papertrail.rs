//! Tempo's audit trail of worklogs.

use jiff::Timestamp;

/// What happened to a worklog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Created,
    Updated,
    Deleted,
}

impl Action {
    pub(crate) fn wire(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Updated => "Updated",
            Self::Deleted => "Deleted",
        }
    }
}

/// One changed field.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) field: &'static str,
    pub(crate) previous: Option<String>,
    pub(crate) new: Option<String>,
}

/// One entry of the trail.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) at: Timestamp,
    pub(crate) action: Action,
    /// Who did it.
    pub(crate) author: String,
    /// Whose worklog it is.
    pub(crate) worker: String,
    pub(crate) worklog: u64,
    pub(crate) jira_id: Option<u64>,
    pub(crate) issue: u64,
    pub(crate) changes: Vec<Change>,
}

/// All entries, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Papertrail(Vec<Trace>);

impl Papertrail {
    pub(crate) fn add(&mut self, trace: Trace) {
        self.0.push(trace);
    }

    /// Returns the entries from a moment on.
    pub(crate) fn since(&self, from: Timestamp) -> impl Iterator<Item = &Trace> {
        self.0.iter().filter(move |trace| trace.at >= from)
    }
}
