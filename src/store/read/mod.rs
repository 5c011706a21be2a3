//! The reading side: answers as rows of [`crate::summary`], from a connection that cannot write.

mod arrivals;
mod authentication;
mod bounce;
mod drill;
mod export;
mod failure;
mod learnt;
mod message;
mod policies;
mod probe;
mod probe_views;
mod records;
mod reported;
mod reporters;
mod reports;
mod rows;
mod scope;
mod sent;
mod sources;
mod stats;
mod streams;
mod tls;
mod trace;
mod unreadable;
mod watched;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::{
    DeferredProbe, DueReflection, DueVerification, ErasePlan, EraseTarget, MailboxFolder, MissedRuns, Raw,
    SeriesKey, StoreError, StoredBackOff, StoredReflection, StoredVerification, UnclaimedDomain,
    Verification, WatchedDomain, authentication as queue, database, dns, domain, mailbox, mailbox_arrival,
    raw, reflect, schedule, source_name, unclaimed, upkeep, verify,
};
use crate::clock::{Day, Timestamp};
use crate::dns_health::reported::{KnownRecords, Reported, SeenSignature};
use crate::mail::{DomainName, MessageId};
use crate::mailbox::{ArrivalKey, Due, FolderKey, FolderState};
use crate::probe::lifecycle::{MailPlace, Seen, State};
use crate::probe::schedule::Memory;
use crate::probe::token::KeyRing;
use crate::probe::watched::{Judged, Watched};
use crate::sources::{Places, Senders};
use crate::summary::drill::DrillProbe;
use crate::summary::{
    Answer, AuthenticationRow, AuthenticationTotals, BounceGroupRow, BounceRow, BounceTotals, ComplaintRow,
    ComplaintTotals, ContinuityRow, ContinuityTotals, DnsEventRow, DnsFindingRow, DnsRecordRow, DomainRow,
    ExportRow, FailureRow, FailureTotals, LatencyRow, LatencyTotals, MessageRow, MessageSums, MessageTotals,
    PolicyRow, PolicyTotals, ProbeCounts, ProbeGroupRow, ProbeRow, ProbeTotals, Query, RecordRow,
    RecordTotals, ReporterRow, SourceRow, StreamRow, SummaryRow, SummaryTotals, TlsRow, TlsTotals,
    WatchedRow, WatchedTotals,
};

pub use message::StoredMessage;
pub(super) use message::{count, strings};
pub use probe::{StoredAttempt, StoredMx, StoredProbe, StoredStep, StoredVerdict};
pub use probe_views::ProbeMeans;
pub(super) use scope::below_pattern;
pub use sent::SentProbe;
pub use stats::{StoreStats, TableStats};
pub use unreadable::UnreadablePart;

/// A read-only connection. Not shared between threads; open one for each.
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens an existing database for reading.
    ///
    /// Errors: `NotOurs`, `TooNew`, `TooOld`, `Io` (also where there is no such file), `Busy`.
    pub fn open(path: &Path, busy_timeout: Duration) -> Result<Self, StoreError> {
        Ok(Self { connection: database::open_reader(path, busy_timeout)?, path: path.to_owned() })
    }

    /// A row a policy domain, sorted by messages.
    pub fn summary(&self, query: &Query) -> Result<Answer<SummaryRow, SummaryTotals>, StoreError> {
        self.consistently(|connection| reports::summary(connection, query))
    }

    /// A row a policy domain and author domain, sorted by messages.
    pub fn domains(&self, query: &Query) -> Result<Answer<DomainRow, MessageSums>, StoreError> {
        self.consistently(|connection| reports::domains(connection, query))
    }

    /// A row a reporter, sorted by messages.
    pub fn reporters(&self, query: &Query) -> Result<Answer<ReporterRow, MessageSums>, StoreError> {
        self.consistently(|connection| reporters::reporters(connection, query))
    }

    /// A row a policy of a domain as reporters saw it published, in the order of domain and time.
    pub fn policies(&self, query: &Query) -> Result<Answer<PolicyRow, PolicyTotals>, StoreError> {
        self.consistently(|connection| policies::policies(connection, query))
    }

    /// A row a source address, sorted by messages.
    pub fn sources(&self, query: &Query) -> Result<Answer<SourceRow, MessageSums>, StoreError> {
        self.sources_by(query, Senders::shipped(), &Places::default())
    }

    /// As [`Self::sources`], with the organisations of another table, countries and networks.
    pub fn sources_by(
        &self,
        query: &Query,
        senders: &Senders,
        places: &Places,
    ) -> Result<Answer<SourceRow, MessageSums>, StoreError> {
        self.consistently(|connection| sources::sources(connection, query, (senders, places)))
    }

    /// The mail that reports tell of, a row a source, author domain and set of raw results, sorted by messages; the
    /// sum is of messages, and so is what was cut.
    pub fn streams(&self, query: &Query) -> Result<Answer<StreamRow, u64>, StoreError> {
        self.consistently(|connection| streams::streams(connection, query))
    }

    /// A row a record, in the order of domain, day, report and place in the report.
    pub fn records(&self, query: &Query) -> Result<Answer<RecordRow, RecordTotals>, StoreError> {
        self.consistently(|connection| records::records(connection, query))
    }

    /// A row a day, outcome, enhanced code, class, host and reason of notices of mail systems, the newest day first.
    pub fn bounces(&self, query: &Query) -> Result<Answer<BounceGroupRow, BounceTotals>, StoreError> {
        self.consistently(|connection| bounce::bounces(connection, query))
    }

    /// A row a recipient of such a notice, the newest first. The result asked for is an outcome, reason, class or
    /// enhanced code.
    pub fn bounce_list(&self, query: &Query) -> Result<Answer<BounceRow, BounceTotals>, StoreError> {
        self.consistently(|connection| bounce::bounce_list(connection, query))
    }

    /// A row a failure report, the newest first. The result asked for is a word of its type, failure or delivery
    /// result; a type other than `auth-failure` gives such feedback.
    pub fn failures(&self, query: &Query) -> Result<Answer<FailureRow, FailureTotals>, StoreError> {
        self.consistently(|connection| failure::failures(connection, query))
    }

    /// The probes that went out from an instant on, the oldest first.
    pub fn probes_sent_since(&self, from: Timestamp) -> Result<Vec<SentProbe>, StoreError> {
        sent::sent_since(&self.connection, from)
    }

    /// How far each series of scheduled probes came; false for one that is not configured any more.
    pub fn probe_series(&self) -> Result<BTreeMap<SeriesKey, (Memory, bool)>, StoreError> {
        schedule::series(&self.connection)
    }

    /// State and place of a probe as they were judged last; `None` if there is no such probe.
    pub fn probe_state(&self, token: &str) -> Result<Option<(State, Option<MailPlace>)>, StoreError> {
        schedule::state(&self.connection, token)
    }

    /// The probes sent since an instant that were put off last, the oldest first.
    pub fn deferred_probes(&self, since: Timestamp) -> Result<Vec<DeferredProbe>, StoreError> {
        schedule::deferred(&self.connection, since)
    }

    /// How long nineteen of twenty of the last probes of a route took; `None` while too few are known.
    pub fn probe_latency_p95(&self, route: &str) -> Result<Option<Duration>, StoreError> {
        schedule::latency_p95(&self.connection, route)
    }

    /// The runs of the schedule from an instant to before another of which there is no data, in the order of time.
    pub fn missed_probes(&self, from: Timestamp, to: Timestamp) -> Result<Vec<MissedRuns>, StoreError> {
        schedule::missed(&self.connection, from, to)
    }

    /// The routes that keep still, or have had no accepted probe since they did.
    pub fn probe_back_offs(&self) -> Result<Vec<StoredBackOff>, StoreError> {
        schedule::back_offs(&self.connection)
    }

    /// The destinations that put probes off before they took them, and for how long the last one.
    pub fn greylisted(&self) -> Result<BTreeMap<String, Duration>, StoreError> {
        schedule::greylisted(&self.connection)
    }

    /// A row a domain, source, signer and campaign of which somebody complained, the most complaints first.
    pub fn complaints(&self, query: &Query) -> Result<Answer<ComplaintRow, ComplaintTotals>, StoreError> {
        self.consistently(|connection| failure::complaints(connection, query))
    }

    /// A row a day, domain, policy type and cause, the newest first. The result asked for is a policy type or a cause.
    pub fn tls(&self, query: &Query) -> Result<Answer<TlsRow, TlsTotals>, StoreError> {
        self.consistently(|connection| tls::tls(connection, query))
    }

    /// A row a received message or imported file, the newest first. [`Query::trace`] asks by address, Message-ID and relation.
    pub fn messages(&self, query: &Query) -> Result<Answer<MessageRow, MessageTotals>, StoreError> {
        self.consistently(|connection| message::messages(connection, query))
    }

    /// Everything known of one message but its bytes.
    pub fn message(&self, id: MessageId) -> Result<StoredMessage, StoreError> {
        message::one(&self.connection, id)
    }

    /// What in a message could not be read, in order.
    pub fn unreadable(&self, id: MessageId) -> Result<Vec<UnreadablePart>, StoreError> {
        unreadable::of_message(&self.connection, id)
    }

    /// A row a probe sent in the period, the newest first, with its state at `now`.
    pub fn probes(&self, query: &Query, now: Timestamp) -> Result<Answer<ProbeRow, ProbeTotals>, StoreError> {
        self.consistently(|connection| probe::probes(connection, query, now))
    }

    /// A row a route of probes, or a part of it, with how many are in each state. The result asked for is a state.
    pub fn probe_groups(
        &self,
        query: &Query,
        means: &ProbeMeans<'_>,
    ) -> Result<Answer<ProbeGroupRow, ProbeCounts>, StoreError> {
        self.consistently(|connection| probe_views::groups(connection, query, means))
    }

    /// A row a route of probes, or a part of it, with how long they took.
    pub fn latency(
        &self,
        query: &Query,
        means: &ProbeMeans<'_>,
    ) -> Result<Answer<LatencyRow, LatencyTotals>, StoreError> {
        self.consistently(|connection| probe_views::latency(connection, query, means))
    }

    /// A row a route of probes and one an MX host of it: its budget, its gaps and outages.
    pub fn continuity(
        &self,
        query: &Query,
        means: &ProbeMeans<'_>,
    ) -> Result<Answer<ContinuityRow, ContinuityTotals>, StoreError> {
        self.consistently(|connection| probe_views::continuity(connection, query, means))
    }

    /// The probes of the last drill of a route, as they stand at `now`, in the order of sending; none if there was none.
    pub fn last_drill(&self, route: &str, now: Timestamp) -> Result<Vec<DrillProbe>, StoreError> {
        self.consistently(|connection| drill::last(connection, route, now))
    }

    /// Everything known of one probe, with its state at `now`; `token` is its name.
    pub fn probe(&self, token: &str, now: Timestamp) -> Result<StoredProbe, StoreError> {
        self.consistently(|connection| probe::one(connection, token, now))
    }

    /// The names of probes, the newest first: the one of the token, else those with this recipient, Message-ID (with or
    /// without `< >`) or queue id. At most [`crate::limits::PROBES_FOUND`].
    pub fn find_probes(&self, token: &str, text: &str) -> Result<Vec<String>, StoreError> {
        self.consistently(|connection| probe::find(connection, token, text))
    }

    /// True if the time of a probe came by `now`: [`super::Store::settle_due`] judges it.
    pub fn has_due_probes(&self, now: Timestamp) -> Result<bool, StoreError> {
        probe::has_due(&self.connection, now)
    }

    /// The names of at most `limit` probes that are waited for at `now`, the next deadline first.
    pub fn open_probes(&self, now: Timestamp, limit: usize) -> Result<Vec<String>, StoreError> {
        probe::open(&self.connection, now, limit)
    }

    /// The first message with these bytes (by their SHA-256) whose reports were read, if there is one.
    pub fn find_same(&self, sha256: &[u8; 32]) -> Result<Option<MessageId>, StoreError> {
        message::find_same(&self.connection, sha256)
    }

    /// The bytes of one message, as received.
    pub fn raw(&self, id: MessageId) -> Result<Raw<'_>, StoreError> {
        raw::open(&self.connection, &self.path, id)
    }

    /// The first `limit` messages that wait to be read, after `after`, in order of arrival.
    pub fn pending(&self, after: Option<MessageId>, limit: usize) -> Result<Vec<MessageId>, StoreError> {
        message::pending(&self.connection, after, limit)
    }

    /// A row a day, author domain and result of DMARC of received mail, the newest day first. The result asked for is one
    /// of DMARC, or `waiting`.
    pub fn authentication(
        &self,
        query: &Query,
    ) -> Result<Answer<AuthenticationRow, AuthenticationTotals>, StoreError> {
        self.consistently(|connection| authentication::authentication(connection, query))
    }

    /// At most `limit` messages that are to be verified at `now`, the longest due first.
    pub fn due_verifications(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DueVerification>, StoreError> {
        queue::due(&self.connection, now, limit)
    }

    /// What is kept of the verification of a message; nothing for one that is not to be verified.
    pub fn verification(&self, id: MessageId) -> Result<Option<StoredVerification>, StoreError> {
        queue::one(&self.connection, id)
    }

    /// Domains that are not watched and of which reports came, the most messages first.
    pub fn unclaimed(&self) -> Result<Vec<UnclaimedDomain>, StoreError> {
        unclaimed::list(&self.connection)
    }

    /// What is remembered of a folder of a mailbox; the default for one never read.
    pub fn mailbox_state(&self, key: &FolderKey) -> Result<FolderState, StoreError> {
        self.consistently(|connection| mailbox::state(connection, key))
    }

    /// The folders of mailboxes that were ever looked at.
    pub fn mailbox_folders(&self) -> Result<Vec<MailboxFolder>, StoreError> {
        self.consistently(mailbox::list)
    }

    /// Why the last look of an eye failed; `None` if it did not, or nobody looked.
    pub fn blind_because(&self, eye: &str) -> Result<Option<String>, StoreError> {
        super::probe::blind_because(&self.connection, eye)
    }

    /// True if a watcher saw this arrival before.
    pub fn knows_arrival(&self, key: &ArrivalKey) -> Result<bool, StoreError> {
        mailbox_arrival::knows(&self.connection, key)
    }

    /// Arrivals of an account that are to be looked for again now, the longest due first, at most
    /// [`crate::limits::MAILBOX_CHECKS`].
    pub fn due_arrivals(&self, account: &str, now: Timestamp) -> Result<Vec<Due>, StoreError> {
        self.consistently(|connection| mailbox_arrival::due(connection, account, now))
    }

    /// What a watcher saw of the arrival that is this message; nothing for other mail.
    pub fn watched_arrival(&self, message: MessageId) -> Result<Option<Seen>, StoreError> {
        mailbox_arrival::seen(&self.connection, message)
    }

    /// What happened to the records of watched domains, the newest first. The result asked for is a happening.
    pub fn dns_events(&self, query: &Query) -> Result<Vec<DnsEventRow>, StoreError> {
        self.consistently(|connection| dns::events(connection, query))
    }

    /// What the checks of watched domains had found and not yet found mended at a time, by domain and code.
    pub fn dns_findings(&self, query: &Query, at: Timestamp) -> Result<Vec<DnsFindingRow>, StoreError> {
        self.consistently(|connection| dns::findings(connection, query, at))
    }

    /// Selectors with which mail of a domain was signed, as reports that can be believed say, the most used first.
    pub fn learnt_selectors(&self, domain: &DomainName, today: Day) -> Result<Vec<String>, StoreError> {
        self.consistently(|connection| learnt::selectors(connection, domain, today))
    }

    /// Addresses from which mail of a domain came that passed DMARC, by the same reports, the most used first.
    pub fn learnt_sources(&self, domain: &DomainName, today: Day) -> Result<Vec<IpAddr>, StoreError> {
        self.consistently(|connection| learnt::sources(connection, domain, today))
    }

    /// What reports of the last days say of the mail of a domain and what is below it; nothing if no report about it is
    /// stored.
    pub fn reported(&self, domain: &DomainName, today: Day) -> Result<Option<Reported>, StoreError> {
        self.consistently(|connection| reported::reported(connection, domain, today))
    }

    /// Selectors with which mail of a domain was signed that came here and passed DMARC, the most used first.
    pub fn arrival_selectors(&self, domain: &DomainName, today: Day) -> Result<Vec<String>, StoreError> {
        self.consistently(|connection| arrivals::selectors(connection, domain, today))
    }

    /// The signatures of mail of a domain and what is below it that came here and passed DMARC, each kind once, those of
    /// the most messages first.
    pub fn seen_signatures(&self, domain: &DomainName, today: Day) -> Result<Vec<SeenSignature>, StoreError> {
        self.consistently(|connection| arrivals::signatures(connection, domain, today))
    }

    /// The text records of a watched domain that the own history knows, by name, each with since when.
    pub fn known_texts(&self, domain: &DomainName) -> Result<Vec<KnownRecords>, StoreError> {
        self.consistently(|connection| reported::known_texts(connection, domain))
    }

    /// Sources of reports of a day or later whose names are to be looked up: never yet, or no longer believed at `now`.
    pub fn sources_to_name(
        &self,
        since: Day,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<IpAddr>, StoreError> {
        self.consistently(|connection| source_name::wanted(connection, since, now, limit))
    }

    /// What is known of the records of watched domains, or was at a time before, by domain and name.
    pub fn dns_records(&self, query: &Query, at: Option<Timestamp>) -> Result<Vec<DnsRecordRow>, StoreError> {
        self.consistently(|connection| dns::records(connection, query, at))
    }

    /// The probe of the same way that was sent at least `gap` after this one and arrived before it: then they came out of
    /// order. `None` where none did.
    pub fn overtaken_by(&self, token: &str, gap: Duration) -> Result<Option<String>, StoreError> {
        reflect::overtaken_by(&self.connection, token, gap)
    }

    /// At most `limit` arrivals that are to be answered at `now`, the longest due first.
    pub fn due_reflections(&self, now: Timestamp, limit: usize) -> Result<Vec<DueReflection>, StoreError> {
        reflect::due(&self.connection, now, limit)
    }

    /// Answers that began after an instant: those of a route by its number, and all.
    pub fn reflected_since(&self, route_number: u16, since: Timestamp) -> Result<(u64, u64), StoreError> {
        reflect::sent_since(&self.connection, route_number, since)
    }

    /// What became of answering the arrival of a probe; nothing where its route has no answers.
    pub fn reflection(&self, token: &str) -> Result<Option<StoredReflection>, StoreError> {
        reflect::one(&self.connection, token)
    }

    /// The probe whose arrival an answer answers.
    pub fn answered_by(&self, reply_token: &str) -> Result<Option<String>, StoreError> {
        reflect::answered_by(&self.connection, reply_token)
    }

    /// A row a watched address of the configuration, in its order: the mails of the period, and the state at `now`.
    pub fn watched_mail(
        &self,
        query: &Query,
        watched: &[Watched],
        now: Timestamp,
    ) -> Result<Answer<WatchedRow, WatchedTotals>, StoreError> {
        self.consistently(|connection| watched::watched_mail(connection, query, watched, now))
    }

    /// Judges one watched address at `now`; also from when on its mails were looked at.
    pub fn judge_watched(
        &self,
        watched: &Watched,
        now: Timestamp,
    ) -> Result<(Judged, Timestamp), StoreError> {
        self.consistently(|connection| watched::judged(connection, watched, now))
    }

    /// Watched domains and domains with reports, by name.
    pub fn watched(&self) -> Result<Vec<WatchedDomain>, StoreError> {
        domain::list(&self.connection)
    }

    /// True if there is neither a mail nor a probe.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        stats::is_empty(&self.connection)
    }

    /// Rows and sizes.
    pub fn stats(&self) -> Result<StoreStats, StoreError> {
        self.consistently(|connection| stats::stats(connection, &self.path))
    }

    /// Recounts every sum from the raw rows and checks the file.
    pub fn verify(&self) -> Result<Verification, StoreError> {
        self.consistently(verify::verify)
    }

    /// Hands every counted record with its report to `each`, in the order of domain, day and report; returns their
    /// number. One state of the database, whatever is written meanwhile; memory does not grow with the records.
    pub fn export<E: From<StoreError>>(
        &self,
        query: &Query,
        senders: &Senders,
        places: &Places,
        each: impl FnMut(&ExportRow) -> Result<(), E>,
    ) -> Result<u64, E> {
        let tx = self.connection.unchecked_transaction().map_err(StoreError::from)?;
        export::export(&tx, query, (senders, places), each)
    }

    /// What belongs to a mailbox or a domain; `keys` find what stands under a pseudonym. Reads every mail for a mailbox.
    pub fn erase_plan(&self, target: &EraseTarget, keys: &KeyRing) -> Result<ErasePlan, StoreError> {
        upkeep::erase_plan(self, target, keys)
    }

    /// The connection, for the rest of the store.
    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Runs several statements on one state of the database.
    fn consistently<T>(
        &self,
        ask: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let tx = self.connection.unchecked_transaction()?;
        let answer = ask(&tx)?;
        // Nothing was written: ending the transaction cannot matter to the answer.
        drop(tx);
        Ok(answer)
    }
}
