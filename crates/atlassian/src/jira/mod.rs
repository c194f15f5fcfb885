//! Jira Cloud's REST API, version 3.

pub mod admin;
pub mod errors;
pub mod request;
pub mod wire;
