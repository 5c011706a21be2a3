//! Probes from composing to verdict: the sender against servers that behave in every way.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

/// A server that does what its script says.
mod scripted;

/// Probes in the store.
mod stored;

/// Handing over, phase by phase.
mod submit;
