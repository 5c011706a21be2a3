//! From the bytes of one attachment or file to the reports in it.
//!
//! Everything in every archive is looked at by content. Memory stays bounded: a report of many records
//! is read twice, first for its digest, then for its rows, from the same packed bytes.

use std::io::Read;
use std::ops::ControlFlow;

use crate::limits;
use crate::reports::aggregate::{ReadReport, Reader, Record};
use crate::reports::digest::{DigestBuilder, DigestContext, ReportDigest};
use crate::reports::sniff::Content;
use crate::reports::tls::{self, TlsContext, TlsDigest};
use crate::reports::unpack::{Document, walk};
use crate::reports::{Budget, Unreadable, UnreadableKind};

/// One attachment, body or file.
#[derive(Debug, Clone, Copy)]
pub struct Leaf<'a> {
    /// Its bytes, transfer encoding undone.
    pub bytes: &'a [u8],
    /// Its name for the operator; may be made up.
    pub place: &'a str,
    /// Its file name, empty if it has none. A hint only.
    pub file_name: &'a str,
    /// True for text that a person may have written into a mail: only what begins like a report counts.
    pub is_body: bool,
    /// True for a type in which reports come: with nothing in it, it stands in place of one, even without a name.
    pub is_report_type: bool,
    /// True for bytes that came out of an archive: more may not be unpacked because of them.
    pub is_unpacked: bool,
}

/// What stands in a leaf.
#[derive(Debug)]
pub enum Finding<'a> {
    /// An aggregate report that was read whole.
    Aggregate {
        /// Where: names of the part and of archive entries, joined by `/`.
        place: String,
        /// All but the records.
        digest: Box<ReportDigest>,
        /// The records.
        records: Records<'a>,
    },
    /// A TLS report (RFC 8460) that was read whole.
    Tls {
        /// Where.
        place: String,
        /// Its values and sums.
        digest: Box<TlsDigest>,
    },
    /// A TLS report that cannot be read.
    TlsUnreadable(Unreadable),
    /// A mail within an archive or attachment, for the caller to look into.
    Mail {
        /// Where.
        place: String,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Something that looks like a report and cannot be read.
    Unreadable(Unreadable),
    /// Something else.
    NotReport {
        /// Where.
        place: String,
        /// What, for the operator.
        what: String,
    },
}

/// The records of a report: in memory, or to be read again from the packed bytes.
#[derive(Debug)]
pub enum Records<'a> {
    /// At most [`limits::RECORDS_IN_MEMORY`] and [`limits::RECORDS_IN_MEMORY_BYTES`].
    Memory(Vec<Record>),
    /// Any number.
    Replay(Replay<'a>),
}

impl Records<'_> {
    /// Hands all records to `each` in file order, until it breaks off.
    ///
    /// Errors: those of reading, which cannot occur where the bytes are those of the first pass.
    pub fn each(&self, each: &mut dyn FnMut(&Record) -> ControlFlow<()>) -> Result<(), Unreadable> {
        match self {
            Self::Memory(records) => {
                let _ = records.iter().try_for_each(each);
                Ok(())
            }
            Self::Replay(replay) => replay.each(each),
        }
    }
}

/// A report that is read again from the bytes in which it was found.
#[derive(Debug)]
pub struct Replay<'a> {
    bytes: &'a [u8],
    /// Entry numbers of archives down to its document.
    path: Vec<usize>,
    /// Reports before it in the document.
    before: usize,
    /// Packed bytes against which the ratio was kept the first time.
    packed: u64,
}

impl Replay<'_> {
    /// Reads the records. See [`Records::each`].
    fn each(&self, each: &mut dyn FnMut(&Record) -> ControlFlow<()>) -> Result<(), Unreadable> {
        let mut result = Ok(());
        let mut number = 0;
        walk(self.bytes, "", &Budget::of_packed(self.packed), Some(&self.path), &mut |item| {
            let document = match item {
                Ok(document) if document.path == self.path => document,
                Ok(_) => return ControlFlow::Continue(()),
                Err(error) => {
                    result = Err(error);
                    return ControlFlow::Break(());
                }
            };
            let mut reader = Reader::new(document.input);
            loop {
                let is_wanted = number == self.before;
                let read = reader.next_report(&mut |record| {
                    if is_wanted { each(record) } else { ControlFlow::Continue(()) }
                });
                match read {
                    Ok(Some(_)) if !is_wanted => number += 1,
                    Ok(_) => return ControlFlow::Break(()),
                    Err(error) => {
                        result = Err(error);
                        return ControlFlow::Break(());
                    }
                }
            }
        });
        result
    }
}

/// Finds everything in a leaf and hands it to `visit`, in order.
///
/// `context.file_name` is replaced by the entry's own name within archives.
/// Errors: none; what cannot be read is a finding.
pub fn extract<'a>(
    leaf: Leaf<'a>,
    context: &DigestContext<'_>,
    budget: &Budget,
    visit: &mut dyn FnMut(Finding<'a>),
) {
    if !leaf.is_unpacked {
        budget.add_packed(leaf.bytes.len());
    }
    walk(leaf.bytes, leaf.place, budget, None, &mut |item| {
        match item {
            Ok(document) => look(document, leaf, context, budget, visit),
            Err(error) => visit(Finding::Unreadable(error.at(leaf.place))),
        }
        ControlFlow::Continue(())
    });
}

/// Decides what a document is and reads it.
fn look<'a>(
    document: Document<'_, '_>,
    leaf: Leaf<'a>,
    context: &DigestContext<'_>,
    budget: &Budget,
    visit: &mut dyn FnMut(Finding<'a>),
) {
    let place = document.place.to_owned();
    let is_top = document.path.is_empty();
    let name = if is_top { leaf.file_name } else { document.name };
    let unreadable = |kind, reason: String| Finding::Unreadable(Unreadable::new(kind, reason).at(&place));
    match document.content {
        // A person's text about reports is no report: it has to begin like one.
        Content::Xml if leaf.is_body && is_top && !begins_with_markup(leaf.bytes) => {
            visit(Finding::NotReport { place, what: "text".to_owned() });
        }
        Content::Xml => {
            let context = DigestContext { file_name: name, ..*context };
            read_xml(document, leaf, &context, budget, visit);
        }
        Content::TlsJson => {
            let (report_domain, submitter) = context.tls_report;
            let context = TlsContext {
                report_domain,
                submitter,
                subject: Some(context.subject).filter(|subject| !subject.is_empty()),
                file_name: Some(name).filter(|name| !name.is_empty()),
                from_domain: context.from_domain,
                now: context.now,
            };
            let results = tls::read_stream(document.input, &context);
            let notes = budget.take_notes();
            for result in results {
                visit(match result {
                    Ok(mut digest) => {
                        for name in &notes {
                            digest.deviations.note(name, &place, "", "");
                        }
                        Finding::Tls { place: place.clone(), digest: Box::new(digest) }
                    }
                    Err(error) => {
                        Finding::TlsUnreadable(Unreadable { place: String::new(), ..error }.at(&place))
                    }
                });
            }
        }
        Content::Mail if !(leaf.is_body && is_top) => visit(match read_mail(document.input) {
            Ok(bytes) => Finding::Mail { place, bytes },
            Err(error) => Finding::Unreadable(error.at(&place)),
        }),
        Content::Empty if leaf.is_body && is_top => {}
        // Seen from Yahoo, May 2023: the reporter has nothing to say and says so in its way.
        Content::Empty | Content::Placeholder
            if is_report_name(name)
                || is_packed_name(name)
                || is_top && name.is_empty() && leaf.is_report_type && !leaf.is_body =>
        {
            let reason = match document.content {
                Content::Empty => {
                    "empty: there is nothing in it; the reporter sent a placeholder, or it was lost on the way"
                }
                _ => "the reporter sent the word `unused` as a placeholder for a report",
            };
            visit(unreadable(UnreadableKind::Empty, reason.to_owned()));
        }
        Content::EscapedXml if !(leaf.is_body && is_top) => {
            let reason =
                "the report's markup is escaped as text (`&lt;feedback`): somebody took it for a web page";
            visit(unreadable(UnreadableKind::Malformed, reason.to_owned()));
        }
        Content::Unsupported(what) => {
            let reason =
                format!("packed with {what}, which is not supported: unpack it and import what comes out");
            visit(unreadable(UnreadableKind::Unsupported, reason));
        }
        Content::Other("text" | "binary data") if is_report_name(name) || is_packed_name(name) => {
            let reason = format!("named like a report, but what is in it is {}", document.content.name());
            visit(unreadable(UnreadableKind::Malformed, reason));
        }
        content => visit(Finding::NotReport { place, what: content.name().to_owned() }),
    }
}

/// Reads all reports of an XML document; they count once its end is reached without damage.
fn read_xml<'a>(
    document: Document<'_, '_>,
    leaf: Leaf<'a>,
    context: &DigestContext<'_>,
    budget: &Budget,
    visit: &mut dyn FnMut(Finding<'a>),
) {
    let place = document.place;
    let mut reader = Reader::new(document.input);
    let mut reports: Vec<(ReadReport, DigestBuilder, Option<Vec<Record>>)> = Vec::new();
    let (mut kept, mut kept_bytes) = (0u64, 0usize);
    let error = loop {
        let mut builder = DigestBuilder::new();
        let mut records = Some(Vec::new());
        let mut own_bytes = 0usize;
        let read = reader.next_report(&mut |record| {
            builder.add(record);
            if let Some(list) = &mut records {
                let bytes = record.memory_bytes();
                if kept < limits::RECORDS_IN_MEMORY && kept_bytes + bytes <= limits::RECORDS_IN_MEMORY_BYTES {
                    kept += 1;
                    own_bytes += bytes;
                    kept_bytes += bytes;
                    list.push(std::mem::take(record));
                } else {
                    kept -= u64::try_from(list.len()).unwrap_or_default();
                    kept_bytes -= own_bytes;
                    records = None;
                }
            }
            ControlFlow::Continue(())
        });
        match read {
            Ok(Some(_)) if reports.len() >= limits::DOCUMENT_REPORTS => {
                let reason =
                    format!("too large: more than {} reports in one document", limits::DOCUMENT_REPORTS);
                break Some(Unreadable::new(UnreadableKind::TooLarge, reason));
            }
            Ok(Some(read)) => reports.push((read, builder, records)),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    // Whole reports before a broken one count, but only if the stream itself is sound.
    if error.is_some() && !reports.is_empty() && reader.drain().is_err() {
        reports.clear();
    }
    let notes = budget.take_notes();
    if reports.is_empty() && (error.is_none() || leaf.is_body && !reader.has_root()) {
        let what = reader.other_root().map(|name| format!("XML document `{name}`"));
        return visit(match what {
            Some(what) => Finding::NotReport { place: place.to_owned(), what },
            None if leaf.is_body => Finding::NotReport { place: place.to_owned(), what: "text".to_owned() },
            None => {
                let error = Unreadable::new(UnreadableKind::Malformed, "XML without a feedback element");
                Finding::Unreadable(error.at(place))
            }
        });
    }
    for (before, (read, builder, records)) in reports.into_iter().enumerate() {
        let mut digest = match builder.finish(read, context) {
            Ok(digest) => digest,
            Err(error) => {
                visit(Finding::Unreadable(error.at(place)));
                continue;
            }
        };
        for name in &notes {
            digest.deviations.note(name, place, "", "");
        }
        let replay =
            || Replay { bytes: leaf.bytes, path: document.path.to_vec(), before, packed: budget.packed() };
        let records = records.map_or_else(|| Records::Replay(replay()), Records::Memory);
        visit(Finding::Aggregate { place: place.to_owned(), digest: Box::new(digest), records });
    }
    if let Some(error) = error {
        visit(Finding::Unreadable(error.at(place)));
    }
}

/// Reads a mail that has to be in memory.
fn read_mail(input: &mut dyn Read) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = Vec::new();
    let read = input.take(limits::MESSAGE_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(Unreadable::from_io)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limits::MESSAGE_BYTES {
        return Err(Unreadable::new(UnreadableKind::TooLarge, "too large: a mail within an archive"));
    }
    Ok(bytes)
}

/// True for a file name that reports have (RFC 9990 §3.5.2.2), also where the extension is wrong.
fn is_report_name(name: &str) -> bool {
    name.split('!').count() >= 4 || name.to_ascii_lowercase().contains(".xml")
}

/// True for a file name of a packed file, unless it says that something else is packed in it (`notes.txt.gz`).
fn is_packed_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let Some(inner) = [".gz", ".gzip", ".tgz", ".zip"].iter().find_map(|end| lower.strip_suffix(end)) else {
        return false;
    };
    let other =
        [".txt", ".log", ".csv", ".htm", ".html", ".pdf", ".md", ".png", ".jpg", ".doc", ".docx", ".xlsx"];
    !other.iter().any(|end| inner.ends_with(end))
}

/// True for bytes whose first character, after marks and blanks, is `<`, in any Unicode encoding.
fn begins_with_markup(bytes: &[u8]) -> bool {
    let first = bytes
        .iter()
        .find(|b| !(b.is_ascii_whitespace() || matches!(b, 0 | 0xef | 0xbb | 0xbf | 0xfe | 0xff)));
    first == Some(&b'<')
}

#[cfg(test)]
#[path = "extract/tests.rs"]
mod tests;
