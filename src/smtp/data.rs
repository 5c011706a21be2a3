//! The data of one message: finds its end and takes the dots away, at any cut of the input.
//!
//! Policy for line ends (RFC 5321 §2.3.8, §4.1.1.4): only CRLF ends a line here and only CRLF.CRLF ends the
//! data, or `.CRLF` at its very beginning (§4.5.2, the empty message). A bare CR or LF is kept in the body
//! as it came and is never part of an end: what a peer smuggles behind `LF.CRLF` or the like stays text of
//! the one message. Sloppy reporters send bare LF, so such a message is not refused. A dot after CRLF, and
//! on the first line, is taken away when more stands on its line; one after a bare LF is kept.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Reads the data of one message; the body comes out in slices as it is read.
#[derive(Debug)]
pub(super) struct DataReader {
    at: At,
}

/// What stands right before the next byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The beginning of the data, or a CRLF.
    LineStart,
    /// A dot at the start of a line, not given out.
    Dot,
    /// A dot and a CR at the start of a line, both not given out.
    DotCr,
    /// A CR within a line, given out.
    Cr,
    /// Anything else.
    Middle,
}

/// The only place in a message where something may have to be done.
static LINE_WITH_DOT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n."));

impl DataReader {
    /// Stands before the first byte of the data.
    pub(super) const fn new() -> Self {
        Self { at: At::LineStart }
    }

    /// Reads `input`, gives the body's bytes to `take`, and stops behind the end of the data.
    ///
    /// Shape: the number of bytes read if the end was found; `None` if all were read without it.
    pub(super) fn read(&mut self, input: &[u8], mut take: impl FnMut(&[u8])) -> Option<usize> {
        let mut rest = input;
        loop {
            let (&first, behind) = rest.split_first()?;
            match (self.at, first) {
                (At::LineStart, b'.') => (self.at, rest) = (At::Dot, behind),
                (At::Dot, b'\r') => (self.at, rest) = (At::DotCr, behind),
                (At::DotCr, b'\n') => {
                    self.at = At::LineStart;
                    return Some(input.len() - behind.len());
                }
                // RFC 5321 §4.5.2: the dot is gone, the rest of the line stays.
                (At::DotCr, _) => {
                    take(b"\r");
                    self.at = At::Cr;
                }
                (At::Cr, b'\n') => {
                    take(b"\n");
                    (self.at, rest) = (At::LineStart, behind);
                }
                (At::LineStart | At::Dot | At::Cr, _) => self.at = At::Middle,
                (At::Middle, _) => match LINE_WITH_DOT.find(rest) {
                    Some(at) => {
                        let (lines, tail) = rest.split_at_checked(at + 2).unwrap_or((rest, &[]));
                        take(lines);
                        (self.at, rest) = (At::LineStart, tail);
                    }
                    None => {
                        take(rest);
                        self.at = match rest {
                            [.., b'\r', b'\n'] => At::LineStart,
                            [.., b'\r'] => At::Cr,
                            _ => At::Middle,
                        };
                        return None;
                    }
                },
            }
        }
    }
}

/// Counts the `Received` fields in the header of a message, for the detection of loops
/// (RFC 5321 §6.3). Only `beginning`, the first bytes of the message, is looked at.
pub(super) fn received_fields(beginning: &[u8]) -> usize {
    let mut count = 0;
    let mut rest = beginning;
    loop {
        if matches!(rest, [] | [b'\r' | b'\n', ..]) {
            return count;
        }
        if rest.get(..9).is_some_and(|name| name.eq_ignore_ascii_case(b"received:")) {
            count += 1;
        }
        match memchr::memchr(b'\n', rest).and_then(|at| rest.get(at + 1..)) {
            Some(next) => rest = next,
            None => return count,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The body and what was left behind the end, with the input cut after each of `cuts`.
    fn read(input: &[u8], cuts: &[usize]) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut reader = DataReader::new();
        let mut body = Vec::new();
        let mut from = 0;
        for to in cuts.iter().copied().chain([input.len()]) {
            let piece = &input[from..to];
            if let Some(read) = reader.read(piece, |slice| body.extend_from_slice(slice)) {
                return (body, Some(input[from + read..].to_vec()));
            }
            from = to;
        }
        (body, None)
    }

    #[track_caller]
    fn check(input: &[u8], body: &[u8], behind: Option<&[u8]>) {
        let want = (body.to_vec(), behind.map(<[u8]>::to_vec));
        assert_eq!(read(input, &[]), want, "{:?} whole", input.escape_ascii().to_string());
        for cut in 0..=input.len() {
            let text = input.escape_ascii().to_string();
            assert_eq!(read(input, &[cut]), want, "{text:?} cut at {cut}");
        }
        let every: Vec<usize> = (0..input.len()).collect();
        assert_eq!(read(input, &every), want, "{:?} byte by byte", input.escape_ascii().to_string());
    }

    #[test]
    fn end_of_data_and_dots() {
        check(b".\r\nQUIT\r\n", b"", Some(b"QUIT\r\n"));
        check(b"\r\n.\r\n", b"\r\n", Some(b""));
        check(b"a\r\n.\r\nMAIL", b"a\r\n", Some(b"MAIL"));
        check(b"..\r\n.\r\n", b".\r\n", Some(b""));
        check(b".a\r\n..b\r\n...\r\n.\r\n", b"a\r\n.b\r\n..\r\n", Some(b""));
        check(b"a\r\n\r\n.\r\n.\r\n", b"a\r\n\r\n", Some(b".\r\n"));
        check(b"a.\r\n.b\r\n.\r\n", b"a.\r\nb\r\n", Some(b""));
        check(b"no end", b"no end", None);
        check(b"a\r\n.", b"a\r\n", None);
        check(b"a\r\n.\r", b"a\r\n", None);
    }

    #[test]
    fn nothing_but_crlf_dot_crlf_ends() {
        for (form, kept) in [
            (&b"\n.\n"[..], &b"\n.\n"[..]),
            (b"\n.\r\n", b"\n.\r\n"),
            (b"\r\n.\n", b"\r\n\n"),
            (b"\r.\r", b"\r.\r"),
            (b"\r.\r\n", b"\r.\r\n"),
            (b"\r\n.\r", b"\r\n\r"),
            (b"\n\n.\r\n", b"\n\n.\r\n"),
            (b"\n.\r", b"\n.\r"),
            (b"\r.\n", b"\r.\n"),
            (b"\r\n.\r\r\n", b"\r\n\r\r\n"),
            (b"\r\n.\0\r\n", b"\r\n\0\r\n"),
            (b"\r\n. \r\n", b"\r\n \r\n"),
            (b"\r\r\n.\n", b"\r\r\n\n"),
        ] {
            let input = [b"a", form, b"x\r\n.\r\nrest"].concat();
            let body = [b"a", kept, b"x\r\n"].concat();
            check(&input, &body, Some(b"rest"));
        }
    }

    #[test]
    fn all_bytes_survive() {
        let all: Vec<u8> = (0..=255).filter(|b| !matches!(b, b'\r' | b'\n' | b'.')).collect();
        let input = [&all[..], b"\r\n.\r\n"].concat();
        check(&input, &[&all[..], b"\r\n"].concat(), Some(b""));
    }

    #[test]
    fn received_fields_of_the_header_only() {
        let header =
            b"Received: a\r\n b\r\nReceived:c\r\nX-Received: d\r\nRECEIVED: e\n\r\nReceived: body\r\n";
        assert_eq!(received_fields(header), 3);
        assert_eq!(received_fields(b""), 0);
        assert_eq!(received_fields(b"\r\nReceived: body"), 0);
    }

    /// The reader as slow and plain as it can be written: the whole input at once, line by line.
    fn plainly(input: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
        let (mut body, mut rest) = (Vec::new(), input);
        loop {
            if let Some(behind) = rest.strip_prefix(b".\r\n") {
                return (body, Some(behind.to_vec()));
            }
            let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
                let rest = if matches!(rest, b".\r") { &[] } else { rest.strip_prefix(b".").unwrap_or(rest) };
                body.extend_from_slice(rest);
                return (body, None);
            };
            let line = &rest[..end + 2];
            body.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            rest = &rest[end + 2..];
        }
    }

    proptest! {
        #[test]
        fn same_as_plainly_at_any_cut(
            input in prop::collection::vec(prop::sample::select(b"\r\n.a".to_vec()), 0..40),
            mut cuts in prop::collection::vec(0usize..40, 0..6),
        ) {
            cuts.retain(|cut| *cut <= input.len());
            cuts.sort_unstable();
            prop_assert_eq!(read(&input, &cuts), plainly(&input));
        }
    }
}
