//! The handle on one site: what is there to read, and what can be changed or broken.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::fault::{Fault, Faults, Matcher, ScriptedFault, Vendor};
use crate::rate::RateCount;
use crate::rules::Permission;
use crate::sim::Sim;
use crate::site::Site;
use crate::spec::{IssueSpec, SiteSpec, TokenSpec, UserSpec};
use crate::worklog::{JiraWorklog, Worklog};

/// One site of a [`Sim`].
#[derive(Debug, Clone)]
pub struct SiteHandle {
    pub(crate) sim: Sim,
    pub(crate) name: String,
}

impl SiteHandle {
    /// Does something to the site, at the present moment.
    pub(crate) fn act<T>(&self, act: impl FnOnce(&mut Site, Timestamp) -> T) -> T {
        let now = self.sim.now();
        let mut world = self.sim.lock();
        world.settle(now);
        act(
            world
                .sites
                .get_mut(&self.name)
                .expect("sites are never taken away"),
            now,
        )
    }

    /// Returns the site's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the world the site is in.
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// Returns all Tempo worklogs as they are now, by id.
    pub fn worklogs(&self) -> Vec<Worklog> {
        self.act(|site, _| {
            site.ledger
                .current()
                .map(|worklog| Worklog::clone(worklog))
                .collect()
        })
    }

    /// Returns a Tempo worklog as it is now.
    pub fn worklog(&self, id: u64) -> Option<Worklog> {
        self.act(|site, _| site.ledger.get(id).map(|worklog| Worklog::clone(worklog)))
    }

    /// Returns the Tempo worklogs of an issue as they are now, by id.
    pub fn worklogs_of(&self, issue: &str) -> Vec<Worklog> {
        self.act(|site, _| {
            let Some(issue) = site.find_issue(issue).map(|issue| issue.id) else {
                return Vec::new();
            };
            let ids = site.ledger.ids_of_issue(issue).into_iter();
            let found = ids
                .filter_map(|id| site.ledger.get(id))
                .filter(|worklog| worklog.issue == issue);
            found.map(|worklog| Worklog::clone(worklog)).collect()
        })
    }

    /// Returns all Jira worklogs as they are now, by id.
    pub fn jira_worklogs(&self) -> Vec<JiraWorklog> {
        self.act(|site, _| site.jira.all().cloned().collect())
    }

    /// Returns a Jira worklog as it is now.
    pub fn jira_worklog(&self, id: u64) -> Option<JiraWorklog> {
        self.act(|site, _| site.jira.get(id).cloned())
    }

    /// Returns Tempo's id of what is a worklog in Jira.
    pub fn tempo_id_of(&self, jira_id: u64) -> Option<u64> {
        self.act(|site, _| site.ledger.id_of_jira(jira_id))
    }

    /// Returns the id of an issue.
    ///
    /// # Panics
    /// When there is none of that key.
    pub fn issue_id(&self, key: &str) -> u64 {
        self.act(|site, _| site.find_issue(key).map(|issue| issue.id))
            .expect("there is an issue of that key")
    }

    /// Returns the key an issue has now.
    pub fn issue_key(&self, id: u64) -> Option<String> {
        self.act(|site, _| site.issues.get(&id).map(|issue| issue.key.clone()))
    }

    /// Returns an issue's remaining estimate.
    pub fn remaining_estimate(&self, issue: &str) -> Option<i64> {
        self.act(|site, _| site.find_issue(issue)?.remaining_secs)
    }

    /// Returns an issue's remote links as `(globalId, url)`.
    pub fn remote_links(&self, issue: &str) -> Vec<(Option<String>, String)> {
        self.act(|site, _| {
            let links = site
                .find_issue(issue)
                .map(|issue| issue.remote_links.clone())
                .unwrap_or_default();
            let url = |link: &crate::site::RemoteLink| {
                link.body
                    .pointer("/object/url")
                    .and_then(|url| url.as_str())
                    .unwrap_or_default()
                    .to_owned()
            };
            links
                .iter()
                .map(|link| (link.global_id.clone(), url(link)))
                .collect()
        })
    }

    /// Returns the service user's account id.
    pub fn service_account(&self) -> String {
        self.act(|site, _| site.service().to_owned())
    }

    /// Adds an issue, and its project when there is none; returns its id.
    pub fn add_issue(&self, issue: IssueSpec) -> u64 {
        self.act(|site, now| {
            let key = issue
                .key
                .rsplit_once('-')
                .map_or("", |(project, _)| project)
                .to_owned();
            if !site.projects.values().any(|project| project.key == key) {
                let id = crate::site::take(&mut site.ids.project);
                let permissions = Permission::ALL.into();
                site.projects.insert(
                    id,
                    crate::site::Project {
                        id,
                        key,
                        permissions,
                        workers: None,
                        next_number: 1,
                    },
                );
            }
            site.add_issue(now, issue)
        })
    }

    /// Sets a custom field of an issue.
    pub fn set_field(&self, issue: &str, field: &str, value: impl Into<serde_json::Value>) {
        let value = value.into();
        self.act(|site, now| {
            let id = site.find_issue(issue).map(|issue| issue.id);
            if let Some(issue) = id.and_then(|id| site.issues.get_mut(&id)) {
                issue.fields.insert(field.to_owned(), value);
                issue.updated = now;
            }
        });
    }

    /// Adds a person, or replaces who has the account id.
    pub fn put_user(&self, user: UserSpec) {
        self.act(|site, _| {
            if user.account_id == site.spec.service.user.account_id {
                site.spec.service.user = user.clone();
            }
            site.users.insert(user.account_id.clone(), user);
        });
    }

    /// Changes the site's description: rules, attributes, accounts, closed periods, audit trail, lags, tokens.
    ///
    /// Users, projects, issues and webhooks are read from it only when the site is made.
    pub fn configure(&self, change: impl FnOnce(&mut SiteSpec)) {
        self.act(|site, _| {
            change(&mut site.spec);
            site.tempo_meter.rule = site.spec.tempo_rate;
            site.jira_meter.rule = site.spec.jira_rate;
        });
    }

    /// Removes a work attribute, as an administrator does. What was said in it is shown no more; no worklog counts as edited.
    pub fn remove_attribute(&self, key: &str) {
        self.configure(|spec| {
            spec.attributes.retain(|attribute| attribute.key != key);
            spec.removed_attributes.insert(key.to_owned());
        });
    }

    /// Closes a period, both ends included.
    pub fn close_period(&self, from: Date, to: Date) {
        self.configure(|spec| spec.closed_periods.push((from, to)));
    }

    /// Opens all periods.
    pub fn open_periods(&self) {
        self.configure(|spec| spec.closed_periods.clear());
    }

    /// Gives or takes one permission of the service user; `project` is a key, or `None` for all.
    pub fn set_permission(&self, project: Option<&str>, permission: Permission, given: bool) {
        self.act(|site, _| {
            for found in site
                .projects
                .values_mut()
                .filter(|p| project.is_none_or(|key| p.key == key))
            {
                if given {
                    found.permissions.insert(permission);
                } else {
                    found.permissions.remove(&permission);
                }
            }
        });
    }

    /// Takes away what lets the service user see and change other people's time.
    ///
    /// Lists then silently show only its own worklogs.
    pub fn lose_permissions(&self) {
        for permission in [
            Permission::EditAll,
            Permission::DeleteAll,
            Permission::ViewAll,
            Permission::LogForOthers,
        ] {
            self.set_permission(None, permission, false);
        }
    }

    /// Gives the service user every permission.
    pub fn restore_permissions(&self) {
        for permission in Permission::ALL {
            self.set_permission(None, permission, true);
        }
    }

    /// Says who may log time in a project; `None` is everybody.
    pub fn set_workers(&self, project: &str, workers: Option<BTreeSet<String>>) {
        self.act(|site, _| {
            if let Some(found) = site.projects.values_mut().find(|found| found.key == project) {
                found.workers = workers;
            }
        });
    }

    /// Lets all Tempo tokens expire now.
    pub fn expire_tempo_tokens(&self) {
        let now = self.sim.now();
        self.configure(|spec| {
            spec.service
                .tempo_tokens
                .iter_mut()
                .for_each(|token| token.expires = Some(now))
        });
    }

    /// Makes a new Tempo token the only one.
    pub fn replace_tempo_token(&self, token: &str) {
        self.configure(|spec| {
            spec.service.tempo_tokens = vec![TokenSpec {
                token: token.to_owned(),
                scopes: None,
                expires: None,
            }];
        });
    }

    /// Returns the Tempo tokens that work now.
    pub fn tempo_tokens(&self) -> Vec<String> {
        self.act(|site, now| {
            let tokens = site.spec.service.tempo_tokens.iter();
            let working = tokens.filter(|token| token.expires.is_none_or(|expires| expires > now));
            working.map(|token| token.token.clone()).collect()
        })
    }

    /// Makes a new Jira token the only one.
    pub fn replace_jira_token(&self, token: &str) {
        self.configure(|spec| spec.service.jira_token = token.to_owned());
    }

    /// Changes what goes wrong by chance on this site.
    pub fn faults(&self, change: impl FnOnce(&mut Faults)) {
        self.act(|site, _| change(&mut site.faults));
    }

    /// Lets a fault hit the next request that matches.
    pub fn fail_next(&self, matcher: Matcher, fault: Fault) {
        self.act(|site, _| site.scripted.push(ScriptedFault { matcher, fault }));
    }

    /// Takes back the faults that were to hit requests still to come.
    pub fn forget_faults(&self) {
        self.act(|site, _| site.scripted.clear());
    }

    /// Lets Tempo's listing of one issue fail with this status, until [`Self::mend_listings`].
    pub fn break_listing(&self, issue: &str, status: u16) {
        let id = self.issue_id(issue);
        self.act(|site, _| site.broken_listings.insert(id, status));
    }

    /// Lets all listings work again.
    pub fn mend_listings(&self) {
        self.act(|site, _| site.broken_listings.clear());
    }

    /// Says whether somebody else's bulk action is in progress on an issue.
    pub fn set_bulk_busy(&self, issue: &str, busy: bool) {
        let id = self.issue_id(issue);
        self.act(|site, _| {
            if busy {
                site.bulk_busy.insert(id)
            } else {
                site.bulk_busy.remove(&id)
            }
        });
    }

    /// Queues a webhook somebody made up: well-formed, but signed with a secret of their own.
    pub fn forge_webhook(&self, vendor: Vendor, event: &str, worklog: u64, issue: u64, url: &str) {
        self.act(|site, now| site.forge(now, vendor, event, worklog, issue, url));
    }

    /// Adds verified Tempo subscriptions for the three worklog events.
    pub fn add_tempo_webhooks(&self, url: &str, secret: &str) {
        let spec = SiteSpec::new("").tempo_webhooks(url, secret);
        self.act(|site, now| {
            for subscription in spec.subscriptions {
                let id = site.id_dice.uuid();
                site.outbox.subscribe_verified(now, id, subscription);
            }
        });
    }

    /// Adds a Jira admin webhook for the worklog events and for issues that change or go.
    pub fn add_jira_webhook(&self, url: &str, secret: &str) {
        let spec = SiteSpec::new("").jira_webhook(url, secret);
        self.act(|site, _| {
            for webhook in spec.jira_webhooks {
                let id = crate::site::take(&mut site.ids.webhook);
                site.outbox.register(id, "added", webhook);
            }
        });
    }

    /// Returns the Jira admin webhooks as `(id, url, secret)`.
    pub fn jira_webhooks(&self) -> Vec<(u64, String, Option<String>)> {
        self.act(|site, _| {
            let all = site.outbox.jira_webhooks.values();
            all.map(|one| (one.id, one.spec.url.clone(), one.spec.secret.clone()))
                .collect()
        })
    }

    /// Switches the Tempo subscriptions to an event off, as Tempo does after its last attempt has failed.
    pub fn switch_off(&self, event: &str) {
        self.act(|site, now| {
            for subscription in site.outbox.subscriptions.values_mut() {
                if subscription.event == event {
                    subscription.active = false;
                    subscription.updated_at = now;
                }
            }
        });
    }

    /// Returns the Tempo subscriptions as `(event, url, active)`.
    pub fn subscriptions(&self) -> Vec<(String, String, bool)> {
        self.act(|site, _| {
            let all = site
                .outbox
                .subscription_order
                .iter()
                .filter_map(|id| site.outbox.subscriptions.get(id));
            all.map(|s| (s.event.clone(), s.url.clone(), s.active)).collect()
        })
    }

    /// Returns how Tempo's rate limit fared.
    pub fn tempo_rate(&self) -> RateCount {
        self.act(|site, _| site.tempo_meter.count)
    }

    /// Returns how Jira's rate limit fared.
    pub fn jira_rate(&self) -> RateCount {
        self.act(|site, _| site.jira_meter.count)
    }

    /// Sets how long Tempo takes to see what was done in Jira.
    pub fn set_jira_to_tempo_lag(&self, lag: Duration) {
        self.configure(|spec| spec.jira_to_tempo_lag = lag);
    }

    /// Sets the address Jira gives for itself.
    pub fn set_jira_base(&self, url: &str) {
        self.act(|site, _| site.jira_base = url.trim_end_matches('/').to_owned());
    }
}
