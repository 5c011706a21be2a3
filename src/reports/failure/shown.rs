//! A feedback report as it may be shown: every value as text, persons hidden or, for those who may see
//! them, not.

use crate::mail::DomainName;
use crate::reports::aggregate::Source;
use crate::reports::failure::{FailureReport, Redactor};

/// A feedback report for eyes and programs. Absent is absent, lists are lists.
///
/// Made by [`FailureReport::shown`] or [`FailureReport::revealed`]; which of the two says
/// `is_revealed`. Output never takes texts from anywhere else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShownFailure {
    /// True if persons are not hidden.
    pub is_revealed: bool,
    /// The form of the report.
    pub form: String,
    /// `Feedback-Type`.
    pub feedback_type: String,
    /// Who made the report: the domain of its author.
    pub reporter: Option<String>,
    /// `Reporting-MTA`.
    pub reporting_mta: Option<String>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// `Version`.
    pub version: Option<String>,
    /// When the message arrived: UTC seconds.
    pub arrived_at: Option<i64>,
    /// Messages for which it stands.
    pub incidents: u64,
    /// The source: an address, or the text in its place.
    pub source_ip: Option<String>,
    /// The name of the source.
    pub source_host: Option<String>,
    /// The port of the source.
    pub source_port: Option<u16>,
    /// The reported domains.
    pub reported_domains: Vec<String>,
    /// The author domain.
    pub header_from: Option<String>,
    /// `Auth-Failure`.
    pub auth_failure: String,
    /// `Delivery-Result`.
    pub delivery_result: String,
    /// `Delivery-Result` as written, where it differs.
    pub delivery_written: Option<String>,
    /// `Identity-Alignment`.
    pub identity_alignment: Vec<String>,
    /// Whether SPF was aligned, where said.
    pub spf_aligned: Option<bool>,
    /// Whether DKIM was aligned, where said.
    pub dkim_aligned: Option<bool>,
    /// `DKIM-Domain`.
    pub dkim_domain: Option<String>,
    /// `DKIM-Selector`.
    pub dkim_selector: Option<String>,
    /// `DKIM-Identity`; local part hashed.
    pub dkim_identity: Option<String>,
    /// `SPF-DNS`.
    pub spf_dns: Vec<String>,
    /// `Original-Mail-From`; local part hashed, `<>` for the null reverse-path.
    pub mail_from: Option<String>,
    /// `Original-Rcpt-To`; local parts hashed.
    pub rcpt_to: Vec<String>,
    /// `Authentication-Results`; local parts hashed.
    pub authentication_results: Vec<String>,
    /// `Reported-URI`; without paths.
    pub reported_uris: Vec<String>,
    /// Names of fields that no standard has; with their values if revealed.
    pub extensions: Vec<String>,
    /// True if only the header is quoted; absent where nothing is.
    pub is_headers_only: Option<bool>,
    /// The author; local part hashed, without the name.
    pub original_from: Option<String>,
    /// The recipients of the header; hidden unless revealed.
    pub original_to: Option<String>,
    /// The subject; its hash unless revealed.
    pub original_subject: Option<String>,
    /// The Message-ID; its left side hashed unless revealed.
    pub original_message_id: Option<String>,
    /// The date of the message: UTC seconds.
    pub original_date: Option<i64>,
    /// Domains and selectors of the signatures, as `selector._domainkey.domain`.
    pub original_signatures: Vec<String>,
    /// `Feedback-ID`, else `List-Id`: the campaign.
    pub campaign: Option<String>,
    /// Names of the deviations.
    pub deviations: Vec<String>,
}

/// How persons are shown.
enum View<'a> {
    /// Hidden.
    Hidden(&'a Redactor),
    /// As they are.
    Revealed,
}

impl View<'_> {
    /// An address.
    fn address(&self, text: &str) -> String {
        match self {
            _ if text.is_empty() => "<>".to_owned(),
            Self::Hidden(redactor) => redactor.address(text),
            Self::Revealed => text.to_owned(),
        }
    }

    /// A text that may hold addresses.
    fn text(&self, text: &str) -> String {
        match self {
            Self::Hidden(redactor) => redactor.text(text),
            Self::Revealed => text.to_owned(),
        }
    }

    /// A text that is hidden as a whole.
    fn secret(&self, text: &str) -> String {
        match self {
            Self::Hidden(redactor) => redactor.hash(text),
            Self::Revealed => text.to_owned(),
        }
    }

    /// A link.
    fn uri(&self, text: &str) -> String {
        match self {
            Self::Hidden(redactor) => redactor.uri(text),
            Self::Revealed => text.to_owned(),
        }
    }
}

impl FailureReport {
    /// What may be shown to anyone who may see reports: local parts and subjects as hashes, links
    /// without paths, names of persons not at all.
    pub fn shown(&self, redactor: &Redactor) -> ShownFailure {
        self.view(&View::Hidden(redactor))
    }

    /// The full text, for those who may see it; the caller writes the audit log.
    pub fn revealed(&self) -> ShownFailure {
        self.view(&View::Revealed)
    }

    /// Makes either of the two.
    fn view(&self, view: &View<'_>) -> ShownFailure {
        let is_revealed = matches!(view, View::Revealed);
        let personal = self.personal.reveal();
        let texts = |list: &[String]| list.iter().map(|text| view.text(text)).collect();
        let addresses = |list: &[String]| list.iter().map(|text| view.address(text)).collect();
        // A host name may be anything that the reporter wrote, also an address.
        let open = |text: &Option<String>| text.as_deref().map(|text| view.text(text));
        let original = self.original.as_ref();
        let quoted = original.map(|original| original.personal.reveal());
        let of_quoted = |text: Option<&String>| text.map(|text| view.secret(text));
        let extension = |(name, value): &(String, String)| match view {
            // A name is written by the reporter like everything else, and may hold an address.
            View::Hidden(_) => view.text(name),
            View::Revealed => format!("{name}: {value}"),
        };
        ShownFailure {
            is_revealed,
            form: self.form.as_str().to_owned(),
            feedback_type: view.text(self.feedback_type.as_str()),
            reporter: self.reporter.as_ref().map(DomainName::to_string),
            reporting_mta: open(&self.reporting_mta),
            user_agent: open(&self.user_agent),
            version: open(&self.version),
            arrived_at: self.arrived_at,
            incidents: self.incidents,
            source_ip: match &self.source {
                Source::Ip(ip) => Some(ip.to_string()),
                Source::Text(text) => Some(view.text(text)),
                Source::Missing => None,
            },
            source_host: open(&self.source_host),
            source_port: self.source_port,
            reported_domains: self.reported_domains.iter().map(DomainName::to_string).collect(),
            header_from: self.header_from().map(DomainName::to_string),
            auth_failure: view.text(self.auth_failure.as_str()),
            delivery_result: view.text(self.delivery_result.as_str()),
            delivery_written: open(&self.delivery_written),
            identity_alignment: texts(&self.identity_alignment),
            spf_aligned: self.spf_aligned,
            dkim_aligned: self.dkim_aligned,
            dkim_domain: open(&self.dkim_domain),
            dkim_selector: open(&self.dkim_selector),
            dkim_identity: personal.dkim_identity.as_deref().map(|text| view.text(text)),
            spf_dns: texts(&self.spf_dns),
            mail_from: personal.mail_from.as_deref().map(|text| view.address(text)),
            rcpt_to: addresses(&personal.rcpt_to),
            authentication_results: texts(&personal.authentication_results),
            reported_uris: personal.reported_uris.iter().map(|text| view.uri(text)).collect(),
            extensions: personal.extensions.iter().map(extension).collect(),
            is_headers_only: original.map(|original| original.is_headers_only),
            original_from: quoted.and_then(|quoted| match view {
                View::Hidden(_) => quoted.from_address.as_deref().map(|text| view.address(text)),
                View::Revealed => quoted.from.clone(),
            }),
            original_to: quoted.and_then(|quoted| of_quoted(quoted.to.as_ref())),
            original_subject: quoted.and_then(|quoted| of_quoted(quoted.subject.as_ref())),
            original_message_id: quoted
                .and_then(|quoted| quoted.message_id.as_deref())
                .map(|text| view.address(text)),
            original_date: original.and_then(|original| original.date),
            original_signatures: original.map_or_else(Vec::new, |original| {
                let name = |(domain, selector): &(String, String)| format!("{selector}._domainkey.{domain}");
                original.dkim_signatures.iter().map(name).map(|text| view.text(&text)).collect()
            }),
            campaign: original
                .and_then(|original| original.feedback_id.as_deref().or(original.list_id.as_deref()))
                .map(|text| view.text(text)),
            deviations: self.deviations.names().map(str::to_owned).collect(),
        }
    }
}
