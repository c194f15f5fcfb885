//! Regressions from the field as scripts that a person can read, with golden output: `tests/scenarios`.

mod diff;
mod expect;
mod script;
mod show;
mod stage;
mod worker;

use std::collections::BTreeSet;
use std::path::PathBuf;

use script::Script;
use stage::Stage;

/// Rewrites the golden output instead of comparing with it.
const BLESS: &str = "TANDEM_BLESS";

/// How many lines are shown of a story that breaks off.
const TAIL: usize = 40;

/// Makes a test of each script; `a_name` is `a-name.txt`.
macro_rules! scenarios {
    ($($name:ident,)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $name() {
                check(stringify!($name)).await;
            }
        )*

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

scenarios! {
    bulk_edit_of_66_worklogs,
    half_past_one_stays_half_past_one,
    moved_project_keeps_its_twin,
    non_billable_stays,
    one_5xx_must_not_delete,
    post_applied_but_answered_500,
    purge_parks,
    put_keeps_the_other_sides_attributes,
    redated_out_of_the_window,
    revoked_permission_parks_then_heals,
    ring_of_three_sites,
    same_second_on_both_sides,
    two_workers_one_create,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

async fn check(name: &str) {
    let name = name.replace('_', "-");
    let path = folder().join(format!("{name}.txt"));
    let file = format!("tests/scenarios/{name}.txt");
    let text =
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file} cannot be read: {error}"));
    let script = Script::parse(&text).unwrap_or_else(|error| panic!("{file}:{error}"));
    let told = match Stage::play(&script).await {
        Ok(told) => told,
        // A promise that is broken is never blessed.
        Err((line, error, told)) => {
            let from = told
                .char_indices()
                .rev()
                .filter(|(_, c)| *c == '\n')
                .nth(TAIL)
                .map_or(0, |(at, _)| at);
            panic!(
                "{file}:{line}: {error}\n\nthe last that was told:\n{}",
                &told[from..]
            )
        }
    };
    let golden = path.with_extension("out");
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(&golden, told).unwrap();
        return;
    }
    let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        wanted == told,
        "tests/scenarios/{name}.out tells another story (- golden, + now):\n\n{}\n\
         If the new one is right: {BLESS}=1 cargo test -p tandem-it --locked scenarios",
        diff::lines(&wanted, &told)
    );
}

#[test]
fn every_script_has_a_test_and_golden_output_and_the_other_way_round() {
    let mut scripts = BTreeSet::new();
    let mut goldens = BTreeSet::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("txt") => scripts.insert(name),
            Some("out") => goldens.insert(name),
            _ => {
                assert_eq!(name, "README", "{} does not belong here", path.display());
                continue;
            }
        };
    }
    let tests: BTreeSet<String> = NAMES.iter().map(|name| name.replace('_', "-")).collect();
    assert_eq!(
        scripts, tests,
        "scripts on the left, tests in scenarios.rs on the right"
    );
    if std::env::var_os(BLESS).is_none() {
        assert_eq!(
            scripts, goldens,
            "scripts on the left, golden output on the right"
        );
    }
}

#[test]
fn every_script_says_what_it_shows_and_expects_something() {
    for name in NAMES {
        let name = name.replace('_', "-");
        let text = std::fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
        let script = Script::parse(&text).unwrap();
        let opening = text.lines().take_while(|line| line.starts_with('#')).count();
        assert!(
            opening >= 3,
            "{name} does not open with a paragraph on what it shows"
        );
        assert!(
            script.lines.iter().any(|line| line.command() == "expect"),
            "{name} expects nothing, so a careless bless could hide anything"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_script_cannot_say_is_told_with_its_line() {
    for (text, line, part) in [
        ("sites two issues=1\n\nfly to the moon", 3, "`fly`"),
        ("acme: log ann SUP-1", 1, "`sites`"),
        ("sites two issues=1\nacme: dance SUP-1", 2, "`dance`"),
        (
            "sites two issues=1\nacme: delete SUP-1 \"nothing\"",
            2,
            "no worklog",
        ),
        ("sites two issues=1\nrun fast=yes", 2, "`fast`"),
        ("sites two issues=1\nwait soon", 2, "`soon`"),
        ("sites two issues=1\nexpect count acme SUP-1 1", 2, "0"),
        ("sites two issues=1\nexpect miracles", 2, "`miracles`"),
    ] {
        let script = Script::parse(text).unwrap();
        let (at, error, _) = Stage::play(&script).await.unwrap_err();
        assert_eq!(at, line, "{text}: {error}");
        assert!(error.contains(part), "{text}: {error}");
    }
    let unclosed = Script::parse("run\nacme: log \"open").unwrap_err();
    assert!(unclosed.starts_with("2: "), "{unclosed}");
}
