//! What all processes, people and the observer of one run share.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use jiff::Timestamp;
use tandem_aws::secrets::Secrets;
use tandem_sim::{Sim, SimClock, TokioClock};
use tokio::sync::Notify;

use crate::chance::Chance;
use crate::faults::{Allowed, Fault, Rule};
use crate::observer::{Observer, Reads};
use crate::process::Process;
use crate::table::Rows;
use crate::weather::Weather;

/// When each world begins.
pub const START: &str = "2026-03-02T08:00:00Z";

/// Marks every secret, so that a leak is seen.
pub const PLANTED: &str = "PLANTED";

/// Says whether a text tells a secret, as it is or as Jira is sent it.
pub fn tells_a_secret(text: &str) -> bool {
    static ENCODED: OnceLock<Vec<String>> = OnceLock::new();
    let encoded = ENCODED.get_or_init(|| {
        let sites = ["acme", "globex", "initech"].into_iter();
        sites
            .map(|site| STANDARD.encode(format!("tandem@{site}.example:jira-{site}-{PLANTED}")))
            .collect()
    });
    text.contains(PLANTED) || encoded.iter().any(|encoded| text.contains(encoded.as_str()))
}

/// The shared state of one run.
pub struct World {
    clock: Arc<TokioClock>,
    /// The sites.
    pub sim: Sim,
    router: Router,
    seed: u64,
    late_kills: bool,
    late_timers: Option<Mutex<Chance>>,
    rows: Mutex<Rows>,
    chance: Mutex<Chance>,
    weather: Mutex<Weather>,
    allowed: Allowed,
    /// The observer.
    pub observer: Mutex<Observer>,
    /// Tempo tokens in the secrets, by site.
    pub tokens: Arc<Mutex<BTreeMap<String, String>>>,
    stir: Notify,
    requests: AtomicU64,
    hinted: AtomicU64,
    points: AtomicU64,
    log: Mutex<Log>,
}

/// How many lives have processes that die late, and how many of their processes do.
const LATE_KILLS: f64 = 0.3;

/// The latest such a process dies, in awaits: about as many as a sweep or an audit with all that follows takes.
const LATE_MAX: u64 = 900;

/// How many lives have timers that wake late.
const LATE_TIMERS: f64 = 0.3;

/// How late at most: longer than the pacing of calls, shorter than a lease.
const LATE_BY: Duration = Duration::from_secs(5);

/// More awaits than this, and a run does not come to rest: the longest honest ones take a tenth.
const POINTS_MAX: u64 = 400_000;

/// What happened, as lines on the screen or as a digest of them.
#[derive(Debug, Default)]
pub struct Log {
    /// Whether anybody wants to know.
    pub wanted: bool,
    /// Whether the lines are printed, or go into the digest only.
    pub print: bool,
    digest: DefaultHasher,
}

impl Log {
    /// A log of which a digest is wanted, or the lines themselves.
    pub fn new(wanted: bool, print: bool) -> Self {
        Self {
            wanted,
            print,
            ..Self::default()
        }
    }

    /// Returns a digest of all lines so far.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Makes a world whose sites are still to be added.
    ///
    /// # Panics
    /// Never: the start is a moment.
    pub fn new(seed: u64, allowed: Allowed, log: Log) -> Self {
        let start: Timestamp = START.parse().expect("the start is a moment");
        let clock = Arc::new(TokioClock::starting_at(start));
        let sim = Sim::new(seed, Arc::clone(&clock) as Arc<dyn SimClock>);
        let router = sim.router();
        // Drawn apart, so that a life without it is the life that it was before there was such a thing.
        let late_kills = allowed.has(Fault::LateKill) && Chance::new(seed, "late kills").yes(LATE_KILLS);
        let mut timers = Chance::new(seed, "late timers");
        let late_timers = allowed.has(Fault::LateTimer) && timers.yes(LATE_TIMERS);
        Self {
            seed,
            late_kills,
            late_timers: late_timers.then(|| Mutex::new(timers)),
            clock,
            sim,
            router,
            rows: Mutex::default(),
            chance: Mutex::new(Chance::new(seed, "schedule")),
            weather: Mutex::default(),
            allowed,
            observer: Mutex::default(),
            tokens: Arc::default(),
            stir: Notify::new(),
            requests: AtomicU64::new(0),
            hinted: AtomicU64::new(0),
            points: AtomicU64::new(0),
            log: Mutex::new(log),
        }
    }

    /// The present, by the world's own clock.
    pub fn now(&self) -> Timestamp {
        SimClock::now(self.clock.as_ref())
    }

    /// The rows of the table.
    pub fn rows(&self) -> MutexGuard<'_, Rows> {
        locked(&self.rows)
    }

    /// The sites' addresses.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Draws, knowing how bad it is.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut Chance, &Weather) -> T) -> T {
        let weather = locked(&self.weather);
        draw(&mut locked(&self.chance), &weather)
    }

    /// Changes how bad it is.
    pub fn set_weather(&self, weather: Weather) {
        *locked(&self.weather) = weather;
    }

    /// Says after how many awaits the process of this name dies, if it is one that dies late.
    pub fn late_fuse(&self, name: &str) -> Option<i64> {
        let mut chance = Chance::new(self.seed, &format!("late kill of {name}"));
        (self.late_kills && chance.yes(LATE_KILLS)).then(|| chance.between(61, LATE_MAX) as i64)
    }

    /// Says by how much a timer wakes late; `None` where none does in this life.
    pub fn late_timer(&self) -> Option<Duration> {
        let mut chance = locked(self.late_timers.as_ref()?);
        let late = self.stormy(Fault::LateTimer) && chance.yes(0.1);
        Some(if late {
            chance.span(LATE_BY)
        } else {
            Duration::ZERO
        })
    }

    /// Looks for a planted secret where none may be; `place` says where, in the words of a rule.
    pub fn suspect(&self, place: &'static str, text: &str) {
        if tells_a_secret(text) {
            let at = self.now();
            locked(&self.observer).broken.push(crate::observer::Broken {
                at,
                rule: place,
                what: text.to_owned(),
            });
        }
    }

    /// Says whether a fault may happen at all.
    pub fn allows(&self, fault: Fault) -> bool {
        self.allowed.has(fault)
    }

    /// Says whether a fault may still happen: it is allowed, and it is not calm.
    pub fn stormy(&self, fault: Fault) -> bool {
        let weather = locked(&self.weather);
        self.allowed.has(fault)
            && match fault {
                Fault::Kill => weather.kill > 0.0,
                Fault::LateKill => self.late_kills && weather.storm,
                Fault::LateTimer => weather.storm,
                Fault::Stall => weather.stall > 0.0,
                _ => true,
            }
    }

    /// Notes that a process sends a request, and what it had read until then; returns a name for the request.
    pub fn register(&self, process: &Process) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let agent = format!("{}/{number}", process.name);
        let reads = Reads {
            process: process.name.clone(),
            at: process.all_reads(),
            held_up: false,
        };
        locked(&self.observer).sends(agent.clone(), reads);
        agent
    }

    /// Counts an await. `false` when there were too many: then nothing goes on any more.
    pub fn goes_on(&self) -> bool {
        let points = self.points.fetch_add(1, Ordering::Relaxed);
        if points == POINTS_MAX {
            let at = self.now();
            locked(&self.observer).broken.push(crate::observer::Broken {
                at,
                rule: "it does not come to rest",
                what: format!("{POINTS_MAX} awaits"),
            });
        }
        // What is broken already only gets worse, and a runaway copies for ever.
        points < POINTS_MAX && locked(&self.observer).broken.is_empty()
    }

    /// Returns how many awaits there were.
    pub fn points(&self) -> u64 {
        self.points.load(Ordering::Relaxed)
    }

    /// Returns how many requests were sent.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Notes that a webhook led to a look.
    pub fn hints(&self) {
        self.hinted.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many webhooks led to a look.
    pub fn hinted(&self) -> u64 {
        self.hinted.load(Ordering::Relaxed)
    }

    /// Says whether nothing may go wrong.
    pub fn is_calm(&self) -> bool {
        self.allowed.is_calm()
    }

    /// Says for which site a request to Tempo or Jira is.
    pub fn site_of(&self, request: &Request<Bytes>) -> String {
        let path = request.uri().path();
        if let Some(rest) = path.strip_prefix("/jira/") {
            return rest.split('/').next().unwrap_or_default().to_owned();
        }
        let token = request
            .headers()
            .get(http::header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default();
        // Every token names its site, so that an old one is known too.
        token.split('-').nth(1).unwrap_or_default().to_owned()
    }

    /// Lets the observer see what happened since it last looked.
    pub fn watch(&self) {
        let journal = self.sim.take_journal();
        if journal.is_empty() {
            return;
        }
        let mut observer = locked(&self.observer);
        for change in &journal {
            self.log(|| {
                let whose = change.client.as_deref().unwrap_or("people");
                format!(
                    "    {} {whose}: {} -> {}",
                    change.site,
                    brief(change.before.as_ref()),
                    brief(change.after.as_ref())
                )
            });
            observer.saw(change);
        }
    }

    /// Says whether a rule is broken on purpose.
    pub fn breaks(&self, rule: Rule) -> bool {
        self.allowed.broken == Some(rule)
    }

    /// The observer.
    pub fn observer(&self) -> MutexGuard<'_, Observer> {
        locked(&self.observer)
    }

    /// Wakes whoever waits for webhooks and stream records.
    pub fn stirred(&self) {
        self.stir.notify_waiters();
    }

    /// Waits until something may be there to deliver.
    pub async fn stir(&self) {
        self.stir.notified().await;
    }

    /// Notes a line, if anybody wants to know.
    pub fn log(&self, line: impl FnOnce() -> String) {
        let mut log = locked(&self.log);
        if !log.wanted {
            return;
        }
        let line = format!("{} {}", self.now(), line());
        line.hash(&mut log.digest);
        if log.print {
            print(&line);
        }
    }

    /// Takes the log.
    pub fn take_log(&self) -> Log {
        std::mem::take(&mut *locked(&self.log))
    }

    /// Returns the sites' secrets, as the processes read them.
    pub fn secrets(&self) -> Arc<Secrets> {
        let tokens = Arc::clone(&self.tokens);
        Arc::new(Secrets::new(None, move |name| {
            let site = name.to_lowercase();
            let tempo = locked(&tokens).get(&site).cloned()?;
            Some(format!(
                r#"{{"tempo_token":"{tempo}","jira_email":"tandem@{site}.example","jira_token":"jira-{site}-{PLANTED}",
                    "jira_webhook_secrets":["jira-hook-{PLANTED}"],"tempo_webhook_secrets":["tempo-hook-{PLANTED}"]}}"#
            ))
        }))
    }

    /// Renews a site's Tempo token, at the site and in the secret.
    pub fn renew_token(&self, site: &str, number: u64) {
        let token = format!("tempo-{site}-{PLANTED}-{number}");
        self.sim.site(site).replace_tempo_token(&token);
        locked(&self.tokens).insert(site.to_owned(), token);
    }
}

/// At once, so that a run that never ends can be watched too.
#[expect(clippy::print_stdout, reason = "somebody asked for it on the command line")]
fn print(line: &str) {
    println!("{line}");
}

fn brief(worklog: Option<&tandem_sim::Worklog>) -> String {
    match worklog {
        None => "nothing".to_owned(),
        Some(worklog) => format!(
            "{} on {} [{} {} {} {}s {}b {:?} {:?}]",
            worklog.id,
            worklog.issue,
            worklog.author,
            worklog.start_date,
            worklog.start_time,
            worklog.time_spent_secs,
            worklog.billable_secs,
            worklog.description.as_deref().unwrap_or_default(),
            worklog.attributes,
        ),
    }
}

/// Something with the world's time, for what has no process.
#[derive(Clone)]
pub struct TrueTime(pub Arc<World>);

#[async_trait]
impl tandem_engine::ports::Clock for TrueTime {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
