//! Reports in every wrapping: the third-party corpus, the vectors, the hostile set, our own fixtures.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::ops::ControlFlow;
use std::path::Path;

use mailsonde::clock::Timestamp;
use mailsonde::reports::Budget;
use mailsonde::reports::digest::{DigestContext, ReportDigest};
use mailsonde::reports::extract::{Finding, Leaf, extract};

/// Aggregate XML: vectors of quirks and real reports with known sums.
mod corpus;

/// What one file or mail holds, as far as the tests look.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// Whole aggregate reports.
    pub(crate) digests: Vec<ReportDigest>,
    /// Messages summed from the rows that were handed out.
    pub(crate) row_messages: u64,
    /// TLS reports.
    pub(crate) tls: usize,
    /// Reasons of what is unreadable.
    pub(crate) unread: Vec<String>,
    /// What else there was.
    pub(crate) others: Vec<String>,
}

impl Read {
    /// Messages of all whole reports.
    pub(crate) fn messages(&self) -> u64 {
        self.digests.iter().map(|digest| digest.messages).sum()
    }

    /// Records of all whole reports.
    pub(crate) fn records(&self) -> u64 {
        self.digests.iter().map(|digest| digest.records).sum()
    }
}

/// The time at which tests read: after every report of the corpus.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_772_500_000);

/// Reads a bare file.
pub(crate) fn read_file(path: &Path) -> Read {
    let bytes = std::fs::read(path).unwrap();
    read_bytes(&bytes, path.file_name().unwrap().to_str().unwrap())
}

/// Reads bytes as a file of that name.
pub(crate) fn read_bytes(bytes: &[u8], name: &str) -> Read {
    let mut read = Read::default();
    let leaf = Leaf { bytes, place: name, file_name: name, is_body: false };
    let context = DigestContext { now: NOW, from_domain: None, file_name: name, subject: "" };
    extract(leaf, &context, &Budget::default(), &mut |finding| match finding {
        Finding::Aggregate { digest, records, .. } => {
            let add = &mut |record: &mailsonde::reports::aggregate::Record| {
                read.row_messages += record.messages();
                ControlFlow::Continue(())
            };
            records.each(add).unwrap();
            read.digests.push(*digest);
        }
        Finding::Tls { .. } => read.tls += 1,
        Finding::Mail { place, .. } => read.others.push(format!("mail {place}")),
        Finding::Unreadable(error) => read.unread.push(error.reason),
        Finding::NotReport { what, .. } => read.others.push(what),
    });
    assert_eq!(read.row_messages, read.messages(), "{name}: rows and digest");
    read
}
