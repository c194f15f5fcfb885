//! `undelete`: bring deleted worklogs back on both sides.

use clap::Args;
use serde::Serialize;
use tandem_core::{Side, WorklogId};
use tandem_engine::Engine;
use tandem_engine::operator::Undeleted;
use tandem_engine::ports::store::{HistoryRow, LinkRow};

use super::history::{self, SEARCH_MAX};
use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::select::Only;
use crate::who::Who;
use crate::{open, output, resolve, select, words};

/// Worklogs that one call brings back, at most.
const AT_ONCE_MAX: usize = 100;

/// Of several that are meant, so many are shown.
const SHOWN_MAX: usize = 20;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem undelete 1767225600000-a500001-10001-7 --data ./data
  tandem undelete --worklog 500001 --data ./data
  tandem undelete --issue SUP-1 --all --data ./data

With a filter, the one delete of it that was not undone yet. Where there are several, they are shown and nothing is done,
unless --all says that all of them are meant (100 at most). A worklog comes back with a new id.")]
#[command(group = select::which())]
pub(crate) struct Arguments {
    /// The id of a delete, from `tandem history`; or say with a filter which deletes are meant
    #[arg(value_name = "ID", conflicts_with_all = ["issue", "worklog", "person", "all"])]
    id: Option<String>,
    #[command(flatten)]
    only: Only,
    /// All deletes of the selection, where there are several
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    who: Who,
}

/// A worklog that is back.
#[derive(Debug, Serialize)]
struct Back {
    /// The id of its delete.
    id: String,
    side: Side,
    worklog: WorklogId,
    /// It was brought back before.
    already: bool,
}

/// One that is not.
#[derive(Debug, Serialize)]
struct Failed {
    id: String,
    why: String,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let opened = open::open(global).await?;
    let engine = opened.engine();
    let by = arguments.who.name();
    let Some(id) = &arguments.id else {
        return undelete_all(global, engine, arguments, &by).await;
    };
    let mut found = None;
    for connection in select::connections(engine, arguments.only.connection.as_deref())? {
        found = found.or(engine.store.history_line(&connection.name, id).await?);
    }
    let Some(line) = found else {
        return Err(Failure::usage(format!(
            "there is no line `{}` in the history; `tandem history` shows their ids",
            output::plain(id)
        )));
    };
    let back = match engine.undelete_for(&line, &by).await? {
        Undeleted::Not(why) => {
            return Err(Failure::usage(format!("`{}` cannot be undone: {why}", line.id)));
        }
        done => back(&line, done).map_err(Failure::failed)?,
    };
    if global.json {
        let Back {
            side,
            worklog,
            already,
            ..
        } = back;
        output::json(&serde_json::json!({ "side": side, "worklog": worklog, "already": already }))?;
    } else {
        output::say(format!("{}; {NEXT}", told(&back)));
    }
    Ok(Ending::Done)
}

const NEXT: &str = "`tandem serve` takes it across at once, or the next `tandem reconcile` does";

fn told(back: &Back) -> String {
    let word = if back.already { "already back" } else { "back" };
    format!("{word} as worklog {} on side {}", back.worklog, back.side)
}

/// What came of one delete, or why nothing did.
fn back(line: &HistoryRow, undeleted: Undeleted) -> Result<Back, String> {
    let (side, worklog, already) = match undeleted {
        Undeleted::Back { side, worklog } => (side, worklog, false),
        Undeleted::Already { side, worklog } => (side, worklog, true),
        Undeleted::Unknown { what, until } => {
            return Err(format!(
                "it is not known whether the worklog was made: {what}; call this again after {}: it looks before it makes one",
                words::moment(until)
            ));
        }
        Undeleted::Not(why) => return Err(why),
    };
    Ok(Back {
        id: line.id.clone(),
        side,
        worklog,
        already,
    })
}

/// Brings back what a selection means, and tells of each.
async fn undelete_all(
    global: &Global,
    engine: &Engine,
    arguments: &Arguments,
    by: &str,
) -> Result<Ending, Failure> {
    let links = resolve::all_links(engine).await?;
    let meant = meant(engine, &links, &arguments.only).await?;
    if meant.len() > AT_ONCE_MAX {
        return Err(Failure::usage(format!(
            "more than {AT_ONCE_MAX} deletes are meant, which is more than are undone at once: name an issue, a worklog or a person besides; nothing was done"
        )));
    }
    if meant.len() > 1 && !arguments.all {
        for line in meant.iter().take(SHOWN_MAX) {
            output::say(shown(line, &links));
        }
        if meant.len() > SHOWN_MAX {
            output::say(format!("and {} more", meant.len() - SHOWN_MAX));
        }
        return Err(Failure::usage(format!(
            "{} deletes are meant: name one by its id, or take --all; nothing was done",
            meant.len()
        )));
    }
    let (mut undeleted, mut failed) = (Vec::new(), Vec::new());
    for line in &meant {
        // One that a site refuses holds up no other.
        let done = match engine.undelete_for(line, by).await {
            Ok(done) => back(line, done),
            Err(error) => Err(error.to_string()),
        };
        match done {
            Ok(back) => {
                output::say(format!("{}: {}", shown(line, &links), told(&back)));
                undeleted.push(back);
            }
            Err(why) => {
                output::say(format!("error: {}: {why}", shown(line, &links)));
                failed.push(Failed {
                    id: line.id.clone(),
                    why,
                });
            }
        }
    }
    let (n_back, n_failed) = (undeleted.len(), failed.len());
    if global.json {
        output::json(&serde_json::json!({ "undeleted": undeleted, "failed": failed }))?;
    } else if n_back > 0 {
        output::say(format!("{} back; {NEXT}", words::count(n_back, "worklog")));
    }
    Ok(if n_failed > 0 {
        Ending::Failed
    } else {
        Ending::Done
    })
}

/// The deletes of a selection that can be undone and were not.
async fn meant(engine: &Engine, links: &[LinkRow], only: &Only) -> Result<Vec<HistoryRow>, Failure> {
    let mut lines = history::lines(engine, links, only, SEARCH_MAX).await?;
    lines.retain(|line| line.op == "delete");
    let (mut meant, mut already, mut others) = (Vec::new(), 0, 0);
    for line in lines {
        if meant.len() > AT_ONCE_MAX {
            break;
        }
        match engine.undelete_ahead(&line).await? {
            None => meant.push(line),
            Some(Undeleted::Already { .. }) => already += 1,
            Some(_) => others += 1,
        }
    }
    if meant.is_empty() {
        let mut why = format!("there is no delete of {} to undo", only.words());
        for (count, what) in [
            (already, "was undone already"),
            (others, "cannot be undone (`tandem undelete ID` says why)"),
        ] {
            if count > 0 {
                why.push_str(&format!("; {count} {what}"));
            }
        }
        why.push_str("; `tandem history` with the same filter shows what was done");
        return Err(Failure::usage(why));
    }
    Ok(engine.one_for_each(meant).await?)
}

fn shown(line: &HistoryRow, links: &[LinkRow]) -> String {
    let issue = resolve::line_issue(links, line).unwrap_or_default();
    let worklog = line.worklog.map(|id| format!(" {id}")).unwrap_or_default();
    let content = line.before.as_ref().map(words::content).unwrap_or_default();
    output::plain(&format!("{}  {issue}{worklog}: {content}", line.id))
}
