//! What an IMAP server sends, taken apart. Pure.
//!
//! A response is one line, or several that end in the length of a literal (RFC 3501 §4.3). Only what the reader
//! of folders needs is kept; the rest is passed over, whatever it is.

/// One piece of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mailbox) enum Piece {
    /// A line without its end and without the length of the literal that follows.
    Text(Vec<u8>),
    /// The bytes of a literal.
    Literal(Vec<u8>),
}

/// How a command ended, or what an untagged status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mailbox) enum Status {
    /// It was done.
    Ok,
    /// It was refused.
    No,
    /// It was not understood.
    Bad,
    /// The greeting of a server where one is signed in already.
    PreAuth,
    /// The server closes.
    Bye,
}

/// The text of a status, with its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mailbox) struct Answer {
    /// What it says.
    pub(in crate::mailbox) status: Status,
    /// What stands in brackets: `UIDVALIDITY 5`, `TRYCREATE`.
    pub(in crate::mailbox) code: Option<String>,
    /// All of the text, with the code.
    pub(in crate::mailbox) text: String,
}

impl Answer {
    /// The number behind a word in the code.
    pub(in crate::mailbox) fn number(&self, word: &str) -> Option<u32> {
        let (name, value) = self.code.as_deref()?.split_once(' ')?;
        if name.eq_ignore_ascii_case(word) { value.trim().parse().ok() } else { None }
    }

    /// True if the code is this word.
    pub(in crate::mailbox) fn is_code(&self, word: &str) -> bool {
        self.code
            .as_deref()
            .and_then(|code| code.split(' ').next())
            .is_some_and(|w| w.eq_ignore_ascii_case(word))
    }
}

/// What a FETCH response holds of what we ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::mailbox) struct Fetch {
    /// UID; 0 is none.
    pub(in crate::mailbox) uid: Option<u32>,
    /// The size, bytes, as the server says it.
    pub(in crate::mailbox) size: Option<u64>,
    /// The message, or its beginning where that was asked for.
    pub(in crate::mailbox) body: Option<Vec<u8>>,
    /// Its header, or the fields of it that were asked for.
    pub(in crate::mailbox) header: Option<Vec<u8>>,
    /// INTERNALDATE as written (RFC 3501 §2.3.3).
    pub(in crate::mailbox) internal_date: Option<String>,
    /// What Gmail calls the message, the same under every label (X-GM-EXT-1).
    pub(in crate::mailbox) gmail_id: Option<String>,
}

/// A folder as LIST shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::mailbox) struct Listed {
    /// Its attributes in lower case: `\\junk`, `\\noselect` (RFC 6154, RFC 3501 §7.2.2).
    pub(in crate::mailbox) flags: Vec<String>,
    /// What stands between the names of a hierarchy.
    pub(in crate::mailbox) delimiter: Option<char>,
    /// Its name as it goes over the wire.
    pub(in crate::mailbox) name: String,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mailbox) enum Response {
    /// The end of a command.
    Tagged(String, Answer),
    /// The server waits for more.
    Continue(Vec<u8>),
    /// A status that belongs to no command.
    Status(Answer),
    /// What the server can.
    Capability(Vec<String>),
    /// Messages in the folder.
    Exists(u32),
    /// A message left the folder.
    Expunge,
    /// A message.
    Fetch(Fetch),
    /// A folder.
    List(Listed),
    /// Messages that were searched for.
    Search(Vec<u32>),
    /// Anything else that begins with a star.
    Other,
}

/// The length of the literal that follows a line, and the line without it.
///
/// A status has none: its text may end in anything.
pub(in crate::mailbox) fn literal(line: &[u8], is_first: bool) -> Option<(&[u8], u64)> {
    if is_first && status_of(line).is_some() {
        return None;
    }
    let inner = line.strip_suffix(b"}")?;
    let open = memchr::memrchr(b'{', inner)?;
    let (before, digits) = (inner.get(..open)?, inner.get(open + 1..)?);
    let digits = digits.strip_suffix(b"+").unwrap_or(digits);
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = std::str::from_utf8(digits).ok()?.parse().ok()?;
    // RFC 3516 §4.4: a literal of binary data has a tilde before it.
    Some((before.strip_suffix(b"~").unwrap_or(before), count))
}

/// Tag, status and text of a line, if it is a status.
fn status_of(line: &[u8]) -> Option<(&[u8], Status, &[u8])> {
    let blank = memchr::memchr(b' ', line)?;
    let (tag, rest) = (line.get(..blank)?, line.get(blank + 1..)?);
    let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let (word, text) = (rest.get(..end)?, rest.get(end..).unwrap_or_default());
    let words = [
        ("OK", Status::Ok),
        ("NO", Status::No),
        ("BAD", Status::Bad),
        ("PREAUTH", Status::PreAuth),
        ("BYE", Status::Bye),
    ];
    let status = words.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()))?.1;
    Some((tag, status, text))
}

/// Takes a whole response apart; `None` if it is none.
pub(in crate::mailbox) fn parse(pieces: Vec<Piece>) -> Option<Response> {
    let Some(Piece::Text(first)) = pieces.first() else { return None };
    if let Some(rest) = first.strip_prefix(b"+") {
        return Some(Response::Continue(rest.strip_prefix(b" ").unwrap_or(rest).to_vec()));
    }
    if let Some((tag, status, text)) = status_of(first) {
        let answer = answer(status, text);
        return Some(match tag {
            b"*" => Response::Status(answer),
            tag => Response::Tagged(String::from_utf8_lossy(tag).into_owned(), answer),
        });
    }
    let rest = first.strip_prefix(b"* ")?;
    let text = String::from_utf8_lossy(rest);
    let mut words = text.split_ascii_whitespace();
    let word = words.next()?;
    if word.eq_ignore_ascii_case("CAPABILITY") {
        return Some(Response::Capability(words.map(str::to_ascii_uppercase).collect()));
    }
    if word.eq_ignore_ascii_case("SEARCH") {
        return Some(Response::Search(words.filter_map(|word| word.parse().ok()).collect()));
    }
    if word.eq_ignore_ascii_case("LIST") || word.eq_ignore_ascii_case("XLIST") {
        return Some(list(pieces).map_or(Response::Other, Response::List));
    }
    let Ok(number) = word.parse::<u32>() else { return Some(Response::Other) };
    match words.next().map(|word| word.split('(').next().unwrap_or_default().to_ascii_uppercase()).as_deref()
    {
        Some("EXISTS") => Some(Response::Exists(number)),
        Some("EXPUNGE") => Some(Response::Expunge),
        Some("FETCH") => Some(Response::Fetch(fetch(pieces))),
        _ => Some(Response::Other),
    }
}

/// The text of a status.
fn answer(status: Status, text: &[u8]) -> Answer {
    let shown = super::super::fault::shown(text);
    let code = text.trim_ascii_start().strip_prefix(b"[").and_then(|rest| {
        let end = memchr::memchr(b']', rest)?;
        Some(String::from_utf8_lossy(rest.get(..end)?).into_owned())
    });
    Answer { status, code, text: shown }
}

/// A token of the list of a FETCH response.
enum Token {
    Open,
    Close,
    Atom(String),
    Text(Vec<u8>),
}

/// Reads the list of a FETCH response. What is odd is passed over: a message that is missed is asked for again.
fn fetch(pieces: Vec<Piece>) -> Fetch {
    let mut fetch = Fetch::default();
    let mut depth = 0_usize;
    // The name whose value comes next, at the first level of the list.
    let mut name: Option<String> = None;
    for token in tokens(pieces) {
        match token {
            Token::Open => {
                depth += 1;
                if depth == 2 {
                    // The value is a list, as of FLAGS and ENVELOPE: nothing that we asked for.
                    name = None;
                }
            }
            Token::Close => depth = depth.saturating_sub(1),
            Token::Atom(text) if depth == 1 => match name.take() {
                None => name = Some(text.to_ascii_uppercase()),
                Some(name) => match name.as_str() {
                    "UID" => fetch.uid = text.parse().ok().filter(|uid| *uid != 0),
                    "RFC822.SIZE" => fetch.size = text.parse().ok(),
                    "X-GM-MSGID" => {
                        fetch.gmail_id = Some(text).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
                    }
                    _ => {}
                },
            },
            Token::Text(bytes) if depth == 1 => match name.take().as_deref() {
                Some("BODY[]" | "RFC822" | "BODY.PEEK[]" | "BINARY[]" | "BODY[]<0>") => {
                    fetch.body = Some(bytes);
                }
                Some("INTERNALDATE") => {
                    fetch.internal_date = Some(String::from_utf8_lossy(&bytes).into_owned());
                }
                Some(name) if name.starts_with("BODY[HEADER") || name == "RFC822.HEADER" => {
                    fetch.header = Some(bytes);
                }
                _ => {}
            },
            Token::Atom(_) | Token::Text(_) => {}
        }
    }
    fetch
}

/// Reads a LIST response; `None` if it is none.
fn list(pieces: Vec<Piece>) -> Option<Listed> {
    let mut listed = Listed::default();
    let mut tokens = tokens(pieces).into_iter();
    if !matches!(tokens.next(), Some(Token::Open)) {
        return None;
    }
    loop {
        match tokens.next()? {
            Token::Close => break,
            Token::Atom(flag) => listed.flags.push(flag.to_ascii_lowercase()),
            Token::Open | Token::Text(_) => return None,
        }
    }
    match tokens.next()? {
        Token::Text(text) => listed.delimiter = String::from_utf8_lossy(&text).chars().next(),
        Token::Atom(_) => {}
        Token::Open | Token::Close => return None,
    }
    listed.name = match tokens.next()? {
        Token::Text(text) => String::from_utf8_lossy(&text).into_owned(),
        Token::Atom(text) => text,
        Token::Open | Token::Close => return None,
    };
    Some(listed)
}

/// The tokens of a response behind its first bracket.
fn tokens(pieces: Vec<Piece>) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut is_in_list = false;
    for piece in pieces {
        let text = match piece {
            Piece::Literal(bytes) => {
                tokens.push(Token::Text(bytes));
                continue;
            }
            Piece::Text(text) => text,
        };
        let mut rest = text.as_slice();
        if !is_in_list {
            let Some(open) = memchr::memchr(b'(', rest) else { break };
            rest = rest.get(open..).unwrap_or_default();
            is_in_list = true;
        }
        while let Some((first, after)) = rest.split_first() {
            match first {
                b' ' => rest = after,
                b'(' => {
                    tokens.push(Token::Open);
                    rest = after;
                }
                b')' => {
                    tokens.push(Token::Close);
                    rest = after;
                }
                b'"' => {
                    // A text without its end is none.
                    let Some((text, behind)) = quoted(after) else { return tokens };
                    tokens.push(Token::Text(text));
                    rest = behind;
                }
                _ => {
                    let end = atom_end(rest);
                    let atom = rest.get(..end).unwrap_or_default();
                    tokens.push(Token::Atom(String::from_utf8_lossy(atom).into_owned()));
                    rest = rest.get(end..).unwrap_or_default();
                }
            }
        }
    }
    tokens
}

/// A quoted text behind its opening quote, and what follows it.
fn quoted(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut text = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return Some((text, bytes.get(at + 1..).unwrap_or_default())),
            b'\\' => {
                text.extend(bytes.get(at + 1));
                at += 2;
            }
            other => {
                text.push(*other);
                at += 1;
            }
        }
    }
    None
}

/// Where an atom ends: brackets hold blanks and parentheses, as in `BODY[HEADER.FIELDS (FROM)]`.
fn atom_end(bytes: &[u8]) -> usize {
    let mut is_in_brackets = false;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'[' => is_in_brackets = true,
            b']' => is_in_brackets = false,
            b' ' | b'(' | b')' | b'"' if !is_in_brackets && at > 0 => return at,
            _ => {}
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> Piece {
        Piece::Text(line.as_bytes().to_vec())
    }

    fn parsed(line: &str) -> Option<Response> {
        parse(vec![text(line)])
    }

    #[test]
    fn statuses_and_their_codes() {
        let Some(Response::Tagged(tag, answer)) = parsed("A7 NO [TRYCREATE] no such folder {5}") else {
            panic!()
        };
        assert_eq!((tag.as_str(), answer.status), ("A7", Status::No));
        assert!(answer.is_code("trycreate") && !answer.is_code("UIDNEXT"));
        let Some(Response::Status(answer)) = parsed("* ok [UIDVALIDITY 3857529045] UIDs valid") else {
            panic!()
        };
        assert_eq!(answer.number("UIDVALIDITY"), Some(3_857_529_045));
        assert_eq!(parsed("* 23 EXISTS"), Some(Response::Exists(23)));
        assert_eq!(parsed("* FLAGS (\\Seen)"), Some(Response::Other));
        assert_eq!(parsed("+ "), Some(Response::Continue(Vec::new())));
        assert_eq!(parsed("+"), Some(Response::Continue(Vec::new())));
        for line in ["", "nonsense", "HTTP/1.1 400 Bad Request", "*", "A1"] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }

    #[test]
    fn lengths_of_literals() {
        assert_eq!(literal(b"* 1 FETCH (BODY[] {12}", true), Some((&b"* 1 FETCH (BODY[] "[..], 12)));
        assert_eq!(literal(b" X ~{3+}", false), Some((&b" X "[..], 3)));
        let none: [&[u8]; 5] =
            [b"* OK text {5}", b"A1 NO {5}", b"* 1 FETCH {}", b"x {a}", b"{99999999999999999999}"];
        for line in none {
            assert_eq!(literal(line, true), None, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn folders_and_hits() {
        let listed = |line: &str| match parsed(line) {
            Some(Response::List(listed)) => Some((listed.flags.join(" "), listed.delimiter, listed.name)),
            Some(Response::Other) => None,
            other => panic!("{other:?}"),
        };
        let row = |flags: &str, delimiter, name: &str| Some((flags.to_owned(), delimiter, name.to_owned()));
        let cases = [
            (
                r#"* LIST (\HasNoChildren \Junk) "/" "[Gmail]/Spam""#,
                row(r"\hasnochildren \junk", Some('/'), "[Gmail]/Spam"),
            ),
            (r"* list () NIL INBOX", row("", None, "INBOX")),
            (r#"* XLIST (\Spam) "." INBOX.Junk"#, row(r"\spam", Some('.'), "INBOX.Junk")),
            (r#"* LIST (\Junk) "\\" "a\"b""#, row(r"\junk", Some('\\'), "a\"b")),
            ("* LIST (", None),
            ("* LIST", None),
            (r#"* LIST (\Junk) "/""#, None),
        ];
        for (line, want) in cases {
            assert_eq!(listed(line), want, "{line}");
        }
        let pieces = vec![text(r#"* LIST (\Junk) "/" "#), Piece::Literal(b"odd \"name".to_vec()), text("")];
        let Some(Response::List(found)) = parse(pieces) else { panic!() };
        assert_eq!(found.name, "odd \"name");
        assert_eq!(parsed("* SEARCH 2 3 6 (MODSEQ 917)"), Some(Response::Search(vec![2, 3, 6])));
        assert_eq!(parsed("* search"), Some(Response::Search(Vec::new())));
    }

    #[test]
    fn what_a_watcher_asks_for() {
        let pieces = vec![
            text(
                "* 4 FETCH (X-GM-MSGID 1278455344230334865 UID 9 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" BODY[HEADER] ",
            ),
            Piece::Literal(b"Subject: x\r\n\r\n".to_vec()),
            text(" RFC822.SIZE 44)"),
        ];
        let Some(Response::Fetch(fetch)) = parse(pieces) else { panic!() };
        assert_eq!(fetch.gmail_id.as_deref(), Some("1278455344230334865"));
        assert_eq!(fetch.internal_date.as_deref(), Some("17-Jul-1996 02:44:25 -0700"));
        assert_eq!((fetch.uid, fetch.size, fetch.body), (Some(9), Some(44), None));
        assert_eq!(fetch.header.as_deref(), Some(&b"Subject: x\r\n\r\n"[..]));
        let fields = "* 4 FETCH (BODY[HEADER.FIELDS (TO \"X-Y\")] \"To: a\" UID 9)";
        let Some(Response::Fetch(fetch)) = parsed(fields) else { panic!() };
        assert_eq!((fetch.uid, fetch.header.as_deref()), (Some(9), Some(&b"To: a"[..])));
    }

    #[test]
    fn messages_in_every_form() {
        let body = |pieces: Vec<Piece>| match parse(pieces) {
            Some(Response::Fetch(fetch)) => fetch,
            other => panic!("{other:?}"),
        };
        let literal = || Piece::Literal(b"Subject: (x \"y\r\n".to_vec());
        let cases = [
            vec![text("* 1 FETCH (UID 7 BODY[] "), literal(), text(")")],
            vec![text("* 1 FETCH (BODY[] "), literal(), text(" UID 7)")],
            vec![text("* 1 fetch (FLAGS (\\Seen UID) uid 7 body[] "), literal(), text(" MODSEQ (65))")],
            vec![
                text("* 1 FETCH (BODY[HEADER.FIELDS (FROM)] "),
                Piece::Literal(b"From: z".to_vec()),
                text(" RFC822.SIZE 4 UID 7 BODY[] "),
                literal(),
                text(")"),
            ],
        ];
        for pieces in cases {
            let fetch = body(pieces.clone());
            assert_eq!(fetch.uid, Some(7), "{pieces:?}");
            assert_eq!(fetch.body.as_deref(), Some(&b"Subject: (x \"y\r\n"[..]), "{pieces:?}");
        }
        let fetch = body(vec![text("* 1 FETCH (UID 7 RFC822.SIZE 12 BODY[] \"a\\\"b\\\\\")")]);
        assert_eq!((fetch.size, fetch.body.as_deref()), (Some(12), Some(&b"a\"b\\"[..])));
        let fetch = body(vec![text("* 1 FETCH (UID 0 BODY[] NIL)")]);
        assert_eq!(fetch, Fetch::default());
        // What is cut or nonsense gives nothing, and never ends the program.
        for line in [
            "* 1 FETCH",
            "* 1 FETCH (",
            "* 1 FETCH (UID",
            "* 1 FETCH ))))",
            "* 1 FETCH (UID -1 \"",
            "* 1 FETCH ([",
        ] {
            assert_eq!(body(vec![text(line)]), Fetch::default(), "{line}");
        }
    }

    proptest::proptest! {
        /// Whatever comes is taken apart or refused.
        #[test]
        fn nothing_ends_the_program(
            head in "[*A+]? ?([0-9]{1,12} )?(FETCH|OK|EXISTS|CAPABILITY|BYE)? ?",
            lines in proptest::collection::vec(".{0,40}|[()\"\\\\\\[\\]{}+~ A-Z0-9]{0,40}", 1..4),
        ) {
            let mut pieces = Vec::new();
            for (at, line) in lines.iter().enumerate() {
                let line = if at == 0 { format!("{head}{line}") } else { line.clone() };
                let _ = literal(line.as_bytes(), at == 0);
                pieces.push(text(&line));
                pieces.push(Piece::Literal(line.into_bytes()));
            }
            pieces.pop();
            let _ = parse(pieces);
        }

        /// Any cut of a good response gives no wrong message: the body is whole or absent.
        #[test]
        fn a_cut_gives_no_half_message(cut in 0_usize..60) {
            let line = "* 12 FETCH (FLAGS (\\Seen) UID 9 BODY[] \"whole body\")";
            let cut = cut.min(line.len());
            if let Some(Response::Fetch(fetch)) = parsed(&line[..cut]) {
                let is_whole = cut >= line.find("body\"").unwrap() + 4;
                proptest::prop_assert!(fetch.body.is_none() || is_whole);
            }
        }
    }
}
