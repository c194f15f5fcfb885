//! Audits out of turn, and things that all runners together do once in a while.

use std::time::Duration;

use tandem_core::SiteName;
use tracing::{info, warn};

use crate::audit::audited;
use crate::error::EngineError;
use crate::options::{Connection, Engine};
use crate::ports::store::{Cursor, Slot};
use crate::sweep::Swept;

/// How often an audit that is wanted is begun, so that one that is always cut short does not fill each pass.
const BEGUN_EVERY: Duration = Duration::from_secs(3600);

impl Engine {
    /// Says whether this runner is the one to do something now that all runners together do once in a while.
    ///
    /// It counts as done from then on: who dies over it leaves it to the next turn.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn is_our_turn(&self, what: &str, every: Duration) -> Result<bool, EngineError> {
        // A bucket with one slot per turn. No site has a `:` in its name.
        let bucket = SiteName::new(format!("turn:{what}"));
        let slot = self
            .store
            .reserve(&bucket, self.clock.now(), every, Duration::ZERO)
            .await?;
        Ok(matches!(slot, Slot::At(_)))
    }

    /// Asks for an audit of a site's connections: somebody who should have told of changes did not.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn want_audit(&self, site: &SiteName) -> Result<(), EngineError> {
        let now = self.clock.now();
        for (connection, _) in self.connections_of(site) {
            let name = wanted(connection);
            self.store.put_cursor(&name, &Cursor { at: now }).await?;
        }
        Ok(())
    }

    /// Audits the connections for which that was asked since their last audit began. What it finds is hinted at.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn audit_wanted(&self) -> Result<Swept, EngineError> {
        let mut swept = Swept::default();
        for connection in &self.connections {
            let Some(asked) = self.store.cursor(&wanted(connection)).await? else {
                continue;
            };
            let last = self.store.cursor(&audited(connection)).await?;
            // One that was never audited is about to be, as a new one.
            if last.is_none_or(|last| last.at >= asked.at) {
                continue;
            }
            if !self.is_our_turn(&wanted(connection), BEGUN_EVERY).await? {
                continue;
            }
            info!(connection.name = %connection.name, "Auditing {} out of turn", connection.name);
            match self
                .audit_connection(connection, Some(crate::ports::store::AUDIT))
                .await
            {
                Ok(hinted) => swept.hinted += hinted,
                Err(EngineError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    warn!(connection.name = %connection.name, "Could not audit {} out of turn: {}", connection.name, error.unsaid());
                    swept.failed += 1;
                }
            }
        }
        Ok(swept)
    }
}

fn wanted(connection: &Connection) -> String {
    format!("audit-wanted:{}", connection.name)
}
