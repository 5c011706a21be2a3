//! Signing, for our probes and for the tests.
//!
//! Standard: RFC 6376 §5; RSA keys of at least 2,048 bits (RFC 8301 §3.2), or Ed25519 (RFC 8463 §3).

use mail_auth::common::headers::Writer as _;
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::crypto::element;
use super::message::{BodyKind, RawMessage, canonicalization};
use crate::authentication::key::key_name;
use crate::clock::Timestamp;

/// Fields that are signed, as often as they are there; From once more, so that none can be added.
const SIGNED: [&str; 18] = [
    "from",
    "to",
    "cc",
    "subject",
    "date",
    "message-id",
    "reply-to",
    "sender",
    "in-reply-to",
    "references",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "auto-submitted",
    "list-id",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "tls-report-domain",
];

/// Characters of one line of the field.
const LINE_CHARS: usize = 72;

/// A private key.
pub struct SigningKey {
    /// By its algorithm.
    pair: Pair,
}

/// The two kinds of keys.
enum Pair {
    /// RSA.
    Rsa(RsaKeyPair),
    /// Ed25519.
    Ed25519(Ed25519KeyPair),
}

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The PEM text holds no private key.
    #[error("no private key in the PEM text: {0}")]
    Pem(String),
    /// A key of another kind, or a bad one.
    #[error("the private key is neither RSA of 2048 to 4096 bits nor Ed25519: {0}")]
    Key(String),
    /// Selector and domain make no domain name.
    #[error("the selector \"{selector}\" and the domain \"{domain}\" make no domain name")]
    Name {
        /// The selector.
        selector: String,
        /// The domain.
        domain: String,
    },
    /// A message without From cannot be signed (RFC 6376 §5.4).
    #[error("the message has no From field")]
    NoFrom,
    /// The random numbers failed.
    #[error("the signature could not be computed")]
    Crypto,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SigningKey").field("algorithm", &self.algorithm()).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Reads a key in PEM: PKCS #8 or PKCS #1 (RSA), PKCS #8 (Ed25519).
    pub fn from_pem(pem: &[u8]) -> Result<Self, SignError> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|error| SignError::Pem(error.to_string()))?;
        let key = |error: ring::error::KeyRejected| SignError::Key(error.to_string());
        let pair = match &der {
            PrivateKeyDer::Pkcs1(der) => {
                Pair::Rsa(RsaKeyPair::from_der(der.secret_pkcs1_der()).map_err(key)?)
            }
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                match Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
                    Ok(pair) => Pair::Ed25519(pair),
                    Err(_) => Pair::Rsa(RsaKeyPair::from_pkcs8(der).map_err(key)?),
                }
            }
            _ => return Err(SignError::Key("an elliptic curve key of another kind".to_owned())),
        };
        Ok(Self { pair })
    }

    /// The algorithm in words of `a=`.
    pub const fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "rsa-sha256",
            Pair::Ed25519(_) => "ed25519-sha256",
        }
    }

    /// The record to publish at the selector.
    pub fn record(&self) -> String {
        let (kind, octets) = match &self.pair {
            Pair::Rsa(pair) => ("rsa", subject_public_key(pair.public_key().as_ref())),
            Pair::Ed25519(pair) => ("ed25519", pair.public_key().as_ref().to_vec()),
        };
        format!("v=DKIM1; k={kind}; p={}", data_encoding::BASE64.encode(&octets))
    }

    /// Signs octets.
    fn sign(&self, octets: &[u8]) -> Result<Vec<u8>, SignError> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), octets, &mut signature)
                    .map_err(|_| SignError::Crypto)?;
                Ok(signature)
            }
            // RFC 8463 §3: the hash is signed.
            Pair::Ed25519(pair) => {
                Ok(pair.sign(digest::digest(&digest::SHA256, octets).as_ref()).as_ref().to_vec())
            }
        }
    }
}

/// A SubjectPublicKeyInfo around an RSAPublicKey: what DKIM records hold (RFC 6376, erratum 3017).
fn subject_public_key(key: &[u8]) -> Vec<u8> {
    const RSA_ALGORITHM: [u8; 15] =
        [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let mut bits = vec![0];
    bits.extend_from_slice(key);
    let mut content = RSA_ALGORITHM.to_vec();
    content.extend(element(0x03, &bits));
    element(0x30, &content)
}

/// Signs a message; the answer is the field DKIM-Signature with its CRLF, to be written before the message.
///
/// `relaxed/relaxed`, the whole body, and all of the usual fields that are there.
pub fn sign(
    message: &[u8],
    key: &SigningKey,
    domain: &str,
    selector: &str,
    now: Timestamp,
) -> Result<String, SignError> {
    sign_also(message, key, domain, selector, now, &[])
}

/// Signs a message as [`sign()`] does, and with the usual fields those of other names, as often as they are there.
pub fn sign_also(
    message: &[u8],
    key: &SigningKey,
    domain: &str,
    selector: &str,
    now: Timestamp,
    also: &[&str],
) -> Result<String, SignError> {
    if key_name(selector, domain).is_none() {
        return Err(SignError::Name { selector: selector.to_owned(), domain: domain.to_owned() });
    }
    let message = RawMessage::new(message);
    if message.places("from").is_empty() {
        return Err(SignError::NoFrom);
    }
    let names = signed_names(&message, also);
    let hash = message.body_hash(BodyKind { is_relaxed: true, is_sha1: false, length: None });
    let mut value = format!(
        " v=1; a={}; c=relaxed/relaxed; d={domain};\r\n\ts={selector}; t={};\r\n\t",
        key.algorithm(),
        now.seconds()
    );
    fold_names(&mut value, &names);
    value.push_str(";\r\n\tbh=");
    value.push_str(&data_encoding::BASE64.encode(&hash.digest));
    value.push_str(";\r\n\tb=");
    let mut fields = message.signed_fields(&names);
    fields.push((b"DKIM-Signature", value.as_bytes()));
    let mut octets = Vec::new();
    canonicalization(true).canonicalize_headers(fields.into_iter(), &mut octets);
    let signature = data_encoding::BASE64.encode(&key.sign(&octets)?);
    let mut folded = Vec::new();
    for (index, line) in signature.as_bytes().chunks(LINE_CHARS).enumerate() {
        if index > 0 {
            folded.write(b"\r\n\t ");
        }
        folded.write(line);
    }
    Ok(format!("DKIM-Signature:{value}{}\r\n", String::from_utf8_lossy(&folded)))
}

/// The names for `h=`.
fn signed_names(message: &RawMessage<'_>, also: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = SIGNED.map(str::to_owned).to_vec();
    for name in also.iter().map(|name| name.to_ascii_lowercase()) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    let mut names = Vec::new();
    for name in all {
        let extra = usize::from(name == "from");
        let count = message.places(&name).len() + extra;
        names.extend(std::iter::repeat_n(name, count));
    }
    names
}

/// Writes `h=` over as many lines as it needs.
fn fold_names(value: &mut String, names: &[String]) {
    let mut width = 2;
    value.push_str("h=");
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            value.push(':');
            width += 1;
        }
        if width + name.len() > LINE_CHARS {
            value.push_str("\r\n\t ");
            width = 0;
        }
        value.push_str(name);
        width += name.len();
    }
}

/// Signs octets, for tests that write a signature of their own.
#[cfg(test)]
pub(super) fn sign_octets(key: &SigningKey, octets: &[u8]) -> Vec<u8> {
    key.sign(octets).unwrap()
}
