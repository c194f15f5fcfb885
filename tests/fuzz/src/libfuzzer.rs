//! Gives a target to LLVM's coverage-guided fuzzer. Built and run by `tests/fuzz/long`.
//!
//! `TANDEM_FUZZ_TARGET` names the target; the arguments are the fuzzer's own.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};
use tandem_fuzz::mutate::Mutator;
use tandem_fuzz::{TARGETS, Target};

static TARGET: OnceLock<Target> = OnceLock::new();

fn target() -> Target {
    *TARGET.get_or_init(|| {
        let name = std::env::var("TANDEM_FUZZ_TARGET").unwrap_or_default();
        match TARGETS.iter().find(|target| target.name == name) {
            Some(target) => *target,
            None => panic!("TANDEM_FUZZ_TARGET names no target: {name:?}"),
        }
    })
}

fuzz_target!(|input: &[u8]| -> Corpus {
    (target().run)(input);
    Corpus::Keep
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    // Every other time the fuzzer's own way, which knows what it compared with what.
    if seed % 2 == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let mut input = data[..size].to_vec();
    Mutator::new(u64::from(seed)).change(&mut input);
    let len = input.len().min(max_size);
    data[..len].copy_from_slice(&input[..len]);
    len
});
