//! Keys that anybody can sign with: small factors, the faulty generator of CVE-2017-15361, published private keys.

use std::sync::LazyLock;

use super::Material;

/// Why a key protects nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// The modulus has a factor that a moment finds.
    #[error("the modulus is divisible by {0}: anybody can compute the private key")]
    SmallFactor(u32),
    /// The form that the faulty generator of some chips makes.
    #[error(
        "the key has the form that a faulty generator makes (CVE-2017-15361): its private key can be computed"
    )]
    FaultyGenerator,
    /// The private key stands in a document.
    #[error("its private key is public: {0}")]
    Published(&'static str),
}

/// Primes below which factors are looked for.
const FACTORS_BELOW: u32 = 5_000;

/// Published keys: the last eight octets of the modulus or of the Ed25519 key, and where the private one stands.
const PUBLISHED: [(u64, &str); 3] = [
    (0x503c_d518_7247_10d9, "the example of RFC 6376 appendix C"),
    (0xc829_3fa5_fcae_30dd, "the RSA example of RFC 8463 appendix A"),
    (0xaf02_1a68_f707_511a, "the Ed25519 example of RFC 8463 appendix A"),
];

/// The primes for which the faulty generator leaves a trace.
const TRACE_PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// The primes below [`FACTORS_BELOW`].
static PRIMES: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let mut primes: Vec<u32> = Vec::new();
    for candidate in 2..FACTORS_BELOW {
        if primes
            .iter()
            .take_while(|prime| **prime * **prime <= candidate)
            .all(|prime| candidate % prime != 0)
        {
            primes.push(candidate);
        }
    }
    primes
});

/// What is known against a key, if anything.
pub(super) fn weakness(material: &Material) -> Option<Weakness> {
    let (tail, modulus) = match material {
        Material::Rsa { modulus, .. } => (modulus.as_slice(), Some(modulus)),
        Material::Ed25519(key) => (key.as_slice(), None),
        Material::Revoked | Material::None => return None,
    };
    let last = tail.last_chunk::<8>().map(|octets| u64::from_be_bytes(*octets));
    if let Some((_, place)) = PUBLISHED.iter().find(|(known, _)| Some(*known) == last) {
        return Some(Weakness::Published(place));
    }
    let modulus = modulus?;
    if let Some(factor) = PRIMES.iter().find(|prime| remainder(modulus, **prime) == 0) {
        return Some(Weakness::SmallFactor(*factor));
    }
    is_of_faulty_generator(modulus).then_some(Weakness::FaultyGenerator)
}

/// A number in big-endian order modulo a small one.
fn remainder(number: &[u8], divisor: u32) -> u32 {
    number.iter().fold(0, |rest, octet| (rest * 256 + u32::from(*octet)) % divisor)
}

/// True if the modulus is a power of 65537 modulo every one of the primes.
fn is_of_faulty_generator(modulus: &[u8]) -> bool {
    modulus.len() >= 64
        && TRACE_PRIMES.iter().all(|prime| {
            let rest = remainder(modulus, *prime);
            let generator = 65_537 % prime;
            let mut power = 1;
            for _ in 0..*prime {
                if power == rest {
                    return true;
                }
                power = power * generator % prime;
            }
            false
        })
}
