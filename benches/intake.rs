//! Messages received over loopback: ours beside other receivers, each as a process of its own.
//!
//! ```text
//! cargo bench --profile dist --bench intake                    everything, about 20 minutes
//! cargo bench --profile dist --bench intake -- --rounds 3 --only 1KB,100 --servers counting,smtp-sink
//! cargo bench --profile dist --bench intake -- --idle 5000     idle clients only
//! ```
//!
//! Every server gets the same load in every round, in an order that turns, one message a connection; the
//! figures are medians of the rounds. The load is Postfix's smtp-source where it is installed, else a client
//! of our own. The client takes about as much CPU as the servers, so on a small machine messages a second
//! are bound by it: **CPU a message of the server is the better figure.** Peers that are not installed are
//! left out, and the output says so. Servers: `counting` is our receiver over an Inbox that counts and
//! discards; `durable` is `mailsonde serve` with its store, which syncs to disk before it answers; smtp-sink,
//! mailin-embedded and aiosmtpd store nothing.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures")]

#[path = "intake/client.rs"]
mod client;
#[path = "intake/process.rs"]
mod process;
#[path = "intake/servers.rs"]
mod servers;

use std::time::Duration;

use anyhow::{Context, Result};

use client::Way;
use process::limit_of_files;
use servers::{Kind, Server};

/// One load: bytes of a message and sessions at once.
#[derive(Debug, Clone, Copy)]
struct Load {
    name: &'static str,
    bytes: usize,
    sessions: usize,
    messages: usize,
    is_tls: bool,
}

/// All loads: enough messages for a second or two of a fast server.
const LOADS: [Load; 15] = [
    Load { name: "1KB,1", bytes: 1_000, sessions: 1, messages: 2_000, is_tls: false },
    Load { name: "1KB,10", bytes: 1_000, sessions: 10, messages: 6_000, is_tls: false },
    Load { name: "1KB,100", bytes: 1_000, sessions: 100, messages: 6_000, is_tls: false },
    Load { name: "1KB,1000", bytes: 1_000, sessions: 1_000, messages: 6_000, is_tls: false },
    Load { name: "10KB,1", bytes: 10_000, sessions: 1, messages: 2_000, is_tls: false },
    Load { name: "10KB,10", bytes: 10_000, sessions: 10, messages: 6_000, is_tls: false },
    Load { name: "10KB,100", bytes: 10_000, sessions: 100, messages: 6_000, is_tls: false },
    Load { name: "10KB,1000", bytes: 10_000, sessions: 1_000, messages: 6_000, is_tls: false },
    Load { name: "1MB,1", bytes: 1_000_000, sessions: 1, messages: 300, is_tls: false },
    Load { name: "1MB,10", bytes: 1_000_000, sessions: 10, messages: 500, is_tls: false },
    Load { name: "1MB,100", bytes: 1_000_000, sessions: 100, messages: 500, is_tls: false },
    Load { name: "1MB,1000", bytes: 1_000_000, sessions: 1_000, messages: 1_000, is_tls: false },
    // One handshake a message, without resumption; always by our own client.
    Load { name: "1KB,1,TLS", bytes: 1_000, sessions: 1, messages: 2_000, is_tls: true },
    Load { name: "1KB,10,TLS", bytes: 1_000, sessions: 10, messages: 3_000, is_tls: true },
    Load { name: "1MB,10,TLS", bytes: 1_000_000, sessions: 10, messages: 300, is_tls: true },
];

/// What one run gave.
#[derive(Debug, Clone, Copy)]
struct Figure {
    per_second: f64,
    cpu_ms: f64,
}

/// What the command line asks for.
struct Arguments {
    rounds: usize,
    only: Vec<String>,
    servers: Vec<String>,
    idle: Option<usize>,
    own_client: bool,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    limit_of_files()?;
    if arguments.first().is_some_and(|word| word == servers::SERVE) {
        return servers::serve_counting();
    }
    let arguments = read(&arguments)?;
    println!("{}", process::machine());
    if let Some(clients) = arguments.idle {
        return idle(&arguments, clients);
    }
    throughput(&arguments);
    idle(&arguments, 5_000)
}

/// Reads the command line.
fn read(words: &[String]) -> Result<Arguments> {
    let list = |text: &str| text.split(';').map(str::to_owned).collect();
    let mut arguments =
        Arguments { rounds: 5, only: Vec::new(), servers: Vec::new(), idle: None, own_client: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--rounds" => arguments.rounds = value()?.parse()?,
            "--only" => arguments.only = list(value()?),
            "--servers" => arguments.servers = value()?.split(',').map(str::to_owned).collect(),
            "--idle" => arguments.idle = Some(value()?.parse()?),
            "--own-client" => arguments.own_client = true,
            other => anyhow::bail!("unknown argument {other}"),
        }
    }
    Ok(arguments)
}

/// The servers that are asked for and can run here.
fn available(arguments: &Arguments) -> Vec<Kind> {
    let wanted = |kind: &Kind| {
        arguments.servers.is_empty() || arguments.servers.iter().any(|name| name == kind.name())
    };
    Kind::ALL
        .into_iter()
        .filter(wanted)
        .filter(|kind| match kind.check() {
            Ok(()) => true,
            Err(reason) => {
                println!("{}: left out: {reason:#}", kind.name());
                false
            }
        })
        .collect()
}

/// Loads every server in turn and prints the table.
fn throughput(arguments: &Arguments) {
    let kinds = available(arguments);
    let source = if arguments.own_client { None } else { client::smtp_source() };
    println!("load: {}\n", if source.is_some() { "smtp-source" } else { "own client" });
    println!("| load | {} |", kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" | "));
    println!("|---|{}", "---|".repeat(kinds.len()));
    for load in LOADS {
        if !arguments.only.is_empty() && !arguments.only.iter().any(|name| name == load.name) {
            continue;
        }
        let mut figures: Vec<Vec<Figure>> = vec![Vec::new(); kinds.len()];
        for round in 0..arguments.rounds {
            for at in 0..kinds.len() {
                // Another one begins in every round.
                let at = (at + round) % kinds.len();
                if let (Some(kind), Some(figures)) = (kinds.get(at), figures.get_mut(at))
                    && (kind.has_tls() || !load.is_tls)
                {
                    match one_run(*kind, &load, source.as_deref()) {
                        Ok(figure) => figures.push(figure),
                        // The others are measured all the same.
                        Err(error) => eprintln!("{} {}: {error:#}", kind.name(), load.name),
                    }
                }
            }
        }
        let cells: Vec<String> = figures
            .iter()
            .map(|figures| {
                if figures.is_empty() {
                    return "–".to_owned();
                }
                let per_second = median(figures.iter().map(|figure| figure.per_second));
                let cpu_ms = median(figures.iter().map(|figure| figure.cpu_ms));
                format!("{per_second:.0}/s {cpu_ms:.3} ms")
            })
            .collect();
        println!("| {} | {} |", load.name, cells.join(" | "));
    }
    println!();
}

/// Starts a server, sends it one load, and ends it.
fn one_run(kind: Kind, load: &Load, source: Option<&std::path::Path>) -> Result<Figure> {
    let server = Server::start(kind)?;
    // The first messages pay for what is made once.
    let way = if load.is_tls { Way::OwnTls } else { source.map_or(Way::Own, Way::SmtpSource) };
    client::send(way, server.address(), 64, 4, 40)?;
    let messages = kind.messages(load.messages);
    let before = server.cpu()?;
    let seconds = client::send(way, server.address(), load.bytes, load.sessions.min(messages), messages)?;
    let cpu = server.cpu()? - before;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand messages")]
    let count = messages as f64;
    Ok(Figure { per_second: count / seconds, cpu_ms: cpu * 1_000.0 / count })
}

/// Opens idle clients and prints what each costs, and how long a new one waits for its greeting.
fn idle(arguments: &Arguments, clients: usize) -> Result<()> {
    println!("| {clients} idle clients | resident KiB a client | a new client greeted after |");
    println!("|---|---|---|");
    for kind in available(arguments) {
        if !kind.takes_many_sessions() {
            continue;
        }
        let server = Server::start(kind)?;
        client::send(Way::Own, server.address(), 64, 4, 40)?;
        let before = server.resident_bytes()?;
        let open = match client::open(server.address(), clients) {
            Ok(open) => open,
            Err(error) => {
                println!("| {} | {error:#} | |", kind.name());
                continue;
            }
        };
        let after = server.resident_bytes()?;
        let greeted = client::greeting_time(server.address())?;
        #[expect(clippy::cast_precision_loss, reason = "kilobytes and thousands")]
        let each = (after.saturating_sub(before)) as f64 / 1_024.0 / open.len().max(1) as f64;
        println!("| {} | {each:.1} | {:.1} ms |", kind.name(), milliseconds(greeted));
        drop(open);
    }
    println!();
    Ok(())
}

/// A duration in milliseconds.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// The middle value; zero without any.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
