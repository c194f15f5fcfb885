//! `forget`: take a person's data out of the table.

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tandem_aws::{DynamoStore, Forget, Found};
use tandem_core::{AccountId, ConnectionName};
use tandem_engine::operator;
use tandem_engine::ports::Store;
use tandem_runtime::config::Config;

use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::who::Who;
use crate::{open, output, words};

/// Atlassian's own limit.
const ACCOUNT_CHARS_MAX: usize = 128;

/// Shorter ones would be found in what is no account.
const ACCOUNT_CHARS_MIN: usize = 3;

/// How often somebody who waits is told how far it is, in rows.
const TOLD_EVERY: u64 = 20_000;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  tandem forget 5f0a1b2c3d4e5f6a7b8c9d0e --data ./tandem-data\n\nFirst have the person's worklogs deleted or anonymised on both sites and synced: a pair whose worklogs are there keeps what both sides say, or it could not be kept the same. Then look:\n\n  tandem --table NAME forget 5f0a1b2c3d4e5f6a7b8c9d0e\n\nand do it with --yes. It can be broken off and repeated. Exit code 0: the table holds nothing of theirs any more; 3: something is there still, and said."
)]
pub(crate) struct Arguments {
    /// The person's Atlassian account ids; on two sites they may have two
    #[arg(value_name = "ACCOUNT", required = true, value_parser = account)]
    accounts: Vec<AccountId>,
    /// Do it, and don't just show it
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    who: Who,
}

fn account(text: &str) -> Result<AccountId, String> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_');
    let length = text.chars().count();
    if (ACCOUNT_CHARS_MIN..=ACCOUNT_CHARS_MAX).contains(&length) && text.chars().all(is_letter) {
        Ok(AccountId::new(text))
    } else {
        Err(
            "an account id has letters, digits, `:`, `-` and `_`, like 5f0a1b2c3d4e5f6a7b8c9d0e; it is the last part of the address of the person's profile in Jira"
                .to_owned(),
        )
    }
}

impl Arguments {
    /// Says whether nothing is changed.
    pub(crate) fn only_looks(&self) -> bool {
        !self.yes
    }
}

/// What became of one account.
#[derive(Debug, Serialize)]
struct Outcome {
    account: AccountId,
    /// Whether it was done, or only looked at.
    done: bool,
    /// Rows removed or rid of the person.
    forgotten: Value,
    /// What stays.
    kept: Value,
    /// Other accounts that were taken for the same person's.
    also: Vec<AccountId>,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let (store, _embedded) = open::dynamo(global).await?;
    let mut outcomes = Vec::new();
    let mut something = false;
    for account in &arguments.accounts {
        let found = search(&store, account, arguments.yes).await?;
        something |= remains(&found, arguments.yes);
        if !global.json {
            tell(account, &found, arguments)?;
        }
        outcomes.push(outcome(account, &found, arguments.yes));
    }
    if global.json {
        output::json(&outcomes)?;
    }
    if arguments.yes
        && let Err(failure) = note(global, &store, outcomes.len(), &arguments.who.name()).await
    {
        // It is done all the same.
        output::say(format!("note: the history does not say who did it: {failure}"));
    }
    Ok(Ending::differs_if(something))
}

/// Has the history say who did it, and not whom it was about.
async fn note(global: &Global, store: &DynamoStore, count: usize, by: &str) -> Result<(), Failure> {
    let config = match open::config(global) {
        Ok(config) => config,
        Err(failure) => match store.config().await? {
            Some(newest) => open::version(global, &newest)?,
            None => return Err(failure),
        },
    };
    let Config {
        connections, engine, ..
    } = config;
    let names: Vec<ConnectionName> = connections.into_iter().map(|one| one.name).collect();
    let told = format!(
        "{by}: the data of {} are taken out of the table",
        words::count(count, "account")
    );
    let when = (Timestamp::now(), engine.history);
    Ok(operator::tell_of(store, &names, "forget", &[told], when).await?)
}

async fn search(store: &DynamoStore, account: &AccountId, yes: bool) -> Result<Found, Failure> {
    let how = if yes { Forget::Now } else { Forget::Look };
    let mut told = 0;
    let progress = |rows: u64| {
        if rows >= told + TOLD_EVERY {
            told = rows;
            output::say(format!("{rows} rows read"));
        }
    };
    store.forget(account, how, progress).await.map_err(|error| {
        Failure::failed(format!(
            "{error}; what was done so far stays done, and calling this again goes on with the rest"
        ))
    })
}

/// The kinds of rows, how many, and what becomes of them.
fn forgotten(found: &Found) -> [(&'static str, u64, &'static str); 6] {
    [
        (
            "lines of the history",
            found.history,
            "account, text, time of day and attributes go; day, hours and what was done stay",
        ),
        (
            "pairs that are not kept the same any more",
            found.pairs,
            "what both sides said last goes; ids stay",
        ),
        ("look-ups of who they are", found.people, "removed"),
        ("notes of own writes", found.echoes, "removed"),
        (
            "waiting looks",
            found.due,
            "announced changes and sentences about them go",
        ),
        ("earlier configurations", found.configs, "the account is replaced"),
    ]
}

fn remains(found: &Found, done: bool) -> bool {
    let to_do = !done && forgotten(found).iter().any(|(_, count, _)| *count > 0);
    to_do || found.kept_pairs > 0 || found.kept_config.is_some() || found.left > 0 || !found.others.is_empty()
}

fn outcome(account: &AccountId, found: &Found, done: bool) -> Outcome {
    Outcome {
        account: account.clone(),
        done,
        forgotten: json!({
            "history": found.history,
            "pairs": found.pairs,
            "people": found.people,
            "echoes": found.echoes,
            "due": found.due,
            "versions": found.configs,
        }),
        kept: json!({
            "pairs": found.kept_pairs,
            "newest_version": found.kept_config,
            "changed_meanwhile": found.left,
            "others": found.others,
        }),
        also: found.also.iter().cloned().collect(),
    }
}

fn tell(account: &AccountId, found: &Found, arguments: &Arguments) -> Result<(), Failure> {
    let rows: Vec<Vec<String>> = forgotten(found)
        .into_iter()
        .filter(|(_, count, _)| *count > 0)
        .map(|(kind, count, becomes)| vec![count.to_string(), kind.to_owned(), becomes.to_owned()])
        .collect();
    if rows.is_empty() {
        output::say(format!("nothing of {account} is there to be taken out"));
    } else {
        let verb = if arguments.yes {
            "taken out"
        } else {
            "would be taken out"
        };
        output::say(format!("{account}: {verb}"));
        output::data(output::table(&["ROWS", "", ""], rows))?;
    }
    for remark in remarks(found, arguments) {
        output::say(remark);
    }
    Ok(())
}

fn remarks(found: &Found, arguments: &Arguments) -> Vec<String> {
    let mut remarks = Vec::new();
    if found.kept_pairs > 0 {
        remarks.push(format!(
            "stays: pairs that are kept the same, with account and text, while their worklogs are on the sites: {}; delete or anonymise these there, let that be synced, and call this again",
            found.kept_pairs
        ));
    }
    if let Some(version) = found.kept_config {
        remarks.push(format!(
            "stays: version {version} of the configuration, which is in use; take the account out of tandem.toml, run `tandem publish`, and call this again"
        ));
    }
    for (kind, count) in &found.others {
        remarks.push(format!("stays: {count} rows of the kind {kind}, which this version of Tandem does not know to hold people"));
    }
    if found.left > 0 {
        remarks.push(format!(
            "left: {} rows that changed just now; call this again",
            found.left
        ));
    }
    let unasked: Vec<&str> = found
        .also
        .iter()
        .filter(|one| !arguments.accounts.contains(one))
        .map(AccountId::as_str)
        .collect();
    if !unasked.is_empty() {
        remarks.push(format!(
            "on another site they are {}; nothing of that account was looked for: add it to the command to have it forgotten as well",
            unasked.join(", ")
        ));
    }
    if !arguments.yes {
        remarks.push("nothing was changed; --yes does it".to_owned());
    } else {
        remarks.push("the table's backups hold what it held before, for up to 35 days".to_owned());
    }
    remarks
}
