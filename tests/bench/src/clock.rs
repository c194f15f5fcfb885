//! A clock that does not wait.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tandem_engine::ports::Clock;

/// A clock for one task at a time: who sleeps is where they wanted to be at once.
#[derive(Debug)]
pub struct JumpingClock {
    now: Mutex<Timestamp>,
}

impl JumpingClock {
    /// Starts at a moment.
    pub fn starting_at(now: Timestamp) -> Self {
        Self { now: Mutex::new(now) }
    }
}

#[async_trait]
impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sleep(&self, duration: Duration) {
        let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.saturating_add(duration).unwrap_or(*now);
    }
}
