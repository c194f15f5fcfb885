//! The ledger check in little memory, each in a process of its own.
//!
//! A million worklogs per side:
//! `cargo test --profile bench --locked -p tandem-bench --test verify -- --ignored a_million --nocapture`
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests, and what one tells another"
)]

use std::process::Command;

use tandem_bench::scale::Scale;
use tandem_bench::verify::{Verified, verify};

/// 64 MB, in KiB.
const PEAK_KIB_MAX: u64 = 64_000_000 / 1024;

/// How much more memory twice as many worklogs may take. What grows is the number of runs that are merged: a buffer
/// for each 4 MiB that were put away.
const GROWTH_KIB_MAX: u64 = 4 * 1024;

/// Tells a process that it is to check the books of so many worklogs, of which each such one differs.
const SCALE: &str = "TANDEM_BENCH_VERIFY";

fn checked(scale: Scale) -> Verified {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "one_check", "--ignored", "--nocapture"])
        .env(SCALE, format!("{} {}", scale.worklogs, scale.unlike_every))
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let told = out.lines().find(|line| line.starts_with('{'));
    let told = told.unwrap_or_else(|| panic!("{out}{}", String::from_utf8_lossy(&output.stderr)));
    println!("{told}");
    let verified: Verified = serde_json::from_str(told).unwrap();
    assert_eq!(verified.complaint(scale), None, "{verified:?}");
    verified
}

fn in_little_memory(verified: &Verified) {
    // Other systems do not tell.
    if cfg!(target_os = "linux") {
        assert!(verified.before_kib > 0, "{verified:?}");
        assert!(verified.peak_kib < PEAK_KIB_MAX, "{verified:?}");
    }
}

#[test]
#[ignore = "the other tests run it in a process of its own"]
fn one_check() {
    let Ok(text) = std::env::var(SCALE) else { return };
    let (worklogs, unlike_every) = text.split_once(' ').unwrap();
    let scale = Scale {
        worklogs: worklogs.parse().unwrap(),
        unlike_every: unlike_every.parse().unwrap(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let verified = runtime.block_on(verify(scale)).unwrap();
    println!("\n{}", serde_json::to_string(&verified).unwrap());
}

#[test]
fn each_page_is_asked_for_once_whatever_the_number_of_worklogs() {
    for worklogs in [0, 1, 4999, 5000, 5001] {
        let scale = Scale {
            worklogs,
            unlike_every: 777,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let verified = runtime.block_on(verify(scale)).unwrap();
        assert_eq!(verified.complaint(scale), None, "{verified:?}");
    }
}

#[test]
fn twice_as_many_worklogs_take_no_more_memory() {
    let of = |worklogs| {
        checked(Scale {
            worklogs,
            unlike_every: 100,
        })
    };
    let (half, whole) = (of(50_000), of(100_000));
    in_little_memory(&whole);
    assert!(
        whole.peak_kib < half.peak_kib + GROWTH_KIB_MAX,
        "{} KiB for {}, {} KiB for {}",
        half.peak_kib,
        half.worklogs,
        whole.peak_kib,
        whole.worklogs
    );
}

#[test]
#[ignore = "takes minutes without optimisation; see the top of this file"]
fn a_million_worklogs_per_side_are_checked_in_less_than_64_mb() {
    in_little_memory(&checked(Scale {
        worklogs: 1_000_000,
        unlike_every: 1_000,
    }));
}

#[test]
#[ignore = "takes minutes without optimisation; see the top of this file"]
fn a_million_differences_are_told_in_less_than_64_mb() {
    in_little_memory(&checked(Scale {
        worklogs: 1_000_000,
        unlike_every: 1,
    }));
}
