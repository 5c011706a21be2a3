//! Each state with a history that must give it and one that must not, in virtual time; and what holds of every history.
//!
//! A history is data: lines of `second event`, whose eyes were open when, and the second at which it is judged.

use super::*;

/// The soft deadline of these probes, after their acceptance.
const SOFT: Duration = Duration::from_secs(120);
/// The hard one.
const HARD: Duration = Duration::from_secs(3_600);

/// One history and what is to be said of it.
struct History {
    /// The state that it is about: it must give this or must not.
    about: State,
    /// What happened, a line a thing: the second, the event, its words.
    events: &'static str,
    /// When our receiver was open, seconds; nothing: nobody watches.
    eyes: &'static [(i64, i64)],
    /// What should become of the probe.
    expectation: Expectation,
    /// Whether a bounce would reach us.
    has_bounce_path: bool,
    /// When it is judged.
    now: i64,
    /// The state that it is in then.
    is: State,
    /// Words of the reason.
    says: &'static str,
}

/// A history of an ordinary probe, with open eyes.
const ORDINARY: History = History {
    about: State::Arrived,
    events: "",
    eyes: &[(-600, 10_000_000)],
    expectation: Expectation::Arrives,
    has_bounce_path: true,
    now: 0,
    is: State::Arrived,
    says: "",
};

/// One event: `arrived 7 spam`, `delayed 9 until 5000`, `clock 3600000`.
fn event(line: &str) -> Event {
    let mut words = line.split_whitespace();
    let second: i64 = words.next().unwrap().parse().unwrap();
    let kind = words.next().unwrap();
    let rest: Vec<&str> = words.collect();
    let number = |at: usize| rest.get(at).and_then(|word| word.parse::<i64>().ok());
    let message = MessageId(number(0).unwrap_or(0));
    let after =
        |name: &str| rest.iter().position(|word| *word == name).and_then(|at| rest.get(at + 1)).copied();
    let text = |words: &str| Reason { text: words.to_owned(), ..Reason::default() };
    let in_phase = |code, words: &str| Reason {
        phase: Some(after("at").unwrap_or("dot").to_owned()),
        code: Some(code),
        ..text(words)
    };
    let what = match kind {
        "planned" => What::Planned,
        "sending" => What::Sending,
        "accepted" => What::Accepted(in_phase(250, "ok")),
        "refused" => What::Refused(in_phase(550, "no")),
        "deferred" => What::Deferred(in_phase(451, "later")),
        "given_up" => What::GivenUp(text("given up after 5 attempts")),
        "in_doubt" => What::InDoubt(text("connection lost")),
        "cancelled" => What::Cancelled(text("kill switch")),
        "arrived" => What::Arrived {
            message,
            is_timed: !rest.contains(&"untimed"),
            seen: Seen {
                place: rest.get(1).and_then(|word| MailPlace::parse(word)).unwrap_or_default(),
                watcher: None,
                folder: None,
                not_before: after("not-before").map(|word| at(word.parse().unwrap())),
                copy_of: after("copy-of").map(str::to_owned),
                is_marked: rest.contains(&"marked").then_some(true),
                spf: after("spf").map(str::to_owned),
                dkim: after("dkim").map(str::to_owned),
                dmarc: None,
            },
        },
        "replayed" => What::Replayed { message },
        "moved" => What::Moved {
            watcher: "mailbox/a".to_owned(),
            place: MailPlace::parse(rest[0]).unwrap(),
            folder: "F".to_owned(),
        },
        "vanished" => What::Vanished { watcher: "mailbox/a".to_owned() },
        "bounced" => What::Bounced { message, reason: text("550 5.1.1 no such user") },
        "delayed" => What::Delayed {
            message,
            reason: text("451 4.4.1 no answer"),
            until: after("until").map(|word| at(word.parse().unwrap())),
        },
        "held" => What::Held { message, reason: text("in quarantine") },
        "relayed" => What::PassedOn { message, how: Passage::Relayed, reason: text("2.0.0") },
        "expanded" => What::PassedOn { message, how: Passage::Expanded, reason: text("2.0.0") },
        "delivered" => What::Delivered { message, reason: text("2.0.0") },
        "clock" => What::Clock { ms: number(0).unwrap() },
        other => panic!("{other}"),
    };
    Event { at: at(second), what }
}

/// The events of a text, one a part between semicolons.
fn events(text: &str) -> Vec<Event> {
    text.split(';').filter(|line| !line.trim().is_empty()).map(event).collect()
}

/// One eye that was open at these times, seconds, and looks every ten.
fn observed(open: &[(i64, i64)]) -> Observed {
    if open.is_empty() {
        return Observed::default();
    }
    let open = open.iter().map(|(from, to)| Span { from: at(*from), to: at(*to) }).collect();
    Observed { eyes: vec![Eye { name: "sink".to_owned(), every: Duration::from_secs(10), open }] }
}

fn options_of(history: &History) -> Options {
    Options {
        lost_after: HARD,
        overdue_after: SOFT,
        expectation: history.expectation,
        within: None,
        eyes: observed(history.eyes),
        bounce_path: history.has_bounce_path,
    }
}

fn verdict_of(history: &History) -> Verdict {
    super::super::judge(&events(history.events), &options_of(history), at(history.now))
}

/// The usual beginning: accepted in the first second, so that it is overdue at 121 and lost at 3601.
macro_rules! accepted {
    ($rest:literal) => {
        concat!("0 sending; 1 accepted;", $rest)
    };
}

/// Every state, with histories that must give it and histories that must not.
#[rustfmt::skip]
const HISTORIES: &[History] = &[
    // Planned
    History { about: State::Planned, events: "0 planned", now: 60, is: State::Planned, ..ORDINARY },
    History { about: State::Planned, events: "0 planned; 1 sending", now: 60, is: State::Sending, ..ORDINARY },
    // Sending
    History { about: State::Sending, events: "0 sending", now: 3_599, is: State::Sending, ..ORDINARY },
    History { about: State::Sending, events: "0 sending", now: 3_600, is: State::InDoubt, says: "no outcome", ..ORDINARY },
    History { about: State::Sending, events: "0 sending; 1 deferred; 300 sending", now: 301, is: State::Sending, ..ORDINARY },
    // Deferred
    History { about: State::Deferred, events: "0 sending; 1 deferred", now: 1_000_000, is: State::Deferred, says: "451 later", ..ORDINARY },
    History { about: State::Deferred, events: "0 sending; 1 deferred; 300 sending; 301 accepted", now: 302, is: State::Accepted, ..ORDINARY },
    // Refused
    History { about: State::Refused, events: "0 sending; 1 refused", now: 1_000_000, is: State::Refused, says: "550 no", ..ORDINARY },
    History { about: State::Refused, events: "0 sending; 1 deferred; 900 given_up", now: 901, is: State::Refused, says: "given up", ..ORDINARY },
    History { about: State::Refused, events: "0 sending; 1 refused; 3 arrived 7", now: 9, is: State::Arrived, ..ORDINARY },
    History { about: State::Refused, events: accepted!("2 refused"), now: 9, is: State::Accepted, ..ORDINARY },
    // In doubt: never lost, never sent again.
    History { about: State::InDoubt, events: "0 sending; 1 in_doubt", now: 1_000_000, is: State::InDoubt, says: "connection lost", ..ORDINARY },
    History { about: State::InDoubt, events: "0 sending; 1 in_doubt; 2 deferred", now: 3, is: State::InDoubt, ..ORDINARY },
    History { about: State::InDoubt, events: "0 sending; 1 in_doubt; 2 accepted", now: 3, is: State::Accepted, ..ORDINARY },
    History { about: State::InDoubt, events: "0 sending; 1 in_doubt; 2 bounced 5", now: 3, is: State::Bounced, ..ORDINARY },
    // Accepted
    History { about: State::Accepted, events: accepted!(""), now: 120, is: State::Accepted, says: "250 ok", ..ORDINARY },
    History { about: State::Accepted, events: accepted!(""), now: 121, is: State::Overdue, ..ORDINARY },
    // In transit: the first witness after us.
    History { about: State::InTransit, events: accepted!("5 expanded 8"), now: 60, is: State::InTransit, says: "several addresses", ..ORDINARY },
    History { about: State::InTransit, events: "0 sending; 1 in_doubt; 5 relayed 8", now: 60, is: State::InTransit, says: "does not report", ..ORDINARY },
    History { about: State::InTransit, events: accepted!(""), now: 60, is: State::Accepted, ..ORDINARY },
    History { about: State::InTransit, events: accepted!("5 relayed 8"), now: 121, is: State::Overdue, ..ORDINARY },
    // Overdue: only if we looked since the soft deadline.
    History { about: State::Overdue, events: accepted!(""), now: 3_600, is: State::Overdue, says: "not seen within 120 s", ..ORDINARY },
    History { about: State::Overdue, events: accepted!(""), eyes: &[(-600, 115)], now: 125, is: State::Accepted, ..ORDINARY },
    History { about: State::Overdue, events: accepted!(""), eyes: &[(-600, 60)], now: 125, is: State::Unobserved, says: "closed: sink", ..ORDINARY },
    History { about: State::Overdue, events: accepted!(""), eyes: &[], now: 125, is: State::Accepted, ..ORDINARY },
    // Eyes that opened again see what is overdue.
    History { about: State::Overdue, events: accepted!(""), eyes: &[(-600, 60), (400, 410)], now: 411, is: State::Overdue, ..ORDINARY },
    // Delayed: as long as the host tries, at most six days; without a word of it the usual wait.
    History { about: State::Delayed, events: accepted!("900 delayed 9 until 400000"), now: 399_999, is: State::Delayed, says: "451 4.4.1", ..ORDINARY },
    History { about: State::Delayed, events: accepted!("900 delayed 9 until 400000"), now: 400_000, is: State::Lost, says: "after a delay", ..ORDINARY },
    History { about: State::Delayed, events: accepted!("900 delayed 9 until 9999999"), now: 900 + 6 * 86_400, is: State::Lost, ..ORDINARY },
    History { about: State::Delayed, events: accepted!("900 delayed 9"), now: 4_499, is: State::Delayed, ..ORDINARY },
    History { about: State::Delayed, events: accepted!("900 delayed 9"), now: 4_500, is: State::Lost, ..ORDINARY },
    History { about: State::Delayed, events: accepted!("900 delayed 9 until 400000; 5000 delivered 10"), now: 5_001, is: State::Delivered, ..ORDINARY },
    // Held
    History { about: State::Held, events: accepted!("5 held 9"), now: 1_000_000, is: State::Held, says: "quarantine", ..ORDINARY },
    History { about: State::Held, events: accepted!("5 held 9; 300 arrived 10 inbox"), now: 301, is: State::Arrived, ..ORDINARY },
    History { about: State::Held, events: accepted!("5 held 9; 300 bounced 10"), now: 301, is: State::Bounced, ..ORDINARY },
    // Arrived, wherever, whenever it cannot be said to be late.
    History { about: State::Arrived, events: accepted!("3 arrived 7"), now: 1_000_000, is: State::Arrived, ..ORDINARY },
    History { about: State::Arrived, events: accepted!("3 arrived 7 spam"), now: 4, is: State::Arrived, ..ORDINARY },
    History { about: State::Arrived, events: accepted!("9000 arrived 7 untimed"), now: 9_001, is: State::Arrived, ..ORDINARY },
    History { about: State::Arrived, events: accepted!("9000 arrived 7 inbox not-before 3600"), now: 9_001, is: State::Arrived, ..ORDINARY },
    History { about: State::Arrived, events: accepted!("3 replayed 7"), now: 4, is: State::Accepted, ..ORDINARY },
    History { about: State::Arrived, events: accepted!("9000 arrived 7 inbox not-before 8000"), now: 9_001, is: State::Late, ..ORDINARY },
    // Late: it had been lost. What our closed eyes did not see was not.
    History { about: State::Late, events: accepted!("3601 arrived 7"), now: 3_602, is: State::Late, ..ORDINARY },
    History { about: State::Late, events: accepted!("3600 arrived 7"), now: 3_602, is: State::Arrived, ..ORDINARY },
    History { about: State::Late, events: accepted!("90000 arrived 7"), eyes: &[(-600, 900), (89_000, 90_000)], now: 90_001, is: State::Arrived, ..ORDINARY },
    History { about: State::Late, events: accepted!("90000 arrived 7"), eyes: &[], now: 90_001, is: State::Arrived, ..ORDINARY },
    // Bounced: nothing else is heard of it.
    History { about: State::Bounced, events: accepted!("5 bounced 9"), now: 1_000_000, is: State::Bounced, says: "5.1.1", ..ORDINARY },
    History { about: State::Bounced, events: accepted!("5 bounced 9; 6 delayed 10"), now: 7, is: State::Bounced, ..ORDINARY },
    History { about: State::Bounced, events: accepted!("5 bounced 9; 8 arrived 10"), now: 9, is: State::Arrived, ..ORDINARY },
    History { about: State::Bounced, events: accepted!("5 delayed 9"), now: 9, is: State::Delayed, ..ORDINARY },
    // Lost: hard deadline, eyes open, all looked since, no open delay, a way back.
    History { about: State::Lost, events: accepted!(""), now: 3_601, is: State::Lost, says: "nothing arrived within 3600 s", ..ORDINARY },
    History { about: State::Lost, events: accepted!(""), eyes: &[(-600, 3_595)], now: 3_610, is: State::Accepted, ..ORDINARY },
    History { about: State::Lost, events: accepted!(""), eyes: &[(-600, 2_000), (2_100, 4_000)], now: 4_001, is: State::Lost, ..ORDINARY },
    History { about: State::Lost, events: accepted!(""), eyes: &[(-600, 2_000), (2_200, 4_000)], now: 4_001, is: State::Unobserved, says: "a part of the time: sink", ..ORDINARY },
    History { about: State::Lost, events: accepted!(""), has_bounce_path: false, now: 3_601, is: State::Unobserved, says: "no bounce path", ..ORDINARY },
    History { about: State::Lost, events: "0 sending; 1 in_doubt", now: 9_000, is: State::InDoubt, ..ORDINARY },
    History { about: State::Lost, events: accepted!("900 delayed 9 until 9000"), now: 8_000, is: State::Delayed, ..ORDINARY },
    // Unobserved: our own blindness is nobody's fault.
    History { about: State::Unobserved, events: accepted!(""), eyes: &[], now: 3_601, is: State::Unobserved, says: "nobody watches", ..ORDINARY },
    History { about: State::Unobserved, events: accepted!(""), eyes: &[(-600, 900)], now: 3_700, is: State::Unobserved, says: "closed: sink since", ..ORDINARY },
    History { about: State::Unobserved, events: accepted!(""), eyes: &[(9_000, 9_100)], now: 9_100, is: State::Unobserved, ..ORDINARY },
    History { about: State::Unobserved, events: accepted!("50000 arrived 7"), eyes: &[(-600, 900)], now: 50_001, is: State::Arrived, ..ORDINARY },
    History { about: State::Unobserved, events: accepted!(""), eyes: &[(-600, 4_000)], now: 4_001, is: State::Lost, ..ORDINARY },
    // Delivered
    History { about: State::Delivered, events: accepted!("5 delivered 9"), now: 1_000_000, is: State::Delivered, ..ORDINARY },
    History { about: State::Delivered, events: accepted!("5 delivered 9; 6 arrived 10"), now: 7, is: State::Arrived, ..ORDINARY },
    History { about: State::Delivered, events: accepted!("5 relayed 9"), now: 7, is: State::InTransit, ..ORDINARY },
    // Cancelled: nothing left us. What did is followed all the same.
    History { about: State::Cancelled, events: "0 planned; 5 cancelled", now: 6, is: State::Cancelled, says: "kill switch", ..ORDINARY },
    History { about: State::Cancelled, events: "0 planned", now: 3_600, is: State::Cancelled, says: "nothing was sent", ..ORDINARY },
    History { about: State::Cancelled, events: accepted!("5 cancelled"), now: 6, is: State::Accepted, ..ORDINARY },
    History { about: State::Cancelled, events: "0 sending; 1 in_doubt; 5 cancelled", now: 6, is: State::InDoubt, ..ORDINARY },
    // As expected
    History { about: State::AsExpected, expectation: Expectation::Stopped, events: "0 sending; 1 refused", now: 2, is: State::AsExpected, says: "refused (dot: 550", ..ORDINARY },
    History { about: State::AsExpected, expectation: Expectation::Stopped, events: accepted!("5 bounced 9"), now: 6, is: State::AsExpected, says: "came back", ..ORDINARY },
    History { about: State::AsExpected, expectation: Expectation::Stopped, events: accepted!("5 held 9"), now: 6, is: State::AsExpected, says: "held", ..ORDINARY },
    History { about: State::AsExpected, expectation: Expectation::Stopped, events: accepted!(""), now: 3_601, is: State::AsExpected, says: "without a word", ..ORDINARY },
    History { about: State::AsExpected, expectation: Expectation::Stopped, events: accepted!(""), eyes: &[(-600, 1_000), (3_000, 9_000)], now: 9_001, is: State::Unobserved, ..ORDINARY },
    History { about: State::AsExpected, expectation: Expectation::Stopped, events: "0 sending; 1 refused at auth", now: 2, is: State::Refused, ..ORDINARY },
    History { about: State::AsExpected, expectation: Expectation::Stopped, events: accepted!(""), now: 600, is: State::Accepted, ..ORDINARY },
    History { about: State::AsExpected, expectation: Expectation::Bounces, events: "0 sending; 1 refused at rcpt", now: 2, is: State::AsExpected, ..ORDINARY },
    History { about: State::AsExpected, expectation: Expectation::Bounces, events: accepted!("5 bounced 9"), now: 6, is: State::AsExpected, ..ORDINARY },
    History { about: State::AsExpected, expectation: Expectation::Bounces, events: accepted!(""), now: 3_601, has_bounce_path: false, is: State::Unobserved, says: "no bounce path", ..ORDINARY },
    History { about: State::AsExpected, expectation: Expectation::NotUnmarkedInInbox, events: accepted!("3 arrived 7 spam"), now: 4, is: State::AsExpected, says: "spam", ..ORDINARY },
    History { about: State::AsExpected, expectation: Expectation::NotUnmarkedInInbox, events: accepted!("3 arrived 7 inbox marked"), now: 4, is: State::AsExpected, says: "marked", ..ORDINARY },
    History { about: State::AsExpected, expectation: Expectation::NotUnmarkedInInbox, events: accepted!("3 arrived 7 other"), now: 4, is: State::Arrived, ..ORDINARY },
    History { about: State::AsExpected, expectation: Expectation::ArrivesFailingSpf, events: accepted!("3 arrived 7 inbox spf fail"), now: 4, is: State::AsExpected, says: "SPF fail", ..ORDINARY },
    History { about: State::AsExpected, expectation: Expectation::ArrivesFailingSpf, events: accepted!("3 arrived 7 inbox spf none"), now: 4, is: State::Arrived, says: "SPF none", ..ORDINARY },
    History { about: State::AsExpected, expectation: Expectation::ArrivesFailingDkim, events: accepted!("3 arrived 7 inbox dkim none"), now: 4, is: State::AsExpected, says: "DKIM none", ..ORDINARY },
    History { about: State::AsExpected, expectation: Expectation::ArrivesFailingDkim, events: accepted!("3 arrived 7 inbox"), now: 4, is: State::Arrived, says: "says nothing of DKIM", ..ORDINARY },
    History { about: State::AsExpected, expectation: Expectation::ArrivesFailingDkim, events: accepted!(""), now: 3_601, is: State::Lost, ..ORDINARY },
    // Escaped
    History { about: State::Escaped, expectation: Expectation::Stopped, events: accepted!("3 arrived 7"), now: 4, is: State::Escaped, says: "it arrived", ..ORDINARY },
    History { about: State::Escaped, expectation: Expectation::Stopped, events: accepted!("3 arrived 7 spam"), now: 4, is: State::Escaped, ..ORDINARY },
    History { about: State::Escaped, expectation: Expectation::Stopped, events: accepted!("9000 arrived 7"), now: 9_001, is: State::Escaped, ..ORDINARY },
    History { about: State::Escaped, expectation: Expectation::Stopped, events: accepted!("3 relayed 7"), now: 4, is: State::Escaped, says: "passed on", ..ORDINARY },
    History { about: State::Escaped, expectation: Expectation::Stopped, events: accepted!("3 delivered 7"), now: 4, is: State::Escaped, ..ORDINARY },
    History { about: State::Escaped, expectation: Expectation::Stopped, events: accepted!("3 replayed 7"), now: 4, is: State::Accepted, ..ORDINARY },
    History { about: State::Escaped, expectation: Expectation::Bounces, events: accepted!(""), now: 3_601, is: State::Escaped, says: "nothing came back", ..ORDINARY },
    History { about: State::Escaped, expectation: Expectation::Bounces, events: accepted!(""), eyes: &[(-600, 1_000)], now: 3_701, is: State::Unobserved, ..ORDINARY },
    History { about: State::Escaped, expectation: Expectation::NotUnmarkedInInbox, events: accepted!("3 arrived 7 inbox"), now: 4, is: State::Escaped, says: "unmarked", ..ORDINARY },
    History { about: State::Escaped, expectation: Expectation::NotUnmarkedInInbox, events: accepted!("3 arrived 7 category"), now: 4, is: State::Escaped, ..ORDINARY },
    History { about: State::Escaped, expectation: Expectation::NotUnmarkedInInbox, events: "0 sending; 1 refused", now: 4, is: State::AsExpected, ..ORDINARY },
    History { about: State::Escaped, expectation: Expectation::ArrivesFailingSpf, events: accepted!("3 arrived 7 inbox spf pass"), now: 4, is: State::Escaped, says: "SPF passes", ..ORDINARY },
    History { about: State::Escaped, expectation: Expectation::ArrivesFailingDkim, events: accepted!("3 arrived 7 inbox dkim pass"), now: 4, is: State::Escaped, ..ORDINARY },
    // Our own clock. It was set by an hour: nothing is lost for that, and nothing before its time.
    History { about: State::Lost, events: accepted!("3700 clock 3600000"), eyes: &[(-600, 100), (3_700, 9_000)], now: 3_800, is: State::Overdue, ..ORDINARY },
    History { about: State::Lost, events: accepted!("3700 clock 3600000"), eyes: &[(-600, 100), (3_700, 9_000)], now: 7_300, is: State::Lost, ..ORDINARY },
    // We slept for most of its wait.
    History { about: State::Lost, events: accepted!("10000 clock 8000000"), eyes: &[(-600, 2_000), (10_000, 20_000)], now: 11_600, is: State::Overdue, ..ORDINARY },
    History { about: State::Lost, events: accepted!("10000 clock 8000000"), eyes: &[(-600, 2_000), (10_000, 20_000)], now: 11_601, is: State::Unobserved, ..ORDINARY },
    // It was set back by half an hour: its end comes as much earlier.
    History { about: State::Lost, events: accepted!("100 clock -50000"), now: 3_550, is: State::Overdue, ..ORDINARY },
    History { about: State::Lost, events: accepted!("100 clock -50000"), now: 3_551, is: State::Lost, ..ORDINARY },
    // A jump after its end says nothing of it.
    History { about: State::Lost, events: accepted!("9000 clock 3600000"), now: 9_001, is: State::Lost, ..ORDINARY },
    // We slept over its end and a day more, then it came: not late.
    History { about: State::Late, events: accepted!("90000 clock 89000000; 90010 arrived 7"), eyes: &[(-600, 900), (90_000, 91_000)], now: 90_011, is: State::Arrived, ..ORDINARY },
];

#[test]
fn every_history_gives_its_state() {
    for history in HISTORIES {
        let verdict = verdict_of(history);
        let name = format!("{} at {} ({:?})", history.events, history.now, history.expectation);
        assert_eq!(verdict.state, history.is, "{name}: {:?}", verdict.reason);
        let reason = verdict.reason.unwrap_or_default();
        assert!(reason.contains(history.says), "{name}: {reason}");
        // Whoever waits is told until when.
        let is_due = verdict.next_at.is_none_or(|next| next > at(history.now));
        assert!(is_due, "{name}: judged again and again");
        assert!(!verdict.state.is_open() || verdict.next_at.is_some() || verdict.sent_at.is_none(), "{name}");
    }
}

#[test]
fn every_state_has_a_history_that_gives_it_and_one_that_does_not() {
    for state in State::ALL {
        let about = || HISTORIES.iter().filter(|history| history.about == state);
        assert!(about().any(|history| history.is == state), "nothing gives {}", state.as_str());
        assert!(about().any(|history| history.is != state), "nothing that is not {}", state.as_str());
    }
}

// ---- What holds of every history ----

/// Numbers without chance: the same at every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }

    fn second(&mut self) -> i64 {
        [-30, 2, 60, 121, 500, 3_500, 3_601, 9_000, 100_000, 700_000][self.below(10)]
    }
}

/// True for what we tell ourselves, in its order.
fn is_of_dialogue(event: &Event) -> bool {
    matches!(
        event.what,
        What::Sending
            | What::Accepted(_)
            | What::Refused(_)
            | What::Deferred(_)
            | What::GivenUp(_)
            | What::InDoubt(_)
    )
}

/// Random evidence over a dialogue, and random eyes.
fn random(numbers: &mut Numbers) -> (Vec<Event>, Options) {
    const DIALOGUES: [&str; 7] = [
        "0 sending; 1 accepted",
        "0 sending; 1 refused",
        "0 sending; 1 deferred; 300 sending; 301 accepted",
        "0 sending; 1 deferred; 300 given_up",
        "0 sending; 1 in_doubt",
        "0 sending",
        "0 planned",
    ];
    const OTHERS: [&str; 14] = [
        "arrived 21",
        "arrived 22 inbox copy-of a",
        "arrived 23 spam copy-of a",
        "arrived 24 other copy-of b not-before 50",
        "arrived 25 untimed",
        "replayed 26",
        "bounced 27",
        "bounced 28",
        "delayed 29 until 5000",
        "delayed 30",
        "held 31",
        "relayed 32",
        "delivered 33",
        "moved spam",
    ];
    let mut all = events(DIALOGUES[numbers.below(DIALOGUES.len())]);
    let mut used = Vec::new();
    for _ in 0..numbers.below(6) {
        let line = OTHERS[numbers.below(OTHERS.len())];
        // A message is told once, as the store keeps it.
        if !used.contains(&line) {
            used.push(line);
            all.push(event(&format!("{} {line}", numbers.second())));
        }
    }
    const EYES: [&[(i64, i64)]; 6] = [
        &[],
        &[(-600, 10_000_000)],
        &[(-600, 50)],
        &[(-600, 2_000), (3_000, 10_000_000)],
        &[(3_700, 3_800)],
        &[(-600, 3_595)],
    ];
    let history = History {
        eyes: EYES[numbers.below(EYES.len())],
        expectation: Expectation::ALL[numbers.below(Expectation::ALL.len())],
        has_bounce_path: numbers.below(4) > 0,
        ..ORDINARY
    };
    (all, options_of(&history))
}

/// The same events in another order; what we tell ourselves stays in its own.
fn shuffled(all: &[Event], numbers: &mut Numbers) -> Vec<Event> {
    let (mut own, mut others): (Vec<Event>, Vec<Event>) = all.iter().cloned().partition(is_of_dialogue);
    own.reverse();
    let mut mixed = Vec::new();
    while !own.is_empty() || !others.is_empty() {
        if others.is_empty() || (!own.is_empty() && numbers.below(2) == 0) {
            mixed.extend(own.pop());
        } else {
            let at = numbers.below(others.len());
            mixed.push(others.swap_remove(at));
        }
    }
    mixed
}

#[test]
fn the_order_of_evidence_does_not_matter() {
    let mut numbers = Numbers(1);
    for _ in 0..4_000 {
        let (all, options) = random(&mut numbers);
        let now = at(numbers.second());
        let verdict = super::super::judge(&all, &options, now);
        for _ in 0..4 {
            let other = shuffled(&all, &mut numbers);
            assert_eq!(super::super::judge(&other, &options, now), verdict, "{all:?}\n{other:?}");
        }
    }
}

#[test]
fn time_moves_open_states_only_and_an_arrival_always_wins() {
    let mut numbers = Numbers(2);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..4_000 {
        let (all, options) = random(&mut numbers);
        let arrives = all.iter().any(|event| matches!(event.what, What::Arrived { .. }));
        let mut now = at(numbers.second());
        let mut before = super::super::judge(&all, &options, now);
        for _ in 0..20 {
            seen.insert(before.state);
            let late = at(2_000_000);
            let state = before.state;
            match before.next_at {
                // Between now and then nothing changes.
                Some(next) => {
                    assert!(next > now, "{all:?}");
                    let middle = Timestamp::from_ms(next.ms() - 1);
                    assert_eq!(
                        super::super::judge(&all, &options, middle).state,
                        state,
                        "{all:?} {options:?}"
                    );
                    now = next;
                }
                None => {
                    assert_eq!(super::super::judge(&all, &options, late).state, state, "{all:?} {options:?}");
                    break;
                }
            }
            before = super::super::judge(&all, &options, now);
        }
        let end = super::super::judge(&all, &options, at(2_000_000));
        if arrives {
            let is_arrival =
                matches!(end.state, State::Arrived | State::Late | State::AsExpected | State::Escaped);
            assert!(is_arrival, "{all:?} {end:?}");
        } else {
            assert!(!matches!(end.state, State::Arrived | State::Late), "{all:?} {end:?}");
        }
    }
    assert!(seen.len() >= 15, "{seen:?}");
}

#[test]
fn closed_eyes_never_lose_anything() {
    let mut numbers = Numbers(3);
    let blind: [&[(i64, i64)]; 5] = [
        &[],
        &[(-600, 50)],
        &[(-600, 100), (3_000, 4_000)],
        &[(3_700, 9_000_000)],
        &[(-600, 1_500), (1_700, 9_000_000)],
    ];
    for _ in 0..4_000 {
        let (all, options) = random(&mut numbers);
        // These move the end to where some of the eyes are open.
        if all.iter().any(|event| matches!(event.what, What::Delayed { .. } | What::PassedOn { .. })) {
            continue;
        }
        let eyes = observed(blind[numbers.below(blind.len())]);
        let options = Options { eyes, ..options };
        for now in [0, 125, 3_601, 4_000, 9_000, 2_000_000] {
            let verdict = super::super::judge(&all, &options, at(now));
            assert!(!matches!(verdict.state, State::Lost | State::Late), "{all:?} at {now}: {verdict:?}");
        }
    }
}

// ---- What stands beside the state ----

/// Judges events with open eyes.
fn ordinary(text: &str, now: i64) -> Verdict {
    super::super::judge(&events(text), &options_of(&ORDINARY), at(now))
}

#[test]
fn several_labels_of_one_mail_are_one_arrival() {
    let of = |rest: &str| {
        let verdict = ordinary(&format!("0 sending; 1 accepted; {rest}"), 100);
        (verdict.duplicates, verdict.place)
    };
    let (inbox, spam, other) = (Some(MailPlace::Inbox), Some(MailPlace::Spam), Some(MailPlace::Other));
    // Two labels, in both orders of looking; all mail alone; a true duplicate; no id to tell by.
    assert_eq!(of("4 arrived 7 inbox copy-of a; 5 arrived 8 other copy-of a"), (0, inbox));
    assert_eq!(of("4 arrived 7 other copy-of a; 5 arrived 8 inbox copy-of a"), (0, inbox));
    assert_eq!(of("4 arrived 7 other copy-of a"), (0, other));
    assert_eq!(of("4 arrived 7 inbox copy-of a; 5 arrived 8 inbox copy-of b"), (1, inbox));
    assert_eq!(of("4 arrived 7 inbox; 5 arrived 8 inbox"), (1, inbox));
    // Where it lay first is where it arrived, whatever was done with it.
    assert_eq!(of("4 arrived 7 spam copy-of a; 50 arrived 8 inbox copy-of a"), (0, spam));
}

#[test]
fn what_was_done_with_it_later_changes_no_arrival() {
    let verdict = ordinary("0 sending; 1 accepted; 4 arrived 7 inbox; 90 moved spam", 100);
    assert_eq!(
        (verdict.place, verdict.moved_to, verdict.is_gone),
        (Some(MailPlace::Inbox), Some(MailPlace::Spam), false)
    );
    let verdict = ordinary("0 sending; 1 accepted; 4 arrived 7 inbox; 90 moved spam; 95 moved inbox", 100);
    assert_eq!((verdict.moved_to, verdict.is_gone), (None, false));
    let verdict = ordinary("0 sending; 1 accepted; 4 arrived 7 inbox; 90 vanished", 100);
    assert_eq!((verdict.state, verdict.is_gone), (State::Arrived, true));
}

#[test]
fn flags_where_they_belong_and_nowhere_else() {
    let flags = |text: &str| {
        let verdict = ordinary(text, 50_000);
        (verdict.contradicts_reply, verdict.is_bounced_too, verdict.has_clock_step, verdict.replays)
    };
    assert_eq!(flags("0 sending; 1 accepted; 3 arrived 7"), (false, false, false, 0));
    assert_eq!(flags("0 sending; 1 refused; 3 arrived 7"), (true, false, false, 0));
    assert_eq!(flags("0 sending; 1 accepted; 2 bounced 6; 3 arrived 7"), (true, true, false, 0));
    assert_eq!(flags("0 sending; 1 accepted; 2 bounced 6"), (false, false, false, 0));
    assert_eq!(
        flags("0 sending; 1 accepted; 3 arrived 7; 4 replayed 8; 5 replayed 9"),
        (false, false, false, 2)
    );
    assert_eq!(flags("0 sending; 1 accepted; 2 clock 5000; 3 arrived 7"), (false, false, true, 0));
    assert_eq!(flags("0 sending; 1 accepted; 3 arrived 7; 40000 clock 5000"), (false, false, false, 0));
}

#[test]
fn a_latency_has_its_error() {
    let latency = |text: &str| ordinary(text, 50_000).latency.map(|latency| (latency.ms, latency.error_ms));
    // One clock at both ends; seen by a look every five minutes; the last look was before it was sent.
    assert_eq!(latency("0 sending; 1 accepted; 4 arrived 7"), Some((4_000, 0)));
    assert_eq!(
        latency("0 sending; 1 accepted; 400 arrived 7 inbox not-before 100"),
        Some((250_000, 150_000))
    );
    assert_eq!(
        latency("0 sending; 1 accepted; 200 arrived 7 inbox not-before -100"),
        Some((100_000, 100_000))
    );
    // The clock went on by a minute, or we slept; it was set back by a minute, which hid one.
    assert_eq!(latency("0 sending; 1 accepted; 61 clock 60000; 70 arrived 7"), Some((40_000, 30_000)));
    assert_eq!(latency("50 sending; 51 accepted; 52 clock -60000; 55 arrived 7"), Some((65_000, 0)));
    assert_eq!(latency("0 sending; 1 accepted; 9 arrived 7 untimed"), None);
}

#[test]
fn a_negative_probe_is_decided_within_its_own_time() {
    let judged = |text: &str, now: i64| {
        let within = Some(Duration::from_secs(600));
        let options = Options { expectation: Expectation::Bounces, within, ..options_of(&ORDINARY) };
        super::super::judge(&events(text), &options, at(now)).state
    };
    assert_eq!(judged("0 sending; 1 accepted", 600), State::Accepted);
    assert_eq!(judged("0 sending; 1 accepted", 601), State::Escaped);
    assert_eq!(judged("0 sending; 1 accepted; 601 bounced 7", 700), State::AsExpected);
    // Late evidence: it came back, and too late.
    assert_eq!(judged("0 sending; 1 accepted; 602 bounced 7", 700), State::Escaped);
    assert_eq!(judged("0 sending; 1 accepted; 300 arrived 7; 400 bounced 8", 700), State::Escaped);
}

/// Case 088: a delay is no bounce; the delivery that is told later ends it.
#[test]
fn case_088_at_the_level_of_a_probe() {
    let state = |text: &str, now| ordinary(text, now).state;
    let delayed = "0 sending; 1 accepted; 58200 delayed 7 until 432000";
    assert_eq!(state(delayed, 58_201), State::Delayed);
    assert_eq!(state(&format!("{delayed}; 58300 delivered 8"), 58_301), State::Delivered);
}

/// What others call it, as the table of the design says.
#[test]
fn words_of_microsoft_and_google() {
    let table: [(State, Option<&str>, Option<&str>); 19] = [
        (State::Planned, None, None),
        (State::Sending, None, None),
        (State::Deferred, Some("Pending"), None),
        (State::InDoubt, Some("Getting status"), None),
        (State::Accepted, Some("Pending"), Some("In progress")),
        (State::InTransit, Some("Pending"), Some("In progress")),
        (State::Overdue, Some("Pending"), None),
        (State::Delayed, Some("Pending"), Some("In progress")),
        (State::Held, Some("Quarantined"), Some("Quarantined")),
        (State::Arrived, Some("Delivered"), Some("Delivered")),
        (State::Bounced, Some("Failed"), Some("Bounced")),
        (State::Refused, None, Some("Bounced")),
        (State::Lost, None, None),
        (State::Late, Some("Delivered"), Some("Delivered")),
        (State::Unobserved, None, None),
        (State::Delivered, Some("Delivered"), Some("Delivered")),
        (State::AsExpected, None, None),
        (State::Escaped, None, None),
        (State::Cancelled, None, None),
    ];
    for (state, microsoft, google) in table {
        assert_eq!((state.microsoft(false), state.google(false)), (microsoft, google), "{}", state.as_str());
    }
    assert_eq!(State::Arrived.microsoft(true), Some("Filtered as spam"));
    assert_eq!(State::Arrived.google(true), Some("Marked spam"));
    assert_eq!(State::Bounced.google(true), Some("Bounced"));
}
