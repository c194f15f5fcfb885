//! How a first sync is told of: lines in a pipe, a bar on a terminal, and where it goes on after Ctrl-C.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tandem_sim::{Content, Fault, Matcher};

use crate::bench::{Bench, tandem};

/// How long a process may take to end.
const ENDING: Duration = Duration::from_secs(30);

const BULK: &str = "/4/worklogs/issue/{issueId}/bulk";

const BACKFILL: [&str; 4] = ["backfill", "--since", "2024-01-01", "--yes"];

/// Worklogs on two issues, some hundred requests' worth of them.
fn with_much(bench: &Bench, count: u32) {
    for n in 0..count {
        let date = format!("2024-03-{:02}", 1 + n % 28);
        let content = Content::new("ann", &date, "09:00:00", 600).text(format!("entry {n}"));
        bench.acme().log_time("SUP-1", content.clone()).unwrap();
        bench.globex().log_time("DEV-2", content).unwrap();
    }
}

/// Says whether this machine can make a terminal.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn has_terminals() -> bool {
    let probe = Command::new("script").arg("--version").output();
    let has = probe.is_ok_and(|probe| String::from_utf8_lossy(&probe.stdout).contains("util-linux"));
    if !has {
        eprintln!("SKIPPED: there is no `script` of util-linux to make a terminal with");
    }
    has
}

fn signal(child: &Child, signal: &str) {
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args([signal, &id])
            .status()
            .unwrap()
            .success()
    );
}

/// Waits for a process that was asked to end, and returns its exit code.
fn code(child: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(begun.elapsed() < ENDING, "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn ctrl_c_stops_a_first_sync_which_says_where_it_goes_on_and_goes_on_there() {
    let bench = Bench::new();
    with_much(&bench, 300);
    // Each answer takes its time, so that there is something left to stop, however busy this machine is.
    for site in ["acme", "globex"] {
        let creates = Matcher::tempo("POST", BULK).times(6);
        bench
            .sim
            .fail_next(site, creates, Fault::Slow(Duration::from_secs(3)));
    }
    let mut child = bench
        .command(&BACKFILL)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    // It has begun, and is far from its end.
    while !said.contains("of 600 worklogs") {
        assert_ne!(told.read_line(&mut said).unwrap(), 0, "it ended: {said}");
    }
    signal(&child, "-INT");
    assert_eq!(code(&mut child), Some(1));
    told.read_to_string(&mut said).unwrap();
    let stopped = said.lines().find(|line| line.starts_with("stopped after "));
    let stopped = stopped.unwrap_or_else(|| panic!("{said}"));
    assert!(
        stopped.contains("of 600 worklogs; the same command goes on from there"),
        "{stopped}"
    );
    let halfway = bench.said("globex", "DEV-1").len() + bench.said("acme", "SUP-2").len();
    assert!(halfway < 600, "it was over before it was stopped");
    assert!(
        stopped.starts_with(&format!("stopped after {halfway} of 600")),
        "{halfway}: {stopped}"
    );
    // Nothing is in its hands any more, so that the next command need not wait for it.
    let queue = bench.run(&["queue", "--json"]).ended(0).json();
    let states = queue.as_array().unwrap().iter().map(|item| &item["state"]);
    assert!(states.into_iter().all(|state| state != "running"), "{queue}");
    bench.run(&BACKFILL).ended(0);
    assert!(bench.alike("SUP-1", "DEV-1", 300) && bench.alike("SUP-2", "DEV-2", 300));
    bench.run(&["verify", "--from", "2024-01-01"]).ended(0);
}

#[test]
fn ctrl_c_stops_any_command_which_says_what_it_leaves_behind() {
    let bench = Bench::new();
    bench.reconcile();
    std::fs::write(bench.path("links.csv"), "SUP-3,DEV-3\n").unwrap();
    let file = bench.path("links.csv");
    let file = file.to_str().unwrap();
    for (arguments, left) in [
        (&["verify"][..], "nothing was changed"),
        (&["reconcile"], "goes on from there"),
        (&["link", "import", file], "what was taken in stays"),
    ] {
        for site in ["acme", "globex"] {
            bench
                .sim
                .fail_next(site, Matcher::any(), Fault::Slow(Duration::from_secs(20)));
        }
        bench.sim.reset_requests();
        let mut child = bench
            .command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        crate::bench::wait("it has asked", || !bench.sim.requests().is_empty());
        signal(&child, "-INT");
        assert_eq!(code(&mut child), Some(1), "{arguments:?}");
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(
            said.contains("stopped; ") && said.contains(left),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn ctrl_c_stops_an_import_which_tells_what_it_has_made() {
    let bench = Bench::new();
    bench.reconcile();
    // A hundred lines are asked for at once: those of the first request are made, those of the next are not.
    let mut lines = String::from("SUP-3,DEV-3\n");
    lines.extend((0..99).map(|_| "SUP-3;\n"));
    lines.extend((1..100).map(|_| "SUP-3,DEV-3\n"));
    lines.push_str("SUP-4,DEV-4\n");
    std::fs::write(bench.path("links.csv"), lines).unwrap();
    let file = bench.path("links.csv");
    let links = |bench: &Bench| {
        let listed = bench.run(&["link", "list", "--json"]).ended(0).json();
        listed.as_array().unwrap().len()
    };
    let before = links(&bench);
    // The second hundred is not answered.
    let asked = || {
        bench
            .sim
            .requests()
            .iter()
            .filter(|one| one.site == "acme")
            .count()
    };
    bench.sim.reset_requests();
    bench.sim.fail_next(
        "acme",
        Matcher::any().skip(1),
        Fault::Slow(Duration::from_secs(20)),
    );
    let mut child = bench
        .command(&["link", "import", file.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    crate::bench::wait("it asks for the second hundred", || asked() == 2);
    signal(&child, "-INT");
    assert_eq!(code(&mut child), Some(1));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    // What was wrong in the file is told, and how many links there are now, whenever it was stopped.
    assert_eq!(said.matches("links.csv:").count(), 99, "{said}");
    let made = links(&bench) - before;
    assert_eq!(made, 1);
    assert!(said.contains(&format!("{made} link")), "{made}: {said}");
    assert!(said.contains("stopped; 1 line to go"), "{said}");
    bench.run(&["link", "import", file.to_str().unwrap()]).ended(3);
}

#[test]
fn a_pipe_gets_plain_lines() {
    let bench = Bench::new();
    with_much(&bench, 60);
    let ran = bench.run(&BACKFILL).ended(0);
    assert!(!ran.err.contains('\x1b') && !ran.err.contains('\r'), "{ran:?}");
    let lines: Vec<&str> = ran
        .err
        .lines()
        .filter(|line| line.contains("of 120 worklogs"))
        .collect();
    assert!(
        lines
            .last()
            .is_some_and(|line| line.starts_with("120 of 120 worklogs (100 %)")),
        "{ran:?}"
    );
}

#[test]
fn what_waits_fits_the_terminal_and_its_ids_stay_whole() {
    if !has_terminals() {
        return;
    }
    let bench = Bench::new();
    bench
        .acme()
        .log_time("SUP-1", crate::bench::hour("zoe", "alone"))
        .unwrap();
    bench.run(&["reconcile"]).ended(3);
    let id = bench.run(&["queue", "--json"]).json()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for (command, columns, said) in [
        ("queue", 70, None),
        ("queue", 250, None),
        ("queue", 70, Some(250)),
        ("status", 70, None),
        ("doctor", 80, None),
        ("doctor", 400, None),
    ] {
        // Who says `COLUMNS` means it.
        let sized = said.map_or(String::new(), |columns| format!("COLUMNS={columns} "));
        let command = format!(
            "stty cols {columns} rows 30; {sized}{} {command} --config {} --data {} 2>/dev/null",
            tandem().get_program().to_string_lossy(),
            bench.path("tandem.toml").display(),
            bench.data().display(),
        );
        let shown = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .env("TERM", "xterm")
            .env("TANDEM_ALLOW_LOOPBACK", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        let columns = said.unwrap_or(columns);
        assert!(text.lines().count() > 1, "{text:?}");
        for line in text.lines() {
            let width = line.trim_end().chars().count();
            assert!(width <= columns, "{width} columns of {columns}: {line:?}");
        }
        if command.contains("queue") {
            assert!(text.contains(&id), "{text}");
        }
        // Columns where there is room for them.
        if command.contains("queue") {
            assert_eq!(text.contains("STATE"), columns == 250, "{text}");
        }
    }
}

#[test]
fn a_warning_is_a_sentence_and_stands_above_the_bar() {
    let bench = Bench::new();
    with_much(&bench, 60);
    let alone = Content::new("zoe", "2024-03-01", "09:00:00", 600).text("alone");
    bench.acme().log_time("SUP-1", alone).unwrap();
    let ran = bench.run(&BACKFILL).ended(3).says("\nwarning: Parked ");
    assert!(
        !ran.err.contains("WARN") && !ran.err.contains("wait.reason"),
        "{ran:?}"
    );
    // Who asks for the log gets it as it is.
    bench
        .acme()
        .log_time("SUP-1", crate::bench::hour("zoe", "of late"))
        .unwrap();
    let mut command = bench.command(&["reconcile"]);
    let ran = crate::bench::run(command.env("TANDEM_LOG", "warn")).ended(3);
    assert!(
        ran.err.contains(" WARN ") && ran.err.contains("wait.reason"),
        "{ran:?}"
    );
    if !has_terminals() {
        return;
    }
    let bench = Bench::new();
    with_much(&bench, 60);
    // Met when some is written already.
    for n in 0..20 {
        let content = Content::new("zoe", "2024-03-28", "19:00:00", 600).text(format!("alone {n}"));
        bench.acme().log_time("SUP-1", content.clone()).unwrap();
        bench.acme().log_time("SUP-2", content).unwrap();
    }
    let command = format!(
        "{} {} --config {} --data {}",
        tandem().get_program().to_string_lossy(),
        BACKFILL.join(" "),
        bench.path("tandem.toml").display(),
        bench.data().display(),
    );
    let shown = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("TERM", "xterm")
        .env("TANDEM_ALLOW_LOOPBACK", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert_eq!(text.matches("warning: Parked").count(), 40, "{text:?}");
    for (at, _) in text.match_indices("warning: ") {
        let line = text[..at].rsplit('\n').next().unwrap();
        let left = line.rsplit(['\r', 'K']).next().unwrap();
        assert_eq!(left, "", "something stands before a warning: {line:?}");
    }
}

#[test]
fn a_terminal_gets_a_bar() {
    if !has_terminals() {
        return;
    }
    let bench = Bench::new();
    with_much(&bench, 60);
    // What goes the other way is written at once.
    let creates = Matcher::tempo("POST", BULK).times(1);
    bench
        .acme()
        .fail_next(creates, Fault::Slow(Duration::from_secs(6)));
    let command = format!(
        "{} {} --config {} --data {}",
        tandem().get_program().to_string_lossy(),
        BACKFILL.join(" "),
        bench.path("tandem.toml").display(),
        bench.data().display(),
    );
    let shown = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("TERM", "xterm")
        .env("TANDEM_ALLOW_LOOPBACK", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert_eq!(shown.status.code(), Some(0), "{text:?}");
    // A bar with its numbers, drawn over itself.
    assert!(
        text.contains("60 of 120 worklogs (50 %), ")
            && text.contains(" a second, ")
            && text.contains(" s left"),
        "{text:?}"
    );
    assert!(
        text.contains("0 of 120 worklogs (0 %) "),
        "what is left before anything is written is a guess: {text:?}"
    );
    assert!(
        !text.contains(" 0s left") && !text.contains(" 0 s left"),
        "{text:?}"
    );
    assert!(!text.contains("38;5;"), "{text:?}");
    assert!(text.contains("\x1b["), "no bar is drawn: {text:?}");
    assert!(
        !text.contains("\n0 of") && !text.contains("\n60 of"),
        "lines beside the bar: {text:?}"
    );
    assert!(bench.alike("SUP-1", "DEV-1", 60));
}

#[test]
fn in_a_terminal_a_person_is_shown_each_likely_copy_and_says_which_are_none() {
    if !has_terminals() {
        return;
    }
    // What is typed, what is left of it on globex, and how it ends: both are copies, one is none, or nothing is done.
    for (typed, there, code) in [
        ("y\ny\ny\n", 2, 0),
        ("y\nn\ny\n", 3, 0),
        ("a\ny\n", 2, 0),
        ("y\nn\nn\n", 2, 0),
        ("y\nq\n", 2, 1),
    ] {
        let bench = Bench::new();
        for day in [5, 6] {
            let content = Content::new("ann", &format!("2024-05-{day:02}"), "10:15:00", 3600);
            let content = content.text(format!("day {day}"));
            bench.acme().log_time("SUP-1", content.clone()).unwrap();
            // As another tool copies: at noon.
            let mut copy = content;
            copy.start_time = "12:00:00".parse().unwrap();
            bench.globex().log_time("DEV-1", copy).unwrap();
        }
        let command = format!(
            "{} backfill --since 2024-01-01 --adopt=ask --config {} --data {}",
            tandem().get_program().to_string_lossy(),
            bench.path("tandem.toml").display(),
            bench.data().display(),
        );
        let mut script = Command::new("script");
        script
            .args(["-qec", &command, "/dev/null"])
            .env("TERM", "xterm")
            .env("TANDEM_ALLOW_LOOPBACK", "1");
        let ran = crate::bench::fed(&mut script, typed).ended(code);
        assert!(
            ran.out.contains("1 of 2: ") && ran.out.contains("Is one the copy of the other?"),
            "{ran:?}"
        );
        if code == 1 || typed.ends_with("n\n") {
            assert!(ran.out.contains("nothing was written"), "{ran:?}");
            assert_eq!(
                bench.run(&["history", "--json"]).json(),
                serde_json::json!([]),
                "{typed:?}"
            );
        }
        let said = bench.said("globex", "DEV-1");
        assert_eq!(said.len(), there, "{typed:?}: {said:?}, {ran:?}");
    }
}

#[test]
fn ctrl_c_answers_a_question_and_leaves_the_terminal_as_it_was() {
    if !has_terminals() {
        return;
    }
    let bench = Bench::new();
    with_much(&bench, 2);
    let tandem = tandem();
    let tandem = tandem.get_program().to_string_lossy();
    let first = format!(
        "{tandem} backfill --since 2024-01-01 --config {} --data {}",
        bench.path("tandem.toml").display(),
        bench.data().display(),
    );
    let set_up = format!("{tandem} init --config {}", bench.path("new.toml").display());
    for (command, typed, question) in [
        (first, vec![], "Begin?"),
        (
            set_up,
            vec![bench.jira("acme") + "\n", "\n".into(), "\n".into()],
            "Tempo token",
        ),
    ] {
        // The terminal interrupts the shell too, which has yet to say how the command ended.
        let command = format!("trap : INT; {command}; echo \"ended $?\"; stty -a");
        let mut script = Command::new("script")
            .args(["-qc", &command, "/dev/null"])
            .env("TERM", "xterm")
            .env("TANDEM_ALLOW_LOOPBACK", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = script.stdin.take().unwrap();
        let mut stdout = script.stdout.take().unwrap();
        let mut typed = typed.into_iter();
        let mut shown = String::new();
        let mut interrupted = false;
        let mut some = [0; 1024];
        loop {
            let count = stdout.read(&mut some).unwrap();
            if count == 0 {
                break;
            }
            shown.push_str(&String::from_utf8_lossy(&some[..count]));
            if !interrupted && shown.contains(question) {
                // The question is there before its answer is waited for.
                std::thread::sleep(Duration::from_millis(500));
                stdin.write_all(b"\x03").unwrap();
                interrupted = true;
            } else if !interrupted && shown.trim_end_matches(' ').ends_with(':') {
                let line = typed
                    .next()
                    .unwrap_or_else(|| panic!("one question too many: {shown}"));
                stdin.write_all(line.as_bytes()).unwrap();
                shown.push('\n');
            }
        }
        script.wait().unwrap();
        assert!(shown.contains("stopped; nothing was written"), "{shown}");
        assert!(shown.contains("ended 1"), "{shown}");
        assert!(shown.contains(" echo ") && !shown.contains(" -echo "), "{shown}");
    }
    assert_eq!(bench.said("globex", "DEV-1").len(), 0);
    assert!(!bench.path("new.toml").exists());
}

#[test]
fn whoever_stops_serve_is_told_where_it_goes_on_whatever_the_log_leaves_out() {
    let bench = Bench::new();
    let log = bench.path("log");
    let serving = bench.serve_logging("error", &log);
    assert_eq!(serving.stop(), Some(0));
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(
        said.contains("stopped; ") && said.contains("goes on from there"),
        "{said}"
    );
}
