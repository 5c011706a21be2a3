//! What a received message is, and why.

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// Carries DMARC aggregate reports (or what was meant as one).
    Aggregate,
    /// A DMARC failure report or another feedback report (RFC 5965).
    Failure,
    /// Carries SMTP TLS reports.
    Tls,
    /// A delivery status notification or a bounce in free text.
    Bounce,
    /// One of our probes.
    Probe,
    /// A reply, a vacation note, a receipt.
    Reply,
    /// Anything else.
    Other,
}

impl MessageKind {
    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aggregate => "aggregate",
            Self::Failure => "failure",
            Self::Tls => "tls",
            Self::Bounce => "bounce",
            Self::Probe => "probe",
            Self::Reply => "reply",
            Self::Other => "other",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Aggregate, Self::Failure, Self::Tls, Self::Bounce, Self::Probe, Self::Reply, Self::Other]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}
