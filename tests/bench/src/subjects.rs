//! What the instructions are counted of: inputs, made before the count begins.

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::json;
use tandem_atlassian::signature::{sign_jira, sign_tempo};
use tandem_core::observed::{Observed, Settings};
use tandem_core::{Side, Worklog};
use tandem_engine::echo::{jira_mark, tempo_mark};
use tandem_engine::ports::store::Echo;

use crate::scale::{CONNECTION, PER_LINK, SITES, Scale, pair, worklog};

/// A webhook as it arrives.
#[derive(Debug)]
pub struct Webhook {
    /// The body.
    pub body: Vec<u8>,
    /// `Tempo-Signature`, or `X-Hub-Signature`.
    pub signature: String,
    /// `Tempo-Timestamp`.
    pub timestamp: String,
    /// The site's secrets: one for each of Tempo's three subscriptions.
    pub secrets: Vec<SecretString>,
    /// The moment at which it arrives.
    pub now: Timestamp,
}

/// A webhook's body, and the note of the write that it is the echo of.
#[derive(Debug)]
pub struct EchoedWebhook {
    /// The body.
    pub body: Vec<u8>,
    /// What was noted before the write.
    pub echo: Echo,
}

/// A link as observed, and the settings to plan with.
#[derive(Debug)]
pub struct Planned {
    /// What was seen.
    pub observed: Observed,
    /// The rules.
    pub settings: Settings,
}

const NOW: &str = "2026-03-02T08:00:00.000Z";

fn now() -> Timestamp {
    NOW.parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

fn secrets() -> Vec<SecretString> {
    ["created", "updated", "deleted"]
        .map(|which| SecretString::from(format!("a-shared-secret-of-the-{which}-subscription")))
        .to_vec()
}

fn tempo_body(worklog: &Worklog) -> Vec<u8> {
    let content = &worklog.content;
    let person = json!({ "self": "https://acme.atlassian.net/rest/api/2/user", "accountId": content.author });
    let body = json!({
        "eventType": "worklog.created",
        "eventId": "6f1c2b0e-52f5-4b53-9a53-0d6f6f7c7d11",
        "payload": {
            "self": format!("https://api.tempo.io/4/worklogs/{}", worklog.id),
            "tempoWorklogId": worklog.id.0,
            "issue": { "self": format!("https://acme.atlassian.net/rest/api/2/issue/{}", worklog.issue), "id": worklog.issue.0 },
            "timeSpentSeconds": content.time_spent_secs,
            "billableSeconds": content.billable_secs,
            "startDate": content.start_date.to_string(),
            "startTime": content.start_time.map(|time| time.to_string()),
            "description": content.description,
            "createdAt": worklog.created_at.to_string(),
            "updatedAt": worklog.updated_at.to_string(),
            "author": person,
            "updater": person,
        },
    });
    body.to_string().into_bytes()
}

/// Returns a webhook of Tempo; the last of three secrets is the right one.
pub fn tempo_webhook() -> Webhook {
    let (body, secrets) = (tempo_body(&worklog(Side::A, 7)), secrets());
    Webhook {
        signature: sign_tempo(&body, NOW, &secrets[2]),
        body,
        timestamp: NOW.to_owned(),
        secrets,
        now: now(),
    }
}

/// Returns a webhook of Jira of the same length; the last of three secrets is the right one.
pub fn jira_webhook() -> Webhook {
    let (body, secrets) = (tempo_body(&worklog(Side::A, 7)), secrets());
    Webhook {
        signature: sign_jira(&body, &secrets[2]),
        body,
        timestamp: String::new(),
        secrets,
        now: now(),
    }
}

/// Returns the webhook that comes back from a write of our own, and what was noted of that write.
pub fn echoed_webhook() -> EchoedWebhook {
    let worklog = worklog(Side::B, 7);
    let content = &worklog.content;
    let echo = Echo {
        site: SITES.b.into(),
        mark: tempo_mark(
            worklog.issue,
            &content.author,
            content.start_date,
            content.time_spent_secs,
            &content.description,
        ),
        connection: CONNECTION.into(),
        worklog: Some(worklog.id),
        author: Some(content.author.clone()),
        updated_at: Some(worklog.updated_at),
        expires: now() + SignedDuration::from_hours(3),
    };
    EchoedWebhook {
        body: tempo_body(&worklog),
        echo,
    }
}

/// Returns the same write as it comes back from Jira: as Tempo's app.
pub fn echoed_jira_webhook() -> EchoedWebhook {
    let worklog = worklog(Side::B, 7);
    let content = &worklog.content;
    let app = json!({
        "self": "https://globex.atlassian.net/rest/api/2/user?accountId=557058%3A295406f3",
        "accountId": "557058:295406f3-a1fc-4733-b906-dd15d021bd79",
        "displayName": "Timesheets by Tempo - Jira Time Tracking",
        "active": true,
        "timeZone": "Europe/Berlin",
        "accountType": "app",
    });
    let body = json!({
        "timestamp": worklog.updated_at.as_millisecond(),
        "webhookEvent": "worklog_created",
        "worklog": {
            "self": format!("https://globex.atlassian.net/rest/api/2/issue/{}/worklog/10007", worklog.issue),
            "author": app,
            "updateAuthor": app,
            "comment": content.description,
            "created": "2026-03-02T08:00:00.000+0000",
            "updated": "2026-03-02T08:00:00.000+0000",
            "started": "2026-03-02T08:00:00.000+0000",
            "timeSpent": "1h",
            "timeSpentSeconds": content.time_spent_secs,
            "id": "10007",
            "issueId": worklog.issue.to_string(),
        },
    });
    EchoedWebhook {
        body: body.to_string().into_bytes(),
        echo: Echo {
            mark: jira_mark(worklog.issue, content.time_spent_secs, &content.description),
            updated_at: None,
            ..echoed_webhook().echo
        },
    }
}

/// Returns a link of so many worklogs on each side that all agree.
pub fn link_in_step(worklogs: u64) -> Planned {
    let scale = Scale::of(worklogs);
    let link = scale.link(0);
    let mut observed = Observed::empty(link.clone(), now());
    for number in 0..worklogs {
        let mut pair = pair(&link, number);
        pair.link = link.clone();
        for side in Side::BOTH {
            let mut worklog = worklog(side, number);
            // All on one issue, however many.
            worklog.issue = link.issue(side);
            observed.listings[side].insert(worklog.id, worklog);
        }
        observed.pairs.push(pair);
    }
    Planned {
        observed,
        settings: Settings::default(),
    }
}

/// Returns a link of 50 worklogs on each side, one of which was edited on side A.
pub fn link_with_one_change() -> Planned {
    let mut planned = link_in_step(PER_LINK);
    let now = planned.observed.now;
    if let Some(worklog) = planned.observed.listings.a.values_mut().nth(20) {
        worklog.content.time_spent_secs += 900;
        worklog.content.description.push_str(", and again");
        worklog.updated_at = now;
    }
    planned
}

#[cfg(test)]
mod tests {
    use tandem_atlassian::signature::{verify_jira, verify_tempo};
    use tandem_core::plan::{Action, plan};

    use super::*;

    #[test]
    fn the_webhooks_verify() {
        let tempo = tempo_webhook();
        assert!(verify_tempo(
            &tempo.body,
            &tempo.signature,
            &tempo.timestamp,
            &tempo.secrets,
            tempo.now
        ));
        let jira = jira_webhook();
        assert!(verify_jira(&jira.body, &jira.signature, &jira.secrets));
    }

    #[test]
    fn a_link_in_step_needs_nothing_and_one_change_one_write() {
        let still = link_in_step(200);
        assert!(plan(&still.observed, &still.settings).steps.is_empty());
        let changed = link_with_one_change();
        let steps = plan(&changed.observed, &changed.settings).steps;
        assert_eq!(steps.len(), 1);
        assert!(matches!(steps[0].action, Action::Update { .. }), "{steps:?}");
    }
}
