//! Webhooks: registered, switched on, signed, and whether they arrive.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tandem_atlassian::jira::admin::{AdminWebhook, EVENTS};
use tandem_atlassian::tempo::admin::{Subscription, WORKLOG_EVENTS};
use tandem_atlassian::{ReqwestTransport, Transport};
use tandem_core::SiteName;
use tandem_engine::ports::site::Vendor;

use super::look::{Finding, Look};

/// How long our own address may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);

const CONNECT: &str = "run `tandem connect`";

pub(super) async fn look(look: &Look<'_>, site: &SiteName) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(secrets(look, site).await);
    let Some(public) = &look.tandem.config.engine.public_url else {
        findings.push(Finding::unknown(
            "webhooks",
            site,
            "`public_url` is not set, so that nobody knows where webhooks should arrive",
            "set `public_url` in [engine] to the address where they do; without webhooks, changes are found by the sweep alone",
        ));
        return findings;
    };
    let base = public.as_str().trim_end_matches('/');
    let address = |vendor: &str| format!("{base}/hooks/{vendor}/{site}");
    findings.push(reachable(site, &address("jira")).await);
    let jira = look
        .ask(site, Vendor::Jira, async |client| client.jira_webhooks().await)
        .await;
    findings.push(match jira {
        Ok(webhooks) => of_jira(site, &address("jira"), &webhooks),
        Err(trouble) => Finding::trouble(
            "jira-webhook",
            site,
            &trouble,
            "somebody who administers Jira looks under System, WebHooks, whether there is one for this address, enabled and with a secret",
        ),
    });
    let tempo = look
        .ask(site, Vendor::Tempo, async |client| client.tempo_webhooks().await)
        .await;
    findings.push(match tempo {
        Ok(subscriptions) => of_tempo(site, &address("tempo"), &subscriptions),
        Err(trouble) => Finding::trouble(
            "tempo-webhooks",
            site,
            &trouble,
            "give Tempo's token the scope for webhooks, or full access",
        ),
    });
    findings
}

/// Without a secret to check signatures with, every delivery is turned away.
async fn secrets(look: &Look<'_>, site: &SiteName) -> Option<Finding> {
    let secret = look.tandem.secrets.get(site)?.current(false).await.ok()?;
    let lacking: Vec<&str> = [
        ("jira_webhook_secrets", secret.jira_webhook_secrets.is_empty()),
        ("tempo_webhook_secrets", secret.tempo_webhook_secrets.is_empty()),
    ]
    .into_iter()
    .filter_map(|(field, empty)| empty.then_some(field))
    .collect();
    if lacking.is_empty() {
        return None;
    }
    let what = format!("the secret has no {}", lacking.join(" and no "));
    Some(match look.tandem.config.engine.public_url {
        Some(_) => Finding::fail(
            "webhook-secrets",
            site,
            format!("{what}: every such webhook is turned away"),
            format!("{CONNECT}, which stores them"),
        ),
        None => Finding::unknown(
            "webhook-secrets",
            site,
            what,
            "they are needed as soon as webhooks are to arrive",
        ),
    })
}

fn same_address(left: &str, right: &str) -> bool {
    left.trim_end_matches('/') == right.trim_end_matches('/')
}

fn of_jira(site: &SiteName, address: &str, webhooks: &[AdminWebhook]) -> Finding {
    const CHECK: &str = "jira-webhook";
    let ours: Vec<&AdminWebhook> = webhooks
        .iter()
        .filter(|webhook| same_address(&webhook.url, address))
        .collect();
    let is_whole = |webhook: &&&AdminWebhook| webhook.enabled && webhook.limit.is_none();
    let best = ours.iter().find(is_whole);
    let Some(best) = best
        .or(ours.iter().find(|webhook| webhook.enabled))
        .or(ours.first())
    else {
        return Finding::fail(CHECK, site, format!("there is none for {address}"), CONNECT);
    };
    if !best.enabled {
        return Finding::fail(CHECK, site, format!("{address} is switched off"), CONNECT);
    }
    if best.is_signed == Some(false) {
        let what = format!("{address} has no secret, so that every delivery is turned away");
        return Finding::fail(CHECK, site, what, CONNECT);
    }
    if let Some(limit) = &best.limit {
        let what = format!("{address} hears of a part alone ({limit})");
        return Finding::fail(CHECK, site, what, CONNECT);
    }
    let lacking: Vec<&str> = EVENTS
        .into_iter()
        .filter(|event| {
            !ours
                .iter()
                .any(|webhook| is_whole(&webhook) && webhook.events.iter().any(|one| one == event))
        })
        .collect();
    if !lacking.is_empty() {
        let what = format!("{address} does not hear of {}", lacking.join(", "));
        return Finding::fail(CHECK, site, what, CONNECT);
    }
    Finding::ok(CHECK, site, format!("{address} hears of all it should"))
}

fn of_tempo(site: &SiteName, address: &str, subscriptions: &[Subscription]) -> Finding {
    const CHECK: &str = "tempo-webhooks";
    let mut lacking = Vec::new();
    let mut inactive = Vec::new();
    for event in WORKLOG_EVENTS {
        let mut ours = subscriptions
            .iter()
            .filter(|one| one.event == event && same_address(&one.url, address))
            .peekable();
        if ours.peek().is_none() {
            lacking.push(event);
        } else if !ours.any(|one| one.active) {
            inactive.push(event);
        }
    }
    if !lacking.is_empty() {
        let what = format!("{address} is not subscribed to {}", lacking.join(", "));
        return Finding::fail(CHECK, site, what, CONNECT);
    }
    if !inactive.is_empty() {
        let what = format!(
            "Tempo has switched off {} for {address}: too many deliveries failed",
            inactive.join(", ")
        );
        let fix = format!(
            "make sure that the address can be reached, then {CONNECT}; the sweep finds what was missed"
        );
        return Finding::fail(CHECK, site, what, fix);
    }
    Finding::ok(
        CHECK,
        site,
        format!("{address} is subscribed to all it should be"),
    )
}

/// An unsigned delivery must be turned away with 401, by us and nobody else. It leaves nothing behind.
async fn reachable(site: &SiteName, address: &str) -> Finding {
    const CHECK: &str = "reachable";
    let fix = "compare `public_url` in [engine] with the deployed address (an output of the stack), and look whether it can be reached from the internet";
    let request = Request::post(address)
        .header("content-type", "application/json")
        .body(Bytes::from_static(b"{}"));
    let sent = match (request, ReqwestTransport::new()) {
        (Ok(request), Ok(transport)) => transport.send(request, DEADLINE).await,
        (Err(error), _) => return Finding::fail(CHECK, site, error.to_string(), fix),
        (_, Err(error)) => return Finding::fail(CHECK, site, error.to_string(), fix),
    };
    match sent {
        Ok(answer) if answer.status().as_u16() == 401 => Finding::ok(
            CHECK,
            site,
            format!("{address} answers, and turns away what is not signed"),
        ),
        Ok(answer) => Finding::fail(
            CHECK,
            site,
            format!(
                "{address} answers {} to what is not signed, where Tandem answers 401",
                answer.status().as_u16()
            ),
            fix,
        ),
        Err(error) => Finding::fail(CHECK, site, format!("{address}: {error}"), fix),
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::State;
    use super::*;

    const URL: &str = "https://tandem.example/hooks/jira/acme";

    fn webhook() -> AdminWebhook {
        AdminWebhook {
            id: "1".into(),
            name: "Tandem".into(),
            url: URL.into(),
            events: EVENTS.map(str::to_owned).into(),
            enabled: true,
            is_signed: Some(true),
            limit: None,
        }
    }

    #[test]
    fn a_webhook_of_jira_must_be_there_enabled_signed_and_complete() {
        let site = SiteName::new("acme");
        let says = |webhooks: &[AdminWebhook]| of_jira(&site, URL, webhooks);
        let good = webhook();
        assert_eq!(says(std::slice::from_ref(&good)).state, State::Ok);
        let elsewhere = AdminWebhook {
            url: "https://other.example/".into(),
            ..webhook()
        };
        let off = AdminWebhook {
            enabled: false,
            ..webhook()
        };
        let unsigned = AdminWebhook {
            is_signed: Some(false),
            ..webhook()
        };
        let deaf = AdminWebhook {
            events: vec!["worklog_created".into()],
            ..webhook()
        };
        let limited = AdminWebhook {
            limit: Some("project = NOPE".into()),
            ..webhook()
        };
        for (webhook, word) in [
            (limited, "a part alone (project = NOPE)"),
            (elsewhere, "none"),
            (off.clone(), "switched off"),
            (unsigned, "no secret"),
            (deaf, "worklog_deleted"),
        ] {
            let found = says(&[webhook]);
            assert!(
                found.state == State::Fail && found.what.contains(word),
                "{found:?}"
            );
        }
        // One that works beside one that does not is enough.
        assert_eq!(says(&[off, good]).state, State::Ok);
    }
}
