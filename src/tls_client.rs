//! TLS to a server: which roots are trusted, and what the session turned out to be.
//!
//! Shared by everybody who connects to a server: the sender of probes, the mailbox readers. No socket here.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ring::digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};

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
    /// What verifying it gave.
    pub verification: Verification,
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
        });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(fault)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::<Recorder>::clone(&recorder))
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config), name, recorder })
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
        let verification = self.recorder.seen().clone().unwrap_or(Verification::NotChecked);
        TlsFacts {
            version,
            cipher,
            server_name: self.name.to_str().into_owned(),
            certificate_sha256,
            verification,
        }
    }
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
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
        .build()
        .map_err(|error| TlsError(format!("roots: {error}")))?;
    Ok(verifier)
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
        *self.seen() = Some(match &result {
            None => Verification::NotChecked,
            Some(Ok(_)) => Verification::Verified,
            Some(Err(error)) => Verification::Failed(error.to_string()),
        });
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
