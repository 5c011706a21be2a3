//! Text from outside on its way to terminals, pages, spreadsheets and programs.

use mailsonde::render::escape;

/// Nothing unsafe leaves, and JSON keeps the value.
pub fn check(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    let mut json = String::new();
    escape::json_string(&mut json, text);
    let back: String = serde_json::from_str(&json).expect("a JSON string");
    assert_eq!(back, text);
    let html = escape::html(text);
    let cell = escape::spreadsheet(text);
    assert!(!html.contains(['<', '>', '"', '\'']), "{html:?}");
    assert!(!cell.starts_with(['=', '@', '\t', '\r']), "{cell:?}");
    for out in [&*json, &*escape::terminal(text), &*html, &*escape::markdown(text), &*cell] {
        assert!(!out.chars().any(escape::is_unsafe), "{out:?}");
        // A character becomes at most ten.
        assert!(out.chars().count() <= text.chars().count() * 12 + 4);
    }
}
