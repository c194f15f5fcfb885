//! The handle on the simulated world.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::clock::SimClock;
use crate::fault::{Fault, Faults, Matcher, ScriptedFault, Vendor};
use crate::http::{Reply, router};
use crate::rate::RateCount;
use crate::site::Site;
use crate::spec::{IssueSpec, Permission, SiteSpec, TokenSpec, UserSpec};
use crate::webhook::Delivery;
use crate::worklog::{JiraWorklog, Worklog};
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
        self.world
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
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

/// One site of a [`Sim`].
#[derive(Debug, Clone)]
pub struct SiteHandle {
    sim: Sim,
    name: String,
}

impl SiteHandle {
    /// Does something to the site, at the present moment.
    pub(crate) fn act<T>(&self, act: impl FnOnce(&mut Site, Timestamp) -> T) -> T {
        let now = self.sim.now();
        let mut world = self.sim.lock();
        world.settle(now);
        act(
            world
                .sites
                .get_mut(&self.name)
                .expect("sites are never taken away"),
            now,
        )
    }

    /// Returns the site's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the world the site is in.
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// Returns all Tempo worklogs as they are now, by id.
    pub fn worklogs(&self) -> Vec<Worklog> {
        self.act(|site, _| {
            site.ledger
                .current()
                .map(|worklog| Worklog::clone(worklog))
                .collect()
        })
    }

    /// Returns a Tempo worklog as it is now.
    pub fn worklog(&self, id: u64) -> Option<Worklog> {
        self.act(|site, _| site.ledger.get(id).map(|worklog| Worklog::clone(worklog)))
    }

    /// Returns the Tempo worklogs of an issue as they are now, by id.
    pub fn worklogs_of(&self, issue: &str) -> Vec<Worklog> {
        self.act(|site, _| {
            let Some(issue) = site.find_issue(issue).map(|issue| issue.id) else {
                return Vec::new();
            };
            let ids = site.ledger.ids_of_issue(issue).into_iter();
            let found = ids
                .filter_map(|id| site.ledger.get(id))
                .filter(|worklog| worklog.issue == issue);
            found.map(|worklog| Worklog::clone(worklog)).collect()
        })
    }

    /// Returns all Jira worklogs as they are now, by id.
    pub fn jira_worklogs(&self) -> Vec<JiraWorklog> {
        self.act(|site, _| site.jira.all().cloned().collect())
    }

    /// Returns a Jira worklog as it is now.
    pub fn jira_worklog(&self, id: u64) -> Option<JiraWorklog> {
        self.act(|site, _| site.jira.get(id).cloned())
    }

    /// Returns Tempo's id of what is a worklog in Jira.
    pub fn tempo_id_of(&self, jira_id: u64) -> Option<u64> {
        self.act(|site, _| site.ledger.id_of_jira(jira_id))
    }

    /// Returns the id of an issue.
    ///
    /// # Panics
    /// When there is none of that key.
    pub fn issue_id(&self, key: &str) -> u64 {
        self.act(|site, _| site.find_issue(key).map(|issue| issue.id))
            .expect("there is an issue of that key")
    }

    /// Returns the key an issue has now.
    pub fn issue_key(&self, id: u64) -> Option<String> {
        self.act(|site, _| site.issues.get(&id).map(|issue| issue.key.clone()))
    }

    /// Returns an issue's remaining estimate.
    pub fn remaining_estimate(&self, issue: &str) -> Option<i64> {
        self.act(|site, _| site.find_issue(issue)?.remaining_secs)
    }

    /// Returns an issue's remote links as `(globalId, url)`.
    pub fn remote_links(&self, issue: &str) -> Vec<(Option<String>, String)> {
        self.act(|site, _| {
            let links = site
                .find_issue(issue)
                .map(|issue| issue.remote_links.clone())
                .unwrap_or_default();
            let url = |link: &crate::site::RemoteLink| {
                link.body
                    .pointer("/object/url")
                    .and_then(|url| url.as_str())
                    .unwrap_or_default()
                    .to_owned()
            };
            links
                .iter()
                .map(|link| (link.global_id.clone(), url(link)))
                .collect()
        })
    }

    /// Returns the service user's account id.
    pub fn service_account(&self) -> String {
        self.act(|site, _| site.service().to_owned())
    }

    /// Adds an issue, and its project when there is none; returns its id.
    pub fn add_issue(&self, issue: IssueSpec) -> u64 {
        self.act(|site, now| {
            let key = issue
                .key
                .rsplit_once('-')
                .map_or("", |(project, _)| project)
                .to_owned();
            if !site.projects.values().any(|project| project.key == key) {
                let id = crate::site::take(&mut site.ids.project);
                let permissions = Permission::ALL.into();
                site.projects.insert(
                    id,
                    crate::site::Project {
                        id,
                        key,
                        permissions,
                        workers: None,
                        next_number: 1,
                    },
                );
            }
            site.add_issue(now, issue)
        })
    }

    /// Sets a custom field of an issue.
    pub fn set_field(&self, issue: &str, field: &str, value: impl Into<serde_json::Value>) {
        let value = value.into();
        self.act(|site, now| {
            let id = site.find_issue(issue).map(|issue| issue.id);
            if let Some(issue) = id.and_then(|id| site.issues.get_mut(&id)) {
                issue.fields.insert(field.to_owned(), value);
                issue.updated = now;
            }
        });
    }

    /// Adds a person, or replaces who has the account id.
    pub fn put_user(&self, user: UserSpec) {
        self.act(|site, _| {
            if user.account_id == site.spec.service.user.account_id {
                site.spec.service.user = user.clone();
            }
            site.users.insert(user.account_id.clone(), user);
        });
    }

    /// Changes the site's description: rules, attributes, accounts, closed periods, audit trail, lags, tokens.
    ///
    /// Users, projects, issues and webhooks are read from it only when the site is made.
    pub fn configure(&self, change: impl FnOnce(&mut SiteSpec)) {
        self.act(|site, _| {
            change(&mut site.spec);
            site.tempo_meter.rule = site.spec.tempo_rate;
            site.jira_meter.rule = site.spec.jira_rate;
        });
    }

    /// Closes a period, both ends included.
    pub fn close_period(&self, from: Date, to: Date) {
        self.configure(|spec| spec.closed_periods.push((from, to)));
    }

    /// Opens all periods.
    pub fn open_periods(&self) {
        self.configure(|spec| spec.closed_periods.clear());
    }

    /// Gives or takes one permission of the service user; `project` is a key, or `None` for all.
    pub fn set_permission(&self, project: Option<&str>, permission: Permission, given: bool) {
        self.act(|site, _| {
            for found in site
                .projects
                .values_mut()
                .filter(|p| project.is_none_or(|key| p.key == key))
            {
                if given {
                    found.permissions.insert(permission);
                } else {
                    found.permissions.remove(&permission);
                }
            }
        });
    }

    /// Takes away what lets the service user see and change other people's time.
    ///
    /// Lists then silently show only its own worklogs.
    pub fn lose_permissions(&self) {
        for permission in [
            Permission::EditAll,
            Permission::DeleteAll,
            Permission::ViewAll,
            Permission::LogForOthers,
        ] {
            self.set_permission(None, permission, false);
        }
    }

    /// Gives the service user every permission.
    pub fn restore_permissions(&self) {
        for permission in Permission::ALL {
            self.set_permission(None, permission, true);
        }
    }

    /// Says who may log time in a project; `None` is everybody.
    pub fn set_workers(&self, project: &str, workers: Option<BTreeSet<String>>) {
        self.act(|site, _| {
            if let Some(found) = site.projects.values_mut().find(|found| found.key == project) {
                found.workers = workers;
            }
        });
    }

    /// Lets all Tempo tokens expire now.
    pub fn expire_tempo_tokens(&self) {
        let now = self.sim.now();
        self.configure(|spec| {
            spec.service
                .tempo_tokens
                .iter_mut()
                .for_each(|token| token.expires = Some(now))
        });
    }

    /// Makes a new Tempo token the only one.
    pub fn replace_tempo_token(&self, token: &str) {
        self.configure(|spec| {
            spec.service.tempo_tokens = vec![TokenSpec {
                token: token.to_owned(),
                scopes: None,
                expires: None,
            }];
        });
    }

    /// Makes a new Jira token the only one.
    pub fn replace_jira_token(&self, token: &str) {
        self.configure(|spec| spec.service.jira_token = token.to_owned());
    }

    /// Changes what goes wrong by chance on this site.
    pub fn faults(&self, change: impl FnOnce(&mut Faults)) {
        self.act(|site, _| change(&mut site.faults));
    }

    /// Lets a fault hit the next request that matches.
    pub fn fail_next(&self, matcher: Matcher, fault: Fault) {
        self.act(|site, _| site.scripted.push(ScriptedFault { matcher, fault }));
    }

    /// Lets Tempo's listing of one issue fail with this status, until [`Self::mend_listings`].
    pub fn break_listing(&self, issue: &str, status: u16) {
        let id = self.issue_id(issue);
        self.act(|site, _| site.broken_listings.insert(id, status));
    }

    /// Lets all listings work again.
    pub fn mend_listings(&self) {
        self.act(|site, _| site.broken_listings.clear());
    }

    /// Says whether somebody else's bulk action is in progress on an issue.
    pub fn set_bulk_busy(&self, issue: &str, busy: bool) {
        let id = self.issue_id(issue);
        self.act(|site, _| {
            if busy {
                site.bulk_busy.insert(id)
            } else {
                site.bulk_busy.remove(&id)
            }
        });
    }

    /// Queues a webhook somebody made up: well-formed, but signed with a secret of their own.
    pub fn forge_webhook(&self, vendor: Vendor, event: &str, worklog: u64, issue: u64, url: &str) {
        self.act(|site, now| site.forge(now, vendor, event, worklog, issue, url));
    }

    /// Adds verified Tempo subscriptions for the three worklog events.
    pub fn add_tempo_webhooks(&self, url: &str, secret: &str) {
        let spec = SiteSpec::new("").tempo_webhooks(url, secret);
        self.act(|site, now| {
            for subscription in spec.subscriptions {
                let id = site.id_dice.uuid();
                site.outbox.subscribe_verified(now, id, subscription);
            }
        });
    }

    /// Adds a Jira admin webhook for the worklog events and for issues that change or go.
    pub fn add_jira_webhook(&self, url: &str, secret: &str) {
        let spec = SiteSpec::new("").jira_webhook(url, secret);
        self.act(|site, _| {
            for webhook in spec.jira_webhooks {
                let id = crate::site::take(&mut site.ids.webhook);
                site.outbox.register(id, "added", webhook);
            }
        });
    }

    /// Returns the Tempo subscriptions as `(event, url, active)`.
    pub fn subscriptions(&self) -> Vec<(String, String, bool)> {
        self.act(|site, _| {
            let all = site
                .outbox
                .subscription_order
                .iter()
                .filter_map(|id| site.outbox.subscriptions.get(id));
            all.map(|s| (s.event.clone(), s.url.clone(), s.active)).collect()
        })
    }

    /// Returns how Tempo's rate limit fared.
    pub fn tempo_rate(&self) -> RateCount {
        self.act(|site, _| site.tempo_meter.count)
    }

    /// Returns how Jira's rate limit fared.
    pub fn jira_rate(&self) -> RateCount {
        self.act(|site, _| site.jira_meter.count)
    }

    /// Sets how long Tempo takes to see what was done in Jira.
    pub fn set_jira_to_tempo_lag(&self, lag: Duration) {
        self.configure(|spec| spec.jira_to_tempo_lag = lag);
    }

    /// Sets the address Jira gives for itself.
    pub fn set_jira_base(&self, url: &str) {
        self.act(|site, _| site.jira_base = url.trim_end_matches('/').to_owned());
    }
}
