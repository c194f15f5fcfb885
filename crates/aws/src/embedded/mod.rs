//! The table inside this process.
//!
//! The same store as on AWS, behind the same SDK client, on `dynoxide` (a DynamoDB over SQLite). In memory, or
//! in the file `tandem.db` of a directory, which several processes may use at once: each write is an SQLite
//! transaction that takes the write lock before it reads, and waits for another's.

mod connector;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use dynoxide::{Database, DynoxideError};
use tandem_engine::ports::{Clock, StoreError};

use self::connector::{Home, PAUSE_FIRST, connect};
use crate::counts::TableCounts;
use crate::dynamodb::DynamoStore;
use crate::dynamodb::schema::{TABLE, TableSchema, create_table};
use crate::environment::ATTEMPTS_MAX;

/// The table's name.
const NAME: &str = "tandem";

/// The file in the data directory.
const FILE: &str = "tandem.db";

/// What it is called while it is being made.
const MAKING: &str = "tandem.making";

/// Locked by whoever makes it.
const LOCK: &str = "tandem.lock";

/// A table inside this process.
#[derive(Clone)]
pub struct Embedded {
    database: Database,
    home: Home,
    clock: Option<Arc<dyn Clock>>,
}

impl Embedded {
    /// Opens the table of a data directory, making both if need be; without a directory, a new one in memory.
    pub async fn open(directory: Option<&Path>) -> Result<Self, StoreError> {
        let Some(directory) = directory else {
            let database = Database::memory().map_err(|error| StoreError::Unusable(error.to_string()))?;
            return Self::created(Self {
                database,
                home: Home::Memory,
                clock: None,
            })
            .await;
        };
        make_directory(directory)?;
        let file = directory.join(FILE);
        Self::made(directory, &file).await?;
        Self::in_file(file).await
    }

    /// Says whether a data directory has a table already. Of one that cannot be looked into, opening it says what is wrong.
    pub fn is_in(directory: &Path) -> bool {
        directory.join(FILE).try_exists().unwrap_or(true)
    }

    async fn in_file(file: PathBuf) -> Result<Self, StoreError> {
        let database = blocking(move || open_file(&file)).await?;
        Self::created(Self {
            database,
            home: Home::File,
            clock: None,
        })
        .await
    }

    /// Makes the file and its table, unless they are there.
    ///
    /// The table and its indexes are made one after the other. Who is killed in between must not leave half of them under
    /// the file's name: nobody would make the rest. So they are made under another name, by one process at a time.
    async fn made(directory: &Path, file: &Path) -> Result<(), StoreError> {
        if file.exists() {
            return Ok(());
        }
        let cannot = |error: std::io::Error| {
            StoreError::Unusable(format!(
                "the table cannot be made: {error}. Choose another directory with --data, or make it writable."
            ))
        };
        let lock = File::create(directory.join(LOCK)).map_err(cannot)?;
        // It ends with the process, however that ends.
        let lock = blocking(move || lock.lock().map(|()| lock).map_err(cannot)).await?;
        if !file.exists() {
            let making = directory.join(MAKING);
            for suffix in ["", "-wal", "-shm"] {
                match std::fs::remove_file(directory.join(format!("{MAKING}{suffix}"))) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(cannot(error)),
                    _ => {}
                }
            }
            // Closing it puts all of it into the one file.
            drop(Self::in_file(making.clone()).await?);
            std::fs::rename(making, file).map_err(cannot)?;
        }
        drop(lock);
        Ok(())
    }

    /// Opens a new table in memory that lives by this clock: what expires, and when.
    pub async fn in_memory(clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let database = Database::memory_with_clock(Arc::new(TtlClock(Arc::clone(&clock))))
            .map_err(|error| StoreError::Unusable(error.to_string()))?;
        Self::created(Self {
            database,
            home: Home::Memory,
            clock: Some(clock),
        })
        .await
    }

    /// Returns a store on this table, with counts of its own.
    pub fn store(&self) -> DynamoStore {
        self.store_through(|client| client)
    }

    /// Returns a store whose requests pass through something of the caller's on their way to the table, such as
    /// a test's faults.
    pub fn store_through(&self, wrap: impl FnOnce(SharedHttpClient) -> SharedHttpClient) -> DynamoStore {
        let counts = TableCounts::default();
        let store = DynamoStore::new(self.client(&counts, wrap), NAME, counts);
        match &self.clock {
            Some(clock) => store.with_clock(Arc::clone(clock)),
            None => store,
        }
    }

    /// Answers a request as it is on the wire: `operation` is the last part of `X-Amz-Target`, such as `GetItem`.
    /// Returns the status and the JSON.
    ///
    /// For tests that serve the table to other processes.
    pub async fn answer(&self, operation: &str, body: &[u8]) -> Result<(u16, String), StoreError> {
        let (database, operation, body) = (self.database.clone(), operation.to_owned(), body.to_vec());
        let answer = move || connector::answered(&database, &operation, &body);
        match self.home {
            Home::Memory => Ok(answer()),
            Home::File => tokio::task::spawn_blocking(answer)
                .await
                .map_err(|error| StoreError::Unavailable(error.to_string())),
        }
    }

    /// Removes rows whose time is over, as DynamoDB does by itself. Returns how many.
    ///
    /// For now and then, such as once an hour: it reads the whole table, a page at a time.
    pub async fn sweep_expired(&self) -> Result<usize, StoreError> {
        let database = self.database.clone();
        let sweep = move || database.sweep_ttl();
        let swept = match self.home {
            Home::Memory => sweep(),
            Home::File => tokio::task::spawn_blocking(sweep)
                .await
                .map_err(|error| StoreError::Unavailable(error.to_string()))?,
        };
        swept.map_err(|error| match connector::unusable(&error) {
            Some(text) => StoreError::Unusable(text),
            None => StoreError::Unavailable(error.to_string()),
        })
    }

    async fn created(self) -> Result<Self, StoreError> {
        // No stream: nobody would read it, and its records would fill the file.
        let schema = TableSchema {
            stream_view: None,
            ..TABLE
        };
        create_table(
            &self.client(&TableCounts::default(), |client| client),
            NAME,
            &schema,
        )
        .await?;
        Ok(self)
    }

    fn client(
        &self,
        counts: &TableCounts,
        wrap: impl FnOnce(SharedHttpClient) -> SharedHttpClient,
    ) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("local"))
            .credentials_provider(Credentials::new("embedded", "embedded", None, None, "embedded"))
            .endpoint_url("http://embedded.invalid")
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(ATTEMPTS_MAX)
                    .with_initial_backoff(PAUSE_FIRST),
            )
            // A call that waits for another process's lock gives up by itself, and must not be given up by the
            // SDK while it might yet go through.
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .sleep_impl(TokioSleep::new())
            .http_client(wrap(connect(self.database.clone(), self.home)))
            .interceptor(counts.clone());
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded")
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

/// Does something that may wait for another process.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StoreError::Unavailable(error.to_string()))?
}

fn make_directory(directory: &Path) -> Result<(), StoreError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        // Worklog texts lie in it; they are nobody else's.
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(directory).map_err(|error| {
        StoreError::Unusable(format!(
            "the data directory {} cannot be made: {error}. Choose another with --data, or make its parent writable.",
            directory.display()
        ))
    })
}

fn open_file(file: &Path) -> Result<Database, StoreError> {
    let path = file.to_str().ok_or_else(|| {
        StoreError::Unusable(format!(
            "{} is not UTF-8. Choose another directory with --data.",
            file.display()
        ))
    })?;
    Database::new(path).map_err(|error| {
        let text = connector::unusable(&error).unwrap_or_else(|| error.to_string());
        match error {
            DynoxideError::InternalServerError(_) | DynoxideError::SqliteError(_) if is_busy(&text) => {
                StoreError::Unavailable(format!("{path} is busy: {text}"))
            }
            _ => StoreError::Unusable(format!("{path} cannot be opened: {text}")),
        }
    })
}

fn is_busy(text: &str) -> bool {
    text.contains("locked") || text.contains("busy")
}

/// The engine's clock in the embedded table's words.
struct TtlClock(Arc<dyn Clock>);

impl dynoxide::storage_backend::Clock for TtlClock {
    fn now_unix_secs(&self) -> u64 {
        u64::try_from(self.0.now().as_second()).unwrap_or(0)
    }

    fn now_unix_secs_f64(&self) -> f64 {
        self.0.now().as_duration().as_secs_f64()
    }
}
