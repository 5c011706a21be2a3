use std::fmt::Write;

use super::*;

/// Type, name, standing and text of all parts.
fn parts(raw: &str) -> Vec<(String, String, Standing, String)> {
    let message = Message::parse(raw.as_bytes());
    let part = |part: &Part<'_>| {
        let text = String::from_utf8_lossy(&part.decode().0).into_owned();
        (part.content_type.clone(), part.file_name.clone(), part.standing, text)
    };
    message.parts.iter().map(part).collect()
}

fn texts(raw: &str) -> Vec<String> {
    parts(raw).into_iter().map(|part| part.3).collect()
}

fn multipart(kind: &str, boundary: &str, parts: &[&str]) -> String {
    let mut out =
        format!("MIME-Version: 1.0\r\nContent-Type: {kind}; boundary=\"{boundary}\"\r\n\r\npreamble\r\n");
    for part in parts {
        let _ = write!(out, "--{boundary}\r\n{part}\r\n");
    }
    out + &format!("--{boundary}--\r\nepilogue\r\n")
}

#[test]
fn a_single_part_is_a_leaf() {
    let all = parts(
        "From: a@b\r\nContent-Type: application/zip; name=x.zip\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n",
    );
    assert_eq!(all, [("application/zip".into(), "x.zip".into(), Standing::Top, "hello".into())]);
    assert_eq!(texts("Subject: x\n\nbody\n"), ["body\n"]);
    assert_eq!(texts(""), [""]);
    assert_eq!(texts("From a Tue\nSubject: x\n\nbody"), ["body"]);
}

#[test]
fn delimiters_are_lines() {
    // The text of the delimiter inside a line, and a longer one at the start of a line, are data.
    let odd = "\r\nuse --BND here, --BND-- there\r\n--BNDX\r\nmore";
    let raw = multipart("multipart/mixed", "BND", &[odd, "Content-Type: text/xml\r\n\r\n<a>--BND</a>"]);
    assert_eq!(texts(&raw), ["use --BND here, --BND-- there\r\n--BNDX\r\nmore", "<a>--BND</a>"]);
    for odd in ["-", "--", "a b", "=_.+/:?"] {
        let raw = multipart("multipart/mixed", odd, &["\r\none", "\r\ntwo"]);
        assert_eq!(texts(&raw), ["one", "two"], "{odd}");
    }
}

#[test]
fn tolerance() {
    let two = multipart("multipart/mixed", "b", &["\r\none", "\r\ntwo"]);
    let cases = [
        (two.replace("\r\n", "\n"), vec!["one", "two"], vec![]),
        (two.replace("--b--\r\nepilogue\r\n", ""), vec!["one", "two\r\n"], vec!["boundary-not-closed"]),
        (two.replace("; boundary=\"b\"", ""), vec!["one", "two"], vec!["boundary-missing"]),
        (two.replace("--b\r\n", "--b \t\r\n"), vec!["one", "two"], vec![]),
        (two.replace("Content-Type", "ContentType"), vec!["one", "two"], vec!["content-type-typo"]),
        ("Content-Type: multipart/mixed; boundary=b\r\n\r\nno parts".to_owned(), vec!["no parts"], vec![]),
        (
            "Content-Disposition: attachment; filename=a.gz\r\n\r\nH4sIAAAA\r\n".to_owned(),
            vec!["\u{1f}\u{fffd}\u{8}\0\0\0"],
            vec!["content-type-missing"],
        ),
    ];
    for (raw, want, notes) in cases {
        assert_eq!(texts(&raw), want, "{raw}");
        let message = Message::parse(raw.as_bytes());
        assert_eq!(message.notes.iter().map(|(name, _)| *name).collect::<Vec<_>>(), notes, "{raw}");
    }
}

#[test]
fn attached_messages_are_looked_into() {
    let inner = multipart("multipart/mixed", "in", &["Content-Type: application/gzip\r\n\r\ndata"]);
    let raw = multipart(
        "multipart/mixed",
        "out",
        &["\r\ntext", &format!("Content-Type: message/rfc822\r\n\r\n{inner}")],
    );
    let all = parts(&raw);
    assert_eq!(
        all.iter().map(|part| (part.2, part.3.as_str())).collect::<Vec<_>>(),
        [(Standing::Top, "text"), (Standing::Nested, "data")]
    );
    let encoded = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=";
    assert_eq!(parts(encoded)[0].3, "hello");
    let digest = multipart("multipart/digest", "d", &["\r\nSubject: x\r\n\r\ninner"]);
    assert_eq!(parts(&digest)[0].2, Standing::Nested);
}

#[test]
fn evidence_is_quoted() {
    let inner = multipart("multipart/mixed", "in", &["Content-Type: application/gzip\r\n\r\ndata"]);
    let third = format!("Content-Type: message/rfc822\r\n\r\n{inner}");
    for kind in ["feedback-report", "delivery-status"] {
        let second = format!("Content-Type: message/{kind}\r\n\r\nFeedback-Type: abuse");
        for declared in [format!("multipart/report; report-type={kind}"), "multipart/report".to_owned()] {
            let raw = multipart(&declared, "out", &["\r\ntext", &second, &third]);
            let standings: Vec<_> = parts(&raw).into_iter().map(|part| part.2).collect();
            assert_eq!(standings, [Standing::Top, Standing::Top, Standing::Quoted], "{declared}");
        }
    }
    // A TLS report's parts are its own (RFC 8460 §5.3).
    let raw = multipart(
        "multipart/report; report-type=tlsrpt",
        "out",
        &["\r\ntext", "\r\nmore", "Content-Type: application/tlsrpt+gzip\r\n\r\ndata"],
    );
    assert!(parts(&raw).iter().all(|part| part.2 == Standing::Top));
}

#[test]
fn caps_keep_hostile_mail_cheap() {
    let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(50_000);
    let message = Message::parse(nested.as_bytes());
    assert_eq!(message.parts.len(), 1);
    assert_eq!(message.notes[0].0, "mime-too-deep");
    let mut deep = String::new();
    for level in 0..1_000 {
        let _ = write!(deep, "Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n");
    }
    assert!(Message::parse(deep.as_bytes()).parts.len() <= limits::MIME_DEPTH + 1);
    let many = multipart("multipart/mixed", "b", &vec!["\r\nx"; limits::MIME_PARTS + 100]);
    let message = Message::parse(many.as_bytes());
    assert_eq!(message.parts.len(), limits::MIME_PARTS);
    assert_eq!(message.notes[0].0, "mime-too-many-parts");
}

#[test]
fn texts_in_their_charset() {
    let raw = b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\ncaf\xe9";
    let message = Message::parse(raw);
    assert_eq!(message.parts[0].text(100), "café");
    assert_eq!(message.parts[0].text(3), "caf");
    assert!(message.parts[0].is_body());
}
