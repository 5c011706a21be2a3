//! Watched addresses: mail that cannot carry our token (a newsletter, invoices, a backup job), and what is expected of it.
//!
//! A pure function of (expectation, mails, our own eyes, now) gives the state and every episode in which something was
//! not as expected, so that what was told can be told again and late evidence changes it.
//!
//! Silence is **missing** only where we could have heard: the receiver was open for nearly all of the wait and long
//! enough at its end, since a sender that found it closed tries again (RFC 5321 §4.5.4.1). Else it is **not known**.
//! The verdict of DMARC and a From under a pseudonym are not known either, and change nothing.

use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::clock::Timestamp;
use crate::limits;
use crate::mail::{Address, DomainName, Header, MessageId, received};

// ---- What is expected ----

/// A watched address: its name, and what is expected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The name behind `watch+`, in lower case.
    pub name: String,
    /// What is expected.
    pub expect: Expectation,
}

/// What is expected of the mail at a watched address; nothing that is absent is judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectation {
    /// The longest that may pass from one mail to the next.
    pub every: Option<Duration>,
    /// The time of day by which it comes; with `every` each so many days, else each day.
    pub by: Option<DayTime>,
    /// Who it is from.
    pub from: Option<ExpectedFrom>,
    /// True if DMARC must pass.
    pub needs_dmarc: bool,
}

/// A time of day in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayTime {
    /// The local time.
    pub time: Time,
    /// The zone.
    pub zone: TimeZone,
}

/// An author, or all authors of a domain and what is below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedFrom {
    /// This mailbox; the case does not matter.
    Address(Address),
    /// Any mailbox of this domain.
    Domain(DomainName),
}

impl ExpectedFrom {
    /// Reads `news@shop.example` or `shop.example`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains('@') {
            Address::parse(text).filter(|address| address.domain.is_some()).map(Self::Address)
        } else {
            DomainName::parse(text).filter(|name| !name.as_str().contains('*')).map(Self::Domain)
        }
    }

    /// True if the author is the one; `None` where that is not known: without a From field, or where its local part
    /// is a pseudonym by now.
    pub fn is(&self, from: Option<&str>) -> Option<bool> {
        let address = Address::parse(from?)?;
        let domain = address.domain_name();
        match self {
            Self::Domain(wanted) => Some(domain?.is_at_or_below(wanted)),
            Self::Address(wanted) if domain != wanted.domain_name() => Some(false),
            Self::Address(_) if address.local.starts_with('~') => None,
            Self::Address(wanted) => Some(address.local.to_lowercase() == wanted.local.to_lowercase()),
        }
    }
}

impl std::fmt::Display for ExpectedFrom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Domain(domain) => f.write_str(domain.as_str()),
        }
    }
}

impl Expectation {
    /// In words: `every 7d, by 09:00 Europe/Zurich, from news@shop.example, dmarc pass`.
    pub fn words(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.every.map(|every| format!("every {}", duration_words(every))));
        parts.extend(self.by.as_ref().map(|by| {
            let zone = by.zone.iana_name().unwrap_or("UTC");
            format!("by {} {zone}", by.time.strftime("%H:%M"))
        }));
        parts.extend(self.from.as_ref().map(|from| format!("from {from}")));
        if self.needs_dmarc {
            parts.push("dmarc pass".to_owned());
        }
        parts.join(", ")
    }

    /// The days from one deadline to the next.
    fn days(&self) -> i64 {
        let days = self.every.map_or(1, |every| every.as_secs().div_ceil(86_400));
        i64::try_from(days).unwrap_or(i64::MAX).clamp(1, 366)
    }
}

/// A duration as it is written in the configuration.
fn duration_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    for (length, unit) in [(86_400, 'd'), (3_600, 'h'), (60, 'm')] {
        if seconds >= length && seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{seconds}s")
}

/// The names of watched addresses in the local parts of recipients: what stands behind the `+`, in lower case.
pub fn names_in(recipients: &[Address]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for recipient in recipients {
        if let Some((_, name)) = recipient.local.split_once('+') {
            let name = name.to_lowercase();
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

// ---- How long a mail took ----

/// A duration that lies within two bounds, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Between {
    /// At least.
    pub low_ms: i64,
    /// At most.
    pub high_ms: i64,
}

/// How long a mail was under way, by stamps of clocks that are not ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Took {
    /// From the `Date` field to us; `None` where it says nothing.
    pub whole: Option<Between>,
    /// From the topmost `Received` field, the last host before us, to us.
    pub last_hop: Option<Between>,
}

/// Reads how long a mail took until `received_at`.
///
/// A stamp tells a whole second (RFC 5322 §3.3). One that lies after our receipt, or a `Date` after the stamp of a host
/// that had the mail later, comes from a clock that is wrong: then nothing is known, and nothing is ever negative.
pub fn took(header: &Header, received_at: Timestamp) -> Took {
    let top =
        header.fields().find(|(name, _)| *name == "received").and_then(|(_, value)| received::stamp(value));
    let date = header.date.map(Timestamp::from_seconds);
    let is_in_order = |date: &Timestamp| top.is_none_or(|top| date.seconds() <= top.seconds());
    Took {
        whole: date.filter(is_in_order).and_then(|date| since(date, received_at)),
        last_hop: top.and_then(|top| since(top, received_at)),
    }
}

/// From a stamp of whole seconds to an instant.
fn since(stamp: Timestamp, at: Timestamp) -> Option<Between> {
    let high_ms = at.ms_since(Timestamp::from_seconds(stamp.seconds()));
    (high_ms >= 0).then(|| Between { low_ms: (high_ms - 999).max(0), high_ms })
}

// ---- What is judged ----

/// One mail at a watched address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedMail {
    /// The message.
    pub message: MessageId,
    /// When it came.
    pub received_at: Timestamp,
    /// The address in its From field.
    pub from: Option<String>,
    /// The result of DMARC (RFC 8601 §2.7); `None` until it was verified.
    pub dmarc: Option<String>,
}

impl WatchedMail {
    /// True if DMARC passes, false if it does not; `None` where that is not known.
    pub fn passes_dmarc(&self) -> Option<bool> {
        match self.dmarc.as_deref()? {
            "pass" => Some(true),
            "fail" | "none" | "permerror" => Some(false),
            _ => None,
        }
    }
}

/// A time in which our receiver was open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From.
    pub from: Timestamp,
    /// Until the last look that found it open.
    pub to: Timestamp,
}

/// What may be wrong at a watched address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// Nothing came in time.
    Missing,
    /// It is from somebody else.
    From,
    /// DMARC does not pass.
    Dmarc,
}

impl Wrong {
    /// The word in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::From => "from",
            Self::Dmarc => "dmarc",
        }
    }
}

/// A time in which something was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Episode {
    /// What.
    pub wrong: Wrong,
    /// Since when: the time by which it was expected, or when the first wrong mail came.
    pub opened_at: Timestamp,
    /// Until when: the mail that was right came then. `None`: it is still so.
    pub closed_at: Option<Timestamp>,
    /// The first wrong mail.
    pub message: Option<MessageId>,
    /// In words.
    pub text: String,
}

/// The state of a watched address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WatchedState {
    /// All is as expected.
    Ok,
    /// Nothing came in time.
    Missing,
    /// The last mail is from somebody else, or fails DMARC.
    Failing,
    /// Not known: we could not have heard, or nothing tells.
    NotKnown,
}

impl WatchedState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Missing, Self::Failing, Self::NotKnown];

    /// The word in tables and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Failing => "failing",
            Self::NotKnown => "not-known",
        }
    }
}

/// What is to be said of a watched address at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The state.
    pub state: WatchedState,
    /// Why, where it is not `ok`.
    pub reason: Option<String>,
    /// By when the next mail is expected; in the past where it is overdue.
    pub next_expected: Option<Timestamp>,
    /// Everything that was wrong, in rising order of its beginning.
    pub episodes: Vec<Episode>,
}

/// Judges the mails at an address, in rising order of their receipt.
///
/// `since`: from when on silence means something. `eyes`: when our receiver was open, in rising order and apart.
pub fn judge(
    expect: &Expectation,
    since: Timestamp,
    mails: &[WatchedMail],
    eyes: &[Span],
    now: Timestamp,
) -> Judged {
    let mut silence = match (&expect.by, expect.every) {
        (Some(by), _) => by_days(by, expect.days(), since, mails, now),
        (None, Some(every)) => by_gaps(every, since, mails, now),
        (None, None) => Silence::default(),
    };
    let mut episodes = Vec::new();
    let mut is_blind = false;
    for gap in std::mem::take(&mut silence.gaps) {
        if could_hear(eyes, gap.window, gap.due, gap.until.unwrap_or(now)) {
            episodes.push(Episode {
                wrong: Wrong::Missing,
                opened_at: gap.due,
                closed_at: gap.until,
                message: None,
                text: format!("nothing came until {}", gap.due.rfc3339()),
            });
        } else {
            is_blind |= gap.until.is_none();
        }
    }
    if let Some(wanted) = &expect.from {
        let text = |mail: &WatchedMail| {
            let from = mail.from.as_deref().unwrap_or("nobody");
            format!("from {from}, expected from {wanted}")
        };
        faults(mails, Wrong::From, |mail| wanted.is(mail.from.as_deref()), text, &mut episodes);
    }
    if expect.needs_dmarc {
        let text = |mail: &WatchedMail| format!("DMARC: {}", mail.dmarc.as_deref().unwrap_or("not known"));
        faults(mails, Wrong::Dmarc, WatchedMail::passes_dmarc, text, &mut episodes);
    }
    episodes.sort_by_key(|episode| (episode.opened_at, episode.wrong));
    let is_untold = expect.needs_dmarc && mails.iter().all(|mail| mail.passes_dmarc().is_none());
    let open =
        episodes.iter().filter(|episode| episode.closed_at.is_none()).min_by_key(|episode| episode.wrong);
    let (state, reason) = match open {
        Some(episode) if episode.wrong == Wrong::Missing => {
            (WatchedState::Missing, Some(episode.text.clone()))
        }
        Some(episode) => (WatchedState::Failing, Some(episode.text.clone())),
        None if is_blind => (
            WatchedState::NotKnown,
            Some("nothing came, and our receiver was not open all the time".to_owned()),
        ),
        None if mails.is_empty() => (WatchedState::NotKnown, Some("nothing came yet".to_owned())),
        None if is_untold => (WatchedState::NotKnown, Some("DMARC is not verified yet".to_owned())),
        None => (WatchedState::Ok, None),
    };
    Judged { state, reason, next_expected: silence.next, episodes }
}

/// Finds the runs of mails with something wrong: from the first wrong one to the first right one.
fn faults(
    mails: &[WatchedMail],
    wrong: Wrong,
    is_right: impl Fn(&WatchedMail) -> Option<bool>,
    text: impl Fn(&WatchedMail) -> String,
    episodes: &mut Vec<Episode>,
) {
    let mut open: Option<Episode> = None;
    for mail in mails {
        match is_right(mail) {
            Some(false) if open.is_none() => {
                open = Some(Episode {
                    wrong,
                    opened_at: mail.received_at,
                    closed_at: None,
                    message: Some(mail.message),
                    text: text(mail),
                });
            }
            Some(true) => {
                episodes
                    .extend(open.take().map(|open| Episode { closed_at: Some(mail.received_at), ..open }));
            }
            Some(false) | None => {}
        }
    }
    episodes.extend(open);
}

// ---- Silence ----

/// When nothing came in time.
#[derive(Debug, Default)]
struct Silence {
    /// The gaps, in order; the last one may be open.
    gaps: Vec<Gap>,
    /// By when the next mail is expected.
    next: Option<Timestamp>,
}

/// A mail that was due and did not come in time.
#[derive(Debug, Clone, Copy)]
struct Gap {
    /// By when it was due.
    due: Timestamp,
    /// When one came.
    until: Option<Timestamp>,
    /// How long before it was waited for.
    window: Duration,
}

/// One mail is due within `every` of the one before.
fn by_gaps(every: Duration, since: Timestamp, mails: &[WatchedMail], now: Timestamp) -> Silence {
    let mut silence = Silence::default();
    let mut due = since.after(every);
    for mail in mails {
        if mail.received_at > due {
            silence.gaps.push(Gap { due, until: Some(mail.received_at), window: every });
        }
        // The first mail may be older than our first start with this name.
        due = mail.received_at.after(every);
    }
    if now > due {
        silence.gaps.push(Gap { due, until: None, window: every });
    }
    silence.next = Some(due);
    silence
}

/// One mail is due by a time of day, each so many days from the day of the first one.
///
/// What comes too late stands for the one that was missing, and not for the next one.
fn by_days(by: &DayTime, days: i64, since: Timestamp, mails: &[WatchedMail], now: Timestamp) -> Silence {
    let window = Duration::from_secs(u64::try_from(days).unwrap_or(1).saturating_mul(86_400));
    let mut silence = Silence::default();
    // Without a first mail nobody knows the day of the week: a whole round is waited for.
    let mut due = deadline(by, since.after(window), 0);
    let mut is_first = true;
    let mut is_met = false;
    let mut missed: Option<Timestamp> = None;
    for at in mails.iter().map(|mail| mail.received_at) {
        if is_first {
            is_first = false;
            if at > due {
                silence.gaps.push(Gap { due, until: Some(at), window });
            }
            due = deadline(by, deadline(by, at, 0), days);
            continue;
        }
        while due < at {
            if !is_met {
                missed.get_or_insert(due);
            }
            is_met = false;
            due = deadline(by, due, days);
        }
        match missed.take() {
            Some(due) => silence.gaps.push(Gap { due, until: Some(at), window }),
            None => is_met = true,
        }
    }
    while due < now {
        if !is_met {
            missed.get_or_insert(due);
        }
        is_met = false;
        due = deadline(by, due, days);
    }
    if let Some(due) = missed {
        silence.gaps.push(Gap { due, until: None, window });
    }
    silence.next = Some(missed.unwrap_or(if is_met { deadline(by, due, days) } else { due }));
    silence
}

/// The first deadline at or after an instant, or so many days after the day of a deadline.
///
/// A local time that a change of the clocks leaves out or has twice counts as the later instant.
fn deadline(by: &DayTime, at: Timestamp, days: i64) -> Timestamp {
    let local =
        jiff::Timestamp::from_millisecond(at.ms()).unwrap_or_default().to_zoned_datetime(by.zone.clone());
    let on = |date: Date| {
        let instant = by.zone.to_ambiguous_timestamp(date.to_datetime(by.time)).later();
        instant.map_or(Timestamp::from_ms(i64::MAX), |instant| Timestamp::from_ms(instant.as_millisecond()))
    };
    let later = |days: i64| local.date().checked_add(jiff::Span::new().days(days)).unwrap_or(Date::MAX);
    if days > 0 {
        return on(later(days));
    }
    let today = on(local.date());
    if today >= at { today } else { on(later(1)) }
}

// ---- Our own eyes ----

/// True if between `due` and `until` there was an instant at which silence meant something: the receiver had been open
/// for nearly all of the window before it, and without a break at its end.
fn could_hear(eyes: &[Span], window: Duration, due: Timestamp, until: Timestamp) -> bool {
    let last = window.min(limits::WATCHED_RETRY);
    let could_at = |at: Timestamp| {
        let (begin, last_from) = (before(at, window), before(at, last));
        let is_unbroken = eyes.iter().any(|span| span.from <= last_from && span.to >= at);
        let open_ms: i64 =
            eyes.iter().map(|span| span.to.min(at).ms_since(span.from.max(begin)).max(0)).sum();
        let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        is_unbroken && open_ms >= window_ms.saturating_sub(window_ms / limits::WATCHED_BLIND_SHARE)
    };
    let ends = eyes.iter().flat_map(|span| [span.from.after(last), span.to]);
    // Within a time in which it was open the share only grows: its ends are enough.
    [due, until].into_iter().chain(ends).any(|at| at >= due && at <= until && could_at(at))
}

/// An instant before another; saturates.
fn before(at: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_ms(at.ms().saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests;
