//! What the engine is told about its connections, and its patience.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::civil::Date;
use tandem_core::observed::Settings;
use tandem_core::{ConnectionName, Side, Sides, SiteName};

use crate::ports::{Clock, Observer, SiteClient, Store};

/// The engine's patience. The defaults are those of `[engine]` in `tandem.toml`.
#[derive(Clone, Debug)]
pub struct Options {
    /// A burst of hints within this time is one run.
    pub settle: Duration,
    /// How often the sweep runs, and so how soon a missing worklog is looked for again.
    pub sweep: Duration,
    /// The first backoff after a failure; doubles.
    pub retry_min: Duration,
    /// The longest backoff.
    pub retry_max: Duration,
    /// How long the history is kept.
    pub history: Duration,
    /// How soon parked items are tried again.
    pub park_retry: Duration,
    /// How soon an issue without a twin is looked at again.
    pub look_again: Duration,
    /// How long an announced change may take to show in Tempo.
    pub announce: Duration,
    /// How far back each sweep reads again what it has read.
    pub overlap: Duration,
    /// How long a run holds its link without renewing.
    pub lease: Duration,
    /// How long one run goes on before it makes room for others.
    pub run_budget: Duration,
    /// How many runs go on at once in one process.
    pub concurrency: usize,
    /// A digest of the configuration; a new one makes parked items be tried again.
    pub config_digest: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            settle: Duration::from_secs(2),
            sweep: Duration::from_secs(300),
            retry_min: Duration::from_secs(5),
            retry_max: Duration::from_secs(900),
            history: Duration::from_secs(400 * 86_400),
            park_retry: Duration::from_secs(900),
            look_again: Duration::from_secs(900),
            announce: Duration::from_secs(600),
            overlap: Duration::from_secs(3 * 3600),
            lease: Duration::from_secs(60),
            run_budget: Duration::from_secs(45),
            concurrency: 8,
            config_digest: String::new(),
        }
    }
}

/// Two sites that are kept the same.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its name.
    pub name: ConnectionName,
    /// Its sites.
    pub sites: Sides<SiteName>,
    /// Worklogs dated earlier are left alone; `None` for the day the connection first ran.
    pub since: Option<Date>,
    /// JQL that an issue must match, per side.
    pub scope: Sides<Option<String>>,
    /// Where an issue's twin is found.
    pub links: LinkSources,
    /// Rules and patience of the planner.
    pub settings: Settings,
    /// How many proven deletes are let through within the window.
    pub mass_delete_max: usize,
    /// The window.
    pub mass_delete_within: Duration,
}

impl Connection {
    /// Returns the side that a site is on.
    pub fn side(&self, site: &SiteName) -> Option<Side> {
        Side::BOTH.into_iter().find(|side| self.sites[*side] == *site)
    }
}

/// Where an issue's twin is found; first hit wins.
#[derive(Clone, Debug, Default)]
pub struct LinkSources {
    /// In this order.
    pub from: Vec<LinkSource>,
    /// Pairs of keys or ids: A's, then B's.
    pub table: Vec<(String, String)>,
    /// The custom field that holds the twin's key or address, per side.
    pub field: Sides<Option<String>>,
}

/// One place where an issue's twin may be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkSource {
    /// The table in the configuration.
    Table,
    /// A remote link on the issue.
    RemoteLink,
    /// A custom field.
    Field,
}

/// A site and how to call it.
#[derive(Clone)]
pub struct Site {
    /// Its name.
    pub name: SiteName,
    /// Its address, to recognise its issues' addresses.
    pub jira: String,
    /// Requests per second that it allows.
    pub requests_per_second: f64,
    /// The client.
    pub client: Arc<dyn SiteClient>,
}

/// The engine: everything that a run needs.
pub struct Engine {
    /// The table.
    pub store: Arc<dyn Store>,
    /// The sites.
    pub sites: BTreeMap<SiteName, Site>,
    /// The connections.
    pub connections: Vec<Connection>,
    /// Its patience.
    pub options: Options,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Who this process is, in leases.
    pub owner: String,
    /// Is told what happens, for whoever counts it.
    pub observer: Arc<dyn Observer>,
    pub(crate) stopping: AtomicBool,
    pub(crate) pace: crate::gate::Pace,
    pub(crate) memory: crate::memory::Memory,
}

impl Engine {
    /// Puts an engine together. `owner` must differ between processes.
    pub fn new(
        store: Arc<dyn Store>,
        sites: Vec<Site>,
        connections: Vec<Connection>,
        options: Options,
        clock: Arc<dyn Clock>,
        owner: String,
    ) -> Self {
        Self {
            store,
            sites: sites.into_iter().map(|site| (site.name.clone(), site)).collect(),
            connections,
            options,
            clock,
            owner,
            observer: Arc::new(()),
            stopping: AtomicBool::new(false),
            pace: Default::default(),
            memory: Default::default(),
        }
    }

    /// Tells somebody what happens.
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Lets what is in hand end after its present request, and begins nothing more. For good: it is for a process that is
    /// about to end.
    pub fn stop_soon(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Returns a connection by name.
    pub fn connection(&self, name: &ConnectionName) -> Option<&Connection> {
        self.connections
            .iter()
            .find(|connection| connection.name == *name)
    }

    /// Returns the connections that a site takes part in, with its side.
    pub fn connections_of<'e>(
        &'e self,
        site: &'e SiteName,
    ) -> impl Iterator<Item = (&'e Connection, Side)> + 'e {
        self.connections
            .iter()
            .filter_map(|connection| Some((connection, connection.side(site)?)))
    }
}
