//! Tempo's three subscriptions.

use secrecy::{ExposeSecret, SecretString};
use tandem_atlassian::tempo::admin::{Subscription, WORKLOG_EVENTS};
use tandem_engine::ports::site::SiteErrorKind;

use super::desk::{Desk, Held, is_same};
use super::{Did, Report, jira};
use crate::ending::Failure;

/// How often Tempo is asked whether the handshake is done, a second apart: where the endpoint answers, and where it does
/// not from here, but may from there.
const ASKED_MAX: [usize; 2] = [10, 3];

/// What is to be done about one event.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing.
    Keep,
    /// Make a subscription.
    Make,
    /// Take this one away and make another.
    Anew(String),
    /// Store this one's secret.
    Store(String),
}

/// Decides. A secret that Tempo does not show is taken for held when as many are held as there are events; there is no way
/// to tell, and each call would make it anew.
fn step(found: Option<&Subscription>, held: &[SecretString], renew: bool) -> Step {
    let Some(found) = found else { return Step::Make };
    let id = found.id.clone();
    match &found.shared_secret {
        _ if renew => Step::Anew(id),
        Some(secret) => {
            let is_held = held
                .iter()
                .any(|one| one.expose_secret() == secret.expose_secret());
            if is_held { Step::Keep } else { Step::Store(id) }
        }
        None if held.len() >= WORKLOG_EVENTS.len() => Step::Keep,
        None => Step::Anew(id),
    }
}

pub(super) async fn connect(desk: &Desk<'_>, report: &mut Report) -> Result<(), Failure> {
    let Some(all) = desk.ask(async |client| client.tempo_webhooks().await).await? else {
        by_hand(desk, report);
        return Ok(());
    };
    let held = desk.secret().await?.tempo_webhook_secrets.clone();
    let ours = ours(desk, &all);
    let told = |event: &str| ours.iter().any(|one| one.event == event && one.active);
    let was_silent = !WORKLOG_EVENTS.iter().all(|event| told(event));
    if was_silent {
        // Before anything is changed, or whoever dies in between would leave nobody who knows of it.
        desk.want_audit().await?;
    }
    let mut secrets = Vec::new();
    let mut made = 0;
    let mut failed = None;
    for event in WORKLOG_EVENTS {
        let mut found = ours
            .iter()
            .find(|one| one.event == event)
            .map(|one| (*one).clone());
        if let Some(hidden) = found.as_mut().filter(|one| one.shared_secret.is_none()) {
            let whole = desk
                .ask(async |client| client.tempo_webhook(&hidden.id).await)
                .await?;
            hidden.shared_secret = whole.and_then(|whole| whole.shared_secret);
        }
        match step(found.as_ref(), &held, desk.arguments.renew) {
            Step::Keep => continue,
            Step::Store(_) => secrets.extend(found.and_then(|one| one.shared_secret)),
            step => match make(desk, event, step).await {
                Ok(Some(secret)) => {
                    made += 1;
                    secrets.push(secret);
                }
                Ok(None) => {
                    by_hand(desk, report);
                    return hold(desk, report, &secrets).await;
                }
                // The secrets of those before are stored all the same.
                Err(failure) => {
                    failed = Some(failure);
                    break;
                }
            },
        }
    }
    hold(desk, report, &secrets).await?;
    if was_silent {
        // One that has begun meanwhile may be past what nobody told of.
        desk.want_audit().await?;
    }
    if report.tempo.did != Did::ByHand {
        report.tempo.did = match (made, desk.arguments.renew, ours.is_empty()) {
            (0, ..) if secrets.is_empty() => Did::Nothing,
            (_, true, false) => Did::Renewed,
            (_, _, true) => Did::Made,
            (_, false, false) => Did::Repaired,
        };
    }
    failed.map_or(Ok(()), Err)
}

/// Makes a subscription and returns its secret; `None` where that is not for the token's owner.
async fn make(desk: &Desk<'_>, event: &str, step: Step) -> Result<Option<SecretString>, Failure> {
    if let Step::Anew(id) = step {
        // Tempo takes no second one for the same event and address.
        desk.must(async |client| client.delete_tempo_webhook(&id).await)
            .await?;
    }
    let made = async |client: &tandem_atlassian::AtlassianSite| {
        client
            .create_tempo_webhook(event, &desk.tempo_url, &desk.name())
            .await
    };
    let made = match desk.ask(made).await {
        Err(Failure::Failed(error)) if is_busy(&error) => {
            return Err(Failure::failed(format!(
                "{}: somebody made the subscription to {event} just now: call this again",
                desk.config.name
            )));
        }
        made => made?,
    };
    let Some(made) = made else { return Ok(None) };
    if let Some(secret) = made.shared_secret {
        return Ok(Some(secret));
    }
    let whole = desk
        .must(async |client| client.tempo_webhook(&made.id).await)
        .await?;
    whole.shared_secret.map(Some).ok_or_else(|| {
        Failure::failed(format!(
            "{}: Tempo made a subscription to {event} and does not show its secret; without it no webhook can be told from a forged one",
            desk.config.name
        ))
    })
}

fn is_busy(error: &anyhow::Error) -> bool {
    use tandem_engine::EngineError;
    matches!(
        error.downcast_ref::<EngineError>(),
        Some(EngineError::Site { error, .. }) if error.kind == SiteErrorKind::Busy
    )
}

async fn hold(desk: &Desk<'_>, report: &mut Report, secrets: &[SecretString]) -> Result<(), Failure> {
    match desk.hold(&[], secrets).await? {
        Held::Already => {}
        Held::Stored => jira::stored(desk, report).await?,
        Held::Nowhere => {
            report.tempo.did = Did::ByHand;
            let place = &desk.config.secret;
            let all: Vec<&SecretString> = secrets.iter().collect();
            report.todo.push(match jira::show(desk, "tempo_webhook_secrets", &all)? {
                true => format!(
                    "put the secrets on stdout into `tempo_webhook_secrets` of {place}, and start tandem with them"
                ),
                false => format!(
                    "{place} does not hold the secrets of Tempo's subscriptions, and nothing can be stored there: `tandem connect --site {} --show-secret` writes them to stdout; put them into `tempo_webhook_secrets` and start tandem with them. Until then Tempo's webhooks are turned away",
                    desk.config.name
                ),
            });
        }
    }
    Ok(())
}

/// Switches on what is off, and waits for the handshake.
pub(super) async fn activate(desk: &Desk<'_>, report: &mut Report, answers: bool) -> Result<(), Failure> {
    for asked in 0..ASKED_MAX[usize::from(!answers)] {
        let all = desk.must(async |client| client.tempo_webhooks().await).await?;
        let off: Vec<String> = ours(desk, &all)
            .iter()
            .filter(|one| !one.active)
            .map(|one| one.id.clone())
            .collect();
        if off.is_empty() {
            return Ok(());
        }
        // Those that were just made are being asked already; by now the others show.
        if asked == 1 {
            for id in &off {
                desk.must(async |client| client.refresh_tempo_webhook(id).await)
                    .await?;
            }
            if report.tempo.did == Did::Nothing {
                report.tempo.did = Did::Repaired;
                report.notes.push(
                    "a subscription was off, and is on again; what Tempo did not tell meanwhile is found by the next sweep and audit"
                        .to_owned(),
                );
            }
        }
        desk.pause().await;
    }
    report.todo.push(format!(
        "Tempo's subscriptions are not active: Tempo has had no answer from {}. It has to be reachable from the internet, and tandem has to run behind it; then call this again",
        desk.tempo_url
    ));
    Ok(())
}

fn by_hand(desk: &Desk<'_>, report: &mut Report) {
    report.tempo.did = Did::ByHand;
    let calls: Vec<String> = WORKLOG_EVENTS
        .iter()
        .map(|event| {
            format!(
                "    POST {}/4/webhooks/subscriptions {{\"event\":\"{event}\",\"url\":\"{}\"}}",
                desk.config.tempo.as_str().trim_end_matches('/'),
                desk.tempo_url
            )
        })
        .collect();
    report.todo.push(format!(
        "Tempo's token may not manage webhooks. Either open Tempo, Settings, Data Access, API Integration, make a token with full access as the service user, put it into {} and call this again; or have these calls made with a token that may, while tandem runs, and put `sharedSecret` of each answer into `tempo_webhook_secrets`\n{}",
        desk.config.secret,
        calls.join("\n")
    ));
}

pub(super) async fn remove(desk: &Desk<'_>, report: &mut Report) -> Result<(), Failure> {
    let Some(all) = desk.ask(async |client| client.tempo_webhooks().await).await? else {
        report.tempo.did = Did::ByHand;
        report.todo.push(format!(
            "Tempo's token may not manage webhooks: with one that may, GET {tempo}/4/webhooks/subscriptions, and DELETE {tempo}/4/webhooks/subscriptions/ID for each with the url {}",
            desk.tempo_url,
            tempo = desk.config.tempo.as_str().trim_end_matches('/')
        ));
        return Ok(());
    };
    for subscription in ours(desk, &all) {
        desk.must(async |client| client.delete_tempo_webhook(&subscription.id).await)
            .await?;
        report.tempo.did = Did::Removed;
    }
    Ok(())
}

fn ours<'s>(desk: &Desk<'_>, all: &'s [Subscription]) -> Vec<&'s Subscription> {
    all.iter()
        .filter(|one| is_same(&one.url, &desk.tempo_url) && WORKLOG_EVENTS.contains(&one.event.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(secret: Option<&str>) -> Subscription {
        Subscription {
            id: "s1".to_owned(),
            event: "worklog.created".to_owned(),
            url: "https://tandem.example.com/hooks/tempo/acme".to_owned(),
            active: true,
            shared_secret: secret.map(|text| text.to_owned().into()),
        }
    }

    fn held(count: usize) -> Vec<SecretString> {
        (0..count).map(|n| format!("hush-{n}").into()).collect()
    }

    #[test]
    fn what_is_there_decides() {
        let shown = subscription(Some("hush-1"));
        for (found, held, expected) in [
            (None, held(3), Step::Make),
            (Some(&shown), held(2), Step::Keep),
            (Some(&shown), held(1), Step::Store("s1".to_owned())),
            (Some(&subscription(None)), held(3), Step::Keep),
            (Some(&subscription(None)), held(2), Step::Anew("s1".to_owned())),
        ] {
            assert_eq!(
                step(found, &held, false),
                expected,
                "{found:?}, {} held",
                held.len()
            );
        }
        assert_eq!(step(Some(&shown), &held(3), true), Step::Anew("s1".to_owned()));
        assert_eq!(step(None, &held(3), true), Step::Make);
    }
}
