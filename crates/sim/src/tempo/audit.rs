//! The audit trail: the search of today, and the older feed of deletes.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{check, error};
use crate::http::Reply;
use crate::papertrail::{Action, Trace};
use crate::route::{Answer, Call};
use crate::time::iso_millis;

/// How far back the search goes.
const REACH: Duration = Duration::from_secs(180 * 24 * 3600);

fn permitted(call: &Call<'_>) -> Result<(), Reply> {
    if call.site.spec.papertrail {
        Ok(())
    } else {
        Err(error(403, &["You do not have permission to view the audit log"]))
    }
}

/// Reads a full moment; a bare date is not one.
fn moment(name: &str, text: Option<&str>) -> Result<Timestamp, Reply> {
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| error(400, &[format!("{name} must be a date and time in ISO format")]))
}

fn limit(call: &Call<'_>, default: usize, min: usize) -> Result<usize, Reply> {
    let Some(text) = call.request.one("limit") else {
        return Ok(default);
    };
    let limit = text.parse().ok().filter(|limit| (min..=1000).contains(limit));
    limit.ok_or_else(|| error(400, &[format!("limit must be between {min} and 1000")]))
}

/// A page token is the number of rows before the page; opaque to the client, so any text would do.
fn after(token: Option<&str>) -> Result<usize, Reply> {
    let number = token.map(|token| token.strip_prefix("row-").and_then(|n| n.parse().ok()));
    match number {
        None => Ok(0),
        Some(Some(rows)) => Ok(rows),
        Some(None) => Err(error(400, &["Invalid page token"])),
    }
}

pub(super) fn search(call: &mut Call<'_>) -> Answer {
    permitted(call)?;
    let body = check::object(call)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let from = moment("from", text("from"))?;
    if from < call.now - REACH {
        return Err(error(400, &["from must be within the last 180 days"]));
    }
    let to = text("to").map(|text| moment("to", Some(text))).transpose()?;
    let wanted = |name: &str, value: &str| {
        let list = body
            .get(name)
            .and_then(Value::as_array)
            .filter(|list| !list.is_empty());
        list.is_none_or(|list| list.iter().any(|entry| entry.as_str() == Some(value)))
    };
    let limit = limit(call, 100, 1)?;
    let start = after(call.request.one("nextPageToken"))?;
    let rows: Vec<&Trace> = call
        .site
        .papertrail
        .since(from)
        .filter(|trace| to.is_none_or(|to| trace.at <= to))
        .filter(|_| wanted("entityType", "worklog"))
        .filter(|trace| wanted("action", trace.action.wire()))
        .filter(|trace| wanted("author", &trace.author) && wanted("worker", &trace.worker))
        .collect();
    let end = (start + limit).min(rows.len());
    let results: Vec<Value> = rows[start.min(end)..end]
        .iter()
        .map(|trace| render(trace))
        .collect();
    let mut metadata = json!({"limit": limit});
    if end < rows.len() {
        let token = format!("row-{end}");
        metadata["nextPageUrl"] = json!(call.request.url_with(&[("nextPageToken", token.clone())]));
        metadata["nextPageToken"] = json!(token);
    }
    Ok(Reply::ok(
        &json!({"self": call.request.url(), "metadata": metadata, "results": results}),
    ))
}

fn render(trace: &Trace) -> Value {
    let changes: Vec<Value> = trace
        .changes
        .iter()
        .map(|change| json!({"field": change.field, "previous": change.previous, "new": change.new}))
        .collect();
    json!({
        "action": trace.action.wire(),
        "author": trace.author,
        "worker": trace.worker,
        "entityId": trace.worklog.to_string(),
        "entityType": "worklog",
        "parentId": trace.issue.to_string(),
        "timestamp": iso_millis(trace.at),
        "changes": changes,
    })
}

/// The feed that is on its way out, and the only one to name the Jira worklog.
pub(super) fn deleted(call: &mut Call<'_>) -> Answer {
    permitted(call)?;
    let from = moment("updatedFrom", call.request.one("updatedFrom"))?;
    let limit = limit(call, 50, 50)?;
    let start = after(call.request.one("lastEvaluatedKey"))?;
    let rows: Vec<&Trace> = call
        .site
        .papertrail
        .since(from)
        .filter(|trace| trace.action == Action::Deleted)
        .collect();
    let end = (start + limit).min(rows.len());
    let results: Vec<Value> = rows[start.min(end)..end]
        .iter()
        .map(|trace| {
            let mut row =
                json!({"tempoWorklogId": trace.worklog.to_string(), "deletedAt": iso_millis(trace.at)});
            if let Some(jira_id) = trace.jira_id {
                row["jiraWorklogId"] = json!(jira_id.to_string());
            }
            row
        })
        .collect();
    let mut metadata = json!({"count": results.len(), "limit": limit});
    if end < rows.len() {
        let key = format!("row-{end}");
        metadata["next"] = json!(call.request.url_with(&[("lastEvaluatedKey", key.clone())]));
        metadata["lastEvaluatedKey"] = json!(key);
    }
    Ok(Reply::ok(
        &json!({"self": call.request.url(), "metadata": metadata, "results": results}),
    ))
}
