//! Reading reports: aggregate ones from gzip to rows in memory, beside mail-auth's reader; TLS reports, failure
//! reports and bounces from file to values.
//!
//! ```text
//! cargo build --release --manifest-path benches/peers/Cargo.toml -p mail-auth-reader   the peer, once
//! cargo bench --profile dist --bench read                  everything, about two minutes
//! cargo bench --profile dist --bench read -- --rounds 3 --mix FOLDER
//! ```
//!
//! Every measurement is a process of its own, which says what CPU time and what peak memory it took.
//! Rounds are interleaved, figures are medians. `rows` is the like of mail-auth: every row of a report is
//! in memory at once; `stream` hands one row at a time to a callback; `import` is what `mailsonde import`
//! does short of the store: unpacking within budget, SHA-256 of the values, sums and roll-up too.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "support/hostile.rs"]
mod hostile;
#[path = "support/other_reports.rs"]
mod other_reports;
#[path = "support/reports.rs"]
mod reports;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use mailsonde::classify::{Found, read_file};
use mailsonde::clock::Timestamp;
use mailsonde::reports::aggregate::{Reader, Record};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a child says of itself.
#[derive(Debug, Clone, Copy, Default)]
struct Figure {
    cpu_ns: u64,
    peak_kib: u64,
    records: u64,
    messages: u64,
    failed: u64,
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != "--bench").collect();
    if let ["--child", mode, path] = words.as_slice() {
        return child(mode, Path::new(path));
    }
    let option = |name: &str| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1));
    let rounds = option("--rounds").map_or(Ok(7), |text| text.parse::<usize>())?;
    let scratch = tempfile::tempdir()?;
    let mix = match option("--mix") {
        Some(folder) => PathBuf::from(folder),
        None => {
            let folder = scratch.path().join("mix");
            std::fs::create_dir(&folder)?;
            let (files, records, messages) = reports::write_mix(&folder)?;
            println!("mix: {files} reports, {records} records, {messages} messages\n");
            folder
        }
    };
    the_mix(&mix, rounds)?;
    sizes(scratch.path())?;
    others(scratch.path(), rounds)?;
    let folder = scratch.path().join("hostile");
    std::fs::create_dir(&folder)?;
    hostile::write_hostile(&folder)?;
    hostile_files(&folder)
}

/// The table of the mix.
fn the_mix(mix: &Path, rounds: usize) -> Result<()> {
    let own = std::env::current_exe()?;
    let peer = peer();
    let mut runs: Vec<(&str, Vec<Figure>)> = vec![("rows", vec![]), ("stream", vec![]), ("import", vec![])];
    if peer.is_file() {
        runs.push(("mail-auth 0.13.3", vec![]));
    } else {
        println!("mail-auth is left out: it is not built (see the head of this file)\n");
    }
    for _ in 0..rounds {
        for (name, figures) in &mut runs {
            let mut command = match *name {
                "mail-auth 0.13.3" => Command::new(&peer),
                mode => {
                    let mut command = Command::new(&own);
                    command.args(["--child", mode]);
                    command
                }
            };
            figures.push(run(command.arg(mix))?);
        }
    }
    let base =
        runs.iter().find(|(name, _)| *name == "mail-auth 0.13.3").map(|(_, figures)| median(figures).cpu_ns);
    println!("| reader | CPU s | records/s | peak MiB | of mail-auth | records | messages | refused |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (name, figures) in &runs {
        let figure = median(figures);
        let seconds = seconds(figure.cpu_ns);
        #[expect(clippy::cast_precision_loss, reason = "a ratio for eyes")]
        let (rate, share) = (
            figure.records as f64 / seconds,
            base.map_or_else(|| "-".to_owned(), |base| format!("{:.2}", figure.cpu_ns as f64 / base as f64)),
        );
        println!(
            "| {name} | {seconds:.3} | {rate:.0} | {} | {share} | {} | {} | {} |",
            figure.peak_kib / 1_024,
            figure.records,
            figure.messages,
            figure.failed
        );
    }
    println!();
    Ok(())
}

/// Peak memory by the size of one report.
fn sizes(scratch: &Path) -> Result<()> {
    println!("| records of one report | CPU s | peak MiB |\n| ---: | ---: | ---: |");
    for records in [1_000, 100_000, 1_000_000] {
        let path = scratch.join(format!("{records}.xml.gz"));
        let messages = reports::write_gzip(&path, 1, records)?;
        let figure = run(Command::new(std::env::current_exe()?).args(["--child", "import"]).arg(&path))?;
        if figure.messages != messages {
            bail!("{records} records: {} messages instead of {messages}", figure.messages);
        }
        println!("| {records} | {:.3} | {} |", seconds(figure.cpu_ns), figure.peak_kib / 1_024);
    }
    println!();
    Ok(())
}

/// Files of each other kind.
const OTHERS: u64 = 2_000;

/// TLS reports and failure reports beside mail-auth; bounces are copies of a shipped one.
fn others(scratch: &Path, rounds: usize) -> Result<()> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    println!("| {OTHERS} files | reader | CPU s | files/s | peak MiB | items |");
    println!("| --- | --- | ---: | ---: | ---: | ---: |");
    for (kind, source) in [
        ("TLS reports, gzip", ""),
        ("failure reports", ""),
        ("bounces", "dsn/postfix-alias.eml"),
        ("bounces in words", "dsn/qmail.eml"),
    ] {
        let folder = scratch.join(kind);
        let mode = kind.split_once(' ').map_or(kind, |(first, _)| first).to_lowercase();
        match mode.as_str() {
            "tls" => other_reports::write_tls(&folder, OTHERS)?,
            "failure" => other_reports::write_failures(&folder, OTHERS)?,
            _ => {
                let text = std::fs::read(fixtures.join(source))?;
                std::fs::create_dir(&folder)?;
                for number in 0..OTHERS {
                    std::fs::write(folder.join(format!("{number}.eml")), &text)?;
                }
            }
        }
        let mut own = Command::new(std::env::current_exe()?);
        own.args(["--child", "import"]).arg(&folder);
        let mut peer = Command::new(peer());
        peer.arg(&folder).arg(&mode);
        let has_peer = source.is_empty() && self::peer().is_file();
        for (name, command, is_run) in
            [("mailsonde", &mut own, true), ("mail-auth 0.13.3", &mut peer, has_peer)]
        {
            if !is_run {
                continue;
            }
            let figure = median(&(0..rounds).map(|_| run(command)).collect::<Result<Vec<_>>>()?);
            if figure.failed > 0 || figure.records == 0 {
                bail!("{kind}, {name}: {} refused, {} items", figure.failed, figure.records);
            }
            let seconds = seconds(figure.cpu_ns);
            #[expect(clippy::cast_precision_loss, reason = "a rate for eyes")]
            let rate = OTHERS as f64 / seconds;
            println!(
                "| {kind} | {name} | {seconds:.3} | {rate:.0} | {} | {} |",
                figure.peak_kib / 1_024,
                figure.records
            );
        }
    }
    println!();
    Ok(())
}

/// The reader of mail-auth.
fn peer() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/peers/target/release/mail-auth-reader")
}

/// The hostile set: what became of each, and what it cost.
fn hostile_files(folder: &Path) -> Result<()> {
    println!("| attachment | bytes | outcome | CPU s | peak MiB |\n| --- | ---: | --- | ---: | ---: |");
    let mut files: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    for path in files {
        let figure = run(Command::new(std::env::current_exe()?).args(["--child", "import"]).arg(&path))?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if (figure.failed == 0) != name.starts_with("valid") {
            bail!("{name}: {figure:?}");
        }
        let outcome = match figure.failed {
            0 => format!("read: {} records", figure.records),
            _ => "refused".to_owned(),
        };
        println!(
            "| {name} | {} | {outcome} | {:.3} | {} |",
            std::fs::metadata(&path)?.len(),
            seconds(figure.cpu_ns),
            figure.peak_kib / 1_024
        );
    }
    Ok(())
}

/// Runs a child and reads its line.
fn run(command: &mut Command) -> Result<Figure> {
    let output = command.output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [cpu_ns, peak_kib, records, messages, failed] = numbers.as_slice() else {
        bail!("{command:?}: {text} {}", String::from_utf8_lossy(&output.stderr));
    };
    Ok(Figure {
        cpu_ns: *cpu_ns,
        peak_kib: *peak_kib,
        records: *records,
        messages: *messages,
        failed: *failed,
    })
}

/// The run of median CPU time.
fn median(figures: &[Figure]) -> Figure {
    let mut sorted = figures.to_vec();
    sorted.sort_by_key(|figure| figure.cpu_ns);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn seconds(ns: u64) -> f64 {
    std::time::Duration::from_nanos(ns).as_secs_f64()
}

// ---- In the child ----

/// Reads a file or all files of a folder and prints one line of figures.
fn child(mode: &str, path: &Path) -> Result<()> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        files = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        files.sort();
    }
    let mut figure = Figure::default();
    let before = cpu_ns()?;
    for file in files {
        let bytes = std::fs::read(&file)?;
        match mode {
            "import" => import(&file, &bytes, &mut figure),
            _ => read(&bytes, mode == "rows", &mut figure),
        }
    }
    figure.cpu_ns = cpu_ns()? - before;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    figure.peak_kib = peak.trim().trim_end_matches(" kB").parse()?;
    let Figure { cpu_ns, peak_kib, records, messages, failed } = figure;
    println!("{cpu_ns} {peak_kib} {records} {messages} {failed}");
    Ok(())
}

/// Gunzips and reads one report; with `keep`, all its rows are in memory at the end.
fn read(bytes: &[u8], keep: bool, figure: &mut Figure) {
    let mut reader = Reader::new(flate2::read::MultiGzDecoder::new(bytes));
    let mut rows: Vec<Record> = Vec::new();
    loop {
        let read = reader.next_report(&mut |record| {
            if keep {
                rows.push(std::mem::take(record));
            } else {
                figure.records += 1;
                figure.messages += record.messages();
            }
            ControlFlow::Continue(())
        });
        match read {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(_) => {
                figure.failed += 1;
                break;
            }
        }
    }
    figure.records += rows.len() as u64;
    figure.messages += rows.iter().map(Record::messages).sum::<u64>();
}

/// Reads one file as `import` does, short of the store.
fn import(path: &Path, bytes: &[u8], figure: &mut Figure) {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let reading = read_file(name, bytes, Timestamp::from_seconds(1_800_000_000), &mut |found| match found {
        Found::Aggregate { digest, .. } => {
            figure.records += digest.records;
            figure.messages += digest.messages;
        }
        Found::Tls { digest, .. } => figure.records += digest.report.policies.len() as u64,
        Found::Failure { report, .. } => figure.records += report.incidents,
        Found::Delivery { report, .. } => figure.records += report.recipients.len() as u64,
    });
    figure.failed += reading.unreadable.len() as u64;
}

/// CPU time of this process, nanoseconds.
fn cpu_ns() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    text.split_whitespace().next().context("schedstat")?.parse().context("schedstat")
}
