//! Setting up without a terminal.

use std::process::{Command, Stdio};

use tandem_sim::{Fault, FaultOutcome, Matcher};

use crate::bench::{Bench, Ran, hour, run, tandem};

/// `init` for the bench's two sites, into another configuration than the bench's own.
fn init(bench: &Bench, more: &[&str]) -> Ran {
    let url = |site: &str| bench.jira(site);
    let mut command = bare(bench);
    command
        .args([
            "--a",
            &url("acme"),
            "--a-name",
            "acme",
            "--a-secret",
            "file:acme.json",
        ])
        .args([
            "--b",
            &url("globex"),
            "--b-name",
            "globex",
            "--b-secret",
            "file:globex.json",
        ])
        .args(["--a-tempo", &bench.tempo(), "--b-tempo", &bench.tempo()])
        .args(more);
    run(&mut command)
}

fn bare(bench: &Bench) -> Command {
    let mut command = tandem();
    command
        .args(["init", "--config"])
        .arg(bench.path("new.toml"))
        .stdin(Stdio::null())
        .env("TANDEM_ALLOW_LOOPBACK", "1");
    command
}

fn written(bench: &Bench) -> Option<String> {
    std::fs::read_to_string(bench.path("new.toml")).ok()
}

#[test]
fn a_new_configuration_is_checked_written_and_shows_a_first_sync() {
    let bench = Bench::new();
    bench
        .acme()
        .log_time("SUP-1", hour("ann", "waits for its twin"))
        .unwrap();
    let url = format!("{}/browse/DEV-1", bench.jira("globex"));
    bench
        .acme()
        .add_issue(tandem_sim::IssueSpec::new("SUP-9").remote_link("", url, "twin"));
    bench
        .acme()
        .log_time("SUP-9", hour("ann", "first of all"))
        .unwrap();
    let ran = init(
        &bench,
        &[
            "--since",
            "2026-01-01",
            "--unknown",
            "account:712020:x",
            "--links",
            "remote-link",
        ],
    )
    // Nobody has that account yet.
    .ended(3)
    .says("there is no active account 712020:x")
    .says("token ends is not recorded")
    .says("new.toml is written");
    assert!(
        ran.out.contains("create on globex DEV-1") && ran.out.contains("first of all"),
        "{ran:?}"
    );
    assert_eq!(bench.said("globex", "DEV-1").len(), 0, "a plan wrote something");
    let text = written(&bench).unwrap();
    for line in [
        "since = \"2026-01-01\"",
        "unknown = \"account:712020:x\"",
        "from = [\"remote-link\"]",
        "name = \"acme-globex\"",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("tempo-acme"), "a token in the configuration");
    // What it wrote is good for everything else.
    let mut command = tandem();
    command
        .args(["reconcile", "--config"])
        .arg(bench.path("new.toml"))
        .arg("--data")
        .arg(bench.data())
        .env("TANDEM_ALLOW_LOOPBACK", "1");
    run(&mut command).ended(0);
    assert_eq!(bench.said("globex", "DEV-1").len(), 1);
    // Nothing of how it was written is left.
    let hidden = std::fs::read_dir(bench.directory.path())
        .unwrap()
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with('.')
        });
    assert_eq!(hidden.count(), 0);
}

#[test]
fn what_is_there_is_not_written_over_unless_told_to() {
    let bench = Bench::new();
    std::fs::write(bench.path("new.toml"), "precious").unwrap();
    init(&bench, &[]).ended(2).says("--force");
    assert_eq!(written(&bench).unwrap(), "precious");
    init(&bench, &["--force", "--no-plan"]).ended(0);
    assert!(written(&bench).unwrap().contains("[[connections]]"));
}

#[test]
fn wrong_answers_are_named_and_nothing_is_written() {
    let bench = Bench::new();
    run(&mut bare(&bench))
        .ended(2)
        .says("missing: --a URL, --b URL, --a-secret REFERENCE, --b-secret REFERENCE");
    init(&bench, &["--unknown", "nobody"])
        .ended(2)
        .says("`nobody` is not a word that `unknown` knows");
    init(&bench, &["--links", "field"]).ended(2).says("--a-field");
    let acme = bench.jira("acme");
    let twice = [
        "--a",
        &acme,
        "--b",
        &acme,
        "--a-secret",
        "env:A",
        "--b-secret",
        "env:B",
    ];
    run(bare(&bench).args(twice))
        .ended(2)
        .says("a connection is between two sites");
    let namesakes = [
        "--a",
        "acme",
        "--b",
        "globex",
        "--b-name",
        "acme",
        "--a-secret",
        "env:A",
        "--b-secret",
        "env:B",
    ];
    run(bare(&bench).args(namesakes))
        .ended(2)
        .says("both sites are called acme");
    let evil = [
        "--a",
        "https://evil.example",
        "--b",
        "globex",
        "--a-secret",
        "env:A",
        "--b-secret",
        "env:B",
    ];
    let ran = run(bare(&bench).args(evil)).ended(2);
    assert!(
        ran.err.contains("evil.example") || ran.err.contains("jira"),
        "{ran:?}"
    );
    let typed = [
        "--a",
        "acme",
        "--b",
        "globex",
        "--a-secret",
        "hush-hush",
        "--b-secret",
        "env:B",
    ];
    let ran = run(bare(&bench).args(typed)).ended(2);
    assert!(!ran.err.contains("hush"), "a secret on the screen: {ran:?}");
    assert_eq!(written(&bench), None);
    // No request went to anybody for it.
    assert!(bench.sim.requests().is_empty());
}

#[test]
fn credentials_are_tried_at_once_and_what_is_missing_is_named() {
    let bench = Bench::new();
    bench.acme().expire_tempo_tokens();
    bench
        .globex()
        .set_permission(None, tandem_sim::Permission::LogForOthers, false);
    let ran = init(&bench, &[])
        .ended(1)
        .says("Tempo does not accept the token")
        .says("lacks Log Work for Others")
        .says("nothing was written");
    assert!(!ran.err.contains("tempo-acme"), "a token on the screen: {ran:?}");
    assert_eq!(written(&bench), None);
    init(&bench, &["--no-check", "--no-plan"]).ended(0);
    assert!(written(&bench).is_some());
}

#[test]
fn what_can_be_put_right_later_is_written_and_ends_with_three() {
    let bench = Bench::new();
    bench
        .globex()
        .set_permission(None, tandem_sim::Permission::LogForOthers, false);
    init(&bench, &["--no-plan"])
        .ended(3)
        .says("lacks Log Work for Others");
    assert!(written(&bench).is_some());
    bench.globex().restore_permissions();
    init(&bench, &["--no-plan", "--force"]).ended(0);
}

#[test]
fn a_tempo_token_of_the_other_site_is_noticed_before_anything_is_read_with_it() {
    let bench = Bench::new();
    for (site, issue) in [("acme", "SUP-1"), ("globex", "DEV-1")] {
        let theirs = if site == "acme" {
            bench.acme()
        } else {
            bench.globex()
        };
        theirs.log_time(issue, hour("ann", "somebody's hour")).unwrap();
    }
    let shown = |ran: &Ran, text: &str| assert!(ran.out.contains(text), "{text}: {ran:?}");
    shown(&bench.run(&["doctor"]), "Tempo's token is this site's");
    let keep =
        ["acme", "globex"].map(|site| std::fs::read_to_string(bench.path(&format!("{site}.json"))).unwrap());
    let write = |site: &str, token: &str| {
        let number = usize::from(site == "globex");
        let text = keep[number].replace(&format!("tempo-{site}"), token);
        std::fs::write(bench.path(&format!("{site}.json")), text).unwrap();
    };
    // Each has the other's.
    write("acme", "tempo-globex");
    write("globex", "tempo-acme");
    let ran = bench.run(&["doctor"]).ended(3);
    shown(&ran, "its Tempo token leads to the worklogs of globex");
    shown(&ran, "its Tempo token leads to the worklogs of acme");
    init(&bench, &[])
        .ended(1)
        .says("its Tempo token leads to the worklogs of")
        .says("nothing was written");
    // Both have the same.
    write("acme", "tempo-acme");
    let ran = bench.run(&["doctor"]).ended(3);
    shown(
        &ran,
        "acme has the very same Tempo token; one of the two is the other's",
    );
    let ran = init(&bench, &[]).ended(1).says("nothing was written");
    assert!(!ran.err.contains("tempo-acme"), "a token on the screen: {ran:?}");
    assert_eq!(written(&bench), None);
}

#[test]
fn with_the_other_sites_tempo_token_nothing_is_written_until_it_is_put_right() {
    let bench = Bench::new();
    bench.acme().log_time("SUP-1", hour("ann", "here")).unwrap();
    bench.globex().log_time("DEV-1", hour("bob", "there")).unwrap();
    let path = bench.path("globex.json");
    let right = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, right.replace("tempo-globex", "tempo-acme")).unwrap();
    let ran = bench.run(&["reconcile"]);
    assert_ne!(ran.code, 0, "{ran:?}");
    let told = bench.run(&["status"]).out;
    assert!(
        told.contains("the Tempo token in the secret of globex is another site's"),
        "{told}"
    );
    for site in [bench.acme(), bench.globex()] {
        assert_eq!(site.worklogs().len(), 1);
    }
    std::fs::write(&path, right).unwrap();
    bench.run(&["reconcile"]).ended(0);
    for site in [bench.acme(), bench.globex()] {
        assert_eq!(site.worklogs().len(), 2);
    }
}

#[test]
fn a_token_that_could_not_be_tried_is_taken_for_none() {
    let bench = Bench::new();
    let down = Matcher::tempo("GET", "/4/globalconfiguration").times(100);
    bench
        .sim
        .fail_next("acme", down, Fault::LostBefore(FaultOutcome::Status(503)));
    init(&bench, &[])
        .ended(1)
        .says("could not be looked at")
        .says("nothing was written");
    assert_eq!(written(&bench), None);
}

/// `init` in a terminal, with this typed, for two sites of which all but acme's secret is given. `None` where there is no
/// `script` to make a terminal with.
#[cfg(unix)]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn typed(bench: &Bench, answers: &str, more: &str) -> Option<(bool, String)> {
    let Ok(probe) = Command::new("script").arg("--version").output() else {
        eprintln!("SKIPPED: there is no `script` to make a terminal with");
        return None;
    };
    if !String::from_utf8_lossy(&probe.stdout).contains("util-linux") {
        eprintln!("SKIPPED: this `script` is another one");
        return None;
    }
    let command = format!(
        "{} init --config {} --a {} --a-name acme --a-tempo {t} --b {} --b-name globex --b-secret file:globex.json --b-tempo {t} --links table --unknown park {more}",
        env!("CARGO_BIN_EXE_tandem"),
        bench.path("new.toml").display(),
        bench.jira("acme"),
        bench.jira("globex"),
        t = bench.tempo(),
    );
    let mut child = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("TANDEM_ALLOW_LOOPBACK", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), answers.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    Some((output.status.success(), shown))
}

/// What is typed where tokens are asked for.
#[cfg(unix)]
fn tokens(tempo: &str, jira: &str) -> String {
    format!("\n{tempo}\n2099-01-31\ntandem@acme.example\n{jira}\n2099-06-30\n")
}

#[cfg(unix)]
#[test]
fn a_token_that_was_typed_wrong_is_asked_for_again_before_the_next_question() {
    let bench = Bench::new();
    let answers = tokens("tempo-wrong", "jira-acme") + &tokens("tempo-acme", "jira-acme") + "\n";
    let Some((done, shown)) = typed(&bench, &answers, "") else {
        return;
    };
    assert!(done, "{shown}");
    let again = shown
        .find("so side a once more")
        .unwrap_or_else(|| panic!("{shown}"));
    let since = shown.find("worklogs dated earlier than this day").unwrap();
    assert!(again < since, "{shown}");
    let secret = std::fs::read_to_string(bench.path("acme.secret.json")).unwrap();
    assert!(
        secret.contains("tempo-acme") && !secret.contains("tempo-wrong"),
        "{secret}"
    );
    assert!(written(&bench).is_some());
    // And the preview is told for what it is.
    assert!(shown.contains("of what is dated from today on"), "{shown}");
}

#[cfg(unix)]
#[test]
fn tokens_that_are_typed_are_kept_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    let answers = tokens("tempo-acme", "jira-acme");
    let Some((done, shown)) = typed(&bench, &answers, "--since 2026-01-01 --no-plan") else {
        return;
    };
    assert!(done, "{shown}");
    let secret = bench.path("acme.secret.json");
    let mode = std::fs::metadata(&secret).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(secret).unwrap();
    assert!(
        text.contains("\"tempo_token\":\"tempo-acme\"")
            && text.contains("2099-01-31T00:00:00Z")
            && text.contains("\"jira_expires_at\":\"2099-06-30T00:00:00Z\""),
        "{text}"
    );
    assert!(
        written(&bench)
            .unwrap()
            .contains("secret = \"file:acme.secret.json\"")
    );
}
