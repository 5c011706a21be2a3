//! What a receiver finds of our messages: SPF, DKIM and DMARC by the standards, with the sender's zone.

use std::time::Duration;

use super::*;
use crate::authentication::dkim::Service;
use crate::authentication::dmarc::{DmarcResult, Policy};
use crate::authentication::spf::SpfResult;
use crate::authentication::verify::{Facts, Verdicts, verify as verify_all};
use crate::dns::Budget;
use crate::mail::{Envelope, Origin, PeerSource, ReversePath};
use crate::probe::plan::{RoutePlan, plan};

/// Our address is 192.0.2.1; `nospf` may send from nowhere, and so may the other organization.
fn zone(signer: &Signer) -> ZoneResolver {
    let zone = format!(
        "org. SOA a. b. 1 2 3 4 5\ncom. SOA a. b. 1 2 3 4 5\narpa. SOA a. b. 1 2 3 4 5\n\
         probe.example.org. TXT \"v=spf1 ip4:192.0.2.1 -all\"\n\
         nospf.example.org. TXT \"v=spf1 -all\"\nexample.com. TXT \"v=spf1 ip4:192.0.2.1 -all\"\n\
         mx.probe.example.org. A 192.0.2.1\n1.2.0.192.in-addr.arpa. PTR mx.probe.example.org.\n\
         s1._domainkey.probe.example.org. TXT \"{}\"\n\
         _dmarc.example.org. TXT \"v=DMARC1; p=reject\"\n",
        signer.record()
    );
    ZoneResolver::parse(&zone).unwrap()
}

/// What a receiver finds of a probe.
fn found(profile: &str, mail_from: Option<&str>, signer: Option<&Signer>) -> Verdicts {
    let from = Address::parse("probe@probe.example.org").unwrap();
    let profile = Profile::parse(profile).unwrap();
    let route = RoutePlan {
        mail_from,
        dkim: signer,
        file: Some(FILE),
        ..RoutePlan::new("hq", "probe+{token}@example.net", &from, profile)
    };
    let planned = plan(&ring(), &route, AT, 1).unwrap();
    let sender: &ReversePath = &planned.mail_from;
    let envelope = Envelope {
        peer: Some("192.0.2.1:25".parse().unwrap()),
        peer_source: Some(PeerSource::Connection),
        helo: Some("mx.probe.example.org".to_owned()),
        is_esmtp: true,
        mail_from: Some(sender.clone()),
        rcpt_to: vec![planned.rcpt_to.clone()],
        ..Envelope::without_transport(Origin::Smtp, AT)
    };
    let facts = Facts {
        envelope: &envelope,
        service: Service::Mail,
        receiver: "mail.example.net",
        trusted_hosts: &[],
        now: AT.after(Duration::from_secs(1)),
    };
    let resolver = zone(SIGNERS.last().unwrap());
    let mut budget = Budget::new(limits::VERIFY_QUESTIONS, limits::VERIFY_TIME);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(verify_all(&resolver, &facts, &planned.message.bytes, &mut budget))
}

#[test]
fn each_profile_passes_and_fails_what_it_should() {
    let signer = SIGNERS.last();
    let (nospf, other) = (Some("mfb{token}@nospf.example.org"), Some("mfb{token}@example.com"));
    let (pass, fail) = (DmarcResult::Pass, DmarcResult::Fail);
    for (profile, mail_from, spf, dkim, dmarc) in [
        ("plain", None, SpfResult::Pass, DkimResult::Pass, pass),
        ("utf8", None, SpfResult::Pass, DkimResult::Pass, pass),
        ("eicar", None, SpfResult::Pass, DkimResult::Pass, pass),
        // An aligned signature passes DMARC although SPF fails.
        ("spf-fail", nospf, SpfResult::Fail, DkimResult::Pass, pass),
        // A broken signature counts as none, and SPF passes DMARC.
        ("dkim-broken", None, SpfResult::Pass, DkimResult::Fail, pass),
        // SPF passes, in the name of somebody else.
        ("dmarc-fail", other, SpfResult::Pass, DkimResult::None, fail),
        // Both broken at once: nothing is left that could pass.
        ("dkim-broken", nospf, SpfResult::Fail, DkimResult::Fail, fail),
    ] {
        let verdicts = found(profile, mail_from, signer);
        let got = (verdicts.spf.result(), verdicts.dkim.result(), verdicts.dmarc.result);
        assert_eq!(got, (Some(spf), dkim, dmarc), "{profile} {mail_from:?}");
        assert_eq!(verdicts.dmarc.policy(), Some(Policy::Reject), "{profile}");
    }
    // Without a key nothing is signed, and SPF alone has to do.
    let verdicts = found("plain", None, None);
    assert_eq!((verdicts.dkim.result(), verdicts.dmarc.result), (DkimResult::None, pass));
}
