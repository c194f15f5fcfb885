//! Tempo's OAuth 2.0 token endpoint, as far as refreshing goes.

use std::collections::BTreeMap;

use serde_json::json;

use crate::http::{Reply, Request};
use crate::route::{Answer, Call};
use crate::spec::TokenSpec;

/// Where tokens are had; unlike everything else it is found without one.
pub(crate) const TEMPLATE: &str = "/oauth/token/";

/// Reads a form.
fn form(request: &Request) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(&request.body).into_owned().collect()
}

/// Returns which client a request says that it is.
pub(crate) fn client(request: &Request) -> Option<String> {
    form(request).remove("client_id")
}

/// An error as OAuth 2.0 writes it.
pub(crate) fn error(status: u16, error: &str, request: &Request) -> Reply {
    // As talkative as a server may be: nothing says that a description holds no token.
    let description = format!("refused: {}", String::from_utf8_lossy(&request.body));
    Reply::json(status, &json!({"error": error, "error_description": description}))
}

/// Gives a new pair for a refresh token. From then on the old pair is good for nothing.
pub(super) fn token(call: &mut Call<'_>) -> Answer {
    let form = form(call.request);
    let field = |name: &str| form.get(name).map(String::as_str);
    if !call.request.path.ends_with('/') {
        call.violation("the token endpoint is documented with a slash at its end");
    }
    let Some(oauth) = call.site.spec.service.tempo_oauth.clone() else {
        return Err(error(401, "invalid_client", call.request));
    };
    if field("client_id") != Some(&oauth.client_id) || field("client_secret") != Some(&oauth.client_secret) {
        return Err(error(401, "invalid_client", call.request));
    }
    if field("grant_type") != Some("refresh_token") {
        return Err(error(400, "unsupported_grant_type", call.request));
    }
    if field("refresh_token") != Some(&oauth.refresh_token) {
        return Err(error(400, "invalid_grant", call.request));
    }
    if field("redirect_uri") != Some(&oauth.redirect_uri) {
        call.violation("redirect_uri is documented for a refresh too");
    }
    let access_token = format!("access-{}", call.site.id_dice.uuid());
    let refresh_token = format!("refresh-{}", call.site.id_dice.uuid());
    let service = &mut call.site.spec.service;
    service
        .tempo_tokens
        .retain(|token| token.token != oauth.access_token);
    service.tempo_tokens.push(TokenSpec {
        token: access_token.clone(),
        scopes: None,
        expires: Some(call.now + oauth.lifetime),
    });
    let answer = json!({
        "access_token": access_token,
        "expires_in": oauth.lifetime.as_secs(),
        "token_type": "Bearer",
        "scope": "read write",
        "refresh_token": refresh_token,
    });
    service.tempo_oauth = Some(crate::spec::OauthSpec {
        access_token,
        refresh_token,
        ..oauth
    });
    Ok(Reply::ok(&answer))
}
