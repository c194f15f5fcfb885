//! How far behind: for gauges. Reads a few rows and calls nobody.

use jiff::{SignedDuration, Timestamp};

use crate::error::EngineError;
use crate::options::Engine;

/// How many rows are looked at for the oldest hint. More than this in line are worked on in their order anyway.
const ROWS_MAX: usize = 200;

impl Engine {
    /// Returns the age of the oldest hint that could be worked on now and isn't; zero when there is none. What is
    /// parked, under way or to be tried later does not count.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn lag(&self) -> Result<SignedDuration, EngineError> {
        let now = self.clock.now();
        let ready = self.store.ready(now, ROWS_MAX).await?;
        let waiting = ready.iter().filter(|row| !row.quiet && row.reason.is_none());
        Ok(waiting
            .map(|row| age(now, row.since))
            .max()
            .unwrap_or(SignedDuration::ZERO))
    }

    /// Returns how long ago the last sweep that read a whole site was, of the site where that is longest. Where there
    /// was none, it counts from `otherwise`.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn sweep_age(&self, otherwise: Timestamp) -> Result<SignedDuration, EngineError> {
        let taking_part = |site: &&tandem_core::SiteName| self.connections_of(site).next().is_some();
        let names = self.sites.keys().filter(taking_part).map(crate::sweep::changes);
        self.oldest(names.collect(), otherwise).await
    }

    /// Returns how long ago the last complete audit was, of the connection where that is longest. Where there was
    /// none, it counts from `otherwise`.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn audit_age(&self, otherwise: Timestamp) -> Result<SignedDuration, EngineError> {
        let names = self.connections.iter().map(crate::audit::audited);
        self.oldest(names.collect(), otherwise).await
    }

    async fn oldest(
        &self,
        cursors: Vec<String>,
        otherwise: Timestamp,
    ) -> Result<SignedDuration, EngineError> {
        let mut oldest = None;
        for name in cursors {
            let at = self
                .store
                .cursor(&name)
                .await?
                .map_or(otherwise, |cursor| cursor.at);
            oldest = Some(oldest.map_or(at, |oldest: Timestamp| oldest.min(at)));
        }
        let now = self.clock.now();
        Ok(age(now, oldest.unwrap_or(now)))
    }
}

/// Clocks of two machines differ a little: nothing is younger than nothing.
fn age(now: Timestamp, since: Timestamp) -> SignedDuration {
    now.duration_since(since).max(SignedDuration::ZERO)
}
