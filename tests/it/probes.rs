//! Probes from composing to verdict: the sender against servers that behave in every way.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

/// A server that does what its script says.
mod scripted;

/// Handing over, phase by phase.
mod submit;
