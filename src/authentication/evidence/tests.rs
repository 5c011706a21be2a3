//! Words and lines of verified messages, and that nobody is named in them.

use super::*;
use crate::authentication::verify::sample::{MESSAGE, own, signed, smtp, verified, zone};

/// The lines of a method, as text.
fn of(lines: &[Line], method: &str) -> Vec<String> {
    lines
        .iter()
        .filter(|line| line.method == method)
        .map(|line| {
            let facts: Vec<String> =
                line.facts.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{} {}: {} | {}", line.subject, line.result, line.reason, facts.join(" | "))
        })
        .collect()
}

#[test]
fn what_is_kept_of_a_message_in_order() {
    let verdicts = verified(&zone(""), &own(), &signed());
    let words = words(&verdicts);
    assert_eq!(words.header_from.as_deref(), Some("example.com"));
    assert_eq!((words.spf.as_str(), words.spf_domain.as_deref()), ("pass", Some("example.com")));
    assert_eq!(
        (words.dkim.as_str(), words.dkim_domains.as_slice()),
        ("pass", &["example.com".to_owned()][..])
    );
    assert_eq!((words.dmarc.as_str(), words.policy.as_deref()), ("pass", Some("reject")));
    assert_eq!((words.dmarc_by_suffix, words.differs), (None, false));
    assert_eq!(words.peer_name.as_deref(), Some("mx.example.com"));
    let (lines, more) = lines(&verdicts);
    assert_eq!(more, 0);
    assert_eq!(
        of(&lines, "spf"),
        ["example.com pass: \"ip4:192.0.2.1\" of example.com matches 192.0.2.1 | ip=192.0.2.1 | lookups=0"]
    );
    assert_eq!(
        of(&lines, "dmarc"),
        [
            "example.com pass: spf of example.com passes and is aligned with example.com | record_at=example.com | organizational_domain=example.com | policy=reject | policy_from=p | alignment=spf example.com strict; dkim example.com strict | asked_at=example.com com | organizational_by=fewest-labels"
        ]
    );
    let signature = of(&lines, "dkim").remove(0);
    assert!(signature.starts_with("example.com pass: body and signed fields are as they were signed | code=verified | selector=s1 | algorithm=ed25519-sha256"), "{signature}");
    assert!(signature.contains("key_type=ed25519 | key_bits=256"), "{signature}");
    let selectors = selectors(&verdicts);
    assert_eq!(selectors.len(), 1);
    assert_eq!((selectors[0].domain.as_str(), selectors[0].selector.as_str()), ("example.com", "s1"));
}

/// Selectors are learnt of what passes DMARC, and of nobody else.
#[test]
fn strangers_teach_nothing() {
    let key = crate::authentication::verify::sample::key();
    let more = format!("s1._domainkey.example.org. TXT \"{}\"", key.record());
    let stranger = smtp("198.51.100.1", "x@example.org");
    let by_stranger = crate::authentication::verify::sample::signed_by("example.org", MESSAGE);
    let verdicts = verified(&zone(&more), &stranger, &by_stranger);
    assert_eq!(verdicts.dkim.result(), DkimResult::Pass);
    assert_eq!(selectors(&verdicts), []);
    // Their signature on a message that passes by another is not aligned.
    let both = crate::authentication::verify::sample::signed_by("example.org", &signed());
    let verdicts = verified(&zone(&more), &stranger, &both);
    assert_eq!(verdicts.dmarc.result.as_str(), "pass");
    let seen: Vec<String> = selectors(&verdicts).iter().map(|seen| seen.domain.to_string()).collect();
    assert_eq!(seen, ["example.com"]);
}

#[test]
fn nobody_is_named() {
    let claim = "Authentication-Results: mx.example.net; spf=fail (of \"Eve S\" <eve.secret@example.com>) smtp.mailfrom=eve.secret@example.com\r\n";
    let message = claim.to_owned() + &signed().replace("s=s1;", "s=s1; i=eve.secret@example.com;");
    let mut envelope = smtp("192.0.2.1", "eve.secret@example.com");
    envelope.relay = Some([192, 0, 2, 9].into());
    let explained = zone("").replace("-all\"\nmx", "exp=why.example.com -all\"\nmx")
        + "why.example.com. TXT \"mail of %{s} is not wanted\"\n";
    envelope.peer = Some(([198, 51, 100, 1], 25).into());
    let verdicts = verified(&explained, &envelope, &message);
    assert!(!verdicts.claims.is_empty());
    let all = format!("{:?} {:?}", words(&verdicts), lines(&verdicts));
    assert!(!all.contains("secret"), "{all}");
    let cases = [
        ("a@example.com", "*@example.com"),
        ("mail from <a.b@example.com>: no", "mail from <*@example.com>: no"),
        ("\"a b\"@example.com", "*@example.com"),
        ("x=a@b@example.com", "x=*@example.com"),
        ("@example.com", "*@example.com"),
        ("\u{a0}\u{e4}@example.com\r\n", "\u{a0}*@example.com  "),
    ];
    for (given, want) in cases {
        assert_eq!(text(given), want);
    }
    assert_eq!(text(&"x".repeat(10_000)).len(), limits::EVIDENCE_TEXT_CHARS);
}

/// However much a message has, what is kept of it is bounded.
#[test]
fn evidence_is_bounded() {
    let tags = "z".repeat(3_000);
    let signature =
        format!("DKIM-Signature: v=1; a={tags}; d=example.org; s={tags}; h=from; bh=YQ==; b=YQ==\r\n");
    let message = signature.repeat(150) + MESSAGE;
    let verdicts = verified(&zone(""), &own(), &message);
    let (lines, more) = lines(&verdicts);
    assert_eq!(lines.len(), limits::EVIDENCE_LINES);
    assert!(more > 90, "{more}");
    let size: usize = lines
        .iter()
        .flat_map(|line| line.facts.iter().map(|(_, value)| value.len()).chain([line.reason.len()]))
        .sum();
    assert!(size < 150_000, "{size}");
}
