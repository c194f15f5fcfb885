//! Issues.

use serde_json::{Map, Value, json};

use super::{error, named_issue};
use crate::http::Reply;
use crate::route::{Answer, Call};
use crate::rules::Permission;
use crate::site::{Issue, Site};
use crate::time::{jira_time, pretty};

/// The most issues one bulk fetch takes.
const BULK_MAX: usize = 100;

/// Which fields an issue is shown with.
#[derive(Debug)]
pub(super) struct Fields(Option<Vec<String>>);

impl Fields {
    /// Everything there is.
    pub(super) fn all() -> Self {
        Self(None)
    }

    /// The named ones; `*all` and `*navigable` are everything, and a leading minus takes one away.
    pub(super) fn named(names: Vec<String>) -> Self {
        let everything = names.iter().any(|name| name == "*all" || name == "*navigable");
        if names.is_empty() || everything {
            Self(None)
        } else {
            Self(Some(names))
        }
    }

    fn wants(&self, field: &str) -> bool {
        self.0
            .as_ref()
            .is_none_or(|names| names.iter().any(|name| name == field))
    }

    /// Says whether ids and keys are all that is wanted, of which a page holds more.
    pub(super) fn only_names(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|names| names.iter().all(|name| name == "id" || name == "key"))
    }

    /// Says whether nothing but the id is wanted, which is what a search gives by default.
    fn only_id(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|names| names.iter().all(|name| name == "id"))
    }
}

pub(super) fn render(site: &Site, issue: &Issue, wanted: &Fields) -> Value {
    if wanted.only_id() {
        return json!({"id": issue.id.to_string()});
    }
    let project_key = site
        .projects
        .get(&issue.project)
        .map_or("", |project| project.key.as_str());
    let spent = site.jira.secs_of_issue(issue.id);
    let mut tracking = json!({"timeSpent": pretty(spent), "timeSpentSeconds": spent});
    if let Some(secs) = issue.remaining_secs {
        tracking["remainingEstimate"] = json!(pretty(secs));
        tracking["remainingEstimateSeconds"] = json!(secs);
    }
    let zone = site.zone_of(site.service());
    let mut fields = Map::new();
    let mut field = |name: &str, value: Value| {
        if wanted.wants(name) {
            fields.insert(name.to_owned(), value);
        }
    };
    field("summary", json!(issue.summary));
    field("labels", json!(issue.labels));
    field(
        "project",
        json!({
            "self": format!("{}/rest/api/3/project/{}", site.jira_base, issue.project),
            "id": issue.project.to_string(), "key": project_key, "name": project_key,
        }),
    );
    field("created", json!(jira_time(issue.created, &zone)));
    field("updated", json!(jira_time(issue.updated, &zone)));
    field("timetracking", tracking);
    field("timeestimate", json!(issue.remaining_secs));
    field("timespent", json!(spent));
    for (name, value) in &issue.fields {
        field(name, value.clone());
    }
    let mut body = json!({
        "expand": "renderedFields,names,schema,operations,editmeta,changelog,versionedRepresentations",
        "id": issue.id.to_string(),
        "self": format!("{}/rest/api/3/issue/{}", site.jira_base, issue.id),
        "key": issue.key,
    });
    if !fields.is_empty() {
        body["fields"] = Value::Object(fields);
    }
    body
}

/// Splits `fields=a,b&fields=c`.
pub(super) fn asked_fields(call: &Call<'_>) -> Vec<String> {
    call.request
        .all("fields")
        .flat_map(|names| names.split(','))
        .map(|n| n.trim().to_owned())
        .collect()
}

pub(super) fn get(call: &mut Call<'_>) -> Answer {
    let issue = named_issue(call)?;
    Ok(Reply::ok(&render(
        call.site,
        issue,
        &Fields::named(asked_fields(call)),
    )))
}

/// Issues that are gone or hidden are listed as errors inside the 200.
pub(super) fn bulkfetch(call: &mut Call<'_>) -> Answer {
    let body = call.request.json().unwrap_or_default();
    let strings = |name: &str| -> Vec<String> {
        let list = body.get(name).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let asked = strings("issueIdsOrKeys");
    if asked.is_empty() || asked.len() > BULK_MAX {
        return Err(error(
            400,
            &[format!(
                "issueIdsOrKeys must hold between 1 and {BULK_MAX} entries"
            )],
        ));
    }
    let fields = strings("fields");
    let fields = if fields.is_empty() {
        Fields::all()
    } else {
        Fields::named(fields)
    };
    let (mut issues, mut errors) = (Vec::new(), Vec::new());
    let mut seen = std::collections::HashSet::new();
    for text in asked {
        match call
            .site
            .find_issue(&text)
            .filter(|issue| call.site.may(Permission::Browse, issue.id))
        {
            Some(issue) if seen.insert(issue.id) => {
                let mut shown = render(call.site, issue, &fields);
                shown["key"] = json!(issue.key);
                issues.push(shown);
            }
            Some(_) => call
                .violations
                .push(format!("issue {text} fetched twice in one request")),
            None => errors.push(json!({
                "id": text,
                "errorMessage": "Issue does not exist or you do not have permission to see it.",
            })),
        }
    }
    Ok(Reply::ok(&json!({"issues": issues, "issueErrors": errors})))
}
