//! The answers about probes over a store: counted, measured, promised, checked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mailsonde::classify::MessageKind;
use mailsonde::clock::{self, Timestamp};
use mailsonde::mail::{Address, Body, Envelope, Origin, Purpose, ReversePath};
use mailsonde::probe::compose::TEMPLATE_VERSION;
use mailsonde::probe::lifecycle::{Event, Expectation, MailPlace, Reason, Seen, State, What};
use mailsonde::probe::token::{KeyRing, Kind};
use mailsonde::store::{
    MessageRef, MessageStatus, NewMessage, NewProbe, ProbeMeans, Reading, SINK_EYE, Sighting, Store,
};
use mailsonde::summary::continuity::Objective;
use mailsonde::summary::probe::{By, Standing};
use mailsonde::summary::{Query, Trust};

use crate::cli::commands::run;

const MINUTE: i64 = 60;

/// A store with made probes, at an instant.
struct Made {
    store: Store,
    ring: KeyRing,
    now: Timestamp,
    counter: std::cell::Cell<u32>,
    folder: tempfile::TempDir,
}

/// What becomes of a made probe.
#[derive(Debug, Clone)]
enum Fate {
    /// It arrives so many seconds after it was sent; it was not there so many seconds before that.
    Arrives(i64, i64, MailPlace),
    /// It is accepted, and no more.
    Silence,
    /// It is refused.
    Refused,
    /// The connection is lost after the dot.
    InDoubt,
    /// It is not sent.
    Cancelled,
}

/// A probe to make.
#[derive(Debug, Clone)]
struct Sketch {
    route: &'static str,
    kind: Kind,
    size: u64,
    mx_host: Option<&'static str>,
    eyes: &'static str,
    /// Sent so many seconds before now.
    age: i64,
    fate: Fate,
}

impl Sketch {
    fn new(route: &'static str, age: i64, fate: Fate) -> Self {
        Self { route, kind: Kind::Probe, size: 2_000, mx_host: None, eyes: SINK_EYE, age, fate }
    }
}

impl Made {
    /// Our own eyes were open for the last thirty days; those called `shut` never were.
    fn new(now: Timestamp) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("t.db"), crate::store::options()).unwrap();
        let month = Duration::from_secs(30 * 86_400);
        let before = Timestamp::from_seconds(now.seconds() - 30 * 86_400);
        for at in [before, now] {
            store.note_look(SINK_EYE, at, month, None).unwrap();
            store.note_look("shut", at, month, Some("cannot sign in")).unwrap();
        }
        let ring = KeyRing::with_id(1, &[9; 32]).unwrap();
        Self { store, ring, now, counter: 0.into(), folder }
    }

    fn db(&self) -> PathBuf {
        self.folder.path().join("t.db")
    }

    /// Makes one; gives its token.
    fn add(&self, sketch: &Sketch) -> String {
        self.counter.set(self.counter.get() + 1);
        let sent_at = Timestamp::from_seconds(self.now.seconds() - sketch.age);
        let clear = self.ring.mint(sketch.kind, 7, sent_at, self.counter.get());
        let token = self.ring.texts(&clear).unwrap().recipient;
        let probe = NewProbe {
            token: token.clone(),
            route: sketch.route.to_owned(),
            route_number: 7,
            kind: sketch.kind,
            profile: "plain".to_owned(),
            template_version: TEMPLATE_VERSION,
            mail_from: ReversePath::Null,
            rcpt_to: Address::parse(&format!("probe+{token}@example.com")).unwrap(),
            message_id: format!("<{token}@example.org>"),
            destination: Some("example.com".to_owned()),
            size_bytes: sketch.size,
            message_sha256: [0; 32],
            is_in_maintenance: false,
            is_dkim_signed: false,
            mx_host: sketch.mx_host.map(str::to_owned),
            expectation: Expectation::Arrives,
            within: None,
            overdue_after: Duration::from_secs(120),
            lost_after: Duration::from_secs(3_600),
            eyes: vec![sketch.eyes.to_owned()],
            has_bounce_path: true,
            planned_at: None,
            sent_at,
        };
        let reason = || Reason { text: "made".to_owned(), ..Reason::default() };
        let note = |at: Timestamp, what: What| self.store.note_probe(&token, Event { at, what }).unwrap();
        if matches!(sketch.fate, Fate::Cancelled) {
            self.store.plan_probe(probe).unwrap();
            note(sent_at, What::Cancelled(reason()));
            return token;
        }
        self.store.begin_probe(probe).unwrap();
        match sketch.fate {
            Fate::Refused => note(sent_at, What::Refused(reason())),
            Fate::InDoubt => note(sent_at, What::InDoubt(reason())),
            Fate::Silence => note(sent_at, What::Accepted(reason())),
            Fate::Arrives(seconds, earlier, place) => {
                note(sent_at, What::Accepted(reason()));
                let at = Timestamp::from_seconds(sent_at.seconds() + seconds);
                let not_before =
                    (earlier > 0).then(|| Timestamp::from_seconds(sent_at.seconds() + seconds - earlier));
                let seen = Seen { place, not_before, ..Seen::default() };
                let sighting = Sighting {
                    token: token.clone(),
                    clear,
                    is_arrival: true,
                    is_timed: true,
                    seen,
                    reason: None,
                };
                self.receive(at, sighting);
            }
            Fate::Cancelled => {}
        }
        token
    }

    /// Receives a mail that shows a probe.
    fn receive(&self, at: Timestamp, sighting: Sighting) {
        let mut envelope = Envelope::without_transport(Origin::Smtp, at);
        envelope.mail_from = Some(ReversePath::Null);
        let message = NewMessage {
            envelope,
            body: Body::Memory(Arc::from(format!("x: {}\r\n\r\n{}", sighting.token, at.ms()).as_bytes())),
            purposes: vec![Purpose::Probe],
            file_name: None,
        };
        let reading = Reading {
            kind: MessageKind::Probe,
            status: Some(MessageStatus::Read),
            reason: None,
            deviations: vec![],
            message_id: None,
            references: vec![],
            subject: None,
            header_from: None,
            trust: Trust::Pending,
            parser_version: 1,
            read_at: at,
            packed: None,
            sha256: None,
            unread: vec![],
            reports: vec![],
            tls: vec![],
            failures: vec![],
            bounces: vec![],
            probes: vec![sighting],
            returned: vec![],
            reflection: None,
            watched: None,
        };
        self.store.finish(MessageRef::New(Box::new(message)), reading).unwrap();
    }

    /// Asks with these means.
    fn ask<T>(&self, by: By, ask: impl FnOnce(&mailsonde::store::Reader, &ProbeMeans<'_>) -> T) -> T {
        let reader = self.store.reader().unwrap();
        ask(
            &reader,
            &ProbeMeans {
                now: self.now,
                zone: jiff::tz::TimeZone::UTC,
                by,
                // Announced: everything sent between 300 and 200 minutes ago.
                is_maintenance: &|_, at| {
                    (200 * MINUTE..300 * MINUTE).contains(&(self.now.seconds() - at.seconds()))
                },
                longest_window: Duration::from_secs(28 * 86_400),
                objective: &|route| {
                    (route == "hq").then_some(Objective {
                        within: Duration::from_secs(60),
                        target_millionths: 900_000,
                        window: Duration::from_secs(28 * 86_400),
                    })
                },
            },
        )
    }
}

fn now() -> Timestamp {
    Timestamp::from_seconds(1_790_000_000)
}

/// Every state, none folded; time alone makes a probe lost, whoever settled it.
#[test]
fn probes_are_counted_as_they_were_judged() {
    let made = Made::new(now());
    for sketch in [
        Sketch::new("hq", 10 * MINUTE, Fate::Arrives(20, 0, MailPlace::Sink)),
        Sketch::new("hq", 15 * MINUTE, Fate::Arrives(30, 0, MailPlace::Spam)),
        Sketch::new("hq", 20 * MINUTE, Fate::Refused),
        Sketch::new("hq", 25 * MINUTE, Fate::InDoubt),
        Sketch::new("hq", 30 * MINUTE, Fate::Cancelled),
        Sketch::new("hq", 90 * MINUTE, Fate::Silence),
        Sketch::new("hq", 5 * MINUTE, Fate::Silence),
        Sketch::new("hq", 250 * MINUTE, Fate::Silence),
        Sketch { eyes: "shut", ..Sketch::new("branch", 90 * MINUTE, Fate::Silence) },
        Sketch::new("branch", 1, Fate::Silence),
    ] {
        made.add(&sketch);
    }
    let answer = made.ask(By::Route, |reader, means| reader.probe_groups(&Query::default(), means)).unwrap();
    let of = |route: &str| answer.rows.iter().find(|row| row.route == route).unwrap().counts.clone();
    let hq = of("hq");
    for (state, want) in [
        (State::Arrived, 2),
        (State::Refused, 1),
        (State::InDoubt, 1),
        (State::Cancelled, 1),
        (State::Lost, 1),
        (State::Overdue, 1),
    ] {
        assert_eq!(hq.of(state), want, "{state:?}: {hq:?}");
    }
    assert_eq!((hq.probes, hq.maintenance, hq.spam), (7, 1, 1));
    assert_eq!((hq.standing(Standing::Good), hq.standing(Standing::Bad), hq.decided()), (2, 2, 4));
    let branch = of("branch");
    assert_eq!((branch.of(State::Unobserved), branch.of(State::Accepted), branch.decided()), (1, 1, 0));
    assert_eq!((answer.totals.probes, answer.totals.maintenance), (9, 1));
    // The same once they are settled, and the same sums as the list has.
    made.store.settle_due(made.now).unwrap();
    let again = made.ask(By::Route, |reader, means| reader.probe_groups(&Query::default(), means)).unwrap();
    assert_eq!(again.totals, answer.totals);
    let list = made.store.reader().unwrap().probes(&Query::default(), made.now).unwrap();
    assert_eq!(list.totals.probes, answer.totals.probes + answer.totals.maintenance);
    // Filters: a route, a state, a period.
    let branch = Query { route: Some("branch".to_owned()), ..Query::default() };
    assert_eq!(
        made.ask(By::Route, |reader, means| reader.probe_groups(&branch, means)).unwrap().totals.probes,
        2
    );
    let lost = Query { result: Some("lost".to_owned()), ..Query::default() };
    let lost = made.ask(By::Route, |reader, means| reader.probe_groups(&lost, means)).unwrap();
    assert_eq!((lost.totals.probes, lost.totals.of(State::Lost)), (1, 1));
}

/// A route whose MX hosts are routes of their own is all of these, and no other whose name begins alike.
#[test]
fn hosts_of_a_route() {
    let made = Made::new(now());
    for (route, host) in [
        ("hq/mx1.a.example/ipv4", Some("mx1.a.example")),
        ("hq/mx2.a.example/ipv4", Some("mx2.a.example")),
        ("hq2", Some("mx.b.example")),
        ("h_/x", None),
    ] {
        made.add(&Sketch {
            mx_host: host,
            ..Sketch::new(route, 10 * MINUTE, Fate::Arrives(5, 0, MailPlace::Sink))
        });
    }
    let count = |route: &str, by: By| {
        let query = Query { route: Some(route.to_owned()), ..Query::default() };
        let answer = made.ask(by, |reader, means| reader.probe_groups(&query, means)).unwrap();
        (answer.totals.probes, answer.rows.len())
    };
    assert_eq!(count("hq", By::Route), (2, 2));
    assert_eq!(count("hq/mx1.a.example/ipv4", By::Route), (1, 1));
    assert_eq!(count("h_", By::Route), (1, 1), "an underscore is an underscore");
    let domains =
        made.ask(By::MxDomain, |reader, means| reader.probe_groups(&Query::default(), means)).unwrap();
    let groups: Vec<Option<&str>> = domains.rows.iter().map(|row| row.group.as_deref()).collect();
    assert_eq!(groups, [None, Some("a.example"), Some("a.example"), Some("b.example")]);
}

/// Intervals: looked at every 20 s, a mail that took from 40 to 60 s.
#[test]
fn latencies_are_intervals() {
    let made = Made::new(now());
    for n in 0..19 {
        made.add(&Sketch::new("hq", (10 + n) * MINUTE, Fate::Arrives(60, 20, MailPlace::Inbox)));
    }
    made.add(&Sketch::new("hq", 50 * MINUTE, Fate::Arrives(1_000, 0, MailPlace::Inbox)));
    made.add(&Sketch::new("hq", 55 * MINUTE, Fate::Refused));
    let answer = made.ask(By::Route, |reader, means| reader.latency(&Query::default(), means)).unwrap();
    let row = &answer.rows[0];
    let all = row.percentiles.unwrap();
    assert_eq!((row.measured, row.not_measured), (20, 0));
    assert_eq!((all.p50.low_ms, all.p50.high_ms), (40_000, 60_000));
    assert_eq!((all.p95.low_ms, all.p95.high_ms), (40_000, 60_000), "the 19th of 20");
    assert_eq!((all.p99.low_ms, all.p99.high_ms), (1_000_000, 1_000_000));
    assert_eq!((all.p50.text(), row.bytes_per_second), ("40-60 s".to_owned(), None));
    let days = made.ask(By::Hour, |reader, means| reader.latency(&Query::default(), means)).unwrap();
    assert_eq!(days.rows.iter().map(|row| row.measured).sum::<u64>(), 20);
    assert_eq!(days.totals, answer.totals);
}

/// 10 s and a megabyte a second.
#[test]
fn what_size_costs() {
    let made = Made::new(now());
    for n in 0..12 {
        let (size, seconds) =
            [(1_000, 10), (5_000_000, 15), (20_000_000, 30)][usize::try_from(n % 3).unwrap()];
        made.add(&Sketch {
            size,
            ..Sketch::new("hq", (10 + n) * MINUTE, Fate::Arrives(seconds, 0, MailPlace::Inbox))
        });
    }
    let answer = made.ask(By::Route, |reader, means| reader.latency(&Query::default(), means)).unwrap();
    let row = &answer.rows[0];
    assert_eq!(row.fixed_ms.map(|ms| (ms + 500) / 1_000), Some(10), "{row:?}");
    assert!((990_000..1_010_000).contains(&row.bytes_per_second.unwrap()), "{row:?}");
}

#[test]
fn budgets_gaps_and_drills() {
    let made = Made::new(now());
    // Good every ten minutes for 190 minutes, but for 100 to 80 minutes ago, when it is refused.
    for age in (0..19).map(|n| (190 - n * 10) * MINUTE) {
        let is_out = (80 * MINUTE..=100 * MINUTE).contains(&age);
        let fate = if is_out { Fate::Refused } else { Fate::Arrives(5, 0, MailPlace::Sink) };
        made.add(&Sketch { mx_host: Some("mx1.a.example"), ..Sketch::new("hq", age, fate) });
    }
    made.add(&Sketch::new("hq", 10 * 86_400, Fate::Arrives(61, 0, MailPlace::Sink)));
    made.add(&Sketch::new("other", 120 * MINUTE, Fate::Silence));
    for (age, kind) in [(60, Kind::Drill), (59, Kind::Drill), (30, Kind::Drill)] {
        let sketch = Sketch::new("hq", age * MINUTE, Fate::Arrives(5, 0, MailPlace::Sink));
        made.add(&Sketch { kind, ..sketch });
    }
    let day = Query {
        period: mailsonde::summary::Period { since_ms: Some(made.now.ms() - 86_400_000), until_ms: None },
        ..Query::default()
    };
    let answer = made.ask(By::Route, |reader, means| reader.continuity(&day, means)).unwrap();
    let names: Vec<(&str, Option<&str>)> =
        answer.rows.iter().map(|row| (row.route.as_str(), row.mx_host.as_deref())).collect();
    assert_eq!(names, [("hq", None), ("hq", Some("mx1.a.example")), ("other", None)]);
    let ago = |minutes: i64| Timestamp::from_seconds(made.now.seconds() - minutes * MINUTE);
    let [hq, host, other] = answer.rows.as_slice() else { panic!("{names:?}") };
    for row in [hq, host] {
        let (gap, outage) = (row.course.gap.unwrap(), row.course.outage.unwrap());
        assert_eq!((gap.from, gap.to), (ago(110), ago(70)), "{row:?}");
        assert_eq!((outage.from, outage.to), (ago(100), ago(70)), "{row:?}");
        assert_eq!((row.course.last_good, row.course.out_since), (Some(ago(10)), None));
    }
    assert_eq!((host.course.share.good, host.course.share.bad, host.drills), (16, 3, 0));
    assert_eq!((hq.drills, hq.last_drill), (2, Some(ago(30))));
    // In the window of 28 days: 19 good, 3 refused and one a second too slow, of 23 where 2.3 may.
    let budget = hq.budget.as_ref().unwrap();
    assert_eq!((budget.share.good, budget.share.bad), (19, 4), "the period is another matter");
    assert_eq!(budget.left_hundredths(), Some(10_000 - 17_391));
    assert_eq!((host.budget.as_ref(), other.budget.as_ref()), (None, None));
    assert_eq!((other.course.out_since, other.course.last_good), (Some(ago(120)), None));
    let totals = answer.totals;
    assert_eq!((totals.routes, totals.out, totals.promised, totals.exhausted), (2, 1, 1, 1));
}

/// The last drill alone, in order; what stands ten minutes apart is another one.
#[test]
fn the_last_drill_is_told() {
    let made = Made::new(now());
    let good = Fate::Arrives(2, 0, MailPlace::Sink);
    for (age, fate) in [
        (900, Fate::Refused),
        (60, good.clone()),
        (55, good.clone()),
        (50, Fate::Refused),
        (45, Fate::InDoubt),
        (40, good.clone()),
        (35, Fate::Silence),
    ] {
        made.add(&Sketch { kind: Kind::Drill, ..Sketch::new("hq", age, fate) });
    }
    // Neither another route nor another kind.
    made.add(&Sketch { kind: Kind::Drill, ..Sketch::new("hq2", 30, Fate::Refused) });
    made.add(&Sketch::new("hq", 30, Fate::Refused));
    let reader = made.store.reader().unwrap();
    let probes = reader.last_drill("hq", made.now).unwrap();
    assert_eq!(
        probes.iter().map(|probe| probe.is_taken).collect::<Vec<_>>(),
        [true, true, false, false, true, true]
    );
    let (rows, totals) = mailsonde::summary::drill::timeline(&probes);
    let told: Vec<(&str, i64)> = rows.iter().map(|row| (row.moment.as_str(), row.after_ms / 1_000)).collect();
    assert_eq!(told, [("begin", 0), ("refused", 10), ("back", 20)]);
    assert_eq!((totals.gap_ms, totals.arrived, totals.lost), (Some(10_000), 3, 1));
    assert_eq!((totals.waiting, totals.not_known, totals.delayed), (1, 1, 0));
    assert_eq!(reader.last_drill("nowhere", made.now).unwrap(), []);
    // An hour later the silent one is lost, whoever settled it.
    let later = Timestamp::from_seconds(made.now.seconds() + 3_600);
    made.store.note_look(SINK_EYE, later, Duration::from_secs(30 * 86_400), None).unwrap();
    let (_, totals) = mailsonde::summary::drill::timeline(&reader.last_drill("hq", later).unwrap());
    assert_eq!(totals.waiting, 0);
}

/// Runs of the schedule that did not take place are no data, and no probes.
#[test]
fn missed_runs_are_no_data() {
    use mailsonde::probe::schedule::{Because, Missed, Period};
    use mailsonde::store::{ScheduleNote, SeriesKey};
    let made = Made::new(now());
    made.add(&Sketch::new("hq", 600, Fate::Arrives(2, 0, MailPlace::Sink)));
    let ago = |seconds: i64| Timestamp::from_seconds(made.now.seconds() - seconds);
    let missed = |route: &str, series: &str, runs: u64| {
        let key = SeriesKey { route: route.to_owned(), series: series.to_owned() };
        let period = Period { from: ago(5_000), to: ago(4_000), runs };
        ScheduleNote::Missed(key, Missed { period, after: ago(5_300), because: Because::Off }, None)
    };
    let (sender, receiver) = std::sync::mpsc::channel();
    let notes = vec![
        missed("hq", "plain", 7),
        missed("hq/mx1.a.example/ipv4", "in-turn", 2),
        missed("hq2", "plain", 5),
    ];
    made.store.note_schedule(notes, move |result| sender.send(result).unwrap()).unwrap();
    receiver.recv().unwrap().unwrap();
    let query = Query { route: Some("hq".to_owned()), ..Query::default() };
    let answer = made.ask(By::Profile, |reader, means| reader.probe_groups(&query, means)).unwrap();
    let rows: Vec<(&str, Option<&str>, u64, u64)> = answer
        .rows
        .iter()
        .map(|row| (row.route.as_str(), row.group.as_deref(), row.counts.probes, row.counts.no_data))
        .collect();
    assert_eq!(rows, [("hq", Some("plain"), 1, 7), ("hq/mx1.a.example/ipv4", None, 0, 2)]);
    assert_eq!((answer.totals.no_data, answer.totals.probes), (9, 1));
    let lost = Query { result: Some("lost".to_owned()), ..Query::default() };
    assert_eq!(
        made.ask(By::Route, |reader, means| reader.probe_groups(&lost, means)).unwrap().totals.no_data,
        0
    );
}

// ---- check ROUTE ----

/// A configuration of one route; `more` stands below it.
fn configure(folder: &Path, more: &str) {
    let text = format!(
        "[sender.s]\nhost = \"127.0.0.1\"\nport = 1\n[route.hq]\nsender = \"s\"\n\
         to = \"probe+{{token}}@example.com\"\nfrom = \"probe@example.org\"\nevery = \"10m\"\n{more}"
    );
    std::fs::write(folder.join("mailsonde.toml"), text).unwrap();
}

/// Runs `check` over a made store; gives its exit code and line.
fn check(made: &Made, more: &str, arguments: &[&str]) -> (i32, String) {
    configure(made.folder.path(), more);
    let db = made.db();
    let mut all = vec!["check"];
    all.extend(arguments);
    all.extend(["--db", db.to_str().unwrap()]);
    let (code, out, _) = run(made.folder.path(), &all);
    (code, out.lines().next().unwrap_or_default().to_owned())
}

#[test]
fn a_route_in_one_line() {
    let fates = |fates: &[Fate]| {
        let made = Made::new(clock::now());
        for (age, fate) in (1..).zip(fates) {
            made.add(&Sketch::new("hq", age * 3 * MINUTE, fate.clone()));
        }
        made
    };
    let good = Fate::Arrives(5, 0, MailPlace::Sink);
    let slow = Fate::Arrives(100, 40, MailPlace::Sink);
    let spam = Fate::Arrives(5, 0, MailPlace::Spam);
    let all_good = fates(&vec![good.clone(); 20]);
    let (code, line) = check(&all_good, "", &["hq"]);
    assert_eq!(code, 0, "{line}");
    assert_eq!(
        line,
        "MAILSONDE OK - hq: p95 5.0 s, 0 of 20 bad (0.00 %, 0.00-16.12), 20 probes since 1d | p50=5s;;;0 p90=5s;;;0 \
         p95=5s;;;0 p99=5s;;;0 loss=0%;1;5;0;100 spam=0;0;;0 dup=0;;;0 unobserved=0;;;0"
    );
    let (code, line) = check(&all_good, "", &["hq", "-w", "p95=4s,loss=1%", "-c", "p95=600s,loss=5%"]);
    assert_eq!(code, 1, "{line}");
    assert!(line.contains("p95 5 (range 4)") && line.contains("p95=5s;4;600;0"), "{line}");

    let mut some = vec![good.clone(); 19];
    some.push(Fate::Refused);
    let (code, line) = check(&fates(&some), "", &["hq"]);
    assert_eq!(
        (code, line.contains("1 of 20 bad (5.00 %")),
        (1, true),
        "5 % is within the range to 5: {line}"
    );
    some.push(Fate::Refused);
    assert_eq!(check(&fates(&some), "", &["hq"]).0, 2);
    // From 60 to 100 s: that it is over 80 is not certain, that it is over 50 is.
    let slow = fates(&[slow.clone(), slow.clone(), slow]);
    assert_eq!(check(&slow, "", &["hq", "--warn", "p95=80s"]).0, 0);
    let (code, line) = check(&slow, "", &["hq", "--warn", "p95=50s"]);
    assert_eq!((code, line.contains("p95 60-100 s")), (1, true), "{line}");
    assert_eq!(check(&fates(&[good.clone(), spam]), "", &["hq"]).0, 1);

    // Announced: no alarm, and the line says so.
    let now = Timestamp::from_seconds(clock::now().seconds() - 3_600).rfc3339();
    let maintenance = format!("[[maintenance]]\nroutes = [\"hq\"]\nstart = \"{now}\"\nfor = \"4h\"\n");
    let (code, line) = check(&fates(&[Fate::Refused, good.clone()]), &maintenance, &["hq"]);
    assert_eq!((code, line.contains("under maintenance")), (0, true), "{line}");
}

/// Our own blindness is UNKNOWN, never an alarm; what was seen is one all the same.
#[test]
fn nothing_is_said_with_closed_eyes() {
    let good = Fate::Arrives(5, 0, MailPlace::Sink);
    let empty = Made::new(clock::now());
    let (code, line) = check(&empty, "", &["hq"]);
    assert_eq!((code, line.contains("no data")), (3, true), "{line}");

    let stopped = Made::new(clock::now());
    stopped.add(&Sketch::new("hq", 100 * MINUTE, good.clone()));
    let (code, line) = check(&stopped, "", &["hq"]);
    assert_eq!((code, line.contains("no probe was sent since")), (3, true), "{line}");

    let waiting = Made::new(clock::now());
    waiting.add(&Sketch::new("hq", 5, Fate::Silence));
    let (code, line) = check(&waiting, "", &["hq"]);
    assert_eq!((code, line.contains("no probe is decided: 1 not yet")), (3, true), "{line}");

    let blind = |fate: &Fate| {
        let made = Made::new(clock::now());
        made.add(&Sketch::new("hq", 200 * MINUTE, fate.clone()));
        for age in [120, 110, 100] {
            made.add(&Sketch { eyes: "shut", ..Sketch::new("hq", age * MINUTE, Fate::Silence) });
        }
        made.add(&Sketch::new("hq", 5, Fate::Silence));
        made
    };
    let (code, line) = check(&blind(&good), "", &["hq"]);
    assert_eq!((code, line.contains("our eyes are closed")), (3, true), "{line}");
    assert!(line.contains("unobserved=3"), "{line}");
    let (code, line) = check(&blind(&Fate::Refused), "", &["hq"]);
    assert_eq!(code, 2, "{line}");

    // Wrong use is UNKNOWN too, with the mend.
    for (arguments, want) in [
        (&["h"] as &[&str], "did you mean `hq`?"),
        (&["nowhere"], "routes: hq"),
        (&["hq", "-w", "errors=0"], "metrics here: p50"),
        (&["hq", "-c", "p95=1d"], "no threshold"),
        (&["hq", "--since", "whenever"], "whenever"),
    ] {
        let (code, line) = check(&empty, "", arguments);
        assert_eq!((code, line.contains(want)), (3, true), "{line}");
        assert!(line.starts_with("MAILSONDE UNKNOWN - "), "{line}");
    }
}

/// The commands in words: views, filters, and what they refuse.
#[test]
fn views_of_probes_by_the_command_line() {
    let made = Made::new(clock::now());
    for n in 1..10 {
        made.add(&Sketch::new("hq", n * 5 * MINUTE, Fate::Arrives(5, 0, MailPlace::Sink)));
    }
    made.add(&Sketch::new("hq", 7 * MINUTE, Fate::Refused));
    configure(made.folder.path(), "slo = { within = \"2m\", target = 99.5, window = \"7d\" }\n");
    let db = made.db();
    let ask = |arguments: &[&str]| {
        let mut all = vec!["report"];
        all.extend(arguments);
        all.extend(["--db", db.to_str().unwrap(), "--format", "json"]);
        let (code, out, err) = run(made.folder.path(), &all);
        (code, serde_json::from_str::<serde_json::Value>(&out).unwrap_or_default(), err)
    };
    let (code, probes, _) = ask(&["probes", "--by", "destination", "--fail-if", "bad > 0"]);
    assert_eq!(code, 1);
    let row = &probes["rows"][0];
    assert_eq!(
        (&row["route"], &row["group"], &row["probes"]),
        (&"hq".into(), &"example.com".into(), &10.into())
    );
    assert_eq!(row["availability_percent"].to_string(), "90.0");
    assert_eq!(
        (&row["availability_low_percent"], &row["availability_high_percent"]),
        (&59.58.into(), &98.22.into())
    );
    let (_, latency, _) = ask(&["latency", "--by", "hour", "--tz", "Europe/Zurich"]);
    assert_eq!(
        (&latency["totals"]["p95_low_ms"], &latency["totals"]["p95"]),
        (&5000.into(), &"5.0 s".into())
    );
    let (_, continuity, _) = ask(&["continuity", "--route", "hq"]);
    let row = &continuity["rows"][0];
    assert_eq!(
        (&row["slo_good"], &row["slo_bad"], &row["within_ms"]),
        (&9.into(), &1.into(), &120_000.into())
    );
    assert_eq!(row["budget_left_percent"].to_string(), "-1900.0");
    assert_eq!(continuity["totals"]["exhausted"], 1);
    let (_, list, _) = ask(&["probe-list", "--route", "hq", "--result", "refused"]);
    assert_eq!(list["rows"].as_array().unwrap().len(), 1);
    for (arguments, want) in [
        (&["probes", "--by", "week"] as &[&str], "no such word"),
        (&["messages", "--by", "day"], "--by"),
        (&["sources", "--route", "hq"], "--route"),
        (&["continuity", "--by", "day"], "--by"),
        (&["latency", "--trust", "all"], "counts no reports"),
        (&["latency", "--source", "192.0.2.1"], "has none"),
        (&["probes", "--from", "a@b.example"], "--from"),
        (&["messages", "--from", "nobody"], "no address"),
        (&["messages", "--kind", "letter"], "no such word"),
        (&["messages", "--state", "lost"], "no such word"),
    ] {
        let (code, _, err) = ask(arguments);
        assert_eq!((code, err.contains(want)), (2, true), "{arguments:?}: {err}");
    }
    // Every format prints each of them.
    for view in ["probes", "latency", "continuity"] {
        for format in ["table", "csv", "markdown", "html", "ndjson"] {
            let arguments = ["report", view, "--db", db.to_str().unwrap(), "--format", format];
            let (code, out, err) = run(made.folder.path(), &arguments);
            assert_eq!((code, out.contains("hq")), (0, true), "{view} {format}: {err}");
        }
    }
}
