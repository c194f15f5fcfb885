//! Passes: running what is due, and the loop that a single process keeps up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use tracing::{error, warn};

use crate::error::EngineError;
use crate::gate::signed;
use crate::options::Engine;
use crate::ports::store::{DueKey, DueRow, Lane};

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Rows looked at.
    pub looked: usize,
    /// Vendor writes that went through.
    pub written: usize,
    /// Looks at which something did not go through.
    pub troubled: usize,
}

/// How far ahead of now a row may be due and still belong to this pass: settling bursts and full buckets.
const SOON: SignedDuration = SignedDuration::from_secs(10);

/// How long a pass takes no other row of a lane at most after a site had no slot for one. Without it, each row of a
/// long queue would be taken and given back again and again while the first ones wait for their slots. It is short,
/// since rows of other sites wait along.
const GIVE_WAY: SignedDuration = SignedDuration::from_secs(1);

/// Places that are kept free for live rows: long runs of swept links must not hold up somebody's change.
const KEPT_FREE: usize = 2;

/// How long a pass that is busy waits before it looks at the table again.
const LOOK_UP: Duration = Duration::from_millis(500);

/// Looks per pass. More is a loop that does not converge; the next pass goes on.
const LOOKS_MAX: usize = 200_000;

impl Engine {
    /// Runs what is due until nothing is runnable, or the deadline comes. Rows that merely wait in line for a
    /// moment are waited for; rows that failed or are parked are not.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn run_due(&self, deadline: Option<Timestamp>) -> Result<Passed, EngineError> {
        let mut passed = Passed::default();
        let mut failure = None;
        let mut running = FuturesUnordered::new();
        let mut keys: BTreeSet<DueKey> = BTreeSet::new();
        // Until when rows of this lane, and of less urgent ones, are left alone.
        let mut full: BTreeMap<Lane, Timestamp> = BTreeMap::new();
        loop {
            let now = self.clock.now();
            full.retain(|_, until| *until > now);
            let over = failure.is_some()
                || self.is_stopping()
                || deadline.is_some_and(|deadline| now >= deadline)
                || passed.looked >= LOOKS_MAX;
            let room = |lane| match lane {
                Lane::Live => self.options.concurrency + KEPT_FREE,
                Lane::Sweep | Lane::Backfill => self.options.concurrency,
            };
            if !over && running.len() < room(Lane::Live) {
                let ready = self.store.ready(now, self.options.concurrency * 4).await?;
                for row in by_lane(ready) {
                    let gives_way = full.keys().any(|lane| *lane <= row.lane);
                    if running.len() < room(row.lane) && !gives_way && keys.insert(row.key.clone()) {
                        let key = row.key;
                        running.push(async move { (key.clone(), self.look(&key).await) });
                    }
                }
            }
            let ended = if over || running.is_empty() {
                running.next().await
            } else {
                // A look may take most of a minute; what becomes due meanwhile must not wait for its end.
                match select(running.next(), self.clock.sleep(LOOK_UP)).await {
                    Either::Left((ended, _)) => ended,
                    Either::Right(_) => continue,
                }
            };
            match ended {
                Some((key, looked)) => {
                    keys.remove(&key);
                    match looked {
                        Ok(Some(looked)) => {
                            passed.looked += 1;
                            passed.written += looked.written;
                            passed.troubled += usize::from(looked.trouble);
                            if let Some((lane, until)) = looked.deferred {
                                full.insert(lane, until.min(self.clock.now() + GIVE_WAY));
                            }
                        }
                        // Somebody else has it. Do not ask for it again at once.
                        Ok(None) => self.clock.sleep(Duration::from_millis(50)).await,
                        // The other looks are let finish: they may be in the middle of a write.
                        Err(error) => failure = Some(error),
                    }
                }
                None if over => return failure.map_or(Ok(passed), Err),
                None if !full.is_empty() => {
                    let at = full.values().min().copied().unwrap_or(now);
                    self.sleep_until(at).await;
                }
                None => match self.next_in_line(now).await? {
                    Some(at) => self.sleep_until(at).await,
                    None => return Ok(passed),
                },
            }
        }
    }

    /// When the next row that merely waits in line is due, if that is soon.
    async fn next_in_line(&self, now: Timestamp) -> Result<Option<Timestamp>, EngineError> {
        let soon = self.store.ready(now + SOON, 50).await?;
        let next = soon
            .into_iter()
            .filter(|row| row.attempts == 0 && !row.quiet && row.reason.is_none())
            // Whoever had it may have died: it is free when the lease ends, and asking before that gets nothing.
            .map(|row| {
                row.lease_until
                    .map_or(row.next_attempt, |until| until.max(row.next_attempt))
            })
            .min();
        // Never at once: an index may lag behind what was just done.
        Ok(next.map(|at| at.max(now + SignedDuration::from_millis(50))))
    }

    /// Says whether a connection was last audited longer ago than this. The table remembers, so that a process
    /// that is started anew every day still audits.
    async fn audit_is_due(&self, every: Duration) -> Result<bool, EngineError> {
        let now = self.clock.now();
        let last = self.store.cursor(LAST_AUDIT).await?;
        if last.as_ref().is_some_and(|last| last.at > now - signed(every)) {
            return Ok(false);
        }
        // Begun counts, not done: a connection whose site is down must not have all audited with each sweep. The
        // first sweep of a connection has audited it.
        self.store
            .put_cursor(LAST_AUDIT, &crate::ports::store::Cursor { at: now })
            .await?;
        Ok(last.is_some())
    }

    /// Makes the links of the configuration and looks at connections that never ran. To be called when a process
    /// starts; costs nothing once done.
    ///
    /// # Errors
    /// When the table fails. A site that does not answer is only logged: the next start, or a sweep, tries again.
    pub async fn prepare(&self) -> Result<(), EngineError> {
        for connection in &self.connections {
            self.since(connection).await?;
        }
        match self.link_tables(crate::ports::store::Lane::Sweep).await {
            Ok(()) => Ok(()),
            Err(EngineError::Store(error)) => Err(error.into()),
            Err(error) => {
                warn!(
                    "The links of the configuration are made later: {}",
                    error.unsaid()
                );
                Ok(())
            }
        }
    }

    /// The scheduled pass: new connections are audited, the others swept.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn sweep_pass(&self) -> Result<crate::sweep::Swept, EngineError> {
        self.prepare().await?;
        self.resume_sites().await?;
        let new = self.audit_new().await?;
        let swept = self.sweep().await?;
        Ok(crate::sweep::Swept {
            hinted: new.hinted + swept.hinted,
            failed: new.failed + swept.failed,
        })
    }

    /// Keeps a process going: what is due as it comes, sweeps and audits by the clock. Returns when `stop` does.
    pub async fn run_forever(&self, audit: Duration, stop: impl Future<Output = ()>) {
        let sweeps = async {
            loop {
                if let Err(error) = self.sweep_pass().await {
                    error!("The sweep failed: {}", error.unsaid());
                }
                match self.audit_is_due(audit).await {
                    Ok(false) => {}
                    Ok(true) => {
                        if let Err(error) = self.audit().await {
                            error!("The audit failed: {}", error.unsaid());
                        }
                    }
                    Err(error) => error!("Could not tell when the last audit was: {}", error.unsaid()),
                }
                self.clock.sleep(self.options.sweep).await;
            }
        };
        let dues = async {
            loop {
                if let Err(error) = self.run_due(None).await {
                    error!("Running what is due failed: {}", error.unsaid());
                    self.clock.sleep(Duration::from_secs(1)).await;
                }
                self.clock.sleep(IDLE).await;
            }
        };
        let secrets = async {
            loop {
                self.clock.sleep(SECRETS).await;
                if let Err(error) = self.resume_sites().await {
                    warn!("Could not look at paused sites: {}", error.unsaid());
                }
            }
        };
        let work = futures::future::join3(sweeps, dues, secrets);
        futures::pin_mut!(work);
        futures::pin_mut!(stop);
        futures::future::select(work, stop).await;
    }
}

/// Names the cursor that says when the last audit began.
const LAST_AUDIT: &str = "last-audit";

/// How long an idle process waits before it looks at the table again.
const IDLE: Duration = Duration::from_millis(200);

/// How often a paused site's secret is looked at.
const SECRETS: Duration = Duration::from_secs(5);

/// Live work goes first, then what a sweep found, then backfill; within a lane, what is due longest.
fn by_lane(mut rows: Vec<DueRow>) -> Vec<DueRow> {
    rows.sort_by_key(|row| (row.lane, row.next_attempt));
    rows
}
