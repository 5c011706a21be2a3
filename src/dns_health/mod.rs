//! Health of a domain's mail DNS: what is published, what is wrong with it, how it changed. Pure but for gathering.

pub mod history;
