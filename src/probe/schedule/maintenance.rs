//! Maintenance: probes go on, and are marked, so that nobody is woken by what was announced.

use std::time::Duration;

use crate::clock::Timestamp;

/// An announced window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The routes that it is for.
    pub routes: Vec<String>,
    /// The tags of routes that it is for.
    pub tags: Vec<String>,
    /// When it begins.
    pub start: Timestamp,
    /// How long it lasts.
    pub lasts: Duration,
}

impl Window {
    /// True if it is for this route: named, or by a tag, or because it names nothing.
    fn is_for(&self, route: &str, tags: &[String]) -> bool {
        let is_for_all = self.routes.is_empty() && self.tags.is_empty();
        // `hq` also means each of its MX hosts, `hq/mx1.example.net/ipv4`.
        let is_named = self.routes.iter().any(|name| {
            route.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        is_for_all || is_named || self.tags.iter().any(|tag| tags.contains(tag))
    }
}

/// True if a probe of this route falls into a window at this instant. The end is not within.
pub fn is_within(windows: &[Window], route: &str, tags: &[String], at: Timestamp) -> bool {
    let holds = |window: &Window| {
        window.start <= at && at < window.start.after(window.lasts) && window.is_for(route, tags)
    };
    windows.iter().any(holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_whom_they_are_for() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let at = Timestamp::from_seconds;
        let window = |routes: &[&str], tags: &[&str]| Window {
            routes: texts(routes),
            tags: texts(tags),
            start: at(1_000),
            lasts: Duration::from_secs(100),
        };
        type Case<'c> = (&'c [&'c str], &'c [&'c str], &'c str, &'c [&'c str], i64, bool);
        let cases: [Case<'_>; 11] = [
            (&["hq"], &[], "hq", &[], 1_000, true),
            (&["hq"], &[], "hq", &[], 1_099, true),
            (&["hq"], &[], "hq", &[], 1_100, false),
            (&["hq"], &[], "hq", &[], 999, false),
            (&["hq"], &[], "hq2", &[], 1_050, false),
            (&["hq"], &[], "hq/mx1.example.net/ipv4", &[], 1_050, true),
            (&["hq2"], &[], "hq", &[], 1_050, false),
            (&[], &["m365"], "hq", &["m365"], 1_050, true),
            (&[], &["m365"], "hq", &["gmail"], 1_050, false),
            (&["x"], &["m365"], "hq", &["m365"], 1_050, true),
            (&[], &[], "hq", &[], 1_050, true),
        ];
        for (routes, tags, route, of_route, now, want) in cases {
            let windows = [window(&["other"], &[]), window(routes, tags)];
            assert_eq!(
                is_within(&windows, route, &texts(of_route), at(now)),
                want,
                "{routes:?} {tags:?} {now}"
            );
        }
        assert!(!is_within(&[], "hq", &[], at(1_000)));
    }
}
