//! Every format of hostile, wide and empty answers, against fixtures/render/; `UPDATE_GOLDEN=1` rewrites.

use std::path::PathBuf;

use jiff::tz::TimeZone;
use mailsonde::clock::Timestamp;
use mailsonde::render::table::TableOptions;
use mailsonde::render::{Column, Head, Sheet, csv, escape, html, json, markdown, table, views};
use mailsonde::summary::rows::{
    Answer, AuthResultRow, DomainRow, MessageRow, MessageSums, MessageTotals, ProbeRow, ProbeTotals,
    RecordRow, RecordTotals, ReporterRow, SourceRow, SummaryRow, SummaryTotals,
};
use mailsonde::summary::{TrustAsked, TrustShares};
use unicode_width::UnicodeWidthStr as _;

/// Midnight of 2026-03-01 UTC.
const DAY: i64 = 1_772_323_200;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(DAY + seconds)
}

fn sums(messages: u64, pass: u64) -> MessageSums {
    MessageSums {
        reports: 3,
        messages,
        dmarc_pass: pass,
        dmarc_fail: messages - pass,
        spf_aligned: pass / 2,
        dkim_aligned: pass,
        disposition_none: messages,
        disposition_quarantine: 0,
        disposition_reject: messages - pass,
    }
}

fn answer<R, T>(rows: Vec<R>, totals: T) -> Answer<R, T> {
    Answer {
        rows,
        totals,
        first: Some(at(0)),
        last: Some(at(86_399)),
        trust: None,
        cut: 0,
        notes: vec!["1 report is spread over 21 days: `\u{1b}[31mred`".to_owned()],
    }
}

fn summary() -> Answer<SummaryRow, SummaryTotals> {
    let row = |domain: &str, sums, sources| SummaryRow {
        domain: domain.to_owned(),
        sums,
        sources,
        first: Some(at(0)),
        last: Some(at(86_400)),
    };
    let mut answer = answer(
        vec![
            row("example.com", sums(10_000, 9_999), 12),
            row("a-very-long-name-of-a-department.of-a-subsidiary.example.net", sums(3, 2), 2),
            SummaryRow { first: None, last: None, ..row("example.org", sums(0, 0), 0) },
        ],
        SummaryTotals { sums: sums(10_003, 10_001), sources: 13 },
    );
    answer.trust = Some(TrustShares {
        verified: 9_000,
        imported: 1_000,
        unverified: 3,
        untrusted_reports: 2,
        ..TrustShares::of(TrustAsked::All, "messages")
    });
    answer
}

fn sources() -> Answer<SourceRow, MessageSums> {
    let row = |ip: Option<&str>, messages, pass| SourceRow {
        source_ip: ip.map(str::to_owned),
        source_name: None,
        place: mailsonde::sources::Place::default(),
        source_organisation: None,
        kind: None,
        evidence: Vec::new(),
        messages,
        dmarc_pass: pass,
        dmarc_fail: messages - pass,
        spf_aligned: 0,
        dkim_aligned: pass,
        spf_domains: vec!["bounce.vendor.example".to_owned(), "vendor.example".to_owned()],
        dkim_domains: Vec::new(),
        first: Some(at(0)),
        last: Some(at(86_399)),
    };
    answer(
        vec![
            row(Some("2001:0db8:1111:2222:3333:4444:5555:6666"), 1_234_567, 1_234_567),
            row(Some("192.0.2.10"), 1, 0),
            row(None, 2, 0),
            row(Some("=cmd|' /C calc'!A0"), 1, 0),
        ],
        sums(1_234_571, 1_234_567),
    )
}

fn domains() -> Answer<DomainRow, MessageSums> {
    let row = |from: &str, messages, pass| DomainRow {
        domain: "example.com".to_owned(),
        header_from: from.to_owned(),
        sums: sums(messages, pass),
    };
    answer(vec![row("example.com", 5, 5), row("other subdomains", 2, 0)], sums(7, 5))
}

fn reporters() -> Answer<ReporterRow, MessageSums> {
    let row = |name: Option<&str>, deviations: &[(&str, u64)]| ReporterRow {
        org_name: name.map(str::to_owned),
        email: Some("dmarc@reporter.example".to_owned()),
        reports: 2,
        messages: 11,
        dmarc_pass: 1,
        dmarc_fail: 10,
        tls_reports: 3,
        failure_reports: 0,
        deviations: deviations.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
        first: Some(at(0)),
        last: Some(at(86_399)),
    };
    answer(
        vec![
            row(Some("株式会社ながいなまえのほうこくしゃ東京本社情報システム部門"), &[]),
            row(Some("=HYPERLINK(\"http://x.example\",\"click\")"), &[("count-not-a-number", 2)]),
            row(Some("\u{1b}]0;title\u{7}\u{202e}gro.elpmaxe <script>alert(1)</script> | `x`"), &[]),
            row(Some("Большой почтовый провайдер é"), &[]),
            row(None, &[]),
        ],
        sums(55, 5),
    )
}

fn records() -> Answer<RecordRow, RecordTotals> {
    let row = RecordRow {
        org_name: Some("reporter.example".to_owned()),
        report_id: "2026-03-01;\n1".to_owned(),
        begin: at(0),
        end: at(86_399),
        domain: "example.com".to_owned(),
        source_ip: Some("192.0.2.10".to_owned()),
        count: None,
        disposition: Some("none".to_owned()),
        dkim: Some("pass".to_owned()),
        spf: None,
        header_from: "example.com".to_owned(),
        envelope_from: None,
        envelope_to: None,
        reasons: vec![("forwarded".to_owned(), Some("by a list; really".to_owned()))],
        auth_results: vec![
            AuthResultRow {
                method: "dkim",
                domain: Some("example.com".to_owned()),
                selector: Some("s1".to_owned()),
                scope: None,
                result: "pass".to_owned(),
                written: None,
            },
            AuthResultRow {
                method: "spf",
                domain: None,
                selector: None,
                scope: Some("mfrom".to_owned()),
                result: "permerror".to_owned(),
                written: Some("unknown".to_owned()),
            },
        ],
    };
    answer(vec![row], RecordTotals { records: 1, count: 0 })
}

fn messages() -> Answer<MessageRow, MessageTotals> {
    let row = |subject: &str, kind: Option<&str>, status: &str| MessageRow {
        trust: None,
        id: "1k2j3h".to_owned(),
        received_at: Timestamp::from_ms(at(3_600).ms() + 250),
        origin: "smtp".to_owned(),
        kind: kind.map(str::to_owned),
        status: status.to_owned(),
        reason: Some("gzip ends after 12 bytes".to_owned()),
        deviations: vec!["attachment-type-wrong".to_owned()],
        peer_ip: Some("2001:db8::1".to_owned()),
        peer_source: Some("xforward".to_owned()),
        relay_ip: Some("192.0.2.1".to_owned()),
        helo: Some("mx.example".to_owned()),
        tls_version: Some("TLSv1.3".to_owned()),
        mail_from: Some("<>".to_owned()),
        rcpt_to: vec!["dmarc@monitor.example.net".to_owned(), "b@example.net".to_owned()],
        message_id: None,
        header_from: None,
        subject: Some(subject.to_owned()),
        size_bytes: 1_234,
    };
    answer(
        vec![
            row("Report Domain: example.com", Some("aggregate"), "read"),
            row(
                "全角の件名はとても長いので切り詰められるはずです。これは確認のための文です",
                Some("other"),
                "kept",
            ),
            row("+1\r\nBcc: x", None, "pending"),
        ],
        MessageTotals {
            messages: 3,
            pending: 1,
            read: 1,
            duplicate: 0,
            unread: 0,
            kept: 1,
            size_bytes: 3_702,
        },
    )
}

fn probes() -> Answer<ProbeRow, ProbeTotals> {
    let row = |state: &str, latency_ms: Option<i64>| ProbeRow {
        token: "mfq3aaaaaaaaaaaaaaaaaaaaaa".to_owned(),
        route: "hq-m365".to_owned(),
        state: state.to_owned(),
        place: None,
        latency_error_ms: None,
        sent_at: at(7_200),
        accepted_at: Some(at(7_201)),
        arrived_at: latency_ms.map(|ms| Timestamp::from_ms(at(7_200).ms() + ms)),
        latency_ms,
        reason: (state == "refused").then(|| "550 5.1.1 no such user".to_owned()),
    };
    answer(
        vec![row("arrived", Some(1_500)), row("refused", None), row("in_doubt", None)],
        ProbeTotals { probes: 3, refused: 1, in_doubt: 1, arrived: 1, ..ProbeTotals::default() },
    )
}

/// Calls `run` with each view as a sheet.
fn each_view(mut run: impl FnMut(&'static str, &Sheet<'_>)) {
    fn sheet<'a, R, T>(
        view: &'static str,
        columns: &'static [Column<R>],
        totals: &'static [Column<T>],
        answer: &'a Answer<R, T>,
    ) -> Sheet<'a> {
        let head = Head { view, title: view, domain: Some("example.com".to_owned()), ..Head::default() };
        Sheet::of_answer(head, columns, totals, answer)
    }
    run("summary", &sheet("summary", views::SUMMARY, views::SUMMARY_TOTALS, &summary()));
    run("sources", &sheet("sources", views::SOURCES, views::SUMS, &sources()));
    run("domains", &sheet("domains", views::DOMAINS, views::SUMS, &domains()));
    run("reporters", &sheet("reporters", views::REPORTERS, views::SUMS, &reporters()));
    run("records", &sheet("records", views::RECORDS, views::RECORD_TOTALS, &records()));
    run("messages", &sheet("messages", views::MESSAGES_RECEIVED, views::MESSAGE_TOTALS, &messages()));
    run("probes", &sheet("probes", views::PROBES, views::PROBE_TOTALS, &probes()));
    let empty =
        Answer { first: None, last: None, notes: Vec::new(), ..answer(Vec::new(), SummaryTotals::default()) };
    run("empty", &sheet("summary", views::SUMMARY, views::SUMMARY_TOTALS, &empty));
}

fn text(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn table_of(sheet: &Sheet<'_>, width: Option<u16>, color: bool) -> String {
    let options = TableOptions { width, color, zone: TimeZone::UTC };
    text(|out| table::write(sheet, &options, out))
}

/// Compares with the golden file, or writes it.
fn golden(name: &str, got: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/render").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, got).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(got == want, "{name} differs; UPDATE_GOLDEN=1 rewrites it\n--- want\n{want}\n--- got\n{got}");
}

#[test]
fn every_view_in_every_format() {
    each_view(|name, sheet| {
        golden(&format!("{name}.80.txt"), &table_of(sheet, Some(80), false));
        golden(&format!("{name}.200.txt"), &table_of(sheet, Some(200), false));
        golden(&format!("{name}.pipe.txt"), &table_of(sheet, None, false));
        golden(&format!("{name}.json"), &text(|out| json::write(sheet, out)));
        golden(&format!("{name}.ndjson"), &text(|out| json::write_lines(sheet, out)));
        golden(&format!("{name}.csv"), &text(|out| csv::write(sheet, out)));
        golden(&format!("{name}.md"), &text(|out| markdown::write(sheet, &TimeZone::UTC, out)));
        golden(&format!("{name}.html"), &text(|out| html::write(sheet, &TimeZone::UTC, out)));
    });
}

/// Case 128: lines fit the width, numbers end under their heading, whatever the script of the text.
#[test]
fn tables_fit_and_align_by_cells() {
    each_view(|name, sheet| {
        for width in [40, 60, 80, 100, 132, 200] {
            let table = table_of(sheet, Some(width), false);
            for line in table.lines() {
                let cells = line.width();
                assert!(
                    cells <= usize::from(width) || width < 80,
                    "{name} at {width}: {cells} cells: {line}"
                );
            }
            let lines: Vec<&str> = table.lines().collect();
            let Some(rule) = lines.iter().position(|line| line.starts_with('─')) else { continue };
            let header = lines[rule - 1];
            let ends: Vec<usize> = sheet
                .columns
                .iter()
                .filter(|column| column.kind.is_number())
                .filter_map(|column| header.find(&format!(" {}", column.title)).map(|at| (at, column.title)))
                .map(|(at, title)| header[..at + 1 + title.len()].width())
                .collect();
            for row in lines[rule + 1..].iter().take_while(|line| !line.is_empty()) {
                for &end in &ends {
                    let mut cells = 0;
                    let last = row.chars().find(|c| {
                        cells += c.to_string().width();
                        cells >= end
                    });
                    let is_digit = last.is_some_and(|c| c.is_ascii_digit() || c == '-')
                        || (row.starts_with("total") && last.is_none_or(|c| c == ' '));
                    assert!(is_digit, "{name} at {width}: no number ends in cell {end}: {row}");
                }
            }
        }
    });
}

/// Nothing that acts on a terminal leaves in any format; colour only if asked.
#[test]
fn outside_text_is_harmless() {
    each_view(|name, sheet| {
        let all = [
            table_of(sheet, Some(80), false),
            table_of(sheet, None, false),
            text(|out| json::write(sheet, out)),
            text(|out| json::write_lines(sheet, out)),
            text(|out| csv::write(sheet, out)),
            text(|out| markdown::write(sheet, &TimeZone::UTC, out)),
            text(|out| html::write(sheet, &TimeZone::UTC, out)),
        ];
        for out in &all {
            assert!(!out.chars().any(|c| c != '\n' && escape::is_unsafe(c)), "{name}: {out}");
        }
        assert!(!all[6].contains("<script"), "{name}");
        let mut cells = ::csv::ReaderBuilder::new().has_headers(false).from_reader(all[4].as_bytes());
        for record in cells.records() {
            for cell in &record.unwrap() {
                let starts = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
                assert!(!starts || cell.parse::<f64>().is_ok(), "{name}: {cell:?}");
            }
        }
    });
    let colored = text(|out| {
        let answer = summary();
        let head = Head { view: "summary", title: "summary", ..Head::default() };
        let sheet = Sheet::of_answer(head, views::SUMMARY, views::SUMMARY_TOTALS, &answer);
        table::write(&sheet, &TableOptions { width: Some(80), color: true, zone: TimeZone::UTC }, out)
    });
    assert!(colored.contains("\u{1b}["));
}

/// The names of the contract (design, section 5), in their order.
#[test]
fn json_names_are_the_contract() {
    let contract = [
        (
            "summary",
            "domain reports messages dmarc_pass dmarc_fail pass_percent spf_aligned dkim_aligned disposition_none disposition_quarantine disposition_reject sources first last",
        ),
        (
            "sources",
            "source_ip source_name source_organisation source_country source_as_number source_as_name messages dmarc_pass dmarc_fail spf_aligned dkim_aligned spf_domains dkim_domains first last kind evidence",
        ),
        (
            "records",
            "org_name report_id begin end domain source_ip count disposition dkim spf header_from envelope_from envelope_to reasons auth_results",
        ),
        (
            "domains",
            "domain header_from messages dmarc_pass dmarc_fail pass_percent disposition_none disposition_quarantine disposition_reject",
        ),
        (
            "reporters",
            "org_name email reports messages dmarc_pass dmarc_fail tls_reports failure_reports deviations first last",
        ),
        (
            "probes",
            "token route state sent_at accepted_at arrived_at latency_ms reason place latency_error_ms",
        ),
        (
            "messages",
            "id received_at origin kind status reason deviations peer_ip peer_source relay_ip helo tls_version mail_from rcpt_to message_id header_from subject size_bytes trust",
        ),
    ];
    let mut seen = 0;
    each_view(|name, sheet| {
        let Some((_, want)) = contract.iter().find(|(view, _)| *view == name) else { return };
        seen += 1;
        let value: serde_json::Value = serde_json::from_str(&text(|out| json::write(sheet, out))).unwrap();
        let object = value.as_object().unwrap();
        let keys: Vec<&str> = object.keys().map(String::as_str).collect();
        let trust = if name == "summary" { &["trust"][..] } else { &[] };
        assert_eq!(
            keys,
            [&["view", "domain", "since", "until"], trust, &["rows", "totals", "notes"]].concat()
        );
        for row in object["rows"].as_array().unwrap() {
            let names: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(names.join(" "), *want, "{name}");
        }
    });
    assert_eq!(seen, contract.len());
}

/// Case 057: neither 100 nor 0 unless exactly so, two decimals, nothing for nothing.
#[test]
fn percentages_do_not_lie() {
    let answer = summary();
    let head = Head { view: "summary", title: "summary", ..Head::default() };
    let sheet = Sheet::of_answer(head, views::SUMMARY, views::SUMMARY_TOTALS, &answer);
    let out = text(|out| json::write(&sheet, out));
    for want in ["\"pass_percent\":99.99,", "\"pass_percent\":66.67,", "\"pass_percent\":null,"] {
        assert!(out.contains(want), "{want} in {out}");
    }
    let table = table_of(&sheet, Some(80), false);
    assert!(table.contains(" 99.99") && table.contains(" 66.67") && !table.contains("100.00"), "{table}");
}

/// `--tz` moves instants in tables, never report days and never JSON.
#[test]
fn zones_move_instants_only() {
    let zone = TimeZone::get("Asia/Tokyo").unwrap();
    let shift = |sheet: &Sheet<'_>| {
        let options = TableOptions { width: Some(200), color: false, zone: zone.clone() };
        text(|out| table::write(sheet, &options, out))
    };
    each_view(|name, sheet| match name {
        "probes" => assert!(shift(sheet).contains("2026-03-01 11:00:00"), "{}", shift(sheet)),
        "messages" => assert!(shift(sheet).contains("2026-03-01 10:00:00"), "{}", shift(sheet)),
        _ => assert_eq!(shift(sheet), table_of(sheet, Some(200), false)),
    });
}
