//! A real Postfix in front of the program, started by the test with queue, configuration and ports of its own.
//!
//! Without Postfix (Debian: postfix) or without root, which its master needs, the tests say so and pass,
//! unless MAILSONDE_REQUIRE_POSTFIX is set, as in `.ci/run`.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::client::Client;
use crate::support::program::{Server, json};
use crate::support::sink::eventually;

/// Where Postfix is, if it can be used.
fn is_usable() -> bool {
    let is_there =
        Path::new("/usr/sbin/postfix").exists() && Path::new("/usr/lib/postfix/sbin/smtpd").exists();
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if is_there && is_root {
        return true;
    }
    assert!(std::env::var_os("MAILSONDE_REQUIRE_POSTFIX").is_none(), "Postfix is required and not usable");
    eprintln!("skipped: needs Postfix (postfix) and root");
    false
}

/// A running Postfix that hands all mail to one host; stopped when dropped.
struct Postfix {
    folder: tempfile::TempDir,
    smtp: SocketAddr,
}

impl Postfix {
    /// Starts it. `next` is where mail goes, `more` further lines of main.cf.
    fn start(next: SocketAddr, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["etc", "queue", "data"] {
            std::fs::create_dir(path.join(name)).unwrap();
        }
        let chowned = Command::new("chown").arg("postfix").arg(path.join("data")).status().unwrap();
        assert!(chowned.success());
        // A port that was free a moment ago.
        let smtp = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (root, port) = (path.display(), smtp.port());
        let (host, next_port) = (next.ip(), next.port());
        let main = format!(
            "compatibility_level = 3.6\n\
             queue_directory = {root}/queue\n\
             data_directory = {root}/data\n\
             command_directory = /usr/sbin\n\
             daemon_directory = /usr/lib/postfix/sbin\n\
             meta_directory = /etc/postfix\n\
             shlib_directory = /usr/lib/postfix\n\
             maillog_file = {root}/log\n\
             maillog_file_prefixes = {root}\n\
             mail_owner = postfix\n\
             setgid_group = postdrop\n\
             multi_instance_enable = no\n\
             inet_interfaces = loopback-only\n\
             inet_protocols = ipv4\n\
             smtp_bind_address = 127.0.0.1\n\
             myhostname = relay.example.net\n\
             mydestination =\n\
             alias_maps =\n\
             mynetworks =\n\
             smtpd_relay_restrictions = permit_auth_destination, reject\n\
             relay_domains = example.com\n\
             relay_recipient_maps =\n\
             relay_transport = smtp:[{host}]:{next_port}\n\
             default_transport = smtp:[{host}]:{next_port}\n\
             smtp_dns_support_level = disabled\n\
             smtpd_peername_lookup = no\n\
             smtp_tls_security_level = none\n\
             {more}\n"
        );
        std::fs::write(path.join("etc/main.cf"), main).unwrap();
        let master = format!(
            "127.0.0.1:{port} inet n - n - - smtpd\n\
             pickup unix n - n 60 1 pickup\n\
             cleanup unix n - n - 0 cleanup\n\
             qmgr unix n - n 300 1 qmgr\n\
             tlsmgr unix - - n 1000? 1 tlsmgr\n\
             rewrite unix - - n - - trivial-rewrite\n\
             bounce unix - - n - 0 bounce\n\
             defer unix - - n - 0 bounce\n\
             trace unix - - n - 0 bounce\n\
             verify unix - - n - 1 verify\n\
             flush unix n - n 1000? 0 flush\n\
             proxymap unix - - n - - proxymap\n\
             smtp unix - - n - - smtp\n\
             relay unix - - n - - smtp\n\
             showq unix n - n - - showq\n\
             error unix - - n - - error\n\
             retry unix - - n - - error\n\
             discard unix - - n - - discard\n\
             anvil unix - - n - 1 anvil\n\
             scache unix - - n - 1 scache\n\
             postlog unix-dgram n - n - 1 postlogd\n"
        );
        std::fs::write(path.join("etc/master.cf"), master).unwrap();
        for name in ["dynamicmaps.cf", "dynamicmaps.cf.d", "postfix-files", "postfix-files.d"] {
            let shipped = Path::new("/etc/postfix").join(name);
            if shipped.exists() {
                symlink(shipped, path.join("etc").join(name)).unwrap();
            }
        }
        let postfix = Self { folder, smtp };
        let started = postfix.command("start");
        assert!(started.status.success(), "{}\n{}", String::from_utf8_lossy(&started.stderr), postfix.log());
        eventually("Postfix listens", || TcpStream::connect(smtp).is_ok());
        postfix
    }

    /// Runs `postfix WORD` for this instance.
    fn command(&self, word: &str) -> std::process::Output {
        let mut command = Command::new("/usr/sbin/postfix");
        command.arg("-c").arg(self.folder.path().join("etc")).arg(word).stdin(Stdio::null());
        command.output().unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.command("stop");
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// The program behind a relay at 127.0.0.1.
fn server() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let text = "[smtp]\nhost_name = \"mx.example.com\"\ntrusted_relays = [\"127.0.0.1\"]\n\
        [[listener]]\naddress = \"127.0.0.1:0\"\n[store]\npath = \"mailsonde.db\"\n\
        [[recipient]]\naddress = \"dmarc@example.com\"\npurpose = \"reports\"\n";
    std::fs::write(folder.path().join("mailsonde.toml"), text).unwrap();
    Server::start_in(folder, &[])
}

/// Hands Postfix a mail from 127.0.0.2, with a line that lies about where it comes from.
fn hand_over(postfix: &Postfix, subject: &str) {
    let mut client = Client::connect_from("127.0.0.2", postfix.smtp);
    client.expect("220");
    client.command("EHLO [6.6.6.6]", "250");
    let forged = "Received: from x (x [6.6.6.6]) by relay.example.net (Postfix) with ESMTP id 1; Wed";
    let message = format!("{forged}\r\nFrom: <a@b.example>\r\nSubject: {subject}\r\n\r\nx\r\n");
    let reply = client.deliver("a@b.example", "dmarc@example.com", message.as_bytes());
    assert!(reply.starts_with("250"), "{reply}");
}

/// The row of the mail, once it is here.
fn arrived(server: &Server, subject: &str) -> Value {
    let mut found = Value::Null;
    eventually("the mail arrives through Postfix", || {
        let answer = json(server.folder.path(), &["report", "messages"]);
        let rows = answer["rows"].as_array().unwrap().clone();
        found = rows.into_iter().find(|row| row["subject"] == subject).unwrap_or_default();
        !found.is_null()
    });
    found
}

#[test]
fn the_peer_of_postfix_is_found_by_xforward_and_by_its_line() {
    if !is_usable() {
        return;
    }
    let server = server();
    for (subject, more, source) in [
        ("with", "smtp_send_xforward_command = yes", "xforward"),
        ("without", "smtp_send_xforward_command = no", "received"),
    ] {
        let postfix = Postfix::start(server.smtp, more);
        hand_over(&postfix, subject);
        let row = arrived(&server, subject);
        assert_eq!(row["peer_source"], source, "{row:#}");
        assert_eq!(row["peer_ip"], "127.0.0.2", "{row:#}");
        assert_eq!(row["helo"], "[6.6.6.6]", "{row:#}");
        assert_eq!(row["relay_ip"], "127.0.0.1", "{row:#}");
        assert_eq!(row["mail_from"], "a@b.example");
    }
}
