//! `[dns]`: who answers questions, and how they are asked.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::config::fault::Fault;
use crate::config::file::Section;
use crate::config::load::ConfigError;
use crate::config::sections::host_name;
use crate::dns::{CacheSize, Dnssec, Options, Servers, TlsOptions, ZoneResolver};
use crate::limits;
use crate::tls_client::Verify;

/// Who answers questions of DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSettings {
    /// The servers; empty: those of the system.
    pub servers: Vec<SocketAddr>,
    /// The name in the servers' certificates: DNS over TLS.
    pub tls: Option<String>,
    /// A PEM file with the roots for it; absent: those of the system.
    pub tls_roots: Option<PathBuf>,
    /// Wait for one server in one try.
    pub timeout: Duration,
    /// Rounds through the servers.
    pub attempts: u32,
    /// Whether answers are validated.
    pub dnssec: bool,
    /// Whether health checks want to know what DNSSEC says where `dnssec` is not set: an answer that our validation
    /// refuses is then asked for again without.
    pub checks_want_dnssec: bool,
    /// A file with DNSKEY records in the place of the root's.
    pub trust_anchor: Option<PathBuf>,
    /// Answers remembered.
    pub cache: usize,
    /// From one health check of a watched domain to the next; absent: none is made.
    pub check_every: Option<Duration>,
    /// Whether checks of watched domains talk with the MX hosts.
    pub asks_exchangers: bool,
    /// Answers from zones instead of the network.
    pub zone: Option<ZoneSource>,
}

/// Where zones are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneSource {
    /// A file.
    File(PathBuf),
    /// This text, as of `demo`.
    Text(&'static str),
}

/// Who answers, ready to be made.
#[derive(Debug, Clone)]
pub enum DnsSource {
    /// Zones in memory.
    Zones(Box<ZoneResolver>),
    /// Servers.
    Servers(Options),
}

impl DnsSettings {
    /// The system's servers, without validation.
    pub(super) fn with_defaults() -> Self {
        Self {
            servers: Vec::new(),
            tls: None,
            tls_roots: None,
            timeout: limits::DNS_TIMEOUT,
            attempts: limits::DNS_ATTEMPTS,
            dnssec: false,
            checks_want_dnssec: true,
            trust_anchor: None,
            cache: limits::DNS_CACHE_ANSWERS,
            check_every: Some(limits::HEALTH_CHECK_EVERY),
            asks_exchangers: true,
            zone: None,
        }
    }

    /// Reads the files that the settings name.
    ///
    /// Errors: one that cannot be read; a zone file with a fault, which has its line.
    pub fn source(&self) -> Result<DnsSource, ConfigError> {
        if let Some(zone) = &self.zone {
            let (file, text) = match zone {
                ZoneSource::File(file) => (file.clone(), read(file)?),
                ZoneSource::Text(text) => (PathBuf::from("built-in zone"), (*text).to_owned()),
            };
            let resolver = ZoneResolver::parse(&text).map_err(|fault| {
                let message = match fault.field.as_str() {
                    "" => fault.reason,
                    field => format!("{field:?}: {}", fault.reason),
                };
                ConfigError::Faults(vec![Fault { file, line: fault.line, column: 1, message, hint: None }])
            })?;
            return Ok(DnsSource::Zones(Box::new(resolver)));
        }
        let tls = match (&self.tls, &self.tls_roots) {
            (None, _) => None,
            (Some(name), roots) => {
                let verify = match roots {
                    Some(file) => Verify::Roots(Arc::from(read(file)?.into_bytes())),
                    None => Verify::System,
                };
                Some(TlsOptions { name: name.clone(), verify })
            }
        };
        let dnssec = match (self.dnssec, &self.trust_anchor) {
            (false, _) => Dnssec::Off,
            (true, None) => Dnssec::Root,
            (true, Some(file)) => Dnssec::Anchors(read(file)?),
        };
        let servers = match self.servers.as_slice() {
            [] => Servers::System,
            servers => Servers::Listed(servers.to_vec()),
        };
        Ok(DnsSource::Servers(Options {
            servers,
            tls,
            timeout: self.timeout,
            attempts: self.attempts,
            dnssec,
            in_flight: limits::DNS_IN_FLIGHT,
        }))
    }

    /// What the memory of answers may hold.
    pub fn cache_size(&self) -> CacheSize {
        CacheSize { answers: self.cache, bytes: limits::DNS_CACHE_BYTES }
    }
}

/// Reads a file of text.
fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |cause| ConfigError::Unreadable { path: path.to_owned(), cause };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(limits::DNS_FILE_BYTES).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// `[dns]`.
pub(super) fn read_dns(dns: &Section<'_, '_>) -> DnsSettings {
    let mut settings = DnsSettings::with_defaults();
    settings.tls = dns.parsed("tls", "the name in the servers' certificate", "dns.example.net", |text| {
        let is_address = text.parse::<IpAddr>().is_ok();
        if is_address { Some(text.to_owned()) } else { host_name(text) }
    });
    let port = if settings.tls.is_some() { limits::DNS_TLS_PORT } else { limits::DNS_PORT };
    for text in dns.texts("servers", "[\"192.0.2.53\", \"[2001:db8::53]:53\"]").unwrap_or_default() {
        let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, port)).or_else(|_| text.parse());
        match address {
            Ok(address) if settings.servers.contains(&address) => {
                dns.fault("servers", format!("{address} stands twice in `servers` of [dns]"), None);
            }
            Ok(address) if address.port() == 0 => {
                dns.fault("servers", format!("{address} has no port to ask at"), None);
            }
            Ok(address) => settings.servers.push(address),
            Err(_) => {
                let hint = "write addresses: \"192.0.2.53\", \"192.0.2.53:5353\" or \"[2001:db8::53]:53\"";
                dns.fault("servers", format!("{text:?} is no IP address"), Some(hint.to_owned()));
            }
        }
    }
    settings.tls_roots = dns.path("tls_roots", "/etc/mailsonde/dns-roots.pem");
    if settings.tls_roots.is_some() && settings.tls.is_none() {
        let hint = Some("add `tls = \"dns.example.net\"`".to_owned());
        dns.fault("tls_roots", "`tls_roots` without `tls` in [dns]", hint);
    }
    if let Some(timeout) = dns.duration("timeout", "3s") {
        let most = limits::DNS_QUESTION_TIMEOUT;
        if timeout.is_zero() || timeout > most {
            let hint = Some(format!("from 1s to {}s", most.as_secs()));
            dns.fault("timeout", "`timeout` in [dns] is out of range", hint);
        }
        settings.timeout = timeout;
    }
    if let Some(attempts) = dns.number("attempts", 1) {
        match u32::try_from(attempts) {
            Ok(attempts @ 1..=10) => settings.attempts = attempts,
            _ => dns.fault("attempts", "`attempts` in [dns] is above 10", None),
        }
    }
    let dnssec = dns.flag("dnssec");
    settings.dnssec = dnssec.unwrap_or(false);
    settings.checks_want_dnssec = dnssec.is_none();
    settings.trust_anchor = dns.path("trust_anchor", "/etc/mailsonde/anchor.key");
    if settings.trust_anchor.is_some() && !settings.dnssec {
        let hint = Some("add `dnssec = true`".to_owned());
        dns.fault("trust_anchor", "`trust_anchor` without `dnssec` in [dns]", hint);
    }
    if let Some(answers) = dns.number("cache", 0) {
        settings.cache = usize::try_from(answers).unwrap_or(usize::MAX);
    }
    if let Some(every) = dns.duration("check_every", "1h") {
        // Servers of others are not to be asked all the time; one on this machine is one's own.
        let is_own =
            !settings.servers.is_empty() && settings.servers.iter().all(|server| server.ip().is_loopback());
        let shortest = if is_own { limits::DNS_WATCH_SHORTEST } else { limits::HEALTH_CHECK_SHORTEST };
        if !every.is_zero() && every < shortest {
            let hint = Some(format!("at least {}s, or 0s for no checks", shortest.as_secs()));
            dns.fault("check_every", "`check_every` in [dns] is too short", hint);
        }
        settings.check_every = (!every.is_zero()).then_some(every);
    }
    settings.asks_exchangers = dns.flag("smtp").unwrap_or(true);
    settings.zone = dns.path("zone", "/etc/mailsonde/test.zone").map(ZoneSource::File);
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn parse(text: &str) -> Result<Settings, Vec<Fault>> {
        Settings::parse(Path::new("m.toml"), text)
    }

    #[test]
    fn servers_take_the_port_of_their_transport() {
        let table = [
            ("servers = [\"192.0.2.53\", \"2001:db8::53\"]", "192.0.2.53:53 [2001:db8::53]:53"),
            ("servers = [\"192.0.2.53:5353\"]", "192.0.2.53:5353"),
            (
                "tls = \"dns.example\"\nservers = [\"192.0.2.53\", \"[2001:db8::1]:1853\"]",
                "192.0.2.53:853 [2001:db8::1]:1853",
            ),
            ("", ""),
        ];
        for (text, expected) in table {
            let servers = parse(&format!("[dns]\n{text}")).unwrap().dns.servers;
            let shown: Vec<String> = servers.iter().map(ToString::to_string).collect();
            assert_eq!(shown.join(" "), expected, "{text}");
        }
        let settings =
            parse("[dns]\ndnssec = true\ncache = 0\ntimeout = \"1s\"\nattempts = 3\n").unwrap().dns;
        assert_eq!((settings.dnssec, settings.cache, settings.attempts), (true, 0, 3));
        let DnsSource::Servers(options) = settings.source().unwrap() else { panic!("zones") };
        assert_eq!((options.servers, options.dnssec), (Servers::System, Dnssec::Root));
    }

    #[test]
    fn faults_have_their_line() {
        for (text, want) in [
            ("servers = [\"dns.example\"]", "2: \"dns.example\" is no IP address"),
            ("servers = [\"192.0.2.1\", \"192.0.2.1:53\"]", "2: 192.0.2.1:53 stands twice"),
            ("servers = [\"192.0.2.1:0\"]", "2: 192.0.2.1:0 has no port"),
            ("servers = \"192.0.2.1\"", "2: `servers` in [dns] is a string"),
            ("\ntls_roots = \"x\"", "3: `tls_roots` without `tls`"),
            ("tls = \"a b\"", "2: "),
            ("timeout = \"1h\"", "2: `timeout` in [dns] is out of range"),
            ("check_every = \"10s\"", "2: `check_every` in [dns] is too short"),
            (
                "check_every = \"10s\"\nservers = [\"192.0.2.1\", \"127.0.0.1\"]",
                "2: `check_every` in [dns] is too short",
            ),
            ("attempts = 11", "2: `attempts` in [dns] is above 10"),
            ("trust_anchor = \"x\"", "2: `trust_anchor` without `dnssec`"),
            ("server = []", "2: "),
        ] {
            let faults = parse(&format!("[dns]\n{text}")).unwrap_err();
            let got = format!("{}: {}", faults[0].line, faults[0].message);
            assert!(got.starts_with(want), "{text}: {got}");
        }
    }

    #[test]
    fn files_are_read_and_their_faults_have_lines() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("test.zone");
        let settings =
            DnsSettings { zone: Some(ZoneSource::File(file.clone())), ..DnsSettings::with_defaults() };
        assert!(matches!(settings.source(), Err(ConfigError::Unreadable { .. })));
        std::fs::write(&file, "a.test. A 192.0.2.1\nb.test. A x\n").unwrap();
        let Err(ConfigError::Faults(faults)) = settings.source() else { panic!("no faults") };
        assert!(
            faults[0].to_string().ends_with("test.zone:2:1: \"x\": not an IPv4 address"),
            "{}",
            faults[0]
        );
        std::fs::write(&file, "a.test. A 192.0.2.1\n").unwrap();
        assert!(matches!(settings.source(), Ok(DnsSource::Zones(_))));
        let anchored = DnsSettings { dnssec: true, trust_anchor: Some(file), ..DnsSettings::with_defaults() };
        let DnsSource::Servers(options) = anchored.source().unwrap() else { panic!("zones") };
        assert_eq!(options.dnssec, Dnssec::Anchors("a.test. A 192.0.2.1\n".to_owned()));
    }
}
