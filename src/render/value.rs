//! One cell of an answer, before it is printed.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use crate::clock::{Day, Timestamp};
use crate::summary::percent::percent_text;

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Not known: null in JSON, `-` in a table, empty in CSV.
    Unknown,
    /// A text, as it came.
    Text(Cow<'a, str>),
    /// A yes or no.
    Flag(bool),
    /// A number that is never negative.
    Count(u64),
    /// A number.
    Integer(i64),
    /// The share of `part` in `whole`; not known of nothing.
    Percent {
        /// The part.
        part: u64,
        /// The whole.
        whole: u64,
    },
    /// A number of hundredths, shown with two decimals.
    Hundredths(i64),
    /// An instant: moved by `--tz` in tables.
    Instant(Timestamp),
    /// An edge of a report's period: its UTC day stands in tables, the edge itself elsewhere.
    Edge {
        /// The edge.
        at: Timestamp,
        /// The UTC day that it belongs to.
        day: Day,
    },
    /// A list of texts.
    List(Vec<Cow<'a, str>>),
    /// A list of objects.
    Objects(Vec<Object<'a>>),
}

/// One object of a list: its short form for tables, its fields for JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Object<'a> {
    /// The short form.
    pub text: String,
    /// The fields in order.
    pub fields: Vec<(&'static str, Value<'a>)>,
}

impl<'a> Value<'a> {
    /// A text, or not known.
    pub fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Unknown, |text| Self::Text(Cow::Borrowed(text)))
    }

    /// A count, or not known.
    pub fn count(count: Option<u64>) -> Self {
        count.map_or(Self::Unknown, Self::Count)
    }

    /// A whole number, or not known.
    pub fn integer(number: Option<i64>) -> Self {
        number.map_or(Self::Unknown, Self::Integer)
    }

    /// An instant, or not known.
    pub fn instant(at: Option<Timestamp>) -> Self {
        at.map_or(Self::Unknown, Self::Instant)
    }

    /// A list of texts.
    pub fn list<T: AsRef<str>>(items: &'a [T]) -> Self {
        Self::List(items.iter().map(|item| Cow::Borrowed(item.as_ref())).collect())
    }

    /// The begin of a period: belongs to the day that it opens.
    pub fn period_begin(first: Option<Timestamp>) -> Self {
        first.map_or(Self::Unknown, |at| Self::Edge { at, day: at.day() })
    }

    /// The end of a period: belongs to the day before, if it is midnight and not the begin as well.
    pub fn period_end(first: Option<Timestamp>, last: Option<Timestamp>) -> Self {
        let Some(at) = last else { return Self::Unknown };
        let is_after_begin = first.is_none_or(|first| first < at);
        let day = if is_after_begin { Timestamp::from_ms(at.ms().saturating_sub(1)).day() } else { at.day() };
        Self::Edge { at, day }
    }

    /// The number behind the value, for comparisons: percentages in percent.
    pub fn number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "a threshold is compared, nothing is counted")]
            Self::Count(count) => Some(*count as f64),
            #[expect(clippy::cast_precision_loss, reason = "a threshold is compared, nothing is counted")]
            Self::Integer(number) => Some(*number as f64),
            Self::Percent { part, whole } => {
                crate::summary::percent::percent_hundredths(*part, *whole).map(|h| f64::from(h) / 100.0)
            }
            #[expect(clippy::cast_precision_loss, reason = "a threshold is compared, nothing is counted")]
            Self::Hundredths(number) => Some(*number as f64 / 100.0),
            Self::Flag(flag) => Some(f64::from(u8::from(*flag))),
            _ => None,
        }
    }

    /// The cell for eyes: one text, not yet escaped. Instants stand in `zone`.
    pub fn for_eyes(&self, zone: &TimeZone) -> Cow<'_, str> {
        match self {
            Self::Unknown | Self::Percent { whole: 0, .. } => Cow::Borrowed("-"),
            Self::Edge { day, .. } => Cow::Owned(day.iso()),
            Self::Instant(at) => Cow::Owned(in_zone(*at, zone)),
            Self::List(items) if items.is_empty() => Cow::Borrowed("-"),
            Self::Objects(items) if items.is_empty() => Cow::Borrowed("-"),
            Self::List(items) => Cow::Owned(items.join(" ")),
            other => other.plain(),
        }
    }

    /// The cell for programs that read text (CSV): UTC, empty if not known.
    pub fn plain(&self) -> Cow<'_, str> {
        match self {
            Self::Unknown | Self::Percent { whole: 0, .. } => Cow::Borrowed(""),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Flag(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
            Self::Count(count) => Cow::Owned(count.to_string()),
            Self::Integer(number) => Cow::Owned(number.to_string()),
            Self::Percent { part, whole } => Cow::Owned(percent_text(*part, *whole)),
            Self::Hundredths(number) => {
                let (sign, size) = (if *number < 0 { "-" } else { "" }, number.unsigned_abs());
                Cow::Owned(format!("{sign}{}.{:02}", size / 100, size % 100))
            }
            Self::Instant(at) | Self::Edge { at, .. } => Cow::Owned(at.rfc3339()),
            Self::List(items) => Cow::Owned(items.join(" ")),
            Self::Objects(items) => {
                Cow::Owned(items.iter().map(|item| item.text.as_str()).collect::<Vec<_>>().join("; "))
            }
        }
    }
}

/// An instant for eyes, `2026-03-01 08:00:00`, in `zone`; the zone stands in the head of the table.
fn in_zone(at: Timestamp, zone: &TimeZone) -> String {
    match jiff::Timestamp::from_millisecond(at.ms()) {
        Ok(instant) => instant.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => at.rfc3339(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_belong_to_their_day() {
        let midnight = Timestamp::from_seconds(1_772_323_200);
        let next = Timestamp::from_seconds(1_772_323_200 + 86_400);
        let day = |value: Value<'_>| value.for_eyes(&TimeZone::UTC).into_owned();
        assert_eq!(day(Value::period_begin(Some(midnight))), "2026-03-01");
        assert_eq!(day(Value::period_end(Some(midnight), Some(next))), "2026-03-01");
        let last_second = Timestamp::from_seconds(next.seconds() - 1);
        assert_eq!(day(Value::period_end(Some(midnight), Some(last_second))), "2026-03-01");
        assert_eq!(day(Value::period_end(Some(midnight), Some(midnight))), "2026-03-01");
    }

    #[test]
    fn percent_of_nothing_is_not_a_number() {
        let nothing = Value::Percent { part: 0, whole: 0 };
        assert_eq!(nothing.plain(), "");
        assert_eq!(nothing.number(), None);
        assert_eq!(Value::Percent { part: 9_999, whole: 10_000 }.number(), Some(99.99));
        for (hundredths, want) in [(0, "0.00"), (-5, "-0.05"), (1_440, "14.40"), (-9_841, "-98.41")] {
            assert_eq!(Value::Hundredths(hundredths).plain(), want);
        }
        assert_eq!(Value::Hundredths(-150).number(), Some(-1.5));
    }
}
