//! Reports in every wrapping: the third-party corpus, the vectors, the hostile set, our own fixtures.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::ops::ControlFlow;
use std::path::Path;

use mailsonde::classify::{self, Found, MailContext, MailReading, read_mail};
use mailsonde::clock::Timestamp;
use mailsonde::mail::{Address, Envelope, Origin, Purpose, ReversePath};
use mailsonde::reports::UnreadableKind;
use mailsonde::reports::aggregate::Record;
use mailsonde::reports::digest::ReportDigest;
use mailsonde::reports::extract::Records;

/// Aggregate XML: vectors of quirks and real reports with known sums.
mod corpus;

/// Our own fixtures, cuts and random damage.
mod fixtures;

/// What a writer of ours writes.
mod written;

/// Whole mails: the third-party cases and vectors.
mod mails;

/// What one file or mail holds, as far as the tests look.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// Whole aggregate reports.
    pub(crate) digests: Vec<ReportDigest>,
    /// All rows that were handed out.
    pub(crate) records: Vec<Record>,
    /// TLS reports.
    pub(crate) tls: usize,
    /// Reasons of what is unreadable.
    pub(crate) unread: Vec<String>,
    /// Classes of what is unreadable.
    pub(crate) refusals: Vec<UnreadableKind>,
    /// What else there was.
    pub(crate) others: Vec<String>,
}

impl Read {
    /// Messages of all whole reports.
    pub(crate) fn messages(&self) -> u64 {
        self.digests.iter().map(|digest| digest.messages).sum()
    }

    /// Messages that pass DMARC.
    pub(crate) fn passing(&self) -> u64 {
        self.digests.iter().map(|digest| digest.dmarc_pass).sum()
    }

    /// True if a report has that deviation.
    pub(crate) fn deviates(&self, name: &str) -> bool {
        self.digests.iter().any(|digest| digest.deviations.names().any(|known| known == name))
    }

    /// Takes what was found.
    pub(crate) fn add(&mut self, found: Found<'_>) {
        match found {
            Found::Aggregate { digest, records, .. } => self.take(*digest, &records),
            Found::Tls { .. } => self.tls += 1,
            Found::Failure { .. } | Found::Delivery { .. } => {}
        }
    }

    /// Takes what the reading says beside the reports.
    fn end(&mut self, reading: &MailReading) {
        self.unread = reading.unreadable.iter().map(|error| error.reason.clone()).collect();
        self.refusals = reading.unreadable.iter().map(|error| error.kind).collect();
        self.others.clone_from(&reading.others);
    }

    /// Takes one report; its rows must add up to what its digest says.
    fn take(&mut self, digest: ReportDigest, records: &Records<'_>) {
        let before = self.records.len();
        let keep = &mut |record: &Record| {
            self.records.push(record.clone());
            ControlFlow::Continue(())
        };
        records.each(keep).unwrap();
        let rows = &self.records[before..];
        assert_eq!(rows.len() as u64, digest.records);
        assert_eq!(rows.iter().map(Record::messages).sum::<u64>(), digest.messages);
        assert_eq!(digest.rollup.iter().map(|row| row.messages).sum::<u64>(), digest.messages);
        assert_eq!(digest.rollup.iter().map(|row| row.records).sum::<u64>(), digest.records);
        self.digests.push(digest);
    }
}

/// The time at which tests read: after every report of the corpus.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

/// Reads a bare file.
pub(crate) fn read_file(path: &Path) -> Read {
    let bytes = std::fs::read(path).unwrap();
    read_bytes(&bytes, path.file_name().unwrap().to_str().unwrap())
}

/// Reads bytes as a file of that name.
pub(crate) fn read_bytes(bytes: &[u8], name: &str) -> Read {
    let mut read = Read::default();
    let reading = classify::read_file(name, bytes, NOW, &mut |found| read.add(found));
    read.end(&reading);
    read
}

/// Reads a mail file as if it had come by SMTP from somebody for these purposes.
pub(crate) fn deliver(path: &Path, purposes: &[Purpose]) -> (MailReading, Read) {
    let raw = std::fs::read(path).unwrap();
    let mut envelope = Envelope::without_transport(Origin::Smtp, NOW);
    envelope.mail_from = match purposes {
        [Purpose::Bounce] => Some(ReversePath::Null),
        _ => Address::parse("dmarc@reporter-a.example").map(ReversePath::Address),
    };
    let context = MailContext { envelope: &envelope, purposes, has_probe_token: false };
    let mut read = Read::default();
    let reading = read_mail(&raw, &context, &mut |found| read.add(found));
    read.end(&reading);
    (reading, read)
}
