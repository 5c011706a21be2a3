//! Replies of a server, read tolerantly and within limits. Pure.
//!
//! A reply is one or more lines that begin with three digits (RFC 5321 §4.2). Servers in the field
//! end lines with a bare LF, mix codes within one reply, put text without a code between coded
//! lines and write what is no ASCII; all that is read. What is no reply at all is an error.

use std::fmt;

use crate::limits;
use crate::mail::delivery_status::Reason;
use crate::mail::status_code::{EnhancedStatus, ReplyCode};

/// One whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The code of its last line, 200 to 599.
    pub code: u16,
    /// The enhanced status code (RFC 3463 §2) of the first line that has one of the reply's class.
    pub enhanced: Option<String>,
    /// The texts of its lines, without codes and enhanced codes; control characters are blanks.
    pub lines: Vec<String>,
    /// True if its lines had different codes: RFC 5321 §4.2.1 wants one.
    pub is_mixed: bool,
}

impl Reply {
    /// The lines joined by blanks.
    pub fn text(&self) -> String {
        self.lines.join(" ")
    }

    /// 2yz: done.
    pub const fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3yz: go on.
    pub const fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 4yz: not now.
    pub const fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5yz: never.
    pub const fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }
}

impl fmt::Display for Reply {
    /// `550 5.1.1 no such user`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = &self.enhanced {
            write!(f, " {enhanced}")?;
        }
        write!(f, " {}", self.text())
    }
}

/// What was read is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::smtp) enum NoReply {
    /// The first line has no code.
    Garbage(String),
    /// More than [`limits::REPLY_LINES`] lines.
    TooLong,
}

/// Collects bytes into replies. Holds at most one line and one reply.
#[derive(Debug, Default)]
pub(in crate::smtp) struct ReplyReader {
    /// The line under way, cut at [`limits::REPLY_LINE_BYTES`].
    line: Vec<u8>,
    /// The lines of the reply under way: code, and the rest.
    lines: Vec<(u16, String)>,
    /// Lines without a code within the reply under way.
    uncoded: usize,
}

impl ReplyReader {
    /// Takes bytes up to the end of the first whole reply; says how many it took.
    ///
    /// Shape: the reply is `None` while more bytes are wanted, and then all bytes were taken.
    /// Errors: [`NoReply`]; the connection is of no use then.
    pub(in crate::smtp) fn push(&mut self, bytes: &[u8]) -> Result<(usize, Option<Reply>), NoReply> {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end + 1);
            self.extend(line);
            rest = after;
            if let Some(reply) = self.end_line()? {
                return Ok((bytes.len() - rest.len(), Some(reply)));
            }
        }
        self.extend(rest);
        Ok((bytes.len(), None))
    }

    /// True if nothing of a reply was read yet.
    pub(in crate::smtp) fn is_empty(&self) -> bool {
        self.line.is_empty() && self.lines.is_empty()
    }

    /// Adds to the line, up to its limit; what is longer is dropped.
    fn extend(&mut self, bytes: &[u8]) {
        let room = limits::REPLY_LINE_BYTES.saturating_sub(self.line.len());
        self.line.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Ends the line: the last one of a reply gives the reply.
    fn end_line(&mut self) -> Result<Option<Reply>, NoReply> {
        let line = std::mem::take(&mut self.line);
        let text: String = String::from_utf8_lossy(&line)
            .trim_end()
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let Some((code, is_last, rest)) = coded(&text) else {
            // Seen in banners and help texts: a line without a code between coded ones.
            if self.lines.is_empty() || self.uncoded >= limits::REPLY_LINES {
                return Err(NoReply::Garbage(text));
            }
            self.uncoded += 1;
            return Ok(None);
        };
        if self.lines.len() >= limits::REPLY_LINES {
            return Err(NoReply::TooLong);
        }
        self.lines.push((code, rest.to_owned()));
        if !is_last {
            return Ok(None);
        }
        self.uncoded = 0;
        let lines = std::mem::take(&mut self.lines);
        let mut enhanced = None;
        let is_mixed = lines.iter().any(|(other, _)| *other != code);
        let lines = lines
            .into_iter()
            .map(|(_, text)| match split_enhanced(&text, code) {
                Some((status, rest)) => {
                    enhanced.get_or_insert_with(|| status.to_owned());
                    rest.to_owned()
                }
                None => text,
            })
            .collect();
        Ok(Some(Reply { code, enhanced, lines, is_mixed }))
    }
}

/// Reads the code of a line, whether the line is the last one, and the text after it.
fn coded(line: &str) -> Option<(u16, bool, &str)> {
    let digits = line.get(..3)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let code: u16 = digits.parse().ok()?;
    if !(200..600).contains(&code) {
        return None;
    }
    let rest = line.get(3..)?;
    match rest.chars().next() {
        None => Some((code, true, "")),
        Some('-') => Some((code, false, rest.get(1..)?)),
        Some(' ') => Some((code, true, rest.trim_start())),
        Some(_) => None,
    }
}

/// Takes the enhanced status code off the front of a text, if it is of the code's class
/// (RFC 2034 §4).
fn split_enhanced(text: &str, code: u16) -> Option<(&str, &str)> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut parts = word.split('.');
    let class = parts.next()?;
    let is_number =
        |part: &str| !part.is_empty() && part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
    let is_status = class.parse::<u16>().is_ok_and(|class| class == code / 100)
        && parts.next().is_some_and(is_number)
        && parts.next().is_some_and(is_number)
        && parts.next().is_none();
    is_status.then(|| (word, rest.trim_start()))
}

// ---- What a reply means for what we do next ----

/// What a reply that refuses or puts off speaks of. The code alone decides whether it does either; the class only says
/// what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReplyClass {
    /// It neither refuses nor puts off.
    None,
    /// Put off because it is new: the same sender, recipient and address again after a while.
    Greylisting,
    /// Too much, too fast.
    RateLimit,
    /// A rule of theirs.
    Policy,
    /// Our reputation, a blocklist, our reverse name.
    Reputation,
    /// SPF, DKIM or DMARC failed.
    Authentication,
    /// What the message holds.
    Content,
    /// It is too large.
    TooLarge,
    /// The mailbox is full.
    MailboxFull,
    /// There is no such mailbox, or no such domain.
    UnknownUser,
    /// The mailbox or the domain takes no mail, or not from this sender.
    NoMail,
    /// Relaying is denied, or we are not authorized.
    NotAuthorized,
    /// Trouble of theirs.
    FarFault,
    /// Our dialogue or message breaks a standard.
    Syntax,
    /// None of these, or nothing said.
    Other,
}

impl ReplyClass {
    /// All classes.
    pub const ALL: [Self; 15] = [
        Self::None,
        Self::Greylisting,
        Self::RateLimit,
        Self::Policy,
        Self::Reputation,
        Self::Authentication,
        Self::Content,
        Self::TooLarge,
        Self::MailboxFull,
        Self::UnknownUser,
        Self::NoMail,
        Self::NotAuthorized,
        Self::FarFault,
        Self::Syntax,
        Self::Other,
    ];

    /// The word in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Greylisting => "greylisting",
            Self::RateLimit => "rate_limit",
            Self::Policy => "policy",
            Self::Reputation => "reputation",
            Self::Authentication => "authentication",
            Self::Content => "content",
            Self::TooLarge => "too_large",
            Self::MailboxFull => "mailbox_full",
            Self::UnknownUser => "unknown_user",
            Self::NoMail => "no_mail",
            Self::NotAuthorized => "not_authorized",
            Self::FarFault => "far_fault",
            Self::Syntax => "syntax",
            Self::Other => "other",
        }
    }

    /// True if going on as before would do harm: the sender of a route that hears this must become slower.
    pub const fn asks_to_back_off(self) -> bool {
        matches!(self, Self::RateLimit | Self::Policy | Self::Reputation | Self::Authentication)
    }

    /// The class of a reason.
    const fn of(reason: Reason) -> Self {
        match reason {
            Reason::UserUnknown | Reason::HostUnknown | Reason::HasMoved => Self::UnknownUser,
            Reason::MailboxFull => Self::MailboxFull,
            Reason::Suspended | Reason::NotAccept | Reason::Suppressed => Self::NoMail,
            Reason::Filtered | Reason::PolicyViolation | Reason::OnHold | Reason::Rejected => Self::Policy,
            Reason::Blocked | Reason::BadReputation | Reason::RequirePtr => Self::Reputation,
            Reason::AuthFailure => Self::Authentication,
            Reason::SpamDetected | Reason::VirusDetected | Reason::ContentError => Self::Content,
            Reason::EmailTooLarge => Self::TooLarge,
            Reason::RateLimited => Self::RateLimit,
            Reason::SecurityError | Reason::NoRelaying | Reason::FailedStartTls => Self::NotAuthorized,
            Reason::SystemError
            | Reason::SystemFull
            | Reason::MailerError
            | Reason::NetworkError
            | Reason::MailLoop
            | Reason::Expired => Self::FarFault,
            Reason::NotCompliantRfc | Reason::SyntaxError => Self::Syntax,
            Reason::Other => Self::Other,
        }
    }
}

/// Words of greylisting, in lower case.
const GREYLISTING: [&str; 8] = [
    "greylist",
    "graylist",
    "grey list",
    "gray list",
    "grey-list",
    "gray-list",
    "postgrey",
    "first time sender",
];
/// What greylisting says with 4.7.1 where it does not give its name; elsewhere it says nothing.
const COME_BACK: [&str; 3] = ["try again later", "try again in", "come back later"];

/// What a reply speaks of, by its code, its enhanced code and its words.
///
/// The code decides whether it refuses at all: words of a reply of success, or of one that asks to go on, mean nothing.
/// Greylisting is only ever a 4yz; where the words are those of a blocklist or of failed authentication as well, those count.
pub fn verdict_of(reply: &Reply) -> ReplyClass {
    if !reply.is_transient() && !reply.is_permanent() {
        return ReplyClass::None;
    }
    let text = reply.text();
    let enhanced = reply.enhanced.as_deref().and_then(EnhancedStatus::parse);
    let code = ReplyCode::parse(&reply.code.to_string());
    let class = ReplyClass::of(Reason::of_reply(&text, enhanced, code));
    let lower = text.to_lowercase();
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| lower.contains(phrase));
    let is_nameless = reply.enhanced.as_deref() == Some("4.7.1") && has(&COME_BACK);
    match class {
        // The table of reasons takes greylisting for a limit of rate.
        ReplyClass::RateLimit | ReplyClass::Policy | ReplyClass::UnknownUser | ReplyClass::Other
            if reply.is_transient() && (has(&GREYLISTING) || is_nameless) =>
        {
            ReplyClass::Greylisting
        }
        other => other,
    }
}

/// Finds the queue id in the text of a reply to the final dot, where its form is known.
///
/// The forms: Postfix, Sendmail, Exim, Exchange, qmail, Gmail, OpenSMTPD, and ours.
pub(super) fn queue_id(reply: &Reply) -> Option<String> {
    let text = reply.text();
    let words: Vec<&str> = text.split_whitespace().collect();
    let is = |at: usize, word: &str| words.get(at).is_some_and(|w| w.eq_ignore_ascii_case(word));
    let after = |mark: &str| {
        let at = text.to_ascii_lowercase().find(mark)? + mark.len();
        text.get(at..)?.split([' ', ',', ']', '>', ')', ';']).next()
    };
    let in_words = || match *words.as_slice() {
        // Sendmail, OpenSMTPD: `49WyBc05CF Message accepted for delivery`.
        [id, _, _, ..] if is(1, "message") && is(2, "accepted") => Some(id),
        // qmail: `ok 1790000000 qp 4567`.
        [_, _, _, id, ..] if is(0, "ok") && is(2, "qp") => Some(id),
        // Gmail: `OK 1790000000 5b1f17b1804b1-47d - gsmtp`.
        [_, _, id, _, ..] if is(0, "ok") && is(4, "gsmtp") => Some(id),
        // Ours, and others: `OK 4f7q`.
        [_, id] if is(0, "ok") => Some(id),
        _ => None,
    };
    let id = after("queued as ")
        .or_else(|| after("internalid="))
        .or_else(|| after("ok id="))
        .or_else(in_words)?
        .trim_end_matches('.');
    let is_id = !id.is_empty()
        && id.len() <= 128
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:+/=@".contains(&b))
        && id.bytes().any(|b| b.is_ascii_alphanumeric());
    is_id.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<(usize, Option<Reply>), NoReply> {
        ReplyReader::default().push(bytes)
    }

    fn reply(text: &str) -> Reply {
        read(text.as_bytes()).unwrap().1.unwrap()
    }

    /// Bytes, code, enhanced code, texts, whether the codes are mixed.
    type Case = (&'static str, u16, Option<&'static str>, &'static [&'static str], bool);

    #[test]
    fn replies() {
        let cases: &[Case] = &[
            ("250 ok\r\n", 250, None, &["ok"], false),
            ("250\r\n", 250, None, &[""], false),
            ("250 \r\n", 250, None, &[""], false),
            ("250 2.1.0 ok\n", 250, Some("2.1.0"), &["ok"], false),
            ("550 5.1.1\r\n", 550, Some("5.1.1"), &[""], false),
            ("550-5.7.1 a\r\n550 5.7.1 b\r\n", 550, Some("5.7.1"), &["a", "b"], false),
            ("250-a\r\n251 b\r\n", 251, None, &["a", "b"], true),
            ("250-a\nno code\n250 b\n", 250, None, &["a", "b"], false),
            ("550 4.7.1 other class\r\n", 550, None, &["4.7.1 other class"], false),
            ("250 1.2.3.4 is you\r\n", 250, None, &["1.2.3.4 is you"], false),
            ("250 2.0.1234 no\r\n", 250, None, &["2.0.1234 no"], false),
            ("220 \u{fc}\u{7}x\r\n", 220, None, &["\u{fc} x"], false),
            ("250   many blanks  \r\n", 250, None, &["many blanks"], false),
        ];
        for (text, code, enhanced, lines, is_mixed) in cases {
            let reply = reply(text);
            assert_eq!(reply.code, *code, "{text}");
            assert_eq!(reply.enhanced.as_deref(), *enhanced, "{text}");
            assert_eq!(reply.lines, *lines, "{text}");
            assert_eq!(reply.is_mixed, *is_mixed, "{text}");
        }
    }

    #[test]
    fn what_is_no_reply() {
        for text in [
            "HTTP/1.1 400 Bad\r\n",
            "\r\n",
            "25 ok\r\n",
            "650 x\r\n",
            "199 x\r\n",
            "2500 x\r\n",
            "250:x\r\n",
            "\u{e9}\u{e9}\r\n",
        ] {
            assert!(matches!(read(text.as_bytes()), Err(NoReply::Garbage(_))), "{text}");
        }
        assert_eq!(read("250-x\r\n".repeat(200).as_bytes()), Err(NoReply::TooLong));
        let text = format!("250-x\r\n{}", "y\r\n".repeat(200));
        assert!(matches!(read(text.as_bytes()), Err(NoReply::Garbage(_))));
        assert_eq!(read(b"250 not ended"), Ok((13, None)));
    }

    #[test]
    fn long_lines_are_cut_and_nothing_else_is_lost() {
        let text = format!("250-{}\r\n250 end\r\n220 next", "x".repeat(1_000_000));
        let (taken, reply) = read(text.as_bytes()).unwrap();
        let reply = reply.unwrap();
        assert_eq!(&text[taken..], "220 next");
        assert_eq!(reply.lines[0].len(), limits::REPLY_LINE_BYTES - 4);
        assert_eq!(reply.lines[1], "end");
    }

    #[test]
    fn bytes_come_in_any_pieces() {
        let text = b"250-2.1.0 a\r\n250 2.1.0 b\r\n354 go\r\n";
        for cut in 0..text.len() {
            let mut reader = ReplyReader::default();
            let mut replies = Vec::new();
            for mut piece in [&text[..cut], &text[cut..]] {
                while !piece.is_empty() {
                    let (taken, reply) = reader.push(piece).unwrap();
                    replies.extend(reply);
                    piece = &piece[taken..];
                }
            }
            assert_eq!(replies.iter().map(|r| r.code).collect::<Vec<_>>(), [250, 354], "cut at {cut}");
            assert_eq!(replies[0].lines, ["a", "b"]);
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn queue_ids() {
        let cases = [
            ("250 2.0.0 Ok: queued as 49WyBc05CF", Some("49WyBc05CF")),
            ("250 2.0.0 4BKA1x2y012345 Message accepted for delivery", Some("4BKA1x2y012345")),
            ("250 OK id=1uXyZa-000000001Ab-2cDe", Some("1uXyZa-000000001Ab-2cDe")),
            (
                "250 2.6.0 <a@b> [InternalId=23132102918273, Hostname=x.prod] Queued mail for delivery",
                Some("23132102918273"),
            ),
            ("250 ok 1790000000 qp 4567", Some("4567")),
            ("250 2.0.0 OK  1790000000 5b1f17b1804b1-47d4 - gsmtp", Some("5b1f17b1804b1-47d4")),
            ("250 2.0.0 7a3f91c2 Message accepted for delivery", Some("7a3f91c2")),
            ("250 2.0.0 OK 4f7q", Some("4f7q")),
            ("250 2.0.0 Queued as <x>", None),
            ("250 OK", None),
            ("250 thank you very much", None),
            ("250", None),
        ];
        for (text, want) in cases {
            assert_eq!(queue_id(&reply(&format!("{text}\r\n"))).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn what_a_reply_speaks_of() {
        use ReplyClass::{
            Authentication, Content, FarFault, Greylisting, MailboxFull, NoMail, None, NotAuthorized, Other,
            Policy, RateLimit, Reputation, Syntax, TooLarge, UnknownUser,
        };
        for (text, want) in [
            (
                "450 4.2.0 <a@example.net>: Recipient address rejected: Greylisted, see http://x.example",
                Greylisting,
            ),
            ("451 4.7.1 Greylisting in action, please come back later", Greylisting),
            ("451 4.7.1 Please try again later", Greylisting),
            ("450 4.7.1 Graylisted; try again in 300 seconds", Greylisting),
            ("421 4.7.28 Our system has detected an unusual rate of mail from your IP address", RateLimit),
            ("450 4.2.1 The user you are trying to contact is receiving mail at a rate that", RateLimit),
            ("451 4.7.500 Server busy. Please try again later from [192.0.2.1]", RateLimit),
            ("452 4.5.3 Too many recipients", RateLimit),
            ("421 4.7.0 Too many connections from your host", RateLimit),
            (
                "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
                Reputation,
            ),
            ("550 5.7.25 The IP address sending this message does not have a PTR record", Reputation),
            ("550 5.7.1 Our system has detected that this message is likely unsolicited mail", Content),
            (
                "550-5.7.26 This mail has been blocked because the sender is unauthenticated.|550 5.7.26 dkim",
                Authentication,
            ),
            (
                "550 5.7.515 Access denied, sending domain does not meet the required authentication level",
                Authentication,
            ),
            ("550 5.7.1 Message rejected due to local policy", Policy),
            ("550 5.7.1 refused", Policy),
            ("552 5.2.2 Mailbox full", MailboxFull),
            ("452 4.2.2 The email account that you tried to reach is over quota", MailboxFull),
            ("550 5.1.1 <a@example.net>: User unknown", UnknownUser),
            ("550 No such user here", UnknownUser),
            ("550 5.2.1 account disabled", NoMail),
            ("556 5.1.10 null MX", NoMail),
            ("554 5.7.1 Relay access denied", NotAuthorized),
            ("552 5.3.4 Message size exceeds fixed limit", TooLarge),
            ("451 4.3.0 queue file write error", FarFault),
            ("554 5.6.0 virus found", Content),
            ("501 5.5.4 syntax error", Syntax),
            ("550 no", Other),
            // Words of a success mean nothing, and a refusal for good is no greylisting.
            ("250 2.0.0 spam, greylisted, blocked: no matter, queued", None),
            ("354 policy", None),
        ] {
            let lines = text.replace('|', "\r\n");
            assert_eq!(verdict_of(&reply(&format!("{lines}\r\n"))), want, "{text}");
        }
        assert_ne!(verdict_of(&reply("550 5.7.1 greylisted for ever\r\n")), Greylisting);
        assert!(ReplyClass::ALL.iter().filter(|class| class.asks_to_back_off()).count() == 4);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            // Only that it ends and takes no more than there is.
            if let Ok((taken, _)) = read(&bytes) {
                proptest::prop_assert!(taken <= bytes.len());
            }
        }
    }
}
