//! `ignore`: leave an item alone until its worklog changes.

use clap::Args;
use tandem_engine::operator::{Decision, Resolved};

use super::resolve::item;
use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::who::Who;
use crate::{open, output};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  tandem ignore pair:acme-globex:10001:20001:a500001-10001

`tandem queue --all` shows what is ignored; `tandem retry ID` takes it back. It comes back by itself when one of its
worklogs changes, or when it would wait for another reason.")]
pub(crate) struct Arguments {
    /// The item, by its id in `tandem queue`
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    who: Who,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let (link, pair) = item(&arguments.id)?;
    let opened = open::open(global).await?;
    open::remark_on_memory(global);
    let by = arguments.who.name();
    let decided = opened
        .engine()
        .decide(&link, &pair, Decision::Ignore, &by, None)
        .await?;
    match decided {
        Resolved::Done(what) if global.json => {
            output::json(&serde_json::json!({ "id": arguments.id, "decided": what, "by": by }))?;
        }
        Resolved::Done(what) => output::say(what),
        Resolved::Not(why) => {
            let id = output::plain(&arguments.id);
            return Err(Failure::usage(format!("`{id}` cannot be ignored: {why}")));
        }
    }
    Ok(Ending::Done)
}
