//! A webhook request as it goes out, and its signature.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::fault::Vendor;

/// What a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryKind {
    /// An event.
    Event,
    /// Tempo's handshake: a GET that has to be answered with the random string in its query.
    Handshake,
    /// An event somebody made up; its signature is wrong.
    Forged,
}

/// A webhook request, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Identifies the delivery towards [`Sim::delivered`](crate::Sim::delivered); the same for each attempt.
    pub id: u64,
    /// The site that sends it.
    pub site: String,
    /// The service that sends it.
    pub vendor: Vendor,
    /// What it is.
    pub kind: DeliveryKind,
    /// The event, such as `worklog.created`; empty for a handshake.
    pub event: String,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Where it goes, query included.
    pub url: String,
    /// The headers, signature included.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Counts from 1.
    pub attempt: u32,
}

/// Whether Jira sees an event as a person's doing or as fallout of something larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Primary,
    Secondary,
}

/// Returns the hexadecimal HMAC-SHA256 of some parts, one after the other.
pub(crate) fn hmac_hex(secret: &str, parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::hmac_hex;

    #[test]
    fn signature_agrees_with_the_published_vector() {
        assert_eq!(
            hmac_hex("It's a Secret to Everybody", &[b"Hello ", b"World!"]),
            "a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
        );
    }
}
