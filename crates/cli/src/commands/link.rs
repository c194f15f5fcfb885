//! `link`: which issues are twins.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use tandem_core::{ConnectionName, IssueId, LinkKey, Reason, Side, Sides};
use tandem_engine::discover::issue_ref;
use tandem_engine::operator::{LinkAct, QueueId, QueueItem};
use tandem_engine::ports::site::{IssueRef, JiraIssue};
use tandem_engine::ports::store::{DueKey, Lane, LinkRow, Linked};
use tandem_engine::{Asking, Connection, Engine};
use tandem_runtime::pairs::{Kind, Line, is_issue};

use crate::args::{Global, Needs};
use crate::csv_file::{Good, Imported, Progress, Stop, stopped};
use crate::ending::{Ending, Failure};
use crate::who::Who;
use crate::{csv_file, open, output, resolve, select, words};

/// How many issues are asked for in one request.
const ASKED_AT_ONCE: usize = 100;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem link add SUP-1 DEV-9 --data ./data
  tandem link import links.csv --connection acme-globex --data ./data
  tandem link discover --data ./data")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// The connection, where there are several
    #[arg(long, global = true, value_name = "NAME")]
    connection: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make two issues twins
    #[command(after_help = "Example:\n  tandem link add SUP-1 DEV-9 --data ./data")]
    Add {
        /// The issue on side a
        a_key: String,
        /// The issue on side b
        b_key: String,
        #[command(flatten)]
        who: Who,
    },
    /// Let two issues be twins no longer; their worklogs stay as they are
    #[command(after_help = "Example:\n  tandem link rm SUP-1 DEV-9 --data ./data")]
    Rm {
        /// The issue on side a
        a_key: String,
        /// The issue on side b
        b_key: String,
        #[command(flatten)]
        who: Who,
    },
    /// Show the links
    #[command(after_help = "Example:\n  tandem link list --json --data ./data | jq '.[] | .a_issue'")]
    List,
    /// Show which links the automatic ways would find for issues with worklogs, and make none
    #[command(after_help = "Example:\n  tandem link discover --connection acme-globex --data ./data")]
    Discover,
    /// Make twins of each line's two issues
    #[command(
        after_help = "Example:\n  tandem link import links.csv --data ./data\n\nlinks.csv holds lines like SUP-1,DEV-9. Bad lines are told by their numbers, and the good ones are kept."
    )]
    Import {
        /// A CSV file of two columns: the issue on side a, the issue on side b
        file: PathBuf,
        #[command(flatten)]
        who: Who,
    },
}

impl Arguments {
    /// Says whether it is an import, which hears of Ctrl-C itself.
    pub(crate) fn imports(&self) -> bool {
        matches!(self.action, Action::Import { .. })
    }

    /// Says whether nothing is changed.
    pub(crate) fn only_looks(&self) -> bool {
        matches!(self.action, Action::List | Action::Discover)
    }

    /// Says whether it looks ahead.
    pub(crate) fn discovers(&self) -> bool {
        matches!(self.action, Action::Discover)
    }

    /// Says which table it needs.
    pub(crate) fn needs(&self) -> Needs {
        match self.action {
            Action::List | Action::Discover => Needs::Any,
            Action::Rm { .. } => Needs::There("links are kept in the table"),
            Action::Add { .. } | Action::Import { .. } => Needs::Lasting("links are kept in the table"),
        }
    }
}

/// A link as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    connection: ConnectionName,
    a_issue: String,
    b_issue: String,
    a_id: IssueId,
    b_id: IssueId,
    found_by: String,
    since: Timestamp,
    /// Why the whole link waits, if it does.
    reason: Option<Reason>,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let lines = match &arguments.action {
        // A file that is not there is told before anybody is asked.
        Action::Import { file, .. } => csv_file::read(file, Kind::Issues)?,
        _ => Vec::new(),
    };
    if let Action::Add { a_key, b_key, .. } | Action::Rm { a_key, b_key, .. } = &arguments.action {
        for name in [a_key, b_key] {
            if !is_issue(name.trim()) {
                return Err(Failure::usage(format!(
                    "`{}` is neither the key nor the id of an issue, like SUP-1 or 10042",
                    output::plain(name)
                )));
            }
        }
    }
    if matches!(arguments.action, Action::Discover) {
        return discover(global, arguments.connection.as_deref()).await;
    }
    let opened = open::open(global).await?;
    let engine = opened.engine();
    let name = arguments.connection.as_deref();
    match &arguments.action {
        Action::Add { a_key, b_key, who } => {
            let connection = select::connection(engine, name)?;
            add(global, engine, connection, (a_key, b_key), &who.name()).await
        }
        Action::Rm { a_key, b_key, who } => {
            let connection = select::connection(engine, name)?;
            remove(global, engine, connection, (a_key, b_key), &who.name()).await
        }
        Action::List => list(global, engine, name).await,
        // It has a table of its own to look with.
        Action::Discover => Ok(Ending::Done),
        Action::Import { file, who } => {
            let connection = select::connection(engine, name)?;
            import(global, engine, connection, (file, lines), &who.name()).await
        }
    }
}

async fn add(
    global: &Global,
    engine: &Engine,
    connection: &Connection,
    (a_key, b_key): (&str, &str),
    by: &str,
) -> Result<Ending, Failure> {
    let mut found = Vec::new();
    for (side, name) in [(Side::A, a_key), (Side::B, b_key)] {
        let site = &connection.sites[side];
        let Some(issue) = resolve::ask(engine, site, name).await? else {
            return Err(Failure::usage(format!(
                "{site} has no issue {name}, or the service user cannot see it"
            )));
        };
        found.push(issue);
    }
    let [a, b] = found.as_slice() else {
        return Err(Failure::failed("two issues were not found"));
    };
    let outside = engine
        .outside(connection, &[key(connection, a, b)], Lane::Live)
        .await?;
    if let Some(side) = outside.into_values().next() {
        return Err(Failure::usage(outside_text(connection, side, a, b)));
    }
    let linked = join(engine, connection, a, b)
        .await
        .map_err(|refused| match refused {
            Ok(text) => Failure::usage(text),
            Err(failure) => failure,
        })?;
    if linked == Linked::New {
        tell(engine, connection, &[(a, b)], by).await?;
    }
    engine
        .hint_all(vec![DueKey::Link(key(connection, a, b))], Lane::Live, false)
        .await?;
    if global.json {
        let new = linked == Linked::New;
        output::json(
            &serde_json::json!({ "connection": connection.name, "a_issue": a.key, "b_issue": b.key, "new": new }),
        )?;
    } else if linked == Linked::New {
        output::say(format!("{} and {} are twins now", a.key, b.key));
    } else {
        output::say(format!("{} and {} were twins already", a.key, b.key));
    }
    Ok(Ending::Done)
}

/// Says that an issue cannot have a twin because the scope leaves it out.
fn outside_text(connection: &Connection, side: Side, a: &JiraIssue, b: &JiraIssue) -> String {
    let key = if side == Side::A { &a.key } else { &b.key };
    let jql = connection.scope[side].as_deref().unwrap_or_default();
    format!(
        "{key} is outside the scope of {} on {}, which is {jql:?}; widen the scope in tandem.toml first",
        connection.name, connection.sites[side]
    )
}

/// Has the history say who made links.
async fn tell(
    engine: &Engine,
    connection: &Connection,
    made: &[(&JiraIssue, &JiraIssue)],
    by: &str,
) -> Result<(), Failure> {
    let rows: Vec<LinkRow> = made
        .iter()
        .map(|(a, b)| LinkRow {
            key: key(connection, a, b),
            a_key: Some(a.key.clone()),
            b_key: Some(b.key.clone()),
            found_by: "command".to_owned(),
            since: engine.clock.now(),
            outside: None,
        })
        .collect();
    Ok(engine.tell_linked(&rows, LinkAct::Made, by).await?)
}

fn key(connection: &Connection, a: &JiraIssue, b: &JiraIssue) -> LinkKey {
    LinkKey {
        connection: connection.name.clone(),
        a: a.id,
        b: b.id,
    }
}

/// Links two issues. `Err(Ok(_))` says why one of them cannot have this twin.
async fn join(
    engine: &Engine,
    connection: &Connection,
    a: &JiraIssue,
    b: &JiraIssue,
) -> Result<Linked, Result<String, Failure>> {
    let linked = engine
        .link_issues(connection, a, b, "command")
        .await
        .map_err(|error| Err(error.into()))?;
    let Linked::Refused { side, existing } = linked else {
        return Ok(linked);
    };
    let row = engine
        .store
        .link(&existing)
        .await
        .map_err(|error| Err(error.into()))?;
    let (have_a, have_b) = row.map_or_else(
        || (existing.a.to_string(), existing.b.to_string()),
        |row| resolve::shown(&row),
    );
    let (taken, twin) = if side == Side::A {
        (&have_a, &have_b)
    } else {
        (&have_b, &have_a)
    };
    Err(Ok(format!(
        "{} and {} cannot be twins: in {} an issue has at most one, and {taken} already has {twin} (`tandem link rm {have_a} {have_b}` lets go of it)",
        a.key, b.key, connection.name
    )))
}

async fn remove(
    global: &Global,
    engine: &Engine,
    connection: &Connection,
    (a_key, b_key): (&str, &str),
    by: &str,
) -> Result<Ending, Failure> {
    let rows = resolve::links(engine, connection).await?;
    let named = rows
        .into_iter()
        .find(|row| resolve::is(row, Side::A, a_key) && resolve::is(row, Side::B, b_key));
    let row = match named {
        Some(row) => Some(row),
        None => by_present_key(engine, connection, a_key, b_key).await?,
    };
    let held = match &row {
        Some(row) => held_deletes(engine, &row.key).await?,
        None => 0,
    };
    let gone = match &row {
        Some(row) => {
            engine.remember_unlinked(row).await?;
            engine.store.drop_link(&row.key, &connection.sites).await?
        }
        None => false,
    };
    let Some(row) = row.filter(|_| gone) else {
        return Err(Failure::usage(format!(
            "{a_key} and {b_key} are not twins in {}; `tandem link list` shows who is",
            connection.name
        )));
    };
    engine
        .tell_linked(std::slice::from_ref(&row), LinkAct::Removed, by)
        .await?;
    let (a, b) = resolve::shown(&row);
    if global.json {
        output::json(
            &serde_json::json!({ "connection": connection.name, "a_issue": a, "b_issue": b, "removed": true, "held_deletes": held }),
        )?;
    } else {
        output::say(format!(
            "{a} and {b} are twins no longer; their worklogs are left as they are"
        ));
    }
    if held > 0 {
        output::say(format!(
            "note: {} that the brake held back {} no longer with it: what one side lost stays on the other",
            words::count(held, "delete"),
            if held == 1 { "waits" } else { "wait" },
        ));
    }
    let again = match row.found_by.as_str() {
        "table" => "the table in the configuration",
        "remote-link" => "a remote link in Jira",
        "field" => "a field in Jira",
        _ => return Ok(Ending::Done),
    };
    output::say(format!(
        "note: {again} still names them, so they are found again when either is looked at; take it out there too"
    ));
    Ok(Ending::Done)
}

/// Counts the deletes of a link that the brake holds back.
async fn held_deletes(engine: &Engine, link: &LinkKey) -> Result<usize, Failure> {
    let is_held = |item: &QueueItem| {
        let is_of_link = matches!(&item.id, QueueId::Pair { link: of, .. } if of == link);
        is_of_link && item.reason == Some(Reason::MassDelete)
    };
    Ok(engine
        .whole_queue()
        .await?
        .iter()
        .filter(|item| is_held(item))
        .count())
}

/// For issues whose keys have changed since they were linked.
async fn by_present_key(
    engine: &Engine,
    connection: &Connection,
    a_key: &str,
    b_key: &str,
) -> Result<Option<LinkRow>, Failure> {
    let a = resolve::ask(engine, &connection.sites.a, a_key).await?;
    let b = resolve::ask(engine, &connection.sites.b, b_key).await?;
    match (a, b) {
        (Some(a), Some(b)) => Ok(engine.store.link(&key(connection, &a, &b)).await?),
        _ => Ok(None),
    }
}

async fn list(global: &Global, engine: &Engine, name: Option<&str>) -> Result<Ending, Failure> {
    open::remark_on_memory(global);
    let waiting = waiting(engine).await?;
    let mut links = Vec::new();
    for connection in select::connections(engine, name)? {
        let rows = resolve::links(engine, connection).await?;
        links.extend(rows.into_iter().map(|row| {
            let reason = waiting.get(&row.key).copied();
            Shown { reason, ..show(row) }
        }));
    }
    if global.json {
        output::json(&links)?;
    } else if links.is_empty() {
        output::say("there are no links yet; they are found when a linked issue is first looked at");
    } else {
        output::data(table(&links))?;
    }
    Ok(Ending::Done)
}

/// Returns which links wait as a whole, and why.
async fn waiting(engine: &Engine) -> Result<BTreeMap<LinkKey, Reason>, Failure> {
    let whole = |item: QueueItem| match item.id {
        QueueId::Link(link) => Some((link, item.reason?)),
        _ => None,
    };
    Ok(engine.queue().await?.into_iter().filter_map(whole).collect())
}

/// Looks for links as a run would, with a table that forgets what is written to it.
async fn discover(global: &Global, name: Option<&str>) -> Result<Ending, Failure> {
    open::remark_on_memory(global);
    open::look_ahead(global, async |engine| found(global, name, engine).await).await
}

async fn found(global: &Global, name: Option<&str>, engine: &Engine) -> Result<Ending, Failure> {
    let mut found = Vec::new();
    let mut known = 0;
    for connection in select::connections(engine, name)? {
        let before: BTreeSet<LinkKey> = resolve::links(engine, connection)
            .await?
            .into_iter()
            .map(|row| row.key)
            .collect();
        known += before.len();
        for key in engine.links_ahead(connection).await? {
            if let Some(row) = engine
                .store
                .link(&key)
                .await?
                .filter(|row| !before.contains(&row.key))
            {
                found.push(show(row));
            }
        }
    }
    if global.json {
        output::json(&found)?;
        return Ok(Ending::Done);
    }
    if !found.is_empty() {
        output::data(table(&found))?;
    }
    output::say(format!(
        "{} would be found, {known} there already; none was made. Issues without worklogs are not looked at before they have one",
        words::count(found.len(), "new link")
    ));
    Ok(Ending::Done)
}

fn show(row: LinkRow) -> Shown {
    let (a_issue, b_issue) = resolve::shown(&row);
    Shown {
        connection: row.key.connection,
        a_issue,
        b_issue,
        a_id: row.key.a,
        b_id: row.key.b,
        found_by: row.found_by,
        since: row.since,
        reason: None,
    }
}

fn table(links: &[Shown]) -> String {
    let rows = links.iter().map(|link| {
        let reason = link.reason.map(|reason| reason.to_string()).unwrap_or_default();
        vec![
            link.connection.to_string(),
            link.a_issue.clone(),
            link.b_issue.clone(),
            link.found_by.clone(),
            reason,
        ]
    });
    output::table(&["CONNECTION", "A", "B", "FOUND BY", "WAITS"], rows.collect())
}

async fn import(
    global: &Global,
    engine: &Engine,
    connection: &Connection,
    (file, lines): (&Path, Vec<Line>),
    by: &str,
) -> Result<Ending, Failure> {
    let (mut imported, good) = Imported::begin(lines);
    let ended = import_all(engine, connection, &good, &mut imported, by).await;
    let made = format!("{} made", words::count(imported.new, "link"));
    let told = imported.tell(global, file, &made, "there already");
    ended.and(told)
}

/// Makes the links that some lines name. What was done before a failure is in `imported`, and is kept.
async fn import_all(
    engine: &Engine,
    connection: &Connection,
    good: &[Good],
    imported: &mut Imported,
    by: &str,
) -> Result<(), Failure> {
    let stop = Stop::listen();
    let mut progress = Progress::begin(good.len());
    let mut done = 0;
    let mut known: Sides<Known> = Sides::default();
    for chunk in good.chunks(ASKED_AT_ONCE) {
        progress.tell(done);
        for side in Side::BOTH {
            // Where side a's issue is not there, side b's does not matter.
            let (of_a, of_side) = match side {
                Side::A => (None, &mut known.a),
                Side::B => (Some(&known.a), &mut known.b),
            };
            let names = chunk.iter().filter_map(|(_, (a, b))| match of_a {
                None => Some(a),
                Some(of_a) => found_by(of_a, a).map(|_| b),
            });
            let Some(asked) = stop.or(ask_all(engine, connection, side, names, of_side)).await else {
                return Err(stopped(good.len() - done));
            };
            asked?;
        }
        let of_line = |(a, b): &(String, String)| (found_by(&known.a, a), found_by(&known.b, b));
        let named = chunk.iter().filter_map(|(_, names)| match of_line(names) {
            (Some(a), Some(b)) => Some(key(connection, a, b)),
            _ => None,
        });
        let named: Vec<LinkKey> = named.collect();
        let Some(outside) = stop.or(engine.outside(connection, &named, Lane::Live)).await else {
            return Err(stopped(good.len() - done));
        };
        let outside = outside?;
        let (mut hints, mut made) = (Vec::new(), Vec::new());
        let mut failed = None;
        for (number, names) in chunk {
            if stop.is_wanted() {
                failed = Some(stopped(good.len() - done));
                break;
            }
            done += 1;
            let (a_name, b_name) = names;
            let (a, b) = of_line(names);
            let (Some(a), Some(b)) = (a, b) else {
                let (side, name) = if a.is_none() {
                    (Side::A, a_name)
                } else {
                    (Side::B, b_name)
                };
                let site = &connection.sites[side];
                let message = format!("{site} has no issue {name}, or the service user cannot see it");
                imported.refuse(*number, message);
                continue;
            };
            if let Some(side) = outside.get(&key(connection, a, b)) {
                imported.refuse(*number, outside_text(connection, *side, a, b));
                continue;
            }
            match join(engine, connection, a, b).await {
                Ok(Linked::New) => {
                    imported.new += 1;
                    made.push((a, b));
                    hints.push(DueKey::Link(key(connection, a, b)));
                }
                Ok(_) => imported.already += 1,
                Err(Ok(message)) => imported.refuse(*number, message),
                Err(Err(failure)) => {
                    failed = Some(failure);
                    break;
                }
            }
        }
        // First what is to follow from those that were made, whatever became of the rest.
        engine.hint_all(hints, Lane::Sweep, false).await?;
        tell(engine, connection, &made, by).await?;
        if let Some(failure) = failed {
            return Err(failure);
        }
    }
    Ok(())
}

/// What is known of the issues that a file names, by their names; `None` is nobody's.
type Known = BTreeMap<IssueRef, Option<JiraIssue>>;

/// Asks for what is not known yet of some issues.
async fn ask_all(
    engine: &Engine,
    connection: &Connection,
    side: Side,
    names: impl Iterator<Item = &String>,
    known: &mut Known,
) -> Result<(), Failure> {
    let name = &connection.sites[side];
    let site = engine
        .sites
        .get(name)
        .ok_or_else(|| Failure::failed(format!("site {name} is not configured")))?;
    let names = names.map(|name| issue_ref(name));
    let unknown = names.filter(|name| !known.contains_key(name)).collect();
    let mut seen = engine
        .see(site, &unknown, &[], Asking::patiently(Lane::Live))
        .await?;
    known.extend(unknown.into_iter().map(|name| {
        let issue = seen.remove(&name);
        (name, issue)
    }));
    Ok(())
}

fn found_by<'k>(known: &'k Known, name: &str) -> Option<&'k JiraIssue> {
    known.get(&issue_ref(name))?.as_ref()
}
