//! Every cap of the program in one place, each with its unit and its reason.
//!
//! The values are defaults: what a user may change stands in the configuration too. A new input
//! gets its cap here before it is wired in. Those of mailboxes elsewhere stand in a file of their own.

mod mailboxes;

use std::time::Duration;

pub use mailboxes::*;

// ---- Mail in memory ----

/// Largest message that the receiver takes, bytes. Reports of 25 MB occur; base64 adds a third.
pub const MESSAGE_BYTES: u64 = 50 * 1024 * 1024;
/// Body held in memory by a session, bytes; a larger one goes to a spool file.
pub const BODY_MEMORY_BYTES: usize = 1024 * 1024;
/// Depth of nested multiparts and attached messages that are looked into.
pub const MIME_DEPTH: usize = 16;
/// Parts of one message that are looked into.
pub const MIME_PARTS: usize = 2_000;
/// Header of a message or part that is looked into, bytes.
pub const HEADER_BYTES: usize = 256 * 1024;
/// Value of one header field that is looked into, bytes.
pub const HEADER_VALUE_BYTES: usize = 16 * 1024;
/// Fields of one header that are kept; mail through many hands has about a hundred.
pub const HEADER_FIELDS: usize = 1_000;
/// Message-IDs kept of In-Reply-To and References.
pub const HEADER_REFERENCES: usize = 100;
/// Header text kept of one field (subject, message id, host names), bytes.
pub const HEADER_TEXT_BYTES: usize = 2_048;

// ---- Unpacking ----

/// Unpacked bytes of all attachments of one mail or file.
pub const UNPACKED_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Unpacked bytes per packed byte, once [`UNPACKED_RATIO_FROM_BYTES`] are out. A valid report of a
/// million records is about 36:1, the densest valid one known 93:1, bombs 1,000:1.
pub const UNPACKED_RATIO: u64 = 250;
/// Unpacked bytes below which the ratio does not matter.
pub const UNPACKED_RATIO_FROM_BYTES: u64 = 16 * 1024 * 1024;
/// Layers of archives within archives.
pub const ARCHIVE_LAYERS: usize = 3;
/// Entries of one archive.
pub const ARCHIVE_ENTRIES: usize = 10_000;
/// An archive inside a compressed stream has to be held in memory to be read, bytes.
pub const NESTED_ARCHIVE_BYTES: usize = 64 * 1024 * 1024;

/// Attachments that are no reports, listed of one mail.
pub const LISTED_PARTS: usize = 50;

/// One imported file, packed or not, bytes: it is held in memory while it is read.
pub const IMPORT_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// Bytes of one imported file of plain XML or JSON above which it is packed on the way into memory.
pub const IMPORT_PLAIN_BYTES: u64 = 16 * 1024 * 1024;

// ---- Reports ----

/// Depth of XML elements.
pub const XML_DEPTH: usize = 32;
/// Text of one XML element and one tag, bytes.
pub const XML_TEXT_BYTES: usize = 64 * 1024;
/// Pieces of text and markup looked at before and after the reports of a document.
pub const XML_PROLOG_STEPS: usize = 10_000;
/// One piece of markup outside of reports (declaration, comment, document type), bytes.
pub const XML_PROLOG_BYTES: usize = 4 * 1024;
/// Repairs of broken markup in one report; more is no report.
pub const XML_REPAIRS: u64 = 1_000;
/// Records of one aggregate report.
pub const REPORT_RECORDS: u64 = 5_000_000;
/// Messages of one report: four trillion is more than any receiver sees in a day, and two million such reports
/// still add up to less than 63 bits hold.
pub const REPORT_MESSAGES: u64 = 4_000_000_000_000;
/// DKIM results kept of one record (RFC 9990 §3.1.1.11 allows 100).
pub const RECORD_AUTH_RESULTS: usize = 100;
/// Override reasons kept of one record.
pub const RECORD_REASONS: usize = 20;
/// Error texts kept of one report.
pub const REPORT_ERRORS: usize = 20;
/// Deviations kept of one report; the rest is counted.
pub const REPORT_DEVIATIONS: usize = 50;
/// Records above which a report is stored in slices instead of from memory.
pub const RECORDS_IN_MEMORY: u64 = 2_000;
/// The same by what the records take, bytes: two hundred results of three long texts are 1.2 MB a record.
pub const RECORDS_IN_MEMORY_BYTES: usize = 8 * 1024 * 1024;
/// Author domains of one policy domain and day in the roll-up; the rest is "other subdomains".
pub const ROLLUP_AUTHOR_DOMAINS: usize = 200;
/// Author domains that one report's roll-up tells apart; the rest is `*.` and the policy domain.
pub const DIGEST_AUTHOR_DOMAINS: usize = 2_000;
/// Different disposition words outside the standards kept of one report; further ones are `other`.
pub const DISPOSITION_WORDS: usize = 32;
/// Reports of one document; two roots in a file occur.
pub const DOCUMENT_REPORTS: usize = 50;
/// Longest period whose rows belong to one day, seconds: 26 hours.
pub const REPORT_DAY_SECONDS: i64 = 26 * 3_600;
/// How far in the future a report may end before it is flagged, seconds.
pub const REPORT_FUTURE_SECONDS: i64 = 86_400;
/// Days over which one report is spread; a longer one is kept on its first day.
pub const REPORT_SPREAD_DAYS: i32 = 400;
/// Domains for which unclaimed reports are counted apart.
pub const UNCLAIMED_DOMAINS: usize = 10_000;

// ---- TLS and failure reports ----

/// Text of one date that is looked at, bytes.
pub const DATE_BYTES: usize = 256;
/// Unpacked bytes of one TLS report. Real ones have a few KiB; one of 100,000 failure details 30 MB.
pub const TLS_REPORT_BYTES: usize = 32 * 1024 * 1024;
/// Policies of one TLS report.
pub const TLS_POLICIES: usize = 10_000;
/// Domains of one TLS report: each is a report of its own in the store, and all are written in one transaction. Real ones
/// have one or two.
pub const TLS_DOMAINS: usize = 500;
/// Failure details of one TLS report.
pub const TLS_FAILURE_DETAILS: usize = 100_000;
/// Policy strings kept of one policy: the lines of an MTA-STS policy or the TLSA records of a host.
pub const TLS_POLICY_STRINGS: usize = 100;
/// MX hosts kept of one policy.
pub const TLS_MX_HOSTS: usize = 100;
/// Reports of one JSON document.
pub const TLS_DOCUMENT_REPORTS: usize = 100;
/// Bytes of one part of a failure report that are looked at: its fields, a notice, a quoted header.
pub const FAILURE_PART_BYTES: usize = 512 * 1024;
/// Fields of one part of a failure report that are looked at.
pub const FAILURE_FIELDS: usize = 2_000;
/// Text kept of one field of a failure report, bytes; canonicalized bodies are long.
pub const FAILURE_TEXT_BYTES: usize = 64 * 1024;
/// Values kept of one field of a failure report that may be repeated.
pub const FAILURE_VALUES: usize = 100;
/// Results of one Authentication-Results field.
pub const AUTH_RESULTS: usize = 100;
/// Properties of one result of an Authentication-Results field.
pub const AUTH_RESULT_PROPERTIES: usize = 50;

// ---- Bounces ----

/// Text read of one part of a bounce, bytes: bounces return whole mails of 20 MB.
pub const BOUNCE_TEXT_BYTES: usize = 1024 * 1024;
/// Text read of all parts of one bounce together, bytes.
pub const BOUNCE_TOTAL_BYTES: usize = 4 * 1024 * 1024;
/// Words of the bounce itself in which phrases are looked for, bytes; what it returns is not searched.
pub const BOUNCE_WORDS_BYTES: usize = 64 * 1024;
/// Bytes of one line of a bounce; the rest of a longer one is not looked at.
pub const BOUNCE_LINE_BYTES: usize = 8 * 1024;
/// Lines read of one part of a bounce.
pub const BOUNCE_LINES: usize = 50_000;
/// Recipients kept of one bounce; the rest is counted.
pub const BOUNCE_RECIPIENTS: usize = 1_000;
/// Diagnostic text kept of one recipient, bytes.
pub const BOUNCE_DIAGNOSTIC_BYTES: usize = 4 * 1024;
/// Milliseconds between two notices of the same end that are one: hosts try for up to five days (RFC 5321 §4.5.4.1).
pub const BOUNCE_COPY_MS: i64 = 5 * 24 * 3_600 * 1_000;
/// Header fields kept of the message that a bounce returns.
pub const BOUNCE_ORIGINAL_FIELDS: usize = 200;
/// Reasons noted for the kind of one mail.
pub const BOUNCE_MARKS: usize = 50;

// ---- Authentication ----

/// Bytes of one text record that are read; DNS allows 64 KiB.
pub const DNS_TEXT_BYTES: usize = 64 * 1024;
/// Questions of one DMARC tree walk, RFC 9989 §4.10.
pub const DMARC_WALK_QUERIES: usize = 8;
/// Addresses for reports read of one tag of a DMARC record.
pub const DMARC_URIS: usize = 50;
/// Flaws told of one DMARC record.
pub const DMARC_REMARKS: usize = 50;
/// Texts at one `_dmarc` name that are kept although they are no record, or several.
pub const DMARC_STRAYS: usize = 20;
/// Author domains of one message that are judged (RFC 9989 §11.5); with more the verdict is incomplete.
pub const DMARC_AUTHORS: usize = 3;
/// Bytes of one From field that are read; what is longer has no author.
pub const FROM_FIELD_BYTES: usize = 32 * 1024;
/// Mailboxes and domains kept of the From fields of one message.
pub const FROM_MAILBOXES: usize = 20;
/// Authenticated domains of one message whose alignment is judged.
pub const DMARC_IDENTIFIERS: usize = 30;

// ---- Receiver ----

/// Octets of one command line with its CRLF. RFC 5321 §4.5.3.1.4 asks for 512 and extensions.
pub const COMMAND_LINE_BYTES: usize = 4_096;
/// Octets of an overlong command line that are read away before the session is closed.
pub const OVERLONG_LINE_BYTES: usize = 1024 * 1024;
/// Recipients of one transaction; RFC 5321 §4.5.3.1.8 asks for 100.
pub const RECIPIENTS: usize = 100;
/// Octets of a local part. RFC 5321 §4.5.3.1.1 has senders stop at 64, and §4.5.3.1 receivers at no length that they can
/// take: tagged return addresses of some mail systems are longer.
pub const LOCAL_PART_BYTES: usize = 2_048;
/// The same of addresses that we write: what every system takes (RFC 5321 §4.5.3.1.1).
pub const SENT_LOCAL_PART_BYTES: usize = 64;
/// Octets of a domain, RFC 5321 §4.5.3.1.2.
pub const DOMAIN_BYTES: usize = 255;
/// Octets of a path with its brackets: what a command line has room for; 256 in RFC 5321 §4.5.3.1.3, as above.
pub const PATH_BYTES: usize = 4_000;
/// Sessions open at once.
pub const SESSIONS: usize = 10_000;
/// Sessions open at once for one client (IPv4 address or IPv6 /64).
pub const SESSIONS_PER_CLIENT: usize = 50;
/// New sessions of one client in a minute.
pub const SESSIONS_PER_CLIENT_MINUTE: usize = 300;
/// Messages of one session.
pub const MESSAGES_PER_SESSION: usize = 1_000;
/// Messages of one client in a minute.
pub const MESSAGES_PER_CLIENT_MINUTE: usize = 1_000;
/// Faulty commands of one session.
pub const SESSION_ERRORS: usize = 20;
/// Commands of one session that do nothing (NOOP, RSET, VRFY, HELP, EHLO), between two messages.
pub const SESSION_JUNK_COMMANDS: usize = 100;
/// Commands of one session, whatever they are: twice what [`MESSAGES_PER_SESSION`] messages for
/// [`RECIPIENTS`] recipients need.
pub const SESSION_COMMANDS: usize = 200_000;
/// Wait for the next command, RFC 5321 §4.5.3.2.7.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(300);
/// The same while more than three quarters of all sessions are taken.
pub const COMMAND_TIMEOUT_UNDER_STRESS: Duration = Duration::from_secs(30);
/// Wait for the next block of data, RFC 5321 §4.5.3.2.8.
pub const DATA_BLOCK_TIMEOUT: Duration = Duration::from_secs(180);
/// Whole time of one message's data.
pub const DATA_TIMEOUT: Duration = Duration::from_secs(1_800);
/// Whole time of one session.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(7_200);
/// TLS handshake.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// One write to a client.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// A closing session reads away what the client still sends for so long, so that it sees the last reply.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// The same in bytes.
pub const LINGER_BYTES: usize = 256 * 1024;
/// Wait for a message to be kept, well inside the ten minutes of RFC 5321 §4.5.3.2.6.
pub const KEEP_TIMEOUT: Duration = Duration::from_secs(120);
/// `Received` fields of one message, above which it runs in a loop (RFC 5321 §6.3).
pub const RECEIVED_FIELDS: usize = 100;
/// Octets of a PROXY header of version 1, as its specification says.
pub const PROXY_V1_BYTES: usize = 107;
/// Octets of a PROXY header of version 2: its addresses, and room for what a proxy says of a TLS session.
pub const PROXY_V2_BYTES: usize = 4_096;
/// Wait for the PROXY header, which a proxy sends at once.
pub const PROXY_TIMEOUT: Duration = Duration::from_secs(10);
/// Octets of one value in XFORWARD, as its specification says.
pub const XFORWARD_VALUE_BYTES: usize = 255;
/// Beginning of a message, bytes, in which the `Received` line of a relay is looked for.
pub const RELAY_HEAD_BYTES: usize = 64 * 1024;
/// `Received` lines of trusted relays that are followed down to the first client that is none.
pub const RELAY_HOPS: usize = 20;
/// Bodies in memory of all sessions together, bytes; above it bodies of any size are spooled.
pub const BODIES_MEMORY_BYTES: usize = 256 * 1024 * 1024;
/// Bytes of a spooled body that are gathered before they are written.
pub const SPOOL_BLOCK_BYTES: usize = 256 * 1024;
/// Connections that wait to be accepted on one listener: the most that Linux gives by default. A burst that
/// does not fit waits a second for its next try.
pub const LISTEN_BACKLOG: i32 = 4_096;
/// Clients whose sessions and messages are counted at once.
pub const CLIENTS: usize = 100_000;
/// Longest pause after a failed accept, as when no file descriptor is left.
pub const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// Shortest time between two looks at the certificate files.
pub const CERTIFICATE_CHECK: Duration = Duration::from_secs(5);
/// Recipients in one line of the log.
pub const LOG_RECIPIENTS: usize = 5;
/// Characters of one outside text in the log.
pub const LOG_TEXT_CHARS: usize = 300;
/// What is in flight at a graceful stop.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);
/// Forged or foreign tokens kept of one client in an hour.
pub const FORGED_TOKENS_PER_CLIENT_HOUR: usize = 20;

// ---- Intake queue and store ----

/// Messages that wait for their commit.
pub const QUEUE_MESSAGES: usize = 1_024;
/// Bytes that wait for their commit.
pub const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// Wait for a place in the queue before 451 4.3.2.
pub const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);
/// Processes that ended while they read a message, after which it is kept unread. The first may have ended for another reason.
pub const FATAL_READINGS: u32 = 2;
/// Messages of one group commit.
pub const COMMIT_MESSAGES: usize = 512;
/// Longest time that one transaction holds the write lock.
pub const TRANSACTION: Duration = Duration::from_millis(50);
/// Wait for another process that holds the write lock.
pub const STORE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Free space that the store wants beside one largest message, bytes.
pub const STORE_FREE_BYTES: u64 = 32 * 1024 * 1024;

// ---- Probes ----

/// Wait of the sender for one reply.
pub const SUBMIT_TIMEOUT: Duration = Duration::from_secs(120);
/// Wait of the sender for the reply to the final dot, RFC 5321 §4.5.3.2.6.
pub const SUBMIT_DOT_TIMEOUT: Duration = Duration::from_secs(600);
/// Wait of the sender for one address to answer.
pub const SUBMIT_CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Wait of the sender for the reply to QUIT: nothing depends on it.
pub const SUBMIT_QUIT_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses of one host that the sender tries.
pub const SUBMIT_ADDRESSES: usize = 8;
/// Bytes of a message that the sender writes at once.
pub const SUBMIT_BLOCK_BYTES: usize = 64 * 1024;
/// MX hosts of one domain that the sender looks up (RFC 5321 §4.5.4.1 and §5.1 ask for at least two addresses).
pub const DIRECT_HOSTS: usize = 20;
/// Connections of one hand-over to MX hosts: each has waits of its own.
pub const DIRECT_ADDRESSES: usize = 12;
/// From the beginning of a hand-over to MX hosts on no further one is tried after this time.
pub const DIRECT_TIME: Duration = Duration::from_secs(900);
/// Questions to DNS of one hand-over to MX hosts: MX, and for each host A, AAAA, CNAME and twice TLSA.
pub const DIRECT_QUESTIONS: usize = 1 + 5 * DIRECT_HOSTS;
/// Time for them.
pub const DIRECT_DNS_TIME: Duration = Duration::from_secs(30);
/// Policies of MTA-STS that are remembered; each takes some KiB at most.
pub const STS_POLICIES: usize = 4_096;
/// From an attempt to fetch a policy that failed to the next one (RFC 8461 §3.3: five minutes or longer).
pub const STS_RETRY: Duration = Duration::from_secs(300);
/// Octets of an ENVID before it is written as xtext (RFC 3461 §4.4).
pub const DSN_ENVID_BYTES: usize = 100;
/// Octets of ORCPT, its address type included (RFC 3461 §4.2).
pub const DSN_ORCPT_BYTES: usize = 500;
/// Octets of an AUTH command with its CRLF (RFC 5321 §4.5.3.1.4): a longer first answer is sent by itself (RFC 4954 §4).
pub const AUTH_LINE_BYTES: usize = 512;
/// Octets of one reply line, and lines of one reply, that the sender reads.
pub const REPLY_LINE_BYTES: usize = 4_096;
/// Characters of a server's text that are kept of a dialogue.
pub const REPLY_TEXT_CHARS: usize = 300;
/// Lines of one reply that the sender reads.
pub const REPLY_LINES: usize = 100;
/// Default wait before a probe counts as lost.
pub const PROBE_LOST_AFTER: Duration = Duration::from_secs(24 * 3_600);
/// Default wait before a probe that was accepted and not seen is overdue.
pub const PROBE_OVERDUE_AFTER: Duration = Duration::from_secs(120);
/// How soon a probe is judged again whose verdict waits for the next look of a watcher.
pub const PROBE_RECHECK: Duration = Duration::from_secs(10);
/// By how much a probe must have been sent later than another so that the other is told as overtaken: mail of one moment
/// has no order.
pub const PROBE_OVERTAKES: Duration = Duration::from_secs(60);
/// Probes that are found by one recipient, Message-ID or queue id.
pub const PROBES_FOUND: u32 = 100;
/// Probes, the newest ones, that `db verify` judges anew.
pub const PROBES_VERIFIED: u32 = 100_000;
/// Probes that are judged again in one transaction because their time came.
pub const PROBES_SETTLED: u32 = 200;
/// How long a probe is waited for after a host said that it is delayed, at most: hosts give up after four to five
/// days (RFC 5321 §4.5.4.1).
pub const PROBE_DELAY: Duration = Duration::from_secs(6 * 24 * 3600);
/// Probes to one recipient domain in an hour, unless configured: one a minute disturbs no mail system.
pub const PROBES_PER_DESTINATION_HOUR: u32 = 60;
/// Probes in all in an hour, unless configured.
pub const PROBES_PER_HOUR: u32 = 600;
/// Shortest interval of scheduled probes of one kind to systems of one's own.
pub const PROBE_LEAST_INTERVAL_OWN: Duration = Duration::from_secs(300);
/// Shortest interval of scheduled probes of one kind to other people's systems.
pub const PROBE_LEAST_INTERVAL_FOREIGN: Duration = Duration::from_secs(1_800);
/// Wait until the file that stops all probes is looked for again.
pub const PROBE_LOOK_AGAIN: Duration = Duration::from_secs(10);
/// Wait until a domain is asked again for its leave, where it gave none or DNS did not say.
pub const PROBE_LEAVE_AGAIN: Duration = Duration::from_secs(300);
/// How long what we look like to receivers holds once it was looked at.
pub const PROBE_LOOK_HOLDS: Duration = Duration::from_secs(24 * 3_600);
/// The same where something was not known.
pub const PROBE_LOOK_OPEN_HOLDS: Duration = Duration::from_secs(3_600);
/// The same where something was wrong: it may have been mended.
pub const PROBE_LOOK_BAD_HOLDS: Duration = Duration::from_secs(300);
/// Questions to DNS for one look at ourselves, or for the leave of some domains; a usual look asks 15.
pub const PROBE_LOOK_QUESTIONS: usize = 200;
/// Time for one look at ourselves, or for asking for leave.
pub const PROBE_LOOK_TIME: Duration = Duration::from_secs(10);
/// Wait for one connection that shows whether our port 25 is open.
pub const PROBE_PORT25_WAIT: Duration = Duration::from_secs(5);
/// MX addresses that are tried to see whether our port 25 is open.
pub const PROBE_PORT25_ADDRESSES: usize = 4;
/// Period over which what is promised of a route is looked at, unless configured.
pub const SLO_WINDOW: Duration = Duration::from_secs(28 * 24 * 3_600);
/// How long a probe that is made to be stopped is waited for, unless configured.
pub const PROBE_NEGATIVE_WITHIN: Duration = Duration::from_secs(600);
/// Value of a header field that a user adds to probes, bytes: one line (RFC 5322 §2.1.1) with its name.
pub const PROBE_HEADER_VALUE_BYTES: usize = 900;
/// Probes that the schedule hands over at one time, and of those how many to one sender: a server that keeps its clients
/// waiting must not keep the probes of others waiting too.
pub const PROBES_AT_ONCE: (usize, usize) = (512, 128);
/// Probes of the schedule whose fate is waited for in memory, to send quick ones after a bad one.
pub const PROBES_FOLLOWED: usize = 50_000;
/// Latencies of a route from which on is learned when its probes are overdue, and how many of the last are looked at.
pub const PROBE_LATENCIES: (u32, u32) = (48, 500);
/// Least and most that is learned.
pub const PROBE_OVERDUE_LEARNED: (Duration, Duration) =
    (Duration::from_secs(120), Duration::from_secs(15 * 60));
/// Least difference of wall and monotonic clock that is taken for sleep or a clock that was set.
pub const CLOCK_JUMP: Duration = Duration::from_secs(2);
/// From one look for the MX hosts of a domain, each a route of its own, to the next.
pub const PROBE_MX_EVERY: Duration = Duration::from_secs(3_600);
/// The same after DNS did not answer.
pub const PROBE_MX_AGAIN: Duration = Duration::from_secs(300);
/// Shortest interval of a schedule of probes.
pub const PROBE_EVERY_LEAST: Duration = Duration::from_secs(1);
/// How long a new series of probes is sent at half its rate: receivers distrust who starts at once.
pub const PROBE_HALF_RATE: Duration = Duration::from_secs(7 * 86_400);
/// How late a probe of the schedule may be sent, at most half its interval; later it is missed.
pub const PROBE_GRACE: Duration = Duration::from_secs(60);
/// Quick probes after a bad one.
pub const PROBE_QUICK_RUNS: u8 = 3;
/// Shortest and longest pause before a quick probe.
pub const PROBE_QUICK_GAP: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(120));
/// Pauses before a probe that was put off is tried again; the last one is repeated (greylisting wants minutes).
pub const PROBE_RETRY_AFTER: [Duration; 4] = [
    Duration::from_secs(5 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(20 * 60),
    Duration::from_secs(30 * 60),
];
/// Shortest pause before a probe is tried again, where the destination's own was learned.
pub const PROBE_RETRY_LEAST: Duration = Duration::from_secs(60);
/// First and longest time for which a route keeps still after a reply that names policy or reputation.
pub const PROBE_BACK_OFF: (Duration, Duration) =
    (Duration::from_secs(3_600), Duration::from_secs(24 * 3_600));
/// Largest attachment of a probe, bytes: with base64 it stays below [`MESSAGE_BYTES`].
pub const PROBE_ATTACHMENT_BYTES: u64 = 30 * 1024 * 1024;
/// Largest attachment of a probe that must be refused for its size, bytes: more than large providers take (150 MB).
pub const PROBE_OVERSIZE_BYTES: u64 = 160 * 1024 * 1024;
/// Largest template of the operator's own, bytes.
pub const PROBE_TEMPLATE_BYTES: usize = 1024 * 1024;
/// Bytes of the name of a field of the operator's own: with it, its line still has room for a value.
pub const PROBE_FIELD_NAME_BYTES: usize = 64;
/// Characters of the name of a file that is attached to a probe: two of them fit on lines of 998 octets.
pub const PROBE_FILE_NAME_CHARS: usize = 120;
/// Octets of a line of a message that we write, without its end (RFC 5322 §2.1.1).
pub const MESSAGE_LINE_OCTETS: usize = 998;
/// Characters of a route's name in a message.
pub const ROUTE_NAME_CHARS: usize = 50;
/// Keys of one key ring, as many as there are key ids.
pub const TOKEN_KEYS: usize = 32;
/// By how much the clocks of hosts that share a key may differ before a token is from the future.
pub const TOKEN_CLOCK_SLACK: Duration = Duration::from_secs(3_600);
/// Bytes of one text in which tokens are looked for.
pub const TOKEN_SEARCH_BYTES: usize = 4 * 1024 * 1024;
/// Texts like a token of which the MAC is computed, in one text: each costs about ten hashes.
pub const TOKEN_CANDIDATES: usize = 1_000;
/// How long a token is believed: mail is tried for up to five days, and may lie in a mailbox.
pub const TOKEN_KEEP: Duration = Duration::from_secs(30 * 86_400);
/// Characters in which the MAC of a token may differ that was damaged on its way; one made up differs in about 15 of 16.
pub const TOKEN_DAMAGE_CHARS: usize = 3;
/// Tokens of one message that do not verify and are looked at for damage, a millisecond each.
pub const TOKENS_DAMAGED: usize = 4;
/// Tokens noted of one message.
pub const TOKENS_OF_MESSAGE: usize = 200;
/// Tokens noted of one text.
pub const TOKENS_OF_TEXT: usize = 50;

// ---- Configuration ----

/// Lines of the file that names senders.
pub const SOURCE_OVERRIDES: usize = 100_000;
/// Bytes of that file.
pub const SOURCE_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of a file that tells countries or networks; the largest that are sold have some hundred million.
pub const PLACES_FILE_BYTES: u64 = 1024 * 1024 * 1024;

/// Bytes of a configuration file.
pub const CONFIG_BYTES: u64 = 1024 * 1024;
/// Bytes read of a secret's file or command.
pub const SECRET_BYTES: u64 = 64 * 1024;
/// Wait for the command that prints a secret.
pub const SECRET_COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Messages noted of one probe, arrivals and replays. Who received a probe can send it again without end, and
/// every note is read again whenever the probe is judged; the messages themselves are all listed.
pub const PROBE_SIGHTINGS: u32 = 500;

// ---- SPF ----

/// Terms of one check that may query DNS (RFC 7208 §4.6.4).
pub const SPF_LOOKUPS: u32 = 10;
/// Such terms that may have a void answer: the default of RFC 7208 §4.6.4.
pub const SPF_VOIDS: u32 = 2;
/// Mail exchangers of one `mx` whose addresses are looked up; more are a permerror (RFC 7208 §4.6.4).
pub const SPF_MX_HOSTS: usize = 10;
/// Names of a client's address whose addresses are looked up; more are ignored (RFC 7208 §4.6.4).
pub const SPF_PTR_NAMES: usize = 10;
/// Terms of one record for which room is made beforehand; a text record has at most 64 KiB.
pub const SPF_TERMS: usize = 64;
/// Records that one static tree looks at. Ten are allowed, the largest seen have about 150 records.
pub const SPF_TREE_RECORDS: usize = 200;
/// Names and addresses that one static tree asks for.
pub const SPF_TREE_QUESTIONS: usize = 2_000;

/// Kinds of mail (source, author domain, raw results) that one simulation judges, the largest first.
pub const SIMULATED_STREAMS: usize = 20_000;

// ---- Output ----

/// Text of one mail that `messages show` prints, bytes.
pub const SHOWN_TEXT_BYTES: usize = 64 * 1024;

/// Rows of one answer without `--limit`.
pub const ANSWER_ROWS: usize = 10_000;

/// Probes of a drill this far apart belong to two drills.
pub const DRILL_APART: Duration = Duration::from_secs(600);
/// Shortest time between two probes of a drill: a failover is seen to the second or two, and no mail server suffers.
pub const DRILL_EVERY_LEAST: Duration = Duration::from_secs(2);
/// Longest drill: a planned failover is over by then.
pub const DRILL_LONGEST: Duration = Duration::from_secs(2 * 3_600);
/// Probes of a drill that are under way at one time: a host that does not answer holds each up for minutes.
pub const DRILL_AT_ONCE: usize = 50;
/// Probes of one drill that are told.
pub const DRILL_PROBES: usize = 10_000;
/// Latencies kept one by one for percentiles, of all groups of an answer together: 16 MB. More of them are counted in steps.
pub const LATENCIES_EXACT: usize = 1_000_000;
/// Groups of probes in one answer: routes, hosts, hours. Those beyond are counted in the totals alone.
pub const PROBE_GROUPS: usize = 5_000;
/// Probes of several sizes below which nothing is said of what a byte costs.
pub const LINE_POINTS_LEAST: usize = 8;
/// Probes through which a line of size and latency is laid, one group: its slopes are half of the square of that.
pub const LINE_POINTS: usize = 500;
/// Of these, those of each doubling of size, so that many small probes do not hide few large ones.
pub const LINE_POINTS_OF_SIZE: usize = 64;
/// Mails that are told as related to one: a thread can be long.
pub const RELATED_MESSAGES: usize = 1_000;

// ---- DNS ----

/// The port of DNS.
pub const DNS_PORT: u16 = 53;
/// The port of DNS over TLS, RFC 7858 §3.1.
pub const DNS_TLS_PORT: u16 = 853;
/// Wait for one server in one try.
pub const DNS_TIMEOUT: Duration = Duration::from_secs(3);
/// Rounds through the servers.
pub const DNS_ATTEMPTS: u32 = 2;
/// Whole time of one question, with its aliases, its validation and the wait for a place.
pub const DNS_QUESTION_TIMEOUT: Duration = Duration::from_secs(20);
/// Questions of one resolver under way at once; each has a socket of its own.
pub const DNS_IN_FLIGHT: usize = 200;
/// Payload that we offer for answers over UDP, octets: no fragments on any path (DNS flag day 2020).
pub const DNS_UDP_PAYLOAD: u16 = 1_232;
/// Datagram that is read, octets: more than any server may send that was told [`DNS_UDP_PAYLOAD`].
pub const DNS_DATAGRAM_BYTES: usize = 8 * 1024;
/// Aliases followed for one question; resolvers follow 8 to 16.
pub const DNS_ALIASES: usize = 16;
/// Connections over TLS that are kept open without use.
pub const DNS_IDLE_CONNECTIONS: usize = 8;
/// Options of one message in which the server's reasons are looked for.
pub const DNS_EXTENDED_ERRORS: usize = 16;
/// Characters of a server's reason.
pub const DNS_EXTENDED_ERROR_CHARS: usize = 200;
/// Questions for keys and delegations to validate one answer: a chain of ten zones needs twenty. More would be
/// an attack on validators (CVE-2023-50387).
pub const DNS_CHAIN_QUESTIONS: usize = 60;
/// Answers about keys and delegations that a validator keeps.
pub const DNS_CHAIN_ANSWERS: usize = 2_000;
/// How long it keeps them at most: a key that was changed in haste is seen after that.
pub const DNS_CHAIN_TTL_MOST: Duration = Duration::from_secs(600);
/// How long records are remembered at most.
pub const DNS_TTL_MOST: Duration = Duration::from_secs(86_400);
/// How long absence is remembered at most: RFC 2308 §5 found one to three hours to work well.
pub const DNS_ABSENCE_TTL_MOST: Duration = Duration::from_secs(10_800);
/// How long an answer is remembered that is not known, or absence of which nothing says how long it holds.
pub const DNS_NOT_KNOWN_TTL: Duration = Duration::from_secs(5);
/// Answers remembered.
pub const DNS_CACHE_ANSWERS: usize = 20_000;
/// Size of the answers remembered, bytes, estimated.
pub const DNS_CACHE_BYTES: usize = 32 * 1024 * 1024;
/// Sources whose names are looked up in one round, and noted in one transaction.
pub const SOURCE_NAMES_ROUND: usize = 500;
/// Sources looked up at once: no burst for the resolver.
pub const SOURCE_NAMES_AT_ONCE: usize = 20;
/// Questions for the name of one source: its PTR record, both addresses of a few names.
pub const SOURCE_NAME_QUESTIONS: usize = 12;
/// Time for the name of one source.
pub const SOURCE_NAME_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the name of a source is believed at least, and at most.
pub const SOURCE_NAME_LEAST: Duration = Duration::from_secs(86_400);
/// How long it is believed at most.
pub const SOURCE_NAME_MOST: Duration = Duration::from_secs(7 * 86_400);
/// When a name is looked up again that DNS did not tell.
pub const SOURCE_NAME_RETRY: Duration = Duration::from_secs(6 * 3_600);
/// How long a name that is over is kept for views.
pub const SOURCE_NAME_KEEP: Duration = Duration::from_secs(90 * 86_400);
/// Rounds of `import --resolve`: 10,000 sources.
pub const SOURCE_NAME_ROUNDS: usize = 20;
/// Bytes of a file with zones or trust anchors.
pub const DNS_FILE_BYTES: u64 = 16 * 1024 * 1024;

// ---- Health checks of DNS ----

/// Questions to DNS for the records of one domain that `setup` looks at; a usual one asks 15.
pub const SETUP_QUESTIONS: usize = 100;
/// Questions to DNS for the check of one domain; a usual one asks 60, one with every record and a deep SPF tree 250.
pub const HEALTH_QUESTIONS: usize = 600;
/// Whole time of the check of one domain.
pub const HEALTH_TIME: Duration = Duration::from_secs(60);
/// Domains checked at once.
pub const HEALTH_AT_ONCE: usize = 50;
/// MX hosts of a domain that are looked at; senders try fewer (RFC 5321 §4.5.4.1), SPF allows ten (RFC 7208 §4.6.4).
pub const HEALTH_HOSTS: usize = 16;
/// Addresses of one host that are looked at.
pub const HEALTH_ADDRESSES: usize = 16;

// ---- History of DNS ----

/// From one check of a watched domain to the next.
pub const HEALTH_CHECK_EVERY: Duration = Duration::from_secs(3_600);
/// The shortest such time that can be configured: name servers belong to others.
pub const HEALTH_CHECK_SHORTEST: Duration = Duration::from_secs(60);
/// The shortest time between rounds of `dns watch`.
pub const DNS_WATCH_SHORTEST: Duration = Duration::from_secs(1);

/// Questions of one domain that its history follows; a check of a large domain asks about a hundred.
pub const DNS_HISTORY_QUESTIONS: usize = 500;
/// Selectors of one domain learnt from reports and arrivals.
pub const LEARNT_SELECTORS: u32 = 50;
/// Verified arrivals of one domain whose signatures are looked at, the newest.
pub const LEARNT_ARRIVALS: u32 = 1_000;
/// Sources of one domain learnt from reports.
pub const LEARNT_SOURCES: u32 = 50;
/// Kinds of mail (source, author domain, raw results) of one domain that its checks look at, the largest first.
pub const REPORTED_MAIL: usize = 5_000;
/// Heads of reports in which the policy that each reporter saw last is looked for.
pub const REPORTED_HEADS: u32 = 2_000;
/// Reporters of one domain whose silence is noticed.
pub const REPORTED_REPORTERS: u32 = 100;
/// Days of reports from which selectors and sources are learnt.
pub const LEARNT_DAYS: i32 = 35;

// ---- Pruning ----

/// How long a report whose mail waits for its verdict keeps its rows and bytes although they are old: sums that are rolled up
/// change no more. DNS that does not answer for longer gives none.
pub const PRUNE_PENDING: Duration = Duration::from_secs(2 * 86_400);
/// Look-up rows of one kind that are judged in one walk over the records: nine bytes each are held.
pub const UNUSED_AT_ONCE: i64 = 500_000;
/// Look-up rows taken up while unused ones are looked for; beyond that the rest is left for the next time.
pub const UNUSED_TAKEN: usize = 200_000;

// ---- Signatures ----

/// Header of a message whose signatures are looked at, bytes; ARC of many hands takes 50 KiB.
pub const SIGNED_HEADER_BYTES: usize = 1024 * 1024;
/// Fields of such a header.
pub const SIGNED_HEADER_FIELDS: usize = 2_000;
/// Bytes read of the tags of one signature.
pub const SIGNATURE_BYTES: usize = 64 * 1024;
/// Tags of one tag list; no real one has thirty.
pub const TAGS: usize = 200;
/// Signatures of one message that are verified: each costs a key look-up, and hashes the body if it wants.
pub const SIGNATURES: usize = 10;
/// Signatures of one message that are listed.
pub const SIGNATURES_LISTED: usize = 100;
/// Names of one `h=`; the longest seen in use are below a hundred, rspamd takes a thousand too.
pub const SIGNED_NAMES: usize = 1_000;
/// By how much the clock of a signer may be ahead before it is told.
pub const SIGNATURE_CLOCK_SLACK: Duration = Duration::from_secs(300);
/// Bytes of one key record; an RSA key of 8,192 bits takes 1,450.
pub const KEY_RECORD_BYTES: usize = 16 * 1024;
/// Key records at one selector that are tried; there should be one.
pub const SELECTOR_KEYS: usize = 4;
/// Instances of one ARC chain (RFC 8617 §4.2.1).
pub const ARC_INSTANCES: u32 = 50;
/// Names of one address that are led back to it; RFC 7208 §5.5 has the same number.
pub const REVERSE_NAMES: usize = 10;
/// Questions to DNS for the verification of one message; a usual one asks 10 to 20.
pub const VERIFY_QUESTIONS: usize = 60;
/// Time for it, of one try.
pub const VERIFY_TIME: Duration = Duration::from_secs(20);
/// Age of a message from which on a key that is missing or revoked says nothing: signers rotate keys after days.
pub const KEY_GONE_AFTER: Duration = Duration::from_secs(7 * 86_400);
/// Questions for the mail of one peer (IPv6: one /64) within [`VERIFY_CAP_TIME`]; what is above waits.
pub const VERIFY_PEER_QUESTIONS: usize = 6_000;
/// The same for all mail together of which no peer is proven: from mailboxes, and from relays that do not tell.
pub const VERIFY_UNPROVEN_QUESTIONS: usize = 60_000;
/// The time in which these are counted.
pub const VERIFY_CAP_TIME: Duration = Duration::from_secs(3_600);
/// Peers that are counted apart; further ones share one count.
pub const VERIFY_PEERS: usize = 10_000;
/// Wait before a verification is tried again that DNS did not answer; doubled with each try.
pub const VERIFY_RETRY_FIRST: Duration = Duration::from_secs(300);
/// The longest such wait.
pub const VERIFY_RETRY_LONGEST: Duration = Duration::from_secs(6 * 3_600);
/// From the first try to the last: sending hosts give up after days too (RFC 5321 §4.5.4.1).
pub const VERIFY_RETRY_FOR: Duration = Duration::from_secs(2 * 86_400);
/// Messages that are verified at one time.
pub const VERIFY_AT_ONCE: usize = 16;
/// Bytes of the messages that are verified at one time; a larger one is verified alone.
pub const VERIFY_BYTES: u64 = 64 * 1024 * 1024;
/// Lines of evidence kept of one verification: more than an honest message has.
pub const EVIDENCE_LINES: usize = 60;
/// Characters of one text in such a line.
pub const EVIDENCE_TEXT_CHARS: usize = 400;
/// Questions without an answer that are kept of one verification.
pub const EVIDENCE_QUESTIONS: usize = 10;
/// Selectors kept of what arrives, over all domains: a stranger may sign with any number.
pub const ARRIVAL_SELECTORS: u32 = 10_000;
/// Name servers of a zone that are looked at; the root has 13.
pub const HEALTH_SERVERS: usize = 16;
/// Names that mail records lead to and that are looked at; an SPF tree has ten terms.
pub const HEALTH_REFERENCES: usize = 64;
/// Addresses whose reverse names are looked at.
pub const HEALTH_SOURCES: usize = 64;
/// Reverse names of one address that are followed (RFC 7208 §5.5 has the same number).
pub const HEALTH_PTR_NAMES: usize = 10;
/// Patterns of an MTA-STS policy that are kept; 64 KiB hold some thousand.
pub const HEALTH_POLICY_PATTERNS: usize = 256;
/// Faults of an MTA-STS policy that are kept.
pub const HEALTH_POLICY_FAULTS: usize = 20;
/// Octets of an MTA-STS policy (RFC 8461 §3.3).
pub const POLICY_BYTES: usize = 64 * 1024;
/// Octets of the head of an HTTP response.
pub const POLICY_HEAD_BYTES: usize = 16 * 1024;
/// Whole time of fetching an MTA-STS policy, seconds (RFC 8461 §3.3).
pub const POLICY_SECONDS: u64 = 60;
/// Wait for the connection to the server of a policy, seconds.
pub const POLICY_CONNECT_SECONDS: u64 = 10;
/// Wait for an MX host to take a connection, seconds; senders wait longer (RFC 5321 §4.5.3.2), a check need not.
pub const DIALOGUE_CONNECT_SECONDS: u64 = 10;
/// Wait for a reply of an MX host, seconds: some greet late on purpose.
pub const DIALOGUE_REPLY_SECONDS: u64 = 30;
/// Whole time of a dialogue with an MX host, seconds.
pub const DIALOGUE_SECONDS: u64 = 60;
/// Wait for a TLS handshake with an MX host or the server of a policy, seconds.
pub const DIALOGUE_TLS_SECONDS: u64 = 20;
/// Wait for an MX host's reply to QUIT, seconds: nothing depends on it.
pub const DIALOGUE_QUIT_SECONDS: u64 = 2;
/// Dialogues for the check of one domain: senders try fewer hosts (RFC 5321 §4.5.4.1).
pub const DIALOGUES_A_DOMAIN: usize = 32;
/// Names by which one address is asked in one run: it may serve a certificate for each (RFC 6066 §3).
pub const DIALOGUE_NAMES: usize = 4;
/// Addresses of MX hosts whose dialogues are remembered; each takes some KiB, most of it certificates.
pub const DIALOGUE_ADDRESSES: usize = 4_096;
/// From one dialogue with an MX host to the next in `serve`: it belongs to others, and certificates last for weeks.
pub const DIALOGUE_EVERY: Duration = Duration::from_secs(6 * 3_600);
/// Certificates of a chain that are kept, and octets of each; longer ones are no chain for mail.
pub const DIALOGUE_CHAIN: usize = 8;
/// Octets of one certificate that is kept.
pub const DIALOGUE_CERTIFICATE_BYTES: usize = 16 * 1024;
/// Keywords of a reply to EHLO that are kept; usual servers have a dozen.
pub const DIALOGUE_KEYWORDS: usize = 50;
/// Networks in which no MX host answers before our own port 25 is held to be blocked and nothing more is tried.
pub const PORT_BLOCKED_NETWORKS: usize = 20;
/// Networks from which on the silence of all is told to be ours without a doubt.
pub const PORT_BLOCKED_SURE_NETWORKS: usize = 3;
/// Checkups that wait for the end of a run to know whether our port 25 is blocked.
pub const PORT_BLOCKED_WAITING: usize = 200;
/// Addresses of the server of a policy that are tried.
pub const POLICY_ADDRESSES: usize = 4;
/// Header fields of an HTTP response.
pub const POLICY_FIELDS: usize = 100;
/// Chunks of an HTTP response: a policy has one or a few.
pub const POLICY_CHUNKS: usize = 1_024;
/// Policies that are fetched at one time.
pub const POLICIES_AT_ONCE: usize = 20;
/// Addresses of a zone's name servers that are asked one by one.
pub const AUTHORITY_ADDRESSES: usize = 16;
/// Name servers that are silent, and none that answers, before no more are asked: port 53 does not leave this machine.
pub const AUTHORITIES_SILENT: usize = 20;
/// Names of a certificate that are told.
pub const CERTIFICATE_NAMES: usize = 5;
/// Characters of a text of a certificate that are told.
pub const CERTIFICATE_TEXT_CHARS: usize = 120;
/// Reasons for what is not known that are told of one domain: a silent one has many of the same.
pub const HEALTH_REASONS: usize = 12;
/// Dialogues at one time, of all domains together.
pub const DIALOGUES_AT_ONCE: usize = 20;
/// TLSA records of a host that are looked at.
pub const HEALTH_TLSA: usize = 64;
/// From one judgement of the watched addresses by `serve` to the next: a mail that is missing is told this late at most.
pub const WATCHED_EVERY: Duration = Duration::from_secs(30);
/// How far back the mails at a watched address are judged: a year's mail, and some days.
pub const WATCHED_BACK: Duration = Duration::from_secs(400 * 86_400);
/// Mails of one watched address that are judged, the newest: a stranger may send any number.
pub const WATCHED_MAILS: usize = 2_000;
/// Time for which the receiver must have been open before silence means something: a sender that found it closed tries
/// again within hours (RFC 5321 §4.5.4.1).
pub const WATCHED_RETRY: Duration = Duration::from_secs(4 * 3_600);
/// The part of a wait, one in so many, for which the receiver may have been closed: 5 %.
pub const WATCHED_BLIND_SHARE: i64 = 20;
/// Octets of the name of a watched address: with `watch+` before it, it fits into a local part (RFC 5321 §4.5.3.1.1).
pub const WATCHED_NAME_BYTES: usize = 40;
/// Names of one message's recipients that are kept as watched: honest mail has one.
pub const WATCHED_NAMES_OF_MESSAGE: usize = 20;
/// Age of a probe up to which its arrival is answered, and an answer tried again: an older one measures nothing.
pub const REFLECT_AGE: Duration = Duration::from_secs(24 * 3_600);
/// Wait before an answer is tried again that was put off; doubled with each attempt.
pub const REFLECT_RETRY_FIRST: Duration = Duration::from_secs(60);
/// The longest such wait.
pub const REFLECT_RETRY_LONGEST: Duration = Duration::from_secs(3_600);
/// Answers of one route in an hour: twice a probe a minute, and nobody can have us send more.
pub const REFLECT_ROUTE_HOUR: u64 = 120;
/// Answers of all routes in an hour.
pub const REFLECT_HOUR: u64 = 1_200;
/// Answers that are taken up at one time.
pub const REFLECT_AT_ONCE: usize = 50;
/// From one look for arrivals to answer to the next: how long an answer may wait, which its own time leaves out.
pub const REFLECT_EVERY: Duration = Duration::from_secs(1);
/// How much later than a probe another one of its route was sent that makes it reordered by arriving first, where the route
/// has no interval: the shortest one to own systems.
pub const REORDERED_AFTER: Duration = Duration::from_secs(300);
