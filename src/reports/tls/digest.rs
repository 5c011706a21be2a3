//! What the store needs to know of a TLS report: keys, hashes, sums and days.

use std::collections::BTreeMap;

use ring::digest::{Context, SHA256};

use crate::clock::{Day, Timestamp};
use crate::limits;
use crate::mail::{Address, DomainName};
use crate::reports::Deviations;
use crate::reports::aggregate::Source;
use crate::reports::digest::{DaySpan, days_of};
use crate::reports::quirk;
use crate::reports::tls::context::Fallbacks;
use crate::reports::tls::{Policy, PolicyType, ResultType, TlsReport};

/// A TLS report read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsDigest {
    /// The values.
    pub report: TlsReport,
    /// SHA-256 of all values read, free of white space and order.
    pub content_sha256: [u8; 32],
    /// What the report says of each domain, sorted by domain; one without name stands first.
    pub domains: Vec<TlsDomain>,
    /// The days to which the sessions belong.
    pub days: DaySpan,
    /// True if the period ends over a day after the time of reading.
    pub is_future: bool,
    /// Successful and failed sessions by domain and policy type, sorted.
    pub sessions: Vec<SessionSum>,
    /// Failed sessions by domain, policy type and result type, sorted.
    pub failures: Vec<FailureSum>,
    /// All deviations.
    pub deviations: Deviations,
}

/// What makes two TLS reports the same report, for one domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TlsReportKey {
    /// The domain under which sessions are counted; absent where nothing names one.
    pub domain: Option<DomainName>,
    /// `organization-name` in lower case, else the domain of `contact-info`, else the fallback of the mail.
    pub reporter: String,
    /// `report-id` without `<`, `>` and blanks.
    pub report_id: String,
    /// UTC seconds.
    pub begin: i64,
    /// UTC seconds, as reported.
    pub end: i64,
}

/// What a report says of one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsDomain {
    /// The key.
    pub key: TlsReportKey,
    /// SHA-256 of the head and of this domain's policies, free of white space and order.
    pub content_sha256: [u8; 32],
    /// Successful sessions.
    pub successful: u64,
    /// Failed sessions.
    pub failed: u64,
    /// Places of its policies in the report, rising.
    pub policies: Vec<usize>,
}

/// Sessions of one domain under one type of policy, as the summaries say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionSum {
    /// The domain under which they are counted.
    pub domain: Option<DomainName>,
    /// The type of policy.
    pub policy_type: PolicyType,
    /// Successful sessions.
    pub successful: u64,
    /// Failed sessions.
    pub failed: u64,
}

/// Failed sessions of one cause.
///
/// Those that a summary has and no detail explains have the result type `Missing`, so that the causes
/// of a domain and policy type add up to its failed sessions, unless the details claim more than those.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailureSum {
    /// The domain under which they are counted.
    pub domain: Option<DomainName>,
    /// The type of policy.
    pub policy_type: PolicyType,
    /// The cause.
    pub result_type: ResultType,
    /// Failed sessions.
    pub sessions: u64,
}

impl TlsDigest {
    /// Sums up a report. `fallbacks` name the reporter, and the domain of a report without policies;
    /// `now` decides what lies in the future.
    pub(super) fn new(
        report: TlsReport,
        fallbacks: &Fallbacks,
        now: Timestamp,
        mut deviations: Deviations,
    ) -> Self {
        let is_future = report.end > now.seconds().saturating_add(limits::REPORT_FUTURE_SECONDS);
        if is_future {
            let used = Timestamp::from_seconds(report.end).rfc3339();
            deviations.note(quirk::PERIOD_FUTURE, "date-range/end-datetime", &used, &used);
        }
        let days = days_of(report.begin, report.end);
        let seconds = report.end.saturating_sub(report.begin);
        if seconds > limits::REPORT_DAY_SECONDS {
            deviations.note(quirk::PERIOD_LONG, "date-range", &seconds.to_string(), "");
        }
        let mut sums = Sums::default();
        for policy in &report.policies {
            sums.add(policy);
        }
        let reporter = reporter(&report, fallbacks.reporter.as_deref());
        let domains = domains(&report, &reporter, fallbacks.domain.as_ref(), &sums.sessions);
        let mut context = Context::new(&SHA256);
        for domain in &domains {
            context.update(&domain.content_sha256);
        }
        Self {
            content_sha256: finish(context),
            domains,
            days,
            is_future,
            sessions: sums
                .sessions
                .into_iter()
                .map(|((domain, policy_type), (successful, failed))| SessionSum {
                    domain,
                    policy_type,
                    successful,
                    failed,
                })
                .collect(),
            failures: sums
                .failures
                .into_iter()
                .filter(|(_, sessions)| *sessions > 0)
                .map(|((domain, policy_type, result_type), sessions)| FailureSum {
                    domain,
                    policy_type,
                    result_type,
                    sessions,
                })
                .collect(),
            report,
            deviations,
        }
    }

    /// Successful sessions of the whole report.
    pub fn successful(&self) -> u64 {
        self.sessions.iter().map(|row| row.successful).sum()
    }

    /// Failed sessions of the whole report.
    pub fn failed(&self) -> u64 {
        self.sessions.iter().map(|row| row.failed).sum()
    }

    /// The sums by day: successful and failed sessions of each domain, policy type and day.
    ///
    /// Lazy, since 400 days of 10,000 policies are many rows; days without sessions are left out. The
    /// days of one row add up to it exactly; which day of a long period a session belongs to is a guess.
    pub fn sessions_by_day(&self) -> impl Iterator<Item = (Day, SessionSum)> + '_ {
        self.sessions.iter().flat_map(|row| {
            let split = self.days.spread(row.successful).zip(self.days.spread(row.failed));
            split.filter(|((_, successful), (_, failed))| successful + failed > 0).map(
                |((day, successful), (_, failed))| (day, SessionSum { successful, failed, ..row.clone() }),
            )
        })
    }

    /// The failed sessions by domain, policy type, result type and day; as [`Self::sessions_by_day`].
    pub fn failures_by_day(&self) -> impl Iterator<Item = (Day, FailureSum)> + '_ {
        self.failures.iter().flat_map(|row| {
            let split = self.days.spread(row.sessions).filter(|(_, sessions)| *sessions > 0);
            split.map(|(day, sessions)| (day, FailureSum { sessions, ..row.clone() }))
        })
    }
}

/// The reporter, in lower case; empty where nothing names one.
fn reporter(report: &TlsReport, fallback: Option<&str>) -> String {
    let of_contact = || {
        let contact = report.contact_info.as_deref()?;
        let address = contact.trim().trim_start_matches("mailto:").trim_matches(['<', '>']);
        Address::parse(address)?.domain
    };
    let name = report.organization_name.clone().or_else(of_contact).or_else(|| fallback.map(str::to_owned));
    name.unwrap_or_default().to_lowercase()
}

// ---- Sums ----

/// Domain and policy type.
type SessionCell = (Option<DomainName>, PolicyType);
/// Domain, policy type and result type.
type FailureCell = (Option<DomainName>, PolicyType, ResultType);

/// The sums of a report while its policies are added. They are bounded: see [`is_plausible`].
#[derive(Default)]
struct Sums {
    /// Successful and failed sessions.
    sessions: BTreeMap<SessionCell, (u64, u64)>,
    /// Failed sessions by cause.
    failures: BTreeMap<FailureCell, u64>,
}

impl Sums {
    /// Adds one policy.
    fn add(&mut self, policy: &Policy) {
        let failed = policy.failed_sessions();
        let cell = self.sessions.entry((policy.domain.clone(), policy.policy_type.clone())).or_default();
        cell.0 += policy.successful_sessions();
        cell.1 += failed;
        for detail in &policy.failure_details {
            self.add_failure(policy, &detail.result_type, detail.failed_sessions.unwrap_or(0));
        }
        // RFC 8460 §4.4: details are optional, so a summary may say more than they do.
        self.add_failure(policy, &ResultType::Missing, failed.saturating_sub(policy.detailed()));
    }

    /// Adds sessions of one cause.
    fn add_failure(&mut self, policy: &Policy, result_type: &ResultType, sessions: u64) {
        if sessions > 0 {
            let key = (policy.domain.clone(), policy.policy_type.clone(), result_type.clone());
            *self.failures.entry(key).or_default() += sessions;
        }
    }
}

/// True if the sessions of a report can be: neither its summaries nor its details add up to more than
/// [`limits::REPORT_MESSAGES`].
pub(super) fn is_plausible(report: &TlsReport) -> bool {
    let add = |sum: u64, count: u64| sum.saturating_add(count);
    let summaries = report
        .policies
        .iter()
        .fold(0, |sum, policy| add(sum, add(policy.successful_sessions(), policy.failed_sessions())));
    let details = report.policies.iter().fold(0, |sum, policy| add(sum, policy.detailed()));
    summaries.max(details) <= limits::REPORT_MESSAGES
}

// ---- Keys and hashes ----

/// What the report says of each domain. A report without policies stands for the one that its mail names.
fn domains(
    report: &TlsReport,
    reporter: &str,
    fallback: Option<&DomainName>,
    sessions: &BTreeMap<SessionCell, (u64, u64)>,
) -> Vec<TlsDomain> {
    let mut policies: BTreeMap<Option<&DomainName>, Vec<usize>> = BTreeMap::new();
    for (at, policy) in report.policies.iter().enumerate() {
        policies.entry(policy.domain.as_ref()).or_default().push(at);
    }
    if policies.is_empty() {
        policies.insert(fallback, Vec::new());
    }
    let mut sums: BTreeMap<Option<&DomainName>, (u64, u64)> = BTreeMap::new();
    for ((domain, _), (successful, failed)) in sessions {
        let sum = sums.entry(domain.as_ref()).or_default();
        *sum = (sum.0 + successful, sum.1 + failed);
    }
    let report_id: String =
        report.report_id.chars().filter(|c| !c.is_whitespace() && !matches!(c, '<' | '>')).collect();
    policies
        .into_iter()
        .map(|(domain, places)| {
            let own = places.iter().filter_map(|at| report.policies.get(*at));
            let mut hashes: Vec<[u8; 32]> = own.map(policy_hash).collect();
            hashes.sort_unstable();
            let mut hash = Hash::new();
            hash.option(report.organization_name.as_deref());
            hash.option(report.contact_info.as_deref());
            hash.text(&report.report_id);
            hash.number(report.begin.cast_unsigned());
            hash.number(report.end.cast_unsigned());
            hash.option(domain.map(DomainName::as_str));
            for policy in &hashes {
                hash.bytes(policy);
            }
            let (successful, failed) = sums.get(&domain).copied().unwrap_or_default();
            TlsDomain {
                key: TlsReportKey {
                    domain: domain.cloned(),
                    reporter: reporter.to_owned(),
                    report_id: report_id.clone(),
                    begin: report.begin,
                    end: report.end,
                },
                content_sha256: finish(hash.0),
                successful,
                failed,
                policies: places,
            }
        })
        .collect()
}

/// The hash of one policy, free of the order of its details.
fn policy_hash(policy: &Policy) -> [u8; 32] {
    let mut details: Vec<_> = policy
        .failure_details
        .iter()
        .map(|detail| {
            let mut hash = Hash::new();
            hash.text(detail.result_type.as_str());
            hash.source(&detail.sending_mta_ip);
            hash.option(detail.receiving_mx_hostname.as_deref());
            hash.option(detail.receiving_mx_helo.as_deref());
            hash.source(&detail.receiving_ip);
            hash.count(detail.failed_sessions);
            hash.option(detail.additional_information.as_deref());
            hash.option(detail.failure_reason_code.as_deref());
            finish(hash.0)
        })
        .collect();
    details.sort_unstable();
    let mut hash = Hash::new();
    hash.text(policy.policy_type.as_str());
    hash.option(policy.policy_domain.as_ref().map(DomainName::as_str));
    hash.count(policy.successful);
    hash.count(policy.failed);
    for list in [&policy.policy_strings, &policy.mx_hosts] {
        hash.number(u64::try_from(list.len()).unwrap_or(u64::MAX));
        for text in list {
            hash.text(text);
        }
    }
    for detail in &details {
        hash.bytes(detail);
    }
    finish(hash.0)
}

/// A hash of values, each with its length, so that no two lists of values look alike.
struct Hash(Context);

impl Hash {
    /// An empty one.
    fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Adds bytes.
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.0.update(bytes);
    }

    /// Adds a text.
    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Adds a number.
    fn number(&mut self, number: u64) {
        self.0.update(&number.to_be_bytes());
    }

    /// Adds a text that may be absent.
    fn option(&mut self, text: Option<&str>) {
        self.number(u64::from(text.is_some()));
        self.text(text.unwrap_or_default());
    }

    /// Adds a count that may be absent.
    fn count(&mut self, count: Option<u64>) {
        self.number(u64::from(count.is_some()));
        self.number(count.unwrap_or_default());
    }

    /// Adds an address in its canonical form.
    fn source(&mut self, source: &Source) {
        match source {
            Source::Ip(ip) => self.option(Some(&ip.to_string())),
            Source::Text(text) => self.option(Some(text)),
            Source::Missing => self.option(None),
        }
    }
}

/// The 32 bytes of a SHA-256.
fn finish(context: Context) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    bytes
}
