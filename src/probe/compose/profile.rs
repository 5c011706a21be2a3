//! What kinds of messages probes are, what each needs, and what is expected of it.

use std::fmt;

use crate::limits;
use crate::probe::lifecycle::Expectation;
use crate::probe::token::Kind;

/// What kind of message a probe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// A few lines of ASCII text.
    Plain,
    /// Text and HTML with a link and an inline image, and a PDF.
    Business,
    /// Text and an attachment of this many bytes, which no compression makes smaller.
    Attach(u64),
    /// Text and a file of the operator's own.
    AttachFile,
    /// UTF-8 in the subject, the names and the text, domains as U-labels: needs SMTPUTF8 (RFC 6531).
    Utf8,
    /// UTF-8 in the text, sent as 8bit: needs 8BITMIME (RFC 6152).
    EightBit,
    /// A line of 998 octets.
    LongLine,
    /// Subject and text in ISO-2022-JP, which is seven bits with escape sequences (RFC 1468).
    Iso2022Jp,
    /// Text and a calendar entry that asks for no answer (RFC 5545).
    Calendar,
    /// A text that every spam filter knows as the test of spam filters.
    Gtube,
    /// A file that every virus scanner knows as the test of virus scanners.
    Eicar,
    /// Test numbers of payment cards in the text.
    Dlp,
    /// A harmless attachment whose name ends in this extension.
    Ext(Extension),
    /// Plain, to a user who does not exist.
    UnknownUser,
    /// Plain, with an attachment of this many bytes: more than the relay takes.
    Oversize(u64),
    /// Plain, by a server that must not relay it.
    OpenRelay,
    /// Plain, with an envelope sender whose SPF record does not name us.
    SpfFail,
    /// Plain, with a signature that does not verify.
    DkimBroken,
    /// Plain, with neither SPF nor DKIM in the name of the author's domain.
    DmarcFail,
    /// Plain, to a receiver of ours that offers no TLS although its policy demands it.
    PlaintextOnly,
}

/// Why a profile is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Operator: no such profile.
    #[error("no such profile: {0} ({list})", list = Profile::LIST)]
    Unknown(String),
    /// Operator: the size is no number of bytes, or too large.
    #[error("attachment size not between 1 and {max} bytes: {text}")]
    Size {
        /// What was written.
        text: String,
        /// The most.
        max: u64,
    },
    /// Operator: the extension of a file name is not one.
    #[error("not the extension of a file name, 1 to {max} letters and digits: {text}", max = EXTENSION_BYTES)]
    Extension {
        /// What was written.
        text: String,
    },
}

/// What must be there for a probe of a profile, beyond a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// The recipient's domain agreed to negative probes.
    Leave,
    /// A DKIM key on the route.
    DkimKey,
    /// An envelope sender of the route's own, in a domain whose SPF record does not name us.
    MailFrom,
    /// The same, and not aligned with the author's domain either.
    UnalignedMailFrom,
    /// A file of the operator's own.
    OwnFile,
    /// A server that is asked without an account of it.
    NoAccount,
    /// A receiver of ours that hides STARTTLS, under an enforcing MTA-STS policy of ours.
    OwnReceiver,
    /// A server that offers 8BITMIME.
    EightBitMime,
    /// A server that offers SMTPUTF8.
    SmtpUtf8,
}

impl Need {
    /// What it is, with the mend.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leave => "leave: `allow_negative = true` and the consent of the recipient's domain",
            Self::DkimKey => "a DKIM key: `dkim = \"NAME\"` on the route",
            Self::MailFrom => {
                "an envelope sender of its own: `mail_from` on the route, in a domain with `v=spf1 -all`"
            }
            Self::UnalignedMailFrom => {
                "an envelope sender outside the author's organization: `mail_from` on the route, in another domain"
            }
            Self::OwnFile => "a file to attach",
            Self::NoAccount => "a sender without `auth`: with an account, relaying is its right",
            Self::OwnReceiver => {
                "a recipient at a receiver of ours without STARTTLS, under MTA-STS `enforce`"
            }
            Self::EightBitMime => "a server that offers 8BITMIME",
            Self::SmtpUtf8 => "a server that offers SMTPUTF8",
        }
    }
}

impl Profile {
    /// All profiles in words.
    pub const LIST: &str = "plain, business, attach:<size>, attach-file, utf8, 8bit, longline, iso2022jp, calendar, \
                            gtube, eicar, dlp, ext:<extension>, unknown-user, oversize:<size>, open-relay, spf-fail, \
                            dkim-broken, dmarc-fail, plaintext-only";

    /// Reads one of [`Self::LIST`]: `plain`, `attach:5MiB`, `attach:65536`, `ext:exe` and so on.
    ///
    /// Errors: [`ProfileError`].
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        if let Some(size) = text.strip_prefix("attach:") {
            return size_within(size, limits::PROBE_ATTACHMENT_BYTES).map(Self::Attach);
        }
        if let Some(size) = text.strip_prefix("oversize:") {
            return size_within(size, limits::PROBE_OVERSIZE_BYTES).map(Self::Oversize);
        }
        if let Some(extension) = text.strip_prefix("ext:") {
            return Extension::parse(extension)
                .map(Self::Ext)
                .ok_or_else(|| ProfileError::Extension { text: extension.to_owned() });
        }
        Ok(match text {
            "plain" => Self::Plain,
            "business" => Self::Business,
            "attach-file" => Self::AttachFile,
            "utf8" => Self::Utf8,
            "8bit" => Self::EightBit,
            "longline" => Self::LongLine,
            "iso2022jp" => Self::Iso2022Jp,
            "calendar" => Self::Calendar,
            "gtube" => Self::Gtube,
            "eicar" => Self::Eicar,
            "dlp" => Self::Dlp,
            "unknown-user" => Self::UnknownUser,
            "open-relay" => Self::OpenRelay,
            "spf-fail" => Self::SpfFail,
            "dkim-broken" => Self::DkimBroken,
            "dmarc-fail" => Self::DmarcFail,
            "plaintext-only" => Self::PlaintextOnly,
            other => return Err(ProfileError::Unknown(other.to_owned())),
        })
    }

    /// The kind of its tokens.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::UnknownUser => Kind::BounceTest,
            _ if self.is_negative() => Kind::Negative,
            _ => Kind::Probe,
        }
    }

    /// True for a message that a good mail system stops, marks or refuses: it may go only where leave was given.
    pub const fn is_negative(&self) -> bool {
        match self {
            Self::Plain
            | Self::Business
            | Self::Attach(_)
            | Self::AttachFile
            | Self::Utf8
            | Self::EightBit
            | Self::LongLine
            | Self::Iso2022Jp
            | Self::Calendar => false,
            Self::Gtube
            | Self::Eicar
            | Self::Dlp
            | Self::Ext(_)
            | Self::UnknownUser
            | Self::Oversize(_)
            | Self::OpenRelay
            | Self::SpfFail
            | Self::DkimBroken
            | Self::DmarcFail
            | Self::PlaintextOnly => true,
        }
    }

    /// What a good mail system does with it.
    ///
    /// A failed SPF check or a broken signature is no reason to refuse by itself (RFC 7489 §6.7, RFC 6376 §6.1: a
    /// signature that does not verify is as good as none), so those two are to arrive, with the failure told.
    /// An unauthenticated author under a policy of quarantine or reject must not look like ordinary mail.
    pub const fn expectation(&self) -> Expectation {
        match self {
            Self::Gtube
            | Self::Eicar
            | Self::Dlp
            | Self::Ext(_)
            | Self::Oversize(_)
            | Self::OpenRelay
            | Self::PlaintextOnly => Expectation::Stopped,
            Self::UnknownUser => Expectation::Bounces,
            Self::SpfFail => Expectation::ArrivesFailingSpf,
            Self::DkimBroken => Expectation::ArrivesFailingDkim,
            Self::DmarcFail => Expectation::NotUnmarkedInInbox,
            _ => Expectation::Arrives,
        }
    }

    /// What must be there for it.
    pub const fn needs(&self) -> &'static [Need] {
        match self {
            Self::AttachFile => &[Need::OwnFile],
            Self::Utf8 => &[Need::SmtpUtf8, Need::EightBitMime],
            Self::EightBit => &[Need::EightBitMime],
            Self::OpenRelay => &[Need::Leave, Need::NoAccount],
            Self::SpfFail => &[Need::Leave, Need::MailFrom],
            Self::DkimBroken => &[Need::Leave, Need::DkimKey],
            Self::DmarcFail => &[Need::Leave, Need::UnalignedMailFrom],
            Self::PlaintextOnly => &[Need::Leave, Need::OwnReceiver],
            _ if self.is_negative() => &[Need::Leave],
            _ => &[],
        }
    }

    /// True if its text may be the operator's own template: some profiles are made of their own texts.
    pub const fn takes_template(&self) -> bool {
        !matches!(self, Self::Business | Self::Iso2022Jp)
    }

    /// Bytes of the attachment that its name asks for.
    pub(super) const fn wanted_bytes(&self) -> Option<u64> {
        match self {
            Self::Attach(bytes) | Self::Oversize(bytes) => Some(*bytes),
            _ => None,
        }
    }
}

impl fmt::Display for Profile {
    /// What [`Profile::parse`] reads, sizes in bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attach(bytes) => return write!(f, "attach:{bytes}"),
            Self::Oversize(bytes) => return write!(f, "oversize:{bytes}"),
            Self::Ext(extension) => return write!(f, "ext:{extension}"),
            Self::Plain => "plain",
            Self::Business => "business",
            Self::AttachFile => "attach-file",
            Self::Utf8 => "utf8",
            Self::EightBit => "8bit",
            Self::LongLine => "longline",
            Self::Iso2022Jp => "iso2022jp",
            Self::Calendar => "calendar",
            Self::Gtube => "gtube",
            Self::Eicar => "eicar",
            Self::Dlp => "dlp",
            Self::UnknownUser => "unknown-user",
            Self::OpenRelay => "open-relay",
            Self::SpfFail => "spf-fail",
            Self::DkimBroken => "dkim-broken",
            Self::DmarcFail => "dmarc-fail",
            Self::PlaintextOnly => "plaintext-only",
        })
    }
}

/// Letters and digits of the longest extension.
const EXTENSION_BYTES: usize = 8;

/// The extension of a file name, without its dot: letters in lower case and digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extension {
    /// The characters, then zeros.
    bytes: [u8; EXTENSION_BYTES],
}

impl Extension {
    /// Reads 1 to 8 letters and digits of ASCII, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let is_fit = (1..=EXTENSION_BYTES).contains(&text.len());
        if !is_fit || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let mut bytes = [0; EXTENSION_BYTES];
        for (to, from) in bytes.iter_mut().zip(text.bytes()) {
            *to = from.to_ascii_lowercase();
        }
        Some(Self { bytes })
    }

    /// The type that systems give to files of that name, where it is well known.
    pub(super) fn content_type(self) -> &'static str {
        match self.to_string().as_str() {
            "exe" | "com" | "dll" | "scr" => "application/x-msdownload",
            "js" => "text/javascript",
            "zip" => "application/zip",
            "docm" => "application/vnd.ms-word.document.macroEnabled.12",
            "xlsm" => "application/vnd.ms-excel.sheet.macroEnabled.12",
            "lnk" => "application/x-ms-shortcut",
            "jar" => "application/java-archive",
            _ => "application/octet-stream",
        }
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes
            .iter()
            .take_while(|byte| **byte != 0)
            .try_for_each(|byte| write!(f, "{}", char::from(*byte)))
    }
}

/// Reads a size between 1 and `max`.
fn size_within(text: &str, max: u64) -> Result<u64, ProfileError> {
    size_bytes(text)
        .filter(|bytes| (1..=max).contains(bytes))
        .ok_or_else(|| ProfileError::Size { text: text.to_owned(), max })
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
