//! Adapters between Tandem's engine and the two vendors: Tempo (REST v4) and Jira Cloud (REST v3).
//!
//! Start with [`AtlassianSite`], which implements the engine's [`SiteClient`](tandem_engine::ports::site::SiteClient).
//! Each of its methods builds a [`Call`] with a pure function, hands it to a [`Transport`], and reads the answer
//! with another pure function, so requests and answers are tested without sending anything.
//!
//! Not in here, on purpose: retries and pacing (the engine counts and paces; a retry in here would repeat a
//! POST unseen), decisions about worklogs, storage, and the reading of secrets. Only [`transport`] touches the
//! network. Wire structs stay in this crate; what leaves it are the words of `tandem-core`.

mod admin;
mod answer;
mod call;
mod classify;
mod credentials;
mod endpoints;
mod instant;
pub mod jira;
mod lenient;
mod observer;
mod redact;
mod send;
pub mod signature;
mod site;
pub mod tempo;
pub mod transport;
pub mod webhook;

pub use answer::{Answer, Misread};
pub use call::{Auth, Call, Effect};
pub use classify::is_estimate_required;
pub use credentials::{Credentials, CredentialsError, SiteCredentials};
pub use endpoints::{SiteEndpoints, UrlError};
pub use instant::parse_instant;
pub use observer::{RequestObserver, RequestSeen};
pub use redact::{MESSAGE_CHARS_MAX, excerpt, message};
pub use send::{AtlassianSite, CALL_DEADLINE};
pub use transport::{LazyTransport, ReqwestTransport, Transport, TransportError};
