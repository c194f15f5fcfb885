//! What the schedules make up for.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tandem_engine::ports::Store;

use crate::world::{World, hour};

#[tokio::test]
async fn a_lost_stream_record_is_made_up_for_by_the_minute_schedule() {
    let world = World::new().await;
    world.pass("sweep").await;
    world.acme().log_time("SUP-1", hour("told")).unwrap();
    for delivery in world.deliveries().await {
        world.hand_over(&delivery).await;
    }
    assert!(!world.take_waking().is_empty());
    assert_eq!(world.said("globex", "DEV-1"), []);

    let report = world.pass("due").await;
    assert_eq!(report["pass"], "due");
    assert_eq!(report["written"], 1, "{report}");
    assert_eq!(world.said("globex", "DEV-1"), [(3600, "told".into())]);
    world.assert_well_behaved();
}

#[tokio::test]
async fn a_scheduled_sweep_finds_what_no_webhook_told() {
    let world = World::new().await;
    world.pass("sweep").await;
    world.acme().log_time("SUP-1", hour("untold")).unwrap();
    world.sim.drop_deliveries();

    let report = world.pass("sweep").await;
    assert!(report["hinted"].as_u64().unwrap() >= 1, "{report}");
    assert_eq!(
        (&report["failed"], &report["cut_short"]),
        (&json!(0), &json!(false))
    );
    assert_eq!(world.said("globex", "DEV-1"), [(3600, "untold".into())]);
    world.assert_well_behaved();
}

#[tokio::test]
async fn an_audit_finds_it_too_and_leaves_it_to_the_minute_schedule() {
    let world = World::new().await;
    world.acme().log_time("SUP-1", hour("untold")).unwrap();
    world.sim.drop_deliveries();
    let report = world.pass("audit").await;
    assert!(report["hinted"].as_u64().unwrap() >= 1, "{report}");
    world.pass("due").await;
    assert_eq!(world.said("globex", "DEV-1"), [(3600, "untold".into())]);
}

#[tokio::test]
async fn a_pass_that_comes_while_another_takes_up_work_leaves_it_to_that_one() {
    let world = World::new().await;
    // Tempo's subscriptions are looked at once an hour, whoever sweeps.
    world.pass("sweep").await;
    let (mine, store) = (Duration::from_secs(60), world.table.store());
    for pass in ["due", "sweep", "audit"] {
        let name = format!("pass:{pass}");
        assert!(
            store
                .begin(&name, "another", Timestamp::now(), mine)
                .await
                .unwrap()
        );
        world.acme().log_time("SUP-1", hour(pass)).unwrap();
        world.sim.drop_deliveries();
        let requests = world.sim.requests().len();
        let report = world.pass(pass).await;
        assert_eq!((&report["skipped"], &report["looked"]), (&json!(true), &json!(0)));
        assert_eq!(world.sim.requests().len(), requests, "{pass} asked a site");
        store.end(&name, "another").await.unwrap();
    }
    // Nobody is at work any more, and each gives back what it takes.
    for _ in 0..2 {
        for pass in ["sweep", "audit", "due"] {
            assert_eq!(world.pass(pass).await["skipped"], json!(false), "{pass}");
        }
    }
    assert_eq!(world.said("globex", "DEV-1").len(), 3);
    world.assert_well_behaved();
}

#[tokio::test]
async fn a_rule_of_eventbridge_may_ask_as_well_as_the_scheduler() {
    let world = World::new().await;
    let rule = |detail: serde_json::Value| {
        json!({
            "version": "0", "id": "89d1a02d", "detail-type": "Scheduled Event", "source": "aws.events",
            "account": "123456789012", "time": "2026-03-10T05:16:23Z", "region": "eu-central-1",
            "resources": ["arn:aws:events:eu-central-1:123456789012:rule/minute"], "detail": detail,
        })
    };
    for (event, pass) in [
        (rule(json!({})), "due"),
        (rule(json!({"pass": "sweep"})), "sweep"),
        (json!({}), "due"),
        (json!({"pass": "audit"}), "audit"),
    ] {
        assert_eq!(world.reconcile.invoke(event).await.unwrap()["pass"], pass);
    }
    let unknown = world
        .reconcile
        .invoke(json!({"pass": "weekly"}))
        .await
        .unwrap_err();
    assert!(unknown.0.to_string().contains("weekly"), "{unknown:?}");
}

#[tokio::test]
async fn a_pass_answers_before_its_deadline_whatever_it_waits_for() {
    let world = World::new().await;
    world.sim.faults(|faults| {
        faults.tempo.slow = 1.0;
        faults.tempo.slow_by = Duration::from_secs(30);
    });
    let report = world
        .reconcile
        .invoke_within(json!({"pass": "audit"}), Duration::from_secs(4))
        .await
        .unwrap();
    assert_eq!(report["cut_short"], true, "{report}");
}

#[tokio::test]
async fn the_sweep_switches_on_again_what_tempo_has_switched_off() {
    let world = World::new().await;
    world.acme().switch_off("worklog.updated");
    world.pass("due").await;
    let active = || {
        let all = world.acme().subscriptions();
        all.iter().filter(|(_, _, active)| *active).count()
    };
    assert_eq!(active(), 2, "the minute schedule has no time for that");
    world.pass("sweep").await;
    assert_eq!(active(), 3);
    world.assert_well_behaved();
}

#[tokio::test]
async fn a_sweep_begins_in_time_however_long_a_site_takes_nothing() {
    let world = World::new().await;
    let until = Timestamp::now() + jiff::SignedDuration::from_secs(50);
    world.table.store().hold(&"acme".into(), until).await.unwrap();
    world.acme().log_time("SUP-1", hour("untold")).unwrap();
    world.globex().log_time("DEV-1", hour("untold as well")).unwrap();
    world.sim.drop_deliveries();
    let sweep = json!({"pass": "sweep"});
    let report = world
        .reconcile
        .invoke_within(sweep, Duration::from_secs(12))
        .await
        .unwrap();
    assert_eq!(report["pass"], "sweep", "{report}");
    let log = world.reconcile.log();
    assert!(
        log.contains("Left Tempo's subscriptions for another time"),
        "{log}"
    );
}
