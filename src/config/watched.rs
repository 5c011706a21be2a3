//! `[[watched]]`: addresses `watch+NAME@` for mail that cannot carry our token.

use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::config::file::Section;
use crate::config::settings::RecipientSettings;
use crate::limits;
use crate::mail::Purpose;
use crate::probe::watched::{DayTime, Expectation, ExpectedFrom, Watched};

/// Reads all of them; faults are noted.
pub(super) fn read(root: &Section<'_, '_>, recipients: &[RecipientSettings]) -> Vec<Watched> {
    let mut all: Vec<Watched> = Vec::new();
    for section in root.sections("watched") {
        section.require("name", "\"newsletter\"");
        let name =
            section.parsed("name", "a name of letters, digits, `-`, `_` and `.`", "newsletter", name_of);
        let expect = read_expectation(&section);
        if let Some(name) = name {
            if all.iter().any(|other| other.name == name) {
                section.fault("name", format!("{name:?} stands in two [[watched]]"), None);
            } else {
                all.push(Watched { name, expect });
            }
        }
        section.finish();
    }
    if !all.is_empty() && !recipients.iter().any(|recipient| recipient.purpose == Purpose::Watch) {
        let hint =
            "add `[[recipient]]` with `address = \"watch@monitor.example.net\"` and `purpose = \"watch\"`";
        root.fault("watched", "[[watched]] without an address to which the mail goes", Some(hint.to_owned()));
    }
    all
}

/// A name that can stand behind `watch+`, in lower case.
fn name_of(text: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_dotted = text.starts_with('.') || text.ends_with('.') || text.contains("..");
    let is_name = !text.is_empty() && text.len() <= limits::WATCHED_NAME_BYTES && text.chars().all(is_plain);
    (is_name && !is_dotted).then(|| text.to_ascii_lowercase())
}

/// `every`, `by`, `tz`, `from`, `dmarc`.
fn read_expectation(section: &Section<'_, '_>) -> Expectation {
    let every = section.duration("every", "7d");
    let time = section.parsed("by", "a time of day", "09:00", |text| {
        let is_short = text.len() == 5 && text.as_bytes().get(2) == Some(&b':');
        is_short.then(|| text.parse::<Time>().ok()).flatten()
    });
    let zone = section.parsed("tz", "a zone that this machine knows", "Europe/Zurich", |text| {
        TimeZone::get(text).ok().filter(|zone| zone.iana_name().is_some())
    });
    let from = section.parsed("from", "a mail address or a domain", "news@shop.example", ExpectedFrom::parse);
    let needs_dmarc = section.word("dmarc", &[("pass", true), ("any", false)]).unwrap_or(false);
    let day = Duration::from_secs(86_400);
    if let Some(every) = every {
        if every.is_zero() || every > day * 366 {
            let hint = Some("for example `every = \"7d\"`, at most 366d".to_owned());
            section.fault("every", format!("`every` in {} is zero, or over a year", section.name()), hint);
        } else if time.is_some() && !every.as_secs().is_multiple_of(day.as_secs()) {
            let hint = Some("for example `every = \"7d\"`, or leave `by` out".to_owned());
            section.fault("every", "with `by`, `every` is a number of whole days", hint);
        }
    }
    if zone.is_some() && time.is_none() {
        let hint = Some("add the time of day: `by = \"09:00\"`".to_owned());
        section.fault("tz", format!("`tz` in {} has nothing to tell without `by`", section.name()), hint);
    }
    let by = time.map(|time| DayTime { time, zone: zone.unwrap_or(TimeZone::UTC) });
    Expectation { every, by, from, needs_dmarc }
}
