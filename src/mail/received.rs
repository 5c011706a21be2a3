//! Who handed a message to the relay in front of us, as the relay's own `Received` line says it.
//!
//! Only the part between `from` and `by` is read, in the forms of Postfix, Exim, Sendmail, Exchange and
//! qmail. The client chooses its HELO name, and with it text in that part: an address is taken only where the
//! relay itself writes one, and only if there is exactly one; in doubt the peer is not known.
//! Standards: RFC 5321 §4.4 (trace information).

use std::net::IpAddr;

use super::delivery_status::dates;
use super::envelope::canonical_ip;
use super::header;
use crate::clock::Timestamp;
use crate::limits;

/// What the `from` and `by` clauses of one line say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hop {
    /// The client's HELO name.
    pub helo: Option<String>,
    /// The client's address, in canonical form.
    pub ip: Option<IpAddr>,
    /// The name of the host that wrote the line.
    pub by: Option<String>,
    /// Its address, where it stands behind the name.
    pub by_ip: Option<IpAddr>,
}

/// The client of a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// Its address.
    pub ip: IpAddr,
    /// Its HELO name, where the line tells it.
    pub helo: Option<String>,
}

/// The client from which a trusted relay has a message: of its topmost `Received` line, or of a line below
/// where the client is a trusted relay too (also the relay itself, as with a content filter).
///
/// `head` is the beginning of the message; `relay_name` what the relay said in EHLO, `relay_ip` its address:
/// the line must be its own, so its `by` must be one of them. `is_relay` says whether an address is trusted.
/// Errors: `None` where the lines do not prove a client.
pub fn behind_relay(
    head: &[u8],
    relay_name: Option<&str>,
    relay_ip: IpAddr,
    is_relay: impl Fn(IpAddr) -> bool,
) -> Option<Behind> {
    let mut names: Vec<String> = relay_name.map(plain_name).into_iter().collect();
    let mut writer = relay_ip;
    let lines = header::fields(header_of(head))
        .filter(|(name, _)| name.eq_ignore_ascii_case("received"))
        .map(|(_, value)| header::decode_raw(value))
        // qmail writes a line of its own about its queue.
        .filter(|line| !line.starts_with("(qmail "));
    for line in lines.take(limits::RELAY_HOPS) {
        let hop = parse(&line)?;
        let by = plain_name(hop.by.as_deref()?);
        let is_own =
            names.contains(&by) || hop.by_ip == Some(writer) || address(&by).is_some_and(|ip| ip == writer);
        let ip = hop.ip.filter(|_| is_own)?;
        // The host's own loop: a filter, a second queue.
        let is_itself = ip == IpAddr::from([127, 0, 0, 1]) || ip == std::net::Ipv6Addr::LOCALHOST;
        if !is_itself && !is_relay(ip) {
            return Some(Behind { ip, helo: hop.helo });
        }
        names = vec![by];
        names.extend(hop.helo.as_deref().map(plain_name));
        if !is_itself {
            writer = ip;
        }
    }
    None
}

/// The header of a message: all before the first empty line.
fn header_of(head: &[u8]) -> &[u8] {
    let mut at = 0;
    loop {
        let rest = head.get(at..).unwrap_or_default();
        if rest.is_empty() || rest.starts_with(b"\n") || rest.starts_with(b"\r\n") {
            return head.get(..at).unwrap_or(head);
        }
        match memchr::memchr(b'\n', rest) {
            Some(end) => at += end + 1,
            None => return head,
        }
    }
}

/// A name to compare: lower case, without a dot at its end and without brackets.
fn plain_name(name: &str) -> String {
    let bare = name.trim_end_matches('.');
    let bare = bare.strip_prefix('[').and_then(|bare| bare.strip_suffix(']')).unwrap_or(bare);
    bare.to_ascii_lowercase()
}

// ---- One line ----

/// The stamp of an unfolded `Received` value: the date behind its last semicolon (RFC 5321 §4.4), with its zone.
///
/// Errors: `None` for no date, and for one without a zone: then nobody can say which instant it is.
pub fn stamp(line: &str) -> Option<Timestamp> {
    let (_, date) = line.rsplit_once(';')?;
    dates::instant(date.trim().get(..limits::DATE_BYTES).unwrap_or(date.trim()))
}

/// Reads an unfolded `Received` value.
///
/// Errors: `None` for a line that does not begin with `from` or has no `by` behind it, as for local mail.
pub fn parse(line: &str) -> Option<Hop> {
    let mut tokens = Tokens { rest: line };
    let first = tokens.next()?;
    if !matches!(first, Token::Word(word) if word.eq_ignore_ascii_case("from")) {
        return None;
    }
    let mut name = None;
    let mut comments = Vec::new();
    loop {
        match tokens.next()? {
            Token::Comment(comment) => comments.push(comment),
            Token::End => return None,
            // Whatever it is, a client may be called `by`.
            Token::Word(word) if name.is_none() && comments.is_empty() => name = Some(word),
            Token::Word(word) if word.eq_ignore_ascii_case("by") => break,
            Token::Word(_) => {}
        }
    }
    let mut hop = from_clause(name.unwrap_or_default(), &comments);
    if let Some(Token::Word(by)) = tokens.next() {
        hop.by = Some(by.to_owned());
        if let Some(Token::Comment(comment)) = tokens.next() {
            hop.by_ip = match Comment::read(comment).brackets.as_slice() {
                [ip] => Some(*ip),
                _ => address(comment.trim()),
            };
        }
    }
    Some(hop)
}

/// Brings the words of the `from` clause together.
fn from_clause(name: &str, comments: &[&str]) -> Hop {
    let comments: Vec<Comment<'_>> = comments.iter().map(|comment| Comment::read(comment)).collect();
    let literal = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).and_then(address);
    let stated = comments.iter().find_map(|comment| comment.helo);
    // A client's name may look like a comment, so all addresses of the clause must be one.
    let ip = match comments.iter().position(|comment| comment.is_exim) {
        // Exim: `[ip] (helo=x)`, or `name ([ip] helo=x)`, its own words first.
        Some(at) => {
            let exim = comments.get(at);
            let first = exim.filter(|exim| exim.is_address_first).and_then(|exim| exim.brackets.first());
            let ip = first.copied().or(literal);
            let others = comments.iter().enumerate().filter(|(other, _)| *other != at);
            match only(others.flat_map(|(_, comment)| comment.addresses())) {
                Found::None => ip,
                Found::One(other) => ip.filter(|ip| *ip == other),
                Found::Several => None,
            }
        }
        None => match only(comments.iter().flat_map(Comment::addresses)) {
            Found::One(ip) => Some(ip),
            Found::Several | Found::None => None,
        },
    };
    let named = (!name.is_empty() && !name.eq_ignore_ascii_case("unknown")).then_some(name);
    let helo = stated
        .filter(|helo| !helo.is_empty())
        .or(named)
        .filter(|helo| helo.len() <= limits::DOMAIN_BYTES + 2);
    Hop { helo: helo.map(str::to_owned), ip, by: None, by_ip: None }
}

/// How many different values there are.
enum Found {
    None,
    One(IpAddr),
    Several,
}

/// The only value of `ips`, however often it comes.
fn only(ips: impl Iterator<Item = IpAddr>) -> Found {
    let mut found = Found::None;
    for ip in ips {
        found = match found {
            Found::None => Found::One(ip),
            Found::One(known) if known == ip => Found::One(ip),
            Found::One(_) | Found::Several => return Found::Several,
        };
    }
    found
}

/// What one comment of the clause says.
#[derive(Debug, Default)]
struct Comment<'a> {
    /// Addresses in brackets.
    brackets: Vec<IpAddr>,
    /// The comment begins with such an address.
    is_address_first: bool,
    /// The comment is an address, with or without `ident@` before it and `:port` behind it.
    bare: Option<IpAddr>,
    /// The HELO name.
    helo: Option<&'a str>,
    /// Exim's `helo=`, `port=`, `ident=` at the place where Exim writes them.
    is_exim: bool,
}

impl<'a> Comment<'a> {
    /// The addresses in it.
    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.brackets.iter().copied().chain(self.bare)
    }

    /// Reads a comment, given without its parentheses.
    fn read(text: &'a str) -> Self {
        let text = text.trim();
        let mut comment = Self::default();
        // qmail: `HELO name`; also EHLO and LHLO by others.
        if let Some((verb, name)) = text.split_once(' ')
            && ["HELO", "EHLO", "LHLO"].iter().any(|known| verb.eq_ignore_ascii_case(known))
        {
            // It writes `?` for what has no place in a name, as round an address literal.
            comment.helo = Some(name.trim_matches(|c| c == '?' || c == ' ')).filter(|name| !name.is_empty());
            return comment;
        }
        for (at, word) in text.split_ascii_whitespace().enumerate() {
            let is_mark = ["helo=", "port=", "ident="].iter().any(|mark| word.starts_with(mark));
            if is_mark && (at == 0 || (at == 1 && comment.is_address_first)) {
                comment.is_exim = true;
            }
            if is_mark && comment.is_exim {
                if let Some(name) = word.strip_prefix("helo=") {
                    comment.helo.get_or_insert(name);
                }
                continue;
            }
            if let Some((inner, behind)) = word.strip_prefix('[').and_then(|rest| rest.split_once(']'))
                && (behind.is_empty() || behind.starts_with(':'))
                && let Some(ip) = address(inner)
            {
                comment.is_address_first |= at == 0;
                comment.brackets.push(ip);
            }
        }
        let bare = text.rsplit('@').next().unwrap_or_default();
        comment.bare =
            address(bare).or_else(|| bare.parse().ok().map(|at: std::net::SocketAddr| canonical_ip(at.ip())));
        comment
    }
}

/// Reads an address, with or without the tag of IPv6 and a zone.
fn address(text: &str) -> Option<IpAddr> {
    let text = match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => text.get(5..)?,
        _ => text,
    };
    text.split('%').next()?.parse().ok().map(canonical_ip)
}

/// A piece of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// A word.
    Word(&'a str),
    /// What stands in parentheses, nested ones with it.
    Comment(&'a str),
    /// A `;`: the date follows.
    End,
}

/// Cuts a line into its pieces.
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    /// The next piece; `None` at the end, and for a comment without its end.
    fn next(&mut self) -> Option<Token<'a>> {
        // Blanks of ASCII alone: a client's name may hold others, and would be two words.
        let text = self.rest.trim_ascii_start();
        let first = text.chars().next()?;
        if first == ';' {
            self.rest = text.get(1..)?;
            return Some(Token::End);
        }
        if first == '(' {
            let (mut depth, mut is_escaped) = (0usize, false);
            for (at, byte) in text.bytes().enumerate() {
                match byte {
                    _ if is_escaped => is_escaped = false,
                    b'\\' => is_escaped = true,
                    b'(' => depth += 1,
                    b')' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    self.rest = text.get(at + 1..)?;
                    return Some(Token::Comment(text.get(1..at)?));
                }
            }
            return None;
        }
        let end = text.find(|c: char| c.is_ascii_whitespace() || c == '(' || c == ';').unwrap_or(text.len());
        self.rest = text.get(end..)?;
        Some(Token::Word(text.get(..end)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(line: &str, helo: Option<&str>, ip: Option<&str>, by: &str) {
        let hop = parse(line).unwrap_or_else(|| panic!("no hop: {line}"));
        let ip = ip.map(|ip| ip.parse().unwrap());
        assert_eq!((hop.helo.as_deref(), hop.ip, hop.by.as_deref()), (helo, ip, Some(by)), "{line}");
    }

    #[test]
    fn the_forms_of_each_program() {
        let (ten, v6) = (Some("192.0.2.10"), Some("2001:db8::10"));
        // Postfix.
        for (line, helo, ip) in [
            (
                "from mail.a.example (mail.a.example [192.0.2.10])\t(using TLSv1.3 with cipher X (256/256 bits)\t key-exchange X25519)\t(No client certificate requested)\tby mx.example (Postfix) with ESMTPS id 1; Wed",
                "mail.a.example",
                ten,
            ),
            (
                "from [192.168.1.5] (unknown [192.0.2.10])\t(Authenticated sender: a@b.example)\tby mx.example (Postfix) with ESMTPA id 1;",
                "[192.168.1.5]",
                ten,
            ),
            (
                "from a.example (unknown [IPv6:2001:db8::10]) by mx.example (Postfix) with ESMTP id 1;",
                "a.example",
                v6,
            ),
            ("from by (unknown [192.0.2.10]) by mx.example with SMTP;", "by", ten),
        ] {
            check(line, Some(helo), ip, "mx.example");
        }
        // Exim.
        for (line, helo, ip) in [
            (
                "from [192.0.2.10] (helo=c.example) by mx.example with esmtpsa (TLS1.3) (Exim 4.97.1) id 1;",
                "c.example",
                ten,
            ),
            (
                "from a.example ([192.0.2.10]:52313) by mx.example with esmtps (Exim 4.92) id 1",
                "a.example",
                ten,
            ),
            ("from a.example ([192.0.2.10] helo=c.example) by mx.example with esmtp id 1;", "c.example", ten),
            (
                "from [2001:db8::10] (port=1234 helo=[10.0.0.9] ident=joe) by mx.example with esmtp id 1;",
                "[10.0.0.9]",
                v6,
            ),
            (
                "from a.example ([2001:db8::10]:5 helo=c.example) by mx.example with esmtp id 1;",
                "c.example",
                v6,
            ),
        ] {
            check(line, Some(helo), ip, "mx.example");
        }
        // Sendmail.
        for (line, helo, ip) in [
            (
                "from a.example (b.example [192.0.2.10])\tby mx.example (8.17.1/8.17.1) with ESMTPS id 1\t(version=TLSv1.3) for <u@x.example>; Wed",
                "a.example",
                ten,
            ),
            (
                "from [10.0.0.1] (h.example [192.0.2.10] (may be forged)) (authenticated bits=0) by mx.example (8.14.3/8.14.3) with ESMTP id 1;",
                "[10.0.0.1]",
                ten,
            ),
            (
                "from a.example (IDENT:joe@b.example [192.0.2.10]) by mx.example (8.9.3/8.9.3) with SMTP id 1;",
                "a.example",
                ten,
            ),
            (
                "from a.example ([192.0.2.10]) by mx.example (8.17.1/8.17.1) with ESMTP id 1;",
                "a.example",
                ten,
            ),
        ] {
            check(line, Some(helo), ip, "mx.example");
        }
        // Exchange; qmail; Courier.
        for (line, helo, ip) in [
            (
                "from a.example (192.0.2.10) by mx.example (2603:10a6::f) with Microsoft SMTP Server (version=TLS1_3) id 15.20.8901.19 via Frontend Transport; Tue,",
                Some("a.example"),
                ten,
            ),
            (
                "from a.example ([192.0.2.10]) by mx.example with Microsoft SMTPSVC(6.0.3790.4675);\t Thu",
                Some("a.example"),
                ten,
            ),
            (
                "from unknown (HELO c.example) (joe@192.0.2.10)  by mx.example with SMTP; 14 Nov",
                Some("c.example"),
                ten,
            ),
            (
                "from b.example (HELO ?10.0.0.9?) (192.0.2.10)  by mx.example with SMTP; 14 Nov",
                Some("10.0.0.9"),
                ten,
            ),
            ("from b.example (192.0.2.10) by mx.example with SMTP;", Some("b.example"), ten),
            ("from unknown (192.0.2.10) by mx.example with SMTP;", None, ten),
            (
                "from c.example (c.example [::ffff:192.0.2.10]) (AUTH: LOGIN p, TLS: TLS1.3) by mx.example with ESMTPSA id 1;",
                Some("c.example"),
                ten,
            ),
        ] {
            check(line, helo, ip, "mx.example");
        }
    }

    #[test]
    fn a_name_that_the_client_chose_is_no_address() {
        for (line, ip) in [
            ("from [6.6.6.6] (unknown [192.0.2.10]) by mx.example with ESMTP id 1;", Some("192.0.2.10")),
            ("from [192.0.2.10] (helo=[6.6.6.6]) by mx.example with esmtp id 1;", Some("192.0.2.10")),
            ("from a.example ([192.0.2.10] helo=[6.6.6.6]) by mx.example with esmtp;", Some("192.0.2.10")),
            ("from unknown (HELO [6.6.6.6]) (192.0.2.10) by mx.example with SMTP;", Some("192.0.2.10")),
            ("from unknown (HELO 6.6.6.6) (6.6.6.6@192.0.2.10) by mx.example with SMTP;", Some("192.0.2.10")),
            // A name of its own behind the ident, two addresses, none that the host wrote.
            ("from [6.6.6.6] (IDENT:x helo=y@h.example [192.0.2.10]) by mx.example;", Some("192.0.2.10")),
            ("from a.example (IDENT:x [6.6.6.6] y@h.example [192.0.2.10]) by mx.example;", None),
            ("from [6.6.6.6] by mx.example with SMTP;", None),
            ("from 6.6.6.6 by mx.example with SMTP;", None),
            ("from a.example (6.6.6.6) (192.0.2.10) by mx.example with SMTP;", None),
            // A name that looks like the words of another program.
            ("from a([6.6.6.6]) (192.0.2.10) by mx.example with SMTP;", None),
            ("from a(6.6.6.6) (unknown [192.0.2.10]) by mx.example with ESMTP;", None),
            ("from [6.6.6.6](helo=a) (unknown [192.0.2.10]) by mx.example with ESMTP;", None),
            ("from a([6.6.6.6]:1) (unknown [192.0.2.10]) by mx.example with ESMTP;", None),
            ("from a(port=1) (unknown [192.0.2.10]) by mx.example with ESMTP;", None),
        ] {
            assert_eq!(parse(line).unwrap().ip, ip.map(|ip| ip.parse().unwrap()), "{line}");
        }
        // A name that is stated and empty is none.
        let hop = parse("from a.example ([192.0.2.10] helo=) by mx.example with esmtp;").unwrap();
        assert_eq!(hop.helo.as_deref(), Some("a.example"));
        // Other blanks than those of ASCII do not end a name.
        let line = "from a([6.6.6.6])by\u{a0}mx.example (unknown [192.0.2.10]) by mx.example with ESMTP;";
        assert_eq!(parse(line).unwrap().ip, None);
        for line in [
            "",
            "by mx.example (Postfix, from userid 33) id 1;",
            "(qmail 1 invoked from network); 14",
            "from a",
            "(from root@localhost) by host.example (8.15.2) id 1;",
            "from a (b [192.0.2.10]; by mx",
            "from a; by b",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    fn found(head: &str) -> Option<String> {
        let relay = "192.0.2.1".parse().unwrap();
        let trusted = |ip: IpAddr| ip.to_string().starts_with("192.0.2.");
        behind_relay(head.as_bytes(), Some("Relay.example"), relay, trusted)
            .map(|found| format!("{} {}", found.ip, found.helo.unwrap_or_default()))
    }

    #[test]
    fn only_lines_of_trusted_relays_count() {
        let top = "Received: from a.example (a.example [203.0.113.7])\r\n\tby relay.example. (Postfix)\r\n\twith ESMTP id 1; Wed\r\n";
        let want = Some("203.0.113.7 a.example".to_owned());
        let forged = "Received: from x (x [6.6.6.6]) by relay.example with SMTP;\r\n";
        assert_eq!(found(&format!("Return-Path: <a@b>\r\n{top}{forged}\r\nbody")), want);
        // Without a line of the relay's own, nothing below is believed.
        for other in [
            "Received: from x (x [6.6.6.6]) by other.example with SMTP;\r\n",
            "Received: by relay.example (Postfix, from userid 0)\r\n\tid 1;\r\n",
            "Received: from localhost by relay.example with SMTP;\r\n",
        ] {
            assert_eq!(found(&format!("{other}{forged}{top}\r\n")), None, "{other}");
        }
        assert_eq!(found(&format!("Subject: x\r\n\r\n{top}")), None, "a line in the body");
        assert_eq!(found(&format!("\r\n{top}")), None);
        assert_eq!(found(""), None);
        // By its address.
        let by_address = "Received: from a.example ([203.0.113.7]) by other ([192.0.2.1]) with SMTP;\r\n";
        assert_eq!(found(by_address), want);
        // Behind a filter on the relay, behind a second relay, behind qmail's note.
        let filter = "Received: from localhost (localhost [127.0.0.1])\r\n by relay.example (Postfix) with ESMTP id 2;\r\nReceived: from relay.example ([127.0.0.1])\r\n by localhost (relay.example [127.0.0.1]) (amavis, port 10024) with ESMTP;\r\n";
        assert_eq!(found(&format!("{filter}{top}{forged}")), want);
        let second = "Received: from edge.example (unknown [192.0.2.9]) by relay.example with ESMTP;\r\nReceived: from a.example (HELO b) (203.0.113.7)\r\n  by edge.example with SMTP;\r\n";
        assert_eq!(
            found(&format!("Received: (qmail 1 invoked from network); 1 Jan\r\n{second}{forged}")),
            Some("203.0.113.7 b".into())
        );
        let endless = "Received: from relay.example (x [192.0.2.9]) by relay.example with ESMTP;\r\n";
        assert_eq!(found(&format!("{}{top}", endless.repeat(50))), None);
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(text in "[ -~\u{e9}\t]{0,120}", words in prop::collection::vec(
            prop::sample::select(vec!["from ", "by ", "(", ")", "[192.0.2.1]", "[", "]", "helo=", "\\", ";", "HELO x", "@"]), 0..20))
        {
            let _ = parse(&text);
            let _ = parse(&format!("from {}{text}", words.concat()));
            let _ = found(&format!("Received: from {}\r\n {text}", words.concat()));
        }
    }
}
