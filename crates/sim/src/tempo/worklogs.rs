//! One worklog: read, create, replace, delete.

use serde_json::{Value, json};

use super::check::{self, Input};
use super::{error, not_found};
use crate::delivery::Flow;
use crate::http::Reply;
use crate::route::{Answer, Call};
use crate::rules::Permission;
use crate::site::Site;
use crate::time::{iso_millis, iso_secs};
use crate::worklog::Worklog;

/// Writes a worklog as Tempo does: no issue key, no Jira id, `attributes.values` left out when there are none.
pub(super) fn render(site: &Site, base: &str, worklog: &Worklog) -> Value {
    let moment = if site.spec.tempo_millis {
        iso_millis
    } else {
        iso_secs
    };
    let address = format!("{base}/4/worklogs/{}", worklog.id);
    let mut attributes = json!({"self": format!("{address}/work-attribute-values")});
    let shown = worklog
        .attributes
        .iter()
        .filter(|(key, _)| !site.spec.removed_attributes.contains(*key));
    let values: Vec<Value> = shown
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect();
    if !values.is_empty() {
        attributes["values"] = json!(values);
    }
    let mut body = json!({
        "self": address,
        "tempoWorklogId": worklog.id,
        "issue": {"self": format!("{}/rest/api/2/issue/{}", site.jira_base, worklog.issue), "id": worklog.issue},
        "timeSpentSeconds": worklog.time_spent_secs,
        "billableSeconds": worklog.billable_secs,
        "startDate": worklog.start_date.to_string(),
        "startTime": site.shown_start(worklog).strftime("%H:%M:%S").to_string(),
        "startDateTimeUtc": iso_secs(site.instant(&worklog.author, worklog.start_date, worklog.start_time)),
        "createdAt": moment(worklog.created_at),
        "updatedAt": moment(worklog.updated_at),
        "author": {
            "self": format!("{}/rest/api/2/user?accountId={}", site.jira_base, encode(&worklog.author)),
            "accountId": worklog.author,
        },
        "attributes": attributes,
    });
    if let Some(description) = &worklog.description {
        body["description"] = json!(description);
    }
    body
}

fn encode(account_id: &str) -> String {
    url::form_urlencoded::byte_serialize(account_id.as_bytes()).collect()
}

/// Says whether the service user sees a worklog; what it doesn't see is silently left out.
pub(super) fn visible(site: &Site, worklog: &Worklog) -> bool {
    site.may(Permission::Browse, worklog.issue)
        && (worklog.author == site.service() || site.may(Permission::ViewAll, worklog.issue))
}

/// Finds the worklog a path names.
pub(super) fn named(call: &Call<'_>) -> Result<std::sync::Arc<Worklog>, Reply> {
    let id = call.param(0).parse().map_err(|_| not_found("Worklog"))?;
    call.site
        .ledger
        .get(id)
        .filter(|worklog| visible(call.site, worklog))
        .cloned()
        .ok_or_else(|| not_found("Worklog"))
}

pub(super) fn get(call: &mut Call<'_>) -> Answer {
    let worklog = named(call)?;
    Ok(Reply::ok(&render(call.site, &call.request.base, &worklog)))
}

pub(super) fn create(call: &mut Call<'_>) -> Answer {
    let body = check::object(call)?;
    let Some(issue) = body.get("issueId").filter(|id| !id.is_null()) else {
        return Err(error(400, &["Issue id cannot be null."]));
    };
    let Some(issue) = issue.as_u64() else {
        return Err(error(400, &["Issue id must be a number."]));
    };
    let input = Input::read(call, &body, check::CREATE_FIELDS)?;
    let bypass = body
        .get("bypassPeriodClosuresAndApprovals")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let content = input.accepted(call, issue, bypass, None)?;
    let (now, actor) = (call.now, call.site.service().to_owned());
    let id = call.site.tempo_create(now, &actor, issue, content);
    input.set_estimate(call, issue);
    let worklog = call
        .site
        .ledger
        .get(id)
        .cloned()
        .ok_or_else(|| not_found("Worklog"))?;
    // 200, not 201.
    Ok(Reply::ok(&render(call.site, &call.request.base, &worklog)))
}

/// Replaces the whole worklog: what the body doesn't name is removed or reset.
pub(super) fn update(call: &mut Call<'_>) -> Answer {
    let old = named(call)?;
    let body = check::object(call)?;
    if body.contains_key("issueId") {
        call.violation("issueId in an update: a worklog can't be moved by PUT");
    }
    if body.contains_key("bypassPeriodClosuresAndApprovals") {
        call.violation("bypassPeriodClosuresAndApprovals in an update: there is no such flag");
    }
    let input = Input::read(call, &body, check::UPDATE_FIELDS)?;
    if old.author != call.site.service() && !call.site.may(Permission::EditAll, old.issue) {
        return Err(error(403, &["You do not have permission to edit this worklog"]));
    }
    if call.site.closed(old.start_date) {
        return Err(error(403, &["Period is closed"]));
    }
    let content = input.accepted(call, old.issue, false, Some(&old))?;
    let (now, actor) = (call.now, call.site.service().to_owned());
    call.site.tempo_update(now, &actor, old.id, content);
    input.set_estimate(call, old.issue);
    let worklog = call
        .site
        .ledger
        .get(old.id)
        .cloned()
        .ok_or_else(|| not_found("Worklog"))?;
    Ok(Reply::ok(&render(call.site, &call.request.base, &worklog)))
}

pub(super) fn delete(call: &mut Call<'_>) -> Answer {
    let old = named(call)?;
    if call.request.body.windows(6).any(|part| part == b"bypass") {
        call.violation("bypassPeriodClosuresAndApprovals in the body of a delete is ignored");
    }
    if old.author != call.site.service() && !call.site.may(Permission::DeleteAll, old.issue) {
        return Err(error(403, &["You do not have permission to delete this worklog"]));
    }
    let bypass = call.request.one("bypassPeriodClosuresAndApprovals") == Some("true");
    if call.site.closed(old.start_date) && !(bypass && call.site.spec.bypass_allowed) {
        return Err(error(403, &["Period is closed"]));
    }
    let (now, actor) = (call.now, call.site.service().to_owned());
    call.site.tempo_delete(now, &actor, old.id, Flow::Primary);
    Ok(Reply::no_content())
}
