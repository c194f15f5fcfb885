//! Taking over what another tool had copied, in a backfill that is told to.

use std::collections::BTreeSet;

use super::{Planner, Recorded};
use crate::copies::{self, Likely};
use crate::ids::{Side, Sides, WorklogId};
use crate::pair::{IntentKind, Pair, PairState, Wait};
use crate::plan::Action;
use crate::reason::Reason;
use crate::worklog::Worklog;

/// Worklogs remembered as what may be the twin of one that waits, at most: a row has room for so many.
const RIVALS_MAX: usize = 1000;

/// Worklogs named in the detail of one that waits, at most.
const NAMED_MAX: usize = 20;

impl<'o> Planner<'o> {
    /// Pairs what another tool copied, and sets aside what nobody can tell. What waits for a person already is looked at anew
    /// where one was `told` of just this listing: what fits nothing there waits no longer.
    ///
    /// Returns `false` where that has to wait: a create of unknown outcome may have made some of what is listed, and
    /// finds its own first.
    pub(super) fn adopt_copies(&mut self, told: bool) -> bool {
        let observed = self.observed;
        let Some(backfill) = observed.backfill.as_ref().filter(|backfill| backfill.adopt) else {
            return true;
        };
        let interrupted = observed.pairs.iter().find_map(|pair| {
            let intent = pair
                .intent
                .as_ref()
                .filter(|intent| intent.kind == IntentKind::Create)?;
            (pair.state == PairState::Live).then_some(intent.until)
        });
        if let Some(until) = interrupted {
            let soon = until + self.settings.grace;
            // Past that, it waits for somebody.
            let later = self.observed.now + self.settings.park_retry;
            self.look_at(if soon > self.observed.now { soon } else { later });
            return false;
        }
        let halves = Sides::from_fn(|side| self.halves(side));
        self.claimed = Sides::from_fn(|side| self.claimed(side, &halves[side]));
        let waiting = observed.pairs.iter().filter(|pair| self.is_between_rivals(pair));
        // What a person has named comes first, and what was begun finds its own.
        let (anew, left): (Vec<&Pair>, Vec<&Pair>) = waiting.partition(|pair| {
            let is_half = |side: Side| pair.ids[side].is_some_and(|id| halves[side].contains(&id));
            told && self.named(pair).is_none() && Side::BOTH.into_iter().any(is_half)
        });
        for pair in left {
            for side in Side::BOTH {
                match pair.ids[side] {
                    Some(id) => self.claim(side, &[id]),
                    None => self.claim(side, &pair.rivals),
                }
            }
        }
        let candidates = Sides::from_fn(|side| self.candidates(side, &halves[side]));
        let matching = copies::match_copies(&candidates, &backfill.tolerance, self.rules, &observed.lookups);
        for ids in &matching.certain {
            self.take_over(*ids, "the same on both sides already".to_string());
        }
        for Likely { ids, lost, .. } in &matching.likely {
            let mut names: Vec<_> = lost.iter().map(|field| field.name()).collect();
            names.dedup();
            self.take_over(*ids, format!("copied before, but for {}", names.join(", ")));
        }
        for group in &matching.ambiguous {
            self.hold(group);
        }
        for pair in anew {
            self.let_go(pair);
        }
        true
    }

    /// Says whether one of several worklogs on the other side may be a pair's twin, and a person is to tell which.
    fn is_between_rivals(&self, pair: &Pair) -> bool {
        let lacks_one = pair.ids.a.is_some() != pair.ids.b.is_some();
        pair.state == PairState::Live
            && pair.link == self.observed.link
            && lacks_one
            && !pair.rivals.is_empty()
    }

    /// Has a pair wait no longer of which a person was told that none of those that might be its twin is: they are all shown,
    /// and nobody else's.
    fn let_go(&mut self, pair: &Pair) {
        let Some(side) = Side::BOTH.into_iter().find(|side| pair.ids[*side].is_some()) else {
            return;
        };
        let is_shown = pair.ids[side].is_some_and(|id| self.observed.listings[side].contains_key(&id));
        let is_named = pair.ids[side].is_some_and(|id| self.is_named(side, id));
        let to = side.other();
        let mut rivals = pair.rivals.iter();
        let is_clear =
            rivals.all(|id| self.observed.listings[to].contains_key(id) && !self.claimed[to].contains(id));
        if !is_shown || is_named || !is_clear || self.settled.contains(&pair.id) {
            return;
        }
        let mut next = pair.clone();
        next.rivals.clear();
        next.chosen = None;
        next.wait = None;
        self.push(
            next,
            Action::Record(Recorded::Agree),
            "none of those that might be its copy is one".to_string(),
            vec![],
        );
    }

    /// Worklogs of a side whose twin nobody has begun to make.
    fn halves(&self, side: Side) -> BTreeSet<WorklogId> {
        let fits = |pair: &&Pair| {
            pair.state == PairState::Live
                && pair.link == self.observed.link
                && pair.ids[side.other()].is_none()
                && pair.abandoned.is_empty()
        };
        let pairs = self.observed.pairs.iter().filter(fits);
        pairs.filter_map(|pair| pair.ids[side]).collect()
    }

    /// Worklogs of a side that have a twin, or are none of this link's. Those that only may be another one's twin are not
    /// among them.
    fn claimed(&self, side: Side, halves: &BTreeSet<WorklogId>) -> BTreeSet<WorklogId> {
        let observed = self.observed;
        let paired = observed.pairs.iter().filter_map(|pair| pair.ids[side]);
        let mut claimed: BTreeSet<_> = paired.filter(|id| !halves.contains(id)).collect();
        claimed.extend(&observed.foreign[side]);
        claimed.extend(observed.successors[side].keys());
        claimed.extend(observed.parted[side].keys());
        // Another connection of a ring made its copy.
        claimed.extend(observed.copies[side].keys());
        // A person said whose they are.
        for pair in &observed.pairs {
            if let Some((to, chosen)) = self.named(pair) {
                claimed.extend(if to == side { Some(chosen) } else { pair.ids[side] });
            }
        }
        claimed
    }

    /// The worklog that a person named for a pair's twin, and its side. A name that fits nothing any more says nothing.
    fn named(&self, pair: &Pair) -> Option<(Side, WorklogId)> {
        let observed = self.observed;
        let to = Side::BOTH.into_iter().find(|side| pair.ids[*side].is_none())?;
        let chosen = pair.chosen?;
        let mut owners = observed
            .pairs
            .iter()
            .filter(|other| other.ids[to] == Some(chosen));
        let is_free = observed.listings[to].contains_key(&chosen) && owners.all(Pair::is_single);
        is_free.then_some((to, chosen))
    }

    /// Says whether a person named a worklog for another one's twin.
    pub(super) fn is_named(&self, side: Side, id: WorklogId) -> bool {
        let mut pairs = self.observed.pairs.iter();
        pairs.any(|pair| self.named(pair) == Some((side, id)))
    }

    fn candidates(&self, side: Side, halves: &BTreeSet<WorklogId>) -> Vec<&'o Worklog> {
        let observed = self.observed;
        let listed = observed.listings[side].values();
        let begins = |worklog: &Worklog| observed.begins(worklog.content.start_date);
        listed
            .filter(|worklog| !self.claimed[side].contains(&worklog.id))
            .filter(|worklog| !observed.vanished[side].contains(&worklog.id))
            .filter(|worklog| begins(worklog) || halves.contains(&worklog.id))
            .collect()
    }

    /// The pair of a worklog, or a new one.
    fn half_of(&self, side: Side, id: WorklogId) -> Pair {
        let known = self.observed.pairs.iter().find(|pair| {
            pair.ids[side] == Some(id) && pair.state == PairState::Live && pair.link == self.observed.link
        });
        known.cloned().unwrap_or_else(|| {
            let link = self.observed.link.clone();
            Pair::half(Pair::id_for(side, id, link.issue(side)), link, side, id)
        })
    }

    /// Pairs two worklogs as they are.
    fn take_over(&mut self, ids: Sides<WorklogId>, cause: String) {
        let observed = self.observed;
        let side = match (self.knows(Side::A, ids.a), self.knows(Side::B, ids.b)) {
            (false, true) => Side::B,
            // Where each has a row of its own, one takes the other in.
            _ => Side::A,
        };
        let found = Sides::new(observed.worklog(Side::A, ids.a), observed.worklog(Side::B, ids.b));
        let (Some(a), Some(b)) = (found.a, found.b) else {
            return;
        };
        let mut pair = self.half_of(side, ids[side]);
        pair.ids = Sides::new(Some(ids.a), Some(ids.b));
        pair.seen = Sides::new(Some(a.updated_at), Some(b.updated_at));
        // What differs was so before there was anything to keep the same.
        pair.base = Some(Sides::new(a.content.clone(), b.content.clone()));
        pair.wait = None;
        pair.rivals.clear();
        pair.chosen = None;
        self.settle(&pair);
        self.push(pair, Action::Record(Recorded::Adopt), cause, vec![]);
    }

    fn knows(&self, side: Side, id: WorklogId) -> bool {
        self.observed.pairs.iter().any(|pair| pair.ids[side] == Some(id))
    }

    /// Has A's worklogs of a group wait for a person, and B's where they have a row of their own; the others of B are kept
    /// from being copied.
    fn hold(&mut self, group: &Sides<Vec<WorklogId>>) {
        for id in &group.a {
            self.hold_one(Side::A, *id, group);
        }
        for id in &group.b {
            if self.knows(Side::B, *id) {
                self.hold_one(Side::B, *id, group);
            }
        }
        for side in Side::BOTH {
            self.claim(side, &group[side]);
        }
    }

    /// Has what is left of those of which one was, or might have been, a pair's twin wait for a person too: each may be another
    /// copy of it.
    pub(super) fn hold_others(&mut self, pair: &Pair, to: Side, twin: Option<WorklogId>) {
        let observed = self.observed;
        // One that goes now as well leaves them, too.
        let goes = |other: &Pair| {
            let from = to.other();
            other.ids[from].is_some_and(|id| {
                observed.worklog(from, id).is_none() && observed.proofs[from].contains_key(&id)
            })
        };
        let is_left = |id: &WorklogId| {
            let is_gone = observed.vanished[to].contains(id);
            let is_anothers = is_gone
                || observed.pairs.iter().any(|other| {
                    let may_be = other.id != pair.id && self.is_between_rivals(other) && !goes(other);
                    other.ids[to] == Some(*id) || may_be && other.rivals.contains(id)
                });
            Some(*id) != twin && observed.listings[to].contains_key(id) && !is_anothers
        };
        let left = pair.rivals.iter().copied().filter(is_left);
        let mut group = Sides::<Vec<WorklogId>>::default();
        group[to] = left.collect();
        group[to.other()].extend(pair.ids[to.other()]);
        for id in &group[to] {
            // Several that were between them may have gone at once.
            if !self.settled.contains(&self.half_of(to, *id).id) {
                self.hold_one(to, *id, &group);
            }
        }
        self.claim(to, &group[to]);
    }

    /// Has a worklog wait that may be a copy of one that is no more.
    pub(super) fn hold_left_over(&mut self, side: Side, id: WorklogId, of: WorklogId) {
        let mut group = Sides::<Vec<WorklogId>>::default();
        group[side].push(id);
        group[side.other()].push(of);
        self.hold_one(side, id, &group);
    }

    fn hold_one(&mut self, side: Side, id: WorklogId, group: &Sides<Vec<WorklogId>>) {
        let there = side.other();
        let mut pair = self.half_of(side, id);
        let worklog = self.observed.worklog(side, id);
        pair.seen[side] = pair.seen[side].max(worklog.map(|worklog| worklog.updated_at));
        pair.rivals = group[there].iter().copied().take(RIVALS_MAX).collect();
        let named = names(&pair.rivals);
        let detail = match group[side].len() {
            1 => format!("its copy on side {there} may be any of {named}"),
            count => format!(
                "{count} worklogs on side {side} and {named} on side {there} may be copies of each other"
            ),
        };
        self.settled.insert(pair.id.clone());
        let same = pair
            .wait
            .as_ref()
            .is_some_and(|wait| wait.reason == Reason::AmbiguousCreate && wait.detail == detail);
        if same && self.row(&pair.id).is_some_and(|row| *row == pair) {
            return;
        }
        let mut tried = Sides::new(None, None);
        tried[side] = worklog.map(|worklog| worklog.content.clone());
        pair.intent = None;
        pair.wait = Some(Wait {
            reason: Reason::AmbiguousCreate,
            side,
            detail: detail.clone(),
            since: pair.wait.as_ref().map_or(self.observed.now, |wait| wait.since),
            attempts: 0,
            // Only a person can tell.
            next_attempt: None,
            tried,
            moved: false,
        });
        self.push(pair, Action::Record(Recorded::Park), detail, vec![]);
    }

    /// Leaves a pair that has found its twin, and what it takes in, out of the rest of the plan.
    pub(super) fn settle(&mut self, pair: &Pair) {
        let over = self.observed.pairs.iter().filter(|row| pair.takes_in(row));
        self.settled.extend(over.map(|row| row.id.clone()));
        self.settled.insert(pair.id.clone());
        for side in Side::BOTH {
            self.claim(side, pair.ids[side].as_slice());
        }
    }

    fn claim(&mut self, side: Side, ids: &[WorklogId]) {
        self.claimed[side].extend(ids);
        self.taken[side].extend(ids);
    }
}

pub(super) fn names(ids: &[WorklogId]) -> String {
    let named: Vec<_> = ids.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    match ids.len().saturating_sub(NAMED_MAX) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
