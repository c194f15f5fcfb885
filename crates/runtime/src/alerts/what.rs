//! What needs a person.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tandem_aws::secrets::Token;
use tandem_core::Reason;
use tandem_engine::EngineError;
use tandem_engine::operator::{ItemState, QueueItem};
use tandem_engine::ports::store::AUDIT;

use crate::subscriptions;
use crate::wiring::Tandem;

/// Days before its end at which a token is told of.
const TOKEN_DAYS: [i64; 5] = [30, 14, 7, 3, 1];

/// Lines of the history that are read for drift at first. Where they do not reach back to the last look, more are.
const LINES: usize = 200;

/// Lines of the history that are read for drift, at most. If these do not reach back, there are at least as many
/// differences as are told.
const LINES_MAX: usize = 20_000;

/// One thing that needs a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Names it; the same for as long as it lasts.
    pub key: String,
    /// How many there are of it.
    pub count: usize,
    /// What it is, in a line: no worklog text, no token.
    pub what: String,
    /// What to do about it, in a line.
    pub advice: String,
    /// Whether it happened, and does not last.
    pub once: bool,
}

impl Alert {
    fn lasting(key: String, count: usize, what: String, advice: impl Into<String>) -> Self {
        Self {
            key,
            count,
            what,
            advice: advice.into(),
            once: false,
        }
    }
}

/// Lists what needs a person, the same in the same order each time.
pub(super) async fn gather(
    tandem: &Tandem,
    seen: Option<Timestamp>,
    now: Timestamp,
) -> Result<Vec<Alert>, EngineError> {
    let mut alerts = paused(tandem).await?;
    alerts.extend(untold(tandem).await?);
    let queue = tandem.engine.queue().await?;
    alerts.extend(parked(&queue));
    alerts.extend(failing(&queue, now));
    alerts.extend(drift(tandem, seen).await?);
    for (name, secrets) in &tandem.secrets {
        // A secret that cannot be read pauses its site, and that is told of.
        if let Ok(secret) = secrets.current(false).await {
            for one in Token::ALL {
                let ends = secret.end_of(one);
                alerts.extend(ends.and_then(|ends| token(name.as_str(), one, ends, secret.renews(one), now)));
            }
        }
    }
    Ok(alerts)
}

async fn paused(tandem: &Tandem) -> Result<Vec<Alert>, EngineError> {
    let mut alerts = Vec::new();
    for name in tandem.engine.sites.keys() {
        let state = tandem.engine.store.site(name).await?;
        if let Some(pause) = state.paused {
            let why = match pause.credentials {
                Some(_) => "it rejects our credentials",
                None => "its secret cannot be used",
            };
            alerts.push(Alert::lasting(
                format!("paused:{name}:{}", pause.since),
                1,
                // Without what the site said, which may name people: `status` shows it.
                format!(
                    "{name} is paused since {}: {why}",
                    pause.since.strftime("%Y-%m-%d %H:%MZ"),
                ),
                Reason::CredentialsRejected.advice(),
            ));
        }
        if !state.missing_permissions.is_empty() {
            let lacks = state.missing_permissions.join(", ");
            alerts.push(Alert::lasting(
                format!("permissions:{name}:{lacks}"),
                1,
                format!("the service user of {name} lacks {lacks}"),
                Reason::PermissionMissing.advice(),
            ));
        }
    }
    Ok(alerts)
}

/// Sites whose Tempo tells of no changes, or may, as the last look at its subscriptions found.
async fn untold(tandem: &Tandem) -> Result<Vec<Alert>, EngineError> {
    let mut alerts = Vec::new();
    for name in tandem.engine.sites.keys() {
        if tandem.engine.connections_of(name).next().is_none() {
            continue;
        }
        let Some(seen) = subscriptions::seen(&*tandem.engine.store, name).await? else {
            continue;
        };
        let events: Vec<&str> = seen.missing.iter().chain(&seen.off).map(String::as_str).collect();
        let (what, advice) = if !events.is_empty() {
            (
                format!(
                    "Tempo tells of no {} on {name}: only sweeps find them",
                    events.join(", ")
                ),
                "`tandem connect` subscribes to what is missing and switches on what is off",
            )
        // Whoever wants no webhooks needs no such token.
        } else if seen.not_allowed && tandem.config.engine.public_url.is_some() {
            (
                format!(
                    "Tempo's token of {name} may not see its subscriptions: nobody notices when one is off"
                ),
                "give the site a token of Tempo with full access, and call `tandem connect`",
            )
        } else {
            continue;
        };
        alerts.push(Alert::lasting(
            format!("webhooks:{name}"),
            events.len().max(1),
            what,
            advice,
        ));
    }
    Ok(alerts)
}

fn parked(queue: &[QueueItem]) -> Vec<Alert> {
    let waits = |item: &&QueueItem| matches!(item.state, ItemState::Parked | ItemState::Missing);
    let groups = by_connection(queue.iter().filter(waits), |item| item.reason);
    let alert = |((connection, reason), count): ((String, Reason), usize)| {
        let wait = if count == 1 {
            "1 item waits".to_owned()
        } else {
            format!("{count} items wait")
        };
        Alert::lasting(
            format!("parked:{connection}:{reason}"),
            count,
            format!("{connection}: {wait} as {reason}"),
            reason.advice(),
        )
    };
    groups.into_iter().map(alert).collect()
}

/// What is tried again and again, and sets nothing aside.
fn failing(queue: &[QueueItem], now: Timestamp) -> Vec<Alert> {
    let groups = by_connection(queue.iter().filter(|item| item.is_failing(now)), |_| Some(()));
    let alert = |((connection, ()), count): ((String, ()), usize)| {
        let fail = if count == 1 {
            "1 item has failed".to_owned()
        } else {
            format!("{count} items have failed")
        };
        Alert::lasting(
            format!("failing:{connection}"),
            count,
            format!("{connection}: {fail} for more than an hour"),
            "`tandem queue` shows what the site said; it is tried again by itself",
        )
    };
    groups.into_iter().map(alert).collect()
}

/// Counts items by their connection and something else; those that lack either are left out.
fn by_connection<'q, T: Ord>(
    items: impl Iterator<Item = &'q QueueItem>,
    and: impl Fn(&QueueItem) -> Option<T>,
) -> BTreeMap<(String, T), usize> {
    let mut groups = BTreeMap::new();
    for item in items {
        if let (Some(connection), Some(other)) = (&item.connection, and(item)) {
            *groups.entry((connection.to_string(), other)).or_default() += 1;
        }
    }
    groups
}

/// What an audit alone found, and put right, since the last look.
async fn drift(tandem: &Tandem, seen: Option<Timestamp>) -> Result<Option<Alert>, EngineError> {
    // At the first look there is no telling what is news.
    let Some(seen) = seen else { return Ok(None) };
    let names: Vec<_> = tandem
        .engine
        .connections
        .iter()
        .map(|one| one.name.clone())
        .collect();
    let mut limit = LINES;
    let lines = loop {
        let lines = tandem.engine.store.history(&names, None, limit).await?;
        let reaches = lines.len() < limit || lines.first().is_none_or(|oldest| oldest.time <= seen);
        if reaches || limit >= LINES_MAX {
            break lines;
        }
        limit *= 10;
    };
    let count = lines
        .iter()
        .filter(|line| line.time > seen && matches!(line.op.as_str(), "create" | "update" | "delete"))
        .filter(|line| {
            let trace = line.trace.as_deref().unwrap_or_default();
            !trace.is_empty() && trace.split(' ').all(|one| one == AUDIT)
        })
        .count();
    Ok((count > 0).then(|| Alert {
        key: "drift".into(),
        count,
        what: format!(
            "an audit found and repaired {count} differences that no webhook and no sweep had told of"
        ),
        advice: "see whether webhooks arrive: `tandem doctor`; `tandem history` shows what was written"
            .into(),
        once: true,
    }))
}

/// A token that runs out, told of at a few days before.
fn token(site: &str, token: Token, ends: Timestamp, renews: bool, now: Timestamp) -> Option<Alert> {
    let (name, make) = match token {
        Token::Tempo => (
            "Tempo's token",
            "make a new one in Tempo and put it, with its tempo_expires_at, into the site's secret",
        ),
        Token::Jira => (
            "Jira's token",
            "make a new one in the service user's Atlassian account and put it, with its jira_expires_at, into the site's secret",
        ),
    };
    let which = token.as_str();
    let left = ends.duration_since(now);
    let day = ends.strftime("%Y-%m-%d");
    if left <= SignedDuration::ZERO {
        return Some(Alert::lasting(
            format!("token:{site}:{which}:{day}:0"),
            1,
            format!("{name} of {site} ended on {day}"),
            "put a new one into the site's secret",
        ));
    }
    let days = left.as_hours() / 24;
    // The last of the days that has come.
    let step = TOKEN_DAYS
        .into_iter()
        .rfind(|step| left <= SignedDuration::from_hours(step * 24))?;
    if renews && step > 7 {
        // The rotation has time enough.
        return None;
    }
    Some(Alert::lasting(
        format!("token:{site}:{which}:{day}:{step}"),
        1,
        format!("{name} of {site} ends on {day}, in {days} days"),
        if renews {
            "see why the rotation did not renew it"
        } else {
            make
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_told_of_at_thirty_fourteen_seven_three_and_one_days() {
        let now: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
        let key = |hours: i64, renews| {
            let ends = now + SignedDuration::from_hours(hours);
            token("acme", Token::Tempo, ends, renews, now)
                .and_then(|alert| alert.key.rsplit(':').next().map(str::to_owned))
        };
        let step = |hours| key(hours, false);
        assert_eq!(step(31 * 24), None);
        assert_eq!(step(30 * 24).as_deref(), Some("30"));
        assert_eq!(step(15 * 24).as_deref(), Some("30"));
        assert_eq!(step(10 * 24).as_deref(), Some("14"));
        assert_eq!(step(5).as_deref(), Some("1"));
        assert_eq!(step(-5).as_deref(), Some("0"));
        assert_eq!(key(10 * 24, true), None);
        assert_eq!(key(6 * 24, true).as_deref(), Some("7"));
    }

    #[test]
    fn each_token_is_told_of_by_its_own_name() {
        let now: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
        let ends = now + SignedDuration::from_hours(48);
        let [tempo, jira] = Token::ALL.map(|one| token("acme", one, ends, false, now).unwrap());
        assert_ne!(tempo.key, jira.key);
        assert!(
            jira.what.contains("Jira's token of acme ends on 2026-11-25"),
            "{jira:?}"
        );
        assert!(jira.advice.contains("jira_expires_at"), "{jira:?}");
    }
}
