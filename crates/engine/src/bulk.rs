//! Creating many worklogs on one issue in one request, for a backfill.
//!
//! The same care as with a single write: every worklog's intent is in the table before the request is sent, and a
//! request of unknown outcome is never repeated; what it made is found and adopted by a later run.

use std::collections::BTreeMap;

use tandem_core::observed::Observed;
use tandem_core::plan::{Action, Step};
use tandem_core::{Content, IntentKind, Pair, Side, Worklog, twin};
use tracing::{info, warn};

use crate::error::EngineError;
use crate::execute::{ATTEMPT, Fate, LATE, Run, replace};
use crate::gate::signed;
use crate::hold::HELD_MAX;
use crate::options::Site;
use crate::ports::site::{Outcome, SiteError, SiteErrorKind};
use crate::ports::store::{Op, Root};

/// Worklogs in one request: Tempo's limit.
pub(crate) const BULK_MAX: usize = 50;

/// Groups into which a refused request is divided. With eight, fifty worklogs go as seven, then as one: of one bad
/// worklog that is 16 requests instead of 51, and where all are bad not many more than one each.
const REFUSED_INTO: usize = 8;

/// Rows of one transaction: DynamoDB's limit, less the fence and what holds issues.
const OPS_MAX: usize = 100 - 1 - HELD_MAX;

/// One worklog of a request, with its row as the intent left it.
struct Begun<'s> {
    step: &'s Step,
    row: Pair,
    root: Option<Root>,
}

impl Run<'_> {
    /// Returns how many of the next steps go into one request.
    pub(crate) fn together(&self, rest: &[&Step], observed: &Observed) -> usize {
        let Some(Action::Create { side: first, .. }) = rest.first().map(|step| &step.action) else {
            return 1;
        };
        // Also when somebody's change made the look more urgent.
        if observed.backfill.is_none() {
            return 1;
        }
        let fits = |step: &&&Step| {
            matches!(&step.action, Action::Create { side, .. } if side == first)
                && !self.report.failed.contains(&step.pair.id)
        };
        rest.iter().take(BULK_MAX).take_while(fits).count().max(1)
    }

    /// Creates the worklogs of some steps, all on one issue.
    pub(crate) async fn write_bulk(
        &mut self,
        steps: &[&Step],
        observed: &mut Observed,
    ) -> Result<Fate, EngineError> {
        let Some(side) = steps.first().and_then(|step| step.side()) else {
            return Ok(Fate::Skipped);
        };
        if !self.stay(observed).await? {
            return Ok(Fate::Skipped);
        }
        let site = self.engine.site_of(self.connection, side)?;
        if self.engine.site_state(site).await?.demands_estimate {
            // There is no place for it in this request.
            return Ok(Fate::InGroups(1));
        }
        self.engine.pass(site, self.lane).await?;
        let now = self.now();
        let begun = match self.begin_all(steps, side, observed).await {
            // Whoever made one of the copies, of the others nobody did.
            Err(EngineError::Lost) if !self.contested => {
                self.contested = true;
                None
            }
            begun => begun?,
        };
        let Some(begun) = begun else {
            return Ok(Fate::InGroups(1));
        };
        if self.now() > now + LATE {
            // As with a single write: somebody else may have given up on us by now.
            self.take_back(begun, side, observed).await?;
            self.report.unfinished = true;
            return Ok(Fate::Skipped);
        }
        let bodies: Vec<Content> = steps.iter().filter_map(|step| body(step)).collect();
        let issue = self.link.issue(side);
        let sent = self
            .engine
            .sent(site, async |client| client.create_bulk(issue, &bodies).await)
            .await;
        match sent {
            Ok(answers) => {
                self.report.failures_in_row = 0;
                self.all_done(begun, answers, side, observed).await?;
                Ok(Fate::Done)
            }
            Err(error) => self.bulk_failed(begun, side, site, error, observed).await,
        }
    }

    /// Writes the intents; none of them where another connection makes one of the copies.
    async fn begin_all<'s>(
        &mut self,
        steps: &[&'s Step],
        side: Side,
        observed: &Observed,
    ) -> Result<Option<Vec<Begun<'s>>>, EngineError> {
        let now = self.now();
        let rows: BTreeMap<_, &Pair> = observed.pairs.iter().map(|row| (&row.id, row)).collect();
        let roots = self.roots(steps, side).await?;
        let mut begun = Vec::with_capacity(steps.len());
        let mut commits = Commits::default();
        for (step, root) in steps.iter().copied().zip(roots) {
            let known = rows.get(&step.pair.id).copied();
            let newer = known.filter(|row| row.rev > step.pair.rev);
            let before = newer.unwrap_or(&step.pair);
            let mut row = step.begun(before, now, now + ATTEMPT, &self.connection.settings.rules);
            row.rev += 1;
            let Some(mut ops) = self
                .intent_ops(step, side, &row, root.as_ref(), now, observed)
                .await?
            else {
                return Ok(None);
            };
            ops.extend(known.into_iter().flat_map(|known| self.left_behind(known, &row)));
            ops.extend(self.made(step, now, observed));
            commits.add(ops);
            begun.push(Begun { step, row, root });
        }
        self.set_busy(observed, &[]);
        self.commit_all(commits).await?;
        Ok(Some(begun))
    }

    /// The worklogs at the start of the chains that creates carry on.
    async fn roots(&self, steps: &[&Step], side: Side) -> Result<Vec<Option<Root>>, EngineError> {
        let from = side.other();
        let site = &self.connection.sites[from];
        let asked: Vec<_> = steps
            .iter()
            .filter_map(|step| Some((site.clone(), step.pair.ids[from]?)))
            .collect();
        let known: BTreeMap<_, _> = self.engine.store.origins(&asked).await?.into_iter().collect();
        let root = |step: &&Step| {
            let own = (site.clone(), step.pair.ids[from]?);
            Some(match known.get(&own) {
                Some(origin) => origin.root.clone(),
                None => Root {
                    site: own.0,
                    worklog: own.1,
                },
            })
        };
        Ok(steps.iter().map(root).collect())
    }

    /// Records what a site answered.
    async fn all_done(
        &mut self,
        begun: Vec<Begun<'_>>,
        answers: Vec<Worklog>,
        side: Side,
        observed: &mut Observed,
    ) -> Result<(), EngineError> {
        self.set_busy(observed, &[]);
        let mut waiting = Vec::new();
        let mut ops = Vec::new();
        let count = begun.len();
        for (Begun { step, row, root }, answer) in begun.into_iter().zip(answers) {
            let (pair, more) = self.done_ops(step, side, &row, Some(&answer), root, observed);
            if ops.len() + more.len() > OPS_MAX {
                self.commit(std::mem::take(&mut ops)).await?;
                for (step, pair, answer) in waiting.drain(..) {
                    self.recorded(step, side, pair, Some(answer), observed);
                }
            }
            ops.extend(more);
            waiting.push((step, pair, answer));
        }
        self.commit(ops).await?;
        for (step, pair, answer) in waiting {
            self.recorded(step, side, pair, Some(answer), observed);
        }
        let site = self.connection.sites[side].clone();
        info!(link.key = %self.link, run.n_written = count, "Created {count} worklogs of {} on {site} at once", self.link);
        self.wake_others(&site, self.link.issue(side)).await
    }

    async fn bulk_failed(
        &mut self,
        begun: Vec<Begun<'_>>,
        side: Side,
        site: &Site,
        error: SiteError,
        observed: &mut Observed,
    ) -> Result<Fate, EngineError> {
        let unknown = error.outcome == Outcome::Unknown;
        match &error.kind {
            SiteErrorKind::RateLimited { .. }
            | SiteErrorKind::CredentialsRejected
            | SiteErrorKind::NoCredentials => {
                self.take_back(begun, side, observed).await?;
                Err(EngineError::site(&site.name, error))
            }
            SiteErrorKind::Unreachable { .. } | SiteErrorKind::Busy => {
                self.keep_all(begun, side, error, observed).await
            }
            _ if unknown => self.keep_all(begun, side, error, observed).await,
            kind => {
                let reason = match kind {
                    SiteErrorKind::Refused(reason) => Some(*reason),
                    _ => None,
                };
                warn!(link.key = %self.link, "{} refused {} worklogs of {} at once, so they go in smaller groups: {error}", site.name, begun.len(), self.link);
                // That all or none of them are made is not documented.
                let issue = self.link.issue(side);
                let (listed, _) = self.engine.list(self.connection, side, issue, self.lane).await?;
                let timeless = self.engine.is_timeless(self.connection, side, self.lane).await?;
                let made = listed.values().any(|worklog| {
                    let new = !observed.listings[side].contains_key(&worklog.id);
                    let written = |one: &Begun<'_>| {
                        body(one.step).is_some_and(|body| twin::may_have_become(&body, worklog, timeless))
                    };
                    new && begun.iter().any(written)
                });
                if made {
                    let outcome = Outcome::Unknown;
                    return self
                        .keep_all(begun, side, SiteError { outcome, ..error }, observed)
                        .await;
                }
                let steps: Vec<&Step> = begun.iter().map(|one| one.step).collect();
                self.take_back(begun, side, observed).await?;
                // Known from now on, so that whoever the site does not know costs one refusal and not one in each group.
                if self.authors_were_guesses(&steps, side, reason, observed).await? {
                    return Ok(Fate::PlanAgain);
                }
                Ok(Fate::InGroups(steps.len().div_ceil(REFUSED_INTO)))
            }
        }
    }

    /// Leaves worklogs for a later run, with their intents if the outcome is unknown.
    async fn keep_all(
        &mut self,
        mut begun: Vec<Begun<'_>>,
        side: Side,
        error: SiteError,
        observed: &mut Observed,
    ) -> Result<Fate, EngineError> {
        warn!(link.key = %self.link, "Left {} worklogs of {} for later: {error}", begun.len(), self.link);
        let now = self.now();
        let not_before = match &error.kind {
            SiteErrorKind::Unreachable { retry_after } => retry_after.map(|after| now + signed(after)),
            _ => None,
        };
        for one in &mut begun {
            self.report.failed.insert(one.row.id.clone());
            if error.outcome == Outcome::Unknown {
                let creates = |intent: &&mut tandem_core::Intent| intent.kind == IntentKind::Create;
                if let Some(intent) = one.row.intent.as_mut().filter(creates) {
                    // What comes late is recognised: `create_grace` from now on is enough.
                    intent.until = now;
                }
            } else {
                one.row.give_up();
            }
        }
        self.report.failures_in_row += 1;
        self.report.over = Some(self.report.over.map_or(now, |sooner| sooner.min(now)));
        self.report.trouble.get_or_insert((not_before, error.to_string()));
        self.put_all(begun, side, observed).await?;
        Ok(Fate::Skipped)
    }

    /// Puts rows back as they were before a request that had no effect.
    async fn take_back(
        &mut self,
        mut begun: Vec<Begun<'_>>,
        side: Side,
        observed: &mut Observed,
    ) -> Result<(), EngineError> {
        for one in &mut begun {
            one.row.give_up();
        }
        self.put_all(begun, side, observed).await
    }

    async fn put_all(
        &mut self,
        begun: Vec<Begun<'_>>,
        side: Side,
        observed: &mut Observed,
    ) -> Result<(), EngineError> {
        self.set_busy(observed, &[]);
        let mut commits = Commits::default();
        let mut rows = Vec::with_capacity(begun.len());
        for Begun { mut row, root, .. } in begun {
            row.rev += 1;
            let mut ops = vec![Op::PutPair(Box::new(row.clone()))];
            if row.intent.is_none() {
                ops.extend(self.give_up_claim(&row, root, side));
            }
            commits.add(ops);
            rows.push(row);
        }
        self.commit_all(commits).await?;
        replace(observed, rows);
        Ok(())
    }

    async fn commit_all(&self, commits: Commits) -> Result<(), EngineError> {
        for ops in commits.0 {
            self.commit(ops).await?;
        }
        Ok(())
    }
}

fn body(step: &Step) -> Option<Content> {
    match &step.action {
        Action::Create { body, .. } => Some(body.clone()),
        _ => None,
    }
}

/// Operations in as few transactions as they fit into; those of one worklog stay together.
#[derive(Default)]
struct Commits(Vec<Vec<Op>>);

impl Commits {
    fn add(&mut self, ops: Vec<Op>) {
        match self.0.last_mut() {
            Some(last) if last.len() + ops.len() <= OPS_MAX => last.extend(ops),
            _ => self.0.push(ops),
        }
    }
}
