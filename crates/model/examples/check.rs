//! Goes through every configuration, the large ones included, and prints how many states each has.
//!
//! An argument selects those whose name contains it; `open` those in which a promise is known to be broken. Exits with 1
//! when one can be, and says how.
#![allow(clippy::print_stdout, reason = "a program for people")]

use std::process::ExitCode;
use std::time::Instant;

use tandem_model::check::{check, large, open, small};

fn main() -> ExitCode {
    let only = std::env::args().nth(1).unwrap_or_default();
    let mut code = ExitCode::SUCCESS;
    let known = if only.starts_with("open") { open() } else { vec![] };
    for (name, config) in small().into_iter().chain(large()).chain(known) {
        if !name.contains(&only) {
            continue;
        }
        let began = Instant::now();
        let checked = check(config);
        println!(
            "{name}: {} states, {} steps, {} deep, {:.1} s",
            checked.states,
            checked.transitions,
            checked.depth,
            began.elapsed().as_secs_f64()
        );
        for (promise, way) in &checked.broken {
            println!("  {promise} can be broken: {way:#?}");
            code = ExitCode::FAILURE;
        }
        for unmet in &checked.unmet {
            println!("  never met: {unmet}");
            code = ExitCode::FAILURE;
        }
    }
    code
}
