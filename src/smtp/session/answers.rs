//! How the session answers each command, and what counts against its limits.

use crate::mail::{Address, Refusal};

use super::xforward::{ATTRIBUTES, Forwarded};
use super::{CloseReason, Data, Desk, Event, Helo, Phase, Session, Transaction, write};
use crate::smtp::command::{Command, Fault, Mail};
use crate::smtp::data::DataReader;

impl Session {
    /// Answers one command.
    pub(super) fn answer(
        &mut self,
        command: Command,
        desk: &impl Desk,
        replies: &mut Vec<u8>,
    ) -> Option<Event> {
        match command {
            Command::Ehlo(name) => return self.hello(name, true, replies),
            Command::Helo(name) => return self.hello(name, false, replies),
            Command::Mail(mail) => return self.mail(mail, desk, replies),
            Command::Rcpt(address) => return self.recipient(address, desk, replies),
            Command::Data => return self.data(replies),
            Command::Rset => {
                self.transaction = None;
                self.forwarded = None;
                return self.junk("250 2.0.0 OK", replies);
            }
            Command::Noop => return self.junk("250 2.0.0 OK", replies),
            Command::Help => return self.junk("214 2.0.0 See RFC 5321; postmaster reads mail here", replies),
            // RFC 5321 §7.3: we tell nobody who is here.
            Command::Vrfy => return self.junk("252 2.5.2 Cannot verify, but will take mail", replies),
            Command::Xforward(attributes) => return self.xforward(&attributes, replies),
            Command::StartTls => return self.start_tls(replies),
            Command::Quit => {
                write(replies, &["221 2.0.0 ", &self.options.host_name, " closing"]);
                return Some(Event::Close(CloseReason::Quit));
            }
            Command::NotDone => return self.fault((502, "5.5.1", "Command not implemented"), replies),
            Command::Foreign => {}
        }
        Some(Self::refuse_foreign(replies))
    }

    /// Answers EHLO and HELO; both end the transaction (RFC 5321 §4.1.4).
    fn hello(&mut self, name: String, is_esmtp: bool, replies: &mut Vec<u8>) -> Option<Event> {
        self.transaction = None;
        self.forwarded = None;
        if let Some(event) = self.count_junk(replies) {
            return Some(event);
        }
        self.helo = Some(Box::new(Helo { name, is_esmtp }));
        let host = &self.options.host_name;
        if !is_esmtp {
            write(replies, &["250 ", host]);
            return None;
        }
        let caps = &self.options.limits;
        write(replies, &["250-", host]);
        write(replies, &["250-SIZE ", &caps.message_bytes.to_string()]);
        write(replies, &["250-PIPELINING"]);
        write(replies, &["250-8BITMIME"]);
        write(replies, &["250-SMTPUTF8"]);
        if self.options.is_tls_offered && self.tls.is_none() {
            write(replies, &["250-STARTTLS"]);
        }
        if self.peer.is_relay {
            write(replies, &["250-XFORWARD ", ATTRIBUTES]);
        }
        let (recipients, messages) = (caps.recipients.to_string(), caps.messages.to_string());
        write(replies, &["250-LIMITS RCPTMAX=", &recipients, " MAILMAX=", &messages]);
        write(replies, &["250 ENHANCEDSTATUSCODES"]);
        None
    }

    /// Answers XFORWARD, which exists for trusted relays only.
    fn xforward(&mut self, attributes: &str, replies: &mut Vec<u8>) -> Option<Event> {
        if !self.peer.is_relay {
            // As any command that we do not know.
            return self.fault((500, "5.5.1", "Command not recognized"), replies);
        }
        if self.helo.is_none() {
            return self.fault((503, "5.5.1", "EHLO first"), replies);
        }
        if self.transaction.is_some() {
            return self.fault((503, "5.5.1", "Mail transaction in progress"), replies);
        }
        let mut forwarded = self.forwarded.take().unwrap_or_else(|| Box::new(Forwarded::default()));
        let taken = forwarded.take(attributes);
        self.forwarded = Some(forwarded);
        match taken {
            Ok(()) => {
                write(replies, &["250 2.0.0 OK"]);
                None
            }
            Err(fault) => self.fault(fault, replies),
        }
    }

    /// Answers MAIL.
    fn mail(&mut self, mail: Mail, desk: &impl Desk, replies: &mut Vec<u8>) -> Option<Event> {
        if self.helo.is_none() {
            return self.fault((503, "5.5.1", "EHLO first"), replies);
        }
        if self.transaction.is_some() {
            return self.fault((503, "5.5.1", "Nested MAIL"), replies);
        }
        let caps = &self.options.limits;
        if self.counts.messages >= caps.messages {
            self.close_with("4.7.0", "enough messages in this session", replies);
            return Some(Event::Close(CloseReason::Messages));
        }
        let size_bytes = mail.size_bytes.unwrap_or(0);
        if size_bytes > caps.message_bytes {
            // RFC 1870 §6.1.
            return self.fault((552, "5.3.4", "Message too big"), replies);
        }
        if let Err(refusal) = desk.has_room(size_bytes) {
            return self.refuse(&refusal, replies).map(Event::Close);
        }
        self.transaction =
            Some(Box::new(Transaction { from: mail.from, is_utf8: mail.is_utf8, recipients: Vec::new() }));
        write(replies, &["250 2.1.0 OK"]);
        None
    }

    /// Answers RCPT. A refused recipient leaves the others (RFC 5321 §3.3).
    fn recipient(&mut self, address: Address, desk: &impl Desk, replies: &mut Vec<u8>) -> Option<Event> {
        let cap = self.options.limits.recipients;
        let Some(transaction) = &mut self.transaction else {
            return self.fault((503, "5.5.1", "MAIL first"), replies);
        };
        if transaction.recipients.len() >= cap {
            // RFC 5321 §4.5.3.1.10: not 552, and the session goes on.
            write(replies, &["452 4.5.3 Too many recipients"]);
            return None;
        }
        if let Err(refusal) = desk.recipient(&address) {
            return self.refuse(&refusal, replies).map(Event::Close);
        }
        // The same mailbox twice is one delivery.
        if !transaction.recipients.contains(&address) {
            transaction.recipients.push(address);
        }
        write(replies, &["250 2.1.5 OK"]);
        None
    }

    /// Answers DATA.
    fn data(&mut self, replies: &mut Vec<u8>) -> Option<Event> {
        match &self.transaction {
            None => self.fault((503, "5.5.1", "MAIL first"), replies),
            // RFC 2920 §3.1: DATA may come in one packet with recipients that were all refused.
            Some(transaction) if transaction.recipients.is_empty() => {
                self.fault((554, "5.5.1", "No valid recipients"), replies)
            }
            Some(_) => {
                let data = Data { reader: DataReader::new(), size_bytes: 0, refusal: None };
                self.phase = Phase::Data(Box::new(data));
                write(replies, &["354 End data with <CRLF>.<CRLF>"]);
                None
            }
        }
    }

    /// Answers STARTTLS.
    fn start_tls(&mut self, replies: &mut Vec<u8>) -> Option<Event> {
        if self.tls.is_some() {
            return self.fault((503, "5.5.1", "TLS is active"), replies);
        }
        if !self.options.is_tls_offered {
            return self.fault((502, "5.5.1", "Command not implemented"), replies);
        }
        write(replies, &["220 2.0.0 Ready to start TLS"]);
        Some(Event::StartTls)
    }

    /// Writes a reply to a faulty command, or 421 when there were too many.
    pub(super) fn fault(&mut self, (code, enhanced, text): Fault, replies: &mut Vec<u8>) -> Option<Event> {
        self.counts.errors += 1;
        if self.counts.errors > self.options.limits.errors {
            self.close_with("4.7.0", "too many errors", replies);
            return Some(Event::Close(CloseReason::Errors));
        }
        let blank = if enhanced.is_empty() { "" } else { " " };
        write(replies, &[&code.to_string(), " ", enhanced, blank, text]);
        None
    }

    /// Writes a refusal, made harmless; says why to close if it is a 421 or one error too many.
    pub(super) fn refuse(&mut self, refusal: &Refusal, replies: &mut Vec<u8>) -> Option<CloseReason> {
        let text: String = refusal
            .text
            .chars()
            .take(400)
            .map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' })
            .collect();
        // A refusal is 4xx or 5xx; anything else would be our fault, which is temporary.
        let code = if (400..600).contains(&refusal.code) { refusal.code } else { 451 };
        if code >= 500 {
            self.counts.errors += 1;
            if self.counts.errors > self.options.limits.errors {
                self.close_with("4.7.0", "too many errors", replies);
                return Some(CloseReason::Errors);
            }
        }
        write(replies, &[&code.to_string(), " ", refusal.enhanced, " ", &text]);
        (code == 421).then_some(CloseReason::Refused)
    }

    /// Ends what is not SMTP.
    pub(super) fn refuse_foreign(replies: &mut Vec<u8>) -> Event {
        write(replies, &["554 5.5.1 This is an SMTP server"]);
        Event::Close(CloseReason::Foreign)
    }

    /// Answers a command that does nothing.
    fn junk(&mut self, reply: &str, replies: &mut Vec<u8>) -> Option<Event> {
        if let Some(event) = self.count_junk(replies) {
            return Some(event);
        }
        write(replies, &[reply]);
        None
    }

    /// Counts a command that does nothing.
    fn count_junk(&mut self, replies: &mut Vec<u8>) -> Option<Event> {
        self.counts.junk += 1;
        if self.counts.junk <= self.options.limits.junk_commands {
            return None;
        }
        self.close_with("4.7.0", "too many commands without mail", replies);
        Some(Event::Close(CloseReason::Junk))
    }

    /// Writes a 421, which names us (RFC 5321 §3.8).
    pub(super) fn close_with(&self, enhanced: &str, text: &str, replies: &mut Vec<u8>) {
        write(replies, &["421 ", enhanced, " ", &self.options.host_name, " ", text]);
    }
}
