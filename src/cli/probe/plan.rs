//! `probe plan`: what the schedule of the configuration can detect, and the load that it makes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::cli::args::ProbePlanArguments;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::clock::Timestamp;
use crate::config::{RouteSettings, Settings};
use crate::daemon::manners::whose;
use crate::daemon::probe_parts::Parts;
use crate::probe::KeyRing;
use crate::probe::compose::Profile;
use crate::probe::detect::{interval_for, probes_for, probes_within, smallest_loss, wilson};
use crate::probe::manners::{Cap, Whose};
use crate::probe::plan::plan;
use crate::render::{Column, Head, Kind, Sheet, Show, Value};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// Days of a month, for costs.
const MONTH_DAYS: u64 = 30;

/// One row: a route, or the load of one destination, or of all.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanRow {
    /// `route`, `load` or `total`.
    kind: &'static str,
    /// The route, or the domain.
    name: String,
    /// The domain of a route's recipients.
    destination: Option<String>,
    /// Whose its system is.
    whose: Option<Whose>,
    /// The interval that is kept.
    every: Option<Duration>,
    /// Probes within an hour and a day whose arrival is expected.
    probes: Option<[u64; 2]>,
    /// Whether the goal is met, and the interval that would meet it with whether manners allow it.
    goal: Option<GoalRow>,
    /// Messages and bytes.
    load: Load,
    /// The cap that holds for it.
    cap: Option<Cap>,
}

/// A goal and one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct GoalRow {
    /// Whether the schedule as it is shows such a loss.
    is_met: bool,
    /// The longest interval that does.
    wanted: Option<Duration>,
    /// Whether manners allow it.
    is_allowed: bool,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Load {
    /// Most messages in an hour.
    hour: u64,
    /// Messages in a month.
    month: u64,
    /// Bytes in a month.
    bytes: u64,
}

/// What is to be detected.
#[derive(Debug, Clone, Copy)]
struct Goal {
    /// The share, in millionths.
    loss_millionths: u32,
    /// Within how long.
    within: Duration,
}

/// A share of 0 to 1 for a column.
fn share(share: Option<f64>) -> Value<'static> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of 0 to 1 in millionths"
    )]
    let millionths = |share: f64| (share.clamp(0.0, 1.0) * 1e6).round() as u64;
    share.map_or(Value::Unknown, |share| Value::Percent { part: millionths(share), whole: 1_000_000 })
}

/// The upper end of the interval of the loss when none of so many probes is lost.
fn unseen(probes: Option<u64>) -> Option<f64> {
    probes.filter(|probes| *probes > 0).map(|probes| wilson(0, probes).high)
}

/// The columns of `probe plan`.
pub static PLAN: &[Column<PlanRow>] = &[
    Column::new(
        "kind",
        "kind",
        Kind::Text,
        Show::Whole,
        "`route`, `load` (of a recipient domain) or `total`.",
        |row| Value::Text(Cow::Borrowed(row.kind)),
    ),
    Column::new("name", "name", Kind::Text, Show::Cut(12), "The route, or the recipient domain.", |row| {
        Value::text(Some(&row.name))
    }),
    Column::new(
        "destination",
        "to",
        Kind::Text,
        Show::Spare(6, 12),
        "The domain of a route's recipients.",
        |row| Value::text(row.destination.as_deref()),
    ),
    Column::new(
        "whose",
        "whose",
        Kind::Text,
        Show::Spare(5, 0),
        "`here` (its mail does not leave this machine), `own` or `foreign`.",
        |row| Value::text(row.whose.map(Whose::as_str)),
    ),
    Column::new(
        "every_seconds",
        "every s",
        Kind::Count("seconds"),
        Show::Whole,
        "The interval that is kept; null: by hand, or only profiles with an interval of their own.",
        |row| Value::count(row.every.map(|every| every.as_secs())),
    ),
    Column::new(
        "probes_hour",
        "in 1 h",
        Kind::Count("probes"),
        Show::Spare(2, 0),
        "Probes within an hour whose arrival is expected.",
        |row| Value::count(row.probes.map(|[hour, _]| hour)),
    ),
    Column::new(
        "loss_hour",
        "loss seen in 1 h",
        Kind::Percent,
        Show::Whole,
        "The smallest loss that shows within an hour with a certainty of 95 %.",
        |row| share(row.probes.and_then(|[hour, _]| smallest_loss(hour))),
    ),
    Column::new(
        "unseen_hour",
        "unseen in 1 h",
        Kind::Percent,
        Show::Spare(4, 0),
        "The loss that is still possible (Wilson, 95 %) when none of an hour is lost.",
        |row| share(unseen(row.probes.map(|[hour, _]| hour))),
    ),
    Column::new(
        "probes_day",
        "in 1 d",
        Kind::Count("probes"),
        Show::Spare(2, 0),
        "Probes within a day whose arrival is expected.",
        |row| Value::count(row.probes.map(|[_, day]| day)),
    ),
    Column::new(
        "loss_day",
        "loss seen in 1 d",
        Kind::Percent,
        Show::Whole,
        "The smallest loss that shows within a day with a certainty of 95 %.",
        |row| share(row.probes.and_then(|[_, day]| smallest_loss(day))),
    ),
    Column::new(
        "unseen_day",
        "unseen in 1 d",
        Kind::Percent,
        Show::Spare(4, 0),
        "The loss that is still possible (Wilson, 95 %) when none of a day is lost.",
        |row| share(unseen(row.probes.map(|[_, day]| day))),
    ),
    Column::new(
        "is_goal_met",
        "goal met",
        Kind::Flag,
        Show::Spare(20, 0),
        "With --loss: whether the schedule shows such a loss.",
        |row| row.goal.map_or(Value::Unknown, |goal| Value::Flag(goal.is_met)),
    ),
    Column::new(
        "wanted_every_seconds",
        "wanted every s",
        Kind::Count("seconds"),
        Show::Spare(20, 0),
        "With --loss: the longest interval that shows it; null: none does.",
        |row| Value::count(row.goal.and_then(|goal| goal.wanted).map(|every| every.as_secs())),
    ),
    Column::new(
        "is_allowed",
        "allowed",
        Kind::Flag,
        Show::Spare(20, 0),
        "With --loss: whether the least interval and the caps allow that.",
        |row| row.goal.map_or(Value::Unknown, |goal| Value::Flag(goal.is_allowed)),
    ),
    Column::new(
        "messages_hour",
        "most in 1 h",
        Kind::Count("messages"),
        Show::Spare(3, 0),
        "Most messages in an hour, also those that are made to be stopped.",
        |row| Value::Count(row.load.hour),
    ),
    Column::new(
        "messages_month",
        "a month",
        Kind::Count("messages"),
        Show::Whole,
        "Messages in 30 days.",
        |row| Value::Count(row.load.month),
    ),
    Column::new(
        "bytes_month",
        "bytes a month",
        Kind::Count("bytes"),
        Show::Spare(3, 0),
        "Their bytes, as composed.",
        |row| Value::Count(row.load.bytes),
    ),
    Column::new(
        "cap",
        "cap",
        Kind::Text,
        Show::Spare(7, 0),
        "The cap of `[probes]` that holds for it.",
        |row| row.cap.map_or(Value::Unknown, |cap| Value::Text(Cow::Owned(cap.to_string()))),
    ),
];

/// Runs the command. Findings if a goal was given and a route with an interval misses it.
pub(super) fn run(
    context: &Context,
    arguments: &ProbePlanArguments,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    let goal = arguments
        .loss
        .map(|loss_millionths| Goal { loss_millionths, within: arguments.within.unwrap_or(DAY) });
    let rows = rows(&settings, goal);
    let head =
        Head { view: "plan", title: "What the schedule can see", is_timeless: true, ..Head::default() };
    let mut sheet = Sheet::of_rows(head, PLAN, &rows);
    sheet.notes = notes(&settings, &rows, goal);
    context.output.print(&sheet, &TimeZone::UTC, out)?;
    let is_missed = rows.iter().any(|row| row.goal.is_some_and(|goal| !goal.is_met));
    Ok(Exit::findings_if(is_missed))
}

/// One series of a route: how often, how large, and whether its arrival is expected.
struct Series {
    every: Duration,
    bytes: u64,
    is_expected: bool,
}

/// All series of a route, with the intervals that are kept.
fn series_of(settings: &Settings, route: &RouteSettings, whose: Whose) -> Vec<Series> {
    // What cannot be read is `config check`'s to tell: sizes are then those without it.
    let parts = Parts::read(route).unwrap_or_default();
    let size = |profile: Profile| size_of(route, &parts, profile).unwrap_or_default();
    let mut all = Vec::new();
    let in_turn: Vec<u64> =
        route.profiles.iter().filter(|one| one.every.is_none()).map(|one| size(one.profile)).collect();
    if let (Some(every), Some(count)) =
        (route.every, u64::try_from(in_turn.len()).ok().filter(|count| *count > 0))
    {
        let bytes = in_turn.iter().sum::<u64>() / count;
        all.push(Series { every: whose.interval(every), bytes, is_expected: true });
    }
    for one in &route.profiles {
        if let Some(every) = one.every {
            all.push(Series { every: whose.interval(every), bytes: size(one.profile), is_expected: true });
        }
    }
    for negative in settings.negatives.iter().filter(|negative| negative.route == route.name) {
        let every = whose.interval(negative.every);
        all.push(Series { every, bytes: size(negative.profile), is_expected: false });
    }
    all
}

/// The bytes of a message of a route; `None` where its addresses are none.
fn size_of(route: &RouteSettings, parts: &Parts, profile: Profile) -> Option<u64> {
    let ring = KeyRing::with_id(0, &[0; crate::probe::token::KEY_BYTES]).ok()?;
    let at = Timestamp::from_seconds(1_790_000_000);
    let planned = plan(&ring, &parts.plan(route, profile), at, 0).ok()?;
    u64::try_from(planned.message.bytes.len()).ok()
}

/// What series make.
fn load_of(series: &[Series]) -> Load {
    series.iter().fold(Load::default(), |sum, one| {
        let month = probes_within(one.every, DAY.saturating_mul(30));
        // The most in any hour: one more than fit whole, where they do not fit evenly.
        let whole = probes_within(one.every, HOUR);
        let is_even = HOUR.as_millis().is_multiple_of(one.every.as_millis().max(1));
        Load {
            hour: sum.hour.saturating_add(whole + u64::from(!is_even)),
            month: sum.month.saturating_add(month),
            bytes: sum.bytes.saturating_add(month.saturating_mul(one.bytes)),
        }
    })
}

/// All rows: the routes in the order of the file, the load of each destination, the total.
fn rows(settings: &Settings, goal: Option<Goal>) -> Vec<PlanRow> {
    let mut rows = Vec::new();
    let mut loads: BTreeMap<String, (Whose, Load)> = BTreeMap::new();
    for route in &settings.routes {
        let whose = whose(settings, route);
        let series = series_of(settings, route, whose);
        let load = load_of(&series);
        let destination = route.recipient_domain().map(|domain| domain.to_string());
        if let Some(domain) = destination.clone() {
            let entry = loads.entry(domain).or_insert((whose, Load::default()));
            entry.1 = add(entry.1, load);
        }
        let within = |period: Duration| {
            series
                .iter()
                .filter(|one| one.is_expected)
                .map(|one| probes_within(one.every, period))
                .sum::<u64>()
        };
        let is_scheduled = series.iter().any(|one| one.is_expected);
        rows.push(PlanRow {
            kind: "route",
            name: route.name.clone(),
            destination,
            whose: Some(whose),
            every: route.every.map(|every| whose.interval(every)),
            probes: is_scheduled.then(|| [within(HOUR), within(DAY)]),
            goal: goal
                .filter(|_| is_scheduled)
                .map(|goal| judge(goal, within(goal.within), whose, settings.probes.per_destination)),
            load,
            cap: None,
        });
    }
    let mut total = Load::default();
    for (name, (whose, load)) in loads {
        total = add(total, load);
        let cap = Some(settings.probes.per_destination);
        rows.push(PlanRow { whose: Some(whose), cap, ..load_row("load", name, load) });
    }
    if !settings.routes.is_empty() {
        let row = load_row("total", "all".to_owned(), total);
        rows.push(PlanRow { cap: Some(settings.probes.total), ..row });
    }
    rows
}

/// A row of messages and bytes alone.
fn load_row(kind: &'static str, name: String, load: Load) -> PlanRow {
    PlanRow {
        kind,
        name,
        destination: None,
        whose: None,
        every: None,
        probes: None,
        goal: None,
        load,
        cap: None,
    }
}

/// Two loads together.
const fn add(one: Load, other: Load) -> Load {
    Load {
        hour: one.hour.saturating_add(other.hour),
        month: one.month.saturating_add(other.month),
        bytes: one.bytes.saturating_add(other.bytes),
    }
}

/// A goal and one route that sends so many probes within its time.
fn judge(goal: Goal, probes: u64, whose: Whose, cap: Cap) -> GoalRow {
    let loss = f64::from(goal.loss_millionths) / 1e6;
    let wanted = interval_for(loss, goal.within);
    let is_allowed = wanted.is_some_and(|every| {
        let an_hour = HOUR.as_secs_f64() / every.as_secs_f64();
        every >= whose.least_interval() && an_hour <= cap.an_hour()
    });
    GoalRow { is_met: probes_for(loss).is_some_and(|needed| probes >= needed), wanted, is_allowed }
}

/// What the numbers do not say.
fn notes(settings: &Settings, rows: &[PlanRow], goal: Option<Goal>) -> Vec<String> {
    let mut notes = Vec::new();
    if settings.routes.is_empty() {
        notes.push("the configuration has no [route.NAME]; `mailsonde config example` shows one".to_owned());
    }
    for route in &settings.routes {
        let whose = whose(settings, route);
        if series_of(settings, route, whose).is_empty() {
            notes.push(format!("[route.{}] has no `every`: its probes are sent by hand only", route.name));
        }
        if route.sender.kind.is_every_mx() {
            let name = &route.name;
            notes.push(format!(
                "[route.{name}]: `every_mx` sends each probe once for each MX host and address family"
            ));
        }
        if let Some(every) = route.every.filter(|every| *every < whose.least_interval()) {
            let (name, least) = (&route.name, whose.least_interval().as_secs());
            notes.push(format!("[route.{name}]: `every` is {} s, and {least} s is kept", every.as_secs()));
        }
    }
    for row in rows.iter().filter(|row| row.kind != "route") {
        #[expect(clippy::cast_precision_loss, reason = "messages of an hour are far below 2^53")]
        let hour = row.load.hour as f64;
        if let Some(cap) = row.cap.filter(|cap| hour > cap.an_hour()) {
            let (what, most) = (&row.name, row.load.hour);
            notes.push(format!(
                "{what}: up to {most} messages in an hour, and the cap is {cap}: the rest is missed"
            ));
        }
    }
    if let Some(goal) = goal {
        let loss = f64::from(goal.loss_millionths) / 1e6;
        match probes_for(loss) {
            Some(needed) => notes.push(format!(
                "a loss of {} % shows among {needed} probes with a certainty of 95 %: within {} s one every {}",
                f64::from(goal.loss_millionths) / 1e4,
                goal.within.as_secs(),
                interval_for(loss, goal.within)
                    .map_or_else(|| "less than a second".to_owned(), |every| format!("{} s", every.as_secs()))
            )),
            None => notes.push("no number of probes shows such a loss".to_owned()),
        }
    }
    notes.push(format!(
        "a new route has half its rate for {} days; a month is {MONTH_DAYS} days",
        Whose::Own.half_rate().as_secs() / 86_400
    ));
    notes
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TEXT: &str = r#"
[[domain]]
name = "example.com"
[sender.a]
host = "smtp.example.com"
[route.own]
sender = "a"
to = "a+{token}@example.com"
every = "5m"
[route.often]
sender = "a"
to = "b+{token}@other.example"
consent = "Ann agreed"
every = "1m"
profiles = ["plain", { profile = "attach:100000", every = "6h" }]
[route.hand]
sender = "a"
to = "c+{token}@example.com"
"#;

    fn planned(goal: Option<Goal>) -> Vec<PlanRow> {
        let settings = Settings::parse(Path::new("m.toml"), TEXT).unwrap();
        rows(&settings, goal)
    }

    fn of<'r>(rows: &'r [PlanRow], kind: &str, name: &str) -> &'r PlanRow {
        rows.iter().find(|row| row.kind == kind && row.name == name).unwrap()
    }

    #[test]
    fn five_minutes_are_twelve_probes_an_hour() {
        let rows = planned(None);
        let own = of(&rows, "route", "own");
        assert_eq!(own.probes, Some([12, 288]));
        assert_eq!((own.load.hour, own.load.month), (12, 8_640));
        assert_eq!(share(smallest_loss(12)), Value::Percent { part: 220_922, whole: 1_000_000 });
        assert!((unseen(Some(12)).unwrap() - 0.2425).abs() < 1e-4);
        assert_eq!(unseen(Some(0)), None);
    }

    #[test]
    fn intervals_are_those_that_are_kept() {
        let rows = planned(None);
        let often = of(&rows, "route", "often");
        assert_eq!((often.whose, often.every), (Some(Whose::Foreign), Some(Duration::from_secs(1_800))));
        // Two an hour, and one attachment in six hours.
        assert_eq!(often.probes, Some([2, 48 + 4]));
        assert_eq!(often.load.hour, 3);
        assert_eq!(often.load.month, 1_440 + 120);
        // 100,000 bytes are more as base64, and the plain ones are small.
        let attachments = 120 * 100_000_u64;
        assert!((attachments * 4 / 3..attachments * 3 / 2).contains(&often.load.bytes), "{often:?}");
        let hand = of(&rows, "route", "hand");
        assert_eq!((hand.probes, hand.load), (None, Load::default()));
    }

    #[test]
    fn loads_add_up() {
        let rows = planned(None);
        let (own, other) = (of(&rows, "load", "example.com"), of(&rows, "load", "other.example"));
        assert_eq!(own.load.month, 8_640);
        let total = of(&rows, "total", "all");
        assert_eq!(total.load, add(own.load, other.load));
        assert_eq!(total.cap, Cap::parse("600/h"));
    }

    #[test]
    fn a_goal_gives_an_interval() {
        let goal = Goal { loss_millionths: 10_000, within: DAY };
        let rows = planned(Some(goal));
        let own = of(&rows, "route", "own").goal.unwrap();
        // 288 probes are less than 299; 288 s are less than five minutes.
        assert_eq!(own, GoalRow { is_met: false, wanted: Some(Duration::from_secs(288)), is_allowed: false });
        let rows = planned(Some(Goal { loss_millionths: 50_000, ..goal }));
        let own = of(&rows, "route", "own").goal.unwrap();
        assert!(own.is_met && own.is_allowed, "{own:?}");
        assert_eq!(of(&rows, "route", "hand").goal, None);
        let settings = Settings::parse(Path::new("m.toml"), TEXT).unwrap();
        let said = notes(&settings, &rows, Some(goal)).join("\n");
        for want in
            ["among 299 probes", "one every 288 s", "[route.hand] has no `every`", "and 1800 s is kept"]
        {
            assert!(said.contains(want), "{said}");
        }
    }
}
