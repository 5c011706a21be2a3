//! Reports of honest senders, of forgers, and of those of whom nothing is known.

use std::time::Duration;

use super::*;
use crate::authentication::dkim::Service;
use crate::authentication::verify::sample::{
    ARRIVED, MESSAGE, own, signed, signed_by, smtp, verified, verified_as, zone,
};
use crate::mail::{Envelope, Origin};

/// The belief, the domain and the reason.
fn told(believed: &Believed) -> (Belief, String, &str) {
    let sender = believed.sender.as_ref().map(ToString::to_string).unwrap_or_default();
    (believed.belief, sender, &believed.reason)
}

#[test]
fn reports_of_dmarc() {
    use Belief::{Failed, Open, Unverified, Verified};
    let stranger = || smtp("198.51.100.1", "x@example.org");
    let mailbox = || Envelope::without_transport(Origin::Mailbox, ARRIVED);
    let claim = |result: &str| {
        format!("Authentication-Results: mx.example.net; dmarc={result} header.from=example.com\r\n{MESSAGE}")
    };
    let of_org = || MESSAGE.replace("reports@example.com", "reports@example.org");
    let key_of_org = format!(
        "s1._domainkey.example.org. TXT \"{}\"",
        crate::authentication::verify::sample::key().record()
    );
    let partly = partly_signed();
    let cases = [
        ("in order", "", own(), signed(), Verified, "example.com"),
        ("by SPF alone", "", own(), MESSAGE.to_owned(), Verified, "example.com"),
        ("forwarded", "", stranger(), signed(), Verified, "example.com"),
        ("forged", "", stranger(), MESSAGE.to_owned(), Failed, ""),
        (
            "forged with a signature of one's own",
            &key_of_org,
            stranger(),
            signed_by("example.org", MESSAGE),
            Failed,
            "",
        ),
        ("no policy, nothing authenticates", "", stranger(), of_org(), Unverified, ""),
        (
            "no policy, signed",
            &key_of_org,
            stranger(),
            signed_by("example.org", &of_org()),
            Verified,
            "example.org",
        ),
        ("no author", "", own(), MESSAGE.replace("From:", "X-From:"), Unverified, ""),
        ("silent policy", ";! fail _dmarc.example.com. * timeout", stranger(), MESSAGE.to_owned(), Open, ""),
        ("silent key", ";! fail s1._domainkey.example.com. * timeout", stranger(), signed(), Open, ""),
        (
            "no policy, silent key",
            ";! fail s1._domainkey.example.org. * timeout",
            stranger(),
            signed_by("example.org", &of_org()),
            Open,
            "",
        ),
        ("mailbox, signed", "", mailbox(), signed(), Verified, "example.com"),
        ("mailbox, not signed", "", mailbox(), MESSAGE.to_owned(), Unverified, ""),
        ("mailbox, its host says pass", "", mailbox(), claim("pass"), Verified, "example.com"),
        ("mailbox, its host says fail", "", mailbox(), claim("fail"), Failed, ""),
        ("mailbox, its host says none", "", mailbox(), claim("none"), Unverified, ""),
        ("the forger says pass", "", stranger(), claim("pass"), Failed, ""),
        ("a part of the body is not signed", "", stranger(), partly.clone(), Unverified, ""),
        ("the same, and SPF passes", "", own(), partly, Verified, "example.com"),
    ];
    for (name, more, envelope, message, belief, sender) in cases {
        let verdicts = verified(&zone(more), &envelope, &message);
        let believed = of_dmarc_report(&verdicts);
        let (found, domain, reason) = told(&believed);
        assert_eq!((found, domain.as_str()), (belief, sender), "{name}: {reason}");
        assert!(!reason.is_empty(), "{name}");
        assert_ne!(believed.given_up().belief, Open, "{name}");
    }
}

/// A message to which something was added below what is signed.
fn partly_signed() -> String {
    let key = crate::authentication::verify::sample::key();
    dkim::tests::signed_with("a=ed25519-sha256; l=0", &key, MESSAGE)
}

#[test]
fn reports_of_tls() {
    use Belief::{Failed, Open, Unverified, Verified};
    let key = crate::authentication::verify::sample::key().record();
    let for_reports = key.replace("v=DKIM1;", "v=DKIM1; s=tlsrpt;");
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let below = MESSAGE.replace("reports@example.com", "reports@mail.example.com");
    let org = format!("s1._domainkey.example.org. TXT \"{key}\"");
    let gone = zone("").replace(&key, "v=DKIM1; p=");
    let cases = [
        ("in order", zone(""), signed(), 0, Verified),
        ("a key for reports alone", zone("").replace(&key, &for_reports), signed(), 0, Verified),
        ("below the signer", zone(""), signed_by("example.com", &below), 0, Verified),
        ("not signed, though SPF and DMARC pass", zone(""), MESSAGE.to_owned(), 0, Failed),
        ("signed by another", zone(&org), signed_by("example.org", MESSAGE), 0, Failed),
        ("changed", zone(""), signed().replace("Here", "There"), 0, Failed),
        ("a part is not signed", zone(""), partly_signed(), 0, Failed),
        ("silent key", zone(";! fail s1._domainkey.example.com. * timeout"), signed(), 0, Open),
        ("revoked key", gone.clone(), signed(), 0, Failed),
        ("revoked key long ago", gone, signed(), 8, Unverified),
        ("no author", zone(""), signed().replace("From:", "X-From:"), 0, Failed),
    ];
    for (name, zone, message, later, belief) in cases {
        let verdicts = verified_as(&zone, &own(), &message, Service::TlsReport, days(later));
        let believed = of_tls_report(&verdicts);
        assert_eq!(believed.belief, belief, "{name}: {}", believed.reason);
        assert_eq!(believed.sender.is_some(), belief == Verified, "{name}");
    }
}
