//! What can be written on the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::ending::Failure;

/// Keeps the Tempo worklogs of paired issues on two Jira Cloud sites the same.
#[derive(Debug, Parser)]
#[command(
    name = "tandem",
    version,
    after_help = "Examples:\n  tandem demo                           see it work, without an account\n  tandem init                           set up two sites\n  tandem plan --data ./data             what would be written\n  tandem serve --data ./data            keep both sites the same from now on\n  tandem verify --data ./data           prove that the hours agree\n\nExit codes: 0 done or equal, 1 failed, 2 wrong usage or configuration, 3 done, but something differs or waits.\nTANDEM_LOG says what is logged on stderr, such as info."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What stands above the options that each command has.
const SHARED: &str = "Options of every command";

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// The configuration
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "TANDEM_CONFIG",
        default_value = "./tandem.toml",
        hide_env_values = true,
        help_heading = SHARED
    )]
    pub(crate) config: PathBuf,
    /// Keep the table in this directory [env: TANDEM_DATA=] (without --data and --table: in memory, for this one command)
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        conflicts_with = "table",
        help_heading = SHARED
    )]
    pub(crate) data: Option<PathBuf>,
    /// Use this table in DynamoDB, with the standard AWS variables [env: TANDEM_TABLE=]
    #[arg(long, global = true, value_name = "NAME", help_heading = SHARED)]
    pub(crate) table: Option<String>,
    /// Write data as JSON
    #[arg(long, global = true, help_heading = SHARED)]
    pub(crate) json: bool,
    /// Whether the command only looks: it makes no table where there is none.
    #[arg(skip)]
    pub(crate) looks: bool,
    /// Which table the command needs.
    #[arg(skip)]
    pub(crate) needs: Needs,
}

impl Cli {
    /// Takes the table that the environment names, for a command that works on one. See [`Global::complete`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn complete(&mut self, variable: impl Fn(&str) -> Option<OsString>) -> Result<(), Failure> {
        match self.command {
            // These have none, or one of their own that must not be anybody's.
            Command::Demo(_)
            | Command::Init(_)
            | Command::Completions(_)
            | Command::Man(_)
            | Command::Secrets(_) => Ok(()),
            _ => self.global.complete(variable),
        }
    }
}

impl Global {
    /// Takes the table that the environment names where none was given: with that, commands can be typed as texts and hints
    /// say them.
    ///
    /// # Errors
    /// When it names two.
    fn complete(&mut self, variable: impl Fn(&str) -> Option<OsString>) -> Result<(), Failure> {
        if self.data.is_some() || self.table.is_some() {
            return Ok(());
        }
        let set = |name| variable(name).filter(|value| !value.is_empty());
        match (set("TANDEM_DATA"), set("TANDEM_TABLE")) {
            (Some(_), Some(_)) => Err(Failure::usage(
                "both TANDEM_DATA and TANDEM_TABLE are set, and a command works on one table: unset one, or give --data or --table",
            )),
            (data, None) => {
                self.data = data.map(PathBuf::from);
                Ok(())
            }
            (None, Some(table)) => match table.into_string() {
                Ok(table) => {
                    self.table = Some(table);
                    Ok(())
                }
                Err(_) => Err(Failure::usage("TANDEM_TABLE is not the name of a table")),
            },
        }
    }
}

/// Which table a command needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Any; one in memory will do.
    #[default]
    Any,
    /// One that lasts, with why: what comes of the command is kept there.
    Lasting(&'static str),
    /// One that is there already, with why: the command is about what it holds.
    There(&'static str),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show it all on two simulated sites, with people logging time; needs no account
    Demo(commands::demo::Arguments),
    /// Set up: two sites, their credentials and what belongs together, into a tandem.toml
    Init(Box<commands::init::Arguments>),
    /// Run everything in one process
    Serve(commands::serve::Arguments),
    /// Run one pass and exit: by default a sweep, then what is due
    Reconcile(commands::reconcile::Arguments),
    /// Show what would be written, and write nothing
    Plan(commands::plan::Arguments),
    /// Bring old worklogs together for the first time
    Backfill(commands::backfill::Arguments),
    /// Compare both sides: exit code 0 when they are equal, 3 when they are not
    Verify(commands::verify::Arguments),
    /// Show what waits, and why
    Queue(commands::queue::Arguments),
    /// Show what was done
    History(commands::history::Arguments),
    /// Show how everything fares
    Status(commands::status::Arguments),
    /// Look for everything that fails silently elsewhere, on both sites, and say the fix
    Doctor(commands::doctor::Arguments),
    /// Have what waits tried again
    Retry(commands::retry::Arguments),
    /// Look at an item that waits, and say which side counts
    Resolve(commands::resolve::Arguments),
    /// Leave an item that waits alone until its worklog changes
    Ignore(commands::ignore::Arguments),
    /// Let something through that is held back
    Release(commands::release::Arguments),
    /// Bring a deleted worklog back on both sides
    Undelete(commands::undelete::Arguments),
    /// Say which issues are twins
    Link(commands::link::Arguments),
    /// Say who is who on the two sites
    Users(commands::users::Arguments),
    /// Check the configuration and put it into the table, as a new version
    Publish(commands::publish::Arguments),
    /// Show the published configurations
    Versions(commands::versions::Arguments),
    /// Publish an earlier configuration again, as a new version
    Rollback(commands::rollback::Arguments),
    /// Register webhooks with Jira and Tempo, repair them, list or remove them
    Connect(commands::connect::Arguments),
    /// Take a person's data out of the table
    Forget(commands::forget::Arguments),
    /// Print what a shell needs to complete commands
    Completions(commands::completions::Arguments),
    /// Write a manual page for each command
    Man(commands::man::Arguments),
    /// Store a site's secret in AWS
    Secrets(commands::secrets::Arguments),
}

impl Command {
    /// Says whether it changes nothing of Tandem's, nor of anybody's.
    pub(crate) fn only_looks(&self) -> bool {
        match self {
            Self::Plan(_)
            | Self::Verify(_)
            | Self::Queue(_)
            | Self::History(_)
            | Self::Status(_)
            | Self::Doctor(_)
            | Self::Versions(_)
            | Self::Completions(_)
            | Self::Man(_) => true,
            Self::Backfill(arguments) => arguments.only_looks(),
            Self::Connect(arguments) => arguments.only_looks(),
            Self::Forget(arguments) => arguments.only_looks(),
            Self::Link(arguments) => arguments.only_looks(),
            Self::Users(arguments) => arguments.only_looks(),
            _ => false,
        }
    }

    /// Says whether it looks ahead with a table that keeps nothing of it.
    pub(crate) fn looks_ahead(&self) -> bool {
        match self {
            Self::Plan(_) => true,
            Self::Backfill(arguments) => arguments.only_looks(),
            Self::Link(arguments) => arguments.discovers(),
            _ => false,
        }
    }

    /// Says which table it needs.
    pub(crate) fn needs(&self) -> Needs {
        match self {
            Self::Retry(_) | Self::Resolve(_) | Self::Ignore(_) | Self::Release(_) => {
                Needs::There("what waits is in the table")
            }
            Self::Undelete(_) => Needs::There("what was deleted is in the table"),
            Self::Forget(arguments) if arguments.only_looks() => {
                Needs::Lasting("a table in memory holds nobody")
            }
            Self::Forget(_) => Needs::There("a table in memory holds nobody"),
            Self::Link(arguments) => arguments.needs(),
            Self::Users(arguments) if !arguments.only_looks() => {
                Needs::Lasting("who is who is kept in the table")
            }
            Self::Backfill(arguments) if !arguments.only_looks() => {
                Needs::Lasting("what is brought together is kept in the table; --dry-run needs none")
            }
            Self::Publish(_) | Self::Versions(_) | Self::Rollback(_) => {
                Needs::Lasting("what is published is kept in the table")
            }
            _ => Needs::Any,
        }
    }

    /// What to say when Ctrl-C stops it: what is left behind, and where it goes on. Nothing for those that hear of it
    /// themselves: of two listeners, either may be the first.
    pub(crate) fn stopped(&self) -> Option<&'static str> {
        match self {
            Self::Serve(_) | Self::Demo(_) | Self::Backfill(_) => None,
            Self::Link(arguments) if arguments.imports() => None,
            Self::Users(arguments) if arguments.imports() => None,
            _ if self.only_looks() => Some("nothing was changed"),
            Self::Init(_) => {
                Some("unless it said that it is written, there is no configuration: begin again")
            }
            Self::Reconcile(_) => Some(
                "what was begun is looked at again, and the next `tandem reconcile` or `tandem serve` goes on from there",
            ),
            Self::Link(_) | Self::Users(_) => Some(
                "what was taken in stays; the same command goes on with the rest, and tells of those that are there already",
            ),
            _ => Some("what was done stays done; the same command goes on with the rest"),
        }
    }
}
