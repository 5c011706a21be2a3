//! The sender of probes: what any server may answer. The sender is the real one, over a loopback connection.

use std::time::Duration;

use mailsonde::mail::{Address, ReversePath};
use mailsonde::smtp::submit::{
    Credentials, Mechanism, Outcome, Phase, Secret, Submission, SubmitOptions, Timeouts, TlsMode, Verify,
    submit,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::imap::RUNTIME;

/// Where the first reply of a script ends: after its last line, the first that does not say that it goes on.
fn end_of_reply(script: &[u8]) -> usize {
    let mut end = 0;
    for line in script.split_inclusive(|byte| *byte == b'\n') {
        end += line.len();
        if line.get(3) != Some(&b'-') {
            break;
        }
    }
    end
}

/// Whatever the server answers: the hand-over ends, nothing is called accepted whose end the server did not get,
/// and no secret stands in the record.
pub fn check(data: &[u8]) {
    let Some((how, script)) = data.split_first() else { return };
    // What the server says before we do is no secret of ours.
    let is_guessed = script.to_ascii_lowercase().windows(9).any(|nine| nine == b"zq-secret");
    let (record, sent) = RUNTIME.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let wait = Duration::from_secs(10);
        let credentials = Credentials {
            user: "user".to_owned(),
            secret: Secret::new("zq-secret"),
            mechanism: if how & 2 == 0 { Mechanism::Password } else { Mechanism::XOauth2 },
            is_allowed_in_clear: true,
        };
        let options = SubmitOptions {
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr().expect("its address").port(),
            helo: "probe.example".to_owned(),
            tls: TlsMode::None,
            verify: Verify::Off,
            server_name: None,
            credentials: (how & 1 != 0).then_some(credentials),
            source_address: None,
            dsn: None,
            timeouts: Timeouts { connect: wait, tls: wait, reply: wait, block: wait, dot: wait },
        };
        let rcpt_to = Address::parse("probe@example.com").expect("an address");
        let from = ReversePath::Address(Address::parse("from@example.org").expect("an address"));
        let message = match how & 4 {
            0 => "Subject: x\r\n\r\n.\r\n..a\r\n",
            _ => "Subject: \u{fc}\r\n\r\nno end",
        };
        let submission = Submission {
            mail_from: if how & 8 == 0 { &from } else { &ReversePath::Null },
            rcpt_to: &rcpt_to,
            message: message.as_bytes(),
            needs_smtputf8: how & 16 != 0,
        };
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("our own client");
            let mut all = Vec::new();
            let mut heard = [0; 4_096];
            if how & 32 == 0 {
                // In turn: the next reply once the client has spoken, or is waiting for more.
                let mut rest = script;
                while !rest.is_empty() {
                    let (reply, after) = rest.split_at(end_of_reply(rest));
                    rest = after;
                    let _ = stream.write_all(reply).await;
                    let is_data = reply.starts_with(b"354");
                    let began = all.len();
                    let turn = Duration::from_millis(30);
                    while let Ok(Ok(count @ 1..)) = tokio::time::timeout(turn, stream.read(&mut heard)).await
                    {
                        all.extend_from_slice(&heard[..count]);
                        let is_over = !is_data || all[began..].ends_with(b"\r\n.\r\n");
                        if is_over && all.ends_with(b"\n") {
                            break;
                        }
                    }
                }
            } else {
                // All at once: it speaks before its turn.
                let _ = stream.write_all(script).await;
            }
            let _ = stream.shutdown().await;
            while let Ok(count @ 1..) = stream.read(&mut heard).await {
                all.extend_from_slice(&heard[..count]);
            }
            all
        };
        tokio::join!(submit(&options, submission), server)
    });
    let has_end = sent.windows(5).any(|five| five == b"\r\n.\r\n");
    if matches!(record.outcome, Outcome::Accepted(_)) {
        assert!(has_end, "accepted without the end of the message");
    }
    if !has_end {
        assert!(!matches!(record.outcome, Outcome::InDoubt(_)), "in doubt before the end was sent");
    }
    for line in sent.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        assert!(line.ends_with(b"\r"), "a line without CR: {:?}", line.escape_ascii().to_string());
    }
    let shown = format!("{record:?}");
    assert!(is_guessed || !shown.contains("zq-secret"), "{shown}");
    if how & 1 != 0 && sent.windows(5).any(|five| five == b"AUTH ") {
        // From then on the server knows it and may send it back.
        for reply in record
            .steps
            .iter()
            .filter(|step| step.phase >= Phase::Auth)
            .filter_map(|step| step.reply.as_ref())
        {
            let text = reply.text();
            assert!(!text.contains("zq-secret") && !text.contains("AHVzZXIAenEtc2VjcmV0"), "{text:?}");
        }
    }
    assert!(record.ended_at >= record.started_at);
}
