//! Authentication-Results fields.

use std::fmt::Write as _;

use mailsonde::limits;
use mailsonde::mail::AuthResults;

/// Caps hold, words are in lower case, a field written from plain words is read as them, and no text hides results.
pub fn check(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    let read = AuthResults::parse(text);
    assert!(read.results.len() <= limits::AUTH_RESULTS);
    let mut bytes = read.authserv_id.as_ref().map_or(0, String::len);
    for result in &read.results {
        assert!(result.properties.len() <= limits::AUTH_RESULT_PROPERTIES);
        assert!(!result.method.contains('/'), "{result:?}");
        bytes += result.method.len() + result.result.len() + result.reason.as_ref().map_or(0, String::len);
        bytes += result.properties.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if let Some((name, value)) = result.properties.first() {
            assert_eq!(result.property(name), Some(value.as_str()));
        }
        assert!(read.method(&result.method).is_some());
    }
    // Nothing is made up: lower case of a character has at most three times its bytes.
    assert!(bytes <= text.len() * 3, "{read:?}");
    again(&read);
    beside(text, &read);
}

/// Whatever a field holds, it neither hides nor changes what stands before and behind it.
fn beside(text: &str, read: &AuthResults) {
    let other = AuthResults::parse("mx; zz=pass x.y=z");
    let before = AuthResults::parse(&format!("mx; zz=pass x.y=z; {text}"));
    let behind = AuthResults::parse(&format!("{text}; zz=pass x.y=z"));
    let most = |results: Vec<_>| results.into_iter().take(limits::AUTH_RESULTS).collect::<Vec<_>>();
    assert_eq!(before.results, most([&*other.results, &*read.results].concat()), "{text:?}");
    assert_eq!(behind.results, most([&*read.results, &*other.results].concat()), "{text:?}");
}

/// Writes what was read where its words are plain, and reads that.
fn again(read: &AuthResults) {
    let is_plain = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    let mut field = read.authserv_id.clone().filter(|id| is_plain(id)).unwrap_or_else(|| "mx".to_owned());
    for result in &read.results {
        if !is_plain(&result.method) || !is_plain(&result.result) {
            return;
        }
        let _ = write!(field, "; {}={}", result.method, result.result);
        if let Some(reason) = &result.reason {
            if !is_plain(reason) {
                return;
            }
            let _ = write!(field, " reason=\"{reason}\"");
        }
        for (name, value) in &result.properties {
            // A method's name in the place of a property begins a result.
            if !is_plain(name) || !is_plain(value) || !name.contains('.') {
                return;
            }
            let _ = write!(field, " {name}={value}");
        }
    }
    assert_eq!(AuthResults::parse(&field).results, read.results, "{field:?}");
}
