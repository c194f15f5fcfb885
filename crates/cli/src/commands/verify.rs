//! `verify`: the ledger check.

mod report;

use std::path::PathBuf;

use clap::Args;
use jiff::civil::Date;
use tandem_core::{LinkKey, Side};
use tandem_engine::Engine;
use tandem_engine::ports::store::LinkRow;
use tandem_engine::verify::{Difference, Entry, Totals, Verdict};

use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::{open, output, resolve, select, words};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// From this day on (default: the day from which each connection is kept the same)
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// Up to this day, included
    #[arg(long, value_name = "DATE")]
    to: Option<Date>,
    /// Only this connection
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Write all sums and differences as CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Write a dated report with a checksum to keep: FILE.html or FILE.csv
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    if let (Some(from), Some(to)) = (arguments.from, arguments.to)
        && from > to
    {
        return Err(Failure::usage(format!("--from {from} is after --to {to}")));
    }
    let format = arguments.report.as_deref().map(report::format).transpose()?;
    let opened = open::open(global).await?;
    let engine = opened.engine();
    let connections = select::connections(engine, arguments.connection.as_deref())?;
    let verdict = engine.verify(&connections, arguments.from, arguments.to).await?;
    let mut links = Vec::new();
    for connection in &connections {
        links.extend(resolve::links(engine, connection).await?);
    }
    if let (Some(file), Some(format)) = (&arguments.report, format) {
        let range = (arguments.from, arguments.to);
        report::write(
            file,
            format,
            &report::Rows::of(&verdict, &links),
            range,
            verdict.equal,
        )?;
        output::say(format!("the report is in {}", file.display()));
    }
    if global.json {
        output::json(&verdict)?;
    } else if arguments.csv {
        output::data(report::Rows::of(&verdict, &links).csv().trim_end())?;
    } else {
        output::data(shown(engine, &verdict, &links))?;
    }
    Ok(Ending::differs_if(!verdict.equal))
}

/// Shows both sides' totals, and where they differ.
pub(crate) fn shown(engine: &Engine, verdict: &Verdict, links: &[LinkRow]) -> String {
    let totals = |name: &str, totals: &Totals| {
        vec![
            name.to_owned(),
            totals.worklogs.to_string(),
            words::hours(totals.seconds),
            words::hours(totals.billable),
        ]
    };
    let mut text = output::table(
        &["SIDE", "WORKLOGS", "WORKED", "BILLABLE"],
        vec![totals("a", &verdict.totals.a), totals("b", &verdict.totals.b)],
    );
    if verdict.equal {
        text.push_str("\nequal");
        return text;
    }
    for difference in &verdict.differences {
        text.push_str(&format!("\n\n{}", one(engine, difference, links)));
    }
    text.push_str(&format!(
        "\n\nnot equal: {}",
        words::count(verdict.differences.len(), "difference")
    ));
    text
}

fn one(engine: &Engine, difference: &Difference, links: &[LinkRow]) -> String {
    let fields = difference.fields.join(", ");
    let reason = difference
        .reason
        .map(|reason| format!(" ({reason}: {})", reason.advice()))
        .unwrap_or_default();
    let mut text = format!("{}: {}", difference.connection, difference.kind);
    if !fields.is_empty() {
        text.push_str(&format!(" in {fields}"));
    }
    text.push_str(&reason);
    for (side, entry) in [(Side::A, &difference.a), (Side::B, &difference.b)] {
        if let Some(entry) = entry {
            text.push_str(&format!(
                "\n  {side} {}",
                line(engine, &difference.connection, side, entry, links)
            ));
        }
    }
    text
}

fn line(engine: &Engine, connection: &str, side: Side, entry: &Entry, links: &[LinkRow]) -> String {
    let name = tandem_core::ConnectionName::new(connection);
    let site = engine
        .connection(&name)
        .map(|one| one.sites[side].to_string())
        .unwrap_or_default();
    // Any link of the issue will do for its name.
    let nowhere = LinkKey {
        connection: name,
        a: entry.issue,
        b: entry.issue,
    };
    let issue = resolve::issue_name(links, &nowhere, side, entry.issue);
    output::plain(&format!(
        "{site} {issue} {}: {}",
        entry.worklog,
        words::content(&entry.content)
    ))
}
