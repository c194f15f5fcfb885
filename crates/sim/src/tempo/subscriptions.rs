//! Webhook subscriptions.

use serde_json::{Value, json};

use super::{check, error, not_found};
use crate::http::Reply;
use crate::route::{Answer, Call};
use crate::time::iso_millis;
use crate::webhook::Subscription;

/// The most subscriptions a tenant may have.
const SUBSCRIPTIONS_MAX: usize = 25;

fn render(base: &str, subscription: &Subscription) -> Value {
    let mut body = json!({
        "self": format!("{base}/4/webhooks/subscriptions/{}", subscription.id),
        "id": subscription.id,
        "event": subscription.event,
        "url": subscription.url,
        "active": subscription.active,
        "sharedSecret": subscription.shared_secret,
        "createdAt": iso_millis(subscription.created_at),
        "updatedAt": iso_millis(subscription.updated_at),
    });
    if let Some(name) = &subscription.name {
        body["name"] = json!(name);
    }
    if let Some(description) = &subscription.description {
        body["description"] = json!(description);
    }
    body
}

pub(super) fn list(call: &mut Call<'_>) -> Answer {
    let outbox = &call.site.outbox;
    let results: Vec<Value> = outbox
        .subscription_order
        .iter()
        .filter_map(|id| outbox.subscriptions.get(id))
        .map(|subscription| render(&call.request.base, subscription))
        .collect();
    Ok(Reply::ok(&json!({
        "self": call.request.url(), "metadata": {"count": results.len()}, "results": results,
    })))
}

pub(super) fn create(call: &mut Call<'_>) -> Answer {
    let body = check::object(call)?;
    let text = |name: &str| {
        body.get(name)
            .and_then(Value::as_str)
            .filter(|t| !t.is_empty())
            .map(str::to_owned)
    };
    let (Some(event), Some(url)) = (text("event"), text("url")) else {
        return Err(error(400, &["event and url must not be blank"]));
    };
    if !["worklog.", "plan.", "team.", "workload.", "users.", "holiday."]
        .iter()
        .any(|p| event.starts_with(p))
    {
        return Err(error(400, &[format!("Unknown event '{event}'")]));
    }
    // HTTPS is all that Tempo takes; loopback stands in for it where there are no certificates.
    let parsed = url::Url::parse(&url).ok();
    let host = parsed
        .as_ref()
        .and_then(|url| url.host_str())
        .unwrap_or_default()
        .to_owned();
    let loopback = matches!(host.as_str(), "127.0.0.1" | "localhost" | "[::1]");
    if !parsed.is_some_and(|url| url.scheme() == "https" || loopback) {
        return Err(error(400, &["Url must be a valid https url"]));
    }
    let outbox = &mut call.site.outbox;
    if outbox
        .subscriptions
        .values()
        .any(|known| known.event == event && known.url == url)
    {
        return Err(error(
            409,
            &["A subscription for this event and url already exists"],
        ));
    }
    if outbox.subscriptions.len() >= SUBSCRIPTIONS_MAX {
        return Err(error(
            400,
            &[format!(
                "The limit of {SUBSCRIPTIONS_MAX} subscriptions is reached"
            )],
        ));
    }
    let made = outbox.subscribe(call.now, event, url, text("name"), text("description"));
    Ok(Reply::ok(&render(&call.request.base, &made)))
}

pub(super) fn get(call: &mut Call<'_>) -> Answer {
    let found = call
        .site
        .outbox
        .subscriptions
        .get(call.param(0))
        .ok_or_else(|| not_found("Subscription"))?;
    Ok(Reply::ok(&render(&call.request.base, found)))
}

pub(super) fn delete(call: &mut Call<'_>) -> Answer {
    let id = call.param(0).to_owned();
    if call.site.outbox.unsubscribe(&id) {
        Ok(Reply::no_content())
    } else {
        Err(not_found("Subscription"))
    }
}

pub(super) fn refresh(call: &mut Call<'_>) -> Answer {
    let id = call.param(0).to_owned();
    if call.site.outbox.refresh(call.now, &id) {
        Ok(Reply::no_content())
    } else {
        Err(not_found("Subscription"))
    }
}
