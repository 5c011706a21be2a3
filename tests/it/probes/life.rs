//! The life of a probe in the store: verdicts that stood before, eyes, restarts, clocks, what is due.

use std::time::Duration;

use mailsonde::authentication::evidence::Words;
use mailsonde::clock::Timestamp;
use mailsonde::probe::lifecycle::{Event, Expectation, MailPlace, Reason, Seen, State, What};
use mailsonde::store::{NewProbe, NotedVerification, SINK_EYE, StoredProbe};
use mailsonde::summary::Query;

use super::stored::{Fixture, at, hand_over, reply};
use mailsonde::smtp::submit::Outcome;

/// How often the eyes of these tests look.
const EVERY: Duration = Duration::from_secs(10);

/// Looks every ten seconds between two instants.
fn look(f: &Fixture, eye: &str, from: i64, to: i64) {
    // Two looks at the ends of a long time are one time only if they are close: fewer rows, the same meaning.
    for second in (from..=to).step_by(30) {
        f.store.note_look(eye, at(second), EVERY, None).unwrap();
    }
    f.store.note_look(eye, at(to), EVERY, None).unwrap();
}

fn probe(f: &Fixture, token: &str, after: i64) -> StoredProbe {
    f.store.reader().unwrap().probe(token, at(after)).unwrap()
}

/// Accepted a second after it was sent at 0; overdue at 31, lost at 61.
fn accepted(f: &Fixture, counter: u32, change: impl FnOnce(&mut NewProbe)) -> String {
    let mut new = f.new_probe(counter, 0, "probe@example.net");
    new.overdue_after = Duration::from_secs(30);
    change(&mut new);
    let token = new.token.clone();
    f.store.begin_probe(new).unwrap();
    f.store.finish_probe(&token, hand_over(0, Outcome::Accepted(reply("250 ok")))).unwrap();
    token
}

/// The verdicts that stood, in order.
fn verdicts(f: &Fixture, token: &str) -> Vec<(i64, String)> {
    let probe = probe(f, token, 1_000_000);
    probe
        .verdicts
        .iter()
        .map(|verdict| (verdict.at.seconds() - at(0).seconds(), verdict.state.clone()))
        .collect()
}

#[test]
fn each_verdict_that_stood_stays_on_record() {
    let f = Fixture::blind();
    look(&f, SINK_EYE, -60, 900);
    let token = accepted(&f, 1, |_| {});
    for second in [31, 61, 100] {
        f.store.settle_due(at(second)).unwrap();
    }
    // Nothing is due any more.
    assert_eq!(f.store.settle_due(at(100_000)).unwrap(), 0);
    f.receive(500, vec![f.sighting(1, true)]);
    let want = [(0, "sending"), (1, "accepted"), (31, "overdue"), (61, "lost"), (500, "late")];
    assert_eq!(verdicts(&f, &token), want.map(|(second, state)| (second, state.to_owned())));
    let rows = f.store.reader().unwrap().probes(&Query::default(), at(900)).unwrap().rows;
    assert_eq!((rows[0].state.as_str(), rows[0].place.as_deref()), ("late", Some("sink")));
    assert_eq!((rows[0].latency_ms, rows[0].latency_error_ms), (Some(500_000), Some(0)));
    let found = f.store.reader().unwrap().verify().unwrap();
    assert_eq!((found.probes, found.differences), (1, Vec::<String>::new()));
}

#[test]
fn a_message_that_is_read_again_leaves_no_verdict_behind() {
    let f = Fixture::new();
    let token = accepted(&f, 1, |_| {});
    let id = f.receive(5, vec![f.sighting(1, true)]);
    let before = verdicts(&f, &token);
    f.again(id, vec![f.sighting(1, true)]);
    assert_eq!(verdicts(&f, &token), before, "it was an arrival all the time");
    f.again(id, vec![]);
    assert_eq!(verdicts(&f, &token).last().unwrap().1, "accepted");
}

#[test]
fn a_restart_loses_and_invents_nothing() {
    let mut f = Fixture::blind();
    look(&f, SINK_EYE, -60, 20);
    let (one, two, three) =
        (accepted(&f, 1, |_| {}), accepted(&f, 2, |_| {}), f.begin(3, 0, "probe@example.net"));
    f.store.close();
    f.reopen();
    // Two minutes later we are back: nobody looked when their time was over.
    assert_eq!(f.store.settle_due(at(120)).unwrap(), 3);
    for (token, state) in [(&one, State::Unobserved), (&two, State::Unobserved), (&three, State::InDoubt)] {
        assert_eq!(probe(&f, token, 120).verdict.state, state);
    }
    f.store.note_look(SINK_EYE, at(121), EVERY, None).unwrap();
    // What comes with the sender's next try arrived; it never was lost.
    f.receive(300, vec![f.sighting(1, true)]);
    f.store.settle_due(at(400)).unwrap();
    assert_eq!(probe(&f, &one, 400).verdict.state, State::Arrived);
    assert_eq!(probe(&f, &two, 400).verdict.state, State::Unobserved);
    assert!(verdicts(&f, &one).iter().chain(&verdicts(&f, &two)).all(|(_, state)| state != "lost"));
    assert!(f.store.reader().unwrap().verify().unwrap().differences.is_empty());
}

#[test]
fn a_clock_that_is_set_moves_the_deadlines_of_open_probes_only() {
    let f = Fixture::blind();
    look(&f, SINK_EYE, -60, 10);
    let token = accepted(&f, 1, |_| {});
    let arrived = accepted(&f, 2, |_| {});
    f.receive(5, vec![f.sighting(2, true)]);
    // A day further in one step, ten seconds after the acceptance.
    let day = 86_400;
    f.store.note_clock(at(day + 11), day * 1_000).unwrap();
    look(&f, SINK_EYE, day + 11, day + 200);
    f.store.settle_due(at(day + 60)).unwrap();
    assert_eq!(probe(&f, &token, day + 60).verdict.state, State::Overdue);
    f.store.settle_due(at(day + 61)).unwrap();
    let stored = probe(&f, &token, day + 61);
    assert_eq!((stored.verdict.state, stored.verdict.has_clock_step), (State::Lost, true));
    let other = probe(&f, &arrived, day + 61);
    assert!(other.events.iter().all(|event| !matches!(event.what, What::Clock { .. })));
    assert!(!other.verdict.has_clock_step);
    // Set back by an hour: the verdict is as of the clock that is right, and nothing is lost before its time.
    let third = accepted(&f, 3, |new| {
        new.sent_at = at(day + 100);
        new.lost_after = Duration::from_secs(100_000);
        new.overdue_after = Duration::from_secs(90_000);
    });
    f.store.note_clock(at(day - 3_000), -3_600_000).unwrap();
    assert_eq!(probe(&f, &third, day - 2_000).verdict.state, State::Accepted);
}

#[test]
fn an_eye_that_cannot_look_is_no_eye() {
    let f = Fixture::blind();
    let eye = "mailbox/hq";
    let token = accepted(&f, 1, |new| new.eyes = vec![eye.to_owned(), SINK_EYE.to_owned()]);
    look(&f, SINK_EYE, -60, 400);
    for second in (-60..400).step_by(10) {
        f.store.note_look(eye, at(second), EVERY, Some("cannot sign in")).unwrap();
    }
    f.store.settle_due(at(200)).unwrap();
    let stored = probe(&f, &token, 200);
    assert_eq!(stored.verdict.state, State::Unobserved);
    assert!(stored.verdict.reason.unwrap().contains("mailbox/hq never looked"));
    // Both open: then it is lost.
    let token = accepted(&f, 2, |new| {
        new.eyes = vec!["mailbox/b".to_owned(), SINK_EYE.to_owned()];
    });
    look(&f, "mailbox/b", -60, 400);
    f.store.settle_due(at(200)).unwrap();
    assert_eq!(probe(&f, &token, 200).verdict.state, State::Lost);
    assert!(f.store.reader().unwrap().verify().unwrap().differences.is_empty());
}

#[test]
fn without_a_way_back_nothing_is_lost() {
    let f = Fixture::new();
    let token = accepted(&f, 1, |new| new.has_bounce_path = false);
    f.store.settle_due(at(100)).unwrap();
    let stored = probe(&f, &token, 100);
    assert_eq!(stored.verdict.state, State::Unobserved);
    assert!(stored.verdict.reason.unwrap().contains("no bounce path"));
}

#[test]
fn places_intervals_and_what_was_done_later_survive_the_store() {
    let f = Fixture::new();
    let token = accepted(&f, 1, |_| {});
    let mut sighting = f.sighting(1, true);
    sighting.seen = Seen {
        place: MailPlace::Inbox,
        watcher: Some("mailbox/hq".to_owned()),
        folder: Some("INBOX".to_owned()),
        not_before: Some(at(10)),
        copy_of: Some("4f7q".to_owned()),
        is_marked: Some(false),
        spf: Some("pass".to_owned()),
        dkim: Some("pass".to_owned()),
        dmarc: Some("pass".to_owned()),
    };
    f.receive(30, vec![sighting.clone()]);
    let What::Arrived { seen, .. } = &probe(&f, &token, 40).events[2].what else { panic!() };
    assert_eq!(*seen, sighting.seen);
    let (watcher, folder) = ("mailbox/hq".to_owned(), "Junk".to_owned());
    let moved = What::Moved { watcher: watcher.clone(), place: MailPlace::Spam, folder };
    f.store.note_probe(&token, Event { at: at(3_600), what: moved }).unwrap();
    let row = f.store.reader().unwrap().probes(&Query::default(), at(4_000)).unwrap().rows.remove(0);
    assert_eq!((row.state.as_str(), row.place.as_deref()), ("arrived", Some("inbox")));
    assert_eq!((row.latency_ms, row.latency_error_ms), (Some(20_000), Some(10_000)));
    assert_eq!(row.reason.as_deref(), Some("dot: 250 ok; later in spam"));
    f.store.note_probe(&token, Event { at: at(86_400), what: What::Vanished { watcher } }).unwrap();
    let row = f.store.reader().unwrap().probes(&Query::default(), at(90_000)).unwrap().rows.remove(0);
    assert_eq!(row.reason.as_deref(), Some("dot: 250 ok; gone later"));
}

#[test]
fn planned_cancelled_and_given_up() {
    let f = Fixture::new();
    let new = |counter| {
        let mut new = f.new_probe(counter, 0, "probe@example.net");
        new.planned_at = Some(at(0));
        let token = new.token.clone();
        f.store.plan_probe(new).unwrap();
        token
    };
    let state = |token: &str, after| probe(&f, token, after).verdict.state;
    let (one, two, three) = (new(1), new(2), new(3));
    let why = |text: &str| Reason { text: text.to_owned(), ..Reason::default() };
    assert_eq!(state(&one, 10), State::Planned);
    f.store.begin_probe_again(&one, at(20)).unwrap();
    assert_eq!(state(&one, 21), State::Sending);
    assert_eq!(probe(&f, &one, 21).sent_at, at(20), "it was sent then");
    f.store.note_probe(&two, Event { at: at(20), what: What::Cancelled(why("kill switch")) }).unwrap();
    assert_eq!(state(&two, 21), State::Cancelled);
    f.store.settle_due(at(5_000)).unwrap();
    assert_eq!(state(&three, 5_000), State::Cancelled, "its time passed");
    f.store.note_probe(&one, Event { at: at(22), what: What::Deferred(why("later")) }).unwrap();
    f.store.note_probe(&one, Event { at: at(900), what: What::GivenUp(why("5 attempts")) }).unwrap();
    assert_eq!(state(&one, 901), State::Refused);
}

#[test]
fn negative_probes_keep_what_should_become_of_them() {
    let f = Fixture::new();
    let stopped = |new: &mut NewProbe| {
        new.expectation = Expectation::Stopped;
        new.within = Some(Duration::from_secs(20));
    };
    let (one, two) = (accepted(&f, 1, stopped), accepted(&f, 2, stopped));
    f.receive(5, vec![f.sighting(2, true)]);
    assert_eq!(f.store.settle_due(at(20)).unwrap(), 0);
    assert_eq!(f.store.settle_due(at(21)).unwrap(), 1);
    assert_eq!(probe(&f, &one, 22).verdict.state, State::AsExpected);
    assert_eq!(probe(&f, &two, 22).verdict.state, State::Escaped);
    assert!(f.store.reader().unwrap().verify().unwrap().differences.is_empty());
}

/// A row that somebody changed by hand is told.
#[test]
fn a_verdict_that_its_events_do_not_give_is_found() {
    let f = Fixture::new();
    let token = accepted(&f, 1, |_| {});
    f.receive(5, vec![f.sighting(1, true)]);
    assert!(f.store.reader().unwrap().verify().unwrap().differences.is_empty());
    let connection = rusqlite::Connection::open(f.store.path()).unwrap();
    connection.execute("UPDATE probe SET latency_ms = 1 WHERE token = ?", [&token]).unwrap();
    assert_eq!(f.store.reader().unwrap().verify().unwrap().count, 1);
    connection.execute("UPDATE probe SET state = 'lost' WHERE token = ?", [&token]).unwrap();
    assert_eq!(f.store.reader().unwrap().verify().unwrap().count, 2, "nor is it that of its last verdict");
}

#[test]
fn probes_are_found_by_what_people_have_of_them() {
    let f = Fixture::new();
    let token = accepted(&f, 1, |_| {});
    accepted(&f, 2, |new| new.rcpt_to = mailsonde::mail::Address::parse("other@example.net").unwrap());
    let reader = f.store.reader().unwrap();
    let find = |text: &str| reader.find_probes(text, text).unwrap();
    assert_eq!(find(&token), [token.as_str()]);
    assert_eq!(find("probe@example.net"), [token.as_str()]);
    assert_eq!(find(&format!("<{token}@example.org>")), [token.as_str()]);
    assert_eq!(find(&format!("{token}@example.org")), [token.as_str()]);
    assert_eq!(find("4f7q").len(), 2, "both were handed over under this id");
    assert!(find("nobody@example.net").is_empty());
    let asked = |route: &str| {
        let query = Query { route: Some(route.to_owned()), ..Query::default() };
        reader.probes(&query, Timestamp::from_ms(at(10).ms())).unwrap().totals.probes
    };
    assert_eq!((asked("hq"), asked("other")), (2, 0));
}

#[test]
fn a_probe_that_a_younger_one_overtook() {
    type Way = (i64, i64, i64);
    let f = Fixture::new();
    let reason = |token: &str| {
        let rows = f.store.reader().unwrap().probes(&Query::default(), at(1_000)).unwrap().rows;
        rows.into_iter().find(|row| row.token == *token).unwrap().reason.unwrap()
    };
    let sent_at = |counter, second: i64| {
        accepted(&f, counter, |new| {
            new.sent_at = at(second);
            new.lost_after = Duration::from_secs(3_600);
            new.overdue_after = Duration::from_secs(3_600);
        })
    };
    let interval = |counter, last: i64| {
        let mut sighting = f.sighting(counter, true);
        sighting.seen.not_before = Some(at(last));
        sighting
    };
    // (sent, arrived, last look without it) of an older and a younger one; whether the older one was overtaken
    let cases: [(Way, Way, bool); 5] = [
        ((0, 300, 300), (60, 70, 70), true),
        ((0, 60, 60), (60, 70, 70), false),
        // Sent at nearly one moment.
        ((0, 300, 300), (59, 70, 70), false),
        // Perhaps it had arrived before.
        ((0, 300, 65), (60, 70, 70), false),
        ((0, 300, 71), (60, 70, 70), true),
    ];
    for (number, (older, younger, is_overtaken)) in (1u32..).zip(cases) {
        for (order, is_older_told_first) in [(0, true), (1, false)] {
            let counter = number * 10 + order * 2;
            let base = i64::from(counter) * 10_000;
            let (one, two) = (sent_at(counter, base + older.0), sent_at(counter + 1, base + younger.0));
            let first = || f.receive(base + older.1, vec![interval(counter, base + older.2)]);
            let second = || f.receive(base + younger.1, vec![interval(counter + 1, base + younger.2)]);
            if is_older_told_first {
                first();
                second();
            } else {
                second();
                first();
            }
            let case = format!("{older:?} {younger:?} {is_older_told_first}");
            assert_eq!(reason(&one).contains("overtaken"), is_overtaken, "{case}: {}", reason(&one));
            assert!(!reason(&two).contains("overtaken"), "{case}");
        }
    }
}

/// What our own receiver finds of SPF and DKIM decides probes that are to arrive with a failure, whenever it is found.
#[test]
fn probes_that_are_to_fail_are_judged_by_what_their_receiver_found() {
    let f = Fixture::new();
    let noted = |spf: &str, dkim: &str| NotedVerification {
        next_at: None,
        asked: 3,
        words: Words { spf: spf.to_owned(), dkim: dkim.to_owned(), ..Words::default() },
        lines: Vec::new(),
        lines_more: 0,
        selectors: Vec::new(),
        trust: None,
        sender: None,
        trust_reason: String::new(),
    };
    let (spf, dkim) = (Expectation::ArrivesFailingSpf, Expectation::ArrivesFailingDkim);
    let cases = [
        (spf, "fail", "pass", State::AsExpected),
        (spf, "pass", "fail", State::Escaped),
        (spf, "temperror", "pass", State::Arrived),
        (dkim, "pass", "fail", State::AsExpected),
        (dkim, "fail", "pass", State::Escaped),
        (dkim, "pass", "not-known", State::Arrived),
    ];
    for (counter, (expectation, of_spf, of_dkim, want)) in (1..).zip(cases) {
        let token = accepted(&f, counter, |new| new.expectation = expectation);
        let id = f.receive(5, vec![f.sighting(counter, true)]);
        assert_eq!(probe(&f, &token, 6).verdict.state, State::Arrived, "not verified yet");
        f.store.note_verification(id, noted(of_spf, of_dkim), at(7)).unwrap();
        assert_eq!(probe(&f, &token, 8).verdict.state, want, "{of_spf} {of_dkim}");
        // The same once the message is read again.
        f.again(id, vec![f.sighting(counter, true)]);
        assert_eq!(probe(&f, &token, 8).verdict.state, want, "{of_spf} {of_dkim}, read again");
    }
    assert!(f.store.reader().unwrap().verify().unwrap().differences.is_empty());
}
