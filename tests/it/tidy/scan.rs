//! A reader of Rust sources that knows as much of the language as the house rules need: what is code, what
//! is comment, what is text, what is compiled for tests only, and which modules a file mentions.

use std::ops::Range;

/// What one byte of a source file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Tokens.
    Code,
    /// A comment of any kind with its marks.
    Comment,
    /// A string or character literal with its quotes.
    Text,
}

/// One source file, taken apart. All views have the same length and the same lines as the file.
#[derive(Debug)]
pub(crate) struct Source {
    /// The path from the root of the repository, with `/`.
    pub(crate) path: String,
    /// Everything.
    pub(crate) raw: String,
    /// Tokens only, without items for tests.
    pub(crate) code: String,
    /// Literals only, without items for tests.
    pub(crate) text: String,
    /// Tokens only, with items for tests.
    pub(crate) code_and_tests: String,
    /// Comments only.
    pub(crate) comments: String,
    /// Lines outside items for tests.
    pub(crate) lines: usize,
}

impl Source {
    /// Takes a file apart.
    pub(crate) fn new(path: &str, raw: &str) -> Self {
        let classes = classify(raw);
        let code_and_tests = keep(raw, &classes, Class::Code);
        let tests = if is_test_file(path) {
            std::iter::once(0..raw.len()).collect()
        } else {
            test_items(&code_and_tests)
        };
        let test_lines: usize = tests.iter().map(|range| raw[range.clone()].lines().count()).sum();
        Self {
            path: path.to_owned(),
            raw: raw.to_owned(),
            code: without(&code_and_tests, &tests),
            text: without(&keep(raw, &classes, Class::Text), &tests),
            code_and_tests,
            comments: keep(raw, &classes, Class::Comment),
            lines: raw.lines().count().saturating_sub(test_lines),
        }
    }

    /// The module below the crate's root: `smtp` for `src/smtp/sink.rs`, `clock` for `src/clock.rs`.
    pub(crate) fn module(&self) -> &str {
        let path = self.path.strip_prefix("src/").unwrap_or(&self.path);
        match path.split_once('/') {
            Some((folder, _)) => folder,
            None => path.strip_suffix(".rs").unwrap_or(path),
        }
    }

    /// How many `super` lead from this file's module to the crate's root.
    fn depth(&self) -> usize {
        let path = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let path = path.strip_suffix("/mod.rs").or_else(|| path.strip_suffix(".rs")).unwrap_or(path);
        path.split('/').count()
    }

    /// Every module of this crate that the code mentions, with its line.
    pub(crate) fn modules_mentioned(&self) -> Vec<(String, usize)> {
        let mut found = mentions(&self.code, "crate");
        found.extend(mentions(&self.code, "mailsonde"));
        found.extend(mentions(&self.code, &vec!["super"; self.depth()].join("::")));
        found
    }
}

/// True for a file that is compiled for tests only.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// The line of a place in a text, from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count() + 1
}

/// True for a byte that can stand inside an identifier.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Says of every byte what it belongs to.
pub(crate) fn classify(raw: &str) -> Vec<Class> {
    let bytes = raw.as_bytes();
    let mut classes = vec![Class::Code; bytes.len()];
    let mut at = 0;
    while at < bytes.len() {
        let (end, class) = token(raw, at);
        for slot in classes.iter_mut().take(end).skip(at) {
            *slot = class;
        }
        at = end.max(at + 1);
    }
    classes
}

/// The end of the comment, literal, word or single byte that begins at `at`, and what it is.
fn token(raw: &str, at: usize) -> (usize, Class) {
    let bytes = raw.as_bytes();
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        let length = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        return (at + length, Class::Comment);
    }
    if rest.starts_with(b"/*") {
        return (block_comment_end(bytes, at), Class::Comment);
    }
    if is_word(bytes[at]) {
        let length = rest.iter().position(|b| !is_word(*b)).unwrap_or(rest.len());
        let word = &rest[..length];
        let after = &rest[length..];
        let hashes = after.iter().position(|b| *b != b'#').unwrap_or(0);
        let is_raw = matches!(word, b"r" | b"br" | b"cr") && after.get(hashes) == Some(&b'"');
        if is_raw {
            let close = [b"\"".as_slice(), &after[..hashes]].concat();
            let open = at + length + hashes + 1;
            let body = bytes[open..].windows(close.len()).position(|window| window == close);
            return (body.map_or(bytes.len(), |found| open + found + close.len()), Class::Text);
        }
        return (at + length, Class::Code);
    }
    match bytes[at] {
        b'"' => (string_end(bytes, at), Class::Text),
        b'\'' => match character_end(raw, at) {
            Some(end) => (end, Class::Text),
            None => (at + 1, Class::Code),
        },
        _ => (at + 1, Class::Code),
    }
}

/// The end of a block comment, which may hold others.
fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0usize;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The end of a string literal that begins with the quote at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of a character literal that begins with the quote at `start`; `None` for a lifetime.
fn character_end(raw: &str, start: usize) -> Option<usize> {
    let rest = raw.get(start + 1..)?;
    let first = rest.chars().next()?;
    if first == '\\' {
        let after = rest.get(2..)?;
        return after.find('\'').map(|at| start + 1 + 2 + at + 1);
    }
    let close = first.len_utf8();
    rest.get(close..)?.starts_with('\'').then_some(start + 1 + close + 1)
}

/// The bytes of one class; the others become blanks, line ends stay.
fn keep(raw: &str, classes: &[Class], class: Class) -> String {
    let bytes =
        raw.bytes().zip(classes).map(|(byte, own)| if byte == b'\n' || *own == class { byte } else { b' ' });
    String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
}

/// The text with the ranges blanked, line ends kept.
fn without(text: &str, ranges: &[Range<usize>]) -> String {
    let inside = |at: usize| ranges.iter().any(|range| range.contains(&at));
    let bytes =
        text.bytes().enumerate().map(|(at, byte)| if byte != b'\n' && inside(at) { b' ' } else { byte });
    String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
}

/// The items behind `#[cfg(test)]`, each from the attribute to its brace or semicolon.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let bytes = code.as_bytes();
    let mut found: Vec<Range<usize>> = Vec::new();
    for (start, mark) in code.match_indices("#[cfg(test)]") {
        if found.last().is_some_and(|last| last.contains(&start)) {
            continue;
        }
        let mut at = start + mark.len();
        let mut depth = 0usize;
        while at < bytes.len() {
            match bytes[at] {
                b'{' | b'(' | b'[' => depth += 1,
                b'}' | b')' | b']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 && bytes[at] == b'}' {
                        break;
                    }
                }
                b';' if depth == 0 => break,
                _ => {}
            }
            at += 1;
        }
        found.push(start..(at + 1).min(bytes.len()));
    }
    found
}

/// The first names after `root::` in a piece of code, each with its line, groups in braces included.
pub(crate) fn mentions(code: &str, root: &str) -> Vec<(String, usize)> {
    let bytes = code.as_bytes();
    let prefix = format!("{root}::");
    let mut found = Vec::new();
    for (start, _) in code.match_indices(&prefix) {
        let before = code[..start].trim_end();
        let stands_alone = !bytes[..start].last().is_some_and(|b| is_word(*b)) && !before.ends_with("::");
        if !stands_alone {
            continue;
        }
        let mut at = start + prefix.len();
        let mut depth = 0usize;
        let mut is_first = true;
        while at < bytes.len() {
            match bytes[at] {
                b'{' => depth += 1,
                b'}' => depth = depth.saturating_sub(1),
                b',' if depth == 1 => is_first = true,
                byte if is_word(byte) || byte == b'*' => {
                    let end =
                        at + bytes[at..].iter().position(|b| !is_word(*b)).unwrap_or(bytes.len() - at).max(1);
                    if is_first && depth <= 1 {
                        found.push((code[at..end].to_owned(), line_of(code, at)));
                        is_first = false;
                    }
                    at = end;
                    if depth == 0 {
                        break;
                    }
                    continue;
                }
                byte if byte.is_ascii_whitespace() || byte == b':' || byte == b',' => {}
                _ => break,
            }
            if depth == 0 && bytes[at] == b'}' {
                break;
            }
            at += 1;
        }
    }
    found
}

/// The string literals of a view made of literals only, each with its line.
pub(crate) fn literals(text: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find(|c: char| !c.is_whitespace()).map(|skip| at + skip) {
        let length = token(text, start).0 - start;
        found.push((text[start..start + length].to_owned(), line_of(text, start)));
        at = start + length;
    }
    found
}

/// The places of a word that is not part of a longer one, as lines.
pub(crate) fn word_lines(text: &str, word: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let alone = |start: usize| {
        let before = start.checked_sub(1).and_then(|at| bytes.get(at));
        let after = bytes.get(start + word.len());
        !before.is_some_and(|b| is_word(*b)) && !after.is_some_and(|b| is_word(*b))
    };
    text.match_indices(word)
        .filter(|(start, _)| alone(*start))
        .map(|(start, _)| line_of(text, start))
        .collect()
}

#[test]
fn code_comments_and_text_are_told_apart() {
    let raw = concat!(
        "let a = \"x // no \\\" comment\"; // yes\n",
        "let b: &'a str = 'b'; /* one /* two */ still */ let c = '\\'';\n",
        "let d = r#\"raw \" // text\"#; let e = b\"bytes\"; fn r<'r>(r: &'r str) {}\n",
        "let f = 'é'; let g = '\"'; // 'end'\n",
    );
    let source = Source::new("src/x.rs", raw);
    assert_eq!(source.code.len(), raw.len());
    for gone in ["comment", "yes", "one", "still", "raw", "bytes", "end"] {
        assert!(!source.code.contains(gone), "{gone} is no code: {}", source.code);
    }
    for here in ["let a", "&'a str", "let c", "fn r<'r>(r: &'r str) {}", "let g"] {
        assert!(source.code.contains(here), "{here} is code: {}", source.code);
    }
    for comment in ["yes", "one /* two */ still", "'end'"] {
        assert!(source.comments.contains(comment), "{comment}");
    }
    let texts: Vec<_> = literals(&source.text).into_iter().map(|(text, _)| text).collect();
    assert_eq!(texts[0], "\"x // no \\\" comment\"");
    assert!(texts.iter().any(|text| text.contains("raw \" // text")), "{texts:?}");
}

#[test]
fn items_for_tests_are_left_out() {
    let cases = [
        ("fn a() {}\n#[cfg(test)]\nmod tests {\n use crate::store; fn b() { if x { } }\n}\nfn c() {}\n", 2),
        ("fn a() {}\n#[cfg(test)]\n#[derive(Debug)]\nuse crate::store;\nfn c() {}\n", 2),
        ("fn a() {}\n#[cfg(test)] mod tests;\nfn c() {}\n", 2),
        ("fn a() {}\n#[cfg(test)]\nconst X: [u8; 2] = [1, 2];\nfn c() {}\n", 2),
    ];
    for (raw, lines) in cases {
        let source = Source::new("src/x/y.rs", raw);
        assert!(source.code.contains("fn a() {}") && source.code.contains("fn c() {}"), "{raw}");
        assert!(source.modules_mentioned().is_empty() && !source.code.contains("tests"), "{raw}");
        assert!(source.lines <= lines + 1, "{raw}: {}", source.lines);
    }
    assert_eq!(Source::new("src/x/tests.rs", "use crate::store;\n").modules_mentioned(), []);
}

#[test]
fn mentions_of_modules() {
    let cases: [(&str, &str, &[&str]); 11] = [
        ("src/a/b.rs", "use crate::mail::Address;", &["mail"]),
        (
            "src/a/b.rs",
            "use crate::{\n  clock::{self, Day},\n  mail::{Address, envelope::Body},\n  limits,\n};",
            &["clock", "mail", "limits"],
        ),
        ("src/a/b.rs", "fn f(x: crate::clock::Day) -> &crate::store::Store {}", &["clock", "store"]),
        ("src/main.rs", "mailsonde::cli::run()", &["cli"]),
        ("src/a/b.rs", "use super::super::store::X;", &["store"]),
        ("src/a/b.rs", "use super::c::X;", &[]),
        ("src/a/mod.rs", "use super::store::X;", &["store"]),
        ("src/a.rs", "use super::store::X;", &["store"]),
        ("src/a/b.rs", "// crate::store\nlet x = \"crate::store\"; pub(crate) fn y() {} mycrate::store", &[]),
        ("src/a/b.rs", "use crate::*;", &["*"]),
        ("src/a/b.rs", "pub(in crate::a) fn x() { $crate::mail::y() }", &["a", "mail"]),
    ];
    for (path, raw, want) in cases {
        let mut found: Vec<_> =
            Source::new(path, raw).modules_mentioned().into_iter().map(|(name, _)| name).collect();
        let mut want: Vec<_> = want.iter().map(ToString::to_string).collect();
        found.sort();
        want.sort();
        assert_eq!(found, want, "{raw}");
    }
    assert_eq!(
        mentions("\n\nuse crate::{\nmail,\nclock};", "crate"),
        [("mail".into(), 4), ("clock".into(), 5)]
    );
}

#[test]
fn modules_of_files() {
    let cases = [("src/clock.rs", "clock", 1), ("src/mail/mod.rs", "mail", 1), ("src/a/b/c.rs", "a", 3)];
    for (path, module, depth) in cases {
        let source = Source::new(path, "");
        assert_eq!((source.module(), source.depth()), (module, depth), "{path}");
    }
}

#[test]
fn words_stand_alone() {
    assert_eq!(word_lines("spawn\nasync fn\nasync_x xasync\n(async)", "async"), [2, 4]);
}
