//! What a change to a worklog does to a site: the ledger, Jira's shadow, the audit trail and the webhooks.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use jiff::Timestamp;
use serde_json::json;

use crate::delivery::Flow;
use crate::journal::LedgerChange;
use crate::papertrail::{Action, Change, Trace};
use crate::site::{PendingSync, Site, take};
use crate::worklog::{Content, JiraWorklog, Worklog};

impl Site {
    /// Makes a worklog in Tempo; Tempo's app writes the shadow to Jira.
    pub(crate) fn tempo_create(&mut self, now: Timestamp, actor: &str, issue: u64, content: Content) -> u64 {
        let id = take(&mut self.ids.worklog);
        let jira_id = self.cast_shadow(now, id, issue, &content);
        let worklog = Worklog {
            id,
            jira_id: Some(jira_id),
            issue,
            updater: actor.to_owned(),
            created_at: now,
            updated_at: now,
            content,
        };
        self.trace(now, actor, Action::Created, &worklog, Vec::new());
        self.tempo_event(now, "worklog.created", actor, &worklog);
        self.note(now, None, Some(&worklog));
        self.ledger.put(now, worklog);
        id
    }

    /// Edits a worklog in Tempo.
    pub(crate) fn tempo_update(&mut self, now: Timestamp, actor: &str, id: u64, content: Content) {
        let Some(old) = self.ledger.get(id).cloned() else {
            return;
        };
        let worklog = Worklog {
            updater: actor.to_owned(),
            updated_at: now,
            content,
            ..Worklog::clone(&old)
        };
        self.trace(now, actor, Action::Updated, &worklog, differences(&old, &worklog));
        self.tempo_event(now, "worklog.updated", actor, &worklog);
        if let Some(jira_id) = worklog.jira_id {
            self.redraw_shadow(now, jira_id, &worklog.content);
        }
        self.note(now, Some(&old), Some(&worklog));
        self.ledger.put(now, worklog);
    }

    /// Moves a worklog to another issue in Tempo: its id stays, the shadow is a new Jira worklog.
    pub(crate) fn tempo_move(&mut self, now: Timestamp, actor: &str, id: u64, issue: u64) {
        let Some(old) = self.ledger.get(id).cloned() else {
            return;
        };
        if let Some(jira_id) = old.jira_id {
            self.jira_remove(now, jira_id, Flow::Primary);
        }
        let jira_id = self.cast_shadow(now, id, issue, &old.content);
        let worklog = Worklog {
            jira_id: Some(jira_id),
            issue,
            updater: actor.to_owned(),
            updated_at: now,
            ..Worklog::clone(&old)
        };
        self.trace(now, actor, Action::Updated, &worklog, differences(&old, &worklog));
        self.tempo_event(now, "worklog.updated", actor, &worklog);
        self.note(now, Some(&old), Some(&worklog));
        self.ledger.put(now, worklog);
    }

    /// Deletes a worklog in Tempo and its shadow in Jira.
    pub(crate) fn tempo_delete(&mut self, now: Timestamp, actor: &str, id: u64, flow: Flow) {
        let Some(old) = self.ledger.get(id).cloned() else {
            return;
        };
        self.trace(now, actor, Action::Deleted, &old, Vec::new());
        self.forget_in_tempo(now, actor, &old);
        if let Some(jira_id) = old.jira_id {
            self.jira_remove(now, jira_id, flow);
        }
    }

    fn forget_in_tempo(&mut self, now: Timestamp, actor: &str, old: &Worklog) {
        // The last state, with the moment of the delete: Tempo's own example has all three times alike.
        let last = Worklog {
            updated_at: now,
            ..old.clone()
        };
        self.tempo_event(now, "worklog.deleted", actor, &last);
        self.note(now, Some(old), None);
        self.ledger.remove(now, old.id);
    }

    /// Enters a change into the journal, where one is kept.
    fn note(&mut self, at: Timestamp, before: Option<&Worklog>, after: Option<&Worklog>) {
        if let Some(journal) = &self.journal {
            let change = LedgerChange {
                at,
                site: self.spec.name.clone(),
                client: self.client.clone(),
                before: before.cloned(),
                after: after.cloned(),
            };
            journal
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(change);
        }
    }

    /// Makes a worklog in Jira's own screen or API; Tempo sees it later.
    pub(crate) fn jira_create(&mut self, now: Timestamp, mut worklog: JiraWorklog) -> u64 {
        worklog.id = take(&mut self.ids.jira_worklog);
        let id = worklog.id;
        self.jira_event(now, "worklog_created", &worklog, Flow::Primary);
        self.jira.put(worklog);
        self.tempo_will_look(now, id);
        id
    }

    /// Edits a worklog in Jira's own screen or API; Tempo sees it later.
    pub(crate) fn jira_update(&mut self, now: Timestamp, worklog: JiraWorklog) {
        let id = worklog.id;
        self.jira_event(now, "worklog_updated", &worklog, Flow::Primary);
        self.jira.put(worklog);
        self.tempo_will_look(now, id);
    }

    /// Deletes a worklog in Jira's own screen or API; Tempo sees it later.
    pub(crate) fn jira_delete(&mut self, now: Timestamp, id: u64, flow: Flow) {
        self.jira_remove(now, id, flow);
        self.tempo_will_look(now, id);
    }

    /// Takes a Jira worklog away behind Tempo's back.
    pub(crate) fn orphan(&mut self, now: Timestamp, jira_id: u64) -> Option<()> {
        self.jira.remove(now, jira_id)?;
        if let Some(old) = self.ledger.id_of_jira(jira_id).and_then(|id| self.ledger.get(id)) {
            let orphan = Worklog {
                jira_id: None,
                ..Worklog::clone(old)
            };
            self.ledger.put(now, orphan);
        }
        Some(())
    }

    fn jira_remove(&mut self, now: Timestamp, id: u64, flow: Flow) {
        if let Some(old) = self.jira.remove(now, id) {
            self.jira_event(now, "worklog_deleted", &old, flow);
        }
    }

    fn tempo_will_look(&mut self, now: Timestamp, jira_id: u64) {
        self.pending.insert(PendingSync {
            due: now + self.spec.jira_to_tempo_lag,
            jira_id,
        });
    }

    /// Lets Tempo see what was done in Jira until its lag before now.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        while let Some(&next) = self.pending.first()
            && next.due <= now
        {
            self.pending.pop_first();
            self.sync_from_jira(next.due, next.jira_id);
        }
    }

    /// Brings one Jira worklog into Tempo, by what it is now rather than by what happened to it.
    fn sync_from_jira(&mut self, now: Timestamp, jira_id: u64) {
        let known = self
            .ledger
            .id_of_jira(jira_id)
            .and_then(|id| self.ledger.get(id).cloned());
        let Some(jira) = self.jira.get(jira_id).cloned() else {
            if let Some(old) = known {
                // Jira's webhook doesn't say who deleted; Tempo can name the worklog's author at best.
                let actor = old.author.clone();
                if self.spec.papertrail_tells_of_jira_deletes {
                    self.trace(now, &actor, Action::Deleted, &old, Vec::new());
                }
                self.told_from_jira(|site| site.forget_in_tempo(now, &actor, &old));
            }
            return;
        };
        let author = known
            .as_ref()
            .map_or_else(|| jira.author.clone(), |old| old.author.clone());
        let local = self.zone_of(&author).to_datetime(jira.started);
        let start = (
            local.date(),
            local
                .time()
                .with()
                .subsec_nanosecond(0)
                .build()
                .unwrap_or(local.time()),
        );
        match known {
            Some(old) => {
                let content = Content {
                    start_date: start.0,
                    start_time: start.1,
                    time_spent_secs: jira.time_spent_secs,
                    // Billable follows the time as long as nobody set it apart from it.
                    billable_secs: if old.billable_secs == old.time_spent_secs {
                        jira.time_spent_secs
                    } else {
                        old.billable_secs
                    },
                    // What had no text before and got none came without one long ago.
                    description: jira.comment.clone().or_else(|| {
                        let words = self.spec.default_text.clone();
                        words.filter(|_| old.description.is_some())
                    }),
                    ..old.content.clone()
                };
                if content == old.content {
                    return;
                }
                let worklog = Worklog {
                    updater: jira.update_author.clone(),
                    updated_at: now,
                    content,
                    ..Worklog::clone(&old)
                };
                self.trace(
                    now,
                    &jira.update_author,
                    Action::Updated,
                    &worklog,
                    differences(&old, &worklog),
                );
                self.told_from_jira(|site| {
                    site.tempo_event(now, "worklog.updated", &jira.update_author, &worklog);
                });
                self.note(now, Some(&old), Some(&worklog));
                self.ledger.put(now, worklog);
            }
            None => {
                let worklog = Worklog {
                    id: take(&mut self.ids.worklog),
                    jira_id: Some(jira_id),
                    issue: jira.issue,
                    updater: jira.author.clone(),
                    created_at: now,
                    updated_at: now,
                    content: Content {
                        author: jira.author.clone(),
                        start_date: start.0,
                        start_time: start.1,
                        time_spent_secs: jira.time_spent_secs,
                        billable_secs: jira.time_spent_secs,
                        description: jira.comment.clone().or_else(|| self.spec.default_text.clone()),
                        attributes: BTreeMap::new(),
                    },
                };
                self.trace(now, &jira.author, Action::Created, &worklog, Vec::new());
                self.told_from_jira(|site| {
                    site.tempo_event(now, "worklog.created", &jira.author, &worklog);
                });
                self.note(now, None, Some(&worklog));
                self.ledger.put(now, worklog);
            }
        }
    }

    /// Runs something with Tempo's webhooks silent, on a site where they don't tell of Jira's changes.
    fn told_from_jira(&mut self, act: impl FnOnce(&mut Self)) {
        let muted = std::mem::replace(
            &mut self.outbox.tempo_muted,
            !self.spec.tempo_tells_of_jira_changes,
        );
        act(self);
        self.outbox.tempo_muted = muted;
    }

    fn cast_shadow(&mut self, now: Timestamp, tempo_id: u64, issue: u64, content: &Content) -> u64 {
        let id = take(&mut self.ids.jira_worklog);
        let shadow = JiraWorklog {
            id,
            issue,
            author: self.spec.tempo_app.clone(),
            update_author: self.spec.tempo_app.clone(),
            comment: content.description.clone(),
            started: self.instant(&content.author, content.start_date, content.start_time),
            time_spent_secs: content.time_spent_secs,
            created: now,
            updated: now,
            properties: BTreeMap::from([("tempo".to_owned(), json!({"tempo_id": tempo_id}))]),
        };
        self.jira_event(now, "worklog_created", &shadow, Flow::Primary);
        self.jira.put(shadow);
        id
    }

    fn redraw_shadow(&mut self, now: Timestamp, jira_id: u64, content: &Content) {
        let Some(old) = self.jira.get(jira_id).cloned() else {
            return;
        };
        let shadow = JiraWorklog {
            update_author: self.spec.tempo_app.clone(),
            comment: content.description.clone(),
            started: self.instant(&content.author, content.start_date, content.start_time),
            time_spent_secs: content.time_spent_secs,
            updated: now,
            ..old
        };
        self.jira_event(now, "worklog_updated", &shadow, Flow::Primary);
        self.jira.put(shadow);
    }

    fn trace(&mut self, at: Timestamp, actor: &str, action: Action, worklog: &Worklog, changes: Vec<Change>) {
        self.papertrail.add(Trace {
            at,
            action,
            author: actor.to_owned(),
            worker: worklog.author.clone(),
            worklog: worklog.id,
            jira_id: worklog.jira_id,
            issue: worklog.issue,
            changes,
        });
    }

    /// Deletes an issue with all that is on it.
    pub(crate) fn remove_issue(&mut self, now: Timestamp, actor: &str, issue: u64) {
        for id in self.ledger.ids_of_issue(issue) {
            if self.ledger.get(id).is_some_and(|worklog| worklog.issue == issue) {
                self.tempo_delete(now, actor, id, Flow::Secondary);
            }
        }
        let left: Vec<u64> = self.jira.of_issue(issue).map(|worklog| worklog.id).collect();
        for id in left {
            self.jira_remove(now, id, Flow::Secondary);
        }
        self.issue_event(now, "jira:issue_deleted", issue, actor, &[]);
        if let Some(gone) = self.issues.remove(&issue) {
            self.keys.retain(|_, id| *id != gone.id);
        }
    }

    /// Moves an issue to another project: the id stays, the key changes, the old key still leads here.
    pub(crate) fn rename_issue(
        &mut self,
        now: Timestamp,
        actor: &str,
        issue: u64,
        project_key: &str,
    ) -> Option<String> {
        let project = self
            .projects
            .values_mut()
            .find(|project| project.key == project_key)?;
        let key = format!("{project_key}-{}", take(&mut project.next_number));
        let project = project.id;
        let moved = self.issues.get_mut(&issue)?;
        let old_key = std::mem::replace(&mut moved.key, key.clone());
        let old_project = std::mem::replace(&mut moved.project, project);
        moved.updated = now;
        self.keys.insert(key.clone(), issue);
        let project_key_of = |id: u64| self.projects.get(&id).map_or("", |p| p.key.as_str()).to_owned();
        let changes = [
            ("Key", old_key.clone(), key.clone(), None),
            (
                "project",
                project_key_of(old_project),
                project_key_of(project),
                Some((old_project.to_string(), project.to_string())),
            ),
        ];
        self.issue_event(now, "jira:issue_updated", issue, actor, &changes);
        Some(key)
    }
}

fn differences(old: &Worklog, new: &Worklog) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut note = |field, previous: Option<String>, new: Option<String>| {
        if previous != new {
            changes.push(Change { field, previous, new });
        }
    };
    note(
        "issueId",
        Some(old.issue.to_string()),
        Some(new.issue.to_string()),
    );
    note(
        "authorAccountId",
        Some(old.author.clone()),
        Some(new.author.clone()),
    );
    note(
        "startDate",
        Some(old.start_date.to_string()),
        Some(new.start_date.to_string()),
    );
    note(
        "startTime",
        Some(old.start_time.to_string()),
        Some(new.start_time.to_string()),
    );
    note(
        "timeSpentSeconds",
        Some(old.time_spent_secs.to_string()),
        Some(new.time_spent_secs.to_string()),
    );
    note(
        "billableSeconds",
        Some(old.billable_secs.to_string()),
        Some(new.billable_secs.to_string()),
    );
    note("description", old.description.clone(), new.description.clone());
    changes
}
