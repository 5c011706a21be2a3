use super::*;
use crate::probe::lifecycle::Latency;

/// 99.5 % within two minutes, over 28 days.
const PROMISE: Objective = Objective {
    within: Duration::from_secs(120),
    target_millionths: 995_000,
    window: Duration::from_secs(28 * 86_400),
};

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

/// A probe sent so many seconds before now.
fn fact(age: i64, state: State, latency: Option<(i64, i64)>) -> ProbeFact {
    ProbeFact {
        route: "hq".to_owned(),
        profile: None,
        destination: None,
        mx_host: None,
        kind: "probe".to_owned(),
        sent_at: Timestamp::from_seconds(NOW.seconds() - age),
        arrived_at: None,
        state,
        place: None,
        latency: latency.map(|(ms, error_ms)| Latency { ms, error_ms }),
        size_bytes: None,
        duplicates: 0,
        is_maintenance: false,
    }
}

#[test]
fn what_a_probe_means_for_a_promise() {
    use Standing::{Bad, Good, Negative, NotKnown, NotSent, Waiting};
    for (fact, want) in [
        (fact(500, State::Arrived, Some((120_000, 0))), Good),
        (fact(500, State::Arrived, Some((120_001, 0))), Bad),
        // From 110 to 130 s: nobody knows.
        (fact(500, State::Arrived, Some((120_000, 10_000))), NotKnown),
        (fact(500, State::Arrived, Some((100_000, 20_000))), Good),
        (fact(500, State::Arrived, Some((150_000, 20_000))), Bad),
        (fact(500, State::Arrived, None), NotKnown),
        (ProbeFact { place: Some(MailPlace::Spam), ..fact(500, State::Arrived, Some((1, 0))) }, Bad),
        (ProbeFact { place: Some(MailPlace::Category), ..fact(500, State::Arrived, Some((1, 0))) }, Good),
        (fact(500, State::Late, Some((1, 0))), Bad),
        (fact(500, State::Delivered, None), NotKnown),
        (fact(121, State::Overdue, None), Bad),
        (fact(119, State::Overdue, None), Waiting),
        (fact(500, State::Delayed, None), Bad),
        // Nobody looked yet.
        (fact(500, State::Accepted, None), Waiting),
        (fact(500, State::Deferred, None), Waiting),
        (fact(500, State::Unobserved, None), NotKnown),
        (fact(500, State::InDoubt, None), NotKnown),
        (fact(500, State::Bounced, None), Bad),
        (fact(500, State::Cancelled, None), NotSent),
        (fact(500, State::Escaped, None), Negative),
    ] {
        assert_eq!(PROMISE.judge(&fact, NOW), want, "{fact:?}");
    }
}

/// By hand: of 1,000 probes 5 may fail; 2 did: 60 % of the budget is left. 2 of 1,000 over 0.5 % burn at 0.40.
#[test]
fn budgets_by_hand() {
    let mut budget = Budget::new(PROMISE);
    assert_eq!((budget.left_hundredths(), budget.share.burn_hundredths(&PROMISE)), (None, None));
    for at in 0..1_000 {
        let state = if at < 2 { State::Lost } else { State::Arrived };
        budget.add(&fact(10 * 86_400 + at, state, Some((1_000, 0))), NOW);
    }
    assert_eq!(budget.left_hundredths(), Some(6_000));
    assert_eq!(budget.share.burn_hundredths(&PROMISE), Some(40));
    // Not within the window, under maintenance, not known, not decided: none of them counts.
    budget.add(&fact(29 * 86_400, State::Lost, None), NOW);
    budget.add(&ProbeFact { is_maintenance: true, ..fact(500, State::Lost, None) }, NOW);
    budget.add(&fact(500, State::Unobserved, None), NOW);
    budget.add(&fact(500, State::Accepted, None), NOW);
    assert_eq!((budget.share, budget.not_observed, budget.waiting), (Share { good: 998, bad: 2 }, 1, 1));
    assert_eq!(budget.burning(), [false; 3]);
    // Eight more: ten of 1,008 failed where 5.04 may: -98.41 % is left.
    for age in 0..8 {
        budget.add(&fact(10 * 86_400 + age, State::Bounced, None), NOW);
    }
    assert_eq!(budget.left_hundredths(), Some(10_000 - 19_841));
    let strict = Objective { target_millionths: 1_000_000, ..PROMISE };
    let mut budget = Budget::new(strict);
    budget.add(&fact(500, State::Arrived, Some((1, 0))), NOW);
    assert_eq!((budget.left_hundredths(), budget.share.burn_hundredths(&strict)), (Some(10_000), None));
    budget.add(&fact(500, State::Lost, None), NOW);
    assert_eq!(budget.left_hundredths(), Some(0));
}

/// Twelve probes an hour: one failure alone burns at 17 and is no alarm; two are.
#[test]
fn one_failure_is_no_trend() {
    let mut budget = Budget::new(PROMISE);
    for n in 0..12 {
        let state = if n == 0 { State::Lost } else { State::Arrived };
        budget.add(&fact(n * 300, state, Some((1, 0))), NOW);
    }
    let (long, short) = budget.burns[0];
    // 1/12 over 0.005 is 16.67; 1 of the 2 of the last five minutes is 100.
    assert_eq!(long.burn_hundredths(&PROMISE), Some(1_667));
    assert_eq!((short, short.burn_hundredths(&PROMISE)), (Share { good: 1, bad: 1 }, Some(10_000)));
    assert_eq!(budget.burning(), [false; 3]);
    budget.add(&fact(200, State::Lost, None), NOW);
    assert_eq!(budget.burning(), [true, true, true]);
    // A short window that is clean again ends it.
    let mut past = Budget::new(PROMISE);
    for n in 0..12 {
        let state = if n > 6 { State::Lost } else { State::Arrived };
        past.add(&fact(n * 300, state, Some((1, 0))), NOW);
    }
    assert_eq!(past.burning(), [false, false, true]);
}

/// Minutes: good at 0 and 10, bad at 20, not known at 30, bad at 40, good at 50, good at 55, bad at 70; looked at until 100.
#[test]
fn gaps_and_outages_by_hand() {
    use Standing::{Bad, Good, NotKnown};
    let at = |minute: i64| Timestamp::from_seconds(NOW.seconds() + minute * 60);
    let mut course = Course::default();
    for (minute, standing) in
        [(0, Good), (10, Good), (20, Bad), (30, NotKnown), (40, Bad), (50, Good), (55, Good), (70, Bad)]
    {
        course.add(at(minute), standing, false);
    }
    let stretch = |from, to| Some(Stretch { from: at(from), to: at(to) });
    assert_eq!((course.gap, course.outage), (stretch(10, 50), stretch(20, 50)));
    assert_eq!((course.share, course.not_observed), (Share { good: 4, bad: 3 }, 1));
    let mut soon = course.clone();
    soon.close(at(90));
    assert_eq!((soon.gap, soon.outage, soon.out_since), (stretch(10, 50), stretch(20, 50), Some(at(70))));
    course.close(at(120));
    // The one that goes on is the longest one by now.
    assert_eq!(
        (course.gap, course.outage, course.last_good),
        (stretch(55, 120), stretch(70, 120), Some(at(55)))
    );
}

#[test]
fn without_a_good_probe_the_gap_is_all_of_it() {
    let at = |second: i64| Timestamp::from_seconds(second);
    let mut course = Course::default();
    course.add(at(5), Standing::NotSent, false);
    course.add(at(7), Standing::Negative, false);
    course.add(at(10), Standing::NotKnown, false);
    course.add(at(20), Standing::Waiting, false);
    course.close(at(100));
    assert_eq!((course.gap, course.outage), (Some(Stretch { from: at(10), to: at(100) }), None));
    // Announced failures are none, and a good probe then is good.
    let mut course = Course::default();
    course.add(at(0), Standing::Good, false);
    course.add(at(10), Standing::Bad, true);
    course.add(at(20), Standing::Good, true);
    course.close(at(25));
    assert_eq!(
        (course.outage, course.last_good, course.share),
        (None, Some(at(20)), Share { good: 1, bad: 0 })
    );
    let mut nothing = Course::default();
    nothing.close(at(5));
    assert_eq!(nothing, Course::default());
}
