//! The dialogue with a server made of replies, without sockets.

use super::*;
use crate::mail::{Address, ReversePath};
use crate::smtp::submit::Secret;
use crate::smtp::submit::reply::ReplyReader;

const TO: &str = "probe+x@example.net";

/// A dialogue under test.
struct Case {
    tls: TlsMode,
    credentials: Option<Credentials>,
    dsn: Option<DsnRequest>,
    verified: bool,
    mail_from: ReversePath,
    to: Address,
    helo: &'static str,
    needs_smtputf8: bool,
    has_8bit: bool,
    size: u64,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            tls: TlsMode::None,
            credentials: None,
            dsn: None,
            verified: true,
            mail_from: ReversePath::Address(Address::parse("probe@example.org").unwrap()),
            to: Address::parse(TO).unwrap(),
            helo: "probe.example.org",
            needs_smtputf8: false,
            has_8bit: false,
            size: 500,
        }
    }
}

fn reply(text: &str) -> Reply {
    let text = format!("{}\r\n", text.replace('|', "\r\n"));
    ReplyReader::default().push(text.as_bytes()).unwrap().1.unwrap()
}

impl Case {
    /// Runs against these replies; a missing one is a closed connection. Gives what was sent and the
    /// outcome in one line.
    fn run(&self, replies: &[&str]) -> (Vec<String>, String) {
        let mut replies = replies.iter();
        let plan = Plan {
            helo: self.helo,
            tls: self.tls,
            credentials: self.credentials.as_ref(),
            dsn: self.dsn.as_ref(),
            submission: Submission {
                mail_from: &self.mail_from,
                rcpt_to: &self.to,
                message: b"",
                needs_smtputf8: self.needs_smtputf8,
            },
            size: self.size,
            has_8bit: self.has_8bit,
        };
        let mut dialogue = Dialogue::new(plan);
        let mut sent = Vec::new();
        loop {
            match dialogue.next() {
                Action::Send { bytes, .. } => {
                    sent.push(String::from_utf8(bytes).unwrap().trim_end().to_owned());
                }
                Action::Receive(phase) => match replies.next() {
                    Some(text) => dialogue.on_reply(phase, reply(text)),
                    None => dialogue.on_fault(phase, Fault::Closed),
                },
                Action::StartTls => {
                    sent.push("(tls)".to_owned());
                    dialogue.on_tls(self.verified);
                }
                Action::SendBody => sent.push("(body)".to_owned()),
                Action::SendDot => sent.push(".".to_owned()),
                Action::Close => break,
            }
        }
        let cause = |cause: &Cause| match cause {
            Cause::Reply(reply) => reply.to_string(),
            Cause::Fault(fault) => fault.to_string(),
        };
        let outcome = match dialogue.outcome().unwrap() {
            Outcome::Accepted(reply) => format!("accepted {reply}"),
            Outcome::Refused(phase, why) => format!("refused {} {}", phase.as_str(), cause(why)),
            Outcome::Deferred(phase, why) => format!("deferred {} {}", phase.as_str(), cause(why)),
            Outcome::InDoubt(fault) => format!("in doubt {fault}"),
        };
        (sent, outcome)
    }

    #[track_caller]
    fn check(&self, replies: &[&str], sent: &[&str], outcome: &str) {
        let (got, ended) = self.run(replies);
        assert_eq!(
            (got.iter().map(String::as_str).collect::<Vec<_>>(), ended.as_str()),
            (sent.to_vec(), outcome)
        );
    }
}

#[test]
fn the_plain_way() {
    Case::default().check(
        &["220 mx", "250 mx", "250 ok", "250 ok", "354 go", "250 2.0.0 OK 4f7q", "221 bye"],
        &[
            "EHLO probe.example.org",
            "MAIL FROM:<probe@example.org>",
            "RCPT TO:<probe+x@example.net>",
            "DATA",
            "(body)",
            ".",
            "QUIT",
        ],
        "accepted 250 2.0.0 OK 4f7q",
    );
}

#[test]
fn parameters_follow_what_is_offered() {
    let null = Case { mail_from: ReversePath::Null, ..Case::default() };
    let ehlo = "250-mx|250-SIZE 1000|250-8BITMIME|250-SMTPUTF8|250 PIPELINING";
    let want = |case: &Case, ehlo: &str| {
        case.run(&["220 mx", ehlo, "250 ok", "250 ok", "354 go", "250 ok"]).0[1].clone()
    };
    assert_eq!(want(&null, ehlo), "MAIL FROM:<> SIZE=500 BODY=7BIT");
    assert_eq!(want(&null, "250-mx|250 size"), "MAIL FROM:<> SIZE=500");
    assert_eq!(want(&null, "250 mx 8BITMIME SIZE"), "MAIL FROM:<>", "the first line has no keywords");
    let eight = Case { has_8bit: true, needs_smtputf8: true, ..Case::default() };
    assert_eq!(want(&eight, ehlo), "MAIL FROM:<probe@example.org> SIZE=500 BODY=8BITMIME SMTPUTF8");
    let address = Address::new("prüf", &crate::mail::DomainName::parse("example.net").unwrap());
    let utf8 = Case { to: address, ..Case::default() };
    assert_eq!(want(&utf8, ehlo), "MAIL FROM:<probe@example.org> SIZE=500 BODY=7BIT SMTPUTF8");
}

#[test]
fn what_the_server_cannot_take_is_not_tried() {
    let greet = ["220 mx", "250-mx|250 SIZE 499", "221 bye"];
    let cases = [
        (Case::default(), "refused mail the message has 500 bytes, the server takes 499"),
        (
            Case { has_8bit: true, size: 1, ..Case::default() },
            "refused mail the message needs 8BITMIME, which is not offered",
        ),
        (
            Case { needs_smtputf8: true, size: 1, ..Case::default() },
            "refused mail the message needs SMTPUTF8, which is not offered",
        ),
    ];
    for (case, want) in cases {
        case.check(&greet, &["EHLO probe.example.org", "QUIT"], want);
    }
    // SIZE 0 says nothing (RFC 1870 §4).
    let (sent, _) = Case::default().run(&["220 mx", "250-mx|250 SIZE 0"]);
    assert_eq!(sent[1], "MAIL FROM:<probe@example.org> SIZE=500");
}

#[test]
fn helo_after_a_refused_ehlo() {
    for code in NO_EHLO {
        Case::default().check(
            &["220 mx", &format!("{code} what"), "250 mx|250 SIZE 1", "250 ok", "250 ok", "354 go", "250 ok"],
            &[
                "EHLO probe.example.org",
                "HELO probe.example.org",
                "MAIL FROM:<probe@example.org>",
                "RCPT TO:<probe+x@example.net>",
                "DATA",
                "(body)",
                ".",
                "QUIT",
            ],
            "accepted 250 ok",
        );
    }
    let twice = ["220 mx", "502 no", "502 no", "221 bye"];
    assert_eq!(Case::default().run(&twice).1, "refused ehlo 502 no");
    assert_eq!(Case::default().run(&["220 mx", "554 no"]).1, "refused ehlo 554 no");
}

#[test]
fn pipelined_commands_are_sent_together_and_every_reply_is_read() {
    let ehlo = "250-mx|250 PIPELINING";
    let sent =
        ["EHLO probe.example.org", "MAIL FROM:<probe@example.org>", "RCPT TO:<probe+x@example.net>", "QUIT"];
    let case = Case::default();
    case.check(&["220 mx", ehlo, "550 5.7.1 a", "503 5.5.1 b", "221 c"], &sent, "refused mail 550 5.7.1 a");
    case.check(&["220 mx", ehlo, "451 a", "250 b", "221 c"], &sent, "deferred mail 451 a");
    case.check(&["220 mx", ehlo, "250 a", "550 5.1.1 b", "221 c"], &sent, "refused rcpt 550 5.1.1 b");
    // The server closes before the second reply: what it said stays.
    case.check(&["220 mx", ehlo, "421 a"], &sent[..3], "deferred mail 421 a");
    let mut all = sent[..3].to_vec();
    all.extend(["DATA", "(body)", ".", "QUIT"]);
    case.check(&["220 mx", ehlo, "250 a", "250 b", "354 c", "250 d", "221"], &all, "accepted 250 d");
}

#[test]
fn a_doubt_begins_with_the_final_dot() {
    let until_data = ["220 mx", "250 mx", "250 ok", "250 ok", "354 go"];
    let with = |last: &[&str]| Case::default().run(&[&until_data[..], last].concat()).1;
    assert_eq!(with(&[]), "in doubt connection closed by the server");
    assert_eq!(with(&["354 go on"]), "in doubt unexpected reply: 354 go on");
    assert_eq!(with(&["451 4.3.0 no room"]), "deferred dot 451 4.3.0 no room");
    assert_eq!(with(&["421 closing"]), "deferred dot 421 closing");
    assert_eq!(with(&["554 5.6.0 no"]), "refused dot 554 5.6.0 no");
    // Losing the connection in QUIT changes nothing.
    assert_eq!(with(&["250 ok"]), "accepted 250 ok");
    for replies in 0..until_data.len() {
        let (_, outcome) = Case::default().run(&until_data[..replies]);
        assert!(outcome.starts_with("deferred ") && outcome.ends_with("closed by the server"), "{outcome}");
    }
    let early = Case::default().run(&["220 mx", "250 mx", "250 ok", "250 ok", "250 what"]).1;
    assert_eq!(early, "deferred data unexpected reply: 250 what");
}

#[test]
fn starttls() {
    let with = |tls| Case { tls, ..Case::default() };
    let offered = "250-mx|250 STARTTLS";
    let hello = "EHLO probe.example.org";
    let (sent, outcome) = with(TlsMode::Required).run(&["220 mx", offered, "220 go", "250 mx", "250 ok"]);
    assert_eq!(&sent[..4], [hello, "STARTTLS", "(tls)", hello]);
    assert!(outcome.starts_with("deferred rcpt"));
    let (sent, _) = with(TlsMode::Implicit).run(&["220 mx", offered]);
    assert_eq!(sent, ["(tls)", hello, "MAIL FROM:<probe@example.org>"]);
    let (_, outcome) = with(TlsMode::Required).run(&["220 mx", "250 mx"]);
    assert_eq!(outcome, "deferred starttls STARTTLS is required and not offered");
    let (_, outcome) = with(TlsMode::Required).run(&["220 mx", offered, "454 4.7.0 no"]);
    assert_eq!(outcome, "deferred starttls 454 4.7.0 no");
    let (sent, _) = with(TlsMode::IfOffered).run(&["220 mx", offered, "454 4.7.0 no"]);
    assert_eq!(sent[2], "MAIL FROM:<probe@example.org>");
    let (sent, _) = with(TlsMode::None).run(&["220 mx", offered]);
    assert_eq!(sent[1], "MAIL FROM:<probe@example.org>");
    // What was offered before TLS counts no more.
    let (sent, _) =
        with(TlsMode::Required).run(&["220 mx", "250-mx|250-SIZE 9|250 STARTTLS", "220 go", "250 mx"]);
    assert_eq!(sent[4], "MAIL FROM:<probe@example.org>");
}

#[test]
fn auth() {
    let with = |mechanism, verified| Case {
        tls: TlsMode::Implicit,
        verified,
        credentials: Some(Credentials {
            user: "user".to_owned(),
            secret: Secret::new("geheim"),
            mechanism,
            is_allowed_in_clear: false,
        }),
        ..Case::default()
    };
    // RFC 4616 §2: NUL, user, NUL, password.
    let plain = "AUTH PLAIN AHVzZXIAZ2VoZWlt";
    let cases: [(Mechanism, &str, &[&str], &[&str]); 6] = [
        (Mechanism::Password, "AUTH PLAIN LOGIN", &["235 ok"], &[plain]),
        (Mechanism::Password, "auth=login plain", &["235 ok"], &[plain]),
        (Mechanism::Plain, "AUTH PLAIN", &["235 ok"], &[plain]),
        (
            Mechanism::Password,
            "AUTH LOGIN",
            &["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 ok"],
            &["AUTH LOGIN", "dXNlcg==", "Z2VoZWlt"],
        ),
        (
            Mechanism::Login,
            "AUTH LOGIN PLAIN",
            &["334 a", "334 b", "235 ok"],
            &["AUTH LOGIN", "dXNlcg==", "Z2VoZWlt"],
        ),
        (
            Mechanism::XOauth2,
            "AUTH XOAUTH2",
            &["235 ok"],
            &["AUTH XOAUTH2 dXNlcj11c2VyAWF1dGg9QmVhcmVyIGdlaGVpbQEB"],
        ),
    ];
    for (mechanism, offered, replies, lines) in cases {
        let ehlo = format!("250-mx|250 {offered}");
        let replies = [&["220 mx", &ehlo], replies].concat();
        let (sent, _) = with(mechanism, true).run(&replies);
        assert_eq!(&sent[2..2 + lines.len()], lines, "{offered}");
        assert_eq!(sent[2 + lines.len()], "MAIL FROM:<probe@example.org>", "{offered}");
    }
    let refused = |case: Case, replies: &[&str]| {
        let (sent, outcome) = case.run(replies);
        assert!(!sent.iter().any(|line| line.starts_with("MAIL")));
        outcome
    };
    let ehlo = "250-mx|250 AUTH PLAIN XOAUTH2";
    let password = Mechanism::Password;
    assert_eq!(refused(with(password, true), &["220", ehlo, "535 5.7.8 no"]), "refused auth 535 5.7.8 no");
    assert_eq!(refused(with(password, true), &["220", ehlo, "454 4.7.0 no"]), "deferred auth 454 4.7.0 no");
    let oauth = with(Mechanism::XOauth2, true);
    assert_eq!(refused(oauth, &["220", ehlo, "334 eyJz", "535 5.7.8 no"]), "refused auth 535 5.7.8 no");
    let endless = refused(with(password, true), &["220", ehlo, "334 a"]);
    assert_eq!(endless, "deferred auth unexpected reply: one more challenge");
    let none = refused(with(Mechanism::Login, true), &["220", ehlo]);
    assert_eq!(none, "refused auth AUTH is wanted and not offered: PLAIN XOAUTH2");
    let none = refused(with(password, true), &["220", "250 mx"]);
    assert_eq!(none, "refused auth AUTH is wanted and not offered: no AUTH at all");
}

/// RFC 4954 §4: an answer that makes the command too long waits for an empty challenge; what is asked after it is the
/// error of XOAUTH2, which an empty line answers.
#[test]
fn a_long_token_is_sent_by_itself() {
    let ehlo = "250-mx|250 AUTH XOAUTH2";
    for (length, lines) in [(10, 1), (330, 1), (400, 2), (3_000, 2)] {
        let credentials = Credentials {
            user: "user".to_owned(),
            secret: Secret::new("x".repeat(length)),
            mechanism: Mechanism::XOauth2,
            is_allowed_in_clear: true,
        };
        let case = Case { credentials: Some(credentials), ..Case::default() };
        let good = if lines == 1 { vec!["235 ok"] } else { vec!["334 ", "235 ok"] };
        let (sent, _) = case.run(&[&["220", ehlo], good.as_slice()].concat());
        assert!(sent[1].len() + 2 <= 512, "{length}");
        assert_eq!(sent[1 + lines], "MAIL FROM:<probe@example.org>", "{length}");
        // Refused: the error comes in a challenge, is answered by an empty line, and then refused.
        let bad = if lines == 1 { vec!["334 eyJz", "535 no"] } else { vec!["334 ", "334 eyJz", "535 no"] };
        let (sent, outcome) = case.run(&[&["220", ehlo], bad.as_slice()].concat());
        assert_eq!((sent[1 + lines].as_str(), outcome.as_str()), ("", "refused auth 535 no"), "{length}");
        // One challenge more is nonsense.
        let endless = [bad[..bad.len() - 1].to_vec(), vec!["334 x"]].concat();
        let (_, outcome) = case.run(&[&["220", ehlo], endless.as_slice()].concat());
        assert_eq!(outcome, "deferred auth unexpected reply: one more challenge", "{length}");
    }
}

/// RFC 3461 §4: asked for where it is offered, and never of a success.
#[test]
fn notices_are_asked_for_where_they_are_offered() {
    let case = |envid: &str, to: Address| Case {
        dsn: Some(DsnRequest { envid: envid.to_owned() }),
        to,
        ..Case::default()
    };
    let to = || Address::parse(TO).unwrap();
    let domain = crate::mail::DomainName::parse("example.net").unwrap();
    let lines = |case: &Case, ehlo: &str| {
        let (sent, _) = case.run(&["220 mx", ehlo, "250 ok", "250 ok", "354 go", "250 ok"]);
        (sent[1].clone(), sent[2].clone())
    };
    let offered = "250-mx|250 DSN";
    let mail = "MAIL FROM:<probe@example.org>";
    for (case, ehlo, want) in [
        (
            case("mf23", to()),
            offered,
            (
                format!("{mail} RET=HDRS ENVID=mf23"),
                "RCPT TO:<probe+x@example.net> NOTIFY=FAILURE,DELAY ORCPT=rfc822;probe+2Bx@example.net".to_owned(),
            ),
        ),
        (case("mf23", to()), "250 mx", (mail.to_owned(), "RCPT TO:<probe+x@example.net>".to_owned())),
        (
            case("a b=+\u{e9}", to()),
            offered,
            (
                format!("{mail} RET=HDRS ENVID=a+20b+3D+2B+C3+A9"),
                "RCPT TO:<probe+x@example.net> NOTIFY=FAILURE,DELAY ORCPT=rfc822;probe+2Bx@example.net".to_owned(),
            ),
        ),
        (
            case(&"x".repeat(101), Address::new("pr\u{fc}f+x", &domain)),
            "250-mx|250-SMTPUTF8|250 DSN",
            (
                format!("{mail} SMTPUTF8 RET=HDRS"),
                "RCPT TO:<pr\u{fc}f+x@example.net> NOTIFY=FAILURE,DELAY ORCPT=utf-8;pr\u{fc}f\\x{2B}x@example.net"
                    .to_owned(),
            ),
        ),
        (Case::default(), offered, (mail.to_owned(), "RCPT TO:<probe+x@example.net>".to_owned())),
    ] {
        assert_eq!(lines(&case, ehlo), want);
    }
}

#[test]
fn a_password_never_goes_where_anyone_may_read_it() {
    let credentials = |is_allowed_in_clear| {
        Some(Credentials {
            user: "user".to_owned(),
            secret: Secret::new("geheim"),
            mechanism: Mechanism::Password,
            is_allowed_in_clear,
        })
    };
    let replies = ["220 mx", "250-mx|250 AUTH PLAIN"];
    let cases = [
        (TlsMode::None, true, false, "refused auth credentials are kept back: the connection has no TLS"),
        (
            TlsMode::IfOffered,
            true,
            false,
            "refused auth credentials are kept back: the connection has no TLS",
        ),
        (
            TlsMode::Implicit,
            false,
            false,
            "refused auth credentials are kept back: the certificate was not verified",
        ),
        (TlsMode::None, false, true, "deferred auth connection closed by the server"),
    ];
    for (tls, verified, allowed, want) in cases {
        let case = Case { tls, verified, credentials: credentials(allowed), ..Case::default() };
        let (sent, outcome) = case.run(&replies);
        assert_eq!(outcome, want);
        assert_eq!(sent.iter().any(|line| line.starts_with("AUTH")), allowed);
    }
    assert_eq!(format!("{:?}", credentials(false)).matches("geheim").count(), 0);
}

#[test]
fn nothing_breaks_out_of_a_command() {
    let domain = crate::mail::DomainName::parse("example.net").unwrap();
    let cases = [
        Case { to: Address::new("x>\r\nDATA", &domain), ..Case::default() },
        Case { mail_from: ReversePath::Address(Address::new("x\ny", &domain)), ..Case::default() },
        Case { helo: "x\r\nQUIT", ..Case::default() },
        Case { helo: "two words", ..Case::default() },
        Case { helo: "", ..Case::default() },
    ];
    for case in cases {
        let (sent, outcome) = case.run(&["220 mx", "250 mx"]);
        assert!(sent.is_empty(), "{sent:?}");
        assert!(outcome.contains("cannot stand in a command"), "{outcome}");
    }
    // A quoted local part is written quoted.
    let case = Case { to: Address::new("a b>", &domain), ..Case::default() };
    assert_eq!(case.run(&["220 mx", "250 mx", "250 ok"]).0[2], "RCPT TO:<\"a b>\"@example.net>");
}

#[test]
fn lines_on_the_wire() {
    let cases = [
        ("", ""),
        ("a\r\n", "a\r\n"),
        ("a", "a\r\n"),
        ("a\nb\n", "a\r\nb\r\n"),
        ("a\rb\r", "a\r\nb\r\n"),
        ("a\r\n\r\nb\r\n", "a\r\n\r\nb\r\n"),
        ("a\r\r\nb\n\rc", "a\r\n\r\nb\r\n\r\nc\r\n"),
        ("\n", "\r\n"),
    ];
    for (text, want) in cases {
        assert_eq!(String::from_utf8_lossy(&wire_lines(text.as_bytes())), want, "{text:?}");
    }
    let cases = [
        ("a\r\n", "a\r\n"),
        (".\r\n", "..\r\n"),
        ("a\r\n.\r\n..b\r\n.", "a\r\n..\r\n...b\r\n.."),
        ("a.\r\nb.c\r\n", "a.\r\nb.c\r\n"),
    ];
    for (text, want) in cases {
        assert_eq!(String::from_utf8_lossy(&stuff_dots(text.as_bytes())), want, "{text:?}");
    }
}

proptest::proptest! {
    #[test]
    fn what_goes_over_the_wire_comes_back(text in "[a.\r\n]{0,60}") {
        let lines = wire_lines(text.as_bytes());
        let stuffed = stuff_dots(&lines);
        let stuffed = std::str::from_utf8(&stuffed).unwrap();
        // No line ends the message early, no bare CR or LF is left.
        let mut rest = stuffed.split("\r\n").collect::<Vec<_>>();
        proptest::prop_assert_eq!(rest.pop(), Some(""));
        proptest::prop_assert!(rest.iter().all(|line| *line != "." && !line.contains(['\r', '\n'])));
        rest.push("");
        let back: Vec<&str> = rest.iter().map(|line| line.strip_prefix('.').unwrap_or(line)).collect();
        let back = back.join("\r\n");
        proptest::prop_assert_eq!(back.as_bytes(), &*lines);
    }
}
