//! SMTP reply codes and enhanced status codes, exact or anywhere in a text.
//!
//! Bounces quote codes in prose, in brackets, after `said:` and inside one another, next to numbers
//! that only look like codes (addresses, versions, sections of standards). The readers here want word
//! borders and, for a bare reply code, a place where a reply stands. They read a text once, from left
//! to right, without backtracking.
//!
//! Standards: RFC 5321 §4.2.1, RFC 3463 §2, RFC 5248 §2.

use std::fmt;

/// What a code says about trying again: the first digit of both kinds of codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// 2: it was done.
    Success,
    /// 4: it may work later.
    Transient,
    /// 5: the same mail will not work later.
    Permanent,
}

impl Class {
    /// The digit: 2, 4 or 5.
    pub const fn digit(self) -> u8 {
        match self {
            Self::Success => 2,
            Self::Transient => 4,
            Self::Permanent => 5,
        }
    }

    /// Reads the digit; 3 and all others are no class of a final answer.
    const fn of(digit: u8) -> Option<Self> {
        match digit {
            b'2' => Some(Self::Success),
            b'4' => Some(Self::Transient),
            b'5' => Some(Self::Permanent),
            _ => None,
        }
    }
}

// ---- Reply code ----

/// A final SMTP reply code: 2yz, 4yz or 5yz.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyCode(u16);

impl ReplyCode {
    /// Reads exactly three digits; the second up to 7, since 571 and the like are out there
    /// (RFC 5321 §4.2.1 allows 0 to 5).
    pub fn parse(text: &str) -> Option<Self> {
        let &[class, second, third] = text.as_bytes() else { return None };
        Class::of(class)?;
        if !(b'0'..=b'7').contains(&second) || !third.is_ascii_digit() {
            return None;
        }
        let digit = |byte: u8| u16::from(byte - b'0');
        Some(Self(digit(class) * 100 + digit(second) * 10 + digit(third)))
    }

    /// The number, 200 to 579.
    pub const fn value(self) -> u16 {
        self.0
    }

    /// The class of the first digit.
    pub const fn class(self) -> Class {
        match self.0 / 100 {
            2 => Class::Success,
            4 => Class::Transient,
            _ => Class::Permanent,
        }
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

// ---- Enhanced status ----

/// An enhanced status code: class, subject and detail (RFC 3463 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnhancedStatus {
    /// Success, try again, or never.
    pub class: Class,
    /// 0 to 999; 0 to 7 are registered (RFC 3463 §3, RFC 5248 §2.4).
    pub subject: u16,
    /// 0 to 999; private ones such as 26 or 515 occur.
    pub detail: u16,
}

impl EnhancedStatus {
    /// Reads a whole text as one code; blanks around it are dropped, nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (status, length) = Self::leading(text.as_bytes())?;
        (length == text.len()).then_some(status)
    }

    /// Reads the code at the start of a `Status` field: a comment or words may follow it
    /// (RFC 3464 §2.3.4 allows comments).
    pub fn parse_field(text: &str) -> Option<Self> {
        let text = text.trim_start_matches([' ', '\t', '#', '"', '<', '(']);
        let (status, length) = Self::leading(text.as_bytes())?;
        let rest = text.as_bytes().get(length..).unwrap_or_default();
        ends_cleanly(rest).then_some(status)
    }

    /// True for x.0.0: the sender of the report knew no more than the class.
    pub const fn is_vague(self) -> bool {
        self.subject == 0 && self.detail == 0
    }

    /// True if the subject is one of RFC 3463 §3.
    pub const fn has_known_subject(self) -> bool {
        self.subject <= 7
    }

    /// Reads `d.n.n` at the start of `bytes` and gives its length.
    fn leading(bytes: &[u8]) -> Option<(Self, usize)> {
        let class = Class::of(*bytes.first()?)?;
        if bytes.get(1) != Some(&b'.') {
            return None;
        }
        let (subject, subject_length) = small_number(bytes.get(2..)?)?;
        let dot = 2 + subject_length;
        if bytes.get(dot) != Some(&b'.') {
            return None;
        }
        let (detail, detail_length) = small_number(bytes.get(dot + 1..)?)?;
        Some((Self { class, subject, detail }, dot + 1 + detail_length))
    }

    /// All codes in a text with the offset of each, in order.
    ///
    /// Not codes: a part of a longer number or dotted row (IP addresses, versions), and what follows
    /// `version`, `section`, `RFC`, a slash or the name of a program.
    pub fn find_all(text: &str) -> Vec<(usize, Self)> {
        let bytes = text.as_bytes();
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let starts = byte.is_ascii_digit() && is_border(bytes, at);
            let Some((status, length)) =
                starts.then(|| Self::leading(bytes.get(at..).unwrap_or_default())).flatten()
            else {
                at += 1;
                continue;
            };
            let rest = bytes.get(at + length..).unwrap_or_default();
            let word = word_before(text, at);
            let other =
                ["version", "ver", "v", "section", "sec", "rfc", "exim", "postfix", "release", "build"];
            let named = other.iter().any(|name| word.eq_ignore_ascii_case(name));
            if ends_cleanly(rest) && !named {
                found.push((at, status));
            }
            at += length;
        }
        found
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class.digit(), self.subject, self.detail)
    }
}

/// Reads one to three digits.
fn small_number(bytes: &[u8]) -> Option<(u16, usize)> {
    let length = bytes.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 || length > 3 {
        return None;
    }
    let value =
        bytes.get(..length)?.iter().fold(0u16, |value, byte| value * 10 + u16::from(byte.wrapping_sub(b'0')));
    Some((value, length))
}

/// True if a code that begins at `at` is not the tail of a word, number or path.
fn is_border(bytes: &[u8], at: usize) -> bool {
    let Some(&before) = at.checked_sub(1).and_then(|i| bytes.get(i)) else { return true };
    match before {
        // `550-5.7.1` is a line of a reply, `mta-5.6.0` a version.
        b'-' => at < 2 || bytes.get(at - 2).is_none_or(|b| b.is_ascii_digit() || b.is_ascii_whitespace()),
        b'.' | b'/' | b'_' | b'@' | b'+' | b'=' => false,
        byte => !byte.is_ascii_alphanumeric() && byte < 0x80,
    }
}

/// True if what follows a code does not make it a longer number or name.
fn ends_cleanly(rest: &[u8]) -> bool {
    match rest.first() {
        None => true,
        Some(b'.') => !rest.get(1).is_some_and(u8::is_ascii_alphanumeric),
        Some(b'-') => !rest.get(1).is_some_and(u8::is_ascii_digit),
        Some(b'/' | b'@' | b'_') => false,
        Some(byte) => !byte.is_ascii_alphanumeric(),
    }
}

/// The letters before `at`, over blanks and punctuation of one place: `Exim 4.96.1` gives `Exim`.
fn word_before(text: &str, at: usize) -> &str {
    let before = text.get(..at).unwrap_or_default().trim_end_matches([' ', '.', ':', '#', '\u{a7}']);
    // A short look back is enough: the words that matter are short.
    let start = before
        .char_indices()
        .rev()
        .take(16)
        .take_while(|(_, c)| c.is_ascii_alphabetic())
        .last()
        .map_or(before.len(), |(i, _)| i);
    before.get(start..).unwrap_or_default()
}

// ---- Replies in a text ----

/// One SMTP reply found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Offset of its first digit.
    pub at: usize,
    /// The reply code; absent where only an enhanced code stands.
    pub code: Option<ReplyCode>,
    /// The enhanced code that belongs to it.
    pub enhanced: Option<EnhancedStatus>,
    /// True if it stands in quotes or angle brackets inside another reply: the words of a host further on.
    pub is_quoted: bool,
}

impl Reply {
    /// The class of the code, else of the enhanced code.
    pub fn class(&self) -> Option<Class> {
        self.code.map(ReplyCode::class).or(self.enhanced.map(|enhanced| enhanced.class))
    }
}

/// How far after its reply code an enhanced code is looked for, bytes: a few lines.
const ENHANCED_WITHIN: usize = 600;

/// All replies in a text, in order.
///
/// A reply code counts where a reply stands: at the start of a line, after `:`, `;`, quotes, brackets,
/// `<<<`, or a word such as `said`; or anywhere if an enhanced code of the same class follows it. The
/// lines of one reply (`550-…`, `550 …`) are one reply each. An enhanced code without reply code counts
/// at the start of a line, in brackets, or after `#`.
pub fn find_replies(text: &str) -> Vec<Reply> {
    let bytes = text.as_bytes();
    let codes = EnhancedStatus::find_all(text);
    let mut replies: Vec<Reply> = Vec::new();
    let mut at = 0;
    let mut next = 0;
    while at < bytes.len() {
        while codes.get(next).is_some_and(|(offset, _)| *offset < at) {
            next += 1;
        }
        if let Some(&(offset, enhanced)) = codes.get(next)
            && offset == at
        {
            let length = EnhancedStatus::leading(bytes.get(at..).unwrap_or_default()).map_or(1, |(_, n)| n);
            if stands_alone(text, at) {
                replies.push(Reply { at, code: None, enhanced: Some(enhanced), is_quoted: false });
            }
            at += length;
            continue;
        }
        let Some(code) = code_at(text, at) else {
            at += 1;
            continue;
        };
        let end = at + 3;
        // Only blanks, dashes and quotes may stand between the two codes: `550-5.7.1`, `550 #5.1.0`,
        // `550-'5.7.1`.
        let gap = bytes
            .get(end..)
            .unwrap_or_default()
            .iter()
            .take(4)
            .take_while(|b| b" -#:('\"\r\n\t".contains(b))
            .count();
        let adjacent = codes
            .get(next..)
            .unwrap_or_default()
            .first()
            // RFC 5248 §2 wants one class in both; `554 4.4.7` is out there, but only side by side.
            .filter(|(offset, enhanced)| {
                *offset == end + gap && (enhanced.class == code.class() || gap == 1)
            });
        if adjacent.is_some() || reply_stands(text, at) {
            let is_quoted = !replies.is_empty() && in_quotes(bytes, at, end + gap);
            let enhanced = adjacent.map(|(_, enhanced)| *enhanced);
            replies.push(Reply { at, code: Some(code), enhanced, is_quoted });
            at = adjacent.map_or(end, |(offset, _)| {
                offset
                    + EnhancedStatus::leading(bytes.get(*offset..).unwrap_or_default()).map_or(1, |(_, n)| n)
            });
        } else {
            at = end;
        }
    }
    add_late_codes(&mut replies, &codes);
    replies
}

/// Gives each reply without an enhanced code the first one of its class in its own text:
/// `501 RCPT TO not accepted: 5.7.1 …`, `550 no mailbox here (#5.1.1 - chkusr)`.
fn add_late_codes(replies: &mut Vec<Reply>, codes: &[(usize, EnhancedStatus)]) {
    let mut first = 0;
    let mut taken = Vec::new();
    for i in 0..replies.len() {
        let Some(&Reply { at, code: Some(code), enhanced: None, .. }) = replies.get(i) else { continue };
        let until = replies
            .get(i + 1..)
            .unwrap_or_default()
            .iter()
            .take(16)
            .find(|next| next.code.is_some())
            .map_or(usize::MAX, |next| next.at)
            .min(at + ENHANCED_WITHIN);
        while codes.get(first).is_some_and(|(offset, _)| *offset < at) {
            first += 1;
        }
        let late = codes
            .get(first..)
            .unwrap_or_default()
            .iter()
            .take(8)
            .take_while(|(offset, _)| *offset < until)
            .find(|(_, enhanced)| enhanced.class == code.class());
        if let (Some(&(offset, enhanced)), Some(reply)) = (late, replies.get_mut(i)) {
            reply.enhanced = Some(enhanced);
            taken.push(offset);
        }
    }
    replies.retain(|reply| reply.code.is_some() || taken.binary_search(&reply.at).is_err());
}

/// The reply code at `at`, if three digits stand there between borders.
fn code_at(text: &str, at: usize) -> Option<ReplyCode> {
    let bytes = text.as_bytes();
    if !bytes.get(at).is_some_and(|b| matches!(b, b'2' | b'4' | b'5')) || !is_code_border(bytes, at) {
        return None;
    }
    let code = ReplyCode::parse(text.get(at..at + 3)?)?;
    let after = bytes.get(at + 3).copied();
    let then = bytes.get(at + 4).copied();
    let ends = match after {
        None
        | Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | b';' | b')' | b']' | b'\'' | b'"' | b'>' | b'-') => true,
        Some(b':' | b'.') => then.is_none_or(|b| !b.is_ascii_alphanumeric()),
        _ => false,
    };
    ends.then_some(code)
}

/// True if a reply code may begin at `at`.
fn is_code_border(bytes: &[u8], at: usize) -> bool {
    let Some(&before) = at.checked_sub(1).and_then(|i| bytes.get(i)) else { return true };
    match before {
        b' ' | b'\t' | b'\r' | b'\n' | b'\'' | b'"' | b'(' | b'[' | b'<' | b';' | b'>' => true,
        // `ERROR_CODE :550` and `said:550`, but not the port or minute after `10:450`.
        b':' | b'=' => at < 2 || bytes.get(at - 2).is_some_and(|b| b.is_ascii_alphabetic() || *b == b' '),
        // `#550 5.1.1` of Exchange, but not the fragment of a link.
        b'#' => at < 2 || bytes.get(at - 2).is_some_and(|b| b.is_ascii_whitespace() || *b == b'('),
        _ => false,
    }
}

/// Words before a reply code that say that a reply follows.
const REPLY_WORDS: [&str; 18] = [
    "said",
    "reply",
    "replied",
    "error",
    "code",
    "responsecode",
    "response",
    "responded",
    "returned",
    "status",
    "with",
    "was",
    "reason",
    "smtp",
    "server",
    "deferred",
    "rejected",
    "is",
];

/// True if the place before `at` is one where a reply stands.
fn reply_stands(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let trimmed = before.trim_end_matches([' ', '\t']);
    match trimmed.chars().next_back() {
        None
        | Some('\n' | '\r' | ':' | ';' | '>' | '\'' | '"' | '(' | '[' | '<' | '#' | '=' | '\u{2019}') => true,
        Some(c) if c.is_ascii_alphabetic() => {
            let word = word_before(trimmed, trimmed.len());
            REPLY_WORDS.iter().any(|known| word.eq_ignore_ascii_case(known))
        }
        // `554 554 5.7.1`: a code repeated.
        Some(c) if c.is_ascii_digit() => {
            let start = trimmed.len().saturating_sub(3);
            trimmed.get(start..).and_then(ReplyCode::parse).is_some()
                && (start == 0 || trimmed.as_bytes().get(start - 1).is_some_and(u8::is_ascii_whitespace))
        }
        Some(_) => false,
    }
}

/// True if an enhanced code at `at` is a statement of its own.
fn stands_alone(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default().trim_end_matches([' ', '\t']);
    before.ends_with(['\n', '\r', '#', '(', '[', ':', ';', '\'', '"', '<', '>', '-']) || before.is_empty()
}

/// True if a reply at `at`, or its enhanced code at `code_at`, begins right after a quote or bracket.
fn in_quotes(bytes: &[u8], at: usize, code_at: usize) -> bool {
    let opens = |i: usize| {
        i.checked_sub(1).and_then(|i| bytes.get(i)).is_some_and(|b| matches!(b, b'<' | b'\'' | b'"'))
    };
    opens(at) || opens(code_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_codes() {
        let cases = [
            ("5.1.1", Some((Class::Permanent, 1, 1))),
            (" 4.7.26 ", Some((Class::Transient, 7, 26))),
            ("2.0.0", Some((Class::Success, 0, 0))),
            ("5.7.515", Some((Class::Permanent, 7, 515))),
            ("3.1.1", None),
            ("5.1", None),
            ("5.1.1000", None),
            ("5.1.1.1", None),
            ("5.1.1 (x)", None),
            ("", None),
        ];
        for (text, want) in cases {
            let got = EnhancedStatus::parse(text).map(|s| (s.class, s.subject, s.detail));
            assert_eq!(got, want, "{text:?}");
        }
        assert_eq!(EnhancedStatus::parse_field("5.0.0 (permanent failure)").unwrap().to_string(), "5.0.0");
        assert_eq!(EnhancedStatus::parse_field("5.2.1(disabled)").unwrap().to_string(), "5.2.1");
        assert_eq!(EnhancedStatus::parse_field(""), None);
        for (text, want) in
            [("550", Some(550)), ("250", Some(250)), ("571", Some(571)), ("599", None), ("354", None)]
        {
            assert_eq!(ReplyCode::parse(text).map(ReplyCode::value), want, "{text}");
        }
    }

    #[track_caller]
    fn check_codes(text: &str, want: &[&str]) {
        let got: Vec<String> = EnhancedStatus::find_all(text).iter().map(|(_, s)| s.to_string()).collect();
        assert_eq!(got, want, "{text:?}");
    }

    #[test]
    fn codes_among_look_alikes() {
        check_codes("550 5.1.1 <a@example.net>... User unknown", &["5.1.1"]);
        check_codes("550-5.7.26 more\n550 5.7.26 end", &["5.7.26", "5.7.26"]);
        check_codes("Sorry, no mailbox here by that name. (#5.1.1)", &["5.1.1"]);
        check_codes("host 5.9.1.2 said no", &[]);
        check_codes("deferred - 4.16.55.1; see", &[]);
        check_codes("192.0.2.5.1.1", &[]);
        check_codes("(mxl_mta-5.6.0-4) Exim 4.96.1, version 5.2.1, rfc 5.1.1, v4.5.6", &[]);
        check_codes("see section 4.2.1 of the manual", &[]);
        check_codes("ends with 4.4.7.", &["4.4.7"]);
        check_codes("2024-02-19T09:30:25.255Z 5.5.5Z", &[]);
        check_codes("https://example.com/5.1.1/x", &[]);
    }

    #[track_caller]
    fn check_replies(text: &str, want: &[(Option<u16>, &str, bool)]) {
        let got: Vec<_> = find_replies(text)
            .iter()
            .map(|r| {
                (
                    r.code.map(ReplyCode::value),
                    r.enhanced.map(|e| e.to_string()).unwrap_or_default(),
                    r.is_quoted,
                )
            })
            .collect();
        let want: Vec<_> =
            want.iter().map(|(code, text, quoted)| (*code, (*text).to_owned(), *quoted)).collect();
        assert_eq!(got, want, "{text:?}");
    }

    #[test]
    fn replies_in_prose() {
        check_replies(
            "host mx.example.net[192.0.2.1] said: 550 5.1.1 no (in reply)",
            &[(Some(550), "5.1.1", false)],
        );
        check_replies("501 RCPT TO not accepted: 5.7.1 This system", &[(Some(501), "5.7.1", false)]);
        check_replies("550 sorry, no mailbox (#5.1.1 - chkusr)", &[(Some(550), "5.1.1", false)]);
        check_replies("550 #5.1.0 Address rejected.", &[(Some(550), "5.1.0", false)]);
        check_replies(
            "554 4.4.7 Message expired.<421 4.4.2 Connection timed out>",
            &[(Some(554), "4.4.7", false), (Some(421), "4.4.2", true)],
        );
        check_replies(
            "5.1.0 - Unknown address error 550-'5.7.1 <x>... Access denied'",
            &[(None, "5.1.0", false), (Some(550), "5.7.1", true)],
        );
        check_replies("550 5.7.1 550 User unknown", &[(Some(550), "5.7.1", false)]);
        check_replies("waited 450 minutes for 500 mails", &[]);
        check_replies("connect to mx.example[192.0.2.1]:25: Connection refused", &[]);
        check_replies("ERROR_CODE :550, ERROR_CODE :5.2.1 <x>", &[(Some(550), "5.2.1", false)]);
        check_replies("see https://example.com/DOC-1369#554 for", &[]);
        check_replies("5.2.2 <a@example.net>... Mailbox Full", &[(None, "5.2.2", false)]);
        check_replies("2001:550::1 and 10:450:11", &[]);
        check_replies("ResponseCode 421, , Host not reachable", &[(Some(421), "", false)]);
    }
}
