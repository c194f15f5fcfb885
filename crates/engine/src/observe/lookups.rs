//! Who people are, and what attributes are, as far as rendering needs it.

use std::collections::BTreeSet;

use futures::try_join;
use jiff::{SignedDuration, Timestamp};
use tandem_core::observed::Observed;
use tandem_core::rules::{Person, Rules};
use tandem_core::{AccountId, Content, PairState, Side, Sides, WorklogId};

use crate::error::EngineError;
use crate::options::{Connection, Engine};
use crate::people::Taken;
use crate::ports::store::Lane;

impl Engine {
    /// Looks up what rendering needs: people, and the names of static-list values.
    pub(super) async fn look_up(
        &self,
        connection: &Connection,
        observed: &mut Observed,
        lane: Lane,
    ) -> Result<(), EngineError> {
        let rules = &connection.settings.rules;
        for side in Side::BOTH {
            let seen = observed.listings[side]
                .values()
                .chain(observed.strays[side].values());
            let accounts: BTreeSet<&AccountId> = seen
                .map(|worklog| &worklog.content.author)
                .filter(|account| rules.mapped(side, account).is_none())
                .collect();
            let accounts: Vec<AccountId> = accounts.into_iter().cloned().collect();
            let (from, to) = (&connection.sites[side], &connection.sites[side.other()]);
            // What was once found goes on being said, or a text would change when a look-up grows old. Only
            // somebody who was not found is looked for again, when there is something of theirs to write; at once when
            // a person asked for another attempt, since access may have been given a moment ago.
            let wanted: BTreeSet<AccountId> = self.unwritten_authors(observed, side);
            for person in self.store.people(from, to, &accounts, Timestamp::MIN).await? {
                let old = observed.force || person.expires <= observed.now;
                let again = person.other.is_none() && old && wanted.contains(&person.account);
                let person = if again {
                    match self
                        .look_up_person(connection, side, &person.account, Taken::NotBefore, lane)
                        .await
                    {
                        Ok(person) => person,
                        // Not being told who somebody is must not hold up everybody else.
                        Err(error) if error.is_refusal() => person,
                        Err(error) => return Err(error),
                    }
                } else {
                    person
                };
                let known = Person {
                    other: person.other,
                    display_name: person.display_name,
                };
                observed.lookups.people[side].insert(person.account, known);
            }
        }
        let mapped_attribute_in_use = Side::BOTH.into_iter().any(|side| {
            observed.listings[side].values().any(|worklog| {
                rules
                    .attributes
                    .iter()
                    .any(|rule| worklog.content.attributes.contains_key(&rule.keys[side]))
            })
        });
        // What they are set to may be written as people see it, and not every worklog is to have them.
        let are_set = Side::BOTH
            .into_iter()
            .any(|side| !rules.defaults[side].is_empty());
        if !mapped_attribute_in_use && !are_set {
            return Ok(());
        }
        // Whether a value was cleared or its attribute removed is asked of the site as it is now.
        let since = emptied(observed, rules).then_some(observed.now - SignedDuration::from_secs(1));
        let (a, b) = try_join!(
            self.attribute_definitions(connection, Side::A, since, lane),
            self.attribute_definitions(connection, Side::B, since, lane)
        )?;
        let definitions = Sides::new(a, b);
        observed.lookups.defined = Sides::from_fn(|side| {
            let keys = definitions[side]
                .iter()
                .map(|one| (one.key.clone(), one.required));
            Some(keys.collect())
        });
        observed.lookups.names = definitions.map(|_, definitions| {
            definitions
                .into_iter()
                .filter(|one| !one.names.is_empty())
                .map(|one| (one.key, one.names))
                .collect()
        });
        Ok(())
    }

    /// The authors of a side's worklogs that have no twin yet.
    fn unwritten_authors(&self, observed: &Observed, side: Side) -> BTreeSet<AccountId> {
        let twinned: BTreeSet<WorklogId> = observed
            .pairs
            .iter()
            .filter(|pair| pair.ids[side.other()].is_some() || pair.state != PairState::Live)
            .filter_map(|pair| pair.ids[side])
            .collect();
        observed.listings[side]
            .values()
            .filter(|worklog| !twinned.contains(&worklog.id))
            .map(|worklog| worklog.content.author.clone())
            .collect()
    }
}

/// Says whether a worklog has lost a mapped attribute since both sides agreed. One that waits for that reason counts, too:
/// another process may know the attribute from before, and would clear what waits.
fn emptied(observed: &Observed, rules: &Rules) -> bool {
    let mut live = observed.pairs.iter().filter(|pair| pair.state == PairState::Live);
    live.any(|pair| {
        let Some(base) = &pair.base else { return false };
        Side::BOTH.into_iter().any(|side| {
            let listed = pair.ids[side].and_then(|id| observed.listings[side].get(&id));
            listed.is_some_and(|worklog| {
                let has = |content: &Content, key: &String| content.attributes.contains_key(key);
                let mut keys = rules.attributes.iter().map(|rule| &rule.keys[side]);
                keys.any(|key| has(&base[side], key) && !has(&worklog.content, key))
            })
        })
    })
}
