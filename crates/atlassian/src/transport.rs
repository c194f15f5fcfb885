//! The only place that touches the network.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};

/// How long to wait for a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest answer that is read, in bytes. A page of 5,000 worklogs stays well below.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why there is no answer. The texts name no header and no address, but for the host that was not reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Nothing reached the site for certain: no name, no route, refused, no TLS.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It was sent, or may have been: time-out, reset, half an answer.
    #[error("no answer: {0}")]
    Unknown(String),
    /// The answer was longer than [`ANSWER_BYTES_MAX`].
    #[error("the answer is too large")]
    TooLarge,
}

/// Sends one request and reads the whole answer. Follows no redirect and repeats nothing.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a request; after `deadline` it is over, answer read or not.
    async fn send(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, TransportError>;
}

#[async_trait]
impl<T: Transport + ?Sized> Transport for Arc<T> {
    async fn send(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, TransportError> {
        (**self).send(request, deadline).await
    }
}

/// Why no client could be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// TLS could not be set up.
    #[error("TLS could not be set up")]
    Tls(#[source] rustls::Error),
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    Http(#[source] reqwest::Error),
}

/// The real network. One per process: it keeps connections open.
///
/// It takes no proxy from the environment: a proxy set for something else must not see loopback calls.
#[derive(Clone, Debug)]
pub struct ReqwestTransport {
    client: reqwest::Client,
}

impl ReqwestTransport {
    /// Sets the client up.
    ///
    /// # Errors
    /// Only when TLS or the client cannot be set up at all: a bug, or a broken machine.
    pub fn new() -> Result<Self, ClientError> {
        // Provider and roots are named here: neither a process-wide default nor the machine's store decides.
        let roots = rustls::RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        let mut tls =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(ClientError::Tls)?
                .with_root_certificates(roots)
                .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("tandem/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .gzip(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(50))
            .build()
            .map_err(ClientError::Http)?;
        Ok(Self { client })
    }
}

/// The real network, set up with the first request or by [`prepare`](Self::prepare): that takes a while, and whoever takes in
/// webhooks never sends one.
#[derive(Debug, Default)]
pub struct LazyTransport {
    made: OnceLock<Result<ReqwestTransport, String>>,
}

impl LazyTransport {
    /// Sets the client up now, such as while something else is waited for.
    pub fn prepare(&self) {
        let _ = self.made();
    }

    fn made(&self) -> Result<&ReqwestTransport, TransportError> {
        let made = self
            .made
            .get_or_init(|| ReqwestTransport::new().map_err(|error| error.to_string()));
        made.as_ref()
            .map_err(|problem| TransportError::NotSent(problem.clone()))
    }
}

#[async_trait]
impl Transport for LazyTransport {
    async fn send(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, TransportError> {
        self.made()?.send(request, deadline).await
    }
}

#[async_trait]
impl Transport for ReqwestTransport {
    async fn send(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, TransportError> {
        let mut request = reqwest::Request::try_from(request).map_err(failure)?;
        *request.timeout_mut() = Some(deadline);
        let mut answer = self.client.execute(request).await.map_err(failure)?;
        let mut parts = Response::new(());
        *parts.status_mut() = answer.status();
        *parts.headers_mut() = std::mem::take(answer.headers_mut());
        let mut body = BytesMut::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| TransportError::Unknown(words(&error)))?
        {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(TransportError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(parts.map(|()| body.freeze()))
    }
}

fn failure(error: reqwest::Error) -> TransportError {
    // A builder error comes before, a connect error instead of sending.
    match error.is_connect() || error.is_builder() {
        true => TransportError::NotSent(words(&error)),
        false => TransportError::Unknown(words(&error)),
    }
}

/// Says what went wrong in fixed words: an error's own text may carry the address with its query. Of the address, the
/// host is told where it was not reached.
fn words(error: &reqwest::Error) -> String {
    let host = || {
        let url = error.url();
        let port = url
            .and_then(reqwest::Url::port)
            .map_or_else(String::new, |port| format!(":{port}"));
        let host = url.and_then(|url| url.host_str()).unwrap_or("the site");
        format!("{host}{port}")
    };
    let text = match error {
        _ if error.is_dns() => {
            return format!("the name of {} cannot be resolved", host());
        }
        _ if error.is_connect() && error.is_timeout() => {
            return format!("no connection to {} in time", host());
        }
        _ if error.is_connect() => return format!("no connection to {}", host()),
        _ if error.is_timeout() => "no answer in time",
        _ if error.is_builder() => "the request is not valid",
        _ if error.is_decode() => "the answer cannot be decoded",
        _ if error.is_body() => "the answer broke off",
        _ => "the connection broke",
    };
    text.to_owned()
}
