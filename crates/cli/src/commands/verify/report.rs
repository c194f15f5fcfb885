//! The books as rows: for a spreadsheet, and as a report that can be kept.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tandem_core::{AccountId, ConnectionName, Side};
use tandem_engine::Engine;
use tandem_engine::verify::{Books, Difference, Entry, Totals};

use super::names::{AT_ONCE, Names};
use crate::by_name::People;
use crate::ending::Failure;
use crate::words;

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

/// How many columns there are.
const COLUMNS: usize = 19;

/// A row's cells.
type Cells = [String; COLUMNS];

// New columns go to the end, where they are in nobody's way.
const HEADER: [&str; COLUMNS] = [
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
    "a_hours",
    "a_billable_hours",
    "b_hours",
    "b_billable_hours",
    "day",
    "person",
];

/// What the last column is called where people are asked for by name.
const NAME: &str = "person_name";

/// Writes the rows as CSV, with their header. Returns the SHA-256 of what was written, in hex.
pub(super) async fn csv(
    engine: &Engine,
    books: &Books,
    people: &People,
    out: &mut impl Write,
) -> Result<String, Failure> {
    rows(engine, books, people, |_, line| out.write_all(line.as_bytes())).await
}

/// Makes the header, totals, then sums by account, day, issue and person, then differences: each row as its cells and
/// as a line of CSV. Returns the SHA-256 of all the lines, in hex.
async fn rows(
    engine: &Engine,
    books: &Books,
    people: &People,
    mut put: impl FnMut(&[String], &str) -> std::io::Result<()>,
) -> Result<String, Failure> {
    let mut digest = Sha256::new();
    let mut row = |cells: Cells, name: &str| {
        let mut cells = cells.to_vec();
        cells.extend(people.are_asked().then(|| name.to_owned()));
        let line: Vec<String> = cells.iter().map(|cell| cell_csv(cell)).collect();
        let line = format!("{}\n", line.join(","));
        digest.update(line.as_bytes());
        put(&cells, &line)
    };
    row(HEADER.map(str::to_owned), NAME)?;
    let totals = books.totals();
    row(sums("total", "", "", &totals.a, &totals.b), "")?;
    let mut groups = books.groups();
    loop {
        let some = groups.by_ref().take(AT_ONCE).collect::<Result<Vec<_>, _>>()?;
        if some.is_empty() {
            break;
        }
        let names = Names::of_groups(engine, &some).await?;
        for group in &some {
            let of = names.of_group(group);
            let cells = sums(group.by, &group.connection, &of, &group.a, &group.b);
            row(cells, super::name_of(group, people).unwrap_or_default())?;
        }
    }
    let mut differences = books.differences();
    loop {
        let some = differences
            .by_ref()
            .take(AT_ONCE)
            .collect::<Result<Vec<_>, _>>()?;
        if some.is_empty() {
            break;
        }
        let names = Names::of_differences(engine, &some).await?;
        for one in &some {
            row(difference(one, &names), &names_of(one, people))?;
        }
    }
    Ok(hex::encode(digest.finalize()))
}

fn sums(row: &str, connection: &str, key: &str, a: &Totals, b: &Totals) -> Cells {
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
        hours(a.seconds),
        hours(a.billable),
        hours(b.seconds),
        hours(b.billable),
        String::new(),
        String::new(),
    ]
}

/// What the people of a difference are called: once where the sides agree, and by the account alone where only the other's
/// name is told.
fn names_of(one: &Difference, people: &People) -> String {
    let connection = ConnectionName::new(one.connection.as_str());
    let seen = one.people();
    let named = |one: &(Side, AccountId)| people.name(&connection, one.0, &one.1);
    if !seen.iter().any(|one| named(one).is_some()) {
        return String::new();
    }
    let named = |one| named(one).unwrap_or(one.1.as_str());
    let mut names: Vec<&str> = seen.iter().map(named).collect();
    names.dedup();
    names.join(" ~ ")
}

/// Hours as a spreadsheet counts with them.
fn hours(seconds: u64) -> String {
    format!("{:.2}", seconds as f64 / 3600.0)
}

fn difference(one: &Difference, names: &Names) -> Cells {
    let said = |entry: &Option<Entry>, value: &dyn Fn(&Entry) -> String| {
        entry.as_ref().map(value).unwrap_or_default()
    };
    let of = |entry: &Option<Entry>, value: fn(&Entry) -> u64| said(entry, &|entry| value(entry).to_string());
    let hours_of =
        |entry: &Option<Entry>, value: fn(&Entry) -> u64| said(entry, &|entry| hours(value(entry)));
    // Where the sides say the same, or one is not there, once.
    let either = |value: &dyn Fn(&Entry) -> String| {
        let mut both = vec![said(&one.a, value), said(&one.b, value)];
        both.retain(|text| !text.is_empty());
        both.dedup();
        both.join(" ~ ")
    };
    let place = match (&one.unreadable, &one.a, &one.b) {
        (Some(bad), ..) => bad.issue.map(|issue| (bad.side, issue)),
        (None, Some(entry), _) => Some((Side::A, entry.issue)),
        (None, None, entry) => entry.as_ref().map(|entry| (Side::B, entry.issue)),
    };
    let key = place
        .map(|(side, issue)| names.of(&one.connection, side, issue))
        .unwrap_or_default();
    let what = match one.fields.is_empty() {
        true => one.kind.as_str().to_owned(),
        false => format!("{}: {}", one.kind.as_str(), one.fields.join(" ")),
    };
    let count = |entry: &Option<Entry>| u64::from(entry.is_some()).to_string();
    let secs: fn(&Entry) -> u64 = |entry| entry.content.time_spent_secs;
    let billable: fn(&Entry) -> u64 = |entry| entry.content.billable_secs.unwrap_or(0);
    let id = |side: Side, entry: &Option<Entry>| {
        let bad = one.unreadable.as_ref().filter(|bad| bad.side == side);
        let id = bad
            .and_then(|bad| bad.worklog)
            .or(entry.as_ref().map(|entry| entry.worklog));
        id.map(|id| id.to_string()).unwrap_or_default()
    };
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
        id(Side::A, &one.a),
        id(Side::B, &one.b),
        what,
        one.likely_reason(),
        hours_of(&one.a, secs),
        hours_of(&one.a, billable),
        hours_of(&one.b, secs),
        hours_of(&one.b, billable),
        either(&|entry| entry.content.start_date.to_string()),
        either(&|entry| entry.content.author.to_string()),
    ]
}

/// A cell as a spreadsheet takes it for the text that it is: what would be a formula gets an apostrophe.
fn no_formula(cell: &str) -> Cow<'_, str> {
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{cell}").into(),
        false => cell.into(),
    }
}

fn cell_csv(cell: &str) -> String {
    let cell = no_formula(cell);
    match cell.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.into_owned(),
    }
}

/// A cell of HTML, which spreadsheets open as well.
fn cell_html(cell: &str) -> String {
    escaped(&no_formula(cell))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A report that is being made: written whole, or not at all.
pub(super) struct Report<'f> {
    file: &'f Path,
    format: Format,
    out: BufWriter<File>,
    unfinished: Unfinished,
}

/// Half a report is none: goes with whatever ends the making of it, Ctrl-C included.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Once it is finished it has another name.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl<'f> Report<'f> {
    /// Begins a report, and finds out whether it can be kept there.
    pub(super) fn begin(file: &'f Path, format: Format) -> Result<Self, Failure> {
        // By a name of its own: another report may be written beside it at the same time.
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = file.with_file_name(format!("{name}.{}.unfinished", std::process::id()));
        if file.is_dir() {
            return Err(unwritten(file, &"it is a directory"));
        }
        let out = File::create(&unfinished).map_err(|error| unwritten(file, &error))?;
        Ok(Self {
            file,
            format,
            out: BufWriter::new(out),
            unfinished: Unfinished(unfinished),
        })
    }

    /// Writes it; `days` says of which days the books are, and `sides` which site is which. Returns where it is.
    pub(super) async fn write(
        mut self,
        engine: &Engine,
        (books, people): (&Books, &People),
        days: &str,
        sides: &[String],
    ) -> Result<&'f Path, Failure> {
        let written = match self.format {
            Format::Csv => csv_report(engine, (books, people), days, sides, &mut self.out).await,
            Format::Html => html(engine, (books, people), days, sides, &mut self.out).await,
        };
        written
            .and_then(|()| Ok(self.out.flush()?))
            .and_then(|()| Ok(std::fs::rename(&self.unfinished.0, self.file)?))
            .map_err(|error| unwritten(self.file, &error))?;
        Ok(self.file)
    }
}

fn unwritten(file: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::failed(format!("{} cannot be written: {error}", file.display()))
}

async fn csv_report(
    engine: &Engine,
    (books, people): (&Books, &People),
    days: &str,
    sides: &[String],
    out: &mut impl Write,
) -> Result<(), Failure> {
    let checksum = csv(engine, books, people, out).await?;
    writeln!(out, "# sha256 of the rows above: {checksum}")?;
    writeln!(out, "# {}", when(days))?;
    for side in sides {
        writeln!(out, "# {side}")?;
    }
    Ok(())
}

/// When the report was made, and of which days it is.
fn when(days: &str) -> String {
    format!("Made {}. {days}", words::moment(Timestamp::now()))
}

async fn html(
    engine: &Engine,
    (books, people): (&Books, &People),
    days: &str,
    sides: &[String],
    out: &mut impl Write,
) -> Result<(), Failure> {
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Ledger check</title>\n\
         <style>body{{font:14px sans-serif}}table{{border-collapse:collapse}}td,th{{border:1px solid #999;padding:2px 6px;text-align:left}}</style></head>\n\
         <body>\n<h1>Ledger check: {}</h1>\n<p>{}{}</p>\n<table>",
        match super::nothing_compared(books) {
            Some(nothing) if !books.compared() || books.n_differences() == 0 => escaped(&nothing),
            _ if books.equal() => "equal".to_owned(),
            _ => "not equal".to_owned(),
        },
        escaped(&when(days)),
        sides
            .iter()
            .map(|side| format!("<br>{}", escaped(side)))
            .collect::<String>(),
    )?;
    let mut tag = "th";
    let checksum = rows(engine, books, people, |cells, _| {
        let row: String = cells
            .iter()
            .map(|cell| format!("<{tag}>{}</{tag}>", cell_html(cell)))
            .collect();
        // The first row is the header.
        tag = "td";
        writeln!(out, "<tr>{row}</tr>")
    })
    .await?;
    Ok(writeln!(
        out,
        "</table>\n<p>SHA-256 of these rows as CSV, header included: <code>{checksum}</code></p>\n</body>\n</html>"
    )?)
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
        assert_eq!(cell_html("@1+1"), "'@1+1");
    }
}
