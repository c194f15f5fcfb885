//! The webhook endpoint: the same router on Lambda and on one machine.
//!
//! Nothing of a body is parsed before its signature is verified, and nobody learns from an answer which sites
//! there are: an unknown site, a missing signature and a wrong one get the same 401.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};
use tandem_atlassian::signature::{verify_jira, verify_tempo};
use tandem_atlassian::webhook::{JiraEvent, TempoEvent, WorklogChange, parse_jira, parse_tempo};
use tandem_aws::secrets::{SecretError, SiteSecret};
use tandem_core::SiteName;
use tandem_engine::{Event, Stored};
use tracing::{debug, info, warn};

use crate::metrics::Metric;
use crate::wiring::Tandem;

/// The largest body that is taken, in bytes.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// The longest handshake value that is answered.
const HANDSHAKE_CHARS_MAX: usize = 512;

const JIRA_SIGNATURE: &str = "X-Hub-Signature";
const TEMPO_SIGNATURE: &str = "Tempo-Signature";

/// Gives the current wiring: a fixed one on one machine, the newest published one on Lambda.
#[async_trait]
pub trait Current: Send + Sync {
    /// Returns it, or why there is none yet.
    async fn tandem(&self) -> Result<Arc<Tandem>, String>;
}

#[async_trait]
impl Current for Arc<Tandem> {
    async fn tandem(&self) -> Result<Arc<Tandem>, String> {
        Ok(Arc::clone(self))
    }
}

type Shared = Arc<dyn Current>;

/// Returns the router for `/hooks/jira/{site}`, `/hooks/tempo/{site}` and `/healthz`.
pub fn router(current: Shared) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/hooks/jira/{site}", axum::routing::post(jira))
        .route("/hooks/tempo/{site}", get(handshake).post(tempo))
        .with_state(current)
}

/// Who a webhook claims to come from.
#[derive(Clone, Copy, Debug)]
enum Vendor {
    Jira,
    Tempo,
}

/// The site that a path names, by a name that no site has where it is not text: what is wrong with it is nobody's to
/// learn.
type Named = Result<Path<String>, PathRejection>;

fn name(site: Named) -> SiteName {
    SiteName::new(site.map(|Path(site)| site).unwrap_or_default())
}

async fn jira(State(current): State<Shared>, site: Named, headers: HeaderMap, body: Body) -> Response {
    take(current, Vendor::Jira, name(site), &headers, body)
        .await
        .into_response()
}

async fn tempo(State(current): State<Shared>, site: Named, headers: HeaderMap, body: Body) -> Response {
    take(current, Vendor::Tempo, name(site), &headers, body)
        .await
        .into_response()
}

/// Tempo asks once whether we are there: the value it sends has to come back as it is.
async fn handshake(State(current): State<Shared>, site: Named, RawQuery(query): RawQuery) -> Response {
    let tandem = match current.tandem().await {
        Ok(tandem) => tandem,
        Err(problem) => return unavailable(&problem),
    };
    if !tandem.secrets.contains_key(&name(site)) {
        return refused();
    }
    let value = query.as_deref().and_then(|query| {
        form(query)
            .into_iter()
            .find_map(|(name, value)| (name == "randomString").then_some(value))
    });
    match value.filter(|value| !value.is_empty() && value.chars().count() <= HANDSHAKE_CHARS_MAX) {
        Some(value) => {
            let headers = [
                (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (StatusCode::OK, headers, value).into_response()
        }
        None => (StatusCode::BAD_REQUEST, "randomString is missing").into_response(),
    }
}

/// Splits a query string; `%XX` and `+` are decoded.
fn form(query: &str) -> Vec<(String, String)> {
    let url = format!("http://localhost/?{query}");
    match url::Url::parse(&url) {
        Ok(url) => url
            .query_pairs()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect(),
        Err(_) => Vec::new(),
    }
}

fn refused() -> Response {
    (
        StatusCode::UNAUTHORIZED,
        "the signature is missing or wrong, or there is no such site",
    )
        .into_response()
}

fn unavailable(problem: &str) -> Response {
    // The sender tries again on 503; what is wrong is for our own log.
    warn!("Could not take a webhook: {problem}");
    (StatusCode::SERVICE_UNAVAILABLE, "try again later").into_response()
}

async fn take(current: Shared, vendor: Vendor, site: SiteName, headers: &HeaderMap, body: Body) -> Response {
    let tandem = match current.tandem().await {
        Ok(tandem) => tandem,
        Err(problem) => return unavailable(&problem),
    };
    let body = match axum::body::to_bytes(body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) if is_too_long(&error) => {
            return (StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 256 KiB").into_response();
        }
        Err(error) => {
            debug!("A body broke off: {error}");
            return (StatusCode::BAD_REQUEST, "the body broke off").into_response();
        }
    };
    let Some(secrets) = tandem.secrets.get(&site) else {
        tandem.metrics.count(Metric::Rejected, &[]);
        return refused();
    };
    match verified(&tandem, secrets, vendor, headers, &body).await {
        Ok(true) => tandem.metrics.count(Metric::Received, &[]),
        Ok(false) => {
            tandem.metrics.count(Metric::Rejected, &[]);
            info!(site.name = %site, "Refused a webhook for {site}: its signature is missing or wrong");
            return refused();
        }
        Err(error) => return unavailable(&error.to_string()),
    }
    let event = match vendor {
        Vendor::Jira => parse_jira(&body).map(from_jira),
        Vendor::Tempo => parse_tempo(&body).map(from_tempo),
    };
    let Ok(event) = event else {
        return (StatusCode::BAD_REQUEST, "the body is not JSON").into_response();
    };
    let Some(event) = event else {
        return StatusCode::NO_CONTENT.into_response();
    };
    let trace = trace(vendor, headers);
    match tandem.engine.ingest_traced(&site, &event, Some(&trace)).await {
        Ok(Stored::Hint) => {
            info!(site.name = %site, trace, "Took a webhook of {vendor:?} for {site}");
            StatusCode::ACCEPTED.into_response()
        }
        Ok(Stored::Nothing) => {
            debug!(site.name = %site, trace, "Had no use for a webhook of {vendor:?} for {site}");
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => unavailable(&error.to_string()),
    }
}

/// Names a webhook that was verified, for the log and the history: the same webhook has the same name however often
/// it comes. A digest of its signature, since that is of the whole body and nobody can make it from a guess of the text.
fn trace(vendor: Vendor, headers: &HeaderMap) -> String {
    let header = match vendor {
        Vendor::Jira => JIRA_SIGNATURE,
        Vendor::Tempo => TEMPO_SIGNATURE,
    };
    let signature = headers.get(header).map(|value| value.as_bytes());
    let digest = Sha256::digest(signature.unwrap_or_default());
    hex::encode(&digest[..8])
}

fn is_too_long(error: &axum::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// How old a secret may be whose signatures a webhook does not bear, before it is read again.
const DOUBTED_AFTER: Duration = Duration::from_secs(5);

/// Verifies a signature. A secret is kept in memory for half a minute. Somebody may have replaced it since, and a sender
/// takes a refusal for final; but strangers must not make us read it with each thing that they send.
async fn verified(
    tandem: &Tandem,
    secrets: &crate::credentials::SiteSecrets,
    vendor: Vendor,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<bool, SecretError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let now = tandem.engine.clock.now();
    let fits = |secret: &SiteSecret| match vendor {
        Vendor::Jira => text(JIRA_SIGNATURE)
            .is_some_and(|signature| verify_jira(body, signature, &secret.jira_webhook_secrets)),
        Vendor::Tempo => match (text(TEMPO_SIGNATURE), text("Tempo-Timestamp")) {
            (Some(signature), Some(timestamp)) => {
                verify_tempo(body, signature, timestamp, &secret.tempo_webhook_secrets, now)
            }
            _ => false,
        },
    };
    if fits(secrets.current(false).await?.as_ref()) {
        return Ok(true);
    }
    Ok(fits(secrets.not_older(DOUBTED_AFTER).await?.as_ref()))
}

fn from_jira(event: JiraEvent) -> Option<Event> {
    match event {
        JiraEvent::Worklog {
            kind: WorklogChange::Deleted,
            at,
            jira_id,
            issue,
            ..
        } => Some(Event::JiraDeleted {
            worklog: jira_id,
            issue,
            at,
        }),
        JiraEvent::Worklog {
            jira_id,
            issue,
            author,
            author_is_app,
            updater_is_app,
            updated,
            time_spent_secs,
            comment,
            ..
        } => {
            Some(Event::JiraChanged {
                worklog: jira_id,
                issue: issue?,
                // Tempo's app stands for somebody whom Jira does not know.
                author: author.filter(|_| author_is_app != Some(true)),
                by_app: updater_is_app,
                updated_at: updated,
                time_spent_secs,
                description: comment,
            })
        }
        JiraEvent::IssueDeleted { issue } | JiraEvent::IssueMoved { issue, .. } => {
            Some(Event::IssueChanged { issue })
        }
        JiraEvent::Other(name) => {
            debug!("Took no notice of Jira's event {name:?}");
            None
        }
    }
}

fn from_tempo(event: TempoEvent) -> Option<Event> {
    match event {
        TempoEvent::Worklog {
            kind: WorklogChange::Deleted,
            id,
            issue,
            ..
        } => Some(Event::TempoDeleted { worklog: id, issue }),
        TempoEvent::Worklog {
            id,
            issue,
            author,
            start_date,
            time_spent_secs,
            description,
            updated_at,
            ..
        } => {
            let issue = issue?;
            let changed = || {
                Some(Event::TempoChanged {
                    worklog: id,
                    issue,
                    author: author?,
                    start_date: start_date?,
                    time_spent_secs: time_spent_secs?,
                    description,
                    updated_at: updated_at?,
                })
            };
            // What it leaves out is no reason not to look.
            Some(changed().unwrap_or(Event::TempoTold { worklog: id, issue }))
        }
        TempoEvent::Other(name) => {
            debug!("Took no notice of Tempo's event {name:?}");
            None
        }
    }
}
