//! The store as the daemon uses it.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use mailsonde::clock::Timestamp;
use mailsonde::limits;
use mailsonde::mail::{Body, Envelope, Origin, Purpose};
use mailsonde::store::{NewMessage, Store, StoreOptions};

/// The options of the product, with every domain watched.
pub(crate) fn options() -> StoreOptions {
    StoreOptions {
        busy_timeout: limits::STORE_BUSY_TIMEOUT,
        commit_messages: limits::COMMIT_MESSAGES,
        transaction: limits::TRANSACTION,
        queue_messages: limits::QUEUE_MESSAGES,
        queue_bytes: limits::QUEUE_BYTES,
        free_bytes: 0,
        database_bytes: None,
        watch_all: true,
    }
}

/// A small mail.
fn mail(text: &str) -> NewMessage {
    NewMessage {
        envelope: Envelope::without_transport(Origin::Smtp, Timestamp::from_seconds(1_772_323_200)),
        body: Body::Memory(Arc::from(text.as_bytes())),
        purposes: vec![Purpose::Reports],
        file_name: None,
    }
}

#[test]
fn a_delivered_message_is_there_after_its_callback() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("t.db"), options()).unwrap();
    let (sender, receiver) = channel();
    store
        .deliver(mail("Subject: a\r\n\r\nb\r\n"), Box::new(move |result| sender.send(result).unwrap()))
        .unwrap();
    let id = receiver.recv_timeout(Duration::from_secs(10)).unwrap().unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.pending(None, 10).unwrap(), [id]);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut reader.raw(id).unwrap(), &mut text).unwrap();
    assert_eq!(text, "Subject: a\r\n\r\nb\r\n");
    assert_eq!(reader.message(id).unwrap().purposes, [Purpose::Reports]);
}
