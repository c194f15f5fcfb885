//! The engine's store on DynamoDB.
//!
//! One file per kind of row; `store.rs` puts them together. All concurrency rests on conditional writes and
//! transactions: there is no lock, and no state in this process that an answer depends on.

mod batches;
mod brake;
mod commit;
mod configs;
mod due;
mod failure;
mod forget;
mod hint;
mod history;
pub mod keys;
mod leases;
mod links;
mod newer;
mod patience;
mod people;
mod read;
mod row;
pub mod schema;
mod sites;
mod store;
mod write;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use jiff::Timestamp;
use tandem_core::SiteName;
use tandem_engine::ports::{Clock, StoreError};

use crate::counts::TableCounts;
#[cfg(feature = "embedded")]
pub(crate) use failure::EMBEDDED_UNUSABLE;
pub use forget::{Forget, Found};
pub use newer::{Newer, Told};

/// The engine's store on one DynamoDB table.
pub struct DynamoStore {
    client: Client,
    table: String,
    counts: TableCounts,
    clock: Option<Arc<dyn Clock>>,
    /// When each site's bucket was last seen to be free, in nanoseconds. Only decides which of two requests is
    /// tried first.
    free_at: Mutex<HashMap<SiteName, i128>>,
    newer: Arc<Newer>,
}

impl DynamoStore {
    /// Wraps a client, which should count into `counts`.
    pub fn new(client: Client, table: impl Into<String>, counts: TableCounts) -> Self {
        Self {
            client,
            table: table.into(),
            counts,
            clock: None,
            free_at: Mutex::new(HashMap::new()),
            newer: Arc::default(),
        }
    }

    /// Takes the time from this clock where a method is not told it: whether an echo, a proof or a line of the
    /// history is forgotten already.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Returns the counts of what was sent to the table.
    pub fn counts(&self) -> &TableCounts {
        &self.counts
    }

    /// Returns what has look-ups ask for newer configurations.
    pub fn newer(&self) -> &Arc<Newer> {
        &self.newer
    }

    /// Creates the table if it's missing. On AWS the deployment does that.
    pub async fn create_table(&self) -> Result<(), StoreError> {
        schema::create_table(&self.client, &self.table, &schema::TABLE).await
    }

    fn now(&self) -> Timestamp {
        self.clock
            .as_ref()
            .map_or_else(Timestamp::now, |clock| clock.now())
    }
}

impl std::fmt::Debug for DynamoStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DynamoStore")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}
