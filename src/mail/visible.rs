//! Text from outside with everything in it to be seen: what would act on a terminal, or hide itself, becomes an escape
//! such as `\x1b` or `\u{202e}`.

use std::borrow::Cow;
use std::fmt::Write as _;

/// True for a character that moves the cursor, changes the direction of the text, or cannot be seen.
///
/// Controls of C0 and C1, DEL, line and paragraph separators, bidirectional controls, zero-width and
/// other invisible characters, tag characters, private use and noncharacters. The two selectors of
/// emoji and text style stay: half of all subjects hold one.
pub const fn is_unsafe(c: char) -> bool {
    matches!(c,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0d}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}')
}

/// Appends a character as it is, or its visible escape.
pub fn push(out: &mut String, c: char) {
    if !is_unsafe(c) {
        return out.push(c);
    }
    let known = match c {
        '\n' => Some("\\n"),
        '\r' => Some("\\r"),
        '\t' => Some("\\t"),
        _ => None,
    };
    match known {
        Some(text) => out.push_str(text),
        None if u32::from(c) < 0x100 => {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        }
        None => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
}

/// A text that is safe on a terminal, in one line.
pub fn terminal(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        push(&mut out, c);
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_seen() {
        let cases = [
            ("plain", "plain"),
            ("日本語 é", "日本語 é"),
            ("\u{1b}[31m", "\\x1b[31m"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\r\n\t", "a\\r\\n\\t"),
        ];
        for (text, want) in cases {
            assert_eq!(terminal(text), want);
        }
    }
}
