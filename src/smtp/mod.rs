//! SMTP: [`sink`] receives, over [`session`], a state machine without I/O; [`submit`] sends.
//!
//! [`mx_dialogue`] asks an MX host what it offers, for the health checks, and sends nothing.
//!
//! `session` knows the protocol and nothing of sockets; `sink` knows sockets, time and limits and nothing
//! of what is done with a message: that is behind [`crate::mail::Inbox`].

mod command;
mod data;
pub mod mx_dialogue;
pub mod proxy;
pub mod session;
pub mod sink;
pub mod submit;
pub mod tls;
