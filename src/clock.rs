//! The only reader of the time. Everything else gets the time as an argument.
//!
//! Units: [`Timestamp`] is UTC milliseconds since 1970-01-01, [`Instant`] is the monotonic clock.

use std::time::Duration;

/// A point in time: UTC milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Makes a timestamp of UTC milliseconds since 1970.
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Makes a timestamp of UTC seconds since 1970; saturates.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// UTC milliseconds since 1970.
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// UTC seconds since 1970, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The UTC day that holds this instant.
    pub const fn day(self) -> Day {
        Day::of_seconds(self.seconds())
    }

    /// This instant moved by `duration` into the future; saturates.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Milliseconds from `earlier` to this instant; negative if `earlier` is later.
    pub const fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The instant as RFC 3339 in UTC with seconds, or milliseconds where there are any.
    pub fn rfc3339(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => timestamp.to_string(),
            // Out of the calendar's range (year 9999): no reporter means it, but it must be shown.
            Err(_) => format!("@{}", self.seconds()),
        }
    }
}

/// A UTC calendar day: days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

impl Day {
    /// The day that holds an instant given in UTC seconds; clamped to 32 bits.
    pub const fn of_seconds(seconds: i64) -> Self {
        let day = seconds.div_euclid(86_400);
        if day > i32::MAX as i64 {
            Self(i32::MAX)
        } else if day < i32::MIN as i64 {
            Self(i32::MIN)
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
            Self(day as i32)
        }
    }

    /// The first second of the day, UTC.
    pub const fn start_seconds(self) -> i64 {
        self.0 as i64 * 86_400
    }

    /// The day as `YYYY-MM-DD`.
    pub fn iso(self) -> String {
        let text = Timestamp::from_seconds(self.start_seconds()).rfc3339();
        match text.split_once('T') {
            Some((date, _)) => date.to_owned(),
            None => text,
        }
    }
}

/// A point on the monotonic clock, for deadlines and durations.
pub type Instant = std::time::Instant;

/// Where the time comes from: the system in the product, a fixed value in tests.
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        now()
    }
}

/// A clock that stands still, for tests and replays.
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(pub Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// Reads the wall clock of the operating system.
#[expect(clippy::disallowed_methods, reason = "this module is the reader of the time")]
pub fn now() -> Timestamp {
    match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
        // A clock before 1970 is not set: 1970 is as good a value as any other wrong one.
        Err(_) => Timestamp(0),
    }
}

/// Reads the monotonic clock of the operating system.
#[expect(clippy::disallowed_methods, reason = "this module is the reader of the time")]
pub fn instant() -> Instant {
    std::time::Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_text() {
        assert_eq!(Timestamp::from_seconds(1_772_323_200).rfc3339(), "2026-03-01T00:00:00Z");
        assert_eq!(Timestamp::from_seconds(1_772_323_199).day().iso(), "2026-02-28");
        assert_eq!(Timestamp::from_ms(-1).day(), Day(-1));
        assert_eq!(Timestamp::from_ms(1500).rfc3339(), "1970-01-01T00:00:01.5Z");
    }
}
