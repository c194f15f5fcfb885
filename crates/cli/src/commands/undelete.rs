//! `undelete`: bring a deleted worklog back on both sides.

use clap::Args;
use tandem_core::ConnectionName;
use tandem_engine::operator::Undeleted;

use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::who::Who;
use crate::{open, output, words};

/// Lines that are searched.
const SEARCH_MAX: usize = 100_000;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  tandem undelete 1767225600000-a500001-10001-7")]
pub(crate) struct Arguments {
    /// The id of a delete, from `tandem history`
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    who: Who,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let opened = open::open(global).await?;
    open::remark_on_memory(global);
    let engine = opened.engine();
    let names: Vec<ConnectionName> = engine.connections.iter().map(|one| one.name.clone()).collect();
    let lines = engine.store.history(&names, None, SEARCH_MAX).await?;
    let Some(line) = lines.into_iter().find(|line| line.id == arguments.id) else {
        return Err(Failure::usage(format!(
            "there is no line `{}` in the history; `tandem history` shows their ids",
            output::plain(&arguments.id)
        )));
    };
    let (word, side, worklog) = match engine.undelete_for(&line, &arguments.who.name()).await? {
        Undeleted::Back { side, worklog } => ("back", side, worklog),
        Undeleted::Already { side, worklog } => ("already back", side, worklog),
        Undeleted::Unknown { what, until } => {
            return Err(Failure::failed(format!(
                "it is not known whether the worklog was made: {what}; call this again after {}: it looks before it makes one",
                words::moment(until)
            )));
        }
        Undeleted::Not(why) => {
            return Err(Failure::usage(format!("`{}` cannot be undone: {why}", line.id)));
        }
    };
    if global.json {
        output::json(&serde_json::json!({ "side": side, "worklog": worklog, "already": word != "back" }))?;
    } else {
        output::say(format!(
            "{word} as worklog {worklog} on side {side}; `tandem serve` takes it across at once, or the next `tandem reconcile` does"
        ));
    }
    Ok(Ending::Done)
}
