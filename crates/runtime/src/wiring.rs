//! Where the engine meets its adapters.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tandem_atlassian::{AtlassianSite, RequestObserver, SiteEndpoints, Transport};
use tandem_aws::secrets::Secrets;
use tandem_core::SiteName;
use tandem_core::observed::Settings;
use tandem_engine::options::{LinkSource, LinkSources};
use tandem_engine::ports::{Clock, Observer, Store};
use tandem_engine::{Connection, Engine, Options, Site};
use tracing::warn;

use crate::config::{self, Config, ConnectionConfig, USUAL_REQUESTS_PER_SECOND};
use crate::credentials::{SiteSecrets, source};
use crate::metrics::Metrics;

/// What an engine is made of.
pub struct Parts {
    /// The configuration.
    pub config: Config,
    /// The table.
    pub store: Arc<dyn Store>,
    /// What fetches the sites' secrets.
    pub secrets: Arc<Secrets>,
    /// The network.
    pub transport: Arc<dyn Transport>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Who this process is, in leases; must differ between processes.
    pub owner: String,
    /// Told of every request, if anybody wants to know.
    pub observer: Option<Arc<dyn RequestObserver>>,
}

/// An engine with what the webhook endpoint needs besides.
pub struct Tandem {
    /// The engine.
    pub engine: Engine,
    /// Each site's secret, for verifying webhooks.
    pub secrets: BTreeMap<SiteName, SiteSecrets>,
    /// Each site's client, for setting up and for checking: what the engine's port has no method for.
    pub clients: BTreeMap<SiteName, Arc<AtlassianSite>>,
    /// The configuration that it was made from.
    pub config: Config,
    /// When that was published; `None` where it comes from a file.
    pub published_at: Option<Timestamp>,
    /// What happened, counted.
    pub metrics: Arc<Metrics>,
}

impl Tandem {
    /// Puts everything together. Reads no secret and calls nobody.
    pub fn new(parts: Parts) -> Self {
        Self::counted(parts, Arc::default())
    }

    /// The same, with what happens counted there.
    pub fn counted(parts: Parts, metrics: Arc<Metrics>) -> Self {
        let Parts {
            config,
            store,
            secrets,
            transport,
            clock,
            owner,
            observer,
        } = parts;
        let observer = observer.unwrap_or_else(|| Arc::clone(&metrics) as Arc<dyn RequestObserver>);
        let mut of_sites = BTreeMap::new();
        let mut clients = BTreeMap::new();
        let sites = config
            .sites
            .values()
            .map(|site| {
                let secrets = SiteSecrets {
                    secrets: Arc::clone(&secrets),
                    site: site.name.clone(),
                    source: source(&site.secret),
                };
                of_sites.insert(site.name.clone(), secrets.clone());
                // Checked when the configuration was read.
                let endpoints = SiteEndpoints {
                    site: site.name.clone(),
                    jira: site.jira.clone(),
                    tempo: site.tempo.clone(),
                };
                let client = AtlassianSite::new(endpoints, Arc::new(secrets), Arc::clone(&transport));
                let others = config.sites.values().filter(|other| other.name != site.name);
                let client = client.beside(others.map(|other| other.jira.to_string()));
                let client = Arc::new(client.with_observer(Arc::clone(&observer)));
                clients.insert(site.name.clone(), Arc::clone(&client));
                if site.requests_per_second > USUAL_REQUESTS_PER_SECOND {
                    warn!(site.name = %site.name, "{} is asked up to {} requests a second, which is more than the vendors are known to allow", site.name, site.requests_per_second);
                }
                Site {
                    name: site.name.clone(),
                    jira: site.jira.to_string(),
                    requests_per_second: site.requests_per_second,
                    client,
                }
            })
            .collect();
        let connections = config
            .connections
            .iter()
            .map(|connection| wire(&config, connection))
            .collect();
        let engine = Engine::new(store, sites, connections, options(&config), clock, owner)
            .observed_by(Arc::clone(&metrics) as Arc<dyn Observer>);
        Self {
            engine,
            secrets: of_sites,
            clients,
            config,
            published_at: None,
            metrics,
        }
    }
}

/// Turns the configured patience into the engine's.
fn options(config: &Config) -> Options {
    let engine = &config.engine;
    Options {
        settle: engine.settle,
        sweep: engine.sweep,
        retry_min: engine.retry_min,
        retry_max: engine.retry_max,
        history: engine.history,
        park_retry: engine.park_retry,
        // An issue without a twin waits for one, and for no longer than anything else that waits.
        look_again: engine.park_retry.min(Options::default().look_again),
        config_digest: config.digest.clone(),
        ..Options::default()
    }
}

fn wire(config: &Config, connection: &ConnectionConfig) -> Connection {
    let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    Connection {
        name: connection.name.clone(),
        sites: connection.sites.clone(),
        since: connection.since,
        scope: connection.scope.clone(),
        links: LinkSources {
            from: connection
                .links
                .from
                .iter()
                .map(|from| match from {
                    config::LinkSource::Table => LinkSource::Table,
                    config::LinkSource::RemoteLink => LinkSource::RemoteLink,
                    config::LinkSource::Field => LinkSource::Field,
                })
                .collect(),
            table: connection.links.table.clone(),
            field: connection.links.field.clone(),
        },
        settings: Settings {
            rules: connection.rules.clone(),
            grace: signed(config.engine.create_grace),
            park_retry: signed(config.engine.park_retry),
            look_at_missing: signed(config.engine.sweep),
        },
        mass_delete_max: connection.mass_delete.max,
        mass_delete_within: connection.mass_delete.within,
    }
}

/// Returns a name for this process that no other one has.
pub fn owner() -> String {
    format!("{}-{:08x}", std::process::id(), rand::random::<u32>())
}
