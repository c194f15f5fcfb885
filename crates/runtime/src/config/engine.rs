//! `[engine]`: the engine's patience and periods.

use std::time::Duration;

use url::Url;

use super::ConfigEnv;
use super::document::Table;
use super::urls::{self, Purpose};

const LOST_CREATE: &str = "a create that got no answer is made again after this long, and without it at once, so that a listing that \
     comes late would make a second worklog; 30s is the default";
const KEYS: [&str; 9] = [
    "settle",
    "sweep",
    "audit",
    "retry_min",
    "retry_max",
    "history",
    "create_grace",
    "park_retry",
    "public_url",
];

/// The engine's patience and periods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// Hints that come within this time are one run.
    pub settle: Duration,
    /// How often what changed is looked for.
    pub sweep: Duration,
    /// How often everything is compared.
    pub audit: Duration,
    /// The first backoff; it doubles from there.
    pub retry_min: Duration,
    /// The longest backoff.
    pub retry_max: Duration,
    /// How long the history is kept.
    pub history: Duration,
    /// How long a create of unknown outcome may take to show itself.
    pub create_grace: Duration,
    /// How soon what is parked is tried again.
    pub park_retry: Duration,
    /// Where the webhooks arrive.
    pub public_url: Option<Url>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            settle: Duration::from_secs(2),
            sweep: Duration::from_secs(5 * 60),
            audit: Duration::from_secs(24 * 60 * 60),
            retry_min: Duration::from_secs(5),
            retry_max: Duration::from_secs(15 * 60),
            history: Duration::from_secs(400 * 24 * 60 * 60),
            create_grace: Duration::from_secs(30),
            park_retry: Duration::from_secs(15 * 60),
            public_url: None,
        }
    }
}

pub(super) fn read(root: &Table<'_>, env: &ConfigEnv) -> EngineConfig {
    let mut engine = EngineConfig::default();
    let Some(table) = root
        .get("engine")
        .and_then(|value| value.table("write [engine], and the keys below it"))
    else {
        return engine;
    };
    table.only("[engine]", &KEYS);
    for (key, place) in [
        ("settle", &mut engine.settle),
        ("sweep", &mut engine.sweep),
        ("audit", &mut engine.audit),
        ("retry_min", &mut engine.retry_min),
        ("retry_max", &mut engine.retry_max),
        ("history", &mut engine.history),
        ("create_grace", &mut engine.create_grace),
        ("park_retry", &mut engine.park_retry),
    ] {
        let duration = table.get(key).and_then(|value| match key {
            "settle" => value.duration_or_none(),
            "create_grace" => value.duration_since_none(LOST_CREATE),
            _ => value.duration(),
        });
        if let Some(duration) = duration {
            *place = duration;
        }
    }
    if engine.retry_min > engine.retry_max {
        match (table.get("retry_min"), table.get("retry_max")) {
            (Some(value), Some(_)) => value.wrong(
                "`retry_min` is longer than `retry_max`",
                "backoff begins at `retry_min` and doubles up to `retry_max`",
            ),
            // What is not said gives way to what is.
            (None, _) => engine.retry_min = engine.retry_max,
            (_, None) => engine.retry_max = engine.retry_min,
        }
    }
    engine.public_url = table
        .get("public_url")
        .and_then(|value| urls::read(value, Purpose::Public, env));
    engine
}
