//! `--fail-if 'dmarc_fail > 0'`: one comparison of one total with a number.

use crate::cli::exit::Failure;
use crate::config::fault::nearest;
use crate::render::Sheet;

/// A comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct FailIf {
    /// The total, as named in JSON.
    name: String,
    /// The operator.
    operator: Operator,
    /// The number to compare with.
    number: f64,
}

/// How total and number compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `==` or `=`
    Equal,
    /// `!=`
    NotEqual,
}

/// The longer signs first.
const SIGNS: [(&str, Operator); 7] = [
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    (">", Operator::More),
    ("=", Operator::Equal),
];

impl FailIf {
    /// Reads an expression.
    ///
    /// Errors: wrong use, with the form to write.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let fault = |what: &str| {
            Failure::usage(
                format!("--fail-if {text:?}: {what}"),
                "write a total, a sign and a number: 'dmarc_fail > 0'",
            )
        };
        let at = text.find(['<', '>', '=', '!']).ok_or_else(|| fault("has no sign (< <= > >= == !=)"))?;
        let (name, rest) = text.split_at(at);
        let (sign, operator) = SIGNS
            .into_iter()
            .find(|(sign, _)| rest.starts_with(sign))
            .ok_or_else(|| fault("has no such sign"))?;
        let number = rest.strip_prefix(sign).unwrap_or_default().trim();
        let plain = number.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_'));
        let number =
            number.replace('_', "").parse().ok().filter(|_| plain).ok_or_else(|| fault("has no number"))?;
        let name = name.trim();
        if name.is_empty() {
            return Err(fault("names no total"));
        }
        Ok(Self { name: name.to_owned(), operator, number })
    }

    /// True if it holds of the totals of `sheet`. A total that is not known (a percentage of nothing)
    /// fulfils nothing.
    ///
    /// Errors: wrong use, if there is no such total.
    pub fn holds(&self, sheet: &Sheet<'_>) -> Result<bool, Failure> {
        let Some(value) = sheet.total(&self.name) else {
            let names = || sheet.totals.iter().map(|(name, _)| *name);
            let all = names().collect::<Vec<_>>().join(", ");
            let hint = match nearest(&self.name, names()) {
                Some(near) => format!("did you mean `{near}`? Totals here: {all}"),
                None => format!("totals here: {all}"),
            };
            return Err(Failure::usage(format!("--fail-if: no total `{}` in this view", self.name), hint));
        };
        let Some(found) = value.number() else { return Ok(false) };
        let order = found.total_cmp(&self.number);
        Ok(match self.operator {
            Operator::Less => order.is_lt(),
            Operator::AtMost => order.is_le(),
            Operator::More => order.is_gt(),
            Operator::AtLeast => order.is_ge(),
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{Column, Head, Kind, Value};

    #[test]
    fn expressions() {
        static NONE: &[Column<()>] = &[];
        static TOTALS: &[Column<u64>] = &[
            Column::total("dmarc_fail", Kind::Count(""), "", |fail| Value::Count(*fail)),
            Column::total("pass_percent", Kind::Percent, "", |_| Value::Percent {
                part: 9_999,
                whole: 10_000,
            }),
            Column::total("nothing", Kind::Percent, "", |_| Value::Percent { part: 0, whole: 0 }),
        ];
        let sheet = Sheet::of_rows(Head::default(), NONE, &[]).with_totals(TOTALS, &3);
        let cases = [
            ("dmarc_fail > 0", true),
            ("dmarc_fail>3", false),
            ("dmarc_fail >= 3", true),
            ("dmarc_fail == 3", true),
            ("dmarc_fail=3", true),
            ("dmarc_fail != 3", false),
            ("dmarc_fail < 1_000", true),
            ("dmarc_fail <= 2", false),
            ("pass_percent < 100", true),
            ("pass_percent >= 99.99", true),
            ("nothing < 100", false),
            ("nothing != 5", false),
        ];
        for (text, want) in cases {
            assert_eq!(FailIf::parse(text).unwrap().holds(&sheet).unwrap(), want, "{text}");
        }
        for text in [
            "",
            "dmarc_fail",
            "> 0",
            "dmarc_fail >",
            "dmarc_fail > x",
            "dmarc_fail > inf",
            "a ! 3",
            "a > 1 > 2",
        ] {
            assert!(FailIf::parse(text).is_err(), "{text}");
        }
        assert!(FailIf::parse("dmarc_fial > 0").unwrap().holds(&sheet).is_err());
    }
}
