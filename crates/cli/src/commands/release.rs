//! `release`: let something through that is held back.

use clap::{Args, ValueEnum};

use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::who::Who;
use crate::{open, output, select, words};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  tandem release mass-delete")]
pub(crate) struct Arguments {
    /// What is held back
    #[arg(value_name = "WHAT")]
    what: What,
    /// Only of this connection
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
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
    open::remark_on_memory(global);
    let engine = opened.engine();
    let by = arguments.who.name();
    let mut released = 0;
    for connection in select::connections(engine, arguments.connection.as_deref())? {
        released += engine.release_mass_delete_for(connection, Some(&by)).await?;
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
