//! The machine-readable part of a feedback report to values.
//!
//! Standards: RFC 5965 §3.1 to §3.3, RFC 6591 §3.2, RFC 6692 §3, RFC 9991.

use data_encoding::BASE64_NOPAD;

use crate::limits;
use crate::mail::{AuthResults, DomainName};
use crate::reports::aggregate::Source;
use crate::reports::failure::fields::{Block, Fields, without_angles};
use crate::reports::failure::{
    AuthFailure, DeliveryResult, FailureReport, FeedbackType, Form, Personal, Private,
};
use crate::reports::stated_time::{self, StatedTime, Zone};
use crate::reports::{Deviations, address_text, quirk};

/// What the fields of one machine-readable part say. `arrived` is what `Arrival-Date` states.
pub(super) struct Feedback {
    /// The report so far.
    pub(super) report: FailureReport,
    /// True if the arrival was stated.
    pub(super) has_arrival: bool,
}

/// Fields that may stand once.
const ONCE: [&str; 21] = [
    "feedback-type",
    "user-agent",
    "version",
    "arrival-date",
    "received-date",
    "incidents",
    "reporting-mta",
    "source-ip",
    "source-port",
    "original-envelope-id",
    "original-mail-from",
    "auth-failure",
    "delivery-result",
    "identity-alignment",
    "dkim-domain",
    "dkim-identity",
    "dkim-selector",
    "dkim-selector-dns",
    "dkim-adsp-dns",
    "dkim-canonicalized-header",
    "dkim-canonicalized-body",
];
/// Fields that may be repeated.
const REPEATED: [&str; 6] = [
    "original-rcpt-to",
    "reported-domain",
    "reported-uri",
    "removal-recipient",
    "authentication-results",
    "spf-dns",
];

/// True for the name of a field that belongs into a machine-readable part.
fn is_known(name: &str) -> bool {
    ONCE.contains(&name) || REPEATED.contains(&name)
}

/// True if bytes begin like a machine-readable part: one of the first fields is its own.
///
/// `Feedback-Type` decides; a part without it needs two other fields that occur nowhere else.
pub(super) fn looks_like_feedback(bytes: &[u8]) -> bool {
    let window = bytes.get(..4_096).unwrap_or(bytes);
    let fields = Fields::read(window, Block::Header);
    let is_there = |name: &str| fields.first(name).is_some();
    is_there("Feedback-Type")
        || ["Auth-Failure", "Source-IP", "Reported-Domain", "Original-Mail-From", "Original-Rcpt-To"]
            .into_iter()
            .filter(|name| is_there(name))
            .count()
            >= 2
}

/// Reads the machine-readable part; `None` where it has not one field of its own.
pub(super) fn read(bytes: &[u8], is_whole: bool) -> Option<Feedback> {
    let mut deviations = Deviations::default();
    let mut fields = Fields::read(bytes, Block::Machine);
    if fields.list.is_empty()
        && let Some(decoded) = undeclared_base64(bytes)
    {
        deviations.note(quirk::FEEDBACK_MACHINE_PART_BASE64, "feedback-report", "", "");
        fields = Fields::read(&decoded, Block::Machine);
    }
    if !is_whole && !fields.ends_with_line && !fields.list.is_empty() {
        // The mail ends in the middle of a line: `Source-IP: 203.0.113.7` may have been …77.
        let (name, _) = fields.list.pop()?;
        deviations.note(quirk::FEEDBACK_MACHINE_PART_CUT, &name, "", "");
    }
    if !fields.list.iter().any(|(name, _)| is_known(&name.to_ascii_lowercase())) {
        return None;
    }
    for (name, there) in [
        (quirk::FEEDBACK_FIELD_BROKEN, fields.broken_lines > 0),
        (quirk::FEEDBACK_SOFT_BREAK, fields.has_soft_break),
        (quirk::FEEDBACK_CHARSET_BROKEN, fields.is_other_charset),
        (quirk::FEEDBACK_FIELDS_CUT, fields.is_cut),
    ] {
        if there {
            deviations.note(name, "feedback-report", "", "");
        }
    }
    Some(Understanding { fields: &fields, deviations }.feedback())
}

/// Decodes a part that is base64 from end to end although nothing says so.
fn undeclared_base64(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() > limits::FAILURE_PART_BYTES {
        return None;
    }
    let compact: Vec<u8> = bytes.iter().copied().filter(|b| !b.is_ascii_whitespace() && *b != b'=').collect();
    if compact.len() < 16 {
        return None;
    }
    BASE64_NOPAD.decode(&compact).ok()
}

/// Turns fields into values and notes what is odd.
struct Understanding<'a> {
    fields: &'a Fields,
    deviations: Deviations,
}

impl Understanding<'_> {
    /// Understands the part.
    fn feedback(mut self) -> Feedback {
        self.repeated_and_unknown();
        let feedback_type = FeedbackType::parse(&self.word("feedback-type"));
        match &feedback_type {
            FeedbackType::Missing => self.note(quirk::FEEDBACK_TYPE_MISSING, "Feedback-Type", "", ""),
            FeedbackType::Unlisted(word) => {
                self.note(quirk::FEEDBACK_TYPE_UNKNOWN, "Feedback-Type", word, word);
            }
            _ => {}
        }
        let user_agent = self.text("user-agent");
        if user_agent.is_none() {
            self.note(quirk::FEEDBACK_USER_AGENT_MISSING, "User-Agent", "", "");
        }
        let version = self.text("version");
        if version.is_none() {
            self.note(quirk::FEEDBACK_VERSION_MISSING, "Version", "", "");
        }
        let auth_failure = AuthFailure::parse(&self.word("auth-failure"));
        match &auth_failure {
            // RFC 6591 §3.2.1: required in reports of this type.
            AuthFailure::Missing if feedback_type == FeedbackType::AuthFailure => {
                self.note(quirk::FEEDBACK_AUTH_FAILURE_MISSING, "Auth-Failure", "", "");
            }
            AuthFailure::Unlisted(word) => {
                self.note(quirk::FEEDBACK_AUTH_FAILURE_UNKNOWN, "Auth-Failure", word, word);
            }
            _ => {}
        }
        let (delivery_result, delivery_written) = self.delivery();
        let identity_alignment = self.alignment(&auth_failure);
        let arrived_at = self.arrival();
        let (source, source_host) = self.source();
        let report = FailureReport {
            form: Form::Feedback,
            feedback_type,
            user_agent,
            version,
            reporting_mta: self.text("reporting-mta").map(|text| without_type(&text).to_owned()),
            arrived_at,
            incidents: self.incidents(),
            source,
            source_host,
            source_port: self.port(),
            reported_domains: self.reported_domains(),
            auth_failure,
            delivery_result,
            delivery_written,
            identity_alignment,
            dkim_domain: self.text("dkim-domain").map(|text| text.trim_end_matches('.').to_lowercase()),
            dkim_selector: self.text("dkim-selector"),
            dkim_selector_dns: self.text("dkim-selector-dns"),
            dkim_adsp_dns: self.text("dkim-adsp-dns"),
            spf_dns: self.texts("spf-dns"),
            personal: Private::new(self.personal()),
            deviations: self.deviations,
            ..FailureReport::default()
        };
        Feedback { has_arrival: arrived_at.is_some(), report }
    }

    /// Notes a deviation. Deviations are shown to all, so what may be an address is left out of them.
    fn note(&mut self, name: &'static str, place: &str, original: &str, used: &str) {
        fn harmless(text: &str) -> &str {
            if text.contains('@') { "" } else { text }
        }
        self.deviations.note(name, place, harmless(original), harmless(used));
    }

    /// Notes fields that stand twice and fields that no standard names.
    fn repeated_and_unknown(&mut self) {
        let mut seen: Vec<(String, &str)> = Vec::new();
        for (name, value) in &self.fields.list {
            let lower = name.to_ascii_lowercase();
            if !is_known(&lower) {
                // Values of unknown fields may identify persons: only the name is noted.
                self.deviations.note(quirk::FEEDBACK_FIELD_UNKNOWN, name, "", "");
            } else if !REPEATED.contains(&lower.as_str()) {
                match seen.iter().find(|(known, _)| *known == lower) {
                    Some((_, first)) if first != value => {
                        self.deviations.note(quirk::FEEDBACK_FIELD_TWICE, name, "", "");
                    }
                    Some(_) => {}
                    None => seen.push((lower, value)),
                }
            }
        }
    }

    /// The value of a field, cut to [`limits::HEADER_TEXT_BYTES`]; absent if empty.
    fn text(&self, name: &str) -> Option<String> {
        self.fields.first(name).map(cut).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// The values of a field that may be repeated, without empty ones.
    fn texts(&mut self, name: &str) -> Vec<String> {
        let mut values = self.fields.all(name).map(cut).filter(|text| !text.is_empty());
        let list: Vec<_> = values.by_ref().take(limits::FAILURE_VALUES).map(str::to_owned).collect();
        if values.next().is_some() {
            self.note(quirk::LIST_CUT, name, "", "");
        }
        list
    }

    /// The first word of a field.
    fn word(&self, name: &str) -> String {
        let value = self.fields.first(name).unwrap_or_default();
        let is_end = |c: char| c.is_whitespace() || matches!(c, ';' | ',' | '(');
        cut(value.split(is_end).next().unwrap_or_default()).to_owned()
    }

    /// `Arrival-Date`, also under its older name.
    fn arrival(&mut self) -> Option<i64> {
        let text = self.fields.first("arrival-date").or_else(|| self.fields.first("received-date"))?;
        let StatedTime { seconds, zone } = stated_time::read(text)?;
        if zone != Zone::Stated {
            self.note(quirk::FEEDBACK_ARRIVAL_WITHOUT_ZONE, "Arrival-Date", text, "");
        }
        Some(seconds)
    }

    /// `Source-IP`: the address, and the name that some put behind it.
    fn source(&mut self) -> (Source, Option<String>) {
        let Some(text) = self.text("source-ip") else { return (Source::Missing, None) };
        let (first, rest) = text.split_once(|c: char| c.is_whitespace() || c == '(').unwrap_or((&text, ""));
        let host = rest.trim().trim_matches(['(', ')', '[', ']']).trim();
        let host = Some(host.to_lowercase()).filter(|host| !host.is_empty());
        match address_text::ip(first) {
            Some((ip, is_odd)) => {
                if is_odd || host.is_some() {
                    self.note(quirk::FEEDBACK_SOURCE_REWRITTEN, "Source-IP", &text, &ip.to_string());
                }
                (Source::Ip(ip), host)
            }
            None => {
                self.note(quirk::FEEDBACK_SOURCE_TEXT, "Source-IP", &text, &text);
                (Source::Text(text), None)
            }
        }
    }

    /// `Source-Port`.
    fn port(&mut self) -> Option<u16> {
        let text = self.text("source-port")?;
        match text.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => {
                self.note(quirk::FEEDBACK_SOURCE_PORT_UNREADABLE, "Source-Port", &text, "");
                None
            }
        }
    }

    /// `Incidents`: absent is one (RFC 5965 §3.2).
    fn incidents(&mut self) -> u64 {
        let Some(text) = self.text("incidents") else { return 1 };
        match text.parse::<u64>() {
            Ok(count) if (1..=limits::REPORT_MESSAGES).contains(&count) => count,
            _ => {
                self.note(quirk::FEEDBACK_INCIDENTS_UNREADABLE, "Incidents", &text, "1");
                1
            }
        }
    }

    /// `Reported-Domain`.
    fn reported_domains(&mut self) -> Vec<DomainName> {
        let mut domains = Vec::new();
        for text in self.texts("reported-domain") {
            match DomainName::parse(text.trim_start_matches('@')) {
                Some(domain) if domains.contains(&domain) => {}
                Some(domain) => domains.push(domain),
                None => self.note(quirk::FEEDBACK_REPORTED_DOMAIN_INVALID, "Reported-Domain", &text, ""),
            }
        }
        domains
    }

    /// `Delivery-Result`: the word, and what was written where that is not the word.
    fn delivery(&mut self) -> (DeliveryResult, Option<String>) {
        let Some(text) = self.text("delivery-result") else { return (DeliveryResult::Missing, None) };
        let (result, written) = delivery_of(&text);
        match &result {
            DeliveryResult::Unlisted(_) => {
                self.note(quirk::FEEDBACK_DELIVERY_RESULT_UNKNOWN, "Delivery-Result", &text, &text);
            }
            known if written.is_some() => {
                self.note(quirk::FEEDBACK_DELIVERY_RESULT_MAPPED, "Delivery-Result", &text, known.as_str());
            }
            _ => {}
        }
        (result, written)
    }

    /// `Identity-Alignment`: words between commas.
    fn alignment(&mut self, auth_failure: &AuthFailure) -> Vec<String> {
        let text = self.text("identity-alignment").unwrap_or_default().to_lowercase();
        let words: Vec<_> = text
            .split([',', ' ', ';'])
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .take(limits::FAILURE_VALUES)
            .map(str::to_owned)
            .collect();
        if words.is_empty() && *auth_failure == AuthFailure::Dmarc {
            // RFC 9991 §4 requires it.
            self.note(quirk::FEEDBACK_IDENTITY_ALIGNMENT_MISSING, "Identity-Alignment", "", "");
        }
        if words.iter().any(|word| !["none", "dkim", "spf"].contains(&word.as_str())) {
            self.note(quirk::FEEDBACK_IDENTITY_ALIGNMENT_UNKNOWN, "Identity-Alignment", &text, &text);
        }
        words
    }

    /// The fields that identify persons.
    fn personal(&mut self) -> Personal {
        let authentication_results = self.texts("authentication-results");
        let base64 = |name: &str| {
            let value: String = self.fields.first(name)?.split_whitespace().collect();
            (!value.is_empty()).then_some(value)
        };
        let canonicalized = (base64("dkim-canonicalized-header"), base64("dkim-canonicalized-body"));
        let addresses = |list: Vec<String>| -> Vec<String> {
            list.iter().map(|text| without_angles(text).to_owned()).collect()
        };
        let mut extensions = self
            .fields
            .list
            .iter()
            .filter(|(name, _)| !is_known(&name.to_ascii_lowercase()))
            .map(|(name, value)| (name.clone(), cut(value).to_owned()));
        let extensions = extensions.by_ref().take(limits::FAILURE_VALUES).collect();
        Personal {
            // Present and empty is the null reverse-path.
            mail_from: self
                .fields
                .first("original-mail-from")
                .map(|text| without_angles(cut(text)).to_owned()),
            rcpt_to: addresses(self.texts("original-rcpt-to")),
            envelope_id: self.text("original-envelope-id"),
            reported_uris: self.texts("reported-uri"),
            removal_recipients: addresses(self.texts("removal-recipient")),
            results: authentication_results.iter().map(|text| AuthResults::parse(text)).collect(),
            authentication_results,
            dkim_identity: self.text("dkim-identity"),
            dkim_canonicalized_header: canonicalized.0,
            dkim_canonicalized_body: canonicalized.1,
            extensions,
        }
    }
}

/// Reads what became of a message: a word of RFC 6591 §3.2.2, else the nearest one and what was written.
pub(super) fn delivery_of(text: &str) -> (DeliveryResult, Option<String>) {
    let lower = text.trim().to_lowercase();
    let first =
        lower.split(|c: char| c.is_whitespace() || matches!(c, ';' | ',' | '(')).next().unwrap_or_default();
    let word = DeliveryResult::parse(first);
    if !matches!(word, DeliveryResult::Unlisted(_) | DeliveryResult::Missing) {
        let written = (first != lower).then(|| text.trim().to_owned());
        return (word, written);
    }
    const NEAREST: [(&str, DeliveryResult); 12] = [
        ("reject", DeliveryResult::Reject),
        ("refus", DeliveryResult::Reject),
        ("bounce", DeliveryResult::Reject),
        ("quarantin", DeliveryResult::Spam),
        ("spam", DeliveryResult::Spam),
        ("junk", DeliveryResult::Spam),
        ("policy", DeliveryResult::Policy),
        ("discard", DeliveryResult::Policy),
        ("deliver", DeliveryResult::Delivered),
        ("accept", DeliveryResult::Delivered),
        ("inbox", DeliveryResult::Delivered),
        ("none", DeliveryResult::Other),
    ];
    let nearest = NEAREST.iter().find(|(part, _)| lower.contains(part)).map(|(_, word)| word.clone());
    (nearest.unwrap_or(DeliveryResult::Unlisted(lower)), Some(text.trim().to_owned()))
}

/// A host name without its type: `dns; mx.example.com`.
fn without_type(text: &str) -> &str {
    match text.split_once(';') {
        Some((_, host)) => host.trim(),
        None => text.trim(),
    }
}

/// Cuts a text to [`limits::HEADER_TEXT_BYTES`] on a character boundary.
pub(super) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(limits::HEADER_TEXT_BYTES)).unwrap_or(text)
}
