//! How far a report can be believed: a property of the mail that brought it.

/// The trust in one report. It belongs to the sender domain that authenticated, never to `org_name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trust {
    /// The mail was authenticated and failed.
    Failed,
    /// The mail's authentication is not known yet.
    Pending,
    /// The mail could not be authenticated: no signature, no policy.
    Unverified,
    /// Read from a file: no transport was seen.
    Imported,
    /// The mail passes DMARC (for TLS reports: a valid DKIM signature by the reporter).
    Verified,
}

impl Trust {
    /// All values, from the least to the most trusted.
    pub const ALL: [Self; 5] =
        [Self::Failed, Self::Pending, Self::Unverified, Self::Imported, Self::Verified];

    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Pending => "pending",
            Self::Unverified => "unverified",
            Self::Imported => "imported",
            Self::Verified => "verified",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trust| trust.as_str() == text)
    }
}
