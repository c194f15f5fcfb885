//! What the processes log: read as it is written, kept only where it tells a secret.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::world::tells_a_secret;

/// Lines kept of one run, at most.
const KEPT_MAX: usize = 10;

/// Collects the log lines that tell a secret.
#[derive(Clone, Default)]
pub struct Lines {
    kept: Arc<Mutex<Vec<String>>>,
}

impl Lines {
    /// Begins with none.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs something, and reads all that it logs in this thread, in the form in which functions log.
    pub fn read<T>(&self, run: impl FnOnce() -> T) -> T {
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(LevelFilter::DEBUG)
            .with_writer(self.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, run)
    }

    /// Returns the lines that tell one.
    pub fn kept(&self) -> Vec<String> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<'l> MakeWriter<'l> for Lines {
    type Writer = &'l Self;

    fn make_writer(&'l self) -> Self::Writer {
        self
    }
}

impl io::Write for &Lines {
    /// One call is one line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        if tells_a_secret(&text) {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < KEPT_MAX {
                kept.push(text.into_owned());
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
