//! References in text: the five of XML, characters by number, names of HTML. Nothing else is expanded.

use crate::reports::{Deviations, quirk};

/// Longest reference that is looked at, bytes without `&` and `;`.
const REFERENCE_BYTES: usize = 32;

/// Writes `raw` with its references resolved to the end of `out`.
///
/// An undeclared entity stays as it stands: it is never looked up anywhere.
pub(super) fn unescape(raw: &str, out: &mut String, deviations: &mut Deviations) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let after = from.get(1..).unwrap_or_default();
        let end = after.bytes().take(REFERENCE_BYTES + 1).position(|b| b == b';');
        let name = end.and_then(|end| after.get(..end)).unwrap_or_default();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'#') {
            deviations.note(quirk::AMPERSAND_RAW, "", raw, "&amp;");
            out.push('&');
            rest = after;
            continue;
        }
        rest = after.get(name.len() + 1..).unwrap_or_default();
        match resolve(name) {
            Resolved::Xml(text) => out.push_str(text),
            Resolved::Character(c) => out.push(c),
            Resolved::Html(text) => {
                deviations.note(quirk::ENTITY_HTML, "", name, text);
                out.push_str(text);
            }
            Resolved::Unknown => {
                deviations.note(quirk::ENTITY_UNKNOWN, "", name, "");
                out.extend(["&", name, ";"]);
            }
        }
    }
    out.push_str(rest);
}

/// What a reference stands for.
enum Resolved {
    Xml(&'static str),
    Character(char),
    Html(&'static str),
    Unknown,
}

/// Resolves the name or number between `&` and `;`.
fn resolve(name: &str) -> Resolved {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        };
        return match code.ok().and_then(char::from_u32) {
            // XML 1.0 §2.2 forbids most controls even as references.
            Some(c) if !c.is_control() || matches!(c, '\t' | '\n' | '\r') => Resolved::Character(c),
            _ => Resolved::Unknown,
        };
    }
    if let Some(text) = quick_xml::escape::resolve_xml_entity(name) {
        return Resolved::Xml(text);
    }
    match HTML.binary_search_by(|(known, _)| (*known).cmp(name)) {
        Ok(at) => HTML.get(at).map_or(Resolved::Unknown, |(_, text)| Resolved::Html(text)),
        Err(_) => Resolved::Unknown,
    }
}

/// The names of HTML 4 for Latin-1 and common punctuation, sorted.
const HTML: &[(&str, &str)] = &[
    ("AElig", "Æ"),
    ("Aacute", "Á"),
    ("Acirc", "Â"),
    ("Agrave", "À"),
    ("Aring", "Å"),
    ("Atilde", "Ã"),
    ("Auml", "Ä"),
    ("Ccedil", "Ç"),
    ("ETH", "Ð"),
    ("Eacute", "É"),
    ("Ecirc", "Ê"),
    ("Egrave", "È"),
    ("Euml", "Ë"),
    ("Iacute", "Í"),
    ("Icirc", "Î"),
    ("Igrave", "Ì"),
    ("Iuml", "Ï"),
    ("Ntilde", "Ñ"),
    ("OElig", "Œ"),
    ("Oacute", "Ó"),
    ("Ocirc", "Ô"),
    ("Ograve", "Ò"),
    ("Oslash", "Ø"),
    ("Otilde", "Õ"),
    ("Ouml", "Ö"),
    ("Scaron", "Š"),
    ("THORN", "Þ"),
    ("Uacute", "Ú"),
    ("Ucirc", "Û"),
    ("Ugrave", "Ù"),
    ("Uuml", "Ü"),
    ("Yacute", "Ý"),
    ("Yuml", "Ÿ"),
    ("aacute", "á"),
    ("acirc", "â"),
    ("acute", "´"),
    ("aelig", "æ"),
    ("agrave", "à"),
    ("aring", "å"),
    ("atilde", "ã"),
    ("auml", "ä"),
    ("bdquo", "„"),
    ("brvbar", "¦"),
    ("bull", "•"),
    ("ccedil", "ç"),
    ("cedil", "¸"),
    ("cent", "¢"),
    ("copy", "©"),
    ("curren", "¤"),
    ("dagger", "†"),
    ("deg", "°"),
    ("divide", "÷"),
    ("eacute", "é"),
    ("ecirc", "ê"),
    ("egrave", "è"),
    ("eth", "ð"),
    ("euml", "ë"),
    ("euro", "€"),
    ("frac12", "½"),
    ("frac14", "¼"),
    ("frac34", "¾"),
    ("hellip", "…"),
    ("iacute", "í"),
    ("icirc", "î"),
    ("iexcl", "¡"),
    ("igrave", "ì"),
    ("iquest", "¿"),
    ("iuml", "ï"),
    ("laquo", "«"),
    ("ldquo", "“"),
    ("lsaquo", "‹"),
    ("lsquo", "‘"),
    ("macr", "¯"),
    ("mdash", "—"),
    ("micro", "µ"),
    ("middot", "·"),
    ("nbsp", "\u{a0}"),
    ("ndash", "–"),
    ("not", "¬"),
    ("ntilde", "ñ"),
    ("oacute", "ó"),
    ("ocirc", "ô"),
    ("oelig", "œ"),
    ("ograve", "ò"),
    ("ordf", "ª"),
    ("ordm", "º"),
    ("oslash", "ø"),
    ("otilde", "õ"),
    ("ouml", "ö"),
    ("para", "¶"),
    ("permil", "‰"),
    ("plusmn", "±"),
    ("pound", "£"),
    ("raquo", "»"),
    ("rdquo", "”"),
    ("reg", "®"),
    ("rsaquo", "›"),
    ("rsquo", "’"),
    ("sbquo", "‚"),
    ("scaron", "š"),
    ("sect", "§"),
    ("shy", "\u{ad}"),
    ("sup1", "¹"),
    ("sup2", "²"),
    ("sup3", "³"),
    ("szlig", "ß"),
    ("thorn", "þ"),
    ("times", "×"),
    ("trade", "™"),
    ("uacute", "ú"),
    ("ucirc", "û"),
    ("ugrave", "ù"),
    ("uml", "¨"),
    ("uuml", "ü"),
    ("yacute", "ý"),
    ("yen", "¥"),
    ("yuml", "ÿ"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let cases = [
            ("plain", "plain", None),
            ("a &amp; b &lt;c&gt; &quot;&apos;", "a & b <c> \"'", None),
            ("&#233;&#xE9;&#XE9;", "ééé", None),
            ("Soci&eacute;t&eacute;", "Société", Some(quirk::ENTITY_HTML)),
            ("a & b", "a & b", Some(quirk::AMPERSAND_RAW)),
            ("x?a=1&b=2", "x?a=1&b=2", Some(quirk::AMPERSAND_RAW)),
            ("&", "&", Some(quirk::AMPERSAND_RAW)),
            ("&&amp;", "&&", Some(quirk::AMPERSAND_RAW)),
            ("&xxe;", "&xxe;", Some(quirk::ENTITY_UNKNOWN)),
            ("&#0;&#xffffffffff;", "&#0;&#xffffffffff;", Some(quirk::ENTITY_UNKNOWN)),
            ("&é;", "&é;", Some(quirk::AMPERSAND_RAW)),
        ];
        for (raw, want, name) in cases {
            let (mut out, mut deviations) = (String::new(), Deviations::default());
            unescape(raw, &mut out, &mut deviations);
            assert_eq!(out, want);
            assert_eq!(deviations.names().next(), name, "{raw}");
        }
    }

    #[test]
    fn names_are_sorted() {
        assert!(HTML.is_sorted_by(|a, b| a.0 < b.0));
    }
}
