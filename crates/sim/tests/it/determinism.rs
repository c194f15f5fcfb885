//! The same seed and the same actions give the same bytes.

use std::fmt::Write;
use std::time::Duration;

use serde_json::json;
use tandem_sim::{Faults, ListingLag};

use crate::harness::{ANN, hour, stage_of};

fn rough(faults: &mut Faults) {
    for requests in [&mut faults.tempo, &mut faults.jira] {
        requests.lost_before = 0.1;
        requests.lost_after = 0.1;
        requests.rate_limited = 0.1;
        requests.half_body = 0.1;
    }
    for webhooks in [&mut faults.tempo_webhooks, &mut faults.jira_webhooks] {
        webhooks.lost = 0.2;
        webhooks.doubled = 0.2;
        webhooks.late = 0.2;
        webhooks.late_by = Duration::from_secs(60);
        webhooks.forged = 0.2;
    }
    faults.listing_lag = ListingLag::all(Duration::from_secs(5));
}

/// Runs a rough day with a seed and writes down every byte that came out.
async fn story(seed: u64) -> String {
    let stage = stage_of(seed, |spec| {
        spec.tempo_webhooks("http://127.0.0.1:9/t", "a")
            .jira_webhook("http://127.0.0.1:9/j", "b")
    });
    stage.sim.faults(rough);
    let mut story = String::new();
    let issue = stage.acme.issue_id("SUP-1");
    for n in 0..40 {
        let body = json!({
            "issueId": issue, "authorAccountId": ANN, "startDate": "2026-03-02", "startTime": "10:00:00",
            "timeSpentSeconds": 60 + n,
        });
        stage.acme.log_time("SUP-1", hour().text(n.to_string())).unwrap();
        // A hung request would hang the test too: only tokio's time could end it.
        let made = tokio::time::timeout(Duration::ZERO, stage.tempo("POST", "/4/worklogs", Some(body))).await;
        let listed = tokio::time::timeout(Duration::ZERO, stage.tempo("GET", "/4/worklogs", None)).await;
        for reply in [made, listed] {
            match reply {
                Ok(reply) => writeln!(story, "{} {:?} {}", reply.status, reply.headers, reply.text).unwrap(),
                Err(_) => story.push_str("hung\n"),
            }
        }
        stage.pass(3);
        for delivery in stage.sim.take_deliveries(stage.sim.now()) {
            writeln!(
                story,
                "{} {:?} {:?}",
                delivery.url,
                delivery.headers,
                String::from_utf8(delivery.body)
            )
            .unwrap();
            stage
                .sim
                .delivered(delivery.id, Some(if n % 3 == 0 { 500 } else { 202 }));
        }
    }
    story
}

#[tokio::test]
async fn same_seed_gives_the_same_bytes() {
    let (first, again, other) = (story(7).await, story(7).await, story(8).await);
    assert!(first == again, "seed 7 told two stories");
    assert!(first != other, "seeds 7 and 8 told the same story");
    assert!(first.len() > 100_000);
}
