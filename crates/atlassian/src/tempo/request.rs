//! The requests to Tempo that the engine's port needs, built without sending.

use http::Method;
use jiff::Timestamp;
use jiff::civil::{Date, Time};
use serde_json::{Map, Value, json};
use tandem_core::{Content, IssueId, JiraWorklogId, WorklogId};
use tandem_engine::ports::site::Vendor;

use crate::call::Call;
use crate::instant;

/// Rows per page: Tempo's documented maximum. Its default of 50 would cut listings short.
pub const PAGE_ROWS: usize = 5000;
/// Most worklogs in one bulk create.
pub const BULK_ROWS_MAX: usize = 50;
/// Most ids in one call to an id mapper.
pub const MAPPER_IDS_MAX: usize = 500;
/// Rows per page of the audit trail.
pub const PAPERTRAIL_ROWS: usize = 1000;

fn read(method: Method, template: &'static str, args: &[&str]) -> Call {
    Call::read(Vendor::Tempo, method, template, args)
}

fn write(method: Method, template: &'static str, args: &[&str]) -> Call {
    Call::write(Vendor::Tempo, method, template, args)
}

fn page(call: Call, offset: u64) -> Call {
    call.query("offset", offset).query("limit", PAGE_ROWS)
}

/// Lists an issue's worklogs.
pub fn list_issue(issue: IssueId, offset: u64) -> Call {
    page(
        read(Method::GET, "/4/worklogs/issue/{issueId}", &[&issue.to_string()]),
        offset,
    )
}

/// Lists what changed, oldest change first. `GET /4/worklogs` sorts by change downwards only.
pub fn list_changed(since: Timestamp, offset: u64) -> Call {
    page(read(Method::POST, "/4/worklogs/search", &[]), offset).json(json!({
        "updatedFrom": instant::render_instant(since),
        "orderBy": [{ "field": "UPDATED", "order": "ASC" }],
    }))
}

/// Lists by work date, in order of id: new worklogs come last, so paging by offset skips none.
pub fn list_dates(from: Date, to: Option<Date>, offset: u64) -> Call {
    let mut body = json!({ "from": from.to_string(), "orderBy": [{ "field": "ID", "order": "ASC" }] });
    if let Some(to) = to {
        body["to"] = to.to_string().into();
    }
    page(read(Method::POST, "/4/worklogs/search", &[]), offset).json(body)
}

/// Reads one worklog.
pub fn worklog(id: WorklogId) -> Call {
    read(Method::GET, "/4/worklogs/{id}", &[&id.to_string()])
}

/// Creates a worklog.
pub fn create(issue: IssueId, content: &Content, remaining: Option<u64>) -> Call {
    let mut body = body(content);
    body.insert("issueId".into(), issue.0.into());
    estimate(&mut body, remaining);
    write(Method::POST, "/4/worklogs", &[]).json(body.into())
}

/// Creates several worklogs on one issue. Tempo takes no remaining estimate here.
pub fn create_bulk(issue: IssueId, contents: &[Content]) -> Call {
    let body: Vec<Value> = contents.iter().map(|content| body(content).into()).collect();
    write(
        Method::POST,
        "/4/worklogs/issue/{issueId}/bulk",
        &[&issue.to_string()],
    )
    .json(body.into())
}

/// Replaces a worklog. Tempo resets what the body leaves out, so everything known is in it.
pub fn update(id: WorklogId, content: &Content, remaining: Option<u64>) -> Call {
    let mut body = body(content);
    estimate(&mut body, remaining);
    write(Method::PUT, "/4/worklogs/{id}", &[&id.to_string()]).json(body.into())
}

/// Deletes a worklog.
pub fn delete(id: WorklogId) -> Call {
    write(Method::DELETE, "/4/worklogs/{id}", &[&id.to_string()])
}

/// Asks for the Jira ids of worklogs. The answer is paged by 50 unless told otherwise.
pub fn jira_ids(ids: &[WorklogId]) -> Call {
    read(Method::POST, "/4/worklogs/tempo-to-jira", &[])
        .query("limit", ids.len().max(PAGE_ROWS))
        .json(json!({ "tempoWorklogIds": ids.iter().map(|id| id.0).collect::<Vec<_>>() }))
}

/// Asks for the Tempo ids of Jira worklogs. The answer is paged by 50 unless told otherwise.
pub fn tempo_ids(ids: &[JiraWorklogId]) -> Call {
    read(Method::POST, "/4/worklogs/jira-to-tempo", &[])
        .query("limit", ids.len().max(PAGE_ROWS))
        .json(json!({ "jiraWorklogIds": ids.iter().map(|id| id.0).collect::<Vec<_>>() }))
}

/// Reads the audit trail of deleted worklogs.
pub fn papertrail_deleted(from: Timestamp, cursor: Option<&str>) -> Call {
    let mut call = read(Method::POST, "/4/papertrail/search", &[]).query("limit", PAPERTRAIL_ROWS);
    if let Some(cursor) = cursor {
        call = call.query("nextPageToken", cursor);
    }
    call.json(json!({
        "from": instant::render_instant(from),
        "entityType": ["worklog"],
        "action": ["Deleted"],
    }))
}

/// Lists the work attributes.
pub fn attributes(offset: u64) -> Call {
    page(read(Method::GET, "/4/work-attributes", &[]), offset)
}

/// Reads the site's rules.
pub fn global_configuration() -> Call {
    read(Method::GET, "/4/globalconfiguration", &[])
}

fn body(content: &Content) -> Map<String, Value> {
    let attributes: Vec<Value> = content
        .attributes
        .iter()
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect();
    let mut body = Map::new();
    body.insert("authorAccountId".into(), content.author.as_str().into());
    body.insert("startDate".into(), content.start_date.to_string().into());
    // What Tempo puts where it is left out is not documented, and may differ from day to day: midnight at least stays.
    let time = content.start_time.unwrap_or(Time::midnight());
    body.insert("startTime".into(), instant::render_time(time).into());
    body.insert("timeSpentSeconds".into(), content.time_spent_secs.into());
    if let Some(billable) = content.billable_secs {
        body.insert("billableSeconds".into(), billable.into());
    }
    body.insert("description".into(), content.description.as_str().into());
    // A flat array, unlike in answers.
    body.insert("attributes".into(), attributes.into());
    body
}

fn estimate(body: &mut Map<String, Value>, remaining: Option<u64>) {
    if let Some(secs) = remaining {
        body.insert("remainingEstimateSeconds".into(), secs.into());
    }
}
