use proptest::prelude::*;

use super::*;

fn span(low_ms: i64, high_ms: i64) -> Span {
    Span { low_ms, high_ms }
}

fn latencies(spans: &[(i64, i64)]) -> Latencies {
    let mut all = Latencies::default();
    for (low, high) in spans {
        all.add(span(*low, *high));
    }
    all
}

#[test]
fn a_latency_is_an_interval() {
    let of = |ms, error_ms| Span::of(Latency { ms, error_ms });
    assert_eq!(of(42_000, 1_000), span(41_000, 43_000));
    assert_eq!(of(500, 0), span(500, 500));
    // Nothing arrives before it is sent, and an error is no direction.
    assert_eq!(of(500, 2_000), span(0, 2_500));
    assert_eq!(of(-5, 2), span(0, 0));
    assert_eq!(of(7, -3), span(7, 7));
    assert_eq!(of(i64::MAX, i64::MAX), span(0, i64::MAX));
}

#[test]
fn intervals_for_eyes() {
    for (low, high, want) in [
        (0, 0, "0 ms"),
        (850, 850, "850 ms"),
        (120, 180, "120-180 ms"),
        (1_234, 1_234, "1.2 s"),
        (1_250, 1_399, "1.2-1.4 s"),
        (41_000, 43_000, "41-43 s"),
        (41_900, 42_100, "41-43 s"),
        (41_600, 41_600, "42 s"),
        (700, 2_000, "0.7-2.0 s"),
        (119_001, 119_999, "119-120 s"),
        (0, 600_000, "0-10 min"),
        (150_000, 150_000, "2.5 min"),
        (7_200_000, 9_000_000, "2.0-2.5 h"),
    ] {
        assert_eq!(span(low, high).text(), want, "{low} {high}");
    }
    assert!(!span(i64::MIN, i64::MAX).text().is_empty());
}

/// By hand, nearest rank: of ten values the 5th, 9th, 10th, 10th; low and high ends each for themselves.
#[test]
fn percentiles_of_low_and_high_ends_apart() {
    let mut ten = latencies(&[
        (10, 90),
        (20, 21),
        (30, 31),
        (40, 41),
        (50, 51),
        (60, 61),
        (70, 71),
        (80, 81),
        (5, 95),
        (100, 101),
    ]);
    // Low: 5 10 20 30 40 50 60 70 80 100; high: 21 31 41 51 61 71 81 90 95 101.
    assert_eq!(
        ten.percentiles(),
        Some(Percentiles { p50: span(40, 61), p90: span(80, 95), p95: span(100, 101), p99: span(100, 101) })
    );
    assert_eq!(
        latencies(&[(7, 9)]).percentiles().map(|all| (all.p50, all.p99)),
        Some((span(7, 9), span(7, 9)))
    );
    assert_eq!(latencies(&[]).percentiles(), None);
    // The 99th of 200 is the 198th.
    let many: Vec<(i64, i64)> = (1..=200).map(|ms| (ms, ms)).collect();
    assert_eq!(latencies(&many).percentiles().map(|all| all.p99), Some(span(198, 198)));
}

#[test]
fn steps_hold_what_they_stand_for() {
    for ms in (0..5_000).chain([59_999, 86_400_000, i64::MAX / 4, i64::MAX]) {
        let (low, high) = bounds(step_of(ms));
        assert!(low <= ms && ms <= high, "{ms}: {low} {high}");
        assert!(high.saturating_sub(low) <= ms / 31, "{ms}: {low} {high}");
    }
}

#[test]
fn memory_is_bounded_and_intervals_only_widen() {
    let mut groups = Groups::default();
    let number = i64::try_from(limits::LATENCIES_EXACT).unwrap() + 1_000;
    for at in 0..number {
        assert!(groups.add(at % 2, span(at % 1_000, at % 1_000 + 10)));
    }
    for group in 2..i64::try_from(limits::PROBE_GROUPS).unwrap() {
        assert!(groups.add(group, span(1, 1)));
    }
    assert!(!groups.add(i64::MAX, span(1, 1)), "one group too many");
    assert!(groups.exact <= limits::LATENCIES_EXACT);
    let mut first = groups.into_groups().remove(&0).unwrap();
    assert_eq!(i64::try_from(first.len()).unwrap(), number / 2);
    // Even numbers below 1,000: the median is 498.
    let median = first.percentiles().unwrap().p50;
    assert!(median.low_ms <= 498 && median.high_ms >= 508, "{median:?}");
    assert!(median.low_ms >= 480 && median.high_ms <= 530, "{median:?}");
}

/// `latency = 100 ms + size / 1,000 bytes a ms`, with a third of the points wild.
#[test]
fn wild_points_do_not_move_the_line() {
    let mut points: Vec<(u64, i64)> =
        (1..=20).map(|n| (n * 100_000, 100 + i64::try_from(n).unwrap() * 100)).collect();
    for (at, point) in points.iter_mut().enumerate() {
        if at % 4 == 3 {
            point.1 += 100_000;
        }
    }
    let line = theil_sen(&points).unwrap();
    assert!((line.fixed_ms - 100.0).abs() < 1.0, "{line:?}");
    assert_eq!(line.bytes_per_second(), Some(1_000_000));
    assert_eq!((line.fixed_whole_ms(), line.sizes), (100, 20));
}

/// By hand: (0,1) (1,2) (2,3) (3,10) … slopes 1 1 3 1 4 7 → median 2 for four points; eight points at least here.
#[test]
fn slopes_by_hand() {
    let points = [(0, 10), (0, 10), (1, 12), (1, 12), (2, 14), (2, 14), (3, 16), (3, 16)];
    let line = theil_sen(&points).unwrap();
    assert_eq!((line.fixed_ms, line.ms_per_byte, line.sizes), (10.0, 2.0, 4));
    assert_eq!(theil_sen(points.get(..7).unwrap()), None, "too few");
    assert_eq!(theil_sen(&[(5, 1); 20]), None, "one size tells nothing");
    // Where more bytes take less time there is no rate to tell.
    let falling: Vec<(u64, i64)> = (1..=10).map(|n| (n, 100 - i64::try_from(n).unwrap())).collect();
    assert_eq!(theil_sen(&falling).unwrap().bytes_per_second(), None);
    let many: Vec<(u64, i64)> =
        (0..50_000u64).map(|n| (n % 7, i64::try_from(n % 7).unwrap() * 3 + 5)).collect();
    let line = theil_sen(&many).unwrap();
    assert_eq!((line.fixed_whole_ms(), line.ms_per_byte, line.sizes), (5, 3.0, 7));
}

/// Nine of ten probes are small and of nearly one size, and take from 1 to 5 s by chance; the large ones take 10 s more.
#[test]
fn few_large_ones_among_many_small_ones() {
    let mut sizes = Sizes::default();
    for n in 0..100_000u64 {
        let chance = i64::try_from(n * 7_919 % 4_001).unwrap();
        let (bytes, ms) = if n % 10 == 0 { (5_000_000, 13_000) } else { (2_000 + n % 50, 1_000 + chance) };
        sizes.add(bytes, span(ms, ms));
    }
    assert!(sizes.octaves.values().all(|chosen| chosen.points.len() <= limits::LINE_POINTS_OF_SIZE));
    let line = sizes.line().unwrap();
    assert!((2_000..4_000).contains(&line.fixed_whole_ms()), "{line:?}");
    assert!((400_000..600_000).contains(&line.bytes_per_second().unwrap()), "{line:?}");
    let mut small = Sizes::default();
    for n in 0..1_000u64 {
        small.add(2_000 + n % 40, span(5, i64::try_from(n).unwrap() + 5));
    }
    assert_eq!(small.line(), None, "sizes that are nearly one tell nothing");
}

proptest! {
    #[test]
    fn percentiles_rise_and_low_is_never_above_high(
        spans in prop::collection::vec((0i64..1_000_000, 0i64..100_000), 1..200),
        is_coarse in any::<bool>(),
    ) {
        let mut all = Latencies::default();
        for (low, width) in &spans {
            all.add(span(*low, low + width));
        }
        let exact = all.clone().percentiles().unwrap();
        if is_coarse {
            all.coarsen();
        }
        let found = all.percentiles().unwrap();
        let in_order = [found.p50, found.p90, found.p95, found.p99];
        for pair in in_order.windows(2) {
            prop_assert!(pair[0].low_ms <= pair[1].low_ms && pair[0].high_ms <= pair[1].high_ms);
        }
        for (found, exact) in in_order.iter().zip([exact.p50, exact.p90, exact.p95, exact.p99]) {
            prop_assert!(found.low_ms <= found.high_ms);
            // Coarse ones hold the exact ones.
            prop_assert!(found.low_ms <= exact.low_ms && exact.high_ms <= found.high_ms);
        }
    }
}
