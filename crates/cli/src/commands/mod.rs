//! The subcommands, a file each.

pub(crate) mod backfill;
pub(crate) mod completions;
pub(crate) mod connect;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod forget;
pub(crate) mod history;
pub(crate) mod ignore;
pub(crate) mod init;
pub(crate) mod link;
pub(crate) mod man;
pub(crate) mod plan;
pub(crate) mod publish;
pub(crate) mod queue;
pub(crate) mod reconcile;
pub(crate) mod release;
pub(crate) mod resolve;
pub(crate) mod retry;
pub(crate) mod rollback;
pub(crate) mod secrets;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod undelete;
pub(crate) mod users;
pub(crate) mod verify;
pub(crate) mod versions;

use crate::args::{Cli, Command, Global};
use crate::ending::{Ending, Failure};
use crate::open;

/// Runs what was asked for.
pub(crate) async fn run(cli: Cli) -> Result<Ending, Failure> {
    let global = &Global {
        looks: cli.command.only_looks(),
        needs: cli.command.needs(),
        ..cli.global
    };
    open::check_table(global)?;
    match cli.command {
        Command::Demo(arguments) => demo::run(global, &arguments).await,
        Command::Init(arguments) => init::run(global, &arguments).await,
        Command::Serve(arguments) => serve::run(global, &arguments).await,
        Command::Reconcile(arguments) => reconcile::run(global, &arguments).await,
        Command::Plan(arguments) => plan::run(global, &arguments).await,
        Command::Backfill(arguments) => backfill::run(global, &arguments).await,
        Command::Verify(arguments) => verify::run(global, &arguments).await,
        Command::Queue(arguments) => queue::run(global, &arguments).await,
        Command::History(arguments) => history::run(global, &arguments).await,
        Command::Status(arguments) => status::run(global, &arguments).await,
        Command::Doctor(arguments) => doctor::run(global, &arguments).await,
        Command::Retry(arguments) => retry::run(global, &arguments).await,
        Command::Resolve(arguments) => resolve::run(global, &arguments).await,
        Command::Ignore(arguments) => ignore::run(global, &arguments).await,
        Command::Release(arguments) => release::run(global, &arguments).await,
        Command::Undelete(arguments) => undelete::run(global, &arguments).await,
        Command::Link(arguments) => link::run(global, &arguments).await,
        Command::Users(arguments) => users::run(global, &arguments).await,
        Command::Publish(arguments) => publish::run(global, &arguments).await,
        Command::Versions(arguments) => versions::run(global, &arguments).await,
        Command::Rollback(arguments) => rollback::run(global, &arguments).await,
        Command::Connect(arguments) => connect::run(global, &arguments).await,
        Command::Forget(arguments) => forget::run(global, &arguments).await,
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
        Command::Secrets(arguments) => secrets::run(global, &arguments).await,
    }
}
