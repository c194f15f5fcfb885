//! `secrets`: store a site's secret. It comes from a file, from stdin or from a prompt; an argument would stay in the
//! shell's history and in the list of processes.

use std::io::{IsTerminal, Read, stdin};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use tandem_aws::secrets::{Described, VersionError, Versions};
use tandem_aws::{Secrets, SiteSecret};
use tandem_runtime::config::{SecretRef, SiteConfig};

use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::terminal::{self, Shown, read_line};
use crate::{open, output};

/// What a secret looks like, for whoever wrote another thing.
const RIGHT: &str = "right: JSON like {\"tempo_token\":\"…\",\"tempo_expires_at\":\"2027-01-31T00:00:00Z\",\"jira_email\":\"…\",\"jira_token\":\"…\",\"jira_expires_at\":\"2027-11-30T00:00:00Z\",\"jira_webhook_secrets\":[\"…\"],\"tempo_webhook_secrets\":[\"…\"]}; for Tempo through OAuth also tempo_client_id, tempo_client_secret, tempo_redirect_uri and tempo_refresh_token";

/// Secrets Manager takes no more than this, in bytes.
const SECRET_BYTES_MAX: u64 = 65_536;

/// The fields of a secret.
const FIELDS: [&str; 11] = [
    "tempo_token",
    "tempo_expires_at",
    "tempo_client_id",
    "tempo_client_secret",
    "tempo_redirect_uri",
    "tempo_refresh_token",
    "jira_email",
    "jira_token",
    "jira_expires_at",
    "jira_webhook_secrets",
    "tempo_webhook_secrets",
];

/// What the prompt asks for, and whether it may be seen. Everything else stays as it is.
const ASKED: [(&str, &str, Shown); 5] = [
    ("tempo_token", "Tempo token", Shown::No),
    ("tempo_expires_at", LAST_DAY, Shown::Yes),
    ("jira_email", "e-mail address of the Jira user", Shown::Yes),
    ("jira_token", "Jira API token", Shown::No),
    ("jira_expires_at", LAST_DAY, Shown::Yes),
];

/// What is asked after a token.
const LAST_DAY: &str = "its last day, such as 2027-01-31 (- for unknown)";

/// What a new token makes wrong: the day of the one before.
const DAYS: [(&str, &str); 2] = [
    ("tempo_token", "tempo_expires_at"),
    ("jira_token", "jira_expires_at"),
];

#[derive(Debug, Args)]
#[command(after_help = "Example:
  tandem secrets put acme --file acme.json")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check a site's secret and put it into use, in AWS Secrets Manager
    #[command(
        after_help = "Example:\n  tandem secrets put acme --file acme.json\n\nThe secret is JSON, from --file or from stdin. It takes the place of the whole secret, but for webhook secrets that it does not name: those stay. In a terminal without --file, tokens are asked for, and what is not answered stays as it is."
    )]
    Put(Put),
}

#[derive(Debug, Args)]
struct Put {
    /// The site, as in [sites.NAME] of the configuration
    #[arg(value_name = "SITE")]
    site: String,
    /// Read the JSON from this file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// End a rotation that is under way: its new tokens are given up
    #[arg(long)]
    end_rotation: bool,
    /// Store other OAuth tokens of Tempo than those in use, which are given up
    #[arg(long)]
    replace_oauth: bool,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let Action::Put(put) = &arguments.action;
    let config = open::config(global)?;
    let site = config
        .sites
        .values()
        .find(|site| site.name.as_str() == put.site)
        .ok_or_else(|| {
            let known: Vec<_> = config.sites.keys().map(ToString::to_string).collect();
            let asked = output::plain(&put.site);
            Failure::usage(format!(
                "there is no site `{asked}`; there are: {}",
                known.join(", ")
            ))
        })?;
    let id = in_aws(site)?;
    let secrets = Secrets::new(Some(open::aws().await?.secrets_manager()), |_| None);
    let Some(versions) = secrets.versions(id) else {
        return Err(Failure::usage("AWS is not set up here"));
    };
    // What comes by file or stdin is judged before AWS is asked anything.
    let given = given(put)?;
    let parsed = given.as_ref().map(|text| parse(site, text)).transpose()?;
    let described = versions.describe().await.map_err(|error| no_secret(id, error))?;
    let pending = broken_off(&versions, &described).await?;
    if pending.is_some() && !put.end_rotation {
        return Err(Failure::failed(format!(
            "a rotation of {id} is under way, and its new tokens are stored but not in use yet: wait a minute and try again. If it never ends, see docs/runbooks/rotation-failed.md; --end-rotation gives its tokens up"
        )));
    }
    let current = current(&versions, &described).await?;
    let text = match given.zip(parsed) {
        Some((text, parsed)) => {
            let newer = pending.as_ref().map(|(_, text)| text);
            if !put.replace_oauth && buries(&parsed, current.as_ref(), newer) {
                return Err(Failure::failed(format!(
                    "the OAuth tokens of Tempo in use for {id} are not these, and would be lost: an old file, say, which has the tokens from before a rotation. Put what is new into a fresh copy (aws secretsmanager get-secret-value --secret-id {id} --query SecretString --output text); where these are newer, as after authorizing again in Tempo, --replace-oauth stores them. Nothing was stored"
                )));
            }
            with_signing(text, current.as_ref())
        }
        None => asked(current.as_ref())?,
    };
    let secret = parse(site, &text)?;
    for remark in remarks(&secret, &text) {
        output::say(format!("note: {remark}"));
    }
    // Whoever is asked takes minutes, in which a rotation may come and go: these would be the tokens that it has ended.
    let now = versions.describe().await.map_err(|error| no_secret(id, error))?;
    if (&now.current, &now.pending) != (&described.current, &described.pending) {
        return Err(Failure::failed(format!(
            "{id} was changed meanwhile, by a rotation or somebody else. Nothing was stored; put it again, upon what is there now"
        )));
    }
    let version = versions
        .put_current(&text)
        .await
        .map_err(|error| Failure::Failed(error.into()))?;
    if let Some((pending, _)) = pending {
        versions.end_pending(&pending).await.map_err(|error| {
            Failure::failed(format!(
                "the secret is stored, but its rotation is not ended: {error}"
            ))
        })?;
    }
    if global.json {
        output::json(&serde_json::json!({ "site": site.name.as_str(), "secret": id, "version": version }))?;
    } else {
        output::say(format!(
            "stored as {id}; running functions use it within a minute"
        ));
    }
    if secret.tempo_oauth.is_some() {
        output::say(format!("note: {}", rotated_later(id)));
    }
    Ok(Ending::Done)
}

/// Returns where in AWS a site's secret is; for one that is elsewhere, says how it is stored there.
fn in_aws(site: &SiteConfig) -> Result<&str, Failure> {
    let name = &site.name;
    match &site.secret {
        SecretRef::Aws(id) => Ok(id),
        SecretRef::Env(variable) => Err(Failure::usage(format!(
            "the secret of {name} is in the environment, where nothing can be stored for later: set the variable {variable} to the JSON before you start tandem, such as with {variable}=\"$(cat FILE)\", or write secret = \"aws:ID\" in the configuration\n  {RIGHT}"
        ))),
        SecretRef::File(path) => Err(Failure::usage(format!(
            "the secret of {name} is the file {}: write the JSON into it with an editor, and let nobody else read it (chmod 600); it is used within a minute\n  {RIGHT}",
            path.display()
        ))),
    }
}

/// Reads what was given by file or stdin; `None` where there is somebody to ask.
fn given(put: &Put) -> Result<Option<SecretString>, Failure> {
    let mut text = String::new();
    let (read, from) = match &put.file {
        Some(path) => {
            let read = std::fs::File::open(path)
                .and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text));
            (read, path.display().to_string())
        }
        None if stdin().is_terminal() => return Ok(None),
        None => {
            let read = stdin()
                .lock()
                .take(SECRET_BYTES_MAX + 1)
                .read_to_string(&mut text);
            (read, "stdin".to_owned())
        }
    };
    read.map_err(|error| Failure::usage(format!("{from} cannot be read: {error}")))?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(Failure::usage(format!(
            "{from} has more than {SECRET_BYTES_MAX} bytes, which is more than a secret may have"
        )));
    }
    Ok(Some(text.into()))
}

/// Refuses what is no secret of a site.
fn parse(site: &SiteConfig, text: &SecretString) -> Result<SiteSecret, Failure> {
    let name = &site.name;
    SiteSecret::parse(text.expose_secret()).map_err(|what| {
        Failure::usage(format!(
            "the secret for {name} {what}; nothing was stored\n  {RIGHT}"
        ))
    })
}

/// Returns the refresh token of a version, where it has one.
fn refresh_token(text: Option<&SecretString>) -> Option<SecretString> {
    let secret = SiteSecret::parse(text?.expose_secret()).ok()?;
    Some(secret.tempo_oauth?.refresh_token)
}

/// Says whether a secret lacks the refresh token in use, though nobody has got a newer one by a rotation that it has.
fn buries(given: &SiteSecret, current: Option<&SecretString>, pending: Option<&SecretString>) -> bool {
    let Some(current) = refresh_token(current) else {
        return false;
    };
    let given = given
        .tempo_oauth
        .as_ref()
        .map(|oauth| oauth.refresh_token.expose_secret());
    let is_given = |token: &SecretString| given == Some(token.expose_secret());
    !is_given(&current) && !refresh_token(pending).is_some_and(|newer| is_given(&newer))
}

/// Keeps what webhooks in use are signed with, where a text does not name any: an empty list takes it away.
fn with_signing(text: SecretString, current: Option<&SecretString>) -> SecretString {
    let fields = |text: &SecretString| {
        serde_json::from_str::<Map<String, Value>>(text.expose_secret().trim_start_matches('\u{feff}'))
            .unwrap_or_default()
    };
    let (mut new, mut old) = (fields(&text), current.map(fields).unwrap_or_default());
    let mut kept = Vec::new();
    for field in ["jira_webhook_secrets", "tempo_webhook_secrets"] {
        if !new.contains_key(field)
            && let Some(secrets) = old.remove(field)
        {
            new.insert(field.to_owned(), secrets);
            kept.push(field);
        }
    }
    if kept.is_empty() {
        return text;
    }
    output::say(format!("note: kept the present {}", kept.join(" and ")));
    Value::Object(new).to_string().into()
}

fn remarks(secret: &SiteSecret, text: &SecretString) -> Vec<String> {
    let mut remarks = Vec::new();
    for (list, vendor) in [
        (&secret.jira_webhook_secrets, "jira"),
        (&secret.tempo_webhook_secrets, "tempo"),
    ] {
        if list.is_empty() {
            remarks.push(format!(
                "there are no {vendor}_webhook_secrets, so that webhooks of {vendor} are turned away and only the sweep finds changes"
            ));
        }
    }
    if let Some(oauth) = &secret.tempo_oauth
        && oauth.redirect_uri.is_none()
    {
        remarks.push("there is no tempo_redirect_uri; Tempo documents it for every refresh".to_owned());
    }
    if secret.tempo_expires_at.is_none() {
        remarks.push(match &secret.tempo_oauth {
            None => format!(
                "there is no tempo_expires_at, so that the days of Tempo's token are not counted down, and nobody is warned before it runs out (Tempo's live 30 days by default): {}",
                to_give("tempo_expires_at")
            ),
            Some(_) => format!(
                "there is no tempo_expires_at, so that the days of Tempo's token are not counted down before its rotation has renewed it once, and never where its rotation is off: {}, and see that RotateSite… of the stack is `yes`",
                to_give("tempo_expires_at")
            ),
        });
    }
    if secret.jira_expires_at.is_none() {
        remarks.push(format!(
            "there is no jira_expires_at, so that the days of Jira's token are not counted down, and nobody is warned before it runs out (they live a year at most): {}",
            to_give("jira_expires_at")
        ));
    }
    let fields: Map<String, Value> = serde_json::from_str(text.expose_secret()).unwrap_or_default();
    for field in fields.keys().filter(|field| !FIELDS.contains(&field.as_str())) {
        // The name alone; whoever mixed names up with values finds it short.
        let field = output::short(&output::plain(field), 24);
        remarks.push(format!(
            "`{field}` is no field that Tandem knows; it is stored as it is"
        ));
    }
    remarks
}

/// Says what storing a secret with OAuth tokens does to its rotation.
pub(super) fn rotated_later(id: &str) -> String {
    format!(
        "where Secrets Manager rotates this secret, it counts the days to the next rotation from now; to renew Tempo's token now: aws secretsmanager rotate-secret --secret-id {id}"
    )
}

/// Says how a token's last day is given.
fn to_give(field: &str) -> String {
    format!("add \"{field}\":\"2027-01-31T00:00:00Z\" with its last day")
}

/// Returns the version of a rotation that has new tokens which are not in use, with its text.
async fn broken_off(
    versions: &Versions,
    described: &Described,
) -> Result<Option<(String, SecretString)>, Failure> {
    match &described.pending {
        Some(pending) if Some(pending) != described.current.as_ref() => {
            // One without a text has only begun; it goes on with what is stored now.
            let text = read(versions, pending).await?;
            Ok(text.map(|text| (pending.clone(), text)))
        }
        _ => Ok(None),
    }
}

/// Returns what is in use.
async fn current(versions: &Versions, described: &Described) -> Result<Option<SecretString>, Failure> {
    match &described.current {
        Some(current) => read(versions, current).await,
        None => Ok(None),
    }
}

async fn read(versions: &Versions, version: &str) -> Result<Option<SecretString>, Failure> {
    let text = versions.text(version).await;
    text.map_err(|error| Failure::Failed(error.into()))
}

fn no_secret(id: &str, error: VersionError) -> Failure {
    match error {
        VersionError::Refused(what) if what.starts_with("ResourceNotFoundException") => {
            Failure::failed(format!(
                "there is no secret {id} in this account and region: deploy the stack first, or compare AWS_REGION and the name with it"
            ))
        }
        error => Failure::Failed(error.into()),
    }
}

/// Asks whoever sits at the terminal.
fn asked(present: Option<&SecretString>) -> Result<SecretString, Failure> {
    let present = present
        .and_then(|text| serde_json::from_str(text.expose_secret()).ok())
        .unwrap_or_default();
    let fields = answered(present, read_line)?;
    Ok(Value::Object(fields).to_string().into())
}

/// Puts answers into a secret. No answer keeps what is there.
fn answered(
    mut fields: Map<String, Value>,
    mut read: impl FnMut(&str, Shown) -> std::io::Result<String>,
) -> Result<Map<String, Value>, Failure> {
    for (field, question, shown) in ASKED {
        let known = fields.contains_key(field);
        let kept = if known { " [Enter keeps it]" } else { "" };
        let answer = read(&format!("{question}{kept}: "), shown).map_err(terminal::unread)?;
        match answer.trim() {
            "" => {}
            "-" => drop(fields.remove(field)),
            answer => {
                fields.insert(field.to_owned(), moment(field, answer).into());
                if let Some((_, day)) = DAYS.iter().find(|(token, _)| *token == field) {
                    // The next question.
                    fields.remove(*day);
                }
            }
        }
    }
    Ok(fields)
}

/// Writes a day as the moment that it begins, where a moment is asked for; everything else stays as it is.
pub(super) fn moment(field: &str, answer: &str) -> String {
    match answer.parse::<jiff::civil::Date>() {
        // A moment reads as its day as well.
        Ok(day) if field.ends_with("_expires_at") && day.to_string() == answer => format!("{day}T00:00:00Z"),
        _ => answer.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_answered_stays_as_it_is_and_tokens_are_not_shown() {
        let present = serde_json::json!({
            "tempo_token": "old", "tempo_expires_at": "2026-12-31T00:00:00Z", "jira_token": "stays",
            "jira_expires_at": "2027-01-01T00:00:00Z", "jira_webhook_secrets": ["stays"],
        });
        let mut asked = Vec::new();
        let fields = answered(present.as_object().unwrap().clone(), |question, shown| {
            asked.push((question.to_owned(), shown));
            let answer = match asked.len() {
                1 => "new\n",
                3 => " bot@acme.example \n",
                _ => "\n",
            };
            Ok(answer.to_owned())
        });
        let expected = serde_json::json!({
            "tempo_token": "new", "jira_email": "bot@acme.example", "jira_token": "stays",
            "jira_expires_at": "2027-01-01T00:00:00Z", "jira_webhook_secrets": ["stays"],
        });
        assert_eq!(Value::Object(fields.unwrap()), expected);
        assert!(
            !asked[1].0.contains("keeps"),
            "the day of the old token is none of the new one's"
        );
        let kept = answered(present.as_object().unwrap().clone(), |_, _| Ok("\n".to_owned()));
        assert_eq!(Value::Object(kept.unwrap()), present);
        let unknown = answered(present.as_object().unwrap().clone(), |question, _| {
            Ok(if question.contains("last day") { "-" } else { "" }.to_owned())
        });
        let unknown = unknown.unwrap();
        assert!(!unknown.contains_key("tempo_expires_at") && !unknown.contains_key("jira_expires_at"));
        for (question, shown) in asked {
            assert_eq!(shown == Shown::No, question.contains("token"), "{question}");
        }
    }

    #[test]
    fn whose_days_are_not_counted_down_is_told_with_how_to_give_them() {
        let told = |more: Value| {
            let mut fields = serde_json::json!({
                "tempo_token": "t", "jira_email": "x@acme.example", "jira_token": "j", "jira_webhook_secrets": ["w"],
                "tempo_webhook_secrets": ["v"],
            });
            for (field, value) in more.as_object().unwrap() {
                fields[field] = value.clone();
            }
            let text = fields.to_string();
            remarks(&SiteSecret::parse(&text).unwrap(), &text.into())
        };
        let (tempo, jira) = ("2027-01-31T00:00:00Z", "2027-11-30T00:00:00Z");
        let both = serde_json::json!({"tempo_expires_at": tempo, "jira_expires_at": jira});
        assert_eq!(told(both.clone()), [""; 0]);
        let neither = told(serde_json::json!({}));
        for (remark, field) in neither.iter().zip(["tempo_expires_at", "jira_expires_at"]) {
            let gives = format!("add \"{field}\":\"");
            assert!(
                remark.contains("not counted down") && remark.contains(&gives),
                "{remark}"
            );
        }
        assert_eq!(neither.len(), 2);
        let mut oauth = serde_json::json!({
            "tempo_client_id": "c", "tempo_client_secret": "s", "tempo_refresh_token": "r",
            "tempo_redirect_uri": "https://x.example", "jira_expires_at": jira,
        });
        let one = told(oauth.clone());
        assert!(
            one.len() == 1 && one[0].contains("where its rotation is off") && one[0].contains("RotateSite"),
            "{one:?}"
        );
        // A rotation that is off leaves the day as it was given: it is counted down.
        oauth["tempo_expires_at"] = tempo.into();
        assert_eq!(told(oauth), [""; 0]);
    }

    #[test]
    fn a_day_is_taken_for_a_moment() {
        let mut answers = ["t", "2027-01-31", "x@acme.example", "j", "2027-11-30T12:00:00Z"].into_iter();
        let fields = answered(Map::new(), |_, _| Ok(answers.next().unwrap().to_owned())).unwrap();
        assert_eq!(fields["tempo_expires_at"], "2027-01-31T00:00:00Z");
        assert_eq!(fields["jira_expires_at"], "2027-11-30T12:00:00Z");
        let secret = SiteSecret::parse(&Value::Object(fields).to_string()).unwrap();
        assert!(secret.tempo_expires_at < secret.jira_expires_at);
    }
}
