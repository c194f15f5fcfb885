//! The log: on stderr, for people.

use std::io::{IsTerminal, stderr, stdout};

use tracing::Level;
use tracing_subscriber::EnvFilter;

use crate::args::{Cli, Command};
use crate::ending::Failure;

/// The variable that says what is logged, such as `info` or `warn,tandem_engine=debug`.
const VARIABLE: &str = "TANDEM_LOG";

/// Sets the log up.
pub(crate) fn init(cli: &Cli) -> Result<(), Failure> {
    let filter = match std::env::var(VARIABLE) {
        Ok(text) if text.trim().parse::<Level>().is_ok() => EnvFilter::new(ours(text.trim())),
        Ok(text) if !text.trim().is_empty() => EnvFilter::try_new(&text).map_err(|error| {
            Failure::usage(format!(
                "{VARIABLE} cannot be read: {error}\n  right: error, warn, info, debug or trace; or per part, like warn,tandem_engine=debug"
            ))
        })?,
        _ => EnvFilter::new(default(cli)),
    };
    tracing_subscriber::fmt()
        .compact()
        .with_env_filter(filter)
        .with_ansi(stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|said| said.is_empty()))
        .with_target(false)
        .with_writer(stderr)
        .init();
    Ok(())
}

/// A mere level is for Tandem's own lines. Libraries keep to warnings: what they tell below that may hold headers and
/// bodies, and so tokens and people's texts. Who names a library gets it.
fn ours(level: &str) -> String {
    format!("warn,tandem={level}")
}

fn default(cli: &Cli) -> &'static str {
    match &cli.command {
        Command::Serve(_) => "info",
        // What goes wrong there goes wrong on purpose, and lines between the pictures would spoil them.
        Command::Demo(_) if stdout().is_terminal() => "off",
        Command::Demo(_) => "error",
        // A site that rejects the credentials is paused in a table that forgets it: the command says what is so.
        command if command.looks_ahead() => "warn,tandem_engine::gate=off",
        _ => "warn",
    }
}
