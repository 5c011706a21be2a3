//! Aggregate reports: the streaming reader of XML.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use mailsonde::clock::Timestamp;
use mailsonde::limits;
use mailsonde::reports::aggregate::{AuthResult, ReadReport, Reader, Record, Source};
use mailsonde::reports::digest::{DigestBuilder, DigestContext, ReportDigest};
use mailsonde::reports::{UnreadableKind, quirk};

use super::{NOW_SECONDS, Pieces, hash, is_canonical, place};

/// What one document gives: its whole reports, and the class of what ended it.
type Read = (Vec<(ReadReport, Vec<Record>)>, Option<UnreadableKind>);

/// The pieces in which a document comes change nothing, a cut one gives no half report, sums agree, and what was
/// read is read again from what we write.
pub fn check(data: &[u8]) {
    let whole = read(data);
    let pieces = read(Pieces::new(data));
    assert_eq!(values(&pieces), values(&whole), "the size of the pieces changes what is read");
    let head = &data[..place(hash(data), data.len())];
    // A document that ends within the last tag is taken as whole; here that may be a tag in its middle.
    if !head.rsplit(|byte| *byte == b'<').next().is_some_and(|tag| tag.starts_with(b"/")) {
        for (cut, whole) in read(head).0.iter().zip(&whole.0) {
            assert_eq!(cut.1, whole.1, "a cut document gives another report");
        }
    }
    for (head, records) in &whole.0 {
        assert_eq!(head.records, records.len() as u64);
        for record in records {
            check_record(record);
        }
        if let Some(digest) = digest(head.clone(), records) {
            check_digest(&digest, records);
        }
        written(records);
    }
}

/// A document's values with the names of its deviations, but for broken characters: they are noted for each stretch
/// that is decoded at once, wherever the reader stands.
fn values(read: &Read) -> impl PartialEq + std::fmt::Debug {
    let of_report = |(head, records): &(ReadReport, Vec<Record>)| {
        let names = head.deviations.names().filter(|name| *name != quirk::ENCODING_BROKEN);
        let names = names.collect::<std::collections::BTreeSet<_>>();
        (head.report.clone(), head.begin, head.end, head.records, names, records.clone())
    };
    (read.0.iter().map(of_report).collect::<Vec<_>>(), read.1)
}

fn read(input: impl std::io::Read) -> Read {
    let mut reader = Reader::new(input);
    let mut reports = Vec::new();
    let error = loop {
        let mut records = Vec::new();
        let result = reader.next_report(&mut |record| {
            records.push(record.clone());
            ControlFlow::Continue(())
        });
        match result {
            Ok(Some(head)) => reports.push((head, records)),
            Ok(None) => break None,
            Err(error) => {
                assert!(!error.reason.is_empty());
                break Some(error.kind);
            }
        }
    };
    (reports, error)
}

fn check_record(record: &Record) {
    assert!(record.reasons.len() <= limits::RECORD_REASONS);
    assert!(record.dkim_results.len() <= limits::RECORD_AUTH_RESULTS);
    assert!(record.spf_results.len() <= limits::RECORD_AUTH_RESULTS);
    if let Source::Ip(ip) = record.source {
        assert!(is_canonical(ip));
    }
    assert!(record.memory_bytes() >= size_of::<Record>());
    assert_eq!(record.passes_dmarc(), record.dkim.as_str() == "pass" || record.spf.as_str() == "pass");
}

fn digest(head: ReadReport, records: &[Record]) -> Option<ReportDigest> {
    let mut builder = DigestBuilder::new();
    for record in records {
        builder.add(record);
    }
    let now = Timestamp::from_seconds(NOW_SECONDS);
    let context = DigestContext {
        now,
        from_domain: None,
        file_name: "reporter.example!example.com!1772323200!1772409599.xml",
        subject: "",
        tls_report: (None, None),
    };
    builder.finish(head, &context).ok()
}

/// Sums of the digest, of its roll-up and of its days are those of the records.
pub(crate) fn check_digest(digest: &ReportDigest, records: &[Record]) {
    let messages: u64 = records.iter().map(Record::messages).sum();
    let pass: u64 = records.iter().filter(|record| record.passes_dmarc()).map(Record::messages).sum();
    assert_eq!((digest.records, digest.messages, digest.dmarc_pass), (records.len() as u64, messages, pass));
    let rolled =
        |of: fn(&mailsonde::reports::digest::RollupRow) -> u64| digest.rollup.iter().map(of).sum::<u64>();
    assert_eq!(rolled(|row| row.messages), messages);
    assert_eq!(rolled(|row| row.records), digest.records);
    assert_eq!(rolled(|row| if row.dkim || row.spf { row.messages } else { 0 }), pass);
    for pair in digest.rollup.windows(2) {
        let key = |at: usize| {
            let row = &pair[at];
            (row.header_from.clone(), row.disposition.clone(), row.dkim, row.spf)
        };
        assert!(key(0) != key(1), "one row twice");
    }
    assert!(digest.key.begin <= digest.key.end);
    assert!(digest.days.first() <= digest.days.last());
    assert_eq!(digest.days.spread(messages).map(|(_, count)| count).sum::<u64>(), messages);
}

/// Writes records as a report and reads them again.
fn written(records: &[Record]) {
    // A record that says neither whose mail nor how much could be read counts as none.
    let is_empty = |record: &Record| {
        (&record.source, record.count, &record.header_from) == (&Source::Missing, None, &None)
            && record.dkim_results.is_empty()
            && record.spf_results.is_empty()
    };
    if records.iter().any(is_empty) {
        return;
    }
    let mut text = String::from("<feedback><report_metadata><report_id>1</report_id></report_metadata>");
    for record in records {
        write_record(&mut text, record);
    }
    text.push_str("</feedback>");
    let (again, error) = read(text.as_bytes());
    assert_eq!(error, None, "{text}");
    assert_eq!(again.len(), 1, "{text}");
    let mut want = records.to_vec();
    for record in &mut want {
        for result in record.dkim_results.iter_mut().map(|dkim| &mut dkim.result) {
            unwritten(result);
        }
        for result in record.spf_results.iter_mut().map(|spf| &mut spf.result) {
            unwritten(result);
        }
    }
    let mut got = again[0].1.clone();
    for record in &mut got {
        record.dkim_results.iter_mut().for_each(|dkim| unwritten(&mut dkim.result));
        record.spf_results.iter_mut().for_each(|spf| unwritten(&mut spf.result));
    }
    assert_eq!(got, want, "{text}");
}

/// Forgets how a result was written, which need not be the same the second time.
fn unwritten(result: &mut AuthResult) {
    result.written = None;
}

fn write_record(out: &mut String, record: &Record) {
    let source = match &record.source {
        Source::Ip(ip) => Some(ip.to_string()),
        Source::Text(text) => Some(text.clone()),
        Source::Missing => None,
    };
    out.push_str("<record><row>");
    element(out, "source_ip", source.as_deref());
    element(out, "count", record.count.map(|count| count.to_string()).as_deref());
    out.push_str("<policy_evaluated>");
    word(out, "disposition", record.disposition.as_str());
    word(out, "dkim", record.dkim.as_str());
    word(out, "spf", record.spf.as_str());
    for reason in &record.reasons {
        out.push_str("<reason>");
        element(out, "type", Some(&reason.kind));
        element(out, "comment", reason.comment.as_deref());
        out.push_str("</reason>");
    }
    out.push_str("</policy_evaluated></row><identifiers>");
    element(out, "header_from", record.header_from.as_ref().map(mailsonde::mail::DomainName::as_str));
    element(out, "envelope_from", record.envelope_from.as_deref());
    element(out, "envelope_to", record.envelope_to.as_deref());
    out.push_str("</identifiers><auth_results>");
    for dkim in &record.dkim_results {
        out.push_str("<dkim>");
        element(out, "domain", dkim.domain.as_deref());
        element(out, "selector", dkim.selector.as_deref());
        element(out, "result", Some(&dkim.result.word));
        element(out, "human_result", dkim.human_result.as_deref());
        out.push_str("</dkim>");
    }
    for spf in &record.spf_results {
        out.push_str("<spf>");
        element(out, "domain", spf.domain.as_deref());
        element(out, "scope", spf.scope.as_deref());
        element(out, "result", Some(&spf.result.word));
        element(out, "human_result", spf.human_result.as_deref());
        out.push_str("</spf>");
    }
    out.push_str("</auth_results></record>");
}

fn word(out: &mut String, name: &str, text: &str) {
    element(out, name, (!text.is_empty()).then_some(text));
}

fn element(out: &mut String, name: &str, text: Option<&str>) {
    let Some(text) = text else { return };
    let _ = write!(out, "<{name}>");
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '>' => out.push_str("&gt;"),
            other => out.push(other),
        }
    }
    let _ = write!(out, "</{name}>");
}
