//! The facts of the message that a report answers, from wherever it returns them.

use std::borrow::Cow;

use crate::limits;
use crate::mail::delivery_status::words::{self, Line, Words, field_of};
use crate::mail::delivery_status::{Evidence, Found, Input, Place};
use crate::mail::header::Header;

/// How much of the message a report returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Extent {
    /// Nothing.
    Nothing,
    /// A few facts in the report's own words.
    Facts,
    /// Its header.
    Headers,
    /// The message, perhaps cut short.
    Message,
}

impl Extent {
    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Facts => "facts",
            Self::Headers => "headers",
            Self::Message => "message",
        }
    }
}

/// What a report returns of the message that it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// How much it returns.
    pub extent: Extent,
    /// Message-ID with its brackets, as written.
    pub message_id: Option<Found<String>>,
    /// Subject, encoded words decoded.
    pub subject: Option<Found<String>>,
    /// From, encoded words decoded.
    pub from: Option<Found<String>>,
    /// To, encoded words decoded.
    pub to: Option<Found<String>>,
    /// Date as written.
    pub date: Option<Found<String>>,
    /// All its header fields in order, unfolded, as written.
    pub fields: Vec<(String, String)>,
}

impl Original {
    /// Nothing returned.
    pub(super) const fn none() -> Self {
        Self {
            extent: Extent::Nothing,
            message_id: None,
            subject: None,
            from: None,
            to: None,
            date: None,
            fields: Vec::new(),
        }
    }

    /// Takes the header at the start of lines; keeps what is already known.
    fn take_header(&mut self, part: usize, lines: &[Line<'_>], rule: &'static str) -> usize {
        let mut count = 0;
        let mut field: Option<(String, String, usize)> = None;
        for line in lines {
            let folded = line.text.starts_with([' ', '\t']) && field.is_some();
            if folded && let Some((_, value, _)) = &mut field {
                if value.len() < limits::HEADER_TEXT_BYTES {
                    value.push(' ');
                    value.push_str(words::clip(line.text.trim(), limits::HEADER_TEXT_BYTES));
                }
                continue;
            }
            if let Some((name, value, number)) = field.take() {
                self.take_field(part, number, &name, &value, rule);
                count += 1;
            }
            if line.text.trim().is_empty() || count >= limits::BOUNCE_ORIGINAL_FIELDS {
                break;
            }
            // Lines that are no field, such as `From ` of a mailbox file or a row that lost its blank,
            // are passed over.
            if let Some((name, value)) = field_of(line.text) {
                let value = words::clip(value.trim(), limits::HEADER_TEXT_BYTES).to_owned();
                field = Some((name.to_owned(), value, line.number));
            }
        }
        if let Some((name, value, number)) = field {
            self.take_field(part, number, &name, &value, rule);
            count += 1;
        }
        count
    }

    /// Takes one field.
    fn take_field(&mut self, part: usize, line: usize, name: &str, value: &str, rule: &'static str) {
        if value.is_empty() || self.fields.len() >= limits::BOUNCE_ORIGINAL_FIELDS {
            return;
        }
        self.fields.push((name.to_owned(), value.to_owned()));
        let (slot, spelling) = match name.to_ascii_lowercase().as_str() {
            "message-id" => (&mut self.message_id, "Message-ID"),
            "subject" => (&mut self.subject, "Subject"),
            "from" => (&mut self.from, "From"),
            "to" => (&mut self.to, "To"),
            "date" | "sent" => (&mut self.date, "Date"),
            _ => return,
        };
        if slot.is_none() {
            let evidence =
                Evidence { place: Place::Original, part: Some(part), line, field: Some(spelling), rule };
            *slot = Some(Found::new(decode_words(value).into_owned(), evidence));
        }
    }

    /// Takes the header that is quoted in a text. True if there is one.
    fn take_quoted(&mut self, text: &Words<'_>) -> bool {
        let quoted = text.quoted();
        // The mark line, blank lines and rules come before the header.
        let Some(first) = quoted.iter().position(|line| is_field_line(line.text)) else { return false };
        let header = quoted.get(first..).unwrap_or_default();
        if self.take_header(text.part, header, "quoted-message") == 0 {
            return false;
        }
        let end = header.iter().position(|line| line.text.trim().is_empty()).unwrap_or(header.len());
        let body = header.get(end..).unwrap_or_default();
        let has_body = body.iter().any(|line| !line.text.trim().is_empty());
        self.extent = if has_body { Extent::Message } else { Extent::Headers };
        true
    }

    /// Takes header fields of a JSON notice.
    pub(super) fn take_notice(&mut self, fields: Vec<(String, String)>) {
        for (name, value) in fields {
            self.take_field(0, 1, &name, &value, "json-notice");
        }
        if !self.fields.is_empty() {
            self.extent = Extent::Headers;
        }
    }

    /// The one address of To, if there is exactly one.
    pub(super) fn only_recipient(&self) -> Option<Found<String>> {
        let to = self.to.as_ref()?;
        let found = words::addresses(&to.value);
        let first = found.first()?;
        let same = found.iter().all(|address| address.text.eq_ignore_ascii_case(first.text));
        same.then(|| Found::new(first.text.to_owned(), to.evidence.by("original-to")))
    }
}

/// Gathers what a mail returns: an attached mail or header part first, else a quoted one, else facts in
/// words.
///
/// `is_inner` is true if the report itself stands in an attached mail: then what that one returns is meant.
pub(super) fn gather(
    input: &Input<'_>,
    words: &[Words<'_>],
    is_inner: bool,
    meter: &words::Meter,
) -> Original {
    let mut original = Original::none();
    for (index, part) in input.parts.iter().enumerate().filter(|(_, part)| (part.depth > 0) == is_inner) {
        let (extent, rule) = match part.content_type.as_ref() {
            "message/rfc822" | "message/global" | "message/partial" => (Extent::Message, "returned-message"),
            "text/rfc822-headers"
            | "text/rfc822-header"
            | "message/rfc822-headers"
            | "message/global-headers" => (Extent::Headers, "returned-headers"),
            _ => continue,
        };
        let lines = words::split_lines(&part.text, meter);
        let first = lines.iter().position(|line| !line.text.trim().is_empty()).unwrap_or(lines.len());
        if original.take_header(index, lines.get(first..).unwrap_or_default(), rule) > 0 {
            original.extent = extent;
            return original;
        }
    }
    if words.iter().any(|text| original.take_quoted(text)) {
        return original;
    }
    // A broken boundary leaves it in the part before; a blank line too many makes it the text of an
    // attached mail.
    let rest = input.parts.iter().enumerate().filter(|(i, _)| !words.iter().any(|text| text.part == *i));
    for (index, part) in rest {
        if original.take_quoted(&Words::new(index, &part.text, meter)) {
            return original;
        }
    }
    for text in words {
        take_facts(&mut original, text);
    }
    original
}

/// True for a line that begins a header: a field name of a mail and a value.
fn is_field_line(line: &str) -> bool {
    field_of(line).is_some_and(|(_, value)| !value.trim().is_empty())
}

/// Takes facts of the message from a report's own words: `The subject of the message is: x`, indented fields.
fn take_facts(original: &mut Original, text: &Words<'_>) {
    let phrases = [
        ("the message identifier is:", "Message-ID"),
        ("the subject of the message is:", "Subject"),
        ("the date of the message is:", "Date"),
    ];
    for line in text.own() {
        let trimmed = line.text.trim();
        let lower = trimmed.get(..trimmed.floor_char_boundary(40)).unwrap_or_default().to_ascii_lowercase();
        for (phrase, name) in phrases {
            if lower.starts_with(phrase) {
                let value = trimmed.get(phrase.len()..).unwrap_or_default().trim();
                original.take_field(text.part, line.number, name, value, "named-in-words");
            }
        }
        if let Some((name, value)) = field_of(trimmed) {
            let known = ["message-id", "subject", "date", "sent", "from", "to"];
            if known.iter().any(|known| name.eq_ignore_ascii_case(known)) {
                let value = words::clip(value.trim(), limits::HEADER_TEXT_BYTES);
                original.take_field(text.part, line.number, name, value, "named-in-words");
            }
        }
    }
    if !original.fields.is_empty() {
        original.extent = Extent::Facts;
    }
}

// ---- Encoded words ----

/// Decodes the encoded words of a field's value (RFC 2047 §2); what is damaged stays as it is.
pub(super) fn decode_words(value: &str) -> Cow<'_, str> {
    if !value.contains("=?") {
        return Cow::Borrowed(value);
    }
    // Any text field would do: the header's reader decodes it.
    let line = format!("Subject: {value}\r\n\r\n");
    Header::parse(line.as_bytes()).subject.map_or(Cow::Borrowed(value), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words() {
        let cases = [
            ("plain", "plain"),
            ("=?utf-8?Q?a_=C3=B6?= =?utf-8?B?w7Y=?=", "a \u{f6}\u{f6}"),
            ("x =?iso-8859-1?q?=F6?= y", "x \u{f6} y"),
            ("=?iso-2022-jp?B?GyRCJEskYyE8JHMbKEI=?=", "\u{306b}\u{3083}\u{30fc}\u{3093}"),
            ("=?utf-8?B?w7Y", "=?utf-8?B?w7Y"),
        ];
        for (text, want) in cases {
            assert_eq!(decode_words(text), want, "{text:?}");
        }
    }

    #[test]
    fn facts_in_words() {
        let text =
            "Your message\n\n  To:      a@example.net\n  Subject: Hello\n  Sent:    yesterday\n\nfailed";
        let meter = words::Meter::default();
        let all = [Words::new(0, text, &meter)];
        let original = gather(&Input::default(), &all, false, &meter);
        assert_eq!(original.extent, Extent::Facts);
        assert_eq!(original.subject.unwrap().value, "Hello");
        assert_eq!(original.to.unwrap().evidence.line, 3);
    }
}
