//! The original of a probe, made again from what is known of it: nothing of it has to be kept.

use super::{ComposeError, Composed, Draft, OwnFile, Profile, TEMPLATE_VERSION, Template, compose};
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
    /// [`Composed::fingerprint`] when it was made, where it was kept.
    pub fingerprint: Option<[u8; 32]>,
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
/// With the fingerprint of the original the answer is certain; without one it is what the facts give.
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
    match facts.fingerprint {
        Some(known) if known != composed.fingerprint => Err(OriginalError::Changed),
        _ => Ok(composed),
    }
}
