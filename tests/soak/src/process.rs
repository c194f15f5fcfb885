//! The `tandem` binary as processes: started, watched, killed, and their words read afterwards.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rand::Rng;
use rand::rngs::SmallRng;
use tokio::process::{Child, Command};

use crate::servers::{Hub, Moment, Trap, lock};
use crate::world::{TEXT_MARK, secret, secrets};

/// How long `serve` may take to say that it listens.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How long a process beside `serve` may run. `reconcile` goes on as long as there is something to do, which is as
/// long as people act, and then until the leases of the killed have run out.
const BESIDE_MAX: Duration = Duration::from_secs(240);

/// How often a process is looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// What `serve` prints before its address.
const LISTENING: &str = "tandem listening on ";

/// A process that may be killed at any moment.
#[derive(Debug)]
pub(crate) struct Victim {
    pub(crate) name: String,
    child: Mutex<Child>,
    killed: AtomicBool,
}

impl Victim {
    /// Kills it with SIGKILL, unless it has ended.
    pub(crate) fn kill(&self, hub: &Hub, when: &str) {
        let killed = {
            let mut child = lock(&self.child);
            !matches!(child.try_wait(), Ok(Some(_))) && child.start_kill().is_ok()
        };
        if killed && !self.killed.swap(true, Ordering::SeqCst) {
            let mut observer = hub.observer();
            observer.missed();
            observer.tell(None, format!("kill -9 {} {when}", self.name));
        }
    }

    fn ended(&self) -> Result<Option<ExitStatus>> {
        Ok(lock(&self.child).try_wait()?)
    }

    async fn wait(&self, most: Duration) -> Result<Option<ExitStatus>> {
        let begun = Instant::now();
        loop {
            match self.ended()? {
                None if begun.elapsed() < most => tokio::time::sleep(GLANCE).await,
                ended => return Ok(ended),
            }
        }
    }

    fn was_killed(&self) -> bool {
        self.killed.load(Ordering::SeqCst)
    }

    /// Asks it to stop.
    async fn terminate(&self) -> Result<()> {
        let id = lock(&self.child).id().context("it has ended")?;
        let asked = Command::new("kill").args(["-TERM", &id.to_string()]).status();
        if !asked.await?.success() {
            bail!("kill -TERM failed");
        }
        Ok(())
    }
}

/// What processes came to.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    pub(crate) started: AtomicUsize,
    pub(crate) serve_kills: AtomicUsize,
    pub(crate) beside: AtomicUsize,
    pub(crate) beside_kills: AtomicUsize,
    pub(crate) table_scans: AtomicUsize,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Starts processes on one table.
#[derive(Debug)]
pub(crate) struct Stable {
    pub(crate) program: PathBuf,
    pub(crate) directory: PathBuf,
    pub(crate) hub: Arc<Hub>,
    pub(crate) lives: Lives,
    pub(crate) over: AtomicBool,
}

impl Stable {
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn log(&self, name: &str, what: &str) -> PathBuf {
        self.directory.join("logs").join(format!("{name}.{what}"))
    }

    fn over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn start(&self, name: &str, log: &str, arguments: &[&str]) -> Result<Arc<Victim>> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .arg("--config")
            .arg(self.directory.join("tandem.toml"))
            .arg("--data")
            .arg(self.data())
            .env_clear()
            .envs([secret(0), secret(1)])
            .env("TANDEM_ALLOW_LOOPBACK", "1")
            .env("TANDEM_LOG", log)
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(File::create(self.log(name, "out"))?)
            .stderr(File::create(self.log(name, "err"))?)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        self.lives.started.fetch_add(1, Ordering::Relaxed);
        self.hub
            .observer()
            .tell(None, format!("{name} starts: {}", arguments.join(" ")));
        Ok(Arc::new(Victim {
            name: name.to_owned(),
            child: Mutex::new(child),
            killed: AtomicBool::new(false),
        }))
    }

    /// Reads what an ended process left: a panic, a secret or a worklog's text in its log is a broken promise.
    fn read_words(&self, name: &str) -> Result<Ran> {
        let read = |what: &str| -> Result<String> {
            let bytes = std::fs::read(self.log(name, what))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let (out, err) = (read("out")?, read("err")?);
        for (what, text) in [("stdout", &out), ("stderr", &err)] {
            for secret in secrets() {
                if text.contains(&secret) {
                    self.violate(format!("{name}: a secret on its {what}"));
                }
            }
        }
        if err.contains(TEXT_MARK) {
            self.violate(format!("{name}: a worklog's text on its stderr"));
        }
        if err.contains("panicked at") {
            self.violate(format!("{name}: it panicked"));
        }
        Ok(Ran { code: -1, out, err })
    }

    fn violate(&self, what: String) {
        self.hub.observer().violate(None, what);
    }

    /// Looks for secrets in every file of the table.
    pub(crate) fn scan_table(&self) -> Result<()> {
        self.lives.table_scans.fetch_add(1, Ordering::Relaxed);
        let secrets = secrets();
        for file in files(&self.data())? {
            // SQLite takes its journals away as it goes.
            let Ok(bytes) = std::fs::read(&file) else { continue };
            for secret in &secrets {
                if holds(&bytes, secret.as_bytes()) {
                    self.violate(format!("a secret in {}", file.display()));
                }
            }
        }
        Ok(())
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, name: &str, arguments: &[&str]) -> Result<Ran> {
        let victim = self.start(name, "info", arguments)?;
        let ended = victim.wait(BESIDE_MAX).await?;
        let ran = self.read_words(name)?;
        let Some(ended) = ended else {
            victim.kill(&self.hub, "since it does not end");
            bail!("{} does not end within {BESIDE_MAX:?}", arguments.join(" "));
        };
        Ok(Ran {
            code: ended.code().unwrap_or(-1),
            ..ran
        })
    }

    /// Keeps `serve` running, and killed, until it is over. Returns the one that runs then.
    pub(crate) async fn serve(&self, mut dice: SmallRng) -> Result<Arc<Victim>> {
        let mut number = 0;
        loop {
            number += 1;
            let name = format!("serve-{number:03}");
            let level = if dice.random_bool(0.5) { "debug" } else { "info" };
            let victim = self.start(&name, level, &["serve", "--listen", "127.0.0.1:0"])?;
            if !self.over() && dice.random_bool(0.1) {
                let wait = Duration::from_millis(dice.random_range(0..400));
                tokio::time::sleep(wait).await;
                victim.kill(&self.hub, "while it starts");
            } else if let Some(url) = self.listening(&victim).await? {
                *lock(&self.hub.receiver) = Some(url);
                let death = Instant::now() + Duration::from_millis(dice.random_range(500..12_000));
                if dice.random_bool(0.7) {
                    self.trap(0, &mut dice, &victim, 6);
                }
                while !self.over() && victim.ended()?.is_none() {
                    if Instant::now() > death {
                        victim.kill(&self.hub, "at a random moment");
                        break;
                    }
                    tokio::time::sleep(GLANCE).await;
                }
                lock(&self.hub.traps)[0] = None;
                if self.over() && !victim.was_killed() {
                    return Ok(victim);
                }
                *lock(&self.hub.receiver) = None;
            }
            let ended = victim.wait(READY_WITHIN).await?;
            self.read_words(&name)?;
            if !victim.was_killed() {
                self.violate(format!("{name} ended by itself: {ended:?}"));
                bail!(
                    "serve ended by itself; its words are in {}",
                    self.log(&name, "err").display()
                );
            }
            self.lives.serve_kills.fetch_add(1, Ordering::Relaxed);
            if number % 5 == 0 {
                self.scan_table()?;
            }
            if !self.over() {
                let pause = if dice.random_bool(0.2) { 4_000 } else { 500 };
                tokio::time::sleep(Duration::from_millis(dice.random_range(0..pause))).await;
            }
        }
    }

    /// Waits until `serve` says where it listens; `None` when it was killed before.
    async fn listening(&self, victim: &Victim) -> Result<Option<String>> {
        let begun = Instant::now();
        while begun.elapsed() < READY_WITHIN {
            let said = std::fs::read_to_string(self.log(&victim.name, "out"))?;
            if let Some(line) = said.strip_prefix(LISTENING)
                && line.ends_with('\n')
            {
                return Ok(Some(line.trim().to_owned()));
            }
            if victim.ended()?.is_some() {
                return Ok(None);
            }
            tokio::time::sleep(GLANCE).await;
        }
        bail!("{} does not listen within {READY_WITHIN:?}", victim.name);
    }

    fn trap(&self, place: usize, dice: &mut SmallRng, victim: &Arc<Victim>, writes_max: usize) {
        let moment = match dice.random_range(0..4) {
            0 => Moment::Before,
            1 => Moment::After,
            _ => Moment::Later(Duration::from_millis(dice.random_range(0..60))),
        };
        lock(&self.hub.traps)[place] = Some(Trap {
            writes: dice.random_range(1..=writes_max),
            moment,
            victim: Arc::clone(victim),
        });
    }

    /// Runs other commands beside `serve`, on the same table, until it is over. Half of them are killed.
    pub(crate) async fn beside(&self, mut dice: SmallRng) -> Result<()> {
        const COMMANDS: [&[&str]; 8] = [
            &["reconcile", "--pass", "due"],
            &["reconcile", "--pass", "due"],
            &["reconcile", "--pass", "sweep"],
            &["reconcile"],
            &["reconcile", "--pass", "audit"],
            &["queue", "--json"],
            &["status"],
            &["retry"],
        ];
        let mut number = 0;
        while !self.over() {
            tokio::time::sleep(Duration::from_millis(dice.random_range(500..6_000))).await;
            if self.over() {
                break;
            }
            number += 1;
            let name = format!("beside-{number:03}");
            let command = COMMANDS[dice.random_range(0..COMMANDS.len())];
            let victim = self.start(&name, "debug", command)?;
            self.lives.beside.fetch_add(1, Ordering::Relaxed);
            let doomed = command[0] == "reconcile" && dice.random_bool(0.6);
            let patience = if doomed {
                if dice.random_bool(0.6) {
                    self.trap(1, &mut dice, &victim, 3);
                }
                Duration::from_millis(dice.random_range(0..6_000))
            } else if command[0] == "reconcile" {
                // It goes on for as long as people give it something to do.
                Duration::from_secs(30)
            } else {
                BESIDE_MAX
            };
            let mut ended = victim.wait(patience).await?;
            if ended.is_none() {
                victim.kill(&self.hub, "at a random moment");
                ended = victim.wait(READY_WITHIN).await?;
                if command[0] != "reconcile" {
                    self.violate(format!("{name} does not end: {}", command.join(" ")));
                }
            }
            lock(&self.hub.traps)[1] = None;
            let words = self.read_words(&name)?;
            let code = ended.and_then(|ended| ended.code());
            self.hub
                .observer()
                .tell(None, format!("{name} ended with {code:?}"));
            if victim.was_killed() {
                self.lives.beside_kills.fetch_add(1, Ordering::Relaxed);
            } else if !matches!(code, Some(0 | 1 | 3)) {
                self.violate(format!(
                    "{name} ({}) ended with {code:?}: {}",
                    command.join(" "),
                    words.err
                ));
            }
        }
        Ok(())
    }

    /// Stops `serve` as an operator would.
    pub(crate) async fn stop(&self, victim: &Victim) -> Result<()> {
        victim.terminate().await?;
        let ended = victim.wait(Duration::from_secs(20)).await?;
        self.read_words(&victim.name)?;
        match ended.and_then(|ended| ended.code()) {
            Some(0) => Ok(()),
            other => bail!("{} ended with {other:?} after SIGTERM", victim.name),
        }
    }
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in
        std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}
