//! Picking connections by name.

use tandem_core::ConnectionName;
use tandem_engine::{Connection, Engine};

use crate::ending::Failure;

/// Returns the connection of that name, or all of them.
pub(crate) fn connections<'e>(
    engine: &'e Engine,
    name: Option<&str>,
) -> Result<Vec<&'e Connection>, Failure> {
    match name {
        None => Ok(engine.connections.iter().collect()),
        Some(name) => match engine.connection(&ConnectionName::new(name)) {
            Some(connection) => Ok(vec![connection]),
            None => Err(Failure::usage(format!(
                "there is no connection `{name}`; there are: {}",
                names(engine)
            ))),
        },
    }
}

/// Returns the connection of that name, or the only one.
pub(crate) fn connection<'e>(engine: &'e Engine, name: Option<&str>) -> Result<&'e Connection, Failure> {
    match connections(engine, name)?.as_slice() {
        [connection] => Ok(connection),
        _ => Err(Failure::usage(format!(
            "say which connection with --connection NAME; there are: {}",
            names(engine)
        ))),
    }
}

fn names(engine: &Engine) -> String {
    engine
        .connections
        .iter()
        .map(|connection| connection.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}
