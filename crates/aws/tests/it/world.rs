//! What the tests are made of.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use jiff::{SignedDuration, Timestamp};
use tandem_aws::{AwsEnvironment, DynamoStore, Embedded, TableCounts};
use tandem_core::{
    AccountId, ConnectionName, Content, IssueId, LinkKey, Pair, PairId, Reason, Side, Sides, SiteName, Wait,
    WorklogId,
};
use tandem_engine::ports::store::{
    Announced, Announcement, DueKey, Echo, Hint, HistoryRow, Lane, LinkRow, LookupQuery,
};

/// The moment at which the tests begin.
pub(crate) fn start() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().unwrap()
}

/// A moment so many seconds later.
pub(crate) fn at(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// Names an endpoint of DynamoDB, or of what stands in for it, to hold the contract against instead of the
/// embedded table. Each test makes a table of its own there.
const ENDPOINT: &str = "TANDEM_TEST_DYNAMODB";

pub(crate) async fn store() -> DynamoStore {
    if let Ok(endpoint) = std::env::var(ENDPOINT) {
        return at_endpoint(endpoint).await;
    }
    yielding(&Embedded::open(None).await.unwrap())
}

async fn at_endpoint(endpoint: String) -> DynamoStore {
    static TABLES: AtomicU32 = AtomicU32::new(0);
    let vars = [
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AWS_ENDPOINT_URL_DYNAMODB", endpoint),
    ];
    let environment = AwsEnvironment::from_vars(vars.map(|(name, value)| (name.to_owned(), value))).unwrap();
    let counts = TableCounts::default();
    let number = TABLES.fetch_add(1, Ordering::SeqCst);
    let table = format!("tandem-{}-{number}", std::process::id());
    let store = DynamoStore::new(environment.dynamodb(&counts), table, counts);
    store.create_table().await.unwrap();
    store
}

/// A store whose every request lets others go first, as a network would: what is meant to be at once then
/// really comes in between.
pub(crate) fn yielding(embedded: &Embedded) -> DynamoStore {
    embedded.store_through(|client| {
        http_client_fn(move |settings, components| {
            SharedHttpConnector::new(Yielding(client.http_connector(settings, components)))
        })
    })
}

#[derive(Clone, Debug)]
struct Yielding(SharedHttpConnector);

impl HttpConnector for Yielding {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let inner = self.0.clone();
        HttpConnectorFuture::new(async move {
            tokio::task::yield_now().await;
            let answer = inner.call(request).await;
            tokio::task::yield_now().await;
            answer
        })
    }
}

pub(crate) fn connection() -> ConnectionName {
    "acme-globex".into()
}

pub(crate) fn acme() -> SiteName {
    "acme".into()
}

pub(crate) fn globex() -> SiteName {
    "globex".into()
}

pub(crate) fn sites() -> Sides<SiteName> {
    Sides::new(acme(), globex())
}

pub(crate) fn link(a: u64, b: u64) -> LinkKey {
    LinkKey {
        connection: connection(),
        a: IssueId(a),
        b: IssueId(b),
    }
}

pub(crate) fn due(a: u64, b: u64) -> DueKey {
    DueKey::Link(link(a, b))
}

pub(crate) fn hint(key: DueKey, ready_at: Timestamp) -> Hint {
    Hint {
        key,
        lane: Lane::Live,
        ready_at,
        announced: Vec::new(),
        force: false,
        trace: None,
    }
}

pub(crate) fn announcement(worklog: u64) -> Announcement {
    Announcement {
        side: Side::A,
        what: Announced::TempoDeleted {
            id: WorklogId(worklog),
        },
        until: at(300),
    }
}

pub(crate) fn long_announcement(worklog: u64, letters: usize) -> Announcement {
    Announcement {
        side: Side::B,
        what: Announced::Jira {
            id: tandem_core::JiraWorklogId(worklog),
            updated_at: at(0),
            author: None,
            time_spent_secs: Some(60),
            description: "x".repeat(letters),
        },
        until: at(300),
    }
}

pub(crate) fn content(description: &str) -> Content {
    Content {
        author: AccountId::new("5f0a"),
        start_date: "2026-03-02".parse().unwrap(),
        start_time: Some("08:30:00".parse().unwrap()),
        time_spent_secs: 3600,
        billable_secs: Some(0),
        description: description.to_owned(),
        attributes: Default::default(),
    }
}

pub(crate) fn pair(link: LinkKey, worklog: u64) -> Pair {
    let mut pair = Pair::half(
        PairId::new(format!("a{worklog}")),
        link,
        Side::A,
        WorklogId(worklog),
    );
    pair.base = Some(Sides::new(content("a"), content("")));
    pair.rev = 1;
    pair
}

pub(crate) fn wait(since: Timestamp) -> Wait {
    Wait {
        reason: Reason::PeriodClosed,
        side: Side::B,
        detail: "closed".to_owned(),
        since,
        attempts: 1,
        next_attempt: None,
        tried: Sides::new(Some(content("a")), None),
        moved: false,
    }
}

pub(crate) fn link_row(key: LinkKey) -> LinkRow {
    LinkRow {
        key,
        a_key: Some("SUP-1".to_owned()),
        b_key: None,
        found_by: "table".to_owned(),
        since: start(),
        outside: None,
    }
}

pub(crate) fn echo(mark: &str, expires: Timestamp) -> Echo {
    Echo {
        site: acme(),
        mark: mark.to_owned(),
        connection: connection(),
        worklog: Some(WorklogId(1)),
        author: None,
        updated_at: None,
        expires,
    }
}

pub(crate) fn line(number: i64, link: LinkKey, expires: Timestamp) -> HistoryRow {
    HistoryRow {
        id: format!("{number:06}"),
        time: at(number),
        connection: link.connection.clone(),
        op: "update".to_owned(),
        side: Side::B,
        issue: Some(link.b),
        worklog: Some(WorklogId(7)),
        pair: PairId::new("a7"),
        cause: "acme changed the description".to_owned(),
        before: Some(content("before")),
        after: Some(content("after")),
        trace: None,
        grounds: None,
        lost: Vec::new(),
        expires,
        link: Some(link),
    }
}

pub(crate) fn query<'a>(
    site: &'a SiteName,
    marks: &'a [String],
    connections: &'a [ConnectionName],
) -> LookupQuery<'a> {
    LookupQuery {
        site,
        issue: None,
        marks,
        jira: None,
        worklog: None,
        connections,
        now: start(),
    }
}
