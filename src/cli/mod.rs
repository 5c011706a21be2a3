//! The command line: arguments, exit codes, one file a command.
//!
//! Data goes to standard output, everything else to standard error. docs/json-output.md and the exit codes
//! of [`exit`] are contracts.

pub mod args;
pub mod check;
pub mod config;
pub mod context;
pub mod db;
pub mod demo;
pub mod dns;
pub mod domains;
pub mod exit;
pub mod fail_if;
pub mod import;
pub mod mailbox;
pub mod messages;
pub mod output;
pub mod period;
pub mod probe;
pub mod report;
pub mod serve;
pub mod setup;
pub mod upkeep;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::cli::args::{Arguments, Command, Format, ProbeCommand};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::render::plugin;

/// Runs one command and returns the exit code of the process.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match Arguments::try_parse_from(&arguments) {
        Ok(arguments) => exit::conclude(dispatch(arguments), &mut io::stderr().lock()),
        Err(error) if error.exit_code() != 0 && is_plugin(&arguments) => {
            // To monitoring, 2 would be an alarm about the domain.
            let text = error.render().to_string();
            let reason = text.lines().next().unwrap_or_default();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            let outcome = check::unknown(reason, &mut io::stdout().lock());
            let outcome = outcome.map(|()| Exit::Plugin(plugin::Status::Unknown.code()));
            exit::conclude(outcome.map_err(Failure::from), &mut io::stderr().lock())
        }
        Err(error) => refuse(&error),
    }
}

/// True if the command is `check`, also where its arguments are wrong.
fn is_plugin(arguments: &[OsString]) -> bool {
    let mut rest = arguments.iter().skip(1).map(|argument| argument.to_string_lossy());
    while let Some(argument) = rest.next() {
        if matches!(&*argument, "--config" | "--db" | "--format" | "--color") {
            rest.next();
        } else if !argument.starts_with('-') {
            return argument == "check";
        }
    }
    false
}

/// Calls the command.
fn dispatch(arguments: Arguments) -> Result<Exit, Failure> {
    let context = Context::new(arguments.global);
    context.start_logging(matches!(arguments.command, Command::Serve(_)));
    if context.output.format == Format::Zone && !matches!(arguments.command, Command::Setup(_)) {
        let words = "one of: table, json, ndjson, csv, markdown, html";
        return Err(Failure::usage("--format zone: only `setup` writes lines of a zone file", words));
    }
    let out = &mut io::BufWriter::new(io::stdout().lock());
    match arguments.command {
        Command::Import(arguments) => import::run(&context, &arguments, out),
        Command::Report(arguments) => report::run(&context, &arguments, out),
        Command::Mailbox(command) => mailbox::run(&context, &command, out),
        Command::Messages(command) => messages::run(&context, &command, out),
        Command::Domains(command) => domains::run(&context, &command, out),
        Command::Db(command) => db::run(&context, &command, out),
        Command::Dns(arguments) => dns::run(&context, &arguments, out),
        Command::Check(arguments) => check::run(&context, &arguments, out),
        Command::Setup(arguments) => setup::run(&context, &arguments, out),
        Command::Config(command) => config::run(&context, &command, out),
        Command::Probe(ProbeCommand::Routes(arguments)) => probe::routes(&context, &arguments, out),
        Command::Probe(ProbeCommand::Plan(arguments)) => probe::plan(&context, &arguments, out),
        Command::Probe(ProbeCommand::Drill(arguments)) => probe::drill::drill(&context, &arguments, out),
        Command::Probe(ProbeCommand::List(filter)) => probe::list(&context, &filter, out),
        Command::Probe(ProbeCommand::Show(arguments)) => probe::show(&context, &arguments, out),
        Command::Serve(_) => serve::run(&context),
        Command::Demo(arguments) => demo::run(&context, &arguments, out),
        Command::Probe(ProbeCommand::Send(arguments)) => probe::send(&context, &arguments, out),
    }
}

/// Prints help and version to standard output, faults of the arguments as `error:` and `hint:` lines.
fn refuse(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A closed pipe is no error.
        let _ = io::stdout().lock().write_all(text.as_bytes());
        return ExitCode::SUCCESS;
    }
    let mut err = io::stderr().lock();
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = write!(
            err,
            "error: no command given\nhint: `mailsonde report` prints what is in the store\n\n{text}"
        );
        return ExitCode::from(2);
    }
    // The library writes `tip:` and `For more information, try '--help'.`
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let line = line.trim();
        let line = match line.strip_prefix("tip: ").or_else(|| line.strip_prefix("For more information, ")) {
            Some(hint) => format!("hint: {hint}"),
            None => line.to_owned(),
        };
        // With standard error closed the code alone must do.
        let _ = writeln!(err, "{}", crate::render::escape::terminal(&line));
    }
    ExitCode::from(2)
}
