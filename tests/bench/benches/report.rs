//! What `tests/bench/run` calls: compares instruction counts with those kept, and measures audits.
//!
//! `compare [--bless]` reads the summaries that `instructions` left; `memory` audits connections of growing size, each
//! in a process of its own; `audit N` is such a process.
//!
//! Exits with 0 when all is within its limits, 1 when something is not, 2 when it could not be found out, 3 when
//! there is nothing to compare with.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a report is printed")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use tandem_bench::audit::{Audited, audit};
use tandem_bench::figures::{Figures, LIMIT_PERCENT, Verdict, compare, read_summaries};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Worklogs per side of the audits: less than a page, some pages, very many.
const AUDITS: [u64; 3] = [1_000, 100_000, 1_000_000];

/// How much more memory the largest audit may take than the one before it. What grows are the digests, one per issue
/// of the side that is being read: 20,000 of them are less than 2 MiB.
const GROWTH_KIB_MAX: u64 = 4 * 1024;

fn main() -> ExitCode {
    // `cargo bench` adds a word of its own.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["compare"] => compared(false),
        ["compare", "--bless"] => compared(true),
        ["memory"] => measured(),
        ["audit", worklogs] => audited(worklogs),
        _ => Err("usage: compare [--bless] | memory | audit WORKLOGS".into()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::from(2)
    })
}

// --- instructions ---

fn compared(bless: bool) -> Result<ExitCode> {
    let (rustc, target) = toolchain()?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("figures.toml");
    let now = read_summaries(&summaries())?;
    if now.is_empty() {
        return Err("no benchmark left a summary".into());
    }
    let mut figures = Figures::read(&file)?;
    if bless {
        figures.keep(&rustc, &target, now.clone());
        figures.write(&file)?;
    }
    let Some(kept) = figures.of(&rustc, &target) else {
        for (name, count) in &now {
            println!("{name:<40} {count:>12}");
        }
        println!("No figures are kept for rustc {rustc} on {target}. `tests/bench/run --bless` keeps these.");
        return Ok(ExitCode::from(3));
    };
    println!(
        "{:<40} {:>12} {:>12} {:>8}",
        "instructions", "kept", "now", "change"
    );
    let lines = compare(kept, &now);
    for line in &lines {
        let number = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
        let change = match (line.kept, line.now) {
            (Some(kept), Some(now)) => format!("{:+.2} %", 100.0 * (now as f64 / kept as f64 - 1.0)),
            _ => "-".to_owned(),
        };
        let said = match line.verdict {
            Verdict::Within => "",
            Verdict::Worse => "  WORSE",
            Verdict::Better => "  better; keep it with --bless",
            Verdict::New => "  NEW; keep it with --bless",
            Verdict::Gone => "  GONE; forget it with --bless",
        };
        println!(
            "{:<40} {:>12} {:>12} {change:>8}{said}",
            line.name,
            number(line.kept),
            number(line.now)
        );
    }
    if lines.iter().any(|line| line.verdict.fails()) {
        println!(
            "At most {LIMIT_PERCENT} % more instructions than kept are allowed. If it has to be so: `tests/bench/run --bless`."
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns where Gungraun leaves its summaries: beside the build.
fn summaries() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    target.join("gungraun").join(env!("CARGO_PKG_NAME"))
}

fn toolchain() -> Result<(String, String)> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    let word = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map(|rest| rest.trim().to_owned())
            .ok_or("rustc does not say what it is")
    };
    Ok((word("release:")?, word("host:")?))
}

// --- memory ---

fn measured() -> Result<ExitCode> {
    println!(
        "{:>14} {:>8} {:>10} {:>7} {:>10} {:>12} {:>12}",
        "worklogs/side", "links", "listings", "feeds", "table", "before, MiB", "peak, MiB"
    );
    let mut all: Vec<Audited> = Vec::new();
    for worklogs in AUDITS {
        let output = Command::new(std::env::current_exe()?)
            .args(["audit", &worklogs.to_string()])
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let audited: Audited = serde_json::from_slice(&output.stdout)?;
        if audited.peak_kib == 0 {
            return Err("this system does not tell how much memory a process had; run it on Linux".into());
        }
        let mib = |kib: u64| kib as f64 / 1024.0;
        println!(
            "{worklogs:>14} {:>8} {:>10} {:>7} {:>10} {:>12.1} {:>12.1}",
            audited.links,
            audited.listings,
            audited.feeds,
            audited.table,
            mib(audited.before_kib),
            mib(audited.peak_kib)
        );
        all.push(audited);
    }
    let mut complaints: Vec<String> = all.iter().filter_map(Audited::complaint).collect();
    if let [.., before, last] = all[..]
        && last.peak_kib > before.peak_kib + GROWTH_KIB_MAX
    {
        complaints.push(format!(
            "memory grows with the number of worklogs: {} KiB more for {} than for {}; {GROWTH_KIB_MAX} are allowed",
            last.peak_kib - before.peak_kib,
            last.worklogs,
            before.worklogs
        ));
    }
    for complaint in &complaints {
        println!("{complaint}");
    }
    Ok(if complaints.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn audited(worklogs: &str) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let audited = runtime.block_on(audit(worklogs.parse()?))?;
    println!("{}", serde_json::to_string(&audited)?);
    Ok(ExitCode::SUCCESS)
}
