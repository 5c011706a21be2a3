//! Deliveries: durable when their callback runs, from many threads, small and large, restartable.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use mailsonde::mail::envelope::SpoolFile;
use mailsonde::mail::{Address, Body, MessageId, PeerSource, Purpose, ReversePath, TlsSession};
use mailsonde::store::{MessageRef, MessageStatus, Outcome, Store, StoreError, pack};
use mailsonde::summary::{Query, Trust};

use super::make::{Line, Sketch, assert_sound, deliver, import, mail, new_store, options, reading, reopen};

/// The bytes of a message.
fn bytes(store: &Store, id: MessageId) -> Vec<u8> {
    let reader = store.reader().unwrap();
    let mut out = Vec::new();
    reader.raw(id).unwrap().read_to_end(&mut out).unwrap();
    out
}

#[test]
fn a_delivered_message_comes_back_as_it_was() {
    let (_folder, store) = new_store();
    let mut message = mail("Subject: a\r\n\r\nb\r\n", 0);
    message.purposes = vec![Purpose::Reports, Purpose::Postmaster];
    message.envelope.peer = Some("[::ffff:192.0.2.7]:2525".parse::<SocketAddr>().unwrap());
    message.envelope.peer_source = Some(PeerSource::Xforward);
    message.envelope.relay = Some("192.0.2.1".parse().unwrap());
    message.envelope.helo = Some("mx.example".to_owned());
    message.envelope.is_esmtp = true;
    message.envelope.tls = Some(TlsSession {
        version: "TLSv1.3".to_owned(),
        cipher: "TLS13_AES_256_GCM_SHA384".to_owned(),
        server_name: None,
    });
    message.envelope.mail_from = Some(ReversePath::Null);
    message.envelope.rcpt_to =
        vec![Address::parse("\"a b\"@example.com").unwrap(), Address::parse("c@example.com").unwrap()];
    let mut envelope = message.envelope.clone();
    let id = deliver(&store, message).unwrap();
    assert_eq!(bytes(&store, id), b"Subject: a\r\n\r\nb\r\n");
    let reader = store.reader().unwrap();
    let stored = reader.message(id).unwrap();
    envelope.peer = Some("192.0.2.7:2525".parse().unwrap());
    assert_eq!(stored.envelope, envelope);
    assert_eq!(stored.purposes, [Purpose::Reports, Purpose::Postmaster]);
    assert_eq!(stored.status, MessageStatus::Pending);
    assert_eq!(reader.pending(None, 10).unwrap(), [id]);
    assert_eq!(reader.pending(Some(id), 10).unwrap(), []);
    assert!(matches!(reader.message(MessageId(1)), Err(StoreError::NotFound(_))));
}

/// Case 118: 40 deliveries at the same moment while a table is printed.
#[test]
fn parallel_deliveries_while_a_reader_prints() {
    let (_folder, store) = new_store();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading_thread = scope.spawn(|| {
            let reader = store.reader().unwrap();
            let mut rounds = 0;
            loop {
                let last_round = done.load(Ordering::SeqCst);
                let answer = reader.messages(&Query::default()).unwrap();
                assert_eq!(answer.totals.messages, answer.rows.len() as u64);
                reader.summary(&Query::default()).unwrap();
                rounds += 1;
                if last_round {
                    return (rounds, answer.totals.messages);
                }
            }
        });
        let threads: Vec<_> = (0..40)
            .map(|thread| {
                let store = store.clone();
                scope.spawn(move || {
                    let mut ids = Vec::new();
                    for at in 0..20 {
                        ids.push(deliver(&store, mail(&format!("{thread} {at}"), 0)).unwrap());
                    }
                    ids
                })
            })
            .collect();
        let mut ids: Vec<MessageId> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        done.store(true, Ordering::SeqCst);
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 800);
        let (_, seen) = reading_thread.join().unwrap();
        assert_eq!(seen, 800);
    });
    assert_sound(&store.reader().unwrap());
}

#[test]
fn what_was_answered_survives_without_a_close() {
    let (folder, store) = new_store();
    let id = deliver(&store, mail("kept", 0)).unwrap();
    // A second handle reads the file as another process would, while the first is never closed.
    let second = reopen(folder.path());
    assert_eq!(bytes(&second, id), b"kept");
    std::mem::forget(store);
}

#[test]
fn a_closed_store_says_so_and_finishes_what_waited() {
    let (folder, store) = new_store();
    let (sender, receiver) = channel();
    for at in 0..50 {
        let sender = sender.clone();
        store
            .deliver(mail(&format!("{at}"), 0), Box::new(move |result| sender.send(result.is_ok()).unwrap()))
            .unwrap();
    }
    store.close();
    drop(sender);
    assert_eq!(receiver.iter().filter(|ok| *ok).count(), 50);
    assert!(matches!(deliver(&store, mail("late", 0)), Err(StoreError::Closed)));
    assert!(matches!(store.has_room(1), Err(StoreError::Closed)));
    assert!(matches!(store.flush(), Err(StoreError::Closed)));
    let again = reopen(folder.path());
    assert_eq!(again.reader().unwrap().messages(&Query::default()).unwrap().totals.messages, 50);
}

#[test]
fn a_full_queue_gives_the_message_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut small = options();
    small.queue_messages = 2;
    let store = Store::open(&folder.path().join("t.db"), small).unwrap();
    let (start, gate) = channel::<()>();
    let (sender, receiver) = channel();
    // The first callback holds the writer, so that the next messages have to wait.
    let first = sender.clone();
    store
        .deliver(
            mail("first", 0),
            Box::new(move |result| {
                first.send(result).unwrap();
                gate.recv().unwrap();
            }),
        )
        .unwrap();
    receiver.recv().unwrap().unwrap();
    let mut taken = 0;
    let rejected = loop {
        let sender = sender.clone();
        match store.deliver(mail("next", 0), Box::new(move |result| sender.send(result).unwrap())) {
            Ok(()) => taken += 1,
            Err(rejected) => break rejected,
        }
    };
    assert_eq!(taken, 2);
    assert!(matches!(rejected.error, StoreError::Busy(_)));
    assert!(matches!(store.has_room(1), Err(StoreError::Busy(_))));
    start.send(()).unwrap();
    for _ in 0..taken {
        receiver.recv().unwrap().unwrap();
    }
    store.flush().unwrap();
    store.has_room(1).unwrap();
    store.deliver(rejected.message, rejected.done).unwrap();
    receiver.recv().unwrap().unwrap();
}

/// A spooled message: in a file first, compressed in the database later, the same bytes throughout.
#[test]
fn a_spooled_message_is_absorbed() {
    let (folder, store) = new_store();
    let line = b"0123456789abcdef".repeat(64);
    // Bytes that do not compress well: several slices.
    let mut body = Vec::new();
    let mut hash = [0u8; 32];
    while body.len() < 3 * 1024 * 1024 {
        hash = ring::digest::digest(&ring::digest::SHA256, &hash).as_ref().try_into().unwrap();
        body.extend_from_slice(&hash);
    }
    body.extend_from_slice(&line);
    let mut file = tempfile::NamedTempFile::new_in(store.spool_folder().unwrap()).unwrap();
    std::io::Write::write_all(&mut file, &body).unwrap();
    file.as_file().sync_all().unwrap();
    let mut message = mail("", 0);
    message.body = Body::Spool(SpoolFile {
        path: file.into_temp_path(),
        size_bytes: body.len() as u64,
        sha256: ring::digest::digest(&ring::digest::SHA256, &body).as_ref().try_into().unwrap(),
    });
    let id = deliver(&store, message).unwrap();
    let spool = folder.path().join("t.db-spool");
    assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 1);
    assert!(bytes(&store, id) == body);
    store.close();
    // A killed receiver leaves a file that nothing refers to; the spooled message stays.
    std::fs::write(spool.join(".tmpLeft"), b"x").unwrap();
    let store = reopen(folder.path());
    assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 1);
    assert!(bytes(&store, id) == body);
    store.absorb_spool(id).unwrap();
    store.absorb_spool(id).unwrap();
    store.flush().unwrap();
    assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 0);
    assert!(bytes(&store, id) == body);
    assert_sound(&store.reader().unwrap());
}

#[test]
fn files_of_a_running_process_are_not_cleaned_by_another() {
    let (folder, store) = new_store();
    let file = tempfile::NamedTempFile::new_in(store.spool_folder().unwrap()).unwrap();
    let second = reopen(folder.path());
    assert!(file.path().exists());
    second.close();
    assert!(file.path().exists());
}

#[test]
fn a_message_is_finished_once() {
    let (_folder, store) = new_store();
    let text = "Subject: report\r\n\r\n".repeat(100);
    let id = deliver(&store, mail(&text, 0)).unwrap();
    let sketch = Sketch::new("example.com", "a.example", "1", &[Line("", 1, 9, "none", true, true)]);
    let finish = || {
        let mut reading = reading(Trust::Pending, vec![sketch.read()]);
        reading.packed = Some(pack(text.as_bytes()));
        store.finish(MessageRef::Stored(id), reading).unwrap()
    };
    let first = finish();
    assert!(first.was_pending);
    assert_eq!((first.status, first.reports.as_slice()), (MessageStatus::Read, &[Outcome::Counted][..]));
    let second = finish();
    assert!(!second.was_pending);
    assert_eq!(second.status, MessageStatus::Read);
    let reader = store.reader().unwrap();
    assert_eq!(reader.summary(&Query::default()).unwrap().totals.sums.messages, 9);
    assert_eq!(bytes(&store, id), text.as_bytes());
    assert_eq!(reader.pending(None, 10).unwrap(), []);
    assert_sound(&reader);
    let unknown = store.finish(MessageRef::Stored(MessageId(5)), reading(Trust::Pending, Vec::new()));
    assert!(matches!(unknown, Err(StoreError::NotFound(_))));
}

/// Case 050: the same bytes again are a copy, kept once and counted once.
#[test]
fn the_same_bytes_are_found_again() {
    let (_folder, store) = new_store();
    let sketch = Sketch::new("example.com", "a.example", "1", &[Line("", 1, 9, "none", true, true)]);
    let first = import(&store, &sketch, Trust::Imported, 5);
    let again = import(&store, &sketch, Trust::Imported, 5);
    assert_eq!(again.status, MessageStatus::Duplicate);
    assert_eq!(again.duplicate_of, Some(first.message_id));
    assert_eq!(again.reports, [Outcome::Duplicate { of: first.message_id }]);
    let reader = store.reader().unwrap();
    let sha256 = reader.message(again.message_id).unwrap().sha256;
    assert_eq!(reader.find_same(&sha256).unwrap(), Some(first.message_id));
    assert_eq!(reader.find_same(&[0; 32]).unwrap(), None);
    assert_eq!(bytes(&store, again.message_id), bytes(&store, first.message_id));
    assert_eq!(reader.messages(&Query::default()).unwrap().totals.duplicate, 1);
    assert_sound(&reader);
}

/// Two writers on one file, as `import` beside `serve`: nobody starves, nothing is lost or counted twice.
#[test]
fn two_processes_write_at_once() {
    let (folder, first) = new_store();
    let second = reopen(folder.path());
    let sketches: Vec<Sketch> = (0u64..60)
        .map(|at| {
            let lines =
                [Line("", 1, at + 1, "none", true, true), Line("n.example.com", 2, 1, "none", false, true)];
            Sketch::new("example.com", "a.example", &at.to_string(), &lines)
        })
        .collect();
    std::thread::scope(|scope| {
        for store in [&first, &second] {
            scope.spawn(|| {
                for sketch in &sketches {
                    import(store, sketch, Trust::Imported, 0);
                }
            });
            scope.spawn(|| {
                for at in 0..100 {
                    deliver(store, mail(&format!("{at}"), 0)).unwrap();
                }
            });
        }
    });
    let reader = second.reader().unwrap();
    let sums = reader.summary(&Query::default()).unwrap().totals.sums;
    assert_eq!((sums.reports, sums.messages), (60, 60 * 61 / 2 + 60));
    let messages = reader.messages(&Query::default()).unwrap().totals;
    assert_eq!((messages.pending, messages.read, messages.duplicate), (200, 60, 60));
    assert_sound(&reader);
}

/// A callback that panics takes its own transaction's callers with it, not the store.
#[test]
fn a_panic_in_a_callback_is_survived() {
    let (_folder, store) = new_store();
    store.deliver(mail("a", 0), Box::new(|_| panic!("a fault in a callback, on purpose"))).unwrap();
    deliver(&store, mail("b", 0)).unwrap();
    store.has_room(1).unwrap();
    assert_eq!(store.reader().unwrap().messages(&Query::default()).unwrap().totals.messages, 2);
}
