//! How many probes went where: caps over all routes, as a window that slides.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;

/// So many messages in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// How many; at least one.
    pub messages: u32,
    /// In how long.
    pub per: Duration,
}

impl Cap {
    /// Reads `60/h`, `5/m`, `1000/d`: at least one message.
    pub fn parse(text: &str) -> Option<Self> {
        let (messages, unit) = text.split_once('/')?;
        let seconds = match unit {
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        let is_number = !messages.is_empty() && messages.bytes().all(|b| b.is_ascii_digit());
        let messages = messages.parse().ok().filter(|messages| is_number && *messages > 0)?;
        Some(Self { messages, per: Duration::from_secs(seconds) })
    }

    /// Messages in an hour.
    pub fn an_hour(self) -> f64 {
        f64::from(self.messages) * 3_600.0 / self.per.as_secs_f64().max(1.0)
    }
}

impl fmt::Display for Cap {
    /// What [`Cap::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            60 => "m",
            86_400 => "d",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.messages)
    }
}

/// A cap that is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// The cap.
    pub cap: Cap,
    /// To what, in words: a domain, a host, all destinations.
    pub what: String,
    /// The key that sets it.
    pub key: &'static str,
    /// When there is room again.
    pub until: Timestamp,
}

/// The times of probes, by destination and in all: as many as a cap allows, the oldest first.
#[derive(Debug, Clone)]
pub struct Ledger {
    per_destination: Cap,
    total: Cap,
    places: HashMap<String, VecDeque<Timestamp>>,
    all: VecDeque<Timestamp>,
    /// Notes since places without a probe in the window were dropped.
    notes: u32,
}

/// Notes after which places without a probe in the window are dropped.
const TIDY_AFTER: u32 = 1_000;

impl Ledger {
    /// Nothing sent yet.
    pub fn new(per_destination: Cap, total: Cap) -> Self {
        Self { per_destination, total, places: HashMap::new(), all: VecDeque::new(), notes: 0 }
    }

    /// How far back a probe counts.
    pub fn window(&self) -> Duration {
        self.per_destination.per.max(self.total.per)
    }

    /// Notes a probe to a recipient domain, and to the MX host that took it where that is known.
    pub fn note(&mut self, domain: &str, host: Option<&str>, at: Timestamp) {
        put(&mut self.all, at, self.total);
        self.note_host(domain, at);
        if let Some(host) = host.filter(|host| !host.eq_ignore_ascii_case(domain)) {
            self.note_host(host, at);
        }
        self.notes += 1;
        if self.notes >= TIDY_AFTER {
            self.notes = 0;
            let cap = self.per_destination;
            self.places.retain(|_, times| times.back().is_some_and(|last| last.after(cap.per) > at));
        }
    }

    /// Notes a probe of one place.
    fn note_host(&mut self, place: &str, at: Timestamp) {
        let times = self.places.entry(place.to_ascii_lowercase()).or_default();
        put(times, at, self.per_destination);
    }

    /// The cap that a further probe would exceed, if there is one: the one that lasts longest.
    pub fn full(&self, domain: &str, host: Option<&str>, now: Timestamp) -> Option<Full> {
        let place = |place: &str| {
            let times = self.places.get(&place.to_ascii_lowercase())?;
            let until = room_at(times, self.per_destination, now)?;
            Some(Full { cap: self.per_destination, what: place.to_owned(), key: "per_destination", until })
        };
        let total = room_at(&self.all, self.total, now).map(|until| Full {
            cap: self.total,
            what: "all destinations together".to_owned(),
            key: "total",
            until,
        });
        [place(domain), host.and_then(place), total].into_iter().flatten().max_by_key(|full| full.until)
    }
}

/// Adds a time where it belongs, and drops what no cap asks for.
fn put(times: &mut VecDeque<Timestamp>, at: Timestamp, cap: Cap) {
    let place = times.partition_point(|known| *known <= at);
    times.insert(place, at);
    while times.len() > usize::try_from(cap.messages).unwrap_or(usize::MAX) {
        times.pop_front();
    }
}

/// When there is room, if there is none now. After a clock was set back, what lies further ahead than one window does
/// not count: it would block for as long as the clock was wrong.
fn room_at(times: &VecDeque<Timestamp>, cap: Cap, now: Timestamp) -> Option<Timestamp> {
    let horizon = now.after(cap.per);
    let counted = |at: &&Timestamp| at.after(cap.per) > now && **at < horizon;
    let within = times.iter().filter(counted).count();
    let first = times.iter().find(counted)?;
    (within >= usize::try_from(cap.messages).unwrap_or(usize::MAX)).then(|| first.after(cap.per))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_790_000_000 + seconds)
    }

    fn cap(text: &str) -> Cap {
        Cap::parse(text).unwrap()
    }

    #[test]
    fn caps_as_written() {
        for (text, messages, seconds) in [("60/h", 60, 3_600), ("1/m", 1, 60), ("9999/d", 9_999, 86_400)] {
            let cap = cap(text);
            assert_eq!(
                (cap.messages, cap.per.as_secs(), cap.to_string().as_str()),
                (messages, seconds, text)
            );
        }
        for text in ["", "60", "/h", "0/h", "-1/h", "+1/h", "60/y", "60/hour", "6 0/h", "99999999999/h"] {
            assert_eq!(Cap::parse(text), None, "{text}");
        }
        assert!((cap("2/m").an_hour() - 120.0).abs() < 1e-9);
    }

    #[test]
    fn a_destination_has_its_cap_and_all_together_theirs() {
        let mut ledger = Ledger::new(cap("2/m"), cap("3/h"));
        assert_eq!(ledger.window(), Duration::from_secs(3_600));
        assert_eq!(ledger.full("a.example", None, at(0)), None);
        ledger.note("a.example", None, at(0));
        ledger.note("A.example", None, at(10));
        let full = ledger.full("a.EXAMPLE", None, at(11)).unwrap();
        assert_eq!((full.key, full.until), ("per_destination", at(60)), "the oldest leaves the window");
        assert_eq!(ledger.full("b.example", None, at(11)), None, "another domain has room");
        assert_eq!(ledger.full("a.example", None, at(60)), None);
        ledger.note("b.example", None, at(20));
        let full = ledger.full("c.example", None, at(21)).unwrap();
        assert_eq!((full.key, full.until, full.cap.messages), ("total", at(3_600), 3));
        // Of two that are reached the one that lasts longer is told.
        assert_eq!(ledger.full("a.example", None, at(21)).unwrap().key, "total");
    }

    #[test]
    fn domains_of_one_host_share_its_cap() {
        let mut ledger = Ledger::new(cap("2/h"), cap("100/h"));
        ledger.note("a.example", Some("mx.host.example"), at(0));
        ledger.note("b.example", Some("MX.host.example"), at(1));
        assert_eq!(ledger.full("c.example", None, at(2)), None);
        let full = ledger.full("c.example", Some("mx.host.example"), at(2)).unwrap();
        assert_eq!((full.what.as_str(), full.until), ("mx.host.example", at(3_600)));
        // A host with the name of the domain counts once.
        ledger.note("d.example", Some("d.example"), at(3));
        assert_eq!(ledger.full("d.example", Some("d.example"), at(4)), None);
    }

    #[test]
    fn times_come_in_any_order_and_clocks_are_set() {
        let mut ledger = Ledger::new(cap("2/m"), cap("100/h"));
        for seconds in [30, 10, 20] {
            ledger.note("a.example", None, at(seconds));
        }
        assert_eq!(ledger.full("a.example", None, at(40)).unwrap().until, at(80), "of 20 and 30 the older");
        // Set back by a day: what was sent "tomorrow" blocks nobody.
        assert_eq!(ledger.full("a.example", None, at(-86_400)), None);
        // Set back by a few seconds: it still counts.
        assert!(ledger.full("a.example", None, at(15)).is_some());
    }

    #[test]
    fn memory_stays_small() {
        let mut ledger = Ledger::new(cap("5/m"), cap("7/h"));
        for second in 0..5_000 {
            ledger.note(&format!("d{second}.example"), None, at(second));
        }
        assert_eq!(ledger.all.len(), 7);
        assert!(ledger.places.len() <= 1_100, "{}", ledger.places.len());
    }

    mod properties {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            /// Whoever asks before each probe never has more than the cap in any window.
            #[test]
            fn no_window_holds_more_than_its_cap(gaps in proptest::collection::vec(0_i64..40, 1..200)) {
                let mut ledger = Ledger::new(cap("3/m"), cap("1000/h"));
                let (mut now, mut sent) = (0, Vec::new());
                for gap in gaps {
                    now += gap;
                    match ledger.full("a.example", None, at(now)) {
                        None => {
                            ledger.note("a.example", None, at(now));
                            sent.push(now);
                        }
                        Some(full) => prop_assert!(full.until > at(now) && full.until <= at(now + 60)),
                    }
                }
                for (index, first) in sent.iter().enumerate() {
                    let within = sent.iter().skip(index).filter(|other| **other < first + 60).count();
                    prop_assert!(within <= 3, "{within} from {first}");
                }
            }
        }
    }
}
