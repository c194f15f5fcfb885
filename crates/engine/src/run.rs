//! One look at one due row: take the lease, bring the link together, say when to look again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use tandem_core::observed::Observed;
use tandem_core::plan::plan;
use tandem_core::{LinkKey, PairState, Reason, Side, check, copies};
use tracing::{Instrument, debug, error, error_span, info, warn};

use crate::error::EngineError;
use crate::execute::{Report, Run};
use crate::gate::signed;
use crate::observe::Sight;
use crate::options::{Connection, Engine};
use crate::ports::Happened;
use crate::ports::site::SiteErrorKind;
use crate::ports::store::{Announcement, DueKey, DueRow, Finish, Lane, LinkRow};

/// Plans per run. A plan of rows only leads to the next; writes seldom need more than one more.
const ROUNDS_MAX: usize = 100;

/// What a look came to, for whoever asked for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Vendor writes that went through.
    pub written: usize,
    /// Whether something did not go through.
    pub trouble: bool,
    /// Set when a site had no slot to give: the lane of the look, and when there may be room.
    pub deferred: Option<(Lane, Timestamp)>,
}

static RUNS: AtomicU64 = AtomicU64::new(0);

impl Engine {
    /// Looks at one due row, if it is there and nobody else has it.
    ///
    /// The row is all that a trigger leaves behind: what is done rests on what is observed now.
    ///
    /// # Errors
    /// When the table fails. Everything else ends up in the row.
    pub async fn look(&self, key: &DueKey) -> Result<Option<Looked>, EngineError> {
        let owner = self.new_runner();
        let Some(row) = self
            .store
            .take(key, &owner, self.clock.now(), self.options.lease)
            .await?
        else {
            return Ok(None);
        };
        // At this level, so that no filter leaves the trace out of a line that it lets through.
        let span = error_span!("look", due.key = %key, trace = %row.traces.join(" "));
        let looking = async {
            match key {
                DueKey::Link(link) => self.look_at_link(link, &row, &owner).await,
                DueKey::Issue { site, issue } => {
                    self.ended(&row, self.discover(site, *issue, row.lane).await)
                }
                DueKey::Learn { site } => self.ended(&row, self.learn(site).await),
            }
        };
        let (looked, finish) = looking.instrument(span).await;
        self.store.finish(&row, &owner, &finish, self.clock.now()).await?;
        if let Finish::Again {
            reason: Some(reason), ..
        } = &finish
            && row.reason != Some(*reason)
        {
            self.observer.happened(Happened::Parked(*reason));
        }
        Ok(Some(looked))
    }

    /// A name for whoever takes a lease: two tasks of one process are two runners.
    pub(crate) fn new_runner(&self) -> String {
        format!("{}.{}", self.owner, RUNS.fetch_add(1, Ordering::Relaxed))
    }

    fn ended(&self, row: &DueRow, result: Result<(), EngineError>) -> (Looked, Finish) {
        let looked = Looked {
            written: 0,
            trouble: result.is_err(),
            deferred: deferred(row, &result),
        };
        (
            looked,
            result.map_or_else(|error| self.finish_failed(row, &error), |()| Finish::Done),
        )
    }

    async fn look_at_link(&self, link: &LinkKey, row: &DueRow, owner: &str) -> (Looked, Finish) {
        let Some(connection) = self.connection(&link.connection) else {
            warn!(link.key = %link, "Left {link} alone: its connection is not configured");
            return (Looked::default(), Finish::Done);
        };
        match self.store.link(link).await {
            Ok(Some(row)) if row.outside.is_none() => {}
            Ok(Some(known)) => match self.still_outside(connection, known, row).await {
                Ok(None) => {}
                Ok(Some(parked)) => return (Looked::default(), self.finish_failed(row, &parked)),
                Err(error) => return (Looked::default(), self.finish_failed(row, &error)),
            },
            Ok(None) => {
                debug!(link.key = %link, "Left {link} alone: it is no more");
                return (Looked::default(), Finish::Done);
            }
            Err(error) => return (Looked::default(), self.finish_failed(row, &error.into())),
        }
        let mut run = Run::new(self, connection, link, row, owner);
        let result = match run.hold(None).await {
            Ok(()) => self.reconcile(&mut run).await,
            Err(error) => Err(error),
        };
        run.let_go().await;
        let report = run.report;
        if let Err(error) = self.ask_to_learn(connection, &report.to_learn).await {
            debug!(link.key = %link, "Jira ids are left for the sweep: {}", error.unsaid());
        }
        let looked = Looked {
            written: report.written,
            trouble: result
                .as_ref()
                .is_err_and(|error| !matches!(error, EngineError::Held))
                || report.trouble.is_some(),
            deferred: deferred(row, &result),
        };
        let finish = match result {
            Ok(rest) => self.finish_done(row, &report, rest),
            Err(error) => self.finish_failed(row, &error),
        };
        (looked, finish)
    }

    /// Says why a link that was outside the scope is left alone, if it still is. That is looked at with each audit and each
    /// new configuration, and here only when somebody asked for another attempt.
    async fn still_outside(
        &self,
        connection: &Connection,
        mut known: LinkRow,
        row: &DueRow,
    ) -> Result<Option<EngineError>, EngineError> {
        if row.force {
            self.note_scope(connection, std::slice::from_ref(&known), row.lane)
                .await?;
            match self.store.link(&known.key).await? {
                Some(noted) => known = noted,
                None => return Ok(None),
            }
        }
        let Some(side) = known.outside else {
            return Ok(None);
        };
        let key = match side {
            Side::A => known.a_key,
            Side::B => known.b_key,
        };
        let name = key.unwrap_or_else(|| known.key.issue(side).to_string());
        Ok(Some(EngineError::Parked {
            site: connection.sites[side].clone(),
            reason: Reason::IssueUnlinked,
            detail: format!(
                "{name} on {} is outside the scope of {}",
                connection.sites[side], connection.name
            ),
        }))
    }

    /// Observes, plans, checks, executes and records.
    async fn reconcile(&self, run: &mut Run<'_>) -> Result<Rest, EngineError> {
        let (mut observed, unshown) = match self.observe(run.connection, run.link, run.taken).await? {
            Sight::Clear(observed, unshown) => (observed, unshown),
            Sight::NotYet(unshown) => {
                return Ok(Rest {
                    unshown,
                    look_again: None,
                    unknown: false,
                });
            }
        };
        // However long looking took, a run gets its time to write.
        run.started = self.clock.now();
        run.notice_waits(&observed);
        let looked = self.rounds(run, &mut observed).await;
        if observed.backfill.is_some() {
            // What was written counts also where the rest did not go through.
            run.report.unfinished |= looked.is_err();
            let noted = self.note_backfill(run, &observed).await;
            if looked.is_ok() {
                noted?;
            }
        }
        let look_again = looked?;
        if run.report.written > 0 {
            info!(link.key = %run.link, run.n_written = run.report.written, "Reconciled {}", run.link);
        } else {
            debug!(link.key = %run.link, "Looked at {}", run.link);
        }
        let unknown = observed
            .pairs
            .iter()
            // What another link's run has in hand is for that one to say.
            .filter(|pair| pair.state == PairState::Live && pair.link == observed.link)
            // What waits for somebody is in the queue for that.
            .any(|pair| pair.intent.is_some() && pair.wait.is_none());
        Ok(Rest {
            unshown,
            look_again,
            unknown,
        })
    }

    /// Plans and executes until nothing is left that can be done now. Returns when to look again.
    async fn rounds(
        &self,
        run: &mut Run<'_>,
        observed: &mut Observed,
    ) -> Result<Option<Timestamp>, EngineError> {
        let mut look_again = None;
        for round in 0.. {
            // A pair that has just come here may have left its twin behind. Held first, so that what is seen of it stands.
            run.hold(Some(observed)).await?;
            self.fetch_strays(run.connection, observed, run.lane).await?;
            copies::heal_in_backfill(observed, &run.connection.settings.rules);
            let plan = plan(observed, &run.connection.settings);
            check::check(&plan, observed, &run.connection.settings)?;
            look_again = plan.look_again;
            let open = plan
                .steps
                .iter()
                .any(|step| !run.report.failed.contains(&step.pair.id));
            if !open || run.report.unfinished {
                break;
            }
            if round == ROUNDS_MAX {
                run.report.unfinished = true;
                break;
            }
            let before = run.report.steps;
            run.execute(&plan, observed).await?;
            if run.report.steps == before {
                break;
            }
        }
        if !run.report.failed.is_empty() {
            // What was refused or left has a time of its own now, and the look that was forced is over.
            observed.force = false;
            look_again = plan(observed, &run.connection.settings).look_again;
        }
        if run.report.left {
            if run.report.steps > 0 {
                run.report.unfinished = true;
            } else {
                let what = "its worklogs left twins behind on more issues than one run takes on";
                run.report.trouble.get_or_insert((None, what.to_owned()));
            }
        }
        Ok(look_again)
    }

    fn finish_done(&self, row: &DueRow, report: &Report, rest: Rest) -> Finish {
        let now = self.clock.now();
        let mut at: Option<Timestamp> = None;
        let mut sooner = |when: Timestamp| at = Some(at.map_or(when, |at| at.min(when)));
        let mut attempts = 0;
        let mut quiet = true;
        let mut detail = None;
        // What failed is over by now for the planner, and would be looked at again at once.
        let mut no_sooner = now;
        if let Some((not_before, trouble)) = &report.trouble {
            attempts = row.attempts + 1;
            quiet = false;
            detail = Some(trouble.clone());
            let wait = self.backoff(&row.key, attempts, now);
            no_sooner = now + wait;
            let not_before = not_before.max(&report.over);
            sooner(not_before.map_or(now + wait, |at| at.max(now + wait)));
        }
        if report.unfinished {
            quiet = false;
            sooner(now);
        }
        if !rest.unshown.is_empty() {
            attempts = row.attempts + 1;
            quiet = false;
            detail
                .get_or_insert_with(|| "a change was announced that the site does not show yet".to_string());
            sooner(now + self.backoff(&row.key, attempts, now));
        }
        if rest.unknown {
            // It goes on being in the queue: nothing says yet that both sides are the same.
            attempts = attempts.max(row.attempts).max(1);
            quiet = false;
            detail.get_or_insert_with(|| "what became of a write is not known yet".to_string());
        }
        if let Some(when) = rest.look_again {
            sooner(when.max(no_sooner));
        }
        match at {
            None => Finish::Done,
            Some(at) => Finish::Again {
                at,
                attempts,
                reason: None,
                detail,
                quiet,
                announced: rest.unshown,
            },
        }
    }

    /// What a failure means for the row: again, later, or when a person has acted.
    pub(crate) fn finish_failed(&self, row: &DueRow, failure: &EngineError) -> Finish {
        let now = self.clock.now();
        let attempts = row.attempts + 1;
        let backoff = now + self.backoff(&row.key, attempts, now);
        let park = now + signed(self.options.park_retry);
        let (at, attempts) = match failure {
            EngineError::Deferred { until, .. } => ((*until).max(now), row.attempts),
            // It is in line, and did not fail.
            EngineError::Held => (now + self.backoff(&row.key, 1, now), row.attempts),
            EngineError::Paused { until, .. } => (*until, attempts),
            EngineError::Site { error, .. } => match &error.kind {
                SiteErrorKind::Unreachable { retry_after } => {
                    let asked = retry_after.map_or(backoff, |after| now + signed(after));
                    (asked.max(backoff), attempts)
                }
                SiteErrorKind::RateLimited { retry_after } => {
                    let after = retry_after.map_or(SignedDuration::from_secs(1), signed);
                    // Once may be chance. Whoever goes on asking is shut out.
                    let again = match row.attempts {
                        0 => SignedDuration::ZERO,
                        before => self.backoff(&row.key, before, now),
                    };
                    (now + after.max(again), attempts)
                }
                SiteErrorKind::Busy | SiteErrorKind::NotFound | SiteErrorKind::Malformed => {
                    (backoff, attempts)
                }
                SiteErrorKind::CredentialsRejected
                | SiteErrorKind::NoCredentials
                | SiteErrorKind::Refused(_)
                | SiteErrorKind::Unusable => (park, attempts),
            },
            EngineError::Lost | EngineError::Store(_) => (backoff, attempts),
            EngineError::Parked { .. }
            | EngineError::Refused(_)
            | EngineError::Unknown(_)
            | EngineError::Uncompared(_) => (park, attempts),
        };
        match failure {
            EngineError::Deferred { .. } | EngineError::Lost | EngineError::Held => {
                debug!(due.key = %row.key, "Later: {}: {}", row.key, failure.unsaid());
            }
            EngineError::Refused(_) => error!(due.key = %row.key, "A bug: {}: {}", row.key, failure.unsaid()),
            _ => {
                warn!(due.key = %row.key, due.attempts = attempts, "{} did not go through: {}", row.key, failure.unsaid())
            }
        }
        let (reason, detail) = match failure {
            // What it waited for before, it may wait for still.
            EngineError::Held | EngineError::Deferred { .. } => (row.reason, row.detail.clone()),
            EngineError::Lost => (None, None),
            _ => (failure.reason(), Some(failure.detail())),
        };
        Finish::Again {
            at,
            attempts,
            reason,
            detail,
            quiet: false,
            announced: row
                .announced
                .iter()
                .filter(|one| one.until > now)
                .cloned()
                .collect(),
        }
    }

    /// Doubles from `retry_min` to `retry_max`, a fifth more or less, so that what failed together does not come
    /// back together. The spread is taken from the key, not from chance: the same run is the same run.
    pub(crate) fn backoff(&self, key: &DueKey, attempts: u32, now: Timestamp) -> SignedDuration {
        let doublings = attempts.saturating_sub(1).min(20);
        let wait = signed(self.options.retry_min).as_secs_f64() * f64::from(2u32.pow(doublings));
        let wait = wait.min(self.options.retry_max.as_secs_f64());
        let mut hash = DefaultHasher::new();
        (key, attempts, now.as_second()).hash(&mut hash);
        let spread = 0.8 + 0.4 * ((hash.finish() % 1000) as f64 / 1000.0);
        SignedDuration::from_secs_f64(wait * spread)
    }
}

fn deferred<T>(row: &DueRow, result: &Result<T, EngineError>) -> Option<(Lane, Timestamp)> {
    match result {
        Err(EngineError::Deferred { until, .. }) => Some((row.lane, *until)),
        _ => None,
    }
}

/// What a run leaves for later.
struct Rest {
    unshown: Vec<Announcement>,
    look_again: Option<Timestamp>,
    /// It is not known yet whether something that was sent took effect.
    unknown: bool,
}

/// Says which side's worklogs a person made, for tests and reports: a pair is named after the one it began with.
pub fn began_on(pair: &tandem_core::PairId) -> Option<Side> {
    match pair.as_str().as_bytes().first() {
        Some(b'a') => Some(Side::A),
        Some(b'b') => Some(Side::B),
        _ => None,
    }
}
