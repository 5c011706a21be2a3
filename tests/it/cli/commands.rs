//! The binary as a user calls it: help, wrong use, configuration faults, closed pipes.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The binary in an empty folder, with nothing of this machine's environment that matters.
pub(crate) fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailsonde"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    for name in ["NO_COLOR", "COLUMNS", "RUST_LOG", "TZ"] {
        command.env_remove(name);
    }
    command
}

/// Runs to the end: exit code, standard output, standard error.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = program(folder, arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Every command with its path of names, the program itself first.
fn commands() -> Vec<Vec<String>> {
    use clap::CommandFactory as _;
    fn below(command: &clap::Command, path: &[String], all: &mut Vec<Vec<String>>) {
        all.push(path.to_vec());
        for inner in command.get_subcommands() {
            let mut path = path.to_vec();
            path.push(inner.get_name().to_owned());
            below(inner, &path, all);
        }
    }
    let mut all = Vec::new();
    below(&mailsonde::cli::args::Arguments::command(), &[], &mut all);
    all
}

#[test]
fn help_of_every_command_has_an_example_that_parses() {
    let folder = tempfile::tempdir().unwrap();
    let all = commands();
    assert!(all.len() > 15, "{all:?}");
    for path in all {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        arguments.push("--help");
        let (code, out, err) = run(folder.path(), &arguments);
        assert_eq!((code, err.as_str()), (0, ""), "{path:?}");
        let examples: Vec<&str> = out
            .lines()
            .skip_while(|line| !line.starts_with("Examples:"))
            .filter(|line| line.starts_with("  mailsonde "))
            .collect();
        assert!(!examples.is_empty(), "{path:?} has no example:\n{out}");
        for example in examples {
            // Behind several blanks stands what it does; behind `<` and `>` the shell's business.
            let line = example.trim().split("   ").next().unwrap();
            let line =
                line.split([' ', '\t']).take_while(|word| !matches!(*word, "<" | ">")).collect::<Vec<_>>();
            let words = join_quoted(&line);
            let parsed = <mailsonde::cli::args::Arguments as clap::Parser>::try_parse_from(&words);
            assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
        }
        assert!(out.lines().all(|line| line.chars().count() <= 110), "{path:?}");
    }
}

/// Puts words between single quotes together, as a shell does.
fn join_quoted(words: &[&str]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut is_open = false;
    for word in words {
        if is_open {
            let last = out.last_mut().unwrap();
            last.push(' ');
            last.push_str(word.trim_end_matches('\''));
        } else {
            out.push(word.trim_matches('\'').to_owned());
        }
        if word.matches('\'').count() % 2 == 1 {
            is_open = !is_open;
        }
    }
    out
}

#[test]
fn wrong_use_is_2_with_error_and_hint() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [&[&str]; 20] = [
        &[],
        &["reprot"],
        &["report", "sumary"],
        &["report", "--nonsense"],
        &["report", "--format", "xml"],
        &["--color", "red", "report"],
        &["report", "--since", "soon"],
        &["report", "--since", "2026-03-02", "--until", "2026-03-01"],
        &["report", "--sort", "mesages"],
        &["report", "--domain", "not a domain"],
        &["report", "sources", "--source", "300.1.1.1"],
        &["report", "messages", "--tz", "Mars/Olympus"],
        &["report", "--limit", "many"],
        &["report", "--fail-if", "dmarc_fail"],
        &["report", "--result", "maybe"],
        &["report", "messages", "--result", "raed"],
        &["import"],
        &["db", "reprocess", "--status", "raed"],
        &["probe", "send", "hq", "--wait", "soon"],
        &["config", "check", "--config", "absent.toml"],
    ];
    for arguments in cases {
        let (code, out, err) = run(folder.path(), arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.starts_with("error: ") && err.contains("\nhint: "), "{arguments:?}: {err}");
    }
    // Nothing was made on the way.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn options_stand_before_and_after_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let before = run(folder.path(), &["--format", "json", "config", "check"]);
    let after = run(folder.path(), &["config", "check", "--format", "json"]);
    assert_eq!(before, after);
    assert_eq!(before.0, 0);
    let value: serde_json::Value = serde_json::from_str(&before.1).unwrap();
    assert_eq!(value["view"], "config");
}

#[test]
fn a_missing_store_is_3() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["report"] as &[&str], &["db", "stats"], &["db", "verify"], &["domains", "list"]] {
        let (code, out, err) = run(folder.path(), arguments);
        assert_eq!((code, out.as_str()), (3, ""), "{arguments:?}");
        assert!(err.contains("no database at ") && err.contains("hint: "), "{err}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "asking makes no file");
}

#[test]
fn configuration_faults_have_file_line_and_mend() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("mailsonde.toml"),
        "[smtp]\nhostname = \"a\"\n\n[[listener]]\naddress = 25\n",
    )
    .unwrap();
    for arguments in [&["config", "check"] as &[&str], &["report"], &["--config", "mailsonde.toml", "report"]]
    {
        let (code, out, err) = run(folder.path(), arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        let want = "error: mailsonde.toml:2:1: unknown key `hostname` in [smtp]\nhint: did you mean `host_name`?\n\
                    error: mailsonde.toml:5:11: `address` in [[listener]] is an integer\nhint: write a string: `address = \"[::]:25\"`\n";
        assert_eq!(err, want);
    }
    // The example that is printed is valid where it lands.
    let (code, example, _) = run(folder.path(), &["config", "example"]);
    assert_eq!(code, 0);
    std::fs::write(
        folder.path().join("mailsonde.toml"),
        example.replace("/etc/mailsonde/relay-password", "p").replace("/etc/mailsonde/mailbox-password", "p"),
    )
    .unwrap();
    std::fs::write(folder.path().join("p"), "secret\n").unwrap();
    let (code, out, err) = run(folder.path(), &["config", "check"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("mx.monitor.example.net") && !out.contains("secret"), "{out}");
    // A secret that cannot be had is named with its sender.
    std::fs::remove_file(folder.path().join("p")).unwrap();
    let (code, _, err) = run(folder.path(), &["config", "check"]);
    assert_eq!(code, 2);
    assert!(err.contains("[sender.relay]: secret file ") && err.contains("hint: "), "{err}");
}

#[test]
fn what_keeps_a_route_from_sending_is_found_by_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let file = "[sender.relay]\nhost = \"192.0.2.1\"\n\n[route.hq]\nsender = \"relay\"\nto = \"{token}@example.net\"\n\
                from = \"probe@probe.example.org\"\ntemplate = \"offer.txt\"\n";
    std::fs::write(folder.path().join("mailsonde.toml"), file).unwrap();
    let checked = |template: &str| {
        std::fs::write(folder.path().join("offer.txt"), template).unwrap();
        let (code, _, err) = run(folder.path(), &["config", "check"]);
        (code, err)
    };
    assert_eq!(checked("Subject: Offer {{seq}}\n\nHello,\n").0, 0);
    for (template, want) in [
        ("Subject: Offer\n\nHello {{name}},\n", "line 3: no such variable: {{name}} (there are {{token}}"),
        ("Subject: Offer\nBcc: a@example.com\n\nHello,\n", "line 2: the field `Bcc` is written by the probe"),
        ("Hello,\n", "line 1: not a field `Name: value`: a template begins with its fields"),
    ] {
        let (code, err) = checked(template);
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("[route.hq]: template ") && err.contains(want), "{err}");
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["config", "check"] as &[&str], &["config", "example"], &["report", "--help"]] {
        let mut child =
            program(folder.path(), arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
        assert_eq!(err, "", "{arguments:?}");
    }
}

#[test]
fn colour_only_if_asked() {
    let folder = tempfile::tempdir().unwrap();
    let has_escape = |arguments: &[&str], no_color: bool| {
        let mut command = program(folder.path(), arguments);
        if no_color {
            command.env("NO_COLOR", "1");
        }
        command.output().unwrap().stdout.contains(&0x1b)
    };
    assert!(!has_escape(&["config", "check"], false), "a pipe is no terminal");
    assert!(!has_escape(&["--color", "never", "config", "check"], false));
    assert!(has_escape(&["--color", "always", "config", "check"], false));
    assert!(has_escape(&["--color", "always", "config", "check"], true), "what is asked for counts");
    assert!(!has_escape(&["--color", "always", "--format", "csv", "config", "check"], false));
}

#[test]
fn columns_is_the_width() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("[store]\npath = \"{}/x.db\"\n", "long/".repeat(40));
    std::fs::write(folder.path().join("mailsonde.toml"), long).unwrap();
    let widest = |columns: Option<&str>| {
        let mut command = program(folder.path(), &["config", "check"]);
        if let Some(columns) = columns {
            command.env("COLUMNS", columns);
        }
        let out = String::from_utf8(command.output().unwrap().stdout).unwrap();
        out.lines().map(|line| line.chars().count()).max().unwrap()
    };
    assert!(widest(Some("80")) <= 80);
    assert!(widest(Some("120")) <= 120 && widest(Some("120")) > 80);
    assert!(widest(None) > 200, "into a pipe nothing is cut");
    assert!(widest(Some("zero")) > 200);
}

#[test]
fn a_taken_port_is_3_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    std::fs::write(folder.path().join("mailsonde.toml"), format!("[[listener]]\naddress = \"{address}\"\n"))
        .unwrap();
    let (code, out, err) = run(folder.path(), &["serve", "--quiet"]);
    assert_eq!((code, out.as_str()), (3, ""), "{err}");
    assert!(err.starts_with(&format!("error: cannot listen on {address}: ")), "{err}");
    assert_eq!(err.matches("os error").count(), 1, "each cause once: {err}");
    assert!(err.contains("hint: another program listens there"), "{err}");
}
