//! The house rules that a program can check. Every failure names the file, the line, the rule and the mend.

/// Takes Rust sources apart.
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use scan::{Source, line_of, literals, mentions, word_lines};

// ---- The rules as tables ----

/// The rank of every module: a module may import from a lower rank only (ARCHITECTURE.md, "Ranks").
const RANKS: [(&str, u8); 27] = [
    ("limits", 0),
    ("clock", 0),
    ("mail", 1),
    ("tls_client", 1),
    ("reports", 2),
    ("dns", 2),
    ("sources", 2),
    ("authentication", 3),
    ("dns_health", 4),
    ("probe", 4),
    ("classify", 5),
    ("summary", 5),
    ("alert", 6),
    ("smtp", 6),
    ("mailbox", 6),
    ("render", 7),
    ("store", 7),
    ("notify", 8),
    ("web", 9),
    ("config", 10),
    ("daemon", 11),
    ("cli", 12),
    ("main", 13),
    // The crate's root holds the list of modules and no code.
    ("lib", 14),
    // Names that are no modules but can follow `crate::` or a chain of `super::`.
    ("self", 0),
    ("super", 0),
    ("crate", 0),
];

/// Modules without socket, file, thread, async, SQL, log or clock.
const PURE: [&str; 9] =
    ["mail", "reports", "sources", "dns_health", "probe", "classify", "summary", "alert", "render"];

/// Where a crate may be named: a folder, or a file, below `src`.
const OWNED_CRATES: [(&str, &[&str]); 19] = [
    ("maxminddb", &["sources"]),
    ("mail_auth", &["authentication"]),
    ("ureq", &["mailbox/oauth"]),
    ("httparse", &["dns_health/gather"]),
    ("rusqlite", &["store"]),
    ("mail_parser", &["mail"]),
    ("smtp_proto", &["smtp"]),
    ("quick_xml", &["reports"]),
    ("zip", &["reports"]),
    ("encoding_rs", &["mail", "reports"]),
    ("flate2", &["reports", "store", "daemon", "cli/import"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("comfy_table", &["render"]),
    ("csv", &["render"]),
    ("toml", &["config"]),
    ("rcgen", &["smtp", "daemon"]),
    ("anyhow", &["cli", "daemon", "main.rs"]),
    ("tracing_subscriber", &["cli", "daemon", "main.rs"]),
];

/// Where async code and its runtime may stand, below `src`.
const ASYNC: [&str; 13] = [
    "dns/cached.rs",
    "dns/confirmed.rs",
    "dns/hickory",
    "dns/resolve.rs",
    "authentication",
    "dns_health/gather",
    "smtp",
    "mailbox",
    "notify",
    "web",
    "daemon",
    "cli",
    "main.rs",
];

/// Where async code may not stand although its folder may: the session has neither socket nor clock.
const NOT_ASYNC: [&str; 1] = ["smtp/session"];

/// Files over the usual length, with the reason.
const LONG_FILES: [(&str, &str); 0] = [];

/// Lines of a file, without its tests.
const FILE_LINES: usize = 800;

// ---- Reading the tree ----

/// The root of the repository.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository as text; empty if it is absent, which the callers report as a missing row.
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_default()
}

/// Every file below a folder, as paths from the root of the repository, sorted, without what is built.
fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(path) = open.pop() {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_made = ["target", ".git"].contains(&name.as_str())
            || [".db", ".db-wal", ".db-shm"].iter().any(|end| name.ends_with(end));
        if is_made && !folder.ends_with(&name) {
            continue;
        }
        match std::fs::read_dir(&path) {
            Ok(entries) => open.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) => found.push(from_root(&path)),
        }
    }
    found.sort();
    found
}

/// A path as written in messages: from the root, with `/`.
fn from_root(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// All Rust sources of the repository's own package, read once.
static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let paths = ["src", "tests"].iter().flat_map(|folder| files(folder));
    let paths = paths.filter(|path| path.rsplit('.').next() == Some("rs"));
    paths.map(|path| Source::new(&path, &read(&path))).collect()
});

/// The Rust sources below some folders.
fn rust(folders: &[&str]) -> Vec<&'static Source> {
    let is_below =
        |source: &&Source| folders.iter().any(|folder| source.path.starts_with(&format!("{folder}/")));
    let sources: Vec<_> = SOURCES.iter().filter(is_below).collect();
    assert!(!sources.is_empty(), "no sources found below {folders:?}");
    sources
}

/// The findings of one rule.
#[derive(Default)]
struct Findings(String);

impl Findings {
    /// Adds one finding.
    fn add(&mut self, path: &str, line: usize, rule: &str, mend: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{path}:{line}: {rule}\n    mend: {mend}");
    }

    /// Fails the test if there are any.
    #[track_caller]
    fn none(self) {
        assert!(self.0.is_empty(), "house rules broken:\n\n{}", self.0);
    }
}

/// True if a path below `src` is one of these files or stands in one of these folders.
fn stands_in(path: &str, places: &[&str]) -> bool {
    let path = path.strip_prefix("src/").unwrap_or(path);
    places.iter().any(|place| {
        path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == ".rs")
    })
}

/// The rank of a module.
fn rank(module: &str) -> Option<u8> {
    RANKS.iter().find(|(name, _)| *name == module).map(|(_, rank)| *rank)
}

// ---- Who may import whom ----

/// Adds what is wrong with the imports of one file.
///
/// A circle of modules needs an import of the same or a higher rank somewhere, so ranks exclude circles.
fn check_ranks(source: &Source, findings: &mut Findings) {
    let own = source.module();
    let Some(own_rank) = rank(own) else {
        findings.add(
            &source.path,
            1,
            &format!("module `{own}` has no rank"),
            "add it to ARCHITECTURE.md and RANKS",
        );
        return;
    };
    for (name, line) in source.modules_mentioned() {
        if name == own {
            continue;
        }
        match rank(&name) {
            Some(other) if other < own_rank => {}
            Some(other) => findings.add(
                &source.path,
                line,
                &format!("`{own}` (rank {own_rank}) imports `{name}` (rank {other})"),
                "move the type down, or pass a value; see ARCHITECTURE.md, \"Ranks\"",
            ),
            None => findings.add(
                &source.path,
                line,
                &format!("`crate::{name}` is no module with a rank"),
                "name the module, without `*` and without re-exports at the root",
            ),
        }
    }
}

#[test]
fn imports_follow_the_ranks() {
    let mut findings = Findings::default();
    for source in rust(&["src"]) {
        if !["src/lib.rs"].contains(&source.path.as_str()) {
            check_ranks(source, &mut findings);
        }
    }
    findings.none();
}

#[test]
fn the_rank_check_finds_what_it_should() {
    let cases = [
        (
            "src/mail/x.rs",
            "use crate::reports::Deviation;",
            Some("`mail` (rank 1) imports `reports` (rank 2)"),
        ),
        (
            "src/store/x.rs",
            "use crate::{mail, render::Table};",
            Some("`store` (rank 7) imports `render` (rank 7)"),
        ),
        ("src/clock.rs", "use crate::limits;", Some("`clock` (rank 0) imports `limits` (rank 0)")),
        ("src/render/x.rs", "use crate::*;", Some("`crate::*` is no module")),
        ("src/helpers.rs", "", Some("module `helpers` has no rank")),
        ("src/store/x.rs", "use crate::{mail, summary::Query, store::y};", None),
        ("src/mail/x.rs", "#[cfg(test)]\nmod tests { use crate::store; }", None),
        ("src/mail/x.rs", "/// See [`crate::store`].\nfn f() {}", None),
    ];
    for (path, raw, want) in cases {
        let mut findings = Findings::default();
        check_ranks(&Source::new(path, raw), &mut findings);
        match want {
            Some(want) => assert!(findings.0.contains(want), "{raw}: {}", findings.0),
            None => assert_eq!(findings.0, "", "{raw}"),
        }
    }
}

#[test]
fn pure_modules_do_no_input_or_output() {
    let mut findings = Findings::default();
    for source in rust(&["src"]) {
        check_pure(source, &mut findings);
    }
    findings.none();
}

/// Adds what a module without input and output may not do.
fn check_pure(source: &Source, findings: &mut Findings) {
    if !PURE.contains(&source.module()) || stands_in(&source.path, &ASYNC) {
        return;
    }
    let mend = "take bytes or values as arguments; input and output belong to smtp, store, daemon or cli";
    for (name, line) in mentions(&source.code, "std") {
        if ["fs", "thread", "process", "env", "os"].contains(&name.as_str()) {
            findings.add(&source.path, line, &format!("`std::{name}` in a pure module"), mend);
        }
    }
    for word in ["TcpStream", "TcpListener", "UdpSocket", "UnixStream", "UnixListener", "ToSocketAddrs"] {
        for line in word_lines(&source.code, word) {
            findings.add(&source.path, line, &format!("`{word}` in a pure module"), mend);
        }
    }
    for root in ["tokio", "tracing", "rustix", "socket2"] {
        for (_, line) in mentions(&source.code, root) {
            findings.add(&source.path, line, &format!("`{root}` in a pure module"), mend);
        }
    }
    let readers = ["now", "instant", "SystemClock"];
    let clock =
        mentions(&source.code, "clock").into_iter().filter(|(name, _)| readers.contains(&name.as_str()));
    let uses_clock = source.code.contains("crate::clock");
    for (name, line) in clock.filter(|_| uses_clock) {
        findings.add(
            &source.path,
            line,
            &format!("`clock::{name}` in a pure module"),
            "take the time as an argument",
        );
    }
}

#[test]
fn the_purity_check_finds_what_it_should() {
    let cases = [
        ("use std::fs::File;", 1),
        ("use std::{fmt, fs};", 1),
        ("use std::net::{IpAddr, TcpStream};", 1),
        ("fn f() { std::thread::spawn(g); }", 1),
        ("use tokio::sync::mpsc;", 1),
        ("use crate::clock::{self, Day}; fn f() { crate::clock::instant() }", 0),
        ("use std::{fmt, io}; use std::net::IpAddr; // std::fs", 0),
    ];
    for (raw, want) in cases {
        let mut findings = Findings::default();
        check_pure(&Source::new("src/reports/x.rs", raw), &mut findings);
        assert_eq!(findings.0.matches("mend").count().min(1), want, "{raw}: {}", findings.0);
        let mut elsewhere = Findings::default();
        check_pure(&Source::new("src/daemon/x.rs", raw), &mut elsewhere);
        assert_eq!(elsewhere.0, "", "{raw}");
    }
}

#[test]
fn crates_stay_in_their_modules() {
    let mut findings = Findings::default();
    for source in rust(&["src"]) {
        for (name, places) in OWNED_CRATES {
            if stands_in(&source.path, places) {
                continue;
            }
            for (_, line) in mentions(&source.code, name) {
                let rule = format!("crate `{name}` outside {places:?}");
                findings.add(&source.path, line, &rule, "wrap it in the module that owns it");
            }
        }
    }
    findings.none();
}

#[test]
fn async_stays_in_its_modules() {
    let mut findings = Findings::default();
    for source in rust(&["src"]) {
        if stands_in(&source.path, &ASYNC) && !stands_in(&source.path, &NOT_ASYNC) {
            continue;
        }
        let words = ["async", "await"].into_iter().flat_map(|word| word_lines(&source.code, word));
        let runtime = mentions(&source.code, "tokio").into_iter().map(|(_, line)| line);
        for line in words.chain(runtime) {
            let rule = format!("async code or tokio outside {ASYNC:?} (and never in {NOT_ASYNC:?})");
            findings.add(&source.path, line, &rule, "keep it blocking and let daemon drive it");
        }
    }
    findings.none();
}

// ---- SQL ----

/// True if a string literal is SQL.
fn is_sql(literal: &str) -> bool {
    let has = |word: &str| !word_lines(literal, word).is_empty();
    (has("SELECT") && has("FROM"))
        || (has("UPDATE") && has("SET"))
        || (has("INSERT") && (has("INTO") || has("OR")))
        || (has("DELETE") && has("FROM"))
        || (has("CREATE") && (has("TABLE") || has("INDEX") || has("VIEW")))
        || has("PRAGMA")
        || (has("BEGIN") && has("IMMEDIATE"))
        || literal.trim_end_matches('"').ends_with(concat!(".", "sql"))
}

#[test]
fn sql_stands_in_the_store_only() {
    let mut findings = Findings::default();
    for source in rust(&["src"]).iter().filter(|source| source.module() != "store") {
        for (literal, line) in literals(&source.text) {
            if is_sql(&literal) {
                findings.add(&source.path, line, "SQL outside src/store", "give the store a method for it");
            }
        }
    }
    findings.none();
    let yes = ["\"SELECT a FROM b\"", "\"PRAGMA x\"", "\"insert\" INSERT OR IGNORE", "\"../schema.sql\""];
    let no = ["\"SELECT INBOX\"", "\"250 OK FROM\"", "\"UPDATE\"", "\"create a table\""];
    assert!(yes.into_iter().all(is_sql) && !no.into_iter().any(is_sql));
}

// ---- Documents ----

#[test]
fn every_module_is_in_the_architecture() {
    let document = read("ARCHITECTURE.md");
    let mut findings = Findings::default();
    let modules: BTreeSet<_> = rust(&["src"]).iter().map(|source| source.module().to_owned()).collect();
    for module in modules {
        let names = [format!("`{module}`"), format!("`{module}/`"), format!("`{module}.rs`")];
        if !names.iter().any(|name| document.contains(name)) {
            let rule = format!("module `{module}` is not named");
            findings.add("ARCHITECTURE.md", 1, &rule, "add a row with its one sentence to the map");
        }
    }
    findings.none();
}

#[test]
fn the_ranks_in_the_architecture_are_the_ranks_checked() {
    let document = read("ARCHITECTURE.md");
    let section =
        document.split("## Ranks").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap_or_default();
    let mut written = BTreeMap::new();
    for row in section.lines().filter_map(|line| line.strip_prefix("| ")) {
        let mut cells = row.split(" | ");
        let (Some(rank), Some(names)) = (cells.next().and_then(|cell| cell.parse::<u8>().ok()), cells.next())
        else {
            continue;
        };
        for name in names.split('`').skip(1).step_by(2) {
            written.insert(name.to_owned(), rank);
        }
    }
    let not_modules = ["lib", "self", "super", "crate"];
    let checked: BTreeMap<_, _> = RANKS
        .iter()
        .filter(|(name, _)| !not_modules.contains(name))
        .map(|(name, rank)| ((*name).to_owned(), *rank))
        .collect();
    assert_eq!(written, checked, "ARCHITECTURE.md, \"Ranks\", and RANKS in tests/it/tidy.rs differ");
}

/// The RFC numbers named in a text, each with its line; lists such as `RFC 9991, 6591` give the first only.
fn rfcs(text: &str) -> Vec<(u32, usize)> {
    let number = |at: usize| {
        let digits = text[at..].bytes().take_while(u8::is_ascii_digit).count();
        text[at..at + digits].parse().ok()
    };
    let mark = "RFC ";
    text.match_indices(mark)
        .filter_map(|(at, _)| Some((number(at + mark.len())?, line_of(text, at))))
        .collect()
}

#[test]
fn every_standard_in_the_sources_is_listed() {
    let document = read("STANDARDS.md");
    let listed = |number: u32| document.lines().any(|line| line.starts_with(&format!("| {number} |")));
    let mut findings = Findings::default();
    let mut first: BTreeMap<u32, (String, usize)> = BTreeMap::new();
    for source in rust(&["src"]) {
        for (number, line) in rfcs(&source.raw) {
            first.entry(number).or_insert((source.path.clone(), line));
        }
        for (at, _) in source.comments.match_indices("RFC") {
            let after = source.comments[at + 3..].chars().next().unwrap_or(' ');
            if after.is_ascii_digit() || after == '-' {
                let line = line_of(&source.comments, at);
                findings.add(&source.path, line, "a standard in another form", "write `RFC nnnn §x.y`");
            }
        }
    }
    for (number, (path, line)) in first {
        if !listed(number) {
            let rule = format!("RFC {number} is not in STANDARDS.md");
            findings.add(
                &path,
                line,
                &rule,
                &format!("add a row `| {number} | title | yes, partial or no | module |`"),
            );
        }
    }
    findings.none();
}

#[test]
fn standards_are_listed_once_with_a_status() {
    let document = read("STANDARDS.md");
    let mut findings = Findings::default();
    let mut seen = BTreeSet::new();
    for (at, line) in document.lines().enumerate() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let Some(number) = cells.get(1).and_then(|cell| cell.parse::<u32>().ok()) else { continue };
        if !seen.insert(number) {
            findings.add("STANDARDS.md", at + 1, &format!("RFC {number} is listed twice"), "join the rows");
        }
        if !cells.get(3).is_some_and(|status| ["yes", "partial", "no"].contains(status)) {
            findings.add("STANDARDS.md", at + 1, "no status", "the third column is `yes`, `partial` or `no`");
        }
    }
    assert!(!seen.is_empty(), "STANDARDS.md has no table");
    findings.none();
}

/// The texts between a beginning and the next quote.
fn quoted_after<'t>(text: &'t str, beginning: &str) -> Vec<(&'t str, usize)> {
    let end_of = |rest: &'t str| rest.split('"').next().unwrap_or_default();
    text.match_indices(beginning)
        .map(|(at, _)| (end_of(&text[at + beginning.len()..]), line_of(text, at)))
        .collect()
}

#[test]
fn every_option_is_in_a_document() {
    let documents =
        ["README.md", "docs/json-output.md", "docs/operations.md", "docs/probes.md"].map(read).concat();
    let mut paths = files("src/cli/args");
    paths.push("src/cli/args.rs".to_owned());
    let mut findings = Findings::default();
    let mut seen = 0;
    for path in &paths {
        let text = read(path);
        let mut is_option = false;
        for (at, line) in text.lines().map(str::trim).enumerate() {
            is_option |= line.starts_with("#[arg(") && !word_lines(line, "long").is_empty();
            let Some(field) = line.strip_prefix("pub ").filter(|_| is_option) else { continue };
            is_option = false;
            seen += 1;
            let option = format!(
                "--{}",
                field.split(':').next().unwrap_or_default().trim_end_matches('_').replace('_', "-")
            );
            let short = format!("`-{}`", option.chars().nth(2).unwrap_or(' '));
            if !documents.contains(&option) && !documents.contains(&short) {
                findings.add(
                    path,
                    at + 1,
                    &format!("option `{option}` is in no document"),
                    "show it in README.md",
                );
            }
        }
    }
    assert!(seen > 10, "{paths:?} hold no options any more: mend this test");
    findings.none();
}

#[test]
fn every_setting_is_in_the_reference() {
    let document = read("docs/configuration.md");
    let path = "src/config/sections.rs";
    let text = read(path);
    let readers =
        ["text", "parsed", "word", "flag", "number", "port", "bytes", "duration", "path", "socket", "texts"];
    let mut keys: Vec<_> =
        readers.iter().flat_map(|reader| quoted_after(&text, &format!(".{reader}(\""))).collect();
    keys.extend(
        ["section", "sections", "named"].iter().flat_map(|r| quoted_after(&text, &format!(".{r}(\""))),
    );
    let in_tables = quoted_after(&text, "(\"").into_iter();
    keys.extend(in_tables.filter(|(key, _)| text.contains(&format!("(\"{key}\", &mut "))));
    assert!(keys.len() > 30, "{path} reads no keys any more: mend this test");
    let mut findings = Findings::default();
    for (key, line) in keys {
        let forms = [format!("`{key}`"), format!("[{key}"), format!("{key} = ")];
        if !forms.iter().any(|form| document.contains(form)) {
            findings.add(
                path,
                line,
                &format!("setting `{key}` is not in docs/configuration.md"),
                "add its row",
            );
        }
    }
    findings.none();
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut findings = Findings::default();
    // The golden files quote hostile text, links among it.
    let is_ours =
        |path: &String| path.rsplit('.').next() == Some("md") && !path.starts_with("fixtures/render/");
    for path in files("").into_iter().filter(is_ours) {
        let text = read(&path);
        let folder = Path::new(&path).parent().unwrap_or(Path::new(""));
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !root().join(folder).join(target).exists() {
                let rule = format!("link to `{target}`, which is not there");
                findings.add(&path, line_of(&text, at), &rule, "write the document or mend the link");
            }
        }
    }
    findings.none();
}

// ---- Files ----

#[test]
fn files_stay_readable() {
    let mut findings = Findings::default();
    for source in rust(&["src"]) {
        let is_excused = LONG_FILES.iter().any(|(path, _)| *path == source.path);
        if source.lines > FILE_LINES && !is_excused {
            let rule = format!("{} lines without tests, more than {FILE_LINES}", source.lines);
            findings.add(
                &source.path,
                1,
                &rule,
                "divide it by subject, or add it to LONG_FILES with its reason",
            );
        }
        if source.lines <= FILE_LINES && is_excused {
            findings.add(
                &source.path,
                1,
                "excused from its length without need",
                "take it out of LONG_FILES",
            );
        }
    }
    findings.none();
}

#[test]
fn files_are_named_for_their_subject() {
    let mut findings = Findings::default();
    for source in rust(&["src"]) {
        let words = source.path.split(['/', '.']);
        for word in words.filter(|word| {
            ["util", "utils", "common", "helper", "helpers", "misc", "types", "shared"].contains(word)
        }) {
            findings.add(
                &source.path,
                1,
                &format!("a module named `{word}`"),
                "name it for what one value in it is",
            );
        }
    }
    findings.none();
}

#[test]
fn the_crate_root_is_a_list_and_main_is_short() {
    let mut findings = Findings::default();
    for source in rust(&["src"]) {
        if source.path == "src/lib.rs" {
            for (at, line) in source.code.lines().enumerate() {
                let line = line.trim();
                let is_module = line.starts_with("pub mod ") && line.ends_with(';');
                if !line.is_empty() && !is_module {
                    findings.add(&source.path, at + 1, "code at the crate's root", "move it into a module");
                }
            }
        }
        if source.path == "src/main.rs" && source.lines > 40 {
            findings.add(
                &source.path,
                1,
                "more than 40 lines",
                "arguments in, exit code out: the rest is in cli",
            );
        }
    }
    findings.none();
}

#[test]
fn nothing_is_left_for_later() {
    let mut findings = Findings::default();
    // Put together here, so that this file does not find itself.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|parts| parts.concat());
    for source in rust(&["src", "tests"]) {
        for mark in &marks {
            let lines = word_lines(&source.comments, mark)
                .into_iter()
                .chain(word_lines(&source.code_and_tests, mark));
            for line in lines {
                findings.add(
                    &source.path,
                    line,
                    &format!("`{mark}`"),
                    "do it, or say in words what is not done",
                );
            }
        }
        for call in ["todo", "unimplemented"] {
            for line in word_lines(&source.code_and_tests, call) {
                findings.add(&source.path, line, &format!("`{call}`"), "write it, or leave the branch out");
            }
        }
    }
    findings.none();
}

#[test]
fn tests_are_neither_skipped_nor_expected_to_panic() {
    let mut findings = Findings::default();
    for source in rust(&["src", "tests"]) {
        for attribute in ["ignore", "should_panic"] {
            for line in word_lines(&source.code_and_tests, attribute) {
                let before = source.code_and_tests.lines().nth(line - 1).unwrap_or_default().trim_start();
                if before.starts_with("#[") {
                    let mend = "assert what happens today, and say beside it why it is wrong";
                    findings.add(&source.path, line, &format!("attribute `{attribute}`"), mend);
                }
            }
        }
    }
    findings.none();
}

#[test]
fn lints_are_lifted_with_a_reason() {
    let mut findings = Findings::default();
    for source in rust(&["src", "tests"]) {
        for lift in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
            for (at, _) in source.code_and_tests.match_indices(lift) {
                let rest = &source.code_and_tests[at..];
                let attribute = &rest[..rest.find(']').unwrap_or(rest.len())];
                if word_lines(attribute, "reason").is_empty() {
                    let line = line_of(&source.code_and_tests, at);
                    findings.add(&source.path, line, "a lint lifted without a reason", "`reason = \"…\"`");
                }
            }
        }
    }
    findings.none();
}

#[test]
fn no_path_of_a_machine_is_in_the_tree() {
    // Put together here, so that this file does not find itself.
    let forbidden = [["/wo", "rk/"], ["/ro", "ot/"], ["/t", "mp/"]].map(|parts| parts.concat());
    let mut findings = Findings::default();
    for path in files("") {
        let bytes = std::fs::read(root().join(&path)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        for mark in &forbidden {
            // In a relative path it is a folder like any other, for example of a Maildir.
            let is_absolute = |at: usize| {
                let before = text[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '}' | '*'))
            };
            for (at, _) in text.match_indices(mark.as_str()).filter(|(at, _)| is_absolute(*at)) {
                let rule = format!("`{mark}`: a path of one machine");
                findings.add(&path, line_of(&text, at), &rule, "use a relative path or a temporary folder");
            }
        }
    }
    findings.none();
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = read("Cargo.toml");
    let mut findings = Findings::default();
    let mut in_dependencies = false;
    let mut before = "";
    for (at, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            in_dependencies = line.trim_end().ends_with("dependencies]");
        } else if in_dependencies && line.contains('=') && !line.starts_with('#') {
            // A headline of a section names no reason.
            let is_said = before.starts_with('#') && !before.starts_with("# --");
            if !is_said && !line.contains(" # ") {
                let rule = format!("dependency without its reason: {line}");
                findings.add("Cargo.toml", at + 1, &rule, "say in a comment above it what it is for");
            }
        }
        before = line;
    }
    findings.none();
}

#[test]
fn every_limit_says_its_unit_and_reason() {
    let mut findings = Findings::default();
    for path in ["src/limits.rs", "src/limits/mailboxes.rs"] {
        let text = read(path);
        let mut before = "";
        for (at, line) in text.lines().enumerate() {
            if line.starts_with("pub const") && !before.starts_with("///") {
                findings.add(
                    path,
                    at + 1,
                    "a limit without its sentence",
                    "say its unit and its reason above it",
                );
            }
            before = line;
        }
        assert!(text.contains("pub const"), "{path} holds no limits");
    }
    findings.none();
}

#[test]
fn every_fixture_has_its_row_and_its_expected_result() {
    let document = read("fixtures/README.md");
    let mut findings = Findings::default();
    for path in files("fixtures").iter().filter(|path| *path != "fixtures/README.md") {
        let name = path.rsplit('/').next().unwrap_or_default();
        let stem =
            name.strip_suffix(".expected.json").or_else(|| name.rsplit_once('.').map(|(stem, _)| stem));
        // A folder of outputs that a test writes needs one row only.
        let folder = path.split('/').nth(1).map(|folder| format!("{folder}/*"));
        let words = [Some(name), stem, folder.as_deref()];
        let is_named = words.into_iter().flatten().any(|word| document.contains(&format!("`{word}`")));
        if !is_named {
            findings.add(
                "fixtures/README.md",
                1,
                &format!("`{path}` has no row"),
                "say what it is and why it is kept",
            );
        }
        let Some(stem) = path.strip_suffix(".eml") else { continue };
        let bytes = std::fs::read(root().join(path)).unwrap_or_default();
        let is_crlf = bytes.ends_with(b"\r\n")
            && bytes
                .iter()
                .enumerate()
                .all(|(at, byte)| *byte != b'\n' || (at > 0 && bytes[at - 1] == b'\r'));
        if !is_crlf {
            findings.add(path, 1, "line ends other than CRLF", "write it as it goes over the wire");
        }
        let expected: serde_json::Value =
            serde_json::from_str(&read(&format!("{stem}.expected.json"))).unwrap_or_default();
        // Other folders have their own tests, which compare the whole of it.
        let is_demo = path.starts_with("fixtures/mail/");
        let words: &[&str] = if is_demo { &["mail_from", "purpose", "kind", "status"] } else { &["kind"] };
        let sums: &[&str] = if is_demo { &["reports", "records", "messages", "dmarc_pass"] } else { &[] };
        let words = words.iter().all(|key| expected[key].is_string());
        let sums = sums.iter().all(|key| expected[key].is_u64());
        if !words || !sums {
            let mend = "derive kind, status and sums by hand from the content";
            findings.add(&format!("{stem}.expected.json"), 1, "absent, or a field is missing", mend);
        }
    }
    findings.none();
}
