//! From the stream to the other site.

use std::time::Duration;

use serde_json::json;
use tandem_functions_test::event;

use crate::world::{World, hour};

#[tokio::test]
async fn an_edit_on_one_site_reaches_the_other_through_webhook_and_stream_and_worker() {
    let world = World::new().await;
    let id = world.acme().log_time("SUP-1", hour("first")).unwrap();
    assert!(world.settle().await.woken > 0);
    assert_eq!(world.said("globex", "DEV-1"), [(3600, "first".into())]);

    world
        .acme()
        .edit(id, |worklog| worklog.time_spent_secs = 1800)
        .unwrap();
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1"), [(1800, "first".into())]);

    let twin = world.globex().worklogs_of("DEV-1")[0].id;
    world
        .globex()
        .edit(twin, |worklog| worklog.description = Some("and back".into()))
        .unwrap();
    world.settle().await;
    assert_eq!(world.said("acme", "SUP-1"), [(1800, "and back".into())]);

    world.acme().delete(id).unwrap();
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1"), []);
    world.assert_well_behaved();
}

#[tokio::test]
async fn what_the_worker_does_to_a_row_wakes_nobody() {
    let world = World::new().await;
    // Makes the link, so that one hint is one run.
    world.pass("sweep").await;
    world.table.take_stream();

    world.acme().log_time("SUP-1", hour("once")).unwrap();
    for delivery in world.deliveries().await {
        world.hand_over(&delivery).await;
    }
    let records = world.take_waking();
    assert!(!records.is_empty());
    assert_eq!(world.wake(&records).await, Vec::<String>::new());
    assert_eq!(world.said("globex", "DEV-1").len(), 1);

    let rows = world.table.take_stream();
    let of_due_rows = |record: &&serde_json::Value| {
        record["dynamodb"]["Keys"]["pk"]["S"]
            .as_str()
            .is_some_and(|pk| pk.starts_with("DUE#LINK#"))
    };
    assert!(
        rows.iter().filter(of_due_rows).count() >= 2,
        "it took the row and gave it back"
    );
    let waking: Vec<_> = rows
        .iter()
        .filter(of_due_rows)
        .filter(|record| event::wakes(record))
        .collect();
    assert_eq!(waking, Vec::<&serde_json::Value>::new());
    world.assert_well_behaved();
}

#[tokio::test]
async fn the_records_of_a_burst_are_one_run() {
    let world = World::new().await;
    world.pass("sweep").await;
    world.table.take_stream();
    for n in 0..5 {
        world
            .acme()
            .log_time("SUP-1", hour(&format!("number {n}")))
            .unwrap();
    }
    let mut delivered = 0;
    while delivered < 5 {
        for delivery in world.deliveries().await {
            world.hand_over(&delivery).await;
            delivered += 1;
        }
    }
    let records = world.take_waking();
    assert!(records.len() >= 5, "each hint is a record");
    assert_eq!(world.wake(&records).await, Vec::<String>::new());
    assert_eq!(world.said("globex", "DEV-1"), world.said("acme", "SUP-1"));
    let requests = world.table.take_requests();
    let takes = requests.iter().filter(|request| {
        let row = request.body["Key"]["pk"]["S"].as_str().unwrap_or_default();
        let condition = request.body["ConditionExpression"].as_str().unwrap_or_default();
        row.starts_with("DUE#LINK#") && condition.contains("lease_until")
    });
    // Twice when the site's bucket is empty in between.
    assert!((1..=2).contains(&takes.count()), "{requests:#?}");
    world.assert_well_behaved();
}

#[tokio::test]
async fn records_whose_row_the_table_does_not_give_are_wanted_again() {
    let world = World::new().await;
    world.pass("sweep").await;
    world.table.take_stream();
    world.acme().log_time("SUP-1", hour("later")).unwrap();
    for delivery in world.deliveries().await {
        world.hand_over(&delivery).await;
    }
    let records = world.take_waking();
    // Has it read the configuration, as any but the first event finds it.
    assert_eq!(world.wake(&[]).await, Vec::<String>::new());
    world.table.set_down(true);
    let again = world.wake(&records).await;
    let all: Vec<_> = records
        .iter()
        .map(|record| record["dynamodb"]["SequenceNumber"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(again, all);
    assert_eq!(world.said("globex", "DEV-1"), []);

    world.table.set_down(false);
    assert_eq!(world.wake(&records).await, Vec::<String>::new());
    assert_eq!(world.said("globex", "DEV-1"), [(3600, "later".into())]);
    // The same batch once more finds nothing to do.
    assert_eq!(world.wake(&records).await, Vec::<String>::new());
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
    world.assert_well_behaved();
}

#[tokio::test]
async fn a_worker_without_time_leaves_the_row_to_the_schedule() {
    let world = World::new().await;
    world.acme().log_time("SUP-1", hour("soon")).unwrap();
    for delivery in world.deliveries().await {
        world.hand_over(&delivery).await;
    }
    let batch = event::batch(&world.take_waking());
    let answer = world
        .worker
        .invoke_within(batch, Duration::from_secs(9))
        .await
        .unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    assert_eq!(world.said("globex", "DEV-1"), []);
    world.pass("due").await;
    assert_eq!(world.said("globex", "DEV-1"), [(3600, "soon".into())]);
}

#[tokio::test]
async fn records_that_are_not_the_workers_are_passed_over() {
    let world = World::new().await;
    let record = |pk: &str| {
        json!({
            "eventID": "1", "eventName": "MODIFY", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
            "awsRegion": "eu-central-1",
            "dynamodb": {
                "Keys": {"pk": {"S": pk}, "sk": {"S": "DUE"}},
                "NewImage": {"pk": {"S": pk}, "hint_at": {"S": "x"}, "n": {"N": "1"}, "l": {"L": [{"BOOL": true}]}},
                "SequenceNumber": "1", "SizeBytes": 10, "StreamViewType": "NEW_IMAGE",
            },
        })
    };
    let gone = record("DUE#LINK#acme-globex#1~2");
    let foreign = record("SOMETHING#ELSE");
    let mut removed = record("DUE#LINK#acme-globex#1~2");
    removed["eventName"] = json!("REMOVE");
    removed["dynamodb"].as_object_mut().unwrap().remove("NewImage");
    assert_eq!(world.wake(&[gone, foreign, removed]).await, Vec::<String>::new());
}
