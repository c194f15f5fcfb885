//! Tandem's engine: the run, and the ports that it needs.
pub mod ports;
