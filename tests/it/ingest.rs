//! Reading what is pending: no message keeps the others waiting, and none costs memory without bound.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::mpsc::channel;

use mailsonde::clock::Timestamp;
use mailsonde::daemon::ingest::{Bell, Ingest};
use mailsonde::mail::envelope::SpoolFile;
use mailsonde::mail::{Body, Envelope, MessageId, Origin, Purpose};
use mailsonde::probe::token::KeyRing;
use mailsonde::store::{MessageStatus, NewMessage, Store};
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
