//! Our own fixtures: what must hold when the third-party data is absent.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use mailsonde::classify::{MailContext, read_mail};
use mailsonde::mail::{Address, Envelope, Origin, Purpose, ReversePath};
use mailsonde::reports::aggregate::{Reader, Record};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{NOW, read_bytes};

/// The files of a fixture folder with that extension, sorted.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == extension));
    files.sort();
    assert!(!files.is_empty());
    files
}

fn expected(path: &Path) -> Value {
    let text = std::fs::read_to_string(path.with_extension("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Every bare report gives exactly what was worked out by hand.
#[test]
fn bare_reports() {
    for path in files("aggregate", "xml") {
        let read = read_bytes(&std::fs::read(&path).unwrap(), "report.xml");
        let reports: Vec<Value> = read
            .digests
            .iter()
            .map(|digest| {
                json!({
                    "domain": digest.key.domain.as_str(),
                    "reporter": digest.key.reporter,
                    "report_id": digest.key.report_id,
                    "begin": digest.key.begin,
                    "end": digest.key.end,
                    "records": digest.records,
                    "messages": digest.messages,
                    "dmarc_pass": digest.dmarc_pass,
                    "deviations": digest.deviations.names().collect::<Vec<_>>(),
                })
            })
            .collect();
        let refused = read.refusals.first().map(|kind| format!("{kind:?}"));
        assert_eq!(json!({ "reports": reports, "refused": refused }), expected(&path), "{}", path.display());
    }
}

/// Every whole mail adds to the sums what was worked out by hand.
#[test]
fn whole_mails() {
    for path in files("mail", "eml") {
        let want = expected(&path);
        let text = |key: &str| want[key].as_str().unwrap_or_default();
        let mut envelope = Envelope::without_transport(Origin::Smtp, NOW);
        envelope.mail_from = match text("mail_from") {
            "" => Some(ReversePath::Null),
            address => Address::parse(address).map(ReversePath::Address),
        };
        let purposes: Vec<_> = Purpose::parse(text("purpose")).into_iter().collect();
        let context = MailContext { envelope: &envelope, purposes: &purposes, has_probe_token: false };
        let raw = std::fs::read(&path).unwrap();
        let mut read = super::Read::default();
        let reading = read_mail(&raw, &context, &mut |found| read.add(found));
        let name = path.display();
        assert_eq!(reading.kind.as_str(), text("kind"), "{name}: {}", reading.why);
        assert_eq!(!reading.unreadable.is_empty(), text("status") == "unread", "{name}");
        // The store, not the reader, knows what a duplicate is.
        if text("status") != "duplicate" {
            let sums =
                [read.digests.len() as u64, read.records.len() as u64, read.messages(), read.passing()];
            let want =
                ["reports", "records", "messages", "dmarc_pass"].map(|key| want[key].as_u64().unwrap());
            assert_eq!(sums, want, "{name}");
        }
    }
}

/// A cut anywhere in any fixture never panics, and what is counted is a whole report.
#[test]
fn no_cut_is_half_counted() {
    for path in files("aggregate", "xml") {
        let bytes = std::fs::read(&path).unwrap();
        let whole = read_bytes(&bytes, "report.xml");
        for cut in 0..bytes.len() {
            let read = read_bytes(&bytes[..cut], "report.xml");
            assert!(read.digests.len() <= whole.digests.len());
            for (got, want) in read.digests.iter().zip(&whole.digests) {
                assert_eq!(got.records, want.records, "{} cut at {cut}", path.display());
                assert_eq!(got.content_sha256, want.content_sha256, "{} cut at {cut}", path.display());
            }
        }
    }
    for path in files("mail", "eml") {
        let bytes = std::fs::read(&path).unwrap();
        let whole = read_bytes(&bytes, "a.eml");
        for cut in (0..bytes.len()).step_by(7) {
            let read = read_bytes(&bytes[..cut], "a.eml");
            assert!(
                read.messages() == 0 || read.messages() == whole.messages(),
                "{} cut at {cut}",
                path.display()
            );
        }
    }
}

/// A record as XML, with the values that the reader keeps.
fn write_record(out: &mut String, values: &Values) {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = write!(
        out,
        "<record><row><source_ip>{}</source_ip><count>{}</count><policy_evaluated><disposition>{}</disposition>\
         <dkim>{}</dkim><spf>{}</spf><reason><type>other</type><comment>{}</comment></reason></policy_evaluated>\
         </row><identifiers><header_from>{}</header_from></identifiers><auth_results><dkim><domain>a.example</domain>\
         <selector>{}</selector><result>pass</result></dkim></auth_results></record>",
        values.source,
        values.count,
        values.disposition,
        values.dkim,
        values.spf,
        escape(&values.comment),
        values.header_from,
        escape(&values.selector),
    );
}

/// What is written and must be read again.
#[derive(Debug, Clone)]
struct Values {
    source: std::net::IpAddr,
    count: u64,
    disposition: &'static str,
    dkim: &'static str,
    spf: &'static str,
    comment: String,
    header_from: String,
    selector: String,
}

/// Any values that a report can hold.
fn values() -> impl Strategy<Value = Values> {
    let words = (
        prop::sample::select(vec!["none", "quarantine", "reject", "pass"]),
        prop::sample::select(vec!["pass", "fail"]),
        prop::sample::select(vec!["pass", "fail"]),
    );
    let texts = ("\\PC{1,40}", "[a-z]{1,10}\\.example", "\\PC{1,20}");
    (any::<std::net::IpAddr>(), 0..1u64 << 40, words, texts).prop_map(|(source, count, words, texts)| {
        Values {
            source: source.to_canonical(),
            count,
            disposition: words.0,
            dkim: words.1,
            spf: words.2,
            comment: texts.0.trim().to_owned(),
            header_from: texts.1,
            selector: texts.2.trim().to_owned(),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is written is read: every value of every record, in order.
    #[test]
    fn written_values_are_read(all in prop::collection::vec(values(), 0..20)) {
        let mut text = String::from("<feedback><report_metadata><report_id>1</report_id></report_metadata>");
        for values in &all {
            write_record(&mut text, values);
        }
        text.push_str("</feedback>");
        let mut records = Vec::new();
        let mut reader = Reader::new(text.as_bytes());
        reader.next_report(&mut |record: &mut Record| {
            records.push(record.clone());
            ControlFlow::Continue(())
        }).unwrap();
        prop_assert_eq!(records.len(), all.len());
        for (record, values) in records.iter().zip(&all) {
            prop_assert_eq!(&record.source, &mailsonde::reports::aggregate::Source::Ip(values.source));
            prop_assert_eq!(record.count, Some(values.count));
            prop_assert_eq!(record.disposition.as_str(), values.disposition);
            prop_assert_eq!(record.dkim.as_str(), values.dkim);
            prop_assert_eq!(record.spf.as_str(), values.spf);
            let kept = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            prop_assert_eq!(&record.reasons[0].comment, &kept(&values.comment));
            prop_assert_eq!(record.header_from.as_ref().unwrap().as_str(), &values.header_from);
            prop_assert_eq!(&record.dkim_results[0].selector, &kept(&values.selector));
        }
    }

    /// Bytes changed at random never panic, and rows always add up to their digest.
    #[test]
    fn damage_never_panics(at in 0usize..3_000, byte in any::<u8>(), name in "[ab]\\.(xml|eml|gz)") {
        for path in files("aggregate", "xml").into_iter().chain(files("mail", "eml")).take(24) {
            let mut bytes = std::fs::read(&path).unwrap();
            let length = bytes.len();
            bytes[at % length] = byte;
            let _ = read_bytes(&bytes, &name);
        }
    }

    /// Any bytes are read without a panic, as a file and as a mail.
    #[test]
    fn any_bytes_are_something(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        for name in ["a.xml.gz", "a.eml", "a"] {
            let read = read_bytes(&bytes, name);
            prop_assert_eq!(read.digests.len(), 0);
        }
    }
}
