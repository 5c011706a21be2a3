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
        for part in &message.parts {
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
            let text = part.text(left.min(limits::BOUNCE_TEXT_BYTES));
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
