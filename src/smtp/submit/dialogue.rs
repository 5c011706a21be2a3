//! The client's side of one SMTP session, without I/O.
//!
//! The driver asks [`Dialogue::next`] what to do, does it, and tells how it went. Every action that
//! receives names the phase whose reply is wanted.
//!
//! ```text
//! banner ─► ehlo ─┬─► starttls ─► tls ─► ehlo ─┬─► auth ─► mail ─► rcpt ─► data ─► body ─► dot ─► quit
//!                 └─ helo (5yz to EHLO) ───────┘
//! ```

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write as _;

use data_encoding::BASE64;

use super::reply::Reply;
use super::{Cause, Credentials, DsnRequest, Fault, Mechanism, Outcome, Phase, Submission, TlsMode};
use crate::limits;

/// What the driver has to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Write these bytes.
    Send {
        /// The phase that begins.
        phase: Phase,
        /// The command with its CRLF; several are sent together (RFC 2920 §3.1).
        bytes: Vec<u8>,
        /// What the record shows.
        shown: String,
    },
    /// Read one reply and tell [`Dialogue::on_reply`].
    Receive(Phase),
    /// Make the TLS handshake and tell [`Dialogue::on_tls`].
    StartTls,
    /// Write the message, dot-stuffed, without its final dot.
    SendBody,
    /// Write the final dot. From here on a loss is a doubt.
    SendDot,
    /// The end: close the connection.
    Close,
}

/// The extensions of RFC 5321 §4.1.1.1 that matter to us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Extensions {
    /// Keywords with their parameters, as sent, upper case.
    lines: Vec<String>,
}

impl Extensions {
    /// Reads an EHLO reply: every line but the first.
    fn of(reply: &Reply) -> Self {
        let lines = reply.lines.iter().skip(1).map(|line| line.trim().to_ascii_uppercase());
        Self { lines: lines.filter(|line| !line.is_empty()).collect() }
    }

    /// The parameters of a keyword; also after `=`, as old servers write `AUTH=LOGIN`.
    fn find(&self, keyword: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| {
            let rest = line.strip_prefix(keyword)?;
            (rest.is_empty() || rest.starts_with([' ', '='])).then(|| rest.trim_start_matches([' ', '=']))
        })
    }

    /// True if a keyword is there.
    fn has(&self, keyword: &str) -> bool {
        self.find(keyword).is_some()
    }

    /// True if an AUTH mechanism is offered, on any AUTH line.
    fn offers(&self, mechanism: &str) -> bool {
        self.lines
            .iter()
            .filter_map(|line| line.strip_prefix("AUTH"))
            .any(|rest| rest.split([' ', '=']).any(|word| word == mechanism))
    }

    /// The largest message that the server takes; `None` if it does not say (0 says nothing).
    fn size(&self) -> Option<u64> {
        self.find("SIZE")?.split(' ').next()?.parse().ok().filter(|limit| *limit > 0)
    }
}

/// What the dialogue needs of the options.
#[derive(Debug, Clone)]
pub(super) struct Plan<'p> {
    /// Our name.
    pub(super) helo: &'p str,
    /// When TLS is used.
    pub(super) tls: TlsMode,
    /// Who we are.
    pub(super) credentials: Option<&'p Credentials>,
    /// What we ask to be told of the delivery.
    pub(super) dsn: Option<&'p DsnRequest>,
    /// Reverse-path, recipient, needs.
    pub(super) submission: Submission<'p>,
    /// Bytes of the message as it goes over the wire, without dot-stuffing.
    pub(super) size: u64,
    /// True if the message is not all ASCII.
    pub(super) has_8bit: bool,
}

impl Plan<'_> {
    /// A text that would break a command in two: addresses are checked where they are made, but a
    /// line end here would be a second command.
    fn unwritable(&self) -> Option<(Phase, String)> {
        let texts = [
            (Phase::Ehlo, self.helo.to_owned()),
            (Phase::Mail, self.submission.mail_from.to_string()),
            (Phase::Rcpt, self.submission.rcpt_to.to_string()),
        ];
        texts.into_iter().find(|(phase, text)| {
            text.is_empty()
                || text.chars().any(char::is_control)
                || (*phase == Phase::Ehlo && text.contains(' '))
        })
    }
}

/// One session under way.
#[derive(Debug)]
pub(super) struct Dialogue<'p> {
    /// What is wanted.
    plan: Plan<'p>,
    /// What the driver has to do.
    actions: VecDeque<Action>,
    /// What the server offers.
    extensions: Extensions,
    /// True once TLS is on.
    is_tls: bool,
    /// True once the server's certificate verified.
    is_verified: bool,
    /// True after EHLO was refused.
    is_helo: bool,
    /// True once the final dot may have left.
    is_dot_sent: bool,
    /// What AUTH has still to say.
    answers: VecDeque<String>,
    /// True if RCPT was sent together with MAIL.
    is_pipelined: bool,
    /// How it ended.
    outcome: Option<Outcome>,
}

/// Codes of EHLO after which HELO is worth a try (RFC 5321 §4.1.4 and §3.2).
const NO_EHLO: [u16; 5] = [500, 501, 502, 504, 550];

impl<'p> Dialogue<'p> {
    /// Begins where the connection is open. Check [`Self::outcome`] before: what cannot stand in a
    /// command is refused at once.
    pub(super) fn new(plan: Plan<'p>) -> Self {
        let unwritable = plan.unwritable();
        let mut dialogue = Self {
            plan,
            actions: VecDeque::new(),
            extensions: Extensions::default(),
            is_tls: false,
            is_verified: false,
            is_helo: false,
            is_dot_sent: false,
            answers: VecDeque::new(),
            is_pipelined: false,
            outcome: None,
        };
        dialogue.actions.push_back(match dialogue.plan.tls {
            TlsMode::Implicit => Action::StartTls,
            _ => Action::Receive(Phase::Banner),
        });
        if let Some((phase, text)) = unwritable {
            dialogue.actions.clear();
            dialogue.outcome = Some(Outcome::Refused(phase, Cause::Fault(Fault::Unwritable(text))));
        }
        dialogue
    }

    /// What to do next.
    pub(super) fn next(&mut self) -> Action {
        let action = self.actions.pop_front().unwrap_or(Action::Close);
        self.is_dot_sent |= action == Action::SendDot;
        action
    }

    /// True if the final dot comes next.
    pub(super) fn is_before_dot(&self) -> bool {
        self.actions.front() == Some(&Action::SendDot)
    }

    /// The keywords of the last EHLO reply.
    pub(super) fn extensions(&self) -> Vec<String> {
        self.extensions.lines.clone()
    }

    /// How it ended; `None` while it has not.
    pub(super) fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Texts that must not stand in a record: secrets as they go over the wire.
    pub(super) fn secrets(&self) -> Vec<String> {
        let Some(credentials) = self.plan.credentials else { return Vec::new() };
        let secret = credentials.secret.reveal();
        let forms =
            [secret.to_owned(), encode(secret), encode(&plain(credentials)), encode(&xoauth2(credentials))];
        forms.into_iter().filter(|form| !form.is_empty()).collect()
    }

    /// The TLS handshake succeeded.
    pub(super) fn on_tls(&mut self, is_verified: bool) {
        self.is_tls = true;
        self.is_verified = is_verified;
        if self.plan.tls == TlsMode::Implicit {
            self.actions.push_back(Action::Receive(Phase::Banner));
        } else {
            // RFC 3207 §4.2: what was said before counts no more.
            self.extensions = Extensions::default();
            self.hello();
        }
    }

    /// Something went wrong without a reply: the connection is of no use any more.
    pub(super) fn on_fault(&mut self, phase: Phase, fault: Fault) {
        if self.outcome.is_none() {
            self.outcome = Some(if self.is_dot_sent {
                Outcome::InDoubt(fault)
            } else {
                Outcome::Deferred(phase, Cause::Fault(fault))
            });
        }
        self.actions.clear();
        self.actions.push_back(Action::Close);
    }

    /// A reply came.
    pub(super) fn on_reply(&mut self, phase: Phase, reply: Reply) {
        match phase {
            Phase::Banner if reply.is_positive() => self.hello(),
            Phase::Ehlo if reply.is_positive() => {
                self.extensions = if self.is_helo { Extensions::default() } else { Extensions::of(&reply) };
                self.after_hello();
            }
            Phase::Ehlo if !self.is_helo && NO_EHLO.contains(&reply.code) => {
                self.is_helo = true;
                self.hello();
            }
            Phase::StartTls if reply.is_positive() => self.actions.push_back(Action::StartTls),
            // RFC 3207 §4: the client may go on without TLS if its policy allows.
            Phase::StartTls if self.plan.tls == TlsMode::IfOffered => self.after_tls(),
            Phase::StartTls => self.end_with(Outcome::Deferred(phase, Cause::Reply(reply))),
            Phase::Auth if reply.is_positive() => self.transaction(),
            Phase::Auth if reply.code == 334 => self.answer_challenge(),
            Phase::Mail if reply.is_positive() => {
                if !self.is_pipelined {
                    let line = self.rcpt_line();
                    self.command(Phase::Rcpt, line);
                }
            }
            Phase::Rcpt if reply.is_positive() && self.outcome.is_none() => {
                self.command(Phase::Data, "DATA".to_owned());
            }
            // MAIL was refused, and this is the pipelined RCPT's reply.
            Phase::Rcpt if self.outcome.is_some() => self.quit(),
            Phase::Data if reply.is_intermediate() => {
                self.actions.extend([Action::SendBody, Action::SendDot, Action::Receive(Phase::Dot)]);
            }
            Phase::Dot if reply.is_positive() => self.end_with(Outcome::Accepted(reply)),
            Phase::Quit => {}
            _ if reply.is_permanent() => self.end_with(Outcome::Refused(phase, Cause::Reply(reply))),
            _ if reply.is_transient() => self.end_with(Outcome::Deferred(phase, Cause::Reply(reply))),
            _ => self.on_fault(phase, Fault::Unexpected(reply.to_string())),
        }
    }

    /// A reply came while the message was still being sent: the server's last word.
    pub(super) fn on_early_reply(&mut self, reply: &Reply) {
        if self.outcome.is_none() && !self.is_dot_sent {
            let cause = Cause::Reply(reply.clone());
            if reply.is_permanent() {
                self.outcome = Some(Outcome::Refused(Phase::Body, cause));
            } else if reply.is_transient() {
                self.outcome = Some(Outcome::Deferred(Phase::Body, cause));
            }
        }
    }

    /// The server spoke before its turn, before `phase` began: what it says from now on cannot be told apart, so the
    /// session ends. Its last word counts where it puts off (RFC 5321 §3.8: 421 at any time), or where it refuses
    /// the message under way; a success that comes before its question never does.
    pub(super) fn on_early(&mut self, phase: Phase, reply: Option<Reply>, raw: String) {
        let outcome = match reply {
            Some(reply) if reply.is_transient() => Outcome::Deferred(phase, Cause::Reply(reply)),
            Some(reply) if reply.is_permanent() && phase == Phase::Body => {
                Outcome::Refused(phase, Cause::Reply(reply))
            }
            Some(reply) => Outcome::Deferred(phase, Cause::Fault(Fault::Early(reply.to_string()))),
            None => Outcome::Deferred(phase, Cause::Fault(Fault::Early(raw))),
        };
        self.outcome.get_or_insert(outcome);
        self.actions.clear();
        self.actions.push_back(Action::Close);
    }

    /// Says hello.
    fn hello(&mut self) {
        let word = if self.is_helo { "HELO" } else { "EHLO" };
        self.command(Phase::Ehlo, format!("{word} {}", self.plan.helo));
    }

    /// Decides on STARTTLS.
    fn after_hello(&mut self) {
        let wants_tls = matches!(self.plan.tls, TlsMode::IfOffered | TlsMode::Required) && !self.is_tls;
        if wants_tls && self.extensions.has("STARTTLS") {
            self.command(Phase::StartTls, "STARTTLS".to_owned());
        } else if self.plan.tls == TlsMode::Required && !self.is_tls {
            self.end_with(Outcome::Deferred(Phase::StartTls, Cause::Fault(Fault::NoStartTls)));
        } else {
            self.after_tls();
        }
    }

    /// Decides on AUTH.
    fn after_tls(&mut self) {
        let Some(credentials) = self.plan.credentials else {
            return self.transaction();
        };
        let refuse = |fault| Outcome::Refused(Phase::Auth, Cause::Fault(fault));
        if !credentials.is_allowed_in_clear {
            // RFC 4954 §4 and §14: no password where anyone may read it.
            if !self.is_tls {
                return self.end_with(refuse(Fault::UnsafeAuth("the connection has no TLS")));
            }
            if !self.is_verified {
                return self.end_with(refuse(Fault::UnsafeAuth("the certificate was not verified")));
            }
        }
        let offers = |mechanism| self.extensions.offers(mechanism);
        let mechanism = match credentials.mechanism {
            Mechanism::Password if offers("PLAIN") => Mechanism::Plain,
            Mechanism::Password => Mechanism::Login,
            other => other,
        };
        let (word, first, mut answers) = match mechanism {
            Mechanism::Plain | Mechanism::Password => ("PLAIN", Some(encode(&plain(credentials))), vec![]),
            Mechanism::Login => {
                ("LOGIN", None, vec![encode(&credentials.user), encode(credentials.secret.reveal())])
            }
            // A challenge after our answer carries the error, and is answered by an empty line.
            Mechanism::XOauth2 => ("XOAUTH2", Some(encode(&xoauth2(credentials))), vec![String::new()]),
        };
        if !offers(word) {
            let offered = self.extensions.find("AUTH").unwrap_or("no AUTH at all").to_owned();
            return self.end_with(refuse(Fault::NoAuth(offered)));
        }
        let mut line = format!("AUTH {word}");
        if let Some(first) = first {
            // RFC 4954 §4: within the length of a command, or after an empty challenge.
            if line.len() + first.len() + 3 <= limits::AUTH_LINE_BYTES {
                line.push(' ');
                line.push_str(&first);
            } else {
                answers.insert(0, first);
            }
        }
        self.answers = answers.into();
        self.push(Phase::Auth, line, format!("AUTH {word} …"));
        self.actions.push_back(Action::Receive(Phase::Auth));
    }

    /// Answers a 334.
    fn answer_challenge(&mut self) {
        match self.answers.pop_front() {
            Some(answer) => {
                self.push(Phase::Auth, answer, "…".to_owned());
                self.actions.push_back(Action::Receive(Phase::Auth));
            }
            None => self.on_fault(Phase::Auth, Fault::Unexpected("one more challenge".to_owned())),
        }
    }

    /// Begins the transaction, or tells why the server cannot take the message.
    fn transaction(&mut self) {
        let plan = &self.plan;
        let refuse = |fault| Outcome::Refused(Phase::Mail, Cause::Fault(fault));
        let path = plan.submission.mail_from.to_string();
        let to = plan.submission.rcpt_to.to_string();
        let needs_smtputf8 = plan.submission.needs_smtputf8 || !path.is_ascii() || !to.is_ascii();
        if needs_smtputf8 && !self.extensions.has("SMTPUTF8") {
            return self.end_with(refuse(Fault::NoSmtpUtf8));
        }
        if plan.has_8bit && !self.extensions.has("8BITMIME") {
            return self.end_with(refuse(Fault::NoEightBit));
        }
        if let Some(limit) = self.extensions.size().filter(|limit| *limit < plan.size) {
            return self.end_with(refuse(Fault::TooLarge { size: plan.size, limit }));
        }
        // The null reverse-path prints with its brackets.
        let mut line = match path.as_str() {
            "<>" => "MAIL FROM:<>".to_owned(),
            path => format!("MAIL FROM:<{path}>"),
        };
        if self.extensions.has("SIZE") {
            line.push_str(" SIZE=");
            line.push_str(&plan.size.to_string());
        }
        if self.extensions.has("8BITMIME") {
            line.push_str(if plan.has_8bit { " BODY=8BITMIME" } else { " BODY=7BIT" });
        }
        if needs_smtputf8 {
            line.push_str(" SMTPUTF8");
        }
        if let Some(dsn) = self.dsn() {
            line.push_str(" RET=HDRS");
            if !dsn.envid.is_empty() && dsn.envid.len() <= limits::DSN_ENVID_BYTES {
                line.push_str(" ENVID=");
                line.push_str(&xtext(&dsn.envid));
            }
        }
        self.is_pipelined = self.extensions.has("PIPELINING");
        if self.is_pipelined {
            let rcpt = self.rcpt_line();
            self.push(Phase::Mail, line, String::new());
            self.push(Phase::Rcpt, rcpt, String::new());
            self.actions.extend([Action::Receive(Phase::Mail), Action::Receive(Phase::Rcpt)]);
        } else {
            self.command(Phase::Mail, line);
        }
    }

    /// What to ask of the delivery, if the server can be asked.
    fn dsn(&self) -> Option<&DsnRequest> {
        self.plan.dsn.filter(|_| self.extensions.has("DSN"))
    }

    /// The RCPT command.
    fn rcpt_line(&self) -> String {
        let to = self.plan.submission.rcpt_to.to_string();
        let mut line = format!("RCPT TO:<{to}>");
        if self.dsn().is_some() {
            line.push_str(" NOTIFY=FAILURE,DELAY");
            let original = if to.is_ascii() {
                format!("rfc822;{}", xtext(&to))
            } else {
                format!("utf-8;{}", utf8_xtext(&to))
            };
            if original.len() <= limits::DSN_ORCPT_BYTES {
                line.push_str(" ORCPT=");
                line.push_str(&original);
            }
        }
        line
    }

    /// Sends a command and waits for its reply.
    fn command(&mut self, phase: Phase, line: String) {
        self.push(phase, line, String::new());
        self.actions.push_back(Action::Receive(phase));
    }

    /// Sends a line; `shown` stands for it in the record where it is not empty.
    fn push(&mut self, phase: Phase, line: String, shown: String) {
        let shown = if shown.is_empty() { line.clone() } else { shown };
        let mut bytes = line.into_bytes();
        bytes.extend_from_slice(b"\r\n");
        self.actions.push_back(Action::Send { phase, bytes, shown });
    }

    /// Notes the outcome, and says goodbye once the replies that are still due have come.
    fn end_with(&mut self, outcome: Outcome) {
        let phase = match &outcome {
            Outcome::Refused(phase, _) | Outcome::Deferred(phase, _) => Some(*phase),
            Outcome::Accepted(_) | Outcome::InDoubt(_) => None,
        };
        self.outcome.get_or_insert(outcome);
        if phase == Some(Phase::Mail) && self.actions.front() == Some(&Action::Receive(Phase::Rcpt)) {
            return;
        }
        self.quit();
    }

    /// Says goodbye.
    fn quit(&mut self) {
        self.actions.clear();
        self.actions.extend([
            Action::Send { phase: Phase::Quit, bytes: b"QUIT\r\n".to_vec(), shown: "QUIT".to_owned() },
            Action::Receive(Phase::Quit),
        ]);
    }
}

/// Base64 of a text.
fn encode(text: &str) -> String {
    BASE64.encode(text.as_bytes())
}

/// The message of PLAIN, RFC 4616 §2.
fn plain(credentials: &Credentials) -> String {
    format!("\0{}\0{}", credentials.user, credentials.secret.reveal())
}

/// The message of XOAUTH2.
fn xoauth2(credentials: &Credentials) -> String {
    format!("user={}\u{1}auth=Bearer {}\u{1}\u{1}", credentials.user, credentials.secret.reveal())
}

/// A text as xtext (RFC 3461 §4): what is not printable ASCII, and `+` and `=`, as `+` and two digits.
fn xtext(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'!'..=b'~' if !matches!(octet, b'+' | b'=') => out.push(char::from(octet)),
            _ => {
                let _ = write!(out, "+{octet:02X}");
            }
        }
    }
    out
}

/// An address as utf-8-addr-unitext (RFC 6533 §3): only for servers that take UTF-8.
fn utf8_xtext(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '+' | '=' | '\\' | '\0'..=' ' | '\u{7f}' => {
                let _ = write!(out, "\\x{{{:02X}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

// ---- Message on the wire ----

/// The message with CRLF line ends throughout and at its end, not dot-stuffed.
///
/// Shape: borrowed where nothing had to change, as with every message that we compose.
/// Standard: RFC 5321 §2.3.8, a client sends no bare CR or LF.
pub(super) fn wire_lines(message: &[u8]) -> Cow<'_, [u8]> {
    let is_clean = (message.ends_with(b"\r\n") || message.is_empty()) && {
        let mut at = 0;
        loop {
            match message.get(at..).and_then(|rest| memchr::memchr2(b'\r', b'\n', rest)) {
                None => break true,
                Some(offset) => match message.get(at + offset..at + offset + 2) {
                    Some(b"\r\n") => at += offset + 2,
                    _ => break false,
                },
            }
        }
    };
    if is_clean {
        return Cow::Borrowed(message);
    }
    let mut lines = Vec::with_capacity(message.len() + message.len() / 32 + 2);
    let mut rest = message;
    while let Some(offset) = memchr::memchr2(b'\r', b'\n', rest) {
        let (line, end) = rest.split_at(offset);
        lines.extend_from_slice(line);
        lines.extend_from_slice(b"\r\n");
        rest = match end {
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => &[],
        };
    }
    if !rest.is_empty() {
        lines.extend_from_slice(rest);
        lines.extend_from_slice(b"\r\n");
    }
    Cow::Owned(lines)
}

/// Doubles the dot at the start of a line (RFC 5321 §4.5.2). The message has CRLF line ends.
pub(super) fn stuff_dots(lines: &[u8]) -> Cow<'_, [u8]> {
    let starts_with_dot = lines.first() == Some(&b'.');
    let mut finder = memchr::memmem::find_iter(lines, b"\n.").peekable();
    if !starts_with_dot && finder.peek().is_none() {
        return Cow::Borrowed(lines);
    }
    let mut stuffed = Vec::with_capacity(lines.len() + 64);
    if starts_with_dot {
        stuffed.push(b'.');
    }
    let mut done = 0;
    for at in finder {
        stuffed.extend_from_slice(lines.get(done..=at).unwrap_or_default());
        stuffed.push(b'.');
        done = at + 1;
    }
    stuffed.extend_from_slice(lines.get(done..).unwrap_or_default());
    Cow::Owned(stuffed)
}

#[cfg(test)]
mod tests;
