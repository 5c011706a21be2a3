//! One record of an aggregate report with everything that its report says: a row of `db export`.

use crate::clock::Timestamp;
use crate::sources::Place;
use crate::summary::AuthResultRow;

/// One counted record with its report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRow {
    /// `version` of the report, as written.
    pub version: Option<String>,
    /// The reporter's name.
    pub org_name: Option<String>,
    /// Its e-mail address.
    pub org_email: Option<String>,
    /// Its other contact.
    pub org_extra_contact_info: Option<String>,
    /// The report's id as written.
    pub report_id: String,
    /// Begin of the period.
    pub begin: Timestamp,
    /// End of the period, as written.
    pub end: Timestamp,
    /// Error texts.
    pub errors: Vec<String>,
    /// The policy domain.
    pub domain: String,
    /// The policy as published: `adkim`, `aspf`, `p`, `sp`, `pct`, `fo`, `np`, `testing`, `discovery_method`.
    pub policy: [Option<String>; 9],
    /// What generated the report.
    pub generator: Option<String>,
    /// The source address, or the text in its place.
    pub source_ip: Option<String>,
    /// Its name in DNS, which leads back to it.
    pub source_name: Option<String>,
    /// Where it is and whose network announces it.
    pub place: Place,
    /// Whose it is.
    pub source_organisation: Option<String>,
    /// What it is.
    pub source_kind: Option<&'static str>,
    /// Messages.
    pub count: Option<u64>,
    /// SPF aligned and passing.
    pub spf_aligned: bool,
    /// DKIM aligned and passing.
    pub dkim_aligned: bool,
    /// What was done.
    pub disposition: Option<String>,
    /// Override reasons: type and comment.
    pub reasons: Vec<(String, Option<String>)>,
    /// The envelope's domain.
    pub envelope_from: Option<String>,
    /// The author domain.
    pub header_from: String,
    /// The recipients' domain.
    pub envelope_to: Option<String>,
    /// The raw results.
    pub auth_results: Vec<AuthResultRow>,
    /// How far the report can be believed.
    pub trust: String,
    /// The mail that brought it.
    pub message_id: String,
}
