//! The program itself as a user runs it: `serve` in the background, other commands beside it.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use mailsonde::clock;

/// How long a test waits for what must come; a broken program fails, a slow machine does not.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A command of the program with a clean environment.
pub(crate) fn mailsonde(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailsonde"));
    command.current_dir(folder).env_remove("NO_COLOR").env_remove("COLUMNS").env("TZ", "UTC");
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    mailsonde(folder).args(arguments).output().expect("the program starts")
}

/// What a command said, and its exit code.
pub(crate) struct Said {
    /// The exit code; absent if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

/// Runs a command, whatever its exit code, and reads what it said.
pub(crate) fn say(folder: &Path, arguments: &[&str]) -> Said {
    let output = run(folder, arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The JSON object that a command prints, whatever its exit code.
#[track_caller]
pub(crate) fn json_said(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    let mut all = arguments.to_vec();
    all.extend(["--format", "json"]);
    let said = say(folder, &all);
    serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{all:?}: {}{}", said.stdout, said.stderr))
}

/// Runs a command that must end with 0 and print one JSON object.
#[track_caller]
pub(crate) fn json(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    let mut all = arguments.to_vec();
    all.extend(["--format", "json"]);
    let output = run(folder, &all);
    assert!(
        output.status.success(),
        "{all:?}: {:?}\n{}{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// A running `serve` with a folder of its own: configuration, database, keys.
pub(crate) struct Server {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) smtp: SocketAddr,
    child: Child,
}

/// The recipients of the third-party cases and of our own tests.
const CONFIGURATION: &str = r#"
[smtp]
host_name = "mx.example.com"
# All clients of a test have one address.
messages_per_client_minute = 1_000_000
messages_per_session = 1_000_000
sessions_per_client_minute = 1_000_000

[[listener]]
address = "127.0.0.1:0"

[store]
path = "mailsonde.db"

# No outside network: a test of verification brings a DNS server.
[authentication]
verify = false
"#;

impl Server {
    /// Starts `serve` with one recipient of each given address and purpose.
    pub(crate) fn start(recipients: &[(&str, &str)]) -> Self {
        Self::start_with(recipients, "")
    }

    /// As [`Self::start`], with further lines of configuration.
    pub(crate) fn start_with(recipients: &[(&str, &str)], more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut text = CONFIGURATION.to_owned();
        for (address, purpose) in recipients {
            let _ = write!(text, "\n[[recipient]]\naddress = \"{address}\"\npurpose = \"{purpose}\"\n");
        }
        text.push_str(more);
        std::fs::write(folder.path().join("mailsonde.toml"), text).expect("the configuration is written");
        Self::start_in(folder, &[])
    }

    /// Starts `serve` in a folder that holds a configuration.
    pub(crate) fn start_in(folder: tempfile::TempDir, environment: &[(&str, &str)]) -> Self {
        let mut command = mailsonde(folder.path());
        command.arg("serve").envs(environment.iter().copied());
        Self::spawn(folder, command)
    }

    /// Starts a prepared command that runs `serve` in `folder`.
    pub(crate) fn spawn(folder: tempfile::TempDir, mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut seen = String::new();
        let smtp = loop {
            let mut line = String::new();
            if log.read_line(&mut line).unwrap_or(0) == 0 {
                let _ = child.wait();
                panic!("serve ended before it listened:\n{seen}");
            }
            seen.push_str(&line);
            if let Some(address) = line.split("smtp_listening=").nth(1)
                && let Some(address) = address.split_whitespace().next()
                && let Ok(address) = address.trim_matches('"').parse()
            {
                break address;
            }
        };
        // The pipe must be drained, or the program would stop at a full one.
        std::thread::spawn(move || {
            let mut rest = Vec::new();
            let _ = log.read_to_end(&mut rest);
        });
        Self { folder, smtp, child }
    }

    /// The folder with the database.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The database.
    pub(crate) fn database(&self) -> PathBuf {
        self.path().join("mailsonde.db")
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until no message is pending; gives up when their number stands still.
    #[track_caller]
    pub(crate) fn settle(&self) {
        let mut until = clock::instant() + PATIENCE;
        let mut last = None;
        loop {
            let pending = json(self.path(), &["report", "messages", "--result", "pending", "--limit", "1"]);
            let left = pending["totals"]["pending"].as_u64();
            if left == Some(0) {
                return;
            }
            if left != last {
                last = left;
                until = clock::instant() + PATIENCE;
            }
            assert!(clock::instant() < until, "messages are still pending: {left:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills the program as a power cut would, and gives the folder back.
    pub(crate) fn kill(mut self) -> tempfile::TempDir {
        self.child.kill().expect("killed");
        let _ = self.child.wait();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a temporary folder"));
        drop(self);
        folder
    }

    /// Asks the program to stop and waits for its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let _ = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        let until = clock::instant() + PATIENCE;
        while clock::instant() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A plain SMTP client that sends what it is told.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects and reads the greeting.
    pub(crate) fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut client = Self { stream: BufReader::new(stream) };
        client.reply()?;
        Ok(client)
    }

    /// Reads one reply, all its lines.
    pub(crate) fn reply(&mut self) -> std::io::Result<String> {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let last = line.as_bytes().get(3) != Some(&b'-');
            all.push_str(&line);
            if last {
                return Ok(all);
            }
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends one command and reads its reply.
    pub(crate) fn command(&mut self, line: &str) -> std::io::Result<String> {
        self.send(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// Delivers one message; gives the reply that ended it, be it to MAIL, RCPT or the final dot.
    pub(crate) fn deliver(&mut self, from: &str, to: &[&str], message: &[u8]) -> std::io::Result<String> {
        let reply = self.command(&format!("MAIL FROM:<{from}>"))?;
        if !reply.starts_with('2') {
            return Ok(reply);
        }
        for recipient in to {
            let reply = self.command(&format!("RCPT TO:<{recipient}>"))?;
            if !reply.starts_with('2') {
                self.command("RSET")?;
                return Ok(reply);
            }
        }
        let reply = self.command("DATA")?;
        if !reply.starts_with('3') {
            return Ok(reply);
        }
        self.send(&dot_stuffed(message))?;
        self.reply()
    }
}

/// A message as it stands in DATA: CRLF line ends, dots doubled, the final dot.
pub(crate) fn dot_stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    for line in message.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        match line.strip_suffix(b"\n") {
            Some(body) => {
                out.extend_from_slice(body.strip_suffix(b"\r").unwrap_or(body));
                out.extend_from_slice(b"\r\n");
            }
            None => {
                out.extend_from_slice(line);
                out.extend_from_slice(b"\r\n");
            }
        }
    }
    out.extend_from_slice(b".\r\n");
    out
}

/// Connects, says EHLO, delivers one message, and leaves.
pub(crate) fn deliver(to: SocketAddr, from: &str, rcpt: &[&str], message: &[u8]) -> std::io::Result<String> {
    let mut client = Client::connect(to)?;
    client.command("EHLO test.example.org")?;
    let reply = client.deliver(from, rcpt, message)?;
    let _ = client.command("QUIT");
    Ok(reply)
}
