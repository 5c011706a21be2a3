//! Answers as text: tables for eyes, JSON and CSV for programs, Markdown and HTML for documents. Pure.
//!
//! Each view describes its columns once ([`Column`]: name, kind, getter); every format prints from
//! that description through a [`Sheet`]. Text from outside is made harmless in [`escape`] only.

pub mod columns;
pub mod csv;
pub mod dns;
pub mod escape;
pub mod export;
pub mod health;
pub mod html;
pub mod json;
pub mod markdown;
pub mod plugin;
pub mod policies;
pub mod setup;
pub mod sheet;
pub mod simulate;
pub mod spf;
pub mod table;
pub mod value;
pub mod views;

pub use columns::{Column, Kind, Show, Spec};
pub use sheet::{Head, Sheet};
pub use value::Value;
