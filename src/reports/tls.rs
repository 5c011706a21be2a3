//! SMTP TLS reports (RFC 8460): the values of one report, and what the store needs to know of it.
//!
//! A report says for each policy of a domain how many SMTP sessions succeeded and failed, and groups
//! the failed ones by cause. [`read`] makes a [`TlsReport`] of JSON, tolerantly: all fields are
//! optional, words outside the standard are kept, every repair is noted. A document that ends early is
//! unread as a whole, never half counted. Pure, linear in the size of the document.

pub mod context;
pub mod digest;
mod json;
mod reader;

#[cfg(test)]
mod tests;

use crate::mail::DomainName;
use crate::reports::aggregate::Source;
use crate::reports::open_words::open_words;

pub use context::TlsContext;
pub use digest::{FailureSum, SessionSum, TlsDigest, TlsDomain, TlsReportKey};
pub use reader::{read, read_stream};

/// One TLS report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsReport {
    /// `organization-name`, trimmed.
    pub organization_name: Option<String>,
    /// `contact-info`, trimmed.
    pub contact_info: Option<String>,
    /// `report-id`, as written; empty if there was none.
    pub report_id: String,
    /// `date-range/start-datetime`: UTC seconds, first second of the period.
    pub begin: i64,
    /// `date-range/end-datetime`: UTC seconds, as reported (usually the last second of the period).
    pub end: i64,
    /// `policies`, in order, at most [`crate::limits::TLS_POLICIES`].
    pub policies: Vec<Policy>,
}

/// One policy and what came of the sessions under it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// The domain under which the sessions are counted: that of the mail domain that asked for the
    /// report, also where the policy is that of an MX host (DANE). Absent where nothing names one.
    pub domain: Option<DomainName>,
    /// `policy-type`.
    pub policy_type: PolicyType,
    /// `policy-domain`; absent where it is none.
    pub policy_domain: Option<DomainName>,
    /// `policy-string`, at most [`crate::limits::TLS_POLICY_STRINGS`].
    pub policy_strings: Vec<String>,
    /// `mx-host` and `mx-host-pattern`, in lower case, at most [`crate::limits::TLS_MX_HOSTS`].
    pub mx_hosts: Vec<String>,
    /// `total-successful-session-count`; absent where it could not be read.
    pub successful: Option<u64>,
    /// `total-failure-session-count`; absent where it could not be read.
    pub failed: Option<u64>,
    /// `failure-details`, in order.
    pub failure_details: Vec<FailureDetail>,
}

impl Policy {
    /// The same without its failure details, which may be many.
    pub fn without_details(&self) -> Self {
        let Self { domain, policy_type, policy_domain, policy_strings, mx_hosts, successful, failed, .. } =
            self;
        Self {
            domain: domain.clone(),
            policy_type: policy_type.clone(),
            policy_domain: policy_domain.clone(),
            policy_strings: policy_strings.clone(),
            mx_hosts: mx_hosts.clone(),
            successful: *successful,
            failed: *failed,
            failure_details: Vec::new(),
        }
    }

    /// Sessions of all failure details, saturating.
    pub fn detailed(&self) -> u64 {
        self.failure_details
            .iter()
            .fold(0, |sum: u64, detail| sum.saturating_add(detail.failed_sessions.unwrap_or(0)))
    }

    /// Failed sessions: the summary's number, which already contains the details (RFC 8460 §4.4); the
    /// sum of the details only where the summary has none.
    pub fn failed_sessions(&self) -> u64 {
        self.failed.unwrap_or_else(|| self.detailed())
    }

    /// Successful sessions; an unreadable number is none (and a deviation).
    pub fn successful_sessions(&self) -> u64 {
        self.successful.unwrap_or(0)
    }
}

/// Sessions that failed for one cause between two hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailureDetail {
    /// `result-type`.
    pub result_type: ResultType,
    /// `sending-mta-ip`.
    pub sending_mta_ip: Source,
    /// `receiving-mx-hostname`, in lower case without the final dot.
    pub receiving_mx_hostname: Option<String>,
    /// `receiving-mx-helo`, as written.
    pub receiving_mx_helo: Option<String>,
    /// `receiving-ip`; a host name is kept as text.
    pub receiving_ip: Source,
    /// `failed-session-count`; absent where it could not be read.
    pub failed_sessions: Option<u64>,
    /// `additional-information`, as written.
    pub additional_information: Option<String>,
    /// `failure-reason-code`, as written.
    pub failure_reason_code: Option<String>,
}

open_words! {
    /// The kind of policy that the sender found (RFC 8460 §4.4).
    PolicyType {
        /// DANE (RFC 7672).
        Tlsa = "tlsa",
        /// MTA-STS (RFC 8461).
        Sts = "sts",
        /// Neither was found.
        NoPolicyFound = "no-policy-found",
    }
}

open_words! {
    /// Why sessions failed: RFC 8460 §4.3 and the registry "STARTTLS Validation Result Types" of IANA.
    ResultType {
        /// The host does not offer STARTTLS.
        StarttlsNotSupported = "starttls-not-supported",
        /// The certificate is for other names.
        CertificateHostMismatch = "certificate-host-mismatch",
        /// The certificate has expired.
        CertificateExpired = "certificate-expired",
        /// The certificate's issuer is not trusted.
        CertificateNotTrusted = "certificate-not-trusted",
        /// Another failure of validation.
        ValidationFailure = "validation-failure",
        /// No TLSA record is valid.
        TlsaInvalid = "tlsa-invalid",
        /// The answer from DNS could not be validated.
        DnssecInvalid = "dnssec-invalid",
        /// The sender requires DANE and found no usable records.
        DaneRequired = "dane-required",
        /// The MTA-STS policy could not be fetched.
        StsPolicyFetchError = "sts-policy-fetch-error",
        /// The MTA-STS policy is malformed.
        StsPolicyInvalid = "sts-policy-invalid",
        /// The policy host's certificate is not valid.
        StsWebpkiInvalid = "sts-webpki-invalid",
    }
}
