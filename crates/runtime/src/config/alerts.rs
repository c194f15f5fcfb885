//! `[alerts]`: who is told when something needs a person.

use std::fmt;
use std::path::Path;

use url::Url;

use super::ConfigEnv;
use super::document::{Table, Value};
use super::sites::{SecretRef, parse_secret};
use super::urls;

const WEBHOOK_RIGHT: &str = "the https address of a webhook, or, since whoever knows it can write there, where it is kept: aws:ID | env:NAME | file:PATH";
const COMMAND_RIGHT: &str =
    "a program and its arguments, like command = [\"/usr/local/bin/notify\", \"tandem\"]";

/// Who is told when something needs a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertsConfig {
    /// Where `{"text": "…"}` is sent.
    pub webhook: Option<AlertTarget>,
    /// A program and its arguments; it gets the text on stdin. Empty: none.
    pub command: Vec<String>,
}

impl AlertsConfig {
    /// Says whether anybody is told at all.
    pub fn is_set(&self) -> bool {
        self.webhook.is_some() || !self.command.is_empty()
    }
}

/// Where an alert is sent.
#[derive(Clone, PartialEq, Eq)]
pub enum AlertTarget {
    /// To this address.
    Url(Url),
    /// To the address that is kept there, as text.
    Secret(SecretRef),
}

// By hand: the path of such an address is as good as a password.
impl fmt::Debug for AlertTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(f, "Url({})", url.host_str().unwrap_or_default()),
            Self::Secret(secret) => write!(f, "Secret({secret})"),
        }
    }
}

pub(super) fn read(root: &Table<'_>, env: &ConfigEnv, folder: &Path) -> AlertsConfig {
    let mut alerts = AlertsConfig::default();
    let Some(table) = root
        .get("alerts")
        .and_then(|value| value.table("write [alerts], and the keys below it"))
    else {
        return alerts;
    };
    table.only("[alerts]", &["webhook", "command"]);
    alerts.webhook = table
        .get("webhook")
        .and_then(|value| read_webhook(value, env, folder));
    alerts.command = table.get("command").map(read_command).unwrap_or_default();
    alerts
}

fn read_webhook(value: Value<'_>, env: &ConfigEnv, folder: &Path) -> Option<AlertTarget> {
    value.hide();
    let text = value.text(WEBHOOK_RIGHT)?;
    let read = match text.split_once(':') {
        Some(("aws" | "env" | "file", _)) => parse_secret(text, folder).map(AlertTarget::Secret),
        _ => webhook_address(text, env.allow_loopback).map(AlertTarget::Url),
    };
    read.map_err(|message| value.wrong(message, WEBHOOK_RIGHT)).ok()
}

/// Reads the address of a webhook: https, or this machine's own where that is allowed. The message quotes none of it.
///
/// # Errors
/// What is wrong with it.
pub fn webhook_address(text: &str, allow_loopback: bool) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|_| "this is not an address".to_owned())?;
    let own = urls::is_loopback(&url);
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user or password in an address is not allowed".into());
    }
    if url.scheme() == "https" && (!own || allow_loopback) || own && allow_loopback && url.scheme() == "http"
    {
        return Ok(url);
    }
    Err("this address is not https, or is one of this machine".into())
}

fn read_command(value: Value<'_>) -> Vec<String> {
    let words: Vec<Option<String>> = value
        .list(COMMAND_RIGHT)
        .unwrap_or_default()
        .into_iter()
        .map(|word| word.text(COMMAND_RIGHT).map(str::to_owned))
        .collect();
    let words: Vec<String> = words.into_iter().flatten().collect();
    if words.first().is_none_or(String::is_empty) {
        value.wrong("there is no program to run", COMMAND_RIGHT);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    const REST: &str = "[sites.a]\njira = \"https://a.atlassian.net\"\nsecret = \"env:A\"\n[sites.b]\njira = \"https://b.atlassian.net\"\nsecret = \"env:B\"\n[[connections]]\nname = \"a-b\"\na = \"a\"\nb = \"b\"\n";

    fn parse(alerts: &str) -> Result<AlertsConfig, String> {
        let text = format!("[alerts]\n{alerts}\n{REST}");
        Config::parse(&text, "etc/tandem.toml", &ConfigEnv::default())
            .map(|config| config.alerts)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_webhook_is_an_address_or_where_one_is_kept() {
        let url = "https://hooks.slack.example/services/T1/hush";
        let read = parse(&format!("webhook = \"{url}\"")).unwrap();
        assert_eq!(read.webhook, Some(AlertTarget::Url(Url::parse(url).unwrap())));
        assert!(!format!("{read:?}").contains("hush"));
        let read = parse("webhook = \"env:SLACK\"\ncommand = [\"notify\", \"-x\"]").unwrap();
        assert_eq!(
            read.webhook,
            Some(AlertTarget::Secret(SecretRef::Env("SLACK".into())))
        );
        assert_eq!(read.command, ["notify", "-x"]);
        assert!(!parse("").unwrap().is_set());
    }

    #[test]
    fn what_is_neither_is_refused_without_being_shown() {
        for wrong in [
            "webhook = \"http://hooks.example/hush\"",
            "webhook = \"https://127.0.0.1/hush\"",
            "webhook = \"https://me:hush@hooks.example/\"",
            "webhook = \"hush\"",
            "webhook = 5",
            "command = \"notify\"",
            "command = []",
            "command = [\"\"]",
            "slack = \"x\"",
        ] {
            let error = parse(wrong).unwrap_err();
            assert!(
                error.contains("tandem.toml:") && !error.contains("hush"),
                "{wrong}: {error}"
            );
        }
    }
}
