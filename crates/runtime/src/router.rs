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
use http_body_util::{BodyExt, LengthLimitError, Limited};
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

/// How much of a longer body is read and not kept: more than Jira ever sends.
const PASSED_OVER_MAX: usize = 32 * 1024 * 1024;

/// The longest handshake value that is answered.
const HANDSHAKE_CHARS_MAX: usize = 512;

const JIRA_SIGNATURE: &str = "X-Hub-Signature";
const TEMPO_SIGNATURE: &str = "Tempo-Signature";

/// Gives the current wiring: a fixed one on one machine, the newest published one on Lambda.
#[async_trait]
pub trait Current: Send + Sync {
    /// Returns it, or why there is none yet.
    async fn tandem(&self) -> Result<Arc<Tandem>, String>;

    /// Returns what there is without asking for it, and how it stands.
    async fn at_hand(&self) -> Result<(Arc<Tandem>, Age), String> {
        Ok((self.tandem().await?, Age::New))
    }

    /// Says what to take a webhook with once more that was taken with something [old](Age::Old); `None`: it stands.
    async fn newest(&self, with: &Arc<Tandem>) -> Result<Option<Arc<Tandem>>, String> {
        let newest = self.tandem().await?;
        Ok((!Arc::ptr_eq(&newest, with)).then_some(newest))
    }
}

/// How a wiring that is at hand stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// It is to be used.
    New,
    /// It may have been replaced since it was read.
    Old,
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

/// A webhook as it came.
struct Webhook<'a> {
    vendor: Vendor,
    site: SiteName,
    headers: &'a HeaderMap,
    body: Bytes,
}

/// What came of taking a webhook.
enum Taken {
    /// There is no such site.
    Unknown,
    /// The signature is none of the site's.
    Forged,
    /// Whether the signature is right cannot be told.
    Unverified(String),
    /// The body is not JSON.
    Unreadable,
    /// It tells of something else.
    Useless,
    Stored(Stored),
    /// The table did not take it.
    Unstored(String),
}

async fn take(current: Shared, vendor: Vendor, site: SiteName, headers: &HeaderMap, body: Body) -> Response {
    let (mut tandem, age) = match current.at_hand().await {
        Ok(at_hand) => at_hand,
        Err(problem) => return unavailable(&problem),
    };
    let body = match read(body).await {
        Ok(body) => body,
        Err(error) if error.is::<LengthLimitError>() => {
            return (StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 256 KiB").into_response();
        }
        Err(error) => {
            debug!("A body broke off: {error}");
            return (StatusCode::BAD_REQUEST, "the body broke off").into_response();
        }
    };
    let webhook = Webhook {
        vendor,
        site,
        headers,
        body,
    };
    let mut taken = webhook.take(&tandem).await;
    // What is of no use in one version is of none in another.
    if age == Age::Old && !matches!(taken, Taken::Unreadable | Taken::Useless) {
        match current.newest(&tandem).await {
            Ok(Some(newest)) => {
                taken = webhook.take(&newest).await;
                tandem = newest;
            }
            Ok(None) => {}
            Err(problem) => taken = Taken::Unverified(problem),
        }
    }
    webhook.answer(&tandem, taken)
}

impl Webhook<'_> {
    /// Verifies it, and stores what it tells.
    async fn take(&self, tandem: &Tandem) -> Taken {
        let Some(secrets) = tandem.secrets.get(&self.site) else {
            return Taken::Unknown;
        };
        match verified(tandem, secrets, self.vendor, self.headers, &self.body).await {
            Ok(true) => {}
            Ok(false) => return Taken::Forged,
            Err(error) => return Taken::Unverified(error.to_string()),
        }
        let event = match self.vendor {
            Vendor::Jira => parse_jira(&self.body).map(from_jira),
            Vendor::Tempo => parse_tempo(&self.body).map(from_tempo),
        };
        let event = match event {
            Ok(Some(event)) => event,
            Ok(None) => return Taken::Useless,
            Err(_) => return Taken::Unreadable,
        };
        let trace = trace(self.vendor, self.headers);
        let stored = tandem.engine.ingest_traced(&self.site, &event, Some(&trace));
        stored
            .await
            .map_or_else(|error| Taken::Unstored(error.to_string()), Taken::Stored)
    }

    fn answer(&self, tandem: &Tandem, taken: Taken) -> Response {
        let (vendor, site) = (self.vendor, &self.site);
        match &taken {
            Taken::Unknown | Taken::Forged => tandem.metrics.count(Metric::Rejected, &[]),
            Taken::Unverified(_) => {}
            Taken::Unreadable | Taken::Useless | Taken::Stored(_) | Taken::Unstored(_) => {
                tandem.metrics.count(Metric::Received, &[]);
            }
        }
        match taken {
            // Its name is a stranger's words, and not for the log.
            Taken::Unknown => refused(),
            Taken::Forged => {
                info!(site.name = %site, "Refused a webhook for {site}: its signature is missing or wrong");
                refused()
            }
            Taken::Unreadable => (StatusCode::BAD_REQUEST, "the body is not JSON").into_response(),
            Taken::Useless => StatusCode::NO_CONTENT.into_response(),
            Taken::Stored(Stored::Hint) => {
                let trace = trace(vendor, self.headers);
                info!(site.name = %site, trace, "Took a webhook of {vendor:?} for {site}");
                StatusCode::ACCEPTED.into_response()
            }
            Taken::Stored(Stored::Nothing) => {
                let trace = trace(vendor, self.headers);
                debug!(site.name = %site, trace, "Had no use for a webhook of {vendor:?} for {site}");
                StatusCode::NO_CONTENT.into_response()
            }
            Taken::Unverified(problem) | Taken::Unstored(problem) => unavailable(&problem),
        }
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

/// Reads a body. One that is too long is read on without being kept: whoever is cut off in the middle of it sees a broken
/// connection in place of the answer, and sends it again.
async fn read(mut body: Body) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    let read = Limited::new(&mut body, BODY_BYTES_MAX).collect().await;
    if read.is_err() {
        let mut left = PASSED_OVER_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    }
    Ok(read?.to_bytes())
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use secrecy::SecretString;
    use tandem_atlassian::signature::sign_jira;
    use tandem_aws::secrets::Secrets;
    use tandem_aws::{Embedded, TableCounts};
    use tandem_engine::ports::{Clock, Store};

    use super::*;
    use crate::config::ConfigEnv;
    use crate::current::Published;
    use crate::current::tests::{HandClock, NoNetwork};

    const SECRET: &str = "webhook-secret";

    /// A function that has published version 1: the sites a and b, and what there is between them.
    struct World {
        clock: Arc<HandClock>,
        store: Arc<tandem_aws::DynamoStore>,
        counts: TableCounts,
        published: Arc<Published>,
    }

    impl World {
        async fn new(connections: &str) -> Self {
            let clock = Arc::new(HandClock(AtomicI64::new(1_800_000_000)));
            let store = Arc::new(Embedded::open(None).await.unwrap().store());
            let secret = format!(
                r#"{{"tempo_token":"t","jira_email":"j@x.example","jira_token":"j","jira_webhook_secrets":["{SECRET}"]}}"#
            );
            let published = Published::new(
                Arc::clone(&store) as Arc<dyn Store>,
                Arc::new(Secrets::new(None, move |_| Some(secret.clone()))),
                Arc::new(NoNetwork),
                Arc::clone(&clock) as Arc<dyn Clock>,
                ConfigEnv::default(),
            );
            let world = Self {
                clock,
                counts: store.counts().clone(),
                published: Arc::new(published.asking_along(Arc::clone(store.newer()))),
                store,
            };
            world.publish(connections).await;
            world.published.current().await.unwrap();
            world
        }

        async fn publish(&self, connections: &str) {
            let site = |name: &str| {
                format!(r#"sites.{name} = {{ jira = "https://{name}.atlassian.net", secret = "env:S" }}"#)
            };
            let text = format!("{}\n{}\n{connections}", site("a"), site("b"));
            self.store.put_config(&text, self.clock.now()).await.unwrap();
        }

        fn minutes_pass(&self) {
            self.clock.0.fetch_add(3600, Ordering::Relaxed);
        }

        /// Has Jira tell of a worklog. Returns the answer, and what it cost in requests to the table.
        async fn told(&self, site: &str, issue: u64) -> (StatusCode, u64) {
            let body = format!(
                r#"{{"webhookEvent":"worklog_created","worklog":{{"id":"7","issueId":"{issue}","timeSpentSeconds":60}}}}"#
            );
            let mut headers = HeaderMap::new();
            let signature = sign_jira(body.as_bytes(), &SecretString::from(SECRET));
            headers.insert(JIRA_SIGNATURE, signature.parse().unwrap());
            let before = self.counts.total();
            let current = Arc::clone(&self.published) as Shared;
            let answer = jira(State(current), Ok(Path(site.to_owned())), headers, body.into()).await;
            (answer.status(), self.counts.total() - before)
        }

        async fn in_use(&self) -> Vec<String> {
            let connections = self.published.current().await.unwrap();
            let connections = connections.config.connections.iter();
            connections
                .map(|connection| connection.name.to_string())
                .collect()
        }

        async fn due(&self) -> usize {
            self.store.due(None).await.unwrap().0.len()
        }
    }

    fn connection(name: &str) -> String {
        format!("[[connections]]\nname = \"{name}\"\na = \"a\"\nb = \"b\"\n")
    }

    #[tokio::test]
    async fn what_an_event_of_no_use_did_not_ask_is_asked_for_by_no_later_webhook() {
        let world = World::new(&connection("one")).await;
        world.minutes_pass();
        let body = r#"{"webhookEvent":"x"}"#;
        let mut headers = HeaderMap::new();
        let signature = sign_jira(body.as_bytes(), &SecretString::from(SECRET));
        headers.insert(JIRA_SIGNATURE, signature.parse().unwrap());
        let current = Arc::clone(&world.published) as Shared;
        let answer = jira(State(current), Ok(Path("a".to_owned())), headers, body.into()).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        // Then somebody publishes, and a handshake reads that.
        world.publish(&connection("two")).await;
        assert_eq!(world.in_use().await, ["two"]);
        assert_eq!(world.told("a", 1).await, (StatusCode::ACCEPTED, 2));
    }

    #[tokio::test]
    async fn a_webhook_after_an_hour_of_nothing_costs_two_requests_and_runs_on_what_was_published_meanwhile()
    {
        let world = World::new(&connection("one")).await;
        assert_eq!(world.told("a", 1).await, (StatusCode::ACCEPTED, 2));

        // Nobody has published anything.
        world.minutes_pass();
        assert_eq!(world.told("a", 2).await, (StatusCode::ACCEPTED, 2));
        // That there is none is known for a minute again, without another word to the table.
        let before = world.counts.total();
        assert_eq!(world.in_use().await, ["one"]);
        assert_eq!(world.counts.total(), before);

        world.minutes_pass();
        world.publish(&connection("between")).await;
        world.publish(&connection("two")).await;
        world.counts.reset();
        assert_eq!(world.told("a", 3).await, (StatusCode::ACCEPTED, 2));
        assert_eq!(
            world.counts.of("Query"),
            0,
            "the newest version was asked for by itself"
        );
        assert_eq!(world.in_use().await, ["two"]);

        // One that cannot be used is none.
        world.minutes_pass();
        world
            .store
            .put_config("sites = 1", world.clock.now())
            .await
            .unwrap();
        world.counts.reset();
        assert_eq!(world.told("a", 4).await, (StatusCode::ACCEPTED, 2));
        assert_eq!(world.in_use().await, ["two"]);
        assert_eq!(world.due().await, 4);
    }

    #[tokio::test]
    async fn a_webhook_finds_the_newest_of_however_many_were_published_meanwhile() {
        let world = World::new(&connection("one")).await;
        world.minutes_pass();
        for name in ["2", "3", "4", "5", "6", "7"] {
            world.publish(&connection(name)).await;
        }
        let (status, requests) = world.told("a", 1).await;
        assert_eq!(
            (status, world.in_use().await),
            (StatusCode::ACCEPTED, vec!["7".to_owned()])
        );
        assert_eq!(requests, 3);
    }

    #[tokio::test]
    async fn a_site_that_was_published_meanwhile_is_known_to_its_first_webhook() {
        let world = World::new(&connection("one")).await;
        assert_eq!(world.told("c", 1).await.0, StatusCode::UNAUTHORIZED);
        world.minutes_pass();
        let site = r#"sites.c = { jira = "https://c.atlassian.net", secret = "env:S" }"#;
        let with_c = connection("one") + "[[connections]]\nname = \"c\"\na = \"a\"\nb = \"c\"\n";
        world.publish(&format!("{site}\n{with_c}")).await;
        assert_eq!(world.told("c", 1).await.0, StatusCode::ACCEPTED);
        assert_eq!(world.in_use().await, ["one", "c"]);
    }

    #[tokio::test]
    async fn strangers_have_the_configuration_read_once_a_minute_at_most() {
        let world = World::new(&connection("one")).await;
        world.minutes_pass();
        for (number, requests) in [(1, 1), (2, 0), (3, 0)] {
            assert_eq!(
                world.told("nobody", number).await,
                (StatusCode::UNAUTHORIZED, requests)
            );
        }
    }
}
