//! `dns check` and `dns watch` on zones of our own.

#![expect(clippy::unwrap_used, reason = "in a test an error is a failure")]

use std::path::Path;

use crate::support::program::{self, json_said as json, say as run};

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

#[test]
fn a_check_says_what_to_publish_and_how_bad_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let zone = zone(folder.path());
    let output = run(folder.path(), &["dns", "check", "example.com", "--zone", &zone]);
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    for want in [
        "example.com: grade F",
        "critical  DNS-ORPHAN  vendor.example",
        "error     SPF-MULTI",
        "    + example.com. TXT \"v=spf1 ip4:198.50.1.0/24 mx include:_spf.vendor.example ~all\"",
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

/// A report of yesterday: mail that passes by SPF alone, mail of a service whose envelope is its own, mail of a list.
fn report(folder: &Path) {
    let now = mailsonde::clock::now().ms() / 1_000;
    let begin = now - now % 86_400 - 86_400;
    let record = |source: &str, count: u32, spf: &str, dkim: &str, envelope: &str, reason: &str| {
        format!(
            "<record><row><source_ip>{source}</source_ip><count>{count}</count><policy_evaluated><disposition>none\
             </disposition><dkim>{dkim}</dkim><spf>{spf}</spf>{reason}</policy_evaluated></row><identifiers>\
             <header_from>orders.com</header_from></identifiers><auth_results><dkim><domain>orders.com</domain>\
             <selector>s1</selector><result>{dkim}</result></dkim><spf><domain>{envelope}</domain><scope>mfrom</scope>\
             <result>pass</result></spf></auth_results></record>"
        )
    };
    let list = "<reason><type>mailing_list</type></reason>";
    let text = format!(
        "<feedback><report_metadata><org_name>r.example</org_name><email>r@r.example</email><report_id>1</report_id>\
         <date_range><begin>{begin}</begin><end>{}</end></date_range></report_metadata><policy_published>\
         <domain>orders.com</domain><p>none</p></policy_published>{}{}{}</feedback>",
        begin + 86_399,
        record("198.50.1.1", 300, "pass", "fail", "orders.com", ""),
        record("198.50.1.7", 200, "fail", "pass", "bounce.vendor.example", ""),
        record("198.50.1.8", 3, "fail", "pass", "lists.example", list),
    );
    std::fs::write(folder.join("r.xml"), text).unwrap();
    assert_eq!(run(folder, &["import", "r.xml"]).code, Some(0));
}

/// What reports say beside DNS: told where a store has any, and the check is the same without.
#[test]
fn reports_that_are_stored_make_findings() {
    let folder = tempfile::tempdir().unwrap();
    let zone = "com. SOA a. b. 1 2 3 4 5\norders.com. SOA a. b. 1 2 3 4 5\norders.com. MX 10 mx.orders.com.\n\
                mx.orders.com. A 198.50.1.1\norders.com. TXT \"v=spf1 mx ip4:198.50.1.9 -all\"\n\
                _dmarc.orders.com. TXT \"v=DMARC1; p=reject; rua=mailto:d@orders.com\"\n";
    std::fs::write(folder.path().join("o.zone"), zone).unwrap();
    let found = || -> Vec<String> {
        let answer = json(folder.path(), &["dns", "check", "orders.com", "--zone", "o.zone"]);
        let rows = answer["rows"].as_array().unwrap().iter();
        rows.map(|row| format!("{} {}", row["code"].as_str().unwrap(), row["subject"].as_str().unwrap()))
            .collect()
    };
    let wanted = [
        "DMARC-SPFONLY orders.com",
        "DMARC-REJECT-USERS orders.com",
        "DMARC-PUBLISHED orders.com",
        "SPF-ALIGN bounce.vendor.example",
        "SPF-HELO mx.orders.com",
        "DKIM-GONE s1._domainkey.orders.com",
    ];
    let without = found();
    assert!(wanted.iter().all(|line| !without.contains(&(*line).to_owned())), "{without:?}");
    report(folder.path());
    let with = found();
    for line in wanted {
        assert!(with.contains(&line.to_owned()), "{line} is not in {with:?}");
    }
    // One day of reports is too little to call a term unused.
    assert!(!with.iter().any(|line| line.starts_with("SPF-UNUSED")), "{with:?}");
}

/// Many domains from standard input, for `check` and `watch`; what is no domain is told with its line.
#[test]
fn domains_come_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let zone = zone(folder.path());
    let with_input = |arguments: &[&str], input: &str| {
        let mut command = program::mailsonde(folder.path());
        command.args(arguments).args(["--zone", &zone]).stdin(std::process::Stdio::piped());
        let mut child = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let list = "# ours\nexample.com\n\n  silent.com \nexample.com\n";
    let (_, out, _) = with_input(&["dns", "check", "-", "com", "--format", "csv"], list);
    let first = |line: &str| line.split(',').next().unwrap().to_owned();
    let mut domains: Vec<String> = out.lines().skip(1).map(first).collect();
    domains.dedup();
    assert_eq!(domains, ["example.com", "silent.com", "com"]);
    let (code, out, err) = with_input(&["dns", "watch", "-", "--rounds", "1"], list);
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    assert!(err.contains("example.com: grade") && err.contains("silent.com: grade"), "{err}");
    let (code, _, err) = with_input(&["dns", "watch", "-", "--rounds", "1"], "a b\n");
    assert!(code == Some(2) && err.contains("no domain"), "{err}");
    let (code, _, err) = with_input(&["dns", "check", "-"], "\n");
    assert!(code == Some(2) && err.contains("standard input"), "{err}");
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
    let told = run(folder.path(), &["dns", "check", "silent.com", "--zone", &zone]);
    let reasons = told.stdout.split("\nnot known\n").nth(1).unwrap_or_default();
    assert!(reasons.contains("timeout") && reasons.contains("STS-FETCH"), "{}", told.stdout);
    for wrong in [&["--fail-on", "bad"][..], &["--smtp"], &["--smtp", "--dns-only"]] {
        let arguments = [&["dns", "check", "example.com", "--zone", &zone], wrong].concat();
        let wrong = run(folder.path(), &arguments);
        assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
    }
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
