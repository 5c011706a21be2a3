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
        }
    }
}
