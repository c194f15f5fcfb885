//! Who is who, and which issues belong together: by hand, in bulk, and as found.

use std::fmt::Write;
use std::ops::Range;

use serde_json::Value;
use tandem_sim::{Fault, FaultOutcome, IssueSpec, Matcher, UserSpec};

use crate::bench::{Bench, hour};

fn write(bench: &Bench, name: &str, text: &str) -> String {
    let path = bench.path(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// An hour of today, so that it is of late whenever the test runs.
fn today(author: &str, text: &str) -> tandem_sim::Content {
    let mut content = hour(author, text);
    content.start_date = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    content
}

/// Account on A to how it is known on B.
fn known(bench: &Bench, code: i32) -> Vec<(String, String, String)> {
    let listed = bench.run(&["users", "list", "--json"]).ended(code).json();
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let all = listed.as_array().unwrap().iter();
    all.filter(|one| one["side"] == "a")
        .map(|one| (text(one, "account"), text(one, "other"), text(one, "how")))
        .collect()
}

#[test]
fn whom_nobody_finds_a_person_may_name_and_their_time_goes_on() {
    let bench = Bench::new();
    bench.globex().put_user(UserSpec::new("z2", "Somebody Else"));
    bench.acme().log_time("SUP-1", today("ann", "found")).unwrap();
    bench.acme().log_time("SUP-1", today("zoe", "waits")).unwrap();
    bench.run(&["reconcile"]).ended(3);
    let row = |account: &str, other: &str, how: &str| (account.to_owned(), other.to_owned(), how.to_owned());
    assert_eq!(
        known(&bench, 3),
        [row("ann", "ann", "same-account"), row("zoe", "", "nobody")]
    );

    let file = write(&bench, "people.csv", "a_account,b_account\nzoe,z2\n");
    bench
        .run(&["users", "import", &file])
        .ended(0)
        .says("1 person taken in");
    assert_eq!(known(&bench, 0)[1], row("zoe", "z2", "import"));
    bench.reconcile();
    let authors: Vec<_> = bench
        .globex()
        .worklogs_of("DEV-1")
        .iter()
        .map(|one| one.author.clone())
        .collect();
    assert!(authors.contains(&"z2".to_owned()), "{authors:?}");
    // And the other way round.
    bench.globex().log_time("DEV-2", today("z2", "back")).unwrap();
    bench.reconcile();
    assert_eq!(bench.acme().worklogs_of("SUP-2")[0].author, "zoe");
    bench
        .run(&["users", "import", &file])
        .ended(0)
        .says("1 known so already");

    // A correction takes the place of what was said before.
    bench.globex().put_user(UserSpec::new("z3", "Zoe Again"));
    let file = write(&bench, "again.csv", "zoe,z3\n");
    bench.run(&["users", "import", &file]).ended(0);
    // Whoever z2 is, nobody says any more.
    assert_eq!(known(&bench, 3)[1], row("zoe", "z3", "import"));
}

#[test]
fn bad_lines_about_people_are_told_and_the_good_ones_are_kept() {
    let bench = Bench::with("[connections.authors]\nmap = [[\"bob\", \"bob\"]]\n");
    bench.reconcile();
    bench.acme().put_user(UserSpec::new("x1", "X"));
    for account in ["z2", "x2", "b2", "x9"] {
        bench.globex().put_user(UserSpec::new(account, "Somebody"));
    }
    let file = write(
        &bench,
        "people.csv",
        "zoe,z2\nZoe Zimmer,z4\nzoe,z5\nbob,b2\nlonely\nx1,x2\nann@acme.example,x3\nghost,x9\nann,ghost\n",
    );
    let ran = bench.run(&["users", "import", &file]).ended(3);
    for words in [
        "people.csv:2: `Zoe Zimmer` is no account id",
        "people.csv:3: zoe is on line 1 already",
        "people.csv:4: [connections.authors] map says that bob is bob",
        "people.csv:5: 1 instead of 2 columns",
        "people.csv:7: `ann@acme.example` is no account id",
        "2 people taken in",
        "people.csv:8: acme has no account ghost",
        "people.csv:9: globex has no account ghost",
        "7 bad lines",
    ] {
        assert!(ran.err.contains(words), "{words}: {ran:?}");
    }
    let again = bench.run(&["users", "import", &file, "--json"]).ended(3).json();
    assert_eq!((&again["new"], &again["already"]), (&0.into(), &2.into()));
    bench
        .run(&["users", "import", "nowhere.csv"])
        .ended(2)
        .says("nowhere.csv");
    bench
        .run_without_data(&["users", "import", &file])
        .ended(2)
        .says("--data DIR");
}

#[test]
fn a_former_colleague_is_taken_in_as_long_as_somebody_can_have_their_time() {
    let bench = Bench::new();
    bench
        .acme()
        .log_time("SUP-1", today("zoe", "before she left"))
        .unwrap();
    bench
        .acme()
        .put_user(UserSpec::new("zoe", "Zoe Zimmer").inactive());
    bench.acme().put_user(UserSpec::new("g1", "Gone").inactive());
    bench.globex().put_user(UserSpec::new("stand-in", "Stand-in"));
    bench
        .globex()
        .put_user(UserSpec::new("g2", "Gone Too").inactive());
    bench.run(&["reconcile"]).ended(3);
    let file = write(&bench, "people.csv", "zoe,stand-in\ng1,g2\n");
    bench
        .run(&["users", "import", &file])
        .ended(3)
        .says("people.csv:1: zoe on acme is deactivated: time goes from there")
        .says("people.csv:2: g1 on acme and g2 on globex are deactivated")
        .says("1 person taken in");
    bench.reconcile();
    assert_eq!(bench.globex().worklogs_of("DEV-1")[0].author, "stand-in");

    // Who has it there has time of their own, and keeps it.
    bench.globex().put_user(UserSpec::new("zed", "Zed"));
    bench.acme().put_user(UserSpec::new("zed", "Zed"));
    let file = write(&bench, "heir.csv", "zoe,zed\n");
    bench
        .run(&["users", "import", &file])
        .ended(0)
        .says("1 person taken in");
    bench.globex().log_time("DEV-2", today("zed", "his own")).unwrap();
    bench.reconcile();
    assert_eq!(bench.acme().worklogs_of("SUP-2")[0].author, "zed");
}

#[test]
fn a_file_with_the_line_ends_of_old_or_with_nothing_in_it_is_understood() {
    let bench = Bench::new();
    bench.globex().put_user(UserSpec::new("z2", "Zoe"));
    bench.globex().put_user(UserSpec::new("b2", "Bob"));
    bench.reconcile();
    let file = write(&bench, "people.csv", "a_account,b_account\rzoe,z2\rbob,b2\r");
    bench
        .run(&["users", "import", &file])
        .ended(0)
        .says("2 people taken in");
    let file = write(&bench, "people.csv", "# later\ra_account;b_account\rzoe;z2\r");
    bench
        .run(&["users", "import", &file])
        .ended(2)
        .says("has its columns parted by `;`");
    for nothing in ["", "# later\n", "a_account,b_account\n"] {
        let file = write(&bench, "people.csv", nothing);
        bench
            .run(&["users", "import", &file])
            .ended(0)
            .says("people.csv holds no line to take in");
    }
}

#[test]
fn a_line_that_is_not_taken_holds_up_none_about_the_same_person() {
    let bench = Bench::new();
    bench.reconcile();
    let file = write(&bench, "people.csv", "nobody,bob\nbob,bob\n");
    let ran = bench.run(&["users", "import", &file]).ended(3);
    for words in ["people.csv:1: acme has no account nobody", "1 bad line"] {
        assert!(ran.err.contains(words), "{words}: {ran:?}");
    }
    assert!(!ran.err.contains("people.csv:2"), "{ran:?}");
}

/// Makes issues on both sites, and the lines that say which of them are twins.
fn twins(bench: &Bench, numbers: Range<u32>) -> String {
    let mut lines = String::new();
    for number in numbers {
        for (site, project) in [("acme", "SUP"), ("globex", "DEV")] {
            bench
                .sim
                .site(site)
                .add_issue(IssueSpec::new(format!("{project}-{number}")));
        }
        writeln!(lines, "SUP-{number},DEV-{number}").unwrap();
    }
    lines
}

#[test]
fn an_import_that_breaks_off_tells_what_it_made_and_goes_on_where_it_was() {
    let bench = Bench::new();
    bench.reconcile();
    let text = format!("a,b\nSUP-100,DEV-100,x\n{}", twins(&bench, 100..300));
    let file = write(&bench, "links.csv", &text);
    let search = Matcher::jira("POST", "/rest/api/3/issue/bulkfetch");
    let broken = Fault::LostBefore(FaultOutcome::Status(400));
    bench.sim.fail_next("globex", search.skip(1).times(1), broken);
    bench
        .run(&["link", "import", &file])
        .ended(1)
        .says("links.csv:2: 3 instead of 2 columns")
        .says("100 links made");
    let told = bench.run(&["history", "--by-hand", "SUP-100"]).ended(0);
    assert!(told.out.contains("SUP-100 and DEV-100 are twins now"), "{told:?}");
    bench
        .run(&["link", "import", &file])
        .ended(3)
        .says("100 links made, 100 there already, 1 bad line");
}

#[test]
fn a_thousand_links_are_imported_by_the_hundred() {
    let bench = Bench::new();
    bench.reconcile();
    let text = format!("a,b\n{}SUP-100,DEV-101\n", twins(&bench, 100..1100));
    let file = write(&bench, "links.csv", &text);
    bench.sim.reset_requests();
    let ran = bench.run(&["link", "import", &file]).ended(3);
    ran.says("links.csv:1002: SUP-100 and DEV-101 cannot be twins")
        .says("1000 links made");
    let asked = bench.sim.requests().len();
    assert!(asked <= 22, "{asked} requests for a thousand links");
    let links = bench.run(&["link", "list", "--json"]).json();
    assert_eq!(links.as_array().unwrap().len(), 1002);
}

#[test]
fn issues_that_nobody_knows_are_asked_for_by_the_hundred_too() {
    let bench = Bench::new();
    bench.reconcile();
    let mut text = String::from("a,b\n");
    for number in 5000..5300 {
        writeln!(text, "SUP-{number},DEV-{number}").unwrap();
    }
    let file = write(&bench, "links.csv", &text);
    bench.sim.reset_requests();
    let ran = bench
        .run(&["link", "import", &file])
        .ended(3)
        .says("300 bad lines");
    assert_eq!(ran.err.matches("acme has no issue SUP-5").count(), 300, "{ran:?}");
    let asked = bench.sim.requests();
    // Whether the twin of an issue that is not there is there does not matter.
    assert!(asked.iter().all(|one| one.site == "acme"), "{asked:?}");
    assert!(asked.len() <= 3, "{} requests for 300 lines", asked.len());
}

#[test]
fn an_issue_that_has_moved_is_found_by_its_old_key_among_many() {
    let bench = Bench::new();
    bench.reconcile();
    let mut text = twins(&bench, 100..190);
    bench.acme().add_issue(IssueSpec::new("NEW-1"));
    let moved = bench.acme().jira_move_issue("ann", "SUP-150", "NEW").unwrap();
    // Once by each of its names, once in small letters, and once more; and one that nobody knows.
    writeln!(text, "{moved},DEV-150").unwrap();
    text.push_str("sup-100,DEV-100\nSUP-100,DEV-100\nSUP-9000,DEV-100\n");
    let file = write(&bench, "links.csv", &text);
    bench.sim.reset_requests();
    let ran = bench.run(&["link", "import", &file]).ended(3);
    let ran = ran.says("90 links made, 3 there already, 1 bad line");
    assert!(
        ran.err.contains("links.csv:94: acme has no issue SUP-9000"),
        "{ran:?}"
    );
    let asked = bench.sim.requests().len();
    assert!(asked <= 6, "{asked} requests for 94 lines");
    let twice = bench.sim.violations();
    assert!(!twice.iter().any(|one| one.what.contains("-100")), "{twice:?}");
}

#[test]
fn deletes_that_were_held_back_and_go_with_their_link_are_told() {
    let bench = Bench::with("[connections.policy]\nmass_delete = { max = 1, within = \"1h\" }");
    let ids: Vec<u64> = (0..4)
        .map(|n| {
            bench
                .acme()
                .log_time("SUP-1", hour("ann", &format!("{n}")))
                .unwrap()
        })
        .collect();
    bench.reconcile();
    for id in ids {
        bench.acme().delete(id).unwrap();
    }
    bench.run(&["reconcile"]).ended(3);
    let held = bench
        .run(&["queue", "--json"])
        .ended(3)
        .json()
        .as_array()
        .unwrap()
        .len();
    assert!(held > 1);
    bench
        .run(&["link", "rm", "SUP-1", "DEV-1"])
        .ended(0)
        .says(&format!(
            "{held} deletes that the brake held back wait no longer with it"
        ));
    assert_eq!(bench.run(&["queue", "--json"]).json(), serde_json::json!([]));
    // A link without any says nothing of it.
    let other = bench.run(&["link", "rm", "SUP-2", "DEV-2", "--json"]).ended(0);
    assert!(!other.err.contains("brake"), "{other:?}");
    assert_eq!(other.json()["held_deletes"], 0);
}

#[test]
fn a_file_that_is_saved_otherwise_is_called_what_it_is() {
    let bench = Bench::new();
    bench.reconcile();
    let file = bench.path("pairs.csv");
    let says = |bytes: &[u8], words: &str| {
        std::fs::write(&file, bytes).unwrap();
        for what in ["link", "users"] {
            let ran = bench.run(&[what, "import", file.to_str().unwrap()]).ended(2);
            ran.says(words).says("pairs.csv");
        }
    };
    let text = "a,b\r\nSUP-3,DEV-3\r\n";
    let wide = |mark: &[u8], bytes: fn(u16) -> [u8; 2]| {
        let units = text.encode_utf16().flat_map(bytes);
        mark.iter().copied().chain(units).collect::<Vec<u8>>()
    };
    says(&wide(b"\xff\xfe", u16::to_le_bytes), "UTF-16");
    says(&wide(b"\xfe\xff", u16::to_be_bytes), "UTF-16");
    says(&wide(b"", u16::to_le_bytes), "UTF-16");
    says(b"a;b\r\nSUP-3;DEV-3\r\n", "`;`");
    says(b"# from a sheet, by hand\nSUP-3\tDEV-3\n", "tabs");
    says(
        b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0,\x03\0\x3e\0\x01\0\0\0\n\x11,\x03",
        "holds no text",
    );
    // One line with a byte of something else in it is that line's fault, too.
    let mixed = b"SUP-1,DEV-1\n\xff\xfe\x00bad,DEV-2\nSUP-2,DEV-2\n";
    std::fs::write(&file, mixed).unwrap();
    let ran = bench.run(&["link", "import", file.to_str().unwrap()]).ended(3);
    ran.says("pairs.csv:2: ").says("1 bad line");
    // One line that is parted otherwise is that line's fault.
    std::fs::write(&file, "SUP-3,DEV-3\nSUP-4;DEV-4\n").unwrap();
    let ran = bench.run(&["link", "import", file.to_str().unwrap()]).ended(3);
    ran.says("pairs.csv:2: 1 instead of 2 columns")
        .says("1 link made");
}

#[test]
fn people_whom_a_file_or_the_map_names_are_shown_by_name() {
    let bench = Bench::with("[connections.authors]\nmap = [[\"ann\", \"ann\"]]\n");
    bench.globex().put_user(UserSpec::new("z2", "Somebody Else"));
    bench.reconcile();
    let file = write(&bench, "people.csv", "zoe,z2\n");
    bench.run(&["users", "import", &file]).ended(0);
    for who in ["ann", "zoe"] {
        bench.acme().log_time("SUP-1", today(who, "named")).unwrap();
    }
    let listed = bench.run(&["users", "list", "--json"]).ended(0).json();
    let named: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            [&one["account"], &one["display_name"], &one["how"]].map(|text| text.as_str().unwrap_or(""))
        })
        .collect();
    assert_eq!(
        named,
        [["ann", "Ann Archer", "map"], ["zoe", "Zoe Zimmer", "import"]]
    );
}

#[test]
fn what_the_automatic_ways_find_is_shown_and_not_made() {
    let bench = Bench::new();
    let path = bench.path("tandem.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace("from = [\"table\"]", "from = [\"table\", \"remote-link\"]"),
    )
    .unwrap();
    let url = format!("{}/browse/DEV-4", bench.jira("globex"));
    bench
        .acme()
        .add_issue(IssueSpec::new("SUP-9").remote_link("", url, "twin"));
    bench
        .acme()
        .log_time("SUP-9", hour("ann", "linked from afar"))
        .unwrap();
    let ran = bench.run(&["link", "discover"]).ended(0).says("none was made");
    assert!(
        ran.out.contains("SUP-9") && ran.out.contains("remote-link"),
        "{ran:?}"
    );
    assert_eq!(
        bench.run(&["link", "list", "--json"]).json(),
        serde_json::json!([])
    );
    bench.reconcile();
    assert!(bench.alike("SUP-9", "DEV-4", 1));
    let found = bench.run(&["link", "discover", "--json"]).ended(0).json();
    assert_eq!(found, serde_json::json!([]), "what is linked already is no find");
}

#[test]
fn whoever_logged_time_of_late_is_told_of_though_the_connection_begins_after_that() {
    let bench = Bench::new();
    let config = std::fs::read_to_string(bench.path("tandem.toml")).unwrap();
    let config = config.replace("since = \"2026-01-01\"", "since = \"2999-01-01\"");
    std::fs::write(bench.path("tandem.toml"), config).unwrap();
    bench
        .acme()
        .log_time("SUP-1", today("zoe", "before the first day"))
        .unwrap();
    bench.reconcile();
    let people = known(&bench, 3);
    assert!(people.iter().any(|(account, ..)| account == "zoe"), "{people:?}");
    let found = bench.run(&["doctor"]).ended(3).out;
    assert!(found.contains("Zoe Zimmer (zoe); their time waits"), "{found}");
}
