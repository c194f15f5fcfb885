//! What is wrong is told before any work: exit code 2, the place, and what would be right.

use tempfile::TempDir;

use crate::bench::{Bench, Ran, config_at, hour, run, tandem};

const GOOD: &str = r#"[sites.acme]
jira = "https://acme.atlassian.net"
secret = "env:TANDEM_TEST_ACME"

[sites.globex]
jira = "https://globex.atlassian.net"
secret = "env:TANDEM_TEST_GLOBEX"

[[connections]]
name = "acme-globex"
a = "acme"
b = "globex"
"#;

const SECRET: &str = r#"{"tempo_token":"hush","jira_email":"x@acme.example","jira_token":"hush","jira_webhook_secrets":["hush"],"tempo_webhook_secrets":["hush"]}"#;

/// Runs `queue` with a configuration and both sites' secrets.
fn queue(text: &str, acme: Option<&str>, globex: Option<&str>) -> Ran {
    let directory = TempDir::new().unwrap();
    let path = config_at(directory.path(), text);
    let mut command = tandem();
    command.arg("queue").arg("--config").arg(path);
    for (name, value) in [("TANDEM_TEST_ACME", acme), ("TANDEM_TEST_GLOBEX", globex)] {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let ran = run(&mut command);
    assert!(!ran.err.contains("hush"), "a secret is shown: {ran:?}");
    assert!(!ran.err.contains("panicked"), "{ran:?}");
    ran
}

#[test]
fn a_good_configuration_with_its_secrets_is_taken() {
    queue(GOOD, Some(SECRET), Some(SECRET)).ended(0);
}

#[test]
fn each_mistake_in_the_configuration_is_told_with_its_line_and_remedy() {
    for (wrong, instead, place, says) in [
        ("name = \"acme-globex\"", "name = ", "tandem.toml:10:", "right:"),
        (
            "a = \"acme\"",
            "a = \"acmee\"",
            "tandem.toml:11:",
            "did you mean `acme`?",
        ),
        ("a = \"acme\"", "a = 7", "tandem.toml:11:", "right:"),
        (
            "b = \"globex\"",
            "b = \"globex\"\ncolour = \"red\"",
            "tandem.toml:13:",
            "colour",
        ),
        (
            "jira = \"https://acme.atlassian.net\"",
            "jira = \"https://evil.example\"",
            "tandem.toml:2:",
            "right:",
        ),
        (
            "jira = \"https://acme.atlassian.net\"",
            "jira = \"http://127.0.0.1:1\"",
            "tandem.toml:2:",
            "TANDEM_ALLOW_LOOPBACK=1",
        ),
        (
            "secret = \"env:TANDEM_TEST_ACME\"",
            "secret = \"hush-hush\"",
            "tandem.toml:3:",
            "aws:ID | env:NAME | file:PATH",
        ),
        (
            "b = \"globex\"",
            "b = \"globex\"\nsince = \"yesterday\"",
            "tandem.toml:13:",
            "right:",
        ),
    ] {
        let text = GOOD.replace(wrong, instead);
        assert_ne!(text, GOOD);
        queue(&text, Some(SECRET), Some(SECRET))
            .ended(2)
            .says(place)
            .says(says);
    }
}

#[test]
fn a_configuration_that_is_not_there_is_told_by_its_name() {
    let directory = TempDir::new().unwrap();
    run(tandem().arg("status").current_dir(directory.path()))
        .ended(2)
        .says("tandem.toml")
        .says("--config");
    let other = directory.path().join("other.toml");
    run(tandem().arg("status").env("TANDEM_CONFIG", &other))
        .ended(2)
        .says("other.toml");
}

#[test]
fn a_table_that_cannot_be_reached_is_told_in_words() {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("tandem.toml"), GOOD).unwrap();
    // Nobody listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let ran = run(tandem()
        .args(["status", "--table", "tandem"])
        .current_dir(directory.path())
        .env("TANDEM_TEST_ACME", SECRET)
        .env("TANDEM_TEST_GLOBEX", SECRET)
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_ENDPOINT_URL", format!("http://{closed}")))
    .ended(1);
    let ran = ran.says("refused").says("the region, a proxy, AWS_ENDPOINT_URL");
    assert!(
        !ran.err.contains("DispatchFailure") && !ran.err.contains('{'),
        "{}",
        ran.err
    );
}

#[test]
fn a_secret_that_is_not_there_is_told_with_site_place_and_line() {
    let ran = queue(GOOD, Some(SECRET), None).ended(2);
    ran.says("tandem.toml:7:")
        .says("globex")
        .says("env:TANDEM_TEST_GLOBEX")
        .says("tempo_token");
}

#[test]
fn a_secret_that_is_not_json_is_told_without_being_shown() {
    queue(GOOD, Some("hush hush"), Some(SECRET))
        .ended(2)
        .says("tandem.toml:3:")
        .says("acme")
        .says("not JSON");
    queue(GOOD, Some(r#"{"jira_email":"hush"}"#), Some(SECRET))
        .ended(2)
        .says("tempo_token");
}

#[test]
fn both_missing_secrets_are_told_at_once() {
    queue(GOOD, None, None)
        .ended(2)
        .says("tandem.toml:3:")
        .says("tandem.toml:7:");
}

#[test]
fn a_secret_in_aws_without_aws_says_what_is_missing() {
    let text = GOOD.replace("env:TANDEM_TEST_ACME", "aws:tandem/acme");
    queue(&text, None, Some(SECRET))
        .ended(2)
        .says("AWS_REGION is not set")
        .says("not from profiles")
        .says("export AWS_REGION=");
}

#[test]
fn wrong_usage_ends_with_two() {
    let bench = Bench::new();
    for arguments in [
        &["no-such-command"][..],
        &["verify", "--from", "yesterday"],
        &["verify", "--from", "2026-03-02", "--to", "2026-03-01"],
        &["verify", "--connection", "nobody"],
        &["reconcile", "--pass", "everything"],
        &["serve", "--listen", "nowhere"],
        &["retry", "7"],
        &["retry", "pair:acme-globex:1:2:a3"],
        &["history", "SUP-99"],
        &["undelete", "nothing"],
        &["release", "everything"],
        &["link", "add", "SUP-1"],
        &["link", "add", "what ever", "DEV-1"],
        &["link", "import", "no-such-file.csv"],
        &["plan", "--issue", "SUP-99"],
        &["demo", "--seconds", "0"],
    ] {
        let ran = bench.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(
            !ran.err.is_empty() && ran.out.is_empty(),
            "{arguments:?}: {ran:?}"
        );
    }
    run(bench.command(&["queue"]).args(["--table", "tandem"])).ended(2);
    run(bench.command(&["queue"]).env("TANDEM_LOG", "=loud="))
        .ended(2)
        .says("TANDEM_LOG");
    let file = bench.path("acme.json");
    run(bench.without_data(&["queue", "--data"]).arg(file))
        .ended(2)
        .says("--data");
    run(&mut bench.without_data(&["link", "add", "SUP-3", "DEV-3"]))
        .ended(2)
        .says("--data DIR");
    for command in [&["publish"][..], &["versions"], &["rollback", "1"]] {
        run(&mut bench.without_data(command))
            .ended(2)
            .says("--table NAME");
    }
}

#[test]
fn help_is_no_failure_and_names_every_command() {
    let ran = run(tandem().arg("--help")).ended(0);
    for command in [
        "demo",
        "serve",
        "reconcile",
        "plan",
        "verify",
        "queue",
        "history",
        "status",
        "retry",
        "release",
        "undelete",
        "link",
        "publish",
        "versions",
        "rollback",
        "forget",
        "connect",
        "secrets",
    ] {
        assert!(ran.out.contains(command), "{command}: {ran:?}");
        run(tandem().args([command, "--help"])).ended(0);
    }
    assert!(run(tandem().arg("--version")).ended(0).out.starts_with("tandem "));
}

#[test]
fn what_acts_on_a_table_is_refused_where_there_is_none() {
    let bench = Bench::new();
    let elsewhere = bench.path("misspelt").display().to_string();
    for command in [
        vec!["retry"],
        vec!["release", "mass-delete"],
        vec!["ignore", "--issue", "SUP-1"],
        vec!["resolve", "--issue", "SUP-1", "--take", "a"],
        vec!["undelete", "500001"],
        vec!["link", "rm", "SUP-1", "DEV-1"],
    ] {
        let mut there = command.clone();
        there.extend(["--data", &elsewhere]);
        bench
            .run_without_data(&there)
            .ended(2)
            .says("there is no table in");
        assert!(!bench.path("misspelt").exists(), "{command:?} made one");
        bench.run_without_data(&command).ended(2).says("--data DIR");
    }
    let first = ["backfill", "--since", "2024-01-01", "--yes"];
    bench.run_without_data(&first).ended(2).says("--data DIR");
    bench
        .run_without_data(&["backfill", "--since", "2024-01-01", "--dry-run"])
        .ended(0);
}

#[test]
fn days_ids_and_names_that_are_none_are_told_with_what_would_be_right() {
    let bench = Bench::new();
    for (command, right) in [
        (
            vec!["backfill", "--since", "01.02.2024"],
            "year-month-day, like 2026-01-31",
        ),
        (
            vec!["verify", "--from", "2026-02-30"],
            "year-month-day, like 2026-01-31",
        ),
        (vec!["queue", "--worklog", "SUP-1"], "like 500001"),
        (vec!["queue", "--person", " "], "it is empty"),
        (vec!["plan", "--issue", ""], "it is empty"),
        (vec!["history", ""], "it is empty"),
    ] {
        bench.run(&command).ended(2).says(right);
    }
}

#[test]
fn copies_under_an_account_that_nobody_knows_are_not_looked_for() {
    let bench = Bench::new();
    bench.acme().log_time("SUP-1", hour("ann", "one")).unwrap();
    let since = ["backfill", "--since", "2024-01-01", "--yes"];
    let with = |more: &[&'static str]| {
        let mut command = since.to_vec();
        command.extend(more);
        bench.run(&command)
    };
    with(&["--adopt", "--copied-by", "bobb"])
        .ended(2)
        .says("no site has an account bobb");
    with(&["--copied-by", "bob"]).ended(2).says("--adopt");
    assert_eq!(bench.said("globex", "DEV-1").len(), 0);
    with(&["--adopt", "--copied-by", "bob"]).ended(0);
    assert_eq!(bench.said("globex", "DEV-1").len(), 1);
}
