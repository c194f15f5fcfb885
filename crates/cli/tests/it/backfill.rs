//! First syncs of old worklogs.

use std::process::Stdio;
use std::time::Duration;

use tandem_sim::{Content, Fault, FaultOutcome, Matcher, RequestRecord};

use crate::bench::{Bench, hour, wait};

fn old(author: &str, day: u32, text: &str) -> Content {
    Content::new(author, &format!("2024-03-{day:02}"), "09:00:00", 5400).text(text)
}

/// What another tool makes of it.
fn copied(content: &Content) -> Content {
    let mut copy = content.clone();
    copy.start_time = "12:00:00".parse().unwrap();
    copy
}

/// Three worklogs that are to be copied, one that was copied before, and one that is the same on both sides.
fn with_old(bench: &Bench) {
    for day in 1..=3 {
        bench
            .acme()
            .log_time("SUP-1", old("ann", day, "to copy"))
            .unwrap();
    }
    bench
        .globex()
        .log_time("DEV-2", old("bob", 9, "from there"))
        .unwrap();
    bench.acme().log_time("SUP-2", old("bob", 4, "the same")).unwrap();
    bench
        .globex()
        .log_time("DEV-2", old("bob", 4, "the same"))
        .unwrap();
}

fn with_copies(bench: &Bench) {
    let content = old("bob", 5, "copied before").billable(0);
    bench.acme().log_time("SUP-2", content.clone()).unwrap();
    bench
        .globex()
        .log_time("DEV-2", copied(&content).billable(5400))
        .unwrap();
}

#[test]
fn an_estimate_counts_and_writes_nothing() {
    let bench = Bench::new();
    with_old(&bench);
    bench.acme().log_time("SUP-4", old("ann", 1, "no twin")).unwrap();
    let before = (bench.sim.worklogs("acme"), bench.sim.worklogs("globex"));
    let estimate = bench
        .run(&["backfill", "--since", "2024-01-01", "--dry-run", "--json"])
        .ended(3)
        .json();
    let one = &estimate["estimate"][0];
    assert_eq!(one["creates"], serde_json::json!({"a": 1, "b": 3}), "{one}");
    assert_eq!(one["certain"], 1);
    assert_eq!(one["writes"], serde_json::json!({"a": 1, "b": 1}));
    assert_eq!(
        one["unlinked"]["a"],
        serde_json::json!({"issues": 1, "worklogs": 1})
    );
    assert!(one["seconds"].as_f64().unwrap() > 0.0);
    let text = bench
        .run(&["backfill", "--since", "2024-01-01", "--estimate"])
        .ended(3)
        .says("nothing was written");
    assert!(text.out.contains("3 worklogs to make on globex"), "{text:?}");
    assert_eq!(before, (bench.sim.worklogs("acme"), bench.sim.worklogs("globex")));
    assert!(bench.sim.requests().iter().all(|request| request.status == 200));
    assert_eq!(bench.run(&["history", "--json"]).json(), serde_json::json!([]));
    assert_eq!(
        bench.run(&["link", "list", "--json"]).json(),
        serde_json::json!([])
    );
}

#[test]
fn a_first_sync_is_done_once_and_verified() {
    let bench = Bench::new();
    with_old(&bench);
    let report = bench
        .run(&["backfill", "--since", "2024-01-01", "--json"])
        .ended(0)
        .says("4 of 4 worklogs (100 %)")
        .json();
    assert_eq!(
        (&report["written"], &report["done"]),
        (&4.into(), &2.into()),
        "{report}"
    );
    assert!(bench.alike("SUP-1", "DEV-1", 3) && bench.alike("SUP-2", "DEV-2", 2));
    bench.run(&["verify", "--from", "2024-01-01"]).ended(0);
    let again = bench
        .run(&["backfill", "--since", "2024-01-01", "--json"])
        .ended(0)
        .json();
    assert_eq!(
        (&again["links"], &again["written"]),
        (&0.into(), &0.into()),
        "{again}"
    );
}

#[test]
fn only_the_issues_that_were_named_are_brought_together() {
    let bench = Bench::new();
    with_old(&bench);
    bench
        .run(&[
            "backfill",
            "--since",
            "2024-01-01",
            "--until",
            "2024-03-02",
            "--issue",
            "DEV-1",
            "--yes",
        ])
        .ended(0);
    assert_eq!(bench.said("globex", "DEV-1").len(), 2);
    assert_eq!(bench.said("acme", "SUP-2").len(), 1);
}

#[test]
fn what_looks_copied_is_never_copied_again_by_leaving_out_an_option() {
    let bench = Bench::new();
    with_old(&bench);
    with_copies(&bench);
    bench
        .run(&["backfill", "--since", "2024-01-01"])
        .ended(2)
        .says("--adopt=ask");
    assert_eq!(bench.said("globex", "DEV-1").len(), 0);
    bench
        .run(&["backfill", "--since", "2024-01-01", "--adopt=ask"])
        .ended(2)
        .says("needs a terminal");
    let report = bench
        .run(&["backfill", "--since", "2024-01-01", "--adopt", "--heal", "--json"])
        .ended(0)
        .json();
    let likely = &report["estimate"][0]["likely"][0];
    assert_eq!(likely["lost"], serde_json::json!(["start time", "billable"]));
    assert_eq!(likely["copy"], "b");
    assert!(
        bench.alike("SUP-2", "DEV-2", 3),
        "{:?}",
        bench.said("globex", "DEV-2")
    );
    bench.run(&["verify", "--from", "2024-01-01"]).ended(0);
}

#[test]
fn a_plan_warns_of_what_another_tool_has_copied_already() {
    let bench = Bench::new();
    let content = Content::new("bob", "2026-03-05", "09:00:00", 5400).text("copied before");
    bench.acme().log_time("SUP-2", content.clone()).unwrap();
    let copy = bench.globex().log_time("DEV-2", copied(&content)).unwrap();
    bench.acme().log_time("SUP-2", hour("bob", "not copied")).unwrap();
    let steps = bench.run(&["plan", "--json"]).ended(3).json()["steps"].clone();
    let of_copies: Vec<_> = steps
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| !step["looks_like"].is_null())
        .collect();
    // Either would be copied to the other side.
    assert_eq!(of_copies.len(), 2, "{steps}");
    assert!(
        of_copies
            .iter()
            .any(|step| step["looks_like"] == serde_json::json!([copy]))
    );
    let told = bench.run(&["plan"]).ended(3);
    let alike = format!("looks like {copy}, as another tool copies");
    assert!(told.out.contains(&alike), "{told:?}");
    told.says("2 of these creates look as if")
        .says("`tandem backfill --since 2026-03-05 --adopt`");

    bench
        .run(&["backfill", "--since", "2026-03-05", "--adopt", "--yes"])
        .ended(0);
    bench.reconcile();
    assert_eq!(bench.sim.worklogs("globex").len(), 2);
    assert!(!bench.run(&["plan"]).ended(0).err.contains("warning"));
}

#[test]
fn who_wants_it_copied_all_the_same_says_so() {
    let bench = Bench::new();
    with_copies(&bench);
    bench
        .run(&["backfill", "--since", "2024-01-01", "--adopt=no"])
        .ended(0);
    assert_eq!(bench.said("globex", "DEV-2").len(), 2);
}

#[test]
fn what_cannot_be_told_apart_waits_for_a_person() {
    let bench = Bench::new();
    for time in ["08:00:00", "15:00:00"] {
        let mut content = old("ann", 7, "twice");
        content.start_time = time.parse().unwrap();
        bench.acme().log_time("SUP-1", content.clone()).unwrap();
        bench.globex().log_time("DEV-1", copied(&content)).unwrap();
    }
    let report = bench
        .run(&["backfill", "--since", "2024-01-01", "--adopt", "--json"])
        .ended(3)
        .says("tandem queue")
        .json();
    assert_eq!(report["waiting"]["ambiguous-create"], 2);
    assert_eq!(
        report["estimate"][0]["ambiguous"][0]["a"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        (
            bench.said("acme", "SUP-1").len(),
            bench.said("globex", "DEV-1").len()
        ),
        (2, 2)
    );
    let queue = bench.run(&["queue", "--json"]).ended(3).json();
    bench.run(&["retry"]).ended(0);
    bench.run(&["reconcile"]).ended(3);
    assert_eq!(
        (
            bench.said("acme", "SUP-1").len(),
            bench.said("globex", "DEV-1").len()
        ),
        (2, 2)
    );
    // A person says which is which.
    let copies: Vec<u64> = bench
        .globex()
        .worklogs_of("DEV-1")
        .iter()
        .map(|one| one.id)
        .collect();
    for (item, twin) in queue.as_array().unwrap().iter().zip(copies) {
        let (id, twin) = (item["id"].as_str().unwrap(), twin.to_string());
        bench.run(&["resolve", id, "--twin", &twin]).ended(0);
    }
    bench.run(&["reconcile"]).ended(0);
    assert_eq!(bench.said("globex", "DEV-1").len(), 2);
    bench
        .run(&["backfill", "--since", "2024-01-01", "--heal"])
        .ended(0);
    assert!(
        bench.alike("SUP-1", "DEV-1", 2),
        "{:?}",
        bench.said("globex", "DEV-1")
    );
}

#[test]
fn a_wrong_call_says_what_would_be_right_and_changes_nothing() {
    let bench = Bench::new();
    with_old(&bench);
    for (arguments, says) in [
        (&["--since", "yesterday"] as &[&str], "--since"),
        (&["--since", "2024-02-30"], "--since"),
        (
            &["--since", "2024-03-01", "--until", "2024-02-01"],
            "is after --until",
        ),
        (&["--since", "2024-01-01", "--connection", "none"], "acme-globex"),
        (
            &["--since", "2024-01-01", "--issue", "SUP-99"],
            "no issue `SUP-99`",
        ),
        (&["--since", "2024-01-01", "--issue", "SUP-4"], "tandem link add"),
        (&["--since", "2024-01-01", "--adopt=maybe"], "ask"),
        (&["--since", "2024-01-01", "--adopt=no", "--heal"], "--heal"),
        (&[], "--since"),
    ] {
        let arguments: Vec<&str> = ["backfill"].iter().chain(arguments).copied().collect();
        bench.run(&arguments).ended(2).says(says);
    }
    assert_eq!(bench.said("globex", "DEV-1").len(), 0);
}

#[test]
fn a_backfill_that_was_killed_goes_on_where_it_was() {
    let bench = Bench::new();
    for n in 0..160 {
        let text = format!("entry {n}");
        bench
            .acme()
            .log_time("SUP-1", old("ann", 1 + n % 28, &text))
            .unwrap();
        bench
            .acme()
            .log_time("SUP-2", old("bob", 1 + n % 28, &text))
            .unwrap();
    }
    let arguments = ["backfill", "--since", "2024-01-01", "--yes"];
    for _ in 0..3 {
        let before = bench.globex().worklogs().len();
        let mut child = bench
            .command(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = std::time::Instant::now();
        while bench.globex().worklogs().len() == before && begun.elapsed() < Duration::from_secs(4) {
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(!bench.globex().worklogs().is_empty());
    // What was in the middle of being written is looked for until it would have shown: the lease has to run out first.
    wait("the rest is done", || bench.run(&arguments).code == 0);
    assert!(bench.alike("SUP-1", "DEV-1", 160) && bench.alike("SUP-2", "DEV-2", 160));
    bench.run(&["verify", "--from", "2024-01-01"]).ended(0);
    bench
        .acme()
        .log_time("SUP-1", hour("ann", "and on it goes"))
        .unwrap();
    bench.reconcile();
    assert_eq!(bench.said("globex", "DEV-1").len(), 161);
}

#[test]
fn a_pass_takes_up_what_one_that_died_had_in_hand() {
    let bench = Bench::new();
    bench.acme().log_time("SUP-1", hour("ann", "one")).unwrap();
    let create = Matcher::tempo("POST", "/4/worklogs");
    bench
        .sim
        .fail_next("globex", create, Fault::LostBefore(FaultOutcome::Hang));
    let mut child = bench
        .command(&["reconcile"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let sent = |request: &RequestRecord| request.method == "POST" && request.path_template == "/4/worklogs";
    wait("it writes", || bench.sim.requests().iter().any(sent));
    child.kill().unwrap();
    child.wait().unwrap();
    // Its lease has to run out first.
    bench
        .run(&["reconcile"])
        .ended(0)
        .says("waiting for what another process has in hand, 60 s at most");
    assert_eq!(bench.said("globex", "DEV-1").len(), 1);
}
