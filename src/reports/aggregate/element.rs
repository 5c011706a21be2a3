//! The elements of an aggregate report, known by their place.

/// An element of which something is read. Elements are known by their parent and local name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Feedback,
    Version,
    Metadata,
    OrgName,
    Email,
    ExtraContactInfo,
    ReportId,
    DateRange,
    Begin,
    End,
    Error,
    Generator,
    Policy,
    PolicyDomain,
    P,
    Sp,
    Np,
    Adkim,
    Aspf,
    Pct,
    Fo,
    Testing,
    DiscoveryMethod,
    Record,
    Row,
    SourceIp,
    Count,
    Evaluated,
    Disposition,
    EvaluatedDkim,
    EvaluatedSpf,
    Reason,
    ReasonType,
    ReasonComment,
    Identifiers,
    HeaderFrom,
    EnvelopeFrom,
    EnvelopeTo,
    AuthResults,
    Dkim,
    DkimDomain,
    DkimSelector,
    DkimResult,
    DkimHumanResult,
    Spf,
    SpfDomain,
    SpfScope,
    SpfResult,
    SpfHumanResult,
    /// An extension that the standard allows: left out without a word, with all in it.
    Extension,
    /// Anything else.
    Unknown,
}

impl Element {
    /// The element called `name` (a local name in lower case) within `self`.
    #[inline]
    pub(super) fn child(self, name: &str) -> Self {
        match self {
            Self::Feedback => match name {
                "record" => Self::Record,
                "report_metadata" => Self::Metadata,
                "policy_published" => Self::Policy,
                "version" => Self::Version,
                "extension" | "extensions" => Self::Extension,
                _ => Self::Unknown,
            },
            Self::Metadata => match name {
                "org_name" => Self::OrgName,
                "email" => Self::Email,
                "extra_contact_info" => Self::ExtraContactInfo,
                "report_id" => Self::ReportId,
                "date_range" => Self::DateRange,
                "error" => Self::Error,
                "generator" => Self::Generator,
                _ => Self::Unknown,
            },
            Self::DateRange => match name {
                "begin" => Self::Begin,
                "end" => Self::End,
                _ => Self::Unknown,
            },
            Self::Policy => match name {
                "domain" => Self::PolicyDomain,
                "p" => Self::P,
                "sp" => Self::Sp,
                "np" => Self::Np,
                "adkim" => Self::Adkim,
                "aspf" => Self::Aspf,
                "pct" => Self::Pct,
                "fo" => Self::Fo,
                "testing" => Self::Testing,
                "discovery_method" => Self::DiscoveryMethod,
                _ => Self::Unknown,
            },
            Self::Record => match name {
                "row" => Self::Row,
                // Seen from junc.org and others: the name of an old draft.
                "identifiers" | "identities" => Self::Identifiers,
                "auth_results" => Self::AuthResults,
                "extension" | "extensions" => Self::Extension,
                _ => Self::Unknown,
            },
            Self::Row => match name {
                "source_ip" => Self::SourceIp,
                "count" => Self::Count,
                "policy_evaluated" => Self::Evaluated,
                _ => Self::Unknown,
            },
            Self::Evaluated => match name {
                "disposition" => Self::Disposition,
                "dkim" => Self::EvaluatedDkim,
                "spf" => Self::EvaluatedSpf,
                "reason" => Self::Reason,
                _ => Self::Unknown,
            },
            Self::Reason => match name {
                "type" => Self::ReasonType,
                "comment" => Self::ReasonComment,
                _ => Self::Unknown,
            },
            Self::Identifiers => match name {
                "header_from" => Self::HeaderFrom,
                "envelope_from" => Self::EnvelopeFrom,
                "envelope_to" => Self::EnvelopeTo,
                _ => Self::Unknown,
            },
            Self::AuthResults => match name {
                "dkim" => Self::Dkim,
                "spf" => Self::Spf,
                _ => Self::Unknown,
            },
            Self::Dkim => match name {
                "domain" => Self::DkimDomain,
                "selector" => Self::DkimSelector,
                "result" => Self::DkimResult,
                "human_result" => Self::DkimHumanResult,
                _ => Self::Unknown,
            },
            Self::Spf => match name {
                "domain" => Self::SpfDomain,
                "scope" => Self::SpfScope,
                "result" => Self::SpfResult,
                "human_result" => Self::SpfHumanResult,
                _ => Self::Unknown,
            },
            Self::Extension => Self::Extension,
            _ => Self::Unknown,
        }
    }

    /// True for an element whose text is a value.
    #[inline]
    pub(super) const fn is_leaf(self) -> bool {
        !matches!(
            self,
            Self::Feedback
                | Self::Metadata
                | Self::DateRange
                | Self::Policy
                | Self::Record
                | Self::Row
                | Self::Evaluated
                | Self::Reason
                | Self::Identifiers
                | Self::AuthResults
                | Self::Dkim
                | Self::Spf
                | Self::Extension
                | Self::Unknown
        )
    }

    /// Its local name in the standard; empty for those that have none.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Feedback => "feedback",
            Self::Version => "version",
            Self::Metadata => "report_metadata",
            Self::OrgName => "org_name",
            Self::Email => "email",
            Self::ExtraContactInfo => "extra_contact_info",
            Self::ReportId => "report_id",
            Self::DateRange => "date_range",
            Self::Begin => "begin",
            Self::End => "end",
            Self::Error => "error",
            Self::Generator => "generator",
            Self::Policy => "policy_published",
            Self::PolicyDomain | Self::DkimDomain | Self::SpfDomain => "domain",
            Self::P => "p",
            Self::Sp => "sp",
            Self::Np => "np",
            Self::Adkim => "adkim",
            Self::Aspf => "aspf",
            Self::Pct => "pct",
            Self::Fo => "fo",
            Self::Testing => "testing",
            Self::DiscoveryMethod => "discovery_method",
            Self::Record => "record",
            Self::Row => "row",
            Self::SourceIp => "source_ip",
            Self::Count => "count",
            Self::Evaluated => "policy_evaluated",
            Self::Disposition => "disposition",
            Self::EvaluatedDkim | Self::Dkim => "dkim",
            Self::EvaluatedSpf | Self::Spf => "spf",
            Self::Reason => "reason",
            Self::ReasonType => "type",
            Self::ReasonComment => "comment",
            Self::Identifiers => "identifiers",
            Self::HeaderFrom => "header_from",
            Self::EnvelopeFrom => "envelope_from",
            Self::EnvelopeTo => "envelope_to",
            Self::AuthResults => "auth_results",
            Self::DkimSelector => "selector",
            Self::DkimResult | Self::SpfResult => "result",
            Self::DkimHumanResult | Self::SpfHumanResult => "human_result",
            Self::SpfScope => "scope",
            Self::Extension | Self::Unknown => "",
        }
    }
}
