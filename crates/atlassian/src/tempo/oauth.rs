//! Tempo's OAuth 2.0: a new pair of tokens for the refresh token.
//!
//! Apart from [`AtlassianSite`](crate::AtlassianSite), since it goes out without the site's token, as a form, and
//! since what it changes is the credentials themselves.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use crate::transport::{Transport, TransportError};

/// Where tokens are had. Tempo documents it with the slash at its end.
const PATH: [&str; 3] = ["oauth", "token", ""];

/// The longest error code of a refusal that is repeated.
const CODE_CHARS_MAX: usize = 40;

/// What a new pair is had for.
#[derive(Clone)]
pub struct Refresh {
    /// The client.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: SecretString,
    /// The address that the client is registered with; Tempo documents it for a refresh too.
    pub redirect_uri: Option<String>,
    /// The refresh token. Good for one pair.
    pub refresh_token: SecretString,
}

/// A new pair of tokens.
pub struct TokenPair {
    /// What calls carry from now on.
    pub access_token: SecretString,
    /// What the next pair is had for; `None` where the old one stays good.
    pub refresh_token: Option<SecretString>,
    /// For how long the access token is good, where that is told.
    pub expires_in: Option<Duration>,
}

/// Why there is no new pair. No token is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// Tempo refused; the old pair is what it was.
    #[error("Tempo refused to refresh its token: {status} {code}")]
    Refused {
        /// The status.
        status: u16,
        /// OAuth's word for it, such as `invalid_grant`; empty where there is none.
        code: String,
    },
    /// Nothing reached Tempo; the old pair is what it was.
    #[error("Tempo cannot be reached to refresh its token: {0}")]
    NotSent(String),
    /// There is no answer, or none that can be read: the old pair may have ended, and the new one is nobody's.
    #[error("it is not known whether Tempo refreshed its token: {0}")]
    Unknown(String),
}

/// Asks Tempo for a new pair: one request, never repeated here. With its success the old pair ends.
///
/// # Errors
/// See [`RefreshError`].
pub async fn refresh(
    transport: &dyn Transport,
    tempo: &Url,
    refresh: &Refresh,
    deadline: Duration,
) -> Result<TokenPair, RefreshError> {
    let request = request(tempo, refresh).map_err(RefreshError::NotSent)?;
    match transport.send(request, deadline).await {
        Ok(answer) => read(&answer),
        Err(TransportError::NotSent(what)) => Err(RefreshError::NotSent(what)),
        Err(problem) => Err(RefreshError::Unknown(problem.to_string())),
    }
}

fn request(tempo: &Url, refresh: &Refresh) -> Result<Request<Bytes>, String> {
    let mut url = tempo.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(PATH);
    }
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "refresh_token")
        .append_pair("client_id", refresh.client_id.trim())
        .append_pair("client_secret", refresh.client_secret.expose_secret().trim())
        .append_pair("refresh_token", refresh.refresh_token.expose_secret().trim());
    if let Some(uri) = &refresh.redirect_uri {
        form.append_pair("redirect_uri", uri.trim());
    }
    Request::builder()
        .method(Method::POST)
        .uri(url.as_str())
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(form.finish()))
        .map_err(|_| "the request could not be built".to_owned())
}

fn read(answer: &Response<Bytes>) -> Result<TokenPair, RefreshError> {
    #[derive(Deserialize)]
    struct Wire {
        access_token: String,
        refresh_token: Option<String>,
        expires_in: Option<u64>,
    }
    let status = answer.status();
    if status.is_success() {
        let unknown = |what: &str| RefreshError::Unknown(what.to_owned());
        // serde's own words may quote a value.
        let wire: Wire = serde_json::from_slice(answer.body())
            .map_err(|_| unknown("the answer is not what Tempo documents"))?;
        if wire.access_token.trim().is_empty() {
            return Err(unknown("the answer has an empty token"));
        }
        return Ok(TokenPair {
            access_token: wire.access_token.into(),
            refresh_token: wire
                .refresh_token
                .filter(|token| !token.trim().is_empty())
                .map(SecretString::from),
            expires_in: wire.expires_in.map(Duration::from_secs),
        });
    }
    if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        return Err(RefreshError::Unknown(format!(
            "Tempo answered {}",
            status.as_u16()
        )));
    }
    Err(RefreshError::Refused {
        status: status.as_u16(),
        code: code(answer.body()),
    })
}

/// Reads OAuth's error code: a word. Its description is left where it is, since anything may be in that.
fn code(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Wire {
        error: String,
    }
    let is_word = |code: &str| {
        code.len() <= CODE_CHARS_MAX && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    serde_json::from_slice(body)
        .map(|wire: Wire| wire.error)
        .ok()
        .filter(|code| is_word(code))
        .unwrap_or_default()
}

// By hand, so that no token ever slips in.
impl std::fmt::Debug for TokenPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenPair")
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(redirect_uri: Option<&str>) -> Request<Bytes> {
        let refresh = Refresh {
            client_id: "client".into(),
            client_secret: "hush & hush".to_owned().into(),
            redirect_uri: redirect_uri.map(str::to_owned),
            refresh_token: "hush-r\n".to_owned().into(),
        };
        request(&Url::parse("https://api.tempo.io").unwrap(), &refresh).unwrap()
    }

    fn answered(status: u16, body: &'static str) -> Result<TokenPair, RefreshError> {
        let answer = Response::builder().status(status).body(Bytes::from(body));
        read(&answer.unwrap())
    }

    #[test]
    fn the_request_is_a_form_and_nothing_of_it_is_in_the_address() {
        let request = asked(Some("https://tandem.example/"));
        assert_eq!(request.uri(), "https://api.tempo.io/oauth/token/");
        assert_eq!(
            request.body(),
            "grant_type=refresh_token&client_id=client&client_secret=hush+%26+hush&refresh_token=hush-r\
             &redirect_uri=https%3A%2F%2Ftandem.example%2F"
        );
        assert!(!request.headers().contains_key(header::AUTHORIZATION));
        assert!(!String::from_utf8_lossy(asked(None).body()).contains("redirect_uri"));
    }

    #[test]
    fn a_pair_is_read_and_never_shown() {
        let body = r#"{"access_token":"hush-a","refresh_token":"hush-b","expires_in":5184000,"token_type":"Bearer"}"#;
        let pair = answered(200, body).unwrap();
        assert_eq!(pair.access_token.expose_secret(), "hush-a");
        assert_eq!(pair.expires_in, Some(Duration::from_secs(60 * 24 * 3600)));
        assert!(!format!("{pair:?}").contains("hush"));
        assert!(
            answered(200, r#"{"access_token":"hush-a"}"#)
                .unwrap()
                .refresh_token
                .is_none()
        );
    }

    #[test]
    fn what_went_wrong_says_whether_the_old_pair_stands_and_repeats_no_description() {
        let refused = answered(
            400,
            r#"{"error":"invalid_grant","error_description":"hush-r is unknown"}"#,
        );
        assert_eq!(
            refused.unwrap_err().to_string(),
            "Tempo refused to refresh its token: 400 invalid_grant"
        );
        for body in [r#"{"error":"hush-r!"}"#, "hush", ""] {
            let refused = answered(401, body).unwrap_err();
            assert!(matches!(refused, RefreshError::Refused { .. }), "{body}");
            assert!(!refused.to_string().contains("hush"));
        }
        for (status, body) in [
            (502, "hush"),
            (200, "{\"access_token\":\"hush"),
            (200, r#"{"access_token":" "}"#),
            (200, r#"{"access_token":7}"#),
        ] {
            let unknown = answered(status, body).unwrap_err();
            assert!(matches!(unknown, RefreshError::Unknown(_)), "{body}");
            assert!(!unknown.to_string().contains("hush"));
        }
    }
}
