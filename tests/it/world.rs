//! Sites, people and Tandem in one process under tokio's paused clock.

use aws_smithy_runtime_api::client::http::{
    HttpClient as _, HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use tandem_atlassian::{Transport, TransportError};
use tandem_aws::Embedded;
use tandem_aws::dynamodb::DynamoStore;
use tandem_aws::secrets::Secrets;
use tandem_core::{Pair, PairState};
use tandem_engine::operator::ReadOnly;
use tandem_engine::ports::Clock;
use tandem_engine::ports::store::{DueRow, Store};
use tandem_engine::verify::Verdict;
use tandem_runtime::config::{Config, ConfigEnv};
use tandem_runtime::wiring::{Parts, Tandem};
use tandem_sim::{
    Answered, Content, Deliverer, ProjectSpec, RequestRecord, Sim, SiteHandle, SiteSpec, TokioClock,
    UserSpec, Vendor,
};
use tower::ServiceExt;

/// The moment at which each world begins.
pub const START: &str = "2026-03-02T08:00:00Z";

/// Carries requests to the simulated sites without a socket.
struct InProcess {
    router: axum::Router,
    late: Late,
}

/// Requests that will reach their site only after their sender has given them up.
#[derive(Clone, Default)]
pub struct Late(Arc<Mutex<Vec<(String, Duration)>>>);

impl Late {
    /// Holds the next create of a worklog on a site up on its way.
    pub fn create(&self, site: &str, by: Duration) {
        self.0.lock().unwrap().push((site.to_owned(), by));
    }

    fn take(&self, request: &Request<Bytes>) -> Option<Duration> {
        if request.method() != "POST" || !request.uri().path().ends_with("/4/worklogs") {
            return None;
        }
        let token = request.headers()["authorization"].to_str().unwrap();
        let mut late = self.0.lock().unwrap();
        let index = late
            .iter()
            .position(|(site, _)| token == format!("Bearer tempo-{site}"))?;
        Some(late.remove(index).1)
    }
}

#[async_trait]
impl Transport for InProcess {
    async fn send(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, TransportError> {
        let late = self.late.take(&request);
        let request = request.map(Body::from);
        if let Some(late) = late {
            let router = self.router.clone();
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                router.oneshot(request).await.unwrap();
            });
            tokio::time::sleep(deadline).await;
            return Err(TransportError::Unknown("timed out".into()));
        }
        let answer = async {
            let response = self.router.clone().oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, 64 << 20).collect().await;
            match body {
                Ok(body) => Ok(Response::from_parts(parts, body.to_bytes())),
                Err(error) => Err(TransportError::Unknown(error.to_string())),
            }
        };
        match tokio::time::timeout(deadline, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(TransportError::Unknown("timed out".into())),
        }
    }
}

/// Tokio's clock as the engine's.
#[derive(Clone)]
pub struct PausedClock(pub Arc<TokioClock>);

#[async_trait]
impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        tandem_sim::SimClock::now(self.0.as_ref())
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Two or three sites, and Tandem between them.
pub struct World {
    pub sim: Sim,
    pub tandem: Arc<Tandem>,
    pub store: Arc<DynamoStore>,
    pub late: Late,
    pub table: Embedded,
    clock: PausedClock,
    config: String,
    secrets: Arc<Secrets>,
    signing: Arc<Signing>,
    deliverer: Option<Deliverer>,
}

/// A way to the table on which each request takes a millisecond, there and back.
#[derive(Clone, Debug)]
struct Slow(SharedHttpConnector);

impl HttpConnector for Slow {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let inner = self.0.clone();
        HttpConnectorFuture::new(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            inner.call(request).await
        })
    }
}

/// Jira's webhook secret as the secret store has it, the site whose secret lacks something, and how often the store was
/// read.
struct Signing {
    jira: Mutex<String>,
    spoiled: Mutex<Option<String>>,
    read: AtomicUsize,
}

/// The sites' secrets, read as often as `signing` counts.
fn secrets(signing: &Arc<Signing>) -> Secrets {
    let kept = Arc::clone(signing);
    Secrets::new(None, move |name| {
        kept.read.fetch_add(1, Ordering::Relaxed);
        let site = name.to_lowercase();
        if kept.spoiled.lock().unwrap().as_ref() == Some(&site) {
            return Some(format!(r#"{{"jira_email":"tandem@{site}.example"}}"#));
        }
        let jira = kept.jira.lock().unwrap();
        Some(format!(
            r#"{{"tempo_token":"tempo-{site}","jira_email":"tandem@{site}.example","jira_token":"jira-{site}",
                "jira_webhook_secrets":["{jira}"],"tempo_webhook_secrets":["{TEMPO_SECRET}"]}}"#
        ))
    })
}

/// What a test may set before the world begins.
#[derive(Clone)]
pub struct Setup {
    pub sites: Vec<SiteSpec>,
    pub config: String,
    pub webhooks: Webhooks,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Webhooks {
    Both,
    JiraOnly,
    TempoOnly,
    None,
}

pub const TEMPO_SECRET: &str = "tempo-secret-of-the-test";
pub const JIRA_SECRET: &str = "jira-secret-of-the-test";

/// A site with two people, a service user and some issues.
pub fn site(name: &str, project: &str, issues: usize) -> SiteSpec {
    let mut spec = SiteSpec::new(name)
        .user(UserSpec::new("ann", "Ann Archer"))
        .user(UserSpec::new("bob", "Bob Baker"))
        .user(UserSpec::new(format!("eve-{name}"), "Eve Moor"))
        .project(ProjectSpec::new(project));
    spec = spec.issues(project, issues);
    spec
}

pub fn config(extra: &str, links: &[(String, String)]) -> String {
    let table: Vec<String> = links.iter().map(|(a, b)| format!("[\"{a}\", \"{b}\"]")).collect();
    format!(
        r#"
[sites.acme]
jira = "http://127.0.0.1:1/jira/acme"
tempo = "http://127.0.0.1:1/tempo"
secret = "env:ACME"

[sites.globex]
jira = "http://127.0.0.1:1/jira/globex"
tempo = "http://127.0.0.1:1/tempo"
secret = "env:GLOBEX"

[[connections]]
name = "acme-globex"
a = "acme"
b = "globex"
since = "2026-01-01"

[connections.links]
table = [{}]
{extra}
"#,
        table.join(", ")
    )
}

impl Setup {
    /// Two sites with this many linked issues: SUP-1 ~ DEV-1 and so on.
    pub fn two(issues: usize) -> Self {
        let links: Vec<_> = (1..=issues)
            .map(|n| (format!("SUP-{n}"), format!("DEV-{n}")))
            .collect();
        Self {
            // One more issue on each side that has no twin.
            sites: vec![site("acme", "SUP", issues + 1), site("globex", "DEV", issues + 1)],
            config: config("", &links),
            webhooks: Webhooks::Both,
        }
    }

    pub fn extra(mut self, extra: &str) -> Self {
        self.config.push_str(extra);
        self
    }

    pub fn webhooks(mut self, webhooks: Webhooks) -> Self {
        self.webhooks = webhooks;
        self
    }

    pub async fn build(self) -> World {
        let clock = PausedClock(Arc::new(TokioClock::starting_at(START.parse().unwrap())));
        let sim = Sim::new(7, clock.0.clone());
        for mut spec in self.sites {
            let name = spec.name.clone();
            if matches!(self.webhooks, Webhooks::Both | Webhooks::TempoOnly) {
                spec = spec.tempo_webhooks(&format!("http://127.0.0.1:2/hooks/tempo/{name}"), TEMPO_SECRET);
            }
            if matches!(self.webhooks, Webhooks::Both | Webhooks::JiraOnly) {
                spec = spec.jira_webhook(&format!("http://127.0.0.1:2/hooks/jira/{name}"), JIRA_SECRET);
            }
            sim.add_site(spec);
        }
        let signing = Arc::new(Signing {
            jira: Mutex::new(JIRA_SECRET.to_owned()),
            spoiled: Mutex::default(),
            read: AtomicUsize::new(0),
        });
        let secrets = Arc::new(secrets(&signing));
        let embedded = Embedded::in_memory(Arc::new(clock.clone())).await.unwrap();
        let store = Arc::new(embedded.store());
        let late = Late::default();
        let mut world = World {
            sim: sim.clone(),
            tandem: wire(
                &self.config,
                &(Arc::clone(&store) as Arc<dyn Store>),
                &secrets,
                &sim,
                &late,
                &clock,
                "first",
            ),
            late,
            store,
            table: embedded,
            clock,
            config: self.config,
            secrets,
            signing,
            deliverer: None,
        };
        world.deliver();
        world.tandem.engine.prepare().await.unwrap();
        world
    }
}

fn wire(
    text: &str,
    store: &Arc<dyn Store>,
    secrets: &Arc<Secrets>,
    sim: &Sim,
    late: &Late,
    clock: &PausedClock,
    owner: &str,
) -> Arc<Tandem> {
    let config = Config::parse(text, "tandem.toml", &ConfigEnv { allow_loopback: true }).unwrap();
    Arc::new(Tandem::new(Parts {
        config,
        store: Arc::clone(store),
        secrets: Arc::clone(secrets),
        transport: Arc::new(InProcess {
            router: sim.router(),
            late: late.clone(),
        }),
        clock: Arc::new(clock.clone()),
        owner: owner.into(),
        observer: None,
    }))
}

impl World {
    /// The requests that were to change worklogs, as `METHOD TEMPLATE STATUS`, in order.
    pub fn writes(&self) -> Vec<String> {
        let requests = self.sim.requests().into_iter();
        requests
            .filter(is_write)
            .map(|request| format!("{} {} {}", request.method, request.path_template, request.status))
            .collect()
    }

    pub fn acme(&self) -> SiteHandle {
        self.sim.site("acme")
    }

    pub fn globex(&self) -> SiteHandle {
        self.sim.site("globex")
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Starts delivering webhooks to Tandem's router.
    pub fn deliver(&mut self) {
        let router = tandem_runtime::router::router(Arc::new(Arc::clone(&self.tandem)));
        self.deliverer = Some(self.sim.spawn_deliverer_with(move |delivery| {
            let router = router.clone();
            async move {
                let url: http::Uri = delivery.url.parse().unwrap();
                let mut request = Request::builder()
                    .method(delivery.method)
                    .uri(url.path_and_query().unwrap().as_str());
                for (name, value) in &delivery.headers {
                    request = request.header(name, value);
                }
                let response = router
                    .oneshot(request.body(Body::from(delivery.body)).unwrap())
                    .await
                    .unwrap();
                let status = response.status().as_u16();
                let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
                Answered {
                    status: Some(status),
                    body,
                }
            }
        }));
    }

    /// Hands a request to Tandem's router as a sender would; returns the status of the answer.
    pub async fn told(&self, path: &str, headers: &[(&str, String)], body: String) -> u16 {
        let router = tandem_runtime::router::router(Arc::new(Arc::clone(&self.tandem)));
        let mut request = Request::builder().method("POST").uri(path);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Body::from(body)).unwrap();
        router.oneshot(request).await.unwrap().status().as_u16()
    }

    /// Replaces the secret of Jira's webhooks where secrets are stored.
    pub fn set_jira_secret(&self, secret: &str) {
        secret.clone_into(&mut self.signing.jira.lock().unwrap());
    }

    /// Has a site's secret lack something from now on, or be whole again, and starts anew with secrets that are read each
    /// time.
    pub fn spoil_secret(&mut self, site: Option<&str>) {
        *self.signing.spoiled.lock().unwrap() = site.map(str::to_owned);
        self.secrets = Arc::new(secrets(&self.signing).kept_for(Duration::ZERO));
        self.restart(str::to_owned);
    }

    /// How often a secret was read from where it is stored.
    pub fn secrets_read(&self) -> usize {
        self.signing.read.load(Ordering::Relaxed)
    }

    /// Stops webhooks for good: those on their way are lost.
    pub fn lose_webhooks(&mut self) {
        self.deliverer = None;
        self.sim.drop_deliveries();
    }

    /// Puts the same worklogs on both sides of the first link, unheard.
    pub fn lose_and_fill(&self, count: i64) {
        for n in 0..count {
            let day = format!("2026-02-{:02}", 1 + n % 28);
            let content = Content::new("ann", &day, "09:00:00", 60 + n).text(format!("entry {n}"));
            self.acme().log_time("SUP-1", content.clone()).unwrap();
            self.globex().log_time("DEV-1", content).unwrap();
        }
        self.sim.drop_deliveries();
    }

    /// Replaces Tandem by a new process on the same table, as after a crash or a new configuration.
    pub fn restart(&mut self, change: impl Fn(&str) -> String) {
        self.config = change(&self.config);
        let owner = format!("after-{}", self.now());
        self.tandem = self.another(&owner);
        if self.deliverer.is_some() {
            self.deliver();
        }
    }

    /// Starts a second process of Tandem on the same table.
    pub fn another(&self, owner: &str) -> Arc<Tandem> {
        wire(
            &self.config,
            &(Arc::clone(&self.store) as Arc<dyn Store>),
            &self.secrets,
            &self.sim,
            &self.late,
            &self.clock,
            owner,
        )
    }

    /// Starts a process for which each request to the table takes a millisecond, so that it can die between two.
    pub fn slow(&self) -> Arc<Tandem> {
        let store = self.table.store_through(|client| {
            http_client_fn(move |settings, components| {
                SharedHttpConnector::new(Slow(client.http_connector(settings, components)))
            })
        });
        wire(
            &self.config,
            &(Arc::new(store) as Arc<dyn Store>),
            &self.secrets,
            &self.sim,
            &self.late,
            &self.clock,
            "slow",
        )
    }

    /// Starts a process that looks ahead and writes nothing.
    pub fn only_reading(&self) -> Arc<Tandem> {
        let clock = Arc::new(self.clock.clone()) as Arc<dyn Clock>;
        let store: Arc<dyn Store> = Arc::new(ReadOnly::new(Arc::clone(&self.store) as Arc<dyn Store>, clock));
        wire(
            &self.config,
            &store,
            &self.secrets,
            &self.sim,
            &self.late,
            &self.clock,
            "only-reading",
        )
    }

    pub async fn wait(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Lets webhooks arrive and runs what is due until nothing is.
    pub async fn settle(&self) {
        for _ in 0..30 {
            self.wait(1).await;
            self.tandem.engine.run_due(None).await.unwrap();
        }
    }

    pub async fn sweep(&self) {
        self.tandem.engine.sweep_pass().await.unwrap();
        self.tandem.engine.run_due(None).await.unwrap();
    }

    pub async fn audit(&self) {
        self.tandem.engine.audit().await.unwrap();
        self.tandem.engine.run_due(None).await.unwrap();
    }

    pub async fn verify(&self) -> Verdict {
        let connections: Vec<_> = self.tandem.engine.connections.iter().collect();
        // Cached site counters must not stand in the way of the comparison.
        self.tandem.engine.verify(&connections, None, None).await.unwrap()
    }

    pub async fn assert_equal(&self) {
        let verdict = self.verify().await;
        assert!(verdict.equal, "both sides differ: {:#?}", verdict.differences);
    }

    /// What a site's worklogs on an issue say, sorted: author, day, time, seconds, billable, text.
    pub fn said(&self, site: &str, issue: &str) -> Vec<(String, String, String, u64, u64, String)> {
        let mut said: Vec<_> = self
            .sim
            .site(site)
            .worklogs_of(issue)
            .iter()
            .map(|worklog| {
                (
                    worklog.author.clone(),
                    worklog.start_date.to_string(),
                    worklog.start_time.to_string(),
                    worklog.time_spent_secs as u64,
                    worklog.billable_secs as u64,
                    worklog.description.clone().unwrap_or_default(),
                )
            })
            .collect();
        said.sort();
        said
    }

    /// The live pairs that wait, with their reasons.
    pub async fn waiting(&self) -> Vec<Pair> {
        let mut waiting = Vec::new();
        for connection in &self.tandem.engine.connections {
            let (pairs, _) = self.store.waiting(&connection.name, None).await.unwrap();
            waiting.extend(pairs.into_iter().filter(|pair| pair.state == PairState::Live));
        }
        waiting
    }

    /// Every row of the table as it is stored, by its keys.
    pub async fn rows(&self) -> BTreeMap<(String, String), serde_json::Value> {
        let mut rows = BTreeMap::new();
        let mut request = serde_json::json!({ "TableName": "tandem", "ConsistentRead": true });
        loop {
            let asked = request.to_string();
            let (status, text) = self.table.answer("Scan", asked.as_bytes()).await.unwrap();
            assert_eq!(status, 200, "{text}");
            let page: serde_json::Value = serde_json::from_str(&text).unwrap();
            for row in page["Items"].as_array().unwrap() {
                let key = |name: &str| row[name]["S"].as_str().unwrap().to_owned();
                rows.insert((key("pk"), key("sk")), row.clone());
            }
            match page.get("LastEvaluatedKey") {
                Some(last) if !last.is_null() => request["ExclusiveStartKey"] = last.clone(),
                _ => return rows,
            }
        }
    }

    /// All due rows.
    pub async fn due(&self) -> Vec<DueRow> {
        let mut due = Vec::new();
        let mut cursor = None;
        loop {
            let (rows, next) = self.store.due(cursor).await.unwrap();
            due.extend(rows);
            match next {
                Some(next) => cursor = Some(next),
                None => return due,
            }
        }
    }

    pub async fn reasons(&self) -> Vec<&'static str> {
        self.waiting()
            .await
            .iter()
            .filter_map(|pair| Some(pair.wait.as_ref()?.reason.as_str()))
            .collect()
    }
}

/// Says whether a request is one that changes worklogs, whatever came of it.
pub fn is_write(request: &RequestRecord) -> bool {
    let template = &request.path_template;
    let reads = template.ends_with("/search") || template.contains("-to-");
    request.method != "GET" && request.vendor == Vendor::Tempo && !reads
}

/// An hour at half past one.
pub fn hour(author: &str, text: &str) -> Content {
    Content::new(author, "2026-03-02", "13:30:00", 3600).text(text)
}

/// Two sites on which Ann's hour stands, with nothing left to do for two minutes. Returns the original's id on acme.
pub async fn synced(webhooks: Webhooks) -> (World, u64) {
    let world = Setup::two(2).webhooks(webhooks).build().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    if webhooks == Webhooks::None {
        world.sweep().await;
    }
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 1);
    world.wait(120).await;
    (world, id)
}
