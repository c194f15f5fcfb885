//! Runs seeds.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use tandem_simulation::faults::{Allowed, Fault, Rule};
use tandem_simulation::run::{Outcome, run};
use tandem_simulation::world::Log;

/// Runs Tandem's engine through lives full of faults, one per seed.
#[derive(Parser)]
#[command(after_help = faults())]
struct Arguments {
    /// Seeds to run: one, or FROM..TO.
    #[arg(long, default_value = "0..1000", value_parser = seeds)]
    seeds: Range<u64>,
    /// Runs as many fresh seeds, beginning at a number drawn from the clock.
    #[arg(long, conflicts_with = "seeds")]
    fresh: Option<u64>,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Switches a fault off; may be repeated.
    #[arg(long)]
    without: Vec<Fault>,
    /// Allows only these faults; may be repeated.
    #[arg(long)]
    only: Vec<Fault>,
    /// Nothing goes wrong.
    #[arg(long, conflicts_with_all = ["without", "only"])]
    calm: bool,
    /// Breaks a rule of Tandem's on purpose: the run should fail.
    #[arg(long = "break", value_name = "RULE")]
    broken: Option<Rule>,
    /// Prints what happened, line by line.
    #[arg(long)]
    trace: bool,
    /// Runs each seed twice and compares the logs.
    #[arg(long)]
    replay: bool,
    /// Stops after this many failures.
    #[arg(long, default_value_t = 10)]
    failures: u64,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| {
        text.trim()
            .parse::<u64>()
            .map_err(|_| format!("`{text}` is no seed"))
    };
    match text.split_once("..") {
        Some((from, to)) => Ok(number(from)?..number(to)?),
        None => {
            let one = number(text)?;
            Ok(one..one + 1)
        }
    }
}

/// What may go wrong, by name, for the help.
fn faults() -> String {
    let mut text = "Faults:\n".to_owned();
    for fault in Fault::ALL {
        text.push_str(&format!("  {:<18} {}\n", fault.name(), fault.what()));
    }
    text.push_str("\nRules that can be broken: ");
    text.push_str(&Rule::ALL.map(Rule::name).join(", "));
    text
}

#[derive(Default)]
struct Totals {
    requests: u64,
    acts: usize,
    written: [usize; 3],
    deaths: u64,
    raced: usize,
    unheard: usize,
    late_creates: usize,
    refilled: usize,
}

#[expect(clippy::print_stdout, reason = "this is a command")]
fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let mut allowed = if arguments.calm {
        Allowed::none()
    } else if arguments.only.is_empty() {
        Allowed::all()
    } else {
        Allowed::only(&arguments.only)
    };
    for fault in &arguments.without {
        allowed = allowed.without(*fault);
    }
    allowed.broken = arguments.broken;
    let seeds = match arguments.fresh {
        Some(count) => {
            let now = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |since| since.as_secs());
            now * 1_000_000..now * 1_000_000 + count
        }
        None => arguments.seeds.clone(),
    };
    println!("seeds {}..{}", seeds.start, seeds.end);
    let begun = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let failed = AtomicU64::new(0);
    let totals = Mutex::new(Totals::default());
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || failed.load(Ordering::Relaxed) >= arguments.failures {
                        return;
                    }
                    let outcome = one(seed, &allowed, &arguments);
                    if let Ok(mut totals) = totals.lock() {
                        totals.requests += outcome.requests;
                        totals.acts += outcome.acts;
                        totals.deaths += outcome.deaths;
                        totals.raced += outcome.raced;
                        totals.unheard += outcome.unheard;
                        totals.late_creates += outcome.late_creates;
                        totals.refilled += outcome.refilled;
                        for (total, written) in totals.written.iter_mut().zip(outcome.written) {
                            *total += written;
                        }
                    }
                    if !outcome.broken.is_empty() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        tell(&outcome, &allowed);
                    }
                }
            });
        }
    });
    let secs = begun.elapsed().as_secs_f64().max(0.001);
    let run = next.load(Ordering::Relaxed).min(seeds.end) - seeds.start;
    let failed = failed.load(Ordering::Relaxed);
    if let Ok(totals) = totals.lock() {
        println!(
            "{run} seeds, {failed} failed; {} changes by people, {:?} creates, updates, deletes by Tandem, {} requests, {} deaths, \
             {} raced edits, {} acts on what was not recorded, {} creates held up, {} texts of a site's own carried; \
             {:.0} seeds a minute",
            totals.acts,
            totals.written,
            totals.requests,
            totals.deaths,
            totals.raced,
            totals.unheard,
            totals.late_creates,
            totals.refilled,
            run as f64 * 60.0 / secs
        );
    }
    match failed {
        0 => std::process::ExitCode::SUCCESS,
        _ => std::process::ExitCode::FAILURE,
    }
}

fn one(seed: u64, allowed: &Allowed, arguments: &Arguments) -> Outcome {
    let log = || Log::new(arguments.trace || arguments.replay, arguments.trace);
    let mut outcome = run(seed, allowed, log());
    if arguments.replay {
        let again = run(seed, allowed, log());
        if again.log.digest() != outcome.log.digest() {
            outcome.broken.push(tandem_simulation::observer::Broken {
                at: Default::default(),
                rule: "the same seed gave another run",
                what: String::new(),
            });
        }
    }
    outcome
}

#[expect(clippy::print_stdout, reason = "this is a command")]
fn tell(outcome: &Outcome, allowed: &Allowed) {
    let mut text = format!("\nseed {} broke a promise:\n", outcome.seed);
    for broken in &outcome.broken {
        text.push_str(&format!("  {} {}: {}\n", broken.at, broken.rule, broken.what));
    }
    text.push_str(&format!(
        "  again: cargo run --release -p tandem-simulation -- --seeds {}{} --trace\n",
        outcome.seed,
        allowed.flags()
    ));
    println!("{text}");
}
