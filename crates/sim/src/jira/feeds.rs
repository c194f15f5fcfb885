//! The feeds of changed and deleted worklogs.

use std::time::Duration;

use serde_json::{Value, json};

use super::error;
use super::worklogs::properties;
use crate::http::Reply;
use crate::route::{Answer, Call};
use crate::rules::Permission;

/// Rows on a page.
const PAGE: usize = 1000;
/// The last minute is never included: Jira keeps changes that may still be under way out of the feeds.
const HELD_BACK: Duration = Duration::from_secs(60);

pub(super) fn updated(call: &mut Call<'_>) -> Answer {
    let (since, end) = span(call)?;
    let site = &*call.site;
    // Worklogs of issues that can't be seen are left out here, but not from the deletes.
    let rows = site.jira.updated_between(since, end).filter(|(_, id)| {
        site.jira
            .get(*id)
            .is_some_and(|w| site.may(Permission::Browse, w.issue))
    });
    let rows = rows.take(PAGE + 1).collect();
    answer(call, since, end, rows)
}

pub(super) fn deleted(call: &mut Call<'_>) -> Answer {
    let (since, end) = span(call)?;
    let rows = call
        .site
        .jira
        .deleted_between(since, end)
        .take(PAGE + 1)
        .collect();
    answer(call, since, end, rows)
}

fn span(call: &Call<'_>) -> Result<(i64, i64), Reply> {
    let since = match call.request.one("since") {
        None => 0,
        Some(text) => text
            .parse()
            .map_err(|_| error(400, &["since must be a number of milliseconds"]))?,
    };
    Ok((since, (call.now - HELD_BACK).as_millisecond()))
}

fn answer(call: &Call<'_>, since: i64, end: i64, mut rows: Vec<(i64, u64)>) -> Answer {
    if since > end {
        rows.clear();
    }
    let last = rows.len() <= PAGE;
    rows.truncate(PAGE);
    // `until` is the last row's time: who goes on from there sees that row once more.
    let until = if rows.is_empty() {
        since.max(end)
    } else {
        rows.last().map_or(since, |row| row.0)
    };
    let expand = call
        .request
        .one("expand")
        .is_some_and(|expand| expand.contains("properties"));
    let values: Vec<Value> = rows
        .iter()
        .map(|(at, id)| {
            let found = call.site.jira.get(*id).filter(|_| expand);
            json!({
                "worklogId": id, "updatedTime": at,
                "properties": found.map_or_else(|| json!([]), properties),
            })
        })
        .collect();
    let mut body = json!({
        "self": call.request.url(), "since": since, "until": until, "lastPage": last, "values": values,
    });
    if !last {
        body["nextPage"] = json!(call.request.url_with(&[("since", until.to_string())]));
    }
    Ok(Reply::ok(&body))
}
