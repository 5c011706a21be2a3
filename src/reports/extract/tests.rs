use std::io::Write;

use super::*;
use crate::clock::Timestamp;

const CONTEXT: DigestContext<'static> = DigestContext {
    now: Timestamp::from_seconds(1_772_500_000),
    from_domain: None,
    file_name: "",
    subject: "",
    tls_report: (None, None),
};

fn report(id: &str, records: usize) -> String {
    use std::fmt::Write as _;
    let mut text = format!(
        "<feedback><report_metadata><org_name>o</org_name><report_id>{id}</report_id><date_range><begin>1772323200\
         </begin><end>1772409599</end></date_range></report_metadata><policy_published><domain>example.com</domain>\
         <p>none</p></policy_published>"
    );
    for number in 0..records {
        let _ = write!(
            text,
            "<record><row><source_ip>192.0.2.{}</source_ip><count>1</count><policy_evaluated><disposition>none\
             </disposition><dkim>pass</dkim><spf>pass</spf></policy_evaluated></row><identifiers><header_from>\
             example.com</header_from></identifiers></record>",
            number % 250
        );
    }
    text + "</feedback>"
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(data).unwrap();
    writer.finish().unwrap()
}

/// One line for each finding: what it is, and messages summed from the rows for reports.
fn lines(bytes: &[u8], file_name: &str, is_body: bool) -> Vec<String> {
    let mut out = Vec::new();
    let leaf = Leaf { bytes, place: "leaf", file_name, is_body, is_report_type: true, is_unpacked: false };
    extract(leaf, &CONTEXT, &Budget::default(), &mut |finding| {
        out.push(match finding {
            Finding::Aggregate { digest, records, .. } => {
                let mut sum = 0;
                records
                    .each(&mut |record| {
                        sum += record.messages();
                        ControlFlow::Continue(())
                    })
                    .unwrap();
                assert_eq!(sum, digest.messages);
                let how = if matches!(records, Records::Memory(_)) { "memory" } else { "replay" };
                format!("{} {sum} {how}", digest.key.report_id)
            }
            Finding::Tls { digest, .. } => format!("tls {}", digest.failed()),
            Finding::TlsUnreadable(error) => format!("unread tls: {}", error.reason),
            Finding::Mail { bytes, .. } => format!("mail {}", bytes.len()),
            Finding::Unreadable(error) => format!("{:?} {}", error.kind, error.place),
            Finding::NotReport { what, .. } => what,
        });
    });
    out
}

#[test]
fn findings_by_content() {
    let one = report("1", 3);
    let cases: Vec<(Vec<u8>, &str, bool, Vec<&str>)> = vec![
        (one.clone().into_bytes(), "x.pdf", false, vec!["1 3 memory"]),
        (one.clone().into_bytes(), "", true, vec!["1 3 memory"]),
        (gzip(one.as_bytes()), "x.zip", false, vec!["1 3 memory"]),
        (gzip(&gzip(one.as_bytes())), "x.xml.gz.gz", false, vec!["1 3 memory"]),
        (format!("{one}{}", report("2", 1)).into_bytes(), "", false, vec!["1 3 memory", "2 1 memory"]),
        (format!("{one}<feedback><record>").into_bytes(), "", false, vec!["1 3 memory", "Truncated leaf"]),
        (
            gzip(format!("{one}<feedback><record>").as_bytes())[..40].to_vec(),
            "",
            false,
            vec!["Truncated leaf"],
        ),
        (gzip(report("big", 2_001).as_bytes()), "", false, vec!["big 2001 replay"]),
        (gzip(b"unused"), "", false, vec!["Empty leaf"]),
        (gzip(b"unused"), "notes.txt", false, vec!["placeholder"]),
        (gzip(b"unused"), "x.xml.gz", false, vec!["Empty leaf"]),
        (Vec::new(), "x.xml.gz", false, vec!["Empty leaf"]),
        (Vec::new(), "", true, vec![]),
        (b"hello".to_vec(), "", true, vec!["text"]),
        (b"unused".to_vec(), "", true, vec!["placeholder"]),
        (b"hello".to_vec(), "report.xml", false, vec!["Malformed leaf"]),
        (gzip(b"hello"), "example.com.gz", false, vec!["Malformed leaf"]),
        (gzip(b"hello"), "notes.txt.gz", false, vec!["text"]),
        (gzip(b""), "Table.CSV.gz", false, vec!["empty"]),
        (b"%PDF-1.4".to_vec(), "offer.pdf", false, vec!["PDF"]),
        (b"<html></html>".to_vec(), "", true, vec!["HTML"]),
        (b"<rss version='2'/>".to_vec(), "", false, vec!["XML document `rss`"]),
        (b"<?xml version='1.0'?>".to_vec(), "", false, vec!["Malformed leaf"]),
        (b"BZh91AY&SY".to_vec(), "x.xml.bz2", false, vec!["Unsupported leaf"]),
        (gzip(b"{\"organization-name\":1,\"policies\":[]}"), "", false, vec!["tls 0"]),
        (b"From: a@b\r\nTo: c\r\n\r\nx".to_vec(), "a.eml", false, vec!["mail 21"]),
        (b"From: a@b\r\nTo: c\r\n\r\nx".to_vec(), "", true, vec!["mail"]),
    ];
    for (bytes, name, is_body, want) in cases {
        assert_eq!(lines(&bytes, name, is_body), want, "{name} {is_body}");
    }
}

#[test]
fn a_large_report_is_read_again_from_its_entry() {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in
        [("a", report("a", 2_500)), ("b", report("b1", 2_100) + &report("b2", 2_200)), ("c", report("c", 5))]
    {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    let bytes = zip.finish().unwrap().into_inner();
    let want = ["a 2500 replay", "b1 2100 replay", "b2 2200 replay", "c 5 memory"];
    assert_eq!(lines(&bytes, "", false), want);
    assert_eq!(lines(&gzip(&bytes), "", false), want);
}

#[test]
fn few_records_of_many_long_texts_are_not_held_in_memory() {
    let long = "a".repeat(limits::HEADER_TEXT_BYTES * 2);
    let results = format!("<dkim><domain>{long}</domain><result>{long}</result></dkim>").repeat(50);
    let fat = format!(
        "<identifiers><envelope_from>{long}</envelope_from></identifiers><auth_results>{results}</auth_results>\
         </record>"
    );
    let text = report("fat", 60).replace("</record>", &fat);
    let mut kept = 0;
    let leaf = Leaf {
        bytes: text.as_bytes(),
        place: "leaf",
        file_name: "",
        is_body: false,
        is_report_type: true,
        is_unpacked: false,
    };
    extract(leaf, &CONTEXT, &Budget::default(), &mut |finding| {
        let Finding::Aggregate { digest, records, .. } = finding else { panic!("{finding:?}") };
        assert!(matches!(records, Records::Replay(_)));
        assert!(digest.deviations.names().any(|name| name == crate::reports::quirk::TEXT_CUT));
        let each = &mut |record: &Record| {
            kept += 1;
            let most = 3 * limits::HEADER_TEXT_BYTES * (50 + 1);
            assert!(record.memory_bytes() < most, "{} bytes", record.memory_bytes());
            ControlFlow::Continue(())
        };
        records.each(each).unwrap();
    });
    assert_eq!(kept, 60);
}

#[test]
fn no_cut_is_half_counted() {
    let whole = report("1", 2);
    for cut in 0..whole.len() {
        let found = lines(&whole.as_bytes()[..cut], "", false);
        assert!(found.iter().all(|line| !line.starts_with("1 ") || line == "1 2 memory"), "{cut}: {found:?}");
    }
}

#[test]
fn counts_that_cannot_be_make_the_report_unread() {
    let largest = i64::MAX.to_string();
    for (counts, want) in [
        ([limits::REPORT_MESSAGES.to_string(), "0".to_owned()], "Aggregate"),
        ([limits::REPORT_MESSAGES.to_string(), "1".to_owned()], "Malformed"),
        ([largest.clone(), largest], "Malformed"),
    ] {
        let mut text = report("1", 2);
        for count in counts {
            text = text.replacen("<count>1</count>", &format!("<count>{count} </count>"), 1);
        }
        let mut found = Vec::new();
        let leaf = Leaf {
            bytes: text.as_bytes(),
            place: "leaf",
            file_name: "",
            is_body: false,
            is_report_type: true,
            is_unpacked: false,
        };
        extract(leaf, &CONTEXT, &Budget::default(), &mut |finding| {
            found.push(match finding {
                Finding::Aggregate { .. } => "Aggregate".to_owned(),
                Finding::Unreadable(error) => format!("{:?}", error.kind),
                other => format!("{other:?}"),
            });
        });
        assert_eq!(found, [want], "{text}");
    }
}

/// An empty part without a name stands in place of a report only where reports could come.
#[test]
fn empty_parts() {
    for (file_name, is_report_type, want) in [
        ("", true, "unread"),
        ("", false, "other"),
        ("icon.png", true, "other"),
        ("a!b!1!2.xml", false, "unread"),
        ("x.xml.gz", false, "unread"),
    ] {
        let mut found = Vec::new();
        let leaf = Leaf {
            bytes: b" \r\n",
            place: "leaf",
            file_name,
            is_body: false,
            is_report_type,
            is_unpacked: false,
        };
        extract(leaf, &CONTEXT, &Budget::default(), &mut |finding| {
            found.push(if matches!(finding, Finding::Unreadable(_)) { "unread" } else { "other" });
        });
        assert_eq!(found, [want], "{file_name:?} {is_report_type}");
    }
}
