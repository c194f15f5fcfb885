//! What the engine needs from outside, in its own words.
//!
//! Adapters implement these traits; the engine owns no client.

pub mod clock;
pub mod grounds;
pub mod observer;
pub mod scratch;
pub mod site;
pub mod store;

pub use clock::Clock;
pub use grounds::Grounds;
pub use observer::{Happened, Observer};
pub use scratch::{Scratch, ScratchFile};
pub use site::{SiteClient, SiteError};
pub use store::{Store, StoreError};
