//! The test messages that we send: their token, their bytes, their verdict. Pure.
//!
//! A probe is a list of events, and its state is a pure function of (events, options, now): it can
//! be replayed, tested with a fixed clock, and changed by late evidence.

pub mod bounce;
pub mod compose;
pub mod detect;
pub mod lifecycle;
pub mod look;
pub mod manners;
pub mod matching;
pub mod plan;
pub mod rate;
pub mod reflect;
pub mod schedule;
pub mod token;
pub mod watched;

pub use token::{KeyRing, Kind, Place, Reading, Token, TokenTexts};
