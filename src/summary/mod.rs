//! The answers as plain rows: what `report` prints, what JSON and the pages show. Pure.
//!
//! Field names are the names in JSON (docs/json-output.md): a contract.

pub mod authentication;
pub mod bounce;
pub mod continuity;
pub mod dns;
pub mod drill;
pub mod export;
pub mod failure;
pub mod latency;
pub mod percent;
pub mod policy;
pub mod probe;
pub mod query;
pub mod rows;
pub mod simulate;
pub mod tls;
pub mod trace;
pub mod trust;
pub mod watched;

pub use authentication::{AuthenticationRow, AuthenticationTotals, MethodCounts};
pub use bounce::{BounceGroupRow, BounceRow, BounceTotals};
pub use continuity::{ContinuityRow, ContinuityTotals};
pub use dns::{DnsEventRow, DnsFindingRow, DnsRecordRow, differences};
pub use export::ExportRow;
pub use failure::{ComplaintRow, ComplaintTotals, FailureRow, FailureTotals};
pub use policy::{POLICY_TAGS, PolicyRow, PolicyTotals};
pub use probe::{LatencyRow, LatencyTotals, ProbeCounts, ProbeFact, ProbeGroupRow};
pub use query::{Period, Query};
pub use rows::*;
pub use simulate::{SimulatedRow, SimulatedTotals, StreamRow};
pub use tls::{TlsRow, TlsTotals};
pub use trace::{AddressPattern, Trace};
pub use trust::{Trust, TrustAsked, TrustShares};
pub use watched::{WatchedRow, WatchedTotals};
