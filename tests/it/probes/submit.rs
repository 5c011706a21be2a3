//! The sender against a scripted server: every phase refused, put off, dropped, stalled, garbled.

use std::sync::Arc;
use std::time::Duration;

use mailsonde::clock::Timestamp;
use mailsonde::mail::{Address, ReversePath};
use mailsonde::probe::compose::{Composed, Draft, Profile, address_of, compose};
use mailsonde::probe::lifecycle::What;
use mailsonde::probe::token::{KeyRing, Kind};
use mailsonde::smtp::submit::{
    Cause, Credentials, Fault, HandOver, Mechanism, Outcome, Phase, Secret, Submission, SubmitOptions,
    Timeouts, TlsMode, Verification, Verify, submit,
};

use super::scripted::{Do, Identity, Scripted, say, serve, serve_as};

/// Long enough for a loaded machine, for whatever must not run out.
const AMPLE: Duration = Duration::from_secs(60);
/// For what must run out.
const SHORT: Duration = Duration::from_millis(200);

/// Options for a server on loopback.
fn options(server: &Scripted) -> SubmitOptions {
    SubmitOptions {
        host: server.address.ip().to_string(),
        port: server.address.port(),
        helo: "probe.example.org".to_owned(),
        tls: TlsMode::None,
        verify: Verify::Off,
        server_name: Some("localhost".to_owned()),
        credentials: None,
        source_address: None,
        dsn: None,
        timeouts: Timeouts { connect: AMPLE, tls: AMPLE, reply: AMPLE, block: AMPLE, dot: AMPLE },
    }
}

/// A probe with its recipient.
fn probe(profile: Profile) -> (Composed, Address) {
    let ring = KeyRing::with_id(1, &[9; 32]).unwrap();
    let token = ring.mint(Kind::Probe, 1, Timestamp::from_seconds(1_790_000_000), 1);
    let texts = ring.texts(&token).unwrap();
    let to = address_of("probe+{token}@example.net", texts.name()).unwrap();
    let from = Address::parse("probe@example.org").unwrap();
    (compose(&Draft::new(&token, &texts, "test", profile, &from, &to)).unwrap(), to)
}

/// Hands a probe over.
async fn send(options: &SubmitOptions, profile: Profile) -> HandOver {
    let (composed, to) = probe(profile);
    let mail_from = ReversePath::Address(Address::parse("probe@example.org").unwrap());
    let submission = Submission {
        mail_from: &mail_from,
        rcpt_to: &to,
        message: &composed.bytes,
        needs_smtputf8: composed.needs_smtputf8,
    };
    submit(options, submission).await
}

/// What the phases of a plain session hear and say, in order.
fn phases() -> Vec<(Phase, Vec<Do>, &'static str)> {
    vec![
        (Phase::Banner, vec![], "220 mx.example.net"),
        (Phase::Ehlo, vec![Do::Hear("EHLO ")], "250 mx.example.net"),
        (Phase::Mail, vec![Do::Hear("MAIL ")], "250 2.1.0 ok"),
        (Phase::Rcpt, vec![Do::Hear("RCPT ")], "250 2.1.5 ok"),
        (Phase::Data, vec![Do::Hear("DATA")], "354 go"),
        (Phase::Dot, vec![Do::Body], "250 2.0.0 Ok: queued as 49WyBc05CF"),
    ]
}

/// A session that goes well until `at`, where `instead` stands for the reply.
fn session_with(at: Phase, instead: Vec<Do>) -> Vec<Do> {
    let mut script = Vec::new();
    for (phase, hear, reply) in phases() {
        script.extend(hear);
        if phase == at {
            script.extend(instead);
            return script;
        }
        script.push(say(reply));
    }
    script
}

#[tokio::test]
async fn a_probe_is_handed_over_byte_for_byte() {
    for profile in [Profile::Plain, Profile::Business, Profile::Attach(200_000), Profile::LongLine] {
        let mut script = Vec::new();
        for (_, hear, reply) in phases() {
            script.extend(hear);
            script.push(say(reply));
        }
        script.extend([Do::Hear("QUIT"), say("221 bye")]);
        let server = serve(script).await;
        let hand_over = send(&options(&server), profile).await;
        let heard = server.heard.await.unwrap().unwrap();
        let (composed, to) = probe(profile);
        assert_eq!(heard[0], "EHLO probe.example.org");
        assert_eq!(heard[2], format!("RCPT TO:<{to}>"));
        assert_eq!(heard[4].as_bytes(), composed.bytes, "{profile}");
        let Outcome::Accepted(reply) = &hand_over.outcome else { panic!("{hand_over:#?}") };
        assert_eq!(reply.to_string(), "250 2.0.0 Ok: queued as 49WyBc05CF");
        assert_eq!(hand_over.queue_id.as_deref(), Some("49WyBc05CF"));
        assert_eq!(hand_over.peer, Some(server.address));
        let steps: Vec<_> = hand_over.steps.iter().map(|step| step.phase.as_str()).collect();
        let want = ["resolve", "connect", "banner", "ehlo", "mail", "rcpt", "data", "body", "dot", "quit"];
        assert_eq!(steps, want);
        assert!(hand_over.ended_at >= hand_over.started_at);
        assert_eq!(hand_over.outcome.what().as_str(), "accepted");
    }
}

#[tokio::test]
async fn every_phase_refused_put_off_dropped_stalled_or_garbled() {
    for (phase, ..) in phases() {
        let is_dot = phase == Phase::Dot;
        for (code, is_refused, closes) in [
            ("554 5.7.1 go away", true, false),
            ("451 4.3.0 later", false, false),
            // RFC 5321 §3.8: it closes at once.
            ("421 4.3.2 shutting down", false, true),
        ] {
            let goodbye = if closes { vec![] } else { vec![Do::Hear("QUIT")] };
            let server = serve(session_with(phase, [vec![say(code)], goodbye].concat())).await;
            let hand_over = send(&options(&server), Profile::Plain).await;
            match (&hand_over.outcome, is_refused) {
                (Outcome::Refused(at, Cause::Reply(reply)), true)
                | (Outcome::Deferred(at, Cause::Reply(reply)), false) => {
                    assert_eq!((*at, reply.to_string().as_str()), (phase, code));
                }
                (other, _) => panic!("{phase:?} {code}: {other:?}"),
            }
            server.heard.await.unwrap().unwrap();
        }
        let cases: [(&str, Vec<Do>, Fault); 6] = [
            ("dropped", vec![], Fault::Closed),
            ("cut", vec![Do::Raw(b"25".to_vec())], Fault::Closed),
            ("cut between lines", vec![Do::Raw(b"250-a\r\n".to_vec())], Fault::Closed),
            ("stalled", vec![Do::Stall], Fault::Timeout(SHORT)),
            (
                "garbled",
                vec![say("HTTP/1.1 400 Bad Request"), Do::Stall],
                Fault::Garbage("HTTP/1.1 400 Bad Request".to_owned()),
            ),
            ("endless", vec![Do::Raw(b"250-x\r\n".repeat(101)), Do::Stall], Fault::ReplyTooLong),
        ];
        for (name, instead, want) in cases {
            let server = serve(session_with(phase, instead)).await;
            let mut options = options(&server);
            if name == "stalled" {
                (options.timeouts.reply, options.timeouts.dot) = (SHORT, SHORT);
            }
            let outcome = send(&options, Profile::Plain).await.outcome;
            let wanted =
                if is_dot { Outcome::InDoubt(want) } else { Outcome::Deferred(phase, Cause::Fault(want)) };
            assert_eq!(outcome, wanted, "{phase:?} {name}");
            assert_eq!(outcome.what().as_str(), if is_dot { "in_doubt" } else { "deferred" });
        }
    }
}

#[tokio::test]
async fn a_reply_in_drops_and_one_line_after_the_other_is_a_reply() {
    let mut script: Vec<Do> =
        b"220-mx\r\nhello there\n220 mx\r\n".iter().map(|byte| Do::Raw(vec![*byte])).collect();
    script.extend([
        Do::Hear("EHLO"),
        say("250-mx"),
        say(&format!("250-X {}", "x".repeat(100_000))),
        say("250 SIZE 9"),
    ]);
    script.extend([Do::Hear("QUIT"), say("221 bye")]);
    let server = serve(script).await;
    let hand_over = send(&options(&server), Profile::Plain).await;
    server.heard.await.unwrap().unwrap();
    assert!(matches!(
        hand_over.outcome,
        Outcome::Refused(Phase::Mail, Cause::Fault(Fault::TooLarge { limit: 9, .. }))
    ));
    assert_eq!(hand_over.extensions[1], "SIZE 9");
}

/// Text that nobody asked for ends the session before our next command: which reply answers what cannot be told any
/// more. Above all, a success that was said before the dot is no success.
#[tokio::test]
async fn servers_that_speak_before_their_turn() {
    for (phase, _, usual) in phases() {
        if phase == Phase::Dot {
            continue;
        }
        let next = match phase {
            Phase::Banner => Phase::Ehlo,
            Phase::Ehlo => Phase::Mail,
            Phase::Mail => Phase::Rcpt,
            Phase::Rcpt => Phase::Data,
            _ => Phase::Body,
        };
        for (early, want) in [
            ("250 2.0.0 queued", "deferred: the server spoke before its turn: 250 2.0.0 queued"),
            ("421 4.3.2 closing", "deferred: 421 4.3.2 closing"),
            ("hello?", "deferred: the server spoke before its turn: hello?\\r\\n"),
            ("220-half", "deferred: the server spoke before its turn: 220-half\\r\\n"),
        ] {
            let both = Do::Raw(format!("{usual}\r\n{early}\r\n").into_bytes());
            let server = serve(session_with(phase, vec![both, Do::Stall])).await;
            let hand_over = send(&options(&server), Profile::Plain).await;
            let Outcome::Deferred(at, cause) = &hand_over.outcome else { panic!("{hand_over:#?}") };
            assert_eq!((*at, format!("deferred: {cause}")), (next, want.to_owned()), "{phase:?} {early}");
            let last = hand_over.steps.last().unwrap();
            assert_eq!((last.phase, &last.sent), (next, &None), "{phase:?}: nothing was sent after it");
        }
    }
    // Said while the message is on its way: a refusal is the server's last word, a success is none.
    for (early, want) in [("552 5.3.4 too big", "refused"), ("250 queued", "deferred")] {
        let both = Do::Raw(format!("354 go\r\n{early}\r\n").into_bytes());
        let server = serve(session_with(Phase::Data, vec![both, Do::Stall])).await;
        let outcome = send(&options(&server), Profile::Plain).await.outcome;
        assert_eq!(outcome.what().as_str(), want, "{early}: {outcome:?}");
        assert_eq!(server.heard.await.unwrap().unwrap().last().map(String::as_str), Some("DATA"));
    }
    // Before TLS it may be anybody's; after the reply to the dot it changes nothing.
    let server = serve(session_with(
        Phase::Dot,
        vec![Do::Raw(b"250 2.0.0 ok\r\n421 bye\r\n".to_vec()), Do::Hear("QUIT")],
    ))
    .await;
    let outcome = send(&options(&server), Profile::Plain).await.outcome;
    assert_eq!(outcome.what().as_str(), "accepted");
}

/// The final exchange, cut at each byte: of what we send the dot, of what the server says its reply. Accepted is only
/// what a whole reply says; everything else after the dot is in doubt, and never sent again.
#[tokio::test]
async fn the_final_exchange_cut_at_each_byte() {
    let reply = b"250-2.0.0 one\r\n250 2.0.0 two\r\n";
    for cut in 0..=reply.len() {
        let server = serve(session_with(Phase::Dot, vec![Do::Raw(reply[..cut].to_vec())])).await;
        let hand_over = send(&options(&server), Profile::Plain).await;
        // The line end may be a bare LF, and it is needed: `250 2.0.0 t` may go on.
        let want = if cut == reply.len() { "accepted" } else { "in_doubt" };
        assert_eq!(hand_over.outcome.what().as_str(), want, "after {cut} bytes of the reply");
    }
    // The server goes away after so many bytes of the message with its dot. Whether the system tells before the dot was
    // sent is chance; that it is never taken for accepted or refused is not.
    let (composed, _) = probe(Profile::Plain);
    let whole = composed.bytes.len() + 3;
    for left in 0..=6 {
        let script = session_with(Phase::Data, vec![say("354 go"), Do::Take(whole - left)]);
        let server = serve(script).await;
        let outcome = send(&options(&server), Profile::Plain).await.outcome;
        let word = outcome.what();
        let is_doubt_or_before = match &outcome {
            Outcome::InDoubt(_) => true,
            Outcome::Deferred(phase, _) => *phase == Phase::Body && left >= 3,
            _ => false,
        };
        assert!(is_doubt_or_before, "{left} bytes before the end: {}", word.as_str());
    }
}

/// Losing the connection within the message is no doubt: without its dot it does not exist.
#[tokio::test]
async fn lost_within_the_message() {
    let server = serve(session_with(Phase::Data, vec![say("354 go"), Do::Take(10_000)])).await;
    let outcome = send(&options(&server), Profile::Attach(20_000_000)).await.outcome;
    assert!(matches!(outcome, Outcome::Deferred(Phase::Body, Cause::Fault(_))), "{outcome:?}");
    // A server that does not read any more.
    let server =
        serve(session_with(Phase::Data, vec![say("354 go"), Do::Take(10_000), say("552 5.3.4 too big")]))
            .await;
    let outcome = send(&options(&server), Profile::Attach(20_000_000)).await.outcome;
    // Whether its last word is still to be had depends on the system; a doubt it never is.
    match outcome {
        Outcome::Refused(Phase::Body, Cause::Reply(reply)) => assert_eq!(reply.code, 552),
        Outcome::Deferred(Phase::Body, Cause::Fault(_)) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_stops_reading_times_out() {
    let script = session_with(Phase::Data, vec![say("354 go"), Do::Take(1_000)]);
    // Holds the connection open and reads nothing more, until the client has gone.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (done, wait) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = tokio::io::BufStream::new(stream);
        use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
        for step in script {
            match step {
                Do::Say(line) => {
                    stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
                    stream.flush().await.unwrap();
                }
                Do::Hear(_) => {
                    let mut line = String::new();
                    stream.read_line(&mut line).await.unwrap();
                }
                _ => {}
            }
        }
        // The sender goes away first, then this ends.
        wait.await.ok();
    });
    let mut options = options(&serve(vec![]).await);
    options.port = address.port();
    options.timeouts.block = SHORT;
    options.timeouts.reply = SHORT;
    let outcome = send(&options, Profile::Attach(20_000_000)).await.outcome;
    done.send(()).unwrap();
    task.await.unwrap();
    assert!(matches!(outcome, Outcome::Deferred(_, Cause::Fault(Fault::Timeout(_)))), "{outcome:?}");
}

#[tokio::test]
async fn no_server_no_address() {
    let server = serve(vec![]).await;
    let mut options = options(&server);
    // A port that was free a moment ago.
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    options.port = closed;
    let hand_over = send(&options, Profile::Plain).await;
    assert!(matches!(
        hand_over.outcome,
        Outcome::Deferred(Phase::Connect, Cause::Fault(Fault::NoConnection(_)))
    ));
    assert_eq!(hand_over.attempts.len(), 1);
    options.host = "a b".to_owned();
    let outcome = send(&options, Profile::Plain).await.outcome;
    assert!(
        matches!(outcome, Outcome::Deferred(Phase::Resolve, Cause::Fault(Fault::NoAddress { .. }))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn pipelined_in_one_segment() {
    let server = serve(vec![
        say("220 mx"),
        Do::Hear("EHLO"),
        Do::Raw(b"250-mx\r\n250 PIPELINING\r\n".to_vec()),
        // Nothing is said before both were heard.
        Do::Hear("MAIL FROM:<probe@example.org>"),
        Do::Hear("RCPT TO:<probe+mf"),
        Do::Raw(b"250 ok\r\n250 ok\r\n".to_vec()),
        Do::Hear("DATA"),
        say("354 go"),
        Do::Body,
        say("250 ok"),
    ])
    .await;
    let hand_over = send(&options(&server), Profile::Plain).await;
    server.heard.await.unwrap().unwrap();
    assert!(matches!(hand_over.outcome, Outcome::Accepted(_)), "{:?}", hand_over.outcome);
}

// ---- TLS ----

/// A session over STARTTLS.
fn over_starttls(rest: Vec<Do>) -> Vec<Do> {
    let mut script = vec![
        say("220 mx"),
        Do::Hear("EHLO"),
        Do::Raw(b"250-mx\r\n250 STARTTLS\r\n".to_vec()),
        Do::Hear("STARTTLS"),
        say("220 go"),
        Do::Tls,
    ];
    script.extend(rest);
    script
}

/// The rest of a session after the greeting.
fn from_hello() -> Vec<Do> {
    let mut script = Vec::new();
    for (_, hear, reply) in phases().into_iter().skip(1) {
        script.extend(hear);
        script.push(say(reply));
    }
    script
}

#[tokio::test]
async fn tls_with_every_trust() {
    let identity = Identity::of(&["localhost"]);
    let other = Identity::of(&["localhost"]);
    let roots = |identity: &Identity| Verify::Roots(Arc::from(identity.pem.as_bytes()));
    let cases = [
        ("off", TlsMode::Required, Verify::Off, "localhost", Ok("not checked")),
        ("own root", TlsMode::Required, roots(&identity), "localhost", Ok("verified")),
        ("other root", TlsMode::Required, roots(&other), "localhost", Err(())),
        ("other name", TlsMode::Required, roots(&identity), "elsewhere.example", Err(())),
        ("other root, noted only", TlsMode::IfOffered, roots(&other), "localhost", Ok("not verified: ")),
        (
            "other name, noted only",
            TlsMode::IfOffered,
            roots(&identity),
            "elsewhere.example",
            Ok("not verified: "),
        ),
        ("system roots", TlsMode::IfOffered, Verify::System, "localhost", Ok("not verified: ")),
        ("system roots, enforced", TlsMode::Required, Verify::System, "localhost", Err(())),
        ("implicit", TlsMode::Implicit, roots(&identity), "localhost", Ok("verified")),
        ("implicit, other root", TlsMode::Implicit, roots(&other), "localhost", Err(())),
    ];
    for (name, tls, verify, server_name, want) in cases {
        let script = match tls {
            TlsMode::Implicit => {
                let mut script = vec![Do::Tls, say("220 mx")];
                script.extend(from_hello());
                script
            }
            _ => over_starttls(from_hello()),
        };
        let server = serve_as(script, &identity).await;
        let mut options = options(&server);
        options.tls = tls;
        options.verify = verify;
        options.server_name = Some(server_name.to_owned());
        let hand_over = send(&options, Profile::Plain).await;
        match want {
            Ok(verification) => {
                assert!(matches!(hand_over.outcome, Outcome::Accepted(_)), "{name}: {hand_over:#?}");
                server.heard.await.unwrap().unwrap();
                let tls = hand_over.tls.unwrap();
                assert!(tls.verification.to_string().starts_with(verification), "{name}: {tls:?}");
                assert_eq!(tls.version, "TLSv1.3");
                assert!(tls.cipher.starts_with("TLS_"), "{}", tls.cipher);
                assert_eq!(tls.server_name, server_name);
                assert!(tls.certificate_sha256.is_some() && tls.certificate_until.is_some());
                let step = hand_over.steps.iter().find(|step| step.phase == Phase::Tls).unwrap();
                assert_eq!(step.sent, Some(tls.to_string()));
                assert!(tls.to_string().contains(&format!("certificate for {server_name} until ")), "{tls}");
            }
            Err(()) => {
                let Outcome::Deferred(Phase::Tls, Cause::Fault(Fault::Tls(_))) = &hand_over.outcome else {
                    panic!("{name}: {:?}", hand_over.outcome);
                };
            }
        }
    }
}

#[tokio::test]
async fn tls_that_goes_wrong() {
    let within = |script: Vec<Do>, tls, wait| async move {
        let server = serve(script).await;
        let mut options = options(&server);
        options.tls = tls;
        options.timeouts.tls = wait;
        send(&options, Profile::Plain).await.outcome
    };
    let with = |script, tls| within(script, tls, AMPLE);
    let starttls = |rest: Vec<Do>| {
        let mut script = over_starttls(vec![]);
        script.truncate(4);
        script.extend(rest);
        script
    };
    // Bytes in the clear after the 220 may be anybody's.
    let injected =
        with(starttls(vec![Do::Raw(b"220 go\r\n250 injected\r\n".to_vec())]), TlsMode::Required).await;
    assert_eq!(injected, Outcome::Deferred(Phase::Tls, Cause::Fault(Fault::Injected)));
    let garbage =
        with(starttls(vec![say("220 go"), Do::Take(50), say("not TLS at all, really")]), TlsMode::Required)
            .await;
    assert!(matches!(garbage, Outcome::Deferred(Phase::Tls, Cause::Fault(Fault::Tls(_)))), "{garbage:?}");
    let dropped = with(starttls(vec![say("220 go")]), TlsMode::IfOffered).await;
    assert!(matches!(dropped, Outcome::Deferred(Phase::Tls, Cause::Fault(Fault::Tls(_)))), "{dropped:?}");
    let stalled = within(starttls(vec![say("220 go"), Do::Stall]), TlsMode::Required, SHORT).await;
    assert!(matches!(stalled, Outcome::Deferred(Phase::Tls, Cause::Fault(Fault::Timeout(_)))), "{stalled:?}");
    // A server in the clear where TLS is expected from the first byte.
    let clear = with(vec![say("220 mx"), Do::Stall], TlsMode::Implicit).await;
    assert!(matches!(clear, Outcome::Deferred(Phase::Tls, Cause::Fault(_))), "{clear:?}");
    // The connection lost after the dot is in doubt over TLS too.
    let mut rest = from_hello();
    rest.pop();
    let doubt = with(over_starttls(rest), TlsMode::Required).await;
    assert!(matches!(doubt, Outcome::InDoubt(Fault::Closed)), "{doubt:?}");
}

#[tokio::test]
async fn auth_over_verified_tls_and_never_in_the_record() {
    let identity = Identity::of(&["localhost"]);
    let mut script = vec![
        Do::Tls,
        say("220 mx"),
        Do::Hear("EHLO"),
        Do::Raw(b"250-mx\r\n250 AUTH PLAIN LOGIN\r\n".to_vec()),
        Do::Hear("AUTH PLAIN AHVzZXIAc2VjcmV0LXBhc3N3b3Jk"),
        // A server that repeats what it was told.
        say("235 2.7.0 hello user AHVzZXIAc2VjcmV0LXBhc3N3b3Jk secret-password"),
    ];
    script.extend(from_hello().into_iter().skip(2));
    for (verify, is_kept_back) in
        [(Verify::Roots(Arc::from(identity.pem.as_bytes())), false), (Verify::Off, true)]
    {
        let server = serve_as(script.clone(), &identity).await;
        let mut options = options(&server);
        options.tls = TlsMode::Implicit;
        options.verify = verify;
        options.credentials = Some(Credentials {
            user: "user".to_owned(),
            secret: Secret::new("secret-password"),
            mechanism: Mechanism::Password,
            is_allowed_in_clear: false,
        });
        let hand_over = send(&options, Profile::Plain).await;
        if is_kept_back {
            assert_eq!(hand_over.tls.as_ref().unwrap().verification, Verification::NotChecked);
            assert!(matches!(
                hand_over.outcome,
                Outcome::Refused(Phase::Auth, Cause::Fault(Fault::UnsafeAuth(_)))
            ));
        } else {
            assert!(matches!(hand_over.outcome, Outcome::Accepted(_)), "{hand_over:#?}");
            server.heard.await.unwrap().unwrap();
        }
        let shown = format!("{hand_over:?} {options:?}");
        for secret in ["secret-password", "AHVzZXIAc2VjcmV0LXBhc3N3b3Jk", "c2VjcmV0LXBhc3N3b3Jk"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
}

#[tokio::test]
async fn outcomes_as_events() {
    let server =
        serve(session_with(Phase::Rcpt, vec![say("550-5.1.1 no"), say("550 5.1.1 such user")])).await;
    let What::Refused(reason) = send(&options(&server), Profile::Plain).await.outcome.what() else {
        panic!()
    };
    assert_eq!(reason.to_string(), "rcpt: 550 5.1.1 no such user");
}
