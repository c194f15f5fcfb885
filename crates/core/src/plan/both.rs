//! A pair whose worklogs are both known.

use super::Planner;
use crate::field::{Field, changed};
use crate::ids::{Side, Sides, WorklogId};
use crate::merge;
use crate::merge::Merged;
use crate::observed::Proof;
use crate::pair::{Intent, IntentKind, Pair, PairState, Unmet, Wait};
use crate::reason::Reason;
use crate::render;
use crate::step::{Action, Made, Recorded};
use crate::worklog::{Content, Worklog};

impl Planner<'_> {
    pub(super) fn both(&mut self, pair: &Pair, ids: Sides<WorklogId>) {
        let mut pair = pair.clone();
        let found = Sides::from_fn(|side| self.observed.worklog(side, ids[side]).cloned());
        let behind = |side| {
            found[side]
                .as_ref()
                .is_some_and(|worklog| self.is_behind(&pair, side, worklog))
        };
        if Side::BOTH.into_iter().any(behind) {
            return self.look_at(self.observed.now + self.settings.grace);
        }
        // On a linked issue, it is for that link's run to take it in.
        if Side::BOTH.into_iter().any(|side| {
            let departed = self.observed.departed[side].contains(&ids[side]);
            departed && !self.observed.proofs[side].contains_key(&ids[side])
        }) {
            return self.look_at(self.observed.now + self.settings.look_at_missing);
        }
        let attempted = pair
            .intent
            .as_ref()
            .filter(|intent| intent.kind == IntentKind::Delete);
        let attempted = attempted.map(|intent| intent.side);
        if let Some(intent) = pair.intent.clone() {
            match intent.kind {
                // A twin that a move left behind is taken away for good: nothing else would have removed it.
                IntentKind::Delete if self.is_taken_away(&pair, intent.side, &found) => {
                    return self.taken_away(pair, intent.side);
                }
                // Its twin had gone and is back: what is missing was our own doing, and nobody's delete.
                IntentKind::Delete
                    if self.observed.now >= intent.until && self.came_back(ids, intent.side, &found) =>
                {
                    return self.taken_away(pair, intent.side);
                }
                // The delete is decided anew: its proof is still there, and deleting twice does no harm.
                IntentKind::Delete if self.observed.now >= intent.until => drop(pair.give_up()),
                // What became of it shows when the worklog does.
                IntentKind::Update if self.observed.now >= intent.until && found[intent.side].is_none() => {}
                IntentKind::Update
                    if self.took_effect(&intent, found[intent.side].as_ref())
                        || self.observed.now >= intent.until =>
                {
                    self.fold(&mut pair, &intent, &found);
                }
                // A create cannot be outstanding while both worklogs are known; drop what makes no sense.
                IntentKind::Create => pair.intent = None,
                _ => return self.look_at(intent.until),
            }
        }
        // Another connection of a ring may have taken the stray away.
        if let Some(side) = Side::BOTH.into_iter().find(|side| {
            self.is_taken_away(&pair, *side, &found) && self.observed.moved_away[*side].contains(&ids[*side])
        }) {
            return self.taken_away(pair, side);
        }
        match (found.a, found.b) {
            (Some(a), Some(b)) => self.present(pair, Sides::new(a, b)),
            (a, b) => self.absent(pair, ids, Sides::new(a, b), attempted),
        }
    }

    /// Says whether the twin that a move had left behind is gone, not merely hidden or taken elsewhere by a person.
    fn is_taken_away(&self, pair: &Pair, side: Side, found: &Sides<Option<Worklog>>) -> bool {
        let departed = pair.ids[side].is_some_and(|id| self.observed.departed[side].contains(&id));
        let hidden = departed || self.observed.blind[side];
        pair.strays[side].is_some() && found[side].is_none() && !hidden
    }

    /// Says whether a worklog that Tandem set out to delete is gone, while the one that it followed is there again.
    fn came_back(&self, ids: Sides<WorklogId>, side: Side, found: &Sides<Option<Worklog>>) -> bool {
        let moved = self.observed.proofs[side]
            .get(&ids[side])
            .is_some_and(|proof| proof.moved_to.is_some());
        let gone = found[side].is_none() && !moved && !self.observed.blind[side];
        gone && found[side.other()].is_some()
    }

    /// The twin that a move had left behind is gone; the next step makes it anew.
    fn taken_away(&mut self, mut pair: Pair, side: Side) {
        pair.intent = None;
        pair.wait = None;
        pair.ids[side] = None;
        pair.strays[side] = None;
        pair.seen[side] = None;
        let cause = format!("its old twin on {side} is taken away");
        self.push(pair, Action::Record(Recorded::Move), cause, vec![]);
    }

    /// A worklog that had moved to an issue without a twin is listed on a linked one.
    pub(super) fn come_back(&mut self, pair: &Pair) {
        let Some(side) = Side::BOTH
            .into_iter()
            .find(|side| pair.ids[*side].is_some_and(|id| self.observed.listings[*side].contains_key(&id)))
        else {
            return;
        };
        let mut next = pair.clone();
        next.link = self.observed.link.clone();
        next.state = PairState::Live;
        next.strays = Sides::default();
        next.ids[side.other()] = None;
        next.seen = Sides::default();
        next.base = None;
        next.returned = true;
        next.intent = None;
        next.wait = None;
        next.written_at = None;
        self.push(
            next,
            Action::Record(Recorded::Move),
            "back on a linked issue".to_string(),
            vec![],
        );
    }

    /// Says whether an update of unknown outcome shows in the worklog: it is atomic, so one written field is enough.
    fn took_effect(&self, intent: &Intent, found: Option<&Worklog>) -> bool {
        let (Some(found), Some(before)) = (found, &intent.before) else {
            return false;
        };
        Field::all(self.rules).any(|field| {
            let written = field.of(intent.side, &intent.body, self.rules);
            written.differs(&field.of(intent.side, before, self.rules))
                && !written.differs(&field.of(intent.side, &found.content, self.rules))
        })
    }

    /// Takes an update of unknown outcome into the base if it took effect, so that it is not mistaken for a
    /// person's change. If it did not, what it was to bring stays decided.
    fn fold(&mut self, pair: &mut Pair, intent: &Intent, found: &Sides<Option<Worklog>>) {
        let to = intent.side;
        if let Some(here) = found[to]
            .as_ref()
            .filter(|here| self.took_effect(intent, Some(here)))
        {
            let made = Made::update(intent, pair.base.as_ref(), self.rules);
            self.made.insert(pair.id.clone(), Box::new(made));
            intent.shows(pair, &here.content, self.rules);
            return;
        }
        // Where nothing differs, though the worklog is newer, what was written may have been there and been set back: then
        // its time says who is right.
        let set_back = found[to].as_ref().is_some_and(|here| {
            let before = intent.before.as_ref();
            let newer = pair.seen[to].is_none_or(|seen| here.updated_at.as_second() > seen.as_second());
            newer && before.is_some_and(|before| !changed(to, before, &here.content, self.rules))
        });
        pair.had_no_effect(self.rules);
        if set_back {
            pair.decided
                .settle(|field| intent.is_about(field, self.rules), self.rules);
        }
    }

    /// Says whether a listing shows a worklog as it was before our last write or look.
    fn is_behind(&self, pair: &Pair, side: Side, worklog: &Worklog) -> bool {
        pair.seen[side].is_some_and(|seen| worklog.updated_at.as_second() < seen.as_second())
    }

    fn present(&mut self, pair: Pair, found: Sides<Worklog>) {
        let before = self.row(&pair.id);
        let mut pair = pair;
        // It was let through for a delete that is none: the next one is another matter.
        pair.released = false;
        // Whoever set its absence aside has not set aside what it says now that it is back.
        let was_absent = |wait: &Wait| {
            matches!(wait.reason, Reason::Missing | Reason::PermissionMissing) && wait.attempts == 0
        };
        if pair.wait.as_ref().is_some_and(was_absent) {
            pair.ignored = None;
        }
        for side in Side::BOTH {
            pair.seen[side] = pair.seen[side].max(Some(found[side].updated_at));
        }
        let now = found.clone().map(|_, worklog| worklog.content);
        let edited = Sides::from_fn(|side| self.observed.edited_at(side, &found[side]));
        let merged = match merge::merge(
            pair.base.as_ref(),
            &now,
            &edited,
            &pair.decisions(),
            self.rules,
            &self.observed.lookups,
        ) {
            Ok(merged) => merged,
            Err(unrenderable) => return self.park(pair, Side::B, unrenderable, now.map(|_, c| Some(c))),
        };
        if merged.is_quiet() {
            let all_agreed = |_| true;
            pair.decided = Unmet::default();
            pair.base = merge::agree(pair.base.as_ref(), &now, all_agreed, self.rules);
            if pair.strays.a.or(pair.strays.b).is_some()
                && let Some(until) = self.waits(&pair, &now)
            {
                return self.wait_on(pair, until);
            }
            let waited = pair.wait.take();
            pair.ignored = None;
            if let Some(step) = self.bring_home(&mut pair, &found) {
                return self.push(pair, step.0, step.1, vec![]);
            }
            if before.is_none_or(|row| *row != pair) {
                let (recorded, cause) = match waited {
                    Some(wait) => (Recorded::Resume, format!("{} is over", wait.reason)),
                    None => (Recorded::Agree, "both sides say the same".to_string()),
                };
                self.push(pair, Action::Record(recorded), cause, merged.lost);
            }
            return;
        }
        if let Some(until) = self.waits(&pair, &now) {
            return self.wait_on(pair, until);
        }
        let wait = pair.wait.clone();
        pair.ignored = None;
        pair.decided
            .settle(|field| merged.agreed.contains(&field), self.rules);
        let mut merged = merged;
        let sources = merged.contents.clone();
        for side in Side::BOTH {
            let lacked = wait
                .as_ref()
                .is_some_and(|wait| wait.reason == Reason::AttributeRequired && wait.side == side);
            let source = &sources[side.other()];
            self.fill(side, &mut merged.contents[side], source, lacked);
        }
        self.update(pair, found, now, merged);
    }

    /// Gives a worklog that is written the configured values of attributes that its site demands: of those that the site
    /// says so of, and of all where it has refused it for the want of one. What came to be mapped since both sides agreed says
    /// what the other side does.
    pub(super) fn fill(&self, side: Side, content: &mut Content, source: &Content, all: bool) {
        let mut full = content.clone();
        render::fill(side, &mut full, self.rules, &self.observed.lookups);
        let defined = self.observed.lookups.defined[side].as_ref();
        let is_demanded = |key: &String| all || defined.is_some_and(|keys| keys.get(key) == Some(&true));
        let is_mapped = |key: &String| self.rules.attributes.iter().any(|rule| rule.keys[side] == *key);
        for (key, value) in full.attributes {
            if is_demanded(&key) && !is_mapped(&key) {
                content.attributes.entry(key).or_insert(value);
            }
        }
        for (index, rule) in self.rules.attributes.iter().enumerate() {
            let key = &rule.keys[side];
            if !is_demanded(key) || content.attributes.contains_key(key) {
                continue;
            }
            let lookups = &self.observed.lookups;
            if let Ok(Some(value)) = render::attribute(side.other(), source, index, self.rules, lookups) {
                content.attributes.insert(key.clone(), value);
            }
        }
    }

    pub(super) fn update(&mut self, pair: Pair, found: Sides<Worklog>, now: Sides<Content>, merged: Merged) {
        // A name in front of a text is upon what it stands before: the text, which goes the other way, is settled last.
        let mut sides = Side::BOTH;
        sides.sort_by_key(|side| !merged.crossing[side.other()].contains(&Field::Author));
        for side in sides {
            if !merged.writes(side) {
                continue;
            }
            let names = merged.crossing[side.other()]
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ");
            let lost = merged
                .lost
                .iter()
                .filter(|lost| lost.side == side)
                .cloned()
                .collect();
            let action = Action::Update {
                side,
                worklog: found[side].id,
                before: now[side].clone(),
                source: now[side.other()].clone(),
                body: merged.contents[side].clone(),
                apart: merged.crossing[side].clone(),
                entered: self.observed.edited_at(side.other(), &found[side.other()]),
            };
            self.push(
                pair.clone(),
                action,
                format!("changed on {}: {names}", side.other()),
                lost,
            );
        }
    }

    /// The delete of a twin that a move left behind on another issue, once both sides say the same.
    fn bring_home(&self, pair: &mut Pair, found: &Sides<Worklog>) -> Option<(Action, String)> {
        let side = Side::BOTH.into_iter().find(|side| pair.strays[*side].is_some())?;
        let issue = pair.strays[side]?;
        let action = Action::Delete {
            side,
            worklog: found[side].id,
            issue,
            before: found[side].content.clone(),
            proof: Proof {
                source: "moved".into(),
                at: self.observed.now,
                moved_to: None,
            },
            moves: true,
        };
        Some((
            action,
            format!("its twin on {} moved to another linked issue", side.other()),
        ))
    }
}
