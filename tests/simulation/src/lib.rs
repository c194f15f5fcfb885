//! Tandem's whole engine in a world where everything goes wrong, one life after another, each from one seed.
//!
//! The real engine, planner, clients, webhook endpoint and Lambda passes run against simulated sites, in one thread
//! and in virtual time. The table is its semantics in memory ([`table`], held to the real one by a test). Every call
//! to table or site takes a time that the seed draws, so the seed decides who comes next; it also decides what
//! fails, who dies between which two awaits, and what people do meanwhile. The same seed gives the same run.
//!
//! An [`observer`] that knows only what people did and what the sites hold says what must not be. Start with
//! [`run::run`].

pub mod alike;
pub mod chance;
pub mod faults;
pub mod lines;
pub mod network;
pub mod observer;
pub mod people;
pub mod process;
pub mod reckon;
pub mod run;
pub mod store;
pub mod table;
pub mod weather;
pub mod world;
