//! Dates in reports, and how long a host goes on trying when it says so in words.

use crate::clock::Timestamp;
use crate::limits;
use crate::mail::delivery_status::words::{self, Line};
use crate::mail::delivery_status::{Date, Evidence, Found};

/// Reads a date; none only for an empty value.
///
/// A date without a zone, or in a form that nobody can be sure of, keeps its text and has no instant.
/// Standard: RFC 5322 §3.3 and its obsolete forms; a wrong day of the week does not matter.
pub(super) fn read(value: &str) -> Option<Date> {
    let text = words::clip(value.trim(), limits::HEADER_TEXT_BYTES);
    (!text.is_empty()).then(|| Date { text: text.to_owned(), at: instant(text) })
}

/// The instant of a date in the form of a mail or in that of ISO 8601, if it names a zone.
pub(in crate::mail) fn instant(text: &str) -> Option<Timestamp> {
    let plain = without_comments(text);
    let plain = plain.trim();
    let parser = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true);
    // The day of the week says nothing that the date does not, and is often in another language.
    let dayless = match plain.split_once(',') {
        Some((day, rest)) if day.len() <= 12 => rest.trim(),
        _ => plain,
    };
    parser
        .parse_timestamp(dayless)
        .ok()
        .or_else(|| plain.parse::<jiff::Timestamp>().ok())
        .map(|timestamp| Timestamp::from_ms(timestamp.as_millisecond()))
}

/// The text without comments in parentheses.
fn without_comments(text: &str) -> String {
    let mut depth = 0u32;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

// ---- In words ----

/// Phrases before a number that say for how much longer a host goes on trying.
const MORE: [&str; 3] = ["will retry for", "will be retried for", "retry for an additional"];

/// Phrases before a number that say up to which age of the message a host goes on trying.
const UNTIL_AGE: [&str; 5] = [
    "retried until it is",
    "trying until message is",
    "kept in the queue for up to",
    "trying for up to",
    "attempts for up to",
];

/// How long a host goes on trying, in words: `Gmail will retry for 47 more hours`,
/// `It will be retried until it is 4 day(s) old`.
///
/// `sent` is the date of the report, from which "more" counts; `arrived` that of the message's arrival
/// at the host, from which an age counts.
pub(super) fn retry_in_words(
    part: usize,
    lines: &[Line<'_>],
    sent: Option<Timestamp>,
    arrived: Option<Timestamp>,
) -> Option<Found<Date>> {
    for line in lines {
        let lower = line.text.to_lowercase();
        let hint = |phrases: &[&str]| {
            phrases.iter().find_map(|phrase| {
                let (_, rest) = lower.split_once(phrase)?;
                seconds(rest)
            })
        };
        let more = hint(&MORE).map(|length| (length, sent, "retry-for-in-words"));
        let found =
            more.or_else(|| hint(&UNTIL_AGE).map(|length| (length, arrived, "retry-until-age-in-words")));
        if let Some((length, from, rule)) = found {
            let at = from.map(|from| from.after(std::time::Duration::from_secs(length)));
            let text = words::clip(line.text.trim(), limits::HEADER_TEXT_BYTES).to_owned();
            return Some(Found::new(Date { text, at }, Evidence::words(part, line.number, rule)));
        }
    }
    None
}

/// Seconds of `47 more hours`, `4 day(s)`, `15 minutes`; at most ten years.
fn seconds(text: &str) -> Option<u64> {
    let mut tokens = text.split_whitespace();
    let number: u64 = tokens.next()?.parse().ok()?;
    let unit = tokens.find(|word| *word != "more" && *word != "additional")?;
    let length = match unit.get(..3)? {
        "sec" => 1,
        "min" => 60,
        "hou" => 3_600,
        "day" => 86_400,
        "wee" => 7 * 86_400,
        _ => return None,
    };
    number.checked_mul(length).filter(|seconds| *seconds <= 3_650 * 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::delivery_status::words::{Meter, split_lines};

    #[test]
    fn dates_of_every_shape() {
        let cases = [
            ("Wed,  8 Jul 2026 10:00:03 +0200 (CEST)", Some("2026-07-08T08:00:03Z")),
            ("Mon, 8 Jul 2026 10:00:03 +0200", Some("2026-07-08T08:00:03Z")),
            ("8 Jul 2026 10:00 GMT", Some("2026-07-08T10:00:00Z")),
            ("Thu, 01 Oct 15 13:48:54 UTC", Some("2015-10-01T13:48:54Z")),
            ("2026-07-08T10:00:03Z", Some("2026-07-08T10:00:03Z")),
            ("2013-07-08 18-21-01", None),
            ("yesterday (really)", None),
        ];
        for (text, want) in cases {
            let date = read(text).unwrap();
            assert_eq!(date.text, text);
            assert_eq!(date.at.map(Timestamp::rfc3339).as_deref(), want, "{text:?}");
        }
        assert_eq!(read("  "), None);
    }

    #[test]
    fn retry_windows_in_words() {
        let sent = Some(Timestamp::from_seconds(1_000_000));
        let arrived = Some(Timestamp::from_seconds(900_000));
        let cases = [
            ("Gmail will retry for 47 more hours. You'll be", Some(1_000_000 + 47 * 3_600)),
            ("Message will be retried for 2 more day(s)", Some(1_000_000 + 2 * 86_400)),
            ("It will be retried until it is 4 day(s) old.", Some(900_000 + 4 * 86_400)),
            ("Will keep trying until message is 8 hours old", Some(900_000 + 8 * 3_600)),
            ("The message is kept in the queue for up to 4 days.", Some(900_000 + 4 * 86_400)),
            ("will retry for ever", None),
            ("will retry for 99999999999999999999 days", None),
        ];
        for (text, want) in cases {
            let found = retry_in_words(0, &split_lines(text, &Meter::default()), sent, arrived);
            let got = found.and_then(|f| f.value.at).map(Timestamp::seconds);
            assert_eq!(got, want, "{text:?}");
        }
    }
}
