//! What must hold of every reader of outside data, whatever comes: one function a reader.
//!
//! The programs in `fuzz_targets/` hand them to libFuzzer; `tests/it/fuzz.rs` of the main package runs them over
//! the fixtures and the corpus, so that `cargo test` checks the same rules. README.md says how to run them.

pub mod targets;
