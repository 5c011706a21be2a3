//! The bytes of a probe, a pure function of (token, addresses, route, profile, template version, and what of the
//! operator's own goes in: template, fields, file, key).
//!
//! So whoever has the token can make the original again and compare it with what arrived ([`original()`]); nothing
//! of the content has to be stored. The time in the fields is that of the token, to the second.
//!
//! The token stands in the recipient, the Message-ID, `X-Mailsonde-Probe`, the subject's tail, a
//! marker line of the body and the names of MIME parts, each time in the form made for that place.
//!
//! Standards: RFC 5322 §2.1.1 (lines of at most 998 octets, better 78) and §3.6, RFC 2045 §6,
//! RFC 2046 §5.1, RFC 3834 §5 (`Auto-Submitted`), RFC 6152 (8BITMIME), RFC 6532 (UTF-8 in fields),
//! RFC 6376 §5 (signatures).

mod content;
mod files;
mod mime;
mod original;
mod profile;
mod samples;
mod sentences;
mod template;

use data_encoding::BASE64;
use ring::digest;

use crate::authentication::dkim::{self, SignError, SigningKey};
use crate::clock::Timestamp;
use crate::limits;
use crate::mail::{Address, DomainName};
use crate::probe::token::{Token, TokenTexts};

use mime::{Writer, encode_words};
use template::Values;

pub use original::{OriginalError, ProbeFacts, original};
pub use profile::{Extension, Need, Profile, ProfileError};
pub use template::{Fault, HeaderError, Template, TemplateError, VARIABLES, check_headers};

/// Rises whenever the bytes of any profile change.
pub const TEMPLATE_VERSION: u32 = 2;
/// Stands where a host name is wanted and the sender has none (RFC 2606 §2).
const NO_DOMAIN: &str = "mailsonde.invalid";
/// Name of our own header field.
pub const HEADER_NAME: &str = "X-Mailsonde-Probe";
/// The field that keeps Exchange servers from answering.
const SUPPRESS_NAME: &str = "X-Auto-Response-Suppress";

// ---- Recipient ----

/// Fills `{token}` of an address template: `probe+{token}@example.net`.
///
/// Errors: `None` if the result is no address that every system takes: its local part has at most 64 octets
/// (RFC 5321 §4.5.3.1.1). A template without `{token}` is a fixed address.
pub fn address_of(template: &str, token_text: &str) -> Option<Address> {
    let address = Address::parse(&template.replace("{token}", token_text))?;
    (address.local.len() <= limits::SENT_LOCAL_PART_BYTES).then_some(address)
}

// ---- Signer ----

/// The key with which probes are signed, and where its public half is published.
#[derive(Debug)]
pub struct Signer {
    /// The private key.
    key: SigningKey,
    /// `d=`.
    domain: DomainName,
    /// `s=`.
    selector: String,
}

impl Signer {
    /// Reads a key in PEM: RSA of 2048 to 4096 bits, or Ed25519.
    ///
    /// Errors: no such key; a selector and a domain that make no name.
    pub fn new(pem: &[u8], domain: DomainName, selector: &str) -> Result<Self, SignError> {
        let key = SigningKey::from_pem(pem)?;
        let signer = Self { key, domain, selector: selector.to_owned() };
        // A name that cannot be is found here and not with the first probe.
        signer.sign(b"From: <probe@example.com>\r\n\r\n", &[], Timestamp::from_seconds(0))?;
        Ok(signer)
    }

    /// The domain in whose name it signs.
    pub fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// The selector.
    pub fn selector(&self) -> &str {
        &self.selector
    }

    /// The record to publish at `selector._domainkey.domain`.
    pub fn record(&self) -> String {
        self.key.record()
    }

    /// The field for a message, with its CRLF.
    fn sign(&self, message: &[u8], also: &[&str], at: Timestamp) -> Result<String, SignError> {
        dkim::sign_also(message, &self.key, self.domain.as_str(), &self.selector, at, also)
    }
}

// ---- Message ----

/// A file of the operator's own.
#[derive(Debug, Clone, Copy)]
pub struct OwnFile<'f> {
    /// Its name, without folders.
    pub name: &'f str,
    /// Its bytes.
    pub bytes: &'f [u8],
}

impl OwnFile<'_> {
    /// The name as it goes into a field: ASCII without what ends a quoted string; others become `-`.
    pub(in crate::probe::compose) fn safe_name(&self) -> String {
        let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
        let name: String = self
            .name
            .chars()
            .take(limits::PROBE_FILE_NAME_CHARS)
            .map(|c| if is_safe(c) { c } else { '-' })
            .collect();
        if name.trim().is_empty() { "file".to_owned() } else { name }
    }

    /// The type by the name, of those that are well known.
    pub(in crate::probe::compose) fn content_type(&self) -> &'static str {
        let extension = self.name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        match extension.as_deref() {
            Some("pdf") => "application/pdf",
            Some("txt") => "text/plain",
            Some("csv") => "text/csv",
            Some("png") => "image/png",
            Some("jpg" | "jpeg") => "image/jpeg",
            Some("zip") => "application/zip",
            Some("docx") => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Some("xlsx") => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            _ => "application/octet-stream",
        }
    }
}

/// What a probe is made of.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'d> {
    /// The token.
    pub token: &'d Token,
    /// Its texts.
    pub texts: &'d TokenTexts,
    /// The route's name.
    pub route: &'d str,
    /// The profile.
    pub profile: Profile,
    /// The author, whose domain is that of the Message-ID too.
    pub from: &'d Address,
    /// The recipient.
    pub to: &'d Address,
    /// The key with which it is signed.
    pub dkim: Option<&'d Signer>,
    /// The operator's own text and fields.
    pub template: Option<&'d Template>,
    /// The operator's own fields: name and value, with variables; after those of the template.
    pub headers: &'d [(String, String)],
    /// The operator's own file, for [`Profile::AttachFile`].
    pub file: Option<OwnFile<'d>>,
    /// The Message-ID, with its angle brackets, that this answers; absent: it answers nothing.
    pub answers: Option<&'d str>,
    /// False for an original that is made again: then a profile that needs a key goes without.
    pub is_signed: bool,
}

impl<'d> Draft<'d> {
    /// A draft with nothing of the operator's own; the other fields can be set after it.
    pub fn new(
        token: &'d Token,
        texts: &'d TokenTexts,
        route: &'d str,
        profile: Profile,
        from: &'d Address,
        to: &'d Address,
    ) -> Self {
        Self {
            token,
            texts,
            route,
            profile,
            from,
            to,
            dkim: None,
            template: None,
            headers: &[],
            file: None,
            answers: None,
            is_signed: true,
        }
    }
}

/// A probe, ready to be handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// The message: CRLF line ends, no dot-stuffing.
    pub bytes: Vec<u8>,
    /// The Message-ID with its angle brackets.
    pub message_id: String,
    /// The subject, unfolded and decoded.
    pub subject: String,
    /// True if the bytes are not all ASCII: to be declared as BODY=8BITMIME.
    pub has_8bit: bool,
    /// True if a header field is not ASCII: to be declared as SMTPUTF8.
    pub needs_smtputf8: bool,
    /// The first attachment, if there is one.
    pub attachment: Option<Attachment>,
    /// The leaf parts in their order.
    pub parts: Vec<PartFacts>,
    /// True if it has a signature of ours, also one that is broken on purpose.
    pub is_dkim_signed: bool,
    /// SHA-256 of the message without the signature: by it an original that is made again is known to be the one.
    pub fingerprint: [u8; 32],
}

/// What is known of an attachment without storing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its file name, with the token.
    pub name: String,
    /// Its bytes, decoded.
    pub size_bytes: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

/// What is known of a leaf part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartFacts {
    /// `type/subtype`.
    pub content_type: String,
    /// Its file name.
    pub name: Option<String>,
    /// True if it is declared an attachment.
    pub is_attachment: bool,
    /// Its bytes, decoded.
    pub size_bytes: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

/// Why a draft makes no message. All of them are the operator's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// The template.
    #[error("template: {0}")]
    Template(TemplateError),
    /// A field of the operator's own.
    #[error(transparent)]
    Header(HeaderError),
    /// A profile that is made of its own texts.
    #[error("the profile {0} has a text of its own: take another one with a template")]
    NoTemplate(Profile),
    /// A broken signature needs a key to break.
    #[error("the profile {0} needs {need}", need = Need::DkimKey.as_str())]
    NoKey(Profile),
    /// No file to attach.
    #[error("the profile attach-file needs {need}", need = Need::OwnFile.as_str())]
    NoFile,
    /// A file that is too large.
    #[error("the file to attach has {0} bytes, and at most {max} go", max = limits::PROBE_ATTACHMENT_BYTES)]
    FileTooLarge(u64),
    /// The signature.
    #[error("DKIM: {0}")]
    Sign(SignError),
}

/// Makes the message of a probe. The same draft gives the same bytes.
///
/// Units: an attachment above [`limits::PROBE_OVERSIZE_BYTES`] is cut to that.
/// Errors: [`ComposeError`]; none without key, template, fields and file of the operator's own.
/// Standard: RFC 5322 §3.6; RFC 3834 §5 for what keeps auto-responders silent.
pub fn compose(draft: &Draft<'_>) -> Result<Composed, ComposeError> {
    check(draft)?;
    let domain = draft.from.domain.as_deref().unwrap_or(NO_DOMAIN);
    let message_id = format!("<{}@{domain}>", draft.texts.message_id);
    let route = route_word(draft.route);
    let date = date_text(draft.token);
    let (to, from) = (shown(draft, draft.to), shown(draft, draft.from));
    let (seq, size) = (draft.token.counter.to_string(), size_bytes(draft).to_string());
    let values = Values {
        values: [
            ("token", draft.texts.body.as_str()),
            ("route", &route),
            ("seq", &seq),
            ("size", &size),
            ("date", &date),
            ("to", &to),
            ("from", &from),
        ],
    };
    let filled = draft.template.map(|template| template.fill(&values)).transpose();
    let filled = filled.map_err(ComposeError::Template)?;
    let mut own = template::fill_headers(draft.headers, &values).map_err(ComposeError::Header)?;
    if let Some(filled) = &filled {
        // A field of the route counts before one of the template.
        let is_new =
            |(name, _): &&(String, String)| !own.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let of_template: Vec<_> = filled.fields.iter().filter(is_new).cloned().collect();
        own.splice(0..0, of_template);
    }
    let title = filled.as_ref().and_then(|filled| filled.subject.clone());
    let title = title.unwrap_or_else(|| format!("Mailsonde probe {route}"));
    let (subject, written) = subject(draft, &title);

    let write_head = |subject: &str| {
        let mut out = Writer::default();
        out.field("Date", &date);
        out.field("From", &format!("Mailsonde probe <{from}>"));
        out.field("To", &format!("<{to}>"));
        out.field("Message-ID", &message_id);
        out.field("Subject", subject);
        let made_at = draft.token.made_at().rfc3339();
        out.field(HEADER_NAME, &format!("v=1; t={}; r={route}; s={made_at}", draft.texts.header));
        // RFC 3834 §5: nobody should answer this, nor an Exchange server; §3.1.5 and §3.1.7 for an answer.
        let kind = if draft.answers.is_some() { "auto-replied" } else { "auto-generated" };
        out.field("Auto-Submitted", kind);
        out.field(SUPPRESS_NAME, "All");
        if let Some(answered) = draft.answers {
            out.field("In-Reply-To", answered);
            out.field("References", answered);
        }
        for (name, value) in &own {
            let is_encoded = draft.profile != Profile::Utf8;
            out.field(name, &if is_encoded { encode_words(value) } else { value.clone() });
        }
        out.field("MIME-Version", "1.0");
        out
    };
    let mut out = write_head(&written);
    let needs_smtputf8 = !out.bytes.is_ascii();
    let head_bytes = out.bytes.len();
    let mut parts = Vec::new();
    mime::write(&mut out, content::entity(draft, &route, filled.as_ref())?, draft.token, 0, &mut parts);
    let mut bytes = out.bytes;
    let fingerprint = sha256(&bytes);
    let mut is_dkim_signed = false;
    if let Some(signer) = draft.dkim.filter(|_| draft.is_signed && draft.profile != Profile::DmarcFail) {
        let also: Vec<&str> = [HEADER_NAME, SUPPRESS_NAME]
            .into_iter()
            .chain(own.iter().map(|(name, _)| name.as_str()))
            .collect();
        let at = draft.token.made_at();
        let field = if draft.profile == Profile::DkimBroken {
            // Signed is the message with another subject: the body is as it was signed, and the fields are not.
            let mut other = write_head("signed with another subject").bytes;
            other.extend_from_slice(bytes.get(head_bytes..).unwrap_or_default());
            signer.sign(&other, &also, at)
        } else {
            signer.sign(&bytes, &also, at)
        };
        let mut signed = field.map_err(ComposeError::Sign)?.into_bytes();
        signed.append(&mut bytes);
        bytes = signed;
        is_dkim_signed = true;
    }
    Ok(Composed {
        has_8bit: !bytes.is_ascii(),
        bytes,
        message_id,
        subject,
        needs_smtputf8,
        attachment: mime::attachment(&parts),
        parts,
        is_dkim_signed,
        fingerprint,
    })
}

/// Checks that what the profile needs is there.
fn check(draft: &Draft<'_>) -> Result<(), ComposeError> {
    let profile = draft.profile;
    if draft.template.is_some() && !profile.takes_template() {
        return Err(ComposeError::NoTemplate(profile));
    }
    if profile == Profile::DkimBroken && draft.is_signed && draft.dkim.is_none() {
        return Err(ComposeError::NoKey(profile));
    }
    match (profile, draft.file) {
        (Profile::AttachFile, None) => Err(ComposeError::NoFile),
        (Profile::AttachFile, Some(file)) if length(file.bytes) > limits::PROBE_ATTACHMENT_BYTES => {
            Err(ComposeError::FileTooLarge(length(file.bytes)))
        }
        _ => Ok(()),
    }
}

/// The subject in Unicode, and as it is written: a title, and the token in brackets at its end, always in ASCII.
fn subject(draft: &Draft<'_>, title: &str) -> (String, String) {
    let tail = format!("[{}]", draft.texts.subject);
    match draft.profile {
        Profile::Utf8 => {
            let subject = format!("Prüfung ✓ 測試 🐟 {title} {tail}");
            (subject.clone(), subject)
        }
        Profile::Iso2022Jp => {
            let word = BASE64.encode(samples::JAPANESE_SUBJECT);
            (
                format!("{} {title} {tail}", samples::JAPANESE_SUBJECT_TEXT),
                format!("=?iso-2022-jp?B?{word}?= {title} {tail}"),
            )
        }
        _ => (format!("{title} {tail}"), format!("{} {tail}", encode_words(title))),
    }
}

/// An address as it is shown in a field: its domain in Unicode where the profile is about that (RFC 6532 §3.2),
/// and as A-labels everywhere else.
fn shown(draft: &Draft<'_>, address: &Address) -> String {
    let Some(domain) = address.domain.as_deref().filter(|_| draft.profile == Profile::Utf8) else {
        return address.to_string();
    };
    let (unicode, result) = idna::domain_to_unicode(domain);
    // A name that does not come back as it was is left alone.
    let is_same = result.is_ok() && DomainName::parse(&unicode).is_some_and(|name| name.as_str() == domain);
    if is_same {
        Address { domain: Some(unicode), ..address.clone() }.to_string()
    } else {
        address.to_string()
    }
}

/// Bytes of the attachment that a draft has.
fn size_bytes(draft: &Draft<'_>) -> u64 {
    let of_file = draft.file.filter(|_| draft.profile == Profile::AttachFile).map(|file| length(file.bytes));
    draft.profile.wanted_bytes().or(of_file).unwrap_or_default()
}

/// The time of the token as RFC 5322 §3.3 wants it.
fn date_text(token: &Token) -> String {
    let seconds = token.made_at().seconds();
    match jiff::Timestamp::from_second(seconds) {
        Ok(at) => at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string(),
        // The token's clock ends in 2156, the calendar in 9999.
        Err(_) => "Thu, 01 Jan 1970 00:00:00 +0000".to_owned(),
    }
}

/// The route's name as one word that no mail program changes: others become `-`.
fn route_word(route: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let word: String =
        route.chars().take(limits::ROUTE_NAME_CHARS).map(|c| if is_plain(c) { c } else { '-' }).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

/// The attachment of a token: bytes that anyone with the token can make again.
pub fn attachment_bytes(token: &Token, size_bytes: u64) -> Vec<u8> {
    let size = usize::try_from(size_bytes.min(limits::PROBE_OVERSIZE_BYTES)).unwrap_or(usize::MAX);
    files::noise(token, size)
}

/// SHA-256 of some bytes.
fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// A length as it is stored.
fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
