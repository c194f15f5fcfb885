//! What is registered on a site, for this address and for others.

use serde::Serialize;

use super::desk::{Desk, is_same};
use crate::ending::Failure;
use crate::output;

#[derive(Debug, Serialize)]
pub(super) struct Registered {
    site: String,
    vendor: &'static str,
    id: String,
    events: Vec<String>,
    url: String,
    active: bool,
    /// Whether it is for the address asked about.
    ours: bool,
}

/// Lists a site's webhooks; none of their secrets.
pub(super) async fn of(desk: &Desk<'_>) -> Result<Vec<Registered>, Failure> {
    let site = desk.config.name.to_string();
    let mut all = Vec::new();
    match desk.ask(async |client| client.jira_webhooks().await).await? {
        None => output::say(format!(
            "{site}: the service user may not see Jira's webhooks; a Jira admin finds them under Settings, System, WebHooks"
        )),
        Some(webhooks) => all.extend(webhooks.into_iter().map(|one| Registered {
            site: site.clone(),
            vendor: "jira",
            ours: is_same(&one.url, &desk.jira_url),
            id: one.id,
            events: one.events,
            url: one.url,
            active: one.enabled,
        })),
    }
    match desk.ask(async |client| client.tempo_webhooks().await).await? {
        None => output::say(format!("{site}: Tempo's token may not see webhooks")),
        Some(subscriptions) => all.extend(subscriptions.into_iter().map(|one| Registered {
            site: site.clone(),
            vendor: "tempo",
            ours: is_same(&one.url, &desk.tempo_url),
            id: one.id,
            events: vec![one.event],
            url: one.url,
            active: one.active,
        })),
    }
    Ok(all)
}

pub(super) fn show(all: &[Registered], json: bool) -> Result<(), Failure> {
    if json {
        return output::json(&all);
    }
    let rows = all.iter().map(|one| {
        vec![
            one.site.clone(),
            one.vendor.to_owned(),
            one.id.clone(),
            one.events.join(", "),
            one.url.clone(),
            match (one.active, one.ours) {
                (true, true) => "active".to_owned(),
                (false, true) => "off".to_owned(),
                (true, false) => "another address".to_owned(),
                (false, false) => "another address, off".to_owned(),
            },
        ]
    });
    output::data(output::table(
        &["SITE", "OF", "ID", "EVENTS", "ADDRESS", ""],
        rows.collect(),
    ))
}
