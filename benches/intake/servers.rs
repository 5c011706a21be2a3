//! The servers that are measured, each a child process on a loopback port.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mailsonde::clock;
use mailsonde::mail::{Address, Body, Envelope, Inbox, MessageId, Purpose, Refusal};
use mailsonde::smtp::sink::{Listener, Network, Relays, Sink, SinkLimits, SinkOptions};
use mailsonde::smtp::tls::ServerTls;

use super::process;

/// The argument that makes this program the counting server.
pub(crate) const SERVE: &str = "serve-counting";

/// Where Debian's package has the sink, and where others have it.
const SMTP_SINK: [&str; 4] = [
    "/usr/sbin/smtp-sink",
    "/usr/lib/postfix/sbin/smtp-sink",
    "/usr/lib/postfix/smtp-sink",
    "/usr/libexec/postfix/smtp-sink",
];

/// A sink over aiosmtpd that stores nothing.
const AIOSMTPD: &str = "
import asyncio, sys
from aiosmtpd.controller import UnthreadedController
class Discard:
    async def handle_DATA(self, server, session, envelope):
        return '250 2.0.0 OK'
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
controller = UnthreadedController(Discard(), hostname='127.0.0.1', port=int(sys.argv[1]), loop=loop)
controller.begin()
loop.run_forever()
";

/// One kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Our receiver over an Inbox that counts.
    Counting,
    /// Our program with its store.
    Durable,
    /// Postfix's test sink.
    SmtpSink,
    /// mailin-embedded with 64 threads.
    Mailin,
    /// The usual receiver in Python.
    Aiosmtpd,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Counting, Self::Durable, Self::SmtpSink, Self::Mailin, Self::Aiosmtpd];

    /// The name in the tables and on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Counting => "counting",
            Self::Durable => "durable",
            Self::SmtpSink => "smtp-sink",
            Self::Mailin => "mailin-embedded",
            Self::Aiosmtpd => "aiosmtpd",
        }
    }

    /// Fewer messages for a server that takes many times as long.
    pub(crate) const fn messages(self, messages: usize) -> usize {
        match self {
            Self::Aiosmtpd => messages.div_ceil(4),
            _ => messages,
        }
    }

    /// False for a server with a thread for each session and no more than 64 of them.
    pub(crate) fn takes_many_sessions(self) -> bool {
        self != Self::Mailin
    }

    /// True for a server that is set up with STARTTLS here.
    pub(crate) fn has_tls(self) -> bool {
        matches!(self, Self::Counting | Self::Durable)
    }

    /// Says why the server cannot run here.
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Counting => Ok(()),
            Self::Durable => {
                let help = Command::new(env!("CARGO_BIN_EXE_mailsonde")).arg("--help").output()?;
                let has_serve = String::from_utf8_lossy(&help.stdout).contains("serve");
                ensure!(has_serve, "this build has no `serve`");
                Ok(())
            }
            Self::SmtpSink => smtp_sink().map(|_| ()).context("smtp-sink of Postfix is not installed"),
            Self::Mailin => mailin().map(|_| ()),
            Self::Aiosmtpd => {
                let found = Command::new("python3").args(["-c", "import aiosmtpd"]).output()?;
                ensure!(found.status.success(), "python3 has no aiosmtpd");
                Ok(())
            }
        }
    }
}

/// Postfix's sink.
fn smtp_sink() -> Option<PathBuf> {
    SMTP_SINK.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// Builds mailin-embedded as it is used in a product, and says where it is.
fn mailin() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    let target = folder.join("target");
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--locked", "--package", "mailin-sink", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()?;
    ensure!(built.success(), "benches/peers/mailin-sink cannot be built");
    Ok(target.join("release/mailin-sink"))
}

/// A running server; ended when dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    /// What the durable server keeps; removed with it.
    _folder: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts a server and waits for its greeting.
    pub(crate) fn start(kind: Kind) -> Result<Self> {
        let mut folder = None;
        let mut address = free_address()?;
        let port = address.port().to_string();
        let mut command = match kind {
            Kind::Counting => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg(SERVE);
                command
            }
            Kind::Durable => {
                let place = tempfile::tempdir_in(durable_folder())?;
                let config = place.path().join("bench.toml");
                std::fs::write(&config, durable_config(address))?;
                let mut command = Command::new(env!("CARGO_BIN_EXE_mailsonde"));
                command
                    .arg("--config")
                    .arg(config)
                    .arg("--db")
                    .arg(place.path().join("bench.db"))
                    .args(["-q", "serve"]);
                folder = Some(place);
                command
            }
            Kind::SmtpSink => {
                let mut command = Command::new(smtp_sink().context("smtp-sink")?);
                if rustix::process::geteuid().is_root() {
                    // It refuses to run as root.
                    command.args(["-u", "nobody"]);
                }
                // As many sessions as the load has; it takes 256 otherwise.
                command.args(["-m", "20000"]).arg(format!("127.0.0.1:{port}")).arg("1024");
                command
            }
            Kind::Mailin => {
                let mut command = Command::new(mailin()?);
                command.args([address.to_string(), "64".to_owned()]);
                command
            }
            Kind::Aiosmtpd => {
                let mut command = Command::new("python3");
                command.args(["-c", AIOSMTPD, &port]);
                command
            }
        };
        let stdout = if kind == Kind::Counting { Stdio::piped() } else { Stdio::null() };
        let mut child = command.stdin(Stdio::null()).stdout(stdout).spawn()?;
        if let Some(stdout) = child.stdout.take() {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line)?;
            address = line.trim().parse()?;
        }
        let server = Self { child, address, _folder: folder };
        for _ in 0..500 {
            if super::client::greeting_time(address).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        anyhow::bail!("{} does not greet", kind.name())
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its CPU seconds so far.
    pub(crate) fn cpu(&self) -> Result<f64> {
        process::cpu_seconds(self.child.id())
    }

    /// Its resident bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        process::resident_bytes(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whether it has ended already is all the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The sockets of a killed server are closed by the system a moment later.
        for _ in 0..50 {
            if TcpStream::connect(self.address).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// An address that nobody listens on right now.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The durable server's data has to be on a disk: the folder for temporary files may be memory.
fn durable_folder() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    if target.is_dir() { target } else { std::env::temp_dir() }
}

/// The configuration of the durable server: one client may do all.
fn durable_config(address: SocketAddr) -> String {
    let web = free_address().map_or_else(|_| "127.0.0.1:8025".to_owned(), |address| address.to_string());
    format!(
        "[[listener]]\naddress = \"{address}\"\n\n[smtp]\nhost_name = \"mx.example.com\"\n\
         sessions_per_client = 100000\nsessions_per_client_minute = 10000000\n\
         messages_per_client_minute = 10000000\n\n\
         [[recipient]]\naddress = \"dmarc@example.com\"\npurpose = \"reports\"\n\n[web]\naddress = \"{web}\"\n"
    )
}

// ---- Counting server ----

/// Counts and discards.
struct CountingInbox(AtomicI64);

impl Inbox for CountingInbox {
    fn recipient(&self, _: &Address, _: Option<IpAddr>) -> Result<Purpose, Refusal> {
        Ok(Purpose::Reports)
    }

    fn has_room(&self, _: u64) -> Result<(), Refusal> {
        Ok(())
    }

    async fn accept(&self, _: Envelope, body: Body) -> Result<MessageId, Refusal> {
        drop(body);
        Ok(MessageId(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

/// Serves until it is killed; prints the address first.
pub(crate) fn serve_counting() -> Result<()> {
    let spool = tempfile::tempdir()?;
    let options = SinkOptions {
        host_name: "mx.example.com".to_owned(),
        listeners: vec![Listener::Address("127.0.0.1:0".parse()?)],
        tls: Some(Arc::new(ServerTls::load_or_create(spool.path(), "mx.example.com")?)),
        spool_directory: spool.path().to_owned(),
        trusted: vec![Network::parse("127.0.0.1").context("network")?],
        relays: Relays::NONE,
        limits: SinkLimits::STANDARD,
    };
    let inbox = CountingInbox(AtomicI64::new(clock::now().ms()));
    let sink = Sink::bind(options, Arc::new(inbox))?;
    println!("{}", sink.addresses().first().context("address")?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(sink.serve())?)
}
