use super::*;

/// The faults of a text as `line:column message` with the hint in brackets.
fn faults(text: &str) -> Vec<String> {
    match Settings::parse(Path::new("m.toml"), text) {
        Ok(_) => Vec::new(),
        Err(faults) => faults
            .iter()
            .map(|fault| {
                format!(
                    "{}:{} {} [{}]",
                    fault.line,
                    fault.column,
                    fault.message,
                    fault.hint.as_deref().unwrap_or("-")
                )
            })
            .collect(),
    }
}

#[test]
fn the_example_is_valid() {
    let settings =
        Settings::parse(Path::new("/etc/mailsonde/mailsonde.toml"), crate::config::example::EXAMPLE)
            .unwrap_or_else(|faults| panic!("{faults:?}"));
    assert_eq!(settings.recipients.len(), 7);
    assert_eq!(settings.routes.len(), 1);
    assert_eq!(settings.listeners[0].address.to_string(), "[::]:25");
    // Its commented parts too.
    let all = crate::config::example::EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with('[') || rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n");
    let settings = Settings::parse(Path::new("m.toml"), &all).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert!(settings.tls.is_some());
    assert_eq!(settings.user.as_deref(), Some("mailsonde"));
    assert!(settings.route("office").is_some_and(|route| route.sender.is_direct() && route.dkim.is_some()));
    assert_eq!(settings.maintenance.len(), 1);
}

#[test]
fn defaults_are_those_of_the_design() {
    let settings = Settings::without_file();
    let addresses: Vec<String> = settings.listeners.iter().map(|l| l.address.to_string()).collect();
    assert_eq!(addresses, ["127.0.0.1:2525", "[::1]:2525"]);
    assert_eq!(settings.recipients.len(), Purpose::ALL.len());
    assert!(settings.recipients.iter().all(|r| r.address.domain.as_deref() == Some("mailsonde.test")));
    assert!(settings.domains.is_empty());
    assert_eq!(settings.store_path, Path::new("mailsonde.db"));
    // An empty file differs in one thing only: it names no recipient.
    let empty = Settings::parse(Path::new("m.toml"), "").unwrap();
    assert_eq!(Settings { file: None, recipients: settings.recipients.clone(), ..empty }, settings);
}

#[test]
fn every_fault_is_listed_with_its_place_and_mend() {
    let text = r#"
[store]
pth = "x.db"

[[listener]]
adress = "[::]:25"
tls = "startls"

[[listener]]
address = "25"

[[recipient]]
address = "dmarc at example.net"
purpose = "report"

[smtp]
sessions = -1
command_timeout = 300
host_name = "mx example"

[colours]
"#;
    let got = faults(text);
    let want = [
        "3:1 unknown key `pth` in [store] [did you mean `path`?]",
        "5:1 [[listener]] has no `address` [add `address = \"[::]:25\"`]",
        "6:1 unknown key `adress` in [[listener]] [did you mean `address`?]",
        "7:7 `tls` in [[listener]] does not know \"startls\" [did you mean `starttls`? One of: starttls, none]",
        "10:11 `address` in [[listener]] is not an IP address with a port: \"25\" [for example `address = \"[::]:25\"`]",
        "13:11 `address` in [[recipient]] is not a mail address: \"dmarc at example.net\" [for example `address = \"dmarc@monitor.example.net\"`]",
        "14:11 `purpose` in [[recipient]] does not know \"report\" [did you mean `reports`? One of: reports, failures, tls, probe, bounce, watch, fbl, postmaster, abuse]",
        "17:12 `sessions` in [smtp] is out of range [write a whole number of at least 1]",
        "18:19 `command_timeout` in [smtp] is an integer [write a string: `command_timeout = \"5m\"`]",
        "19:13 `host_name` in [smtp] is not a host name: \"mx example\" [for example `host_name = \"mx.example.net\"`]",
    ];
    assert_eq!(got[..want.len()], want, "{got:#?}");
    assert_eq!(got.len(), want.len() + 1);
    assert!(
        got[want.len()]
            .starts_with("21:2 unknown key `colours` in the file [known here: version, user, store,")
    );
}

#[test]
fn relays_of_all_listeners_and_of_one() {
    let text = r#"
[smtp]
trusted_relays = ["192.0.2.10"]
[[listener]]
address = "127.0.0.1:25"
[[listener]]
address = "127.0.0.1:26"
trusted_relays = ["2001:db8::/64", "::ffff:198.51.100.0/120"]
proxy_protocol = true
[[listener]]
address = "127.0.0.1:27"
trusted_relays = []
"#;
    let settings = Settings::parse(Path::new("m.toml"), text).unwrap();
    let relays: Vec<&Relays> = settings.listeners.iter().map(|listener| &listener.relays).collect();
    let ip = |text: &str| text.parse().unwrap();
    assert!(relays[0].contain(ip("192.0.2.10")) && !relays[0].proxy_protocol);
    assert!(relays[1].contain(ip("2001:db8::9")) && relays[1].proxy_protocol);
    assert!(relays[1].contain(ip("198.51.100.7")) && !relays[1].contain(ip("192.0.2.10")));
    assert_eq!(*relays[2], Relays::NONE);
    // Also those that are there without being named.
    let settings = Settings::parse(Path::new("m.toml"), "[smtp]\ntrusted_relays = [\"10.0.0.0/8\"]").unwrap();
    assert!(settings.listeners.iter().all(|listener| listener.relays.contain(ip("10.1.2.3"))));
    for (text, want) in [
        ("[smtp]\ntrusted_relays = [\"a.example\"]", "no address and no network"),
        ("[smtp]\ntrusted_relays = [\"10.0.0.0/33\"]", "no address and no network"),
        ("[smtp]\ntrusted_relays = \"10.0.0.1\"", "a list of strings"),
        ("[[listener]]\naddress = \"127.0.0.1:25\"\nproxy_protocol = true", "without a trusted proxy"),
    ] {
        let faults = faults(text);
        assert!(faults.len() == 1 && faults[0].contains(want), "{faults:?}");
    }
}

#[test]
fn grammar_faults_have_a_place_too() {
    let got = faults("[store]\npath = \n[smtp\n");
    assert!(!got.is_empty());
    assert!(got[0].starts_with("2:"), "{got:?}");
    assert!(got.iter().all(|fault| fault.contains("not TOML")), "{got:?}");
    let got = faults("a = 1\na = 2\n");
    assert!(got.iter().any(|fault| fault.starts_with("2:1 not TOML")), "{got:?}");
}

#[test]
fn routes_and_senders() {
    let good = r#"
[sender.here]
host = "127.0.0.1"
port = 2525
tls = "none"
[sender.relay]
host = "smtp.example.org"
tls = "implicit"
auth = { user = "u", password = { env = "X" } }
[route.zebra]
sender = "here"
to = "probe+{token}@mailsonde.test"
from = "me@mailsonde.test"
lost_after = "3s"
[route.ape]
sender = "relay"
to = "fixed@example.net"
from = "me@example.org"
profile = "attach:1MiB"
"#;
    let settings = Settings::parse(Path::new("m.toml"), good).unwrap();
    let names: Vec<&str> = settings.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["zebra", "ape"], "the order of the file");
    let ape = settings.route("ape").unwrap();
    assert_eq!((ape.sender.port, ape.sender.tls), (465, SenderTls::Implicit));
    assert_eq!(ape.lost_after, limits::PROBE_LOST_AFTER);
    assert_eq!(settings.secrets().count(), 1);

    let cases = [
        (
            "[sender.a]\nhost = \"h\"\n[route.r]\nsender = \"b\"\nto = \"a@b\"\nfrom = \"a@b\"",
            "unknown sender \"b\"",
        ),
        ("[route.r]\nsender = \"b\"\nto = \"a@b\"\nfrom = \"a@b\"", "add a table `[sender.b]`"),
        (
            "[sender.a]\nhost = \"h\"\nauth = { user = \"u\", password = \"clear\" }",
            "`password` in `auth` of [sender.a] is a string",
        ),
        (
            "[sender.a]\nhost = \"h\"\nauth = { user = \"u\", password = { env = \"A\", file = \"b\" } }",
            "not exactly one source",
        ),
        (
            "[sender.a]\nhost = \"h\"\ntls = \"none\"\nauth = { user = \"u\", password = { env = \"A\" } }",
            "password without TLS",
        ),
        ("[sender.a]\nhost = \"h\"\nport = 70000", "is no port"),
        (
            "[sender.a]\nhost = \"h\"\n[route.r]\nsender = \"a\"\nto = \"{token}{token}@b\"\nfrom = \"a@b\"",
            "an address with `{token}`",
        ),
        (
            "[sender.a]\nhost = \"h\"\n[route.r]\nsender = \"a\"\nto = \"a@b\"\nfrom = \"a@b\"\nprofile = \"plane\"",
            "no such profile: plane",
        ),
        ("[sender]\na = 1", "`sender.a` is no table"),
        (
            "[[recipient]]\naddress = \"A@b\"\npurpose = \"probe\"\n[[recipient]]\naddress = \"a@B\"\npurpose = \"tls\"",
            "already there for `probe`",
        ),
        ("[[domain]]\nname = \"a.example\"\n[[domain]]\nname = \"A.example.\"", "stands in two [[domain]]"),
        ("[[listener]]\naddress = \"[::]:25\"\n[[listener]]\naddress = \"[::]:25\"", "listened on twice"),
        ("[listener]\naddress = \"[::]:25\"", "two brackets"),
        ("version = 2", "version 1"),
    ];
    for (text, want) in cases {
        let got = faults(text);
        assert!(got.iter().any(|fault| fault.contains(want)), "{text}\nwant {want}\ngot {got:?}");
    }
}

#[test]
fn secrets_never_show_in_debug_or_faults() {
    let text = "[sender.a]\nhost = \"h\"\nauth = { user = \"u\", password = \"hunter2\" }";
    assert!(!faults(text).join("\n").contains("hunter2"), "{:?}", faults(text));
}

#[test]
fn relative_paths_start_at_the_file() {
    let settings = Settings::parse(Path::new("/etc/m/m.toml"), "[store]\npath = \"x.db\"").unwrap();
    assert_eq!(settings.store_path, Path::new("/etc/m/x.db"));
    let settings = Settings::parse(Path::new("m.toml"), "[store]\npath = \"x.db\"").unwrap();
    assert_eq!(settings.store_path, Path::new("x.db"));
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Any text gives settings or faults with a place inside the text.
        #[test]
        fn any_text_is_answered(text in "[\\[\\]a-z=\"{}.,#\n 0-9é-]{0,200}") {
            if let Err(faults) = Settings::parse(Path::new("m.toml"), &text) {
                prop_assert!(!faults.is_empty());
                let lines = text.matches('\n').count() + 1;
                prop_assert!(faults.iter().all(|fault| (1..=lines).contains(&fault.line) && fault.column >= 1));
            }
        }
    }
}
