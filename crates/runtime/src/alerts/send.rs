//! Ways to tell people: a webhook, a program, a topic of SNS.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, header};
use secrecy::ExposeSecret;
use tandem_atlassian::Transport;
use tandem_atlassian::transport::TransportError;
use tandem_aws::Topic;
use tandem_aws::secrets::{SecretError, Stage};
use tandem_core::SiteName;
use tracing::warn;
use url::Url;

use super::Sent;
use crate::config::{AlertTarget, Config, SecretRef, webhook_address};
use crate::credentials::source;
use crate::wiring::Tandem;

/// How long either way may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// How much of SNS's answer the log shows, in characters.
const ANSWER_MAX: usize = 400;

/// How often a program is looked at whether it has ended.
const LOOK: Duration = Duration::from_millis(50);

/// A way to tell people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// An address that takes a text.
    Webhook,
    /// A program of this machine.
    Command,
}

/// Lists the ways that the configuration names, and what keeps each from being used, as far as that can be seen
/// without telling anybody anything.
pub async fn ways(tandem: &Tandem) -> Vec<(Way, Result<(), String>)> {
    let alerts = &tandem.config.alerts;
    let mut ways = Vec::new();
    if let Some(target) = &alerts.webhook {
        ways.push((Way::Webhook, address(tandem, target).await.map(drop)));
    }
    if let Some(program) = alerts.command.first() {
        ways.push((Way::Command, there(program)));
    }
    ways
}

/// Says why a program cannot be run. One without a folder is looked for where the system would.
fn there(program: &str) -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = match Path::new(program).components().count() {
        1 => std::env::split_paths(&path)
            .map(|folder| folder.join(program))
            .collect(),
        _ => vec![program.into()],
    };
    // On Windows a program may be called by half its name.
    let with_ending = |place: &PathBuf| place.with_extension(std::env::consts::EXE_EXTENSION);
    let is_there = |place: &PathBuf| place.is_file() || with_ending(place).is_file();
    let Some(found) = places.iter().find(|place| is_there(place)) else {
        return Err(format!("there is no program `{program}`"));
    };
    if places.iter().any(|place| is_there(place) && is_executable(place)) {
        return Ok(());
    }
    Err(format!("{} is not executable", found.display()))
}

#[cfg(unix)]
fn is_executable(place: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(place).is_ok_and(|about| about.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> bool {
    true
}

/// Sends a text by each way that the configuration names.
pub(super) async fn everywhere(tandem: &Tandem, transport: &dyn Transport, text: &str) -> Sent {
    let alerts = &tandem.config.alerts;
    let ways = usize::from(alerts.webhook.is_some()) + usize::from(!alerts.command.is_empty());
    let mut failed = 0;
    if let Some(target) = &alerts.webhook
        && let Err(why) = webhook(tandem, target, transport, text).await
    {
        warn!("Could not send an alert: {why}");
        failed += 1;
    }
    if let Some((program, arguments)) = alerts.command.split_first()
        && let Err(why) = command(program, arguments, &held_in_environment(&tandem.config), text).await
    {
        warn!("Could not hand an alert to `{program}`: {why}");
        failed += 1;
    }
    Sent { ways, failed }
}

/// Publishes a text to a topic.
pub(super) async fn to_topic(
    tandem: &Tandem,
    transport: &dyn Transport,
    topic: &Topic,
    subject: &str,
    text: &str,
) -> Sent {
    let published = async {
        let request = topic
            .publication(subject, text, tandem.engine.clock.now().into())
            .map_err(|error| error.to_string())?;
        match transport.send(request, DEADLINE).await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            // What it says names the role, the action and the topic, or what is wrong with the request.
            Ok(answer) => Err(format!(
                "SNS answered {}: {}",
                answer.status().as_u16(),
                brief(answer.body())
            )),
            Err(error) => Err(error.to_string()),
        }
    };
    let failed = match published.await {
        Ok(()) => 0,
        Err(why) => {
            warn!("Could not publish an alert: {why}");
            1
        }
    };
    Sent { ways: 1, failed }
}

/// The beginning of an answer, in one line.
fn brief(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(ANSWER_MAX).collect()
}

async fn webhook(
    tandem: &Tandem,
    target: &AlertTarget,
    transport: &dyn Transport,
    text: &str,
) -> Result<(), String> {
    let address = address(tandem, target).await?;
    let body = serde_json::json!({ "text": text }).to_string();
    let request = Request::post(address.as_str())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(body))
        .map_err(|_| "its address cannot be used".to_owned())?;
    // What is said here names no address: whoever knows it can write there.
    match transport.send(request, DEADLINE).await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("the webhook answered {}", answer.status().as_u16())),
        Err(TransportError::NotSent(_)) => Err("the webhook cannot be reached".to_owned()),
        Err(_) => Err("the webhook gave no usable answer".to_owned()),
    }
}

/// Returns the address of a webhook, from where it is kept.
async fn address(tandem: &Tandem, target: &AlertTarget) -> Result<Url, String> {
    let secret = match target {
        AlertTarget::Url(url) => return Ok(url.clone()),
        AlertTarget::Secret(secret) => secret,
    };
    let Some(secrets) = tandem.secrets.values().next() else {
        return Err("there are no secrets".into());
    };
    let text = secrets
        .secrets
        .text(&SiteName::new("alerts"), &source(secret), Stage::Current)
        .await
        // It is no site's, as the error would say.
        .map_err(|error| match error {
            SecretError::Unreadable { what, .. } => {
                format!("the secret of [alerts] ({secret}) cannot be read: {what}")
            }
            SecretError::Unreachable { what, .. } => {
                format!("the secret of [alerts] ({secret}) is out of reach for now: {what}")
            }
            SecretError::Malformed { what, .. } => format!("the secret of [alerts] ({secret}) {what}"),
        })?
        .ok_or("the secret of [alerts] is empty")?;
    let loopback = tandem
        .config
        .sites
        .values()
        .any(|site| site.jira.scheme() == "http");
    webhook_address(text.expose_secret(), loopback).map_err(|what| format!("the secret of [alerts]: {what}"))
}

/// The variables that hold secrets: no program that is called needs to know those.
fn held_in_environment(config: &Config) -> Vec<String> {
    let of_sites = config.sites.values().map(|site| &site.secret);
    let of_alerts = config.alerts.webhook.iter().filter_map(|target| match target {
        AlertTarget::Secret(secret) => Some(secret),
        AlertTarget::Url(_) => None,
    });
    let names = of_sites.chain(of_alerts).filter_map(|secret| match secret {
        SecretRef::Env(name) => Some(name.clone()),
        SecretRef::Aws(_) | SecretRef::File(_) => None,
    });
    names.collect()
}

/// Runs a program with the text on its stdin, and without these variables. No shell is in between.
async fn command(program: &str, arguments: &[String], without: &[String], text: &str) -> Result<(), String> {
    let mut command = Command::new(program);
    for name in without {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let text = text.to_owned();
    tokio::task::spawn_blocking(move || run(command, &text))
        .await
        .map_err(|error| error.to_string())?
}

fn run(mut command: Command, text: &str) -> Result<(), String> {
    let begun = Instant::now();
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    if let Some(mut stdin) = child.stdin.take() {
        // A message is shorter than what a pipe takes unread; a program that does not read is none the worse for it.
        let _ = stdin.write_all(text.as_bytes());
    }
    while begun.elapsed() < DEADLINE {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("it ended with {status}")),
            Ok(None) => std::thread::sleep(LOOK),
            Err(error) => return Err(error.to_string()),
        }
    }
    // It may have ended just now.
    let _ = child.kill();
    let _ = child.wait();
    Err(format!("it took longer than {} s", DEADLINE.as_secs()))
}
