use proptest::prelude::*;

use super::*;

/// 2026-03-01T00:00:00Z, a Sunday.
const MARCH: i64 = 1_772_323_200;

/// A probe in short: seconds after the first of March, state, place, latency.
fn fact(seconds: i64, state: State, place: Option<MailPlace>, latency: Option<(i64, i64)>) -> ProbeFact {
    ProbeFact {
        route: "hq".to_owned(),
        profile: Some("plain".to_owned()),
        destination: Some("example.com".to_owned()),
        mx_host: Some("mx1.mail.example.com".to_owned()),
        kind: "probe".to_owned(),
        sent_at: Timestamp::from_seconds(MARCH + seconds),
        arrived_at: None,
        state,
        place,
        latency: latency.map(|(ms, error_ms)| Latency { ms, error_ms }),
        size_bytes: Some(2_000),
        duplicates: 0,
        is_maintenance: false,
    }
}

#[test]
fn each_state_means_one_thing() {
    use Standing::{Bad, Good, Negative, NotKnown, NotSent, Waiting};
    let mut all = ProbeCounts::default();
    for (state, want) in [
        (State::Planned, NotSent),
        (State::Sending, Waiting),
        (State::Deferred, Waiting),
        (State::Refused, Bad),
        (State::InDoubt, NotKnown),
        (State::Accepted, Waiting),
        (State::InTransit, Waiting),
        (State::Overdue, Waiting),
        (State::Delayed, Waiting),
        (State::Held, Bad),
        (State::Arrived, Good),
        (State::Bounced, Bad),
        (State::Lost, Bad),
        (State::Late, Bad),
        (State::Unobserved, NotKnown),
        (State::Delivered, Good),
        (State::AsExpected, Negative),
        (State::Escaped, Negative),
        (State::Cancelled, NotSent),
    ] {
        assert_eq!(Standing::of(state), want, "{state:?}");
        all.add(&fact(0, state, None, None));
        assert_eq!(all.of(state), 1);
    }
    assert_eq!(all.probes, u64::try_from(State::ALL.len()).unwrap());
    assert_eq!((all.standing(Good), all.standing(Bad), all.decided()), (2, 5, 7));
    assert_eq!((all.standing(NotKnown), all.standing(Waiting), all.arrived()), (2, 6, 2));
}

#[test]
fn spam_copies_and_maintenance_are_told_apart() {
    let mut counts = ProbeCounts::default();
    counts.add(&fact(0, State::Arrived, Some(MailPlace::Inbox), None));
    counts.add(&fact(0, State::Arrived, Some(MailPlace::Spam), None));
    counts.add(&ProbeFact { duplicates: 3, ..fact(0, State::Late, Some(MailPlace::Spam), None) });
    counts.add(&ProbeFact { is_maintenance: true, ..fact(0, State::Lost, None, None) });
    // A place without an arrival is none.
    counts.add(&fact(0, State::Lost, Some(MailPlace::Spam), None));
    assert_eq!((counts.probes, counts.maintenance, counts.of(State::Lost)), (4, 1, 1));
    assert_eq!((counts.spam, counts.duplicated, counts.arrived()), (2, 1, 3));
}

#[test]
fn groups_by_everything() {
    let facts = [
        fact(0, State::Arrived, None, None),
        // Sunday 23:30 UTC is Monday in Zurich.
        fact(86_400 - 1_800, State::Lost, None, None),
        ProbeFact {
            mx_host: None,
            destination: None,
            profile: None,
            ..fact(90_000, State::Arrived, None, None)
        },
        ProbeFact { route: "branch".to_owned(), ..fact(0, State::Arrived, None, None) },
    ];
    let groups = |by: By, zone: &TimeZone| {
        let mut counting = Counting::new(by, zone.clone());
        for fact in &facts {
            counting.add(fact);
        }
        let (rows, totals, notes) = counting.close();
        assert_eq!((totals.probes, notes.len()), (4, 0));
        assert_eq!(rows.iter().map(|row| row.counts.probes).sum::<u64>(), 4);
        let text = |row: &ProbeGroupRow| {
            format!("{}/{}:{}", row.route, row.group.as_deref().unwrap_or("-"), row.counts.probes)
        };
        rows.iter().map(text).collect::<Vec<_>>().join(" ")
    };
    let utc = TimeZone::UTC;
    let zurich = TimeZone::get("Europe/Zurich").unwrap();
    for (by, zone, want) in [
        (By::Route, &utc, "branch/-:1 hq/-:3"),
        (By::Day, &utc, "branch/2026-03-01:1 hq/2026-03-01:2 hq/2026-03-02:1"),
        (By::Day, &zurich, "branch/2026-03-01:1 hq/2026-03-01:1 hq/2026-03-02:2"),
        (By::Hour, &utc, "branch/Sun 00:1 hq/Mon 01:1 hq/Sun 00:1 hq/Sun 23:1"),
        (By::Hour, &zurich, "branch/Sun 01:1 hq/Mon 00:1 hq/Mon 02:1 hq/Sun 01:1"),
        (By::Mx, &utc, "branch/mx1.mail.example.com:1 hq/-:1 hq/mx1.mail.example.com:2"),
        (By::MxDomain, &utc, "branch/example.com:1 hq/-:1 hq/example.com:2"),
        (By::Destination, &utc, "branch/example.com:1 hq/-:1 hq/example.com:2"),
        (By::Profile, &utc, "branch/plain:1 hq/-:1 hq/plain:2"),
    ] {
        assert_eq!(groups(by, zone), want, "{by:?} {zone:?}");
        assert_eq!(By::parse(by.as_str()), Some(by));
    }
    // An instant outside the calendar is in no group, and counted.
    let mut counting = Counting::new(By::Day, TimeZone::UTC);
    counting.add(&ProbeFact { sent_at: Timestamp::from_ms(i64::MAX), ..fact(0, State::Lost, None, None) });
    assert_eq!(counting.close().0.first().map(|row| row.group.clone()), Some(None));
}

#[test]
fn runs_that_did_not_take_place_are_no_probes() {
    let mut counting = Counting::new(By::Route, TimeZone::UTC);
    counting.add(&fact(0, State::Arrived, None, None));
    counting.add_missed("hq", Some("plain"), Timestamp::from_seconds(MARCH), 7);
    counting.add_missed("gone", None, Timestamp::from_seconds(MARCH), 2);
    let (rows, totals, _) = counting.close();
    let of = |route: &str| {
        rows.iter().find(|row| row.route == route).map(|row| (row.counts.probes, row.counts.no_data))
    };
    assert_eq!((of("hq"), of("gone")), (Some((1, 7)), Some((0, 2))));
    assert_eq!((totals.probes, totals.no_data, totals.decided()), (1, 9, 1));
}

#[test]
fn memory_is_bounded_and_nothing_is_lost() {
    let (mut counting, mut measuring) =
        (Counting::new(By::Profile, TimeZone::UTC), Measuring::new(By::Profile, TimeZone::UTC));
    let number = u64::try_from(limits::PROBE_GROUPS).unwrap() + 3;
    for at in 0..number {
        let fact =
            ProbeFact { profile: Some(format!("p{at}")), ..fact(0, State::Arrived, None, Some((5, 0))) };
        counting.add(&fact);
        measuring.add(&fact);
    }
    let (rows, totals, notes) = counting.close();
    assert_eq!((rows.len(), totals.probes, notes.len()), (limits::PROBE_GROUPS, number, 1));
    let (rows, totals, notes) = measuring.close();
    assert_eq!((rows.len(), totals.measured, notes.len()), (limits::PROBE_GROUPS, number, 1));
}

#[test]
fn what_arrived_is_measured() {
    let mut measuring = Measuring::new(By::Route, TimeZone::UTC);
    for (state, latency) in [
        (State::Arrived, Some((42_000, 1_000))),
        (State::Late, Some((90_000, 0))),
        (State::Arrived, None),
        // Neither of these arrived.
        (State::Delivered, Some((1, 0))),
        (State::Lost, Some((1, 0))),
    ] {
        measuring.add(&fact(0, state, None, latency));
    }
    measuring.add(&ProbeFact { is_maintenance: true, ..fact(0, State::Arrived, None, Some((1, 0))) });
    let (rows, totals, _) = measuring.close();
    let row = rows.first().unwrap();
    assert_eq!((row.measured, row.not_measured, totals.maintenance), (2, 1, 1));
    let percentiles = row.percentiles.unwrap();
    assert_eq!((percentiles.p50.text(), percentiles.p95.text()), ("41-43 s".to_owned(), "90 s".to_owned()));
    assert_eq!((totals.percentiles, row.fixed_ms), (row.percentiles, None));
}

proptest! {
    /// Whatever the states: each probe is in one state, one standing, one group.
    #[test]
    fn sums_of_states_are_the_number_of_probes(
        probes in prop::collection::vec((0..State::ALL.len(), any::<bool>(), 0i64..2_000_000, 0u8..4), 0..300),
        by in prop::sample::select(By::ALL.to_vec()),
    ) {
        let mut counting = Counting::new(by, TimeZone::UTC);
        for (state, is_maintenance, seconds, route) in &probes {
            let state = State::ALL[*state];
            counting.add(&ProbeFact {
                is_maintenance: *is_maintenance,
                route: format!("r{route}"),
                ..fact(*seconds, state, None, None)
            });
        }
        let (rows, totals, _) = counting.close();
        let all = [
            Standing::Good,
            Standing::Bad,
            Standing::Waiting,
            Standing::NotKnown,
            Standing::NotSent,
            Standing::Negative,
        ];
        for counts in rows.iter().map(|row| &row.counts).chain([&totals]) {
            prop_assert_eq!(State::ALL.iter().map(|state| counts.of(*state)).sum::<u64>(), counts.probes);
            prop_assert_eq!(all.iter().map(|standing| counts.standing(*standing)).sum::<u64>(), counts.probes);
        }
        prop_assert_eq!(totals.probes + totals.maintenance, u64::try_from(probes.len()).unwrap());
        prop_assert_eq!(rows.iter().map(|row| row.counts.probes).sum::<u64>(), totals.probes);
    }
}
