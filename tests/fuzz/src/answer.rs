//! A vendor's answers, to each call that there is, through the adapter as the engine uses it.
//!
//! An input reads like an answer: a line with the call and the status, header lines, an empty line, the body.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use jiff::Timestamp;
use jiff::civil::date;
use secrecy::SecretString;
use serde_json::{Value, json};
use tandem_atlassian::tempo::admin::Period;
use tandem_atlassian::tempo::wire;
use tandem_atlassian::{
    AtlassianSite, Credentials, CredentialsError, MESSAGE_CHARS_MAX, SiteCredentials, SiteEndpoints,
    Transport, TransportError,
};
use tandem_core::{Content, IssueId, JiraWorklogId, Worklog, WorklogId};
use tandem_engine::ports::site::{IssueRef, Outcome, Page, SiteClient as _, SiteError, SiteErrorKind};

use crate::leaks::assert_hides;
use crate::world::{self, JIRA_EMAIL, JIRA_TOKEN, NOW, TEMPO_TOKEN, WEBHOOK_SECRET};

/// A worklog's text, which no error may show.
pub(crate) const PRIVATE_TEXT: &str = "met Ann about her leave";

/// How long our own words beside a site's may be.
const OWN_CHARS_MAX: usize = 120;

/// The longest wait that is believed.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

const READS: &[&str] = &[
    "list_issue",
    "list_changed",
    "list_dates",
    "worklog",
    "jira_ids",
    "tempo_ids",
    "papertrail_deleted",
    "jira_deleted",
    "attributes",
    "rules",
    "issue",
    "issues",
    "search_issues",
    "match_jql",
    "remote_links",
    "user",
    "users",
    "users_by_email",
    "myself",
    "permissions",
    "server_info",
    "global_configuration",
    "attribute_values",
    "periods",
    "timesheet_status",
    "tempo_webhooks",
    "tempo_webhook",
    "jira_webhooks",
    "jira_worklogs",
    "jira_changed",
    "jira_permission_keys",
    "worklog_property",
];

const WRITES: &[&str] = &[
    "create",
    "create_bulk",
    "update",
    "delete",
    "create_tempo_webhook",
    "delete_tempo_webhook",
    "create_jira_webhook",
    "delete_jira_webhook",
    "put_worklog_property",
];

thread_local! {
    static RUNTIME: RefCell<tokio::runtime::Runtime> = RefCell::new(world::runtime());
}

pub(crate) fn run(input: &[u8]) {
    let Some(told) = Told::read(input) else { return };
    let site = AtlassianSite::new(
        SiteEndpoints {
            site: "acme".into(),
            jira: "https://acme.atlassian.net".parse().unwrap(),
            tempo: "https://api.tempo.io".parse().unwrap(),
        },
        Arc::new(Kept),
        Arc::new(Says(told.response.clone())),
    );
    let result = RUNTIME.with_borrow(|runtime| runtime.block_on(told.ask(&site)));
    if let Err(error) = result {
        told.judge(&error);
    }
    if told.response.status().is_success() {
        one_bad_row_spoils_no_other(told.response.body());
    }
}

/// Always gives the same answer.
struct Says(Response<Bytes>);

#[async_trait]
impl Transport for Says {
    async fn send(&self, _: Request<Bytes>, _: Duration) -> Result<Response<Bytes>, TransportError> {
        Ok(self.0.clone())
    }
}

struct Kept;

#[async_trait]
impl Credentials for Kept {
    async fn current(&self, _: bool) -> Result<Arc<SiteCredentials>, CredentialsError> {
        Ok(Arc::new(SiteCredentials {
            tempo_token: TEMPO_TOKEN.into(),
            jira_email: JIRA_EMAIL.into(),
            jira_token: JIRA_TOKEN.into(),
            digest: "same".into(),
        }))
    }
}

struct Told {
    call: &'static str,
    response: Response<Bytes>,
}

impl Told {
    fn read(input: &[u8]) -> Option<Self> {
        let (head, body) = match input.windows(2).position(|pair| pair == b"\n\n") {
            Some(at) => (&input[..at], &input[at + 2..]),
            None => (input, &[][..]),
        };
        let mut lines = head.split(|byte| *byte == b'\n');
        let first = String::from_utf8_lossy(lines.next()?).into_owned();
        let (name, status) = first.split_once(' ')?;
        let call = READS.iter().chain(WRITES).find(|call| **call == name)?;
        let mut response = Response::new(Bytes::copy_from_slice(body));
        *response.status_mut() = StatusCode::from_bytes(status.trim().as_bytes()).ok()?;
        for line in lines {
            let at = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..at]).ok()?;
            let value = HeaderValue::from_bytes(line[at + 1..].trim_ascii()).ok()?;
            response.headers_mut().append(name, value);
        }
        // Without it waits would count from the machine's clock.
        response
            .headers_mut()
            .entry("date")
            .or_insert(HeaderValue::from_static("Mon, 02 Mar 2026 09:20:00 GMT"));
        Some(Self { call, response })
    }

    /// Makes the call and judges what came of it.
    async fn ask(&self, site: &AtlassianSite) -> Result<(), SiteError> {
        let now: Timestamp = NOW.parse().unwrap();
        let issue = IssueId(20417);
        let id = WorklogId(9105);
        let jira = JiraWorklogId(10100);
        let fields = ["customfield_10042".to_owned()];
        match self.call {
            "list_issue" => forward(site.list_issue(issue, 7).await?, 7),
            "list_changed" => forward(site.list_changed(now, 0).await?, 0),
            "list_dates" => forward(site.list_dates(date(2026, 3, 1), None, 5000).await?, 5000),
            "worklog" => drop(site.worklog(id).await?),
            "create" => drop(site.create(issue, &content(), Some(0)).await?),
            "create_bulk" => {
                let made = site.create_bulk(issue, &[content(), content()]).await?;
                assert_eq!(made.len(), 2);
            }
            "update" => drop(site.update(id, &content(), None).await?),
            "delete" => drop(site.delete(id).await?),
            "jira_ids" => drop(site.jira_ids(&[id, WorklogId(123)]).await?),
            "tempo_ids" => drop(site.tempo_ids(&[jira]).await?),
            "papertrail_deleted" => {
                let page = site.papertrail_deleted(now, Some("cursor".into())).await?;
                assert_ne!(page.next.as_deref(), Some("cursor"), "it does not go on");
            }
            "jira_deleted" => {
                let page = site.jira_deleted(now).await?;
                assert!(page.next.is_none_or(|next| next > now), "it does not go on");
            }
            "attributes" => drop(site.attributes(0).await?),
            "rules" => {
                site.rules().await?;
            }
            "issue" => drop(site.issue(&IssueRef::Key("SUP-1".into()), &fields).await?),
            "issues" => {
                for issue in site.issues(&[IssueRef::Id(issue)], &fields).await? {
                    assert!(issue.fields.keys().all(|field| fields.contains(field)));
                }
            }
            "search_issues" => {
                let (_, next) = site.search_issues("x", &fields, Some("cursor".into())).await?;
                assert_ne!(next.as_deref(), Some("cursor"), "it does not go on");
            }
            "match_jql" => drop(site.match_jql("x", &[issue]).await?),
            "remote_links" => drop(site.remote_links(issue).await?),
            "user" => drop(site.user(&"ann".into()).await?),
            "users" => {
                let page = site.users(&["ann".into()], 7).await?;
                assert!(page.next.is_none_or(|next| next > 7), "it does not go on");
            }
            "users_by_email" => {
                for user in site.users_by_email("ann@acme.example").await? {
                    let email = user.email.unwrap_or_default();
                    assert_eq!(email.trim().to_lowercase(), "ann@acme.example");
                }
            }
            "myself" => drop(site.myself().await?),
            "permissions" => {
                let held = site.permissions(&["BROWSE_PROJECTS"], None).await?;
                assert!(
                    held.keys().all(|key| key == "BROWSE_PROJECTS"),
                    "nobody asked for it"
                );
            }
            "server_info" => drop(site.server_info().await?),
            "global_configuration" => drop(site.global_configuration().await?),
            "attribute_values" => drop(site.attribute_values(&[id]).await?),
            "periods" => drop(site.periods(date(2026, 3, 1), date(2026, 3, 31)).await?),
            "timesheet_status" => {
                let period = Period {
                    from: date(2026, 3, 2),
                    to: date(2026, 3, 8),
                };
                drop(site.timesheet_status(&"ann".into(), period).await?);
            }
            "tempo_webhooks" => drop(site.tempo_webhooks().await?),
            "create_tempo_webhook" => {
                let made = site
                    .create_tempo_webhook("worklog.created", "https://x.example/", "Tandem")
                    .await?;
                drop(made);
            }
            "tempo_webhook" => drop(site.tempo_webhook("7").await?),
            "delete_tempo_webhook" => drop(site.delete_tempo_webhook("7").await?),
            "jira_webhooks" => drop(site.jira_webhooks().await?),
            "create_jira_webhook" => {
                let secret = SecretString::from(WEBHOOK_SECRET);
                let made = site
                    .create_jira_webhook("Tandem", "https://x.example/", "", &secret)
                    .await?;
                drop(made);
            }
            "delete_jira_webhook" => drop(site.delete_jira_webhook("7").await?),
            "jira_worklogs" => {
                let page = site.jira_worklogs(issue, 5000).await?;
                assert!(page.next.is_none_or(|next| next > 5000), "it does not go on");
            }
            "jira_changed" => drop(site.jira_changed(now).await?),
            "jira_permission_keys" => drop(site.jira_permission_keys().await?),
            "worklog_property" => drop(site.worklog_property(issue, jira, "tempo").await?),
            "put_worklog_property" => site.put_worklog_property(issue, jira, "x", json!(1)).await?,
            other => panic!("{other} is not called"),
        }
        Ok(())
    }

    /// An error is short, gives nothing away, and says truly whether something may have been done.
    fn judge(&self, error: &SiteError) {
        let status = self.response.status();
        let chars_max = match error.kind {
            SiteErrorKind::Malformed => MESSAGE_CHARS_MAX + OWN_CHARS_MAX,
            _ => MESSAGE_CHARS_MAX,
        };
        assert!(!error.message.is_empty());
        assert!(error.message.chars().count() <= chars_max, "{error}");
        assert!(!error.message.chars().any(char::is_control), "{error:?}");
        let shown = format!("{error} {error:?}");
        // What a call does not carry, its answer cannot give away.
        let carried: &[&str] = match self.call {
            "server_info" => &[],
            "create_jira_webhook" => &[TEMPO_TOKEN, JIRA_TOKEN, JIRA_EMAIL, WEBHOOK_SECRET],
            _ => &[TEMPO_TOKEN, JIRA_TOKEN, JIRA_EMAIL],
        };
        for secret in carried {
            assert_hides(&shown, secret, self.response.body());
        }
        let is_json = [b'{', b'['].contains(self.response.body().trim_ascii_start().first().unwrap_or(&0));
        if error.kind == SiteErrorKind::Malformed && is_json {
            assert_hides(&shown, PRIVATE_TEXT, self.response.body());
        }
        if let SiteErrorKind::RateLimited { retry_after } | SiteErrorKind::Unreachable { retry_after } =
            error.kind
        {
            assert!(retry_after.is_none_or(|wait| wait <= WAIT_MAX), "{error:?}");
        }
        assert_eq!(error.status, Some(status.as_u16()));
        let refused = status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT;
        if WRITES.contains(&self.call) && !refused && error.kind != SiteErrorKind::CredentialsRejected {
            assert_eq!(error.outcome, Outcome::Unknown, "{error:?}");
        } else {
            assert_eq!(error.outcome, Outcome::NothingDone, "{error:?}");
        }
    }
}

/// A page never leads back, and a row that cannot be read is told without what it says.
fn forward(page: Page<Worklog>, offset: u64) {
    assert!(page.next.is_none_or(|next| next > offset), "it does not go on");
    for bad in &page.bad {
        assert!(
            bad.text.chars().count() <= MESSAGE_CHARS_MAX + OWN_CHARS_MAX,
            "{bad:?}"
        );
        for secret in [TEMPO_TOKEN, JIRA_TOKEN, PRIVATE_TEXT] {
            assert_hides(&bad.text, secret, &[]);
        }
    }
}

/// Each worklog that can be read by itself is read among the others too, and a page is refused for what is
/// around its rows alone.
fn one_bad_row_spoils_no_other(body: &[u8]) {
    let Ok(mut body) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let Some(rows) = body.get_mut("results").and_then(Value::as_array_mut) else {
        return;
    };
    let rows = rows.clone();
    let base = "https://api.tempo.io".parse().unwrap();
    let read = |body: &Value| wire::page(body.to_string().as_bytes(), &base, 0, None);
    match read(&body) {
        Ok(page) => {
            assert_eq!(page.rows.len() + page.bad.len(), rows.len(), "a row is lost");
            let alone: Vec<Worklog> = rows
                .iter()
                .filter_map(|row| wire::worklog(row.to_string().as_bytes()).ok())
                .collect();
            assert_eq!(page.rows, alone);
        }
        Err(_) => {
            body["results"] = rows.iter().map(|_| json!({})).collect();
            assert!(read(&body).is_err(), "its rows alone make a page unreadable");
        }
    }
}

fn content() -> Content {
    Content {
        author: "712020:0a1b2c3d-0000-4000-8000-00000000000a".into(),
        start_date: date(2026, 3, 2),
        start_time: Some(jiff::civil::time(8, 30, 0, 0)),
        time_spent_secs: 5400,
        billable_secs: Some(5400),
        description: PRIVATE_TEXT.into(),
        attributes: [("_Account_".to_owned(), "ACME1".to_owned())].into(),
    }
}
