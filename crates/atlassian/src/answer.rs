//! A site's answer, and what it says beside its body.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::instant;

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decoded.
    pub body: Bytes,
}

/// Why an answer could not be understood: where, never what was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misread(pub String);

impl Misread {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl From<serde_json::Error> for Misread {
    fn from(error: serde_json::Error) -> Self {
        // Its own text may quote values; these beginnings do not.
        let text = error.to_string();
        let known = ["missing field `", "not a", "a negative number", "invalid type"];
        let what = match error.classify() {
            serde_json::error::Category::Data => match known.iter().find(|known| text.starts_with(**known)) {
                Some(&"invalid type") => "a value of another type",
                Some(_) => text.split(" at line ").next().unwrap_or_default(),
                None => "an unexpected value",
            },
            serde_json::error::Category::Eof => "cut short",
            _ => "not JSON",
        };
        match error.line() {
            // It was read from a value, which has no lines.
            0 => Self(what.to_owned()),
            line => Self(format!("{what} at line {line} column {}", error.column())),
        }
    }
}

/// Reads JSON.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Misread> {
    Ok(serde_json::from_slice(body)?)
}

impl From<Response<Bytes>> for Answer {
    fn from(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }
}

impl Answer {
    /// Returns a header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns how long the site asks to wait: `Retry-After`, or else Jira's `X-RateLimit-Reset` on a 429.
    ///
    /// Dates count from the answer's own `Date`, where there is one, so that a wrong clock here does no harm.
    pub fn retry_after(&self) -> Option<Duration> {
        let now = self
            .header("date")
            .and_then(instant::http_date)
            .unwrap_or_else(Timestamp::now);
        if let Some(wait) = self
            .header("retry-after")
            .and_then(|text| instant::retry_after(text, now))
        {
            return Some(wait);
        }
        // Jira sends the reset with every answer; only a 429 is about waiting for it.
        let reset =
            (self.status == StatusCode::TOO_MANY_REQUESTS).then(|| self.header("x-ratelimit-reset"))??;
        instant::parse_instant(reset).map(|at| instant::until(at, now))
    }

    /// Says whether Jira took the call for an anonymous one because the credentials were no good.
    ///
    /// With an expired token, calls that strangers may make get 200 or 404 instead of 401, and this header
    /// alone tells (MrRefactoring/jira.js#418). Taken at face value, every issue would seem to be gone.
    pub fn login_failed(&self) -> bool {
        self.header("x-seraph-loginreason").is_some_and(|reason| {
            reason.contains("AUTHENTICATED_FAILED") || reason.contains("AUTHENTICATION_DENIED")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> Answer {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in headers {
            response.headers_mut().insert(*name, value.parse().unwrap());
        }
        response.into()
    }

    #[test]
    fn waits_come_from_retry_after_or_the_reset() {
        let date = ("date", "Thu, 01 Jan 2026 00:00:00 GMT");
        let reset = ("x-ratelimit-reset", "2026-01-01T00:01:00Z");
        assert_eq!(
            answer(429, &[date, reset]).retry_after(),
            Some(Duration::from_secs(60))
        );
        assert_eq!(
            answer(429, &[date, reset, ("retry-after", "2")]).retry_after(),
            Some(Duration::from_secs(2))
        );
        assert_eq!(answer(503, &[date, reset]).retry_after(), None);
        assert_eq!(
            answer(503, &[date, ("retry-after", "Thu, 01 Jan 2026 00:00:09 GMT")]).retry_after(),
            Some(Duration::from_secs(9))
        );
        assert_eq!(answer(429, &[]).retry_after(), None);
    }
}
