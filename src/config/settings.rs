//! The settings of every module, validated, with defaults filled in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::dns::DnsSettings;
use crate::config::fault::Fault;
use crate::config::file::{Section, Source};
use crate::config::mailbox::{MailboxPurpose, MailboxSettings};
use crate::config::probes::{MaintenanceSettings, NegativeSettings, ProbesSettings};
use crate::config::secret::Secret;
use crate::config::sections::read;
use crate::dns::Name;
use crate::dns_health::facts::Mailboxes;
use crate::limits;
use crate::mail::{Address, DomainName, Purpose};
use crate::probe::watched::Watched;
use crate::smtp::sink::{Network, Relays};
use crate::store::{Retention, StoreOptions};

pub use crate::config::probes::{RouteSettings, SenderSettings, SenderTls};

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
    /// The watched addresses `watch+NAME@`, in the order of the file; empty: any name is taken.
    pub watched: Vec<Watched>,
    /// The watched domains of the configuration; empty: all are watched.
    pub domains: Vec<DomainName>,
    /// The routes of probes, in the order of the file.
    pub routes: Vec<RouteSettings>,
    /// What holds for all probes.
    pub probes: ProbesSettings,
    /// The probes that are made to be stopped, in the order of the file.
    pub negatives: Vec<NegativeSettings>,
    /// When nobody is alarmed, in the order of the file.
    pub maintenance: Vec<MaintenanceSettings>,
    /// The mailboxes that are read, in the order of the file.
    pub mailboxes: Vec<MailboxSettings>,
    /// Who answers questions of DNS.
    pub dns: DnsSettings,
    /// How received mail is verified.
    pub authentication: AuthenticationSettings,
    /// How long things are kept.
    pub retention: RetentionSettings,
    /// A file with names of senders that stands over ours.
    pub sources_file: Option<PathBuf>,
    /// The MaxMind DB file that tells the country of a source.
    pub country_database: Option<PathBuf>,
    /// The MaxMind DB file that tells whose network a source is in.
    pub network_database: Option<PathBuf>,
    /// Whether `serve` looks up the names of sources.
    pub resolves_sources: bool,
    /// Where the dashboard will listen.
    pub web_address: SocketAddr,
    /// Remarks about what is accepted and has no effect yet.
    pub notes: Vec<String>,
}

/// One place to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSettings {
    /// The address and port.
    pub address: SocketAddr,
    /// TLS there.
    pub tls: ListenerTls,
    /// Who stands in front of it.
    pub relays: Relays,
}

impl ListenerSettings {
    /// A listener with STARTTLS to which everybody comes directly.
    pub const fn plain(address: SocketAddr) -> Self {
        Self { address, tls: ListenerTls::StartTls, relays: Relays::NONE }
    }
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
    /// Hosts in front of every listener that names none of its own.
    pub trusted_relays: Vec<Network>,
}

/// How received mail is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticationSettings {
    /// Whether `serve` verifies what came.
    pub verifies: bool,
    /// Whose Authentication-Results are believed: their `authserv-id`, in lower case.
    pub trusted_hosts: Vec<String>,
}

/// How long things are kept (design: raw failure reports 7 days, other raw mail 90, unread 400, rows and DNS 800).
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
    /// What happened in DNS.
    pub dns_history: Duration,
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
            watched: Vec::new(),
            domains: Vec::new(),
            routes: Vec::new(),
            probes: ProbesSettings::with_defaults(),
            negatives: Vec::new(),
            maintenance: Vec::new(),
            mailboxes: Vec::new(),
            retention: RetentionSettings::with_defaults(),
            dns: DnsSettings::with_defaults(),
            authentication: AuthenticationSettings { verifies: true, trusted_hosts: Vec::new() },
            sources_file: None,
            country_database: None,
            network_database: None,
            resolves_sources: false,
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

    /// The mailboxes that take reports, as a file names them; those without a file are for this machine only.
    ///
    /// Without one for TLS reports they go where aggregate reports go: what a mail is, its content decides.
    pub fn report_mailboxes(&self) -> Mailboxes {
        let of = |purpose: Purpose| -> Vec<Address> {
            let named =
                self.recipients.iter().filter(|entry| entry.purpose == purpose && self.file.is_some());
            named.map(|entry| entry.address.clone()).collect()
        };
        let aggregate = of(Purpose::Reports);
        let tls = Some(of(Purpose::Tls)).filter(|tls| !tls.is_empty()).unwrap_or_else(|| aggregate.clone());
        let host = self.receiver.host_name.as_deref().filter(|_| self.file.is_some());
        Mailboxes {
            aggregate,
            failure: of(Purpose::Failures),
            tls,
            host: host.and_then(|host| Name::from_dotted(host).ok()),
            reads_elsewhere: self.mailboxes.iter().any(|mailbox| mailbox.purpose == MailboxPurpose::Reports),
        }
    }

    /// The route with this name.
    pub fn route(&self, name: &str) -> Option<&RouteSettings> {
        self.routes.iter().find(|route| route.name == name)
    }

    /// True if a domain is ours: at or below a `[[domain]]`, or that of a `[[recipient]]`.
    pub fn is_own_domain(&self, domain: &DomainName) -> bool {
        let is_recipient =
            |recipient: &RecipientSettings| recipient.address.domain_name().is_some_and(|own| own == *domain);
        self.domains.iter().any(|own| domain.is_at_or_below(own)) || self.recipients.iter().any(is_recipient)
    }

    /// The mailbox with this name.
    pub fn mailbox(&self, name: &str) -> Option<&MailboxSettings> {
        self.mailboxes.iter().find(|mailbox| mailbox.name == name)
    }

    /// All secrets, each with the table that needs it.
    pub fn secrets(&self) -> impl Iterator<Item = (String, &Secret)> {
        let of_routes = self.routes.iter().filter_map(|route| {
            let auth = route.sender.auth.as_ref()?;
            Some((format!("[sender.{}]", route.sender.name), &auth.password))
        });
        let of_mailboxes = self
            .mailboxes
            .iter()
            .filter_map(|mailbox| Some((format!("[mailbox.{}]", mailbox.name), mailbox.auth.secret()?)));
        let of_keys = self
            .routes
            .iter()
            .filter_map(|route| route.dkim.as_ref())
            .map(|dkim| (format!("[dkim.{}]", dkim.name), &dkim.key));
        of_routes.chain(of_keys).chain(of_mailboxes)
    }
}

impl ReceiverSettings {
    /// The caps of [`limits`].
    pub(super) fn with_default_limits() -> Self {
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
            trusted_relays: Vec::new(),
        }
    }
}

impl RetentionSettings {
    /// What the store needs to know.
    pub const fn for_store(&self) -> Retention {
        Retention {
            raw_failures: self.raw_failures,
            raw: self.raw,
            raw_unread: self.raw_unread,
            rows: self.rows,
            clear_text: self.clear_text,
            dns_history: self.dns_history,
        }
    }

    /// The periods of the design.
    pub(super) fn with_defaults() -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        Self {
            raw_failures: days(7),
            raw: days(90),
            raw_unread: days(400),
            rows: days(800),
            clear_text: days(30),
            dns_history: days(800),
        }
    }
}

/// Loopback, both families.
fn default_listeners() -> Vec<ListenerSettings> {
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let listener = |ip| ListenerSettings::plain(SocketAddr::new(ip, 2525));
    loopback.map(listener).to_vec()
}

#[cfg(test)]
#[path = "settings/tests.rs"]
mod tests;
