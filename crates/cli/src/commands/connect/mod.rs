//! `connect`: register webhooks with Jira and Tempo.
//!
//! Per site one admin webhook of Jira and three subscriptions of Tempo. What is there decides what is done, so that a call
//! that died anywhere is finished by the next one, and one that has nothing to do changes nothing:
//!
//! - Jira never shows a webhook's secret, so one is stored before the webhook is made with it. Between the two, a secret is
//!   held that nothing is signed with, and the next call uses it.
//! - Tempo draws its secrets itself and shows them in its list, so they are stored after. Between the two, a subscription is
//!   there whose secret is not held, and the next call stores it.

mod check;
mod desk;
mod jira;
mod list;
mod tempo;

use clap::Args;
use serde::Serialize;
use tandem_core::{ConnectionName, SiteName};
use tandem_engine::Engine;
use tandem_runtime::config::{SiteConfig, public_url};
use url::Url;

use self::desk::Desk;
use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::who::Who;
use crate::{open, output};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tandem connect --data ./tandem-data\n  tandem connect --list --data ./tandem-data\n\nThe site's secret in the configuration decides where secrets of webhooks go: aws: and file: are written, env: is told what to hold.\nExit code 3: something is left for a person, and said."
)]
pub(crate) struct Arguments {
    /// Only this site; may be given several times
    #[arg(long = "site", value_name = "SITE")]
    sites: Vec<String>,
    /// Show what is registered, and change nothing
    #[arg(long, conflicts_with_all = ["remove", "renew"])]
    list: bool,
    /// Remove what is registered for the address
    #[arg(long, conflicts_with = "renew")]
    remove: bool,
    /// Make all of it anew, with new secrets
    #[arg(long)]
    renew: bool,
    /// Where the webhooks arrive, instead of `public_url` in [engine]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Write to stdout the secret that somebody has to enter by hand
    #[arg(long)]
    show_secret: bool,
    #[command(flatten)]
    who: Who,
}

impl Arguments {
    /// Says whether nothing is changed.
    pub(crate) fn only_looks(&self) -> bool {
        self.list
    }
}

/// What became of one vendor's webhooks on a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Did {
    /// All was right already.
    #[default]
    Nothing,
    /// They were made.
    Made,
    /// Some were made, replaced, switched on again, or their secrets stored.
    Repaired,
    /// They were made anew with other secrets.
    Renewed,
    /// They were removed.
    Removed,
    /// A person has to do it.
    ByHand,
}

impl Did {
    fn words(self) -> &'static str {
        match self {
            Did::Nothing => "nothing to do",
            Did::Made => "made",
            Did::Repaired => "repaired",
            Did::Renewed => "made anew",
            Did::Removed => "removed",
            Did::ByHand => "by hand, see below",
        }
    }
}

/// One vendor's webhooks on a site.
#[derive(Debug, Default, Serialize)]
struct Part {
    url: String,
    did: Did,
}

#[derive(Debug, Serialize)]
struct Report {
    site: SiteName,
    jira: Part,
    tempo: Part,
    /// What was found when the endpoint was tried; absent where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<check::Tried>,
    /// What is left for a person.
    todo: Vec<String>,
    /// What is good to know.
    notes: Vec<String>,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let config = open::config(global)?;
    let chosen = chosen(&config.sites.values().collect::<Vec<_>>(), &arguments.sites)?;
    let base = base(global, arguments, config.engine.public_url.as_ref())?;
    let opened = open::open(global).await?;
    let mut reports = Vec::new();
    let mut listed = Vec::new();
    for site in chosen {
        let desk = Desk::new(&opened.tandem, site, &base, arguments)?;
        if arguments.list {
            listed.extend(list::of(&desk).await?);
            continue;
        }
        let mut report = Report {
            site: site.name.clone(),
            jira: Part {
                url: desk.jira_url.clone(),
                did: Did::Nothing,
            },
            tempo: Part {
                url: desk.tempo_url.clone(),
                did: Did::Nothing,
            },
            endpoint: None,
            todo: Vec::new(),
            notes: Vec::new(),
        };
        let done = if arguments.remove {
            remove(&desk, &mut report).await
        } else {
            connect(&desk, &mut report).await
        };
        // What was done for this site is told before the failure.
        if !global.json {
            tell(&report);
        }
        let noted = note(opened.engine(), &report, &arguments.who.name()).await;
        done?;
        noted?;
        reports.push(report);
    }
    if arguments.list {
        list::show(&listed, global.json)?;
    } else if global.json {
        output::json(&reports)?;
    }
    Ok(Ending::differs_if(
        reports.iter().any(|report| !report.todo.is_empty()),
    ))
}

async fn connect(desk: &Desk<'_>, report: &mut Report) -> Result<(), Failure> {
    jira::connect(desk, report).await?;
    tempo::connect(desk, report).await?;
    let handshake = check::handshake(desk).await?;
    if report.tempo.did != Did::ByHand {
        tempo::activate(desk, report, handshake == check::Answer::Right).await?;
    }
    check::run(desk, report, handshake).await
}

async fn remove(desk: &Desk<'_>, report: &mut Report) -> Result<(), Failure> {
    jira::remove(desk, report).await?;
    tempo::remove(desk, report).await?;
    report.notes.push(format!(
        "the secrets of the webhooks stay in {}; nothing is signed with them any more",
        desk.config.secret
    ));
    Ok(())
}

fn chosen<'c>(all: &[&'c SiteConfig], asked: &[String]) -> Result<Vec<&'c SiteConfig>, Failure> {
    if let Some(unknown) = asked
        .iter()
        .find(|name| !all.iter().any(|site| site.name.as_str() == **name))
    {
        let known: Vec<&str> = all.iter().map(|site| site.name.as_str()).collect();
        return Err(Failure::usage(format!(
            "there is no site `{}`; there are: {}",
            output::plain(unknown),
            known.join(", ")
        )));
    }
    let is_asked =
        |site: &&&SiteConfig| asked.is_empty() || asked.iter().any(|name| name == site.name.as_str());
    Ok(all.iter().filter(is_asked).copied().collect())
}

fn base(global: &Global, arguments: &Arguments, configured: Option<&Url>) -> Result<Url, Failure> {
    match (&arguments.url, configured) {
        (Some(text), _) => public_url(text, &open::environment())
            .map_err(|wrong| Failure::usage(format!("--url {}: {wrong}", output::plain(text)))),
        (None, Some(url)) => Ok(url.clone()),
        (None, None) => Err(Failure::usage(format!(
            "it is not known where the webhooks arrive: add to {}\n  [engine]\n  public_url = \"https://YOUR-HOST\"\n(on AWS the output PublicUrl of the stack), or give --url",
            global.config.display()
        ))),
    }
}

/// Has the history of the site's connections say who changed its webhooks, and how.
async fn note(engine: &Engine, report: &Report, by: &str) -> Result<(), Failure> {
    let changes: Vec<String> = [("Jira", &report.jira), ("Tempo", &report.tempo)]
        .into_iter()
        .filter(|(_, part)| !matches!(part.did, Did::Nothing | Did::ByHand))
        .map(|(vendor, part)| format!("{vendor} {}", part.did.words()))
        .collect();
    if changes.is_empty() {
        return Ok(());
    }
    let names: Vec<ConnectionName> = engine
        .connections_of(&report.site)
        .map(|(connection, _)| connection.name.clone())
        .collect();
    let told = format!("{by}: webhooks of {}: {}", report.site, changes.join(", "));
    Ok(engine.tell_act(&names, "connect", &[told]).await?)
}

fn tell(report: &Report) {
    for (vendor, part) in [("Jira", &report.jira), ("Tempo", &report.tempo)] {
        let word = part.did.words();
        output::say(format!("{}: {vendor}, {}: {word}", report.site, part.url));
    }
    for note in &report.notes {
        output::say(format!("{}: note: {note}", report.site));
    }
    for todo in &report.todo {
        output::say(format!("{}: to do: {todo}", report.site));
    }
}
