//! Signed zones on a BIND that the test starts, signed by its tools: secure, insecure and bogus told apart by our
//! own validation from a trust anchor of ours.
//!
//! Without BIND (Debian: bind9, bind9-utils) the tests say so and pass, unless MAILSONDE_REQUIRE_BIND is set, as in
//! `.ci/run`.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mailsonde::dns::{
    Answer, AskServer as _, Cause, Confirmed, DirectServers, Dnssec, HickoryResolver, Name, Options, Outcome,
    Question, RecordData, RecordType, Resolve, Security, Servers,
};
use mailsonde::dns_health::addresses::Reach;
use mailsonde::dns_health::facts::Facts;
use mailsonde::dns_health::finding::State;
use mailsonde::dns_health::gather::{self, Allowance, Tools};
use mailsonde::mail::{Address, ReversePath};
use mailsonde::smtp::submit::direct::{DirectOptions, Means, deliver};
use mailsonde::smtp::submit::{Submission, Timeouts, Verify};

use crate::probes::scripted::{Do, say, serve_on};
use crate::support::tls::Identity;

/// The server and the tools.
const PROGRAMS: [&str; 4] =
    ["/usr/sbin/named", "/usr/bin/dnssec-keygen", "/usr/bin/dnssec-signzone", "/usr/bin/dnssec-dsfromkey"];

/// The zones below `test.`, each with the same records.
const CHILDREN: [&str; 6] = ["secure", "nsec3", "plain", "wrong", "expired", "tampered"];

const RECORDS: &str = "$TTL 300
@ SOA ns.test. host.test. 1 3600 600 86400 60
@ NS ns.test.
@ MX 10 mx
@ TXT \"as signed\"
mx A 192.0.2.1
_25._tcp.mx TLSA 3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
alias CNAME mx
*.wild TXT \"wild\"
leaves CNAME mx.plain.test.
moved DNAME Real
host.real A 192.0.2.3
out DNAME plain.test.
";

/// A running BIND.
struct Bind {
    child: Child,
    address: SocketAddr,
    anchor: String,
    _folder: tempfile::TempDir,
}

impl Drop for Bind {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs one of the tools; what it prints.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// Makes a key for a zone; the name of its files.
fn key(folder: &Path, zone: &str) -> String {
    run(folder, PROGRAMS[1], &["-q", "-K", ".", "-a", "ECDSAP256SHA256", "-f", "KSK", zone])
}

/// Signs a zone file in place, with further options.
fn sign(folder: &Path, zone: &str, options: &[&str]) {
    let file = format!("{zone}.zone");
    let common = ["-q", "-S", "-z", "-K", ".", "-o", zone, "-f", &file];
    run(folder, PROGRAMS[2], &[&common[..], options, &[file.as_str()]].concat());
}

impl Bind {
    /// Signs all zones and serves them; `None` where there is no BIND.
    fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// The same with more records in each zone below `test.`
    fn start_with(more: &str) -> Option<Self> {
        if !PROGRAMS.iter().all(|program| Path::new(program).exists()) {
            assert!(std::env::var_os("MAILSONDE_REQUIRE_BIND").is_none(), "BIND is required and not there");
            eprintln!("skipped: needs BIND (bind9, bind9-utils)");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let mut parent = "$TTL 300\n@ SOA ns host 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n".to_owned();
        let mut zones = String::new();
        for child in CHILDREN {
            let zone = format!("{child}.test");
            let file = path.join(format!("{zone}.zone"));
            std::fs::write(&file, format!("{RECORDS}{more}")).unwrap();
            let _ = writeln!(parent, "{child} NS ns");
            let _ = writeln!(zones, "zone \"{zone}\" {{ type primary; file \"{zone}.zone\"; }};");
            if child == "plain" {
                continue;
            }
            let key = key(path, &zone);
            let mut link = run(path, PROGRAMS[3], &["-2", &key]);
            match child {
                "nsec3" => sign(path, &zone, &["-3", "-"]),
                "expired" => sign(path, &zone, &["-P", "-s", "20200101000000", "-e", "20200201000000"]),
                _ => sign(path, &zone, &[]),
            }
            if child == "wrong" {
                let digest = link.split_off(link.len() - 8);
                link.push_str(if digest == "00000000" { "11111111" } else { "00000000" });
            }
            if child == "tampered" {
                let signed = std::fs::read_to_string(&file).unwrap();
                std::fs::write(&file, signed.replace("as signed", "as forged")).unwrap();
            }
            parent.push_str(&link);
            parent.push('\n');
        }
        let key = key(path, "test");
        let anchor = std::fs::read_to_string(path.join(format!("{key}.key"))).unwrap();
        std::fs::write(path.join("test.zone"), parent).unwrap();
        sign(path, "test", &[]);
        let configuration = format!(
            "options {{ directory \"{}\"; pid-file none; session-keyfile none; listen-on-v6 {{ none; }};\n\
             listen-on {{ 127.0.0.1; }}; recursion no; dnssec-validation no; notify no; }};\n\
             controls {{ }};\nzone \"test\" {{ type primary; file \"test.zone\"; }};\n{zones}",
            path.display()
        );
        std::fs::write(path.join("named.conf"), configuration).unwrap();
        // A port that was free a moment ago may be taken: another one then.
        for _ in 0..10 {
            if let Some((child, address)) = serve(path) {
                return Some(Self { child, address, anchor, _folder: folder });
            }
        }
        panic!("BIND does not start: {}", std::fs::read_to_string(path.join("output")).unwrap_or_default());
    }

    /// Options of a resolver that asks it.
    fn options(&self, dnssec: Dnssec) -> Options {
        Options {
            servers: Servers::Listed(vec![self.address]),
            tls: None,
            timeout: Duration::from_secs(10),
            attempts: 2,
            dnssec,
            in_flight: 50,
        }
    }
}

/// Starts BIND on a port that is free for UDP and TCP and waits until it answers.
fn serve(folder: &Path) -> Option<(Child, SocketAddr)> {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = std::fs::File::create(folder.join("output")).unwrap();
    let mut child = Command::new(PROGRAMS[0])
        .args(["-g", "-n", "1", "-c", "named.conf", "-p", &address.port().to_string()])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    // The SOA record of test.
    let question = b"\0\x01\0\0\0\x01\0\0\0\0\0\0\x04test\0\0\x06\0\x01";
    for _ in 0..600 {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        let mut answer = [0; 1_500];
        let _ = socket.send_to(question, address);
        // AA and NOERROR: the zone is loaded.
        if socket.recv(&mut answer).is_ok_and(|count| count > 12 && answer[2] & 4 != 0 && answer[3] % 16 == 0)
        {
            return Some((child, address));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

fn question(name: &str, record_type: RecordType) -> Question {
    Question::new(Name::from_dotted(name).unwrap(), record_type)
}

/// An answer and its security in two words.
fn words(answer: &Answer) -> (&'static str, &'static str) {
    let outcome = match &answer.outcome {
        Outcome::Records(_) => "records",
        Outcome::NoName => "no name",
        Outcome::NoType => "no type",
        Outcome::NotKnown(trouble) => trouble.cause.as_str(),
    };
    (outcome, answer.security.as_str())
}

#[tokio::test]
async fn secure_insecure_and_bogus_are_told_apart() {
    use RecordType::{A, Aaaa, Ds, Mx, Soa, Tlsa, Txt};
    let Some(bind) = Bind::start() else { return };
    let resolver = HickoryResolver::new(&bind.options(Dnssec::Anchors(bind.anchor.clone()))).unwrap();
    assert!(resolver.validates().await);
    let mut wrong = Vec::new();
    for (name, record_type, outcome, security) in [
        ("test", Soa, "records", "secure"),
        ("secure.test", Mx, "records", "secure"),
        ("secure.test", Ds, "records", "secure"),
        ("_25._tcp.mx.secure.test", Tlsa, "records", "secure"),
        ("alias.secure.test", A, "records", "secure"),
        ("y.wild.secure.test", Txt, "records", "secure"),
        ("z.y.wild.secure.test", Txt, "records", "secure"),
        ("y.wild.nsec3.test", Txt, "records", "secure"),
        ("y.wild.secure.test", A, "no type", "secure"),
        ("y.wild.tampered.test", Txt, "records", "secure"),
        ("mx.secure.test", Aaaa, "no type", "secure"),
        ("nowhere.secure.test", A, "no name", "secure"),
        ("nowhere.test", A, "no name", "secure"),
        ("nsec3.test", Mx, "records", "secure"),
        ("_25._tcp.mx.nsec3.test", Tlsa, "records", "secure"),
        ("mx.nsec3.test", Aaaa, "no type", "secure"),
        ("nowhere.nsec3.test", A, "no name", "secure"),
        ("plain.test", Mx, "records", "insecure"),
        ("plain.test", Ds, "no type", "secure"),
        ("_25._tcp.mx.plain.test", Tlsa, "records", "insecure"),
        ("mx.plain.test", Aaaa, "no type", "insecure"),
        ("nowhere.plain.test", A, "no name", "insecure"),
        // A signed alias to an unsigned name is worth no more than that name.
        ("leaves.secure.test", A, "records", "insecure"),
        // A tree that moves is signed where it stands; the aliases made of it have no signature and need none.
        ("host.moved.secure.test", A, "records", "secure"),
        ("nowhere.moved.secure.test", A, "no name", "secure"),
        ("mx.out.secure.test", A, "records", "insecure"),
        ("host.moved.nsec3.test", A, "records", "secure"),
        ("host.moved.plain.test", A, "records", "insecure"),
        ("wrong.test", Mx, "bogus", "bogus"),
        ("_25._tcp.mx.wrong.test", Tlsa, "bogus", "bogus"),
        ("nowhere.wrong.test", A, "bogus", "bogus"),
        ("expired.test", Mx, "bogus", "bogus"),
        ("_25._tcp.mx.expired.test", Tlsa, "bogus", "bogus"),
        ("tampered.test", Txt, "bogus", "bogus"),
        // What was not touched still holds.
        ("tampered.test", Mx, "records", "secure"),
    ] {
        let answer = resolver.resolve(&question(name, record_type)).await;
        if words(&answer) != (outcome, security) {
            wrong.push(format!("{name} {record_type}: want {outcome} {security}, got {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Outside the anchor nothing can be said; the server refuses.
    let answer = resolver.resolve(&question("elsewhere.example", Mx)).await;
    assert_eq!(words(&answer), ("refused", "not-known"));
}

#[tokio::test]
async fn without_validation_nothing_is_claimed() {
    let Some(bind) = Bind::start() else { return };
    // With the root's keys, which this server cannot give, signatures cannot be validated either.
    for dnssec in [Dnssec::Off, Dnssec::Root] {
        let resolver = HickoryResolver::new(&bind.options(dnssec)).unwrap();
        assert!(!resolver.validates().await);
        for zone in CHILDREN {
            let answer = resolver.resolve(&question(&format!("{zone}.test"), RecordType::Mx)).await;
            assert_eq!(words(&answer), ("records", "not-known"), "{zone}");
        }
    }
    let servers = DirectServers { port: bind.address.port(), timeout: Duration::from_secs(10), attempts: 2 };
    let said = servers.ask_server(bind.address.ip(), &question("secure.test", RecordType::Soa)).await;
    assert!(said.is_authoritative && !said.offers_recursion, "{said:?}");
    assert!(matches!(said.answer.data(), [RecordData::Soa(soa)] if soa.serial == 1), "{said:?}");
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_are_no_forgery() {
    let Some(bind) = Bind::start() else { return };
    let resolver = HickoryResolver::new(&bind.options(Dnssec::Anchors(bind.anchor.clone()))).unwrap();
    assert!(resolver.validates().await);
    drop(bind);
    let answer = resolver.resolve(&question("secure.test", RecordType::Mx)).await;
    let cause = answer.trouble().map(|trouble| trouble.cause);
    assert!(matches!(cause, Some(Cause::Unreachable | Cause::Timeout)), "{answer:?}");
    assert_eq!(answer.security, Security::NotKnown);
}

/// The states of the checks of some codes, in words.
async fn health(resolver: &dyn Resolve, zone: &str) -> Vec<String> {
    let domain = Name::from_dotted(zone).unwrap();
    let facts = Facts::new(domain, mailsonde::clock::now(), "nobody-has-this");
    let allowance = Allowance { questions: 600, time: Duration::from_secs(60) };
    let checkup = gather::check(Tools::of(resolver), &facts, allowance).await;
    let wanted = ["DNS-DNSSEC", "DANE-INSECURE", "DANE-TLSA-FAIL"];
    let checks = checkup.health.checks.iter().filter(|checked| wanted.contains(&checked.code.code));
    let mut all: Vec<String> = checks
        .map(|checked| match &checked.state {
            State::Found(finding) => format!("{} {}", checked.code.code, finding.severity.as_str()),
            state => format!("{} {}", checked.code.code, state.as_str()),
        })
        .collect();
    all.sort();
    all
}

/// What the health checks make of it: signed, not signed, forged, and not known where nobody validates.
#[tokio::test]
async fn dane_is_judged_by_what_is_proven() {
    let Some(bind) = Bind::start() else { return };
    let plain = Arc::new(HickoryResolver::new(&bind.options(Dnssec::Off)).unwrap());
    let validating =
        Arc::new(HickoryResolver::new(&bind.options(Dnssec::Anchors(bind.anchor.clone()))).unwrap());
    let confirmed =
        Confirmed::new(Arc::<HickoryResolver>::clone(&validating), Arc::<HickoryResolver>::clone(&plain));
    let proven = ["DANE-INSECURE pass", "DANE-TLSA-FAIL pass", "DNS-DNSSEC pass"];
    let unsigned = ["DANE-INSECURE warning", "DANE-TLSA-FAIL pass", "DNS-DNSSEC info"];
    let not_known = ["DANE-INSECURE not-known", "DANE-TLSA-FAIL pass", "DNS-DNSSEC not-known"];
    for zone in ["secure.test", "nsec3.test"] {
        assert_eq!(health(&*validating, zone).await, proven, "{zone}");
        assert_eq!(health(&confirmed, zone).await, proven, "{zone}");
        assert_eq!(health(&*plain, zone).await, not_known, "{zone}");
    }
    assert_eq!(health(&*validating, "plain.test").await, unsigned);
    assert_eq!(health(&confirmed, "plain.test").await, unsigned);
    // On our word alone the zone is forged; the server, which does not validate, hands its records out all the same.
    for zone in ["wrong.test", "expired.test"] {
        let strict = health(&*validating, zone).await;
        assert!(strict.contains(&"DNS-DNSSEC critical".to_owned()), "{zone}: {strict:?}");
        assert_eq!(health(&confirmed, zone).await, not_known, "{zone}");
    }
}

/// A session of an MX host with STARTTLS that takes the message, or that ends with the handshake.
fn session(is_whole: bool) -> Vec<Do> {
    let mut script = vec![
        say("220 mx"),
        Do::Hear("EHLO "),
        say("250-mx"),
        say("250 STARTTLS"),
        Do::Hear("STARTTLS"),
        say("220 go"),
        Do::Tls,
    ];
    if is_whole {
        for (hear, reply) in
            [("EHLO ", "250 mx"), ("MAIL ", "250 ok"), ("RCPT ", "250 ok"), ("DATA", "354 go")]
        {
            script.extend([Do::Hear(hear), say(reply)]);
        }
        script.extend([Do::Body, say("250 ok"), Do::Hear("QUIT"), say("221 bye")]);
    }
    script
}

/// A probe under DANE, from signed zones to the handshake: the certificate must match where all is proven, and what is
/// not proven is told.
#[tokio::test]
async fn a_probe_keeps_to_dane_by_what_is_proven() {
    let (ours, other) = (Identity::self_signed(&["any.example"]), Identity::self_signed(&["any.example"]));
    let hash = |identity: &Identity| {
        let hash = ring::digest::digest(&ring::digest::SHA256, &identity.chain[0]);
        data_encoding::HEXLOWER.encode(hash.as_ref())
    };
    let more = format!(
        "probe MX 10 probe-mx\nprobe-mx A 127.0.0.1\n_25._tcp.probe-mx TLSA 3 0 1 {}\n\
         bare MX 10 bare-mx\nbare-mx A 127.0.0.1\naliased MX 10 alias-mx\nalias-mx CNAME probe-mx\n",
        hash(&ours)
    );
    let Some(bind) = Bind::start_with(&more) else { return };
    let plain = HickoryResolver::new(&bind.options(Dnssec::Off)).unwrap();
    let validating = HickoryResolver::new(&bind.options(Dnssec::Anchors(bind.anchor.clone()))).unwrap();
    let blind = "not known: whether the MX records are signed is not known";
    let proven: &dyn Resolve = &validating;
    let cases: [(&dyn Resolve, &str, &Identity, bool, &str, &str); 9] = [
        (proven, "probe.secure.test", &ours, true, "accepted", "matched"),
        (proven, "probe.nsec3.test", &ours, true, "accepted", "matched"),
        (proven, "aliased.secure.test", &ours, true, "accepted", "matched"),
        (
            proven,
            "probe.secure.test",
            &other,
            false,
            "deferred",
            "failed: certificate: none of 1 TLSA records matches",
        ),
        // That there is no record is proven too.
        (proven, "bare.secure.test", &other, true, "accepted", "none: no TLSA record"),
        (proven, "bare.nsec3.test", &other, true, "accepted", "none: no TLSA record"),
        (proven, "probe.plain.test", &other, true, "accepted", "none: the MX records are not signed"),
        // Who does not validate knows nothing, and says so.
        (&plain, "probe.secure.test", &other, true, "accepted", blind),
        (&plain, "probe.plain.test", &other, true, "accepted", blind),
    ];
    for (resolver, domain, identity, is_whole, outcome, dane) in cases {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = serve_on(listener, vec![session(is_whole)], Arc::clone(&identity.config));
        let hand_over = probe_to(domain, port, resolver).await;
        let tried: Vec<String> = hand_over.mx.iter().map(|mx| mx.dane.to_string()).collect();
        assert_eq!((hand_over.outcome.what().as_str(), tried), (outcome, vec![dane.to_owned()]), "{domain}");
        assert!(server.await.unwrap().iter().all(Result::is_ok), "{domain}");
    }
    // What is forged is nowhere to send to, and nobody is asked.
    for domain in ["probe.wrong.test", "probe.expired.test"] {
        let hand_over = probe_to(domain, 1, &validating).await;
        let what = hand_over.outcome.what();
        let reason = what.reason().unwrap();
        assert!(reason.text.starts_with("not known who takes the mail: MX of"), "{}", reason.text);
        assert_eq!((what.as_str(), reason.enhanced.as_deref()), ("deferred", Some("4.4.3")));
        assert!(hand_over.attempts.is_empty() && reason.text.contains("bogus"), "{}", reason.text);
    }
}

/// Hands a message to the MX hosts of a domain on loopback.
async fn probe_to(domain: &str, port: u16, resolver: &dyn Resolve) -> mailsonde::smtp::submit::HandOver {
    let wait = Duration::from_secs(60);
    let options = DirectOptions {
        helo: "probe.example.org".to_owned(),
        port,
        source_address: None,
        requires_tls: false,
        verify: Verify::Off,
        dane: true,
        mta_sts: false,
        dsn: None,
        only: None,
        own_names: vec![],
        own_addresses: vec![],
        reach: Reach::Any,
        seed: 1,
        timeouts: Timeouts { connect: wait, tls: wait, reply: wait, block: wait, dot: wait },
    };
    let (mail_from, rcpt_to) = (ReversePath::Null, Address::parse(&format!("u@{domain}")).unwrap());
    let message = b"Subject: t\r\n\r\nx\r\n";
    let submission = Submission { mail_from: &mail_from, rcpt_to: &rcpt_to, message, needs_smtputf8: false };
    deliver(&options, Means { resolver, policies: None }, submission).await
}
