//! `publish`: put the configuration into the table.

use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::{open, output};

pub(crate) async fn run(global: &Global) -> Result<Ending, Failure> {
    if global.table.is_none() && global.data.is_none() {
        return Err(Failure::usage(
            "publish needs --table NAME (or --data DIR): there is no table to put it into",
        ));
    }
    let opened = open::open(global).await?;
    let engine = opened.engine();
    let text = std::fs::read_to_string(&global.config)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", global.config.display())))?;
    let newest = engine.store.config().await?;
    let version = match newest {
        // The same again would only make everything that is parked be tried once more.
        Some(newest) if newest.text == text => {
            output::say("this is the newest version already");
            newest.number
        }
        _ => engine.store.put_config(&text, engine.clock.now()).await?,
    };
    if global.json {
        output::json(&serde_json::json!({ "version": version }))?;
    } else {
        output::data(format!("version {version}"))?;
    }
    Ok(Ending::Done)
}
