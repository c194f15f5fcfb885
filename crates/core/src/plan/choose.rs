//! A twin that a person has named.

use super::{Action, Planner, Recorded};
use crate::ids::{Side, Sides, WorklogId};
use crate::pair::{IntentKind, Pair, PairState};

impl Planner<'_> {
    /// Takes the worklog that a person named for a pair's twin on `to`, where it is listed and belongs to nobody. Says
    /// whether it did. A name that fits nothing is dropped with the pair's next step.
    pub(super) fn take_chosen(&mut self, pair: &Pair, to: Side, chosen: WorklogId) -> bool {
        let observed = self.observed;
        let from = to.other();
        let Some(found) = observed.listings[to].get(&chosen) else {
            return false;
        };
        let owned = observed
            .pairs
            .iter()
            .any(|other| other.ids[to] == Some(chosen) && other.id != pair.id && !other.is_single());
        let spoken_for = self
            .plan
            .steps
            .iter()
            .any(|step| step.pair.ids[to] == Some(chosen));
        let source = pair.ids[from].and_then(|id| observed.worklog(from, id));
        let Some(source) = source.filter(|_| !owned && !spoken_for && pair.state == PairState::Live) else {
            return false;
        };
        if observed.foreign[to].contains(&chosen) {
            return false;
        }
        let attempt = pair
            .intent
            .as_ref()
            .filter(|intent| intent.kind == IntentKind::Create)
            .or(pair.abandoned.iter().rfind(|intent| intent.side == to));
        // What an attempt of ours wrote is where edits of both sides are told from. Anything else is taken as it is.
        let base = match attempt {
            Some(attempt) => {
                let said = attempt.source.as_ref().unwrap_or(&source.content);
                self.agreed_by(to, attempt, said, found).0
            }
            None => {
                let mut base = Sides::new(source.content.clone(), source.content.clone());
                base[to] = found.content.clone();
                base
            }
        };
        let mut next = pair.clone();
        next.ids[to] = Some(chosen);
        next.seen[to] = None;
        next.base = Some(base);
        next.intent = None;
        next.wait = None;
        next.rivals.clear();
        let cause = "a person said which one it is".to_string();
        self.settle(&next);
        self.push(next, Action::Record(Recorded::Adopt), cause, vec![]);
        self.hold_others(pair, to, Some(chosen));
        true
    }
}
