//! A mailbox of many mails imported over IMAP: how long, how much CPU, and whether memory stays flat.
//!
//! ```text
//! cargo bench --profile dist --bench mailbox                    10,000 and 100,000 mails, about five minutes
//! cargo bench --profile dist --bench mailbox -- --mails 1000
//! ```
//!
//! The server is a Dovecot that the benchmark starts, with a Maildir of reports that it writes; needs
//! root and Debian's dovecot-imapd and dovecot-pop3d. What is measured is `mailsonde mailbox poll`, a process of its own, over
//! TLS; Dovecot's share is not in its figures.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "the Dovecot is that of the tests"
)]
#![expect(dead_code, reason = "tests use more of the Dovecot")]

#[path = "support/child.rs"]
mod child;
#[path = "../tests/it/support/dovecot.rs"]
mod dovecot;
#[path = "support/reports.rs"]
mod reports;

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

use anyhow::{Result, ensure};

use child::measure;
use dovecot::{Dovecot, PASSWORD};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
    let sizes = match option("--mails") {
        Some(text) => vec![text.parse()?],
        None => vec![10_000, 100_000],
    };
    let Some(dovecot) = Dovecot::start() else {
        println!("left out: needs root, dovecot-imapd and dovecot-pop3d");
        return Ok(());
    };
    println!(
        "| mails | wall s | mails/s | CPU s | CPU ms a mail | peak MiB |\n| ---: | ---: | ---: | ---: | ---: | ---: |"
    );
    for mails in sizes {
        let user = format!("u{mails}");
        for number in 0..mails {
            dovecot.deliver(&user, &mail(number)?);
        }
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("password"), PASSWORD)?;
        let text = format!(
            "[mailbox.bench]\nhost = \"localhost\"\nport = {}\nuser = \"{user}\"\naccept_any_certificate = true\n\
             password = {{ file = \"{}\" }}\n",
            dovecot.imaps,
            folder.path().join("password").display()
        );
        let (config, database) = (folder.path().join("c.toml"), folder.path().join("m.db"));
        std::fs::write(&config, text)?;
        let arguments = [
            OsStr::new("--config"),
            config.as_os_str(),
            OsStr::new("--db"),
            database.as_os_str(),
            OsStr::new("mailbox"),
            OsStr::new("poll"),
        ];
        let figure = measure(Path::new(env!("CARGO_BIN_EXE_mailsonde")), &arguments)?;
        let connection = rusqlite::Connection::open(&database)?;
        let counted: i64 =
            connection
                .query_row("SELECT COUNT(*) FROM report WHERE status = 'counted'", [], |row| row.get(0))?;
        ensure!(u64::try_from(counted) == Ok(mails), "{counted} reports of {mails} mails");
        #[expect(clippy::cast_precision_loss, reason = "rates for eyes")]
        let count = mails as f64;
        println!(
            "| {mails} | {:.1} | {:.0} | {:.1} | {:.3} | {:.1} |",
            figure.wall_seconds,
            count / figure.wall_seconds,
            figure.cpu_seconds,
            figure.cpu_seconds * 1_000.0 / count,
            figure.peak_mib
        );
    }
    Ok(())
}

/// A mail with one report of three records, as text.
fn mail(number: u64) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    write!(
        out,
        "From: dmarc@reporter.example\r\nTo: dmarc@monitor.example\r\nSubject: Report Domain: d.example {number}\r\n\
         Message-ID: <{number}@reporter.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/xml; \
         name=\"r{number}.xml\"\r\n\r\n"
    )?;
    reports::write_report(&mut out, number, 3)?;
    Ok(out)
}
