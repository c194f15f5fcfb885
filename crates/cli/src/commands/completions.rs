//! `completions`: what a shell needs to complete commands and options.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::ending::{Ending, Failure};
use crate::output;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem completions bash > ~/.local/share/bash-completion/completions/tandem
  tandem completions zsh  > ~/.zfunc/_tandem
  tandem completions fish > ~/.config/fish/completions/tandem.fish")]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Ending, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "tandem", &mut script);
    output::data(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Ending::Done)
}
