//! What the webhooks say.

use jiff::Timestamp;
use jiff::civil::Time;
use serde_json::{Value, json};

use crate::delivery::Flow;
use crate::fault::Vendor;
use crate::site::Site;
use crate::time::{iso_millis, jira_time, pretty};
use crate::worklog::{JiraWorklog, Worklog};

/// A field, its old and new text, and its old and new value where they differ from the text.
type IssueChange<'a> = (&'a str, String, String, Option<(String, String)>);

impl Site {
    /// The start time that Tempo shows: a fixed one where start and end times are off.
    pub(crate) fn shown_start(&self, worklog: &Worklog) -> Time {
        match self.spec.configuration.start_times_enabled {
            true => worklog.start_time,
            false => self.spec.default_start_time,
        }
    }

    /// Tells Tempo's subscribers; there is no attribute, no key and no Jira id in it.
    pub(crate) fn tempo_event(&mut self, now: Timestamp, event: &str, actor: &str, worklog: &Worklog) {
        let mut payload = json!({
            "author": {"accountId": worklog.author},
            "updater": {"accountId": actor},
            "billableSeconds": worklog.billable_secs,
            "createdAt": iso_millis(worklog.created_at),
            "issue": {"id": worklog.issue},
            "startDate": worklog.start_date.to_string(),
            "startTime": self.shown_start(worklog).strftime("%H:%M:%S").to_string(),
            "tempoWorklogId": worklog.id,
            "timeSpentSeconds": worklog.time_spent_secs,
            "updatedAt": iso_millis(worklog.updated_at),
        });
        if let Some(description) = &worklog.description {
            payload["description"] = json!(description);
        }
        self.outbox
            .tell_tempo(now, event, &payload, &self.faults.tempo_webhooks);
    }

    /// Tells Jira's listeners of a worklog; there is no issue key and no user in it.
    pub(crate) fn jira_event(&mut self, now: Timestamp, event: &str, worklog: &JiraWorklog, flow: Flow) {
        let body = json!({
            "timestamp": now.as_millisecond(),
            "webhookEvent": event,
            "worklog": self.webhook_worklog(worklog),
        });
        self.tell_jira(now, event, &body, worklog.issue, flow);
        if event == "worklog_deleted" || self.issues.contains_key(&worklog.issue) {
            let spent = self.jira.secs_of_issue(worklog.issue);
            let after = match event {
                "worklog_created" => spent + worklog.time_spent_secs,
                "worklog_deleted" => spent,
                _ => {
                    let before = self.jira.get(worklog.id).map_or(0, |old| old.time_spent_secs);
                    spent - before + worklog.time_spent_secs
                }
            };
            let before = match event {
                "worklog_deleted" => spent + worklog.time_spent_secs,
                _ => spent,
            };
            let changes = [
                (
                    "timespent",
                    before.to_string(),
                    after.to_string(),
                    Some((before.to_string(), after.to_string())),
                ),
                (
                    "WorklogId",
                    worklog.id.to_string(),
                    String::new(),
                    Some((worklog.id.to_string(), String::new())),
                ),
            ];
            let actor = worklog.update_author.clone();
            if flow == Flow::Primary {
                self.issue_event(now, "jira:issue_updated", worklog.issue, &actor, &changes);
            }
        }
    }

    /// Tells Jira's listeners of an issue.
    pub(crate) fn issue_event(
        &mut self,
        now: Timestamp,
        event: &str,
        issue: u64,
        actor: &str,
        changes: &[IssueChange<'_>],
    ) {
        if !self
            .outbox
            .jira_webhooks
            .values()
            .any(|webhook| webhook.spec.events.iter().any(|e| e == event))
        {
            return;
        }
        let Some(found) = self.issues.get(&issue) else {
            return;
        };
        let project_key = self.project_of(issue).map_or("", |project| project.key.as_str());
        let mut body = json!({
            "timestamp": now.as_millisecond(),
            "webhookEvent": event,
            "user": self.webhook_user(actor),
            "issue": {
                "id": found.id.to_string(),
                "self": format!("{}/rest/api/2/{}", self.jira_base, found.id),
                "key": found.key,
                "fields": {
                    "summary": found.summary,
                    "labels": found.labels,
                    "project": {"id": found.project.to_string(), "key": project_key},
                    "created": jira_time(found.created, &self.zone),
                    "updated": jira_time(now, &self.zone),
                },
            },
        });
        if event == "jira:issue_updated" {
            let logged = changes.iter().any(|(field, ..)| *field == "timespent");
            body["issue_event_type_name"] = json!(if logged {
                "issue_work_logged"
            } else {
                "issue_moved"
            });
            let id = crate::site::take(&mut self.ids.changelog);
            let items: Vec<Value> = changes
                .iter()
                .map(|(field, from_text, to_text, values)| {
                    let (from, to) = values.clone().unzip();
                    json!({
                        "field": field, "fieldtype": "jira", "fieldId": field.to_lowercase(),
                        "from": from, "fromString": from_text, "to": to, "toString": to_text,
                    })
                })
                .collect();
            body["changelog"] = json!({"id": id.to_string(), "items": items});
        }
        self.tell_jira(now, event, &body, issue, Flow::Primary);
    }

    fn tell_jira(&mut self, now: Timestamp, event: &str, body: &Value, issue: u64, flow: Flow) {
        let (issues, projects, faults) = (&self.issues, &self.projects, &self.faults.jira_webhooks);
        self.outbox.tell_jira(now, event, body, flow, faults, |jql| {
            issues
                .get(&issue)
                .is_some_and(|issue| jql.matches(issue, projects))
        });
    }

    /// Queues a webhook that somebody made up, for a worklog that may not even exist.
    pub(crate) fn forge(
        &mut self,
        now: Timestamp,
        vendor: Vendor,
        event: &str,
        worklog: u64,
        issue: u64,
        url: &str,
    ) {
        let body = match vendor {
            Vendor::Tempo => json!({
                "eventId": self.id_dice.uuid(),
                "eventType": event,
                "payload": {
                    "author": {"accountId": self.service()},
                    "updater": {"accountId": self.service()},
                    "billableSeconds": 0, "timeSpentSeconds": 3600,
                    "createdAt": iso_millis(now), "updatedAt": iso_millis(now),
                    "issue": {"id": issue}, "tempoWorklogId": worklog,
                    "startDate": "2026-01-01", "startTime": "09:00:00",
                },
            }),
            Vendor::Jira => json!({
                "timestamp": now.as_millisecond(),
                "webhookEvent": event,
                "worklog": {"id": worklog.to_string(), "issueId": issue.to_string()},
            }),
        };
        self.outbox.forge(now, vendor, url, event, &body);
    }

    /// Jira's webhooks speak version 2: a comment is plain text and left out when empty, and there is no e-mail.
    fn webhook_worklog(&self, worklog: &JiraWorklog) -> Value {
        let mut body = json!({
            "self": format!("{}/rest/api/2/issue/{}/worklog/{}", self.jira_base, worklog.issue, worklog.id),
            "author": self.webhook_user(&worklog.author),
            "updateAuthor": self.webhook_user(&worklog.update_author),
            "created": jira_time(worklog.created, &self.zone),
            "updated": jira_time(worklog.updated, &self.zone),
            "started": jira_time(worklog.started, &self.zone),
            "timeSpent": pretty(worklog.time_spent_secs),
            "timeSpentSeconds": worklog.time_spent_secs,
            "id": worklog.id.to_string(),
            "issueId": worklog.issue.to_string(),
        });
        if let Some(comment) = &worklog.comment {
            body["comment"] = json!(comment);
        }
        body
    }

    fn webhook_user(&self, account_id: &str) -> Value {
        let encoded: String = url::form_urlencoded::byte_serialize(account_id.as_bytes()).collect();
        let zone = self
            .users
            .get(account_id)
            .and_then(|user| user.time_zone.clone())
            .unwrap_or_else(|| self.spec.time_zone.clone());
        json!({
            "self": format!("{}/rest/api/2/user?accountId={encoded}", self.jira_base),
            "accountId": account_id,
            "avatarUrls": {"48x48": "https://avatar-management.example/48"},
            "displayName": self.display_name(account_id),
            "active": self.users.get(account_id).is_none_or(|user| user.active),
            "timeZone": zone,
            "accountType": self.account_type(account_id),
        })
    }

    pub(crate) fn display_name(&self, account_id: &str) -> &str {
        match self.users.get(account_id) {
            Some(user) => &user.display_name,
            None if account_id == self.spec.tempo_app => "Timesheets by Tempo - Jira Time Tracking",
            None => "Former user",
        }
    }

    pub(crate) fn account_type(&self, account_id: &str) -> &'static str {
        if account_id == self.spec.tempo_app {
            "app"
        } else {
            "atlassian"
        }
    }
}
