//! Questions and their answers.

use std::path::Path;

use secrecy::SecretString;
use serde_json::{Map, Value};
use tandem_core::{Side, Sides};

use super::{Answers, Arguments, Place, SiteAnswers, Typed, both};
use crate::commands::secrets::moment;
use crate::ending::Failure;
use crate::output;
use crate::terminal::{self, Shown, read_line};

/// How often a question is asked again.
const TRIES_MAX: usize = 5;

/// What was given as arguments for one side.
struct Given<'g> {
    jira: Option<&'g String>,
    name: Option<&'g String>,
    secret: Option<&'g String>,
    tempo: Option<&'g String>,
    field: Option<&'g String>,
}

impl Given<'_> {
    /// Says whether there is nothing to ask for.
    fn is_all(&self) -> bool {
        self.jira.is_some() && self.name.is_some() && self.secret.is_some()
    }
}

fn given_for(arguments: &Arguments, side: Side) -> Given<'_> {
    match side {
        Side::A => Given {
            jira: arguments.a.as_ref(),
            name: arguments.a_name.as_ref(),
            secret: arguments.a_secret.as_ref(),
            tempo: arguments.a_tempo.as_ref(),
            field: arguments.a_field.as_ref(),
        },
        Side::B => Given {
            jira: arguments.b.as_ref(),
            name: arguments.b_name.as_ref(),
            secret: arguments.b_secret.as_ref(),
            tempo: arguments.b_tempo.as_ref(),
            field: arguments.b_field.as_ref(),
        },
    }
}

/// Takes everything from the arguments, where there is nobody to ask.
pub(super) fn given(arguments: &Arguments) -> Result<Answers, Failure> {
    let mut missing = Vec::new();
    for (flag, value) in [
        ("--a URL", &arguments.a),
        ("--b URL", &arguments.b),
        ("--a-secret REFERENCE", &arguments.a_secret),
        ("--b-secret REFERENCE", &arguments.b_secret),
    ] {
        if value.is_none() {
            missing.push(flag);
        }
    }
    if !missing.is_empty() {
        return Err(Failure::usage(format!(
            "this is no terminal, so nothing can be asked for; missing: {}",
            missing.join(", ")
        )));
    }
    let sites = both(|side| {
        let given = given_for(arguments, side);
        let jira = address(given.jira.map(String::as_str).unwrap_or_default());
        SiteAnswers {
            name: given.name.cloned().unwrap_or_else(|| name_from(&jira)),
            jira,
            tempo: given.tempo.cloned(),
            secret: given.secret.cloned().unwrap_or_default(),
        }
    });
    Ok(finish(arguments, sites, None, arguments.unknown.clone()))
}

/// Asks for what the arguments do not say. Each site's answers are looked at by `check` at once, which says what is wrong
/// with them, if anything is: then that site is asked for again.
pub(super) async fn all(
    arguments: &Arguments,
    target: &Path,
    check: impl AsyncFn(&SiteAnswers, Option<&Typed>) -> Result<Option<String>, Failure>,
) -> Result<(Answers, Vec<Typed>), Failure> {
    let read = &mut |question: &str, shown| read_line(question, shown);
    ask(arguments, target, read, check).await
}

type Read<'r> = dyn FnMut(&str, Shown) -> std::io::Result<String> + 'r;

async fn ask(
    arguments: &Arguments,
    target: &Path,
    read: &mut Read<'_>,
    check: impl AsyncFn(&SiteAnswers, Option<&Typed>) -> Result<Option<String>, Failure>,
) -> Result<(Answers, Vec<Typed>), Failure> {
    let mut typed = Vec::new();
    let mut sites = Vec::new();
    for side in Side::BOTH {
        let given = given_for(arguments, side);
        let mut before = None;
        let mut tries = 0;
        let (site, secret) = loop {
            let (site, secret) = one_site(&given, side, target, before.as_ref(), read)?;
            let Some(wrong) = check(&site, secret.as_ref()).await? else {
                break (site, secret);
            };
            output::say(wrong);
            tries += 1;
            if tries == TRIES_MAX || given.is_all() {
                return Err(Failure::failed(
                    "nothing was written: correct the above and call `tandem init` again, or write it unchecked with --no-check",
                ));
            }
            output::say(format!("so side {side} once more:"));
            before = Some(site);
        };
        typed.extend(secret);
        sites.push(site);
    }
    let [a, b] = <[SiteAnswers; 2]>::try_from(sites).map_err(|_| Failure::failed("two sites are needed"))?;
    let links = if arguments.links.is_empty() {
        Some(places(read)?)
    } else {
        None
    };
    let mut arguments_fields = Sides::new(arguments.a_field.clone(), arguments.b_field.clone());
    if links.as_ref().unwrap_or(&arguments.links).contains(&Place::Field) {
        for side in Side::BOTH {
            if given_for(arguments, side).field.is_none() {
                let question =
                    format!("  the field on side {side}, such as customfield_10042 (Enter for none): ");
                arguments_fields[side] = Some(line(read, &question, Shown::Yes)?).filter(|id| !id.is_empty());
            }
        }
    }
    let unknown = match &arguments.unknown {
        Some(unknown) => Some(unknown.clone()),
        None => {
            let question =
                "time of somebody whom the other site does not know: park, or account:ID of a stand-in";
            Some(or_default(read, question, "park")?)
        }
    };
    let mut answers = finish(arguments, Sides::new(a, b), links, unknown);
    answers.fields = arguments_fields;
    if answers.since.is_none() {
        answers.since = day(read)?;
    }
    Ok((answers, typed))
}

/// Asks for one site. What was answered `before` is proposed where it is asked for again.
fn one_site(
    given: &Given<'_>,
    side: Side,
    target: &Path,
    before: Option<&SiteAnswers>,
    read: &mut Read<'_>,
) -> Result<(SiteAnswers, Option<Typed>), Failure> {
    let jira = match (given.jira, before) {
        (Some(jira), _) => jira.clone(),
        (None, Some(before)) => or_default(read, &format!("side {side}: address of its Jira"), &before.jira)?,
        (None, None) => needed(
            read,
            &format!("side {side}: address of its Jira, such as https://acme.atlassian.net: "),
        )?,
    };
    let jira = address(&jira);
    let name = match (given.name, before) {
        (Some(name), _) => name.clone(),
        (None, Some(before)) if before.jira == jira => or_default(read, "  its name here", &before.name)?,
        (None, _) => or_default(read, "  its name here", &name_from(&jira))?,
    };
    let mut typed = None;
    let secret = match given.secret {
        Some(secret) => secret.clone(),
        None => {
            let file = format!("{name}.secret.json");
            let answer = line(
                read,
                &format!(
                    "  its secret: env:NAME, aws:ID or file:PATH; Enter to type the tokens into {file}: "
                ),
                Shown::Yes,
            )?;
            if answer.is_empty() {
                typed = Some(Typed {
                    path: target.parent().unwrap_or(Path::new("")).join(&file),
                    json: tokens(read)?,
                });
                format!("file:{file}")
            } else {
                answer
            }
        }
    };
    let site = SiteAnswers {
        name,
        jira,
        tempo: given.tempo.cloned(),
        secret,
    };
    Ok((site, typed))
}

fn finish(
    arguments: &Arguments,
    sites: Sides<SiteAnswers>,
    links: Option<Vec<Place>>,
    unknown: Option<String>,
) -> Answers {
    let links = match links {
        Some(links) => links,
        None if arguments.links.is_empty() => vec![Place::Table, Place::RemoteLink],
        None => arguments.links.clone(),
    };
    Answers {
        connection: arguments
            .connection
            .clone()
            .unwrap_or_else(|| format!("{}-{}", sites.a.name, sites.b.name)),
        sites,
        links,
        fields: Sides::new(arguments.a_field.clone(), arguments.b_field.clone()),
        unknown: unknown.unwrap_or_else(|| "park".to_owned()),
        since: arguments.since,
    }
}

/// Makes an address of what people copy from a browser, or of a bare name.
fn address(text: &str) -> String {
    let text = text.trim().trim_end_matches('/');
    if !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        return format!("https://{text}.atlassian.net");
    }
    let bare = text.strip_prefix("https://").unwrap_or(text);
    match bare.split_once(".atlassian.net") {
        Some((site, _)) if !site.contains('/') && !site.contains('@') => {
            format!("https://{site}.atlassian.net")
        }
        _ => text.to_owned(),
    }
}

/// The first part of an address' host, as far as a name may be made of it.
fn name_from(jira: &str) -> String {
    let host = jira.split("://").nth(1).unwrap_or(jira);
    let first = host.split(['.', ':', '/']).next().unwrap_or_default();
    let name: String = first
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-')
        .collect();
    name.trim_matches('-').to_lowercase()
}

fn line(read: &mut Read<'_>, question: &str, shown: Shown) -> Result<String, Failure> {
    let answer = read(question, shown).map_err(terminal::unread)?;
    if answer.is_empty() {
        // Not even an Enter.
        return Err(Failure::usage("the answers ended; nothing was written"));
    }
    Ok(answer.trim().to_owned())
}

fn needed(read: &mut Read<'_>, question: &str) -> Result<String, Failure> {
    for _ in 0..TRIES_MAX {
        let answer = line(read, question, Shown::Yes)?;
        if !answer.is_empty() {
            return Ok(answer);
        }
    }
    Err(Failure::usage("an answer is needed; nothing was written"))
}

fn or_default(read: &mut Read<'_>, question: &str, default: &str) -> Result<String, Failure> {
    let answer = line(read, &format!("{question} [{default}]: "), Shown::Yes)?;
    Ok(if answer.is_empty() {
        default.to_owned()
    } else {
        answer
    })
}

fn tokens(read: &mut Read<'_>) -> Result<SecretString, Failure> {
    let mut fields = Map::new();
    for (field, question, shown) in [
        ("tempo_token", "  Tempo token (not shown): ", Shown::No),
        (
            "tempo_expires_at",
            "  its last day, such as 2027-01-31 (Enter for unknown): ",
            Shown::Yes,
        ),
        ("jira_email", "  e-mail address of the Jira user: ", Shown::Yes),
        ("jira_token", "  Jira API token (not shown): ", Shown::No),
        (
            "jira_expires_at",
            "  its last day, such as 2027-01-31 (Enter for unknown): ",
            Shown::Yes,
        ),
    ] {
        let answer = line(read, question, shown)?;
        if !answer.is_empty() {
            fields.insert(field.to_owned(), moment(field, &answer).into());
        }
    }
    fields.insert("jira_webhook_secrets".to_owned(), Value::Array(Vec::new()));
    fields.insert("tempo_webhook_secrets".to_owned(), Value::Array(Vec::new()));
    Ok(Value::Object(fields).to_string().into())
}

fn places(read: &mut Read<'_>) -> Result<Vec<Place>, Failure> {
    let question = "twin issues are recorded in: table, remote-link, field; several with commas";
    for _ in 0..TRIES_MAX {
        let answer = or_default(read, question, "table,remote-link")?;
        let places: Result<Vec<Place>, String> = answer
            .split(',')
            .map(|word| clap::ValueEnum::from_str(word.trim(), true))
            .collect();
        if let Ok(places) = places {
            return Ok(places);
        }
    }
    Err(Failure::usage(
        "places are table, remote-link and field; nothing was written",
    ))
}

fn day(read: &mut Read<'_>) -> Result<Option<jiff::civil::Date>, Failure> {
    for _ in 0..TRIES_MAX {
        let question = "worklogs dated earlier than this day are left alone, such as 2026-01-01 (Enter: from the first run on): ";
        let answer = line(read, question, Shown::Yes)?;
        if answer.is_empty() {
            return Ok(None);
        }
        if let Ok(day) = answer.parse() {
            return Ok(Some(day));
        }
    }
    Err(Failure::usage("a day is written 2026-01-01; nothing was written"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use secrecy::ExposeSecret;

    use super::*;
    use crate::args::{Cli, Command};

    fn arguments(words: &[&str]) -> Arguments {
        let words = ["tandem", "init"].into_iter().chain(words.iter().copied());
        match Cli::parse_from(words).command {
            Command::Init(arguments) => *arguments,
            _ => panic!("another command"),
        }
    }

    #[test]
    fn addresses_are_taken_as_people_copy_them() {
        for text in [
            "acme",
            "acme.atlassian.net",
            "https://acme.atlassian.net/",
            "https://acme.atlassian.net/jira/software/projects/SUP/boards/1?x=y",
        ] {
            assert_eq!(address(text), "https://acme.atlassian.net", "{text}");
        }
        // What is no such address is left for the configuration to refuse.
        for text in [
            "https://user:hush@acme.atlassian.net",
            "http://127.0.0.1:1",
            "https://evil.example/.atlassian.net",
        ] {
            assert_eq!(address(text), text);
        }
        assert_eq!(name_from("https://acme.atlassian.net"), "acme");
    }

    /// Finds nothing wrong.
    async fn fine(_: &SiteAnswers, _: Option<&Typed>) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    #[tokio::test]
    async fn a_site_is_asked_for_again_until_its_answers_are_right_and_not_for_ever() {
        let given = [
            "--b",
            "globex",
            "--b-name",
            "gx",
            "--b-secret",
            "env:GX",
            "--links",
            "table",
        ];
        let given = [&given[..], &["--unknown", "park", "--since", "2026-01-01"]].concat();
        let script = ["acmee\n", "\n", "env:ACME\n", "acme\n", "\n", "env:ACME\n"];
        let mut answers = script.into_iter();
        let mut questions = Vec::new();
        let mut read = |question: &str, _: Shown| {
            questions.push(question.to_owned());
            Ok(answers.next().unwrap_or_default().to_owned())
        };
        let check = async |site: &SiteAnswers, _: Option<&Typed>| {
            Ok((site.jira == "https://acmee.atlassian.net").then(|| "there is no such site".to_owned()))
        };
        let path = Path::new("tandem.toml");
        let (said, _) = ask(&arguments(&given), path, &mut read, check).await.unwrap();
        assert_eq!(said.sites.a.jira, "https://acme.atlassian.net");
        assert_eq!(said.sites.a.name, "acme");
        assert!(
            questions[3].contains("[https://acmee.atlassian.net]"),
            "{questions:?}"
        );

        let mut asked = 0;
        let mut read = |_: &str, _: Shown| {
            asked += 1;
            Ok("env:ACME\n".to_owned())
        };
        let wrong = async |_: &SiteAnswers, _: Option<&Typed>| Ok(Some("wrong".to_owned()));
        let given = [&given[..], &["--a", "acme", "--a-name", "acme"]].concat();
        let ended = ask(&arguments(&given), path, &mut read, wrong).await.map(drop);
        assert!(matches!(ended, Err(Failure::Failed(_))));
        assert_eq!(asked, TRIES_MAX);
    }

    #[tokio::test]
    async fn what_is_asked_in_a_terminal_becomes_answers_and_a_secret_of_its_own() {
        let script = [
            "acme\n",
            "\n",
            "\n",
            "hush-tempo\n",
            "2027-01-31\n",
            "bot@acme.example\n",
            "hush-jira\n",
            "2027-06-30\n",
            "globex\n",
            "gx\n",
            "env:TANDEM_GLOBEX\n",
            "field\n",
            "customfield_1\n",
            "\n",
            "\n",
            "never\n",
            "2026-01-01\n",
        ];
        let mut answers = script.into_iter();
        let mut hidden = Vec::new();
        let mut read = |question: &str, shown: Shown| {
            if shown == Shown::No {
                hidden.push(question.to_owned());
            }
            Ok(answers.next().unwrap_or_default().to_owned())
        };
        let (said, typed) = ask(&arguments(&[]), Path::new("etc/tandem.toml"), &mut read, fine)
            .await
            .unwrap();
        assert_eq!(said.connection, "acme-gx");
        assert_eq!(said.sites.a.secret, "file:acme.secret.json");
        assert_eq!(said.sites.b.secret, "env:TANDEM_GLOBEX");
        assert_eq!(said.links, [Place::Field]);
        assert_eq!(said.fields, Sides::new(Some("customfield_1".to_owned()), None));
        assert_eq!(said.unknown, "park");
        assert_eq!(said.since.unwrap().to_string(), "2026-01-01");
        assert_eq!(typed[0].path, Path::new("etc/acme.secret.json"));
        for day in ["2027-01-31T00:00:00Z", "2027-06-30T00:00:00Z"] {
            assert!(typed[0].json.expose_secret().contains(day), "{day}");
        }
        assert_eq!(hidden.len(), 2, "{hidden:?}");
        assert_eq!(answers.next(), None);
    }

    #[tokio::test]
    async fn answers_that_end_early_write_nothing() {
        let mut read = |_: &str, _: Shown| Ok(String::new());
        let ended = ask(&arguments(&[]), Path::new("tandem.toml"), &mut read, fine)
            .await
            .map(drop);
        assert!(matches!(ended, Err(Failure::Usage(_))));
    }
}
