//! Watched addresses: mail that cannot carry our token, from the socket and in virtual time.

use std::sync::Arc;
use std::sync::mpsc::channel;

use mailsonde::clock::Timestamp;
use mailsonde::config::Settings;
use mailsonde::daemon::ingest::{Bell, Ingest};
use mailsonde::daemon::watched::round;
use mailsonde::mail::{Address, Body, Envelope, MessageId, Origin, Purpose, TlsSession};
use mailsonde::probe::token::KeyRing;
use mailsonde::probe::watched::Watched;
use mailsonde::store::{NewMessage, ReprocessFilter, Store};
use mailsonde::summary::{Query, WatchedRow};

use crate::support::program::{Server, deliver, json, say};

const CONFIGURATION: &str = "
[[listener]]
address = \"127.0.0.1:0\"
[store]
path = \"mailsonde.db\"
[authentication]
verify = false
[[recipient]]
address = \"watch@monitor.example.net\"
purpose = \"watch\"
[[watched]]
name = \"News\"
every = \"7d\"
from = \"news@shop.example\"
[[watched]]
name = \"backup\"
every = \"1d\"
by = \"09:00\"
tz = \"Europe/Zurich\"
";

fn mail(from: &str, date: &str) -> String {
    format!(
        "Received: from a.shop.example (a.shop.example [192.0.2.1]) by relay.shop.example\r\n with ESMTPS id 1; {date}\r\n\
         From: Shop <{from}>\r\nDate: {date}\r\nSubject: News\r\nMessage-ID: <1@shop.example>\r\n\r\nBuy.\r\n"
    )
}

fn at(text: &str) -> Timestamp {
    Timestamp::from_ms(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn watched() -> Vec<Watched> {
    Settings::parse(std::path::Path::new("m.toml"), CONFIGURATION).unwrap().watched
}

/// A store with these names watched since the first of March.
struct World {
    _folder: tempfile::TempDir,
    store: Store,
    watched: Vec<Watched>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("t.db"), crate::store::options()).unwrap();
        let watched = watched();
        let names = watched.iter().map(|watched| watched.name.clone()).collect();
        store.set_watched_names(names, at("2026-03-01T00:00:00Z")).unwrap();
        Self { _folder: folder, store, watched }
    }

    fn connection(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.store.path()).unwrap()
    }

    /// Our receiver was open from one instant to another.
    fn open(&self, from: &str, to: &str) {
        let sql = "INSERT INTO eye (name, from_ms, to_ms, every_ms) VALUES ('sink', $1, $2, 10000)";
        self.connection().execute(sql, (at(from).ms(), at(to).ms())).unwrap();
    }

    /// A mail comes for one name.
    fn comes(&self, name: &str, from: &str, received_at: &str) -> MessageId {
        let mut envelope = Envelope::without_transport(Origin::Smtp, at(received_at));
        envelope.rcpt_to = vec![Address::parse(&format!("watch+{name}@monitor.example.net")).unwrap()];
        envelope.tls = Some(TlsSession { version: "TLSv1.3".into(), cipher: "x".into(), server_name: None });
        let body = mail(from, "Sun, 01 Mar 2026 08:00:00 +0000");
        let message = NewMessage {
            envelope,
            body: Body::Memory(Arc::from(body.as_bytes())),
            purposes: vec![Purpose::Watch],
            file_name: None,
        };
        let (sender, receiver) = channel();
        self.store.deliver(message, Box::new(move |result| sender.send(result).unwrap())).unwrap();
        let id = receiver.recv().unwrap().unwrap();
        let ring = KeyRing::from_bytes(&[4; 32]).unwrap();
        Ingest::new(self.store.clone(), ring, Arc::new(Bell::default())).read_pending(&|| false).unwrap();
        id
    }

    /// What the events say after a look at `now`: `name wrong opened..closed`.
    fn events(&self, now: &str) -> Vec<String> {
        round(&self.store, &self.watched, at(now)).unwrap();
        let connection = self.connection();
        let sql = "SELECT name, wrong, opened_at_ms, closed_at_ms FROM watched_event ORDER BY name, opened_at_ms, wrong";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| {
            let instant = |ms: Option<i64>| ms.map_or(String::new(), |ms| Timestamp::from_ms(ms).rfc3339());
            let (name, wrong): (String, String) = (row.get(0)?, row.get(1)?);
            Ok(format!("{name} {wrong} {}..{}", instant(row.get(2)?), instant(row.get(3)?)))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    fn row(&self, name: &str, now: &str) -> WatchedRow {
        let answer =
            self.store.reader().unwrap().watched_mail(&Query::default(), &self.watched, at(now)).unwrap();
        answer.rows.into_iter().find(|row| row.name == name).unwrap()
    }
}

/// From the socket: names that are configured, others refused, and the view.
#[test]
fn mail_to_watched_names_is_kept_by_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mailsonde.toml"), CONFIGURATION).unwrap();
    let server = Server::start_in(folder, &[]);
    let now = mailsonde::clock::now().seconds();
    let date = |seconds: i64| {
        let instant = jiff::Timestamp::from_second(now - seconds).unwrap();
        instant.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
    };
    let send = |to: &str, from: &str, seconds: i64| {
        deliver(server.smtp, "bounce@shop.example", &[to], mail(from, &date(seconds)).as_bytes()).unwrap()
    };
    assert!(send("watch+news@monitor.example.net", "news@shop.example", 60).starts_with("250"));
    assert!(send("WATCH+NEWS@monitor.example.net", "news@shop.example", 3_600).starts_with("250"));
    // A clock that is an hour ahead: the mail counts, its time is not known.
    assert!(send("watch+news@monitor.example.net", "news@shop.example", -3_600).starts_with("250"));
    for unknown in
        ["watch+other@monitor.example.net", "watch@monitor.example.net", "watch+@monitor.example.net"]
    {
        let reply = send(unknown, "news@shop.example", 1);
        assert!(reply.starts_with("550 5.1.1"), "{unknown}: {reply}");
    }
    server.settle();
    let answer = json(server.path(), &["report", "watched"]);
    assert_eq!(answer["view"], "watched-mail");
    let news = &answer["rows"][0];
    assert_eq!(
        (&news["name"], &news["state"], &news["messages"]),
        (&"news".into(), &"ok".into(), &3.into()),
        "{news}"
    );
    assert_eq!(
        (&news["timed"], &news["dmarc_not_known"], &news["tls"]),
        (&2.into(), &3.into(), &0.into()),
        "{news}"
    );
    let (low, high) =
        (news["latency_p50_low_ms"].as_i64().unwrap(), news["latency_p50_ms"].as_i64().unwrap());
    assert!(low >= 59_000 && high >= low && high - low < 1_000, "{news}");
    assert!(news["latency_p95_ms"].as_i64().unwrap() >= 3_600_000, "{news}");
    assert_eq!(news["last_from"], "news@shop.example");
    assert_eq!(news["expected"], "every 7d, from news@shop.example");
    let backup = &answer["rows"][1];
    assert_eq!((&backup["state"], &backup["messages"]), (&"not-known".into(), &0.into()), "{backup}");
    assert_eq!(answer["totals"]["names"], 2);
    let said = say(server.path(), &["report", "watched", "--format", "csv"]);
    assert!(said.stdout.starts_with("name,state,messages,"), "{}", said.stdout);
    let said = say(server.path(), &["report", "watched", "--fail-if", "ok > 0"]);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stdout.contains("Watched addresses"), "{}", said.stdout);
    let only = json(server.path(), &["report", "watched", "--result", "not-known"]);
    assert_eq!(only["rows"].as_array().unwrap().len(), 1);
    for wrong in
        [["--domain", "a.example"], ["--result", "late"], ["--source", "192.0.2.1"], ["--trust", "all"]]
    {
        let said = say(server.path(), &[&["report", "watched"][..], &wrong[..]].concat());
        assert_eq!(said.code, Some(2), "{wrong:?}: {}", said.stdout);
    }
}

/// Missing, found again, from somebody else: each is one event, opened and closed once, however often one looks.
#[test]
fn events_open_and_close_once() {
    let world = World::new();
    world.open("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z");
    let first = world.comes("news", "news@shop.example", "2026-03-02T08:00:00Z");
    world.comes("backup", "root@backup.example", "2026-03-02T07:00:00Z");
    assert_eq!(world.events("2026-03-02T09:00:00Z"), [""; 0]);
    // No backup on the third.
    let missing = "backup missing 2026-03-03T08:00:00Z..";
    assert_eq!(world.events("2026-03-03T08:00:30Z"), [missing]);
    assert_eq!(world.events("2026-03-03T08:01:00Z"), [missing]);
    assert_eq!(world.row("backup", "2026-03-03T08:01:00Z").state, "missing");
    world.comes("backup", "root@backup.example", "2026-03-03T10:00:00Z");
    let closed = "backup missing 2026-03-03T08:00:00Z..2026-03-03T10:00:00Z";
    assert_eq!(world.events("2026-03-03T10:01:00Z"), [closed]);
    assert_eq!(world.row("backup", "2026-03-03T10:01:00Z").state, "ok");
    // The news from somebody else, and right again.
    world.comes("news", "news@evil.example", "2026-03-03T11:00:00Z");
    let from = "news from 2026-03-03T11:00:00Z..";
    assert_eq!(world.events("2026-03-03T11:01:00Z"), [closed, from]);
    let row = world.row("news", "2026-03-03T11:01:00Z");
    assert_eq!((row.state, row.events), ("failing", 1));
    assert!(row.reason.unwrap().contains("news@evil.example"));
    world.comes("news", "news@shop.example", "2026-03-04T07:00:00Z");
    world.comes("backup", "root@backup.example", "2026-03-04T07:00:00Z");
    let done = [closed, "news from 2026-03-03T11:00:00Z..2026-03-04T07:00:00Z"];
    assert_eq!(world.events("2026-03-04T07:30:00Z"), done);
    // Read again, nothing changes.
    let filter = ReprocessFilter { ids: Some(vec![first]), ..ReprocessFilter::default() };
    assert_eq!(world.store.reprocess(&filter).unwrap(), 1);
    let ring = KeyRing::from_bytes(&[4; 32]).unwrap();
    Ingest::new(world.store.clone(), ring, Arc::new(Bell::default())).read_pending(&|| false).unwrap();
    assert_eq!(world.row("news", "2026-03-04T07:30:00Z").messages, 3);
    assert_eq!(world.events("2026-03-04T07:30:00Z"), done);
}

/// DMARC is judged when its verdict comes, be it later than the next mail.
#[test]
fn a_late_verdict_makes_its_event() {
    let mut world = World::new();
    world.open("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z");
    world.watched.retain(|watched| watched.name == "news");
    world.watched[0].expect.needs_dmarc = true;
    let first = world.comes("news", "news@shop.example", "2026-03-02T08:00:00Z");
    let second = world.comes("news", "news@shop.example", "2026-03-03T08:00:00Z");
    assert_eq!(world.events("2026-03-03T09:00:00Z"), [""; 0]);
    assert_eq!(world.row("news", "2026-03-03T09:00:00Z").state, "not-known");
    let verdict = |id: MessageId, word: &str| {
        let sql = "UPDATE authentication SET dmarc = $1 WHERE message_id = $2";
        assert_eq!(world.connection().execute(sql, (word, id.0)).unwrap(), 1);
    };
    verdict(second, "pass");
    assert_eq!(world.row("news", "2026-03-03T09:00:00Z").state, "ok");
    verdict(first, "fail");
    let want = ["news dmarc 2026-03-02T08:00:00Z..2026-03-03T08:00:00Z"];
    assert_eq!(world.events("2026-03-03T09:00:00Z"), want);
    let row = world.row("news", "2026-03-03T09:00:00Z");
    assert_eq!((row.state, row.dmarc_pass, row.dmarc_fail, row.tls), ("ok", 1, 1, 2));
}

/// A receiver that was closed makes nothing missing; a name that is no longer configured has no open event.
#[test]
fn blindness_and_names_that_go() {
    let world = World::new();
    world.open("2026-03-01T00:00:00Z", "2026-03-02T20:00:00Z");
    world.comes("backup", "root@backup.example", "2026-03-02T07:00:00Z");
    assert_eq!(world.events("2026-03-03T09:00:00Z"), [""; 0]);
    assert_eq!(world.row("backup", "2026-03-03T09:00:00Z").state, "not-known");
    // Open again since long enough: now it would have come.
    world.open("2026-03-03T09:00:00Z", "2026-03-04T20:00:00Z");
    assert_eq!(world.events("2026-03-03T12:00:00Z"), [""; 0]);
    assert_eq!(world.events("2026-03-04T10:00:00Z"), ["backup missing 2026-03-03T08:00:00Z.."]);
    world.store.set_watched_names(vec!["news".to_owned()], at("2026-03-04T11:00:00Z")).unwrap();
    let rest = World { watched: watched().into_iter().filter(|w| w.name == "news").collect(), ..world };
    let want = ["backup missing 2026-03-03T08:00:00Z..2026-03-04T11:00:00Z"];
    assert_eq!(rest.events("2026-03-04T11:00:00Z"), want);
}

#[test]
fn wrong_expectations_are_faults_with_a_mend() {
    let with = |keys: &str| {
        let text = format!(
            "[[recipient]]\naddress = \"watch@m.example\"\npurpose = \"watch\"\n[[watched]]\nname = \"a\"\n{keys}\n"
        );
        Settings::parse(std::path::Path::new("m.toml"), &text)
    };
    for good in [
        "",
        "every = \"36h\"",
        "by = \"00:00\"",
        "every = \"14d\"\nby = \"23:59\"\ntz = \"America/New_York\"\nfrom = \"shop.example\"\ndmarc = \"any\"",
    ] {
        assert!(with(good).is_ok(), "{good}: {:?}", with(good));
    }
    for (bad, what) in [
        ("every = \"0s\"", "zero"),
        ("every = \"400d\"", "over a year"),
        ("every = \"36h\"\nby = \"09:00\"", "whole days"),
        ("by = \"9 am\"", "time of day"),
        ("by = \"25:00\"", "time of day"),
        ("tz = \"Europe/Zurich\"", "without `by`"),
        ("by = \"09:00\"\ntz = \"Europe/Nowhere\"", "zone"),
        ("from = \"*\"", "mail address or a domain"),
        ("dmarc = \"fail\"", "does not know"),
        ("[[watched]]\nname = \"A\"", "two [[watched]]"),
        ("[[watched]]\nname = \"a+b\"", "a name of"),
        ("[[watched]]", "has no `name`"),
    ] {
        let faults = with(bad).unwrap_err();
        assert!(faults.iter().any(|fault| fault.message.contains(what)), "{bad}: {faults:?}");
    }
    let alone = Settings::parse(std::path::Path::new("m.toml"), "[[watched]]\nname = \"a\"\n").unwrap_err();
    assert!(alone[0].message.contains("without an address"), "{alone:?}");
}
