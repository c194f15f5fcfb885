//! What Secrets Manager asks for when it rotates a site's secret: create, set, test, finish.
//!
//! Only Tempo's OAuth tokens can be had anew without a person. A refresh ends the old pair at once, before the new one
//! is stored anywhere, so the order is everything: a version that has its text is never refreshed again; that a version
//! can be written is seen before the old pair is given up; the new pair is written before anything else happens, for as
//! long as the invocation lasts; and what even then could not be written is kept for the next attempt in this process.
//! Between the refresh and the end, workers whose token is rejected find the pending version by themselves.
//!
//! Each step may be asked for again, and after its successor.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tandem_atlassian::tempo::oauth::{self, Refresh, RefreshError, TokenPair};
use tandem_atlassian::{
    AtlassianSite, Credentials, CredentialsError, RequestObserver, RequestSeen, SiteCredentials,
    SiteEndpoints,
};
use tandem_aws::SiteSecret;
use tandem_aws::secrets::{Described, VersionError, Versions};
use tandem_engine::EngineError;
use tandem_engine::ports::site::{SiteErrorKind, Vendor};
use tandem_engine::ports::store::Lane;
use tokio::sync::Mutex;
use tracing::{error, info, warn};

use super::{ANSWER, sleep_until};
use crate::config::{SecretRef, SiteConfig};
use crate::credentials::credentials;
use crate::current::{CurrentError, Published};
use crate::wiring::Tandem;

/// How long Tempo may take to answer a refresh, at most; never more than half of the time that is left, so that the
/// other half is for storing.
const REFRESH_DEADLINE: Duration = Duration::from_secs(25);

/// The first wait after a new pair could not be stored; it doubles.
const STORE_RETRY_MIN: Duration = Duration::from_millis(200);
/// The longest such wait.
const STORE_RETRY_MAX: Duration = Duration::from_secs(5);

/// How long another sandbox that has spent the same refresh token is waited for, look by look, until it has stored its pair.
const STORED_BY_ANOTHER: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2)];

/// How often a slot of the site's bucket is asked for.
const SLOT_TRIES_MAX: usize = 10;

/// A step of a rotation. AWS's pages write the names both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Step {
    /// Make the new version.
    #[serde(rename = "createSecret", alias = "create_secret")]
    Create,
    /// Make it known to the service; Tempo knows it already.
    #[serde(rename = "setSecret", alias = "set_secret")]
    Set,
    /// Try it.
    #[serde(rename = "testSecret", alias = "test_secret")]
    Test,
    /// Put it into use.
    #[serde(rename = "finishSecret", alias = "finish_secret")]
    Finish,
}

/// What Secrets Manager sends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    /// What to do.
    pub step: Step,
    /// The secret: its ARN.
    pub secret_id: String,
    /// The version that is being made.
    pub client_request_token: String,
}

/// Why a step was not done. No text of a secret is in it.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// There is no configuration to say whose secret it is.
    #[error(transparent)]
    Config(#[from] CurrentError),
    /// AWS is not set up.
    #[error("AWS is not set up here")]
    NoAws,
    /// The secret is no site's.
    #[error(
        "no site of the published configuration has the secret {0}: publish one that names it, or stop its rotation"
    )]
    NoSite(String),
    /// Secrets Manager wants a version finished that it has not begun.
    #[error(
        "the version {0} is not the pending one of this secret: its rotation is over, or was ended by hand"
    )]
    NotPending(String),
    /// A later step came before `createSecret`.
    #[error("the pending version has not been written yet")]
    NotCreated,
    /// Nothing has been stored in it yet.
    #[error("the secret is empty: fill it with `tandem secrets put`, then rotate it")]
    Empty,
    /// It is not a site's secret.
    #[error("the {version} version {what}; correct it with `tandem secrets put`")]
    Malformed {
        /// Which one.
        version: &'static str,
        /// What is wrong.
        what: String,
    },
    /// Secrets Manager failed, and nothing was begun.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// There was no slot for a request to the site.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Tempo did not give a new pair.
    #[error("{0}{advice}", advice = advice(.0))]
    Refresh(#[from] RefreshError),
    /// There is a new pair, and it could not be stored.
    #[error(
        "TEMPO'S NEW TOKENS COULD NOT BE STORED, and the old ones have ended: {0}. If the next attempt does not store \
         them either, authorize again in Tempo and store the result with `tandem secrets put --replace-oauth`"
    )]
    Unsaved(VersionError),
    /// Tempo does not take the token, or did not say.
    #[error("the {version} token could not be tested: {said}")]
    Test {
        /// Which one.
        version: &'static str,
        /// What came of it, without the site's own words: what a function fails with is in its log, inside out as well.
        said: String,
    },
    /// Somebody stored a secret while it was rotated.
    #[error(
        "the secret was changed while it was rotated, and finishing would undo that; store it anew with \
         `tandem secrets put --end-rotation`, with the tokens of the pending version"
    )]
    Changed,
}

/// Says what a person can do about a refresh that failed.
fn advice(error: &RefreshError) -> &'static str {
    match error {
        RefreshError::Refused { code, .. } if code == "invalid_grant" => {
            ". The refresh token has been used, or withdrawn: authorize again in Tempo and store the result with \
             `tandem secrets put --replace-oauth`"
        }
        RefreshError::Refused { code, .. } if code == "invalid_client" => {
            ". Compare tempo_client_id and tempo_client_secret with Tempo's OAuth application"
        }
        RefreshError::Refused { .. } | RefreshError::NotSent(_) => ". The old tokens are as good as before",
        RefreshError::Unknown(_) => {
            ". If it did, the old tokens have ended, and the next attempt says `invalid_grant`: then authorize again in \
             Tempo and store the result with `tandem secrets put --replace-oauth`"
        }
    }
}

/// A pair that Tempo gave and Secrets Manager did not take.
struct Unsaved {
    /// Digest of the secret whose refresh token was spent on it.
    spent: String,
    text: SecretString,
}

/// Rotates secrets; lives as long as the process.
pub struct Rotation {
    published: Arc<Published>,
    /// By the secret's ARN.
    unsaved: Mutex<HashMap<String, Unsaved>>,
}

/// A secret in rotation.
struct Rotated<'a> {
    tandem: &'a Tandem,
    site: &'a SiteConfig,
    versions: Versions,
    described: Described,
    /// The version that is being made.
    version: &'a str,
    deadline: Timestamp,
}

impl Rotation {
    /// Begins with what the function runs on.
    pub fn new(published: Arc<Published>) -> Self {
        Self {
            published,
            unsaved: Mutex::default(),
        }
    }

    /// Does one step, or finds that it is done.
    ///
    /// # Errors
    /// When it is not done. Secrets Manager then begins again with the first step, for the same version.
    pub async fn step(&self, request: &Request, deadline: Timestamp) -> Result<(), RotateError> {
        let tandem = self.published.current().await?;
        let versions = self
            .published
            .secrets()
            .versions(&request.secret_id)
            .ok_or(RotateError::NoAws)?;
        let described = versions.describe().await?;
        let site = tandem
            .config
            .sites
            .values()
            .find(|site| matches!(&site.secret, SecretRef::Aws(id) if described.is(id)))
            .ok_or_else(|| RotateError::NoSite(described.name.clone()))?;
        let rotated = Rotated {
            tandem: &tandem,
            site,
            versions,
            described,
            version: &request.client_request_token,
            deadline,
        };
        let version = Some(&request.client_request_token);
        if rotated.described.current.as_ref() == version {
            info!(site.name = %site.name, "{:?} of {}'s secret: this version is in use already", request.step, site.name);
            return rotated.end().await;
        }
        if rotated.described.pending.as_ref() != version {
            return Err(RotateError::NotPending(request.client_request_token.clone()));
        }
        match request.step {
            Step::Create => self.create(&rotated).await,
            Step::Set => rotated.pending().await.map(drop),
            Step::Test => self.test(&rotated).await,
            Step::Finish => rotated.finish().await,
        }
    }

    async fn create(&self, rotated: &Rotated<'_>) -> Result<(), RotateError> {
        let site = &rotated.site.name;
        // Two at once in one process would be two refreshes.
        let mut unsaved = self.unsaved.lock().await;
        if rotated.versions.text(rotated.version).await?.is_some() {
            info!(site.name = %site, "The pending version of {site}'s secret has been written already");
            return Ok(());
        }
        let current = rotated.current().await?;
        let secret = parse("current", &current)?;
        let Some(oauth) = secret.tempo_oauth else {
            rotated.versions.put_pending(rotated.version, &current).await?;
            info!(site.name = %site, "{site} has a static token of Tempo, which only a person can replace: copied as it is");
            return Ok(());
        };
        let spent = secret_digest(&oauth.refresh_token);
        let text = match unsaved.remove(&rotated.described.arn) {
            Some(kept) if kept.spent == spent => {
                warn!(site.name = %site, "Storing the tokens of {site} that an earlier attempt could not store");
                kept.text
            }
            _ => {
                // Better now than with a pair in hand that exists nowhere else.
                rotated.versions.rehearse().await?;
                match self.refreshed(rotated, &current, oauth).await {
                    Ok(text) => text,
                    Err(problem) if is_spent(&problem) && self.is_stored(rotated).await => {
                        info!(site.name = %site, "The pending version of {site}'s secret has been written meanwhile");
                        return Ok(());
                    }
                    Err(problem) => return Err(problem),
                }
            }
        };
        match rotated.store(&text, self.published.clock()).await {
            Ok(()) => {
                info!(site.name = %site, "Stored new tokens of Tempo for {site}, as pending");
                Ok(())
            }
            Err(problem) => {
                unsaved.insert(rotated.described.arn.clone(), Unsaved { spent, text });
                Err(RotateError::Unsaved(problem))
            }
        }
    }

    /// Whether the pending version is there after all: two sandboxes may be asked for the same step, neither finds a text, and
    /// one of the two has the pair.
    async fn is_stored(&self, rotated: &Rotated<'_>) -> bool {
        let clock = self.published.clock();
        for wait in STORED_BY_ANOTHER {
            let left = rotated.deadline.duration_since(clock.now()) - ANSWER;
            if left < SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX) {
                return false;
            }
            clock.sleep(wait).await;
            if let Ok(Some(_)) = rotated.versions.text(rotated.version).await {
                return true;
            }
        }
        false
    }

    /// Spends the refresh token. Returns the secret with the new pair in it.
    async fn refreshed(
        &self,
        rotated: &Rotated<'_>,
        current: &SecretString,
        old: tandem_aws::secrets::TempoOauth,
    ) -> Result<SecretString, RotateError> {
        rotated.slot(self.published.clock()).await?;
        let refresh = Refresh {
            client_id: old.client_id,
            client_secret: old.client_secret,
            redirect_uri: old.redirect_uri,
            refresh_token: old.refresh_token.clone(),
        };
        let transport = self.published.transport();
        let left = rotated.deadline.duration_since(self.published.clock().now()) / 2;
        let wait = Duration::try_from(left).unwrap_or_default().min(REFRESH_DEADLINE);
        let answer = oauth::refresh(transport.as_ref(), &rotated.site.tempo, &refresh, wait).await;
        rotated.tandem.metrics.seen(RequestSeen {
            site: &rotated.site.name,
            vendor: Vendor::Tempo,
            method: &Method::POST,
            template: "/oauth/token/",
            status: status(&answer),
        });
        let pair = answer?;
        let expires_at = pair.expires_in.and_then(|lasts| {
            let lasts = SignedDuration::try_from(lasts).ok()?;
            self.published.clock().now().checked_add(lasts).ok()
        });
        let refresh_token = pair.refresh_token.unwrap_or(old.refresh_token);
        SiteSecret::with_tempo_pair(
            current.expose_secret(),
            &pair.access_token,
            &refresh_token,
            expires_at,
        )
        .map_err(|what| RotateError::Malformed {
            version: "pending",
            what,
        })
    }

    async fn test(&self, rotated: &Rotated<'_>) -> Result<(), RotateError> {
        let site = &rotated.site.name;
        // When its rotation is switched on, Secrets Manager asks for this step alone, with a version that it makes for that
        // and takes away again: then the token in use shows whether the function reaches all that it needs.
        let (version, text) = match rotated.versions.text(rotated.version).await? {
            Some(pending) => ("pending", pending),
            None => ("current", rotated.current().await?),
        };
        let tested = parse(version, &text)?;
        rotated.slot(self.published.clock()).await?;
        let endpoints = SiteEndpoints {
            site: site.clone(),
            jira: rotated.site.jira.clone(),
            tempo: rotated.site.tempo.clone(),
        };
        let fixed = Arc::new(Fixed(Arc::new(credentials(&tested))));
        let client = AtlassianSite::new(endpoints, fixed, Arc::clone(self.published.transport()))
            .with_observer(Arc::clone(&rotated.tandem.metrics) as Arc<dyn RequestObserver>);
        match client.global_configuration().await {
            Ok(_) => Ok(()),
            // Tempo knows the token; what it may do is no matter of its age.
            Err(error) if matches!(error.kind, SiteErrorKind::Refused(_) | SiteErrorKind::NotFound) => {
                warn!(site.name = %site, "{site} takes the {version} token, but not for this: {}", error.unsaid());
                Ok(())
            }
            Err(error) => Err(RotateError::Test {
                version,
                said: error.unsaid().to_string(),
            }),
        }
    }
}

impl Rotated<'_> {
    /// Waits for the right to send the site a request, whether it is paused or not: an ended token pauses it.
    async fn slot(&self, clock: &dyn tandem_engine::ports::Clock) -> Result<(), RotateError> {
        let engine = &self.tandem.engine;
        let Some(site) = engine.sites.get(&self.site.name) else {
            return Err(RotateError::NoSite(self.described.name.clone()));
        };
        let mut last = None;
        for _ in 0..SLOT_TRIES_MAX {
            match engine.slot(site, Lane::Live).await {
                Err(EngineError::Deferred { site, until }) if until < self.deadline - ANSWER => {
                    sleep_until(clock, until).await;
                    last = Some(EngineError::Deferred { site, until });
                }
                other => return Ok(other?),
            }
        }
        last.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn current(&self) -> Result<SecretString, RotateError> {
        let current = self.described.current.as_ref().ok_or(RotateError::Empty)?;
        self.versions.text(current).await?.ok_or(RotateError::Empty)
    }

    async fn pending(&self) -> Result<SecretString, RotateError> {
        self.versions
            .text(self.version)
            .await?
            .ok_or(RotateError::NotCreated)
    }

    /// Writes the new pair, trying until the time is up: it exists nowhere else.
    async fn store(
        &self,
        text: &SecretString,
        clock: &dyn tandem_engine::ports::Clock,
    ) -> Result<(), VersionError> {
        let site = &self.site.name;
        let mut wait = STORE_RETRY_MIN;
        loop {
            let problem = match self.versions.put_pending(self.version, text).await {
                Ok(()) => return Ok(()),
                Err(problem) => problem,
            };
            let again_at = clock.now() + SignedDuration::try_from(wait).unwrap_or(SignedDuration::ZERO);
            if problem == VersionError::Written || again_at >= self.deadline - ANSWER {
                error!(site.name = %site, "The new tokens of {site} are not stored: {problem}");
                return Err(problem);
            }
            error!(site.name = %site, "The new tokens of {site} are not stored yet, trying again: {problem}");
            clock.sleep(wait).await;
            wait = (wait * 2).min(STORE_RETRY_MAX);
        }
    }

    /// Puts the pending version into use.
    async fn finish(&self) -> Result<(), RotateError> {
        let site = &self.site.name;
        let (current, pending) = (self.current().await?, self.pending().await?);
        let secret = parse("pending", &pending)?;
        let (was, is) = (current.expose_secret(), pending.expose_secret());
        let malformed = |what| RotateError::Malformed {
            version: "current",
            what,
        };
        let untouched = if secret.tempo_oauth.is_some() {
            SiteSecret::same_beside_tempo_pair(was, is).map_err(malformed)?
        } else {
            was == is
        };
        if !untouched {
            if secret.tempo_oauth.is_none() {
                // Nothing new is in the pending version, so that nothing is lost with it.
                self.end_pending().await?;
            }
            return Err(RotateError::Changed);
        }
        let current = self.described.current.as_deref().ok_or(RotateError::Empty)?;
        self.versions.promote(self.version, current).await?;
        info!(site.name = %site, "Put the new version of {site}'s secret into use");
        self.end_pending().await
    }

    /// Finishes what an earlier `finishSecret` has left.
    async fn end(&self) -> Result<(), RotateError> {
        match self.described.pending.as_deref() == Some(self.version) {
            true => self.end_pending().await,
            false => Ok(()),
        }
    }

    /// Takes the label of a rotation under way off: the next secret that a person stores would leave it behind on an
    /// old version, where workers would find an ended token and Secrets Manager a rotation that never ends.
    async fn end_pending(&self) -> Result<(), RotateError> {
        Ok(self.versions.end_pending(self.version).await?)
    }
}

/// The pending credentials, and no others.
struct Fixed(Arc<SiteCredentials>);

#[async_trait]
impl Credentials for Fixed {
    async fn current(&self, _fresh: bool) -> Result<Arc<SiteCredentials>, CredentialsError> {
        Ok(Arc::clone(&self.0))
    }
}

/// Whether Tempo says that the refresh token has been used.
fn is_spent(problem: &RotateError) -> bool {
    matches!(problem, RotateError::Refresh(RefreshError::Refused { code, .. }) if code == "invalid_grant")
}

/// Returns the status of Tempo's answer, where there was one that tells.
fn status(answer: &Result<TokenPair, RefreshError>) -> Option<u16> {
    match answer {
        Ok(_) => Some(200),
        Err(RefreshError::Refused { status, .. }) => Some(*status),
        Err(RefreshError::NotSent(_) | RefreshError::Unknown(_)) => None,
    }
}

fn parse(version: &'static str, text: &SecretString) -> Result<SiteSecret, RotateError> {
    SiteSecret::parse(text.expose_secret()).map_err(|what| RotateError::Malformed { version, what })
}

/// Tells one refresh token from another without keeping it.
fn secret_digest(token: &SecretString) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(token.expose_secret()))
}
