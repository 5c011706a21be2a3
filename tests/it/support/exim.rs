//! An Exim of one's own, for tests: spool, configuration and port that nobody else has.
//!
//! Debian's packages of Exim and Postfix exclude each other, so this one is not installed: `.ci/run` unpacks it and names
//! the folder in MAILSONDE_EXIM. It changes to the user Debian-exim, who must exist. Without that, or without root, there is
//! none, unless MAILSONDE_REQUIRE_EXIM is set: then it fails.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::sink::eventually;

/// The user whom Debian's Exim is built for.
const USER: &str = "Debian-exim";

/// Where Exim is, if it can be used.
pub(crate) fn program() -> Option<PathBuf> {
    let unpacked = std::env::var_os("MAILSONDE_EXIM").map(PathBuf::from);
    let places = unpacked.into_iter().map(|folder| folder.join("usr/sbin/exim4"));
    let found = places.chain([PathBuf::from("/usr/sbin/exim4")]).find(|path| path.exists());
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let has_user = user().is_some();
    if found.is_none() || !is_root || !has_user {
        assert!(std::env::var_os("MAILSONDE_REQUIRE_EXIM").is_none(), "Exim is required and not usable");
        eprintln!("skipped: needs Exim (exim4-daemon-light unpacked, see .ci/run), its user and root");
        return None;
    }
    found
}

/// User and group of Exim.
fn user() -> Option<(u32, u32)> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = passwd.lines().find(|line| line.split(':').next() == Some(USER))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// A running Exim that is the MX of `bounce.example`: `refused…@` is refused at RCPT, `known@` is delivered nowhere,
/// all others are taken and sent back. What comes back goes to one host.
pub(crate) struct Exim {
    folder: tempfile::TempDir,
    /// Where it takes mail.
    pub(crate) smtp: SocketAddr,
    child: Child,
}

impl Exim {
    /// Starts it; `None` where there is none.
    pub(crate) fn start(back: SocketAddr) -> Option<Self> {
        let program = program()?;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (owner, group) = user().unwrap();
        for name in ["spool", "log"] {
            std::fs::create_dir(path.join(name)).unwrap();
            chown(path.join(name), Some(owner), Some(group)).unwrap();
        }
        // A port that was free a moment ago.
        let smtp = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (root, port) = (path.display(), smtp.port());
        let (back_host, back_port) = (back.ip(), back.port());
        let text = format!(
            "exim_path = {program}\nprimary_hostname = mx.bounce.example\nspool_directory = {root}/spool\n\
             log_file_path = {root}/log/%s\npid_file_path = {root}/pid\nlocal_interfaces = 127.0.0.1\n\
             daemon_smtp_ports = {port}\nexim_user = {USER}\nexim_group = {USER}\nkeep_environment =\n\
             tls_advertise_hosts =\nhost_lookup =\nrfc1413_hosts =\nqualify_domain = bounce.example\n\
             domainlist local_domains = bounce.example\nacl_smtp_rcpt = recipient\nacl_smtp_data = content\n\
             begin acl\n\
             recipient:\n  deny local_parts = ^refused\n       message = no such user here\n  \
             accept domains = +local_domains\n  deny message = relay not permitted\n\
             content:\n  accept\n\
             begin routers\n\
             back:\n  driver = manualroute\n  domains = !+local_domains\n  transport = remote\n  \
             route_list = * {back_host}\n  self = send\n\
             local:\n  driver = accept\n  local_parts = known\n  transport = nowhere\n\
             begin transports\n\
             remote:\n  driver = smtp\n  port = {back_port}\n  hosts_try_dane =\n  hosts_avoid_tls = *\n  \
             allow_localhost\n\
             nowhere:\n  driver = appendfile\n  file = /dev/null\n  user = {USER}\n\
             begin retry\n* * F,1h,1s\n",
            program = program.display(),
        );
        // Exim refuses a configuration that others than root may write.
        let configuration = path.join("exim.conf");
        std::fs::write(&configuration, text).unwrap();
        std::fs::set_permissions(&configuration, std::fs::Permissions::from_mode(0o644)).unwrap();
        let output = std::fs::File::create(path.join("output")).unwrap();
        let child = Command::new(&program)
            .arg("-C")
            .arg(&configuration)
            .args(["-bdf", "-q1s"])
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let exim = Self { folder, smtp, child };
        eventually("Exim listens", || TcpStream::connect(smtp).is_ok());
        Some(exim)
    }

    /// What it said and logged.
    pub(crate) fn log(&self) -> String {
        let read = |name: &str| {
            std::fs::read_to_string(Path::new(self.folder.path()).join(name)).unwrap_or_default()
        };
        ["output", "log/main", "log/panic"].map(read).concat()
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}
