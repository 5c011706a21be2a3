//! What a schedule of probes can see: the smallest loss that shows, how sure a rate is, how many probes a goal needs.
//!
//! Of `n` probes that are lost independently with probability `p` at least one is lost with probability `1 - (1 - p)^n`.
//! Above [`CERTAINTY`] the loss shows. A measured rate is told with its interval (Wilson's, which holds for few probes
//! and for rates at the ends). Nothing is assumed of when losses happen: an outage shorter than the interval is seen
//! with the share of it that it fills ([`outage_seen`]).

use std::time::Duration;

/// How sure one wants to be to see at least one failure.
pub const CERTAINTY: f64 = 0.95;
/// The quantile of the normal distribution for intervals of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// A share that is told with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// Probes that are needed to see a loss of `share` (0 to 1) with [`CERTAINTY`]; `None` where none are enough.
pub fn probes_for(share: f64) -> Option<u64> {
    if !(share > 0.0 && share <= 1.0) {
        return None;
    }
    if share > 1.0 - f64::EPSILON {
        return Some(1);
    }
    whole((1.0 - CERTAINTY).ln() / (-share).ln_1p())
}

/// A count, rounded up; `None` beyond what is counted.
fn whole(number: f64) -> Option<u64> {
    // A number that is whole but for the error of its last digits is that number.
    let rounded = number.round();
    let up = if (number - rounded).abs() < 1e-9 * number.max(1.0) { rounded } else { number.ceil() };
    (0.0..=9.0e15).contains(&up).then(|| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number in range"
        )]
        let count = up as u64;
        count
    })
}

/// A count as a real number.
fn real(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of probes are far below 2^53")]
    let real = count as f64;
    real
}

/// The smallest loss (0 to 1) that shows with [`CERTAINTY`] among so many probes; `None` without probes.
pub fn smallest_loss(probes: u64) -> Option<f64> {
    (probes > 0).then(|| -((1.0 - CERTAINTY).ln() / real(probes)).exp_m1())
}

/// Wilson's interval of 95 % for `hits` of `probes`; from nothing to everything without probes.
pub fn wilson(hits: u64, probes: u64) -> Interval {
    if probes == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let (n, share) = (real(probes), real(hits.min(probes)) / real(probes));
    let z2 = Z * Z;
    let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt() / (1.0 + z2 / n);
    // At the ends the formula gives exactly 0 and 1, but for rounding.
    let low = if hits == 0 { 0.0 } else { (middle - half).max(0.0) };
    let high = if hits >= probes { 1.0 } else { (middle + half).min(1.0) };
    Interval { low, high }
}

/// Probes that a series sends within a period, on the average.
pub fn probes_within(every: Duration, period: Duration) -> u64 {
    if every.is_zero() {
        return 0;
    }
    u64::try_from(period.as_millis() / every.as_millis().max(1)).unwrap_or(u64::MAX)
}

/// The longest interval that shows a loss of `share` within `period`; `None` where none does.
pub fn interval_for(share: f64, period: Duration) -> Option<Duration> {
    let probes = probes_for(share)?;
    let ms = u64::try_from(period.as_millis()).ok()?.checked_div(probes)?;
    (ms >= 1_000).then(|| Duration::from_secs(ms / 1_000))
}

/// How sure an outage of some length is seen by one probe at least: it need not meet any.
pub fn outage_seen(every: Duration, length: Duration) -> f64 {
    if every.is_zero() { 0.0 } else { (length.as_secs_f64() / every.as_secs_f64()).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers_of_probes() {
        for (share, probes) in
            [(0.1, 29), (0.05, 59), (0.01, 299), (0.001, 2_995), (0.5, 5), (1.0, 1), (0.95, 1), (0.949, 2)]
        {
            assert_eq!(probes_for(share), Some(probes), "{share}");
        }
        for share in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(probes_for(share), None, "{share}");
        }
        assert_eq!(probes_for(f64::MIN_POSITIVE), None, "more than anybody counts");
    }

    #[test]
    fn smallest_losses_match_the_numbers() {
        assert_eq!(smallest_loss(0), None);
        for probes in [1, 5, 12, 29, 59, 288, 299, 2_995, 100_000] {
            let loss = smallest_loss(probes).unwrap();
            assert_eq!(probes_for(loss), Some(probes), "{probes}: {loss}");
            // A little less does not show any more.
            assert!(probes_for(loss * 0.999).unwrap() > probes, "{probes}");
            let seen = 1.0 - (1.0 - loss).powf(real(probes));
            assert!((seen - CERTAINTY).abs() < 1e-9, "{probes}: {seen}");
        }
        assert!((smallest_loss(12).unwrap() - 0.2209).abs() < 1e-4);
        assert!((smallest_loss(288).unwrap() - 0.010_35).abs() < 1e-4);
    }

    /// Figures of R's `prop.test(correct = FALSE)` and of published tables.
    #[test]
    fn wilson_intervals_match_published_ones() {
        for (hits, probes, low, high) in [
            (1, 3, 0.0615, 0.7923),
            (0, 10, 0.0, 0.2775),
            (10, 10, 0.7225, 1.0),
            (0, 288, 0.0, 0.0132),
            (5, 10, 0.2366, 0.7634),
            (1, 100, 0.0018, 0.0545),
            (81, 263, 0.2553, 0.3662),
        ] {
            let interval = wilson(hits, probes);
            assert!((interval.low - low).abs() < 1e-4, "{hits}/{probes}: {interval:?}");
            assert!((interval.high - high).abs() < 1e-4, "{hits}/{probes}: {interval:?}");
        }
        assert_eq!(wilson(0, 0), Interval { low: 0.0, high: 1.0 });
        assert_eq!(wilson(7, 5), wilson(5, 5), "never more than all");
    }

    #[test]
    fn intervals_for_a_goal() {
        let (hour, day) = (Duration::from_secs(3_600), Duration::from_secs(86_400));
        // 299 probes in a day: one every 288 s.
        assert_eq!(interval_for(0.01, day), Some(Duration::from_secs(288)));
        assert_eq!(interval_for(0.1, hour), Some(Duration::from_secs(124)));
        assert_eq!(interval_for(0.001, hour), Some(Duration::from_secs(1)));
        assert_eq!(interval_for(0.0001, hour), None, "more than one a second");
        assert_eq!(interval_for(0.0, day), None);
        for (share, period) in [(0.01, day), (0.05, day), (0.1, hour)] {
            let every = interval_for(share, period).unwrap();
            assert!(probes_within(every, period) >= probes_for(share).unwrap(), "{share}");
        }
        assert_eq!(probes_within(Duration::from_secs(300), hour), 12);
        assert_eq!(probes_within(Duration::from_secs(7_200), hour), 0);
        assert_eq!(probes_within(Duration::ZERO, hour), 0);
    }

    #[test]
    fn short_outages_slip_through() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        assert!((outage_seen(minutes(5), minutes(1)) - 0.2).abs() < 1e-12);
        assert!((outage_seen(minutes(5), minutes(10)) - 1.0).abs() < 1e-12);
        assert!(outage_seen(Duration::ZERO, minutes(1)).abs() < 1e-12);
    }
}
