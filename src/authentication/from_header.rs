//! Who the author of a message says to be: the From fields, read with every trick in mind.
//!
//! DMARC needs exactly one author domain (RFC 9989 §5.3.1), and a message that hides it is suspicious (§11.5). So
//! what mail programs tolerate is read as they read it, and what cannot be told apart is not guessed: it has no
//! author. Syntax: RFC 5322 §3.4 and §4.4, groups in From by RFC 6854, UTF-8 by RFC 6532.

mod scan;

use self::scan::{Element, elements};
use crate::dns::Name;
use crate::limits;
use crate::mail::decode_words;
use crate::mail::message::raw_fields;

/// The author of one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FromHeader {
    /// How many From fields the message has.
    pub fields: usize,
    /// The mailboxes in order, at most [`limits::FROM_MAILBOXES`].
    pub mailboxes: Vec<Mailbox>,
    /// How many there are.
    pub mailbox_count: usize,
    /// The domains of readable mailboxes, each once, in order.
    pub domains: Vec<Name>,
    /// What is odd, each once, in order of appearance.
    pub tricks: Vec<Trick>,
    /// Why there is no author to judge, in words; absent if there is one, or several domains.
    pub fault: Option<String>,
}

/// One mailbox of a From field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The name shown, encoded words decoded; empty if there is none.
    pub display_name: String,
    /// The address as read, without comments and blanks; empty for none.
    pub address: String,
    /// Its domain; absent where it has none that is a name.
    pub domain: Option<Name>,
}

/// Something in a From field that is rare in honest mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trick {
    /// More than one From field (RFC 5322 §3.6 allows one).
    SeveralFields,
    /// More than one mailbox.
    SeveralMailboxes,
    /// Mailboxes of more than one domain.
    SeveralDomains,
    /// A group (RFC 6854).
    Group,
    /// `<>`, or a group of nobody.
    NullAddress,
    /// A comment within an address.
    Comment,
    /// An encoded word within an address: it is text, no address (RFC 2047 §5).
    EncodedWord,
    /// A name that looks like an address of another domain.
    AddressInName,
    /// An encoded word that looks like an address of another domain.
    AddressInEncodedWord,
    /// A quoted local part with `@` in it.
    AtInLocalPart,
    /// More than one `@`.
    SeveralAts,
    /// A route before the address (RFC 5322 §4.4).
    Route,
    /// Blanks within an address (RFC 5322 §4.4).
    Blanks,
    /// An angle bracket, a quote or a comment that is not closed.
    NotClosed,
    /// Text after the address.
    TrailingText,
    /// Two addresses without a comma between.
    MissingComma,
    /// A name with a comma, without quotes.
    CommaInName,
    /// An address literal.
    Literal,
    /// A domain that is no name.
    NotADomain,
    /// No local part.
    NoLocalPart,
    /// A U-label, which was mapped to an A-label (RFC 9989 §5.3.1).
    Internationalized,
    /// Octets that are no UTF-8.
    NotUtf8,
    /// NUL or another control character.
    ControlCharacter,
    /// A final dot, which a domain in mail cannot have (RFC 5321 §2.3.5).
    FinalDot,
    /// Text longer than is read.
    TooLong,
}

impl Trick {
    /// The name in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SeveralFields => "several-from-fields",
            Self::SeveralMailboxes => "several-mailboxes",
            Self::SeveralDomains => "several-author-domains",
            Self::Group => "group",
            Self::NullAddress => "null-address",
            Self::Comment => "comment-in-address",
            Self::EncodedWord => "encoded-word-in-address",
            Self::AddressInName => "address-in-name",
            Self::AddressInEncodedWord => "address-in-encoded-word",
            Self::AtInLocalPart => "at-in-local-part",
            Self::SeveralAts => "several-ats",
            Self::Route => "route",
            Self::Blanks => "blanks-in-address",
            Self::NotClosed => "not-closed",
            Self::TrailingText => "text-after-address",
            Self::MissingComma => "missing-comma",
            Self::CommaInName => "comma-in-name",
            Self::Literal => "address-literal",
            Self::NotADomain => "not-a-domain",
            Self::NoLocalPart => "no-local-part",
            Self::Internationalized => "internationalized",
            Self::NotUtf8 => "not-utf-8",
            Self::ControlCharacter => "control-character",
            Self::FinalDot => "final-dot",
            Self::TooLong => "too-long",
        }
    }
}

/// Why an element is no mailbox.
enum Refusal {
    /// Text without an address: part of a name with a comma, for all that is known.
    Words,
    /// Nobody.
    Null,
    /// Something that claims to be an address.
    Broken(&'static str),
}

impl FromHeader {
    /// Reads the From fields of a message.
    pub fn of_message(message: &[u8]) -> Self {
        let mut from = Self::default();
        for (name, value) in raw_fields(message) {
            if name.eq_ignore_ascii_case("from") {
                from.add_field(value);
            }
        }
        from.conclude();
        from
    }

    /// The author domains to judge, or why there are none.
    pub fn author_domains(&self) -> Result<&[Name], &str> {
        match &self.fault {
            Some(fault) => Err(fault),
            None => Ok(&self.domains),
        }
    }

    fn note(&mut self, trick: Trick) {
        if !self.tricks.contains(&trick) {
            self.tricks.push(trick);
        }
    }

    fn fail(&mut self, fault: impl Into<String>) {
        self.fault.get_or_insert(fault.into());
    }

    /// Reads one field.
    fn add_field(&mut self, value: &[u8]) {
        self.fields += 1;
        if self.fields > limits::FROM_MAILBOXES {
            return;
        }
        let value = if value.len() > limits::FROM_FIELD_BYTES {
            // What is cut off could be the address.
            self.note(Trick::TooLong);
            self.fail("the From field is too long");
            value.get(..limits::FROM_FIELD_BYTES).unwrap_or_default()
        } else {
            value
        };
        let text = String::from_utf8_lossy(value);
        if matches!(text, std::borrow::Cow::Owned(_)) {
            self.note(Trick::NotUtf8);
        }
        let unfolded = text.replace("\r\n", "");
        let unfolded = unfolded.trim_matches(['\r', '\n']);
        if unfolded.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n')) {
            self.note(Trick::ControlCharacter);
        }
        let mut tricks = Vec::new();
        let found = elements(unfolded, &mut tricks);
        for trick in tricks {
            self.note(trick);
        }
        let is_list = found.len() > 1;
        for element in found {
            self.add_element(&element, is_list);
        }
    }

    /// Adds what stands between two commas, or the whole field.
    fn add_element(&mut self, element: &Element, is_list: bool) {
        let display_name = decode_words(element.display_name.trim());
        let domain = match self.read_address(element) {
            Ok(domain) => Some(domain),
            Err(Refusal::Words) => {
                if is_list && !element.is_empty() {
                    self.note(Trick::CommaInName);
                }
                return;
            }
            Err(Refusal::Null) => {
                self.note(Trick::NullAddress);
                None
            }
            Err(Refusal::Broken(why)) => {
                self.fail(why);
                None
            }
        };
        self.look_for_addresses(element, &display_name, domain.as_ref());
        self.mailbox_count += 1;
        if let Some(domain) = &domain
            && !self.domains.contains(domain)
            && self.domains.len() < limits::FROM_MAILBOXES
        {
            self.domains.push(domain.clone());
        }
        if self.mailboxes.len() < limits::FROM_MAILBOXES {
            self.mailboxes.push(Mailbox { display_name, address: element.address(), domain });
        }
    }

    /// The domain of an element's address.
    fn read_address(&mut self, element: &Element) -> Result<Name, Refusal> {
        if element.is_null() {
            return Err(Refusal::Null);
        }
        let Some((local, domain)) = element.local_and_domain() else {
            // `<someone>` claims to be an address, a bare word does not.
            if element.has_brackets {
                return Err(Refusal::Broken("an address in the From field has no domain"));
            }
            return Err(Refusal::Words);
        };
        if element.ats() > 1 {
            self.note(Trick::SeveralAts);
            return Err(Refusal::Broken("an address in the From field has more than one @"));
        }
        if element.address().contains("=?") {
            self.note(Trick::EncodedWord);
        }
        if local.contains('@') {
            self.note(Trick::AtInLocalPart);
        }
        if local.is_empty() && !element.has_quotes {
            self.note(Trick::NoLocalPart);
            return Err(Refusal::Broken("an address in the From field has no local part"));
        }
        if domain.starts_with('[') {
            self.note(Trick::Literal);
            return Err(Refusal::Broken("the author's address is an address literal"));
        }
        if domain.ends_with('.') {
            self.note(Trick::FinalDot);
        }
        if !domain.is_ascii() {
            self.note(Trick::Internationalized);
        }
        let is_host = |name: &Name| {
            let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
            !name.is_root() && name.as_str().bytes().all(plain)
        };
        match Name::from_person(&domain).ok().filter(is_host) {
            Some(name) => Ok(name),
            None => {
                self.note(Trick::NotADomain);
                Err(Refusal::Broken("the author's domain is no domain name"))
            }
        }
    }

    /// Notes names that look like an address of another domain.
    fn look_for_addresses(&mut self, element: &Element, display_name: &str, domain: Option<&Name>) {
        let is_other = |text: &str| {
            text.split(|c: char| c.is_whitespace() || "<>()\",;:[]'".contains(c)).any(|word| {
                word.rsplit_once('@').is_some_and(|(_, shown)| {
                    let shown = Name::from_person(shown).ok();
                    shown.is_some_and(|shown| shown.label_count() > 1 && Some(&shown) != domain)
                })
            })
        };
        if is_other(&element.display_name) {
            self.note(Trick::AddressInName);
        } else if is_other(display_name) {
            self.note(Trick::AddressInEncodedWord);
        } else if element.comments.iter().any(|comment| is_other(comment)) {
            self.note(Trick::AddressInName);
        }
    }

    /// Says whether there is an author to judge.
    fn conclude(&mut self) {
        if self.mailbox_count > 1 {
            self.note(Trick::SeveralMailboxes);
        }
        if self.domains.len() > 1 {
            self.note(Trick::SeveralDomains);
        }
        if self.fields > 1 {
            self.note(Trick::SeveralFields);
            // This says more than what one of them holds.
            self.fault = Some(format!("the message has {} From fields", self.fields));
        } else if self.fields == 0 {
            self.fault = Some("the message has no From field".to_owned());
        } else if self.domains.is_empty() {
            self.fail("the From field holds no address");
        }
    }
}

#[cfg(test)]
mod tests;
