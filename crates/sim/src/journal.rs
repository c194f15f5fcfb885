//! What happened to worklogs, change by change, for whoever wants to hold a client to account.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use crate::worklog::Worklog;

/// One journal for all sites, so that its order is that of the world.
pub(crate) type Journal = Arc<Mutex<Vec<LedgerChange>>>;

/// A change to a worklog in Tempo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerChange {
    /// When.
    pub at: Timestamp,
    /// On which site.
    pub site: String,
    /// The `User-Agent` of the request that made it; `None` when a person on a screen did, or the site itself.
    pub client: Option<String>,
    /// The worklog before; `None` when it is new.
    pub before: Option<Worklog>,
    /// The worklog after; `None` when it is deleted.
    pub after: Option<Worklog>,
}
