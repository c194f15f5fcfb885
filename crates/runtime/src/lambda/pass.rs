//! What the schedules ask for: due, sweep, audit.
//!
//! Two passes may run at once and do no harm: each row is one runner's by its lease, and cursors only move forward. But
//! each takes up new rows for about three minutes, or ten where it sweeps, so that a backlog keeps a few of them busy
//! and not as many as fit into the longest invocation.

use futures::future::{Either, select};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tandem_engine::pass::Passed;
use tandem_engine::sweep::Swept;
use tandem_engine::{Engine, EngineError};
use tracing::{info, warn};

use super::{ANSWER, sleep_until};

/// How long before its deadline an invocation begins nothing new, at least.
const LEAVE: SignedDuration = SignedDuration::from_secs(15);

/// How long a `due`, which comes every minute, takes up new rows.
const DUE_TAKES: SignedDuration = SignedDuration::from_secs(170);

/// How long a sweep, which comes every five minutes, does.
const SWEEP_TAKES: SignedDuration = SignedDuration::from_secs(590);

/// A scheduled pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pass {
    /// What is due: retries, and what the stream did not tell.
    #[default]
    Due,
    /// What changed and no webhook told, then what is due.
    Sweep,
    /// Everything; what it finds is left for the next `due`.
    Audit,
}

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Which pass.
    pub pass: Pass,
    /// Links and issues that were found to look at.
    pub hinted: usize,
    /// Sites that could not be read.
    pub failed: usize,
    /// Rows looked at.
    pub looked: usize,
    /// Vendor writes that went through.
    pub written: usize,
    /// Looks at which something did not go through.
    pub troubled: usize,
    /// Whether the deadline ended it.
    pub cut_short: bool,
}

/// Runs a pass until it is done or the deadline comes.
///
/// # Errors
/// When the table fails.
pub async fn run(engine: &Engine, pass: Pass, deadline: Timestamp) -> Result<Report, EngineError> {
    let work = std::pin::pin!(pass_until(engine, pass, deadline));
    let stop = std::pin::pin!(sleep_until(engine, deadline - ANSWER));
    let report = match select(work, stop).await {
        Either::Left((report, _)) => report?,
        Either::Right(((), _)) => {
            // As if the process had died: cursors have not moved, leases run out, the next pass goes on.
            warn!("Gave up the pass: the deadline has come");
            Report {
                pass,
                cut_short: true,
                ..Report::default()
            }
        }
    };
    info!(
        pass.hinted = report.hinted,
        pass.looked = report.looked,
        pass.written = report.written,
        "{report:?}"
    );
    Ok(report)
}

/// Runs what goes with a pass once it is done, for as long as there is time: audits that are wanted out of turn.
///
/// # Errors
/// When the table fails.
pub async fn afterwards(engine: &Engine, pass: Pass, deadline: Timestamp) -> Result<(), EngineError> {
    if pass != Pass::Sweep {
        return Ok(());
    }
    let work = std::pin::pin!(engine.audit_wanted());
    let stop = std::pin::pin!(sleep_until(engine, deadline - ANSWER));
    match select(work, stop).await {
        Either::Left((swept, _)) => swept.map(drop),
        Either::Right(((), _)) => {
            warn!("Left the audit that is wanted for another time: the deadline has come");
            Ok(())
        }
    }
}

async fn pass_until(engine: &Engine, pass: Pass, deadline: Timestamp) -> Result<Report, EngineError> {
    let budget = SignedDuration::try_from(engine.options.run_budget).unwrap_or(SignedDuration::MAX);
    let leave_at = leave_at(pass, engine.clock.now(), deadline, budget);
    let (swept, passed) = match pass {
        Pass::Due => {
            // A secret that somebody has replaced shows within a minute.
            engine.resume_sites().await?;
            (Swept::default(), engine.run_due(Some(leave_at)).await?)
        }
        Pass::Sweep => (engine.sweep_pass().await?, engine.run_due(Some(leave_at)).await?),
        Pass::Audit => {
            engine.prepare().await?;
            (engine.audit().await?, Passed::default())
        }
    };
    Ok(Report {
        pass,
        hinted: swept.hinted,
        failed: swept.failed,
        looked: passed.looked,
        written: passed.written,
        troubled: passed.troubled,
        cut_short: false,
    })
}

/// Says until when a pass that begins now takes up new rows.
fn leave_at(pass: Pass, now: Timestamp, deadline: Timestamp, budget: SignedDuration) -> Timestamp {
    // A run that has begun goes on for as long as its budget; where there is time for that, it is left to it.
    let half = deadline.duration_since(now) / 2;
    let leave_at = deadline - LEAVE.max(budget.saturating_add(LEAVE).min(half));
    match pass {
        Pass::Due => leave_at.min(now + DUE_TAKES),
        Pass::Sweep => leave_at.min(now + SWEEP_TAKES),
        Pass::Audit => leave_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_takes_up_nothing_new_once_others_have_come_or_a_run_would_outlast_it() {
        let now: Timestamp = "2027-01-01T12:00:00Z".parse().unwrap();
        let takes = |pass, timeout, budget| {
            let secs = SignedDuration::from_secs;
            let until = leave_at(pass, now, now + secs(timeout), secs(budget));
            until.duration_since(now).as_secs()
        };
        // Lambda's longest invocation, with runs of up to fifty seconds.
        assert_eq!(takes(Pass::Due, 900, 50), 170);
        assert_eq!(takes(Pass::Sweep, 900, 50), 590);
        assert_eq!(takes(Pass::Audit, 900, 50), 835);
        // Shorter ones: there is time for a run, or half of all is left to one.
        assert_eq!(takes(Pass::Due, 120, 40), 65);
        assert_eq!(takes(Pass::Due, 60, 50), 30);
        assert_eq!(takes(Pass::Sweep, 60, 50), 30);
    }
}
