//! What the history tells of a decision: what was seen, what had been agreed on, and the policy.

use serde_json::{Value, json};

use crate::bench::{Bench, hour};

/// Ann's hour, with another text on each side, and what became of it by a policy. A's id, B's id.
fn both_edited(policy: &str) -> (Bench, u64, u64) {
    let bench = Bench::with(&format!("[connections.policy]\n{policy}"));
    let a = bench.acme().log_time("SUP-1", hour("ann", "agreed")).unwrap();
    bench.reconcile();
    let b = bench.globex().worklogs_of("DEV-1")[0].id;
    bench.next_second();
    for (site, id) in [("acme", a), ("globex", b)] {
        let text = format!("from {site}");
        bench
            .sim
            .site(site)
            .edit(id, |content| content.description = Some(text))
            .unwrap();
    }
    bench.run(&["reconcile"]);
    (bench, a, b)
}

/// The lines of an operation.
fn lines(bench: &Bench, op: &str) -> Vec<Value> {
    let all = bench.run(&["history", "--json"]).ended(0).json();
    let all = all.as_array().unwrap().iter();
    all.filter(|line| line["op"] == op).cloned().collect()
}

#[test]
fn a_line_tells_what_was_seen_on_both_sides_what_was_agreed_on_and_the_policy() {
    let (bench, ..) = both_edited("conflict = \"a\"");
    let created = &lines(&bench, "create")[0];
    assert_eq!(
        (&created["seen"]["b"], &created["base"], &created["policy"]),
        (&Value::Null, &Value::Null, &Value::Null),
        "{created}"
    );
    assert_eq!(created["seen"]["a"]["description"], "agreed");

    let updates = lines(&bench, "update");
    let [line] = updates.as_slice() else {
        panic!("{updates:?}")
    };
    for key in [
        "id",
        "time",
        "connection",
        "op",
        "side",
        "issue",
        "worklog",
        "cause",
        "before",
        "after",
        "seen",
        "base",
        "policy",
    ] {
        assert!(line.as_object().unwrap().contains_key(key), "{key}: {line}");
    }
    let texts = |of: &Value| json!([of["a"]["description"], of["b"]["description"]]);
    assert_eq!(texts(&line["seen"]), json!(["from acme", "from globex"]));
    assert_eq!(texts(&line["base"]), json!(["agreed", "agreed"]));
    assert_eq!(line["policy"], "conflict = a");
    assert_eq!(line["lost"], json!(["description on b: from globex"]));

    let shown = bench.run(&["history", "SUP-1"]).ended(0).out;
    for words in [
        "seen on a: ann 2026-03-02 13:30 1h \"from acme\"",
        "- ann 2026-03-02 13:30 1h \"from globex\"",
        "agreed before: ann 2026-03-02 13:30 1h \"agreed\"",
        "policy: conflict = a",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

#[test]
fn what_a_person_decided_is_told_with_what_it_rested_on() {
    let (bench, a, _) = both_edited("conflict = \"park\"");
    let parked = &lines(&bench, "park")[0];
    assert_eq!(parked["policy"], "conflict = park");
    assert_eq!(parked["seen"]["b"]["description"], "from globex");
    let a = a.to_string();
    bench
        .run(&["resolve", "--worklog", &a, "--take", "b", "--as", "Ann Archer"])
        .ended(0);
    let resolved = &lines(&bench, "resolve")[0];
    assert!(resolved["cause"].as_str().unwrap().starts_with("Ann Archer: "));
    assert_eq!(resolved["seen"], parked["seen"]);
    assert_eq!(resolved["base"]["a"]["description"], "agreed");
}

#[test]
fn deletes_tell_the_policy_that_carried_them_over_or_left_the_twin() {
    for (policy, op, told) in [
        ("delete = \"mirror\"", "delete", "delete = mirror"),
        ("delete = \"keep\"", "keep", "delete = keep"),
        ("delete = \"park\"", "park", "delete = park"),
    ] {
        let bench = Bench::with(&format!("[connections.policy]\n{policy}"));
        let a = bench.acme().log_time("SUP-1", hour("ann", "gone")).unwrap();
        bench.reconcile();
        bench.acme().delete(a).unwrap();
        bench.run(&["reconcile"]);
        let line = &lines(&bench, op)[0];
        assert_eq!(line["policy"], told, "{line}");
        assert_eq!(line["seen"]["a"], Value::Null, "{line}");
        assert_eq!(line["seen"]["b"]["description"], "gone", "{line}");
        assert_eq!(line["base"]["a"]["description"], "gone", "{line}");
    }
    // Whom nobody knows waits by a policy too.
    let bench = Bench::new();
    bench.acme().log_time("SUP-1", hour("zoe", "alone")).unwrap();
    bench.run(&["reconcile"]).ended(3);
    assert_eq!(lines(&bench, "park")[0]["policy"], "unknown = park");
}

#[test]
fn a_persons_history_is_what_was_ever_said_of_their_time() {
    let bench = Bench::new();
    let zoes = bench.acme().log_time("SUP-1", hour("zoe", "alone")).unwrap();
    bench.acme().log_time("SUP-1", hour("ann", "hers")).unwrap();
    bench.run(&["reconcile"]).ended(3);
    bench.run(&["retry", "--person", "zoe", "--as", "Bob"]).ended(0);
    let of = |filter: &[&str]| {
        let arguments = [&["history", "--json"], filter].concat();
        let lines = bench.run(&arguments).ended(0).json();
        let lines = lines.as_array().unwrap().iter();
        lines
            .map(|line| line["op"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&["--person", "zoe"]), ["park", "retry"]);
    assert_eq!(of(&["--person", "ann"]), ["create"]);
    assert_eq!(of(&["--worklog", &zoes.to_string()]), ["park", "retry"]);
    assert_eq!(of(&["--issue", "dev-1"]).len(), 3);
    assert_eq!(of(&["SUP-1", "--person", "zoe"]), ["park", "retry"]);
    bench.run(&["history", "SUP-1", "--issue", "SUP-1"]).ended(2);
    bench
        .run(&["history", "--issue", "SUP-99"])
        .ended(2)
        .says("no issue `SUP-99`");
}
