//! `--names`: people by name, beside their account ids.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tandem_sim::{Fault, FaultOutcome, Matcher, UserSpec};

use crate::bench::{Bench, hour, run};

const BULK: &str = "/rest/api/3/user/bulk";

/// Ann's hour is on both sites; Zoe's, whom globex does not know, waits.
fn with_a_stranger() -> Bench {
    let bench = Bench::new();
    bench.acme().log_time("SUP-1", hour("ann", "one")).unwrap();
    bench.acme().log_time("SUP-1", hour("zoe", "two")).unwrap();
    bench.run(&["reconcile"]).ended(3);
    bench.sim.reset_requests();
    bench
}

/// The sites that were asked for names since the requests were last reset, and for how many each time.
fn asked(bench: &Bench) -> Vec<(String, usize)> {
    let requests = bench.sim.requests();
    let asked = requests.iter().filter(|one| one.path_template == BULK);
    let asked = asked
        .map(|one| (one.site.clone(), one.path.matches("accountId=").count()))
        .collect();
    bench.sim.reset_requests();
    asked
}

fn of_acme(people: usize) -> Vec<(String, usize)> {
    vec![("acme".to_owned(), people)]
}

/// Takes what people are called out of an output.
fn without_names(mut output: Value) -> Value {
    let mut left = vec![&mut output];
    while let Some(value) = left.pop() {
        match value {
            Value::Object(fields) => {
                fields.remove("names");
                left.extend(fields.values_mut());
            }
            Value::Array(rows) => left.extend(rows),
            _ => {}
        }
    }
    output
}

#[test]
fn books_name_people_beside_their_accounts_and_ask_once_for_all_of_them() {
    let bench = with_a_stranger();
    let text = ["verify", "--by", "person,day"];
    let bare = bench.run(&text).ended(3).out;
    assert!(bare.contains("zoe") && !bare.contains("Zoe"), "{bare}");
    assert_eq!(asked(&bench), []);
    let named = bench.run(&[&text[..], &["--names"]].concat()).ended(3).out;
    for line in [
        "\nAnn Archer (ann)",
        "\nZoe Zimmer (zoe)",
        ": Zoe Zimmer (zoe) 2026-03-02",
    ] {
        assert!(named.contains(line), "{line:?}: {named}");
    }
    assert_eq!(asked(&bench), of_acme(2));

    let bare = bench.run(&["verify", "--json"]).ended(3).json();
    let named = bench.run(&["verify", "--json", "--names"]).ended(3).json();
    assert_eq!(named["differences"][0]["names"], json!({"zoe": "Zoe Zimmer"}));
    let people: Vec<&Value> = named["groups"].as_array().unwrap().iter().collect();
    let people: Vec<_> = people.into_iter().filter(|one| one["by"] == "person").collect();
    assert_eq!(people[0]["names"], json!({"ann": "Ann Archer"}));
    assert_eq!(without_names(named), bare);

    let bare = bench.run(&["verify", "--csv"]).ended(3).out;
    let file = bench.path("books.csv");
    let report = ["verify", "--csv", "--names", "--report", file.to_str().unwrap()];
    let named = bench.run(&report).ended(3).out;
    let cut: Vec<&str> = named
        .lines()
        .map(|line| line.rsplit_once(',').unwrap().0)
        .collect();
    assert_eq!(cut, bare.lines().collect::<Vec<_>>());
    assert!(named.starts_with("row,") && named.contains(",person,person_name\n"));
    assert!(named.ends_with(",2026-03-02,zoe,Zoe Zimmer\n"), "{named}");
    let kept = std::fs::read_to_string(file).unwrap();
    let sum = hex::encode(Sha256::digest(named.as_bytes()));
    assert!(kept.starts_with(&format!("{named}# sha256 of the rows above: {sum}\n")));
}

#[test]
fn a_plan_the_queue_and_the_history_name_people_on_the_site_where_they_were_seen() {
    let bench = with_a_stranger();
    let bare = bench.run(&["queue", "--json"]).ended(3).json();
    assert_eq!(asked(&bench), []);
    let named = bench.run(&["queue", "--json", "--names"]).ended(3).json();
    assert_eq!(named[0]["names"], json!({"zoe": "Zoe Zimmer"}));
    assert_eq!(without_names(named), bare);
    assert_eq!(asked(&bench), of_acme(1));
    let text = bench.run(&["queue", "--names"]).ended(3).out;
    assert!(text.lines().next().unwrap().ends_with("PERSON"), "{text}");
    assert!(text.contains("  Zoe Zimmer (zoe)"), "{text}");
    assert!(!bench.run(&["queue"]).ended(3).out.contains("PERSON"));

    let bare = bench.run(&["history", "--json"]).ended(0).json();
    asked(&bench);
    let named = bench.run(&["history", "--json", "--names"]).ended(0).json();
    let creates = named.as_array().unwrap().iter();
    let mut creates = creates.filter(|line| line["op"] == "create");
    assert_eq!(creates.next().unwrap()["names"], json!({"ann": "Ann Archer"}));
    assert_eq!(without_names(named), bare);
    assert_eq!(asked(&bench), [("acme".to_owned(), 2), ("globex".to_owned(), 1)]);
    let text = bench.run(&["history", "--names"]).ended(0).out;
    for line in [
        "+ Ann Archer (ann) 2026-03-02",
        "seen on a: Zoe Zimmer (zoe) 2026",
    ] {
        assert!(text.contains(line), "{line:?}: {text}");
    }

    let id = bench.acme().worklogs_of("SUP-1")[0].id;
    bench.next_second();
    bench
        .acme()
        .edit(id, |content| content.author = "bob".into())
        .unwrap();
    let bare = bench.run(&["plan", "--json"]).ended(3).json();
    asked(&bench);
    let named = bench.run(&["plan", "--json", "--names"]).ended(3).json();
    let both = json!({"ann": "Ann Archer", "bob": "Bob Baker"});
    assert_eq!(named["steps"][0]["names"], both, "{named}");
    assert_eq!(without_names(named), bare);
    assert_eq!(asked(&bench), [("globex".to_owned(), 2)]);
    let text = bench.run(&["plan", "--names"]).ended(3).out;
    assert!(text.contains("\n  Ann Archer (ann) 2026-03-02"), "{text}");
    assert!(
        text.contains("author: Ann Archer (ann) -> Bob Baker (bob)"),
        "{text}"
    );
}

#[test]
fn a_name_is_text_wherever_it_is_shown() {
    let bench = Bench::new();
    bench
        .acme()
        .put_user(UserSpec::new("eve", "=HYPERLINK(\"x\")\u{1b}[2J\u{202e}\n<b>"));
    bench.acme().log_time("SUP-1", hour("eve", "one")).unwrap();
    let page = bench.path("books.html");
    let ran = bench
        .run(&["verify", "--csv", "--names", "--report", page.to_str().unwrap()])
        .ended(3);
    let last = ran.out.lines().last().unwrap();
    assert!(
        last.ends_with(",eve,\"'=HYPERLINK(\"\"x\"\") [2J  <b>\""),
        "{last}"
    );
    let html = std::fs::read_to_string(page).unwrap();
    assert!(
        html.contains("<td>'=HYPERLINK(&quot;x&quot;) [2J  &lt;b&gt;</td>"),
        "{html}"
    );
    for command in [&["verify", "--names"][..], &["plan", "--names"]] {
        let text = bench.run(command).ended(3).out;
        assert!(text.contains("=HYPERLINK(\"x\") [2J  <b> (eve)"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
}

#[test]
fn whoever_is_not_told_of_is_shown_by_account_alone_and_nobody_is_bothered() {
    let bench = Bench::new();
    bench
        .acme()
        .put_user(UserSpec::new("erased", "Former user").inactive());
    bench.acme().put_user(UserSpec::new("mute", " "));
    bench
        .acme()
        .put_user(UserSpec::new("left", "Lee Leaver").inactive());
    for author in ["erased", "mute", "left"] {
        bench.acme().put_user(UserSpec::new(author, author));
        bench.acme().log_time("SUP-1", hour(author, author)).unwrap();
    }
    for (author, name) in [("erased", "Former user"), ("mute", " "), ("left", "Lee Leaver")] {
        bench.acme().put_user(UserSpec::new(author, name).inactive());
    }
    let books = || bench.run(&["verify", "--json", "--names"]).ended(3);
    let names = |of: &Value| {
        let rows = of["differences"].as_array().unwrap().iter();
        rows.map(|row| row["names"].clone()).collect::<Vec<_>>()
    };
    // Whoever has left is known by name as long as Jira tells it.
    assert_eq!(
        names(&books().json()),
        [json!({}), json!({}), json!({"left": "Lee Leaver"})]
    );
    for refusal in [403, 404] {
        let refused = Fault::LostBefore(FaultOutcome::Status(refusal));
        bench.sim.fail_next("acme", Matcher::jira("GET", BULK), refused);
        let ran = books();
        assert_eq!(names(&ran.json()), [json!({}), json!({}), json!({})]);
        assert!(!ran.err.contains("warning"), "{ran:?}");
    }
}

#[test]
fn figures_do_not_wait_for_a_site_that_does_not_tell_names() {
    let bench = with_a_stranger();
    let down = Fault::LostBefore(FaultOutcome::Status(503));
    let times = |times| Matcher::jira("GET", BULK).times(times);
    bench.sim.fail_next("acme", times(50), down);
    let ran = bench.run(&["verify", "--names", "--by", "person"]).ended(3);
    assert!(ran.out.contains("\nzoe ") && !ran.out.contains("Zoe"), "{ran:?}");
    assert_eq!(asked(&bench).len(), 4);
    ran.says("warning: people of acme are shown without names, since it did not tell them");
}

#[test]
fn very_many_people_are_asked_for_fifty_at_a_time() {
    let bench = Bench::new();
    for number in 0..120 {
        let account = format!("712020:{number}");
        let name = format!("Number {number}");
        bench.acme().put_user(UserSpec::new(account.as_str(), name));
        bench.acme().log_time("SUP-1", hour(&account, "one")).unwrap();
    }
    let books = bench.run(&["verify", "--json", "--names"]).ended(3).json();
    let rows = books["differences"].as_array().unwrap();
    assert_eq!(rows.len(), 120);
    for row in rows {
        let account = row["a"]["author"].as_str().unwrap();
        let name = account.replace("712020:", "Number ");
        assert_eq!(row["names"][account], name.as_str(), "{row}");
    }
    let mut times: Vec<usize> = asked(&bench).into_iter().map(|(_, people)| people).collect();
    times.sort_unstable();
    // Nobody on globex knows of them, and it is not told of them either.
    assert_eq!(times, [20, 50, 50]);
}

#[test]
fn names_are_kept_nowhere() {
    let bench = Bench::new();
    bench.acme().log_time("SUP-1", hour("ann", "one")).unwrap();
    bench.run(&["plan", "--names"]).ended(3);
    bench.reconcile();
    for command in ["plan", "queue", "history", "verify"] {
        let mut told = bench.command(&[command, "--names"]);
        let log = run(told.env("TANDEM_LOG", "trace")).err;
        assert!(!log.contains("Archer"), "{log}");
    }
    for (key, row) in bench.rows() {
        assert!(!row.to_string().contains("Archer"), "{key}: {row}");
    }
}
