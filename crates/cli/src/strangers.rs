//! Whose time would wait, in words.

use tandem_engine::operator::{Stranger, Strangers};
use tandem_engine::{Connection, Engine};

use crate::{output, words};

/// People who are named in a line.
const NAMED_MAX: usize = 10;

/// Warns of worklogs that would wait since the other site does not know their authors.
pub(crate) fn warning(engine: &Engine, found: &[Stranger]) -> Option<String> {
    if found.is_empty() {
        return None;
    }
    let named = found.iter().take(NAMED_MAX).map(|one| {
        let account = match &one.display_name {
            Some(name) => format!("{name} ({})", one.account),
            None => one.account.to_string(),
        };
        let site = engine
            .connection(&one.connection)
            .map(|connection: &Connection| connection.sites[one.side].to_string());
        format!("{account} on {}", site.unwrap_or_default())
    });
    let mut named: Vec<String> = named.collect();
    if found.len() > NAMED_MAX {
        named.push(format!("{} more", found.len() - NAMED_MAX));
    }
    let creates: usize = found.iter().map(|one| one.creates).sum();
    Some(format!(
        "warning: {} not known on the other site, and {} of these creates would wait as author-unmapped: {}; say who they are there with `tandem users import FILE.csv` or [connections.authors] map, or give them access",
        match found.len() {
            1 => "1 author is".to_owned(),
            many => format!("{many} authors are"),
        },
        creates,
        output::plain(&named.join(", "))
    ))
}

/// Says of how many authors nobody asked.
pub(crate) fn not_asked(strangers: &[&Strangers]) -> Option<String> {
    let number: usize = strangers.iter().map(|one| one.not_asked).sum();
    (number > 0).then(|| {
        format!(
            "note: {} not looked up: their time may wait as author-unmapped; `tandem users list` looks again",
            match number {
                1 => "1 author was".to_owned(),
                many => format!("{} were", words::count(many, "author")),
            }
        )
    })
}
