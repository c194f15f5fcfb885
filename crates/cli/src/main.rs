//! Tandem's command line.
//!
//! A file per subcommand, in `commands`. Data goes to stdout; what is for people, progress included, to stderr.
//! Exit code: 0 done or equal, 1 failed, 2 wrong usage or configuration, 3 done but something differs or waits.

mod args;
mod aws_cli;
mod by_name;
mod commands;
mod csv_file;
mod ending;
mod logging;
mod open;
mod output;
#[cfg(test)]
mod reference;
mod resolve;
mod select;
mod strangers;
mod terminal;
mod values;
mod who;
mod words;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::args::Cli;
use crate::ending::{Ending, Failure};

/// How long a process that is done waits for what still runs in the background.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Runs a command until it is done or somebody presses Ctrl-C.
async fn stoppable(cli: Cli) -> Result<Ending, Failure> {
    let stopped = cli.command.stopped();
    let interrupted = async {
        match stopped {
            Some(_) if tokio::signal::ctrl_c().await.is_ok() => {}
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = commands::run(cli) => ended,
        () = interrupted => Err(Failure::failed(format!("stopped; {}", stopped.unwrap_or_default()))),
    }
}

fn main() -> ExitCode {
    let mut cli = Cli::parse();
    let completed = cli.complete(|name| std::env::var_os(name));
    let ended = completed.and_then(|()| logging::init(&cli)).and_then(|()| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Failed(error.into()))?;
        let ended = runtime.block_on(stoppable(cli));
        runtime.shutdown_timeout(LAST_WAIT);
        ended
    });
    match ended {
        Ok(ending) => ending.code(),
        Err(failure) => {
            output::say(format!("error: {failure}"));
            failure.code()
        }
    }
}
