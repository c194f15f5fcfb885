//! `versions`: the published configurations.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tandem_engine::ports::Store;
use tandem_engine::ports::store::ConfigVersion;
use tandem_runtime::config::digest;

use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::{open, output, words};

/// Versions that are listed at most.
const LIMIT_MAX: usize = 10_000;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem versions --table tandem-table
  tandem versions --table tandem-table --show 3 > tandem.toml")]
pub(crate) struct Arguments {
    /// Write this version's text instead, such as into a file
    #[arg(long, value_name = "N")]
    show: Option<u64>,
    /// At most so many of the newest
    #[arg(long, value_name = "COUNT", default_value_t = 50, conflicts_with = "show")]
    limit: usize,
}

#[derive(Debug, Serialize)]
struct Version {
    version: u64,
    published: Timestamp,
    digest: String,
    newest: bool,
    /// The first version of those listed with the very same text, where it is not this one.
    same_as: Option<u64>,
    /// Names of the sites; `null` when this Tandem finds mistakes in the text.
    sites: Option<Vec<String>>,
    /// Names of the connections; the same.
    connections: Option<Vec<String>>,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let store = table(global).await?;
    if let Some(number) = arguments.show {
        let (found, _) = find(&*store, number).await?;
        if global.json {
            output::json(&serde_json::json!({ "version": number, "text": found.text }))?;
        } else {
            output::data(found.text.strip_suffix('\n').unwrap_or(&found.text))?;
        }
        return Ok(Ending::Done);
    }
    let limit = arguments.limit.clamp(1, LIMIT_MAX);
    let mut all = store.configs(limit + 1).await?;
    let more = all.len() > limit;
    all.truncate(limit);
    let versions = described(global, &all);
    if global.json {
        output::json(&versions)?;
    } else if versions.is_empty() {
        output::say("no configuration is published yet: `tandem publish` does");
    } else {
        output::data(shown(&versions))?;
        if more {
            output::say("there are more; --limit COUNT shows them");
        }
    }
    Ok(Ending::Done)
}

/// Opens the table. Needs no configuration: the one at hand may be what is wrong.
pub(super) async fn table(global: &Global) -> Result<Arc<dyn Store>, Failure> {
    Ok(open::table(global).await?.0)
}

/// Returns a version and the newest one, or says which ones there are.
pub(super) async fn find(store: &dyn Store, number: u64) -> Result<(ConfigVersion, ConfigVersion), Failure> {
    let Some(newest) = store.config().await? else {
        return Err(Failure::usage(format!(
            "there is no version {number}; nothing is published yet: `tandem publish` does that"
        )));
    };
    // They are numbered from 1 without a gap, and none is ever removed.
    let back = newest.number.checked_sub(number).filter(|_| number > 0);
    let found = match back {
        Some(back) => {
            let limit = usize::try_from(back).unwrap_or(usize::MAX).saturating_add(1);
            let all = store.configs(limit).await?;
            all.into_iter().find(|one| one.number == number)
        }
        None => None,
    };
    match found {
        Some(found) => Ok((found, newest)),
        None if newest.number == 1 => Err(Failure::usage(format!(
            "there is no version {number}; there is version 1 alone"
        ))),
        None => Err(Failure::usage(format!(
            "there is no version {number}; there are versions 1 to {}",
            newest.number
        ))),
    }
}

fn described(global: &Global, all: &[ConfigVersion]) -> Vec<Version> {
    let mut first: BTreeMap<String, u64> = BTreeMap::new();
    let mut versions: Vec<Version> = all
        .iter()
        .rev()
        .map(|one| {
            let digest = digest(&one.text);
            let earlier = *first.entry(digest.clone()).or_insert(one.number);
            let read = open::version(global, one).ok();
            Version {
                version: one.number,
                published: one.at,
                digest,
                newest: Some(one.number) == all.first().map(|newest| newest.number),
                same_as: (earlier != one.number).then_some(earlier),
                sites: read
                    .as_ref()
                    .map(|config| config.sites.keys().map(ToString::to_string).collect()),
                connections: read.map(|config| {
                    config
                        .connections
                        .iter()
                        .map(|one| one.name.to_string())
                        .collect()
                }),
            }
        })
        .collect();
    versions.reverse();
    versions
}

fn shown(versions: &[Version]) -> String {
    let rows = versions.iter().map(|one| {
        let connections = match &one.connections {
            Some(names) => names.join(", "),
            None => "has mistakes".to_owned(),
        };
        let remark = match (one.newest, one.same_as) {
            (true, Some(same)) => format!("newest, same as {same}"),
            (true, None) => "newest".to_owned(),
            (false, Some(same)) => format!("same as {same}"),
            (false, None) => String::new(),
        };
        vec![
            one.version.to_string(),
            words::moment(one.published),
            one.digest.clone(),
            connections,
            remark,
        ]
    });
    output::table(
        &["VERSION", "PUBLISHED", "DIGEST", "CONNECTIONS", ""],
        rows.collect(),
    )
}
