//! A second look at a plan, before anything is written.
//!
//! The checker knows the promises, not the planner's reasons. A plan that breaks one is a bug; it is refused as
//! a whole and nothing is written.

use std::collections::{BTreeMap, BTreeSet};

use crate::field::{Field, changed};
use crate::ids::{IssueId, PairId, Side, Sides, WorklogId};
use crate::observed::{Observed, Settings};
use crate::pair::{IntentKind, Pair, PairState};
use crate::plan::{Action, Plan, Step};
use crate::twin;
use crate::worklog::Content;

/// A promise that a plan would break.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A delete for which nothing proves that the other side was deleted or moved.
    #[error("worklog {0} would be deleted on side {1} without proof")]
    DeleteWithoutProof(WorklogId, Side),
    /// A delete although the brake is on.
    #[error("worklog {0} would be deleted on side {1} although the brake is on")]
    DeleteThroughBrake(WorklogId, Side),
    /// A delete although the other side still shows its worklog.
    #[error("worklog {0} would be deleted on side {1} although its twin is there")]
    DeleteOfLiveTwin(WorklogId, Side),
    /// A second twin.
    #[error("pair {0} would get a second worklog on side {1}")]
    SecondTwin(String, Side),
    /// A create from something that is not there.
    #[error("pair {0} would be created on side {1} from a worklog that is not listed")]
    CreateFromNothing(String, Side),
    /// A write to an issue that is not the link's.
    #[error("side {1} would be written on issue {0}, which is not the link's")]
    ForeignIssue(IssueId, Side),
    /// An update of something that the pair does not have, or that is not listed.
    #[error("worklog {0} on side {1} would be updated, but it is not the pair's")]
    ForeignWorklog(WorklogId, Side),
    /// A write that nobody's change explains.
    #[error("worklog {0} on side {1} would be updated, but nobody changed its twin")]
    Unexplained(WorklogId, Side),
    /// A value that nobody entered.
    #[error("pair {0}: the wall clock or the hours would be changed on the way to side {1}")]
    InventedHours(String, Side),
    /// Two writes to the same worklog.
    #[error("worklog {0} on side {1} would be written twice")]
    WrittenTwice(WorklogId, Side),
}

/// Returns the first promise that a plan would break, if any.
pub fn check(plan: &Plan, observed: &Observed, settings: &Settings) -> Result<(), Violation> {
    let checker = Checker::new(plan, observed, settings);
    let mut written: BTreeSet<(Side, WorklogId)> = BTreeSet::new();
    let mut created: BTreeSet<(&str, Side)> = BTreeSet::new();
    let mut copied: BTreeSet<(Side, WorklogId)> = BTreeSet::new();
    for step in &plan.steps {
        match &step.action {
            Action::Record(_) => {}
            Action::Create { side, source, body } => {
                let origin = step.pair.ids[side.other()];
                let is_first = created.insert((step.pair.id.as_str(), *side))
                    && origin.is_none_or(|origin| copied.insert((side.other(), origin)));
                if !is_first {
                    return Err(Violation::SecondTwin(step.pair.id.to_string(), *side));
                }
                checker.create(step, *side, source, body)?;
            }
            Action::Update {
                side,
                worklog,
                before,
                source,
                body,
                ..
            } => {
                if !written.insert((*side, *worklog)) {
                    return Err(Violation::WrittenTwice(*worklog, *side));
                }
                checker.update(step, *side, *worklog, [before, source, body])?;
            }
            Action::Delete {
                side,
                worklog,
                issue,
                moves,
                ..
            } => {
                if !written.insert((*side, *worklog)) {
                    return Err(Violation::WrittenTwice(*worklog, *side));
                }
                checker.delete(step, *side, *worklog, *issue, *moves)?;
            }
        }
    }
    Ok(())
}

/// What a plan is held against. A step's own word for what its pair is counts for nothing where the table has
/// a row of it.
struct Checker<'c> {
    observed: &'c Observed,
    settings: &'c Settings,
    rows: BTreeMap<&'c PairId, &'c Pair>,
    /// The pair that has a worklog, in the table; `None` where several do, which the table does not allow.
    owners: Sides<BTreeMap<WorklogId, Option<&'c PairId>>>,
    /// Worklogs that have a pair, in the table or by the plan, or that carry one on.
    paired: Sides<BTreeSet<WorklogId>>,
}

impl<'c> Checker<'c> {
    fn new(plan: &'c Plan, observed: &'c Observed, settings: &'c Settings) -> Self {
        let of_table = |side: Side| {
            let pairs = observed.pairs.iter();
            pairs.filter_map(move |pair| Some((pair.ids[side]?, &pair.id)))
        };
        let mut owners: Sides<BTreeMap<WorklogId, Option<&PairId>>> = Sides::default();
        for side in Side::BOTH {
            for (id, pair) in of_table(side) {
                let owner = owners[side].entry(id).or_insert(Some(pair));
                *owner = owner.filter(|owner| *owner == pair);
            }
        }
        let of_plan = |side: Side| plan.steps.iter().filter_map(move |step| step.pair.ids[side]);
        Self {
            observed,
            settings,
            rows: observed.pairs.iter().map(|row| (&row.id, row)).collect(),
            owners,
            paired: Sides::from_fn(|side| {
                let known = of_table(side).map(|(id, _)| id);
                let successors = observed.successors[side].keys().copied();
                let parted = observed.parted[side].keys().copied();
                known
                    .chain(of_plan(side))
                    .chain(successors)
                    .chain(parted)
                    .collect()
            }),
        }
    }

    fn shows(&self, side: Side, id: WorklogId) -> bool {
        self.observed.worklog(side, id).is_some()
    }

    /// Says whether a site says this of a worklog, or said it when both sides last agreed: a listing may be older
    /// than our own last write.
    fn is_said(&self, step: &Step, side: Side, id: WorklogId, content: &Content) -> bool {
        let shown = self.observed.worklog(side, id);
        let base = step.pair.base.as_ref();
        shown.is_some_and(|worklog| worklog.content == *content)
            || base.is_some_and(|base| base[side] == *content)
    }

    /// Returns the row of a pair whose two worklogs may be written to.
    fn live(&self, step: &Step, side: Side, worklog: WorklogId) -> Result<&'c Pair, Violation> {
        let pair = &step.pair;
        let row = self.rows.get(&pair.id).copied();
        let fits = |row: &&Pair| {
            row.ids == pair.ids
                && row.ids[side] == Some(worklog)
                && row.state == PairState::Live
                && row.link == self.observed.link
        };
        row.filter(fits).ok_or(Violation::ForeignWorklog(worklog, side))
    }

    fn create(&self, step: &Step, side: Side, source: &Content, body: &Content) -> Result<(), Violation> {
        let from = side.other();
        let pair = &step.pair;
        let name = || pair.id.to_string();
        let nothing = || Violation::CreateFromNothing(name(), side);
        let origin = pair.ids[from]
            .filter(|id| self.shows(from, *id))
            .ok_or_else(nothing)?;
        if pair.state != PairState::Live || pair.link != self.observed.link {
            return Err(nothing());
        }
        match self.rows.get(&pair.id) {
            Some(row) => {
                let is_same = row.state == pair.state && row.link == pair.link;
                if row.ids[from] != Some(origin) || !is_same {
                    return Err(nothing());
                }
                // A twin is made anew only where the one that there was is gone for certain.
                let is_gone =
                    |id: &WorklogId| !self.shows(side, *id) && self.observed.proofs[side].contains_key(id);
                if !row.ids[side].as_ref().is_none_or(is_gone) {
                    return Err(Violation::SecondTwin(name(), side));
                }
            }
            None if self.observed.foreign[from].contains(&origin) => return Err(nothing()),
            None => {}
        }
        let is_anothers = self.owners[from]
            .get(&origin)
            .is_some_and(|owner| *owner != Some(&pair.id));
        if pair.ids[side].is_some() || is_anothers || self.was_interrupted(pair, side) {
            return Err(Violation::SecondTwin(name(), side));
        }
        // What it said before it is made again, both sides had agreed on, or an update of unknown outcome was to say.
        let row = self.rows.get(&pair.id);
        let agreed = row.and_then(|row| row.base.as_ref());
        let then = row.and_then(|row| row.intent.as_ref()?.then.as_ref());
        let agreed = agreed.into_iter().chain(then).map(|base| &base[side]);
        let told: Vec<&Content> = [source].into_iter().chain(agreed).collect();
        let entered = told.iter().any(|c| c.start_date == body.start_date)
            && told.iter().any(|c| c.start_time == body.start_time)
            && told.iter().any(|c| c.time_spent_secs == body.time_spent_secs)
            && told.iter().any(|c| c.billable_secs == body.billable_secs);
        if !entered || !self.is_said(step, from, origin, source) {
            return Err(Violation::InventedHours(name(), side));
        }
        Ok(())
    }

    /// Says whether what a create that was given up on may have made is listed and belongs to nobody.
    fn was_interrupted(&self, pair: &Pair, side: Side) -> bool {
        let of_side = pair.abandoned.iter().rfind(|intent| intent.side == side);
        of_side.is_some_and(|intent| {
            self.observed.listings[side].values().any(|worklog| {
                !self.paired[side].contains(&worklog.id)
                    && !self.observed.foreign[side].contains(&worklog.id)
                    && twin::same_work(&intent.body, &worklog.content)
            })
        })
    }

    fn update(
        &self,
        step: &Step,
        side: Side,
        worklog: WorklogId,
        [before, source, body]: [&Content; 3],
    ) -> Result<(), Violation> {
        let row = self.live(step, side, worklog)?;
        if !self.shows(side, worklog) {
            return Err(Violation::ForeignWorklog(worklog, side));
        }
        let other = side.other();
        let base = &step.pair.base;
        let is_agreed = *base == row.base || self.is_agreed(base.as_ref(), row);
        let is_seen = row.ids[other].is_some_and(|twin| {
            self.shows(other, twin)
                && self.is_said(step, other, twin, source)
                && self.is_said(step, side, worklog, before)
        });
        let moved = base
            .as_ref()
            .is_none_or(|base| changed(other, &base[other], source, &self.settings.rules));
        // Or an update that was decided on and had no effect is tried again, or that side changed since.
        let rules = &self.settings.rules;
        let open = row
            .intent
            .iter()
            .filter(|intent| intent.kind == IntentKind::Update);
        let moved_since = open.chain(row.decisions()).any(|decided| {
            let again = |field: Field| {
                let of = |content| field.of(side, content, rules);
                decided.is_about(field, rules) && of(before).differs(&of(body))
            };
            match (decided.side == side, &decided.before) {
                (true, _) => Field::all(rules).any(again),
                (false, Some(said)) => Field::all(rules).any(|field| {
                    let of = |content| field.of(other, content, rules);
                    decided.is_about(field, rules) && of(said).differs(&of(source))
                }),
                (false, None) => false,
            }
        });
        if !is_agreed || !is_seen || !(moved || moved_since) || before == body {
            return Err(Violation::Unexplained(worklog, side));
        }
        let entered = |value: fn(&Content) -> u64| {
            [before, source]
                .into_iter()
                .any(|content| value(content) == value(body))
        };
        let clock = [before.start_time, source.start_time].contains(&body.start_time);
        let billed = [before.billable_secs, source.billable_secs].contains(&body.billable_secs);
        if !entered(|content| content.time_spent_secs) || !clock || !billed {
            return Err(Violation::InventedHours(step.pair.id.to_string(), side));
        }
        Ok(())
    }

    /// Says whether a base is, field by field, what the row says, or what an update of unknown outcome makes of it.
    fn is_agreed(&self, base: Option<&Sides<Content>>, row: &Pair) -> bool {
        let (Some(base), Some(intent)) = (base, &row.intent) else {
            return false;
        };
        let known = [row.base.as_ref(), intent.then.as_ref()];
        let rules = &self.settings.rules;
        Field::all(rules).all(|field| {
            known.into_iter().flatten().any(|known| {
                let same = |side| {
                    let of = |content| field.of(side, content, rules);
                    !of(&base[side]).differs(&of(&known[side]))
                };
                Side::BOTH.into_iter().all(same)
            })
        })
    }

    fn delete(
        &self,
        step: &Step,
        side: Side,
        worklog: WorklogId,
        issue: IssueId,
        moves: bool,
    ) -> Result<(), Violation> {
        let row = self.live(step, side, worklog)?;
        let stray = row.strays[side];
        if issue != stray.unwrap_or_else(|| self.observed.link.issue(side)) {
            return Err(Violation::ForeignIssue(issue, side));
        }
        let other = side.other();
        let Some(twin) = row.ids[other] else {
            return Err(Violation::DeleteWithoutProof(worklog, side));
        };
        let is_there = self.shows(other, twin);
        if moves {
            // It is made anew from its twin, which had better be there.
            return match stray.is_some() && is_there {
                true => Ok(()),
                false => Err(Violation::DeleteWithoutProof(worklog, side)),
            };
        }
        if is_there {
            return Err(Violation::DeleteOfLiveTwin(worklog, side));
        }
        if !self.observed.proofs[other].contains_key(&twin) {
            return Err(Violation::DeleteWithoutProof(worklog, side));
        }
        if self.observed.brake && !row.released {
            return Err(Violation::DeleteThroughBrake(worklog, side));
        }
        Ok(())
    }
}

/// Counts a plan's writes per side, for people.
pub fn writes(plan: &Plan) -> Sides<usize> {
    let mut writes = Sides::default();
    for side in plan.steps.iter().filter_map(Step::side) {
        writes[side] += 1;
    }
    writes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LinkKey;
    use crate::observed::Proof;
    use crate::testing;
    use crate::worklog::Worklog;

    const A: WorklogId = WorklogId(1);
    const B: WorklogId = WorklogId(2);

    fn content() -> Content {
        testing::content("ann", "text")
    }

    /// Two issues with a worklog each that are twins.
    fn twins() -> (Observed, Pair) {
        let link = LinkKey {
            connection: "a-b".into(),
            a: IssueId(1),
            b: IssueId(2),
        };
        let now = jiff::Timestamp::UNIX_EPOCH;
        let mut observed = Observed::empty(link.clone(), now);
        for (side, id) in [(Side::A, A), (Side::B, B)] {
            let worklog = Worklog {
                id,
                issue: link.issue(side),
                content: content(),
                created_at: now,
                updated_at: now,
            };
            observed.listings[side].insert(id, worklog);
        }
        let mut pair = Pair::half("a1-1".into(), link, Side::A, A);
        pair.ids.b = Some(B);
        pair.base = Some(Sides::new(content(), content()));
        observed.pairs.push(pair.clone());
        (observed, pair)
    }

    fn checked(observed: &Observed, pair: Pair, action: Action) -> Result<(), Violation> {
        let step = Step {
            pair,
            action,
            cause: String::new(),
            lost: vec![],
            made: None,
        };
        let plan = Plan {
            steps: vec![step],
            look_again: None,
        };
        check(&plan, observed, &Settings::default())
    }

    fn create() -> Action {
        Action::Create {
            side: Side::B,
            source: content(),
            body: content(),
        }
    }

    #[test]
    fn a_step_that_forgets_its_twin_makes_no_second_one() {
        let (mut observed, pair) = twins();
        let mut forgetful = pair.clone();
        forgetful.ids.b = None;
        let second = Err(Violation::SecondTwin("a1-1".into(), Side::B));
        assert_eq!(checked(&observed, forgetful.clone(), create()), second);
        // Under another name it is another pair's worklog.
        let other = Pair {
            id: "a1-9".into(),
            ..forgetful.clone()
        };
        let refused = checked(&observed, other, create());
        assert_eq!(refused, Err(Violation::SecondTwin("a1-9".into(), Side::B)));
        // Gone for certain, it may be made anew.
        observed.listings.b.clear();
        assert_eq!(checked(&observed, forgetful.clone(), create()), second);
        let proof = Proof {
            source: "tempo-webhook".into(),
            at: observed.now,
            moved_to: None,
        };
        observed.proofs.b.insert(B, proof);
        assert_eq!(checked(&observed, forgetful, create()), Ok(()));
    }

    #[test]
    fn what_a_move_left_behind_stays_while_its_twin_is_out_of_sight() {
        let (mut observed, mut pair) = twins();
        pair.strays.b = Some(IssueId(5));
        observed.pairs = vec![pair.clone()];
        let action = Action::Delete {
            side: Side::B,
            worklog: B,
            issue: IssueId(5),
            before: content(),
            proof: Proof {
                source: "moved".into(),
                at: observed.now,
                moved_to: None,
            },
            moves: true,
        };
        assert_eq!(checked(&observed, pair.clone(), action.clone()), Ok(()));
        observed.listings.a.clear();
        let refused = Err(Violation::DeleteWithoutProof(B, Side::B));
        assert_eq!(checked(&observed, pair, action), refused);
    }

    #[test]
    fn nothing_is_updated_to_what_nobody_said() {
        let (observed, pair) = twins();
        let mut invented = content();
        invented.description.push('!');
        let action = Action::Update {
            side: Side::B,
            worklog: B,
            before: content(),
            source: invented.clone(),
            body: invented,
            apart: vec![],
            entered: jiff::Timestamp::UNIX_EPOCH,
        };
        let refused = Err(Violation::Unexplained(B, Side::B));
        assert_eq!(checked(&observed, pair, action), refused);
    }

    fn saying(text: &str) -> Content {
        Content {
            description: text.into(),
            ..content()
        }
    }

    /// A pair whose sides say different things, and the update of A with what B says.
    fn apart(on_a: &str, on_b: &str) -> (Observed, Pair, Action) {
        let (mut observed, pair) = twins();
        for (side, id, says) in [(Side::A, A, on_a), (Side::B, B, on_b)] {
            if let Some(worklog) = observed.listings[side].get_mut(&id) {
                worklog.content = saying(says);
            }
        }
        let action = Action::Update {
            side: Side::A,
            worklog: A,
            before: saying(on_a),
            source: saying(on_b),
            body: saying(on_b),
            apart: vec![],
            entered: jiff::Timestamp::UNIX_EPOCH,
        };
        (observed, pair, action)
    }

    fn begun(pair: &Pair, action: &Action) -> Pair {
        let step = Step {
            pair: pair.clone(),
            action: action.clone(),
            cause: String::new(),
            lost: vec![],
            made: None,
        };
        let now = jiff::Timestamp::UNIX_EPOCH;
        step.begun(pair, now, now, &Settings::default().rules)
    }

    const UNEXPLAINED: Result<(), Violation> = Err(Violation::Unexplained(A, Side::A));

    #[test]
    fn what_was_agreed_is_what_the_row_says_or_what_its_open_update_makes_of_it() {
        let (_, pair, first) = apart("older", "newer");
        // It took effect unheard, and B was edited once more.
        let (mut observed, _, action) = apart("newer", "newest");
        let mut told = pair.clone();
        told.base = Some(Sides::new(saying("newer"), saying("newer")));
        let checked = |observed: &Observed, pair: &Pair| checked(observed, pair.clone(), action.clone());
        assert_eq!(checked(&observed, &told), UNEXPLAINED, "no intent says so");
        observed.pairs = vec![begun(&pair, &first)];
        assert_eq!(checked(&observed, &told), Ok(()));
        told.base = Some(Sides::new(saying("invented"), saying("newer")));
        assert_eq!(checked(&observed, &told), UNEXPLAINED);
    }

    #[test]
    fn what_was_set_back_is_a_change_since_an_update_that_had_no_effect_and_only_since_one_that_was_decided()
    {
        let (_, pair, first) = apart("older", "newer");
        let agreed = content().description;
        let (mut observed, _, action) = apart("older", &agreed);
        let mut refused = begun(&pair, &first);
        refused.had_no_effect(&Settings::default().rules);
        assert_eq!(
            checked(&observed, refused.clone(), action.clone()),
            UNEXPLAINED,
            "no row says so"
        );
        observed.pairs = vec![refused.clone()];
        assert_eq!(checked(&observed, refused.clone(), action.clone()), Ok(()));
        // And once more, where that is in vain too.
        let mut again = begun(&refused, &action);
        again.had_no_effect(&Settings::default().rules);
        observed.pairs = vec![again.clone()];
        assert_eq!(checked(&observed, again, action), Ok(()));
    }
}
