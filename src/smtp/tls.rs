//! The receiver's certificate: from files, read again when they change, or made by us at first start.
//!
//! TLS 1.2 and 1.3 only (RFC 8996, RFC 9325), over ring, named explicitly. A certificate that cannot be read
//! again, as in the middle of its renewal, leaves the one in use.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::clock::Instant;
use crate::limits;
use crate::mail::TlsSession;

/// File name of the self-signed certificate.
pub const CERTIFICATE_FILE: &str = "smtp-certificate.pem";
/// File name of its key.
pub const KEY_FILE: &str = "smtp-key.pem";

/// Why a certificate cannot be used. The operator has to mend it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file holds no usable PEM text.
    #[error("{path}: {reason}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Key and certificate do not fit each other or the library.
    #[error("certificate and key: {0}")]
    Pair(#[from] rustls::Error),
    /// The self-signed certificate could not be made.
    #[error("self-signed certificate: {0}")]
    Create(#[from] rcgen::Error),
}

/// What is seen of a file without reading it: another value means another content.
type Stamp = (u64, i64, i64, u64);

/// The TLS side of the receiver.
#[derive(Debug)]
pub struct ServerTls {
    certificate: PathBuf,
    key: PathBuf,
    config: ArcSwap<ServerConfig>,
    state: Mutex<State>,
}

/// When the files were looked at last, and what was seen.
#[derive(Debug)]
struct State {
    checked: Option<Instant>,
    stamps: Option<(Stamp, Stamp)>,
}

impl ServerTls {
    /// Reads a certificate chain and its key from PEM files.
    pub fn from_files(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        // The stamps are taken before the reading: a change in between is seen at the next look.
        let stamps = stamps(&certificate, &key);
        let config = read(&certificate, &key)?;
        let state = Mutex::new(State { checked: None, stamps });
        Ok(Self { certificate, key, config: ArcSwap::from_pointee(config), state })
    }

    /// Reads the self-signed certificate in `directory`, or makes it for `host_name` if it is not there.
    ///
    /// The key file is readable by us only. Senders do not check who signed the certificate of an MX
    /// (RFC 7435); who wants MTA-STS (RFC 8461 §4.2) configures another one.
    pub fn load_or_create(directory: &Path, host_name: &str) -> Result<Self, TlsError> {
        let (certificate, key) = (directory.join(CERTIFICATE_FILE), directory.join(KEY_FILE));
        if !(certificate.exists() && key.exists()) {
            let made = rcgen::generate_simple_self_signed([host_name.to_owned()])?;
            write(directory, &key, &made.signing_key.serialize_pem())?;
            write(directory, &certificate, &made.cert.pem())?;
        }
        Self::from_files(certificate, key)
    }

    /// The configuration for the next handshake.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// True if the files have not been looked at for a while; says so once to one caller.
    pub(super) fn is_check_due(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = state
            .checked
            .is_none_or(|checked| now.saturating_duration_since(checked) >= limits::CERTIFICATE_CHECK);
        if is_due {
            state.checked = Some(now);
        }
        is_due
    }

    /// Reads the files again if they changed; true if the certificate is another one now.
    ///
    /// Errors: they changed and cannot be used; the old certificate stays, and the next call tries again.
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        let stamps = stamps(&self.certificate, &self.key);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if stamps.is_some() && stamps == state.stamps {
            return Ok(false);
        }
        self.config.store(Arc::new(read(&self.certificate, &self.key)?));
        state.stamps = stamps;
        Ok(true)
    }
}

/// The session that was agreed on, for the envelope and the log.
pub(super) fn session(connection: &rustls::ServerConnection) -> TlsSession {
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    };
    let cipher = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
    // The library's names of TLS 1.3 suites say the version, IANA's do not.
    let cipher = cipher.unwrap_or("unknown").replace("TLS13_", "TLS_");
    TlsSession { version, cipher, server_name: connection.server_name().map(ToOwned::to_owned) }
}

/// What is seen of both files now.
fn stamps(certificate: &Path, key: &Path) -> Option<(Stamp, Stamp)> {
    let stamp = |path: &Path| {
        let seen = fs::metadata(path).ok()?;
        Some((seen.ino(), seen.mtime(), seen.mtime_nsec(), seen.len()))
    };
    Some((stamp(certificate)?, stamp(key)?))
}

/// Reads both files into a configuration.
fn read(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let file =
        |path: &Path| fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source });
    let pem = |path: &Path, reason: String| TlsError::Pem { path: path.to_owned(), reason };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&file(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|error| pem(certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(pem(certificate, "no certificate in it".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_slice(&file(key)?).map_err(|error| pem(key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, private)?;
    Ok(config)
}

/// Writes a file that only we may read, whole or not at all.
fn write(directory: &Path, path: &Path, text: &str) -> Result<(), TlsError> {
    let attempt = || {
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)
    };
    attempt().map(|_| ()).map_err(|source| TlsError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn made_once_with_a_private_key_file() {
        let directory = tempfile::tempdir().unwrap();
        ServerTls::load_or_create(directory.path(), "mx.example.com").unwrap();
        let key = directory.path().join(KEY_FILE);
        let before = fs::read(&key).unwrap();
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        ServerTls::load_or_create(directory.path(), "mx.example.com").unwrap();
        assert_eq!(fs::read(&key).unwrap(), before);
    }

    #[test]
    fn read_again_when_changed_and_kept_when_broken() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let tls = ServerTls::load_or_create(one.path(), "mx.example.com").unwrap();
        ServerTls::load_or_create(two.path(), "mx.example.com").unwrap();
        assert!(!tls.reload_if_changed().unwrap());
        let first = tls.config();
        // The certificate is new and the key is not: in the middle of a renewal.
        fs::copy(two.path().join(CERTIFICATE_FILE), one.path().join(CERTIFICATE_FILE)).unwrap();
        assert!(tls.reload_if_changed().is_err());
        assert!(Arc::ptr_eq(&first, &tls.config()));
        fs::copy(two.path().join(KEY_FILE), one.path().join(KEY_FILE)).unwrap();
        assert!(tls.reload_if_changed().unwrap());
        assert!(!Arc::ptr_eq(&first, &tls.config()));
        fs::remove_file(one.path().join(KEY_FILE)).unwrap();
        assert!(tls.reload_if_changed().is_err());
    }

    #[test]
    fn faults_name_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("empty.pem");
        fs::write(&path, "").unwrap();
        let error = ServerTls::from_files(path.clone(), path).unwrap_err().to_string();
        assert!(error.contains("empty.pem") && error.contains("no certificate"), "{error}");
        let error = ServerTls::from_files("/nonexistent/a.pem".into(), "b".into()).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/a.pem"), "{error}");
    }

    #[test]
    fn looked_at_once_in_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let tls = ServerTls::load_or_create(directory.path(), "mx.example.com").unwrap();
        let now = crate::clock::instant();
        assert!(tls.is_check_due(now));
        assert!(!tls.is_check_due(now));
        assert!(tls.is_check_due(now + limits::CERTIFICATE_CHECK));
    }
}
