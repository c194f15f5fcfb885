//! Where the sites' clients get their credentials.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tandem_atlassian::{Credentials, CredentialsError, SiteCredentials};
use tandem_aws::secrets::{SecretError, SecretSource, Secrets, SiteSecret, Stage};
use tandem_core::SiteName;

use crate::config::SecretRef;

/// One site's secret, wherever it is kept.
#[derive(Clone)]
pub struct SiteSecrets {
    /// What fetches it.
    pub secrets: Arc<Secrets>,
    /// The site.
    pub site: SiteName,
    /// Where it is.
    pub source: SecretSource,
}

impl SiteSecrets {
    /// Returns the secret, from memory if it was read a moment ago.
    ///
    /// # Errors
    /// When it cannot be had or read.
    pub async fn current(&self, fresh: bool) -> Result<Arc<SiteSecret>, SecretError> {
        if fresh {
            self.secrets.reload(&self.site, &self.source).await
        } else {
            self.secrets.get(&self.site, &self.source).await
        }
    }
}

impl SiteSecrets {
    /// Returns the secret as it was at most this long ago.
    ///
    /// # Errors
    /// When it cannot be had or read.
    pub async fn not_older(&self, age: Duration) -> Result<Arc<SiteSecret>, SecretError> {
        self.secrets.not_older(&self.site, &self.source, age).await
    }
}

#[async_trait]
impl Credentials for SiteSecrets {
    async fn current(&self, fresh: bool) -> Result<Arc<SiteCredentials>, CredentialsError> {
        let secret = SiteSecrets::current(self, fresh)
            .await
            .map_err(|error| match error {
                SecretError::Unreachable { .. } => CredentialsError::Unavailable(error.to_string()),
                SecretError::Unreadable { .. } | SecretError::Malformed { .. } => {
                    CredentialsError::Unusable(error.to_string())
                }
            })?;
        Ok(Arc::new(credentials(&secret)))
    }

    async fn pending(&self) -> Result<Option<Arc<SiteCredentials>>, CredentialsError> {
        let pending = self.secrets.stage(&self.site, &self.source, Stage::Pending).await;
        let pending = pending.map_err(|error| CredentialsError::Unavailable(error.to_string()))?;
        Ok(pending.map(|secret| {
            let found = credentials(&secret);
            // The next call is not to begin with the token that was just rejected.
            self.secrets.adopt(&self.site, &self.source, Arc::new(secret));
            Arc::new(found)
        }))
    }
}

/// Returns the part of a secret that calls need.
pub fn credentials(secret: &SiteSecret) -> SiteCredentials {
    SiteCredentials {
        tempo_token: secret.tempo_token.clone(),
        jira_email: secret.jira_email.clone(),
        jira_token: secret.jira_token.clone(),
        digest: secret.credentials_digest(),
    }
}

/// Says where a secret is, in the words of what fetches it.
pub fn source(secret: &SecretRef) -> SecretSource {
    match secret {
        SecretRef::Aws(id) => SecretSource::Aws(id.clone()),
        SecretRef::Env(name) => SecretSource::Env(name.clone()),
        SecretRef::File(path) => SecretSource::File(path.clone()),
    }
}
