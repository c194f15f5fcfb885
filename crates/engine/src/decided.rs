//! What a step rests on, in the words of the configuration: for `plan` ahead of it, and for the history after it.

use tandem_core::field::changed;
use tandem_core::observed::Observed;
use tandem_core::plan::{Action, Recorded, Step};
use tandem_core::rules::{ConflictPolicy, DeletePolicy, DeleteVsEdit, Rules};
use tandem_core::{Content, Pair, Reason, Side, Sides, Wait};

use crate::execute::Run;
use crate::ports::Grounds;

/// The policy that a step goes back to, if it is not just somebody's change that is carried over.
pub(crate) fn policy_of(step: &Step, rules: &Rules) -> Option<&'static str> {
    let policy = &rules.policy;
    match &step.action {
        Action::Update { .. } if !step.lost.is_empty() => Some(conflict(policy.conflict)),
        Action::Delete {
            side,
            before,
            moves: false,
            ..
        } => {
            let base = step.pair.base.as_ref().map(|base| &base[*side]);
            let edited = base.is_some_and(|base| changed(*side, base, before, rules));
            match (policy.delete_vs_edit, policy.delete) {
                (DeleteVsEdit::Delete, _) if edited => Some("delete_vs_edit = delete"),
                (_, DeletePolicy::Mirror) => Some("delete = mirror"),
                // A person let this one through.
                (_, DeletePolicy::Keep | DeletePolicy::Park) => None,
            }
        }
        Action::Create { source, body, .. } => {
            let fallback = rules.fallback() == Some(&body.author) && body.author != source.author;
            if step.cause.ends_with("the edit wins") {
                Some("delete_vs_edit = edit")
            } else if fallback && body.description.starts_with('[') {
                Some("unknown = account")
            } else {
                None
            }
        }
        Action::Record(Recorded::Keep) => Some("delete = keep"),
        Action::Record(_) => policy_of_wait(step.pair.wait.as_ref()?, rules),
        _ => None,
    }
}

/// The policy that has something wait, if it is not a site that does not take it.
pub(crate) fn policy_of_wait(wait: &Wait, rules: &Rules) -> Option<&'static str> {
    // Of what one side has lost, what the other one said is all there is to remember.
    let deleted = wait.tried.a.is_some() != wait.tried.b.is_some();
    match wait.reason {
        Reason::MassDelete => Some("mass_delete"),
        Reason::AuthorUnmapped => Some("unknown = park"),
        Reason::Conflict if deleted && wait.detail.contains(" edited on ") => {
            Some(match rules.policy.delete_vs_edit {
                DeleteVsEdit::Edit => "delete_vs_edit = edit",
                DeleteVsEdit::Delete => "delete_vs_edit = delete",
                DeleteVsEdit::Park => "delete_vs_edit = park",
            })
        }
        Reason::Conflict if deleted => Some("delete = park"),
        Reason::Conflict => Some(conflict(rules.policy.conflict)),
        _ => None,
    }
}

fn conflict(policy: ConflictPolicy) -> &'static str {
    match policy {
        ConflictPolicy::Newest => "conflict = newest",
        ConflictPolicy::Side(Side::A) => "conflict = a",
        ConflictPolicy::Side(Side::B) => "conflict = b",
        ConflictPolicy::Park => "conflict = park",
    }
}

impl Run<'_> {
    /// What a step rests on, before its own answer is taken in.
    pub(crate) fn grounds(
        &self,
        step: &Step,
        observed: &Observed,
        told: (Option<&Content>, Option<&Content>),
    ) -> Grounds {
        let row = observed.pairs.iter().find(|row| row.id == step.pair.id);
        let ids = Sides::from_fn(|side| row.and_then(|row| row.ids[side]).or(step.pair.ids[side]));
        let seen = ids.map(|side, id| Some(&observed.worklog(side, id?)?.content));
        let rules = &self.connection.settings.rules;
        let base = row.and_then(|row| row.base.as_ref());
        Grounds::of(told, seen, base, policy_of(step, rules).map(str::to_owned))
    }
}

/// What a person's decision about a pair that waits rests on: what was seen when it was set aside.
pub(crate) fn grounds_of_wait(
    pair: &Pair,
    told: (Option<&Content>, Option<&Content>),
    rules: &Rules,
) -> Grounds {
    let wait = pair.wait.as_ref();
    let seen = Sides::from_fn(|side| wait.and_then(|wait| wait.tried[side].as_ref()));
    let policy = wait.and_then(|wait| policy_of_wait(wait, rules));
    Grounds::of(told, seen, pair.base.as_ref(), policy.map(str::to_owned))
}
