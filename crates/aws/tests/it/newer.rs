//! Newer configurations, found along with a look-up.

use tandem_aws::{Embedded, Told};
use tandem_core::{IssueId, WorklogId};
use tandem_engine::ports::store::LookupQuery;
use tandem_engine::ports::{Store, StoreError};

use crate::world::*;

#[tokio::test]
async fn a_newer_version_comes_with_a_look_up_whose_rows_serve_once_more() {
    let embedded = Embedded::open(None).await.unwrap();
    let (store, site) = (embedded.store(), acme());
    store.put_link(&link_row(link(1, 2)), &sites()).await.unwrap();
    let (one, two) = ([connection()], [connection(), "another".into()]);
    let of = |connections| LookupQuery {
        issue: Some(IssueId(1)),
        worklog: Some(WorklogId(7)),
        ..query(&site, &[], connections)
    };
    store.put_config("1", at(0)).await.unwrap();

    store.newer().ask(1);
    let found = store.lookup(&of(&one)).await.unwrap().issue;
    assert!(found.as_ref().is_some_and(|issue| !issue.links.is_empty()));
    assert_eq!(store.newer().take(), Told::None);

    store.put_config("2", at(0)).await.unwrap();
    store.put_config("3", at(0)).await.unwrap();
    let before = store.counts().total();
    store.newer().ask(1);
    let refused = store.lookup(&of(&one)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let Told::Newest(newest) = store.newer().take() else {
        panic!("it has told nothing");
    };
    assert_eq!((newest.number, newest.text.as_str()), (3, "3"));
    assert_eq!(store.lookup(&of(&one)).await.unwrap().issue, found);
    assert_eq!(store.counts().total() - before, 1);
    // Once, and what follows is what the table says then.
    store.drop_link(&link(1, 2), &sites()).await.unwrap();
    assert_ne!(store.lookup(&of(&one)).await.unwrap().issue, found);

    // Neither for another question, nor for long.
    for (connections, now) in [(&two[..], start()), (&one[..], at(60))] {
        store.newer().ask(1);
        store.lookup(&of(&one)).await.unwrap_err();
        let before = store.counts().total();
        let query = LookupQuery {
            now,
            ..of(connections)
        };
        assert_eq!(store.newer().take(), Told::Newest(newest.clone()));
        store.lookup(&query).await.unwrap();
        assert_eq!(store.counts().total() - before, 1, "{connections:?}");
    }
}

#[tokio::test]
async fn a_newer_version_that_cannot_be_read_is_left_to_whoever_asks_for_it_by_itself() {
    let embedded = Embedded::open(None).await.unwrap();
    let (store, site) = (embedded.store(), acme());
    store.put_config("1", at(0)).await.unwrap();
    let strange =
        br#"{"TableName":"tandem","Item":{"pk":{"S":"CONFIG"},"sk":{"S":"0000000002"},"body":{"S":"?"}}}"#;
    let (status, answer) = embedded.answer("PutItem", strange).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    store.newer().ask(1);
    let connections = [connection()];
    store
        .lookup(&query(&site, &["m".to_owned()], &connections))
        .await
        .unwrap();
    assert_eq!(store.newer().take(), Told::Nothing);
}
