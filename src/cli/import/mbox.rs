//! Mailboxes in one file: mboxrd and mboxo.
//!
//! A message begins at a line `From ` that stands first in the file or after an empty line and names a time of
//! day and a year; other lines that begin so are text (some writers do not quote them). `>From `, `>>From `
//! lose one `>` (mboxrd; the same for the one level that mboxo writes). The empty line before a separator
//! belongs to the mailbox. Memory: one message, at most [`limits::MESSAGE_BYTES`]. Standard: RFC 4155.

use std::io::{self, BufRead, Read as _};

use crate::limits;

/// One message of a mailbox.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// Its bytes, with the line ends of the file.
    Whole(Vec<u8>),
    /// It is larger than [`limits::MESSAGE_BYTES`]; its bytes were passed over.
    TooLarge {
        /// How large it is, bytes.
        size_bytes: u64,
    },
}

/// Splits a mailbox.
pub struct Splitter<R> {
    /// The mailbox.
    input: R,
    /// The largest message to hold, bytes.
    cap: usize,
    /// True once the separator of the next message was read.
    is_at_message: bool,
}

/// Bytes of one line that are looked at: longer lines are text and are taken in pieces.
const LINE_BYTES: u64 = 64 * 1024;

impl<R: BufRead> Splitter<R> {
    /// Splits `input`, which begins with a separator line.
    pub fn new(input: R) -> Self {
        Self::with_cap(input, usize::try_from(limits::MESSAGE_BYTES).unwrap_or(usize::MAX))
    }

    /// As [`Self::new`] with another cap.
    fn with_cap(input: R, cap: usize) -> Self {
        Self { input, cap, is_at_message: false }
    }

    /// The next message.
    ///
    /// Errors: those of the input.
    pub fn next_message(&mut self) -> io::Result<Option<Message>> {
        let mut line = Vec::new();
        if !self.is_at_message && !self.read_line(&mut line)? {
            return Ok(None);
        }
        self.is_at_message = false;
        let mut bytes = Vec::new();
        let mut size_bytes: u64 = 0;
        // The line end of an empty line, kept back until it is known to be no part of the mailbox.
        let mut held: Vec<u8> = Vec::new();
        let mut is_line_start = true;
        let mut is_after_empty = false;
        while self.read_line(&mut line)? {
            if is_line_start && is_after_empty && is_separator(&line) {
                self.is_at_message = true;
                held.clear();
                break;
            }
            let text = if is_line_start { unquoted(&line) } else { &line };
            let is_empty = is_line_start && matches!(text, b"\n" | b"\r\n");
            for part in [held.as_slice(), if is_empty { &[] } else { text }] {
                size_bytes = size_bytes.saturating_add(part.len() as u64);
                if size_bytes <= self.cap as u64 {
                    bytes.extend_from_slice(part);
                } else {
                    bytes = Vec::new();
                }
            }
            held.clear();
            if is_empty {
                held.extend_from_slice(text);
            }
            is_after_empty = is_empty;
            is_line_start = line.ends_with(b"\n");
        }
        // At the end of the file the last empty line belongs to the mailbox as well.
        if size_bytes > self.cap as u64 {
            return Ok(Some(Message::TooLarge { size_bytes }));
        }
        Ok(Some(Message::Whole(bytes)))
    }

    /// Reads one line, or [`LINE_BYTES`] of it; false at the end.
    fn read_line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        self.input.by_ref().take(LINE_BYTES).read_until(b'\n', line)?;
        Ok(!line.is_empty())
    }
}

/// True if a text begins like a mailbox.
pub fn is_mailbox(head: &[u8]) -> bool {
    let line = head.split_inclusive(|b| *b == b'\n').next().unwrap_or_default();
    is_separator(line)
}

/// True for `From sender Thu Jan  1 00:00:00 2026` and its relatives.
fn is_separator(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"From ") else { return false };
    if rest.len() > 1_000 {
        return false;
    }
    let words = || rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let is_number = |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    let is_time = |word: &[u8]| {
        let parts: Vec<&[u8]> = word.split(|b| *b == b':').collect();
        matches!(parts.len(), 2 | 3) && parts.iter().all(|part| part.len() <= 2 && is_number(part))
    };
    let is_year = |word: &[u8]| word.len() == 4 && is_number(word);
    words().any(is_time) && words().any(is_year)
}

/// A line without one `>` where it is `>From `, `>>From ` and so on.
fn unquoted(line: &[u8]) -> &[u8] {
    match line.strip_prefix(b">") {
        Some(rest) => {
            let quotes = rest.iter().take_while(|b| **b == b'>').count();
            if rest.get(quotes..).is_some_and(|text| text.starts_with(b"From ")) { rest } else { line }
        }
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits a text and returns the messages as text.
    fn split(text: &str, cap: usize) -> Vec<String> {
        let mut splitter = Splitter::with_cap(io::BufReader::with_capacity(7, text.as_bytes()), cap);
        let mut found = Vec::new();
        while let Some(message) = splitter.next_message().unwrap() {
            found.push(match message {
                Message::Whole(bytes) => String::from_utf8(bytes).unwrap(),
                Message::TooLarge { size_bytes } => format!("too large: {size_bytes}"),
            });
        }
        found
    }

    const FROM: &str = "From a@b.example Thu Jan  1 00:00:00 2026";

    #[test]
    fn splits() {
        let cases: [(&str, String, &[&str]); 8] = [
            ("empty", String::new(), &[]),
            ("one", format!("{FROM}\nA: b\n\ntext\n"), &["A: b\n\ntext\n"]),
            (
                "two",
                format!("{FROM}\nA: 1\n\none\n\n{FROM}\nA: 2\n\ntwo\n\n"),
                &["A: 1\n\none\n", "A: 2\n\ntwo\n"],
            ),
            (
                "crlf",
                format!("{FROM}\r\nA: 1\r\n\r\none\r\n\r\n{FROM}\r\nA: 2\r\n"),
                &["A: 1\r\n\r\none\r\n", "A: 2\r\n"],
            ),
            (
                "text that begins like a separator",
                format!("{FROM}\nA: 1\n\nhello\n\nFrom here on it is text\n{FROM}\n"),
                &["A: 1\n\nhello\n\nFrom here on it is text\nFrom a@b.example Thu Jan  1 00:00:00 2026\n"],
            ),
            (
                "quoted",
                format!("{FROM}\nA: 1\n\n>From x\n>>From y\n> From z\n>Fromage\n"),
                &["A: 1\n\nFrom x\n>From y\n> From z\n>Fromage\n"],
            ),
            ("empty lines inside stay", format!("{FROM}\nA: 1\n\n\n\ntext\n\n\n"), &["A: 1\n\n\n\ntext\n\n"]),
            ("no line end", format!("{FROM}\nA: 1\n\ntext"), &["A: 1\n\ntext"]),
        ];
        for (name, text, want) in cases {
            assert_eq!(split(&text, 10_000), want, "{name}");
        }
    }

    #[test]
    fn a_large_message_is_passed_over() {
        let text = format!("{FROM}\n{}\n\n{FROM}\nA: 2\n", "x".repeat(200));
        assert_eq!(split(&text, 100), ["too large: 201", "A: 2\n"]);
    }

    #[test]
    fn separators() {
        let good = [
            "From a@b Thu Jan  1 00:00:00 2026\n",
            "From MAILER-DAEMON Thu Jan  1 00:00 2026\r\n",
            "From - Thu Jan 01 00:00:00 2026",
            "From \"a b\"@c Thu Jan  1 00:00:00 +0100 2026\n",
        ];
        let bad =
            ["From me to you\n", "From: a@b\n", "from a Thu 00:00:00 2026\n", "From 2026 to 2027\n", ""];
        assert!(good.iter().all(|line| is_separator(line.as_bytes())));
        assert!(!bad.iter().any(|line| is_separator(line.as_bytes())));
    }

    mod properties {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            /// What was written as mboxrd comes back, whatever the lines are.
            #[test]
            fn written_is_read(messages in prop::collection::vec("([ -~]{0,30}\n|>{0,3}From [a-z 0-9:]{0,20}\n|\n){1,8}", 1..5)) {
                let quote = |line: &str| {
                    let bare = line.trim_start_matches('>');
                    if bare.starts_with("From ") { [">", line].concat() } else { line.to_owned() }
                };
                let mut mailbox = String::new();
                for message in &messages {
                    mailbox.extend([FROM, "\n"]);
                    mailbox.extend(message.split_inclusive('\n').map(quote));
                    mailbox.push('\n');
                }
                prop_assert_eq!(split(&mailbox, 100_000), messages);
            }
        }
    }
}
