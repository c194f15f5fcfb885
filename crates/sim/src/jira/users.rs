//! People.

use serde_json::{Value, json};

use super::error;
use crate::http::Reply;
use crate::route::{Answer, Call};
use crate::site::Site;
use crate::spec::UserSpec;

fn encode(account_id: &str) -> String {
    url::form_urlencoded::byte_serialize(account_id.as_bytes()).collect()
}

/// Writes a user; an e-mail address that its owner hides is left out.
fn render(site: &Site, user: &UserSpec) -> Value {
    let mut body = json!({
        "self": format!("{}/rest/api/3/user?accountId={}", site.jira_base, encode(&user.account_id)),
        "accountId": user.account_id,
        "accountType": site.account_type(&user.account_id),
        "avatarUrls": {"48x48": "https://avatar-management.example/48"},
        "displayName": user.display_name,
        "active": user.active,
        "locale": "en_US",
    });
    if user.email_visible {
        body["emailAddress"] = json!(user.email);
    }
    if let Some(zone) = &user.time_zone {
        body["timeZone"] = json!(zone);
    }
    body
}

/// Writes the short form of a user that worklogs carry.
pub(super) fn details(site: &Site, account_id: &str) -> Value {
    let user = site.users.get(account_id);
    let mut body = json!({
        "self": format!("{}/rest/api/3/user?accountId={}", site.jira_base, encode(account_id)),
        "accountId": account_id,
        "accountType": site.account_type(account_id),
        "avatarUrls": {"48x48": "https://avatar-management.example/48"},
        "displayName": site.display_name(account_id),
        "active": user.is_none_or(|user| user.active),
        "timeZone": user.and_then(|user| user.time_zone.as_deref()).unwrap_or(&site.spec.time_zone),
    });
    if let Some(user) = user.filter(|user| user.email_visible) {
        body["emailAddress"] = json!(user.email);
    }
    body
}

pub(super) fn myself(call: &mut Call<'_>) -> Answer {
    let mut body = render(call.site, &call.site.spec.service.user);
    // One's own address is never hidden from oneself.
    body["emailAddress"] = json!(call.site.spec.service.user.email);
    body["groups"] = json!({"size": 0, "items": []});
    body["applicationRoles"] = json!({"size": 0, "items": []});
    Ok(Reply::ok(&body))
}

pub(super) fn get(call: &mut Call<'_>) -> Answer {
    let id = call.request.one("accountId").unwrap_or_default();
    let user = call.site.users.get(id).ok_or_else(|| {
        error(
            404,
            &["Specified user does not exist or you do not have required permissions"],
        )
    })?;
    Ok(Reply::ok(&render(call.site, user)))
}

fn range(call: &Call<'_>, default: usize) -> (usize, usize) {
    let number = |name: &str, default| {
        call.request
            .one(name)
            .and_then(|n| n.parse().ok())
            .unwrap_or(default)
    };
    (number("startAt", 0), number("maxResults", default).min(200))
}

pub(super) fn bulk(call: &mut Call<'_>) -> Answer {
    let ids: Vec<&str> = call.request.all("accountId").collect();
    if ids.is_empty() {
        return Err(error(400, &["No accountId specified"]));
    }
    let (start, max) = range(call, 10);
    let users: Vec<&UserSpec> = ids.iter().filter_map(|id| call.site.users.get(*id)).collect();
    let end = (start + max).min(users.len());
    let values: Vec<Value> = users[start.min(end)..end]
        .iter()
        .map(|user| render(call.site, user))
        .collect();
    Ok(Reply::ok(&json!({
        "self": call.request.url(), "maxResults": max, "startAt": start, "total": users.len(),
        "isLast": end == users.len(), "values": values,
    })))
}

/// Finds people by the start of their name or visible address; who may not browse users gets an empty list.
pub(super) fn search(call: &mut Call<'_>) -> Answer {
    let query = call.request.one("query").map(str::to_lowercase);
    let id = call.request.one("accountId");
    if query.is_none() && id.is_none() {
        return Err(error(400, &["The query parameter is required"]));
    }
    let (start, max) = range(call, 50);
    let starts = |text: &str, query: &str| {
        let text = text.to_lowercase();
        text.starts_with(query) || text.split_whitespace().any(|word| word.starts_with(query))
    };
    let found: Vec<Value> = call
        .site
        .users
        .values()
        .filter(|_| call.site.spec.service.browse_users)
        .filter(|user| id.is_none_or(|id| user.account_id == id))
        .filter(|user| {
            query.as_deref().is_none_or(|query| {
                starts(&user.display_name, query) || user.email_visible && starts(&user.email, query)
            })
        })
        .skip(start)
        .take(max)
        .map(|user| render(call.site, user))
        .collect();
    Ok(Reply::ok(&found))
}
