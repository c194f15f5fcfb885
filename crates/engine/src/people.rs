//! Who somebody is on the other site.
//!
//! The explicit map and an equal account id need no look-up. Only when a site refuses an author is it asked
//! who they are: by account, then by visible e-mail. Never by display name.

use jiff::{SignedDuration, Timestamp};
use tandem_core::{AccountId, Side};
use tracing::info;

use crate::error::EngineError;
use crate::options::{Connection, Engine};
use crate::ports::site::AttributeDefinition;
use crate::ports::store::{Lane, PersonRow};

/// How long a look-up that found somebody is good for; nobody found is looked up again with each parked retry.
const FOUND_FOR: SignedDuration = SignedDuration::from_hours(24);

/// How long attribute definitions are good for.
const DEFINITIONS_FOR: SignedDuration = SignedDuration::from_hours(1);

impl Engine {
    /// Looks up the account that a person of one side has on the other, and remembers it.
    ///
    /// Returns the person as now known. `is_refused` says that the other site has refused them as an author.
    pub(crate) async fn look_up_person(
        &self,
        connection: &Connection,
        from: Side,
        account: &AccountId,
        is_refused: bool,
        lane: Lane,
    ) -> Result<PersonRow, EngineError> {
        let (here, there) = (
            self.site_of(connection, from)?,
            self.site_of(connection, from.other())?,
        );
        let now = self.clock.now();
        // What a person has said is not looked up: a site that refuses it all the same has another reason.
        let said = self
            .store
            .people(
                &here.name,
                &there.name,
                std::slice::from_ref(account),
                Timestamp::MIN,
            )
            .await?;
        if let Some(row) = said.iter().find(|row| crate::operator::is_assigned(row)) {
            return Ok(row.clone());
        }
        let name = said.into_iter().find_map(|row| row.display_name);
        // Who may not look people up still has been told that the site does not take this one.
        let unless_refused = |answer| match answer {
            Err(error) if is_refused && EngineError::is_refused(&error) => Ok(None),
            answer => answer,
        };
        let same = self
            .call(there, lane, async |client| client.user(account).await)
            .await;
        let same = unless_refused(same)?;
        let mut person = PersonRow {
            account: account.clone(),
            other: None,
            display_name: name,
            expires: now + FOUND_FOR,
        };
        if let Some(user) = same.filter(|user| user.active) {
            person.other = Some(account.clone());
            person.display_name = Some(user.display_name);
        } else if let Some(original) = unless_refused(
            self.call(here, lane, async |client| client.user(account).await)
                .await,
        )? {
            person.display_name = Some(original.display_name);
            if let Some(email) = original.email.filter(|email| !email.is_empty()) {
                let found = self
                    .call(there, lane, async |client| client.users_by_email(&email).await)
                    .await?;
                let mut active = found.into_iter().filter(|user| user.active);
                // Two accounts with one address would be a guess.
                if let (Some(user), None) = (active.next(), active.next()) {
                    person.other = Some(user.account_id);
                }
            }
        }
        if person.other.is_none() {
            person.expires = now + crate::gate::signed(self.options.park_retry);
        }
        info!(site.name = %there.name, person.found = person.other.is_some(), "Looked up an author on {}", there.name);
        self.store.put_person(&here.name, &there.name, &person).await?;
        if let Some(other) = &person.other
            && *other != person.account
        {
            let back = PersonRow {
                account: other.clone(),
                other: Some(account.clone()),
                ..person.clone()
            };
            self.store.put_person(&there.name, &here.name, &back).await?;
        }
        Ok(person)
    }

    /// Returns a site's work attributes: from memory, from the table, or from the site. Not as they were before `since`, where
    /// that is told.
    pub(crate) async fn attribute_definitions(
        &self,
        connection: &Connection,
        side: Side,
        since: Option<Timestamp>,
        lane: Lane,
    ) -> Result<Vec<AttributeDefinition>, EngineError> {
        let site = self.site_of(connection, side)?;
        let now = self.clock.now();
        let since = since.unwrap_or(now - DEFINITIONS_FOR);
        if let Some(known) = self.memory.attributes(&site.name, since) {
            return Ok(known);
        }
        let note = format!("attributes:{}", site.name);
        let fresh = since.as_second();
        if let Some(text) = self.store.note(&note).await?
            && let Ok((at, known)) = serde_json::from_str::<(i64, Vec<AttributeDefinition>)>(&text)
            && at > fresh
        {
            self.memory.set_attributes(&site.name, now, &known);
            return Ok(known);
        }
        let known = self
            .call(site, lane, async |client| client.attributes().await)
            .await?;
        if let Ok(text) = serde_json::to_string(&(now.as_second(), &known)) {
            self.store.put_note(&note, &text).await?;
        }
        self.memory.set_attributes(&site.name, now, &known);
        Ok(known)
    }
}
