//! Reads a folder of reports with mail-auth and prints what it cost, for `cargo bench --bench read`: gzip aggregate
//! reports, gzip TLS reports (`tls`), or mails with failure reports (`failure`).

use std::io::Read;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let folder = std::env::args().nth(1).expect("a folder");
    let kind = std::env::args().nth(2).unwrap_or_default();
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let (mut records, mut messages, mut failed) = (0u64, 0u64, 0u64);
    let before = cpu_ns();
    for path in &files {
        let packed = std::fs::read(path).expect("a file");
        if kind == "failure" {
            match mail_auth::report::Feedback::parse_rfc5322(&packed) {
                Ok(feedback) => records += u64::from(feedback.incidents()),
                Err(_) => failed += 1,
            }
            continue;
        }
        let mut text = Vec::new();
        flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut text).expect("gzip");
        if kind == "tls" {
            match mail_auth::report::tlsrpt::TlsReport::parse_json(&text) {
                Ok(report) => records += report.policies.len() as u64,
                Err(_) => failed += 1,
            }
            continue;
        }
        match mail_auth::report::Report::parse_xml(&text) {
            Ok(report) => {
                records += report.records().len() as u64;
                messages += report.records().iter().map(|record| u64::from(record.count())).sum::<u64>();
            }
            Err(_) => failed += 1,
        }
    }
    println!("{} {} {records} {messages} {failed}", cpu_ns() - before, peak_kib());
}

/// CPU time of this process, nanoseconds.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Peak resident memory of this process, KiB.
fn peak_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
