//! Two simulated sites, and the binary to run against them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tandem_aws::Embedded;
use tandem_engine::ports::Store;
use tandem_engine::ports::store::{HistoryRow, Op};
use tandem_sim::{Content, Deliverer, Running, Sim, SiteHandle, SiteSpec, UserSpec};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::amazon::Amazon;

/// How long anything may take to happen.
pub const PATIENCE: Duration = Duration::from_secs(180);

const TEMPO_SECRET: &str = "tempo-secret-of-the-test";
pub const JIRA_SECRET: &str = "jira-secret-of-the-test";

/// Two sites on loopback, a directory with a configuration, and the binary.
pub struct Bench {
    pub sim: Sim,
    pub directory: TempDir,
    amazon: Option<Amazon>,
    _running: Running,
    _deliverer: Deliverer,
    runtime: Runtime,
}

/// What a run of the binary came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Returns what was written to stdout as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "{text:?} is not in {self:?}");
        self
    }
}

/// The binary without anything of the caller's environment that bears on it.
pub fn tandem() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    for variable in [
        "TANDEM_CONFIG",
        "TANDEM_DATA",
        "TANDEM_TABLE",
        "TANDEM_LOG",
        "TANDEM_ALLOW_LOOPBACK",
    ] {
        command.env_remove(variable);
    }
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("AWS_") {
            command.env_remove(variable);
        }
    }
    command
}

pub fn run(command: &mut Command) -> Ran {
    Ran::of(command.output().unwrap())
}

/// Runs it with this on stdin.
pub fn fed(command: &mut Command, stdin: &str) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Fails when it has ended without reading, which the test sees by what it said.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    Ran::of(child.wait_with_output().unwrap())
}

/// Waits until something is so.
#[track_caller]
pub fn wait(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: it took too long");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An hour of somebody's, after lunch.
pub fn hour(author: &str, text: &str) -> Content {
    Content::new(author, "2026-03-02", "13:30:00", 3600).text(text)
}

impl Bench {
    /// SUP-1 and DEV-1 are twins, as are SUP-2 and DEV-2. Ann and Bob have the same account on both sites; Zoe is
    /// on acme alone. No webhooks yet.
    pub fn new() -> Self {
        Self::with("")
    }

    /// The same with something added to the configuration's end.
    pub fn with(extra: &str) -> Self {
        Self::at(Arc::new(tandem_sim::SystemClock), extra)
    }

    /// The same with the sites' clock another than this machine's.
    pub fn at(clock: Arc<dyn tandem_sim::SimClock>, extra: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let sim = Sim::new(7, clock);
        for (site, project) in [("acme", "SUP"), ("globex", "DEV")] {
            let mut spec = SiteSpec::new(site)
                .user(UserSpec::new("ann", "Ann Archer"))
                .user(UserSpec::new("bob", "Bob Baker"))
                .issues(project, 4);
            if site == "acme" {
                spec = spec.user(UserSpec::new("zoe", "Zoe Zimmer"));
            }
            // Tempo's limit is held elsewhere; here it would only make the tests slow.
            spec.tempo_rate.per_second = 50;
            sim.add_site(spec);
        }
        let running = runtime.block_on(sim.serve()).unwrap();
        let guard = runtime.enter();
        let deliverer = sim.spawn_deliverer();
        drop(guard);
        let directory = TempDir::new().unwrap();
        let bench = Self {
            sim,
            directory,
            amazon: None,
            _running: running,
            _deliverer: deliverer,
            runtime,
        };
        let text = bench.config(extra);
        std::fs::write(bench.path("tandem.toml"), text).unwrap();
        for site in ["acme", "globex"] {
            std::fs::write(bench.path(&format!("{site}.json")), secret(site)).unwrap();
        }
        bench
    }

    /// Adds a connection of the same sites to the configuration, with these twins.
    pub fn connect_again(&self, name: &str, twins: &[[&str; 2]]) {
        let path = self.path("tandem.toml");
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str(&format!(
            "\n[[connections]]\nname = \"{name}\"\na = \"acme\"\nb = \"globex\"\nsince = \"2026-01-01\"\n\n\
             [connections.links]\nfrom = [\"table\"]\ntable = {twins:?}\n"
        ));
        std::fs::write(path, text).unwrap();
    }

    fn config(&self, extra: &str) -> String {
        let site = |name: &str| {
            format!(
                "[sites.{name}]\njira = \"{}\"\ntempo = \"{}\"\nsecret = \"file:{name}.json\"\nrequests_per_second = 40\n",
                self._running.jira_urls[name], self._running.tempo_url
            )
        };
        format!(
            "[engine]\nsettle = \"100ms\"\nsweep = \"2s\"\nretry_min = \"500ms\"\nretry_max = \"2s\"\ncreate_grace = \"1s\"\npark_retry = \"30s\"\n\n{}\n{}\n\
             [[connections]]\nname = \"acme-globex\"\na = \"acme\"\nb = \"globex\"\nsince = \"2026-01-01\"\n\n\
             [connections.links]\nfrom = [\"table\"]\ntable = [[\"SUP-1\", \"DEV-1\"], [\"SUP-2\", \"DEV-2\"]]\n\n{extra}\n",
            site("acme"),
            site("globex"),
        )
    }

    /// Where a site's Jira is.
    pub fn jira(&self, site: &str) -> String {
        self._running.jira_urls[site].to_string()
    }

    /// Where every site's Tempo is.
    pub fn tempo(&self) -> String {
        self._running.tempo_url.to_string()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub fn acme(&self) -> SiteHandle {
        self.sim.site("acme")
    }

    pub fn globex(&self) -> SiteHandle {
        self.sim.site("globex")
    }

    /// Every row of the table in the data directory as it is stored, by its keys.
    pub fn rows(&self) -> BTreeMap<String, Value> {
        let scan = br#"{"TableName":"tandem","ConsistentRead":true}"#;
        let answer = async {
            let table = Embedded::open(Some(&self.data())).await.unwrap();
            table.answer("Scan", scan).await.unwrap()
        };
        let (status, text) = self.runtime.block_on(answer);
        assert_eq!(status, 200, "{text}");
        let page: Value = serde_json::from_str(&text).unwrap();
        // A page holds far more than a test leaves behind.
        assert!(page["LastEvaluatedKey"].is_null(), "{text}");
        let rows = page["Items"].as_array().unwrap().iter();
        rows.map(|row| (format!("{} / {}", row["pk"]["S"], row["sk"]["S"]), row.clone()))
            .collect()
    }

    /// Puts another line into the history, made of the newest one.
    pub fn tell(&self, change: impl FnOnce(&mut HistoryRow)) {
        self.runtime.block_on(async {
            let store = Embedded::open(Some(&self.data())).await.unwrap().store();
            let connection = ["acme-globex".into()];
            let mut line = store.history(&connection, None, 1).await.unwrap().remove(0);
            line.time += jiff::SignedDuration::from_secs(1);
            line.id = format!("{:013}-told", line.time.as_millisecond());
            change(&mut line);
            store.commit(vec![Op::PutHistory(Box::new(line))]).await.unwrap();
        });
    }

    /// The same on a table as AWS has them.
    pub fn on_a_table(extra: &str) -> Self {
        let mut bench = Self::with(extra);
        let embedded = bench.runtime.block_on(Embedded::open(None)).unwrap();
        bench.amazon = Some(Amazon::serve(&bench.runtime, embedded));
        bench
    }

    /// What the table is behind.
    pub fn amazon(&self) -> &Amazon {
        self.amazon.as_ref().unwrap()
    }

    /// The binary with this bench's configuration and table.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.without_data(arguments);
        match &self.amazon {
            Some(amazon) => amazon.used_by(&mut command),
            None => {
                command.arg("--data").arg(self.data());
            }
        }
        command
    }

    pub fn without_data(&self, arguments: &[&str]) -> Command {
        let mut command = tandem();
        command
            .args(arguments)
            .arg("--config")
            .arg(self.path("tandem.toml"))
            .env("TANDEM_ALLOW_LOOPBACK", "1");
        command
    }

    pub fn run_without_data(&self, arguments: &[&str]) -> Ran {
        run(&mut self.without_data(arguments))
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments))
    }

    /// Runs `reconcile` until it has nothing to do.
    #[track_caller]
    pub fn reconcile(&self) -> Ran {
        self.run(&["reconcile"]).ended(0)
    }

    /// Waits for the next second: Tempo's moments have whole seconds, and what changes in the second of the last
    /// change that was accounted for is told by webhooks alone.
    pub fn next_second(&self) {
        let now = self.sim.now();
        wait("the next second", || self.sim.now().as_second() > now.as_second());
    }

    /// What stands on an issue: text, seconds, billable seconds, day and time, in order.
    pub fn said(&self, site: &str, issue: &str) -> Vec<(String, i64, i64, String)> {
        let mut said: Vec<_> = self
            .sim
            .site(site)
            .worklogs_of(issue)
            .iter()
            .map(|worklog| {
                (
                    worklog.description.clone().unwrap_or_default(),
                    worklog.time_spent_secs,
                    worklog.billable_secs,
                    format!("{} {}", worklog.start_date, worklog.start_time),
                )
            })
            .collect();
        said.sort();
        said
    }

    /// Says whether both issues of a link show the same, and so many worklogs.
    pub fn alike(&self, acme: &str, globex: &str, count: usize) -> bool {
        let said = self.said("acme", acme);
        said.len() == count && said == self.said("globex", globex)
    }

    /// Starts `serve` and has both sites tell it of changes.
    pub fn serve(&self) -> Serving {
        self.told_by_sites(self.serve_quietly())
    }

    /// The same with further options.
    pub fn serve_with(&self, options: &[&str]) -> Serving {
        let mut command = self.command(&[&["serve", "--listen", "127.0.0.1:0"], options].concat());
        command.env("TANDEM_LOG", "error");
        self.told_by_sites(started(command))
    }

    /// The same with a log of this level in a file.
    pub fn serve_logging(&self, level: &str, log: &Path) -> Serving {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("TANDEM_LOG", level);
        command.stderr(std::fs::File::create(log).unwrap());
        self.told_by_sites(started(command))
    }

    fn told_by_sites(&self, serving: Serving) -> Serving {
        for name in ["acme", "globex"] {
            let site = self.sim.site(name);
            let _guard = self.runtime.enter();
            site.add_tempo_webhooks(&format!("{}/hooks/tempo/{name}", serving.url), TEMPO_SECRET);
            site.add_jira_webhook(&format!("{}/hooks/jira/{name}", serving.url), JIRA_SECRET);
        }
        serving
    }

    /// Starts `serve`, and nobody tells it anything.
    pub fn serve_quietly(&self) -> Serving {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("TANDEM_LOG", "error");
        started(command)
    }
}

/// Starts a `serve` and waits until it listens.
fn started(mut command: Command) -> Serving {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let url = line
        .strip_prefix("tandem listening on ")
        .unwrap_or_else(|| panic!("{line:?}"))
        .trim()
        .to_owned();
    assert!(
        url.starts_with("http://127.0.0.1:") && !url.ends_with(":0"),
        "{url}"
    );
    Serving { child, url }
}

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

/// A running `serve`; it is killed when this is dropped.
pub struct Serving {
    child: Child,
    pub url: String,
}

impl Serving {
    /// The most memory that it has had resident so far, in KiB. Linux only.
    #[cfg(target_os = "linux")]
    pub fn peak_resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Asks it to stop and returns its exit code.
    pub fn stop(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "it does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a configuration that nobody answers for.
pub fn config_at(directory: &Path, text: &str) -> PathBuf {
    let path = directory.join("tandem.toml");
    std::fs::write(&path, text).unwrap();
    path
}
