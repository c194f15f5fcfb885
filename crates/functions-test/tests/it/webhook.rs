//! From API Gateway to the table.

use std::time::{Duration, Instant};

use tandem_engine::ports::Store;
use tandem_functions_test::event::{self, Carried};
use tandem_sim::Delivery;

use crate::world::{World, hour};

/// Logs time on SUP-1 and returns Tempo's webhook about it, undelivered.
async fn told(world: &World) -> Delivery {
    world.acme().log_time("SUP-1", hour("Größe — ☃")).unwrap();
    loop {
        let (mut tempo, others) = (None, world.deliveries().await);
        for delivery in others {
            match delivery.url.contains("/tempo/") {
                true => tempo = Some(delivery),
                // On this occasion Jira's is lost on its way.
                false => world.sim.delivered(delivery.id, Some(204)),
            }
        }
        if let Some(delivery) = tempo {
            return delivery;
        }
    }
}

fn path(delivery: &Delivery) -> String {
    delivery
        .url
        .strip_prefix("https://hooks.example")
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn the_handshake_is_answered_through_api_gateway() {
    let world = World::new().await;
    let ask = async |query: &str, stage: Option<&str>| {
        let event = event::http(
            "GET",
            &format!("/hooks/tempo/acme?{query}"),
            &[],
            b"",
            Carried::Text,
        );
        world
            .ask(stage.map_or(event.clone(), |stage| event::under_stage(event, stage)))
            .await
    };
    for (query, stage) in [
        ("randomString=f3b9%2Ba%20b%26c", None),
        ("x=1&randomString=f3b9%2Ba+b%26c&y", None),
        ("randomString=f3b9%2Ba%20b%26c", Some("prod")),
        ("randomString=f3b9%2Ba%20b%26c", Some("hooks")),
    ] {
        let answer = ask(query, stage).await;
        assert_eq!(answer.status, Some(200), "{query} {stage:?}");
        assert_eq!(
            String::from_utf8(answer.body).unwrap(),
            "f3b9+a b&c",
            "{query} {stage:?}"
        );
    }
    assert_eq!(ask("", None).await.status, Some(400));
    let unknown = event::http(
        "GET",
        "/hooks/tempo/nobody?randomString=x",
        &[],
        b"",
        Carried::Text,
    );
    assert_eq!(world.ask(unknown).await.status, Some(401));
    let health = event::http("GET", "/healthz", &[], b"", Carried::Text);
    assert_eq!(world.ask(health).await.status, Some(200));
    world.assert_well_behaved();
}

#[tokio::test]
async fn a_webhook_is_stored_with_at_most_two_requests() {
    let world = World::new().await;
    // Each function's cold start reads the configuration; that is before any webhook.
    let handshake = event::http("GET", "/hooks/tempo/acme?randomString=x", &[], b"", Carried::Text);
    assert_eq!(world.ask(handshake).await.status, Some(200));
    world.wake(&[]).await;
    world.pass("due").await;
    let mut seen = 0;
    let id = world.acme().log_time("SUP-1", hour("one")).unwrap();
    for change in 0..3 {
        world.table.take_requests();
        match change {
            1 => world
                .acme()
                .edit(id, |worklog| worklog.time_spent_secs = 60)
                .unwrap(),
            2 => world.acme().delete(id).unwrap(),
            _ => {}
        }
        for delivery in world.deliveries().await {
            world.table.take_requests();
            let answer = world.hand_over(&delivery).await;
            assert!(matches!(answer.status, Some(202 | 204)), "{answer:?}");
            let requests = world.table.take_requests();
            assert!(requests.len() <= 2, "{}: {requests:#?}", delivery.event);
            seen += 1;
        }
    }
    assert!(seen >= 3);
    world.assert_well_behaved();
}

#[tokio::test]
async fn a_wrong_signature_is_refused_and_stores_nothing() {
    let world = World::new().await;
    let good = told(&world).await;
    let with = |change: &dyn Fn(&mut Delivery)| {
        let mut changed = good.clone();
        change(&mut changed);
        event::delivery(&changed)
    };
    world.table.take_requests();
    for event in [
        with(&|webhook| webhook.body.push(b' ')),
        with(&|webhook| {
            webhook
                .headers
                .retain(|(name, _)| !name.eq_ignore_ascii_case("Tempo-Signature"))
        }),
        with(&|webhook| {
            webhook
                .headers
                .retain(|(name, _)| !name.eq_ignore_ascii_case("Tempo-Timestamp"))
        }),
        with(&|webhook| webhook.url = webhook.url.replace("/acme", "/nobody")),
        with(&|webhook| webhook.url = webhook.url.replace("/tempo/", "/jira/")),
    ] {
        let answer = world.ask(event).await;
        assert_eq!(answer.status, Some(401));
    }
    assert_eq!(world.table.take_stream(), Vec::<serde_json::Value>::new());
    assert_eq!(world.table.store().due(None).await.unwrap().0, []);
    assert_eq!(world.hand_over(&good).await.status, Some(202));
    world.assert_well_behaved();
}

#[tokio::test]
async fn a_body_in_base64_verifies() {
    let world = World::new().await;
    let webhook = told(&world).await;
    let event = event::http(
        webhook.method,
        &path(&webhook),
        &webhook.headers,
        &webhook.body,
        Carried::Base64,
    );
    assert_eq!(world.ask(event).await.status, Some(202));
    assert_eq!(world.take_waking().len(), 1);
}

#[tokio::test]
async fn a_webhook_under_a_stage_arrives() {
    let world = World::new().await;
    let webhook = told(&world).await;
    let event = event::under_stage(event::delivery(&webhook), "prod");
    assert_eq!(world.ask(event).await.status, Some(202));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_by_its_own_status() {
    let world = World::new().await;
    let long = vec![b'x'; 256 * 1024 + 1];
    let event = event::http("POST", "/hooks/jira/acme", &[], &long, Carried::Text);
    assert_eq!(world.ask(event).await.status, Some(413));
}

#[tokio::test]
async fn an_address_that_makes_no_sense_is_no_way_to_stop_the_function() {
    let world = World::new().await;
    for strange in [
        "/hooks/tempo/acme?<script>",
        "/hooks/tempo/a b?x",
        "/hooks/jira/%ff",
        "//evil.example/",
        "/?\u{fc}",
    ] {
        let event = event::http("GET", strange, &[], b"", Carried::Text);
        // It may be refused in any way; the next one finds the function as it was.
        let _ = world.webhook.invoke(event).await;
    }
    let handshake = event::http("GET", "/hooks/tempo/acme?randomString=x", &[], b"", Carried::Text);
    assert_eq!(world.ask(handshake).await.status, Some(200));
    assert!(
        !world.webhook.log().contains("panicked"),
        "{}",
        world.webhook.log()
    );
}

#[tokio::test]
async fn a_table_that_is_away_makes_the_sender_come_again() {
    let world = World::new().await;
    let webhook = told(&world).await;
    let health = event::http("GET", "/hooks/tempo/acme?randomString=x", &[], b"", Carried::Text);
    assert_eq!(world.ask(health).await.status, Some(200));
    world.table.set_down(true);
    assert_eq!(world.hand_over(&webhook).await.status, Some(503));
    world.table.set_down(false);
    assert_eq!(world.hand_over(&webhook).await.status, Some(202));
}

#[tokio::test]
async fn a_table_that_does_not_answer_makes_the_sender_come_again_before_lambda_ends_the_function() {
    let world = World::new().await;
    let webhook = told(&world).await;
    // Has it read the configuration, as any but the first event finds it.
    let handshake = event::http("GET", "/hooks/tempo/acme?randomString=x", &[], b"", Carried::Text);
    assert_eq!(world.ask(handshake).await.status, Some(200));
    world.table.set_hanging(true);
    let (begun, timeout) = (Instant::now(), Duration::from_secs(4));
    let answer = world
        .webhook
        .invoke_within(event::delivery(&webhook), timeout)
        .await;
    assert!(begun.elapsed() < timeout, "{:?}", begun.elapsed());
    assert_eq!(event::answer(&answer.unwrap()).status, Some(503));
    let log = world.webhook.log();
    assert!(log.contains("Could not take a webhook: "), "{log}");
    world.table.set_hanging(false);
    assert_eq!(world.hand_over(&webhook).await.status, Some(202));
    world.assert_well_behaved();
}

#[tokio::test]
async fn without_a_published_configuration_webhooks_wait_outside_and_nothing_is_half_done() {
    let world = World::unpublished().await;
    let webhook = told(&world).await;
    assert_eq!(world.hand_over(&webhook).await.status, Some(503));
    let handshake = event::http("GET", "/hooks/tempo/acme?randomString=x", &[], b"", Carried::Text);
    assert_eq!(world.ask(handshake).await.status, Some(503));
    let report = world.pass("sweep").await;
    assert!(
        report["waits_for"].as_str().unwrap().contains("tandem publish"),
        "{report}"
    );
    assert_eq!(world.wake(&[]).await, Vec::<String>::new());
    assert_eq!(world.table.take_stream(), Vec::<serde_json::Value>::new());
    assert!(
        world
            .webhook
            .log()
            .contains("no configuration is published yet: run `tandem publish`")
    );

    world.publish().await;
    assert_eq!(world.hand_over(&webhook).await.status, Some(202));
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
    world.assert_well_behaved();
}

#[tokio::test]
async fn a_secret_that_lacks_a_field_keeps_webhooks_outside_and_is_told_with_its_remedy() {
    let world = World::new().await;
    let whole = world.table.secret("tandem/acme", "AWSCURRENT").unwrap();
    let mut lacking: serde_json::Value = serde_json::from_str(&whole).unwrap();
    lacking.as_object_mut().unwrap().remove("jira_token");
    world.table.put_secret("tandem/acme", lacking.to_string());
    let webhook = told(&world).await;
    assert_eq!(world.hand_over(&webhook).await.status, Some(503));
    assert_eq!(world.table.take_stream(), Vec::<serde_json::Value>::new());
    let log = world.webhook.log();
    for words in ["site acme", "has no `jira_token`", "`tandem secrets put acme`"] {
        assert!(log.contains(words), "{words}: {log}");
    }

    // What could not be read is not remembered: the sender's next attempt goes through.
    world.table.put_secret("tandem/acme", whole);
    assert_eq!(world.hand_over(&webhook).await.status, Some(202));
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
    world.assert_well_behaved();
}
