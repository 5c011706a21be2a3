//! Chains right and wrong; the third-party suite stands in the integration tests.

use proptest::prelude::*;

use super::*;

/// When the messages of the tests come.
const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

/// The reason for the chain of a message, without DNS.
fn reason(message: &str) -> String {
    match verify(&RawMessage::new(message.as_bytes()), NOW, &Answers::new()) {
        Ok(chain) => format!("{}: {}", chain.result.as_str(), chain.reason),
        Err(ask) => format!("asks {} questions", ask.questions.len()),
    }
}

/// One instance of a chain.
fn set(number: &str, seen: &str) -> String {
    format!(
        "ARC-Seal: i={number}; a=rsa-sha256; cv={seen}; d=example.com; s=s{number}; t=1; b=YQ==\r\n\
         ARC-Message-Signature: i={number}; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=m; h=from; bh=YQ==; b=YQ==\r\n\
         ARC-Authentication-Results: i={number}; mx.example.com; spf=pass\r\n"
    )
}

#[test]
fn the_form_is_checked_first() {
    let (one, two) = (set("1", "none"), set("2", "pass"));
    let cases = [
        (String::new(), "none: the message has no ARC fields"),
        (one.clone(), "asks 2 questions"),
        (two.clone() + &one, "asks 3 questions"),
        (two.clone(), "fail: instance 1 is missing"),
        (set("1", "pass"), "fail: example.com sealed instance 1 with cv=pass"),
        (set("2", "fail") + &one, "fail: example.com sealed instance 2 with cv=fail"),
        (set("1", "odd"), "fail: ARC-Seal of instance 1: the tag cv= has no valid value"),
        (set("0", "none"), "fail: a field arc-authentication-results has no valid i="),
        (set("51", "none"), "fail: a field arc-authentication-results has no valid i="),
        (one.clone() + &one, "fail: instance 1 has not one field of each of the three kinds"),
        (one.replace("ARC-Seal", "X"), "fail: instance 1 has not one field of each of the three kinds"),
        (
            one.replace("rsa-sha256; cv", "rsa-sha1; cv"),
            "fail: ARC-Seal of instance 1: rsa-sha1 must not be accepted (RFC 8301)",
        ),
        (
            one.replace("cv=none", "cv=none; h=from"),
            "fail: ARC-Seal of instance 1: the tag h= does not belong there",
        ),
        (
            one.replace("h=from", "h=from:ARC-Seal"),
            "fail: ARC-Message-Signature of instance 1: the tag h= has no valid value",
        ),
        (
            one.replace("cv=none", "cv=none; cv=none"),
            "fail: ARC-Seal of instance 1: the tag cv= stands more than once",
        ),
        (one.replace("i=1; mx", "mx"), "fail: a field arc-authentication-results has no valid i="),
    ];
    for (fields, want) in cases {
        assert_eq!(reason(&format!("{fields}From: a@example.com\r\n\r\nx\r\n")), want, "{fields}");
    }
}

#[test]
fn long_chains_are_bounded() {
    let chain: String = (1..=60).map(|number| set(&number.to_string(), "pass")).collect();
    assert!(reason(&chain).starts_with("fail: more than 50"), "{}", reason(&chain));
}

proptest! {
    #[test]
    fn no_chain_panics(octets in proptest::collection::vec(any::<u8>(), 0..300), tags in "[ -~]{0,60}") {
        for name in ["ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"] {
            let message = [name.as_bytes(), b": i=1; ", tags.as_bytes(), b"\r\n", &octets].concat();
            let _ = verify(&RawMessage::new(&message), NOW, &Answers::new());
        }
    }
}
