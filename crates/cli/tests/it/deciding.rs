//! What people say about items that wait: which side counts, and what to leave alone.

use serde_json::Value;
use tandem_sim::UserSpec;

use crate::bench::{Bench, Ran, hour};

const ASK: &str = "[connections.policy]\nconflict = \"park\"\ndelete_vs_edit = \"park\"";

fn the_item(bench: &Bench) -> Value {
    let queue = bench.run(&["queue", "--json"]).ended(3).json();
    assert_eq!(queue.as_array().unwrap().len(), 1, "{queue}");
    queue[0].clone()
}

fn id(item: &Value) -> String {
    item["id"].as_str().unwrap().to_owned()
}

fn texts(bench: &Bench) -> (Vec<String>, Vec<String>) {
    let of = |site: &str, issue: &str| bench.said(site, issue).into_iter().map(|said| said.0).collect();
    (of("acme", "SUP-1"), of("globex", "DEV-1"))
}

/// Ann's hour, with another text on each side.
fn conflict() -> (Bench, u64, u64) {
    let bench = Bench::with(ASK);
    let a = bench.acme().log_time("SUP-1", hour("ann", "agreed")).unwrap();
    bench.reconcile();
    let b = bench.globex().worklogs_of("DEV-1")[0].id;
    bench
        .acme()
        .edit(a, |content| content.description = Some("from a".into()))
        .unwrap();
    bench
        .globex()
        .edit(b, |content| content.description = Some("from b".into()))
        .unwrap();
    bench.run(&["reconcile"]).ended(3);
    (bench, a, b)
}

fn by_hand(bench: &Bench) -> Value {
    let lines: Ran = bench.run(&["history", "--by-hand", "--json"]).ended(0);
    lines.json()
}

#[test]
fn the_side_that_a_person_takes_counts_and_the_other_is_kept_in_the_history() {
    let (bench, ..) = conflict();
    let item = id(&the_item(&bench));
    let shown = bench.run(&["resolve", &item]).ended(0);
    for words in ["from a", "from b", "agreed", "SUP-1", "DEV-1", "conflict = park"] {
        assert!(shown.out.contains(words), "{words}: {shown:?}");
    }
    bench
        .run(&["resolve", "--issue", "SUP-1", "--take", "b", "--as", "Ann Archer"])
        .ended(0)
        .says("SUP-1 ~ DEV-1, worklog ");
    bench.reconcile();
    assert_eq!(texts(&bench), (vec!["from b".into()], vec!["from b".into()]));
    let lines = by_hand(&bench);
    let line = &lines[0];
    assert_eq!(line["op"], "resolve");
    assert!(
        line["cause"].as_str().unwrap().starts_with("Ann Archer: "),
        "{line}"
    );
    assert_eq!(line["lost"][0], "description on a: from a");
    assert_eq!(line["before"]["description"], "from a");
    bench
        .run(&["resolve", &item, "--take", "a"])
        .ended(2)
        .says("does not wait any more");
}

#[test]
fn what_was_changed_after_the_decision_waits_again() {
    let (bench, _, b) = conflict();
    let item = id(&the_item(&bench));
    bench
        .run(&["resolve", &item, "--take", "a", "--rev", "1"])
        .ended(2)
        .says("look again");
    bench.run(&["resolve", &item, "--take", "a"]).ended(0);
    bench
        .globex()
        .edit(b, |content| content.description = Some("newer".into()))
        .unwrap();
    bench.run(&["reconcile"]).ended(3);
    assert_eq!(the_item(&bench)["reason"], "conflict");
    assert_eq!(texts(&bench), (vec!["from a".into()], vec!["newer".into()]));
    bench.run(&["resolve", &item, "--take", "a"]).ended(0);
    bench.reconcile();
    assert_eq!(texts(&bench), (vec!["from a".into()], vec!["from a".into()]));
}

#[test]
fn of_a_delete_and_an_edit_a_person_takes_either() {
    for (side, left) in [("a", 0), ("b", 1)] {
        let bench = Bench::with(ASK);
        let a = bench.acme().log_time("SUP-1", hour("ann", "agreed")).unwrap();
        bench.reconcile();
        let b = bench.globex().worklogs_of("DEV-1")[0].id;
        bench.acme().delete(a).unwrap();
        bench
            .globex()
            .edit(b, |content| content.description = Some("edited".into()))
            .unwrap();
        bench.run(&["reconcile"]).ended(3);
        let item = id(&the_item(&bench));
        bench.run(&["resolve", &item, "--take", side]).ended(0);
        bench.reconcile();
        assert!(
            bench.alike("SUP-1", "DEV-1", left),
            "side {side}: {:?}",
            texts(&bench)
        );
        bench.run(&["verify"]).ended(0);
    }
}

#[test]
fn what_is_ignored_waits_silently_until_it_changes_or_is_asked_for() {
    let bench = Bench::new();
    let zoes = bench.acme().log_time("SUP-1", hour("zoe", "alone")).unwrap();
    bench.run(&["reconcile"]).ended(3);
    let item = id(&the_item(&bench));
    bench.run(&["ignore", &item, "--as", "Bob"]).ended(0);
    bench.run(&["ignore", &item]).ended(2).says("ignored already");
    bench.run(&["queue"]).ended(0);
    bench.run(&["status"]).ended(0);
    // Nothing that tries everything again brings it back.
    bench.run(&["retry"]).ended(0);
    bench.run(&["reconcile"]).ended(0);
    bench.run(&["reconcile", "--pass", "audit"]).ended(0);
    bench.run(&["queue"]).ended(0);
    let all = bench.run(&["queue", "--all", "--json"]).ended(0).json();
    assert_eq!(all[0]["ignored"], true);
    assert_eq!(bench.run(&["status", "--json"]).json()["queue"]["ignored"], 1);

    bench
        .acme()
        .edit(zoes, |content| content.time_spent_secs = 1800)
        .unwrap();
    bench.run(&["reconcile"]).ended(3);
    assert_eq!(id(&the_item(&bench)), item);

    bench.run(&["ignore", &item]).ended(0);
    bench.run(&["queue"]).ended(0);
    bench.run(&["retry", &item]).ended(0);
    bench.run(&["reconcile"]).ended(3);
    let ops: Vec<_> = by_hand(&bench)
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["op"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ops, ["ignore", "ignore", "retry"]);
    assert_eq!(bench.said("globex", "DEV-1").len(), 0);
}

#[test]
fn queue_and_history_are_picked_by_issue_worklog_and_person() {
    let bench = Bench::new();
    let anns = bench.acme().log_time("SUP-1", hour("ann", "hers")).unwrap();
    let zoes = bench.acme().log_time("SUP-2", hour("zoe", "alone")).unwrap();
    bench.run(&["reconcile"]).ended(3);
    let zoes = zoes.to_string();
    for (filter, count) in [
        (["--issue", "dev-2"], 1),
        (["--issue", "SUP-1"], 0),
        (["--worklog", zoes.as_str()], 1),
        (["--person", "zoe"], 1),
        (["--person", "ann"], 0),
    ] {
        let ran = bench.run(&["queue", "--json", filter[0], filter[1]]);
        assert_eq!(ran.json().as_array().unwrap().len(), count, "{filter:?}: {ran:?}");
    }
    let twin = bench.globex().worklogs_of("DEV-1")[0].id.to_string();
    let lines = |filter: [&str; 2]| {
        let ran = bench.run(&["history", "--json", filter[0], filter[1]]).ended(0);
        ran.json().as_array().unwrap().len()
    };
    assert_eq!(lines(["--worklog", &twin]), 1);
    for command in ["queue", "history", "status"] {
        bench
            .run(&[command, "--worklog", "1"])
            .ended(2)
            .says("no worklog 1 is known");
        bench
            .run(&[command, "--person", "nobody"])
            .ended(2)
            .says("no site has an account nobody");
    }
    assert_eq!(lines(["--person", "ann"]), 1);
    assert_eq!(lines(["--person", "bob"]), 0);
    // Somebody who left still has a history.
    for site in [bench.acme(), bench.globex()] {
        site.put_user(UserSpec::new("bob", "Bob").inactive());
    }
    assert_eq!(lines(["--person", "bob"]), 0);
    assert!(lines(["--worklog", &anns.to_string()]) <= 1);
}

#[test]
fn what_cannot_be_decided_is_said_with_what_can_be_done() {
    let bench = Bench::new();
    bench.acme().log_time("SUP-1", hour("zoe", "alone")).unwrap();
    bench.run(&["reconcile"]).ended(3);
    let item = id(&the_item(&bench));
    bench.run(&["resolve", &item, "--take", "a"]).ended(2).says("map");
    bench
        .run(&["resolve", &item, "--twin", "7"])
        .ended(2)
        .says("author-unmapped");
    bench
        .run(&["resolve", "nonsense", "--take", "a"])
        .ended(2)
        .says("tandem queue");
    bench
        .run(&["ignore", "link:acme-globex:1:2"])
        .ended(2)
        .says("whole link");
    bench
        .run(&["resolve", "pair:acme-globex:1:2:nobody", "--take", "a"])
        .ended(2)
        .says("not in the table");
    bench.run(&["resolve", &item, "--take", "c"]).ended(2);
}
