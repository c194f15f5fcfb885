//! What a look at a large table costs.
//!
//! A million pairs: `cargo test --release --locked -p tandem --test it -- --ignored a_look_at_a_million`

use serde_json::{Value, json};
use tandem_aws::{DynamoStore, Embedded};
use tandem_core::{
    ConnectionName, Content, IssueId, LinkKey, Pair, Reason, Side, Sides, SiteName, Wait, WorklogId,
};
use tandem_engine::ports::Store;
use tandem_engine::ports::store::{Committed, DueKey, Hint, Lane, LinkRow, Linked, Op};
use tokio::runtime::Runtime;

use crate::amazon::Amazon;
use crate::bench::{Bench, run};

/// Pairs of a link.
const PER_LINK: u64 = 50;

/// A table behind an address, and the read units that were asked of it, as DynamoDB charges them.
struct Metered {
    amazon: Amazon,
    store: DynamoStore,
    runtime: Runtime,
}

impl Metered {
    /// A table with so many pairs. Three of them wait, and two links are due, whatever their number.
    fn with(pairs: u64) -> Self {
        let runtime = Runtime::new().unwrap();
        let embedded = runtime.block_on(Embedded::open(None)).unwrap();
        let store = embedded.store();
        let amazon = Amazon::serve(&runtime, embedded);
        runtime.block_on(fill(&store, pairs));
        Self {
            amazon,
            store,
            runtime,
        }
    }

    /// Runs a command on the table. Returns what it told and how many units it read.
    fn read_by(&self, bench: &Bench, command: &[&str]) -> (Value, f64) {
        self.read_by_ending(bench, command, 3)
    }

    /// The same of one that ends with such an exit code.
    fn read_by_ending(&self, bench: &Bench, command: &[&str], code: i32) -> (Value, f64) {
        self.amazon.take_units();
        let mut command = bench.without_data(command);
        self.amazon.used_by(command.arg("--json"));
        (run(&mut command).ended(code).json(), self.amazon.take_units())
    }
}

fn link(number: u64) -> LinkKey {
    LinkKey {
        connection: ConnectionName::new("acme-globex"),
        a: IssueId(1_000_000 + number),
        b: IssueId(2_000_000 + number),
    }
}

fn pair(number: u64) -> Pair {
    let content = Content {
        author: "ann".into(),
        start_date: jiff::civil::date(2026, 3, 2),
        start_time: None,
        time_spent_secs: 3600,
        billable_secs: None,
        description: "Reviewed the change to the pricing module with the team".to_owned(),
        attributes: Default::default(),
    };
    let (link, a) = (link(number / PER_LINK), WorklogId(10_000_000 + number));
    let mut pair = Pair::half(Pair::id_for(Side::A, a, link.a), link, Side::A, a);
    pair.ids.b = Some(WorklogId(50_000_000 + number));
    pair.base = Some(Sides::new(content.clone(), content));
    pair.rev = 1;
    if number < 3 {
        pair.wait = Some(Wait {
            reason: Reason::Conflict,
            side: Side::A,
            detail: "both sides changed the text".to_owned(),
            since: "2026-03-02T09:00:00Z".parse().unwrap(),
            attempts: 1,
            next_attempt: None,
            tried: Sides::default(),
            moved: false,
        });
    }
    pair
}

async fn fill(store: &DynamoStore, pairs: u64) {
    let sites = Sides::new(SiteName::new("acme"), SiteName::new("globex"));
    for number in 0..pairs.div_ceil(PER_LINK) {
        let key = link(number);
        let row = LinkRow {
            a_key: Some(format!("SUP-{number}")),
            b_key: Some(format!("DEV-{number}")),
            found_by: "table".to_owned(),
            since: "2026-03-02T09:00:00Z".parse().unwrap(),
            outside: None,
            key,
        };
        assert_eq!(store.put_link(&row, &sites).await.unwrap(), Linked::New);
    }
    let numbers: Vec<u64> = (0..pairs).collect();
    for some in numbers.chunks(100) {
        let ops = some
            .iter()
            .map(|number| Op::PutPair(Box::new(pair(*number))))
            .collect();
        assert_eq!(store.commit(ops).await.unwrap(), Committed::Yes);
    }
    let hints: Vec<Hint> = [4, 5]
        .map(|number| Hint {
            key: DueKey::Link(link(number)),
            lane: Lane::Sweep,
            ready_at: "2026-03-02T09:00:00Z".parse().unwrap(),
            announced: Vec::new(),
            force: false,
            trace: None,
        })
        .into();
    let now = "2026-03-02T09:00:00Z".parse().unwrap();
    store.hint(&hints, &[], now).await.unwrap();
}

/// Read units of `status` and of `queue`.
const UNITS: [f64; 2] = [13.0, 5.0];

/// What `status` and `queue` read of a table: in units, and in words.
fn glanced(bench: &Bench, pairs: u64) -> [f64; 2] {
    let table = Metered::with(pairs);
    // What was there before anybody asked is counted once; that this shows proves that more would show.
    let (_, first) = table.read_by(bench, &["status"]);
    let (status, read_by_status) = table.read_by(bench, &["status"]);
    assert!(first > read_by_status, "{first}, then {read_by_status}");
    assert_eq!(status["connections"][0]["links"], pairs.div_ceil(PER_LINK));
    assert_eq!(
        (&status["queue"]["parked"], &status["queue"]["due"]),
        (&json!(3), &json!(2)),
        "{status}"
    );
    let (queue, read_by_queue) = table.read_by(bench, &["queue"]);
    assert_eq!(queue.as_array().unwrap().len(), 5, "{queue}");
    // The pairs are really there.
    let last = link(pairs.div_ceil(PER_LINK) - 1);
    assert_eq!(
        table.runtime.block_on(table.store.pairs(&last)).unwrap().len() as u64,
        PER_LINK
    );
    assert!(read_by_status > 0.0 && read_by_queue > 0.0);
    [read_by_status, read_by_queue]
}

#[test]
fn a_look_at_twenty_times_as_many_pairs_reads_no_more() {
    let bench = Bench::new();
    assert_eq!(glanced(&bench, 1_000), UNITS);
    assert_eq!(glanced(&bench, 20_000), UNITS);
}

/// What `status` and `queue` read for an issue of which nothing waits, in units.
fn glanced_at_an_issue(bench: &Bench, pairs: u64) -> [f64; 2] {
    let table = Metered::with(pairs);
    let key = LinkKey {
        connection: ConnectionName::new("acme-globex"),
        a: IssueId(bench.acme().issue_id("SUP-3")),
        b: IssueId(bench.globex().issue_id("DEV-3")),
    };
    let row = LinkRow {
        a_key: Some("SUP-3".to_owned()),
        b_key: Some("DEV-3".to_owned()),
        found_by: "command".to_owned(),
        since: "2026-03-02T09:00:00Z".parse().unwrap(),
        outside: None,
        key,
    };
    let sites = Sides::new(SiteName::new("acme"), SiteName::new("globex"));
    let linked = table.runtime.block_on(table.store.put_link(&row, &sites));
    assert_eq!(linked.unwrap(), Linked::New);
    let (status, read_by_status) = table.read_by_ending(bench, &["status", "--issue", "DEV-3"], 0);
    assert_eq!(status["connections"][0]["links"], 1, "{status}");
    let (queue, read_by_queue) = table.read_by_ending(bench, &["queue", "--issue", "sup-3"], 0);
    assert_eq!(queue, json!([]));
    assert!(read_by_status > 0.0 && read_by_queue > 0.0);
    [read_by_status, read_by_queue]
}

#[test]
fn a_look_at_an_issue_reads_no_more_of_twenty_times_as_many_links() {
    let bench = Bench::new();
    let few = glanced_at_an_issue(&bench, 1_000);
    assert_eq!(glanced_at_an_issue(&bench, 20_000), few);
}

#[test]
#[ignore = "fills a table with a million pairs; see the top of this file"]
fn a_look_at_a_million_pairs_reads_no_more() {
    let bench = Bench::new();
    assert_eq!(glanced(&bench, 1_000_000), UNITS);
}
