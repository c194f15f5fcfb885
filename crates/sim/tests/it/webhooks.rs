//! What the sites tell, and what they do when nobody listens.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tandem_sim::{Answered, Delivery, DeliveryKind, Sim, SystemClock, Vendor};

use crate::harness::{ANN, Stage, hour, spec, stage_of};

const URL: &str = "http://127.0.0.1:9/hooks";

fn listening() -> Stage {
    stage_of(1, |spec| {
        spec.tempo_webhooks(URL, "tempo-secret")
            .jira_webhook(URL, "jira-secret")
    })
}

fn header<'a>(delivery: &'a Delivery, name: &str) -> Option<&'a str> {
    delivery
        .headers
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

fn sign(secret: &str, parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    hex::encode(mac.finalize().into_bytes())
}

fn due(stage: &Stage) -> Vec<Delivery> {
    stage.sim.take_deliveries(stage.sim.now())
}

fn events(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries
        .iter()
        .map(|delivery| delivery.event.as_str())
        .collect()
}

#[test]
fn a_change_in_tempo_tells_tempos_and_jiras_listeners() {
    let stage = listening();
    let id = stage.acme.log_time("SUP-1", hour()).unwrap();
    let told = due(&stage);
    assert_eq!(
        events(&told),
        ["worklog_created", "jira:issue_updated", "worklog.created"]
    );
    for delivery in &told {
        match delivery.vendor {
            Vendor::Tempo => {
                let timestamp = header(delivery, "Tempo-Timestamp").unwrap();
                let signature = sign("tempo-secret", &[&delivery.body, timestamp.as_bytes()]);
                assert_eq!(header(delivery, "Tempo-Signature"), Some(signature.as_str()));
            }
            Vendor::Jira => {
                let signature = format!("sha256={}", sign("jira-secret", &[&delivery.body]));
                assert_eq!(header(delivery, "X-Hub-Signature"), Some(signature.as_str()));
            }
        }
        stage.sim.delivered(delivery.id, Some(202));
    }
    let body: Value = serde_json::from_slice(&told[0].body).unwrap();
    assert_eq!(body["worklog"]["author"]["accountType"], "app");
    assert_eq!(
        body["worklog"]["started"], "2026-03-02T15:00:00.000+0100",
        "in the site's zone"
    );
    assert_eq!(body["worklog"].get("comment"), None);
    stage.acme.move_to_issue(id, "DEV-1").unwrap();
    let told = due(&stage);
    let worklogs: Vec<&str> = events(&told)
        .into_iter()
        .filter(|e| e.starts_with("worklog"))
        .collect();
    assert_eq!(
        worklogs,
        ["worklog_deleted", "worklog_created", "worklog.updated"]
    );
}

#[test]
fn jira_tries_again_five_times_with_the_same_identifier_but_not_after_a_400() {
    let stage = stage_of(1, |spec| spec.jira_webhook(URL, "s"));
    stage
        .acme
        .configure(|spec| spec.tempo_tells_of_jira_changes = false);
    stage
        .acme
        .jira_log_time("SUP-1", ANN, stage.sim.now(), 60, "")
        .unwrap();
    let mut identifiers = Vec::new();
    let mut retries = Vec::new();
    let [_, updated] = due(&stage)
        .try_into()
        .map(|[a, b]: [Delivery; 2]| {
            identifiers.push(header(&a, "X-Atlassian-Webhook-Identifier").unwrap().to_owned());
            retries.push(header(&a, "X-Atlassian-Webhook-Retry").map(str::to_owned));
            stage.sim.delivered(a.id, Some(503));
            [a, b]
        })
        .unwrap();
    stage.sim.delivered(updated.id, Some(400));
    for _ in 0..10 {
        stage.pass(15 * 60);
        for delivery in due(&stage) {
            identifiers.push(
                header(&delivery, "X-Atlassian-Webhook-Identifier")
                    .unwrap()
                    .to_owned(),
            );
            retries.push(header(&delivery, "X-Atlassian-Webhook-Retry").map(str::to_owned));
            stage.sim.delivered(delivery.id, None);
        }
    }
    identifiers.dedup();
    assert_eq!(identifiers.len(), 1);
    let numbers: Vec<&str> = retries
        .iter()
        .map(|retry| retry.as_deref().unwrap_or("-"))
        .collect();
    assert_eq!(numbers, ["-", "1", "2", "3", "4", "5"]);
    assert_eq!(stage.sim.deliveries_pending(), 0);
}

#[tokio::test]
async fn tempo_gives_up_after_ten_attempts_and_the_subscription_sleeps_until_refreshed() {
    let stage = stage_of(1, |spec| spec.tempo_webhooks(URL, "s"));
    stage.acme.log_time("SUP-1", hour()).unwrap();
    let mut timestamps = Vec::new();
    for _ in 0..30 {
        for delivery in due(&stage) {
            timestamps.push(header(&delivery, "Tempo-Timestamp").unwrap().to_owned());
            stage.sim.delivered(delivery.id, Some(404));
        }
        stage.pass(5 * 60);
    }
    assert_eq!(timestamps.len(), 10);
    timestamps.dedup();
    assert_eq!(timestamps.len(), 1, "the timestamp is that of the first attempt");
    assert!(!stage.acme.subscriptions()[0].2);
    stage.acme.log_time("SUP-1", hour()).unwrap();
    assert_eq!(due(&stage).len(), 0, "what happens meanwhile is never told");
    let listed = stage.tempo("GET", "/4/webhooks/subscriptions", None).await.body;
    let id = listed["results"][0]["id"].as_str().unwrap().to_owned();
    let refreshed = stage
        .tempo("PATCH", &format!("/4/webhooks/subscriptions/{id}/refresh"), None)
        .await;
    assert_eq!(refreshed.status, 204);
    stage.acme.log_time("SUP-1", hour()).unwrap();
    assert_eq!(events(&due(&stage)), ["worklog.created"]);
}

#[tokio::test]
async fn a_new_subscription_is_inactive_until_its_handshake_is_answered() {
    let stage = stage_of(1, |spec| spec);
    let body = json!({"event": "worklog.created", "url": "http://127.0.0.1:9/hooks"});
    let made = stage
        .tempo("POST", "/4/webhooks/subscriptions", Some(body))
        .await
        .body;
    assert_eq!(made["active"], false);
    assert_eq!(made["sharedSecret"].as_str().unwrap().len(), 128);
    stage.acme.log_time("SUP-1", hour()).unwrap();
    let [handshake] = due(&stage).try_into().unwrap();
    assert_eq!(
        (handshake.method, handshake.kind),
        ("GET", DeliveryKind::Handshake)
    );
    let random = handshake.url.split_once("randomString=").unwrap().1.to_owned();
    stage
        .sim
        .delivered_with_body(handshake.id, Some(200), format!("\"{random}\"").as_bytes());
    assert!(!stage.acme.subscriptions()[0].2, "quotes around it are not it");
    stage
        .tempo(
            "PATCH",
            &format!(
                "/4/webhooks/subscriptions/{}/refresh",
                made["id"].as_str().unwrap()
            ),
            None,
        )
        .await;
    let [handshake] = due(&stage).try_into().unwrap();
    let random = handshake.url.split_once("randomString=").unwrap().1.to_owned();
    stage
        .sim
        .delivered_with_body(handshake.id, Some(200), random.as_bytes());
    assert!(stage.acme.subscriptions()[0].2);
}

#[test]
fn webhooks_get_lost_doubled_and_forged_as_told() {
    let stage = listening();
    stage.acme.faults(|faults| faults.tempo_webhooks.lost = 1.0);
    stage.acme.faults(|faults| faults.jira_webhooks.doubled = 1.0);
    stage.acme.log_time("SUP-1", hour()).unwrap();
    let told = due(&stage);
    assert_eq!(
        events(&told),
        [
            "worklog_created",
            "worklog_created",
            "jira:issue_updated",
            "jira:issue_updated"
        ]
    );
    assert_eq!(
        header(&told[0], "X-Atlassian-Webhook-Identifier"),
        header(&told[1], "X-Atlassian-Webhook-Identifier")
    );
    stage.sim.calm();
    stage.acme.faults(|faults| faults.tempo_webhooks.forged = 1.0);
    stage.acme.log_time("SUP-1", hour()).unwrap();
    let forged: Vec<Delivery> = due(&stage)
        .into_iter()
        .filter(|d| d.kind == DeliveryKind::Forged)
        .collect();
    let [forged] = forged.try_into().unwrap();
    let timestamp = header(&forged, "Tempo-Timestamp").unwrap();
    let right = sign("tempo-secret", &[&forged.body, timestamp.as_bytes()]);
    assert_ne!(header(&forged, "Tempo-Signature"), Some(right.as_str()));
}

#[tokio::test]
async fn served_over_sockets_it_answers_and_delivers() {
    let sim = Sim::new(1, Arc::new(SystemClock));
    let inbox: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&inbox);
    let receiver = axum::Router::new().fallback(move |body: String| {
        let seen = Arc::clone(&seen);
        async move {
            seen.lock().unwrap().push(body);
            http::StatusCode::ACCEPTED
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, receiver).await });
    let acme = sim.add_site(spec("acme").tempo_webhooks(&url, "s"));
    let running = sim.serve().await.unwrap();
    let _deliverer = sim.spawn_deliverer();
    acme.log_time("SUP-1", hour().text("over the wire")).unwrap();
    for _ in 0..500 {
        if !inbox.lock().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(inbox.lock().unwrap()[0].contains("over the wire"));
    let state = format!("{}/state", running.control_url);
    let client = reqwest_like(&state).await;
    assert!(client.contains("over the wire"), "{client}");
}

/// Asks for a page with nothing but a socket.
async fn reqwest_like(url: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut socket = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(start_paused = true)]
async fn a_receiver_without_a_socket_works_on_paused_time() {
    let clock = tandem_sim::TokioClock::starting_at("2026-03-02T09:00:00Z".parse().unwrap());
    let sim = Sim::new(1, Arc::new(clock));
    let acme = sim.add_site(spec("acme").tempo_webhooks(URL, "s"));
    let attempts: Arc<Mutex<Vec<u32>>> = Arc::default();
    let seen = Arc::clone(&attempts);
    let _deliverer = sim.spawn_deliverer_with(move |delivery| {
        seen.lock().unwrap().push(delivery.attempt);
        let status = if delivery.attempt < 3 { 503 } else { 202 };
        async move {
            Answered {
                status: Some(status),
                body: Vec::new(),
            }
        }
    });
    acme.log_time("SUP-1", hour()).unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(*attempts.lock().unwrap(), [1, 2, 3]);
}
