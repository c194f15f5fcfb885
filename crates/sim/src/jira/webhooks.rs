//! Admin webhooks: the only ones that tell of worklogs.

use serde_json::{Value, json};

use super::error;
use crate::http::Reply;
use crate::jql::Jql;
use crate::route::{Answer, Call};
use crate::site::{Site, take};
use crate::spec::JiraWebhookSpec;
use crate::webhook::JiraWebhook;

const SECTION: &str = "issue-related-events-section";

fn render(site: &Site, webhook: &JiraWebhook) -> Value {
    json!({
        "name": webhook.name,
        "url": webhook.spec.url,
        "excludeBody": false,
        "filters": {SECTION: webhook.spec.jql.as_deref().unwrap_or_default()},
        "events": webhook.spec.events,
        "enabled": true,
        "isSigned": webhook.spec.secret.is_some(),
        "self": format!("{}/rest/webhooks/1.0/webhook/{}", site.jira_base, webhook.id),
    })
}

fn admin(call: &Call<'_>) -> Result<(), Reply> {
    if call.site.spec.service.admin {
        Ok(())
    } else {
        Err(error(403, &["You do not have permission to manage webhooks."]))
    }
}

pub(super) fn list(call: &mut Call<'_>) -> Answer {
    admin(call)?;
    let all: Vec<Value> = call
        .site
        .outbox
        .jira_webhooks
        .values()
        .map(|webhook| render(call.site, webhook))
        .collect();
    Ok(Reply::ok(&all))
}

pub(super) fn create(call: &mut Call<'_>) -> Answer {
    admin(call)?;
    let body = call.request.json().unwrap_or_default();
    let text = |name: &str| {
        body.get(name)
            .and_then(Value::as_str)
            .filter(|t| !t.is_empty())
            .map(str::to_owned)
    };
    let events = body.get("events").and_then(Value::as_array);
    let events: Vec<String> = events
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let (Some(name), Some(url), false) = (text("name"), text("url"), events.is_empty()) else {
        return Err(error(400, &["name, url and events are required."]));
    };
    let jql = body
        .get("filters")
        .and_then(|f| f.get(SECTION))
        .and_then(Value::as_str)
        .map(str::to_owned);
    if let Some(jql) = jql.as_deref().filter(|jql| !jql.trim().is_empty()) {
        Jql::parse(jql).map_err(|message| error(400, &[message]))?;
    }
    let id = take(&mut call.site.ids.webhook);
    let spec = JiraWebhookSpec {
        url,
        events,
        secret: text("secret"),
        jql,
    };
    call.site.outbox.register(id, &name, spec);
    Ok(Reply::json(
        201,
        &render(call.site, &call.site.outbox.jira_webhooks[&id]),
    ))
}

pub(super) fn get(call: &mut Call<'_>) -> Answer {
    admin(call)?;
    let found = call
        .param(0)
        .parse()
        .ok()
        .and_then(|id: u64| call.site.outbox.jira_webhooks.get(&id));
    found
        .map(|w| Reply::ok(&render(call.site, w)))
        .ok_or_else(|| error(404, &["Webhook not found."]))
}

pub(super) fn delete(call: &mut Call<'_>) -> Answer {
    admin(call)?;
    let id: Option<u64> = call.param(0).parse().ok();
    let removed = id.and_then(|id| call.site.outbox.jira_webhooks.remove(&id));
    removed
        .map(|_| Reply::no_content())
        .ok_or_else(|| error(404, &["Webhook not found."]))
}

/// Dynamic webhooks are for apps; a user's token is turned away.
pub(super) fn dynamic(_call: &mut Call<'_>) -> Answer {
    Err(error(
        403,
        &["Only Connect and OAuth 2.0 apps can use this operation."],
    ))
}
