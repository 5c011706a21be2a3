//! The schedule of probes: how late `mailsonde serve` is with many routes, and what that costs.
//!
//! ```text
//! cargo bench --profile dist --bench probes                        1,000 routes at one minute, five minutes
//! cargo bench --profile dist --bench probes -- --routes 5000 --seconds 600
//! cargo bench --bench probes -- --one-way                          the far ends do not bring the probes back
//! ```
//!
//! `serve` is a process of its own, so that its memory and CPU are its own; the far ends are in this one: 20 SMTP servers
//! on loopback that take every probe and, unless told otherwise, bring it back to the receiver of `serve`, as a mail
//! system in between would. Lateness is measured at the far end, without the help of the one that is measured: from the
//! instant at which the schedule says that a probe is due ([`Series::slot_at`]) to the MAIL command. It holds the
//! commit of the probe's row, the connection and the greeting. The first minute is left out. Every slot of every route
//! must come exactly once: what is missing or doubled is counted.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "probes/far_end.rs"]
mod far_end;
#[path = "intake/process.rs"]
mod process;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use mailsonde::clock::{self, Timestamp};
use mailsonde::probe::schedule::Series;

use far_end::Seen;

/// Fake far ends.
const FAR_ENDS: usize = 20;
/// Jitter of the routes, percent of the interval.
const JITTER: u8 = 20;
/// Left out at the beginning.
const RAMP: Duration = Duration::from_secs(60);

/// What the command line asks for.
#[derive(Debug, Clone, Copy)]
struct Arguments {
    routes: usize,
    every: Duration,
    lasts: Duration,
    is_one_way: bool,
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let arguments = read(&words)?;
    process::limit_of_files()?;
    println!("{}", process::machine());
    run(arguments)
}

/// Reads the command line.
fn read(words: &[String]) -> Result<Arguments> {
    let mut arguments = Arguments {
        routes: 1_000,
        every: Duration::from_secs(60),
        lasts: Duration::from_secs(300),
        is_one_way: false,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = || -> Result<u64> {
            Ok(words.next().with_context(|| format!("{word} needs a number"))?.parse()?)
        };
        match word.as_str() {
            "--routes" => arguments.routes = usize::try_from(number()?)?,
            "--every" => arguments.every = Duration::from_secs(number()?),
            "--seconds" => arguments.lasts = Duration::from_secs(number()?),
            "--one-way" => arguments.is_one_way = true,
            other => bail!("unknown argument {other}"),
        }
    }
    Ok(arguments)
}

/// The configuration of `serve`.
fn configuration(arguments: Arguments, far_ends: &[SocketAddr]) -> String {
    let mut text = String::from(
        "[smtp]\nhost_name = \"mx.example.com\"\nmessages_per_client_minute = 1_000_000\n\
         messages_per_session = 1_000_000\nsessions_per_client_minute = 1_000_000\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n[authentication]\nverify = false\n\
         [probes]\nper_destination = \"1000000/h\"\ntotal = \"1000000/h\"\n\
         [[domain]]\nname = \"example.com\"\n\
         [[recipient]]\naddress = \"probe@example.com\"\npurpose = \"probe\"\n",
    );
    for (index, far_end) in far_ends.iter().enumerate() {
        let port = far_end.port();
        let _ = write!(text, "[sender.s{index}]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n");
    }
    let every = arguments.every.as_secs();
    for route in 0..arguments.routes {
        let _ = write!(
            text,
            "[route.r{route}]\nsender = \"s{}\"\nto = \"probe+{{token}}@example.com\"\nfrom = \"r{route}@example.com\"\n\
             every = \"{every}s\"\njitter = \"{JITTER}%\"\n",
            route % far_ends.len(),
        );
    }
    text
}

/// `serve` under way; ended with the value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `serve` in a folder; gives the address of its receiver.
fn start(folder: &Path) -> Result<(Server, SocketAddr)> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mailsonde"))
        .arg("serve")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start mailsonde")?;
    let mut log = BufReader::new(child.stderr.take().context("its log")?);
    let server = Server(child);
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        if log.read_line(&mut line)? == 0 {
            bail!("serve ended before it listened:\n{seen}");
        }
        let address = line.split("smtp_listening=").nth(1).and_then(|rest| rest.split_whitespace().next());
        if let Some(address) = address.and_then(|address| address.trim_matches('"').parse().ok()) {
            // The pipe must be drained, or the program would stop at a full one.
            std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
            return Ok((server, address));
        }
        seen.push_str(&line);
    }
}

/// Runs the benchmark and prints its figures.
fn run(arguments: Arguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (tell, told) = channel();
    let far_ends = far_end::start(FAR_ENDS, tell)?;
    let text = configuration(arguments, &far_ends.addresses);
    std::fs::write(folder.path().join("mailsonde.toml"), text)?;
    let (server, receiver) = start(folder.path())?;
    if !arguments.is_one_way {
        far_ends.bring_back_to(receiver);
    }
    let id = server.0.id();
    std::thread::sleep(RAMP);
    let (from, cpu_from) = (clock::now(), process::cpu_seconds(id)?);
    println!("after {} s: {} MiB", RAMP.as_secs(), process::resident_bytes(id)? / (1024 * 1024));
    std::thread::sleep(arguments.lasts);
    let (until, cpu_until) = (clock::now(), process::cpu_seconds(id)?);
    let (resident, peak) = (process::resident_bytes(id)?, process::status_bytes(id, "VmHWM:")?);
    // What is due shortly before the end may still come.
    std::thread::sleep(Duration::from_secs(5));
    drop(server);
    let seen: Vec<Seen> = told.try_iter().collect();
    report(arguments, &seen, from, until);
    let seconds = arguments.lasts.as_secs_f64();
    println!(
        "cpu {:.2} s in {seconds:.0} s ({:.1} % of a core), resident {:.1} MiB, peak {:.1} MiB, brought back {}",
        cpu_until - cpu_from,
        (cpu_until - cpu_from) / seconds * 100.0,
        mib(resident),
        mib(peak),
        far_ends.brought_back(),
    );
    Ok(())
}

/// Bytes as MiB.
#[expect(clippy::cast_precision_loss, reason = "for eyes")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// Prints lateness, and what is missing or doubled.
fn report(arguments: Arguments, seen: &[Seen], from: Timestamp, until: Timestamp) {
    let mut came: BTreeMap<&str, Vec<Timestamp>> = BTreeMap::new();
    for one in seen {
        came.entry(&one.route).or_default().push(one.at);
    }
    let mut late: Vec<i64> = Vec::new();
    let (mut due, mut missing, mut doubled) = (0u64, 0u64, 0u64);
    for route in 0..arguments.routes {
        let name = format!("r{route}");
        let series = Series::new(&name, "in-turn", arguments.every, JITTER, Duration::ZERO);
        let times = came.get(name.as_str()).map_or(&[][..], Vec::as_slice);
        let every = i64::try_from(arguments.every.as_millis()).unwrap_or(i64::MAX);
        // From well before the period: the first slot within it is looked for.
        let first = from.ms() / every - 2;
        for slot in first.. {
            let (begin, end) = (series.slot_at(slot), series.slot_at(slot + 1));
            if begin >= until {
                break;
            }
            if begin < from {
                continue;
            }
            due += 1;
            let in_slot: Vec<_> = times.iter().filter(|at| begin <= **at && **at < end).collect();
            match in_slot.split_first() {
                None => missing += 1,
                Some((first, others)) => {
                    late.push(first.ms_since(begin));
                    doubled += u64::try_from(others.len()).unwrap_or(u64::MAX);
                }
            }
        }
    }
    late.sort_unstable();
    let at = |share: f64| {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in a list"
        )]
        let index = ((late.len() as f64 * share).ceil() as usize).clamp(1, late.len().max(1)) - 1;
        late.get(index).copied().unwrap_or(-1)
    };
    println!(
        "{} routes every {} s, {} s: due {due}, came {}, missing {missing}, doubled {doubled}",
        arguments.routes,
        arguments.every.as_secs(),
        until.ms_since(from) / 1_000,
        late.len(),
    );
    println!(
        "lateness ms: p50 {}, p90 {}, p99 {}, p99.9 {}, max {}",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}
