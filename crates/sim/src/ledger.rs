//! Tempo's worklogs with every version they ever had.
//!
//! Past versions are kept because a listing may lag: it then shows the world as it was.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::worklog::Worklog;

/// How far listings run behind, for each kind of change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListingLag {
    /// How long a new worklog stays out of listings.
    pub create: Duration,
    /// How long listings show the state before an edit or a move.
    pub update: Duration,
    /// How long listings still show a deleted worklog.
    pub delete: Duration,
}

impl ListingLag {
    /// The same lag for every kind of change.
    pub fn all(lag: Duration) -> Self {
        Self {
            create: lag,
            update: lag,
            delete: lag,
        }
    }
}

#[derive(Debug, Clone)]
struct Version {
    at: Timestamp,
    /// `None` once deleted.
    state: Option<Arc<Worklog>>,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    histories: BTreeMap<u64, Vec<Version>>,
    /// Every worklog that ever was on the issue: a lagging list may still show it there.
    by_issue: HashMap<u64, BTreeSet<u64>>,
    /// Each worklog at its last change.
    by_change: BTreeSet<(Timestamp, u64)>,
    by_jira: HashMap<u64, u64>,
    day_totals: HashMap<(String, Date), i64>,
}

impl Ledger {
    /// Adds a worklog or a new version of it.
    pub(crate) fn put(&mut self, at: Timestamp, worklog: Worklog) {
        let id = worklog.id;
        self.forget_current(id);
        self.by_issue.entry(worklog.issue).or_default().insert(id);
        if let Some(jira_id) = worklog.jira_id {
            self.by_jira.insert(jira_id, id);
        }
        *self
            .day_totals
            .entry((worklog.author.clone(), worklog.start_date))
            .or_default() += worklog.time_spent_secs;
        self.push(
            id,
            Version {
                at,
                state: Some(Arc::new(worklog)),
            },
        );
    }

    /// Deletes a worklog; its past stays readable for lagging listings.
    pub(crate) fn remove(&mut self, at: Timestamp, id: u64) {
        self.forget_current(id);
        self.push(id, Version { at, state: None });
    }

    fn forget_current(&mut self, id: u64) {
        let Some(old) = self.get(id).cloned() else { return };
        if let Some(jira_id) = old.jira_id {
            self.by_jira.remove(&jira_id);
        }
        if let Some(total) = self.day_totals.get_mut(&(old.author.clone(), old.start_date)) {
            *total -= old.time_spent_secs;
        }
    }

    fn push(&mut self, id: u64, version: Version) {
        let history = self.histories.entry(id).or_default();
        if let Some(last) = history.last() {
            self.by_change.remove(&(last.at, id));
        }
        self.by_change.insert((version.at, id));
        history.push(version);
    }

    /// Returns the worklog as it is now.
    pub(crate) fn get(&self, id: u64) -> Option<&Arc<Worklog>> {
        self.histories.get(&id)?.last()?.state.as_ref()
    }

    /// Returns the worklog as a listing with this lag shows it.
    pub(crate) fn shown(&self, id: u64, now: Timestamp, lag: ListingLag) -> Option<&Arc<Worklog>> {
        let history = self.histories.get(&id)?;
        let first = history.first()?;
        if first.at + lag.create > now {
            return None;
        }
        for (index, version) in history.iter().enumerate().rev() {
            let lag = match (&version.state, index) {
                (None, _) => lag.delete,
                (Some(_), 0) => lag.create,
                (Some(_), _) => lag.update,
            };
            if version.at + lag <= now {
                return version.state.as_ref();
            }
        }
        None
    }

    /// Returns the Tempo id behind a Jira worklog.
    pub(crate) fn id_of_jira(&self, jira_id: u64) -> Option<u64> {
        self.by_jira.get(&jira_id).copied()
    }

    /// Returns the ids of all worklogs that are or ever were on the issue.
    pub(crate) fn ids_of_issue(&self, issue: u64) -> Vec<u64> {
        self.by_issue
            .get(&issue)
            .map(|ids| ids.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Returns the ids of all worklogs whose last change is not before the given moment.
    pub(crate) fn ids_changed_since(&self, since: Timestamp) -> Vec<u64> {
        self.by_change.range((since, 0)..).map(|&(_, id)| id).collect()
    }

    /// Returns the ids of all worklogs, deleted ones included.
    pub(crate) fn ids(&self) -> Vec<u64> {
        self.histories.keys().copied().collect()
    }

    /// Returns the worklogs that exist now, by id.
    pub(crate) fn current(&self) -> impl Iterator<Item = &Arc<Worklog>> {
        self.histories
            .values()
            .filter_map(|history| history.last()?.state.as_ref())
    }

    /// Returns the seconds a person has logged on a day.
    pub(crate) fn secs_on(&self, author: &str, date: Date) -> i64 {
        self.day_totals
            .get(&(author.to_owned(), date))
            .copied()
            .unwrap_or_default()
    }
}
