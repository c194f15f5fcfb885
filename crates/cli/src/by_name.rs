//! `--names`: what people are called, beside their account ids.
//!
//! Each site's Jira is asked for those who were seen on it, once, when all that is shown is known. What it tells goes to
//! whoever asked and is kept nowhere.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use tandem_core::{AccountId, ConnectionName, Content, Side, Sides, SiteName};
use tandem_engine::Engine;
use tandem_engine::operator::Called;

use crate::{output, words};

/// People who are asked for at most, on all sites together.
const ASKED_MAX: usize = 10_000;

/// Characters of a name that are shown.
const NAME_CHARS: usize = 80;

/// Whether people are shown by name.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct ByName {
    /// Show people's names beside their account ids; each site's Jira is asked for them, and they are kept nowhere
    #[arg(long)]
    names: bool,
}

impl ByName {
    /// Says whether anybody is to be asked for.
    pub(crate) fn is_asked(self) -> bool {
        self.names
    }

    /// Begins to collect those whom the output shows.
    pub(crate) fn seen(self, engine: &Engine) -> Seen<'_> {
        Seen {
            engine,
            wanted: self.names,
            on: BTreeMap::new(),
            left_out: false,
        }
    }
}

/// Those whom the output shows, by the site on which they were seen.
pub(crate) struct Seen<'e> {
    engine: &'e Engine,
    wanted: bool,
    on: BTreeMap<SiteName, BTreeSet<AccountId>>,
    left_out: bool,
}

impl Seen<'_> {
    /// Adds somebody who was seen on a side of a connection.
    pub(crate) fn add(&mut self, connection: &ConnectionName, side: Side, account: &AccountId) {
        let Some(connection) = self.engine.connection(connection).filter(|_| self.wanted) else {
            return;
        };
        let so_far: usize = self.on.values().map(BTreeSet::len).sum();
        let on_site = self.on.entry(connection.sites[side].clone()).or_default();
        if so_far < ASKED_MAX {
            on_site.insert(account.clone());
        } else {
            self.left_out |= !on_site.contains(account);
        }
    }

    /// Asks for their names. Where a site does not answer, that is told, and their ids stand alone.
    pub(crate) async fn ask(self) -> People {
        if !self.wanted {
            return People::default();
        }
        let mut names = BTreeMap::new();
        for (site, accounts) in &self.on {
            let Called { names: told, error } = self.engine.called(site, accounts).await;
            if let Some(error) = error {
                output::say(output::plain(&format!(
                    "warning: people of {site} are shown without names, since it did not tell them: {error}"
                )));
            }
            for (account, name) in told {
                let name = output::short(output::plain(&name).trim(), NAME_CHARS);
                if !name.is_empty() {
                    names.insert((site.clone(), account), name);
                }
            }
        }
        if self.left_out {
            output::say(format!(
                "note: these are more people than are asked for; {ASKED_MAX} of them are shown by name"
            ));
        }
        let connections = self.engine.connections.iter();
        People {
            sites: connections
                .map(|one| (one.name.clone(), one.sites.clone()))
                .collect(),
            names: Some(names),
        }
    }
}

/// What people are called, as far as it was asked for and told.
#[derive(Default)]
pub(crate) struct People {
    sites: BTreeMap<ConnectionName, Sides<SiteName>>,
    names: Option<BTreeMap<(SiteName, AccountId), String>>,
}

impl People {
    /// Says whether anybody was asked for.
    pub(crate) fn are_asked(&self) -> bool {
        self.names.is_some()
    }

    /// Returns what somebody is called.
    pub(crate) fn name(&self, connection: &ConnectionName, side: Side, account: &AccountId) -> Option<&str> {
        let site = &self.sites.get(connection)?[side];
        let names = self.names.as_ref()?;
        names.get(&(site.clone(), account.clone())).map(String::as_str)
    }

    /// `Ann Archer (5f0a-on-acme)`, or the account alone.
    pub(crate) fn person(&self, connection: &ConnectionName, side: Side, account: &AccountId) -> String {
        match self.name(connection, side, account) {
            Some(name) => format!("{name} ({account})"),
            None => account.to_string(),
        }
    }

    /// One line about a worklog's content.
    pub(crate) fn content(&self, connection: &ConnectionName, side: Side, content: &Content) -> String {
        words::content_of(&self.person(connection, side, &content.author), content)
    }

    /// What some people are called, by account, for programs; `None` where nobody was asked for.
    pub(crate) fn names<'p>(
        &self,
        connection: &ConnectionName,
        people: impl IntoIterator<Item = (Side, &'p AccountId)>,
    ) -> Option<BTreeMap<AccountId, String>> {
        self.names.as_ref()?;
        let mut names = BTreeMap::new();
        for (side, account) in people {
            if let Some(name) = self.name(connection, side, account) {
                names.entry(account.clone()).or_insert_with(|| name.to_owned());
            }
        }
        Some(names)
    }
}
