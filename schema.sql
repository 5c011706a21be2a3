-- Mailsonde: the whole newest schema. A new database is made by running this file; older ones reach it
-- by the numbered steps in src/store/migrations.
--
-- Units stand in the names: _at is UTC seconds since 1970, _at_ms UTC milliseconds, _bytes bytes; a day is
-- the number of UTC days since 1970-01-01. Booleans are 0 and 1. Domain names are lower-case A-labels.
-- Identifiers: messages and reports have 63-bit numbers that rise with time and depend on no sequence;
-- look-up tables have numbers made from a hash of their text.
-- An address is stored in `source` so that it sorts and matches as an address: a byte 04 and four octets
-- (IPv4, also IPv4-mapped IPv6), a byte 06 and sixteen octets (IPv6), a byte 7F and UTF-8 text where the
-- reporter wrote something else, NULL where it wrote nothing.

-- ---- Received mail -------------------------------------------------------------------------------

-- One row: the bytes of one received mail or imported file.
CREATE TABLE raw (
    raw_id      INTEGER PRIMARY KEY,   -- usually the message_id of the first message with these bytes
    encoding    TEXT NOT NULL,         -- plain: `bytes` as received | zlib: `bytes` compressed (RFC 1950) |
                                       -- chunks: zlib in raw_chunk | spool: plain in a file beside the database
    bytes       BLOB,                  -- NULL for chunks and spool
    spool_file  TEXT                   -- name in the folder <database>-spool; NULL unless spool
) STRICT;

CREATE INDEX raw_spool ON raw (raw_id) WHERE encoding = 'spool';

-- One row: one slice of compressed bytes too long for one row of raw.
CREATE TABLE raw_chunk (
    raw_id  INTEGER NOT NULL,          -- see raw; while raw.encoding is spool the slices are being written
    seq     INTEGER NOT NULL,          -- order, from 0
    bytes   BLOB NOT NULL,             -- one slice of the zlib stream
    PRIMARY KEY (raw_id, seq)
) STRICT;

-- One row: one mail that was received or read from a mailbox, or one file that was imported.
CREATE TABLE message (
    message_id       INTEGER PRIMARY KEY,  -- shown in base 36, in the SMTP reply and in every view
    received_at_ms   INTEGER NOT NULL,     -- when its last byte was here
    origin           TEXT NOT NULL,        -- smtp | import | mailbox
    purposes         TEXT NOT NULL,        -- what its recipients are for, words separated by blanks
    file_name        TEXT,                 -- name of an imported file that is no mail; NULL for mail
    peer_ip          BLOB,                 -- the true client, written like `source`; NULL where nothing proves one
    peer_port        INTEGER,              -- its port; NULL not known
    peer_source      TEXT,                 -- connection | proxy | xforward | received: what proves peer_ip; NULL with it
    relay_ip         BLOB,                 -- the trusted relay that handed it over, like `source`; NULL: the client did
    helo             TEXT,                 -- HELO or EHLO name of the client as sent
    is_esmtp         INTEGER NOT NULL,     -- 1: EHLO was said
    tls_version      TEXT,                 -- TLSv1.2 | TLSv1.3; NULL without TLS
    tls_cipher       TEXT,                 -- the cipher suite's standard name
    tls_server_name  TEXT,                 -- the name that the client asked for
    mail_from        TEXT,                 -- reverse-path; '<>' is the null one, NULL not known
    rcpt_to          TEXT NOT NULL,        -- accepted recipients, a JSON array
    size_bytes       INTEGER NOT NULL,     -- bytes as received
    sha256           BLOB NOT NULL,        -- SHA-256 of the bytes as received
    raw_id           INTEGER NOT NULL,     -- the bytes, see raw; gone when pruned
    status           TEXT NOT NULL,        -- pending: not read yet | read | duplicate: brought only what is counted
                                           -- already | unread: could not be read | kept: ordinary mail
    kind             TEXT,                 -- aggregate | failure | tls | bounce | probe | reply | other; NULL: pending
    reason           TEXT,                 -- why it has this status, for people
    duplicate_of     INTEGER,              -- message_id whose copy this is; NULL unless duplicate
    deviations       TEXT,                 -- names of deviations from standards, a JSON array; NULL: pending
    header_message_id TEXT,                -- the Message-ID field
    subject          TEXT,                 -- the Subject field, decoded
    header_from      TEXT,                 -- the From field's address
    trust            TEXT,                 -- verified | unverified | failed | imported | pending
    parser_version   INTEGER,              -- version of the reader that read it last
    read_at_ms       INTEGER               -- when it was read last
) STRICT;

CREATE INDEX message_pending ON message (message_id) WHERE status = 'pending';
CREATE INDEX message_received ON message (received_at_ms);
CREATE INDEX message_unread ON message (received_at_ms) WHERE status = 'unread';
-- Same bytes again? Only mail that was read: the intake does not pay for it.
CREATE INDEX message_sha256 ON message (sha256) WHERE status <> 'pending';
-- Who brought it, and its Message-ID: likewise.
CREATE INDEX message_peer ON message (peer_ip) WHERE peer_ip IS NOT NULL AND status <> 'pending';
CREATE INDEX message_header_id ON message (header_message_id) WHERE header_message_id IS NOT NULL;

-- One row: one address in the envelope or the From field of one message that was read, to find it by. A row of the
-- message says all of it; it goes with that row.
CREATE TABLE message_party (
    domain      TEXT NOT NULL,         -- of the address, in lower case; '' for the null reverse-path
    local       TEXT NOT NULL,         -- its local part, in lower case
    message_id  INTEGER NOT NULL,      -- see message
    roles       INTEGER NOT NULL,      -- sum of 1: reverse-path, 2: author, 4: recipient
    PRIMARY KEY (domain, local, message_id)
) STRICT, WITHOUT ROWID;

-- One row: one other mail that a message names, by its Message-ID: in In-Reply-To and References, or as the mail that
-- came back.
CREATE TABLE message_reference (
    reference   TEXT NOT NULL,         -- a Message-ID without < >
    message_id  INTEGER NOT NULL REFERENCES message (message_id),
    PRIMARY KEY (reference, message_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX message_reference_message ON message_reference (message_id);

-- One row: one thing in a message that looks like a report and could not be read.
CREATE TABLE unreadable (
    message_id  INTEGER NOT NULL REFERENCES message (message_id),
    seq         INTEGER NOT NULL,      -- order within the message, from 0
    kind        TEXT NOT NULL,         -- truncated | corrupt | too-large | unsupported | malformed | forbidden |
                                       -- empty | incomplete
    reason      TEXT NOT NULL,         -- in words
    place       TEXT NOT NULL,         -- part and entry names
    PRIMARY KEY (message_id, seq)
) STRICT, WITHOUT ROWID;

-- One row: bytes while whose reading a process ended (no memory, an abort). Gone once they were read.
CREATE TABLE fatal_content (
    sha256          BLOB PRIMARY KEY,  -- SHA-256 of the bytes as received, see message
    parser_version  INTEGER NOT NULL,  -- version of the readers; another one tries again
    deaths          INTEGER NOT NULL,  -- processes that ended; from 2 on the bytes are kept unread
    last_at_ms      INTEGER NOT NULL   -- when the last one was noticed
) STRICT, WITHOUT ROWID;

-- One row: one message received by SMTP or from a mailbox that is, or is to be, verified: the queue of this work and what
-- it found. Words are those of RFC 8601 section 2.7; `not-known` where nothing proves either. No local parts.
CREATE TABLE authentication (
    message_id      INTEGER PRIMARY KEY REFERENCES message (message_id),
    day             INTEGER NOT NULL,  -- UTC day of receipt, days since 1970-01-01
    state           TEXT NOT NULL,     -- waiting: not tried | open: DNS did not answer, tried again | done
    attempts        INTEGER NOT NULL,  -- tries that ended
    begun           INTEGER NOT NULL,  -- tries since then that began and did not end: the process ended in them
    first_at_ms     INTEGER,           -- when the first try ended
    verified_at_ms  INTEGER,           -- when the last one did
    next_at_ms      INTEGER,           -- when it is tried; NULL: done
    asked           INTEGER,           -- questions of the last try to DNS
    header_from     TEXT,              -- author domain that decides; NULL: none
    spf             TEXT,              -- of MAIL FROM (the HELO name where that is empty); NULL: not tried
    spf_domain      TEXT,              -- the domain that SPF spoke about
    spf_helo        TEXT,              -- of the HELO name
    dkim            TEXT,              -- pass if any signature passes, else the first one's word
    dkim_domains    TEXT,              -- d= of the signatures that pass, a JSON array
    arc             TEXT,              -- none | pass | fail | temperror
    dmarc           TEXT,              -- by RFC 9989
    dmarc_by_suffix TEXT,              -- by the public suffix list (RFC 7489), where that differs
    policy          TEXT,              -- none | quarantine | reject: to be applied if DMARC fails
    reverse         TEXT,              -- iprev of the peer; NULL: none is proven
    peer_name       TEXT,              -- the peer's name that leads back to it
    tricks          TEXT,              -- what is odd about From, a JSON array of names
    differs         INTEGER,           -- 1: a trusted host says otherwise
    sender          TEXT,              -- the domain that authenticated, on which message.trust rests
    trust_reason    TEXT,              -- why message.trust is what it is, in words
    evidence        TEXT,              -- JSON array of {method, subject, result, reason, facts}
    evidence_more   INTEGER            -- lines of evidence that were left out
) STRICT;

CREATE INDEX authentication_due ON authentication (next_at_ms) WHERE next_at_ms IS NOT NULL;
CREATE INDEX authentication_day ON authentication (day, header_from);

-- One row: one selector with which mail of a watched domain was signed that came here and passed DMARC.
CREATE TABLE arrival_selector (
    domain       TEXT NOT NULL,     -- d= of the signature
    selector     TEXT NOT NULL,     -- s=, in lower case
    first_at_ms  INTEGER NOT NULL,
    last_at_ms   INTEGER NOT NULL,
    messages     INTEGER NOT NULL,
    PRIMARY KEY (domain, selector)
) STRICT, WITHOUT ROWID;

-- ---- Look-up tables ------------------------------------------------------------------------------

-- One row: one policy domain of which reports came, or that is watched.
CREATE TABLE domain (
    domain_id      INTEGER PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    is_configured  INTEGER NOT NULL,   -- 1: watched because the configuration names it
    is_added       INTEGER NOT NULL    -- 1: watched because `domains add` named it
) STRICT;

-- One row: one author domain, envelope domain or other name of a record.
CREATE TABLE name (
    name_id  INTEGER PRIMARY KEY,      -- 0 stands for "other subdomains" in roll-ups and has no row
    name     TEXT NOT NULL UNIQUE
) STRICT;

-- One row: one reporter.
CREATE TABLE reporter (
    reporter_id  INTEGER PRIMARY KEY,
    name_key     TEXT NOT NULL UNIQUE, -- org_name in lower case, else the domain of its e-mail
    org_name     TEXT,                 -- as last written
    email        TEXT                  -- as last written
) STRICT;

-- One row: one distinct list of raw authentication results; many records share it.
CREATE TABLE auth_set (
    auth_set_id  INTEGER PRIMARY KEY,
    sha256       BLOB NOT NULL UNIQUE  -- of its results in a fixed form
) STRICT;

-- One row: one raw authentication result of such a list (RFC 9990 auth_results).
CREATE TABLE auth_result (
    auth_set_id  INTEGER NOT NULL REFERENCES auth_set (auth_set_id),
    seq          INTEGER NOT NULL,     -- order as reported, from 0; DKIM before SPF
    method       TEXT NOT NULL,        -- dkim | spf
    domain       TEXT,                 -- d= of DKIM, the checked domain of SPF; NULL where left out
    selector     TEXT,                 -- s= of DKIM
    scope        TEXT,                 -- mfrom | helo of SPF
    result       TEXT NOT NULL,        -- the word of RFC 8601, or another word in lower case; '' for none
    written      TEXT,                 -- what was written, where it differs
    human_result TEXT,                 -- the reporter's explanation
    PRIMARY KEY (auth_set_id, seq)
) STRICT, WITHOUT ROWID;

-- One row: one distinct list of override reasons.
CREATE TABLE reason_set (
    reason_set_id  INTEGER PRIMARY KEY,
    sha256         BLOB NOT NULL UNIQUE
) STRICT;

-- One row: one override reason of such a list (RFC 9990 policy_evaluated/reason).
CREATE TABLE reason (
    reason_set_id  INTEGER NOT NULL REFERENCES reason_set (reason_set_id),
    seq            INTEGER NOT NULL,
    type           TEXT NOT NULL,
    comment        TEXT,
    PRIMARY KEY (reason_set_id, seq)
) STRICT, WITHOUT ROWID;

-- ---- Aggregate reports ---------------------------------------------------------------------------

-- One row: one aggregate report as one message brought it.
CREATE TABLE report (
    domain_id      INTEGER NOT NULL REFERENCES domain (domain_id),
    day            INTEGER NOT NULL,   -- UTC day of the middle of its period; first day of a long one
    report_id      INTEGER NOT NULL,   -- ours; the reporter's is external_id
    last_day       INTEGER NOT NULL,   -- = day, or the last day over which its roll-up is spread
    is_future      INTEGER NOT NULL,   -- 1: it ended over a day after it was read
    status         TEXT NOT NULL,      -- counted: its rows and roll-up count | set-aside: another report with the
                                       -- same key and other values counts | duplicate: no rows of its own |
                                       -- rolled-up: it counts in the roll-ups, its rows were removed for their age |
                                       -- untrusted: trust is failed, its rows never count
    is_conflicting INTEGER NOT NULL,   -- 1: reports with the same key and other values exist
    duplicate_of   INTEGER,            -- report_id of the one with the same values; NULL unless duplicate
    message_id     INTEGER NOT NULL,   -- the message that brought it
    place          TEXT NOT NULL,      -- part and entry names in the message
    received_at_ms INTEGER NOT NULL,   -- when that message came
    trust          TEXT NOT NULL,      -- verified | unverified | failed | imported | pending: what is counted;
                                       -- a verified copy raises it
    own_trust      TEXT NOT NULL,      -- the same of its own mail alone
    sender         TEXT,               -- organizational domain of its mail's author; NULL for none
    names_sender   INTEGER NOT NULL,   -- 1: that is the domain of the reporter's name, else of its address
    reporter_id    INTEGER NOT NULL REFERENCES reporter (reporter_id),
    external_id    TEXT NOT NULL,      -- report_id without < > and blanks: part of the key
    begin_at       INTEGER NOT NULL,   -- first second of the period
    end_at         INTEGER NOT NULL,   -- as reported, usually the last second
    content_sha256 BLOB NOT NULL,      -- of the values read
    records        INTEGER NOT NULL,   -- rows in record
    messages       INTEGER NOT NULL,   -- sum of their counts
    dmarc_pass     INTEGER NOT NULL,   -- of these messages: DKIM or SPF aligned and passing
    parser_version INTEGER NOT NULL,
    org_name       TEXT,               -- as written
    email          TEXT,
    extra_contact_info TEXT,
    written_id     TEXT NOT NULL,      -- report_id as written
    version        TEXT,
    xml_namespace  TEXT,
    generator      TEXT,
    errors         TEXT,               -- error elements, a JSON array; NULL: none
    policy_p       TEXT,               -- policy_published, as written; NULL where left out
    policy_sp      TEXT,
    policy_np      TEXT,
    policy_adkim   TEXT,
    policy_aspf    TEXT,
    policy_pct     TEXT,
    policy_fo      TEXT,
    policy_testing TEXT,
    policy_discovery_method TEXT,
    PRIMARY KEY (domain_id, day, report_id)
) STRICT, WITHOUT ROWID;

-- The reports under one key (domain, reporter, id, period), and the promise that only one counts.
CREATE INDEX report_key ON report (domain_id, reporter_id, external_id, begin_at, end_at);
CREATE UNIQUE INDEX report_counted_once ON report (domain_id, reporter_id, external_id, begin_at, end_at)
    WHERE status = 'counted';
CREATE INDEX report_message ON report (message_id);
CREATE INDEX report_spread ON report (domain_id, day, last_day) WHERE last_day > day;
CREATE INDEX report_duplicate ON report (domain_id, duplicate_of) WHERE duplicate_of IS NOT NULL;
CREATE INDEX report_conflicting ON report (domain_id, day) WHERE is_conflicting = 1;
CREATE INDEX report_untrusted ON report (domain_id, day) WHERE status = 'untrusted';

-- One row: one deviation of a report from its standard, the first of each name with its count.
CREATE TABLE deviation (
    domain_id  INTEGER NOT NULL,
    day        INTEGER NOT NULL,
    report_id  INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    name       TEXT NOT NULL,          -- stable, in kebab-case
    count      INTEGER NOT NULL,       -- how often in this report; 0 for further examples of a name
    place      TEXT NOT NULL,          -- element
    original   TEXT NOT NULL,          -- what stood there
    used       TEXT NOT NULL,          -- what we made of it
    PRIMARY KEY (domain_id, day, report_id, seq)
) STRICT, WITHOUT ROWID;

-- One row: one record of one report. It counts if its report's status is `counted`.
CREATE TABLE record (
    domain_id        INTEGER NOT NULL,
    day              INTEGER NOT NULL, -- as in report
    report_id        INTEGER NOT NULL,
    seq              INTEGER NOT NULL, -- order in the report, from 0
    source           BLOB,             -- source_ip, see the head of this file
    count            INTEGER,          -- messages; NULL where it could not be read
    disposition      TEXT NOT NULL,    -- none | pass | quarantine | reject | another word | '' for none
    dkim             TEXT NOT NULL,    -- policy_evaluated: pass | fail | another word | ''; only pass is a pass
    spf              TEXT NOT NULL,    -- the same
    header_from_id   INTEGER NOT NULL, -- author domain, see name; the policy domain where left out
    envelope_from_id INTEGER,          -- see name; NULL where left out
    envelope_to_id   INTEGER,          -- see name; NULL where left out
    auth_set_id      INTEGER,          -- raw results; NULL for none
    reason_set_id    INTEGER,          -- override reasons; NULL for none
    PRIMARY KEY (domain_id, day, report_id, seq)
) STRICT, WITHOUT ROWID;

-- One row: what DNS said of the name of one source address, by PTR record and back.
CREATE TABLE source_name (
    source          BLOB PRIMARY KEY,  -- source_ip, see the head of this file
    state           TEXT NOT NULL,     -- pass: confirmed | fail: not confirmed | permerror: no name | temperror: not known
    name            TEXT,              -- the confirmed name; with temperror the one of before
    looked_up_at_ms INTEGER NOT NULL,
    until_ms        INTEGER NOT NULL   -- looked up again after that, if reports still speak of the source
) STRICT, WITHOUT ROWID;

-- One row: the rows of one aggregate or TLS report that are not (or no longer) part of the store: being loaded, or removed.
-- They are invisible, since there is no report, and deleted in slices; at start nothing of them remains.
CREATE TABLE leftover (
    report_id  INTEGER PRIMARY KEY,
    domain_id  INTEGER NOT NULL,
    day        INTEGER NOT NULL,
    state      TEXT NOT NULL           -- loading | removed
) STRICT;

-- One row: messages of counted reports of one day by everything but their source.
CREATE TABLE rollup (
    domain_id      INTEGER NOT NULL,
    day            INTEGER NOT NULL,
    header_from_id INTEGER NOT NULL,   -- author domain, see name; 0: other subdomains (over 200 a domain and day)
    reporter_id    INTEGER NOT NULL,
    trust          TEXT NOT NULL,
    disposition    TEXT NOT NULL,      -- none | pass | quarantine | reject | '' | other (any other word)
    dkim           INTEGER NOT NULL,   -- 1: aligned and passing
    spf            INTEGER NOT NULL,   -- 1: aligned and passing
    span           TEXT NOT NULL,      -- day: reports of one day | spread: shares of longer ones | future |
                                       -- future-spread: the same of reports that ended over a day after they were read
    messages       INTEGER NOT NULL,
    records        INTEGER NOT NULL,   -- of a spread report: all on its first day
    PRIMARY KEY (domain_id, day, header_from_id, reporter_id, trust, disposition, dkim, spf, span)
) STRICT, WITHOUT ROWID;

-- One row: counted reports of one day by reporter. Long ones stand on their first day.
CREATE TABLE report_rollup (
    domain_id    INTEGER NOT NULL,
    day          INTEGER NOT NULL,
    reporter_id  INTEGER NOT NULL,
    trust        TEXT NOT NULL,
    span         TEXT NOT NULL,        -- day | spread | future | future-spread
    reports      INTEGER NOT NULL,
    begin_at     INTEGER NOT NULL,     -- first begin
    end_at       INTEGER NOT NULL,     -- last end
    PRIMARY KEY (domain_id, day, reporter_id, trust, span)
) STRICT, WITHOUT ROWID;

-- ---- TLS reports ---------------------------------------------------------------------------------

-- One row: what one SMTP TLS report (RFC 8460) says of one domain, as one message brought it.
CREATE TABLE tls_report (
    domain_id      INTEGER NOT NULL REFERENCES domain (domain_id), -- the mail domain; '' where nothing names one
    day            INTEGER NOT NULL,   -- UTC day of the middle of its period; first day of a long one
    report_id      INTEGER NOT NULL,   -- ours; the reporter's is external_id
    last_day       INTEGER NOT NULL,   -- = day, or the last day over which its sessions are spread
    is_future      INTEGER NOT NULL,   -- 1: it ended over a day after it was read
    status         TEXT NOT NULL,      -- counted | set-aside | duplicate, as in report | untrusted: trust is failed or
                                       -- unverified, which is not enough here (RFC 8460 section 3)
    is_conflicting INTEGER NOT NULL,   -- 1: reports with the same key and other values exist
    duplicate_of   INTEGER,            -- report_id of the one with the same values; NULL unless duplicate
    message_id     INTEGER NOT NULL,   -- the message that brought it
    place          TEXT NOT NULL,      -- part and entry names in the message
    received_at_ms INTEGER NOT NULL,   -- when that message came
    trust          TEXT NOT NULL,      -- what is counted, as in report
    own_trust      TEXT NOT NULL,      -- the same of its own mail alone
    sender         TEXT,               -- as in report
    names_sender   INTEGER NOT NULL,   -- as in report
    reporter_id    INTEGER NOT NULL REFERENCES reporter (reporter_id),
    external_id    TEXT NOT NULL,      -- report-id without < > and blanks: part of the key
    begin_at       INTEGER NOT NULL,   -- start-datetime
    end_at         INTEGER NOT NULL,   -- end-datetime, as reported, usually the last second
    content_sha256 BLOB NOT NULL,      -- of the values read
    policies       INTEGER NOT NULL,   -- rows in tls_policy
    failures       INTEGER NOT NULL,   -- rows in tls_failure
    successful_sessions INTEGER NOT NULL, -- sum over its policies
    failed_sessions INTEGER NOT NULL,  -- sum over its policies, as their summaries say
    parser_version INTEGER NOT NULL,
    organization_name TEXT,            -- as written
    contact_info   TEXT,
    written_id     TEXT NOT NULL,      -- report-id as written
    deviations     TEXT NOT NULL,      -- names of deviations from the standard, a JSON array
    PRIMARY KEY (domain_id, day, report_id)
) STRICT, WITHOUT ROWID;

-- The reports under one key (domain, reporter, id, period), and the promise that only one counts.
CREATE INDEX tls_report_key ON tls_report (external_id, reporter_id, begin_at, end_at, domain_id);
CREATE UNIQUE INDEX tls_report_counted_once
    ON tls_report (domain_id, reporter_id, external_id, begin_at, end_at) WHERE status = 'counted';
CREATE INDEX tls_report_message ON tls_report (message_id);
CREATE INDEX tls_report_untrusted ON tls_report (domain_id, day) WHERE status = 'untrusted';

-- One row: one policy of one TLS report with the sessions under it. It counts if its report does.
CREATE TABLE tls_policy (
    domain_id      INTEGER NOT NULL,
    day            INTEGER NOT NULL,
    report_id      INTEGER NOT NULL,
    seq            INTEGER NOT NULL,   -- order in the report, from 0
    policy_type    TEXT NOT NULL,      -- tlsa | sts | no-policy-found | another word | '' for none
    policy_domain  TEXT,               -- policy-domain; an MX host for DANE; NULL where there is none
    policy_string  TEXT NOT NULL,      -- lines of the policy, a JSON array
    mx_host        TEXT NOT NULL,      -- MX hosts or patterns, a JSON array
    successful_sessions INTEGER,       -- total-successful-session-count; NULL where it could not be read
    failed_sessions INTEGER,           -- total-failure-session-count, which contains the details; NULL likewise
    PRIMARY KEY (domain_id, day, report_id, seq)
) STRICT, WITHOUT ROWID;

-- One row: sessions of one policy that failed for one cause between two hosts.
CREATE TABLE tls_failure (
    domain_id      INTEGER NOT NULL,
    day            INTEGER NOT NULL,
    report_id      INTEGER NOT NULL,
    policy_seq     INTEGER NOT NULL,   -- seq in tls_policy
    seq            INTEGER NOT NULL,   -- order in the policy, from 0
    result_type    TEXT NOT NULL,      -- a word of RFC 8460 section 4.3 or another word; '' for none
    sending_mta_ip BLOB,               -- written like `source`
    receiving_mx_hostname TEXT,
    receiving_mx_helo TEXT,
    receiving_ip   BLOB,               -- written like `source`
    failed_sessions INTEGER,           -- failed-session-count; NULL where it could not be read
    additional_information TEXT,
    failure_reason_code TEXT,
    PRIMARY KEY (domain_id, day, report_id, policy_seq, seq)
) STRICT, WITHOUT ROWID;

-- ---- Failure reports and complaints --------------------------------------------------------------

-- One row: one feedback report about one message (RFC 5965, 6591, 9991), as one message brought it. Local parts,
-- subjects and links are hashed or cut here: the full text is in the raw mail alone.
CREATE TABLE failure_report (
    domain_id              INTEGER NOT NULL REFERENCES domain (domain_id), -- the author domain; '' for none
    day                    INTEGER NOT NULL, -- UTC day of arrived_at, else of received_at_ms
    failure_id             INTEGER NOT NULL,
    status                 TEXT NOT NULL,    -- counted | duplicate: the same values are there | untrusted: trust is failed
    duplicate_of           INTEGER,          -- message_id of the one with the same values; NULL unless duplicate
    message_id             INTEGER NOT NULL, -- the message that brought it
    seq                    INTEGER NOT NULL, -- order in the message, from 0
    place                  TEXT NOT NULL,    -- archive entry in which it stood; '' for the message itself
    received_at_ms         INTEGER NOT NULL,
    trust                  TEXT NOT NULL,    -- as in message: of the copies with the most of it one counts
    content_sha256         BLOB NOT NULL,    -- of the values read
    parser_version         INTEGER NOT NULL,
    is_authentication      INTEGER NOT NULL, -- 1: about authentication, 0: a complaint or other feedback
    form                   TEXT NOT NULL,    -- `feedback`, `notice` (in words alone) or `complaint` (no machine-readable part)
    feedback_type          TEXT NOT NULL,    -- `auth-failure`, `abuse`, `fraud`, `virus`, `not-spam`, `opt-out`, `other` or another word
    reporter               TEXT,             -- the domain of the report's author
    reporting_mta          TEXT,             -- `Reporting-MTA`
    user_agent             TEXT,             -- the program that made the report
    version                TEXT,             -- `Version`
    arrived_at             INTEGER,          -- when the message arrived there, UTC seconds
    incidents              INTEGER NOT NULL, -- messages for which the report stands
    source                 BLOB,             -- source-IP, written like `source`; NULL where left out
    source_host            TEXT,             -- the name of the source
    source_port            INTEGER,          -- the port of the source
    reported_domains       TEXT NOT NULL,    -- `Reported-Domain`, a JSON array
    header_from            TEXT,             -- the author domain
    auth_failure           TEXT NOT NULL,    -- what failed: `dmarc`, `spf`, `signature`, `bodyhash`, `revoked`, `adsp` or another word
    delivery_result        TEXT NOT NULL,    -- what became of it: `delivered`, `spam`, `policy`, `reject`, `other` or another word
    delivery_written       TEXT,             -- `Delivery-Result` as written, where it differs
    identity_alignment     TEXT NOT NULL,    -- `Identity-Alignment`: RFC 9991 lists what failed, RFC 7489 what passed, a JSON array
    spf_aligned            INTEGER,          -- whether SPF was aligned, where said
    dkim_aligned           INTEGER,          -- whether DKIM was aligned, where said
    dkim_domain            TEXT,             -- `DKIM-Domain`
    dkim_selector          TEXT,             -- `DKIM-Selector`
    dkim_identity          TEXT,             -- `DKIM-Identity`; local part hashed
    spf_dns                TEXT NOT NULL,    -- `SPF-DNS`, a JSON array
    mail_from              TEXT,             -- `Original-Mail-From`; local part hashed; `<>` for the null reverse-path
    rcpt_to                TEXT NOT NULL,    -- `Original-Rcpt-To`; local parts hashed, a JSON array
    authentication_results TEXT NOT NULL,    -- `Authentication-Results`; local parts hashed, a JSON array
    reported_uris          TEXT NOT NULL,    -- `Reported-URI`; without paths, a JSON array
    extensions             TEXT NOT NULL,    -- names of fields that no standard has; with their values if revealed, a JSON array
    is_headers_only        INTEGER,          -- true if only the header of the message is quoted; null if nothing is
    original_from          TEXT,             -- the author; local part hashed and name left out
    original_to            TEXT,             -- the recipients in the header; a hash
    original_subject       TEXT,             -- the subject; a hash
    original_message_id    TEXT,             -- the Message-ID; its left side hashed
    original_date          INTEGER,          -- the date of the message, UTC seconds
    original_signatures    TEXT NOT NULL,    -- signatures, as `selector._domainkey.domain`, a JSON array
    campaign               TEXT,             -- `Feedback-ID`, else `List-Id`
    deviations             TEXT NOT NULL,    -- names of what differs from the standards, a JSON array
    PRIMARY KEY (domain_id, day, failure_id)
) STRICT, WITHOUT ROWID;

-- The same report counts once.
CREATE UNIQUE INDEX failure_report_once ON failure_report (domain_id, content_sha256) WHERE status = 'counted';
CREATE INDEX failure_report_content ON failure_report (content_sha256);
CREATE INDEX failure_report_message ON failure_report (message_id);
CREATE INDEX failure_report_untrusted ON failure_report (domain_id, day) WHERE status = 'untrusted';

-- One row: one use of something that is written down: who saw what is usually hidden.
CREATE TABLE audit (
    audit_id  INTEGER PRIMARY KEY,     -- rises with time
    at_ms     INTEGER NOT NULL,        -- when
    what      TEXT NOT NULL,           -- reveal
    who       TEXT NOT NULL,           -- user number and name at the operating system
    detail    TEXT NOT NULL            -- the filters, and how many rows were shown
) STRICT;

-- ---- Bounces -------------------------------------------------------------------------------------

-- One row: what one notice of a mail system says of one recipient (RFC 3464, or words). The same mail again has no
-- rows of its own.
CREATE TABLE bounce (
    message_id          INTEGER NOT NULL REFERENCES message (message_id),
    seq                 INTEGER NOT NULL, -- order in the notice, from 0
    received_at_ms      INTEGER NOT NULL,
    kind                TEXT NOT NULL,    -- bounce | delay | relayed | expanded | delivered | other: the whole notice
    outcome             TEXT NOT NULL,    -- failed | delayed | relayed | expanded | delivered | unknown: this recipient
    recipient           TEXT,             -- Final-Recipient, or the address that the words name
    recipient_domain    TEXT,             -- its domain
    original_recipient  TEXT,             -- Original-Recipient
    action              TEXT,             -- Action as written
    enhanced_status     TEXT,             -- the most telling code of RFC 3463; NULL if none was stated
    reply_code          INTEGER,          -- of the host that refused; NULL if none was stated
    class               TEXT,             -- permanent | expired | temporary; NULL not said
    reason              TEXT NOT NULL,    -- why, a word of ours
    phase               TEXT,             -- connect | banner | ehlo | starttls | auth | mail | rcpt | data | end_of_data
    remote_mta          TEXT,             -- the host that refused or was not reached
    reporting_mta       TEXT,             -- the host that reports
    diagnostic          TEXT,             -- the words of the refusal
    will_retry_until_ms INTEGER,          -- until when the host goes on trying
    token               TEXT,             -- the probe that it is about, see probe; NULL for other mail
    evidence            TEXT NOT NULL,    -- where values stood, a JSON array of value:place:rule
    parser_version      INTEGER NOT NULL,
    copy_key            BLOB,             -- SHA-256 of what tells the notice from others; NULL: its bytes alone do
    PRIMARY KEY (message_id, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX bounce_copy ON bounce (copy_key) WHERE copy_key IS NOT NULL;
CREATE INDEX bounce_received ON bounce (received_at_ms);
CREATE INDEX bounce_token ON bounce (token) WHERE token IS NOT NULL;

-- ---- Reports for others --------------------------------------------------------------------------

-- One row: one report for a domain that is not watched. Its message is kept; it is in no total.
CREATE TABLE unclaimed (
    domain      TEXT NOT NULL,         -- policy domain; '' beyond the number of domains that are kept apart
    message_id  INTEGER NOT NULL REFERENCES message (message_id),
    seq         INTEGER NOT NULL,      -- order within the message
    messages    INTEGER NOT NULL,      -- as reported; 0 for TLS and failure reports
    PRIMARY KEY (domain, message_id, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX unclaimed_message ON unclaimed (message_id);

-- ---- DNS of watched domains ----------------------------------------------------------------------

-- One row: what is known of the records of one question, from the checks of one watched domain.
CREATE TABLE dns_record (
    domain            TEXT NOT NULL,     -- the watched domain
    name              TEXT NOT NULL,     -- the name asked for, escaped as in zone files, without the final dot
    type              TEXT NOT NULL,     -- the record type's mnemonic
    state             TEXT,              -- records | no-name | no-type: the last that was known; NULL: never known
    records           TEXT,              -- the records as in zone files, sorted, a JSON array; NULL unless records
    security          TEXT NOT NULL,     -- secure | insecure | bogus | not-known: what DNSSEC said then
    first_at_ms       INTEGER NOT NULL,  -- when a check asked for it first
    since_at_ms       INTEGER NOT NULL,  -- since when it is so
    confirmed_at_ms   INTEGER NOT NULL,  -- when a check saw it last
    previous_state    TEXT,              -- the one before, as state
    previous_records  TEXT,
    previous_until_ms INTEGER,           -- when that was seen last
    varies_at_ms      INTEGER,           -- when it was told last that the answers change to and fro
    missing_at_ms     INTEGER,           -- when one check found the records gone; lost once a second one does
    trouble_since_ms  INTEGER,           -- since when no answer comes; NULL: the last check had one
    trouble_checks    INTEGER NOT NULL,  -- checks without an answer since then
    trouble_cause     TEXT,              -- timeout | servfail | refused | lame | …: the last one's
    trouble_is_told   INTEGER NOT NULL,  -- 1: it has its event
    PRIMARY KEY (domain, name, type)
) STRICT, WITHOUT ROWID;

-- One row: one thing that happened to the records of one question.
CREATE TABLE dns_event (
    event_id   INTEGER PRIMARY KEY,
    domain     TEXT NOT NULL,            -- the watched domain
    at_ms      INTEGER NOT NULL,         -- when a check saw it
    name       TEXT NOT NULL,            -- as in dns_record, or the subject of a finding
    about      TEXT NOT NULL,            -- the record type, or the code of a finding
    happening  TEXT NOT NULL,            -- appeared | changed | lost | varies | security-changed | not-answering |
                                         -- answering of records; found | mended of findings
    before     TEXT NOT NULL,            -- records, DNSSEC state or trouble, a JSON array
    after      TEXT NOT NULL             -- the same after it
) STRICT;

CREATE INDEX dns_event_domain ON dns_event (domain, at_ms);
CREATE INDEX dns_event_at ON dns_event (at_ms);

-- One row: the last check of one watched domain.
CREATE TABLE dns_check (
    domain        TEXT PRIMARY KEY,
    checked_at_ms INTEGER NOT NULL,
    class         TEXT,                  -- sends-and-receives | sends-only | …; NULL: not known
    grade         TEXT,                  -- A | B | C | D | F; NULL: too much is not known
    passed        INTEGER NOT NULL,      -- checks that found nothing
    findings      INTEGER NOT NULL,
    not_known     TEXT NOT NULL,         -- codes of checks that could not be made, a JSON array
    asked         INTEGER NOT NULL       -- questions to DNS
) STRICT, WITHOUT ROWID;

-- One row: one thing that checks of one watched domain found, from its first to its last sight.
CREATE TABLE dns_finding (
    domain      TEXT NOT NULL,
    code        TEXT NOT NULL,           -- stable, docs/health-checks.md
    subject     TEXT NOT NULL,           -- the name, host or record that it is about
    first_at_ms INTEGER NOT NULL,
    last_at_ms  INTEGER NOT NULL,
    gone_at_ms  INTEGER,                 -- when a check did not find it any more; NULL: it stands
    severity    TEXT NOT NULL,           -- critical | error | warning | note | info
    evidence    TEXT NOT NULL,           -- as seen last
    mend        TEXT NOT NULL,
    PRIMARY KEY (domain, code, subject, first_at_ms)
) STRICT, WITHOUT ROWID;

-- ---- Probes --------------------------------------------------------------------------------------

-- One row: one probe, with the last verdict on its events. Time alone may change it at deadline_ms: whoever reads the
-- columns of the verdict settles those first that are due.
CREATE TABLE probe (
    token            TEXT PRIMARY KEY,     -- its name: `mf` and 32 characters, as in the recipient
    route            TEXT NOT NULL,        -- name of its route; `route <number>` where only the token is known
    route_number     INTEGER NOT NULL,     -- as in the token
    kind             TEXT NOT NULL,        -- probe | reply | seed | negative | load | drill | bounce-test | reserved
    profile          TEXT,                 -- plain | business | attach:<bytes> | attach-file | utf8 | 8bit |
                                           -- longline | iso2022jp | calendar, and those that are to be stopped or
                                           -- marked: gtube | eicar | dlp | ext:<extension> | unknown-user |
                                           -- oversize:<bytes> | open-relay | spf-fail | dkim-broken |
                                           -- dmarc-fail | plaintext-only; NULL where only the token is known
    template_version INTEGER,              -- of the profile's texts
    mail_from        TEXT,                 -- reverse-path; '<>' is the null one
    rcpt_to          TEXT,                 -- its recipient
    destination      TEXT,                 -- domain of the recipient
    header_message_id TEXT,                -- its Message-ID field
    size_bytes       INTEGER,              -- of the message as sent
    message_sha256   BLOB,                 -- SHA-256 of the message as sent: a retry must be the same
    is_dkim_signed   INTEGER NOT NULL,     -- 1: with a key of ours
    is_in_maintenance INTEGER NOT NULL,    -- 1: its route was under maintenance: it is no alarm
    mx_host          TEXT,                 -- the MX host for which it was made; NULL: any
    expectation      TEXT NOT NULL,        -- arrives | stopped | bounces | arrives-failing-spf | arrives-failing-dkim |
                                           -- not-unmarked-in-inbox
    within_ms        INTEGER,              -- wait after its acceptance until one that must not arrive is decided
    overdue_after_ms INTEGER NOT NULL,     -- wait after its acceptance until it is overdue
    lost_after_ms    INTEGER NOT NULL,     -- wait after its acceptance until it is lost
    eyes             TEXT NOT NULL,        -- who watches where it should arrive, a JSON array of names of `eye`
    has_bounce_path  INTEGER NOT NULL,     -- 1: a bounce would reach us
    planned_at_ms    INTEGER,              -- when the schedule meant it to be sent; NULL: sent by hand
    sent_at_ms       INTEGER NOT NULL,     -- when its first attempt began, or it was planned, or its token was made
    state            TEXT NOT NULL,        -- planned | sending | deferred | refused | in_doubt | accepted | in_transit |
                                           -- overdue | delayed | held | arrived | bounced | lost | late | unobserved |
                                           -- delivered | as_expected | escaped | cancelled
    place            TEXT,                 -- where it arrived: sink | inbox | category | spam | other
    moved_to         TEXT,                 -- where it lay at the last look, if elsewhere, or `gone`
    reason           TEXT,                 -- why it has this state
    accepted_at_ms   INTEGER,              -- when the far end took it
    arrived_at_ms    INTEGER,              -- when it was first seen; NULL also where nobody knows
    latency_ms       INTEGER,              -- from sending to arrival: the middle of what is possible
    latency_error_ms INTEGER,              -- half the width of what is possible
    duplicates       INTEGER NOT NULL,     -- arrivals after the first one
    replays          INTEGER NOT NULL,     -- messages with its token that cannot be it
    contradicts_reply INTEGER NOT NULL,    -- 1: it arrived although it was refused, put off or sent back
    is_bounced_too   INTEGER NOT NULL,     -- 1: it arrived and came back
    has_clock_step   INTEGER NOT NULL,     -- 1: our own clock was set, or we slept, while it was under way
    is_reordered     INTEGER NOT NULL,     -- 1: a younger one of its route and profile surely arrived before it
    rev              INTEGER NOT NULL,     -- verdicts in probe_verdict
    judged_at_ms     INTEGER NOT NULL,     -- the time as of which it was judged
    deadline_ms      INTEGER               -- when time alone changes its state; NULL: never again
) STRICT, WITHOUT ROWID;

CREATE INDEX probe_sent ON probe (sent_at_ms, state);
CREATE INDEX probe_route ON probe (route, sent_at_ms);
CREATE INDEX probe_drill ON probe (sent_at_ms) WHERE kind = 'drill';
CREATE INDEX probe_deferred ON probe (sent_at_ms) WHERE state = 'deferred';
CREATE INDEX probe_open ON probe (deadline_ms) WHERE deadline_ms IS NOT NULL;
CREATE INDEX probe_message ON probe (header_message_id) WHERE header_message_id IS NOT NULL;

-- One row: one thing that happened to a probe. Rows are only added; those of a received message are
-- written anew when it is read again.
CREATE TABLE probe_event (
    token       TEXT NOT NULL REFERENCES probe (token),
    seq         INTEGER NOT NULL,      -- order of writing, from 0
    at_ms       INTEGER NOT NULL,      -- when it happened
    event       TEXT NOT NULL,         -- planned | sending | accepted | refused | deferred | given_up | in_doubt |
                                       -- cancelled | arrived | replayed | moved | vanished | bounced | delayed | held |
                                       -- relayed | expanded | delivered | clock
    phase       TEXT,                  -- of the dialogue: resolve | policy | connect | banner | ehlo | starttls | tls | auth |
                                       -- mail | rcpt | data | body | dot
    code        INTEGER,               -- reply code
    enhanced    TEXT,                  -- enhanced status code, RFC 3463
    text        TEXT,                  -- of the reply, or what went wrong
    message_id  INTEGER,               -- the received message, for what a message tells
    is_timed    INTEGER,               -- arrived: 1: its time is known, 0: it was imported
    until_ms    INTEGER,               -- delayed: until when the host goes on trying; NULL not said
    place       TEXT,                  -- arrived, moved: sink | inbox | category | spam | other
    watcher     TEXT,                  -- arrived, moved, vanished: whose eyes, as in `eye`; NULL: our own receiver
    folder      TEXT,                  -- arrived, moved: the folder
    not_before_ms INTEGER,             -- arrived: the last look without it
    copy_of     TEXT,                  -- arrived: what copies of one mail have in common; NULL: not known
    is_marked   INTEGER,               -- arrived: 1: the receiver marked it as suspicious; NULL: nobody looked
    spf         TEXT,                  -- arrived: what the receiver says of SPF (RFC 8601); NULL: nothing
    dkim        TEXT,                  -- arrived: the same of DKIM
    dmarc       TEXT,                  -- arrived: the same of DMARC
    jump_ms     INTEGER,               -- clock: by how much the wall clock went on more than time did
    PRIMARY KEY (token, seq)
) STRICT, WITHOUT ROWID;

-- A message is one arrival however often it is read.
CREATE UNIQUE INDEX probe_event_message ON probe_event (message_id, token) WHERE message_id IS NOT NULL;

-- One row: one verdict on a probe as it stood, also those that later evidence changed. Rows are only added.
CREATE TABLE probe_verdict (
    token       TEXT NOT NULL REFERENCES probe (token),
    rev         INTEGER NOT NULL,      -- order, from 1
    at_ms       INTEGER NOT NULL,      -- since when
    state       TEXT NOT NULL,         -- as in probe
    place       TEXT,                  -- as in probe
    reason      TEXT,                  -- as in probe
    PRIMARY KEY (token, rev)
) STRICT, WITHOUT ROWID;

-- One row: a time in which a watcher looked again and again, or could not. Times without a row are not known.
CREATE TABLE eye (
    name        TEXT NOT NULL,         -- sink | mailbox/<name>
    from_ms     INTEGER NOT NULL,      -- the first look
    to_ms       INTEGER NOT NULL,      -- the last one
    every_ms    INTEGER NOT NULL,      -- how often it looks
    fault       TEXT,                  -- why it could not look; NULL: it could
    PRIMARY KEY (name, from_ms)
) STRICT, WITHOUT ROWID;

-- One row: one attempt to hand a probe over.
CREATE TABLE probe_attempt (
    token            TEXT NOT NULL REFERENCES probe (token),
    seq              INTEGER NOT NULL, -- order, from 0
    started_at_ms    INTEGER NOT NULL,
    ended_at_ms      INTEGER NOT NULL, -- when its outcome was known
    peer_ip          BLOB,             -- the server, written like `source`; NULL without connection
    peer_port        INTEGER,
    addresses        TEXT NOT NULL,    -- addresses that did not answer and why, a JSON array of texts
    extensions       TEXT NOT NULL,    -- keywords of the EHLO reply, a JSON array
    tls_version      TEXT,             -- TLSv1.2 | TLSv1.3; NULL without TLS
    tls_cipher       TEXT,             -- the cipher suite's standard name
    tls_server_name  TEXT,             -- the name that was asked for
    tls_verification TEXT,             -- verified | not checked | not verified: and why
    certificate_sha256 BLOB,           -- of the server's certificate
    certificate_until_ms INTEGER,      -- until when that certificate is valid
    queue_id         TEXT,             -- in the reply to the final dot, where its form is known
    mx_host          TEXT,             -- the MX host of the last session; NULL unless it went direct to MX hosts
    mta_sts          TEXT,             -- of that host: none: why | not known: why | enforce, id ID: fits | testing, …
    dane             TEXT,             -- of that host: matched | failed: why | none: why | not known: why | …
    mx               TEXT NOT NULL,    -- all MX hosts tried or passed over, in order, a JSON array of objects: host,
                                       -- preference, address, mta_sts, dane, fault (why the next one was tried)
    PRIMARY KEY (token, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX probe_attempt_queue ON probe_attempt (queue_id) WHERE queue_id IS NOT NULL;

-- One row: one step of such an attempt. No secret is in it.
CREATE TABLE probe_step (
    token    TEXT NOT NULL,
    attempt  INTEGER NOT NULL,         -- seq in probe_attempt
    seq      INTEGER NOT NULL,         -- order, from 0
    phase    TEXT NOT NULL,            -- as in probe_event, or quit
    sent     TEXT,                     -- the command
    reply    TEXT,                     -- the reply: code, enhanced code and text
    took_us  INTEGER NOT NULL,         -- microseconds on the monotonic clock
    PRIMARY KEY (token, attempt, seq)
) STRICT, WITHOUT ROWID;

-- One row: one arrival of a probe of a route with `reflect`: whether it is answered, and how far that came. A row stays as
-- long as its probe, so that there is one answer.
CREATE TABLE reflect (
    token          TEXT PRIMARY KEY,   -- the probe that arrived
    route_number   INTEGER NOT NULL,   -- as in the token
    message_id     INTEGER NOT NULL,   -- the arrival
    arrived_at_ms  INTEGER NOT NULL,
    state          TEXT NOT NULL,      -- waiting | sending | answered | in-doubt: not known, not sent again | refused |
                                       -- given-up | not-answered: it must not be
    reason         TEXT,               -- why, in words
    reply_token    TEXT,               -- the answer, a probe of the kind `reply`; NULL before the first attempt
    tries          INTEGER NOT NULL,   -- attempts that began
    sent_at_ms     INTEGER,            -- when the first one did
    next_at_ms     INTEGER             -- when it is tried; NULL: not any more
) STRICT, WITHOUT ROWID;

CREATE INDEX reflect_due ON reflect (next_at_ms) WHERE next_at_ms IS NOT NULL;
CREATE INDEX reflect_sent ON reflect (sent_at_ms) WHERE sent_at_ms IS NOT NULL;
CREATE INDEX reflect_reply ON reflect (reply_token) WHERE reply_token IS NOT NULL;

-- ---- Watched addresses ----------------------------------------------------------------------------

-- One row: one name behind `watch+` of the configuration.
CREATE TABLE watched (
    name      TEXT PRIMARY KEY,        -- in lower case
    since_ms  INTEGER NOT NULL         -- when a `serve` first ran with it
) STRICT, WITHOUT ROWID;

-- One row: one mail that came to such an address. From, TLS and size stand in `message`, its verdict in `authentication`.
CREATE TABLE watched_mail (
    message_id        INTEGER NOT NULL REFERENCES message (message_id),
    name              TEXT NOT NULL,
    received_at_ms    INTEGER NOT NULL,  -- as in message
    took_low_ms       INTEGER,           -- least time since its Date; NULL: no clock tells
    took_high_ms      INTEGER,           -- the most
    last_hop_low_ms   INTEGER,           -- least time since the stamp of the last host before us; NULL: not known
    last_hop_high_ms  INTEGER,           -- the most
    PRIMARY KEY (message_id, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX watched_mail_name ON watched_mail (name, received_at_ms);

-- One row: one time in which something was not as expected, as it was told.
CREATE TABLE watched_event (
    name          TEXT NOT NULL,
    wrong         TEXT NOT NULL,       -- missing | from | dmarc
    opened_at_ms  INTEGER NOT NULL,    -- the time by which a mail was due, or when the first wrong one came
    closed_at_ms  INTEGER,             -- when a right one came, or later evidence took it back; NULL: it is still so
    noted_at_ms   INTEGER NOT NULL,    -- when it was found out
    message_id    INTEGER,             -- the first wrong mail
    text          TEXT NOT NULL,       -- in words
    PRIMARY KEY (name, wrong, opened_at_ms)
) STRICT, WITHOUT ROWID;

-- One row: one series of scheduled probes, a profile of a route with an interval, and how far it came. When its slots lie
-- follows from its names and its interval (src/probe/schedule.rs).
CREATE TABLE probe_series (
    route          TEXT NOT NULL,      -- name of the route; with the MX host and family where each is one of its own
    series         TEXT NOT NULL,      -- the profile, or `in-turn` for those that share the interval of the route
    first_at_ms    INTEGER NOT NULL,   -- when it was first scheduled: it begins at half its rate
    done_until_ms  INTEGER,            -- slots up to here were sent or missed; NULL: it is not configured any more
    quick_left     INTEGER NOT NULL,   -- quick probes that are still to come after a bad one
    quick_at_ms    INTEGER,            -- when the next one is due
    is_armed       INTEGER NOT NULL,   -- 1: a bad probe makes quick ones
    PRIMARY KEY (route, series)
) STRICT, WITHOUT ROWID;

-- One row: scheduled probes that were not sent: there is no data of them. Runs that follow each other are one row.
CREATE TABLE probe_missed (
    route     TEXT NOT NULL,
    series    TEXT NOT NULL,           -- as in probe_series
    from_ms   INTEGER NOT NULL,        -- when the first one was due
    to_ms     INTEGER NOT NULL,        -- when the last one was due
    runs      INTEGER NOT NULL,        -- how many
    because   TEXT NOT NULL,           -- off | asleep | clock-set | late | busy | backed-off | capped | stopped | no-leave |
                                       -- fault
    reason    TEXT,                    -- in words, where there is more to say
    PRIMARY KEY (route, series, from_ms)
) STRICT, WITHOUT ROWID;

CREATE INDEX probe_missed_to ON probe_missed (to_ms);

-- One row: one route that keeps still, or kept still and has had no accepted probe since: the far end named policy or
-- reputation.
CREATE TABLE probe_back_off (
    route     TEXT PRIMARY KEY,
    step      INTEGER NOT NULL,        -- how often in a row: an hour, then twice as long each time
    since_ms  INTEGER NOT NULL,        -- when the last such reply came
    until_ms  INTEGER NOT NULL,        -- until when nothing is sent
    reason    TEXT NOT NULL            -- the reply
) STRICT, WITHOUT ROWID;

-- One row: one destination that put a probe off and then took it.
CREATE TABLE probe_greylist (
    destination TEXT PRIMARY KEY,      -- the recipient's domain
    delay_ms    INTEGER NOT NULL,      -- from the first attempt to the one that was taken, of the last such probe
    at_ms       INTEGER NOT NULL       -- when that was
) STRICT, WITHOUT ROWID;

-- ---- Mailboxes -----------------------------------------------------------------------------------

-- One row: how far one folder of a mailbox elsewhere was read.
CREATE TABLE mailbox_folder (
    account       TEXT NOT NULL,       -- imap://user@host or pop3://user@host; before it `watch` or `bounces` where only
                                       -- our own messages are looked for, also in maildir://PATH
    folder        TEXT NOT NULL,       -- its name as configured; INBOX for POP3
    uid_validity  INTEGER NOT NULL,    -- UIDVALIDITY for which the UIDs hold (RFC 3501); 0: never read, or POP3
    last_uid      INTEGER NOT NULL,    -- every message up to this UID is kept, gone, or in mailbox_message
    looked_at_ms  INTEGER,             -- when it was looked through last
    fault         TEXT,                -- why that failed; NULL: it did not
    good_at_ms    INTEGER,             -- when the last look that did not fail began
    PRIMARY KEY (account, folder)
) STRICT, WITHOUT ROWID;

-- One row: one message of such a folder with which something is still to be done; with POP3 also each that was
-- kept and is still there.
CREATE TABLE mailbox_message (
    account     TEXT NOT NULL,
    folder      TEXT NOT NULL,
    uid         TEXT NOT NULL,         -- UID in decimal digits (IMAP) or UIDL (POP3)
    step        TEXT NOT NULL,         -- ask: did not come, is asked for again | given-up | move-read | move-unread:
                                       -- kept, waits to be moved | done: kept (POP3) | passed: none of ours (POP3)
    tries       INTEGER NOT NULL,      -- how often it was asked for in vain
    size_bytes  INTEGER,               -- its size, if that is over the cap; NULL else
    reason      TEXT,                  -- why it did not come
    PRIMARY KEY (account, folder, uid)
) STRICT, WITHOUT ROWID;

-- One row: one arrival of one probe that a watcher saw in a mailbox. Copies that were made within the mailbox are the
-- same arrival.
CREATE TABLE mailbox_arrival (
    account        TEXT NOT NULL,      -- as in mailbox_folder
    token          TEXT NOT NULL,      -- the probe
    arrival        TEXT NOT NULL,      -- what copies have in common: gmail ID | received HASH of the newest Received field |
                                       -- date HASH, where there is none
    watcher        TEXT NOT NULL,      -- the mailbox's name in the configuration
    message_id     INTEGER NOT NULL,   -- the kept message
    place          TEXT NOT NULL,      -- where it was seen first: inbox | category | spam | other
    folder         TEXT NOT NULL,      -- the folder
    not_before_ms  INTEGER NOT NULL,   -- the last look without it, or when its token was made
    seen_at_ms     INTEGER NOT NULL,   -- the first look with it
    internal_at_ms INTEGER,            -- when the server says that it came: a witness
    told_place     TEXT,               -- where it was told to be last; NULL: gone
    told_folder    TEXT,
    next_check_ms  INTEGER,            -- when it is looked for again; NULL: never
    missed_at_ms   INTEGER,            -- when a look missed it; NULL: the last one found it
    PRIMARY KEY (account, token, arrival)
) STRICT, WITHOUT ROWID;

CREATE INDEX mailbox_arrival_due ON mailbox_arrival (account, next_check_ms) WHERE next_check_ms IS NOT NULL;
CREATE INDEX mailbox_arrival_token ON mailbox_arrival (token);
CREATE INDEX mailbox_arrival_message ON mailbox_arrival (message_id);

-- One row: where a copy of such an arrival stood at the last look.
CREATE TABLE mailbox_stand (
    account  TEXT NOT NULL,
    folder   TEXT NOT NULL,
    uid      TEXT NOT NULL,            -- UID in decimal digits, or the file's name without its flags
    token    TEXT NOT NULL,
    arrival  TEXT NOT NULL,
    PRIMARY KEY (account, folder, uid)
) STRICT, WITHOUT ROWID;

CREATE INDEX mailbox_stand_arrival ON mailbox_stand (account, token, arrival);
CREATE INDEX mailbox_stand_token ON mailbox_stand (token);

-- ---- Views for people with sqlite3 or Datasette ----------------------------------------------------

-- One row: sessions of one policy of one counted TLS report.
CREATE VIEW v_tls AS
SELECT d.name AS domain, strftime('%Y-%m-%d', r.day * 86400, 'unixepoch') AS day, p.name_key AS reporter,
       r.written_id AS report_id, c.policy_type, c.policy_domain, c.successful_sessions, c.failed_sessions
FROM tls_report AS r
JOIN tls_policy AS c ON c.domain_id = r.domain_id AND c.day = r.day AND c.report_id = r.report_id
JOIN domain AS d ON d.domain_id = r.domain_id
JOIN reporter AS p ON p.reporter_id = r.reporter_id
WHERE r.status = 'counted';

-- One row: one received mail or imported file, readable.
CREATE VIEW v_messages AS
SELECT m.message_id,
       strftime('%Y-%m-%dT%H:%M:%SZ', m.received_at_ms / 1000, 'unixepoch') AS received_at,
       m.origin, m.kind, m.status, m.reason, m.file_name, m.peer_source, m.helo, m.tls_version, m.mail_from, m.rcpt_to,
       m.header_message_id, m.subject, m.header_from, m.trust, m.size_bytes
FROM message AS m;

-- One row: one aggregate report, also copies and reports that are set aside.
CREATE VIEW v_reports AS
SELECT d.name AS domain, p.name_key AS reporter, r.org_name, r.email, r.written_id AS report_id,
       strftime('%Y-%m-%dT%H:%M:%SZ', r.begin_at, 'unixepoch') AS begin,
       strftime('%Y-%m-%dT%H:%M:%SZ', r.end_at, 'unixepoch') AS end,
       r.status, r.is_conflicting, r.trust, r.records, r.messages, r.dmarc_pass, r.policy_p, r.policy_sp,
       r.message_id
FROM report AS r
JOIN domain AS d ON d.domain_id = r.domain_id
JOIN reporter AS p ON p.reporter_id = r.reporter_id;

-- One row: messages of one day, policy domain, author domain, reporter and evaluation. No sources: fast.
CREATE VIEW v_daily AS
SELECT d.name AS domain, strftime('%Y-%m-%d', u.day * 86400, 'unixepoch') AS day,
       CASE WHEN u.header_from_id = 0 THEN 'other subdomains' ELSE h.name END AS header_from,
       p.name_key AS reporter, u.trust, u.disposition, u.dkim, u.spf, u.span, u.messages, u.records
FROM rollup AS u
JOIN domain AS d ON d.domain_id = u.domain_id
LEFT JOIN name AS h ON h.name_id = u.header_from_id
JOIN reporter AS p ON p.reporter_id = u.reporter_id
WHERE u.records > 0 OR u.messages > 0;

-- One row: one counted record. `source` is the address in hexadecimal after its family byte (see above),
-- `source_ip` the dotted address of IPv4 and NULL otherwise.
CREATE VIEW v_records AS
SELECT d.name AS domain, strftime('%Y-%m-%d', c.day * 86400, 'unixepoch') AS day, p.name_key AS reporter,
       r.written_id AS report_id,
       CASE WHEN length(c.source) = 5 AND hex(substr(c.source, 1, 1)) = '04' THEN
           ((instr('0123456789ABCDEF', substr(hex(c.source), 3, 1)) - 1) * 16
               + instr('0123456789ABCDEF', substr(hex(c.source), 4, 1)) - 1) || '.' ||
           ((instr('0123456789ABCDEF', substr(hex(c.source), 5, 1)) - 1) * 16
               + instr('0123456789ABCDEF', substr(hex(c.source), 6, 1)) - 1) || '.' ||
           ((instr('0123456789ABCDEF', substr(hex(c.source), 7, 1)) - 1) * 16
               + instr('0123456789ABCDEF', substr(hex(c.source), 8, 1)) - 1) || '.' ||
           ((instr('0123456789ABCDEF', substr(hex(c.source), 9, 1)) - 1) * 16
               + instr('0123456789ABCDEF', substr(hex(c.source), 10, 1)) - 1)
       END AS source_ip,
       hex(c.source) AS source, c.count, c.disposition, c.dkim, c.spf, h.name AS header_from,
       f.name AS envelope_from, t.name AS envelope_to, c.auth_set_id, c.reason_set_id
FROM report AS r
JOIN record AS c ON c.domain_id = r.domain_id AND c.day = r.day AND c.report_id = r.report_id
JOIN domain AS d ON d.domain_id = r.domain_id
JOIN reporter AS p ON p.reporter_id = r.reporter_id
JOIN name AS h ON h.name_id = c.header_from_id
LEFT JOIN name AS f ON f.name_id = c.envelope_from_id
LEFT JOIN name AS t ON t.name_id = c.envelope_to_id
WHERE r.status = 'counted';

-- One row: one deviation from the standard by one reporter.
CREATE VIEW v_deviations AS
SELECT p.name_key AS reporter, d.name AS domain, r.written_id AS report_id, v.name, v.count, v.place, v.original,
       v.used
FROM deviation AS v
JOIN report AS r ON r.domain_id = v.domain_id AND r.day = v.day AND r.report_id = v.report_id
JOIN domain AS d ON d.domain_id = v.domain_id
JOIN reporter AS p ON p.reporter_id = r.reporter_id;

-- One row: one probe with its times, and its state as it was judged last.
CREATE VIEW v_probes AS
SELECT p.token, p.route, p.kind, p.profile, p.rcpt_to, p.state, p.place,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.sent_at_ms / 1000.0, 'unixepoch') AS sent_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.accepted_at_ms / 1000.0, 'unixepoch') AS accepted_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.arrived_at_ms / 1000.0, 'unixepoch') AS arrived_at,
       p.latency_ms, p.latency_error_ms, p.duplicates, p.reason
FROM probe AS p;
