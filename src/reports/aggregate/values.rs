//! Texts of an aggregate report to values, with every repair named.

use std::borrow::Cow;

use crate::mail::DomainName;
use crate::reports::aggregate::{AuthResult, Disposition, Evaluated, Source};
use crate::reports::{address_text, quirk};

/// A value and, where the text was not in its plain form, the name of the deviation.
pub(super) type Noted<T> = (T, Option<&'static str>);

/// Reads `source_ip`.
///
/// IPv4-mapped IPv6 is IPv4. Brackets, a zone, a port, a host prefix length and leading zeros are
/// taken off and noted; other text is kept as text.
pub(super) fn source(text: &str) -> Noted<Source> {
    match address_text::ip(text) {
        _ if text.is_empty() => (Source::Missing, None),
        Some((ip, is_odd)) => (Source::Ip(ip), is_odd.then_some(quirk::SOURCE_IP_REWRITTEN)),
        None => (Source::Text(text.to_owned()), Some(quirk::SOURCE_IP_TEXT)),
    }
}

/// Reads `count`: messages.
///
/// Separators of thousands and a fraction are taken off; a negative number is none. A number over 63
/// bits is unreadable, since no store can hold it.
pub(super) fn count(text: &str) -> Noted<Option<u64>> {
    let largest = i64::MAX.unsigned_abs();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return match text.parse::<u64>() {
            Ok(count) if count <= largest => (Some(count), None),
            _ => (None, Some(quirk::COUNT_UNREADABLE)),
        };
    }
    if text.is_empty() {
        return (None, Some(quirk::COUNT_MISSING));
    }
    let plain: String =
        text.chars().filter(|c| !matches!(c, ',' | '\'' | '_' | ' ' | '\u{a0}' | '+')).collect();
    if let Some(rest) = plain.strip_prefix('-') {
        let is_number = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let name = if is_number { quirk::COUNT_NEGATIVE } else { quirk::COUNT_UNREADABLE };
        return (is_number.then_some(0), Some(name));
    }
    let whole = match plain.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|b| b.is_ascii_digit()) => whole,
        Some(_) => return (None, Some(quirk::COUNT_UNREADABLE)),
        None => &plain,
    };
    match whole.parse::<u64>() {
        Ok(count) if count <= largest && whole.bytes().all(|b| b.is_ascii_digit()) => {
            (Some(count), Some(quirk::COUNT_REWRITTEN))
        }
        _ => (None, Some(quirk::COUNT_UNREADABLE)),
    }
}

/// Reads `begin` or `end`: UTC seconds.
///
/// Fractions, milliseconds, microseconds and calendar text (UTC where no zone is given) are converted
/// and noted.
pub(super) fn time(text: &str) -> Noted<Option<i64>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return match text.parse::<i64>() {
            Ok(value) => in_seconds(value),
            Err(_) => (None, Some(quirk::PERIOD_INCOMPLETE)),
        };
    }
    if text.is_empty() {
        return (None, Some(quirk::PERIOD_INCOMPLETE));
    }
    if let Some((whole, fraction)) = digits.split_once('.') {
        let is_number =
            whole.bytes().all(|b| b.is_ascii_digit()) && fraction.bytes().all(|b| b.is_ascii_digit());
        if is_number && !whole.is_empty() && !text.starts_with('-') {
            return match whole.parse::<i64>() {
                Ok(value) => (in_seconds(value).0, Some(quirk::PERIOD_REWRITTEN)),
                Err(_) => (None, Some(quirk::PERIOD_INCOMPLETE)),
            };
        }
    }
    match calendar_seconds(text) {
        Some(seconds) => (Some(seconds), Some(quirk::PERIOD_REWRITTEN)),
        None => (None, Some(quirk::PERIOD_INCOMPLETE)),
    }
}

/// Takes milliseconds and microseconds for what they are: as seconds they would be year 5138 or later.
fn in_seconds(value: i64) -> Noted<Option<i64>> {
    match value {
        100_000_000_000..100_000_000_000_000 => (Some(value / 1_000), Some(quirk::PERIOD_REWRITTEN)),
        100_000_000_000_000.. => (Some(value / 1_000_000), Some(quirk::PERIOD_REWRITTEN)),
        _ => (Some(value), None),
    }
}

/// Reads RFC 3339, ISO 8601 and RFC 5322 dates.
fn calendar_seconds(text: &str) -> Option<i64> {
    if text.len() > 64 {
        return None;
    }
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Some(timestamp.as_second());
    }
    if let Ok(civil) = text.parse::<jiff::civil::DateTime>() {
        return jiff::tz::TimeZone::UTC.to_timestamp(civil).ok().map(jiff::Timestamp::as_second);
    }
    if let Some(civil) = text.strip_suffix("UTC").map(str::trim_end) {
        return calendar_seconds(civil);
    }
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp().as_second())
}

/// Reads `disposition`.
pub(super) fn disposition(text: &str) -> Noted<Disposition> {
    let known = |text: &str| match text {
        "none" => Some(Disposition::None),
        "quarantine" => Some(Disposition::Quarantine),
        "reject" => Some(Disposition::Reject),
        // RFC 9990 §3.1.1.9: the message passed, so that no policy applied.
        "pass" => Some(Disposition::Pass),
        _ => None,
    };
    if let Some(value) = known(text) {
        return (value, None);
    }
    match lower(text).as_ref() {
        "" | "nil" => (Disposition::Missing, None),
        folded => match known(folded) {
            Some(value) => (value, None),
            None => (Disposition::Other(text.to_owned()), Some(quirk::DISPOSITION_UNKNOWN)),
        },
    }
}

/// Reads `dkim` or `spf` of `policy_evaluated`. Only a literal pass, in any case, is a pass.
pub(super) fn evaluated(text: &str) -> Noted<Evaluated> {
    match text {
        "pass" => return (Evaluated::Pass, None),
        "fail" => return (Evaluated::Fail, None),
        "" => return (Evaluated::Missing, None),
        _ => {}
    }
    if text.eq_ignore_ascii_case("pass") {
        (Evaluated::Pass, None)
    } else if text.eq_ignore_ascii_case("fail") {
        (Evaluated::Fail, None)
    } else {
        (Evaluated::Other(text.to_owned()), Some(quirk::EVALUATED_UNKNOWN))
    }
}

/// Reads `result` of an authentication result (RFC 8601 §2.7.1 and §2.7.2).
pub(super) fn auth_result(text: &str) -> Noted<AuthResult> {
    if let Some(word) = standard_word(text) {
        return (AuthResult { word: Cow::Borrowed(word), written: None }, None);
    }
    if text.is_empty() {
        return (AuthResult::default(), None);
    }
    let folded = lower(text);
    if let Some(word) = standard_word(&folded) {
        return (AuthResult { word: Cow::Borrowed(word), written: None }, None);
    }
    let mapped = match folded.as_ref() {
        "hardfail" => "fail",
        // RFC 7489 appendix C: "TempError" is commonly seen as "unknown", "PermError" as "error".
        "unknown" => "temperror",
        "error" | "invalid" => "permerror",
        _ => {
            let word = Cow::Owned(folded.into_owned());
            return (AuthResult { word, written: None }, Some(quirk::RESULT_UNKNOWN));
        }
    };
    let written = Some(text.to_owned());
    (AuthResult { word: Cow::Borrowed(mapped), written }, Some(quirk::RESULT_MAPPED))
}

/// The word as a static text if it is one of the standard's.
fn standard_word(text: &str) -> Option<&'static str> {
    Some(match text {
        "pass" => "pass",
        "fail" => "fail",
        "none" => "none",
        "softfail" => "softfail",
        "neutral" => "neutral",
        "policy" => "policy",
        "temperror" => "temperror",
        "permerror" => "permerror",
        _ => return None,
    })
}

/// Reads `header_from`. A full address gives its domain.
pub(super) fn header_from(text: &str) -> Noted<Option<DomainName>> {
    if let Some(name) = DomainName::parse(text) {
        return (Some(name), None);
    }
    if text.is_empty() {
        return (None, Some(quirk::HEADER_FROM_MISSING));
    }
    let domain = text.rsplit('@').next().unwrap_or_default();
    match DomainName::parse(domain.trim_matches(|c: char| matches!(c, '<' | '>' | '"' | ';' | ' '))) {
        Some(name) => (Some(name), Some(quirk::HEADER_FROM_REWRITTEN)),
        None => (None, Some(quirk::HEADER_FROM_INVALID)),
    }
}

/// The text in lower-case ASCII, borrowed where it is so already.
pub(super) fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        let cases = [
            ("192.0.2.1", Some("192.0.2.1"), None),
            ("2001:DB8:0::1", Some("2001:db8::1"), None),
            ("::ffff:192.0.2.7", Some("192.0.2.7"), Some(quirk::SOURCE_IP_REWRITTEN)),
            ("192.000.002.001", Some("192.0.2.1"), Some(quirk::SOURCE_IP_REWRITTEN)),
            ("[192.0.2.1]", Some("192.0.2.1"), Some(quirk::SOURCE_IP_REWRITTEN)),
            ("[2001:db8::1]:25", Some("2001:db8::1"), Some(quirk::SOURCE_IP_REWRITTEN)),
            ("[IPv6:2001:db8::1]", Some("2001:db8::1"), Some(quirk::SOURCE_IP_REWRITTEN)),
            ("fe80::1%eth0", Some("fe80::1"), Some(quirk::SOURCE_IP_REWRITTEN)),
            ("192.0.2.1:587", Some("192.0.2.1"), Some(quirk::SOURCE_IP_REWRITTEN)),
            ("192.0.2.1/32", Some("192.0.2.1"), Some(quirk::SOURCE_IP_REWRITTEN)),
            ("192.0.2.0/24", None, Some(quirk::SOURCE_IP_TEXT)),
            ("192.0.2.256", None, Some(quirk::SOURCE_IP_TEXT)),
            ("192.0.2", None, Some(quirk::SOURCE_IP_TEXT)),
            ("unknown", None, Some(quirk::SOURCE_IP_TEXT)),
            ("X.X.X.X", None, Some(quirk::SOURCE_IP_TEXT)),
        ];
        for (text, want, name) in cases {
            let (value, noted) = source(text);
            match want {
                Some(ip) => assert_eq!(value, Source::Ip(ip.parse().unwrap()), "{text}"),
                None => assert_eq!(value, Source::Text(text.to_owned()), "{text}"),
            }
            assert_eq!(noted, name, "{text}");
        }
        assert_eq!(source(""), (Source::Missing, None));
    }

    #[test]
    fn counts() {
        let cases = [
            ("7", Some(7), None),
            ("0", Some(0), None),
            ("1099511627776", Some(1 << 40), None),
            ("1,234", Some(1234), Some(quirk::COUNT_REWRITTEN)),
            ("3.0", Some(3), Some(quirk::COUNT_REWRITTEN)),
            ("-3", Some(0), Some(quirk::COUNT_NEGATIVE)),
            ("", None, Some(quirk::COUNT_MISSING)),
            ("many", None, Some(quirk::COUNT_UNREADABLE)),
            ("1e3", None, Some(quirk::COUNT_UNREADABLE)),
            (",", None, Some(quirk::COUNT_UNREADABLE)),
            ("99999999999999999999", None, Some(quirk::COUNT_UNREADABLE)),
            ("18446744073709551615", None, Some(quirk::COUNT_UNREADABLE)),
        ];
        for (text, want, name) in cases {
            assert_eq!(count(text), (want, name), "{text:?}");
        }
    }

    #[test]
    fn times() {
        let rewritten = Some(quirk::PERIOD_REWRITTEN);
        let cases = [
            ("1700000000", Some(1_700_000_000), None),
            ("0", Some(0), None),
            ("1700000000.25", Some(1_700_000_000), rewritten),
            ("1700000000000", Some(1_700_000_000), rewritten),
            ("1700000000000000", Some(1_700_000_000), rewritten),
            ("2023-11-14T22:13:20Z", Some(1_700_000_000), rewritten),
            ("2023-11-14T22:13:20", Some(1_700_000_000), rewritten),
            ("2023-11-14 22:13:20", Some(1_700_000_000), rewritten),
            ("2023-11-14 22:13:20 UTC", Some(1_700_000_000), rewritten),
            ("2023-11-14T23:13:20+01:00", Some(1_700_000_000), rewritten),
            ("Tue, 14 Nov 2023 22:13:20 +0000", Some(1_700_000_000), rewritten),
            ("2023-11-14", Some(1_699_920_000), rewritten),
            ("", None, Some(quirk::PERIOD_INCOMPLETE)),
            ("yesterday", None, Some(quirk::PERIOD_INCOMPLETE)),
            ("99999999999999999999", None, Some(quirk::PERIOD_INCOMPLETE)),
        ];
        for (text, want, name) in cases {
            assert_eq!(time(text), (want, name), "{text:?}");
        }
    }

    #[test]
    fn words() {
        assert_eq!(evaluated("PASS").0, Evaluated::Pass);
        assert_eq!(evaluated("softfail").0, Evaluated::Other("softfail".to_owned()));
        assert_eq!(disposition("Reject").0, Disposition::Reject);
        assert_eq!(disposition("15").0, Disposition::Other("15".to_owned()));
        let cases = [
            ("hardfail", "fail", true),
            ("Unknown", "temperror", true),
            ("error", "permerror", true),
            ("invalid", "permerror", true),
            ("SoftFail", "softfail", false),
            ("bestguesspass", "bestguesspass", false),
        ];
        for (text, word, is_mapped) in cases {
            let result = auth_result(text).0;
            assert_eq!(result.word, word);
            assert_eq!(result.written.as_deref(), is_mapped.then_some(text));
        }
    }

    #[test]
    fn author_domains() {
        let cases = [
            ("Example.COM.", Some("example.com"), None),
            ("bücher.example", Some("xn--bcher-kva.example"), None),
            ("User <user@Example.com>", Some("example.com"), Some(quirk::HEADER_FROM_REWRITTEN)),
            ("", None, Some(quirk::HEADER_FROM_MISSING)),
            ("not a domain", None, Some(quirk::HEADER_FROM_INVALID)),
        ];
        for (text, want, name) in cases {
            let (value, noted) = header_from(text);
            assert_eq!(value.as_ref().map(DomainName::as_str), want, "{text}");
            assert_eq!(noted, name, "{text}");
        }
    }
}
