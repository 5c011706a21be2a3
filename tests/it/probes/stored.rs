//! Probes in the store: states at the time of asking, arrivals once, attempts with their steps.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use mailsonde::classify::MessageKind;
use mailsonde::clock::Timestamp;
use mailsonde::dns_health::mta_sts::Mode;
use mailsonde::mail::{Address, Body, DomainName, Envelope, MessageId, Origin, Purpose, ReversePath};
use mailsonde::probe::compose::TEMPLATE_VERSION;
use mailsonde::probe::lifecycle::{Expectation, Seen, State};
use mailsonde::probe::token::{KeyRing, Kind, Token};
use mailsonde::smtp::submit::direct::{DaneResult, MxTried, StsFit, StsResult};
use mailsonde::smtp::submit::{Cause, Fault, HandOver, Outcome, Phase, Reply, Step, TlsFacts, Verification};
use mailsonde::store::{
    MessageRef, MessageStatus, NewMessage, NewProbe, Reading, ReprocessFilter, SINK_EYE, Sighting, Store,
    StoreError,
};
use mailsonde::summary::{Period, ProbeTotals, Query, Trust};

const LOST_AFTER: Duration = Duration::from_secs(60);

/// A store in a folder of its own.
pub(super) struct Fixture {
    pub(super) store: Store,
    ring: KeyRing,
    folder: tempfile::TempDir,
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_790_000_000 + seconds)
}

impl Fixture {
    /// With nobody who looks.
    pub(super) fn blind() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("t.db"), crate::store::options()).unwrap();
        Self { store, ring: KeyRing::with_id(1, &[9; 32]).unwrap(), folder }
    }

    /// Opens the store anew, as after a restart.
    pub(super) fn reopen(&mut self) {
        self.store = Store::open(&self.folder.path().join("t.db"), crate::store::options()).unwrap();
    }

    pub(super) fn new() -> Self {
        let f = Self::blind();
        // Our eyes were open all the time.
        let day = Duration::from_secs(86_400);
        f.store.note_look(SINK_EYE, at(-1_000), day, None).unwrap();
        f.store.note_look(SINK_EYE, at(100_000), day, None).unwrap();
        f
    }

    fn token(&self, counter: u32) -> (Token, String) {
        let token = self.ring.mint(Kind::Probe, 7, at(0), counter);
        (token, self.ring.texts(&token).unwrap().recipient)
    }

    /// Begins a probe `after` seconds; gives its name.
    pub(super) fn begin(&self, counter: u32, after: i64, to: &str) -> String {
        let probe = self.new_probe(counter, after, to);
        let token = probe.token.clone();
        self.store.begin_probe(probe).unwrap();
        token
    }

    /// Reads a message again, with what it tells now.
    pub(super) fn again(&self, id: MessageId, sightings: Vec<Sighting>) {
        let filter = ReprocessFilter { ids: Some(vec![id]), ..ReprocessFilter::default() };
        assert_eq!(self.store.reprocess(&filter).unwrap(), 1);
        self.finish(id, sightings);
    }

    /// A probe that is sent `after` seconds.
    pub(super) fn new_probe(&self, counter: u32, after: i64, to: &str) -> NewProbe {
        let (_, token) = self.token(counter);
        NewProbe {
            token: token.clone(),
            route: "hq".to_owned(),
            route_number: 7,
            kind: Kind::Probe,
            profile: "plain".to_owned(),
            template_version: TEMPLATE_VERSION,
            mail_from: ReversePath::Null,
            rcpt_to: Address::parse(to).unwrap(),
            message_id: format!("<{token}@example.org>"),
            destination: Address::parse(to).unwrap().domain_name().map(|name| name.as_str().to_owned()),
            size_bytes: 1_000,
            is_dkim_signed: false,
            mx_host: None,
            expectation: Expectation::Arrives,
            within: None,
            overdue_after: LOST_AFTER,
            lost_after: LOST_AFTER,
            eyes: vec![SINK_EYE.to_owned()],
            has_bounce_path: true,
            planned_at: None,
            sent_at: at(after),
            message_sha256: [0; 32],
            is_in_maintenance: false,
        }
    }

    /// Receives a message and finishes it with what it tells.
    pub(super) fn receive(&self, after: i64, sightings: Vec<Sighting>) -> MessageId {
        let (sender, receiver) = channel();
        let mut envelope = Envelope::without_transport(Origin::Smtp, at(after));
        envelope.mail_from = Some(ReversePath::Null);
        let message = NewMessage {
            envelope,
            body: Body::Memory(Arc::from(b"x: y\r\n\r\n".as_slice())),
            purposes: vec![Purpose::Probe],
            file_name: None,
        };
        self.store.deliver(message, Box::new(move |result| sender.send(result).unwrap())).unwrap();
        let id = receiver.recv().unwrap().unwrap();
        self.finish(id, sightings);
        id
    }

    fn finish(&self, id: MessageId, probes: Vec<Sighting>) {
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
            read_at: at(0),
            packed: None,
            sha256: None,
            unread: vec![],
            reports: vec![],
            tls: vec![],
            failures: vec![],
            bounces: vec![],
            probes,
            returned: vec![],
            reflection: None,
            watched: None,
        };
        self.store.finish(MessageRef::Stored(id), reading).unwrap();
    }

    pub(super) fn sighting(&self, counter: u32, is_arrival: bool) -> Sighting {
        let (clear, token) = self.token(counter);
        Sighting { token, clear, is_arrival, is_timed: true, seen: Seen::default(), reason: None }
    }

    /// State, latency and reason of one probe at an instant.
    fn state(&self, token: &str, after: i64) -> (String, Option<i64>, String) {
        let answer = self.store.reader().unwrap().probes(&Query::default(), at(after)).unwrap();
        let row = answer.rows.into_iter().find(|row| row.token == token).unwrap();
        (row.state, row.latency_ms, row.reason.unwrap_or_default())
    }
}

/// The record of an attempt that ended so.
pub(super) fn hand_over(after: i64, outcome: Outcome) -> HandOver {
    let ended = reply("250 2.0.0 OK 4f7q");
    HandOver {
        started_at: at(after),
        ended_at: at(after + 1),
        mx: vec![],
        attempts: vec![],
        peer: Some("[2001:db8::1]:25".parse().unwrap()),
        steps: vec![Step {
            phase: Phase::Dot,
            sent: None,
            reply: Some(ended),
            took: Duration::from_micros(1_500),
        }],
        extensions: vec!["SIZE 1000".to_owned()],
        tls: Some(TlsFacts {
            version: "TLSv1.3".to_owned(),
            cipher: "TLS_AES_128_GCM_SHA256".to_owned(),
            server_name: "mx.example.net".to_owned(),
            certificate_sha256: Some([5; 32]),
            certificate_until: Some(at(86_400)),
            verification: Verification::NotChecked,
        }),
        queue_id: Some("4f7q".to_owned()),
        outcome,
    }
}

pub(super) fn reply(text: &str) -> Reply {
    let (code, text) = text.split_once(' ').unwrap();
    Reply { code: code.parse().unwrap(), enhanced: None, lines: vec![text.to_owned()], is_mixed: false }
}

#[test]
fn a_probe_that_is_sent_again_without_end_stays_cheap() {
    let fixture = Fixture::new();
    let token = fixture.begin(1, 0, "probe@example.net");
    let most = usize::try_from(mailsonde::limits::PROBE_SIGHTINGS).unwrap();
    for _ in 0..most + 20 {
        fixture.receive(5, vec![fixture.sighting(1, true)]);
    }
    let stored = fixture.store.reader().unwrap().probe(&token, at(10)).unwrap();
    assert_eq!(stored.verdict.state, State::Arrived);
    assert_eq!(stored.verdict.duplicates, u64::try_from(most - 1).unwrap());
}

#[test]
fn states_follow_the_events_and_the_time_of_asking() {
    let f = Fixture::new();
    let token = f.begin(1, 0, "probe@example.net");
    assert_eq!(f.state(&token, 1).0, "sending");
    assert_eq!(f.state(&token, 61).0, "in_doubt", "its sender never told how it went");
    f.store.finish_probe(&token, hand_over(0, Outcome::Accepted(reply("250 ok")))).unwrap();
    assert_eq!(f.state(&token, 60), ("accepted".to_owned(), None, "dot: 250 ok".to_owned()));
    assert_eq!(f.state(&token, 61).0, "lost");
    f.receive(5, vec![f.sighting(1, true)]);
    assert_eq!(f.state(&token, 61), ("arrived".to_owned(), Some(5_000), "dot: 250 ok".to_owned()));
    // The same for every other outcome, told by the same reader after the store was closed.
    let closed = Cause::Fault(Fault::Closed);
    let outcomes = [
        (Outcome::Refused(Phase::Rcpt, Cause::Reply(reply("550 no"))), "refused", "rcpt: 550 no"),
        (Outcome::Deferred(Phase::Banner, closed), "deferred", "banner: connection closed by the server"),
        (Outcome::InDoubt(Fault::Closed), "in_doubt", "dot: connection closed by the server"),
    ];
    for (counter, (outcome, state, reason)) in (10..).zip(outcomes) {
        let token = f.begin(counter, 0, "probe@example.net");
        f.store.finish_probe(&token, hand_over(0, outcome)).unwrap();
        assert_eq!(f.state(&token, 10_000), (state.to_owned(), None, reason.to_owned()));
    }
    let reader = f.store.reader().unwrap();
    f.store.close();
    let totals = reader.probes(&Query::default(), at(10_000)).unwrap().totals;
    let want =
        ProbeTotals { probes: 4, refused: 1, deferred: 1, in_doubt: 1, arrived: 1, ..Default::default() };
    assert_eq!(totals, want);
}

#[test]
fn a_message_is_one_arrival_however_often_it_is_read() {
    let f = Fixture::new();
    let token = f.begin(1, 0, "probe@example.net");
    f.store.finish_probe(&token, hand_over(0, Outcome::Accepted(reply("250 ok")))).unwrap();
    let id = f.receive(100, vec![f.sighting(1, true), f.sighting(1, true)]);
    let late = ("late".to_owned(), Some(100_000), "dot: 250 ok".to_owned());
    assert_eq!(f.state(&token, 200), late);
    f.finish(id, vec![f.sighting(1, true)]);
    assert_eq!(f.state(&token, 200), late);
    f.receive(150, vec![f.sighting(1, true)]);
    assert_eq!(f.state(&token, 200).2, "dot: 250 ok; arrived 2 times");
    f.receive(151, vec![f.sighting(1, false)]);
    assert_eq!(f.state(&token, 200).2, "dot: 250 ok; arrived 2 times; replayed 1 times");
}

/// A better reader may see that a message was no arrival: what it told before is taken back.
#[test]
fn a_message_that_is_read_again_tells_anew() {
    let f = Fixture::new();
    let token = f.begin(1, 0, "probe@example.net");
    f.store.finish_probe(&token, hand_over(0, Outcome::Accepted(reply("250 ok")))).unwrap();
    let id = f.receive(5, vec![f.sighting(1, true)]);
    let other = f.receive(7, vec![f.sighting(1, true)]);
    let again = |id, sightings| f.again(id, sightings);
    again(id, vec![f.sighting(1, true)]);
    assert_eq!(f.state(&token, 10).2, "dot: 250 ok; arrived 2 times");
    again(id, vec![f.sighting(1, false)]);
    assert_eq!(
        f.state(&token, 10),
        ("arrived".to_owned(), Some(7_000), "dot: 250 ok; replayed 1 times".to_owned())
    );
    again(other, vec![]);
    assert_eq!(f.state(&token, 10).0, "accepted");
    assert_eq!(f.store.reader().unwrap().open_probes(at(10), 10).unwrap(), [token]);
}

#[test]
fn an_arrival_may_be_committed_before_the_senders_outcome() {
    let f = Fixture::new();
    let token = f.begin(1, 0, "probe@example.net");
    f.receive(0, vec![f.sighting(1, true)]);
    f.store.finish_probe(&token, hand_over(0, Outcome::Accepted(reply("250 ok")))).unwrap();
    assert_eq!(f.state(&token, 10_000).0, "arrived");
    assert!(f.store.reader().unwrap().open_probes(at(0), 10).unwrap().is_empty());
}

#[test]
fn a_probe_that_the_store_does_not_know_is_known_by_its_token() {
    let f = Fixture::new();
    f.receive(5, vec![f.sighting(3, true)]);
    let (_, token) = f.token(3);
    let answer = f.store.reader().unwrap().probes(&Query::default(), at(10)).unwrap();
    let row = &answer.rows[0];
    assert_eq!(
        (row.token.as_str(), row.route.as_str(), row.state.as_str()),
        (token.as_str(), "route 7", "arrived")
    );
    // When it was sent is not known, only when its token was made.
    assert_eq!((row.sent_at, row.latency_ms), (at(0), None));
    let probe = f.store.reader().unwrap().probe(&token, at(10)).unwrap();
    assert_eq!((probe.profile, probe.rcpt_to, probe.attempts.len()), (None, None, 0));
}

#[test]
fn open_probes_are_those_that_time_may_change() {
    let f = Fixture::new();
    let open = |after: i64| f.store.reader().unwrap().open_probes(at(after), 10).unwrap();
    let one = f.begin(1, 0, "probe@example.net");
    let two = f.begin(2, 5, "probe@example.net");
    let three = f.begin(3, 6, "probe@example.net");
    assert_eq!(open(10), [one.as_str(), &two, &three]);
    f.store.finish_probe(&one, hand_over(8, Outcome::Accepted(reply("250 ok")))).unwrap();
    f.store.finish_probe(&three, hand_over(8, Outcome::InDoubt(Fault::Closed))).unwrap();
    assert_eq!(open(10), [two.as_str(), &one], "the deadline runs from the acceptance");
    assert_eq!(open(65), [one.as_str()]);
    assert!(open(69).is_empty(), "lost");
    f.receive(9, vec![f.sighting(1, true)]);
    assert_eq!(open(10), [two.as_str()]);
    // Sent again after it was put off.
    f.store
        .finish_probe(&two, hand_over(8, Outcome::Deferred(Phase::Connect, Cause::Fault(Fault::Closed))))
        .unwrap();
    assert!(open(10).is_empty());
    f.store.begin_probe_again(&two, at(20)).unwrap();
    assert_eq!(open(20), [two.as_str()]);
}

#[test]
fn questions() {
    let f = Fixture::new();
    for (counter, after, to) in
        [(1, 0, "a@example.net"), (2, 10, "a@sub.example.net"), (3, 20, "a@example.org")]
    {
        f.begin(counter, after, to);
    }
    let (_, second) = f.token(2);
    f.store.finish_probe(&second, hand_over(10, Outcome::Accepted(reply("250 ok")))).unwrap();
    f.receive(12, vec![f.sighting(2, true)]);
    let reader = f.store.reader().unwrap();
    let ask = |query: Query| {
        let answer = reader.probes(&query, at(30)).unwrap();
        let counters: Vec<u32> = answer
            .rows
            .iter()
            .map(|row| (1..=3).find(|counter| f.token(*counter).1 == row.token).unwrap())
            .collect();
        (counters, answer.totals.probes, answer.cut)
    };
    let domain = |name| Query { domain: DomainName::parse(name), ..Query::default() };
    assert_eq!(ask(Query::default()), (vec![3, 2, 1], 3, 0));
    assert_eq!(ask(domain("example.net")), (vec![2, 1], 2, 0));
    assert_eq!(ask(domain("sub.example.net")), (vec![2], 1, 0));
    assert_eq!(ask(domain("ample.net")), (vec![], 0, 0));
    assert_eq!(ask(Query { result: Some("arrived".to_owned()), ..Query::default() }), (vec![2], 1, 0));
    let period = Period { since_ms: Some(at(0).ms()), until_ms: Some(at(20).ms()) };
    assert_eq!(ask(Query { period, ..Query::default() }), (vec![2, 1], 2, 0));
    let sort = |sort: &str, limit| Query { sort: Some(sort.to_owned()), limit, ..Query::default() };
    assert_eq!(ask(sort("sent_at", None)), (vec![1, 2, 3], 3, 0));
    assert_eq!(ask(sort("-sent_at", Some(2))), (vec![3, 2], 3, 1));
    assert_eq!(ask(sort("latency_ms", None)), (vec![2, 3, 1], 3, 0));
    assert_eq!(ask(sort("-latency_ms", Some(1))), (vec![2], 3, 2));
    assert_eq!(ask(sort("state", None)), (vec![2, 3, 1], 3, 0));
    let answer = reader.probes(&Query::default(), at(30)).unwrap();
    assert_eq!((answer.first, answer.last), (Some(at(0)), Some(at(20))));
}

#[test]
fn everything_of_one_probe() {
    let f = Fixture::new();
    let token = f.begin(1, 0, "probe@example.net");
    let mut first = hand_over(0, Outcome::Deferred(Phase::Connect, Cause::Fault(Fault::Closed)));
    (first.peer, first.tls, first.queue_id, first.steps) = (None, None, None, vec![]);
    first.attempts = vec![mailsonde::smtp::submit::Attempt {
        address: "192.0.2.1:25".parse().unwrap(),
        took: Duration::from_secs(1),
        fault: Some("refused".to_owned()),
    }];
    let mx = |host: &str, address: Option<&str>, fault: Option<&str>| MxTried {
        host: host.to_owned(),
        preference: 10,
        address: address.map(|text| text.parse().unwrap()),
        sts: StsResult::With {
            mode: Mode::Enforce,
            id: "7".to_owned(),
            fit: StsFit::Fails("no TLS".to_owned()),
        },
        dane: DaneResult::None("no TLSA record"),
        fault: fault.map(ToOwned::to_owned),
    };
    first.mx = vec![mx("a.example", None, Some("no TLS")), mx("b.example", Some("2001:db8::1"), None)];
    f.store.finish_probe(&token, first).unwrap();
    f.store.begin_probe_again(&token, at(10)).unwrap();
    f.store.finish_probe(&token, hand_over(10, Outcome::Accepted(reply("250 ok")))).unwrap();
    let probe = f.store.reader().unwrap().probe(&token, at(20)).unwrap();
    assert_eq!(
        (probe.route.as_str(), probe.profile.as_deref(), probe.mail_from.as_deref()),
        ("hq", Some("plain"), Some("<>"))
    );
    assert_eq!((probe.verdict.state, probe.verdict.lost_at), (State::Accepted, Some(at(71))));
    let events: Vec<_> = probe.events.iter().map(|event| event.what.as_str()).collect();
    assert_eq!(events, ["sending", "deferred", "sending", "accepted"]);
    assert_eq!(probe.attempts[0].addresses, ["192.0.2.1:25: refused"]);
    let stored_mx = &probe.attempts[0].mx;
    let told: Vec<(&str, u16, Option<&str>, Option<&str>)> = stored_mx
        .iter()
        .map(|mx| (mx.host.as_str(), mx.preference, mx.address.as_deref(), mx.fault.as_deref()))
        .collect();
    assert_eq!(told, [("a.example", 10, None, Some("no TLS")), ("b.example", 10, Some("2001:db8::1"), None)]);
    assert_eq!(stored_mx[0].mta_sts, "enforce, id 7: fails: no TLS");
    assert_eq!(stored_mx[1].dane, "none: no TLSA record");
    let last = &probe.attempts[1];
    assert!(last.mx.is_empty());
    assert_eq!(last.peer.as_deref(), Some("[2001:db8::1]:25"));
    assert_eq!(last.tls_verification.as_deref(), Some("not checked"));
    assert_eq!(last.certificate_until, Some(at(86_400)));
    assert_eq!((last.queue_id.as_deref(), last.extensions.len()), (Some("4f7q"), 1));
    assert_eq!(last.steps[0].reply.as_deref(), Some("250 2.0.0 OK 4f7q"));
    assert_eq!(last.steps[0].took, Duration::from_micros(1_500));
    let errors = [
        f.store.reader().unwrap().probe("mfx", at(0)).map(drop),
        f.store.begin_probe_again("mfx", at(0)),
        f.store.finish_probe("mfx", hand_over(0, Outcome::InDoubt(Fault::Closed))),
    ];
    assert!(errors.iter().all(|error| matches!(error, Err(StoreError::NotFound(_)))), "{errors:?}");
}
