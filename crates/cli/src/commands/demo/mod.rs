//! `demo`: to come.
use clap::Args;
use crate::args::Global;
use crate::ending::{Ending, Failure};
#[derive(Debug, Args)]
pub(crate) struct Arguments {}
pub(crate) async fn run(_: &Global, _: &Arguments) -> Result<Ending, Failure> { Ok(Ending::Done) }
