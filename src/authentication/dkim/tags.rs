//! Tag lists: the `name=value;` form that signatures, seals and key records share.
//!
//! Standard: RFC 6376 §3.2.

/// A tag list, read as far as it can be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::authentication) struct TagList {
    /// The tags in order, names as written, values without blanks around them. Of a name that is repeated, all.
    pub(in crate::authentication) tags: Vec<Tag>,
    /// What breaks the form, in order.
    pub(in crate::authentication) faults: Vec<TagFault>,
}

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::authentication) struct Tag {
    /// The name; upper and lower case differ.
    pub(in crate::authentication) name: String,
    /// The value: folds are blanks, octets outside UTF-8 are U+FFFD.
    pub(in crate::authentication) value: String,
}

/// What breaks the form of a tag list. Each makes the whole list invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagFault {
    /// RFC 6376 §3.2: then the whole list is invalid.
    #[error("the tag {0}= stands more than once")]
    Repeated(String),
    /// Something between two `;` that is no tag.
    #[error("\"{0}\" is no tag: `=` is missing")]
    NoEquals(String),
    /// A name outside `ALPHA *(ALPHA / DIGIT / "_")`.
    #[error("\"{0}\" is no name of a tag")]
    BadName(String),
    /// Nothing between two `;`.
    #[error("a `;` too many")]
    Empty,
    /// More tags than are looked at: no real list has thirty.
    #[error("more than {} tags", crate::limits::TAGS)]
    TooMany,
    /// A control character in a value.
    #[error("the tag {0}= holds a control character")]
    Control(String),
}

/// Characters shown of a piece that is no tag.
const SHOWN_CHARS: usize = 40;

impl TagList {
    /// Reads a tag list. Bounded by its input; never fails.
    pub(in crate::authentication) fn parse(octets: &[u8]) -> Self {
        let text = String::from_utf8_lossy(octets);
        let mut list = Self::default();
        let mut pieces = text.split(';').peekable();
        while let Some(piece) = pieces.next() {
            if list.tags.len() >= crate::limits::TAGS || list.faults.len() >= crate::limits::TAGS {
                list.faults.push(TagFault::TooMany);
                break;
            }
            let is_last = pieces.peek().is_none();
            list.take(piece, is_last);
        }
        list
    }

    /// The value of a tag; the first, if it is repeated.
    pub(in crate::authentication) fn value(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|tag| tag.name == name).map(|tag| tag.value.as_str())
    }

    /// Takes what stands between two `;`.
    fn take(&mut self, piece: &str, is_last: bool) {
        let piece = piece.trim_matches(BLANKS);
        if piece.is_empty() {
            if !is_last {
                self.faults.push(TagFault::Empty);
            }
            return;
        }
        let Some((name, value)) = piece.split_once('=') else {
            self.faults.push(TagFault::NoEquals(shown(piece)));
            return;
        };
        let name = name.trim_matches(BLANKS);
        let mut characters = name.chars();
        let begins_well = characters.next().is_some_and(|first| first.is_ascii_alphabetic());
        if !begins_well || !characters.all(|next| next.is_ascii_alphanumeric() || next == '_') {
            self.faults.push(TagFault::BadName(shown(name)));
            return;
        }
        let value = value.trim_matches(BLANKS);
        if value.chars().any(|character| character.is_control() && !BLANKS.contains(&character)) {
            self.faults.push(TagFault::Control(name.to_owned()));
        }
        if self.tags.iter().any(|tag| tag.name == name) {
            self.faults.push(TagFault::Repeated(name.to_owned()));
        }
        let value = value.replace(['\r', '\n'], "");
        self.tags.push(Tag { name: name.to_owned(), value });
    }
}

/// White space of a tag list with its folds.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// The beginning of a text, on one line.
fn shown(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(SHOWN_CHARS).collect()
}

/// The parts of a list with colons, without blanks around them.
pub(in crate::authentication) fn colon_list(value: &str) -> Vec<String> {
    value.split(':').map(|item| item.trim_matches(BLANKS).to_owned()).collect()
}

/// Decodes base64 as tags write it: blanks anywhere, padding optional, bits beyond the last octet ignored.
pub(in crate::authentication) fn decode_base64(value: &str) -> Result<Vec<u8>, Base64Fault> {
    let mut digits: Vec<u8> = Vec::with_capacity(value.len());
    let mut padding = 0_usize;
    for character in value.chars() {
        match character {
            ' ' | '\t' | '\r' | '\n' => {}
            '=' => padding += 1,
            _ if padding > 0 => return Err(Base64Fault::AfterPadding),
            'A'..='Z' | 'a'..='z' | '0'..='9' | '+' | '/' => {
                digits.extend(u8::try_from(u32::from(character)));
            }
            other => return Err(Base64Fault::Character(other)),
        }
    }
    if digits.len() % 4 == 1 {
        return Err(Base64Fault::Length);
    }
    if padding > 2 {
        return Err(Base64Fault::AfterPadding);
    }
    FORGIVING.decode(&digits).map_err(|_| Base64Fault::Length)
}

/// Why something is no base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Base64Fault {
    /// A character outside the alphabet.
    #[error("the character {0:?} is no base64")]
    Character(char),
    /// More than a final `=` or two.
    #[error("something stands after the final `=`")]
    AfterPadding,
    /// One digit is left over.
    #[error("a digit of the base64 is missing")]
    Length,
}

/// Base64 without padding whose last bits may be anything.
static FORGIVING: std::sync::LazyLock<data_encoding::Encoding> = std::sync::LazyLock::new(|| {
    let mut specification = data_encoding::BASE64_NOPAD.specification();
    specification.check_trailing_bits = false;
    // The alphabet is the library's own; only a check is turned off.
    specification.encoding().unwrap_or(data_encoding::BASE64_NOPAD)
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_with_their_faults() {
        let cases: [(&str, &str, &str); 13] = [
            ("v=1; a=rsa-sha256", "v=1 a=rsa-sha256", ""),
            (" v = 1 ;\r\n\ta= x\r\n y ; ", "v=1 a=x y", ""),
            ("v=1;", "v=1", ""),
            ("b=a=b==", "b=a=b==", ""),
            ("v=1;;a=2", "v=1 a=2", "a `;` too many"),
            (";v=1", "v=1", "a `;` too many"),
            ("v=1; v=2", "v=1 v=2", "the tag v= stands more than once"),
            ("V=1; v=2", "V=1 v=2", ""),
            ("v=1; junk; a=2", "v=1 a=2", "\"junk\" is no tag: `=` is missing"),
            ("1v=1", "", "\"1v\" is no name of a tag"),
            ("=1", "", "\"\" is no name of a tag"),
            ("a=x\0y", "a=x\0y", "the tag a= holds a control character"),
            ("", "", ""),
        ];
        for (text, tags, faults) in cases {
            let list = TagList::parse(text.as_bytes());
            let found: Vec<_> = list.tags.iter().map(|tag| format!("{}={}", tag.name, tag.value)).collect();
            assert_eq!(found.join(" "), tags, "{text:?}");
            let told: Vec<_> = list.faults.iter().map(ToString::to_string).collect();
            assert_eq!(told.join("; "), faults, "{text:?}");
        }
    }

    #[test]
    fn long_lists_are_bounded() {
        for text in ["a=1;".repeat(100_000), ";".repeat(100_000), "x;".repeat(100_000)] {
            let list = TagList::parse(text.as_bytes());
            assert_eq!(list.faults.last(), Some(&TagFault::TooMany));
            assert!(list.tags.len() <= crate::limits::TAGS && list.faults.len() <= crate::limits::TAGS + 1);
        }
    }

    #[test]
    fn base64_with_blanks_and_faults() {
        let cases: [(&str, Result<&[u8], Base64Fault>); 9] = [
            ("", Ok(b"")),
            ("YWJj", Ok(b"abc")),
            ("Y W\r\n\tJj", Ok(b"abc")),
            ("YWI=", Ok(b"ab")),
            ("YWI", Ok(b"ab")),
            ("YWJ", Ok(b"ab")),
            ("YWJjZ", Err(Base64Fault::Length)),
            ("YWJj\\", Err(Base64Fault::Character('\\'))),
            ("YW==Jj", Err(Base64Fault::AfterPadding)),
        ];
        for (text, want) in cases {
            assert_eq!(decode_base64(text).as_deref().map_err(|fault| *fault), want, "{text:?}");
        }
    }
}
