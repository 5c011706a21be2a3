//! Leave, consent, caps, the file that stops everything and the look at ourselves, over zone files and a store.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test an error is a failure")]

use std::sync::Arc;

use mailsonde::clock::{self, Timestamp};
use mailsonde::config::Settings;
use mailsonde::daemon::dns::connect;
use mailsonde::daemon::manners::{Manners, Wish};
use mailsonde::probe::KeyRing;
use mailsonde::probe::compose::Profile;
use mailsonde::probe::look::{Found, Point};
use mailsonde::probe::manners::{Harm, Leave, Occasion, Refusal, Whose, Why};
use mailsonde::store::Store;

use crate::support::program;

const CONFIGURATION: &str = r#"
[store]
path = "m.db"
[dns]
zone = "m.zone"
[[domain]]
name = "example.com"
[probes]
per_destination = "2/h"
total = "5/h"
kill_switch = "stop"
consent = [{ domain = "agreed.example", because = "Ann agreed" }]
[sender.here]
host = "127.0.0.1"
port = 2525
tls = "none"
[sender.relay]
host = "smtp.example.com"
auth = { user = "u", password = { env = "X" } }
[sender.mx]
kind = "direct"
helo = "mx.example.com"
source_address = "192.0.2.7"
[route.here]
sender = "here"
to = "probe+{token}@example.com"
[route.own]
sender = "relay"
to = "probe+{token}@sub.example.com"
allow_negative = true
[route.foreign]
sender = "relay"
to = "probe+{token}@other.example"
allow_negative = true
[route.agreed]
sender = "relay"
to = "probe+{token}@mail.agreed.example"
from = "probe@example.com"
consent = "Bob agreed too"
[route.mx]
sender = "mx"
to = "probe+{token}@example.com"
from = "probe@example.com"
[route.test]
sender = "mx"
to = "probe+{token}@example.com"
from = "probe@example.com"
mail_from = "{token}@forged.example.com"
allow_negative = true
[[negative]]
route = "test"
profile = "spf-fail"
every = "24h"
"#;

/// A folder with a configuration, a zone and a store.
struct Place {
    folder: tempfile::TempDir,
    store: Store,
    settings: Arc<Settings>,
    keys: KeyRing,
}

impl Place {
    fn new(zone: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyRing::from_bytes(&[7; 32]).unwrap();
        let zone = zone.replace("ID", &keys.installation_id());
        std::fs::write(folder.path().join("m.zone"), zone).unwrap();
        let file = folder.path().join("m.toml");
        let settings = Settings::parse(&file, CONFIGURATION).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let store = Store::open(&settings.store_path, settings.store_options()).unwrap();
        Self { folder, store, settings: Arc::new(settings), keys }
    }

    fn manners(&self, is_forced: bool) -> Manners {
        let resolver = connect(&self.settings.dns).unwrap().resolver;
        Manners::new(Arc::clone(&self.settings), &self.keys, resolver, is_forced)
    }

    /// Asks for a plain probe by hand.
    async fn ask(&self, manners: &Manners, route: &str, harm: Harm, now: Timestamp) -> Result<(), Refusal> {
        self.ask_for(manners, route, harm, Occasion::Hand, now).await
    }

    async fn ask_for(
        &self,
        manners: &Manners,
        route: &str,
        harm: Harm,
        occasion: Occasion,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let route = self.settings.route(route).unwrap();
        let wish = Wish { harm, ..Wish::new(route, Profile::Plain, occasion) };
        manners.may_send(&self.store, &wish, now).await.unwrap()
    }
}

/// A zone in which nothing is wrong, but the leave that a test gives.
fn zone(leave: &str) -> String {
    format!(
        "example.com. MX 10 mx.example.com.\n\
         mx.example.com. A 192.0.2.7\n\
         7.2.0.192.in-addr.arpa. PTR mx.example.com.\n\
         example.com. TXT \"v=spf1 ip4:192.0.2.7 -all\"\n\
         probe.example.com. TXT \"v=spf1 -all\"\n\
         _dmarc.example.com. TXT \"v=DMARC1; p=none\"\n{leave}"
    )
}

fn why(result: Result<(), Refusal>) -> Option<Why> {
    result.err().map(|refusal| refusal.why)
}

fn later(now: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_ms(now.ms() + seconds * 1_000)
}

#[tokio::test]
async fn consent_for_what_is_not_ours() {
    let place = Place::new(&zone(""));
    let manners = place.manners(true);
    let whose = |route: &str| manners.whose(place.settings.route(route).unwrap());
    assert_eq!(
        ["here", "own", "foreign", "mx"].map(whose),
        [Whose::Here, Whose::Own, Whose::Foreign, Whose::Own]
    );
    let now = clock::now();
    let refusal = place.ask(&manners, "foreign", Harm::None, now).await.unwrap_err();
    assert_eq!(refusal.why, Why::NoConsent);
    assert!(refusal.text.contains("other.example"), "{refusal}");
    for route in ["here", "own", "agreed"] {
        assert_eq!(why(place.ask(&manners, route, Harm::None, now).await), None, "{route}");
    }
}

#[tokio::test]
async fn leave_is_asked_of_the_recipient_and_never_forced() {
    let leave = "_mailsonde-probe.example.com. TXT \"somebody else\"\n\
                 _mailsonde-probe.example.com. TXT \"ID\"\n";
    let (given, other, silent) = (
        Place::new(&zone(leave)),
        Place::new(&zone("_mailsonde-probe.example.com. TXT \"somebody else\"\n")),
        Place::new(&zone(";! fail _mailsonde-probe.example.com. TXT servfail\n")),
    );
    let now = clock::now();
    for (place, want) in [(&given, None), (&other, Some(Why::NoLeave)), (&silent, Some(Why::LeaveNotKnown))] {
        let manners = place.manners(true);
        assert_eq!(why(place.ask(&manners, "test", Harm::Stopped, now).await), want);
        // An ordinary probe needs no leave.
        assert_eq!(why(place.ask(&manners, "test", Harm::None, now).await), None);
        // A route that does not allow it is refused whatever the domain says.
        assert_eq!(why(place.ask(&manners, "mx", Harm::Stopped, now).await), Some(Why::NotAllowed));
        // An account never sends it without a word of its own.
        assert_eq!(why(place.ask(&manners, "own", Harm::Stopped, now).await), Some(Why::ViaAccount));
    }
    let manners = other.manners(true);
    let refusal = other.ask(&manners, "test", Harm::OpenRelay, now).await.unwrap_err();
    let id = other.keys.installation_id();
    assert_eq!(refusal.mend, format!("publish `_mailsonde-probe.example.com TXT \"{id}\"`"));
    // Who has another key is another installation.
    let mut place = Place::new(&zone(leave));
    place.keys = KeyRing::from_bytes(&[8; 32]).unwrap();
    assert_eq!(why(place.ask(&place.manners(true), "test", Harm::Stopped, now).await), Some(Why::NoLeave));
}

#[tokio::test]
async fn a_false_name_must_be_proven_too() {
    let leave = "_mailsonde-probe.example.com. TXT \"ID\"\n";
    let now = clock::now();
    let place = Place::new(&zone(leave));
    let refusal = place.ask(&place.manners(true), "test", Harm::Forged, now).await.unwrap_err();
    assert_eq!(refusal.why, Why::NoLeave);
    assert!(refusal.text.contains("forged.example.com publishes no leave"), "{refusal}");
    let both = format!("{leave}_mailsonde-probe.forged.example.com. TXT \"ID\"\n");
    let place = Place::new(&zone(&both));
    // Its envelope fails SPF on purpose: the look does not stop it.
    assert_eq!(why(place.ask(&place.manners(false), "test", Harm::Forged, now).await), None);
}

#[tokio::test]
async fn caps_hold_over_all_routes_and_side_by_side() {
    let place = Place::new(&zone(""));
    let manners = place.manners(true);
    let now = clock::now();
    // Ten at once, of two routes to one domain: two go.
    let asked = (0..10).map(|index| {
        let route = if index % 2 == 0 { "here" } else { "mx" };
        place.ask(&manners, route, Harm::None, now)
    });
    let results = futures_util::future::join_all(asked).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2);
    let refusal = results.into_iter().find_map(Result::err).unwrap();
    assert_eq!((refusal.why, refusal.until), (Why::Cap, Some(later(now, 3_600))));
    assert!(refusal.mend.contains("`per_destination`"), "{}", refusal.mend);
    // Other domains have room, until all together have had five.
    let mut granted = Vec::new();
    for route in ["own", "own", "agreed", "agreed"] {
        granted.push(why(place.ask(&manners, route, Harm::None, later(now, 1)).await));
    }
    assert_eq!(granted, [None, None, None, Some(Why::Cap)]);
    assert_eq!(why(place.ask(&manners, "here", Harm::None, later(now, 3_600)).await), None);
}

#[tokio::test]
async fn the_kill_switch_stops_at_once_and_lets_go_at_once() {
    let place = Place::new(&zone(""));
    let manners = place.manners(true);
    let now = clock::now();
    assert_eq!(why(place.ask(&manners, "here", Harm::None, now).await), None);
    let file = place.folder.path().join("stop");
    std::fs::write(&file, "").unwrap();
    assert_eq!(why(place.ask(&manners, "here", Harm::None, now).await), Some(Why::KillSwitch));
    assert_eq!(why(manners.stopped(now)), Some(Why::KillSwitch));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(why(place.ask(&manners, "here", Harm::None, now).await), None);
}

#[tokio::test]
async fn scheduled_probes_keep_their_interval() {
    let place = Place::new(&zone(""));
    let manners = place.manners(true);
    let now = clock::now();
    let ask = async |route: &'static str, seconds: i64| {
        why(place.ask_for(&manners, route, Harm::None, Occasion::Schedule, later(now, seconds)).await)
    };
    assert_eq!(ask("own", 0).await, None);
    assert_eq!(ask("own", 100).await, Some(Why::Interval));
    assert_eq!(ask("own", 200).await, None, "half the least interval of five minutes has passed");
    // What stays here has none.
    assert_eq!(ask("here", 0).await, None);
    assert_eq!(ask("here", 1).await, None);
}

#[tokio::test]
async fn what_receivers_would_take_offence_at_is_found_first() {
    // Nothing signs: the one fault of this sender.
    let place = Place::new(&zone(""));
    let now = clock::now();
    let refusal = place.ask(&place.manners(false), "mx", Harm::None, now).await.unwrap_err();
    assert_eq!(refusal.why, Why::Look);
    assert!(refusal.text.contains("nothing signs"), "{refusal}");
    assert!(refusal.mend.contains("`--force`"), "{}", refusal.mend);
    assert_eq!(why(place.ask(&place.manners(true), "mx", Harm::None, now).await), None);
    let manners = place.manners(false);
    let findings = manners.look(place.settings.route("mx").unwrap()).await;
    let of = |point: Point| findings.iter().find(|finding| finding.point == point).unwrap();
    for (point, found) in [
        (Point::Ptr, Found::Yes),
        (Point::Helo, Found::Yes),
        (Point::Spf, Found::Yes),
        (Point::Dkim, Found::No),
        (Point::Dmarc, Found::Yes),
        (Point::Port25, Found::NotKnown),
    ] {
        assert_eq!(of(point).found, found, "{:#?}", of(point));
    }
    // What stays on this machine is not looked at.
    assert!(manners.look(place.settings.route("here").unwrap()).await.is_empty());
    // Without DNS nothing is known, and nobody is stopped by that.
    let servfail = ";! fail example.com. TXT servfail\n;! fail _dmarc.example.com. TXT servfail\n;! fail probe.example.com. TXT servfail\n\
                    ;! fail _dmarc.probe.example.com. TXT servfail\n";
    let place = Place::new(servfail);
    assert_eq!(why(place.ask(&place.manners(false), "own", Harm::None, now).await), None);
    let findings = place.manners(false).look(place.settings.route("own").unwrap()).await;
    assert!(
        !findings.is_empty() && findings.iter().all(|finding| finding.found == Found::NotKnown),
        "{findings:#?}"
    );
}

#[tokio::test]
async fn leave_of_several_domains_at_once() {
    let place = Place::new(
        "_mailsonde-probe.a.example. TXT \"ID\"\n;! fail _mailsonde-probe.c.example. TXT servfail\n",
    );
    let manners = place.manners(false);
    let leaves = manners.leaves(&["a.example", "b.example", "c.example"].map(str::to_owned)).await;
    assert_eq!(leaves[0], ("a.example".to_owned(), Leave::Published));
    assert_eq!(leaves[1].1, Leave::Absent { found: Vec::new() });
    assert!(matches!(&leaves[2].1, Leave::NotKnown(cause) if cause.contains("servfail")), "{leaves:?}");
}

// ---- The commands ----

/// A place whose key stands beside its database, as commands want it.
fn place_of_commands(zone: &str) -> Place {
    let place = Place::new(zone);
    std::fs::write(place.folder.path().join("m.key"), [7; 32]).unwrap();
    std::fs::write(place.folder.path().join("m.toml"), CONFIGURATION).unwrap();
    place
}

/// The rows of a command with a configuration, and its exit code.
fn rows(place: &Place, arguments: &[&str]) -> (Vec<serde_json::Value>, Option<i32>) {
    let mut all = vec!["--config", "m.toml", "--format", "json"];
    all.extend(arguments);
    let said = program::say(place.folder.path(), &all);
    let answer: serde_json::Value =
        serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}{}", said.stdout, said.stderr));
    (answer["rows"].as_array().unwrap().clone(), said.code)
}

#[test]
fn routes_are_checked_point_by_point() {
    let place = place_of_commands(&zone("_mailsonde-probe.example.com. TXT \"ID\"\n"));
    let (rows, code) = rows(&place, &["probe", "routes", "--check"]);
    assert_eq!(code, Some(1));
    let found = |route: &str, point: &str| {
        let row = rows.iter().find(|row| row["route"] == route && row["point"] == point);
        row.map(|row| row["found"].as_str().unwrap().to_owned()).unwrap_or_default()
    };
    for (route, point, want) in [
        ("here", "consent", "yes"),
        ("here", "ptr", ""),
        ("foreign", "consent", "no"),
        ("agreed", "consent", "yes"),
        ("own", "leave", "no"),
        ("mx", "leave", ""),
        ("mx", "ptr", "yes"),
        ("mx", "helo", "yes"),
        ("mx", "spf", "yes"),
        ("mx", "dkim", "no"),
        ("mx", "dmarc", "yes"),
        ("mx", "port25", "not-known"),
    ] {
        assert_eq!(found(route, point), want, "{route} {point}");
    }
    // Of two domains of one route, one gives leave.
    let leave: Vec<&str> = rows
        .iter()
        .filter(|row| row["route"] == "test" && row["point"] == "leave")
        .map(|row| row["found"].as_str().unwrap())
        .collect();
    assert_eq!(leave, ["yes", "no"]);
    let mend = rows.iter().find(|row| row["route"] == "own" && row["point"] == "leave").unwrap();
    let want = format!("publish `_mailsonde-probe.sub.example.com TXT \"{}\"`", place.keys.installation_id());
    assert_eq!(mend["mend"], want.as_str());
    let said = program::say(place.folder.path(), &["--config", "m.toml", "probe", "routes", "here"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!((said.stdout + &said.stderr).contains(&place.keys.installation_id()));
    let said =
        program::say(place.folder.path(), &["--config", "m.toml", "probe", "routes", "hier", "--check"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("here"), "{}", said.stderr);
}

#[test]
fn setup_prints_the_leave_and_knows_it_again() {
    let place = place_of_commands(&zone(""));
    let setup = |place: &Place| {
        let arguments =
            ["--config", "m.toml", "setup", "example.com", "--rua", "dmarc@example.com", "--zone", "m.zone"];
        program::say(place.folder.path(), &arguments).stdout
    };
    let said = setup(&place);
    let id = place.keys.installation_id();
    for want in [
        "add        _mailsonde-probe.example.com TXT  allows this installation to send negative probes"
            .to_owned(),
        format!("publish: TXT \"{id}\""),
        "_mailsonde-probe.sub.example.com TXT".to_owned(),
        "_mailsonde-probe.forged.example.com TXT".to_owned(),
    ] {
        assert!(said.contains(&want), "{said}\nwant {want}");
    }
    assert!(!said.contains("_mailsonde-probe.other.example"), "{said}");
    let place = place_of_commands(&zone("_mailsonde-probe.example.com. TXT \"ID\"\n"));
    let said = setup(&place);
    assert!(said.contains("in-place   _mailsonde-probe.example.com TXT"), "{said}");
}

#[test]
fn the_check_of_a_configuration_says_what_will_surprise() {
    let place = place_of_commands(&zone(""));
    let said = program::say(place.folder.path(), &["--config", "m.toml", "config", "check"]);
    let text = said.stdout + &said.stderr;
    for want in [
        "[route.own]: its bounces go to probe@probe.example.com",
        "`unobserved: no bounce path`",
        "[route.foreign]: other.example is none of the configured domains",
        "[route.mx]: its probes are mail of example.com",
    ] {
        assert!(text.contains(want), "{text}\nwant {want}");
    }
    assert!(!text.contains("[route.agreed]: mail.agreed.example is none"), "{text}");
}

#[test]
fn a_plan_tells_what_a_schedule_can_see() {
    let place = place_of_commands(&zone(""));
    let text = CONFIGURATION
        .replace("[route.here]\nsender = \"here\"\n", "[route.here]\nsender = \"here\"\nevery = \"288s\"\n");
    std::fs::write(place.folder.path().join("m.toml"), text).unwrap();
    let (all, code) = rows(&place, &["probe", "plan"]);
    assert_eq!(code, Some(0));
    let here = all.iter().find(|row| row["name"] == "here").unwrap();
    assert_eq!((&here["probes_day"], &here["loss_day"]), (&300.into(), &0.99.into()), "{here}");
    assert_eq!((&here["whose"], &here["messages_month"]), (&"here".into(), &9_000.into()), "{here}");
    let own = all.iter().find(|row| row["name"] == "own").unwrap();
    assert!(own["loss_day"].is_null() && own["is_goal_met"].is_null(), "{own}");
    // With the one a day that is made to be stopped.
    let total = all.iter().find(|row| row["kind"] == "total").unwrap();
    assert_eq!((&total["messages_month"], &total["cap"]), (&9_030.into(), &"5/h".into()), "{total}");
    let (met, code) = rows(&place, &["probe", "plan", "--loss", "1%", "--within", "1d"]);
    let here = met.iter().find(|row| row["name"] == "here").unwrap();
    assert_eq!(
        (&here["is_goal_met"], &here["wanted_every_seconds"], code),
        (&true.into(), &288.into(), Some(0))
    );
    let (missed, code) = rows(&place, &["probe", "plan", "--loss", "0.1", "--within", "1d"]);
    let here = missed.iter().find(|row| row["name"] == "here").unwrap();
    assert_eq!(
        (&here["is_goal_met"], &here["wanted_every_seconds"], code),
        (&false.into(), &28.into(), Some(1))
    );
    let said = program::say(place.folder.path(), &["--config", "m.toml", "probe", "plan", "--loss", "0"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
}
