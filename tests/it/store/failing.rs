//! Full disks, locks held elsewhere, contradictions: an error for those concerned, and work goes on.

use std::sync::mpsc::channel;
use std::time::Duration;

use mailsonde::store::{MessageRef, MessageStatus, ReportRows, Store, StoreError};
use mailsonde::summary::{Query, Trust};

use super::make::{Line, Sketch, assert_sound, deliver, import, mail, new_store, options, reading};

/// A lock held by another program: refused within the time-out, taken again afterwards.
#[test]
fn a_held_lock_is_busy_and_then_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut impatient = options();
    impatient.busy_timeout = Duration::from_millis(200);
    let store = Store::open(&folder.path().join("t.db"), impatient).unwrap();
    deliver(&store, mail("before", 0)).unwrap();
    let other = rusqlite::Connection::open(store.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (sender, receiver) = channel();
    for at in 0..10 {
        let sender = sender.clone();
        store
            .deliver(mail(&format!("{at}"), 0), Box::new(move |result| sender.send(result).unwrap()))
            .unwrap();
    }
    for _ in 0..10 {
        let error = receiver.recv_timeout(Duration::from_secs(30)).unwrap().unwrap_err();
        assert!(matches!(error, StoreError::Busy(_)), "{error}");
        assert!(error.is_temporary());
    }
    let sketch = Sketch::new("example.com", "a.example", "1", &[Line("", 1, 9, "none", true, true)]);
    let message = MessageRef::New(Box::new(mail("x", 0)));
    let error = store.finish(message, reading(Trust::Imported, vec![sketch.read()])).unwrap_err();
    assert!(matches!(error, StoreError::Busy(_)), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    deliver(&store, mail("after", 0)).unwrap();
    import(&store, &sketch, Trust::Imported, 0);
    let reader = store.reader().unwrap();
    assert_eq!(reader.messages(&Query::default()).unwrap().totals.messages, 3);
    assert_sound(&reader);
}

/// Case 120: full; then room again, without a restart.
#[test]
fn a_full_database_refuses_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let mut small = options();
    small.database_bytes = Some(1536 * 1024);
    let store = Store::open(&path, small).unwrap();
    let body = "0123456789abcdef".repeat(6_000);
    let mut kept = Vec::new();
    let error = loop {
        match deliver(&store, mail(&format!("{} {body}", kept.len()), 0)) {
            Ok(id) => kept.push(id),
            Err(error) => break error,
        }
        assert!(kept.len() < 50, "a quota that does not hold");
    };
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    assert!(kept.len() > 3);
    // Several at once: each hears of it, also those of reports.
    let sketch = Sketch::new("example.com", "a.example", "1", &[Line("", 1, 9, "none", true, true)]);
    let big = MessageRef::New(Box::new(mail(&body, 0)));
    let error = store.finish(big, reading(Trust::Imported, vec![sketch.read()])).unwrap_err();
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    let reader = store.reader().unwrap();
    assert_eq!(reader.messages(&Query::default()).unwrap().totals.messages, kept.len() as u64);
    assert_eq!(reader.summary(&Query::default()).unwrap().rows, []);
    assert_sound(&reader);
    // Reading what is there makes room: the bytes are compressed.
    for (at, id) in kept.iter().enumerate() {
        let mut reading = reading(Trust::Pending, Vec::new());
        reading.packed = Some(mailsonde::store::pack(format!("{at} {body}").as_bytes()));
        store.finish(MessageRef::Stored(*id), reading).unwrap();
    }
    deliver(&store, mail(&body, 0)).unwrap();
    import(&store, &sketch, Trust::Imported, 0);
    assert_sound(&store.reader().unwrap());
}

#[test]
fn too_little_free_space_is_said_before_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let mut greedy = options();
    greedy.free_bytes = u64::MAX / 2;
    let store = Store::open(&folder.path().join("t.db"), greedy).unwrap();
    assert!(matches!(store.has_room(1_000), Err(StoreError::Full(_))));
    let (_folder, store) = new_store();
    store.has_room(1_000).unwrap();
    assert!(matches!(store.has_room(u64::MAX), Err(StoreError::Full(_))));
}

/// A reading that contradicts itself changes nothing, and its neighbors in the transaction are not harmed.
#[test]
fn contradictions_are_refused_whole() {
    let (_folder, store) = new_store();
    let sketch = Sketch::new("example.com", "a.example", "1", &[Line("", 1, 9, "none", true, true)]);
    let id = deliver(&store, mail("m", 0)).unwrap();
    let finish = |change: &dyn Fn(&mut mailsonde::store::ReadReport)| {
        let good = Sketch::new(
            "example.com",
            "a.example",
            "0",
            &[Line("new.example.com", 1, 1, "none", true, true)],
        );
        let mut bad = sketch.read();
        change(&mut bad);
        store.finish(MessageRef::Stored(id), reading(Trust::Pending, vec![good.read(), bad]))
    };
    let changes: [&dyn Fn(&mut mailsonde::store::ReadReport); 6] = [
        &|report| report.digest.messages += 1,
        &|report| report.digest.dmarc_pass = 0,
        &|report| report.digest.records = 7,
        &|report| report.rows = ReportRows::Records(Vec::new()),
        &|report| report.rows = ReportRows::NotNeeded,
        &|report| {
            if let ReportRows::Records(records) = &mut report.rows {
                records[0].count = Some(8);
            }
        },
    ];
    for change in changes {
        let error = finish(change).unwrap_err();
        assert!(matches!(error, StoreError::Contradiction(_)), "{error}");
        let reader = store.reader().unwrap();
        assert_eq!(reader.message(id).unwrap().status, MessageStatus::Pending);
        assert_eq!(reader.summary(&Query::default()).unwrap().rows, []);
        assert_sound(&reader);
    }
    let mut huge = sketch.digest();
    huge.messages = u64::MAX;
    huge.rollup[0].messages = u64::MAX;
    assert!(matches!(store.begin_loading(&huge), Err(StoreError::Contradiction(_))));
    finish(&|_| {}).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.summary(&Query::default()).unwrap().totals.sums.messages, 10);
    assert_sound(&reader);
}
