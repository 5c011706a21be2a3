//! There and back: `serve` answers an arrival once, whatever comes twice and whatever ends in between.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use mailsonde::clock::{self, Timestamp};
use mailsonde::daemon::keys;
use mailsonde::limits;
use mailsonde::mail::{Address, Message, ReversePath};
use mailsonde::probe::compose::Profile;
use mailsonde::probe::plan::{Planned, RoutePlan, plan, plan_reply};
use mailsonde::probe::token::{KeyRing, Kind, Reading};

use crate::support::program::{Server, deliver, json};
use crate::support::sink::{Stored, TestSink, eventually};

/// A `serve` that answers arrivals of the route `hq` by way of another server, which keeps what it gets.
struct World {
    server: Server,
    far: TestSink,
    ring: KeyRing,
}

impl World {
    fn new() -> Self {
        let far = TestSink::start();
        let folder = tempfile::tempdir().unwrap();
        let mut text = "[[listener]]\naddress = \"127.0.0.1:0\"\n[store]\npath = \"mailsonde.db\"\n\
            [authentication]\nverify = false\n[probes]\nkill_switch = \"stop\"\n\
            [[recipient]]\naddress = \"probe@example.com\"\npurpose = \"probe\"\n\
            [[recipient]]\naddress = \"bounce@example.com\"\npurpose = \"bounce\"\n"
            .to_owned();
        let port = far.address().port();
        write!(
            text,
            "[sender.relay]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
             [route.hq]\nsender = \"relay\"\nto = \"probe+{{token}}@example.com\"\nfrom = \"me@example.org\"\n\
             reflect = \"probe+{{token}}@example.com\"\n\
             [route.silent]\nsender = \"relay\"\nto = \"probe+{{token}}@example.com\"\nfrom = \"me@example.org\"\n"
        )
        .unwrap();
        std::fs::write(folder.path().join("mailsonde.toml"), text).unwrap();
        let server = Server::start_in(folder, &[]);
        let ring = keys::load_or_create(&server.database()).unwrap();
        Self { server, far, ring }
    }

    /// Ends the program as a power cut would, and starts it again.
    fn killed(self) -> Self {
        let folder = self.server.kill();
        Self { server: Server::start_in(folder, &[]), ..self }
    }

    fn probe(&self, route: &str, counter: u32) -> Planned {
        made(&self.ring, route, counter, clock::now())
    }

    /// Delivers a probe as it is, to its own recipient.
    fn arrives(&self, planned: &Planned) {
        self.comes("me@example.org", &planned.rcpt_to.to_string(), &planned.message.bytes);
    }

    fn comes(&self, from: &str, to: &str, bytes: &[u8]) {
        let reply = deliver(self.server.smtp, from, &[to], bytes).unwrap();
        assert!(reply.starts_with("250"), "{to}: {reply}");
    }

    fn connection(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.server.database()).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
        connection
    }

    /// State and reason of answering a probe.
    fn state(&self, planned: &Planned) -> Option<(String, Option<String>)> {
        let sql = "SELECT state, reason FROM reflect WHERE token = $1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        self.connection().query_row(sql, [planned.texts.name()], read).ok()
    }

    #[track_caller]
    fn becomes(&self, planned: &Planned, want: &str) -> String {
        eventually(want, || self.state(planned).is_some_and(|(state, _)| state == want));
        self.state(planned).unwrap().1.unwrap_or_default()
    }

    /// Makes what waits for another attempt due at once.
    fn hurry(&self) {
        let sql = "UPDATE reflect SET next_at_ms = 0 WHERE next_at_ms IS NOT NULL";
        assert_eq!(self.connection().execute(sql, []).unwrap(), 1);
    }

    fn answers(&self) -> Vec<Stored> {
        self.far.inbox.stored()
    }
}

fn made(ring: &KeyRing, route: &str, counter: u32, at: Timestamp) -> Planned {
    let from = Address::parse("me@example.org").unwrap();
    plan(ring, &RoutePlan::new(route, "probe+{token}@example.com", &from, Profile::Plain), at, counter)
        .unwrap()
}

#[test]
fn an_arrival_is_answered_once_and_the_answer_never() {
    let world = World::new();
    let probe = world.probe("hq", 1);
    world.arrives(&probe);
    world.becomes(&probe, "answered");
    let answers = world.answers();
    assert_eq!(answers.len(), 1);
    let answer = &answers[0];
    assert_eq!(answer.envelope.mail_from, Some(ReversePath::Null));
    let message = Message::parse(&answer.bytes);
    let field = |name: &str| message.header.field(name).unwrap_or_default().trim().to_owned();
    assert_eq!(field("auto-submitted"), "auto-replied");
    assert_eq!(field("in-reply-to"), probe.message.message_id);
    let to = &answer.envelope.rcpt_to[0];
    let Some(Reading::Valid { token, .. }) = world.ring.read_text(to.local.strip_prefix("probe+").unwrap())
    else {
        panic!("no token: {to}")
    };
    assert_eq!((token.kind, to.domain.as_deref()), (Kind::Reply, Some("example.com")));
    // Duplicates, whatever they say of whom to answer; another start; the answer itself, which arrives.
    world.arrives(&probe);
    let mut bytes = b"Reply-To: <victim@example.net>\r\nReturn-Path: <victim@example.net>\r\n".to_vec();
    bytes.extend_from_slice(&probe.message.bytes);
    world.comes("victim@example.net", &probe.rcpt_to.to_string(), &bytes);
    let world = world.killed();
    world.arrives(&probe);
    world.comes("", &to.to_string(), &answer.bytes);
    world.comes("", &to.to_string(), &answer.bytes);
    // What comes after all of it is answered: so all of it was looked at.
    let last = world.probe("hq", 2);
    world.arrives(&last);
    world.becomes(&last, "answered");
    let sent: Vec<String> = world.answers().iter().map(|mail| mail.envelope.rcpt_to[0].to_string()).collect();
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert!(sent.iter().all(|to| to.ends_with("@example.com")), "{sent:?}");
    // Out and back are probes of two ways, each with its own time.
    let rows = json(world.server.path(), &["probe", "list"])["rows"].as_array().unwrap().clone();
    let of = |route: &str| rows.iter().filter(|row| row["route"] == route).collect::<Vec<_>>();
    let back = of("hq/back");
    assert_eq!(back.len(), 2, "{rows:?}");
    let arrived = back.iter().find(|row| row["state"] == "arrived").unwrap_or_else(|| panic!("{rows:?}"));
    assert!(arrived["latency_ms"].as_i64().is_some(), "{arrived}");
    let reply = world.ring.texts(&token).unwrap().recipient;
    assert_eq!(arrived["token"], reply);
    // Shown with each other.
    let shown = |token: &str, what: &str| {
        let show = json(world.server.path(), &["probe", "show", token]);
        let rows = show["rows"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["what"] == what).unwrap_or_else(|| panic!("{what}: {show}"))
    };
    let answered = shown(probe.texts.name(), "answered");
    assert!(answered["text"].as_str().unwrap().contains(&format!("by {reply}, arrived")), "{answered}");
    assert_eq!(answered["took_ms"], arrived["latency_ms"]);
    assert!(shown(&reply, "answers")["text"].as_str().unwrap().contains(probe.texts.name()));
}

/// Probes that overtake each other, and tokens that were damaged on their way.
#[test]
fn reordered_and_damaged() {
    let world = World::new();
    let ago = |seconds: i64| Timestamp::from_ms(clock::now().ms() - seconds * 1_000);
    let (old, near, young) = (ago(900), ago(100), ago(60));
    let [old, near, young] =
        [(old, 1), (near, 2), (young, 3)].map(|(at, counter)| made(&world.ring, "silent", counter, at));
    let before = made(&world.ring, "silent", 4, ago(1_800));
    // One after the other, so that their order is that of the delivery.
    for probe in [&before, &young, &near, &old] {
        world.arrives(probe);
        world.server.settle();
    }
    let is_reordered = |probe: &Planned| {
        let show = json(world.server.path(), &["probe", "show", probe.texts.name()]);
        let rows = show["rows"].as_array().unwrap().clone();
        rows.iter()
            .any(|row| row["what"] == "reordered" && row["text"].as_str().unwrap().contains("sent later"))
    };
    // The one sent within an interval is not: they may well run side by side.
    let all = [&before, &young, &near, &old].map(is_reordered);
    assert_eq!(all, [false, false, false, true]);
    let deviations = |counter: i64| -> String {
        world.server.settle();
        let sql = "SELECT deviations FROM message ORDER BY message_id DESC LIMIT 1";
        let found: String = world.connection().query_row(sql, [], |row| row.get(0)).unwrap();
        format!("{counter} {found}")
    };
    let letter =
        |token: &str| format!("From: <a@example.net>\r\nTo: <probe@example.com>\r\n\r\n-- {token} --\r\n");
    let mut damaged = young.texts.body.clone();
    let last = if damaged.pop() == Some('a') { 'b' } else { 'a' };
    damaged.push(last);
    world.comes("a@example.net", "probe@example.com", letter(&damaged).as_bytes());
    assert_eq!(deviations(1), "1 [\"probe-token-damaged\"]");
    let forged = KeyRing::with_id(world.ring.mint(Kind::Probe, 1, clock::now(), 1).key_id, &[8; 32]).unwrap();
    let forged = made(&forged, "silent", 5, clock::now());
    world.comes("a@example.net", "probe@example.com", letter(&forged.texts.body).as_bytes());
    assert_eq!(deviations(2), "2 [\"probe-token-forged\"]");
    world.comes("a@example.net", "probe@example.com", letter(&young.texts.body).as_bytes());
    assert_eq!(deviations(3), "3 []");
}

#[test]
fn what_must_not_be_answered_is_not() {
    let world = World::new();
    let with = |fields: &str, bytes: &[u8]| [fields.as_bytes(), bytes].concat();
    let declined = [
        ("list", "me@example.org", "List-Id: <l.example.org>\r\n"),
        ("null", "", ""),
        ("automatic", "me@example.org", "X-Autoreply: yes\r\n"),
    ];
    for ((what, from, fields), counter) in declined.into_iter().zip(10..) {
        let probe = world.probe("hq", counter);
        world.comes(from, &probe.rcpt_to.to_string(), &with(fields, &probe.message.bytes));
        let reason = world.becomes(&probe, "not-answered");
        assert!(reason.contains(what), "{what}: {reason}");
    }
    // The same probe as itself after its copy by way of a list: that one is answered.
    let twice = world.probe("hq", 20);
    world.comes(
        "me@example.org",
        &twice.rcpt_to.to_string(),
        &with("List-Id: <l>\r\n", &twice.message.bytes),
    );
    world.becomes(&twice, "not-answered");
    world.arrives(&twice);
    world.becomes(&twice, "answered");
    // Expired, forged, another installation's, of a route without answers, an answer of our own, a vacation note.
    let old = Timestamp::from_ms(clock::now().ms() - 25 * 3_600_000);
    let old = made(&world.ring, "hq", 21, old);
    world.arrives(&old);
    assert_eq!(world.becomes(&old, "not-answered"), "it is too old");
    let forged = made(&KeyRing::with_id(1, &[8; 32]).unwrap(), "hq", 22, clock::now());
    let foreign = made(&KeyRing::with_id(9, &[8; 32]).unwrap(), "hq", 23, clock::now());
    let silent = world.probe("silent", 24);
    for probe in [&forged, &foreign, &silent] {
        world.arrives(probe);
    }
    let from = Address::parse("me@example.org").unwrap();
    let route = RoutePlan::new("hq", "probe+{token}@example.com", &from, Profile::Plain);
    let answer = plan_reply(&world.ring, &route, &twice.token, clock::now(), 25).unwrap();
    world.comes("me@example.org", &answer.rcpt_to.to_string(), &answer.message.bytes);
    let note = format!(
        "From: <a@example.net>\r\nTo: <bounce+{}@example.com>\r\nSubject: Out of office\r\n\
         Auto-Submitted: auto-replied\r\nIn-Reply-To: {}\r\n\r\nBack on Monday.\r\n",
        twice.texts.envelope_sender, twice.message.message_id
    );
    world.comes("", &format!("bounce+{}@example.com", twice.texts.envelope_sender), note.as_bytes());
    let last = world.probe("hq", 26);
    world.arrives(&last);
    world.becomes(&last, "answered");
    for probe in [&forged, &foreign, &silent, &answer] {
        assert_eq!(world.state(probe), None);
    }
    assert_eq!(world.answers().len(), 2, "{:?}", world.answers());
}

#[test]
fn an_answer_is_tried_again_and_survives_an_end() {
    let world = World::new();
    // Put off: tried again, the same message.
    let refusal = mailsonde::mail::Refusal::new(451, "4.3.0", "Later", "test");
    world.far.inbox.refusals.lock().unwrap().push_back(refusal);
    let probe = world.probe("hq", 1);
    world.arrives(&probe);
    eventually("it is put off", || {
        world
            .state(&probe)
            .is_some_and(|(state, reason)| state == "waiting" && reason.is_some_and(|r| r.contains("451")))
    });
    let world = world.killed();
    world.hurry();
    world.becomes(&probe, "answered");
    assert_eq!(world.answers().len(), 1);
    let rows = json(world.server.path(), &["probe", "list"])["rows"].as_array().unwrap().clone();
    assert_eq!(rows.iter().filter(|row| row["route"] == "hq/back").count(), 1, "{rows:?}");
    // Stopped: what arrives waits, and goes when it may.
    let stop = world.server.path().join("stop");
    std::fs::write(&stop, "").unwrap();
    let waits = world.probe("hq", 2);
    world.arrives(&waits);
    world.becomes(&waits, "waiting");
    world.server.settle();
    assert_eq!(world.answers().len(), 1);
    std::fs::remove_file(stop).unwrap();
    world.becomes(&waits, "answered");
    // Ended between the message and the reply to it: nobody knows, and it is not sent again.
    world.far.inbox.holds.store(true, Ordering::SeqCst);
    let doubtful = world.probe("hq", 3);
    world.arrives(&doubtful);
    eventually("it is on its way", || world.far.inbox.waiting.load(Ordering::SeqCst) == 1);
    let world = world.killed();
    world.far.inbox.holds.store(false, Ordering::SeqCst);
    assert!(world.becomes(&doubtful, "in-doubt").contains("ended"));
    world.arrives(&doubtful);
    let last = world.probe("hq", 4);
    world.arrives(&last);
    world.becomes(&last, "answered");
    let answered = format!("In-Reply-To: {}", doubtful.message.message_id);
    let copies = world
        .answers()
        .iter()
        .filter(|mail| String::from_utf8_lossy(&mail.bytes).contains(&answered))
        .count();
    assert!(copies <= 1, "{copies}");
}

#[test]
fn answers_have_a_cap() {
    let world = World::new();
    let number = mailsonde::probe::plan::route_number("hq");
    let connection = world.connection();
    for row in 0..limits::REFLECT_ROUTE_HOUR {
        let sql =
            "INSERT INTO reflect (token, route_number, message_id, arrived_at_ms, state, tries, sent_at_ms)
            VALUES ($1, $2, 1, 0, 'answered', 1, $3)";
        connection.execute(sql, (format!("t{row}"), number, clock::now().ms())).unwrap();
    }
    let probe = world.probe("hq", 1);
    world.arrives(&probe);
    assert!(world.becomes(&probe, "given-up").contains("120 arrivals of this route"));
    assert!(world.answers().is_empty());
    // An hour later there is room.
    connection.execute("UPDATE reflect SET sent_at_ms = sent_at_ms - 3700000", []).unwrap();
    let next = world.probe("hq", 2);
    world.arrives(&next);
    world.becomes(&next, "answered");
}
