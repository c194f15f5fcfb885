//! Asking a person about copies.

use tandem_core::WorklogId;
use tandem_engine::backfill::Estimate;
use tandem_engine::{Connection, Engine};

use super::show;
use crate::ending::Failure;
use crate::output;
use crate::terminal::{self, Shown};

/// Shows likely copies one by one. Returns those of which a person says that they are none.
pub(super) fn apart(
    engine: &Engine,
    connection: &Connection,
    estimate: &Estimate,
) -> Result<Vec<(WorklogId, WorklogId)>, Failure> {
    let likely: Vec<_> = estimate.links.iter().flat_map(|link| &link.likely).collect();
    let mut apart = Vec::new();
    for (index, twins) in likely.iter().enumerate() {
        output::say(format!(
            "{} of {}: {}",
            index + 1,
            likely.len(),
            show::twins(engine, connection, twins)
        ));
        match answer("Is one the copy of the other? [y]es, [n]o, [a]ll of them, [q]uit")?.as_str() {
            "y" | "yes" => {}
            "n" | "no" => apart.push((twins.found.a.id, twins.found.b.id)),
            "a" | "all" => return Ok(apart),
            _ => return Err(Failure::failed("stopped; nothing was written")),
        }
    }
    Ok(apart)
}

/// Asks for a yes; anything else is a no.
pub(super) fn yes(question: &str) -> Result<bool, Failure> {
    Ok(matches!(
        answer(&format!("{question} [y/N]"))?.as_str(),
        "y" | "yes"
    ))
}

fn answer(question: &str) -> Result<String, Failure> {
    let line = terminal::read_line(&format!("{question}\n"), Shown::Yes).map_err(terminal::unread)?;
    Ok(line.trim().to_lowercase())
}
