//! Jira's own worklogs: here the caller is always the author.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::users::details;
use super::{adf, error, named_issue};
use crate::delivery::Flow;
use crate::http::Reply;
use crate::route::{Answer, Call};
use crate::rules::Permission;
use crate::site::Site;
use crate::time::{jira_time, parse_jira_time, parse_pretty, pretty};
use crate::worklog::JiraWorklog;

/// The most worklogs an issue takes through Jira; Tempo doesn't mind this cap.
const PER_ISSUE_MAX: usize = 10_000;
/// The longest worklog property.
const PROPERTY_MAX: usize = 32_768;

pub(super) fn properties(worklog: &JiraWorklog) -> Value {
    worklog
        .properties
        .iter()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect()
}

fn render(site: &Site, worklog: &JiraWorklog, expand: bool) -> Value {
    let zone = site.zone_of(site.service());
    let mut body = json!({
        "self": format!("{}/rest/api/3/issue/{}/worklog/{}", site.jira_base, worklog.issue, worklog.id),
        "author": details(site, &worklog.author),
        "updateAuthor": details(site, &worklog.update_author),
        "created": jira_time(worklog.created, &zone),
        "updated": jira_time(worklog.updated, &zone),
        "started": jira_time(worklog.started, &zone),
        "timeSpent": pretty(worklog.time_spent_secs),
        "timeSpentSeconds": worklog.time_spent_secs,
        "id": worklog.id.to_string(),
        "issueId": worklog.issue.to_string(),
    });
    if let Some(comment) = &worklog.comment {
        body["comment"] = adf::document(comment);
    }
    if expand {
        body["properties"] = properties(worklog);
    }
    body
}

fn expands(call: &Call<'_>) -> bool {
    call.request
        .one("expand")
        .is_some_and(|expand| expand.contains("properties"))
}

fn no_worklog(id: &str) -> Reply {
    error(404, &[format!("Cannot find worklog with id: '{id}'.")])
}

fn named(call: &Call<'_>) -> Result<JiraWorklog, Reply> {
    let issue = named_issue(call)?.id;
    let id = call.param(1);
    let found = id.parse().ok().and_then(|id| call.site.jira.get(id));
    found
        .filter(|worklog| worklog.issue == issue)
        .cloned()
        .ok_or_else(|| no_worklog(id))
}

pub(super) fn list(call: &mut Call<'_>) -> Answer {
    let issue = named_issue(call)?.id;
    let number = |name: &str| call.request.one(name).and_then(|n| n.parse::<i64>().ok());
    let start = number("startAt").unwrap_or(0).max(0) as usize;
    let max = number("maxResults").unwrap_or(5000).clamp(0, 5000) as usize;
    let (after, before) = (number("startedAfter"), number("startedBefore"));
    let mut found: Vec<&JiraWorklog> = call
        .site
        .jira
        .of_issue(issue)
        .filter(|w| after.is_none_or(|after| w.started.as_millisecond() > after))
        .filter(|w| before.is_none_or(|before| w.started.as_millisecond() < before))
        .collect();
    found.sort_by_key(|worklog| (worklog.created, worklog.id));
    let end = (start + max).min(found.len());
    let expand = expands(call);
    let rows: Vec<Value> = found[start.min(end)..end]
        .iter()
        .map(|worklog| render(call.site, worklog, expand))
        .collect();
    Ok(Reply::ok(&json!({
        "startAt": start, "maxResults": max, "total": found.len(), "worklogs": rows,
    })))
}

pub(super) fn get(call: &mut Call<'_>) -> Answer {
    Ok(Reply::ok(&render(call.site, &named(call)?, expands(call))))
}

pub(super) fn by_ids(call: &mut Call<'_>) -> Answer {
    let body = call.request.json().unwrap_or_default();
    let ids = body
        .get("ids")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if ids.len() > 1000 {
        return Err(error(400, &["The number of ids must not exceed 1000."]));
    }
    let expand = expands(call);
    let rows: Vec<Value> = ids
        .iter()
        .filter_map(|id| call.site.jira.get(id.as_u64()?))
        .filter(|worklog| call.site.may(Permission::Browse, worklog.issue))
        .map(|worklog| render(call.site, worklog, expand))
        .collect();
    Ok(Reply::ok(&rows))
}

/// What a body may set; `None` leaves it as it is.
struct Input {
    comment: Option<Option<String>>,
    started: Option<jiff::Timestamp>,
    secs: Option<i64>,
    properties: BTreeMap<String, Value>,
}

fn input(call: &mut Call<'_>) -> Result<Input, Reply> {
    let Some(Value::Object(body)) = call.request.json() else {
        return Err(error(400, &["The request body is not valid JSON."]));
    };
    if call.request.one("notifyUsers") != Some("false") {
        call.violation("notifyUsers is not false: watchers get mail");
    }
    if call.request.one("overrideEditableFlag") == Some("true") {
        return Err(error(403, &["overrideEditableFlag is only available to apps."]));
    }
    let comment = match body.get("comment") {
        None => None,
        Some(Value::Null) => Some(None),
        Some(document) => {
            let text = adf::text(document)
                .ok_or_else(|| error(400, &["Comment body is not valid Atlassian document format."]))?;
            Some(Some(text).filter(|text| !text.is_empty()))
        }
    };
    let started =
        match body.get("started") {
            None | Some(Value::Null) => None,
            Some(value) => {
                let parsed = value.as_str().and_then(parse_jira_time);
                Some(parsed.ok_or_else(|| {
                    error(400, &["started must be in the format yyyy-MM-dd'T'HH:mm:ss.SSSZ"])
                })?)
            }
        };
    let secs = match (body.get("timeSpentSeconds"), body.get("timeSpent")) {
        (Some(secs), _) => secs.as_i64(),
        (None, Some(text)) => text.as_str().and_then(parse_pretty),
        (None, None) => None,
    };
    let named = body.contains_key("timeSpentSeconds") || body.contains_key("timeSpent");
    if named && secs.is_none_or(|secs| secs < 60) {
        return Err(error(
            400,
            &["Worklog must not be null and its time spent must be at least a minute."],
        ));
    }
    let mut properties = BTreeMap::new();
    for property in body
        .get("properties")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        if let (Some(key), Some(value)) = (property.get("key").and_then(Value::as_str), property.get("value"))
        {
            properties.insert(key.to_owned(), value.clone());
        }
    }
    Ok(Input {
        comment,
        started,
        secs,
        properties,
    })
}

pub(super) fn create(call: &mut Call<'_>) -> Answer {
    let issue = named_issue(call)?.id;
    let input = input(call)?;
    let Some(secs) = input.secs else {
        return Err(error(400, &["Time spent is required."]));
    };
    if !call.site.may(Permission::WorkOnIssues, issue) {
        return Err(error(
            400,
            &["You do not have the permission to associate a worklog to this issue."],
        ));
    }
    if call.site.jira.count_of_issue(issue) >= PER_ISSUE_MAX {
        return Err(error(
            413,
            &["The per-issue limit has been breached for worklogs."],
        ));
    }
    let me = call.site.service().to_owned();
    let now = call.now;
    let id = call.site.jira_create(
        now,
        JiraWorklog {
            id: 0,
            issue,
            author: me.clone(),
            update_author: me,
            comment: input.comment.flatten(),
            started: input.started.unwrap_or(now),
            time_spent_secs: secs,
            created: now,
            updated: now,
            properties: input.properties,
        },
    );
    adjust_estimate(call, issue, secs);
    let made = call.site.jira.get(id).cloned().ok_or_else(|| no_worklog("new"))?;
    Ok(Reply::json(201, &render(call.site, &made, expands(call))))
}

/// Jira's default takes the time off the remaining estimate; `leave` and `new` are as they say.
fn adjust_estimate(call: &mut Call<'_>, issue: u64, secs: i64) {
    let (mode, new) = (
        call.request.one("adjustEstimate").unwrap_or("auto"),
        call.request.one("newEstimate"),
    );
    let Some(issue) = call.site.issues.get_mut(&issue) else {
        return;
    };
    match mode {
        "auto" => issue.remaining_secs = issue.remaining_secs.map(|left| (left - secs).max(0)),
        "new" => issue.remaining_secs = new.and_then(parse_pretty).or(issue.remaining_secs),
        _ => {}
    }
}

pub(super) fn update(call: &mut Call<'_>) -> Answer {
    let old = named(call)?;
    let input = input(call)?;
    let me = call.site.service().to_owned();
    let needed = if old.author == me {
        Permission::EditOwn
    } else {
        Permission::EditAll
    };
    if !call.site.may(needed, old.issue) {
        return Err(error(400, &["You do not have permission to edit this worklog."]));
    }
    let secs_before = old.time_spent_secs;
    let worklog = JiraWorklog {
        update_author: me,
        comment: input.comment.unwrap_or(old.comment),
        started: input.started.unwrap_or(old.started),
        time_spent_secs: input.secs.unwrap_or(old.time_spent_secs),
        updated: call.now,
        properties: old.properties.into_iter().chain(input.properties).collect(),
        ..old
    };
    let (now, issue) = (call.now, worklog.issue);
    call.site.jira_update(now, worklog.clone());
    adjust_estimate(call, issue, worklog.time_spent_secs - secs_before);
    Ok(Reply::ok(&render(call.site, &worklog, expands(call))))
}

pub(super) fn delete(call: &mut Call<'_>) -> Answer {
    let old = named(call)?;
    let needed = if old.author == call.site.service() {
        Permission::DeleteOwn
    } else {
        Permission::DeleteAll
    };
    if !call.site.may(needed, old.issue) {
        return Err(error(
            400,
            &["You do not have permission to delete this worklog."],
        ));
    }
    let now = call.now;
    call.site.jira_delete(now, old.id, Flow::Primary);
    adjust_estimate(call, old.issue, -old.time_spent_secs);
    Ok(Reply::no_content())
}

pub(super) fn property_keys(call: &mut Call<'_>) -> Answer {
    let worklog = named(call)?;
    let keys: Vec<Value> = worklog
        .properties
        .keys()
        .map(|key| json!({"key": key, "self": format!("{}/{key}", call.request.url())}))
        .collect();
    Ok(Reply::ok(&json!({"keys": keys})))
}

pub(super) fn property(call: &mut Call<'_>) -> Answer {
    let worklog = named(call)?;
    let key = call.param(2);
    let value = worklog
        .properties
        .get(key)
        .ok_or_else(|| error(404, &[format!("Property '{key}' not found.")]))?;
    Ok(Reply::ok(&json!({"key": key, "value": value})))
}

fn editable(call: &Call<'_>, worklog: &JiraWorklog) -> Result<(), Reply> {
    let needed = if worklog.author == call.site.service() {
        Permission::EditOwn
    } else {
        Permission::EditAll
    };
    if call.site.may(needed, worklog.issue) {
        Ok(())
    } else {
        Err(error(403, &["You do not have permission to edit this worklog."]))
    }
}

pub(super) fn set_property(call: &mut Call<'_>) -> Answer {
    let worklog = named(call)?;
    editable(call, &worklog)?;
    let key = call.param(2).to_owned();
    if call.request.body.len() > PROPERTY_MAX || key.len() > 255 {
        return Err(error(400, &["The property is too long."]));
    }
    let value = call
        .request
        .json()
        .ok_or_else(|| error(400, &["The property value is not valid JSON."]))?;
    let known = call
        .site
        .jira
        .get_mut(worklog.id)
        .and_then(|w| w.properties.insert(key, value));
    Ok(Reply {
        status: if known.is_some() { 200 } else { 201 },
        ..Reply::ok(&json!({}))
    })
}

pub(super) fn delete_property(call: &mut Call<'_>) -> Answer {
    let worklog = named(call)?;
    editable(call, &worklog)?;
    let key = call.param(2).to_owned();
    let known = call
        .site
        .jira
        .get_mut(worklog.id)
        .and_then(|w| w.properties.remove(&key));
    known
        .map(|_| Reply::no_content())
        .ok_or_else(|| error(404, &[format!("Property '{key}' not found.")]))
}
