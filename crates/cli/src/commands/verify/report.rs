//! The books as rows: for a spreadsheet, and as a report that can be kept.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use sha2::{Digest, Sha256};
use tandem_core::{ConnectionName, IssueId, LinkKey, Side};
use tandem_engine::ports::store::LinkRow;
use tandem_engine::verify::{Difference, Entry, Totals, Verdict};

use crate::ending::Failure;
use crate::{resolve, words};

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Html,
    Csv,
}

/// Tells a report's format from its file's name.
pub(super) fn format(file: &Path) -> Result<Format, Failure> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => Ok(Format::Html),
        Some("csv") => Ok(Format::Csv),
        _ => Err(Failure::usage(format!(
            "--report {}: the file's name says what is written, and ends in .html or .csv",
            file.display()
        ))),
    }
}

const HEADER: [&str; 13] = [
    "row",
    "connection",
    "key",
    "a_worklogs",
    "a_seconds",
    "a_billable_seconds",
    "b_worklogs",
    "b_seconds",
    "b_billable_seconds",
    "a_worklog",
    "b_worklog",
    "difference",
    "reason",
];

/// Totals, then sums by issue, person, day and account, then differences.
pub(super) struct Rows(Vec<[String; 13]>);

impl Rows {
    pub(super) fn of(verdict: &Verdict, links: &[LinkRow]) -> Self {
        let mut rows = vec![sums("total", "", "", &verdict.totals.a, &verdict.totals.b)];
        for group in &verdict.groups {
            let key = match group.by {
                "issue" => issues(&group.connection, &group.key, links),
                _ => group.key.clone(),
            };
            rows.push(sums(group.by, &group.connection, &key, &group.a, &group.b));
        }
        rows.extend(verdict.differences.iter().map(|one| difference(one, links)));
        Self(rows)
    }

    /// The rows as CSV, with their header.
    pub(super) fn csv(&self) -> String {
        let lines = std::iter::once(HEADER.map(str::to_owned)).chain(self.0.iter().cloned());
        lines
            .map(|row| format!("{}\n", row.map(|cell| cell_csv(&cell)).join(",")))
            .collect()
    }

    /// SHA-256 over the rows as CSV, header included.
    fn checksum(&self) -> String {
        hex::encode(Sha256::digest(self.csv().as_bytes()))
    }
}

fn sums(row: &str, connection: &str, key: &str, a: &Totals, b: &Totals) -> [String; 13] {
    let differs = if a == b { "" } else { "yes" };
    [
        row.to_owned(),
        connection.to_owned(),
        key.to_owned(),
        a.worklogs.to_string(),
        a.seconds.to_string(),
        a.billable.to_string(),
        b.worklogs.to_string(),
        b.seconds.to_string(),
        b.billable.to_string(),
        String::new(),
        String::new(),
        differs.to_owned(),
        String::new(),
    ]
}

fn difference(one: &Difference, links: &[LinkRow]) -> [String; 13] {
    let of = |entry: &Option<Entry>, value: fn(&Entry) -> u64| {
        entry
            .as_ref()
            .map(|entry| value(entry).to_string())
            .unwrap_or_default()
    };
    let (side, entry) = match (&one.a, &one.b) {
        (Some(entry), _) => (Side::A, Some(entry)),
        (None, entry) => (Side::B, entry.as_ref()),
    };
    let key = entry
        .map(|entry| name(&one.connection, links, side, entry.issue))
        .unwrap_or_default();
    let what = match one.fields.is_empty() {
        true => one.kind.to_owned(),
        false => format!("{}: {}", one.kind, one.fields.join(" ")),
    };
    let count = |entry: &Option<Entry>| u64::from(entry.is_some()).to_string();
    let secs: fn(&Entry) -> u64 = |entry| entry.content.time_spent_secs;
    let billable: fn(&Entry) -> u64 = |entry| entry.content.billable_secs.unwrap_or(0);
    let id: fn(&Entry) -> u64 = |entry| entry.worklog.0;
    [
        "difference".to_owned(),
        one.connection.clone(),
        key,
        count(&one.a),
        of(&one.a, secs),
        of(&one.a, billable),
        count(&one.b),
        of(&one.b, secs),
        of(&one.b, billable),
        of(&one.a, id),
        of(&one.b, id),
        what,
        likely_reason(one),
    ]
}

/// Why, as far as can be told: what waits says so itself.
fn likely_reason(one: &Difference) -> String {
    match one.reason {
        Some(reason) => format!("{reason}: {}", reason.advice()),
        None if one.kind == "differs" => "changed since the last sweep".to_owned(),
        None => {
            "not carried over yet, or dated before the connection began (see `tandem backfill`)".to_owned()
        }
    }
}

fn name(connection: &str, links: &[LinkRow], side: Side, issue: IssueId) -> String {
    // Any link of the issue will do for its name.
    let link = LinkKey {
        connection: ConnectionName::new(connection),
        a: issue,
        b: issue,
    };
    resolve::issue_name(links, &link, side, issue)
}

fn issues(connection: &str, key: &str, links: &[LinkRow]) -> String {
    let Some((a, b)) = key.split_once('~') else {
        return key.to_owned();
    };
    let named = |side: Side, id: &str| match id.parse() {
        Ok(issue) => name(connection, links, side, IssueId(issue)),
        Err(_) => id.to_owned(),
    };
    format!("{} ~ {}", named(Side::A, a), named(Side::B, b))
}

/// A cell of CSV. One that a spreadsheet would take for a formula is made a text.
fn cell_csv(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if formula {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    match cell.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    }
}

fn cell_html(cell: &str) -> String {
    cell.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Writes a report whole or not at all.
pub(super) fn write(
    file: &Path,
    format: Format,
    rows: &Rows,
    range: (Option<Date>, Option<Date>),
    equal: bool,
) -> Result<(), Failure> {
    let text = match format {
        Format::Csv => format!("{}# sha256 of the rows above: {}\n", rows.csv(), rows.checksum()),
        Format::Html => html(rows, range, equal),
    };
    let unfinished = file.with_extension("unfinished");
    std::fs::write(&unfinished, text)
        .and_then(|()| std::fs::rename(&unfinished, file))
        .map_err(|error| Failure::failed(format!("{} cannot be written: {error}", file.display())))
}

fn html(rows: &Rows, (from, to): (Option<Date>, Option<Date>), equal: bool) -> String {
    let day = |day: Option<Date>, none: &str| day.map_or_else(|| none.to_owned(), |day| day.to_string());
    let row = |cells: &[String; 13], tag: &str| {
        let cells: String = cells
            .iter()
            .map(|cell| format!("<{tag}>{}</{tag}>", cell_html(cell)))
            .collect();
        format!("<tr>{cells}</tr>\n")
    };
    let body: String = rows.0.iter().map(|cells| row(cells, "td")).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Ledger check</title>\n\
         <style>body{{font:14px sans-serif}}table{{border-collapse:collapse}}td,th{{border:1px solid #999;padding:2px 6px;text-align:left}}</style></head>\n\
         <body>\n<h1>Ledger check: {}</h1>\n<p>Made {}. Days from {} to {}.</p>\n<table>\n{}{body}</table>\n\
         <p>SHA-256 of these rows as CSV, header included: <code>{}</code></p>\n</body>\n</html>\n",
        if equal { "equal" } else { "not equal" },
        words::moment(Timestamp::now()),
        day(from, "the beginning of each connection"),
        day(to, "no end"),
        row(&HEADER.map(str::to_owned), "th"),
        rows.checksum(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_stays_one_cell_and_no_formula() {
        assert_eq!(cell_csv("plain"), "plain");
        assert_eq!(cell_csv("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(cell_csv("=1+1"), "'=1+1");
        assert_eq!(cell_html("<b>&"), "&lt;b&gt;&amp;");
    }
}
