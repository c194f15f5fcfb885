//! A person is planted in every kind of row and forgotten; then all rows are searched for what they were called and wrote.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use jiff::Timestamp;
use tandem_aws::{DynamoStore, Embedded, Forget, Found};
use tandem_core::{
    AccountId, Content, Intent, IntentKind, IssueId, JiraWorklogId, LinkKey, Pair, PairId, PairState, Side,
    Sides, WorklogId,
};
use tandem_engine::ports::store::{
    Announced, Announcement, Committed, Echo, Hint, HistoryRow, Op, PersonRow,
};
use tandem_engine::ports::{Grounds, Store};

use crate::world::*;

const ANN: &str = "557058:ann-1";
/// Somebody whose account begins as Ann's does.
const BOB: &str = "557058:ann-12";
/// Whose name stands where Ann has no account.
const FALLBACK: &str = "557058:desk";

/// Words of Ann's, and of sites about her; none may be left.
const WORDS: [&str; 5] = [
    ANN,
    "ann's words",
    "Ann Archer",
    "ann's other account",
    "ann's attribute",
];

fn by(author: &str, text: &str) -> Content {
    let mut content = content(text);
    content.author = AccountId::new(author);
    content
        .attributes
        .insert("_Note_".to_owned(), format!("{text}, attribute"));
    content
}

fn anns(text: &str) -> Content {
    let mut content = by(ANN, text);
    content
        .attributes
        .insert("_Note_".to_owned(), "ann's attribute".to_owned());
    content
}

/// What a fallback author's worklog says on the other side.
fn fallbacks() -> Content {
    let mut content = anns("[Ann Archer] ann's words");
    content.author = AccountId::new(FALLBACK);
    content
}

fn forever() -> Timestamp {
    "2100-01-01T00:00:00Z".parse().unwrap()
}

fn told(number: i64, of: &Pair, before: Option<Content>, after: Option<Content>) -> HistoryRow {
    let mut line = line(number, of.link.clone(), forever());
    line.pair = of.id.clone();
    (line.before, line.after) = (before, after);
    line
}

fn intent(body: Content) -> Intent {
    Intent {
        kind: IntentKind::Update,
        side: Side::B,
        issue: IssueId(2),
        worklog: Some(WorklogId(7)),
        source: Some(anns("ann's words")),
        before: Some(anns("ann's words")),
        then: Some(Sides::new(anns("ann's words"), fallbacks())),
        entered: Some(at(0)),
        body,
        at: at(0),
        until: at(60),
        waited: None,
    }
}

fn of(link: LinkKey, worklog: u64, base: Sides<Content>, state: PairState) -> Pair {
    let mut pair = pair(link, worklog);
    pair.base = Some(base);
    pair.state = state;
    pair
}

async fn put(store: &DynamoStore, op: Op) {
    assert_eq!(store.commit(vec![op]).await.unwrap(), Committed::Yes);
}

/// Pair 7 is alive, 8 is a tombstone, 9 was kept on one side, 10 is alive under a link that is no more; 11 is Bob's.
async fn plant(store: &DynamoStore) {
    let person = |account: &str, other: Option<&str>| PersonRow {
        account: account.into(),
        other: other.map(AccountId::from),
        display_name: Some("Ann Archer".to_owned()),
        expires: forever(),
    };
    let looked_up = person(ANN, Some("ann's other account"));
    store.put_person(&acme(), &globex(), &looked_up).await.unwrap();
    let back = person("ann's other account", Some(ANN));
    store.put_person(&globex(), &acme(), &back).await.unwrap();
    let mut bob = person(BOB, None);
    bob.display_name = Some("Bob Baker".to_owned());
    store.put_person(&acme(), &globex(), &bob).await.unwrap();

    let note = Echo {
        author: Some(ANN.into()),
        ..echo("T1", forever())
    };
    put(store, Op::PutEcho(note)).await;

    store.put_link(&link_row(link(1, 2)), &sites()).await.unwrap();
    let theirs = || Sides::new(anns("ann's words"), fallbacks());
    let mut live = of(link(1, 2), 7, theirs(), PairState::Live);
    let mut tombstone = of(link(1, 2), 8, theirs(), PairState::Gone);
    let mut unlinked = of(link(3, 4), 10, theirs(), PairState::Live);
    let kept = of(link(1, 2), 9, theirs(), PairState::Kept);
    for pair in [&mut live, &mut tombstone, &mut unlinked] {
        pair.intent = Some(intent(fallbacks()));
        pair.abandoned = vec![intent(anns("ann's words"))];
        let mut wait = wait(at(0));
        wait.detail = format!("side b answered: {ANN}, Ann Archer, may not");
        wait.tried.a = Some(anns("ann's words"));
        pair.wait = Some(wait);
    }
    let bobs = of(
        link(1, 2),
        11,
        Sides::new(by(BOB, "bob's words"), by(BOB, "bob's words")),
        PairState::Gone,
    );
    for pair in [&live, &tombstone, &kept, &unlinked, &bobs] {
        put(store, Op::PutPair(Box::new(pair.clone()))).await;
    }

    let mut lines = Vec::new();
    for (number, pair) in [(1, &tombstone), (2, &kept), (3, &unlinked)] {
        // On side b the fallback's name stands, and Ann's account nowhere in the line.
        lines.push(told(number, pair, None, Some(fallbacks())));
        lines.push(told(number + 10, pair, Some(anns("ann's words")), None));
        // What a decision rested on names her where nothing else of the line does.
        let mut parked = told(number + 40, pair, None, None);
        let (seen, base) = (fallbacks(), Sides::new(anns("ann's words"), fallbacks()));
        parked.grounds = Some(Grounds::of(
            (None, None),
            Sides::new(None, Some(&seen)),
            Some(&base),
            Some("conflict = park".to_owned()),
        ));
        lines.push(parked);
    }
    let mut refused = told(20, &tombstone, Some(fallbacks()), Some(fallbacks()));
    refused.lost = vec!["description on b: ann's words".to_owned()];
    refused.cause = "acme changed it; refused: Ann Archer may not".to_owned();
    lines.push(refused);
    lines.push(told(30, &bobs, Some(by(BOB, "bob's words")), None));
    // The same name of a pair, in another connection: nobody's business here.
    let mut other = told(31, &tombstone, Some(by(BOB, "bob's words")), None);
    other.connection = "other".into();
    other.link.as_mut().unwrap().connection = "other".into();
    lines.push(other);
    for line in lines {
        put(store, Op::PutHistory(Box::new(line))).await;
    }

    let announced = |author: Option<&str>, text: &str, id| Announcement {
        side: Side::A,
        what: Announced::Jira {
            id: JiraWorklogId(id),
            updated_at: at(0),
            author: author.map(AccountId::from),
            time_spent_secs: Some(60),
            description: text.to_owned(),
        },
        until: at(300),
    };
    let told = Hint {
        announced: vec![
            announced(Some(ANN), "ann's words", 1),
            announced(Some(BOB), "bob's words", 2),
        ],
        ..hint(due(1, 2), at(0))
    };
    store.hint(&[told], &[], at(0)).await.unwrap();
    // Jira did not say whose this is.
    let nobodys = Hint {
        announced: vec![
            announced(None, "ann's words", 3),
            announced(Some(BOB), "bob's words", 4),
        ],
        ..hint(due(3, 4), at(0))
    };
    store.hint(&[nobodys], &[], at(0)).await.unwrap();

    for text in [
        "map = [[\"557058:ann-1\", \"x\"], [\"557058:ann-12\", \"y\"]]",
        "map = []",
    ] {
        store.put_config(text, at(0)).await.unwrap();
    }
}

/// All rows, as the table holds them.
async fn rows(embedded: &Embedded) -> Vec<String> {
    let (status, answer) = embedded
        .answer("Scan", br#"{"TableName":"tandem","ConsistentRead":true}"#)
        .await
        .unwrap();
    assert_eq!(status, 200, "{answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert!(answer["LastEvaluatedKey"].is_null(), "one page is enough here");
    let rows = answer["Items"].as_array().unwrap();
    rows.iter().map(ToString::to_string).collect()
}

/// The rows that still tell of Ann, without the one of the pair that is alive.
async fn telling(embedded: &Embedded) -> Vec<String> {
    let is_hers = |row: &String| {
        let others = row.replace(BOB, "");
        WORDS.iter().any(|word| others.contains(word))
    };
    let mut rows = rows(embedded).await;
    rows.retain(is_hers);
    rows.retain(|row| !row.contains("\\\"id\\\":\\\"a7\\\""));
    rows
}

fn nothing(_: u64) {}

async fn forget(store: &DynamoStore, how: Forget) -> Found {
    store.forget(&ANN.into(), how, nothing).await.unwrap()
}

#[tokio::test]
async fn nothing_tells_of_a_forgotten_person_but_the_pairs_that_are_alive() {
    let embedded = Embedded::open(None).await.unwrap();
    let store = embedded.store();
    plant(&store).await;
    let before = rows(&embedded).await;
    assert!(telling(&embedded).await.len() > 10);

    let looked = forget(&store, Forget::Look).await;
    assert_eq!(rows(&embedded).await, before, "looking changed something");
    let found = forget(&store, Forget::Now).await;
    assert_eq!(looked, found, "what is announced is what is done");
    assert_eq!(
        found,
        Found {
            read: before.len() as u64,
            people: 2,
            echoes: 1,
            due: 1,
            history: 10,
            pairs: 3,
            configs: 1,
            kept_pairs: 1,
            also: [AccountId::new("ann's other account")].into(),
            ..Found::default()
        }
    );
    let left = telling(&embedded).await;
    assert!(left.is_empty(), "{left:#?}");

    // Everybody else's is as it was.
    let bob = store
        .people(&acme(), &globex(), &[BOB.into()], at(0))
        .await
        .unwrap();
    assert_eq!(bob[0].display_name.as_deref(), Some("Bob Baker"));
    let bobs = store
        .pair(&link(1, 2), &PairId::new("a11"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(bobs.base.unwrap().a, by(BOB, "bob's words"));
    let due = store.due_row(&due(1, 2)).await.unwrap().unwrap();
    assert_eq!(due.announced.len(), 1);
    let nobodys = store.due_row(&crate::world::due(3, 4)).await.unwrap().unwrap();
    assert_eq!(nobodys.announced.len(), 1);
    let versions = store.configs(2).await.unwrap();
    assert!(versions[1].text.contains("forgotten-") && versions[1].text.contains(BOB));

    // The ledger stays: what was done, when, and how long it was.
    let lines = store.history(&[connection()], None, 100).await.unwrap();
    assert_eq!(lines.len(), 11);
    let tombstone = lines.iter().find(|line| line.id == "000011").unwrap();
    let body = tombstone.before.as_ref().unwrap();
    assert_eq!((body.author.as_str(), body.time_spent_secs), ("forgotten", 3600));
    assert_eq!((body.start_date, body.start_time), (content("").start_date, None));
    let refused = lines.iter().find(|line| line.id == "000020").unwrap();
    assert_eq!(refused.cause, "acme changed it; refused: forgotten");
    let parked = lines.iter().find(|line| line.id == "000041").unwrap();
    let agreed = parked.agreed(Side::A).unwrap();
    assert_eq!(
        (agreed.author.as_str(), agreed.time_spent_secs),
        ("forgotten", 3600)
    );
    assert_eq!(parked.policy(), Some("conflict = park"));
    let bobs = lines.iter().find(|line| line.id == "000030").unwrap();
    assert_eq!(bobs.before, Some(by(BOB, "bob's words")));

    // What is alive goes on as it was, and is said again.
    let live = store
        .pair(&link(1, 2), &PairId::new("a7"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(live.base.unwrap().a, anns("ann's words"));
    let again = forget(&store, Forget::Now).await;
    assert_eq!(
        again,
        Found {
            read: again.read,
            kept_pairs: 1,
            ..Found::default()
        }
    );
}

#[tokio::test]
async fn a_pair_goes_once_it_is_not_alive_any_more() {
    let embedded = Embedded::open(None).await.unwrap();
    let store = embedded.store();
    plant(&store).await;
    forget(&store, Forget::Now).await;
    let mut pair = store
        .pair(&link(1, 2), &PairId::new("a7"))
        .await
        .unwrap()
        .unwrap();
    pair.state = PairState::Gone;
    pair.rev += 1;
    put(&store, Op::PutPair(Box::new(pair.clone()))).await;
    assert_eq!(forget(&store, Forget::Now).await.pairs, 1);
    let everything = rows(&embedded).await.concat();
    assert!(!everything.replace(BOB, "").contains(ANN), "{everything}");
    // A run that read the row before does not bring it back.
    pair.rev += 1;
    let written = store.commit(vec![Op::PutPair(Box::new(pair))]).await.unwrap();
    assert_eq!(written, Committed::Lost);
}

#[tokio::test]
async fn the_configuration_in_use_stays_and_is_told() {
    let store = store().await;
    for text in [
        "map = [[\"557058:ann-1\", \"x\"]]",
        "unknown = \"account:557058:ann-1\"",
    ] {
        store.put_config(text, at(0)).await.unwrap();
    }
    let found = forget(&store, Forget::Now).await;
    assert_eq!((found.configs, found.kept_config), (1, Some(2)));
    assert!(store.config().await.unwrap().unwrap().text.contains(ANN));
    store.put_config("map = []", at(0)).await.unwrap();
    let found = forget(&store, Forget::Now).await;
    assert_eq!((found.configs, found.kept_config), (1, None));
}

#[tokio::test]
async fn a_row_of_an_unknown_kind_is_told_and_left() {
    let store = store().await;
    store
        .put_note("somebody", &format!("met {ANN} today"))
        .await
        .unwrap();
    let found = forget(&store, Forget::Now).await;
    assert_eq!(found.others, [("NOTE".to_owned(), 1)].into());
    assert!(store.note("somebody").await.unwrap().unwrap().contains(ANN));
}

/// Lets so many requests through and refuses all that follow, as if the process had died there.
#[derive(Clone, Debug)]
struct Dying(SharedHttpConnector, Arc<AtomicI64>);

impl HttpConnector for Dying {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if self.1.fetch_sub(1, Ordering::SeqCst) > 0 {
            return self.0.call(request);
        }
        let body = r#"{"__type":"com.amazonaws.dynamodb.v20120810#AccessDeniedException","message":"dead"}"#;
        HttpConnectorFuture::ready(Ok(HttpResponse::new(
            400.try_into().unwrap(),
            SdkBody::from(body),
        )))
    }
}

#[tokio::test]
async fn a_call_that_is_broken_off_anywhere_is_finished_by_the_next() {
    let mut finished = false;
    for requests in 1..200 {
        let embedded = Embedded::open(None).await.unwrap();
        plant(&embedded.store()).await;
        let left = Arc::new(AtomicI64::new(requests));
        let dying = embedded.store_through(|client| {
            http_client_fn(move |settings, components| {
                let inner = client.http_connector(settings, components);
                SharedHttpConnector::new(Dying(inner, Arc::clone(&left)))
            })
        });
        finished = dying.forget(&ANN.into(), Forget::Now, nothing).await.is_ok();
        forget(&embedded.store(), Forget::Now).await;
        let left = telling(&embedded).await;
        assert!(left.is_empty(), "broken off after {requests} requests: {left:#?}");
        if finished {
            break;
        }
    }
    assert!(finished, "it never came to its end");
}
