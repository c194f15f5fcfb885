//! `rollback`: publish an earlier configuration again.
//!
//! The versions stay as they are; the earlier text becomes the next one. So a rollback is itself in the list and can be
//! rolled back, and the functions, which take whatever has the highest number, need to know nothing of it.

use clap::Args;
use jiff::Timestamp;
use tandem_core::ConnectionName;
use tandem_engine::operator;
use tandem_runtime::config::digest;

use super::versions;
use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::who::Who;
use crate::{open, output};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  tandem rollback 3 --table tandem-table

What is published again gets the next number; `tandem versions` shows them all.")]
pub(crate) struct Arguments {
    /// The version to publish again, from `tandem versions`
    #[arg(value_name = "N")]
    number: u64,
    #[command(flatten)]
    who: Who,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let store = versions::table(global).await?;
    let (earlier, newest) = versions::find(&*store, arguments.number).await?;
    let number = if newest.text == earlier.text {
        // As with `publish`: the same again would only make everything that is parked be tried once more.
        output::say(format!(
            "version {} is in use already, as version {}; nothing was published",
            earlier.number, newest.number
        ));
        newest.number
    } else {
        // What was right once need not be right for this Tandem, or with the secrets there are now.
        let config = open::version(global, &earlier)?;
        open::check_version(global, &earlier, &config).await?;
        open::remark_on_secrets(global, &config);
        let now = Timestamp::now();
        let names: Vec<ConnectionName> = config.connections.iter().map(|one| one.name.clone()).collect();
        let told = format!(
            "{}: publishes version {} again, {}",
            arguments.who.name(),
            earlier.number,
            digest(&earlier.text)
        );
        // First, so that no version is there of which nobody knows whose it is.
        operator::tell_of(&*store, &names, "rollback", &[told], (now, config.engine.history)).await?;
        store.put_config(&earlier.text, now).await?
    };
    if global.json {
        output::json(&serde_json::json!({
            "version": number, "of": earlier.number, "published": number != newest.number,
        }))?;
    } else {
        output::data(format!("version {number}"))?;
    }
    if std::fs::read_to_string(&global.config).is_ok_and(|text| text != earlier.text) {
        output::say(format!(
            "note: {} says something else, and the next `publish` would publish that; `tandem versions --show {number}` writes what is in use now",
            global.config.display()
        ));
    }
    Ok(Ending::Done)
}
