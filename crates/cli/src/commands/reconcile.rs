//! `reconcile`: one pass, then the end.

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde::Serialize;
use tandem_atlassian::ReqwestTransport;
use tandem_engine::Engine;
use tandem_engine::operator::ItemState;
use tandem_engine::sweep::Swept;
use tandem_runtime::alerts;

use tandem_runtime::subscriptions;

use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::words::count;
use crate::{open, output, words};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem reconcile --data ./tandem-data                every few minutes, where no `serve` runs
  tandem reconcile --data ./tandem-data --pass audit   once a night

Exit code 3 when something is parked, missing, waits for a later attempt or is in another process's hands.")]
pub(crate) struct Arguments {
    /// Which pass (default: a sweep, then what is due until nothing is runnable)
    #[arg(long, value_name = "PASS")]
    pass: Option<Pass>,
}

/// How soon it is seen whether another process is done.
const WAIT_STEP: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pass {
    /// Only what is due
    Due,
    /// What changed since the last sweep
    Sweep,
    /// Everything
    Audit,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Links and issues that a sweep or an audit had looked at.
    hinted: usize,
    /// Sites and connections that could not be read.
    failed: usize,
    /// Looks.
    looked: usize,
    /// Writes to the sites.
    written: usize,
    /// Looks at which something did not go through.
    troubled: usize,
    /// What waits afterwards.
    waiting: Waiting,
}

#[derive(Debug, Default, Serialize)]
struct Waiting {
    due: usize,
    parked: usize,
    missing: usize,
}

/// How much of what is due another process has in hand: this one has nothing, between its own looks.
async fn in_hand(engine: &Engine) -> Result<usize, Failure> {
    let queue = engine.queue().await?;
    let running = queue.iter().filter(|item| item.state == ItemState::Running);
    Ok(running.count())
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let opened = open::open(global).await?;
    let engine = opened.engine();
    let swept = match arguments.pass {
        Some(Pass::Due) => Swept::default(),
        Some(Pass::Sweep) | None => {
            subscriptions::look(&opened.tandem).await?;
            let swept = engine.sweep_pass().await?;
            let audited = engine.audit_wanted().await?;
            Swept {
                hinted: swept.hinted + audited.hinted,
                failed: swept.failed + audited.failed,
            }
        }
        Some(Pass::Audit) => {
            engine.prepare().await?;
            engine.resume_sites().await?;
            engine.audit().await?
        }
    };
    let mut passed = engine.run_due(None).await?;
    // What another process has in hand it will have done soon; what one that died had is free with the end of its lease.
    let until = Instant::now() + engine.options.lease + WAIT_STEP;
    let mut is_told = false;
    while in_hand(engine).await? > 0 && Instant::now() < until {
        if !is_told {
            is_told = true;
            output::say(format!(
                "waiting for what another process has in hand, {} at most",
                words::secs(engine.options.lease.as_secs_f64())
            ));
        }
        tokio::time::sleep(WAIT_STEP).await;
        let more = engine.run_due(None).await?;
        passed.looked += more.looked;
        passed.written += more.written;
        passed.troubled += more.troubled;
    }
    // Whether people can be told is no part of what the pass came to; the log says when they cannot.
    let transport = ReqwestTransport::new().map_err(|error| Failure::Failed(error.into()))?;
    alerts::tell(&opened.tandem, &transport).await;
    let mut report = Report {
        hinted: swept.hinted,
        failed: swept.failed,
        looked: passed.looked,
        written: passed.written,
        troubled: passed.troubled,
        waiting: Waiting::default(),
    };
    let mut stuck = false;
    let mut in_hand = 0;
    for item in engine.queue().await? {
        stuck |= item.is_stuck();
        in_hand += usize::from(item.state == ItemState::Running);
        match item.state {
            ItemState::Due | ItemState::Running => report.waiting.due += 1,
            ItemState::Parked => report.waiting.parked += 1,
            ItemState::Missing => report.waiting.missing += 1,
        }
    }
    if global.json {
        output::json(&report)?;
    } else {
        output::data(format!(
            "{} looked at, {}, {} with trouble; waiting: {} due, {} parked, {} missing",
            count(report.looked, "link"),
            count(report.written, "write"),
            report.troubled,
            report.waiting.due,
            report.waiting.parked,
            report.waiting.missing,
        ))?;
    }
    if report.failed > 0 {
        output::say(format!(
            "error: {} of the sites or connections could not be read, as warnings say (TANDEM_LOG=warn); `tandem doctor` looks at each and says what to do",
            report.failed,
        ));
        return Ok(Ending::Failed);
    }
    if in_hand > 0 {
        output::say(format!(
            "{in_hand} of what is due is still in another process's hands; `tandem queue` shows which",
        ));
    }
    if stuck {
        output::say("some of it waits; `tandem queue` says what, why, and what to do");
    }
    Ok(Ending::differs_if(stuck || in_hand > 0))
}
