//! From the validated settings to what each module asks for.

use std::path::Path;

use anyhow::Context;

use crate::clock::SystemClock;
use crate::config::AuthMechanism;
use crate::config::settings::{SenderSettings, SenderTls, Settings};
use crate::daemon::recipients::Recipients;
use crate::probe::token::KeyRing;
use crate::smtp::session::SessionLimits;
use crate::smtp::sink::SinkLimits;
use crate::smtp::submit::{Credentials, Mechanism, Secret, SubmitOptions, Timeouts, TlsMode, Verify};

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
        timeouts: Timeouts::STANDARD,
    })
}

/// The folder of a database: keys and certificate stand beside it.
pub fn folder(database: &Path) -> &Path {
    database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
