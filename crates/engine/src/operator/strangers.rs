//! Whose time would wait, since the other site does not know them: told before anything is written.
//!
//! A run writes under the same account and asks who somebody is only when the site refuses it. Whoever looks ahead is not
//! to wait for that.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;
use tandem_core::plan::{Action, Step};
use tandem_core::rules::{Lookups, Rules};
use tandem_core::{AccountId, ConnectionName, Side, Sides};

use super::How;
use crate::error::EngineError;
use crate::options::{Connection, Engine};

/// Authors of a connection who are looked up at most, those with the most worklogs first: up to three requests each.
const LOOKED_UP_MAX: usize = 300;

/// How many worklogs would be made of those of whom nobody has asked yet whether the other site knows them: by the side that
/// they logged on.
pub type Guesses = Sides<BTreeMap<AccountId, usize>>;

/// Somebody whom the other site does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stranger {
    /// The connection.
    pub connection: ConnectionName,
    /// The side that they logged time on.
    pub side: Side,
    /// Their account there.
    pub account: AccountId,
    /// Their name on the screen there, where it was told.
    pub display_name: Option<String>,
    /// Worklogs of theirs that would be made, and would wait.
    pub creates: usize,
}

/// What came of asking who somebody is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strangers {
    /// Those who are not known, with the most worklogs first.
    pub found: Vec<Stranger>,
    /// How many nobody asked for, since there are too many or no answer came.
    pub not_asked: usize,
}

/// Returns the author of a worklog that would be made under their own account, if nobody has asked yet whether the other
/// site knows it.
pub(crate) fn guess(step: &Step, rules: &Rules, lookups: &Lookups) -> Option<(Side, AccountId)> {
    let Action::Create {
        side, source, body, ..
    } = &step.action
    else {
        return None;
    };
    let (from, author) = (side.other(), &source.author);
    let known = rules.mapped(from, author).is_some() || lookups.people[from].contains_key(author);
    // Under a fallback account nobody's time waits.
    let guessed = !known && body.author == *author && rules.fallback().is_none();
    guessed.then(|| (from, author.clone()))
}

impl Engine {
    /// Looks up those whom the other site may not know.
    ///
    /// # Errors
    /// When the table fails. A site that cannot be asked is no error: it refuses nobody.
    pub async fn strangers(
        &self,
        connection: &Connection,
        guesses: &Guesses,
    ) -> Result<Strangers, EngineError> {
        let mut all: Vec<(Side, &AccountId, usize)> = Vec::new();
        for side in Side::BOTH {
            let guessed = guesses[side].iter();
            all.extend(guessed.map(|(account, creates)| (side, account, *creates)));
        }
        all.sort_by_key(|(.., creates)| Reverse(*creates));
        let mut strangers = Strangers::default();
        for (asked, (side, account, creates)) in all.iter().copied().enumerate() {
            if asked == LOOKED_UP_MAX {
                strangers.not_asked = all.len() - asked;
                break;
            }
            match self.match_person(connection, side, account).await {
                Ok(person) if person.how == How::Nobody => strangers.found.push(Stranger {
                    connection: connection.name.clone(),
                    side,
                    account: account.clone(),
                    display_name: person.display_name,
                    creates,
                }),
                Ok(_) => {}
                Err(EngineError::Store(error)) => return Err(error.into()),
                Err(_) => {
                    strangers.not_asked = all.len() - asked;
                    break;
                }
            }
        }
        Ok(strangers)
    }
}
