//! Whole requests at the webhook endpoint: the real router, the real table, a clock that stands still.
//!
//! An input reads like a request: a line with method and address, header lines, an empty line, the body. The
//! value `good` of a signature is replaced by the right one, and `x-pad: N` puts N blanks behind the body.

use std::cell::RefCell;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::BodyExt as _;
use jiff::SignedDuration;
use secrecy::SecretString;
use tandem_atlassian::parse_instant;
use tandem_atlassian::signature::{TEMPO_AGE_MAX, TEMPO_AHEAD_MAX, sign_jira, sign_tempo};
use tandem_runtime::router::{BODY_BYTES_MAX, Current, router};
use tower::ServiceExt as _;

use crate::leaks::assert_hides;
use crate::world::{self, NOW, WEBHOOK_SECRET};

/// Requests that share a table.
const REQUESTS_PER_TABLE: usize = 2_000;

/// The most blanks that are put behind a body.
const PAD_MAX: usize = BODY_BYTES_MAX + 1_000;

struct Endpoint {
    runtime: tokio::runtime::Runtime,
    router: Router,
    left: usize,
}

impl Endpoint {
    fn new() -> Self {
        let runtime = world::runtime();
        let tandem = runtime.block_on(world::two_sites());
        let current: Arc<dyn Current> = Arc::new(Arc::new(tandem));
        Self {
            runtime,
            router: router(current),
            left: REQUESTS_PER_TABLE,
        }
    }
}

thread_local! {
    static ENDPOINT: RefCell<Option<Endpoint>> = const { RefCell::new(None) };
}

pub(crate) fn run(input: &[u8]) {
    let Some(asked) = Asked::read(input) else { return };
    ENDPOINT.with_borrow_mut(|kept| {
        // Taken out while it is used: after a panic the next input gets a new one.
        let mut endpoint = kept.take().unwrap_or_else(Endpoint::new);
        let service = endpoint.router.clone();
        let (status, body) = endpoint.runtime.block_on(async {
            let response = service.oneshot(asked.request()).await.unwrap();
            let status = response.status();
            (status, response.into_body().collect().await.unwrap().to_bytes())
        });
        asked.judge(status, &body);
        endpoint.left -= 1;
        *kept = (endpoint.left > 0).then_some(endpoint);
    });
}

struct Asked {
    method: Method,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
}

impl Asked {
    /// Makes a request of an input; `None` where HTTP has no such request.
    fn read(input: &[u8]) -> Option<Self> {
        let (head, body) = match input.windows(2).position(|pair| pair == b"\n\n") {
            Some(at) => (&input[..at], &input[at + 2..]),
            None => (input, &[][..]),
        };
        let mut lines = head.split(|byte| *byte == b'\n');
        let mut first = lines.next()?.splitn(2, |byte| *byte == b' ');
        let method = Method::from_bytes(first.next()?).ok()?;
        let uri = Uri::try_from(first.next()?).ok()?;
        let mut body = body.to_vec();
        let mut headers = Vec::new();
        for line in lines {
            let at = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..at]).ok()?;
            let value = HeaderValue::from_bytes(line[at + 1..].trim_ascii()).ok()?;
            match value.to_str().ok().filter(|_| name == "x-pad") {
                Some(count) => {
                    let count = count.parse().unwrap_or(0_usize).min(PAD_MAX);
                    body.resize(body.len() + count, b' ');
                }
                None => headers.push((name, value)),
            }
        }
        let mut asked = Self {
            method,
            uri,
            headers,
            body,
        };
        asked.sign();
        Some(asked)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name)?;
        value.to_str().ok()
    }

    fn sign(&mut self) {
        let (jira, tempo) = self.right_signatures();
        for (name, value) in &mut self.headers {
            let right = match name.as_str() {
                "x-hub-signature" => &jira,
                "tempo-signature" => &tempo,
                _ => continue,
            };
            if value == "good" {
                *value = right.parse().unwrap();
            }
        }
    }

    fn right_signatures(&self) -> (String, String) {
        let secret = SecretString::from(WEBHOOK_SECRET);
        let timestamp = self.header("tempo-timestamp").unwrap_or_default();
        (
            sign_jira(&self.body, &secret),
            sign_tempo(&self.body, timestamp, &secret),
        )
    }

    fn request(&self) -> Request<Body> {
        let mut request = Request::new(Body::from(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        for (name, value) in &self.headers {
            request.headers_mut().append(name, value.clone());
        }
        request
    }

    /// Says whether a signature is there that only somebody with the secret can make.
    fn is_signed(&self, vendor: &str) -> bool {
        let (jira, tempo) = self.right_signatures();
        let same = |said: &str, right: &str| said.trim().eq_ignore_ascii_case(right);
        if vendor == "jira" {
            let said = self.header("x-hub-signature").unwrap_or_default();
            let digits = said
                .split_once('=')
                .filter(|(method, _)| method.trim().eq_ignore_ascii_case("sha256"));
            return digits.is_some_and(|(_, digits)| same(digits, &jira["sha256=".len()..]));
        }
        let Some(timestamp) = self.header("tempo-timestamp") else {
            return false;
        };
        let now: jiff::Timestamp = NOW.parse().unwrap();
        let is_timely = parse_instant(timestamp).is_some_and(|at| {
            let age: SignedDuration = now.duration_since(at);
            (-TEMPO_AHEAD_MAX..=TEMPO_AGE_MAX).contains(&age)
        });
        is_timely && same(self.header("tempo-signature").unwrap_or_default(), &tempo)
    }

    fn judge(&self, status: StatusCode, answer: &[u8]) {
        let shown = String::from_utf8_lossy(answer);
        assert!(!status.is_server_error(), "{status}: {shown}");
        for secret in [WEBHOOK_SECRET, world::TEMPO_TOKEN, world::JIRA_TOKEN] {
            assert_hides(&shown, secret, &self.body);
        }
        let path: Vec<&str> = self.uri.path().split('/').collect();
        let ["", "hooks", vendor @ ("jira" | "tempo"), site] = path[..] else {
            return;
        };
        // Escaped names and empty ones are the router's to read.
        if self.method != Method::POST || site.is_empty() || site.contains('%') {
            return;
        }
        let is_known = ["acme", "globex"].contains(&site);
        let expected: &[u16] = if self.body.len() > BODY_BYTES_MAX {
            &[413]
        } else if !is_known || !self.is_signed(vendor) {
            assert_eq!(
                shown, "the signature is missing or wrong, or there is no such site",
                "nobody learns which of the three it is"
            );
            &[401]
        } else if serde_json::from_slice::<serde_json::Value>(&self.body).is_err() {
            &[400]
        } else {
            &[202, 204]
        };
        assert!(
            expected.contains(&status.as_u16()),
            "{status} instead of one of {expected:?}: {shown}"
        );
    }
}
