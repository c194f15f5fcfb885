//! What a panic leaves in the log.

use std::panic;

use tracing::error;

/// Has a panic say where it was and not what: its message may quote what it fell over, such as somebody's worklog.
pub fn say_where_only() {
    panic::set_hook(Box::new(|panicked| match panicked.location() {
        Some(location) => error!("Panicked at {}:{}", location.file(), location.line()),
        None => error!("Panicked"),
    }));
}
