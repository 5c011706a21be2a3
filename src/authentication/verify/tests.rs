//! Whole messages against zones: right, wrong, not known, and hostile.

use std::time::Duration;

use proptest::prelude::*;

use super::sample::{ARRIVED, MESSAGE, own, signed, signed_by, smtp, verified, verified_as, zone};
use super::*;
use crate::mail::PeerSource;

/// The words: SPF, HELO, DKIM, ARC, DMARC, reverse DNS.
fn told(verdicts: &Verdicts) -> String {
    let reverse = verdicts.reverse.as_ref().map_or("-", |reverse| reverse.result.as_str());
    format!(
        "{} {} {} {} {} {reverse}",
        verdicts.spf.as_str(),
        verdicts.spf_helo.as_str(),
        verdicts.dkim.result().as_str(),
        verdicts.arc.result.as_str(),
        verdicts.dmarc.result.as_str(),
    )
}

#[test]
fn whole_messages() {
    let changed = signed().replace("Here it is", "Here it was");
    let stranger = || smtp("198.51.100.1", "x@example.org");
    let spoofed = || smtp("198.51.100.1", "reports@example.com");
    let from = |from: &str| MESSAGE.replace("Reports <reports@example.com>", from);
    let cases = [
        ("all in order", own(), signed(), "pass pass pass none pass pass"),
        ("unsigned", own(), MESSAGE.to_owned(), "pass pass none none pass pass"),
        ("forwarded", stranger(), signed(), "none fail pass none pass permerror"),
        ("changed on the way", stranger(), changed, "none fail fail none fail permerror"),
        ("spoofed", spoofed(), MESSAGE.to_owned(), "fail fail none none fail permerror"),
        (
            "signed by another",
            stranger(),
            signed_by("example.org", MESSAGE),
            "none fail permerror none fail permerror",
        ),
        ("a bounce", smtp("192.0.2.1", ""), MESSAGE.to_owned(), "pass pass none none pass pass"),
        ("no policy", stranger(), from("a@example.org"), "none fail none none none permerror"),
        ("no author", own(), from("nobody"), "pass pass none none permerror pass"),
        (
            "two authors",
            own(),
            format!("From: a@example.org\r\n{MESSAGE}"),
            "pass pass none none permerror pass",
        ),
    ];
    for (name, envelope, message, want) in cases {
        let verdicts = verified(&zone(""), &envelope, &message);
        assert_eq!(told(&verdicts), want, "{name}");
        assert!(!verdicts.is_open(), "{name}");
        assert!(verdicts.asked < 20, "{name}: {}", verdicts.asked);
    }
}

/// What nobody proves is not known, whichever way it is missing; a signature still speaks for itself.
#[test]
fn without_a_proven_peer_spf_is_not_known() {
    let from_file = Envelope::without_transport(Origin::Import, ARRIVED);
    let from_mailbox = Envelope::without_transport(Origin::Mailbox, ARRIVED);
    let by_relay =
        Envelope { peer: None, peer_source: None, helo: None, relay: Some([192, 0, 2, 9].into()), ..own() };
    for envelope in [&from_file, &from_mailbox, &by_relay] {
        let verdicts = verified(&zone(""), envelope, &signed());
        assert_eq!(told(&verdicts), "not-known not-known pass none pass -");
        let verdicts = verified(&zone(""), envelope, MESSAGE);
        assert_eq!(told(&verdicts), "not-known not-known none none not-known -");
        assert!(!verdicts.is_open());
    }
    // A reverse-path of somebody else cannot have helped.
    let by_relay = Envelope { mail_from: smtp("192.0.2.1", "x@example.org").mail_from, ..by_relay };
    assert_eq!(told(&verified(&zone(""), &by_relay, MESSAGE)), "not-known not-known none none fail -");
    let proven = Envelope { peer_source: Some(PeerSource::Xforward), relay: by_relay.relay, ..own() };
    assert_eq!(told(&verified(&zone(""), &proven, MESSAGE)), "pass pass none none pass pass");
}

/// DNS that does not answer makes nothing fail, and is asked again; what was never asked is not.
#[test]
fn trouble_is_not_known_and_not_failed() {
    let stranger = smtp("198.51.100.1", "x@example.org");
    let cases = [
        (";! fail s1._domainkey.example.com. * timeout", "none fail temperror none temperror permerror"),
        (";! fail _dmarc.example.com. * servfail", "none fail pass none temperror permerror"),
        (";! fail example.org. * timeout", "temperror fail pass none pass permerror"),
    ];
    for (more, want) in cases {
        let verdicts = verified(&zone(more), &stranger, &signed());
        assert_eq!(told(&verdicts), want, "{more}");
        assert!(verdicts.is_open(), "{more}");
        assert_eq!(verdicts.unanswered.len(), 1, "{more}");
    }
    let facts = Facts {
        envelope: &stranger,
        service: Service::Mail,
        receiver: "mail.example.net",
        trusted_hosts: &[],
        now: ARRIVED,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let resolver = crate::dns::ZoneResolver::parse(&zone("")).unwrap();
    let mut nothing = Budget::new(0, Duration::from_secs(5));
    let verdicts = runtime.block_on(verify(&resolver, &facts, signed().as_bytes(), &mut nothing));
    assert_eq!(told(&verdicts), "temperror temperror temperror none temperror temperror");
    assert!(!verdicts.is_open() && verdicts.asked == 0);
}

/// A key that is gone after days proves nothing against the signer; an hour after arrival it does.
#[test]
fn a_missing_key_of_old_mail_is_not_known() {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let stranger = smtp("198.51.100.1", "x@example.org");
    let key = sample::key().record();
    let missing = zone("").replace("s1._domainkey.example.com.", "other.example.com.");
    let revoked = zone("").replace(&key, "v=DKIM1; p=");
    for zone in [missing, revoked] {
        let of = |later| {
            let verdicts = verified_as(&zone, &stranger, &signed(), Service::Mail, later);
            format!("{} {}", verdicts.dkim.result().as_str(), verdicts.dmarc.result.as_str())
        };
        assert_eq!(of(days(0)), "permerror fail");
        assert_eq!(of(days(7)), "permerror fail");
        assert_eq!(of(days(8)), "not-known not-known");
    }
    // What lay in a mailbox came when its host says so.
    for (day, want) in [("Tue, 15", "permerror"), ("Mon, 14", "not-known")] {
        let line = format!(
            "Received: from mx.example.com by imap.example.net;\r\n\t{day} Sep 2026 10:00:00 +0000\r\n"
        );
        let mailbox = Envelope::without_transport(Origin::Mailbox, ARRIVED);
        let gone = zone("").replace(&key, "v=DKIM1; p=");
        let verdicts = verified(&gone, &mailbox, &(line + &signed()));
        assert_eq!(verdicts.dkim.result().as_str(), want);
        assert_eq!(verdicts.arrived_at.rfc3339().get(8..10), day.get(5..7));
    }
}

/// Signatures are judged by the day on which the message came.
#[test]
fn an_old_signature_has_not_expired() {
    let end = ARRIVED.seconds() + 3_600;
    let tags = format!("a=ed25519-sha256; x={end}");
    let message = dkim::tests::signed_with(&tags, &sample::key(), MESSAGE);
    let of = |received_at: Timestamp| {
        let envelope = Envelope { received_at, ..own() };
        let later = Duration::from_secs(86_400);
        let verdicts = verified_as(&zone(""), &envelope, &message, Service::Mail, later);
        verdicts.dkim.verdicts.first().map(|verdict| verdict.reason.code())
    };
    assert_eq!(of(ARRIVED), Some("verified"));
    assert_eq!(of(Timestamp::from_seconds(end + 1)), Some("expired"));
}

/// A claim counts where a trusted host wrote it; a peer that comes directly writes what it likes.
#[test]
fn trusted_hosts_are_believed_only_where_they_stand_between() {
    let claim = "Authentication-Results: mx.example.net; spf=fail smtp.mailfrom=bounce@example.com;\r\n dkim=pass header.d=example.com; dmarc=fail header.from=example.com\r\n";
    let message = claim.to_owned() + &signed();
    let direct = verified(&zone(""), &own(), &message);
    assert_eq!((direct.claims.len(), direct.differences.len()), (0, 0));
    let behind = Envelope { relay: Some([192, 0, 2, 9].into()), ..own() };
    let told = verified(&zone(""), &behind, &message);
    let methods: Vec<&str> = told.differences.iter().map(|known| known.method.as_str()).collect();
    assert_eq!(methods, ["spf", "dmarc"]);
    let mailbox = Envelope::without_transport(Origin::Mailbox, ARRIVED);
    let told = verified(&zone(""), &mailbox, &message);
    let methods: Vec<&str> = told.differences.iter().map(|known| known.method.as_str()).collect();
    assert_eq!(methods, ["dmarc"], "SPF of ours is not known, so nothing differs");
    let foreign = message.replace("mx.example.net", "mx.example.org");
    assert!(verified(&zone(""), &behind, &foreign).claims.is_empty());
}

/// However much a message asks for, its work is bounded, and it has a verdict.
#[test]
fn hostile_messages_are_bounded() {
    let many = |line: &str, count: usize| line.repeat(count);
    let signatures = (0..1_000)
        .map(|number| {
            format!(
                "DKIM-Signature: v=1; a=rsa-sha256; d=d{number}.example.org; s=s; h=from; bh=YQ==; b=YQ==\r\n"
            )
        })
        .collect::<Vec<String>>()
        .concat();
    let seals = (1..=50)
        .map(|number| {
            let seen = if number == 1 { "none" } else { "pass" };
            format!(
                "ARC-Seal: i={number}; a=rsa-sha256; cv={seen}; d=d{number}.example.org; s=s; t=1; b=YQ==\r\n\
                 ARC-Message-Signature: i={number}; a=rsa-sha256; c=relaxed/relaxed; d=m{number}.example.org; s=m; h=from; bh=YQ==; b=YQ==\r\n\
                 ARC-Authentication-Results: i={number}; mx.example.com; spf=pass\r\n"
            )
        })
        .collect::<Vec<String>>().concat();
    let greedy = (0..10).map(|number| format!(" mx:m{number}.example.org")).collect::<Vec<String>>().concat();
    let exchangers: String = (0..10)
        .flat_map(|domain| {
            (0..10).map(move |host| format!("m{domain}.example.org. MX 1 h{host}.m{domain}.example.org.\n"))
        })
        .collect();
    let cases = [
        ("1,000 signatures", signatures.clone() + MESSAGE, String::new()),
        ("100 From fields", many("From: a@example.org\r\n", 100) + MESSAGE, String::new()),
        ("10,000 authors", MESSAGE.replace("Reports", &many("a@example.org,", 10_000)), String::new()),
        ("50 instances", seals + MESSAGE, String::new()),
        ("SPF loop", MESSAGE.to_owned(), "example.org. TXT \"v=spf1 include:example.org ~all\"".to_owned()),
        (
            "greedy SPF",
            signatures + MESSAGE,
            format!("example.org. TXT \"v=spf1{greedy} ~all\"\n{exchangers}"),
        ),
    ];
    for (name, message, more) in cases {
        let stranger =
            Envelope { helo: Some("example.org".to_owned()), ..smtp("198.51.100.1", "x@example.org") };
        let verdicts = verified(&zone(&more), &stranger, &message);
        assert!(verdicts.asked <= limits::VERIFY_QUESTIONS, "{name}: {}", verdicts.asked);
        assert!(verdicts.dkim.verdicts.len() <= limits::SIGNATURES_LISTED, "{name}");
        assert_ne!(verdicts.dmarc.result, DmarcResult::Pass, "{name}");
        assert!(!verdicts.is_open(), "{name}: {:?}", verdicts.unanswered);
    }
}

proptest! {
    /// Any bytes have a verdict, and nothing of them passes.
    #[test]
    fn any_bytes_have_a_verdict(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let message = String::from_utf8_lossy(&bytes).into_owned();
        let verdicts = verified(&zone(""), &smtp("198.51.100.1", "x@example.org"), &message);
        prop_assert_ne!(verdicts.dmarc.result, DmarcResult::Pass);
        prop_assert_eq!(verdicts.dkim.verdicts.iter().filter(|known| known.result() == DkimResult::Pass).count(), 0);
    }
}
