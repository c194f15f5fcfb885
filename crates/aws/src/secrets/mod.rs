//! Sites' secrets: from where, and what is in them.
//!
//! Text of a secret leaves this module only as [`SecretString`]. Errors say which site, which source and what
//! is missing there, never what is there.

mod keep;
mod moment;
mod site_secret;
mod source;
mod versions;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use secrecy::{ExposeSecret, SecretString};
use tandem_core::SiteName;

pub use self::keep::{KeepError, Kept as KeptSecrets};
use self::moment::Moment;
pub use self::site_secret::{SiteSecret, TempoOauth, Token, WEBHOOK_SECRETS_MAX};
pub use self::source::{SecretSource, SourceError};
pub use self::versions::{Described, VersionError, Versions};

/// For how long a secret is used before it's read again.
const KEPT: Duration = Duration::from_secs(30);

/// For how long beyond that it's used when Secrets Manager does not answer.
const KEPT_UNANSWERED: Duration = Duration::from_secs(600);

/// A secret that cannot be had or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It isn't there, or may not be read. A person has to act.
    #[error("the secret of site {site} ({secret}) cannot be read: {what}")]
    Unreadable {
        /// The site.
        site: SiteName,
        /// Where it should be.
        secret: SecretSource,
        /// What is wrong.
        what: String,
    },
    /// Secrets Manager does not answer. Again later.
    #[error("the secret of site {site} ({secret}) is out of reach for now: {what}")]
    Unreachable {
        /// The site.
        site: SiteName,
        /// Where it is.
        secret: SecretSource,
        /// What happened.
        what: String,
    },
    /// It isn't what it should be. A person has to act.
    #[error("the secret of site {site} ({secret}) {what}")]
    Malformed {
        /// The site.
        site: SiteName,
        /// Where it is.
        secret: SecretSource,
        /// What is missing, or where it stops being JSON.
        what: String,
    },
}

/// Which version of a secret in Secrets Manager; the other sources have one only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The one in use: `AWSCURRENT`.
    Current,
    /// The one that a rotation is making: `AWSPENDING`.
    Pending,
}

/// Looks up a variable.
type Variable = dyn Fn(&str) -> Option<String> + Send + Sync;

/// The client of Secrets Manager, where there is one; made when it is first needed.
type Manager = LazyLock<Option<Client>, Box<dyn FnOnce() -> Option<Client> + Send>>;

/// The wall clock.
type WallClock = dyn Fn() -> SystemTime + Send + Sync;

/// A secret, and when it was read.
type Kept = (Moment, Arc<SiteSecret>);

/// Fetches sites' secrets and keeps them for a moment.
pub struct Secrets {
    manager: Manager,
    environment: Box<Variable>,
    wall_clock: Box<WallClock>,
    kept_for: Duration,
    kept: Mutex<HashMap<(SiteName, SecretSource), Kept>>,
}

impl Secrets {
    /// Makes a fetcher: with a client for `aws:` secrets, and with what looks a variable up for `env:` ones.
    pub fn new(
        manager: Option<Client>,
        environment: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self::with_manager(move || manager, environment)
    }

    /// The same, with a client that is made when it is first needed, or by [`prepare`](Self::prepare): that takes a while.
    pub fn with_manager(
        manager: impl FnOnce() -> Option<Client> + Send + 'static,
        environment: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            manager: LazyLock::new(Box::new(manager)),
            environment: Box::new(environment),
            wall_clock: Box::new(SystemTime::now),
            kept_for: KEPT,
            kept: Mutex::default(),
        }
    }

    /// Makes the client now, such as while something else is waited for.
    pub fn prepare(&self) {
        LazyLock::force(&self.manager);
    }

    /// Keeps secrets for another while than 30 seconds.
    pub fn kept_for(mut self, duration: Duration) -> Self {
        self.kept_for = duration;
        self
    }

    /// Goes by another wall clock than the machine's.
    pub fn wall_clock(mut self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.wall_clock = Box::new(now);
        self
    }

    /// This moment.
    fn now(&self) -> Moment {
        Moment::at((self.wall_clock)())
    }

    /// Returns a site's secret, from memory if it was read a moment ago.
    pub async fn get(&self, site: &SiteName, source: &SecretSource) -> Result<Arc<SiteSecret>, SecretError> {
        let key = (site.clone(), source.clone());
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned();
        if let Some((at, secret)) = &kept
            && self.now().since(at) < self.kept_for
        {
            return Ok(Arc::clone(secret));
        }
        match (self.reload(site, source).await, kept) {
            (Err(SecretError::Unreachable { what, .. }), Some((at, secret)))
                if self.now().since(&at) < self.kept_for + KEPT_UNANSWERED =>
            {
                tracing::warn!(site = %site, "Using the secret as last read, since Secrets Manager is silent: {what}");
                Ok(secret)
            }
            (read, _) => read,
        }
    }

    /// Returns a site's secret as it is in memory if it was read at most this long ago, and reads it anew otherwise: where a
    /// signature did not fit, and anybody may send one that does not.
    pub async fn not_older(
        &self,
        site: &SiteName,
        source: &SecretSource,
        age: Duration,
    ) -> Result<Arc<SiteSecret>, SecretError> {
        let key = (site.clone(), source.clone());
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned();
        match kept {
            Some((at, secret)) if self.now().since(&at) <= age => Ok(secret),
            _ => self.reload(site, source).await,
        }
    }

    /// Reads a site's secret anew: after its credentials were rejected.
    pub async fn reload(
        &self,
        site: &SiteName,
        source: &SecretSource,
    ) -> Result<Arc<SiteSecret>, SecretError> {
        let secret = match self.stage(site, source, Stage::Current).await? {
            Some(secret) => Arc::new(secret),
            None => return Err(unreadable(site, source, "it has no current version")),
        };
        self.keep(site, source, Arc::clone(&secret));
        Ok(secret)
    }

    /// Uses what a rotation is about to put into use, until the secret is read again.
    pub fn adopt(&self, site: &SiteName, source: &SecretSource, secret: Arc<SiteSecret>) {
        self.keep(site, source, secret);
    }

    /// Returns the versions of a secret in Secrets Manager, to be written; `None` without AWS.
    pub fn versions(&self, id: &str) -> Option<Versions> {
        Some(Versions::new((*self.manager).clone()?, id))
    }

    fn keep(&self, site: &SiteName, source: &SecretSource, secret: Arc<SiteSecret>) {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((site.clone(), source.clone()), (self.now(), secret));
    }

    /// Reads one version of a site's secret; `None` where there is no such version.
    pub async fn stage(
        &self,
        site: &SiteName,
        source: &SecretSource,
        stage: Stage,
    ) -> Result<Option<SiteSecret>, SecretError> {
        let Some(text) = self.text(site, source, stage).await? else {
            return Ok(None);
        };
        SiteSecret::parse(text.expose_secret())
            .map(Some)
            .map_err(|what| SecretError::Malformed {
                site: site.clone(),
                secret: source.clone(),
                what: match source {
                    SecretSource::Aws(_) => format!("{what}; put it right with `tandem secrets put {site}`"),
                    _ => what,
                },
            })
    }

    /// Fetches one version of a site's secret as it stands; `None` where there is no such version.
    pub async fn text(
        &self,
        site: &SiteName,
        source: &SecretSource,
        stage: Stage,
    ) -> Result<Option<SecretString>, SecretError> {
        match (source, stage) {
            (SecretSource::Aws(id), _) => self.fetch(site, source, id, stage).await,
            (_, Stage::Pending) => Ok(None),
            (SecretSource::Env(name), Stage::Current) => match (self.environment)(name) {
                Some(text) if !text.trim().is_empty() => Ok(Some(text.into())),
                _ => Err(unreadable(site, source, "the variable is not set")),
            },
            (SecretSource::File(path), Stage::Current) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(Some(text.into())),
                Err(error) => Err(unreadable(site, source, &error.to_string())),
            },
        }
    }

    async fn fetch(
        &self,
        site: &SiteName,
        source: &SecretSource,
        id: &str,
        stage: Stage,
    ) -> Result<Option<SecretString>, SecretError> {
        let Some(manager) = &*self.manager else {
            return Err(unreadable(
                site,
                source,
                "AWS is not set up here: set AWS_REGION and the credentials",
            ));
        };
        let stage_name = match stage {
            Stage::Current => "AWSCURRENT",
            Stage::Pending => "AWSPENDING",
        };
        let answer = manager
            .get_secret_value()
            .secret_id(id)
            .version_stage(stage_name)
            .send()
            .await;
        match answer {
            Ok(answer) => match answer.secret_string {
                Some(text) => Ok(Some(text.into())),
                None => Err(unreadable(site, source, "it is binary; store the JSON as text")),
            },
            Err(SdkError::ServiceError(service)) => match service.err().code() {
                Some(versions::NOT_THERE) if stage == Stage::Pending => Ok(None),
                // So it answers for one that has been made and never filled, too.
                Some(versions::NOT_THERE) => Err(unreadable(
                    site,
                    source,
                    &format!(
                        "there is no such secret, or it was never filled: deploy the stack, then `tandem secrets put {site}`"
                    ),
                )),
                Some(code) if versions::is_passing(code) => Err(unreachable(site, source, code)),
                // The service's own words name the secret and the role, not the text.
                code => {
                    let message = service.err().message();
                    let text = versions::refusal(code.unwrap_or("refused"), message.unwrap_or_default());
                    Err(unreadable(site, source, &text))
                }
            },
            Err(error) => Err(unreachable(site, source, &crate::chain::chain(&error))),
        }
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets")
            .field("kept_for", &self.kept_for)
            .finish_non_exhaustive()
    }
}

fn unreadable(site: &SiteName, source: &SecretSource, what: &str) -> SecretError {
    SecretError::Unreadable {
        site: site.clone(),
        secret: source.clone(),
        what: what.to_owned(),
    }
}

fn unreachable(site: &SiteName, source: &SecretSource, what: &str) -> SecretError {
    SecretError::Unreachable {
        site: site.clone(),
        secret: source.clone(),
        what: what.to_owned(),
    }
}
