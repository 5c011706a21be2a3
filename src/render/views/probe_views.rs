//! The columns of `report probes`, `report latency` and `report continuity`.

use std::borrow::Cow;

use crate::probe::lifecycle::State;
use crate::probe::rate::wilson;
use crate::render::columns::{Column, Kind, Show};
use crate::render::value::Value;
use crate::summary::continuity::{Budget, ContinuityTotals, Share, Stretch};
use crate::summary::latency::{Percentiles, Span};
use crate::summary::probe::Standing;
use crate::summary::{ContinuityRow, LatencyRow, LatencyTotals, ProbeCounts, ProbeGroupRow};

/// Unit of counts of probes.
const PROBES: Kind = Kind::Count("probes");
/// What a group is.
const GROUP: &str = "What `--by` names: a day, an hour of the week (`Mon 08`) of `--tz`, an MX host or its registrable domain, a \
    destination, a profile; null where it is not known, and by route.";

/// The share of good probes.
fn availability<'a>(counts: &ProbeCounts) -> Value<'a> {
    Value::Percent { part: counts.standing(Standing::Good), whole: counts.decided() }
}

/// One end of its interval.
fn bound<'a>(counts: &ProbeCounts, end: impl Fn((u32, u32)) -> u32) -> Value<'a> {
    let interval = wilson(counts.standing(Standing::Good), counts.decided());
    interval.map_or(Value::Unknown, |interval| Value::Hundredths(end(interval).into()))
}

/// Its interval for eyes: `98.12-99.87`.
fn interval<'a>(counts: &ProbeCounts) -> Value<'a> {
    let text = |hundredths: u32| format!("{}.{:02}", hundredths / 100, hundredths % 100);
    wilson(counts.standing(Standing::Good), counts.decided()).map_or(Value::Unknown, |(low, high)| {
        Value::Text(Cow::Owned(format!("{}-{}", text(low), text(high))))
    })
}

/// The columns of counts between others, of rows and of totals: a name, and in a table its title and place; what it counts.
macro_rules! counts {
    ($make:ident, [$($before:expr,)*], [$($after:expr,)*]) => {
        &[
            $($before,)*
            $make!("probes", "probes", PROBES, Show::Whole, "All of them outside of maintenance: the sum of all states.",
                |counts| Value::Count(counts.probes)),
            $make!("good", "good", PROBES, Show::Whole, "`arrived` or `delivered`.",
                |counts| Value::Count(counts.standing(Standing::Good))),
            $make!("bad", "bad", PROBES, Show::Whole, "`refused`, `bounced`, `held`, `lost` or `late`.",
                |counts| Value::Count(counts.standing(Standing::Bad))),
            $make!("availability_percent", "avail. %", Kind::Percent, Show::Whole,
                "`good` of `good` and `bad`; null without them. What is not decided or not known is in neither.",
                |counts| availability(counts)),
            $make!("availability_interval", "95 % interval", Kind::Text, Show::Spare(1, 0),
                "The next two as one text.", |counts| interval(counts)),
            $make!("availability_low_percent", "low %", Kind::Decimal("percent"), Show::Never,
                "Low end of its interval of 95 % certainty (Wilson), rounded down.", |counts| bound(counts, |ends| ends.0)),
            $make!("availability_high_percent", "high %", Kind::Decimal("percent"), Show::Never,
                "High end of the same, rounded up.", |counts| bound(counts, |ends| ends.1)),
            $make!("waiting", "waiting", PROBES, Show::Spare(3, 0),
                "Not decided yet: `sending`, `deferred`, `accepted`, `in_transit`, `overdue` or `delayed`.",
                |counts| Value::Count(counts.standing(Standing::Waiting))),
            $make!("not_known", "unknown", PROBES, Show::Spare(2, 0),
                "`unobserved` or `in_doubt`: nobody knows; neither good nor bad.",
                |counts| Value::Count(counts.standing(Standing::NotKnown))),
            $make!("spam", "spam", PROBES, Show::Spare(4, 0), "Arrived, also late, in the folder for spam.",
                |counts| Value::Count(counts.spam)),
            $make!("spam_percent", "spam %", Kind::Percent, Show::Spare(8, 0), "`spam` of `arrived` and `late`.",
                |counts| Value::Percent { part: counts.spam, whole: counts.arrived() }),
            $make!("duplicated", "twice", PROBES, Show::Spare(5, 0), "Arrived, also late, more than once.",
                |counts| Value::Count(counts.duplicated)),
            $make!("no_data", "no data", PROBES, Show::Spare(6, 0),
                "Runs of the schedule that did not take place: no probes, in no other number here.",
                |counts| Value::Count(counts.no_data)),
            $make!("maintenance", "maint.", PROBES, Show::Spare(7, 0),
                "Sent while their route was under maintenance: in no other number here.",
                |counts| Value::Count(counts.maintenance)),
            $make!("planned", "planned", PROBES, Show::Never, "To be sent.", |counts| Value::Count(counts.of(State::Planned))),
            $make!("sending", "sending", PROBES, Show::Never, "An attempt is under way.",
                |counts| Value::Count(counts.of(State::Sending))),
            $make!("deferred", "deferred", PROBES, Show::Spare(29, 0), "Put off by the far end.",
                |counts| Value::Count(counts.of(State::Deferred))),
            $make!("refused", "refused", PROBES, Show::Spare(21, 0), "Refused by the far end.",
                |counts| Value::Count(counts.of(State::Refused))),
            $make!("in_doubt", "in doubt", PROBES, Show::Spare(30, 0), "Sent with an unclear end.",
                |counts| Value::Count(counts.of(State::InDoubt))),
            $make!("accepted", "accepted", PROBES, Show::Never, "Taken by the far end, not seen yet.",
                |counts| Value::Count(counts.of(State::Accepted))),
            $make!("in_transit", "in transit", PROBES, Show::Never, "A host beyond the first told of it.",
                |counts| Value::Count(counts.of(State::InTransit))),
            $make!("overdue", "overdue", PROBES, Show::Spare(27, 0), "Not there by the soft deadline, though we looked.",
                |counts| Value::Count(counts.of(State::Overdue))),
            $make!("delayed", "delayed", PROBES, Show::Spare(28, 0), "Waiting in a queue of the far end.",
                |counts| Value::Count(counts.of(State::Delayed))),
            $make!("held", "held", PROBES, Show::Spare(25, 0), "Somebody must decide before it goes on.",
                |counts| Value::Count(counts.of(State::Held))),
            $make!("arrived", "arrived", PROBES, Show::Never, "Arrived in time.", |counts| Value::Count(counts.of(State::Arrived))),
            $make!("bounced", "bounced", PROBES, Show::Spare(22, 0), "Came back.",
                |counts| Value::Count(counts.of(State::Bounced))),
            $make!("lost", "lost", PROBES, Show::Spare(20, 0), "Not arrived by their deadline, though we looked.",
                |counts| Value::Count(counts.of(State::Lost))),
            $make!("late", "late", PROBES, Show::Spare(23, 0), "Arrived after their deadline.",
                |counts| Value::Count(counts.of(State::Late))),
            $make!("unobserved", "unobserved", PROBES, Show::Spare(31, 0), "Not arrived, but nobody looked.",
                |counts| Value::Count(counts.of(State::Unobserved))),
            $make!("delivered", "delivered", PROBES, Show::Spare(32, 0), "Delivered, as the far end says.",
                |counts| Value::Count(counts.of(State::Delivered))),
            $make!("as_expected", "as exp.", PROBES, Show::Spare(33, 0), "Must not get through, and did not.",
                |counts| Value::Count(counts.of(State::AsExpected))),
            $make!("escaped", "escaped", PROBES, Show::Spare(24, 0), "Must not get through, and did.",
                |counts| Value::Count(counts.of(State::Escaped))),
            $make!("cancelled", "cancelled", PROBES, Show::Spare(34, 0), "Not sent, by our own decision.",
                |counts| Value::Count(counts.of(State::Cancelled))),
            $($after,)*
        ]
    };
}

/// A column of rows.
macro_rules! of_row {
    ($name:literal, $title:literal, $kind:expr, $show:expr, $about:literal, |$counts:ident| $value:expr) => {
        Column::new($name, $title, $kind, $show, $about, |row: &ProbeGroupRow| {
            let $counts = &row.counts;
            $value
        })
    };
}

/// A total.
macro_rules! of_totals {
    ($name:literal, $title:literal, $kind:expr, $show:expr, $about:literal, |$counts:ident| $value:expr) => {
        Column::total($name, $kind, $about, |$counts: &ProbeCounts| $value)
    };
}

/// `report probes`.
pub static PROBE_GROUPS: &[Column<ProbeGroupRow>] = counts!(
    of_row,
    [
        Column::new("route", "route", Kind::Text, Show::Cut(10), "The route.", |row: &ProbeGroupRow| {
            Value::text(Some(&row.route))
        }),
        Column::new("group", "by", Kind::Text, Show::Spare(20, 12), GROUP, |row: &ProbeGroupRow| {
            Value::text(row.group.as_deref())
        }),
    ],
    [
        Column::new(
            "first",
            "first",
            Kind::Instant,
            Show::Never,
            "When the first was sent.",
            |row: &ProbeGroupRow| { Value::instant(row.first) }
        ),
        Column::new(
            "last",
            "last sent",
            Kind::Instant,
            Show::Spare(9, 0),
            "When the last was.",
            |row: &ProbeGroupRow| { Value::instant(row.last) }
        ),
    ]
);

/// The totals of `report probes`.
pub static PROBE_COUNTS: &[Column<ProbeCounts>] = counts!(of_totals, [], []);

// ---- Latency ----

/// One percentile for eyes.
fn shown<'a>(all: Option<Percentiles>, of: impl Fn(Percentiles) -> Span) -> Value<'a> {
    all.map_or(Value::Unknown, |all| Value::Text(Cow::Owned(of(all).text())))
}

/// One end of a percentile.
fn end<'a>(all: Option<Percentiles>, of: impl Fn(Percentiles) -> i64) -> Value<'a> {
    Value::integer(all.map(of))
}

/// The columns of percentiles between others.
macro_rules! percentiles {
    ($make:ident, [$($before:expr,)*], [$($after:expr,)*]) => {
        &[
            $($before,)*
            $make!("measured", "arrived", PROBES, Show::Whole, "Probes that arrived, also late, and whose latency is known.",
                |row| Value::Count(row.measured)),
            $make!("not_measured", "unmeasured", PROBES, Show::Spare(20, 0),
                "Probes that arrived and whose latency is not known: imported, or our own clock was set meanwhile.",
                |row| Value::Count(row.not_measured)),
            $make!("p50", "p50", Kind::Text, Show::Whole,
                "Half of them took no longer: from the low ends to the high ends of what is possible, for eyes.",
                |row| shown(row.percentiles, |all| all.p50)),
            $make!("p90", "p90", Kind::Text, Show::Spare(1, 0), "90 % took no longer, for eyes.",
                |row| shown(row.percentiles, |all| all.p90)),
            $make!("p95", "p95", Kind::Text, Show::Whole, "95 % took no longer, for eyes.",
                |row| shown(row.percentiles, |all| all.p95)),
            $make!("p99", "p99", Kind::Text, Show::Spare(2, 0), "99 % took no longer, for eyes.",
                |row| shown(row.percentiles, |all| all.p99)),
            $make!("p50_low_ms", "", Kind::Milliseconds, Show::Never, "Low end of `p50`.",
                |row| end(row.percentiles, |all| all.p50.low_ms)),
            $make!("p50_high_ms", "", Kind::Milliseconds, Show::Never, "High end of `p50`.",
                |row| end(row.percentiles, |all| all.p50.high_ms)),
            $make!("p90_low_ms", "", Kind::Milliseconds, Show::Never, "Low end of `p90`.",
                |row| end(row.percentiles, |all| all.p90.low_ms)),
            $make!("p90_high_ms", "", Kind::Milliseconds, Show::Never, "High end of `p90`.",
                |row| end(row.percentiles, |all| all.p90.high_ms)),
            $make!("p95_low_ms", "", Kind::Milliseconds, Show::Never, "Low end of `p95`.",
                |row| end(row.percentiles, |all| all.p95.low_ms)),
            $make!("p95_high_ms", "", Kind::Milliseconds, Show::Never, "High end of `p95`.",
                |row| end(row.percentiles, |all| all.p95.high_ms)),
            $make!("p99_low_ms", "", Kind::Milliseconds, Show::Never, "Low end of `p99`.",
                |row| end(row.percentiles, |all| all.p99.low_ms)),
            $make!("p99_high_ms", "", Kind::Milliseconds, Show::Never, "High end of `p99`.",
                |row| end(row.percentiles, |all| all.p99.high_ms)),
            $($after,)*
        ]
    };
}

/// A column of rows of latency.
macro_rules! of_latency {
    ($name:literal, $title:literal, $kind:expr, $show:expr, $about:literal, |$row:ident| $value:expr) => {
        Column::new($name, $title, $kind, $show, $about, |$row: &LatencyRow| $value)
    };
}

/// A total of latency.
macro_rules! of_latencies {
    ($name:literal, $title:literal, $kind:expr, $show:expr, $about:literal, |$row:ident| $value:expr) => {
        Column::total($name, $kind, $about, |$row: &LatencyTotals| $value)
    };
}

/// `report latency`.
pub static LATENCY: &[Column<LatencyRow>] = percentiles!(
    of_latency,
    [
        Column::new("route", "route", Kind::Text, Show::Cut(10), "The route.", |row: &LatencyRow| {
            Value::text(Some(&row.route))
        }),
        Column::new("group", "by", Kind::Text, Show::Spare(20, 12), GROUP, |row: &LatencyRow| {
            Value::text(row.group.as_deref())
        }),
    ],
    [
        Column::new(
            "fixed_ms",
            "fixed ms",
            Kind::Milliseconds,
            Show::Spare(21, 0),
            "What a probe without bytes would take (Theil and Sen, over probes of which one is twice as large as another); null \
             where sizes tell nothing.",
            |row: &LatencyRow| Value::integer(row.fixed_ms),
        ),
        Column::new(
            "bytes_per_second",
            "bytes/s",
            Kind::Count("bytes a second"),
            Show::Spare(22, 0),
            "What the path takes beyond that; null where size costs nothing that can be seen.",
            |row: &LatencyRow| Value::count(row.bytes_per_second),
        ),
    ]
);

/// The totals of `report latency`.
pub static LATENCY_TOTALS: &[Column<LatencyTotals>] = percentiles!(
    of_latencies,
    [],
    [Column::total(
        "maintenance",
        PROBES,
        "Arrived while their route was under maintenance: in no other number here.",
        |row: &LatencyTotals| Value::Count(row.maintenance)
    ),]
);

// ---- Continuity ----

/// The length of a stretch, for eyes.
fn length<'a>(stretch: Option<Stretch>) -> Value<'a> {
    stretch.map_or(Value::Unknown, |stretch| {
        let ms = stretch.ms().max(0);
        Value::Text(Cow::Owned(Span { low_ms: ms, high_ms: ms }.text()))
    })
}

/// How fast the budget is used up in one pair of windows.
fn burn<'a>(row: &ContinuityRow, at: usize, of: impl Fn(&(Share, Share)) -> Share) -> Value<'a> {
    let rate = row.budget.as_ref().and_then(|budget| {
        let share = of(budget.burns.get(at)?);
        share.burn_hundredths(&budget.objective)
    });
    rate.and_then(|rate| i64::try_from(rate).ok()).map_or(Value::Unknown, Value::Hundredths)
}

/// The pairs of windows in which the budget is used up too fast, in words.
fn burning(row: &ContinuityRow) -> Vec<Cow<'static, str>> {
    let names = ["1h/5m", "6h/30m", "3d/6h"];
    let is = row.budget.as_ref().map(Budget::burning).unwrap_or_default();
    names.into_iter().zip(is).filter(|(_, is)| *is).map(|(name, _)| Cow::Borrowed(name)).collect()
}

/// `report continuity`.
pub static CONTINUITY: &[Column<ContinuityRow>] = &[
    Column::new("route", "route", Kind::Text, Show::Cut(10), "The route.", |row| {
        Value::text(Some(&row.route))
    }),
    Column::new(
        "mx_host",
        "mx host",
        Kind::Text,
        Show::Spare(20, 12),
        "The MX host; null: the route as a whole.",
        |row| Value::text(row.mx_host.as_deref()),
    ),
    Column::new("good", "good", PROBES, Show::Spare(5, 0), "As in `probes`.", |row| {
        Value::Count(row.course.share.good)
    }),
    Column::new("bad", "bad", PROBES, Show::Whole, "As in `probes`.", |row| {
        Value::Count(row.course.share.bad)
    }),
    Column::new("not_observed", "unknown", PROBES, Show::Spare(6, 0), "`unobserved` or `in_doubt`.", |row| {
        Value::Count(row.course.not_observed)
    }),
    Column::new("waiting", "waiting", PROBES, Show::Never, "Not decided yet.", |row| {
        Value::Count(row.course.waiting)
    }),
    Column::new(
        "last_good",
        "last good",
        Kind::Instant,
        Show::Whole,
        "When the last good probe was sent.",
        |row| Value::instant(row.course.last_good),
    ),
    Column::new(
        "gap",
        "gap",
        Kind::Text,
        Show::Spare(3, 0),
        "The longest time from one good probe to the next, or to now, for eyes.",
        |row| length(row.course.gap),
    ),
    Column::new("gap_ms", "gap ms", Kind::Milliseconds, Show::Never, "The same.", |row| {
        Value::integer(row.course.gap.map(|gap| gap.ms()))
    }),
    Column::new("gap_from", "gap from", Kind::Instant, Show::Never, "When it began.", |row| {
        Value::instant(row.course.gap.map(|gap| gap.from))
    }),
    Column::new(
        "outage",
        "outage",
        Kind::Text,
        Show::Spare(2, 0),
        "The longest time from the first bad probe after a good one to the next good one, or to now, for eyes; what is not known \
         begins none and ends none.",
        |row| length(row.course.outage),
    ),
    Column::new("outage_ms", "outage ms", Kind::Milliseconds, Show::Never, "The same.", |row| {
        Value::integer(row.course.outage.map(|outage| outage.ms()))
    }),
    Column::new("outage_from", "outage from", Kind::Instant, Show::Never, "When it began.", |row| {
        Value::instant(row.course.outage.map(|outage| outage.from))
    }),
    Column::new(
        "out_since",
        "out since",
        Kind::Instant,
        Show::Spare(21, 0),
        "Since when there is an outage; null: there is none.",
        |row| Value::instant(row.course.out_since),
    ),
    Column::new(
        "within_ms",
        "within ms",
        Kind::Milliseconds,
        Show::Never,
        "`within` of the route's `slo`; null, as all of the following but `drills`, where nothing is promised.",
        |row| {
            Value::integer(
                row.budget.as_ref().and_then(|all| i64::try_from(all.objective.within.as_millis()).ok()),
            )
        },
    ),
    Column::new(
        "target_percent",
        "target %",
        Kind::Decimal("percent"),
        Show::Spare(8, 0),
        "Its `target`.",
        |row| {
            let target = row.budget.as_ref().map(|all| i64::from(all.objective.target_millionths / 100));
            target.map_or(Value::Unknown, Value::Hundredths)
        },
    ),
    Column::new(
        "window_seconds",
        "window s",
        Kind::Count("seconds"),
        Show::Never,
        "Its `window`: of that the next five are, whatever period is asked for.",
        |row| Value::count(row.budget.as_ref().map(|all| all.objective.window.as_secs())),
    ),
    Column::new(
        "slo_good",
        "slo good",
        PROBES,
        Show::Never,
        "Arrived within the time at the latest instant that is possible, and not in the folder for spam.",
        |row| Value::count(row.budget.as_ref().map(|all| all.share.good)),
    ),
    Column::new(
        "slo_bad",
        "slo bad",
        PROBES,
        Show::Spare(7, 0),
        "Later than that at the earliest, in the folder for spam, or not at all.",
        |row| Value::count(row.budget.as_ref().map(|all| all.share.bad)),
    ),
    Column::new(
        "slo_not_observed",
        "slo unknown",
        PROBES,
        Show::Never,
        "Nobody knows, also where the time may have been kept or not.",
        |row| Value::count(row.budget.as_ref().map(|all| all.not_observed)),
    ),
    Column::new("slo_waiting", "slo waiting", PROBES, Show::Never, "Not decided yet.", |row| {
        Value::count(row.budget.as_ref().map(|all| all.waiting))
    }),
    Column::new(
        "budget_left_percent",
        "budget %",
        Kind::Decimal("percent of what may fail"),
        Show::Spare(1, 0),
        "What is left of what may fail of so many good and bad probes; below 0 where more failed.",
        |row| {
            let left = row.budget.as_ref().and_then(Budget::left_hundredths);
            left.map_or(Value::Unknown, Value::Hundredths)
        },
    ),
    Column::new(
        "burning",
        "burning",
        Kind::List,
        Show::Spare(4, 0),
        "The windows in which the budget is used up too fast, both of a pair and by at least two bad probes: `1h/5m` (14.4 times), \
         `6h/30m` (6 times), `3d/6h` (once).",
        |row| Value::List(burning(row)),
    ),
    Column::new(
        "burn_1h",
        "1 h",
        Kind::Decimal("times"),
        Show::Never,
        "How fast in the last hour: at 1 the budget lasts exactly its window.",
        |row| burn(row, 0, |pair| pair.0),
    ),
    Column::new("burn_5m", "5 min", Kind::Decimal("times"), Show::Never, "The same of 5 minutes.", |row| {
        burn(row, 0, |pair| pair.1)
    }),
    Column::new("burn_6h", "6 h", Kind::Decimal("times"), Show::Never, "The same of 6 hours.", |row| {
        burn(row, 1, |pair| pair.0)
    }),
    Column::new(
        "burn_30m",
        "30 min",
        Kind::Decimal("times"),
        Show::Never,
        "The same of 30 minutes.",
        |row| burn(row, 1, |pair| pair.1),
    ),
    Column::new("burn_3d", "3 d", Kind::Decimal("times"), Show::Never, "The same of 3 days.", |row| {
        burn(row, 2, |pair| pair.0)
    }),
    Column::new(
        "drills",
        "drills",
        Kind::Count("drills"),
        Show::Spare(22, 0),
        "Planned failovers, by `probe drill`.",
        |row| Value::Count(row.drills),
    ),
    Column::new("last_drill", "last drill", Kind::Instant, Show::Never, "When the last one began.", |row| {
        Value::instant(row.last_drill)
    }),
];

/// The totals of `report continuity`.
pub static CONTINUITY_TOTALS: &[Column<ContinuityTotals>] = &[
    Column::total("routes", Kind::Count("routes"), "Routes.", |totals| Value::Count(totals.routes)),
    Column::total("out", Kind::Count("routes"), "Routes with an outage that goes on.", |totals| {
        Value::Count(totals.out)
    }),
    Column::total("promised", Kind::Count("routes"), "Routes with an `slo`.", |totals| {
        Value::Count(totals.promised)
    }),
    Column::total("exhausted", Kind::Count("routes"), "Of these, those whose budget is used up.", |totals| {
        Value::Count(totals.exhausted)
    }),
    Column::total(
        "burning",
        Kind::Count("routes"),
        "Of these, those whose budget is used up too fast.",
        |totals| Value::Count(totals.burning),
    ),
];
