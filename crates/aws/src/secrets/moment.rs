//! When something was read, by both clocks.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A moment, by the process's own clock and by the wall's.
///
/// The first may stand still while a function is frozen between two events, the second may be set back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    own: Instant,
    wall: SystemTime,
}

impl Moment {
    /// Returns this moment, for which the wall clock shows that time.
    pub(super) fn at(wall: SystemTime) -> Self {
        Self {
            own: Instant::now(),
            wall,
        }
    }

    /// Returns how long ago an earlier moment was, by the clock that says longer. By a wall clock that was set back, it was
    /// for ever ago.
    pub(super) fn since(&self, earlier: &Self) -> Duration {
        let by_the_wall = self.wall.duration_since(earlier.wall).unwrap_or(Duration::MAX);
        self.own.duration_since(earlier.own).max(by_the_wall)
    }
}
