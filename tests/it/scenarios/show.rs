//! The worlds as people read them.

use std::collections::BTreeMap;

use tandem_core::{Content, Reason};
use tandem_sim::Sim;

/// More changed lines of one kind than this are counted instead.
const LINES_MAX: usize = 6;
/// How many of them are shown then.
const SHOWN: usize = 2;

/// A worklog.
#[derive(Clone, PartialEq)]
pub(super) struct Row {
    pub(super) author: String,
    pub(super) start: String,
    pub(super) secs: u64,
    pub(super) billable_secs: u64,
    pub(super) attributes: Vec<String>,
    pub(super) text: String,
}

/// An issue's worklogs.
#[derive(Clone, PartialEq, Default)]
pub(super) struct Sheet {
    pub(super) key: String,
    pub(super) rows: BTreeMap<u64, Row>,
}

/// Every issue that has worklogs, by site and id.
pub(super) type Worlds = BTreeMap<(String, u64), Sheet>;

pub(super) fn worlds(sim: &Sim) -> Worlds {
    let mut worlds = Worlds::new();
    for name in sim.site_names() {
        let site = sim.site(&name);
        for worklog in site.worklogs() {
            let row = Row {
                author: worklog.author.clone(),
                start: format!("{} {}", worklog.start_date, clock(worklog.start_time)),
                secs: worklog.time_spent_secs as u64,
                billable_secs: worklog.billable_secs as u64,
                attributes: worklog
                    .attributes
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect(),
                text: worklog.description.clone().unwrap_or_default(),
            };
            let sheet = worlds.entry((name.clone(), worklog.issue)).or_default();
            sheet.rows.insert(worklog.id, row);
        }
    }
    for ((site, issue), sheet) in &mut worlds {
        sheet.key = sim.site(site).issue_key(*issue).unwrap_or_default();
    }
    worlds
}

/// The time of day, with seconds only where there are some.
pub(super) fn clock(time: jiff::civil::Time) -> String {
    let shape = if time.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    time.strftime(shape).to_string()
}

/// Everything there is.
pub(super) fn all(worlds: &Worlds) -> String {
    changes(&Worlds::new(), worlds)
}

/// What became of the worklogs of each issue.
pub(super) fn changes(old: &Worlds, new: &Worlds) -> String {
    let mut text = String::new();
    let none = Sheet::default();
    let places: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for place in places {
        let before = old.get(place).unwrap_or(&none);
        let after = new.get(place).unwrap_or(&none);
        if before == after {
            continue;
        }
        let key = if new.contains_key(place) {
            &after.key
        } else {
            &before.key
        };
        text.push_str(&format!("    {} {key}: {}", place.0, sum(after)));
        if !before.key.is_empty() && before.key != *key {
            text.push_str(&format!(" (was {})", before.key));
        }
        text.push('\n');
        text.push_str(&sheet_changes(before, after));
    }
    text
}

/// `2 worklogs, 3h, billable 2h`
pub(super) fn sum(sheet: &Sheet) -> String {
    let (count, total, billable) = totals(sheet);
    match count {
        0 => "no worklogs".to_owned(),
        1 => format!("1 worklog, {}, billable {}", hours(total), hours(billable)),
        _ => format!("{count} worklogs, {}, billable {}", hours(total), hours(billable)),
    }
}

/// How many worklogs, seconds and billable seconds.
pub(super) fn totals(sheet: &Sheet) -> (usize, u64, u64) {
    let secs = sheet.rows.values().map(|row| row.secs).sum();
    let billable = sheet.rows.values().map(|row| row.billable_secs).sum();
    (sheet.rows.len(), secs, billable)
}

fn sheet_changes(before: &Sheet, after: &Sheet) -> String {
    let mut lines: BTreeMap<char, Vec<Vec<String>>> = BTreeMap::new();
    for (id, row) in &before.rows {
        if !after.rows.contains_key(id) {
            lines.entry('-').or_default().push(cells('-', *id, row, ""));
        }
    }
    for (id, row) in &after.rows {
        match before.rows.get(id) {
            None => lines.entry('+').or_default().push(cells('+', *id, row, "")),
            Some(old) if old != row => {
                let was = was(old, row);
                lines.entry('~').or_default().push(cells('~', *id, row, &was));
            }
            Some(_) => {}
        }
    }
    let mut shown = Vec::new();
    let mut rest = String::new();
    for (mark, mut cells) in lines {
        if cells.len() > LINES_MAX {
            rest.push_str(&format!("      {mark} … and {} more\n", cells.len() - SHOWN));
            cells.truncate(SHOWN);
        }
        shown.extend(cells);
    }
    aligned(shown) + &rest
}

fn cells(mark: char, id: u64, row: &Row, was: &str) -> Vec<String> {
    let billable = match row.billable_secs {
        0 => "non-billable".to_owned(),
        secs => format!("billable {}", hours(secs)),
    };
    vec![
        format!("{mark} #{id}"),
        row.author.clone(),
        row.start.clone(),
        hours(row.secs),
        billable,
        row.attributes.join(" "),
        format!("\"{}\"", row.text),
        was.to_owned(),
    ]
}

/// What a worklog said before, where it differs.
fn was(old: &Row, new: &Row) -> String {
    let mut was = Vec::new();
    let mut note = |differs: bool, said: String| {
        if differs {
            was.push(said);
        }
    };
    note(old.author != new.author, old.author.clone());
    note(old.start != new.start, old.start.clone());
    note(old.secs != new.secs, hours(old.secs));
    note(
        old.billable_secs != new.billable_secs,
        format!("billable {}", hours(old.billable_secs)),
    );
    let attributes = match old.attributes.is_empty() {
        true => "no attributes".to_owned(),
        false => old.attributes.join(" "),
    };
    note(old.attributes != new.attributes, attributes);
    note(old.text != new.text, format!("\"{}\"", old.text));
    match was.is_empty() {
        true => String::new(),
        false => format!("(was {})", was.join(", ")),
    }
}

fn aligned(lines: Vec<Vec<String>>) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let mut shown = String::from("     ");
        for (cell, width) in line.iter().zip(&widths) {
            if *width > 0 {
                shown.push_str(&format!(" {cell:<width$} "));
            }
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    }
    text
}

/// `1h`, `1h 30m`, `45m`, `20s`
pub(super) fn hours(secs: u64) -> String {
    let parts = [(secs / 3600, "h"), (secs % 3600 / 60, "m"), (secs % 60, "s")];
    let told: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number}{unit}"))
        .collect();
    match told.is_empty() {
        true => "0h".to_owned(),
        false => told.join(" "),
    }
}

/// A worklog's content in one line.
pub(super) fn content(content: &Content) -> String {
    let start = match content.start_time {
        Some(time) => format!("{} {}", content.start_date, clock(time)),
        None => content.start_date.to_string(),
    };
    let billable = match content.billable_secs {
        Some(0) => " non-billable".to_owned(),
        Some(secs) if secs != content.time_spent_secs => format!(" (billable {})", hours(secs)),
        _ => String::new(),
    };
    let attributes: String = content
        .attributes
        .iter()
        .map(|(key, value)| format!(" {key}={value}"))
        .collect();
    format!(
        "{} {start} {}{billable}{attributes} \"{}\"",
        content.author,
        hours(content.time_spent_secs),
        content.description
    )
}

/// Something that waits, without its worklog's number, so that the like are counted together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting {
    /// A reason, or how it fares where there is none.
    pub(super) reason: Option<Reason>,
    pub(super) place: String,
    pub(super) detail: String,
}

pub(super) fn waiting(items: &[Waiting]) -> String {
    let mut counted: BTreeMap<&Waiting, usize> = BTreeMap::new();
    for item in items {
        *counted.entry(item).or_default() += 1;
    }
    let mut text = String::new();
    for (item, count) in counted {
        let times = if count > 1 {
            format!("{count} × ")
        } else {
            String::new()
        };
        let reason = item.reason.map_or("retry", Reason::as_str);
        text.push_str(&format!(
            "    waits: {times}{reason}, {}: {}\n",
            item.place, item.detail
        ));
    }
    text
}

/// Lines of which only the first are shown when there are many.
pub(super) fn some(lines: Vec<String>, most: usize) -> String {
    let count = lines.len();
    let shown = if count > most { SHOWN } else { count };
    let mut text: String = lines.iter().take(shown).map(|line| format!("{line}\n")).collect();
    if shown < count {
        text.push_str(&format!("    … and {} more\n", count - shown));
    }
    text
}
