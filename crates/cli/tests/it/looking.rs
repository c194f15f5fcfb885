//! What the commands that look show, and that they change nothing.

use tandem_sim::{Content, Fault, Matcher, Vendor};

use crate::bench::{Bench, hour};

#[test]
fn queue_shows_what_is_parked_with_its_reason_and_what_to_do() {
    let bench = Bench::new();
    let id = bench
        .acme()
        .log_time("SUP-1", hour("zoe", "by somebody that globex does not know"))
        .unwrap();
    bench.acme().log_time("SUP-1", hour("ann", "fine")).unwrap();
    bench.run(&["reconcile"]).ended(3).says("tandem queue");
    assert_eq!(
        bench.said("globex", "DEV-1").len(),
        1,
        "one bad worklog holds up the other"
    );

    let queue = bench.run(&["queue", "--json"]).ended(3).json();
    let [item] = queue.as_array().unwrap().as_slice() else {
        panic!("{queue}")
    };
    assert_eq!(item["state"], "parked");
    assert_eq!(item["reason"], "author-unmapped");
    assert_eq!(item["connection"], "acme-globex");
    assert_eq!(
        (&item["a_issue"], &item["b_issue"]),
        (&"SUP-1".into(), &"DEV-1".into())
    );
    assert_eq!(item["worklog"], id);
    for field in ["id", "detail", "since", "next_attempt"] {
        assert!(item[field].is_string(), "{field}: {item}");
    }
    assert!(item["attempts"].is_u64(), "{item}");

    let shown = bench.run(&["queue"]).ended(3).says("[connections.authors]");
    assert!(shown.out.contains("author-unmapped"), "{shown:?}");
    let again = bench.run(&["queue", "--json"]).json();
    assert_eq!(again[0]["id"], item["id"], "the id of an item is not stable");
    let status = bench.run(&["status", "--json"]).ended(3).json();
    assert_eq!(status["queue"]["reasons"]["author-unmapped"], 1);
    assert_eq!(status["connections"][0]["links"], 2);

    // It goes on once the person is there and it is tried again.
    bench
        .globex()
        .put_user(tandem_sim::UserSpec::new("zoe", "Zoe Zimmer"));
    bench.run(&["retry", item["id"].as_str().unwrap()]).ended(0);
    bench.reconcile();
    assert!(bench.alike("SUP-1", "DEV-1", 2));
    assert_eq!(
        bench.run(&["queue", "--json"]).ended(0).json(),
        serde_json::json!([])
    );
    bench
        .run(&["retry", item["id"].as_str().unwrap()])
        .ended(2)
        .says("not in the queue");
    bench.run(&["retry"]).ended(0);
}

#[test]
fn the_newest_line_of_the_history_is_the_newest_that_is_shown() {
    let bench = Bench::new();
    bench.acme().log_time("SUP-1", hour("ann", "first")).unwrap();
    bench.reconcile();
    // What a crash had to write down and nobody did.
    for _ in 0..12 {
        bench.tell(|line| line.op = "agree".to_owned());
    }
    let lines = bench.run(&["history", "--limit", "1", "--json"]).ended(0).json();
    assert_eq!(lines.as_array().unwrap().len(), 1, "{lines}");
    assert_eq!(lines[0]["op"], "create");
}

#[test]
fn history_tells_each_write_with_its_cause_and_both_contents() {
    let bench = Bench::new();
    let id = bench.acme().log_time("SUP-1", hour("ann", "first")).unwrap();
    bench.reconcile();
    bench
        .acme()
        .edit(id, |worklog| worklog.description = Some("second".into()))
        .unwrap();
    bench.reconcile();
    bench.acme().delete(id).unwrap();
    bench.reconcile();
    bench.acme().log_time("SUP-2", hour("ann", "elsewhere")).unwrap();
    bench.reconcile();

    let all = bench.run(&["history", "--json"]).ended(0).json();
    let ops: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["op"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ops, ["create", "update", "delete", "create"]);
    for name in ["SUP-1", "sup-1", "DEV-1"] {
        let lines = bench.run(&["history", name, "--json"]).ended(0).json();
        assert_eq!(lines.as_array().unwrap().len(), 3, "{name}: {lines}");
        let update = &lines[1];
        assert_eq!(
            (&update["side"], &update["issue"]),
            (&"b".into(), &"DEV-1".into())
        );
        assert_eq!(update["before"]["description"], "first");
        assert_eq!(update["after"]["description"], "second");
        assert_eq!(update["before"]["start_time"], "13:30:00");
        assert!(update["worklog"].is_u64() && update["cause"].is_string() && update["time"].is_string());
        assert!(lines[2]["after"].is_null());
    }
    let text = bench.run(&["history"]).ended(0);
    assert!(text.out.contains("second"), "{text:?}");
    // An issue that is there and has no twin has no history.
    assert_eq!(
        bench.run(&["history", "SUP-4", "--json"]).ended(0).json(),
        serde_json::json!([])
    );
}

#[test]
fn plan_says_what_reconcile_then_does_and_writes_nothing() {
    let bench = Bench::new();
    let gone = bench.acme().log_time("SUP-2", hour("ann", "to go")).unwrap();
    let kept = bench.acme().log_time("SUP-1", hour("ann", "to change")).unwrap();
    bench.reconcile();
    bench.acme().delete(gone).unwrap();
    bench
        .acme()
        .edit(kept, |worklog| worklog.time_spent_secs = 900)
        .unwrap();
    bench.acme().log_time("SUP-1", hour("bob", "new")).unwrap();
    bench.acme().log_time("SUP-1", hour("zoe", "unknown")).unwrap();
    let before = (
        bench.sim.worklogs("globex"),
        bench.run(&["history", "--json"]).out,
        bench.run(&["queue", "--json"]).out,
    );

    let plan = bench.run(&["plan", "--json"]).ended(3).json();
    let steps = plan["steps"].as_array().unwrap();
    let ops = |op: &str| steps.iter().filter(|step| step["op"] == op).collect::<Vec<_>>();
    assert_eq!(ops("update")[0]["after"]["time_spent_secs"], 900, "{plan}");
    assert_eq!(ops("update")[0]["before"]["time_spent_secs"], 3600, "{plan}");
    assert_eq!(ops("update")[0]["issue"], "DEV-1", "{plan}");
    let created: Vec<_> = ops("create")
        .iter()
        .map(|step| step["after"]["description"].clone())
        .collect();
    assert!(created.contains(&"new".into()), "{plan}");
    assert_eq!(ops("delete")[0]["issue"], "DEV-2", "{plan}");
    assert_eq!(ops("delete")[0]["before"]["description"], "to go", "{plan}");
    assert!(
        steps
            .iter()
            .all(|step| step["side"] == "b" && step["connection"] == "acme-globex"),
        "{plan}"
    );
    let one = bench.run(&["plan", "--issue", "DEV-2", "--json"]).json();
    assert!(
        one["steps"]
            .as_array()
            .unwrap()
            .iter()
            .all(|step| step["issue"] == "DEV-2"),
        "{one}"
    );

    let after = (
        bench.sim.worklogs("globex"),
        bench.run(&["history", "--json"]).out,
        bench.run(&["queue", "--json"]).out,
    );
    assert_eq!(before, after, "planning changed something");

    bench.sim.reset_requests();
    bench.run(&["reconcile"]).ended(3);
    // One request for each step, and none besides: also for the one that the site then refuses.
    let requests = bench.sim.requests().into_iter();
    let writes = requests.filter(|request| {
        let template = &request.path_template;
        request.method != "GET"
            && request.vendor == Vendor::Tempo
            && !template.ends_with("/search")
            && !template.contains("-to-")
    });
    let mut asked: Vec<String> = writes.map(|request| request.method).collect();
    let mut planned: Vec<&str> = steps
        .iter()
        .filter_map(|step| match step["op"].as_str().unwrap() {
            "create" => Some("POST"),
            "update" => Some("PUT"),
            "delete" => Some("DELETE"),
            _ => None,
        })
        .collect();
    asked.sort();
    planned.sort_unstable();
    assert_eq!(asked, planned);
    let rest = bench.run(&["plan"]);
    assert!(
        !rest.out.contains("create") || rest.out.contains("unknown"),
        "{rest:?}"
    );
}

#[test]
fn plan_waits_for_a_site_whose_limit_others_have_used_up() {
    let bench = Bench::new();
    let gone = bench.acme().log_time("SUP-2", hour("ann", "to go")).unwrap();
    bench.reconcile();
    bench.acme().delete(gone).unwrap();
    bench.acme().log_time("SUP-1", hour("bob", "new")).unwrap();
    bench.sim.reset_requests();
    let plan = bench.run(&["plan", "--json"]).ended(3).json();
    let requests = bench.sim.requests();
    for site in ["acme", "globex"] {
        let count = requests.iter().filter(|request| request.site == site).count();
        assert!(count > 1, "{requests:?}");
        for nth in 0..count {
            let limited = Fault::RateLimited(Some(1));
            bench
                .sim
                .fail_next(site, Matcher::any().skip(nth).times(1), limited);
            let ran = bench.run(&["plan", "--json"]).ended(3);
            assert_eq!(
                ran.json()["steps"],
                plan["steps"],
                "{site}, request {nth}: {ran:?}"
            );
        }
    }
}

#[test]
fn plan_shows_a_first_run_on_an_empty_table() {
    let bench = Bench::new();
    bench.acme().log_time("SUP-1", hour("ann", "one")).unwrap();
    bench.globex().log_time("DEV-1", hour("ann", "one")).unwrap();
    bench.globex().log_time("DEV-2", hour("bob", "two")).unwrap();
    let plan = crate::bench::run(&mut bench.without_data(&["plan", "--json"]))
        .ended(3)
        .json();
    let [step] = plan["steps"].as_array().unwrap().as_slice() else {
        panic!("{plan}")
    };
    assert_eq!(
        (&step["op"], &step["side"], &step["issue"]),
        (&"create".into(), &"a".into(), &"SUP-2".into())
    );
    assert!(step["worklog"].is_null() && step["before"].is_null());
    assert!(!bench.data().exists());
}

#[test]
fn what_only_looks_makes_no_table_where_there_is_none() {
    let bench = Bench::new();
    for command in [
        &["queue"][..],
        &["history"],
        &["status"],
        &["verify"],
        &["plan"],
        &["doctor"],
        &["versions"],
        &["link", "list"],
        &["link", "discover"],
        &["users", "list"],
        &["backfill", "--since", "2024-01-01", "--dry-run"],
        &["forget", "somebody"],
        &["connect", "--list", "--url", "http://127.0.0.1:9"],
    ] {
        let ran = bench.run(command).says("there is no table in");
        assert!([0, 3].contains(&ran.code), "{command:?}: {ran:?}");
        assert!(!bench.data().exists(), "{command:?} made one");
    }
    // A folder that is none is not taken for an empty one.
    let file = bench.path("acme.json");
    bench
        .run_without_data(&["queue", "--data", file.to_str().unwrap()])
        .ended(2)
        .says("--data");
    bench.reconcile();
    assert!(bench.data().exists());
    let ran = bench.run(&["queue"]).ended(0);
    assert!(!ran.err.contains("there is no table"), "{ran:?}");
}

#[test]
fn whose_time_would_wait_is_told_before_anything_is_written() {
    let bench = Bench::new();
    for day in ["2026-03-02", "2026-03-03"] {
        let content = Content::new("zoe", day, "09:00:00", 3600).text("alone");
        bench.acme().log_time("SUP-1", content).unwrap();
    }
    bench.acme().log_time("SUP-1", hour("ann", "known")).unwrap();
    let zoe = serde_json::json!([{
        "connection": "acme-globex", "side": "a", "account": "zoe", "display_name": "Zoe Zimmer", "creates": 2,
    }]);
    let plan = bench.run(&["plan", "--json"]).ended(3).json();
    assert_eq!(plan["unknown_authors"], zoe, "{plan}");
    // A run writes first, and asks when it is refused.
    assert_eq!(plan["steps"].as_array().unwrap().len(), 3, "{plan}");
    let warning = "warning: 1 author is not known on the other site, and 2 of these creates would wait as author-unmapped: Zoe Zimmer (zoe) on acme";
    bench.run(&["plan"]).ended(3).says(warning);
    let dry = ["backfill", "--since", "2026-01-01", "--dry-run"];
    bench.run(&dry).ended(3).says(warning);
    let estimated = bench.run(&[&dry[..], &["--json"]].concat()).ended(3).json();
    assert_eq!(estimated["estimate"][0]["unknown_authors"], zoe, "{estimated}");

    bench.run(&["reconcile"]).ended(3);
    let queue = bench.run(&["queue", "--json"]).ended(3).json();
    let reasons: Vec<&str> = queue
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["author-unmapped", "author-unmapped"]);
}

#[test]
fn nobodys_time_waits_where_an_account_stands_for_those_who_are_not_known() {
    let bench = Bench::with("[connections.authors]\nunknown = \"account:bob\"\n");
    bench.acme().log_time("SUP-1", hour("zoe", "alone")).unwrap();
    let plan = bench.run(&["plan", "--json"]).ended(3).json();
    assert_eq!(plan["unknown_authors"], serde_json::json!([]), "{plan}");
}

#[test]
fn whoever_logged_time_long_ago_is_listed_where_it_is_asked_since_then() {
    let bench = Bench::new();
    bench.reconcile();
    let old = Content::new("zoe", "2024-03-02", "09:00:00", 3600);
    bench.acme().log_time("SUP-1", old).unwrap();
    let of_late = bench.run(&["users", "list", "--json"]).json();
    assert!(!of_late.to_string().contains("zoe"), "{of_late}");
    let all = bench
        .run(&["users", "list", "--since", "2024-01-01", "--json"])
        .ended(3)
        .json();
    assert_eq!(
        (&all[0]["account"], &all[0]["how"]),
        (&"zoe".into(), &"nobody".into()),
        "{all}"
    );
    bench
        .run(&["users", "list", "--since", "2026-12-01"])
        .ended(0)
        .says("nobody logged time on a linked issue since 2026-12-01");
}

#[test]
fn a_look_that_takes_long_says_how_far_it_is() {
    let bench = Bench::new();
    let listing = Matcher::tempo("POST", "/4/worklogs/search");
    let slow = Fault::Slow(std::time::Duration::from_secs(6));
    bench.sim.fail_next("acme", listing, slow);
    bench
        .run(&["plan"])
        .ended(0)
        .says("still looking; so far ")
        .says(" requests to acme");
}
