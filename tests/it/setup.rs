//! `setup` over zone files and a scripted server, its proof with a running `serve`, `check` for monitoring, and what
//! an empty store says.

use std::fmt::Write as _;

use crate::support::dns::{Behavior, DnsServer};
use crate::support::program::{self, json_said as json, say as run};

/// Our own domain, of which nothing is published but its zone, and two domains to be watched.
const ZONE: &str = "\
example.com.         SOA ns1.example.com. hostmaster.example.com. 7 7200 3600 1209600 3600
example.com.         NS ns1.example.com.
ns1.example.com.     A 198.51.7.1
example.com.         MX 10 mx.example.com.
example.com.         TXT \"v=spf1 mx -all\"
mx.example.com.      A 198.51.7.2
_dmarc.example.com.  TXT \"v=DMARC1; p=quarantine; rua=mailto:old@example.com; fo=1\"
example.org.         SOA ns1.example.com. hostmaster.example.com. 7 7200 3600 1209600 3600
example.org.         MX 10 mx.example.com.
_smtp._tls.example.org. TXT \"v=TLSRPTv1; rua=mailto:tls@monitor.example.net\"
example.net.         SOA ns1.example.com. hostmaster.example.com. 7 7200 3600 1209600 3600
com.                 SOA a. b. 1 2 3 4 5
org.                 SOA a. b. 1 2 3 4 5
net.                 SOA a. b. 1 2 3 4 5
";

const CONFIGURATION: &str = "\
[smtp]
host_name = \"mx.monitor.example.net\"
[[recipient]]
address = \"dmarc@monitor.example.net\"
purpose = \"reports\"
[[recipient]]
address = \"tls@monitor.example.net\"
purpose = \"tls\"
[[recipient]]
address = \"probe@monitor.example.net\"
purpose = \"probe\"
[[domain]]
name = \"example.com\"
[[domain]]
name = \"example.org\"
";

/// A folder with the configuration and a zone.
fn folder(zone: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mailsonde.toml"), CONFIGURATION).unwrap();
    std::fs::write(folder.path().join("now.zone"), zone).unwrap();
    folder
}

#[test]
fn the_whole_changed_record_is_printed_with_what_it_replaces() {
    let folder = folder(ZONE);
    let said =
        run(folder.path(), &["setup", "example.com", "--zone", "now.zone", "--address", "203.0.113.25"]);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    for want in [
        "change     _dmarc.example.com TXT",
        "now:     TXT \"v=DMARC1; p=quarantine; rua=mailto:old@example.com; fo=1\"",
        "publish: TXT \"v=DMARC1; p=quarantine; rua=mailto:old@example.com,mailto:dmarc@monitor.example.net; fo=1\"",
        "in zone: example.com, where its name is _dmarc",
        "add        example.com._report._dmarc.monitor.example.net TXT",
        "in zone: example.net, where its name is example.com._report._dmarc.monitor",
        "publish: TXT \"v=TLSRPTv1; rua=mailto:tls@monitor.example.net\"",
        "publish: MX 10 mx.monitor.example.net.",
        "publish: A 203.0.113.25",
        "publish: TXT \"v=spf1 -all\"",
        "5 to add, 1 to change, 0 by hand, 0 not known; 0 in place",
    ] {
        assert!(said.stdout.contains(want), "{want} is not in\n{}", said.stdout);
    }
    assert!(!said.stdout.contains("ruf=") && !said.stdout.contains("*._report"), "{}", said.stdout);
    assert!(said.stderr.contains("24 to 72 hours") && said.stderr.contains("--verify"), "{}", said.stderr);
    // Nothing is changed about the domain's own senders.
    assert!(!said.stdout.contains("v=spf1 mx"), "{}", said.stdout);
}

/// The lines of the zone file are read by a zone file reader, and once published there is nothing to do.
#[test]
fn what_is_printed_is_valid_and_is_all_that_is_needed() {
    let folder = folder(ZONE);
    let arguments = [
        "setup",
        "--zone",
        "now.zone",
        "--address",
        "203.0.113.25",
        "--address",
        "2a00:1450::25",
        "--format",
        "zone",
    ];
    let said = run(folder.path(), &arguments);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    let replaced: Vec<&str> = said
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix(";   replaces: ")?.split_once(". IN ").map(|(name, _)| name))
        .collect();
    assert_eq!(replaced, ["_dmarc.example.com"]);
    let kept = ZONE.lines().filter(|line| !replaced.iter().any(|name| line.starts_with(&format!("{name}."))));
    let mut after: String = kept.fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "{line}");
        all
    });
    after.push_str(&said.stdout);
    std::fs::write(folder.path().join("after.zone"), after).unwrap();
    let said = run(folder.path(), &["setup", "--zone", "after.zone", "--address", "203.0.113.25"]);
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("nothing to do: every record is in place"), "{}", said.stdout);
    let answer = json(folder.path(), &["setup", "--zone", "after.zone"]);
    for row in answer["rows"].as_array().unwrap() {
        assert!(row["state"] == "in-place" && row["new"].is_null() && row["old"][0].is_string(), "{row}");
    }
}

#[test]
fn formats_for_programs_have_every_part() {
    let folder = folder(ZONE);
    let answer = json(
        folder.path(),
        &["setup", "--zone", "now.zone", "--wildcard", "--rua", "x@monitor.example.net", "--ruf"],
    );
    assert_eq!((&answer["view"], &answer["totals"]["not_known"]), (&"setup".into(), &0.into()));
    let rows = answer["rows"].as_array().unwrap();
    let first = &rows[0];
    assert_eq!(first["relative_name"], "_dmarc");
    assert_eq!(
        first["new"],
        "\"v=DMARC1; p=quarantine; rua=mailto:old@example.com,mailto:x@monitor.example.net; fo=1; \
         ruf=mailto:x@monitor.example.net\""
    );
    assert!(first["risk"].as_str().unwrap().contains("persons"));
    let wild: Vec<_> = rows.iter().filter(|row| row["kind"] == "authorization").collect();
    assert_eq!(wild.len(), 1);
    assert_eq!(wild[0]["name"], "*._report._dmarc.monitor.example.net");
    assert!(wild[0]["risk"].as_str().unwrap().contains("any domain"));
    let said = run(folder.path(), &["setup", "--zone", "now.zone", "--format", "csv"]);
    assert!(
        said.stdout.starts_with("domain,kind,state,name,zone,relative_name,type,old,new,reason,notes,risk\n")
    );
    assert_eq!(said.stdout.lines().count(), 1 + 9, "{}", said.stdout);
}

#[test]
fn wrong_use_is_told() {
    let bare = tempfile::tempdir().unwrap();
    std::fs::write(bare.path().join("now.zone"), ZONE).unwrap();
    let folder = folder(ZONE);
    for (at, arguments, want) in [
        (bare.path(), vec!["setup", "example.com", "--zone", "now.zone"], "no address of ours takes reports"),
        (bare.path(), vec!["setup"], "no domain named"),
        (folder.path(), vec!["setup", "--ruf", "--zone", "now.zone"], "takes failure reports"),
        (folder.path(), vec!["setup", "--rua", "nonsense", "--zone", "now.zone"], "--rua: no address"),
        (folder.path(), vec!["setup", "a b"], "no domain"),
        (folder.path(), vec!["setup", "--verify", "--format", "zone", "--zone", "now.zone"], "--format zone"),
        (folder.path(), vec!["config", "check", "--format", "zone"], "--format zone: only `setup`"),
        (folder.path(), vec!["setup", "--route", "x"], "--verify"),
        (folder.path(), vec!["setup", "--verify", "--route", "x", "--zone", "now.zone"], "--route"),
    ] {
        let said = run(at, &arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}{}", said.stdout, said.stderr);
        assert!(said.stderr.contains(want), "{arguments:?}: {}", said.stderr);
    }
    // Without a configuration an address is enough; its own domain is then somebody else's.
    let said =
        run(bare.path(), &["setup", "example.com", "--zone", "now.zone", "--rua", "dmarc@example.com"]);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(
        said.stdout.contains("mailto:dmarc@example.com; fo=1") && !said.stdout.contains("_report"),
        "{}",
        said.stdout
    );
}

/// A server that fails makes nothing absent: no record is proposed in the place of one that is not seen.
#[test]
fn a_failing_server_proposes_nothing() {
    let server = DnsServer::start(ZONE);
    server.behave("_dmarc.example.com", None, Behavior::Code(2, None));
    server.behave("_smtp._tls.example.org", None, Behavior::Code(5, None));
    server.behave("monitor.example.net", None, Behavior::Code(2, None));
    let folder = tempfile::tempdir().unwrap();
    let dns = format!("{CONFIGURATION}[dns]\nservers = [\"{}\"]\nattempts = 1\n", server.address);
    std::fs::write(folder.path().join("mailsonde.toml"), dns).unwrap();
    let answer = json(folder.path(), &["setup"]);
    let of = |kind: &str, domain: &str| {
        let rows = answer["rows"].as_array().unwrap();
        rows.iter().find(|row| row["kind"] == kind && row["domain"] == domain).unwrap().clone()
    };
    for (kind, domain) in
        [("dmarc", "example.com"), ("tls-rpt", "example.org"), ("mx", "monitor.example.net")]
    {
        let row = of(kind, domain);
        assert!(row["state"] == "not-known" && row["new"].is_null(), "{row}");
    }
    assert_eq!(of("tls-rpt", "example.com")["state"], "add");
}

/// A mail through a route arrives at the running program, and every step says what it saw.
#[test]
fn the_proof_ends_with_a_mail_that_arrives() {
    let server = program::Server::start(&[
        ("dmarc@monitor.example.net", "reports"),
        ("tls@monitor.example.net", "tls"),
        ("probe@monitor.example.net", "probe"),
    ]);
    let route = format!(
        "[store]\npath = \"mailsonde.db\"\n[sender.relay]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
         [route.out]\nsender = \"relay\"\nto = \"probe+{{token}}@monitor.example.net\"\nfrom = \"me@example.com\"\n",
        server.smtp.port()
    );
    std::fs::write(server.path().join("verify.toml"), format!("{CONFIGURATION}{route}")).unwrap();
    let zone = format!(
        "{ZONE}monitor.example.net. MX 10 mx.monitor.example.net.\nmx.monitor.example.net. A 127.0.0.1\n\
         example.com._report._dmarc.monitor.example.net. TXT \"v=DMARC1\"\n"
    );
    std::fs::write(server.path().join("now.zone"), zone).unwrap();
    let port = server.smtp.port().to_string();
    let common =
        ["setup", "example.com", "--config", "verify.toml", "--zone", "now.zone", "--verify", "--port"];
    let with_port = |port: &str| {
        let mut all = common.to_vec();
        all.push(port);
        json(server.path(), &all)
    };
    let answer = with_port(&port);
    let proof = |step: &str| -> Vec<String> {
        let rows = answer["rows"].as_array().unwrap().iter().filter(|row| row["step"] == step);
        rows.map(|row| row["proof"].as_str().unwrap().to_owned()).collect()
    };
    for (step, want) in [("authorization", "yes"), ("dmarc", "no"), ("hand-over", "yes"), ("arrival", "yes")]
    {
        assert_eq!(proof(step), [want], "{step} in {answer}");
    }
    let mend = answer["rows"][0]["mend"].as_str().unwrap();
    assert!(mend.contains("mailto:old@example.com,mailto:dmarc@monitor.example.net"), "{mend}");
    // Without a route that step is not done, and how to do it is said.
    std::fs::write(server.path().join("bare.toml"), CONFIGURATION).unwrap();
    let bare =
        ["setup", "example.com", "--config", "bare.toml", "--zone", "now.zone", "--verify", "--port", &port];
    let said = run(server.path(), &bare);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stdout.contains("the configuration has no route"), "{}", said.stdout);
    assert!(said.stderr.contains("example.com: no DMARC report yet"), "{}", said.stderr);
}

/// A far end that takes the mail and loses it: the wait ends, and nothing is claimed.
#[test]
fn a_mail_that_does_not_come_is_not_known() {
    let (elsewhere, here) = (program::Server::start(&[("probe@monitor.example.net", "probe")]), folder(ZONE));
    let route = format!(
        "[sender.relay]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
         [route.out]\nsender = \"relay\"\nto = \"probe@monitor.example.net\"\nfrom = \"me@example.com\"\n",
        elsewhere.smtp.port()
    );
    let route = route.replace("probe@monitor", "probe+{token}@monitor");
    std::fs::write(here.path().join("mailsonde.toml"), format!("{CONFIGURATION}{route}")).unwrap();
    // The database exists, and nobody reads what comes.
    program::run(here.path(), &["domains", "list"]);
    let said = run(here.path(), &["domains", "add", "example.com"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let said = run(here.path(), &["setup", "--zone", "now.zone", "--verify", "--wait", "1s"]);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stdout.contains("not within 1 s"), "{}", said.stdout);
    assert!(said.stdout.contains("no MX host with a known address"), "{}", said.stdout);
    assert!(said.stdout.contains("is `mailsonde serve` running"), "{}", said.stdout);
}

// ---- An empty store ----

#[test]
fn an_empty_store_says_what_to_do() {
    let folder = folder(ZONE);
    let said = run(folder.path(), &["report"]);
    assert_eq!(said.code, Some(3));
    assert!(said.stderr.contains("mailsonde setup DOMAIN"), "{}", said.stderr);
    run(folder.path(), &["domains", "add", "example.com"]);
    for view in ["summary", "sources", "tls", "messages", "probes"] {
        let said = run(folder.path(), &["report", view]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        for want in ["nothing is stored yet", "mailsonde setup example.com example.org", "24 to 72 hours"] {
            assert!(said.stdout.contains(want), "{view}: {}", said.stdout);
        }
        let said = run(folder.path(), &["report", view, "--format", "json"]);
        let answer: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        assert!(answer["rows"].is_array(), "{answer}");
        assert!(said.stderr.contains("nothing is stored yet"), "{}", said.stderr);
        let said = run(folder.path(), &["report", view, "--format", "csv", "-q"]);
        assert_eq!((said.stdout.lines().count(), said.stderr.as_str()), (1, ""), "{}", said.stdout);
    }
    // With anything in it, it is an answer like any other.
    std::fs::write(folder.path().join("m.eml"), "Subject: x\r\n\r\nhello\r\n").unwrap();
    run(folder.path(), &["import", "m.eml"]);
    let said = run(folder.path(), &["report"]);
    assert!(!said.stdout.contains("nothing is stored yet"), "{}", said.stdout);
}

// ---- Monitoring ----

/// A domain with nothing wrong but what the options make of it.
#[test]
fn a_plug_in_speaks_in_one_line_with_its_own_exit_codes() {
    let silent = ";! fail silent.com. * timeout\n;! fail _dmarc.silent.com. * timeout\n";
    let folder = folder(&format!("{ZONE}{silent}"));
    let check = |more: &[&str]| {
        let mut all = vec!["check", "example.com", "--zone", "now.zone"];
        all.extend(more);
        run(folder.path(), &all)
    };
    let said = check(&[]);
    let line = said.stdout.lines().next().unwrap();
    assert!(line.starts_with("MAILSONDE ") && line.contains(" - example.com: grade "), "{line}");
    let (_, data) = line.split_once(" | ").unwrap();
    let labels: Vec<&str> = data.split(' ').map(|one| one.split('=').next().unwrap()).collect();
    let all =
        ["criticals", "errors", "warnings", "not_known", "failing_percent", "messages", "report_age_hours"];
    assert_eq!(labels, all);
    let value = |label: &str| -> f64 {
        let one = data.split(' ').find_map(|one| one.strip_prefix(&format!("{label}="))).unwrap();
        one.split(';').next().unwrap().parse().unwrap()
    };
    let is_critical = value("errors") + value("criticals") > 0.0;
    let want = if is_critical { 2 } else { i32::from(value("warnings") > 0.0) };
    assert_eq!(said.code, Some(want), "{line}");
    let fine = ["--warn", "warnings=~:", "--crit", "errors=~:", "--crit", "criticals=~:"];
    let said = check(&fine);
    assert_eq!(said.code, Some(0), "{}", said.stdout);
    assert!(said.stdout.starts_with("MAILSONDE OK - "), "{}", said.stdout);
    let mut bad = fine.to_vec();
    bad.extend(["--crit", "not_known=@0:1000"]);
    assert_eq!(check(&bad).code, Some(2));
    // No report in a store that is not there: not known.
    let mut aged = fine.to_vec();
    aged.extend(["--crit", "report_age_hours=48"]);
    let said = check(&aged);
    assert_eq!(said.code, Some(3), "{}", said.stdout);
    assert!(said.stdout.contains("report_age_hours is not known"), "{}", said.stdout);
    for wrong in [
        vec!["check", "example.com", "--zone", "now.zone", "--warn", "x=1"],
        vec!["check", "example.com", "--zone", "gone.zone"],
        vec!["check", "exa mple.com", "--zone", "now.zone"],
        vec!["check"],
        vec!["--db", "x.db", "check", "example.com", "--nonsense"],
        vec!["check", "example.com", "--config", "gone.toml"],
    ] {
        let said = run(folder.path(), &wrong);
        assert_eq!(said.code, Some(3), "{wrong:?}: {}{}", said.stdout, said.stderr);
        assert!(said.stdout.starts_with("MAILSONDE UNKNOWN - "), "{wrong:?}: {}", said.stdout);
    }
}

/// A resolver that answers nothing says nothing of the domain.
#[test]
fn a_dead_resolver_is_unknown_and_a_dead_domain_is_critical() {
    let server = DnsServer::start(ZONE);
    let folder = tempfile::tempdir().unwrap();
    let dns = format!("{CONFIGURATION}[dns]\nservers = [\"{}\"]\nattempts = 1\n", server.address);
    std::fs::write(folder.path().join("mailsonde.toml"), dns).unwrap();
    for name in ["", "_dmarc.", "_smtp._tls.", "_mta-sts.", "default._bimi."] {
        server.behave(&format!("{name}example.com"), None, Behavior::Code(2, None));
    }
    let said = run(folder.path(), &["check", "example.com", "--dns-only"]);
    assert_eq!(said.code, Some(2), "{}", said.stdout);
    assert!(said.stdout.contains("DNS-UNREACHABLE"), "{}", said.stdout);
    server.behave_generally(Behavior::Code(5, None));
    let said = run(folder.path(), &["check", "example.com", "--dns-only"]);
    assert_eq!(said.code, Some(3), "{}", said.stdout);
    assert!(said.stdout.contains("no server answers us anything"), "{}", said.stdout);
}

/// Stored reports are in the line, with thresholds of their own.
#[test]
fn reports_have_their_share_in_the_line() {
    let folder = folder(ZONE);
    let now = mailsonde::clock::now().ms() / 1000;
    let (begin, end) = (now - 2 * 86_400, now - 86_400);
    let report = format!(
        "<feedback><report_metadata><org_name>a.example</org_name><email>a@a.example</email><report_id>1</report_id>\
         <date_range><begin>{begin}</begin><end>{end}</end></date_range></report_metadata>\
         <policy_published><domain>example.com</domain><p>none</p></policy_published>\
         <record><row><source_ip>192.0.2.1</source_ip><count>30</count><policy_evaluated><disposition>none</disposition>\
         <dkim>pass</dkim><spf>pass</spf></policy_evaluated></row><identifiers><header_from>example.com</header_from>\
         </identifiers><auth_results><spf><domain>example.com</domain><result>pass</result></spf></auth_results></record>\
         <record><row><source_ip>192.0.2.2</source_ip><count>10</count><policy_evaluated><disposition>none</disposition>\
         <dkim>fail</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>example.com</header_from>\
         </identifiers><auth_results><spf><domain>x.example</domain><result>pass</result></spf></auth_results></record>\
         </feedback>"
    );
    std::fs::write(folder.path().join("r.xml"), report).unwrap();
    let said = run(folder.path(), &["import", "r.xml"]);
    assert_eq!(said.code, Some(0), "{}", said.stdout);
    let check = |more: &[&str]| {
        let mut all = vec!["check", "example.com", "--zone", "now.zone", "--warn", "warnings=~:"];
        all.extend(["--crit", "errors=~:", "--crit", "criticals=~:"]);
        all.extend(more);
        run(folder.path(), &all)
    };
    let said = check(&["--warn", "failing_percent=30", "--warn", "report_age_hours=48"]);
    assert_eq!(said.code, Some(0), "{}", said.stdout);
    assert!(said.stdout.contains("25.00 % of 40 reported messages fail DMARC"), "{}", said.stdout);
    assert!(
        said.stdout.contains("failing_percent=25%;30;;0;100 messages=40;;;0 report_age_hours=24"),
        "{}",
        said.stdout
    );
    let said = check(&["--warn", "failing_percent=20"]);
    assert_eq!(said.code, Some(1), "{}", said.stdout);
    assert!(said.stdout.contains("failing_percent 25 (range 20)"), "{}", said.stdout);
    let said = check(&["--crit", "report_age_hours=12"]);
    assert_eq!(said.code, Some(2), "{}", said.stdout);
}
