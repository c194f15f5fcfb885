//! Hints, leases and the ends of looks.

use std::collections::BTreeSet;

use futures::future::join_all;
use tandem_core::Reason;
use tandem_engine::ports::Store;
use tandem_engine::ports::store::{Announced, DueKey, DueRow, Finish, Lane, Op};

use crate::world::*;

fn again(seconds: i64) -> Finish {
    Finish::Again {
        at: at(seconds),
        attempts: 2,
        reason: Some(Reason::PeriodClosed),
        detail: Some("closed".to_owned()),
        quiet: false,
        announced: vec![announcement(9)],
    }
}

async fn row(store: &impl Store) -> DueRow {
    store.due_row(&due(1, 2)).await.unwrap().unwrap()
}

#[tokio::test]
async fn fifty_hints_are_one_row() {
    let store = store().await;
    let hints = (0..50).map(|n| {
        let store = &store;
        async move { store.hint(&[hint(due(1, 2), at(2))], &[], at(n % 3)).await }
    });
    for hinted in join_all(hints).await {
        hinted.unwrap();
    }
    let (rows, cursor) = store.due(None).await.unwrap();
    let mut rows = rows;
    let mut cursor = cursor;
    while let Some(next) = cursor {
        let (mut more, following) = store.due(Some(next)).await.unwrap();
        rows.append(&mut more);
        cursor = following;
    }
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].generation, 50);
    assert_eq!(rows[0].plain_hints, 50);
    assert_eq!(rows[0].next_attempt, at(2));
}

#[tokio::test]
async fn a_burst_of_hints_cannot_push_the_time_back() {
    let store = store().await;
    for n in 0..20 {
        store
            .hint(&[hint(due(1, 2), at(n + 2))], &[], at(n))
            .await
            .unwrap();
    }
    assert_eq!(row(&store).await.next_attempt, at(2));
    assert_eq!(row(&store).await.since, at(0));
}

#[tokio::test]
async fn an_earlier_hint_brings_the_time_forward_and_a_later_one_does_not_push_it_back() {
    let store = store().await;
    store
        .hint(&[hint(due(1, 2), at(3600))], &[], at(0))
        .await
        .unwrap();
    store.hint(&[hint(due(1, 2), at(2))], &[], at(0)).await.unwrap();
    assert_eq!(row(&store).await.next_attempt, at(2));
    let taken = store.take(&due(1, 2), "me", at(5), LEASE).await.unwrap().unwrap();
    store.finish(&taken, "me", &again(30), at(6)).await.unwrap();
    store
        .hint(&[hint(due(1, 2), at(3600))], &[], at(7))
        .await
        .unwrap();
    assert_eq!(row(&store).await.next_attempt, at(30));
}

#[tokio::test]
async fn a_hint_brings_a_failed_row_forward_and_keeps_its_attempts() {
    let store = store().await;
    store.hint(&[hint(due(1, 2), at(0))], &[], at(0)).await.unwrap();
    let taken = store.take(&due(1, 2), "me", at(1), LEASE).await.unwrap().unwrap();
    store.finish(&taken, "me", &again(900), at(2)).await.unwrap();
    let failed = row(&store).await;
    assert_eq!(
        (failed.attempts, failed.reason, failed.next_attempt),
        (2, Some(Reason::PeriodClosed), at(900))
    );
    assert_eq!(
        (failed.since, failed.plain_hints, failed.owner.as_deref()),
        // What did not go through is still to be looked at.
        (at(0), 1, None)
    );
    assert!(store.ready(at(10), 10).await.unwrap().is_empty());
    store.hint(&[hint(due(1, 2), at(12))], &[], at(10)).await.unwrap();
    let hinted = row(&store).await;
    assert_eq!(
        (hinted.attempts, hinted.next_attempt, hinted.since),
        (2, at(12), at(0))
    );
    assert_eq!(hinted.announced, vec![announcement(9)]);
}

#[tokio::test]
async fn what_hints_bring_is_kept_together() {
    let store = store().await;
    let mut sweep = hint(due(1, 2), at(0));
    sweep.lane = Lane::Sweep;
    sweep.announced = vec![announcement(1)];
    let mut backfill = hint(due(1, 2), at(0));
    backfill.lane = Lane::Backfill;
    backfill.force = true;
    store.hint(&[backfill.clone()], &[], at(0)).await.unwrap();
    store.hint(&[sweep.clone(), sweep], &[], at(0)).await.unwrap();
    let row = row(&store).await;
    assert_eq!(
        (row.lane, row.force, row.generation, row.plain_hints),
        (Lane::Sweep, true, 3, 1)
    );
    assert_eq!(row.announced, vec![announcement(1), announcement(1)]);
}

#[tokio::test]
async fn only_the_fifty_newest_announcements_are_kept() {
    let store = store().await;
    for n in 0..60 {
        let mut hint = hint(due(1, 2), at(0));
        hint.announced = vec![announcement(n)];
        store.hint(&[hint], &[], at(0)).await.unwrap();
    }
    let taken = store.take(&due(1, 2), "me", at(1), LEASE).await.unwrap().unwrap();
    assert_eq!(taken.announced.len(), 50);
    assert_eq!(taken.announced[0], announcement(10));
    assert_eq!(taken.announced[49], announcement(59));
}

#[tokio::test]
async fn long_announcements_never_stop_a_hint() {
    let store = store().await;
    for n in 0..40 {
        let mut long = hint(due(1, 2), at(0));
        long.announced = vec![long_announcement(n, 30_000)];
        // Half of them with something else, so that both ways of sending are seen.
        let extra = if n % 2 == 0 {
            vec![]
        } else {
            vec![Op::PutEcho(echo("m", at(60)))]
        };
        store.hint(&[long], &extra, at(0)).await.unwrap();
    }
    let taken = store.take(&due(1, 2), "me", at(1), LEASE).await.unwrap().unwrap();
    assert_eq!(taken.generation, 40);
    let last = taken.announced.last().unwrap();
    assert!(matches!(&last.what, Announced::Jira { id, .. } if id.0 == 39));
    assert!(taken.announced.len() >= 4);
}

#[tokio::test]
async fn eight_takers_get_one_lease() {
    let store = store().await;
    store.hint(&[hint(due(1, 2), at(0))], &[], at(0)).await.unwrap();
    let takers: Vec<String> = (0..8).map(|n| format!("runner-{n}")).collect();
    let taken = join_all(takers.iter().map(|owner| {
        let store = &store;
        async move { store.take(&due(1, 2), owner, at(1), LEASE).await.unwrap() }
    }))
    .await;
    assert_eq!(taken.iter().flatten().count(), 1);
    let key = due(1, 2);
    let same = join_all((0..8).map(|_| store.take(&key, "same", at(70), LEASE))).await;
    assert_eq!(
        same.into_iter()
            .filter(|taken| taken.as_ref().unwrap().is_some())
            .count(),
        1
    );
}

#[tokio::test]
async fn nothing_is_taken_that_is_not_there() {
    let store = store().await;
    assert!(
        store
            .take(&due(1, 2), "me", at(0), LEASE)
            .await
            .unwrap()
            .is_none()
    );
    assert!(store.due_row(&due(1, 2)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_look_that_is_done_leaves_no_row() {
    let store = store().await;
    store.hint(&[hint(due(1, 2), at(0))], &[], at(0)).await.unwrap();
    let taken = store.take(&due(1, 2), "me", at(1), LEASE).await.unwrap().unwrap();
    assert!(store.ready(at(2), 10).await.unwrap().is_empty());
    store.finish(&taken, "me", &Finish::Done, at(2)).await.unwrap();
    assert!(store.due_row(&due(1, 2)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_hint_during_a_run_outlives_its_end() {
    let store = store().await;
    let mut first = hint(due(1, 2), at(0));
    first.announced = vec![announcement(1)];
    first.force = true;
    store.hint(&[first], &[], at(0)).await.unwrap();
    let taken = store.take(&due(1, 2), "me", at(1), LEASE).await.unwrap().unwrap();
    assert!(taken.force);
    let mut second = hint(due(1, 2), at(7));
    second.announced = vec![announcement(2)];
    second.lane = Lane::Sweep;
    store.hint(&[second], &[], at(5)).await.unwrap();
    assert!(
        store.ready(at(8), 10).await.unwrap().is_empty(),
        "it is being worked on"
    );
    store.finish(&taken, "me", &Finish::Done, at(9)).await.unwrap();
    let left = row(&store).await;
    assert_eq!(left.announced, vec![announcement(2)]);
    assert_eq!((left.force, left.lane, left.plain_hints), (false, Lane::Sweep, 0));
    assert_eq!(
        (left.next_attempt, left.since, left.owner.as_deref()),
        (at(7), at(5), None)
    );
    assert_eq!(store.ready(at(9), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_look_that_failed_keeps_the_newer_hint_and_the_earlier_time() {
    let store = store().await;
    for (hinted, failed, expected) in [(7, 900, 7), (900, 7, 7)] {
        store.hint(&[hint(due(1, 2), at(0))], &[], at(0)).await.unwrap();
        let taken = store.take(&due(1, 2), "me", at(1), LEASE).await.unwrap().unwrap();
        let mut newer = hint(due(1, 2), at(hinted));
        newer.announced = vec![announcement(3)];
        store.hint(&[newer], &[], at(5)).await.unwrap();
        store.finish(&taken, "me", &again(failed), at(6)).await.unwrap();
        let left = row(&store).await;
        assert_eq!(left.next_attempt, at(expected));
        assert_eq!(left.announced, vec![announcement(9), announcement(3)]);
        assert_eq!((left.attempts, left.since), (2, at(0)));
        let taken = store
            .take(&due(1, 2), "me", at(1000), LEASE)
            .await
            .unwrap()
            .unwrap();
        store.finish(&taken, "me", &Finish::Done, at(1001)).await.unwrap();
    }
}

#[tokio::test]
async fn a_run_that_dies_loses_nothing() {
    let store = store().await;
    let mut first = hint(due(1, 2), at(0));
    first.announced = vec![announcement(1)];
    first.force = true;
    store
        .hint(&[first, hint(due(1, 2), at(0))], &[], at(0))
        .await
        .unwrap();
    store
        .take(&due(1, 2), "dies", at(1), LEASE)
        .await
        .unwrap()
        .unwrap();
    let mut second = hint(due(1, 2), at(10));
    second.announced = vec![announcement(2)];
    store.hint(&[second], &[], at(8)).await.unwrap();
    assert!(store.ready(at(60), 10).await.unwrap().is_empty());
    assert_eq!(
        store.ready(at(61), 10).await.unwrap().len(),
        1,
        "its lease has run out"
    );
    let taken = store
        .take(&due(1, 2), "next", at(61), LEASE)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(taken.announced, vec![announcement(1), announcement(2)]);
    assert_eq!((taken.force, taken.plain_hints, taken.generation), (true, 1, 3));
}

#[tokio::test]
async fn a_run_that_dies_without_a_newer_hint_is_listed_again() {
    let store = store().await;
    store.hint(&[hint(due(1, 2), at(0))], &[], at(0)).await.unwrap();
    store
        .take(&due(1, 2), "dies", at(1), LEASE)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(store.ready(at(62), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_lost_lease_ends_nothing() {
    let store = store().await;
    store.hint(&[hint(due(1, 2), at(0))], &[], at(0)).await.unwrap();
    let late = store
        .take(&due(1, 2), "late", at(1), LEASE)
        .await
        .unwrap()
        .unwrap();
    let now = store
        .take(&due(1, 2), "now", at(100), LEASE)
        .await
        .unwrap()
        .unwrap();
    assert!(!store.renew(&due(1, 2), "late", at(101), LEASE).await.unwrap());
    store.finish(&late, "late", &Finish::Done, at(101)).await.unwrap();
    store.finish(&late, "late", &again(500), at(101)).await.unwrap();
    let row = row(&store).await;
    assert_eq!((row.owner.as_deref(), row.attempts), (Some("now"), 0));
    assert!(store.renew(&due(1, 2), "now", at(101), LEASE).await.unwrap());
    assert_eq!(
        store.due_row(&due(1, 2)).await.unwrap().unwrap().lease_until,
        Some(at(161))
    );
    store.finish(&now, "now", &Finish::Done, at(102)).await.unwrap();
    store.finish(&now, "now", &again(500), at(102)).await.unwrap();
    assert!(
        store.due_row(&due(1, 2)).await.unwrap().is_none(),
        "no row comes back"
    );
    assert!(!store.renew(&due(1, 2), "now", at(103), LEASE).await.unwrap());
}

#[tokio::test]
async fn a_quiet_row_wakes_with_a_hint() {
    let store = store().await;
    store.hint(&[hint(due(1, 2), at(0))], &[], at(0)).await.unwrap();
    let taken = store.take(&due(1, 2), "me", at(1), LEASE).await.unwrap().unwrap();
    let quiet = Finish::Again {
        at: at(900),
        attempts: 0,
        reason: None,
        detail: None,
        quiet: true,
        announced: Vec::new(),
    };
    store.finish(&taken, "me", &quiet, at(2)).await.unwrap();
    let calm = row(&store).await;
    assert!(calm.quiet);
    assert_eq!((calm.since, calm.next_attempt), (at(900), at(900)));
    store.hint(&[hint(due(1, 2), at(22))], &[], at(20)).await.unwrap();
    let awake = row(&store).await;
    assert!(!awake.quiet);
    assert_eq!((awake.since, awake.next_attempt), (at(20), at(22)));
}

#[tokio::test]
async fn ready_rows_come_soonest_first_and_live_ones_are_never_crowded_out() {
    let store = store().await;
    let backfill: Vec<_> = (0..200)
        .map(|n| {
            let mut hint = hint(due(100 + n, 1), at(0));
            hint.lane = Lane::Backfill;
            hint
        })
        .collect();
    store.hint(&backfill, &[], at(0)).await.unwrap();
    store
        .hint(
            &[
                hint(due(1, 2), at(9)),
                hint(due(3, 4), at(8)),
                hint(due(5, 6), at(50)),
            ],
            &[],
            at(7),
        )
        .await
        .unwrap();
    let ready = store.ready(at(10), 20).await.unwrap();
    assert_eq!(ready.len(), 20);
    assert!(ready.is_sorted_by_key(|row| row.next_attempt));
    let keys: BTreeSet<DueKey> = ready.into_iter().map(|row| row.key).collect();
    assert!(keys.contains(&due(1, 2)) && keys.contains(&due(3, 4)) && !keys.contains(&due(5, 6)));
    assert_eq!(store.ready(at(10), 1_000).await.unwrap().len(), 202);
    assert!(store.ready(at(10), 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_webhook_costs_two_requests() {
    let store = store().await;
    let (site, connections) = (acme(), vec![connection()]);
    let marks = vec!["one".to_owned(), "two".to_owned(), "two".to_owned()];
    store.counts().reset();
    let mut lookup = query(&site, &marks, &connections);
    lookup.issue = Some(tandem_core::IssueId(1));
    lookup.jira = Some(tandem_core::JiraWorklogId(1));
    lookup.worklog = Some(tandem_core::WorklogId(1));
    store.lookup(&lookup).await.unwrap();
    assert_eq!(
        (store.counts().of("BatchGetItem"), store.counts().total()),
        (1, 1)
    );
    store.hint(&[hint(due(1, 2), at(2))], &[], at(0)).await.unwrap();
    assert_eq!((store.counts().of("UpdateItem"), store.counts().total()), (1, 2));
    store.counts().reset();
    let learn = Op::PutLearn {
        site: acme(),
        worklog: tandem_core::WorklogId(5),
        at: at(0),
        anew: false,
    };
    let hints: Vec<_> = (0..89).map(|n| hint(due(n, n), at(2))).collect();
    store.hint(&hints, &[learn], at(0)).await.unwrap();
    assert_eq!(
        (store.counts().of("TransactWriteItems"), store.counts().total()),
        (1, 1)
    );
    store.counts().reset();
    store.lookup(&query(&site, &[], &[])).await.unwrap();
    assert_eq!(store.counts().total(), 0, "nothing was asked");
}

#[tokio::test]
async fn many_hints_are_all_stored() {
    let store = store().await;
    let hints: Vec<_> = (0..250).map(|n| hint(due(n, n), at(2))).collect();
    let extra: Vec<_> = (0..200)
        .map(|n| Op::PutEcho(echo(&format!("m{n}"), at(60))))
        .collect();
    store.hint(&hints, &extra, at(0)).await.unwrap();
    assert_eq!(store.ready(at(3), 1_000).await.unwrap().len(), 250);
    let (site, marks) = (acme(), vec!["m0".to_owned(), "m199".to_owned()]);
    assert_eq!(
        store
            .lookup(&query(&site, &marks, &[]))
            .await
            .unwrap()
            .echoes
            .len(),
        2
    );
}

#[tokio::test]
async fn an_issue_can_be_due_as_well_as_a_link() {
    let store = store().await;
    let key = DueKey::Issue {
        site: "odd#name%".into(),
        issue: tandem_core::IssueId(5),
    };
    store.hint(&[hint(key.clone(), at(0))], &[], at(0)).await.unwrap();
    let ready = store.ready(at(1), 5).await.unwrap();
    assert_eq!(ready[0].key, key);
    let taken = store.take(&key, "me", at(1), LEASE).await.unwrap().unwrap();
    store.finish(&taken, "me", &Finish::Done, at(2)).await.unwrap();
    assert!(store.ready(at(1), 5).await.unwrap().is_empty());
}

#[tokio::test]
async fn racing_hints_and_looks_lose_no_hint() {
    let store = store().await;
    let hints = async {
        for n in 0..200_u64 {
            let mut one = hint(due(1, 2), at(0));
            one.announced = vec![announcement(n)];
            store.hint(&[one], &[], at(0)).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let looks = async {
        let mut seen = BTreeSet::new();
        let mut idle = 0;
        while idle < 50 {
            match store.take(&due(1, 2), "me", at(0), LEASE).await.unwrap() {
                Some(taken) => {
                    idle = 0;
                    for announced in &taken.announced {
                        if let Announced::TempoDeleted { id } = &announced.what {
                            seen.insert(id.0);
                        }
                    }
                    tokio::task::yield_now().await;
                    store.finish(&taken, "me", &Finish::Done, at(0)).await.unwrap();
                }
                None => {
                    idle += 1;
                    tokio::task::yield_now().await;
                }
            }
        }
        seen
    };
    let ((), seen) = futures::join!(hints, looks);
    assert_eq!(seen.len(), 200);
}

#[tokio::test]
async fn a_row_names_what_brought_its_hints_until_a_look_goes_through() {
    let store = store().await;
    let traced = |name: &str| tandem_engine::ports::store::Hint {
        trace: Some(name.to_owned()),
        ..hint(due(1, 2), at(2))
    };
    for name in ["one", "two"] {
        store.hint(&[traced(name)], &[], at(0)).await.unwrap();
    }
    store.hint(&[hint(due(1, 2), at(2))], &[], at(0)).await.unwrap();
    let taken = store.take(&due(1, 2), "me", at(5), LEASE).await.unwrap().unwrap();
    assert_eq!(taken.traces, ["one", "two"]);

    store.hint(&[traced("three")], &[], at(6)).await.unwrap();
    store.finish(&taken, "me", &again(30), at(6)).await.unwrap();
    let taken = store
        .take(&due(1, 2), "me", at(31), LEASE)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        taken.traces,
        ["one", "two", "three"],
        "what did not go through keeps its causes"
    );

    store.hint(&[traced("four")], &[], at(32)).await.unwrap();
    store.finish(&taken, "me", &Finish::Done, at(33)).await.unwrap();
    assert_eq!(row(&store).await.traces, ["four"]);

    let many: Vec<_> = (0..30).map(|n| traced(&n.to_string())).collect();
    store.hint(&many, &[], at(34)).await.unwrap();
    let newest: Vec<_> = (20..30).map(|n: i32| n.to_string()).collect();
    assert_eq!(row(&store).await.traces, newest);
}
