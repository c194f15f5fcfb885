//! One site, as the engine sees it: Tempo's worklogs and Jira's issues and people.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tandem_core::{AccountId, Content, IssueId, JiraWorklogId, Reason, Worklog, WorklogId};

/// Which of a site's two services a call went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// Tempo.
    Tempo,
    /// Jira.
    Jira,
}

impl std::fmt::Display for Vendor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Vendor::Tempo => "Tempo",
            Vendor::Jira => "Jira",
        })
    }
}

/// A call to a site that did not succeed.
///
/// The message is for a person: at most 200 characters of what the site said, never a token or a worklog's text.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{vendor} {call}: {message}")]
pub struct SiteError {
    /// Who answered, or did not.
    pub vendor: Vendor,
    /// The call, such as `POST /4/worklogs`; paths carry ids but no query.
    pub call: String,
    /// What it means for us.
    pub kind: SiteErrorKind,
    /// Whether the call may have taken effect.
    pub outcome: Outcome,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// What the site said, or what went wrong on the way.
    pub message: String,
}

impl SiteError {
    /// Returns what to say of it in a log: see [`EngineError::unsaid`](crate::EngineError::unsaid).
    pub fn unsaid(&self) -> impl std::fmt::Display {
        let Self { vendor, call, .. } = self;
        match (&self.kind, self.status) {
            // Nobody answered, so these are our own words.
            (SiteErrorKind::Unreachable { .. }, None) => self.to_string(),
            (kind, Some(status)) => format!("{vendor} {call}: {status}, {kind}"),
            (kind, None) => format!("{vendor} {call}: {kind}"),
        }
    }

    /// Says whether the call can have no effect any more that it has not had by now: the site itself has answered, for
    /// better or worse. A gateway that gave up on the site (502, 504), or nobody's answer at all, leaves it at work.
    pub fn is_over(&self) -> bool {
        self.outcome == Outcome::NothingDone
            || self
                .status
                .is_some_and(|status| !matches!(status, 408 | 502 | 504))
    }
}

/// What a failed call means: again now, again later, wait for a person, or never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteErrorKind {
    /// No answer, a broken answer, or 5xx: again later, after `retry_after` where the site said so.
    Unreachable {
        /// The site's `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// 429: nothing was done; not before `retry_after`.
    RateLimited {
        /// The site's `Retry-After`, when it sent one.
        retry_after: Option<Duration>,
    },
    /// 409: somebody is at it right now (a bulk action on the issue); again later.
    Busy,
    /// 401: the token is not accepted. The site pauses.
    CredentialsRejected,
    /// The secret cannot be read, or lacks what the call needs; nothing was sent. The site pauses.
    NoCredentials,
    /// A 4xx that a person has to resolve, with its reason code.
    Refused(Reason),
    /// 404.
    NotFound,
    /// An answer that does not parse. `message` starts with its first 200 characters, redacted.
    Malformed,
    /// The configuration does not allow the call to be made at all.
    Unusable,
}

impl std::fmt::Display for SiteErrorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (text, retry_after) = match self {
            SiteErrorKind::Unreachable { retry_after } => ("it did not work just now", *retry_after),
            SiteErrorKind::RateLimited { retry_after } => ("too many requests", *retry_after),
            SiteErrorKind::Busy => ("somebody is at it right now", None),
            SiteErrorKind::CredentialsRejected => ("the token is not accepted", None),
            SiteErrorKind::NoCredentials => ("its secret cannot be used", None),
            SiteErrorKind::Refused(reason) => (reason.as_str(), None),
            SiteErrorKind::NotFound => ("it is not there", None),
            SiteErrorKind::Malformed => ("the answer makes no sense", None),
            SiteErrorKind::Unusable => ("the configuration does not allow it", None),
        };
        f.write_str(text)?;
        match retry_after {
            Some(after) => write!(f, ", again in {} s", after.as_secs().max(1)),
            None => Ok(()),
        }
    }
}

/// Whether a failed write may have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was changed for certain.
    NothingDone,
    /// It may or may not have been.
    Unknown,
}

/// A part of a listing.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows of this page.
    pub rows: Vec<T>,
    /// The offset to ask for next; `None` on the last page.
    pub next: Option<u64>,
    /// Rows that do not parse. The others stand.
    pub bad: Vec<BadRow>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            next: None,
            bad: Vec::new(),
        }
    }
}

/// A row of a listing that does not parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Its `tempoWorklogId`, when at least that can be read.
    pub id: Option<WorklogId>,
    /// Its issue, when at least that can be read.
    pub issue: Option<IssueId>,
    /// What is wrong, and its first 200 characters, redacted.
    pub text: String,
}

/// What Jira shows of a worklog. Who may browse an issue sees all of them there, whatever Tempo lets them see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// Jira's id of it.
    pub id: JiraWorklogId,
    /// Tempo's id of it, where Tempo left it in Jira. Undocumented, and so a hint alone.
    pub worklog: Option<WorklogId>,
    /// Time worked, in seconds.
    pub time_spent_secs: u64,
    /// When it last changed, by the site's clock.
    pub updated_at: Option<Timestamp>,
}

/// A worklog that a feed tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedRow<Id> {
    /// Its id in the service that says so.
    pub id: Id,
    /// When, by the site's clock.
    pub at: Timestamp,
}

/// A part of a feed of deleted or of changed worklogs.
#[derive(Clone, Debug)]
pub struct FeedPage<Id, Cursor> {
    /// The rows of this page.
    pub rows: Vec<FeedRow<Id>>,
    /// Where to go on; `None` on the last page.
    pub next: Option<Cursor>,
    /// How far the feed is complete, when it says so.
    pub until: Option<Timestamp>,
}

/// An issue in Jira.
#[derive(Clone, Debug, PartialEq)]
pub struct JiraIssue {
    /// Its id, which stays when the issue moves.
    pub id: IssueId,
    /// Its key, which does not.
    pub key: String,
    /// The key of its project.
    pub project: String,
    /// The remaining estimate in seconds, when it was asked for and there is one.
    pub remaining_estimate_secs: Option<u64>,
    /// The other fields that were asked for, as Jira gave them.
    pub fields: BTreeMap<String, serde_json::Value>,
}

/// How an issue is named in a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IssueRef {
    /// By id.
    Id(IssueId),
    /// By key, such as `SUP-1`.
    Key(String),
}

/// A remote link on an issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteLink {
    /// The address that it points to.
    pub url: String,
    /// Its global id, if it has one.
    pub global_id: Option<String>,
}

/// A person, as a site shows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The account id.
    pub account_id: AccountId,
    /// The name on the screen. Never used to tell who somebody is.
    pub display_name: String,
    /// The e-mail address, when the site shows it.
    pub email: Option<String>,
    /// Whether the account is in use.
    pub active: bool,
}

/// A work attribute's definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeDefinition {
    /// Its key, such as `_Account_`.
    pub key: String,
    /// Its name on the screen.
    pub name: String,
    /// `ACCOUNT`, `STATIC_LIST`, …
    pub kind: String,
    /// Whether a worklog must have it.
    pub required: bool,
    /// For a static list: stored value to shown name.
    pub names: BTreeMap<String, String>,
}

/// The rules of a site that a write can break.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRules {
    /// Whether a worklog may be written without a remaining estimate.
    pub remaining_estimate_optional: bool,
    /// Whether start times are shown.
    pub start_and_end_times: bool,
    /// Most hours that one person may log on a day.
    pub max_hours_per_day: Option<u64>,
    /// How many days ahead time may be logged.
    pub days_into_future: Option<u64>,
}

/// What `serverInfo` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// The site's own address.
    pub base_url: String,
    /// The site's clock.
    pub server_time: Option<Timestamp>,
}

/// Worklogs of a listing that are read at most, however few a site puts on a page.
pub(crate) const LISTED_MAX: u64 = 5_000_000;

/// Calls one site. **Each method makes exactly one HTTP request** (none when it fails before sending), so
/// that the caller can count and pace them; it has a deadline, follows no redirect and repeats nothing.
///
/// One exception: after a 401 the secret is read anew, and if it differs from the one used, the call is made
/// once more.
#[async_trait]
pub trait SiteClient: Send + Sync {
    /// Lists the worklogs of an issue, up to 5,000 from `offset`. 404 is [`SiteErrorKind::NotFound`].
    async fn list_issue(&self, issue: IssueId, offset: u64) -> Result<Page<Worklog>, SiteError>;

    /// Lists the worklogs of all issues that changed at or after a moment, oldest change first, up to 5,000
    /// from `offset`.
    async fn list_changed(&self, since: Timestamp, offset: u64) -> Result<Page<Worklog>, SiteError>;

    /// Lists the worklogs of all issues by work date (both ends included), in a stable order, up to 5,000
    /// from `offset`.
    async fn list_dates(&self, from: Date, to: Option<Date>, offset: u64)
    -> Result<Page<Worklog>, SiteError>;

    /// Returns a worklog, or `None` where the site answers 404.
    async fn worklog(&self, id: WorklogId) -> Result<Option<Worklog>, SiteError>;

    /// Creates a worklog. Not idempotent.
    async fn create(
        &self,
        issue: IssueId,
        content: &Content,
        remaining: Option<u64>,
    ) -> Result<Worklog, SiteError>;

    /// Creates up to 50 worklogs on one issue, in order. Not idempotent.
    async fn create_bulk(&self, issue: IssueId, contents: &[Content]) -> Result<Vec<Worklog>, SiteError>;

    /// Replaces a worklog: what `content` does not name is wiped by the site.
    async fn update(
        &self,
        id: WorklogId,
        content: &Content,
        remaining: Option<u64>,
    ) -> Result<Worklog, SiteError>;

    /// Deletes a worklog. Already gone (404) is `Ok(false)`.
    async fn delete(&self, id: WorklogId) -> Result<bool, SiteError>;

    /// Returns the Jira ids of up to 500 worklogs; those that have none are left out. `true` with them says that the site
    /// has more to tell of these: it is to be asked again for the rest.
    async fn jira_ids(&self, ids: &[WorklogId])
    -> Result<(Vec<(WorklogId, JiraWorklogId)>, bool), SiteError>;

    /// Returns the Tempo ids of up to 500 Jira worklogs; those that Tempo does not know (yet) are left out.
    async fn tempo_ids(&self, ids: &[JiraWorklogId]) -> Result<Vec<(JiraWorklogId, WorklogId)>, SiteError>;

    /// Lists an issue's worklogs as Jira has them, up to 5,000 from `offset`.
    async fn shadows(&self, issue: IssueId, offset: u64) -> Result<Page<Shadow>, SiteError>;

    /// Reads Tempo's audit trail of deleted worklogs, up to 1,000. `from` is within the last 180 days.
    async fn papertrail_deleted(
        &self,
        from: Timestamp,
        cursor: Option<String>,
    ) -> Result<FeedPage<WorklogId, String>, SiteError>;

    /// Reads Jira's feed of deleted worklogs, up to 1,000, from a moment.
    async fn jira_deleted(&self, since: Timestamp) -> Result<FeedPage<JiraWorklogId, Timestamp>, SiteError>;

    /// Reads Jira's feed of new and changed worklogs, up to 1,000, from a moment: those that Tempo left its id on. That is
    /// undocumented, and so a hint alone. The last minute is not in it.
    async fn jira_changed(&self, since: Timestamp) -> Result<FeedPage<WorklogId, Timestamp>, SiteError>;

    /// Lists the work attributes, a page from an offset on.
    async fn attributes(&self, offset: u64) -> Result<Page<AttributeDefinition>, SiteError>;

    /// Returns the site's rules.
    async fn rules(&self) -> Result<SiteRules, SiteError>;

    /// Returns an issue with the given extra fields, or `None` where the site answers 404.
    async fn issue(&self, issue: &IssueRef, fields: &[String]) -> Result<Option<JiraIssue>, SiteError>;

    /// Returns up to 100 issues with the given extra fields; those that cannot be seen are left out.
    async fn issues(&self, issues: &[IssueRef], fields: &[String]) -> Result<Vec<JiraIssue>, SiteError>;

    /// Finds issues by JQL, up to 1,000, with the given extra fields. The cursor goes on.
    async fn search_issues(
        &self,
        jql: &str,
        fields: &[String],
        cursor: Option<String>,
    ) -> Result<(Vec<JiraIssue>, Option<String>), SiteError>;

    /// Returns those of the issues that a JQL matches. A JQL that Jira refuses is `Refused(Rejected)`.
    async fn match_jql(&self, jql: &str, issues: &[IssueId]) -> Result<Vec<IssueId>, SiteError>;

    /// Lists an issue's remote links; `None` where the site answers 404.
    async fn remote_links(&self, issue: IssueId) -> Result<Option<Vec<RemoteLink>>, SiteError>;

    /// Returns a person, or `None` where the site answers 404.
    async fn user(&self, account: &AccountId) -> Result<Option<User>, SiteError>;

    /// Returns up to 50 people, a page from an offset on; those whom the site does not know are left out.
    async fn users(&self, accounts: &[AccountId], offset: u64) -> Result<Page<User>, SiteError>;

    /// Returns the people whose visible e-mail is exactly this one.
    async fn users_by_email(&self, email: &str) -> Result<Vec<User>, SiteError>;

    /// Returns the service user.
    async fn myself(&self) -> Result<User, SiteError>;

    /// Says which of the permissions the service user has, in a project or anywhere.
    async fn permissions(
        &self,
        keys: &[&str],
        project: Option<&str>,
    ) -> Result<BTreeMap<String, bool>, SiteError>;

    /// Returns what the site says of itself; needs no credentials.
    async fn server_info(&self) -> Result<ServerInfo, SiteError>;

    /// Reads the site's secret anew and returns a digest of it that tells change from no change (not secret).
    async fn credentials_digest(&self) -> Result<String, SiteError>;
}
