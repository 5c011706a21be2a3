//! The bytes of a probe, a pure function of (token, addresses, route, profile, template version).
//!
//! So whoever has the token can make the original again and compare it with what arrived; nothing
//! of the content has to be stored. The time in the fields is that of the token, to the second.
//!
//! The token stands in the recipient, the Message-ID, `X-Mailsonde-Probe`, the subject's tail, a
//! marker line of the body and the names of MIME parts, each time in the form made for that place.
//!
//! Standards: RFC 5322 §2.1.1 (lines of at most 998 octets, better 78) and §3.6, RFC 2045 §6,
//! RFC 2046 §5.1, RFC 3834 §5 (`Auto-Submitted`), RFC 6152 (8BITMIME), RFC 6532 (UTF-8 in fields).

use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use ring::digest;

use crate::limits;
use crate::mail::Address;
use crate::probe::token::{Token, TokenTexts};

/// Rises whenever the bytes of any profile change.
pub const TEMPLATE_VERSION: u32 = 1;
/// Column at which fields are folded, RFC 5322 §2.1.1.
const FOLD_COLUMN: usize = 78;
/// Bytes that make one line of 76 characters of base64, RFC 2045 §6.8.
const BASE64_LINE_BYTES: usize = 57;
/// Octets of the long line, the most that RFC 5322 §2.1.1 allows.
const LONG_LINE_OCTETS: usize = 998;
/// Stands where a host name is wanted and the sender has none (RFC 2606 §2).
const NO_DOMAIN: &str = "mailsonde.invalid";
/// Name of our own header field.
pub const HEADER_NAME: &str = "X-Mailsonde-Probe";

// ---- Profile ----

/// What kind of message a probe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// A few lines of ASCII text.
    Plain,
    /// Text and HTML with a link.
    Business,
    /// Text and an attachment of this many bytes, which no compression makes smaller.
    Attach(u64),
    /// UTF-8 in the subject and the text: needs SMTPUTF8 (RFC 6531).
    Utf8,
    /// UTF-8 in the text, sent as 8bit: needs 8BITMIME (RFC 6152).
    EightBit,
    /// A line of 998 octets.
    LongLine,
}

/// Why a profile is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Operator: no such profile.
    #[error("no such profile: {0} (plain, business, attach:<size>, utf8, 8bit, longline)")]
    Unknown(String),
    /// Operator: the size is no number of bytes, or too large.
    #[error("attachment size not between 1 and {max} bytes: {text}", max = limits::PROBE_ATTACHMENT_BYTES)]
    Size {
        /// What was written.
        text: String,
    },
}

impl Profile {
    /// Reads `plain`, `business`, `attach:5MiB`, `attach:65536`, `utf8`, `8bit` or `longline`.
    ///
    /// Errors: [`ProfileError`].
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        match text {
            "plain" => Ok(Self::Plain),
            "business" => Ok(Self::Business),
            "utf8" => Ok(Self::Utf8),
            "8bit" => Ok(Self::EightBit),
            "longline" => Ok(Self::LongLine),
            other => match other.strip_prefix("attach:") {
                Some(size) => size_bytes(size)
                    .filter(|bytes| (1..=limits::PROBE_ATTACHMENT_BYTES).contains(bytes))
                    .map(Self::Attach)
                    .ok_or_else(|| ProfileError::Size { text: size.to_owned() }),
                None => Err(ProfileError::Unknown(other.to_owned())),
            },
        }
    }
}

impl fmt::Display for Profile {
    /// What [`Profile::parse`] reads, sizes in bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("plain"),
            Self::Business => f.write_str("business"),
            Self::Attach(bytes) => write!(f, "attach:{bytes}"),
            Self::Utf8 => f.write_str("utf8"),
            Self::EightBit => f.write_str("8bit"),
            Self::LongLine => f.write_str("longline"),
        }
    }
}

/// Reads a size: bytes, or with `KiB`, `MiB`, `kB`, `MB`.
fn size_bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "" | "B" => 1,
        "kB" => 1_000,
        "KiB" => 1_024,
        "MB" => 1_000_000,
        "MiB" => 1_024 * 1_024,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

// ---- Recipient ----

/// Fills `{token}` of an address template: `probe+{token}@example.net`.
///
/// Errors: `None` if the result is no address that every system takes: its local part has at most 64 octets
/// (RFC 5321 §4.5.3.1.1). A template without `{token}` is a fixed address.
pub fn address_of(template: &str, token_text: &str) -> Option<Address> {
    let address = Address::parse(&template.replace("{token}", token_text))?;
    (address.local.len() <= limits::SENT_LOCAL_PART_BYTES).then_some(address)
}

// ---- Message ----

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
}

/// A probe, ready to be handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// The message: CRLF line ends, no dot-stuffing.
    pub bytes: Vec<u8>,
    /// The Message-ID with its angle brackets.
    pub message_id: String,
    /// The subject, unfolded.
    pub subject: String,
    /// True if the bytes are not all ASCII: to be declared as BODY=8BITMIME.
    pub has_8bit: bool,
    /// True if a header field is not ASCII: to be declared as SMTPUTF8.
    pub needs_smtputf8: bool,
    /// The attachment, if the profile has one.
    pub attachment: Option<Attachment>,
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

/// Makes the message of a probe. The same draft gives the same bytes.
///
/// Units: an attachment above [`limits::PROBE_ATTACHMENT_BYTES`] is cut to that.
/// Standard: RFC 5322 §3.6; RFC 3834 §5 for what keeps auto-responders silent.
pub fn compose(draft: &Draft<'_>) -> Composed {
    let domain = draft.from.domain.as_deref().unwrap_or(NO_DOMAIN);
    let message_id = format!("<{}@{domain}>", draft.texts.message_id);
    let route = route_word(draft.route);
    let decoration = if draft.profile == Profile::Utf8 { "Prüfung ✓ 測試 🐟 " } else { "" };
    let subject = format!("{decoration}Mailsonde probe {route} [{}]", draft.texts.subject);

    let mut out = Writer::default();
    out.field("Date", &date_text(draft.token));
    out.field("From", &format!("Mailsonde probe <{}>", draft.from));
    out.field("To", &format!("<{}>", draft.to));
    out.field("Message-ID", &message_id);
    out.field("Subject", &subject);
    let made_at = draft.token.made_at().rfc3339();
    out.field(HEADER_NAME, &format!("v=1; t={}; r={route}; s={made_at}", draft.texts.header));
    // RFC 3834 §5: nobody should answer this, nor an Exchange server.
    out.field("Auto-Submitted", "auto-generated");
    out.field("X-Auto-Response-Suppress", "All");
    out.field("MIME-Version", "1.0");
    let needs_smtputf8 = !out.bytes.is_ascii();
    let attachment = write_content(&mut out, draft, &route);
    Composed {
        has_8bit: !out.bytes.is_ascii(),
        bytes: out.bytes,
        message_id,
        subject,
        needs_smtputf8,
        attachment,
    }
}

/// Writes the MIME fields, the blank line and the body.
fn write_content(out: &mut Writer, draft: &Draft<'_>, route: &str) -> Option<Attachment> {
    let boundary = boundary(draft.token);
    match draft.profile {
        Profile::Plain | Profile::Utf8 | Profile::EightBit | Profile::LongLine => {
            let eight_bit = matches!(draft.profile, Profile::Utf8 | Profile::EightBit);
            out.text_fields("plain", if eight_bit { ("utf-8", "8bit") } else { ("us-ascii", "7bit") });
            out.line("");
            write_text(out, draft, route);
            if eight_bit {
                out.line("Grüße, naïve façade, Ελληνικά, кириллица, 日本語, עברית, 🐟.");
            }
            if draft.profile == Profile::LongLine {
                let line: String = ('a'..='z').cycle().take(LONG_LINE_OCTETS).collect();
                out.line(&line);
            }
            None
        }
        Profile::Business => {
            out.field("Content-Type", &format!("multipart/alternative; boundary=\"{boundary}\""));
            out.line("");
            out.line(&format!("--{boundary}"));
            out.text_fields("plain", ("us-ascii", "7bit"));
            out.line("");
            write_text(out, draft, route);
            out.line("");
            out.line(&format!("<{}>", link(draft)));
            out.line(&format!("--{boundary}"));
            out.text_fields("html", ("us-ascii", "7bit"));
            out.line("");
            write_html(out, draft, route);
            out.line(&format!("--{boundary}--"));
            None
        }
        Profile::Attach(size) => {
            let name = format!("probe-{}.bin", draft.texts.body);
            out.field("Content-Type", &format!("multipart/mixed; boundary=\"{boundary}\""));
            out.line("");
            out.line(&format!("--{boundary}"));
            out.text_fields("plain", ("us-ascii", "7bit"));
            out.line("");
            write_text(out, draft, route);
            out.line(&format!("--{boundary}"));
            out.field("Content-Type", &format!("application/octet-stream; name=\"{name}\""));
            out.field("Content-Transfer-Encoding", "base64");
            out.field("Content-Disposition", &format!("attachment; filename=\"{name}\""));
            out.line("");
            let content = attachment_bytes(draft.token, size);
            for line in content.chunks(BASE64_LINE_BYTES) {
                out.line(&BASE64.encode(line));
            }
            out.line(&format!("--{boundary}--"));
            Some(Attachment { name, size_bytes: length(&content), sha256: sha256(&content) })
        }
    }
}

/// Writes the text that every profile has, with the marker line.
fn write_text(out: &mut Writer, draft: &Draft<'_>, route: &str) {
    out.line("This is a test message of Mailsonde. It measures whether and how fast");
    out.line("mail arrives. Nobody needs to read or answer it.");
    out.line("");
    out.line(&format!("route: {route}"));
    out.line(&format!("made:  {}", draft.token.made_at().rfc3339()));
    out.line(&format!("-- {} --", draft.texts.body));
}

/// Writes the HTML of the business profile.
fn write_html(out: &mut Writer, draft: &Draft<'_>, route: &str) {
    out.line("<!DOCTYPE html>");
    out.line("<html><head><title>Mailsonde probe</title></head><body>");
    out.line("<p>This is a test message of <b>Mailsonde</b>. It measures whether and");
    out.line("how fast mail arrives. Nobody needs to read or answer it.</p>");
    out.line(&format!("<p>Route {route}</p>"));
    out.line(&format!("<p>-- {} --</p>", draft.texts.body));
    out.line(&format!("<p><a href=\"{}\">", link(draft)));
    out.line("What this is</a></p>");
    out.line("</body></html>");
}

/// The link of the business profile: a name of the sender's own domain, so that rewriting shows.
fn link(draft: &Draft<'_>) -> String {
    let domain = draft.from.domain_name();
    let domain = domain.as_ref().map_or(NO_DOMAIN, |name| name.as_str());
    format!("https://{domain}/{}", draft.texts.body)
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

/// A boundary that no line of our texts begins with.
fn boundary(token: &Token) -> String {
    let hash = sha256(&[b"mailsonde boundary".as_slice(), &token.clear_bytes()].concat());
    format!("=_mailsonde_{:.20}", HEXLOWER.encode(&hash))
}

/// The attachment of a token: bytes that anyone with the token can make again.
pub fn attachment_bytes(token: &Token, size_bytes: u64) -> Vec<u8> {
    let size = usize::try_from(size_bytes.min(limits::PROBE_ATTACHMENT_BYTES)).unwrap_or(usize::MAX);
    let mut content = Vec::with_capacity(size + digest::SHA256_OUTPUT_LEN);
    let clear = token.clear_bytes();
    let mut block = 0u64;
    while content.len() < size {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"mailsonde attachment");
        context.update(&clear);
        context.update(&block.to_be_bytes());
        content.extend_from_slice(context.finish().as_ref());
        block += 1;
    }
    content.truncate(size);
    content
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

// ---- Writer ----

/// Writes lines with CRLF.
#[derive(Default)]
struct Writer {
    /// What is written.
    bytes: Vec<u8>,
}

impl Writer {
    /// One line. Line breaks in `text` would start new ones: callers never have any.
    fn line(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// One header field, folded at blanks so that lines have at most 78 characters where a blank
    /// allows it (RFC 5322 §2.2.3).
    fn field(&mut self, name: &str, value: &str) {
        let mut line = format!("{name}:");
        for word in value.split(' ') {
            if line.chars().count() + 1 + word.chars().count() > FOLD_COLUMN && line.contains(' ') {
                self.line(&line);
                line.clear();
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(&line);
    }

    /// The MIME fields of a text part: charset and transfer encoding.
    fn text_fields(&mut self, subtype: &str, (charset, encoding): (&str, &str)) {
        self.field("Content-Type", &format!("text/{subtype}; charset={charset}"));
        self.field("Content-Transfer-Encoding", encoding);
    }
}

#[cfg(test)]
mod tests;
