//! Message trace: mails by address, Message-ID, peer, kind and relation.

use mailsonde::classify::MessageKind;
use mailsonde::mail::{Address, MessageId, PeerSource, ReversePath};
use mailsonde::probe::lifecycle::Seen;
use mailsonde::probe::token::{KeyRing, Kind};
use mailsonde::store::{MessageRef, MessageStatus, ReadBounce, ReprocessFilter, Sighting, Store, StoreError};
use mailsonde::summary::{AddressPattern, Query, Trace, Trust};

use super::make::{MARCH, deliver, mail, new_store, reading};

/// One mail in short: reverse-path, recipients, author, Message-ID, the mails that it names.
struct Letter(&'static str, &'static [&'static str], &'static str, &'static str, &'static [&'static str]);

const LETTERS: [Letter; 6] = [
    Letter("anna@example.com", &["desk@us.example"], "Anna@example.com", "1@example.com", &[]),
    Letter(
        "bounces+7@lists.example.net",
        &["desk@us.example", "boss@us.example"],
        "anna@example.com",
        "2@lists",
        &["1@example.com"],
    ),
    Letter("<>", &["probe@us.example"], "mailer-daemon@mx.example.org", "3@mx", &["2@lists"]),
    Letter("bob@sub.example.com", &["desk@us.example"], "bob@sub.example.com", "4@sub", &["gone@example"]),
    Letter("100%@example.com", &["desk@us.example"], "100%@example.com", "5@x", &["gone@example"]),
    Letter("anna@example.com.invalid", &["desk@us.example"], "eve@example.invalid", "6@x", &[]),
];

/// Stores a letter; `seconds` after the first of March.
fn store_letter(store: &Store, letter: &Letter, seconds: i64) -> MessageId {
    let mut message = mail(&format!("Message-ID: <{}>\r\n\r\n{seconds}", letter.3), seconds);
    message.envelope.mail_from = Some(match letter.0 {
        "<>" => ReversePath::Null,
        text => ReversePath::Address(Address::parse(text).unwrap()),
    });
    message.envelope.rcpt_to = letter.1.iter().map(|to| Address::parse(to).unwrap()).collect();
    message.envelope.peer =
        Some(std::net::SocketAddr::from(([192, 0, 2, u8::try_from(seconds).unwrap()], 25)));
    message.envelope.peer_source = Some(PeerSource::Connection);
    let mut reading = reading(Trust::Imported, Vec::new());
    reading.kind = MessageKind::Other;
    reading.message_id = Some(letter.3.to_owned());
    reading.header_from = Some(letter.2.to_owned());
    reading.references = letter.4.iter().map(|text| (*text).to_owned()).collect();
    store.finish(MessageRef::New(Box::new(message)), reading).unwrap().message_id
}

/// The Message-IDs that a question finds, sorted.
fn found(store: &Store, query: &Query) -> Vec<String> {
    let answer = store.reader().unwrap().messages(query).unwrap();
    assert_eq!(answer.totals.messages, u64::try_from(answer.rows.len()).unwrap());
    let mut ids: Vec<String> = answer.rows.into_iter().map(|row| row.message_id.unwrap_or(row.id)).collect();
    ids.sort();
    ids
}

fn from(text: &str) -> Query {
    Query { trace: Trace { from: AddressPattern::parse(text), ..Trace::default() }, ..Query::default() }
}

fn to(text: &str) -> Query {
    Query { trace: Trace { to: AddressPattern::parse(text), ..Trace::default() }, ..Query::default() }
}

fn related(text: &str) -> Query {
    Query { trace: Trace { related: Some(text.to_owned()), ..Trace::default() }, ..Query::default() }
}

#[test]
fn mails_are_found_by_who_sent_and_who_got_them() {
    let (_folder, store) = new_store();
    for (seconds, letter) in (0..).zip(&LETTERS) {
        store_letter(&store, letter, seconds);
    }
    for (query, want) in [
        // Reverse-path or author, in any case.
        (from("ANNA@example.com"), vec!["1@example.com", "2@lists"]),
        (from("*@example.com"), vec!["1@example.com", "2@lists", "5@x"]),
        (from("*@*.example.com"), vec!["4@sub"]),
        (from("bounces+*@lists.example.net"), vec!["2@lists"]),
        // A percent sign is a percent sign.
        (from("100%@example.com"), vec!["5@x"]),
        (from("10%@example.com"), vec![]),
        (from("<>"), vec!["3@mx"]),
        (from("*@*"), vec!["1@example.com", "2@lists", "3@mx", "4@sub", "5@x", "6@x"]),
        (from("nobody@example.com"), vec![]),
        // A sender is no recipient.
        (to("anna@example.com"), vec![]),
        (to("boss@us.example"), vec!["2@lists"]),
        (to("*@us.example"), vec!["1@example.com", "2@lists", "3@mx", "4@sub", "5@x", "6@x"]),
    ] {
        assert_eq!(found(&store, &query), want, "{query:?}");
    }
    // Filters together must all hold.
    let mut both = from("*@example.com");
    both.trace.to = AddressPattern::parse("boss@us.example");
    assert_eq!(found(&store, &both), ["2@lists"]);
    both.source = Some("192.0.2.0".to_owned());
    assert_eq!(found(&store, &both), Vec::<String>::new());
    both.source = Some("192.0.2.1".to_owned());
    both.period.until_ms = Some((MARCH + 1) * 1000);
    assert_eq!(found(&store, &both), Vec::<String>::new());
    let mut kind = from("*@example.com");
    kind.trace.kind = Some("probe".to_owned());
    assert_eq!(found(&store, &kind), Vec::<String>::new());
    kind.trace.kind = Some("other".to_owned());
    kind.trace.status = Some(MessageStatus::Kept.as_str().to_owned());
    assert_eq!(found(&store, &kind).len(), 3);
    let by_id = |id: &str| Query {
        trace: Trace { message_id: Some(id.to_owned()), ..Trace::default() },
        ..Query::default()
    };
    assert_eq!(found(&store, &by_id("<3@mx>")), ["3@mx"]);
    assert_eq!(found(&store, &by_id("3@mx")), ["3@mx"]);
    assert_eq!(found(&store, &by_id("3@MX")), Vec::<String>::new());
}

/// What waits to be read is not lost to a trace, and what is read again is found by what it is now.
#[test]
fn before_and_after_reading() {
    let (_folder, store) = new_store();
    let mut message = mail("x", 0);
    message.envelope.mail_from = Some(ReversePath::Address(Address::parse("Anna@example.com").unwrap()));
    message.envelope.rcpt_to = vec![Address::parse("desk@us.example").unwrap()];
    message.envelope.peer = Some(std::net::SocketAddr::from(([192, 0, 2, 9], 25)));
    let id = deliver(&store, message).unwrap();
    let by_peer = Query { source: Some("192.0.2.9".to_owned()), ..Query::default() };
    for query in [from("anna@example.com"), from("*@example.com"), to("desk@*"), by_peer.clone()] {
        assert_eq!(found(&store, &query), [id.to_string()], "{query:?}");
    }
    assert_eq!(found(&store, &to("anna@example.com")), Vec::<String>::new());
    let read = |author: &str, names: &[&str]| {
        let mut reading = reading(Trust::Imported, Vec::new());
        reading.message_id = None;
        reading.header_from = Some(author.to_owned());
        reading.references = names.iter().map(|name| (*name).to_owned()).collect();
        store.finish(MessageRef::Stored(id), reading).unwrap();
    };
    read("first@example.org", &["a@b"]);
    assert_eq!(found(&store, &from("first@example.org")).len(), 1);
    store.reprocess(&ReprocessFilter::default()).unwrap();
    read("second@example.org", &["c@d"]);
    assert_eq!(found(&store, &from("first@example.org")), Vec::<String>::new());
    assert_eq!(found(&store, &from("second@example.org")).len(), 1);
    assert_eq!(found(&store, &from("anna@example.com")).len(), 1);
    assert_eq!((found(&store, &related("a@b")).len(), found(&store, &related("<c@d>")).len()), (0, 1));
    assert_eq!(found(&store, &by_peer).len(), 1);
}

#[test]
fn what_belongs_together() {
    let (_folder, store) = new_store();
    let ids: Vec<MessageId> =
        (0..).zip(&LETTERS).map(|(seconds, letter)| store_letter(&store, letter, seconds)).collect();
    // A thread from any of its ends: a mail, the answer to it, the bounce of the answer.
    let thread = ["1@example.com", "2@lists", "3@mx"];
    for start in [ids[0].to_string(), ids[2].to_string(), "<2@lists>".to_owned()] {
        assert_eq!(found(&store, &related(&start)), thread, "{start}");
    }
    // Two answers to a mail that never came here.
    assert_eq!(found(&store, &related("gone@example")), ["4@sub", "5@x"]);
    assert_eq!(found(&store, &related("6@x")), ["6@x"]);
    let reader = store.reader().unwrap();
    let nothing = reader.messages(&related("nobody knows")).unwrap();
    assert_eq!((nothing.rows.len(), nothing.notes.len()), (0, 1), "{:?}", nothing.notes);
}

/// A probe's arrival and the bounce of it belong together, by the token as pasted.
#[test]
fn mails_about_one_probe() {
    let (_folder, store) = new_store();
    let ring = KeyRing::with_id(1, &[9; 32]).unwrap();
    let clear = ring.mint(Kind::Probe, 7, mailsonde::clock::Timestamp::from_seconds(MARCH), 1);
    let token = ring.texts(&clear).unwrap().recipient;
    let arrived = {
        let mut reading = reading(Trust::Imported, Vec::new());
        reading.kind = MessageKind::Probe;
        reading.message_id = Some("p@us".to_owned());
        reading.probes = vec![Sighting {
            token: token.clone(),
            clear,
            is_arrival: true,
            is_timed: true,
            seen: Seen::default(),
            reason: None,
        }];
        store.finish(MessageRef::New(Box::new(mail("probe", 1))), reading).unwrap().message_id
    };
    let notice = {
        let mut reading = reading(Trust::Imported, Vec::new());
        reading.kind = MessageKind::Bounce;
        reading.message_id = Some("n@mx".to_owned());
        reading.bounces = vec![ReadBounce { token: Some(token.clone()), ..bounce() }];
        store.finish(MessageRef::New(Box::new(mail("notice", 2))), reading).unwrap().message_id
    };
    store_letter(&store, &LETTERS[5], 3);
    for start in [
        token.clone(),
        format!("probe+{}@us.example", token.to_uppercase()),
        arrived.to_string(),
        notice.to_string(),
    ] {
        assert_eq!(found(&store, &related(&start)), ["n@mx", "p@us"], "{start}");
    }
}

/// A bounce of nothing in particular.
fn bounce() -> ReadBounce {
    ReadBounce {
        kind: "bounce",
        outcome: "failed",
        recipient: None,
        recipient_domain: None,
        original_recipient: None,
        action: None,
        enhanced_status: None,
        reply_code: None,
        class: None,
        reason: "unknown",
        phase: None,
        remote_mta: None,
        reporting_mta: None,
        diagnostic: None,
        will_retry_until: None,
        token: None,
        evidence: Vec::new(),
        copy_key: None,
    }
}

/// What is erased is found by nothing any more.
#[test]
fn erased_mails_are_in_no_index() -> Result<(), StoreError> {
    let (_folder, store) = new_store();
    for (seconds, letter) in (0..).zip(&LETTERS) {
        store_letter(&store, letter, seconds);
    }
    let ring = KeyRing::with_id(1, &[9; 32]).unwrap();
    let target = mailsonde::store::EraseTarget::Address(Address::parse("anna@example.com").unwrap());
    let plan = store.reader()?.erase_plan(&target, &ring)?;
    store.erase(&plan)?;
    assert_eq!(found(&store, &from("*@example.com")), ["5@x"]);
    let connection = rusqlite::Connection::open(store.path()).unwrap();
    for (table, want) in [("message_party", 10), ("message_reference", 3)] {
        let rows: i64 =
            connection.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(rows, want, "{table}");
    }
    Ok(())
}
