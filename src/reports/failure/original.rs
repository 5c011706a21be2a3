//! The quoted message, or its header, to facts.

use ring::digest::{SHA256, digest};

use crate::limits;
use crate::mail::{AuthResults, DomainName, decode_words};
use crate::reports::failure::feedback::cut;
use crate::reports::failure::fields::{Block, Fields, without_angles};
use crate::reports::failure::{Original, OriginalPersonal, Private};
use crate::reports::stated_time;

/// True for the type of a part that quotes a message or its header.
///
/// RFC 5965 §2 allows `message/rfc822` and `text/rfc822-headers`; both names occur with dashes in other
/// places and under the other top-level type, and `message/global` came later.
pub(super) fn is_quoted_type(content_type: &str) -> bool {
    let plain: String =
        content_type.chars().filter(|c| *c != '-' && *c != '_').collect::<String>().to_lowercase();
    let Some((kind, subtype)) = plain.split_once('/') else { return false };
    ["message", "text"].contains(&kind) && (subtype.starts_with("rfc822") || subtype.starts_with("global"))
}

/// True if bytes begin like the header of a message.
pub(super) fn looks_like_header(bytes: &[u8]) -> bool {
    let fields = Fields::read(bytes.get(..16_384).unwrap_or(bytes), Block::Header);
    let marks = ["Received", "From", "To", "Subject", "Date", "Message-ID", "DKIM-Signature", "Return-Path"];
    marks.into_iter().filter(|name| fields.first(name).is_some()).count() >= 3
}

/// Reads a quoted message; `None` where there is not one field.
///
/// `is_whole`: false where the mail may end within this part; then half a last field is no field.
pub(super) fn read(content_type: &str, bytes: &[u8], is_whole: bool) -> Option<Original> {
    let mut fields = Fields::read(bytes, Block::Header);
    if !is_whole && !fields.ends_with_line && fields.body_at.is_none() {
        fields.list.pop();
    }
    if fields.list.is_empty() {
        return None;
    }
    let body = fields.body_at.and_then(|at| bytes.get(at..)).unwrap_or_default();
    let is_headers_only = content_type.to_lowercase().contains("headers") || body.trim_ascii().is_empty();
    let mut sha256 = [0; 32];
    for (to, from) in sha256.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    let decoded = |name: &str| {
        let text = fields.first(name).map(decode_words)?;
        (!text.is_empty()).then_some(text)
    };
    let from_address = fields.first("from").and_then(address_of);
    Some(Original {
        is_headers_only,
        bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        sha256,
        header_from: from_address.as_deref().and_then(domain_of),
        date: fields.first("date").and_then(stated_time::mail_date).map(|stated| stated.seconds),
        dkim_signatures: fields.all("dkim-signature").take(limits::FAILURE_VALUES).map(signature).collect(),
        list_id: fields.first("list-id").map(list_id).filter(|id| !id.is_empty()),
        feedback_id: fields
            .first("feedback-id")
            .map(|value| cut(value).to_owned())
            .filter(|id| !id.is_empty()),
        personal: Private::new(OriginalPersonal {
            from_address,
            from: decoded("from"),
            to: decoded("to"),
            subject: decoded("subject"),
            message_id: fields.first("message-id").map(|value| without_angles(cut(value)).to_owned()),
            return_path: fields.first("return-path").map(|value| without_angles(cut(value)).to_owned()),
            reply_to: decoded("reply-to"),
            results: fields
                .all("authentication-results")
                .take(limits::FAILURE_VALUES)
                .map(|value| AuthResults::parse(cut(value)))
                .collect(),
        }),
    })
}

/// The recipient that a complaint service of Microsoft puts into the header of what it hands on.
pub(super) fn complaint_recipient(bytes: &[u8]) -> Option<String> {
    let fields = Fields::read(bytes, Block::Header);
    let value = fields.first("X-HmXmrOriginalRecipient")?;
    Some(without_angles(cut(value)).to_owned())
}

/// The first address in a `From` field: what stands in `<>`, else the first word with an `@`.
pub(super) fn address_of(value: &str) -> Option<String> {
    let value = cut(value);
    // A name in quotes may hold anything, also `<other@example.com>`.
    let mut plain = String::with_capacity(value.len());
    let mut is_quoted = false;
    let mut is_escaped = false;
    for c in value.chars() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            _ => plain.push(c),
        }
    }
    let plain = if is_quoted || !plain.contains('@') { value } else { &plain };
    let in_angles = plain.split_once('<').map(|(_, rest)| rest.split('>').next().unwrap_or_default().trim());
    let address = match in_angles {
        Some(address) if address.contains('@') => address,
        _ => plain.split([' ', '\t', ',', ';']).find(|word| word.contains('@'))?,
    };
    let address = address.trim_matches(['<', '>', '(', ')', '"']);
    (!address.is_empty()).then(|| address.to_owned())
}

/// The domain of an address.
pub(super) fn domain_of(address: &str) -> Option<DomainName> {
    DomainName::parse(address.rsplit_once('@')?.1)
}

/// `d=` in lower case and `s=` of a DKIM-Signature (RFC 6376 §3.5).
fn signature(value: &str) -> (String, String) {
    let tag = |name: &str| {
        let mut tags = value.split(';').filter_map(|tag| tag.split_once('='));
        let found = tags.find(|(known, _)| known.trim() == name).map(|(_, value)| value);
        found.map(|value| cut(value.trim()).to_owned()).unwrap_or_default()
    };
    (tag("d").to_lowercase(), tag("s"))
}

/// The identifier of a list without its words (RFC 2919 §3).
fn list_id(value: &str) -> String {
    let inner = value.rsplit_once('<').map_or(value, |(_, rest)| rest);
    cut(inner.trim_end_matches('>').trim()).to_lowercase()
}
