//! From the validated settings to what each module asks for.

use std::path::Path;

use anyhow::Context;

use crate::clock::SystemClock;
use crate::config::settings::{SenderSettings, SenderTls, Settings};
use crate::config::{AuthMechanism, SenderKind};
use crate::daemon::recipients::Recipients;
use crate::dns::Name;
use crate::dns_health::addresses::Reach;
use crate::probe::token::KeyRing;
use crate::smtp::session::SessionLimits;
use crate::smtp::sink::SinkLimits;
use crate::smtp::submit::direct::{DirectOptions, Family};
use crate::smtp::submit::{
    Credentials, DsnRequest, Mechanism, Secret, SubmitOptions, Timeouts, TlsMode, Verify,
};

/// The receiver's caps.
pub fn sink_limits(settings: &Settings) -> SinkLimits {
    let receiver = &settings.receiver;
    SinkLimits {
        session: SessionLimits {
            message_bytes: receiver.message_bytes,
            recipients: receiver.recipients,
            errors: receiver.session_errors,
            messages: receiver.messages_per_session,
            command_timeout: receiver.command_timeout,
            data_block_timeout: receiver.data_block_timeout,
            data_timeout: receiver.data_timeout,
            session_timeout: receiver.session_timeout,
            ..SessionLimits::STANDARD
        },
        sessions: receiver.sessions,
        sessions_per_client: receiver.sessions_per_client,
        sessions_per_client_minute: receiver.sessions_per_client_minute,
        messages_per_client_minute: receiver.messages_per_client_minute,
        ..SinkLimits::STANDARD
    }
}

/// The receiver's addresses.
pub fn recipients(settings: &Settings, keys: KeyRing) -> Recipients {
    let table = settings.recipients.iter().map(|entry| (entry.address.clone(), entry.purpose));
    let watched = settings.watched.iter().map(|watched| watched.name.clone());
    Recipients::new(table, keys, Box::new(SystemClock)).watching(watched)
}

/// The name by which we greet and say EHLO: as configured, else the machine's.
pub fn host_name(configured: Option<&str>) -> String {
    if let Some(name) = configured {
        return name.to_owned();
    }
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    crate::mail::DomainName::parse(&name)
        .map_or_else(|| "localhost".to_owned(), |name| name.as_str().to_owned())
}

/// How the probes of a route are handed over. Reads the route's secret.
///
/// Errors: a sender without a server of its own, a password that cannot be read.
pub fn submit(sender: &SenderSettings, own_name: Option<&str>) -> anyhow::Result<SubmitOptions> {
    anyhow::ensure!(!sender.is_direct(), "sender `{}` has no server of its own: it is `direct`", sender.name);
    let credentials = match &sender.auth {
        Some(auth) => {
            let secret = auth
                .password
                .read()
                .with_context(|| format!("cannot read the password of sender `{}`", sender.name))?;
            Some(Credentials {
                user: auth.user.clone(),
                secret: Secret::new(secret.reveal()),
                mechanism: match auth.mechanism {
                    AuthMechanism::Any => Mechanism::Password,
                    AuthMechanism::Plain => Mechanism::Plain,
                    AuthMechanism::Login => Mechanism::Login,
                    AuthMechanism::XOauth2 => Mechanism::XOauth2,
                },
                // Who accepts any certificate of a server accepts that it gets the password; never without TLS.
                is_allowed_in_clear: sender.accepts_any_certificate
                    && matches!(sender.tls, SenderTls::Implicit | SenderTls::StartTlsRequired),
            })
        }
        None => None,
    };
    Ok(SubmitOptions {
        host: sender.host.clone(),
        port: sender.port,
        helo: host_name(sender.helo.as_deref().or(own_name)),
        tls: match sender.tls {
            SenderTls::Implicit => TlsMode::Implicit,
            SenderTls::StartTlsRequired => TlsMode::Required,
            SenderTls::StartTlsIfOffered => TlsMode::IfOffered,
            SenderTls::None => TlsMode::None,
        },
        verify: if sender.accepts_any_certificate { Verify::Off } else { Verify::System },
        server_name: None,
        credentials,
        source_address: sender.source_address,
        // Per probe: see `dsn`.
        dsn: None,
        timeouts: Timeouts::STANDARD,
    })
}

/// What is asked to be told of one probe, by its name.
pub fn dsn(sender: &SenderSettings, token: &str) -> Option<DsnRequest> {
    sender.dsn.then(|| DsnRequest { envid: token.to_owned() })
}

/// Whither one probe goes that goes direct to MX hosts.
#[derive(Debug, Clone, Default)]
pub struct Towards<'t> {
    /// The probe's name.
    pub token: &'t str,
    /// Only this MX host and family; absent: all.
    pub only: Option<(Name, Family)>,
    /// True if the recipient's domain is one of ours: then its MX hosts may have private addresses.
    pub is_own_domain: bool,
    /// True if our own receiver takes mail for the recipient: then it is no loop if it is an MX host.
    pub is_own_receiver: bool,
    /// Chance, new for each probe.
    pub seed: u64,
}

/// How a probe is handed over to MX hosts. `own_name`: the receiver's name, if configured.
///
/// Errors: a sender with a server of its own.
pub fn direct(
    sender: &SenderSettings,
    own_name: Option<&str>,
    towards: Towards<'_>,
) -> anyhow::Result<DirectOptions> {
    let SenderKind::Direct { mta_sts, dane, .. } = sender.kind else {
        anyhow::bail!("sender `{}` has a server of its own: it is not `direct`", sender.name);
    };
    let helo = host_name(sender.helo.as_deref().or(own_name));
    let own_names: Vec<Name> = [Some(helo.as_str()), own_name]
        .into_iter()
        .flatten()
        .filter_map(|name| Name::from_dotted(name).ok())
        .collect();
    Ok(DirectOptions {
        port: sender.port,
        source_address: sender.source_address,
        requires_tls: false,
        verify: if sender.accepts_any_certificate { Verify::Off } else { Verify::System },
        dane,
        mta_sts,
        dsn: dsn(sender, towards.token),
        only: towards.only,
        own_names: if towards.is_own_receiver { Vec::new() } else { own_names },
        own_addresses: match sender.source_address {
            Some(address) if !towards.is_own_receiver => vec![address],
            _ => Vec::new(),
        },
        reach: if towards.is_own_domain { Reach::Any } else { Reach::Public },
        seed: towards.seed,
        timeouts: Timeouts::STANDARD,
        helo,
    })
}

/// The folder of a database: keys and certificate stand beside it.
pub fn folder(database: &Path) -> &Path {
    database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
