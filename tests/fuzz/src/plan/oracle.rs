//! The promises once more, written down as plainly as they can be said: each looks at the observation and at
//! what is to be written, and believes nothing that a step says of itself.

use std::fmt;

use tandem_core::field::changed;
use tandem_core::observed::{Observed, Settings};
use tandem_core::plan::{Action, Plan, Step};
use tandem_core::{Content, Pair, PairState, Side, WorklogId};

/// A promise that a plan breaks.
pub(crate) struct Broken {
    nth: usize,
    what: &'static str,
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}: {}", self.nth, self.what)
    }
}

/// Lists the promises that a plan breaks.
pub(crate) fn broken(plan: &Plan, observed: &Observed, settings: &Settings) -> Vec<Broken> {
    let mut all = Vec::new();
    for (nth, step) in plan.steps.iter().enumerate() {
        let judge = Judge {
            plan,
            nth,
            step,
            observed,
            settings,
        };
        let found = match &step.action {
            Action::Record(_) => vec![],
            Action::Create { side, source, body } => judge.create(*side, source, body),
            Action::Update {
                side,
                worklog,
                before,
                source,
                body,
                ..
            } => judge.update(*side, *worklog, before, source, body),
            Action::Delete {
                side,
                worklog,
                issue,
                moves,
                ..
            } => judge.delete(*side, *worklog, *issue, *moves),
        };
        all.extend(
            found
                .into_iter()
                .filter_map(|(is_broken, what)| is_broken.then_some(Broken { nth, what })),
        );
    }
    all
}

type Found = Vec<(bool, &'static str)>;

struct Judge<'j> {
    plan: &'j Plan,
    nth: usize,
    step: &'j Step,
    observed: &'j Observed,
    settings: &'j Settings,
}

impl Judge<'_> {
    /// The pair as the table has it.
    fn row(&self) -> Option<&Pair> {
        self.observed.pairs.iter().find(|row| row.id == self.step.pair.id)
    }

    fn shows(&self, side: Side, id: WorklogId) -> bool {
        self.observed.worklog(side, id).is_some()
    }

    /// Whether this is what the site says of a worklog, or what it said when both sides last agreed.
    fn is_said(&self, side: Side, id: WorklogId, content: &Content) -> bool {
        let shown = self
            .observed
            .worklog(side, id)
            .is_some_and(|worklog| worklog.content == *content);
        let agreed = [self.row(), Some(&self.step.pair)]
            .into_iter()
            .flatten()
            .any(|pair| {
                let bases = pair
                    .base
                    .iter()
                    .chain(pair.intent.iter().filter_map(|intent| intent.then.as_ref()));
                bases.into_iter().any(|base| base[side] == *content)
            });
        shown || agreed
    }

    fn is_proven_gone(&self, side: Side, id: WorklogId) -> bool {
        !self.shows(side, id) && self.observed.proofs[side].contains_key(&id)
    }

    /// Whether another step of the plan writes to the same worklog.
    fn is_written_elsewhere(&self, side: Side, id: WorklogId) -> bool {
        let mut others = self
            .plan
            .steps
            .iter()
            .enumerate()
            .filter(|(nth, _)| *nth != self.nth);
        others.any(|(_, step)| match &step.action {
            Action::Update {
                side: there, worklog, ..
            }
            | Action::Delete {
                side: there, worklog, ..
            } => (*there, *worklog) == (side, id),
            _ => false,
        })
    }

    fn create(&self, side: Side, source: &Content, body: &Content) -> Found {
        let from = side.other();
        let pair = &self.step.pair;
        let Some(origin) = pair.ids[from] else {
            return vec![(true, "a create from nothing")];
        };
        let others = self
            .plan
            .steps
            .iter()
            .enumerate()
            .filter(|(nth, _)| *nth != self.nth);
        let twice = others
            .filter(|(_, step)| matches!(step.action, Action::Create { side: there, .. } if there == side))
            .any(|(_, step)| step.pair.id == pair.id || step.pair.ids[from] == Some(origin));
        let elsewhere = self
            .observed
            .pairs
            .iter()
            .any(|row| row.id != pair.id && row.ids[from] == Some(origin));
        let twin = self.row().and_then(|row| row.ids[side]);
        // Or what the worklog that it takes the place of had said when both sides last agreed, be that by an update of
        // which nobody heard.
        let agreed = self.row().and_then(|row| row.base.as_ref());
        let unheard = self.row().and_then(|row| row.intent.as_ref()?.then.as_ref());
        let agreed = agreed.into_iter().chain(unheard).map(|base| &base[side]);
        let said: Vec<&Content> = [source].into_iter().chain(agreed).collect();
        let is_entered = said.iter().any(|one| one.start_date == body.start_date)
            && said.iter().any(|one| one.start_time == body.start_time)
            && said.iter().any(|one| one.time_spent_secs == body.time_spent_secs)
            && said.iter().any(|one| one.billable_secs == body.billable_secs);
        vec![
            (twice, "two creates for one worklog"),
            (elsewhere, "a create for another pair's worklog"),
            (
                twin.is_some_and(|id| !self.is_proven_gone(side, id)),
                "a create with a twin there",
            ),
            (
                !self.shows(from, origin),
                "a create from a worklog that is not there",
            ),
            (
                self.row().is_some_and(|row| row.ids[from] != Some(origin)),
                "a create from a worklog that is not the pair's",
            ),
            (
                pair.link != self.observed.link || self.row().is_some_and(|row| row.link != pair.link),
                "a create on an issue that is not the link's",
            ),
            (
                self.row().is_none() && self.observed.foreign[from].contains(&origin),
                "a create from a worklog that belongs elsewhere",
            ),
            (
                [Some(pair), self.row()]
                    .into_iter()
                    .flatten()
                    .any(|pair| pair.state != PairState::Live),
                "a create for a pair that is not alive",
            ),
            (!is_entered, "hours that nobody entered"),
            (
                !self.is_said(from, origin, source),
                "a create of what nobody said",
            ),
        ]
    }

    fn update(&self, side: Side, id: WorklogId, before: &Content, source: &Content, body: &Content) -> Found {
        let Some(row) = self.row() else {
            return vec![(true, "an update for a pair that is not there")];
        };
        let other = side.other();
        let Some(twin) = row.ids[other] else {
            return vec![(true, "an update without a twin")];
        };
        let bases = row
            .base
            .iter()
            .chain(row.intent.iter().filter_map(|intent| intent.then.as_ref()));
        let is_explained = row.base.is_none()
            || bases
                .into_iter()
                .any(|base| changed(other, &base[other], source, &self.settings.rules));
        let entered = [before, source];
        vec![
            (
                row.ids[side] != Some(id),
                "an update of a worklog that is not the pair's",
            ),
            (!self.shows(side, id), "an update of a worklog that is not there"),
            (
                !self.shows(other, twin),
                "an update from a worklog that is not there",
            ),
            (
                row.link != self.observed.link,
                "an update for a pair of another link",
            ),
            (
                row.state != PairState::Live,
                "an update for a pair that is not alive",
            ),
            (self.is_written_elsewhere(side, id), "two writes to one worklog"),
            (
                !self.is_said(other, twin, source),
                "an update to what nobody said",
            ),
            (!self.is_said(side, id, before), "an update of what nobody said"),
            (!is_explained, "an update that no change explains"),
            (before == body, "an update that changes nothing"),
            (
                !entered
                    .iter()
                    .any(|content| content.time_spent_secs == body.time_spent_secs)
                    || !entered
                        .iter()
                        .any(|content| content.start_time == body.start_time)
                    || !entered
                        .iter()
                        .any(|content| content.billable_secs == body.billable_secs),
                "hours that nobody entered",
            ),
        ]
    }

    fn delete(&self, side: Side, id: WorklogId, issue: tandem_core::IssueId, moves: bool) -> Found {
        let Some(row) = self.row() else {
            return vec![(true, "a delete for a pair that is not there")];
        };
        let other = side.other();
        let Some(twin) = row.ids[other] else {
            return vec![(true, "a delete without a twin")];
        };
        let mut found = vec![
            (
                row.ids[side] != Some(id),
                "a delete of a worklog that is not the pair's",
            ),
            (self.is_written_elsewhere(side, id), "two writes to one worklog"),
            (
                row.link != self.observed.link,
                "a delete for a pair of another link",
            ),
            (
                row.state != PairState::Live,
                "a delete for a pair that is not alive",
            ),
            (
                issue != row.strays[side].unwrap_or_else(|| self.observed.link.issue(side)),
                "a delete on an issue that is not the pair's",
            ),
        ];
        if moves {
            found.extend([
                (row.strays[side].is_none(), "a move of what did not move"),
                (
                    !self.shows(other, twin),
                    "a move away from the only worklog that is left",
                ),
            ]);
        } else {
            found.extend([
                (self.shows(other, twin), "a delete with the twin there"),
                (!self.is_proven_gone(other, twin), "a delete without proof"),
                (self.observed.brake && !row.released, "a delete through the brake"),
            ]);
        }
        found
    }
}
