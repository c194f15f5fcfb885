//! The handle on the simulated world.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::clock::SimClock;
use crate::delivery::Delivery;
use crate::fault::{Fault, Faults, Matcher};
use crate::handle::SiteHandle;
use crate::http::{Reply, router};
use crate::journal::{Journal, LedgerChange};
use crate::rate::RateCount;
use crate::site::Site;
use crate::spec::SiteSpec;
use crate::worklog::Worklog;
use crate::world::{RequestRecord, Violation, World};

/// A simulated world of Jira sites with Tempo; cheap to clone, all clones are the same world.
#[derive(Clone)]
pub struct Sim {
    world: Arc<Mutex<World>>,
    clock: Arc<dyn SimClock>,
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim")
            .field("sites", &self.site_names())
            .finish_non_exhaustive()
    }
}

/// The servers of a [`Sim::serve`]; they stop when this is dropped.
#[derive(Debug)]
pub struct Running {
    /// Tempo, for all sites.
    pub tempo_url: String,
    /// Jira, by site.
    pub jira_urls: BTreeMap<String, String>,
    /// The control API.
    pub control_url: String,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Sim {
    /// Makes a world without sites; everything left to chance is drawn from the seed.
    pub fn new(seed: u64, clock: Arc<dyn SimClock>) -> Self {
        Self {
            world: Arc::new(Mutex::new(World::new(seed))),
            clock,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        // A panic in a test that holds the lock should not hide behind poisoning in the next.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the present moment in this world.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Adds a site.
    ///
    /// # Panics
    /// When there is one of that name, or the description contradicts itself.
    pub fn add_site(&self, spec: SiteSpec) -> SiteHandle {
        let now = self.now();
        let name = spec.name.clone();
        let mut world = self.lock();
        assert!(!world.sites.contains_key(&name), "there already is a site {name}");
        let site = Site::new(spec, world.sites.len() as u64, world.seed, now);
        world.sites.insert(name.clone(), site);
        drop(world);
        self.site(&name)
    }

    /// Returns the handle on a site.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn site(&self, name: &str) -> SiteHandle {
        assert!(self.lock().sites.contains_key(name), "there is no site {name}");
        SiteHandle {
            sim: self.clone(),
            name: name.to_owned(),
        }
    }

    /// Returns the names of all sites.
    pub fn site_names(&self) -> Vec<String> {
        self.lock().sites.keys().cloned().collect()
    }

    /// Returns all Tempo worklogs of a site, by id.
    pub fn worklogs(&self, site: &str) -> Vec<Worklog> {
        self.site(site).worklogs()
    }

    /// Returns a Tempo worklog.
    pub fn worklog(&self, site: &str, id: u64) -> Option<Worklog> {
        self.site(site).worklog(id)
    }

    /// Changes what goes wrong by chance, on every site.
    pub fn faults(&self, change: impl Fn(&mut Faults)) {
        for site in self.lock().sites.values_mut() {
            change(&mut site.faults);
        }
    }

    /// Switches everything off that goes wrong by chance or by script, on every site.
    pub fn calm(&self) {
        for site in self.lock().sites.values_mut() {
            site.faults = Faults::default();
            site.scripted.clear();
            site.broken_listings.clear();
            site.bulk_busy.clear();
        }
    }

    /// Lets a fault hit the next request of a site that matches.
    pub fn fail_next(&self, site: &str, matcher: Matcher, fault: Fault) {
        self.site(site).fail_next(matcher, fault);
    }

    /// Returns all requests so far, in the order they came.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.lock().requests.clone()
    }

    /// Forgets the requests and the violations so far, and starts the rate counts anew.
    pub fn reset_requests(&self) {
        let mut world = self.lock();
        world.requests.clear();
        world.violations.clear();
        for site in world.sites.values_mut() {
            site.tempo_meter.count = RateCount::default();
            site.jira_meter.count = RateCount::default();
        }
    }

    /// Starts a journal of every change to a worklog in Tempo, on the sites that there are.
    pub fn keep_journal(&self) {
        let journal = Journal::default();
        for site in self.lock().sites.values_mut() {
            site.journal.get_or_insert_with(|| Arc::clone(&journal));
        }
    }

    /// Takes the changes since the last call, in the order they happened.
    pub fn take_journal(&self) -> Vec<LedgerChange> {
        let world = self.lock();
        let Some(journal) = world.sites.values().find_map(|site| site.journal.as_ref()) else {
            return Vec::new();
        };
        std::mem::take(&mut *journal.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns what clients got away with but should not do.
    pub fn violations(&self) -> Vec<Violation> {
        self.lock().violations.clone()
    }

    /// Takes the webhooks that are due; say for each how it went with [`Self::delivered`].
    pub fn take_deliveries(&self, now: Timestamp) -> Vec<Delivery> {
        let mut world = self.lock();
        world.settle(now);
        world
            .sites
            .iter_mut()
            .flat_map(|(name, site)| site.outbox.take_due(name, now))
            .collect()
    }

    /// Says how a delivery was answered; `None` is a refused connection or a time-out.
    pub fn delivered(&self, id: u64, status: Option<u16>) {
        self.delivered_with_body(id, status, b"");
    }

    /// The same with the answer's body, by which a handshake is judged.
    pub fn delivered_with_body(&self, id: u64, status: Option<u16>, body: &[u8]) {
        let now = self.now();
        for site in self.lock().sites.values_mut() {
            site.outbox.answered(now, id, status, body);
        }
    }

    /// Returns when the next webhook is due, or the next moment at which Tempo looks at Jira.
    pub fn next_delivery_at(&self) -> Option<Timestamp> {
        let world = self.lock();
        let sites = world.sites.values();
        sites
            .flat_map(|site| [site.outbox.next_due(), site.pending.first().map(|p| p.due)])
            .flatten()
            .min()
    }

    /// Returns how many webhooks are queued or under way.
    pub fn deliveries_pending(&self) -> usize {
        self.lock().sites.values().map(|site| site.outbox.queued()).sum()
    }

    /// Throws away all webhooks that are queued or under way; returns how many.
    pub fn drop_deliveries(&self) -> usize {
        self.lock()
            .sites
            .values_mut()
            .map(|site| site.outbox.drop_queue())
            .sum()
    }

    /// Returns Tempo for all sites: the token says which.
    pub fn tempo_router(&self) -> axum::Router {
        let sim = self.clone();
        router(move |request| sim.lock().tempo(sim.now(), request))
    }

    /// Returns the Jira of one site.
    pub fn jira_router(&self, site: &str) -> axum::Router {
        let (sim, site) = (self.clone(), site.to_owned());
        router(move |request| sim.lock().jira(sim.now(), &site, request))
    }

    /// Returns everything behind one address: `/tempo/…`, `/jira/SITE/…` and `/control/…`.
    pub fn router(&self) -> axum::Router {
        let sim = self.clone();
        router(move |request| {
            let segments = request.segments();
            match segments.first().map(String::as_str) {
                Some("tempo") => sim.lock().tempo(sim.now(), &request.below(1)),
                Some("jira") if segments.len() > 1 => {
                    sim.lock().jira(sim.now(), &segments[1], &request.below(2))
                }
                Some("control") => crate::control::answer(&sim, &request.below(1)),
                _ => Reply::text(404, "try /tempo, /jira/SITE or /control\n"),
            }
        })
    }

    /// Returns the API by which a person can act in a running demo.
    pub fn control_router(&self) -> axum::Router {
        let sim = self.clone();
        router(move |request| crate::control::answer(&sim, request))
    }

    /// Serves every router on a loopback port of its own, and lets Jira give that address as its own.
    pub async fn serve(&self) -> std::io::Result<Running> {
        let mut tasks = Vec::new();
        let tempo_url = listen(self.tempo_router(), &mut tasks).await?;
        let control_url = listen(self.control_router(), &mut tasks).await?;
        let mut jira_urls = BTreeMap::new();
        for name in self.site_names() {
            let url = listen(self.jira_router(&name), &mut tasks).await?;
            self.site(&name).set_jira_base(&url);
            jira_urls.insert(name, url);
        }
        Ok(Running {
            tempo_url,
            jira_urls,
            control_url,
            tasks,
        })
    }
}

async fn listen(router: axum::Router, tasks: &mut Vec<JoinHandle<()>>) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tasks.push(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "A simulated server stopped");
        }
    }));
    Ok(url)
}
