//! Probes and other mail by odd ways: forwarders that rewrite the sender, loops, automatic answers (cases 097 and 098).

use std::fmt::Write as _;

use mailsonde::clock::{self, Timestamp};
use mailsonde::daemon::keys;
use mailsonde::limits;
use mailsonde::mail::{Address, Message, received};
use mailsonde::probe::compose::Profile;
use mailsonde::probe::plan::{Planned, RoutePlan, plan};
use mailsonde::probe::token::KeyRing;
use serde_json::Value;

use crate::support::program::{Server, deliver, json};
use crate::support::shared;
use crate::support::sink::{TestSink, eventually};

/// A `serve` with a route whose arrivals are answered, and the server to which answers would go.
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
            [authentication]\nverify = false\n"
            .to_owned();
        for (address, purpose) in [
            ("probe@example.com", "probe"),
            ("bounce@example.com", "bounce"),
            ("dmarc@example.com", "reports"),
        ] {
            write!(text, "[[recipient]]\naddress = \"{address}\"\npurpose = \"{purpose}\"\n").unwrap();
        }
        let port = far.address().port();
        write!(
            text,
            "[sender.relay]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
             [route.hq]\nsender = \"relay\"\nto = \"probe+{{token}}@example.com\"\nfrom = \"probe@example.com\"\n\
             reflect = \"back+{{token}}@example.net\"\nconsent = \"the test itself\"\n"
        )
        .unwrap();
        std::fs::write(folder.path().join("mailsonde.toml"), text).unwrap();
        let server = Server::start_in(folder, &[]);
        let ring = keys::load_or_create(&server.database()).unwrap();
        Self { server, far, ring }
    }

    fn probe(&self, counter: u32) -> Planned {
        let from = Address::parse("probe@example.com").unwrap();
        let route = RoutePlan {
            mail_from: Some("bounce+{token}@example.com"),
            ..RoutePlan::new("hq", "probe+{token}@example.com", &from, Profile::Plain)
        };
        plan(&self.ring, &route, clock::now(), counter).unwrap()
    }

    fn comes(&self, from: &str, to: &str, bytes: &[u8]) -> String {
        deliver(self.server.smtp, from, &[to], bytes).unwrap()
    }

    fn takes(&self, from: &str, to: &str, bytes: &[u8]) {
        let reply = self.comes(from, to, bytes);
        assert!(reply.starts_with("250"), "{from} {to}: {reply}");
    }

    /// The state of a probe, once all that came was read; absent where nothing told of it.
    fn state(&self, probe: &Planned) -> Option<String> {
        self.server.settle();
        let list = json(self.server.path(), &["probe", "list"]);
        let rows = list["rows"].as_array().unwrap();
        let row = rows.iter().find(|row| row["token"] == probe.texts.name())?;
        Some(row["state"].as_str().unwrap().to_owned())
    }
}

/// A probe with a line in front of it and its subject changed.
fn changed(probe: &Planned, fields: &str) -> Vec<u8> {
    let text = String::from_utf8(probe.message.bytes.clone()).unwrap();
    let text = text.replacen("Subject: ", "Subject: [EXTERNAL] Fwd list: ", 1);
    format!("{fields}{text}").into_bytes()
}

#[test]
fn a_probe_by_way_of_a_forwarder_is_its_arrival() {
    let world = World::new();
    let claim = "Authentication-Results: fwd.example.org; spf=pass smtp.mailfrom=example.com; dmarc=pass\r\n";
    let trace = "Received: from mail.example.com (mail.example.com [192.0.2.25]) by fwd.example.org\r\n with ESMTPS id F8; Sun, 1 Mar 2026 12:00:02 +0000\r\n";
    let own = |probe: &Planned| probe.rcpt_to.to_string();
    let shouted = |probe: &Planned| probe.rcpt_to.to_string().to_uppercase();
    let inbox = |_: &Planned| "probe@example.com".to_owned();
    type To<'t> = &'t dyn Fn(&Planned) -> String;
    // Sender rewriting in both steps, tagged senders, the null sender; the recipient as it was, in capitals, another.
    let ways: [(&str, To<'_>); 6] = [
        ("SRS0=I7TD=ft=example.com=probe@fwd.example.org", &shouted),
        ("SRS1=HHH=fwd.example.org==I7TD=ft=example.com=probe@second.example.net", &own),
        ("srs0+i7td=ft=example.com=probe@FWD.EXAMPLE.ORG", &inbox),
        ("prvs=3141592653=probe@example.com", &own),
        ("user+caf_=probe=example.com@fwd.example.org", &inbox),
        ("", &inbox),
    ];
    for ((from, to), counter) in ways.into_iter().zip(1..) {
        let probe = world.probe(counter);
        assert_eq!(world.state(&probe), None);
        world.takes(from, &to(&probe), &changed(&probe, &format!("{claim}{trace}")));
        assert_eq!(world.state(&probe).as_deref(), Some("arrived"), "{from}");
    }
    // The envelope sender of the probe itself, rewritten: its token within is no recipient of ours.
    let probe = world.probe(10);
    let verp = format!("SRS0=I7TD=ft=example.com=bounce+{}@fwd.example.org", probe.texts.envelope_sender);
    world.takes(&verp, &own(&probe), &changed(&probe, trace));
    assert_eq!(world.state(&probe).as_deref(), Some("arrived"));
    // With neither recipient nor fields of the probe left, only quoted in a text, it has not arrived.
    let quoted = world.probe(11);
    let text =
        format!("From: a@fwd.example.org\r\nSubject: Fwd: a probe\r\n\r\n> -- {} --\r\n", quoted.texts.body);
    world.takes("SRS0=I7TD=ft=example.com=probe@fwd.example.org", "probe@example.com", text.as_bytes());
    assert_ne!(world.state(&quoted).as_deref(), Some("arrived"));
}

/// What comes back for a rewritten sender is joined to the probe, wherever its token is left.
#[test]
fn bounces_of_rewritten_senders_are_joined() {
    let world = World::new();
    let notice = |recipient: &str, quoted: &str| {
        format!(
            "From: MAILER-DAEMON@fwd.example.org\r\nTo: <bounce@example.com>\r\nSubject: Undelivered Mail\r\n\
             MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
             --b\r\n\r\nCould not be delivered.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n\
             Reporting-MTA: dns; fwd.example.org\r\n\r\nFinal-Recipient: rfc822; {recipient}\r\nAction: failed\r\n\
             Status: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n\r\n--b\r\n\
             Content-Type: text/rfc822-headers\r\n\r\n{quoted}\r\n--b--\r\n"
        )
    };
    let elsewhere = "user@elsewhere.example";
    let by_recipient = world.probe(1);
    let to = format!("BOUNCE+{}@EXAMPLE.COM", by_recipient.texts.envelope_sender.to_uppercase());
    let text = notice(elsewhere, "From: <probe@example.com>\r\nSubject: x\r\n");
    world.takes("", &to, text.as_bytes());
    let by_message_id = world.probe(2);
    let quoted = format!(
        "Return-Path: <SRS0=a=b=example.com=probe@fwd.example.org>\r\nMessage-ID: {}\r\n",
        by_message_id.message.message_id
    );
    world.takes("", "bounce@example.com", notice(elsewhere, &quoted).as_bytes());
    let by_return_path = world.probe(3);
    let path =
        format!("SRS0=I7TD=ft=example.com=bounce+{}@fwd.example.org", by_return_path.texts.envelope_sender);
    world.takes(
        "",
        "bounce@example.com",
        notice(elsewhere, &format!("Return-Path: <{path}>\r\n")).as_bytes(),
    );
    let none = world.probe(4);
    world.takes(
        "",
        "bounce@example.com",
        notice(elsewhere, "Message-ID: <other@example.com>\r\n").as_bytes(),
    );
    for (probe, what) in
        [(&by_recipient, "envelope"), (&by_message_id, "Message-ID"), (&by_return_path, "Return-Path")]
    {
        assert_eq!(world.state(probe).as_deref(), Some("bounced"), "{what}");
    }
    assert_eq!(world.state(&none), None);
    assert!(world.far.inbox.stored().is_empty(), "a bounce is never answered");
}

#[test]
fn case_097() {
    let Some(cases) = shared("cases") else { return };
    let case = cases.join("097-probe-via-forwarder-srs");
    let expected: Value =
        serde_json::from_slice(&std::fs::read(case.join("expected.json")).unwrap()).unwrap();
    let world = World::new();
    let probe = world.probe(1);
    // The case's own probe, with a token of ours in each place of its id.
    let mail = String::from_utf8(std::fs::read(case.join("report.eml")).unwrap()).unwrap();
    let mail = mail
        .replace("PROBE-7F3A@EXAMPLE.COM", &probe.rcpt_to.to_string().to_uppercase())
        .replace("probe-7f3a@example.com", &probe.rcpt_to.to_string())
        .replace("<7f3a@probe.example.com>", &probe.message.message_id)
        .replace("X-Probe-Id: 7f3a", &format!("X-Mailsonde-Probe: v=1; t={}", probe.texts.header))
        .replace("probe 7f3a", &format!("probe [{}]", probe.texts.subject))
        .replace("probe body 7f3a", &format!("-- {} --", probe.texts.body));
    assert!(!mail.to_lowercase().contains("7f3a"), "{mail}");
    let to = probe.rcpt_to.to_string().to_uppercase();
    world.takes("SRS0=I7TD=ft=example.com=probe@fwd.example.org", &to, mail.as_bytes());
    assert_eq!(expected["status"], "received");
    assert_eq!(world.state(&probe).as_deref(), Some("arrived"));
    // Its trace: how long each host had it.
    let message = Message::parse(mail.as_bytes());
    let stamps = message.header.fields().filter(|(name, _)| *name == "received");
    let mut times: Vec<i64> =
        stamps.filter_map(|(_, value)| received::stamp(value)).map(Timestamp::seconds).collect();
    assert_eq!(Some(times.len() as u64), expected["hop_count"].as_u64());
    times.push(message.header.date.unwrap());
    times.reverse();
    let delays: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(serde_json::json!(delays), expected["hop_delays"]);
    // The forwarder's word on authentication is a claim, and believed by nobody.
    let connection = rusqlite::Connection::open(world.server.database()).unwrap();
    let believed: i64 = connection
        .query_row(
            "SELECT COUNT(*) FROM authentication WHERE dmarc IS NOT NULL OR differs IS NOT NULL",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(expected["trusted_auth_results"].as_array().map(Vec::len), usize::try_from(believed).ok());
    let subject: String = connection.query_row("SELECT subject FROM message", [], |row| row.get(0)).unwrap();
    assert_eq!(expected["subject_changed"], subject != probe.message.subject);
}

#[test]
fn case_098() {
    let Some(cases) = shared("cases") else { return };
    let case = cases.join("098-loops");
    let world = World::new();
    let looped = std::fs::read(case.join("loop120.eml")).unwrap();
    let reply = world.comes("alerts@example.com", "probe@example.com", &looped);
    assert!(reply.starts_with("554 5.4.6"), "{reply}");
    let alert = std::fs::read(case.join("own-alert.eml")).unwrap();
    world.takes("alerts@example.com", "dmarc@example.com", &alert);
    world.server.settle();
    let rows = json(world.server.path(), &["report", "messages"])["rows"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 1, "the loop is not kept: {rows:?}");
    assert_eq!((&rows[0]["status"], &rows[0]["kind"]), (&"kept".into(), &"other".into()), "{rows:?}");
    assert!(world.far.inbox.stored().is_empty(), "nothing goes out for either");
}

/// A mail that goes round is refused at the receiver, be it a probe; one hop less is taken.
#[test]
fn loops_end_at_the_receiver() {
    let world = World::new();
    let with_hops = |probe: &Planned, hops: usize| {
        let line =
            "Received: from a.example by b.example with ESMTP id L; Sun, 1 Mar 2026 12:00:02 +0000\r\n";
        [line.repeat(hops).as_bytes(), &probe.message.bytes].concat()
    };
    let (round, fine) = (world.probe(1), world.probe(2));
    for _ in 0..2 {
        let reply = world.comes(
            "probe@example.com",
            &round.rcpt_to.to_string(),
            &with_hops(&round, limits::RECEIVED_FIELDS + 1),
        );
        assert!(reply.starts_with("554 5.4.6"), "{reply}");
    }
    world.takes("probe@example.com", &fine.rcpt_to.to_string(), &with_hops(&fine, limits::RECEIVED_FIELDS));
    eventually("the other one is answered", || world.far.inbox.stored().len() == 1);
    assert_eq!((world.state(&round), world.state(&fine).as_deref()), (None, Some("arrived")));
    // Our answer, and what a bad autoresponder makes of it, by whatever sender: nothing goes out for them.
    let answer = world.far.inbox.stored().remove(0);
    let to = answer.envelope.rcpt_to[0]
        .to_string()
        .replace("back+", "probe+")
        .replace("example.net", "example.com");
    let text = String::from_utf8_lossy(&answer.bytes).into_owned();
    let vacation = format!(
        "From: <a@example.net>\r\nTo: <probe@example.com>\r\nSubject: Out of office\r\nIn-Reply-To: {}\r\n\r\n{text}",
        fine.message.message_id
    );
    for (from, bytes) in
        [("", text.as_bytes()), ("a@example.net", text.as_bytes()), ("a@example.net", vacation.as_bytes())]
    {
        world.takes(from, &to, bytes);
        world.takes(from, "probe@example.com", bytes);
    }
    let last = world.probe(3);
    world.takes("probe@example.com", &last.rcpt_to.to_string(), &last.message.bytes);
    eventually("the last one is answered", || world.far.inbox.stored().len() > 1);
    assert_eq!(world.far.inbox.stored().len(), 2);
}

/// Foreign mail at the probe address has its state and its reason, and makes no probe arrive.
#[test]
fn foreign_mail_at_the_probe_address() {
    let world = World::new();
    let probe = world.probe(1);
    let complaint = format!(
        "From: <fbl@isp.example>\r\nTo: <probe@example.com>\r\nSubject: complaint\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\n\r\nabuse\r\n\
         --b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\n\
         Source-IP: 192.0.2.1\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n{}\r\n--b--\r\n",
        String::from_utf8_lossy(&probe.message.bytes)
    );
    let vacation = format!(
        "From: <user@example.net>\r\nTo: <probe@example.com>\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n\
         In-Reply-To: {}\r\n\r\nBack on Monday.\r\n",
        world.probe(2).message.message_id
    );
    let letter =
        "From: <user@example.net>\r\nTo: <probe@example.com>\r\nSubject: hello\r\n\r\nHello.\r\n".to_owned();
    for (text, kind) in [(&complaint, "failure"), (&vacation, "reply"), (&letter, "other")] {
        world.takes("user@example.net", "probe@example.com", text.as_bytes());
        world.server.settle();
        let rows = json(world.server.path(), &["report", "messages", "--limit", "1"])["rows"]
            .as_array()
            .unwrap()
            .clone();
        assert_eq!(rows[0]["kind"], kind, "{rows:?}");
        let said = rows[0]["reason"].as_str().unwrap_or_default().len();
        assert!(kind == "failure" || said > 0, "{rows:?}");
    }
    assert_ne!(world.state(&probe).as_deref(), Some("arrived"));
    assert!(world.far.inbox.stored().is_empty());
}
