//! `verify`: the ledger check.

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
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    if let (Some(from), Some(to)) = (arguments.from, arguments.to)
        && from > to
    {
        return Err(Failure::usage(format!("--from {from} is after --to {to}")));
    }
    let opened = open::open(global).await?;
    let engine = opened.engine();
    let connections = select::connections(engine, arguments.connection.as_deref())?;
    let verdict = engine.verify(&connections, arguments.from, arguments.to).await?;
    if global.json {
        output::json(&verdict)?;
    } else {
        let mut links = Vec::new();
        for connection in &connections {
            links.extend(resolve::links(engine, connection).await?);
        }
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
