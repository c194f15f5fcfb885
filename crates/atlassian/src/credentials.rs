//! What a site's secret gives to a call, and where it comes from.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;

/// The part of a site's secret that calls need.
pub struct SiteCredentials {
    /// Tempo's API token.
    pub tempo_token: SecretString,
    /// The service user's e-mail address at Jira.
    pub jira_email: String,
    /// The service user's API token at Jira.
    pub jira_token: SecretString,
    /// Tells change from no change. Not secret: a keyed or truncated hash, not the tokens.
    pub digest: String,
}

// Without the e-mail address, which is personal.
impl std::fmt::Debug for SiteCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SiteCredentials")
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// Why a site's secret could not be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The secret's store does not answer; again later.
    #[error("the site's secret cannot be read now: {0}")]
    Unavailable(String),
    /// There is no such secret, or it does not hold what it should. Says what is wrong, never the content.
    #[error("the site's secret cannot be used: {0}")]
    Unusable(String),
}

/// Gives one site's credentials, from a cache where it can.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// Returns the credentials; with `fresh`, read anew from where they are kept.
    async fn current(&self, fresh: bool) -> Result<Arc<SiteCredentials>, CredentialsError>;

    /// Returns the credentials that a rotation under way is about to put into use, where there are any. From then
    /// on `current(false)` gives these too, until it reads anew.
    async fn pending(&self) -> Result<Option<Arc<SiteCredentials>>, CredentialsError> {
        Ok(None)
    }
}
