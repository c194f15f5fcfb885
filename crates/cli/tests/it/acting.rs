//! What a person can do: link issues, let deletes through, undo them, publish.

use crate::bench::{Bench, hour, run};
use crate::vault::Vault;

#[test]
fn links_are_made_shown_refused_and_removed() {
    let bench = Bench::new();
    bench
        .acme()
        .log_time("SUP-3", hour("ann", "waits for a twin"))
        .unwrap();
    bench.reconcile();
    bench
        .run(&["link", "add", "sup-3", "DEV-3", "--as", "Ann Archer"])
        .ended(0);
    bench
        .run(&["link", "add", "SUP-3", "DEV-3"])
        .ended(0)
        .says("already");
    bench
        .run(&["link", "add", "SUP-3", "DEV-4"])
        .ended(2)
        .says("SUP-3 already has DEV-3");
    bench
        .run(&["link", "add", "SUP-4", "DEV-3"])
        .ended(2)
        .says("DEV-3 already has SUP-3");
    bench
        .run(&["link", "add", "SUP-4", "DEV-99"])
        .ended(2)
        .says("globex has no issue DEV-99");
    bench
        .run(&["link", "add", "SUP-4", "DEV-4", "--connection", "nobody"])
        .ended(2)
        .says("acme-globex");

    let links = bench.run(&["link", "list", "--json"]).ended(0).json();
    let names: Vec<_> = links
        .as_array()
        .unwrap()
        .iter()
        .map(|link| link["a_issue"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["SUP-1", "SUP-2", "SUP-3"]);
    assert_eq!(links[2]["found_by"], "command");

    bench.reconcile();
    assert!(
        bench.alike("SUP-3", "DEV-3", 1),
        "adding a link left its worklogs where they were"
    );
    bench
        .run(&["link", "rm", "SUP-3", "DEV-3", "--as", "Bob"])
        .ended(0)
        .says("left as they are");
    bench
        .run(&["link", "rm", "SUP-3", "DEV-3"])
        .ended(2)
        .says("not twins");
    bench.acme().log_time("SUP-3", hour("ann", "stays here")).unwrap();
    bench.reconcile();
    assert_eq!(bench.said("globex", "DEV-3").len(), 1);
    // Who did it is told, and only of what was done.
    let lines = bench.run(&["history", "--by-hand", "--json"]).ended(0).json();
    let told: Vec<&str> = lines
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["cause"].as_str().unwrap())
        .collect();
    assert_eq!(
        told,
        [
            "Ann Archer: SUP-3 and DEV-3 are twins now",
            "Bob: SUP-3 and DEV-3 are twins no longer; their worklogs stay as they are",
        ]
    );
}

#[test]
fn what_was_done_under_an_earlier_twin_stays_in_the_history_of_an_issue() {
    let bench = Bench::new();
    bench
        .acme()
        .log_time("SUP-3", hour("ann", "under the first"))
        .unwrap();
    bench.run(&["link", "add", "SUP-3", "DEV-3"]).ended(0);
    bench.reconcile();
    bench.run(&["link", "rm", "SUP-3", "DEV-3"]).ended(0);
    bench.run(&["link", "add", "SUP-3", "DEV-4"]).ended(0);
    bench.reconcile();
    let told = |issue: &str| -> Vec<(String, String)> {
        let lines = bench.run(&["history", issue, "--json"]).ended(0).json();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let lines = lines.as_array().unwrap().iter();
        lines
            .map(|line| (text(&line["op"]), text(&line["issue"])))
            .collect()
    };
    let of = |lines: &[(&str, &str)]| -> Vec<(String, String)> {
        lines
            .iter()
            .map(|(op, issue)| ((*op).to_owned(), (*issue).to_owned()))
            .collect()
    };
    let first = [("link", "SUP-3"), ("create", "DEV-3"), ("unlink", "SUP-3")];
    let then = [("link", "SUP-3"), ("move", "SUP-3"), ("create", "DEV-4")];
    assert_eq!(told("SUP-3"), of(&[&first[..], &then].concat()));
    assert_eq!(told("DEV-3").len(), first.len());
    assert_eq!(told("DEV-4"), of(&then));
}

#[test]
fn a_bad_line_of_an_import_is_told_and_the_good_ones_are_kept() {
    let bench = Bench::new();
    let file = bench.path("links.csv");
    std::fs::write(
        &file,
        "a,b\nSUP-3,DEV-3\nSUP-4\nSUP-4,DEV-99\nSUP-1,DEV-4\nSUP-4,DEV-4\n",
    )
    .unwrap();
    bench.reconcile();
    let file = file.to_str().unwrap();
    let ran = bench.run(&["link", "import", file]).ended(3);
    let ran = ran
        .says("links.csv:3: 1 instead of 2 columns")
        .says("links.csv:4: globex has no issue DEV-99");
    ran.says("links.csv:5: SUP-1 and DEV-4 cannot be twins")
        .says("2 links made");
    let links = bench.run(&["link", "list", "--json"]).json();
    assert_eq!(links.as_array().unwrap().len(), 4);
    std::fs::write(file, "SUP-3,DEV-3\n").unwrap();
    let again = bench.run(&["link", "import", file, "--json"]).ended(0).json();
    assert_eq!(again, serde_json::json!({ "new": 0, "already": 1, "bad": [] }));
}

#[test]
fn deletes_beyond_the_brake_wait_for_a_person_and_not_for_a_retry() {
    let bench = Bench::with("[connections.policy]\nmass_delete = { max = 2, within = \"1h\" }");
    let ids: Vec<u64> = (0..4)
        .map(|n| {
            bench
                .acme()
                .log_time("SUP-1", hour("ann", &format!("old {n}")))
                .unwrap()
        })
        .collect();
    bench.reconcile();
    for id in ids {
        bench.acme().delete(id).unwrap();
    }
    bench.run(&["reconcile"]).ended(3);
    assert_eq!(bench.said("globex", "DEV-1").len(), 4);
    let queue = bench.run(&["queue", "--json"]).ended(3).json();
    assert!(
        queue
            .as_array()
            .unwrap()
            .iter()
            .all(|item| item["reason"] == "mass-delete"),
        "{queue}"
    );
    bench.run(&["retry"]).ended(0);
    bench.run(&["reconcile"]).ended(3);
    assert_eq!(
        bench.said("globex", "DEV-1").len(),
        4,
        "a retry let deletes through the brake"
    );

    let released = bench.run(&["release", "mass-delete", "--json"]).ended(0).json();
    assert_eq!(released["released"], 4);
    bench.reconcile();
    assert_eq!(bench.said("globex", "DEV-1").len(), 0);
    bench.run(&["queue"]).ended(0);
    // Where nothing waits, the brake counts anew all the same, and who had it do so is told.
    bench
        .run(&["release", "mass-delete", "--as", "Eve"])
        .ended(0)
        .says("no delete was held back; the brake counts anew");
    let lines = by_hand(&bench);
    assert_eq!(
        lines.last().unwrap(),
        &(
            "release".to_owned(),
            None,
            "Eve: the brake on deletes counts anew".to_owned()
        )
    );
}

#[test]
fn a_deleted_worklog_comes_back_on_both_sides_once() {
    let bench = Bench::new();
    let id = bench
        .acme()
        .log_time("SUP-1", hour("ann", "precious").billable(0))
        .unwrap();
    bench.reconcile();
    let created = bench.run(&["history", "SUP-1", "--json"]).json()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    bench.acme().delete(id).unwrap();
    bench.reconcile();
    assert!(bench.alike("SUP-1", "DEV-1", 0));
    let lines = bench.run(&["history", "SUP-1", "--json"]).json();
    let delete = lines
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["op"] == "delete")
        .unwrap();
    let delete = delete["id"].as_str().unwrap();

    bench.run(&["undelete", &created]).ended(2);
    bench.run(&["undelete", delete]).ended(0);
    bench.run(&["undelete", delete]).ended(0).says("already");
    bench.reconcile();
    bench.run(&["undelete", delete]).ended(0).says("already");
    bench.reconcile();
    assert!(bench.alike("SUP-1", "DEV-1", 1));
    let said = bench.said("globex", "DEV-1");
    assert_eq!(said, [("precious".into(), 3600, 0, "2026-03-02 13:30:00".into())]);
    bench.run(&["verify"]).ended(0);
}

#[test]
fn an_undelete_whose_answer_was_lost_makes_no_second_worklog() {
    let bench = Bench::new();
    let id = bench.acme().log_time("SUP-1", hour("ann", "precious")).unwrap();
    bench.reconcile();
    bench.acme().delete(id).unwrap();
    bench.reconcile();
    let lines = bench.run(&["history", "SUP-1", "--json"]).json();
    let delete = lines
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["op"] == "delete")
        .unwrap();
    let delete = delete["id"].as_str().unwrap();
    let lost = tandem_sim::Fault::LostAfter(tandem_sim::FaultOutcome::Status(504));
    bench
        .acme()
        .fail_next(tandem_sim::Matcher::tempo("POST", "/4/worklogs"), lost);
    bench
        .run(&["undelete", delete])
        .ended(1)
        .says("it looks before it makes one");
    bench.run(&["undelete", delete]).ended(0);
    bench.reconcile();
    assert!(bench.alike("SUP-1", "DEV-1", 1));
}

#[test]
fn publishing_counts_versions_and_the_same_text_is_no_new_one() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["publish"]).ended(0).out, "version 1\n");
    assert_eq!(bench.run(&["publish", "--json"]).ended(0).json()["version"], 1);
    let path = bench.path("tandem.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}# more\n")).unwrap();
    assert_eq!(bench.run(&["publish"]).ended(0).out, "version 2\n");
}

#[test]
fn a_configuration_whose_secrets_are_not_there_or_lack_something_is_not_published() {
    let bench = Bench::new();
    let vault = Vault::with(&["tandem/acme"]);
    let path = bench.path("tandem.toml");
    let right = std::fs::read_to_string(&path).unwrap();
    let text = ["acme", "globex"].into_iter().fold(right.clone(), |text, site| {
        text.replace(&format!("file:{site}.json"), &format!("aws:tandem/{site}"))
    });
    std::fs::write(&path, text).unwrap();
    let mut command = bench.command(&["publish"]);
    command
        .env("AWS_ENDPOINT_URL", &vault.url)
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "key");
    run(&mut command)
        .ended(2)
        .says("the secret of site acme (aws:tandem/acme) has no `tempo_token`")
        .says("the secret of site globex (aws:tandem/globex) cannot be read")
        .says("then `tandem secrets put globex`");
    // Nothing of it is stored: the next version is the first one.
    std::fs::write(&path, right).unwrap();
    assert_eq!(bench.run(&["publish"]).ended(0).out, "version 1\n");
}

#[test]
fn what_is_tried_again_can_be_named_by_issue_worklog_or_person() {
    let bench = Bench::new();
    let log = |issue: &str| bench.acme().log_time(issue, hour("zoe", issue)).unwrap();
    let (one, two) = (log("SUP-1"), log("SUP-2"));
    bench.run(&["reconcile"]).ended(3);
    let asked = |arguments: &[&str]| {
        let arguments = [&["retry", "--json"], arguments].concat();
        bench.run(&arguments).ended(0).json()["retried"].clone()
    };
    let told = || -> Vec<u64> {
        let history = bench.run(&["history", "--json"]).ended(0).json();
        let lines = history.as_array().unwrap().iter();
        let retries = lines.filter(|line| line["op"] == "retry");
        retries.map(|line| line["worklog"].as_u64().unwrap()).collect()
    };
    assert_eq!(asked(&["--issue", "SUP-2"]), 1);
    assert_eq!(told(), [two]);
    assert_eq!(asked(&["--worklog", &one.to_string()]), 1);
    assert_eq!(told(), [two, one]);
    assert_eq!(asked(&["--person", "zoe"]), 2);
    assert_eq!(told().len(), 4);
    // Nothing is not everything.
    bench
        .run(&["retry", "--person", "ann"])
        .ended(2)
        .says("nothing of that is parked");
    bench.run(&["retry", "--issue", "SUP-1", "link:x:1:2"]).ended(2);
    assert_eq!(told().len(), 4);
}

/// What people did, oldest first: what, to which issue, and the sentence.
fn by_hand(bench: &Bench) -> Vec<(String, Option<String>, String)> {
    let lines = bench.run(&["history", "--by-hand", "--json"]).ended(0).json();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let lines = lines.as_array().unwrap().iter();
    lines
        .map(|line| {
            (
                text(&line["op"]).unwrap(),
                text(&line["issue"]),
                text(&line["cause"]).unwrap(),
            )
        })
        .collect()
}

#[test]
fn what_a_person_did_to_the_whole_is_in_the_history_with_their_name() {
    let bench = Bench::new();
    let config = bench.path("tandem.toml");
    bench.run(&["publish", "--as", "Ann"]).ended(0);
    // What changed nothing leaves no line.
    bench.run(&["publish", "--as", "Ann"]).ended(0);
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}# more\n")).unwrap();
    bench.run(&["publish", "--as", "Bob"]).ended(0);
    bench.run(&["rollback", "1", "--as", "Cid"]).ended(0);
    bench
        .globex()
        .put_user(tandem_sim::UserSpec::new("zoe-there", "Zoe There"));
    std::fs::write(bench.path("people.csv"), "zoe,zoe-there\nbob,bob\n").unwrap();
    let people = bench.path("people.csv").display().to_string();
    bench.run(&["users", "import", &people, "--as", "Dan"]).ended(0);
    bench.run(&["users", "import", &people, "--as", "Dan"]).ended(0);
    let old = tandem_sim::Content::new("ann", "2024-05-06", "09:00:00", 3600);
    bench.acme().log_time("SUP-1", old).unwrap();
    let backfill = [
        "backfill",
        "--since",
        "2024-01-01",
        "--until",
        "2024-12-31",
        "--as",
        "Eve",
    ];
    bench.run(&backfill).ended(0);
    bench.run(&backfill).ended(0);
    bench
        .run(&[
            "connect",
            "--site",
            "acme",
            "--url",
            "http://127.0.0.1:9",
            "--as",
            "Fay",
        ])
        .ended(3);
    bench.run(&["forget", "zoe", "--as", "Gus"]).ended(3);
    bench.run(&["forget", "zoe", "--yes", "--as", "Gus"]).ended(0);

    let versions = bench.run(&["versions", "--json"]).ended(0).json();
    let digest = |number: usize| versions[3 - number]["digest"].as_str().unwrap().to_owned();
    let (first, second) = (digest(1), digest(2));
    let line = |op: &str, cause: &str| (op.to_owned(), None, cause.to_owned());
    assert_eq!(
        by_hand(&bench),
        [
            line("publish", &format!("Ann: publishes {first}")),
            line("publish", &format!("Bob: publishes {second}")),
            line("rollback", &format!("Cid: publishes version 1 again, {first}")),
            line(
                "users",
                "Dan: forgotten on acme and zoe-there on globex are the same person"
            ),
            line("users", "Dan: bob on acme and bob on globex are the same person"),
            line(
                "backfill",
                "Eve: first sync of 1 link with worklogs from 2024-01-01 to 2024-12-31"
            ),
            line("connect", "Fay: webhooks of acme: Jira made, Tempo made"),
            line("forget", "Gus: the data of 1 account are taken out of the table"),
        ]
    );
    let shown = bench.run(&["history", "--by-hand"]).ended(0).out;
    assert!(shown.contains("publish  acme-globex: Ann: publishes "), "{shown}");
}

#[test]
fn what_names_an_issue_that_nobody_knows_says_so() {
    let bench = Bench::new();
    bench.acme().log_time("SUP-1", hour("ann", "there")).unwrap();
    bench.reconcile();
    for command in [
        &["retry"][..],
        &["ignore"],
        &["resolve", "--take", "a"],
        &["release", "mass-delete"],
    ] {
        let of = |key: &'static str| {
            let mut arguments = command.to_vec();
            arguments.extend(["--issue", key]);
            bench.run(&arguments).ended(2)
        };
        of("SUP-99").says("no linked issue is known as `SUP-99`");
        of("SUP-1").says("`tandem queue` shows what waits");
    }
    for (arguments, says) in [
        (&["plan", "--issue", "SUP-4"][..], "SUP-4 has no twin"),
        (&["link", "add", "SUP-99", "DEV-1"], "acme has no issue SUP-99"),
        (&["link", "add", "SUP-1", "DEV-2"], "cannot be twins"),
        (&["link", "rm", "SUP-1", "DEV-2"], "are not twins"),
    ] {
        bench.run(arguments).ended(2).says(says);
    }
}

#[test]
fn a_worklog_of_a_first_sync_comes_back_on_both_sides_too() {
    let bench = Bench::new();
    // Earlier than the connection begins.
    let old = tandem_sim::Content::new("ann", "2024-05-06", "09:00:00", 3600).text("old");
    let id = bench.acme().log_time("SUP-1", old).unwrap();
    bench.run(&["backfill", "--since", "2024-01-01"]).ended(0);
    assert!(bench.alike("SUP-1", "DEV-1", 1));
    bench.next_second();
    bench.acme().delete(id).unwrap();
    bench.reconcile();
    assert!(bench.alike("SUP-1", "DEV-1", 0));
    bench.run(&["undelete", "--issue", "SUP-1"]).ended(0);
    bench.reconcile();
    assert!(
        bench.alike("SUP-1", "DEV-1", 1),
        "{:?}",
        bench.said("globex", "DEV-1")
    );
    bench.run(&["verify", "--from", "2024-01-01"]).ended(0);
}
