//! A policy of MTA-STS is fetched as senders fetch it, from web servers in order and out of order.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use mailsonde::clock;
use mailsonde::dns::Name;
use mailsonde::dns_health::addresses::Reach;
use mailsonde::dns_health::facts::{FetchFault, PolicyResponse};
use mailsonde::dns_health::gather::{HttpsPolicies, PolicyFetch as _};
use mailsonde::tls_client::Verify;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::tls::{Authority, Identity};

const HOST: &str = "mta-sts.good.example";
const POLICY: &str = "version: STSv1\nmode: enforce\nmx: mx.good.example\nmax_age: 2419200\n";

/// What a web server does after the handshake.
#[derive(Clone)]
pub(super) enum Web {
    /// Reads the request, sends this and closes.
    Answer(Vec<u8>),
    /// Reads the request, sends this and says nothing more.
    AnswerAndStay(Vec<u8>),
    /// Reads the request and sends zeros without end.
    Flood(Vec<u8>),
    /// Sends an octet now and then.
    Drip(Vec<u8>),
    /// Does not even make the handshake.
    NoHandshake,
    /// Talks in the clear.
    Clear,
}

/// A whole response with a policy.
pub(super) fn policy(body: &str) -> Web {
    let length = body.len();
    let text =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}");
    Web::AnswerAndStay(text.into_bytes())
}

/// Starts a web server on loopback; its port, and the requests that it read.
pub(super) async fn serve(
    web: Web,
    identity: Identity,
) -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (web, identity, tell) = (web.clone(), identity.clone(), tell.clone());
            tokio::spawn(async move {
                if matches!(web, Web::Clear) {
                    let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                    return;
                }
                if matches!(web, Web::NoHandshake) {
                    let mut buffer = [0; 1024];
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
                    return;
                }
                let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&identity.config));
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = Vec::new();
                let mut buffer = [0; 1024];
                while !request.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut buffer).await {
                        Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
                        _ => return,
                    }
                }
                let _ = tell.send(String::from_utf8_lossy(&request).into_owned());
                match web {
                    Web::Answer(bytes) => {
                        let _ = stream.write_all(&bytes).await;
                        let _ = stream.shutdown().await;
                    }
                    Web::AnswerAndStay(bytes) => {
                        let _ = stream.write_all(&bytes).await;
                        let _ = stream.flush().await;
                        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
                    }
                    Web::Flood(head) => {
                        let _ = stream.write_all(&head).await;
                        while stream.write_all(&[b'0'; 8192]).await.is_ok() {}
                    }
                    Web::Drip(bytes) => {
                        for byte in bytes.iter().cycle() {
                            if stream.write_all(&[*byte]).await.is_err() || stream.flush().await.is_err() {
                                return;
                            }
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                    }
                    Web::NoHandshake | Web::Clear => {}
                }
            });
        }
    });
    (port, told)
}

/// Fetches from a server with an authority's roots.
async fn fetch(
    web: Web,
    identity: Identity,
    authority: &Authority,
    whole: Duration,
) -> Result<PolicyResponse, FetchFault> {
    let (port, _told) = serve(web, identity).await;
    let roots = Verify::Roots(authority.pem.as_bytes().into());
    let policies = HttpsPolicies::new(roots, Reach::Any, port, whole);
    let host = Name::from_dotted(HOST).unwrap();
    policies.fetch(&host, &[IpAddr::V4(Ipv4Addr::LOCALHOST)]).await
}

#[tokio::test]
async fn a_policy_is_asked_for_by_the_hosts_name() {
    let authority = Authority::new();
    let (port, mut told) = serve(policy(POLICY), authority.issue(&[HOST], (2020, 2099))).await;
    let roots = Verify::Roots(authority.pem.as_bytes().into());
    let policies = HttpsPolicies::new(roots, Reach::Any, port, Duration::from_secs(60));
    let host = Name::from_dotted(HOST).unwrap();
    let response = policies.fetch(&host, &[IpAddr::V4(Ipv4Addr::LOCALHOST)]).await.unwrap();
    assert_eq!((response.status, response.body.as_slice()), (200, POLICY.as_bytes()));
    let request = told.recv().await.unwrap();
    assert!(
        request.starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.good.example\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn each_fault_of_a_certificate_has_its_name() {
    let authority = Authority::new();
    let other = Authority::named("Other Authority");
    for (identity, want, words) in [
        (authority.issue(&[HOST], (2020, 2021)), "expired", "expired at 2021-01-01T00:00:00Z"),
        (authority.issue(&[HOST], (2098, 2099)), "not-yet-valid", "not valid before 2098-01-01T00:00:00Z"),
        (
            authority.issue(&["good.example", "www.good.example"], (2020, 2099)),
            "wrong-name",
            "not for mta-sts.good.example: it is for good.example, www.good.example",
        ),
        (
            other.issue(&[HOST], (2020, 2099)),
            "unknown-issuer",
            "issued by CN=Other Authority, which leads to no",
        ),
        (Identity::self_signed(&[HOST]), "self-signed", "self-signed"),
    ] {
        let fault = fetch(policy(POLICY), identity, &authority, Duration::from_secs(60)).await.unwrap_err();
        assert_eq!(fault.as_str(), want, "{fault}");
        assert!(fault.to_string().starts_with(&format!("certificate: {words}")), "{fault}");
    }
}

#[tokio::test]
async fn web_servers_out_of_order_are_told_and_bounded() {
    let authority = Authority::new();
    let good = || authority.issue(&[HOST], (2020, 2099));
    let ok = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
    for (web, want) in [
        (Web::Flood(format!("{ok}\r\n").into_bytes()), "too-large"),
        (Web::Flood(format!("{ok}Content-Length: 100000000\r\n\r\n").into_bytes()), "too-large"),
        (Web::Flood(format!("{ok}X: ").into_bytes()), "not-http"),
        (Web::Flood(format!("{ok}Transfer-Encoding: chunked\r\n\r\nffffff\r\n").into_bytes()), "too-large"),
        (Web::Answer(b"220 mx.good.example ESMTP\r\n".to_vec()), "not-http"),
        (Web::Answer(Vec::new()), "not-http"),
        (Web::Answer(format!("{ok}Content-Length: 100\r\n\r\nshort").into_bytes()), "not-http"),
        (Web::Clear, "tls"),
    ] {
        let began = clock::instant();
        let outcome = fetch(web, good(), &authority, Duration::from_secs(60)).await;
        assert_eq!(outcome.as_ref().map_err(FetchFault::as_str).unwrap_err(), want, "{outcome:?}");
        assert!(began.elapsed() < Duration::from_secs(30), "{want}");
    }
    // Whoever keeps us waiting is given up after the whole time, however busy he is.
    for web in [
        Web::AnswerAndStay(format!("{ok}Content-Length: 100\r\n\r\nshort").into_bytes()),
        Web::AnswerAndStay(Vec::new()),
        Web::Drip(format!("{ok}Content-Length: 60000\r\n\r\n").into_bytes()),
        Web::NoHandshake,
    ] {
        let outcome = fetch(web, good(), &authority, Duration::from_secs(1)).await;
        assert_eq!(outcome, Err(FetchFault::Timeout(1)));
    }
}

#[tokio::test]
async fn a_redirect_is_told_and_not_followed() {
    let authority = Authority::new();
    let (elsewhere, mut told) = serve(policy(POLICY), authority.issue(&["localhost"], (2020, 2099))).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("https://localhost:{elsewhere}/.well-known/mta-sts.txt");
        let web =
            Web::Answer(format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\n\r\n").into_bytes());
        let identity = authority.issue(&[HOST], (2020, 2099));
        let response = fetch(web, identity, &authority, Duration::from_secs(60)).await.unwrap();
        assert_eq!((response.status, response.location), (status, Some(location)));
    }
    assert!(told.try_recv().is_err(), "somebody followed");
}

/// An address that is not public is not connected to, whatever its notation.
#[tokio::test]
async fn addresses_inside_are_never_connected_to() {
    let authority = Authority::new();
    let (port, mut told) = serve(policy(POLICY), authority.issue(&[HOST], (2020, 2099))).await;
    let roots = Verify::Roots(authority.pem.as_bytes().into());
    let policies = HttpsPolicies::new(roots, Reach::Public, port, Duration::from_secs(60));
    let host = Name::from_dotted(HOST).unwrap();
    for address in [
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.1.1",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "fd00:ec2::254",
        "fe80::1",
    ] {
        let address: IpAddr = address.parse().unwrap();
        let outcome = policies.fetch(&host, &[address]).await;
        assert_eq!(outcome, Err(FetchFault::NotPublic(address)));
    }
    assert!(told.try_recv().is_err(), "somebody connected");
}

#[tokio::test]
async fn a_dead_address_leads_to_the_next() {
    let authority = Authority::new();
    let (port, _told) = serve(policy(POLICY), authority.issue(&[HOST], (2020, 2099))).await;
    let roots = Verify::Roots(authority.pem.as_bytes().into());
    let policies = HttpsPolicies::new(roots, Reach::Any, port, Duration::from_secs(60));
    let host = Name::from_dotted(HOST).unwrap();
    // Nobody listens at the second address of loopback.
    let dead = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let response = policies.fetch(&host, &[dead, IpAddr::V4(Ipv4Addr::LOCALHOST)]).await.unwrap();
    assert_eq!(response.status, 200);
    let outcome = policies.fetch(&host, &[dead]).await;
    assert!(
        matches!(&outcome, Err(FetchFault::NoConnection(why)) if why.contains("127.0.0.2")),
        "{outcome:?}"
    );
}
