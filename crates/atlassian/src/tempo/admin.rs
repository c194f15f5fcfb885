//! Calls to Tempo for setting up and for checking; the engine's run needs none of them.

use http::Method;
use jiff::civil::Date;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use tandem_core::{AccountId, WorklogId};
use tandem_engine::ports::site::Vendor;

use super::request::PAGE_ROWS;
use crate::answer::{Misread, json as parse};
use crate::call::Call;
use crate::lenient;

/// The events that Tandem subscribes to.
pub const WORKLOG_EVENTS: [&str; 3] = ["worklog.created", "worklog.updated", "worklog.deleted"];
/// Most ids in one call for attribute values.
pub const VALUE_IDS_MAX: usize = 500;

/// How Tempo calls a timesheet that takes changes.
pub const OPEN: &str = "OPEN";

/// A webhook subscription. Each has a secret of its own.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Its id.
    pub id: String,
    /// The event, such as `worklog.created`.
    pub event: String,
    /// Where it is delivered.
    pub url: String,
    /// Whether it is active. Tempo switches it off after ten failed deliveries.
    pub active: bool,
    /// The key of its signatures.
    pub shared_secret: Option<SecretString>,
}

/// A timesheet period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its first day.
    pub from: Date,
    /// Its last day.
    pub to: Date,
}

/// Lists the subscriptions.
pub fn list_subscriptions() -> Call {
    Call::read(Vendor::Tempo, Method::GET, "/4/webhooks/subscriptions", &[]).query("limit", PAGE_ROWS)
}

/// Creates a subscription. The same event and address twice gives 409; at most 25 in all.
pub fn create_subscription(event: &str, url: &str, name: &str) -> Call {
    Call::write(Vendor::Tempo, Method::POST, "/4/webhooks/subscriptions", &[])
        .json(json!({ "event": event, "url": url, "name": name }))
}

/// Reads one subscription.
pub fn subscription(id: &str) -> Call {
    Call::read(
        Vendor::Tempo,
        Method::GET,
        "/4/webhooks/subscriptions/{id}",
        &[id],
    )
}

/// Deletes a subscription.
pub fn delete_subscription(id: &str) -> Call {
    Call::write(
        Vendor::Tempo,
        Method::DELETE,
        "/4/webhooks/subscriptions/{id}",
        &[id],
    )
}

/// Makes a switched-off subscription active again. What was missed meanwhile stays missed.
pub fn refresh_subscription(id: &str) -> Call {
    Call::write(
        Vendor::Tempo,
        Method::PATCH,
        "/4/webhooks/subscriptions/{id}/refresh",
        &[id],
    )
}

/// Asks for any one worklog.
pub fn any_worklog() -> Call {
    Call::read(Vendor::Tempo, Method::GET, "/4/worklogs", &[]).query("limit", 1)
}

/// Lists the timesheet periods that touch a span of days.
pub fn periods(from: Date, to: Date) -> Call {
    Call::read(Vendor::Tempo, Method::GET, "/4/periods", &[])
        .query("from", from)
        .query("to", to)
}

/// Asks for a person's timesheet of a period: whether it is open, waits for approval, or is approved.
pub fn timesheet(account: &AccountId, period: Period) -> Call {
    Call::read(
        Vendor::Tempo,
        Method::GET,
        "/4/timesheet-approvals/user/{accountId}",
        &[account.as_str()],
    )
    .query("from", period.from)
    .query("to", period.to)
}

/// Asks for the attribute values of up to [`VALUE_IDS_MAX`] worklogs.
pub fn attribute_values(ids: &[WorklogId]) -> Call {
    Call::read(
        Vendor::Tempo,
        Method::POST,
        "/4/worklogs/work-attribute-values/search",
        &[],
    )
    .json(json!({ "tempoWorklogIds": ids.iter().map(|id| id.0).collect::<Vec<_>>() }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionWire {
    id: serde_json::Value,
    event: String,
    url: String,
    #[serde(default, deserialize_with = "lenient::truthy")]
    active: bool,
    #[serde(default)]
    shared_secret: Option<String>,
}

impl SubscriptionWire {
    fn into_subscription(self) -> Result<Subscription, Misread> {
        let id =
            lenient::scalar_text(&self.id).ok_or_else(|| Misread::new("id is neither text nor number"))?;
        let shared_secret = self
            .shared_secret
            .filter(|secret| !secret.is_empty())
            .map(SecretString::from);
        Ok(Subscription {
            id,
            event: self.event,
            url: self.url,
            active: self.active,
            shared_secret,
        })
    }
}

/// Reads one subscription.
pub fn read_subscription(body: &[u8]) -> Result<Subscription, Misread> {
    parse::<SubscriptionWire>(body)?.into_subscription()
}

/// Reads a list of subscriptions. At most 25 can exist, so there is one page.
pub fn read_subscriptions(body: &[u8]) -> Result<Vec<Subscription>, Misread> {
    #[derive(Deserialize)]
    struct Page {
        results: Vec<SubscriptionWire>,
    }
    parse::<Page>(body)?
        .results
        .into_iter()
        .map(SubscriptionWire::into_subscription)
        .collect()
}

/// Reads how a timesheet stands, such as [`OPEN`] or `APPROVED`. One that does not say has never been submitted.
pub fn read_timesheet(body: &[u8]) -> Result<String, Misread> {
    #[derive(Default, Deserialize)]
    struct Status {
        #[serde(default)]
        key: Option<String>,
    }
    #[derive(Deserialize)]
    struct Timesheet {
        #[serde(default, deserialize_with = "lenient::or_default")]
        status: Status,
    }
    Ok(parse::<Timesheet>(body)?
        .status
        .key
        .unwrap_or_else(|| OPEN.to_owned()))
}

/// Reads the address of the Jira on whose issue a worklog stands, of a listing or of what a write answers; `None` where there
/// is none, or does not say.
pub fn read_jira_address(body: &[u8]) -> Result<Option<String>, Misread> {
    #[derive(Default, Deserialize)]
    struct Issue {
        #[serde(default, rename = "self", deserialize_with = "lenient::or_default")]
        address: String,
    }
    #[derive(Deserialize)]
    struct Row {
        #[serde(default, deserialize_with = "lenient::or_default")]
        issue: Issue,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Told {
        Listed { results: Vec<Row> },
        Several(Vec<Row>),
        One(Row),
    }
    let rows = match parse::<Told>(body)? {
        Told::Listed { results } => results,
        Told::Several(rows) => rows,
        Told::One(row) => vec![row],
    };
    Ok(rows
        .iter()
        .find_map(|row| row.issue.address.split_once("/rest/api/"))
        .map(|(base, _)| base.to_owned()))
}

/// Reads a list of periods.
pub fn read_periods(body: &[u8]) -> Result<Vec<Period>, Misread> {
    #[derive(Deserialize)]
    struct Row {
        #[serde(deserialize_with = "lenient::date")]
        from: Date,
        #[serde(deserialize_with = "lenient::date")]
        to: Date,
    }
    #[derive(Deserialize)]
    struct Rows {
        #[serde(default, deserialize_with = "lenient::or_default")]
        periods: Vec<Row>,
    }
    Ok(parse::<Rows>(body)?
        .periods
        .into_iter()
        .map(|Row { from, to }| Period { from, to })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_and_answers_to_writes_tell_on_whose_issues_worklogs_stand() {
        let row =
            r#"{"tempoWorklogId":7,"issue":{"id":1,"self":"https://acme.atlassian.net/rest/api/2/issue/1"}}"#;
        let none = r#"{"tempoWorklogId":8,"issue":{"id":1}}"#;
        let told = |body: &str| read_jira_address(body.as_bytes()).unwrap();
        for body in [
            row.to_owned(),
            format!("[{none},{row}]"),
            format!(r#"{{"metadata":{{"count":1}},"results":[{none},{row}]}}"#),
        ] {
            assert_eq!(
                told(&body).as_deref(),
                Some("https://acme.atlassian.net"),
                "{body}"
            );
        }
        for body in [none, "[]", r#"{"results":[]}"#, r#"{"issue":null}"#] {
            assert_eq!(told(body), None, "{body}");
        }
    }

    #[test]
    fn a_timesheet_that_does_not_say_how_it_stands_is_open() {
        let stands = |body: &str| read_timesheet(body.as_bytes()).unwrap();
        assert_eq!(stands(r#"{"status":{"key":"APPROVED"}}"#), "APPROVED");
        for silent in [
            "{}",
            r#"{"status":null}"#,
            r#"{"status":{}}"#,
            r#"{"status":{"key":null}}"#,
        ] {
            assert_eq!(stands(silent), OPEN, "{silent}");
        }
    }
}
