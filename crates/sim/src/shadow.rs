//! Jira's worklogs, and the feeds that tell of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use crate::worklog::JiraWorklog;

/// All Jira worklogs of a site.
#[derive(Debug, Default)]
pub(crate) struct JiraBook {
    worklogs: BTreeMap<u64, JiraWorklog>,
    by_issue: HashMap<u64, BTreeSet<u64>>,
    /// Kept as a sum: it is asked for at each change, and an issue may hold ten thousand worklogs.
    secs: HashMap<u64, i64>,
    updated: BTreeSet<(i64, u64)>,
    deleted: BTreeSet<(i64, u64)>,
}

impl JiraBook {
    pub(crate) fn put(&mut self, worklog: JiraWorklog) {
        let id = worklog.id;
        self.updated.insert((worklog.updated.as_millisecond(), id));
        self.by_issue.entry(worklog.issue).or_default().insert(id);
        *self.secs.entry(worklog.issue).or_default() += worklog.time_spent_secs;
        let updated = worklog.updated;
        if let Some(old) = self.worklogs.insert(id, worklog) {
            *self.secs.entry(old.issue).or_default() -= old.time_spent_secs;
            if old.updated.as_millisecond() != updated.as_millisecond() {
                self.updated.remove(&(old.updated.as_millisecond(), id));
            }
        }
    }

    pub(crate) fn remove(&mut self, at: Timestamp, id: u64) -> Option<JiraWorklog> {
        let old = self.worklogs.remove(&id)?;
        self.updated.remove(&(old.updated.as_millisecond(), id));
        *self.secs.entry(old.issue).or_default() -= old.time_spent_secs;
        if let Some(ids) = self.by_issue.get_mut(&old.issue) {
            ids.remove(&id);
        }
        self.deleted.insert((at.as_millisecond(), id));
        Some(old)
    }

    pub(crate) fn get(&self, id: u64) -> Option<&JiraWorklog> {
        self.worklogs.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut JiraWorklog> {
        self.worklogs.get_mut(&id)
    }

    pub(crate) fn of_issue(&self, issue: u64) -> impl Iterator<Item = &JiraWorklog> {
        self.by_issue
            .get(&issue)
            .into_iter()
            .flatten()
            .filter_map(|id| self.worklogs.get(id))
    }

    pub(crate) fn count_of_issue(&self, issue: u64) -> usize {
        self.by_issue.get(&issue).map_or(0, BTreeSet::len)
    }

    pub(crate) fn secs_of_issue(&self, issue: u64) -> i64 {
        self.secs.get(&issue).copied().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &JiraWorklog> {
        self.worklogs.values()
    }

    /// Returns changes in `since..=until` in milliseconds, oldest first.
    pub(crate) fn updated_between(&self, since: i64, until: i64) -> impl Iterator<Item = (i64, u64)> {
        self.updated
            .range((since, 0)..=(until.max(since), u64::MAX))
            .copied()
    }

    /// Returns deletes in `since..=until` in milliseconds, oldest first.
    pub(crate) fn deleted_between(&self, since: i64, until: i64) -> impl Iterator<Item = (i64, u64)> {
        self.deleted
            .range((since, 0)..=(until.max(since), u64::MAX))
            .copied()
    }
}
