//! A scripted site, and the pieces to call it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use tandem_atlassian::{
    AtlassianSite, Credentials, CredentialsError, RequestObserver, RequestSeen, SiteCredentials,
    SiteEndpoints, Transport, TransportError,
};
use tandem_core::{AccountId, Content};

pub(crate) const TEMPO_TOKEN: &str = "tempo-token-0123456789abcdef";
pub(crate) const JIRA_TOKEN: &str = "jira-token-fedcba9876543210";

pub(crate) type Scripted = Result<Response<Bytes>, TransportError>;

/// Gives the scripted answers in order, and keeps what was asked.
#[derive(Default)]
pub(crate) struct Script {
    answers: Mutex<VecDeque<Scripted>>,
    pub(crate) asked: Mutex<Vec<Request<Bytes>>>,
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: Request<Bytes>, _: Duration) -> Scripted {
        self.asked.lock().unwrap().push(request);
        self.answers
            .lock()
            .unwrap()
            .pop_front()
            .expect("one answer per request")
    }
}

/// Gives the secrets in order; the last one stays. `fresh` moves on.
pub(crate) struct Secrets {
    pub(crate) all: Mutex<VecDeque<Arc<SiteCredentials>>>,
    pub(crate) pending: Option<Arc<SiteCredentials>>,
    pub(crate) broken: Option<CredentialsError>,
}

#[async_trait]
impl Credentials for Secrets {
    async fn current(&self, fresh: bool) -> Result<Arc<SiteCredentials>, CredentialsError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let mut all = self.all.lock().unwrap();
        if fresh && all.len() > 1 {
            all.pop_front();
        }
        Ok(all[0].clone())
    }

    async fn pending(&self) -> Result<Option<Arc<SiteCredentials>>, CredentialsError> {
        Ok(self.pending.clone())
    }
}

#[derive(Default)]
pub(crate) struct Counter(pub(crate) Mutex<Vec<String>>);

impl RequestObserver for Counter {
    fn seen(&self, seen: RequestSeen<'_>) {
        let status = seen.status.map(|status| status.to_string()).unwrap_or_default();
        self.0.lock().unwrap().push(format!(
            "{} {} {} {status}",
            seen.vendor, seen.method, seen.template
        ));
    }
}

pub(crate) struct World {
    pub(crate) site: AtlassianSite,
    pub(crate) script: Arc<Script>,
    pub(crate) counter: Arc<Counter>,
}

impl World {
    /// Returns what was asked, as `METHOD path?query`.
    pub(crate) fn asked(&self) -> Vec<String> {
        let line = |request: &Request<Bytes>| {
            format!(
                "{} {}",
                request.method(),
                request.uri().path_and_query().map_or("", |path| path.as_str())
            )
        };
        self.script.asked.lock().unwrap().iter().map(line).collect()
    }

    /// Returns the body of the `n`th request.
    pub(crate) fn body(&self, n: usize) -> Value {
        serde_json::from_slice(self.script.asked.lock().unwrap()[n].body()).unwrap()
    }
}

pub(crate) fn credentials(digest: &str) -> Arc<SiteCredentials> {
    Arc::new(SiteCredentials {
        tempo_token: format!("{TEMPO_TOKEN}{digest}").into(),
        jira_email: "bot@acme.example".into(),
        jira_token: format!("{JIRA_TOKEN}{digest}").into(),
        digest: digest.into(),
    })
}

pub(crate) fn world(answers: impl IntoIterator<Item = Scripted>) -> World {
    world_with(
        answers,
        Secrets {
            all: Mutex::new([credentials("1")].into()),
            pending: None,
            broken: None,
        },
    )
}

pub(crate) fn world_with(answers: impl IntoIterator<Item = Scripted>, secrets: Secrets) -> World {
    let script = Arc::new(Script {
        answers: Mutex::new(answers.into_iter().collect()),
        ..Script::default()
    });
    let counter = Arc::new(Counter::default());
    let endpoints = SiteEndpoints::parse(
        "acme".into(),
        "https://acme.atlassian.net",
        "https://api.tempo.io",
        false,
    )
    .unwrap();
    let site =
        AtlassianSite::new(endpoints, Arc::new(secrets), script.clone()).with_observer(counter.clone());
    World {
        site,
        script,
        counter,
    }
}

pub(crate) fn answer(status: u16, body: impl Into<Bytes>) -> Scripted {
    Ok(Response::builder().status(status).body(body.into()).unwrap())
}

pub(crate) fn answer_with(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Scripted {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Ok(response.body(body.into()).unwrap())
}

pub(crate) fn ok(body: Value) -> Scripted {
    answer(200, body.to_string())
}

pub(crate) fn content() -> Content {
    Content {
        author: AccountId::new("712020:a"),
        start_date: jiff::civil::date(2026, 3, 2),
        start_time: Some(jiff::civil::time(8, 30, 0, 0)),
        time_spent_secs: 5400,
        billable_secs: Some(0),
        description: "Pairing".into(),
        attributes: [("_Account_".to_owned(), "ACME1".to_owned())].into(),
    }
}

/// What Tempo answers for a worklog with this content.
pub(crate) fn shown(id: u64, issue: u64, content: &Content) -> Value {
    let mut row = json!({
        "self": format!("https://api.tempo.io/4/worklogs/{id}"),
        "tempoWorklogId": id,
        "issue": { "self": format!("https://acme.atlassian.net/rest/api/2/issue/{issue}"), "id": issue },
        "author": { "self": "https://acme.atlassian.net/rest/api/2/user", "accountId": content.author },
        "timeSpentSeconds": content.time_spent_secs,
        "startDate": content.start_date.to_string(),
        "startDateTimeUtc": "2026-03-02T07:30:00Z",
        "description": content.description,
        "createdAt": "2026-03-02T09:15:20Z",
        "updatedAt": "2026-03-02T09:15:20.118Z",
        "attributes": {
            "self": format!("https://api.tempo.io/4/worklogs/{id}/work-attribute-values"),
            "values": content.attributes.iter().map(|(k, v)| json!({"key": k, "value": v})).collect::<Vec<_>>(),
        },
    });
    if let Some(time) = content.start_time {
        row["startTime"] = time.strftime("%H:%M:%S").to_string().into();
    }
    if let Some(billable) = content.billable_secs {
        row["billableSeconds"] = billable.into();
    }
    row
}

pub(crate) fn page(rows: Vec<Value>, next: Option<&str>) -> Value {
    let mut page = json!({
        "self": "https://api.tempo.io/4/worklogs",
        "metadata": { "count": rows.len(), "offset": 0, "limit": 5000 },
        "results": rows,
    });
    if let Some(next) = next {
        page["metadata"]["next"] = next.into();
    }
    page
}
