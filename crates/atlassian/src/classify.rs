//! From an answer that is no success to what it means.

use http::StatusCode;
use tandem_core::Reason;
use tandem_engine::ports::site::{Outcome, SiteError, SiteErrorKind, Vendor};

use crate::answer::{Answer, Misread};
use crate::call::{Call, Effect};
use crate::credentials::SiteCredentials;
use crate::transport::TransportError;
use crate::{jira, redact, tempo};

/// Says whether Tempo refused a write because the site demands a remaining estimate.
///
/// The wording is all there is: Tempo sends no error code.
pub fn is_estimate_required(error: &SiteError) -> bool {
    matches!(error.kind, SiteErrorKind::Refused(_)) && tempo::errors::demands_estimate(&error.message)
}

/// Makes a message for a person out of what a site said with a status, if it said anything.
pub(crate) fn said_with(status: StatusCode, said: &str, credentials: Option<&SiteCredentials>) -> String {
    let message = redact::message(said, credentials);
    match message.is_empty() {
        true => format!("{} without a message", status.as_u16()),
        false => message,
    }
}

/// Returns the error that an answer other than 2xx stands for.
pub(crate) fn refusal(call: &Call, answer: &Answer, credentials: Option<&SiteCredentials>) -> SiteError {
    let status = answer.status;
    let said = match call.vendor {
        Vendor::Tempo => tempo::errors::text(&answer.body),
        Vendor::Jira => jira::errors::text(&answer.body),
    };
    let shown =
        sent_secret(call).map_or_else(|| said.clone(), |secret| redact::without_secret(&said, secret));
    let mut message = said_with(status, &shown, credentials);
    let retry_after = answer.retry_after();
    let kind = match status {
        StatusCode::UNAUTHORIZED => SiteErrorKind::CredentialsRejected,
        StatusCode::NOT_FOUND => SiteErrorKind::NotFound,
        StatusCode::CONFLICT => SiteErrorKind::Busy,
        StatusCode::TOO_MANY_REQUESTS => {
            if let Some(reason) = answer.header("ratelimit-reason") {
                message = redact::message(&format!("{reason}: {message}"), credentials);
            }
            SiteErrorKind::RateLimited { retry_after }
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => SiteErrorKind::Unreachable { retry_after },
        status if status.is_client_error() => SiteErrorKind::Refused(match call.vendor {
            Vendor::Tempo => tempo::errors::reason(status, &said),
            Vendor::Jira => jira::errors::reason(status),
        }),
        status if status.is_redirection() => {
            message = "answered with a redirect, which is not followed".into();
            SiteErrorKind::Unreachable { retry_after }
        }
        _ => SiteErrorKind::Unreachable { retry_after },
    };
    // A 408 may come from a gateway that had passed the request on.
    let refused = status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT;
    error(call, kind, outcome(call, !refused), Some(status), message)
}

/// Returns the error for an answer that says that the credentials did not count.
pub(crate) fn login_failed(call: &Call, status: StatusCode) -> SiteError {
    let message =
        "the site took the call for an anonymous one: the token or its e-mail address is not accepted";
    // An anonymous user writes nothing.
    error(
        call,
        SiteErrorKind::CredentialsRejected,
        Outcome::NothingDone,
        Some(status),
        message.into(),
    )
}

/// Returns the error for a successful answer that cannot be understood.
pub(crate) fn misread(
    call: &Call,
    answer: &Answer,
    misread: &Misread,
    credentials: Option<&SiteCredentials>,
) -> SiteError {
    let excerpt = match sent_secret(call) {
        Some(secret) => {
            let said = String::from_utf8_lossy(&answer.body);
            redact::excerpt(redact::without_secret(&said, secret).as_bytes(), credentials)
        }
        None => redact::excerpt(&answer.body, credentials),
    };
    let message = format!("{excerpt} ({})", misread.0);
    error(
        call,
        SiteErrorKind::Malformed,
        outcome(call, true),
        Some(answer.status),
        message,
    )
}

/// Returns the error for a call without an answer.
pub(crate) fn unanswered(call: &Call, cause: &TransportError) -> SiteError {
    let (kind, sent) = match cause {
        TransportError::NotSent(_) => (SiteErrorKind::Unreachable { retry_after: None }, false),
        TransportError::Unknown(_) => (SiteErrorKind::Unreachable { retry_after: None }, true),
        TransportError::TooLarge => (SiteErrorKind::Malformed, true),
    };
    error(call, kind, outcome(call, sent), None, cause.to_string())
}

/// Returns the error for a call that was not sent at all.
pub(crate) fn unsent(call: &Call, kind: SiteErrorKind, message: impl Into<String>) -> SiteError {
    error(call, kind, Outcome::NothingDone, None, message.into())
}

/// Returns the error for a call whose arguments the vendor would refuse.
pub(crate) fn unusable(call: &Call, message: impl Into<String>) -> SiteError {
    unsent(call, SiteErrorKind::Unusable, message)
}

/// Returns the error for a successful answer to a token that is not this site's.
pub(crate) fn anothers(call: &Call, status: StatusCode, message: String) -> SiteError {
    error(
        call,
        SiteErrorKind::CredentialsRejected,
        Outcome::NothingDone,
        Some(status),
        message,
    )
}

/// Returns a refusal that came inside a successful answer.
pub(crate) fn refused_inside(call: &Call, status: StatusCode, reason: Reason, message: String) -> SiteError {
    error(
        call,
        SiteErrorKind::Refused(reason),
        Outcome::NothingDone,
        Some(status),
        message,
    )
}

/// Returns what was sent as a new webhook's secret: nothing that a site says may show it.
fn sent_secret(call: &Call) -> Option<&str> {
    call.body.as_ref()?.get("secret")?.as_str()
}

fn outcome(call: &Call, may_have_worked: bool) -> Outcome {
    match (call.effect, may_have_worked) {
        (Effect::Write, true) => Outcome::Unknown,
        _ => Outcome::NothingDone,
    }
}

fn error(
    call: &Call,
    kind: SiteErrorKind,
    outcome: Outcome,
    status: Option<StatusCode>,
    message: String,
) -> SiteError {
    let status = status.map(|status| status.as_u16());
    SiteError {
        vendor: call.vendor,
        call: call.name(),
        kind,
        outcome,
        status,
        message,
    }
}
