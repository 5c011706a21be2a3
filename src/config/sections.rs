//! Reads the tables of the file one by one: checks every value, notes every fault, fills in defaults.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use crate::config::dns::read_dns;
use crate::config::file::Section;
use crate::config::mailbox;
use crate::config::probes;
use crate::config::secret::Secret;
use crate::config::settings::{
    AuthenticationSettings, ListenerSettings, ListenerTls, ReceiverSettings, RecipientSettings,
    RetentionSettings, Settings, TlsFiles,
};
use crate::config::watched;
use crate::mail::{Address, DomainName, Purpose};
use crate::smtp::sink::{Network, Relays};

/// Reads the whole file; faults are noted on the way.
pub(super) fn read(file: &Path, root: &Section<'_, '_>) -> Settings {
    let mut settings = Settings::without_file();
    settings.file = Some(file.to_owned());
    settings.recipients.clear();
    if root.number("version", 1).is_some_and(|version| version != 1) {
        root.fault("version", "this program reads version 1 of the configuration", None);
    }
    settings.user = root.parsed("user", "the name of a user", "mailsonde", |text| {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '$');
        (!text.is_empty() && text.chars().all(is_name)).then(|| text.to_owned())
    });
    if let Some(store) = root.section("store") {
        if let Some(path) = store.path("path", "/var/lib/mailsonde/mailsonde.db") {
            settings.store_path = path;
        }
        store.finish();
    }
    if let Some(smtp) = root.section("smtp") {
        settings.receiver = read_receiver(&smtp);
        smtp.finish();
    }
    if let Some(tls) = root.section("tls") {
        settings.tls = read_tls(&tls);
        tls.finish();
    }
    read_listeners(root, &mut settings);
    read_recipients(root, &mut settings);
    settings.watched = watched::read(root, &settings.recipients);
    read_domains(root, &mut settings);
    settings.mailboxes = mailbox::read(root);
    probes::read(root, &mut settings);
    if let Some(dns) = root.section("dns") {
        settings.dns = read_dns(&dns);
        dns.finish();
    }
    if let Some(authentication) = root.section("authentication") {
        settings.authentication = read_authentication(&authentication);
        authentication.finish();
    }
    if let Some(retention) = root.section("retention") {
        settings.retention = read_retention(&retention);
        retention.finish();
    }
    if let Some(sources) = root.section("sources") {
        settings.sources_file = sources.path("file", "/etc/mailsonde/senders.txt");
        settings.resolves_sources = sources.flag("resolve").unwrap_or(false);
        settings.country_database = sources.path("country_database", "/var/lib/GeoIP/GeoLite2-Country.mmdb");
        settings.network_database = sources.path("network_database", "/var/lib/GeoIP/GeoLite2-ASN.mmdb");
        sources.finish();
    }
    if let Some(web) = root.section("web") {
        if let Some(address) = web.socket("address", "127.0.0.1:8025") {
            settings.web_address = address;
        }
        web.finish();
        settings.notes.push("[web] is checked, and has no effect in this version".to_owned());
    }
    settings
}

/// `[authentication]`.
fn read_authentication(authentication: &Section<'_, '_>) -> AuthenticationSettings {
    let verifies = authentication.flag("verify").unwrap_or(true);
    let mut trusted_hosts: Vec<String> = Vec::new();
    for text in authentication.texts("trusted_hosts", "[\"mx.example.net\"]").unwrap_or_default() {
        match host_name(text) {
            Some(host) if trusted_hosts.contains(&host) => {
                let message = format!("{host} stands twice in `trusted_hosts` of [authentication]");
                authentication.fault("trusted_hosts", message, None);
            }
            Some(host) => trusted_hosts.push(host),
            None => {
                let hint =
                    "write the name with which its Authentication-Results fields begin: \"mx.example.net\"";
                authentication.fault(
                    "trusted_hosts",
                    format!("{text:?} is no host name"),
                    Some(hint.to_owned()),
                );
            }
        }
    }
    AuthenticationSettings { verifies, trusted_hosts }
}

/// `[smtp]`.
fn read_receiver(smtp: &Section<'_, '_>) -> ReceiverSettings {
    let mut receiver = ReceiverSettings::with_default_limits();
    receiver.host_name = smtp.parsed("host_name", "a host name", "mx.example.net", host_name);
    if let Some(bytes) = smtp.bytes("message_bytes") {
        receiver.message_bytes = bytes;
    }
    let counts: [(&'static str, &mut usize); 7] = [
        ("recipients", &mut receiver.recipients),
        ("sessions", &mut receiver.sessions),
        ("sessions_per_client", &mut receiver.sessions_per_client),
        ("sessions_per_client_minute", &mut receiver.sessions_per_client_minute),
        ("messages_per_session", &mut receiver.messages_per_session),
        ("messages_per_client_minute", &mut receiver.messages_per_client_minute),
        ("session_errors", &mut receiver.session_errors),
    ];
    for (key, place) in counts {
        if let Some(number) = smtp.number(key, 1) {
            *place = usize::try_from(number).unwrap_or(usize::MAX);
        }
    }
    let durations: [(&'static str, &mut Duration, &'static str); 5] = [
        ("command_timeout", &mut receiver.command_timeout, "5m"),
        ("data_block_timeout", &mut receiver.data_block_timeout, "3m"),
        ("data_timeout", &mut receiver.data_timeout, "30m"),
        ("session_timeout", &mut receiver.session_timeout, "2h"),
        ("shutdown_timeout", &mut receiver.shutdown_timeout, "30s"),
    ];
    for (key, place, example) in durations {
        let Some(duration) = smtp.duration(key, example) else { continue };
        if duration.is_zero() {
            smtp.fault(
                key,
                format!("`{key}` in [smtp] is zero"),
                Some(format!("for example `{key} = \"{example}\"`")),
            );
        }
        *place = duration;
    }
    if let Some(networks) = read_networks(smtp) {
        receiver.trusted_relays = networks;
    }
    receiver
}

/// A host name for greetings: a domain name without what only patterns hold.
pub(super) fn host_name(text: &str) -> Option<String> {
    DomainName::parse(text).map(|name| name.as_str().to_owned()).filter(|name| !name.contains('*'))
}

/// `[tls]`.
fn read_tls(tls: &Section<'_, '_>) -> Option<TlsFiles> {
    tls.require("certificate", "\"/etc/mailsonde/cert.pem\"");
    tls.require("key", "\"/etc/mailsonde/key.pem\"");
    let certificate = tls.path("certificate", "/etc/mailsonde/cert.pem");
    let key = tls.path("key", "/etc/mailsonde/key.pem");
    Some(TlsFiles { certificate: certificate?, key: key? })
}

/// `[[listener]]`.
fn read_listeners(root: &Section<'_, '_>, settings: &mut Settings) {
    let mut listeners: Vec<ListenerSettings> = Vec::new();
    let all = settings.receiver.trusted_relays.clone();
    for section in root.sections("listener") {
        section.require("address", "\"[::]:25\"");
        let address = section.socket("address", "[::]:25");
        let words = [("starttls", ListenerTls::StartTls), ("none", ListenerTls::None)];
        let tls = section.word("tls", &words).unwrap_or(ListenerTls::StartTls);
        let networks = read_networks(&section);
        let proxy_protocol = section.flag("proxy_protocol").unwrap_or(false);
        if let Some(address) = address {
            if listeners.iter().any(|listener| listener.address == address && address.port() != 0) {
                section.fault("address", format!("{address} is listened on twice"), None);
            }
            let relays = Relays { networks: networks.unwrap_or_else(|| all.clone()), proxy_protocol };
            if proxy_protocol && relays.networks.is_empty() {
                let hint = "name them: `trusted_relays = [\"192.0.2.10\"]`, here or in [smtp]".to_owned();
                section.fault("proxy_protocol", "`proxy_protocol` without a trusted proxy", Some(hint));
            }
            listeners.push(ListenerSettings { address, tls, relays });
        }
        section.finish();
    }
    if listeners.is_empty() {
        for listener in &mut settings.listeners {
            listener.relays.networks.clone_from(&all);
        }
    } else {
        settings.listeners = listeners;
    }
}

/// `trusted_relays`: addresses and networks; faults are noted, absent without the key.
fn read_networks(section: &Section<'_, '_>) -> Option<Vec<Network>> {
    let example = "[\"192.0.2.10\", \"2001:db8::/64\"]";
    let texts = section.texts("trusted_relays", example)?;
    let read = |text: &str| {
        let network = Network::parse(text);
        if network.is_none() {
            let hint = format!("for example `trusted_relays = {example}`");
            section.fault("trusted_relays", format!("{text:?} is no address and no network"), Some(hint));
        }
        network
    };
    Some(texts.into_iter().filter_map(read).collect())
}

/// `[[recipient]]`.
fn read_recipients(root: &Section<'_, '_>, settings: &mut Settings) {
    let words = Purpose::ALL.map(|purpose| (purpose.as_str(), purpose));
    let mut seen: HashMap<(String, Option<String>), Purpose> = HashMap::new();
    for section in root.sections("recipient") {
        section.require("address", "\"dmarc@monitor.example.net\"");
        section.require("purpose", "\"reports\"");
        let address = section.parsed("address", "a mail address", "dmarc@monitor.example.net", |text| {
            Address::parse(text).filter(|address| address.domain.is_some())
        });
        let purpose = section.word("purpose", &words);
        if let (Some(address), Some(purpose)) = (address, purpose) {
            let key = (address.local.to_lowercase(), address.domain.clone());
            match seen.insert(key, purpose) {
                Some(before) => {
                    let hint = format!("it is already there for `{}`; keep one", before.as_str());
                    section.fault("address", format!("{address} stands in two [[recipient]]"), Some(hint));
                }
                None => settings.recipients.push(RecipientSettings { address, purpose }),
            }
        }
        section.finish();
    }
}

/// `[[domain]]`.
fn read_domains(root: &Section<'_, '_>, settings: &mut Settings) {
    for section in root.sections("domain") {
        section.require("name", "\"example.com\"");
        let name = section.parsed("name", "a domain name", "example.com", |text| {
            DomainName::parse(text).filter(|name| !name.as_str().contains('*'))
        });
        if let Some(name) = name {
            if settings.domains.contains(&name) {
                section.fault("name", format!("{name} stands in two [[domain]]"), None);
            } else {
                settings.domains.push(name);
            }
        }
        section.finish();
    }
}

/// `{ env = "X" }`, `{ file = "…" }` or `{ command = […] }`.
pub(super) fn read_secret(section: Section<'_, '_>) -> Option<Secret> {
    let env = section.parsed("env", "the name of a variable", "MAILSONDE_PASSWORD", |text| {
        let is_name = !text.is_empty() && !text.contains(['=', '\0']);
        is_name.then(|| Secret::Env(text.to_owned()))
    });
    let file = section.path("file", "/etc/mailsonde/password").map(Secret::File);
    let command = section.texts("command", "[\"pass\", \"show\", \"probe\"]").map(|words| {
        if words.is_empty() {
            section.fault(
                "command",
                "`command` is empty",
                Some("name a program and its arguments".to_owned()),
            );
        }
        Secret::Command(words.into_iter().map(str::to_owned).collect())
    });
    if section.len() != 1 {
        let hint = "one of `env`, `file`, `command`".to_owned();
        section.fault("", format!("{} has not exactly one source", section.name()), Some(hint));
    }
    section.finish();
    env.or(file).or(command)
}

/// `[retention]`.
fn read_retention(section: &Section<'_, '_>) -> RetentionSettings {
    let mut retention = RetentionSettings::with_defaults();
    let places: [(&'static str, &mut Duration, &'static str); 6] = [
        ("raw_failures", &mut retention.raw_failures, "7d"),
        ("raw", &mut retention.raw, "90d"),
        ("raw_unread", &mut retention.raw_unread, "400d"),
        ("rows", &mut retention.rows, "800d"),
        ("clear_text", &mut retention.clear_text, "30d"),
        ("dns_history", &mut retention.dns_history, "800d"),
    ];
    for (key, place, example) in places {
        if let Some(duration) = section.duration(key, example) {
            *place = duration;
        }
    }
    retention
}
