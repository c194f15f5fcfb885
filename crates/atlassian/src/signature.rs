//! Signatures of webhooks: checked over the raw body, in constant time, with any of several secrets.

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use crate::instant::parse_instant;

/// How old a `Tempo-Timestamp` may be. It is the time of the first attempt, and Tempo tries for 2.5 hours.
pub const TEMPO_AGE_MAX: SignedDuration = SignedDuration::from_hours(4);
/// How far ahead of our clock a `Tempo-Timestamp` may be.
pub const TEMPO_AHEAD_MAX: SignedDuration = SignedDuration::from_mins(10);

/// Checks an `X-Hub-Signature: sha256=<hex>` of Jira. Other methods are refused.
///
/// It covers no time: replays have to be told by the webhook's identifier.
pub fn verify_jira(raw_body: &[u8], header: &str, secrets: &[SecretString]) -> bool {
    match header.trim().split_once('=') {
        Some((method, digits)) if method.trim().eq_ignore_ascii_case("sha256") => {
            verify(&[raw_body], digits, secrets)
        }
        _ => false,
    }
}

/// Checks a `Tempo-Signature`: hex of the HMAC over the body followed by `Tempo-Timestamp`, as sent.
///
/// `timestamp` has to be an instant at most [`TEMPO_AGE_MAX`] old and [`TEMPO_AHEAD_MAX`] ahead of `now`.
pub fn verify_tempo(
    raw_body: &[u8],
    signature: &str,
    timestamp: &str,
    secrets: &[SecretString],
    now: Timestamp,
) -> bool {
    let timely = parse_instant(timestamp).is_some_and(|at| {
        let age = now.duration_since(at);
        age <= TEMPO_AGE_MAX && age >= -TEMPO_AHEAD_MAX
    });
    timely && verify(&[raw_body, timestamp.as_bytes()], signature, secrets)
}

/// Signs a body as Jira does. Returns the header's value.
pub fn sign_jira(raw_body: &[u8], secret: &SecretString) -> String {
    match mac(&[raw_body], secret) {
        Some(mac) => format!("sha256={}", hex::encode(mac.finalize().into_bytes())),
        None => String::new(),
    }
}

/// Signs a body as Tempo does. Returns the value of `Tempo-Signature`.
pub fn sign_tempo(raw_body: &[u8], timestamp: &str, secret: &SecretString) -> String {
    match mac(&[raw_body, timestamp.as_bytes()], secret) {
        Some(mac) => hex::encode(mac.finalize().into_bytes()),
        None => String::new(),
    }
}

fn verify(parts: &[&[u8]], digits: &str, secrets: &[SecretString]) -> bool {
    let Ok(claimed) = hex::decode(digits.trim()) else {
        return false;
    };
    // All are tried, so that the time taken does not tell which one fits. An empty secret is none: anybody
    // could sign with it.
    secrets
        .iter()
        .filter(|secret| !secret.expose_secret().is_empty())
        .filter_map(|secret| mac(parts, secret))
        .fold(false, |valid, mac| mac.verify_slice(&claimed).is_ok() | valid)
}

/// `None` never happens: HMAC takes keys of any length.
fn mac(parts: &[&[u8]], secret: &SecretString) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).ok()?;
    parts.iter().for_each(|part| mac.update(part));
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTOR: &str = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9";

    fn secrets(all: &[&str]) -> Vec<SecretString> {
        all.iter()
            .map(|secret| SecretString::from((*secret).to_owned()))
            .collect()
    }

    #[test]
    fn jira_agrees_with_the_documented_vector() {
        let secret = secrets(&["It's a Secret to Everybody"]);
        assert_eq!(sign_jira(b"Hello World!", &secret[0]), VECTOR);
        assert!(verify_jira(b"Hello World!", VECTOR, &secret));
        assert!(verify_jira(
            b"Hello World!",
            VECTOR,
            &secrets(&["new", "It's a Secret to Everybody"])
        ));
        assert!(verify_jira(
            b"Hello World!",
            &VECTOR.replace("a4771c", "A4771C"),
            &secret
        ));
    }

    #[test]
    fn jira_refuses_what_is_not_signed_right() {
        let secret = secrets(&["It's a Secret to Everybody"]);
        assert!(!verify_jira(b"Hello World", VECTOR, &secret));
        assert!(!verify_jira(b"Hello World!", VECTOR, &[]));
        assert!(!verify_jira(b"Hello World!", VECTOR, &secrets(&["", "other"])));
        for header in [
            "",
            "sha256=",
            "sha1=a4771c39",
            VECTOR.trim_start_matches("sha256="),
            "sha256=zz",
            &VECTOR[..40],
        ] {
            assert!(!verify_jira(b"Hello World!", header, &secret), "{header}");
        }
        let empty = secrets(&[""]);
        assert!(!verify_jira(b"x", &sign_jira(b"x", &empty[0]), &empty));
    }

    #[test]
    fn tempo_covers_the_timestamp_and_its_age() {
        let secret = secrets(&["k"]);
        let first = "2026-01-01T00:00:00.000Z";
        let signature = sign_tempo(b"{}", first, &secret[0]);
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let verify =
            |timestamp: &str, now: &str| verify_tempo(b"{}", &signature, timestamp, &secret, at(now));
        assert!(verify(first, "2026-01-01T00:00:01Z"));
        assert!(verify(first, "2026-01-01T04:00:00Z"), "the tenth attempt");
        assert!(verify(first, "2025-12-31T23:50:00Z"), "our clock is behind");
        assert!(!verify(first, "2026-01-01T04:00:01Z"));
        assert!(!verify(first, "2025-12-31T23:49:59Z"));
        assert!(
            !verify("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"),
            "another spelling is another text"
        );
        assert!(!verify("soon", "2026-01-01T00:00:01Z"));
    }
}
