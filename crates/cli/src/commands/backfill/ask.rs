//! Asking a person about copies.

use tandem_core::WorklogId;
use tandem_engine::backfill::Estimate;
use tandem_engine::{Connection, Engine};

use super::show;
use crate::ending::Failure;
use crate::output;
use crate::terminal::{self, Shown};

/// How often a question is asked before nobody seems to be there.
const ATTEMPTS: usize = 10;

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
        match one_of("Is one the copy of the other? [y]es, [n]o, [a]ll of them, [q]uit")? {
            'y' => {}
            'n' => apart.push((twins.found.a.id, twins.found.b.id)),
            'a' => return Ok(apart),
            _ => return Err(Failure::failed("stopped; nothing was written")),
        }
    }
    Ok(apart)
}

/// Asks until one of the four is answered: a slip on the last question is not to cost all the answers before it.
fn one_of(question: &str) -> Result<char, Failure> {
    for _ in 0..ATTEMPTS {
        match answer(question)?.as_str() {
            "y" | "yes" => return Ok('y'),
            "n" | "no" => return Ok('n'),
            "a" | "all" => return Ok('a'),
            "q" | "quit" => return Ok('q'),
            _ => output::say("y, n, a or q"),
        }
    }
    Ok('q')
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
