//! A Postfix of one's own, for tests: queue, configuration and ports that nobody else has.
//!
//! Without Postfix (Debian: postfix) and root, which its master needs, there is none, unless
//! MAILSONDE_REQUIRE_POSTFIX is set, as in `.ci/run`: then it fails.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::sink::eventually;

/// True where Postfix can be used.
pub(crate) fn is_usable() -> bool {
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

/// A running Postfix; stopped when dropped.
pub(crate) struct Postfix {
    folder: tempfile::TempDir,
    /// Where it takes mail.
    pub(crate) smtp: SocketAddr,
}

impl Postfix {
    /// Starts one that hands all mail to one host. `more`: further lines of main.cf.
    pub(crate) fn start(next: SocketAddr, more: &str) -> Self {
        Self::with_transports(&[("*", next)], "", more)
    }

    /// Starts one that hands the mail of each domain to its host, `*` standing for all others.
    /// `transports`: lines of the transport table before these.
    pub(crate) fn with_transports(next: &[(&str, SocketAddr)], transports: &str, more: &str) -> Self {
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
        let mut table = transports.to_owned();
        for (domain, next) in next {
            let _ = writeln!(table, "{domain} smtp:[{}]:{}", next.ip(), next.port());
        }
        std::fs::write(path.join("etc/transport"), table).unwrap();
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
             mynetworks = 127.0.0.0/8\n\
             smtpd_relay_restrictions = permit_mynetworks, reject\n\
             transport_maps = texthash:{root}/etc/transport\n\
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
             virtual unix - n n - - virtual\n\
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
        postfix.run();
        postfix
    }

    /// Starts it, again after [`Self::stop`], and waits until it listens.
    pub(crate) fn run(&self) {
        let started = self.command("start");
        assert!(started.status.success(), "{}\n{}", String::from_utf8_lossy(&started.stderr), self.log());
        eventually("Postfix listens", || TcpStream::connect(self.smtp).is_ok());
    }

    /// Stops it; what is in its queue stays there.
    pub(crate) fn stop(&self) {
        self.command("stop");
        eventually("Postfix is silent", || TcpStream::connect(self.smtp).is_err());
    }

    /// Runs `postfix WORD` for this instance.
    pub(crate) fn command(&self, word: &str) -> Output {
        let mut command = Command::new("/usr/sbin/postfix");
        command.arg("-c").arg(self.folder.path().join("etc")).arg(word).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// Tries everything in its queue again.
    pub(crate) fn flush(&self) {
        self.tool("postqueue", &["-f"]);
    }

    /// Forgets everything in its queue without a word to anyone.
    pub(crate) fn drop_queue(&self) {
        self.tool("postsuper", &["-d", "ALL"]);
    }

    /// True while something is in its queue.
    pub(crate) fn holds_mail(&self) -> bool {
        let said = self.tool("postqueue", &["-j"]);
        !said.stdout.is_empty()
    }

    /// Runs one of its tools for this instance.
    fn tool(&self, name: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(Path::new("/usr/sbin").join(name));
        command.arg("-c").arg(self.folder.path().join("etc")).args(arguments).stdin(Stdio::null());
        let said = command.output().unwrap();
        assert!(said.status.success(), "{name}: {}", String::from_utf8_lossy(&said.stderr));
        said
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
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
