//! What webhooks leave out, who may send them, and what is read although none came.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::json;
use tandem_atlassian::signature::{sign_jira, sign_tempo};
use tandem_core::{IssueId, LinkKey, WorklogId};
use tandem_engine::ports::Store;
use tandem_engine::ports::store::DueKey;

use crate::world::{JIRA_SECRET, Setup, TEMPO_SECRET, Webhooks, World, hour};

async fn tempo_tells(world: &World, body: &serde_json::Value) -> u16 {
    let body = body.to_string();
    let now = world.now().to_string();
    let signature = sign_tempo(body.as_bytes(), &now, &SecretString::from(TEMPO_SECRET));
    let headers = [("Tempo-Signature", signature), ("Tempo-Timestamp", now)];
    world.told("/hooks/tempo/acme", &headers, body).await
}

async fn jira_tells(world: &World, secret: &str, identifier: &str) -> u16 {
    let body = json!({"webhookEvent": "jira:issue_deleted", "issue": {"id": 5}}).to_string();
    let signature = sign_jira(body.as_bytes(), &SecretString::from(secret));
    let headers = [
        ("X-Hub-Signature", signature),
        ("X-Atlassian-Webhook-Identifier", identifier.to_owned()),
    ];
    world.told("/hooks/jira/acme", &headers, body).await
}

#[tokio::test(start_paused = true)]
async fn a_webhook_of_tempos_that_tells_nothing_but_ids_is_enough() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    let issue = world.acme().issue_id("SUP-1");
    let tells = |event: &str, id: u64| {
        json!({"eventId": "e", "eventType": event,
            "payload": {"tempoWorklogId": id, "issue": {"id": issue}}})
    };
    let id = world.acme().log_time("SUP-1", hour("ann", "x")).unwrap();
    assert_eq!(tempo_tells(&world, &tells("worklog.created", id)).await, 202);
    world.settle().await;
    assert_eq!(world.said("acme", "SUP-1"), world.said("globex", "DEV-1"));

    world
        .acme()
        .edit(id, |worklog| worklog.time_spent_secs = 7200)
        .unwrap();
    assert_eq!(tempo_tells(&world, &tells("worklog.updated", id)).await, 202);
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1")[0].3, 7200);

    world.acme().delete(id).unwrap();
    let deleted = json!({"eventId": "e", "eventType": "worklog.deleted", "payload": {"tempoWorklogId": id}});
    assert_eq!(tempo_tells(&world, &deleted).await, 202);
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_signed_with_a_new_secret_is_taken_while_the_old_one_is_still_remembered() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    assert!(jira_tells(&world, JIRA_SECRET, "1").await < 300);
    world.set_jira_secret("the-secret-that-follows");
    world.wait(6).await;
    assert!(jira_tells(&world, "the-secret-that-follows", "2").await < 300);
    assert_eq!(jira_tells(&world, JIRA_SECRET, "3").await, 401);
}

#[tokio::test(start_paused = true)]
async fn strangers_make_nobody_read_the_secret_with_each_thing_that_they_send() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    assert!(jira_tells(&world, JIRA_SECRET, "1").await < 300);
    let before = world.secrets_read();
    for n in 0..100 {
        assert_eq!(jira_tells(&world, "a-guess", &n.to_string()).await, 401);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let read = world.secrets_read() - before;
    assert!(read <= 2, "{read} times in ten seconds");
}

#[tokio::test(start_paused = true)]
async fn what_the_audit_trail_leaves_out_jiras_feed_tells_within_an_hour_or_so() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    world.audit().await;
    let begun: Timestamp = world.now();
    world.sim.reset_requests();
    let mut read = 0;
    while world.now() < begun + jiff::SignedDuration::from_hours(3) {
        world.wait(300).await;
        world.sweep().await;
        let requests = world.sim.requests();
        read = requests
            .iter()
            .filter(|request| request.site == "acme" && request.path_template.ends_with("/worklog/deleted"))
            .count();
    }
    assert!((2..=4).contains(&read), "{read} times in three hours");
}

async fn jira_tells_of_a_delete(world: &World, worklog: u64, issue: u64) -> u16 {
    let body = json!({
        "webhookEvent": "worklog_deleted", "timestamp": world.now().as_millisecond(),
        "worklog": {"id": worklog.to_string(), "issueId": issue.to_string()},
    })
    .to_string();
    let signature = sign_jira(body.as_bytes(), &SecretString::from(JIRA_SECRET));
    let headers = [
        ("X-Hub-Signature", signature),
        ("X-Atlassian-Webhook-Identifier", format!("{worklog}-{issue}")),
    ];
    world.told("/hooks/jira/globex", &headers, body).await
}

#[tokio::test(start_paused = true)]
async fn the_delete_of_a_twin_so_young_that_its_jira_id_is_unknown_is_known_for_tandems_own() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    let (a, b) = (world.acme().issue_id("SUP-1"), world.globex().issue_id("DEV-1"));
    let link = DueKey::Link(LinkKey {
        connection: "acme-globex".into(),
        a: IssueId(a),
        b: IssueId(b),
    });
    let engine = &world.tandem.engine;
    world.acme().log_time("SUP-1", hour("bob", "stays")).unwrap();
    world.sweep().await;
    world.settle().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "soon gone")).unwrap();
    let created = json!({"eventId": "1", "eventType": "worklog.created",
        "payload": {"tempoWorklogId": id, "issue": {"id": a}}});
    assert_eq!(tempo_tells(&world, &created).await, 202);
    // Only this link is looked at, so that nobody learns Jira ids meanwhile.
    world.wait(2).await;
    engine.look(&link).await.unwrap();
    let there = world.globex().worklogs();
    let twin = there.iter().find(|worklog| worklog.author == "ann").unwrap();
    world.acme().delete(id).unwrap();
    let deleted = json!({"eventId": "2", "eventType": "worklog.deleted", "payload": {"tempoWorklogId": id}});
    assert_eq!(tempo_tells(&world, &deleted).await, 202);
    world.wait(2).await;
    engine.look(&link).await.unwrap();
    assert_eq!(world.globex().worklogs().len(), 1);
    let jira = twin.jira_id.unwrap();
    let known = world
        .store
        .jira_ids(&"globex".into(), &[WorklogId(twin.id)])
        .await;
    assert_eq!(known.unwrap(), [], "its Jira id was learned");

    let waits = async || {
        let due = world.due().await;
        due.into_iter().any(|row| row.key == link)
    };
    assert!(!waits().await);
    assert!(jira_tells_of_a_delete(&world, jira, b).await < 300);
    assert!(!waits().await, "its own delete is looked at");
    // A minute later it is somebody else's.
    world.wait(61).await;
    assert!(jira_tells_of_a_delete(&world, jira + 1, b).await < 300);
    assert!(waits().await, "a person's delete is not looked at");
}

#[tokio::test(start_paused = true)]
async fn what_is_logged_in_jira_without_a_comment_crosses_at_once_where_tempo_has_words_of_its_own() {
    let mut setup = Setup::two(1).webhooks(Webhooks::JiraOnly);
    setup.sites[0].default_text = Some("Working on it".into());
    let world = setup.build().await;
    world.settle().await;
    world.acme().set_jira_to_tempo_lag(Duration::from_millis(200));
    let started = "2026-03-02T13:30:00Z".parse().unwrap();
    world
        .acme()
        .jira_log_time("SUP-1", "ann", started, 3600, "")
        .unwrap();
    for _ in 0..5 {
        world.wait(1).await;
        world.tandem.engine.run_due(None).await.unwrap();
    }
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
    assert!(world.tandem.engine.queue().await.unwrap().is_empty());
}
