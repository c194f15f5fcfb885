//! `plan`, then `reconcile`: each step that the one prints is a request that the other sends, and what it sets aside waits.

use serde_json::{Value, json};
use tandem_sim::{AttributeKind, AttributeSpec, RequestRecord, Vendor};

use crate::bench::{Bench, hour, wait};

/// One attribute is kept the same on both sites; `_Room_` is globex's own.
const SETTINGS: &str = "[connections.attributes]\nmap = [{ a = \"_Task_\", b = \"_Work_\" }]\n\n[connections.policy]\nconflict = \"park\"\n";

/// Method, site, path and body.
type Sent = (String, String, String, Value);

/// Side, worklog, reason code and what is wrong.
type Aside = (String, u64, String);

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}

fn steps(plan: &Value) -> Vec<&Value> {
    plan["steps"].as_array().unwrap().iter().collect()
}

fn site_of(step: &Value) -> &'static str {
    if step["side"] == "a" { "acme" } else { "globex" }
}

/// The request that a step stands for: all of it comes from what is printed.
fn request_of(bench: &Bench, step: &Value) -> Sent {
    let site = site_of(step);
    let after = &step["after"];
    let body = || {
        let attributes = after["attributes"].as_object().into_iter().flatten();
        let attributes: Vec<Value> = attributes
            .map(|(key, value)| json!({ "key": key, "value": value }))
            .collect();
        json!({
            "authorAccountId": after["author"],
            "startDate": after["start_date"],
            "startTime": after["start_time"],
            "timeSpentSeconds": after["time_spent_secs"],
            "billableSeconds": after["billable_secs"],
            "description": after["description"],
            "attributes": attributes,
        })
    };
    let one = || format!("/4/worklogs/{}", step["worklog"].as_u64().unwrap());
    let (method, path, body) = match step["op"].as_str().unwrap() {
        "create" => {
            let mut body = body();
            let issue = bench.sim.site(site).issue_id(step["issue"].as_str().unwrap());
            body["issueId"] = issue.into();
            ("POST", "/4/worklogs".to_owned(), body)
        }
        "update" => ("PUT", one(), body()),
        "delete" => ("DELETE", one(), Value::Null),
        op => panic!("{op}: {step}"),
    };
    (method.to_owned(), site.to_owned(), path, body)
}

/// The requests to change worklogs, with the statuses of their answers.
fn sent(bench: &Bench) -> Vec<(Sent, u16)> {
    let is_write = |request: &RequestRecord| {
        let template = &request.path_template;
        let reads = template.ends_with("/search") || template.contains("-to-");
        request.method != "GET" && request.vendor == Vendor::Tempo && !reads
    };
    let requests = bench.sim.requests().into_iter().filter(is_write);
    let mut sent: Vec<_> = requests
        .map(|request| {
            let body = match request.body.as_str() {
                "" => Value::Null,
                body => serde_json::from_str(body).unwrap(),
            };
            ((request.method, request.site, request.path, body), request.status)
        })
        .collect();
    sent.sort_by_key(|one| format!("{one:?}"));
    sent
}

/// What `queue` shows as set aside.
fn queued(bench: &Bench) -> Vec<Aside> {
    let queue = bench.run(&["queue", "--json"]).json();
    let items = queue.as_array().unwrap().iter();
    let mut queued: Vec<Aside> = items
        .filter(|item| item["state"] != "due" && item["state"] != "running")
        .map(|item| {
            let why = format!("{}: {}", text(&item["reason"]), text(&item["detail"]));
            (text(&item["side"]), item["worklog"].as_u64().unwrap(), why)
        })
        .collect();
    queued.sort();
    queued
}

/// Runs `reconcile` until nothing is in line any more: a run that another one overtook begins anew a moment later.
fn reconcile(bench: &Bench) {
    wait("all that is due", || {
        bench.run(&["reconcile"]).ended(3);
        let queue = bench.run(&["queue", "--json"]).json();
        queue
            .as_array()
            .unwrap()
            .iter()
            .all(|item| item["state"] != "due")
    });
}

/// Two sites on which everything has happened that there is a step for.
fn with_all_kinds_of_changes(settings: &str) -> Bench {
    let bench = Bench::with(settings);
    for (site, keys) in [("acme", &["_Task_"][..]), ("globex", &["_Work_", "_Room_"])] {
        bench.sim.site(site).configure(|spec| {
            let inputs = keys
                .iter()
                .map(|key| AttributeSpec::new(*key, *key, AttributeKind::InputField));
            spec.attributes.extend(inputs);
        });
    }
    let acme = bench.acme();
    let log = |issue: &str, text: &str| acme.log_time(issue, hour("ann", text).attribute("_Task_", "one"));
    let changed = log("SUP-1", "to change").unwrap();
    let moved = log("SUP-1", "to move").unwrap();
    let disputed = log("SUP-1", "to dispute").unwrap();
    let gone: Vec<u64> = (0..3)
        .map(|n| log("SUP-2", &format!("to go {n}")).unwrap())
        .collect();
    bench.reconcile();
    bench.next_second();

    let globex = bench.globex();
    let twin = |text: &str| {
        let mut twins = globex.worklogs().into_iter();
        let twin = twins.find(|worklog| worklog.description.as_deref() == Some(text));
        twin.unwrap().id
    };
    let room = |content: &mut tandem_sim::Content| {
        content.attributes.insert("_Room_".into(), "by the window".into());
    };
    globex.edit(twin("to change"), room).unwrap();
    let other = |content: &mut tandem_sim::Content| content.description = Some("as globex says".into());
    globex.edit(twin("to dispute"), other).unwrap();
    let change = |content: &mut tandem_sim::Content| {
        content.time_spent_secs = 900;
        content.billable_secs = 0;
        content.attributes.insert("_Task_".into(), "two".into());
    };
    acme.edit(changed, change).unwrap();
    let other = |content: &mut tandem_sim::Content| content.description = Some("as acme says".into());
    acme.edit(disputed, other).unwrap();
    acme.move_to_issue(moved, "SUP-2").unwrap();
    for id in gone {
        acme.delete(id).unwrap();
    }
    let new = hour("bob", "new: \"Grüße\" <b>& more</b>\nand a line").billable(0);
    acme.log_time("SUP-1", new.attribute("_Task_", "three")).unwrap();
    globex
        .log_time(
            "DEV-2",
            hour("ann", "from the other side").attribute("_Room_", "here"),
        )
        .unwrap();
    acme.log_time("SUP-2", hour("zoe", "of somebody that globex does not know"))
        .unwrap();
    bench
}

#[test]
fn each_step_of_a_plan_is_a_request_of_reconcile_and_each_park_waits_in_the_queue() {
    let brake = "mass_delete = { max = 2, within = \"1h\" }\n";
    for (settings, deletes, parks) in [
        (SETTINGS.to_owned(), 4, &["conflict"][..]),
        (
            format!("{SETTINGS}{brake}"),
            1,
            &["conflict", "mass-delete", "mass-delete", "mass-delete"],
        ),
    ] {
        let bench = with_all_kinds_of_changes(&settings);
        let before = (
            bench.rows(),
            bench.sim.worklogs("acme"),
            bench.sim.worklogs("globex"),
        );
        bench.sim.reset_requests();
        let plan = bench.run(&["plan", "--json"]).ended(3).json();
        assert_eq!(sent(&bench), [], "planning wrote");
        let after = (
            bench.rows(),
            bench.sim.worklogs("acme"),
            bench.sim.worklogs("globex"),
        );
        assert_eq!(before, after, "planning changed something");

        let is_park = |step: &&&Value| step["op"] == "park";
        let all = steps(&plan);
        let mut expected: Vec<Sent> = all
            .iter()
            .filter(|step| !is_park(step))
            .map(|step| request_of(&bench, step))
            .collect();
        expected.sort_by_key(|one| format!("{one:?}"));
        let count = |op: &str| all.iter().filter(|step| step["op"] == op).count();
        assert_eq!(
            (count("create"), count("update"), count("delete"), count("park")),
            (4, 1, deletes, parks.len()),
            "{plan:#}"
        );

        bench.sim.reset_requests();
        reconcile(&bench);
        let (requests, statuses): (Vec<Sent>, Vec<u16>) = sent(&bench).into_iter().unzip();
        assert_eq!(requests, expected);
        // What a site refuses is not foreseen: it was listed as a create, was sent as one, and waits.
        let refused = statuses.iter().filter(|status| **status >= 300).count();
        assert_eq!(refused, 1, "{statuses:?}");
        let mut asides = queued(&bench);
        let unknown = asides.extract_if(.., |(_, _, why)| why.starts_with("author-unmapped"));
        let of_zoe = |step: &&&Value| step["after"]["author"] == "zoe";
        let source = all.iter().find(of_zoe).unwrap()["source"].as_u64().unwrap();
        assert_eq!(unknown.map(|(_, id, _)| id).collect::<Vec<_>>(), [source]);
        let mut foreseen: Vec<Aside> = all
            .iter()
            .filter(is_park)
            .map(|step| {
                (
                    text(&step["side"]),
                    step["worklog"].as_u64().unwrap(),
                    text(&step["reason"]),
                )
            })
            .collect();
        foreseen.sort();
        assert_eq!(asides, foreseen);
        let reasons: Vec<&str> = foreseen
            .iter()
            .filter_map(|(_, _, why)| Some(why.split_once(':')?.0))
            .collect();
        let mut reasons = reasons;
        reasons.sort_unstable();
        assert_eq!(reasons, parks);

        // What is done is planned no more, and what waits is not told again.
        let rest = bench.run(&["plan", "--json"]).ended(0).json();
        assert_eq!(steps(&rest), Vec::<&Value>::new());
    }
}

#[test]
fn a_token_that_is_rejected_is_told_and_no_site_is_said_to_be_paused() {
    let bench = Bench::new();
    // Without the audit trail nothing is asked of Tempo before the links are.
    bench.globex().configure(|spec| spec.papertrail = false);
    for issue in ["SUP-1", "SUP-2"] {
        bench.acme().log_time(issue, hour("ann", "new")).unwrap();
    }
    bench.reconcile();
    bench.globex().expire_tempo_tokens();
    for command in [
        &["plan"][..],
        &["plan", "--issue", "SUP-1", "--issue", "SUP-2"],
        &["backfill", "--since", "2026-01-01", "--dry-run"],
        &["link", "discover"],
    ] {
        let ran = bench.run(command).ended(1);
        assert!(
            ran.err.contains("globex does not accept the credentials: Tempo"),
            "{ran:?}"
        );
        assert!(!ran.err.contains("paused"), "{ran:?}");
    }
    let paused = |bench: &Bench| bench.run(&["status", "--json"]).json()["sites"][1]["paused"].clone();
    assert!(paused(&bench).is_null());
    // Once it is paused, that is so.
    bench.run(&["reconcile"]).ended(1);
    bench.run(&["plan"]).ended(1).says("globex is paused: Tempo");
    assert!(paused(&bench).is_object());
}

#[test]
fn what_is_outside_the_scope_is_neither_planned_nor_counted_since_no_run_writes_it() {
    let bench = Bench::with("[connections.scope]\na = \"key = SUP-1\"\nb = \"\"\n");
    for issue in ["SUP-1", "SUP-2"] {
        let old = tandem_sim::Content::new("ann", "2025-03-02", "13:30:00", 3600).text("old");
        bench.acme().log_time(issue, old).unwrap();
    }
    let new = hour("ann", "new");
    bench.acme().log_time("SUP-2", new).unwrap();
    bench.run(&["reconcile"]).ended(3);
    let backfill = ["backfill", "--since", "2025-01-01"];
    for command in [
        &["plan", "--issue", "SUP-2"][..],
        &["backfill", "--since", "2025-01-01", "--issue", "DEV-2"],
    ] {
        bench
            .run(command)
            .ended(2)
            .says("SUP-2 on acme is outside the scope of acme-globex");
    }
    let estimate = bench
        .run(&[&backfill[..], &["--dry-run", "--json"]].concat())
        .ended(3)
        .json();
    let estimate = &estimate["estimate"][0];
    assert_eq!(
        (
            &estimate["links"],
            &estimate["creates"],
            &estimate["outside"]["a"]
        ),
        (
            &json!(1),
            &json!({ "a": 0, "b": 1 }),
            &json!({ "issues": 1, "worklogs": 2 })
        )
    );
    bench.run(&backfill).ended(0);
    assert_eq!(
        (
            bench.said("globex", "DEV-1").len(),
            bench.said("globex", "DEV-2").len()
        ),
        (1, 0)
    );
}

#[test]
fn a_link_whose_issue_is_gone_is_planned_as_what_would_wait_and_then_waits() {
    let bench = Bench::new();
    for issue in ["SUP-1", "SUP-2"] {
        bench.acme().log_time(issue, hour("ann", "first")).unwrap();
    }
    bench.reconcile();
    bench.globex().delete_issue("bob", "DEV-2").unwrap();
    for issue in ["SUP-1", "SUP-2"] {
        bench.acme().log_time(issue, hour("ann", "second")).unwrap();
    }
    let plan = bench.run(&["plan", "--json"]).ended(3).json();
    let said: Vec<(String, String)> = steps(&plan)
        .iter()
        .map(|step| (text(&step["op"]), text(&step["issue"])))
        .collect();
    assert_eq!(
        said,
        [("create".into(), "DEV-1".into()), ("park".into(), "DEV-2".into())]
    );
    reconcile(&bench);
    let queue = bench.run(&["queue", "--json"]).json();
    let details: Vec<String> = queue
        .as_array()
        .unwrap()
        .iter()
        .map(|item| format!("{}: {}", text(&item["reason"]), text(&item["detail"])))
        .collect();
    let park = steps(&plan)
        .into_iter()
        .find(|step| step["op"] == "park")
        .unwrap();
    assert_eq!(details, [text(&park["reason"])]);
    assert_eq!(bench.run(&["plan"]).ended(0).out, "");
}
