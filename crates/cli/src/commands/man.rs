//! `man`: a manual page for each command.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

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
    let written = pages(&command, directory).map_err(|error| wrong(directory, &error))?;
    output::say(format!(
        "{} written into {}",
        words::count(written, "page"),
        directory.display()
    ));
    Ok(Ending::Done)
}

/// Writes the pages of a command and of those below it, and returns how many these are.
fn pages(command: &clap::Command, directory: &Path) -> io::Result<usize> {
    let mut written = 1;
    for below in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        written += pages(below, directory)?;
    }
    // What is said after a command's help would be its page's section EXTRA, which is no section that people look for.
    let man = Man::new(command.clone().after_help(None::<&str>));
    let mut page = Vec::new();
    man.render(&mut page)?;
    let more = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    more_sections(&more).to_writer(&mut page)?;
    std::fs::write(directory.join(man.get_filename()), page)?;
    Ok(written)
}

/// Lays out what is said after a command's help: examples, a blank line, and what else there is to know.
fn more_sections(text: &str) -> Roff {
    let mut roff = Roff::new();
    let (examples, notes) = text.split_once("\n\n").unwrap_or((text, ""));
    if !examples.is_empty() {
        // A line of an example is not to be filled.
        roff.control("SH", ["EXAMPLES"]).control("nf", []);
        for line in examples.lines().filter(|line| !line.starts_with("Example")) {
            roff.text([roman(line.trim())]);
        }
        roff.control("fi", []);
    }
    if !notes.is_empty() {
        roff.control("SH", ["NOTES"]);
        for line in notes.lines() {
            roff.text([roman(line)]);
        }
    }
    roff
}

fn wrong(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{} cannot be written: {error}", path.display()))
}
