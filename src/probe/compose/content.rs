//! What stands in a probe: the parts of each profile.

// Writing to a string cannot fail: the results are dropped.
use std::fmt::Write as _;

use super::mime::{Entity, Leaf, Transfer};
use super::sentences::{paragraphs, wrapped};
use super::template::Filled;
use super::{ComposeError, Draft, NO_DOMAIN, Profile, attachment_bytes, files, samples};
use crate::clock::Timestamp;

/// Octets of the long line, the most that RFC 5322 §2.1.1 allows.
const LONG_LINE_OCTETS: usize = crate::limits::MESSAGE_LINE_OCTETS;
/// What the profiles with UTF-8 have in their text.
const UNICODE_LINE: &str = "Grüße, naïve façade, Ελληνικά, кириллица, 日本語, עברית, 🐟.";
/// How long after the probe the entry of the calendar profile begins, and how long it is.
const EVENT: [std::time::Duration; 2] =
    [std::time::Duration::from_secs(24 * 3_600), std::time::Duration::from_secs(1_800)];

/// The content of a probe. `filled`: the operator's template, if there is one.
pub(super) fn entity(
    draft: &Draft<'_>,
    route: &str,
    filled: Option<&Filled>,
) -> Result<Entity, ComposeError> {
    let text = Entity::Leaf(text_part(draft, route, filled));
    let body = &draft.texts.body;
    let file = match draft.profile {
        Profile::Business => return Ok(business(draft, route, text)),
        Profile::Calendar => return Ok(calendar(draft, route, text)),
        Profile::Attach(size) | Profile::Oversize(size) => {
            let content = attachment_bytes(draft.token, size);
            Leaf::file("application/octet-stream", format!("probe-{body}.bin"), content)
        }
        Profile::AttachFile => {
            let file = draft.file.ok_or(ComposeError::NoFile)?;
            Leaf::file(file.content_type(), file.safe_name(), file.bytes.to_vec())
        }
        Profile::Eicar => {
            Leaf::file("application/octet-stream", format!("probe-{body}.com"), samples::scanner_test())
        }
        Profile::Ext(extension) => {
            let name = format!("probe-{body}.{extension}");
            Leaf::file(extension.content_type(), name, samples::HARMLESS.as_bytes().to_vec())
        }
        _ => return Ok(text),
    };
    Ok(Entity::Multi { subtype: "mixed", parts: vec![text, Entity::Leaf(file)] })
}

/// The text of a probe with the marker line and what the profile adds.
fn text_part(draft: &Draft<'_>, route: &str, filled: Option<&Filled>) -> Leaf {
    let is_html = draft.template.is_some_and(|template| template.is_html);
    let mut lines = match filled {
        Some(filled) => filled.text.iter().cloned().chain([String::new()]).collect(),
        None => own_lines(draft, route),
    };
    let mark = |line: String| if is_html { format!("<p>{line}</p>") } else { line };
    // The marker line, also where a template forgot the token.
    lines.push(mark(format!("-- {} --", draft.texts.body)));
    match draft.profile {
        Profile::Utf8 | Profile::EightBit => lines.push(mark(UNICODE_LINE.to_owned())),
        Profile::LongLine => lines.push(('a'..='z').cycle().take(LONG_LINE_OCTETS).collect()),
        Profile::Business => lines.extend([String::new(), format!("<{}>", link(draft))]),
        Profile::Gtube => lines.push(samples::spam_test()),
        Profile::Dlp => lines.extend(samples::CARD_LINES.map(|line| mark(line.to_owned()))),
        _ => {}
    }
    let mut content = Vec::new();
    for line in lines {
        content.extend_from_slice(line.as_bytes());
        content.extend_from_slice(b"\r\n");
    }
    if draft.profile == Profile::Iso2022Jp {
        content.extend_from_slice(samples::JAPANESE_TEXT);
    }
    let is_eight_bit = matches!(draft.profile, Profile::Utf8 | Profile::EightBit);
    let (charset, transfer) = match draft.profile {
        Profile::Iso2022Jp => ("iso-2022-jp", Transfer::SevenBit),
        _ if is_eight_bit => ("utf-8", Transfer::EightBit),
        // Not every server takes eight bits, and only those two profiles are about that.
        _ if !content.is_ascii() => ("utf-8", Transfer::Quoted),
        _ => ("us-ascii", Transfer::SevenBit),
    };
    Leaf::text(if is_html { "html" } else { "plain" }, charset, transfer, content)
}

/// Our own text.
fn own_lines(draft: &Draft<'_>, route: &str) -> Vec<String> {
    let [first, second] = paragraphs(draft.token);
    let mut lines = wrapped(&first);
    lines.push(String::new());
    lines.extend(wrapped(&second));
    lines.push(String::new());
    lines.push(format!("route: {route}"));
    lines.push(format!("made:  {}", draft.token.made_at().rfc3339()));
    lines
}

/// What a usual letter of a company is made of: text and HTML with a picture, and a document.
fn business(draft: &Draft<'_>, route: &str, text: Entity) -> Entity {
    let body = &draft.texts.body;
    let [first, second] = paragraphs(draft.token);
    let picture_id = format!("picture.{}@{}", draft.texts.message_id, host(draft));
    let mut html =
        String::from("<!DOCTYPE html>\r\n<html><head><title>Mailsonde probe</title></head><body>\r\n");
    for paragraph in [&first, &second] {
        let _ = write!(html, "<p>{}</p>\r\n", wrapped(paragraph).join("\r\n"));
    }
    let _ = write!(html, "<p>Route {route}</p>\r\n<p>-- {body} --</p>\r\n");
    let _ = write!(html, "<p><a href=\"{}\">\r\nWhat this is</a></p>\r\n", link(draft));
    let _ = write!(
        html,
        "<p><img src=\"cid:{picture_id}\"\r\nalt=\"a pattern of squares\" width=\"48\" height=\"48\"></p>\r\n"
    );
    html.push_str("</body></html>\r\n");
    let html = Leaf::text("html", "us-ascii", Transfer::SevenBit, html.into_bytes());
    let picture = Leaf {
        is_attachment: false,
        content_id: Some(picture_id),
        ..Leaf::file("image/png", format!("picture-{body}.png"), files::picture(draft.token))
    };
    let made = format!("route {route}, made {}", draft.token.made_at().rfc3339());
    let mark = format!("-- {body} --");
    let document = files::document(&["Mailsonde probe", "", &first, "", &second, "", &made, &mark]);
    let document = Leaf::file("application/pdf", format!("probe-{body}.pdf"), document);
    let related =
        Entity::Multi { subtype: "related", parts: vec![Entity::Leaf(html), Entity::Leaf(picture)] };
    let letter = Entity::Multi { subtype: "alternative", parts: vec![text, related] };
    Entity::Multi { subtype: "mixed", parts: vec![letter, Entity::Leaf(document)] }
}

/// Text, and an entry for a calendar that is published and not an invitation (RFC 5546 §1.4): nobody is asked.
fn calendar(draft: &Draft<'_>, route: &str, text: Entity) -> Entity {
    let begin = draft.token.made_at().after(EVENT[0]);
    let lines = [
        "BEGIN:VCALENDAR".to_owned(),
        "VERSION:2.0".to_owned(),
        "PRODID:-//Mailsonde//Probe//EN".to_owned(),
        "METHOD:PUBLISH".to_owned(),
        "BEGIN:VEVENT".to_owned(),
        format!("UID:{}", draft.texts.body),
        format!("DTSTAMP:{}", calendar_time(draft.token.made_at())),
        format!("DTSTART:{}", calendar_time(begin)),
        format!("DTEND:{}", calendar_time(begin.after(EVENT[1]))),
        // Folded at 75 octets (RFC 5545 §3.1): a route's name has at most 50.
        format!("SUMMARY:Mailsonde probe\r\n  {route}"),
        // It takes nobody's time, and nothing rings.
        "TRANSP:TRANSPARENT".to_owned(),
        "END:VEVENT".to_owned(),
        "END:VCALENDAR".to_owned(),
        String::new(),
    ];
    let content = lines.join("\r\n").into_bytes();
    let entry = Leaf::text("calendar", "utf-8; method=PUBLISH", Transfer::SevenBit, content);
    Entity::Multi { subtype: "alternative", parts: vec![text, Entity::Leaf(entry)] }
}

/// A time in UTC as calendars write it (RFC 5545 §3.3.5).
fn calendar_time(at: Timestamp) -> String {
    let text: String = at.rfc3339().chars().filter(char::is_ascii_alphanumeric).collect();
    // `20260921T141320Z`; parts of a second are none of it.
    text.chars().take(15).chain(['Z']).collect()
}

/// The link of the business profile: a name of the sender's own domain, so that rewriting shows.
fn link(draft: &Draft<'_>) -> String {
    format!("https://{}/{}", host(draft), draft.texts.body)
}

/// The author's domain as a name of hosts.
fn host(draft: &Draft<'_>) -> String {
    draft.from.domain_name().map_or_else(|| NO_DOMAIN.to_owned(), |name| name.as_str().to_owned())
}
