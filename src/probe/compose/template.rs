//! Texts and fields of the operator's own, with variables.
//!
//! A template is fields, an empty line and text, as a message is:
//!
//! ```text
//! Subject: Order {{seq}} has been shipped
//! X-Campaign: spring
//! Content-Type: text/html
//!
//! <p>Your order {{seq}} of {{date}} is on its way to {{to}}.</p>
//! ```
//!
//! What would break the message is an error that names the line and the mend; nothing is mended silently.
//!
//! Standard: RFC 5322 §2.1.1 (998 octets a line), §2.2 (names of fields), §2.3 (no lone CR or LF).

use crate::limits;

/// Names that may stand between `{{` and `}}`.
pub const VARIABLES: [&str; 7] = ["token", "route", "seq", "size", "date", "to", "from"];

/// Fields that a probe, or the mail systems on its way, write themselves. `Content-` fields, `Resent-` and `ARC-`
/// fields too.
const RESERVED: [&str; 17] = [
    "from",
    "to",
    "cc",
    "bcc",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "mime-version",
    "x-mailsonde-probe",
    "auto-submitted",
    "x-auto-response-suppress",
    "received",
    "return-path",
    "delivered-to",
    "dkim-signature",
    "authentication-results",
];

/// What is wrong with a template or a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not UTF-8.
    #[error("not UTF-8: save the file as UTF-8")]
    NotUtf8,
    /// Too large.
    #[error("the template has more than {} bytes: make it shorter", limits::PROBE_TEMPLATE_BYTES)]
    TooLarge,
    /// A CR without LF.
    #[error("a carriage return without a line feed: end each line with LF or CR LF")]
    BareCr,
    /// A character that no message may hold here.
    #[error("the control character U+{:04X}: remove it", u32::from(*.0))]
    Control(char),
    /// A line among the fields that is none.
    #[error(
        "not a field `Name: value`: a template begins with its fields, then an empty line, then the text; without \
         fields its first line is empty"
    )]
    NotAField,
    /// A name that no field can have.
    #[error("`{0}` is no name of a field: letters, digits and hyphens are")]
    FieldName(String),
    /// A field that is not the operator's.
    #[error("the field `{0}` is written by the probe or by mail servers: leave it out")]
    Reserved(String),
    /// A field twice.
    #[error("the field `{0}` stands twice: leave one out")]
    Twice(String),
    /// The text's type is none of the two.
    #[error("`Content-Type: {0}`: `text/plain` or `text/html`, without parameters")]
    ContentType(String),
    /// Too long a line.
    #[error("{0} octets on a line, and a message has at most 998: break it, or use shorter variables")]
    LineTooLong(usize),
    /// `{{` without `}}`.
    #[error("`{{{{` without `}}}}` on the same line: close it, or leave it out")]
    NotClosed,
    /// No such variable.
    #[error("no such variable: {{{{{0}}}}} (there are {list})", list = list())]
    UnknownVariable(String),
}

/// The variables in words.
fn list() -> String {
    VARIABLES.map(|name| format!("{{{{{name}}}}}")).join(", ")
}

/// What is wrong, and in which line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct TemplateError {
    /// The line, from 1.
    pub line: usize,
    /// What.
    pub fault: Fault,
}

/// What is wrong with a field of the operator's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("header `{name}`: {fault}")]
pub struct HeaderError {
    /// The field, as written.
    pub name: String,
    /// What.
    pub fault: Fault,
}

/// A template that was read and found in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The fields but the subject: line, name, value.
    fields: Vec<(usize, String, String)>,
    /// The subject, with its line.
    subject: Option<(usize, String)>,
    /// True for HTML.
    pub(super) is_html: bool,
    /// The lines of the text, and the number of the first.
    text: (usize, Vec<String>),
}

/// The values of the variables of one probe.
pub(super) struct Values<'v> {
    /// Name and value of each of [`VARIABLES`].
    pub(super) values: [(&'static str, &'v str); 7],
}

/// A template with its variables filled.
pub(super) struct Filled {
    /// The subject without the token.
    pub(super) subject: Option<String>,
    /// The fields of the operator's own.
    pub(super) fields: Vec<(String, String)>,
    /// The lines of the text.
    pub(super) text: Vec<String>,
}

impl Template {
    /// Reads a template: UTF-8, lines ending in LF or CR LF.
    ///
    /// Errors: the first fault, with its line.
    pub fn parse(bytes: &[u8]) -> Result<Self, TemplateError> {
        let at = |line: usize| move |fault: Fault| TemplateError { line, fault };
        if bytes.len() > limits::PROBE_TEMPLATE_BYTES {
            return Err(at(1)(Fault::TooLarge));
        }
        let text = match str::from_utf8(bytes) {
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(error) => {
                let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
                return Err(at(1 + memchr::memchr_iter(b'\n', before).count())(Fault::NotUtf8));
            }
        };
        let mut lines = (1..).zip(text.strip_suffix('\n').unwrap_or(text).split('\n'));
        let mut fields: Vec<(usize, String, String)> = Vec::new();
        let mut first = 1;
        for (number, line) in lines.by_ref() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            first = number + 1;
            check_line(line).map_err(at(number))?;
            if line.trim().is_empty() {
                break;
            }
            // A folded field (RFC 5322 §2.2.3).
            if let (true, Some((_, _, value))) = (line.starts_with([' ', '\t']), fields.last_mut()) {
                value.push(' ');
                value.push_str(line.trim());
                continue;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| at(number)(Fault::NotAField))?;
            check_name(name, true).map_err(at(number))?;
            check_value(value.trim()).map_err(at(number))?;
            if fields.iter().any(|(_, known, _)| known.eq_ignore_ascii_case(name)) {
                return Err(at(number)(Fault::Twice(name.to_owned())));
            }
            fields.push((number, name.to_owned(), value.trim().to_owned()));
        }
        let mut body = Vec::new();
        for (number, line) in lines {
            let line = line.strip_suffix('\r').unwrap_or(line);
            check_line(line).map_err(at(number))?;
            body.push(line.to_owned());
        }
        let mut take = |wanted: &str| {
            let at = fields.iter().position(|(_, name, _)| name.eq_ignore_ascii_case(wanted))?;
            Some(fields.remove(at))
        };
        let subject = take("subject").map(|(line, _, value)| (line, value));
        let is_html = match take("content-type") {
            None => false,
            Some((_, _, kind)) if kind.eq_ignore_ascii_case("text/plain") => false,
            Some((_, _, kind)) if kind.eq_ignore_ascii_case("text/html") => true,
            Some((line, _, kind)) => return Err(at(line)(Fault::ContentType(kind))),
        };
        Ok(Self { fields, subject, is_html, text: (first, body) })
    }

    /// Fills the variables.
    pub(super) fn fill(&self, values: &Values<'_>) -> Result<Filled, TemplateError> {
        let at = |line: usize| move |fault: Fault| TemplateError { line, fault };
        let mut fields = Vec::with_capacity(self.fields.len());
        for (line, name, value) in &self.fields {
            let value = values.fill(value).map_err(at(*line))?;
            check_value(&value).and_then(|()| check_words(name, &value)).map_err(at(*line))?;
            fields.push((name.clone(), value));
        }
        let subject = match &self.subject {
            None => None,
            Some((line, value)) => {
                let value = values.fill(value).map_err(at(*line))?;
                check_value(&value).and_then(|()| check_words("Subject", &value)).map_err(at(*line))?;
                Some(value)
            }
        };
        let mut text = Vec::with_capacity(self.text.1.len());
        for (line, words) in (self.text.0..).zip(&self.text.1) {
            let filled = values.fill(words).map_err(at(line))?;
            check_octets(&filled).map_err(at(line))?;
            text.push(filled);
        }
        Ok(Filled { subject, fields, text })
    }
}

impl Values<'_> {
    /// Fills the variables of one line.
    pub(super) fn fill(&self, text: &str) -> Result<String, Fault> {
        let mut out = String::with_capacity(text.len());
        for piece in pieces(text)? {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Variable(name) => {
                    let value = self.values.iter().find(|(known, _)| *known == name);
                    let (_, value) = value.ok_or_else(|| Fault::UnknownVariable(name.to_owned()))?;
                    out.push_str(value);
                }
            }
        }
        // The values come from names of routes and from addresses: no line may come out of them.
        match out.chars().find(|c| c.is_control() && *c != '\t') {
            Some(c) => Err(Fault::Control(c)),
            None => Ok(out),
        }
    }
}

/// Checks fields of the operator's own, as they stand in the configuration.
///
/// Errors: the first one that would break a message, or that is not the operator's.
pub fn check_headers(headers: &[(String, String)]) -> Result<(), HeaderError> {
    for (at, (name, value)) in headers.iter().enumerate() {
        let error = |fault| HeaderError { name: name.clone(), fault };
        check_name(name, false).map_err(error)?;
        check_value(value).and_then(|()| pieces(value).map(drop)).map_err(error)?;
        let before = headers.get(..at).unwrap_or_default();
        if before.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return Err(error(Fault::Twice(name.clone())));
        }
    }
    Ok(())
}

/// Fills the variables of checked fields.
pub(super) fn fill_headers(
    headers: &[(String, String)],
    values: &Values<'_>,
) -> Result<Vec<(String, String)>, HeaderError> {
    check_headers(headers)?;
    let fill = |(name, value): &(String, String)| {
        let error = |fault| HeaderError { name: name.clone(), fault };
        let value = values.fill(value).map_err(error)?;
        check_value(&value).and_then(|()| check_words(name, &value)).map_err(error)?;
        Ok((name.clone(), value))
    };
    headers.iter().map(fill).collect()
}

/// A piece of a line.
enum Piece<'p> {
    /// Text as it stands.
    Text(&'p str),
    /// A variable's name.
    Variable(&'p str),
}

/// Takes a line apart. Errors: a variable that is not closed, or that nobody knows.
fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Fault> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, left) = after.split_once("}}").ok_or(Fault::NotClosed)?;
        let name = name.trim();
        if !VARIABLES.contains(&name) {
            return Err(Fault::UnknownVariable(name.chars().take(40).collect()));
        }
        pieces.push(Piece::Text(before));
        pieces.push(Piece::Variable(name));
        rest = left;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// Checks one line of a template as it stands.
fn check_line(line: &str) -> Result<(), Fault> {
    match line.chars().find(|c| c.is_control() && *c != '\t') {
        Some('\r') => return Err(Fault::BareCr),
        Some(c) => return Err(Fault::Control(c)),
        None => {}
    }
    check_octets(line)?;
    pieces(line).map(drop)
}

/// Checks the length of a line.
fn check_octets(line: &str) -> Result<(), Fault> {
    if line.len() > limits::MESSAGE_LINE_OCTETS { Err(Fault::LineTooLong(line.len())) } else { Ok(()) }
}

/// Checks the name of a field. `in_template`: a template has its subject and type there too.
fn check_name(name: &str, in_template: bool) -> Result<(), Fault> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > limits::PROBE_FIELD_NAME_BYTES || !name.chars().all(is_name) {
        return Err(Fault::FieldName(name.chars().take(40).collect()));
    }
    let lower = name.to_ascii_lowercase();
    if in_template && matches!(lower.as_str(), "subject" | "content-type") {
        return Ok(());
    }
    let is_family = ["content-", "resent-", "arc-"].iter().any(|start| lower.starts_with(start));
    if is_family || lower == "subject" || RESERVED.contains(&lower.as_str()) {
        return Err(Fault::Reserved(name.to_owned()));
    }
    Ok(())
}

/// Checks the value of a field.
fn check_value(value: &str) -> Result<(), Fault> {
    match value.chars().find(|c| c.is_control()) {
        Some(c) => Err(Fault::Control(c)),
        None => Ok(()),
    }
}

/// Checks that each word of a field fits on a line: fields are folded between words only. What is not ASCII is
/// encoded, in words that fit.
fn check_words(name: &str, value: &str) -> Result<(), Fault> {
    let longest = value.split(' ').map(str::len).max().unwrap_or_default();
    // The first word stands behind the name, a colon and a blank.
    let octets = name.len() + 2 + longest;
    if value.is_ascii() && octets > limits::MESSAGE_LINE_OCTETS {
        Err(Fault::LineTooLong(octets))
    } else {
        Ok(())
    }
}
