//! Only tests live here; see `it/main.rs`.
