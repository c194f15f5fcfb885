//! The ledger check as people keep it.

use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tandem_sim::{Fault, FaultOutcome, Matcher};

use crate::bench::{Bench, hour, run, wait};

fn checksum(rows: &str) -> String {
    hex::encode(Sha256::digest(rows.as_bytes()))
}

#[test]
fn one_hiccup_of_a_site_does_not_cost_the_books_that_were_read() {
    let bench = Bench::new();
    bench.acme().log_time("SUP-1", hour("ann", "one")).unwrap();
    bench.reconcile();
    let listing = || Matcher::tempo("POST", "/4/worklogs/search");
    let down = || Fault::LostBefore(FaultOutcome::Status(503));
    bench.sim.fail_next("acme", listing(), down());
    bench
        .sim
        .fail_next("globex", listing(), Fault::RateLimited(Some(1)));
    bench.run(&["verify"]).ended(0);
    // It does not ask for ever.
    bench.sim.reset_requests();
    bench.sim.fail_next("acme", listing().times(50), down());
    bench.run(&["verify"]).ended(1).says("/4/worklogs/search");
    let asked = bench
        .sim
        .requests()
        .iter()
        .filter(|one| one.path_template == "/4/worklogs/search")
        .count();
    assert_eq!(asked, 4);
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
    let tables = bench.run(&["verify", "--by", "person,day"]).ended(0).out;
    for line in ["PERSON", "bob", "DAY", "2026-03-02"] {
        assert!(tables.contains(line), "{tables}");
    }
    assert!(!tables.contains("ISSUE"), "{tables}");
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
    let (sum, made) = sum.split_once('\n').unwrap();
    assert_eq!(sum, checksum(rows));
    assert!(
        made.starts_with("# Made 20") && made.contains("Days from"),
        "{made}"
    );
    assert!(
        made.ends_with("\n# acme-globex: a is acme, b is globex.\n"),
        "{made}"
    );
    let line = rows.lines().find(|line| line.starts_with("difference")).unwrap();
    assert!(
        line.contains(&alone.to_string()) && line.contains("only-in-a"),
        "{line}"
    );
    assert!(line.contains("author-unmapped"), "{line}");
    // Whose time it is, of which day, and in hours.
    assert!(line.ends_with(",1.00,1.00,,,2026-03-02,zoe"), "{line}");

    let page = bench.path("books.html");
    bench
        .run(&["verify", "--report", page.to_str().unwrap()])
        .ended(3);
    let html = std::fs::read_to_string(page).unwrap();
    assert!(
        html.contains("not equal") && html.contains(&checksum(rows)),
        "{html}"
    );
    for said in [
        "acme-globex: a is acme, b is globex.",
        "<th>a_hours</th>",
        "<td>1.00</td>",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
}

/// Files of a report, finished or not.
fn of_books(bench: &Bench) -> Vec<String> {
    let files = std::fs::read_dir(bench.directory.path()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("books")).collect()
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_no_half_a_report() {
    let bench = Bench::new();
    bench.acme().log_time("SUP-1", hour("ann", "one")).unwrap();
    bench.reconcile();
    let slow = Fault::Slow(std::time::Duration::from_secs(20));
    bench.sim.fail_next("acme", Matcher::any().times(50), slow);
    let file = bench.path("books.html");
    let mut child = bench
        .command(&["verify", "--report", file.to_str().unwrap()])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait("it has begun", || !of_books(&bench).is_empty());
    let id = child.id().to_string();
    std::process::Command::new("kill")
        .args(["-INT", &id])
        .status()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(of_books(&bench), Vec::<String>::new());
}

#[test]
fn a_report_that_cannot_be_written_says_so() {
    let bench = Bench::new();
    bench
        .run(&["verify", "--report", "books.pdf"])
        .ended(2)
        .says(".html or .csv");
    let listed = || {
        let asked = bench.sim.requests();
        asked.iter().any(|one| one.path_template == "/4/worklogs/search")
    };
    bench.acme().log_time("SUP-1", hour("ann", "one")).unwrap();
    bench.reconcile();
    bench.sim.reset_requests();
    let folder = bench.path("folder.csv");
    std::fs::create_dir(&folder).unwrap();
    for place in [bench.path("nowhere/books.csv"), folder] {
        bench
            .run(&["verify", "--report", place.to_str().unwrap()])
            .ended(1)
            .says("cannot be written");
        assert!(
            !listed(),
            "both sites were listed for a report that cannot be kept"
        );
    }
    // Nothing is left of one that came to nothing.
    let listing = Matcher::tempo("POST", "/4/worklogs/search").times(50);
    let down = Fault::LostBefore(FaultOutcome::Status(503));
    bench.sim.fail_next("acme", listing, down);
    let file = bench.path("books.csv");
    bench
        .run(&["verify", "--report", file.to_str().unwrap()])
        .ended(1);
    assert_eq!(of_books(&bench), Vec::<String>::new());
    bench.run(&["verify", "--csv", "--json"]).ended(2);
}

#[test]
fn of_two_that_say_the_same_the_later_one_has_no_twin() {
    let bench = Bench::new();
    let twice = || bench.acme().log_time("SUP-1", hour("ann", "again")).unwrap();
    let (_, later) = (twice(), twice());
    bench.globex().log_time("DEV-1", hour("ann", "again")).unwrap();
    let books = bench.run(&["verify", "--json"]).ended(3).json();
    let [difference] = books["differences"].as_array().unwrap().as_slice() else {
        panic!("{books}")
    };
    assert_eq!(difference["kind"], "only-in-a");
    assert_eq!(
        (&difference["a"]["worklog"], &difference["b"]),
        (&later.into(), &Value::Null)
    );
    let totals = |side: &str| {
        (
            &books["totals"][side]["worklogs"],
            &books["totals"][side]["seconds"],
        )
    };
    assert_eq!(totals("a"), (&2.into(), &7200.into()));
    assert_eq!(totals("b"), (&1.into(), &3600.into()));
}

#[test]
fn what_does_not_fit_in_memory_is_put_away_and_nothing_is_left_of_it() {
    let bench = Bench::new();
    let mut alone = 0;
    // More text than is held.
    for n in 0..700 {
        let content = hour("ann", &format!("{n} {}", "long ".repeat(1_600)));
        bench.acme().log_time("SUP-1", content.clone()).unwrap();
        let there = bench.globex().log_time("DEV-1", content).unwrap();
        if n == 350 {
            bench.globex().delete(there).unwrap();
            alone = n;
        }
    }
    let temporary = bench.path("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let verify = |arguments: &[&str], folder: &Path| {
        run(bench
            .command(&[&["verify"], arguments].concat())
            .env("TMPDIR", folder))
    };
    let books = verify(&["--json"], &temporary).ended(3).json();
    let [difference] = books["differences"].as_array().unwrap().as_slice() else {
        panic!("{books}")
    };
    let text = difference["a"]["description"].as_str().unwrap();
    assert!(text.starts_with(&format!("{alone} long ")), "{text}");
    assert_eq!(books["totals"]["a"]["worklogs"], 700);
    assert_eq!(books["totals"]["b"]["worklogs"], 699);
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);

    // It was put there, and not held after all.
    let nowhere = bench.path("nowhere");
    verify(&[], &nowhere)
        .ended(1)
        .says("no room for what does not fit in memory");
}

/// What a listing says of its first worklog, nobody can read.
fn with_odd_rows(bench: &Bench, method: &str, template: &str) {
    let matcher = tandem_sim::Matcher::tempo(method, template).times(1_000);
    bench.acme().fail_next(matcher, tandem_sim::Fault::OddRow);
}

#[test]
fn books_with_a_worklog_that_cannot_be_read_are_not_equal() {
    let bench = Bench::new();
    let odd = bench.acme().log_time("SUP-1", hour("ann", "odd")).unwrap();
    bench.acme().log_time("SUP-1", hour("bob", "plain")).unwrap();
    bench.reconcile();
    bench.run(&["verify"]).ended(0);
    with_odd_rows(&bench, "POST", "/4/worklogs/search");
    let books = bench.run(&["verify", "--json"]).ended(3).json();
    assert_eq!(books["equal"], false);
    let [difference] = books["differences"].as_array().unwrap().as_slice() else {
        panic!("{books}")
    };
    assert_eq!(difference["kind"], "unreadable");
    let bad = &difference["unreadable"];
    assert_eq!((&bad["side"], &bad["worklog"]), (&"a".into(), &odd.into()));
    assert!(
        bad["what"].as_str().unwrap().contains("not a whole number"),
        "{bad}"
    );
    // What its twin says is known.
    assert_eq!(
        (&difference["a"], &difference["b"]["description"]),
        (&Value::Null, &"odd".into())
    );
    assert_eq!(
        (
            &books["totals"]["a"]["worklogs"],
            &books["totals"]["b"]["worklogs"]
        ),
        (&1.into(), &2.into())
    );
    let shown = bench.run(&["verify"]).ended(3);
    assert!(
        shown.out.contains("unreadable") && shown.out.contains(&format!("acme SUP-1 {odd}")),
        "{shown:?}"
    );
    let csv = bench.run(&["verify", "--csv"]).ended(3).out;
    let line = csv.lines().find(|line| line.starts_with("difference")).unwrap();
    assert!(
        line.contains(&odd.to_string()) && line.contains("SUP-1") && line.contains("cannot be read"),
        "{line}"
    );
    let page = bench.path("books.html");
    bench
        .run(&["verify", "--report", page.to_str().unwrap()])
        .ended(3);
    let html = std::fs::read_to_string(page).unwrap();
    assert!(
        html.contains("not equal") && html.contains("<td>unreadable</td>"),
        "{html}"
    );
}

#[test]
fn a_worklog_that_cannot_be_read_and_has_no_twin_is_in_the_books_and_waits_after_an_audit() {
    let bench = Bench::new();
    bench.reconcile();
    bench.acme().log_time("SUP-1", hour("ann", "odd")).unwrap();
    for (method, template) in [
        ("POST", "/4/worklogs/search"),
        ("GET", "/4/worklogs/issue/{issueId}"),
    ] {
        with_odd_rows(&bench, method, template);
    }
    let books = bench.run(&["verify", "--json"]).ended(3).json();
    assert_eq!(books["differences"][0]["kind"], "unreadable", "{books}");
    bench.run(&["reconcile", "--pass", "audit"]);
    bench.run(&["reconcile"]).ended(3);
    let queue = bench.run(&["queue", "--json"]).ended(3).json();
    assert_eq!(queue[0]["reason"], "rejected", "{queue}");
    let books = bench.run(&["verify", "--json"]).ended(3).json();
    assert_eq!(books["differences"][0]["reason"], "rejected", "{books}");
}

#[test]
fn each_difference_comes_with_what_is_known_of_it() {
    let bench = Bench::new();
    let edit = |site: &tandem_sim::SiteHandle, id: u64, text: &str| {
        site.edit(id, |content| content.description = Some(text.into()))
            .unwrap();
    };
    let logged = ["edited here", "edited on both", "moved there", "moved on"]
        .map(|text| bench.acme().log_time("SUP-1", hour("ann", text)).unwrap());
    bench.reconcile();
    let twin = |text: &str| {
        let all = bench.globex().worklogs_of("DEV-1").into_iter();
        let of = |worklog: &tandem_sim::Worklog| worklog.description.as_deref() == Some(text);
        all.into_iter().find(of).unwrap().id
    };
    let (both, moved) = (twin("edited on both"), twin("moved there"));
    edit(&bench.acme(), logged[0], "here");
    edit(&bench.acme(), logged[1], "here too");
    edit(&bench.globex(), both, "there too");
    bench.globex().move_to_issue(moved, "DEV-4").unwrap();
    let stays = twin("moved on");
    bench.acme().move_to_issue(logged[3], "SUP-2").unwrap();
    bench.acme().log_time("SUP-2", hour("ann", "new")).unwrap();
    let old = tandem_sim::Content::new("ann", "2023-05-06", "09:00:00", 3600);
    bench.acme().log_time("SUP-2", old.text("old")).unwrap();
    let verdict = bench
        .run(&["verify", "--from", "2023-01-01", "--json"])
        .ended(3)
        .json();
    let reason = |text: &str| {
        let all = verdict["differences"].as_array().unwrap().iter();
        let mut of = all.filter(|one| one["a"]["description"] == text);
        of.next().unwrap_or_else(|| panic!("{text}: {verdict}"))["likely_reason"].clone()
    };
    assert_eq!(
        reason("here"),
        "side a changed since both last agreed; not carried over yet"
    );
    assert_eq!(
        reason("here too"),
        "both sides changed since they last agreed; not settled yet"
    );
    assert_eq!(
        reason("moved there"),
        format!(
            "its twin {moved} on side b is not listed in these days: deleted, moved to another issue or day, or out of sight"
        )
    );
    assert_eq!(
        reason("moved on"),
        format!("moved here; its twin {stays} on side b has not followed yet")
    );
    assert_eq!(reason("new"), "not carried over yet");
    assert_eq!(
        reason("old"),
        "dated before the connection began; `tandem backfill` carries it over"
    );
}

#[test]
fn books_of_nothing_are_not_called_equal() {
    let bench = Bench::new();
    bench.acme().log_time("SUP-1", hour("ann", "one")).unwrap();
    bench.reconcile();
    let ran = bench
        .run(&["verify"])
        .ended(0)
        .says("Days from 2026-01-01 to no end.");
    assert!(ran.out.contains("equal"), "{ran:?}");
    bench
        .run(&["verify", "--to", "2025-12-31"])
        .ended(2)
        .says("--to 2025-12-31 is before 2026-01-01");
    bench
        .run(&["verify", "--from", "2025-01-01", "--to", "2025-12-31"])
        .ended(0);
    let text = std::fs::read_to_string(bench.path("tandem.toml")).unwrap();
    let without: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("table = "))
        .collect();
    std::fs::write(bench.path("tandem.toml"), without.join("\n")).unwrap();
    let empty = bench.path("other").display().to_string();
    let ran = bench
        .run_without_data(&["verify", "--data", &empty])
        .ended(3)
        .says("no issues are linked");
    assert!(!ran.out.lines().any(|line| line == "equal"), "{ran:?}");
}

#[test]
fn a_connection_without_links_is_not_called_equal_beside_one_that_is() {
    let bench = Bench::new();
    bench.acme().log_time("SUP-1", hour("ann", "one")).unwrap();
    bench.reconcile();
    bench.connect_again("operations", &[]);
    let told = bench
        .run(&["verify"])
        .ended(3)
        .says("nothing was compared in operations: no issues are linked");
    assert!(
        told.out.ends_with("\nnothing was compared in operations\n"),
        "{told:?}"
    );
    let books = bench.run(&["verify", "--json"]).ended(3).json();
    assert_eq!(books["equal"], false, "{books}");
    assert_eq!(books["uncompared"], serde_json::json!(["operations"]), "{books}");
    let page = bench.path("books.html");
    bench
        .run(&["verify", "--report", page.to_str().unwrap()])
        .ended(3);
    let html = std::fs::read_to_string(page).unwrap();
    assert!(
        html.contains("<h1>Ledger check: nothing was compared in operations</h1>"),
        "{html}"
    );
    // Each by itself is what it is.
    let books = bench
        .run(&["verify", "--connection", "acme-globex", "--json"])
        .ended(0)
        .json();
    assert_eq!(books["uncompared"], serde_json::json!([]), "{books}");
    bench.run(&["verify", "--connection", "operations"]).ended(3);
    // A link is something to compare, whether time is logged on it or not.
    bench
        .run(&["link", "add", "SUP-3", "DEV-3", "--connection", "operations"])
        .ended(0);
    bench.run(&["verify"]).ended(0);
}

#[test]
fn hours_of_an_account_stand_under_its_name_on_a_whatever_it_is_called_on_b() {
    let rule = "map = [{ a = \"_Account_\", b = \"_Customer_\", values = [[\"ACME1\", \"GLX7\"]] }]";
    let bench = Bench::with(&format!("[connections.attributes]\n{rule}\n"));
    for (site, key) in [("acme", "_Account_"), ("globex", "_Customer_")] {
        bench.sim.site(site).configure(|spec| {
            let kind = tandem_sim::AttributeKind::InputField;
            spec.attributes
                .push(tandem_sim::AttributeSpec::new(key, key, kind));
        });
    }
    let of_account = hour("ann", "one").attribute("_Account_", "ACME1");
    bench.acme().log_time("SUP-1", of_account).unwrap();
    let of_account = hour("bob", "two").attribute("_Customer_", "GLX7").billable(0);
    bench.globex().log_time("DEV-2", of_account).unwrap();
    bench.acme().log_time("SUP-1", hour("ann", "of none")).unwrap();
    bench.reconcile();
    let groups = bench.run(&["verify", "--json"]).ended(0).json()["groups"].clone();
    let all = groups.as_array().unwrap().iter();
    let accounts: Vec<(String, i64, i64)> = all
        .filter(|group| group["by"] == "account")
        .inspect(|group| assert_eq!(group["a"], group["b"]))
        .map(|group| {
            let key = group["key"].as_str().unwrap().to_owned();
            let sum = |what: &str| group["b"][what].as_i64().unwrap();
            (key, sum("seconds"), sum("billable"))
        })
        .collect();
    assert_eq!(
        accounts,
        [(String::new(), 3600, 3600), ("ACME1".into(), 7200, 3600)]
    );
}

#[test]
fn whoever_only_looks_at_the_books_has_begun_nothing() {
    let bench = Bench::new();
    let config = std::fs::read_to_string(bench.path("tandem.toml")).unwrap();
    let config = config.replace("since = \"2026-01-01\"\n", "");
    std::fs::write(bench.path("tandem.toml"), config).unwrap();
    let days = || {
        let rows = bench.rows().into_keys();
        rows.filter(|key| key.contains("FIRST-RUN")).count()
    };
    bench.run(&["link", "add", "SUP-3", "DEV-3"]).ended(0);
    bench.acme().log_time("SUP-1", hour("ann", "before")).unwrap();
    let ran = bench
        .run(&["verify", "--from", "2026-01-01", "--json"])
        .ended(3)
        .json();
    // Nothing carries it over by itself: the connection would begin today.
    let why = &ran["differences"][0]["likely_reason"];
    assert!(why.as_str().unwrap().contains("before"), "{why}");
    bench.run(&["verify"]).ended(0);
    assert_eq!(days(), 0);
    bench.run(&["reconcile"]).ended(0);
    assert_eq!(days(), 1);
}

#[test]
fn what_is_linked_with_none_is_told_and_nothing_is_equal_where_all_of_it_is() {
    let bench = Bench::new();
    let config = std::fs::read_to_string(bench.path("tandem.toml")).unwrap();
    let by_hand = config.replace("from = [\"table\"]", "from = [\"remote-link\"]");
    std::fs::write(bench.path("tandem.toml"), by_hand).unwrap();
    bench.acme().log_time("SUP-1", hour("ann", "one")).unwrap();
    bench.globex().log_time("DEV-3", hour("bob", "two")).unwrap();
    let books = bench.run(&["verify", "--json"]).ended(3).json();
    assert_eq!(books["equal"], false, "{books}");
    let unlinked = serde_json::json!({"issues": 2, "worklogs": 2, "never_looked_for": 2});
    assert_eq!(books["unlinked"], unlinked, "{books}");
    let told = bench
        .run(&["verify"])
        .ended(3)
        .says("2 worklogs on 2 issues linked with none were not compared; nobody has looked for their twins yet")
        .says("`tandem link discover`")
        .says("`tandem reconcile --pass audit`");
    assert!(told.out.ends_with("nothing was compared\n"), "{told:?}");

    // Beside linked issues it is told, and the books of those are equal.
    std::fs::write(bench.path("tandem.toml"), config).unwrap();
    bench.reconcile();
    let told = bench.run(&["verify"]).ended(0);
    assert!(told.out.ends_with("equal\n"), "{told:?}");
    assert!(
        told.err
            .contains("note: 1 worklog on 1 issue linked with none was not compared"),
        "{told:?}"
    );
    let books = bench.run(&["verify", "--json"]).ended(0).json();
    assert_eq!(
        (&books["equal"], &books["unlinked"]["worklogs"]),
        (&true.into(), &1.into())
    );
}
