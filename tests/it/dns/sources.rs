//! Names of the sources of stored reports, by a zone.

use std::path::Path;

use crate::support::program::{Server, json, run};
use crate::support::sink::eventually;

/// A report with these sources, each with one message, at one domain.
fn report(sources: &[&str]) -> String {
    let records: Vec<String> = sources
        .iter()
        .map(|source| {
            format!(
                "<record><row><source_ip>{source}</source_ip><count>1</count><policy_evaluated>\
                 <disposition>none</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row>\
                 <identifiers><header_from>example.com</header_from></identifiers><auth_results/></record>"
            )
        })
        .collect();
    format!(
        "<feedback><report_metadata><org_name>reporter.test</org_name><email>r@reporter.test</email>\
         <report_id>{}</report_id><date_range><begin>1772323200</begin><end>1772409599</end></date_range>\
         </report_metadata><policy_published><domain>example.com</domain><p>none</p></policy_published>{}</feedback>",
        sources.len(),
        records.concat()
    )
}

/// The name and organisation of each source, by address.
fn names(folder: &Path) -> Vec<(String, Option<String>, Option<String>)> {
    let answer = json(folder, &["report", "sources", "--since", "2026-01-01", "--sort", "source_ip"]);
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let rows = answer["rows"].as_array().unwrap().iter();
    rows.map(|row| {
        let name = text(&row["source_name"]);
        (text(&row["source_ip"]).unwrap_or_default(), name, text(&row["source_organisation"]))
    })
    .collect()
}

#[test]
fn names_that_lead_back_are_shown_and_are_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let zone = "
1.2.0.192.in-addr.arpa. PTR mail-a.google.com.
mail-a.google.com. A 192.0.2.1
2.2.0.192.in-addr.arpa. PTR liar.google.com.
liar.google.com. A 192.0.2.99
;! fail 4.2.0.192.in-addr.arpa PTR servfail
6.2.0.192.in-addr.arpa. PTR mx.later.example.
mx.later.example. A 192.0.2.6
";
    std::fs::write(path.join("test.zone"), zone).unwrap();
    let configuration = "[store]\npath = \"m.db\"\n[dns]\nzone = \"test.zone\"\n";
    std::fs::write(path.join("mailsonde.toml"), configuration).unwrap();
    let sources = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "no address"];
    std::fs::write(path.join("first.xml"), report(&sources)).unwrap();
    // Without the option nothing is looked up.
    assert!(run(path, &["import", "first.xml"]).status.success());
    assert!(names(path).iter().all(|(_, name, _)| name.is_none()));
    std::fs::write(path.join("second.xml"), report(&[&sources[..], &["192.0.2.6"]].concat())).unwrap();
    let output = run(path, &["import", "--resolve", "second.xml"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = names(path);
    let name_of = |source: &str| {
        let row = found.iter().find(|(address, ..)| address == source).unwrap();
        row.1.clone()
    };
    assert_eq!(name_of("192.0.2.1").as_deref(), Some("mail-a.google.com"));
    assert_eq!(name_of("192.0.2.6").as_deref(), Some("mx.later.example"));
    for source in ["192.0.2.2", "192.0.2.3", "192.0.2.4", "no address"] {
        assert_eq!(name_of(source), None, "{source}");
    }
    let google = found.iter().find(|(address, ..)| address == "192.0.2.1").unwrap();
    assert!(google.2.as_deref().is_some_and(|name| name.contains("Google")), "{google:?}");
    let liar = found.iter().find(|(address, ..)| address == "192.0.2.2").unwrap();
    assert_eq!(liar.2, None, "a name that does not lead back is no evidence");
    // What was looked up is believed for a while: a changed zone changes nothing yet.
    std::fs::write(path.join("test.zone"), zone.replace("mail-a", "mail-b")).unwrap();
    assert!(run(path, &["import", "--resolve", "second.xml"]).status.success());
    assert_eq!(names(path), found);
}

#[test]
fn a_zone_file_with_a_fault_is_wrong_use_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("test.zone"), "a.test. A x\n").unwrap();
    let configuration = "[store]\npath = \"m.db\"\n[dns]\nzone = \"test.zone\"\n";
    std::fs::write(path.join("mailsonde.toml"), configuration).unwrap();
    std::fs::write(path.join("first.xml"), report(&["192.0.2.1"])).unwrap();
    let output = run(path, &["import", "--resolve", "first.xml"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("test.zone:1"), "{said}");
    assert_eq!(names(path).len(), 1, "the report was kept");
}

#[test]
fn serve_looks_names_up_beside_everything_else() {
    let folder = tempfile::tempdir().unwrap();
    let zone = "1.2.0.192.in-addr.arpa. PTR mx.other.example.\nmx.other.example. A 192.0.2.1\n";
    std::fs::write(folder.path().join("test.zone"), zone).unwrap();
    let configuration = "[store]\npath = \"mailsonde.db\"\n[dns]\nzone = \"test.zone\"\n[sources]\nresolve = true\n\
                         [[listener]]\naddress = \"127.0.0.1:0\"\n";
    std::fs::write(folder.path().join("mailsonde.toml"), configuration).unwrap();
    // Reports of the last weeks are looked up.
    let now = mailsonde::clock::now().seconds();
    let recent = report(&["192.0.2.1"])
        .replace("1772323200", &(now - 2 * 86_400).to_string())
        .replace("1772409599", &(now - 86_400).to_string());
    std::fs::write(folder.path().join("recent.xml"), recent).unwrap();
    assert!(run(folder.path(), &["import", "recent.xml"]).status.success());
    let server = Server::start_in(folder, &[]);
    eventually("the source has its name", || {
        names(server.folder.path()).iter().any(|(_, name, _)| name.as_deref() == Some("mx.other.example"))
    });
}
