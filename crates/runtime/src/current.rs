//! The newest published configuration, wired: what the functions run on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tandem_atlassian::Transport;
use tandem_aws::secrets::Secrets;
use tandem_aws::{Newer, Told};
use tandem_engine::ports::store::ConfigVersion;
use tandem_engine::ports::{Clock, Store, StoreError};
use tokio::sync::Mutex;
use tracing::{error, info, warn};

use crate::config::{Config, ConfigEnv};
use crate::metrics::Metrics;
use crate::router::{Age, Current};
use crate::wiring::{Parts, Tandem};

/// For how long a version is used before the table is asked for a newer one.
pub const KEPT: Duration = Duration::from_secs(60);

/// Why there is no configuration to run on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CurrentError {
    /// Nobody has published one.
    #[error("no configuration is published yet: run `tandem publish`")]
    NotPublished,
    /// The table did not give it.
    #[error("the published configuration cannot be read: {0}")]
    Table(#[from] StoreError),
    /// The newest one has mistakes, and there is no earlier one in memory. Says where, and not what is there: this goes into
    /// logs, and rows of people may be among it.
    #[error(
        "the published configuration has mistakes: {0}. `tandem publish` tells each with what would be right"
    )]
    Invalid(String),
}

/// Reads the newest published configuration from the table, at most once a minute, and keeps it wired.
pub struct Published {
    store: Arc<dyn Store>,
    secrets: Arc<Secrets>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    environment: ConfigEnv,
    owner: String,
    metrics: Arc<Metrics>,
    newer: Option<Arc<Newer>>,
    held: Mutex<Option<Held>>,
}

/// A version in use.
struct Held {
    number: u64,
    tandem: Arc<Tandem>,
    /// By the wall clock: a monotonic one may stand still while a function is frozen between two events.
    read_at: Timestamp,
}

impl Published {
    /// Puts together what every version is wired with. Reads nothing.
    pub fn new(
        store: Arc<dyn Store>,
        secrets: Arc<Secrets>,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        environment: ConfigEnv,
    ) -> Self {
        let owner = crate::wiring::owner();
        Self {
            store,
            secrets,
            transport,
            clock,
            environment,
            owner,
            metrics: Arc::default(),
            newer: None,
            held: Mutex::new(None),
        }
    }

    /// Goes by a name of its own in leases, instead of a drawn one; no two processes may share it.
    pub fn named(mut self, owner: impl Into<String>) -> Self {
        self.owner = owner.into();
        self
    }

    /// Counts there what happens, whatever the version.
    pub fn counted(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// Has webhooks' look-ups ask for newer versions, instead of asking for them before.
    pub fn asking_along(mut self, newer: Arc<Newer>) -> Self {
        self.newer = Some(newer);
        self
    }

    /// What happened, counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What fetches the sites' secrets.
    pub fn secrets(&self) -> &Arc<Secrets> {
        &self.secrets
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// The network.
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Returns the newest version, wired.
    ///
    /// A version in use stays in use while the table does not answer, or when a newer one has mistakes.
    ///
    /// # Errors
    /// When there is none, in the table or in memory, that could be used.
    pub async fn current(&self) -> Result<Arc<Tandem>, CurrentError> {
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        if let Some(held) = held.as_ref().filter(|held| held.is_fresh(now)) {
            return Ok(Arc::clone(&held.tandem));
        }
        let known = held.as_ref().map(|held| held.number);
        let tandem = match (self.newer_than(known).await, held.take()) {
            (Ok(Some((number, tandem))), _) => {
                *held = Some(Held {
                    number,
                    tandem: Arc::clone(&tandem),
                    read_at: now,
                });
                return Ok(tandem);
            }
            (Ok(None), Some(kept)) => kept,
            (Ok(None), None) => return Err(CurrentError::NotPublished),
            (Err(problem), None) => return Err(problem),
            (Err(problem @ CurrentError::Table(_)), Some(kept)) => {
                warn!(
                    config.version = kept.number,
                    "Going on with version {}: {problem}", kept.number
                );
                kept
            }
            (Err(problem), Some(kept)) => {
                error!(
                    config.version = kept.number,
                    "Going on with version {}: {problem}", kept.number
                );
                kept
            }
        };
        let kept = held.insert(Held {
            read_at: now,
            ..tandem
        });
        Ok(Arc::clone(&kept.tandem))
    }

    /// Reads and wires the newest version, unless it is the one that is known.
    async fn newer_than(&self, known: Option<u64>) -> Result<Option<(u64, Arc<Tandem>)>, CurrentError> {
        let Some(ConfigVersion { number, text, at }) = self.store.config().await? else {
            return match known {
                Some(_) => Err(CurrentError::NotPublished),
                None => Ok(None),
            };
        };
        if known == Some(number) {
            return Ok(None);
        }
        let tandem = self.wired(ConfigVersion { number, text, at })?;
        Ok(Some((number, tandem)))
    }

    /// Wires a version.
    fn wired(&self, version: ConfigVersion) -> Result<Arc<Tandem>, CurrentError> {
        let ConfigVersion { number, text, at } = version;
        let config = Config::parse(&text, &format!("version {number}"), &self.environment)
            .map_err(|error| CurrentError::Invalid(error.unsaid().to_string()))?;
        info!(
            config.version = number,
            "Running on version {number} of the configuration"
        );
        let parts = Parts {
            config,
            store: Arc::clone(&self.store),
            secrets: Arc::clone(&self.secrets),
            transport: Arc::clone(&self.transport),
            clock: Arc::clone(&self.clock),
            owner: self.owner.clone(),
            observer: None,
        };
        let mut tandem = Tandem::counted(parts, Arc::clone(&self.metrics));
        tandem.published_at = Some(at);
        Ok(Arc::new(tandem))
    }

    /// Returns the version in use without asking the table, and whether it may have been replaced by now. Then the next
    /// look-up asks for newer ones, and [`newest_after`](Self::newest_after) is to be asked what came of it.
    ///
    /// # Errors
    /// As [`current`](Self::current), which is asked where there is none in memory.
    async fn in_use(&self) -> Result<(Arc<Tandem>, Age), CurrentError> {
        let held = self.held.lock().await;
        let (Some(newer), Some(kept)) = (&self.newer, &*held) else {
            drop(held);
            return Ok((self.current().await?, Age::New));
        };
        if kept.is_fresh(self.clock.now()) {
            // What an earlier webhook was to ask and had no use for is not this one's to ask.
            newer.take();
            return Ok((Arc::clone(&kept.tandem), Age::New));
        }
        newer.ask(kept.number);
        Ok((Arc::clone(&kept.tandem), Age::Old))
    }

    /// Returns what a webhook is to be taken with once more, when it was taken with this.
    async fn newest_after(&self, with: &Arc<Tandem>) -> Result<Option<Arc<Tandem>>, CurrentError> {
        let told = self.newer.as_ref().map(|newer| newer.take()).unwrap_or_default();
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        match (told, &mut *held) {
            // It was not to be taken at all; that the table is asked anything more would not help.
            (Told::Unanswered, _) => Ok(None),
            (Told::None, Some(kept)) => {
                kept.read_at = now;
                Ok(None)
            }
            (Told::Newest(version), Some(kept)) if kept.number < version.number => {
                let number = version.number;
                match self.wired(version) {
                    Ok(tandem) => (kept.number, kept.tandem) = (number, tandem),
                    Err(problem) => error!(
                        config.version = kept.number,
                        "Going on with version {}: {problem}", kept.number
                    ),
                }
                kept.read_at = now;
                Ok(Some(Arc::clone(&kept.tandem)))
            }
            (told, _) => {
                drop(held);
                let current = self.current().await?;
                // After a look-up that failed for it, the same once more; its rows are kept.
                let is_over = told == Told::Nothing && Arc::ptr_eq(&current, with);
                Ok((!is_over).then_some(current))
            }
        }
    }
}

impl Held {
    fn is_fresh(&self, now: Timestamp) -> bool {
        now.duration_since(self.read_at) < SignedDuration::try_from(KEPT).unwrap_or(SignedDuration::MAX)
    }
}

#[async_trait]
impl Current for Published {
    async fn tandem(&self) -> Result<Arc<Tandem>, String> {
        self.current().await.map_err(|error| error.to_string())
    }

    async fn at_hand(&self) -> Result<(Arc<Tandem>, Age), String> {
        self.in_use().await.map_err(|error| error.to_string())
    }

    async fn newest(&self, with: &Arc<Tandem>) -> Result<Option<Arc<Tandem>>, String> {
        self.newest_after(with).await.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use bytes::Bytes;
    use http::{Request, Response};
    use tandem_atlassian::TransportError;
    use tandem_aws::Embedded;

    use super::*;

    pub(crate) struct HandClock(pub(crate) AtomicI64);

    #[async_trait]
    impl Clock for HandClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
        }

        async fn sleep(&self, _: Duration) {}
    }

    pub(crate) struct NoNetwork;

    #[async_trait]
    impl Transport for NoNetwork {
        async fn send(&self, _: Request<Bytes>, _: Duration) -> Result<Response<Bytes>, TransportError> {
            Err(TransportError::NotSent("there is no network in this test".into()))
        }
    }

    fn text(settle: &str) -> String {
        format!(
            r#"
            engine.settle = "{settle}"
            sites.a = {{ jira = "https://a.atlassian.net", secret = "env:A" }}
            sites.b = {{ jira = "https://b.atlassian.net", secret = "env:B" }}
            [[connections]]
            name = "a-b"
            a = "a"
            b = "b"
            "#
        )
    }

    #[tokio::test]
    async fn a_newer_version_is_taken_up_within_a_minute_and_a_bad_one_is_not() {
        let clock = Arc::new(HandClock(AtomicI64::new(1_800_000_000)));
        let store = Arc::new(Embedded::open(None).await.unwrap().store());
        let counts = store.counts().clone();
        let published = Published::new(
            Arc::clone(&store) as Arc<dyn Store>,
            Arc::new(Secrets::new(None, |_| None)),
            Arc::new(NoNetwork),
            Arc::clone(&clock) as Arc<dyn Clock>,
            ConfigEnv::default(),
        );
        let settle = async || {
            published
                .current()
                .await
                .map(|tandem| tandem.config.engine.settle.as_secs())
        };

        let none = settle().await.unwrap_err();
        assert_eq!(
            none.to_string(),
            "no configuration is published yet: run `tandem publish`"
        );
        store.put_config("not = [toml", clock.now()).await.unwrap();
        assert!(
            matches!(settle().await.unwrap_err(), CurrentError::Invalid(text) if text.starts_with("version 1, line 1, "))
        );

        store.put_config(&text("3s"), clock.now()).await.unwrap();
        assert_eq!(settle().await.unwrap(), 3);
        store.put_config(&text("4s"), clock.now()).await.unwrap();
        let before = counts.total();
        assert_eq!(settle().await.unwrap(), 3);
        assert_eq!(
            counts.total(),
            before,
            "the table was asked although a minute is not over"
        );

        clock.0.fetch_add(60, Ordering::Relaxed);
        assert_eq!(settle().await.unwrap(), 4);
        store.put_config("sites = 1", clock.now()).await.unwrap();
        clock.0.fetch_add(60, Ordering::Relaxed);
        assert_eq!(settle().await.unwrap(), 4);
        store.put_config(&text("5s"), clock.now()).await.unwrap();
        clock.0.fetch_add(60, Ordering::Relaxed);
        assert_eq!(settle().await.unwrap(), 5);
    }

    #[tokio::test]
    async fn the_same_version_stays_the_same_engine() {
        let clock = Arc::new(HandClock(AtomicI64::new(1_800_000_000)));
        let store = Arc::new(Embedded::open(None).await.unwrap().store());
        store.put_config(&text("2s"), clock.now()).await.unwrap();
        let published = Published::new(
            store,
            Arc::new(Secrets::new(None, |_| None)),
            Arc::new(NoNetwork),
            Arc::clone(&clock) as Arc<dyn Clock>,
            ConfigEnv::default(),
        );
        let first = published.current().await.unwrap();
        clock.0.fetch_add(600, Ordering::Relaxed);
        assert!(Arc::ptr_eq(&first, &published.current().await.unwrap()));
    }
}
