//! The domain name system as the rest of the program sees it: names, questions, answers, and who answers.
//!
//! Three answers, not two: records, their absence (no such name, no such type), and *not known* with its
//! cause. A server that does not answer never makes a record absent.
//!
//! Whoever judges (SPF, DMARC, health checks) is a pure function of [`Answers`]: it returns its result, or
//! [`Ask`] with the questions whose answers it lacks. [`settle`] asks these of a [`Resolve`] and calls the
//! function again until it is done, within a [`Budget`]. So judging has no socket and no clock, and its
//! order of questions can be tested.

mod answer;
mod cached;
mod confirmed;
mod hickory;
mod known;
mod name;
mod record;
mod resolve;
mod zone;

pub use answer::{Answer, Cause, NotKnown, Outcome, Question, Security};
pub use cached::{CacheSize, Cached};
pub use confirmed::Confirmed;
pub use hickory::{
    AskServer, AskingServer, DirectAnswer, DirectServers, Dnssec, HickoryResolver, Options, ResolverError,
    Servers, TlsOptions,
};
pub use known::{Answers, Ask};
pub use name::{Name, NameError};
pub use record::{Caa, Mx, RecordData, RecordType, Soa, Srv, Tlsa};
pub use resolve::{Budget, Resolve, Resolving, settle};
pub use zone::{Found, ZoneFault, ZoneResolver, Zones};
