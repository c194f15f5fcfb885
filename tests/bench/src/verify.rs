//! A ledger check of any size: what it asks for, what it finds, and how much memory it takes.
//!
//! Real: the engine, the client of both sites, the store and the SDK, and the temporary files. Made up: the sites'
//! answers and the table's.

use serde::{Deserialize, Serialize};
use tandem_core::{Side, Sides};
use tandem_runtime::scratch::TempFiles;

use crate::audit::{AuditError, Subject, peak_kib, subject};
use crate::scale::Scale;
use crate::site::Requests;

/// Rows of a page of Tempo's.
const PAGE_ROWS: u64 = 5000;

/// What a ledger check came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Worklogs per side.
    pub worklogs: u64,
    /// Worklogs that were summed up, on both sides.
    pub summed: Sides<u64>,
    /// Seconds that they add up to.
    pub seconds: Sides<u64>,
    /// Differences.
    pub differences: u64,
    /// Sums by issue, person, day and account.
    pub groups: u64,
    /// Bytes of the result as JSON.
    pub written: u64,
    /// Pages of worklogs asked for, on both sides.
    pub listings: u64,
    /// Other requests to the sites.
    pub others: u64,
    /// Requests to the table.
    pub table: u64,
    /// The most memory that was resident, in KiB; before the check.
    pub before_kib: u64,
    /// The same, after it.
    pub peak_kib: u64,
}

impl Verified {
    /// Says what is wrong with the count of requests or with what was found, if anything is.
    pub fn complaint(&self, scale: Scale) -> Option<String> {
        let listings = 2 * scale.worklogs.div_ceil(PAGE_ROWS).max(1);
        if self.listings != listings || self.others != 0 {
            let Self {
                listings: were,
                others,
                ..
            } = self;
            return Some(format!(
                "{were} pages and {others} other requests were asked for; {listings} and 0 are right"
            ));
        }
        let seconds = |side: Side| -> u64 {
            let shown = (0..scale.worklogs).map(|number| scale.shown(side, number));
            shown.map(|worklog| worklog.content.time_spent_secs).sum()
        };
        let unlike = match scale.unlike_every {
            0 => 0,
            every => scale.worklogs.div_ceil(every),
        };
        let expected = (
            Sides::from_fn(|_| scale.worklogs),
            Sides::from_fn(seconds),
            unlike,
        );
        let found = (self.summed, self.seconds, self.differences);
        (found != expected)
            .then(|| format!("worklogs, seconds and differences: {found:?}; {expected:?} are right"))
    }
}

/// Compares both sides of a connection of a scale, and writes the result as JSON to nowhere.
///
/// # Errors
/// When there is nothing to measure.
pub async fn verify(scale: Scale) -> Result<Verified, AuditError> {
    let Subject { tandem, store, sites } = subject(scale).await?;
    store.counts().reset();
    let before_kib = peak_kib();
    let engine = &tandem.engine;
    let connections: Vec<_> = engine.connections.iter().collect();
    let books = engine
        .books(&connections, None, None, &TempFiles::of_the_system())
        .await?;
    let Requests {
        listings,
        feeds,
        others,
    } = sites.requests();
    let mut written = Counted(0);
    serde_json::to_writer_pretty(&mut written, &books)
        .map_err(|error| AuditError::Config(error.to_string()))?;
    let totals = books.totals();
    Ok(Verified {
        worklogs: scale.worklogs,
        summed: Sides::from_fn(|side| totals[side].worklogs),
        seconds: Sides::from_fn(|side| totals[side].seconds),
        differences: books.n_differences(),
        groups: books.groups().count() as u64,
        written: written.0,
        listings,
        others: feeds + others,
        table: store.counts().total(),
        before_kib,
        peak_kib: peak_kib(),
    })
}

/// Counts what is written to it.
struct Counted(u64);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
