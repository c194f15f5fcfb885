//! Where the simulator gets its time from.

use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;

/// A source of the present moment.
pub trait SimClock: Send + Sync {
    /// Returns the present moment.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock, for demos.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl SimClock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that only moves when it is told to.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// Starts the clock at the given moment.
    pub fn new(start: Timestamp) -> Self {
        Self(Mutex::new(start))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().expect("no holder of the clock's lock can panic");
        *now += by;
    }

    /// Sets the clock, backwards too: skewed clocks are part of the world.
    pub fn set(&self, to: Timestamp) {
        *self.0.lock().expect("no holder of the clock's lock can panic") = to;
    }
}

impl SimClock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("no holder of the clock's lock can panic")
    }
}

/// A clock that follows tokio's, so that paused and auto-advanced time works.
#[derive(Debug)]
pub struct TokioClock {
    start: Timestamp,
    since: tokio::time::Instant,
}

impl TokioClock {
    /// Starts at the given moment and runs with tokio's clock from here on.
    ///
    /// With `tokio::time::pause`, call it after pausing.
    pub fn starting_at(start: Timestamp) -> Self {
        Self {
            start,
            since: tokio::time::Instant::now(),
        }
    }
}

impl SimClock for TokioClock {
    fn now(&self) -> Timestamp {
        self.start + self.since.elapsed()
    }
}
