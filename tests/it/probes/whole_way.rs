//! A probe planned, kept, sent to our receiver, matched and judged.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::time::Duration;

use mailsonde::classify::MessageKind;
use mailsonde::clock::Timestamp;
use mailsonde::mail::{Address, Body, Message, Purpose, Refusal, ReversePath};
use mailsonde::probe::compose::{ProbeFacts, Profile, TEMPLATE_VERSION, attachment_bytes, original};
use mailsonde::probe::lifecycle::Seen;
use mailsonde::probe::matching::match_mail;
use mailsonde::probe::plan::{Planned, RoutePlan, plan};
use mailsonde::probe::token::KeyRing;
use mailsonde::smtp::sink::SinkOptions;
use mailsonde::smtp::submit::{
    Cause, Fault, HandOver, Outcome, Phase, Submission, SubmitOptions, Timeouts, TlsMode, Verification,
    Verify, submit,
};
use mailsonde::store::{MessageRef, MessageStatus, NewMessage, NewProbe, Reading, Sighting, Store};
use mailsonde::summary::{ProbeRow, Query, Trust};

use crate::support::sink::{Stored, TestSink, eventually};

const LOST_AFTER: Duration = Duration::from_secs(3_600);

fn ring() -> KeyRing {
    KeyRing::from_bytes(&[4; 32]).unwrap()
}

/// A probe for a receiver under test, made now.
fn planned(profile: Profile, to: &str, counter: u32) -> (Planned, NewProbe) {
    let from = Address::parse("probe@example.org").unwrap();
    let mail_from = Some("{token}@bounce.example.org");
    let route = RoutePlan { mail_from, ..RoutePlan::new("whole-way", to, &from, profile) };
    let now = mailsonde::clock::now();
    let planned = plan(&ring(), &route, now, counter).unwrap();
    let kept = NewProbe::of(&planned, &route, now, LOST_AFTER);
    (planned, kept)
}

/// Options for a receiver under test: TLS required, its own certificate trusted.
fn options(sink: &TestSink) -> SubmitOptions {
    let pem = std::fs::read(sink.directory.path().join("smtp-certificate.pem")).unwrap();
    SubmitOptions {
        host: sink.address().ip().to_string(),
        port: sink.address().port(),
        helo: "probe.example.org".to_owned(),
        tls: TlsMode::Required,
        verify: Verify::Roots(Arc::from(pem)),
        server_name: Some("mx.example.com".to_owned()),
        credentials: None,
        source_address: None,
        dsn: None,
        timeouts: Timeouts::STANDARD,
    }
}

fn send(options: &SubmitOptions, planned: &Planned) -> HandOver {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(submit(
        options,
        Submission {
            mail_from: &planned.mail_from,
            rcpt_to: &planned.rcpt_to,
            message: &planned.message.bytes,
            needs_smtputf8: planned.message.needs_smtputf8,
        },
    ))
}

/// What a received message tells of our probes.
fn sightings(stored: &Stored) -> Vec<Sighting> {
    let matches = match_mail(&ring(), &stored.envelope, &Message::parse(&stored.bytes));
    assert!(matches.forged.is_empty() && matches.foreign.is_empty());
    Sighting::of(&matches, &ring(), true, &Seen::default())
}

/// Keeps a received message with what it tells.
fn ingest(store: &Store, stored: &Stored) {
    let (sender, receiver) = channel();
    let message = NewMessage {
        envelope: stored.envelope.clone(),
        body: Body::Memory(Arc::from(stored.bytes.as_slice())),
        purposes: vec![Purpose::Probe],
        file_name: None,
    };
    store.deliver(message, Box::new(move |result| sender.send(result).unwrap())).unwrap();
    let id = receiver.recv().unwrap().unwrap();
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
        read_at: stored.envelope.received_at,
        packed: None,
        sha256: None,
        unread: vec![],
        reports: vec![],
        tls: vec![],
        failures: vec![],
        bounces: vec![],
        probes: sightings(stored),
        returned: vec![],
        reflection: None,
        watched: None,
    };
    store.finish(MessageRef::Stored(id), reading).unwrap();
}

fn row(store: &Store, token: &str, now: Timestamp) -> ProbeRow {
    let answer = store.reader().unwrap().probes(&Query::default(), now).unwrap();
    answer.rows.into_iter().find(|row| row.token == token).unwrap()
}

fn open_store(folder: &tempfile::TempDir) -> Store {
    Store::open(&folder.path().join("t.db"), crate::store::options()).unwrap()
}

#[test]
fn every_profile_arrives_byte_for_byte_over_verified_tls() {
    let sink = TestSink::start();
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(&folder);
    let words = Profile::LIST.split(", ").filter(|word| !word.contains('<'));
    let profiles = words.map(|word| Profile::parse(word).unwrap());
    // Without those that need a key, a file or an envelope sender of their own.
    let is_simple = |profile: &Profile| {
        !matches!(
            profile,
            Profile::AttachFile | Profile::DkimBroken | Profile::DmarcFail | Profile::UnknownUser
        )
    };
    let profiles =
        profiles.filter(is_simple).chain([Profile::Attach(3_000_000), Profile::Oversize(4_000_000)]);
    for (counter, profile) in (0..).zip(profiles) {
        let (planned, kept) = planned(profile, "probe+{token}@example.net", counter);
        let expectation = kept.expectation;
        store.begin_probe(kept).unwrap();
        let hand_over = send(&options(&sink), &planned);
        assert!(matches!(hand_over.outcome, Outcome::Accepted(_)), "{profile}: {hand_over:#?}");
        assert!(hand_over.queue_id.is_some());
        assert_eq!(hand_over.tls.as_ref().unwrap().verification, Verification::Verified);
        store.finish_probe(planned.texts.name(), hand_over).unwrap();
        let stored = sink.inbox.stored().pop().unwrap();
        assert_eq!(stored.bytes, planned.message.bytes, "{profile}");
        // What arrived has the parts of the original that is made again from the little that is kept.
        let facts = ProbeFacts {
            token: planned.texts.name(),
            profile,
            template_version: TEMPLATE_VERSION,
            route: "whole-way",
            from: &Address::parse("probe@example.org").unwrap(),
            to: &planned.rcpt_to,
            template: None,
            headers: &[],
            file: None,
            dkim: None,
            sha256: Some(planned.message.fingerprint),
        };
        let original = original(&ring(), &facts).unwrap();
        let arrived = Message::parse(&stored.bytes);
        let parts: Vec<_> =
            arrived.parts.iter().map(|part| (part.file_name.clone(), part.decode().0.len())).collect();
        let of_original = original
            .parts
            .iter()
            .map(|part| (part.name.clone().unwrap_or_default(), usize::try_from(part.size_bytes).unwrap()));
        assert_eq!(parts, of_original.collect::<Vec<_>>(), "{profile}");
        assert_eq!(stored.envelope.rcpt_to.first(), Some(&planned.rcpt_to));
        assert_eq!(stored.envelope.mail_from.as_ref(), Some(&planned.mail_from));
        assert_eq!(stored.envelope.tls.as_ref().unwrap().version, "TLSv1.3");
        let name = planned.texts.name();
        assert_eq!(row(&store, name, mailsonde::clock::now()).state, "accepted");
        ingest(&store, &stored);
        let row = row(&store, name, mailsonde::clock::now());
        // At our own receiver what must not get through did, and nobody says how SPF and DKIM went.
        let want = if expectation.is_to_arrive() { "arrived" } else { "escaped" };
        assert_eq!(row.state, want, "{row:?}");
        assert!(row.latency_ms.is_some_and(|ms| ms >= 0), "{row:?}");
        if let Profile::Attach(size) = profile {
            let message = mail_parser::MessageParser::default().parse(&stored.bytes).unwrap();
            let attachment = message.attachments().next().unwrap();
            assert_eq!(attachment.contents(), attachment_bytes(&planned.token, size));
        }
    }
}

#[test]
fn refused_put_off_and_too_large() {
    let sink = TestSink::start();
    let options = options(&sink);
    let (unknown, _) = planned(Profile::Plain, "nobody+{token}@example.net", 1);
    match send(&options, &unknown).outcome {
        Outcome::Refused(Phase::Rcpt, Cause::Reply(reply)) => {
            assert_eq!((reply.code, reply.enhanced.as_deref()), (550, Some("5.1.1")));
        }
        other => panic!("{other:?}"),
    }
    let (foreign, _) = planned(Profile::Plain, "probe+{token}@elsewhere.example", 2);
    assert!(matches!(send(&options, &foreign).outcome, Outcome::Refused(Phase::Rcpt, Cause::Reply(_))));
    let (probe, _) = planned(Profile::Plain, "probe+{token}@example.net", 3);
    *sink.inbox.no_room.lock().unwrap() = Some(Refusal::new(452, "4.3.1", "No room", "test"));
    assert!(matches!(send(&options, &probe).outcome, Outcome::Deferred(Phase::Mail, Cause::Reply(_))));
    *sink.inbox.no_room.lock().unwrap() = None;
    sink.inbox.refusals.lock().unwrap().push_back(Refusal::new(451, "4.3.0", "Later", "test"));
    assert!(matches!(send(&options, &probe).outcome, Outcome::Deferred(Phase::Dot, Cause::Reply(_))));
    assert!(matches!(send(&options, &probe).outcome, Outcome::Accepted(_)));
    // Nothing that was refused has left a message behind.
    assert_eq!(sink.inbox.stored().len(), 1);
    let small =
        TestSink::start_with(&|options: &mut SinkOptions| options.limits.session.message_bytes = 1_000);
    let (large, _) = planned(Profile::Attach(10_000), "probe+{token}@example.net", 4);
    let outcome = send(&self::options(&small), &large).outcome;
    assert!(
        matches!(outcome, Outcome::Refused(Phase::Mail, Cause::Fault(Fault::TooLarge { .. }))),
        "{outcome:?}"
    );
    assert!(small.inbox.stored().is_empty());
}

/// The reply to the dot does not come in time, and the message is there all the same.
#[test]
fn in_doubt_is_not_lost_and_arrives_later() {
    let sink = TestSink::start();
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(&folder);
    let (planned, kept) = planned(Profile::Plain, "probe+{token}@example.net", 1);
    let name = planned.texts.name().to_owned();
    store.begin_probe(kept).unwrap();
    sink.inbox.holds.store(true, Ordering::SeqCst);
    let mut options = options(&sink);
    options.timeouts.dot = Duration::from_millis(200);
    let hand_over = send(&options, &planned);
    assert_eq!(hand_over.outcome, Outcome::InDoubt(Fault::Timeout(options.timeouts.dot)));
    store.finish_probe(&name, hand_over).unwrap();
    let far_later = mailsonde::clock::now().after(LOST_AFTER * 100);
    assert_eq!(row(&store, &name, far_later).state, "in_doubt");
    sink.inbox.holds.store(false, Ordering::SeqCst);
    eventually("the message is kept", || !sink.inbox.stored().is_empty());
    ingest(&store, &sink.inbox.stored()[0]);
    assert_eq!(row(&store, &name, far_later).state, "arrived");
}

/// A bounce that quotes the probe whole does not make it arrive.
#[test]
fn a_bounce_to_us_is_no_arrival() {
    let sink = TestSink::start();
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(&folder);
    let (planned, kept) = planned(Profile::Plain, "probe+{token}@example.net", 1);
    let name = planned.texts.name().to_owned();
    store.begin_probe(kept).unwrap();
    store.finish_probe(&name, send(&options(&sink), &planned)).unwrap();
    let bounce = [
        b"From: <mailer-daemon@example.net>\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n\
          Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
          --b\r\n\r\nnot delivered\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n",
        planned.message.bytes.as_slice(),
        b"\r\n--b--\r\n",
    ]
    .concat();
    let to = planned.mail_from.address().unwrap().clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Ours for the test: the receiver under test takes mail for example.org, not for what is below.
    let to = Address::parse(&format!("{}@example.org", to.local)).unwrap();
    let submission =
        Submission { mail_from: &ReversePath::Null, rcpt_to: &to, message: &bounce, needs_smtputf8: false };
    let hand_over = runtime.block_on(submit(&options(&sink), submission));
    assert!(matches!(hand_over.outcome, Outcome::Accepted(_)), "{hand_over:#?}");
    let received = sink.inbox.stored().pop().unwrap();
    assert_eq!(received.bytes, bounce);
    assert!(sightings(&received).is_empty());
    ingest(&store, &received);
    assert_eq!(row(&store, &name, mailsonde::clock::now()).state, "accepted");
    // The probe itself, of another copy sent through a forwarder: upper case, the envelope rewritten.
    let mut forwarded = sink.inbox.stored().remove(0);
    forwarded.envelope.rcpt_to = vec![Address::parse(&to.to_string().to_uppercase()).unwrap()];
    forwarded.envelope.mail_from =
        Address::parse("SRS0=I7TD=ft=example.com=probe@example.org").map(ReversePath::Address);
    let seen = sightings(&forwarded);
    assert_eq!((seen.len(), seen[0].is_arrival), (1, true));
    ingest(&store, &forwarded);
    assert_eq!(row(&store, &name, mailsonde::clock::now()).state, "arrived");
}
