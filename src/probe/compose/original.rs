//! The original of a probe, made again from what is known of it: nothing of it has to be kept.

use super::{
    ComposeError, Composed, Draft, OwnFile, Profile, Signer, TEMPLATE_VERSION, Template, compose, sha256,
};
use crate::mail::Address;
use crate::probe::token::{KeyRing, Place, Reading};

/// What is known of a probe that was sent.
#[derive(Debug, Clone, Copy)]
pub struct ProbeFacts<'p> {
    /// Its name: the token as it stands in the recipient.
    pub token: &'p str,
    /// Its profile.
    pub profile: Profile,
    /// [`TEMPLATE_VERSION`] when it was made.
    pub template_version: u32,
    /// Its route's name.
    pub route: &'p str,
    /// Its author.
    pub from: &'p Address,
    /// Its recipient.
    pub to: &'p Address,
    /// The operator's template of the route, as it is now.
    pub template: Option<&'p Template>,
    /// The operator's fields of the route, as they are now.
    pub headers: &'p [(String, String)],
    /// The operator's file of the route, as it is now.
    pub file: Option<OwnFile<'p>>,
    /// The key of the route, as it is now: by it a hash of the signed message can be compared.
    pub dkim: Option<&'p Signer>,
    /// SHA-256 of the message as it was sent, or of it without its signature ([`Composed::fingerprint`]), where one
    /// of them was kept.
    pub sha256: Option<[u8; 32]>,
}

/// Why there is no original.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginalError {
    /// The name is no token of this ring.
    #[error("no key of ours made this token")]
    Token,
    /// Another version of our texts.
    #[error("made from version {0} of our texts, and this program has version {TEMPLATE_VERSION}")]
    Version(u32),
    /// The route makes no message any more.
    #[error(transparent)]
    Compose(ComposeError),
    /// The route, its template, fields or file are no longer what they were.
    #[error("the route has changed since: what it makes now is not what was sent")]
    Changed,
}

/// Makes the original of a probe again, without a signature: that is judged by verifying it.
///
/// With a hash of the original the answer is certain; without one it is what the facts give.
/// Errors: [`OriginalError`]. None of them is a fault of the mail on its way.
pub fn original(ring: &KeyRing, facts: &ProbeFacts<'_>) -> Result<Composed, OriginalError> {
    let Some(Reading::Valid { token, made_for: Place::Recipient }) = ring.read_text(facts.token) else {
        return Err(OriginalError::Token);
    };
    if facts.template_version != TEMPLATE_VERSION {
        return Err(OriginalError::Version(facts.template_version));
    }
    let texts = ring.texts(&token).ok_or(OriginalError::Token)?;
    let draft = Draft {
        template: facts.template,
        headers: facts.headers,
        file: facts.file,
        is_signed: false,
        ..Draft::new(&token, &texts, facts.route, facts.profile, facts.from, facts.to)
    };
    let composed = compose(&draft).map_err(OriginalError::Compose)?;
    let Some(known) = facts.sha256.filter(|known| *known != composed.fingerprint) else {
        return Ok(composed);
    };
    // The same signature comes out again: both algorithms are functions of what is signed (RFC 8017 §8.2,
    // RFC 8032 §5.1.6), and its time is that of the token.
    let signed =
        facts.dkim.and_then(|dkim| compose(&Draft { dkim: Some(dkim), is_signed: true, ..draft }).ok());
    if signed.is_some_and(|signed| sha256(&signed.bytes) == known) {
        Ok(composed)
    } else {
        Err(OriginalError::Changed)
    }
}
