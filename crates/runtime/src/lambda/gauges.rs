//! What is measured rather than counted: how far behind, what waits, and how long tokens last.

use jiff::{SignedDuration, Timestamp};
use tandem_aws::secrets::Token;
use tandem_core::Reason;
use tandem_engine::EngineError;
use tandem_engine::operator::ItemState;
use tracing::warn;

use super::pass::{Pass, Report};
use super::{ANSWER, by};
use crate::metrics::Metric;
use crate::wiring::Tandem;

/// How long a process without passes of its own waits for what is measured after one.
const READ_ALL: SignedDuration = SignedDuration::from_secs(30);

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

/// Measures what a pass leaves behind, while there is time for that: what is paused, and after a sweep what waits once it
/// has done what it could. An audit that came to its end says that it did, however little differed.
pub async fn read_after(tandem: &Tandem, report: &Report, deadline: Timestamp) {
    let pass = report.pass;
    if pass == Pass::Audit && !report.cut_short {
        tandem.metrics.even_if_none(Metric::DriftFound, &[]);
    }
    let told = by(&*tandem.engine.clock, deadline - ANSWER, waits(tandem, pass)).await;
    if let Some(Err(problem)) = told {
        warn!("Could not tell what waits: {problem}");
    }
}

/// Measures everything: for a process that has no passes of its own.
pub async fn read_all(tandem: &Tandem) {
    read(tandem, Pass::Due).await;
    read(tandem, Pass::Sweep).await;
    let soon = tandem.engine.clock.now() + READ_ALL;
    let swept = Report {
        pass: Pass::Sweep,
        ..Report::default()
    };
    read_after(tandem, &swept, soon).await;
}

async fn waits(tandem: &Tandem, pass: Pass) -> Result<(), EngineError> {
    let (engine, metrics) = (&tandem.engine, &tandem.metrics);
    let set = |metric, count| metrics.set(metric, &[], i64::try_from(count).unwrap_or(i64::MAX));
    let mut paused = 0;
    for name in engine.sites.keys() {
        paused += usize::from(engine.store.site(name).await?.paused.is_some());
    }
    set(Metric::PausedSites, paused);
    if pass != Pass::Sweep {
        return Ok(());
    }
    let mut items = engine.queue().await?;
    let now = engine.clock.now();
    set(
        Metric::Failing,
        items.iter().filter(|item| item.is_failing(now)).count(),
    );
    items.retain(|item| matches!(item.state, ItemState::Parked | ItemState::Missing));
    set(Metric::Waiting, items.len());
    items.retain(|item| item.reason == Some(Reason::MassDelete));
    set(Metric::HeldDeletes, items.len());
    Ok(())
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
