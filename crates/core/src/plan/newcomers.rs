//! Worklogs that no pair of this link knows: new ones, and those that moved here.

use super::Planner;
use crate::ids::{PairId, Side, Sides, WorklogId};
use crate::pair::{IntentKind, Pair, PairState};
use crate::reason::Reason;
use crate::render::Unrenderable;
use crate::step::{Action, Recorded};
use crate::twin;
use crate::worklog::Worklog;

impl Planner<'_> {
    pub(super) fn newcomers(&mut self) {
        let observed = self.observed;
        for side in Side::BOTH {
            for (id, text) in &observed.unreadable[side] {
                if self.taken[side].insert(*id) {
                    let pair = Pair::half(
                        Pair::id_for(side, *id, observed.link.issue(side)),
                        observed.link.clone(),
                        side,
                        *id,
                    );
                    let why = Unrenderable {
                        reason: Reason::Rejected,
                        detail: format!("side {side} answered: {text}"),
                    };
                    self.park(pair, side, why, Sides::new(None, None));
                }
            }
            for worklog in observed.listings[side].values() {
                let early = !observed.begins(worklog.content.start_date);
                if self.taken[side].contains(&worklog.id)
                    || observed.vanished[side].contains(&worklog.id)
                    || (early && !self.is_brought_back(side, worklog.id))
                {
                    continue;
                }
                self.taken[side].insert(worklog.id);
                if let Some(of) = observed.left_over[side].get(&worklog.id) {
                    self.hold_left_over(side, worklog.id, *of);
                    continue;
                }
                let id = Pair::id_for(side, worklog.id, observed.link.issue(side));
                let mut pair = Pair::half(id, observed.link.clone(), side, worklog.id);
                pair.seen[side] = Some(worklog.updated_at);
                self.begin(pair, side, worklog, format!("new on {side}"));
            }
        }
    }

    /// Says whether a person had a deleted worklog brought back as this one: it is wanted on both sides again, however early
    /// its day. The row that says so has no worklogs of its own, and names what its create made.
    fn is_brought_back(&self, side: Side, id: WorklogId) -> bool {
        self.observed.pairs.iter().any(|pair| {
            let made = pair.intent.as_ref().filter(|intent| {
                intent.kind == IntentKind::Create && intent.side == side && intent.worklog == Some(id)
            });
            pair.ids == Sides::default() && made.is_some()
        })
    }

    /// A create that was given up on may still show itself after its twin was made again. What a pair's own creates made is
    /// its own, though its base be gone for a while.
    pub(super) fn late_duplicate(&self, side: Side, worklog: &Worklog, own: &PairId) -> Option<Unrenderable> {
        let settled =
            |pair: &&&Pair| pair.id != *own && (pair.ids[side].is_some() || pair.state != PairState::Live);
        let of = self.with_abandoned.iter().filter(settled).find(|pair| {
            pair.abandoned.iter().any(|intent| {
                intent.side == side
                    && matches!(self.made_by(intent, &[worklog], &pair.id), twin::Made::One(_))
            })
        })?;
        Some(Unrenderable {
            reason: Reason::AmbiguousCreate,
            detail: match of.ids[side] {
                Some(id) => format!("looks like a late result of the interrupted create of worklog {id}"),
                None => "looks like a late result of an interrupted create".to_string(),
            },
        })
    }

    /// Says whether another connection put a new worklog in the place of one of a pair's.
    pub(super) fn is_succeeded(&self, pair: &Pair) -> bool {
        Side::BOTH.into_iter().any(|side| {
            self.observed.successors[side]
                .iter()
                .any(|(id, of)| *of == pair.id && pair.ids[side] != Some(*id))
        })
    }

    /// Says whether one of a pair's worklogs is listed here although the pair remembers it elsewhere. A twin that
    /// a move left behind here is remembered, and stays with the pair that went.
    pub(super) fn turned_up(&self, pair: &Pair) -> bool {
        if self.observed.orphaned.contains(&pair.id) {
            return true;
        }
        if pair
            .intent
            .as_ref()
            .is_some_and(|intent| intent.kind == IntentKind::Create)
        {
            // Its old link first has to find out what became of the create.
            return false;
        }
        if self.is_succeeded(pair) {
            return true;
        }
        Side::BOTH.into_iter().any(|side| {
            let here = self.observed.link.issue(side);
            let remembered = pair.strays[side].unwrap_or_else(|| pair.link.issue(side));
            remembered != here
                && pair.ids[side].is_some_and(|id| self.observed.listings[side].contains_key(&id))
        })
    }

    /// A pair of another link, one of whose worklogs is listed here now.
    pub(super) fn arrive(&mut self, pair: &Pair) {
        let mut next = pair.clone();
        next.link = self.observed.link.clone();
        next.wait = None;
        if self.observed.orphaned.contains(&pair.id) {
            // The link was replaced: what stands on the old issue stays there, and is no twin any more. Where the issues were
            // linked before, the twin of then is here.
            for side in Side::BOTH {
                let here = pair.ids[side].is_some_and(|id| self.observed.listings[side].contains_key(&id));
                if !here {
                    let parted = self.observed.parted[side].iter();
                    next.ids[side] = parted.filter(|(_, of)| **of == pair.id).map(|(id, _)| *id).next();
                    next.seen[side] = None;
                }
            }
            next.strays = Sides::default();
            next.base = None;
            next.intent = None;
            return self.push(
                next,
                Action::Record(Recorded::Move),
                format!("link {} is no more", pair.link),
                vec![],
            );
        }
        for side in Side::BOTH {
            let successor = self.observed.successors[side]
                .iter()
                .find(|(_, of)| **of == pair.id);
            if let Some((id, _)) = successor {
                next.ids[side] = Some(*id);
                next.seen[side] = None;
                next.strays[side] = None;
                continue;
            }
            let Some(id) = pair.ids[side] else { continue };
            let here = self.observed.listings[side].contains_key(&id);
            next.strays[side] = if here || next.link.issue(side) == pair.link.issue(side) {
                None
            } else {
                Some(pair.strays[side].unwrap_or_else(|| pair.link.issue(side)))
            };
        }
        let cause = match pair.link == self.observed.link {
            true => "another connection made it again".to_string(),
            false => format!("moved here from link {}", pair.link),
        };
        self.push(next, Action::Record(Recorded::Move), cause, vec![]);
    }
}
