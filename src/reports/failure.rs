//! DMARC failure reports and other feedback about single messages: the values of one report.
//!
//! A mail server that saw a message fail, or a mailbox provider whose user complained, sends a mail of
//! three parts: words for people, fields for machines, and the message or its header. [`read`] makes a
//! [`FailureReport`] of it, tolerantly: all fields are optional, words outside the registries are
//! kept, notices in words alone are read as far as they go. Pure, linear in the size of the mail.
//!
//! What identifies a person (local parts, subjects, links, texts) is [`Private`]: it has no `Display`
//! and its `Debug` hides it. [`FailureReport::shown`] gives what may be shown, with local parts hashed
//! and subjects hidden; [`FailureReport::revealed`] gives the full text, for those who may see it.
//!
//! The quoted message is evidence, possibly forged: a report attached to it is no report.
//!
//! Standards: RFC 5965 (the format), RFC 6591 (authentication failures), RFC 9991 (DMARC), RFC 6650
//! (how it is used), RFC 6692 (source ports).

mod adapter;
mod feedback;
mod fields;
mod notice;
mod original;
pub mod private;
mod reader;
pub mod shown;

#[cfg(test)]
mod tests;

use crate::mail::{AuthResults, DomainName};
use crate::reports::Deviations;
use crate::reports::aggregate::Source;
use crate::reports::open_words::open_words;

pub use adapter::read_message;
pub use private::{Private, Redactor};
pub use reader::{FailureMail, FailurePart, is_feedback, read};
pub use shown::ShownFailure;

/// One feedback report about one message, or about several like it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FailureReport {
    /// In which form it came.
    pub form: Form,
    /// `Feedback-Type`.
    pub feedback_type: FeedbackType,
    /// `User-Agent`: the program that made it.
    pub user_agent: Option<String>,
    /// `Version`, as written.
    pub version: Option<String>,
    /// The domain of the author of the report mail.
    pub reporter: Option<DomainName>,
    /// `Reporting-MTA` without `dns;`.
    pub reporting_mta: Option<String>,
    /// `Arrival-Date` (also `Received-Date`): UTC seconds; else a fallback, see the deviations.
    pub arrived_at: Option<i64>,
    /// `Incidents`: messages for which it stands, at least 1.
    pub incidents: u64,
    /// `Source-IP`: who sent the message.
    pub source: Source,
    /// What stands behind the address in `Source-IP`: the name of the host.
    pub source_host: Option<String>,
    /// `Source-Port`.
    pub source_port: Option<u16>,
    /// `Reported-Domain`, in order, at most [`crate::limits::FAILURE_VALUES`]; else the author domain.
    pub reported_domains: Vec<DomainName>,
    /// `Auth-Failure`.
    pub auth_failure: AuthFailure,
    /// `Delivery-Result`.
    pub delivery_result: DeliveryResult,
    /// `Delivery-Result` as written, where it is not one of the words.
    pub delivery_written: Option<String>,
    /// `Identity-Alignment`: the words in order, in lower case.
    ///
    /// RFC 9991 lists the mechanisms that failed, RFC 7489 those that passed, and a report does not say
    /// which it follows: the words are shown and no conclusion is drawn.
    pub identity_alignment: Vec<String>,
    /// Whether SPF was aligned, where the report says so in words.
    pub spf_aligned: Option<bool>,
    /// Whether DKIM was aligned, where the report says so in words.
    pub dkim_aligned: Option<bool>,
    /// `DKIM-Domain`, lower case.
    pub dkim_domain: Option<String>,
    /// `DKIM-Selector`.
    pub dkim_selector: Option<String>,
    /// `DKIM-Selector-DNS`: the key record that was found.
    pub dkim_selector_dns: Option<String>,
    /// `DKIM-ADSP-DNS`.
    pub dkim_adsp_dns: Option<String>,
    /// `SPF-DNS`: the records that were found, at most [`crate::limits::FAILURE_VALUES`].
    pub spf_dns: Vec<String>,
    /// The quoted message.
    pub original: Option<Original>,
    /// What identifies persons.
    pub personal: Private<Personal>,
    /// How the report differs from its standard.
    pub deviations: Deviations,
}

impl FailureReport {
    /// True for a report about authentication, false for complaints and the like.
    pub fn is_authentication_failure(&self) -> bool {
        match self.feedback_type {
            FeedbackType::AuthFailure => true,
            FeedbackType::Missing => self.auth_failure != AuthFailure::Missing,
            _ => false,
        }
    }

    /// The author domain of the message, else the first reported domain.
    pub fn header_from(&self) -> Option<&DomainName> {
        let of_original = self.original.as_ref().and_then(|original| original.header_from.as_ref());
        of_original.or_else(|| self.reported_domains.first())
    }
}

/// In which form a report came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Form {
    /// With a machine-readable part (RFC 5965 §3).
    #[default]
    Feedback,
    /// In words alone, read as far as they go.
    Notice,
    /// A message handed on by a complaint service without a machine-readable part.
    Complaint,
}

impl Form {
    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Feedback => "feedback",
            Self::Notice => "notice",
            Self::Complaint => "complaint",
        }
    }
}

/// What identifies persons in a report.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Personal {
    /// `Original-Mail-From` without `<>`; `Some("")`: the null reverse-path.
    pub mail_from: Option<String>,
    /// `Original-Rcpt-To` without `<>`, in order, at most [`crate::limits::FAILURE_VALUES`].
    pub rcpt_to: Vec<String>,
    /// `Original-Envelope-Id`.
    pub envelope_id: Option<String>,
    /// `Reported-URI`, in order, at most [`crate::limits::FAILURE_VALUES`].
    pub reported_uris: Vec<String>,
    /// `Removal-Recipient`, in order, at most [`crate::limits::FAILURE_VALUES`].
    pub removal_recipients: Vec<String>,
    /// `Authentication-Results`, as written, in order, at most [`crate::limits::FAILURE_VALUES`].
    pub authentication_results: Vec<String>,
    /// The same, taken apart.
    pub results: Vec<AuthResults>,
    /// `DKIM-Identity`.
    pub dkim_identity: Option<String>,
    /// `DKIM-Canonicalized-Header`, base64 as written without blanks.
    pub dkim_canonicalized_header: Option<String>,
    /// `DKIM-Canonicalized-Body`, base64 as written without blanks.
    pub dkim_canonicalized_body: Option<String>,
    /// Fields that no standard names, in order, at most [`crate::limits::FAILURE_VALUES`].
    pub extensions: Vec<(String, String)>,
}

/// The message that a report is about, as far as it is quoted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Original {
    /// True if only the header is quoted.
    pub is_headers_only: bool,
    /// Bytes of the quoted part.
    pub bytes: u64,
    /// SHA-256 of the quoted part.
    pub sha256: [u8; 32],
    /// The domain of the author (`From`).
    pub header_from: Option<DomainName>,
    /// `Date`: UTC seconds.
    pub date: Option<i64>,
    /// `d=` and `s=` of each DKIM-Signature, in order, at most [`crate::limits::FAILURE_VALUES`].
    pub dkim_signatures: Vec<(String, String)>,
    /// `List-Id` without its words.
    pub list_id: Option<String>,
    /// `Feedback-ID`: how senders name their campaigns for feedback loops.
    pub feedback_id: Option<String>,
    /// What identifies persons.
    pub personal: Private<OriginalPersonal>,
}

/// What identifies persons in the quoted message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OriginalPersonal {
    /// The address of the author.
    pub from_address: Option<String>,
    /// `From`, decoded.
    pub from: Option<String>,
    /// `To`, decoded.
    pub to: Option<String>,
    /// `Subject`, decoded.
    pub subject: Option<String>,
    /// `Message-ID` without `<>`.
    pub message_id: Option<String>,
    /// `Return-Path` without `<>`; `Some("")`: the null reverse-path.
    pub return_path: Option<String>,
    /// `Reply-To`, decoded.
    pub reply_to: Option<String>,
    /// Authentication-Results in the quoted header, taken apart; the sender may have written them.
    pub results: Vec<AuthResults>,
}

open_words! {
    /// What kind of feedback it is: the registry "Feedback Report Type Values" of IANA.
    FeedbackType {
        /// Unwanted mail (RFC 5965 §7.3).
        Abuse = "abuse",
        /// Fraud or phishing.
        Fraud = "fraud",
        /// A virus in the message.
        Virus = "virus",
        /// Something else.
        Other = "other",
        /// A message taken for spam that is none (RFC 6430).
        NotSpam = "not-spam",
        /// A wish to be taken off a list.
        OptOut = "opt-out",
        /// A failure of authentication (RFC 6591).
        AuthFailure = "auth-failure",
    }
}

open_words! {
    /// What failed: RFC 6591 §3.3 and RFC 9991.
    AuthFailure {
        /// Signing practices (obsolete).
        Adsp = "adsp",
        /// The body was changed after signing.
        BodyHash = "bodyhash",
        /// The key is revoked.
        Revoked = "revoked",
        /// The signature is wrong.
        Signature = "signature",
        /// SPF did not pass.
        Spf = "spf",
        /// Some or all mechanisms of DMARC failed to produce aligned identifiers.
        Dmarc = "dmarc",
    }
}

open_words! {
    /// What became of the message: RFC 6591 §3.2.2.
    DeliveryResult {
        /// It was delivered.
        Delivered = "delivered",
        /// It went to the spam folder or to quarantine.
        Spam = "spam",
        /// It was delivered or not by a local policy.
        Policy = "policy",
        /// It was refused.
        Reject = "reject",
        /// Something else.
        Other = "other",
    }
}
