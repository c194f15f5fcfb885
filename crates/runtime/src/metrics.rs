//! Metrics in CloudWatch's embedded format (EMF): counted in memory, written as lines of the log.
//!
//! `infra/metrics.md` says what each means; alarms and dashboard rest on the names. One invocation writes each metric
//! once, with what it counted, so that a run of a thousand requests is not a thousand lines.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tandem_atlassian::{RequestObserver, RequestSeen};
use tandem_core::IntentKind;
use tandem_engine::ports::{Happened, Observer};

/// The namespace.
pub const NAMESPACE: &str = "Tandem";

/// The dimension that all metrics have: the name of the table.
pub const SERVICE: &str = "service";

/// A metric. Its name in CloudWatch is the variant's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Webhooks whose signature was right.
    Received,
    /// Webhooks that were answered 401.
    Rejected,
    /// Webhooks that were own writes coming back.
    Echo,
    /// Writes that a site took, by kind.
    Synced,
    /// What was set aside, by reason.
    Parked,
    /// Worklogs that only an audit told of.
    DriftFound,
    /// Those of them that were written.
    DriftRepaired,
    /// Requests to a site.
    Requests,
    /// Answers 429 of a site.
    RateLimited,
    /// Age of the oldest hint that could be worked on, in seconds.
    LagSeconds,
    /// Age of the last sweep, in seconds.
    SweepAgeSeconds,
    /// Age of the last audit, in seconds.
    AuditAgeSeconds,
    /// What waits for a person or a change, of the queue.
    Waiting,
    /// Those of them that the brake on mass deletes holds back.
    HeldDeletes,
    /// What has failed for more than an hour and is tried again, of the queue.
    Failing,
    /// Sites that are paused because they reject their token.
    PausedSites,
    /// Whole days until a token of a site runs out.
    TokenDaysLeft,
}

impl Metric {
    /// Returns the names of its dimensions beside [`SERVICE`].
    fn dimensions(self) -> &'static [&'static str] {
        match self {
            Metric::Synced => &["kind"],
            Metric::Parked => &["reason"],
            Metric::Requests | Metric::RateLimited => &["site"],
            Metric::TokenDaysLeft => &["site", "token"],
            _ => &[],
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Metric::LagSeconds | Metric::SweepAgeSeconds | Metric::AuditAgeSeconds => "Seconds",
            _ => "Count",
        }
    }
}

/// What was counted since the last [`lines`](Metrics::lines).
#[derive(Debug, Default)]
pub struct Metrics {
    service: String,
    counted: Mutex<BTreeMap<(Vec<String>, Metric), i64>>,
}

impl Metrics {
    /// Counts for a service: the name of the table.
    pub fn new(service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            ..Self::default()
        }
    }

    /// Adds one to a metric; `part` is the values of its dimensions beside [`SERVICE`].
    pub fn count(&self, metric: Metric, part: &[&str]) {
        self.with(metric, part, |value| *value = value.saturating_add(1));
    }

    /// Writes a metric that is counted even if there is nothing to count: an alarm forgets a bad day only for a better one.
    pub fn even_if_none(&self, metric: Metric, part: &[&str]) {
        self.with(metric, part, |_| {});
    }

    /// Sets a gauge.
    pub fn set(&self, metric: Metric, part: &[&str], to: i64) {
        self.with(metric, part, |value| *value = to);
    }

    fn with(&self, metric: Metric, part: &[&str], change: impl FnOnce(&mut i64)) {
        debug_assert_eq!(part.len(), metric.dimensions().len(), "{metric:?}");
        let part = part.iter().map(|&value| value.to_owned()).collect();
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        change(counted.entry((part, metric)).or_default());
    }

    /// Takes what was counted, as lines of the log.
    pub fn lines(&self, now: Timestamp) -> Vec<String> {
        let counted = std::mem::take(&mut *self.counted.lock().unwrap_or_else(PoisonError::into_inner));
        let mut lines: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for ((part, metric), value) in counted {
            lines
                .entry((metric.dimensions(), part))
                .or_default()
                .push((metric, value));
        }
        lines
            .into_iter()
            .map(|((dimensions, part), metrics)| line(&self.service, now, dimensions, &part, &metrics))
            .collect()
    }
}

/// Writes what shares its dimensions as one line.
fn line(
    service: &str,
    now: Timestamp,
    dimensions: &[&'static str],
    part: &[String],
    metrics: &[(Metric, i64)],
) -> String {
    let mut sets = vec![vec![SERVICE]];
    let mut fields = Map::new();
    fields.insert(SERVICE.to_owned(), json!(service));
    if !dimensions.is_empty() {
        sets.push([&[SERVICE], dimensions].concat());
    }
    for (dimension, value) in dimensions.iter().zip(part) {
        fields.insert((*dimension).to_owned(), json!(value));
    }
    let mut definitions = Vec::new();
    for (metric, value) in metrics {
        let name = format!("{metric:?}");
        definitions.push(json!({"Name": name, "Unit": metric.unit()}));
        fields.insert(name, json!(value));
    }
    let about = json!({
        "Timestamp": now.as_millisecond(),
        "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": sets, "Metrics": definitions}],
    });
    fields.insert("_aws".to_owned(), about);
    Value::Object(fields).to_string()
}

impl Observer for Metrics {
    fn happened(&self, what: Happened) {
        match what {
            Happened::Echo => self.count(Metric::Echo, &[]),
            Happened::Synced(kind) => {
                let kind = match kind {
                    IntentKind::Create => "create",
                    IntentKind::Update => "update",
                    IntentKind::Delete => "delete",
                };
                self.count(Metric::Synced, &[kind]);
            }
            Happened::Parked(reason) => self.count(Metric::Parked, &[reason.as_str()]),
            Happened::DriftFound => self.count(Metric::DriftFound, &[]),
            Happened::DriftRepaired => self.count(Metric::DriftRepaired, &[]),
        }
    }
}

impl RequestObserver for Metrics {
    fn seen(&self, request: RequestSeen<'_>) {
        let site = request.site.as_str();
        self.count(Metric::Requests, &[site]);
        if request.status == Some(429) {
            self.count(Metric::RateLimited, &[site]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_written_once_under_both_sets_of_dimensions() {
        let metrics = Metrics::new("table");
        metrics.count(Metric::Requests, &["acme"]);
        metrics.count(Metric::Requests, &["acme"]);
        metrics.count(Metric::RateLimited, &["acme"]);
        metrics.count(Metric::Requests, &["globex"]);
        metrics.set(Metric::LagSeconds, &[], 7);
        metrics.set(Metric::LagSeconds, &[], 0);
        metrics.set(Metric::TokenDaysLeft, &["acme", "jira"], 9);
        let now = Timestamp::from_millisecond(1_800_000_000_123).unwrap();
        let lines: Vec<Value> = metrics
            .lines(now)
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let about = |sets: Value, metrics: Value| {
            json!({
                "Timestamp": 1_800_000_000_123_i64,
                "CloudWatchMetrics": [{"Namespace": "Tandem", "Dimensions": sets, "Metrics": metrics}],
            })
        };
        let both = json!([["service"], ["service", "site"]]);
        let requests = json!({"Name": "Requests", "Unit": "Count"});
        assert_eq!(
            lines,
            [
                json!({
                    "_aws": about(json!([["service"]]), json!([{"Name": "LagSeconds", "Unit": "Seconds"}])),
                    "service": "table", "LagSeconds": 0,
                }),
                json!({
                    "_aws": about(both.clone(), json!([requests, {"Name": "RateLimited", "Unit": "Count"}])),
                    "service": "table", "site": "acme", "Requests": 2, "RateLimited": 1,
                }),
                json!({
                    "_aws": about(both, json!([requests])),
                    "service": "table", "site": "globex", "Requests": 1,
                }),
                json!({
                    "_aws": about(
                        json!([["service"], ["service", "site", "token"]]),
                        json!([{"Name": "TokenDaysLeft", "Unit": "Count"}]),
                    ),
                    "service": "table", "site": "acme", "token": "jira", "TokenDaysLeft": 9,
                }),
            ]
        );
        assert_eq!(metrics.lines(now), [""; 0]);
    }
}
