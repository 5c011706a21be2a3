//! XFORWARD: what a trusted relay says of the client from which it has the next message.
//!
//! The attributes hold for one transaction: its end, RSET and EHLO forget them. Nothing of the relay's own
//! session is mixed in: what it leaves out or calls `[UNAVAILABLE]` is not known.
//! Specification: Postfix XFORWARD_README; values are xtext (RFC 3461 §4).

use std::net::{IpAddr, SocketAddr};

use crate::limits;
use crate::mail::envelope::canonical_ip;
use crate::smtp::command::Fault;

/// The attributes that EHLO announces.
pub(super) const ATTRIBUTES: &str = "NAME ADDR PORT PROTO HELO IDENT SOURCE";

const BAD: Fault = (501, "5.5.4", "Attribute with a bad value");

/// What a relay said of its client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Forwarded {
    ip: Option<IpAddr>,
    port: Option<u16>,
    helo: Option<String>,
    protocol: Option<String>,
}

impl Forwarded {
    /// Takes the attributes of one command; those that it does not name stay.
    ///
    /// Errors: the reply; nothing was changed then.
    pub(super) fn take(&mut self, arguments: &str) -> Result<(), Fault> {
        const SYNTAX: Fault = (501, "5.5.4", "Syntax: XFORWARD attribute=value ...");
        let mut new = self.clone();
        let mut count = 0;
        for attribute in arguments.split_ascii_whitespace() {
            count += 1;
            let (name, value) = attribute.split_once('=').ok_or(SYNTAX)?;
            let value = value_of(value)?;
            match name.to_ascii_uppercase().as_str() {
                "ADDR" => {
                    // Not every transport has addresses: another word is no fault.
                    new.ip = value.as_deref().and_then(address);
                }
                "PORT" => {
                    new.port = match value {
                        Some(port) => Some(port.parse().map_err(|_| BAD)?),
                        None => None,
                    };
                }
                "HELO" => new.helo = value,
                "PROTO" => new.protocol = value,
                "NAME" | "IDENT" => {}
                "SOURCE" => {
                    let is_word = value.is_none_or(|word| {
                        ["LOCAL", "REMOTE"].iter().any(|known| word.eq_ignore_ascii_case(known))
                    });
                    if !is_word {
                        return Err(BAD);
                    }
                }
                _ => return Err((501, "5.5.4", "Attribute not known")),
            }
        }
        if count == 0 {
            return Err(SYNTAX);
        }
        *self = new;
        Ok(())
    }

    /// The client's address; its port is 0 where it is not known.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.ip.map(|ip| SocketAddr::new(ip, self.port.unwrap_or(0)))
    }

    /// The client's HELO name.
    pub(super) fn helo(&self) -> Option<&str> {
        self.helo.as_deref()
    }

    /// True if the client spoke ESMTP.
    pub(super) fn is_esmtp(&self) -> bool {
        self.protocol
            .as_deref()
            .and_then(|protocol| protocol.get(..5))
            .is_some_and(|word| word.eq_ignore_ascii_case("ESMTP"))
    }
}

/// Reads a value: `None` for `[UNAVAILABLE]` and `[TEMPUNAVAIL]`.
fn value_of(text: &str) -> Result<Option<String>, Fault> {
    if text.is_empty() || text.len() > limits::XFORWARD_VALUE_BYTES {
        return Err(BAD);
    }
    if text.eq_ignore_ascii_case("[UNAVAILABLE]") || text.eq_ignore_ascii_case("[TEMPUNAVAIL]") {
        return Ok(None);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'+' {
            let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
            let (high, low) = (digit().ok_or(BAD)?, digit().ok_or(BAD)?);
            out.push(u8::try_from(high << 4 | low).map_err(|_| BAD)?);
        } else {
            out.push(byte);
        }
    }
    let text = String::from_utf8(out).map_err(|_| BAD)?;
    if text.chars().any(|c| c.is_control() || c == ' ') { Err(BAD) } else { Ok(Some(text)) }
}

/// Reads an address: IPv4, or IPv6 with or without its tag.
fn address(text: &str) -> Option<IpAddr> {
    let bare = match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => text.get(5..)?,
        _ => text,
    };
    bare.parse().ok().map(canonical_ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn taken(commands: &[&str]) -> (Option<String>, Option<String>, bool) {
        let mut forwarded = Forwarded::default();
        for command in commands {
            forwarded.take(command).unwrap();
        }
        let peer = forwarded.peer().map(|peer| peer.to_string());
        (peer, forwarded.helo().map(str::to_owned), forwarded.is_esmtp())
    }

    #[test]
    fn attributes_add_up_and_are_erased() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            taken(&[
                " NAME=a.example ADDR=203.0.113.7 PORT=4711",
                " HELO=b.example proto=esmtps SOURCE=REMOTE"
            ]),
            (text("203.0.113.7:4711"), text("b.example"), true)
        );
        assert_eq!(taken(&[" addr=IPV6:2001:db8::7"]), (text("[2001:db8::7]:0"), None, false));
        assert_eq!(taken(&[" ADDR=::ffff:203.0.113.7"]).0, text("203.0.113.7:0"));
        assert_eq!(taken(&[" ADDR=203.0.113.7 HELO=x", " ADDR=[Unavailable]"]), (None, text("x"), false));
        assert_eq!(taken(&[" HELO=x", " HELO=[TEMPUNAVAIL] PROTO=SMTP"]), (None, None, false));
        assert_eq!(taken(&[" ADDR=local-socket"]).0, None);
        // xtext: plus, equals sign and letters beyond ASCII.
        assert_eq!(taken(&[" HELO=a+2Bb+3Dc+C3+BC"]).1, text("a+b=cü"));
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let long = format!(" HELO={}", "a".repeat(256));
        for bad in [
            "",
            " ",
            " ADDR",
            " =x",
            " HELO=",
            " HELO=a+",
            " HELO=a+2",
            " HELO=a+zz",
            " HELO=a+0D+0A",
            " HELO=a+20b",
            " HELO=+FF",
            " PORT=x",
            " PORT=65536",
            " SOURCE=HERE",
            " XCLIENT=1",
            &long,
        ] {
            let mut forwarded = Forwarded::default();
            forwarded.take(" ADDR=203.0.113.7").unwrap();
            let with_good = format!(" ADDR=198.51.100.9{bad}");
            let before = forwarded.clone();
            assert!(forwarded.take(bad).is_err(), "{bad:?}");
            if !bad.trim().is_empty() {
                assert!(forwarded.take(&with_good).is_err(), "{with_good:?}");
            }
            assert_eq!(forwarded, before, "{bad:?}");
        }
    }
}
