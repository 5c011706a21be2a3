//! Caps on what mail servers and token servers may send, and on the watching of mailboxes.

use std::time::Duration;

/// Octets of one line of an IMAP or POP3 server; the capabilities of some take 2 KiB.
pub const MAILBOX_LINE_BYTES: usize = 64 * 1024;
/// Octets of one response of an IMAP server outside its message, with all its lines.
pub const MAILBOX_RESPONSE_BYTES: usize = 256 * 1024;
/// Responses to one IMAP command that nobody asked for; a server that sends more is not listened to.
pub const MAILBOX_STRAY_RESPONSES: usize = 1_000_000;
/// Messages of a folder whose numbers and sizes are held at once; the rest is listed in a further round.
pub const MAILBOX_LISTED: usize = 100_000;
/// Messages asked for with one command.
pub const MAILBOX_BATCH_MESSAGES: usize = 50;
/// Bytes of messages asked for with one command; a larger message is asked for alone.
pub const MAILBOX_BATCH_BYTES: u64 = 8 * 1024 * 1024;
/// How often a message that does not come is asked for before it is given up.
pub const MAILBOX_TRIES: u32 = 20;
/// How often a message may break the connection before later ones are read first.
pub const MAILBOX_BREAKS: u32 = 5;
/// Wait for a mail server to take a connection and to make the TLS handshake.
pub const MAILBOX_CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Wait for the next bytes of a mail server.
pub const MAILBOX_REPLY_TIMEOUT: Duration = Duration::from_secs(120);
/// Whole time of one command, with all that it brings.
pub const MAILBOX_COMMAND_TIMEOUT: Duration = Duration::from_secs(1_800);
/// Longest IDLE: servers may log out after 30 minutes (RFC 2177 §3).
pub const MAILBOX_IDLE_TIMEOUT: Duration = Duration::from_secs(25 * 60);
/// First wait after a mailbox failed; it doubles up to [`MAILBOX_BACK_OFF_MOST`].
pub const MAILBOX_BACK_OFF: Duration = Duration::from_secs(5);
/// Longest wait after a mailbox failed again and again.
pub const MAILBOX_BACK_OFF_MOST: Duration = Duration::from_secs(900);
/// First wait after a sign-in was refused: servers lock accounts after a few.
pub const MAILBOX_SIGN_IN_BACK_OFF: Duration = Duration::from_secs(300);
/// Folders of an account that are listed when the one for spam is looked for.
pub const MAILBOX_FOLDERS: usize = 10_000;
/// New messages of a folder whose header fields a watcher reads without asking the server to search.
pub const MAILBOX_WATCH_FEW: u32 = 50;
/// Messages whose header fields a watcher reads in one round where the server cannot search.
pub const MAILBOX_WATCH_FIELDS: usize = 1_000;
/// Bytes of a notice in which a token is looked for before it is fetched whole: the words and the returned header.
pub const MAILBOX_PEEK_BYTES: u64 = 128 * 1024;
/// Bytes of a message's header that are read from a file.
pub const MAILBOX_HEADER_BYTES: u64 = 256 * 1024;
/// After how long an arrival in a mailbox is looked for again, unless configured: filters move mail later.
pub const MAILBOX_RECHECK: [Duration; 2] = [Duration::from_secs(3_600), Duration::from_secs(86_400)];
/// Arrivals that are looked for again in one look.
pub const MAILBOX_CHECKS: usize = 500;
/// Shortest time between two notes of good looks that found nothing.
pub const MAILBOX_NOTE_EVERY: Duration = Duration::from_secs(10);
/// Characters of one server's text in a message of ours.
pub const MAILBOX_TEXT_CHARS: usize = 300;
/// Bytes of one answer of a token server.
pub const OAUTH_ANSWER_BYTES: u64 = 256 * 1024;
/// Whole time of one request to a token server.
pub const OAUTH_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a sign-in in the browser may take.
pub const OAUTH_LOGIN_TIMEOUT: Duration = Duration::from_secs(900);
/// Bytes of the request that a browser brings back.
pub const OAUTH_REQUEST_BYTES: usize = 16 * 1024;
/// How long before its end an access token is no longer used.
pub const OAUTH_SLACK: Duration = Duration::from_secs(120);
/// Wait between two looks of `import --follow`.
pub const FOLLOW_INTERVAL: Duration = Duration::from_secs(2);
