//! Stores, messages and reports for the tests.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use mailsonde::classify::MessageKind;
use mailsonde::clock::{Day, Timestamp};
use mailsonde::limits;
use mailsonde::mail::{Body, DomainName, Envelope, MessageId, Origin, Purpose};
use mailsonde::reports::Deviations;
use mailsonde::reports::aggregate::{
    AggregateReport, AuthResult, Disposition, DkimResult, Evaluated, PolicyPublished, Record, Source,
    SpfResult,
};
use mailsonde::reports::digest::{DaySpan, ReportDigest, ReportKey, RollupRow};
use mailsonde::store::{
    Finished, MessageRef, NewMessage, ReadReport, Reader, Reading, ReportRows, Store, StoreError,
    StoreOptions,
};
use mailsonde::summary::Trust;

/// 2026-03-01T00:00:00Z.
pub(super) const MARCH: i64 = 1_772_323_200;

/// The options of the product, with every domain watched and no free space asked for.
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

/// A store in a folder of its own.
pub(super) fn new_store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("t.db"), options()).unwrap();
    (folder, store)
}

/// Opens the store of a folder again.
pub(super) fn reopen(folder: &Path) -> Store {
    Store::open(&folder.join("t.db"), options()).unwrap()
}

/// A domain name.
pub(super) fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

/// A mail with these bytes that came `seconds` after the first of March.
pub(super) fn mail(text: &str, seconds: i64) -> NewMessage {
    NewMessage {
        envelope: Envelope::without_transport(Origin::Smtp, Timestamp::from_seconds(MARCH + seconds)),
        body: Body::Memory(Arc::from(text.as_bytes())),
        purposes: vec![Purpose::Reports],
        file_name: None,
    }
}

/// Delivers and waits for the commit.
pub(super) fn deliver(store: &Store, message: NewMessage) -> Result<MessageId, StoreError> {
    let (sender, receiver) = channel();
    store
        .deliver(message, Box::new(move |result| sender.send(result).unwrap()))
        .map_err(|rejected| rejected.error)?;
    receiver.recv_timeout(Duration::from_secs(30)).unwrap()
}

/// One line of a report in short: author domain, source's last octet, count, disposition, dkim, spf.
#[derive(Debug, Clone)]
pub(super) struct Line(
    pub(super) &'static str,
    pub(super) u8,
    pub(super) u64,
    pub(super) &'static str,
    pub(super) bool,
    pub(super) bool,
);

/// A report in short.
#[derive(Debug, Clone)]
pub(super) struct Sketch {
    pub(super) domain: &'static str,
    pub(super) org: &'static str,
    pub(super) id: String,
    pub(super) begin: i64,
    pub(super) end: i64,
    pub(super) lines: Vec<Line>,
}

impl Sketch {
    /// A report of the first of March by `org` for `domain`.
    pub(super) fn new(domain: &'static str, org: &'static str, id: &str, lines: &[Line]) -> Self {
        Self { domain, org, id: id.to_owned(), begin: MARCH, end: MARCH + 86_399, lines: lines.to_vec() }
    }

    /// The same for other days, counted from the first of March, both inclusive.
    pub(super) fn days(mut self, first: i64, last: i64) -> Self {
        self.begin = MARCH + first * 86_400;
        self.end = MARCH + (last + 1) * 86_400 - 1;
        self
    }

    /// Its records.
    pub(super) fn records(&self) -> Vec<Record> {
        self.lines.iter().map(Line::record).collect()
    }

    /// Its digest, summed up independently of the product.
    pub(super) fn digest(&self) -> ReportDigest {
        let mut rollup: BTreeMap<(DomainName, String, bool, bool), (u64, u64)> = BTreeMap::new();
        let (mut messages, mut dmarc_pass) = (0, 0);
        for Line(author, _, count, disposition, dkim, spf) in &self.lines {
            let author = if author.is_empty() { self.domain } else { author };
            let sums = rollup.entry((name(author), (*disposition).to_owned(), *dkim, *spf)).or_default();
            sums.0 += count;
            sums.1 += 1;
            messages += count;
            if *dkim || *spf {
                dmarc_pass += count;
            }
        }
        let mut content = ring::digest::Context::new(&ring::digest::SHA256);
        content.update(format!("{self:?}").as_bytes());
        let days = if self.end - self.begin <= limits::REPORT_DAY_SECONDS {
            DaySpan::One(Day::of_seconds(i64::midpoint(self.begin, self.end)))
        } else {
            DaySpan::Spread { first: Day::of_seconds(self.begin), last: Day::of_seconds(self.end) }
        };
        let mut deviations = Deviations::default();
        if self.id.starts_with('x') {
            deviations.note("count-not-a-number", "row/count", "x", "");
        }
        ReportDigest {
            report: AggregateReport {
                org_name: Some(self.org.to_owned()),
                email: Some(format!("noreply@{}", self.org)),
                report_id: format!("<{}>", self.id),
                begin: self.begin,
                end: self.end,
                policy: PolicyPublished {
                    domain: Some(name(self.domain)),
                    p: Some("none".to_owned()),
                    ..PolicyPublished::default()
                },
                ..AggregateReport::default()
            },
            key: ReportKey {
                domain: name(self.domain),
                reporter: self.org.to_owned(),
                report_id: self.id.clone(),
                begin: self.begin,
                end: self.end,
            },
            content_sha256: content.finish().as_ref().try_into().unwrap(),
            records: self.lines.len() as u64,
            messages,
            dmarc_pass,
            rollup: rollup
                .into_iter()
                .map(|((header_from, disposition, dkim, spf), (messages, records))| RollupRow {
                    header_from,
                    disposition,
                    dkim,
                    spf,
                    messages,
                    records,
                })
                .collect(),
            days,
            is_future: false,
            deviations,
        }
    }

    /// The report as read.
    pub(super) fn read(&self) -> ReadReport {
        ReadReport {
            place: "report.xml".to_owned(),
            digest: self.digest(),
            rows: ReportRows::Records(self.records()),
        }
    }
}

impl Line {
    /// The record of this line.
    fn record(&self) -> Record {
        let Self(author, octet, count, disposition, dkim, spf) = self;
        let word = |passes: bool| if passes { Evaluated::Pass } else { Evaluated::Fail };
        let result =
            |passes: bool| AuthResult { word: if passes { "pass" } else { "fail" }.into(), written: None };
        Record {
            source: Source::Ip(IpAddr::V4(Ipv4Addr::new(192, 0, 2, *octet))),
            count: Some(*count),
            disposition: match *disposition {
                "none" => Disposition::None,
                "pass" => Disposition::Pass,
                "quarantine" => Disposition::Quarantine,
                "reject" => Disposition::Reject,
                "" => Disposition::Missing,
                other => Disposition::Other(other.to_owned()),
            },
            dkim: word(*dkim),
            spf: word(*spf),
            header_from: if author.is_empty() { None } else { Some(name(author)) },
            envelope_from: Some((*author).to_owned()),
            dkim_results: vec![DkimResult {
                domain: Some("signer.example".to_owned()),
                selector: Some("s1".to_owned()),
                result: result(*dkim),
                human_result: None,
            }],
            spf_results: vec![SpfResult {
                domain: Some("envelope.example".to_owned()),
                scope: Some("mfrom".to_owned()),
                result: result(*spf),
                human_result: None,
            }],
            ..Record::default()
        }
    }
}

/// A reading with these reports.
pub(super) fn reading(trust: Trust, reports: Vec<ReadReport>) -> Reading {
    Reading {
        kind: MessageKind::Aggregate,
        status: None,
        reason: None,
        deviations: Vec::new(),
        message_id: Some("<1@reporter.example>".to_owned()),
        references: vec![],
        subject: Some("Report Domain: example.com".to_owned()),
        header_from: Some("noreply@reporter.example".to_owned()),
        trust,
        parser_version: 1,
        read_at: Timestamp::from_seconds(MARCH + 100_000),
        packed: None,
        sha256: None,
        unread: Vec::new(),
        reports,
        tls: Vec::new(),
        failures: Vec::new(),
        bounces: Vec::new(),
        probes: Vec::new(),
        returned: Vec::new(),
        reflection: None,
        watched: None,
    }
}

/// Stores one report as a new message of its own.
pub(super) fn import(store: &Store, sketch: &Sketch, trust: Trust, seconds: i64) -> Finished {
    let bytes = format!("{sketch:?} {seconds}");
    let mut reading = reading(trust, vec![sketch.read()]);
    reading.packed = Some(mailsonde::store::pack(bytes.as_bytes()));
    store.finish(MessageRef::New(Box::new(mail(&bytes, seconds))), reading).unwrap()
}

/// The store recounted: no difference allowed.
#[track_caller]
pub(super) fn assert_sound(reader: &Reader) {
    let found = reader.verify().unwrap();
    assert_eq!(found.differences, Vec::<String>::new());
}
