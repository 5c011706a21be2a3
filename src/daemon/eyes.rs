//! Our own eyes while we serve: the receiver is open, our clock goes right, and probes whose time came are judged.
//!
//! Without this nothing that does not arrive is missed: a probe is lost only while somebody looked.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::{self, Instant, Timestamp};
use crate::store::{SINK_EYE, Store, StoreError};

/// How often the receiver notes that it is open.
pub const EVERY: Duration = Duration::from_secs(10);
/// How often probes are looked for whose time came.
const SETTLE_EVERY: Duration = Duration::from_secs(1);
/// By how much the wall clock may go another way than the monotonic one before it was set: half a second is what a
/// daemon that keeps the time corrects in one piece at most.
const STEP_MS: i64 = 1_000;

/// The two clocks of the machine at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    wall: Timestamp,
    monotonic: Instant,
}

impl Clocks {
    /// Reads both.
    pub fn read() -> Self {
        Self { wall: clock::now(), monotonic: clock::instant() }
    }

    /// By how many milliseconds the wall clock went on more than time did since `earlier`; `None` where it did not.
    pub fn step_since(self, earlier: Self) -> Option<i64> {
        let time = self.monotonic.saturating_duration_since(earlier.monotonic).as_millis();
        let step = self.wall.ms_since(earlier.wall).saturating_sub(i64::try_from(time).unwrap_or(i64::MAX));
        (step.abs() >= STEP_MS).then_some(step)
    }
}

/// Looks until the runtime ends. A store that fails is told in the log, and tried again.
pub async fn watch(store: Store) {
    let mut ticks = interval(SETTLE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = Clocks::read();
    let mut looked_at: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let now = Clocks::read();
        let step = now.step_since(before);
        before = now;
        let is_time = looked_at.is_none_or(|at| now.monotonic.saturating_duration_since(at) >= EVERY);
        if is_time || step.is_some() {
            looked_at = Some(now.monotonic);
        }
        let work = store.clone();
        let looks = is_time || step.is_some();
        let done = spawn_blocking(move || look(&work, now.wall, step, looks)).await;
        match done {
            Ok(Ok(())) => {}
            Ok(Err(StoreError::Closed)) | Err(_) => return,
            Ok(Err(error)) => tracing::warn!(%error, "probes cannot be judged"),
        }
    }
}

/// One look at `now`.
fn look(store: &Store, now: Timestamp, step: Option<i64>, looks: bool) -> Result<(), StoreError> {
    if let Some(by_ms) = step {
        tracing::warn!(by_ms, "the clock was set, or the machine slept");
        store.note_clock(now, by_ms)?;
    }
    // Whoever is due is judged by a look that is newer than its deadline.
    if looks || store.reader()?.has_due_probes(now)? {
        store.note_look(SINK_EYE, now, EVERY, None)?;
    }
    store.settle_due(now)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_and_one_that_is_not() {
        let start = Clocks { wall: Timestamp::from_ms(1_000_000), monotonic: clock::instant() };
        let later = |wall_ms: i64, time_ms: u64| Clocks {
            wall: Timestamp::from_ms(1_000_000 + wall_ms),
            monotonic: start.monotonic + Duration::from_millis(time_ms),
        };
        for (wall_ms, time_ms, want) in [
            (10_000, 10_000, None),
            (10_400, 10_000, None),
            (9_500, 10_000, None),
            (3_610_000, 10_000, Some(3_600_000)),
            (-50_000, 10_000, Some(-60_000)),
        ] {
            assert_eq!(later(wall_ms, time_ms).step_since(start), want, "{wall_ms} {time_ms}");
        }
    }
}
