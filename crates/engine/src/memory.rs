//! What one process remembers to spare itself reads. Losing it costs requests, never correctness.

use std::collections::BTreeMap;
use std::sync::Mutex;

use jiff::Timestamp;
use jiff::civil::Date;
use tandem_core::{ConnectionName, SiteName};

use crate::ports::site::{AttributeDefinition, SiteRules};
use crate::ports::store::SiteState;

#[derive(Default)]
pub(crate) struct Memory {
    since: Mutex<BTreeMap<ConnectionName, Date>>,
    pub(crate) sites: Kept<SiteState>,
    pub(crate) attributes: Kept<Vec<AttributeDefinition>>,
    pub(crate) rules: Kept<SiteRules>,
}

/// What was asked of sites, and when.
pub(crate) struct Kept<T>(Mutex<BTreeMap<SiteName, (Timestamp, T)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Kept<T> {
    pub(crate) fn get(&self, site: &SiteName, newer_than: Timestamp) -> Option<T> {
        locked(&self.0)
            .get(site)
            .filter(|(at, _)| *at > newer_than)
            .map(|(_, known)| known.clone())
    }

    pub(crate) fn set(&self, site: &SiteName, now: Timestamp, known: &T) {
        locked(&self.0).insert(site.clone(), (now, known.clone()));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic elsewhere leaves at worst a missing entry.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Memory {
    pub(crate) fn since(&self, connection: &ConnectionName) -> Option<Date> {
        locked(&self.since).get(connection).copied()
    }

    pub(crate) fn set_since(&self, connection: &ConnectionName, since: Date) {
        locked(&self.since).insert(connection.clone(), since);
    }
}
