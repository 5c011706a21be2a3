//! `dns check` and `dns watch` on zones of our own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test an error is a failure")]

use std::path::Path;

use crate::support::program;

/// Two SPF records, an include that nobody has registered, an old DMARC tag.
const ZONE: &str = "\
example.com.        SOA ns1.example.com. hostmaster.example.com. 7 7200 3600 1209600 3600
example.com.        NS ns1.example.com.
ns1.example.com.    A 198.51.7.1
example.com.        MX 10 mx.example.com.
mx.example.com.     A 198.50.1.1
example.com.        TXT \"v=spf1 mx include:_spf.vendor.example -all\"
example.com.        TXT \"v=spf1 ip4:198.50.1.0/24 ~all\"
_dmarc.example.com. TXT \"v=DMARC1; p=none; pct=50\"
com.                SOA a. b. 1 2 3 4 5
example.            SOA a. b. 1 2 3 4 5
;! fail silent.com. * timeout
;! fail _dmarc.silent.com. * timeout
;! fail _domainkey.silent.com. * timeout
;! fail _mta-sts.silent.com. * timeout
;! fail _smtp._tls.silent.com. * timeout
;! fail default._bimi.silent.com. * timeout
";

/// Writes the zone; its path.
fn zone(folder: &Path) -> String {
    let file = folder.join("t.zone");
    std::fs::write(&file, ZONE).unwrap();
    file.display().to_string()
}

/// What a command said, and its exit code.
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs a command, whatever its exit code.
fn run(folder: &Path, arguments: &[&str]) -> Said {
    let output = program::run(folder, arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The JSON that it prints.
fn json(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    let mut all = arguments.to_vec();
    all.extend(["--format", "json"]);
    let said = run(folder, &all);
    serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}", said.stderr))
}

#[test]
fn a_check_says_what_to_publish_and_how_bad_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let zone = zone(folder.path());
    let output = run(folder.path(), &["dns", "check", "example.com", "--zone", &zone]);
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    for want in [
        "example.com: grade F",
        "critical DNS-ORPHAN  vendor.example",
        "error    SPF-MULTI",
        "publish: example.com TXT \"v=spf1 ip4:198.50.1.0/24 mx include:_spf.vendor.example ~all\"",
        "`pct=50`",
    ] {
        assert!(output.stdout.contains(want), "{want} is not in\n{}", output.stdout);
    }
    let answer = json(folder.path(), &["dns", "check", "example.com", "--zone", &zone]);
    let codes: Vec<&str> =
        answer["rows"].as_array().unwrap().iter().map(|row| row["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"SPF-MULTI") && codes.contains(&"DMARC-TAGS"), "{codes:?}");
    assert_eq!(answer["totals"]["domains"], 1);
    assert_eq!(answer["totals"]["findings"], codes.len());
}

/// Of a domain whose servers do not answer nothing is known: that is a finding of its own, and no record is missing.
#[test]
fn silence_makes_no_record_missing() {
    let folder = tempfile::tempdir().unwrap();
    let zone = zone(folder.path());
    let answer = json(folder.path(), &["dns", "check", "silent.com", "--zone", &zone, "--fail-on", "info"]);
    for row in answer["rows"].as_array().unwrap() {
        let code = row["code"].as_str().unwrap_or_default();
        assert!(!code.ends_with("-NONE") && !code.ends_with("-ENT"), "{row}");
    }
    assert_eq!(answer["rows"][0]["code"], "DNS-UNREACHABLE");
    assert!(answer["totals"]["not_known"].as_u64().unwrap() > 5, "{}", answer["totals"]);
    let wrong = run(folder.path(), &["dns", "check", "example.com", "--zone", &zone, "--fail-on", "bad"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
}

#[test]
fn watching_what_does_not_change_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let zone = zone(folder.path());
    let arguments = ["dns", "watch", "example.com", "--zone", &zone, "--rounds", "2", "--every", "1s"];
    let output = run(folder.path(), &arguments);
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), ""), "{}", output.stderr);
    assert!(output.stderr.contains("example.com: grade F"), "{}", output.stderr);
}
