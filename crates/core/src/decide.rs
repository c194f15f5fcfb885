//! What a person's decision about a waiting pair makes of its row.
//!
//! A decision changes what counts as agreed, never a worklog: the next run reads both sides and plans as ever. It rests
//! on what was seen when the pair was set aside, so that whatever was changed after that is a change like any other.

use crate::field::Field;
use crate::ids::{Side, Sides, WorklogId};
use crate::merge::Lost;
use crate::pair::{IntentKind, Pair, PairState, Unmet};
use crate::reason::Reason;
use crate::rules::Rules;
use crate::worklog::Content;

/// What comes of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The pair's row as it is to be; its `rev` is still the row's.
    pub pair: Pair,
    /// Values that give way.
    pub lost: Vec<Lost>,
    /// A worklog that a person vouches to be gone.
    pub gone: Option<(Side, WorklogId)>,
    /// What was decided, for the history.
    pub what: String,
}

/// Has a waiting pair take a side's word: its values where both sides changed the same, its edit or its delete where
/// one was deleted, its absence where a worklog is missing.
///
/// # Errors
/// Why that cannot be decided, and what can be done.
pub fn take(pair: &Pair, side: Side, rules: &Rules) -> Result<Decided, String> {
    let wait = pair.wait.as_ref().filter(|_| pair.state == PairState::Live);
    let wait = wait.ok_or("it does not wait any more")?;
    match wait.reason {
        Reason::Conflict => match (&wait.tried.a, &wait.tried.b) {
            (Some(a), Some(b)) => {
                let seen = Sides::new(a.clone(), b.clone());
                Ok(values_of(pair, side, &seen, rules))
            }
            (Some(seen), None) => Ok(gone(pair, Side::B, side, seen, rules)),
            (None, Some(seen)) => Ok(gone(pair, Side::A, side, seen, rules)),
            (None, None) => Err("it was not remembered what it said; `tandem retry` looks again".into()),
        },
        Reason::Missing if wait.side == side => {
            let id = pair.ids[side].ok_or(
                "another connection made its twin, which is not here, and a second one is never made: bring that one back, or leave this one alone with `tandem ignore`",
            )?;
            Ok(Decided {
                pair: pair.clone(),
                lost: Vec::new(),
                gone: Some((side, id)),
                what: format!("worklog {id} on side {side} is deleted"),
            })
        }
        Reason::Missing => Err(format!(
            "the worklog on side {} may be there unseen, and a second one is never made: restore its visibility, or, if it is deleted, take side {}",
            wait.side, wait.side
        )),
        Reason::AmbiguousCreate if was_attempted(pair) || pair.rivals.is_empty() => Err(
            "say which worklog is the twin with --twin WORKLOG, or delete the one that is too many".into(),
        ),
        Reason::AmbiguousCreate => {
            let Some(id) = pair.ids[side] else {
                return Err(format!(
                    "say which worklog is its twin with --twin WORKLOG, or that none is by taking side {}: it is copied then",
                    side.other()
                ));
            };
            let mut next = pair.clone();
            next.rivals.clear();
            next.chosen = None;
            Ok(Decided {
                pair: next,
                lost: Vec::new(),
                gone: None,
                what: format!("worklog {id} on side {side} has no twin yet"),
            })
        }
        reason => Err(format!("{reason} is not a matter of sides. {}", reason.advice())),
    }
}

/// Says which worklog is the twin that an ambiguous pair lacks.
///
/// # Errors
/// Why that cannot be decided, and what can be done.
pub fn choose(pair: &Pair, worklog: WorklogId) -> Result<Decided, String> {
    let wait = pair.wait.as_ref().filter(|_| pair.state == PairState::Live);
    let wait = wait.ok_or("it does not wait any more")?;
    if wait.reason != Reason::AmbiguousCreate {
        return Err(format!(
            "{} is not about which worklog is the twin. {}",
            wait.reason,
            wait.reason.advice()
        ));
    }
    let Some(to) = lacks(pair) else {
        return Err("it has a worklog on both sides".into());
    };
    if !was_attempted(pair) && pair.rivals.is_empty() {
        return Err("it is itself what may be a late result of an interrupted create: delete it if it is, or log it anew if it is not".into());
    }
    let mut next = pair.clone();
    next.chosen = Some(worklog);
    Ok(Decided {
        pair: next,
        lost: Vec::new(),
        gone: None,
        what: format!("worklog {worklog} on side {to} is its twin"),
    })
}

/// Says whether a create of what a pair lacks was begun.
fn was_attempted(pair: &Pair) -> bool {
    let creates = pair.intent.iter().chain(&pair.abandoned);
    let mut creates = creates.filter(|intent| intent.kind == IntentKind::Create);
    creates.any(|intent| Some(intent.side) == lacks(pair))
}

/// Returns the side on which a pair has no worklog, where it has one on the other.
pub fn lacks(pair: &Pair) -> Option<Side> {
    match (pair.ids.a, pair.ids.b) {
        (Some(_), None) => Some(Side::B),
        (None, Some(_)) => Some(Side::A),
        _ => None,
    }
}

/// Both sides changed the same fields: what the other side said then counts as agreed, so that only `side` changed.
fn values_of(pair: &Pair, side: Side, seen: &Sides<Content>, rules: &Rules) -> Decided {
    let other = side.other();
    let mut base = pair.base.clone().unwrap_or_else(|| seen.clone());
    let mut lost = Vec::new();
    for field in Field::all(rules) {
        let values = Sides::from_fn(|side| field.of(side, &seen[side], rules));
        let changed = Sides::from_fn(|side| match &pair.base {
            Some(base) => field.of(side, &base[side], rules).differs(&values[side]),
            None => values[side].is_told() && values.a != values.b,
        });
        match (changed[side], changed[other]) {
            (true, true) => {
                field.copy(other, &seen[other], &mut base[other], rules);
                lost.push(Lost {
                    field,
                    side: other,
                    value: values[other].to_string(),
                });
            }
            (true, false) | (false, true) => {}
            (false, false) => continue,
        }
        if pair.base.is_none() {
            // Nothing was agreed yet. The side that is taken, or that alone says anything, has to differ from something.
            let from = if changed[side] { side } else { other };
            field.set(from, &mut base[from], rules, values[from.other()].clone());
        }
    }
    let mut next = pair.clone();
    next.base = Some(base);
    next.decided = Unmet::default();
    next.wait = None;
    Decided {
        pair: next,
        lost,
        gone: None,
        what: format!("where both sides changed the same, side {side} counts"),
    }
}

/// The worklog on `gone` was deleted, or stands on an issue without a twin, and the other side said `seen`.
fn gone(pair: &Pair, gone: Side, side: Side, seen: &Content, rules: &Rules) -> Decided {
    let there = gone.other();
    let mut next = pair.clone();
    next.decided = Unmet::default();
    next.wait = None;
    let moved = pair.wait.as_ref().is_some_and(|wait| wait.moved);
    let what = if side == there && moved {
        // Made again, it would stand on that side twice.
        next.state = PairState::Kept;
        format!("side {there} counts: it stays there, and on side {gone} where it was moved to")
    } else if side == there {
        next.ids[gone] = None;
        next.seen[gone] = None;
        next.strays[gone] = None;
        next.released = false;
        format!("side {there} counts: it is made again on side {gone}")
    } else {
        let mut base = pair
            .base
            .clone()
            .unwrap_or_else(|| Sides::new(seen.clone(), seen.clone()));
        for field in Field::all(rules) {
            field.copy(there, seen, &mut base[there], rules);
        }
        next.base = Some(base);
        next.released = true;
        format!("side {gone} counts: it is deleted on side {there} too")
    };
    Decided {
        pair: next,
        lost: Vec::new(),
        gone: None,
        what,
    }
}
