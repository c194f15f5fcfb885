//! The store's contract, as sentences about the world, held against the embedded table.

mod brake;
mod due;
mod faults;
mod files;
mod history;
mod links;
mod pairs;
mod secrets;
mod sites;
mod world;
