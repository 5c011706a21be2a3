//! Another receiver beside ours: mailin-embedded, built from `benches/peers` as a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running mailin-embedded; killed when dropped.
pub(crate) struct Peer {
    process: Child,
    /// Where it takes mail.
    pub(crate) address: SocketAddr,
}

impl Peer {
    /// Builds and starts it, or says why that cannot be done here.
    pub(crate) fn start() -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
        let target = folder.join("target");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--package", "mailin-sink", "--manifest-path"])
            .arg(folder.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            // Without a network it is to be known at once.
            .env("CARGO_NET_RETRY", "0")
            .env("CARGO_HTTP_TIMEOUT", "10")
            .output();
        match built {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let reason = String::from_utf8_lossy(&output.stderr);
                eprintln!(
                    "skipped: mailin-sink cannot be built here: {}",
                    reason.lines().next().unwrap_or_default()
                );
                return None;
            }
            Err(error) => {
                eprintln!("skipped: cargo cannot be run here: {error}");
                return None;
            }
        }
        let mut process = Command::new(target.join("debug/mailin-sink"))
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Some(Self { process, address: line.trim().parse().unwrap() })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
