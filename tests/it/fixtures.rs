//! The sample mails: each one read alone gives what was derived by hand, and no damage to them ends the program.

use std::ops::ControlFlow;
use std::path::PathBuf;

use mailsonde::classify::{Found, MailContext, MailReading, read_mail};
use mailsonde::clock::Timestamp;
use mailsonde::mail::{Address, Envelope, Origin, Purpose, ReversePath};

use crate::support::program::{Server, deliver, json};

/// The time of reading: the day after the last report.
const NOW: Timestamp = Timestamp::from_seconds(1_795_478_400);

/// One sample mail with what is expected of it.
struct Sample {
    /// Its name without an ending.
    name: String,
    /// Its bytes.
    bytes: Vec<u8>,
    /// The content of `.expected.json`.
    expected: serde_json::Value,
}

/// All sample mails in the order of their names.
fn samples() -> Vec<Sample> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/mail");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    paths.retain(|path| path.extension().is_some_and(|end| end == "eml"));
    paths.sort();
    assert!(paths.len() >= 12, "sample mails are missing in {}", folder.display());
    let sample = |path: PathBuf| Sample {
        name: path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default(),
        bytes: std::fs::read(&path).unwrap_or_default(),
        expected: std::fs::read_to_string(path.with_extension("expected.json"))
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
    };
    paths.into_iter().map(sample).collect()
}

/// What one mail holds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    /// Aggregate reports read whole.
    reports: u64,
    /// Their records, as handed out.
    records: u64,
    /// Messages in these records.
    messages: u64,
    /// Those that pass DMARC.
    dmarc_pass: u64,
}

/// Reads a mail as if it had come for `purpose` from `mail_from` (empty: the null reverse-path).
fn read(bytes: &[u8], mail_from: &str, purpose: Option<Purpose>) -> (MailReading, Sums) {
    let mut envelope = Envelope::without_transport(Origin::Smtp, NOW);
    envelope.mail_from = Some(Address::parse(mail_from).map_or(ReversePath::Null, ReversePath::Address));
    let purposes: Vec<Purpose> = purpose.into_iter().collect();
    let context = MailContext { envelope: &envelope, purposes: &purposes, has_probe_token: false };
    let mut sums = Sums::default();
    let reading = read_mail(bytes, &context, &mut |found| {
        if let Found::Aggregate { digest, records, .. } = found {
            let before = sums.messages;
            sums.reports += 1;
            let whole = records.each(&mut |record| {
                sums.records += 1;
                sums.messages = sums.messages.saturating_add(record.messages());
                if record.passes_dmarc() {
                    sums.dmarc_pass = sums.dmarc_pass.saturating_add(record.messages());
                }
                ControlFlow::Continue(())
            });
            assert_eq!(whole, Ok(()), "records that were read once can be read again");
            let rolled_up: u64 = digest.rollup.iter().map(|row| row.messages).sum();
            assert_eq!(rolled_up, digest.messages, "the roll-up has the sum of the records");
            assert_eq!(sums.messages - before, digest.messages, "the digest has the sum of the records");
        }
    });
    (reading, sums)
}

#[test]
fn every_sample_mail_is_read_as_expected() {
    for sample in samples() {
        let expected = &sample.expected;
        let word = |key: &str| expected[key].as_str().unwrap_or("absent").to_owned();
        let number = |key: &str| expected[key].as_u64().unwrap_or(u64::MAX);
        let (reading, sums) = read(&sample.bytes, &word("mail_from"), Purpose::parse(&word("purpose")));
        assert_eq!(reading.kind.as_str(), word("kind"), "{}: {}", sample.name, reading.why);
        assert_eq!(reading.unreadable.is_empty(), word("status") != "unread", "{}", sample.name);
        // Read alone, a duplicate is a report like the first.
        if word("status") == "duplicate" {
            assert_eq!(sums.reports, 1, "{}", sample.name);
        } else {
            let want = Sums {
                reports: number("reports"),
                records: number("records"),
                messages: number("messages"),
                dmarc_pass: number("dmarc_pass"),
            };
            assert_eq!(sums, want, "{}", sample.name);
        }
    }
}

#[test]
fn the_sample_mails_in_order_give_the_expected_rows_and_sums() {
    let recipients: Vec<(String, String)> = ["reports", "failures", "tls", "bounce", "watch", "postmaster"]
        .iter()
        .map(|purpose| (format!("{purpose}@example.net"), (*purpose).to_owned()))
        .collect();
    let table: Vec<(&str, &str)> =
        recipients.iter().map(|(address, purpose)| (address.as_str(), purpose.as_str())).collect();
    let server = Server::start(&table);
    let samples = samples();
    for sample in &samples {
        let word = |key: &str| sample.expected[key].as_str().unwrap_or("absent").to_owned();
        let to = format!("{}@example.net", word("purpose"));
        let reply = deliver(server.smtp, &word("mail_from"), &[&to], &sample.bytes);
        assert!(reply.as_ref().is_ok_and(|reply| reply.starts_with("250")), "{}: {reply:?}", sample.name);
        // In order, so that the copy is the copy.
        server.settle();
    }
    let answer = json(server.path(), &["report", "messages", "--sort", "received_at"]);
    let rows = answer["rows"].as_array().cloned().unwrap_or_default();
    assert_eq!(rows.len(), samples.len());
    for (row, sample) in rows.iter().zip(&samples) {
        for key in ["kind", "status"] {
            assert_eq!(row[key], sample.expected[key], "{}: {key}: {row}", sample.name);
        }
    }
    let totals = &json(server.path(), &["report", "summary"])["totals"];
    for key in ["reports", "messages", "dmarc_pass"] {
        let want: u64 = samples.iter().filter_map(|sample| sample.expected[key].as_u64()).sum();
        assert_eq!(totals[key], want, "{key}");
    }
    let records = json(server.path(), &["report", "records"])["rows"].as_array().map_or(0, Vec::len);
    let want: u64 = samples.iter().filter_map(|sample| sample.expected["records"].as_u64()).sum();
    assert_eq!(u64::try_from(records), Ok(want), "records");
}

/// Pieces that mean something to one of the readers.
const PIECES: [&[u8]; 20] = [
    b"<record>",
    b"</record>",
    b"</feedback>",
    b"<feedback>",
    b"<![CDATA[",
    b"<!--",
    b"<!DOCTYPE a [",
    b"&#x0;",
    b"\r\n--=_alpine_1\r\n",
    b"\r\n\r\n",
    b"\n.\r\n",
    b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n",
    b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"=?utf-8?b?",
    b"=3D",
    b"\x1f\x8b\x08",
    b"PK\x03\x04",
    b"\xff\xfe",
    b"{\"policies\":[",
];

/// A small generator of numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}

/// Changes a mail in a few places.
fn damage(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    for _ in 0..=numbers.below(5) {
        let at = numbers.below(bytes.len());
        let to = (at + numbers.below(80)).min(bytes.len());
        match numbers.below(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..to)),
            2 => drop(bytes.splice(at..at, PIECES[numbers.below(PIECES.len())].iter().copied())),
            3 => {
                let copy = bytes[at..to].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << numbers.below(8);
                }
            }
        }
    }
}

#[test]
fn damaged_mails_are_read_without_a_panic() {
    let rounds = std::env::var("MAILSONDE_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    // Archives are packed: damage shall reach what is in them too.
    let mut seeds: Vec<Vec<u8>> = samples().into_iter().map(|sample| sample.bytes).collect();
    let plain = seeds.iter().find(|seed| memchr::memmem::find(seed, b"<feedback>").is_some()).cloned();
    seeds.extend(std::iter::repeat_n(plain.unwrap_or_default(), 3));
    for seed in &seeds {
        for _ in 0..rounds {
            let mut bytes = seed.clone();
            damage(&mut bytes, &mut numbers);
            // What it is may have changed; that it ends, and that its sums agree, is checked by `read`.
            let (reading, _) = read(&bytes, "", Some(Purpose::Reports));
            assert!(!reading.why.is_empty());
        }
    }
}
