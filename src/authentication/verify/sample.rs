//! A sender with everything in order, and what can be wrong with it, for tests.

use std::net::IpAddr;
use std::time::Duration;

use crate::authentication::dkim::{Service, SigningKey, sign};
use crate::authentication::verify::{Facts, Verdicts, verify};
use crate::clock::Timestamp;
use crate::dns::{Budget, ZoneResolver};
use crate::limits;
use crate::mail::{Address, Envelope, Origin, PeerSource, ReversePath};

/// When the messages come.
pub(in crate::authentication) const ARRIVED: Timestamp = Timestamp::from_seconds(1_790_000_000);

/// The key that signs.
pub(in crate::authentication) fn key() -> SigningKey {
    let pem = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/keys/ed25519.pem"));
    SigningKey::from_pem(pem).unwrap()
}

/// The zone of the sender, with more lines.
pub(in crate::authentication) fn zone(more: &str) -> String {
    let record = key().record();
    format!(
        "com. SOA a. b. 1 2 3 4 5\nnet. SOA a. b. 1 2 3 4 5\norg. SOA a. b. 1 2 3 4 5\narpa. SOA a. b. 1 2 3 4 5\n\
         example.com. TXT \"v=spf1 ip4:192.0.2.1 -all\"\n\
         mx.example.com. A 192.0.2.1\n\
         mx.example.com. TXT \"v=spf1 a -all\"\n\
         1.2.0.192.in-addr.arpa. PTR mx.example.com.\n\
         s1._domainkey.example.com. TXT \"{record}\"\n\
         _dmarc.example.com. TXT \"v=DMARC1; p=reject\"\n\
         1.100.51.198.in-addr.arpa. TXT \"no name\"\n{more}"
    )
}

/// A message of the sender.
pub(in crate::authentication) const MESSAGE: &str = "From: Reports <reports@example.com>\r\nTo: dmarc@example.net\r\nSubject: Report\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\nHere it is.\r\n";

/// A message, signed by a domain with the selector `s1`.
pub(in crate::authentication) fn signed_by(domain: &str, message: &str) -> String {
    sign(message.as_bytes(), &key(), domain, "s1", ARRIVED).unwrap() + message
}

/// The message as it is signed by its sender.
pub(in crate::authentication) fn signed() -> String {
    signed_by("example.com", MESSAGE)
}

/// An envelope of SMTP from an address.
pub(in crate::authentication) fn smtp(peer: &str, mail_from: &str) -> Envelope {
    let ip: IpAddr = peer.parse().unwrap();
    Envelope {
        peer: Some((ip, 25).into()),
        peer_source: Some(PeerSource::Connection),
        helo: Some("mx.example.com".to_owned()),
        is_esmtp: true,
        mail_from: Some(match mail_from {
            "" => ReversePath::Null,
            address => ReversePath::Address(Address::parse(address).unwrap()),
        }),
        rcpt_to: vec![Address::parse("dmarc@example.net").unwrap()],
        ..Envelope::without_transport(Origin::Smtp, ARRIVED)
    }
}

/// The sender's own envelope.
pub(in crate::authentication) fn own() -> Envelope {
    smtp("192.0.2.1", "bounce@example.com")
}

/// Verifies as a kind of mail, so long after it came.
pub(in crate::authentication) fn verified_as(
    zone: &str,
    envelope: &Envelope,
    message: &str,
    service: Service,
    later: Duration,
) -> Verdicts {
    let resolver = ZoneResolver::parse(zone).unwrap();
    let trusted_hosts = ["mx.example.net".to_owned()];
    let facts = Facts {
        envelope,
        service,
        receiver: "mail.example.net",
        trusted_hosts: &trusted_hosts,
        now: envelope.received_at.after(later),
    };
    let mut budget = Budget::new(limits::VERIFY_QUESTIONS, limits::VERIFY_TIME);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(verify(&resolver, &facts, message.as_bytes(), &mut budget))
}

/// Verifies ordinary mail at once.
pub(in crate::authentication) fn verified(zone: &str, envelope: &Envelope, message: &str) -> Verdicts {
    verified_as(zone, envelope, message, Service::Mail, Duration::ZERO)
}
