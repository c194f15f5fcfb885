//! What became of a write: it had its effect, it was refused, or it is not known yet.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tandem_core::observed::Observed;
use tandem_core::plan::{Action, Step};
use tandem_core::rules::Person;
use tandem_core::{AccountId, IntentKind, Pair, PairState, Reason, Side, Worklog};
use tracing::warn;

use super::{Fate, Run, asks_for_estimate, replace};
use crate::error::EngineError;
use crate::gate::signed;
use crate::observe::SKEW;
use crate::options::Site;
use crate::people::Taken;
use crate::ports::site::{Outcome, SiteError, SiteErrorKind};
use crate::ports::store::{Op, Root, SiteState};

impl Run<'_> {
    /// Commits what became of a write. `gone` says that a delete met nothing any more.
    #[expect(
        clippy::too_many_arguments,
        reason = "everything that is known of one step that was sent"
    )]
    pub(super) async fn answered(
        &mut self,
        step: &Step,
        side: Side,
        site: &Site,
        row: Pair,
        root: Option<Root>,
        answer: Result<Option<Worklog>, SiteError>,
        gone: bool,
        observed: &mut Observed,
    ) -> Result<Fate, EngineError> {
        match answer {
            Ok(None) if gone && self.may_be_there(step, side, site, observed).await? => {
                self.report.failures_in_row = 0;
                self.lost_sight(step, side, row, observed).await
            }
            Ok(answer) => {
                self.report.failures_in_row = 0;
                self.done(step, side, row, answer, root, observed).await?;
                Ok(Fate::Done)
            }
            Err(error) => self.failed(step, side, site, row, error, root, observed).await,
        }
    }

    /// Says whether a worklog whose delete was answered with 404 may be there all the same: for somebody who may not
    /// see it, a site answers the same. Only an earlier attempt of ours explains that it is gone, and then only
    /// if Jira does not show it there either, to somebody who lacks no permission: it may have moved meanwhile.
    async fn may_be_there(
        &self,
        step: &Step,
        side: Side,
        site: &Site,
        observed: &mut Observed,
    ) -> Result<bool, EngineError> {
        let Action::Delete {
            worklog,
            issue,
            moves,
            ..
        } = &step.action
        else {
            return Ok(false);
        };
        let row = observed.pairs.iter().find(|row| row.id == step.pair.id);
        let tried = row
            .and_then(|row| row.intent.as_ref())
            .is_some_and(|intent| intent.kind == IntentKind::Delete);
        // A twin that is made anew elsewhere was seen a moment ago; Jira tells whether it still stands.
        if !tried && !moves {
            return Ok(true);
        }
        if self.engine.is_shadowed(site, *issue, *worklog, self.lane).await? {
            return Ok(true);
        }
        if self.engine.is_blind(site, side, observed, self.lane).await? {
            return Ok(true);
        }
        match step.pair.seen[side] {
            Some(seen) => {
                self.engine
                    .is_elsewhere(site, *worklog, seen - SKEW, self.lane)
                    .await
            }
            None => Ok(false),
        }
    }

    /// The site answered 404 for a worklog that it does not list either: it may be gone, or out of sight. The pair
    /// waits until one of the two is known.
    async fn lost_sight(
        &mut self,
        step: &Step,
        side: Side,
        row: Pair,
        observed: &mut Observed,
    ) -> Result<Fate, EngineError> {
        let now = self.now();
        let retry = now + self.connection.settings.look_at_missing;
        let (reason, detail) = if observed.blind[side] {
            (
                Reason::PermissionMissing,
                "cannot be seen, and so not deleted: the service user lacks permissions",
            )
        } else {
            (
                Reason::Missing,
                "was to be deleted, but the site shows it no longer, and nothing proves that it is gone",
            )
        };
        let told = format!("on side {side} it {detail}");
        let rules = &self.connection.settings.rules;
        let row = step.refused(&row, reason, told, now, retry, rules);
        self.set_aside(step, row, detail, Vec::new(), observed).await
    }

    pub(super) async fn done(
        &mut self,
        step: &Step,
        side: Side,
        row: Pair,
        answer: Option<Worklog>,
        root: Option<Root>,
        observed: &mut Observed,
    ) -> Result<(), EngineError> {
        let (pair, mut ops) = self.done_ops(step, side, &row, answer.as_ref(), root, observed);
        if pair.state == PairState::Left {
            ops.extend(self.unclaimed(&pair).await?);
        }
        self.set_busy(observed, std::slice::from_ref(&pair));
        self.commit(ops).await?;
        self.recorded(step, side, pair, answer, observed);
        let issue = row.strays[side].unwrap_or_else(|| row.link.issue(side));
        let site = self.connection.sites[side].clone();
        self.wake_others(&site, issue).await
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "everything that is known of one failed step"
    )]
    async fn failed(
        &mut self,
        step: &Step,
        side: Side,
        site: &Site,
        mut row: Pair,
        error: SiteError,
        root: Option<Root>,
        observed: &mut Observed,
    ) -> Result<Fate, EngineError> {
        let now = self.now();
        let unknown = error.outcome == Outcome::Unknown;
        if unknown {
            // The intent stays: a later run looks for what became of it. An update or a delete that nobody answered may
            // take effect as long as its attempt lasts, and would then undo what was done since; so nothing is done until
            // it is over. A create that comes late undoes nothing and is recognised: `create_grace` is enough.
            if let Some(intent) = row
                .intent
                .as_mut()
                .filter(|intent| intent.kind == IntentKind::Create || error.is_over())
            {
                intent.until = now;
            }
        } else {
            row.had_no_effect(&self.connection.settings.rules);
        }
        let retry = now + signed(self.engine.options.park_retry);
        let (reason, stop) = match &error.kind {
            SiteErrorKind::Unreachable { retry_after } => {
                let after = retry_after.map(|after| now + signed(after));
                return self.keep(step, row, root, after, &error, observed).await;
            }
            SiteErrorKind::Malformed if unknown => {
                return self.keep(step, row, root, None, &error, observed).await;
            }
            SiteErrorKind::Busy => return self.keep(step, row, root, None, &error, observed).await,
            SiteErrorKind::RateLimited { .. }
            | SiteErrorKind::CredentialsRejected
            | SiteErrorKind::NoCredentials => (None, true),
            // It went while we looked. The next look tells what became of it.
            SiteErrorKind::NotFound if !matches!(step.action, Action::Create { .. }) => {
                return self.keep(step, row, root, None, &error, observed).await;
            }
            SiteErrorKind::NotFound => (Some(Reason::IssueUnlinked), false),
            SiteErrorKind::Refused(reason) => (Some(*reason), false),
            SiteErrorKind::Malformed | SiteErrorKind::Unusable => (Some(Reason::Rejected), false),
        };
        if stop {
            self.put(step, row, root, observed).await?;
            return Err(EngineError::site(&site.name, error));
        }
        let reason = reason.unwrap_or(Reason::Rejected);
        if asks_for_estimate(&error) {
            // What this process knew when it wrote: another one may have learned the same meanwhile.
            if !self.engine.site_state(site).await?.demands_estimate {
                let demands = |state: &mut SiteState| state.demands_estimate = true;
                self.engine.change_site(&site.name, demands).await?;
                self.put(step, row, root, observed).await?;
                return Ok(Fate::PlanAgain);
            }
        }
        match self
            .authors_were_guesses(&[step], side, Some(reason), observed)
            .await
        {
            Ok(false) => {}
            Ok(true) => {
                self.put(step, row, root, observed).await?;
                return Ok(Fate::PlanAgain);
            }
            Err(error) => {
                self.put(step, row, root, observed).await?;
                return Err(error);
            }
        }
        let detail = error.to_string();
        let rules = &self.connection.settings.rules;
        let row = step.refused(&row, reason, detail.clone(), now, retry, rules);
        let mut others = Vec::from_iter(self.give_up_claim(&row, root, side));
        others.extend(self.stands_still(step).await?);
        let id = row.id.clone();
        let fate = self.set_aside(step, row, &detail, others, observed).await?;
        warn!(link.key = %self.link, pair.id = %id, wait.reason = %reason, "{} refused {id} of {}: {reason}", site.name, self.link);
        Ok(fate)
    }

    /// Sets a step aside whose intent the table cannot keep: a text of tens of thousands of characters, of an alphabet that
    /// takes several bytes for each, is in it up to six times.
    pub(super) async fn outgrown(
        &mut self,
        step: &Step,
        detail: &str,
        observed: &mut Observed,
    ) -> Result<Fate, EngineError> {
        let now = self.now();
        let retry = now + signed(self.engine.options.park_retry);
        let rules = &self.connection.settings.rules;
        let row = observed.pairs.iter().find(|row| row.id == step.pair.id);
        let row = row.filter(|row| row.rev > step.pair.rev).unwrap_or(&step.pair);
        let told = format!("it cannot be written down before it is written; a shorter text can: {detail}");
        let mut row = step.refused(row, Reason::Rejected, told.clone(), now, retry, rules);
        // The new text is enough to tell when there is a shorter one; all of it would be too long again.
        if let (Some(wait), Some(side)) = (&mut row.wait, step.side()) {
            wait.tried[side] = None;
        }
        self.set_aside(step, row, &told, Vec::new(), observed).await
    }

    /// Commits that a step is set aside, with what else goes with it.
    async fn set_aside(
        &mut self,
        step: &Step,
        mut row: Pair,
        why: &str,
        others: Vec<Op>,
        observed: &mut Observed,
    ) -> Result<Fate, EngineError> {
        row.rev += 1;
        let mut ops = vec![
            Op::PutPair(Box::new(row.clone())),
            self.history(step, &row, self.now(), None, Some(why), observed),
        ];
        ops.extend(others);
        self.set_busy(observed, std::slice::from_ref(&row));
        self.commit(ops).await?;
        self.tell_parked(&row);
        self.report.failed.insert(row.id.clone());
        replace(observed, vec![row]);
        Ok(Fate::Skipped)
    }

    /// Leaves a pair for a later run, with its intent if the outcome is unknown.
    async fn keep(
        &mut self,
        step: &Step,
        row: Pair,
        root: Option<Root>,
        not_before: Option<Timestamp>,
        error: &SiteError,
        observed: &mut Observed,
    ) -> Result<Fate, EngineError> {
        warn!(link.key = %self.link, pair.id = %row.id, "Left {} of {} for later: {}", row.id, self.link, error.unsaid());
        self.report.failed.insert(row.id.clone());
        self.report.failures_in_row += 1;
        let over = row.intent.as_ref().map_or(self.now(), |intent| intent.until);
        self.report.over = Some(self.report.over.map_or(over, |sooner| sooner.min(over)));
        self.report.trouble.get_or_insert((not_before, error.to_string()));
        self.put(step, row, root, observed).await?;
        Ok(Fate::Skipped)
    }

    pub(super) async fn put(
        &mut self,
        step: &Step,
        mut row: Pair,
        root: Option<Root>,
        observed: &mut Observed,
    ) -> Result<(), EngineError> {
        row.rev += 1;
        let mut ops = vec![Op::PutPair(Box::new(row.clone()))];
        if row.intent.is_none() {
            ops.extend(step.side().and_then(|side| self.give_up_claim(&row, root, side)));
            ops.extend(self.stands_still(step).await?);
        }
        self.set_busy(observed, std::slice::from_ref(&row));
        self.commit(ops).await?;
        replace(observed, vec![row]);
        Ok(())
    }

    /// After a refusal: asks who the authors are that were taken over unseen. `true` when that changes the plan.
    pub(crate) async fn authors_were_guesses(
        &mut self,
        steps: &[&Step],
        side: Side,
        reason: Option<Reason>,
        observed: &mut Observed,
    ) -> Result<bool, EngineError> {
        // These have nothing to do with who it was.
        if matches!(reason, Some(Reason::AttributeRequired | Reason::PeriodClosed)) {
            return Ok(false);
        }
        let from = side.other();
        let connection = self.connection;
        let rules = &connection.settings.rules;
        let authored = |step: &&Step| match &step.action {
            Action::Create { source, .. } => Some((source.author.clone(), true)),
            // That of a worklog that is there stays whatever is found out, unless it is what changes.
            Action::Update {
                source, before, body, ..
            } => Some((source.author.clone(), before.author != body.author)),
            _ => None,
        };
        let authors: BTreeSet<(AccountId, bool)> = steps.iter().filter_map(authored).collect();
        // Of several in one request, nothing tells which one the site does not take.
        let is_the_one = authors.len() == 1 && authors.iter().all(|(_, is_written)| *is_written);
        let taken = match reason {
            Some(Reason::AuthorUnmapped) if is_the_one && rules.fallback().is_some() => Taken::NotNow,
            Some(Reason::AuthorUnmapped) => Taken::NotBefore,
            _ => Taken::Untold,
        };
        let guess = |step: &&Step| {
            let (source, body) = match &step.action {
                Action::Create { source, body, .. } | Action::Update { source, body, .. } => (source, body),
                _ => return None,
            };
            // That somebody exists there under the same id does not say that time can be logged for them.
            let known = observed.lookups.people[from].get(&source.author);
            let is_same = |known: &Person| known.other.as_ref() == Some(&source.author);
            let is_open = known.is_none_or(|known| taken == Taken::NotNow && is_same(known));
            let guessed = body.author == source.author
                && rules.mapped(from, &source.author).is_none()
                && is_open
                && !self.report.untold.contains(&source.author);
            guessed.then(|| source.author.clone())
        };
        let guesses: BTreeSet<AccountId> = steps.iter().filter_map(guess).collect();
        let mut changed = false;
        for account in guesses {
            let looked_up = self
                .engine
                .look_up_person(self.connection, from, &account, taken, self.lane);
            let person = match looked_up.await {
                Ok(person) => person,
                // The site does not say who they are: what it said of the write stands.
                Err(error) if error.is_refusal() => {
                    self.report.untold.insert(account);
                    continue;
                }
                Err(error) => return Err(error),
            };
            changed |= person.other.as_ref() != Some(&account);
            if taken == Taken::NotNow {
                self.report.untold.insert(account);
            }
            let known = Person {
                other: person.other,
                display_name: person.display_name,
            };
            observed.lookups.people[from].insert(person.account, known);
        }
        Ok(changed)
    }
}
