//! The output of a monitoring plug-in: one line of status with performance data, then lines for people.
//!
//! What Nagios, Icinga and Checkmk read: `STATUS text | label=value;warn;crit;min;max …`, ranges of thresholds, and
//! exit codes 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (Monitoring Plugins Development Guidelines). Labels are a
//! closed list, so that a graph keeps its meaning.

use std::io::{self, Write};

use crate::render::escape::terminal;

/// A status; its order is that of urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// All is well.
    Ok,
    /// Nobody can say.
    Unknown,
    /// Look at it today.
    Warning,
    /// Look at it now.
    Critical,
}

impl Status {
    /// The word in the line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The exit code of a plug-in.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }
}

/// What is measured: a label of performance data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Findings of the severity critical.
    Criticals,
    /// Findings of the severity error.
    Errors,
    /// Findings of the severity warning.
    Warnings,
    /// Checks that nobody answered.
    NotKnown,
    /// Share of reported messages that fail DMARC.
    FailingPercent,
    /// Reported messages.
    Messages,
    /// Hours since the end of the last report's period.
    ReportAgeHours,
    /// Half of the probes of a route took no longer, seconds.
    P50,
    /// 90 % took no longer.
    P90,
    /// 95 % took no longer.
    P95,
    /// 99 % took no longer.
    P99,
    /// Share of bad probes.
    Loss,
    /// Probes in the folder for spam.
    Spam,
    /// Probes that came more than once.
    Dup,
    /// Probes of which nobody knows.
    Unobserved,
}

impl Metric {
    /// Those of a domain, in the order of the line.
    pub const OF_DOMAIN: [Self; 7] = [
        Self::Criticals,
        Self::Errors,
        Self::Warnings,
        Self::NotKnown,
        Self::FailingPercent,
        Self::Messages,
        Self::ReportAgeHours,
    ];
    /// Those of a route of probes.
    pub const OF_ROUTE: [Self; 8] =
        [Self::P50, Self::P90, Self::P95, Self::P99, Self::Loss, Self::Spam, Self::Dup, Self::Unobserved];

    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Criticals => "criticals",
            Self::Errors => "errors",
            Self::Warnings => "warnings",
            Self::NotKnown => "not_known",
            Self::FailingPercent => "failing_percent",
            Self::Messages => "messages",
            Self::ReportAgeHours => "report_age_hours",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Loss => "loss",
            Self::Spam => "spam",
            Self::Dup => "dup",
            Self::Unobserved => "unobserved",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::OF_DOMAIN.into_iter().chain(Self::OF_ROUTE).find(|metric| metric.as_str() == text)
    }

    /// Its unit in performance data.
    const fn unit(self) -> &'static str {
        match self {
            Self::FailingPercent | Self::Loss => "%",
            Self::P50 | Self::P90 | Self::P95 | Self::P99 => "s",
            _ => "",
        }
    }

    /// A number of a range in this unit: `2m` is 120 seconds, `1%` is 1.
    fn number(self, text: &str) -> Option<String> {
        let units: &[(&str, f64)] = match self.unit() {
            "s" => &[("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)],
            "%" => &[("%", 1.0)],
            _ => &[],
        };
        let found = units.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)));
        let (digits, size) = found.unwrap_or((text, 1.0));
        // Without a unit it stays as written.
        if found.is_none() || digits.is_empty() {
            return Some(text.to_owned());
        }
        let value = digits.parse::<f64>().ok().filter(|value| value.is_finite())? * size;
        Some(if value.fract() == 0.0 { format!("{value:.0}") } else { value.to_string() })
    }

    /// A range whose numbers may have units, as a range of plain numbers.
    fn plain_range(self, text: &str) -> Option<String> {
        let (at, rest) = match text.strip_prefix('@') {
            Some(rest) => ("@", rest),
            None => ("", text),
        };
        let end = |part: &str| if part == "~" { Some(part.to_owned()) } else { self.number(part) };
        Some(match rest.split_once(':') {
            None => format!("{at}{}", end(rest)?),
            Some((low, high)) => format!("{at}{}:{}", end(low)?, end(high)?),
        })
    }
}

/// A range of values that are in order, or with `@` of those that are not.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    low: f64,
    high: f64,
    is_alarm_inside: bool,
    text: String,
}

impl Range {
    /// Reads `10`, `10:`, `~:10`, `10:20` and `@10:20`.
    pub fn parse(text: &str) -> Option<Self> {
        let (is_alarm_inside, rest) = match text.strip_prefix('@') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
        let (low, high) = match rest.split_once(':') {
            None => (0.0, number(rest)?),
            Some((low, high)) => {
                let low = match low {
                    "~" => f64::NEG_INFINITY,
                    "" => 0.0,
                    low => number(low)?,
                };
                (low, if high.is_empty() { f64::INFINITY } else { number(high)? })
            }
        };
        (low <= high).then(|| Self { low, high, is_alarm_inside, text: text.to_owned() })
    }

    /// True if the value gives the alarm.
    pub fn is_alarm(&self, value: f64) -> bool {
        let is_inside = value >= self.low && value <= self.high;
        is_inside == self.is_alarm_inside
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// A range for one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// The metric.
    pub metric: Metric,
    /// Its range.
    pub range: Range,
}

impl Threshold {
    /// Reads `METRIC=RANGE`.
    pub fn parse(text: &str) -> Option<Self> {
        let (metric, range) = text.split_once('=')?;
        let metric = Metric::parse(metric.trim())?;
        Some(Self { metric, range: Range::parse(&metric.plain_range(range.trim())?)? })
    }
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The metric.
    pub metric: Metric,
    /// Its value; absent: not known.
    pub value: Option<f64>,
}

/// All thresholds of a check.
#[derive(Debug, Clone, Default)]
pub struct Thresholds {
    /// Those of a warning.
    pub warn: Vec<Threshold>,
    /// Those of an alarm.
    pub crit: Vec<Threshold>,
}

impl Thresholds {
    /// The status of the samples, and the reasons: what is out of range, or has a threshold and is not known.
    pub fn judge(&self, samples: &[Sample]) -> (Status, Vec<String>) {
        let mut status = Status::Ok;
        let mut reasons = Vec::new();
        for sample in samples {
            let alarm = |all: &'_ [Threshold], value: f64| -> Option<String> {
                let of_metric = all.iter().filter(|threshold| threshold.metric == sample.metric);
                of_metric
                    .map(|threshold| &threshold.range)
                    .find(|range| range.is_alarm(value))
                    .map(|range| range.text.clone())
            };
            let label = sample.metric.as_str();
            let Some(value) = sample.value else {
                let is_asked = self.warn.iter().chain(&self.crit).any(|asked| asked.metric == sample.metric);
                if is_asked {
                    status = status.max(Status::Unknown);
                    reasons.push(format!("{label} is not known"));
                }
                continue;
            };
            let found = alarm(&self.crit, value).map(|range| (Status::Critical, range));
            let found = found.or_else(|| alarm(&self.warn, value).map(|range| (Status::Warning, range)));
            if let Some((worse, range)) = found {
                status = status.max(worse);
                reasons.push(format!("{label} {} (range {range})", number(value)));
            }
        }
        (status, reasons)
    }

    /// The performance data.
    fn performance(&self, samples: &[Sample]) -> String {
        let range = |all: &[Threshold], metric: Metric| {
            let found = all.iter().find(|threshold| threshold.metric == metric);
            found.map(|threshold| threshold.range.text.clone()).unwrap_or_default()
        };
        let one = |sample: &Sample| {
            let metric = sample.metric;
            let unit = metric.unit();
            let most = if unit == "%" { "100" } else { "" };
            let value =
                sample.value.map_or_else(|| "U".to_owned(), |value| format!("{}{unit}", number(value)));
            let (warn, crit) = (range(&self.warn, metric), range(&self.crit, metric));
            format!("{}={value};{warn};{crit};0;{most}", metric.as_str()).trim_end_matches(';').to_owned()
        };
        samples.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

/// A number as plug-ins write it: whole, or with two decimals.
fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// Lines for people after the first one, at most.
pub const LONG_LINES: usize = 25;

/// Writes the status line and the lines for people. A `|` begins performance data, so none stands in a text.
/// Errors: those of the writer.
pub fn write(
    status: Status,
    summary: &str,
    thresholds: &Thresholds,
    samples: &[Sample],
    long: &[String],
    out: &mut dyn Write,
) -> io::Result<()> {
    let plain = |text: &str| terminal(&text.replace('\n', " ")).replace('|', "/");
    write!(out, "MAILSONDE {} - {}", status.as_str(), plain(summary))?;
    if samples.is_empty() {
        writeln!(out)?;
    } else {
        writeln!(out, " | {}", thresholds.performance(samples))?;
    }
    for line in long.iter().take(LONG_LINES) {
        writeln!(out, "{}", plain(line))?;
    }
    if long.len() > LONG_LINES {
        writeln!(out, "and {} more", long.len() - LONG_LINES)?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_plug_ins_have_them() {
        for (text, fine, alarm) in [
            ("10", vec![0.0, 10.0], vec![-1.0, 10.5]),
            ("10:", vec![10.0, 1e9], vec![9.9, -1.0]),
            ("~:10", vec![-50.0, 10.0], vec![11.0]),
            (":10", vec![0.0, 10.0], vec![-1.0, 11.0]),
            ("10:20", vec![10.0, 20.0], vec![9.0, 21.0]),
            ("@10:20", vec![9.0, 21.0], vec![10.0, 15.0, 20.0]),
            ("~:", vec![-1e9, 0.0, 1e9], vec![]),
        ] {
            let range = Range::parse(text).unwrap();
            assert!(fine.iter().all(|value| !range.is_alarm(*value)), "{text}");
            assert!(alarm.iter().all(|value| range.is_alarm(*value)), "{text}");
        }
        for wrong in ["", "x", "20:10", "1:2:3", "@", "~", "NaN", "inf"] {
            assert_eq!(Range::parse(wrong), None, "{wrong}");
        }
        for wrong in [
            "errors",
            "errors=",
            "error=1",
            "=1",
            "p95=",
            "p95=s",
            "p95=1d",
            "loss=1s",
            "errors=1s",
            "p95=1s:x",
        ] {
            assert_eq!(Threshold::parse(wrong), None, "{wrong}");
        }
        for (text, want) in [
            ("p95=120s", "120"),
            ("p95=2m", "120"),
            ("p95=1500ms", "1.5"),
            ("p50=@1s:1h", "@1:3600"),
            ("p99=~:90", "~:90"),
            ("loss=5%", "5"),
            ("loss=0.5", "0.5"),
            ("dup=3:", "3:"),
        ] {
            assert_eq!(Threshold::parse(text).unwrap().range.as_str(), want, "{text}");
        }
    }

    #[test]
    fn the_worst_that_is_known_decides() {
        let of = |texts: &[&str]| texts.iter().map(|text| Threshold::parse(text).unwrap()).collect();
        let thresholds =
            Thresholds { warn: of(&["warnings=0", "report_age_hours=48"]), crit: of(&["errors=0"]) };
        let sample = |metric, value| Sample { metric, value };
        let errors = |value| sample(Metric::Errors, Some(value));
        let warnings = |value| sample(Metric::Warnings, Some(value));
        let age = |value| sample(Metric::ReportAgeHours, value);
        for (samples, want, reasons) in [
            (vec![errors(0.0), warnings(0.0), age(Some(3.0))], Status::Ok, 0),
            (vec![errors(0.0), warnings(2.0), age(Some(3.0))], Status::Warning, 1),
            (vec![errors(1.0), warnings(2.0), age(Some(99.5))], Status::Critical, 3),
            (vec![errors(0.0), warnings(0.0), age(None)], Status::Unknown, 1),
            (vec![errors(0.0), warnings(1.0), age(None)], Status::Warning, 2),
            // Without a threshold it is no matter.
            (vec![sample(Metric::Messages, None)], Status::Ok, 0),
        ] {
            let (status, told) = thresholds.judge(&samples);
            assert_eq!((status, told.len()), (want, reasons), "{samples:?}: {told:?}");
        }
        assert_eq!(
            [Status::Ok, Status::Warning, Status::Critical, Status::Unknown].map(Status::code),
            [0, 1, 2, 3]
        );
    }

    #[test]
    fn one_line_with_performance_data() {
        let thresholds = Thresholds {
            warn: vec![Threshold::parse("failing_percent=5").unwrap()],
            crit: vec![Threshold::parse("failing_percent=~:20").unwrap()],
        };
        let samples = [
            Sample { metric: Metric::Errors, value: Some(2.0) },
            Sample { metric: Metric::FailingPercent, value: Some(12.5) },
            Sample { metric: Metric::ReportAgeHours, value: None },
        ];
        let mut out = Vec::new();
        let long: Vec<String> = (0..30).map(|at| format!("line {at} | x\u{1b}[31m")).collect();
        write(Status::Warning, "a | b\nc", &thresholds, &samples, &long, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let mut lines = text.lines();
        assert_eq!(
            lines.next().unwrap(),
            "MAILSONDE WARNING - a / b c | errors=2;;;0 failing_percent=12.50%;5;~:20;0;100 report_age_hours=U;;;0"
        );
        assert_eq!(lines.next().unwrap(), "line 0 / x\\x1b[31m");
        assert_eq!(text.matches('|').count(), 1);
        assert_eq!(text.lines().last().unwrap(), "and 5 more");
    }
}
