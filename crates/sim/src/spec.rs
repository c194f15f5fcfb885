//! What a site is made of when it is set up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use serde_json::Value;

use crate::rate::RateRule;
use crate::rules::{AttributeSpec, GlobalConfiguration, Permission, Scope};

/// The account Tempo's app writes to Jira with, on every real site seen so far.
pub const TEMPO_APP_ACCOUNT: &str = "557058:295406f3-a1fc-4733-b906-dd15d021bd79";

/// A person or app on a site.
#[derive(Debug, Clone)]
pub struct UserSpec {
    /// Opaque account id; the same person may have the same one on another site.
    pub account_id: String,
    /// The name shown.
    pub display_name: String,
    /// E-mail address, whether shown or not.
    pub email: String,
    /// Whether Jira shows the address to others.
    pub email_visible: bool,
    /// Whether the account is active on this site.
    pub active: bool,
    /// Zone of the profile; `None` when privacy hides it (Tempo then uses the site's).
    pub time_zone: Option<String>,
}

impl UserSpec {
    /// Makes an active person with a hidden e-mail address.
    pub fn new(account_id: impl Into<String>, display_name: impl Into<String>) -> Self {
        let (account_id, display_name) = (account_id.into(), display_name.into());
        let email = format!("{}@people.example", display_name.to_lowercase().replace(' ', "."));
        Self {
            account_id,
            display_name,
            email,
            email_visible: false,
            active: true,
            time_zone: None,
        }
    }

    /// Sets the e-mail address and shows it.
    pub fn visible_email(mut self, email: impl Into<String>) -> Self {
        self.email = email.into();
        self.email_visible = true;
        self
    }

    /// Sets the profile's zone.
    pub fn time_zone(mut self, zone: impl Into<String>) -> Self {
        self.time_zone = Some(zone.into());
        self
    }

    /// Makes the account inactive.
    pub fn inactive(mut self) -> Self {
        self.active = false;
        self
    }
}

/// A project.
#[derive(Debug, Clone)]
pub struct ProjectSpec {
    /// The key, such as `SUP`.
    pub key: String,
    /// What the service user may do here.
    pub permissions: BTreeSet<Permission>,
    /// Who may log time here; `None` is every active person of the site.
    pub workers: Option<BTreeSet<String>>,
}

impl ProjectSpec {
    /// Makes a project in which everybody may work and the service user may do everything.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            permissions: Permission::ALL.into(),
            workers: None,
        }
    }
}

/// An issue.
#[derive(Debug, Clone)]
pub struct IssueSpec {
    /// The key; its project is what stands before the dash.
    pub key: String,
    /// The summary.
    pub summary: String,
    /// Custom fields by id, such as `customfield_10042`.
    pub fields: BTreeMap<String, Value>,
    /// Remote links as `(globalId, url, title)`.
    pub remote_links: Vec<(String, String, String)>,
    /// The remaining estimate.
    pub remaining_secs: Option<i64>,
    /// Labels.
    pub labels: Vec<String>,
}

impl IssueSpec {
    /// Makes an issue without fields, links or estimate.
    pub fn new(key: impl Into<String>) -> Self {
        let key = key.into();
        Self {
            summary: format!("Summary of {key}"),
            key,
            fields: BTreeMap::new(),
            remote_links: Vec::new(),
            remaining_secs: None,
            labels: Vec::new(),
        }
    }

    /// Sets a custom field.
    pub fn field(mut self, id: impl Into<String>, value: impl Into<Value>) -> Self {
        self.fields.insert(id.into(), value.into());
        self
    }

    /// Adds a remote link.
    pub fn remote_link(mut self, global_id: impl Into<String>, url: impl Into<String>, title: &str) -> Self {
        self.remote_links
            .push((global_id.into(), url.into(), title.to_owned()));
        self
    }

    /// Sets the remaining estimate.
    pub fn remaining(mut self, secs: i64) -> Self {
        self.remaining_secs = Some(secs);
        self
    }
}

/// A Tempo token of the service user.
#[derive(Debug, Clone)]
pub struct TokenSpec {
    /// The token's text.
    pub token: String,
    /// What it may be used for; `None` is full access.
    pub scopes: Option<BTreeSet<Scope>>,
    /// When it stops working.
    pub expires: Option<Timestamp>,
}

/// An OAuth client of Tempo's, and the pair of tokens that it has.
#[derive(Debug, Clone)]
pub struct OauthSpec {
    /// The client; it selects the site, so no two sites share one.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// The address that it was registered with.
    pub redirect_uri: String,
    /// The token in use; also among the service user's tokens, or it opens nothing.
    pub access_token: String,
    /// What the next pair is had for.
    pub refresh_token: String,
    /// How long a new token works.
    pub lifetime: Duration,
}

/// The account the product works with.
#[derive(Debug, Clone)]
pub struct ServiceSpec {
    /// The person or robot itself; also added to the site's users.
    pub user: UserSpec,
    /// Tempo tokens; each selects this site as its tenant.
    pub tempo_tokens: Vec<TokenSpec>,
    /// Its OAuth client, where Tempo is used through one.
    pub tempo_oauth: Option<OauthSpec>,
    /// Jira API token; its e-mail is the user's.
    pub jira_token: String,
    /// Whether it administers Jira (webhooks need that).
    pub admin: bool,
    /// Whether it may browse users.
    pub browse_users: bool,
}

/// A Tempo webhook subscription that exists from the start, already verified.
#[derive(Debug, Clone)]
pub struct SubscriptionSpec {
    /// The event, such as `worklog.created`.
    pub event: String,
    /// Where it is delivered.
    pub url: String,
    /// The secret it is signed with.
    pub shared_secret: String,
}

/// A Jira admin webhook.
#[derive(Debug, Clone)]
pub struct JiraWebhookSpec {
    /// Where it is delivered.
    pub url: String,
    /// The events, such as `worklog_created`.
    pub events: Vec<String>,
    /// The secret it is signed with.
    pub secret: Option<String>,
    /// JQL an event's issue must match.
    pub jql: Option<String>,
}

/// Everything a site starts with.
#[derive(Debug, Clone)]
pub struct SiteSpec {
    /// The site's name: what stands before `.atlassian.net`.
    pub name: String,
    /// The site's default zone.
    pub time_zone: String,
    /// People, apart from the service user.
    pub users: Vec<UserSpec>,
    /// Projects.
    pub projects: Vec<ProjectSpec>,
    /// Issues, in the order they get their ids.
    pub issues: Vec<IssueSpec>,
    /// The account the product works with.
    pub service: ServiceSpec,
    /// The account Tempo's app writes to Jira with.
    pub tempo_app: String,
    /// Work attributes.
    pub attributes: Vec<AttributeSpec>,
    /// Work attributes that an administrator has removed: no worklog shows a value of theirs any more.
    pub removed_attributes: BTreeSet<String>,
    /// Tempo accounts by key, with whether they are open.
    pub accounts: BTreeMap<String, bool>,
    /// Rules for logging time.
    pub configuration: GlobalConfiguration,
    /// Periods in which nothing may change, both ends included.
    pub closed_periods: Vec<(Date, Date)>,
    /// Whether the bypass flag works: Tempo's override mode is on and the user is a Tempo administrator.
    pub bypass_allowed: bool,
    /// Tempo webhook subscriptions.
    pub subscriptions: Vec<SubscriptionSpec>,
    /// Jira admin webhooks.
    pub jira_webhooks: Vec<JiraWebhookSpec>,
    /// Whether the service user may read the audit trail.
    pub papertrail: bool,
    /// Whether the audit trail tells of deletes that were made in Jira.
    pub papertrail_tells_of_jira_deletes: bool,
    /// Whether Tempo's times carry milliseconds.
    pub tempo_millis: bool,
    /// The start time Tempo gives a worklog that came without one.
    pub default_start_time: Time,
    /// What Tempo writes on a worklog that came without a text.
    pub default_text: Option<String>,
    /// How long Tempo takes to see what was done in Jira.
    pub jira_to_tempo_lag: Duration,
    /// Whether Tempo's webhooks also tell of changes that came from Jira.
    pub tempo_tells_of_jira_changes: bool,
    /// Worklogs and attributes that Tempo puts on a page at most, whatever is asked for.
    pub page_max: usize,
    /// Tempo's rate limit.
    pub tempo_rate: RateRule,
    /// Jira's rate limit.
    pub jira_rate: RateRule,
}

impl SiteSpec {
    /// Makes an empty site whose service user may do everything.
    ///
    /// Its Tempo token is `tempo-NAME`, its Jira login `tandem@NAME.example` with the token `jira-NAME`.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let mut user = UserSpec::new(format!("712020:service-{name}"), format!("Tandem {name}"))
            .visible_email(format!("tandem@{name}.example"));
        user.time_zone = Some("UTC".into());
        Self {
            time_zone: "Europe/Berlin".into(),
            users: Vec::new(),
            projects: Vec::new(),
            issues: Vec::new(),
            service: ServiceSpec {
                user,
                tempo_tokens: vec![TokenSpec {
                    token: format!("tempo-{name}"),
                    scopes: None,
                    expires: None,
                }],
                tempo_oauth: None,
                jira_token: format!("jira-{name}"),
                admin: true,
                browse_users: true,
            },
            tempo_app: TEMPO_APP_ACCOUNT.into(),
            attributes: Vec::new(),
            removed_attributes: BTreeSet::new(),
            accounts: BTreeMap::new(),
            configuration: GlobalConfiguration::default(),
            closed_periods: Vec::new(),
            bypass_allowed: true,
            subscriptions: Vec::new(),
            jira_webhooks: Vec::new(),
            papertrail: true,
            papertrail_tells_of_jira_deletes: true,
            tempo_millis: false,
            default_start_time: Time::constant(8, 0, 0, 0),
            default_text: None,
            jira_to_tempo_lag: Duration::from_secs(20),
            tempo_tells_of_jira_changes: true,
            page_max: 5000,
            tempo_rate: RateRule {
                per_second: 5,
                enforced: true,
            },
            jira_rate: RateRule {
                per_second: 100,
                enforced: true,
            },
            name,
        }
    }

    /// Adds a person.
    pub fn user(mut self, user: UserSpec) -> Self {
        self.users.push(user);
        self
    }

    /// Adds a project.
    pub fn project(mut self, project: ProjectSpec) -> Self {
        self.projects.push(project);
        self
    }

    /// Adds an issue, and its project when there is none of that key yet.
    pub fn issue(mut self, issue: IssueSpec) -> Self {
        let project = issue
            .key
            .rsplit_once('-')
            .map_or(issue.key.as_str(), |(project, _)| project);
        if !self.projects.iter().any(|p| p.key == project) {
            self.projects.push(ProjectSpec::new(project));
        }
        self.issues.push(issue);
        self
    }

    /// Adds `count` issues `PROJECT-1`, `PROJECT-2` and so on.
    pub fn issues(self, project: &str, count: usize) -> Self {
        (1..=count).fold(self, |spec, n| {
            spec.issue(IssueSpec::new(format!("{project}-{n}")))
        })
    }

    /// Adds a work attribute.
    pub fn attribute(mut self, attribute: AttributeSpec) -> Self {
        self.attributes.push(attribute);
        self
    }

    /// Adds a Tempo account.
    pub fn account(mut self, key: impl Into<String>, open: bool) -> Self {
        self.accounts.insert(key.into(), open);
        self
    }

    /// Adds verified Tempo subscriptions for the three worklog events, all signed with `secret`.
    pub fn tempo_webhooks(mut self, url: &str, secret: &str) -> Self {
        for event in ["worklog.created", "worklog.updated", "worklog.deleted"] {
            self.subscriptions.push(SubscriptionSpec {
                event: event.into(),
                url: url.into(),
                shared_secret: secret.into(),
            });
        }
        self
    }

    /// Makes the site's Tempo token `tempo-NAME` an OAuth client's: `client-NAME` with `client-secret-NAME` and
    /// the refresh token `refresh-NAME`, registered for `https://tandem.example/NAME`. New ones live 60 days.
    pub fn tempo_oauth(mut self) -> Self {
        let name = &self.name;
        self.service.tempo_oauth = Some(OauthSpec {
            client_id: format!("client-{name}"),
            client_secret: format!("client-secret-{name}"),
            redirect_uri: format!("https://tandem.example/{name}"),
            access_token: format!("tempo-{name}"),
            refresh_token: format!("refresh-{name}"),
            lifetime: Duration::from_secs(60 * 24 * 3600),
        });
        self
    }

    /// Adds a Jira admin webhook for the worklog events and for issues that change or go.
    pub fn jira_webhook(mut self, url: &str, secret: &str) -> Self {
        let events = [
            "worklog_created",
            "worklog_updated",
            "worklog_deleted",
            "jira:issue_updated",
            "jira:issue_deleted",
        ];
        self.jira_webhooks.push(JiraWebhookSpec {
            url: url.into(),
            events: events.map(String::from).into(),
            secret: Some(secret.into()),
            jql: None,
        });
        self
    }
}
