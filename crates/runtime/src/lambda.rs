//! What the Lambda functions share, short of Lambda's own types: the cold start, and what an event asks for.
//!
//! A function is translation in, one call here, translation out. Nothing here knows the shape of an event, so
//! it all runs in tests without Lambda.

pub mod gauges;
pub mod pass;
pub mod people;
pub mod rotate;
pub mod wake;

use std::io::{Write, stdout};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, join, join_all, select};
use jiff::{SignedDuration, Timestamp};
use tandem_atlassian::LazyTransport;
use tandem_aws::secrets::{SecretSource, Secrets};
use tandem_aws::{AwsEnvironment, DynamoStore, EnvironmentError, TableCounts};
use tandem_core::SiteName;
use tandem_engine::Engine;
use tandem_engine::ports::Clock;
use tracing::{Level, error, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use crate::clock::SystemClock;
use crate::config::ConfigEnv;
use crate::current::Published;
use crate::metrics::Metrics;
use crate::panics;

/// How long before its deadline an invocation is left, so that its answer still goes out.
const ANSWER: SignedDuration = SignedDuration::from_secs(2);

/// How long a start waits for the configuration and the sites' secrets. After ten seconds Lambda ends it, and has it begin once more in the
/// first event's time.
const START: Duration = Duration::from_secs(3);

/// How long before its deadline an invocation begins nothing new, at least.
const LEAVE: SignedDuration = SignedDuration::from_secs(15);

/// Why a function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The table is not named.
    #[error("TANDEM_TABLE is not set: it names the DynamoDB table")]
    NoTable,
    /// The level of the log is none.
    #[error("TANDEM_LOG is `{0}`, but must be error, warn, info, debug or trace")]
    LogLevel(String),
    /// A variable of AWS is missing.
    #[error(transparent)]
    Aws(#[from] EnvironmentError),
}

/// What a function is there for, and so what its start makes ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Verifies webhooks: with the sites' secrets, and without a word to a site.
    Webhooks,
    /// Talks to the sites, with their secrets.
    Sites,
    /// Renews tokens: reads the one secret that it is asked for, anew.
    Tokens,
}

/// Starts the log and makes what lives as long as the process. To be called once.
///
/// The configuration is read here too, and the sites' secrets where they are needed: Lambda's time is not yet an event's,
/// and a start has a whole processor for the names, connections and TLS that come with it. If that fails, the first event tries
/// again.
///
/// # Errors
/// When the environment lacks something; the log has said what.
pub async fn start(
    work: Work,
    vars: impl IntoIterator<Item = (String, String)>,
) -> Result<Arc<Published>, StartError> {
    let environment = Environment::from_vars(vars);
    log(environment
        .as_ref()
        .map_or(Level::INFO, |environment| environment.log));
    match environment {
        Ok(environment) => {
            let network = Arc::<LazyTransport>::default();
            let named = environment.secrets.clone();
            let published = environment.published(Arc::clone(&network));
            // The table is asked first; what needs no answer is done while it answers.
            let meanwhile = async {
                published.secrets().prepare();
                if work != Work::Webhooks {
                    network.prepare();
                }
                if work != Work::Tokens {
                    let secrets = published.secrets();
                    join_all(named.iter().map(|(site, source)| secrets.get(site, source))).await;
                }
            };
            read_early(&published, work, meanwhile).await;
            Ok(Arc::new(published))
        }
        Err(error) => {
            error!("Cannot start: {error}");
            Err(error)
        }
    }
}

/// Reads the configuration, so that the first event finds it, if the table gives it at once; and then those of the sites'
/// secrets, where they are needed, that were not read `meanwhile`.
async fn read_early(published: &Published, work: Work, meanwhile: impl Future<Output = ()>) {
    // Secrets that are under way are waited for, so that none is asked for twice.
    let read = pin!(join(published.current(), meanwhile));
    let mut enough = pin!(published.clock().sleep(START));
    let tandem = match select(read, &mut enough).await {
        Either::Left(((Ok(tandem), ()), _)) => tandem,
        Either::Left(((Err(error), ()), _)) => return warn!("Started without a configuration: {error}"),
        Either::Right(_) => {
            return warn!(
                "Started without a configuration, or without secrets: not all has come within {} s",
                START.as_secs()
            );
        }
    };
    if work == Work::Tokens {
        return;
    }
    // One that cannot be read is told of by whoever needs it.
    let secrets = tandem.secrets.values().map(|secret| secret.current(false));
    let read = pin!(join_all(secrets));
    if let Either::Right(_) = select(read, enough).await {
        warn!(
            "Started without all secrets: they have not come within {} s",
            START.as_secs()
        );
    }
}

/// Waits for what a sender is to be answered with, as long as there is time to answer at all. `None` for what took
/// longer; the log has said so.
pub async fn in_time<T>(published: &Published, deadline_ms: u64, work: impl Future<Output = T>) -> Option<T> {
    let now = published.clock().now();
    let left = deadline(deadline_ms, now).duration_since(now) - ANSWER;
    let work = pin!(work);
    let stop = pin!(
        published
            .clock()
            .sleep(Duration::try_from(left).unwrap_or_default())
    );
    match select(work, stop).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => {
            // Lambda would end the process, and its log would not say why.
            warn!(
                "Could not take a webhook: the table or Secrets Manager did not answer before the deadline"
            );
            None
        }
    }
}

/// What the environment says.
#[derive(Debug)]
struct Environment {
    table: String,
    /// The sites' secrets, by names that they most likely have in the configuration. What is read for another name is read in
    /// vain.
    secrets: Vec<(SiteName, SecretSource)>,
    aws: AwsEnvironment,
    config: ConfigEnv,
    log: Level,
}

impl Environment {
    fn from_vars(vars: impl IntoIterator<Item = (String, String)>) -> Result<Self, StartError> {
        let vars: Vec<_> = vars.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let get = |wanted: &str| {
            vars.iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.as_str())
        };
        let log = match get("TANDEM_LOG") {
            Some(level) => level
                .parse()
                .map_err(|_| StartError::LogLevel(level.to_owned()))?,
            None => Level::INFO,
        };
        Ok(Self {
            table: get("TANDEM_TABLE").ok_or(StartError::NoTable)?.to_owned(),
            secrets: get("TANDEM_SECRETS").map(secrets).unwrap_or_default(),
            log,
            config: ConfigEnv::from_vars(vars.iter().map(|(name, value)| (name, value))),
            aws: AwsEnvironment::from_vars(vars)?,
        })
    }

    fn published(self, network: Arc<LazyTransport>) -> Published {
        let counts = TableCounts::default();
        let metrics = Arc::new(Metrics::new(&self.table));
        let store = DynamoStore::new(self.aws.dynamodb(&counts), self.table, counts);
        let newer = Arc::clone(store.newer());
        let secrets = Secrets::with_manager(
            move || Some(self.aws.secrets_manager()),
            |name| std::env::var(name).ok(),
        );
        Published::new(
            Arc::new(store),
            Arc::new(secrets),
            network,
            Arc::new(SystemClock),
            self.config,
        )
        .counted(metrics)
        .asking_along(newer)
    }
}

/// Reads `SITE=ID` for each site, parted by blanks. One without a site is one that the stack does not have.
fn secrets(text: &str) -> Vec<(SiteName, SecretSource)> {
    text.split_whitespace()
        .filter_map(|one| one.split_once('='))
        .filter(|(site, id)| !site.is_empty() && !id.is_empty())
        .map(|(site, id)| (SiteName::new(site), SecretSource::Aws(id.to_owned())))
        .collect()
}

/// Writes JSON lines, which CloudWatch takes apart.
///
/// The level is for Tandem's own lines; libraries keep to warnings, since what they tell below that may hold
/// headers and bodies, and so tokens and people's texts.
fn log(level: Level) {
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_ansi(false);
    let log = Registry::default().with(lines.with_filter(told(level)));
    // Fails when there is a log already, which is as good.
    let _ = tracing::subscriber::set_global_default(log);
    panics::say_where_only();
}

/// Says what of whom is told; a name stands for all that begin with it.
fn told(level: Level) -> Targets {
    let ours = ["tandem", "webhook", "worker", "reconcile", "rotate"];
    Targets::new()
        .with_default(Level::WARN)
        // The runtime's span carries the id of the request.
        .with_target("lambda_runtime", Level::INFO)
        .with_targets(ours.map(|name| (name, level)))
}

/// Writes what was counted into the log. To be called at the end of each event.
pub fn write_metrics(published: &Published) {
    let mut out = stdout().lock();
    for line in published.metrics().lines(published.clock().now()) {
        // Whoever reads the log is gone, then.
        let _ = writeln!(out, "{line}");
    }
}

/// Reads an invocation's deadline, in milliseconds since 1970; one that makes no sense is in ten seconds.
pub fn deadline(ms: u64, now: Timestamp) -> Timestamp {
    let told = i64::try_from(ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    told.filter(|told| *told > now)
        .unwrap_or_else(|| now.saturating_add(SignedDuration::from_secs(10)).unwrap_or(now))
}

/// Says until when an invocation takes up new rows, where a run goes on for at most its budget.
///
/// A run that has begun is broken off by the deadline as by a death: where there is time for a whole one, it is left to
/// it, but never more than half of all.
fn leave_at(now: Timestamp, deadline: Timestamp, budget: SignedDuration) -> Timestamp {
    let half = deadline.duration_since(now) / 2;
    deadline - LEAVE.max(budget.saturating_add(LEAVE).min(half))
}

/// How long a run may go on.
fn budget(engine: &Engine) -> SignedDuration {
    SignedDuration::try_from(engine.options.run_budget).unwrap_or(SignedDuration::MAX)
}

/// Waits for work until a moment. `None` for what takes longer, which is broken off as by a death.
async fn by<T>(clock: &dyn Clock, at: Timestamp, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(sleep_until(clock, at))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

/// Sleeps until a moment.
async fn sleep_until(clock: &dyn Clock, at: Timestamp) {
    if let Ok(wait) = at.duration_since(clock.now()).try_into() {
        clock.sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    #[test]
    fn a_missing_variable_stops_the_start_by_name() {
        let aws = [
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "key"),
        ];
        let error = |extra: &[(&str, &str)]| {
            Environment::from_vars(vars(&[aws.as_slice(), extra].concat()))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(error(&[]), "TANDEM_TABLE is not set: it names the DynamoDB table");
        assert_eq!(
            error(&[("TANDEM_TABLE", "")]),
            "TANDEM_TABLE is not set: it names the DynamoDB table"
        );
        let level = error(&[("TANDEM_TABLE", "t"), ("TANDEM_LOG", "loud")]);
        assert_eq!(
            level,
            "TANDEM_LOG is `loud`, but must be error, warn, info, debug or trace"
        );
        let aws = Environment::from_vars(vars(&[("TANDEM_TABLE", "t")]))
            .unwrap_err()
            .to_string();
        assert_eq!(aws, "AWS_REGION is not set; AWS needs it");
    }

    #[test]
    fn a_stack_of_two_sites_names_the_secrets_of_two() {
        let named = secrets("acme=tandem/acme globex=tandem/globex =tandem/ =tandem/");
        let expected =
            ["acme", "globex"].map(|site| (SiteName::new(site), SecretSource::Aws(format!("tandem/{site}"))));
        assert_eq!(named, expected);
        assert_eq!(secrets("nonsense"), []);
    }

    #[test]
    fn libraries_keep_to_warnings_whatever_the_level_of_our_own_lines() {
        let told = told(Level::DEBUG);
        assert!(told.would_enable("tandem_engine::run", &Level::DEBUG));
        assert!(told.would_enable("webhook", &Level::DEBUG));
        assert!(!told.would_enable("tandem_engine::run", &Level::TRACE));
        assert!(told.would_enable("lambda_runtime::layers", &Level::INFO));
        assert!(told.would_enable("hyper_util", &Level::WARN));
        for library in ["hyper_util", "aws_smithy_runtime", "lambda_http", "reqwest"] {
            assert!(!told.would_enable(library, &Level::INFO), "{library}");
        }
    }

    #[test]
    fn nothing_is_begun_that_cannot_end_in_time() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let takes = |timeout, budget| {
            let secs = SignedDuration::from_secs;
            leave_at(now, now + secs(timeout), secs(budget))
                .duration_since(now)
                .as_secs()
        };
        // The worker's invocation with runs of up to 45 s: the last one still ends.
        assert_eq!(takes(180, 45), 120);
        // Half of all, where a whole run would leave next to nothing.
        assert_eq!(takes(100, 45), 50);
        assert_eq!(takes(60, 45), 30);
        // Too short for anything.
        assert_eq!(takes(20, 45), 5);
        assert!(takes(9, 45) <= 0);
        // Whatever the configuration says.
        let endless = leave_at(now, now + SignedDuration::from_secs(180), SignedDuration::MAX);
        assert_eq!(endless.duration_since(now).as_secs(), 90);
    }

    #[tokio::test]
    async fn what_takes_too_long_is_left_at_its_time() {
        let soon = || SystemClock.now() + SignedDuration::from_millis(20);
        assert_eq!(by(&SystemClock, soon(), async { 7 }).await, Some(7));
        assert_eq!(by(&SystemClock, soon(), std::future::pending::<()>()).await, None);
        // What needs no waiting is done, however late it is.
        let late = SystemClock.now() - SignedDuration::from_secs(1);
        assert_eq!(by(&SystemClock, late, async { 7 }).await, Some(7));
    }

    #[test]
    fn a_deadline_is_never_over_already() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let later = now + SignedDuration::from_secs(30);
        assert_eq!(deadline(later.as_millisecond().unsigned_abs(), now), later);
        for nonsense in [0, u64::MAX] {
            assert_eq!(deadline(nonsense, now), now + SignedDuration::from_secs(10));
        }
    }
}
