//! Bounded repetition with growing, random pauses.

use std::time::Duration;

use tandem_engine::ports::StoreError;

/// How often a request is repeated that met another one or was not processed in full.
const WAITS_MAX: u32 = 8;

/// The first pause is at most this; each next one at most twice the one before.
const PAUSE_MS_FIRST: u64 = 25;

/// No pause is longer.
const PAUSE_MS_MAX: u64 = 1_000;

/// How much patience is left.
pub(super) struct Patience {
    waits: u32,
}

impl Patience {
    /// Begins with all of it.
    pub(super) fn new() -> Self {
        Self { waits: 0 }
    }

    /// Counts a repetition that needs no pause, since it asks for something else; or gives up saying why.
    pub(super) fn spend(&mut self, why: &str) -> Result<(), StoreError> {
        if self.waits == WAITS_MAX {
            return Err(StoreError::Unavailable(format!(
                "{why}, {WAITS_MAX} times in a row"
            )));
        }
        self.waits += 1;
        Ok(())
    }

    /// Waits a little longer than the last time, or gives up saying why it waited.
    pub(super) async fn wait(&mut self, why: &str) -> Result<(), StoreError> {
        let longest = (PAUSE_MS_FIRST << self.waits).min(PAUSE_MS_MAX);
        self.spend(why)?;
        // Random from the first moment on: those who met once would meet again otherwise.
        tokio::time::sleep(Duration::from_millis(rand::random_range(1..=longest))).await;
        Ok(())
    }
}
