//! The token bucket and the state of sites.

use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tandem_core::SiteName;
use tandem_engine::ports::Store;
use tandem_engine::ports::site::Vendor;
use tandem_engine::ports::store::{Committed, OwnAccount, Pause, SiteState, Slot, Telling};

use crate::world::*;

const INTERVAL: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(1);

fn millis(millis: i64) -> Timestamp {
    start() + SignedDuration::from_millis(millis)
}

#[tokio::test]
async fn slots_are_spaced_exactly_and_impatience_takes_none() {
    let store = store().await;
    for n in 0..6 {
        assert_eq!(
            store.reserve(&acme(), start(), INTERVAL, PATIENCE).await.unwrap(),
            Slot::At(millis(n * 200))
        );
    }
    for _ in 0..3 {
        let slot = store.reserve(&acme(), start(), INTERVAL, PATIENCE).await.unwrap();
        assert_eq!(
            slot,
            Slot::NotBefore(millis(200)),
            "then the wait is just bearable"
        );
    }
    assert_eq!(
        store
            .reserve(&acme(), millis(200), INTERVAL, PATIENCE)
            .await
            .unwrap(),
        Slot::At(millis(1200))
    );
    assert_eq!(
        store
            .reserve(&globex(), start(), INTERVAL, PATIENCE)
            .await
            .unwrap(),
        Slot::At(start())
    );
    let idle = at(60);
    assert_eq!(
        store.reserve(&acme(), idle, INTERVAL, PATIENCE).await.unwrap(),
        Slot::At(idle),
        "none are saved up"
    );
    let next = store.reserve(&acme(), idle, INTERVAL, PATIENCE).await.unwrap();
    assert_eq!(next, Slot::At(idle + SignedDuration::from_millis(200)));
}

#[tokio::test]
async fn eight_at_once_get_eight_slots() {
    let embedded = tandem_aws::Embedded::open(None).await.unwrap();
    // Each its own process, as far as memory goes.
    let stores: Vec<_> = (0..8).map(|_| yielding(&embedded)).collect();
    let site: SiteName = acme();
    let now = at(5);
    let slots = join_all(
        stores
            .iter()
            .map(|store| store.reserve(&site, now, INTERVAL, Duration::from_secs(5))),
    )
    .await;
    let mut moments: Vec<Timestamp> = slots
        .into_iter()
        .map(|slot| match slot.unwrap() {
            Slot::At(moment) => moment,
            Slot::NotBefore(moment) => panic!("{moment}"),
        })
        .collect();
    moments.sort();
    let expected: Vec<Timestamp> = (0..8)
        .map(|n| now + SignedDuration::from_millis(200 * n))
        .collect();
    assert_eq!(moments, expected);
}

#[tokio::test]
async fn a_slot_costs_one_request_or_two() {
    let store = store().await;
    store.reserve(&acme(), at(0), INTERVAL, PATIENCE).await.unwrap();
    store.counts().reset();
    store.reserve(&acme(), at(0), INTERVAL, PATIENCE).await.unwrap();
    store.reserve(&acme(), at(10), INTERVAL, PATIENCE).await.unwrap();
    assert_eq!(
        store.counts().total(),
        2,
        "this process knows which way to try first"
    );
}

#[tokio::test]
async fn a_held_bucket_stays_closed() {
    let store = store().await;
    store.hold(&acme(), at(30)).await.unwrap();
    store.hold(&acme(), at(10)).await.unwrap();
    assert_eq!(
        store.reserve(&acme(), at(0), INTERVAL, PATIENCE).await.unwrap(),
        Slot::NotBefore(at(29))
    );
    assert_eq!(
        store.reserve(&acme(), at(29), INTERVAL, PATIENCE).await.unwrap(),
        Slot::At(at(30))
    );
    assert_eq!(
        store.reserve(&acme(), at(31), INTERVAL, PATIENCE).await.unwrap(),
        Slot::At(at(31))
    );
}

#[tokio::test]
async fn a_sites_state_is_remembered() {
    let store = store().await;
    assert_eq!(store.site(&acme()).await.unwrap(), SiteState::default());
    let state = SiteState {
        paused: Some(Pause {
            since: at(1),
            detail: "401".to_owned(),
            credentials: None,
            probe_at: at(60),
            by: vec![Vendor::Jira],
        }),
        papertrail: Some(false),
        demands_estimate: true,
        links: Some(Telling {
            refused_since: Some(at(2)),
        }),
        missing_permissions: vec!["BROWSE_PROJECTS".to_owned()],
        credentials: Some("abc".to_owned()),
        own_account: Some(OwnAccount {
            credentials: Some("abc".to_owned()),
            account: "712020:tandem".into(),
        }),
        rev: 0,
    };
    assert_eq!(store.put_site(&acme(), &state).await.unwrap(), Committed::Yes);
    let known = store.site(&acme()).await.unwrap();
    assert_eq!(
        known,
        SiteState {
            rev: 1,
            ..state.clone()
        }
    );
    // Who has read it before writes nothing over.
    assert_eq!(store.put_site(&acme(), &state).await.unwrap(), Committed::Lost);
    assert_eq!(store.site(&acme()).await.unwrap(), known);
    assert_eq!(store.put_site(&acme(), &known).await.unwrap(), Committed::Yes);
    assert_eq!(store.site(&acme()).await.unwrap().rev, 2);
}
