//! A small API by which a person can act in a running demo, with curl.
//!
//! `GET /state`, `GET /requests`, `GET /violations`; `POST /sites/SITE/log` with
//! `{"issue","author","date","time","seconds","billable"?,"description"?,"attributes"?}`;
//! `POST /sites/SITE/worklogs/ID/edit` with any of `seconds`, `billable`, `date`, `time`, `description`, `attributes`;
//! `POST /sites/SITE/worklogs/ID/delete`; `POST /sites/SITE/worklogs/ID/move` with `{"issue"}`;
//! `POST /sites/SITE/jira/log` with `{"issue","author","started","seconds","comment"?}`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::handle::SiteHandle;
use crate::http::{Reply, Request};
use crate::sim::Sim;
use crate::worklog::Content;

pub(crate) fn answer(sim: &Sim, request: &Request) -> Reply {
    let segments = request.segments();
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    let body = request.json().unwrap_or_else(|| json!({}));
    let done = match (request.method.as_str(), path.as_slice()) {
        ("GET", ["state"]) => Ok(state(sim)),
        ("GET", ["requests"]) => Ok(json!(sim.requests())),
        ("GET", ["violations"]) => Ok(json!(sim.violations())),
        ("POST", ["sites", site, rest @ ..]) if sim.site_names().iter().any(|name| name == site) => {
            act(&sim.site(site), rest, &body)
        }
        _ => Err("there is no such thing to do".to_owned()),
    };
    match done {
        Ok(value) => Reply::ok(&value),
        Err(message) => Reply::json(400, &json!({"error": message})),
    }
}

fn state(sim: &Sim) -> Value {
    let sites: Map<String, Value> = sim
        .site_names()
        .into_iter()
        .map(|name| {
            let site = sim.site(&name);
            let worklogs: Vec<Value> = site
                .worklogs()
                .iter()
                .map(|worklog| {
                    let mut shown = json!(worklog);
                    shown["issueKey"] = json!(site.issue_key(worklog.issue));
                    shown
                })
                .collect();
            let state = json!({"worklogs": worklogs, "subscriptions": site.subscriptions()});
            (name, state)
        })
        .collect();
    json!({"now": sim.now(), "deliveriesPending": sim.deliveries_pending(), "sites": sites})
}

fn act(site: &SiteHandle, path: &[&str], body: &Value) -> Result<Value, String> {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let number = |name: &str| body.get(name).and_then(Value::as_i64);
    let needed = |name: &str| text(name).ok_or_else(|| format!("{name} is missing"));
    let refused = |refused: crate::person::Refused| refused.to_string();
    match path {
        ["log"] => {
            let mut content = Content {
                author: needed("author")?.to_owned(),
                start_date: needed("date")?.parse().map_err(|_| "date must be YYYY-MM-DD")?,
                start_time: text("time")
                    .unwrap_or("09:00:00")
                    .parse()
                    .map_err(|_| "time must be HH:MM:SS")?,
                time_spent_secs: 0,
                billable_secs: 0,
                description: None,
                attributes: BTreeMap::new(),
            };
            let secs = number("seconds").ok_or("seconds is missing")?;
            content.time_spent_secs = secs;
            content.billable_secs = secs;
            change(&mut content, body)?;
            site.log_time(needed("issue")?, content)
                .map(|id| json!({"id": id}))
                .map_err(refused)
        }
        ["worklogs", id, verb] => {
            let id = id.parse().map_err(|_| "the id must be a number")?;
            match *verb {
                "edit" => {
                    let worklog = site.worklog(id).ok_or("there is no such worklog")?;
                    let mut content = worklog.content.clone();
                    change(&mut content, body)?;
                    site.edit(id, |edited| *edited = content).map_err(refused)?;
                }
                "delete" => site.delete(id).map_err(refused)?,
                "move" => site.move_to_issue(id, needed("issue")?).map_err(refused)?,
                _ => return Err("edit, delete or move".to_owned()),
            }
            Ok(json!({"id": id}))
        }
        ["jira", "log"] => {
            let started = needed("started")?
                .parse()
                .map_err(|_| "started must be a moment, such as 2026-03-02T09:00:00Z")?;
            let secs = number("seconds").ok_or("seconds is missing")?;
            let comment = text("comment").unwrap_or_default();
            let made = site.jira_log_time(needed("issue")?, needed("author")?, started, secs, comment);
            made.map(|id| json!({"jiraId": id})).map_err(refused)
        }
        _ => Err("there is no such thing to do".to_owned()),
    }
}

fn change(content: &mut Content, body: &Value) -> Result<(), String> {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    if let Some(secs) = body.get("seconds").and_then(Value::as_i64) {
        content.time_spent_secs = secs;
    }
    if let Some(secs) = body.get("billable").and_then(Value::as_i64) {
        content.billable_secs = secs;
    }
    if let Some(date) = text("date") {
        content.start_date = date.parse().map_err(|_| "date must be YYYY-MM-DD")?;
    }
    if let Some(time) = text("time") {
        content.start_time = time.parse().map_err(|_| "time must be HH:MM:SS")?;
    }
    if let Some(description) = text("description") {
        content.description = Some(description.to_owned()).filter(|text| !text.is_empty());
    }
    for (key, value) in body
        .get("attributes")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        match value.as_str() {
            Some(value) => content.attributes.insert(key.clone(), value.to_owned()),
            None => content.attributes.remove(key),
        };
    }
    Ok(())
}
