//! `[[negative]]` and `[[maintenance]]`: what runs at times of its own, and when nobody is alarmed.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::fault::nearest;
use crate::config::file::Section;
use crate::config::probes::route::{RouteSettings, positive, profile_of};
use crate::config::settings::Settings;
use crate::limits;
use crate::probe::compose::Profile;

/// A probe that is made to be stopped: that it arrives is the alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NegativeSettings {
    /// The route that it takes.
    pub route: String,
    /// What it is made of.
    pub profile: Profile,
    /// From one to the next.
    pub every: Duration,
    /// How long the expected is waited for.
    pub within: Duration,
}

/// A time in which probes go on and nobody is alarmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaintenanceSettings {
    /// The routes; empty, with no tags: all.
    pub routes: Vec<String>,
    /// The tags of routes.
    pub tags: Vec<String>,
    /// Its begin.
    pub start: Timestamp,
    /// Its length.
    pub length: Duration,
}

impl MaintenanceSettings {
    /// True if a route is under maintenance at a time.
    pub fn covers(&self, route: &RouteSettings, at: Timestamp) -> bool {
        let is_all = self.routes.is_empty() && self.tags.is_empty();
        let is_meant = is_all
            || self.routes.contains(&route.name)
            || route.tags.iter().any(|tag| self.tags.contains(tag));
        is_meant && self.start <= at && at < self.start.after(self.length)
    }
}

/// Reads both; faults are noted on the way. The routes must have been read;
/// `names` are all of theirs, also of those with faults.
pub(super) fn read(root: &Section<'_, '_>, settings: &mut Settings, names: &[String]) {
    for section in root.sections("negative") {
        if let Some(negative) = read_negative(&section, settings, names) {
            let is_double =
                |known: &NegativeSettings| known.route == negative.route && known.profile == negative.profile;
            if settings.negatives.iter().any(is_double) {
                let message =
                    format!("{} of route {:?} stands in two [[negative]]", negative.profile, negative.route);
                section.fault("profile", message, None);
            }
            settings.negatives.push(negative);
        }
        section.finish();
    }
    for section in root.sections("maintenance") {
        if let Some(window) = read_maintenance(&section, settings, names) {
            settings.maintenance.push(window);
        }
        section.finish();
    }
}

/// `[[negative]]`.
fn read_negative(
    section: &Section<'_, '_>,
    settings: &Settings,
    names: &[String],
) -> Option<NegativeSettings> {
    section.require("route", "\"hq\"");
    section.require("profile", "\"eicar\"");
    section.require("every", "\"24h\"");
    let route = section.text("route", "hq").and_then(|name| {
        let known = is_route(section, names, "route", name);
        known.then(|| name.to_owned())
    });
    let is_allowed = |name: &String| settings.route(name).is_none_or(|route| route.allow_negative);
    if let Some(name) = route.as_ref().filter(|name| !is_allowed(name)) {
        let hint = format!(
            "add `allow_negative = true` to [route.{name}], if whoever filters mail there agreed to such mail"
        );
        section.fault("route", format!("route {name:?} does not allow such probes"), Some(hint));
    }
    let profile = profile_of(section);
    if let Some(profile) = profile.filter(|profile| !profile.is_negative()) {
        let hint = "put it into `profiles` of the route".to_owned();
        section.fault("profile", format!("{profile} is an ordinary profile: nothing stops it"), Some(hint));
    }
    let of_route = route.as_ref().and_then(|name| settings.route(name));
    if let Some((profile, need)) =
        of_route.zip(profile).and_then(|(route, profile)| Some((profile, route.lacks(profile)?)))
    {
        let message = format!("{profile} needs {}", need.as_str());
        section.fault("profile", message, Some("mend the route, or name another".to_owned()));
    }
    let every = positive(section, "every", "24h");
    let within = positive(section, "within", "10m").unwrap_or(limits::PROBE_NEGATIVE_WITHIN);
    Some(NegativeSettings { route: route?, profile: profile?, every: every?, within })
}

/// Whether a route has this name; an unknown one is a fault. A route that has faults of its own is not asked for.
fn is_route(section: &Section<'_, '_>, names: &[String], key: &str, wanted: &str) -> bool {
    let is_known = names.iter().any(|name| name == wanted);
    if !is_known {
        let hint = match nearest(wanted, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add a table `[route.{wanted}]`"),
        };
        section.fault(key, format!("{} names an unknown route {wanted:?}", section.name()), Some(hint));
    }
    is_known
}

/// `[[maintenance]]`.
fn read_maintenance(
    section: &Section<'_, '_>,
    settings: &Settings,
    names: &[String],
) -> Option<MaintenanceSettings> {
    section.require("start", "\"2026-07-11T22:00:00+02:00\"");
    section.require("for", "\"4h\"");
    let mut routes: Vec<String> = Vec::new();
    for name in section.texts("routes", "[\"hq\"]").unwrap_or_default() {
        if is_route(section, names, "routes", name) {
            routes.push(name.to_owned());
        }
    }
    let mut tags: Vec<String> = Vec::new();
    for tag in section.texts("tags", "[\"m365\"]").unwrap_or_default() {
        let all = || settings.routes.iter().flat_map(|route| route.tags.iter().map(String::as_str));
        if !all().any(|known| known == tag) {
            let hint = nearest(tag, all()).map(|near| format!("did you mean `{near}`?"));
            section.fault("tags", format!("no route has the tag {tag:?}"), hint);
        }
        tags.push(tag.to_owned());
    }
    for (key, is_empty) in [("routes", routes.is_empty()), ("tags", tags.is_empty())] {
        if section.has(key) && is_empty {
            let hint = "leave it out for all routes".to_owned();
            section.fault(key, format!("`{key}` in {} names none", section.name()), Some(hint));
        }
    }
    let wanted = "a time with its offset from UTC";
    let start = section.parsed("start", wanted, "2026-07-11T22:00:00+02:00", |text| {
        text.parse::<jiff::Timestamp>().ok().map(|at| Timestamp::from_ms(at.as_millisecond()))
    });
    let length = positive(section, "for", "4h");
    Some(MaintenanceSettings { routes, tags, start: start?, length: length? })
}
