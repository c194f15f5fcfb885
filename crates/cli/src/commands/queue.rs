//! `queue`: what waits, and why.

use std::collections::BTreeMap;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tandem_core::{AccountId, Side};
use tandem_engine::operator::{ItemState, QueueItem};

use crate::args::Global;
use crate::by_name::{ByName, People};
use crate::ending::{Ending, Failure};
use crate::select::Only;
use crate::{open, output, words};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem queue --issue SUP-1 --data ./data
  tandem queue --person 5f0a-on-acme --data ./data
  tandem queue --names --data ./data                               whose time waits
  tandem queue --json --data ./data | jq -r '.[].id'

Exit code 3 when something is parked or missing.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    only: Only,
    /// What is ignored as well
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    by_name: ByName,
}

/// People of an item who are named in a line.
const NAMED_MAX: usize = 3;

/// An item for programs.
#[derive(Serialize)]
struct Item<'i> {
    #[serde(flatten)]
    item: &'i QueueItem,
    /// What its people are called, by account.
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<BTreeMap<AccountId, String>>,
}

/// Whose time an item is, by the side that they were seen on.
fn seen(item: &QueueItem) -> impl Iterator<Item = (Side, &AccountId)> {
    let on = |side: Side| item.seen[side].iter().map(move |account| (side, account));
    Side::BOTH.into_iter().flat_map(on)
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let opened = open::open(global).await?;
    open::remark_on_memory(global);
    let engine = opened.engine();
    let mut items = if arguments.all {
        engine.whole_queue().await?
    } else {
        engine.queue().await?
    };
    items = arguments.only.pick(engine, items).await?;
    if items.is_empty() {
        arguments.only.has_link(engine).await?;
        arguments.only.is_known(engine).await?;
    }
    let mut asked = arguments.by_name.seen(engine);
    for item in &items {
        if let Some(connection) = &item.connection {
            seen(item).for_each(|(side, account)| asked.add(connection, side, account));
        }
    }
    let people = asked.ask().await;
    if global.json {
        let item = |item| Item {
            names: names(item, &people),
            item,
        };
        output::json(&items.iter().map(item).collect::<Vec<_>>())?;
    } else if items.is_empty() {
        output::say("nothing waits");
    } else {
        output::data(shown(&items, engine.clock.now(), &people))?;
        advise(&items);
    }
    Ok(Ending::differs_if(items.iter().any(|item| {
        matches!(item.state, ItemState::Parked | ItemState::Missing) && !item.ignored
    })))
}

/// Lays the queue out for people: in columns, or where the terminal is too narrow for ids to stay whole, item by item.
fn shown(items: &[QueueItem], now: Timestamp, people: &People) -> String {
    let columns = output::columns();
    let wide = in_columns(items, now, people);
    if output::fits(&wide, columns) {
        return wide;
    }
    one_by_one(items, now, people)
}

/// What an item's people are called; `None` where nobody was asked for.
fn names(item: &QueueItem, people: &People) -> Option<BTreeMap<AccountId, String>> {
    match &item.connection {
        Some(connection) => people.names(connection, seen(item)),
        None => people.are_asked().then(BTreeMap::new),
    }
}

/// `Ann Archer (5f0a-on-acme), Bob Baker (60c1-on-globex)`
fn whose(item: &QueueItem, people: &People) -> Option<String> {
    let names = names(item, people)?;
    let person = |account: &AccountId| match names.get(account) {
        Some(name) => format!("{name} ({account})"),
        None => account.to_string(),
    };
    let mut named: Vec<String> = item.people.iter().take(NAMED_MAX).map(person).collect();
    if item.people.len() > NAMED_MAX {
        named.push(format!("{} more", item.people.len() - NAMED_MAX));
    }
    Some(named.join(", "))
}

fn one_by_one(items: &[QueueItem], now: Timestamp, people: &People) -> String {
    let texts = items.iter().map(|item| {
        let issues: Vec<&str> = [&item.a_issue, &item.b_issue]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let first = [
            Some(state(item).to_owned()),
            item.reason.map(|reason| reason.to_string()),
            Some(issues.join(" ~ ")),
            item.worklog.map(|id| id.to_string()),
        ];
        let mut since = format!("since {}, tried {}", words::ago(item.since, now), item.attempts);
        if let Some(at) = item.next_attempt {
            since.push_str(&format!(", next {}", words::ahead(at, now)));
        }
        let first: Vec<String> = first.into_iter().flatten().collect();
        let lines = [
            Some(first.join("  ")),
            Some(since),
            whose(item, people).filter(|whose| !whose.is_empty()),
            item.detail.clone(),
            Some(item.id.to_string()),
        ];
        let lines: Vec<String> = lines.iter().flatten().map(|line| output::plain(line)).collect();
        lines.join("\n    ")
    });
    texts.collect::<Vec<_>>().join("\n\n")
}

fn state(item: &QueueItem) -> &'static str {
    match item.ignored {
        true => "ignored",
        false => item.state.as_str(),
    }
}

fn in_columns(items: &[QueueItem], now: Timestamp, people: &People) -> String {
    let rows = items.iter().map(|item| {
        let cells = vec![
            state(item).to_owned(),
            item.reason.map(|reason| reason.to_string()).unwrap_or_default(),
            item.a_issue.clone().unwrap_or_else(|| "-".to_owned()),
            item.b_issue.clone().unwrap_or_else(|| "-".to_owned()),
            item.worklog.map(|id| id.to_string()).unwrap_or_default(),
            words::ago(item.since, now),
            item.attempts.to_string(),
            item.next_attempt
                .map(|at| words::ahead(at, now))
                .unwrap_or_default(),
            output::short(item.detail.as_deref().unwrap_or_default(), 100),
            item.id.to_string(),
        ];
        cells.into_iter().chain(whose(item, people)).collect()
    });
    let mut header = vec![
        "STATE", "REASON", "A", "B", "WORKLOG", "SINCE", "TRIED", "NEXT", "DETAIL", "ID",
    ];
    header.extend(people.are_asked().then_some("PERSON"));
    output::unbroken(&header, rows.collect())
}

/// Says once for each reason what can be done about it.
fn advise(items: &[QueueItem]) {
    let mut reasons: Vec<_> = items.iter().filter_map(|item| item.reason).collect();
    reasons.sort();
    reasons.dedup();
    for reason in reasons {
        output::say(format!("{reason}: {}", reason.advice()));
    }
}
