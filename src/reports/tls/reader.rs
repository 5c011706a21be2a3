//! From the bytes of one JSON document to the TLS reports in it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Read;

use serde::de::{DeserializeSeed, IgnoredAny};

use crate::clock::Timestamp;
use crate::limits;
use crate::mail::DomainName;
use crate::reports::address_text;
use crate::reports::aggregate::Source;
use crate::reports::quirk;
use crate::reports::stated_time::{self, Zone};
use crate::reports::tls::context::Fallbacks;
use crate::reports::tls::digest::is_plausible;
use crate::reports::tls::json::{
    Notes, Objects, ObjectsSeed, Scalar, WireDetail, WireEntry, WireReport, cut,
};
use crate::reports::tls::{FailureDetail, Policy, PolicyType, ResultType, TlsContext, TlsDigest, TlsReport};
use crate::reports::{Deviations, Unreadable, UnreadableKind};

/// Reads the TLS reports of one JSON document, unpacked.
///
/// Shape: one result for each report in the document, in order, usually one; never none.
/// Units: `begin` and `end` in UTC seconds; counts are SMTP sessions.
/// Deviations: those of [`quirk`] that begin with `tls-`, and those of periods and encodings.
/// Errors: `Empty`, `TooLarge`, `Truncated`, `Malformed` (also for
/// counts that cannot be), `Unsupported` (JSON, but no TLS report). A
/// report that cannot be read whole is an error as a whole.
/// Standard: RFC 8460 §4.4 with erratum 6241.
pub fn read(bytes: &[u8], context: &TlsContext<'_>) -> Vec<Result<TlsDigest, Unreadable>> {
    let place = cut(context.file_name.unwrap_or_default());
    let unreadable = |kind, reason: String| Unreadable::new(kind, reason).at(place);
    if bytes.len() > limits::TLS_REPORT_BYTES {
        let reason = format!("TLS report of {} bytes is too large", bytes.len());
        return vec![Err(unreadable(UnreadableKind::TooLarge, reason))];
    }
    let mut deviations = Deviations::default();
    let text = to_text(bytes, &mut deviations);
    if text.is_empty() {
        return vec![Err(unreadable(UnreadableKind::Empty, "nothing in it".to_owned()))];
    }
    let mut results = Vec::new();
    let mut rest: &str = &text;
    while !rest.is_empty() && results.len() < limits::TLS_DOCUMENT_REPORTS {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        let outcome = values.next();
        let end = values.byte_offset();
        match outcome {
            Some(Ok(IgnoredAny)) => {}
            // What follows a report and is none itself costs nothing.
            _ if !results.is_empty() && !rest.starts_with('{') => {
                note_trailing(&mut results, rest);
                break;
            }
            Some(Err(error)) => {
                let (kind, reason) = because(&error);
                results.push(Err(unreadable(kind, reason)));
                break;
            }
            None => break,
        }
        let Some((value, after)) = rest.split_at_checked(end) else { break };
        for result in read_value(value, context, &deviations) {
            results.push(result.map_err(|(kind, reason)| unreadable(kind, reason)));
        }
        rest = after.trim_start_matches(is_blank);
    }
    if results.is_empty() {
        // Control characters alone: blanks once they are read as text.
        results.push(Err(unreadable(UnreadableKind::Empty, "nothing in it".to_owned())));
    }
    results
}

/// Reads the TLS reports of one document from a stream, for instance one that is inflated on the way.
///
/// See [`read`]; the errors of the stream itself are added. No more than the cap is held in memory.
pub fn read_stream(input: &mut dyn Read, context: &TlsContext<'_>) -> Vec<Result<TlsDigest, Unreadable>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(limits::TLS_REPORT_BYTES).unwrap_or(u64::MAX);
    match input.take(most.saturating_add(1)).read_to_end(&mut bytes) {
        Ok(_) => read(&bytes, context),
        Err(error) => vec![Err(Unreadable::from_io(error).at(cut(context.file_name.unwrap_or_default())))],
    }
}

/// Notes what stands behind the last report.
fn note_trailing(results: &mut [Result<TlsDigest, Unreadable>], rest: &str) {
    if let Some(Ok(digest)) = results.last_mut() {
        digest.deviations.note(quirk::TRAILING_CONTENT, "document", rest, "");
    }
}

/// Why JSON cannot be read, in words.
fn because(error: &serde_json::Error) -> (UnreadableKind, String) {
    let place = format!("line {} column {}", error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Eof => {
            (UnreadableKind::Truncated, format!("JSON ends early at {place} (truncated)"))
        }
        _ => {
            let text = error.to_string();
            let what = text.split(" at line ").next().unwrap_or_default();
            (UnreadableKind::Malformed, format!("JSON is broken at {place}: {what}"))
        }
    }
}

/// Blanks, and the NULs with which some writers fill up.
const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\0' | '\u{feff}')
}

/// Turns a document into text: UTF-8 or UTF-16, with or without a byte order mark, blanks cut off.
///
/// Control characters, which JSON forbids in strings, become blanks, which it allows between values.
fn to_text<'a>(bytes: &'a [u8], deviations: &mut Deviations) -> Cow<'a, str> {
    let utf16 = match bytes {
        [0xff, 0xfe, ..] | [b'{' | b'[', 0, ..] => Some(encoding_rs::UTF_16LE),
        [0xfe, 0xff, ..] | [0, b'{' | b'[', ..] => Some(encoding_rs::UTF_16BE),
        _ => None,
    };
    let encoding = utf16.unwrap_or(encoding_rs::UTF_8);
    if utf16.is_some() {
        deviations.note(quirk::ENCODING_OTHER, "document", encoding.name(), "");
    } else if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
        deviations.note(quirk::BYTE_ORDER_MARK, "document", "", "");
    }
    let (text, is_broken) = encoding.decode_with_bom_removal(bytes);
    if is_broken {
        deviations.note(quirk::ENCODING_BROKEN, "document", "", "");
    }
    let text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches(is_blank)),
        Cow::Owned(text) => Cow::Owned(text.trim_matches(is_blank).to_owned()),
    };
    if text.bytes().any(|b| b < b' ') && text.bytes().any(|b| b < b' ' && !matches!(b, b'\n' | b'\r' | b'\t'))
    {
        return Cow::Owned(text.chars().map(|c| if c < ' ' { ' ' } else { c }).collect());
    }
    text
}

/// Reads the reports of one JSON value: an object, or a list of them.
fn read_value(
    value: &str,
    context: &TlsContext<'_>,
    noted: &Deviations,
) -> Vec<Result<TlsDigest, (UnreadableKind, String)>> {
    let no_report = || vec![Err((UnreadableKind::Unsupported, "JSON, but no TLS report".to_owned()))];
    let notes = Notes::default();
    let mut deserializer = serde_json::Deserializer::from_str(value);
    let reports: Objects<WireReport> = match ObjectsSeed::new(&notes).deserialize(&mut deserializer) {
        Ok(reports) => reports,
        Err(error) => return vec![Err(because(&error))],
    };
    if let Some(what) = notes.over.get() {
        return vec![Err((UnreadableKind::TooLarge, format!("TLS report has too many `{what}`")))];
    }
    if reports.items.is_empty() || reports.items.len() > limits::TLS_DOCUMENT_REPORTS {
        return no_report();
    }
    let mut shared = noted.clone();
    shared.extend(&notes.deviations.borrow());
    if reports.is_list {
        shared.note(quirk::TLS_REPORT_LIST, "document", "", "");
    }
    let fallbacks = context.fallbacks();
    let read = |wire: WireReport| {
        if !wire.is_tls_report() {
            return Err((UnreadableKind::Unsupported, "JSON, but no TLS report".to_owned()));
        }
        let mut understanding = Understanding { deviations: shared.clone(), fallbacks: &fallbacks };
        let report = understanding.report(wire, context.now);
        if !is_plausible(&report) {
            let most = limits::REPORT_MESSAGES;
            let reason = format!("the counts add up to over {most} sessions, which cannot be");
            return Err((UnreadableKind::Malformed, reason));
        }
        let digest = TlsDigest::new(report, &fallbacks, context.now, understanding.deviations);
        if digest.domains.len() > limits::TLS_DOMAINS {
            let reason = format!("too large: a TLS report about {} domains", digest.domains.len());
            return Err((UnreadableKind::TooLarge, reason));
        }
        Ok(digest)
    };
    reports.items.into_iter().map(read).collect()
}

// ---- From values as written to values as meant ----

/// Turns what was written into what was meant, and notes each difference.
struct Understanding<'a> {
    deviations: Deviations,
    fallbacks: &'a Fallbacks,
}

impl Understanding<'_> {
    /// Understands one report.
    fn report(&mut self, wire: WireReport, now: Timestamp) -> TlsReport {
        let organization_name = self.text(&wire.organization_name, "organization-name");
        if organization_name.is_none() {
            let used = self.fallbacks.reporter.as_deref().unwrap_or_default();
            self.deviations.note(quirk::TLS_ORGANIZATION_MISSING, "organization-name", "", used);
        }
        let contact_info = self.text(&wire.contact_info, "contact-info");
        if contact_info.is_none() {
            self.deviations.note(quirk::TLS_CONTACT_MISSING, "contact-info", "", "");
        }
        let report_id = wire.report_id.text().unwrap_or_default();
        if report_id.is_empty() {
            self.deviations.note(quirk::REPORT_ID_MISSING, "report-id", "", "");
        } else if wire.report_id.is_other_than_text() {
            self.deviations.note(quirk::TLS_REPORT_ID_NUMBER, "report-id", &report_id, &report_id);
        }
        let (begin, end) = self.period(&wire, now);
        let policies: Vec<_> = wire.policies.items.into_iter().map(|entry| self.policy(entry)).collect();
        if policies.is_empty() {
            self.deviations.note(quirk::TLS_NO_POLICIES, "policies", "", "");
        }
        let mut report = TlsReport { organization_name, contact_info, report_id, begin, end, policies };
        self.domains(&mut report);
        report
    }

    /// Understands the period: begin and end in UTC seconds, begin first.
    fn period(&mut self, wire: &WireReport, now: Timestamp) -> (i64, i64) {
        let (mut begin, mut end) = (wire.flat_range.begin.text(), wire.flat_range.end.text());
        if let Some(range) = wire.date_range.items.first() {
            begin = range.begin.text().or(begin);
            end = range.end.text().or(end);
        }
        let begin = begin.and_then(|text| self.time(&text, "date-range/start-datetime"));
        let end = end.and_then(|text| self.time(&text, "date-range/end-datetime"));
        let (begin, end) = match (begin, end) {
            (Some(begin), Some(end)) => (begin, end),
            (Some(one), None) | (None, Some(one)) => {
                self.deviations.note(quirk::PERIOD_INCOMPLETE, "date-range", "", "");
                (one, one)
            }
            (None, None) => {
                let day = now.day().start_seconds();
                let (begin, end) = self.fallbacks.period.unwrap_or((day, day + 86_399));
                let used = Timestamp::from_seconds(begin).rfc3339();
                self.deviations.note(quirk::PERIOD_MISSING, "date-range", "", &used);
                (begin, end)
            }
        };
        if end == begin {
            self.deviations.note(quirk::PERIOD_EMPTY, "date-range", "", "");
        }
        if end < begin {
            self.deviations.note(quirk::PERIOD_REVERSED, "date-range", "", "");
            return (end, begin);
        }
        (begin, end)
    }

    /// Understands one time: UTC seconds.
    fn time(&mut self, text: &str, place: &str) -> Option<i64> {
        let Some(stated) = stated_time::read(text) else {
            self.deviations.note(quirk::PERIOD_REWRITTEN, place, text, "");
            return None;
        };
        let used = Timestamp::from_seconds(stated.seconds).rfc3339();
        let is_iso = stated_time::iso(text).is_some() && text.contains(['T', 't']);
        if !is_iso {
            self.deviations.note(quirk::PERIOD_REWRITTEN, place, text, &used);
        } else if stated.zone != Zone::Stated {
            // Seen from a large provider in 2023: no zone; RFC 3339 §5.6 requires one. UTC is meant.
            self.deviations.note(quirk::TLS_TIME_WITHOUT_ZONE, place, text, &used);
        }
        Some(stated.seconds)
    }

    /// Understands one policy with its summary and details; the domain follows later.
    fn policy(&mut self, entry: WireEntry) -> Policy {
        if entry.is_flat {
            self.deviations.note(quirk::TLS_POLICY_FLAT, "policies", "", "");
        }
        let wire = entry.policy.items.into_iter().next().unwrap_or(entry.flat_policy);
        let is_summary_there = !entry.summary.items.is_empty() || entry.is_flat;
        let summary = entry.summary.items.into_iter().next().unwrap_or(entry.flat_summary);

        let policy_type = self.word(&wire.policy_type, "policy-type");
        let policy_type = PolicyType::parse(&policy_type);
        match &policy_type {
            PolicyType::Missing => {
                self.deviations.note(quirk::TLS_POLICY_TYPE_MISSING, "policy-type", "", "");
            }
            PolicyType::Unlisted(word) => {
                self.deviations.note(quirk::TLS_POLICY_TYPE_UNKNOWN, "policy-type", word, word);
            }
            _ => {}
        }
        let policy_domain = wire.policy_domain.text().and_then(|text| {
            let domain = DomainName::parse(&text);
            if domain.is_none() {
                self.deviations.note(quirk::TLS_POLICY_DOMAIN_INVALID, "policy-domain", &text, "");
            }
            domain
        });
        if wire.policy_string.is_single {
            self.deviations.note(quirk::TLS_POLICY_STRING_SHAPE, "policy-string", "", "");
        }
        let mut mx_hosts = Vec::new();
        for list in [wire.mx_host, wire.mx_host_pattern] {
            if list.is_single {
                self.deviations.note(quirk::TLS_MX_HOST_SHAPE, "mx-host", "", "");
            }
            for text in list.items {
                let host = self.mx_host(&text);
                if !mx_hosts.contains(&host) {
                    mx_hosts.push(host);
                }
            }
        }
        let failure_details: Vec<_> =
            entry.failure_details.items.into_iter().map(|detail| self.detail(&detail)).collect();
        let (successful, failed) = if is_summary_there {
            (
                self.count(&summary.successful, "total-successful-session-count"),
                self.count(&summary.failed, "total-failure-session-count"),
            )
        } else {
            self.deviations.note(quirk::TLS_SUMMARY_MISSING, "summary", "", "");
            (None, None)
        };
        let policy = Policy {
            domain: None,
            policy_type,
            policy_domain,
            policy_strings: policy_strings(wire.policy_string.items),
            mx_hosts,
            successful,
            failed,
            failure_details,
        };
        // RFC 8460 §4.4: the details are a breakdown of the summary, and they are optional.
        if let Some(failed) = policy.failed
            && !policy.failure_details.is_empty()
            && policy.detailed() != failed
        {
            let (detailed, failed) = (policy.detailed().to_string(), failed.to_string());
            self.deviations.note(quirk::TLS_DETAILS_DIFFER, "failure-details", &detailed, &failed);
        }
        policy
    }

    /// Understands one failure detail.
    fn detail(&mut self, wire: &WireDetail) -> FailureDetail {
        let result_type = ResultType::parse(&self.word(&wire.result_type, "result-type"));
        match &result_type {
            ResultType::Missing => {
                self.deviations.note(quirk::TLS_RESULT_TYPE_MISSING, "result-type", "", "");
            }
            ResultType::Unlisted(word) => {
                self.deviations.note(quirk::TLS_RESULT_TYPE_UNKNOWN, "result-type", word, word);
            }
            _ => {}
        }
        FailureDetail {
            result_type,
            sending_mta_ip: self.address(&wire.sending_mta_ip, "sending-mta-ip"),
            receiving_mx_hostname: self
                .text(&wire.receiving_mx_hostname, "receiving-mx-hostname")
                .map(|host| host.trim_end_matches(|c: char| c == '.' || c.is_whitespace()).to_lowercase())
                .filter(|host| !host.is_empty()),
            receiving_mx_helo: self.text(&wire.receiving_mx_helo, "receiving-mx-helo"),
            receiving_ip: self.address(&wire.receiving_ip, "receiving-ip"),
            failed_sessions: self.count(&wire.failed_sessions, "failed-session-count"),
            additional_information: self.text(&wire.additional_information, "additional-information"),
            failure_reason_code: self.text(&wire.failure_reason_code, "failure-reason-code"),
        }
    }

    /// Understands a text; other types are noted and written as text.
    fn text(&mut self, scalar: &Scalar, place: &str) -> Option<String> {
        let text = scalar.text();
        if scalar.is_other_than_text() {
            let shown = text.as_deref().unwrap_or_default();
            self.deviations.note(quirk::TLS_FIELD_TYPE, place, shown, shown);
        } else if text.as_ref().is_some_and(|text| text.len() >= limits::HEADER_TEXT_BYTES - 3) {
            self.deviations.note(quirk::TEXT_CUT, place, "", "");
        }
        text
    }

    /// Understands a word of an open list, in lower case.
    fn word(&mut self, scalar: &Scalar, place: &str) -> String {
        let text = self.text(scalar, place).unwrap_or_default();
        let lower = text.to_lowercase();
        if lower != text {
            self.deviations.note(quirk::TLS_WORD_REWRITTEN, place, &text, &lower);
        }
        lower
    }

    /// Understands a session count.
    fn count(&mut self, scalar: &Scalar, place: &str) -> Option<u64> {
        let original = scalar.text().unwrap_or_default();
        let (count, name) = count(scalar);
        if let Some(name) = name {
            let used = count.map(|count| count.to_string()).unwrap_or_default();
            self.deviations.note(name, place, &original, &used);
        }
        count
    }

    /// Understands an address: absent ones are usual (no session without a policy), names are kept.
    fn address(&mut self, scalar: &Scalar, place: &str) -> Source {
        let Some(text) = scalar.text() else { return Source::Missing };
        match address_text::ip(&text) {
            Some((ip, false)) => Source::Ip(ip),
            Some((ip, true)) => {
                self.deviations.note(quirk::TLS_ADDRESS_REWRITTEN, place, &text, &ip.to_string());
                Source::Ip(ip)
            }
            None => {
                self.deviations.note(quirk::TLS_ADDRESS_TEXT, place, &text, &text);
                Source::Text(text)
            }
        }
    }

    /// Understands one `mx-host`: a name or pattern in lower case, without what surrounds it.
    fn mx_host(&mut self, text: &str) -> String {
        let lower = text.to_lowercase();
        let plain = lower.strip_prefix("mx:").map_or(lower.as_str(), str::trim);
        let plain = plain.trim_end_matches(|c: char| c == '.' || c.is_whitespace());
        if plain != lower {
            self.deviations.note(quirk::TLS_MX_HOST_REWRITTEN, "mx-host", text, plain);
        }
        plain.to_owned()
    }

    /// Says under which domain the sessions of each policy count.
    ///
    /// A policy of MTA-STS, or none, names the mail domain. A policy of DANE belongs to an MX host, and
    /// some reporters name that host: its sessions are still those of the mail domain.
    fn domains(&mut self, report: &mut TlsReport) {
        let named: Vec<_> = report
            .policies
            .iter()
            .filter(|policy| policy.policy_type != PolicyType::Tlsa)
            .filter_map(|policy| policy.policy_domain.as_ref())
            .collect();
        let only = match named.split_first() {
            Some((first, rest)) if rest.iter().all(|domain| domain == first) => Some((*first).clone()),
            _ => None,
        };
        let named: BTreeSet<String> = named.into_iter().map(DomainName::to_string).collect();
        let fallback = self.fallbacks.domain.clone().or(only).or_else(|| of_report_id(&report.report_id));
        for policy in &mut report.policies {
            policy.domain = match &policy.policy_domain {
                None => {
                    let used = fallback.as_ref().map(DomainName::as_str).unwrap_or_default();
                    self.deviations.note(quirk::TLS_POLICY_DOMAIN_MISSING, "policy-domain", "", used);
                    fallback.clone()
                }
                Some(domain)
                    if policy.policy_type == PolicyType::Tlsa && !named.contains(domain.as_str()) =>
                {
                    // Only a host is moved; a mail domain with nothing but DANE stays where it is.
                    let is_host = policy.mx_hosts.iter().any(|host| host == domain.as_str());
                    let above = parents(domain.as_str()).find(|parent| named.contains(*parent));
                    let owner = above.and_then(DomainName::parse).or_else(|| {
                        let is_its = |owner: &&DomainName| is_host || domain.is_at_or_below(owner);
                        fallback.as_ref().filter(is_its).cloned()
                    });
                    match owner {
                        Some(owner) if owner != *domain => {
                            let (host, used) = (domain.as_str(), owner.as_str());
                            self.deviations.note(
                                quirk::TLS_POLICY_DOMAIN_IS_HOST,
                                "policy-domain",
                                host,
                                used,
                            );
                            Some(owner)
                        }
                        _ => Some(domain.clone()),
                    }
                }
                Some(domain) => Some(domain.clone()),
            };
        }
    }
}

/// The names above a name, nearest first.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(name.split_once('.'), |(_, rest)| rest.split_once('.')).map(|(_, rest)| rest)
}

/// The domain in the report ids of large reporters: `2026-03-01T00:00:00Z_example.com` and
/// `133198585438131172+example.com`. A domain after `@` is the reporter's and is left alone.
fn of_report_id(report_id: &str) -> Option<DomainName> {
    let (_, domain) = report_id.rsplit_once(['_', '+'])?;
    DomainName::parse(domain).filter(|domain| domain.as_str().contains('.') && !domain.as_str().contains(':'))
}

/// Unfolds policy strings that are lists within a text: `["3 1 1 …","3 1 1 …"]`, or lines.
fn policy_strings(items: Vec<String>) -> Vec<String> {
    let mut strings = Vec::with_capacity(items.len());
    for item in items {
        // Seen from a large provider, 2025: the TLSA records as JSON within the JSON string.
        let nested =
            item.starts_with("[\"").then(|| serde_json::from_str::<Vec<String>>(&item).ok()).flatten();
        for item in nested.unwrap_or_else(|| vec![item]) {
            strings.extend(item.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
        }
    }
    strings.truncate(limits::TLS_POLICY_STRINGS);
    strings
}

/// Reads a session count, and the name of what is odd about it.
///
/// A number over 63 bits is unreadable, since no store can hold it.
fn count(scalar: &Scalar) -> (Option<u64>, Option<&'static str>) {
    let integer = |value: i128, name| match u64::try_from(value) {
        Ok(count) if i64::try_from(count).is_ok() => (Some(count), name),
        Err(_) if value < 0 => (Some(0), Some(quirk::TLS_COUNT_NEGATIVE)),
        Ok(_) | Err(_) => (None, Some(quirk::TLS_COUNT_UNREADABLE)),
    };
    let decimal = |text: &str| {
        let plain: String =
            text.chars().filter(|c| !matches!(c, ',' | '\'' | '_' | ' ' | '\u{a0}' | '+')).collect();
        let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
        match whole.parse::<i128>() {
            Ok(value) if fraction.bytes().all(|b| b.is_ascii_digit()) => {
                integer(value, Some(quirk::TLS_COUNT_REWRITTEN))
            }
            _ => (None, Some(quirk::TLS_COUNT_UNREADABLE)),
        }
    };
    match scalar {
        Scalar::Integer(value) => integer(*value, None),
        // Below 2^53 every whole number is exact; `{:.0}` would round, so the fraction is cut by text.
        Scalar::Float(value) if value.is_finite() && value.abs() < 9.0e15 => decimal(&value.to_string()),
        Scalar::Text(text) if !text.trim().is_empty() => decimal(text.trim()),
        Scalar::Absent | Scalar::Null | Scalar::Text(_) => (None, Some(quirk::TLS_COUNT_MISSING)),
        Scalar::List(first) => match count(first) {
            (count, None) => (count, Some(quirk::TLS_COUNT_REWRITTEN)),
            other => other,
        },
        Scalar::Float(_) | Scalar::Bool(_) | Scalar::Object => (None, Some(quirk::TLS_COUNT_UNREADABLE)),
    }
}
