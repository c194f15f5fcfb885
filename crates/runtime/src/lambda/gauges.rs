//! What is measured rather than counted: how far behind, what waits, and how long tokens last.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use jiff::Timestamp;
use tandem_aws::secrets::Token;
use tandem_core::{LinkKey, Reason};
use tandem_engine::{Engine, EngineError};
use tracing::warn;

use super::pass::Pass;
use crate::metrics::Metric;
use crate::wiring::Tandem;

/// Measures what belongs to a pass, before it begins: afterwards, what it was late for would be gone.
///
/// What cannot be read is left out; a gap in a gauge is what alarms are told to make of.
pub async fn read(tandem: &Tandem, pass: Pass) {
    match pass {
        Pass::Due => {
            if let Err(problem) = ages(tandem).await {
                warn!("Could not tell how far behind the work is: {problem}");
            }
        }
        Pass::Sweep => tokens(tandem).await,
        Pass::Audit => {}
    }
}

/// Measures what a pass leaves behind: what waits once it has done what it could.
pub async fn read_after(tandem: &Tandem, pass: Pass) {
    if pass != Pass::Sweep {
        return;
    }
    if let Err(problem) = waits(tandem).await {
        warn!("Could not tell what waits: {problem}");
    }
}

/// Measures everything: for a process that has no passes of its own.
pub async fn read_all(tandem: &Tandem) {
    read(tandem, Pass::Due).await;
    read(tandem, Pass::Sweep).await;
    read_after(tandem, Pass::Sweep).await;
}

/// How many rows are looked at for what waits. Where there are more, somebody has long been told.
const WAITS_MAX: usize = 1000;

async fn waits(tandem: &Tandem) -> Result<(), EngineError> {
    let (engine, metrics) = (&tandem.engine, &tandem.metrics);
    let mut paused = 0;
    for name in engine.sites.keys() {
        paused += i64::from(engine.store.site(name).await?.paused.is_some());
    }
    metrics.set(Metric::PausedSites, &[], paused);
    let reasons = waiting(engine).await?;
    let count = |wanted: &dyn Fn(Reason) -> bool| {
        let found = reasons.iter().filter(|reason| wanted(**reason)).count();
        i64::try_from(found).unwrap_or(i64::MAX)
    };
    metrics.set(Metric::Waiting, &[], count(&|_| true));
    metrics.set(
        Metric::HeldDeletes,
        &[],
        count(&|reason| reason == Reason::MassDelete),
    );
    Ok(())
}

/// Returns what is parked or missing and nobody said to ignore, each by its reason: the worklogs, then the links that
/// cannot be looked at.
async fn waiting(engine: &Engine) -> Result<Vec<Reason>, EngineError> {
    let mut reasons = Vec::new();
    let mut seen = 0;
    // What was linked once stays for the history; nothing of it waits.
    let mut linked: BTreeMap<LinkKey, bool> = BTreeMap::new();
    for connection in &engine.connections {
        let mut cursor = None;
        while seen < WAITS_MAX {
            let (pairs, next) = engine.store.waiting(&connection.name, cursor).await?;
            seen += pairs.len();
            for pair in pairs {
                let Some(wait) = pair.wait.as_ref().filter(|_| !pair.is_ignored()) else {
                    continue;
                };
                let is_linked = match linked.entry(pair.link.clone()) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(new) => *new.insert(engine.store.link(&pair.link).await?.is_some()),
                };
                reasons.extend(is_linked.then_some(wait.reason));
            }
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
    }
    let mut cursor = None;
    while seen < WAITS_MAX {
        let (rows, next) = engine.store.due(cursor).await?;
        seen += rows.len();
        reasons.extend(
            rows.into_iter()
                .filter(|row| !row.quiet)
                .filter_map(|row| row.reason),
        );
        match next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    Ok(reasons)
}

async fn ages(tandem: &Tandem) -> Result<(), EngineError> {
    let (engine, metrics) = (&tandem.engine, &tandem.metrics);
    let published_at = tandem.published_at.unwrap_or_else(|| engine.clock.now());
    let lag = engine.lag().await?;
    metrics.set(Metric::LagSeconds, &[], lag.as_secs());
    let age = engine.sweep_age(published_at).await?;
    metrics.set(Metric::SweepAgeSeconds, &[], age.as_secs());
    let age = engine.audit_age(published_at).await?;
    metrics.set(Metric::AuditAgeSeconds, &[], age.as_secs());
    Ok(())
}

async fn tokens(tandem: &Tandem) {
    let now = tandem.engine.clock.now();
    for (site, secrets) in &tandem.secrets {
        // A secret that cannot be read is told of by every call to its site.
        // Boxed, or its type nests too deep for the compiler.
        let Ok(secret) = Box::pin(secrets.current(false)).await else {
            continue;
        };
        for token in Token::ALL {
            if let Some(end) = secret.end_of(token) {
                let part = [site.as_str(), token.as_str()];
                tandem
                    .metrics
                    .set(Metric::TokenDaysLeft, &part, days_left(now, end));
            }
        }
    }
}

/// Counts whole days; none is left of what is over.
fn days_left(now: Timestamp, end: Timestamp) -> i64 {
    (end.duration_since(now).as_hours() / 24).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_counts_once_it_is_whole() {
        let now: Timestamp = "2027-01-01T12:00:00Z".parse().unwrap();
        for (end, days) in [
            ("2027-01-31T12:00:00Z", 30),
            ("2027-01-31T11:59:59Z", 29),
            ("2027-01-02T11:00:00Z", 0),
            ("2026-12-01T00:00:00Z", 0),
        ] {
            assert_eq!(days_left(now, end.parse().unwrap()), days, "{end}");
        }
    }
}
