//! The results of a check.

/// The result of a check (RFC 7208 §2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpfResult {
    /// No record, or no domain to look for one (RFC 7208 §2.6.1).
    None,
    /// The domain says nothing about the host (RFC 7208 §2.6.2).
    Neutral,
    /// The host is authorized (RFC 7208 §2.6.3).
    Pass,
    /// The host is not authorized (RFC 7208 §2.6.4).
    Fail,
    /// The host is probably not authorized (RFC 7208 §2.6.5).
    SoftFail,
    /// DNS did not answer: later it may (RFC 7208 §2.6.6).
    TempError,
    /// The records cannot be read or used (RFC 7208 §2.6.7).
    PermError,
}

impl SpfResult {
    /// The word in Received-SPF, Authentication-Results, views and JSON (RFC 7208 §9.1, RFC 8601 §2.7.2).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Neutral => "neutral",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}
