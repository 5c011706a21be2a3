//! What some bytes are, by their beginning. Names and declared types never decide.

/// Bytes of the beginning that [`sniff`] wants to see.
pub const SNIFF_BYTES: usize = 4_096;

/// What some bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// Nothing, or blanks only.
    Empty,
    /// Gzip (RFC 1952).
    Gzip,
    /// Zlib (RFC 1950).
    Zlib,
    /// A zip archive.
    Zip,
    /// A tar archive.
    Tar,
    /// A packing that is not read, by name.
    Unsupported(&'static str),
    /// XML that may be a report.
    Xml,
    /// Report XML whose markup was escaped as text.
    EscapedXml,
    /// A TLS report (RFC 8460), by its keys.
    TlsJson,
    /// Other JSON.
    Json,
    /// A message with a header.
    Mail,
    /// The word that stands in place of a report.
    Placeholder,
    /// Anything else, by a name for the operator.
    Other(&'static str),
}

impl Content {
    /// A name for the operator.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
            Self::Zip => "zip",
            Self::Tar => "tar",
            Self::Xml => "XML",
            Self::EscapedXml => "escaped XML",
            Self::TlsJson => "TLS report",
            Self::Json => "JSON",
            Self::Mail => "mail",
            Self::Placeholder => "placeholder",
            Self::Unsupported(name) | Self::Other(name) => name,
        }
    }
}

/// Signatures at the very beginning.
const MAGIC: &[(&[u8], Content)] = &[
    (b"\x1f\x8b", Content::Gzip),
    (b"PK\x03\x04", Content::Zip),
    (b"PK\x05\x06", Content::Zip),
    (b"PK00PK\x03\x04", Content::Zip),
    (b"BZh", Content::Unsupported("bzip2")),
    (b"\xfd7zXZ\x00", Content::Unsupported("xz")),
    (b"7z\xbc\xaf\x27\x1c", Content::Unsupported("7z")),
    (b"Rar!\x1a\x07", Content::Unsupported("rar")),
    (b"\x28\xb5\x2f\xfd", Content::Unsupported("zstd")),
    (b"\x04\x22\x4d\x18", Content::Unsupported("lz4")),
    (b"\x1f\x9d", Content::Unsupported("compress")),
    (b"LZIP", Content::Unsupported("lzip")),
    (b"MSCF", Content::Unsupported("cab")),
    (b"%PDF", Content::Other("PDF")),
    (b"\x89PNG", Content::Other("image")),
    (b"GIF8", Content::Other("image")),
    (b"\xff\xd8\xff", Content::Other("image")),
    (b"\xd0\xcf\x11\xe0", Content::Other("OLE document")),
    (b"MZ", Content::Other("program")),
    (b"\x7fELF", Content::Other("program")),
];

/// Says what bytes are that begin with `head`.
///
/// `head` should be the first [`SNIFF_BYTES`], or all where there are fewer.
pub fn sniff(head: &[u8]) -> Content {
    if let Some((_, content)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return *content;
    }
    if let [first @ 0x78, second @ (0x01 | 0x5e | 0x9c | 0xda), ..] = head
        && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0
    {
        return Content::Zlib;
    }
    if head.get(257..262) == Some(b"ustar") {
        return Content::Tar;
    }
    sniff_text(&as_text(head))
}

/// The beginning as bytes of ASCII text: marks and the zeros of UTF-16 are dropped.
fn as_text(head: &[u8]) -> Vec<u8> {
    let is_wide = matches!(head, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'<', 0, ..] | [0, b'<', ..]);
    let body = match head {
        [0xef, 0xbb, 0xbf, rest @ ..] | [0xff, 0xfe, rest @ ..] | [0xfe, 0xff, rest @ ..] => rest,
        other => other,
    };
    let bytes = body.iter().copied().filter(|b| !is_wide || *b != 0);
    let text: Vec<u8> = bytes.collect();
    let start = text.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(text.len());
    text.get(start..).unwrap_or_default().to_vec()
}

fn sniff_text(text: &[u8]) -> Content {
    let starts = |word: &[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let contains = |word: &[u8]| memchr::memmem::find(text, word).is_some();
    match text.first() {
        None => return Content::Empty,
        Some(b'<') => {
            if starts(b"<!doctype html") || starts(b"<html") || starts(b"<svg") {
                return Content::Other("HTML");
            }
            return Content::Xml;
        }
        Some(b'{' | b'[') => {
            let keys: [&[u8]; 5] = [
                b"\"organization-name\"",
                b"\"date-range\"",
                b"\"contact-info\"",
                b"\"report-id\"",
                b"\"policies\"",
            ];
            let is_tls = keys.iter().filter(|key| contains(key)).count() >= 2;
            return if is_tls { Content::TlsJson } else { Content::Json };
        }
        Some(_) => {}
    }
    // Seen from Yahoo, May 2023: the word `unused` in place of a report.
    if text.trim_ascii().eq_ignore_ascii_case(b"unused") {
        return Content::Placeholder;
    }
    if is_mail(text) {
        return Content::Mail;
    }
    if contains(b"&lt;feedback") {
        return Content::EscapedXml;
    }
    // Text before the report: some gateways add a line.
    if contains(b"<feedback") && contains(b"<report_metadata") {
        return Content::Xml;
    }
    let is_text = text.iter().all(|b| *b >= 0x20 || matches!(b, b'\t' | b'\r' | b'\n' | 0x0c | 0x1b));
    Content::Other(if is_text { "text" } else { "binary data" })
}

/// True for text that begins with a message header: at least two fields that mails have.
fn is_mail(text: &[u8]) -> bool {
    const FIELDS: [&[u8]; 12] = [
        b"from:",
        b"to:",
        b"date:",
        b"subject:",
        b"received:",
        b"return-path:",
        b"delivered-to:",
        b"message-id:",
        b"mime-version:",
        b"content-type:",
        b"dkim-signature:",
        b"x-",
    ];
    let mut known = 0;
    for (number, line) in text.split(|b| *b == b'\n').enumerate() {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            break;
        }
        // The line of an mbox before the header.
        if number == 0 && line.starts_with(b"From ") || line.starts_with(b" ") || line.starts_with(b"\t") {
            continue;
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            // The last line may be cut by the end of what we see.
            return known >= 2 && text.len() >= SNIFF_BYTES - 4;
        };
        let name = line.get(..colon).unwrap_or_default();
        if name.is_empty() || !name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
            return false;
        }
        let is_known =
            |field: &[u8]| line.get(..field.len()).is_some_and(|start| start.eq_ignore_ascii_case(field));
        known += u32::from(FIELDS.iter().any(|field| is_known(field)));
    }
    known >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings() {
        let utf16: Vec<u8> = "\u{feff}<?xml?>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let cases: [(&[u8], Content); 20] = [
            (b"", Content::Empty),
            (b" \r\n", Content::Empty),
            (b"\x1f\x8b\x08", Content::Gzip),
            (b"\x78\x9cabc", Content::Zlib),
            (b"x=1", Content::Other("text")),
            (b"PK\x03\x04", Content::Zip),
            (b"BZh91AY", Content::Unsupported("bzip2")),
            (b"%PDF-1.4", Content::Other("PDF")),
            (b"\n <?xml?>", Content::Xml),
            (b"\xef\xbb\xbf<feedback>", Content::Xml),
            (&utf16, Content::Xml),
            (b"<!DOCTYPE HTML>", Content::Other("HTML")),
            (b"&lt;?xml?&gt;\n&lt;feedback&gt;", Content::EscapedXml),
            (b"{\"organization-name\":\"a\",\"policies\":[]}", Content::TlsJson),
            (b"{\"a\":1}", Content::Json),
            (b"unused\n", Content::Placeholder),
            (b"Received: from a\r\n by b\r\nFrom: c@d\r\n\r\nbody", Content::Mail),
            (b"From c Tue\nFrom: c\nTo: d\n\nbody", Content::Mail),
            (b"Dear all,\nsubject: none\n", Content::Other("text")),
            (b"note <feedback><report_metadata>", Content::Xml),
        ];
        for (head, want) in cases {
            assert_eq!(sniff(head), want, "{:?}", String::from_utf8_lossy(head));
        }
    }
}
