//! OAuth 2.0 against a token server on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use mailsonde::clock::{self, Timestamp};
use mailsonde::mailbox::oauth::{
    Flow, Loopback, OAuthError, OAuthOptions, TokenFile, Tokens, access_token, begin_device,
    client_credentials, forget_access_token, refresh, wait_for_device,
};
use mailsonde::mailbox::{Credentials, Fault, pass};
use mailsonde::tls_client::Verify;

use super::make::{Kept, options, report_mail, runtime};
use super::script::{Folder, Reply, imap, send};
use crate::support::program::mailsonde;

/// The requests that came: path and form.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// A token server that gives these answers in turn (status and JSON), the last one for ever.
fn token_server(answers: Vec<(u16, &'static str)>) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let seen: Seen = Arc::default();
    let noted = Arc::clone(&seen);
    std::thread::spawn(move || {
        let mut at = 0;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Some(request) = read_request(&mut stream) else { continue };
            noted.lock().unwrap().push(request);
            let (status, body) = answers[at.min(answers.len() - 1)];
            at += 1;
            let _ = stream.write_all(
                format!(
                    "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                     Connection: close\r\n\r\n{body}",
                    body.len()
                )
                .as_bytes(),
            );
        }
    });
    (base, seen)
}

/// Path and body of a request.
fn read_request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut input = BufReader::new(stream.try_clone().unwrap());
    let (mut path, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if input.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if path.is_empty() {
            path = line.split(' ').nth(1)?.to_owned();
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body).ok()?;
    Some((path, String::from_utf8(body).unwrap()))
}

/// A client of that server.
fn client(base: &str, flow: Flow) -> OAuthOptions {
    OAuthOptions {
        mailbox: "reports".to_owned(),
        flow,
        client_id: "client one".to_owned(),
        client_secret: Some("s&cret".to_owned()),
        scope: "mail offline".to_owned(),
        token_url: format!("{base}/token"),
        device_url: Some(format!("{base}/device")),
        authorize_url: Some(format!("{base}/authorize")),
        verify: Verify::Off,
    }
}

/// Tokens of these names that end after so many seconds.
fn tokens(name: &str, seconds: i64) -> Tokens {
    Tokens {
        access_token: format!("{name}-access"),
        expires_at: Timestamp::from_seconds(clock::now().seconds() + seconds),
        refresh_token: Some(format!("{name}-refresh")),
    }
}

const GOOD: (u16, &str) =
    (200, r#"{"access_token": "new-access", "expires_in": 3600, "refresh_token": "new-refresh"}"#);

#[test]
fn a_token_server_is_asked_over_tls_with_its_certificate_checked() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/token", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        let config = Arc::new(config);
        for stream in listener.incoming() {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(session, stream.unwrap());
            let mut seen = Vec::new();
            let mut block = [0; 1024];
            while !String::from_utf8_lossy(&seen).contains("grant_type=") {
                match stream.read(&mut block) {
                    Ok(read) if read > 0 => seen.extend_from_slice(&block[..read]),
                    _ => break,
                }
            }
            let (_, body) = GOOD;
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
            let _ = stream.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    let mut options = client("", Flow::Loopback);
    options.token_url = url;
    options.verify = Verify::Roots(made.cert.pem().as_bytes().into());
    assert_eq!(refresh(&options, "r", clock::now()).unwrap().access_token, "new-access");
    options.verify = Verify::Off;
    assert_eq!(refresh(&options, "r", clock::now()).unwrap().access_token, "new-access");
    for verify in [Verify::System, Verify::Roots([].as_slice().into())] {
        options.verify = verify;
        let error = refresh(&options, "r", clock::now()).unwrap_err();
        assert!(matches!(error, OAuthError::Unreachable(_)), "{error}");
    }
}

#[test]
fn a_kept_token_is_used_until_shortly_before_its_end() {
    let (base, seen) = token_server(vec![GOOD]);
    let folder = tempfile::tempdir().unwrap();
    let file = TokenFile::beside(&folder.path().join("m.db"), "reports");
    let options = client(&base, Flow::DeviceCode);
    let error = access_token(&options, &file, clock::now()).unwrap_err().to_string();
    assert!(error.ends_with("sign in again: mailsonde mailbox login reports"), "{error}");

    file.save(&tokens("old", 3_600)).unwrap();
    assert_eq!(access_token(&options, &file, clock::now()).unwrap(), "old-access");
    assert!(seen.lock().unwrap().is_empty());
    file.save(&tokens("old", 60)).unwrap();
    assert_eq!(access_token(&options, &file, clock::now()).unwrap(), "new-access");
    let (path, form) = seen.lock().unwrap()[0].clone();
    assert_eq!(path, "/token");
    for field in [
        "grant_type=refresh_token",
        "refresh_token=old-refresh",
        "client_id=client",
        "client_secret=s%26cret",
    ] {
        assert!(form.contains(field), "{form}");
    }
    // The new refresh token replaces the old one; the access token is kept.
    assert_eq!(file.load().unwrap().unwrap().refresh_token.as_deref(), Some("new-refresh"));
    assert_eq!(access_token(&options, &file, clock::now()).unwrap(), "new-access");
    assert_eq!(seen.lock().unwrap().len(), 1);
    // A token that the mail server refused is not used again.
    forget_access_token(&file).unwrap();
    assert_eq!(access_token(&options, &file, clock::now()).unwrap(), "new-access");
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[test]
fn every_refusal_says_who_must_do_what() {
    let cases = [
        (
            400,
            r#"{"error": "invalid_grant", "error_description": "AADSTS70008: expired\r\nTrace: x"}"#,
            "again",
        ),
        (400, r#"{"error": "interaction_required"}"#, "again"),
        (401, r#"{"error": "invalid_client"}"#, "refused"),
        (400, r#"{"error": "invalid_scope", "error_description": "no such scope"}"#, "refused"),
        (503, r#"{"error": "temporarily_unavailable"}"#, "unreachable"),
        (500, "<html>oops</html>", "unreachable"),
        (200, "{}", "unreachable"),
        (200, r#"{"access_token": "two words"}"#, "unreachable"),
        (200, r#"{"access_token": "a\r\nb"}"#, "unreachable"),
        (302, "{}", "unreachable"),
    ];
    for (status, body, want) in cases {
        let (base, _) = token_server(vec![(status, body)]);
        let error = refresh(&client(&base, Flow::Loopback), "r", clock::now()).unwrap_err();
        let kind = match &error {
            OAuthError::SignInAgain { .. } => "again",
            OAuthError::Refused(_) => "refused",
            OAuthError::Unreachable(_) => "unreachable",
            other => panic!("{other}"),
        };
        assert_eq!(kind, want, "{status} {body}: {error}");
    }
    let nobody = client("http://127.0.0.1:1", Flow::Loopback);
    assert!(matches!(refresh(&nobody, "r", clock::now()), Err(OAuthError::Unreachable(_))));
    let clear = client("http://login.example.com", Flow::Loopback);
    assert!(matches!(refresh(&clear, "r", clock::now()), Err(OAuthError::Options(_))));
}

#[test]
fn a_code_is_typed_elsewhere() {
    let prompt = (
        200,
        r#"{"device_code": "dc", "user_code": "ABCD-1", "verification_uri": "https://login.example.com/device",
            "expires_in": 900, "interval": 0}"#,
    );
    let (base, seen) = token_server(vec![
        prompt,
        (400, r#"{"error": "authorization_pending"}"#),
        (400, r#"{"error": "authorization_pending"}"#),
        GOOD,
    ]);
    let options = client(&base, Flow::DeviceCode);
    let asked = begin_device(&options).unwrap();
    assert_eq!(
        (asked.url.as_str(), asked.user_code.as_str()),
        ("https://login.example.com/device", "ABCD-1")
    );
    let got = wait_for_device(&options, &asked).unwrap();
    assert_eq!(got.refresh_token.as_deref(), Some("new-refresh"));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 4);
    assert!(seen[0].0 == "/device" && seen[0].1.contains("scope=mail"), "{seen:?}");
    assert!(seen[1].1.contains("device_code=dc") && seen[1].1.contains("device_code"), "{seen:?}");
    drop(seen);
    let (base, _) = token_server(vec![prompt, (400, r#"{"error": "access_denied"}"#)]);
    let options = client(&base, Flow::DeviceCode);
    let asked = begin_device(&options).unwrap();
    assert!(matches!(wait_for_device(&options, &asked), Err(OAuthError::NotSignedIn(_))));
}

/// A request of a browser; gives the answer.
fn browse(port: &str, query: &str) -> String {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream.write_all(format!("GET {query} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn a_browser_comes_back_with_a_code() {
    let (base, seen) = token_server(vec![GOOD]);
    let options = client(&base, Flow::Loopback);
    let waiting = Loopback::begin(&options).unwrap();
    let url = waiting.url.clone();
    let field =
        |name: &str| url.split(&format!("{name}=")).nth(1).unwrap().split('&').next().unwrap().to_owned();
    assert!(url.starts_with(&format!("{base}/authorize?response_type=code&client_id=client%20one")), "{url}");
    let redirect = field("redirect_uri").replace("%3A", ":").replace("%2F", "/");
    let port = redirect.trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
    let state = field("state");
    let thread = {
        let options = options.clone();
        std::thread::spawn(move || waiting.wait(&options))
    };
    // What is not the browser's answer is passed over.
    assert_eq!(browse(&port, "/favicon.ico"), "");
    assert!(browse(&port, "/?code=evil&state=other").contains("not the sign-in"));
    assert!(browse(&port, &format!("/?state={state}&code=4%2F0Ab&scope=x")).contains("Signed in"));
    let got = thread.join().unwrap().unwrap();
    assert_eq!(got.access_token, "new-access");
    let form = seen.lock().unwrap()[0].1.clone();
    assert!(form.contains("grant_type=authorization_code") && form.contains("code=4%2F0Ab"), "{form}");
    // RFC 7636 §4.6: the verifier hashes to the challenge.
    let verifier = form.split("code_verifier=").nth(1).unwrap().split('&').next().unwrap();
    let hash = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
    assert_eq!(field("code_challenge"), BASE64URL_NOPAD.encode(hash.as_ref()));
    // Declined.
    let waiting = Loopback::begin(&options).unwrap();
    let url = waiting.url.clone();
    let state = url.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let port = url.split("127.0.0.1%3A").nth(1).unwrap().split('%').next().unwrap().to_owned();
    let thread = std::thread::spawn(move || waiting.wait(&options));
    browse(&port, &format!("/?error=access_denied&state={state}"));
    let error = thread.join().unwrap().unwrap_err();
    assert!(error.to_string().contains("access_denied"), "{error}");
}

#[test]
fn the_program_signs_in_for_itself() {
    let (base, seen) = token_server(vec![(200, r#"{"access_token": "own", "expires_in": "3599"}"#)]);
    let options = client(&base, Flow::ClientCredentials);
    assert_eq!(client_credentials(&options, clock::now()).unwrap().access_token, "own");
    let folder = tempfile::tempdir().unwrap();
    let file = TokenFile::beside(&folder.path().join("m.db"), "reports");
    for _ in 0..3 {
        assert_eq!(access_token(&options, &file, clock::now()).unwrap(), "own");
    }
    assert_eq!(seen.lock().unwrap().len(), 2, "kept after the first");
}

#[test]
fn tokens_sign_in_over_imap() {
    let ways = [
        ("IMAP4rev1 AUTH=XOAUTH2 SASL-IR", "XOAUTH2", "user=dmarc\u{1}auth=Bearer tok\u{1}\u{1}"),
        ("IMAP4rev1 AUTH=XOAUTH2", "XOAUTH2", "user=dmarc\u{1}auth=Bearer tok\u{1}\u{1}"),
        (
            "IMAP4rev1 AUTH=OAUTHBEARER SASL-IR",
            "OAUTHBEARER",
            "n,a=dmarc,\u{1}host=localhost\u{1}port=PORT\u{1}auth=Bearer tok\u{1}\u{1}",
        ),
    ];
    for (capabilities, mechanism, message) in ways {
        let mut folder = Folder::of(vec![report_mail(1)]);
        folder.capabilities = capabilities;
        let server = imap(Arc::new(Mutex::new(folder)), |command, _| {
            if command.starts_with("AUTHENTICATE") && command.split(' ').count() == 2 {
                send("+ \r\n")
            } else {
                None
            }
        });
        let kept = Kept::new();
        let credentials = Credentials::Token("tok".to_owned());
        let options = options(server.port);
        let (_, result) = runtime().block_on(pass(&options, &credentials, &kept.keeper));
        let lines = server.lines.lock().unwrap().clone();
        let wanted = BASE64.encode(message.replace("PORT", &server.port.to_string()).as_bytes());
        assert!(lines.iter().any(|line| line.ends_with(&wanted)), "{mechanism}: {lines:?}");
        assert_eq!(result, Ok(()), "{lines:?}");
        assert_eq!(kept.sums(), (1, 1));
    }
}

#[test]
fn a_refused_token_is_named_and_never_shown() {
    // RFC 7628 §3.2.2 and Google's XOAUTH2: the refusal is a challenge that wants an answer.
    let mut folder = Folder::of(Vec::new());
    folder.capabilities = "IMAP4rev1 AUTH=XOAUTH2 SASL-IR";
    let server = imap(Arc::new(Mutex::new(folder)), |command, _| {
        if command.starts_with("AUTHENTICATE") {
            return send("+ eyJzdGF0dXMiOiI0MDAifQ==\r\n{tag} NO bad token tok-en-value\r\n");
        }
        (command.is_empty()).then(|| Reply::Send(b"* OK ready\r\n".to_vec()))
    });
    let kept = Kept::new();
    let credentials = Credentials::Token("tok-en-value".to_owned());
    let (_, result) = runtime().block_on(pass(&options(server.port), &credentials, &kept.keeper));
    let Err(Fault::SignIn(text)) = result else { panic!("{result:?}") };
    assert_eq!(text, "bad token …");
}

#[test]
fn the_command_signs_in_and_the_mailbox_is_read() {
    let (base, _) = token_server(vec![
        (
            200,
            r#"{"device_code": "dc", "user_code": "ABCD-1", "verification_uri": "https://login.example.com/device",
                "interval": 0}"#,
        ),
        GOOD,
        (400, r#"{"error": "invalid_grant", "error_description": "revoked"}"#),
    ]);
    let mut mails = Folder::of(vec![report_mail(4)]);
    mails.capabilities = "IMAP4rev1 AUTH=XOAUTH2 SASL-IR";
    let server = imap(Arc::new(Mutex::new(mails)), |_, _| None);
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[mailbox.reports]\nhost = \"localhost\"\nport = {}\ntls = \"none\"\nuser = \"dmarc\"\n\
         oauth = {{ provider = \"other\", flow = \"device-code\", client_id = \"c\", token_url = \"{base}/token\", \
         device_url = \"{base}/device\", scope = \"mail\" }}\n",
        server.port
    );
    std::fs::write(folder.path().join("mailsonde.toml"), text).unwrap();
    let run = |arguments: &[&str]| {
        let output = mailsonde(folder.path()).args(arguments).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, _) = run(&["mailbox", "poll"]);
    assert_eq!(code, Some(1));
    assert!(out.contains("nobody has signed in yet"), "{out}");
    let (code, out, err) = run(&["mailbox", "login", "reports"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("https://login.example.com/device") && out.contains("ABCD-1"), "{out}");
    assert!(!out.contains("new-access") && !err.contains("new-access"));
    let (code, out, err) = run(&["mailbox", "poll", "--format", "json"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("\"read\": 1") || out.contains("\"read\":1"), "{out}");
    // The token ends and its renewal is refused: the event says what to do.
    let file = folder.path().join("mailsonde.reports.token");
    let kept = std::fs::read_to_string(&file).unwrap().replace("\"new-access\"", "\"\"");
    std::fs::write(&file, kept).unwrap();
    let (code, out, _) = run(&["mailbox", "poll", "--format", "json"]);
    assert_eq!(code, Some(1));
    assert!(out.contains("sign in again: mailsonde mailbox login reports"), "{out}");
    let (code, _, err) = run(&["mailbox", "login", "report"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("reports"), "{err}");
}
