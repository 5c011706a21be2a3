//! The receiver's session: what any client may say.

use std::sync::Arc;

use mailsonde::clock;
use mailsonde::mail::{Address, Envelope, MessageId, Refusal, TlsSession};
use mailsonde::smtp::session::{CloseReason, Desk, Event, Peer, Session, SessionLimits, SessionOptions};

use super::{hash, place};

/// Takes every recipient but `nobody@`, has no room for 4,521 bytes.
struct TestDesk;

impl Desk for TestDesk {
    fn recipient(&self, address: &Address) -> Result<(), Refusal> {
        if address.local.starts_with("nobody") {
            return Err(Refusal::new(550, "5.1.1", "No such user", "test"));
        }
        Ok(())
    }

    fn has_room(&self, size_bytes: u64) -> Result<(), Refusal> {
        if size_bytes == 4_521 { Err(Refusal::new(452, "4.3.1", "Full", "test")) } else { Ok(()) }
    }
}

/// The caps of the test, small so that they are met.
fn limits() -> SessionLimits {
    SessionLimits {
        message_bytes: 500,
        command_line_bytes: 512,
        overlong_line_bytes: 1_000,
        recipients: 3,
        errors: 6,
        junk_commands: 8,
        messages: 3,
        commands: 60,
        ..SessionLimits::STANDARD
    }
}

/// What one dialogue gave.
#[derive(Debug, PartialEq, Default)]
struct Dialogue {
    replies: Vec<u8>,
    messages: Vec<(Envelope, Vec<u8>)>,
    discarded: usize,
    closed: Option<CloseReason>,
    tls: usize,
}

/// Where the input is cut changes nothing; replies are well formed; each message was asked for with a 354 of its
/// own and is answered once; caps hold.
pub fn check(data: &[u8]) {
    let whole = play(data, &[]);
    let (a, b) = (place(hash(data), data.len()), place(hash(data).rotate_left(32), data.len()));
    assert_eq!(play(data, &[a.min(b), a.max(b)]), whole, "the cut of the input changes the dialogue");
    let every: Vec<usize> = (0..data.len()).collect();
    assert_eq!(play(data, &every), whole, "byte by byte it is another dialogue");
    check_replies(&whole);
    for (envelope, body) in &whole.messages {
        assert!(!envelope.rcpt_to.is_empty() && envelope.rcpt_to.len() <= limits().recipients);
        assert!(envelope.mail_from.is_some());
        assert_eq!(envelope.peer.is_some(), envelope.peer_source.is_some());
        // A relay's own name is never its client's.
        assert!(envelope.helo.is_none() || envelope.peer.is_some());
        assert!(envelope.relay.is_some() || (envelope.peer.is_some() && envelope.helo.is_some()));
        assert!(body.len() as u64 <= limits().message_bytes);
        assert!(body.is_empty() || body.ends_with(b"\r\n"), "a message ends with a line");
        assert!(envelope.rcpt_to.iter().all(|address| !address.local.starts_with("nobody")));
    }
    assert!(whole.messages.len() <= limits().messages);
}

/// RFC 5321 §4.2: three digits, a blank or `-`, text, CRLF; nothing of the client's comes back unprintable.
fn check_replies(dialogue: &Dialogue) {
    let text = std::str::from_utf8(&dialogue.replies).expect("replies are text");
    assert!(text.ends_with("\r\n"));
    let (mut asked, mut last) = (0, false);
    for line in text.trim_end_matches("\r\n").split("\r\n") {
        assert!(!line.contains(char::is_control) && line.len() <= 510, "{line:?}");
        let (code, rest) = line.split_at(3);
        assert!(code.bytes().all(|b| b.is_ascii_digit()) && "2345".contains(&code[..1]), "{line:?}");
        assert!(rest.starts_with([' ', '-']) && rest.len() > 1, "{line:?}");
        last = rest.starts_with(' ');
        asked += usize::from(code == "354");
    }
    assert!(last, "a reply without its end");
    let taken = dialogue.messages.len() + dialogue.discarded;
    // The last one may be refused with a close, or its data have not ended.
    assert!(asked == taken || asked == taken + 1, "{asked} asked for, {taken} taken");
    let kept = text.matches("\r\n250 2.0.0 OK ").count();
    assert_eq!(kept, dialogue.messages.len(), "each message is answered once");
}

/// Plays `data`, cut after each of `cuts`, with the way that a driver goes.
fn play(data: &[u8], cuts: &[usize]) -> Dialogue {
    let now = clock::instant();
    let direct = Peer::direct("192.0.2.1:2525".parse().expect("an address"));
    // Every second one is a trusted relay, for which there is XFORWARD.
    let peer = Peer { is_relay: data.len() % 2 == 1, ..direct };
    let options =
        SessionOptions { host_name: "mx.example.com".into(), is_tls_offered: true, limits: limits() };
    let (mut replies, mut body) = (Vec::new(), Vec::new());
    let mut session = Session::new(Arc::new(options), peer, now, &mut replies);
    let mut result = Dialogue::default();
    let mut from = 0;
    'input: for to in cuts.iter().copied().chain([data.len()]) {
        let mut rest = &data[from..to];
        from = to;
        loop {
            let (read, event) = session.advance(rest, &TestDesk, &mut body, &mut replies, now);
            rest = &rest[read..];
            assert!(!session.is_discarding() || body.is_empty());
            assert!(body.len() as u64 <= limits().message_bytes, "a body over its cap is held");
            assert!(replies.len() < 8_192, "replies are held without end");
            match event {
                Event::Read => {
                    assert!(rest.is_empty());
                    break;
                }
                Event::Flush => result.replies.append(&mut replies),
                Event::StartTls => {
                    result.tls += 1;
                    result.replies.append(&mut replies);
                    // RFC 3207 §4.2: what was sent in the clear is thrown away; here what follows is under TLS.
                    let tls = TlsSession { version: "TLSv1.3".into(), cipher: "X".into(), server_name: None };
                    session.tls_started(tls, now);
                    assert!(session.helo().is_none() && session.transaction().is_none());
                }
                Event::Message(envelope) => {
                    result.messages.push((*envelope, std::mem::take(&mut body)));
                    let id = MessageId(i64::try_from(result.messages.len()).unwrap_or_default());
                    assert_eq!(session.finish(&Ok(id), &mut replies, now), None);
                }
                Event::Discarded(discarded) => {
                    assert!(body.is_empty() && discarded.size_bytes > 0);
                    result.discarded += 1;
                }
                Event::Close(reason) => {
                    result.closed = Some(reason);
                    break 'input;
                }
            }
        }
    }
    result.replies.append(&mut replies);
    result
}
