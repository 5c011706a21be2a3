//! Health checks over the wire: how long one takes beside its longest chain of look-ups, what many cost, and
//! checkdmarc on the same zones.
//!
//! ```text
//! python3 -m venv venv && venv/bin/pip install checkdmarc==6.0.4          the peer, once
//! cargo bench --profile dist --bench dns -- --python venv/bin/python
//! ```
//!
//! The server is a process on loopback that answers every question 20 ms late. The chain is not what our program
//! asks one after the other, but what anybody has to: a look-up depends on an earlier one if its name stands in that
//! one's answer and nowhere else (the address of an MX, the next `include`, the name of an address).

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/child.rs"]
mod child;

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mailsonde::clock::{self, Instant};
use mailsonde::daemon::dns_checks::ALLOWANCE;
use mailsonde::dns::{
    Answer, Dnssec, HickoryResolver, Name, Options, Question, RecordData, Resolve, Resolving, Servers,
};
use mailsonde::dns_health::facts::Facts;
use mailsonde::dns_health::gather::{self, Tools};
use mailsonde::limits;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How late each answer is.
const DELAY: Duration = Duration::from_millis(20);

/// A DKIM key as an example of one; it is not used for anything.
const KEY: &str = "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAyII0W2A9WzaLtjAXn4VU6W2VUY5Omlfr8/Kej/opRrY/UttNER+VantDXI9WWIG0vDIcXX1WaOFbGlsw+f+ItdXyUT2ZwLL6ErzXYbGAAOBvuU/f/RVhaPThUgrdCJ5EbaJ2v20N/avDINUbtfaIJynbS+jFlMHcKDdzlr2eFIcC2UQ5ZG9kErM+GVYkAb5mL";

/// The names and addresses on which every domain relies, and a domain with a deep SPF tree.
const COMMON: &str = "\
example. SOA ns1.host.example. hostmaster.host.example. 1 7200 3600 1209600 3600
example. NS ns1.host.example.
host.example. SOA ns1.host.example. hostmaster.host.example. 1 7200 3600 1209600 3600
host.example. NS ns1.host.example.
host.example. NS ns2.host.example.
ns1.host.example. A 198.51.1.53
ns2.host.example. A 198.51.9.53
_spf.host.example. TXT \"v=spf1 include:_a.host.example include:_b.host.example ~all\"
_a.host.example. TXT \"v=spf1 ip4:198.51.3.0/26 ~all\"
_b.host.example. TXT \"v=spf1 ip4:198.51.3.64/26 ~all\"
reports.example. SOA ns1.host.example. hostmaster.host.example. 1 7200 3600 1209600 3600
reports.example. NS ns1.host.example.
reports.example. NS ns2.host.example.
reports.example. MX 10 mx.reports.example.
mx.reports.example. A 198.51.7.25
*._report._dmarc.reports.example. TXT \"v=DMARC1\"
50.198.in-addr.arpa. SOA ns1.host.example. hostmaster.host.example. 1 7200 3600 1209600 3600
0.c.5.e.a.0.a.2.ip6.arpa. SOA ns1.host.example. hostmaster.host.example. 1 7200 3600 1209600 3600
deep.example. SOA ns1.host.example. hostmaster.host.example. 1 7200 3600 1209600 3600
deep.example. NS ns1.host.example.
deep.example. NS ns2.host.example.
deep.example. MX 10 mx.deep.example.
mx.deep.example. A 198.50.255.1
1.255.50.198.in-addr.arpa. PTR mx.deep.example.
deep.example. TXT \"v=spf1 include:_1.deep.example ~all\"
_1.deep.example. TXT \"v=spf1 include:_2.deep.example ~all\"
_2.deep.example. TXT \"v=spf1 include:_3.deep.example ~all\"
_3.deep.example. TXT \"v=spf1 include:_4.deep.example ~all\"
_4.deep.example. TXT \"v=spf1 include:_5.deep.example ~all\"
_5.deep.example. TXT \"v=spf1 a:mx.deep.example ~all\"
_dmarc.deep.example. TXT \"v=DMARC1; p=reject; rua=mailto:deep@reports.example\"
bare.example. SOA ns1.host.example. hostmaster.host.example. 1 7200 3600 1209600 3600
bare.example. NS ns1.host.example.
bare.example. NS ns2.host.example.
bare.example. TXT \"v=spf1 -all\"
bare.example. MX 0 .
_dmarc.bare.example. TXT \"v=DMARC1; p=reject\"
";

/// The records of usual domain `number`: two MX hosts with both families and names, SPF of a provider, DKIM, DMARC
/// with reports to itself and to another, TLS-RPT, CAA.
fn domain(number: usize, text: &mut String) -> std::fmt::Result {
    let name = format!("d{number:04}.example");
    let (high, low) = (number / 100, 2 * (number % 100));
    writeln!(text, "{name}. SOA ns1.host.example. hostmaster.host.example. 1 7200 3600 1209600 3600")?;
    writeln!(text, "{name}. NS ns1.host.example.\n{name}. NS ns2.host.example.")?;
    for host in 0..2 {
        let last = low + host;
        writeln!(text, "{name}. MX {}0 mx{host}.{name}.", host + 1)?;
        writeln!(
            text,
            "mx{host}.{name}. A 198.50.{high}.{last}\nmx{host}.{name}. AAAA 2a0a:e5c0::{number:x}:{host}"
        )?;
        writeln!(text, "{last}.{high}.50.198.in-addr.arpa. PTR mx{host}.{name}.")?;
        let address: std::net::Ipv6Addr =
            format!("2a0a:e5c0::{number:x}:{host}").parse().map_err(|_| std::fmt::Error)?;
        writeln!(text, "{}. PTR mx{host}.{name}.", Name::reverse(address.into()).as_str())?;
    }
    writeln!(text, "{name}. TXT \"v=spf1 mx include:_spf.host.example ~all\"")?;
    writeln!(
        text,
        "s1._domainkey.{name}. TXT \"{KEY}\" \"9T6E1zva/8ic/ZwxqROX4OPiDJzweTgF/9t0ITmS6zRxL9nC4+SD5/h0Xt1rDoMoQPIq7wh1/NS/umy+dqlhloVn4MITgdzJsCMSn0OpAVw2rah+aQIUvie8cTYvr7pLk8YtAm0AGjPL0k7XDjpFwIDAQAB\""
    )?;
    writeln!(
        text,
        "_dmarc.{name}. TXT \"v=DMARC1; p=reject; rua=mailto:dmarc@{name},mailto:{number}@reports.example\""
    )?;
    writeln!(text, "_smtp._tls.{name}. TXT \"v=TLSRPTv1; rua=mailto:tls@{name}\"")?;
    writeln!(text, "{name}. CAA 0 issue \"ca.example\"")
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [mode, zones] = words.as_slice()
        && mode == "--serve"
    {
        return authority::serve(&std::fs::read_to_string(zones)?, DELAY);
    }
    let option = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
    let scratch = tempfile::tempdir()?;
    let zones = scratch.path().join("zones");
    let mut text = COMMON.to_owned();
    for number in 0..1_000 {
        domain(number, &mut text)?;
    }
    std::fs::write(&zones, text)?;
    let server = Server::start(&zones)?;
    chains(&server)?;
    let ours = many(&server, scratch.path())?;
    match option("--python") {
        Some(python) => checkdmarc(&server, python, ours),
        None => {
            println!("\ncheckdmarc is left out: --python names no interpreter that has it");
            Ok(())
        }
    }
}

/// The server's process.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Starts it and waits for its address.
    fn start(zones: &Path) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("--serve")
            .arg(zones)
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the server")?;
        let mut address = String::new();
        BufReader::new(process.stdout.take().context("output")?).read_line(&mut address)?;
        Ok(Self { process, address: address.trim().to_owned() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

// ---- One domain ----

/// One look-up of a check.
struct LookUp {
    question: Question,
    answer: Answer,
    began: Instant,
    ended: Instant,
}

/// A resolver that remembers what it was asked, and when.
struct Watched {
    resolver: HickoryResolver,
    look_ups: Mutex<Vec<LookUp>>,
}

impl Resolve for Watched {
    fn resolve<'a>(&'a self, question: &'a Question) -> Resolving<'a> {
        Box::pin(async move {
            let began = clock::instant();
            let answer = self.resolver.resolve(question).await;
            let look_up =
                LookUp { question: question.clone(), answer: answer.clone(), began, ended: clock::instant() };
            if let Ok(mut look_ups) = self.look_ups.lock() {
                look_ups.push(look_up);
            }
            answer
        })
    }
}

/// A resolver that asks the server.
fn resolver(server: &Server) -> Result<HickoryResolver> {
    Ok(HickoryResolver::new(&Options {
        servers: Servers::Listed(vec![server.address.parse()?]),
        tls: None,
        timeout: limits::DNS_TIMEOUT,
        attempts: limits::DNS_ATTEMPTS,
        dnssec: Dnssec::Off,
        in_flight: limits::DNS_IN_FLIGHT,
    })?)
}

/// One check of each kind of domain, beside its chain.
fn chains(server: &Server) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("| domain | questions | longest chain | bar, ms | took, ms | of the chain |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let mut told = Vec::new();
    for domain in ["d0007.example", "deep.example", "bare.example", "news.d0007.example"] {
        let name = Name::from_dotted(domain)?;
        let mut times = Vec::new();
        let mut look_ups = Vec::new();
        for _ in 0..5 {
            let watched = Watched { resolver: resolver(server)?, look_ups: Mutex::default() };
            let facts = Facts::new(name.clone(), clock::now(), "nobody-has-this");
            let began = clock::instant();
            let checkup = runtime.block_on(gather::check(Tools::of(&watched), &facts, ALLOWANCE));
            times.push(began.elapsed().as_secs_f64() * 1e3);
            if checkup.answers.iter().any(|(_, answer)| answer.trouble().is_some()) {
                bail!("{domain}: not every question was answered");
            }
            look_ups = watched.look_ups.into_inner().unwrap_or_default();
        }
        times.sort_by(f64::total_cmp);
        let took = times.get(times.len() / 2).copied().context("no round")?;
        let chain = longest_chain(&name, &look_ups);
        let steps = u32::try_from(chain.len())?;
        let floor = (DELAY * steps).as_secs_f64() * 1e3;
        println!(
            "| {domain} | {} | {steps} | {:.0} | {took:.0} | {:.2} |",
            look_ups.len(),
            1.5 * floor,
            took / floor
        );
        told.push(format!("{domain}: {}", chain.join(" → ")));
        if std::env::var_os("ROUNDS").is_some() {
            rounds(&look_ups);
        }
    }
    println!("\n{}", told.join("\n"));
    Ok(())
}

/// Prints what was asked side by side, for whoever looks for the reason of a slow check.
fn rounds(look_ups: &[LookUp]) {
    let Some(first) = look_ups.iter().map(|look_up| look_up.began).min() else { return };
    let mut ordered: Vec<&LookUp> = look_ups.iter().collect();
    ordered.sort_by_key(|look_up| look_up.began);
    for look_up in ordered {
        println!("    {:>4} ms {}", look_up.began.duration_since(first).as_millis(), look_up.question);
    }
}

/// The longest chain of look-ups of which each needs the answer of the one before.
fn longest_chain(domain: &Name, look_ups: &[LookUp]) -> Vec<String> {
    let mut ordered: Vec<&LookUp> = look_ups.iter().collect();
    ordered.sort_by_key(|look_up| look_up.began);
    // Of each look-up: the length of its chain, and the look-up before it.
    let mut chains: Vec<(usize, Option<usize>)> = Vec::new();
    for (at, look_up) in ordered.iter().enumerate() {
        let name = &look_up.question.name;
        let core = core(name);
        // What everybody can think of, `_dmarc.` before the domain and the like, depends on nothing.
        let is_derived = domain.is_within(&core);
        let mut best: Option<(usize, Option<usize>)> = None;
        if name != domain {
            for (other, earlier) in ordered.iter().enumerate().take(at) {
                let length = chains.get(other).map_or(1, |(length, _)| length + 1);
                if earlier.ended <= look_up.began
                    && mentions(&earlier.answer, if is_derived { name } else { &core }, !is_derived)
                    && best.is_none_or(|(known, _)| length < known)
                {
                    best = Some((length, Some(other)));
                }
            }
        }
        chains.push(best.unwrap_or((1, None)));
    }
    let mut at = (0..chains.len()).max_by_key(|at| chains.get(*at).map_or(0, |(length, _)| *length));
    let mut names = Vec::new();
    while let Some(here) = at {
        names.extend(ordered.get(here).map(|look_up| look_up.question.to_string()));
        at = chains.get(here).and_then(|(_, before)| *before);
    }
    names.reverse();
    names
}

/// A name without what is put before it: what stands behind its last label with an underscore.
fn core(name: &Name) -> Name {
    let labels: Vec<&str> = name.labels().collect();
    let kept = labels.iter().rev().take_while(|label| !label.starts_with('_')).count();
    name.last_labels(kept)
}

/// True if an answer names it; or something below it, if that counts.
fn mentions(answer: &Answer, core: &Name, with_below: bool) -> bool {
    let is_named = |name: &Name| name == core || (with_below && name.is_within(core));
    let in_text = |text: &[u8]| {
        let text = String::from_utf8_lossy(text).to_ascii_lowercase();
        let mut words = text.split([' ', ':', '@', ',', ';', '=', '/']);
        words.any(|word| Name::from_dotted(word).is_ok_and(|name| is_named(&name)))
    };
    answer.aliases.iter().any(is_named)
        || answer.data().iter().any(|data| match data {
            RecordData::A(address) => Name::reverse((*address).into()) == *core,
            RecordData::Aaaa(address) => Name::reverse((*address).into()) == *core,
            RecordData::Cname(name) | RecordData::Ns(name) | RecordData::Ptr(name) => is_named(name),
            RecordData::Mx(mx) => is_named(&mx.exchange),
            RecordData::Txt(strings) => in_text(&strings.concat()),
            _ => false,
        })
}

// ---- Many domains ----

/// `mailsonde dns check` of many domains as a process; the seconds for a hundred.
fn many(server: &Server, scratch: &Path) -> Result<f64> {
    let configuration = scratch.join("mailsonde.toml");
    std::fs::write(
        &configuration,
        format!(
            "[store]\npath = \"{}\"\n[dns]\nservers = [\"{}\"]\n",
            scratch.join("none.db").display(),
            server.address
        ),
    )?;
    println!(
        "\n| domains | wall s | domains/s | CPU ms a domain | peak MiB |\n| ---: | ---: | ---: | ---: | ---: |"
    );
    let mut hundred = f64::NAN;
    for count in [100, 500, 1_000] {
        let names: Vec<String> = (0..count).map(|number| format!("d{number:04}.example")).collect();
        let mut arguments = vec![OsStr::new("--config"), configuration.as_os_str()];
        arguments.extend(
            ["dns", "check", "--dns-only", "--format", "ndjson", "--fail-on", "critical"].map(OsStr::new),
        );
        arguments.extend(names.iter().map(OsStr::new));
        let mut figures = Vec::new();
        for _ in 0..3 {
            figures.push(child::measure(Path::new(env!("CARGO_BIN_EXE_mailsonde")), &arguments)?);
        }
        figures.sort_by(|one, other| one.wall_seconds.total_cmp(&other.wall_seconds));
        let figure = figures.get(1).context("no round")?;
        println!(
            "| {count} | {:.2} | {:.0} | {:.2} | {:.1} |",
            figure.wall_seconds,
            f64::from(count) / figure.wall_seconds,
            figure.cpu_seconds * 1e3 / f64::from(count),
            figure.peak_mib
        );
        if count == 100 {
            hundred = figure.wall_seconds;
        }
    }
    Ok(hundred)
}

/// checkdmarc on the same hundred domains.
fn checkdmarc(server: &Server, python: &str, ours: f64) -> Result<()> {
    let (_, port) = server.address.rsplit_once(':').context("port")?;
    let names: Vec<String> = (0..100).map(|number| format!("d{number:04}.example")).collect();
    let mut child = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/checkdmarc_domains.py"))
        .arg(port)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {python}"))?;
    child.stdin.take().context("input")?.write_all(serde_json::to_string(&names)?.as_bytes())?;
    let output = child.wait_with_output()?;
    let said: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("checkdmarc says nothing")?;
    let number = |key: &str| said[key].as_f64().with_context(|| format!("{key} in {said}"));
    let wall = number("wall")?;
    println!("\n| 100 domains | wall s | CPU ms a domain | of ours |\n| --- | ---: | ---: | ---: |");
    println!("| mailsonde dns check | {ours:.2} | | 1 |");
    println!(
        "| checkdmarc {} | {wall:.2} | {:.2} | {:.0} |",
        said["version"].as_str().unwrap_or("?"),
        number("cpu")? * 1e3 / number("domains")?,
        wall / ours
    );
    println!("\ncheckdmarc calls SPF and DMARC of {} of {} valid", number("good")?, number("domains")?);
    Ok(())
}
