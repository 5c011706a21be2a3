//! The commented example that `config example` prints; a test checks that it is valid.

/// The example, as shipped in contrib/.
pub const EXAMPLE: &str = include_str!("../../contrib/mailsonde.toml");
