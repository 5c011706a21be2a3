//! Looking after the store: what is old goes and nothing else, space comes back, sums stay exact; what is erased
//! leaves no trace; a copy taken while others write is whole.

use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mailsonde::classify::MessageKind;
use mailsonde::clock::Timestamp;
use mailsonde::mail::{Address, Body, MessageId, ReversePath};
use mailsonde::probe::token::KeyRing;
use mailsonde::reports::{Unreadable, UnreadableKind};
use mailsonde::store::{EraseTarget, MessageRef, Outcome, Reader, Retention, Store, StoreError, pack};
use mailsonde::summary::{Query, Trust};

use super::make::{
    Line, MARCH, Sketch, assert_sound, deliver, import, mail, name, new_store, options, reading,
};

const DAY: i64 = 86_400;

/// The periods of the design.
pub(super) const RETENTION: Retention = Retention {
    raw_failures: Duration::from_secs(7 * 86_400),
    raw: Duration::from_secs(90 * 86_400),
    raw_unread: Duration::from_secs(400 * 86_400),
    rows: Duration::from_secs(800 * 86_400),
    clear_text: Duration::from_secs(30 * 86_400),
    dns_history: Duration::from_secs(800 * 86_400),
};

pub(super) fn keys() -> KeyRing {
    KeyRing::with_id(1, &[7; 32]).unwrap()
}

/// Prunes as if it were `days` after the first of March.
fn prune(store: &Store, days: i64) -> mailsonde::store::Pruned {
    store.prune(&RETENTION, &keys(), Timestamp::from_seconds(MARCH + days * DAY), &|| false).unwrap()
}

/// True if the bytes of a message are there.
fn has_bytes(store: &Store, id: MessageId) -> bool {
    let reader = store.reader().unwrap();
    let raw = reader.raw(id);
    let found = raw.is_ok();
    assert!(found || matches!(raw, Err(StoreError::NotFound(_))));
    found
}

/// A mail of a kind with a status, as the reader leaves it.
fn finished(store: &Store, text: &str, kind: MessageKind, is_unread: bool) -> MessageId {
    let mut reading = reading(Trust::Pending, Vec::new());
    reading.kind = kind;
    reading.packed = Some(pack(text.as_bytes()));
    if is_unread {
        reading.unread =
            vec![Unreadable { kind: UnreadableKind::Corrupt, reason: "r".into(), place: "p".into() }];
    }
    let mut message = mail(text, 0);
    message.envelope.mail_from =
        Some(ReversePath::Address(Address::parse("Jane.Doe@sender.example").unwrap()));
    store.finish(MessageRef::New(Box::new(message)), reading).unwrap().message_id
}

fn file_bytes(store: &Store) -> u64 {
    std::fs::metadata(store.path()).unwrap().len()
}

#[test]
fn bytes_go_when_their_kind_is_old() {
    let (_folder, store) = new_store();
    let failure = finished(&store, "failure", MessageKind::Failure, false);
    let unread_failure = finished(&store, "unread failure", MessageKind::Failure, true);
    let other = finished(&store, "other", MessageKind::Other, false);
    let unread = finished(&store, "unread", MessageKind::Aggregate, true);
    let pending = deliver(&store, mail("pending", 0)).unwrap();
    // The same bytes in a second mail that is younger: kept as long as it.
    let sketch = Sketch::new("example.com", "a.example", "1", &[Line("", 1, 9, "none", true, true)]);
    let first = import(&store, &sketch, Trust::Imported, 5);
    let mut copy = reading(Trust::Imported, vec![sketch.read()]);
    copy.packed = Some(pack(format!("{sketch:?} 5").as_bytes()));
    let mut young = mail(&format!("{sketch:?} 5"), 0);
    young.envelope.received_at = Timestamp::from_seconds(MARCH + 50 * DAY);
    let copy = store.finish(MessageRef::New(Box::new(young)), copy).unwrap();
    assert_eq!(copy.reports, [Outcome::Duplicate { of: first.message_id }]);

    let all = [failure, unread_failure, other, unread, pending, first.message_id, copy.message_id];
    let cases: [(i64, [bool; 7]); 6] = [
        (6, [true; 7]),
        (8, [false, false, true, true, true, true, true]),
        (89, [false, false, true, true, true, true, true]),
        (91, [false, false, false, true, true, true, true]),
        (141, [false, false, false, true, true, false, false]),
        (401, [false, false, false, false, true, false, false]),
    ];
    for (days, want) in cases {
        let pruned = prune(&store, days);
        assert!(!pruned.is_postponed);
        assert_eq!(all.map(|id| has_bytes(&store, id)), want, "after {days} days");
        assert_sound(&store.reader().unwrap());
    }
    // Everything read from them is still there.
    let reader = store.reader().unwrap();
    assert_eq!(reader.summary(&Query::default()).unwrap().totals.sums.messages, 9);
    assert_eq!(prune(&store, 401).raws, 0, "twice changes nothing");
}

#[test]
fn sums_stay_for_ever_and_copies_are_still_known() {
    let (_folder, store) = new_store();
    let lines: Vec<Line> = (1..=200).map(|octet| Line("", octet, 3, "none", octet % 2 == 0, false)).collect();
    let old = Sketch::new("example.com", "a.example", "old", &lines);
    let long = Sketch::new("example.com", "a.example", "long", &lines).days(0, 6);
    let conflicting = Sketch::new("example.com", "a.example", "old", &lines[..5]);
    let new = Sketch::new("example.com", "a.example", "new", &lines).days(100, 100);
    for sketch in [&old, &long, &conflicting, &new] {
        import(&store, sketch, Trust::Imported, 0);
    }
    let totals = || store.reader().unwrap().summary(&Query::default()).unwrap();
    let before = totals();
    let records = || store.reader().unwrap().records(&Query::default()).unwrap().totals.records;
    assert_eq!(records(), 600);
    let pruned = prune(&store, 806);
    assert_eq!((pruned.reports, pruned.records), (2, 205), "{pruned:?}");
    assert_eq!(records(), 400);
    let pruned = prune(&store, 830);
    assert_eq!((pruned.reports, pruned.records), (1, 200), "{pruned:?}");
    assert_eq!(records(), 200);
    let after = totals();
    assert_eq!(after.totals.sums, before.totals.sums);
    assert_eq!(after.rows[0].sums.reports, before.rows[0].sums.reports);
    assert_sound(&store.reader().unwrap());
    // The same reports again, and a better believed one: counted already. Another one of the day: counted.
    for trust in [Trust::Imported, Trust::Verified] {
        let again = import(&store, &old, trust, 5);
        assert!(matches!(again.reports[..], [Outcome::Duplicate { .. }]), "{again:?}");
    }
    assert_eq!(
        import(&store, &conflicting, Trust::Verified, 6).reports,
        [Outcome::Conflicting { counts: false }]
    );
    assert_eq!(totals().totals.sums, before.totals.sums);
    let other = Sketch::new("example.com", "a.example", "other", &lines[..1]);
    assert_eq!(import(&store, &other, Trust::Imported, 7).reports, [Outcome::Counted]);
    assert_eq!(totals().totals.sums.messages, before.totals.sums.messages + 3);
    assert_eq!(totals().totals.sums.reports, before.totals.sums.reports + 1);
    assert_sound(&store.reader().unwrap());
    // Rows that come late go with the next round.
    prune(&store, 830);
    assert_eq!(records(), 200);
    assert_eq!(totals().totals.sums.messages, before.totals.sums.messages + 3);
    assert_sound(&store.reader().unwrap());
}

#[test]
fn a_report_read_again_after_its_rows_went_counts_once() {
    let (_folder, store) = new_store();
    let sketch = Sketch::new("example.com", "a.example", "1", &[Line("", 1, 9, "none", true, true)]);
    let id = import(&store, &sketch, Trust::Imported, 0).message_id;
    let retention = Retention { raw: Duration::from_secs(9_000 * 86_400), ..RETENTION };
    let now = Timestamp::from_seconds(MARCH + 900 * DAY);
    store.prune(&retention, &keys(), now, &|| false).unwrap();
    assert!(has_bytes(&store, id));
    assert_eq!(store.reprocess(&mailsonde::store::ReprocessFilter::default()).unwrap(), 1);
    store.finish(MessageRef::Stored(id), reading(Trust::Imported, vec![sketch.read()])).unwrap();
    let sums = store.reader().unwrap().summary(&Query::default()).unwrap().totals.sums;
    assert_eq!((sums.messages, sums.reports), (9, 1));
    assert_sound(&store.reader().unwrap());
}

#[test]
fn mails_and_persons_are_forgotten() {
    let (_folder, store) = new_store();
    let id = finished(&store, "hello", MessageKind::Other, false);
    let text = |store: &Store| format!("{:?}", store.reader().unwrap().message(id).unwrap());
    assert!(text(&store).contains("Jane.Doe") && text(&store).contains("Report Domain"));
    assert_eq!(prune(&store, 29).pseudonyms, 0);
    assert_eq!(prune(&store, 31).pseudonyms, 1);
    let hashed = text(&store);
    assert!(!hashed.contains("Jane.Doe") && !hashed.contains("Report Domain"), "{hashed}");
    assert!(hashed.contains("sender.example"), "{hashed}");
    assert_eq!(prune(&store, 32).pseudonyms, 0);
    // Under its pseudonym it is still found for erasure.
    let target = EraseTarget::Address(Address::parse("jane.doe@SENDER.example").unwrap());
    assert_eq!(store.reader().unwrap().erase_plan(&target, &keys()).unwrap().messages, [id]);
    assert_eq!(prune(&store, 801).messages, 1);
    assert!(matches!(store.reader().unwrap().message(id), Err(StoreError::NotFound(_))));
    assert_sound(&store.reader().unwrap());
}

/// A text that does not compress: every deletion must be seen in the size of the file.
fn noise(seed: u64, bytes: usize) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = String::with_capacity(bytes);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let _ = write!(out, "{state:016x}");
    }
    out
}

#[test]
fn space_is_returned() {
    let (_folder, store) = new_store();
    for seed in 0..90 {
        finished(&store, &noise(seed, 100_000), MessageKind::Other, false);
    }
    // One in slices.
    let long = finished(&store, &noise(99, 3_000_000), MessageKind::Other, false);
    store.flush().unwrap();
    let pruned = prune(&store, 1);
    assert_eq!((pruned.raws, pruned.returned_bytes > 0), (0, pruned.returned_bytes > 0));
    let before = file_bytes(&store);
    assert!(before > 3_000_000, "{before}");
    let pruned = prune(&store, 91);
    assert_eq!(pruned.raws, 91);
    let after = file_bytes(&store);
    // Every table and index has a page of its own.
    assert!(after < before / 8, "{before} bytes before, {after} after");
    assert!(pruned.returned_bytes > before / 2, "{pruned:?}");
    assert!(!has_bytes(&store, long));
    let stats = store.reader().unwrap().stats().unwrap();
    assert_eq!(stats.free_bytes, 0);
    assert_eq!(stats.tables.iter().find(|table| table.name == "raw_chunk").unwrap().rows, 0);
    assert_sound(&store.reader().unwrap());
}

#[test]
fn spool_files_go_with_their_mail() {
    let (_folder, store) = new_store();
    let id = spooled(&store, "Subject: large\r\n\r\nbody\r\n");
    let spool = store.spool_folder().unwrap();
    assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 1);
    store.finish(MessageRef::Stored(id), reading(Trust::Pending, Vec::new())).unwrap();
    assert_eq!(prune(&store, 91).raws, 1);
    store.flush().unwrap();
    assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 0);
}

/// Delivers a mail in a spool file.
fn spooled(store: &Store, text: &str) -> MessageId {
    let file = tempfile::NamedTempFile::new_in(store.spool_folder().unwrap()).unwrap();
    std::fs::write(file.path(), text).unwrap();
    let mut message = mail("", 0);
    message.body = Body::Spool(mailsonde::mail::envelope::SpoolFile {
        path: file.into_temp_path(),
        size_bytes: text.len() as u64,
        sha256: ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref().try_into().unwrap(),
    });
    deliver(store, message).unwrap()
}

#[test]
fn it_can_be_stopped_at_any_time() {
    let (_folder, store) = new_store();
    for seed in 0..20 {
        finished(&store, &noise(seed, 1_000), MessageKind::Other, false);
    }
    let now = Timestamp::from_seconds(MARCH + 900 * DAY);
    for calls in 0..40 {
        let left = std::cell::Cell::new(calls);
        let is_stopped = || {
            left.set(left.get() - 1);
            left.get() <= 0
        };
        store.prune(&RETENTION, &keys(), now, &is_stopped).unwrap();
        assert_sound(&store.reader().unwrap());
    }
    prune(&store, 900);
    assert_eq!(store.reader().unwrap().messages(&Query::default()).unwrap().totals.messages, 0);
}

// ---- Erasing ----

/// Bytes of the database, its log and its spool folder.
fn everything(store: &Store) -> Vec<u8> {
    let mut all = std::fs::read(store.path()).unwrap();
    let mut wal = store.path().as_os_str().to_owned();
    wal.push("-wal");
    all.extend(std::fs::read(wal).unwrap_or_default());
    all
}

fn holds(haystack: &[u8], needle: &str) -> bool {
    memchr::memmem::find(haystack, needle.as_bytes()).is_some()
}

#[test]
fn a_mailbox_is_erased_wherever_it_stands() {
    let (_folder, store) = new_store();
    let from = finished(&store, "a mail of hers", MessageKind::Other, false);
    let quoted = {
        let text = "Subject: x\r\nContent-Transfer-Encoding: base64\r\n\r\namFuZS5kb2VAc2VuZGVyLmV4YW1wbGUgd2FzIGhlcmU=\r\n";
        let mut reading = reading(Trust::Pending, Vec::new());
        reading.kind = MessageKind::Other;
        reading.packed = Some(pack(text.as_bytes()));
        store.finish(MessageRef::New(Box::new(mail(text, 1))), reading).unwrap().message_id
    };
    let pending = {
        let mut message = mail("Subject: y\r\n\r\nunread\r\n", 2);
        message.envelope.rcpt_to = vec![Address::parse("jane.doe@sender.example").unwrap()];
        deliver(&store, message).unwrap()
    };
    let other = {
        let mut reading = reading(Trust::Pending, Vec::new());
        reading.kind = MessageKind::Other;
        reading.packed = Some(pack(b"somebody else's"));
        store.finish(MessageRef::New(Box::new(mail("somebody else's", 3))), reading).unwrap().message_id
    };
    let target = EraseTarget::Address(Address::parse("Jane.Doe@sender.example").unwrap());
    let reader = store.reader().unwrap();
    let plan = reader.erase_plan(&target, &keys()).unwrap();
    assert_eq!(plan.messages, [from, quoted, pending]);
    // Looking removes nothing.
    assert!(reader.message(from).is_ok() && has_bytes(&store, from));
    drop(reader);
    assert!(holds(&everything(&store), "Jane.Doe"));
    let erased = store.erase(&plan).unwrap();
    assert_eq!(erased.messages, 3);
    assert!(!holds(&everything(&store), "Jane.Doe"), "traces are left in the files");
    let reader = store.reader().unwrap();
    assert!(reader.message(from).is_err() && reader.message(other).is_ok());
    assert!(reader.erase_plan(&target, &keys()).unwrap().messages.is_empty());
    assert_sound(&reader);
    assert_eq!(store.erase(&plan).unwrap().messages, 3, "again is no fault");
}

#[test]
fn a_domain_is_erased_with_its_sums() {
    let (_folder, store) = new_store();
    let line = [Line("", 1, 9, "none", true, true)];
    let of = |domain: &'static str, id: &str| Sketch::new(domain, "a.example", id, &line);
    let gone = import(&store, &of("example.com", "1"), Trust::Imported, 0).message_id;
    let below = import(&store, &of("mail.example.com", "2"), Trust::Imported, 1).message_id;
    let stays = import(&store, &of("example.net", "3"), Trust::Imported, 2).message_id;
    let like = import(&store, &of("notexample.com", "4"), Trust::Imported, 3).message_id;
    // One mail with a report for each.
    let mixed = {
        let text = "mixed";
        let mut reading =
            reading(Trust::Imported, vec![of("example.com", "5").read(), of("example.net", "6").read()]);
        reading.packed = Some(pack(text.as_bytes()));
        store.finish(MessageRef::New(Box::new(mail(text, 4))), reading).unwrap().message_id
    };
    prune(&store, 801);
    import(&store, &of("example.com", "7").days(700, 700), Trust::Imported, 0);
    let before = store.reader().unwrap().summary(&Query::default()).unwrap();
    assert_eq!(before.totals.sums.messages, 63);
    let plan =
        store.reader().unwrap().erase_plan(&EraseTarget::Domain(name("example.com")), &keys()).unwrap();
    assert_eq!(plan.domains, ["example.com", "mail.example.com"]);
    assert_eq!(plan.reports, 4);
    assert!(
        !plan.messages.contains(&stays) && !plan.messages.contains(&like) && !plan.messages.contains(&mixed)
    );
    store.erase(&plan).unwrap();
    let reader = store.reader().unwrap();
    let after = reader.summary(&Query::default()).unwrap();
    assert_eq!(after.totals.sums.messages, 27);
    assert!(
        after.rows.iter().all(|row| !row.domain.ends_with(".example.com") && row.domain != "example.com")
    );
    assert_sound(&reader);
    for id in [gone, below] {
        assert!(reader.message(id).is_err());
    }
    // It may come back: counted anew.
    drop(reader);
    assert_eq!(import(&store, &of("example.com", "1"), Trust::Imported, 9).reports, [Outcome::Counted]);
    assert_sound(&store.reader().unwrap());
}

// ---- Copying ----

/// Bytes of a message.
fn bytes(reader: &Reader, id: MessageId) -> Vec<u8> {
    let mut out = Vec::new();
    reader.raw(id).unwrap().read_to_end(&mut out).unwrap();
    out
}

#[test]
fn a_copy_taken_while_others_write_is_whole() {
    let (folder, store) = new_store();
    let line = [Line("", 1, 1, "none", true, true)];
    for id in 0..50 {
        import(
            &store,
            &Sketch::new("example.com", "a.example", &format!("{id}"), &line),
            Trust::Imported,
            id,
        );
    }
    let large = spooled(&store, "Subject: large\r\n\r\nbody\r\n");
    let is_over = AtomicBool::new(false);
    let target = folder.path().join("copy.db");
    let report = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut id = 1_000;
            while !is_over.load(Ordering::Relaxed) || id < 1_020 {
                import(
                    &store,
                    &Sketch::new("example.com", "a.example", &format!("{id}"), &line),
                    Trust::Imported,
                    id,
                );
                id += 1;
            }
            id - 1_000
        });
        let mut calls = 0;
        let report = store.backup(&target, |_, _| calls += 1).unwrap();
        assert!(calls > 0);
        is_over.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() >= 20);
        report
    });
    assert_eq!((report.absorbed, report.without_bytes), (1, 0));
    assert_eq!(report.bytes, std::fs::metadata(&target).unwrap().len());
    assert!(!folder.path().join("copy.db-wal").exists());
    let copy = Store::open(&target, options()).unwrap();
    let reader = copy.reader().unwrap();
    assert_sound(&reader);
    assert!(reader.summary(&Query::default()).unwrap().totals.sums.reports >= 50);
    assert_eq!(bytes(&reader, large), b"Subject: large\r\n\r\nbody\r\n");
    // Nothing is overwritten, and nothing is left over where it fails.
    let before = std::fs::read(&target).unwrap();
    assert!(matches!(store.backup(&target, |_, _| {}), Err(StoreError::Io(_))));
    assert_eq!(std::fs::read(&target).unwrap(), before);
    assert!(store.backup(&folder.path().join("no/such/copy.db"), |_, _| {}).is_err());
    let drafts = std::fs::read_dir(folder.path()).unwrap().flatten();
    assert!(
        drafts.into_iter().all(|entry| !entry.file_name().to_string_lossy().starts_with(".mailsonde-backup"))
    );
}
