//! The thin layer between axum and the simulated world: a request read whole, an answer built whole.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use serde::Serialize;
use serde_json::Value;
use url::Url;

/// Marks a response that stands for a broken connection, for callers that don't use a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionReset;

/// Larger requests are refused; nothing the product sends comes near.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A request read whole.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Scheme and host as the caller wrote them, and the prefix this service hangs under, if any.
    pub(crate) base: String,
    /// The path below `base`, still percent-encoded.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) authorization: Option<String>,
    /// The `User-Agent`, `""` when there is none.
    pub(crate) agent: String,
    pub(crate) body: Bytes,
}

impl Request {
    /// Reads an axum request; `None` when its body breaks off.
    pub(crate) async fn read(request: axum::extract::Request) -> Option<Self> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.ok()?;
        let header = |name| {
            parts
                .headers
                .get(name)
                .and_then(|v: &http::HeaderValue| v.to_str().ok())
        };
        let host = header(HOST).map(str::to_owned);
        let authority = parts.uri.authority().map(ToString::to_string).or(host);
        let scheme = parts.uri.scheme_str().unwrap_or("http");
        let query = parts.uri.query().unwrap_or_default();
        Some(Self {
            method: parts.method.to_string(),
            base: format!("{scheme}://{}", authority.as_deref().unwrap_or("localhost")),
            path: parts.uri.path().to_owned(),
            query: url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            authorization: header(AUTHORIZATION).map(str::to_owned),
            agent: header(USER_AGENT).unwrap_or_default().to_owned(),
            body,
        })
    }

    /// Moves the first `n` segments of the path over to the base.
    pub(crate) fn below(&self, n: usize) -> Self {
        let mut at = 0;
        for _ in 0..n {
            at += 1 + self.path[at + 1..].find('/').unwrap_or(self.path.len() - at - 1);
        }
        let (prefix, rest) = self.path.split_at(at);
        Self {
            base: format!("{}{prefix}", self.base),
            path: rest.to_owned(),
            ..self.clone()
        }
    }

    /// Returns the path's segments, percent-decoded.
    pub(crate) fn segments(&self) -> Vec<String> {
        self.path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| {
                // A plus is a plus in a path, so it is kept out of the form decoder's hands.
                let escaped = segment.replace('+', "%2B");
                url::form_urlencoded::parse(format!("s={escaped}").as_bytes())
                    .next()
                    .map_or_else(|| segment.to_owned(), |(_, value)| value.into_owned())
            })
            .collect()
    }

    /// Returns the first value of a query parameter.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns all values of a query parameter.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.query
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns this request's own address with some query parameters replaced.
    pub(crate) fn url_with(&self, replaced: &[(&str, String)]) -> String {
        let mut url = Url::parse(&format!("{}{}", self.base, self.path))
            .expect("an address made of a request's own parts parses");
        let kept = self
            .query
            .iter()
            .filter(|(key, _)| replaced.iter().all(|(name, _)| name != key));
        let replaced = replaced
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        let pairs: Vec<(String, String)> = kept.cloned().chain(replaced).collect();
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(&pairs);
        }
        url.into()
    }

    /// Returns this request's own address.
    pub(crate) fn url(&self) -> String {
        self.url_with(&[])
    }

    /// Reads the body as JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// An answer, with what goes wrong on its way back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) delay: Duration,
    pub(crate) half: bool,
    pub(crate) reset: bool,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &impl Serialize) -> Self {
        Self {
            status,
            content_type: Some("application/json;charset=UTF-8"),
            body: serde_json::to_vec(body).expect("what the simulator answers can be written as JSON"),
            ..Self::default()
        }
    }

    pub(crate) fn ok(body: &impl Serialize) -> Self {
        Self::json(200, body)
    }

    pub(crate) fn no_content() -> Self {
        Self {
            status: 204,
            ..Self::default()
        }
    }

    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self {
            status,
            content_type: Some("text/plain"),
            body: body.into(),
            ..Self::default()
        }
    }

    pub(crate) fn html(status: u16, body: &str) -> Self {
        Self {
            content_type: Some("text/html;charset=UTF-8"),
            ..Self::text(status, body)
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sends the answer, however late or broken.
    pub(crate) async fn send(self) -> Response {
        if self.delay > Duration::ZERO {
            tokio::time::sleep(self.delay).await;
        }
        let mut response = Response::builder().status(self.status);
        if let Some(content_type) = self.content_type {
            response = response.header(CONTENT_TYPE, content_type);
        }
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        let body = if self.half || self.reset {
            let length = self.body.len().max(64);
            response = response.header(CONTENT_LENGTH, length);
            let sent = if self.half { self.body.len() / 2 } else { 0 };
            broken_body(Bytes::from(self.body).slice(..sent))
        } else {
            Body::from(self.body)
        };
        let mut response = response.body(body).expect("the parts of an answer are valid");
        if self.reset {
            response.extensions_mut().insert(ConnectionReset);
        }
        response
    }
}

/// A body that ends in an error after what is given.
fn broken_body(start: Bytes) -> Body {
    let cut = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "connection reset by peer");
    Body::from_stream(stream::iter([Ok(start), Err(cut)]))
}

/// Turns a function from request to answer into a router that serves every path.
pub(crate) fn router<F>(answer: F) -> axum::Router
where
    F: Fn(&Request) -> Reply + Clone + Send + Sync + 'static,
{
    axum::Router::new().fallback(move |request: axum::extract::Request| {
        let answer = answer.clone();
        async move {
            let reply = match Request::read(request).await {
                Some(request) => answer(&request),
                None => Reply::text(413, "request body too large or broken off"),
            };
            reply.send().await
        }
    })
}
