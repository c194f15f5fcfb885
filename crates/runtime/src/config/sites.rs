//! `[sites.*]`: where each site is, and where its secret is.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use tandem_core::SiteName;
use url::Url;

use super::ConfigEnv;
use super::document::{Table, Value};
use super::urls::{self, Purpose};

/// What a site is asked when nothing else is said.
pub const DEFAULT_REQUESTS_PER_SECOND: f64 = 5.0;
/// What a site may be asked without a word of doubt; the vendors' own limits are far below.
pub const USUAL_REQUESTS_PER_SECOND: f64 = 50.0;
/// The least and the most that can be paced: slots a quarter of an hour apart, and a tenth of a millisecond.
const REQUESTS_PER_SECOND_BOUNDS: (f64, f64) = (0.001, 10_000.0);

/// The longest name; names become part of addresses and of the table's keys.
const NAME_BYTES_MAX: usize = 64;
const KEYS: [&str; 4] = ["jira", "tempo", "secret", "requests_per_second"];
const EXAMPLE: &str =
    "write [sites.acme] with jira = \"https://acme.atlassian.net\" and secret = \"env:TANDEM_ACME\" below it";
const SECRET_RIGHT: &str =
    "write where the secret is, never the secret itself: aws:ID | env:NAME | file:PATH";
pub(super) const NAME_RIGHT: &str =
    "a name has letters, digits, `-`, `_` and `.`, begins with a letter or digit, and is at most 64 long";

/// One Jira Cloud site with Tempo.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteConfig {
    /// Its name.
    pub name: SiteName,
    /// Jira's base address.
    pub jira: Url,
    /// Tempo's base address.
    pub tempo: Url,
    /// Where its tokens are.
    pub secret: SecretRef,
    /// How much may be asked of it, by all runners together.
    pub requests_per_second: f64,
}

/// Where a site's secret is. It is no secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// In AWS Secrets Manager, under this name or ARN.
    Aws(String),
    /// In this environment variable.
    Env(String),
    /// In this file.
    File(PathBuf),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aws(id) => write!(f, "aws:{id}"),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// Reads all sites. One with a mistake is `None`: its name is known all the same.
pub(super) fn read(
    root: &Table<'_>,
    env: &ConfigEnv,
    folder: &Path,
) -> BTreeMap<SiteName, Option<SiteConfig>> {
    let mut sites = BTreeMap::new();
    let Some(value) = root.need("the file", "sites", EXAMPLE) else {
        return sites;
    };
    let Some(table) = value.table(EXAMPLE) else {
        value.hide();
        return sites;
    };
    for (name, key_span, value) in table.entries() {
        if !is_name(name) {
            table.problems().note(
                key_span,
                format!("`{name}` cannot be the name of a site"),
                NAME_RIGHT,
            );
        }
        sites.insert(SiteName::new(name), read_site(name, value, env, folder));
    }
    if sites.is_empty() {
        value.wrong("there is no site", EXAMPLE);
    }
    same_site_twice(&table, &sites);
    sites
}

/// Returns whether a text can be the name of a site or a connection.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn read_site(name: &str, value: Value<'_>, env: &ConfigEnv, folder: &Path) -> Option<SiteConfig> {
    let title = format!("[sites.{name}]");
    let Some(table) = value.table(EXAMPLE) else {
        value.hide();
        return None;
    };
    table.only_hiding(&title, &KEYS);
    let jira = table
        .need(&title, "jira", Purpose::Jira.right())
        .and_then(|v| urls::read(v, Purpose::Jira, env));
    let tempo = match table.get("tempo") {
        Some(value) => urls::read(value, Purpose::Tempo, env),
        None => Url::parse("https://api.tempo.io").ok(),
    };
    let secret = table
        .need(&title, "secret", SECRET_RIGHT)
        .and_then(|v| read_secret(v, folder));
    let requests_per_second = match table.get("requests_per_second") {
        Some(value) => read_rate(value),
        None => Some(DEFAULT_REQUESTS_PER_SECOND),
    };
    Some(SiteConfig {
        name: SiteName::new(name),
        jira: jira?,
        tempo: tempo?,
        secret: secret?,
        requests_per_second: requests_per_second?,
    })
}

fn read_secret(value: Value<'_>, folder: &Path) -> Option<SecretRef> {
    let secret = value.text(SECRET_RIGHT).map(|text| parse_secret(text, folder));
    match secret {
        Some(Ok(secret)) => return Some(secret),
        Some(Err(message)) => value.wrong(message, SECRET_RIGHT),
        None => {}
    }
    // It may be the secret itself.
    value.hide();
    None
}

/// Reads a reference to a secret. The message quotes none of it.
pub(super) fn parse_secret(text: &str, folder: &Path) -> Result<SecretRef, String> {
    let (kind, rest) = text
        .split_once(':')
        .ok_or("this is not a reference to a secret")?;
    if rest.is_empty() || rest.trim() != rest {
        return Err("this reference to a secret is not complete".into());
    }
    match kind {
        "aws" if rest.contains(char::is_whitespace) => Err("a secret's ID has no blanks in it".into()),
        "aws" => Ok(SecretRef::Aws(rest.to_owned())),
        "env" if !is_variable(rest) => Err("this is not the name of an environment variable".into()),
        "env" => Ok(SecretRef::Env(rest.to_owned())),
        // A path that is absolute replaces the folder.
        "file" => Ok(SecretRef::File(folder.join(rest))),
        _ => Err("this is not a reference to a secret".into()),
    }
}

fn is_variable(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn read_rate(value: Value<'_>) -> Option<f64> {
    const RIGHT: &str = "a number from 0.001 up to 10000; Tempo allows 5 (the default)";
    let rate = value.number(RIGHT)?;
    let (least, most) = REQUESTS_PER_SECOND_BOUNDS;
    // Written so that NaN fails as well.
    if rate >= least && rate <= most {
        return Some(rate);
    }
    value.wrong(format!("`requests_per_second` cannot be {rate}"), RIGHT);
    None
}

/// Notes sites that are one and the same: each would take its own worklogs for the other's.
fn same_site_twice(table: &Table<'_>, sites: &BTreeMap<SiteName, Option<SiteConfig>>) {
    let mut seen: BTreeMap<String, &SiteName> = BTreeMap::new();
    for site in sites
        .values()
        .flatten()
        .filter(|site| !urls::is_loopback(&site.jira))
    {
        let address = site.jira.as_str().trim_end_matches('/').to_owned();
        let Some(first) = seen.get(&address) else {
            seen.insert(address, &site.name);
            continue;
        };
        let place = table
            .entries()
            .into_iter()
            .find(|(name, ..)| *name == site.name.as_str())
            .and_then(|(.., value)| value.table(EXAMPLE)?.get("jira"));
        if let Some(value) = place {
            value.wrong(
                format!("[sites.{}] and [sites.{first}] are the same Jira", site.name),
                "write each site once, and use its name in as many connections as you like",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<SecretRef> {
        parse_secret(text, Path::new("etc")).ok()
    }

    #[test]
    fn a_secret_is_in_aws_the_environment_or_a_file() {
        assert_eq!(
            parse("aws:tandem/acme"),
            Some(SecretRef::Aws("tandem/acme".into()))
        );
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x";
        assert_eq!(parse(&format!("aws:{arn}")), Some(SecretRef::Aws(arn.into())));
        assert_eq!(
            parse("env:TANDEM_ACME"),
            Some(SecretRef::Env("TANDEM_ACME".into()))
        );
        assert_eq!(
            parse("file:acme.json"),
            Some(SecretRef::File("etc/acme.json".into()))
        );
        assert_eq!(
            parse("file:/run/acme.json"),
            Some(SecretRef::File("/run/acme.json".into()))
        );
    }

    #[test]
    fn anything_else_is_no_reference() {
        for text in [
            "", "x", "aws:", "aws: x", "aws:a b", "env:A-B", "env:1A", "env:", "file:", "vault:x", "AWS:x",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn names_fit_into_an_address() {
        for text in ["acme", "acme-2", "A_b.c", "1"] {
            assert!(is_name(text), "{text}");
        }
        for text in ["", ".", "..", "-a", "a b", "a/b", "a#b", "ä", &"x".repeat(65)] {
            assert!(!is_name(text), "{text}");
        }
    }
}
