//! `[route.NAME]`: a way that probes take, and what is expected of it.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::fault::nearest;
use crate::config::file::{Item, Section, parse_duration};
use crate::config::probes::dkim::DkimSettings;
use crate::config::probes::reason;
use crate::config::probes::sender::SenderSettings;
use crate::config::settings::Settings;
use crate::limits;
use crate::mail::{Address, DomainName};
use crate::probe::compose::{Need, Profile, check_headers};

/// A way that probes take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSettings {
    /// Its name.
    pub name: String,
    /// Who takes its probes.
    pub sender: SenderSettings,
    /// The recipient, with `{token}` where the token goes.
    pub to: String,
    /// The author.
    pub from: Address,
    /// What its probes are made of, at least one: the first is that of a probe by hand.
    pub profiles: Vec<ProfileSettings>,
    /// The reverse-path, with `{token}` where the token goes; absent: the author.
    pub mail_from: Option<String>,
    /// The key that signs its probes.
    pub dkim: Option<DkimSettings>,
    /// From one probe to the next; absent: only by hand.
    pub every: Option<Duration>,
    /// How far a probe may be moved from its time, in percent of [`RouteSettings::every`].
    pub jitter_percent: u8,
    /// When a probe counts as overdue; absent: as learned.
    pub overdue_after: Option<Duration>,
    /// When a probe counts as lost.
    pub lost_after: Duration,
    /// The mailbox in which its probes arrive; absent: they arrive here.
    pub watch: Option<String>,
    /// The mailbox of the sending account, to which its bounces go.
    pub bounces: Option<String>,
    /// Where our receiver answers its arrivals to, with `{token}` where the token of the reply goes.
    pub reflect: Option<String>,
    /// Whose consent there is to send to a recipient that is not ours, and why.
    pub consent: Option<String>,
    /// Whether it may send what is made to be stopped.
    pub allow_negative: bool,
    /// Whether it may send that through an account too.
    pub allow_negative_via_account: bool,
    /// Whether one lost probe is an alarm.
    pub critical: bool,
    /// Names by which routes are put together.
    pub tags: Vec<String>,
    /// What is promised of it.
    pub slo: Option<SloSettings>,
    /// The file of an own template.
    pub template: Option<PathBuf>,
    /// The file of its own that the profile `attach-file` attaches.
    pub attach: Option<PathBuf>,
    /// Header fields that its probes have besides ours.
    pub headers: Vec<(String, String)>,
}

/// One kind of message of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileSettings {
    /// What it is made of.
    pub profile: Profile,
    /// From one to the next of this kind; absent: in turn with the others, every [`RouteSettings::every`].
    pub every: Option<Duration>,
}

/// What is promised of a route: so many of its probes arrive within so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SloSettings {
    /// How long a good probe takes at most.
    pub within: Duration,
    /// The share of good probes, in millionths.
    pub target_millionths: u32,
    /// The period that is looked at.
    pub window: Duration,
}

impl RouteSettings {
    /// A route with nothing but what every route has: by hand, plain, to be received here.
    pub fn new(
        name: impl Into<String>,
        sender: SenderSettings,
        to: impl Into<String>,
        from: Address,
    ) -> Self {
        Self {
            name: name.into(),
            sender,
            to: to.into(),
            from,
            profiles: vec![ProfileSettings { profile: Profile::Plain, every: None }],
            mail_from: None,
            dkim: None,
            every: None,
            jitter_percent: JITTER_PERCENT,
            overdue_after: None,
            lost_after: limits::PROBE_LOST_AFTER,
            watch: None,
            bounces: None,
            reflect: None,
            consent: None,
            allow_negative: false,
            allow_negative_via_account: false,
            critical: false,
            tags: Vec::new(),
            slo: None,
            template: None,
            attach: None,
            headers: Vec::new(),
        }
    }

    /// What a probe by hand is made of.
    pub fn profile(&self) -> Profile {
        self.profiles.first().map_or(Profile::Plain, |first| first.profile)
    }

    /// The domain of its recipients.
    pub fn recipient_domain(&self) -> Option<DomainName> {
        domain_of(&self.to)
    }
}

/// How far probes are moved from their time, unless configured.
const JITTER_PERCENT: u8 = 20;
/// A token's text, for checks: `mf` and 32 characters (35 characters in the reverse-path).
const TOKEN_TEXT: &str = "mfabcdefghijklmnopqrstuvwxyz234567a";

/// Names of tables with what was read of each; `None`: it has faults of its own.
type Named<T> = [(String, Option<T>)];

/// Reads all of them; faults are noted on the way. Returns the names of all, also of those with faults.
pub(super) fn read(
    root: &Section<'_, '_>,
    settings: &mut Settings,
    senders: &Named<SenderSettings>,
    keys: &Named<DkimSettings>,
) -> Vec<String> {
    let mut names = Vec::new();
    for (name, section) in root.named("route") {
        names.push(name.to_owned());
        if let Some(route) = read_one(name, &section, settings, senders, keys) {
            settings.routes.push(route);
        }
        section.finish();
    }
    names
}

/// One of them; `None` if it is not usable.
fn read_one(
    name: &str,
    section: &Section<'_, '_>,
    settings: &Settings,
    senders: &Named<SenderSettings>,
    keys: &Named<DkimSettings>,
) -> Option<RouteSettings> {
    section.require("sender", "\"relay\"");
    section.require("to", "\"probe+{token}@example.net\"");
    let sender = one_of(section, "sender", "sender", senders);
    let dkim = one_of(section, "dkim", "dkim", keys);
    let to = template(section, "to", "probe+{token}@example.net");
    let from = read_from(section, settings);
    let profiles = read_profiles(section);
    let mail_from = template(section, "mail_from", "mfb{token}@bounce.example.org");
    let every = positive(section, "every", "5m");
    let jitter_percent = section.parsed("jitter", "a share of `every` up to 100%", "20%", |text| {
        text.strip_suffix('%')?.parse::<u8>().ok().filter(|share| *share <= 100)
    });
    let lost_after = positive(section, "lost_after", "4h").unwrap_or(limits::PROBE_LOST_AFTER);
    let overdue_after =
        section.parsed("overdue_after", "\"auto\" or a duration above zero", "10m", |text| match text {
            "auto" => Some(None),
            other => parse_duration(other).filter(|duration| !duration.is_zero()).map(Some),
        });
    let overdue_after = overdue_after.flatten();
    if overdue_after.is_some_and(|overdue| overdue >= lost_after) {
        let hint = format!("write less than `lost_after`, which is {} s", lost_after.as_secs());
        section.fault("overdue_after", "`overdue_after` is not before `lost_after`", Some(hint));
    }
    let mailboxes: Vec<(String, Option<()>)> =
        settings.mailboxes.iter().map(|mailbox| (mailbox.name.clone(), Some(()))).collect();
    let mailbox = |key: &'static str| -> Option<String> {
        one_of(section, key, "mailbox", &mailboxes)?;
        let name = section.text(key, "NAME")?;
        let purpose = settings.mailbox(name).map(|mailbox| mailbox.purpose.as_str());
        if let Some(purpose) = purpose.filter(|purpose| *purpose != key) {
            let hint = format!("write `purpose = \"{key}\"` in [mailbox.{name}], or name another one");
            let message =
                format!("`{key}` of {} names [mailbox.{name}], whose purpose is {purpose:?}", section.name());
            section.fault(key, message, Some(hint));
        }
        Some(name.to_owned())
    };
    let (watch, bounces) = (mailbox("watch"), mailbox("bounces"));
    let reflect = template(section, "reflect", "probe+{token}@example.net");
    let consent = reason(section, "consent");
    let allow_negative = section.flag("allow_negative").unwrap_or(false);
    let allow_negative_via_account = section.flag("allow_negative_via_account").unwrap_or(false);
    if allow_negative_via_account && !allow_negative {
        let hint = "add `allow_negative = true`, or leave it out".to_owned();
        let message = "`allow_negative_via_account` without `allow_negative` allows nothing";
        section.fault("allow_negative_via_account", message, Some(hint));
    }
    let route = RouteSettings {
        profiles,
        mail_from,
        dkim,
        every,
        jitter_percent: jitter_percent.unwrap_or(JITTER_PERCENT),
        overdue_after,
        lost_after,
        watch,
        bounces,
        reflect,
        consent,
        allow_negative,
        allow_negative_via_account,
        critical: section.flag("critical").unwrap_or(false),
        tags: read_tags(section),
        slo: read_slo(section),
        template: section.path("template", "/etc/mailsonde/newsletter.txt"),
        attach: section.path("attach", "/etc/mailsonde/price-list.pdf"),
        headers: read_headers(section),
        ..RouteSettings::new(name, sender?, to?, from?)
    };
    check_profiles(section, &route);
    check_reflect(section, settings, &route);
    Some(route)
}

/// The table that a key names; an unknown one is a fault with the nearest name.
fn one_of<T: Clone>(section: &Section<'_, '_>, key: &'static str, kind: &str, all: &Named<T>) -> Option<T> {
    let wanted = section.text(key, "NAME")?;
    let found = all.iter().find(|(name, _)| name == wanted);
    if found.is_none() {
        let names = || all.iter().map(|(name, _)| name.as_str());
        let hint = match nearest(wanted, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if all.is_empty() => format!("add a table `[{kind}.{wanted}]`"),
            None => format!("{} here: {}", plural(kind), names().collect::<Vec<_>>().join(", ")),
        };
        section.fault(key, format!("{} names an unknown {kind} {wanted:?}", section.name()), Some(hint));
    }
    found.and_then(|(_, value)| value.clone())
}

/// The word for several tables of a kind.
fn plural(kind: &str) -> &'static str {
    match kind {
        "sender" => "senders",
        "mailbox" => "mailboxes",
        "dkim" => "keys",
        _ => "routes",
    }
}

/// An address with `{token}` at most once.
fn template(section: &Section<'_, '_>, key: &'static str, example: &str) -> Option<String> {
    section.parsed(key, "an address with `{token}`", example, |text| {
        let filled = text.replace("{token}", TOKEN_TEXT);
        (text.matches("{token}").count() <= 1 && Address::parse(&filled)?.domain.is_some())
            .then(|| text.to_owned())
    })
}

/// `from`; without it an address in a subdomain of its own, so that probes do not distort the numbers of the domain.
fn read_from(section: &Section<'_, '_>, settings: &Settings) -> Option<Address> {
    if !section.has("from") {
        let domain = settings.domains.first();
        let address = domain.and_then(|domain| Address::parse(&format!("probe@probe.{domain}")));
        if address.is_none() {
            section.require("from", "\"probe@probe.example.org\"");
        }
        section.know("from");
        return address;
    }
    section.parsed("from", "a mail address", "probe@probe.example.org", |text| {
        Address::parse(text).filter(|address| address.domain.is_some())
    })
}

/// A duration above zero.
pub(super) fn positive(section: &Section<'_, '_>, key: &'static str, example: &str) -> Option<Duration> {
    let duration = section.duration(key, example)?;
    if duration.is_zero() {
        section.fault(key, format!("`{key}` is zero"), Some(format!("for example `{key} = \"{example}\"`")));
        return None;
    }
    Some(duration)
}

/// `profile`, the short form of one, or `profiles`.
fn read_profiles(section: &Section<'_, '_>) -> Vec<ProfileSettings> {
    let example = "[\"plain\", { profile = \"attach:5MiB\", every = \"6h\" }]";
    let one = section.text("profile", "plain").map(str::to_owned);
    let mut profiles: Vec<ProfileSettings> = Vec::new();
    if let Some(text) = &one {
        let hint = Some("for example `profile = \"plain\"`".to_owned());
        match Profile::parse(text) {
            Ok(profile) => profiles.push(ProfileSettings { profile, every: None }),
            Err(error) => section.fault("profile", error.to_string(), hint),
        }
        if section.has("profiles") {
            let hint = "put it into `profiles`".to_owned();
            section.fault("profile", "`profile` beside `profiles`", Some(hint));
        }
    }
    for item in section.items("profiles", example).unwrap_or_default() {
        let known = match item {
            Item::Text(text, span) => match Profile::parse(text) {
                Ok(profile) => Some(ProfileSettings { profile, every: None }),
                Err(error) => {
                    let hint = Some(format!("for example `profiles = {example}`"));
                    section.fault_at(span, error.to_string(), hint);
                    None
                }
            },
            Item::Table(table) => {
                table.require("profile", "\"attach:5MiB\"");
                let every = positive(&table, "every", "6h");
                let profile = profile_of(&table);
                table.finish();
                profile.map(|profile| ProfileSettings { profile, every })
            }
        };
        match known {
            Some(new) if profiles.iter().any(|known| known.profile == new.profile) && one.is_none() => {
                section.fault("profiles", format!("`profiles` has {} twice", new.profile), None);
            }
            Some(new) => profiles.push(new),
            None => {}
        }
    }
    if profiles.is_empty() {
        profiles.push(ProfileSettings { profile: Profile::Plain, every: None });
    }
    profiles
}

/// `profile` of a table.
pub(super) fn profile_of(section: &Section<'_, '_>) -> Option<Profile> {
    let text = section.text("profile", "plain")?;
    match Profile::parse(text) {
        Ok(profile) => Some(profile),
        Err(error) => {
            section.fault("profile", error.to_string(), None);
            None
        }
    }
}

/// `tags`.
fn read_tags(section: &Section<'_, '_>) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for tag in section.texts("tags", "[\"hq\"]").unwrap_or_default() {
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        if tag.is_empty() || tag.len() > 64 || !tag.chars().all(is_plain) {
            let hint = "a tag has 1 to 64 letters, digits, `-`, `_`, `.` or `:`".to_owned();
            section.fault("tags", format!("{tag:?} is no tag"), Some(hint));
        } else if tags.iter().any(|known| known == tag) {
            section.fault("tags", format!("{tag:?} stands twice in `tags`"), None);
        } else {
            tags.push(tag.to_owned());
        }
    }
    tags
}

/// `slo`.
fn read_slo(section: &Section<'_, '_>) -> Option<SloSettings> {
    let slo = section.section("slo")?;
    slo.require("within", "\"2m\"");
    slo.require("target", "99.5");
    let within = positive(&slo, "within", "2m");
    let target_millionths = slo.percent("target", "99.5");
    let window = positive(&slo, "window", "28d").unwrap_or(limits::SLO_WINDOW);
    slo.finish();
    Some(SloSettings { within: within?, target_millionths: target_millionths?, window })
}

/// `headers`: as [`check_headers`] has them.
fn read_headers(section: &Section<'_, '_>) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for (name, value, span) in section.entries("headers", "{ X-Ticket = \"probe\" }") {
        headers.push((name.to_owned(), value.to_owned()));
        if let Err(error) = check_headers(&headers) {
            headers.pop();
            let hint = "one line of text, in a field that is not ours: `headers = { X-Ticket = \"probe\" }`"
                .to_owned();
            section.fault_at(span, format!("`headers` in {}: {error}", section.name()), Some(hint));
        }
    }
    headers
}

impl RouteSettings {
    /// What a profile needs and the route does not have.
    pub fn lacks(&self, profile: Profile) -> Option<Need> {
        profile.needs().iter().copied().find(|need| match need {
            Need::DkimKey => self.dkim.is_none(),
            Need::MailFrom | Need::UnalignedMailFrom => self.mail_from.is_none(),
            Need::OwnFile => self.attach.is_none(),
            Need::NoAccount => self.sender.auth.is_some(),
            // Asked for when it is sent.
            Need::Leave | Need::OwnReceiver | Need::EightBitMime | Need::SmtpUtf8 => false,
        })
    }
}

/// Checks that answers go to nobody who did not agree: they are mail of ours like any other.
fn check_reflect(section: &Section<'_, '_>, settings: &Settings, route: &RouteSettings) {
    let Some(domain) = route.reflect.as_deref().and_then(domain_of) else { return };
    let is_agreed = route.consent.is_some()
        || settings.probes.consent.iter().any(|consent| domain.is_at_or_below(&consent.domain));
    if !settings.is_own_domain(&domain) && !is_agreed {
        let hint = "if whoever owns it agreed, add `consent = \"whose, and why\"`".to_owned();
        let message = format!("`reflect` leads to {domain}, which is none of the configured domains");
        section.fault("reflect", message, Some(hint));
    }
}

/// The domain of an address or of a template of one.
fn domain_of(template: &str) -> Option<DomainName> {
    template.rsplit_once('@').and_then(|(_, domain)| DomainName::parse(domain))
}

/// Checks that the profiles of a route are such as it can send, and ordinary.
fn check_profiles(section: &Section<'_, '_>, route: &RouteSettings) {
    let key = if section.has("profiles") { "profiles" } else { "profile" };
    for one in &route.profiles {
        let profile = one.profile;
        if profile.is_negative() {
            let hint = format!(
                "write `[[negative]]` with `route = \"{}\"`, `profile = \"{profile}\"` and `every = \"24h\"`",
                route.name
            );
            let message = format!("{profile} is made to be stopped: it is no profile of an ordinary probe");
            section.fault(key, message, Some(hint));
        } else if let Some(need) = route.lacks(profile) {
            section.fault(
                key,
                format!("{profile} needs {}", need.as_str()),
                Some("add it, or leave the profile out".to_owned()),
            );
        }
    }
}
