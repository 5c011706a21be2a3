//! Direct to the MX hosts of a domain, over loopback: several addresses that share one port, and zones of ours.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailsonde::dns::{Name, ZoneResolver};
use mailsonde::dns_health::addresses::Reach;
use mailsonde::dns_health::facts::PolicyResponse;
use mailsonde::dns_health::gather::{Fetching, PolicyFetch};
use mailsonde::mail::{Address, ReversePath};
use mailsonde::smtp::submit::direct::sts::StsPolicies;
use mailsonde::smtp::submit::direct::{DirectOptions, Family, Means, deliver, routes_of};
use mailsonde::smtp::submit::{
    Cause, DsnRequest, Fault, HandOver, Outcome, Phase, Submission, Timeouts, Verify,
};
use tokio::net::TcpListener;

use super::scripted::{Do, say, serve_on};
use crate::support::dns::{Asked, DnsServer};
use crate::support::peer::Peer;
use crate::support::postfix::{self, Postfix};
use crate::support::shared;
use crate::support::sink::{TestSink, eventually};
use crate::support::tls::{Authority, Identity};

/// Long enough for a loaded machine.
const AMPLE: Duration = Duration::from_secs(60);

/// One MX host: its address, its scripts, a connection each, and its certificate.
struct Host<'h> {
    ip: &'h str,
    scripts: Vec<Vec<Do>>,
    identity: Option<&'h Identity>,
}

impl<'h> Host<'h> {
    fn new(ip: &'h str, scripts: Vec<Vec<Do>>) -> Self {
        Self { ip, scripts, identity: None }
    }

    fn tls(ip: &'h str, scripts: Vec<Vec<Do>>, identity: &'h Identity) -> Self {
        Self { ip, scripts, identity: Some(identity) }
    }
}

/// What a plain session hears and says, up to a command whose reply is another.
fn until(last: &str, reply: &str) -> Vec<Do> {
    let mut script = vec![];
    for (command, usual) in [
        ("", "220 mx"),
        ("EHLO ", "250 mx"),
        ("MAIL ", "250 ok"),
        ("RCPT ", "250 ok"),
        ("DATA", "354 go"),
        (".", "250 2.0.0 Ok: queued as 49WyBc05CF"),
    ] {
        script.extend(match command {
            "" => None,
            "." => Some(Do::Body),
            "EHLO " => Some(Do::Hear("EHLO ")),
            "MAIL " => Some(Do::Hear("MAIL ")),
            "RCPT " => Some(Do::Hear("RCPT ")),
            _ => Some(Do::Hear("DATA")),
        });
        if command == last {
            script.push(say(reply));
            break;
        }
        script.push(say(usual));
    }
    script.extend([Do::Hear("QUIT"), say("221 bye")]);
    script
}

/// A session that takes the message.
fn takes() -> Vec<Do> {
    until(".", "250 2.0.0 Ok: queued as 49WyBc05CF")
}

/// The same within TLS.
fn takes_with_tls() -> Vec<Do> {
    let mut script = vec![
        say("220 mx"),
        Do::Hear("EHLO "),
        say("250-mx"),
        say("250 STARTTLS"),
        Do::Hear("STARTTLS"),
        say("220 go"),
        Do::Tls,
    ];
    script.extend(takes().into_iter().skip(1));
    script
}

/// A session that ends with the handshake.
fn tls_only() -> Vec<Do> {
    let mut script = takes_with_tls();
    script.truncate(7);
    script
}

/// Listeners on one port of several loopback addresses.
async fn listen(addresses: &[&str]) -> (u16, Vec<TcpListener>) {
    for _ in 0..100 {
        let probe = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let mut all = Vec::new();
        for address in addresses {
            all.extend(TcpListener::bind((*address, port)).await);
        }
        if all.len() == addresses.len() {
            return (port, all);
        }
    }
    panic!("no port that is free on all of {addresses:?}");
}

/// Options for loopback.
fn options(port: u16) -> DirectOptions {
    DirectOptions {
        helo: "probe.example.org".to_owned(),
        port,
        source_address: None,
        requires_tls: false,
        verify: Verify::Off,
        dane: true,
        mta_sts: true,
        dsn: None,
        only: None,
        own_names: vec![],
        own_addresses: vec![],
        reach: Reach::Any,
        seed: 1,
        timeouts: Timeouts { connect: AMPLE, tls: AMPLE, reply: AMPLE, block: AMPLE, dot: AMPLE },
    }
}

/// Hands a message over.
async fn send(options: &DirectOptions, means: Means<'_>, to: &str) -> HandOver {
    let (mail_from, rcpt_to) = (ReversePath::Null, Address::parse(to).unwrap());
    let message = b"Subject: t\r\n\r\nx\r\n";
    let submission = Submission { mail_from: &mail_from, rcpt_to: &rcpt_to, message, needs_smtputf8: false };
    deliver(options, means, submission).await
}

/// What became of a hand-over, short, and the hosts tried.
fn told(hand_over: &HandOver) -> (String, Vec<String>) {
    let outcome = hand_over.outcome.what();
    let reason = outcome.reason().unwrap();
    let phase = reason.phase.as_deref().unwrap_or_default();
    let hosts = hand_over.mx.iter().map(|mx| {
        let address = mx.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
        format!("{} {address}: {}", mx.host, mx.fault.as_deref().unwrap_or("last word"))
    });
    (format!("{} {phase}: {}", outcome.as_str(), reason.text), hosts.collect())
}

/// Delivers to `u@multi.example` with hosts on loopback; every script must have been played.
async fn play(zone: &str, hosts: Vec<Host<'_>>, edit: impl Fn(&mut DirectOptions)) -> HandOver {
    play_with(zone, hosts, None, edit).await
}

/// The same with policies of MTA-STS.
async fn play_with(
    zone: &str,
    hosts: Vec<Host<'_>>,
    policies: Option<&StsPolicies>,
    edit: impl Fn(&mut DirectOptions),
) -> HandOver {
    let addresses: Vec<&str> = hosts.iter().map(|host| host.ip).collect();
    let (port, listeners) = listen(&addresses).await;
    let plain = Identity::self_signed(&["localhost"]);
    let mut running = Vec::new();
    for (host, listener) in hosts.into_iter().zip(listeners) {
        let config = Arc::clone(&host.identity.unwrap_or(&plain).config);
        running.push((host.ip.to_owned(), serve_on(listener, host.scripts, config)));
    }
    let resolver = ZoneResolver::parse(&format!(". SOA ns.test. h.test. 1 60 60 60 60\n{zone}")).unwrap();
    let mut options = options(port);
    edit(&mut options);
    let hand_over = send(&options, Means { resolver: &resolver, policies }, "u@multi.example").await;
    for (ip, server) in running {
        let heard = tokio::time::timeout(AMPLE, server).await.expect("every script is played").unwrap();
        for (at, session) in heard.into_iter().enumerate() {
            session.unwrap_or_else(|fault| panic!("{ip} session {at}: {fault}; {hand_over:#?}"));
        }
    }
    hand_over
}

const TWO: &str = "\
multi.example.   MX 20 b.multi.example.
multi.example.   MX 10 a.multi.example.
a.multi.example. A 127.0.0.2
b.multi.example. A 127.0.0.3
";

/// Case 096 of the third-party cases, whole: DNS over sockets, and a listener on 127.0.0.1 alone.
#[tokio::test]
async fn null_mx_and_fallbacks() {
    let Some(folder) = shared("cases/096-null-mx-and-fallbacks") else { return };
    let zone = std::fs::read_to_string(folder.join("zone.txt")).unwrap();
    let dns = DnsServer::start(&zone);
    let resolver = dns.resolver();
    for (to, sessions, want, hosts) in [
        ("u@nullmx.example", 0, "refused resolve: null MX: nullmx.example takes no mail", vec![]),
        (
            "u@nomx.example",
            1,
            "accepted dot: Ok: queued as 49WyBc05CF",
            vec!["nomx.example 127.0.0.1: last word"],
        ),
        (
            "u@multi.example",
            1,
            "accepted dot: Ok: queued as 49WyBc05CF",
            vec!["a.multi.example 127.0.0.2: connect: no connection", "b.multi.example 127.0.0.1: last word"],
        ),
        (
            "u@dangling.example",
            0,
            "refused resolve: MX target has no address: gone.dangling.example: no such name",
            vec![],
        ),
        (
            "u@cnamed.example",
            1,
            "accepted dot: Ok: queued as 49WyBc05CF",
            vec!["cnamed.example 127.0.0.1: last word"],
        ),
    ] {
        let (port, mut listeners) = listen(&["127.0.0.1"]).await;
        let identity = Identity::self_signed(&["localhost"]);
        let scripts = vec![takes(); sessions];
        let server = serve_on(listeners.remove(0), scripts, Arc::clone(&identity.config));
        let hand_over = send(&options(port), Means { resolver: &resolver, policies: None }, to).await;
        // Without a script a connection would be refused, and would stand in the record.
        let heard = server.await.unwrap();
        let (outcome, tried) = told(&hand_over);
        assert_eq!(outcome, want, "{to}");
        let short: Vec<&str> = tried.iter().map(|text| text.split(": 127").next().unwrap()).collect();
        assert_eq!(short, hosts, "{to}");
        assert_eq!(hand_over.attempts.len(), hosts.len(), "{to}: no other connection");
        assert!(heard.iter().all(Result::is_ok), "{to}: {heard:?}");
        if to.contains("nullmx") {
            let what = hand_over.outcome.what();
            let reason = what.reason().unwrap();
            assert_eq!((reason.code, reason.enhanced.as_deref()), (Some(556), Some("5.1.10")));
            let asked: Vec<String> = dns.log().iter().map(Asked::line).collect();
            assert_eq!(asked, ["nullmx.example 15"], "nobody asks for its address");
        }
    }
}

/// What the first host does, its script, whether the second is asked, the outcome, what stands of the hosts.
type Case = (&'static str, Vec<Do>, bool, &'static str, Vec<&'static str>);

#[tokio::test]
async fn what_a_host_says_decides_who_is_asked_next() {
    let last = "b.multi.example 127.0.0.3: last word";
    let accepted = "accepted dot: Ok: queued as 49WyBc05CF";
    let cut = |text: &str| {
        let mut script = until(text, "250 ok");
        script.truncate(script.len() - 2);
        script
    };
    let mut lost = until(".", "250 ok");
    lost.truncate(lost.len() - 3);
    let cases: Vec<Case> = vec![
        (
            "4yz at RCPT",
            until("RCPT ", "450 4.7.1 later"),
            true,
            accepted,
            vec!["a.multi.example 127.0.0.2: rcpt: 450 4.7.1 later", last],
        ),
        (
            "4yz to the dot",
            until(".", "451 4.3.0 later"),
            true,
            accepted,
            vec!["a.multi.example 127.0.0.2: dot: 451 4.3.0 later", last],
        ),
        (
            "421 as greeting",
            until("", "421 4.3.2 busy"),
            true,
            accepted,
            vec!["a.multi.example 127.0.0.2: banner: 421 4.3.2 busy", last],
        ),
        (
            "554 as greeting",
            until("", "554 no service"),
            true,
            accepted,
            vec!["a.multi.example 127.0.0.2: banner: 554 no service", last],
        ),
        (
            "closed after RCPT",
            cut("RCPT "),
            true,
            accepted,
            vec!["a.multi.example 127.0.0.2: data: connection closed by the server", last],
        ),
        (
            "5yz at RCPT",
            until("RCPT ", "550 5.1.1 who?"),
            false,
            "refused rcpt: who?",
            vec!["a.multi.example 127.0.0.2: last word"],
        ),
        (
            "5yz at MAIL",
            until("MAIL ", "550 5.7.1 no"),
            false,
            "refused mail: no",
            vec!["a.multi.example 127.0.0.2: last word"],
        ),
        (
            "5yz to the dot",
            until(".", "554 5.7.1 no"),
            false,
            "refused dot: no",
            vec!["a.multi.example 127.0.0.2: last word"],
        ),
        (
            "lost after the dot",
            lost,
            false,
            "in_doubt dot: connection closed by the server",
            vec!["a.multi.example 127.0.0.2: last word"],
        ),
    ];
    for (name, script, goes_on, outcome, hosts) in cases {
        let second = if goes_on { vec![takes()] } else { vec![] };
        let hosts_of = vec![Host::new("127.0.0.2", vec![script]), Host::new("127.0.0.3", second)];
        let hand_over = play(TWO, hosts_of, |_| {}).await;
        let (got, tried) = told(&hand_over);
        assert_eq!(
            (got.as_str(), tried),
            (outcome, hosts.iter().map(ToString::to_string).collect()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn all_put_off_is_put_off_and_all_refused_is_refused() {
    let both =
        |a: Vec<Do>, b: Vec<Do>| vec![Host::new("127.0.0.2", vec![a]), Host::new("127.0.0.3", vec![b])];
    for (a, b, want) in [
        (until("RCPT ", "450 a"), until("RCPT ", "451 b"), "deferred rcpt: b"),
        (until("RCPT ", "450 a"), until("", "554 b"), "deferred rcpt: a"),
        (until("", "521 a"), until("", "554 b"), "refused banner: b"),
    ] {
        let hand_over = play(TWO, both(a, b), |_| {}).await;
        assert_eq!(told(&hand_over).0, want);
    }
}

#[tokio::test]
async fn every_address_of_a_host_is_tried_and_each_route_alone() {
    let zone = "\
multi.example.   MX 10 a.multi.example.
a.multi.example. A 127.0.0.2
a.multi.example. A 127.0.0.3
";
    // Records have no order (RFC 1034 §3.6); ours is by number, so that a test can tell.
    let hosts = vec![
        Host::new("127.0.0.2", vec![until("MAIL ", "451 4.3.0 later")]),
        Host::new("127.0.0.3", vec![takes()]),
    ];
    let hand_over = play(zone, hosts, |_| {}).await;
    assert_eq!(hand_over.mx.len(), 2);
    assert_eq!(hand_over.peer.map(|peer| peer.ip()), Some("127.0.0.3".parse::<IpAddr>().unwrap()));
    assert_eq!(hand_over.queue_id.as_deref(), Some("49WyBc05CF"));
    let connects: Vec<&str> = hand_over
        .steps
        .iter()
        .filter(|step| step.phase.as_str() == "connect")
        .filter_map(|step| step.sent.as_deref()?.split(':').next())
        .collect();
    assert_eq!(connects, ["a.multi.example 127.0.0.2", "a.multi.example 127.0.0.3"]);
    // One route only: the second host, although the first would take it.
    let only = |host: &str, family| Some((Name::from_dotted(host).unwrap(), family));
    let hosts = vec![Host::new("127.0.0.2", vec![]), Host::new("127.0.0.3", vec![takes()])];
    let hand_over = play(TWO, hosts, |options| options.only = only("b.multi.example", Family::Ipv4)).await;
    assert_eq!(told(&hand_over).1, ["b.multi.example 127.0.0.3: last word"]);
    for (host, family) in [("b.multi.example", Family::Ipv6), ("c.multi.example", Family::Ipv4)] {
        let hand_over = play(TWO, vec![], |options| options.only = only(host, family)).await;
        let want = format!(
            "refused resolve: {host} is no MX host of multi.example with an address of {}",
            family.as_str()
        );
        assert_eq!(told(&hand_over).0, want);
    }
    let resolver = ZoneResolver::parse(
        ". SOA ns.test. h.test. 1 60 60 60 60
multi.example.   MX 20 b.multi.example.
multi.example.   MX 10 a.multi.example.
a.multi.example. A 127.0.0.2
a.multi.example. A 127.0.0.3
a.multi.example. AAAA ::1
b.multi.example. A 127.0.0.3
null.example.    MX 0 .
",
    )
    .unwrap();
    let domain = |text| Name::from_dotted(text).unwrap();
    let routes = routes_of(&domain("multi.example"), &resolver).await.unwrap();
    let routes: Vec<String> = routes
        .iter()
        .map(|route| format!("{} {} {}", route.preference, route.host, route.family.as_str()))
        .collect();
    assert_eq!(routes, ["10 a.multi.example ipv4", "10 a.multi.example ipv6", "20 b.multi.example ipv4"]);
    let fault = routes_of(&domain("null.example"), &resolver).await.unwrap_err();
    assert_eq!(fault, Fault::NullMx("null.example".to_owned()));
}

#[tokio::test]
async fn ipv6_and_ipv4_are_both_tried() {
    if TcpListener::bind(("::1", 0)).await.is_err() {
        eprintln!("skipped: no IPv6 here");
        return;
    }
    let zone = "\
multi.example.   MX 10 a.multi.example.
a.multi.example. A 127.0.0.2
a.multi.example. AAAA ::1
";
    let hosts = || vec![Host::new("::1", vec![until("", "421 no")]), Host::new("127.0.0.2", vec![takes()])];
    let hand_over = play(zone, hosts(), |_| {}).await;
    assert_eq!(
        told(&hand_over).1,
        ["a.multi.example ::1: banner: 421 no", "a.multi.example 127.0.0.2: last word"]
    );
    // Bound to an address of ours: the other family cannot be used.
    let hosts = vec![Host::new("::1", vec![]), Host::new("127.0.0.2", vec![takes()])];
    let hand_over =
        play(zone, hosts, |options| options.source_address = Some("127.0.0.1".parse().unwrap())).await;
    assert_eq!(
        told(&hand_over).1,
        [
            "a.multi.example -: ::1: not of the family of the source address 127.0.0.1",
            "a.multi.example 127.0.0.2: last word"
        ]
    );
}

#[tokio::test]
async fn the_session_comes_from_the_source_address() {
    let (port, listeners) = listen(&["127.0.0.1"]).await;
    let listener = listeners.into_iter().next().unwrap();
    let from: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
    let seen = Arc::clone(&from);
    let server = tokio::spawn(async move {
        let (_, peer) = listener.accept().await.unwrap();
        *seen.lock().unwrap() = Some(peer);
    });
    let resolver =
        ZoneResolver::parse(". SOA ns.test. h.test. 1 60 60 60 60\nmulti.example. A 127.0.0.1\n").unwrap();
    let means = Means { resolver: &resolver, policies: None };
    let ours: IpAddr = "127.0.0.9".parse().unwrap();
    let bound = DirectOptions { source_address: Some(ours), ..options(port) };
    let hand_over = send(&bound, means, "u@multi.example").await;
    server.await.unwrap();
    assert_eq!(told(&hand_over).0, "deferred banner: connection closed by the server");
    assert_eq!(from.lock().unwrap().map(|peer| peer.ip()), Some(ours));
    // An address that this machine does not have: our fault, and told as such.
    let alien = DirectOptions { source_address: Some("192.0.2.7".parse().unwrap()), ..options(port) };
    let (outcome, _) = told(&send(&alien, means, "u@multi.example").await);
    assert!(outcome.contains("cannot use the source address 192.0.2.7"), "{outcome}");
}

#[tokio::test]
async fn our_own_host_and_addresses_that_are_not_public_are_left_out() {
    let own =
        |options: &mut DirectOptions| options.own_names = vec![Name::from_dotted("b.multi.example").unwrap()];
    let hosts =
        vec![Host::new("127.0.0.2", vec![until("RCPT ", "450 later")]), Host::new("127.0.0.3", vec![])];
    let hand_over = play(TWO, hosts, own).await;
    let (outcome, tried) = told(&hand_over);
    assert_eq!(outcome, "deferred rcpt: later");
    assert_eq!(tried[1], "b.multi.example -: this host is preferred to it, or is it");
    let itself = |options: &mut DirectOptions| options.own_addresses = vec!["127.0.0.2".parse().unwrap()];
    let hand_over = play(TWO, vec![], itself).await;
    assert_eq!(hand_over.outcome.what().reason().unwrap().enhanced.as_deref(), Some("5.4.6"));
    let hand_over = play(TWO, vec![], |options| options.reach = Reach::Public).await;
    assert!(matches!(hand_over.outcome, Outcome::Deferred(_, _)) && hand_over.attempts.is_empty());
    assert!(told(&hand_over).0.contains("127.0.0.2: no public address"), "{:?}", told(&hand_over));
}

// ---- MTA-STS and DANE ----

/// A policy that is always there.
struct Fixed(String, Mutex<usize>);

impl PolicyFetch for Fixed {
    fn fetch<'a>(&'a self, _: &'a Name, _: &'a [IpAddr]) -> Fetching<'a> {
        *self.1.lock().unwrap() += 1;
        let response = PolicyResponse {
            status: 200,
            content_type: Some("text/plain".to_owned()),
            location: None,
            body: self.0.clone().into_bytes(),
        };
        Box::pin(async move { Ok(response) })
    }
}

/// Policies of this mode that name one host.
fn policies(mode: &str, host: &str) -> (StsPolicies, Arc<Fixed>) {
    let text = format!("version: STSv1\nmode: {mode}\nmx: {host}\nmax_age: 86400\n");
    let fixed = Arc::new(Fixed(text, Mutex::default()));
    (StsPolicies::new(Arc::<Fixed>::clone(&fixed)), fixed)
}

const STS: &str = "\
_mta-sts.multi.example. TXT \"v=STSv1; id=7\"
mta-sts.multi.example.  A 127.0.0.1
";

/// A host of the hand-over: what MTA-STS and DANE say of it.
fn asked(hand_over: &HandOver) -> Vec<String> {
    hand_over.mx.iter().map(|mx| format!("{}: {} | {}", mx.host, mx.sts, mx.dane)).collect()
}

#[tokio::test]
async fn an_enforced_policy_is_kept_and_one_in_testing_is_noted() {
    let authority = Authority::new();
    let good = authority.issue(&["b.multi.example"], (2020, 2099));
    let old = authority.issue(&["b.multi.example"], (2020, 2021));
    let other = authority.issue(&["other.example"], (2020, 2099));
    let roots = Verify::Roots(authority.pem.clone().into_bytes().into());
    let edit = |options: &mut DirectOptions| options.verify = roots.clone();
    let zone = format!("{TWO}{STS};! security . insecure\n");
    let unsigned = "none: the MX records are not signed";
    let foreign = "a.multi.example: enforce, id 7: fails: the policy of MTA-STS does not name this host";
    // The first host is not named: nobody talks with it.
    let hosts = vec![Host::new("127.0.0.2", vec![]), Host::tls("127.0.0.3", vec![takes_with_tls()], &good)];
    let (held, fixed) = policies("enforce", "b.multi.example");
    let hand_over = play_with(&zone, hosts, Some(&held), edit).await;
    assert_eq!(hand_over.outcome.what().as_str(), "accepted");
    let fits = format!("b.multi.example: enforce, id 7: fits | {unsigned}");
    assert_eq!(asked(&hand_over), [format!("{foreign} | {unsigned}"), fits]);
    // The policy is remembered.
    let hosts = vec![Host::tls("127.0.0.3", vec![takes_with_tls()], &good)];
    play_with(&zone, hosts, Some(&held), edit).await;
    assert_eq!(*fixed.1.lock().unwrap(), 1);
    // Named, and its certificate is no good, or it has no TLS: nothing is handed over, and it is tried later.
    for (identity, script, why) in [
        (&old, tls_only(), "expired"),
        (&other, tls_only(), "not for b.multi.example: it is for other.example"),
        (
            &good,
            until("", "220 mx")
                .into_iter()
                .take(1)
                .chain([Do::Hear("EHLO "), say("250 mx"), Do::Hear("QUIT"), say("221 bye")])
                .collect(),
            "STARTTLS is required and not offered",
        ),
    ] {
        let hosts = vec![Host::tls("127.0.0.3", vec![script], identity)];
        let hand_over = play_with(&zone, hosts, Some(&held), edit).await;
        assert!(matches!(hand_over.outcome, Outcome::Deferred(..)), "{hand_over:?}");
        let last = asked(&hand_over).pop().unwrap();
        assert!(last.starts_with("b.multi.example: enforce, id 7: fails: ") && last.contains(why), "{last}");
        assert!(!hand_over.steps.iter().any(|step| step.phase.as_str() == "mail"));
    }
    // In testing the same is only noted.
    let (testing, _) = policies("testing", "b.multi.example");
    let hosts = vec![
        Host::tls("127.0.0.2", vec![until("RCPT ", "450 later")], &good),
        Host::tls("127.0.0.3", vec![takes_with_tls()], &old),
    ];
    let hand_over = play_with(&zone, hosts, Some(&testing), edit).await;
    assert_eq!(hand_over.outcome.what().as_str(), "accepted");
    let notes = asked(&hand_over);
    assert_eq!(
        notes[0],
        format!("a.multi.example: testing, id 7: fails: the policy does not name this host | {unsigned}")
    );
    assert!(
        notes[1].starts_with("b.multi.example: testing, id 7: fails: certificate: expired"),
        "{}",
        notes[1]
    );
    // One is barred, the other has no service: it is no refusal by all.
    let hosts = vec![Host::new("127.0.0.3", vec![until("", "554 no service")])];
    let hand_over = play_with(&zone, hosts, Some(&held), edit).await;
    assert!(matches!(hand_over.outcome, Outcome::Deferred(..)), "{:?}", hand_over.outcome);
    assert!(told(&hand_over).0.contains("b.multi.example: banner: 554 no service"), "{:?}", told(&hand_over));
    // Nobody named at all: nothing is sent, and the reason is told.
    let (none, _) = policies("enforce", "c.multi.example");
    let hand_over = play_with(&zone, vec![], Some(&none), edit).await;
    let (outcome, _) = told(&hand_over);
    assert!(outcome.starts_with("deferred resolve: no MX host may be used: a.multi.example: "), "{outcome}");
    assert_eq!(hand_over.outcome.what().reason().unwrap().enhanced.as_deref(), Some("4.7.5"));
}

/// Many probes at once fetch a policy once; one that cannot be had is asked for again only after a while.
#[tokio::test]
async fn a_policy_is_fetched_once_by_many() {
    let resolver = ZoneResolver::parse(&format!(". SOA ns.test. h.test. 1 60 60 60 60\n{STS}")).unwrap();
    let domain = Name::from_dotted("multi.example").unwrap();
    for (mode, want) in
        [("enforce", "enforce, id 7"), ("nonsense", "not known: policy cannot be read: mode \"nonsense\"")]
    {
        let (held, fixed) = policies(mode, "b.multi.example");
        let all = futures_util::future::join_all((0..50).map(|_| held.find(&domain, &resolver))).await;
        assert!(all.iter().all(|found| found.to_string().starts_with(want)), "{}", all[0]);
        assert_eq!(*fixed.1.lock().unwrap(), 1, "{mode}");
    }
    // The host of the policy is not there: nobody is asked.
    let (held, fixed) = policies("enforce", "b.multi.example");
    let record = STS.lines().next().unwrap();
    let resolver = ZoneResolver::parse(&format!(". SOA ns.test. h.test. 1 60 60 60 60\n{record}\n")).unwrap();
    let found = held.find(&domain, &resolver).await;
    assert_eq!(found.to_string(), "not known: mta-sts.multi.example has no address");
    assert_eq!(*fixed.1.lock().unwrap(), 0);
}

#[tokio::test]
async fn dane_is_kept_above_the_policy() {
    let authority = Authority::new();
    // No root knows any of the certificates: DANE alone decides.
    let roots = Verify::Roots(Authority::named("Another").pem.into_bytes().into());
    let edit = |options: &mut DirectOptions| options.verify = roots.clone();
    let own = Identity::self_signed(&["whatever.example"]);
    let issued = authority.issue(&["a.multi.example"], (2020, 2099));
    let hash = |der: &[u8]| {
        let hash = ring::digest::digest(&ring::digest::SHA256, der);
        data_encoding::HEXLOWER.encode(hash.as_ref())
    };
    let zone = |security: &str, tlsa: &str| {
        format!("{TWO}{STS};! security . {security}\n_25._tcp.a.multi.example. TLSA {tlsa}\n")
    };
    let ee = format!("3 0 1 {}", hash(&own.chain[0]));
    let ta = format!("2 0 1 {}", hash(&authority.der));
    let wrong = format!("3 0 1 {}", hash(b"another"));
    let useless = format!("1 0 1 {}", hash(b"another"));
    let (held, _) = policies("enforce", "b.multi.example");
    let first = |script: Vec<Do>, identity| vec![Host::tls("127.0.0.2", vec![script], identity)];
    let policy = "a.multi.example: enforce, id 7: not tested: DANE decides";
    for (zone, hosts, outcome, want) in [
        // Not named by the policy, and no root knows its certificate: DANE decides.
        (zone("secure", &ee), first(takes_with_tls(), &own), "accepted", format!("{policy} | matched")),
        (zone("secure", &ta), first(takes_with_tls(), &issued), "accepted", format!("{policy} | matched")),
        (
            zone("secure", &useless),
            first(takes_with_tls(), &own),
            "accepted",
            format!("{policy} | no usable record: TLS without proof"),
        ),
    ] {
        let hand_over = play_with(&zone, hosts, Some(&held), edit).await;
        assert_eq!((hand_over.outcome.what().as_str(), asked(&hand_over)), (outcome, vec![want]));
    }
    // The certificate is another one, the authority issued it for another name, or there is no TLS: the next host.
    let plain = vec![say("220 mx"), Do::Hear("EHLO "), say("250 mx"), Do::Hear("QUIT"), say("221 bye")];
    let foreign = authority.issue(&["other.example"], (2020, 2099));
    for (zone, script, identity, why) in [
        (zone("secure", &wrong), tls_only(), &own, "failed: certificate: none of 1 TLSA records matches"),
        (
            zone("secure", &ta),
            tls_only(),
            &foreign,
            "failed: certificate: none of 1 TLSA records matches; of the authority's certificate: not for",
        ),
        (zone("secure", &ee), plain, &own, "failed: STARTTLS is required and not offered"),
    ] {
        let hosts = vec![
            Host::tls("127.0.0.2", vec![script], identity),
            Host::tls("127.0.0.3", vec![takes_with_tls()], &own),
        ];
        let hand_over = play(&zone, hosts, edit).await;
        assert_eq!(hand_over.outcome.what().as_str(), "accepted");
        let notes = asked(&hand_over);
        assert!(notes[0].starts_with(&format!("a.multi.example: not asked | {why}")), "{}", notes[0]);
        assert_eq!(notes[1], "b.multi.example: not asked | none: no TLSA record");
    }
    // The look-up fails below a signed address: the host is left out. Without DNSSEC it asks for nothing; and where
    // nobody knows, that is told.
    let broken = format!("{};! fail _25._tcp.a.multi.example. TLSA servfail\n", zone("secure", &ee));
    let hand_over = play(&broken, vec![Host::tls("127.0.0.3", vec![takes_with_tls()], &own)], edit).await;
    assert!(
        asked(&hand_over)[0].contains("| broken: TLSA of _25._tcp.a.multi.example: servfail"),
        "{:?}",
        asked(&hand_over)
    );
    for (security, want) in [
        ("insecure", "none: the MX records are not signed"),
        ("not-known", "not known: whether the MX records are signed is not known"),
    ] {
        let hosts = vec![Host::new("127.0.0.2", vec![takes()])];
        let hand_over = play(&zone(security, &wrong), hosts, edit).await;
        assert_eq!(asked(&hand_over), [format!("a.multi.example: not asked | {want}")]);
        assert_eq!(hand_over.outcome.what().as_str(), "accepted");
    }
}

#[tokio::test]
async fn broken_tls_is_passed_by_only_where_nobody_demands_tls() {
    let greet = || {
        vec![
            say("220 mx"),
            Do::Hear("EHLO "),
            say("250-mx"),
            say("250 STARTTLS"),
            Do::Hear("STARTTLS"),
            say("220 go"),
        ]
    };
    let mut garbage = greet();
    garbage.extend([Do::Raw(b"this is no handshake\r\n".to_vec()), Do::Stall]);
    let hosts = vec![Host::new("127.0.0.2", vec![garbage.clone(), takes()])];
    let hand_over = play(TWO, hosts, |_| {}).await;
    let (outcome, tried) = told(&hand_over);
    assert!(outcome.starts_with("accepted") && hand_over.tls.is_none(), "{outcome}");
    assert!(tried[0].starts_with("a.multi.example 127.0.0.2: tls: "), "{tried:?}");
    assert_eq!(tried[1], "a.multi.example 127.0.0.2: last word");
    let hosts = vec![Host::new("127.0.0.2", vec![garbage.clone()]), Host::new("127.0.0.3", vec![garbage])];
    let hand_over = play(TWO, hosts, |options| options.requires_tls = true).await;
    assert!(told(&hand_over).0.starts_with("deferred tls: "), "{:?}", told(&hand_over));
}

// ---- Real far ends ----

/// The zone of a domain whose one MX host is on loopback.
fn at_loopback() -> ZoneResolver {
    ZoneResolver::parse(
        ". SOA ns.test. h.test. 1 60 60 60 60
multi.example.   MX 10 a.multi.example.
a.multi.example. A 127.0.0.1
",
    )
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn mailin_embedded_as_an_mx_host() {
    let Some(peer) = tokio::task::spawn_blocking(Peer::start).await.unwrap() else { return };
    let resolver = at_loopback();
    let (mail_from, rcpt_to) = (
        ReversePath::Address(Address::parse("probe@example.org").unwrap()),
        Address::parse("u@multi.example").unwrap(),
    );
    let message = b"Subject: t\r\n\r\n.dot\r\n";
    let submission = Submission { mail_from: &mail_from, rcpt_to: &rcpt_to, message, needs_smtputf8: false };
    let means = Means { resolver: &resolver, policies: None };
    let hand_over = deliver(&options(peer.address.port()), means, submission).await;
    assert!(matches!(hand_over.outcome, Outcome::Accepted(_)), "{hand_over:#?}");
    assert_eq!(told(&hand_over).1, ["a.multi.example 127.0.0.1: last word"]);
    // It takes no null reverse-path, although it must (RFC 5321 §4.5.5): refused, and told word for word.
    let hand_over = send(&options(peer.address.port()), means, "u@multi.example").await;
    assert!(matches!(hand_over.outcome, Outcome::Refused(Phase::Mail, Cause::Reply(_))), "{hand_over:#?}");
}

/// A notice of failure by Postfix, asked for by us: with our ENVID and the original recipient, and the header only.
#[tokio::test(flavor = "multi_thread")]
async fn postfix_as_an_mx_host_is_asked_for_notices() {
    if !postfix::is_usable() {
        return;
    }
    let sink = TestSink::start();
    let next = sink.address();
    let relay = tokio::task::spawn_blocking(move || Postfix::start(next, "")).await.unwrap();
    let resolver = at_loopback();
    let options = DirectOptions {
        dsn: Some(DsnRequest { envid: "mf+envid=1".to_owned() }),
        ..options(relay.smtp.port())
    };
    let mail_from = ReversePath::Address(Address::parse("dmarc@example.com").unwrap());
    let rcpt_to = Address::parse("nobody+x@multi.example").unwrap();
    let message = b"Subject: t\r\nFrom: a@example.org\r\n\r\nthe body stays away\r\n";
    let submission = Submission { mail_from: &mail_from, rcpt_to: &rcpt_to, message, needs_smtputf8: false };
    let hand_over = deliver(&options, Means { resolver: &resolver, policies: None }, submission).await;
    assert!(matches!(hand_over.outcome, Outcome::Accepted(_)), "{hand_over:#?}");
    assert!(hand_over.queue_id.is_some(), "{hand_over:#?}");
    let sent: Vec<&str> = hand_over.steps.iter().filter_map(|step| step.sent.as_deref()).collect();
    let rcpt = "RCPT TO:<nobody+x@multi.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;nobody+2Bx@multi.example";
    assert!(sent.contains(&rcpt), "{sent:#?}");
    let notice = tokio::task::spawn_blocking(move || {
        eventually("the notice comes back", || !sink.inbox.stored().is_empty());
        let stored = sink.inbox.stored();
        String::from_utf8_lossy(&stored[0].bytes).into_owned()
    })
    .await
    .unwrap();
    assert!(notice.contains("Original-Envelope-Id: mf+envid=1"), "{notice}");
    assert!(notice.contains("Original-Recipient: rfc822;nobody+x@multi.example"), "{notice}");
    assert!(notice.contains("Subject: t") && !notice.contains("the body stays away"), "{notice}");
    drop(relay);
}
