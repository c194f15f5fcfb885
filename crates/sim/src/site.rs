//! One simulated site: a Jira and the Tempo on it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::dice::Dice;
use crate::fault::{Faults, ScriptedFault};
use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::papertrail::Papertrail;
use crate::rate::RateMeter;
use crate::rules::Permission;
use crate::shadow::JiraBook;
use crate::spec::{SiteSpec, UserSpec};
use crate::webhook::Outbox;

/// A project as it is now.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) id: u64,
    pub(crate) key: String,
    pub(crate) permissions: BTreeSet<Permission>,
    pub(crate) workers: Option<BTreeSet<String>>,
    pub(crate) next_number: u64,
}

/// A remote link of an issue.
#[derive(Debug, Clone)]
pub(crate) struct RemoteLink {
    pub(crate) id: u64,
    pub(crate) global_id: Option<String>,
    /// The rest of the link, as Jira shows it: application, relationship, object.
    pub(crate) body: Value,
}

/// An issue as it is now.
#[derive(Debug, Clone)]
pub(crate) struct Issue {
    pub(crate) id: u64,
    pub(crate) key: String,
    pub(crate) project: u64,
    pub(crate) summary: String,
    pub(crate) labels: Vec<String>,
    pub(crate) fields: BTreeMap<String, Value>,
    pub(crate) remote_links: Vec<RemoteLink>,
    pub(crate) remaining_secs: Option<i64>,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

/// A Jira worklog that Tempo will look at later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PendingSync {
    pub(crate) due: Timestamp,
    pub(crate) jira_id: u64,
}

/// Ids count up from where this site starts and are never used again.
#[derive(Debug)]
pub(crate) struct Ids {
    pub(crate) issue: u64,
    pub(crate) project: u64,
    pub(crate) worklog: u64,
    pub(crate) jira_worklog: u64,
    pub(crate) remote_link: u64,
    pub(crate) webhook: u64,
    pub(crate) changelog: u64,
}

impl Ids {
    /// Far apart for each site, so that an id used on the wrong one is not found there by luck.
    fn starting_at(index: u64) -> Self {
        Self {
            issue: 10_000 + index * 1_000_000,
            project: 10_000 + index * 1_000,
            worklog: 500_001 + index * 10_000_000,
            jira_worklog: 30_000 + index * 20_000_000,
            remote_link: 10_000 + index * 100_000,
            webhook: 1 + index * 100,
            changelog: 70_000 + index * 1_000_000,
        }
    }
}

/// Takes the next id.
pub(crate) fn take(id: &mut u64) -> u64 {
    let taken = *id;
    *id += 1;
    taken
}

/// Everything there is on one site.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) spec: SiteSpec,
    pub(crate) zone: TimeZone,
    /// The address Jira gives for itself, without a slash at the end.
    pub(crate) jira_base: String,
    pub(crate) users: BTreeMap<String, UserSpec>,
    pub(crate) projects: BTreeMap<u64, Project>,
    pub(crate) issues: BTreeMap<u64, Issue>,
    /// Keys, those of issues that have moved on included.
    pub(crate) keys: HashMap<String, u64>,
    pub(crate) ids: Ids,
    pub(crate) ledger: Ledger,
    pub(crate) jira: JiraBook,
    pub(crate) pending: BTreeSet<PendingSync>,
    pub(crate) papertrail: Papertrail,
    pub(crate) outbox: Outbox,
    pub(crate) faults: Faults,
    pub(crate) scripted: Vec<ScriptedFault>,
    pub(crate) fault_dice: Dice,
    pub(crate) id_dice: Dice,
    pub(crate) tempo_meter: RateMeter,
    pub(crate) jira_meter: RateMeter,
    pub(crate) broken_listings: BTreeMap<u64, u16>,
    pub(crate) bulk_busy: BTreeSet<u64>,
    /// Where changes are entered; `None` unless somebody wants to know.
    pub(crate) journal: Option<Journal>,
    /// Whose request does what happens right now; `None` while no request does.
    pub(crate) client: Option<String>,
}

impl Site {
    pub(crate) fn new(spec: SiteSpec, index: u64, seed: u64, now: Timestamp) -> Self {
        let purpose = |what: &str| Dice::new(seed, &format!("{}/{what}", spec.name));
        let mut site = Self {
            zone: zone(&spec.time_zone),
            jira_base: format!("https://{}.atlassian.net", spec.name),
            users: BTreeMap::new(),
            projects: BTreeMap::new(),
            issues: BTreeMap::new(),
            keys: HashMap::new(),
            ids: Ids::starting_at(index),
            ledger: Ledger::default(),
            jira: JiraBook::default(),
            pending: BTreeSet::new(),
            papertrail: Papertrail::default(),
            outbox: Outbox::new(index, purpose("webhooks")),
            faults: Faults::default(),
            scripted: Vec::new(),
            fault_dice: purpose("faults"),
            id_dice: purpose("ids"),
            tempo_meter: RateMeter::new(spec.tempo_rate),
            jira_meter: RateMeter::new(spec.jira_rate),
            broken_listings: BTreeMap::new(),
            bulk_busy: BTreeSet::new(),
            journal: None,
            client: None,
            spec,
        };
        for user in site
            .spec
            .users
            .clone()
            .into_iter()
            .chain([site.spec.service.user.clone()])
        {
            site.users.insert(user.account_id.clone(), user);
        }
        for project in site.spec.projects.clone() {
            let id = take(&mut site.ids.project);
            site.projects.insert(
                id,
                Project {
                    id,
                    key: project.key,
                    permissions: project.permissions,
                    workers: project.workers,
                    next_number: 1,
                },
            );
        }
        for issue in site.spec.issues.clone() {
            site.add_issue(now, issue);
        }
        for subscription in site.spec.subscriptions.clone() {
            let id = site.id_dice.uuid();
            site.outbox.subscribe_verified(now, id, subscription);
        }
        for webhook in site.spec.jira_webhooks.clone() {
            let id = take(&mut site.ids.webhook);
            site.outbox.register(id, "from the start", webhook);
        }
        site
    }

    /// Adds an issue and returns its id.
    ///
    /// # Panics
    /// When its project is not on the site.
    pub(crate) fn add_issue(&mut self, now: Timestamp, spec: crate::spec::IssueSpec) -> u64 {
        let id = take(&mut self.ids.issue);
        let (project_key, number) = spec.key.rsplit_once('-').expect("an issue key has a dash");
        let number: u64 = number.parse().expect("an issue key ends in a number");
        let project = self
            .projects
            .values_mut()
            .find(|p| p.key == project_key)
            .expect("the project of an issue is on the site");
        project.next_number = project.next_number.max(number + 1);
        let project = project.id;
        let remote_links = spec
            .remote_links
            .into_iter()
            .map(|(global_id, url, title)| RemoteLink {
                id: take(&mut self.ids.remote_link),
                global_id: Some(global_id),
                body: serde_json::json!({"object": {"url": url, "title": title}}),
            })
            .collect();
        self.keys.insert(spec.key.clone(), id);
        self.issues.insert(
            id,
            Issue {
                id,
                key: spec.key,
                project,
                summary: spec.summary,
                labels: spec.labels,
                fields: spec.fields,
                remote_links,
                remaining_secs: spec.remaining_secs,
                created: now,
                updated: now,
            },
        );
        id
    }

    /// Finds an issue by id or by key, old keys included.
    pub(crate) fn find_issue(&self, id_or_key: &str) -> Option<&Issue> {
        let id = id_or_key
            .parse()
            .ok()
            .or_else(|| self.keys.get(id_or_key).copied())?;
        self.issues.get(&id)
    }

    pub(crate) fn project_of(&self, issue: u64) -> Option<&Project> {
        self.projects.get(&self.issues.get(&issue)?.project)
    }

    /// Says whether the service user has a permission on an issue's project.
    pub(crate) fn may(&self, permission: Permission, issue: u64) -> bool {
        self.project_of(issue)
            .is_some_and(|project| project.permissions.contains(&permission))
    }

    /// Says whether a person may log time on an issue.
    pub(crate) fn may_work(&self, account_id: &str, issue: u64) -> bool {
        let Some(project) = self.project_of(issue) else {
            return false;
        };
        if account_id == self.service() {
            return project.permissions.contains(&Permission::WorkOnIssues);
        }
        self.users.get(account_id).is_some_and(|user| user.active)
            && project
                .workers
                .as_ref()
                .is_none_or(|workers| workers.contains(account_id))
    }

    pub(crate) fn service(&self) -> &str {
        &self.spec.service.user.account_id
    }

    /// Returns a person's zone as Tempo learns it: the profile's, or else the site's.
    pub(crate) fn zone_of(&self, account_id: &str) -> TimeZone {
        self.users
            .get(account_id)
            .and_then(|user| user.time_zone.as_deref())
            .map_or_else(|| self.zone.clone(), zone)
    }

    /// Returns the instant of a worker's wall clock.
    pub(crate) fn instant(&self, author: &str, date: Date, time: jiff::civil::Time) -> Timestamp {
        let civil = DateTime::from_parts(date, time);
        self.zone_of(author)
            .to_ambiguous_timestamp(civil)
            .compatible()
            .expect("worklogs are dated within the range of timestamps")
    }

    /// Says whether a date lies in a closed period.
    pub(crate) fn closed(&self, date: Date) -> bool {
        self.spec
            .closed_periods
            .iter()
            .any(|&(from, to)| from <= date && date <= to)
    }
}

/// Looks a zone up.
pub(crate) fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("zones in a site's description exist")
}
