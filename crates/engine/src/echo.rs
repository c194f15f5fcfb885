//! Recognising our own writes when they come back as webhooks.
//!
//! What is about to be written is noted under a mark that can be computed from the webhook alone. A wrong guess
//! is harmless: the sweep looks anyway.

use jiff::Timestamp;
use jiff::civil::Date;
use sha2::{Digest, Sha256};
use tandem_core::worklog::lines;
use tandem_core::{AccountId, Content, IssueId, JiraWorklogId, WorklogId};

use crate::ports::store::Echo;

/// Returns the mark of a Tempo webhook that tells of a created or updated worklog.
pub fn tempo_mark(
    issue: IssueId,
    author: &AccountId,
    date: Date,
    time_spent_secs: u64,
    text: &str,
) -> String {
    let said = [
        &issue.to_string(),
        author.as_str(),
        &date.to_string(),
        &time_spent_secs.to_string(),
        &lines(text),
    ];
    format!("T{}", digest(&said))
}

/// Returns the mark of a Jira webhook that tells of a created or updated worklog. Jira tells less: the author
/// is Tempo's app, the wall clock is somebody else's.
pub fn jira_mark(issue: IssueId, time_spent_secs: u64, text: &str) -> String {
    format!(
        "J{}",
        digest(&[&issue.to_string(), &time_spent_secs.to_string(), &lines(text)])
    )
}

/// Returns the mark of a Tempo webhook that tells of a deleted worklog.
pub fn tempo_deleted_mark(worklog: WorklogId) -> String {
    format!("TD{worklog}")
}

/// Returns the mark of a Jira webhook that tells of a deleted worklog.
pub fn jira_deleted_mark(worklog: JiraWorklogId) -> String {
    format!("JD{worklog}")
}

/// Returns the mark of a Jira webhook that tells of a deleted worklog on an issue, where its Jira id was not known when
/// Tandem deleted it.
pub fn unknown_jira_deleted_mark(issue: IssueId) -> String {
    format!("JDI{issue}")
}

/// Returns a short digest of what a worklog says, in hexadecimal digits. It is kept in the table, so it must not differ
/// from one build to the next.
pub fn said(content: &Content) -> String {
    let text = serde_json::to_string(content).unwrap_or_default();
    digest(&[&text])[..16].to_owned()
}

/// Returns a digest of texts in their order, in hexadecimal digits.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // The length keeps two fields from running into one.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..16])
}

/// Says whether a Tempo webhook is the echo of a noted write.
pub fn is_tempo_echo(echo: &Echo, worklog: WorklogId, updated_at: Timestamp) -> bool {
    let same_worklog = echo.worklog.is_none_or(|written| written == worklog);
    // The site's answer tells the exact moment of our write. Until it is known, the content alone decides.
    let same_moment = echo
        .updated_at
        .is_none_or(|written| written.as_second() == updated_at.as_second());
    same_worklog && same_moment
}

/// Says whether a Jira webhook is the echo of a noted write. Our writes reach Jira through Tempo: as its app, or
/// as the author that we wrote. Anybody else did it themselves.
pub fn is_jira_echo(echo: &Echo, author: Option<&AccountId>, by_app: Option<bool>) -> bool {
    match (by_app, author) {
        (Some(true), _) | (None, None) => true,
        (_, author) => author.is_some() && author == echo.author.as_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_tell_different_work_apart() {
        let day = jiff::civil::date(2026, 3, 2);
        let mark = |issue, author: &str, secs, text: &str| {
            tempo_mark(IssueId(issue), &author.into(), day, secs, text)
        };
        let one = mark(1, "ann", 60, "x");
        assert_eq!(one, mark(1, "ann", 60, " x "));
        assert_eq!(mark(1, "ann", 60, "x\ny"), mark(1, "ann", 60, "x\r\ny\n"));
        for other in [
            mark(2, "ann", 60, "x"),
            mark(1, "bob", 60, "x"),
            mark(1, "ann", 61, "x"),
            mark(1, "ann", 60, "y"),
        ] {
            assert_ne!(one, other);
        }
        assert_ne!(jira_mark(IssueId(1), 60, "x"), jira_mark(IssueId(16), 0, "x"));
    }
}
