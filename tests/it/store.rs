//! The store as the daemon uses it: durable deliveries, exact sums, one writer and many readers.

#![expect(clippy::unwrap_used, reason = "in a test an error is a failure")]

mod counting;
mod dns;
mod erasing;
mod failing;
mod long_tls;
pub(crate) mod make;
mod querying;
mod receiving;
mod schema;
mod tracing;
mod trust;
mod trust_upkeep;
mod trust_views;
mod upkeep;

pub(crate) use make::options;
