//! One step of a plan: what it does, and what it leaves in its pair's row.

use jiff::Timestamp;

use crate::field::Field;
use crate::ids::{IssueId, Side, Sides, WorklogId};
use crate::merge::{self, Lost};
use crate::observed::Proof;
use crate::pair::{Intent, IntentKind, Pair, PairState, Unmet, Wait};
use crate::reason::Reason;
use crate::rules::Rules;
use crate::worklog::{Content, Worklog};

/// One step: about one pair, at most one vendor write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The pair's row as it is to be when the step begins; its `rev` is the row's, 0 when there is none yet.
    pub pair: Pair,
    /// What is done.
    pub action: Action,
    /// Why, in a sentence.
    pub cause: String,
    /// Values that lost a conflict.
    pub lost: Vec<Lost>,
    /// An earlier write of the pair's, of unknown outcome until now, that did take effect: the history is to tell of it.
    pub made: Option<Box<Made>>,
}

/// A write of which it is found afterwards that it took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// What was recorded before it was sent.
    pub intent: Intent,
    /// Why it was sent, in a sentence.
    pub cause: String,
    /// Values that lost a conflict by it.
    pub lost: Vec<Lost>,
}

impl Made {
    /// Tells of an update, with what both sides had agreed on before it.
    pub(crate) fn update(intent: &Intent, base: Option<&Sides<Content>>, rules: &Rules) -> Self {
        let side = intent.side;
        let about: Vec<Field> = Field::all(rules)
            .filter(|field| intent.is_about(*field, rules))
            .collect();
        let names: Vec<&str> = about.iter().map(|field| field.name()).collect();
        let lost = about.iter().filter_map(|field| {
            let was = field.of(side, intent.before.as_ref()?, rules);
            let changed = field.of(side, &base?[side], rules).differs(&was);
            changed.then(|| Lost {
                field: *field,
                side,
                value: was.to_string(),
            })
        });
        Self {
            cause: format!("changed on {}: {}; {UNTOLD}", side.other(), names.join(", ")),
            lost: lost.collect(),
            intent: intent.clone(),
        }
    }

    /// Tells of a create, and of the worklog that it made.
    pub(crate) fn create(intent: &Intent, made: WorklogId) -> Self {
        Self {
            cause: format!("new on {}; {UNTOLD}", intent.side.other()),
            lost: Vec::new(),
            intent: Intent {
                worklog: Some(made),
                ..intent.clone()
            },
        }
    }

    /// Tells of a delete.
    pub(crate) fn delete(intent: &Intent) -> Self {
        Self {
            cause: format!("deleted on {}; {UNTOLD}", intent.side.other()),
            lost: Vec::new(),
            intent: intent.clone(),
        }
    }
}

/// How the history tells that nobody was told of a write's effect when it was made.
const UNTOLD: &str = "the site's answer was lost";

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Writes the pair's row, nothing else.
    Record(Recorded),
    /// Creates the twin on a side.
    Create {
        /// The side written to.
        side: Side,
        /// What the other side says.
        source: Content,
        /// What is written.
        body: Content,
    },
    /// Replaces the worklog on a side.
    Update {
        /// The side written to.
        side: Side,
        /// The worklog.
        worklog: WorklogId,
        /// What it says now.
        before: Content,
        /// What the other side says.
        source: Content,
        /// What is written.
        body: Content,
        /// Fields that this write does not settle: they cross the other way.
        apart: Vec<Field>,
        /// When a person last edited what the other side says, by that site's clock.
        entered: Timestamp,
    },
    /// Deletes the worklog on a side.
    Delete {
        /// The side written to.
        side: Side,
        /// The worklog.
        worklog: WorklogId,
        /// The issue that it is on.
        issue: IssueId,
        /// What it says now, or said last.
        before: Content,
        /// What justifies it.
        proof: Proof,
        /// Whether the twin is made anew afterwards, on the link's own issue.
        moves: bool,
    },
}

/// What a row-only step records, for the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Two worklogs were found to be twins.
    Adopt,
    /// Both sides came to say the same by themselves, or what was remembered caught up.
    Agree,
    /// The pair came here from another link.
    Move,
    /// The pair is set aside.
    Park,
    /// What it waited for is over.
    Resume,
    /// Both are gone.
    Forget,
    /// One is gone, the other stays and is left alone from now on.
    Keep,
}

impl Step {
    /// The side that is written to, where one is.
    pub fn side(&self) -> Option<Side> {
        match &self.action {
            Action::Record(_) => None,
            Action::Create { side, .. } | Action::Update { side, .. } | Action::Delete { side, .. } => {
                Some(*side)
            }
        }
    }

    /// Takes note of what the other twin says by now, where an earlier step of the same plan wrote it: a site may have put
    /// words of its own where it was sent none, and these are nobody's edit.
    pub fn upon(&mut self, twin: &Content) {
        if let Action::Update { source, .. } = &mut self.action {
            source.clone_from(twin);
        }
    }

    /// Fills in what a site's answer to this step leaves out: it is as it was sent.
    pub fn answered(&self, mut answer: Worklog) -> Worklog {
        if let Action::Create { body, .. } | Action::Update { body, .. } = &self.action {
            answer.content = told(&answer.content, body);
        }
        answer
    }

    /// Returns a pair's row with the intent of this step, as it is to be written before the site is called.
    ///
    /// `row` is the step's own pair, or what an earlier step of the same plan left of it.
    pub fn begun(&self, row: &Pair, now: Timestamp, until: Timestamp, rules: &Rules) -> Pair {
        let mut pair = row.clone();
        let mut waited = match &self.action {
            Action::Record(_) => None,
            _ => pair.wait.take().map(Box::new),
        };
        // Beside what is agreed on, the texts that were tried would be in the row once more, and a long one outgrow it.
        if let Some(wait) = waited.as_mut().filter(|_| row.base.is_some()) {
            wait.tried = Sides::new(None, None);
        }
        let intent = |kind, side: Side, issue: Option<IssueId>, worklog, body: &Content| Intent {
            kind,
            side,
            issue: issue.unwrap_or_else(|| row.link.issue(side)),
            worklog,
            source: None,
            before: None,
            body: body.clone(),
            then: None,
            entered: None,
            at: now,
            until,
            waited,
        };
        pair.intent = match &self.action {
            Action::Record(_) => None,
            Action::Create { side, source, body } => Some(Intent {
                source: Some(source.clone()),
                ..intent(IntentKind::Create, *side, None, None, body)
            }),
            Action::Update {
                side,
                worklog,
                before,
                source,
                body,
                apart,
                entered,
            } => Some(Intent {
                before: Some(before.clone()),
                then: settled(row, *side, source, body, apart, rules),
                entered: Some(*entered),
                ..intent(IntentKind::Update, *side, row.strays[*side], Some(*worklog), body)
            }),
            Action::Delete {
                side,
                worklog,
                issue,
                before,
                ..
            } => Some(intent(
                IntentKind::Delete,
                *side,
                Some(*issue),
                Some(*worklog),
                before,
            )),
        };
        pair
    }

    /// Returns the pair's row once the site has done the step. `row` is the row as the intent left it;
    /// `answer` is the worklog that the site answered with, for a create or an update. Where the site kept a value
    /// of its own, the pair waits until `retry`.
    pub fn done(
        &self,
        row: &Pair,
        answer: Option<&Worklog>,
        now: Timestamp,
        retry: Timestamp,
        rules: &Rules,
    ) -> Pair {
        let mut pair = row.clone();
        pair.intent = None;
        pair.wait = None;
        pair.written_at = Some(now);
        match &self.action {
            Action::Record(_) => {}
            Action::Create { side, source, body } => {
                let Some(answer) = answer else { return pair };
                pair.ids[*side] = Some(answer.id);
                pair.seen[*side] = Some(answer.updated_at);
                pair.strays[*side] = None;
                pair.returned = false;
                let written = told(&answer.content, body);
                let kept = not_taken(*side, body, &written, rules);
                pair.wait = kept_by_the_site(*side, source, &written, &kept, now, retry);
                pair.base = Some(created(*side, source, &written, &kept, rules));
                pair.decided = Unmet::default();
            }
            Action::Update {
                side,
                source,
                body,
                apart,
                ..
            } => {
                let Some(answer) = answer else { return pair };
                pair.seen[*side] = pair.seen[*side].max(Some(answer.updated_at));
                let written = told(&answer.content, body);
                let kept = not_taken(*side, body, &written, rules);
                let apart: Vec<Field> = apart.iter().chain(&kept).copied().collect();
                // What crosses the other way is still open.
                pair.decided.settle(|field| !apart.contains(&field), rules);
                if let Some(intent) = &row.intent {
                    pair.decided.add(intent.of_kept(&kept, &written, rules), rules);
                }
                pair.base = settled(row, *side, source, &written, &apart, rules);
                // Where both had agreed on no text, an earlier step of the plan by what it carried the other way, these words
                // stand for none.
                if is_filled_in(body, &written)
                    && let Some(base) = &mut pair.base
                    && base[*side].description.trim().is_empty()
                {
                    base[*side].description.clone_from(&written.description);
                }
                pair.wait = kept_by_the_site(*side, source, &written, &kept, now, retry);
            }
            Action::Delete {
                side,
                before,
                moves,
                proof,
                ..
            } => {
                if *moves {
                    pair.ids[*side] = None;
                    pair.strays[*side] = None;
                    pair.seen[*side] = None;
                    if let Some(base) = &mut pair.base {
                        base[*side] = before.clone();
                    }
                } else if proof.may_stand() {
                    pair.state = PairState::Left;
                    pair.ids[*side] = None;
                } else {
                    pair.state = PairState::Gone;
                }
            }
        }
        pair
    }

    /// Returns the pair's row once the site has refused the step.
    pub fn refused(
        &self,
        row: &Pair,
        reason: Reason,
        detail: String,
        now: Timestamp,
        retry: Timestamp,
        rules: &Rules,
    ) -> Pair {
        let mut pair = row.clone();
        pair.had_no_effect(rules);
        let earlier = pair.wait.take();
        let mut tried = Sides::new(None, None);
        let side = match &self.action {
            Action::Record(_) => Side::B,
            Action::Create { side, source, .. } => {
                tried[side.other()] = Some(source.clone());
                *side
            }
            Action::Update {
                side, source, before, ..
            } => {
                tried[side.other()] = Some(source.clone());
                tried[*side] = Some(before.clone());
                *side
            }
            Action::Delete { side, before, .. } => {
                tried[*side] = Some(before.clone());
                *side
            }
        };
        pair.wait = Some(Wait {
            reason,
            side,
            detail,
            since: earlier.as_ref().map_or(now, |wait| wait.since),
            attempts: earlier.map_or(0, |wait| wait.attempts) + 1,
            next_attempt: Some(retry),
            tried,
            moved: false,
        });
        pair
    }
}

impl Intent {
    /// What is left of an update where the site kept fields of its own: that stands against the source from now on. What the
    /// site has in other fields is a change of that side.
    fn of_kept(&self, kept: &[Field], written: &Content, rules: &Rules) -> Self {
        let mut left = self.clone();
        let about = |field: &Field| kept.contains(field) && self.is_about(*field, rules);
        for field in Field::all(rules).filter(|field| !about(field)) {
            field.copy(self.side, written, &mut left.body, rules);
        }
        left.before = Some(written.clone());
        left
    }

    /// Takes an update of unknown outcome, which `found` shows, into a pair's row.
    ///
    /// The update is atomic: where the time of day or the billable hours were to change and are as they were before, the site
    /// has kept its own. That stays open, so that it is written once more, and the answer tells. To take it for that side's
    /// change would carry a time of day that the site shows whatever it is sent, or hours that it does not let us set, over
    /// what a person entered. Other fields no site keeps: somebody has set them back.
    pub(crate) fn shows(&self, pair: &mut Pair, found: &Content, rules: &Rules) {
        let before = self.before.as_ref();
        let is_unchanged = |field: &Field| {
            let of = |content| field.of(self.side, content, rules);
            self.is_about(*field, rules) && before.is_some_and(|before| !of(before).differs(&of(found)))
        };
        let kept: Vec<Field> = [Field::StartTime, Field::Billable]
            .into_iter()
            .filter(is_unchanged)
            .collect();
        pair.intent = None;
        pair.base = self.then.as_ref().and_then(|then| {
            let agreed = |field| !kept.contains(&field);
            merge::agree(pair.base.as_ref(), then, agreed, rules)
        });
        pair.decided.settle(|field| self.is_about(field, rules), rules);
        if !kept.is_empty() {
            pair.decided.add(self.of_kept(&kept, found, rules), rules);
        }
    }
}

/// The base once `written` was created on a side, with `kept` fields that the site has of its own.
pub(crate) fn created(
    side: Side,
    source: &Content,
    written: &Content,
    kept: &[Field],
    rules: &Rules,
) -> Sides<Content> {
    let mut base = Sides::new(source.clone(), source.clone());
    base[side] = written.clone();
    for field in kept {
        // The source differs from this, so that it goes on wanting to cross.
        let value = field.of(side, written, rules);
        field.set(side.other(), &mut base[side.other()], rules, value);
    }
    base
}

/// Says whether a site put words of its own where it was sent none: also those that stood there before, of which an
/// earlier write that nobody heard of may have been the reason. To ask for none again would bring them back each time.
fn is_filled_in(sent: &Content, answered: &Content) -> bool {
    sent.description.trim().is_empty() && !answered.description.trim().is_empty()
}

/// The fields that a site answered a write with another value for than was sent. A site without start times has
/// one of its own, and some put words of their own where a worklog has none.
pub(crate) fn not_taken(side: Side, sent: &Content, answered: &Content, rules: &Rules) -> Vec<Field> {
    let is_filled_in = is_filled_in(sent, answered);
    Field::all(rules)
        .filter(|field| match field {
            Field::StartTime => false,
            Field::Description if is_filled_in => false,
            field => field
                .of(side, sent, rules)
                .differs(&field.of(side, answered, rules)),
        })
        .collect()
}

/// A site that silently keeps a value has not done what it was asked for.
pub(crate) fn kept_by_the_site(
    side: Side,
    source: &Content,
    written: &Content,
    kept: &[Field],
    now: Timestamp,
    retry: Timestamp,
) -> Option<Wait> {
    if kept.is_empty() {
        return None;
    }
    let names = kept
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    // Tempo leaves billable hours as they are for somebody who may not set them.
    let reason = if kept == [Field::Billable] {
        Reason::PermissionMissing
    } else {
        Reason::Rejected
    };
    let mut tried = Sides::new(Some(source.clone()), Some(source.clone()));
    tried[side] = Some(written.clone());
    let detail = format!("side {side} accepted the write but kept its own {names}");
    Some(Wait {
        reason,
        side,
        detail,
        since: now,
        attempts: 1,
        next_attempt: Some(retry),
        tried,
        moved: false,
    })
}

/// The base once `written` stands on a side: fields that cross the other way stay as they were.
fn settled(
    row: &Pair,
    side: Side,
    source: &Content,
    written: &Content,
    apart: &[Field],
    rules: &Rules,
) -> Option<Sides<Content>> {
    let mut now = Sides::new(source.clone(), source.clone());
    now[side] = written.clone();
    merge::agree(row.base.as_ref(), &now, |field| !apart.contains(&field), rules)
}

/// What a site answered, with what it left out taken from what was sent.
pub(crate) fn told(answer: &Content, sent: &Content) -> Content {
    let mut content = answer.clone();
    content.start_time = content.start_time.or(sent.start_time);
    content.billable_secs = content.billable_secs.or(sent.billable_secs);
    content
}
