//! The little of ASN.1 DER that public keys need.

use super::KeyFault;

/// An RSA key as it stands in a record.
pub(super) struct Rsa<'a> {
    /// The modulus without leading zeros.
    pub(super) modulus: &'a [u8],
    /// The exponent without leading zeros.
    pub(super) exponent: &'a [u8],
    /// Octets after the key.
    pub(super) trailing: usize,
}

/// The tag of a SEQUENCE.
const SEQUENCE: u8 = 0x30;
/// The tag of an INTEGER.
const INTEGER: u8 = 0x02;
/// The tag of a BIT STRING.
const BIT_STRING: u8 = 0x03;
/// The tag of an OBJECT IDENTIFIER.
const OBJECT: u8 = 0x06;
/// `rsaEncryption`, 1.2.840.113549.1.1.1.
const RSA_ENCRYPTION: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// What stands before the 32 octets in a SubjectPublicKeyInfo of Ed25519 (RFC 8410).
const ED25519_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The 32 octets of an Ed25519 key that was pasted with its head.
pub(super) fn ed25519_of_spki(data: &[u8]) -> Option<&[u8]> {
    data.strip_prefix(&ED25519_HEAD).filter(|key| key.len() == 32)
}

/// The bits of a number in big-endian order.
pub(super) fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    let rest = number.get(zeros..).unwrap_or_default();
    let unused = rest.first().map_or(0, |first| first.leading_zeros() as usize);
    rest.len() * 8 - unused
}

/// Reads an RSA key from a SubjectPublicKeyInfo or from an RSAPublicKey alone.
pub(super) fn rsa(data: &[u8]) -> Result<Rsa<'_>, KeyFault> {
    if data.first() != Some(&SEQUENCE) {
        return Err(KeyFault::NotRsa);
    }
    if let Some((want, have)) = announced(data)
        && want > have
    {
        return Err(KeyFault::Cut { have, want });
    }
    let (content, after) = element(data, SEQUENCE).ok_or(KeyFault::NotRsa)?;
    let trailing = after.len();
    if content.first() == Some(&INTEGER) {
        return numbers(content, trailing);
    }
    let (algorithm, rest) = element(content, SEQUENCE).ok_or(KeyFault::NotRsa)?;
    if algorithm.first() == Some(&SEQUENCE) || algorithm.first() == Some(&0xa0) {
        return Err(KeyFault::OtherObject("a certificate"));
    }
    let (object, _) = element(algorithm, OBJECT).ok_or(KeyFault::NotRsa)?;
    if object != RSA_ENCRYPTION {
        return Err(KeyFault::NotRsa);
    }
    let (string, _) = element(rest, BIT_STRING).ok_or(KeyFault::NotRsa)?;
    let Some((0, key)) = string.split_first() else { return Err(KeyFault::NotRsa) };
    let (content, _) = element(key, SEQUENCE).ok_or(KeyFault::NotRsa)?;
    numbers(content, trailing)
}

/// Modulus and exponent of an RSAPublicKey (RFC 8017 §A.1.1).
fn numbers(content: &[u8], trailing: usize) -> Result<Rsa<'_>, KeyFault> {
    let (modulus, rest) = element(content, INTEGER).ok_or(KeyFault::NotRsa)?;
    let (exponent, rest) = element(rest, INTEGER).ok_or(KeyFault::NotRsa)?;
    if !rest.is_empty() {
        // A private key begins with its version and has nine numbers.
        return Err(KeyFault::OtherObject("a private key"));
    }
    let (modulus, exponent) = (unsigned(modulus), unsigned(exponent));
    if modulus.is_empty() {
        return Err(KeyFault::NotRsa);
    }
    Ok(Rsa { modulus, exponent, trailing })
}

/// A number without leading zeros.
fn unsigned(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// How many octets an element announces with its head, and how many are there.
fn announced(data: &[u8]) -> Option<(usize, usize)> {
    let (head, length) = head(data)?;
    Some((head.checked_add(length)?, data.len()))
}

/// The content of an element of a tag, and what follows it.
fn element(data: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    if data.first() != Some(&tag) {
        return None;
    }
    let (start, length) = head(data)?;
    let end = start.checked_add(length)?;
    Some((data.get(start..end)?, data.get(end..)?))
}

/// The octets of tag and length, and the length of the content.
fn head(data: &[u8]) -> Option<(usize, usize)> {
    let first = *data.get(1)?;
    if first < 0x80 {
        return Some((2, usize::from(first)));
    }
    let count = usize::from(first & 0x7f);
    if count == 0 || count > 4 {
        return None;
    }
    let length = data.get(2..2 + count)?.iter().fold(0_usize, |sum, octet| (sum << 8) | usize::from(*octet));
    Some((2 + count, length))
}
