//! Jira's answers, read into the engine's words.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use tandem_core::{AccountId, IssueId, JiraWorklogId, WorklogId};
use tandem_engine::ports::site::{FeedPage, FeedRow, JiraIssue, Page, RemoteLink, ServerInfo, User};

use crate::answer::{Misread, json};
use crate::lenient;

#[derive(Deserialize)]
struct IssueWire {
    #[serde(deserialize_with = "lenient::number")]
    id: u64,
    key: String,
    #[serde(default, deserialize_with = "lenient::or_default")]
    fields: BTreeMap<String, Value>,
}

impl IssueWire {
    fn into_issue(mut self, asked: &[String]) -> JiraIssue {
        let project = match self
            .fields
            .get("project")
            .and_then(|project| project.get("key")?.as_str())
        {
            Some(key) => key.to_owned(),
            // A key is the project's key and a number.
            None => self
                .key
                .rsplit_once('-')
                .map(|(project, _)| project.to_owned())
                .unwrap_or_default(),
        };
        let estimate = self
            .fields
            .get("timeestimate")
            .and_then(lenient::scalar_number)
            .or_else(|| {
                lenient::scalar_number(self.fields.get("timetracking")?.get("remainingEstimateSeconds")?)
            });
        self.fields.retain(|name, _| asked.contains(name));
        JiraIssue {
            id: IssueId(self.id),
            key: self.key,
            project,
            remaining_estimate_secs: estimate,
            fields: self.fields,
        }
    }
}

/// Reads an issue; keeps the fields that were asked for.
pub fn issue(body: &[u8], asked: &[String]) -> Result<JiraIssue, Misread> {
    Ok(json::<IssueWire>(body)?.into_issue(asked))
}

/// Reads the answer to a bulk fetch; keeps the fields that were asked for.
pub fn issues(body: &[u8], asked: &[String]) -> Result<Vec<JiraIssue>, Misread> {
    #[derive(Deserialize)]
    struct Found {
        #[serde(default, deserialize_with = "lenient::or_default")]
        issues: Vec<IssueWire>,
    }
    Ok(json::<Found>(body)?
        .issues
        .into_iter()
        .map(|issue| issue.into_issue(asked))
        .collect())
}

/// Reads a page of a search and the cursor to the next.
pub fn search(
    body: &[u8],
    asked: &[String],
    cursor: Option<&str>,
) -> Result<(Vec<JiraIssue>, Option<String>), Misread> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Found {
        issues: Vec<IssueWire>,
        #[serde(default)]
        is_last: Option<bool>,
        #[serde(default)]
        next_page_token: Option<String>,
    }
    let found: Found = json(body)?;
    let next = found
        .next_page_token
        .filter(|token| !token.is_empty() && found.is_last != Some(true));
    if next.is_some() && next.as_deref() == cursor {
        return Err(Misread::new("nextPageToken does not go on"));
    }
    Ok((
        found
            .issues
            .into_iter()
            .map(|issue| issue.into_issue(asked))
            .collect(),
        next,
    ))
}

/// What a JQL matched, or what Jira finds wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matched {
    /// These issues.
    Issues(Vec<IssueId>),
    /// The JQL is refused, in Jira's words.
    Refused(String),
}

/// Reads the matches of a single JQL. A bad JQL is an error text inside a 200.
pub fn matched(body: &[u8]) -> Result<Matched, Misread> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Match {
        #[serde(default, deserialize_with = "lenient::or_default")]
        matched_issues: Vec<Value>,
        #[serde(default, deserialize_with = "lenient::or_default")]
        errors: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Matches {
        matches: Vec<Match>,
    }
    let mut matches = json::<Matches>(body)?.matches.into_iter();
    let found = matches
        .next()
        .ok_or_else(|| Misread::new("no match for the JQL"))?;
    if !found.errors.is_empty() {
        return Ok(Matched::Refused(found.errors.join(", ")));
    }
    let id = |value: &Value| lenient::scalar_number(value).map(IssueId);
    let ids: Option<Vec<_>> = found.matched_issues.iter().map(id).collect();
    ids.map(Matched::Issues)
        .ok_or_else(|| Misread::new("matchedIssues holds what is not an id"))
}

/// Reads an issue's remote links: an array, though Jira's schema shows a single one. Those without an
/// address are left out.
pub fn remote_links(body: &[u8]) -> Result<Vec<RemoteLink>, Misread> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Object {
        url: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Link {
        #[serde(default)]
        global_id: Option<String>,
        #[serde(default, deserialize_with = "lenient::or_default")]
        object: Object,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Links {
        Many(Vec<Link>),
        One(Link),
    }
    let links = match json(body)? {
        Links::Many(links) => links,
        Links::One(link) => vec![link],
    };
    let link = |link: Link| {
        let global_id = link.global_id.filter(|id| !id.is_empty());
        Some(RemoteLink {
            url: link.object.url?,
            global_id,
        })
    };
    Ok(links.into_iter().filter_map(link).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserWire {
    account_id: String,
    #[serde(default, deserialize_with = "lenient::or_default")]
    display_name: String,
    #[serde(default)]
    email_address: Option<String>,
    #[serde(default = "told_nothing_else", deserialize_with = "lenient::truthy")]
    active: bool,
    #[serde(default)]
    account_type: Option<String>,
}

/// Whoever is shown without saying so counts as active: a write to them tells the rest.
fn told_nothing_else() -> bool {
    true
}

impl From<UserWire> for User {
    fn from(wire: UserWire) -> Self {
        User {
            account_id: AccountId::new(wire.account_id),
            display_name: wire.display_name,
            email: wire.email_address.filter(|email| !email.is_empty()),
            active: wire.active,
        }
    }
}

/// Reads a person.
pub fn user(body: &[u8]) -> Result<User, Misread> {
    Ok(json::<UserWire>(body)?.into())
}

/// Reads a page of people who were asked for by their accounts, from an offset on. Whoever cannot be read is left out, as
/// are those whom Jira does not know.
pub fn users(body: &[u8], offset: u64) -> Result<Page<User>, Misread> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Users {
        #[serde(default, deserialize_with = "lenient::or_default")]
        values: Vec<Value>,
        #[serde(default, deserialize_with = "lenient::opt_number")]
        total: Option<u64>,
        #[serde(default)]
        is_last: Option<bool>,
    }
    let wire: Users = json(body)?;
    let read = offset.saturating_add(wire.values.len() as u64);
    let is_last = wire
        .is_last
        .unwrap_or(wire.total.is_none_or(|total| read >= total));
    let next = (!is_last && !wire.values.is_empty()).then_some(read);
    let rows = wire.values.into_iter();
    let rows = rows.filter_map(|row| serde_json::from_value::<UserWire>(row).ok());
    Ok(Page {
        rows: rows.map(User::from).collect(),
        next,
        bad: Vec::new(),
    })
}

/// Reads a search for people, and keeps those whose visible e-mail address is exactly this one.
///
/// The search matches beginnings, of names too. Apps and portal customers cannot log time.
pub fn users_with_email(body: &[u8], email: &str) -> Result<Vec<User>, Misread> {
    let email = email.trim().to_lowercase();
    let is_it = |user: &UserWire| {
        user.email_address
            .as_ref()
            .is_some_and(|shown| shown.trim().to_lowercase() == email)
            && user
                .account_type
                .as_deref()
                .is_none_or(|kind| kind == "atlassian")
    };
    Ok(json::<Vec<UserWire>>(body)?
        .into_iter()
        .filter(is_it)
        .map(User::from)
        .collect())
}

/// Reads which of the permissions are held. What Jira does not mention is left out.
pub fn permissions(body: &[u8], keys: &[&str]) -> Result<BTreeMap<String, bool>, Misread> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Permission {
        #[serde(deserialize_with = "lenient::truthy")]
        have_permission: bool,
    }
    #[derive(Deserialize)]
    struct Permissions {
        permissions: BTreeMap<String, Permission>,
    }
    let held = json::<Permissions>(body)?.permissions;
    let has = |key: &&str| Some(((*key).to_owned(), held.get(*key)?.have_permission));
    Ok(keys.iter().filter_map(has).collect())
}

/// Reads what the site says of itself.
pub fn server_info(body: &[u8]) -> Result<ServerInfo, Misread> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Info {
        base_url: String,
        #[serde(default, deserialize_with = "lenient::opt_instant")]
        server_time: Option<Timestamp>,
    }
    let info: Info = json(body)?;
    Ok(ServerInfo {
        base_url: info.base_url,
        server_time: info.server_time,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeedWire {
    #[serde(default, deserialize_with = "lenient::or_default")]
    values: Vec<FeedRowWire>,
    #[serde(default, deserialize_with = "lenient::opt_number")]
    until: Option<u64>,
    #[serde(default)]
    last_page: Option<bool>,
    #[serde(default)]
    next_page: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeedRowWire {
    #[serde(deserialize_with = "lenient::number")]
    worklog_id: u64,
    #[serde(deserialize_with = "lenient::number")]
    updated_time: u64,
    #[serde(default)]
    properties: Value,
}

fn from_millis(millis: u64) -> Result<Timestamp, Misread> {
    let millis = i64::try_from(millis).map_err(|_| Misread::new("not a time"))?;
    Timestamp::from_millisecond(millis).map_err(|_| Misread::new("not a time"))
}

/// Reads a page of the feed of deleted or of changed worklogs, asked for from `since`.
///
/// The next page begins at `until`; the address in `nextPage` is not followed.
pub fn feed(body: &[u8], since: Timestamp) -> Result<FeedPage<JiraWorklogId, Timestamp>, Misread> {
    page(body, since, |row| Some(JiraWorklogId(row.worklog_id)))
}

/// The same of the feed of changed worklogs, those that Tempo left its id on.
pub fn changed(body: &[u8], since: Timestamp) -> Result<FeedPage<WorklogId, Timestamp>, Misread> {
    page(body, since, |row| tempo_id(&row.properties))
}

/// Reads the id that Tempo leaves on its worklogs in Jira, among a worklog's properties.
pub(super) fn tempo_id(properties: &Value) -> Option<WorklogId> {
    let mut properties = properties.as_array()?.iter();
    let left = properties.find(|property| property["key"] == "tempo")?;
    lenient::scalar_number(&left["value"]["tempo_id"]).map(WorklogId)
}

fn page<Id>(
    body: &[u8],
    since: Timestamp,
    id: impl Fn(&FeedRowWire) -> Option<Id>,
) -> Result<FeedPage<Id, Timestamp>, Misread> {
    let wire: FeedWire = json(body)?;
    let until = wire.until.map(from_millis).transpose()?;
    let rows = wire
        .values
        .into_iter()
        .filter_map(|row| id(&row).map(|id| (id, row.updated_time)))
        .map(|(id, at)| {
            let at = from_millis(at)?;
            Ok(FeedRow { id, at })
        })
        .collect::<Result<Vec<_>, Misread>>()?;
    let is_last = wire.last_page.unwrap_or(wire.next_page.is_none());
    let next = match (is_last, until) {
        (true, _) => None,
        (false, Some(until)) if until > since => Some(until),
        // More of one moment than a page holds: what a page leaves out of it, the audit finds.
        (false, Some(until)) if until == since => Some(until + SignedDuration::from_millis(1)),
        (false, _) => return Err(Misread::new("the feed has more, but `until` does not go on")),
    };
    Ok(FeedPage { rows, next, until })
}
