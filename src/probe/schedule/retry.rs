//! When a probe that was put off is tried again, and when a route keeps still for a while.
//!
//! A greylisting host lets a message in once the same address, envelope sender and recipient come again after a while
//! (RFC 6647 §2): a retry is the same probe, byte for byte, from the same address. Hosts ask for a minute to an hour; the
//! pauses grow, and where a destination's own pause has been learned, the first retry comes just after it.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::limits;

/// When a probe is tried again that was put off; `None` once there is no more time.
///
/// `attempts`: how many there were. `last_at`: when the last one ended. `lost_at`: when the probe is given up.
/// `learned`: after how long this destination took the last probe that it had put off.
pub fn next_retry(
    attempts: u32,
    last_at: Timestamp,
    lost_at: Timestamp,
    learned: Option<Duration>,
) -> Option<Timestamp> {
    let steps = &limits::PROBE_RETRY_AFTER;
    let step = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let longest = steps.last().copied().unwrap_or(Duration::MAX);
    let mut pause = steps.get(step).copied().unwrap_or(longest);
    if let (0, Some(learned)) = (step, learned) {
        // A little later than what was enough, never sooner than a host can ask of a sender (RFC 5321 §4.5.4.1 has
        // half an hour for a queue; hosts that greylist let in after one minute).
        pause = (learned + learned / 10).clamp(limits::PROBE_RETRY_LEAST, longest);
    }
    let at = last_at.after(pause);
    (at < lost_at).then_some(at)
}

/// How long a route keeps still, after a reply that named policy or reputation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// How many such replies there were without an accepted probe between.
    pub step: u32,
    /// Until when nothing is sent.
    pub until: Timestamp,
}

/// The back-off after one more such reply: an hour, then twice as long each time, at most
/// [`limits::PROBE_BACK_OFF`]'s second value.
pub fn back_off(before: Option<BackOff>, now: Timestamp) -> BackOff {
    // A reply to a probe that was on its way when the route fell silent says nothing new.
    if let Some(before) = before.filter(|before| before.until > now) {
        return before;
    }
    let step = before.map_or(1, |before| before.step.saturating_add(1));
    let (first, longest) = limits::PROBE_BACK_OFF;
    let factor = 1u32.checked_shl(step - 1).unwrap_or(u32::MAX);
    BackOff { step, until: now.after(first.saturating_mul(factor).min(longest)) }
}

/// Until when a route keeps still, at this instant.
///
/// A clock that was set back must not make it longer than it can be.
pub fn backs_off_until(back_off: Option<BackOff>, now: Timestamp) -> Option<Timestamp> {
    let until = back_off?.until;
    (until > now && until <= now.after(limits::PROBE_BACK_OFF.1)).then_some(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3_600);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_seconds(1_790_000_000 + minutes * 60)
    }

    #[test]
    fn pauses_grow_and_end_with_the_time() {
        let mut now = at(0);
        let mut retries = Vec::new();
        for attempts in 1.. {
            match next_retry(attempts, now, at(240), None) {
                Some(next) => {
                    retries.push(next.ms_since(at(0)) / 60_000);
                    now = next;
                }
                None => break,
            }
        }
        assert_eq!(retries, [5, 15, 35, 65, 95, 125, 155, 185, 215]);
        // No time for a single one.
        assert_eq!(next_retry(1, at(0), at(5), None), None);
        assert_eq!(next_retry(u32::MAX, at(0), at(240), None), Some(at(30)));
        assert_eq!(next_retry(0, at(0), at(240), None), Some(at(5)));
    }

    #[test]
    fn what_was_learned_moves_the_first_retry_only() {
        let first =
            |learned| next_retry(1, at(0), at(600), Some(learned)).map(|at_| at_.ms_since(at(0)) / 1_000);
        assert_eq!(first(Duration::from_secs(300)), Some(330));
        assert_eq!(first(10 * MINUTE), Some(660));
        assert_eq!(first(Duration::ZERO), Some(60));
        assert_eq!(first(10 * HOUR), Some(1_800));
        assert_eq!(next_retry(2, at(0), at(600), Some(MINUTE)), Some(at(10)));
    }

    #[test]
    fn a_route_keeps_still_for_longer_each_time() {
        let mut last = None;
        let mut now = at(0);
        let mut hours = Vec::new();
        for _ in 0..7 {
            let next = back_off(last, now);
            hours.push(next.until.ms_since(now) / 3_600_000);
            // Another such reply while it is silent changes nothing.
            assert_eq!(back_off(Some(next), now.after(MINUTE)), next);
            assert_eq!(backs_off_until(Some(next), now), Some(next.until));
            now = next.until;
            assert_eq!(backs_off_until(Some(next), now), None);
            last = Some(next);
        }
        assert_eq!(hours, [1, 2, 4, 8, 16, 24, 24]);
        assert_eq!(backs_off_until(None, now), None);
        // The clock was set back by a year: no year of silence.
        assert_eq!(backs_off_until(last, at(-525_600)), None);
        let endless = BackOff { step: u32::MAX, until: at(0) };
        assert_eq!(back_off(Some(endless), at(0)).until.ms_since(at(0)), 24 * 3_600_000);
    }
}
