//! The header of a message or part: fields split by us within limits, values read by mail-parser.

use std::borrow::Cow;

use mail_parser::{Address as ParsedAddress, HeaderName, HeaderValue, MessageParser};

use crate::limits;
use crate::mail::transfer::Transfer;
use crate::mail::{Address, DomainName};

/// Fields whose values mail-parser reads for us.
const READ: [&str; 12] = [
    "content-type",
    "content-disposition",
    "content-transfer-encoding",
    "from",
    "sender",
    "subject",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "return-path",
    "to",
];

/// The fields of one header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// Names in lower case and values, unfolded and cut to [`limits::HEADER_TEXT_BYTES`]; at most
    /// [`limits::HEADER_FIELDS`].
    fields: Vec<(String, String)>,
    /// `Subject`, decoded.
    pub subject: Option<String>,
    /// The first address of `From`.
    pub from: Option<Address>,
    /// The domain of `From`.
    pub from_domain: Option<DomainName>,
    /// `Date`, UTC seconds.
    pub date: Option<i64>,
    /// `Message-ID` without `<>`.
    pub message_id: Option<String>,
    /// Message-IDs of `In-Reply-To` and `References`, without `<>`.
    pub references: Vec<String>,
    /// The declared type in lower case, `type/subtype`; empty if there is none.
    pub content_type: String,
    /// `boundary`.
    pub(super) boundary: Option<String>,
    /// `charset`, as written.
    pub(super) charset: Option<String>,
    /// `report-type` of a multipart/report, in lower case.
    pub report_type: Option<String>,
    /// The file name of `Content-Disposition`, else the name of `Content-Type`; empty if there is none.
    pub file_name: String,
    /// True if the disposition is `attachment`.
    pub is_attachment: bool,
    /// The transfer encoding.
    pub(super) transfer: Option<Transfer>,
    /// True for the field `ContentType:`.
    pub(super) has_type_typo: bool,
    /// True if fields or bytes were left out.
    pub(super) is_cut: bool,
}

impl Header {
    /// Reads a header block.
    pub(super) fn parse(block: &[u8]) -> Self {
        let mut header = Self::default();
        let mut read = String::new();
        let block = match block.get(..limits::HEADER_BYTES) {
            Some(head) => {
                header.is_cut = true;
                head
            }
            None => block,
        };
        for (name, value) in fields(block) {
            if header.fields.len() >= limits::HEADER_FIELDS {
                header.is_cut = true;
                break;
            }
            let name = name.to_ascii_lowercase();
            let value = decode_raw(value);
            // Seen from Trustwave: `ContentType:`.
            header.has_type_typo |= name == "contenttype";
            let known = if name == "contenttype" { "content-type" } else { &name };
            if READ.contains(&known) {
                read.push_str(known);
                read.push_str(": ");
                read.push_str(&value);
                read.push_str("\r\n");
            }
            header.fields.push((name, cut(&value).to_owned()));
        }
        read.push_str("\r\n");
        if let Some(parsed) = MessageParser::new().parse_headers(read.as_bytes()) {
            for field in parsed.headers() {
                header.take(&field.name, &field.value);
            }
        }
        header
    }

    /// The first field of that name (any case): unfolded, raw 8-bit text decoded, encoded words not.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// All fields in order: name in lower case, value as in [`Self::field`].
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Takes one value that mail-parser read; the first of a name counts.
    fn take(&mut self, name: &HeaderName<'_>, value: &HeaderValue<'_>) {
        match (name, value) {
            (HeaderName::Subject, HeaderValue::Text(text)) if self.subject.is_none() => {
                self.subject = Some(one_line(text));
            }
            (HeaderName::From, HeaderValue::Address(address)) if self.from.is_none() => {
                let text = first_address(address).unwrap_or_default();
                self.from = Address::parse(&text);
                let domain = text.rsplit_once('@').map_or("", |(_, domain)| domain);
                self.from_domain = DomainName::parse(domain);
            }
            (HeaderName::Date, HeaderValue::DateTime(date)) if self.date.is_none() => {
                self.date = Some(date.to_timestamp());
            }
            (HeaderName::MessageId, _) if self.message_id.is_none() => {
                self.message_id = texts(value).into_iter().next();
            }
            (HeaderName::InReplyTo | HeaderName::References, _) => {
                let room = limits::HEADER_REFERENCES.saturating_sub(self.references.len());
                self.references.extend(texts(value).into_iter().take(room));
            }
            (HeaderName::ContentTransferEncoding, HeaderValue::Text(text)) if self.transfer.is_none() => {
                self.transfer = Some(Transfer::parse(text));
            }
            (HeaderName::ContentType, HeaderValue::ContentType(kind)) if self.content_type.is_empty() => {
                let subtype = kind.subtype().unwrap_or_default();
                self.content_type = one_line(&format!("{}/{subtype}", kind.ctype())).to_ascii_lowercase();
                self.boundary = kind.attribute("boundary").map(str::to_owned);
                self.charset = kind.attribute("charset").map(str::to_owned);
                self.report_type = kind.attribute("report-type").map(str::to_ascii_lowercase);
                if self.file_name.is_empty() {
                    self.file_name = kind.attribute("name").map(one_line).unwrap_or_default();
                }
            }
            (HeaderName::ContentDisposition, HeaderValue::ContentType(kind)) => {
                self.is_attachment |= kind.ctype().eq_ignore_ascii_case("attachment");
                if let Some(name) = kind.attribute("filename") {
                    self.file_name = one_line(name);
                }
            }
            _ => {}
        }
    }
}

/// Where the header of an entity ends: the length of the header block and the start of the body.
pub(super) fn split(entity: &[u8]) -> (&[u8], &[u8]) {
    let mut start = 0;
    loop {
        let rest = entity.get(start..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', rest) else { return (entity, &[]) };
        let line = rest.get(..end).unwrap_or_default();
        if line.is_empty() || line == b"\r" {
            let body = rest.get(end + 1..).unwrap_or_default();
            return (entity.get(..start).unwrap_or_default(), body);
        }
        start += end + 1;
    }
}

/// The fields of a message's own header in order: names as written and raw values with their folds. All of them,
/// however many; lines that are no field are left out, also the line of an mbox before the header.
pub fn raw_fields(message: &[u8]) -> impl Iterator<Item = (String, &[u8])> {
    fields(split(message).0)
}

/// The fields of a header block: names and raw values with their folds.
pub(super) fn fields(block: &[u8]) -> impl Iterator<Item = (String, &[u8])> {
    let mut rest = block;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            // A field ends at a line end that no blank follows.
            let mut end = 0;
            loop {
                let tail = rest.get(end..).unwrap_or_default();
                match memchr::memchr(b'\n', tail) {
                    Some(at) => end += at + 1,
                    None => {
                        end = rest.len();
                        break;
                    }
                }
                if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                    break;
                }
            }
            let (field, next) = rest.split_at(end);
            rest = next;
            let Some(colon) = memchr::memchr(b':', field) else { continue };
            let name = field.get(..colon).unwrap_or_default().trim_ascii();
            if name.is_empty() || name.len() > 200 || !name.iter().all(u8::is_ascii_graphic) {
                continue;
            }
            let value = field.get(colon + 1..).unwrap_or_default();
            return Some((String::from_utf8_lossy(name).into_owned(), value));
        }
    })
}

/// Unfolds a value; bytes outside UTF-8 are taken for windows-1252. Longer values are cut.
pub(super) fn decode_raw(value: &[u8]) -> String {
    let value = value.get(..limits::HEADER_VALUE_BYTES).unwrap_or(value);
    let text: Cow<'_, str> = match std::str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(value).0,
    };
    let unfolded: String = text.chars().filter(|c| !matches!(c, '\r' | '\n' | '\0')).collect();
    unfolded.trim().to_owned()
}

/// A value with its encoded words decoded (RFC 2047), on one line, cut to what is kept of a field.
pub fn decode_words(value: &str) -> String {
    let field = format!("Subject: {}\r\n\r\n", one_line(value));
    let parsed = MessageParser::new().parse_headers(field.as_bytes());
    let subject = parsed.as_ref().and_then(|message| message.subject());
    subject.map_or_else(|| one_line(value), one_line)
}

/// A text on one line, without controls, cut to what is kept of a field.
fn one_line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut(clean.trim()).to_owned()
}

/// Cuts a text to what is kept of a field.
pub(super) fn cut(text: &str) -> &str {
    let mut end = text.len().min(limits::HEADER_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The first address of a list or of its first group.
fn first_address(address: &ParsedAddress<'_>) -> Option<String> {
    let list = match address {
        ParsedAddress::List(list) => list.first(),
        ParsedAddress::Group(groups) => groups.iter().find_map(|group| group.addresses.first()),
    };
    list.and_then(|address| address.address.as_deref()).map(one_line)
}

/// The texts of a value that is one text or a list.
fn texts(value: &HeaderValue<'_>) -> Vec<String> {
    match value {
        HeaderValue::Text(text) => vec![one_line(text)],
        HeaderValue::TextList(list) => list.iter().map(|text| one_line(text)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_fields() {
        let header = Header::parse(
            b"From: =?utf-8?q?B=C3=BC?= <User@B\xc3\xbccher.example>\r\nSubject: =?utf-8?B?aGVsbG8=?=\r\n world\r\n\
              Message-ID: <1@a>\r\nIn-Reply-To: <2@b>\r\nReferences: <3@c> <4@d>\r\n\
              Date: Mon, 02 Mar 2026 04:10:00 +0100\r\nX-Odd :  x\r\n\ty\r\nno colon here\r\n",
        );
        assert_eq!(header.from_domain.as_ref().map(DomainName::as_str), Some("xn--bcher-kva.example"));
        assert_eq!(header.subject.as_deref(), Some("hello world"));
        assert_eq!(header.message_id.as_deref(), Some("1@a"));
        assert_eq!(header.references, ["2@b", "3@c", "4@d"]);
        assert_eq!(header.date, Some(1_772_421_000));
        assert_eq!(header.field("x-odd"), Some("x\ty"));
        assert_eq!(header.fields().count(), 7);
    }

    #[test]
    fn part_fields() {
        let header = Header::parse(
            b"ContentType: application/gzip; name=a!b.gz\r\nContent-Disposition: attachment;\r\n \
              filename*0=\"long!\"; filename*1=name.gz\r\nContent-Transfer-Encoding:  BASE64 \r\n",
        );
        assert!(header.has_type_typo && header.is_attachment);
        assert_eq!(header.content_type, "application/gzip");
        assert_eq!(header.file_name, "long!name.gz");
        assert_eq!(header.transfer, Some(Transfer::Base64));
    }

    #[test]
    fn encoded_words() {
        let cases = [
            ("plain", "plain"),
            ("=?utf-8?B?w5xiZXJzaWNodA==?= <a@b>", "\u{dc}bersicht <a@b>"),
            ("=?iso-8859-1?q?a=E9_b?=\r\n =?iso-8859-1?Q?c?= d", "a\u{e9} bc d"),
            ("=?utf-8?Q?a", "=?utf-8?Q?a"),
            ("", ""),
        ];
        for (value, want) in cases {
            assert_eq!(decode_words(value), want, "{value:?}");
        }
        assert!(decode_words(&"=?utf-8?Q?".repeat(10_000)).len() <= limits::HEADER_TEXT_BYTES);
    }

    #[test]
    fn hostile_fields_end() {
        let long = [b"Subject: ".to_vec(), vec![b'x'; 2 * limits::HEADER_BYTES]].concat();
        let header = Header::parse(&long);
        assert!(header.is_cut);
        assert!(header.subject.is_some_and(|subject| subject.len() <= limits::HEADER_TEXT_BYTES));
        let many = b"X-A: b\r\n".repeat(limits::HEADER_FIELDS + 10);
        assert!(Header::parse(&many).is_cut);
        for odd in [b":\r\n".as_slice(), b"\r\n", b"From: \r\n", b"From: <@>\r\n", b"Content-Type: ;;;=\r\n"]
        {
            assert_eq!(Header::parse(odd).from, None);
        }
    }

    #[test]
    fn splits_at_the_first_empty_line() {
        assert_eq!(split(b"a: b\r\n\r\nbody"), (b"a: b\r\n".as_slice(), b"body".as_slice()));
        assert_eq!(split(b"a: b\n\nbody\n\n"), (b"a: b\n".as_slice(), b"body\n\n".as_slice()));
        assert_eq!(split(b"\r\nbody"), (b"".as_slice(), b"body".as_slice()));
        assert_eq!(split(b"a: b"), (b"a: b".as_slice(), b"".as_slice()));
    }
}
