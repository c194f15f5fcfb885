//! Published configurations: listing them, and going back to one.

use serde_json::Value;

use crate::bench::{Bench, run};

/// Publishes the bench's configuration with its `settle` replaced.
fn publish(bench: &Bench, settle: &str) {
    let path = bench.path("tandem.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("settle = ").unwrap();
    let (_, after) = rest.split_once('\n').unwrap();
    std::fs::write(&path, format!("{before}settle = {settle}\n{after}")).unwrap();
    bench.run(&["publish"]).ended(0);
}

/// The versions, newest first: number, whether it is the newest, and which one it repeats.
fn listed(bench: &Bench) -> Vec<(u64, bool, Option<u64>)> {
    let versions = bench.run(&["versions", "--json"]).ended(0).json();
    let row = |one: &Value| {
        (
            one["version"].as_u64().unwrap(),
            one["newest"].as_bool().unwrap(),
            one["same_as"].as_u64(),
        )
    };
    versions.as_array().unwrap().iter().map(row).collect()
}

#[test]
fn going_back_publishes_the_earlier_text_as_a_version_of_its_own() {
    let bench = Bench::new();
    publish(&bench, "\"1s\"");
    let first = bench.run(&["versions", "--show", "1"]).ended(0).out;
    assert_eq!(first, std::fs::read_to_string(bench.path("tandem.toml")).unwrap());
    publish(&bench, "\"2s\"");
    let shown = bench.run(&["versions"]).ended(0).out;
    assert!(
        shown.lines().nth(1).unwrap().contains("acme-globex")
            && shown.lines().nth(1).unwrap().ends_with("newest"),
        "{shown}"
    );

    let ran = bench.run(&["rollback", "1"]).ended(0);
    assert_eq!(ran.out, "version 3\n");
    ran.says("says something else");
    assert_eq!(
        listed(&bench),
        [(3, true, Some(1)), (2, false, None), (1, false, None)]
    );
    assert_eq!(bench.run(&["versions", "--show", "3"]).ended(0).out, first);
    let limited = bench.run(&["versions", "--limit", "1"]).ended(0);
    assert_eq!(limited.out.lines().count(), 2);
    limited.says("there are more");

    // Once more, as somebody does whose connection broke off, publishes nothing; forward again does.
    let again = bench.run(&["rollback", "1", "--json"]).ended(0).json();
    assert_eq!(
        again,
        serde_json::json!({ "version": 3, "of": 1, "published": false })
    );
    assert_eq!(bench.run(&["rollback", "2"]).ended(0).out, "version 4\n");
}

#[test]
fn what_is_not_there_or_no_longer_right_is_not_published() {
    let bench = Bench::new();
    assert_eq!(listed(&bench), []);
    bench
        .run(&["rollback", "1"])
        .ended(2)
        .says("nothing is published yet");
    publish(&bench, "\"1s\"");
    bench
        .run(&["rollback", "7"])
        .ended(2)
        .says("there is no version 7; there is version 1 alone");
    publish(&bench, "\"2s\"");
    for number in ["0", "3", "18446744073709551615"] {
        bench
            .run(&["rollback", number])
            .ended(2)
            .says("there are versions 1 to 2");
    }
    // A secret that the earlier version needs is gone by now.
    let secret = bench.path("globex.json");
    let text = std::fs::read_to_string(&secret).unwrap();
    std::fs::remove_file(&secret).unwrap();
    bench
        .run(&["rollback", "1"])
        .ended(2)
        .says("version 1:")
        .says("globex.json");
    std::fs::write(&secret, text).unwrap();
    // What loopback addresses need is not there: a mistake that the text had all along, for this Tandem.
    run(bench
        .command(&["rollback", "1"])
        .env_remove("TANDEM_ALLOW_LOOPBACK"))
    .ended(2)
    .says("version 1:");
    assert_eq!(listed(&bench), [(2, true, None), (1, false, None)]);
    // The configuration at hand may be broken: going back does not read it.
    std::fs::write(bench.path("tandem.toml"), "sites = 1").unwrap();
    bench.run(&["rollback", "1"]).ended(0);
}
