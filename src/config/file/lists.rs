//! Lists and tables whose items have no fixed shape: texts beside tables, any key with a text, shares in percent.

use std::ops::Range;

use toml::Spanned;

use crate::config::file::Section;

/// One item of a list that may be a text or a table.
pub(in crate::config) enum Item<'s, 't> {
    /// A text, and where it stands.
    Text(&'s str, Range<usize>),
    /// A table.
    Table(Section<'s, 't>),
}

impl<'s, 't> Section<'s, 't> {
    /// Notes a fault at a place of the file.
    pub(in crate::config) fn fault_at(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.source.fault(span, message.into(), hint);
    }

    /// True if the key stands in the table. It is not thereby known.
    pub(in crate::config) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A list of texts and tables in any mixture; `None` without the key. `example` is the whole list.
    pub(in crate::config) fn items(&self, key: &'static str, example: &str) -> Option<Vec<Item<'s, 't>>> {
        let value = self.value(key)?.get_ref();
        let wanted = format!("a list: `{key} = {example}`");
        let Some(items) = value.as_array() else {
            self.wrong_type(key, value, &wanted);
            return Some(Vec::new());
        };
        let name = format!("`{key}` of {}", self.name);
        let mut found = Vec::new();
        for item in items {
            let span = item.span();
            match (item.get_ref().as_str(), item.get_ref().as_table()) {
                (Some(text), _) => found.push(Item::Text(text, span)),
                (None, Some(table)) => {
                    found.push(Item::Table(Self::of(self.source, table, name.clone(), span)));
                }
                (None, None) => {
                    let message =
                        format!("an item of `{key}` in {} is neither a text nor a table", self.name);
                    self.fault_at(span, message, Some(format!("write {wanted}")));
                }
            }
        }
        Some(found)
    }

    /// A table whose keys are the user's own, each with a text, in the order of the file.
    pub(in crate::config) fn entries(
        &self,
        key: &'static str,
        example: &str,
    ) -> Vec<(&'s str, &'s str, Range<usize>)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key, value.get_ref(), &format!("a table: `{key} = {example}`"));
            return Vec::new();
        };
        let mut found = Vec::new();
        for (name, value) in table {
            match value.get_ref().as_str() {
                Some(text) => found.push((name.get_ref().as_ref(), text, name.span())),
                None => {
                    let message = format!("`{}` in `{key}` of {} is no string", name.get_ref(), self.name);
                    self.fault_at(value.span(), message, Some(format!("for example `{key} = {example}`")));
                }
            }
        }
        found.sort_by_key(|(_, _, span)| span.start);
        found
    }

    /// A share in percent as a number: `99.5` or `99`; in millionths, above 0 and at most 1,000,000.
    pub(in crate::config) fn percent(&self, key: &'static str, example: &str) -> Option<u32> {
        let value: &Spanned<_> = self.value(key)?;
        let text = match value.get_ref() {
            toml::de::DeValue::Float(float) => float.as_str().to_owned(),
            toml::de::DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().to_owned(),
            toml::de::DeValue::String(text) => text.trim_end_matches('%').to_owned(),
            other => {
                self.wrong_type(key, other, &format!("a number: `{key} = {example}`"));
                return None;
            }
        };
        let millionths = parse_percent(&text).filter(|share| (1..=1_000_000).contains(share));
        if millionths.is_none() {
            let hint = format!("a share above 0 and at most 100, for example `{key} = {example}`");
            self.fault(key, format!("`{key}` in {} is no share in percent", self.name), Some(hint));
        }
        millionths
    }
}

/// Reads `99.5` as 995,000 millionths: at most three digits before and four after the point.
pub fn parse_percent(text: &str) -> Option<u32> {
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let is_number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || part.len() > 4 || !is_number(whole) || !is_number(part) {
        return None;
    }
    let part: u32 = format!("{part:0<4}").parse().ok()?;
    Some(whole.parse::<u32>().ok()? * 10_000 + part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_in_percent() {
        let good = [
            ("99.5", 995_000),
            ("100", 1_000_000),
            ("0.1", 1_000),
            ("0.0001", 1),
            ("5", 50_000),
            ("1.", 10_000),
        ];
        for (text, millionths) in good {
            assert_eq!(parse_percent(text), Some(millionths), "{text}");
        }
        for text in ["", ".", "-1", "1e2", "0.00001", "1000", "inf", "nan", "1,5", "9 9"] {
            assert_eq!(parse_percent(text), None, "{text}");
        }
    }
}
