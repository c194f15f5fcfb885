//! What the guides show is what happens.

use std::path::Path;

use tandem_sim::Content;

use crate::bench::{Bench, hour, run};

/// The commands of a page's shell examples, without their remarks.
fn commands(page: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let mut commands = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line.trim() {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => {
                let line = line.split(" #").next().unwrap().trim();
                let Some(words) = line.strip_prefix("tandem ") else {
                    continue;
                };
                // The bench says where the table is.
                let words = words.trim_end_matches("--data DIR");
                commands.push(words.split_whitespace().map(str::to_owned).collect());
            }
            _ => {}
        }
    }
    commands
}

#[test]
fn the_guide_to_a_first_sync_leads_to_equal_books() {
    let bench = Bench::new();
    for day in 1..=3 {
        let content = Content::new("ann", &format!("2024-03-0{day}"), "09:00:00", 3600).text("old");
        bench.acme().log_time("SUP-1", content).unwrap();
    }
    // An estimate with something to do, the sync, and the books.
    assert_eq!(codes(&bench, "backfill.md"), [3, 0, 0]);
    assert!(bench.alike("SUP-1", "DEV-1", 3));
}

#[test]
fn the_guide_to_the_ledger_check_leaves_its_report() {
    let bench = Bench::new();
    bench.acme().log_time("SUP-1", hour("ann", "kept")).unwrap();
    bench.reconcile();
    assert_eq!(codes(&bench, "verify.md"), [0, 0, 0, 0]);
    let report = std::fs::read_to_string(bench.path("books.html")).unwrap();
    assert!(report.contains("Ledger check: equal"), "{report}");
}

/// Runs the commands of a page, and returns their exit codes.
fn codes(bench: &Bench, page: &str) -> Vec<i32> {
    let commands = commands(page).into_iter();
    commands
        .map(|words| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            run(bench.command(&words).current_dir(bench.directory.path())).code
        })
        .collect()
}
