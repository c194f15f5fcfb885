//! `release`: let something through that is held back.

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};
use tandem_core::Reason;
use tandem_engine::Engine;
use tandem_engine::operator::QueueItem;

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
    let connections = select::connections(engine, arguments.only.connection.as_deref())?;
    let meant = match arguments.only.picks() {
        true => held_back(engine, &arguments.only).await?,
        false => Vec::new(),
    };
    let ids = || meant.iter().map(|item| item.id.clone()).collect::<BTreeSet<_>>();
    let these = arguments.only.picks().then(ids);
    for connection in connections {
        released += match &these {
            Some(these) => engine.release_these(connection, these, &by).await?,
            None => engine.release_mass_delete_for(connection, Some(&by)).await?,
        };
    }
    if global.json {
        let mut told = serde_json::json!({ "released": released });
        if let Some(these) = &these {
            told["items"] = serde_json::json!(these);
        }
        output::json(&told)?;
    } else if released == 0 && these.is_none() {
        output::say("no delete was held back; the brake counts anew from now on");
    } else {
        select::tell(&meant);
        output::say(format!(
            "{} let through; `tandem serve` carries them out at once, or the next `tandem reconcile` does",
            words::count(released, "delete")
        ));
    }
    Ok(Ending::Done)
}

/// The deletes of a selection that the brake holds back.
async fn held_back(engine: &Engine, only: &Only) -> Result<Vec<QueueItem>, Failure> {
    let mut waiting = only.pick(engine, engine.queue().await?).await?;
    waiting.retain(|item| item.reason == Some(Reason::MassDelete));
    if waiting.is_empty() {
        only.has_link(engine).await?;
        return Err(Failure::usage(
            "no delete of that is held back by the brake; `tandem queue` shows what waits",
        ));
    }
    Ok(waiting)
}
