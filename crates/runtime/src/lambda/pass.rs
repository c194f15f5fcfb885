//! What the schedules ask for: due, sweep, audit.
//!
//! Of each, one at a time takes up work: it has a lease in the table, and one that comes meanwhile, or was started
//! twice, leaves at once. Two at once would do no harm, since each row is one runner's by its own lease and cursors only
//! move forward; they would read everything twice, at the cost of people's changes.
//!
//! `due` takes up new rows for about three minutes and a sweep for ten. The runs that they have begun by then may go on
//! beside the next one's, so that one long run holds up no schedule.

use std::time::Duration;

use futures::future::{Either, select};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tandem_engine::pass::Passed;
use tandem_engine::sweep::Swept;
use tandem_engine::{Engine, EngineError};
use tracing::{info, warn};

use super::{ANSWER, budget, by};
use crate::subscriptions;
use crate::wiring::Tandem;

/// How long a `due`, which comes every minute, takes up new rows.
const DUE_TAKES: SignedDuration = SignedDuration::from_secs(170);

/// How long a sweep, which comes every five minutes, does.
const SWEEP_TAKES: SignedDuration = SignedDuration::from_secs(590);

/// How long a pass that has died keeps others from beginning: less than a minute, so that the next `due` takes over.
const LEASE: Duration = Duration::from_secs(50);

/// How often it is prolonged.
const PROLONGED_EVERY: Duration = Duration::from_secs(15);

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
    /// Whether another one is at work, and this one did nothing.
    pub skipped: bool,
}

impl Pass {
    /// The name of its lease.
    fn lease(self) -> &'static str {
        match self {
            Self::Due => "pass:due",
            Self::Sweep => "pass:sweep",
            Self::Audit => "pass:audit",
        }
    }
}

/// Runs a pass as [`run`] does, unless another one takes up work: then it does nothing, and says so.
///
/// # Errors
/// When the table fails.
pub async fn run_alone(engine: &Engine, pass: Pass, deadline: Timestamp) -> Result<Report, EngineError> {
    let begins = engine
        .store
        .begin(pass.lease(), &engine.owner, engine.clock.now(), LEASE);
    if !begins.await? {
        if pass == Pass::Due {
            // A secret that somebody has replaced shows within a minute, however busy another one is.
            engine.resume_sites().await?;
        }
        info!("Left the pass to another one, which is at work");
        return Ok(Report {
            pass,
            skipped: true,
            ..Report::default()
        });
    }
    let work = std::pin::pin!(run(engine, pass, deadline));
    let holding = std::pin::pin!(hold(engine, pass, until(engine, pass, deadline)));
    let report = match select(work, holding).await {
        Either::Left((report, _)) => report,
        Either::Right(((), work)) => work.await,
    };
    // A pass that fails gives it back as well: what fails is tried again.
    if let Err(problem) = engine.store.end(pass.lease(), &engine.owner).await {
        warn!("Could not give the pass's lease back, so that it runs out: {problem}");
    }
    report
}

/// Runs a pass until it is done or the deadline comes, whoever else is at work.
///
/// # Errors
/// When the table fails.
pub async fn run(engine: &Engine, pass: Pass, deadline: Timestamp) -> Result<Report, EngineError> {
    let work = pass_until(engine, pass, deadline);
    let report = match by(&*engine.clock, deadline - ANSWER, work).await {
        Some(report) => report?,
        None => {
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

/// Runs what goes with a pass before it begins: the hourly look at Tempo's subscriptions. It has half of the time at most,
/// since the pass is what the time is for; what it did not come to has its turn in an hour.
///
/// # Errors
/// When the table fails.
pub async fn beforehand(tandem: &Tandem, pass: Pass, deadline: Timestamp) -> Result<(), EngineError> {
    if pass != Pass::Sweep {
        return Ok(());
    }
    let clock = &*tandem.engine.clock;
    let half = clock.now() + deadline.duration_since(clock.now()) / 2;
    match by(clock, half, subscriptions::look(tandem)).await {
        Some(looked) => looked,
        None => {
            warn!("Left Tempo's subscriptions for another time: the sweep has to begin");
            Ok(())
        }
    }
}

/// Runs what goes with a pass once it is done, for as long as there is time: audits that are wanted out of turn.
///
/// # Errors
/// When the table fails.
pub async fn afterwards(engine: &Engine, pass: Pass, deadline: Timestamp) -> Result<(), EngineError> {
    if pass != Pass::Sweep {
        return Ok(());
    }
    match by(&*engine.clock, deadline - ANSWER, engine.audit_wanted()).await {
        Some(swept) => swept.map(drop),
        None => {
            warn!("Left the audit that is wanted for another time: the deadline has come");
            Ok(())
        }
    }
}

/// Says until when a pass that begins now takes up new rows.
fn until(engine: &Engine, pass: Pass, deadline: Timestamp) -> Timestamp {
    leave_at(pass, engine.clock.now(), deadline, budget(engine))
}

/// Keeps a pass's lease for as long as it takes up new rows.
async fn hold(engine: &Engine, pass: Pass, leave_at: Timestamp) {
    loop {
        engine.clock.sleep(PROLONGED_EVERY).await;
        let now = engine.clock.now();
        if now >= leave_at {
            return;
        }
        match engine.store.begin(pass.lease(), &engine.owner, now, LEASE).await {
            Ok(true) => {}
            // It stood still for too long, and another has begun: rows are still one runner's each.
            Ok(false) => return,
            Err(problem) => warn!("Could not prolong the pass's lease: {problem}"),
        }
    }
}

async fn pass_until(engine: &Engine, pass: Pass, deadline: Timestamp) -> Result<Report, EngineError> {
    let leave_at = until(engine, pass, deadline);
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
        ..Report::default()
    })
}

/// Says until when a pass that begins now takes up new rows.
fn leave_at(pass: Pass, now: Timestamp, deadline: Timestamp, budget: SignedDuration) -> Timestamp {
    let leave_at = super::leave_at(now, deadline, budget);
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
