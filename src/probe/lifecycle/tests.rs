//! Every state with every event, orders, replays of verdicts.

use super::*;

mod histories;

const LOST_AFTER: Duration = Duration::from_secs(60);

/// Options of a probe that should arrive at our own receiver, which looked all the time.
fn options() -> Options {
    let open = vec![Span { from: at(-1_000_000), to: at(100_000_000) }];
    let eye = Eye { name: "sink".to_owned(), every: Duration::from_secs(10), open };
    Options {
        lost_after: LOST_AFTER,
        overdue_after: LOST_AFTER,
        expectation: Expectation::Arrives,
        within: None,
        eyes: Observed { eyes: vec![eye] },
        bounce_path: true,
    }
}

fn judge(events: &[Event], now: Timestamp) -> Verdict {
    super::judge(events, &options(), now)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_790_000_000 + seconds)
}

fn reason(text: &str) -> Reason {
    Reason { text: text.to_owned(), ..Reason::default() }
}

/// All kinds of events, in the order of the table's columns.
const COLUMNS: [&str; 11] = [
    "sending",
    "accepted",
    "refused",
    "deferred",
    "in_doubt",
    "arrived",
    "replayed",
    "bounced",
    "delayed",
    "delivered",
    "relayed",
];

fn what(word: &str) -> What {
    match word {
        "sending" => What::Sending,
        "accepted" => What::Accepted(reason("250 ok")),
        "refused" => What::Refused(reason("550 no")),
        "deferred" => What::Deferred(reason("450 later")),
        "in_doubt" => What::InDoubt(reason("connection lost")),
        "arrived" => What::Arrived { message: MessageId(1), is_timed: true, seen: Seen::default() },
        "replayed" => What::Replayed { message: MessageId(2) },
        "bounced" => What::Bounced { message: MessageId(3), reason: reason("550 gone") },
        "delayed" => What::Delayed { message: MessageId(4), reason: reason("451 busy"), until: None },
        "delivered" => What::Delivered { message: MessageId(5), reason: reason("2.0.0") },
        "relayed" => What::PassedOn { message: MessageId(6), how: Passage::Relayed, reason: reason("2.0.0") },
        other => panic!("{other}"),
    }
}

/// Events one second apart, then the state `after` seconds from the start.
fn state(words: &[&str], after: i64) -> State {
    let events: Vec<_> =
        words.iter().zip(0..).map(|(word, second)| Event { at: at(second), what: what(word) }).collect();
    judge(&events, at(after)).state
}

#[test]
fn every_state_with_every_event() {
    use State::{
        Accepted, Arrived, Bounced, Deferred, Delayed, Delivered, InDoubt, InTransit, Lost, Refused, Sending,
    };
    // What mails that come back change, whatever the dialogue said.
    let rest = |state| {
        [Arrived, state, Bounced, Delayed, Delivered, if state == Delayed { Delayed } else { InTransit }]
    };
    let row = |of_dialogue: [State; 5], rest: [State; 6]| -> Vec<State> {
        of_dialogue.into_iter().chain(rest).collect()
    };
    // (events that lead to the state, the state after each event of COLUMNS, the state at the deadline)
    let table: [(&[&str], Vec<State>, State); 9] = [
        (&["sending"], row([Sending, Accepted, Refused, Deferred, InDoubt], rest(Sending)), InDoubt),
        (
            &["sending", "deferred"],
            row([Sending, Accepted, Refused, Deferred, InDoubt], rest(Deferred)),
            Deferred,
        ),
        (
            &["sending", "refused"],
            row([Sending, Accepted, Refused, Deferred, InDoubt], rest(Refused)),
            Refused,
        ),
        (
            &["sending", "in_doubt"],
            row([InDoubt, Accepted, InDoubt, InDoubt, InDoubt], rest(InDoubt)),
            InDoubt,
        ),
        (&["sending", "accepted"], row([Accepted; 5], rest(Accepted)), Lost),
        (&["sending", "accepted", "delayed"], row([Delayed; 5], rest(Delayed)), Lost),
        (
            &["sending", "accepted", "delivered"],
            row([Delivered; 5], [Arrived, Delivered, Bounced, Delivered, Delivered, Delivered]),
            Delivered,
        ),
        (
            &["sending", "accepted", "bounced"],
            row([Bounced; 5], [Arrived, Bounced, Bounced, Bounced, Bounced, Bounced]),
            Bounced,
        ),
        (&["sending", "accepted", "arrived"], vec![Arrived; 11], Arrived),
    ];
    for (before, after, deadline) in table {
        for (column, want) in COLUMNS.iter().zip(after) {
            let mut words = before.to_vec();
            words.push(column);
            assert_eq!(state(&words, 10), want, "{words:?}");
        }
        assert_eq!(state(before, 1_000), deadline, "{before:?} at the deadline");
    }
}

#[test]
fn late_and_lost_begin_at_the_same_instant() {
    let accepted = Event { at: at(1), what: what("accepted") };
    let sending = Event { at: at(0), what: what("sending") };
    for (second, before, arrived) in [
        (60, State::Accepted, State::Arrived),
        (61, State::Lost, State::Late),
        (900, State::Lost, State::Late),
    ] {
        let mut events = vec![sending.clone(), accepted.clone()];
        assert_eq!(judge(&events, at(second)).state, before, "{second}");
        events.push(Event { at: at(second), what: what("arrived") });
        let verdict = judge(&events, at(second));
        assert_eq!(verdict.state, arrived, "{second}");
        assert_eq!(verdict.latency, Some(Latency { ms: second * 1_000, error_ms: 0 }));
        assert_eq!(verdict.lost_at, Some(at(61)));
        // Later events never take a late arrival back.
        for column in COLUMNS {
            let mut events = events.clone();
            events.push(Event { at: at(second + 1), what: what(column) });
            assert_eq!(judge(&events, at(10_000)).state, arrived, "{column}");
        }
    }
}

#[test]
fn an_arrival_in_doubt_is_never_late() {
    let events = [("sending", 0), ("in_doubt", 1), ("arrived", 100_000)]
        .map(|(word, second)| Event { at: at(second), what: what(word) });
    assert_eq!(judge(&events[..2], at(99_999)).state, State::InDoubt);
    assert_eq!(judge(&events, at(100_001)).state, State::Arrived);
}

#[test]
fn a_fast_sink_may_see_it_before_the_sender_hears_the_250() {
    let verdict = |words: [&str; 3]| {
        let events: Vec<_> = words.iter().map(|word| Event { at: at(0), what: what(word) }).collect();
        judge(&events, at(1))
    };
    let (one, other) =
        (verdict(["sending", "arrived", "accepted"]), verdict(["sending", "accepted", "arrived"]));
    assert_eq!(one, other);
    assert_eq!((one.state, one.accepted_at, one.contradicts_reply), (State::Arrived, Some(at(0)), false));
}

#[test]
fn the_same_message_twice_is_one_arrival_another_a_duplicate() {
    let arrived = |message, second| Event {
        at: at(second),
        what: What::Arrived { message: MessageId(message), is_timed: true, seen: Seen::default() },
    };
    let events = [
        Event { at: at(0), what: What::Sending },
        arrived(7, 3),
        arrived(7, 4),
        arrived(9, 2),
        arrived(8, 9),
    ];
    let counts = |n| judge(&events[..n], at(10)).duplicates;
    assert_eq!((counts(2), counts(3), counts(4), counts(5)), (0, 0, 1, 2));
    // The earliest counts, whatever the order in which they were read.
    assert_eq!(judge(&events, at(10)).arrived_at, Some(at(2)));
    let replay = |message| Event { at: at(5), what: What::Replayed { message: MessageId(message) } };
    let replays = [replay(1), replay(1), replay(2)];
    assert_eq!(judge(&replays, at(10)).replays, 2);
}

#[test]
fn what_is_not_known_is_none() {
    let imported = What::Arrived { message: MessageId(1), is_timed: false, seen: Seen::default() };
    let events = [
        Event { at: at(0), what: What::Sending },
        Event { at: at(0), what: what("accepted") },
        Event { at: at(9_999), what: imported },
    ];
    let verdict = judge(&events, at(9_999));
    assert_eq!((verdict.state, verdict.arrived_at, verdict.latency), (State::Arrived, None, None));
    // A clock that was set back gives no latency, and never a negative one.
    let events = [Event { at: at(0), what: What::Sending }, Event { at: at(-5), what: what("arrived") }];
    let verdict = judge(&events, at(0));
    assert_eq!((verdict.state, verdict.latency), (State::Arrived, None));
    // Nothing at all: an attempt that never began.
    assert_eq!(judge(&[], at(9_999)).state, State::Sending);
}

#[test]
fn an_arrival_after_a_refusal_is_told() {
    for word in ["refused", "deferred"] {
        let events = [("sending", 0), (word, 1), ("arrived", 2)]
            .map(|(word, second)| Event { at: at(second), what: what(word) });
        let verdict = judge(&events, at(3));
        assert_eq!((verdict.state, verdict.contradicts_reply), (State::Arrived, true), "{word}");
    }
}

#[test]
fn a_retry_starts_anew_and_the_deadline_runs_from_the_acceptance() {
    let events = [("sending", 0), ("deferred", 1), ("sending", 500), ("accepted", 501)]
        .map(|(word, second)| Event { at: at(second), what: what(word) });
    assert_eq!(judge(&events[..3], at(502)).state, State::Sending);
    let verdict = judge(&events, at(502));
    assert_eq!(
        (verdict.state, verdict.sent_at, verdict.lost_at),
        (State::Accepted, Some(at(0)), Some(at(561)))
    );
    assert_eq!(verdict.reason.as_deref(), Some("250 ok"));
}

#[test]
fn reasons_in_words() {
    let reason = Reason {
        phase: Some("rcpt".to_owned()),
        code: Some(550),
        enhanced: Some("5.1.1".to_owned()),
        text: "no such user".to_owned(),
    };
    assert_eq!(reason.to_string(), "rcpt: 550 5.1.1 no such user");
    let events = [
        Event { at: at(0), what: What::Sending },
        Event { at: at(0), what: What::Accepted(Reason { phase: Some("dot".to_owned()), ..reason }) },
    ];
    let short = Duration::from_millis(3_500);
    let lost =
        super::judge(&events, &Options { lost_after: short, overdue_after: short, ..options() }, at(60));
    assert_eq!(
        lost.reason.as_deref(),
        Some("nothing arrived within 3.5 s after it was accepted (dot: 550 5.1.1 no such user)")
    );
}

#[test]
fn words_of_states() {
    for state in State::ALL {
        assert_eq!(State::parse(state.as_str()), Some(state));
    }
    assert_eq!(State::parse("Lost"), None);
    for word in COLUMNS {
        assert_eq!(what(word).as_str(), word);
    }
    for place in MailPlace::ALL {
        assert_eq!(MailPlace::parse(place.as_str()), Some(place));
    }
    for expectation in Expectation::ALL {
        assert_eq!(Expectation::parse(expectation.as_str()), Some(expectation));
    }
}

#[test]
fn a_delayed_probe_is_waited_for_as_long_as_the_host_tries() {
    let day = 24 * 3_600;
    let delayed = |until: Option<i64>| {
        let reason = reason("451 4.4.1 no answer");
        let delay = What::Delayed { message: MessageId(4), reason, until: until.map(at) };
        vec![
            Event { at: at(0), what: what("sending") },
            Event { at: at(1), what: what("accepted") },
            Event { at: at(50), what: delay },
        ]
    };
    // (until when the host tries, until when we wait)
    for (until, lost) in
        [(Some(4 * day), 4 * day), (Some(400 * day), 50 + 6 * day), (None, 110), (Some(-5), 61)]
    {
        let events = delayed(until);
        assert_eq!(judge(&events, at(lost - 1)).state, State::Delayed, "{until:?}");
        let verdict = judge(&events, at(lost));
        assert_eq!((verdict.state, verdict.lost_at), (State::Lost, Some(at(lost))), "{until:?}");
    }
    // The last delay counts, in whatever order they are read.
    let mut events = delayed(Some(4 * day));
    let again = What::Delayed { message: MessageId(5), reason: reason("still"), until: Some(at(5 * day)) };
    events.insert(2, Event { at: at(day), what: again });
    assert_eq!(judge(&events, at(0)).lost_at, Some(at(5 * day)));
    // A bounce that is followed by an arrival: the far end said one thing and did another.
    let mut events = delayed(None);
    events.push(Event { at: at(60), what: what("bounced") });
    events.push(Event { at: at(70), what: what("arrived") });
    assert!(judge(&events, at(80)).contradicts_reply);
}

#[test]
fn what_was_passed_on_was_taken_and_says_so() {
    for (how, words) in [(Passage::Relayed, "does not report"), (Passage::Expanded, "several addresses")] {
        let passed_on = What::PassedOn { message: MessageId(6), how, reason: reason("2.0.0") };
        for before in [&["sending", "in_doubt"][..], &["sending", "accepted"], &["sending"]] {
            let mut events: Vec<_> = before
                .iter()
                .zip(0..)
                .map(|(word, second)| Event { at: at(second), what: what(word) })
                .collect();
            events.push(Event { at: at(5), what: passed_on.clone() });
            let soon = judge(&events, at(6));
            assert_eq!(soon.state, State::InTransit, "{before:?}");
            assert!(soon.reason.unwrap().contains(words), "{before:?}");
            let late = judge(&events, at(600));
            assert_eq!(late.state, State::Lost, "{before:?}");
            assert!(late.reason.unwrap().contains(words), "{before:?}");
        }
    }
}
