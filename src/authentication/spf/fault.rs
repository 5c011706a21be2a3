//! What is wrong with a record, where, and how it is mended.

use super::record::Span;

/// One fault of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// Where: the smallest part that shows it.
    pub span: Span,
    /// The number of the term in which it stands.
    pub term: usize,
    /// The term as it was probably meant; absent where nothing can be guessed, empty where it should go.
    pub mend: Option<String>,
}

/// The kinds of faults (RFC 7208 §12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// An octet other than printable ASCII.
    OddOctet,
    /// A mechanism that does not exist.
    UnknownMechanism,
    /// A qualifier without a mechanism.
    NoMechanism,
    /// A mechanism or modifier that needs a domain has none.
    NoDomain,
    /// `all` with something behind it, `include` or `exists` with a prefix.
    UnexpectedArgument,
    /// `a` or another mechanism of names has an address.
    AddressAsDomain,
    /// A domain that ends in no valid top label.
    BadTopLabel,
    /// A domain of one label.
    SingleLabel,
    /// `ip4` or `ip6` without a network.
    NoNetwork,
    /// `ip4` or `ip6` with something that is no address of the kind.
    BadNetwork,
    /// `ip4` with an IPv6 address, or `ip6` with an IPv4 address.
    OtherFamily,
    /// A prefix that is no number, has leading zeros, or is too long.
    BadPrefix,
    /// A `%` that begins no macro.
    BadMacro,
    /// A macro letter that does not exist.
    UnknownMacro,
    /// A macro of explanations (`c`, `r`, `t`) elsewhere (RFC 7208 §7.2).
    ExplanationMacro,
    /// `redirect` or `exp` twice (RFC 7208 §6).
    TwiceModifier,
}

impl FaultKind {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OddOctet => "odd-octet",
            Self::UnknownMechanism => "unknown-mechanism",
            Self::NoMechanism => "no-mechanism",
            Self::NoDomain => "no-domain",
            Self::UnexpectedArgument => "unexpected-argument",
            Self::AddressAsDomain => "address-as-domain",
            Self::BadTopLabel => "bad-top-label",
            Self::SingleLabel => "single-label",
            Self::NoNetwork => "no-network",
            Self::BadNetwork => "bad-network",
            Self::OtherFamily => "other-family",
            Self::BadPrefix => "bad-prefix",
            Self::BadMacro => "bad-macro",
            Self::UnknownMacro => "unknown-macro",
            Self::ExplanationMacro => "explanation-macro",
            Self::TwiceModifier => "twice-modifier",
        }
    }

    /// What is wrong, in words.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::OddOctet => "only printable ASCII is allowed, and terms are separated by spaces only",
            Self::UnknownMechanism => "no such mechanism",
            Self::NoMechanism => "a qualifier without a mechanism",
            Self::NoDomain => "a domain is missing",
            Self::UnexpectedArgument => "nothing may follow here",
            Self::AddressAsDomain => "an address in the place of a domain",
            Self::BadTopLabel => "the domain's last label is not valid",
            Self::SingleLabel => "the domain has one label only",
            Self::NoNetwork => "a network is missing",
            Self::BadNetwork => "not a network address",
            Self::OtherFamily => "an address of the other family",
            Self::BadPrefix => "not a valid prefix length",
            Self::BadMacro => "a `%` that begins no valid macro",
            Self::UnknownMacro => "no such macro",
            Self::ExplanationMacro => "a macro that is allowed in explanations only",
            Self::TwiceModifier => "the modifier stands twice",
        }
    }

    /// The section of RFC 7208 that says so.
    pub const fn section(self) -> &'static str {
        match self {
            Self::OddOctet | Self::UnknownMechanism | Self::NoMechanism => "4.6.1",
            Self::NoDomain
            | Self::UnexpectedArgument
            | Self::AddressAsDomain
            | Self::BadTopLabel
            | Self::SingleLabel
            | Self::BadMacro
            | Self::UnknownMacro => "7.1",
            Self::NoNetwork | Self::BadNetwork | Self::OtherFamily | Self::BadPrefix => "5.6",
            Self::ExplanationMacro => "7.2",
            Self::TwiceModifier => "6",
        }
    }
}
