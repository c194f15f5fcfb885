//! What helps people at a shell: completions, manual pages, help with examples, and colours only where wanted.

use crate::bench::{Bench, run, tandem};

#[test]
fn shells_learn_every_command() {
    for (shell, sign) in [
        ("bash", "complete "),
        ("zsh", "#compdef tandem"),
        ("fish", "complete -c tandem"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let ran = run(tandem().args(["completions", shell])).ended(0);
        for words in [sign, "doctor", "resolve", "discover", "release"] {
            assert!(ran.out.contains(words), "{shell} does not know {words}");
        }
    }
    run(tandem().args(["completions", "tcl"])).ended(2);
}

#[test]
fn each_command_has_a_manual_page() {
    let directory = tempfile::TempDir::new().unwrap();
    let pages = directory.path().join("man1");
    run(tandem().arg("man").arg(&pages))
        .ended(0)
        .says("pages written");
    let names: Vec<String> = std::fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for page in [
        "tandem.1",
        "tandem-doctor.1",
        "tandem-link-import.1",
        "tandem-resolve.1",
    ] {
        assert!(
            names.iter().any(|name| name == page),
            "{page} is not among {names:?}"
        );
    }
    let text = std::fs::read_to_string(pages.join("tandem-resolve.1")).unwrap();
    assert!(
        text.contains(".TH") && text.contains("side that counts"),
        "{text}"
    );
    let link = std::fs::read_to_string(pages.join("tandem-link-import.1")).unwrap();
    let (_, examples) = link.split_once("\n.SH EXAMPLES\n").unwrap();
    let (examples, notes) = examples.split_once("\n.SH NOTES\n").unwrap();
    assert!(
        examples.contains("tandem link import links.csv") && notes.contains("the good ones are kept"),
        "{link}"
    );
    for page in &names {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(
            !text.contains("EXTRA") && !text.contains("Examples:"),
            "{page}: {text}"
        );
    }
    run(tandem().args(["man", "/dev/null/x"]))
        .ended(1)
        .says("cannot be written");
}

#[test]
fn the_commands_of_every_day_show_examples() {
    for command in [
        "doctor",
        "init",
        "resolve",
        "ignore",
        "users",
        "queue",
        "history",
        "link",
        "retry",
        "plan",
        "verify",
        "status",
        "release",
        "undelete",
        "backfill",
        "serve",
        "reconcile",
        "demo",
        "connect",
        "forget",
        "publish",
        "versions",
        "rollback",
        "secrets",
    ] {
        let help = run(tandem().args([command, "--help"])).ended(0);
        assert!(
            help.out.contains(&format!("  tandem {command}")),
            "{command}: {}",
            help.out
        );
    }
}

#[cfg(unix)]
#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn a_terminal_is_coloured_unless_nobody_wants_it() {
    let probe = std::process::Command::new("script").arg("--version").output();
    if !probe.is_ok_and(|probe| String::from_utf8_lossy(&probe.stdout).contains("util-linux")) {
        eprintln!("SKIPPED: there is no `script` of util-linux to make a terminal with");
        return;
    }
    let bench = Bench::new();
    let config = bench.path("tandem.toml");
    let program = env!("CARGO_BIN_EXE_tandem");
    let reconcile = format!("{program} reconcile --config {}", config.display());
    for command in [format!("{program} --help"), reconcile] {
        let coloured = |no_color: Option<&str>| {
            let mut script = std::process::Command::new("script");
            script
                .args(["-qec", &command, "/dev/null"])
                .env("TERM", "xterm")
                .env("TANDEM_LOG", "info")
                .env("TANDEM_ALLOW_LOOPBACK", "1")
                .env_remove("NO_COLOR");
            if let Some(said) = no_color {
                script.env("NO_COLOR", said);
            }
            let shown = script.output().unwrap();
            let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
            assert!(shown.len() > 40, "{command} shows nothing: {shown:?}");
            shown.contains('\u{1b}')
        };
        assert!(
            coloured(None),
            "{command}: no colour in a terminal, so that this test proves nothing"
        );
        assert!(!coloured(Some("1")), "{command}");
    }
}
