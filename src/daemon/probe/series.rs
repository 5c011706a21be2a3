//! From the configuration to the series of the schedule.

use std::sync::Arc;
use std::time::Duration;

use crate::config::settings::{RouteSettings, Settings};
use crate::daemon::probe::name_of;
use crate::dns::Name;
use crate::probe::compose::Profile;
use crate::probe::schedule::Series;
use crate::smtp::submit::direct::Family;
use crate::store::SeriesKey;

/// The name of the series whose profiles share the interval of their route.
const IN_TURN: &str = "in-turn";

/// A series as it is configured.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Its route and name.
    pub(super) key: SeriesKey,
    /// Its route.
    pub(super) route: Arc<RouteSettings>,
    /// Its profiles, which have their turn.
    pub(super) profiles: Vec<Profile>,
    /// How long the expected is waited for, of what is made to be stopped.
    pub(super) within: Option<Duration>,
    /// The MX host and family that its probes go to, where each is a route of its own.
    pub(super) only: Option<(Name, Family)>,
    /// When its slots lie.
    pub(super) timing: Series,
}

impl Line {
    /// True if it stands for as many series as there are MX hosts and families, and is none itself.
    pub(super) fn is_of_every_mx(&self) -> bool {
        self.route.sender.kind.is_every_mx() && self.only.is_none()
    }

    /// The series of one of them.
    pub(super) fn to(&self, only: (Name, Family)) -> Self {
        let route = name_of(&self.route, Some(&only));
        let timing = self.timing.for_other(&route, &self.key.series);
        let key = SeriesKey { route, series: self.key.series.clone() };
        Self { key, only: Some(only), timing, ..self.clone() }
    }

    /// The profile that has its turn.
    pub(super) fn profile(&self, turn: u64) -> Option<&Profile> {
        let count = u64::try_from(self.profiles.len()).unwrap_or(u64::MAX).max(1);
        self.profiles.get(usize::try_from(turn % count).unwrap_or(0))
    }
}

/// Every series of the configuration, in its order.
///
/// `pace` gives the interval of a series that is kept for the one that is configured, and how long it begins at half
/// its rate. A route without an interval is sent by hand only.
pub(super) fn lines(
    settings: &Settings,
    pace: &dyn Fn(&RouteSettings, Duration) -> (Duration, Duration),
) -> Vec<Line> {
    let mut lines = Vec::new();
    for route in &settings.routes {
        let shared = Arc::new(route.clone());
        let line = |name: String, profiles: Vec<Profile>, every: Duration, within: Option<Duration>| {
            let (every, half_rate) = pace(route, every);
            let timing = Series::new(&route.name, &name, every, route.jitter_percent, half_rate);
            let key = SeriesKey { route: route.name.clone(), series: name };
            Line { key, route: Arc::clone(&shared), profiles, within, only: None, timing }
        };
        let in_turn: Vec<Profile> = route
            .profiles
            .iter()
            .filter(|profile| profile.every.is_none())
            .map(|profile| profile.profile)
            .collect();
        if let Some(every) = route.every.filter(|_| !in_turn.is_empty()) {
            lines.push(line(IN_TURN.to_owned(), in_turn, every, None));
        }
        for profile in &route.profiles {
            if let Some(every) = profile.every {
                let name = profile.profile.to_string();
                lines.push(line(name, vec![profile.profile], every, None));
            }
        }
        for negative in settings.negatives.iter().filter(|negative| negative.route == route.name) {
            let name = format!("negative {}", negative.profile);
            let profiles = vec![negative.profile];
            lines.push(line(name, profiles, negative.every, Some(negative.within)));
        }
    }
    // The same twice is one: the first.
    let mut seen = std::collections::BTreeSet::new();
    lines.retain(|line| seen.insert(line.key.clone()));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::probes::{NegativeSettings, ProfileSettings};
    use crate::config::settings::SenderSettings;
    use crate::mail::Address;

    #[test]
    fn what_is_configured_becomes_series() {
        let hour = Duration::from_secs(3_600);
        let profile =
            |profile: &str, every| ProfileSettings { profile: Profile::parse(profile).unwrap(), every };
        let route = |name: &str, every, profiles| {
            let sender = SenderSettings::submission("relay", "127.0.0.1", 25);
            let from = Address::parse("probe@example.org").unwrap();
            let mut route = RouteSettings::new(name, sender, "probe+{token}@example.net", from);
            (route.every, route.profiles) = (every, profiles);
            route
        };
        let mut settings = Settings::without_file();
        settings.routes = vec![
            route(
                "hq",
                Some(hour),
                vec![
                    profile("plain", None),
                    profile("attach:1MiB", Some(6 * hour)),
                    profile("business", None),
                ],
            ),
            route("by-hand", None, vec![profile("plain", None)]),
            route("twice", None, vec![profile("plain", Some(hour)), profile("plain", Some(2 * hour))]),
        ];
        settings.negatives = vec![NegativeSettings {
            route: "by-hand".to_owned(),
            profile: Profile::Plain,
            every: 24 * hour,
            within: hour,
        }];
        let lines = lines(&settings, &|_, every| (every.max(2 * hour), Duration::ZERO));
        let told: Vec<_> = lines
            .iter()
            .map(|line| {
                let profiles: Vec<_> = line.profiles.iter().map(ToString::to_string).collect();
                let hours = line.timing.every().as_secs() / 3_600;
                (line.key.route.as_str(), line.key.series.as_str(), profiles.join(" "), hours, line.within)
            })
            .collect();
        let want = [
            ("hq", "in-turn", "plain business", 2, None),
            ("hq", "attach:1048576", "attach:1048576", 6, None),
            ("by-hand", "negative plain", "plain", 24, Some(hour)),
            ("twice", "plain", "plain", 2, None),
        ];
        let want: Vec<_> = want.map(|(a, b, c, d, e)| (a, b, c.to_owned(), d, e)).into();
        assert_eq!(told, want);
        let only = (Name::from_dotted("mx1.example.net").unwrap(), Family::Ipv6);
        let way = lines[0].to(only.clone());
        assert_eq!(way.key.route, "hq/mx1.example.net/ipv6");
        assert_eq!(crate::daemon::probe::only_of(&way.route, &way.key.route), Some(only));
        assert_ne!(way.timing.slot_at(0), lines[0].timing.slot_at(0));
        let in_turn = &lines[0];
        assert_eq!(
            [0, 1, 2].map(|turn| in_turn.profile(turn).unwrap().to_string()),
            ["plain", "business", "plain"]
        );
    }
}
