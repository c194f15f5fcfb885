//! `retry`: have what waits tried again.

use clap::Args;
use tandem_engine::operator::QueueId;

use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::select::Only;
use crate::who::Who;
use crate::{open, output, select, words};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem retry --data ./data
  tandem retry --issue SUP-1 --data ./data
  tandem retry pair:acme-globex:10001:20001:a500001-10001 --data ./data")]
pub(crate) struct Arguments {
    /// Ids from `tandem queue`; none for everything that is parked, missing or failed
    #[arg(value_name = "ID", conflicts_with_all = ["connection", "issue", "worklog", "person"])]
    ids: Vec<String>,
    #[command(flatten)]
    only: Only,
    #[command(flatten)]
    who: Who,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let mut ids: Vec<QueueId> = arguments
        .ids
        .iter()
        .map(|text| text.parse().map_err(|error| Failure::usage(format!("{error}"))))
        .collect::<Result<_, Failure>>()?;
    let opened = open::open(global).await?;
    let mut meant = Vec::new();
    if arguments.only.is_some() {
        let engine = opened.engine();
        let waiting = arguments.only.pick(engine, engine.queue().await?).await?;
        meant = waiting;
        meant.retain(|item| item.is_stuck());
        ids = meant.iter().map(|item| item.id.clone()).collect();
        // No id at all would mean everything.
        if ids.is_empty() {
            arguments.only.has_link(opened.engine()).await?;
            return Err(Failure::usage(
                "nothing of that is parked, missing or failed; `tandem queue` shows what waits",
            ));
        }
    }
    let retried = opened
        .engine()
        .retry_for(&ids, Some(&arguments.who.name()))
        .await?;
    if !retried.unknown.is_empty() {
        let unknown: Vec<String> = retried.unknown.iter().map(ToString::to_string).collect();
        return Err(Failure::usage(format!(
            "not in the queue: {}; `tandem queue` shows what is",
            output::plain(&unknown.join(", "))
        )));
    }
    if global.json {
        let mut told = serde_json::json!({ "retried": retried.hinted });
        if !ids.is_empty() {
            told["items"] = serde_json::json!(ids);
        }
        output::json(&told)?;
    } else {
        select::tell(&meant);
        output::say(format!(
            "{} will be tried again, by `tandem serve` at once or by the next `tandem reconcile`",
            words::count(retried.hinted, "link")
        ));
    }
    Ok(Ending::Done)
}
