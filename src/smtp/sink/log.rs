//! The lines of the log: one a session, one a message; every outside text is made harmless.

use std::fmt::Write as _;

use crate::limits;
use crate::mail::{Address, Envelope, TlsSession, visible};

/// Text from outside, cut to a length and without anything that a terminal or a log reader acts on:
/// control characters, line separators, marks that turn the direction of text, quotes and backslashes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (count, c) in text.chars().enumerate() {
        if count >= limits::LOG_TEXT_CHARS {
            out.push_str("...");
            break;
        }
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        visible::push(&mut out, c);
    }
    out
}

/// The recipients, the first few of them.
pub(super) fn recipients(addresses: &[Address]) -> String {
    let mut out = String::new();
    for (at, address) in addresses.iter().enumerate() {
        if at >= limits::LOG_RECIPIENTS {
            // Writing to a string cannot fail.
            let _ = write!(out, " and {} more", addresses.len() - at);
            break;
        }
        if at > 0 {
            out.push_str(", ");
        }
        out.push_str(&escaped(&address.to_string()));
    }
    out
}

/// The TLS session in a few words, `none` without one.
pub(super) fn tls(tls: Option<&TlsSession>) -> String {
    match tls {
        None => "none".to_owned(),
        Some(tls) => match &tls.server_name {
            None => format!("{} {}", tls.version, tls.cipher),
            Some(name) => format!("{} {} {}", tls.version, tls.cipher, escaped(name)),
        },
    }
}

/// What the line of a message says of its envelope, taken before the envelope is handed over.
#[derive(Debug)]
pub(super) struct MessageLine {
    from: String,
    recipients: String,
    helo: String,
    tls: String,
}

impl MessageLine {
    /// Takes the words of `envelope`, if the log wants them at all.
    pub(super) fn of(envelope: &Envelope) -> Option<Self> {
        tracing::enabled!(tracing::Level::INFO).then(|| Self {
            from: envelope.mail_from.as_ref().map(|from| escaped(&from.to_string())).unwrap_or_default(),
            recipients: recipients(&envelope.rcpt_to),
            helo: escaped(envelope.helo.as_deref().unwrap_or_default()),
            tls: tls(envelope.tls.as_ref()),
        })
    }

    /// Writes the line.
    pub(super) fn write(&self, session: u64, peer: std::net::SocketAddr, outcome: &Outcome<'_>) {
        tracing::info!(
            session,
            %peer,
            helo = %self.helo,
            tls = %self.tls,
            from = %self.from,
            rcpts = %self.recipients,
            bytes = outcome.bytes,
            reply = %escaped(outcome.reply),
            reason = %escaped(outcome.reason),
            seconds = outcome.seconds,
            "message"
        );
    }
}

/// How a message ended.
#[derive(Debug)]
pub(super) struct Outcome<'a> {
    /// Bytes of the message.
    pub(super) bytes: u64,
    /// The reply, code and text.
    pub(super) reply: &'a str,
    /// The cause of a refusal.
    pub(super) reason: &'a str,
    /// Seconds from the end of data to the reply.
    pub(super) seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_text_is_harmless() {
        let cases = [
            ("plain.example", "plain.example"),
            ("a\u{1b}[31m\0\r\n", "a\\x1b[31m\\x00\\r\\n"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
            ("say \"x\\\"", "say \\\"x\\\\\\\""),
            ("bücher", "bücher"),
        ];
        for (text, want) in cases {
            assert_eq!(escaped(text), want, "{text:?}");
        }
        assert!(escaped(&"x".repeat(10_000)).len() <= limits::LOG_TEXT_CHARS + 3);
    }

    #[test]
    fn recipients_are_capped() {
        let address = Address::parse("a@b.example").unwrap();
        assert_eq!(recipients(&vec![address.clone(); 2]), "a@b.example, a@b.example");
        assert!(recipients(&vec![address; 100]).ends_with("a@b.example and 95 more"));
    }
}
