//! What one process remembers to spare itself reads. Losing it costs requests, never correctness.

use std::collections::BTreeMap;
use std::sync::Mutex;

use jiff::Timestamp;
use jiff::civil::Date;
use tandem_core::{ConnectionName, SiteName};

use crate::ports::site::AttributeDefinition;
use crate::ports::store::SiteState;

#[derive(Default)]
pub(crate) struct Memory {
    since: Mutex<BTreeMap<ConnectionName, Date>>,
    sites: Mutex<BTreeMap<SiteName, (Timestamp, SiteState)>>,
    attributes: Mutex<BTreeMap<SiteName, (Timestamp, Vec<AttributeDefinition>)>>,
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

    pub(crate) fn site(&self, site: &SiteName, newer_than: Timestamp) -> Option<SiteState> {
        locked(&self.sites)
            .get(site)
            .filter(|(at, _)| *at > newer_than)
            .map(|(_, state)| state.clone())
    }

    pub(crate) fn set_site(&self, site: &SiteName, now: Timestamp, state: &SiteState) {
        locked(&self.sites).insert(site.clone(), (now, state.clone()));
    }

    pub(crate) fn attributes(
        &self,
        site: &SiteName,
        newer_than: Timestamp,
    ) -> Option<Vec<AttributeDefinition>> {
        locked(&self.attributes)
            .get(site)
            .filter(|(at, _)| *at > newer_than)
            .map(|(_, list)| list.clone())
    }

    pub(crate) fn set_attributes(&self, site: &SiteName, now: Timestamp, list: &[AttributeDefinition]) {
        locked(&self.attributes).insert(site.clone(), (now, list.to_vec()));
    }
}
