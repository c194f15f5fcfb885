//! From the command line to a Tandem that is ready: configuration, secrets, table.
//!
//! All that can be wrong there is found before any work begins.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, LazyLock};

use aws_credential_types::provider::SharedCredentialsProvider;
use tandem_atlassian::ReqwestTransport;
use tandem_aws::secrets::{SecretError, Secrets};
use tandem_aws::{AwsEnvironment, DynamoStore, Embedded, EnvironmentError, TableCounts};
use tandem_core::SiteName;
use tandem_engine::operator::ReadOnly;
use tandem_engine::ports::site::SiteErrorKind;
use tandem_engine::ports::store::ConfigVersion;
use tandem_engine::ports::{Store, StoreError};
use tandem_engine::{Engine, EngineError};
use tandem_runtime::clock::SystemClock;
use tandem_runtime::config::{AlertTarget, Config, ConfigEnv, ConfigError, SecretRef};
use tandem_runtime::metrics::Metrics;
use tandem_runtime::wiring::{self, Parts, Tandem};

use crate::args::{Global, Needs};
use crate::aws_cli::AwsCli;
use crate::ending::Failure;
use crate::output::{TELLS_EVERY, say};
use crate::words;

/// What a command works with.
pub(crate) struct Opened {
    /// Everything wired up.
    pub(crate) tandem: Arc<Tandem>,
    /// The table when it is inside this process.
    pub(crate) embedded: Option<Embedded>,
}

impl Opened {
    pub(crate) fn engine(&self) -> &Engine {
        &self.tandem.engine
    }
}

/// Reads the configuration.
pub(crate) fn config(global: &Global) -> Result<Config, Failure> {
    Config::load(&global.config, &environment()).map_err(invalid)
}

/// Reads a published configuration. Its relative `file:` secrets are where those of the configuration at hand are.
pub(crate) fn version(global: &Global, version: &ConfigVersion) -> Result<Config, Failure> {
    let file = version_file(global, version);
    Config::parse(&version.text, &file.display().to_string(), &environment()).map_err(invalid)
}

/// Reads each site's secret that a published configuration names, as [`open`] does for the one at hand.
pub(crate) async fn check_version(
    global: &Global,
    version: &ConfigVersion,
    config: &Config,
) -> Result<(), Failure> {
    check_secrets(
        &version_file(global, version),
        &version.text,
        config,
        &secrets(config).await?,
    )
    .await
}

/// What mistakes in a published configuration are told by.
fn version_file(global: &Global, version: &ConfigVersion) -> PathBuf {
    global
        .config
        .with_file_name(format!("version {}", version.number))
}

pub(crate) fn environment() -> ConfigEnv {
    let variables = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    ConfigEnv::from_vars(variables)
}

fn invalid(error: ConfigError) -> Failure {
    match &error {
        ConfigError::Read { source, .. } => Failure::usage(format!("{error}: {source}")),
        ConfigError::Invalid { .. } => Failure::usage(error.to_string()),
    }
}

/// Opens everything.
pub(crate) async fn open(global: &Global) -> Result<Opened, Failure> {
    ready(global, |store| store).await
}

/// Looks ahead with a table that keeps nothing of what is written to it.
pub(crate) async fn look_ahead<T>(
    global: &Global,
    look: impl AsyncFnOnce(&Engine) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let opened = ready(global, |store| {
        Arc::new(ReadOnly::new(store, Arc::new(SystemClock)))
    })
    .await?;
    let looked = telling(opened.engine(), look(opened.engine())).await;
    opened.engine().rest().await?;
    if let Err(Failure::Failed(error)) = &looked
        && let Some(error) = error.downcast_ref()
        && let Some(rejected) = rejected(opened.engine(), error).await
    {
        return Err(Failure::failed(rejected));
    }
    looked
}

/// Looks at something, and says on stderr from time to time how many requests that took so far: sites allow few.
pub(crate) async fn telling<T>(engine: &Engine, look: impl Future<Output = T>) -> T {
    let mut look = pin!(look);
    loop {
        let Ok(looked) = tokio::time::timeout(TELLS_EVERY, &mut look).await else {
            let counts = engine.requests_so_far().into_iter();
            let sent: Vec<String> = counts
                .map(|(site, count)| {
                    let count = usize::try_from(count).unwrap_or(usize::MAX);
                    format!("{} to {site}", words::count(count, "request"))
                })
                .collect();
            say(format!("still looking; so far {}", sent.join(", ")));
            continue;
        };
        return looked;
    }
}

/// Says so where a look ahead met a site that rejects the credentials, or whose secret cannot be used. The engine takes it for paused from then on; it
/// is so only if the table has it so.
pub(crate) async fn rejected(engine: &Engine, error: &EngineError) -> Option<String> {
    let (site, said) = match error {
        EngineError::Site { site, error } => match error.kind {
            SiteErrorKind::CredentialsRejected => (site, error.to_string()),
            SiteErrorKind::NoCredentials => return Some(format!("{site} cannot be asked: {error}")),
            _ => return None,
        },
        EngineError::Paused { site, detail, .. } => {
            let state = engine.store.site(site).await.ok()?;
            state.paused.is_none().then(|| (site, detail.clone()))?
        }
        _ => return None,
    };
    Some(format!("{site} does not accept the credentials: {said}"))
}

async fn ready(
    global: &Global,
    wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
) -> Result<Opened, Failure> {
    let config = config(global)?;
    let secrets = secrets(&config).await?;
    let text = std::fs::read_to_string(&global.config).unwrap_or_default();
    check_secrets(&global.config, &text, &config, &secrets).await?;
    wire(global, config, secrets, wrap).await
}

/// Opens everything, whether the sites' secrets are there or not: for what looks whether they are. Nothing of what is
/// written to the table is kept: what is not accepted from here may be from where the work is done.
pub(crate) async fn open_to_look(global: &Global) -> Result<Opened, Failure> {
    let config = config(global)?;
    let secrets = secrets(&config).await?;
    let only_reading = |store| -> Arc<dyn Store> { Arc::new(ReadOnly::new(store, Arc::new(SystemClock))) };
    wire(global, config, secrets, only_reading).await
}

async fn wire(
    global: &Global,
    config: Config,
    secrets: Secrets,
    wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
) -> Result<Opened, Failure> {
    let (store, embedded) = table(global).await?;
    let transport = ReqwestTransport::new().map_err(|error| Failure::Failed(error.into()))?;
    // The name that metrics go by; with a table, that of the functions' beside it.
    let service = global.table.as_deref().unwrap_or("tandem");
    let tandem = Tandem::counted(
        Parts {
            config,
            store: wrap(store),
            secrets: Arc::new(secrets),
            transport: Arc::new(transport),
            clock: Arc::new(SystemClock),
            owner: wiring::owner(),
            observer: None,
        },
        Arc::new(Metrics::new(service)),
    );
    Ok(Opened {
        tandem: Arc::new(tandem),
        embedded,
    })
}

/// Refuses a table that is not the one that a command needs, before anything is begun.
pub(crate) fn check_table(global: &Global) -> Result<(), Failure> {
    match (global.needs, &global.data, &global.table) {
        (Needs::Any, ..) | (_, _, Some(_)) | (Needs::Lasting(_), Some(_), _) => Ok(()),
        (Needs::Lasting(why) | Needs::There(why), None, None) => Err(Failure::usage(format!(
            "{why}: say which with --data DIR or --table NAME"
        ))),
        (Needs::There(_), Some(directory), _) if Embedded::is_in(directory) => Ok(()),
        (Needs::There(_), Some(directory), _) => Err(Failure::usage(format!(
            "there is no table in {}: --data names the folder that `tandem serve` or `tandem reconcile` was given",
            directory.display()
        ))),
    }
}

/// Opens the table.
pub(crate) async fn table(global: &Global) -> Result<(Arc<dyn Store>, Option<Embedded>), Failure> {
    let (store, embedded) = dynamo(global).await?;
    Ok((Arc::new(store), embedded))
}

/// Opens the table, for what concerns its rows and not the engine.
pub(crate) async fn dynamo(global: &Global) -> Result<(DynamoStore, Option<Embedded>), Failure> {
    match (&global.table, &global.data) {
        (Some(_), Some(_)) => Err(Failure::usage("--data and --table exclude each other")),
        (Some(name), None) => {
            let counts = TableCounts::default();
            let client = aws().await?.dynamodb(&counts);
            Ok((DynamoStore::new(client, name, counts), None))
        }
        (None, directory) => {
            let mut directory = directory.as_deref();
            if let Some(empty) = directory.filter(|at| global.looks && !Embedded::is_in(at)) {
                say(format!(
                    "note: there is no table in {} yet; this looks at an empty one, and makes none",
                    empty.display()
                ));
                directory = None;
            }
            let embedded = Embedded::open(directory).await.map_err(|error| match error {
                StoreError::Unusable(_) => Failure::usage(format!("--data: {error}")),
                _ => error.into(),
            })?;
            Ok((embedded.store(), Some(embedded)))
        }
    }
}

/// AWS's command line, as all clients of this process ask it.
static AWS_CLI: LazyLock<AwsCli> = LazyLock::new(AwsCli::default);

/// Region and credentials of the environment; where it has no credentials, AWS's command line is asked for them, at once, so
/// that what is wrong with them is told before any work begins.
pub(crate) async fn aws() -> Result<AwsEnvironment, Failure> {
    let variables: Vec<_> = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let read = match AwsEnvironment::from_vars(variables.iter().cloned()) {
        Err(EnvironmentError::NoKeys) => {
            AWS_CLI.credentials().await.map_err(|problem| {
                Failure::usage(format!(
                    "no credentials of AWS: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, and {problem}\n  right: the AWS CLI, version 2, with credentials of its own (`aws sts get-caller-identity` shows whose; AWS_PROFILE says which profile); or export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…, and AWS_SESSION_TOKEN=… with temporary ones"
                ))
            })?;
            AwsEnvironment::from_vars_or(variables, SharedCredentialsProvider::new(AWS_CLI.clone()))
        }
        read => read,
    };
    read.map_err(|error| match error {
        EnvironmentError::Missing("AWS_REGION") => Failure::usage(format!(
            "{error}. The region is taken from the environment alone, not from profiles\n  right: export AWS_REGION=…"
        )),
        error => Failure::usage(error.to_string()),
    })
}

async fn secrets(config: &Config) -> Result<Secrets, Failure> {
    let in_aws = config
        .sites
        .values()
        .any(|site| matches!(site.secret, SecretRef::Aws(_)))
        || matches!(
            config.alerts.webhook,
            Some(AlertTarget::Secret(SecretRef::Aws(_)))
        );
    let manager = if in_aws {
        Some(aws().await?.secrets_manager())
    } else {
        None
    };
    Ok(Secrets::new(manager, |name| std::env::var(name).ok()))
}

/// Reads each site's secret once, so that one that is not there is told before anything is begun.
async fn check_secrets(file: &Path, text: &str, config: &Config, secrets: &Secrets) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    for site in config.sites.values() {
        let read = secrets
            .get(&site.name, &tandem_runtime::credentials::source(&site.secret))
            .await;
        match read {
            Ok(_) => {}
            Err(error @ SecretError::Unreachable { .. }) => return Err(Failure::Failed(error.into())),
            Err(error) => wrong.push(format!(
                "{}{error}\n  right: JSON like {{\"tempo_token\":\"…\",\"jira_email\":\"…\",\"jira_token\":\"…\",\"jira_webhook_secrets\":[\"…\"],\"tempo_webhook_secrets\":[\"…\"]}}",
                place(file, text, &site.name),
            )),
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Failure::usage(wrong.join("\n\n")))
    }
}

/// Returns `FILE:LINE: ` of a site's `secret =`, or only `FILE: ` where it is written in an unusual way.
fn place(file: &Path, text: &str, site: &SiteName) -> String {
    match secret_line(text, site.as_str()) {
        Some(line) => format!("{}:{line}: ", file.display()),
        None => format!("{}: ", file.display()),
    }
}

fn secret_line(text: &str, site: &str) -> Option<usize> {
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            let name: String = header
                .split(']')
                .next()
                .unwrap_or_default()
                .chars()
                .filter(|c| !c.is_whitespace())
                .collect();
            inside = name == format!("sites.{site}") || name == format!("sites.\"{site}\"");
        } else if inside
            && line
                .split_once('=')
                .is_some_and(|(key, _)| key.trim() == "secret")
        {
            return Some(index + 1);
        }
    }
    None
}

/// Remarks on secrets of a configuration in a table that Lambda functions cannot read.
pub(crate) fn remark_on_secrets(global: &Global, config: &Config) {
    for site in config.sites.values() {
        if global.table.is_some() && !matches!(site.secret, SecretRef::Aws(_)) {
            say(format!(
                "note: [sites.{}] secret = \"{}\" is of this machine; functions on AWS read it from Secrets Manager alone, as in secret = \"aws:tandem/{}\"",
                site.name, site.secret, site.name
            ));
        }
    }
}

/// Tells a person that what a command found is gone when it ends.
pub(crate) fn remark_on_memory(global: &Global) {
    if global.data.is_none() && global.table.is_none() {
        say("note: without --data or --table the table is in memory and empty, for this one command");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_sites_secret_is_found() {
        let text = "[sites.acme]\njira = \"x\"\nsecret = \"env:A\"\n\n[ sites . \"globex\" ]\n# secret = no\nsecret=\"env:G\"\n[[connections]]\n";
        assert_eq!(secret_line(text, "acme"), Some(3));
        assert_eq!(secret_line(text, "globex"), Some(7));
        assert_eq!(secret_line(text, "other"), None);
        assert_eq!(secret_line("sites.acme.secret = \"env:A\"", "acme"), None);
    }
}
