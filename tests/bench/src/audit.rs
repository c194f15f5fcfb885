//! An audit of a connection where nothing changed: what it asks for, and how much memory it takes.
//!
//! Real: the engine, the client of both sites, the store and the SDK. Made up: the sites' answers and the table's.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tandem_aws::DynamoStore;
use tandem_aws::secrets::Secrets;
use tandem_engine::ports::{Clock, Store};
use tandem_runtime::config::{Config, ConfigEnv};
use tandem_runtime::wiring::{Parts, Tandem};

use crate::clock::JumpingClock;
use crate::scale::{CONNECTION, SINCE, SITES, Scale};
use crate::site::{MadeUpSites, Requests};
use crate::table::made_up_table;

/// Rows of a page of Tempo's.
const PAGE_ROWS: u64 = 5000;

/// What an audit came to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Audited {
    /// Worklogs per side.
    pub worklogs: u64,
    /// Links.
    pub links: u64,
    /// Pages of worklogs asked for, on both sides.
    pub listings: u64,
    /// Pages of the feeds of deletes asked for, on both sides.
    pub feeds: u64,
    /// Other requests to the sites.
    pub others: u64,
    /// Requests to the table.
    pub table: u64,
    /// Links and issues hinted at.
    pub hinted: usize,
    /// Sites or connections that could not be read.
    pub failed: usize,
    /// The most memory that was resident, in KiB; before the audit.
    pub before_kib: u64,
    /// The same, after it.
    pub peak_kib: u64,
}

impl Audited {
    /// Returns how many pages of worklogs an audit may ask for. That a side has none, one page has to tell.
    pub fn listings_allowed(&self) -> u64 {
        2 * self.worklogs.div_ceil(PAGE_ROWS).max(1)
    }

    /// Says what is wrong with the count of requests or with what was found, if anything is.
    pub fn complaint(&self) -> Option<String> {
        // Each side's audit trail of Tempo, and Jira's feed.
        let feeds = 4;
        if self.listings != self.listings_allowed() || self.feeds != feeds || self.others != 0 {
            return Some(format!(
                "{} worklogs took {} pages, {} of deletes and {} other requests; {}, {feeds} and 0 are right",
                self.worklogs,
                self.listings,
                self.feeds,
                self.others,
                self.listings_allowed()
            ));
        }
        (self.hinted > 0 || self.failed > 0).then(|| {
            format!(
                "nothing had changed, but {} links were hinted at and {} could not be read",
                self.hinted, self.failed
            )
        })
    }
}

/// What went wrong before there was anything to measure.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The configuration is refused.
    #[error("the configuration of the benchmark is refused: {0}")]
    Config(String),
    /// The table cannot be made.
    #[error(transparent)]
    Store(#[from] tandem_engine::ports::StoreError),
    /// The audit failed.
    #[error(transparent)]
    Engine(#[from] tandem_engine::EngineError),
}

fn configuration() -> String {
    let sites: String = [SITES.a, SITES.b]
        .iter()
        .map(|site| {
            format!(
                "[sites.{site}]\njira = \"http://127.0.0.1:1/jira/{site}\"\ntempo = \"http://127.0.0.1:1/tempo/{site}\"\nsecret = \"env:SECRET\"\n"
            )
        })
        .collect();
    format!(
        "{sites}[[connections]]\nname = \"{CONNECTION}\"\na = \"{}\"\nb = \"{}\"\nsince = \"{SINCE}\"\n",
        SITES.a, SITES.b
    )
}

/// Audits a connection of so many worklogs per side.
///
/// # Errors
/// When there is nothing to measure.
pub async fn audit(worklogs: u64) -> Result<Audited, AuditError> {
    let scale = Scale::of(worklogs);
    let Subject { tandem, store, sites } = subject(scale).await?;
    store.counts().reset();
    let before_kib = peak_kib();
    let swept = tandem.engine.audit().await?;
    let Requests {
        listings,
        feeds,
        others,
    } = sites.requests();
    Ok(Audited {
        worklogs,
        links: scale.links(),
        listings,
        feeds,
        others,
        table: store.counts().total(),
        hinted: swept.hinted,
        failed: swept.failed,
        before_kib,
        peak_kib: peak_kib(),
    })
}

/// A connection of a scale, between sites and a table that are made up.
pub(crate) struct Subject {
    pub(crate) tandem: Tandem,
    pub(crate) store: Arc<DynamoStore>,
    pub(crate) sites: Arc<MadeUpSites>,
}

pub(crate) async fn subject(scale: Scale) -> Result<Subject, AuditError> {
    let clock: Arc<dyn Clock> = Arc::new(JumpingClock::starting_at(
        Timestamp::from_second(1_772_438_400).unwrap_or(Timestamp::UNIX_EPOCH),
    ));
    let config = Config::parse(
        &configuration(),
        "tandem.toml",
        &ConfigEnv { allow_loopback: true },
    )
    .map_err(|error| AuditError::Config(error.to_string()))?;
    let store = Arc::new(made_up_table(scale, Arc::clone(&clock)).await?);
    let sites = Arc::new(MadeUpSites::new(scale));
    let secrets = Secrets::new(None, |_| {
        Some(
            r#"{"tempo_token":"t","jira_email":"tandem@site.example","jira_token":"j",
                "jira_webhook_secrets":["x"],"tempo_webhook_secrets":["y"]}"#
                .to_owned(),
        )
    });
    let tandem = Tandem::new(Parts {
        config,
        store: Arc::clone(&store) as Arc<dyn Store>,
        secrets: Arc::new(secrets),
        transport: Arc::clone(&sites) as Arc<dyn tandem_atlassian::Transport>,
        clock,
        owner: "bench".into(),
        observer: None,
    });
    Ok(Subject { tandem, store, sites })
}

/// Returns the most memory that was ever resident in this process, in KiB; 0 where the system does not tell.
pub fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_audit_of_what_is_in_step_asks_for_each_page_once_and_finds_nothing() {
        for worklogs in [0, 1, 4999, 5000, 5001] {
            let audited = audit(worklogs).await.expect("an audit");
            assert_eq!(audited.complaint(), None, "{audited:?}");
        }
    }

    #[test]
    fn too_many_requests_and_false_finds_are_complained_of() {
        let right = Audited {
            worklogs: 5001,
            links: 101,
            listings: 4,
            feeds: 4,
            others: 0,
            table: 0,
            hinted: 0,
            failed: 0,
            before_kib: 0,
            peak_kib: 0,
        };
        assert_eq!(right.complaint(), None);
        for wrong in [
            Audited { listings: 5, ..right },
            Audited { listings: 3, ..right },
            Audited { feeds: 5, ..right },
            Audited { others: 1, ..right },
            Audited { hinted: 1, ..right },
            Audited { failed: 1, ..right },
        ] {
            assert!(wrong.complaint().is_some(), "{wrong:?}");
        }
    }
}
