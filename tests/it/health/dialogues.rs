//! MX hosts are asked what they offer: hosts in order, and hosts that are silent, slow, endless or forged.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use mailsonde::clock;
use mailsonde::dns::Name;
use mailsonde::dns_health::addresses::Reach;
use mailsonde::dns_health::facts::{DialogueFault, Spoken, StartTls, TlsSeen};
use mailsonde::dns_health::gather::MxDialogue as _;
use mailsonde::smtp::mx_dialogue::{MxTalker, Waits};
use mailsonde::tls_client::{Verification, Verify};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::support::sink::TestSink;
use crate::support::tls::{Authority, Identity};

const HOST: &str = "mx.good.example";

/// What a mail server does, one after the other.
#[derive(Clone)]
pub(super) enum Step {
    /// Says a text as it is.
    Say(&'static str),
    /// Hears a line.
    Hear,
    /// Makes the handshake.
    Tls(Identity),
    /// Says nothing until the client goes away.
    Stall,
    /// Says the text again and again, an octet now and then.
    Drip(&'static str),
    /// Says the text again and again.
    Flood(&'static str),
}

/// Acts out steps on a stream; says at which handshake it stopped.
async fn act(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    steps: &[Step],
    tell: &mpsc::UnboundedSender<String>,
) -> std::io::Result<()> {
    for step in steps {
        match step {
            Step::Say(text) => {
                stream.write_all(text.as_bytes()).await?;
                stream.flush().await?;
            }
            Step::Hear => {
                let (mut line, mut byte) = (Vec::new(), [0]);
                while !line.ends_with(b"\n") && stream.read(&mut byte).await? > 0 {
                    line.push(byte[0]);
                }
                let _ = tell.send(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            Step::Stall | Step::Tls(_) => {
                let mut buffer = [0; 1024];
                while stream.read(&mut buffer).await? > 0 {}
            }
            Step::Drip(text) => loop {
                for byte in text.as_bytes() {
                    stream.write_all(&[*byte]).await?;
                    stream.flush().await?;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            },
            Step::Flood(text) => loop {
                stream.write_all(text.as_bytes()).await?;
            },
        }
    }
    Ok(())
}

/// Starts a mail server on loopback; its port, and the lines that it hears.
pub(super) async fn serve(steps: Vec<Step>) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (steps, tell) = (steps.clone(), tell.clone());
            tokio::spawn(async move {
                let at = steps.iter().position(|step| matches!(step, Step::Tls(_))).unwrap_or(steps.len());
                let (clear, secret) = steps.split_at(at);
                if act(&mut stream, clear, &tell).await.is_err() {
                    return;
                }
                let Some((Step::Tls(identity), secret)) = secret.split_first() else { return };
                let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&identity.config));
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _ = act(&mut stream, secret, &tell).await;
            });
        }
    });
    (port, told)
}

/// A talker for a port of loopback.
fn talker(port: u16, authority: &Authority) -> MxTalker {
    MxTalker {
        helo: Some("probe.example.net".to_owned()),
        verify: Verify::Roots(authority.pem.as_bytes().into()),
        reach: Reach::Any,
        port,
        waits: Waits::STANDARD,
    }
}

/// What the talker makes of a server.
async fn talk(talker: &MxTalker) -> Result<Spoken, DialogueFault> {
    let host = Name::from_dotted(HOST).unwrap();
    talker.talk(&host, IpAddr::V4(Ipv4Addr::LOCALHOST)).await.outcome
}

/// The session, where there is one.
fn session(outcome: Result<Spoken, DialogueFault>) -> TlsSeen {
    match outcome.unwrap().tls {
        StartTls::Done(seen) => seen,
        other => panic!("{other:?}"),
    }
}

/// The replies of a usual server up to the handshake.
const BEFORE: [Step; 5] = [
    Step::Say("220 mx.good.example ESMTP\r\n"),
    Step::Hear,
    Step::Say("250-mx.good.example\r\n250-PIPELINING\r\n250 STARTTLS\r\n"),
    Step::Hear,
    Step::Say("220 go ahead\r\n"),
];

/// A usual server with a certificate.
fn usual(identity: &Identity) -> Vec<Step> {
    let mut steps = BEFORE.to_vec();
    steps.extend([
        Step::Tls(identity.clone()),
        Step::Hear,
        Step::Say("250-mx.good.example\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"),
        Step::Hear,
        Step::Say("221 bye\r\n"),
    ]);
    steps
}

#[tokio::test]
async fn a_dialogue_tells_what_is_offered_and_sends_nothing() {
    let authority = Authority::new();
    let identity = authority.issue(&[HOST], (2020, 2099));
    let (port, mut told) = serve(usual(&identity)).await;
    let spoken = talk(&talker(port, &authority)).await.unwrap();
    assert_eq!(spoken.greeting, "mx.good.example ESMTP");
    assert_eq!(spoken.extensions, ["PIPELINING", "STARTTLS"]);
    let seen = session(Ok(spoken));
    assert_eq!((seen.version.as_str(), seen.chain.len()), ("TLSv1.3", 2));
    assert_eq!((seen.chain, seen.verification), (identity.chain, Verification::Verified));
    assert_eq!(seen.extensions, ["SIZE 52428800", "8BITMIME", "SMTPUTF8"]);
    let mut heard = Vec::new();
    while heard.last().is_none_or(|line| line != "QUIT") {
        heard.push(told.recv().await.unwrap());
    }
    assert_eq!(heard, ["EHLO probe.example.net", "STARTTLS", "EHLO probe.example.net", "QUIT"]);
}

#[tokio::test]
async fn certificates_are_noted_whatever_is_wrong_with_them() {
    let authority = Authority::new();
    for (identity, want) in [
        (authority.issue(&[HOST], (2020, 2021)), "expired at 2021-01-01T00:00:00Z"),
        (
            authority.issue(&["other.example"], (2020, 2099)),
            "not for mx.good.example: it is for other.example",
        ),
        (Identity::self_signed(&[HOST]), "self-signed"),
    ] {
        let (port, _told) = serve(usual(&identity)).await;
        let seen = session(talk(&talker(port, &authority)).await);
        assert_eq!(seen.verification, Verification::Failed(want.to_owned()));
        assert_eq!(seen.chain, identity.chain);
        // And another domain's name for the same host is judged from the chain at hand.
        let other = Name::from_dotted("other.example").unwrap();
        let again = talker(port, &authority).verify(&other, &seen.chain);
        assert_eq!(again == Verification::Verified, want.contains("other.example"), "{again:?}");
    }
}

#[tokio::test]
async fn servers_without_tls_and_servers_that_refuse() {
    let authority = Authority::new();
    let hello = |text| vec![Step::Say("220 mx\r\n"), Step::Hear, Step::Say(text), Step::Stall];
    let mut refuses = BEFORE[..4].to_vec();
    refuses.extend([Step::Say("454 4.7.0 not now\r\n"), Step::Stall]);
    let mut breaks = BEFORE.to_vec();
    breaks.push(Step::Say("HTTP/1.1 400 Bad Request\r\n"));
    breaks[4] = Step::Say("220 go ahead\r\n");
    let tls = |spoken: Spoken| match spoken.tls {
        StartTls::NotOffered => "not offered".to_owned(),
        StartTls::Refused(why) => format!("refused: {why}"),
        StartTls::Failed(_) => "failed".to_owned(),
        StartTls::Done(_) => "done".to_owned(),
    };
    for (steps, want) in [
        (hello("250 mx\r\n"), Ok("not offered")),
        (hello("250-mx\r\n250 XSTARTTLS\r\n"), Ok("not offered")),
        (hello("502 5.5.1 no EHLO here\r\n"), Ok("not offered")),
        (hello("550 5.7.1 who are you\r\n"), Err("refused: 550 5.7.1 who are you")),
        (
            vec![Step::Say("554 5.7.1 you are listed\r\n"), Step::Stall],
            Err("refused: 554 5.7.1 you are listed"),
        ),
        (vec![Step::Say("421 4.3.2 too busy\r\n")], Err("refused: 421 4.3.2 too busy")),
        (refuses, Ok("refused: 454 4.7.0 not now")),
        (breaks, Ok("failed")),
        (Vec::new(), Err("it closed the connection")),
        (
            vec![Step::Say("SSH-2.0-OpenSSH_9.2\r\n"), Step::Stall],
            Err("no reply of SMTP: \"SSH-2.0-OpenSSH_9.2\""),
        ),
    ] {
        let (port, _told) = serve(steps).await;
        let outcome = talk(&talker(port, &authority)).await;
        let outcome = outcome.map(tls).map_err(|fault| fault.to_string());
        assert_eq!(outcome.as_deref().map_err(String::as_str), want);
    }
}

/// RFC 3207 §4.2: what stands behind the 220 in the clear is not the server's word within TLS.
#[tokio::test]
async fn text_behind_the_reply_to_starttls_is_an_attack() {
    let authority = Authority::new();
    let identity = authority.issue(&[HOST], (2020, 2099));
    for injected in
        ["220 go ahead\r\n250-mx\r\n250 AUTH PLAIN\r\n", "220 go ahead\r\n250", "220 go ahead\r\n\r\n"]
    {
        let mut steps = BEFORE[..4].to_vec();
        steps.extend([Step::Say(injected), Step::Tls(identity.clone()), Step::Stall]);
        let (port, _told) = serve(steps).await;
        let spoken = talk(&talker(port, &authority)).await.unwrap();
        assert!(
            matches!(&spoken.tls, StartTls::Failed(why) if why.contains("in the clear after the reply")),
            "{injected:?}: {spoken:?}"
        );
    }
}

#[tokio::test]
async fn hostile_servers_are_bounded() {
    let authority = Authority::new();
    let second = Duration::from_secs(1);
    let short = Waits { connect: second, reply: second, tls: second, whole: Duration::from_secs(3) };
    let before = |step: Step| {
        let mut steps = BEFORE.to_vec();
        steps.push(step);
        steps
    };
    for (steps, want) in [
        (vec![Step::Stall], "no reply within 1 s"),
        (vec![Step::Drip("220-wait\r\n")], "no reply within 1 s"),
        (vec![Step::Drip("2")], "no reply within 1 s"),
        (vec![Step::Flood("220-and more\r\n")], "a reply without end"),
        (vec![Step::Say("220 mx\r\n"), Step::Hear, Step::Flood("250-X\r\n")], "a reply without end"),
        (vec![Step::Flood("0000000000000000")], "no reply within 1 s"),
        // A handshake that never comes.
        (before(Step::Stall), "no reply within 1 s"),
    ] {
        let (port, _told) = serve(steps).await;
        let began = clock::instant();
        let outcome = talk(&MxTalker { waits: short, ..talker(port, &authority) }).await;
        assert_eq!(outcome.map_err(|fault| fault.to_string()), Err(want.to_owned()));
        assert!(began.elapsed() < Duration::from_secs(20), "{want}");
    }
    // Each reply in its time, and the whole too long all the same.
    let slow = Waits { whole: Duration::from_millis(1_500), reply: Duration::from_secs(60), ..short };
    let (port, _told) = serve(vec![Step::Say("220 mx\r\n"), Step::Hear, Step::Drip("250-X\r\n")]).await;
    let outcome = talk(&MxTalker { waits: slow, ..talker(port, &authority) }).await;
    assert_eq!(outcome, Err(DialogueFault::ReplyTimeout(1)));
    // Garbage in the place of a handshake.
    let (port, _told) = serve(before(Step::Flood("not TLS at all, and no end of it"))).await;
    let spoken = talk(&MxTalker { waits: short, ..talker(port, &authority) }).await.unwrap();
    assert!(matches!(spoken.tls, StartTls::Failed(_)), "{spoken:?}");
}

#[tokio::test]
async fn closed_ports_and_inner_addresses() {
    let authority = Authority::new();
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    assert_eq!(talk(&talker(port, &authority)).await, Err(DialogueFault::ConnectionRefused));
    let (port, mut told) = serve(usual(&authority.issue(&[HOST], (2020, 2099)))).await;
    let public = MxTalker { reach: Reach::Public, ..talker(port, &authority) };
    let host = Name::from_dotted(HOST).unwrap();
    for address in ["127.0.0.1", "169.254.169.254", "10.1.1.1", "::1", "::ffff:127.0.0.1", "fd00::1"] {
        let outcome = public.talk(&host, address.parse().unwrap()).await.outcome;
        assert_eq!(outcome, Err(DialogueFault::NotPublic), "{address}");
    }
    assert!(told.try_recv().is_err(), "somebody connected");
}

/// Our own receiver as the MX host, by our address in the place of a name.
#[tokio::test]
async fn our_own_receiver_is_in_order() {
    let sink = TestSink::start();
    let authority = Authority::new();
    let talker = MxTalker { helo: None, ..talker(sink.address().port(), &authority) };
    let spoken = talk(&talker).await.unwrap();
    assert!(spoken.greeting.starts_with("mx.example.com"), "{}", spoken.greeting);
    let seen = session(Ok(spoken));
    assert!(seen.extensions.iter().any(|line| line.starts_with("SIZE ")), "{:?}", seen.extensions);
    assert!(!seen.extensions.iter().any(|line| line == "STARTTLS"), "{:?}", seen.extensions);
    assert!(sink.inbox.stored().is_empty());
}
