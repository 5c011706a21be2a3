//! The schedule in virtual time: a month in milliseconds, restarts, sleep, clocks that are set.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const START: i64 = 1_790_000_000_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(START + ms)
}

fn series(every_ms: i64, jitter: u8) -> Series {
    Series::new("hq", "plain", duration(every_ms), jitter, Duration::ZERO)
}

/// A scheduler in virtual time: it looks when it was told to, and at most every second.
struct Virtual {
    series: Series,
    memory: Memory,
    awake: Awake,
    now: Timestamp,
    runs: Vec<Run>,
    missed: Vec<Missed>,
}

impl Virtual {
    fn new(series: Series) -> Self {
        let awake = Awake { since: at(0), before: Because::Off };
        let memory = Memory::new(at(0));
        Self { series, memory, awake, now: at(0), runs: Vec::new(), missed: Vec::new() }
    }

    /// Runs until an instant, jumping from one look to the next.
    fn until(&mut self, end: Timestamp) {
        loop {
            let look = look(&self.series, self.memory, self.awake, self.now);
            self.memory = look.memory;
            self.runs.extend(look.run);
            self.missed.extend(look.missed);
            assert!(look.next_at > self.now || look.run.is_some(), "looks without end at {:?}", self.now);
            if look.next_at > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(look.next_at);
        }
    }

    /// Nothing looks until an instant; then somebody does.
    fn blind_until(&mut self, end: Timestamp, because: Because) {
        self.now = end;
        self.awake = Awake { since: end, before: because };
    }

    fn missed_runs(&self) -> u64 {
        self.missed.iter().map(|missed| missed.period.runs).sum()
    }

    fn due(&self) -> Vec<Timestamp> {
        self.runs.iter().map(|run| run.due_at).collect()
    }
}

/// The slots of a series in a period that is open at its beginning.
fn slots(series: &Series, after: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    (series.first_after(after)..series.first_after(until)).map(|slot| series.slot_at(slot)).collect()
}

#[test]
fn a_month_has_every_slot_once() {
    for (every, jitter) in [(MINUTE, 0), (5 * MINUTE, 20), (30 * MINUTE, 90), (6 * HOUR, 50), (DAY, 10)] {
        let mut schedule = Virtual::new(series(every, jitter));
        schedule.until(at(30 * DAY));
        assert_eq!(schedule.due(), slots(&schedule.series, at(0), at(30 * DAY)), "{every}");
        let count = i64::try_from(schedule.runs.len()).unwrap();
        assert!((count - 30 * DAY / every).abs() <= 1, "{every}: {count}");
        assert!(schedule.missed.is_empty());
        // Neighbours are an interval apart, give or take the jitter.
        let least = every - every * i64::from(jitter) / 100;
        assert!(schedule.due().windows(2).all(|pair| pair[1].ms_since(pair[0]) >= least));
    }
}

#[test]
fn slots_come_from_the_series_alone() {
    let one = Series::new("hq", "plain", duration(5 * MINUTE), 20, Duration::ZERO);
    assert_eq!(one.slot_at(7), series(5 * MINUTE, 20).slot_at(7));
    let others =
        [("hq2", "plain"), ("hq", "business"), ("h", "q:plain"), ("hq/mx1.example.net/ipv4", "plain")];
    let phases: BTreeSet<i64> = others
        .iter()
        .map(|(route, profile)| Series::new(route, profile, duration(5 * MINUTE), 0, Duration::ZERO))
        .map(|other| other.slot_at(0).ms())
        .collect();
    assert_eq!(phases.len(), others.len());
    assert!(phases.iter().all(|phase| (0..5 * MINUTE).contains(phase)));
    // Fixed for good: another version of the program must not send twice.
    assert_eq!(series(5 * MINUTE, 20).slot_at(6_000_000), Timestamp::from_ms(1_800_000_056_797));
    // An interval below the least is the least, and jitter does not reach the next slot.
    let fast = Series::new("hq", "plain", Duration::ZERO, 255, Duration::ZERO);
    assert_eq!(fast.every(), limits::PROBE_EVERY_LEAST);
    assert!((0..1_000).all(|slot| fast.slot_at(slot) < fast.slot_at(slot + 1)));
}

#[test]
fn the_first_week_has_half_the_rate() {
    let half = Series::new("hq", "plain", duration(5 * MINUTE), 20, duration(7 * DAY));
    let mut schedule = Virtual::new(half.clone());
    schedule.until(at(14 * DAY));
    let (first, second): (Vec<_>, Vec<_>) = schedule.due().into_iter().partition(|due| *due < at(7 * DAY));
    assert!((1_007..=1_009).contains(&first.len()), "{}", first.len());
    assert!((2_015..=2_017).contains(&second.len()), "{}", second.len());
    // What is left out is not missed.
    assert!(schedule.missed.is_empty());
    // Nor is it when nobody looked.
    let mut slept = Virtual::new(half);
    slept.blind_until(at(14 * DAY), Because::Asleep);
    slept.until(at(14 * DAY));
    let together = slept.missed_runs() + slept.runs.len() as u64;
    let made_up = u64::from(slept.memory.done_until < *schedule.due().last().unwrap());
    assert_eq!(together + made_up, schedule.runs.len() as u64);
}

#[test]
fn profiles_have_their_turn() {
    for half in [0, 7] {
        let mut schedule =
            Virtual::new(Series::new("hq", "in-turn", duration(5 * MINUTE), 20, duration(half * DAY)));
        schedule.until(at(6 * DAY));
        let turns: Vec<u64> = schedule.runs.iter().map(|run| run.turn % 3).collect();
        assert!(turns.len() > 800 && turns.windows(2).all(|pair| (pair[0] + 1) % 3 == pair[1]), "{half}");
    }
}

#[test]
fn what_was_slept_over_is_missed_and_makes_no_burst() {
    for hours in [1, 7, 24 * 365] {
        let mut schedule = Virtual::new(series(5 * MINUTE, 20));
        schedule.until(at(HOUR));
        let before = schedule.runs.len();
        let end = at(HOUR + hours * HOUR);
        schedule.blind_until(end, Because::Asleep);
        schedule.until(end.after(duration(10 * MINUTE)));
        let all = slots(&schedule.series, at(0), schedule.now);
        assert_eq!(schedule.runs.len() as u64 + schedule.missed_runs(), all.len() as u64);
        // Two intervals and the one made up for.
        assert!(schedule.runs.len() - before <= 3);
        let [missed] = schedule.missed.as_slice() else { panic!("{:?}", schedule.missed) };
        assert_eq!(missed.because, Because::Asleep);
        assert!(missed.period.from > at(HOUR) && missed.period.to < end);
        assert!(schedule.runs[before..].iter().all(|run| run.due_at >= end));
    }
}

#[test]
fn a_restart_neither_doubles_nor_skips() {
    // Restarts at every second of an interval, each down for two seconds.
    let every = 5 * MINUTE;
    for second in 0..300 {
        let mut schedule = Virtual::new(series(every, 20));
        let down = at(HOUR + second * 1_000);
        schedule.until(down);
        schedule.blind_until(down.after(Duration::from_secs(2)), Because::Off);
        schedule.until(at(2 * HOUR));
        let all = slots(&schedule.series, at(0), at(2 * HOUR));
        assert_eq!(schedule.runs.len(), all.len(), "down at {second} s");
        assert!(schedule.missed.is_empty());
        // What is made up for comes within the time of grace.
        let late = schedule.due().iter().zip(&all).map(|(due, slot)| due.ms_since(*slot)).max();
        assert!(late.is_some_and(|late| late <= 62_000), "{late:?}");
    }
    // The same at the same instant: the second start has nothing to do.
    let mut schedule = Virtual::new(series(every, 20));
    schedule.until(at(HOUR));
    let count = schedule.runs.len();
    for _ in 0..10 {
        schedule.blind_until(schedule.now, Because::Off);
        schedule.until(schedule.now);
    }
    assert_eq!(schedule.runs.len(), count);
}

#[test]
fn a_thousand_series_start_again_without_a_burst() {
    let all: Vec<Series> = (0..1_000)
        .map(|n| Series::new(&format!("r{n}"), "plain", duration(MINUTE), 20, Duration::ZERO))
        .collect();
    let awake = Awake { since: at(HOUR), before: Because::Off };
    // Handled up to a minute before the end of the rest.
    let memory = Memory { done_until: at(HOUR - MINUTE), ..Memory::new(at(0)) };
    let mut seconds = [0u32; 60];
    for series in &all {
        let mut memory = memory;
        let mut now = awake.since;
        while now < at(HOUR + MINUTE) {
            let look = look(series, memory, awake, now);
            memory = look.memory;
            if look.run.is_some() {
                seconds[usize::try_from(now.ms_since(awake.since) / 1_000).unwrap()] += 1;
            }
            now = look.next_at;
        }
    }
    let sum: u32 = seconds.iter().sum();
    assert!((1_000..=2_100).contains(&sum), "{sum}");
    // 17 a second is the usual rate; those that are made up for share half a minute.
    assert!(seconds.iter().all(|count| *count <= 60), "{seconds:?}");
}

#[test]
fn a_clock_that_is_set() {
    // Forward by a day: the day is missed.
    let mut schedule = Virtual::new(series(5 * MINUTE, 20));
    schedule.until(at(HOUR));
    schedule.blind_until(at(DAY), Because::ClockSet);
    schedule.until(at(DAY + HOUR));
    assert_eq!(schedule.missed.len(), 1);
    assert_eq!(schedule.missed[0].because, Because::ClockSet);
    // And back again: probes go on at once, and what is behind is not done twice in one go.
    let count = schedule.runs.len();
    schedule.blind_until(at(2 * HOUR), Because::ClockSet);
    schedule.until(at(3 * HOUR));
    assert!((11..=13).contains(&(schedule.runs.len() - count)), "{}", schedule.runs.len() - count);
    // Back by less than an interval: no slot twice.
    let mut schedule = Virtual::new(series(5 * MINUTE, 20));
    schedule.until(at(HOUR));
    schedule.blind_until(at(HOUR - 3 * MINUTE), Because::ClockSet);
    schedule.until(at(2 * HOUR));
    assert_eq!(schedule.due(), slots(&schedule.series, at(0), at(2 * HOUR)));
}

#[test]
fn a_stall_of_ours_is_missed_too() {
    let mut schedule = Virtual::new(series(MINUTE, 0));
    schedule.until(at(HOUR));
    let count = schedule.runs.len();
    // No jump of the clock, so nobody says that it was away.
    schedule.now = at(HOUR + 10 * MINUTE);
    schedule.until(schedule.now);
    assert!(schedule.missed.iter().all(|missed| missed.because == Because::Late));
    assert!(schedule.runs.len() - count <= 1);
    assert_eq!(schedule.missed_runs() + (schedule.runs.len() - count) as u64, 10);
}

#[test]
fn three_quick_ones_after_a_bad_one() {
    let every = 5 * MINUTE;
    let mut schedule = Virtual::new(series(every, 0));
    schedule.until(at(HOUR));
    let bad = |schedule: &mut Virtual, is_bad| {
        schedule.memory = after_outcome(&schedule.series, schedule.memory, is_bad, schedule.now);
    };
    let quick = |schedule: &Virtual| schedule.runs.iter().filter(|run| run.is_quick).count();
    bad(&mut schedule, true);
    schedule.until(at(HOUR + 3 * MINUTE));
    let regular = slots(&schedule.series, at(HOUR), schedule.now).len();
    let sent = schedule.due().iter().filter(|due| **due > at(HOUR)).count();
    assert_eq!((quick(&schedule), sent), (3, 3 + regular));
    let before = quick(&schedule);
    // It stays down: back to the interval.
    bad(&mut schedule, true);
    bad(&mut schedule, true);
    schedule.until(at(2 * HOUR));
    assert_eq!(quick(&schedule), before);
    assert_eq!(schedule.memory.quick.left, 0);
    // A good one, and a bad one: three again, a tenth of the interval apart.
    bad(&mut schedule, false);
    let start = schedule.now;
    bad(&mut schedule, true);
    assert_eq!(schedule.memory.quick.at, Some(start.after(duration(every / 10))));
    schedule.until(at(3 * HOUR));
    assert!(quick(&schedule) - before >= 2);
    // Those that were slept over are not made up for.
    bad(&mut schedule, false);
    bad(&mut schedule, true);
    let before = quick(&schedule);
    schedule.blind_until(at(9 * HOUR), Because::Asleep);
    schedule.until(at(10 * HOUR));
    assert_eq!(quick(&schedule), before);
    // Every second one is bad: never more than four in the place of one.
    let mut schedule = Virtual::new(series(every, 0));
    for minute in 0..24 * 60 {
        let count = schedule.runs.len();
        schedule.until(at(minute * MINUTE));
        for run in count..schedule.runs.len() {
            bad(&mut schedule, run % 2 == 0);
        }
    }
    assert!(schedule.runs.len() <= 4 * 24 * 12 + 4, "{}", schedule.runs.len());
}

proptest! {
    /// Whatever happens, every slot is sent or missed, once.
    #[test]
    fn no_slot_is_lost_or_doubled(
        every in 1_000i64..10_000_000,
        jitter in 0u8..=90,
        half_days in 0i64..3,
        rests in proptest::collection::vec((1i64..20_000_000, 0i64..20_000_000), 0..20),
    ) {
        let half = duration(half_days * DAY / 10);
        let series = Series::new("r", "p", duration(every), jitter, half);
        let mut schedule = Virtual::new(series.clone());
        for (run, rest) in rests {
            schedule.until(schedule.now.after(duration(run)));
            schedule.blind_until(schedule.now.after(duration(rest)), Because::Off);
        }
        schedule.until(schedule.now.after(duration(3 * every)));
        let done = schedule.memory.done_until;
        let expected = slots(&series, at(0), done);
        let first = series.first_after(at(0));
        let kept = (first..).zip(&expected).filter(|(slot, _)| !series.is_left_out(*slot, at(0))).count();
        prop_assert_eq!(schedule.runs.len() as u64 + schedule.missed_runs(), kept as u64);
        let due: BTreeSet<_> = schedule.due().into_iter().collect();
        prop_assert_eq!(due.len(), schedule.runs.len());
        // Periods of what was missed follow each other and never overlap.
        prop_assert!(schedule.missed.windows(2).all(|pair| pair[0].period.to < pair[1].period.from));
        prop_assert!(schedule.missed.iter().all(|missed| missed.after < missed.period.from));
    }
}
