//! Small things that the tests of this crate share.

use crate::worklog::Content;

/// An hour of work at half past one on a day in March.
pub(crate) fn content(author: &str, description: &str) -> Content {
    Content {
        author: author.into(),
        start_date: jiff::civil::date(2026, 3, 2),
        start_time: Some(jiff::civil::time(13, 30, 0, 0)),
        time_spent_secs: 3600,
        billable_secs: Some(3600),
        description: description.into(),
        attributes: Default::default(),
    }
}
