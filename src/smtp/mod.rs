//! x

pub mod submit;
