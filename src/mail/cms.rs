//! The content of an opaque S/MIME part: CMS SignedData unwrapped, its signature neither used nor trusted.
//!
//! Only as much of BER is read as leads to the content. Standard: RFC 8551 §3.5.2, RFC 5652 §5.1.

/// The object identifier of id-signedData, 1.2.840.113549.1.7.2, as encoded.
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];

/// Values within values that are looked into.
const DEPTH: usize = 16;

/// The content that was signed: a MIME entity. `None` for anything but SignedData with content.
pub fn signed_content(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut ber = Ber { rest: bytes };
    ber.open(0x30)?;
    if ber.value(0x06)? != SIGNED_DATA {
        return None;
    }
    ber.open(0xa0)?;
    ber.open(0x30)?;
    // The version and the digest algorithms.
    ber.value(0x02)?;
    ber.skip(DEPTH)?;
    ber.open(0x30)?;
    ber.value(0x06)?;
    ber.open(0xa0)?;
    ber.octets()
}

/// A cursor over BER values (ITU-T X.690 §8.1).
struct Ber<'a> {
    rest: &'a [u8],
}

impl<'a> Ber<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Reads a tag and a length; the length is absent where it is indefinite.
    fn header(&mut self) -> Option<(u8, Option<usize>)> {
        let tag = self.byte()?;
        // Tags of several bytes do not occur here.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let length = match self.byte()? {
            0x80 => return Some((tag, None)),
            short @ 0..0x80 => usize::from(short),
            long => {
                let count = usize::from(long & 0x7f);
                if count > 4 {
                    return None;
                }
                let mut length = 0usize;
                for _ in 0..count {
                    length = length << 8 | usize::from(self.byte()?);
                }
                length
            }
        };
        Some((tag, Some(length)))
    }

    /// Goes into a constructed value.
    fn open(&mut self, tag: u8) -> Option<()> {
        (self.header()?.0 == tag).then_some(())
    }

    /// Reads a primitive value.
    fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, length) = self.header()?;
        if found != tag {
            return None;
        }
        self.take(length?)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (value, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(value)
    }

    /// Passes over one value, whatever it is.
    fn skip(&mut self, depth: usize) -> Option<()> {
        match self.header()? {
            (_, Some(length)) => self.take(length).map(drop),
            (_, None) if depth == 0 => None,
            (_, None) => {
                while !self.rest.starts_with(&[0, 0]) {
                    self.skip(depth - 1)?;
                }
                self.take(2).map(drop)
            }
        }
    }

    /// Reads an octet string, in one piece or in several (ITU-T X.690 §8.7).
    fn octets(&mut self) -> Option<Vec<u8>> {
        match self.header()? {
            (0x04, Some(length)) => self.take(length).map(<[u8]>::to_vec),
            (0x24, length) => {
                let mut pieces = match length {
                    Some(length) => Self { rest: self.take(length)? },
                    None => Self { rest: self.rest },
                };
                let mut out = Vec::new();
                while !pieces.rest.is_empty() && !pieces.rest.starts_with(&[0, 0]) {
                    out.extend_from_slice(pieces.value(0x04)?);
                }
                Some(out)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A value of that tag with a definite length.
    pub(crate) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x84], length.as_slice(), content].concat()
    }

    /// A value of that tag with an indefinite length.
    fn endless(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, 0x80], content, &[0, 0]].concat()
    }

    /// SignedData around an encoded octet string.
    pub(crate) fn signed(octets: &[u8], wrap: fn(u8, &[u8]) -> Vec<u8>) -> Vec<u8> {
        let data = value(0x06, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01]);
        let content = wrap(0x30, &[data, wrap(0xa0, octets)].concat());
        let algorithms = wrap(0x31, &value(0x30, &value(0x06, &[0x2b])));
        let all = [value(0x02, &[1]), algorithms, content, value(0x31, b"signers")].concat();
        wrap(0x30, &[value(0x06, SIGNED_DATA), wrap(0xa0, &wrap(0x30, &all))].concat())
    }

    #[test]
    fn content_in_every_form() {
        let whole = value(0x04, b"Content-Type: text/xml\r\n\r\n<a/>");
        let pieces = [value(0x04, b"Content-Type: text/xml\r\n"), value(0x04, b"\r\n<a/>")].concat();
        for octets in [whole, value(0x24, &pieces), endless(0x24, &pieces)] {
            for wrap in [value as fn(u8, &[u8]) -> Vec<u8>, endless] {
                let content = signed_content(&signed(&octets, wrap)).unwrap();
                assert_eq!(content, b"Content-Type: text/xml\r\n\r\n<a/>");
            }
        }
    }

    #[test]
    fn anything_else_is_nothing() {
        let whole = signed(&value(0x04, b"x"), value);
        let end = whole.len() - value(0x31, b"signers").len();
        for cut in 0..end {
            assert_eq!(signed_content(&whole[..cut]), None, "{cut}");
        }
        let encrypted = whole.iter().map(|b| if *b == 0x02 { 0x03 } else { *b }).collect::<Vec<_>>();
        assert_eq!(signed_content(&encrypted), None);
        assert_eq!(signed_content(&[0x30, 0x80].repeat(100_000)), None);
        assert_eq!(signed_content(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
