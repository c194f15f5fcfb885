//! `history`: what was done.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tandem_core::{AccountId, ConnectionName, Content, IssueId, PairId, Side, Sides, WorklogId};
use tandem_engine::Engine;
use tandem_engine::ports::store::{HistoryRow, LinkRow};

use crate::args::Global;
use crate::by_name::{ByName, People};
use crate::ending::{Ending, Failure};
use crate::resolve;
use crate::select::{self, Only};
use crate::{open, output, words};

/// Lines that are searched at most, newest first.
pub(crate) const SEARCH_MAX: usize = 100_000;

/// How many times as many lines are read where those that were read are not enough.
const MORE: usize = 10;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem history SUP-1 --data ./data
  tandem history --worklog 500001 --data ./data
  tandem history --by-hand --data ./data

Each line tells what was done where and why, with the worklog as it was (-) and as it is now (+); below that what was seen
on both sides when it was decided, what both had last agreed on, and the policy, where one decided.")]
pub(crate) struct Arguments {
    /// The same as --issue
    #[arg(value_name = "KEY", value_parser = crate::values::some, conflicts_with = "issue")]
    key: Option<String>,
    #[command(flatten)]
    only: Only,
    /// Only so many of the newest lines
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Only what people did: retry, resolve, ignore, release, undelete, link, unlink, users, backfill, publish, rollback,
    /// connect, forget
    #[arg(long)]
    by_hand: bool,
    #[command(flatten)]
    by_name: ByName,
}

/// What people do, as the history calls it.
const BY_HAND: [&str; 13] = [
    "retry", "resolve", "ignore", "release", "undelete", "link", "unlink", "users", "backfill", "publish",
    "rollback", "connect", "forget",
];

/// Lines of the history, oldest first: of an issue, of a worklog and its twin, of a person's time. At most `limit` are
/// read where only an issue is asked for, and otherwise as many as are searched.
pub(crate) async fn lines(
    engine: &Engine,
    links: &[LinkRow],
    only: &Only,
    limit: usize,
) -> Result<Vec<HistoryRow>, Failure> {
    let picks = only.worklog.is_some() || only.person.is_some();
    // What is picked is picked from more than is shown.
    let read = if picks { SEARCH_MAX } else { limit };
    let connections = names(engine, only)?;
    let mut rows = match &only.issue {
        None => engine.store.history(&connections, None, read).await?,
        Some(name) => of_issue(engine, &connections, links, name, read).await?,
    };
    if rows.len() >= SEARCH_MAX && only.worklog.is_none() {
        output::say(format!(
            "only the newest {SEARCH_MAX} lines were searched; --issue searches those of one issue"
        ));
    }
    if let Some(id) = only.worklog {
        rows.extend(of_worklog(engine, links, only, WorklogId(id)).await?);
        let place = |row: &HistoryRow| (row.time, row.id.clone(), row.connection.clone());
        rows.sort_by_cached_key(place);
        rows.dedup_by_key(|row| place(row));
    }
    // A worklog's line brings along those of its pair: the twin has another id. What was only read has no line, but the
    // pair is named by the worklog that it began with.
    if let Some(id) = only.worklog {
        let about = |row: &HistoryRow| row.worklog == Some(WorklogId(id)) || begins_with(&row.pair, id);
        let pairs = pairs(&rows, about);
        rows.retain(|row| pairs.contains(&pair(row)));
    }
    // A person's line brings along those of its pair that say nobody's time: a retry, say.
    if let Some(account) = &only.person {
        let theirs = |row: &HistoryRow| row.contents().any(|content| content.author.as_str() == account);
        let pairs = pairs(&rows, theirs);
        rows.retain(|row| theirs(row) || row.contents().next().is_none() && pairs.contains(&pair(row)));
    }
    rows.retain(|row| connections.contains(&row.connection));
    Ok(rows)
}

/// Lines of the links on which a worklog's pair is and on which it began: those that a search of the newest may not reach.
async fn of_worklog(
    engine: &Engine,
    links: &[LinkRow],
    only: &Only,
    worklog: WorklogId,
) -> Result<Vec<HistoryRow>, Failure> {
    let mut reached = BTreeSet::new();
    for connection in &engine.connections {
        for side in Side::BOTH {
            let places = engine
                .store
                .whereabouts(&connection.name, &connection.sites[side], &[worklog])
                .await?;
            for place in places {
                let began = begun_on(&place.pair);
                let is_begun = |row: &&LinkRow| {
                    row.key.connection == place.link.connection
                        && began.is_some_and(|(side, issue)| row.key.issue(side) == issue)
                };
                reached.extend(links.iter().filter(is_begun).map(|row| row.key.clone()));
                reached.insert(place.link);
            }
        }
    }
    let mut rows = Vec::new();
    for link in reached {
        rows.extend(engine.store.history(&[], Some(&link), SEARCH_MAX).await?);
    }
    // An issue that was asked for besides leaves out what is of others.
    if let Some(name) = &only.issue {
        let of_issue: BTreeSet<_> = links
            .iter()
            .filter(|row| Side::BOTH.into_iter().any(|side| resolve::is(row, side, name)))
            .map(|row| &row.key)
            .collect();
        rows.retain(|row| row.link.as_ref().is_some_and(|link| of_issue.contains(link)));
    }
    Ok(rows)
}

/// The side and the issue that a pair is named by, such as A's 10000 for `a500001-10000`.
fn begun_on(pair: &PairId) -> Option<(Side, IssueId)> {
    let name = bare(pair);
    let (worklog, issue) = name.split_once('-')?;
    let side = match worklog.get(..1)? {
        "a" => Side::A,
        "b" => Side::B,
        _ => return None,
    };
    Some((side, IssueId(issue.parse().ok()?)))
}

fn pairs(rows: &[HistoryRow], is_meant: impl Fn(&HistoryRow) -> bool) -> BTreeSet<(ConnectionName, String)> {
    rows.iter().filter(|row| is_meant(row)).map(pair).collect()
}

/// The pair that a line is about. What brought a deleted worklog back is of the pair that had been.
fn pair(row: &HistoryRow) -> (ConnectionName, String) {
    (row.connection.clone(), bare(&row.pair))
}

fn bare(pair: &PairId) -> String {
    let name = pair.to_string();
    name.strip_prefix("undelete-").map(str::to_owned).unwrap_or(name)
}

/// Says whether a pair is named by this worklog, such as `a500001-10000` by 500001.
fn begins_with(pair: &PairId, id: u64) -> bool {
    let name = bare(pair);
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
    /// The side written to; `null` where a person did something to the whole connection. So is the issue.
    side: Option<Side>,
    /// The key of the issue, or its id where the key is not known.
    issue: Option<String>,
    worklog: Option<WorklogId>,
    cause: String,
    before: Option<Content>,
    after: Option<Content>,
    /// What both sides said when it was decided; `null` where nothing was seen.
    seen: Sides<Option<Content>>,
    /// What both sides had last agreed on; `null` where they never had.
    base: Option<Sides<Content>>,
    /// The policy that decided; `null` where none had to.
    policy: Option<String>,
    /// Which pair of worklogs it is about: the same for all that was ever done to the two.
    pair: PairId,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lost: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    /// What the people in it are called, by account.
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<BTreeMap<AccountId, String>>,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let opened = open::open(global).await?;
    open::remark_on_memory(global);
    let engine = opened.engine();
    let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let mut links = resolve::all_links(engine).await?;
    let only = Only {
        issue: arguments.key.clone().or_else(|| arguments.only.issue.clone()),
        ..arguments.only.clone()
    };
    if let Some(name) = &only.issue {
        let former = former(engine, &links, name).await?;
        links.extend(former);
    }
    let mut read = if arguments.by_hand { SEARCH_MAX } else { limit };
    let mut rows = loop {
        let mut rows = lines(engine, &links, &only, read).await?;
        let is_all = rows.len() < read || read >= SEARCH_MAX;
        if arguments.by_hand {
            rows.retain(|row| BY_HAND.contains(&row.op.as_str()));
        }
        // A line that a crash wrote for what had to be remembered, not done.
        rows.retain(|row| row.op != "agree");
        if rows.len() >= limit || is_all {
            break rows;
        }
        // Some of the newest were such: what stands before them counts as well.
        read = (read * MORE).min(SEARCH_MAX);
    };
    rows.drain(..rows.len().saturating_sub(limit));
    if rows.is_empty() {
        only.is_known(engine).await?;
    }
    if rows.len() >= limit {
        output::say(format!("the newest {limit} lines; --limit shows more"));
    }
    let mut seen = arguments.by_name.seen(engine);
    for row in &rows {
        said(row).for_each(|(side, content)| seen.add(&row.connection, side, &content.author));
    }
    let people = seen.ask().await;
    if global.json {
        let lines: Vec<Line> = rows.into_iter().map(|row| line(row, &links, &people)).collect();
        output::json(&lines)?;
    } else if rows.is_empty() {
        output::say(match only.is_some() || arguments.by_hand {
            true => "nothing of that was done",
            false => "nothing was done yet",
        });
    } else {
        for row in rows {
            output::data(shown(&row, &links, &people))?;
        }
    }
    Ok(Ending::Done)
}

/// The connections that are meant.
fn names(engine: &Engine, only: &Only) -> Result<Vec<ConnectionName>, Failure> {
    let meant = select::connections(engine, only.connection.as_deref())?;
    Ok(meant.into_iter().map(|one| one.name.clone()).collect())
}

/// The links that a linked issue once had: what was done while it had another twin is its history as well.
async fn former(engine: &Engine, links: &[LinkRow], name: &str) -> Result<Vec<LinkRow>, Failure> {
    let mut issues = BTreeMap::new();
    for row in links {
        for side in Side::BOTH
            .into_iter()
            .filter(|side| resolve::is(row, *side, name))
        {
            let key = resolve::key(row, side).clone();
            if let Some(connection) = engine.connection(&row.key.connection) {
                issues.insert((connection.sites[side].clone(), row.key.issue(side)), key);
            }
        }
    }
    let mut found = BTreeMap::new();
    for ((site, issue), key) in issues {
        for (connection, side) in engine.connections_of(&site) {
            for mut row in engine.unlinked(&connection.name, side, issue).await? {
                // It may be called otherwise by now.
                match side {
                    Side::A => row.a_key.clone_from(&key),
                    Side::B => row.b_key.clone_from(&key),
                }
                found.insert(row.key.clone(), row);
            }
        }
    }
    found.retain(|link, _| links.iter().all(|row| row.key != *link));
    Ok(found.into_values().collect())
}

async fn of_issue(
    engine: &Engine,
    connections: &[ConnectionName],
    links: &[LinkRow],
    name: &str,
    limit: usize,
) -> Result<Vec<HistoryRow>, Failure> {
    let named: Vec<&LinkRow> = links
        .iter()
        .filter(|row| Side::BOTH.into_iter().any(|side| resolve::is(row, side, name)))
        .filter(|row| connections.contains(&row.key.connection))
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
        let all = engine.store.history(connections, None, SEARCH_MAX).await?;
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
    let issues: Vec<(Side, IssueId)> = match (&row.link, row.issue) {
        (Some(link), _) => Side::BOTH.map(|side| (side, link.issue(side))).to_vec(),
        (None, Some(issue)) => vec![(row.side, issue)],
        (None, None) => Vec::new(),
    };
    issues
        .into_iter()
        .map(|(side, issue)| (connection.sites[side].clone(), issue))
        .collect()
}

/// What a line tells of the worklog and its twin, and which side said so.
fn said(row: &HistoryRow) -> impl Iterator<Item = (Side, &Content)> {
    let own = row
        .before
        .iter()
        .chain(&row.after)
        .map(|content| (row.side, content));
    own.chain(Side::BOTH.into_iter().flat_map(|side| {
        let both = [row.seen(side), row.agreed(side)].into_iter().flatten();
        both.map(move |content| (side, content))
    }))
}

fn base(row: &HistoryRow) -> Option<Sides<Content>> {
    Some(Sides::new(
        row.agreed(Side::A)?.clone(),
        row.agreed(Side::B)?.clone(),
    ))
}

fn line(row: HistoryRow, links: &[LinkRow], people: &People) -> Line {
    let authors = said(&row).map(|(side, content)| (side, &content.author));
    Line {
        names: people.names(&row.connection, authors),
        issue: resolve::line_issue(links, &row),
        seen: Sides::from_fn(|side| row.seen(side).cloned()),
        base: base(&row),
        policy: row.policy().map(str::to_owned),
        pair: row.pair,
        id: row.id,
        time: row.time,
        connection: row.connection,
        op: row.op,
        side: row.issue.map(|_| row.side),
        worklog: row.worklog,
        cause: row.cause,
        before: row.before,
        after: row.after,
        lost: row.lost,
        trace: row.trace,
    }
}

fn shown(row: &HistoryRow, links: &[LinkRow], people: &People) -> String {
    let told = |side: Side, content: &Content| people.content(&row.connection, side, content);
    let place = match resolve::line_issue(links, row) {
        Some(issue) => format!("{} {issue}", row.side),
        None => row.connection.to_string(),
    };
    let worklog = row.worklog.map(|id| format!(" {id}")).unwrap_or_default();
    let mut text = format!(
        "{}  {:<8} {place}{worklog}: {}  [{}]",
        words::moment(row.time),
        row.op,
        output::plain(&row.cause),
        row.id
    );
    let mut add =
        |label: &str, content: &str| text.push_str(&format!("\n    {label} {}", output::plain(content)));
    if let Some(before) = &row.before {
        add("-", &told(row.side, before));
    }
    if let Some(after) = &row.after {
        add("+", &told(row.side, after));
    }
    for side in Side::BOTH {
        // What the line's own side said stands there already.
        if let Some(seen) = row.seen(side).filter(|seen| Some(*seen) != row.before.as_ref()) {
            add(&format!("seen on {side}:"), &told(side, seen));
        }
    }
    match (row.agreed(Side::A), row.agreed(Side::B)) {
        (Some(a), Some(b)) if a == b => add("agreed before:", &told(Side::A, a)),
        (a, b) => {
            for (side, content) in [(Side::A, a), (Side::B, b)] {
                if let Some(content) = content {
                    add(&format!("agreed before on {side}:"), &told(side, content));
                }
            }
        }
    }
    if let Some(policy) = row.policy() {
        add("policy:", policy);
    }
    for lost in &row.lost {
        add("lost:", lost);
    }
    text
}
