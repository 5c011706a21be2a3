use super::*;
use crate::smtp::submit::Reply;

fn reply(code: u16) -> Reply {
    Reply { code, enhanced: None, lines: vec![String::new()], is_mixed: false }
}

#[test]
fn what_follows_how_a_session_ended() {
    use Outcome::{Accepted, Deferred, InDoubt, Refused};
    let said = |code| Cause::Reply(reply(code));
    let fault = Cause::Fault;
    for (outcome, is_tls_free, want) in [
        (Accepted(reply(250)), true, Next::Done),
        (InDoubt(Fault::Closed), true, Next::Done),
        (Refused(Phase::Rcpt, said(550)), true, Next::Done),
        (Refused(Phase::Mail, said(550)), true, Next::Done),
        (Refused(Phase::Dot, said(554)), true, Next::Done),
        (Refused(Phase::Banner, said(554)), true, Next::On),
        (Refused(Phase::Mail, fault(Fault::NoSmtpUtf8)), true, Next::On),
        (Refused(Phase::Mail, fault(Fault::TooLarge { size: 2, limit: 1 })), true, Next::On),
        (Refused(Phase::Rcpt, fault(Fault::Unwritable(String::new()))), true, Next::Done),
        (Deferred(Phase::Rcpt, said(451)), true, Next::On),
        (Deferred(Phase::Dot, said(451)), true, Next::On),
        (Deferred(Phase::Connect, fault(Fault::NoConnection(String::new()))), true, Next::On),
        (Deferred(Phase::Tls, fault(Fault::Tls(String::new()))), true, Next::InTheClear),
        (Deferred(Phase::Tls, fault(Fault::Tls(String::new()))), false, Next::On),
        (Deferred(Phase::StartTls, fault(Fault::NoStartTls)), false, Next::On),
    ] {
        assert_eq!(next(&outcome, is_tls_free), want, "{outcome:?}");
    }
}

#[test]
fn who_may_take_it_later_decides() {
    let refused = |code| Outcome::Refused(Phase::Banner, Cause::Reply(reply(code)));
    let deferred = |code| Outcome::Deferred(Phase::Rcpt, Cause::Reply(reply(code)));
    assert_eq!(of_failures(vec![deferred(450), refused(554)]), Some(deferred(450)));
    assert_eq!(of_failures(vec![deferred(450), deferred(451), refused(554)]), Some(deferred(451)));
    assert_eq!(of_failures(vec![refused(521), refused(554)]), Some(refused(554)));
    assert_eq!(of_failures(vec![]), None);
}

#[test]
fn families_have_words() {
    for family in [Family::Ipv4, Family::Ipv6] {
        assert_eq!(Family::parse(family.as_str()), Some(family));
    }
    assert_eq!(Family::parse("ip"), None);
}
