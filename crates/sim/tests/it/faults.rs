//! How things go wrong.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tandem_sim::{Fault, FaultOutcome, ListingLag, Matcher, RateRule, Sim, TokioClock};

use crate::harness::{ANN, Stage, call, hour, spec, stage};

fn write(stage: &Stage) -> Option<Value> {
    Some(json!({
        "issueId": stage.acme.issue_id("SUP-1"), "authorAccountId": ANN, "startDate": "2026-03-02",
        "startTime": "10:00:00", "timeSpentSeconds": 3600,
    }))
}

#[tokio::test]
async fn lost_before_has_no_effect_and_lost_after_has() {
    let stage = stage();
    let create = || Matcher::tempo("POST", "/4/worklogs");
    stage
        .sim
        .fail_next("acme", create(), Fault::LostBefore(FaultOutcome::Status(503)));
    assert_eq!(
        stage.tempo("POST", "/4/worklogs", write(&stage)).await.status,
        503
    );
    assert_eq!(stage.acme.worklogs().len(), 0);
    stage
        .sim
        .fail_next("acme", create(), Fault::LostAfter(FaultOutcome::Status(502)));
    assert_eq!(
        stage.tempo("POST", "/4/worklogs", write(&stage)).await.status,
        502
    );
    assert_eq!(stage.acme.worklogs().len(), 1);
    assert_eq!(
        stage.tempo("POST", "/4/worklogs", write(&stage)).await.status,
        200,
        "a fault is used up"
    );
}

#[tokio::test]
async fn a_scripted_fault_waits_for_the_request_it_is_for() {
    let stage = stage();
    let second = Matcher::tempo("GET", "/4/worklogs/{id}").skip(1).times(2);
    stage
        .acme
        .fail_next(second, Fault::LostBefore(FaultOutcome::Status(500)));
    let id = stage.acme.log_time("SUP-1", hour()).unwrap();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        stage.tempo("GET", "/4/worklogs", None).await;
        statuses.push(
            stage
                .tempo("GET", &format!("/4/worklogs/{id}"), None)
                .await
                .status,
        );
    }
    assert_eq!(statuses, [200, 500, 500, 200]);
}

#[tokio::test]
async fn broken_bodies_and_connections_show_as_such() {
    let stage = stage();
    stage.acme.fail_next(Matcher::any(), Fault::HalfBody);
    let half = stage.tempo("GET", "/4/worklogs", None).await;
    assert!(half.broken && half.status == 200);
    stage
        .acme
        .fail_next(Matcher::any(), Fault::LostAfter(FaultOutcome::Reset));
    let reset = stage.tempo("POST", "/4/worklogs", write(&stage)).await;
    assert!(reset.broken && reset.status == 502);
    assert_eq!(stage.acme.worklogs().len(), 1);
}

#[tokio::test]
async fn listings_lag_by_kind_of_change() {
    let stage = stage();
    stage.acme.faults(|faults| {
        faults.listing_lag = ListingLag {
            create: Duration::from_secs(10),
            update: Duration::from_secs(20),
            delete: Duration::from_secs(30),
        };
    });
    let shown = async || {
        let body = stage.tempo("GET", "/4/worklogs", None).await.body;
        body["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["timeSpentSeconds"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    let id = stage.acme.log_time("SUP-1", hour()).unwrap();
    assert_eq!(shown().await, [0; 0]);
    assert_eq!(
        stage
            .tempo("GET", &format!("/4/worklogs/{id}"), None)
            .await
            .status,
        200,
        "only lists lag"
    );
    stage.pass(10);
    assert_eq!(shown().await, [3600]);
    stage
        .acme
        .edit(id, |content| content.time_spent_secs = 60)
        .unwrap();
    stage.pass(19);
    assert_eq!(shown().await, [3600]);
    stage.pass(1);
    assert_eq!(shown().await, [60]);
    stage.acme.delete(id).unwrap();
    stage.pass(29);
    assert_eq!(shown().await, [60]);
    stage.pass(1);
    assert_eq!(shown().await, [0; 0]);
}

#[tokio::test]
async fn one_issues_listing_fails_while_the_rest_works() {
    let stage = stage();
    stage.acme.break_listing("SUP-1", 500);
    let list = async |key: &str| {
        stage
            .tempo(
                "GET",
                &format!("/4/worklogs/issue/{}", stage.acme.issue_id(key)),
                None,
            )
            .await
            .status
    };
    assert_eq!((list("SUP-1").await, list("DEV-1").await), (500, 200));
    stage.acme.mend_listings();
    assert_eq!(list("SUP-1").await, 200);
}

#[tokio::test]
async fn the_sixth_request_within_a_second_is_a_429() {
    let stage = stage();
    stage.acme.configure(|spec| {
        spec.tempo_rate = RateRule {
            per_second: 5,
            enforced: true,
        }
    });
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(stage.tempo("GET", "/4/globalconfiguration", None).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429]);
    assert_eq!(
        (stage.acme.tempo_rate().answered_429, stage.acme.tempo_rate().peak),
        (1, 6)
    );
    stage.pass(1);
    assert_eq!(
        stage.tempo("GET", "/4/globalconfiguration", None).await.status,
        200
    );
    assert_eq!(
        stage
            .tempo_as("tempo-globex", "GET", "/4/globalconfiguration", None)
            .await
            .status,
        200
    );
}

#[tokio::test(start_paused = true)]
async fn slow_answers_take_tokios_time_and_nobody_elses() {
    let clock = Arc::new(TokioClock::starting_at("2026-03-02T09:00:00Z".parse().unwrap()));
    let sim = Sim::new(1, clock);
    let acme = sim.add_site(spec("acme"));
    acme.fail_next(Matcher::any(), Fault::Slow(Duration::from_secs(45)));
    let before = sim.now();
    let url = "https://api.tempo.io/4/worklogs";
    let reply = call(sim.tempo_router(), "GET", url, "Bearer tempo-acme", None).await;
    assert_eq!(reply.status, 200);
    let passed = sim.now().duration_since(before).as_secs();
    assert!((45..47).contains(&passed), "{passed}");
}

#[tokio::test]
async fn what_was_let_pass_is_remembered() {
    let stage = stage();
    let mut body = write(&stage).unwrap();
    body["startDateTimeUtc"] = json!("2026-03-02T10:00:00Z");
    body["issueKey"] = json!("SUP-1");
    stage.tempo("POST", "/4/worklogs", Some(body)).await;
    stage
        .tempo(
            "GET",
            "/4/worklogs?limit=9999&updatedFrom=2026-03-02T09:00:00.123Z",
            None,
        )
        .await;
    let what: Vec<String> = stage
        .sim
        .violations()
        .into_iter()
        .map(|violation| violation.what)
        .collect();
    for word in ["startDateTimeUtc", "issueKey", "limit=9999", "fraction"] {
        assert!(what.iter().any(|what| what.contains(word)), "{word} in {what:?}");
    }
    let requests = stage.sim.requests();
    assert_eq!(
        (requests[0].path_template.as_str(), requests[0].status),
        ("/4/worklogs", 200)
    );
    stage.sim.reset_requests();
    assert!(stage.sim.requests().is_empty() && stage.sim.violations().is_empty());
}
