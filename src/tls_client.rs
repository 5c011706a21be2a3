//! TLS to a server: which roots are trusted, and what the session turned out to be.
//!
//! Shared by everybody who connects to a server: the sender of probes, the mailbox readers. No socket here.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ring::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::clock::Timestamp;
use crate::limits;

/// No TLS with this server, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(pub String);

/// Against what a server's certificate is verified.
#[derive(Clone, PartialEq, Eq)]
pub enum Verify {
    /// The roots of the operating system.
    System,
    /// The roots of a PEM file, given by its bytes.
    Roots(Arc<[u8]>),
    /// Nothing: for our own sink with its self-signed certificate, and for tests.
    Off,
}

impl fmt::Debug for Verify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Roots(_) => "Roots(…)",
            Self::Off => "Off",
        })
    }
}

/// What verifying a certificate gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// The chain leads to a trusted root and the name is right.
    Verified,
    /// It does not, and why.
    Failed(String),
    /// Nobody asked.
    NotChecked,
}

impl fmt::Display for Verification {
    /// `verified`, `not checked`, or why not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified => f.write_str("verified"),
            Self::Failed(why) => write!(f, "not verified: {why}"),
            Self::NotChecked => f.write_str("not checked"),
        }
    }
}

/// Why a certificate is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Its time is over.
    #[error("expired at {}", .0.map_or_else(|| "a time that cannot be read".to_owned(), Timestamp::rfc3339))]
    Expired(Option<Timestamp>),
    /// Its time has not come.
    #[error("not valid before {}", .0.map_or_else(|| "a time that cannot be read".to_owned(), Timestamp::rfc3339))]
    NotYetValid(Option<Timestamp>),
    /// It is for other names.
    #[error("not for {name}: it is for {}", if .presented.is_empty() { "no name".to_owned() } else { .presented.join(", ") })]
    WrongName {
        /// The name asked for.
        name: String,
        /// The names that it has.
        presented: Vec<String>,
    },
    /// It is its own authority.
    #[error("self-signed")]
    SelfSigned,
    /// The chain as served leads to no trusted authority.
    #[error("issued by {0}, which leads to no trusted authority")]
    UnknownIssuer(String),
    /// Its authority took it back.
    #[error("revoked")]
    Revoked,
    /// Something else.
    #[error("{0}")]
    Other(String),
}

impl CertificateFault {
    /// The word in views and JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Expired(_) => "expired",
            Self::NotYetValid(_) => "not-yet-valid",
            Self::WrongName { .. } => "wrong-name",
            Self::SelfSigned => "self-signed",
            Self::UnknownIssuer(_) => "unknown-issuer",
            Self::Revoked => "revoked",
            Self::Other(_) => "certificate",
        }
    }

    /// What a verifier's error means for this certificate, asked for by this name.
    fn of(error: &rustls::Error, certificate: &[u8], name: &str) -> Self {
        let rustls::Error::InvalidCertificate(error) = error else { return Self::Other(error.to_string()) };
        let parsed = X509Certificate::from_der(certificate).ok().map(|(_, parsed)| parsed);
        let parsed = parsed.as_ref();
        let validity = parsed.map(|it| it.validity());
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Self::Expired(validity.map(|it| Timestamp::from_seconds(it.not_after.timestamp())))
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid(validity.map(|it| Timestamp::from_seconds(it.not_before.timestamp())))
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                let presented = parsed.map(names).unwrap_or_default();
                Self::WrongName { name: name.to_owned(), presented }
            }
            CertificateError::Revoked => Self::Revoked,
            _ if parsed.is_some_and(|it| it.subject().as_raw() == it.issuer().as_raw()) => Self::SelfSigned,
            CertificateError::UnknownIssuer => {
                let issuer = parsed.map_or_else(String::new, |it| printable(&it.issuer().to_string()));
                Self::UnknownIssuer(issuer)
            }
            other => Self::Other(rustls::Error::InvalidCertificate(other.clone()).to_string()),
        }
    }
}

/// The names of a certificate (RFC 5280 §4.2.1.6), some of them at least.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(printable(name)),
        _ => None,
    });
    names.take(limits::CERTIFICATE_NAMES).collect()
}

/// A text of a certificate: what strangers wrote, cut short.
fn printable(text: &str) -> String {
    let mut short: String = text.chars().take(limits::CERTIFICATE_TEXT_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// The TLS session of a hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The cipher suite's standard name.
    pub cipher: String,
    /// The name that we asked for.
    pub server_name: String,
    /// SHA-256 of the server's certificate.
    pub certificate_sha256: Option<[u8; 32]>,
    /// Until when it is valid, where that can be read.
    pub certificate_until: Option<Timestamp>,
    /// What verifying it gave.
    pub verification: Verification,
}

impl fmt::Display for TlsFacts {
    /// `TLSv1.3 TLS_AES_128_GCM_SHA256, certificate for mx.example.net until 2027-01-01: verified`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, certificate for {}", self.version, self.cipher, self.server_name)?;
        if let Some(until) = self.certificate_until {
            write!(f, " until {}", until.day().iso())?;
        }
        write!(f, ": {}", self.verification)
    }
}

/// The configuration of one connection, with a place for what verifying gives.
pub struct Client {
    /// For tokio-rustls.
    pub config: Arc<ClientConfig>,
    /// The name that is asked for and verified.
    pub name: ServerName<'static>,
    /// Filled in the handshake.
    recorder: Arc<Recorder>,
}

impl Client {
    /// Prepares a connection to `host`.
    ///
    /// `is_enforced`: a certificate that does not verify ends the handshake.
    /// Errors: [`TlsError`] for roots that cannot be read and a name that cannot be asked for.
    pub fn new(verify: &Verify, is_enforced: bool, host: &str) -> Result<Self, TlsError> {
        let fault = |error: rustls::Error| TlsError(error.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let name = ServerName::try_from(host.trim_end_matches('.').to_owned())
            .map_err(|_| TlsError(format!("no name for a certificate: {host}")))?;
        let inner = match verify {
            Verify::System => Some(system(&provider)?),
            Verify::Roots(pem) => Some(roots(pem, &provider)?),
            Verify::Off => None,
        };
        let recorder = Arc::new(Recorder {
            inner,
            is_enforced,
            provider: Arc::clone(&provider),
            seen: Mutex::default(),
            fault: Mutex::default(),
        });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(fault)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::<Recorder>::clone(&recorder))
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config), name, recorder })
    }

    /// Offers a protocol in the handshake (RFC 7301), as HTTP servers may want it.
    pub fn with_protocol(mut self, protocol: &str) -> Self {
        Arc::make_mut(&mut self.config).alpn_protocols = vec![protocol.as_bytes().to_vec()];
        self
    }

    /// Why the certificate of the handshake is not accepted, if it is not.
    pub fn fault(&self) -> Option<CertificateFault> {
        self.recorder.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the session is, after the handshake.
    pub fn facts(&self, connection: &ClientConnection) -> TlsFacts {
        let version = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
            other => format!("{other:?}"),
        };
        let cipher = connection
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or_default()
            // rustls names the suites of TLS 1.3 apart; the registry does not.
            .replace("TLS13_", "TLS_");
        let certificate_sha256 = connection.peer_certificates().and_then(<[_]>::first).map(|certificate| {
            let mut hash = [0; 32];
            hash.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
            hash
        });
        let certificate_until = connection
            .peer_certificates()
            .and_then(<[_]>::first)
            .and_then(|certificate| X509Certificate::from_der(certificate).ok())
            .map(|(_, parsed)| Timestamp::from_seconds(parsed.validity().not_after.timestamp()));
        let verification = self.recorder.seen().clone().unwrap_or(Verification::NotChecked);
        TlsFacts {
            version,
            cipher,
            server_name: self.name.to_str().into_owned(),
            certificate_sha256,
            certificate_until,
            verification,
        }
    }
}

/// Verifies a chain as it was served, the server's own certificate first, for a name: what the handshake with
/// that name would have given. `now`: the time at which it is judged.
pub fn verify_chain(verify: &Verify, host: &str, chain: &[Vec<u8>], now: Timestamp) -> Verification {
    let Ok(client) = Client::new(verify, true, host) else { return Verification::NotChecked };
    let chain: Vec<CertificateDer<'_>> =
        chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let Some((own, rest)) = chain.split_first() else { return Verification::NotChecked };
    let since = UnixTime::since_unix_epoch(seconds(now));
    // The verdict is what the recorder notes.
    let _ = client.recorder.verify_server_cert(own, rest, &client.name, &[], since);
    client.recorder.seen().clone().unwrap_or(Verification::NotChecked)
}

/// Verifies a chain as it was served, the server's own certificate first, by the one authority whose certificate this is: its
/// signatures and times, and that it is for one of these names. The authority's own times do not matter (RFC 7671 §5.2).
///
/// Errors: what is wrong; with the name, where it is for none of them.
pub fn verify_by_authority(
    authority: &[u8],
    names: &[&str],
    chain: &[Vec<u8>],
    now: Timestamp,
) -> Result<(), CertificateFault> {
    let other = |error: &dyn fmt::Display| CertificateFault::Other(error.to_string());
    let mut store = RootCertStore::empty();
    store.add(CertificateDer::from(authority)).map_err(|error| other(&error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = verifier(store, &provider).map_err(|error| other(&error))?;
    let chain: Vec<CertificateDer<'_>> =
        chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let Some((own, rest)) = chain.split_first() else { return Err(other(&"no certificate")) };
    let since = UnixTime::since_unix_epoch(seconds(now));
    let mut fault = other(&"no name to verify it for");
    for name in names {
        let Ok(server_name) = ServerName::try_from(*name) else { continue };
        match verifier.verify_server_cert(own, rest, &server_name, &[], since) {
            Ok(_) => return Ok(()),
            Err(error) => fault = CertificateFault::of(&error, own, name),
        }
    }
    Err(fault)
}

/// The time since 1970; none before.
fn seconds(now: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(now.seconds()).unwrap_or_default())
}

/// The verifier over the operating system's roots, which are read once.
fn system(provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    static SYSTEM: OnceLock<Arc<dyn ServerCertVerifier>> = OnceLock::new();
    if let Some(verifier) = SYSTEM.get() {
        return Ok(Arc::clone(verifier));
    }
    let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(provider))
        .map_err(|error| TlsError(format!("roots of the operating system: {error}")))?;
    Ok(Arc::clone(SYSTEM.get_or_init(|| Arc::new(verifier))))
}

/// A verifier over the certificates of a PEM file.
fn roots(pem: &[u8], provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| TlsError(format!("roots: {error}")))?;
        store.add(certificate).map_err(|error| TlsError(format!("roots: {error}")))?;
    }
    Ok(verifier(store, provider).map_err(|error| TlsError(format!("roots: {error}")))?)
}

/// A verifier over roots.
fn verifier(
    store: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, VerifierBuilderError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider)).build()
}

/// Verifies as told, notes the result, and lets a failure pass where it is not enforced.
///
/// The signatures of the handshake are always verified: the peer has the key of its certificate.
#[derive(Debug)]
struct Recorder {
    /// Who verifies.
    inner: Option<Arc<dyn ServerCertVerifier>>,
    /// True if a failure ends the handshake.
    is_enforced: bool,
    /// The algorithms.
    provider: Arc<CryptoProvider>,
    /// The result.
    seen: Mutex<Option<Verification>>,
    /// Why not, as a value.
    fault: Mutex<Option<CertificateFault>>,
}

impl Recorder {
    /// The result; a panic elsewhere does not spoil a value that is set in one go.
    fn seen(&self) -> std::sync::MutexGuard<'_, Option<Verification>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let result = self.inner.as_ref().map(|inner| {
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        });
        let fault = match &result {
            Some(Err(error)) => Some(CertificateFault::of(error, end_entity, &server_name.to_str())),
            _ => None,
        };
        *self.seen() = Some(match (&result, &fault) {
            (None, _) => Verification::NotChecked,
            (_, Some(fault)) => Verification::Failed(fault.to_string()),
            _ => Verification::Verified,
        });
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        match result {
            Some(Err(error)) if self.is_enforced => Err(error),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
