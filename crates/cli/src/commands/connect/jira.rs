//! Jira's admin webhook.

use secrecy::{ExposeSecret, SecretString};
use tandem_atlassian::jira::admin::{AdminWebhook, EVENTS};
use tandem_runtime::config::SecretRef;

use super::desk::{Desk, Held, is_same};
use super::{Did, Report};
use crate::commands::secrets::rotated_later;
use crate::ending::Failure;
use crate::output;

/// What is to be done about the webhooks for an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Plan {
    /// Whether one is to be made.
    make: bool,
    /// Ids of those that are to go, once that is done.
    remove: Vec<String>,
}

/// Decides. Of several good ones the newest stays: it is the one whose secret was stored last.
fn plan(ours: &[&AdminWebhook], holds_secrets: bool, renew: bool) -> Plan {
    let mut ours = ours.to_vec();
    ours.sort_by_key(|webhook| std::cmp::Reverse(webhook.id.parse::<u64>().unwrap_or_default()));
    let good = match renew || !holds_secrets {
        true => None,
        false => ours.iter().position(|webhook| is_good(webhook)),
    };
    let others = ours
        .iter()
        .enumerate()
        .filter(|(place, _)| Some(*place) != good)
        .map(|(_, webhook)| webhook.id.clone());
    Plan {
        make: good.is_none(),
        remove: others.collect(),
    }
}

fn is_good(webhook: &AdminWebhook) -> bool {
    let has = |event: &&str| webhook.events.iter().any(|one| one == event);
    // Where Jira does not say whether it signs, it is taken to.
    webhook.enabled && webhook.is_signed != Some(false) && webhook.limit.is_none() && EVENTS.iter().all(has)
}

pub(super) async fn connect(desk: &Desk<'_>, report: &mut Report) -> Result<(), Failure> {
    let held = desk.secret().await?.jira_webhook_secrets.clone();
    let renew = desk.arguments.renew;
    let Some(all) = desk.ask(async |client| client.jira_webhooks().await).await? else {
        report.jira.did = Did::ByHand;
        return by_hand(desk, report, held.last().cloned()).await;
    };
    let ours: Vec<&AdminWebhook> = all
        .iter()
        .filter(|one| is_same(&one.url, &desk.jira_url))
        .collect();
    let plan = plan(&ours, !held.is_empty(), renew);
    if plan.make {
        let secret = match held.last() {
            Some(held) if !renew => held.clone(),
            _ => match new_secret(desk, report).await? {
                Some(secret) => secret,
                None => return Ok(()),
            },
        };
        let made = async |client: &tandem_atlassian::AtlassianSite| {
            client
                .create_jira_webhook(&desk.name(), &desk.jira_url, "", &secret)
                .await
        };
        if desk.ask(made).await?.is_none() {
            report.jira.did = Did::ByHand;
            return by_hand(desk, report, Some(secret)).await;
        }
        report.jira.did = match (renew, ours.is_empty()) {
            (true, false) => Did::Renewed,
            (_, true) => Did::Made,
            (false, false) => Did::Repaired,
        };
    }
    for id in &plan.remove {
        desk.must(async |client| client.delete_jira_webhook(id).await)
            .await?;
        if report.jira.did == Did::Nothing {
            report.jira.did = Did::Repaired;
        }
    }
    Ok(())
}

/// Draws a secret and stores it; `None` when it cannot be stored, which is left for a person.
async fn new_secret(desk: &Desk<'_>, report: &mut Report) -> Result<Option<SecretString>, Failure> {
    let secret: SecretString = drawn().into();
    match desk.hold(std::slice::from_ref(&secret), &[]).await? {
        Held::Already | Held::Stored => {
            stored(desk, report).await?;
            Ok(Some(secret))
        }
        Held::Nowhere => {
            report.jira.did = Did::ByHand;
            let place = &desk.config.secret;
            let shown = show(desk, "jira_webhook_secrets", &[&secret])?;
            report.todo.push(match shown {
                true => format!(
                    "put the secret on stdout into `jira_webhook_secrets` of {place}, start tandem with it, and call this again: it makes the webhook with it"
                ),
                false => format!(
                    "{place} holds no `jira_webhook_secrets`, and nothing can be stored there: put a long random text there (--show-secret draws one and writes it to stdout), start tandem with it, and call this again: it makes the webhook with it"
                ),
            });
            Ok(None)
        }
    }
}

/// Says what an admin has to enter. The secret that it is to have is stored first.
async fn by_hand(desk: &Desk<'_>, report: &mut Report, held: Option<SecretString>) -> Result<(), Failure> {
    let secret = match held {
        Some(secret) => secret,
        None => match new_secret(desk, report).await? {
            Some(secret) => secret,
            None => return Ok(()),
        },
    };
    let shown = show(desk, "jira_webhook_secrets", &[&secret])?;
    let (name, site, place) = (desk.name(), &desk.config.name, &desk.config.secret);
    let secret = match shown {
        true => "the one on stdout".to_owned(),
        false => format!(
            "the last of `jira_webhook_secrets` in {place}; `tandem connect --site {site} --show-secret` writes it to stdout"
        ),
    };
    report.todo.push(format!(
        "the service user may not administer webhooks of Jira. Either give it the global permission Administer Jira and call this again, or have a Jira admin open {}, choose \"Create a WebHook\", and enter\n\
         \x20   Name      {name}\n\
         \x20   Status    Enabled\n\
         \x20   URL       {}\n\
         \x20   Secret    {secret}\n\
         \x20   Events    Worklog: created, updated, deleted; Issue: updated, deleted\n\
         \x20   JQL       nothing\n\
         \x20   Exclude body  no",
        settings(desk),
        desk.jira_url,
    ));
    Ok(())
}

/// Where an admin finds Jira's webhooks.
fn settings(desk: &Desk<'_>) -> String {
    let jira = desk.config.jira.as_str().trim_end_matches('/');
    match desk.config.jira.host_str() {
        Some("api.atlassian.com") => "Settings, System, WebHooks".to_owned(),
        _ => format!("{jira}/plugins/servlet/webhooks (Settings, System, WebHooks)"),
    }
}

pub(super) async fn remove(desk: &Desk<'_>, report: &mut Report) -> Result<(), Failure> {
    let Some(all) = desk.ask(async |client| client.jira_webhooks().await).await? else {
        report.jira.did = Did::ByHand;
        report.todo.push(format!(
            "the service user may not administer webhooks of Jira: have a Jira admin open {} and delete the webhook with the URL {}",
            settings(desk),
            desk.jira_url
        ));
        return Ok(());
    };
    for webhook in all.iter().filter(|one| is_same(&one.url, &desk.jira_url)) {
        desk.must(async |client| client.delete_jira_webhook(&webhook.id).await)
            .await?;
        report.jira.did = Did::Removed;
    }
    Ok(())
}

/// Writes secrets to stdout, if that was asked for.
pub(super) fn show(desk: &Desk<'_>, field: &str, secrets: &[&SecretString]) -> Result<bool, Failure> {
    if !desk.arguments.show_secret {
        return Ok(false);
    }
    for secret in secrets {
        output::data(format!("{} {field} {}", desk.config.name, secret.expose_secret()))?;
    }
    Ok(true)
}

pub(super) async fn stored(desk: &Desk<'_>, report: &mut Report) -> Result<(), Failure> {
    let note = "new secrets of webhooks are stored; a running tandem uses them within a minute".to_owned();
    if report.notes.contains(&note) {
        return Ok(());
    }
    report.notes.push(note);
    if let SecretRef::Aws(id) = &desk.config.secret
        && desk.secret().await?.tempo_oauth.is_some()
    {
        report.notes.push(rotated_later(id));
    }
    Ok(())
}

/// 256 bits, in letters that survive any form and shell.
fn drawn() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(id: &str) -> AdminWebhook {
        AdminWebhook {
            id: id.to_owned(),
            name: "Tandem acme".to_owned(),
            url: "https://tandem.example.com/hooks/jira/acme".to_owned(),
            events: EVENTS.iter().map(ToString::to_string).collect(),
            enabled: true,
            is_signed: Some(true),
            limit: None,
        }
    }

    fn planned(ours: &[AdminWebhook], holds_secrets: bool, renew: bool) -> (bool, Vec<String>) {
        let ours: Vec<&AdminWebhook> = ours.iter().collect();
        let plan = plan(&ours, holds_secrets, renew);
        (plan.make, plan.remove)
    }

    #[test]
    fn a_good_webhook_stays_and_a_bad_one_is_replaced() {
        assert_eq!(planned(&[], true, false), (true, vec![]));
        assert_eq!(planned(&[webhook("7")], true, false), (false, vec![]));
        let bad = [
            AdminWebhook {
                enabled: false,
                ..webhook("7")
            },
            AdminWebhook {
                is_signed: Some(false),
                ..webhook("7")
            },
            AdminWebhook {
                events: vec!["worklog_created".to_owned()],
                ..webhook("7")
            },
            AdminWebhook {
                limit: Some("project = NOPE".to_owned()),
                ..webhook("7")
            },
        ];
        for bad in bad {
            assert_eq!(planned(&[bad], true, false), (true, vec!["7".to_owned()]));
        }
    }

    #[test]
    fn a_webhook_whose_secret_nobody_holds_is_replaced() {
        assert_eq!(
            planned(&[webhook("7")], false, false),
            (true, vec!["7".to_owned()])
        );
        assert_eq!(planned(&[webhook("7")], true, true), (true, vec!["7".to_owned()]));
    }

    #[test]
    fn of_two_the_newer_one_stays() {
        // By number: as texts, "10" comes before "9".
        let two = [webhook("9"), webhook("10")];
        assert_eq!(planned(&two, true, false), (false, vec!["9".to_owned()]));
        let mut newest_is_off = two;
        newest_is_off[1].enabled = false;
        assert_eq!(
            planned(&newest_is_off, true, false),
            (false, vec!["10".to_owned()])
        );
    }
}
