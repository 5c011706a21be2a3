//! Reading what is pending: no message keeps the others waiting, and none costs memory without bound.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::mpsc::channel;

use mailsonde::clock::Timestamp;
use mailsonde::daemon::ingest::{Bell, Ingest, PARSER_VERSION};
use mailsonde::mail::envelope::SpoolFile;
use mailsonde::mail::{Body, Envelope, MessageId, Origin, Purpose};
use mailsonde::probe::token::KeyRing;
use mailsonde::store::{Begun, MessageStatus, NewMessage, ReprocessFilter, Store, sha256};
use mailsonde::summary::Query;

/// A store in a folder of its own, with a reader of what is pending.
struct Fixture {
    store: Store,
    ingest: Ingest,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("t.db"), crate::store::options()).unwrap();
        let ring = KeyRing::with_id(1, &[9; 32]).unwrap();
        let ingest = Ingest::new(store.clone(), ring, Arc::new(Bell::default()));
        Self { store, ingest, _folder: folder }
    }

    fn deliver(&self, body: Body) -> MessageId {
        let message = NewMessage {
            envelope: Envelope::without_transport(Origin::Smtp, Timestamp::from_seconds(1_795_478_400)),
            body,
            purposes: vec![Purpose::Reports],
            file_name: None,
        };
        let (sender, receiver) = channel();
        self.store.deliver(message, Box::new(move |result| sender.send(result).unwrap())).unwrap();
        receiver.recv().unwrap().unwrap()
    }

    fn status(&self, id: MessageId) -> MessageStatus {
        self.store.reader().unwrap().message(id).unwrap().status
    }
}

/// A report mail with these records.
fn report_mail(records: &str) -> Vec<u8> {
    format!(
        "From: a@b.example\r\nContent-Type: text/xml\r\n\r\n<feedback><report_metadata><org_name>o</org_name>\
         <report_id>1</report_id><date_range><begin>1795132800</begin><end>1795219199</end></date_range>\
         </report_metadata><policy_published><domain>example.com</domain><p>none</p></policy_published>{records}\
         </feedback>\r\n"
    )
    .into_bytes()
}

#[test]
fn a_message_whose_bytes_are_gone_keeps_nobody_waiting() {
    let fixture = Fixture::new();
    let folder = fixture.store.spool_folder().unwrap();
    let mut file = tempfile::NamedTempFile::new_in(&folder).unwrap();
    file.write_all(&report_mail("")).unwrap();
    let size_bytes = file.as_file().metadata().unwrap().len();
    let spool = SpoolFile { path: file.into_temp_path(), size_bytes, sha256: [7; 32] };
    let lost = fixture.deliver(Body::Spool(spool));
    for entry in std::fs::read_dir(&folder).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let record = "<record><row><source_ip>192.0.2.1</source_ip><count>3</count></row></record>";
    let sound = fixture.deliver(Body::Memory(Arc::from(report_mail(record))));
    for _ in 0..2 {
        assert!(fixture.ingest.read_pending(&|| false).is_err(), "the lost one is told");
        assert_eq!(fixture.status(sound), MessageStatus::Read);
        assert_eq!(fixture.status(lost), MessageStatus::Pending);
    }
}

/// Set for the child process of the test below: the store in which it is to end.
const FATAL: &str = "MAILSONDE_TEST_FATAL_STORE";

#[test]
fn a_message_that_ends_the_program_is_not_read_at_every_start() {
    let ends: [u8; 32] = sha256(&report_mail(""));
    if let Some(path) = std::env::var_os(FATAL) {
        // The child: takes two messages in hand, of which one is done with, and is gone.
        let store = Store::open(path.as_ref(), crate::store::options()).unwrap();
        let sound = store.begin_reading(&[1; 32], PARSER_VERSION).unwrap();
        drop(sound);
        let _fatal = store.begin_reading(&ends, PARSER_VERSION).unwrap();
        std::process::abort();
    }
    let fixture = Fixture::new();
    let path = fixture.store.path().to_owned();
    let die = || {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "ingest::a_message_that_ends_the_program_is_not_read_at_every_start"]);
        let status = child.env(FATAL, &path).output().unwrap().status;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(6), "{status}");
    };
    let record = "<record><row><source_ip>192.0.2.1</source_ip><count>3</count></row></record>";
    let sound = || fixture.deliver(Body::Memory(Arc::from(report_mail(record))));
    let bytes = || Body::Memory(Arc::from(report_mail("")));
    // A reader of what is pending that knows nothing yet: that of the next process.
    let next_start = || {
        let store = Store::open(&path, crate::store::options()).unwrap();
        let ring = KeyRing::with_id(1, &[9; 32]).unwrap();
        Ingest::new(store.clone(), ring, Arc::new(Bell::default())).read_pending(&|| false).unwrap();
        store.close();
    };

    // One end may have had another cause: it is read, and forgotten.
    let (first, beside) = (fixture.deliver(bytes()), sound());
    die();
    next_start();
    assert_eq!(fixture.status(first), MessageStatus::Read);
    assert_eq!(fixture.status(beside), MessageStatus::Read);

    // Two ends: kept unread with the reason, whoever else waits is read.
    let reprocess = ReprocessFilter { ids: Some(vec![first]), ..ReprocessFilter::default() };
    assert_eq!(fixture.store.reprocess(&reprocess).unwrap(), 1);
    die();
    die();
    let beside = sound();
    next_start();
    assert_eq!(fixture.status(first), MessageStatus::Unread);
    assert_ne!(fixture.status(beside), MessageStatus::Pending);
    let told = fixture.store.reader().unwrap().message(first).unwrap().reason.unwrap();
    assert!(told.contains("ended the program 2 times"), "{told}");
    // The same bytes again, also by another way.
    let again = fixture.deliver(bytes());
    next_start();
    assert_eq!(fixture.status(again), MessageStatus::Unread);

    // Readers of another version try again.
    let store = Store::open(&path, crate::store::options()).unwrap();
    assert!(matches!(store.begin_reading(&ends, PARSER_VERSION + 1).unwrap(), Begun::Read(_)));
    store.close();

    // Whoever asks for it gets it read.
    assert_eq!(fixture.store.reprocess(&reprocess).unwrap(), 1);
    next_start();
    assert_eq!(fixture.status(first), MessageStatus::Read);
}

#[test]
fn what_is_read_without_a_place_for_notes_is_read() {
    let fixture = Fixture::new();
    for number in 1..=16 {
        std::fs::create_dir(fixture.store.path().with_file_name(format!("t.db-reading-{number}"))).unwrap();
    }
    let id = fixture.deliver(Body::Memory(Arc::from(report_mail(""))));
    fixture.ingest.read_pending(&|| false).unwrap();
    assert_eq!(fixture.status(id), MessageStatus::Read);
}

#[test]
fn records_of_many_long_texts_go_to_the_store_in_small_slices() {
    let long = "a".repeat(2_000);
    let mut records = String::new();
    for number in 0..200 {
        let _ = write!(
            records,
            "<record><row><source_ip>192.0.2.1</source_ip><count>1</count></row><auth_results>{}</auth_results>\
             </record>",
            format!("<dkim><domain>d{number}</domain><human_result>{long}</human_result></dkim>").repeat(50)
        );
    }
    let fixture = Fixture::new();
    let id = fixture.deliver(Body::Memory(Arc::from(report_mail(&records))));
    fixture.ingest.read_pending(&|| false).unwrap();
    assert_eq!(fixture.status(id), MessageStatus::Read);
    let query = Query::default();
    let answer = fixture.store.reader().unwrap().records(&query).unwrap();
    assert_eq!(answer.rows.len(), 200);
    assert!(answer.rows.iter().all(|row| row.auth_results.len() == 50));
}
