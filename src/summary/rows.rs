//! One struct a view. Times are UTC; `None` is "not known" and null in JSON.

use crate::clock::Timestamp;
use crate::sources::Place;
use crate::summary::TrustShares;

/// An answer: rows, totals of all rows (also of those cut by the limit), and remarks.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<R, T> {
    /// The rows.
    pub rows: Vec<R>,
    /// The totals.
    pub totals: T,
    /// First and last instant with data in the period, where the view knows them.
    pub first: Option<Timestamp>,
    /// See `first`.
    pub last: Option<Timestamp>,
    /// How far what is counted can be believed; `None` in views that count no reports.
    pub trust: Option<TrustShares>,
    /// Rows cut away by the limit.
    pub cut: u64,
    /// Remarks for the reader: spread reports, unclaimed domains, unread reports.
    pub notes: Vec<String>,
}

/// Sums of messages, as reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageSums {
    /// Reports counted.
    pub reports: u64,
    /// Messages as reported.
    pub messages: u64,
    /// Messages that pass DMARC.
    pub dmarc_pass: u64,
    /// Messages that do not.
    pub dmarc_fail: u64,
    /// Messages with SPF aligned and passing.
    pub spf_aligned: u64,
    /// Messages with DKIM aligned and passing.
    pub dkim_aligned: u64,
    /// Messages with disposition none or pass.
    pub disposition_none: u64,
    /// Messages quarantined.
    pub disposition_quarantine: u64,
    /// Messages rejected.
    pub disposition_reject: u64,
}

impl MessageSums {
    /// Adds the sums of `other`; saturates.
    pub fn add(&mut self, other: &Self) {
        self.reports = self.reports.saturating_add(other.reports);
        self.messages = self.messages.saturating_add(other.messages);
        self.dmarc_pass = self.dmarc_pass.saturating_add(other.dmarc_pass);
        self.dmarc_fail = self.dmarc_fail.saturating_add(other.dmarc_fail);
        self.spf_aligned = self.spf_aligned.saturating_add(other.spf_aligned);
        self.dkim_aligned = self.dkim_aligned.saturating_add(other.dkim_aligned);
        self.disposition_none = self.disposition_none.saturating_add(other.disposition_none);
        self.disposition_quarantine =
            self.disposition_quarantine.saturating_add(other.disposition_quarantine);
        self.disposition_reject = self.disposition_reject.saturating_add(other.disposition_reject);
    }

    /// Adds `messages` with one evaluation. An unknown disposition is in none of the three sums;
    /// `pass` (RFC 9990 §3.1.1.9) counts as none, as in RFC 7489.
    pub fn add_evaluated(&mut self, messages: u64, dkim: bool, spf: bool, disposition: &str) {
        self.messages = self.messages.saturating_add(messages);
        let verdict = if dkim || spf { &mut self.dmarc_pass } else { &mut self.dmarc_fail };
        *verdict = verdict.saturating_add(messages);
        if spf {
            self.spf_aligned = self.spf_aligned.saturating_add(messages);
        }
        if dkim {
            self.dkim_aligned = self.dkim_aligned.saturating_add(messages);
        }
        match disposition {
            "none" | "pass" => self.disposition_none = self.disposition_none.saturating_add(messages),
            "quarantine" => {
                self.disposition_quarantine = self.disposition_quarantine.saturating_add(messages);
            }
            "reject" => self.disposition_reject = self.disposition_reject.saturating_add(messages),
            _ => {}
        }
    }
}

/// The totals of `report summary`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SummaryTotals {
    /// The sums of all rows.
    pub sums: MessageSums,
    /// Different sources over all rows: a source of two domains counts once.
    pub sources: u64,
}

/// A row of `report summary`: one policy domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryRow {
    /// The policy domain.
    pub domain: String,
    /// The sums.
    pub sums: MessageSums,
    /// Different sources.
    pub sources: u64,
    /// Begin of the first period.
    pub first: Option<Timestamp>,
    /// End of the last period.
    pub last: Option<Timestamp>,
}

/// A row of `report sources`: one source address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// The address, or the text that stood in its place; `None` where there was nothing.
    pub source_ip: Option<String>,
    /// Its name in DNS, which leads back to it; `None` while not known.
    pub source_name: Option<String>,
    /// Where it is and whose network announces it, if the user has files that tell.
    pub place: Place,
    /// Whose it is; `None` where nothing tells.
    pub source_organisation: Option<String>,
    /// What it is, a word of [`crate::sources::Kind`]; `None` where nothing tells.
    pub kind: Option<&'static str>,
    /// Why, in words, the weightiest first.
    pub evidence: Vec<String>,
    /// Messages.
    pub messages: u64,
    /// Messages that pass DMARC.
    pub dmarc_pass: u64,
    /// Messages that do not.
    pub dmarc_fail: u64,
    /// Messages with SPF aligned.
    pub spf_aligned: u64,
    /// Messages with DKIM aligned.
    pub dkim_aligned: u64,
    /// Domains for which raw SPF passed.
    pub spf_domains: Vec<String>,
    /// Domains for which raw DKIM passed.
    pub dkim_domains: Vec<String>,
    /// Begin of the first period.
    pub first: Option<Timestamp>,
    /// End of the last period.
    pub last: Option<Timestamp>,
}

/// A row of `report domains`: one policy domain and author domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRow {
    /// The policy domain.
    pub domain: String,
    /// The author domain, or `other subdomains`.
    pub header_from: String,
    /// The sums (`reports` is 0).
    pub sums: MessageSums,
}

/// A row of `report reporters`: one reporter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReporterRow {
    /// Its name, as last written.
    pub org_name: Option<String>,
    /// Its address, as last written.
    pub email: Option<String>,
    /// Reports counted.
    pub reports: u64,
    /// Messages.
    pub messages: u64,
    /// Messages that pass DMARC.
    pub dmarc_pass: u64,
    /// Messages that do not.
    pub dmarc_fail: u64,
    /// TLS reports counted, one a domain.
    pub tls_reports: u64,
    /// Failure reports and complaints counted.
    pub failure_reports: u64,
    /// Names of deviations with the number of reports that have them.
    pub deviations: Vec<(String, u64)>,
    /// Begin of the first period.
    pub first: Option<Timestamp>,
    /// End of the last period.
    pub last: Option<Timestamp>,
}

/// A row of `report records`: one record of one report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// The reporter's name.
    pub org_name: Option<String>,
    /// The report id, as written.
    pub report_id: String,
    /// Begin of the period.
    pub begin: Timestamp,
    /// End of the period, as reported.
    pub end: Timestamp,
    /// The policy domain.
    pub domain: String,
    /// The source.
    pub source_ip: Option<String>,
    /// Messages; `None` where the count could not be read.
    pub count: Option<u64>,
    /// The disposition as written.
    pub disposition: Option<String>,
    /// `policy_evaluated/dkim` as written.
    pub dkim: Option<String>,
    /// `policy_evaluated/spf` as written.
    pub spf: Option<String>,
    /// The author domain.
    pub header_from: String,
    /// The envelope's sender domain.
    pub envelope_from: Option<String>,
    /// The envelope's recipient domain.
    pub envelope_to: Option<String>,
    /// Override reasons: type and comment.
    pub reasons: Vec<(String, Option<String>)>,
    /// Raw results.
    pub auth_results: Vec<AuthResultRow>,
}

/// One raw result of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthResultRow {
    /// `dkim` or `spf`.
    pub method: &'static str,
    /// The domain.
    pub domain: Option<String>,
    /// DKIM selector.
    pub selector: Option<String>,
    /// SPF scope.
    pub scope: Option<String>,
    /// The word of the standard.
    pub result: String,
    /// What was written, where it differs.
    pub written: Option<String>,
}

/// A row of `report messages`: one received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// Its id, as in the SMTP reply.
    pub id: String,
    /// When it came.
    pub received_at: Timestamp,
    /// `smtp`, `import` or `mailbox`.
    pub origin: String,
    /// See [`crate::classify::MessageKind`]; `None` while pending.
    pub kind: Option<String>,
    /// `pending`, `read`, `duplicate`, `unread` or `kept`.
    pub status: String,
    /// Why it has this status, and why its reports do not count.
    pub reason: Option<String>,
    /// How far its reports can be believed; `None` while it was never read.
    pub trust: Option<String>,
    /// Names of deviations.
    pub deviations: Vec<String>,
    /// The peer; `None` where nothing proves one.
    pub peer_ip: Option<String>,
    /// What proves it: `connection`, `proxy`, `xforward` or `received`.
    pub peer_source: Option<String>,
    /// The trusted relay that handed it over.
    pub relay_ip: Option<String>,
    /// Its HELO name.
    pub helo: Option<String>,
    /// The TLS version.
    pub tls_version: Option<String>,
    /// The reverse-path; `<>` is the null one, `None` not known.
    pub mail_from: Option<String>,
    /// The recipients.
    pub rcpt_to: Vec<String>,
    /// The Message-ID field.
    pub message_id: Option<String>,
    /// The address in the From field.
    pub header_from: Option<String>,
    /// The Subject field.
    pub subject: Option<String>,
    /// Bytes.
    pub size_bytes: u64,
}

/// A row of `report probe-list`: one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeRow {
    /// Its token.
    pub token: String,
    /// Its route.
    pub route: String,
    /// Its state.
    pub state: String,
    /// Where it arrived: `sink`, `inbox`, `category`, `spam` or `other`.
    pub place: Option<String>,
    /// When sending began.
    pub sent_at: Timestamp,
    /// When the far end took it.
    pub accepted_at: Option<Timestamp>,
    /// When it arrived.
    pub arrived_at: Option<Timestamp>,
    /// From `sent_at` to its arrival: the middle of what is possible.
    pub latency_ms: Option<i64>,
    /// Half the width of what is possible.
    pub latency_error_ms: Option<i64>,
    /// Why it has this state: the reply, the deadline.
    pub reason: Option<String>,
}

/// The totals of `report records`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordTotals {
    /// Records.
    pub records: u64,
    /// Messages in them; records without a readable count add nothing.
    pub count: u64,
}

/// The totals of `report messages`: mails by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageTotals {
    /// All.
    pub messages: u64,
    /// Not read yet.
    pub pending: u64,
    /// Read.
    pub read: u64,
    /// Copies of what was read before.
    pub duplicate: u64,
    /// Meant as a report and not readable.
    pub unread: u64,
    /// Letters and other mail that is kept as it is.
    pub kept: u64,
    /// Bytes of all.
    pub size_bytes: u64,
}

/// The totals of `report probe-list`: probes by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProbeTotals {
    /// All.
    pub probes: u64,
    /// To be sent.
    pub planned: u64,
    /// An attempt is under way.
    pub sending: u64,
    /// Put off by the far end.
    pub deferred: u64,
    /// Refused by the far end.
    pub refused: u64,
    /// Sent with an unclear end.
    pub in_doubt: u64,
    /// Taken by the far end, not arrived yet.
    pub accepted: u64,
    /// Taken, and told of by a host beyond the first.
    pub in_transit: u64,
    /// Not seen by their soft deadline.
    pub overdue: u64,
    /// Waiting in a queue of the far end.
    pub delayed: u64,
    /// Waiting for somebody's decision.
    pub held: u64,
    /// Arrived in time.
    pub arrived: u64,
    /// Came back.
    pub bounced: u64,
    /// Not arrived by their deadline.
    pub lost: u64,
    /// Arrived after their deadline.
    pub late: u64,
    /// Not arrived, and nobody looked.
    pub unobserved: u64,
    /// Delivered, as the far end says.
    pub delivered: u64,
    /// Did not get through, as they should not.
    pub as_expected: u64,
    /// Got through and should not.
    pub escaped: u64,
    /// Not sent, by our own decision.
    pub cancelled: u64,
}
