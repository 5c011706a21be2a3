//! From a message to what the reader of feedback reports needs of it.

use std::borrow::Cow;

use crate::mail::{Message, Standing};
use crate::reports::Unreadable;
use crate::reports::failure::{FailureMail, FailurePart, FailureReport, read};

/// Reads the feedback reports of a message, also of one that is attached to it (a forwarded report).
///
/// See [`read`]: no report for a message that holds none.
pub fn read_message(message: &Message<'_>) -> Result<Vec<FailureReport>, Unreadable> {
    let reports = read_one(message)?;
    let has_attached = message
        .parts
        .iter()
        .any(|part| part.nested.is_some() && part.content_type.ends_with("/feedback-report"));
    if !reports.is_empty() || !has_attached {
        return Ok(reports);
    }
    let mut attached = Vec::new();
    for raw in &message.nested_raw {
        attached.extend(read_one(&Message::parse(raw))?);
    }
    Ok(attached)
}

/// Reads the feedback reports of a message itself.
fn read_one(message: &Message<'_>) -> Result<Vec<FailureReport>, Unreadable> {
    let fields: Vec<_> = message.header.fields().collect();
    let mut leaves: Vec<(&str, Cow<'_, [u8]>)> = Vec::new();
    let mut next_attached = 0;
    for part in &message.parts {
        match part.nested {
            None => leaves.push((&part.content_type, part.decode().0)),
            // A message that is not quoted was taken apart; here it is one part again.
            Some(at) => {
                let attached = message.nested_raw.get(next_attached..=at).unwrap_or_default();
                leaves.extend(attached.iter().map(|raw| ("message/rfc822", Cow::Borrowed(*raw))));
                next_attached = next_attached.max(at + 1);
            }
        }
    }
    // Where a multipart is not closed, the mail ends in its last part.
    let is_open =
        message.is_open() && message.parts.last().is_some_and(|part| part.standing != Standing::Nested);
    let last = leaves.len().saturating_sub(1);
    let parts: Vec<_> = leaves
        .iter()
        .enumerate()
        .map(|(at, (content_type, bytes))| FailurePart { content_type, bytes, is_cut: is_open && at == last })
        .collect();
    read(&FailureMail { fields: &fields, parts: &parts })
}
