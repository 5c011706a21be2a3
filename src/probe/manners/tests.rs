use super::*;
use crate::probe::look::Point;

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

/// A probe that nothing speaks against.
const GOOD: Facts<'static> = Facts {
    route: "hq",
    profile: "plain",
    occasion: Occasion::Schedule,
    is_enabled: true,
    kill_switch: None,
    whose: Whose::Own,
    destination: "example.com",
    consent: None,
    harm: Harm::None,
    allows_negative: false,
    allows_via_account: false,
    is_via_account: false,
    installation: "abc234",
    leave: &Leave::Published,
    names: &[],
    look: &[],
    is_forced: false,
    last_sent: None,
    full: None,
};

/// Why, or nothing.
fn why(facts: &Facts<'_>) -> Option<Why> {
    may_send(facts, NOW).err().map(|refusal| refusal.why)
}

fn finding(found: Found) -> Finding {
    Finding { point: Point::Ptr, found, evidence: "192.0.2.7 has no name".into(), mend: "publish PTR".into() }
}

#[test]
fn switches_stop_everything() {
    assert_eq!(why(&GOOD), None);
    let stopped = Facts { kill_switch: Some("/run/stop"), occasion: Occasion::Hand, is_forced: true, ..GOOD };
    let refusal = may_send(&stopped, NOW).unwrap_err();
    assert_eq!((refusal.why, refusal.mend.as_str()), (Why::KillSwitch, "remove /run/stop"));
    assert!(refusal.until.is_some(), "the file may go");
    let disabled = Facts { is_enabled: false, ..GOOD };
    assert_eq!(why(&disabled), Some(Why::Disabled));
    assert_eq!(why(&Facts { occasion: Occasion::Quick, ..disabled }), Some(Why::Disabled));
    assert_eq!(why(&Facts { occasion: Occasion::Hand, ..disabled }), None, "by hand it may");
}

#[test]
fn others_must_have_agreed() {
    let foreign = Facts { whose: Whose::Foreign, ..GOOD };
    let refusal = may_send(&foreign, NOW).unwrap_err();
    assert_eq!((refusal.why, refusal.until), (Why::NoConsent, None));
    assert!(refusal.mend.contains("`consent = \"whose, and why\"` to [route.hq]"), "{}", refusal.mend);
    assert_eq!(why(&Facts { is_forced: true, occasion: Occasion::Hand, ..foreign }), Some(Why::NoConsent));
    assert_eq!(why(&Facts { consent: Some("Ann"), ..foreign }), None);
    assert_eq!(why(&Facts { whose: Whose::Here, ..GOOD }), None);
}

#[test]
fn what_is_made_to_be_stopped_needs_three_kinds_of_leave() {
    let absent = Leave::Absent { found: Vec::new() };
    let other = Leave::Absent { found: vec!["xyz".to_owned()] };
    let not_known = Leave::NotKnown("servfail: broken".to_owned());
    for harm in [Harm::Load, Harm::Stopped, Harm::OpenRelay, Harm::Forged] {
        let base = Facts { harm, allows_negative: true, ..GOOD };
        assert_eq!(why(&base), None, "{harm:?}");
        // `--force` and consent help none of them.
        let forced = Facts { is_forced: true, occasion: Occasion::Hand, consent: Some("Ann"), ..base };
        assert_eq!(why(&Facts { allows_negative: false, ..forced }), Some(Why::NotAllowed));
        assert_eq!(why(&Facts { leave: &absent, ..forced }), Some(Why::NoLeave));
        assert_eq!(why(&Facts { leave: &not_known, ..forced }), Some(Why::LeaveNotKnown));
        assert_eq!(why(&Facts { is_via_account: true, ..forced }), Some(Why::ViaAccount));
        assert_eq!(why(&Facts { is_via_account: true, allows_via_account: true, ..forced }), None);
        assert_eq!(
            why(&Facts { is_via_account: true, allows_via_account: true, leave: &absent, ..forced }),
            Some(Why::NoLeave)
        );
    }
    let base = Facts { harm: Harm::Stopped, allows_negative: true, ..GOOD };
    let refusal = may_send(&Facts { leave: &other, ..base }, NOW).unwrap_err();
    assert_eq!(refusal.mend, "publish `_mailsonde-probe.example.com TXT \"abc234\"`");
    assert!(refusal.text.contains("(there: xyz)"), "{}", refusal.text);
    // Not known is told as that, never as a missing leave.
    let refusal = may_send(&Facts { leave: &not_known, ..base }, NOW).unwrap_err();
    assert!(refusal.text.contains("is not known: servfail: broken"), "{}", refusal.text);
    assert!(!refusal.text.contains("publishes no leave"), "{}", refusal.text);
    assert!(refusal.until.is_some_and(|until| until > NOW));
    // An ordinary probe needs none of it.
    assert_eq!(why(&Facts { leave: &absent, is_via_account: true, ..GOOD }), None);
}

#[test]
fn a_name_that_did_not_send_it_must_be_proven_too() {
    let proven = [("shop.example".to_owned(), Leave::Published)];
    let absent = [("shop.example".to_owned(), Leave::Absent { found: Vec::new() })];
    let base = Facts { harm: Harm::Forged, allows_negative: true, names: &proven, ..GOOD };
    assert_eq!(why(&base), None);
    let refusal = may_send(&Facts { names: &absent, ..base }, NOW).unwrap_err();
    assert_eq!(refusal.why, Why::NoLeave);
    assert!(refusal.mend.contains("_mailsonde-probe.shop.example"), "{}", refusal.mend);
    // Only where the name matters.
    assert_eq!(why(&Facts { names: &absent, harm: Harm::Stopped, ..base }), None);
}

#[test]
fn only_a_plain_no_of_the_look_stops_and_force_overrides_it() {
    let (yes, no, not_known) = ([finding(Found::Yes)], [finding(Found::No)], [finding(Found::NotKnown)]);
    assert_eq!(why(&Facts { look: &yes, ..GOOD }), None);
    assert_eq!(why(&Facts { look: &not_known, ..GOOD }), None);
    let refusal = may_send(&Facts { look: &no, ..GOOD }, NOW).unwrap_err();
    assert_eq!(refusal.why, Why::Look);
    assert_eq!(refusal.text, "receivers would take offence: 192.0.2.7 has no name");
    assert_eq!(refusal.mend, "publish PTR; `force = true` in [probes] sends all the same");
    let by_hand = may_send(&Facts { look: &no, occasion: Occasion::Hand, ..GOOD }, NOW).unwrap_err();
    assert!(by_hand.mend.ends_with("`--force` sends all the same"), "{}", by_hand.mend);
    assert_eq!(why(&Facts { look: &no, is_forced: true, ..GOOD }), None);
}

#[test]
fn intervals_by_whose_the_system_is() {
    let ago = |seconds: i64| Some(Timestamp::from_ms(NOW.ms() - seconds * 1_000));
    for (whose, seconds, want) in [
        (Whose::Here, 0, None),
        (Whose::Own, 149, Some(Why::Interval)),
        (Whose::Own, 150, None),
        (Whose::Foreign, 899, Some(Why::Interval)),
        (Whose::Foreign, 900, None),
        // A clock that was set back: the last one is in the future, and says nothing.
        (Whose::Own, -50, None),
    ] {
        let facts = Facts { whose, consent: Some("Ann"), last_sent: ago(seconds), ..GOOD };
        assert_eq!(why(&facts), want, "{whose:?} {seconds}");
        // By hand and for the three quick ones only the caps hold.
        assert_eq!(why(&Facts { occasion: Occasion::Hand, ..facts }), None);
        assert_eq!(why(&Facts { occasion: Occasion::Quick, ..facts }), None);
    }
    let refusal = may_send(&Facts { last_sent: ago(100), ..GOOD }, NOW).unwrap_err();
    assert_eq!(refusal.until, Some(Timestamp::from_ms(NOW.ms() + 50_000)));
    assert_eq!(Whose::Foreign.interval(Duration::from_secs(60)), Duration::from_secs(1_800));
    assert_eq!(Whose::Own.interval(Duration::from_secs(3_600)), Duration::from_secs(3_600));
    assert_eq!(Whose::Here.half_rate(), Duration::ZERO);
    assert_eq!(Whose::Own.half_rate(), Duration::from_secs(7 * 86_400));
}

#[test]
fn caps_hold_for_everybody() {
    let full = Full {
        cap: Cap::parse("60/h").unwrap(),
        what: "example.com".to_owned(),
        key: "per_destination",
        until: NOW.after(Duration::from_secs(40)),
    };
    for occasion in [Occasion::Schedule, Occasion::Quick, Occasion::Hand] {
        let facts = Facts { full: Some(&full), occasion, is_forced: true, ..GOOD };
        let refusal = may_send(&facts, NOW).unwrap_err();
        assert_eq!((refusal.why, refusal.until), (Why::Cap, Some(full.until)));
        assert_eq!(refusal.text, "60/h probes went to example.com: that is the cap");
        assert!(refusal.mend.contains("`per_destination` in [probes]"), "{}", refusal.mend);
    }
}

#[test]
fn every_negative_profile_needs_leave_and_no_other() {
    for text in [
        "gtube",
        "eicar",
        "dlp",
        "ext:exe",
        "unknown-user",
        "oversize:60MiB",
        "dkim-broken",
        "plaintext-only",
    ] {
        assert_eq!(Harm::of(Profile::parse(text).unwrap()), Harm::Stopped, "{text}");
    }
    assert_eq!(Harm::of(Profile::OpenRelay), Harm::OpenRelay);
    assert_eq!([Profile::SpfFail, Profile::DmarcFail].map(Harm::of), [Harm::Forged; 2]);
    for word in Profile::LIST.split(", ") {
        let text = word.replace("<size>", "1MiB").replace("<extension>", "exe");
        let profile = Profile::parse(&text).unwrap();
        assert_eq!(Harm::of(profile) != Harm::None, profile.is_negative(), "{text}");
    }
}
