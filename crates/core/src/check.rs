//! A second look at a plan, before anything is written.
//!
//! The checker knows the promises, not the planner's reasons. A plan that breaks one is a bug; it is refused as
//! a whole and nothing is written.

use std::collections::BTreeSet;

use crate::field::changed;
use crate::ids::{IssueId, Side, Sides, WorklogId};
use crate::observed::{Observed, Settings};
use crate::pair::PairState;
use crate::plan::{Action, Plan, Step};
use crate::twin;

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
    let mut written: BTreeSet<(Side, WorklogId)> = BTreeSet::new();
    let mut created: BTreeSet<(&str, Side)> = BTreeSet::new();
    for step in &plan.steps {
        match &step.action {
            Action::Record(_) => {}
            Action::Create { side, source, body } => {
                let name = step.pair.id.as_str();
                if step.pair.ids[*side].is_some() || !created.insert((name, *side)) {
                    return Err(Violation::SecondTwin(name.to_string(), *side));
                }
                let from = side.other();
                let listed = step.pair.ids[from].and_then(|id| observed.worklog(from, id));
                if listed.is_none() || step.pair.state != PairState::Live || step.pair.link != observed.link {
                    return Err(Violation::CreateFromNothing(name.to_string(), *side));
                }
                let hours =
                    |c: &crate::Content| (c.start_date, c.start_time, c.time_spent_secs, c.billable_secs);
                if hours(source) != hours(body) {
                    return Err(Violation::InventedHours(name.to_string(), *side));
                }
                let in_plan = plan.steps.iter().map(|step| &step.pair);
                let paired: BTreeSet<WorklogId> = observed
                    .pairs
                    .iter()
                    .chain(in_plan)
                    .filter_map(|pair| pair.ids[*side])
                    .collect();
                let interrupted = step.pair.abandoned.last().is_some_and(|intent| {
                    observed.listings[*side].values().any(|worklog| {
                        !paired.contains(&worklog.id)
                            && !observed.foreign[*side].contains(&worklog.id)
                            && twin::same_work(&intent.body, &worklog.content)
                    })
                });
                if interrupted {
                    return Err(Violation::SecondTwin(name.to_string(), *side));
                }
            }
            Action::Update {
                side,
                worklog,
                before,
                source,
                body,
                ..
            } => {
                if step.pair.ids[*side] != Some(*worklog) || observed.worklog(*side, *worklog).is_none() {
                    return Err(Violation::ForeignWorklog(*worklog, *side));
                }
                if !written.insert((*side, *worklog)) {
                    return Err(Violation::WrittenTwice(*worklog, *side));
                }
                let other = side.other();
                let moved = match &step.pair.base {
                    Some(base) => changed(other, &base[other], source, &settings.rules),
                    None => true,
                };
                if !moved || before == body {
                    return Err(Violation::Unexplained(*worklog, *side));
                }
                let entered = |value: fn(&crate::Content) -> u64| {
                    [before, source]
                        .into_iter()
                        .any(|content| value(content) == value(body))
                };
                let clock = [before.start_time, source.start_time].contains(&body.start_time);
                let billed = [before.billable_secs, source.billable_secs].contains(&body.billable_secs);
                if !entered(|content| content.time_spent_secs) || !clock || !billed {
                    return Err(Violation::InventedHours(step.pair.id.to_string(), *side));
                }
            }
            Action::Delete {
                side,
                worklog,
                issue,
                moves,
                ..
            } => {
                if step.pair.ids[*side] != Some(*worklog) {
                    return Err(Violation::ForeignWorklog(*worklog, *side));
                }
                if !written.insert((*side, *worklog)) {
                    return Err(Violation::WrittenTwice(*worklog, *side));
                }
                let stray = step.pair.strays[*side];
                if *issue != stray.unwrap_or_else(|| observed.link.issue(*side)) {
                    return Err(Violation::ForeignIssue(*issue, *side));
                }
                if *moves {
                    if stray.is_none() {
                        return Err(Violation::DeleteWithoutProof(*worklog, *side));
                    }
                    continue;
                }
                delete_is_justified(step, observed, *side, *worklog)?;
            }
        }
    }
    Ok(())
}

fn delete_is_justified(
    step: &Step,
    observed: &Observed,
    side: Side,
    worklog: WorklogId,
) -> Result<(), Violation> {
    let other = side.other();
    let Some(twin) = step.pair.ids[other] else {
        return Err(Violation::DeleteWithoutProof(worklog, side));
    };
    if observed.worklog(other, twin).is_some() {
        return Err(Violation::DeleteOfLiveTwin(worklog, side));
    }
    if !observed.proofs[other].contains_key(&twin) {
        return Err(Violation::DeleteWithoutProof(worklog, side));
    }
    if observed.brake && !step.pair.released {
        return Err(Violation::DeleteThroughBrake(worklog, side));
    }
    Ok(())
}

/// Counts a plan's writes per side, for people.
pub fn writes(plan: &Plan) -> Sides<usize> {
    let mut writes = Sides::default();
    for side in plan.steps.iter().filter_map(Step::side) {
        writes[side] += 1;
    }
    writes
}
