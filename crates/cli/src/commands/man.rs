//! `man`: a manual page for each command.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};

use crate::args::Cli;
use crate::ending::{Ending, Failure};
use crate::{output, words};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  tandem man ~/.local/share/man/man1 && man tandem-queue")]
pub(crate) struct Arguments {
    /// Write the pages into this directory, which is made if need be
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Ending, Failure> {
    let directory = &arguments.directory;
    std::fs::create_dir_all(directory).map_err(|error| wrong(directory, &error))?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let expected = pages(&command);
    clap_mangen::generate_to(command, directory).map_err(|error| wrong(directory, &error))?;
    output::say(format!(
        "{} written into {}",
        words::count(expected, "page"),
        directory.display()
    ));
    Ok(Ending::Done)
}

/// How many pages a command and those below it have.
fn pages(command: &clap::Command) -> usize {
    let below = command.get_subcommands().filter(|one| !one.is_hide_set());
    1 + below.map(pages).sum::<usize>()
}

fn wrong(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{} cannot be written: {error}", path.display()))
}
