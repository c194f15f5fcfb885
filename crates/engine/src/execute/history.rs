//! The lines of the history.

use jiff::Timestamp;
use tandem_core::merge::Lost;
use tandem_core::observed::Observed;
use tandem_core::plan::{Action, Recorded, Step};
use tandem_core::{IntentKind, Pair, Side, Worklog};

use super::Run;
use crate::gate::signed;
use crate::ports::store::{HistoryRow, Op};

impl Run<'_> {
    pub(super) fn history(
        &self,
        step: &Step,
        pair: &Pair,
        now: Timestamp,
        answer: Option<&Worklog>,
        refusal: Option<&str>,
        observed: &Observed,
    ) -> Op {
        let (op, before, after) = match &step.action {
            _ if refusal.is_some() => ("park", None, None),
            Action::Create { body, .. } => (
                "create",
                None,
                Some(answer.map_or(body, |answer| &answer.content)),
            ),
            Action::Update { before, body, .. } => (
                "update",
                Some(before),
                Some(answer.map_or(body, |answer| &answer.content)),
            ),
            Action::Delete {
                before, moves: false, ..
            } => ("delete", Some(before), None),
            Action::Delete {
                before, moves: true, ..
            } => ("move", Some(before), None),
            Action::Record(recorded) => (
                match recorded {
                    Recorded::Adopt => "adopt",
                    Recorded::Agree => "agree",
                    Recorded::Move => "move",
                    Recorded::Park => "park",
                    Recorded::Resume => "resume",
                    Recorded::Forget => "forget",
                    Recorded::Keep => "keep",
                },
                None,
                None,
            ),
        };
        let waiting = pair.wait.as_ref().map(|wait| wait.side);
        let side = step
            .side()
            .or(waiting)
            .unwrap_or(if pair.ids.b.is_some() { Side::B } else { Side::A });
        let worklog = match &step.action {
            Action::Create { .. } => answer.map(|answer| answer.id),
            Action::Update { worklog, .. } | Action::Delete { worklog, .. } => Some(*worklog),
            Action::Record(_) => pair.ids[side].or(pair.ids[side.other()]),
        };
        let issue = match &step.action {
            Action::Delete { issue, .. } => *issue,
            _ => self.link.issue(side),
        };
        let cause = match (refusal, &pair.wait) {
            (Some(refusal), _) => format!("{}; refused: {refusal}", step.cause),
            (None, Some(wait)) => format!("{}: {}", wait.reason, step.cause),
            (None, None) => step.cause.clone(),
        };
        let lost = told_lost(&step.lost);
        Op::PutHistory(Box::new(HistoryRow {
            // The pair's `rev` makes the id of a line the same however often the line is written.
            id: format!("{:013}-{}-{}", now.as_millisecond(), pair.id, pair.rev),
            time: now,
            connection: self.connection.name.clone(),
            link: Some(self.link.clone()),
            op: op.to_string(),
            side,
            issue: Some(issue),
            worklog,
            pair: pair.id.clone(),
            cause,
            before: before.cloned(),
            after: after.cloned(),
            lost,
            trace: (!self.taken.traces.is_empty()).then(|| self.taken.traces.join(" ")),
            grounds: Some(self.grounds(step, observed, (before, after))),
            expires: now + signed(self.engine.options.history),
        }))
    }

    /// The line of an earlier write that was found to have taken effect.
    pub(crate) fn made(&self, step: &Step, now: Timestamp, observed: &Observed) -> Option<Op> {
        let made = step.made.as_ref()?;
        let intent = &made.intent;
        let (op, before, after) = match intent.kind {
            IntentKind::Create => ("create", None, Some(&intent.body)),
            IntentKind::Update => ("update", intent.before.as_ref(), Some(&intent.body)),
            IntentKind::Delete => ("delete", Some(&intent.body), None),
        };
        Some(Op::PutHistory(Box::new(HistoryRow {
            // As the row was then: no other line has that.
            id: format!("{:013}-{}-{}", now.as_millisecond(), step.pair.id, step.pair.rev),
            time: now,
            connection: self.connection.name.clone(),
            link: Some(step.pair.link.clone()),
            op: op.to_string(),
            side: intent.side,
            issue: Some(intent.issue),
            worklog: intent.worklog,
            pair: step.pair.id.clone(),
            cause: made.cause.clone(),
            before: before.cloned(),
            after: after.cloned(),
            lost: told_lost(&made.lost),
            trace: (!self.taken.traces.is_empty()).then(|| self.taken.traces.join(" ")),
            grounds: Some(self.grounds(step, observed, (before, after))),
            expires: now + signed(self.engine.options.history),
        })))
    }
}

/// Values that lost a conflict, as the history tells them.
fn told_lost(lost: &[Lost]) -> Vec<String> {
    lost.iter()
        .map(|lost| format!("{} on {}: {}", lost.field, lost.side, lost.value))
        .collect()
}
