//! `demo`: the product shown on loopback, then its tables.

use std::io::Write;

use anyhow::Context as _;
use clap::Parser as _;

use crate::cli::args::{Arguments, Command, DemoArguments};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{dns, report};
use crate::config::Settings;
use crate::daemon::demo;

/// The tables that are shown, as a user would ask for them.
const TABLES: [&str; 10] = [
    "report summary",
    "report domains",
    "report sources",
    "report reporters",
    "report failures",
    "report tls",
    "report bounces",
    "report messages",
    "report probe-list",
    "dns check meadow.example bakery.example",
];

/// Cells of a line where nobody says how wide the terminal is.
const WIDTH: u16 = 120;

/// Runs the command.
pub fn run(context: &Context, arguments: &DemoArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let temporary = tempfile::Builder::new()
        .prefix("mailsonde-demo-")
        .tempdir()
        .context("cannot make a temporary folder; set TMPDIR")?;
    let folder = temporary.path();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let demo = runtime.block_on(demo::run(folder, &mut |line| {
        if !context.output.is_quiet {
            // Progress, not data: a closed standard error changes nothing.
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        }
    }))?;
    let shown = show(context, &demo.settings, out);
    if arguments.keep && shown.is_ok() {
        runtime.block_on(keep(&demo, out))?;
    }
    runtime.block_on(demo.service.stop(demo.settings.receiver.shutdown_timeout));
    shown
}

/// Prints every table with the command that prints it.
fn show(context: &Context, settings: &Settings, out: &mut dyn Write) -> Result<Exit, Failure> {
    for table in TABLES {
        writeln!(out, "\n$ mailsonde {table}")?;
        let words = std::iter::once("mailsonde").chain(table.split(' '));
        let parsed = Arguments::try_parse_from(words).context("a command of the demonstration")?;
        let mut context = Context::new(context.global.clone());
        context.given = Some(settings.clone());
        // Here even a pipe is read by eyes.
        context.output.width = context.output.width.or(Some(WIDTH));
        match parsed.command {
            Command::Report(arguments) => report::run(&context, &arguments, out)?,
            Command::Dns(arguments) => dns::run(&context, &arguments, out)?,
            _ => continue,
        };
    }
    out.flush()?;
    Ok(Exit::Fine)
}

/// Stays up until it is stopped.
async fn keep(demo: &demo::Demo, out: &mut dyn Write) -> Result<(), Failure> {
    let address = demo.service.addresses().first().context("the receiver has no address")?;
    writeln!(
        out,
        "\nThe receiver stays up on {address}; send mail to reports@mailsonde.test and ask again:\n\
         $ mailsonde --db {} report messages\n\
         Stop it with Ctrl-C; its database is removed then.",
        demo.settings.store_path.display()
    )?;
    out.flush()?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("cannot watch SIGTERM")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot watch SIGINT")?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
