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

/// The clocks of the machine at one instant, to notice that the wall clock was set or that the machine slept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The wall clock.
    pub wall: Timestamp,
    /// The monotonic clock, which stands still while the machine sleeps.
    pub monotonic: Instant,
    /// Time since the machine started, sleep included; `None` where the system does not tell.
    pub since_boot: Option<Duration>,
}

impl Clocks {
    /// Reads all of them.
    pub fn read() -> Self {
        Self { wall: now(), monotonic: instant(), since_boot: since_boot() }
    }
}

/// What the wall clock did that time alone does not explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// How much further it went than the monotonic clock, milliseconds; negative: it was set back.
    pub ms: i64,
    /// True if most of it was sleep of the machine.
    pub is_sleep: bool,
}

/// The jump between two readings, if there was one of at least `least`.
///
/// A clock that is slewed into step, as NTP does, does not jump.
pub fn jump(before: &Clocks, after: &Clocks, least: Duration) -> Option<Jump> {
    let whole = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let awake = whole(after.monotonic.saturating_duration_since(before.monotonic));
    let ms = after.wall.ms_since(before.wall).saturating_sub(awake);
    if ms.unsigned_abs() < u64::try_from(least.as_millis()).unwrap_or(u64::MAX) {
        return None;
    }
    let slept = match (before.since_boot, after.since_boot) {
        (Some(before), Some(after)) => whole(after.saturating_sub(before)).saturating_sub(awake),
        _ => 0,
    };
    Some(Jump { ms, is_sleep: ms > 0 && slept > ms / 2 })
}

/// Time since the machine started, sleep included.
#[cfg(target_os = "linux")]
fn since_boot() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

/// Other systems tell it in other ways.
#[cfg(not(target_os = "linux"))]
fn since_boot() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_and_a_clock_that_is_set() {
        let before = Clocks::read();
        let reading = |wall: i64, monotonic: u64, boot: Option<u64>| Clocks {
            wall: Timestamp::from_ms(before.wall.ms() + wall),
            monotonic: before.monotonic + Duration::from_millis(monotonic),
            since_boot: boot.map(|ms| before.since_boot.unwrap_or_default() + Duration::from_millis(ms)),
        };
        let is = |ms, is_sleep| Some(Jump { ms, is_sleep });
        let cases = [
            (reading(1_000, 1_000, Some(1_000)), None),
            (reading(2_999, 1_000, Some(1_000)), None),
            (reading(3_000, 1_000, Some(1_000)), is(2_000, false)),
            (reading(-1_000, 1_000, Some(1_000)), is(-2_000, false)),
            (reading(3_601_000, 1_000, Some(3_601_000)), is(3_600_000, true)),
            // Asleep for an hour and set forward by ten.
            (reading(39_601_000, 1_000, Some(3_601_000)), is(39_600_000, false)),
            // A process that was stopped, or had no processor, for an hour: no clock jumped.
            (reading(3_600_000, 3_600_000, Some(3_600_000)), None),
            (reading(3_601_000, 1_000, None), is(3_600_000, false)),
        ];
        for (after, want) in cases {
            assert_eq!(jump(&before, &after, Duration::from_secs(2)), want, "{after:?}");
        }
        let since_boot = Clocks::read().since_boot;
        assert!(!cfg!(target_os = "linux") || since_boot >= before.since_boot && since_boot.is_some());
    }

    #[test]
    fn days_and_text() {
        assert_eq!(Timestamp::from_seconds(1_772_323_200).rfc3339(), "2026-03-01T00:00:00Z");
        assert_eq!(Timestamp::from_seconds(1_772_323_199).day().iso(), "2026-02-28");
        assert_eq!(Timestamp::from_ms(-1).day(), Day(-1));
        assert_eq!(Timestamp::from_ms(1500).rfc3339(), "1970-01-01T00:00:01.5Z");
    }
}
