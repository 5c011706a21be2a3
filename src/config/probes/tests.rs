use std::path::Path;

use super::*;
use crate::clock::Timestamp;
use crate::config::Secret;
use crate::mail::Address;
use crate::probe::compose::Profile;
use crate::probe::manners::Whose;

/// What every text below begins with: a domain, a recipient, a mailbox and two senders.
const HEAD: &str = r#"
[[domain]]
name = "example.com"
[[recipient]]
address = "probe@monitor.example.net"
purpose = "probe"
[mailbox.office]
purpose = "watch"
host = "imap.example.com"
user = "u"
password = { env = "P" }
[mailbox.own]
purpose = "bounces"
kind = "maildir"
path = "Maildir"
[sender.relay]
host = "smtp.example.com"
auth = { user = "u", password = { env = "X" }, mechanism = "login" }
[sender.mx]
kind = "direct"
helo = "probe.example.com"
source_address = "192.0.2.7"
dane = false
every_mx = true
dsn = false
"#;

/// The settings of a text behind [`HEAD`].
fn settings(text: &str) -> Settings {
    Settings::parse(Path::new("/etc/m/m.toml"), &format!("{HEAD}{text}"))
        .unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// The faults of a text behind [`HEAD`], as `line message [mend]`; lines count from the begin of the text.
fn faults(text: &str) -> Vec<String> {
    let before = HEAD.matches('\n').count();
    match Settings::parse(Path::new("m.toml"), &format!("{HEAD}{text}")) {
        Ok(_) => Vec::new(),
        Err(faults) => faults
            .iter()
            .map(|fault| {
                let hint = fault.hint.as_deref().unwrap_or("-");
                format!("{} {} [{hint}]", fault.line - before, fault.message)
            })
            .collect(),
    }
}

#[test]
fn all_keys_of_a_route() {
    let settings = settings(
        r#"
[probes]
enabled = false
kill_switch = "stop"
per_destination = "5/m"
total = "1000/d"
force = true
consent = [{ domain = "other.example", because = "Ann of Other agreed" }]
[dkim.k]
domain = "probe.example.com"
selector = "S1"
key = { file = "/etc/mailsonde/dkim.pem" }
[route.hq]
sender = "relay"
to = "probe+{token}@monitor.example.net"
profiles = ["plain", { profile = "attach:5MiB", every = "6h" }]
mail_from = "{token}@bounce.example.com"
dkim = "k"
every = "5m"
jitter = "30%"
overdue_after = "10m"
lost_after = "4h"
watch = "office"
bounces = "own"
reflect = "probe+{token}@monitor.example.net"
consent = "it is our own"
allow_negative = true
allow_negative_via_account = true
critical = true
tags = ["hq", "m365"]
slo = { within = "2m", target = 99.5, window = "7d" }
template = "newsletter.txt"
attach = "invoice.pdf"
headers = { X-Foo = "bar", X-Bar = "foo" }
[route.direct]
sender = "mx"
to = "a@other.example"
from = "me@probe.example.org"
overdue_after = "auto"
[[negative]]
route = "hq"
profile = "dlp"
every = "24h"
[[maintenance]]
tags = ["m365"]
start = "2026-07-11T22:00:00+02:00"
for = "4h"
"#,
    );
    let probes = &settings.probes;
    assert!(!probes.enabled && probes.force);
    assert_eq!(probes.kill_switch.as_deref(), Some(Path::new("/etc/m/stop")));
    assert_eq!(
        (probes.per_destination.to_string(), probes.total.to_string()),
        ("5/m".into(), "1000/d".into())
    );
    assert_eq!(probes.consent[0].because, "Ann of Other agreed");
    let hq = settings.route("hq").unwrap();
    let auth = hq.sender.auth.as_ref().unwrap();
    assert_eq!((auth.mechanism, &auth.password), (AuthMechanism::Login, &Secret::Env("X".into())));
    let profiles: Vec<_> =
        hq.profiles.iter().map(|one| (one.profile.to_string(), one.every.map(|e| e.as_secs()))).collect();
    assert_eq!(profiles, [("plain".to_owned(), None), ("attach:5242880".to_owned(), Some(21_600))]);
    assert_eq!(hq.profile(), Profile::Plain);
    let dkim = hq.dkim.as_ref().unwrap();
    assert_eq!((dkim.domain.as_str(), dkim.selector.as_str()), ("probe.example.com", "s1"));
    assert_eq!(hq.every, Some(Duration::from_secs(300)));
    assert_eq!(hq.overdue_after, Some(Duration::from_secs(600)));
    assert_eq!(hq.jitter_percent, 30);
    assert_eq!(hq.template.as_deref(), Some(Path::new("/etc/m/newsletter.txt")));
    assert_eq!(hq.attach.as_deref(), Some(Path::new("/etc/m/invoice.pdf")));
    assert_eq!(hq.headers, [("X-Foo".to_owned(), "bar".to_owned()), ("X-Bar".to_owned(), "foo".to_owned())]);
    let slo = SloSettings {
        within: Duration::from_secs(120),
        target_millionths: 995_000,
        window: Duration::from_secs(7 * 86_400),
    };
    assert_eq!(hq.slo, Some(slo));
    assert_eq!(settings.secrets().count(), 3, "the password, the key, the mailbox");
    // The author's default is in a subdomain of its own.
    assert_eq!(hq.from.to_string(), "probe@probe.example.com");
    let direct = settings.route("direct").unwrap();
    assert_eq!(direct.sender.kind, SenderKind::Direct { mta_sts: true, dane: false, every_mx: true });
    assert!(direct.sender.is_direct() && direct.sender.kind.is_every_mx() && !direct.sender.dsn);
    assert_eq!((direct.sender.port, direct.sender.target().as_str()), (25, "the MX hosts"));
    assert_eq!(direct.sender.source_address, Some("192.0.2.7".parse().unwrap()));
    assert_eq!((direct.every, direct.overdue_after, direct.jitter_percent), (None, None, 20));
    assert_eq!(settings.negatives[0].within, Duration::from_secs(600));
    let window = &settings.maintenance[0];
    assert_eq!(window.start.rfc3339(), "2026-07-11T20:00:00Z");
    let end = Timestamp::from_ms(window.start.ms() + 4 * 3_600_000);
    assert!(window.covers(hq, window.start) && !window.covers(hq, end));
    assert!(!window.covers(direct, window.start) && !window.covers(hq, Timestamp::from_ms(0)));
    let all = MaintenanceSettings { tags: Vec::new(), ..window.clone() };
    assert!(all.covers(direct, window.start), "neither routes nor tags: all");
}

#[test]
fn defaults_and_domains_of_ours() {
    let settings = settings("");
    assert!(settings.probes.enabled && settings.probes.kill_switch.is_none());
    assert_eq!(settings.probes.per_destination, Cap::parse("60/h").unwrap());
    assert_eq!(settings.probes.total, Cap::parse("600/h").unwrap());
    for (domain, is_own) in [
        ("example.com", true),
        ("probe.example.com", true),
        ("monitor.example.net", true),
        ("example.net", false),
        ("notexample.com", false),
        ("other.example", false),
    ] {
        assert_eq!(settings.is_own_domain(&DomainName::parse(domain).unwrap()), is_own, "{domain}");
    }
    let route = RouteSettings::new(
        "r",
        SenderSettings::submission("s", "h", 25),
        "p+{token}@Other.example",
        Address::parse("a@b.example").unwrap(),
    );
    assert_eq!(route.recipient_domain().unwrap().as_str(), "other.example");
}

#[test]
fn every_fault_has_its_line_and_its_mend() {
    let route = "[route.r]\nsender = \"relay\"\nto = \"a@example.com\"\n";
    let with = |line: &str| format!("{route}{line}");
    let negative = "[[negative]]\nroute = \"r\"\nprofile = \"gtube\"\nevery = \"24h\"";
    let window = "[[maintenance]]\nstart = \"2026-07-11T22:00:00Z\"\nfor = \"4h\"\n";
    let cases: Vec<(String, &str, &str)> = vec![
        // [probes]
        ("[probes]\nper_destination = \"60\"".into(), "2 `per_destination` in [probes] is not a number of", "\"60/h\""),
        ("[probes]\ntotal = 600".into(), "2 `total` in [probes] is an integer", "\"600/h\""),
        ("[probes]\nenabled = \"no\"".into(), "2 `enabled` in [probes] is a string", "enabled = true"),
        ("[probes]\nconsent = [\"b.example\"]".into(), "2 `consent` in [probes] needs a reason", "because"),
        ("[probes]\nconsent = [{ domain = \"b.example\" }]".into(), "2 `consent` of [probes] has no `because`", "because"),
        ("[probes]\nconsent = [{ domain = \"*.b\", because = \"they agreed\" }]".into(), "is not a domain name", "other.example"),
        ("[probes]\nconsent = true".into(), "2 `consent` in [probes] is a boolean", "a list"),
        ("[probes]\nkill_swich = \"x\"".into(), "2 unknown key `kill_swich`", "did you mean `kill_switch`?"),
        // [dkim]
        ("[dkim.k]\ndomain = \"a.example\"\nkey = { env = \"K\" }".into(), "1 [dkim.k] has no `selector`", "selector = \"s1\""),
        ("[dkim.k]\ndomain = \"a.example\"\nselector = \"a b\"\nkey = { env = \"K\" }".into(), "3 `selector` in [dkim.k] is not a selector", "s1"),
        ("[dkim.k]\ndomain = \"a.example\"\nselector = \"s\"\nkey = \"MII\"".into(), "4 `key` in [dkim.k] is a string", "table"),
        // [sender]
        ("[sender.x]\nkind = \"mx\"".into(), "2 `kind` in [sender.x] does not know \"mx\"", "submission, direct"),
        ("[sender.x]\nkind = \"direct\"\nhost = \"h.example\"".into(), "3 `host` in [sender.x] has no meaning to MX hosts", "kind = \"submission\""),
        ("[sender.x]\nkind = \"direct\"\nauth = { user = \"u\", password = { env = \"X\" } }".into(), "3 `auth` in [sender.x] has no meaning", "leave it out"),
        ("[sender.x]\nhost = \"h.example\"\nevery_mx = true".into(), "3 `every_mx` in [sender.x] is for MX hosts only", "kind = \"direct\""),
        ("[sender.x]\nhost = \"h.example\"\nsource_address = \"here\"".into(), "is not an IP address of this machine", "192.0.2.7"),
        ("[sender.x]\nhost = \"h\"\nauth = { user = \"u\", password = { env = \"X\" }, mechanism = \"cram\" }".into(), "does not know \"cram\"", "xoauth2"),
        // [route]
        (with("dkim = \"k\""), "4 [route.r] names an unknown dkim \"k\"", "add a table `[dkim.k]`"),
        (with("watch = \"offise\""), "4 [route.r] names an unknown mailbox \"offise\"", "did you mean `office`?"),
        (
            with("bounces = \"office\""),
            "4 `bounces` of [route.r] names [mailbox.office], whose purpose is \"watch\"",
            "write `purpose = \"bounces\"` in [mailbox.office]",
        ),
        (with("bounces = \"zzzzzzz\""), "4 [route.r] names an unknown mailbox", "mailboxes here: office, own"),
        (with("every = \"0s\""), "4 `every` is zero", "every = \"5m\""),
        (with("every = 5"), "4 `every` in [route.r] is an integer", "\"5m\""),
        (with("jitter = \"200%\""), "4 `jitter` in [route.r] is not a share", "20%"),
        (with("overdue_after = \"soon\""), "4 `overdue_after` in [route.r] is not \"auto\" or a duration", "10m"),
        (with("overdue_after = \"2d\""), "4 `overdue_after` is not before `lost_after`", "86400 s"),
        (with("profile = \"plain\"\nprofiles = [\"business\"]"), "4 `profile` beside `profiles`", "into `profiles`"),
        (with("profiles = [\"plane\"]"), "4 no such profile: plane", "profiles = ["),
        (with("profiles = [1]"), "4 an item of `profiles` in [route.r] is neither", "a list"),
        (with("profiles = [{ every = \"6h\" }]"), "4 `profiles` of [route.r] has no `profile`", "attach:5MiB"),
        (with("profiles = [\"plain\", { profile = \"plain\", every = \"6h\" }]"), "4 `profiles` has plain twice", "-"),
        (with("mail_from = \"bounce\""), "4 `mail_from` in [route.r] is not an address", "bounce.example.org"),
        (with("reflect = \"{token}{token}@a.example\""), "4 `reflect` in [route.r] is not an address", "{token}"),
        (with("reflect = \"b+{token}@other.example\""), "4 `reflect` leads to other.example", "consent = "),
        (with("consent = \"\""), "4 `consent` in [route.r] is not whose consent", "the owner agreed"),
        (with("allow_negative_via_account = true"), "4 `allow_negative_via_account` without `allow_negative`", "allow_negative = true"),
        (with("tags = [\"a b\"]"), "4 \"a b\" is no tag", "letters"),
        (with("tags = [\"a\", \"a\"]"), "4 \"a\" stands twice", "-"),
        (with("slo = { within = \"2m\" }"), "4 `slo` of [route.r] has no `target`", "99.5"),
        (with("slo = { within = \"2m\", target = 101 }"), "4 `target` in `slo` of [route.r] is no share", "99.5"),
        (with("slo = { within = \"2m\", target = 99, windw = \"2d\" }"), "4 unknown key `windw`", "`window`"),
        (with("headers = { Subject = \"x\" }"), "4 `headers` in [route.r]: header `Subject`", "X-Ticket"),
        (with("headers = { \"X Y\" = \"x\" }"), "4 `headers` in [route.r]: header `X Y`: `X Y` is no name", "X-Ticket"),
        (with("headers = { X-A = \"a\\r\\nBcc: b@c\" }"), "4 `headers` in [route.r]: header `X-A`", "one line"),
        (with("headers = { X-A = 1 }"), "4 `X-A` in `headers` of [route.r] is no string", "for example"),
        (with("profiles = [\"plain\", \"eicar\"]"), "4 eicar is made to be stopped", "write `[[negative]]` with `route = \"r\"`"),
        (with("profile = \"attach-file\""), "4 attach-file needs a file to attach", "leave the profile out"),
        // [[negative]]
        (with("allow_negative = true\n[[negative]]\nroute = \"r\"\nprofile = \"business\"\nevery = \"1d\""), "7 business is an ordinary profile", "`profiles` of the route"),
        (with("allow_negative = true\n[[negative]]\nroute = \"r\"\nprofile = \"dkim-broken\"\nevery = \"1d\""), "7 dkim-broken needs a DKIM key", "mend the route"),
        (with("allow_negative = true\n[[negative]]\nroute = \"r\"\nprofile = \"open-relay\"\nevery = \"1d\""), "7 open-relay needs a sender without `auth`", "mend the route"),
        (with(negative), "5 route \"r\" does not allow such probes", "add `allow_negative = true` to [route.r]"),
        (with("allow_negative = true\n[[negative]]\nroute = \"s\"\nprofile = \"gtube\"\nevery = \"1d\""), "6 [[negative]] names an unknown route \"s\"", "did you mean `r`?"),
        (with("allow_negative = true\n[[negative]]\nroute = \"r\"\nprofile = \"gtube\""), "5 [[negative]] has no `every`", "24h"),
        (with(&format!("allow_negative = true\n{negative}\n{negative}")), "11 gtube of route \"r\" stands in two", "-"),
        // [[maintenance]]
        (with(&format!("{window}routes = [\"hq\"]")), "7 [[maintenance]] names an unknown route \"hq\"", "[route.hq]"),
        (with(&format!("{window}tags = [\"hq\"]")), "7 no route has the tag \"hq\"", "-"),
        (with(&format!("{window}routes = []")), "7 `routes` in [[maintenance]] names none", "for all routes"),
        ("[[maintenance]]\nstart = \"tomorrow\"\nfor = \"4h\"".into(), "2 `start` in [[maintenance]] is not a time with its offset", "2026-07-11"),
        ("[[maintenance]]\nstart = \"2026-07-11T22:00:00\"\nfor = \"4h\"".into(), "2 `start` in [[maintenance]] is not a time", "+02:00"),
    ];
    for (text, want, mend) in cases {
        let got = faults(&text);
        let is_there = |fault: &String| {
            fault.split_once(" [").is_some()
                && fault.contains(want.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' '))
                && (!want.starts_with(|c: char| c.is_ascii_digit())
                    || fault.split(' ').next() == want.split(' ').next())
                && fault.contains(mend)
        };
        assert!(got.iter().any(is_there), "{text}\nwant {want} [{mend}]\ngot {got:#?}");
    }
}

#[test]
fn a_route_without_a_domain_needs_its_author() {
    let text = "[sender.a]\nhost = \"h\"\n[route.r]\nsender = \"a\"\nto = \"x@y.example\"";
    let faults = Settings::parse(Path::new("m.toml"), text).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].message.contains("has no `from`"), "{faults:?}");
}

/// The remarks about the route `r` of a text behind [`HEAD`].
fn remarks_of(whose: Whose, keys: &str) -> Vec<String> {
    let settings = settings(keys);
    remarks(&settings, |_| whose)
        .into_iter()
        .map(|remark| remark.strip_prefix("[route.r]: ").unwrap().to_owned())
        .collect()
}

#[test]
fn remarks_name_what_will_surprise() {
    let base = "[route.r]\nsender = \"relay\"\n";
    let ours =
        "to = \"probe+{token}@monitor.example.net\"\nmail_from = \"probe+{token}@monitor.example.net\"\n";
    let quiet = format!("{base}{ours}every = \"5m\"\n");
    assert_eq!(remarks_of(Whose::Own, &quiet), [""; 0]);
    // Bounces: the account's mailbox does as well, and so does the bare token at a probe domain.
    let elsewhere = format!("{base}to = \"{{token}}@monitor.example.net\"\n");
    let got = remarks_of(Whose::Own, &elsewhere);
    assert!(got.len() == 1 && got[0].contains("`unobserved: no bounce path`"), "{got:?}");
    assert_eq!(remarks_of(Whose::Own, &format!("{elsewhere}bounces = \"own\"")), [""; 0]);
    let bare = format!("{elsewhere}mail_from = \"{{token}}@monitor.example.net\"");
    assert_eq!(remarks_of(Whose::Own, &bare), [""; 0]);
    let other = format!("{elsewhere}mail_from = \"bounce+{{token}}@monitor.example.net\"");
    assert_eq!(remarks_of(Whose::Own, &other).len(), 1, "there is no such recipient");
    // Eyes.
    let away = format!("{base}to = \"a@example.com\"\nbounces = \"own\"\n");
    let got = remarks_of(Whose::Own, &away);
    assert!(got.len() == 1 && got[0].contains("nobody of ours looks"), "{got:?}");
    assert_eq!(remarks_of(Whose::Own, &format!("{away}watch = \"office\"")), [""; 0]);
    // Consent.
    let foreign = format!("{base}to = \"a@mail.other.example\"\nbounces = \"own\"\nwatch = \"office\"\n");
    let got = remarks_of(Whose::Foreign, &foreign);
    assert!(got.len() == 1 && got[0].contains("`consent = \"whose, and why\"`"), "{got:?}");
    assert_eq!(remarks_of(Whose::Foreign, &format!("{foreign}consent = \"Ann agreed\"")), [""; 0]);
    let general = "[probes]\nconsent = [{ domain = \"other.example\", because = \"Ann agreed\" }]\n";
    assert_eq!(remarks_of(Whose::Foreign, &format!("{general}{foreign}")), [""; 0]);
    // Intervals.
    let often = format!(
        "{foreign}consent = \"Ann agreed\"\nevery = \"5m\"\nprofiles = [{{ profile = \"plain\", every = \"29m\" }}]"
    );
    let got = remarks_of(Whose::Foreign, &often);
    assert_eq!(
        got,
        [
            "`every` is 300 s: to other people's systems probes go every 1800 s at most",
            "`every` of plain is 1740 s: to other people's systems probes go every 1800 s at most",
        ]
    );
    let often = format!("{base}{ours}every = \"10s\"\n");
    assert_eq!(remarks_of(Whose::Own, &often).len(), 1);
    assert_eq!(remarks_of(Whose::Here, &often), [""; 0], "what stays here may go as often as it likes");
    // The author.
    let author = format!("{quiet}from = \"probe@example.com\"");
    let got = remarks_of(Whose::Own, &author);
    assert!(got.len() == 1 && got[0].contains("probe@probe.example.com"), "{got:?}");
}
