//! Taking over what another tool had copied, in a backfill that is told to.

use std::collections::BTreeSet;

use super::{Planner, Recorded};
use crate::copies::{self, Likely};
use crate::ids::{PairId, Side, Sides, WorklogId};
use crate::observed::Backfill;
use crate::pair::{IntentKind, Pair, PairState, Wait};
use crate::plan::Action;
use crate::reason::Reason;
use crate::worklog::{Content, Worklog};

/// Worklogs remembered as what may be the twin of one that waits, at most: a row has room for so many.
const RIVALS_MAX: usize = 1000;

/// Worklogs named in the detail of one that waits, at most.
const NAMED_MAX: usize = 20;

impl<'o> Planner<'o> {
    /// Pairs what another tool copied, and sets aside what nobody can tell.
    ///
    /// Returns `false` where that has to wait: a create of unknown outcome may have made some of what is listed, and
    /// finds its own first.
    pub(super) fn adopt_copies(&mut self) -> bool {
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
        self.take_over_foreseen(backfill);
        let candidates = Sides::from_fn(|side| self.candidates(side, &halves[side]));
        let matching = copies::match_copies(&candidates, &backfill.tolerance, self.rules, &observed.lookups);
        for ids in &matching.certain {
            self.take_over(*ids, None, "the same on both sides already".to_string());
        }
        for Likely { ids, lost, .. } in &matching.likely {
            let mut names: Vec<_> = lost.iter().map(|field| field.name()).collect();
            names.dedup();
            self.take_over(*ids, None, format!("copied before, but for {}", names.join(", ")));
        }
        for group in self.ambiguous(matching.ambiguous, backfill) {
            self.hold(&group);
        }
        true
    }

    /// Pairs what went together when a person was asked. What was changed on one side since crosses; where both were, or one
    /// is not shown any more, the other waits for a person.
    fn take_over_foreseen(&mut self, backfill: &Backfill) {
        let observed = self.observed;
        for twins in &backfill.foreseen.twins {
            let ids = twins.ids;
            let is_apart = backfill.tolerance.apart.contains(&(ids.a, ids.b));
            if is_apart
                || Side::BOTH
                    .into_iter()
                    .any(|side| self.claimed[side].contains(&ids[side]))
            {
                continue;
            }
            let found = Sides::from_fn(|side| observed.listings[side].get(&ids[side]));
            // What has left the days that are begun on both sides since is left alone there.
            let is_begun = |found: Option<&Worklog>| {
                found.is_some_and(|worklog| observed.begins(worklog.content.start_date))
            };
            if !is_begun(found.a) && !is_begun(found.b) {
                continue;
            }
            let base = match (found.a, found.b) {
                (Some(a), Some(b)) => twins.base(&Sides::new(a, b), self.rules, &observed.lookups),
                _ => None,
            };
            match base {
                Some(base) => self.take_over(ids, Some(base), "twins when this was begun".to_string()),
                None => self.hold(&Sides::new(vec![ids.a], vec![ids.b])),
            }
        }
    }

    /// Those of which nobody can tell which is whose, and those of which nobody could when a person was asked, as far as
    /// nothing tells since. Some of them may not be shown any more.
    fn ambiguous(&self, now: Vec<Sides<Vec<WorklogId>>>, backfill: &Backfill) -> Vec<Sides<Vec<WorklogId>>> {
        let is_open = |side: Side, id: &WorklogId| {
            self.observed.listings[side].contains_key(id) && !self.claimed[side].contains(id)
        };
        // All of such a group, though some may have found their twin: what is left over may be another copy of that.
        let foreseen = backfill.foreseen.ambiguous.iter().filter(|group| {
            Side::BOTH
                .into_iter()
                .any(|side| group[side].iter().any(|id| is_open(side, id)))
        });
        let foreseen = foreseen.cloned();
        copies::joined(now.into_iter().chain(foreseen))
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
        // A person said whose they are. A name that fits nothing any more says nothing.
        for pair in &observed.pairs {
            let lacks = Side::BOTH.into_iter().find(|side| pair.ids[*side].is_none());
            let (Some(chosen), Some(to)) = (pair.chosen, lacks) else {
                continue;
            };
            let is_owned = observed.pairs.iter().any(|other| other.ids[to] == Some(chosen));
            if observed.listings[to].contains_key(&chosen) && !is_owned {
                claimed.extend(if to == side { Some(chosen) } else { pair.ids[side] });
            }
        }
        claimed
    }

    fn candidates(&self, side: Side, halves: &BTreeSet<WorklogId>) -> Vec<&'o Worklog> {
        let observed = self.observed;
        let listed = observed.listings[side].values();
        let begins = |worklog: &Worklog| observed.begins(worklog.content.start_date);
        listed
            .filter(|worklog| !self.claimed[side].contains(&worklog.id))
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

    /// Pairs two worklogs: as they are, or with a change since that is still to cross.
    fn take_over(&mut self, ids: Sides<WorklogId>, base: Option<Sides<Content>>, cause: String) {
        let observed = self.observed;
        let side = match (self.knows(Side::A, ids.a), self.knows(Side::B, ids.b)) {
            // Each has a row of its own, and waits for a reason of its own.
            (true, true) => return self.hold(&Sides::new(vec![ids.a], vec![ids.b])),
            (false, true) => Side::B,
            (_, false) => Side::A,
        };
        let found = Sides::new(observed.worklog(Side::A, ids.a), observed.worklog(Side::B, ids.b));
        let (Some(a), Some(b)) = (found.a, found.b) else {
            return;
        };
        let mut pair = self.half_of(side, ids[side]);
        pair.ids = Sides::new(Some(ids.a), Some(ids.b));
        pair.seen = Sides::new(Some(a.updated_at), Some(b.updated_at));
        // As they are: what differs was so before there was anything to keep the same.
        pair.base = base.or_else(|| Some(Sides::new(a.content.clone(), b.content.clone())));
        pair.wait = None;
        pair.rivals.clear();
        pair.chosen = None;
        self.settle(pair.id.clone(), Sides::new(vec![ids.a], vec![ids.b]));
        self.push(pair, Action::Record(Recorded::Adopt), cause, vec![]);
    }

    fn knows(&self, side: Side, id: WorklogId) -> bool {
        self.observed.pairs.iter().any(|pair| pair.ids[side] == Some(id))
    }

    /// Has A's worklogs of a group wait for a person, and B's where they have a row of their own or none of A's is shown; the
    /// others of B are kept from being copied.
    fn hold(&mut self, group: &Sides<Vec<WorklogId>>) {
        let shown = Sides::from_fn(|side| {
            let ids = group[side].iter().copied();
            ids.filter(|id| self.observed.listings[side].contains_key(id) && !self.claimed[side].contains(id))
                .collect::<Vec<_>>()
        });
        for id in &shown.a {
            self.hold_one(Side::A, *id, group, &shown);
        }
        for id in &shown.b {
            if shown.a.is_empty() || self.knows(Side::B, *id) {
                self.hold_one(Side::B, *id, group, &shown);
            }
        }
        for side in Side::BOTH {
            self.claim(side, &group[side]);
        }
    }

    fn hold_one(
        &mut self,
        side: Side,
        id: WorklogId,
        group: &Sides<Vec<WorklogId>>,
        shown: &Sides<Vec<WorklogId>>,
    ) {
        let there = side.other();
        let mut pair = self.half_of(side, id);
        let worklog = self.observed.worklog(side, id);
        pair.seen[side] = pair.seen[side].max(worklog.map(|worklog| worklog.updated_at));
        pair.rivals = group[there].iter().copied().take(RIVALS_MAX).collect();
        let named = names(&pair.rivals);
        let detail = match shown[side].len() {
            _ if shown[there].is_empty() => {
                format!("its copy on side {there} was one of {named}; nothing tells by now which")
            }
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

    fn settle(&mut self, pair: PairId, ids: Sides<Vec<WorklogId>>) {
        self.settled.insert(pair);
        for side in Side::BOTH {
            self.claim(side, &ids[side]);
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
