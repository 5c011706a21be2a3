//! A Dovecot of one's own, for tests and benchmarks: a configuration, ports and accounts that nobody else has.
//!
//! Without Dovecot (Debian: dovecot-imapd, dovecot-pop3d) and root there is none, unless MAILSONDE_REQUIRE_DOVECOT is set,
//! as in `.ci/run`: then it fails.

use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The password of every account.
pub(crate) const PASSWORD: &str = "correct-horse";

/// The user who owns the mail: Dovecot refuses root.
pub(crate) const NOBODY: u32 = 65_534;

/// Where the program is.
fn program() -> Option<&'static str> {
    let found = ["/usr/sbin/dovecot", "/usr/local/sbin/dovecot", "/usr/bin/dovecot"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        // Each protocol is a package of its own.
        .filter(|_| {
            let folders =
                ["/usr/lib/dovecot", "/usr/local/libexec/dovecot", "/usr/libexec/dovecot"].map(Path::new);
            folders.iter().any(|folder| folder.join("imap").exists() && folder.join("pop3").exists())
        });
    let is_root =
        std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if found.is_none() || !is_root {
        assert!(
            std::env::var_os("MAILSONDE_REQUIRE_DOVECOT").is_none(),
            "Dovecot is required and not usable"
        );
        eprintln!("skipped: needs Dovecot (dovecot-imapd, dovecot-pop3d) and root");
        return None;
    }
    found
}

/// Ports that were free a moment ago.
pub(crate) fn free_ports() -> [u16; 4] {
    let listeners = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// A running Dovecot with one folder of accounts.
pub(crate) struct Dovecot {
    program: &'static str,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) imap: u16,
    pub(crate) imaps: u16,
    pub(crate) pop3: u16,
    pub(crate) pop3s: u16,
    pub(crate) certificate: String,
    child: Option<Child>,
    delivered: AtomicUsize,
}

impl Dovecot {
    /// Starts one; `None` where there is none.
    pub(crate) fn start() -> Option<Self> {
        let program = program()?;
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let certificate = made.cert.pem();
        std::fs::write(folder.path().join("cert.pem"), &certificate).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        std::fs::create_dir(folder.path().join("mail")).unwrap();
        chown(folder.path().join("mail"), Some(NOBODY), Some(NOBODY)).unwrap();
        let [imap, imaps, pop3, pop3s] = free_ports();
        let mut dovecot = Self {
            program,
            folder,
            imap,
            imaps,
            pop3,
            pop3s,
            certificate,
            child: None,
            delivered: AtomicUsize::new(0),
        };
        dovecot.configure();
        dovecot.run();
        Some(dovecot)
    }

    /// Writes the configuration.
    fn configure(&self) {
        let base = self.folder.path().display();
        let Self { imap, imaps, pop3, pop3s, .. } = self;
        let mut text = format!(
            "base_dir = {base}/run\nstate_dir = {base}/state\nlog_path = {base}/log\nprotocols = imap pop3\n\
             listen = 127.0.0.1\nssl = yes\nssl_cert = <{base}/cert.pem\nssl_key = <{base}/key.pem\n\
             mail_location = maildir:~/Maildir\nnamespace inbox {{\n  inbox = yes\n  mailbox Verdacht {{\n    \
             special_use = \\Junk\n  }}\n}}\ndisable_plaintext_auth = no\nauth_mechanisms = plain login\n\
             first_valid_uid = 1\nmailbox_idle_check_interval = 1s\n\
             passdb {{\n  driver = static\n  args = password={PASSWORD}\n}}\n\
             userdb {{\n  driver = static\n  args = uid={NOBODY} gid={NOBODY} home={base}/mail/%u allow_all_users=yes\n}}\n\
             service imap-login {{\n  chroot =\n  inet_listener imap {{\n    port = {imap}\n  }}\n  \
             inet_listener imaps {{\n    port = {imaps}\n    ssl = yes\n  }}\n}}\n\
             service pop3-login {{\n  chroot =\n  inet_listener pop3 {{\n    port = {pop3}\n  }}\n  \
             inet_listener pop3s {{\n    port = {pop3s}\n    ssl = yes\n  }}\n}}\n"
        );
        for service in ["anvil", "stats", "ipc"] {
            let _ = writeln!(text, "service {service} {{\n  chroot =\n}}");
        }
        std::fs::write(self.folder.path().join("dovecot.conf"), text).unwrap();
    }

    /// Starts the process and waits until it listens.
    pub(crate) fn run(&mut self) {
        let output = std::fs::File::create(self.folder.path().join("output")).unwrap();
        let child = Command::new(self.program)
            .args(["-F", "-c"])
            .arg(self.folder.path().join("dovecot.conf"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let (imap, pop3s) = (self.imap, self.pop3s);
        let mut child = self.child.take().unwrap();
        let folder = self.folder.path().to_owned();
        let listens = || [imap, pop3s].iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok());
        for round in 0.. {
            if let Ok(Some(status)) = child.try_wait() {
                let read = |name| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
                panic!("Dovecot ended ({status}):\n{}{}", read("output"), read("log"));
            }
            if listens() {
                break;
            }
            assert!(round < 3_000, "Dovecot does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child = Some(child);
    }

    /// Stops the process.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }

    /// The Maildir of a user.
    pub(crate) fn maildir(&self, user: &str) -> PathBuf {
        self.folder.path().join("mail").join(user).join("Maildir")
    }

    /// Delivers a mail as a delivery agent does: written in `tmp`, renamed to `new`.
    pub(crate) fn deliver(&self, user: &str, mail: &[u8]) {
        self.deliver_in(user, "", mail);
    }

    /// The same into a folder, as its Maildir names it: `.Junk`; the inbox is empty. Returns the file's name.
    pub(crate) fn deliver_in(&self, user: &str, folder: &str, mail: &[u8]) -> String {
        let maildir = self.maildir(user);
        let inner = maildir.join(folder);
        for part in ["tmp", "new", "cur"] {
            std::fs::create_dir_all(inner.join(part)).unwrap();
        }
        for path in [maildir.parent().unwrap().to_owned(), maildir, inner.clone()]
            .into_iter()
            .chain(["tmp", "new", "cur"].map(|part| inner.join(part)))
        {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let number = self.delivered.fetch_add(1, Ordering::SeqCst);
        let name = format!("{}.M{number}.test", 1_772_323_200 + number);
        std::fs::write(inner.join("tmp").join(&name), mail).unwrap();
        chown(inner.join("tmp").join(&name), Some(NOBODY), Some(NOBODY)).unwrap();
        std::fs::rename(inner.join("tmp").join(&name), inner.join("new").join(&name)).unwrap();
        name
    }

    /// The files of a folder of a user, without those of Dovecot.
    pub(crate) fn mails(&self, user: &str, folder: &str) -> Vec<String> {
        let mut names = Vec::new();
        for part in ["new", "cur"] {
            let Ok(entries) = std::fs::read_dir(self.maildir(user).join(folder).join(part)) else { continue };
            names.extend(
                entries.map(|entry| format!("{part}/{}", entry.unwrap().file_name().to_string_lossy())),
            );
        }
        names.sort();
        names
    }

    /// The log, for a test that fails.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        self.stop();
    }
}
