//! The requests to Jira that the engine's port needs, built without sending.

use http::Method;
use jiff::Timestamp;
use serde_json::json;
use tandem_core::{AccountId, IssueId};
use tandem_engine::ports::site::{IssueRef, Vendor};

use crate::call::Call;
use crate::instant;

/// Most issues in one bulk fetch.
pub const ISSUES_MAX: usize = 100;
/// Issues per page of a search. Jira may give fewer; the cursor goes on.
pub const SEARCH_ROWS: usize = 1000;
/// Most people in one bulk look-up. Their ids stand in the address, which stays well below the 8 KiB that gateways take.
pub const USERS_MAX: usize = 50;
/// People per search. An exact e-mail address has one.
const USER_ROWS: usize = 50;

fn get(template: &'static str, args: &[&str]) -> Call {
    Call::read(Vendor::Jira, Method::GET, template, args)
}

/// A POST that changes nothing.
fn ask(template: &'static str) -> Call {
    Call::read(Vendor::Jira, Method::POST, template, &[])
}

/// Returns the text that names an issue in a path or body.
pub(crate) fn issue_name(issue: &IssueRef) -> String {
    match issue {
        IssueRef::Id(id) => id.to_string(),
        IssueRef::Key(key) => key.trim().to_owned(),
    }
}

/// Returns the fields to ask for: the project always, because it is part of what an issue is.
fn with_project(fields: &[String]) -> Vec<&str> {
    let mut all = vec!["project"];
    all.extend(
        fields
            .iter()
            .map(String::as_str)
            .filter(|field| *field != "project"),
    );
    all
}

/// Reads an issue with the given fields.
pub fn issue(issue: &IssueRef, fields: &[String]) -> Call {
    get("/rest/api/3/issue/{issueIdOrKey}", &[&issue_name(issue)])
        .query("fields", with_project(fields).join(","))
}

/// Reads several issues with the given fields.
pub fn issues(issues: &[IssueRef], fields: &[String]) -> Call {
    ask("/rest/api/3/issue/bulkfetch").json(json!({
        "issueIdsOrKeys": issues.iter().map(issue_name).collect::<Vec<_>>(),
        "fields": with_project(fields),
    }))
}

/// Finds issues. By POST, because a long JQL does not fit into an address.
pub fn search_issues(jql: &str, fields: &[String], cursor: Option<&str>) -> Call {
    let mut body = json!({ "jql": jql, "fields": with_project(fields), "maxResults": SEARCH_ROWS });
    if let Some(cursor) = cursor {
        body["nextPageToken"] = cursor.into();
    }
    ask("/rest/api/3/search/jql").json(body)
}

/// Asks which of the issues a JQL matches. The schema forbids naming one twice.
pub fn match_jql(jql: &str, issues: &[IssueId]) -> Call {
    let mut ids: Vec<u64> = issues.iter().map(|issue| issue.0).collect();
    ids.sort_unstable();
    ids.dedup();
    ask("/rest/api/3/jql/match").json(json!({ "issueIds": ids, "jqls": [jql] }))
}

/// Lists an issue's remote links.
pub fn remote_links(issue: IssueId) -> Call {
    get(
        "/rest/api/3/issue/{issueIdOrKey}/remotelink",
        &[&issue.to_string()],
    )
}

/// Reads a person.
pub fn user(account: &AccountId) -> Call {
    get("/rest/api/3/user", &[]).query("accountId", account)
}

/// Reads several people, a page from an offset on. Unless more is asked for, a page has ten.
pub fn users(accounts: &[AccountId], offset: u64) -> Call {
    let call = get("/rest/api/3/user/bulk", &[])
        .query("startAt", offset)
        .query("maxResults", USERS_MAX);
    accounts
        .iter()
        .fold(call, |call, account| call.query("accountId", account))
}

/// Searches people by the beginning of name or e-mail address.
pub fn users_by_email(email: &str) -> Call {
    get("/rest/api/3/user/search", &[])
        .query("query", email.trim())
        .query("maxResults", USER_ROWS)
}

/// Reads the service user.
pub fn myself() -> Call {
    get("/rest/api/3/myself", &[])
}

/// Asks for the service user's permissions. Jira demands the list of keys.
pub fn permissions(keys: &[&str], project: Option<&str>) -> Call {
    let call = get("/rest/api/3/mypermissions", &[]).query("permissions", keys.join(","));
    match project {
        Some(project) => call.query("projectKey", project),
        None => call,
    }
}

/// Reads what the site says of itself.
pub fn server_info() -> Call {
    get("/rest/api/3/serverInfo", &[]).anonymous()
}

/// Reads the feed of deleted worklogs. The last minute is never in it.
pub fn deleted(since: Timestamp) -> Call {
    get("/rest/api/3/worklog/deleted", &[]).query("since", instant::millis(since))
}

/// Reads the feed of new and changed worklogs, with what Tempo left on them. The last minute is never in it, nor are those
/// with a visibility restriction.
pub fn changed(since: Timestamp) -> Call {
    get("/rest/api/3/worklog/updated", &[])
        .query("since", instant::millis(since))
        .query("expand", "properties")
}
