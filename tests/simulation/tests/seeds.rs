//! A fixed set of seeds, some fresh ones, and proof that the same seed is the same run.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tandem_simulation::faults::{Allowed, Fault, Rule};
use tandem_simulation::lines::Lines;
use tandem_simulation::observer::Field;
use tandem_simulation::run::{Outcome, Plan, run};
use tandem_simulation::world::Log;

/// Seeds of the fixed set.
const FIXED: u64 = 160;

/// Fresh seeds in each run of the tests.
const FRESH: u64 = 24;

/// Seeds that once broke a promise; RELIABILITY.md tells what was found by most of them. They are the same lives as then
/// with what could happen then.
const ONCE_BROKEN: [u64; 41] = [
    103, 124, 659, 1066, 1135, 1406, 1525, 1753, 2033, 2075, 2328, 2353, 2786, 3312, 3482, 3891, 4197, 4711,
    5125, 5784, 7544, 7573, 7635, 9424, 9784, 13174, 13656, 18927, 19305, 20499, 21391, 21598, 21921, 29757,
    30518, 33207, 33587, 38305, 46181, 57888, 70337,
];

/// Those of lives in which more could happen.
const ONCE_BROKEN_LATELY: [u64; 1] = [46049];

/// And of those in which all but the rare edits could happen. From 49503 on, they were the observer's own mistakes; the
/// last two sent a create later than anything is assumed to be sent.
const ONCE_BROKEN_LAST: [u64; 11] = [
    1306, 2443, 7242, 15978, 49503, 53472, 68892, 85938, 86048, 201_787, 202_478,
];

/// And of those in which all audit trails tell all, and everybody has an account or waits. The last one was the observer's
/// mistake.
const ONCE_BROKEN_BEFORE: [u64; 3] = [1093, 21391, 23970];

/// And of those that came after them. The last one was the observer's mistake.
const ONCE_BROKEN_NOW: [u64; 5] = [18236, 55208, 55384, 68514, 90012];

/// And of those in which all sites let start times be set, and every worklog has a text. The last one was the observer's
/// mistake.
const ONCE_BROKEN_SINCE: [u64; 3] = [39746, 71347, 126_809];

/// And of those in which all can happen that can by now. 143402 was the observer's mistake.
const ONCE_BROKEN_BY_NOW: [u64; 15] = [
    106, 343, 704, 1883, 1976, 36782, 7430, 69052, 70097, 101524, 102098, 133002, 139747, 143402, 161_683,
];

/// All faults but those that RELIABILITY.md names as open.
fn allowed() -> Allowed {
    Allowed::all().without(Fault::Ring).without(Fault::Chain)
}

fn failures(from: u64, count: u64, allowed: &Allowed) -> Vec<String> {
    let next = AtomicU64::new(from);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count {
                        return;
                    }
                    let outcome = run(seed, allowed, Log::default());
                    if !outcome.broken.is_empty()
                        && let Ok(mut failures) = failures.lock()
                    {
                        failures.push(story(&outcome, allowed));
                    }
                }
            });
        }
    });
    failures.into_inner().unwrap_or_default()
}

fn story(outcome: &Outcome, allowed: &Allowed) -> String {
    format!(
        "seed {}: {:#?}\nagain: cargo run --release -p tandem-simulation -- --seeds {}{} --trace",
        outcome.seed,
        outcome.broken,
        outcome.seed,
        allowed.flags()
    )
}

#[test]
fn the_fixed_seeds_break_no_promise() {
    let failures = failures(0, FIXED, &allowed());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn seeds_that_once_broke_a_promise_keep_it() {
    let failures: Vec<String> = ONCE_BROKEN
        .iter()
        .flat_map(|seed| failures(*seed, 1, &allowed().at_first()))
        .chain(
            ONCE_BROKEN_LATELY
                .iter()
                .flat_map(|seed| failures(*seed, 1, &allowed().at_second())),
        )
        .chain(
            ONCE_BROKEN_LAST
                .iter()
                .flat_map(|seed| failures(*seed, 1, &allowed().at_third())),
        )
        .chain(
            ONCE_BROKEN_BEFORE
                .iter()
                .flat_map(|seed| failures(*seed, 1, &allowed().at_fourth())),
        )
        .chain(
            ONCE_BROKEN_NOW
                .iter()
                .flat_map(|seed| failures(*seed, 1, &allowed().at_fifth())),
        )
        .chain(
            ONCE_BROKEN_SINCE
                .iter()
                .flat_map(|seed| failures(*seed, 1, &allowed().at_sixth())),
        )
        .chain(
            ONCE_BROKEN_BY_NOW
                .iter()
                .flat_map(|seed| failures(*seed, 1, &allowed())),
        )
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn a_purge_of_hundreds_breaks_no_promise() {
    let stocked = |seed: &u64| Plan::draw(*seed, &allowed()).stock > 0;
    for seed in (0..).filter(stocked).take(3) {
        let outcome = run(seed, &allowed(), Log::default());
        assert!(outcome.broken.is_empty(), "{}", story(&outcome, &allowed()));
        assert!(outcome.acts > 200, "seed {seed}: {} changes", outcome.acts);
    }
}

#[test]
fn where_nothing_goes_wrong_no_echo_costs_a_look() {
    for seed in 0..40 {
        let outcome = run(seed, &Allowed::none(), Log::default());
        assert!(outcome.broken.is_empty(), "{}", story(&outcome, &Allowed::none()));
    }
}

#[test]
fn fresh_seeds_break_no_promise() {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let failures = failures(now * 1000, FRESH, &allowed());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn the_same_seed_is_the_same_run_to_the_byte() {
    for seed in 0..6 {
        let digest = || run(seed, &Allowed::all(), Log::new(true, false)).log.digest();
        assert_eq!(digest(), digest(), "seed {seed}");
    }
}

#[test]
fn a_secret_in_a_log_line_is_seen() {
    let lines = Lines::new();
    lines.read(|| {
        tracing::info!(site.name = "acme", "Swept {}", "acme");
        tracing::debug!(token = "tempo-PLANTED-1", "Asked Tempo");
        // `tandem@acme.example:jira-acme-PLANTED`, as Jira is sent it.
        let sent = "Basic dGFuZGVtQGFjbWUuZXhhbXBsZTpqaXJhLWFjbWUtUExBTlRFRA==";
        tracing::debug!(sent, "Asked Jira");
    });
    let kept = lines.kept();
    assert!(
        kept.len() == 2 && kept[0].contains("Asked Tempo") && kept[1].contains("Asked Jira"),
        "{kept:?}"
    );
}

#[test]
fn people_and_tandem_do_something_in_these_worlds() {
    let outcomes: Vec<Outcome> = (0..100)
        .map(|seed| run(seed, &allowed(), Log::default()))
        .collect();
    let written = outcomes.iter().fold([0; 3], |mut sum, outcome| {
        for (sum, written) in sum.iter_mut().zip(outcome.written) {
            *sum += written;
        }
        sum
    });
    assert!(outcomes.iter().map(|outcome| outcome.acts).sum::<usize>() > 100);
    assert!(
        written.iter().all(|count| *count > 0),
        "{written:?} creates, updates, deletes"
    );
    assert!(outcomes.iter().map(|outcome| outcome.deaths).sum::<u64>() > 0);
    // Each field is edited by somebody, and what was taken away from one side is taken away from the other.
    let carried = |field| {
        outcomes
            .iter()
            .any(|outcome| outcome.carried.contains_key(&field))
    };
    for field in Field::EDITED {
        assert!(carried(field), "{field:?} never crossed by an update");
    }
    // Most of what is made non-billable is so before it has a twin.
    let emptied = |field| {
        let mut seeds = 0..1000;
        seeds.any(|seed| {
            let outcome = run(seed, &allowed(), Log::default());
            outcome.emptied.contains_key(&field)
        })
    };
    for field in [Field::Billable, Field::Shared, Field::Description] {
        assert!(emptied(field), "{field:?} was never emptied by an update");
    }
}

#[test]
fn a_broken_rule_does_not_go_unnoticed() {
    for rule in Rule::ALL {
        let allowed = match rule {
            Rule::Echo => Allowed::none(),
            _ => allowed(),
        };
        let allowed = allowed.breaking(rule);
        let noticed = (0..10_000).find(|seed| !run(*seed, &allowed, Log::default()).broken.is_empty());
        assert!(
            noticed.is_some(),
            "10,000 seeds did not notice that {rule:?} is broken"
        );
    }
}
