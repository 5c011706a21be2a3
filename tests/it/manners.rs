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
