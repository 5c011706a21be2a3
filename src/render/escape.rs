//! Text from outside made harmless for the place where it is printed.
//!
//! One rule for all places: what would act on a terminal or hide itself becomes visible as an escape
//! such as `\x1b` or `\u{202e}`. Format rules (HTML, Markdown, CSV, JSON) come on top of it.

use std::borrow::Cow;
use std::fmt::Write as _;

pub use crate::mail::visible::{is_unsafe, terminal};

/// A text that is safe in an HTML page, as content and in a quoted attribute.
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in terminal(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// A text that is safe in a cell of a Markdown table: no markup, no link, no raw HTML works.
///
/// What is harmless stays as it is, so that the text can be read without a renderer too.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let safe = terminal(text);
    let mut rest = safe.chars();
    let mut before = ' ';
    while let Some(c) = rest.next() {
        let after = rest.as_str();
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Within a word it marks nothing.
            '_' if before.is_alphanumeric() && after.starts_with(char::is_alphanumeric) => out.push('_'),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '!' | '#' | '~' | '$' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            // A bare address, scheme or `www.` becomes a link in many renderers.
            '@' => out.push_str("&#64;"),
            ':' if after.starts_with("//") => out.push_str("&#58;"),
            '.' if matches!(before, 'w' | 'W') => out.push_str("&#46;"),
            other => out.push(other),
        }
        before = c;
    }
    out
}

/// A text that no spreadsheet takes for a formula.
///
/// A cell that begins with `= + - @`, their full-width forms, TAB or CR gets a `'` in front, also after
/// leading blanks, unless the whole cell is a plain number. Standard: RFC 4180 §2 knows no such danger;
/// the quoting itself is done by the writer.
pub fn spreadsheet(text: &str) -> Cow<'_, str> {
    let safe = terminal(text);
    let first = text.trim_start_matches([' ', '\u{a0}', '\u{3000}', '\n']).chars().next();
    let begins_formula = matches!(
        first,
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}')
    );
    if begins_formula && !is_plain_number(text) { Cow::Owned(format!("'{safe}")) } else { safe }
}

/// True for `-12`, `+3.50` and the like: digits with at most one sign and one point.
fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    all_digits(whole) && all_digits(part)
}

/// Appends a JSON string with its quotes. What is unsafe on a terminal is written as `\uXXXX`, so that
/// the value stays the same and printing it does no harm. Standard: RFC 8259 §7.
pub fn json_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unsafe(c) => {
                let mut units = [0u16; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way in which a text can act on a terminal.
    const HOSTILE: [&str; 8] = [
        "\u{1b}[2J\u{1b}[1;1H",
        "\u{9b}31m",
        "a\rb\nc\td",
        "\u{202e}gpj.exe",
        "zero\u{200b}width\u{feff}",
        "\u{7}\u{8}\u{7f}",
        "\u{2066}iso\u{2069}",
        "\u{e0041}tag",
    ];

    #[test]
    fn nothing_unsafe_leaves() {
        for text in HOSTILE {
            let mut quoted = String::new();
            json_string(&mut quoted, text);
            for out in
                [terminal(text).into_owned(), html(text), markdown(text), spreadsheet(text).into_owned()]
            {
                assert!(!out.chars().any(is_unsafe), "{text:?} -> {out:?}");
            }
            assert!(!quoted.chars().any(is_unsafe), "{quoted:?}");
            let back: String = serde_json::from_str(&quoted).unwrap();
            assert_eq!(back, text);
        }
    }

    #[test]
    fn spreadsheet_cells() {
        let cases = [
            ("=HYPERLINK(\"x\")", "'=HYPERLINK(\"x\")"),
            ("+1+1", "'+1+1"),
            ("-2+3", "'-2+3"),
            ("-2", "-2"),
            ("+3.50", "+3.50"),
            ("-", "'-"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\\t=1"),
            ("\r=1", "'\\r=1"),
            ("  =1", "'  =1"),
            ("＝1", "'＝1"),
            ("a=1", "a=1"),
            ("", ""),
            ("1.2.3", "1.2.3"),
        ];
        for (text, want) in cases {
            assert_eq!(spreadsheet(text), want, "{text:?}");
        }
    }

    #[test]
    fn markup_is_dead() {
        assert_eq!(html("<script>'\"&"), "&lt;script&gt;&#39;&quot;&amp;");
        assert_eq!(markdown("a|b [x](http://y)"), "a\\|b \\[x\\](http&#58;//y)");
    }
    mod properties {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            /// Whatever the text is: nothing unsafe leaves, and JSON keeps the value.
            #[test]
            fn any_text_is_harmless(text in any::<String>()) {
                let mut quoted = String::new();
                json_string(&mut quoted, &text);
                let back: String = serde_json::from_str(&quoted).unwrap();
                prop_assert_eq!(&back, &text);
                let outs = [quoted, terminal(&text).into_owned(), html(&text), markdown(&text), spreadsheet(&text).into_owned()];
                for out in &outs {
                    prop_assert!(!out.chars().any(is_unsafe), "{:?}", out);
                }
                prop_assert!(!outs[2].contains(['<', '>', '"', '\'']));
                prop_assert!(!outs[4].starts_with(['=', '@']));
            }
        }
    }
}
