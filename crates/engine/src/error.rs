//! What can stop a run, and what then.

use jiff::Timestamp;
use tandem_core::{Reason, SiteName};

use crate::ports::site::SiteErrorKind;
use crate::ports::{SiteError, StoreError};

/// Why a run, or a pass, did not go through.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// The site's bucket is full. Nothing was sent.
    #[error("{site} is busy until {until}")]
    Deferred {
        /// The site.
        site: SiteName,
        /// When there may be room.
        until: Timestamp,
    },
    /// The site is paused: it rejects our credentials.
    #[error("{site} is paused: {detail}")]
    Paused {
        /// The site.
        site: SiteName,
        /// What it said.
        detail: String,
        /// When one call is tried again.
        until: Timestamp,
    },
    /// A call to a site failed.
    #[error("{site}: {error}")]
    Site {
        /// The site.
        site: SiteName,
        /// What happened.
        error: SiteError,
    },
    /// The link as a whole waits.
    #[error("{reason}: {detail}")]
    Parked {
        /// The site whose issue it waits for.
        site: SiteName,
        /// Why.
        reason: Reason,
        /// What happened.
        detail: String,
    },
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another runner has the link, or changed what this run rests on.
    #[error("another runner was faster")]
    Lost,
    /// Another connection works on an issue that this one shares with it.
    #[error("another connection works on one of its issues")]
    Held,
    /// A plan that breaks a promise was refused. A bug.
    #[error("refused its own plan: {0}")]
    Refused(#[from] tandem_core::check::Violation),
    /// The configuration does not know this.
    #[error("{0}")]
    Unknown(String),
    /// The books of both sides could not be laid side by side.
    #[error("the books could not be compared: {0}")]
    Uncompared(String),
}

impl EngineError {
    /// Says whether a site answered that it will not do this, as opposed to not now.
    pub(crate) fn is_refusal(&self) -> bool {
        use crate::ports::site::SiteErrorKind::{Malformed, NotFound, Refused, Unusable};
        matches!(self, EngineError::Site { error, .. } if matches!(error.kind, Refused(_) | NotFound | Malformed | Unusable))
    }

    /// Says whether a site answered that we may not do this.
    pub(crate) fn is_refused(&self) -> bool {
        use crate::ports::site::SiteErrorKind::Refused;
        matches!(self, EngineError::Site { error, .. } if matches!(error.kind, Refused(_)))
    }

    /// Returns what to say of it in a log: the same, without what the site said, which may name people and quote what
    /// they wrote. That stands in the table, where `queue` and `history` show it.
    pub fn unsaid(&self) -> impl std::fmt::Display {
        match self {
            EngineError::Paused { site, .. } => {
                format!("{site} is paused: it has no credentials of ours that work")
            }
            EngineError::Site { site, error } => format!("{site}: {}", error.unsaid()),
            EngineError::Parked { reason, .. } => reason.to_string(),
            other => other.to_string(),
        }
    }

    /// Says under which reason a link waits in the queue after this; `None` where it is just tried again.
    pub(crate) fn reason(&self) -> Option<Reason> {
        match self {
            EngineError::Parked { reason, .. } => Some(*reason),
            EngineError::Paused { .. } => Some(Reason::CredentialsRejected),
            EngineError::Site { error, .. } => match error.kind {
                SiteErrorKind::Refused(reason) => Some(reason),
                SiteErrorKind::CredentialsRejected | SiteErrorKind::NoCredentials => {
                    Some(Reason::CredentialsRejected)
                }
                SiteErrorKind::Malformed | SiteErrorKind::Unusable => Some(Reason::Rejected),
                SiteErrorKind::Unreachable { .. }
                | SiteErrorKind::RateLimited { .. }
                | SiteErrorKind::Busy
                | SiteErrorKind::NotFound => None,
            },
            EngineError::Refused(_) | EngineError::Unknown(_) | EngineError::Uncompared(_) => {
                Some(Reason::Rejected)
            }
            EngineError::Deferred { .. } | EngineError::Store(_) | EngineError::Lost | EngineError::Held => {
                None
            }
        }
    }

    /// Returns what the queue tells beside the reason.
    pub(crate) fn detail(&self) -> String {
        match self {
            EngineError::Parked { detail, .. } => detail.clone(),
            other => other.to_string(),
        }
    }

    /// Returns the site that has answered for a link as a whole, such that the link waits for a person; `None` where it is
    /// tried again soon, or where nothing can be said of the site at all, since it takes none of our credentials.
    pub(crate) fn parked_by(&self) -> Option<&SiteName> {
        match self {
            EngineError::Parked { site, .. } => Some(site),
            EngineError::Site { site, error } => match error.kind {
                SiteErrorKind::Refused(_) | SiteErrorKind::Unusable => Some(site),
                _ => None,
            },
            _ => None,
        }
    }

    pub(crate) fn site(site: &SiteName, error: SiteError) -> Self {
        EngineError::Site {
            site: site.clone(),
            error,
        }
    }
}
