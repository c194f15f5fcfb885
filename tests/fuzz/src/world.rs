//! What a target needs around it: a table in memory, secrets, a clock that stands still, a network that nobody uses.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use jiff::Timestamp;
use tandem_atlassian::{Transport, TransportError};
use tandem_aws::{Embedded, Secrets};
use tandem_core::IssueId;
use tandem_engine::ports::Clock;
use tandem_engine::ports::site::JiraIssue;
use tandem_runtime::config::{Config, ConfigEnv};
use tandem_runtime::wiring::{Parts, Tandem};

pub(crate) const TEMPO_TOKEN: &str = "t3mpOt0kenQw7rty9uIop2asDf";
pub(crate) const JIRA_TOKEN: &str = "J1raT8kenZx4cvb6nMlk3jhGfd";
pub(crate) const JIRA_EMAIL: &str = "b0t-account@acme.example";
pub(crate) const WEBHOOK_SECRET: &str = "wh5ignsEcret7plm4okn";

/// The moment at which the clock stands.
pub(crate) const NOW: &str = "2026-03-02T09:20:00Z";

const CONFIG: &str = r#"
[sites.acme]
jira = "https://acme.atlassian.net"
secret = "env:SECRET"
[sites.globex]
jira = "https://globex.atlassian.net"
secret = "env:SECRET"
[[connections]]
name = "acme-globex"
a = "acme"
b = "globex"
"#;

pub(crate) struct Still;

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW.parse().unwrap()
    }

    async fn sleep(&self, _: Duration) {}
}

/// Nobody is called.
pub(crate) struct Nobody;

#[async_trait]
impl Transport for Nobody {
    async fn send(&self, _: Request<Bytes>, _: Duration) -> Result<Response<Bytes>, TransportError> {
        Err(TransportError::NotSent("there is no network here".into()))
    }
}

/// Returns a runtime for one thread.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Makes a new table in memory.
pub(crate) async fn table() -> Embedded {
    Embedded::in_memory(Arc::new(Still)).await.unwrap()
}

/// Puts a configuration together with a table.
pub(crate) fn wired(config: Config, table: &Embedded) -> Tandem {
    let clock: Arc<dyn Clock> = Arc::new(Still);
    let secret = serde_json::json!({
        "tempo_token": TEMPO_TOKEN,
        "jira_email": JIRA_EMAIL,
        "jira_token": JIRA_TOKEN,
        "jira_webhook_secrets": ["anoth3rS1gningSecret", WEBHOOK_SECRET],
        "tempo_webhook_secrets": [WEBHOOK_SECRET],
    });
    Tandem::new(Parts {
        config,
        store: Arc::new(table.store().with_clock(Arc::clone(&clock))),
        secrets: Arc::new(Secrets::new(None, move |_| Some(secret.to_string()))),
        transport: Arc::new(Nobody),
        clock,
        owner: "fuzz".into(),
        observer: None,
    })
}

/// Returns two sites with one link between the issues of the recorded webhooks.
pub(crate) async fn two_sites() -> Tandem {
    let config = Config::parse(CONFIG, "tandem.toml", &ConfigEnv::default()).unwrap();
    let tandem = wired(config, &table().await);
    let issue = |id, key: &str| JiraIssue {
        id: IssueId(id),
        key: key.into(),
        project: "SUP".into(),
        remaining_estimate_secs: None,
        fields: Default::default(),
    };
    for (a, b) in [(20417, 20417), (10001, 10002)] {
        let linked = tandem
            .engine
            .link_issues(
                &tandem.engine.connections[0],
                &issue(a, "SUP-1"),
                &issue(b, "DEV-1"),
                "command",
            )
            .await;
        linked.unwrap();
    }
    tandem
}
