//! `verify`: the ledger check.

mod names;
mod report;

use std::io::{BufWriter, Write, stdout};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::civil::Date;
use tandem_core::{AccountId, ConnectionName, Side, Sides};
use tandem_engine::verify::{Books, Difference, Entry, Group, Totals, Unlinked};
use tandem_engine::{Connection, Engine};
use tandem_runtime::scratch::TempFiles;

use self::names::Names;
use crate::args::Global;
use crate::by_name::{ByName, People, Seen};
use crate::ending::{Ending, Failure};
use crate::{open, output, select, values, words};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem verify --data ./data
  tandem verify --from 2026-01-01 --to 2026-03-31 --data ./data
  tandem verify --by person,day --data ./data                      the sums of both sides, as tables
  tandem verify --report books.html --data ./data                  a dated report with a checksum, to keep
  tandem verify --by person --names --data ./data                  people by name, beside their account ids
  tandem verify --json --data ./data | jq '.differences[]'

Exit code 0: equal; 3: not equal, and each difference is listed with the likely reason.")]
pub(crate) struct Arguments {
    /// From this day on (default: the day from which each connection is kept the same)
    #[arg(long, value_name = "DATE", value_parser = values::day)]
    from: Option<Date>,
    /// Up to this day, included
    #[arg(long, value_name = "DATE", value_parser = values::day)]
    to: Option<Date>,
    /// Only this connection
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Show the sums of both sides too, by these; several with commas
    #[arg(long, value_name = "WHAT", value_delimiter = ',', conflicts_with_all = ["json", "csv"])]
    by: Vec<By>,
    /// Write all sums and differences as CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Write a dated report with a checksum to keep: FILE.html or FILE.csv
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    by_name: ByName,
}

/// What sums are by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    Issue,
    Person,
    Day,
    Account,
}

impl By {
    fn as_str(self) -> &'static str {
        match self {
            By::Issue => "issue",
            By::Person => "person",
            By::Day => "day",
            By::Account => "account",
        }
    }
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    if let (Some(from), Some(to)) = (arguments.from, arguments.to)
        && from > to
    {
        return Err(Failure::usage(format!("--from {from} is after --to {to}")));
    }
    let format = arguments.report.as_deref().map(report::format).transpose()?;
    let opened = open::open(global).await?;
    open::remark_on_memory(global);
    let engine = opened.engine();
    let connections = select::connections(engine, arguments.connection.as_deref())?;
    let days = days(engine, &connections, arguments).await?;
    // Before both sites are listed, which may take long: where it cannot be kept, nothing need be read.
    let report = match (&arguments.report, format) {
        (Some(file), Some(format)) => Some(report::Report::begin(file, format)?),
        _ => None,
    };
    let scratch = TempFiles::of_the_system();
    let compared = engine.books(&connections, arguments.from, arguments.to, &scratch);
    let books = open::telling(engine, compared).await?;
    let seen = people(engine, arguments, global.json, &books)?;
    let people = open::telling(engine, seen.ask()).await;
    if let Some(report) = report {
        let sides = sides(&connections);
        let file = report.write(engine, (&books, &people), &days, &sides).await?;
        output::say(format!("the report is in {}", file.display()));
    }
    if global.json {
        output::json(&books.naming(|connection, seen| {
            let seen = seen.iter().map(|(side, account)| (*side, account));
            people.names(&ConnectionName::new(connection), seen)
        }))?;
    } else {
        let mut out = BufWriter::new(stdout());
        let written = match arguments.csv {
            true => report::csv(engine, &books, &people, &mut out).await.map(drop),
            false => show(engine, &books, &people, &arguments.by, &mut out).await,
        };
        output::written(written.and_then(|()| Ok(out.flush()?)))?;
        output::say(&days);
    }
    if let Some(nothing) = nothing_compared(&books) {
        output::say(format!(
            "{nothing}: no issues are linked; `tandem link` shows how they come to be"
        ));
    }
    if let Some(note) = left_out(books.unlinked()) {
        output::say(note);
    }
    for note in unseen(&books) {
        output::say(note);
    }
    Ok(Ending::differs_if(!books.equal()))
}

/// Collects the people whom the output shows: those of differences, and those of sums where these are shown.
fn people<'e>(
    engine: &'e Engine,
    arguments: &Arguments,
    json: bool,
    books: &Books,
) -> Result<Seen<'e>, Failure> {
    let mut seen = arguments.by_name.seen(engine);
    // They are read once more for that.
    if !arguments.by_name.is_asked() {
        return Ok(seen);
    }
    let mut add = |connection: &str, people: Vec<(Side, AccountId)>| {
        let connection = ConnectionName::new(connection);
        for (side, account) in people {
            seen.add(&connection, side, &account);
        }
    };
    for difference in books.differences() {
        let difference = difference?;
        add(&difference.connection, difference.people());
    }
    let rows = json || arguments.csv || arguments.report.is_some();
    if rows || arguments.by.contains(&By::Person) {
        for group in books.groups() {
            let group = group?;
            add(&group.connection, group.people());
        }
    }
    Ok(seen)
}

/// What the person of a sum is called.
fn name_of<'p>(group: &Group, people: &'p People) -> Option<&'p str> {
    let connection = ConnectionName::new(group.connection.as_str());
    let mut seen = group.people().into_iter();
    seen.find_map(|(side, account)| people.name(&connection, side, &account))
}

/// Says where nothing was compared: which connections, unless it is all of them.
fn nothing_compared(books: &Books) -> Option<String> {
    let names: Vec<&str> = books.uncompared().iter().map(ConnectionName::as_str).collect();
    match (names.as_slice(), books.compared()) {
        ([], _) => None,
        (_, false) => Some("nothing was compared".to_owned()),
        (names, true) => Some(format!("nothing was compared in {}", names.join(", "))),
    }
}

/// Says what was not compared, and what finds the twins of its issues.
fn left_out(unlinked: &Unlinked) -> Option<String> {
    let count = |number: u64, what| words::count(usize::try_from(number).unwrap_or(usize::MAX), what);
    let (worklogs, issues) = (unlinked.worklogs, unlinked.issues);
    if worklogs == 0 {
        return None;
    }
    let mut note = format!(
        "note: {} on {} linked with none {} not compared",
        count(worklogs, "worklog"),
        count(issues, "issue"),
        if worklogs == 1 { "was" } else { "were" },
    );
    if unlinked.never_looked_for > 0 {
        let whose = match unlinked.never_looked_for == issues {
            true => "nobody has looked for their twins yet".to_owned(),
            false => format!(
                "for {} of these issues nobody has looked for a twin yet",
                unlinked.never_looked_for
            ),
        };
        note.push_str(&format!(
            "; {whose}: `tandem link discover` shows which would be found, `tandem reconcile --pass audit` finds them"
        ));
    }
    Some(note)
}

/// Says what may be there and was not shown, on either side.
fn unseen(books: &Books) -> Vec<String> {
    let mut notes = Vec::new();
    for site in books.blind() {
        notes.push(format!(
            "warning: the service user of {site} lacks permissions: what it does not see was not compared; `tandem doctor` says which"
        ));
    }
    if books.unshown() > 0 {
        notes.push(format!(
            "note: {} of these days that Tandem knows {} shown by neither site: deleted on both, or out of sight on both; `tandem queue` tells of {} after the next pass",
            words::count(usize::try_from(books.unshown()).unwrap_or(usize::MAX), "pair"),
            if books.unshown() == 1 { "is" } else { "are" },
            if books.unshown() == 1 { "it" } else { "them" },
        ));
    }
    notes
}

/// Says which site is which side, a line for each connection.
fn sides(connections: &[&Connection]) -> Vec<String> {
    let of = |connection: &&Connection| {
        let Sides { a, b } = &connection.sites;
        format!("{}: a is {a}, b is {b}.", connection.name)
    };
    connections.iter().map(of).collect()
}

/// Says of which days the books are. Refuses a range in which nothing can be.
async fn days(
    engine: &Engine,
    connections: &[&Connection],
    arguments: &Arguments,
) -> Result<String, Failure> {
    let mut begins = Vec::new();
    for connection in connections {
        let from = match arguments.from {
            Some(from) => from,
            None => engine.since_so_far(connection).await?,
        };
        if let Some(to) = arguments.to.filter(|to| *to < from) {
            return Err(Failure::usage(format!(
                "--to {to} is before {from}, the first day that {} keeps the same; --from says from when on to compare",
                connection.name
            )));
        }
        begins.push((connection.name.as_str(), from));
    }
    let to = arguments
        .to
        .map_or_else(|| "no end".to_owned(), |to| to.to_string());
    let mut firsts: Vec<String> = begins.iter().map(|(_, from)| from.to_string()).collect();
    firsts.dedup();
    let from = match firsts.as_slice() {
        [one] => one.clone(),
        _ => begins
            .iter()
            .map(|(name, from)| format!("{from} ({name})"))
            .collect::<Vec<_>>()
            .join(", "),
    };
    Ok(format!("Days from {from} to {to}."))
}

/// Shows both sides' totals, and where they differ.
async fn show(
    engine: &Engine,
    books: &Books,
    people: &People,
    by: &[By],
    out: &mut impl Write,
) -> Result<(), Failure> {
    let totals = |name: &str, totals: &Totals| {
        vec![
            name.to_owned(),
            totals.worklogs.to_string(),
            words::hours(totals.seconds),
            words::hours(totals.billable),
        ]
    };
    let table = output::table(
        &["SIDE", "WORKLOGS", "WORKED", "BILLABLE"],
        vec![totals("a", &books.totals().a), totals("b", &books.totals().b)],
    );
    writeln!(out, "{table}")?;
    for by in by {
        sums(engine, books, people, *by, out).await?;
    }
    if books.equal() {
        return Ok(writeln!(out, "equal")?);
    }
    if let Some(nothing) = nothing_compared(books).filter(|_| books.n_differences() == 0) {
        return Ok(writeln!(out, "{nothing}")?);
    }
    let mut all = books.differences();
    loop {
        let some = all.by_ref().take(names::AT_ONCE).collect::<Result<Vec<_>, _>>()?;
        if some.is_empty() {
            break;
        }
        let names = Names::of_differences(engine, &some).await?;
        for difference in &some {
            writeln!(out, "\n{}", one(engine, difference, &names, people))?;
        }
    }
    let count = usize::try_from(books.n_differences()).unwrap_or(usize::MAX);
    Ok(writeln!(
        out,
        "\nnot equal: {}",
        words::count(count, "difference")
    )?)
}

/// Shows what both sides add up to, by one thing: some rows at a time, so that any number fits into little memory.
async fn sums(
    engine: &Engine,
    books: &Books,
    people: &People,
    by: By,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut groups = books
        .groups()
        .filter(|group| group.as_ref().map_or(true, |group| group.by == by.as_str()));
    let header = ["", "A", "WORKED", "BILLABLE", "B", "WORKED", "BILLABLE", ""];
    loop {
        let some = groups
            .by_ref()
            .take(names::AT_ONCE)
            .collect::<Result<Vec<_>, _>>()?;
        if some.is_empty() {
            return Ok(());
        }
        let names = Names::of_groups(engine, &some).await?;
        let rows = some.iter().map(|group| {
            let side = |totals: &Totals| {
                let (worked, billable) = (words::hours(totals.seconds), words::hours(totals.billable));
                [totals.worklogs.to_string(), worked, billable]
            };
            let differs = if group.a == group.b { "" } else { "differs" };
            let mut key = names.of_group(group);
            if let Some(name) = name_of(group, people) {
                key = format!("{name} ({key})");
            }
            let key = [key].into_iter();
            let cells = key.chain(side(&group.a)).chain(side(&group.b));
            cells.chain([differs.to_owned()]).collect()
        });
        let title = by.as_str().to_uppercase();
        let mut header = header;
        header[0] = &title;
        writeln!(out, "\n{}", output::table(&header, rows.collect()))?;
    }
}

fn one(engine: &Engine, difference: &Difference, names: &Names, people: &People) -> String {
    let fields = difference.fields.join(", ");
    let mut text = format!("{}: {}", difference.connection, difference.kind.as_str());
    if !fields.is_empty() {
        text.push_str(&format!(" in {fields}"));
    }
    if difference.unreadable.is_none() {
        text.push_str(&format!(" ({})", difference.likely_reason()));
    }
    if let Some(bad) = &difference.unreadable {
        let issue = bad
            .issue
            .map(|issue| names.of(&difference.connection, bad.side, issue));
        let worklog = bad.worklog.map(|id| format!(" {id}")).unwrap_or_default();
        text.push_str(&format!(
            "\n  {} {} {}{worklog}: {}",
            bad.side,
            site(engine, &difference.connection, bad.side),
            issue.as_deref().unwrap_or("an issue that is not told"),
            output::plain(&bad.what)
        ));
    }
    for (side, entry) in [(Side::A, &difference.a), (Side::B, &difference.b)] {
        if let Some(entry) = entry {
            let connection = ConnectionName::new(difference.connection.as_str());
            let said = people.content(&connection, side, &entry.content);
            let line = line(engine, &difference.connection, side, entry, names, &said);
            text.push_str(&format!("\n  {side} {line}"));
        }
    }
    text
}

fn line(engine: &Engine, connection: &str, side: Side, entry: &Entry, names: &Names, said: &str) -> String {
    let site = site(engine, connection, side);
    let issue = names.of(connection, side, entry.issue);
    output::plain(&format!("{site} {issue} {}: {said}", entry.worklog))
}

fn site(engine: &Engine, connection: &str, side: Side) -> String {
    engine
        .connection(&ConnectionName::new(connection))
        .map(|one| one.sites[side].to_string())
        .unwrap_or_default()
}
