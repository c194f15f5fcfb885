//! One site with what is needed to register webhooks there.

use std::sync::Arc;

use secrecy::SecretString;
use tandem_atlassian::AtlassianSite;
use tandem_aws::SiteSecret;
use tandem_aws::secrets::{KeepError, KeptSecrets, SecretError};
use tandem_engine::ports::site::SiteError;
use tandem_engine::ports::store::Lane;
use tandem_engine::{Engine, EngineError, Site};
use tandem_runtime::config::SiteConfig;
use tandem_runtime::credentials::SiteSecrets;
use tandem_runtime::wiring::Tandem;
use url::Url;

use super::Arguments;
use crate::ending::Failure;

pub(super) struct Desk<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) config: &'a SiteConfig,
    pub(super) jira_url: String,
    pub(super) tempo_url: String,
    engine: &'a Engine,
    site: &'a Site,
    client: &'a AtlassianSite,
    secrets: &'a SiteSecrets,
}

/// Whether secrets of webhooks are where they belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// They were there.
    Already,
    /// They are now.
    Stored,
    /// They cannot be put there: the secret is in the environment.
    Nowhere,
}

impl<'a> Desk<'a> {
    pub(super) fn new(
        tandem: &'a Tandem,
        config: &'a SiteConfig,
        base: &Url,
        arguments: &'a Arguments,
    ) -> Result<Self, Failure> {
        let name = &config.name;
        let found = (
            tandem.engine.sites.get(name),
            tandem.clients.get(name),
            tandem.secrets.get(name),
        );
        let (Some(site), Some(client), Some(secrets)) = found else {
            return Err(Failure::failed(format!("site {name} is not configured")));
        };
        let base = base.as_str().trim_end_matches('/');
        Ok(Self {
            arguments,
            config,
            jira_url: format!("{base}/hooks/jira/{name}"),
            tempo_url: format!("{base}/hooks/tempo/{name}"),
            engine: &tandem.engine,
            site,
            client,
            secrets,
        })
    }

    /// What webhooks of this site are called.
    pub(super) fn name(&self) -> String {
        format!("Tandem {}", self.config.name)
    }

    /// Makes one paced call; `None` when the site says that this is not for the token's owner.
    pub(super) async fn ask<T>(
        &self,
        request: impl AsyncFnOnce(&AtlassianSite) -> Result<T, SiteError>,
    ) -> Result<Option<T>, Failure> {
        self.engine.pass(self.site, Lane::Live).await?;
        match request(self.client).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.status == Some(403) => Ok(None),
            Err(error) => Err(EngineError::Site {
                site: self.config.name.clone(),
                error,
            }
            .into()),
        }
    }

    /// The same for a call that follows on one that was for the token's owner.
    pub(super) async fn must<T>(
        &self,
        request: impl AsyncFnOnce(&AtlassianSite) -> Result<T, SiteError>,
    ) -> Result<T, Failure> {
        self.ask(request).await?.ok_or_else(|| {
            Failure::failed(format!(
                "{} allows webhooks to be listed, but not to be changed: call this again once that is allowed",
                self.config.name
            ))
        })
    }

    pub(super) async fn pause(&self) {
        self.engine.clock.sleep(std::time::Duration::from_secs(1)).await;
    }

    /// Asks for an audit of what was not told.
    pub(super) async fn want_audit(&self) -> Result<(), Failure> {
        Ok(self.engine.want_audit(&self.config.name).await?)
    }

    pub(super) async fn secret(&self) -> Result<Arc<SiteSecret>, Failure> {
        self.secrets
            .current(true)
            .await
            .map_err(|error: SecretError| Failure::Failed(error.into()))
    }

    /// Adds secrets of webhooks to the site's own.
    pub(super) async fn hold(&self, jira: &[SecretString], tempo: &[SecretString]) -> Result<Held, Failure> {
        let SiteSecrets {
            secrets,
            site,
            source,
        } = self.secrets;
        match secrets.add_webhook_secrets(site, source, jira, tempo).await {
            Ok(KeptSecrets::Stored) => Ok(Held::Stored),
            Ok(KeptSecrets::Already) => Ok(Held::Already),
            Err(KeepError::Environment(_)) => Ok(Held::Nowhere),
            Err(error) => Err(Failure::failed(format!("{site}: {error}"))),
        }
    }
}

/// Says whether two addresses are the same but for a slash at their end.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}
