//! `config check` and `config example`.

use std::borrow::Cow;
use std::io::Write;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::cli::args::ConfigCommand;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::config::example::EXAMPLE;
use crate::config::places;
use crate::config::probes::remarks;
use crate::config::{DnsSettings, ListenerTls, MailboxAuth, MailboxPurpose, Settings, ZoneSource};
use crate::daemon::manners::whose;
use crate::daemon::probe_parts;
use crate::mailbox::SpamFolder;
use crate::render::{Column, Head, Kind, Sheet, Show, Value};

/// One thing that is in force.
pub struct InForce {
    /// What it is.
    setting: &'static str,
    /// Its value.
    value: String,
}

/// The columns of `config check`.
pub static COLUMNS: &[Column<InForce>] = &[
    Column::new("setting", "setting", Kind::Text, Show::Whole, "What is set.", |row| {
        Value::Text(Cow::Borrowed(row.setting))
    }),
    Column::new("value", "value", Kind::Text, Show::Cut(20), "Its value.", |row| {
        Value::Text(Cow::Borrowed(&row.value))
    }),
];

/// Runs the command.
pub fn run(context: &Context, command: &ConfigCommand, out: &mut dyn Write) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Example => {
            out.write_all(EXAMPLE.as_bytes())?;
            out.flush()?;
            Ok(Exit::Fine)
        }
        ConfigCommand::Check => check(context, out),
    }
}

/// Lists the faults, or says what is in force.
fn check(context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    let rows = in_force(&settings);
    let head = Head { view: "config", title: "Configuration in force", is_timeless: true, ..Head::default() };
    let mut sheet = Sheet::of_rows(head, COLUMNS, &rows);
    sheet.notes.clone_from(&settings.notes);
    sheet.notes.extend(remarks(&settings, |route| whose(&settings, route)));
    if settings.recipients.is_empty() {
        sheet.notes.push("no [[recipient]]: `serve` would refuse all mail".to_owned());
    }
    context.output.print(&sheet, &TimeZone::UTC, out)?;
    settings.dns.source()?;
    places::check(&settings)?;
    let unusable: Vec<String> = settings
        .secrets()
        .filter_map(|(table, secret)| secret.read().err().map(|error| format!("{table}: {error}")))
        .collect();
    // What a route needs for its messages is looked at only where its secrets can be read.
    let broken = if unusable.is_empty() { probe_parts::faults(&settings) } else { Vec::new() };
    if !broken.is_empty() {
        return Err(Failure::usage(broken.join("\n"), "docs/probes.md says what each profile needs"));
    }
    match unusable.first() {
        None => Ok(Exit::Fine),
        Some(_) => {
            Err(Failure::usage(unusable.join("\n"), "a password comes from `env`, `file` or `command`"))
        }
    }
}

/// Who answers questions of DNS, in words.
fn dns(settings: &DnsSettings) -> String {
    if let Some(zone) = &settings.zone {
        return match zone {
            ZoneSource::File(file) => format!("from the zone file {}", file.display()),
            ZoneSource::Text(_) => "from a built-in zone".to_owned(),
        };
    }
    let servers: Vec<String> = settings.servers.iter().map(ToString::to_string).collect();
    let servers = if servers.is_empty() { "servers of the system".to_owned() } else { servers.join(", ") };
    let over = settings.tls.as_ref().map(|name| format!(" over TLS as {name}")).unwrap_or_default();
    let validated = if settings.dnssec { "validated" } else { "not validated" };
    format!("{servers}{over}, {validated}")
}

/// What is in force, in the order of the documentation.
fn in_force(settings: &Settings) -> Vec<InForce> {
    let mut rows = Vec::new();
    let mut say = |setting: &'static str, value: String| rows.push(InForce { setting, value });
    let file =
        settings.file.as_ref().map_or_else(|| "none: defaults".to_owned(), |file| file.display().to_string());
    say("file", file);
    if let Some(user) = &settings.user {
        say("user", user.clone());
    }
    say("store", settings.store_path.display().to_string());
    say("host_name", settings.receiver.host_name.clone().unwrap_or_else(|| "name of the machine".to_owned()));
    let tls = match &settings.tls {
        Some(files) => format!("{} with key {}", files.certificate.display(), files.key.display()),
        None => "self-signed, made beside the database".to_owned(),
    };
    say("tls", tls);
    for listener in &settings.listeners {
        let tls = match listener.tls {
            ListenerTls::StartTls => "STARTTLS offered",
            ListenerTls::None => "no TLS",
        };
        let relays = match (listener.relays.proxy_protocol, listener.relays.networks.len()) {
            (_, 0) => "",
            (false, _) => ", behind trusted relays",
            (true, _) => ", behind trusted proxies only",
        };
        say("listener", format!("{}, {tls}{relays}", listener.address));
    }
    for recipient in &settings.recipients {
        say("recipient", format!("{} for {}", recipient.address, recipient.purpose.as_str()));
    }
    if settings.domains.is_empty() {
        say("domain", "all are watched".to_owned());
    }
    for domain in &settings.domains {
        say("domain", domain.to_string());
    }
    for route in &settings.routes {
        let sender = &route.sender;
        let by = sender.target();
        let lost_after = route.lost_after.as_secs();
        let kept = |every: Duration| whose(settings, route).interval(every).as_secs();
        let every = route.every.map_or_else(String::new, |every| format!("every {} s, ", kept(every)));
        say("route", format!("{}: to {} by {by}, {every}lost after {lost_after} s", route.name, route.to));
    }
    if !settings.routes.is_empty() {
        let probes = &settings.probes;
        let who = if probes.enabled { "sent" } else { "not sent by `serve`; by hand" };
        let (one, all) = (probes.per_destination, probes.total);
        let stop = probes
            .kill_switch
            .as_ref()
            .map_or_else(String::new, |file| format!("; none while {} is there", file.display()));
        say("probes", format!("{who} at most {one} to a destination, {all} in all{stop}"));
    }
    say("dns", dns(&settings.dns));
    for mailbox in &settings.mailboxes {
        let (kind, folders) = (mailbox.kind.as_str(), mailbox.folders.join(", "));
        let by = match &mailbox.auth {
            MailboxAuth::Local(path) => format!("{kind}://{}", path.display()),
            _ => format!("{kind}://{}@{}:{}", mailbox.user, mailbox.host, mailbox.port),
        };
        let (name, every) = (&mailbox.name, mailbox.poll.as_secs());
        let what = match &mailbox.purpose {
            MailboxPurpose::Reports => String::new(),
            MailboxPurpose::Bounces => "bounces of probes in ".to_owned(),
            MailboxPurpose::Watch { spam: SpamFolder::Named(spam), .. } => {
                format!("probes, spam in {spam}, in ")
            }
            MailboxPurpose::Watch { spam: SpamFolder::Nowhere, .. } => {
                "probes, without a folder for spam, in ".to_owned()
            }
            MailboxPurpose::Watch { .. } => "probes, also in the folder for spam, in ".to_owned(),
        };
        say("mailbox", format!("{name}: {what}{folders} of {by}, every {every} s"));
    }
    rows
}
