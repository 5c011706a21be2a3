//! One command line, read: bytes of the line in, a [`Command`] or the reply that refuses it out.
//!
//! Verbs and parameters are read by smtp-proto. Three things are not left to it, since it takes what we
//! must refuse and refuses what we must take (0.2.5): characters are checked before (it accepts every
//! byte from 0x7f up), paths are read here (it reads `<>` and `<Postmaster>` both as "" and refuses
//! address literals), and a size is read here (it lets a huge one wrap round).
//! Standards: RFC 5321 §4.1, RFC 1870 §6, RFC 6152 §2, RFC 6531 §3.4.

use smtp_proto::request::parser::Rfc5321Parser;
use smtp_proto::{Error, Request};

use crate::limits;
use crate::mail::{Address, ReversePath};

/// A reply of one line: code, enhanced status code (absent where RFC 2034 §4 wants none) and text.
pub(super) type Fault = (u16, &'static str, &'static str);

/// A command that the session acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// EHLO with the peer's name.
    Ehlo(String),
    /// HELO with the peer's name.
    Helo(String),
    /// MAIL.
    Mail(Mail),
    /// RCPT with the recipient.
    Rcpt(Address),
    /// DATA.
    Data,
    /// RSET.
    Rset,
    /// NOOP with or without a word.
    Noop,
    /// HELP with or without a word.
    Help,
    /// VRFY.
    Vrfy,
    /// XFORWARD with its attributes.
    Xforward(String),
    /// STARTTLS.
    StartTls,
    /// QUIT.
    Quit,
    /// A command of the standards that this server does not do.
    NotDone,
    /// Another protocol than SMTP speaks here.
    Foreign,
}

/// What MAIL says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mail {
    /// The reverse-path.
    pub(super) from: ReversePath,
    /// Declared size of the message, bytes (RFC 1870 §6.1).
    pub(super) size_bytes: Option<u64>,
    /// The transaction is internationalized (RFC 6531 §3.4).
    pub(super) is_utf8: bool,
}

/// Words that begin a request of HTTP or its header fields; no SMTP command is among them.
const FOREIGN: [&str; 10] =
    ["GET", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "DELETE", "PRI", "HOST:", "USER-AGENT:"];

const NEED_UTF8: Fault = (553, "5.6.7", "Address needs SMTPUTF8");
const BAD_PARAMETER: Fault = (501, "5.5.4", "Parameter with a bad value");
const TWICE: Fault = (501, "5.5.4", "Parameter given twice");
const UNKNOWN_PARAMETER: Fault = (555, "5.5.4", "Parameter not supported");

/// Reads one command line, given without its CRLF.
///
/// `is_utf8` says whether the transaction is internationalized, for the address in RCPT.
/// Errors: the reply to give instead.
pub(super) fn parse(line: &[u8], is_utf8: bool) -> Result<Command, Fault> {
    let line = std::str::from_utf8(line).map_err(|_| (500, "5.5.2", "Command is not UTF-8"))?;
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err((500, "5.5.2", "Control character in command"));
    }
    // RFC 5321 §4.1.1: trailing white space is to be tolerated.
    let line = line.trim_end_matches([' ', '\t']);
    let mut text = String::with_capacity(line.len() + 2);
    text.extend(line.chars().map(|c| if c == '\t' { ' ' } else { c }));
    text.push_str("\r\n");
    let words = text.trim_end_matches("\r\n");
    let verb = words.split(' ').next().unwrap_or_default();
    let arguments = words.get(verb.len()..).unwrap_or_default();
    if FOREIGN.iter().any(|word| verb.eq_ignore_ascii_case(word)) {
        return Ok(Command::Foreign);
    }
    if verb.eq_ignore_ascii_case("MAIL") {
        return mail(arguments).map(Command::Mail);
    }
    if verb.eq_ignore_ascii_case("RCPT") {
        return recipient(arguments, is_utf8).map(Command::Rcpt);
    }
    if verb.eq_ignore_ascii_case("XFORWARD") {
        return Ok(Command::Xforward(arguments.to_owned()));
    }
    if verb.eq_ignore_ascii_case("TURN") || verb.eq_ignore_ascii_case("BDAT") {
        return Ok(Command::NotDone);
    }
    let has_arguments = !arguments.trim().is_empty();
    let is_hello = verb.eq_ignore_ascii_case("EHLO") || verb.eq_ignore_ascii_case("HELO");
    let request = Request::parse(&mut text.as_bytes().iter());
    let without = |command| {
        if has_arguments { Err((501, "5.5.4", "Command takes no argument")) } else { Ok(command) }
    };
    match request {
        Ok(Request::Ehlo { host }) if !host.is_empty() => Ok(Command::Ehlo(host.into_owned())),
        Ok(Request::Helo { host }) if !host.is_empty() => Ok(Command::Helo(host.into_owned())),
        Ok(Request::Data) => without(Command::Data),
        Ok(Request::Rset) => without(Command::Rset),
        Ok(Request::Quit) => without(Command::Quit),
        Ok(Request::StartTls) => without(Command::StartTls),
        Ok(Request::Noop { .. }) => Ok(Command::Noop),
        Ok(Request::Help { .. }) => Ok(Command::Help),
        Ok(Request::Vrfy { .. }) => Ok(Command::Vrfy),
        // RFC 2034 §4: no reply to EHLO and HELO carries an enhanced code.
        _ if is_hello => Err((501, "", "Syntax: EHLO host name")),
        Err(Error::UnknownCommand) => Err((500, "5.5.1", "Command not recognized")),
        Err(_) if verb.eq_ignore_ascii_case("VRFY") => Err((501, "5.5.4", "Argument needed")),
        // AUTH, EXPN, ETRN and their like, with a good argument or a bad one.
        _ => Ok(Command::NotDone),
    }
}

/// Reads what stands behind `MAIL`.
fn mail(arguments: &str) -> Result<Mail, Fault> {
    let syntax = (501, "5.5.4", "Syntax: MAIL FROM:<address> [parameters]");
    let (path, parameters) = path(arguments, "FROM").ok_or(syntax)?;
    let from = if path.is_empty() {
        // RFC 5321 §4.5.5: the null reverse-path.
        ReversePath::Null
    } else {
        let address = address(path).ok_or((501, "5.1.7", "Bad sender address"))?;
        ReversePath::Address(address)
    };
    let (mut size_bytes, mut is_utf8, mut has_body) = (None, false, false);
    let mut others = String::from(parameters.get(..1).unwrap_or_default());
    for parameter in parameters.split_ascii_whitespace() {
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (parameter, None),
        };
        let is = |name: &str| keyword.eq_ignore_ascii_case(name);
        if is("SIZE") {
            if size_bytes.replace(size(value.unwrap_or_default())?).is_some() {
                return Err(TWICE);
            }
            continue;
        }
        if is("BODY") {
            // RFC 3030 §3: BINARYMIME belongs to CHUNKING, which is not offered.
            if value.is_some_and(|value| value.eq_ignore_ascii_case("BINARYMIME")) {
                return Err(UNKNOWN_PARAMETER);
            }
            if std::mem::replace(&mut has_body, true) {
                return Err(TWICE);
            }
        } else if is("SMTPUTF8") {
            if std::mem::replace(&mut is_utf8, true) {
                return Err(TWICE);
            }
        } else {
            return Err(UNKNOWN_PARAMETER);
        }
        others.push_str(parameter);
        others.push(' ');
    }
    checked(&others, |parser| parser.mail_from_parameters("".into()).map(|_| ()))?;
    if !is_utf8 && !path.is_ascii() {
        // RFC 6531 §3.5.
        return Err(NEED_UTF8);
    }
    Ok(Mail { from, size_bytes, is_utf8 })
}

/// Reads what stands behind `RCPT`.
fn recipient(arguments: &str, is_utf8: bool) -> Result<Address, Fault> {
    let syntax = (501, "5.5.4", "Syntax: RCPT TO:<address>");
    let (path, parameters) = path(arguments, "TO").ok_or(syntax)?;
    // No extension that we offer has a parameter of RCPT.
    if parameters.split_ascii_whitespace().any(|word| word.starts_with(|c: char| c.is_ascii_alphanumeric())) {
        return Err(UNKNOWN_PARAMETER);
    }
    checked(parameters, |parser| parser.rcpt_to_parameters("".into()).map(|_| ()))?;
    if !is_utf8 && !path.is_ascii() {
        return Err(NEED_UTF8);
    }
    if path.eq_ignore_ascii_case("postmaster") {
        // RFC 5321 §4.5.1: without a domain it is ours.
        return Ok(Address { local: path.to_owned(), domain: None });
    }
    address(path).ok_or((501, "5.1.3", "Bad recipient address"))
}

/// Lets smtp-proto check the parameters behind a path.
fn checked(
    parameters: &str,
    read: impl FnOnce(&mut Rfc5321Parser<'_, '_>) -> Result<(), Error>,
) -> Result<(), Fault> {
    if parameters.is_empty() {
        return Ok(());
    }
    if !parameters.starts_with(' ') {
        return Err((501, "5.5.4", "Blank needed before parameters"));
    }
    let line = format!("{parameters}\r\n");
    let mut bytes = line.as_bytes().iter();
    match read(&mut Rfc5321Parser::new(&mut bytes)) {
        Ok(()) => Ok(()),
        Err(Error::UnsupportedParameter { .. }) => Err(UNKNOWN_PARAMETER),
        Err(_) => Err(BAD_PARAMETER),
    }
}

/// Reads the value of SIZE: 1 to 20 digits; more bytes than 64 bits hold are as many as they hold.
fn size(value: &str) -> Result<u64, Fault> {
    if value.is_empty() || value.len() > 20 || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BAD_PARAMETER);
    }
    Ok(value.parse().unwrap_or(u64::MAX))
}

/// Cuts ` FROM:<path> parameters` into the path without its brackets and the rest; blanks round the
/// keyword, the colon and the path are tolerated.
fn path<'a>(arguments: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let rest = arguments.trim_start_matches(' ');
    let (word, rest) = rest.split_at_checked(keyword.len())?;
    if !word.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let rest = rest.trim_start_matches(' ').strip_prefix(':')?;
    let rest = rest.trim_start_matches(' ').strip_prefix('<')?;
    let (mut in_quotes, mut is_escaped) = (false, false);
    let end = rest.find(|c: char| {
        let is_end = c == '>' && !in_quotes;
        if is_escaped {
            is_escaped = false;
        } else if c == '\\' {
            is_escaped = in_quotes;
        } else if c == '"' {
            in_quotes = !in_quotes;
        }
        is_end
    })?;
    let path = rest.get(..end)?.trim_matches(' ');
    // RFC 5321 §4.5.3.1.3 counts the brackets.
    if path.len() + 2 > limits::PATH_BYTES {
        // No address: refused as one, whatever stands behind it.
        return Some(("@", ""));
    }
    Some((path, rest.get(end + 1..)?))
}

/// Reads an address; a source route is dropped (RFC 5321 §4.1.2 and appendix C).
fn address(path: &str) -> Option<Address> {
    let path = match path.strip_prefix('@') {
        Some(_) => path.split_once(':')?.1,
        None => path,
    };
    Address::parse(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(line: &str, code: u16) {
        match parse(line.as_bytes(), false) {
            Err(fault) => assert_eq!(fault.0, code, "{line:?}: {fault:?}"),
            Ok(command) => panic!("{line:?} was taken: {command:?}"),
        }
    }

    fn mail_of(line: &str) -> Mail {
        match parse(line.as_bytes(), false) {
            Ok(Command::Mail(mail)) => mail,
            other => panic!("{line:?}: {other:?}"),
        }
    }

    #[test]
    fn verbs_in_any_case_with_trailing_blanks() {
        let cases = [
            ("noop", Command::Noop),
            ("NOOP anything at all", Command::Noop),
            ("Help MAIL", Command::Help),
            ("HELP", Command::Help),
            ("rSeT  ", Command::Rset),
            ("QUIT\t", Command::Quit),
            ("DATA ", Command::Data),
            ("STARTTLS", Command::StartTls),
            ("vrfy <a@b.example>", Command::Vrfy),
            ("VRFY probe", Command::Vrfy),
            ("EHLO mx.example.org", Command::Ehlo("mx.example.org".into())),
            ("helo [IPv6:::ffff:192.0.2.4] ", Command::Helo("[IPv6:::ffff:192.0.2.4]".into())),
            ("EXPN list", Command::NotDone),
            ("EXPN", Command::NotDone),
            ("TURN", Command::NotDone),
            ("ETRN example.org", Command::NotDone),
            ("AUTH PLAIN AAAA", Command::NotDone),
            ("AUTH", Command::NotDone),
            ("BDAT 5 LAST", Command::NotDone),
            ("LHLO x", Command::NotDone),
            ("GET / HTTP/1.1", Command::Foreign),
            ("User-Agent: x", Command::Foreign),
        ];
        for (line, want) in cases {
            assert_eq!(parse(line.as_bytes(), false), Ok(want), "{line:?}");
        }
    }

    #[test]
    fn reverse_paths() {
        assert_eq!(mail_of("MAIL FROM:<>").from, ReversePath::Null);
        assert_eq!(mail_of("mail from: < >").from, ReversePath::Null);
        for (line, want) in [
            ("MAIL FROM:<a@b.example>", "a@b.example"),
            ("mail from : <a@B.example>  ", "a@b.example"),
            ("MAIL  FROM: <a@b.example>", "a@b.example"),
            ("MAIL FROM:<@x.example,@y.example:a@b.example>", "a@b.example"),
            ("MAIL FROM:<a@[192.0.2.1]>", "a@[192.0.2.1]"),
            ("MAIL FROM:<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"),
            ("MAIL FROM:<\"a b\"@c.example>", "\"a b\"@c.example"),
            ("MAIL FROM:<\"a>b\\\"c\"@d.example>", "\"a>b\\\"c\"@d.example"),
            ("MAIL FROM:<a+b=c/d@e.example>", "a+b=c/d@e.example"),
        ] {
            assert_eq!(mail_of(line).from.to_string(), want, "{line:?}");
        }
    }

    #[test]
    fn the_null_path_and_the_postmaster_are_told_apart() {
        let postmaster = Address { local: "PostMaster".into(), domain: None };
        assert_eq!(parse(b"RCPT TO:<PostMaster>", false), Ok(Command::Rcpt(postmaster)));
        refused("RCPT TO:<>", 501);
        refused("MAIL FROM:<postmaster>", 501);
    }

    #[test]
    fn parameters() {
        let mail = mail_of("MAIL FROM:<a@b.example> body=8bitmime SIZE=900 SMTPUTF8");
        assert_eq!((mail.size_bytes, mail.is_utf8), (Some(900), true));
        assert_eq!(mail_of("MAIL FROM:<> SIZE=0").size_bytes, Some(0));
        let huge = mail_of("MAIL FROM:<> SIZE=99999999999999999999");
        assert_eq!(huge.size_bytes, Some(u64::MAX));
        for (line, code) in [
            ("MAIL FROM:<> SIZE=", 501),
            ("MAIL FROM:<> SIZE", 501),
            ("MAIL FROM:<> SIZE= 12", 501),
            ("MAIL FROM:<> SIZE=-1", 501),
            ("MAIL FROM:<> SIZE=1x", 501),
            ("MAIL FROM:<> SIZE=999999999999999999999", 501),
            ("MAIL FROM:<> SIZE=1 SIZE=2", 501),
            ("MAIL FROM:<> BODY=9BIT", 501),
            ("MAIL FROM:<> BODY", 555),
            ("MAIL FROM:<> BODY=BINARYMIME", 555),
            ("MAIL FROM:<> SMTPUTF8=1", 555),
            ("MAIL FROM:<> X-UNKNOWN=1", 555),
            ("MAIL FROM:<> RET=FULL ENVID=1", 555),
            ("MAIL FROM:<> AUTH=<>", 555),
            ("MAIL FROM:<>SIZE=1", 501),
            ("RCPT TO:<a@b.example> NOTIFY=NEVER", 555),
            ("RCPT TO:<a@b.example> garbage", 555),
            ("RCPT TO:<a@b.example> >", 501),
        ] {
            refused(line, code);
        }
    }

    #[test]
    fn faults() {
        for (line, code) in [
            ("", 500),
            (" ", 500),
            ("FOO bar", 500),
            ("MAILFROM:<a@b.example>", 500),
            ("STARTTLSX", 500),
            ("STARTTLS now", 501),
            ("DATA now", 501),
            ("QUIT now", 501),
            ("EHLO", 501),
            ("HELO  ", 501),
            ("VRFY", 501),
            ("MAIL", 501),
            ("MAIL FROM", 501),
            ("MAIL FROM:", 501),
            ("MAIL FROM:a@b.example", 501),
            ("MAIL FROM:<a@b.example", 501),
            ("MAIL FROM:<a>", 501),
            ("MAIL FROM:<a@b@c.example>", 501),
            ("MAIL FROM:<a@\"b@c.example\">", 501),
            ("MAIL TO:<a@b.example>", 501),
            ("RCPT FROM:<a@b.example>", 501),
            ("RCPT TO:<@x.example>", 501),
            ("RCPT TO:<a b@c.example>", 501),
            ("MAIL FROM:<ä@b.example>", 553),
            ("RCPT TO:<ä@b.example>", 553),
            ("EHLO a\u{1b}[2J", 500),
            ("MAIL FROM:<a\0@b.example>", 500),
            ("MAIL FROM:<a\u{7f}@b.example>", 500),
            ("EHLO a\rb", 500),
            ("EHLO \u{85}", 500),
        ] {
            refused(line, code);
        }
        assert_eq!(parse(b"EHLO \xff", false).unwrap_err().0, 500);
        assert_eq!(parse(b"EHLO", false).unwrap_err().1, "");
    }

    #[test]
    fn lengths_at_the_limit_and_one_more() {
        let local = "l".repeat(limits::LOCAL_PART_BYTES);
        let long = format!("MAIL FROM:<{local}@b.example>");
        assert_eq!(mail_of(&long).from.to_string(), format!("{local}@b.example"));
        refused(&format!("MAIL FROM:<{local}l@b.example>"), 501);
        let domain = format!("{}e", "d.".repeat(127));
        mail_of(&format!("MAIL FROM:<a@{domain}>"));
        refused(&format!("MAIL FROM:<a@{domain}e>"), 501);
        // With a route, which is dropped.
        let route = format!("@{}:", "r".repeat(limits::PATH_BYTES - 2 - 2 - 11));
        mail_of(&format!("MAIL FROM:<{route}a@b.example>"));
        refused(&format!("MAIL FROM:<{route}aa@b.example>"), 501);
        let name = "h".repeat(255);
        assert!(parse(format!("EHLO {name}").as_bytes(), false).is_ok());
        refused(&format!("EHLO {name}h"), 501);
    }

    #[test]
    fn international_addresses_need_the_parameter() {
        assert!(mail_of("MAIL FROM:<ä@bücher.example> SMTPUTF8").is_utf8);
        assert!(matches!(parse("RCPT TO:<ä@bücher.example>".as_bytes(), true), Ok(Command::Rcpt(_))));
    }
}
