//! SPF evaluations per second, from memory: ours with its trace, beside mail-auth with filled caches (its records
//! parsed beforehand, as its cache holds them) and pyspf with its look-ups replaced by a zone in memory.
//!
//! ```text
//! python3 -m venv venv && venv/bin/pip install pyspf dnspython     the peer, once
//! cargo bench --profile dist --bench spf -- --python venv/bin/python
//! ```
//!
//! All three evaluate the same checks on the same zone, rounds interleaved, one core; figures are medians of CPU
//! time. `ours, answers given anew` also fills the answers before each check, as a mail that just came does.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{DnssecStatus, MX, MessageAuthenticator, Parameters, RecordSet, ResolverCache, Txt};
use mailsonde::authentication::spf::tree::tree;
use mailsonde::authentication::spf::{Identity, Input, check};
use mailsonde::clock::{self, Timestamp};
use mailsonde::dns::{Answer, Answers, Ask, Mx, Name, Question, RecordData, RecordType};
use mailsonde::limits;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds of all three.
const ROUNDS: usize = 7;

/// Whole runs of all checks in one round: ours, and mail-auth.
const RUNS: usize = 20_000;

/// The same of pyspf.
const RUNS_OF_PYSPF: usize = 200;

/// What is published: the kinds of records that senders have.
fn records() -> Vec<(String, &'static str, String)> {
    let mut all: Vec<(String, &'static str, String)> = Vec::new();
    let mut add = |name: &str, kind, value: &str| all.push((name.to_owned(), kind, value.to_owned()));
    // One server.
    add("small.example", "TXT", "v=spf1 mx a ip4:192.0.2.0/28 -all");
    add("small.example", "MX", "mx1.small.example");
    add("small.example", "MX", "mx2.small.example");
    add("small.example", "A", "192.0.2.80");
    add("mx1.small.example", "A", "192.0.2.20");
    add("mx2.small.example", "A", "192.0.2.21");
    add("mx1.small.example", "AAAA", "2001:db8:1::20");
    add("mx2.small.example", "AAAA", "2001:db8:1::21");
    add("small.example", "AAAA", "2001:db8:1::80");
    // A mail provider with three lists below one include.
    add("hosted.example", "TXT", "v=spf1 include:_spf.provider.example ~all");
    add(
        "_spf.provider.example",
        "TXT",
        "v=spf1 include:_a.provider.example include:_b.provider.example include:_c.provider.example ~all",
    );
    for (list, second) in [("_a", 51), ("_b", 52), ("_c", 53)] {
        let networks: Vec<String> = (0..12)
            .map(|at| format!("ip4:198.{second}.{}.0/{}", at * 16, 20 + at % 4))
            .chain((0..4).map(|at| format!("ip6:2001:db8:{second}{at}::/48")))
            .collect();
        let name = format!("{list}.provider.example");
        add(&name, "TXT", &format!("v=spf1 {} ~all", networks.join(" ")));
    }
    // Five vendors: nine terms that query DNS.
    add(
        "busy.example",
        "TXT",
        "v=spf1 mx include:_spf.provider.example include:v1.vendor.example include:v2.vendor.example \
         include:v3.vendor.example ip4:203.0.113.7 -all",
    );
    add("busy.example", "MX", "mx1.small.example");
    add("v1.vendor.example", "TXT", "v=spf1 ip4:203.0.113.64/27 ip4:203.0.113.128/28 -all");
    add("v2.vendor.example", "TXT", "v=spf1 ip4:203.0.113.160/27 ?all");
    add("v3.vendor.example", "TXT", "v=spf1 a:pool.vendor.example ip6:2001:db8:77::/48 -all");
    add("pool.vendor.example", "A", "203.0.113.200");
    add("pool.vendor.example", "AAAA", "2001:db8:78::1");
    // Macros, and a redirect.
    add("macro.example", "TXT", "v=spf1 exists:%{ir}.%{v}._spf.%{d2} redirect=_spf.hosted.example");
    add("9.2.0.192.in-addr._spf.macro.example", "A", "127.0.0.2");
    add("_spf.hosted.example", "TXT", "v=spf1 ip4:192.0.2.128/25 -all");
    all
}

/// The checks: address, sender, HELO, right result.
const CHECKS: [(&str, &str, &str, &str); 9] = [
    ("192.0.2.21", "user@small.example", "mx2.small.example", "pass"),
    ("192.0.2.3", "user@small.example", "mx2.small.example", "pass"),
    ("198.51.100.99", "user@small.example", "x.example", "fail"),
    ("198.53.176.9", "news@hosted.example", "out.provider.example", "pass"),
    ("2001:db8:512::9", "news@hosted.example", "out.provider.example", "pass"),
    ("203.0.113.7", "user@busy.example", "busy.example", "pass"),
    ("203.0.113.250", "user@busy.example", "busy.example", "fail"),
    ("192.0.2.9", "a@macro.example", "macro.example", "pass"),
    ("2001:db8:1::99", "user@small.example", "x.example", "fail"),
];

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
    let records = records();
    let answers = answers(&records)?;
    let inputs = CHECKS.map(|(ip, sender, helo, _)| input(ip, sender, helo));
    let inputs = inputs.into_iter().collect::<Result<Vec<_>>>()?;
    for (input, (ip, sender, _, want)) in inputs.iter().zip(CHECKS) {
        let verdict = check(input, &answers).map_err(|ask| anyhow::anyhow!("{sender} asks {ask:?}"))?;
        if verdict.result.as_str() != want {
            bail!("{sender} from {ip}: {}, right is {want}", verdict.result.as_str());
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let peer = Peer::new(&records)?;
    for (ip, sender, helo, want) in CHECKS {
        let result = runtime.block_on(peer.check(ip.parse()?, sender, helo));
        if result != want {
            println!("mail-auth: {sender} from {ip}: {result}, right is {want}");
        }
    }
    let python = option("--python");
    let mut figures: Vec<(&str, f64, Vec<f64>)> = vec![
        ("ours, with the trace", per(RUNS), vec![]),
        ("ours, answers given anew", per(RUNS / 10), vec![]),
        ("mail-auth 0.13.3", per(RUNS), vec![]),
    ];
    if python.is_some() {
        figures.push(("pyspf", per(RUNS_OF_PYSPF), vec![]));
    } else {
        println!("pyspf is left out: --python names no interpreter that has it\n");
    }
    for _ in 0..ROUNDS {
        for (name, _, seconds) in &mut figures {
            seconds.push(match *name {
                "ours, with the trace" => timed(|| {
                    for _ in 0..RUNS {
                        for input in &inputs {
                            std::hint::black_box(check(input, &answers)).ok();
                        }
                    }
                }),
                "ours, answers given anew" => timed(|| {
                    for _ in 0..RUNS / 10 {
                        for input in &inputs {
                            std::hint::black_box(settled(input, &answers));
                        }
                    }
                }),
                "mail-auth 0.13.3" => runtime.block_on(async {
                    let began = cpu();
                    for _ in 0..RUNS {
                        for (ip, sender, helo) in peer.checks() {
                            std::hint::black_box(peer.check(ip, sender, helo).await);
                        }
                    }
                    cpu() - began
                }),
                _ => pyspf(python.map_or("python3", String::as_str), &records)?,
            });
        }
    }
    println!("| evaluator | checks/s | of pyspf | of mail-auth |\n| --- | ---: | ---: | ---: |");
    let rate = |wanted: &str| {
        let found = figures.iter().find(|(name, ..)| *name == wanted);
        found.map(|(_, checks, seconds)| checks / median(seconds))
    };
    for (name, checks, seconds) in &figures {
        let own = checks / median(seconds);
        let share = |other: Option<f64>| other.map_or("-".to_owned(), |other| format!("{:.2}", own / other));
        println!("| {name} | {own:.0} | {} | {} |", share(rate("pyspf")), share(rate("mail-auth 0.13.3")));
    }
    whole_tree(&answers)
}

/// Checks of so many runs.
#[expect(clippy::cast_precision_loss, reason = "a count for eyes")]
fn per(runs: usize) -> f64 {
    (runs * CHECKS.len()) as f64
}

/// The middle of some figures.
fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// CPU seconds of this thread so far; there is no other that works.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    nanoseconds.unwrap_or(f64::NAN) / 1e9
}

/// CPU seconds of some work.
fn timed(work: impl FnOnce()) -> f64 {
    let began = cpu();
    work();
    cpu() - began
}

/// What is checked of one mail.
fn input(ip: &str, sender: &'static str, helo: &'static str) -> Result<Input<'static>> {
    Ok(Input {
        ip: ip.parse()?,
        identity: Identity::MailFrom,
        mail_from: sender,
        helo,
        receiver: "mx.example.net",
        now: Timestamp::from_seconds(1_772_323_200),
        void_limit: limits::SPF_VOIDS,
    })
}

/// A check with answers that come round by round.
fn settled(input: &Input<'_>, all: &Answers) -> usize {
    let mut answers = Answers::new();
    loop {
        match check(input, &answers) {
            Ok(verdict) => return verdict.trace.steps.len(),
            Err(Ask { questions }) => {
                for question in questions {
                    let answer = all.find(&question).cloned().unwrap_or_else(Answer::no_name);
                    answers.put(question, answer);
                }
            }
        }
    }
}

/// All records as answers, and the absence of addresses that the checks ask for.
fn answers(records: &[(String, &'static str, String)]) -> Result<Answers> {
    let mut sets: HashMap<(Name, RecordType), Vec<RecordData>> = HashMap::new();
    for (name, kind, value) in records {
        let (kind, data) = match *kind {
            "TXT" => (RecordType::Txt, RecordData::Txt(strings(value))),
            "A" => (RecordType::A, RecordData::A(value.parse()?)),
            "AAAA" => (RecordType::Aaaa, RecordData::Aaaa(value.parse()?)),
            "MX" => {
                let exchange = Name::from_dotted(value)?;
                (RecordType::Mx, RecordData::Mx(Mx { preference: 10, exchange }))
            }
            other => bail!("{other}"),
        };
        sets.entry((Name::from_dotted(name)?, kind)).or_default().push(data);
    }
    let mut answers = Answers::new();
    for ((name, kind), data) in sets {
        answers.put(Question::new(name, kind), Answer::records(data));
    }
    Ok(answers)
}

/// A text as strings of at most 255 octets.
fn strings(text: &str) -> Vec<Vec<u8>> {
    text.as_bytes().chunks(255).map(<[u8]>::to_vec).collect()
}

// ---- mail-auth ----

/// mail-auth with everything in its caches.
struct Peer {
    authenticator: MessageAuthenticator,
    txt: Memory<Box<str>, Txt>,
    mx: Memory<Box<str>, RecordSet<MX>>,
    four: Memory<Box<str>, RecordSet<Ipv4Addr>>,
    six: Memory<Box<str>, RecordSet<Ipv6Addr>>,
    ptr: Memory<IpAddr, RecordSet<Box<str>>>,
    checks: Vec<(IpAddr, &'static str, &'static str)>,
}

/// A cache that holds what it was given.
struct Memory<K, V>(HashMap<K, V>);

impl<K: Hash + Eq, V: Clone> ResolverCache<K, V> for Memory<K, V> {
    fn get<Q>(&self, name: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.get(name).cloned()
    }

    fn remove<Q>(&self, _: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: K, _: V, _: std::time::Instant) {}
}

/// Records of one name, as mail-auth holds them.
fn set<T: Clone>(items: &[T]) -> RecordSet<T> {
    RecordSet { rrset: Arc::from(items), dnssec_status: DnssecStatus::default() }
}

impl Peer {
    /// Fills the caches.
    fn new(records: &[(String, &'static str, String)]) -> Result<Self> {
        let mut peer = Self {
            authenticator: MessageAuthenticator::new(ResolverConfig::default(), ResolverOpts::default())
                .map_err(|error| anyhow::anyhow!("{error}"))?,
            txt: Memory(HashMap::new()),
            mx: Memory(HashMap::new()),
            four: Memory(HashMap::new()),
            six: Memory(HashMap::new()),
            ptr: Memory(HashMap::new()),
            checks: Vec::new(),
        };
        for (ip, sender, helo, _) in CHECKS {
            peer.checks.push((ip.parse()?, sender, helo));
        }
        let key = |name: &str| format!("{name}.").into_boxed_str();
        for (name, kind, _) in records {
            let values: Vec<&str> = records
                .iter()
                .filter(|(other, of, _)| other == name && of == kind)
                .map(|(.., value)| value.as_str())
                .collect();
            match *kind {
                "TXT" => {
                    let text = values.first().context("a text")?;
                    let record = mail_auth::spf::Spf::parse(text.as_bytes())
                        .map_err(|error| anyhow::anyhow!("{text}: {error}"))?;
                    peer.txt.0.insert(key(name), Txt::Spf(Arc::new(record)));
                }
                "MX" => {
                    let exchanges = values.iter().map(|host| key(host)).collect();
                    peer.mx.0.insert(key(name), set(&[MX { exchanges, preference: 10 }]));
                }
                "A" => {
                    let parsed = values.iter().map(|value| value.parse()).collect::<Result<Vec<_>, _>>()?;
                    peer.four.0.insert(key(name), set(&parsed));
                }
                _ => {
                    let parsed = values.iter().map(|value| value.parse()).collect::<Result<Vec<_>, _>>()?;
                    peer.six.0.insert(key(name), set(&parsed));
                }
            }
        }
        Ok(peer)
    }

    /// The checks.
    fn checks(&self) -> impl Iterator<Item = (IpAddr, &'static str, &'static str)> {
        self.checks.iter().copied()
    }

    /// One check of the reverse-path; the word of its result.
    async fn check(&self, ip: IpAddr, sender: &str, helo: &str) -> &'static str {
        let parameters = Parameters::new(SpfParameters::verify_mail_from(ip, helo, "mx.example.net", sender))
            .with_txt_cache(&self.txt)
            .with_mx_cache(&self.mx)
            .with_ipv4_cache(&self.four)
            .with_ipv6_cache(&self.six)
            .with_ptr_cache(&self.ptr);
        match self.authenticator.verify_spf(parameters).await.result() {
            mail_auth::SpfResult::Pass => "pass",
            mail_auth::SpfResult::Fail => "fail",
            mail_auth::SpfResult::SoftFail => "softfail",
            mail_auth::SpfResult::Neutral => "neutral",
            mail_auth::SpfResult::TempError => "temperror",
            mail_auth::SpfResult::PermError => "permerror",
            mail_auth::SpfResult::None => "none",
        }
    }
}

// ---- pyspf ----

/// CPU seconds of pyspf for [`RUNS_OF_PYSPF`] runs; says where its results differ.
fn pyspf(python: &str, records: &[(String, &'static str, String)]) -> Result<f64> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/pyspf.py");
    let given = serde_json::json!({
        "records": records,
        "checks": CHECKS.map(|(ip, sender, helo, _)| (ip, sender, helo)),
        "rounds": RUNS_OF_PYSPF,
    });
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {python}"))?;
    child.stdin.take().context("standard input")?.write_all(given.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).context("pyspf says nothing")?;
    let results: Vec<&str> =
        said["results"].as_array().into_iter().flatten().filter_map(|result| result.as_str()).collect();
    for (result, (ip, sender, _, want)) in results.iter().zip(CHECKS) {
        if *result != want {
            println!("pyspf: {sender} from {ip}: {result}, right is {want}");
        }
    }
    said["seconds"].as_f64().context("seconds")
}

// ---- The static tree ----

/// How long the tree of the largest record takes.
fn whole_tree(answers: &Answers) -> Result<()> {
    let name = Name::from_dotted("busy.example")?;
    let mut answers = answers.clone();
    while let Err(ask) = tree(&name, &answers) {
        for question in ask.questions {
            answers.put(question, Answer::no_name());
        }
    }
    let began = clock::instant();
    let mut nodes = 0;
    for _ in 0..2_000 {
        nodes = tree(&name, &answers).map_or(0, |tree| tree.nodes.len());
    }
    println!("\nstatic tree of {nodes} records: {:.1} µs", began.elapsed().as_secs_f64() * 1e6 / 2_000.0);
    Ok(())
}
