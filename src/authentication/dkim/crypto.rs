//! The cryptography: mail-auth canonicalizes the fields and verifies, with the key that our own reader accepted.
//!
//! mail-auth's own look-ups are not used: they would ask the network, judge expiry by the clock of the machine
//! and take the first of several records.

use mail_auth::common::crypto::Algorithm as Verifier;
use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::common::verify::DomainKey;

use super::message::canonicalization;
use super::signature::Algorithm;
use crate::authentication::key::Material;

/// True if the signature over these fields, in this order, is that of the key.
pub(in crate::authentication) fn is_signed(
    material: &Material,
    algorithm: Algorithm,
    is_relaxed: bool,
    fields: &[(&[u8], &[u8])],
    signature: &[u8],
) -> bool {
    let Some(key) = domain_key(material) else { return false };
    let verifier = match algorithm {
        Algorithm::RsaSha1 => Verifier::RsaSha1,
        Algorithm::RsaSha256 => Verifier::RsaSha256,
        Algorithm::Ed25519Sha256 => Verifier::Ed25519Sha256,
    };
    key.p.verify(&mut fields.iter().copied(), signature, canonicalization(is_relaxed), verifier).is_ok()
}

/// The key in the type of mail-auth, from a record that holds nothing else.
fn domain_key(material: &Material) -> Option<DomainKey> {
    let (kind, octets) = match material {
        Material::Rsa { modulus, exponent } => ("rsa", rsa_public_key(modulus, exponent)),
        Material::Ed25519(key) => ("ed25519", key.to_vec()),
        Material::Revoked | Material::None => return None,
    };
    let record = format!("v=DKIM1; k={kind}; p={}", data_encoding::BASE64.encode(&octets));
    DomainKey::parse(record.as_bytes()).ok()
}

/// An RSAPublicKey in DER (RFC 8017 §A.1.1).
pub(in crate::authentication) fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let mut numbers = integer(modulus);
    numbers.extend(integer(exponent));
    element(0x30, &numbers)
}

/// A positive INTEGER.
fn integer(number: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(number.len() + 1);
    if number.first().is_none_or(|first| *first >= 0x80) {
        content.push(0);
    }
    content.extend_from_slice(number);
    element(0x02, &content)
}

/// An element with its head.
pub(in crate::authentication) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut octets = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length) if length < 0x80 => octets.push(length),
        _ => {
            let length = content.len().to_be_bytes();
            let zeros = length.iter().take_while(|octet| **octet == 0).count();
            let length = length.get(zeros..).unwrap_or_default();
            octets.push(0x80 | u8::try_from(length.len()).unwrap_or(0x7f));
            octets.extend_from_slice(length);
        }
    }
    octets.extend_from_slice(content);
    octets
}
