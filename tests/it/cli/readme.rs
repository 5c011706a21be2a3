//! The output shown in README.md is real: every `$ mailsonde …` with output is run on the shipped mails and compared,
//! times and message ids aside. `UPDATE_GOLDEN=1` writes what is printed now.

use std::path::{Path, PathBuf};

use super::commands::program;

/// One command of the document with the lines that follow it.
struct Shown {
    /// The line of the command, from 0.
    line: usize,
    /// The words after `mailsonde`.
    arguments: Vec<String>,
    /// The lines of its output.
    output: Vec<String>,
}

/// The commands with output below the heading `## Commands`.
fn shown(document: &[&str]) -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    let mut is_in_block = false;
    let start = document.iter().position(|line| *line == "## Commands").unwrap();
    let end = document.iter().position(|line| *line == "## Design notes").unwrap();
    let mut is_open = false;
    for (line, text) in document.iter().enumerate().take(end).skip(start) {
        if text.starts_with("```") {
            is_in_block = !is_in_block;
            is_open = false;
        } else if let (true, Some(command)) = (is_in_block, text.strip_prefix("$ mailsonde ")) {
            let command = command.split(" #").next().unwrap().trim();
            // What the shell does is not ours to show.
            is_open = !command.contains(['|', ';', '>', '\'']);
            if is_open {
                let arguments = command.split_whitespace().map(str::to_owned).collect();
                found.push(Shown { line, arguments, output: Vec::new() });
            }
        } else if is_in_block && is_open {
            found.last_mut().unwrap().output.push((*text).to_owned());
        }
    }
    for shown in &mut found {
        while shown.output.last().is_some_and(String::is_empty) {
            shown.output.pop();
        }
    }
    found.retain(|shown| !shown.output.is_empty());
    found
}

/// A line without what differs from run to run: instants and message ids.
fn constant(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    let is_time = |word: &str| {
        word.len() == 8
            && word
                .bytes()
                .enumerate()
                .all(|(at, b)| if at % 3 == 2 { b == b':' } else { b.is_ascii_digit() })
    };
    for at in 1..words.len() {
        if is_time(words[at]) {
            (words[at - 1], words[at]) = ("DATE", "TIME");
            if words[0].len() == 12 {
                words[0] = "ID";
            }
        }
        if at >= 2 && words[at - 2] == "duplicate" && words[at - 1] == "of" {
            words[at] = "ID";
        }
    }
    words.join(" ")
}

#[test]
fn what_the_readme_shows_is_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("README.md")).unwrap();
    let lines: Vec<&str> = document.lines().collect();
    let all = shown(&lines);
    assert!(all.len() >= 10, "{} commands with output in README.md", all.len());

    let folder = tempfile::tempdir().unwrap();
    let reports = folder.path().join("reports");
    std::fs::create_dir(&reports).unwrap();
    let mails = std::fs::read_dir(root.join("fixtures/mail")).unwrap().map(|entry| entry.unwrap().path());
    for mail in mails.filter(|path: &PathBuf| path.extension().is_some_and(|extension| extension == "eml")) {
        std::fs::copy(&mail, reports.join(mail.file_name().unwrap())).unwrap();
    }
    for (from, to) in [
        ("fixtures/dns/spf.zone", "spf.zone"),
        ("fixtures/dns/setup.zone", "setup.zone"),
        ("fixtures/dns/demo.zone", "demo.zone"),
        ("contrib/mailsonde.toml", "example.toml"),
    ] {
        std::fs::copy(root.join(from), folder.path().join(to)).unwrap();
    }
    let mut wrong: Vec<(&Shown, String)> = Vec::new();
    for shown in &all {
        let arguments: Vec<&str> = shown.arguments.iter().map(String::as_str).collect();
        let output = program(folder.path(), &arguments).env("COLUMNS", "100").output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        // After `…` the document shows no more.
        let kept = shown.output.iter().position(|line| line == "…").unwrap_or(usize::MAX);
        let without_times = |lines: &mut dyn Iterator<Item = &str>| -> String {
            lines.take(kept).map(constant).collect::<Vec<_>>().join("\n").trim_end().to_owned()
        };
        let want = without_times(&mut shown.output.iter().map(String::as_str));
        if want != without_times(&mut printed.trim_end().lines()) {
            wrong.push((shown, printed.trim_end().to_owned()));
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let mut text: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        for (shown, printed) in
            wrong.iter().rev().filter(|(shown, _)| !shown.output.contains(&"…".to_owned()))
        {
            let first = shown.line + 1;
            text.splice(first..first + shown.output.len(), [printed.clone()]);
        }
        std::fs::write(root.join("README.md"), text.join("\n") + "\n").unwrap();
        return;
    }
    for (shown, printed) in &wrong {
        eprintln!("\n$ mailsonde {}\n{printed}", shown.arguments.join(" "));
    }
    assert!(wrong.is_empty(), "README.md shows something else; UPDATE_GOLDEN=1 writes what is printed above");
}
