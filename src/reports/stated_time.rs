//! Points in time as mails and reports state them in text.
//!
//! Reading is tolerant and linear: a wrong weekday, a comment, a missing zone or an ISO date where a
//! mail date belongs costs nothing. What was missing is said, so that the caller can note it.
//!
//! Standards: RFC 5322 §3.3 and §4.3, RFC 3339 §5.6.

use crate::limits;

/// A point in time read from text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatedTime {
    /// UTC seconds since 1970.
    pub seconds: i64,
    /// What the text says of its zone.
    pub zone: Zone,
}

/// What a text says of its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// An offset, or a name with a known offset.
    Stated,
    /// Nothing: UTC was taken.
    Missing,
    /// A name without a known offset: UTC was taken (RFC 5322 §4.3).
    Unknown,
}

/// Reads a date of any kind that occurs in reports: a mail date, RFC 3339, ISO 8601 without zone, or
/// seconds or milliseconds since 1970.
///
/// Errors: `None` where no date can be made of it, also beyond the years -9999 to 9999.
pub fn read(text: &str) -> Option<StatedTime> {
    let text = text.trim();
    if text.is_empty() || text.len() > limits::DATE_BYTES {
        return None;
    }
    iso(text).or_else(|| epoch(text)).or_else(|| mail_date(text))
}

/// Reads RFC 3339 and its relatives: a blank for the `T`, no zone, no time.
pub fn iso(text: &str) -> Option<StatedTime> {
    let text = text.trim();
    if text.len() > limits::DATE_BYTES || !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Some(StatedTime { seconds: timestamp.as_second(), zone: Zone::Stated });
    }
    let civil = text.parse::<jiff::civil::DateTime>().ok()?;
    Some(StatedTime { seconds: utc_seconds(civil, 0)?, zone: Zone::Missing })
}

/// Reads whole seconds or milliseconds since 1970. Shorter numbers than those of 2001 are no dates.
fn epoch(text: &str) -> Option<StatedTime> {
    let digits = text.split('.').next().unwrap_or_default();
    let is_number = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !is_number || digits.len() < 9 {
        return None;
    }
    let value = digits.parse::<i64>().ok()?;
    let seconds = match value {
        // As seconds these would be years after 5138: they are milliseconds.
        100_000_000_000..100_000_000_000_000 => value / 1_000,
        100_000_000_000_000.. => return None,
        _ => value,
    };
    Some(StatedTime { seconds, zone: Zone::Stated })
}

/// Reads the date of a mail: `[weekday,] day month year time [zone]` with comments anywhere, and the
/// older `weekday month day time year`.
///
/// The weekday is not checked: reporters that compute it wrongly mean the date.
pub fn mail_date(text: &str) -> Option<StatedTime> {
    if text.len() > limits::DATE_BYTES {
        return None;
    }
    let plain = without_comments(text);
    let mut date = Pieces::default();
    for token in plain.split(|c: char| c.is_whitespace() || c == ',').filter(|token| !token.is_empty()) {
        date.take(token)?;
    }
    date.finish()
}

/// The pieces of a mail date as they come.
#[derive(Default)]
struct Pieces {
    day: Option<i8>,
    month: Option<i8>,
    year: Option<i16>,
    time: Option<(i8, i8, i8)>,
    offset: Option<i64>,
    has_unknown_zone: bool,
}

impl Pieces {
    /// Takes one token; `None` where it cannot stand in a date.
    fn take(&mut self, token: &str) -> Option<()> {
        let first = token.chars().next()?;
        if token.contains(':') && first.is_ascii_digit() {
            if self.time.is_none() {
                self.time = Some(clock_time(token)?);
            }
        } else if matches!(first, '+' | '-') {
            // A second offset repeats the first one in other words.
            if self.offset.is_none() {
                self.offset = Some(offset_seconds(token)?);
            }
        } else if first.is_ascii_digit() && token.contains('-') {
            // `8-Mar-2005`, as some systems write it.
            for piece in token.split('-') {
                self.take(piece)?;
            }
        } else if first.is_ascii_digit() {
            self.number(token)?;
        } else if let Some(month) = month_number(token) {
            self.month = self.month.or(Some(month));
        } else if self.time.is_some() {
            match named_offset(token) {
                Some(offset) => self.offset = self.offset.or(Some(offset)),
                None => self.has_unknown_zone = true,
            }
        } else if !token.chars().all(|c| c.is_alphabetic() || c == '.') {
            return None;
        }
        // Any other word before the time is a weekday.
        Some(())
    }

    /// Takes the day or the year.
    fn number(&mut self, token: &str) -> Option<()> {
        if !token.bytes().all(|b| b.is_ascii_digit()) || token.len() > 4 {
            return None;
        }
        let value = token.parse::<i16>().ok()?;
        if self.day.is_none() && token.len() <= 2 {
            self.day = i8::try_from(value).ok();
        } else if self.year.is_none() {
            self.year = Some(match token.len() {
                // RFC 5322 §4.3: two digits below 50 are this century, all others the last one.
                ..=2 if value < 50 => value + 2000,
                ..=3 => value + 1900,
                _ => value,
            });
        }
        Some(())
    }

    /// Makes a point in time of the pieces.
    fn finish(self) -> Option<StatedTime> {
        let (hour, minute, second) = self.time?;
        let civil =
            jiff::civil::DateTime::new(self.year?, self.month?, self.day?, hour, minute, second, 0).ok()?;
        let zone = match (self.offset, self.has_unknown_zone) {
            (Some(_), _) => Zone::Stated,
            (None, true) => Zone::Unknown,
            (None, false) => Zone::Missing,
        };
        Some(StatedTime { seconds: utc_seconds(civil, self.offset.unwrap_or(0))?, zone })
    }
}

/// UTC seconds of a civil time at an offset east of UTC.
fn utc_seconds(civil: jiff::civil::DateTime, offset: i64) -> Option<i64> {
    let utc = jiff::tz::Offset::UTC.to_timestamp(civil).ok()?;
    Some(utc.as_second() - offset)
}

/// Drops comments in brackets; an open one reaches to the end.
fn without_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    plain
}

/// Reads `hh:mm` or `hh:mm:ss` with a fraction; a leap second is the second before it.
fn clock_time(token: &str) -> Option<(i8, i8, i8)> {
    let mut pieces = token.split(':');
    let hour = pieces.next()?.parse().ok()?;
    let minute = pieces.next()?.parse().ok()?;
    let second = match pieces.next() {
        Some(text) => text.split('.').next()?.parse::<i8>().ok()?.min(59),
        None => 0,
    };
    pieces.next().is_none().then_some((hour, minute, second))
}

/// Reads `+hhmm` and `+hh:mm`: seconds east of UTC.
fn offset_seconds(token: &str) -> Option<i64> {
    let sign = if token.starts_with('-') { -1 } else { 1 };
    let digits: String = token.chars().skip(1).filter(|c| *c != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value = digits.parse::<i64>().ok()?;
    Some(sign * ((value / 100) * 3_600 + (value % 100) * 60))
}

/// Seconds east of UTC of a zone name that RFC 5322 §4.3 defines.
fn named_offset(token: &str) -> Option<i64> {
    let hours = match token.to_ascii_uppercase().as_str() {
        "UT" | "UTC" | "GMT" | "Z" => 0,
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        _ => return None,
    };
    Some(hours * 3_600)
}

/// The number of a month by its English name or the first three letters of it.
fn month_number(token: &str) -> Option<i8> {
    const NAMES: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let lower = token.trim_end_matches('.').to_ascii_lowercase();
    if lower.len() < 3 {
        return None;
    }
    let at = NAMES.iter().position(|name| name.starts_with(&lower))?;
    i8::try_from(at + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_as_they_occur() {
        let cases = [
            ("Sun, 01 Mar 2026 23:30:00 +0100 (CET)", Some((1_772_404_200, Zone::Stated))),
            ("Thu, 8 Mar 2005 14:00:00 EDT", Some((1_110_304_800, Zone::Stated))),
            ("8 Oct 2011 20:15:58 +0000 (GMT)", Some((1_318_104_958, Zone::Stated))),
            ("Wed, 14 Apr 2010 12:15:31 -0700 (PDT)", Some((1_271_272_531, Zone::Stated))),
            ("Tue,  5 Oct 2021 17:37:02 +1300 (NZDT)", Some((1_633_408_622, Zone::Stated))),
            ("(a (nested) one) 1 Mar 2026 00:00 Z", Some((1_772_323_200, Zone::Stated))),
            ("1 Mar 2026 00:00:00", Some((1_772_323_200, Zone::Missing))),
            ("1 March 26 00:00:00 CET", Some((1_772_323_200, Zone::Unknown))),
            ("1-Mar-2026 00:00:00 GMT", Some((1_772_323_200, Zone::Stated))),
            ("Sun Mar  1 00:00:00 2026", Some((1_772_323_200, Zone::Missing))),
            ("Sun Mar  1 00:00:00 UTC 2026", Some((1_772_323_200, Zone::Stated))),
            ("2026-03-01T00:00:00Z", Some((1_772_323_200, Zone::Stated))),
            ("2026-03-01T01:00:00+01:00", Some((1_772_323_200, Zone::Stated))),
            ("2026-03-01 00:00:00", Some((1_772_323_200, Zone::Missing))),
            ("2026-03-01", Some((1_772_323_200, Zone::Missing))),
            ("1772323200", Some((1_772_323_200, Zone::Stated))),
            ("1772323200000", Some((1_772_323_200, Zone::Stated))),
            ("30 Jun 2015 23:59:60 +0000", Some((1_435_708_799, Zone::Stated))),
            ("", None),
            ("yesterday", None),
            ("31 Feb 2026 00:00:00 GMT", None),
            ("1 Mar 2026", None),
            ("2026", None),
            ("99999999999999999999", None),
            ("1 Mar 2026 25:00:00 GMT", None),
            ("1 Mar 2026 00:00:00 +1", None),
        ];
        for (text, want) in cases {
            let want = want.map(|(seconds, zone)| StatedTime { seconds, zone });
            assert_eq!(read(text), want, "{text:?}");
        }
    }
}
