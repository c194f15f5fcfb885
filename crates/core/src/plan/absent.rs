//! A pair of which a listing does not show a worklog.

use super::Planner;
use crate::field::changed;
use crate::ids::{Side, Sides, WorklogId};
use crate::observed::Proof;
use crate::pair::{IntentKind, Pair, PairState};
use crate::reason::Reason;
use crate::render::Unrenderable;
use crate::rules::{DeletePolicy, DeleteVsEdit};
use crate::step::{Action, Made, Recorded};
use crate::worklog::{Content, Worklog};

/// How the history tells of a worklog that has no twin any more.
pub(super) const MOVED: &str = "moved to an issue without a twin";

impl Planner<'_> {
    /// `attempted` is the side on which Tandem itself set out to delete, if it did: there, being gone is no surprise.
    pub(super) fn absent(
        &mut self,
        pair: Pair,
        ids: Sides<WorklogId>,
        found: Sides<Option<Worklog>>,
        attempted: Option<Side>,
    ) {
        let proofs = Sides::from_fn(|side| match found[side] {
            None => self.observed.proofs[side].get(&ids[side]).cloned(),
            Some(_) => None,
        });
        // Where it is not shown, somebody may have moved it to an issue that is nobody's to write to.
        let deletable = |side| {
            found[side].is_some()
                || attempted == Some(side)
                || self.observed.unreadable[side].contains_key(&ids[side])
        };
        if let Some(side) = attempted.filter(|_| proofs.a.is_some() && proofs.b.is_some()) {
            self.was_deleted_by_us(&pair, side);
        }
        match (proofs.a.clone(), proofs.b.clone()) {
            (Some(a), Some(b)) => {
                let told = [(Side::A, a), (Side::B, b)];
                let moved = told.iter().find(|(_, proof)| proof.moved_to.is_some());
                // Not what Tandem itself set out to take away.
                let may_stand = told
                    .iter()
                    .find(|(side, proof)| attempted != Some(*side) && proof.may_stand());
                match (moved, may_stand) {
                    (Some((side, _)), _) => self.leave(pair, *side, MOVED),
                    (None, Some((side, _))) => self.leave(pair, *side, "deleted on both sides"),
                    (None, None) => self.forget(pair, "deleted on both sides"),
                }
            }
            (Some(proof), None) if deletable(Side::B) => {
                self.deleted(pair, Side::A, proof, ids.b, found.b);
            }
            (None, Some(proof)) if deletable(Side::A) => {
                self.deleted(pair, Side::B, proof, ids.a, found.a);
            }
            (None, None) if self.nothing_left(&pair, ids, &found) => {
                self.forget(pair, "other connections took both away for a move");
            }
            _ => {
                let unexplained = |side: &Side| found[*side].is_none() && proofs[*side].is_none();
                let side = Side::BOTH.into_iter().find(unexplained).unwrap_or(Side::A);
                self.missing(pair, side, found.map(|_, worklog| worklog.map(|w| w.content)));
            }
        }
    }

    /// What Tandem set out to delete is gone: that was nobody else's doing.
    fn was_deleted_by_us(&mut self, pair: &Pair, side: Side) {
        let intent = self.row(&pair.id).and_then(|row| row.intent.as_ref());
        let intent = intent.filter(|intent| intent.kind == IntentKind::Delete && intent.side == side);
        if let Some(intent) = intent {
            self.made.insert(pair.id.clone(), Box::new(Made::delete(intent)));
        }
    }

    /// A worklog is proven gone on `side`; `twin` is the other one, `found` if its listing shows it.
    fn deleted(&mut self, mut pair: Pair, side: Side, proof: Proof, twin: WorklogId, found: Option<Worklog>) {
        let there = side.other();
        let moved = proof.moved_to.is_some();
        let edited = found
            .as_ref()
            .filter(|worklog| self.is_edited(&pair, there, &worklog.content));
        let before = found
            .as_ref()
            .map(|worklog| worklog.content.clone())
            .or_else(|| pair.base.as_ref().map(|base| base[there].clone()));
        let Some(before) = before else {
            return self.forget(pair, "deleted before its twin was remembered");
        };
        let mut tried = Sides::new(None, None);
        tried[there] = Some(before.clone());
        let gone = format!("deleted on {side} ({})", proof.source);
        let conflict = |detail: String| Unrenderable {
            reason: Reason::Conflict,
            detail,
        };
        if let Some(source) = edited {
            match self.rules.policy.delete_vs_edit {
                DeleteVsEdit::Delete => {}
                // An edit wins, and there is nothing to make: what it is to win over stands elsewhere.
                DeleteVsEdit::Edit if moved => {
                    let why = conflict(format!(
                        "moved to an issue without a twin on {side}, but edited on {there}"
                    ));
                    return self.park_gone(pair, there, why, tried, moved);
                }
                DeleteVsEdit::Park => {
                    let gone = if moved {
                        "moved to an issue without a twin"
                    } else {
                        "deleted"
                    };
                    let why = conflict(format!(
                        "{gone} on {side} and edited on {there}; the policy is to ask a person"
                    ));
                    return self.park_gone(pair, there, why, tried, moved);
                }
                DeleteVsEdit::Edit => {
                    // Whatever was let through, it was not this edit.
                    pair.released = false;
                    pair.ids[side] = None;
                    pair.seen[side] = None;
                    pair.strays[side] = None;
                    if self.was_made_earlier(&pair, side, &before) {
                        return;
                    }
                    let cause = format!("{gone}, but edited on {there}: the edit wins");
                    return self.begin(pair, there, source, cause);
                }
            }
        }
        match self.rules.policy.delete {
            DeletePolicy::Mirror => {}
            // A person said so of this one.
            _ if pair.released => {}
            DeletePolicy::Keep => {
                pair.state = PairState::Kept;
                pair.wait = None;
                return self.push(
                    pair,
                    Action::Record(Recorded::Keep),
                    format!("{gone}; the policy keeps its twin"),
                    vec![],
                );
            }
            DeletePolicy::Park => {
                let why = conflict(format!("{gone}; the policy is to ask a person"));
                return self.park_gone(pair, there, why, tried, moved);
            }
        }
        // Once parked, it stays so until a person lets it through, however much time passes.
        let held = pair
            .wait
            .as_ref()
            .is_some_and(|wait| wait.reason == Reason::MassDelete);
        if (self.observed.brake || held) && !pair.released {
            let why = Unrenderable {
                reason: Reason::MassDelete,
                detail: format!("{gone}, with more others than the brake lets through"),
            };
            return self.park(pair, there, why, tried);
        }
        // That it was not known to be deleted is over, and so is what a person said to that.
        if pair.wait.as_ref().is_some_and(|wait| {
            wait.attempts == 0 && matches!(wait.reason, Reason::Missing | Reason::PermissionMissing)
        }) {
            pair.wait = None;
        }
        if let Some(until) = self.waits(
            &pair,
            &tried.clone().map(|_, c| c.unwrap_or_else(|| before.clone())),
        ) {
            return self.look_at(until);
        }
        let issue = pair.strays[there].unwrap_or_else(|| pair.link.issue(there));
        let action = Action::Delete {
            side: there,
            worklog: twin,
            issue,
            before,
            proof,
            moves: false,
        };
        self.push(pair, action, gone, vec![]);
    }

    /// Says whether somebody edited what is left of a pair. Where nothing was agreed on, what was seen when it was set
    /// aside tells; and where a person is to say which of two values counts, either is an edit.
    fn is_edited(&self, pair: &Pair, side: Side, now: &Content) -> bool {
        match (&pair.base, &pair.wait) {
            (Some(base), _) => changed(side, &base[side], now, self.rules),
            (None, Some(wait)) => {
                let seen = wait.tried[side].as_ref();
                // What a policy asks about a delete is a conflict, too, and has seen one side alone.
                let is_of_values = wait.reason == Reason::Conflict && wait.tried[side.other()].is_some();
                is_of_values || seen.is_some_and(|seen| changed(side, seen, now, self.rules))
            }
            (None, None) => false,
        }
    }

    /// Says whether a move went round a ring and took both of a pair's worklogs along, so that nothing of it is
    /// left to carry on. Not at the first look: one of those that took their place may still be known by the other.
    fn nothing_left(&self, pair: &Pair, ids: Sides<WorklogId>, found: &Sides<Option<Worklog>>) -> bool {
        let waited = pair
            .wait
            .as_ref()
            .and_then(|wait| wait.next_attempt.filter(|_| wait.reason == Reason::Missing));
        waited.is_some_and(|due| self.observed.now >= due)
            && Side::BOTH
                .into_iter()
                .all(|side| found[side].is_none() && self.observed.moved_away[side].contains(&ids[side]))
    }

    pub(super) fn missing(&mut self, pair: Pair, side: Side, found: Sides<Option<Content>>) {
        for side in Side::BOTH {
            let unreadable = pair.ids[side].and_then(|id| self.observed.unreadable[side].get(&id));
            if let Some(text) = unreadable {
                let why = Unrenderable {
                    reason: Reason::Rejected,
                    detail: format!("side {side} answered: {text}"),
                };
                return self.park(pair, side, why, found);
            }
        }
        if let Some(written) = pair.written_at
            && self.observed.now < written + self.settings.grace
        {
            return self.look_at(written + self.settings.grace);
        }
        // What is known of it is that it moved, until it is asked about again.
        let is_moved = pair.wait.as_ref().is_some_and(|wait| wait.moved);
        if is_moved && pair.ids[side].is_some_and(|id| self.observed.unasked[side].contains(&id)) {
            return self.look_at(self.observed.now + self.settings.look_at_missing);
        }
        let why = if self.observed.blind[side] {
            Unrenderable {
                reason: Reason::PermissionMissing,
                detail: format!(
                    "side {side} no longer shows it, and the service user lacks permissions there"
                ),
            }
        } else {
            Unrenderable {
                reason: Reason::Missing,
                detail: format!("side {side} no longer shows it, and nothing proves that it was deleted"),
            }
        };
        self.park(pair, side, why, found);
    }

    /// The worklog on `side` moved to an issue without a twin, or may have, and has no twin any more.
    pub(super) fn leave(&mut self, mut pair: Pair, side: Side, cause: &str) {
        pair.state = PairState::Left;
        pair.ids[side.other()] = None;
        pair.intent = None;
        pair.wait = None;
        self.push(pair, Action::Record(Recorded::Forget), cause.to_string(), vec![]);
    }

    pub(super) fn forget(&mut self, mut pair: Pair, cause: &str) {
        pair.state = PairState::Gone;
        pair.intent = None;
        pair.wait = None;
        self.push(pair, Action::Record(Recorded::Forget), cause.to_string(), vec![]);
    }
}
