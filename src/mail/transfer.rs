//! Content transfer encodings, undone with tolerance (RFC 2045 §6).

use std::borrow::Cow;

/// A content transfer encoding, as declared or as found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// 7bit, 8bit, binary and anything unknown: the bytes as they are.
    Identity,
    /// Base64 (RFC 2045 §6.8).
    Base64,
    /// Quoted-printable (RFC 2045 §6.7).
    QuotedPrintable,
}

impl Transfer {
    /// Reads the field's value, in any case and with blanks around it.
    pub fn parse(value: &str) -> Self {
        let word = value.trim().trim_matches('"');
        if word.eq_ignore_ascii_case("base64") {
            Self::Base64
        } else if word.eq_ignore_ascii_case("quoted-printable") {
            Self::QuotedPrintable
        } else {
            Self::Identity
        }
    }

    /// Undoes the encoding. The flag tells that base64 had to be repaired.
    pub fn decode(self, raw: &[u8]) -> (Cow<'_, [u8]>, bool) {
        match self {
            Self::Identity => (Cow::Borrowed(raw), false),
            Self::Base64 => {
                let (bytes, is_repaired) = base64(raw);
                (Cow::Owned(bytes), is_repaired)
            }
            Self::QuotedPrintable => (Cow::Owned(quoted_printable(raw)), false),
        }
    }
}

/// Values of the base64 alphabet; 64 marks blanks, 65 the pad, 66 anything else.
const ALPHABET: [u8; 256] = {
    let mut table = [66u8; 256];
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut at = 0u8;
    while at < 64 {
        table[letters[at as usize] as usize] = at;
        at += 1;
    }
    table[b'=' as usize] = 65;
    table[b' ' as usize] = 64;
    table[b'\t' as usize] = 64;
    table[b'\r' as usize] = 64;
    table[b'\n' as usize] = 64;
    table
};

/// Decodes base64: foreign bytes are skipped, a pad ends it, a missing pad is no fault.
///
/// The flag tells that something was not as RFC 2045 §6.8 wants it.
fn base64(raw: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::with_capacity(raw.len() / 4 * 3 + 3);
    let (mut group, mut have, mut is_repaired) = (0u32, 0u32, false);
    let mut bytes = raw.iter();
    let mut is_padded = false;
    for byte in bytes.by_ref() {
        match ALPHABET.get(usize::from(*byte)).copied().unwrap_or(66) {
            value @ 0..64 => {
                group = group << 6 | u32::from(value);
                have += 1;
                if have == 4 {
                    let [_, a, b, c] = group.to_be_bytes();
                    out.extend_from_slice(&[a, b, c]);
                    (group, have) = (0, 0);
                }
            }
            64 => {}
            65 => {
                is_padded = true;
                break;
            }
            _ => is_repaired = true,
        }
    }
    match have {
        0 => {}
        1 => is_repaired = true,
        _ => {
            let [_, a, b, _] = (group << (6 * (4 - have))).to_be_bytes();
            out.push(a);
            if have == 3 {
                out.push(b);
            }
            is_repaired |= !is_padded;
        }
    }
    is_repaired |= bytes.any(|byte| !matches!(byte, b'=' | b' ' | b'\t' | b'\r' | b'\n'));
    (out, is_repaired)
}

/// Decodes quoted-printable: a broken escape stays as it stands.
fn quoted_printable(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    for line in raw.split_inclusive(|b| *b == b'\n') {
        let body = line.strip_suffix(b"\n").unwrap_or(line);
        let body = body.strip_suffix(b"\r").unwrap_or(body);
        let ending = line.get(body.len()..).unwrap_or_default();
        // RFC 2045 §6.7 rule 3: blanks at the end of a line were added on the way.
        let body = body.trim_ascii_end();
        let (body, is_soft) = match body.strip_suffix(b"=") {
            Some(rest) => (rest, true),
            None => (body, false),
        };
        let mut rest = body;
        while let Some(at) = memchr::memchr(b'=', rest) {
            let (before, from) = rest.split_at(at);
            out.extend_from_slice(before);
            let hex = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
            match (hex(from.get(1)), hex(from.get(2))) {
                (Some(high), Some(low)) => {
                    out.push(u8::try_from(high << 4 | low).unwrap_or_default());
                    rest = from.get(3..).unwrap_or_default();
                }
                _ => {
                    out.push(b'=');
                    rest = from.get(1..).unwrap_or_default();
                }
            }
        }
        out.extend_from_slice(rest);
        if !is_soft {
            out.extend_from_slice(ending);
        }
    }
    out
}

/// True for text that is base64 of something packed or of XML although no header says so.
pub(super) fn is_undeclared_base64(raw: &[u8]) -> bool {
    // The encoded beginnings of gzip, zip, `<?xml`, `<feedback` and `<?xml` after a byte order mark.
    const BEGINNINGS: [&[u8]; 5] = [b"H4sI", b"UEsDB", b"PD94bW", b"PGZlZWRiYWNr", b"77u/PD94"];
    let text = raw.trim_ascii_start();
    if !BEGINNINGS.iter().any(|beginning| text.starts_with(beginning)) {
        return false;
    }
    let line = text.split(|b| *b == b'\n').next().unwrap_or_default().trim_ascii_end();
    line.iter().all(|b| ALPHABET.get(usize::from(*b)).is_some_and(|value| *value < 64 || *value == 65))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_forgiving() {
        let cases: [(&[u8], &[u8], bool); 10] = [
            (b"aGVsbG8=", b"hello", false),
            (b"aGVs\r\nbG8=\r\n", b"hello", false),
            (b"aGVsbG8", b"hello", true),
            (b"aGVs*bG8=", b"hello", true),
            (b"aGVsbG8=\r\n--junk", b"hello", true),
            (b"aGVsbG9oZWxsbw==", b"hellohello", false),
            (b"", b"", false),
            (b"a", b"", true),
            (b"aGVs bG8= ", b"hello", false),
            (b"\xff\xfe", b"", true),
        ];
        for (raw, want, is_repaired) in cases {
            let (bytes, repaired) = Transfer::Base64.decode(raw);
            assert_eq!((&*bytes, repaired), (want, is_repaired), "{}", String::from_utf8_lossy(raw));
        }
    }

    #[test]
    fn quoted_printable_is_forgiving() {
        let cases: [(&[u8], &[u8]); 6] = [
            (b"a=3Db", b"a=b"),
            (b"a=\r\nb\r\n", b"ab\r\n"),
            (b"a= \r\nb", b"ab"),
            (b"a  \r\nb", b"a\r\nb"),
            (b"a=zzb", b"a=zzb"),
            (b"=e9", b"\xe9"),
        ];
        for (raw, want) in cases {
            assert_eq!(&*Transfer::QuotedPrintable.decode(raw).0, want);
        }
    }

    #[test]
    fn base64_without_a_header() {
        assert!(is_undeclared_base64(b"\r\nH4sIAAAA\r\nAAAA"));
        assert!(!is_undeclared_base64(b"H4sI is how it begins"));
        assert!(!is_undeclared_base64(b"hello"));
    }

    #[test]
    fn declared_words() {
        assert_eq!(Transfer::parse(" BASE64 "), Transfer::Base64);
        assert_eq!(Transfer::parse("Quoted-Printable"), Transfer::QuotedPrintable);
        assert_eq!(Transfer::parse("binary"), Transfer::Identity);
    }
}
