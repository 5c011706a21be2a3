//! Verification of what was received, through `serve`: a DNS server of ours answers, fails, is silent, and comes back.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test an error is a failure")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use mailsonde::authentication::dkim::{SigningKey, sign};
use mailsonde::clock;
use mailsonde::config::Settings;
use mailsonde::mail::{DomainName, MessageId};
use mailsonde::store::{Reader, Store, StoredVerification, VerificationState};
use mailsonde::summary::Trust;

use crate::support::dns::{Behavior, DnsServer};
use crate::support::program::{Client, PATIENCE, Server, deliver, json};

/// The sender of the reports in `fixtures/mail`, and a stranger; the tests come from 127.0.0.1.
fn zone() -> String {
    let record = key().record();
    format!(
        "alpine.example. SOA a. b. 1 2 3 4 5\n\
         alpine.example. TXT \"v=spf1 ip4:127.0.0.1 -all\"\n\
         _dmarc.alpine.example. TXT \"v=DMARC1; p=reject\"\n\
         s1._domainkey.alpine.example. TXT \"{record}\"\n\
         stranger.example. TXT \"v=spf1 ip4:127.0.0.1 -all\"\n\
         loop.example. TXT \"v=spf1 include:loop.example -all\"\n\
         example. SOA a. b. 1 2 3 4 5\norg. SOA a. b. 1 2 3 4 5\narpa. SOA a. b. 1 2 3 4 5\n\
         1.0.0.127.in-addr.arpa. PTR mx.alpine.example.\nmx.alpine.example. A 127.0.0.1\n"
    )
}

/// The key that signs.
fn key() -> SigningKey {
    let pem = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/keys/ed25519.pem");
    SigningKey::from_pem(&std::fs::read(pem).unwrap()).unwrap()
}

/// A mail of `fixtures/mail` with the line ends of mail.
fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mail").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

/// It, signed by its sender.
fn signed(message: &str) -> String {
    sign(message.as_bytes(), &key(), "alpine.example", "s1", clock::now()).unwrap() + message
}

/// A folder with a configuration that asks this server.
fn folder(dns: &DnsServer, more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[smtp]\nhost_name = \"mx.example.net\"\n\
         messages_per_client_minute = 1_000_000\nmessages_per_session = 1_000_000\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n[store]\npath = \"mailsonde.db\"\n\
         [dns]\nservers = [\"{}\"]\ntimeout = \"1s\"\nattempts = 1\ncheck_every = \"0s\"\n\
         [[recipient]]\naddress = \"dmarc@example.net\"\npurpose = \"reports\"\n\
         [[recipient]]\naddress = \"tls@example.net\"\npurpose = \"tls\"\n\
         [[recipient]]\naddress = \"postmaster@example.net\"\npurpose = \"postmaster\"\n{more}",
        dns.address
    );
    std::fs::write(folder.path().join("mailsonde.toml"), text).unwrap();
    folder
}

/// Delivers a mail; its id.
#[track_caller]
fn sent(server: &Server, from: &str, message: &str) -> MessageId {
    let reply = deliver(server.smtp, from, &["dmarc@example.net"], message.as_bytes()).unwrap();
    id_of(&reply)
}

/// The id in the reply to a mail.
#[track_caller]
fn id_of(reply: &str) -> MessageId {
    assert!(reply.starts_with("250"), "{reply}");
    reply.split_whitespace().rev().find_map(MessageId::parse).unwrap_or_else(|| panic!("no id in {reply:?}"))
}

/// The database of a folder, for reading.
fn reader(folder: &Path) -> Reader {
    Reader::open(&folder.join("mailsonde.db"), Duration::from_secs(10)).unwrap()
}

/// Waits until the verification of a message is as wanted.
#[track_caller]
fn wait(folder: &Path, id: MessageId, wanted: impl Fn(&StoredVerification) -> bool) -> StoredVerification {
    let until = clock::instant() + PATIENCE;
    let reader = reader(folder);
    loop {
        let found = reader.verification(id).unwrap();
        if let Some(found) = &found
            && wanted(found)
        {
            return found.clone();
        }
        assert!(clock::instant() < until, "{found:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until it is final.
#[track_caller]
fn done(folder: &Path, id: MessageId) -> StoredVerification {
    wait(folder, id, |found| found.state == VerificationState::Done)
}

/// The trust of a message.
fn trust(folder: &Path, id: MessageId) -> Option<Trust> {
    reader(folder).message(id).unwrap().trust
}

/// SPF, HELO, DKIM, ARC and DMARC of a verification.
fn words(found: &StoredVerification) -> String {
    let words = found.words.as_ref().unwrap();
    format!("{} {} {} {} {}", words.spf, words.spf_helo, words.dkim, words.arc, words.dmarc)
}

/// Messages counted for example.com.
fn counted(folder: &Path) -> serde_json::Value {
    json(folder, &["report", "summary"])["totals"]["messages"].clone()
}

/// Makes everything that waits for its next try due at once, as the clock would.
fn make_due(folder: &Path, ids: &[MessageId]) {
    let options = Settings::without_file().store_options();
    let store = Store::open(&folder.join("mailsonde.db"), options).unwrap();
    store.postpone_verifications(ids.to_vec(), clock::now()).unwrap();
    store.close();
}

#[test]
fn reports_are_believed_by_who_sent_them() {
    let dns = DnsServer::start(&zone());
    let server = Server::start_in(folder(&dns, ""), &[]);
    let report = fixture("01-aggregate-gzip.eml");
    let forged = report.replace("20261121.0310@", "forged@");
    let forged = sent(&server, "x@stranger.example", &forged);
    let found = done(server.path(), forged);
    assert_eq!(words(&found), "pass none none none fail");
    assert_eq!(trust(server.path(), forged), Some(Trust::Failed));
    server.settle();
    let nothing = counted(server.path());
    assert!(nothing.is_null() || nothing == 0, "a forged report counts nothing: {nothing}");

    let honest = sent(&server, "dmarc-noreply@alpine.example", &signed(&report));
    let found = done(server.path(), honest);
    assert_eq!(words(&found), "pass none pass none pass");
    assert_eq!(trust(server.path(), honest), Some(Trust::Verified));
    assert_eq!(found.sender.as_deref(), Some("alpine.example"));
    let words = found.words.unwrap();
    assert_eq!(
        (words.reverse.as_deref(), words.peer_name.as_deref()),
        (Some("pass"), Some("mx.alpine.example"))
    );
    assert_eq!(words.dkim_domains, ["alpine.example"]);
    let line = found.lines.iter().find(|line| line.method == "dkim").unwrap();
    assert!(line.facts.contains(&("selector".to_owned(), "s1".to_owned())), "{line:?}");
    server.settle();
    assert!(
        counted(server.path()).as_u64().unwrap() > 0,
        "the true one counts, though the forged one came first"
    );

    let shown = json(server.path(), &["messages", "show", &honest.to_string()]);
    let facts = &shown["totals"];
    assert_eq!((&facts["dmarc"], &facts["sender"]), (&"pass".into(), &"alpine.example".into()), "{facts}");
    let evidence = facts["evidence"].as_array().unwrap();
    assert!(evidence.iter().any(|line| line["method"] == "dkim" && line["result"] == "pass"), "{facts}");
    let answer = json(server.path(), &["report", "authentication", "--domain", "alpine.example"]);
    let totals = &answer["totals"];
    assert_eq!((&totals["messages"], &totals["pass"], &totals["fail"]), (&2.into(), &1.into(), &1.into()));
    let row = &answer["rows"].as_array().unwrap().iter().find(|row| row["dmarc"] == "fail").unwrap().clone();
    assert_eq!((&row["spf_pass"], &row["dkim_pass"], &row["dkim_fail"]), (&1.into(), &0.into(), &0.into()));
    let learnt = DomainName::parse("alpine.example").unwrap();
    let selectors = reader(server.path()).arrival_selectors(&learnt, clock::now().day()).unwrap();
    assert_eq!(selectors, ["s1"], "learnt of the one that passed");

    let tls = fixture("08-tls-report.eml");
    let bare = deliver(server.smtp, "x@alpine.example", &["tls@example.net"], tls.as_bytes()).unwrap();
    let bare = id_of(&bare);
    let found = done(server.path(), bare);
    assert_eq!(trust(server.path(), bare), Some(Trust::Failed), "{found:?}");
    assert!(found.trust_reason.unwrap().contains("RFC 8460"));
    let mail = signed(&tls.replace("Message-ID: <", "Message-ID: <2."));
    let whole = deliver(server.smtp, "x@alpine.example", &["tls@example.net"], mail.as_bytes()).unwrap();
    let whole = id_of(&whole);
    done(server.path(), whole);
    assert_eq!(trust(server.path(), whole), Some(Trust::Verified));
}

/// What DNS does not answer is neither lost nor failed: it is asked again, also after the program was killed.
#[test]
fn trouble_with_dns_survives_a_kill() {
    let dns = DnsServer::start(&zone());
    dns.behave("s1._domainkey.alpine.example", None, Behavior::Code(2, None));
    dns.behave("_dmarc.alpine.example", None, Behavior::Code(2, None));
    let server = Server::start_in(folder(&dns, ""), &[]);
    let report = signed(&fixture("01-aggregate-gzip.eml"));
    let id = sent(&server, "x@stranger.example", &report);
    let found = wait(server.path(), id, |found| found.state == VerificationState::Open);
    assert_eq!(words(&found), "pass none temperror none temperror");
    assert_eq!((found.attempts, trust(server.path(), id)), (1, Some(Trust::Pending)));
    assert!(found.next_at.unwrap() > clock::now(), "not asked again and again: {found:?}");
    assert!(found.lines.iter().any(|line| line.method == "dns" && line.result == "servfail"), "{found:?}");
    server.settle();
    let before = counted(server.path());

    // The second one is under way, without an answer, when the program is killed.
    dns.behave("s1._domainkey.alpine.example", None, Behavior::Silent);
    let second = sent(&server, "x@stranger.example", &report.replace("Subject: ", "X-Subject: "));
    let until = clock::instant() + PATIENCE;
    while !dns.log().iter().rev().take(20).any(|asked| asked.line().starts_with("stranger.example")) {
        assert!(clock::instant() < until, "{:?}", dns.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    let folder = server.kill();
    dns.behave("s1._domainkey.alpine.example", None, Behavior::Zone);
    dns.behave("_dmarc.alpine.example", None, Behavior::Zone);
    make_due(folder.path(), &[id]);
    let mut server = Server::start_in(folder, &[]);
    let found = done(server.path(), id);
    assert_eq!((words(&found).as_str(), found.attempts), ("pass none pass none pass", 2));
    assert_eq!(trust(server.path(), id), Some(Trust::Verified));
    let found = done(server.path(), second);
    assert_eq!(words(&found), "pass none fail none fail", "its subject was changed after it was signed");
    assert_eq!(counted(server.path()), before, "believed or not yet: nothing counts twice");
    assert_eq!(server.stop(), Some(0));
}

/// Mails that ask for much, and servers that say nothing, stop neither the queue nor the end of the program.
#[test]
fn hostile_mail_and_silence_stop_nobody() {
    let dns = DnsServer::start(&zone());
    dns.behave("silent.example", None, Behavior::Silent);
    dns.behave("_dmarc.silent.example", None, Behavior::Silent);
    let mut server = Server::start_in(folder(&dns, ""), &[]);
    let mut signatures = String::new();
    for number in 0..1_000 {
        let _ = write!(
            signatures,
            "DKIM-Signature: v=1; a=rsa-sha256; d=d{number}.stranger.example; s=s; h=from; bh=YQ==; b=YQ==\r\n"
        );
    }
    let plain = "From: a@stranger.example\r\nSubject: s\r\n\r\nHello\r\n";
    let mails = [
        ("x@stranger.example", signatures + plain),
        ("x@stranger.example", "From: a@stranger.example\r\n".repeat(100) + plain),
        ("x@loop.example", plain.to_owned()),
    ];
    let mut client = Client::connect(server.smtp).unwrap();
    client.command("EHLO loop.example").unwrap();
    let mut ids = Vec::new();
    for (from, mail) in &mails {
        dns.clear_log();
        let reply = client.deliver(from, &["postmaster@example.net"], mail.as_bytes()).unwrap();
        let found = done(server.path(), id_of(&reply));
        assert!(found.asked <= 60 && dns.log().len() <= 60, "{found:?}");
        assert!(found.lines.len() <= 60);
        ids.push(found);
    }
    assert!(words(&ids[2]).starts_with("permerror permerror"), "{:?}", ids[2].words);
    // Twenty silent ones, more than are verified at once, and an honest one behind them.
    for number in 0..20 {
        let mail = format!("From: a@silent.example\r\nSubject: {number}\r\n\r\nHello\r\n");
        client.deliver("x@silent.example", &["postmaster@example.net"], mail.as_bytes()).unwrap();
    }
    let honest = sent(&server, "dmarc-noreply@alpine.example", &signed(&fixture("01-aggregate-gzip.eml")));
    assert_eq!(words(&done(server.path(), honest)), "pass none pass none pass");
    let mail = "From: a@silent.example\r\nSubject: last\r\n\r\nHello\r\n";
    client.deliver("x@silent.example", &["postmaster@example.net"], mail.as_bytes()).unwrap();
    let started = clock::instant();
    assert_eq!(server.stop(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(30), "the end waits for no answer of DNS");
}

/// Whatever is configured off is not done, and stays as it was.
#[test]
fn without_verification_nothing_is_asked() {
    let dns = DnsServer::start(&zone());
    let server = Server::start_in(folder(&dns, "[authentication]\nverify = false\n"), &[]);
    let id = sent(&server, "x@stranger.example", &fixture("01-aggregate-gzip.eml"));
    server.settle();
    assert_eq!(trust(server.path(), id), Some(Trust::Pending));
    let waiting = reader(server.path()).verification(id).unwrap().unwrap();
    assert_eq!((waiting.state, waiting.words), (VerificationState::Waiting, None));
    assert!(dns.log().is_empty(), "{:?}", dns.log());
    // Once it is on, what waited is verified.
    let folder = server.kill();
    let file = folder.path().join("mailsonde.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace("verify = false", "verify = true");
    std::fs::write(&file, text).unwrap();
    let server = Server::start_in(folder, &[]);
    assert_eq!(words(&done(server.path(), id)), "pass none none none fail");
}
