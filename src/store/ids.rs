//! Numbers for messages and reports: 63 bits, rising with time, from no sequence.
//!
//! 42 bits of milliseconds since 1970 (until the year 2109) and 21 bits that are random for the first number
//! of a millisecond and counted on from there, so that processes do not meet; where they still do, the
//! primary key says so and the next number is taken.

use ring::rand::{SecureRandom, SystemRandom};

use crate::clock::Timestamp;

/// Bits below the milliseconds.
const LOW_BITS: u32 = 21;

/// The source of one writer.
#[derive(Debug)]
pub(super) struct IdSource {
    random: SystemRandom,
    last: i64,
}

impl IdSource {
    /// Makes a source.
    pub(super) fn new() -> Self {
        Self { random: SystemRandom::new(), last: 0 }
    }

    /// The next number at `now`: larger than every one before, whatever the clock does.
    pub(super) fn next(&mut self, now: Timestamp) -> i64 {
        let ms = now.ms().clamp(0, (1 << 42) - 1);
        let floor = ms << LOW_BITS;
        self.last = if floor > self.last {
            let mut bytes = [0u8; 4];
            // Without randomness the number is still new in this process, and the primary key protects it.
            let low = match self.random.fill(&mut bytes) {
                Ok(()) => i64::from(u32::from_le_bytes(bytes) >> (32 - LOW_BITS)),
                Err(_) => 0,
            };
            // Half of the range stays free for counting on.
            floor | (low >> 1)
        } else {
            self.last.saturating_add(1)
        };
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rising_even_when_the_clock_steps_back() {
        let mut ids = IdSource::new();
        let mut last = 0;
        for ms in [5, 5, 5, 6, 4, 1_764_000_000_000, 1_764_000_000_000, 3, i64::MAX, i64::MAX] {
            let id = ids.next(Timestamp::from_ms(ms));
            assert!(id > last, "{id} after {last}");
            last = id;
        }
    }
}
