//! What the words of a report say: notices without a machine-readable part, and the sentence that
//! stands before one.
//!
//! Seen from hosting panels and mail gateways (Exim, since 2015): `A message claiming to be from you has
//! failed the published DMARC policy for your domain.`, then lines of `name: value`, then a copy of the
//! header. RFC 5965 §2 requires a machine-readable part; here is none.

use crate::limits;
use crate::mail::DomainName;
use crate::reports::aggregate::Source;
use crate::reports::failure::feedback::{cut, delivery_of};
use crate::reports::failure::{AuthFailure, FailureReport, FeedbackType, Form, original};
use crate::reports::stated_time::{self, Zone};
use crate::reports::{Deviations, address_text, quirk};

/// Bytes of a text in which sentences are looked for.
const SENTENCE_BYTES: usize = 8 * 1024;

/// The text of a part for people.
fn text_of(bytes: &[u8]) -> String {
    let window = bytes.get(..limits::FAILURE_PART_BYTES).unwrap_or(bytes);
    match std::str::from_utf8(window) {
        Ok(text) => text.to_owned(),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(window).0.into_owned(),
    }
}

/// True if bytes are a notice in words.
pub(super) fn is_notice(bytes: &[u8]) -> bool {
    Notice::read(bytes).is_some()
}

/// The lines of a notice.
struct Notice {
    /// Names in lower case and values, in order.
    lines: Vec<(String, String)>,
    /// The copied header.
    copy: Option<Vec<u8>>,
}

impl Notice {
    /// Reads a notice; `None` for other texts.
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = text_of(bytes);
        let mut lines = Vec::new();
        let mut head_bytes = 0;
        let mut copy = None;
        for line in text.split_inclusive('\n') {
            head_bytes += line.len();
            let plain = line.trim();
            if plain.starts_with("--") && plain.to_lowercase().contains("copy of the") {
                copy = text.get(head_bytes..).map(|rest| rest.as_bytes().to_vec());
                break;
            }
            if let Some((name, value)) = plain.split_once(':')
                && name.len() <= 40
                && lines.len() < limits::FAILURE_VALUES
            {
                lines.push((name.trim().to_lowercase(), cut(value.trim()).to_owned()));
            }
        }
        let notice = Self { lines, copy };
        let head = text.get(..text.floor_char_boundary(head_bytes.min(SENTENCE_BYTES))).unwrap_or_default();
        let sentence = head.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let is_named = sentence.contains("claiming to be from you has failed")
            || sentence.contains("failed the published dmarc policy");
        // A person who only speaks of such a notice has no such lines.
        let (domain, address) = (notice.value(&DOMAIN).is_some(), notice.value(&ADDRESS).is_some());
        let is_notice = is_named && (domain || address) || domain && address && sentence.contains("dmarc");
        is_notice.then_some(notice)
    }

    /// The first value under one of several names.
    fn value(&self, names: &[&str]) -> Option<&str> {
        self.lines.iter().find(|(name, _)| names.contains(&name.as_str())).map(|(_, value)| value.as_str())
    }
}

/// Names of the line with the author domain.
const DOMAIN: [&str; 3] = ["sender domain", "from domain", "header from domain"];
/// Names of the line with the source address.
const ADDRESS: [&str; 5] = ["sender ip address", "sender ip", "source ip", "source ip address", "ip address"];
/// Names of the line with the arrival.
const ARRIVAL: [&str; 3] = ["received date", "date received", "arrival date"];

/// Reads a notice in words; `None` for other texts.
pub(super) fn read(bytes: &[u8]) -> Option<FailureReport> {
    let notice = Notice::read(bytes)?;
    let mut deviations = Deviations::default();
    deviations.note(quirk::FEEDBACK_NO_MACHINE_PART, "mail", "", "");
    let source = match notice.value(&ADDRESS) {
        Some(text) => match address_text::ip(text.split_whitespace().next().unwrap_or_default()) {
            Some((ip, _)) => Source::Ip(ip),
            None if text.is_empty() => Source::Missing,
            None => {
                deviations.note(quirk::FEEDBACK_SOURCE_TEXT, "sender ip address", text, text);
                Source::Text(text.to_owned())
            }
        },
        None => Source::Missing,
    };
    let arrived_at = notice.value(&ARRIVAL).and_then(stated_time::read).map(|stated| {
        if stated.zone != Zone::Stated {
            deviations.note(quirk::FEEDBACK_ARRIVAL_WITHOUT_ZONE, "received date", "", "");
        }
        stated.seconds
    });
    let aligned = |name: &str| match notice.value(&[name])?.to_lowercase().as_str() {
        "yes" | "pass" | "true" | "aligned" => Some(true),
        "no" | "fail" | "false" | "none" => Some(false),
        _ => None,
    };
    // `None, Accept`: the published policy, and what was done.
    let results = notice.value(&["dmarc results", "dmarc result"]).unwrap_or_default();
    let done = results.rsplit(',').next().unwrap_or_default().trim();
    let (delivery_result, _) = delivery_of(done);
    if !done.is_empty() {
        deviations.note(
            quirk::FEEDBACK_DELIVERY_RESULT_MAPPED,
            "dmarc results",
            results,
            delivery_result.as_str(),
        );
    }
    let copy = notice.copy.as_deref().unwrap_or_default();
    Some(FailureReport {
        form: Form::Notice,
        feedback_type: FeedbackType::AuthFailure,
        auth_failure: AuthFailure::Dmarc,
        arrived_at,
        incidents: 1,
        source,
        reported_domains: notice.value(&DOMAIN).and_then(DomainName::parse).into_iter().collect(),
        delivery_result,
        delivery_written: Some(results.to_owned()).filter(|text| !text.is_empty()),
        spf_aligned: aligned("spf alignment"),
        dkim_aligned: aligned("dkim alignment"),
        original: original::read("text/rfc822-headers", copy, true),
        deviations,
        ..FailureReport::default()
    })
}

// ---- The sentence before a machine-readable part ----

/// What the usual sentence says: `… for an email message received from IP 192.0.2.1 on Thu, 8 Mar 2005
/// 14:00:00 EDT.`
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sentence {
    /// The source address.
    pub(super) source: Option<std::net::IpAddr>,
    /// The arrival, UTC seconds.
    pub(super) arrived_at: Option<i64>,
}

/// Looks for the usual sentence.
pub(super) fn sentence(bytes: &[u8]) -> Sentence {
    let window = bytes.get(..SENTENCE_BYTES).unwrap_or(bytes);
    let text = text_of(window).split_whitespace().collect::<Vec<_>>().join(" ");
    let lower = text.to_ascii_lowercase();
    let mark = "received from ";
    let Some(at) = lower.find(mark) else { return Sentence::default() };
    let rest = text.get(at + mark.len()..).unwrap_or_default();
    let rest = match rest.get(..3) {
        Some(word) if word.eq_ignore_ascii_case("ip ") => rest.get(3..).unwrap_or_default(),
        _ => rest,
    };
    let (host, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let source = address_text::ip(host.trim_end_matches(['.', ',', ';'])).map(|(ip, _)| ip);
    let date = rest.strip_prefix("on ").or_else(|| rest.split_once(" on ").map(|(_, date)| date));
    let arrived_at = date.and_then(|date| {
        let end = date.find(". ").unwrap_or(date.len());
        let date = date.get(..end.min(date.floor_char_boundary(limits::DATE_BYTES)))?;
        stated_time::mail_date(date.trim_end_matches('.')).map(|stated| stated.seconds)
    });
    Sentence { source, arrived_at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_sentence() {
        let cases = [
            (
                "This is an email abuse report for an email message received from IP\r\n192.0.2.1 on Thu, 8 Mar 2005 14:00:00 EDT.  For more information\r\n",
                Some("192.0.2.1"),
                Some(1_110_304_800),
            ),
            ("received from a.example on 8 Oct 2011 20:15:58 +0000 (GMT).\nFor", None, Some(1_318_104_958)),
            (
                "a message received from 203.0.113.66\non Sun, 22 Nov 2026 09:12:57 +0000.",
                Some("203.0.113.66"),
                Some(1_795_338_777),
            ),
            ("received from IP", None, None),
            ("received from 192.0.2.1.", Some("192.0.2.1"), None),
            ("nothing", None, None),
        ];
        for (text, source, arrived_at) in cases {
            let found = sentence(text.as_bytes());
            assert_eq!(found.source, source.map(|ip| ip.parse().unwrap()), "{text:?}");
            assert_eq!(found.arrived_at, arrived_at, "{text:?}");
        }
    }
}
