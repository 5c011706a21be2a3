//! Attachments: everything in every packing.

use std::io::Write as _;
use std::ops::ControlFlow;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use mailsonde::clock::Timestamp;
use mailsonde::limits;
use mailsonde::reports::aggregate::Record;
use mailsonde::reports::digest::DigestContext;
use mailsonde::reports::extract::{Finding, Leaf, Records, extract};
use mailsonde::reports::{Budget, UnreadableKind};

use super::NOW_SECONDS;
use super::aggregate::check_digest;

/// The first byte says how the rest is packed, so that what is inside is reached; 0 leaves it as it is.
pub fn check(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    let bytes = pack(*how, rest);
    let found = look(&bytes, how & 0x40 != 0);
    // The same again: nothing depends on what was read before.
    assert_eq!(found, look(&bytes, how & 0x40 != 0));
}

/// What was found: hashes of reports and classes of what cannot be read.
type Found = (Vec<[u8; 32]>, Vec<UnreadableKind>);

fn look(bytes: &[u8], is_body: bool) -> Found {
    let (mut hashes, mut unreadable) = (Vec::new(), Vec::new());
    let now = Timestamp::from_seconds(NOW_SECONDS);
    let context =
        DigestContext { now, from_domain: None, file_name: "a.xml", subject: "", tls_report: (None, None) };
    let leaf = Leaf {
        bytes,
        place: "part 1",
        file_name: "a.xml",
        is_body,
        is_report_type: true,
        is_unpacked: false,
    };
    let mut findings = 0;
    extract(leaf, &context, &Budget::default(), &mut |finding| {
        findings += 1;
        match finding {
            Finding::Aggregate { digest, records, place } => {
                assert!(place.starts_with("part 1"));
                let all = all(&records);
                check_digest(&digest, &all);
                if let Records::Memory(records) = &records {
                    assert!(records.len() as u64 <= limits::RECORDS_IN_MEMORY);
                }
                hashes.push(digest.content_sha256);
            }
            Finding::Tls { digest, .. } => {
                super::tls::check_digest(&digest);
                hashes.push(digest.content_sha256);
            }
            Finding::TlsUnreadable(error) | Finding::Unreadable(error) => {
                assert!(!error.reason.is_empty() && !error.place.is_empty(), "{error:?}");
                assert!(!error.reason.contains('\u{1b}'), "{error:?}");
                unreadable.push(error.kind);
            }
            Finding::Mail { bytes: mail, .. } => {
                let most = bytes.len() as u64 * limits::UNPACKED_RATIO + limits::UNPACKED_RATIO_FROM_BYTES;
                assert!(mail.len() as u64 <= most);
            }
            Finding::NotReport { what, .. } => assert!(!what.is_empty()),
        }
    });
    assert!(
        findings <= (limits::ARCHIVE_ENTRIES + 1) * (limits::TLS_DOCUMENT_REPORTS + limits::DOCUMENT_REPORTS)
    );
    (hashes, unreadable)
}

/// All records, read a second time where they are not in memory.
fn all(records: &Records<'_>) -> Vec<Record> {
    let mut all = Vec::new();
    let read = records.each(&mut |record| {
        all.push(record.clone());
        ControlFlow::Continue(())
    });
    assert!(read.is_ok(), "the second reading fails: {read:?}");
    all
}

/// Packs as the low six bits say; two of them in a row are two layers.
fn pack(how: u8, bytes: &[u8]) -> Vec<u8> {
    let inner = one(how & 7, bytes);
    one((how >> 3) & 7, &inner)
}

fn one(how: u8, bytes: &[u8]) -> Vec<u8> {
    let packed = match how {
        1 => gzip(bytes),
        2 => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).and_then(|()| encoder.finish()).ok()
        }
        3 => zip_of(&[("a.xml", bytes)]),
        4 => {
            let (a, b) = bytes.split_at(bytes.len() / 2);
            zip_of(&[("a.json", a), ("folder/b!c!1!2.xml.gz", b)])
        }
        5 => {
            let (a, b) = bytes.split_at(bytes.len() / 2);
            gzip(a).zip(gzip(b)).map(|(a, b)| [a, b].concat())
        }
        6 => Some(tar_of(bytes)),
        _ => None,
    };
    packed.unwrap_or_else(|| bytes.to_vec())
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).ok()
}

fn zip_of(files: &[(&str, &[u8])]) -> Option<Vec<u8>> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).ok()?;
        writer.write_all(bytes).ok()?;
    }
    Some(writer.finish().ok()?.into_inner())
}

fn tar_of(bytes: &[u8]) -> Vec<u8> {
    let mut block = vec![0u8; 512];
    block[..5].copy_from_slice(b"a.xml");
    block[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
    block[156] = b'0';
    block[257..263].copy_from_slice(b"ustar\0");
    block[148..156].copy_from_slice(b"        ");
    let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.extend_from_slice(bytes);
    block.resize(block.len().next_multiple_of(512) + 1024, 0);
    block
}
