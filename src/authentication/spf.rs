//! SPF: may this host send mail in the name of this domain (RFC 7208)?
//!
//! [`check()`] evaluates one sender and says how it came about; [`tree`] shows everything that a record
//! authorizes, past every fault, for whoever publishes it. Both are pure functions of DNS answers.

mod check;
mod fault;
mod macros;
mod mend;
mod parse;
mod record;
mod result;
#[cfg(test)]
mod sample;
mod trace;
pub mod tree;

pub use check::{Input, check};
pub use fault::{Fault, FaultKind};
pub use mend::modifier as meant_modifier;
pub use record::{
    DomainSpec, Mechanism, Modifier, Prefixes, Qualifier, Record, Span, Term, TermKind, is_spf,
};
pub use result::SpfResult;
pub use trace::{Identity, Node, Reason, Step, StepDetail, StepOutcome, Verdict};
