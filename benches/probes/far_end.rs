//! Fake far ends: SMTP servers that take every message, note when its MAIL command came, and bring it back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result};
use mailsonde::clock::{self, Timestamp};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// A probe that came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The local part of its reverse-path: the route.
    pub(crate) route: String,
    /// When MAIL came.
    pub(crate) at: Timestamp,
}

/// The far ends under way.
pub(crate) struct FarEnds {
    /// Where they listen.
    pub(crate) addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

/// What all sessions share.
struct Shared {
    tell: Sender<Seen>,
    /// Where to bring messages to.
    back: OnceLock<SocketAddr>,
    brought: AtomicU64,
}

/// Starts some.
pub(crate) fn start(count: usize, tell: Sender<Seen>) -> Result<FarEnds> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let shared = Arc::new(Shared { tell, back: OnceLock::new(), brought: AtomicU64::new(0) });
    let mut addresses = Vec::new();
    for _ in 0..count {
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        addresses.push(listener.local_addr()?);
        let shared = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    // A client that goes away is the client's matter: its probe is missing then.
                    if let Ok(Some(message)) = session(stream, &shared).await {
                        bring_back(message, &shared).await;
                    }
                });
            }
        });
    }
    Ok(FarEnds { addresses, shared, _runtime: runtime })
}

impl FarEnds {
    /// From now on messages are brought to this receiver.
    pub(crate) fn bring_back_to(&self, receiver: SocketAddr) {
        let _ = self.shared.back.set(receiver);
    }

    /// How many it took.
    pub(crate) fn brought_back(&self) -> u64 {
        self.shared.brought.load(Ordering::Relaxed)
    }
}

/// One message as it came.
struct Message {
    mail: String,
    rcpt: String,
    data: Vec<u8>,
}

/// One session; gives its message.
async fn session(stream: TcpStream, shared: &Shared) -> Result<Option<Message>> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 far.example.com ESMTP\r\n").await?;
    let (mut mail, mut rcpt, mut taken) = (String::new(), String::new(), None);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(taken);
        }
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let reply: &[u8] = match verb.as_str() {
            "EHLO" => b"250-far.example.com\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
            "MAIL" => {
                let at = clock::now();
                line.trim_end().clone_into(&mut mail);
                let path = line.split(['<', '>']).nth(1).unwrap_or_default();
                let route = path.split('@').next().unwrap_or_default().to_owned();
                shared.tell.send(Seen { route, at }).context("nobody counts")?;
                b"250 2.1.0 ok\r\n"
            }
            "RCPT" => {
                line.trim_end().clone_into(&mut rcpt);
                b"250 2.1.5 ok\r\n"
            }
            "DATA" => {
                stream.write_all(b"354 go\r\n").await?;
                let mut data = Vec::new();
                loop {
                    let begin = data.len();
                    if stream.read_until(b'\n', &mut data).await? == 0 {
                        return Ok(None);
                    }
                    if data.get(begin..) == Some(b".\r\n") {
                        break;
                    }
                }
                taken = Some(Message { mail: mail.clone(), rcpt: rcpt.clone(), data });
                b"250 2.0.0 ok: queued as 4BKA1x2y0123\r\n"
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(taken);
            }
            _ => b"500 what\r\n",
        };
        stream.write_all(reply).await?;
    }
}

/// Brings one message to the receiver, if there is one.
async fn bring_back(message: Message, shared: &Shared) {
    let Some(receiver) = shared.back.get() else { return };
    if deliver(message, *receiver).await.is_ok() {
        shared.brought.fetch_add(1, Ordering::Relaxed);
    }
}

/// Delivers one message.
async fn deliver(message: Message, receiver: SocketAddr) -> Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(receiver).await?);
    let path = |line: &str| line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
    reply(&mut stream).await?;
    let lines = [
        b"EHLO far.example.com\r\n".to_vec(),
        format!("MAIL FROM:<{}>\r\n", path(&message.mail)).into_bytes(),
        format!("RCPT TO:<{}>\r\n", path(&message.rcpt)).into_bytes(),
        b"DATA\r\n".to_vec(),
        message.data,
        b"QUIT\r\n".to_vec(),
    ];
    for line in lines {
        stream.write_all(&line).await?;
        reply(&mut stream).await?;
    }
    Ok(())
}

/// Reads one reply; an error unless it is 2yz or 3yz.
async fn reply(stream: &mut BufReader<TcpStream>) -> Result<()> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || !line.starts_with(['2', '3']) {
            anyhow::bail!("refused: {line}");
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(());
        }
    }
}
