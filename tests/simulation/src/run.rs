//! One run: a storm of faults with people acting throughout, then calm, then the reckoning.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use tandem_core::{Pair, PairState, Reason, Side};
use tandem_engine::operator::Decision;
use tandem_runtime::config::ConfigEnv;
use tandem_runtime::current::Published;
use tandem_runtime::lambda::pass::{self, Pass};
use tandem_runtime::lambda::wake::wake;
use tandem_runtime::router::router;
use tandem_runtime::wiring::Tandem;
use tandem_sim::{
    AttributeKind, AttributeSpec, Delivery, DeliveryKind, Permission, ProjectSpec, SiteSpec, UserSpec,
};
use tower::ServiceExt;

use crate::chance::Chance;
use crate::faults::{Allowed, Fault};
use crate::lines::Lines;
use crate::network::Network;
use crate::observer::{Broken, FILLED_IN, Field, OTHER_WORD, OWN, ROBOT, SHARED, SHOWN_TIME, Setting, WORD};
use crate::people::{EVERYBODY, People, project};
use crate::process::Process;
use crate::reckon::{braked, heard, leaks, misnamed, reckon, unnamed, untold};
use crate::store::Table;
use crate::weather::Weather;
use crate::world::{Log, PLANTED, World};

/// What a run is made of, all drawn from the seed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The sites: two, or three in a chain or a ring.
    pub sites: Vec<String>,
    /// Whether three sites are all connected with one another.
    pub ring: bool,
    /// Linked issues per pair of sites.
    pub links: usize,
    /// Acts of people during the storm.
    pub acts: u64,
    /// The longest pause between two acts, in seconds.
    pub pause: u64,
    /// Who wins a conflict.
    pub conflict: &'static str,
    /// What wins between a delete and an edit.
    pub delete_vs_edit: &'static str,
    /// Whether Eve's accounts are mapped from the start, only later, or never.
    pub eve: Eve,
    /// How many proven deletes are let through.
    pub mass_delete: u64,
    /// How many worklogs people have logged when the storm begins, where a purge is to come.
    pub stock: u64,
    /// The weather of the storm.
    pub weather: Weather,
    /// What happens once, and in which act.
    pub events: Vec<(u64, Fault)>,
    /// Which webhooks the sites send: Tempo's, Jira's.
    pub webhooks: [bool; 2],
    /// How often the audit runs in the storm, if it does.
    pub audit: Option<Duration>,
    /// What lasts longer than the storm, if anything does.
    pub lasting: Option<Lasting>,
    /// What the sites' audit trails tell.
    pub trails: Vec<Trail>,
    /// Worklogs on a page, at most.
    pub page: usize,
    /// Whether the second site has words of its own for an attribute's values.
    pub other_words: bool,
    /// The site that shows a start time of its own, whatever it is sent.
    pub timeless: Option<String>,
    /// The site that puts words of its own where a worklog has no text.
    pub default_text: Option<String>,
    /// Whether people also log without a text, and clear one.
    pub textless: bool,
}

/// What a site's audit trail tells the service user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trail {
    /// Everything.
    Open,
    /// Nothing of deletes that were made in Jira.
    OfTempo,
    /// Nothing: it may not be read.
    Closed,
}

/// A reason to wait that is still there when all else is calm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// A permission of the service user is gone on a site.
    Permission(Permission),
    /// A period is closed on a site.
    Period,
    /// A site's token has expired.
    Token,
}

/// Whether Eve's accounts are mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eve {
    /// From the start.
    Mapped,
    /// In a configuration that is published during the storm.
    Later,
    /// Never: her time waits.
    Never,
    /// Never: another account stands for her, with her name in the text.
    Robot,
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What must not happen, and did.
    pub broken: Vec<Broken>,
    /// Requests sent.
    pub requests: u64,
    /// Changes by people.
    pub acts: usize,
    /// Creates, updates and deletes of Tandem's.
    pub written: [usize; 3],
    /// Lives that ended early.
    pub deaths: u64,
    /// Edits that nobody could have saved.
    pub raced: usize,
    /// Acts on what was written and not recorded.
    pub unheard: usize,
    /// Creates that left later than any may.
    pub late_creates: usize,
    /// Words of a site's own that passed for somebody's.
    pub refilled: usize,
    /// Values carried over to a worklog that was there, by field.
    pub carried: BTreeMap<Field, usize>,
    /// How many of those were none: no attribute, no billable time.
    pub emptied: BTreeMap<Field, usize>,
    /// Awaits of all processes.
    pub points: u64,
    /// The log.
    pub log: Log,
}

const SWEEP: Duration = Duration::from_secs(300);
/// The longest backoff, `retry_max`, with what its spread adds.
const BACKOFF: Duration = Duration::from_secs(130);
/// What a webhook's settling and a run add to it.
const SETTLED: Duration = Duration::from_secs(50);
/// Three backoffs, one after the other, and a due pass after each: a refusal, a look at what came of it, and its result.
const RESTED: Duration = Duration::from_secs(540);
/// How many of the lives with a purge begin with hundreds of worklogs.
const STOCKED: f64 = 0.03;
/// How many lives have an audit in the storm.
const AUDITED: f64 = 0.3;
/// How many lives have a cause that outlasts the storm.
const LASTING: f64 = 0.25;
/// How many lives have three sites in a chain.
const CHAINED: f64 = 0.15;
/// How many lives have sites whose audit trail does not tell all.
const UNTOLD: f64 = 0.3;
/// How many lives have sites that put few worklogs on a page.
const PAGED: f64 = 0.2;
/// How many lives have a site with words of its own, and how many of these are known.
const OTHER_WORDS: f64 = 0.1;
const WORDS: u64 = 600;
/// How many lives have a site without start times, one that puts words of its own where a worklog has no text, and people
/// who leave the text out elsewhere.
const TIMELESS: f64 = 0.25;
const DEFAULT_TEXT: f64 = 0.25;
const TEXTLESS: f64 = 0.25;
const MINUTE: Duration = Duration::from_secs(60);

impl Plan {
    /// Draws a plan.
    pub fn draw(seed: u64, allowed: &Allowed) -> Self {
        let mut chance = Chance::new(seed, "plan");
        let ring = chance.yes(0.15) && allowed.has(Fault::Ring);
        // Drawn apart, so that a life without it is the life that it was before there was such a thing.
        let chain = !ring && allowed.has(Fault::Chain) && Chance::new(seed, "chain").yes(CHAINED);
        let sites: Vec<String> = ["acme", "globex", "initech"]
            .iter()
            .take(if ring || chain { 3 } else { 2 })
            .map(|site| (*site).to_owned())
            .collect();
        let acts = chance.between(4, 24);
        let conflicts: &[&'static str] = if ring {
            &["newest"]
        } else {
            &["newest", "newest", "a", "b", "park"]
        };
        let conflict = chance.pick(conflicts).copied().unwrap_or("newest");
        let delete_vs_edit = match !ring && chance.yes(0.2) {
            true => "delete",
            false => "edit",
        };
        let eve = match chance.between(0, 9) {
            0..=6 => Eve::Mapped,
            7 | 8 if allowed.has(Fault::Publish) => Eve::Later,
            _ if allowed.has(Fault::Robot) && Chance::new(seed, "robot").yes(0.6) => Eve::Robot,
            _ => Eve::Never,
        };
        let happenings = [
            Fault::BrokenListing,
            Fault::Permission,
            Fault::Token,
            Fault::Period,
            Fault::BulkBusy,
            Fault::Publish,
            Fault::Purge,
            Fault::IssueMoved,
        ];
        let mut events = Vec::new();
        for fault in happenings {
            if allowed.has(fault) && chance.yes(0.25) {
                events.push((chance.between(1, acts), fault));
            }
        }
        let purge = events.iter().any(|(_, fault)| *fault == Fault::Purge);
        // Seldom: such a life takes as long as a hundred others.
        let mut stocks = Chance::new(seed, "stock");
        let stock = match purge && stocks.yes(STOCKED) {
            true => stocks.between(150, 400),
            false => 0,
        };
        let webhooks = match chance.between(0, 9) {
            0 => [true, false],
            1 => [false, true],
            2 => [false, false],
            _ => [true, true],
        };
        let mut audits = Chance::new(seed, "audits");
        let audit = (allowed.has(Fault::AuditInStorm) && audits.yes(AUDITED))
            .then(|| Duration::from_secs(audits.between(60, 900)));
        let mut lasts = Chance::new(seed, "lasting cause");
        let lasting = (!ring && allowed.has(Fault::LastingCause) && lasts.yes(LASTING)).then(|| match lasts
            .between(0, 5)
        {
            0 => Lasting::Permission(Permission::EditAll),
            1 => Lasting::Permission(Permission::ViewAll),
            2 => Lasting::Permission(Permission::DeleteAll),
            3 => Lasting::Token,
            _ => Lasting::Period,
        });
        let mut trail = Chance::new(seed, "audit trail");
        let is_untold = allowed.has(Fault::ClosedTrail) && trail.yes(UNTOLD);
        let trails = [Trail::Open, Trail::OfTempo, Trail::Closed, Trail::Closed];
        let trails = sites.iter().map(|_| match is_untold {
            true => trail.pick(&trails).copied().unwrap_or(Trail::Closed),
            false => Trail::Open,
        });
        let mut pages = Chance::new(seed, "pages");
        let page = match allowed.has(Fault::SmallPages) && stock == 0 && pages.yes(PAGED) {
            true => pages.between(1, 4) as usize,
            false => 5000,
        };
        // Of three sites, what crosses the one in the middle would not be told beyond it.
        let is_one = |fault, purpose: &str, often| {
            let mut chance = Chance::new(seed, purpose);
            let is_drawn = allowed.has(fault) && sites.len() == 2 && chance.yes(often);
            chance.pick(&sites).cloned().filter(|_| is_drawn)
        };
        let timeless = is_one(Fault::Timeless, "timeless", TIMELESS);
        let default_text = is_one(Fault::DefaultText, "default text", DEFAULT_TEXT);
        let textless = allowed.has(Fault::NoText)
            && (default_text.is_some() || Chance::new(seed, "textless").yes(TEXTLESS));
        Self {
            seed,
            timeless,
            default_text,
            textless,
            page,
            other_words: allowed.has(Fault::OtherWords)
                && stock == 0
                && Chance::new(seed, "other words").yes(OTHER_WORDS),
            audit,
            lasting,
            trails: trails.collect(),
            sites,
            ring,
            links: chance.between(1, 3) as usize,
            acts,
            pause: *chance.pick(&[2, 10, 40, 90]).unwrap_or(&10),
            conflict,
            delete_vs_edit,
            eve,
            mass_delete: if purge { 3 } else { 200 },
            stock,
            weather: Weather::draw(&mut chance, allowed),
            events,
            webhooks,
        }
    }

    /// What a site's audit trail tells.
    pub(crate) fn trail(&self, site: &str) -> Trail {
        let number = self.sites.iter().position(|one| one == site);
        number.map_or(Trail::Open, |number| self.trails[number])
    }

    /// The site that has words of its own.
    pub(crate) fn has_other_words(&self) -> Option<String> {
        self.sites.get(1).filter(|_| self.other_words).cloned()
    }

    /// The values of the shared attribute, where two sites call them differently.
    fn values(&self, a: &str, b: &str) -> String {
        let of = |site: &str, number: u64| match self.has_other_words().as_deref() == Some(site) {
            true => format!("\"{OTHER_WORD}{number}\""),
            false => format!("\"{WORD}{number}\""),
        };
        if of(a, 0) == of(b, 0) {
            return String::new();
        }
        let pairs = (0..WORDS).map(|number| format!("[{}, {}]", of(a, number), of(b, number)));
        format!(", values = [{}]", pairs.collect::<Vec<_>>().join(", "))
    }

    pub(crate) fn connections(&self) -> Vec<(&str, &str)> {
        match self.sites.as_slice() {
            [a, b] => vec![(a, b)],
            [a, b, c] if self.ring => vec![(a, b), (b, c), (c, a)],
            [a, b, c] => vec![(a, b), (b, c)],
            _ => Vec::new(),
        }
    }

    /// Writes the configuration.
    fn config(&self, eve_is_mapped: bool, version: u64) -> String {
        let mut text = String::from(
            "[engine]\nsweep = \"5m\"\nretry_max = \"2m\"\npark_retry = \"2m\"\ncreate_grace = \"30s\"\n",
        );
        // Something that changes, and changes nothing.
        text.push_str(&format!("history = \"{}d\"\n", 400 + version));
        for site in &self.sites {
            text.push_str(&format!(
                "[sites.{site}]\njira = \"http://127.0.0.1:1/jira/{site}\"\ntempo = \"http://127.0.0.1:1/tempo\"\n\
                 secret = \"env:{}\"\n",
                site.to_uppercase()
            ));
        }
        for (a, b) in self.connections() {
            let table: Vec<String> = (1..=self.links)
                .map(|n| format!("[\"{}-{n}\", \"{}-{n}\"]", project(a), project(b)))
                .collect();
            let authors = match eve_is_mapped {
                true => format!("[[\"eve-{a}\", \"eve-{b}\"]]"),
                false => "[]".to_owned(),
            };
            let unknown = match self.eve {
                Eve::Robot => format!("account:{ROBOT}"),
                _ => "park".to_owned(),
            };
            let values = self.values(a, b);
            text.push_str(&format!(
                "[[connections]]\nname = \"{a}-{b}\"\na = \"{a}\"\nb = \"{b}\"\nsince = \"2026-01-01\"\n\
                 [connections.links]\nfrom = [\"table\"]\ntable = [{}]\n\
                 [connections.authors]\nmap = {authors}\nunknown = \"{unknown}\"\n\
                 [connections.attributes]\nmap = [{{ a = \"{SHARED}\", b = \"{SHARED}\"{values} }}]\n\
                 [connections.policy]\nconflict = \"{}\"\ndelete_vs_edit = \"{}\"\n\
                 mass_delete = {{ max = {}, within = \"12h\" }}\n",
                table.join(", "),
                self.conflict,
                self.delete_vs_edit,
                self.mass_delete,
            ));
        }
        text
    }

    fn site(&self, name: &str) -> SiteSpec {
        let key = project(name);
        let mut spec = SiteSpec::new(name)
            .user(UserSpec::new("ann", "Ann Archer"))
            .user(UserSpec::new("bob", "Bob Baker"))
            .user(UserSpec::new(format!("eve-{name}"), "Eve Moor"))
            .user(UserSpec::new(ROBOT, "Robot"))
            .user(UserSpec::new("kim", "Kim Novak"))
            .user(UserSpec::new("lee", "Lee Stone"))
            .user(UserSpec::new("mia", "Mia Wood"))
            .project(ProjectSpec::new(key))
            .project(ProjectSpec::new(format!("NEW{key}")))
            .attribute(AttributeSpec::new(SHARED, "Shared", AttributeKind::InputField))
            .attribute(AttributeSpec::new(OWN, "Own", AttributeKind::InputField))
            // One more issue that has no twin.
            .issues(key, self.links + 1);
        spec.page_max = self.page;
        if self.timeless.as_deref() == Some(name) {
            spec.configuration.start_times_enabled = false;
            spec.default_start_time = SHOWN_TIME;
        }
        if self.default_text.as_deref() == Some(name) {
            spec.default_text = Some(FILLED_IN.to_owned());
        }
        spec.papertrail = self.trail(name) != Trail::Closed;
        spec.papertrail_tells_of_jira_deletes = self.trail(name) != Trail::OfTempo;
        spec.service.jira_token = format!("jira-{name}-{PLANTED}");
        let [tempo, jira] = self.webhooks;
        if tempo {
            let url = format!("http://127.0.0.1:2/hooks/tempo/{name}");
            spec = spec.tempo_webhooks(&url, &format!("tempo-hook-{PLANTED}"));
        }
        if jira {
            let url = format!("http://127.0.0.1:2/hooks/jira/{name}");
            spec = spec.jira_webhook(&url, &format!("jira-hook-{PLANTED}"));
        }
        spec
    }
}

/// A sandbox: a process and what it keeps between two invocations.
struct Sandbox {
    process: Arc<Process>,
    published: Arc<Published>,
}

/// What runs Tandem, as Lambda does: sandboxes that are kept, thrown away and made anew.
struct Lambda {
    world: Arc<World>,
    idle: Mutex<Vec<Sandbox>>,
    lives: Mutex<u64>,
    deaths: Mutex<u64>,
}

impl Lambda {
    fn sandbox(&self) -> Sandbox {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(sandbox) = idle.pop() {
            if !sandbox.process.is_dead() {
                return sandbox;
            }
        }
        drop(idle);
        let number = {
            let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
            *lives += 1;
            *lives
        };
        let process = Process::new(&self.world, format!("p{number}"));
        let published = Published::new(
            Arc::new(Table(Arc::clone(&process))),
            self.world.secrets(),
            Arc::new(Network(Arc::clone(&process))),
            Arc::clone(&process) as Arc<dyn tandem_engine::ports::Clock>,
            ConfigEnv { allow_loopback: true },
        )
        .named(process.name.clone());
        Sandbox {
            process,
            published: Arc::new(published),
        }
    }

    /// Runs one invocation in a sandbox. `None` when it died in it, or there was no configuration.
    async fn invoke<T>(&self, work: impl AsyncFnOnce(Arc<Tandem>, &Process) -> T) -> Option<T> {
        let sandbox = self.sandbox();
        let lived = sandbox
            .process
            .live(async {
                match sandbox.published.current().await {
                    Ok(tandem) => Some(work(tandem, &sandbox.process).await),
                    Err(error) => {
                        self.world
                            .suspect("a secret in an error", &format!("{error} {error:?}"));
                        None
                    }
                }
            })
            .await;
        match lived {
            Some(done) => {
                self.idle
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(sandbox);
                done
            }
            None => {
                *self.deaths.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                None
            }
        }
    }

    async fn deliver(&self, delivery: Delivery) -> (Option<u16>, Vec<u8>) {
        let sandbox = self.sandbox();
        let router = router(Arc::clone(&sandbox.published) as Arc<dyn tandem_runtime::router::Current>);
        let Ok(url) = delivery.url.parse::<http::Uri>() else {
            return (None, Vec::new());
        };
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::builder().method(delivery.method).uri(path);
        for (name, value) in &delivery.headers {
            request = request.header(name, value);
        }
        let Ok(request) = request.body(Body::from(delivery.body)) else {
            return (None, Vec::new());
        };
        let answered = sandbox
            .process
            .live(async {
                let response = match router.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                let status = response.status().as_u16();
                let body = response.into_body().collect().await;
                (
                    Some(status),
                    body.map(|body| body.to_bytes().to_vec()).unwrap_or_default(),
                )
            })
            .await;
        match answered {
            Some(answered) => {
                self.idle
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(sandbox);
                answered
            }
            None => {
                *self.deaths.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                (None, Vec::new())
            }
        }
    }

    async fn pass(&self, pass: Pass, timeout: Duration) {
        self.world.log(|| format!("schedule: {pass:?}"));
        let done = self
            .invoke(async |tandem, process| {
                let deadline = tandem_engine::ports::Clock::now(process) + timeout;
                pass::run(&tandem.engine, pass, deadline).await
            })
            .await;
        let done = format!("{done:?}");
        self.world.suspect("a secret in an error", &done);
        self.world.log(|| format!("schedule: {pass:?} ends: {done}"));
    }
}

/// Delivers webhooks, as soon as they are due.
async fn deliver(world: Arc<World>, lambda: Arc<Lambda>) {
    loop {
        for delivery in world.sim.take_deliveries(world.now()) {
            world.watch();
            let (world, lambda) = (Arc::clone(&world), Arc::clone(&lambda));
            tokio::task::spawn_local(async move {
                let id = delivery.id;
                let what = format!("{} {} {:?}", delivery.site, delivery.event, delivery.kind);
                let is_forged = delivery.kind == DeliveryKind::Forged;
                let (status, body) = lambda.deliver(delivery).await;
                world.log(|| format!("webhook {what}: {status:?}"));
                world.suspect("a secret in an answer", &String::from_utf8_lossy(&body));
                if status == Some(202) {
                    world.hints();
                }
                if is_forged && status.is_some_and(|status| status < 400) {
                    let at = world.now();
                    world.observer().broken.push(Broken {
                        at,
                        rule: "a forged webhook is taken",
                        what: what.clone(),
                    });
                }
                world.sim.delivered_with_body(id, status, &body);
            });
        }
        let next = world.sim.next_delivery_at();
        let wait = next.map_or(Duration::from_secs(3600), |at| {
            Duration::try_from(at.duration_since(world.now())).unwrap_or_default()
        });
        tokio::select! {
            biased;
            () = world.stir() => {}
            () = tokio::time::sleep(wait.max(Duration::from_millis(1))) => {}
        }
    }
}

/// Wakes the worker for what the stream shows.
async fn stream(world: Arc<World>, lambda: Arc<Lambda>) {
    loop {
        let woken: BTreeSet<_> = std::mem::take(&mut world.rows().woken).into_iter().collect();
        for key in woken {
            let copies = world.draw(|chance, weather| {
                if chance.yes(weather.stream_lost) {
                    0
                } else if chance.yes(weather.stream_doubled) {
                    2
                } else {
                    1
                }
            });
            for _ in 0..copies {
                let delay = world.draw(|chance, _| chance.span(Duration::from_millis(700)));
                let (lambda, key) = (Arc::clone(&lambda), key.clone());
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(delay).await;
                    let woken = lambda
                        .invoke(async |tandem, process| {
                            let deadline =
                                tandem_engine::ports::Clock::now(process) + Duration::from_secs(120);
                            wake(&tandem.engine, BTreeSet::from([key]), deadline).await
                        })
                        .await;
                    lambda
                        .world
                        .suspect("a secret in an error", &format!("{woken:?}"));
                });
            }
        }
        world.stir().await;
    }
}

/// Runs a pass on its schedule.
async fn schedule(world: Arc<World>, lambda: Arc<Lambda>, pass: Pass, every: Duration, timeout: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let (skipped, twice) = world.draw(|chance, weather| {
            (
                chance.yes(weather.schedule_skipped),
                chance.yes(weather.schedule_overlap),
            )
        });
        if skipped {
            continue;
        }
        for _ in 0..1 + usize::from(twice) {
            let lambda = Arc::clone(&lambda);
            tokio::task::spawn_local(async move { lambda.pass(pass, timeout).await });
        }
    }
}

struct Tasks(Vec<tokio::task::JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// What befalls the sites, beyond single requests.
struct Fate {
    chance: Chance,
    /// What is to be undone, and when.
    undo: Vec<(Timestamp, Fault, String)>,
    published: u64,
    tokens: u64,
}

impl Fate {
    fn befall(&mut self, world: &World, plan: &Plan, fault: Fault) {
        let Some(site) = self.chance.pick(&plan.sites).cloned() else {
            return;
        };
        let handle = world.sim.site(&site);
        let issue = format!("{}-{}", project(&site), self.chance.between(1, plan.links as u64));
        world.log(|| format!("fate: {} on {site}", fault.name()));
        match fault {
            Fault::BrokenListing => {
                let status = *self.chance.pick(&[500, 502, 503, 404]).unwrap_or(&500);
                handle.break_listing(&issue, status);
            }
            Fault::Permission => match self.chance.between(0, 3) {
                0 => handle.lose_permissions(),
                1 => handle.set_permission(None, Permission::ViewAll, false),
                2 => handle.set_permission(None, Permission::EditAll, false),
                _ => handle.set_permission(None, Permission::Browse, false),
            },
            Fault::Token => handle.expire_tempo_tokens(),
            Fault::Period => {
                let from = Date::constant(2026, 1, 20) + SignedDuration::from_hours(24 * 10);
                handle.close_period(from, from + SignedDuration::from_hours(24 * 15));
            }
            Fault::BulkBusy => handle.set_bulk_busy(&issue, true),
            Fault::Publish => {
                self.published += 1;
                let text = plan.config(matches!(plan.eve, Eve::Mapped | Eve::Later), self.published);
                world.rows().put_config(&text, world.now());
                return;
            }
            Fault::Purge => {
                let before = Date::constant(2026, 1, 20) + SignedDuration::from_hours(24 * 30);
                let gone = handle.retention_purge(before);
                world.log(|| format!("fate: {gone} worklogs purged"));
                return;
            }
            Fault::IssueMoved => {
                drop(handle.jira_move_issue("ann", &issue, &format!("NEW{}", project(&site))));
                return;
            }
            _ => return,
        }
        let lasts = SignedDuration::from_secs(self.chance.between(5, 600) as i64);
        self.undo.push((world.now() + lasts, fault, site));
    }

    fn mend(&mut self, world: &World, all: bool) {
        let now = world.now();
        let (over, rest) = std::mem::take(&mut self.undo)
            .into_iter()
            .partition(|(at, ..)| all || *at <= now);
        self.undo = rest;
        for (_, fault, site) in over {
            world.log(|| format!("fate: {} on {site} is over", fault.name()));
            let handle = world.sim.site(&site);
            match fault {
                Fault::BrokenListing => handle.mend_listings(),
                Fault::Permission => handle.restore_permissions(),
                Fault::Token => {
                    self.tokens += 1;
                    world.renew_token(&site, self.tokens);
                }
                Fault::Period => handle.open_periods(),
                Fault::BulkBusy => {
                    for issue in 1..=3 {
                        let key = format!("{}-{issue}", project(&site));
                        if handle.worklogs_of(&key).is_empty() && issue > 1 {
                            continue;
                        }
                        handle.set_bulk_busy(&key, false);
                    }
                }
                _ => {}
            }
        }
    }
}

/// Runs one seed.
///
/// # Panics
/// When no runtime can be made: the machine is out of something.
pub fn run(seed: u64, allowed: &Allowed, log: Log) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O can be made");
    let plan = Plan::draw(seed, allowed);
    let lines = Lines::new();
    let life = live(&plan, allowed, log);
    let mut outcome = lines.read(|| tokio::task::LocalSet::new().block_on(&runtime, life));
    outcome.broken.extend(lines.kept().into_iter().map(|what| Broken {
        at: Timestamp::default(),
        rule: "a secret in a log line",
        what,
    }));
    outcome
}

async fn live(plan: &Plan, allowed: &Allowed, log: Log) -> Outcome {
    let world = Arc::new(World::new(plan.seed, allowed.clone(), log));
    world.log(|| format!("{plan:?}"));
    let mut setting = Setting {
        lag: SignedDuration::try_from(plan.weather.sites.listing_lag.update).unwrap_or_default(),
        other_words: plan.has_other_words(),
        timeless: plan.timeless.clone(),
        default_text: plan.default_text.clone(),
        ..Setting::default()
    };
    for name in &plan.sites {
        let handle = world.sim.add_site(plan.site(name));
        world.renew_token(name, 0);
        for link in 1..=plan.links {
            let issue = handle.issue_id(&format!("{}-{link}", project(name)));
            setting.links.insert((name.clone(), issue), link);
        }
        for person in EVERYBODY {
            let account = People::account(person, name);
            setting.people.insert((name.clone(), account), person.to_owned());
        }
    }
    *world.observer() = crate::observer::Observer::new(setting);
    world.sim.keep_journal();
    world
        .rows()
        .put_config(&plan.config(plan.eve == Eve::Mapped, 0), world.now());
    let lambda = Arc::new(Lambda {
        world: Arc::clone(&world),
        idle: Mutex::default(),
        lives: Mutex::default(),
        deaths: Mutex::default(),
    });
    // The first pass makes the links; from then on it storms.
    lambda.pass(Pass::Sweep, Duration::from_secs(300)).await;
    world.set_weather(plan.weather.clone());
    world.sim.faults(|faults| *faults = plan.weather.sites.clone());
    let mut tasks = Tasks(vec![
        tokio::task::spawn_local(deliver(Arc::clone(&world), Arc::clone(&lambda))),
        tokio::task::spawn_local(stream(Arc::clone(&world), Arc::clone(&lambda))),
        tokio::task::spawn_local(schedule(
            Arc::clone(&world),
            Arc::clone(&lambda),
            Pass::Due,
            MINUTE,
            Duration::from_secs(300),
        )),
    ]);
    let sweeps = tokio::task::spawn_local(schedule(
        Arc::clone(&world),
        Arc::clone(&lambda),
        Pass::Sweep,
        SWEEP,
        Duration::from_secs(300),
    ));
    let audits = plan.audit.map(|every| {
        let (world, lambda) = (Arc::clone(&world), Arc::clone(&lambda));
        tokio::task::spawn_local(schedule(
            world,
            lambda,
            Pass::Audit,
            every,
            Duration::from_secs(900),
        ))
    });
    let mut people = storm(&world, plan).await;
    calm(&world);
    sweeps.abort();
    if let Some(audits) = audits {
        audits.abort();
    }
    if let Some(lasting) = plan.lasting {
        outlast(&world, plan, lasting, &mut people, &lambda).await;
    }
    come_to_rest(&lambda).await;
    let untold = untold(&world, plan);
    if !untold.is_empty() {
        vouch(&world, &lambda, untold).await;
        tokio::time::sleep(Duration::from_secs(400)).await;
    }
    let held = held_back(&world);
    if !held.is_empty() {
        braked(&world, plan, &held);
        release(&world, &lambda).await;
        tokio::time::sleep(Duration::from_secs(400)).await;
    }
    world.watch();
    // What is broken already says nothing about the rest.
    if world.observer().broken.is_empty() {
        reckon(&world, plan);
    }
    if world.observer().broken.is_empty() {
        // What comes hours late changes nothing any more.
        let before = all_worklogs(&world, plan);
        tokio::time::sleep(Duration::from_secs(2 * 3600 + 600)).await;
        world.watch();
        if before != all_worklogs(&world, plan) {
            let at = world.now();
            world.observer().broken.push(Broken {
                at,
                rule: "a change without a cause",
                what: "late webhooks changed something after all was said".into(),
            });
        }
        reckon(&world, plan);
    }
    tasks.0.push(sweeps);
    drop(tasks);
    leaks(&world);
    heard(&world);
    let deaths = *lambda.deaths.lock().unwrap_or_else(PoisonError::into_inner);
    let observer = world.observer().clone();
    Outcome {
        seed: plan.seed,
        broken: observer.broken,
        requests: world.requests(),
        acts: observer.acts,
        written: observer.written,
        deaths,
        raced: observer.raced,
        unheard: observer.unheard,
        late_creates: observer.late_creates,
        refilled: observer.refilled,
        carried: observer.carried,
        emptied: observer.emptied,
        points: world.points(),
        log: world.take_log(),
    }
}

/// What the liveness promise allows: one sweep, one audit, and the time that the longest backoff takes after each.
async fn come_to_rest(lambda: &Lambda) {
    tokio::time::sleep(BACKOFF).await;
    lambda.pass(Pass::Sweep, Duration::from_secs(300)).await;
    tokio::time::sleep(BACKOFF + SETTLED).await;
    lambda.pass(Pass::Audit, Duration::from_secs(900)).await;
    tokio::time::sleep(RESTED).await;
}

/// People go on while something stands in Tandem's way on one site: whatever waits then, waits for that, and is said to.
/// Then the cause is taken away.
async fn outlast(world: &World, plan: &Plan, lasting: Lasting, people: &mut People, lambda: &Lambda) {
    let mut chance = Chance::new(plan.seed, "lasting site");
    let Some(site) = chance.pick(&plan.sites).cloned() else {
        return;
    };
    let begun = world.now();
    world.log(|| format!("{lasting:?} lasts on {site}"));
    let handle = world.sim.site(&site);
    match lasting {
        Lasting::Permission(permission) => handle.set_permission(None, permission, false),
        Lasting::Period => {
            let from = Date::constant(2026, 1, 20);
            handle.close_period(from, from + SignedDuration::from_hours(24 * 60));
        }
        Lasting::Token => handle.expire_tempo_tokens(),
    }
    for _ in 0..4 {
        people.act(world);
        tokio::time::sleep(Duration::from_secs(chance.between(1, 60))).await;
    }
    come_to_rest(lambda).await;
    world.watch();
    if world.observer().broken.is_empty() {
        for what in misnamed(world, plan, lasting, &site, begun) {
            let at = world.now();
            world.observer().broken.push(Broken {
                at,
                rule: "the queue gives the wrong reason",
                what,
            });
        }
        for what in unnamed(world, plan, lasting) {
            let at = world.now();
            world.observer().broken.push(Broken {
                at,
                rule: "something waits and is not in the queue",
                what,
            });
        }
    }
    match lasting {
        Lasting::Permission(_) => handle.restore_permissions(),
        Lasting::Period => handle.open_periods(),
        Lasting::Token => world.renew_token(&site, 1000),
    }
    world.log(|| format!("{lasting:?} is over on {site}"));
}

async fn storm(world: &World, plan: &Plan) -> People {
    let mut people = People::new(plan, world.allows(Fault::RareEdit));
    let mut fate = Fate {
        chance: Chance::new(plan.seed, "fate"),
        undo: Vec::new(),
        published: 0,
        tokens: 0,
    };
    let mut pauses = Chance::new(plan.seed, "pauses");
    for _ in 0..plan.stock {
        people.log(world);
    }
    for act in 1..=plan.acts {
        people.act(world);
        for (when, fault) in &plan.events {
            if *when == act {
                fate.befall(world, plan, *fault);
                world.watch();
                world.stirred();
            }
        }
        let pause = pauses.span(Duration::from_secs(plan.pause));
        tokio::time::sleep(pause).await;
        fate.mend(world, false);
    }
    // A last while of storm without anybody acting.
    tokio::time::sleep(pauses.span(Duration::from_secs(120))).await;
    fate.mend(world, true);
    if plan.eve == Eve::Later {
        world.rows().put_config(&plan.config(true, 99), world.now());
    }
    people
}

fn calm(world: &World) {
    world.log(|| "calm".into());
    world.set_weather(Weather::default());
    // Webhooks that are on their way stay on their way.
    world.sim.calm();
}

fn held_back(world: &World) -> Vec<Pair> {
    world
        .rows()
        .all_pairs()
        .filter(|pair| pair.state == PairState::Live)
        .filter(|pair| {
            pair.wait
                .as_ref()
                .is_some_and(|wait| wait.reason == Reason::MassDelete)
        })
        .cloned()
        .collect()
}

/// A person says that what nobody else can know of is deleted.
async fn vouch(world: &World, lambda: &Lambda, untold: Vec<(Pair, Side)>) {
    lambda
        .invoke(async |tandem, _| {
            for (pair, side) in &untold {
                let take = Decision::Take(*side);
                let done = tandem
                    .engine
                    .decide(&pair.link, &pair.id, take, "pat", None)
                    .await;
                world.log(|| format!("a person says that {} is deleted on {side}: {done:?}", pair.id));
            }
        })
        .await;
}

async fn release(world: &World, lambda: &Lambda) {
    world.log(|| "a person releases the deletes".into());
    lambda
        .invoke(async |tandem, _| {
            for connection in &tandem.engine.connections {
                let released = tandem.engine.release_mass_delete(connection).await;
                world.log(|| format!("released: {:?}", released.is_ok()));
            }
        })
        .await;
}

fn all_worklogs(world: &World, plan: &Plan) -> Vec<tandem_sim::Worklog> {
    plan.sites
        .iter()
        .flat_map(|site| world.sim.worklogs(site))
        .collect()
}
