//! `ignore`: leave an item alone until its worklog changes.

use clap::Args;
use tandem_engine::Engine;
use tandem_engine::operator::{Decision, QueueId, Resolved};

use super::resolve::item;
use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::select::Only;
use crate::who::Who;
use crate::{open, output, select, words};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem ignore pair:acme-globex:10001:20001:a500001-10001 --data ./data
  tandem ignore --person 5f0a-on-acme --data ./data

`tandem queue --all` shows what is ignored; `tandem retry ID` takes it back. It comes back by itself when one of its
worklogs changes, or when it would wait for another reason.")]
#[command(group = select::which())]
pub(crate) struct Arguments {
    /// The item, by its id in `tandem queue`; or say with a filter which worklogs that wait are meant
    #[arg(value_name = "ID", conflicts_with_all = ["connection", "issue", "worklog", "person"])]
    id: Option<String>,
    #[command(flatten)]
    only: Only,
    #[command(flatten)]
    who: Who,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let named = arguments.id.as_deref().map(item).transpose()?;
    let opened = open::open(global).await?;
    let engine = opened.engine();
    let by = arguments.who.name();
    let Some((link, pair)) = named else {
        return ignore_all(global, engine, &arguments.only, &by).await;
    };
    let id = QueueId::Pair {
        link: link.clone(),
        pair: pair.clone(),
    };
    match engine.decide(&link, &pair, Decision::Ignore, &by, None).await? {
        Resolved::Done(what) if global.json => {
            output::json(&serde_json::json!({ "id": id, "decided": what, "by": by }))?;
        }
        Resolved::Done(what) => output::say(what),
        Resolved::Not(why) => {
            let id = output::plain(&id.to_string());
            return Err(Failure::usage(format!("`{id}` cannot be ignored: {why}")));
        }
    }
    Ok(Ending::Done)
}

/// Ignores what waits of a selection, and tells of each.
async fn ignore_all(global: &Global, engine: &Engine, only: &Only, by: &str) -> Result<Ending, Failure> {
    let waiting = only.pick(engine, engine.queue().await?).await?;
    let mut ignored = Vec::new();
    for item in waiting {
        let QueueId::Pair { link, pair } = &item.id else {
            continue;
        };
        match engine.decide(link, pair, Decision::Ignore, by, None).await? {
            Resolved::Done(what) => {
                output::say(format!("{}: {what}", select::named(&item)));
                ignored.push(item.id);
            }
            // It went on since it was listed.
            Resolved::Not(why) => output::say(format!("{}: {why}", select::named(&item))),
        }
    }
    if ignored.is_empty() {
        only.has_link(engine).await?;
        return Err(Failure::usage(
            "no worklog of that is parked or missing; `tandem queue` shows what waits",
        ));
    }
    if global.json {
        output::json(&serde_json::json!({ "ignored": ignored, "by": by }))?;
    } else {
        output::say(format!("{} ignored", words::count(ignored.len(), "item")));
    }
    Ok(Ending::Done)
}
