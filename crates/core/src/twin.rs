//! Recognising a worklog as somebody's twin.

use jiff::SignedDuration;

use crate::ids::WorklogId;
use crate::pair::Intent;
use crate::worklog::{Content, Worklog, same_text, told_differently};

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
/// One that says exactly what was written comes first. Otherwise one that the same author has had since the attempt may be
/// it: best one that says the same but for the time of day, of a `timeless` site, which shows its own whatever it is sent;
/// then one to which the site gave words of its own, where it was sent none; last one that was edited afterwards and still
/// resembles what was written. Those of the last two kinds that are `anothers`, word for word, are not looked at.
pub fn made_by(
    intent: &Intent,
    free: &[&Worklog],
    timeless: bool,
    anothers: impl Fn(&Worklog) -> bool,
) -> Made {
    let sent = &intent.body;
    let likeness = |worklog: &Worklog| {
        let found = &worklog.content;
        if same_work(sent, found) {
            return Some(0);
        }
        if !is_since(intent, worklog) {
            return None;
        }
        if same_but_time(sent, found, timeless) {
            return Some(1);
        }
        let (likeness, may_be) = match is_untouched(worklog) {
            true => (2, may_have_become(sent, worklog, timeless)),
            false => (3, resembles(sent, found)),
        };
        (may_be && !anothers(worklog)).then_some(likeness)
    };
    let mut found: Vec<(u8, WorklogId)> = free
        .iter()
        .filter_map(|worklog| Some((likeness(worklog)?, worklog.id)))
        .collect();
    let best = found.iter().map(|(likeness, _)| *likeness).min();
    found.retain(|(likeness, _)| Some(*likeness) == best);
    match found.as_slice() {
        [] => Made::None,
        [(_, one)] => Made::One(*one),
        several => Made::Several(several.iter().map(|(_, id)| *id).collect()),
    }
}

/// Says whether a worklog is the author's, and came to be while an attempt to make it was under way.
pub fn is_since(intent: &Intent, worklog: &Worklog) -> bool {
    worklog.content.author == intent.body.author
        && worklog.created_at >= intent.at - SKEW
        && worklog.created_at <= intent.until + SKEW
}

/// Says whether nobody has edited a worklog since it was made. A site may stamp the two a moment apart.
pub(crate) fn is_untouched(worklog: &Worklog) -> bool {
    worklog.updated_at.as_second() == worklog.created_at.as_second()
}

/// Says whether a worklog may be what a site made of what it was sent: it says the same, or nobody edited it and it has words
/// of the site's own where none were sent. Whether it was made at that time is another matter.
pub fn may_have_become(sent: &Content, worklog: &Worklog, timeless: bool) -> bool {
    let found = &worklog.content;
    let filled_in = Content {
        description: found.description.clone(),
        ..sent.clone()
    };
    same_but_time(sent, found, timeless)
        || is_untouched(worklog)
            && sent.description.trim().is_empty()
            && same_but_time(&filled_in, found, timeless)
}

/// Says whether two worklogs of a site tell of the same work; of one that is `timeless`, whatever their times of day.
pub fn same_but_time(left: &Content, right: &Content, timeless: bool) -> bool {
    let ignored = Content {
        start_time: None,
        ..left.clone()
    };
    same_work(if timeless { &ignored } else { left }, right)
}

/// Says whether two worklogs of the same site tell of the same work: author, day, time of day, time worked, text.
pub fn same_work(left: &Content, right: &Content) -> bool {
    left.author == right.author
        && left.start_date == right.start_date
        && !told_differently(&left.start_time, &right.start_time)
        && left.time_spent_secs == right.time_spent_secs
        && same_text(&left.description, &right.description)
}

/// Says whether a worklog may be an edited version of another: at least two of day, time of day, time worked
/// and text are still the same.
fn resembles(written: &Content, found: &Content) -> bool {
    let same = [
        written.start_date == found.start_date,
        written.start_time == found.start_time,
        written.time_spent_secs == found.time_spent_secs,
        same_text(&written.description, &found.description) && !written.description.is_empty(),
    ];
    same.into_iter().filter(|same| *same).count() >= 2
}
