//! How long probes took: percentiles of intervals, and what a byte costs.
//!
//! A latency is an interval: the middle and the half width are known, and the truth lies somewhere within. So a percentile is
//! an interval too: that of all low ends to that of all high ends. Nothing in between is claimed.

use std::collections::BTreeMap;

use crate::limits;
use crate::probe::lifecycle::Latency;

/// A duration that lies between two, milliseconds, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// At least so long.
    pub low_ms: i64,
    /// At most so long.
    pub high_ms: i64,
}

impl Span {
    /// The interval of a latency. What arrives cannot have been sent later: nothing is below 0.
    pub fn of(latency: Latency) -> Self {
        let error = latency.error_ms.max(0);
        let high_ms = latency.ms.saturating_add(error).max(0);
        Self { low_ms: latency.ms.saturating_sub(error).clamp(0, high_ms), high_ms }
    }

    /// Its middle.
    pub const fn middle_ms(self) -> i64 {
        self.low_ms + (self.high_ms - self.low_ms) / 2
    }

    /// For eyes: `850 ms`, `1.2-1.4 s`, `41-43 s`, `12-13 min`, `2.1 h`. The low end is rounded down, the high one up.
    pub fn text(self) -> String {
        // Tenths below ten of a unit, whole ones above.
        let (unit, name, places) = match self.high_ms {
            ..1_000 => (1, "ms", 1),
            1_000..10_000 => (1_000, "s", 10),
            10_000..120_000 => (1_000, "s", 1),
            120_000..600_000 => (60_000, "min", 10),
            600_000..7_200_000 => (60_000, "min", 1),
            _ => (3_600_000, "h", 10),
        };
        let low = i128::from(self.low_ms) * places / unit;
        let high = (i128::from(self.high_ms) * places + unit - 1) / unit;
        let one = |value: i128| match places {
            10 => format!("{}.{}", value / 10, value % 10),
            _ => value.to_string(),
        };
        if self.low_ms == self.high_ms || low == high {
            // One number is rounded to the nearest.
            let near = (i128::from(self.high_ms) * places + unit / 2) / unit;
            return format!("{} {name}", one(near));
        }
        format!("{}-{} {name}", one(low), one(high))
    }
}

// ---- Percentiles ----

/// The percentiles that are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentiles {
    /// The median.
    pub p50: Span,
    /// 95 % took no longer.
    pub p95: Span,
    /// 90 % took no longer.
    pub p90: Span,
    /// 99 % took no longer.
    pub p99: Span,
}

/// The latencies of one group: each as it is, or beyond a number of them in steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latencies {
    kept: Kept,
    count: u64,
}

/// How they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kept {
    /// Each end as it is.
    Exact { low: Vec<i64>, high: Vec<i64> },
    /// The number of each end a step.
    Steps { low: BTreeMap<u32, u64>, high: BTreeMap<u32, u64> },
}

impl Default for Latencies {
    fn default() -> Self {
        Self { kept: Kept::Exact { low: Vec::new(), high: Vec::new() }, count: 0 }
    }
}

impl Latencies {
    /// The number of latencies.
    pub const fn len(&self) -> u64 {
        self.count
    }

    /// True without any.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Latencies that are kept one by one.
    fn exact(&self) -> usize {
        match &self.kept {
            Kept::Exact { low, .. } => low.len(),
            Kept::Steps { .. } => 0,
        }
    }

    /// Adds one.
    pub fn add(&mut self, span: Span) {
        self.count += 1;
        match &mut self.kept {
            Kept::Exact { low, high } => {
                low.push(span.low_ms);
                high.push(span.high_ms);
            }
            Kept::Steps { low, high } => {
                *low.entry(step_of(span.low_ms)).or_default() += 1;
                *high.entry(step_of(span.high_ms)).or_default() += 1;
            }
        }
    }

    /// Goes over to steps: less memory, and intervals wider by at most [`STEPS_PER_OCTAVE`]th of an octave.
    fn coarsen(&mut self) {
        if let Kept::Exact { low, high } = &self.kept {
            let steps = |ends: &[i64]| {
                let mut steps: BTreeMap<u32, u64> = BTreeMap::new();
                for end in ends {
                    *steps.entry(step_of(*end)).or_default() += 1;
                }
                steps
            };
            self.kept = Kept::Steps { low: steps(low), high: steps(high) };
        }
    }

    /// Makes it ready for several questions.
    fn sort(&mut self) {
        if let Kept::Exact { low, high } = &mut self.kept {
            low.sort_unstable();
            high.sort_unstable();
        }
    }

    /// The percentile by nearest rank: the smallest that is not below `percent` of all. `None` without any.
    ///
    /// Of low ends and of high ends apart; both must be sorted.
    fn percentile(&self, percent: u64) -> Option<Span> {
        // The rank from 1: ceil(percent / 100 * count).
        let rank = u128::from(percent.min(100)) * u128::from(self.count);
        let rank = u64::try_from(rank.div_ceil(100)).ok()?.max(1);
        match &self.kept {
            Kept::Exact { low, high } => {
                let at = usize::try_from(rank - 1).ok()?;
                Some(Span { low_ms: *low.get(at)?, high_ms: *high.get(at)? })
            }
            Kept::Steps { low, high } => {
                Some(Span { low_ms: bounds(at_rank(low, rank)?).0, high_ms: bounds(at_rank(high, rank)?).1 })
            }
        }
    }

    /// The percentiles that are shown; `None` without any latency.
    pub fn percentiles(&mut self) -> Option<Percentiles> {
        self.sort();
        Some(Percentiles {
            p50: self.percentile(50)?,
            p90: self.percentile(90)?,
            p95: self.percentile(95)?,
            p99: self.percentile(99)?,
        })
    }
}

/// The step at a rank from 1.
fn at_rank(steps: &BTreeMap<u32, u64>, rank: u64) -> Option<u32> {
    let mut seen = 0u64;
    steps.iter().find_map(|(step, count)| {
        seen += count;
        (seen >= rank).then_some(*step)
    })
}

/// Steps to a doubling: each is at most 3.2 % wide.
const STEPS_PER_OCTAVE: u32 = 32;

/// The step of a duration: exact below 64 ms, from there 32 to a doubling.
fn step_of(ms: i64) -> u32 {
    let ms = u64::try_from(ms).unwrap_or(0);
    let octave = 63u32.saturating_sub(ms.max(1).leading_zeros());
    if octave < 6 {
        return u32::try_from(ms).unwrap_or(0);
    }
    // The five bits below the highest one.
    let part = u32::try_from((ms >> (octave - 5)) & 31).unwrap_or(0);
    64 + (octave - 6) * STEPS_PER_OCTAVE + part
}

/// The first and last duration of a step, milliseconds.
fn bounds(step: u32) -> (i64, i64) {
    let Some(above) = step.checked_sub(64) else { return (step.into(), step.into()) };
    let (octave, part) = (above / STEPS_PER_OCTAVE + 6, above % STEPS_PER_OCTAVE);
    let width = 1i64.checked_shl(octave - 5).unwrap_or(i64::MAX);
    let low = (i64::from(part) + 32).saturating_mul(width);
    (low, low.saturating_add(width - 1))
}

/// Latencies by group, in bounded memory: [`limits::LATENCIES_EXACT`] of all groups together are kept one by one.
#[derive(Debug, Clone, Default)]
pub struct Groups<K: Ord> {
    groups: BTreeMap<K, Latencies>,
    exact: usize,
}

impl<K: Ord> Groups<K> {
    /// Adds a latency; false if there are [`limits::PROBE_GROUPS`] other groups already.
    pub fn add(&mut self, key: K, span: Span) -> bool {
        if self.groups.len() >= limits::PROBE_GROUPS && !self.groups.contains_key(&key) {
            return false;
        }
        let group = self.groups.entry(key).or_default();
        if self.exact >= limits::LATENCIES_EXACT {
            self.exact -= group.exact();
            group.coarsen();
        }
        let before = group.exact();
        group.add(span);
        self.exact += group.exact() - before;
        true
    }

    /// The groups in order.
    pub fn into_groups(self) -> BTreeMap<K, Latencies> {
        self.groups
    }
}

// ---- Size ----

/// How latency grows with size: `latency = fixed + per_mib * size`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// What a probe without bytes would take, milliseconds.
    pub fixed_ms: f64,
    /// What a byte adds, milliseconds; never negative where [`Self::bytes_per_second`] tells something.
    pub ms_per_byte: f64,
    /// Different sizes.
    pub sizes: usize,
}

impl Line {
    /// How many bytes a second the path takes; `None` where size costs nothing that can be seen.
    pub fn bytes_per_second(&self) -> Option<u64> {
        let rate = 1_000.0 / self.ms_per_byte;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
        let whole = (rate > 0.0 && rate < 9e15).then_some(rate as u64);
        whole
    }

    /// The fixed part in whole milliseconds; a line that meets no size below 0 costs nothing there.
    pub fn fixed_whole_ms(&self) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "clamped before")]
        let whole = self.fixed_ms.round().clamp(0.0, 9e15) as i64;
        whole
    }
}

/// Sizes with their latencies, a bounded choice: so many of each doubling of size, spread over all that came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sizes {
    /// By the exponent of the size.
    octaves: BTreeMap<u32, Chosen>,
}

/// Every `stride`-th of some points.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chosen {
    points: Vec<(u64, i64)>,
    stride: u64,
    seen: u64,
}

impl Sizes {
    /// Adds one probe.
    pub fn add(&mut self, bytes: u64, span: Span) {
        let octave = 63u32.saturating_sub(bytes.max(1).leading_zeros());
        let none = || Chosen { points: Vec::new(), stride: 1, seen: 0 };
        let chosen = self.octaves.entry(octave).or_insert_with(none);
        if chosen.seen.is_multiple_of(chosen.stride) {
            if chosen.points.len() >= limits::LINE_POINTS_OF_SIZE {
                let mut at = 0usize;
                chosen.points.retain(|_| {
                    at += 1;
                    at % 2 == 1
                });
                chosen.stride = chosen.stride.saturating_mul(2);
            }
            if chosen.seen.is_multiple_of(chosen.stride) {
                chosen.points.push((bytes, span.middle_ms()));
            }
        }
        chosen.seen += 1;
    }

    /// The line through them; see [`theil_sen`].
    pub fn line(&self) -> Option<Line> {
        let points: Vec<(u64, i64)> =
            self.octaves.values().flat_map(|chosen| chosen.points.clone()).collect();
        theil_sen(&points)
    }
}

/// The line of Theil and Sen through points (bytes, milliseconds): the median of all slopes between two sizes, and the median
/// of what is left. A quarter of the points may be wild without moving it.
///
/// Only sizes of which one is at least twice the other are compared: between messages that differ by a word, latency differs
/// by chance, and such slopes would outnumber the others.
///
/// `None` with fewer than [`limits::LINE_POINTS_LEAST`] points or one size only. Of more than [`limits::LINE_POINTS`] every
/// n-th in the order of size and latency is taken.
pub fn theil_sen(points: &[(u64, i64)]) -> Option<Line> {
    if points.len() < limits::LINE_POINTS_LEAST {
        return None;
    }
    let mut sorted: Vec<(u64, i64)> = points.to_vec();
    sorted.sort_unstable();
    let stride = sorted.len().div_ceil(limits::LINE_POINTS).max(1);
    let chosen: Vec<(f64, f64)> =
        sorted.iter().step_by(stride).map(|(bytes, ms)| (float(*bytes), signed(*ms))).collect();
    let mut slopes = Vec::new();
    for (at, (bytes, ms)) in chosen.iter().enumerate() {
        for (more_bytes, more_ms) in chosen.iter().skip(at + 1) {
            if *more_bytes >= 2.0 * bytes && more_bytes > bytes {
                slopes.push((more_ms - ms) / (more_bytes - bytes));
            }
        }
    }
    let ms_per_byte = median(&mut slopes)?;
    let mut rest: Vec<f64> = chosen.iter().map(|(bytes, ms)| ms - ms_per_byte * bytes).collect();
    sorted.dedup_by_key(|(bytes, _)| *bytes);
    Some(Line { fixed_ms: median(&mut rest)?, ms_per_byte, sizes: sorted.len() })
}

/// The median: of an even number the middle between the two in the middle.
fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    let high = *values.get(half)?;
    if values.len() % 2 == 1 {
        return Some(high);
    }
    let low = values.get(half.checked_sub(1)?)?;
    Some(f64::midpoint(*low, high))
}

/// A count as a float.
#[expect(clippy::cast_precision_loss, reason = "sizes and latencies are far below 2^53")]
const fn float(value: u64) -> f64 {
    value as f64
}

/// A number as a float.
#[expect(clippy::cast_precision_loss, reason = "sizes and latencies are far below 2^53")]
const fn signed(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests;
