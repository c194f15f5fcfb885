//! Jira's webhooks.

use jiff::Timestamp;
use serde_json::Value;
use tandem_core::{AccountId, IssueId, JiraWorklogId};

use super::{NotJson, WorklogChange, object};
use crate::instant::parse_instant;
use crate::lenient::scalar_number;

/// An event from Jira.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JiraEvent {
    /// Something happened to a worklog. Of a deleted one, rely on the ids alone.
    Worklog {
        /// What happened.
        kind: WorklogChange,
        /// When, by the event's own `timestamp`.
        at: Option<Timestamp>,
        /// Jira's id of it.
        jira_id: JiraWorklogId,
        /// Its issue.
        issue: Option<IssueId>,
        /// Who wrote it: Tempo's app for a worklog made in Tempo.
        author: Option<AccountId>,
        /// Whether the author is an app, where Jira says so.
        author_is_app: Option<bool>,
        /// Whether who changed it last is an app, where Jira says so: a person may edit in Jira what Tempo's app
        /// wrote.
        updater_is_app: Option<bool>,
        /// When it last changed.
        updated: Option<Timestamp>,
        /// Time worked, in seconds.
        time_spent_secs: Option<u64>,
        /// The text; empty when there is none.
        comment: String,
    },
    /// An issue was deleted.
    IssueDeleted {
        /// The issue.
        issue: IssueId,
    },
    /// An issue has another key or project than before.
    IssueMoved {
        /// The issue, whose id stays.
        issue: IssueId,
        /// Its key now.
        key: String,
    },
    /// Another event, by name; empty where it has none.
    Other(String),
}

/// Reads a payload. The signature must have been checked before.
///
/// # Errors
/// [`NotJson`]. JSON of another shape is [`JiraEvent::Other`].
pub fn parse_jira(raw_body: &[u8]) -> Result<JiraEvent, NotJson> {
    let payload = object(raw_body)?;
    let name = payload["webhookEvent"].as_str().unwrap_or_default();
    let event = match name {
        "worklog_created" => worklog(&payload, WorklogChange::Created),
        "worklog_updated" => worklog(&payload, WorklogChange::Updated),
        "worklog_deleted" => worklog(&payload, WorklogChange::Deleted),
        "jira:issue_deleted" => {
            scalar_number(&payload["issue"]["id"]).map(|id| JiraEvent::IssueDeleted { issue: IssueId(id) })
        }
        "jira:issue_updated" => moved(&payload),
        _ => None,
    };
    Ok(event.unwrap_or_else(|| JiraEvent::Other(name.to_owned())))
}

fn worklog(payload: &Value, kind: WorklogChange) -> Option<JiraEvent> {
    let worklog = &payload["worklog"];
    let instant = |name: &str| worklog[name].as_str().and_then(parse_instant);
    Some(JiraEvent::Worklog {
        kind,
        at: scalar_number(&payload["timestamp"])
            .and_then(|at| i64::try_from(at).ok())
            .and_then(|at| Timestamp::from_millisecond(at).ok()),
        jira_id: JiraWorklogId(scalar_number(&worklog["id"])?),
        issue: scalar_number(&worklog["issueId"])
            .or_else(|| scalar_number(&payload["issue"]["id"]))
            .map(IssueId),
        author: worklog["author"]["accountId"].as_str().map(AccountId::new),
        author_is_app: is_app(&worklog["author"]),
        updater_is_app: match &worklog["updateAuthor"]["accountId"] {
            Value::Null => is_app(&worklog["author"]),
            _ => is_app(&worklog["updateAuthor"]),
        },
        updated: instant("updated"),
        time_spent_secs: scalar_number(&worklog["timeSpentSeconds"]),
        comment: comment(&worklog["comment"]),
    })
}

fn is_app(user: &Value) -> Option<bool> {
    crate::jira::is_app(user["accountId"].as_str(), user["accountType"].as_str())
}

fn moved(payload: &Value) -> Option<JiraEvent> {
    let items = payload["changelog"]["items"].as_array()?;
    let names = |item: &Value, name: &str| {
        item["field"]
            .as_str()
            .is_some_and(|field| field.eq_ignore_ascii_case(name))
    };
    if !items
        .iter()
        .any(|item| names(item, "Key") || names(item, "project"))
    {
        return None;
    }
    let issue = &payload["issue"];
    let key = issue["key"].as_str().filter(|key| !key.is_empty())?;
    Some(JiraEvent::IssueMoved {
        issue: IssueId(scalar_number(&issue["id"])?),
        key: key.to_owned(),
    })
}

/// Reads a comment: absent, a text, or a document whose text is taken.
fn comment(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        document => {
            let mut text = String::new();
            flatten(document, &mut text);
            text.trim_end().to_owned()
        }
    }
}

/// Appends a document node's text; paragraphs and breaks become line breaks.
///
/// `serde_json` refuses to parse deeper than 128 levels, which bounds the recursion.
fn flatten(node: &Value, text: &mut String) {
    match node["type"].as_str() {
        Some("text") => text.push_str(node["text"].as_str().unwrap_or_default()),
        Some("hardBreak") => text.push('\n'),
        // What a reader would see in their place.
        Some("mention" | "emoji" | "date" | "status") => {
            text.push_str(node["attrs"]["text"].as_str().unwrap_or_default());
        }
        _ => {}
    }
    for child in node["content"].as_array().into_iter().flatten() {
        flatten(child, text);
    }
    let is_block = matches!(node["type"].as_str(), Some("paragraph" | "heading" | "codeBlock"));
    if is_block && !text.ends_with('\n') {
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(payload: Value) -> JiraEvent {
        parse_jira(payload.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_document_is_flattened() {
        let text = |t: &str| json!({"type": "text", "text": t});
        let document = json!({"type": "doc", "version": 1, "content": [
            {"type": "paragraph", "content": [text("one "), text("two"), {"type": "hardBreak"}, text("three")]},
            {"type": "bulletList", "content": [
                {"type": "listItem", "content": [{"type": "paragraph", "content": [text("four")]}]},
                {"type": "listItem", "content": [{"type": "paragraph", "content": [{"type": "mention", "attrs": {"text": "@x"}}]}]},
            ]},
        ]});
        let event = parse(
            json!({"webhookEvent": "worklog_created", "worklog": {"id": 7, "issueId": "8", "comment": document}}),
        );
        let JiraEvent::Worklog {
            jira_id,
            issue,
            comment,
            updated,
            ..
        } = event
        else {
            panic!("{event:?}")
        };
        assert_eq!(
            (jira_id, issue, updated),
            (JiraWorklogId(7), Some(IssueId(8)), None)
        );
        assert_eq!(comment, "one two\nthree\nfour\n@x");
    }

    #[test]
    fn tempos_app_is_known_by_its_account_where_nothing_says_that_it_is_one() {
        let app = "557058:295406f3-a1fc-4733-b906-dd15d021bd79";
        for (author, expected) in [
            (json!({"accountId": app}), Some(true)),
            (json!({"accountId": app, "accountType": "atlassian"}), Some(true)),
            (json!({"accountId": "5f0a", "accountType": "app"}), Some(true)),
            (
                json!({"accountId": "5f0a", "accountType": "atlassian"}),
                Some(false),
            ),
            (json!({"accountId": "5f0a"}), None),
        ] {
            let event = parse(json!({"webhookEvent": "worklog_updated",
                "worklog": {"id": 7, "issueId": "8", "author": author}}));
            let JiraEvent::Worklog {
                author_is_app,
                updater_is_app,
                ..
            } = event
            else {
                panic!("{event:?}")
            };
            assert_eq!((author_is_app, updater_is_app), (expected, expected), "{author}");
        }
    }

    #[test]
    fn moves_are_seen_in_the_changelog() {
        let event = |field: &str| {
            parse(
                json!({"webhookEvent": "jira:issue_updated", "issue": {"id": "5", "key": "NEW-1"},
                "changelog": {"items": [{"field": "summary"}, {"field": field}]}}),
            )
        };
        let moved = JiraEvent::IssueMoved {
            issue: IssueId(5),
            key: "NEW-1".into(),
        };
        assert_eq!(event("Key"), moved);
        assert_eq!(event("project"), moved);
        assert_eq!(event("timespent"), JiraEvent::Other("jira:issue_updated".into()));
    }

    #[test]
    fn an_event_tells_when_it_happened() {
        let deleted = |timestamp: Value| json!({"timestamp": timestamp, "webhookEvent": "worklog_deleted", "worklog": {"id": 7}});
        for (timestamp, told) in [
            (json!(1_614_985_754_173_i64), Some(1_614_985_754_173)),
            (json!("soon"), None),
            (json!(u64::MAX), None),
        ] {
            let JiraEvent::Worklog { at, .. } = parse(deleted(timestamp)) else {
                panic!("no worklog")
            };
            assert_eq!(at.map(Timestamp::as_millisecond), told);
        }
    }

    #[test]
    fn other_shapes_are_other_events() {
        let deleted = json!({"webhookEvent": "jira:issue_deleted", "issue": {"id": 5}});
        assert_eq!(parse(deleted), JiraEvent::IssueDeleted { issue: IssueId(5) });
        for (payload, name) in [
            (
                json!({"webhookEvent": "worklog_created", "worklog": {"id": "x"}}),
                "worklog_created",
            ),
            (json!({"webhookEvent": "comment_created"}), "comment_created"),
            (json!({"webhookEvent": 7}), ""),
            (json!([1]), ""),
            (json!(null), ""),
        ] {
            assert_eq!(parse(payload), JiraEvent::Other(name.into()));
        }
        for body in ["", "x=1", "{"] {
            assert_eq!(parse_jira(body.as_bytes()), Err(NotJson), "{body}");
        }
    }
}
