//! What the schedules ask for: due, sweep, audit.
//!
//! Nothing keeps two passes from running at once, and nothing has to: each row is one runner's by its lease, and
//! cursors only move forward.

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
    // A run that has begun goes on for as long as its budget; where there is time for that, it is left to it.
    let budget = SignedDuration::try_from(engine.options.run_budget).unwrap_or(SignedDuration::MAX);
    let half = deadline.duration_since(engine.clock.now()) / 2;
    let leave_at = deadline - LEAVE.max(budget.saturating_add(LEAVE).min(half));
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
