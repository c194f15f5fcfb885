//! `init`: two sites, their credentials, where twin issues are recorded and how authors match, into a `tandem.toml`.
//!
//! Everything is checked before anything is written: the answers by the reader of the configuration, so that tokens go
//! to no other host than it allows, then addresses and credentials by asking the sites.

mod ask;
pub(super) mod store;
mod text;

use std::collections::BTreeMap;
use std::io::{IsTerminal, stdin};
use std::sync::Arc;

use clap::{Args, Parser, ValueEnum};
use jiff::civil::Date;
use tandem_atlassian::ReqwestTransport;
use tandem_aws::Embedded;
use tandem_aws::secrets::Secrets;
use tandem_core::{Side, Sides};
use tandem_runtime::clock::SystemClock;
use tandem_runtime::config::{Config, SecretRef};
use tandem_runtime::wiring::{self, Parts, Tandem};

use super::doctor;
use crate::args::{Cli, Command, Global};
use crate::ending::{Ending, Failure};
use crate::{open, output};

/// How much of a site's name goes into another's: a name has at most 64 letters.
const OTHER_CHARS_MAX: usize = 50;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem init
  tandem init --a https://acme.atlassian.net --a-secret env:TANDEM_ACME \\
              --b https://globex.atlassian.net --b-secret file:globex.json --links remote-link --since 2026-01-01

In a terminal, what is not given is asked for, and a site's answers are tried before the next question. Tokens are never
arguments: they are typed without being shown and kept in a file that only you can read, or are where --a-secret and
--b-secret say (env:NAME, file:PATH or aws:ID).")]
pub(crate) struct Arguments {
    /// Address of side a's Jira, such as https://acme.atlassian.net
    #[arg(long, value_name = "URL")]
    a: Option<String>,
    /// Address of side b's Jira
    #[arg(long, value_name = "URL")]
    b: Option<String>,
    /// Name of site a (default: from its address)
    #[arg(long, value_name = "NAME")]
    a_name: Option<String>,
    /// Name of site b
    #[arg(long, value_name = "NAME")]
    b_name: Option<String>,
    /// Where site a's secret is: env:NAME, file:PATH or aws:ID
    #[arg(long, value_name = "REFERENCE")]
    a_secret: Option<String>,
    /// Where site b's secret is
    #[arg(long, value_name = "REFERENCE")]
    b_secret: Option<String>,
    /// Address of site a's Tempo, where it is not https://api.tempo.io
    #[arg(long, value_name = "URL")]
    a_tempo: Option<String>,
    /// Address of site b's Tempo
    #[arg(long, value_name = "URL")]
    b_tempo: Option<String>,
    /// Name of the connection (default: A-B)
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Where an issue's twin is recorded, in the order to look; several with commas
    #[arg(long, value_name = "PLACE", value_delimiter = ',')]
    links: Vec<Place>,
    /// For `field`: the custom field on side a that holds the twin's key or address
    #[arg(long, value_name = "ID")]
    a_field: Option<String>,
    /// For `field`: the custom field on side b
    #[arg(long, value_name = "ID")]
    b_field: Option<String>,
    /// What to do with time of somebody who is not known on the other site: park, or account:ID for a stand-in
    #[arg(long, value_name = "WHAT")]
    unknown: Option<String>,
    /// Worklogs dated earlier are left alone (default: from the first run on)
    #[arg(long, value_name = "DATE", value_parser = crate::values::day)]
    since: Option<Date>,
    /// Replace what is there
    #[arg(long)]
    force: bool,
    /// Do not ask the sites whether addresses and credentials are right
    #[arg(long)]
    no_check: bool,
    /// Do not show what a first sync would do
    #[arg(long)]
    no_plan: bool,
}

/// Where an issue's twin is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Place {
    /// In the configuration, and by `tandem link`
    Table,
    /// As a remote link on the issue
    RemoteLink,
    /// In a custom field
    Field,
}

impl Place {
    fn as_str(self) -> &'static str {
        match self {
            Place::Table => "table",
            Place::RemoteLink => "remote-link",
            Place::Field => "field",
        }
    }
}

/// All that is needed for a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answers {
    sites: Sides<SiteAnswers>,
    connection: String,
    links: Vec<Place>,
    fields: Sides<Option<String>>,
    unknown: String,
    since: Option<Date>,
}

/// All that is needed for a site.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SiteAnswers {
    name: String,
    jira: String,
    tempo: Option<String>,
    /// Where the secret is, as the configuration says it.
    secret: String,
}

/// A secret that was typed: where it is to be kept, and what it is.
pub(crate) struct Typed {
    pub(crate) path: std::path::PathBuf,
    pub(crate) json: secrecy::SecretString,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let target = &global.config;
    if target.exists() && !arguments.force {
        return Err(Failure::usage(format!(
            "{} is there already; --force replaces it, --config FILE writes another",
            target.display()
        )));
    }
    let file = target.display().to_string();
    let (answers, typed) = if stdin().is_terminal() {
        ask::all(arguments, target, async |site, typed| {
            if arguments.no_check {
                return Ok(None);
            }
            trouble(&file, site, typed).await
        })
        .await?
    } else {
        (ask::given(arguments)?, Vec::new())
    };
    if !arguments.force
        && let Some(secret) = typed.iter().find(|secret| secret.path.exists())
    {
        let path = secret.path.display();
        return Err(Failure::usage(format!(
            "{path} is there already; --force replaces it"
        )));
    }
    contradictions(&answers)?;
    let text = text::render(&answers);
    // What is wrong with the answers is told in the words of the configuration.
    let config = read(&text, &file).map_err(Failure::usage)?;
    let ending = match arguments.no_check {
        true => Ending::Done,
        false => check(config, &typed).await?,
    };
    for secret in &typed {
        store::secret(&secret.path, &secret.json, arguments.force)?;
        output::say(format!(
            "{} holds the secret, for you alone to read",
            secret.path.display()
        ));
    }
    store::text(target, &text, arguments.force)?;
    if global.json {
        output::json(&serde_json::json!({
            "config": file,
            "sites": [answers.sites.a.name, answers.sites.b.name],
            "connection": answers.connection,
        }))?;
    }
    output::say(format!("{file} is written"));
    if !arguments.no_plan && !global.json {
        plan(global, answers.since).await?;
    }
    output::say(format!(
        "next: `tandem doctor` looks at everything else; `tandem backfill --since DATE --dry-run --data DIR` says what older worklogs there are, and what another tool copied; `tandem reconcile --data DIR` does a first sync of what is dated from {} on; `tandem serve --data DIR` keeps it so",
        answers
            .since
            .map_or_else(|| "today".to_owned(), |since| since.to_string())
    ));
    Ok(ending)
}

/// Refuses answers that no configuration can be made of.
fn contradictions(answers: &Answers) -> Result<(), Failure> {
    let Sides { a, b } = &answers.sites;
    if a.jira == b.jira {
        return Err(Failure::usage(format!(
            "both sides are {}: a connection is between two sites",
            output::plain(&a.jira)
        )));
    }
    if a.name == b.name {
        return Err(Failure::usage(format!(
            "both sites are called {}: --a-name and --b-name give them names of their own",
            output::plain(&a.name)
        )));
    }
    if answers.links.contains(&Place::Field) && answers.fields == Sides::default() {
        return Err(Failure::usage(
            "--links field needs --a-field, --b-field or both: the custom field that holds the twin's key or address, such as customfield_10042",
        ));
    }
    Ok(())
}

/// Reads a configuration of which there is no file yet.
fn read(text: &str, file: &str) -> Result<Config, String> {
    Config::parse(text, file, &open::environment()).map_err(|error| {
        error
            .to_string()
            .replace(&format!("{file}:"), "in your answers, line ")
    })
}

/// Says what keeps one site's answers from being used, where something does. The reader of the configuration goes first: a
/// token goes to no host that it does not allow.
async fn trouble(file: &str, site: &SiteAnswers, typed: Option<&Typed>) -> Result<Option<String>, Failure> {
    // A connection is between two. The other one is asked nothing.
    let other = SiteAnswers {
        name: format!(
            "other-than-{}",
            site.name.chars().take(OTHER_CHARS_MAX).collect::<String>()
        ),
        jira: "https://the-other-side.atlassian.net".to_owned(),
        tempo: None,
        secret: "env:NONE".to_owned(),
    };
    let answers = Answers {
        sites: Sides::new(site.clone(), other),
        connection: "both".to_owned(),
        links: vec![Place::Table],
        fields: Sides::default(),
        unknown: "park".to_owned(),
        since: None,
    };
    let mut config = match read(&text::render(&answers), file) {
        Ok(config) => config,
        Err(wrong) => return Ok(Some(wrong)),
    };
    config.sites.retain(|name, _| name.as_str() == site.name);
    config.connections.clear();
    let wrong = ask_sites(config, typed.as_slice()).await?;
    Ok(wrong.fatal.then_some(wrong.text))
}

/// Asks the sites whether addresses and credentials are right. [`Ending::Differs`] when something is to be put right that
/// does not keep the configuration from being written.
async fn check(config: Config, typed: &[Typed]) -> Result<Ending, Failure> {
    let typed: Vec<&Typed> = typed.iter().collect();
    let wrong = ask_sites(config, &typed).await?;
    if wrong.is_empty() {
        output::say("both sites answer and accept the credentials");
        return Ok(Ending::Done);
    }
    output::say(&wrong.text);
    if wrong.fatal {
        return Err(Failure::failed(
            "nothing was written: correct the above and call `tandem init` again, or write it unchecked with --no-check",
        ));
    }
    Ok(Ending::differs_if(wrong.failed))
}

/// Asks the sites of a configuration what is wrong, with typed secrets as they will be.
async fn ask_sites(mut config: Config, typed: &[&Typed]) -> Result<doctor::Wrong, Failure> {
    // Typed secrets are nowhere yet: they are handed over under names that no variable of the environment can have.
    let mut handed: BTreeMap<String, String> = BTreeMap::new();
    for (number, secret) in typed.iter().enumerate() {
        for site in config.sites.values_mut() {
            if site.secret == SecretRef::File(secret.path.clone()) {
                let name = format!("={number}");
                handed.insert(
                    name.clone(),
                    secrecy::ExposeSecret::expose_secret(&secret.json).to_owned(),
                );
                site.secret = SecretRef::Env(name);
            }
        }
    }
    let in_aws = config
        .sites
        .values()
        .any(|site| matches!(site.secret, SecretRef::Aws(_)));
    let manager = if in_aws {
        Some(open::aws().await?.secrets_manager())
    } else {
        None
    };
    let secrets = Secrets::new(manager, move |name| {
        handed.get(name).cloned().or_else(|| std::env::var(name).ok())
    });
    let embedded = Embedded::open(None).await?;
    let transport = ReqwestTransport::new().map_err(|error| Failure::Failed(error.into()))?;
    let tandem = Tandem::new(Parts {
        config,
        store: Arc::new(embedded.store()),
        secrets: Arc::new(secrets),
        transport: Arc::new(transport),
        clock: Arc::new(SystemClock),
        owner: wiring::owner(),
        observer: None,
    });
    doctor::credentials(&tandem).await
}

/// Shows what a first sync would do.
async fn plan(global: &Global, since: Option<Date>) -> Result<(), Failure> {
    let parsed =
        Cli::try_parse_from(["tandem", "plan"]).map_err(|error| Failure::failed(error.to_string()))?;
    let Command::Plan(arguments) = parsed.command else {
        return Ok(());
    };
    output::say(match since {
        Some(since) => format!("a first sync, of what is dated from {since} on, would do this:"),
        None => "a first sync, of what is dated from today on, would do this (`since` in the configuration names an earlier day):".to_owned(),
    });
    match super::plan::preview(global, &arguments).await {
        Ok(_) => {}
        // The configuration is written and right all the same.
        Err(failure) => output::say(format!(
            "it cannot be shown now: {failure}; `tandem plan` shows it later"
        )),
    }
    Ok(())
}

fn both<T>(of: impl FnMut(Side) -> T) -> Sides<T> {
    Sides::from_fn(of)
}
