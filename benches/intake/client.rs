//! The load: Postfix's smtp-source, or a client of our own that does the same.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mailsonde::clock;
use mailsonde::tls_client::{Client, Verify};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where Debian's package has the load generator, and where others have it.
const SMTP_SOURCE: [&str; 4] = [
    "/usr/sbin/smtp-source",
    "/usr/lib/postfix/sbin/smtp-source",
    "/usr/lib/postfix/smtp-source",
    "/usr/libexec/postfix/smtp-source",
];

/// The name that is asked for in the handshake.
const NAME: &str = "mx.example.com";

/// Postfix's load generator, if it is installed.
pub(crate) fn smtp_source() -> Option<PathBuf> {
    SMTP_SOURCE.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// Who sends, and how.
#[derive(Clone, Copy)]
pub(crate) enum Way<'a> {
    /// Postfix's load generator.
    SmtpSource(&'a Path),
    /// Our own client, in the clear.
    Own,
    /// Our own client, with STARTTLS and a whole handshake for every message.
    OwnTls,
}

/// Sends `messages` of `bytes`, one a connection, over `sessions` at once; gives the seconds it took.
pub(crate) fn send(
    way: Way<'_>,
    address: SocketAddr,
    bytes: usize,
    sessions: usize,
    messages: usize,
) -> Result<f64> {
    let started = clock::instant();
    match way {
        Way::SmtpSource(source) => {
            let output = Command::new(source)
                .args(["-s", &sessions.to_string(), "-m", &messages.to_string(), "-l", &bytes.to_string()])
                .args(["-f", "sender@example.org", "-t", "dmarc@example.com", &address.to_string()])
                .stdin(Stdio::null())
                .output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success() && said.is_empty(), "smtp-source: {said}");
        }
        Way::Own => runtime()?.block_on(own(address, None, bytes, sessions, messages))?,
        Way::OwnTls => runtime()?.block_on(own(address, Some(connector()?), bytes, sessions, messages))?,
    }
    Ok(clock::instant().duration_since(started).as_secs_f64())
}

/// The runtime of our own client.
fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// A TLS client that takes any certificate (the load is measured, not the trust) and resumes nothing.
fn connector() -> Result<TlsConnector> {
    let mut config = ClientConfig::clone(&Client::new(&Verify::Off, false, NAME)?.config);
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The load of our own client.
async fn own(
    address: SocketAddr,
    tls: Option<TlsConnector>,
    bytes: usize,
    sessions: usize,
    messages: usize,
) -> Result<()> {
    let line = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz\r\n";
    let mut data: Vec<u8> = b"From: <sender@example.org>\r\nSubject: load\r\n\r\n".to_vec();
    data.extend(line.bytes().cycle().take(bytes));
    data.extend_from_slice(b"\r\n.\r\n");
    let (data, next) = (Arc::new(data), Arc::new(AtomicUsize::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..sessions {
        let (data, next, tls) = (Arc::clone(&data), Arc::clone(&next), tls.clone());
        tasks.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < messages {
                one(address, tls.as_ref(), &data).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// One connection with one message.
async fn one(address: SocketAddr, tls: Option<&TlsConnector>, data: &[u8]) -> Result<()> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(512, stream);
    talk(&mut stream, &[(b"", "220"), (b"EHLO load.example.org\r\n", "250")]).await?;
    let steps: [(&[u8], &str); 5] = [
        (b"MAIL FROM:<sender@example.org>\r\n", "250"),
        (b"RCPT TO:<dmarc@example.com>\r\n", "250"),
        (b"DATA\r\n", "354"),
        (data, "250"),
        (b"QUIT\r\n", "221"),
    ];
    let Some(tls) = tls else { return talk(&mut stream, &steps).await };
    talk(&mut stream, &[(b"STARTTLS\r\n", "220")]).await?;
    let name = ServerName::try_from(NAME)?;
    let mut stream = BufReader::with_capacity(512, tls.connect(name, stream.into_inner()).await?);
    talk(&mut stream, &[(b"EHLO load.example.org\r\n", "250")]).await?;
    talk(&mut stream, &steps).await
}

/// Sends each command and waits for its reply.
async fn talk(stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin), steps: &[(&[u8], &str)]) -> Result<()> {
    let mut reply = String::new();
    for (bytes, code) in steps {
        stream.write_all(bytes).await?;
        stream.flush().await?;
        loop {
            reply.clear();
            stream.read_line(&mut reply).await?;
            ensure!(reply.starts_with(code), "wanted {code}, got {reply:?}");
            if reply.as_bytes().get(3) != Some(&b'-') {
                break;
            }
        }
    }
    Ok(())
}

/// Opens `count` clients that read their greeting and then say nothing.
pub(crate) fn open(address: SocketAddr, count: usize) -> Result<Vec<std::net::TcpStream>> {
    let runtime = runtime()?;
    runtime.block_on(async {
        let mut open = Vec::with_capacity(count);
        for _ in 0..count {
            let mut stream = TcpStream::connect(address).await?;
            let mut greeting = [0; 64];
            let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut greeting)).await;
            ensure!(read.context("no greeting")?? > 3, "no greeting");
            open.push(stream.into_std()?);
        }
        Ok(open)
    })
}

/// How long a new client waits for its greeting.
pub(crate) fn greeting_time(address: SocketAddr) -> Result<Duration> {
    use std::io::{BufRead, BufReader, Write};
    let started = clock::instant();
    let stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut greeting = String::new();
    BufReader::new(&stream).read_line(&mut greeting)?;
    let waited = clock::instant().duration_since(started);
    ensure!(greeting.starts_with("220"), "greeting: {greeting:?}");
    (&stream).write_all(b"QUIT\r\n")?;
    Ok(waited)
}
