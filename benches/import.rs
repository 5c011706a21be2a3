//! Importing files: from packed reports on disk to committed rows, sums and roll-ups.
//!
//! ```text
//! cargo bench --profile dist --bench import
//! cargo bench --profile dist --bench import -- --rounds 3 --mix FOLDER --parsedmarc PROGRAM
//! ```
//!
//! Every measurement is `mailsonde import` itself into a new database, as a process whose CPU time and
//! peak memory the system tells. parsedmarc runs on the same files where its program is given.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "support/child.rs"]
mod child;
#[path = "support/other_reports.rs"]
mod other_reports;
#[path = "support/reports.rs"]
mod reports;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use child::{Figure, measure};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
    let rounds = option("--rounds").map_or(Ok(5), |text| text.parse::<usize>())?;
    let scratch = tempfile::tempdir()?;
    let mix = match option("--mix") {
        Some(folder) => PathBuf::from(folder),
        None => {
            let folder = scratch.path().join("mix");
            std::fs::create_dir(&folder)?;
            let (files, records, messages) = reports::write_mix(&folder)?;
            println!("mix: {files} reports, {records} records, {messages} messages");
            folder
        }
    };
    let many = scratch.path().join("many");
    std::fs::create_dir(&many)?;
    for number in 0..10_000 {
        reports::write_gzip(&many.join(format!("{number:05}.xml.gz")), number, 10)?;
    }
    let (tls, failures) = (scratch.path().join("tls"), scratch.path().join("failures"));
    other_reports::write_tls(&tls, 10_000)?;
    other_reports::write_failures(&failures, 10_000)?;
    println!("| files | program | wall s | CPU s | peak MiB |");
    println!("| --- | --- | --- | --- | --- |");
    for (name, folder) in [
        ("the mix", &mix),
        ("10,000 reports of 10 records", &many),
        ("10,000 TLS reports", &tls),
        ("10,000 failure reports", &failures),
    ] {
        let mut figures = Vec::new();
        for round in 0..rounds {
            let database = scratch.path().join(format!("{round}.db"));
            let arguments =
                [OsStr::new("--db"), database.as_os_str(), OsStr::new("import"), folder.as_os_str()];
            figures.push(measure(Path::new(env!("CARGO_BIN_EXE_mailsonde")), &arguments)?);
            for end in ["", "-wal", "-shm"] {
                // Absent files are as good as removed ones.
                let _ = std::fs::remove_file(scratch.path().join(format!("{round}.db{end}")));
            }
        }
        print_row(name, "mailsonde import", &figures)?;
        if let Some(program) = option("--parsedmarc") {
            let out = scratch.path().join("parsedmarc");
            let arguments = [
                OsStr::new("--offline"),
                OsStr::new("-s"),
                OsStr::new("-o"),
                out.as_os_str(),
                folder.as_os_str(),
            ];
            print_row(name, "parsedmarc", &[measure(Path::new(program), &arguments)?])?;
        }
    }
    Ok(())
}

/// Prints the medians of a row.
fn print_row(files: &str, program: &str, figures: &[Figure]) -> Result<()> {
    let median = |value: &dyn Fn(&Figure) -> f64| -> Result<f64> {
        let mut values: Vec<f64> = figures.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().context("no round")
    };
    println!(
        "| {files} | {program} | {:.2} | {:.2} | {:.1} |",
        median(&|figure| figure.wall_seconds)?,
        median(&|figure| figure.cpu_seconds)?,
        median(&|figure| figure.peak_mib)?,
    );
    Ok(())
}
