//! Being told what happens, for whoever counts it.

use tandem_core::{IntentKind, Reason};

/// Something that happened, once it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A webhook was our own write coming back.
    Echo,
    /// A site took a write.
    Synced(IntentKind),
    /// Something was set aside that did not wait for this reason before.
    Parked(Reason),
    /// A worklog of which nobody but an audit had told was written, or set aside.
    DriftFound,
    /// One of those was written.
    DriftRepaired,
}

/// Is told what happens. It decides nothing and fails at nothing.
pub trait Observer: Send + Sync {
    /// Takes note. Called in the middle of a run: it should return at once.
    fn happened(&self, what: Happened);
}

/// Nobody.
impl Observer for () {
    fn happened(&self, _: Happened) {}
}
