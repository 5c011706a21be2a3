//! `[sender.NAME]`: who takes our probes, a submission server or the MX hosts of the recipient.

use std::net::IpAddr;

use crate::config::file::Section;
use crate::config::secret::Secret;
use crate::config::sections::{host_name, read_secret};

/// Who takes our probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderSettings {
    /// Its name in the configuration.
    pub name: String,
    /// A server of ours, or the recipient's own.
    pub kind: SenderKind,
    /// Host name or IP address; empty with [`SenderKind::Direct`].
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS on the way there; with [`SenderKind::Direct`] where it is offered, and as MTA-STS and DANE demand.
    pub tls: SenderTls,
    /// True if any certificate will do, for servers of one's own with a self-signed one.
    pub accepts_any_certificate: bool,
    /// How to sign in.
    pub auth: Option<SenderAuth>,
    /// The name in EHLO; absent: the name of the machine.
    pub helo: Option<String>,
    /// Our address on the way there; absent: as the system chooses.
    pub source_address: Option<IpAddr>,
    /// Whether reports of failure and delay are asked for where that is offered (RFC 3461).
    pub dsn: bool,
}

/// Which server takes our probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderKind {
    /// The one named.
    Submission,
    /// The MX hosts of the recipient, in the order of RFC 5321 §5.1.
    Direct {
        /// Whether MTA-STS is honoured (RFC 8461).
        mta_sts: bool,
        /// Whether DANE is honoured (RFC 7672).
        dane: bool,
        /// Whether each MX host and address family is a route of its own.
        every_mx: bool,
    },
}

impl SenderKind {
    /// True if each MX host and address family is a route of its own.
    pub const fn is_every_mx(self) -> bool {
        matches!(self, Self::Direct { every_mx: true, .. })
    }
}

/// How to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderAuth {
    /// The user.
    pub user: String,
    /// The password, or the access token with [`AuthMechanism::XOauth2`].
    pub password: Secret,
    /// How it is shown to the server.
    pub mechanism: AuthMechanism,
}

/// How a password is shown to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMechanism {
    /// PLAIN where it is offered, else LOGIN.
    Any,
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN, which has no standard.
    Login,
    /// XOAUTH2 with an OAuth 2.0 access token in the place of the password.
    XOauth2,
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

impl SenderSettings {
    /// A submission server without TLS and without sign-in: for servers of one's own on this machine.
    pub fn submission(name: impl Into<String>, host: impl Into<String>, port: u16) -> Self {
        Self {
            name: name.into(),
            kind: SenderKind::Submission,
            host: host.into(),
            port,
            tls: SenderTls::None,
            accepts_any_certificate: false,
            auth: None,
            helo: None,
            source_address: None,
            dsn: true,
        }
    }

    /// True if probes go to the MX hosts of the recipient.
    pub fn is_direct(&self) -> bool {
        matches!(self.kind, SenderKind::Direct { .. })
    }

    /// Where probes go, in words: `smtp.example.org:587`, `the MX hosts`.
    pub fn target(&self) -> String {
        match self.kind {
            SenderKind::Submission => format!("{}:{}", self.host, self.port),
            SenderKind::Direct { .. } if self.port == SMTP_PORT => "the MX hosts".to_owned(),
            SenderKind::Direct { .. } => format!("the MX hosts at port {}", self.port),
        }
    }
}

/// The port of mail exchange, RFC 5321 §4.5.4.2.
const SMTP_PORT: u16 = 25;

/// Reads all of them, each with its name; faults are noted on the way.
pub(super) fn read(root: &Section<'_, '_>) -> Vec<(String, Option<SenderSettings>)> {
    let mut senders = Vec::new();
    for (name, section) in root.named("sender") {
        senders.push((name.to_owned(), read_one(name, &section)));
        section.finish();
    }
    senders
}

/// One of them; `None` if it is not usable.
fn read_one(name: &str, section: &Section<'_, '_>) -> Option<SenderSettings> {
    let is_direct = section.word("kind", &[("submission", false), ("direct", true)]).unwrap_or(false);
    let helo = section.parsed("helo", "a host name", "probe.example.org", host_name);
    let source_address =
        section.parsed("source_address", "an IP address of this machine", "192.0.2.7", |text| {
            text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
        });
    let dsn = section.flag("dsn").unwrap_or(true);
    let common = SenderSettings { helo, source_address, dsn, ..SenderSettings::submission(name, "", 25) };
    if is_direct { Some(read_direct(section, common)) } else { read_submission(section, common) }
}

/// What only senders have that go to the MX hosts of the recipient.
fn read_direct(section: &Section<'_, '_>, common: SenderSettings) -> SenderSettings {
    for key in ["host", "tls", "accept_any_certificate", "auth"] {
        section.know(key);
        if section.has(key) {
            let hint = "leave it out, or write `kind = \"submission\"`".to_owned();
            section.fault(
                key,
                format!("`{key}` in {} has no meaning to MX hosts", section.name()),
                Some(hint),
            );
        }
    }
    let kind = SenderKind::Direct {
        mta_sts: section.flag("mta_sts").unwrap_or(true),
        dane: section.flag("dane").unwrap_or(true),
        every_mx: section.flag("every_mx").unwrap_or(false),
    };
    let port = section.port("port").unwrap_or(SMTP_PORT);
    SenderSettings { kind, port, tls: SenderTls::StartTlsIfOffered, ..common }
}

/// What only senders have that name their server.
fn read_submission(section: &Section<'_, '_>, common: SenderSettings) -> Option<SenderSettings> {
    for key in ["mta_sts", "dane", "every_mx"] {
        section.know(key);
        if section.has(key) {
            let hint = "leave it out, or write `kind = \"direct\"`".to_owned();
            section.fault(key, format!("`{key}` in {} is for MX hosts only", section.name()), Some(hint));
        }
    }
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
    let auth = section.section("auth").and_then(|auth| {
        let read = read_auth(&auth);
        auth.finish();
        read
    });
    // A password in clear over the network is never what somebody wants (RFC 4954 §4).
    if auth.is_some() && matches!(tls, SenderTls::None | SenderTls::StartTlsIfOffered) {
        let hint = "write `tls = \"starttls-required\"` or `tls = \"implicit\"`".to_owned();
        section.fault("tls", format!("{} would send its password without TLS", section.name()), Some(hint));
    }
    Some(SenderSettings { host: host?, port, tls, accepts_any_certificate, auth, ..common })
}

/// `auth`.
fn read_auth(auth: &Section<'_, '_>) -> Option<SenderAuth> {
    auth.require("user", "\"probe@example.org\"");
    auth.require("password", "{ file = \"/etc/mailsonde/password\" }");
    let words = [
        ("any", AuthMechanism::Any),
        ("plain", AuthMechanism::Plain),
        ("login", AuthMechanism::Login),
        ("xoauth2", AuthMechanism::XOauth2),
    ];
    let mechanism = auth.word("mechanism", &words).unwrap_or(AuthMechanism::Any);
    let user = auth.text("user", "probe@example.org").map(str::to_owned);
    let password = auth.section("password").and_then(read_secret);
    Some(SenderAuth { user: user?, password: password?, mechanism })
}
