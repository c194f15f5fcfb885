//! `serve` and `reconcile` keep two sites the same.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tandem_atlassian::signature::sign_jira;

use crate::bench::{Bench, JIRA_SECRET, Serving, hour, wait};

/// Sends what Jira would, and returns the status and the text of the answer.
fn told_by_jira(serving: &Serving, site: &str, secret: &str) -> (u16, String) {
    let body = r#"{"webhookEvent":"jira:issue_deleted","timestamp":1800000000000,"issue":{"id":"10001"}}"#;
    let host = serving.url.strip_prefix("http://").unwrap();
    let signature = sign_jira(body.as_bytes(), &secret.into());
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "POST /hooks/jira/{site} HTTP/1.1\r\nhost: {host}\r\nx-hub-signature: {signature}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), text.to_owned())
}

#[test]
fn a_site_that_cannot_be_read_is_as_unknown_as_any_other() {
    let bench = Bench::new();
    let serving = bench.serve_quietly();
    assert_eq!(told_by_jira(&serving, "acme", JIRA_SECRET).0, 204);
    let unknown = told_by_jira(&serving, "nobody", JIRA_SECRET);
    assert_eq!(unknown.0, 401);
    for strange in ["%FF", "acme%FF", "%C3%28"] {
        assert_eq!(told_by_jira(&serving, strange, JIRA_SECRET), unknown, "{strange}");
    }
    assert_eq!(told_by_jira(&serving, "acme", "wrong"), unknown);
}

#[test]
fn a_sender_of_megabytes_gets_its_answer_and_no_broken_connection() {
    let bench = Bench::new();
    let serving = bench.serve_quietly();
    let host = serving.url.strip_prefix("http://").unwrap();
    let body = vec![b'x'; 24 * 1024 * 1024];
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "POST /hooks/jira/acme HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    stream.write_all(&body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn a_sender_is_told_to_come_again_while_it_still_listens() {
    let bench = Bench::on_a_table("");
    let serving = bench.serve_quietly();
    bench.amazon().stall();
    let begun = Instant::now();
    assert_eq!(told_by_jira(&serving, "acme", JIRA_SECRET).0, 503);
    assert!(begun.elapsed() < Duration::from_secs(13), "{:?}", begun.elapsed());
}

#[test]
fn serve_carries_every_kind_of_change_in_both_directions() {
    let bench = Bench::new();
    let serving = bench.serve();
    let from_a = bench
        .acme()
        .log_time("SUP-1", hour("ann", "from acme").billable(0))
        .unwrap();
    let from_b = bench
        .globex()
        .log_time("DEV-1", hour("bob", "from globex"))
        .unwrap();
    wait("both cross", || bench.alike("SUP-1", "DEV-1", 2));
    let there = bench.said("globex", "DEV-1");
    assert!(
        there.contains(&("from acme".into(), 3600, 0, "2026-03-02 13:30:00".into())),
        "{there:?}"
    );

    bench
        .acme()
        .edit(from_a, |worklog| worklog.time_spent_secs = 1800)
        .unwrap();
    bench
        .globex()
        .edit(from_b, |worklog| {
            worklog.description = Some("edited on globex".into())
        })
        .unwrap();
    wait("edits cross", || {
        let said = bench.said("acme", "SUP-1");
        bench.alike("SUP-1", "DEV-1", 2)
            && said.iter().any(|one| one.1 == 1800)
            && said.iter().any(|one| one.0 == "edited on globex")
    });

    bench.acme().move_to_issue(from_a, "SUP-2").unwrap();
    wait("the move crosses", || {
        bench.alike("SUP-1", "DEV-1", 1) && bench.alike("SUP-2", "DEV-2", 1)
    });

    bench.globex().delete(from_b).unwrap();
    bench.acme().delete(from_a).unwrap();
    wait("deletes cross", || {
        bench.alike("SUP-1", "DEV-1", 0) && bench.alike("SUP-2", "DEV-2", 0)
    });

    bench.run(&["verify"]).ended(0);
    assert_eq!(serving.stop(), Some(0));
}

#[test]
fn reconcile_alone_brings_both_sides_together_and_verify_sees_it() {
    let bench = Bench::new();
    let from_a = bench.acme().log_time("SUP-1", hour("ann", "from acme")).unwrap();
    bench
        .globex()
        .log_time("DEV-2", hour("bob", "from globex"))
        .unwrap();
    let differs = bench.run(&["verify", "--json"]).ended(3).json();
    assert_eq!(differs["equal"], false);
    assert_eq!(differs["differences"].as_array().unwrap().len(), 2);
    let difference = &differs["differences"][0];
    assert_eq!(difference["connection"], "acme-globex");
    assert_eq!(difference["kind"], "only-in-a");
    assert_eq!(difference["a"]["worklog"], from_a);
    assert!(difference["b"].is_null());

    bench.reconcile();
    assert!(bench.alike("SUP-1", "DEV-1", 1) && bench.alike("SUP-2", "DEV-2", 1));
    let equal = bench.run(&["verify", "--json"]).ended(0).json();
    assert_eq!(equal["equal"], true);
    let side = serde_json::json!({ "worklogs": 2, "seconds": 7200, "billable": 7200 });
    assert_eq!(equal["totals"], serde_json::json!({ "a": side, "b": side }));

    bench.acme().delete(from_a).unwrap();
    bench.reconcile();
    assert!(bench.alike("SUP-1", "DEV-1", 0));
    let report = bench
        .run(&["reconcile", "--pass", "audit", "--json"])
        .ended(0)
        .json();
    assert_eq!(report["written"], 0, "{report}");
    bench.run(&["reconcile", "--pass", "due"]).ended(0);
    bench.run(&["reconcile", "--pass", "sweep"]).ended(0);
}

#[test]
fn reconcile_fails_when_a_site_cannot_be_read_and_says_so() {
    let bench = Bench::new();
    bench.reconcile();
    bench.globex().expire_tempo_tokens();
    bench.run(&["reconcile"]).ended(1).says("could not be read");
    bench.run(&["status"]).ended(3);
    let status = bench.run(&["status", "--json"]).ended(3).json();
    assert!(status["sites"][0]["paused"].is_null(), "{status}");
    assert!(
        status["sites"][1]["paused"]["detail"]
            .as_str()
            .unwrap()
            .contains("401"),
        "{status}"
    );
}

#[test]
fn commands_work_on_a_directory_that_serve_uses() {
    let bench = Bench::new();
    let serving = bench.serve();
    let mut ids = BTreeSet::new();
    for round in 0..6 {
        ids.insert(
            bench
                .acme()
                .log_time("SUP-1", hour("ann", &format!("round {round}")))
                .unwrap(),
        );
        bench.run(&["queue"]).ended(0);
        bench.run(&["history"]).ended(0);
        // Both do the same work at the same time, on the same table.
        bench.run(&["reconcile", "--pass", "due"]).ended(0);
    }
    wait("all cross", || bench.alike("SUP-1", "DEV-1", ids.len()));
    bench.run(&["verify"]).ended(0);
    let created = bench.run(&["history", "SUP-1", "--json"]).ended(0).json();
    let created = created
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["op"] == "create")
        .count();
    assert_eq!(created, ids.len());
    assert_eq!(serving.stop(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn an_issue_with_twelve_thousand_worklogs_fits_into_a_hundred_megabytes() {
    let bench = Bench::new();
    for n in 0..12_000 {
        let day = format!("2026-02-{:02}", 1 + n % 28);
        let content = tandem_sim::Content::new("ann", &day, "09:00:00", 60 + n).text(format!("entry {n}"));
        bench.acme().log_time("SUP-1", content.clone()).unwrap();
        bench.globex().log_time("DEV-1", content).unwrap();
    }
    let serving = bench.serve();
    // Once the first pairs are recorded, both listings, the pairs and the plan have been in memory together.
    let begun = std::time::Instant::now();
    while bench
        .run(&["history", "--json"])
        .json()
        .as_array()
        .is_none_or(Vec::is_empty)
    {
        assert!(
            begun.elapsed() < std::time::Duration::from_secs(300),
            "it took too long"
        );
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    let peak = serving.peak_resident_kib();
    assert!(peak < 100 * 1024, "{peak} KiB resident");
    assert_eq!(serving.stop(), Some(0));
}

#[test]
fn what_happened_is_in_the_metrics_of_a_serve_that_has_ended() {
    let bench = Bench::new();
    let file = bench.path("metrics.jsonl");
    let serving = bench.serve_with(&["--metrics", file.to_str().unwrap()]);
    let id = bench.acme().log_time("SUP-1", hour("ann", "counted")).unwrap();
    wait("it crosses", || bench.alike("SUP-1", "DEV-1", 1));
    // Once the next write is out, what the first one came to is recorded.
    bench
        .acme()
        .edit(id, |worklog| worklog.time_spent_secs = 60)
        .unwrap();
    wait("the edit crosses", || {
        let said = bench.said("globex", "DEV-1");
        said.len() == 1 && said[0].1 == 60
    });
    assert_eq!(serving.stop(), Some(0));
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        lines
            .iter()
            .all(|line| line["service"] == "tandem" && line["_aws"].is_object()),
        "{text}"
    );
    let of = |name: &str| lines.iter().filter_map(|line| line[name].as_i64()).sum::<i64>();
    let created = lines.iter().filter(|line| line["kind"] == "create");
    assert_eq!(
        created.filter_map(|line| line["Synced"].as_i64()).sum::<i64>(),
        1,
        "{text}"
    );
    assert!(of("Received") >= 1 && of("Requests") >= 3, "{text}");
    for gauge in ["LagSeconds", "SweepAgeSeconds", "AuditAgeSeconds"] {
        assert!(lines.iter().any(|line| line[gauge].is_i64()), "{gauge}: {text}");
    }
    assert!(!text.contains("counted"), "somebody's text is in the metrics");

    let nowhere = bench.path("no-such-folder/metrics.jsonl");
    bench
        .run(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--metrics",
            nowhere.to_str().unwrap(),
        ])
        .ended(2)
        .says("no-such-folder");
}
