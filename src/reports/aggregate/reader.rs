//! A streaming reader of aggregate reports: XML in, one head and any number of records out.
//!
//! Memory is one window of text and one record, whatever the length of the document. What real
//! reporters do wrong is repaired and noted (`reports::quirk`); what cannot be trusted is refused as a
//! whole, so that a report is never half counted. Entities are never expanded, external ones never fetched.
//! Standard: RFC 9990 §3.1 and appendix A; RFC 7489 appendix C accepted.

use std::io::Read;

use quick_xml::events::Event;

use crate::limits;
use crate::reports::aggregate::AggregateReport;
use crate::reports::aggregate::build::{Builder, Closed, EachRecord, too_long_text};
use crate::reports::aggregate::element::Element;
use crate::reports::aggregate::text::unescape;
use crate::reports::aggregate::window::Window;
use crate::reports::{Deviations, Unreadable, UnreadableKind, quirk};

/// The head of a report that was read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadReport {
    /// The head; `begin` and `end` are 0 where they are absent.
    pub report: AggregateReport,
    /// `date_range/begin`, UTC seconds, if it could be read.
    pub begin: Option<i64>,
    /// `date_range/end`, UTC seconds, if it could be read.
    pub end: Option<i64>,
    /// Records handed out.
    pub records: u64,
    /// What was noted.
    pub deviations: Deviations,
}

/// Reads the reports of one document, one after the other: several roots in a file are several reports.
pub struct Reader<R> {
    window: Window<R>,
    /// Notes made before the next root.
    deviations: Deviations,
    state: State,
    /// Name of the first element before any root.
    other_root: Option<String>,
    /// Bytes seen that are neither blank nor markup of a prolog, outside of roots.
    has_garbage: bool,
    /// True once a root was met, whole or not.
    has_root: bool,
    reports: u64,
}

/// Longest tag of a known name.
const USUAL_TAG_BYTES: usize = 32;

/// Where the reader stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Between,
    AtRoot,
    Done,
}

/// Why a pass over the window ended.
enum Stop {
    /// The window is used up.
    NeedsMore,
    /// The root is closed.
    Root,
    /// Whoever takes the records wants no more.
    Stopped,
}

impl<R: Read> Reader<R> {
    /// Makes a reader over the bytes of a document.
    pub fn new(input: R) -> Self {
        Self {
            window: Window::new(input),
            deviations: Deviations::default(),
            state: State::New,
            other_root: None,
            has_garbage: false,
            has_root: false,
            reports: 0,
        }
    }

    /// Reads the next report; `each` gets its records in file order.
    ///
    /// Shape: `None` at the end of the document; it has no report at all if that comes first. A report
    /// counts only once the end of the document is reached without an error, since the checksum of a
    /// compressed stream comes last. After an error, and after `each` broke off, nothing more comes.
    /// Units: times in UTC seconds, counts in messages.
    /// Errors: what the input says (damage, caps), `Malformed`, `Truncated`, `TooLarge`, `Forbidden`.
    pub fn next_report(&mut self, each: EachRecord<'_>) -> Result<Option<ReadReport>, Unreadable> {
        let result = self.next_report_inner(each);
        if !matches!(result, Ok(Some(_))) {
            self.state = State::Done;
        }
        result
    }

    /// Reads what is left of the document without looking at it, for the checksum at its end.
    ///
    /// Errors: what the input says.
    pub fn drain(&mut self) -> Result<(), Unreadable> {
        self.state = State::Done;
        loop {
            self.window.consume(usize::MAX);
            if self.window.is_end() {
                return Ok(());
            }
            self.window.refill(&mut self.deviations).map_err(Unreadable::from_io)?;
        }
    }

    /// True once a feedback element was met, whole or not.
    pub fn has_root(&self) -> bool {
        self.has_root
    }

    /// The name of the document's first element where it is not a report's.
    pub fn other_root(&self) -> Option<&str> {
        self.other_root.as_deref()
    }

    fn next_report_inner(&mut self, each: EachRecord<'_>) -> Result<Option<ReadReport>, Unreadable> {
        if self.state == State::New {
            self.window.open(&mut self.deviations).map_err(Unreadable::from_io)?;
            self.state = State::Between;
            self.seek_root()?;
        }
        if self.state != State::AtRoot {
            return Ok(None);
        }
        let mut builder = Builder::default();
        builder.deviations = std::mem::take(&mut self.deviations);
        loop {
            let (used, stop) = run(self.window.text(), self.window.is_end(), &mut builder, each)?;
            self.window.consume(used);
            match stop {
                Stop::NeedsMore => {
                    self.window.refill(&mut builder.deviations).map_err(Unreadable::from_io)?;
                }
                Stop::Root => break,
                Stop::Stopped => return Ok(None),
            }
        }
        if builder.is_hollow() {
            return Err(Unreadable::new(
                UnreadableKind::Incomplete,
                "a feedback element without report or record",
            ));
        }
        self.reports += 1;
        self.has_garbage = false;
        self.state = State::Between;
        self.seek_root()?;
        if self.has_garbage {
            builder.deviations.note(quirk::TRAILING_CONTENT, "", "", "");
        }
        builder.check_head();
        Ok(Some(ReadReport {
            begin: builder.begin,
            end: builder.end,
            records: builder.records,
            deviations: builder.deviations,
            report: builder.report,
        }))
    }

    /// Goes on to the next `<feedback` or to the end of the document.
    ///
    /// Looks at [`limits::XML_PROLOG_STEPS`] pieces of text and markup; what follows is read to its end for
    /// the checksum there, and not looked at.
    fn seek_root(&mut self) -> Result<(), Unreadable> {
        let mut steps = 0;
        loop {
            let (text, is_end) = (self.window.text(), self.window.is_end());
            let mut rest = text.trim_ascii_start();
            let mut is_root = false;
            while !rest.is_empty() && steps < limits::XML_PROLOG_STEPS {
                steps += 1;
                let (used, found) = match prolog(rest, is_end)? {
                    Prolog::NeedsMore => break,
                    Prolog::Root => {
                        is_root = true;
                        break;
                    }
                    Prolog::Skip(used, found) => (used, found),
                };
                let (piece, next) = rest.split_at_checked(used).unwrap_or((rest, ""));
                rest = next.trim_ascii_start();
                match found {
                    Some(Found::Garbage) => self.has_garbage = true,
                    Some(Found::Element(name)) => {
                        self.has_garbage = true;
                        if self.other_root.is_none() && self.reports == 0 {
                            self.other_root = Some(name.to_owned());
                        }
                    }
                    Some(Found::Quirk(name)) => self.deviations.note(name, "", piece, ""),
                    None => {}
                }
            }
            let used = text.len() - rest.len();
            let is_used_up = rest.is_empty();
            self.window.consume(used);
            if is_root {
                if self.has_garbage && self.reports == 0 {
                    self.deviations.note(quirk::TEXT_BEFORE_ROOT, "", "", "");
                }
                self.state = State::AtRoot;
                self.has_root = true;
                return Ok(());
            }
            if steps >= limits::XML_PROLOG_STEPS {
                self.has_garbage = true;
                return self.drain();
            }
            if is_end && is_used_up {
                return Ok(());
            }
            self.window.refill(&mut self.deviations).map_err(Unreadable::from_io)?;
        }
    }
}

/// What stands at the front of the text between roots.
enum Prolog<'a> {
    NeedsMore,
    Root,
    Skip(usize, Option<Found<'a>>),
}

/// What was skipped between roots.
enum Found<'a> {
    Garbage,
    Element(&'a str),
    Quirk(&'static str),
}

/// Looks at what stands between roots. `text` begins with something that is not blank.
fn prolog(text: &str, is_end: bool) -> Result<Prolog<'_>, Unreadable> {
    let bytes = text.as_bytes();
    // Every piece of markup here is short; an endless one is garbage. What is skipped ends between characters.
    let near = bytes.get(..text.floor_char_boundary(limits::XML_PROLOG_BYTES)).unwrap_or(bytes);
    if bytes.first() != Some(&b'<') {
        let end = memchr::memchr(b'<', bytes).unwrap_or(bytes.len());
        // NULs pad the tail of some files.
        let is_padding =
            bytes.get(..end).unwrap_or_default().iter().all(|b| matches!(b, 0 | 0x1a | b' ' | b'\r' | b'\n'));
        return Ok(Prolog::Skip(end, (!is_padding).then_some(Found::Garbage)));
    }
    if near.len() == bytes.len() && !is_end && memchr::memchr(b'>', near).is_none() {
        return Ok(Prolog::NeedsMore);
    }
    if bytes.starts_with(b"<!--") {
        return Ok(match memchr::memmem::find(near, b"-->") {
            Some(end) => Prolog::Skip(end + 3, None),
            None if near.len() == bytes.len() && !is_end => Prolog::NeedsMore,
            // It was cut: what it holds is no report.
            None if near.len() == bytes.len() => Prolog::Skip(bytes.len(), Some(Found::Garbage)),
            None => Prolog::Skip(4, Some(Found::Garbage)),
        });
    }
    if bytes.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"<!doctype")) {
        return match memchr::memchr2(b'>', b'[', near) {
            Some(end) if near.get(end) == Some(&b'>') => {
                Ok(Prolog::Skip(end + 1, Some(Found::Quirk(quirk::DOCTYPE_SKIPPED))))
            }
            Some(_) => Err(forbidden_doctype()),
            None => Ok(Prolog::Skip(9, Some(Found::Garbage))),
        };
    }
    let end = memchr::memchr(b'>', near);
    if bytes.starts_with(b"<?") {
        let Some(end) = end else { return Ok(Prolog::Skip(2, Some(Found::Garbage))) };
        // Seen from ikea.com: `<?xml version="1.0"">`.
        let is_broken = near.get(end.wrapping_sub(1)) != Some(&b'?');
        return Ok(Prolog::Skip(end + 1, is_broken.then_some(Found::Quirk(quirk::DECLARATION_BROKEN))));
    }
    let name_end = near.iter().skip(1).position(|b| !is_name_byte(*b)).map_or(near.len(), |at| at + 1);
    let name = text.get(1..name_end).unwrap_or_default();
    let local = name.rsplit(':').next().unwrap_or_default();
    if local.eq_ignore_ascii_case("feedback") {
        return Ok(Prolog::Root);
    }
    if let Some(end) = end.filter(|_| local.eq_ignore_ascii_case("schema")) {
        // Seen from ikea.com: the schema's header before the report, never closed.
        return Ok(Prolog::Skip(end + 1, Some(Found::Quirk(quirk::SCHEMA_ELEMENT))));
    }
    let found = if local.is_empty() || local.len() > 80 { Found::Garbage } else { Found::Element(local) };
    Ok(Prolog::Skip(name_end, Some(found)))
}

/// Reads what the window holds of a report. Gives the bytes used up and why it stopped.
fn run(
    text: &str,
    is_end: bool,
    builder: &mut Builder,
    each: EachRecord<'_>,
) -> Result<(usize, Stop), Unreadable> {
    let mut xml = pull(text);
    let mut rest = text;
    let used = |rest: &str| text.len() - rest.len();
    let mut unescaped = String::new();
    loop {
        // Text up to the next markup.
        let Some(at) = memchr::memchr(b'<', rest.as_bytes()) else {
            if is_end {
                return Err(truncated(builder));
            }
            if rest.len() > limits::XML_TEXT_BYTES {
                return Err(too_long_text());
            }
            return Ok((used(rest), Stop::NeedsMore));
        };
        let (before, markup) = rest.split_at(at);
        if at > 0 {
            if at > limits::XML_TEXT_BYTES {
                return Err(too_long_text());
            }
            if builder.takes_text() {
                unescaped.clear();
                unescape(before, &mut unescaped, &mut builder.deviations);
                builder.text(&unescaped)?;
            }
        }
        rest = markup;
        match usual(rest, builder, each)? {
            Usual::Inner(next) => {
                rest = next;
                continue;
            }
            Usual::Stopped(next) => return Ok((used(next), Stop::Stopped)),
            Usual::Odd => {}
        }
        match rest.as_bytes().get(1) {
            Some(b'/' | b'!' | b'?' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | 0x80..) => {}
            Some(_) => {
                rest = literal(rest, builder)?;
                continue;
            }
            None if is_end => return Err(truncated(builder)),
            None => return Ok((used(rest), Stop::NeedsMore)),
        }
        *xml.get_mut() = rest.as_bytes();
        let Ok(event) = xml.read_event() else {
            if !is_end && rest.len() <= limits::XML_TEXT_BYTES {
                return Ok((used(rest), Stop::NeedsMore));
            }
            if !is_end || rest.len() > limits::XML_TEXT_BYTES {
                return Err(too_long_text());
            }
            if is_cut_root(rest) && builder.is_at_root() {
                // Seen from a large reporter: the file is cut within its last tag.
                builder.deviations.note(quirk::ROOT_NOT_CLOSED, "feedback", rest, "</feedback>");
                builder.close("feedback", each)?;
                return Ok((text.len(), Stop::Root));
            }
            // A comment, an instruction or the like without its end was cut: what it holds is not part of the report.
            let is_cut =
                ["</", "<!--", "<![", "<!D", "<!d", "<?"].iter().any(|start| rest.starts_with(start));
            if builder.takes_text() && !is_cut {
                rest = literal(rest, builder)?;
                xml = pull(rest);
                continue;
            }
            return Err(truncated(builder));
        };
        let after = rest.len() - xml.get_ref().len();
        let (token, next) = rest.split_at_checked(after).unwrap_or((rest, ""));
        if token.len() > limits::XML_TEXT_BYTES {
            return Err(too_long_text());
        }
        match event {
            Event::Start(tag) => {
                let name = tag.name().into_inner();
                let local = tag.local_name().into_inner();
                // Attributes are rare: an empty text is not searched.
                if !is_name(name) || tag.attributes_raw().contains('<') {
                    rest = literal(rest, builder)?;
                    continue;
                }
                let element = builder.find(local)?;
                if element.is_leaf()
                    && let Some((value, next)) = simple_text(next, name)
                {
                    builder.leaf(element, value);
                    rest = next;
                    continue;
                }
                rest = next;
                if is_void(local, builder) {
                    continue;
                }
                open(builder, element, local, tag.attributes_raw())?;
            }
            Event::Empty(tag) => {
                let name = tag.name().into_inner();
                let local = tag.local_name().into_inner();
                if tag.attributes_raw().contains('<') || !is_name(name) {
                    rest = literal(rest, builder)?;
                    continue;
                }
                rest = next;
                if is_void(local, builder) {
                    continue;
                }
                let element = builder.find(local)?;
                open(builder, element, local, tag.attributes_raw())?;
                match builder.close(local, each)? {
                    Closed::Inner => {}
                    Closed::Root => return Ok((used(rest), Stop::Root)),
                    Closed::Stopped => return Ok((used(rest), Stop::Stopped)),
                }
            }
            Event::End(tag) => {
                rest = next;
                let local = tag.local_name().into_inner();
                match builder.close(local.split_ascii_whitespace().next().unwrap_or_default(), each)? {
                    Closed::Inner => {}
                    Closed::Root => return Ok((used(rest), Stop::Root)),
                    Closed::Stopped => return Ok((used(rest), Stop::Stopped)),
                }
            }
            Event::CData(data) => {
                rest = next;
                builder.text(&data.into_inner())?;
            }
            Event::DocType(_) => return Err(forbidden_doctype()),
            // Comments and processing instructions say nothing. Text and references cannot come: the
            // reader is only asked at a `<`.
            _ => rest = next,
        }
    }
}

/// What became of the markup at the front of the text.
enum Usual<'a> {
    /// It was taken; this follows.
    Inner(&'a str),
    /// The same, and whoever takes the records wants no more.
    Stopped(&'a str),
    /// It needs the whole reader: attributes, prefixes, comments, faults, the end of the window.
    Odd,
}

/// Takes the tags of which nearly every report is made: known names as they are, without attributes.
///
/// It only saves the pull reader's work: what it takes would have come out of there the same.
#[inline]
fn usual<'a>(rest: &'a str, builder: &mut Builder, each: EachRecord<'_>) -> Result<Usual<'a>, Unreadable> {
    let bytes = rest.as_bytes();
    if let Some(end_tag) = bytes.strip_prefix(b"</") {
        let Some(name) = builder.innermost_name() else { return Ok(Usual::Odd) };
        let is_same = end_tag.starts_with(name.as_bytes()) && end_tag.get(name.len()) == Some(&b'>');
        // The root's end has its own way.
        if !is_same || builder.is_at_root() {
            return Ok(Usual::Odd);
        }
        let next = rest.get(name.len() + 3..).unwrap_or_default();
        return Ok(match builder.close_innermost(each)? {
            Closed::Stopped => Usual::Stopped(next),
            _ => Usual::Inner(next),
        });
    }
    let near = bytes.get(..USUAL_TAG_BYTES).unwrap_or(bytes);
    let Some(end) = memchr::memchr(b'>', near) else { return Ok(Usual::Odd) };
    let (Some(name), Some(next)) = (rest.get(1..end), rest.get(end + 1..)) else { return Ok(Usual::Odd) };
    let element = builder.known(name);
    if element == Element::Unknown {
        return Ok(Usual::Odd);
    }
    if element.is_leaf()
        && let Some((value, next)) = simple_text(next, name)
    {
        builder.leaf(element, value);
        return Ok(Usual::Inner(next));
    }
    builder.open(element, name)?;
    Ok(Usual::Inner(next))
}

/// A pull reader over `text` that leaves all judgement to us.
fn pull(text: &str) -> quick_xml::Reader<&[u8]> {
    let mut xml = quick_xml::Reader::from_str(text);
    let config = xml.config_mut();
    // Names are checked against our own stack, which knows what may be repaired.
    config.check_end_names = false;
    config.allow_unmatched_ends = true;
    config.allow_dangling_amp = true;
    xml
}

/// The usual leaf: plain text up to the end tag of the same name. Gives the text and what follows.
#[inline]
fn simple_text<'a>(after: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let bytes = after.as_bytes();
    let end = memchr::memchr2(b'<', b'&', bytes)?;
    if end > limits::XML_TEXT_BYTES {
        return None;
    }
    let tail = bytes.get(end..)?.strip_prefix(b"</")?.strip_prefix(name.as_bytes())?;
    if tail.first() != Some(&b'>') {
        return None;
    }
    Some((after.get(..end)?, after.get(end + name.len() + 3..)?))
}

/// Opens an element; the root's namespace is kept.
fn open(builder: &mut Builder, element: Element, local: &str, attributes: &str) -> Result<(), Unreadable> {
    if !builder.is_open() {
        builder.report.namespace = namespace(attributes);
        if let Some(namespace) = &builder.report.namespace {
            let is_known = ["urn:ietf:params:xml:ns:dmarc-2.0", "http://dmarc.org/dmarc-xml/0.1"];
            if !is_known.contains(&namespace.trim_end_matches('/')) {
                builder.deviations.note(quirk::NAMESPACE_UNKNOWN, "feedback", namespace, "");
            }
        }
    }
    builder.open(element, local)
}

/// The value of the first `xmlns` or `xmlns:prefix` that is not of XML Schema.
fn namespace(attributes: &str) -> Option<String> {
    let mut rest = attributes;
    while let Some(at) = rest.find("xmlns") {
        let tail = rest.get(at..)?;
        let value = tail.split_once('=')?.1.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let value = value.get(1..)?;
        let end = value.find(quote)?;
        let namespace = value.get(..end)?;
        if !namespace.contains("XMLSchema") {
            return Some(namespace.chars().take(200).collect());
        }
        rest = value.get(end..)?;
    }
    None
}

/// True for the schema element that some reporters open and never close.
fn is_void(local: &str, builder: &mut Builder) -> bool {
    let is_void = local == "schema" && !builder.takes_text();
    if is_void {
        builder.deviations.note(quirk::SCHEMA_ELEMENT, builder.innermost().name(), local, "");
    }
    is_void
}

/// Takes the `<` at the front of `rest` as text and gives what follows.
fn literal<'a>(rest: &'a str, builder: &mut Builder) -> Result<&'a str, Unreadable> {
    let repairs = builder.deviations.counts().iter().find(|(name, _)| *name == quirk::MARKUP_IN_TEXT);
    if repairs.is_some_and(|(_, count)| *count > limits::XML_REPAIRS) {
        return Err(Unreadable::new(UnreadableKind::Malformed, "too much broken markup"));
    }
    let shown: String = rest.chars().take(40).collect();
    builder.deviations.note(quirk::MARKUP_IN_TEXT, builder.innermost().name(), &shown, "&lt;");
    builder.text("<")?;
    Ok(rest.get(1..).unwrap_or_default())
}

/// True if `rest` is a beginning of the root's end tag, long enough to be nothing else.
fn is_cut_root(rest: &str) -> bool {
    let Some(name) = rest.trim_ascii_end().strip_prefix("</") else { return false };
    let local = name.rsplit(':').next().unwrap_or_default();
    "feedback".get(..local.len()).is_some_and(|start| start.eq_ignore_ascii_case(local)) && !local.is_empty()
}

/// True for a name that an element may have, as far as it matters here.
#[inline]
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_name_byte)
}

/// True for a byte of a name, as far as it matters here.
#[inline]
const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':') || byte >= 0x80
}

/// The refusal of a document that ends early.
fn truncated(builder: &Builder) -> Unreadable {
    let place = builder.innermost().name();
    let counted = match builder.records {
        0 => "before the first record was whole".to_owned(),
        1 => "after 1 whole record, which is not counted since others may be missing".to_owned(),
        records => {
            format!("after {records} whole records, which are not counted since others may be missing")
        }
    };
    let reason = format!("the XML ends early (truncated) in `{place}`, {counted}");
    Unreadable::new(UnreadableKind::Truncated, reason)
}

/// The refusal of entity tricks.
fn forbidden_doctype() -> Unreadable {
    Unreadable::new(UnreadableKind::Forbidden, "a document type declaration with entities is not accepted")
}

#[cfg(test)]
#[path = "reader/tests.rs"]
mod tests;
