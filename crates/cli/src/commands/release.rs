//! `release`: let something through that is held back.

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};
use tandem_core::Reason;
use tandem_engine::operator::QueueId;
use tandem_engine::{Connection, Engine};

use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::select::Only;
use crate::who::Who;
use crate::{open, output, select, words};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem release mass-delete --data ./data
  tandem release mass-delete --issue SUP-1 --data ./data

Without a filter all deletes that wait are let through, and the brake counts anew. With one only those are: what else
waits stays held back, and the brake goes on counting.")]
pub(crate) struct Arguments {
    /// What is held back
    #[arg(value_name = "WHAT")]
    what: What,
    /// Only of this connection
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    #[command(flatten)]
    only: Only,
    #[command(flatten)]
    who: Who,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// Deletes beyond the brake
    MassDelete,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let What::MassDelete = arguments.what;
    let opened = open::open(global).await?;
    let engine = opened.engine();
    let by = arguments.who.name();
    let mut released = 0;
    let connections = select::connections(engine, arguments.connection.as_deref())?;
    let these = match arguments.only.is_some() {
        true => Some(held_back(engine, &connections, &arguments.only).await?),
        false => None,
    };
    for connection in connections {
        released += match &these {
            Some(these) => engine.release_these(connection, these, &by).await?,
            None => engine.release_mass_delete_for(connection, Some(&by)).await?,
        };
    }
    if global.json {
        output::json(&serde_json::json!({ "released": released }))?;
    } else {
        output::say(format!(
            "{} let through; `tandem serve` carries them out at once, or the next `tandem reconcile` does",
            words::count(released, "delete")
        ));
    }
    Ok(Ending::Done)
}

/// The deletes of a selection that the brake holds back.
async fn held_back(
    engine: &Engine,
    connections: &[&Connection],
    only: &Only,
) -> Result<BTreeSet<QueueId>, Failure> {
    let waiting = only.pick(engine, engine.queue().await?).await?;
    let waiting = waiting.into_iter().filter(|item| {
        let here = connections
            .iter()
            .any(|one| item.connection.as_ref() == Some(&one.name));
        here && item.reason == Some(Reason::MassDelete)
    });
    let these: BTreeSet<QueueId> = waiting.map(|item| item.id).collect();
    if these.is_empty() {
        only.has_link(engine).await?;
        return Err(Failure::usage(
            "no delete of that is held back by the brake; `tandem queue` shows what waits",
        ));
    }
    Ok(these)
}
