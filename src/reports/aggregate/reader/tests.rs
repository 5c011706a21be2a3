use std::ops::ControlFlow;

use super::*;
use crate::reports::aggregate::{Disposition, Evaluated, Record, Source};

const RECORD: &str = "<record><row><source_ip>192.0.2.1</source_ip><count>3</count><policy_evaluated>\
    <disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row><identifiers>\
    <header_from>d.example</header_from></identifiers><auth_results><dkim><domain>d.example</domain>\
    <selector>s</selector><result>pass</result></dkim><spf><domain>b.example</domain><scope>mfrom</scope>\
    <result>fail</result></spf></auth_results></record>";

const HEAD: &str = "<feedback><version>1.0</version><report_metadata><org_name>Org</org_name>\
    <email>r@org.example</email><report_id>id-1</report_id><date_range><begin>1700000000</begin>\
    <end>1700086399</end></date_range></report_metadata><policy_published><domain>d.example</domain>\
    <adkim>r</adkim><aspf>r</aspf><p>none</p><sp>none</sp><pct>100</pct></policy_published>";

/// A report of the usual head and `records`.
fn report(records: &str) -> String {
    format!("<?xml version=\"1.0\"?>\n{HEAD}{records}</feedback>\n")
}

/// All reports of a document with their records.
fn read(bytes: &[u8]) -> Result<Vec<(ReadReport, Vec<Record>)>, Unreadable> {
    let mut reader = Reader::new(bytes);
    let mut all = Vec::new();
    loop {
        let mut records = Vec::new();
        let mut keep = |record: &mut Record| {
            records.push(record.clone());
            ControlFlow::Continue(())
        };
        match reader.next_report(&mut keep)? {
            Some(report) => all.push((report, records)),
            None => return Ok(all),
        }
    }
}

/// The only report of a document.
#[track_caller]
fn one(bytes: &[u8]) -> (ReadReport, Vec<Record>) {
    let mut all = read(bytes).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn names(report: &ReadReport) -> Vec<&'static str> {
    report.deviations.names().collect()
}

#[test]
fn a_plain_report() {
    let (read, records) = one(report(RECORD).as_bytes());
    assert_eq!(names(&read), Vec::<&str>::new());
    assert_eq!(read.report.org_name.as_deref(), Some("Org"));
    assert_eq!(read.report.policy.p.as_deref(), Some("none"));
    assert_eq!((read.begin, read.end), (Some(1_700_000_000), Some(1_700_086_399)));
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].source, Source::Ip("192.0.2.1".parse().unwrap()));
    assert_eq!(records[0].count, Some(3));
    assert_eq!(records[0].disposition, Disposition::None);
    assert!(records[0].passes_dmarc() && records[0].spf == Evaluated::Fail);
    assert_eq!(records[0].dkim_results[0].selector.as_deref(), Some("s"));
    assert_eq!(records[0].spf_results[0].scope.as_deref(), Some("mfrom"));
}

#[test]
fn repairs_are_noted() {
    let prefixed = report(RECORD).replace('<', "<d:").replace("<d:/", "</d:").replace("<d:?", "<?");
    let cases: Vec<(String, &[&str])> = vec![
        (report(RECORD).replace("<feedback", "<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\""), &[]),
        (
            report(RECORD).replace("<feedback", "<feedback xmlns='http//dmarc.org/x'"),
            &[quirk::NAMESPACE_UNKNOWN],
        ),
        (prefixed.replace("<d:feedback", "<d:feedback xmlns:d=\"urn:ietf:params:xml:ns:dmarc-2.0\""), &[]),
        (format!("\n \n{}", report(RECORD)), &[]),
        (format!("junk {}", report(RECORD)), &[quirk::TEXT_BEFORE_ROOT]),
        (report(RECORD).replace("?>", "\">"), &[quirk::DECLARATION_BROKEN]),
        (report(RECORD) + "\0\0\0", &[]),
        (report(RECORD) + "--boundary--", &[quirk::TRAILING_CONTENT]),
        (report(RECORD).replace("</feedback>\n", "</feedback"), &[quirk::ROOT_NOT_CLOSED]),
        (report(RECORD).replace("</feedback>\n", "</f"), &[quirk::ROOT_NOT_CLOSED]),
        (report(RECORD).replace("<feedback>", "<xs:schema a=\"b\"><feedback>"), &[quirk::SCHEMA_ELEMENT]),
        (report(RECORD).replace("<version>", "<xs:schema a=\"b\"><version>"), &[quirk::SCHEMA_ELEMENT]),
        (report(RECORD).replace("<feedback>", "<!DOCTYPE feedback><feedback>"), &[quirk::DOCTYPE_SKIPPED]),
        (report(RECORD).replace("source_ip>", "Source_IP>"), &[quirk::TAG_CAPITALIZED]),
        (report(RECORD).replace(">r@org.example<", "><r@org.example><"), &[quirk::MARKUP_IN_TEXT]),
        (report(RECORD).replace(">Org<", ">Org < Co<"), &[quirk::MARKUP_IN_TEXT]),
        (report(RECORD).replace(">Org<", ">Org <Co<"), &[quirk::MARKUP_IN_TEXT]),
        (report(RECORD).replace(">Org<", ">Org & Co<"), &[quirk::AMPERSAND_RAW]),
        (report(RECORD).replace(">Org<", ">Org\u{7}<"), &[quirk::CONTROL_CHARACTER]),
        (report(RECORD).replace(">Org<", ">&Eacute;<"), &[quirk::ENTITY_HTML]),
        (report(RECORD).replace("<version>", "<weather/><version>"), &[quirk::ELEMENT_UNKNOWN]),
        (report(RECORD).replace("<version>", "<extension><any>1</any></extension><version>"), &[]),
        (report(RECORD).replace("identifiers>", "identities>"), &[quirk::IDENTITIES_ALIAS]),
        (report(RECORD).replace("<sp>none</sp>", "<sp/>"), &[quirk::POLICY_NIL]),
        (report(RECORD).replace("</row>", ""), &[quirk::ELEMENT_NOT_CLOSED]),
        (report(RECORD).replace("</row>", "</row></column>"), &[quirk::END_TAG_STRAY]),
        (report(RECORD).replace("</record>", "</record></record>\n</record>"), &[quirk::END_TAG_STRAY]),
        (
            report(RECORD).replace("<record>", "<extras><row>1</row></extras><record>"),
            &[quirk::ELEMENT_UNKNOWN],
        ),
        (report(&format!("{RECORD}<record/>")), &[quirk::RECORD_EMPTY]),
        (report(RECORD).replace(">Org<", "><![CDATA[Org]]><"), &[]),
        (report(RECORD).replace(">Org<", ">O<!-- - > -->rg<"), &[]),
        (report(RECORD).replace("<email>", "<email lang='a>b'>"), &[]),
    ];
    for (text, want) in cases {
        let (read, records) = one(text.as_bytes());
        assert_eq!(names(&read), want, "{text}");
        assert_eq!(records.iter().map(Record::messages).sum::<u64>(), 3, "{text}");
        assert_eq!(records.len(), 1, "{text}");
        assert_eq!(read.report.report_id, "id-1", "{text}");
    }
}

#[test]
fn texts_are_joined() {
    let cases = [
        (">Org<", "><![CDATA[Org & <Co>]]><", "Org & <Co>"),
        (">Org<", ">Org<!-- c --> Ltd<", "Org Ltd"),
        (">Org<", "> Org &amp; Co &#233; <", "Org & Co é"),
        (">Org<", ">a <b@c> d<", "a <b@c> d"),
        (">Org<", ">a < b<", "a < b"),
        (">Org<", ">\u{a0}Org\u{a0}<", "Org"),
    ];
    for (from, to, want) in cases {
        let (read, _) = one(report(RECORD).replace(from, to).as_bytes());
        assert_eq!(read.report.org_name.as_deref(), Some(want));
    }
}

#[test]
fn several_roots_are_several_reports() {
    let text = format!("{}{}", report(RECORD), report(&RECORD.repeat(2)).replace("id-1", "id-2"));
    let all = read(text.as_bytes()).unwrap();
    let ids: Vec<_> =
        all.iter().map(|(read, records)| (read.report.report_id.as_str(), records.len())).collect();
    assert_eq!(ids, [("id-1", 1), ("id-2", 2)]);
}

#[test]
fn refusals_have_a_class() {
    let whole = report(&RECORD.repeat(2));
    let deep = report(&"<a>".repeat(100));
    let cases: Vec<(String, UnreadableKind)> = vec![
        (whole.replace("</record></feedback>", ""), UnreadableKind::Truncated),
        (whole.replace("</feedback>", ""), UnreadableKind::Truncated),
        (whole.replace("</feedback>", "<"), UnreadableKind::Truncated),
        (whole.replace("</feedback>", "</"), UnreadableKind::Truncated),
        (whole.replace("</record></feedback>", "</feedback>"), UnreadableKind::Malformed),
        (whole.replacen("<record>", "", 1), UnreadableKind::Malformed),
        (whole.replacen("<record><row>", "", 1), UnreadableKind::Malformed),
        // Seen from a program that cut everything between two domains.
        (
            report(RECORD).replace(
                &report(RECORD)
                    [report(RECORD).find("<adkim>").unwrap()..report(RECORD).find("<scope>").unwrap()],
                "",
            ),
            UnreadableKind::Malformed,
        ),
        (
            whole.replace("<feedback>", "<!DOCTYPE f [<!ENTITY a \"b\">]><feedback>"),
            UnreadableKind::Forbidden,
        ),
        (whole.replace("<version>", "<!DOCTYPE f [<!ENTITY a \"b\">]><version>"), UnreadableKind::Forbidden),
        (deep, UnreadableKind::TooLarge),
        (report(&"x".repeat(limits::XML_TEXT_BYTES + 1)), UnreadableKind::TooLarge),
        (report(&" ".repeat(1 << 20)), UnreadableKind::TooLarge),
        (report(&format!("<a b=\"{}\"/>", "x".repeat(1 << 20))), UnreadableKind::TooLarge),
        (report(&format!("<!--{}-->", "x".repeat(1 << 20))), UnreadableKind::TooLarge),
        (report(&format!("<![CDATA[{}]]>", "x".repeat(1 << 20))), UnreadableKind::TooLarge),
        (whole.replace("Org", &"<x@ ".repeat(5_000)), UnreadableKind::Malformed),
        ("<feedback></feedback>".to_owned(), UnreadableKind::Incomplete),
    ];
    for (text, kind) in cases {
        let error = read(text.as_bytes()).unwrap_err();
        assert_eq!(error.kind, kind, "{error:?} for {}", text.chars().take(3_000).collect::<String>());
    }
}

/// Whatever is missing in the middle of a report, it is never read as if a record had not been there.
#[test]
fn a_hole_costs_no_record_in_silence() {
    let text = report(&RECORD.repeat(2));
    let tags: Vec<usize> = text.match_indices('<').map(|(at, _)| at).collect();
    let starts: Vec<usize> = text.match_indices("<record>").map(|(at, _)| at).collect();
    let ends: Vec<usize> = text.match_indices("</record>").map(|(at, _)| at).collect();
    for from in tags.iter().copied().filter(|from| *from > 30) {
        for to in tags.iter().copied().filter(|to| *to > from) {
            // Records of which a part is left. A record that is gone whole leaves no trace.
            let is_torn = |(start, end): (&usize, &usize)| {
                let is_touched = to > *start && from <= *end;
                is_touched && (from > *start || to <= *end)
            };
            let torn = starts.iter().zip(&ends).filter(|pair| is_torn(*pair)).count();
            let whole = starts.iter().zip(&ends).filter(|(s, e)| to <= **s || from > **e).count();
            let hole = format!("{}{}", &text[..from], &text[to..]);
            let Ok(reports) = read(hole.as_bytes()) else { continue };
            let count: usize = reports.iter().map(|(_, records)| records.len()).sum();
            let notes = [quirk::RECORD_EMPTY, quirk::END_TAG_STRAY];
            let is_noted =
                reports.iter().any(|(read, _)| names(read).iter().any(|name| notes.contains(name)));
            let is_told = torn == 0 || count > whole || is_noted;
            assert!(count >= whole && is_told, "{count} of {whole} and {torn} torn: {hole}");
        }
    }
}

#[test]
fn other_documents_hold_no_report() {
    for (text, root) in
        [("", None), ("unused", None), ("<html><body/></html>", Some("html")), ("a < b", None)]
    {
        let mut reader = Reader::new(text.as_bytes());
        assert_eq!(reader.next_report(&mut |_| ControlFlow::Continue(())), Ok(None), "{text}");
        assert_eq!(reader.other_root(), root, "{text}");
    }
}

#[test]
fn endless_junk_around_a_report_is_cheap() {
    // Each of these took time growing with the square of its length in an earlier form.
    for junk in ["<a>", "<", "<!--", "<?", "<!DOCTYPE", "</a>", "&", "<a \"", "x<", "<<!-- ", "\0<"] {
        let junk = junk.repeat(1 << 18);
        let all = read(format!("{}{junk}", report(RECORD)).as_bytes()).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(read(junk.as_bytes()), Ok(Vec::new()));
    }
}

#[test]
fn names_longer_than_are_looked_at_are_skipped_between_characters() {
    for start in
        ["<", "<a", "<ab", "<abc", "<?", "<?x", "<!--", "<!--x", "<!doctype", "<!doctype x", "</", "<a:"]
    {
        for letter in ["é", "㹮", "\u{1f600}", "\u{10ffff}"] {
            let junk = format!("{start}{}", letter.repeat(limits::XML_PROLOG_BYTES));
            let document = format!("{junk}\n{}", report(""));
            for text in [&junk, &document] {
                // Readable or not: it ends.
                let _ = read(text.as_bytes());
            }
        }
    }
}

#[test]
fn windows_never_change_the_values() {
    // Long enough that every kind of token is cut somewhere by a window.
    let mut text = String::from("<?xml version=\"1.0\"?>");
    text.push_str(HEAD);
    for number in 0..3_000 {
        let odd = format!("<!-- {number} --><count> <![CDATA[{number}]]> </count>");
        text.push_str(&RECORD.replace("<count>3</count>", &odd).replace(">s<", ">s&amp;é<"));
    }
    text.push_str("</feedback>");
    let (read, records) = one(text.as_bytes());
    assert_eq!(names(&read), Vec::<&str>::new());
    for (number, record) in (0u64..).zip(&records) {
        assert_eq!(record.count, Some(number));
        assert_eq!(record.dkim_results[0].selector.as_deref(), Some("s&é"));
    }
    assert_eq!(records.len(), 3_000);
}

#[test]
fn usual_and_odd_tags_give_the_same() {
    let reason = "<reason><type>other</type><comment>a &amp; b</comment></reason></policy_evaluated>";
    let plain = report(&RECORD.replace("</policy_evaluated>", reason).repeat(3));
    // Attributes, a prefix and blanks in end tags keep every tag from the short way.
    let attributes = plain.replace("</", "\u{1}").replace('<', "\u{2}").replace('>', " a='<1>'>");
    let attributes = attributes.replace("'<1>'", "'1'").replace('\u{2}', "<").replace('\u{1}', "</");
    let attributes = attributes.replace("?xml version=\"1.0\"? a='1'>", "?xml version=\"1.0\"?>");
    let prefixed = plain.replace('<', "<x:").replace("<x:/", "</x:").replace("<x:?", "<?");
    let blanks = plain.replace('>', "\n >").replace("?\n >", "?>");
    let want = one(plain.as_bytes());
    assert_eq!(names(&want.0), Vec::<&str>::new());
    for other in [attributes, prefixed, blanks] {
        assert_eq!(one(other.as_bytes()), want, "{other}");
    }
}

#[test]
fn policy_twice_takes_the_first() {
    let twice = "<policy_published><domain>d.example</domain><p>reject</p></policy_published><record>";
    let (read, _) = one(report(RECORD).replacen("<record>", twice, 1).as_bytes());
    assert_eq!(names(&read), [quirk::POLICY_TWICE]);
    assert_eq!(read.report.policy.p.as_deref(), Some("none"));
}

#[test]
fn a_reason_in_every_form() {
    let cases = [
        ("<reason>sampled_out</reason>", vec![("sampled_out", None)], vec![quirk::REASON_TEXT]),
        ("<reason/>", vec![], vec![quirk::REASON_EMPTY]),
        (
            "<reason><type></type><comment>c</comment></reason>",
            vec![("", Some("c"))],
            vec![quirk::REASON_EMPTY],
        ),
        (
            "<reason><type>Forwarded</type></reason> <reason> <type>other</type> <comment>x</comment></reason>",
            vec![("forwarded", None), ("other", Some("x"))],
            vec![],
        ),
        (
            "<reason>sampled\0_out\u{1}</reason>",
            vec![("sampled_out", None)],
            vec![quirk::CONTROL_CHARACTER, quirk::REASON_TEXT],
        ),
    ];
    for (text, want, noted) in cases {
        let record = RECORD.replace("</policy_evaluated>", &format!("{text}</policy_evaluated>"));
        let (read, records) = one(report(&record).as_bytes());
        let reasons: Vec<_> =
            records[0].reasons.iter().map(|r| (r.kind.as_str(), r.comment.as_deref())).collect();
        assert_eq!(reasons, want);
        assert_eq!(names(&read), noted, "{text}");
    }
}

/// Whatever was opened within a value and has no end: what it holds was never part of the report.
#[test]
fn what_a_cut_comment_holds_is_not_read() {
    for open in ["<!--", "<![CDATA[", "<?count", "<!DOCTYPE a ["] {
        let inner = report(RECORD).replace("?>", "");
        let text = report(RECORD).replacen("<email>", &format!("<email>{open} "), 1) + &inner;
        assert!(
            matches!(read(text.as_bytes()), Err(error) if error.kind == UnreadableKind::Truncated),
            "{open}"
        );
    }
    // The same before a report, and after a whole one.
    let commented = format!("<!-- {}", report(RECORD));
    assert!(!matches!(read(commented.as_bytes()), Ok(reports) if !reports.is_empty()));
    let behind = report(RECORD) + &commented;
    assert_eq!(read(behind.as_bytes()).map(|read| read.len()), Ok(1));
    // Marks that open nothing are text.
    let text = report(RECORD).replacen("<email>", "<email><! a <!x b ", 1);
    assert_eq!(read(text.as_bytes()).map(|read| read.len()), Ok(1));
}

/// A value that is cut has no blanks at its end, like one that is not: written and read again it is the same.
#[test]
fn a_cut_value_ends_like_any_other() {
    let kept = "s".repeat(limits::HEADER_TEXT_BYTES - 3);
    let record =
        RECORD.replacen("<selector>s</selector>", &format!("<selector>{kept}\n   \n rest</selector>"), 1);
    let (read, records) = one(report(&record).as_bytes());
    assert_eq!(records[0].dkim_results[0].selector.as_deref(), Some(kept.as_str()));
    assert_eq!(names(&read), [quirk::TEXT_CUT]);
}
