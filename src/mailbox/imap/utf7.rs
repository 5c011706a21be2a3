//! Names of folders in the modified UTF-7 of RFC 3501 §5.1.3.

use data_encoding::BASE64_NOPAD;

/// Writes a name as it goes over the wire: ASCII, all else in shifted base64 of UTF-16.
pub(super) fn encode(name: &str) -> String {
    let mut out = String::new();
    let mut shifted = Vec::new();
    for c in name.chars() {
        if matches!(c, ' '..='~') {
            flush(&mut out, &mut shifted);
            out.push(c);
            if c == '&' {
                out.push('-');
            }
        } else {
            let mut units = [0; 2];
            shifted.extend(c.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    flush(&mut out, &mut shifted);
    out
}

/// Writes what was gathered in its shift.
fn flush(out: &mut String, shifted: &mut Vec<u8>) {
    if !shifted.is_empty() {
        out.push('&');
        out.push_str(&BASE64_NOPAD.encode(shifted).replace('/', ","));
        out.push('-');
        shifted.clear();
    }
}

/// Reads a name from the wire. What is no modified UTF-7 stays as it is: some servers send UTF-8, or worse.
pub(super) fn decode(name: &str) -> String {
    let mut out = String::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let Some((coded, behind)) = after.split_once('-') else {
            out.push('&');
            rest = after;
            continue;
        };
        match shifted(coded) {
            Some(text) => out.push_str(&text),
            None => {
                out.push('&');
                out.push_str(coded);
                out.push('-');
            }
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// The text of one shift; `&-` is the sign itself.
fn shifted(coded: &str) -> Option<String> {
    if coded.is_empty() {
        return Some("&".to_owned());
    }
    let bytes = BASE64_NOPAD.decode(coded.replace(',', "/").as_bytes()).ok()?;
    let (pairs, []) = bytes.as_chunks::<2>() else { return None };
    let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_the_standard_writes_them() {
        let cases = [
            ("INBOX", "INBOX"),
            ("Tom & Jerry", "Tom &- Jerry"),
            // RFC 3501 §5.1.3, its own example.
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("😀", "&2D3eAA-"),
        ];
        for (name, want) in cases {
            assert_eq!(encode(name), want, "{name}");
            assert_eq!(decode(want), name, "{name}");
        }
        for odd in ["&", "a&b", "&!-", "&AA-", "Entwürfe", "&2D0-"] {
            assert_eq!(decode(odd), odd);
        }
    }
}
