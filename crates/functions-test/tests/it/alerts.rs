//! People are told through SNS what needs them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tandem_engine::ports::Store;
use tandem_engine::ports::store::{DueKey, Finish, Hint, Lane};
use tandem_sim::{Fault, FaultOutcome, Matcher, UserSpec};
use tandem_template::topic_arn;

use crate::world::{STACK, World, hour};

/// Time of somebody whom the other site does not know.
pub fn somebody_unknown(world: &World, text: &str) {
    world.acme().put_user(UserSpec::new("zoe", "Zoe Zimmer"));
    let mut content = hour(text);
    content.author = "zoe".into();
    world.acme().log_time("SUP-1", content).unwrap();
    world.sim.drop_deliveries();
}

#[tokio::test]
async fn what_waits_is_published_once_to_the_topic_of_the_alarms() {
    let world = World::new().await;
    world.pass("sweep").await;
    assert_eq!(world.table.take_published(), []);
    somebody_unknown(&world, "private words");
    world.pass("sweep").await;
    let published = world.table.take_published();
    assert_eq!(published.len(), 1, "{published:?}");
    let alert = &published[0];
    assert_eq!(alert.topic, topic_arn("tandem-alarms"));
    assert_eq!(Value::from(alert.topic.as_str()), STACK.outputs()["AlarmTopic"]);
    assert_eq!(alert.subject, "Tandem: something needs a person");
    assert!(
        alert
            .message
            .contains("acme-globex: 1 item waits as author-unmapped → "),
        "{alert:?}"
    );
    assert!(!alert.message.contains("private words"));
    for pass in ["sweep", "due", "audit", "sweep"] {
        world.pass(pass).await;
    }
    assert_eq!(world.table.take_published(), []);
    world.assert_well_behaved();
}

#[tokio::test]
async fn what_could_not_be_published_is_told_at_the_next_sweep_and_fails_none() {
    let world = World::new().await;
    world.pass("sweep").await;
    somebody_unknown(&world, "waits");
    world.table.set_topics_down(true);
    let report = world.pass("sweep").await;
    assert_eq!(report["cut_short"], false, "{report}");
    assert_eq!(world.table.take_published(), []);
    assert!(
        world.reconcile.log().contains("SNS answered 500"),
        "{}",
        world.reconcile.log()
    );
    world.table.set_topics_down(false);
    world.pass("sweep").await;
    assert_eq!(world.table.take_published().len(), 1);
    world.assert_well_behaved();
}

#[tokio::test]
async fn a_write_that_has_failed_for_hours_is_published_once() {
    let world = World::new().await;
    world.pass("sweep").await;
    let create = Matcher::tempo("POST", "/4/worklogs").times(100);
    let fails = Fault::LostBefore(FaultOutcome::Status(500));
    world.sim.fail_next("globex", create, fails);
    world.acme().log_time("SUP-1", hour("private words")).unwrap();
    world.sim.drop_deliveries();
    world.pass("sweep").await;
    assert_eq!(world.table.take_published(), [], "it may pass by itself");
    // As if it had begun two hours ago.
    let since = Timestamp::now() - SignedDuration::from_hours(2);
    let (owner, store) = ("the-test", world.table.store());
    let mut cursor = None;
    let key = loop {
        let (rows, next) = store.due(cursor).await.unwrap();
        let mut keys = rows.into_iter().map(|row| row.key);
        match keys.find(|key| matches!(key, DueKey::Link(_))) {
            Some(key) => break key,
            None => cursor = Some(next.expect("the link is due")),
        }
    };
    let row = store
        .take(&key, owner, Timestamp::now(), Duration::from_secs(60))
        .await;
    store
        .finish(&row.unwrap().unwrap(), owner, &Finish::Done, Timestamp::now())
        .await
        .unwrap();
    let hint = Hint {
        key,
        lane: Lane::Live,
        ready_at: since,
        announced: Vec::new(),
        force: false,
        trace: None,
    };
    store.hint(std::slice::from_ref(&hint), &[], since).await.unwrap();
    world.pass("sweep").await;
    assert_eq!(
        world.table.take_published(),
        [],
        "it failed once, and was in line for long"
    );
    let now = Timestamp::now();
    let row = store.take(&hint.key, owner, now, Duration::from_secs(60)).await;
    let again = Finish::Again {
        at: now,
        attempts: 6,
        reason: None,
        detail: None,
        quiet: false,
        announced: Vec::new(),
    };
    let row = row.unwrap().unwrap();
    store.finish(&row, owner, &again, now).await.unwrap();
    world.pass("sweep").await;
    let published = world.table.take_published();
    assert_eq!(published.len(), 1, "{published:?}");
    let message = &published[0].message;
    assert!(
        message.contains("acme-globex: 1 item has failed for more than an hour → "),
        "{message}"
    );
    assert!(
        !message.contains("private words") && !message.contains("upstream"),
        "{message}"
    );
    world.pass("sweep").await;
    assert_eq!(world.table.take_published(), []);
    world.assert_well_behaved();
}

#[tokio::test]
async fn a_paused_site_is_published_without_what_it_said() {
    let world = World::new().await;
    world.pass("sweep").await;
    world.globex().expire_tempo_tokens();
    world.pass("sweep").await;
    let state = world.table.store().site(&"globex".into()).await.unwrap();
    let detail = state.paused.expect("it rejects our token").detail;
    let said = detail.rsplit_once(": ").expect("the site said something").1;
    let published = world.table.take_published();
    let message = &published[0].message;
    assert!(message.contains("globex is paused since"), "{message}");
    assert!(!message.contains(said), "{message}");
}

#[tokio::test]
async fn webhooks_that_have_stopped_are_published_once_for_each_site() {
    let world = World::new().await;
    for event in ["worklog.created", "worklog.deleted"] {
        world.acme().switch_off(event);
    }
    let refresh = Matcher::tempo("PATCH", "/4/webhooks/subscriptions/{id}/refresh").times(2);
    let fails = Fault::LostBefore(FaultOutcome::Status(502));
    world.sim.fail_next("acme", refresh, fails);
    world.pass("sweep").await;
    let published = world.table.take_published();
    assert_eq!(published.len(), 1, "{published:?}");
    let message = &published[0].message;
    assert!(
        message.contains("Tempo tells of no worklog.created, worklog.deleted on acme"),
        "{message}"
    );
    assert!(!message.contains("globex"), "{message}");
    world.pass("sweep").await;
    assert_eq!(world.table.take_published(), []);
    world.assert_well_behaved();
}
