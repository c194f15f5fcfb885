//! What a worklog says, free of any vendor's wire format.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, IssueId, WorklogId};

/// Everything about a worklog that a person can change and that Tandem keeps the same.
///
/// The remaining estimate and `startDateTimeUtc` are absent on purpose: the first belongs to the issue, the
/// second is derived by each site from its own idea of the worker's time zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Content {
    /// Whose time it is.
    pub author: AccountId,
    /// The worker's calendar day.
    pub start_date: Date,
    /// The worker's wall clock. `None` when the site does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// Time worked, in seconds, at least 1.
    pub time_spent_secs: u64,
    /// Time billed, in seconds. `Some(0)` is non-billable; `None` means that the site did not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billable_secs: Option<u64>,
    /// The text; empty when there is none.
    #[serde(default)]
    pub description: String,
    /// Work attribute values by attribute key, mapped or not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// A worklog as a site shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worklog {
    /// Its id in Tempo.
    pub id: WorklogId,
    /// The issue that it is logged on.
    pub issue: IssueId,
    /// What it says.
    pub content: Content,
    /// When it came to be, by the site's clock.
    pub created_at: Timestamp,
    /// When it last changed, by the site's clock.
    pub updated_at: Timestamp,
}

/// Says whether two values that a site may leave out differ.
///
/// A value that one side does not tell is not a difference: there is nothing to copy.
pub fn told_differently<T: PartialEq>(left: &Option<T>, right: &Option<T>) -> bool {
    matches!((left, right), (Some(left), Some(right)) if left != right)
}

/// Says whether two texts are the same to a reader: sites cut blanks around a text, and write the ends of its lines, as they
/// like.
pub fn same_text(left: &str, right: &str) -> bool {
    left.trim() == right.trim() || lines(left) == lines(right)
}

/// Returns a text as it counts: without what surrounds it, and with one kind of line ends, since vendors change both.
pub fn lines(text: &str) -> String {
    text.trim().replace("\r\n", "\n")
}

/// Says how long something took, as people say it: `1h 30m`.
pub fn hours(secs: u64) -> String {
    match (secs / 3600, secs % 3600 / 60, secs % 60) {
        (0, minutes, 0) => format!("{minutes}m"),
        (hours, 0, 0) => format!("{hours}h"),
        (hours, minutes, 0) => format!("{hours}h {minutes:02}m"),
        (hours, minutes, secs) => format!("{hours}h {minutes:02}m {secs:02}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_as_people_say_them() {
        for (secs, text) in [
            (0, "0m"),
            (900, "15m"),
            (3600, "1h"),
            (5400, "1h 30m"),
            (3661, "1h 01m 01s"),
        ] {
            assert_eq!(hours(secs), text);
        }
    }
}
