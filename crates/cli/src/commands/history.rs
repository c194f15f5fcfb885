//! `history`: what was done.

use std::collections::BTreeSet;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tandem_core::{ConnectionName, Content, IssueId, PairId, Side, WorklogId};
use tandem_engine::Engine;
use tandem_engine::ports::store::{HistoryRow, LinkRow};

use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::resolve;
use crate::{open, output, words};

/// Lines that are searched for an issue whose link is gone.
const SEARCH_MAX: usize = 100_000;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem history SUP-1
  tandem history --worklog 500001
  tandem history --by-hand")]
pub(crate) struct Arguments {
    /// Only of this issue, by its key or id on either side
    #[arg(value_name = "KEY")]
    issue: Option<String>,
    /// Only so many of the newest lines
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Only about this worklog, and its twin
    #[arg(long, value_name = "ID")]
    worklog: Option<u64>,
    /// Only of this person's time, by account id on either site
    #[arg(long, value_name = "ACCOUNT")]
    person: Option<String>,
    /// Only what people did: retry, resolve, ignore, release, undelete
    #[arg(long)]
    by_hand: bool,
}

/// What people do, as the history calls it.
const BY_HAND: [&str; 5] = ["retry", "resolve", "ignore", "release", "undelete"];

impl Arguments {
    fn filters(&self) -> bool {
        self.worklog.is_some() || self.person.is_some() || self.by_hand
    }

    /// Keeps the lines that are asked for. A worklog's line brings along those of its pair: the twin has another id.
    /// What was only read has no line, but the pair is named by the worklog that it began with.
    fn pick(&self, rows: &mut Vec<HistoryRow>) {
        if let Some(id) = self.worklog {
            let pairs: BTreeSet<_> = rows
                .iter()
                .filter(|row| row.worklog == Some(WorklogId(id)) || begins_with(&row.pair, id))
                .map(|row| row.pair.clone())
                .collect();
            rows.retain(|row| pairs.contains(&row.pair));
        }
        if let Some(account) = &self.person {
            rows.retain(|row| {
                [&row.before, &row.after]
                    .into_iter()
                    .flatten()
                    .any(|content| content.author.as_str() == account)
            });
        }
        if self.by_hand {
            rows.retain(|row| BY_HAND.contains(&row.op.as_str()));
        }
    }
}

/// Says whether a pair is named by this worklog, such as `a500001-10000` by 500001.
fn begins_with(pair: &PairId, id: u64) -> bool {
    let name = pair.to_string();
    let first = name.split('-').next().unwrap_or_default();
    first.get(1..).is_some_and(|rest| rest == id.to_string())
}

/// A line as it is shown.
#[derive(Debug, Serialize)]
struct Line {
    id: String,
    time: Timestamp,
    connection: ConnectionName,
    op: String,
    side: Side,
    /// The key of the issue, or its id where the key is not known.
    issue: String,
    worklog: Option<WorklogId>,
    cause: String,
    before: Option<Content>,
    after: Option<Content>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lost: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let opened = open::open(global).await?;
    open::remark_on_memory(global);
    let engine = opened.engine();
    let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let mut links = Vec::new();
    for connection in &engine.connections {
        links.extend(resolve::links(engine, connection).await?);
    }
    // What is picked is picked from more than is shown.
    let read = if arguments.filters() { SEARCH_MAX } else { limit };
    let mut rows = match &arguments.issue {
        None => engine.store.history(&names(engine), None, read).await?,
        Some(name) => of_issue(engine, &links, name, read).await?,
    };
    arguments.pick(&mut rows);
    rows.drain(..rows.len().saturating_sub(limit));
    // A line that a crash wrote for what had to be remembered, not done.
    rows.retain(|row| row.op != "agree");
    if rows.len() >= limit {
        output::say(format!("the newest {limit} lines; --limit shows more"));
    }
    if global.json {
        let lines: Vec<Line> = rows.into_iter().map(|row| line(row, &links)).collect();
        output::json(&lines)?;
    } else if rows.is_empty() {
        output::say("nothing was done yet");
    } else {
        for row in rows {
            output::data(shown(&row, &links))?;
        }
    }
    Ok(Ending::Done)
}

fn names(engine: &Engine) -> Vec<ConnectionName> {
    engine
        .connections
        .iter()
        .map(|connection| connection.name.clone())
        .collect()
}

async fn of_issue(
    engine: &Engine,
    links: &[LinkRow],
    name: &str,
    limit: usize,
) -> Result<Vec<HistoryRow>, Failure> {
    let named: Vec<&LinkRow> = links
        .iter()
        .filter(|row| Side::BOTH.into_iter().any(|side| resolve::is(row, side, name)))
        .collect();
    let mut rows = Vec::new();
    for link in &named {
        rows.extend(engine.store.history(&[], Some(&link.key), limit).await?);
    }
    if named.is_empty() {
        // It may have got another key, or its link may be gone.
        let found = resolve::ask_sites(engine, name).await?;
        if found.is_empty() {
            return Err(Failure::usage(format!(
                "there is no issue `{}` on any site; `tandem link list` shows the linked ones",
                output::plain(name)
            )));
        }
        let all = engine.store.history(&names(engine), None, SEARCH_MAX).await?;
        rows.extend(all.into_iter().filter(|row| {
            let places: BTreeSet<_> = places(engine, row).into_iter().collect();
            !places.is_disjoint(&found)
        }));
    }
    rows.sort_by(|left, right| (left.time, &left.id).cmp(&(right.time, &right.id)));
    rows.drain(..rows.len().saturating_sub(limit));
    Ok(rows)
}

/// The two issues that a line is about, with their sites.
fn places(engine: &Engine, row: &HistoryRow) -> Vec<(tandem_core::SiteName, IssueId)> {
    let Some(connection) = engine.connection(&row.connection) else {
        return Vec::new();
    };
    Side::BOTH
        .into_iter()
        .map(|side| (connection.sites[side].clone(), row.link.issue(side)))
        .collect()
}

fn line(row: HistoryRow, links: &[LinkRow]) -> Line {
    Line {
        issue: resolve::issue_name(links, &row.link, row.side, row.issue),
        id: row.id,
        time: row.time,
        connection: row.connection,
        op: row.op,
        side: row.side,
        worklog: row.worklog,
        cause: row.cause,
        before: row.before,
        after: row.after,
        lost: row.lost,
        trace: row.trace,
    }
}

fn shown(row: &HistoryRow, links: &[LinkRow]) -> String {
    let issue = resolve::issue_name(links, &row.link, row.side, row.issue);
    let worklog = row.worklog.map(|id| format!(" {id}")).unwrap_or_default();
    let mut text = format!(
        "{}  {:<8} {} {issue}{worklog}: {}  [{}]",
        words::moment(row.time),
        row.op,
        row.side,
        row.cause,
        row.id
    );
    let mut add =
        |label: &str, content: &str| text.push_str(&format!("\n    {label} {}", output::plain(content)));
    if let Some(before) = &row.before {
        add("-", &words::content(before));
    }
    if let Some(after) = &row.after {
        add("+", &words::content(after));
    }
    for lost in &row.lost {
        add("lost:", lost);
    }
    text
}
