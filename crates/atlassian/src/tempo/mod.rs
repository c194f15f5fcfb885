//! Tempo's REST API, version 4.

pub mod admin;
pub mod errors;
pub mod oauth;
pub mod request;
pub mod wire;
