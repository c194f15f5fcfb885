//! Reads `tandem.toml` into plain structs.
//!
//! Reading is strict, and a pure function of the text: no environment, no clock. It walks the parsed document
//! by hand instead of deriving it, so that one attempt reports every mistake, each with its line and with what
//! would be right. Nothing here resolves a secret; a text that might be one is never shown in an error.

mod alerts;
mod connections;
mod document;
mod duration;
mod engine;
mod errors;
mod links;
mod nearest;
mod rules;
mod sites;
#[cfg(test)]
mod tests;
mod urls;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tandem_core::{ConnectionName, SiteName};
use toml::de::DeTable;
use url::Url;

pub use alerts::{AlertTarget, AlertsConfig, webhook_address};
pub use connections::{ConnectionConfig, MassDelete};
pub use engine::EngineConfig;
pub use errors::{ConfigError, Problem};
pub use links::{LinkSource, LinksConfig};
pub use sites::{DEFAULT_REQUESTS_PER_SECOND, SecretRef, SiteConfig, USUAL_REQUESTS_PER_SECOND};

use document::{Problems, Table};

/// How much of the text's SHA-256 names a configuration: 16 hexadecimal digits.
const DIGEST_BYTES: usize = 8;

/// Everything that `tandem.toml` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The engine's patience and periods.
    pub engine: EngineConfig,
    /// The sites, by name.
    pub sites: BTreeMap<SiteName, SiteConfig>,
    /// The connections, in the file's order; never empty.
    pub connections: Vec<ConnectionConfig>,
    /// Who is told when something needs a person.
    pub alerts: AlertsConfig,
    /// Names this very text: the beginning of its SHA-256, in hexadecimal.
    pub digest: String,
}

/// What of the environment bears on the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConfigEnv {
    /// Whether sites may be on this machine, over plain `http`: for tests and the demo.
    pub allow_loopback: bool,
}

impl ConfigEnv {
    /// The variable that allows loopback addresses when it is `1`.
    pub const ALLOW_LOOPBACK: &str = "TANDEM_ALLOW_LOOPBACK";

    /// Picks what bears on the configuration from pairs of names and values, such as those of
    /// [`std::env::vars`].
    pub fn from_vars<K: AsRef<str>, V: AsRef<str>>(vars: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut vars = vars.into_iter();
        Self {
            allow_loopback: vars.any(|(k, v)| k.as_ref() == Self::ALLOW_LOOPBACK && v.as_ref() == "1"),
        }
    }
}

impl Config {
    /// Reads a configuration from its text. `file_name` appears in errors, and its folder is where relative
    /// `file:` secrets are.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with every mistake that was found.
    pub fn parse(text: &str, file_name: &str, env: &ConfigEnv) -> Result<Self, ConfigError> {
        let problems = Problems::new(text);
        let parsed = match DeTable::parse(text) {
            Ok(parsed) => parsed,
            Err(error) => {
                problems.syntax(&error);
                return Err(problems.into_error(file_name));
            }
        };
        let folder = Path::new(file_name)
            .parent()
            .map(PathBuf::from)
            .unwrap_or_default();
        let root = Table::root(parsed.get_ref(), &problems);
        root.only_hiding("the file", &["engine", "sites", "connections", "alerts"]);
        let engine = engine::read(&root, env);
        let sites = sites::read(&root, env, &folder);
        let connections = connections::read(&root, &sites.keys().map(SiteName::as_str).collect::<Vec<_>>());
        let alerts = alerts::read(&root, env, &folder);
        if problems.any() {
            return Err(problems.into_error(file_name));
        }
        let sites = sites
            .into_iter()
            .filter_map(|(name, site)| Some((name, site?)))
            .collect();
        Ok(Self {
            engine,
            sites,
            connections,
            alerts,
            digest: digest(text),
        })
    }

    /// Reads a configuration from a file.
    ///
    /// # Errors
    /// [`ConfigError::Read`] when there is no such text, [`ConfigError::Invalid`] when it has mistakes.
    pub fn load(path: impl AsRef<Path>, env: &ConfigEnv) -> Result<Self, ConfigError> {
        let file = path.as_ref().display().to_string();
        let text = match std::fs::read_to_string(path.as_ref()) {
            Ok(text) => text,
            Err(source) => return Err(ConfigError::Read { file, source }),
        };
        Self::parse(&text, &file, env)
    }

    /// Returns the connection of that name.
    pub fn connection(&self, name: &ConnectionName) -> Option<&ConnectionConfig> {
        self.connections
            .iter()
            .find(|connection| connection.name == *name)
    }
}

/// Reads an address where webhooks arrive, under the rules for `public_url`.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn public_url(text: &str, env: &ConfigEnv) -> Result<Url, String> {
    let purpose = urls::Purpose::Public;
    urls::parse(purpose, text, env.allow_loopback).map_err(|wrong| format!("{wrong}; {}", purpose.right()))
}

/// Returns the name of a configuration's text: the beginning of its SHA-256, in hexadecimal.
pub fn digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..DIGEST_BYTES])
}
