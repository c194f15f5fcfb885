//! Who somebody is on the other site, for people to see. Nothing is remembered of what is asked here.

use std::fmt;

use jiff::Timestamp;
use tandem_core::{AccountId, Side};

use crate::error::EngineError;
use crate::options::{Connection, Engine, Site};
use crate::ports::SiteClient;
use crate::ports::site::SiteError;
use crate::ports::store::{Lane, PersonRow};

/// How an account stands on a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its person can log time.
    Active,
    /// It has been, and what it logged is still there.
    Deactivated,
    /// The site knows none.
    Unknown,
}

/// How a person's account on the other site is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The map in the configuration names it.
    Map,
    /// A person said so, by an import.
    Import,
    /// It was looked up before.
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
            How::Import => "import",
            How::Remembered => "earlier look-up",
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

/// What came of saying who somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assigned {
    /// It is remembered from now on.
    New,
    /// It was said so before.
    Already,
    /// It cannot be, and why.
    Not(String),
}

/// Until when a row counts that a person wrote: for as long as the table can say. A look-up's row has a day.
const FOR_GOOD: &str = "9999-01-01T00:00:00Z";

fn for_good() -> Timestamp {
    FOR_GOOD.parse().unwrap_or(Timestamp::MAX)
}

/// Says whether a person wrote this row: it is not looked up again.
pub(crate) fn is_assigned(row: &PersonRow) -> bool {
    row.expires >= for_good()
}

impl Engine {
    /// Remembers that two accounts are the same person's, for good: before a look-up, after the configuration's map.
    /// What was said of either of them before counts no more. `of` names the sides whose account is said to be the other one:
    /// both, or the one that somebody has left, whose time goes to another who has their own.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn assign_person(
        &self,
        connection: &Connection,
        a: &AccountId,
        b: &AccountId,
        of: &[Side],
    ) -> Result<Assigned, EngineError> {
        let rules = &connection.settings.rules;
        let both = [(Side::A, a, b), (Side::B, b, a)];
        let meant = || both.into_iter().filter(|(side, ..)| of.contains(side));
        for (side, account, other) in meant() {
            if let Some(mapped) = rules.mapped(side, account).filter(|mapped| *mapped != other) {
                return Ok(Assigned::Not(format!(
                    "[connections.authors] map says that {account} is {mapped}, and goes before what is imported"
                )));
            }
        }
        let now = self.clock.now();
        let mut known = 0;
        for (side, account, other) in meant() {
            let (from, to) = (&connection.sites[side], &connection.sites[side.other()]);
            let rows = self
                .store
                .people(from, to, std::slice::from_ref(account), now)
                .await?;
            let row = rows.into_iter().find(is_assigned);
            match row.and_then(|row| row.other) {
                Some(before) if before == *other => known += 1,
                // Whoever it was taken for is somebody else now.
                Some(before) => self.forget_person(connection, side.other(), &before).await?,
                None => {}
            }
        }
        if known == of.len() {
            return Ok(Assigned::Already);
        }
        for (side, account, other) in meant() {
            let row = PersonRow {
                account: account.clone(),
                other: Some(other.clone()),
                display_name: None,
                expires: for_good(),
            };
            let (from, to) = (&connection.sites[side], &connection.sites[side.other()]);
            self.store.put_person(from, to, &row).await?;
        }
        Ok(Assigned::New)
    }

    /// Has a person looked up anew when next met.
    async fn forget_person(
        &self,
        connection: &Connection,
        side: Side,
        account: &AccountId,
    ) -> Result<(), EngineError> {
        let row = PersonRow {
            account: account.clone(),
            other: None,
            display_name: None,
            expires: self.clock.now(),
        };
        let (from, to) = (&connection.sites[side], &connection.sites[side.other()]);
        Ok(self.store.put_person(from, to, &row).await?)
    }

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
                how: if is_assigned(&row) {
                    How::Import
                } else {
                    How::Remembered
                },
                display_name: row.display_name,
                other: row.other,
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

    /// Asks a site about an account. One that it does not speak of is taken to be active.
    ///
    /// # Errors
    /// When the site cannot be asked.
    pub async fn standing(
        &self,
        connection: &Connection,
        side: Side,
        account: &AccountId,
    ) -> Result<Standing, EngineError> {
        let site = self.site_of(connection, side)?;
        match self
            .patiently(site, async |client| client.user(account).await)
            .await
        {
            Ok(None) => Ok(Standing::Unknown),
            Ok(Some(user)) if !user.active => Ok(Standing::Deactivated),
            Ok(Some(_)) => Ok(Standing::Active),
            Err(error) if error.is_refusal() => Ok(Standing::Active),
            Err(error) => Err(error),
        }
    }

    /// Makes a call, and waits for its turn for as long as a person at a terminal would.
    async fn patiently<T>(
        &self,
        site: &Site,
        request: impl AsyncFn(&dyn SiteClient) -> Result<T, SiteError>,
    ) -> Result<T, EngineError> {
        self.unhurried(async || self.call(site, Lane::Live, &request).await)
            .await
    }
}
