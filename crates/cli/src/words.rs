//! Moments, durations and contents as people read them.

use jiff::{SignedDuration, Timestamp};
use tandem_core::Content;

pub(crate) use tandem_core::worklog::hours;

/// `3 min ago`
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(now.duration_since(at)))
}

/// `in 3 min`
pub(crate) fn ahead(at: Timestamp, now: Timestamp) -> String {
    if at <= now {
        "now".to_owned()
    } else {
        format!("in {}", span(at.duration_since(now)))
    }
}

/// `40 s`, `3 min`
pub(crate) fn secs(secs: f64) -> String {
    span(SignedDuration::try_from_secs_f64(secs.ceil()).unwrap_or(SignedDuration::MAX))
}

fn span(span: SignedDuration) -> String {
    match span.as_secs().max(0) {
        secs @ 0..=119 => format!("{secs} s"),
        secs @ 120..=7199 => format!("{} min", secs / 60),
        secs @ 7200..=172_799 => format!("{} h", secs / 3600),
        secs => format!("{} days", secs / 86_400),
    }
}

/// A moment to the second.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// One line about a worklog's content.
pub(crate) fn content(content: &Content) -> String {
    content_of(content.author.as_str(), content)
}

/// The same with its author called so.
pub(crate) fn content_of(author: &str, content: &Content) -> String {
    let time = content
        .start_time
        .map(|time| time.strftime(" %H:%M").to_string())
        .unwrap_or_default();
    let mut text = format!(
        "{author} {}{time} {}",
        content.start_date,
        hours(content.time_spent_secs)
    );
    match content.billable_secs {
        Some(0) => text.push_str(" non-billable"),
        Some(secs) if secs != content.time_spent_secs => {
            text.push_str(&format!(" ({} billable)", hours(secs)))
        }
        _ => {}
    }
    for (key, value) in &content.attributes {
        text.push_str(&format!(" {key}={value}"));
    }
    if !content.description.is_empty() {
        text.push_str(&format!(" \"{}\"", content.description));
    }
    text
}

/// `1 worklog`, `2 worklogs`
pub(crate) fn count(number: usize, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}
