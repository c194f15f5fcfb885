//! Sends calls: the one path from a [`Call`] to an answer or a [`SiteError`].

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tandem_core::SiteName;
use tandem_engine::ports::site::{SiteError, SiteErrorKind, Vendor};

use crate::answer::{Answer, Misread};
use crate::call::{Auth, Call};
use crate::classify;
use crate::credentials::{Credentials, CredentialsError, SiteCredentials};
use crate::endpoints::SiteEndpoints;
use crate::observer::{RequestObserver, RequestSeen};
use crate::transport::Transport;

/// How long one call may take, its answer included.
pub const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// One site: its Tempo and its Jira behind the engine's port.
///
/// Holds no secret itself; it asks its [`Credentials`] for each call.
pub struct AtlassianSite {
    pub(crate) endpoints: SiteEndpoints,
    credentials: Arc<dyn Credentials>,
    transport: Arc<dyn Transport>,
    observer: Option<Arc<dyn RequestObserver>>,
    deadline: Duration,
    others: Vec<String>,
}

/// A successful answer, with what is needed to complain about it.
pub(crate) struct Answered {
    call: Call,
    pub(crate) answer: Answer,
    credentials: Option<Arc<SiteCredentials>>,
}

impl Answered {
    /// Reads the body.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&[u8]) -> Result<T, Misread>) -> Result<T, SiteError> {
        read(&self.answer.body).map_err(|misread| {
            classify::misread(&self.call, &self.answer, &misread, self.credentials.as_deref())
        })
    }

    /// Makes a message for a person out of what the site said.
    pub(crate) fn message(&self, said: &str) -> String {
        classify::said_with(self.answer.status, said, self.credentials.as_deref())
    }
}

fn bare(address: &str) -> String {
    address.trim_end_matches('/').to_lowercase()
}

impl AtlassianSite {
    /// Puts a site together.
    pub fn new(
        endpoints: SiteEndpoints,
        credentials: Arc<dyn Credentials>,
        transport: Arc<dyn Transport>,
    ) -> Self {
        Self {
            endpoints,
            credentials,
            transport,
            observer: None,
            deadline: CALL_DEADLINE,
            others: Vec::new(),
        }
    }

    /// Tells an observer of every request.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn RequestObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Changes how long one call may take; [`CALL_DEADLINE`] otherwise.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Tells at which addresses other sites' Jiras are: a Tempo token with which these sites' worklogs are listed is
    /// theirs, and is taken as one that is rejected.
    #[must_use]
    pub fn beside(mut self, others: impl IntoIterator<Item = String>) -> Self {
        self.others = others.into_iter().map(|address| bare(&address)).collect();
        self
    }

    /// Refuses a listing that is another site's. Tempo's address is the same for all, and issues of the same ids may be on
    /// each: what was read there would be written over what stands here.
    pub(crate) fn is_ours(&self, listed: &Answered) -> Result<(), SiteError> {
        if self.others.is_empty() {
            return Ok(());
        }
        // What cannot be read, whoever reads the rest complains of.
        let Ok(Some(address)) = crate::tempo::admin::read_jira_address(&listed.answer.body) else {
            return Ok(());
        };
        let address = bare(&address);
        if address == bare(self.endpoints.jira.as_str()) || !self.others.contains(&address) {
            return Ok(());
        }
        let what = format!(
            "the Tempo token in the secret of {} is another site's: it lists the worklogs of {address}; make one in Tempo on {} itself",
            self.endpoints.site, self.endpoints.site
        );
        Err(classify::anothers(&listed.call, listed.answer.status, what))
    }

    /// Returns the site's name in the configuration.
    pub fn name(&self) -> &SiteName {
        &self.endpoints.site
    }

    /// Returns where the site is.
    pub fn endpoints(&self) -> &SiteEndpoints {
        &self.endpoints
    }

    /// Reads the secret anew and returns its digest.
    pub(crate) async fn fresh_digest(&self) -> Result<String, CredentialsError> {
        Ok(self.credentials.current(true).await?.digest.clone())
    }

    /// Sends a call and returns its 2xx answer.
    ///
    /// Exactly one request, but for rejected credentials: the secret is read anew, and if its digest differs from
    /// the one used, the call is made once more. Tempo ends an OAuth token as soon as it gives the next one, before
    /// that can be in use; so if it is still rejected, the same goes for what a rotation has pending.
    pub(crate) async fn send(&self, call: Call) -> Result<Answered, SiteError> {
        let credentials = match call.auth {
            Auth::Anonymous => None,
            Auth::Token => Some(
                self.credentials
                    .current(false)
                    .await
                    .map_err(|error| no_credentials(&call, &error))?,
            ),
        };
        let rejected = match self.send_once(&call, credentials.clone()).await {
            Err(error) if error.kind == SiteErrorKind::CredentialsRejected => error,
            other => return other,
        };
        let Some(used) = credentials else {
            return Err(rejected);
        };
        let mut known = vec![used.digest.clone()];
        let mut rejected = rejected;
        if let Ok(fresh) = self.credentials.current(true).await
            && !known.contains(&fresh.digest)
        {
            known.push(fresh.digest.clone());
            rejected = match self.send_once(&call, Some(fresh)).await {
                Err(error) if error.kind == SiteErrorKind::CredentialsRejected => error,
                other => return other,
            };
        }
        if call.vendor == Vendor::Tempo
            && let Ok(Some(pending)) = self.credentials.pending().await
            && !known.contains(&pending.digest)
        {
            return self.send_once(&call, Some(pending)).await;
        }
        Err(rejected)
    }

    async fn send_once(
        &self,
        call: &Call,
        credentials: Option<Arc<SiteCredentials>>,
    ) -> Result<Answered, SiteError> {
        let base = match call.vendor {
            Vendor::Tempo => &self.endpoints.tempo,
            Vendor::Jira => &self.endpoints.jira,
        };
        let request = call
            .to_http(base, credentials.as_deref())
            .map_err(|problem| classify::unusable(call, problem))?;
        let sent = self
            .transport
            .send(request, self.deadline)
            .await
            .map(Answer::from);
        if let Some(observer) = &self.observer {
            observer.seen(RequestSeen {
                site: &self.endpoints.site,
                vendor: call.vendor,
                method: &call.method,
                template: call.template,
                status: sent.as_ref().ok().map(|answer| answer.status.as_u16()),
            });
        }
        let answer = sent.map_err(|cause| classify::unanswered(call, &cause))?;
        if call.vendor == Vendor::Jira
            && call.auth == Auth::Token
            && answer.login_failed()
            && answer.status != StatusCode::TOO_MANY_REQUESTS
            && !answer.status.is_server_error()
        {
            return Err(classify::login_failed(call, answer.status));
        }
        match answer.status.is_success() {
            true => Ok(Answered {
                call: call.clone(),
                answer,
                credentials,
            }),
            false => Err(classify::refusal(call, &answer, credentials.as_deref())),
        }
    }
}

pub(crate) fn no_credentials(call: &Call, error: &CredentialsError) -> SiteError {
    let kind = match error {
        CredentialsError::Unavailable(_) => SiteErrorKind::Unreachable { retry_after: None },
        CredentialsError::Unusable(_) => SiteErrorKind::NoCredentials,
    };
    classify::unsent(call, kind, error.to_string())
}
