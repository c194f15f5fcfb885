//! Gives each target its kept corpus, and then a fixed number of inputs made of it.
//!
//! They come from a seed that never changes: what an input of chance finds says nothing about the change at hand, and must
//! not stand in its way. `TANDEM_FUZZ_SEED` adds those of another seed, as the weekly run does, and `TANDEM_FUZZ_TIMES`
//! multiplies their number. What fails is shortened, written to a file and told with its seed.

#![expect(clippy::unwrap_used, reason = "tests")]
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use tandem_fuzz::mutate::Mutator;
use tandem_fuzz::{TARGETS, Target};

/// The seed that never changes.
const SEED: u64 = 1;

/// How often a failing input is tried to be made shorter.
const SHORTENINGS_MAX: usize = 2_000;

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    // A folder's own order differs between machines.
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let input = std::fs::read(&path).unwrap();
            (path, input)
        })
        .collect()
}

fn fails(target: Target, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err()
}

/// Takes pieces out of a failing input as long as it goes on failing.
fn shortened(target: Target, input: Vec<u8>) -> Vec<u8> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut short = input;
    let mut left = SHORTENINGS_MAX;
    let mut piece = short.len() / 2;
    while piece > 0 && left > 0 {
        let mut at = 0;
        while at < short.len() && left > 0 {
            left -= 1;
            let mut without = short.clone();
            without.drain(at..(at + piece).min(short.len()));
            match fails(target, &without) {
                true => short = without,
                false => at += piece,
            }
        }
        piece /= 2;
    }
    std::panic::set_hook(hook);
    short
}

fn made(target: Target, corpus: &[Vec<u8>], seed: u64, inputs: usize) {
    let mut mutator = Mutator::new(seed);
    for nth in 0..inputs {
        let input = mutator.input(corpus);
        if !fails(target, &input) {
            continue;
        }
        let short = shortened(target, input);
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{seed}-{nth}", target.name));
        std::fs::write(&file, &short).unwrap();
        panic!(
            "target {} fails at input {nth} of seed {seed}; once it is mended, keep the input, shortened in {}, \
             in tests/fuzz/corpus/{}:\n{}",
            target.name,
            file.display(),
            target.name,
            String::from_utf8_lossy(&short)
        );
    }
}

fn check(name: &str) {
    let target = *TARGETS.iter().find(|target| target.name == name).unwrap();
    let kept = corpus(name);
    assert!(!kept.is_empty(), "{name} has no corpus");
    for (path, input) in &kept {
        assert!(!fails(target, input), "target {name} fails at {}", path.display());
    }
    let number = |variable: &str| {
        std::env::var(variable)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let inputs: Vec<Vec<u8>> = kept.into_iter().map(|(_, input)| input).collect();
    let times = usize::try_from(number("TANDEM_FUZZ_TIMES").unwrap_or(1)).unwrap();
    for seed in [SEED].into_iter().chain(number("TANDEM_FUZZ_SEED")) {
        made(target, &inputs, seed, target.inputs * times);
    }
}

#[test]
fn every_target_has_a_test_and_a_corpus() {
    let tested = ["webhook", "answer", "config", "secret", "due-key", "csv", "plan"];
    let named: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(named, tested);
}

#[test]
fn no_webhook_breaks_the_endpoint() {
    check("webhook");
}

#[test]
fn no_answer_breaks_the_adapter() {
    check("answer");
}

#[test]
fn no_text_breaks_the_configuration() {
    check("config");
}

#[test]
fn no_text_breaks_the_reading_of_a_secret() {
    check("secret");
}

#[test]
fn no_text_breaks_the_reading_of_a_key() {
    check("due-key");
}

#[test]
fn no_file_breaks_an_import() {
    check("csv");
}

#[test]
fn no_plan_that_breaks_a_promise_passes_the_checker() {
    check("plan");
}
