//! What Tandem needs of AWS: the one table and the secrets.
//!
//! [`DynamoStore`] is the engine's [`Store`](tandem_engine::ports::Store) on DynamoDB, [`Embedded`] puts the
//! same store on a table inside this process, and [`Secrets`] fetches and reads what a site's secret holds.
//! Nothing here knows a vendor's HTTP or decides anything about worklogs: methods are single atomic steps.
//!
//! The feature `embedded` (the default) brings that table; functions do without it.
//!
//! Start with [`dynamodb::keys`] for what is stored under which key.

mod chain;
pub mod counts;
pub mod dynamodb;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod environment;
mod https;
mod key;
pub mod secrets;
pub mod topic;

pub use counts::TableCounts;
pub use dynamodb::DynamoStore;
pub use dynamodb::schema::TableSchema;
pub use dynamodb::{Forget, Found, Newer, Told};
#[cfg(feature = "embedded")]
pub use embedded::Embedded;
pub use environment::{AwsEnvironment, EnvironmentError};
pub use secrets::{SecretError, SecretSource, Secrets, SiteSecret};
pub use topic::{Topic, TopicError};
