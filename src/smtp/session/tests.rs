use proptest::prelude::*;

use super::*;

/// Takes every recipient but `nobody@`, relays for nobody, has room below 2 GB.
struct TestDesk;

impl Desk for TestDesk {
    fn recipient(&self, address: &Address) -> Result<(), Refusal> {
        match address.domain.as_deref() {
            None | Some("example.com") if address.local.starts_with("nobody") => {
                Err(Refusal::new(550, "5.1.1", "No such user", "test"))
            }
            None | Some("example.com" | "xn--bcher-kva.example") => Ok(()),
            Some(_) => Err(Refusal::new(550, "5.7.1", "Relaying denied", "test")),
        }
    }

    fn has_room(&self, size_bytes: u64) -> Result<(), Refusal> {
        if size_bytes == 4_521 { Err(Refusal::new(452, "4.3.1", "Full", "test")) } else { Ok(()) }
    }
}

fn small_limits() -> SessionLimits {
    SessionLimits {
        message_bytes: 1_000,
        command_line_bytes: 512,
        overlong_line_bytes: 2_000,
        recipients: 3,
        errors: 4,
        junk_commands: 5,
        messages: 3,
        ..SessionLimits::STANDARD
    }
}

fn options(limits: SessionLimits) -> Arc<SessionOptions> {
    Arc::new(SessionOptions { host_name: "mx.example.com".into(), is_tls_offered: true, limits })
}

/// What one dialogue gave.
#[derive(Debug, PartialEq, Default)]
struct Dialogue {
    replies: String,
    messages: Vec<(Envelope, Vec<u8>)>,
    closed: Option<CloseReason>,
    tls: bool,
}

/// Plays `input`, cut after each of `cuts`, with the way that a driver goes.
fn play(limits: SessionLimits, input: &[u8], cuts: &[usize]) -> Dialogue {
    let now = crate::clock::instant();
    let peer = "192.0.2.1:2525".parse().unwrap();
    let (mut replies, mut body) = (Vec::new(), Vec::new());
    let mut session = Session::new(options(limits), Peer::direct(peer), now, &mut replies);
    let mut result = Dialogue::default();
    let mut from = 0;
    'input: for to in cuts.iter().copied().chain([input.len()]) {
        let mut rest = &input[from..to];
        from = to;
        loop {
            let (read, event) = session.advance(rest, &TestDesk, &mut body, &mut replies, now);
            rest = &rest[read..];
            if session.is_discarding() {
                assert!(body.is_empty());
            }
            match event {
                Event::Read => {
                    assert!(rest.is_empty());
                    break;
                }
                Event::Flush => {
                    result.replies.push_str(std::str::from_utf8(&replies).unwrap());
                    replies.clear();
                }
                Event::StartTls => {
                    result.tls = true;
                    break 'input;
                }
                Event::Message(envelope) => {
                    result.messages.push((*envelope, std::mem::take(&mut body)));
                    let id = MessageId(i64::try_from(result.messages.len()).unwrap());
                    assert_eq!(session.finish(&Ok(id), &mut replies, now), None);
                }
                Event::Discarded(discarded) => {
                    assert!(body.is_empty() && discarded.size_bytes > 0);
                }
                Event::Close(reason) => {
                    result.closed = Some(reason);
                    break 'input;
                }
            }
        }
    }
    result.replies.push_str(std::str::from_utf8(&replies).unwrap());
    result
}

/// Plays a dialogue whole and cut at every byte; all must give the same.
#[track_caller]
fn dialogue(limits: &SessionLimits, input: &str) -> Dialogue {
    let input = input.as_bytes();
    let whole = play(limits.clone(), input, &[]);
    for cut in 0..=input.len() {
        assert_eq!(play(limits.clone(), input, &[cut]), whole, "cut at {cut}");
    }
    let every: Vec<usize> = (0..input.len()).collect();
    assert_eq!(play(limits.clone(), input, &every), whole, "byte by byte");
    whole
}

/// The codes of the replies, a `-` reply line left out.
fn codes(replies: &str) -> Vec<&str> {
    replies.lines().filter(|line| line.as_bytes()[3] != b'-').map(|line| &line[..3]).collect()
}

#[track_caller]
fn check(input: &str, want: &str) -> Dialogue {
    let dialogue = dialogue(&small_limits(), input);
    let want: Vec<&str> = want.split(' ').collect();
    assert_eq!(codes(&dialogue.replies), want, "{input:?}\n{}", dialogue.replies);
    dialogue
}

const EHLO: &str = "EHLO sender.example.org\r\n";

#[test]
fn a_plain_dialogue_word_for_word() {
    let dialogue = dialogue(
        &small_limits(),
        "EHLO sender.example.org\r\nMAIL FROM:<a@sender.example.org> SIZE=5 BODY=8BITMIME\r\n\
         RCPT TO:<dmarc@example.com>\r\nRCPT TO:<nobody@example.com>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n",
    );
    let want = "220 mx.example.com ESMTP\r\n\
        250-mx.example.com\r\n250-SIZE 1000\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
        250-STARTTLS\r\n250-LIMITS RCPTMAX=3 MAILMAX=3\r\n250 ENHANCEDSTATUSCODES\r\n\
        250 2.1.0 OK\r\n250 2.1.5 OK\r\n550 5.1.1 No such user\r\n354 End data with <CRLF>.<CRLF>\r\n\
        250 2.0.0 OK 1\r\n221 2.0.0 mx.example.com closing\r\n";
    assert_eq!(dialogue.replies, want);
    assert_eq!(dialogue.closed, Some(CloseReason::Quit));
    let (envelope, body) = &dialogue.messages[0];
    assert_eq!(body, b"hi\r\n");
    assert_eq!(envelope.mail_from.as_ref().unwrap().to_string(), "a@sender.example.org");
    assert_eq!(envelope.rcpt_to.len(), 1);
    assert_eq!(envelope.helo.as_deref(), Some("sender.example.org"));
    assert!(envelope.is_esmtp);
    assert_eq!(envelope.peer, Some("192.0.2.1:2525".parse().unwrap()));
}

#[test]
fn every_reply_but_greeting_and_hello_has_an_enhanced_code() {
    let dialogue = dialogue(
        &SessionLimits { errors: 100, ..small_limits() },
        "EHLO\r\nEHLO a\r\nHELO a\r\nNOOP\r\nHELP\r\nVRFY a\r\nRSET\r\nFOO\r\nEXPN\r\nAUTH x\r\nDATA\r\n\
         MAIL FROM:<a>\r\nMAIL FROM:<> SIZE=9999\r\nMAIL FROM:<> SIZE=4521\r\nMAIL FROM:<> X=1\r\nMAIL FROM:<>\r\n\
         RCPT TO:<x@other.example>\r\nDATA\r\nRCPT TO:<a@example.com>\r\nRCPT TO:<\r\nDATA\r\n.\r\nQUIT\r\n",
    );
    let mut lines = dialogue.replies.lines();
    assert_eq!(lines.next(), Some("220 mx.example.com ESMTP"));
    assert_eq!(lines.next(), Some("501 Syntax: EHLO host name"));
    for line in lines.skip_while(|line| line.starts_with("250-")).skip(1) {
        if line == "250 mx.example.com" || line.starts_with("354 ") {
            continue;
        }
        let mut words = line.splitn(3, ' ');
        let (code, enhanced, text) = (words.next().unwrap(), words.next().unwrap(), words.next());
        let numbers: Vec<u16> = enhanced.split('.').map(|n| n.parse().expect(line)).collect();
        assert_eq!(numbers.len(), 3, "{line}");
        assert_eq!(&code[..1], &enhanced[..1], "{line}: the classes agree (RFC 2034 §4)");
        assert!(text.is_some_and(|text| !text.is_empty()), "{line}");
    }
}

#[test]
fn order_of_commands() {
    check("MAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n", "220 503 503 503");
    check(&format!("{EHLO}MAIL FROM:<>\r\nMAIL FROM:<>\r\nDATA\r\n"), "220 250 250 503 554");
    check(
        &format!(
            "{EHLO}MAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\n{EHLO}RCPT TO:<a@example.com>\r\nDATA\r\n"
        ),
        "220 250 250 250 250 503 503",
    );
    check(
        &format!("{EHLO}MAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nRSET\r\nDATA\r\nNOOP\r\n"),
        "220 250 250 250 250 503 250",
    );
    check(
        &format!(
            "{EHLO}MAIL FROM:<>\r\nRCPT TO:<x@other.example>\r\nDATA\r\nRCPT TO:<a@example.com>\r\nDATA\r\n.\r\n"
        ),
        "220 250 250 550 554 250 354 250",
    );
}

#[test]
fn two_messages_do_not_mix() {
    let dialogue = check(
        "HELO a\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n1\r\n.\r\n\
         MAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<B@EXAMPLE.COM>\r\nRCPT TO:<b@example.com>\r\n\
         DATA\r\n..2\r\n.\r\nQUIT\r\n",
        "220 250 250 250 354 250 250 250 250 250 354 250 221",
    );
    let [(first, one), (second, two)] = &dialogue.messages[..] else { panic!("{dialogue:?}") };
    assert_eq!((one.as_slice(), two.as_slice()), (&b"1\r\n"[..], &b".2\r\n"[..]));
    assert!(!first.is_esmtp);
    assert_eq!(second.mail_from, Some(ReversePath::Null));
    let names: Vec<String> = second.rcpt_to.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["b@example.com", "B@example.com"]);
}

#[test]
fn limits_at_the_limit_and_one_more() {
    let mail = "MAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\n";
    // Size declared.
    check(
        &format!("{EHLO}MAIL FROM:<> SIZE=1000\r\nRSET\r\nMAIL FROM:<> SIZE=1001\r\n"),
        "220 250 250 250 552",
    );
    // Size counted, with CRLF and without the stuffed dot.
    let fits = format!("..{}\r\n", "x".repeat(997));
    let dialogue = check(&format!("{EHLO}{mail}DATA\r\n{fits}.\r\n"), "220 250 250 250 354 250");
    assert_eq!(dialogue.messages[0].1.len(), 1_000);
    let over = format!("..{}\r\n", "x".repeat(998));
    let dialogue = check(&format!("{EHLO}{mail}DATA\r\n{over}.\r\nNOOP\r\n"), "220 250 250 250 354 552 250");
    assert!(dialogue.messages.is_empty());
    // Recipients: 452 and the transaction goes on.
    check(
        &format!(
            "{EHLO}{mail}RCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nRCPT TO:<d@example.com>\r\nDATA\r\n.\r\n"
        ),
        "220 250 250 250 250 250 452 354 250",
    );
    // Line length with CRLF.
    let noop = |octets: usize| format!("NOOP {}\r\n", "x".repeat(octets - 7));
    check(&noop(512), "220 250");
    check(&format!("{}NOOP\r\n", noop(513)), "220 500 250");
    check(&format!("{}NOOP\r\n", noop(2_000)), "220 500 250");
    let dialogue = check(&format!("{}NOOP\r\n", noop(2_001)), "220 500 421");
    assert_eq!(dialogue.closed, Some(CloseReason::OverlongLine));
    // Errors.
    check(&"FOO\r\n".repeat(4), "220 500 500 500 500");
    let dialogue = check(&"FOO\r\n".repeat(6), "220 500 500 500 500 421");
    assert_eq!(dialogue.closed, Some(CloseReason::Errors));
    check(
        &format!("{EHLO}MAIL FROM:<>\r\n{}", "RCPT TO:<nobody@example.com>\r\n".repeat(6)),
        "220 250 250 550 550 550 550 421",
    );
    // Commands without mail.
    check(&"NOOP\r\n".repeat(5), "220 250 250 250 250 250");
    let dialogue =
        check("NOOP\r\nRSET\r\nVRFY a\r\nHELP\r\nHELO a\r\nNOOP\r\n", "220 250 250 252 214 250 421");
    assert_eq!(dialogue.closed, Some(CloseReason::Junk));
    // Commands of any kind, such as recipients that are one too many.
    let limits = SessionLimits { commands: 6, ..small_limits() };
    let rcpt = "RCPT TO:<a@example.com>\r\n";
    let dialogue = self::dialogue(&limits, &format!("{EHLO}{mail}{rcpt}{rcpt}{rcpt}{rcpt}"));
    assert_eq!(codes(&dialogue.replies), ["220", "250", "250", "250", "250", "250", "250", "421"]);
    assert_eq!(dialogue.closed, Some(CloseReason::Junk));
    // Messages.
    let message = format!("{mail}DATA\r\n.\r\n");
    let dialogue = check(
        &format!("{EHLO}{message}{message}{message}{mail}"),
        "220 250 250 250 354 250 250 250 354 250 250 250 354 250 421",
    );
    assert_eq!((dialogue.messages.len(), dialogue.closed), (3, Some(CloseReason::Messages)));
}

#[test]
fn only_crlf_ends_a_command() {
    let dialogue = check("NOOP\nMAIL FROM:<>\r\n", "220 500");
    assert_eq!(dialogue.closed, Some(CloseReason::BareLineFeed));
    check("NOOP\rNOOP\r\nNOOP\r\n", "220 500 250");
    check("NOOP\0\r\nNOOP\r\n", "220 500 250");
}

#[test]
fn other_protocols_are_sent_away() {
    for input in
        ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\n", "\u{16}\u{3}\u{1}", "host: x\r\n"]
    {
        let dialogue = check(input, "220 554");
        assert_eq!(dialogue.closed, Some(CloseReason::Foreign), "{input:?}");
    }
}

#[test]
fn smuggled_ends_give_one_message_and_one_reply() {
    let limits = SessionLimits { message_bytes: 10_000, ..small_limits() };
    for form in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r.\r\n",
        "\r\n.\r",
        "\n\n.\r\n",
        "\n.\r",
        "\r.\n",
        "\r\n.\r\r\n",
    ] {
        let input = format!(
            "{EHLO}MAIL FROM:<a@x.example>\r\nRCPT TO:<a@example.com>\r\nDATA\r\nouter{form}\
             MAIL FROM:<evil@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\ninner\r\n.\r\nNOOP\r\n"
        );
        let dialogue = dialogue(&limits, &input);
        assert_eq!(codes(&dialogue.replies), ["220", "250", "250", "250", "354", "250", "250"], "{form:?}");
        let [(envelope, body)] = &dialogue.messages[..] else { panic!("{form:?}: {dialogue:?}") };
        assert_eq!(envelope.mail_from.as_ref().unwrap().to_string(), "a@x.example", "{form:?}");
        assert!(String::from_utf8_lossy(body).contains("evil@example.com"), "{form:?}");
    }
}

#[test]
fn starttls() {
    check(&format!("{EHLO}STARTTLS x\r\n"), "220 250 501");
    let injected = dialogue(&small_limits(), &format!("{EHLO}STARTTLS\r\nMAIL FROM:<evil@example.com>\r\n"));
    assert!(injected.tls);
    assert_eq!(codes(&injected.replies), ["220", "250", "220"]);

    // What was said in the clear does not count within TLS, and STARTTLS is not offered again.
    let (now, peer) = (crate::clock::instant(), "192.0.2.1:25".parse().unwrap());
    let (mut replies, mut body) = (Vec::new(), Vec::new());
    let mut session = Session::new(options(small_limits()), Peer::direct(peer), now, &mut replies);
    let clear = format!("{EHLO}MAIL FROM:<evil@example.com>\r\nSTARTTLS\r\n");
    session.advance(clear.as_bytes(), &TestDesk, &mut body, &mut replies, now);
    let tls = TlsSession { version: "TLSv1.3".into(), cipher: "x".into(), server_name: None };
    session.tls_started(tls.clone(), now);
    replies.clear();
    let inside = format!(
        "RCPT TO:<a@example.com>\r\nMAIL FROM:<>\r\n{EHLO}STARTTLS\r\nMAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n.\r\n"
    );
    let (_, event) = session.advance(inside.as_bytes(), &TestDesk, &mut body, &mut replies, now);
    let text = String::from_utf8(replies).unwrap();
    assert_eq!(codes(&text), ["503", "503", "250", "503", "250", "250", "354"]);
    assert!(!text.contains("STARTTLS"));
    let Event::Message(envelope) = event else { panic!("{event:?}") };
    assert_eq!(envelope.tls, Some(tls));

    // Without a certificate it is neither offered nor done.
    let options = SessionOptions { is_tls_offered: false, ..(*options(small_limits())).clone() };
    let mut replies = Vec::new();
    let mut session = Session::new(Arc::new(options), Peer::direct(peer), now, &mut replies);
    session.advance(b"EHLO a\r\nSTARTTLS\r\n", &TestDesk, &mut body, &mut replies, now);
    let text = String::from_utf8(replies).unwrap();
    assert!(!text.contains("STARTTLS"));
    assert!(text.ends_with("502 5.5.1 Command not implemented\r\n"));
}

#[test]
fn a_refused_message_leaves_the_session_usable() {
    let (now, peer) = (crate::clock::instant(), "192.0.2.1:25".parse().unwrap());
    let (mut replies, mut body) = (Vec::new(), Vec::new());
    let mut session = Session::new(options(small_limits()), Peer::direct(peer), now, &mut replies);
    let mail = format!("{EHLO}MAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n.\r\n");
    for refusal in [
        Refusal::new(452, "4.3.1", "Insufficient storage", "disk full"),
        Refusal::new(200, "2.0.0", "never a success\r\n250 2.0.0 OK", "our fault"),
    ] {
        replies.clear();
        let (_, event) = session.advance(mail.as_bytes(), &TestDesk, &mut body, &mut replies, now);
        assert!(matches!(event, Event::Message(_)));
        assert_eq!(session.finish(&Err(refusal), &mut replies, now), None);
        let text = String::from_utf8(replies.clone()).unwrap();
        assert!(text.lines().last().unwrap().starts_with("45"), "{text}");
    }
    replies.clear();
    let (_, event) = session.advance(b"DATA\r\nNOOP\r\n", &TestDesk, &mut body, &mut replies, now);
    assert_eq!(event, Event::Read);
    assert_eq!(codes(std::str::from_utf8(&replies).unwrap()), ["503", "250"]);
    let stop = Refusal::new(421, "4.3.2", "Queue full", "queue");
    session.advance(mail.as_bytes(), &TestDesk, &mut body, &mut replies, now);
    assert_eq!(session.finish(&Err(stop), &mut replies, now), Some(CloseReason::Refused));
}

#[test]
fn storage_that_fails_within_the_data_is_answered_at_its_end() {
    let (now, peer) = (crate::clock::instant(), "192.0.2.1:25".parse().unwrap());
    let (mut replies, mut body) = (Vec::new(), Vec::new());
    let mut session = Session::new(options(small_limits()), Peer::direct(peer), now, &mut replies);
    let mail = format!("{EHLO}MAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nDATA\r\nbegun");
    session.advance(mail.as_bytes(), &TestDesk, &mut body, &mut replies, now);
    session.discard(Refusal::new(452, "4.3.1", "Insufficient storage", "disk full"));
    assert!(session.is_discarding());
    body.clear();
    replies.clear();
    let (read, event) =
        session.advance(b" and ended\r\n.\r\nNOOP\r\n", &TestDesk, &mut body, &mut replies, now);
    let Event::Discarded(discarded) = event else { panic!("{event:?}") };
    assert_eq!((discarded.size_bytes, discarded.refusal.code), (17, 452));
    assert_eq!((body.as_slice(), read), (&b""[..], 15));
    assert_eq!(replies, b"452 4.3.1 Insufficient storage\r\n");
}

#[test]
fn deadlines() {
    let caps = SessionLimits {
        command_timeout: Duration::from_secs(300),
        command_timeout_under_stress: Duration::from_secs(30),
        data_block_timeout: Duration::from_secs(180),
        data_timeout: Duration::from_secs(200),
        session_timeout: Duration::from_secs(500),
        ..small_limits()
    };
    let (start, peer) = (crate::clock::instant(), "192.0.2.1:25".parse().unwrap());
    let at = |seconds| start + Duration::from_secs(seconds);
    let (mut replies, mut body) = (Vec::new(), Vec::new());
    let mut session = Session::new(options(caps), Peer::direct(peer), start, &mut replies);
    assert_eq!(session.deadline(false), (at(300), CloseReason::IdleTimeout));
    assert_eq!(session.deadline(true), (at(30), CloseReason::IdleTimeout));
    // One byte is no command: the wait goes on from the last reply.
    session.advance(b"E", &TestDesk, &mut body, &mut replies, at(100));
    assert_eq!(session.deadline(false), (at(300), CloseReason::IdleTimeout));
    let data = b"HLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n";
    session.advance(data, &TestDesk, &mut body, &mut replies, at(200));
    assert_eq!(session.deadline(true), (at(380), CloseReason::DataTimeout));
    // A byte now and then keeps the block's deadline away, but not the message's.
    session.advance(b"x", &TestDesk, &mut body, &mut replies, at(370));
    assert_eq!(session.deadline(false), (at(400), CloseReason::DataTimeout));
    session.advance(b"\r\n.\r\n", &TestDesk, &mut body, &mut replies, at(390));
    session.finish(&Ok(MessageId(1)), &mut replies, at(391));
    assert_eq!(session.deadline(false), (at(500), CloseReason::SessionTimeout));
    replies.clear();
    session.close(CloseReason::IdleTimeout, &mut replies);
    assert_eq!(replies, b"421 4.4.2 mx.example.com timeout, closing\r\n");
}

#[test]
fn replies_that_are_not_fetched_stop_the_reading() {
    let (now, peer) = (crate::clock::instant(), "192.0.2.1:25".parse().unwrap());
    let (mut replies, mut body) = (Vec::new(), Vec::new());
    let mut session = Session::new(options(SessionLimits::STANDARD), Peer::direct(peer), now, &mut replies);
    let input = "HELO a\r\n".repeat(90) + &"VRFY a\r\n".repeat(5_000);
    let (read, event) = session.advance(input.as_bytes(), &TestDesk, &mut body, &mut replies, now);
    assert!(matches!(event, Event::Flush | Event::Close(_)), "{event:?}");
    assert!(read < input.len() && replies.len() < REPLIES_BYTES + 600);
}

proptest! {
    #[test]
    fn the_cut_of_the_input_changes_nothing(
        picks in prop::collection::vec(0usize..16, 1..20),
        mut cuts in prop::collection::vec(0usize..1_000, 0..8),
    ) {
        let pieces = [
            "EHLO a\r\n", "HELO b\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<a@example.com>\r\n",
            "RCPT TO:<nobody@example.com>\r\n", "DATA\r\n", "x\r\n.\r\n", ".\r\n", "\n.\r\n", "\r\n.\n",
            "RSET\r\n", "QUIT\r\n", "FOO", "\r\n", "STARTTLS\r\n", &"y".repeat(600),
        ];
        let input: String = picks.iter().map(|pick| pieces[*pick]).collect();
        cuts.retain(|cut| *cut <= input.len());
        cuts.sort_unstable();
        let limits = SessionLimits { errors: 6, ..small_limits() };
        prop_assert_eq!(play(limits.clone(), input.as_bytes(), &cuts), play(limits, input.as_bytes(), &[]));
    }
}
