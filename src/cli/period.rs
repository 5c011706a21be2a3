//! `--since`, `--until` and `--tz`: what a user writes, as half-open UTC milliseconds.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp as JiffTimestamp, ToSpan as _};

use crate::cli::exit::Failure;
use crate::clock::Timestamp;
use crate::config::file::parse_duration;
use crate::summary::Period;

/// A period as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// The period.
    pub period: Period,
    /// True if it moves with the present: `30d`, `today`.
    pub is_relative: bool,
}

/// What one end means before it is decided which end it is.
#[derive(Debug, Clone, Copy)]
enum Point {
    /// A whole day of the zone.
    Day(Date),
    /// An instant, UTC milliseconds.
    Instant(i64),
}

/// What may be written.
const FORMS: &str = "write 2026-03-01, 2026-03-01T08:00:00Z, 30d, 12h, today or yesterday";

/// Reads a zone by its name (`Europe/Berlin`, `UTC`).
///
/// Errors: wrong use.
pub fn zone(name: Option<&str>) -> Result<TimeZone, Failure> {
    let Some(name) = name else { return Ok(TimeZone::UTC) };
    if name.eq_ignore_ascii_case("utc") {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| {
        Failure::usage(
            format!("--tz: no zone {name:?} on this machine"),
            "write a name of the zone database such as Europe/Berlin, or UTC; tables of zones are in the package tzdata",
        )
    })
}

/// Reads both ends. Days are those of `zone`; `--until` includes its whole day.
///
/// Errors: wrong use, also where the period is empty.
pub fn asked(
    since: Option<&str>,
    until: Option<&str>,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Asked, Failure> {
    let mut asked = Asked::default();
    if let Some(text) = since {
        let (point, is_relative) = point("--since", text, zone, now)?;
        asked.is_relative |= is_relative;
        asked.period.since_ms = Some(start_of(point, zone, 0));
    }
    if let Some(text) = until {
        let (point, is_relative) = point("--until", text, zone, now)?;
        asked.is_relative |= is_relative;
        asked.period.until_ms = Some(match point {
            Point::Day(_) => start_of(point, zone, 1),
            Point::Instant(ms) => ms,
        });
    }
    let is_empty = asked.period.since_ms.zip(asked.period.until_ms).is_some_and(|(first, end)| first >= end);
    if is_empty {
        let (since, until) = (since.unwrap_or_default(), until.unwrap_or_default());
        return Err(Failure::usage(
            format!("--since {since} is not before --until {until}"),
            "the period is empty; swap the two or leave one out",
        ));
    }
    Ok(asked)
}

/// Reads one instant; a day is its first one.
///
/// Errors: wrong use.
pub fn instant(option: &str, text: &str, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, Failure> {
    let (point, _) = point(option, text, zone, now)?;
    Ok(Timestamp::from_ms(start_of(point, zone, 0)))
}

/// Widens a period to the whole UTC days that it touches: reports belong to days.
pub fn whole_days(mut asked: Asked) -> Asked {
    let day_ms = |day: crate::clock::Day| day.start_seconds().saturating_mul(1_000);
    let Period { since_ms, until_ms } = asked.period;
    asked.period.since_ms = since_ms.and(asked.period.first_day()).map(day_ms);
    asked.period.until_ms =
        until_ms.and(asked.period.last_day()).map(|day| day_ms(day).saturating_add(86_400_000));
    asked
}

/// The first instant of a day (moved by `days`) or the instant itself.
fn start_of(point: Point, zone: &TimeZone, days: i64) -> i64 {
    match point {
        Point::Instant(ms) => ms,
        Point::Day(date) => {
            let date = date.checked_add(days.days()).unwrap_or(date);
            // A day without midnight (a change of zone) begins with its first instant.
            match date.to_zoned_datetime(zone.clone()) {
                Ok(start) => start.timestamp().as_millisecond(),
                Err(_) => JiffTimestamp::MAX.as_millisecond(),
            }
        }
    }
}

/// Reads one end.
fn point(option: &str, text: &str, zone: &TimeZone, now: Timestamp) -> Result<(Point, bool), Failure> {
    let fault = || Failure::usage(format!("{option}: not a time: {text:?}"), FORMS);
    let text = text.trim();
    let today = || {
        let now = JiffTimestamp::from_millisecond(now.ms()).map_err(|_| fault())?;
        Ok::<Date, Failure>(now.to_zoned_datetime(zone.clone()).date())
    };
    match text {
        "today" => return Ok((Point::Day(today()?), true)),
        "yesterday" => return Ok((Point::Day(today()?.yesterday().map_err(|_| fault())?), true)),
        "now" => return Ok((Point::Instant(now.ms()), true)),
        _ => {}
    }
    if let Some(ago) = parse_duration(text) {
        let ms = i64::try_from(ago.as_millis()).map_err(|_| fault())?;
        return Ok((Point::Instant(now.ms().saturating_sub(ms)), true));
    }
    let is_date = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if is_date {
        return text.parse().map(|date| (Point::Day(date), false)).map_err(|_| fault());
    }
    // RFC 3339 §5.6: an instant has its offset.
    let instant: JiffTimestamp = text.parse().map_err(|_| fault())?;
    Ok((Point::Instant(instant.as_millisecond()), false))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-29T10:00:00Z: the day on which Berlin has 23 hours.
    const NOW: i64 = 1_774_778_400_000;
    /// Milliseconds of a day.
    const DAY: i64 = 86_400_000;

    fn ends(since: Option<&str>, until: Option<&str>, zone_name: &str) -> (Option<i64>, Option<i64>) {
        let zone = zone(Some(zone_name)).unwrap();
        let asked = asked(since, until, &zone, Timestamp::from_ms(NOW)).unwrap();
        (asked.period.since_ms, asked.period.until_ms)
    }

    #[test]
    fn whole_days_inclusive() {
        let midnight = NOW - 10 * 3_600_000;
        let cases = [
            (Some("2026-03-29"), Some("2026-03-29"), "UTC", Some(midnight), Some(midnight + DAY)),
            (Some("today"), Some("today"), "UTC", Some(midnight), Some(midnight + DAY)),
            (Some("yesterday"), None, "UTC", Some(midnight - DAY), None),
            (Some("yesterday"), Some("yesterday"), "UTC", Some(midnight - DAY), Some(midnight)),
            (Some("12h"), None, "UTC", Some(NOW - 12 * 3_600_000), None),
            (Some("30d"), Some("1d"), "UTC", Some(NOW - 30 * DAY), Some(NOW - DAY)),
            (Some("2026-03-29T08:00:00+02:00"), None, "UTC", Some(midnight + 6 * 3_600_000), None),
            // The day of the clock change: 23 hours.
            (
                Some("2026-03-29"),
                Some("2026-03-29"),
                "Europe/Berlin",
                Some(midnight - 3_600_000),
                Some(midnight + 22 * 3_600_000),
            ),
        ];
        for (since, until, zone, first, end) in cases {
            assert_eq!(ends(since, until, zone), (first, end), "{since:?} {until:?} {zone}");
        }
    }

    #[test]
    fn faults_are_wrong_use() {
        let now = Timestamp::from_ms(NOW);
        for text in ["", "2026-02-30", "2026-3-1", "soon", "30y", "-5d", "2026-03-01T00:00:00", "1e9"] {
            assert!(asked(Some(text), None, &TimeZone::UTC, now).is_err(), "{text}");
        }
        assert!(asked(Some("2026-03-02"), Some("2026-03-01"), &TimeZone::UTC, now).is_err());
        assert!(asked(Some("today"), Some("today"), &TimeZone::UTC, now).is_ok());
        assert!(zone(Some("Mars/Olympus")).is_err());
    }

    #[test]
    fn reports_belong_to_days() {
        let asked = asked(Some("12h"), Some("now"), &TimeZone::UTC, Timestamp::from_ms(NOW)).unwrap();
        let midnight = NOW - 10 * 3_600_000;
        assert!(asked.is_relative);
        let wide = whole_days(asked);
        assert_eq!(
            (wide.period.since_ms, wide.period.until_ms),
            (Some(midnight - DAY), Some(midnight + DAY))
        );
        // An exclusive end at midnight does not touch the next day.
        let edge =
            Asked { period: Period { since_ms: Some(midnight), until_ms: Some(midnight + DAY) }, ..asked };
        assert_eq!(whole_days(edge), edge);
    }
}
