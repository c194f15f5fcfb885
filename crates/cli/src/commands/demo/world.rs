//! The two sites, their people, and Tandem between them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use tandem_atlassian::ReqwestTransport;
use tandem_aws::Embedded;
use tandem_aws::secrets::Secrets;
use tandem_runtime::clock::SystemClock;
use tandem_runtime::config::{Config, ConfigEnv};
use tandem_runtime::wiring::{self, Parts, Tandem};
use tandem_sim::{
    AttributeKind, AttributeSpec, Fault, FaultOutcome, IssueSpec, Matcher, Running, Sim, SiteSpec, UserSpec,
};
use tokio::net::TcpListener;

use crate::args::Global;
use crate::ending::Failure;

/// The linked issues: acme's, then globex's.
pub(super) const LINKS: [(&str, &str); 4] = [
    ("SUP-1", "DEV-9"),
    ("SUP-2", "DEV-10"),
    ("SUP-3", "DEV-11"),
    ("SUP-4", "DEV-12"),
];

/// The people: name, account on acme, account on globex. Some have the same account on both sites, one is in
/// the map, and one is found by e-mail.
pub(super) const PEOPLE: [(&str, &str, &str); 5] = [
    ("Ann Archer", "5b10-ann", "5b10-ann"),
    ("Bob Baker", "5b10-bob", "5b10-bob"),
    ("Cleo Carter", "5b10-cleo", "5b10-cleo"),
    ("Dan Dyer", "5f0a-dan-on-acme", "60c1-dan-on-globex"),
    ("Eve Ellis", "5f0a-eve-on-acme", "60c1-eve-on-globex"),
];

/// Corresponding values of acme's account and globex's customer.
pub(super) const ACCOUNTS: [(&str, &str); 2] = [("ACME1", "GLX7"), ("ACME2", "GLX8")];

const TEMPO_SECRET: &str = "demo-tempo-webhooks";
const JIRA_SECRET: &str = "demo-jira-webhooks";

/// Everything that takes part.
pub(super) struct World {
    pub(super) sim: Sim,
    pub(super) tandem: Arc<Tandem>,
    pub(super) embedded: Embedded,
    running: Running,
    tandem_url: String,
    listener: Mutex<Option<TcpListener>>,
}

impl World {
    /// Builds it, and serves the sites.
    pub(super) async fn build(global: &Global, seed: u64) -> Result<Self, Failure> {
        let sim = Sim::new(seed, Arc::new(tandem_sim::SystemClock));
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(|error| Failure::Failed(error.into()))?;
        let address = listener
            .local_addr()
            .map_err(|error| Failure::Failed(error.into()))?;
        let tandem_url = format!("http://{address}");
        add_sites(&sim);
        let running = sim.serve().await.map_err(|error| Failure::Failed(error.into()))?;
        add_issues(&sim, &running);
        for site in ["acme", "globex"] {
            sim.site(site)
                .add_tempo_webhooks(&format!("{tandem_url}/hooks/tempo/{site}"), TEMPO_SECRET);
        }
        // On globex only Tempo tells, so that a webhook lost there is a change that nobody told of.
        sim.site("acme")
            .add_jira_webhook(&format!("{tandem_url}/hooks/jira/acme"), JIRA_SECRET);
        mishaps(&sim);

        let text = config_text(&running, sim.now());
        let secrets: BTreeMap<String, String> = ["acme", "globex"]
            .into_iter()
            .map(|site| (variable(site), secret(site)))
            .collect();
        if let Some(directory) = &global.data {
            leave(directory, &text, &secrets)?;
        }
        let config = Config::parse(&text, "demo.toml", &ConfigEnv { allow_loopback: true })
            .map_err(|error| Failure::failed(error.to_string()))?;
        let embedded = Embedded::open(global.data.as_deref()).await?;
        let transport = ReqwestTransport::new().map_err(|error| Failure::Failed(error.into()))?;
        let tandem = Tandem::new(Parts {
            config,
            store: Arc::new(embedded.store()),
            secrets: Arc::new(Secrets::new(None, move |name| secrets.get(name).cloned())),
            transport: Arc::new(transport),
            clock: Arc::new(SystemClock),
            owner: wiring::owner(),
            observer: None,
        });
        let listener = Mutex::new(Some(listener));
        Ok(Self {
            sim,
            tandem: Arc::new(tandem),
            embedded,
            running,
            tandem_url,
            listener,
        })
    }

    /// Hands the socket over on which the webhooks arrive; only once.
    pub(super) fn listener(&self) -> Result<TcpListener, Failure> {
        let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        listener
            .take()
            .ok_or_else(|| Failure::failed("the socket is taken"))
    }

    /// Where everything is.
    pub(super) fn addresses(&self) -> String {
        let jira = |site: &str| self.running.jira_urls.get(site).cloned().unwrap_or_default();
        format!(
            "acme's Jira    {}\nglobex's Jira  {}\nTempo of both  {}\ncontrol        {}\ntandem         {}",
            jira("acme"),
            jira("globex"),
            self.running.tempo_url,
            self.running.control_url,
            self.tandem_url,
        )
    }

    /// What a person can try while it goes on.
    pub(super) fn hints(&self, global: &Global) -> String {
        let control = &self.running.control_url;
        let today = today(self.sim.now());
        let mut text = format!(
            "{}\n\nlog time on acme, and look at both sites:\n  \
             curl -X POST {control}/sites/acme/log -d '{{\"issue\":\"SUP-1\",\"author\":\"5b10-ann\",\"date\":\"{today}\",\"time\":\"13:30:00\",\"seconds\":5400,\"description\":\"by hand\"}}'\n  \
             curl {control}/state\n\
             with the id that it answers:\n  \
             curl -X POST {control}/sites/acme/worklogs/ID/edit -d '{{\"seconds\":3600}}'\n  \
             curl -X POST {control}/sites/acme/worklogs/ID/move -d '{{\"issue\":\"SUP-2\"}}'\n  \
             curl -X POST {control}/sites/acme/worklogs/ID/delete",
            self.addresses()
        );
        if let Some(directory) = &global.data {
            let directory = directory.display();
            text.push_str(&format!(
                "\nthe other commands, on the same table:\n  \
                 TANDEM_ALLOW_LOOPBACK=1 tandem --config {directory}/tandem.toml --data {directory} queue"
            ));
        }
        text
    }
}

/// The day on which people log time.
pub(super) fn today(now: Timestamp) -> jiff::civil::Date {
    now.to_zoned(TimeZone::UTC).date()
}

fn add_sites(sim: &Sim) {
    for site in ["acme", "globex"] {
        let mut spec = SiteSpec::new(site);
        for (name, acme, globex) in PEOPLE {
            let mut user = UserSpec::new(if site == "acme" { acme } else { globex }, name);
            if name == "Dan Dyer" {
                user = user.visible_email("dan.dyer@people.example");
            }
            spec = spec.user(user);
        }
        spec.jira_to_tempo_lag = Duration::from_secs(2);
        spec = match site {
            "acme" => ACCOUNTS
                .iter()
                .fold(spec, |spec, (account, _)| spec.account(*account, true))
                .attribute(AttributeSpec::new("_Account_", "Account", AttributeKind::Account)),
            _ => {
                let list = AttributeSpec::new("_Customer_", "Customer", AttributeKind::StaticList);
                let named = ACCOUNTS.iter().fold(list, |list, (_, value)| {
                    list.value(*value, format!("Customer {value}"))
                });
                spec.attribute(named)
            }
        };
        sim.add_site(spec);
    }
}

/// The issues. A twin is found in the configuration's table, by a remote link, or in a field.
fn add_issues(sim: &Sim, running: &Running) {
    let globex = running.jira_urls.get("globex").cloned().unwrap_or_default();
    for (index, (acme_key, globex_key)) in LINKS.into_iter().enumerate() {
        let mut issue = IssueSpec::new(acme_key);
        if index == 1 {
            issue = issue.remote_link(globex_key, format!("{globex}/browse/{globex_key}"), globex_key);
        }
        sim.site("acme").add_issue(issue);
        let mut issue = IssueSpec::new(globex_key);
        if index == 2 {
            issue = issue.field("customfield_10077", acme_key);
        }
        sim.site("globex").add_issue(issue);
    }
}

/// What goes wrong on purpose; webhooks are lost in [`super::post`], where they can be counted.
fn mishaps(sim: &Sim) {
    sim.faults(|faults| {
        for webhooks in [&mut faults.tempo_webhooks, &mut faults.jira_webhooks] {
            webhooks.doubled = 0.05;
            webhooks.late = 0.1;
            webhooks.late_by = Duration::from_secs(3);
            webhooks.forged = 0.02;
        }
    });
    let create = || Matcher::tempo("POST", "/4/worklogs");
    let update = || Matcher::tempo("PUT", "/4/worklogs/{id}");
    // The worst of them: the worklog is made, and the answer gets lost.
    sim.fail_next(
        "globex",
        create().skip(2),
        Fault::LostAfter(FaultOutcome::Status(504)),
    );
    sim.fail_next("acme", create().skip(3), Fault::LostAfter(FaultOutcome::Reset));
    sim.fail_next(
        "globex",
        create().skip(6),
        Fault::LostBefore(FaultOutcome::Status(503)),
    );
    sim.fail_next(
        "acme",
        update().skip(1),
        Fault::LostAfter(FaultOutcome::Status(502)),
    );
    sim.fail_next(
        "globex",
        update().skip(2),
        Fault::LostBefore(FaultOutcome::Status(500)),
    );
    sim.fail_next("globex", update().skip(4), Fault::Slow(Duration::from_secs(2)));
}

fn config_text(running: &Running, now: Timestamp) -> String {
    let jira = |site: &str| running.jira_urls.get(site).cloned().unwrap_or_default();
    let tempo = &running.tempo_url;
    let since = today(now - SignedDuration::from_hours(30 * 24));
    let table = |index: usize| format!("[\"{}\", \"{}\"]", LINKS[index].0, LINKS[index].1);
    let values: Vec<String> = ACCOUNTS
        .iter()
        .map(|(a, b)| format!("[\"{a}\", \"{b}\"]"))
        .collect();
    let (_, eve_acme, eve_globex) = PEOPLE[4];
    format!(
        r#"[engine]
settle = "500ms"
sweep = "5s"
retry_min = "1s"
retry_max = "5s"
create_grace = "2s"
park_retry = "5s"

[sites.acme]
jira = "{acme}"
tempo = "{tempo}"
secret = "{acme_secret}"

[sites.globex]
jira = "{globex}"
tempo = "{tempo}"
secret = "{globex_secret}"

[[connections]]
name = "acme-globex"
a = "acme"
b = "globex"
since = "{since}"
scope = {{ a = "project = SUP", b = "project = DEV" }}

[connections.links]
from = ["table", "remote-link", "field"]
table = [{first}, {last}]
field = {{ b = "customfield_10077" }}

[connections.authors]
map = [["{eve_acme}", "{eve_globex}"]]

[connections.attributes]
map = [{{ a = "_Account_", b = "_Customer_", values = [{values}] }}]

[connections.policy]
mass_delete = {{ max = 1000, within = "1h" }}
"#,
        acme = jira("acme"),
        globex = jira("globex"),
        acme_secret = format_args!("env:{}", variable("acme")),
        globex_secret = format_args!("env:{}", variable("globex")),
        first = table(0),
        last = table(3),
        values = values.join(", "),
    )
}

fn variable(site: &str) -> String {
    format!("DEMO_{}", site.to_uppercase())
}

/// The secret of a site that is made up: the tokens open nothing outside this process.
fn secret(site: &str) -> String {
    serde_json::json!({
        "tempo_token": format!("tempo-{site}"),
        "jira_email": format!("tandem@{site}.example"),
        "jira_token": format!("jira-{site}"),
        "jira_webhook_secrets": [JIRA_SECRET],
        "tempo_webhook_secrets": [TEMPO_SECRET],
    })
    .to_string()
}

/// Leaves what the other commands need beside the table.
fn leave(directory: &Path, text: &str, secrets: &BTreeMap<String, String>) -> Result<(), Failure> {
    let taken = std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some());
    if taken {
        return Err(Failure::usage(format!(
            "--data: {} is not empty; the demo needs a directory of its own",
            directory.display()
        )));
    }
    let written = || -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        let mut text = text.to_owned();
        for (name, secret) in secrets {
            let file = format!("{}.json", name.to_lowercase());
            text = text.replace(&format!("env:{name}"), &format!("file:{file}"));
            std::fs::write(directory.join(file), secret)?;
        }
        std::fs::write(directory.join("tandem.toml"), text)
    };
    written().map_err(|error| Failure::failed(format!("{} cannot be written: {error}", directory.display())))
}
