//! What the table knows of people and attributes, without asking a site for people.

use std::collections::{BTreeMap, BTreeSet};

use tandem_core::rules::{Lookups, Person};
use tandem_core::{AccountId, Content, Side, Sides, Worklog, WorklogId};

use super::rows::Listed;
use crate::error::EngineError;
use crate::options::{Connection, Engine};
use crate::ports::store::Lane;

/// Accounts of a side that are remembered, at most. Those of a link are always.
const ACCOUNTS_MAX: usize = 20_000;

/// What was looked up so far.
#[derive(Default)]
pub(super) struct Known {
    lookups: Lookups,
    accounts: Sides<BTreeSet<AccountId>>,
    names: bool,
}

impl Engine {
    /// Looks up what is not yet known of a link's authors and attributes.
    pub(super) async fn look_up_authors<'k>(
        &self,
        connection: &Connection,
        sides: &Sides<Listed>,
        known: &'k mut Known,
    ) -> Result<&'k Lookups, EngineError> {
        for side in Side::BOTH {
            if known.accounts[side].len() > ACCOUNTS_MAX {
                known.accounts[side].clear();
                known.lookups.people[side].clear();
            }
            let authors = sides[side].values().map(|content| &content.author);
            let new: BTreeSet<AccountId> = authors
                .filter(|account| !known.accounts[side].contains(*account))
                .cloned()
                .collect();
            self.people_of(connection, side, &new, &mut known.lookups).await?;
            known.accounts[side].extend(new);
        }
        if !known.names && mapped_in_use(connection, sides.as_ref().map(|_, listed| listed.values())) {
            self.names_of(connection, &mut known.lookups).await?;
            known.names = true;
        }
        Ok(&known.lookups)
    }

    /// Looks up the authors and attributes of some worklogs.
    pub(crate) async fn known_people(
        &self,
        connection: &Connection,
        sides: &Sides<BTreeMap<WorklogId, Worklog>>,
    ) -> Result<Lookups, EngineError> {
        let mut lookups = Lookups::default();
        for side in Side::BOTH {
            let authors = sides[side].values().map(|worklog| &worklog.content.author);
            let authors: BTreeSet<AccountId> = authors.cloned().collect();
            self.people_of(connection, side, &authors, &mut lookups).await?;
        }
        if mapped_in_use(
            connection,
            sides
                .as_ref()
                .map(|_, listed| listed.values().map(|worklog| &worklog.content)),
        ) {
            self.names_of(connection, &mut lookups).await?;
        }
        Ok(lookups)
    }

    async fn people_of(
        &self,
        connection: &Connection,
        side: Side,
        accounts: &BTreeSet<AccountId>,
        lookups: &mut Lookups,
    ) -> Result<(), EngineError> {
        if accounts.is_empty() {
            return Ok(());
        }
        let accounts: Vec<AccountId> = accounts.iter().cloned().collect();
        let (from, to) = (&connection.sites[side], &connection.sites[side.other()]);
        let rows = self
            .store
            .people(from, to, &accounts, jiff::Timestamp::MIN)
            .await?;
        for row in rows {
            let person = Person {
                other: row.other,
                display_name: row.display_name,
            };
            lookups.people[side].insert(row.account, person);
        }
        Ok(())
    }

    async fn names_of(&self, connection: &Connection, lookups: &mut Lookups) -> Result<(), EngineError> {
        for side in Side::BOTH {
            let definitions = self
                .attribute_definitions(connection, side, None, Lane::Sweep)
                .await?;
            lookups.names[side] = definitions
                .into_iter()
                .filter(|one| !one.names.is_empty())
                .map(|one| (one.key, one.names))
                .collect();
        }
        Ok(())
    }
}

/// Says whether an attribute that is kept the same has a value anywhere.
fn mapped_in_use<'c>(connection: &Connection, mut sides: Sides<impl Iterator<Item = &'c Content>>) -> bool {
    let rules = &connection.settings.rules.attributes;
    Side::BOTH.into_iter().any(|side| {
        sides[side].any(|content| {
            rules
                .iter()
                .any(|rule| content.attributes.contains_key(&rule.keys[side]))
        })
    })
}
