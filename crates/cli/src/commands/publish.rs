//! `publish`: put the configuration into the table.

use clap::Args;
use tandem_core::ConnectionName;
use tandem_runtime::config::digest;

use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::who::Who;
use crate::{open, output};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem publish --table tandem-table
  tandem publish --table tandem-table --config customers/globex.toml

The functions take the newest version within a minute. `tandem versions` shows them all, and `tandem rollback N` publishes
an earlier one again.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    who: Who,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let opened = open::open(global).await?;
    let engine = opened.engine();
    open::remark_on_secrets(global, &opened.tandem.config);
    let text = std::fs::read_to_string(&global.config)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", global.config.display())))?;
    let newest = engine.store.config().await?;
    let version = match newest {
        // The same again would only make everything that is parked be tried once more.
        Some(newest) if newest.text == text => {
            output::say("this is the newest version already");
            newest.number
        }
        _ => {
            let names: Vec<ConnectionName> = engine.connections.iter().map(|one| one.name.clone()).collect();
            let told = format!("{}: publishes {}", arguments.who.name(), digest(&text));
            // First, so that no version is there of which nobody knows whose it is.
            engine.tell_act(&names, "publish", &[told]).await?;
            engine.store.put_config(&text, engine.clock.now()).await?
        }
    };
    if global.json {
        output::json(&serde_json::json!({ "version": version }))?;
    } else {
        output::data(format!("version {version}"))?;
    }
    Ok(Ending::Done)
}
