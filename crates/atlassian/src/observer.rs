//! Counting requests from outside.

use http::Method;
use tandem_core::SiteName;
use tandem_engine::ports::site::Vendor;

/// One request that was made.
#[derive(Clone, Copy, Debug)]
pub struct RequestSeen<'a> {
    /// The site that it went to.
    pub site: &'a SiteName,
    /// Which of its services.
    pub vendor: Vendor,
    /// The HTTP method.
    pub method: &'a Method,
    /// The path with placeholders, such as `/4/worklogs/{id}`.
    pub template: &'static str,
    /// The answer's status; `None` when there was none.
    pub status: Option<u16>,
}

/// Is told of every HTTP request, once it is over.
pub trait RequestObserver: Send + Sync {
    /// Takes note of a request. Called on the caller's task: it should return at once.
    fn seen(&self, request: RequestSeen<'_>);
}
