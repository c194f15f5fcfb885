//! What has to be done to bring the two sides of a link together.
//!
//! The planner is a function of what was observed. It leaves no choice to execution: a step says what is
//! written, where, why, and what the pair's row says before and after. After a plan has been executed, planning
//! again gives an empty plan.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;

use crate::field::{Field, changed};
use crate::ids::{AccountId, PairId, Side, Sides, WorklogId};
use crate::merge::{self, Lost, Merged};
use crate::observed::{Copy, Observed, Proof, Settings};
use crate::pair::{Intent, IntentKind, Pair, PairState, Unmet, Wait};
use crate::reason::Reason;
use crate::render::{self, Unrenderable};
use crate::rules::{DeletePolicy, DeleteVsEdit, Rules};
pub use crate::step::{Action, Made, Recorded, Step};
use crate::step::{created, kept_by_the_site, not_taken, told};
use crate::twin;
use crate::worklog::{Content, Worklog};

mod adopt;
mod choose;

/// The steps for one link, in the order in which they are safe, and when to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// The earliest moment at which something that waits for time alone should be looked at.
    pub look_again: Option<Timestamp>,
}

/// Returns the steps that bring the sides together.
pub fn plan(observed: &Observed, settings: &Settings) -> Plan {
    let mut planner = Planner::new(observed, settings);
    planner.run();
    if let Some(at) = observed.known_by.filter(|at| *at > observed.now) {
        planner.look_at(at);
    }
    // Rows first: they cost nothing and later steps may rest on them. Deletes make room under a site's cap of
    // hours per day before creates fill it. What a site has failed at before comes after all else, what was tried longest
    // ago first: a run ends where a site seems not to answer, and nothing may stand behind the same few for ever.
    let mut steps = std::mem::take(&mut planner.plan.steps);
    steps.sort_by_cached_key(|step| {
        let tried = || planner.row(&step.pair.id).and_then(Pair::last_attempt);
        match &step.action {
            Action::Record(_) => (None, 0),
            Action::Delete { .. } => (tried(), 1),
            Action::Update { .. } => (tried(), 2),
            Action::Create { .. } => (tried(), 3),
        }
    });
    planner.plan.steps = steps;
    planner.plan
}

/// Worklogs of which one may be the twin of another that waits for a person.
fn rivals(observed: &Observed, side: Side) -> impl Iterator<Item = &WorklogId> {
    let waiting = move |pair: &&Pair| pair.state == PairState::Live && pair.ids[side].is_none();
    observed
        .pairs
        .iter()
        .filter(waiting)
        .flat_map(|pair| &pair.rivals)
}

/// Worklogs by author, day and time worked.
type ByWork<'o> = BTreeMap<(&'o AccountId, Date, u64), Vec<&'o Worklog>>;

struct Planner<'o> {
    observed: &'o Observed,
    settings: &'o Settings,
    rules: &'o Rules,
    plan: Plan,
    /// Worklogs that belong to a pair, or that a step of this plan has claimed.
    taken: Sides<BTreeSet<WorklogId>>,
    /// Of these, what creates of unknown outcome may have made where nobody can tell which is whose.
    disputed: Sides<BTreeSet<WorklogId>>,
    rows: BTreeMap<&'o PairId, &'o Pair>,
    /// Worklogs that no pair knows at the start.
    unpaired: Sides<ByWork<'o>>,
    /// Pairs that remember creates that were given up on.
    with_abandoned: Vec<&'o Pair>,
    /// What is found to have taken effect, by pair, until a step of the pair's tells of it.
    made: BTreeMap<PairId, Box<Made>>,
    /// Pairs about which all is said.
    settled: BTreeSet<PairId>,
    /// Whether twins may be made of what has none: not before it is known what interrupted creates have made, where
    /// copies are to be taken over.
    may_begin: bool,
}

impl<'o> Planner<'o> {
    fn new(observed: &'o Observed, settings: &'o Settings) -> Self {
        let taken = Sides::from_fn(|side| {
            let mut taken = observed.foreign[side].clone();
            taken.extend(observed.successors[side].keys());
            taken.extend(observed.parted[side].keys());
            taken.extend(observed.pairs.iter().filter_map(|pair| pair.ids[side]));
            taken.extend(rivals(observed, side));
            taken
        });
        let unpaired = Sides::from_fn(|side| {
            let mut unpaired: BTreeMap<_, Vec<&Worklog>> = BTreeMap::new();
            for worklog in observed.listings[side]
                .values()
                .filter(|worklog| !taken[side].contains(&worklog.id))
            {
                let content = &worklog.content;
                let key = (&content.author, content.start_date, content.time_spent_secs);
                unpaired.entry(key).or_default().push(worklog);
            }
            unpaired
        });
        Self {
            observed,
            settings,
            rules: &settings.rules,
            plan: Plan::default(),
            taken,
            disputed: Sides::default(),
            rows: observed.pairs.iter().map(|pair| (&pair.id, pair)).collect(),
            unpaired,
            with_abandoned: observed
                .pairs
                .iter()
                .filter(|pair| !pair.abandoned.is_empty())
                .collect(),
            made: BTreeMap::new(),
            settled: BTreeSet::new(),
            may_begin: true,
        }
    }

    fn run(&mut self) {
        let observed = self.observed;
        self.may_begin = self.adopt_copies();
        for pair in &observed.pairs {
            if self.settled.contains(&pair.id) {
                continue;
            }
            if pair.state == PairState::Left {
                self.come_back(pair);
                continue;
            }
            if pair.state != PairState::Live {
                continue;
            }
            if pair.link != observed.link || self.is_succeeded(pair) {
                if self.turned_up(pair) {
                    self.arrive(pair);
                }
                continue;
            }
            match (pair.ids.a, pair.ids.b) {
                (Some(a), Some(b)) => self.both(pair, Sides::new(a, b)),
                (Some(id), None) => self.half(pair, Side::A, id),
                (None, Some(id)) => self.half(pair, Side::B, id),
                (None, None) => {}
            }
        }
        if self.may_begin {
            self.newcomers();
        }
    }

    // --- a pair whose worklogs are both known ---

    fn both(&mut self, pair: &Pair, ids: Sides<WorklogId>) {
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
                IntentKind::Delete if self.observed.now >= intent.until => pair.intent = None,
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
    fn come_back(&mut self, pair: &Pair) {
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
        if self.took_effect(intent, found[to].as_ref()) {
            let made = Made::update(intent, pair.base.as_ref(), self.rules);
            self.made.insert(pair.id.clone(), Box::new(made));
            pair.intent = None;
            pair.base = intent.then.clone();
            pair.decided
                .settle(|field| intent.is_about(field, self.rules), self.rules);
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
        let wait = pair.wait.take();
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
    fn fill(&self, side: Side, content: &mut Content, source: &Content, all: bool) {
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

    fn update(&mut self, pair: Pair, found: Sides<Worklog>, now: Sides<Content>, merged: Merged) {
        for side in Side::BOTH {
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

    // --- a pair of which a listing does not show a worklog ---

    /// `attempted` is the side on which Tandem itself set out to delete, if it did: there, being gone is no surprise.
    fn absent(
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
            (Some(a), _) if a.moved_to.is_some() && proofs.b.is_some() => self.leave(pair, Side::A),
            (_, Some(b)) if b.moved_to.is_some() && proofs.a.is_some() => self.leave(pair, Side::B),
            (Some(_), Some(_)) => self.forget(pair, "deleted on both sides"),
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
        pair.wait = None;
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

    fn missing(&mut self, pair: Pair, side: Side, found: Sides<Option<Content>>) {
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

    /// The worklog on `side` moved to an issue without a twin, and has no twin any more.
    fn leave(&mut self, mut pair: Pair, side: Side) {
        pair.state = PairState::Left;
        pair.ids[side.other()] = None;
        pair.base = None;
        pair.intent = None;
        pair.wait = None;
        self.push(
            pair,
            Action::Record(Recorded::Forget),
            "moved to an issue without a twin".to_string(),
            vec![],
        );
    }

    fn forget(&mut self, mut pair: Pair, cause: &str) {
        pair.state = PairState::Gone;
        pair.intent = None;
        pair.wait = None;
        self.push(pair, Action::Record(Recorded::Forget), cause.to_string(), vec![]);
    }

    // --- a worklog whose twin is still to be made ---

    fn half(&mut self, pair: &Pair, side: Side, id: WorklogId) {
        let mut pair = pair.clone();
        let to = side.other();
        let source = self.observed.worklog(side, id).cloned();
        if let Some(chosen) = pair.chosen.take()
            && self.take_chosen(&pair, to, chosen)
        {
            return;
        }
        let was_begun = pair
            .intent
            .as_ref()
            .is_some_and(|intent| intent.kind == IntentKind::Create);
        if let Some(intent) = pair
            .intent
            .clone()
            .filter(|intent| intent.kind == IntentKind::Create)
        {
            let made = match twin::made_by(&intent, &self.free(to), self.observed.timeless[to]) {
                twin::Made::Several(found) => self.one_of_equals(&intent, found),
                made => made,
            };
            match made {
                twin::Made::One(found) => {
                    self.taken[to].insert(found);
                    self.was_made(&pair, &intent, found);
                    let source = intent.source.clone().unwrap_or_else(|| intent.body.clone());
                    let (base, wait) =
                        self.agreed_by(to, &intent, &source, &self.observed.listings[to][&found]);
                    pair.wait = wait;
                    pair.intent = Some(intent);
                    return self.adopt(
                        pair,
                        to,
                        found,
                        Some(base),
                        "found what an interrupted create had made",
                    );
                }
                twin::Made::Several(found) => {
                    let count = found.len();
                    // None of them is news until it is known which one is ours.
                    self.dispute(to, found);
                    let why = Unrenderable {
                        reason: Reason::AmbiguousCreate,
                        detail: format!(
                            "{count} worklogs on side {to} might be what an interrupted create made"
                        ),
                    };
                    return self.park(pair, to, why, Sides::new(None, None));
                }
                twin::Made::None if self.observed.now < intent.until + self.settings.grace => {
                    return self.look_at(intent.until + self.settings.grace);
                }
                // What cannot be seen may be there.
                twin::Made::None if self.observed.blind[to] => {
                    let why = Unrenderable {
                        reason: Reason::PermissionMissing,
                        detail: format!(
                            "its twin may have been made on side {to}, where the service user lacks permissions to see it"
                        ),
                    };
                    return self.park(pair, to, why, Sides::new(None, None));
                }
                twin::Made::None => {
                    pair.intent = None;
                    pair.abandoned.push(intent);
                    if pair.abandoned.len() > MAX_ABANDONED {
                        pair.abandoned.remove(0);
                    }
                }
            }
        } else {
            pair.intent = None;
        }
        let Some(source) = source else {
            return match self.observed.proofs[side].get(&id) {
                Some(proof) if proof.moved_to.is_some() => self.leave(pair, side),
                Some(_) => self.forget(pair, "deleted before its twin was made"),
                None => self.missing(pair, side, Sides::new(None, None)),
            };
        };
        if self.was_made_earlier(&pair, to, &source.content) {
            return;
        }
        if !self.may_begin && !was_begun {
            return;
        }
        pair.seen[side] = pair.seen[side].max(Some(source.updated_at));
        if !pair.rivals.is_empty() {
            let looked_again = self.observed.backfill.as_ref().is_some_and(|one| one.adopt);
            if !looked_again || self.observed.blind[to] {
                return;
            }
            // None of them is its twin any more.
            pair.rivals.clear();
        }
        // Set aside as a newcomer, and to stay so: each look decides anew.
        if pair.base.is_none()
            && let Some(why) = self.late_duplicate(side, &source, &pair.id)
        {
            let mut tried = Sides::new(None, None);
            tried[side] = Some(source.content.clone());
            return self.park(pair, side, why, tried);
        }
        self.begin(pair, side, &source, format!("new on {side}"));
    }

    /// Looks on `to` for what a create that was given up on made after all, before another one is made, and says
    /// whether that settles the pair: it takes what was made, or waits where nobody can tell whose it is.
    fn was_made_earlier(&mut self, pair: &Pair, to: Side, source: &Content) -> bool {
        // What an earlier pair of this plan waits for may as well be this one's.
        let mut candidates = self.free(to);
        let disputed = self.disputed[to].iter();
        candidates.extend(disputed.filter_map(|id| self.observed.listings[to].get(id)));
        let of_side = pair.abandoned.iter().filter(|intent| intent.side == to);
        let late = of_side
            .map(|intent| {
                (
                    twin::made_by(intent, &candidates, self.observed.timeless[to]),
                    intent,
                )
            })
            .find(|(made, _)| *made != twin::Made::None);
        let (found, intent) = match late {
            None => return false,
            Some((twin::Made::One(found), intent)) => (vec![found], intent),
            Some((twin::Made::Several(found), intent)) => (found, intent),
            Some((twin::Made::None, _)) => return false,
        };
        match found.as_slice() {
            [one] if !self.disputed[to].contains(one) => {
                self.taken[to].insert(*one);
                self.was_made(pair, intent, *one);
                let source = intent.source.as_ref().unwrap_or(source);
                let (base, _) = self.agreed_by(to, intent, source, &self.observed.listings[to][one]);
                let cause = "found what an earlier create had made";
                self.adopt(pair.clone(), to, *one, Some(base), cause);
            }
            _ => {
                let count = found.len();
                self.dispute(to, found);
                let why = Unrenderable {
                    reason: Reason::AmbiguousCreate,
                    detail: format!("{count} worklogs on side {to} might be what an earlier create made"),
                };
                self.park(pair.clone(), to, why, Sides::new(None, None));
            }
        }
        true
    }

    /// What both sides agreed on with a create of ours that made a listed worklog, and what it waits for where the site kept
    /// something of its own. What was edited since is held against what was written.
    pub(super) fn agreed_by(
        &self,
        to: Side,
        intent: &Intent,
        source: &Content,
        listed: &Worklog,
    ) -> (Sides<Content>, Option<Wait>) {
        let observed = self.observed;
        if listed.updated_at.as_second() == listed.created_at.as_second() {
            // Nobody edited it: what differs from what was written is the site's own.
            let written = told(&listed.content, &intent.body);
            let kept = not_taken(to, None, &intent.body, &written, self.rules);
            let retry = observed.now + self.settings.park_retry;
            let wait = kept_by_the_site(to, source, &written, &kept, observed.now, retry);
            return (created(to, source, &written, &kept, self.rules), wait);
        }
        let mut base = Sides::new(source.clone(), source.clone());
        base[to] = intent.body.clone();
        if observed.timeless[to] {
            base[to].start_time = listed.content.start_time;
        }
        (base, None)
    }

    fn was_made(&mut self, pair: &Pair, intent: &Intent, found: WorklogId) {
        let made = Made::create(intent, found);
        self.made.insert(pair.id.clone(), Box::new(made));
    }

    /// Keeps worklogs from being taken for new or for a pair's, as long as nobody can tell which is whose.
    fn dispute(&mut self, side: Side, found: Vec<WorklogId>) {
        self.taken[side].extend(&found);
        self.disputed[side].extend(found);
    }

    /// Finds or makes the twin of a worklog that has none.
    fn begin(&mut self, pair: Pair, side: Side, source: &Worklog, cause: String) {
        let to = side.other();
        match self.observed.copies[side].get(&source.id) {
            Some(Copy::InFlight) => return self.look_at(self.observed.now + self.settings.grace),
            Some(Copy::Known(copy)) => {
                if self.observed.listings[to].contains_key(copy) && !self.taken[to].contains(copy) {
                    self.taken[to].insert(*copy);
                    // Where it takes the place of one that was agreed on, what is edited here goes across, and no more.
                    let base = pair.base.clone();
                    return self.adopt(pair, to, *copy, base, "another connection had made its copy");
                }
                // Not listed yet, or on an issue that this link does not reach. A second one is never made.
                let listed_by = source.created_at + self.settings.grace;
                let has_had_one = self.row(&pair.id).is_some_and(|row| row.ids[to].is_some());
                if self.observed.now < listed_by || has_had_one {
                    return self.look_at(listed_by.max(self.observed.now + self.settings.grace));
                }
                let why = Unrenderable {
                    reason: Reason::Missing,
                    detail: match self.taken[to].contains(copy) {
                        true => {
                            format!("its twin on side {to} is worklog {copy}, which is another one's here")
                        }
                        false => {
                            format!("its twin on side {to} is worklog {copy}, which its issue does not show")
                        }
                    },
                };
                let mut tried = Sides::new(None, None);
                tried[side] = Some(source.content.clone());
                return self.park(pair, to, why, tried);
            }
            None => {}
        }
        let rendered = match self.body(&pair, to, &source.content) {
            Ok(rendered) => rendered,
            Err(why) => {
                let mut tried = Sides::new(None, None);
                tried[side] = Some(source.content.clone());
                return self.park(pair, to, why, tried);
            }
        };
        let key = (&rendered.author, rendered.start_date, rendered.time_spent_secs);
        let same = self.unpaired[to].get(&key).and_then(|candidates| {
            candidates.iter().find(|worklog| {
                !self.taken[to].contains(&worklog.id) && twin::same_work(&rendered, &worklog.content)
            })
        });
        if let Some(found) = same.map(|worklog| worklog.id) {
            self.taken[to].insert(found);
            return self.adopt(
                pair,
                to,
                found,
                None,
                "the same work was already logged on both sides",
            );
        }
        if let Some(kept) = self.kept_of(&pair, side, &rendered) {
            let mut next = kept.clone();
            next.ids[side] = pair.ids[side];
            next.seen = Sides::default();
            next.state = PairState::Live;
            next.base = None;
            self.settled.insert(kept.id.clone());
            let cause = format!("logged again on {side}, and kept on {to}");
            return self.push(next, Action::Record(Recorded::Adopt), cause, vec![]);
        }
        self.create(pair, to, &source.content, cause);
    }

    /// Finds what a policy kept of a worklog that was deleted on `side`, where somebody logs the same again that no row knows
    /// yet.
    fn kept_of(&self, newcomer: &Pair, side: Side, rendered: &Content) -> Option<&'o Pair> {
        if self.row(&newcomer.id).is_some() {
            return None;
        }
        let (observed, to) = (self.observed, side.other());
        observed.pairs.iter().find(|pair| {
            let stands = pair.ids[to].and_then(|id| observed.listings[to].get(&id));
            let gone = pair.ids[side].is_some_and(|id| !observed.listings[side].contains_key(&id));
            pair.state == PairState::Kept
                && pair.link == observed.link
                && gone
                && !self.settled.contains(&pair.id)
                && stands.is_some_and(|worklog| twin::same_work(rendered, &worklog.content))
        })
    }

    /// Plans the create of a pair's worklog on `side` from what the other side says.
    fn create(&mut self, mut pair: Pair, side: Side, source: &Content, cause: String) {
        let from = side.other();
        let mut tried = Sides::new(None, None);
        tried[from] = Some(source.clone());
        let body = match self.body(&pair, side, source) {
            Ok(body) => body,
            Err(why) => return self.park(pair, side, why, tried),
        };
        let now = tried.map(|_, content| content.unwrap_or_else(|| source.clone()));
        if let Some(until) = self.waits(&pair, &now) {
            return self.wait_on(pair, until);
        }
        pair.wait = None;
        self.push(
            pair,
            Action::Create {
                side,
                source: source.clone(),
                body,
            },
            cause,
            vec![],
        );
    }

    /// What a worklog that is made on `side` is to say.
    fn body(&self, pair: &Pair, side: Side, source: &Content) -> Result<Content, Unrenderable> {
        let lookups = &self.observed.lookups;
        let Some(base) = &pair.base else {
            return render::whole(side.other(), source, self.rules, lookups);
        };
        let mut body = merge::again(side, base, source, self.rules, lookups)?;
        // What it said before, the site does not take any more.
        let from = side.other();
        match pair.wait.as_ref().map(|wait| wait.reason) {
            Some(Reason::AuthorUnmapped) if source.author.as_str() != render::UNKNOWN_USER => {
                let author = render::author(from, &source.author, self.rules, lookups)?;
                body.author = author.account().clone();
                body.description = render::description(from, source, self.rules, lookups);
            }
            Some(Reason::AttributeRequired | Reason::AttributeUnmapped | Reason::Rejected) => {
                for (index, rule) in self.rules.attributes.iter().enumerate() {
                    let value = render::attribute(from, source, index, self.rules, lookups);
                    if let Ok(Some(value)) = value {
                        body.attributes.insert(rule.keys[side].clone(), value);
                    }
                }
            }
            _ => {}
        }
        Ok(body)
    }

    fn adopt(
        &mut self,
        mut pair: Pair,
        side: Side,
        found: WorklogId,
        base: Option<Sides<Content>>,
        cause: &str,
    ) {
        pair.ids[side] = Some(found);
        pair.seen[side] = None;
        // What a move left behind is not what is adopted here.
        pair.strays[side] = None;
        pair.returned = false;
        pair.base = base;
        if pair.intent.take().is_none() {
            // What an interrupted create leaves to wait for was decided with it.
            pair.wait = None;
        }
        self.push(pair, Action::Record(Recorded::Adopt), cause.to_string(), vec![]);
    }

    /// Several worklogs say what a create wrote. If no more of them than creates of just that whose outcome
    /// is unknown, it does not matter which is whose.
    fn one_of_equals(&self, intent: &Intent, found: Vec<WorklogId>) -> twin::Made {
        let to = intent.side;
        let timeless = self.observed.timeless[to];
        let alike = |body: &Content| twin::same_but_time(&intent.body, body, timeless);
        let listed = found.iter().filter_map(|id| self.observed.listings[to].get(id));
        let exact: Vec<_> = listed
            .filter(|worklog| twin::may_have_become(&intent.body, worklog, timeless))
            .collect();
        let open = self.observed.pairs.iter().filter(|pair| {
            let other = pair
                .intent
                .as_ref()
                .filter(|other| other.kind == IntentKind::Create && other.side == to);
            pair.ids[to].is_none() && other.is_some_and(|other| alike(&other.body))
        });
        // Those handed out already in this plan were counted neither as free nor, any more, as open.
        let handed_out = self.plan.steps.iter().filter(|step| {
            matches!(step.action, Action::Record(Recorded::Adopt))
                && self
                    .row(&step.pair.id)
                    .is_some_and(|row| row.intent.as_ref().is_some_and(|other| alike(&other.body)))
        });
        match exact.first() {
            Some(first) if exact.len() <= open.count() - handed_out.count() => twin::Made::One(first.id),
            _ => twin::Made::Several(found),
        }
    }

    // --- worklogs that no pair knows ---

    fn newcomers(&mut self) {
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
                    || (early && !self.is_brought_back(side, worklog.id))
                {
                    continue;
                }
                self.taken[side].insert(worklog.id);
                let id = Pair::id_for(side, worklog.id, observed.link.issue(side));
                let mut pair = Pair::half(id, observed.link.clone(), side, worklog.id);
                pair.seen[side] = Some(worklog.updated_at);
                if let Some(why) = self.late_duplicate(side, worklog, &pair.id) {
                    let mut tried = Sides::new(None, None);
                    tried[side] = Some(worklog.content.clone());
                    self.park(pair, side, why, tried);
                } else {
                    self.begin(pair, side, worklog, format!("new on {side}"));
                }
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
    fn late_duplicate(&self, side: Side, worklog: &Worklog, own: &PairId) -> Option<Unrenderable> {
        let settled =
            |pair: &&&Pair| pair.id != *own && (pair.ids[side].is_some() || pair.state != PairState::Live);
        let of = self.with_abandoned.iter().filter(settled).find(|pair| {
            pair.abandoned.iter().any(|intent| {
                intent.side == side
                    && matches!(
                        twin::made_by(intent, &[worklog], self.observed.timeless[side]),
                        twin::Made::One(_)
                    )
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
    fn is_succeeded(&self, pair: &Pair) -> bool {
        Side::BOTH.into_iter().any(|side| {
            self.observed.successors[side]
                .iter()
                .any(|(id, of)| *of == pair.id && pair.ids[side] != Some(*id))
        })
    }

    /// Says whether one of a pair's worklogs is listed here although the pair remembers it elsewhere. A twin that
    /// a move left behind here is remembered, and stays with the pair that went.
    fn turned_up(&self, pair: &Pair) -> bool {
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
    fn arrive(&mut self, pair: &Pair) {
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

    // --- helpers ---

    /// Listed worklogs of a side that no pair has.
    fn free(&self, side: Side) -> Vec<&'o Worklog> {
        let unpaired = self.unpaired[side].values().flatten();
        unpaired
            .filter(|worklog| !self.taken[side].contains(&worklog.id))
            .copied()
            .collect()
    }

    fn row(&self, id: &PairId) -> Option<&'o Pair> {
        self.rows.get(id).copied()
    }

    /// Says until when a pair that a site has refused is left alone: until its time comes, or something about it changes.
    fn waits(&self, pair: &Pair, now: &Sides<Content>) -> Option<Timestamp> {
        let wait = pair.wait.as_ref()?;
        let differs = Side::BOTH.into_iter().any(|side| {
            wait.tried[side]
                .as_ref()
                .is_some_and(|tried| changed(side, tried, &now[side], self.rules))
        });
        if pair.is_ignored() && !differs {
            return Some(self.observed.now + self.settings.park_retry);
        }
        let due = wait.next_attempt?;
        let refused = wait.attempts > 0;
        (refused && !differs && !self.observed.force && self.observed.now < due).then_some(due)
    }

    /// Leaves a refused pair alone, but remembers what was seen of it, so that no sweep takes it for news.
    fn wait_on(&mut self, pair: Pair, until: Timestamp) {
        self.look_at(until);
        if self.row(&pair.id).is_some_and(|row| row.seen != pair.seen) {
            self.push(
                pair,
                Action::Record(Recorded::Agree),
                "seen while it waits".to_string(),
                vec![],
            );
        }
    }

    fn park(&mut self, pair: Pair, side: Side, why: Unrenderable, tried: Sides<Option<Content>>) {
        self.park_gone(pair, side, why, tried, false);
    }

    /// The same for one of which a worklog is gone; `moved` says that it stands on an issue without a twin.
    fn park_gone(
        &mut self,
        mut pair: Pair,
        side: Side,
        why: Unrenderable,
        tried: Sides<Option<Content>>,
        moved: bool,
    ) {
        let now = self.observed.now;
        let patience = if why.reason == Reason::Missing {
            self.settings.look_at_missing
        } else {
            self.settings.park_retry
        };
        let retry = now + patience;
        self.look_at(retry);
        // Of what a person set aside, what it says counts too: two edits may share a second.
        let same = pair.wait.as_ref().is_some_and(|wait| {
            let edited =
                |side| matches!((&wait.tried[side], &tried[side]), (Some(then), Some(now)) if then != now);
            let edited = Side::BOTH.into_iter().any(edited);
            let heeded = edited && pair.ignored.is_some();
            wait.reason == why.reason && wait.detail == why.detail && wait.moved == moved && !heeded
        });
        let unchanged = self.row(&pair.id).is_some_and(|row| {
            row.intent == pair.intent
                && row.ids == pair.ids
                && row.seen == pair.seen
                && row.state == pair.state
        });
        if same && unchanged {
            return;
        }
        let since = pair
            .wait
            .as_ref()
            .filter(|wait| wait.reason == why.reason)
            .map_or(now, |wait| wait.since);
        let cause = why.detail.clone();
        // `attempts` counts refusals by a site; what the planner itself sets aside is decided anew each time.
        pair.wait = Some(Wait {
            reason: why.reason,
            side,
            detail: why.detail,
            since,
            attempts: 0,
            next_attempt: (why.reason != Reason::MassDelete).then_some(retry),
            tried,
            moved,
        });
        self.push(pair, Action::Record(Recorded::Park), cause, vec![]);
    }

    fn look_at(&mut self, at: Timestamp) {
        self.plan.look_again = Some(self.plan.look_again.map_or(at, |earlier| earlier.min(at)));
    }

    fn push(&mut self, mut pair: Pair, action: Action, cause: String, lost: Vec<Lost>) {
        // What was decided on other worklogs than those that it has now says nothing of these.
        if self.row(&pair.id).is_some_and(|row| row.ids != pair.ids) {
            pair.decided = Unmet::default();
        }
        if self.plan.steps.len() < STEPS_MAX {
            self.plan.steps.push(Step {
                made: self.made.remove(&pair.id),
                pair,
                action,
                cause,
                lost,
            });
        }
    }
}

/// Steps per plan. What is left over comes with the next plan, so that an issue with very many worklogs does not
/// need very much memory.
pub const STEPS_MAX: usize = 1000;

/// Creates given up on that are remembered per pair.
const MAX_ABANDONED: usize = 5;
