//! A planned failover, as its probes saw it: first refused, first through the backup, back.

use crate::clock::Timestamp;
use crate::probe::lifecycle::State;
use crate::summary::latency::{Latencies, Span};
use crate::summary::probe::Standing;

/// One probe of a drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillProbe {
    /// Its token.
    pub token: String,
    /// When sending began.
    pub sent_at: Timestamp,
    /// Whom it was handed to: the MX host, else the address of the server; `None` where nobody took part.
    pub host: Option<String>,
    /// True if it was taken at the first attempt.
    pub is_taken: bool,
    /// Its state.
    pub state: State,
    /// Why.
    pub reason: Option<String>,
    /// How long it took.
    pub latency: Option<Span>,
}

/// What a line of a timeline tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The first probe that was taken, and by whom it usually is.
    Begin,
    /// The first one after a taken one that was not.
    Refused,
    /// The first one that another host took.
    Backup,
    /// The first one after such a moment that was taken by the usual host.
    Back,
}

impl Moment {
    /// The word in tables and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Refused => "refused",
            Self::Backup => "backup",
            Self::Back => "back",
        }
    }
}

/// A line of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillRow {
    /// What changed.
    pub moment: Moment,
    /// When the probe was sent that showed it.
    pub at: Timestamp,
    /// Milliseconds since the first probe.
    pub after_ms: i64,
    /// Whom it was handed to.
    pub host: Option<String>,
    /// The probe.
    pub token: String,
    /// What was said.
    pub reason: Option<String>,
}

/// The sums of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DrillTotals {
    /// Probes.
    pub probes: u64,
    /// Not taken at their first attempt.
    pub not_taken: u64,
    /// Arrived in the end.
    pub arrived: u64,
    /// Of these, those that were not taken at first, or that took more than three times as long as half of all, and ten seconds more.
    pub delayed: u64,
    /// Lost, refused for good, or sent back.
    pub lost: u64,
    /// Not decided yet.
    pub waiting: u64,
    /// Nobody knows.
    pub not_known: u64,
    /// The longest time without a taken probe: from the first that was not taken to the next that was, or to the last probe.
    pub gap_ms: Option<i64>,
    /// The longest latency.
    pub slowest: Option<Span>,
    /// When the first probe was sent.
    pub first: Option<Timestamp>,
    /// When the last one was.
    pub last: Option<Timestamp>,
}

/// Tells a drill from its probes in the order of sending.
pub fn timeline(probes: &[DrillProbe]) -> (Vec<DrillRow>, DrillTotals) {
    let mut rows: Vec<DrillRow> = Vec::new();
    let first = probes.first().map(|probe| probe.sent_at);
    let mut totals =
        DrillTotals { first, last: probes.last().map(|probe| probe.sent_at), ..DrillTotals::default() };
    let mut tell = |moment: Moment, probe: &DrillProbe| {
        rows.push(DrillRow {
            moment,
            at: probe.sent_at,
            after_ms: first.map_or(0, |first| probe.sent_at.ms_since(first)),
            host: probe.host.clone(),
            token: probe.token.clone(),
            reason: probe.reason.clone(),
        });
    };
    // Who usually takes them; `None` before the first.
    let mut usual: Option<&DrillProbe> = None;
    // What the last line said, so that each change is told once.
    let mut stands = Moment::Begin;
    let mut out_since: Option<Timestamp> = None;
    let mut all = Latencies::default();
    for probe in probes {
        totals.probes += 1;
        if let Some(span) = probe.latency {
            all.add(span);
            totals.slowest = Some(totals.slowest.map_or(span, |known| known.max(span)));
        }
        if !probe.is_taken {
            totals.not_taken += 1;
            out_since.get_or_insert(probe.sent_at);
            if stands != Moment::Refused {
                tell(Moment::Refused, probe);
                stands = Moment::Refused;
            }
            continue;
        }
        if let Some(since) = out_since.take() {
            let gap = probe.sent_at.ms_since(since);
            totals.gap_ms = Some(totals.gap_ms.map_or(gap, |known| known.max(gap)));
        }
        let Some(by) = usual else {
            usual = Some(probe);
            tell(Moment::Begin, probe);
            stands = Moment::Begin;
            continue;
        };
        let moment = if probe.host != by.host {
            Moment::Backup
        } else if stands == Moment::Begin {
            continue;
        } else {
            Moment::Back
        };
        if stands != moment {
            tell(moment, probe);
            stands = moment;
        }
    }
    if let (Some(since), Some(last)) = (out_since, totals.last) {
        let gap = last.ms_since(since);
        totals.gap_ms = Some(totals.gap_ms.map_or(gap, |known| known.max(gap)));
    }
    let half = all.percentiles().map(|all| all.p50.high_ms);
    let slow = half.map_or(i64::MAX, |half| half.saturating_mul(3).max(half.saturating_add(10_000)));
    for probe in probes {
        match Standing::of(probe.state) {
            Standing::Good => {
                totals.arrived += 1;
                let is_slow = probe.latency.is_some_and(|span| span.low_ms > slow);
                totals.delayed += u64::from(!probe.is_taken || is_slow);
            }
            Standing::Bad if probe.state == State::Late => {
                totals.arrived += 1;
                totals.delayed += 1;
            }
            Standing::Bad => totals.lost += 1,
            Standing::Waiting => totals.waiting += 1,
            Standing::NotKnown => totals.not_known += 1,
            Standing::NotSent | Standing::Negative => {}
        }
    }
    (rows, totals)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A probe every two seconds: host, or none where it was not taken; state and latency in seconds.
    fn probes(course: &[(Option<&str>, State, i64)]) -> Vec<DrillProbe> {
        let one = |(at, (host, state, seconds)): (i64, &(Option<&str>, State, i64))| DrillProbe {
            token: format!("t{at}"),
            sent_at: Timestamp::from_seconds(1_000 + at * 2),
            host: host.map(str::to_owned),
            is_taken: host.is_some(),
            state: *state,
            reason: host.is_none().then(|| "connect: refused".to_owned()),
            latency: (*seconds > 0).then_some(Span { low_ms: seconds * 1_000, high_ms: seconds * 1_000 }),
        };
        (0..).zip(course).map(one).collect()
    }

    fn told(probes: &[DrillProbe]) -> (String, DrillTotals) {
        let (rows, totals) = timeline(probes);
        let text = |row: &DrillRow| {
            format!("{}@{}:{}", row.moment.as_str(), row.after_ms / 1_000, row.host.as_deref().unwrap_or("-"))
        };
        (rows.iter().map(text).collect::<Vec<_>>().join(" "), totals)
    }

    #[test]
    fn a_failover_and_back() {
        use State::{Arrived, Late, Lost, Refused};
        let course = [
            (Some("mx1"), Arrived, 1),
            (Some("mx1"), Arrived, 1),
            (None, Refused, 0),
            (None, Arrived, 40),
            (Some("mx2"), Arrived, 2),
            (Some("mx2"), Lost, 0),
            (Some("mx2"), Late, 0),
            (Some("mx1"), Arrived, 1),
            (Some("mx1"), Arrived, 30),
        ];
        let (text, totals) = told(&probes(&course));
        assert_eq!(text, "begin@0:mx1 refused@4:- backup@8:mx2 back@14:mx1");
        // From the third probe to the fifth.
        assert_eq!(totals.gap_ms, Some(4_000));
        assert_eq!((totals.probes, totals.not_taken, totals.arrived, totals.lost), (9, 2, 7, 2));
        // Not taken at first, late, and 30 s where half take one.
        assert_eq!((totals.delayed, totals.waiting), (3, 0));
        assert_eq!(totals.slowest.map(|span| span.high_ms), Some(40_000));
    }

    #[test]
    fn other_courses() {
        use State::{Accepted, Arrived, Deferred, InDoubt};
        for (course, want, gap) in [
            (vec![], "", None),
            (vec![(Some("mx1"), Arrived, 1); 3], "begin@0:mx1", None),
            // It never came back: the gap lasts until the last probe.
            (
                vec![(Some("mx1"), Accepted, 0), (None, Deferred, 0), (None, InDoubt, 0)],
                "begin@0:mx1 refused@2:-",
                Some(2_000),
            ),
            // Out from the beginning: who took the first is the usual one.
            (vec![(None, Deferred, 0), (Some("mx2"), Arrived, 1)], "refused@0:- begin@2:mx2", Some(2_000)),
            // To and fro without a refusal: the backup took over at once.
            (
                vec![(Some("a"), Arrived, 1), (Some("b"), Arrived, 1), (Some("a"), Arrived, 1)],
                "begin@0:a backup@2:b back@4:a",
                None,
            ),
            // A short outage without a backup.
            (
                vec![(Some("a"), Arrived, 1), (None, Deferred, 0), (Some("a"), Arrived, 1)],
                "begin@0:a refused@2:- back@4:a",
                Some(2_000),
            ),
        ] {
            let (text, totals) = told(&probes(&course));
            assert_eq!((text.as_str(), totals.gap_ms), (want, gap), "{course:?}");
            let sum = totals.arrived + totals.lost + totals.waiting + totals.not_known;
            assert_eq!(sum, totals.probes, "{course:?}");
        }
    }
}
