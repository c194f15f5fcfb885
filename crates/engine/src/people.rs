//! Who somebody is on the other site.
//!
//! The explicit map and an equal account id need no look-up. Only when a site refuses an author is it asked
//! who they are: by account, then by visible e-mail. Never by display name.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tandem_core::{AccountId, Side};
use tracing::info;

use crate::error::EngineError;
use crate::memory::Kept;
use crate::options::{Connection, Engine, Site};
use crate::ports::site::{AttributeDefinition, SiteRules, User};
use crate::ports::store::{Lane, PersonRow};

/// How long a look-up that found somebody is good for; nobody found is looked up again with each parked retry.
const FOUND_FOR: SignedDuration = SignedDuration::from_hours(24);

/// How long attribute definitions and a site's rules are good for.
const DEFINITIONS_FOR: SignedDuration = SignedDuration::from_hours(1);

/// Attribute definitions that are read at most.
const DEFINITIONS_MAX: u64 = 10_000;

/// What is known of whether a site takes somebody as an author.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Nothing was tried, or what it said of a write has other reasons.
    Untold,
    /// It did not, or did not some time ago: it may by now.
    NotBefore,
    /// It has just refused the account of the same id, and there is another one to log the time under.
    NotNow,
}

impl Engine {
    /// Looks up the account that a person of one side has on the other, and remembers it.
    ///
    /// Returns the person as now known. An account that the other site has just refused as an author is nobody's there: it may
    /// lack a licence, say. That is not remembered, since it may be so of one project alone.
    pub(crate) async fn look_up_person(
        &self,
        connection: &Connection,
        from: Side,
        account: &AccountId,
        taken: Taken,
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
            Err(error) if taken != Taken::Untold && EngineError::is_refused(&error) => Ok(None),
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
        if let Some(user) = same.filter(|user| user.active && taken != Taken::NotNow) {
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
                let may_be =
                    |user: &User| user.active && (taken != Taken::NotNow || user.account_id != *account);
                let mut active = found.into_iter().filter(may_be);
                // Two accounts with one address would be a guess.
                if let (Some(user), None) = (active.next(), active.next()) {
                    person.other = Some(user.account_id);
                }
            }
        }
        if person.other.is_none() {
            person.expires = now + crate::gate::signed(self.options.park_retry);
        }
        if taken == Taken::NotNow {
            return Ok(person);
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
        let since = since.unwrap_or(self.clock.now() - DEFINITIONS_FOR);
        let ask = async || {
            let mut known = Vec::new();
            let mut offset = 0;
            while offset < DEFINITIONS_MAX {
                let page = self
                    .call(site, lane, async |client| client.attributes(offset).await)
                    .await?;
                known.extend(page.rows);
                match page.next {
                    Some(next) if next > offset => offset = next,
                    _ => break,
                }
            }
            Ok(known)
        };
        self.remembered(&self.memory.attributes, "attributes", site, since, ask)
            .await
    }

    /// Says whether a site shows no start times but one of its own. One that does not tell shows them.
    pub(crate) async fn is_timeless(
        &self,
        connection: &Connection,
        side: Side,
        lane: Lane,
    ) -> Result<bool, EngineError> {
        let site = self.site_of(connection, side)?;
        let since = self.clock.now() - DEFINITIONS_FOR;
        let ask = async || match self.call(site, lane, async |client| client.rules().await).await {
            Err(error) if error.is_refusal() => Ok(SiteRules {
                start_and_end_times: true,
                ..SiteRules::default()
            }),
            told => told,
        };
        let rules = self
            .remembered(&self.memory.rules, "rules", site, since, ask)
            .await?;
        Ok(!rules.start_and_end_times)
    }

    /// Returns what a site says of itself: from memory, from the table, or from the site, but not as it was before `since`.
    async fn remembered<T: Clone + Serialize + DeserializeOwned>(
        &self,
        kept: &Kept<T>,
        what: &str,
        site: &Site,
        since: Timestamp,
        ask: impl AsyncFnOnce() -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        if let Some(known) = kept.get(&site.name, since) {
            return Ok(known);
        }
        let now = self.clock.now();
        let note = format!("{what}:{}", site.name);
        if let Some(text) = self.store.note(&note).await?
            && let Ok((at, known)) = serde_json::from_str::<(i64, T)>(&text)
            && at > since.as_second()
        {
            kept.set(&site.name, now, &known);
            return Ok(known);
        }
        let known = ask().await?;
        if let Ok(text) = serde_json::to_string(&(now.as_second(), &known)) {
            self.store.put_note(&note, &text).await?;
        }
        kept.set(&site.name, now, &known);
        Ok(known)
    }
}
