//! Two sites and the three functions, in real time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tandem_engine::ports::Store;
use tandem_engine::ports::store::DueKey;
use tandem_functions_test::{Function, Table, event};
use tandem_sim::{
    Answered, Content, Deliverer, Delivery, Running, Sim, SiteHandle, SiteSpec, SystemClock, UserSpec,
};
use tandem_template::Stack;

pub const TEMPO_SECRET: &str = "tempo-webhook-secret-of-the-test";
pub const JIRA_SECRET: &str = "jira-webhook-secret-of-the-test";

/// What acme's secret holds beside the rest where its Tempo is used through OAuth.
const OAUTH: &[(&str, &str)] = &[
    ("tempo_client_id", "client-acme"),
    ("tempo_client_secret", "client-secret-acme"),
    ("tempo_redirect_uri", "https://tandem.example/acme"),
    ("tempo_refresh_token", "refresh-acme"),
];

/// Where a function's binary is.
pub fn binary(name: &str) -> PathBuf {
    match std::env::var_os("TANDEM_FUNCTIONS") {
        Some(folder) => PathBuf::from(folder).join(name),
        None => match name {
            "webhook" => env!("CARGO_BIN_EXE_function-webhook").into(),
            "worker" => env!("CARGO_BIN_EXE_function-worker").into(),
            "reconcile" => env!("CARGO_BIN_EXE_function-reconcile").into(),
            "rotate" => env!("CARGO_BIN_EXE_function-rotate").into(),
            other => panic!("there is no function {other}"),
        },
    }
}

/// The template, deployed for the two sites.
pub static STACK: LazyLock<Stack> = LazyLock::new(|| {
    Stack::deployed(&[
        ("SiteA", "acme"),
        ("SiteB", "globex"),
        // For tests that look for secrets in the log.
        ("LogLevel", "trace"),
    ])
});

/// What a function finds in its environment: what Lambda gives it, and what the template does.
///
/// Its access key names the function, so that the table can tell whose permissions count.
pub fn environment(function: &str, table: &Table) -> BTreeMap<String, String> {
    let vars = [
        // The only one that is not on AWS: the simulated sites are on this machine.
        ("TANDEM_ALLOW_LOOPBACK", "1"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", function),
        ("AWS_SECRET_ACCESS_KEY", "secret-access-key-of-the-test"),
        ("AWS_SESSION_TOKEN", "session-token-of-the-test"),
        ("AWS_ENDPOINT_URL", table.url()),
    ];
    let mut vars: BTreeMap<_, _> = vars
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let given = STACK.functions()[function]["Environment"]["Variables"].clone();
    for (name, value) in given.as_object().unwrap() {
        vars.insert(name.clone(), value.as_str().unwrap().to_owned());
    }
    vars
}

/// What happened until everything had come to rest.
pub struct Settled {
    /// Records that woke `worker`.
    pub woken: usize,
    /// Calls of `webhook`.
    pub told: usize,
}

pub struct World {
    pub sim: Sim,
    pub table: Table,
    pub webhook: Arc<Function>,
    pub worker: Function,
    pub reconcile: Function,
    running: Running,
}

impl World {
    /// Two sites that tell of everything, SUP-1 linked with DEV-1, configuration published.
    pub async fn new() -> Self {
        let world = Self::unpublished().await;
        world.publish().await;
        world
    }

    /// The same before anybody has published a configuration.
    pub async fn unpublished() -> Self {
        Self::made(|site| site, &[]).await
    }

    /// The same as new, but acme's Tempo is used through OAuth.
    pub async fn with_oauth() -> Self {
        let change = |site: SiteSpec| {
            if site.name == "acme" {
                site.tempo_oauth()
            } else {
                site
            }
        };
        let world = Self::made(change, OAUTH).await;
        world.publish().await;
        world
    }

    /// The same as new, but it is known when acme's tokens run out.
    pub async fn with_expiry(tempo: &str, jira: &str) -> Self {
        let ends = [("tempo_expires_at", tempo), ("jira_expires_at", jira)];
        let world = Self::made(|site| site, &ends).await;
        world.publish().await;
        world
    }

    /// The same as new, with the sites made differently.
    pub async fn with_sites(change: impl Fn(SiteSpec) -> SiteSpec) -> Self {
        let world = Self::made(change, &[]).await;
        world.publish().await;
        world
    }

    /// Starts a function with the permissions that the template gives it.
    pub async fn start(table: &Table, name: &str) -> Function {
        table.allow(name, STACK.allowed(name));
        let environment: Vec<_> = environment(name, table).into_iter().collect();
        Function::start(name, &binary(name), &environment).await
    }

    async fn made(change: impl Fn(SiteSpec) -> SiteSpec, of_acme: &[(&str, &str)]) -> Self {
        let sim = Sim::new(11, Arc::new(SystemClock));
        for (name, project) in [("acme", "SUP"), ("globex", "DEV")] {
            let site = SiteSpec::new(name)
                .user(UserSpec::new("ann", "Ann Archer"))
                .issues(project, 2)
                .tempo_webhooks(&format!("https://hooks.example/hooks/tempo/{name}"), TEMPO_SECRET)
                .jira_webhook(&format!("https://hooks.example/hooks/jira/{name}"), JIRA_SECRET);
            sim.add_site(change(site));
        }
        let running = sim.serve().await.unwrap();
        let table = Table::serve().await;
        for site in ["acme", "globex"] {
            let mut secret = json!({
                "tempo_token": format!("tempo-{site}"),
                "jira_email": format!("tandem@{site}.example"),
                "jira_token": format!("jira-{site}"),
                "jira_webhook_secrets": [JIRA_SECRET],
                "tempo_webhook_secrets": [TEMPO_SECRET],
            });
            for (field, value) in of_acme.iter().filter(|_| site == "acme") {
                secret[*field] = json!(value);
            }
            table.put_secret(&format!("tandem/{site}"), secret.to_string());
        }
        let (webhook, worker, reconcile) = (
            Self::start(&table, "webhook").await,
            Self::start(&table, "worker").await,
            Self::start(&table, "reconcile").await,
        );
        Self {
            sim,
            table,
            webhook: Arc::new(webhook),
            worker,
            reconcile,
            running,
        }
    }

    pub async fn publish(&self) {
        self.publish_with("").await;
    }

    /// The same, with more lines of the connection.
    pub async fn publish_with(&self, more: &str) {
        let text = format!(
            r#"
[engine]
settle = "200ms"

[sites.acme]
jira = "{acme}"
tempo = "{tempo}"
secret = "aws:tandem/acme"

[sites.globex]
jira = "{globex}"
tempo = "{tempo}"
secret = "aws:tandem/globex"

[[connections]]
name = "acme-globex"
a = "acme"
b = "globex"
since = "2024-01-01"
{more}
[connections.links]
table = [["SUP-1", "DEV-1"]]
"#,
            tempo = self.running.tempo_url,
            acme = self.running.jira_urls["acme"],
            globex = self.running.jira_urls["globex"],
        );
        self.table
            .store()
            .put_config(&text, Timestamp::now())
            .await
            .unwrap();
    }

    pub fn acme(&self) -> SiteHandle {
        self.sim.site("acme")
    }

    pub fn globex(&self) -> SiteHandle {
        self.sim.site("globex")
    }

    /// Sends an event to `webhook` and returns how API Gateway would answer.
    pub async fn ask(&self, event: Value) -> Answered {
        event::answer(&self.webhook.invoke(event).await.unwrap())
    }

    /// Waits for the sites' next webhooks, which are then the test's to deliver.
    pub async fn deliveries(&self) -> Vec<Delivery> {
        for _ in 0..200 {
            let deliveries = self.sim.take_deliveries(self.sim.now());
            if !deliveries.is_empty() {
                return deliveries;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no site told of anything");
    }

    /// Delivers a webhook through API Gateway and tells its sender how it went.
    pub async fn hand_over(&self, delivery: &Delivery) -> Answered {
        let answered = self.ask(event::delivery(delivery)).await;
        self.sim
            .delivered_with_body(delivery.id, answered.status, &answered.body);
        answered
    }

    /// Delivers webhooks through API Gateway as the sites send them, and counts how often the function was called.
    fn deliver(&self, calls: &Arc<AtomicUsize>) -> Deliverer {
        let (webhook, calls) = (Arc::clone(&self.webhook), Arc::clone(calls));
        self.sim.spawn_deliverer_with(move |delivery| {
            calls.fetch_add(1, Ordering::Relaxed);
            let webhook = Arc::clone(&webhook);
            async move { event::answer(&webhook.invoke(event::delivery(&delivery)).await.unwrap()) }
        })
    }

    /// Takes what the event source mapping would give to `worker`: the records that its filter lets through.
    pub fn take_waking(&self) -> Vec<Value> {
        self.table
            .take_stream()
            .into_iter()
            .filter(event::wakes)
            .collect()
    }

    /// Gives records to `worker` and returns the sequence numbers that it wants again.
    pub async fn wake(&self, records: &[Value]) -> Vec<String> {
        let answer = self.worker.invoke(event::batch(records)).await.unwrap();
        let failures = answer["batchItemFailures"].as_array().unwrap().iter();
        failures
            .map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Plays API Gateway and the event source mapping until nothing has happened for a while. Returns what came of it.
    pub async fn settle(&self) -> Settled {
        let calls = Arc::default();
        let _deliverer = self.deliver(&calls);
        let (mut quiet, mut woken) = (0, 0);
        let start = std::time::Instant::now();
        while quiet < 20 {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "something never comes to rest"
            );
            // Told here, or a test would only see that nothing comes to rest.
            assert_eq!(self.table.denied(), [], "template.yaml does not allow this");
            tokio::time::sleep(Duration::from_millis(50)).await;
            let records = self.take_waking();
            quiet = if records.is_empty() && self.sim.deliveries_pending() == 0 {
                quiet + 1
            } else {
                0
            };
            woken += records.len();
            if !records.is_empty() {
                assert_eq!(self.wake(&records).await, Vec::<String>::new());
            }
        }
        Settled {
            woken,
            told: calls.load(Ordering::Relaxed),
        }
    }

    /// Runs a scheduled pass as EventBridge Scheduler asks for it.
    pub async fn pass(&self, pass: &str) -> Value {
        self.reconcile.invoke(json!({"pass": pass})).await.unwrap()
    }

    /// Runs what is due until no link has anything left to do, later either: on a slow machine a look may have been put
    /// off.
    pub async fn nothing_left(&self) {
        let start = std::time::Instant::now();
        loop {
            self.pass("due").await;
            let (rows, _) = self.table.store().due(None).await.unwrap();
            if !rows.iter().any(|row| matches!(row.key, DueKey::Link(_))) {
                return;
            }
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "something is left: {rows:?}"
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Returns what the worklogs on an issue say, sorted: seconds and text.
    pub fn said(&self, site: &str, issue: &str) -> Vec<(i64, String)> {
        let worklogs = self.sim.site(site).worklogs_of(issue);
        let mut said: Vec<_> = worklogs
            .iter()
            .map(|w| (w.time_spent_secs, w.description.clone().unwrap_or_default()))
            .collect();
        said.sort();
        said
    }

    /// Checks what holds after every scenario: nobody was sent too much, no permission was missing, no secret was
    /// written down.
    pub fn assert_well_behaved(&self) {
        assert_eq!(self.table.denied(), [], "template.yaml does not allow this");
        assert_eq!(self.sim.violations(), []);
        for function in [&self.webhook, &self.worker, &self.reconcile] {
            assert_tells_no_secret(&function.log());
        }
    }
}

/// Checks that none of the secrets of these tests is in a text, nor any that a simulated Tempo has made.
pub fn assert_tells_no_secret(text: &str) {
    let secrets = [
        TEMPO_SECRET,
        JIRA_SECRET,
        "tempo-acme",
        "jira-acme",
        "tempo-globex",
        "jira-globex",
        "client-secret",
        "access-",
        "refresh-",
        "session-token",
    ];
    for secret in secrets {
        assert!(!text.contains(secret), "a log holds {secret}:\n{text}");
    }
}

/// An hour of work.
pub fn hour(text: &str) -> Content {
    Content::new("ann", "2024-03-04", "13:30:00", 3600).text(text)
}
