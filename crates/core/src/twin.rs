//! Recognising a worklog as somebody's twin.

use jiff::SignedDuration;

use crate::ids::WorklogId;
use crate::pair::Intent;
use crate::rules::Rules;
use crate::worklog::{Content, Worklog, told_differently};

/// What was found of an interrupted create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// Nothing (yet).
    None,
    /// This worklog.
    One(WorklogId),
    /// More than one that it might be.
    Several(Vec<WorklogId>),
}

/// How far the site's clock may be behind ours.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// Looks for the worklog that an interrupted create made, among worklogs that belong to nobody.
///
/// One that says exactly what was written comes first. Otherwise one that the same author has had since the
/// attempt and that was edited afterwards may be it: if it still resembles what was written.
pub fn made_by(intent: &Intent, free: &[&Worklog], rules: &Rules) -> Made {
    let _ = rules;
    let exact: Vec<_> = free
        .iter()
        .filter(|worklog| same_work(&intent.body, &worklog.content))
        .collect();
    let since = |worklog: &&&Worklog| {
        worklog.content.author == intent.body.author
            && worklog.created_at >= intent.at - SKEW
            && worklog.created_at <= intent.until + SKEW
    };
    let mut found = exact;
    if found.is_empty() {
        let edited = |worklog: &&&Worklog| {
            worklog.updated_at > worklog.created_at && resembles(&intent.body, &worklog.content)
        };
        found = free.iter().filter(since).filter(edited).collect();
    }
    match found.as_slice() {
        [] => Made::None,
        [one] => Made::One(one.id),
        several => Made::Several(several.iter().map(|worklog| worklog.id).collect()),
    }
}

/// Says whether two worklogs of the same site tell of the same work: author, day, time of day, time worked, text.
pub fn same_work(left: &Content, right: &Content) -> bool {
    left.author == right.author
        && left.start_date == right.start_date
        && !told_differently(&left.start_time, &right.start_time)
        && left.time_spent_secs == right.time_spent_secs
        && left.description.trim() == right.description.trim()
}

/// Says whether a worklog may be an edited version of another: at least two of day, time of day, time worked
/// and text are still the same.
fn resembles(written: &Content, found: &Content) -> bool {
    let same = [
        written.start_date == found.start_date,
        written.start_time == found.start_time,
        written.time_spent_secs == found.time_spent_secs,
        written.description == found.description && !written.description.is_empty(),
    ];
    same.into_iter().filter(|same| *same).count() >= 2
}
