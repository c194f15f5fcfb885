//! People at work: what they do in Tempo's and Jira's own screens.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::delivery::Flow;
use crate::handle::SiteHandle;
use crate::site::Site;
use crate::worklog::{Content, JiraWorklog};

/// Why a site didn't let a person do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such issue.
    #[error("there is no such issue")]
    NoIssue,
    /// There is no such project.
    #[error("there is no such project")]
    NoProject,
    /// There is no such worklog.
    #[error("there is no such worklog")]
    NoWorklog,
    /// There is no such person on the site.
    #[error("there is no such person on the site")]
    NoPerson,
    /// The day lies in a closed period.
    #[error("the period is closed")]
    PeriodClosed,
}

impl Site {
    fn issue_id(&self, id_or_key: &str) -> Result<u64, Refused> {
        self.find_issue(id_or_key)
            .map(|issue| issue.id)
            .ok_or(Refused::NoIssue)
    }

    fn person(&self, account_id: &str) -> Result<(), Refused> {
        if self.users.contains_key(account_id) {
            Ok(())
        } else {
            Err(Refused::NoPerson)
        }
    }

    fn open(&self, date: Date) -> Result<(), Refused> {
        if self.closed(date) {
            Err(Refused::PeriodClosed)
        } else {
            Ok(())
        }
    }
}

/// In Tempo's screens. Issues are named by key or id, people by account id.
impl SiteHandle {
    /// Logs time; returns Tempo's id of the worklog.
    pub fn log_time(&self, issue: &str, content: Content) -> Result<u64, Refused> {
        self.act(|site, now| {
            let issue = site.issue_id(issue)?;
            site.person(&content.author)?;
            site.open(content.start_date)?;
            let actor = content.author.clone();
            Ok(site.tempo_create(now, &actor, issue, content))
        })
    }

    /// Edits a worklog as its author.
    pub fn edit(&self, id: u64, change: impl FnOnce(&mut Content)) -> Result<(), Refused> {
        let author = self.worklog(id).ok_or(Refused::NoWorklog)?.author.clone();
        self.edit_as(&author, id, change)
    }

    /// Edits a worklog as somebody.
    pub fn edit_as(&self, actor: &str, id: u64, change: impl FnOnce(&mut Content)) -> Result<(), Refused> {
        self.act(|site, now| {
            site.person(actor)?;
            let mut content = site.ledger.get(id).ok_or(Refused::NoWorklog)?.content.clone();
            site.open(content.start_date)?;
            change(&mut content);
            site.open(content.start_date)?;
            site.tempo_update(now, actor, id, content);
            Ok(())
        })
    }

    /// Deletes a worklog as its author.
    pub fn delete(&self, id: u64) -> Result<(), Refused> {
        let author = self.worklog(id).ok_or(Refused::NoWorklog)?.author.clone();
        self.delete_as(&author, id)
    }

    /// Deletes a worklog as somebody.
    pub fn delete_as(&self, actor: &str, id: u64) -> Result<(), Refused> {
        self.act(|site, now| {
            site.person(actor)?;
            let date = site.ledger.get(id).ok_or(Refused::NoWorklog)?.start_date;
            site.open(date)?;
            site.tempo_delete(now, actor, id, Flow::Primary);
            Ok(())
        })
    }

    /// Moves a worklog to another issue as its author: Tempo's id stays, Jira's is new.
    pub fn move_to_issue(&self, id: u64, issue: &str) -> Result<(), Refused> {
        self.act(|site, now| {
            let issue = site.issue_id(issue)?;
            let old = site.ledger.get(id).cloned().ok_or(Refused::NoWorklog)?;
            site.open(old.start_date)?;
            site.tempo_move(now, &old.author, id, issue);
            Ok(())
        })
    }

    /// Deletes all worklogs dated before a day, as a data retention rule does; returns how many.
    ///
    /// The audit trail and the webhooks name whoever changed each worklog last.
    pub fn retention_purge(&self, before: Date) -> usize {
        self.act(|site, now| {
            let old: Vec<(u64, String)> = site
                .ledger
                .current()
                .filter(|worklog| worklog.start_date < before)
                .map(|worklog| (worklog.id, worklog.updater.clone()))
                .collect();
            for (id, updater) in &old {
                site.tempo_delete(now, updater, *id, Flow::Secondary);
            }
            old.len()
        })
    }
}

/// In Jira's own screens. Tempo sees it after the site's lag.
impl SiteHandle {
    /// Logs time in Jira, where the person stays the author; returns Jira's id of the worklog.
    pub fn jira_log_time(
        &self,
        issue: &str,
        author: &str,
        started: Timestamp,
        secs: i64,
        comment: &str,
    ) -> Result<u64, Refused> {
        self.act(|site, now| {
            let issue = site.issue_id(issue)?;
            site.person(author)?;
            Ok(site.jira_create(
                now,
                JiraWorklog {
                    id: 0,
                    issue,
                    author: author.to_owned(),
                    update_author: author.to_owned(),
                    comment: Some(comment.to_owned()).filter(|text| !text.is_empty()),
                    started,
                    time_spent_secs: secs,
                    created: now,
                    updated: now,
                    properties: BTreeMap::new(),
                },
            ))
        })
    }

    /// Edits a worklog in Jira; `actor` becomes who changed it last.
    pub fn jira_edit(
        &self,
        actor: &str,
        jira_id: u64,
        change: impl FnOnce(&mut JiraWorklog),
    ) -> Result<(), Refused> {
        self.act(|site, now| {
            site.person(actor)?;
            let old = site.jira.get(jira_id).cloned().ok_or(Refused::NoWorklog)?;
            let mut worklog = old.clone();
            change(&mut worklog);
            // What no screen lets anybody change.
            let worklog = JiraWorklog {
                id: old.id,
                issue: old.issue,
                author: old.author,
                created: old.created,
                updated: now,
                update_author: actor.to_owned(),
                ..worklog
            };
            site.jira_update(now, worklog);
            Ok(())
        })
    }

    /// Deletes a worklog in Jira.
    pub fn jira_delete(&self, jira_id: u64) -> Result<(), Refused> {
        self.act(|site, now| {
            site.jira.get(jira_id).ok_or(Refused::NoWorklog)?;
            site.jira_delete(now, jira_id, Flow::Primary);
            Ok(())
        })
    }

    /// Deletes a worklog as Jira's bulk API does: no webhook tells of it, and Tempo keeps an orphan.
    pub fn jira_bulk_delete(&self, jira_id: u64) -> Result<(), Refused> {
        self.act(|site, now| site.orphan(now, jira_id).ok_or(Refused::NoWorklog))
    }

    /// Moves an issue to another project; returns its new key. The id stays, the old key still leads to it.
    pub fn jira_move_issue(&self, actor: &str, issue: &str, project: &str) -> Result<String, Refused> {
        self.act(|site, now| {
            let issue = site.issue_id(issue)?;
            site.rename_issue(now, actor, issue, project)
                .ok_or(Refused::NoProject)
        })
    }

    /// Deletes an issue with all its worklogs.
    pub fn delete_issue(&self, actor: &str, issue: &str) -> Result<(), Refused> {
        self.act(|site, now| {
            let issue = site.issue_id(issue)?;
            site.remove_issue(now, actor, issue);
            Ok(())
        })
    }
}
