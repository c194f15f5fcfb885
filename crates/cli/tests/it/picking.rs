//! What is meant by an issue, a worklog or a person: the same for all commands.

use serde_json::{Value, json};

use crate::bench::{Bench, hour};

const BRAKE: &str = "[connections.policy]\nmass_delete = { max = 1, within = \"1h\" }";

/// Three worklogs on each of two issues, deleted on acme, of which the brake held all back. Ann's are the first of each.
fn held_back() -> Bench {
    let bench = Bench::with(BRAKE);
    let mut ids = Vec::new();
    for issue in ["SUP-1", "SUP-2"] {
        for (n, author) in ["ann", "bob", "bob"].iter().enumerate() {
            ids.push(
                bench
                    .acme()
                    .log_time(issue, hour(author, &format!("{issue} {n}")))
                    .unwrap(),
            );
        }
    }
    bench.reconcile();
    for id in ids {
        bench.acme().delete(id).unwrap();
    }
    bench.run(&["reconcile"]).ended(3);
    assert_eq!(left(&bench), (3, 3));
    bench
}

/// Worklogs that are left on globex.
fn left(bench: &Bench) -> (usize, usize) {
    (
        bench.said("globex", "DEV-1").len(),
        bench.said("globex", "DEV-2").len(),
    )
}

#[test]
fn only_the_deletes_that_are_meant_pass_the_brake() {
    let bench = held_back();
    bench
        .run(&["release", "mass-delete", "--person", "zoe"])
        .ended(2)
        .says("no delete of that is held back");
    let released = |filter: &[&str]| {
        let arguments = [&["release", "mass-delete", "--json"], filter].concat();
        bench.run(&arguments).ended(0).json()["released"].clone()
    };
    bench
        .run(&[
            "release",
            "mass-delete",
            "--issue",
            "SUP-1",
            "--connection",
            "nobody",
        ])
        .ended(2)
        .says("acme-globex");
    assert_eq!(released(&["--issue", "SUP-1", "--person", "ann"]), 1);
    bench.run(&["reconcile"]).ended(3);
    assert_eq!(left(&bench), (2, 3));
    bench
        .run(&["release", "mass-delete", "--issue", "dev-1"])
        .ended(0)
        .says("SUP-1 ~ DEV-1, worklog ")
        .says("2 deletes let through");
    bench.run(&["reconcile"]).ended(3);
    assert_eq!(left(&bench), (0, 3));
    // The brake goes on holding back what is deleted now.
    let more = bench.acme().log_time("SUP-1", hour("ann", "more")).unwrap();
    bench.run(&["reconcile"]).ended(3);
    bench.acme().delete(more).unwrap();
    bench.run(&["reconcile"]).ended(3);
    assert_eq!(left(&bench), (1, 3));
    assert_eq!(released(&[]), 4);
    bench.reconcile();
    assert_eq!(left(&bench), (0, 0));
}

#[test]
fn several_deletes_are_undone_together_only_when_all_are_asked_for() {
    let bench = held_back();
    bench.run(&["release", "mass-delete"]).ended(0);
    bench.reconcile();
    assert_eq!(left(&bench), (0, 0));
    let before = bench.acme().worklogs().len();
    bench
        .run(&["undelete", "--issue", "SUP-1"])
        .ended(2)
        .says("SUP-1 2")
        .says("3 deletes are meant: name one by its id, or take --all; nothing was done");
    assert_eq!(bench.acme().worklogs().len(), before);
    bench
        .run(&["undelete", "--issue", "SUP-1", "--person", "ann"])
        .ended(0)
        .says("back as worklog");
    let done = bench
        .run(&["undelete", "--issue", "SUP-1", "--all", "--json"])
        .ended(0)
        .json();
    assert_eq!(done["undeleted"].as_array().unwrap().len(), 2, "{done}");
    assert_eq!(done["failed"], json!([]));
    bench
        .run(&["undelete", "--issue", "SUP-1", "--all"])
        .ended(2)
        .says("no delete of issue SUP-1 to undo; 3 was undone already");
    bench.reconcile();
    assert!(bench.alike("SUP-1", "DEV-1", 3));
    assert_eq!(left(&bench), (3, 0));
    bench.run(&["undelete"]).ended(2);
    bench
        .run(&["undelete", "--worklog", "1"])
        .ended(2)
        .says("no delete of worklog 1");
    // What was brought back is in the history of what it was.
    let lines = bench
        .run(&["history", "SUP-1", "--person", "ann", "--json"])
        .ended(0)
        .json();
    let ops: Vec<&Value> = lines.as_array().unwrap().iter().map(|line| &line["op"]).collect();
    assert!(
        ops.contains(&&json!("delete")) && ops.contains(&&json!("undelete")),
        "{lines}"
    );
}

#[test]
fn one_that_a_site_refuses_to_bring_back_holds_up_no_other() {
    let bench = held_back();
    bench.run(&["release", "mass-delete"]).ended(0);
    bench.reconcile();
    let refused = tandem_sim::Fault::LostBefore(tandem_sim::FaultOutcome::Status(400));
    bench
        .acme()
        .fail_next(tandem_sim::Matcher::tempo("POST", "/4/worklogs"), refused);
    let done = bench
        .run(&["undelete", "--issue", "SUP-1", "--all", "--json"])
        .ended(1)
        .json();
    let count = |of: &str| done[of].as_array().unwrap().len();
    assert_eq!((count("undeleted"), count("failed")), (2, 1), "{done}");
    bench.run(&["undelete", "--issue", "SUP-1"]).ended(0);
    bench.reconcile();
    assert!(bench.alike("SUP-1", "DEV-1", 3));
}

#[test]
fn the_status_of_an_issue_a_worklog_or_a_person_is_theirs_alone() {
    let bench = Bench::new();
    let log = |issue: &str, author: &str| bench.acme().log_time(issue, hour(author, "x")).unwrap();
    let zoes = log("SUP-1", "zoe");
    log("SUP-2", "zoe");
    log("SUP-2", "ann");
    bench.run(&["reconcile"]).ended(3);
    let of = |filter: &[&str], code: i32| {
        let status = bench
            .run(&[&["status", "--json"], filter].concat())
            .ended(code)
            .json();
        (
            status["queue"]["parked"].clone(),
            status["connections"][0]["links"].clone(),
        )
    };
    assert_eq!(of(&[], 3), (json!(2), json!(2)));
    assert_eq!(of(&["--issue", "SUP-1"], 3), (json!(1), json!(1)));
    assert_eq!(of(&["--worklog", &zoes.to_string()], 3), (json!(1), json!(1)));
    assert_eq!(of(&["--person", "zoe"], 3).0, json!(2));
    assert_eq!(of(&["--person", "ann"], 0).0, json!(0));
    let status = bench.run(&["status", "--issue", "dev-1"]).ended(3);
    assert!(
        status
            .out
            .contains("queue of issue dev-1: 0 due, 0 running, 1 parked"),
        "{status:?}"
    );
    let json = bench.run(&["status", "--issue", "SUP-1", "--json"]).json();
    assert_eq!(json["only"]["issue"], "SUP-1");
    assert!(bench.run(&["status", "--json"]).json().get("only").is_none());
    for command in ["status", "queue"] {
        bench
            .run(&[command, "--issue", "SUP-99"])
            .ended(2)
            .says("no linked issue is known as `SUP-99`");
    }
}

#[test]
fn a_decision_is_about_one_item_and_many_may_be_left_alone_together() {
    let bench = Bench::new();
    let log = |issue: &str| bench.acme().log_time(issue, hour("zoe", issue)).unwrap();
    let (one, _) = (log("SUP-1"), log("SUP-2"));
    bench.run(&["reconcile"]).ended(3);
    let shown = bench.run(&["resolve", "--worklog", &one.to_string()]).ended(0);
    assert!(shown.out.contains("author-unmapped"), "{shown:?}");
    bench
        .run(&["resolve", "--person", "zoe"])
        .ended(2)
        .says("2 items of that wait, and a decision is about one");
    bench
        .run(&["resolve", "--person", "ann"])
        .ended(2)
        .says("no worklog of that");
    bench.run(&["resolve"]).ended(2);
    // A filter says which item it meant.
    let retried = bench.run(&["retry", "--issue", "SUP-1"]).ended(0);
    let called = format!("SUP-1 ~ DEV-1, worklog {one}");
    assert!(
        retried.err.contains(&format!("{called}: author-unmapped")) && !retried.err.contains("SUP-2"),
        "{retried:?}"
    );
    bench.run(&["reconcile"]).ended(3);
    bench
        .run(&["resolve", "--issue", "SUP-1", "--take", "b"])
        .ended(2);
    bench
        .run(&["retry", "--connection", "nobody"])
        .ended(2)
        .says("there is no connection `nobody`");
    let everything = bench.run(&["retry", "--connection", "acme-globex", "--json"]);
    assert_eq!(everything.ended(0).json()["items"].as_array().unwrap().len(), 2);
    bench.run(&["reconcile"]).ended(3);
    let ignored = bench
        .run(&["ignore", "--person", "zoe", "--as", "Bob", "--json"])
        .ended(0)
        .json();
    assert_eq!(ignored["ignored"].as_array().unwrap().len(), 2);
    bench.run(&["queue"]).ended(0);
    bench
        .run(&["ignore", "--person", "zoe"])
        .ended(2)
        .says("no worklog of that");
    let lines = bench.run(&["history", "--by-hand", "--json"]).json();
    let lines = lines.as_array().unwrap();
    let lines: Vec<_> = lines.iter().filter(|line| line["op"] == "ignore").collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines
            .iter()
            .all(|line| line["cause"].as_str().unwrap().starts_with("Bob: ")),
        "{lines:?}"
    );
}

#[test]
fn a_link_that_waits_as_a_whole_keeps_its_worklogs_and_their_people_waiting() {
    let bench = Bench::new();
    let id = bench.acme().log_time("SUP-2", hour("ann", "work")).unwrap();
    bench.acme().log_time("SUP-1", hour("bob", "elsewhere")).unwrap();
    bench.reconcile();
    bench.globex().delete_issue("bob", "DEV-2").unwrap();
    let two_hours = |content: &mut tandem_sim::Content| content.time_spent_secs = 7200;
    bench.acme().edit(id, two_hours).unwrap();
    bench.run(&["reconcile"]).ended(3);
    let id = id.to_string();
    let of = |filter: [&str; 2]| {
        let queue = bench
            .run(&["queue", filter[0], filter[1], "--json"])
            .ended(3)
            .json();
        queue[0]["reason"].clone()
    };
    for filter in [["--issue", "SUP-2"], ["--worklog", &id], ["--person", "ann"]] {
        assert_eq!(of(filter), "issue-unlinked", "{filter:?}");
        let status = bench
            .run(&["status", filter[0], filter[1], "--json"])
            .ended(3)
            .json();
        assert_eq!(status["queue"]["parked"], 1, "{filter:?}");
        let retried = bench
            .run(&["retry", filter[0], filter[1], "--json"])
            .ended(0)
            .json();
        assert_eq!(retried["retried"], 1, "{filter:?}");
        bench.run(&["reconcile"]).ended(3);
    }
    let nothing = bench.run(&["queue", "--person", "bob", "--json"]).ended(0).json();
    assert_eq!(nothing, json!([]));
}

#[test]
fn what_waits_on_an_issue_that_has_got_another_key_is_found_by_either() {
    let bench = Bench::new();
    bench.acme().log_time("SUP-1", hour("zoe", "work")).unwrap();
    bench.acme().log_time("SUP-2", hour("zoe", "other")).unwrap();
    bench.run(&["reconcile"]).ended(3);
    bench.acme().add_issue(tandem_sim::IssueSpec::new("NEW-1"));
    let moved = bench.acme().jira_move_issue("ann", "SUP-1", "NEW").unwrap();
    for key in ["SUP-1", &moved, "DEV-1"] {
        let queue = bench.run(&["queue", "--issue", key, "--json"]).ended(3).json();
        assert_eq!(queue.as_array().unwrap().len(), 1, "{key}: {queue}");
        let status = bench.run(&["status", "--issue", key, "--json"]).ended(3).json();
        assert_eq!(status["queue"]["parked"], 1, "{key}: {status}");
    }
}

#[test]
fn the_history_of_an_issue_that_two_connections_share_is_told_of_one_of_them() {
    let bench = Bench::new();
    bench.connect_again("operations", &[]);
    for (twin, connection) in [("DEV-3", "acme-globex"), ("DEV-4", "operations")] {
        bench
            .run(&["link", "add", "SUP-3", twin, "--connection", connection])
            .ended(0);
    }
    // Its copy on SUP-3 has a twin already, and waits where DEV-3 has none.
    let id = bench.globex().log_time("DEV-4", hour("ann", "one")).unwrap();
    bench.run(&["reconcile"]).ended(3);
    let told = |of: &[&str]| -> Vec<(String, String)> {
        let lines = bench.run(&[&["history", "--json"], of].concat()).ended(0).json();
        let lines = lines.as_array().unwrap().iter();
        let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
        lines
            .map(|line| (text(line, "connection"), text(line, "op")))
            .collect()
    };
    let all = told(&["SUP-3"]);
    for name in ["acme-globex", "operations"] {
        let mut of_one = all.clone();
        of_one.retain(|(connection, _)| connection == name);
        assert!(!of_one.is_empty() && of_one.len() < all.len(), "{all:?}");
        assert_eq!(told(&["SUP-3", "--connection", name]), of_one);
    }
    let id = id.to_string();
    let of_worklog = |name: &str| told(&["SUP-3", "--worklog", &id, "--connection", name]);
    assert_eq!(
        of_worklog("operations"),
        [("operations".to_owned(), "create".to_owned())]
    );
    assert_eq!(of_worklog("acme-globex"), []);
}
