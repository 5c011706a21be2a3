//! Counters of the receiver, for metrics and tests.

use std::sync::atomic::{AtomicU64, Ordering};

/// One number that rises, or rises and falls.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`.
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Takes one away; never below zero by its use.
    pub(super) fn take_one(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// The number now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the receiver counted since its start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Sessions open now.
    pub open: Counter,
    /// Connections taken from the listeners, refused ones among them.
    pub connections: Counter,
    /// Connections refused because as many sessions were open as may be.
    pub refused_total: Counter,
    /// Connections refused because the client had as many open as it may have.
    pub refused_client: Counter,
    /// Connections refused because the client opened too many in a minute.
    pub refused_rate: Counter,
    /// Connections without the PROXY header that must be there, or from somebody who is no proxy of ours.
    pub proxy_faults: Counter,
    /// Times that taking a connection failed, as without a free file descriptor.
    pub accept_errors: Counter,
    /// Messages answered with 250.
    pub messages: Counter,
    /// Messages refused for a time at the end of their data.
    pub messages_deferred: Counter,
    /// Messages refused for good at the end of their data.
    pub messages_refused: Counter,
    /// Bytes of the messages answered with 250.
    pub message_bytes: Counter,
    /// Bodies written to a spool file.
    pub spooled: Counter,
    /// Sessions within TLS.
    pub tls: Counter,
    /// TLS handshakes that failed.
    pub tls_failed: Counter,
    /// Sessions closed by a deadline.
    pub timeouts: Counter,
    /// Sessions whose client spoke before our greeting.
    pub early_talkers: Counter,
    /// Sessions that ended in a fault of ours.
    pub faults: Counter,
}
