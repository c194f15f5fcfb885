//! Calls to Jira for setting up and for checking; the engine's run needs none of them.

use std::collections::BTreeMap;

use http::Method;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tandem_core::{AccountId, IssueId, JiraWorklogId, WorklogId};
use tandem_engine::ports::site::Vendor;

use crate::answer::{Misread, json as parse};
use crate::call::Call;
use crate::lenient;

/// The events that Tandem wants from a site.
pub const EVENTS: [&str; 5] = [
    "worklog_created",
    "worklog_updated",
    "worklog_deleted",
    "jira:issue_updated",
    "jira:issue_deleted",
];

/// Worklogs per page of an issue's list: Jira's default and maximum.
pub const WORKLOG_ROWS: usize = 5000;

/// An admin webhook. It lives until somebody removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminWebhook {
    /// Its id, the last part of its address.
    pub id: String,
    /// Its name on the screen.
    pub name: String,
    /// Where it is delivered.
    pub url: String,
    /// The events that it is for.
    pub events: Vec<String>,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Whether deliveries are signed, where Jira says so.
    pub is_signed: Option<bool>,
    /// What it leaves out of what it is for: `no body`, or the JQL that it is limited to.
    pub limit: Option<String>,
}

/// A worklog as Jira shows it: the shadow of one in Tempo, or one that Tempo does not know yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JiraWorklog {
    /// Its id.
    pub id: JiraWorklogId,
    /// Who wrote it: often Tempo's app, not the worker.
    pub author: Option<AccountId>,
    /// Whether the author is an app, where Jira says so.
    pub author_is_app: Option<bool>,
    /// Time worked, in seconds.
    pub time_spent_secs: u64,
    /// When it last changed.
    pub updated: Option<Timestamp>,
    /// The id in the `tempo` property, where Tempo left one. A hint alone: it is not documented.
    pub tempo_id: Option<WorklogId>,
}

/// A part of an issue's worklogs.
#[derive(Clone, Debug)]
pub struct JiraWorklogPage {
    /// The rows.
    pub rows: Vec<JiraWorklog>,
    /// Where to go on; `None` on the last page.
    pub next: Option<u64>,
}

/// Lists the admin webhooks. Needs the permission to administer Jira.
pub fn list_webhooks() -> Call {
    Call::read(Vendor::Jira, Method::GET, "/rest/webhooks/1.0/webhook", &[])
}

/// Creates an admin webhook with a secret for its signatures. `jql` limits issue and worklog events.
pub fn create_webhook(name: &str, url: &str, jql: &str, secret: &SecretString) -> Call {
    Call::write(Vendor::Jira, Method::POST, "/rest/webhooks/1.0/webhook", &[]).json(json!({
        "name": name,
        "url": url,
        "events": EVENTS,
        "filters": { "issue-related-events-section": jql },
        "excludeBody": false,
        "secret": secret.expose_secret(),
    }))
}

/// Deletes an admin webhook.
pub fn delete_webhook(id: &str) -> Call {
    Call::write(
        Vendor::Jira,
        Method::DELETE,
        "/rest/webhooks/1.0/webhook/{id}",
        &[id],
    )
}

/// Lists an issue's worklogs as Jira has them, with their properties.
pub fn list_worklogs(issue: IssueId, start_at: u64) -> Call {
    Call::read(
        Vendor::Jira,
        Method::GET,
        "/rest/api/3/issue/{issueIdOrKey}/worklog",
        &[&issue.to_string()],
    )
    .query("startAt", start_at)
    .query("maxResults", WORKLOG_ROWS)
    .query("expand", "properties")
}

/// Lists all permissions that Jira knows.
pub fn all_permissions() -> Call {
    Call::read(Vendor::Jira, Method::GET, "/rest/api/3/permissions", &[])
}

const PROPERTY: &str = "/rest/api/3/issue/{issueIdOrKey}/worklog/{worklogId}/properties/{propertyKey}";

/// Reads a property of a worklog.
pub fn property(issue: IssueId, worklog: JiraWorklogId, key: &str) -> Call {
    Call::read(
        Vendor::Jira,
        Method::GET,
        PROPERTY,
        &[&issue.to_string(), &worklog.to_string(), key],
    )
}

/// Sets a property of a worklog: any JSON of at most 32,768 characters.
pub fn put_property(issue: IssueId, worklog: JiraWorklogId, key: &str, value: Value) -> Call {
    Call::write(
        Vendor::Jira,
        Method::PUT,
        PROPERTY,
        &[&issue.to_string(), &worklog.to_string(), key],
    )
    .json(value)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WebhookWire {
    #[serde(default, rename = "self")]
    address: String,
    #[serde(default, deserialize_with = "lenient::or_default")]
    name: String,
    url: String,
    #[serde(default, deserialize_with = "lenient::or_default")]
    events: Vec<String>,
    // One that is switched off says so.
    #[serde(default = "switched_on", deserialize_with = "lenient::truthy")]
    enabled: bool,
    #[serde(default)]
    is_signed: Option<bool>,
    #[serde(default, deserialize_with = "lenient::truthy")]
    exclude_body: bool,
    #[serde(default, deserialize_with = "lenient::or_default")]
    filters: BTreeMap<String, Value>,
}

fn switched_on() -> bool {
    true
}

impl From<WebhookWire> for AdminWebhook {
    fn from(wire: WebhookWire) -> Self {
        let jql = wire.filters.values().filter_map(Value::as_str).map(str::trim);
        let jql = jql.filter(|jql| !jql.is_empty()).map(str::to_owned).next();
        AdminWebhook {
            limit: match wire.exclude_body {
                true => Some("no body".to_owned()),
                false => jql,
            },
            id: wire
                .address
                .trim_end_matches('/')
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned(),
            name: wire.name,
            url: wire.url,
            events: wire.events,
            enabled: wire.enabled,
            is_signed: wire.is_signed,
        }
    }
}

/// Reads one admin webhook.
pub fn read_webhook(body: &[u8]) -> Result<AdminWebhook, Misread> {
    Ok(parse::<WebhookWire>(body)?.into())
}

/// Reads a list of admin webhooks.
pub fn read_webhooks(body: &[u8]) -> Result<Vec<AdminWebhook>, Misread> {
    Ok(parse::<Vec<WebhookWire>>(body)?
        .into_iter()
        .map(AdminWebhook::from)
        .collect())
}

/// Reads a part of an issue's worklogs.
pub fn read_worklogs(body: &[u8], start_at: u64) -> Result<JiraWorklogPage, Misread> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Author {
        account_id: Option<String>,
        account_type: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Row {
        #[serde(deserialize_with = "lenient::number")]
        id: u64,
        #[serde(default, deserialize_with = "lenient::or_default")]
        author: Author,
        #[serde(default, deserialize_with = "lenient::opt_number")]
        time_spent_seconds: Option<u64>,
        #[serde(default, deserialize_with = "lenient::opt_instant")]
        updated: Option<Timestamp>,
        #[serde(default)]
        properties: Value,
    }
    #[derive(Deserialize)]
    struct Rows {
        worklogs: Vec<Row>,
        #[serde(default, deserialize_with = "lenient::opt_number")]
        total: Option<u64>,
    }
    let wire: Rows = parse(body)?;
    let read = start_at + wire.worklogs.len() as u64;
    let next = (!wire.worklogs.is_empty() && wire.total.is_some_and(|total| read < total)).then_some(read);
    let row = |row: Row| JiraWorklog {
        id: JiraWorklogId(row.id),
        author_is_app: super::is_app(
            row.author.account_id.as_deref(),
            row.author.account_type.as_deref(),
        ),
        author: row.author.account_id.map(AccountId::new),
        time_spent_secs: row.time_spent_seconds.unwrap_or_default(),
        updated: row.updated,
        tempo_id: super::wire::tempo_id(&row.properties),
    };
    Ok(JiraWorklogPage {
        rows: wire.worklogs.into_iter().map(row).collect(),
        next,
    })
}

/// Reads the keys of all permissions.
pub fn read_all_permissions(body: &[u8]) -> Result<Vec<String>, Misread> {
    #[derive(Deserialize)]
    struct Permissions {
        permissions: std::collections::BTreeMap<String, serde::de::IgnoredAny>,
    }
    Ok(parse::<Permissions>(body)?.permissions.into_keys().collect())
}

/// Reads a worklog property's value.
pub fn read_property(body: &[u8]) -> Result<Value, Misread> {
    #[derive(Deserialize)]
    struct Property {
        #[serde(default)]
        value: Value,
    }
    Ok(parse::<Property>(body)?.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_switched_off_only_where_its_list_says_so() {
        let enabled = |more: &str| {
            let list =
                format!(r#"[{{"self":"https://a.atlassian.net/x/7","url":"https://t.example"{more}}}]"#);
            read_webhooks(list.as_bytes()).unwrap()[0].enabled
        };
        assert!(enabled(""));
        assert!(enabled(r#","enabled":true"#));
        assert!(!enabled(r#","enabled":false"#));
    }
}
