//! The history, cursors, notes, people and configurations.

use futures::future::join_all;
use tandem_core::AccountId;
use tandem_engine::ports::Store;
use tandem_engine::ports::store::{Cursor, Op, PersonRow};

use crate::world::*;

#[tokio::test]
async fn the_history_comes_newest_last() {
    let store = store().await;
    let forever = "2100-01-01T00:00:00Z".parse().unwrap();
    for n in 0..30 {
        let link = if n % 3 == 0 { link(1, 2) } else { link(3, 4) };
        store
            .commit(vec![Op::PutHistory(Box::new(line(n, link, forever)))])
            .await
            .unwrap();
    }
    let mut other = link(1, 2);
    other.connection = "other".into();
    store
        .commit(vec![Op::PutHistory(Box::new(line(100, other, forever)))])
        .await
        .unwrap();
    let ids = |lines: Vec<tandem_engine::ports::store::HistoryRow>| {
        lines
            .into_iter()
            .map(|line| line.id.parse::<u64>().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ids(store.history(&[connection()], None, 4).await.unwrap()),
        [26, 27, 28, 29]
    );
    // One of them is found by its id, however old it is, in its own connection alone.
    let first = store.history(&[connection()], None, 30).await.unwrap().remove(0);
    let found = store.history_line(&connection(), &first.id).await.unwrap();
    assert_eq!(found, Some(first.clone()));
    assert_eq!(
        store.history_line(&"other".into(), &first.id).await.unwrap(),
        None
    );
    assert_eq!(
        ids(store
            .history(&[connection()], Some(&link(1, 2)), 3)
            .await
            .unwrap()),
        [21, 24, 27]
    );
    assert_eq!(
        ids(store
            .history(&[connection(), "other".into()], None, 2)
            .await
            .unwrap()),
        [29, 100]
    );
    assert_eq!(
        store.history(&[connection()], None, 1_000).await.unwrap().len(),
        30
    );
    assert_eq!(
        store.history(&[connection()], None, 1).await.unwrap(),
        vec![line(29, link(3, 4), forever)]
    );
}

#[tokio::test]
async fn lines_past_their_time_are_left_out_and_swept() {
    let embedded = tandem_aws::Embedded::open(None).await.unwrap();
    let store = embedded.store();
    store
        .commit(vec![Op::PutHistory(Box::new(line(1, link(1, 2), at(5))))])
        .await
        .unwrap();
    store.put_cursor("c", &Cursor { at: at(1) }).await.unwrap();
    let now = jiff::Timestamp::now();
    assert!(now > at(5), "the tests' moments are past");
    assert!(store.history(&[connection()], None, 10).await.unwrap().is_empty());
    assert_eq!(embedded.sweep_expired().await.unwrap(), 1);
    assert_eq!(embedded.sweep_expired().await.unwrap(), 0);
    assert!(store.cursor("c").await.unwrap().is_some());
}

#[tokio::test]
async fn a_cursor_never_goes_back() {
    let store = store().await;
    assert!(store.cursor("papertrail#acme").await.unwrap().is_none());
    for (put, expected) in [(5, 5), (3, 5), (9, 9), (9, 9)] {
        store
            .put_cursor("papertrail#acme", &Cursor { at: at(put) })
            .await
            .unwrap();
        assert_eq!(
            store.cursor("papertrail#acme").await.unwrap().unwrap().at,
            at(expected)
        );
    }
}

#[tokio::test]
async fn a_note_is_what_was_last_written() {
    let store = store().await;
    assert!(store.note("attributes").await.unwrap().is_none());
    for text in ["one", "", "two"] {
        store.put_note("attributes", text).await.unwrap();
        assert_eq!(store.note("attributes").await.unwrap().as_deref(), Some(text));
    }
}

#[tokio::test]
async fn people_are_known_for_a_while() {
    let store = store().await;
    let person = PersonRow {
        account: AccountId::new("557058:a#b"),
        other: None,
        display_name: Some("Ada".to_owned()),
        expires: at(60),
    };
    store.put_person(&acme(), &globex(), &person).await.unwrap();
    let asked = [person.account.clone(), AccountId::new("nobody")];
    assert_eq!(
        store.people(&acme(), &globex(), &asked, at(59)).await.unwrap(),
        vec![person]
    );
    assert!(
        store
            .people(&acme(), &globex(), &asked, at(60))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        store
            .people(&globex(), &acme(), &asked, at(0))
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn configurations_are_numbered_without_gaps() {
    let store = store().await;
    assert!(store.config().await.unwrap().is_none());
    let texts: Vec<String> = (0..8).map(|n| format!("# {n}")).collect();
    let numbers = join_all(texts.iter().map(|text| store.put_config(text, at(0)))).await;
    let mut numbers: Vec<u64> = numbers.into_iter().map(Result::unwrap).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(store.put_config("newest", at(7)).await.unwrap(), 9);
    let newest = store.config().await.unwrap().unwrap();
    assert_eq!(
        (newest.number, newest.text.as_str(), newest.at),
        (9, "newest", at(7))
    );
    let listed: Vec<u64> = store
        .configs(3)
        .await
        .unwrap()
        .into_iter()
        .map(|version| version.number)
        .collect();
    assert_eq!(listed, [9, 8, 7]);
}
