//! A site that makes up each page of worklogs when it is asked for, behind the vendors' HTTP.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use tandem_atlassian::{Transport, TransportError};
use tandem_core::{Side, Worklog};

use crate::scale::{SITES, Scale};

/// What was asked of the sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Pages of worklogs.
    pub listings: u64,
    /// Pages of the feeds of deletes.
    pub feeds: u64,
    /// Anything else: not expected, and answered 404.
    pub others: u64,
}

/// Both sites of the connection.
#[derive(Debug)]
pub struct MadeUpSites {
    scale: Scale,
    requests: Mutex<Requests>,
}

impl MadeUpSites {
    /// Makes sites of a scale.
    pub fn new(scale: Scale) -> Self {
        Self {
            scale,
            requests: Mutex::default(),
        }
    }

    /// Returns what was asked so far.
    pub fn requests(&self) -> Requests {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request<Bytes>) -> Option<String> {
        let path = request.uri().path();
        let side = Side::BOTH
            .into_iter()
            .find(|side| path.split('/').any(|part| part == SITES[*side]))?;
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if path.ends_with("/4/worklogs/search") {
            requests.listings += 1;
            drop(requests);
            let (offset, limit) = (parameter(request, "offset")?, parameter(request, "limit")?);
            return Some(self.page(side, offset, limit));
        }
        if path.ends_with("/4/papertrail/search") {
            requests.feeds += 1;
            return Some(r#"{"metadata":{},"results":[]}"#.to_owned());
        }
        if path.ends_with("/rest/api/3/worklog/deleted") {
            requests.feeds += 1;
            let since = parameter(request, "since")?;
            return Some(format!(
                r#"{{"values":[],"since":{since},"until":{since},"lastPage":true}}"#
            ));
        }
        requests.others += 1;
        None
    }

    fn page(&self, side: Side, offset: u64, limit: u64) -> String {
        let end = (offset + limit).min(self.scale.worklogs);
        let mut text = String::from(r#"{"self":"http://127.0.0.1:1/4/worklogs/search","results":["#);
        for number in offset..end {
            if number > offset {
                text.push(',');
            }
            row(&mut text, &self.scale.shown(side, number));
        }
        let count = end.saturating_sub(offset);
        let _ = write!(
            text,
            r#"],"metadata":{{"count":{count},"offset":{offset},"limit":{limit}"#
        );
        if end < self.scale.worklogs {
            let site = SITES[side];
            let _ = write!(
                text,
                r#","next":"http://127.0.0.1:1/tempo/{site}/4/worklogs/search?offset={end}&limit={limit}""#
            );
        }
        text.push_str("}}");
        text
    }
}

/// Writes a worklog as Tempo does. Nothing in it needs escaping.
fn row(text: &mut String, worklog: &Worklog) {
    let Worklog {
        id,
        issue,
        content,
        created_at,
        updated_at,
    } = worklog;
    let time = content
        .start_time
        .map(|time| time.to_string())
        .unwrap_or_default();
    let _ = write!(
        text,
        r#"{{"self":"https://api.tempo.io/4/worklogs/{id}","tempoWorklogId":{id},"issue":{{"self":"https://site.example/rest/api/2/issue/{issue}","id":{issue}}},"timeSpentSeconds":{},"billableSeconds":{},"startDate":"{}","startTime":"{time}","startDateTimeUtc":"{}T{time}Z","description":"{}","createdAt":"{created_at}","updatedAt":"{updated_at}","author":{{"self":"https://site.example/rest/api/2/user?accountId={}","accountId":"{}"}},"attributes":{{"self":"https://api.tempo.io/4/worklogs/{id}/work-attribute-values","values":["#,
        content.time_spent_secs,
        content.billable_secs.unwrap_or_default(),
        content.start_date,
        content.start_date,
        content.description,
        content.author,
        content.author,
    );
    for (at, (key, value)) in content.attributes.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let _ = write!(text, r#"{comma}{{"key":"{key}","value":"{value}"}}"#);
    }
    text.push_str("]}}");
}

fn parameter(request: &Request<Bytes>, name: &str) -> Option<u64> {
    let query = request.uri().query()?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name)?.1.parse().ok()
}

#[async_trait]
impl Transport for MadeUpSites {
    async fn send(
        &self,
        request: Request<Bytes>,
        _deadline: Duration,
    ) -> Result<Response<Bytes>, TransportError> {
        let (status, body) = match self.answer(&request) {
            Some(body) => (200, body),
            None => (404, "{}".to_owned()),
        };
        Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .body(Bytes::from(body))
            .map_err(|error| TransportError::NotSent(error.to_string()))
    }
}
