//! The brake on mass deletes.

use futures::future::join_all;
use tandem_core::WorklogId;
use tandem_engine::ports::Store;

use crate::world::*;

#[tokio::test]
async fn each_delete_counts_once_and_a_release_forgets_it() {
    let store = store().await;
    let deletes = |range: std::ops::Range<u64>| range.map(|n| (acme(), WorklogId(n))).collect::<Vec<_>>();
    let connection = connection();
    assert_eq!(
        store
            .brake(&connection, &deletes(0..3), at(-3600), at(0), 20)
            .await
            .unwrap(),
        3
    );
    assert_eq!(
        store
            .brake(&connection, &deletes(1..5), at(-3600), at(1), 20)
            .await
            .unwrap(),
        5
    );
    let other_site = vec![(globex(), WorklogId(0)), (globex(), WorklogId(0))];
    assert_eq!(
        store
            .brake(&connection, &other_site, at(-3600), at(1), 20)
            .await
            .unwrap(),
        6
    );
    assert_eq!(
        store.brake(&connection, &[], at(1), at(2), 20).await.unwrap(),
        3,
        "the window moved on"
    );
    assert_eq!(
        store
            .brake(&connection, &deletes(0..3), at(1), at(2), 20)
            .await
            .unwrap(),
        3,
        "first times count"
    );
    store.release_brake(&connection, at(2)).await.unwrap();
    assert_eq!(
        store.brake(&connection, &[], at(-3600), at(2), 20).await.unwrap(),
        0
    );
    assert_eq!(
        store
            .brake(&connection, &deletes(0..2), at(-3600), at(2), 20)
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        store
            .brake(&"other".into(), &[], at(-3600), at(2), 20)
            .await
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn runners_that_register_together_count_everything() {
    let store = store().await;
    let lists: Vec<Vec<_>> = (0..8)
        .map(|n| (0..40).map(|m| (acme(), WorklogId(n * 30 + m))).collect())
        .collect();
    let connection = connection();
    let counts = join_all(
        lists
            .iter()
            .map(|list| store.brake(&connection, list, at(-60), at(0), 1_000)),
    )
    .await;
    assert!(counts.iter().all(Result::is_ok));
    assert_eq!(
        store
            .brake(&connection, &[], at(-60), at(0), 1_000)
            .await
            .unwrap(),
        250
    );
    assert!(store.brake(&connection, &[], at(-60), at(0), 20).await.unwrap() > 20);
}

#[tokio::test]
async fn whoever_dies_while_a_purge_is_registered_leaves_what_is_registered_held() {
    let connection = connection();
    let purge: Vec<_> = (0..60).map(|n| (acme(), WorklogId(n))).collect();
    let mut partly = 0;
    for polls in 0..200 {
        let store = yielding(&tandem_aws::Embedded::open(None).await.unwrap());
        let mut registering = store.brake(&connection, &purge, at(-3600), at(0), 21);
        for _ in 0..polls {
            if futures::poll!(registering.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(registering);
        // Hours later, when the window has passed.
        let since = at(9 * 3600);
        let (_, new) = store.brake_ahead(&connection, &purge, since, 21).await.unwrap();
        let known: Vec<_> = purge.iter().filter(|one| !new.contains(one)).cloned().collect();
        if known.is_empty() {
            continue;
        }
        partly += usize::from(known.len() < purge.len());
        let (count, _) = store.brake_ahead(&connection, &known, since, 21).await.unwrap();
        assert!(
            count >= 21,
            "died after {polls} polls, {} registered",
            known.len()
        );
    }
    assert!(partly > 0);
}
