//! What the mail or file around a TLS report says of it: the domain, the reporter and the period.
//!
//! Standard: RFC 8460 §5.1 (file name), §5.3 (subject and header fields of the mail).

use crate::clock::Timestamp;
use crate::mail::DomainName;

/// What surrounds a TLS report, as far as it is known. All of it is a fallback: the report itself wins.
#[derive(Debug, Clone, Copy, Default)]
pub struct TlsContext<'a> {
    /// Header field `TLS-Report-Domain`.
    pub report_domain: Option<&'a str>,
    /// Header field `TLS-Report-Submitter`.
    pub submitter: Option<&'a str>,
    /// The subject, decoded.
    pub subject: Option<&'a str>,
    /// The name of the attachment or file.
    pub file_name: Option<&'a str>,
    /// The domain of the mail's author.
    pub from_domain: Option<&'a DomainName>,
    /// When the report came or is read: gives the day of a report without a period, and decides what
    /// lies in the future.
    pub now: Timestamp,
}

/// The fallbacks in a form that can be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fallbacks {
    /// The domain that the report is for.
    pub(super) domain: Option<DomainName>,
    /// The reporter, in lower case.
    pub(super) reporter: Option<String>,
    /// The period of the file name, UTC seconds.
    pub(super) period: Option<(i64, i64)>,
}

impl TlsContext<'_> {
    /// Takes the fallbacks: header fields before subject before file name before author.
    pub(super) fn fallbacks(&self) -> Fallbacks {
        let mut found = Fallbacks {
            domain: self.report_domain.and_then(first_domain),
            reporter: self.submitter.and_then(first_domain).map(|domain| domain.to_string()),
            period: None,
        };
        if let Some(subject) = self.subject {
            let lower = subject.to_ascii_lowercase();
            found.domain = found.domain.or_else(|| after(&lower, "report domain:").and_then(first_domain));
            let submitter =
                || after(&lower, "submitter:").and_then(first_domain).map(|domain| domain.to_string());
            found.reporter = found.reporter.or_else(submitter);
        }
        if let Some(file_name) = self.file_name {
            from_file_name(file_name, &mut found);
        }
        found.reporter = found.reporter.or_else(|| self.from_domain.map(DomainName::to_string));
        found
    }
}

/// The text after a mark.
fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark).map(|(_, rest)| rest)
}

/// The first word of a text as a domain.
fn first_domain(text: &str) -> Option<DomainName> {
    DomainName::parse(text.split_whitespace().next()?.trim_end_matches([';', ',']))
}

/// Takes what RFC 8460 §5.1 puts into a file name: `sender!policy-domain!begin!end[!unique].json.gz`.
fn from_file_name(file_name: &str, found: &mut Fallbacks) {
    let name = file_name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut pieces = name.split('!');
    let (Some(sender), Some(domain), Some(begin)) = (pieces.next(), pieces.next(), pieces.next()) else {
        return;
    };
    let end = pieces.next().unwrap_or_default();
    if found.domain.is_none() {
        found.domain = DomainName::parse(domain);
    }
    if found.reporter.is_none() {
        found.reporter = DomainName::parse(sender).map(|domain| domain.to_string());
    }
    let seconds = |text: &str| {
        let digits = text.split('.').next().unwrap_or_default();
        // Smaller numbers than those of 2001 are no times.
        digits.parse::<i64>().ok().filter(|seconds| (1_000_000_000..100_000_000_000).contains(seconds))
    };
    if let (Some(begin), Some(end)) = (seconds(begin), seconds(end)) {
        found.period = Some((begin, end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_domain_reporter_and_period() {
        let author = DomainName::parse("author.example").unwrap();
        let subject =
            "Report Domain: B.example Submitter: mail.sender.example Report-ID: <735@sender.example>";
        let file = "sender.example!c.example!1470013207!1470186007!001.json.gz";
        let cases = [
            (TlsContext::default(), (None, None, None)),
            (
                TlsContext { from_domain: Some(&author), ..TlsContext::default() },
                (None, Some("author.example"), None),
            ),
            (
                TlsContext {
                    subject: Some(subject),
                    file_name: Some("x.json"),
                    from_domain: Some(&author),
                    ..TlsContext::default()
                },
                (Some("b.example"), Some("mail.sender.example"), None),
            ),
            (
                TlsContext {
                    report_domain: Some(" a.example "),
                    submitter: Some("s.example"),
                    subject: Some(subject),
                    file_name: Some(file),
                    ..TlsContext::default()
                },
                (Some("a.example"), Some("s.example"), Some((1_470_013_207, 1_470_186_007))),
            ),
            (
                TlsContext { file_name: Some("dir/org!d.example!1!2!001.json.gz"), ..TlsContext::default() },
                (Some("d.example"), Some("org"), None),
            ),
            (TlsContext { subject: Some("report domain:"), ..TlsContext::default() }, (None, None, None)),
        ];
        for (context, (domain, reporter, period)) in cases {
            let found = context.fallbacks();
            assert_eq!(found.domain.as_ref().map(DomainName::as_str), domain, "{context:?}");
            assert_eq!(found.reporter.as_deref(), reporter, "{context:?}");
            assert_eq!(found.period, period, "{context:?}");
        }
    }
}
