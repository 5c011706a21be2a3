//! What should become of a probe.

/// What should become of a probe. Its profile says it: [`crate::probe::compose::Profile::expectation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Expectation {
    /// It arrives.
    #[default]
    Arrives,
    /// It is refused, comes back, is held, or does not arrive without a word.
    Stopped,
    /// It is refused or comes back: silence is a fault too.
    Bounces,
    /// It arrives, and its receiver saw that SPF does not pass.
    ArrivesFailingSpf,
    /// It arrives, and its receiver saw that DKIM does not pass.
    ArrivesFailingDkim,
    /// It does not get into the inbox unmarked.
    NotUnmarkedInInbox,
}

impl Expectation {
    /// All expectations.
    pub const ALL: [Self; 6] = [
        Self::Arrives,
        Self::Stopped,
        Self::Bounces,
        Self::ArrivesFailingSpf,
        Self::ArrivesFailingDkim,
        Self::NotUnmarkedInInbox,
    ];

    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Arrives => "arrives",
            Self::Stopped => "stopped",
            Self::Bounces => "bounces",
            Self::ArrivesFailingSpf => "arrives-failing-spf",
            Self::ArrivesFailingDkim => "arrives-failing-dkim",
            Self::NotUnmarkedInInbox => "not-unmarked-in-inbox",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|expectation| expectation.as_str() == text)
    }

    /// True if such a probe should arrive.
    pub const fn is_to_arrive(self) -> bool {
        matches!(self, Self::Arrives | Self::ArrivesFailingSpf | Self::ArrivesFailingDkim)
    }
}
