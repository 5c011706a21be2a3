//! DKIM suites: the corpus of Mail::DKIM, the messages of RFC 8463 and dkimpy, the mails of rspamd.

use std::collections::BTreeMap;
use std::path::Path;

use mailsonde::authentication::dkim::{RawMessage, Signatures, verify};
use mailsonde::authentication::key::KeyRecord;
use mailsonde::clock::Timestamp;
use mailsonde::dns::{Answer, Answers, Cause, RecordData};

use super::settle;
use crate::support::shared;

/// When the suites' messages are taken to have come: 2026-11-25.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_795_600_000);

/// What stands under the names of a suite.
pub(crate) type Keys = BTreeMap<String, Answer>;

/// The answer of one text.
pub(crate) fn text(text: &str) -> Answer {
    Answer::records(vec![RecordData::Txt(vec![text.as_bytes().to_vec()])])
}

/// Judges until nothing is missing; names without an answer do not exist.
pub(crate) fn settled<T>(keys: &Keys, judge: impl Fn(&Answers) -> Result<T, mailsonde::dns::Ask>) -> T {
    let mut answers = Answers::new();
    loop {
        match judge(&answers) {
            Ok(done) => return done,
            Err(ask) => {
                for question in ask.questions {
                    let answer = keys.get(question.name.as_str()).cloned().unwrap_or_else(Answer::no_name);
                    answers.put(question, answer);
                }
            }
        }
    }
}

/// The verdicts on a message.
fn verdicts(message: &[u8], keys: &Keys) -> Signatures {
    let raw = RawMessage::new(message);
    settled(keys, |answers| verify(&raw, NOW, answers))
}

/// The results of a message with their reasons.
fn told(found: &Signatures) -> String {
    let words = found.verdicts.iter().map(|verdict| {
        format!("{} ({}: {})", verdict.result().as_str(), verdict.reason.code(), verdict.reason)
    });
    words.collect::<Vec<_>>().join(", ")
}

/// The keys of Mail::DKIM's corpus.
fn fake_dns(path: &Path) -> Keys {
    let lines = std::fs::read_to_string(path).unwrap();
    let mut keys = Keys::new();
    for line in lines.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.split_once(char::is_whitespace) else { continue };
        let answer = match value.trim() {
            "NXDOMAIN" => Answer::no_name(),
            "~~SERVFAIL~~" => Answer::not_known(Cause::ServerFailure, ""),
            value if value.starts_with("~~") => Answer::not_known(Cause::Timeout, ""),
            value => text(value.trim_matches('"')),
        };
        keys.insert(name.to_owned(), answer);
    }
    keys
}

#[test]
fn mail_dkim_corpus() {
    let Some(folder) = shared("suites/dkim-mail-dkim") else { return };
    // What passes by today's rules. The rest of the `good` ones are DomainKeys, drafts before the standard (no
    // `v=`, or 0.5), and keys of 512 or 768 bits or rsa-sha1 (RFC 8301).
    const PASS: [&str; 1] = ["goodkey_ed25519.txt"];
    let keys = fake_dns(&folder.join("FAKE_DNS.dat"));
    let (mut right, mut all, mut misses) = (0, 0, Vec::new());
    let mut entries: Vec<_> = std::fs::read_dir(folder.join("corpus")).unwrap().flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let found = verdicts(&std::fs::read(entry.path()).unwrap(), &keys);
        let passes = found.result().as_str() == "pass";
        all += 1;
        if passes == PASS.contains(&name.as_str()) {
            right += 1;
        } else {
            misses.push(format!("{name}: {}", told(&found)));
        }
    }
    settle("Mail::DKIM corpus", right, all, all, &misses);
}

#[test]
fn modern_signatures() {
    let (Some(fixtures), Some(dkimpy)) = (shared("suites/mailauth-fixtures/dkim"), shared("suites/dkimpy"))
    else {
        return;
    };
    let rsa = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdO\
               Kb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBf\
               O2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB";
    let keys = Keys::from([
        (
            "brisbane._domainkey.football.example.com".to_owned(),
            text("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
        ),
        ("test._domainkey.football.example.com".to_owned(), text(rsa)),
    ]);
    let signed = std::fs::read(fixtures.join("ec_fixtures_signed.eml")).unwrap();
    let tampered = String::from_utf8_lossy(&signed).replace("hungry", "thirsty").into_bytes();
    let cases = [
        ("RFC 8463 A.3", signed.clone(), "pass pass"),
        ("RFC 8463 A.3, body changed", tampered, "fail fail"),
        ("dkimpy, both", std::fs::read(dkimpy.join("rfc6376.signed.msg")).unwrap(), "pass pass"),
        ("dkimpy, x= added", std::fs::read(dkimpy.join("rfc6376.signed.no_t.msg")).unwrap(), "fail"),
        ("dkimpy, rsa", std::fs::read(dkimpy.join("rfc6376.signed.rsa.msg")).unwrap(), "pass"),
    ];
    let (mut right, mut misses) = (0, Vec::new());
    for (name, message, want) in &cases {
        let found = verdicts(message, &keys);
        let results: Vec<_> = found.verdicts.iter().map(|verdict| verdict.result().as_str()).collect();
        if results.join(" ") == *want {
            right += 1;
        } else {
            misses.push(format!("{name}: {}, expected {want}", told(&found)));
        }
    }
    settle("DKIM, RFC 8463 and dkimpy messages", right, cases.len(), cases.len(), &misses);
}

/// The text records of rspamd's configuration of false answers.
fn rspamd_keys(path: &Path) -> Keys {
    let mut keys = Keys::new();
    let configuration = std::fs::read_to_string(path).unwrap();
    for entry in configuration.split('{') {
        let value = |key: &str| {
            let rest = entry.split_once(&format!("{key} = "))?.1;
            rest.split(['"', '\'']).nth(1).map(str::to_owned)
        };
        let Some(name) = value("name") else { continue };
        let answer = match (value("replies"), value("rcode")) {
            (Some(reply), _) => text(&reply),
            (None, Some(code)) if code == "nxdomain" => Answer::no_name(),
            (None, Some(code)) if code == "norec" => Answer::records(Vec::new()),
            _ => Answer::not_known(Cause::ServerFailure, ""),
        };
        if name.contains("_domainkey") {
            keys.insert(name, answer);
        }
    }
    keys
}

#[test]
fn rspamd_mails() {
    let Some(folder) = shared("suites/rspamd/test/functional") else { return };
    // The results of rspamd's own tests, in the words of RFC 8601: PERMFAIL is permerror (or policy, for the
    // sizes that we word so), REJECT fail, TEMPFAIL temperror, ALLOW pass.
    let cases = [
        ("dkim_broken_key.eml", "permerror"),
        ("dkim_huge_hlist.eml", "neutral"),
        ("dkim_large_hlist.eml", "permerror"),
        ("dkim_key_too_long.eml", "policy"),
        ("dkim_key_too_wide.eml", "policy"),
        ("dkim_key_wide_ok.eml", "fail"),
        ("dkim_revoked_key.eml", "permerror"),
        ("dkim_sigs_at_limit.eml", "pass"),
        ("dmarc/bad_dkim1.eml", "permerror"),
        ("dmarc/bad_dkim2.eml", "permerror"),
        ("dmarc/bad_dkim3.eml", "temperror"),
        ("dmarc/bad_dkim_highsecure.eml", "fail"),
        ("dmarc/bad_dkim_rspamd.eml", "fail"),
        ("dmarc/dkim_unknown_tags.eml", "pass"),
        ("dmarc/good_dkim_highsecure.eml", "pass"),
        ("dmarc/good_dkim_rspamd.eml", "pass"),
        ("dmarc/onsubdomain_fail_alignment.eml", "pass"),
        ("dmarc/onsubdomain_pass_relaxed.eml", "pass"),
        ("dmarc/pass_none.eml", "pass"),
    ];
    let keys = rspamd_keys(&folder.join("configs/plugins.conf"));
    let (mut right, mut misses) = (0, Vec::new());
    for (name, want) in cases {
        let found = verdicts(&std::fs::read(folder.join("messages").join(name)).unwrap(), &keys);
        if found.result().as_str() == want {
            right += 1;
        } else {
            misses.push(format!("{name}: {}, expected {want}", told(&found)));
        }
    }
    settle("rspamd mails, DKIM", right, cases.len(), cases.len(), &misses);
}

#[test]
fn dkimpy_key_forms() {
    let Some(folder) = shared("suites/dkimpy") else { return };
    let cases = [
        ("1024_testkey_wo_markers.pub.rsa.txt", Some(1024), ""),
        ("1024_testkey_wo_markers.pub.txt", Some(1024), ""),
        ("2048_testkey_PKCS8.key.pub.txt", Some(2048), ""),
        ("2048_testkey_wo_markers.pub.rsa.txt", Some(2048), ""),
        ("2048_testkey_wo_markers.pub.txt", Some(2048), ""),
        ("badk.txt", None, "key-type"),
        ("badversion.txt", Some(1024), "version"),
        ("test.txt", Some(1024), ""),
        ("test2.txt", Some(1024), ""),
        ("test_bad.txt", None, "cut"),
        ("test_tlsrpt.txt", Some(1024), "services"),
    ];
    let (mut right, mut misses) = (0, Vec::new());
    for (name, bits, fault) in cases {
        let record = KeyRecord::parse(&[std::fs::read(folder.join(name)).unwrap()]);
        let fatal = record.fatal().map_or("", |fault| fault.code());
        if (record.bits(), fatal) == (bits, fault) {
            right += 1;
        } else {
            misses.push(format!("{name}: {:?} bits, {:?}", record.bits(), record.faults));
        }
    }
    settle("dkimpy key records", right, cases.len(), cases.len(), &misses);
}

#[test]
fn case_112_key_forms() {
    let Some(folder) = shared("cases/112-dkim-key-record-forms") else { return };
    let mut keys = Keys::new();
    let mut aliases = Vec::new();
    for line in std::fs::read_to_string(folder.join("zone.txt")).unwrap().lines() {
        let Some((name, rest)) = line.split_once(". IN ") else { continue };
        if let Some(target) = rest.strip_prefix("CNAME ") {
            aliases.push((name.to_owned(), target.trim_end_matches('.').to_owned()));
            continue;
        }
        let strings = rest.split('"').skip(1).step_by(2).map(|string| string.as_bytes().to_vec()).collect();
        keys.insert(name.to_owned(), Answer::records(vec![RecordData::Txt(strings)]));
    }
    for (name, target) in aliases {
        let answer = keys.get(&target).cloned().unwrap();
        keys.insert(name, answer);
    }
    for (file, want) in [
        ("sp.eml", "verified"),
        ("nov.eml", "verified"),
        ("svc.eml", "verified"),
        ("cn.eml", "verified"),
        ("mail.eml", "key-not-for-mail"),
    ] {
        let found = verdicts(&std::fs::read(folder.join(file)).unwrap(), &keys);
        let codes: Vec<_> = found.verdicts.iter().map(|verdict| verdict.reason.code()).collect();
        assert_eq!(codes, [want], "{file}: {}", told(&found));
    }
}
