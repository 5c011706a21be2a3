//! Suites of the standards that none of us wrote: one file a suite. `cargo test --test it suites` prints a line
//! each with its counts; a suite whose data is absent says so.

use std::io::Write as _;

/// ARC: the validation suite of ValiMail.
mod arc;

/// DKIM: corpora of messages and key records.
mod dkim;

/// DMARC: cases after RFC 9989.
mod dmarc;

/// SPF: the suites of RFC 7208 and RFC 4408.
mod spf;

/// Prints the counts of one suite past the capture of the test harness, and fails if too few are right.
#[track_caller]
fn settle(suite: &str, right: usize, all: usize, expected: usize, misses: &[String]) {
    // With standard error closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "suite {suite}: {right} of {all}");
    assert_eq!(all, right + misses.len(), "{suite}: every case is right or a miss");
    assert!(right >= expected, "{suite}: {right} of {all}, expected {expected}:\n{}", misses.join("\n"));
}
