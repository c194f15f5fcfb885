//! The table as `plan` sees it, whose requests count towards a site's limit like all others.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tandem_aws::DynamoStore;
use tandem_engine::operator::ReadOnly;
use tandem_engine::ports::store::Slot;
use tandem_engine::ports::{Clock, Store};

use crate::world::*;

const INTERVAL: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(3);

fn millis(millis: i64) -> Timestamp {
    start() + SignedDuration::from_millis(millis)
}

/// Time that passes only where somebody sleeps, and somebody else who takes a slot each time it does, if anybody.
struct Slept {
    now: Mutex<Timestamp>,
    other: Option<(Arc<DynamoStore>, Mutex<Vec<Timestamp>>)>,
}

#[async_trait::async_trait]
impl Clock for Slept {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        let now = self.now() + SignedDuration::try_from(duration).unwrap();
        *self.now.lock().unwrap() = now;
        self.other_works().await;
    }
}

impl Slept {
    async fn other_works(&self) {
        let Some((store, slots)) = &self.other else {
            return;
        };
        match store
            .reserve(&acme(), self.now(), INTERVAL, PATIENCE)
            .await
            .unwrap()
        {
            Slot::At(at) => slots.lock().unwrap().push(at),
            Slot::NotBefore(at) => panic!("no slot before {at}"),
        }
    }
}

fn alone() -> Arc<Slept> {
    let now = Mutex::new(start());
    Arc::new(Slept { now, other: None })
}

/// Takes a slot and waits for its moment.
async fn slot(ahead: &ReadOnly, clock: &Slept) -> Timestamp {
    match ahead
        .reserve(&acme(), clock.now(), INTERVAL, PATIENCE)
        .await
        .unwrap()
    {
        Slot::At(at) => {
            clock.sleep(at.duration_since(clock.now()).unsigned_abs()).await;
            at
        }
        Slot::NotBefore(at) => panic!("no slot before {at}"),
    }
}

#[tokio::test]
async fn who_looks_ahead_alone_keeps_to_the_rate_and_writes_nothing() {
    let store = Arc::new(store().await);
    let clock = alone();
    let ahead = ReadOnly::new(store.clone(), clock.clone());
    for n in 0..10 {
        assert_eq!(slot(&ahead, &clock).await, millis(n * 200));
    }
    assert_eq!(store.free_at(&acme()).await.unwrap(), None);
    assert_eq!(
        ahead.free_at(&acme()).await.unwrap(),
        Some(millis(2000)),
        "who ends is to wait until then"
    );
    let globex = globex();
    let ahead = || ahead.reserve(&globex, clock.now(), INTERVAL, Duration::ZERO);
    assert_eq!(ahead().await.unwrap(), Slot::At(millis(1800)));
    assert_eq!(ahead().await.unwrap(), Slot::NotBefore(millis(2000)));
}

#[tokio::test]
async fn what_ended_a_moment_ago_is_waited_out_and_not_written_to() {
    let store = Arc::new(store().await);
    store.reserve(&acme(), start(), INTERVAL, PATIENCE).await.unwrap();
    let clock = alone();
    let ahead = ReadOnly::new(store.clone(), clock.clone());
    assert_eq!(slot(&ahead, &clock).await, millis(1200));
    assert_eq!(slot(&ahead, &clock).await, millis(1400));
    assert_eq!(store.free_at(&acme()).await.unwrap(), Some(millis(200)));
}

#[tokio::test]
async fn beside_somebody_at_work_no_two_slots_are_closer_than_the_rate_allows() {
    let store = Arc::new(store().await);
    let clock = Arc::new(Slept {
        now: Mutex::new(start()),
        other: Some((store.clone(), Mutex::default())),
    });
    clock.other_works().await;
    let ahead = ReadOnly::new(store, clock.clone());
    let mut slots = Vec::new();
    for _ in 0..30 {
        slots.push(slot(&ahead, &clock).await);
    }
    slots.append(&mut clock.other.as_ref().unwrap().1.lock().unwrap());
    slots.sort();
    assert!(slots.len() > 60, "{slots:?}");
    let close = slots
        .windows(2)
        .find(|pair| pair[1].duration_since(pair[0]) < SignedDuration::try_from(INTERVAL).unwrap());
    assert_eq!(close, None);
}

#[tokio::test]
async fn whoever_begins_meanwhile_is_noticed_whatever_their_clock_says() {
    let store = Arc::new(store().await);
    let clock = alone();
    let ahead = ReadOnly::new(store.clone(), clock.clone());
    store.reserve(&acme(), start(), INTERVAL, PATIENCE).await.unwrap();
    clock.sleep(Duration::from_secs(20)).await;
    for slow in [0, 1500, 2900] {
        slot(&ahead, &clock).await;
        let theirs = clock.now() - SignedDuration::from_millis(slow);
        store.reserve(&acme(), theirs, INTERVAL, PATIENCE).await.unwrap();
        let before = store.free_at(&acme()).await.unwrap();
        slot(&ahead, &clock).await;
        assert_ne!(store.free_at(&acme()).await.unwrap(), before, "not in line");
        clock.sleep(Duration::from_secs(20)).await;
    }
}

#[tokio::test]
async fn a_429_while_looking_ahead_keeps_everybody_away_from_the_site() {
    let store = Arc::new(store().await);
    let clock = alone();
    let ahead = ReadOnly::new(store.clone(), clock.clone());
    slot(&ahead, &clock).await;
    ahead.hold(&acme(), at(2)).await.unwrap();
    assert_eq!(store.free_at(&acme()).await.unwrap(), Some(at(2)));
    assert_eq!(slot(&ahead, &clock).await, at(2));
    let left = store.free_at(&acme()).await.unwrap().unwrap();
    assert_eq!(
        left,
        at(2) + SignedDuration::try_from(INTERVAL).unwrap(),
        "taken from the bucket that all share"
    );
}
