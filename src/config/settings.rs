//! The settings of every module, validated, with defaults filled in.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::fault::{Fault, nearest};
use crate::config::file::{Section, Source};
use crate::config::secret::Secret;
use crate::limits;
use crate::mail::{Address, DomainName, Purpose};
use crate::probe::compose::Profile;
use crate::store::StoreOptions;

/// Everything that a user may choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The file that they were read from; absent for the defaults.
    pub file: Option<PathBuf>,
    /// The user that `serve` becomes once its ports are open; absent: it stays who it is.
    pub user: Option<String>,
    /// The database.
    pub store_path: PathBuf,
    /// Where the receiver listens.
    pub listeners: Vec<ListenerSettings>,
    /// The receiver's name and caps.
    pub receiver: ReceiverSettings,
    /// The receiver's certificate; absent: a self-signed one is made beside the database.
    pub tls: Option<TlsFiles>,
    /// The addresses that take mail.
    pub recipients: Vec<RecipientSettings>,
    /// The watched domains of the configuration; empty: all are watched.
    pub domains: Vec<DomainName>,
    /// The routes of probes, in the order of the file.
    pub routes: Vec<RouteSettings>,
    /// How long things are kept.
    pub retention: RetentionSettings,
    /// Where the dashboard will listen.
    pub web_address: SocketAddr,
    /// Remarks about what is accepted and has no effect yet.
    pub notes: Vec<String>,
}

/// One place to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerSettings {
    /// The address and port.
    pub address: SocketAddr,
    /// TLS there.
    pub tls: ListenerTls,
}

/// TLS of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerTls {
    /// STARTTLS is offered (RFC 3207).
    StartTls,
    /// No TLS.
    None,
}

/// A certificate with its key, both in PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// An address that takes mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientSettings {
    /// The address.
    pub address: Address,
    /// What it is for.
    pub purpose: Purpose,
}

/// The receiver: its name, and caps that default to those of [`limits`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverSettings {
    /// The name in the greeting; absent: the name of the machine.
    pub host_name: Option<String>,
    /// See [`limits::MESSAGE_BYTES`].
    pub message_bytes: u64,
    /// See [`limits::RECIPIENTS`].
    pub recipients: usize,
    /// See [`limits::SESSIONS`].
    pub sessions: usize,
    /// See [`limits::SESSIONS_PER_CLIENT`].
    pub sessions_per_client: usize,
    /// See [`limits::SESSIONS_PER_CLIENT_MINUTE`].
    pub sessions_per_client_minute: usize,
    /// See [`limits::MESSAGES_PER_SESSION`].
    pub messages_per_session: usize,
    /// See [`limits::MESSAGES_PER_CLIENT_MINUTE`].
    pub messages_per_client_minute: usize,
    /// See [`limits::SESSION_ERRORS`].
    pub session_errors: usize,
    /// See [`limits::COMMAND_TIMEOUT`].
    pub command_timeout: Duration,
    /// See [`limits::DATA_BLOCK_TIMEOUT`].
    pub data_block_timeout: Duration,
    /// See [`limits::DATA_TIMEOUT`].
    pub data_timeout: Duration,
    /// See [`limits::SESSION_TIMEOUT`].
    pub session_timeout: Duration,
    /// See [`limits::SHUTDOWN_TIMEOUT`].
    pub shutdown_timeout: Duration,
}

/// How long things are kept (design: raw failure reports 7 days, other raw mail 90, unread 400, rows 800).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionSettings {
    /// Raw failure reports.
    pub raw_failures: Duration,
    /// Other raw mail.
    pub raw: Duration,
    /// Raw mail that could not be read.
    pub raw_unread: Duration,
    /// Rows.
    pub rows: Duration,
    /// Local parts and subjects in clear.
    pub clear_text: Duration,
}

/// A server that takes our probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderSettings {
    /// Its name in the configuration.
    pub name: String,
    /// Host name or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS on the way there.
    pub tls: SenderTls,
    /// True if any certificate will do, for servers of one's own with a self-signed one.
    pub accepts_any_certificate: bool,
    /// User name and password.
    pub auth: Option<(String, Secret)>,
    /// The name in EHLO; absent: the name of the machine.
    pub helo: Option<String>,
}

/// TLS on the way to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderTls {
    /// From the first byte (RFC 8314 §3.3).
    Implicit,
    /// STARTTLS or nothing is sent.
    StartTlsRequired,
    /// STARTTLS if the server offers it.
    StartTlsIfOffered,
    /// None.
    None,
}

/// A way that probes take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSettings {
    /// Its name.
    pub name: String,
    /// The server that takes its probes.
    pub sender: SenderSettings,
    /// The recipient, with `{token}` where the token goes.
    pub to: String,
    /// The sender's address.
    pub from: Address,
    /// What its probes are made of.
    pub profile: Profile,
    /// How long until a probe counts as lost.
    pub lost_after: Duration,
}

impl Settings {
    /// What is in force without a configuration: loopback only, one recipient of each purpose at
    /// `mailsonde.test`, all domains watched, `mailsonde.db` in the working folder.
    pub fn without_file() -> Self {
        let test_domain = DomainName::parse("mailsonde.test");
        let recipients = Purpose::ALL.into_iter().filter_map(|purpose| {
            let address = Address::new(purpose.as_str(), test_domain.as_ref()?);
            Some(RecipientSettings { address, purpose })
        });
        Self {
            file: None,
            user: None,
            store_path: PathBuf::from("mailsonde.db"),
            listeners: default_listeners(),
            receiver: ReceiverSettings::with_default_limits(),
            tls: None,
            recipients: recipients.collect(),
            domains: Vec::new(),
            routes: Vec::new(),
            retention: RetentionSettings::with_defaults(),
            web_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8025)),
            notes: Vec::new(),
        }
    }

    /// Reads a configuration.
    ///
    /// Shape: docs/configuration.md. Errors: every fault of the text, in its order, each with its place.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Vec<Fault>> {
        let source = Source::new(file, text);
        let settings = {
            let table = source.parse();
            let root = Section::root(&source, &table);
            let settings = read(file, &root);
            root.finish();
            settings
        };
        let faults = source.into_faults();
        if faults.is_empty() { Ok(settings) } else { Err(faults) }
    }

    /// What the store needs to know.
    pub fn store_options(&self) -> StoreOptions {
        StoreOptions {
            busy_timeout: limits::STORE_BUSY_TIMEOUT,
            commit_messages: limits::COMMIT_MESSAGES,
            transaction: limits::TRANSACTION,
            queue_messages: limits::QUEUE_MESSAGES,
            queue_bytes: limits::QUEUE_BYTES,
            free_bytes: limits::STORE_FREE_BYTES,
            database_bytes: None,
            watch_all: self.domains.is_empty(),
        }
    }

    /// The route with this name.
    pub fn route(&self, name: &str) -> Option<&RouteSettings> {
        self.routes.iter().find(|route| route.name == name)
    }

    /// The secrets of all routes with the sender that needs them.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.routes.iter().filter_map(|route| {
            route.sender.auth.as_ref().map(|(_, secret)| (route.sender.name.as_str(), secret))
        })
    }
}

impl ReceiverSettings {
    /// The caps of [`limits`].
    fn with_default_limits() -> Self {
        Self {
            host_name: None,
            message_bytes: limits::MESSAGE_BYTES,
            recipients: limits::RECIPIENTS,
            sessions: limits::SESSIONS,
            sessions_per_client: limits::SESSIONS_PER_CLIENT,
            sessions_per_client_minute: limits::SESSIONS_PER_CLIENT_MINUTE,
            messages_per_session: limits::MESSAGES_PER_SESSION,
            messages_per_client_minute: limits::MESSAGES_PER_CLIENT_MINUTE,
            session_errors: limits::SESSION_ERRORS,
            command_timeout: limits::COMMAND_TIMEOUT,
            data_block_timeout: limits::DATA_BLOCK_TIMEOUT,
            data_timeout: limits::DATA_TIMEOUT,
            session_timeout: limits::SESSION_TIMEOUT,
            shutdown_timeout: limits::SHUTDOWN_TIMEOUT,
        }
    }
}

impl RetentionSettings {
    /// The periods of the design.
    fn with_defaults() -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        Self {
            raw_failures: days(7),
            raw: days(90),
            raw_unread: days(400),
            rows: days(800),
            clear_text: days(30),
        }
    }
}

/// Loopback, both families.
fn default_listeners() -> Vec<ListenerSettings> {
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let listener = |ip| ListenerSettings { address: SocketAddr::new(ip, 2525), tls: ListenerTls::StartTls };
    loopback.map(listener).to_vec()
}

// ---- Sections ----

/// Reads the whole file; faults are noted on the way.
fn read(file: &Path, root: &Section<'_, '_>) -> Settings {
    let mut settings = Settings::without_file();
    settings.file = Some(file.to_owned());
    settings.recipients.clear();
    if root.number("version", 1).is_some_and(|version| version != 1) {
        root.fault("version", "this program reads version 1 of the configuration", None);
    }
    settings.user = root.parsed("user", "the name of a user", "mailsonde", |text| {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '$');
        (!text.is_empty() && text.chars().all(is_name)).then(|| text.to_owned())
    });
    if let Some(store) = root.section("store") {
        if let Some(path) = store.path("path", "/var/lib/mailsonde/mailsonde.db") {
            settings.store_path = path;
        }
        store.finish();
    }
    if let Some(smtp) = root.section("smtp") {
        settings.receiver = read_receiver(&smtp);
        smtp.finish();
    }
    if let Some(tls) = root.section("tls") {
        settings.tls = read_tls(&tls);
        tls.finish();
    }
    read_listeners(root, &mut settings);
    read_recipients(root, &mut settings);
    read_domains(root, &mut settings);
    read_routes(root, &mut settings);
    if let Some(retention) = root.section("retention") {
        settings.retention = read_retention(&retention);
        retention.finish();
        settings.notes.push("[retention] is checked, and has no effect in this version".to_owned());
    }
    if let Some(web) = root.section("web") {
        if let Some(address) = web.socket("address", "127.0.0.1:8025") {
            settings.web_address = address;
        }
        web.finish();
        settings.notes.push("[web] is checked, and has no effect in this version".to_owned());
    }
    settings
}

/// `[smtp]`.
fn read_receiver(smtp: &Section<'_, '_>) -> ReceiverSettings {
    let mut receiver = ReceiverSettings::with_default_limits();
    receiver.host_name = smtp.parsed("host_name", "a host name", "mx.example.net", host_name);
    if let Some(bytes) = smtp.bytes("message_bytes") {
        receiver.message_bytes = bytes;
    }
    let counts: [(&'static str, &mut usize); 7] = [
        ("recipients", &mut receiver.recipients),
        ("sessions", &mut receiver.sessions),
        ("sessions_per_client", &mut receiver.sessions_per_client),
        ("sessions_per_client_minute", &mut receiver.sessions_per_client_minute),
        ("messages_per_session", &mut receiver.messages_per_session),
        ("messages_per_client_minute", &mut receiver.messages_per_client_minute),
        ("session_errors", &mut receiver.session_errors),
    ];
    for (key, place) in counts {
        if let Some(number) = smtp.number(key, 1) {
            *place = usize::try_from(number).unwrap_or(usize::MAX);
        }
    }
    let durations: [(&'static str, &mut Duration, &'static str); 5] = [
        ("command_timeout", &mut receiver.command_timeout, "5m"),
        ("data_block_timeout", &mut receiver.data_block_timeout, "3m"),
        ("data_timeout", &mut receiver.data_timeout, "30m"),
        ("session_timeout", &mut receiver.session_timeout, "2h"),
        ("shutdown_timeout", &mut receiver.shutdown_timeout, "30s"),
    ];
    for (key, place, example) in durations {
        let Some(duration) = smtp.duration(key, example) else { continue };
        if duration.is_zero() {
            smtp.fault(
                key,
                format!("`{key}` in [smtp] is zero"),
                Some(format!("for example `{key} = \"{example}\"`")),
            );
        }
        *place = duration;
    }
    receiver
}

/// A host name for greetings: a domain name without what only patterns hold.
fn host_name(text: &str) -> Option<String> {
    DomainName::parse(text).map(|name| name.as_str().to_owned()).filter(|name| !name.contains('*'))
}

/// `[tls]`.
fn read_tls(tls: &Section<'_, '_>) -> Option<TlsFiles> {
    tls.require("certificate", "\"/etc/mailsonde/cert.pem\"");
    tls.require("key", "\"/etc/mailsonde/key.pem\"");
    let certificate = tls.path("certificate", "/etc/mailsonde/cert.pem");
    let key = tls.path("key", "/etc/mailsonde/key.pem");
    Some(TlsFiles { certificate: certificate?, key: key? })
}

/// `[[listener]]`.
fn read_listeners(root: &Section<'_, '_>, settings: &mut Settings) {
    let mut listeners: Vec<ListenerSettings> = Vec::new();
    for section in root.sections("listener") {
        section.require("address", "\"[::]:25\"");
        let address = section.socket("address", "[::]:25");
        let words = [("starttls", ListenerTls::StartTls), ("none", ListenerTls::None)];
        let tls = section.word("tls", &words).unwrap_or(ListenerTls::StartTls);
        if let Some(address) = address {
            if listeners.iter().any(|listener| listener.address == address && address.port() != 0) {
                section.fault("address", format!("{address} is listened on twice"), None);
            }
            listeners.push(ListenerSettings { address, tls });
        }
        section.finish();
    }
    if !listeners.is_empty() {
        settings.listeners = listeners;
    }
}

/// `[[recipient]]`.
fn read_recipients(root: &Section<'_, '_>, settings: &mut Settings) {
    let words = Purpose::ALL.map(|purpose| (purpose.as_str(), purpose));
    let mut seen: HashMap<(String, Option<String>), Purpose> = HashMap::new();
    for section in root.sections("recipient") {
        section.require("address", "\"dmarc@monitor.example.net\"");
        section.require("purpose", "\"reports\"");
        let address = section.parsed("address", "a mail address", "dmarc@monitor.example.net", |text| {
            Address::parse(text).filter(|address| address.domain.is_some())
        });
        let purpose = section.word("purpose", &words);
        if let (Some(address), Some(purpose)) = (address, purpose) {
            let key = (address.local.to_lowercase(), address.domain.clone());
            match seen.insert(key, purpose) {
                Some(before) => {
                    let hint = format!("it is already there for `{}`; keep one", before.as_str());
                    section.fault("address", format!("{address} stands in two [[recipient]]"), Some(hint));
                }
                None => settings.recipients.push(RecipientSettings { address, purpose }),
            }
        }
        section.finish();
    }
}

/// `[[domain]]`.
fn read_domains(root: &Section<'_, '_>, settings: &mut Settings) {
    for section in root.sections("domain") {
        section.require("name", "\"example.com\"");
        let name = section.parsed("name", "a domain name", "example.com", |text| {
            DomainName::parse(text).filter(|name| !name.as_str().contains('*'))
        });
        if let Some(name) = name {
            if settings.domains.contains(&name) {
                section.fault("name", format!("{name} stands in two [[domain]]"), None);
            } else {
                settings.domains.push(name);
            }
        }
        section.finish();
    }
}

/// `[sender.NAME]` and `[route.NAME]`.
fn read_routes(root: &Section<'_, '_>, settings: &mut Settings) {
    let mut senders: Vec<(String, Option<SenderSettings>)> = Vec::new();
    for (name, section) in root.named("sender") {
        senders.push((name.to_owned(), read_sender(name, &section)));
        section.finish();
    }
    for (name, section) in root.named("route") {
        if let Some(route) = read_route(name, &section, &senders) {
            settings.routes.push(route);
        }
        section.finish();
    }
}

/// `[sender.NAME]`; faults are noted, `None` if it is not usable.
fn read_sender(name: &str, section: &Section<'_, '_>) -> Option<SenderSettings> {
    let words = [
        ("starttls-required", SenderTls::StartTlsRequired),
        ("implicit", SenderTls::Implicit),
        ("starttls-if-offered", SenderTls::StartTlsIfOffered),
        ("none", SenderTls::None),
    ];
    section.require("host", "\"smtp.example.org\"");
    let host = section.parsed("host", "a host name or an IP address", "smtp.example.org", |text| {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        bare.parse::<IpAddr>().ok().map(|ip| ip.to_string()).or_else(|| host_name(text))
    });
    let tls = section.word("tls", &words).unwrap_or(SenderTls::StartTlsRequired);
    let port = section.port("port").unwrap_or(if tls == SenderTls::Implicit { 465 } else { 587 });
    let accepts_any_certificate = section.flag("accept_any_certificate").unwrap_or(false);
    let helo = section.parsed("helo", "a host name", "probe.example.org", host_name);
    let auth = section.section("auth").and_then(|auth| {
        auth.require("user", "\"probe@example.org\"");
        auth.require("password", "{ file = \"/etc/mailsonde/password\" }");
        let user = auth.text("user", "probe@example.org").map(str::to_owned);
        let password = auth.section("password").and_then(|section| read_secret(section));
        auth.finish();
        user.zip(password)
    });
    // A password in clear over the network is never what somebody wants (RFC 4954 §4).
    if auth.is_some() && matches!(tls, SenderTls::None | SenderTls::StartTlsIfOffered) {
        let hint = "write `tls = \"starttls-required\"` or `tls = \"implicit\"`".to_owned();
        section.fault("tls", format!("{} would send its password without TLS", section.name()), Some(hint));
    }
    Some(SenderSettings {
        name: name.to_owned(),
        host: host?,
        port,
        tls,
        accepts_any_certificate,
        auth,
        helo,
    })
}

/// `{ env = "X" }`, `{ file = "…" }` or `{ command = […] }`.
fn read_secret(section: Section<'_, '_>) -> Option<Secret> {
    let env = section.parsed("env", "the name of a variable", "MAILSONDE_PASSWORD", |text| {
        let is_name = !text.is_empty() && !text.contains(['=', '\0']);
        is_name.then(|| Secret::Env(text.to_owned()))
    });
    let file = section.path("file", "/etc/mailsonde/password").map(Secret::File);
    let command = section.texts("command", "[\"pass\", \"show\", \"probe\"]").map(|words| {
        if words.is_empty() {
            section.fault(
                "command",
                "`command` is empty",
                Some("name a program and its arguments".to_owned()),
            );
        }
        Secret::Command(words.into_iter().map(str::to_owned).collect())
    });
    if section.len() != 1 {
        let hint = "one of `env`, `file`, `command`".to_owned();
        section.fault("", format!("{} has not exactly one source", section.name()), Some(hint));
    }
    section.finish();
    env.or(file).or(command)
}

/// `[route.NAME]`; faults are noted, `None` if it is not usable.
fn read_route(
    name: &str,
    section: &Section<'_, '_>,
    senders: &[(String, Option<SenderSettings>)],
) -> Option<RouteSettings> {
    section.require("sender", "\"relay\"");
    section.require("to", "\"probe+{token}@example.net\"");
    section.require("from", "\"probe@example.org\"");
    let sender = section.text("sender", "relay").and_then(|wanted| {
        let found = senders.iter().find(|(name, _)| name == wanted);
        if found.is_none() {
            let names = || senders.iter().map(|(name, _)| name.as_str());
            let hint = match nearest(wanted, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if senders.is_empty() => format!("add a table `[sender.{wanted}]`"),
                None => format!("senders here: {}", names().collect::<Vec<_>>().join(", ")),
            };
            section.fault(
                "sender",
                format!("{} names an unknown sender {wanted:?}", section.name()),
                Some(hint),
            );
        }
        found.and_then(|(_, sender)| sender.clone())
    });
    let to = section.parsed("to", "an address with `{token}`", "probe+{token}@example.net", |text| {
        // A token's text in the recipient: `mf` and 32 characters.
        let filled = text.replace("{token}", "mfabcdefghijklmnopqrstuvwxyz234567");
        (text.matches("{token}").count() <= 1 && Address::parse(&filled)?.domain.is_some())
            .then(|| text.to_owned())
    });
    let from = section.parsed("from", "a mail address", "probe@example.org", |text| {
        Address::parse(text).filter(|address| address.domain.is_some())
    });
    let profile = section.text("profile", "plain").map_or(Profile::Plain, |text| {
        Profile::parse(text).unwrap_or_else(|error| {
            section.fault("profile", error.to_string(), Some("for example `profile = \"plain\"`".to_owned()));
            Profile::Plain
        })
    });
    let lost_after = section.duration("lost_after", "4h").unwrap_or(limits::PROBE_LOST_AFTER);
    if lost_after.is_zero() {
        section.fault(
            "lost_after",
            "`lost_after` is zero",
            Some("for example `lost_after = \"4h\"`".to_owned()),
        );
    }
    Some(RouteSettings { name: name.to_owned(), sender: sender?, to: to?, from: from?, profile, lost_after })
}

/// `[retention]`.
fn read_retention(section: &Section<'_, '_>) -> RetentionSettings {
    let mut retention = RetentionSettings::with_defaults();
    let places: [(&'static str, &mut Duration, &'static str); 5] = [
        ("raw_failures", &mut retention.raw_failures, "7d"),
        ("raw", &mut retention.raw, "90d"),
        ("raw_unread", &mut retention.raw_unread, "400d"),
        ("rows", &mut retention.rows, "800d"),
        ("clear_text", &mut retention.clear_text, "30d"),
    ];
    for (key, place, example) in places {
        if let Some(duration) = section.duration(key, example) {
            *place = duration;
        }
    }
    retention
}

#[cfg(test)]
#[path = "settings/tests.rs"]
mod tests;
