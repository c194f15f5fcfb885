//! A person asks to be forgotten.

use serde_json::json;

use crate::bench::{Bench, hour, run};

#[test]
fn a_person_is_shown_then_forgotten_and_their_hours_stay_in_the_books() {
    let bench = Bench::new();
    let id = bench
        .acme()
        .log_time("SUP-1", hour("ann", "my knee hurts"))
        .unwrap();
    bench.acme().log_time("SUP-1", hour("bob", "bob's own")).unwrap();
    bench.reconcile();
    bench.acme().delete(id).unwrap();
    bench.reconcile();
    let before = bench.run(&["history", "--json"]).ended(0).out;
    assert!(before.contains("my knee hurts"));

    let looked = bench.run(&["forget", "ann"]).ended(3);
    assert!(looked.out.contains("lines of the history"), "{looked:?}");
    looked.says("nothing was changed; --yes does it");
    assert_eq!(bench.run(&["history", "--json"]).ended(0).out, before);

    let done = bench.run(&["forget", "ann", "--yes", "--json"]).ended(0).json();
    assert_eq!(done[0]["done"], true);
    assert_eq!(done[0]["forgotten"]["pairs"], 1);
    assert_eq!(done[0]["kept"]["pairs"], 0);
    let after = bench.run(&["history", "--json"]).ended(0);
    assert!(
        !after.out.contains("my knee hurts")
            && !after.out.contains("\"ann\"")
            && after.out.contains("bob's own"),
        "{after:?}"
    );
    let lines = after.json();
    let delete = lines
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["op"] == "delete")
        .unwrap();
    assert_eq!(delete["before"]["time_spent_secs"], 3600);
    bench
        .run(&["undelete", delete["id"].as_str().unwrap()])
        .ended(2)
        .says("is forgotten");
    bench.run(&["forget", "ann", "--yes"]).ended(0);
    // Everybody else is kept the same as before.
    bench.reconcile();
    assert!(bench.alike("SUP-1", "DEV-1", 1));
    bench.run(&["verify"]).ended(0);
}

#[test]
fn what_is_alive_and_what_is_in_use_stays_and_is_told() {
    let bench = Bench::with("[connections.authors]\nmap = [[\"ann\", \"bob\"]]");
    bench
        .acme()
        .log_time("SUP-1", hour("ann", "here to stay"))
        .unwrap();
    bench.reconcile();
    bench.run(&["publish"]).ended(0);
    bench
        .run(&["forget", "ann", "--yes"])
        .ended(3)
        .says("are on the sites: 1;")
        .says("version 1 of the configuration, which is in use");
    let again = bench.run(&["forget", "ann", "bob", "--json"]).ended(3).json();
    assert_eq!(
        again[0]["kept"],
        json!({ "pairs": 1, "newest_version": 1, "changed_meanwhile": 0, "others": {} })
    );
    assert_eq!(again[1]["account"], "bob");
    // The pair goes on being kept the same.
    bench.acme().log_time("SUP-1", hour("ann", "more")).unwrap();
    bench.reconcile();
    assert!(bench.alike("SUP-1", "DEV-1", 2));
}

#[test]
fn what_is_no_account_is_told() {
    let bench = Bench::new();
    for wrong in ["ann@acme.example", "Ann Archer", "", "x"] {
        bench
            .run(&["forget", wrong])
            .ended(2)
            .says("an account id has letters, digits");
    }
    bench.run(&["forget"]).ended(2);
    run(&mut bench.without_data(&["forget", "ann"]))
        .ended(2)
        .says("--table NAME");
    bench
        .run(&["forget", "nobody"])
        .ended(0)
        .says("nothing of nobody is there");
}
