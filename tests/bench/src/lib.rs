//! Instruction counts and resident memory of Tandem, held against kept figures.
//!
//! Nothing here is timed: a machine's mood does not change how many instructions run, how many requests are sent or
//! how much memory is touched. Not in here: the simulated sites. They hold what they show, and what is measured
//! here must not grow with what a double holds; so [`site`] and [`table`] make up each page when it is asked for.
//!
//! `run` in this folder is the command. Start with [`figures`] for what is compared, [`audit`] for what is measured.

pub mod audit;
pub mod clock;
pub mod figures;
pub mod scale;
pub mod site;
pub mod subjects;
pub mod table;
pub mod verify;
