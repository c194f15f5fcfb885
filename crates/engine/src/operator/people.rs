//! Who somebody is on the other site, for people to see. Nothing is remembered of what is asked here.

use std::fmt;

use tandem_core::{AccountId, Side};

use crate::error::EngineError;
use crate::options::{Connection, Engine, Site};
use crate::ports::SiteClient;
use crate::ports::site::SiteError;
use crate::ports::store::Lane;

/// Requests of a look-up that are waited for when the site's slots are taken.
const WAITS_MAX: usize = 20;

/// How a person's account on the other site is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The map in the configuration names it.
    Map,
    /// It is remembered in the table: imported, or looked up before.
    Remembered,
    /// The same account is active there.
    SameAccount,
    /// Exactly one active account there shows the same e-mail address.
    Email,
    /// It is the account that stands for unknown authors.
    Fallback,
    /// It is not known.
    Nobody,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            How::Map => "map",
            How::Remembered => "the table",
            How::SameAccount => "account",
            How::Email => "e-mail",
            How::Fallback => "fallback",
            How::Nobody => "nothing",
        })
    }
}

/// A person of one side, and who they are on the other.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Matched {
    /// The account on this side.
    pub account: AccountId,
    /// Their name on the screen, where it was asked for.
    pub display_name: Option<String>,
    /// The account on the other side.
    pub other: Option<AccountId>,
    /// How it is known.
    pub how: How,
}

impl Engine {
    /// Finds a person's account on the other side as a run would, and says how. Up to three requests.
    ///
    /// # Errors
    /// When a site or the table fails.
    pub async fn match_person(
        &self,
        connection: &Connection,
        from: Side,
        account: &AccountId,
    ) -> Result<Matched, EngineError> {
        let (here, there) = (
            self.site_of(connection, from)?,
            self.site_of(connection, from.other())?,
        );
        let rules = &connection.settings.rules;
        let mut person = Matched {
            account: account.clone(),
            display_name: None,
            other: rules.mapped(from, account).cloned(),
            how: How::Map,
        };
        if person.other.is_some() {
            return Ok(person);
        }
        let known = self
            .store
            .people(
                &here.name,
                &there.name,
                std::slice::from_ref(account),
                self.clock.now(),
            )
            .await?;
        if let Some(row) = known.into_iter().find(|row| row.other.is_some()) {
            return Ok(Matched {
                display_name: row.display_name,
                other: row.other,
                how: How::Remembered,
                ..person
            });
        }
        if rules.fallback() == Some(account) {
            person.how = How::Fallback;
            return Ok(person);
        }
        let same = self
            .patiently(there, async |client| client.user(account).await)
            .await?;
        if let Some(user) = same.filter(|user| user.active) {
            return Ok(Matched {
                display_name: Some(user.display_name),
                other: Some(account.clone()),
                how: How::SameAccount,
                ..person
            });
        }
        person.how = How::Nobody;
        let original = self
            .patiently(here, async |client| client.user(account).await)
            .await?;
        let Some(original) = original else {
            return Ok(person);
        };
        person.display_name = Some(original.display_name);
        if let Some(email) = original.email.filter(|email| !email.is_empty()) {
            let found = self
                .patiently(there, async |client| client.users_by_email(&email).await)
                .await?;
            let mut active = found.into_iter().filter(|user| user.active);
            // Two accounts with one address would be a guess.
            if let (Some(user), None) = (active.next(), active.next()) {
                person.other = Some(user.account_id);
                person.how = How::Email;
            }
        }
        Ok(person)
    }

    /// Makes a call, and waits for its turn for as long as a person at a terminal would.
    async fn patiently<T>(
        &self,
        site: &Site,
        request: impl AsyncFn(&dyn SiteClient) -> Result<T, SiteError>,
    ) -> Result<T, EngineError> {
        let mut waits = 0;
        loop {
            match self.call(site, Lane::Live, &request).await {
                Err(EngineError::Deferred { until, .. }) if waits < WAITS_MAX => {
                    waits += 1;
                    self.sleep_until(until).await;
                }
                answer => return answer,
            }
        }
    }
}
