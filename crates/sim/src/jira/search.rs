//! Finding issues by JQL.

use serde_json::{Value, json};

use super::error;
use super::issues::{Fields, asked_fields, render};
use crate::http::Reply;
use crate::jql::Jql;
use crate::route::{Answer, Call};
use crate::rules::Permission;
use crate::site::{Issue, Site};

struct Query {
    jql: String,
    token: Option<String>,
    max: Option<usize>,
    fields: Vec<String>,
}

pub(super) fn get(call: &mut Call<'_>) -> Answer {
    let text = |name: &str| call.request.one(name).map(str::to_owned);
    let query = Query {
        jql: text("jql").unwrap_or_default(),
        token: text("nextPageToken"),
        max: text("maxResults").and_then(|n| n.parse().ok()),
        fields: asked_fields(call),
    };
    answer(call, &query)
}

pub(super) fn post(call: &mut Call<'_>) -> Answer {
    let body = call.request.json().unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let fields = body.get("fields").and_then(Value::as_array);
    let query = Query {
        jql: text("jql").unwrap_or_default(),
        token: text("nextPageToken"),
        max: body.get("maxResults").and_then(Value::as_u64).map(|n| n as usize),
        fields: fields
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
    };
    answer(call, &query)
}

/// The old search has been switched off.
pub(super) fn gone(_call: &mut Call<'_>) -> Answer {
    Err(error(
        410,
        &["The requested API has been removed. Please migrate to the /rest/api/3/search/jql API."],
    ))
}

/// Reads JQL and checks that the projects it names are there to be seen.
fn understood(site: &Site, text: &str) -> Result<Jql, String> {
    let jql = Jql::parse(text)?;
    for name in jql.projects() {
        let known = site.projects.values().any(|project| {
            (project.key.eq_ignore_ascii_case(name) || project.id.to_string() == name)
                && project.permissions.contains(&Permission::Browse)
        });
        if !known {
            return Err(format!(
                "The value '{name}' does not exist for the field 'project'."
            ));
        }
    }
    Ok(jql)
}

fn answer(call: &mut Call<'_>, query: &Query) -> Answer {
    if query.jql.trim().is_empty() {
        return Err(error(
            400,
            &["Unbounded JQL queries are not allowed here. Please add a search restriction to your query."],
        ));
    }
    let site = &*call.site;
    let jql = understood(site, &query.jql).map_err(|message| error(400, &[message]))?;
    let after: u64 = match &query.token {
        None => 0,
        Some(token) => token
            .strip_prefix("after-")
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| error(400, &["The nextPageToken is invalid."]))?,
    };
    // Without fields a search gives ids alone, and then more of them on a page.
    let fields = if query.fields.is_empty() {
        Fields::named(vec!["id".into()])
    } else {
        Fields::named(query.fields.clone())
    };
    let max = query
        .max
        .unwrap_or(50)
        .clamp(1, if fields.only_names() { 5000 } else { 100 });
    let mut found = site
        .issues
        .range(after + 1..)
        .map(|(_, issue)| issue)
        .filter(|issue| site.may(Permission::Browse, issue.id) && jql.matches(issue, &site.projects));
    let page: Vec<&Issue> = found.by_ref().take(max).collect();
    let more = found.next().is_some();
    let issues: Vec<Value> = page.iter().map(|issue| render(site, issue, &fields)).collect();
    let mut body = json!({"issues": issues, "isLast": !more});
    if more && let Some(last) = page.last() {
        body["nextPageToken"] = json!(format!("after-{}", last.id));
    }
    Ok(Reply::ok(&body))
}

/// A query that is wrong is an error inside the 200; issues that can't be seen just don't match.
pub(super) fn matches(call: &mut Call<'_>) -> Answer {
    let body = call.request.json().unwrap_or_default();
    let list = |name: &str| {
        body.get(name)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let ids: Vec<u64> = list("issueIds").iter().filter_map(Value::as_u64).collect();
    let queries = list("jqls");
    if ids.is_empty() || queries.is_empty() {
        return Err(error(400, &["issueIds and jqls must not be empty"]));
    }
    let site = &*call.site;
    let rows: Vec<Value> = queries
        .iter()
        .map(|query| {
            let text = query.as_str().unwrap_or_default();
            match understood(site, text) {
                Err(message) => json!({"matchedIssues": [], "errors": [message]}),
                Ok(jql) => {
                    let mut matched: Vec<u64> = ids
                        .iter()
                        .filter_map(|id| site.issues.get(id))
                        .filter(|issue| site.may(Permission::Browse, issue.id))
                        .filter(|issue| jql.matches(issue, &site.projects))
                        .map(|issue| issue.id)
                        .collect();
                    matched.sort_unstable();
                    matched.dedup();
                    json!({"matchedIssues": matched, "errors": []})
                }
            }
        })
        .collect();
    Ok(Reply::ok(&json!({"matches": rows})))
}
