//! What happened to worklogs, change by change, for whoever wants to hold a client to account.

use jiff::Timestamp;

use crate::worklog::Worklog;

/// A change to a worklog in Tempo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerChange {
    /// When.
    pub at: Timestamp,
    /// On which site.
    pub site: String,
    /// Whether a request to the API made it; otherwise a person on a screen did, or the site itself.
    pub by_client: bool,
    /// The worklog before; `None` when it is new.
    pub before: Option<Worklog>,
    /// The worklog after; `None` when it is deleted.
    pub after: Option<Worklog>,
}
