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
    // An opening bracket without its end is a letter like others, or it would hide all that follows.
    let comments_close = is_balanced(text);
    let mut found = Vec::new();
    let mut chars = text.chars().peekable();
    // The name before `=`, while its value is awaited.
    let mut name: Option<String> = None;
    let mut is_blank = false;
    while let Some(&first) = chars.peek() {
        let is_after_blank = std::mem::replace(&mut is_blank, first.is_whitespace());
        if first.is_whitespace() {
            chars.next();
        } else if first == ';' {
            chars.next();
            found.extend(name.take().map(empty));
            found.push(Token::End);
        } else if first == '(' && comments_close {
            chars.next();
            found.push(Token::Comment(comment(&mut chars)));
        } else if first == '=' && name.is_none() {
            chars.next();
            // `name =`: the word before it was no word.
            if let Some(Token::Word(_)) = found.last()
                && let Some(Token::Word(word)) = found.pop()
            {
                name = Some(word);
            }
        } else if let Some(before) = name.take() {
            let value = word(&mut chars, !is_after_blank, comments_close);
            if is_after_blank && chars.peek() == Some(&'=') && !value.is_empty() {
                // `smtp.mailfrom= smtp.helo=a`: an empty value, not a name for one.
                chars.next();
                found.push(empty(before));
                name = Some(value);
            } else {
                found.push(Token::Pair(before, value));
            }
        } else {
            let word = word(&mut chars, false, comments_close);
            if chars.peek() == Some(&'=') {
                chars.next();
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

/// True if every opening bracket outside quotes is closed.
fn is_balanced(text: &str) -> bool {
    let mut depth = 0_usize;
    let mut is_quoted = false;
    let mut is_escaped = false;
    for c in text.chars() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' if depth == 0 => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    depth == 0
}

/// Reads a comment after its opening bracket; nested ones are part of it.
fn comment(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let mut text = String::new();
    let mut depth = 1_usize;
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.extend(chars.next()),
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
fn word(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    is_value: bool,
    comments_close: bool,
) -> String {
    let mut text = String::new();
    while let Some(&c) = chars.peek() {
        if c.is_whitespace() || c == ';' || (c == '=' && !is_value) || (c == '(' && comments_close) {
            break;
        }
        chars.next();
        if c != '"' {
            text.push(c);
            continue;
        }
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => text.extend(chars.next()),
                _ => text.push(c),
            }
        }
    }
    text
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
        let cases: [(&str, Option<&str>, &[&str]); 16] = [
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
        let field = AuthResults::parse(&"(".repeat(100_000));
        assert!(field.results.is_empty());
    }
}
