//! From a message that was taken apart to what this reader needs.

use std::borrow::Cow;

use crate::limits;
use crate::mail::delivery_status::{Input, Part};
use crate::mail::message::{Message, Standing};

impl Input<'static> {
    /// Takes what the reader needs from a message: header, texts of the leaf parts, headers of attached
    /// mails.
    ///
    /// `null_sender` is true if the reverse-path was `<>`; `None` where no transport was seen. Text is
    /// decoded up to `limits::BOUNCE_TEXT_BYTES` a part and `limits::BOUNCE_TOTAL_BYTES` in all.
    pub fn of(message: &Message<'_>, null_sender: Option<bool>) -> Self {
        let owned = |(name, value): (&str, &str)| (Cow::Owned(name.to_owned()), Cow::Owned(value.to_owned()));
        let headers = message.header.fields().map(owned).collect();
        let mut parts = Vec::with_capacity(message.parts.len() + message.nested.len());
        let mut shown = vec![false; message.nested.len()];
        let mut left = limits::BOUNCE_TOTAL_BYTES;
        // A mail that was cut ends within its last part.
        let cut = message.parts.len().checked_sub(1).filter(|_| message.is_open());
        for (number, part) in message.parts.iter().enumerate() {
            if let Some(at) = part.nested
                && let (Some(seen), Some(header)) = (shown.get_mut(at), message.nested.get(at))
                && !std::mem::replace(seen, true)
            {
                // The walk looked into this mail: its header stands here as the leaf that it was.
                let mut text = String::new();
                for (name, value) in header.fields() {
                    text.push_str(name);
                    text.push_str(": ");
                    text.push_str(value);
                    text.push('\n');
                }
                parts.push(Part {
                    content_type: Cow::Borrowed("message/rfc822"),
                    text: Cow::Owned(text),
                    depth: 0,
                });
            }
            let is_read =
                ["text/", "message/", "multipart/"].iter().any(|kind| part.content_type.starts_with(kind));
            if !is_read && !part.content_type.is_empty() {
                continue;
            }
            let mut text = part.text(left.min(limits::BOUNCE_TEXT_BYTES));
            if cut == Some(number) {
                text.truncate(whole_fields(&text).len());
            }
            left = left.saturating_sub(text.len());
            let depth = match part.standing {
                Standing::Top | Standing::Quoted if part.nested.is_none() => 0,
                _ => 1,
            };
            let content_type = Cow::Owned(part.content_type.clone());
            parts.push(Part { content_type, text: Cow::Owned(text), depth });
        }
        Self { headers, parts, null_sender }
    }
}

/// A text without the line in which it was cut, and without the field of which that line is a part: half a value says
/// something else than the whole one.
fn whole_fields(text: &str) -> &str {
    if text.ends_with('\n') {
        return text;
    }
    let without_last_line = |text: &str| text.rfind('\n').map_or(0, |at| at + 1);
    let mut end = without_last_line(text);
    while text.get(end..).is_some_and(|line| line.starts_with([' ', '\t'])) && end > 0 {
        end = without_last_line(text.get(..end - 1).unwrap_or_default());
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_field_is_no_field() {
        for (text, want) in [
            ("", ""),
            ("Status: 5.1", ""),
            ("Action: failed\nStatus: 5.1", "Action: failed\n"),
            ("Action: failed\nStatus: 5.1.1\n", "Action: failed\nStatus: 5.1.1\n"),
            ("Action: failed\nDiagnostic-Code: smtp; 550\n no such\n\tuser he", "Action: failed\n"),
            (" folded from nowhere\n and on", ""),
            ("Action: failed\r\nSta", "Action: failed\r\n"),
        ] {
            assert_eq!(whole_fields(text), want, "{text:?}");
        }
    }
}
