//! A server for one connection that follows a script, over loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One thing that the server does.
#[derive(Debug, Clone)]
pub(crate) enum Do {
    /// Writes a line.
    Say(String),
    /// Writes bytes as they are.
    Raw(Vec<u8>),
    /// Reads a line that begins so.
    Hear(&'static str),
    /// Reads a message up to its final dot.
    Body,
    /// Reads this many bytes.
    Take(usize),
    /// Makes the TLS handshake with a self-signed certificate.
    Tls,
    /// Says nothing until the client goes away.
    Stall,
}

/// A line to say.
pub(crate) fn say(line: &str) -> Do {
    Do::Say(line.to_owned())
}

/// A server under way.
pub(crate) struct Scripted {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Ends with what it heard, or with what it heard instead of what it should.
    pub(crate) heard: JoinHandle<Result<Vec<String>, String>>,
}

/// A self-signed certificate for `localhost` and its PEM text.
pub(crate) struct Identity {
    config: Arc<rustls::ServerConfig>,
    pub(crate) pem: String,
}

impl Identity {
    /// Makes one for these names.
    pub(crate) fn of(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        Self { config: Arc::new(config), pem: made.cert.pem() }
    }
}

/// Starts a server that serves one connection.
pub(crate) async fn serve(script: Vec<Do>) -> Scripted {
    serve_as(script, &Identity::of(&["localhost"])).await
}

/// Starts a server with a certificate of its own.
pub(crate) async fn serve_as(script: Vec<Do>, identity: &Identity) -> Scripted {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = Arc::clone(&identity.config);
    let heard = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.map_err(|error| error.to_string())?;
        let mut heard = Vec::new();
        play(stream, script, &mut heard, &config).await?;
        Ok(heard)
    });
    Scripted { address, heard }
}

/// Serves one connection a script on a listener, in order; gives what each heard. Ends when all scripts were played.
pub(crate) fn serve_on(
    listener: TcpListener,
    scripts: Vec<Vec<Do>>,
    config: Arc<rustls::ServerConfig>,
) -> JoinHandle<Vec<Result<Vec<String>, String>>> {
    tokio::spawn(async move {
        let mut all = Vec::new();
        for script in scripts {
            let (stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            let played = play(stream, script, &mut heard, &config).await;
            all.push(played.map(|()| heard));
        }
        all
    })
}

/// Plays a script on a stream in the clear, and goes on with TLS where the script says so.
async fn play(
    stream: TcpStream,
    script: Vec<Do>,
    heard: &mut Vec<String>,
    config: &Arc<rustls::ServerConfig>,
) -> Result<(), String> {
    let at = script.iter().position(|step| matches!(step, Do::Tls));
    let (clear, secret) = script.split_at(at.unwrap_or(script.len()));
    let mut stream = stream;
    act(&mut stream, clear, heard).await?;
    if let Some((_, secret)) = secret.split_first() {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(config));
        let mut stream = acceptor.accept(stream).await.map_err(|error| format!("handshake: {error}"))?;
        act(&mut stream, secret, heard).await?;
        // The client may be gone already; nothing depends on the goodbye.
        let _ = stream.shutdown().await;
    }
    Ok(())
}

/// Acts out some steps.
async fn act(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    steps: &[Do],
    heard: &mut Vec<String>,
) -> Result<(), String> {
    let fault = |error: std::io::Error| error.to_string();
    for step in steps {
        match step {
            Do::Say(line) => {
                stream.write_all(format!("{line}\r\n").as_bytes()).await.map_err(fault)?;
                stream.flush().await.map_err(fault)?;
            }
            Do::Raw(bytes) => {
                stream.write_all(bytes).await.map_err(fault)?;
                stream.flush().await.map_err(fault)?;
            }
            Do::Hear(prefix) => {
                let line = line(stream).await.map_err(fault)?;
                if !line.starts_with(prefix) {
                    return Err(format!("heard {line:?}, wanted {prefix}"));
                }
                heard.push(line.trim_end().to_owned());
            }
            Do::Body => {
                let mut body = String::new();
                loop {
                    let line = line(stream).await.map_err(fault)?;
                    if line == ".\r\n" {
                        break;
                    }
                    if line.is_empty() {
                        return Err("the message ended without a dot".to_owned());
                    }
                    body.push_str(line.strip_prefix('.').unwrap_or(&line));
                }
                heard.push(body);
            }
            Do::Take(bytes) => {
                let mut buffer = vec![0; *bytes];
                stream.read_exact(&mut buffer).await.map_err(fault)?;
            }
            Do::Tls => return Err("two handshakes".to_owned()),
            Do::Stall => {
                let mut buffer = [0; 1024];
                while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
            }
        }
    }
    Ok(())
}

/// Reads one line with its end; empty at the end of the stream.
async fn line(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\n") {
        if stream.read(&mut byte).await? == 0 {
            break;
        }
        line.extend_from_slice(&byte);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}
