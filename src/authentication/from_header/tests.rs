use super::*;

/// Reads a message with this header; gives domains, or the fault, and the names of tricks.
fn read(header: &[u8]) -> (Vec<String>, bool, Vec<&'static str>) {
    let message = [header, b"\r\nTo: x@example.org\r\n\r\nFrom: body@example.invalid\r\n"].concat();
    let from = FromHeader::of_message(&message);
    let domains = from.domains.iter().map(ToString::to_string).collect();
    let tricks = from.tricks.iter().map(|trick| trick.as_str()).collect();
    (domains, from.author_domains().is_ok(), tricks)
}

/// Header, domains, whether there is an author to judge, tricks.
type Case = (&'static str, &'static [&'static str], bool, &'static [&'static str]);

fn check(cases: &[Case]) {
    for (header, domains, is_judged, tricks) in cases {
        let (found, judged, odd) = read(header.as_bytes());
        assert_eq!(found, *domains, "{header}");
        assert_eq!(judged, *is_judged, "{header}");
        assert_eq!(odd, *tricks, "{header}");
    }
}

#[test]
fn honest_fields() {
    check(&[
        ("From: a@example.com", &["example.com"], true, &[]),
        ("From: <a@example.com>", &["example.com"], true, &[]),
        ("from:a@EXAMPLE.com", &["example.com"], true, &[]),
        ("From: A B <a@example.com>", &["example.com"], true, &[]),
        ("From: \"B, A\" <a@example.com>", &["example.com"], true, &[]),
        ("From: a@example.com (A B)", &["example.com"], true, &[]),
        ("From: (A B) a@example.com", &["example.com"], true, &[]),
        ("From: A (of B) <a@example.com>", &["example.com"], true, &[]),
        ("From: =?utf-8?q?B=C3=BC?= <a@example.com>", &["example.com"], true, &[]),
        ("From: \"a@example.com\" <a@example.com>", &["example.com"], true, &[]),
        ("From: A\r\n B\r\n\t<a@example.com>", &["example.com"], true, &[]),
        ("From: \"a b\"@example.com", &["example.com"], true, &[]),
        ("From: a+b=c@sub.example.com", &["sub.example.com"], true, &[]),
    ]);
}

#[test]
fn several_authors() {
    check(&[
        ("From: a@example.com, b@example.com", &["example.com"], true, &["several-mailboxes"]),
        (
            "From: a@example.com, B <b@example.net>",
            &["example.com", "example.net"],
            true,
            &["several-mailboxes", "several-author-domains"],
        ),
        (
            "From: a@example.com\r\nFrom: b@example.net",
            &["example.com", "example.net"],
            false,
            &["several-mailboxes", "several-author-domains", "several-from-fields"],
        ),
        (
            "From: a@example.com\r\nFROM: a@example.com",
            &["example.com"],
            false,
            &["several-mailboxes", "several-from-fields"],
        ),
        ("From: Team: a@example.com;", &["example.com"], true, &["group"]),
        ("From: Undisclosed senders:;", &[], false, &["group", "null-address"]),
        (
            "From: A: a@example.com, b@example.net;",
            &["example.com", "example.net"],
            true,
            &["group", "several-mailboxes", "several-author-domains"],
        ),
        (
            "From: <a@example.com> <b@example.net>",
            &["example.com", "example.net"],
            true,
            &["missing-comma", "several-mailboxes", "several-author-domains"],
        ),
        (
            "From: a@example.com; b@example.net",
            &["example.com", "example.net"],
            true,
            &["several-mailboxes", "several-author-domains"],
        ),
    ]);
}

#[test]
fn nobody() {
    check(&[
        ("From:", &[], false, &[]),
        ("From: <>", &[], false, &["null-address"]),
        ("From: A B <>", &[], false, &["null-address"]),
        ("From: somebody", &[], false, &[]),
        ("From: <somebody>", &[], false, &[]),
        ("From: @example.com", &[], false, &["no-local-part"]),
        ("From: a@", &[], false, &["not-a-domain"]),
        ("From: a@[192.0.2.1]", &[], false, &["address-literal"]),
        ("X-From: a@example.com", &[], false, &[]),
    ]);
}

#[test]
fn names_that_look_like_addresses() {
    check(&[
        ("From: \"ceo@bank.example\" <x@evil.example>", &["evil.example"], true, &["address-in-name"]),
        ("From: ceo@bank.example <x@evil.example>", &["evil.example"], true, &["address-in-name"]),
        (
            "From: =?utf-8?q?ceo=40bank.example?= <x@evil.example>",
            &["evil.example"],
            true,
            &["address-in-encoded-word"],
        ),
        (
            "From: =?utf-8?b?PGNlb0BiYW5rLmV4YW1wbGU+?= <x@evil.example>",
            &["evil.example"],
            true,
            &["address-in-encoded-word"],
        ),
        ("From: x@evil.example (ceo@bank.example)", &["evil.example"], true, &["address-in-name"]),
        ("From: \"ceo@bank.example\"@evil.example", &["evil.example"], true, &["at-in-local-part"]),
        ("From: \"<ceo@bank.example>,\" <x@evil.example>", &["evil.example"], true, &["address-in-name"]),
        ("From: Doe, John <x@example.com>", &["example.com"], true, &["comma-in-name"]),
    ]);
}

#[test]
fn broken_and_obsolete_syntax() {
    check(&[
        ("From: a@bank.example@evil.example", &[], false, &["several-ats"]),
        ("From: <a@bank.example,b@evil.example>", &[], false, &["several-ats"]),
        ("From: <@relay.example,@b.example:a@example.com>", &["example.com"], true, &["route"]),
        ("From: a @ example . com", &["example.com"], true, &["blanks-in-address"]),
        ("From: <a@ example.com >", &["example.com"], true, &["blanks-in-address"]),
        ("From: <a@exa mple.com>", &[], false, &["not-a-domain"]),
        ("From: a@(hi)example.com", &["example.com"], true, &["comment-in-address"]),
        ("From: <a(x)@example.com>", &["example.com"], true, &["comment-in-address"]),
        ("From: <a@example.com", &["example.com"], true, &["not-closed"]),
        ("From: \"A <a@example.com>", &[], false, &["not-closed"]),
        ("From: (A <a@example.com>", &[], false, &["not-closed"]),
        ("From: <a@example.com> and more", &["example.com"], true, &["text-after-address"]),
        ("From: <a<b@example.com>", &["example.com"], true, &["not-closed"]),
        ("From: John a@example.com", &["example.com"], true, &["blanks-in-address"]),
        ("From: a@example.com.", &["example.com"], true, &["final-dot"]),
        ("From: a@example..com", &[], false, &["not-a-domain"]),
        ("From: a@exa%6dple.com", &[], false, &["not-a-domain"]),
        (
            "From: =?utf-8?q?a=40bank.example?=@evil.example",
            &["evil.example"],
            true,
            &["encoded-word-in-address"],
        ),
        ("From: a@=?utf-8?q?bank?=.example", &[], false, &["encoded-word-in-address", "not-a-domain"]),
        ("From: =?utf-8?q?a=40bank.example?=", &[], false, &[]),
        ("From : a@example.com", &["example.com"], true, &[]),
        ("From: a@example.com\0.evil.example", &[], false, &["control-character", "not-a-domain"]),
    ]);
}

#[test]
fn other_scripts() {
    check(&[
        ("From: a@b\u{fc}cher.example", &["xn--bcher-kva.example"], true, &["internationalized"]),
        ("From: \u{fc}@xn--bcher-kva.example", &["xn--bcher-kva.example"], true, &[]),
        ("From: a@example\u{3002}com", &["example.com"], true, &["internationalized"]),
        ("From: a@\u{ff45}xample.com", &["example.com"], true, &["internationalized"]),
    ]);
    let (domains, is_judged, tricks) = read(b"From: a@b\xfccher.example");
    assert_eq!((domains.len(), is_judged), (0, false));
    assert!(tricks.contains(&"not-utf-8") && tricks.contains(&"not-a-domain"), "{tricks:?}");
}

#[test]
fn hostile_fields_end() {
    for header in [
        format!("From: {}", "(".repeat(100_000)),
        format!("From: {}", "<".repeat(100_000)),
        format!("From: {}", ",a@b".repeat(100_000)),
        format!("From: {}", ". ".repeat(100_000)),
        format!("From: {}a@b.example", "x ".repeat(20_000)),
        "From: a@example.com\r\n".repeat(10_000),
    ] {
        let from = FromHeader::of_message(format!("{header}\r\n\r\n").as_bytes());
        assert!(from.author_domains().is_err() || from.domains.len() <= limits::FROM_MAILBOXES);
        assert!(from.mailboxes.len() <= limits::FROM_MAILBOXES && from.tricks.len() < 30);
    }
    let long =
        format!("From: a@example.com,{}evil@example.net\r\n\r\n", " ".repeat(limits::FROM_FIELD_BYTES));
    assert!(FromHeader::of_message(long.as_bytes()).author_domains().is_err());
}
