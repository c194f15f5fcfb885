//! What people are called, for whoever reads of them. It is asked for when it is shown and kept nowhere: not in the table,
//! not in memory beyond the command, not in a log.

use std::collections::{BTreeMap, BTreeSet};

use tandem_core::{AccountId, SiteName, render};

use crate::error::EngineError;
use crate::gate::Asking;
use crate::options::{Engine, Site};
use crate::ports::store::Lane;

/// People in one request.
const AT_ONCE: usize = 50;

/// What Jira shows for an account whose owner has closed it.
const NOBODY: &str = "Former user";

/// What came of asking a site what people are called.
#[derive(Debug, Default)]
pub struct Called {
    /// The names that it told.
    pub names: BTreeMap<AccountId, String>,
    /// Why it was not asked for all of them.
    pub error: Option<EngineError>,
}

impl Engine {
    /// Asks a site's Jira what people are called, fifty at a time. Whoever it does not know, or does not tell of, is left
    /// out. A paused site is not asked: its next probe is left to those who need an answer.
    pub async fn called(&self, site: &SiteName, accounts: &BTreeSet<AccountId>) -> Called {
        let mut called = Called::default();
        let Some(site) = self.sites.get(site) else {
            return called;
        };
        // That is nobody's account.
        let accounts = accounts.iter().filter(|one| one.as_str() != render::UNKNOWN_USER);
        let accounts: Vec<AccountId> = accounts.cloned().collect();
        for some in accounts.chunks(AT_ONCE) {
            match self.add_names(site, some, &mut called.names).await {
                // It may be about one of these, and the others are told.
                Err(error) if error.is_refused() => {}
                Err(error) => {
                    called.error = Some(error);
                    break;
                }
                Ok(()) => {}
            }
        }
        called
    }

    async fn add_names(
        &self,
        site: &Site,
        some: &[AccountId],
        names: &mut BTreeMap<AccountId, String>,
    ) -> Result<(), EngineError> {
        self.unpaused(site, None).await?;
        let mut offset = 0;
        while offset < AT_ONCE as u64 {
            let asking = Asking::patiently(Lane::Sweep);
            let page = self
                .ask(site, asking, async |client| client.users(some, offset).await)
                .await?;
            let told = page
                .rows
                .into_iter()
                .filter(|user| some.contains(&user.account_id));
            names.extend(
                told.filter(|user| user.active || user.display_name != NOBODY)
                    .map(|user| (user.account_id, user.display_name)),
            );
            match page.next {
                Some(next) if next > offset => offset = next,
                _ => break,
            }
        }
        Ok(())
    }
}
