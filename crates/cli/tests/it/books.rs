//! The ledger check as people keep it.

use sha2::{Digest, Sha256};

use crate::bench::{Bench, hour};

fn checksum(rows: &str) -> String {
    hex::encode(Sha256::digest(rows.as_bytes()))
}

#[test]
fn sums_by_issue_person_and_day_stand_on_both_sides() {
    let bench = Bench::new();
    bench.acme().log_time("SUP-1", hour("ann", "one")).unwrap();
    bench
        .acme()
        .log_time("SUP-2", hour("bob", "two").billable(0))
        .unwrap();
    bench.reconcile();
    let groups = bench.run(&["verify", "--json"]).ended(0).json()["groups"].clone();
    let of = |by: &str| {
        let all = groups.as_array().unwrap().iter();
        all.filter(|group| group["by"] == by).cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        (of("issue").len(), of("person").len(), of("day").len()),
        (2, 2, 1),
        "{groups}"
    );
    let bob = &of("person")[1];
    assert_eq!((&bob["key"], &bob["a"]), (&"bob".into(), &bob["b"]));
    assert_eq!(
        (&bob["a"]["seconds"], &bob["a"]["billable"]),
        (&3600.into(), &0.into())
    );
    let csv = bench.run(&["verify", "--csv"]).ended(0).out;
    assert!(csv.starts_with("row,connection,key,a_worklogs"), "{csv}");
    assert!(
        csv.contains("issue,acme-globex,SUP-2 ~ DEV-2,1,3600,0,1,3600,0,,,,"),
        "{csv}"
    );
}

#[test]
fn a_report_can_be_held_to_its_checksum_and_names_each_difference() {
    let bench = Bench::new();
    let alone = bench
        .acme()
        .log_time("SUP-1", hour("zoe", "unknown there"))
        .unwrap();
    bench.run(&["reconcile"]).ended(3);
    let file = bench.path("books.csv");
    let csv = file.to_str().unwrap();
    bench.run(&["verify", "--report", csv]).ended(3).says("books.csv");
    let text = std::fs::read_to_string(&file).unwrap();
    let (rows, sum) = text.split_once("# sha256 of the rows above: ").unwrap();
    assert_eq!(sum.trim(), checksum(rows));
    let line = rows.lines().find(|line| line.starts_with("difference")).unwrap();
    assert!(
        line.contains(&alone.to_string()) && line.contains("only-in-a"),
        "{line}"
    );
    assert!(line.contains("author-unmapped"), "{line}");

    let page = bench.path("books.html");
    bench
        .run(&["verify", "--report", page.to_str().unwrap()])
        .ended(3);
    let html = std::fs::read_to_string(page).unwrap();
    assert!(
        html.contains("not equal") && html.contains(&checksum(rows)),
        "{html}"
    );
}

#[test]
fn a_report_that_cannot_be_written_says_so() {
    let bench = Bench::new();
    bench
        .run(&["verify", "--report", "books.pdf"])
        .ended(2)
        .says(".html or .csv");
    let nowhere = bench.path("nowhere/books.csv");
    bench
        .run(&["verify", "--report", nowhere.to_str().unwrap()])
        .ended(1)
        .says("cannot be written");
    bench.run(&["verify", "--csv", "--json"]).ended(2);
}
