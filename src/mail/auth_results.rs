//! The field Authentication-Results, as a receiver writes it and as failure reports repeat it.
//!
//! Reading is tolerant and linear: a missing name of the receiver, methods without `;` between them,
//! blanks around `=`, comments and quotes anywhere. Words are kept as they are, in lower case, also
//! those outside the registries. What a stranger wrote into such a field proves nothing.
//!
//! Standard: RFC 8601 §2.2.

use crate::limits;

/// One Authentication-Results field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthResults {
    /// Who says so (`authserv-id`), as written; absent where the field begins with a result.
    pub authserv_id: Option<String>,
    /// The results, in order, at most [`limits::AUTH_RESULTS`]; empty for `none`.
    pub results: Vec<MethodResult>,
}

/// The result of one method.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MethodResult {
    /// The method, in lower case without its version: `dkim`, `spf`, `dmarc`, `arc`, `iprev`, `auth` …
    pub method: String,
    /// The result word, in lower case: RFC 8601 §2.7 and others as they are.
    pub result: String,
    /// `reason`, else the first comment.
    pub reason: Option<String>,
    /// Properties such as `header.d` and `smtp.mailfrom`, names in lower case, in order, at most
    /// [`limits::AUTH_RESULT_PROPERTIES`].
    pub properties: Vec<(String, String)>,
}

impl MethodResult {
    /// The value of a property, by its name in lower case.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl AuthResults {
    /// Reads the value of one field, unfolded or not. Never fails: what is no result is left out.
    pub fn parse(text: &str) -> Self {
        let mut results = Self::default();
        let mut is_head = true;
        let mut current: Option<MethodResult> = None;
        for token in tokens(text) {
            match token {
                Token::End => {
                    is_head = false;
                    results.close(&mut current);
                }
                Token::Comment(comment) => {
                    if let Some(result) = &mut current
                        && result.reason.is_none()
                        && result.properties.is_empty()
                    {
                        result.reason = Some(comment).filter(|comment| !comment.is_empty());
                    }
                }
                Token::Pair(name, value) => {
                    let name = name.to_lowercase();
                    if current.is_some() && !is_method(&name) {
                        add_property(&mut current, name, value);
                        continue;
                    }
                    // RFC 8601 §2.2 wants `;` between results; some writers leave it out.
                    results.close(&mut current);
                    let method = name.split('/').next().unwrap_or_default().to_owned();
                    current = Some(MethodResult {
                        method,
                        result: value.to_lowercase(),
                        ..MethodResult::default()
                    });
                }
                Token::Word(word) => {
                    if is_head && results.authserv_id.is_none() && current.is_none() {
                        results.authserv_id = Some(word);
                    }
                }
            }
        }
        results.close(&mut current);
        results
    }

    /// The first result of a method, by its name in lower case.
    pub fn method(&self, name: &str) -> Option<&MethodResult> {
        self.results.iter().find(|result| result.method == name)
    }

    /// Keeps the result that is complete.
    fn close(&mut self, current: &mut Option<MethodResult>) {
        if let Some(result) = current.take()
            && self.results.len() < limits::AUTH_RESULTS
        {
            self.results.push(result);
        }
    }
}

/// Adds a property, or the reason, to the result that is being read.
fn add_property(current: &mut Option<MethodResult>, name: String, value: String) {
    let Some(result) = current else { return };
    if name == "reason" {
        result.reason = Some(value);
    } else if result.properties.len() < limits::AUTH_RESULT_PROPERTIES {
        result.properties.push((name, value));
    }
}

/// True for the methods that begin a result even where the `;` before them is missing.
fn is_method(name: &str) -> bool {
    const METHODS: [&str; 14] = [
        "arc",
        "auth",
        "bimi",
        "compauth",
        "dkim",
        "dkim-adsp",
        "dkim-atps",
        "dmarc",
        "dnswl",
        "domainkeys",
        "iprev",
        "sender-id",
        "spf",
        "tls",
    ];
    METHODS.contains(&name.split('/').next().unwrap_or_default())
}

// ---- Words, pairs, comments ----

/// A piece of the field.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// A bare word.
    Word(String),
    /// `name=value`, quotes taken off.
    Pair(String, String),
    /// A comment without its brackets.
    Comment(String),
    /// `;`.
    End,
}

/// Takes a field apart, in one pass.
fn tokens(text: &str) -> Vec<Token> {
    let mut field = Field::new(text);
    let mut found = Vec::new();
    // The name before `=`, while its value is awaited.
    let mut name: Option<String> = None;
    let mut is_blank = false;
    while let Some(first) = field.peek() {
        let is_after_blank = std::mem::replace(&mut is_blank, first.is_whitespace());
        if first.is_whitespace() {
            field.next();
        } else if first == ';' {
            field.next();
            found.extend(name.take().map(empty));
            found.push(Token::End);
        } else if first == '(' && field.comments_close {
            field.next();
            found.push(Token::Comment(field.comment()));
        } else if first == '=' && name.is_none() {
            field.next();
            // `name =`: the word before it was no word.
            if let Some(Token::Word(_)) = found.last()
                && let Some(Token::Word(word)) = found.pop()
            {
                name = Some(word);
            }
        } else if let Some(before) = name.take() {
            let value = field.word(!is_after_blank);
            if is_after_blank && field.peek() == Some('=') && !value.is_empty() {
                // `smtp.mailfrom= smtp.helo=a`: an empty value, not a name for one.
                field.next();
                found.push(empty(before));
                name = Some(value);
            } else {
                found.push(Token::Pair(before, value));
            }
        } else {
            let word = field.word(false);
            if field.peek() == Some('=') {
                field.next();
                name = Some(word);
            } else {
                found.push(Token::Word(word));
            }
        }
    }
    found.extend(name.map(empty));
    found
}

/// A pair without a value.
const fn empty(name: String) -> Token {
    Token::Pair(name, String::new())
}

/// A field and how far it is read.
///
/// Writers cut fields short and put what strangers say into them, so a bracket or a quote may lack its end. RFC
/// 8601 §2.2 has no word for that; here such a mark never hides a result that follows.
struct Field<'a> {
    text: &'a str,
    /// The octet that is read next.
    at: usize,
    /// False if an opening bracket lacks its end: then brackets are letters like others.
    comments_close: bool,
    /// The last quote that was looked for: where, or how far there is none.
    quote: (usize, Option<usize>),
}

impl<'a> Field<'a> {
    fn new(text: &'a str) -> Self {
        let mut field = Self { text, at: 0, comments_close: true, quote: (0, None) };
        field.comments_close = field.is_balanced();
        Self { at: 0, quote: (0, None), ..field }
    }

    /// What is not read yet.
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Reads all, to say whether every opening bracket outside quotes is closed.
    fn is_balanced(&mut self) -> bool {
        let mut depth = 0_usize;
        while let Some(c) = self.peek() {
            match c {
                '"' if depth == 0
                    && let Some(end) = self.string_end() =>
                {
                    self.at = end;
                }
                '\\' if depth > 0 => {
                    self.next();
                }
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.next();
        }
        depth == 0
    }

    /// Reads a comment after its opening bracket; nested ones are part of it.
    fn comment(&mut self) -> String {
        let mut text = String::new();
        let mut depth = 1_usize;
        while let Some(c) = self.next() {
            match c {
                '\\' => text.extend(self.next()),
                '(' => {
                    depth += 1;
                    text.push(c);
                }
                ')' => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                    text.push(c);
                }
                _ => text.push(c),
            }
        }
        text.trim().to_owned()
    }

    /// Reads a word, quoted or not. A value may hold `=`, as the tags of signatures do.
    fn word(&mut self, is_value: bool) -> String {
        let mut text = String::new();
        while let Some(c) = self.peek() {
            if c.is_whitespace() || c == ';' || (c == '=' && !is_value) || (c == '(' && self.comments_close) {
                break;
            }
            if c != '"' {
                text.push(c);
                self.next();
            } else if let Some(end) = self.string_end() {
                self.string(end, &mut text);
            } else {
                self.next();
                if text.is_empty() {
                    self.open_string(&mut text);
                }
            }
        }
        text
    }

    /// Where the string ends whose opening quote is read next: the place of its closing quote. Nothing if it is
    /// no string: its quote stands within a word, or the next one does, or there is none.
    fn string_end(&mut self) -> Option<usize> {
        let before = self.text.get(..self.at)?.chars().next_back();
        if before.is_some_and(|c| !c.is_whitespace() && !matches!(c, ';' | '=' | '.' | ')')) {
            return None;
        }
        // A quote before the one that was found was escaped for it, so both look for the same end.
        if self.quote.0 <= self.at {
            let mut is_escaped = false;
            let end = self.rest().char_indices().skip(1).find(|(_, c)| match c {
                _ if is_escaped => {
                    is_escaped = false;
                    false
                }
                '\\' => {
                    is_escaped = true;
                    false
                }
                c => *c == '"',
            });
            let end = end.map(|(at, _)| self.at + at);
            self.quote = (end.unwrap_or(self.text.len()), end);
        }
        let end = self.quote.1?;
        let after = self.text.get(end + 1..)?.chars().next();
        let ends = after.is_none_or(|c| c.is_whitespace() || matches!(c, ';' | '(' | ')' | '@' | '.'));
        ends.then_some(end)
    }

    /// Reads the string that ends at `end`, without its quotes.
    fn string(&mut self, end: usize, text: &mut String) {
        let mut inner = self.text.get(self.at + 1..end).unwrap_or_default().chars();
        while let Some(c) = inner.next() {
            text.extend(if c == '\\' { inner.next() } else { Some(c) });
        }
        self.at = end + 1;
    }

    /// Reads what follows a quote without its end: as far as the result goes, or the next `name=`.
    fn open_string(&mut self, text: &mut String) {
        while let Some(c) = self.peek() {
            if c == ';' || (c == '(' && self.comments_close) {
                break;
            }
            if c.is_whitespace() {
                let rest = self.rest();
                let next = rest.trim_start();
                let end =
                    next.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_' | '/'));
                if end.is_some_and(|end| end > 0 && next.get(end..).is_some_and(|rest| rest.starts_with('=')))
                {
                    break;
                }
                self.at += rest.len() - next.len();
                text.push(' ');
                continue;
            }
            if c == '"'
                && let Some(end) = self.string_end()
            {
                self.string(end, text);
                continue;
            }
            text.extend(Some(c).filter(|c| *c != '"'));
            self.next();
        }
        text.truncate(text.trim_end().len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The results of a field in short: `method=result/reason name=value,…`.
    fn short(text: &str) -> (Option<String>, Vec<String>) {
        let field = AuthResults::parse(text);
        let results = field.results.iter().map(|result| {
            let properties: Vec<_> =
                result.properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let reason = result.reason.as_deref().unwrap_or_default();
            format!("{}={}/{reason} {}", result.method, result.result, properties.join(","))
        });
        (field.authserv_id.clone(), results.collect())
    }

    #[test]
    fn fields_as_they_occur() {
        let cases: [(&str, Option<&str>, &[&str]); 27] = [
            (
                "mx.a.example; dmarc=fail (p=reject) header.from=b.example;\r\n spf=fail smtp.mailfrom=c.example; dkim=none",
                Some("mx.a.example"),
                &[
                    "dmarc=fail/p=reject header.from=b.example",
                    "spf=fail/ smtp.mailfrom=c.example",
                    "dkim=none/ ",
                ],
            ),
            (
                "dmarc=fail (p=none; dis=none) header.from=b.example",
                None,
                &["dmarc=fail/p=none; dis=none header.from=b.example"],
            ),
            (
                "163.example; dkim=pass (verify result: all signatures verified) header.d=b.example; spf=pass smtp.mailfrom=bounce+1-x=163.example@c.example",
                Some("163.example"),
                &[
                    "dkim=pass/verify result: all signatures verified header.d=b.example",
                    "spf=pass/ smtp.mailfrom=bounce+1-x=163.example@c.example",
                ],
            ),
            (
                "mx; tls=pass (verified) key.ciphersuite=\"TLS; (x)\" Cert.Client=\"OU=a, CN=\\\"b\\\"\"",
                Some("mx"),
                &["tls=pass/verified key.ciphersuite=TLS; (x),cert.client=OU=a, CN=\"b\""],
            ),
            ("mx 1; none", Some("mx"), &[]),
            ("mx; dkim = PASS header.d = a.example", Some("mx"), &["dkim=pass/ header.d=a.example"]),
            (
                "mx dkim/1=pass header.d=a spf=softfail smtp.mailfrom=",
                Some("mx"),
                &["dkim=pass/ header.d=a", "spf=softfail/ smtp.mailfrom="],
            ),
            (
                "mx; dkim=fail reason=\"signature failed\" (2048-bit key) header.b=\"PrsT=\"",
                Some("mx"),
                &["dkim=fail/signature failed header.b=PrsT="],
            ),
            (
                "mx; dkim=fail (open header.d=a.example; spf=pass",
                Some("mx"),
                &["dkim=fail/ header.d=a.example", "spf=pass/ "],
            ),
            (
                "mx; dmarc=bestguesspass action=none header.from=a",
                Some("mx"),
                &["dmarc=bestguesspass/ action=none,header.from=a"],
            ),
            (
                "mx; spf=none smtp.mailfrom= smtp.helo=a",
                Some("mx"),
                &["spf=none/ smtp.mailfrom=,smtp.helo=a"],
            ),
            (
                "mx; spf=none smtp.mailfrom= ; dkim=none",
                Some("mx"),
                &["spf=none/ smtp.mailfrom=", "dkim=none/ "],
            ),
            ("", None, &[]),
            (";;=;", None, &[]),
            ("=", None, &[]),
            ("\"a b\"; spf=\"", Some("a b"), &["spf=/ "]),
            // A quote without its end, also where a later one seems to be it.
            (
                "mx; dkim=fail reason=\"signature  failed; spf=pass smtp.mailfrom=a",
                Some("mx"),
                &["dkim=fail/signature failed ", "spf=pass/ smtp.mailfrom=a"],
            ),
            (
                "mx; dkim=fail reason=\"bad; spf=pass reason=\"ok; sure\" smtp.mailfrom=a",
                Some("mx"),
                &["dkim=fail/bad ", "spf=pass/ok; sure smtp.mailfrom=a"],
            ),
            (
                "mx; dkim=fail header.b=\"a+b header.d=c (key) spf=pass",
                Some("mx"),
                &["dkim=fail/ header.b=a+b,header.d=c", "spf=pass/ "],
            ),
            ("mx; spf=fail reason=\"5.7.1 not all", Some("mx"), &["spf=fail/5.7.1 not all "]),
            (
                "mx; spf=pass smtp.mailfrom=a\"b@c; dkim=pass header.i=\"d; e\"@f header.b=\"g\"",
                Some("mx"),
                &["spf=pass/ smtp.mailfrom=ab@c", "dkim=pass/ header.i=d; e@f,header.b=g"],
            ),
            (
                "mx; spf=fail reason=\"a \\\"b\\\"; c\"; dkim=none",
                Some("mx"),
                &["spf=fail/a \"b\"; c ", "dkim=none/ "],
            ),
            ("mx; spf=fail reason=\"a\\; dkim=none", Some("mx"), &["spf=fail/a\\ ", "dkim=none/ "]),
            ("\"mx a; spf=pass (b) x.y=z", Some("mx a"), &["spf=pass/b x.y=z"]),
            // A bracket behind a backslash, outside comments.
            ("mx; spf=pass x.y=a\\(b; dkim=none", Some("mx"), &["spf=pass/ x.y=a\\(b", "dkim=none/ "]),
            (
                "mx; spf=fail reason=\"a\"b \"(\" c; dkim=none",
                Some("mx"),
                &["spf=fail/ab ( c ", "dkim=none/ "],
            ),
            ("mx; spf=pass (it\"s) x.y=\"b\"", Some("mx"), &["spf=pass/it\"s x.y=b"]),
        ];
        for (text, authserv_id, results) in cases {
            let (id, found) = short(text);
            assert_eq!(id.as_deref(), authserv_id, "{text:?}");
            assert_eq!(found, results, "{text:?}");
        }
    }

    #[test]
    fn results_are_bounded() {
        let field = AuthResults::parse(&"x=y;".repeat(10_000));
        assert_eq!(field.results.len(), limits::AUTH_RESULTS);
        let field = AuthResults::parse(&format!("dkim=pass {}", "a.b=c ".repeat(10_000)));
        assert_eq!(field.results[0].properties.len(), limits::AUTH_RESULT_PROPERTIES);
        for text in ["(", "\"", "\\\"", "=\"", " a=\"\\", "(\"", "\";"] {
            let field = AuthResults::parse(&text.repeat(100_000));
            assert!(field.results.len() <= limits::AUTH_RESULTS, "{text}");
        }
    }
}
