//! An hourly look at Tempo's subscriptions.
//!
//! Tempo switches a subscription off when its deliveries have failed ten times, and tells nobody. The sweep finds what was
//! missed meanwhile, and an audit makes sure of it; but changes would go on taking minutes instead of seconds.
//!
//! One request an hour and site, by whichever runner's turn it is; where some are off, another one for each of them, and one
//! more that sees whether they are on.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tandem_atlassian::AtlassianSite;
use tandem_atlassian::tempo::admin::{Subscription, WORKLOG_EVENTS};
use tandem_core::SiteName;
use tandem_engine::ports::Store;
use tandem_engine::ports::site::SiteError;
use tandem_engine::ports::store::Lane;
use tandem_engine::{Engine, EngineError, Site};
use tracing::{info, warn};
use url::Url;

use crate::wiring::Tandem;

/// How often a site's subscriptions are looked at.
pub const LOOKED_AT_EVERY: Duration = Duration::from_secs(3600);

/// What the last look at a site's subscriptions found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// When it was.
    pub at: Timestamp,
    /// Events that nobody has subscribed to for this address, though somebody should have.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Events whose subscription was off, and was switched on again.
    #[serde(default)]
    pub switched_on: Vec<String>,
    /// Events whose subscription is off, and could not be switched on.
    #[serde(default)]
    pub off: Vec<String>,
    /// Tempo's token may not see subscriptions.
    #[serde(default)]
    pub not_allowed: bool,
    /// There are subscriptions for several addresses, and the configuration names none of them.
    #[serde(default)]
    pub several: bool,
    /// None is known, and the configuration names no address for which there should be one.
    #[serde(default)]
    pub none: bool,
}

/// Which subscriptions are ours, and what is wrong with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Judged {
    missing: Vec<String>,
    /// Event and id.
    off: Vec<(String, String)>,
    several: bool,
    none: bool,
}

/// Looks at the subscriptions of the sites that were not looked at for an hour. What is off is switched on again, and an
/// audit is wanted of what it may have missed.
///
/// # Errors
/// When the table fails. A site that does not answer is only logged: it has its turn again in an hour.
pub async fn look(tandem: &Tandem) -> Result<(), EngineError> {
    let engine = &tandem.engine;
    for (name, client) in &tandem.clients {
        let Some(site) = engine.sites.get(name) else {
            continue;
        };
        if engine.connections_of(name).next().is_none()
            || !engine
                .is_our_turn(&format!("subscriptions:{name}"), LOOKED_AT_EVERY)
                .await?
        {
            continue;
        }
        match look_at(tandem, site, client).await {
            Ok(seen) => {
                tell(name, &seen, tandem.config.engine.public_url.is_some());
                if let Ok(text) = serde_json::to_string(&seen) {
                    engine.store.put_note(&note(name), &text).await?;
                }
            }
            Err(EngineError::Store(error)) => return Err(error.into()),
            Err(error) => {
                warn!(site.name = %name, "Could not look at Tempo's subscriptions on {name}: {}", error.unsaid());
            }
        }
    }
    Ok(())
}

/// Returns what the last look at a site's subscriptions found, if there was one.
///
/// # Errors
/// When the table fails.
pub async fn seen(store: &dyn Store, site: &SiteName) -> Result<Option<Seen>, EngineError> {
    let text = store.note(&note(site)).await?;
    // What a newer version wrote says nothing to this one.
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

async fn look_at(tandem: &Tandem, site: &Site, client: &AtlassianSite) -> Result<Seen, EngineError> {
    let engine = &tandem.engine;
    let mut seen = Seen {
        at: engine.clock.now(),
        missing: Vec::new(),
        switched_on: Vec::new(),
        off: Vec::new(),
        not_allowed: false,
        several: false,
        none: false,
    };
    let listed = match call(engine, site, || client.tempo_webhooks()).await {
        Err(EngineError::Site { error, .. }) if error.status == Some(403) => {
            seen.not_allowed = true;
            return Ok(seen);
        }
        listed => listed?,
    };
    let judged = judge(&site.name, tandem.config.engine.public_url.as_ref(), &listed);
    seen.missing = judged.missing;
    seen.several = judged.several;
    seen.none = judged.none;
    if !judged.off.is_empty() {
        // First, or whoever dies in between would leave nobody who knows of it.
        engine.want_audit(&site.name).await?;
    }
    let mut told = Vec::new();
    for (event, id) in judged.off {
        match call(engine, site, || client.refresh_tempo_webhook(&id)).await {
            Ok(()) => told.push((event, id)),
            Err(EngineError::Store(error)) => return Err(error.into()),
            Err(error) => {
                warn!(site.name = %site.name, "Could not switch {event} on again on {}: {}", site.name, error.unsaid());
                seen.off.push(event);
            }
        }
    }
    if told.is_empty() {
        return Ok(seen);
    }
    // That it is said to be done is not that it is.
    let listed = match call(engine, site, || client.tempo_webhooks()).await {
        Ok(listed) => listed,
        Err(EngineError::Store(error)) => return Err(error.into()),
        // The next hour tells.
        Err(_) => {
            seen.switched_on.extend(told.into_iter().map(|(event, _)| event));
            return Ok(seen);
        }
    };
    for (event, id) in told {
        match listed.iter().any(|one| one.id == id && one.active) {
            true => seen.switched_on.push(event),
            false => {
                warn!(site.name = %site.name, "Tempo says that {event} is on again on {}, and lists it as off", site.name);
                seen.off.push(event);
            }
        }
    }
    Ok(seen)
}

/// Makes a paced call. It has its turn once an hour, so a full bucket is waited for a little: a minute at most.
async fn call<T, F>(engine: &Engine, site: &Site, request: impl FnOnce() -> F) -> Result<T, EngineError>
where
    F: Future<Output = Result<T, SiteError>>,
{
    engine
        .unhurried(async || engine.pass(site, Lane::Sweep).await)
        .await?;
    request().await.map_err(|error| EngineError::Site {
        site: site.name.clone(),
        error,
    })
}

fn judge(site: &SiteName, public_url: Option<&Url>, listed: &[Subscription]) -> Judged {
    let path = format!("/hooks/tempo/{site}");
    let is_wanted = |one: &&Subscription| WORKLOG_EVENTS.contains(&one.event.as_str());
    let ours: Vec<&Subscription> = match public_url {
        Some(base) => {
            let address = format!("{}{path}", base.as_str().trim_end_matches('/'));
            let is_ours = |one: &&Subscription| one.url.trim_end_matches('/') == address;
            listed.iter().filter(is_wanted).filter(is_ours).collect()
        }
        None => {
            let is_ours = |one: &&Subscription| one.url.trim_end_matches('/').ends_with(&path);
            let ours: Vec<_> = listed.iter().filter(is_wanted).filter(is_ours).collect();
            if ours.iter().any(|one| one.url != ours[0].url) {
                // One of them may be somebody else's, and off for a reason.
                return Judged {
                    several: true,
                    ..Judged::default()
                };
            }
            ours
        }
    };
    // Without an address of its own, a Tandem that has no subscription may well want none.
    let expected = public_url.is_some() || !ours.is_empty();
    let missing = WORKLOG_EVENTS
        .iter()
        .filter(|event| expected && !ours.iter().any(|one| one.event == **event))
        .map(ToString::to_string);
    let off = ours.iter().filter(|one| !one.active);
    Judged {
        missing: missing.collect(),
        off: off.map(|one| (one.event.clone(), one.id.clone())).collect(),
        several: false,
        none: !expected,
    }
}

fn tell(site: &SiteName, seen: &Seen, wanted: bool) {
    if !seen.switched_on.is_empty() {
        warn!(
            site.name = %site,
            "Tempo had switched off {} on {site}: its deliveries had failed for hours. It is on again, and an audit is wanted",
            seen.switched_on.join(", ")
        );
    }
    if !seen.missing.is_empty() {
        warn!(
            site.name = %site,
            "Tempo tells of no {} on {site}: `tandem connect` subscribes; until then the sweep finds them",
            seen.missing.join(", ")
        );
    }
    // Whoever wants no webhooks needs no such token.
    if seen.not_allowed && wanted {
        warn!(site.name = %site, "Tempo's token of {site} may not see subscriptions: nobody notices when one is switched off");
    }
    if seen.several {
        info!(site.name = %site, "There are subscriptions of Tempo on {site} for several addresses; `public_url` says which is this one's");
    }
}

fn note(site: &SiteName) -> String {
    format!("subscriptions:{site}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://tandem.example.com/hooks/tempo/acme";

    fn subscription(event: &str, url: &str, active: bool) -> Subscription {
        Subscription {
            id: format!("id-{event}"),
            event: event.to_owned(),
            url: url.to_owned(),
            active,
            shared_secret: None,
        }
    }

    fn all(url: &str) -> Vec<Subscription> {
        WORKLOG_EVENTS
            .iter()
            .map(|event| subscription(event, url, true))
            .collect()
    }

    fn judged(public_url: Option<&str>, listed: &[Subscription]) -> Judged {
        let public_url = public_url.map(|url| url.parse().unwrap());
        judge(&"acme".into(), public_url.as_ref(), listed)
    }

    #[test]
    fn what_is_off_or_missing_is_seen_with_an_address_and_without() {
        let mut listed = all(URL);
        listed.push(subscription("team.created", URL, false));
        for base in [Some("https://tandem.example.com/"), None] {
            assert_eq!(judged(base, &listed), Judged::default());
        }
        listed[1].active = false;
        listed.remove(2);
        for base in [Some("https://tandem.example.com"), None] {
            let judged = judged(base, &listed);
            assert_eq!(judged.missing, ["worklog.deleted"]);
            let off = ("worklog.updated".to_owned(), "id-worklog.updated".to_owned());
            assert_eq!(judged.off, [off]);
        }
    }

    #[test]
    fn nobody_is_told_of_webhooks_that_nobody_wants() {
        let none = Judged {
            none: true,
            ..Judged::default()
        };
        assert_eq!(judged(None, &[]), none);
        let elsewhere = all("https://other.example.com/hooks/tempo/globex");
        assert_eq!(judged(None, &elsewhere), none);
        assert_eq!(
            judged(Some("https://tandem.example.com"), &elsewhere)
                .missing
                .len(),
            3
        );
    }

    #[test]
    fn another_deployments_subscriptions_are_left_alone() {
        let mut listed = all(URL);
        listed.push(subscription(
            "worklog.created",
            "https://staging.example.com/hooks/tempo/acme",
            false,
        ));
        assert_eq!(
            judged(Some("https://tandem.example.com"), &listed),
            Judged::default()
        );
        let unknown = judged(None, &listed);
        assert!(unknown.several && unknown.off.is_empty() && unknown.missing.is_empty());
    }
}
