//! The file as written: a cursor over TOML tables that collects every fault with its place.
//!
//! The keys that are asked for are the keys that are known: `Section::finish` reports all others.

mod lists;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::fault::{Fault, nearest, place};

pub(super) use lists::Item;
pub use lists::parse_percent;

/// The text of one file and the faults found in it so far.
pub(super) struct Source<'t> {
    /// The file, for messages and relative paths.
    file: &'t Path,
    /// Its text.
    text: &'t str,
    /// The faults with the byte at which each begins.
    faults: RefCell<Vec<(usize, Fault)>>,
}

/// How a message about the grammar begins.
const NOT_TOML: &str = "not TOML";

impl<'t> Source<'t> {
    /// Begins to read a text.
    pub(super) fn new(file: &'t Path, text: &'t str) -> Self {
        Self { file, text, faults: RefCell::default() }
    }

    /// Parses the text; faults of its grammar are noted, what could be read is returned.
    pub(super) fn parse(&self) -> Spanned<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            self.fault(span, format!("{NOT_TOML}: {}", error.message().replace('\n', ", ")), None);
        }
        table
    }

    /// Notes a fault.
    pub(super) fn fault(&self, span: Range<usize>, message: String, hint: Option<String>) {
        let (line, column) = place(self.text, span.start);
        let fault = Fault { file: self.file.to_owned(), line, column, message, hint };
        self.faults.borrow_mut().push((span.start, fault));
    }

    /// The faults in the order of the file. Where the grammar is broken, what the reader made of that
    /// line is nobody's fault.
    pub(super) fn into_faults(self) -> Vec<Fault> {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|(at, _)| *at);
        let is_grammar = |fault: &Fault| fault.message.starts_with(NOT_TOML);
        let broken: Vec<usize> =
            faults.iter().filter(|(_, fault)| is_grammar(fault)).map(|(_, fault)| fault.line).collect();
        let keep = |fault: &Fault| is_grammar(fault) || !broken.contains(&fault.line);
        faults.into_iter().map(|(_, fault)| fault).filter(keep).collect()
    }
}

/// One table of the file.
pub(super) struct Section<'s, 't> {
    /// Where faults go.
    source: &'s Source<'t>,
    /// The table.
    table: &'s DeTable<'t>,
    /// Its name as written, for messages: `[store]`, `[[listener]]`, `[route.hq]`, `auth`.
    name: String,
    /// Where it stands.
    span: Range<usize>,
    /// The keys asked for so far.
    known: RefCell<Vec<&'static str>>,
}

impl<'s, 't> Section<'s, 't> {
    /// The whole file.
    pub(super) fn root(source: &'s Source<'t>, table: &'s Spanned<DeTable<'t>>) -> Self {
        Self::of(source, table.get_ref(), "the file".to_owned(), table.span())
    }

    /// A table.
    fn of(source: &'s Source<'t>, table: &'s DeTable<'t>, name: String, span: Range<usize>) -> Self {
        Self { source, table, name, span, known: RefCell::default() }
    }

    /// Notes a fault of the value of a key, or of the whole table where the key is absent.
    pub(super) fn fault(&self, key: &str, message: impl Into<String>, hint: Option<String>) {
        let span = self.table.get(key).map_or_else(|| self.span.clone(), Spanned::span);
        self.source.fault(span, message.into(), hint);
    }

    /// Makes a key known without reading it.
    pub(super) fn know(&self, key: &'static str) {
        self.known.borrow_mut().push(key);
    }

    /// The value of a key, which is known from now on.
    fn value(&self, key: &'static str) -> Option<&'s Spanned<DeValue<'t>>> {
        self.known.borrow_mut().push(key);
        self.table.get(key)
    }

    /// Notes that a value has the wrong type.
    fn wrong_type(&self, key: &str, value: &DeValue<'_>, wanted: &str) {
        let found = match value.type_str() {
            "table" => "a table",
            "array" => "an array",
            "integer" => "an integer",
            "string" => "a string",
            "boolean" => "a boolean",
            other => other,
        };
        self.fault(key, format!("`{key}` in {} is {found}", self.name), Some(format!("write {wanted}")));
    }

    /// A text.
    pub(super) fn text(&self, key: &'static str, example: &str) -> Option<&'s str> {
        let value = self.value(key)?.get_ref();
        let text = value.as_str();
        if text.is_none() {
            self.wrong_type(key, value, &format!("a string: `{key} = \"{example}\"`"));
        }
        text
    }

    /// Notes that a key is missing, if it is.
    pub(super) fn require(&self, key: &'static str, example: &str) {
        if !self.table.contains_key(key) {
            let hint = format!("add `{key} = {example}`");
            self.fault(key, format!("{} has no `{key}`", self.name), Some(hint));
        }
    }

    /// A text that `parse` understands; `wanted` says what that is.
    pub(super) fn parsed<T>(
        &self,
        key: &'static str,
        wanted: &str,
        example: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(key, example)?;
        let value = parse(text);
        if value.is_none() {
            let hint = format!("for example `{key} = \"{example}\"`");
            self.fault(key, format!("`{key}` in {} is not {wanted}: {text:?}", self.name), Some(hint));
        }
        value
    }

    /// One word of a fixed list.
    pub(super) fn word<T>(&self, key: &'static str, words: &[(&'static str, T)]) -> Option<T>
    where
        T: Clone,
    {
        let all = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>();
        let text = self.text(key, words.first().map_or("", |(word, _)| word))?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone());
        if found.is_none() {
            let hint = match nearest(text, all()) {
                Some(near) => format!("did you mean `{near}`? One of: {}", all().join(", ")),
                None => format!("one of: {}", all().join(", ")),
            };
            self.fault(key, format!("`{key}` in {} does not know {text:?}", self.name), Some(hint));
        }
        found
    }

    /// A yes or no.
    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?.get_ref();
        let flag = value.as_bool();
        if flag.is_none() {
            self.wrong_type(key, value, &format!("`{key} = true` or `{key} = false`"));
        }
        flag
    }

    /// A whole number of at least `least`.
    pub(super) fn number(&self, key: &'static str, least: u64) -> Option<u64> {
        let value = self.value(key)?.get_ref();
        let Some(integer) = value.as_integer() else {
            self.wrong_type(key, value, &format!("a whole number: `{key} = {}`", least.max(1)));
            return None;
        };
        let number = u64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok();
        let number = number.filter(|number| *number >= least);
        if number.is_none() {
            let hint = Some(format!("write a whole number of at least {least}"));
            self.fault(key, format!("`{key}` in {} is out of range", self.name), hint);
        }
        number
    }

    /// A TCP port.
    pub(super) fn port(&self, key: &'static str) -> Option<u16> {
        let number = self.number(key, 1)?;
        let port = u16::try_from(number).ok();
        if port.is_none() {
            self.fault(key, format!("`{key}` in {} is no port", self.name), Some("1 to 65535".to_owned()));
        }
        port
    }

    /// A size in bytes: a number, or a text such as `"50MiB"`.
    pub(super) fn bytes(&self, key: &'static str) -> Option<u64> {
        match self.table.get(key).map(Spanned::get_ref) {
            Some(DeValue::String(_)) => self.parsed(key, "a size", "50MiB", parse_size),
            _ => self.number(key, 1),
        }
    }

    /// A duration: `"30s"`, `"5m"`, `"4h"`, `"7d"`.
    pub(super) fn duration(&self, key: &'static str, example: &str) -> Option<Duration> {
        self.parsed(key, "a duration (a number with s, m, h or d)", example, parse_duration)
    }

    /// A path; a relative one starts at the folder of the file.
    pub(super) fn path(&self, key: &'static str, example: &str) -> Option<PathBuf> {
        let text = self.parsed(key, "a path", example, |text| {
            (!text.is_empty() && !text.contains('\0')).then(|| text.to_owned())
        })?;
        Some(self.source.file.parent().unwrap_or(Path::new("")).join(text))
    }

    /// An address and port to listen on.
    pub(super) fn socket(&self, key: &'static str, example: &str) -> Option<SocketAddr> {
        self.parsed(key, "an IP address with a port", example, |text| text.parse().ok())
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &'static str, example: &str) -> Option<Vec<&'s str>> {
        let value = self.value(key)?.get_ref();
        let items = value
            .as_array()
            .map(|items| items.iter().filter_map(|item| item.get_ref().as_str()).collect::<Vec<_>>());
        let whole = items.filter(|items| value.as_array().is_some_and(|all| all.len() == items.len()));
        if whole.is_none() {
            self.wrong_type(key, value, &format!("a list of strings: `{key} = {example}`"));
        }
        whole
    }

    /// A table of its own: `[key]`, or `key = { … }` inside another.
    pub(super) fn section(&self, key: &'static str) -> Option<Self> {
        let value = self.value(key)?;
        let name =
            if self.name == "the file" { format!("[{key}]") } else { format!("`{key}` of {}", self.name) };
        match value.get_ref().as_table() {
            Some(table) => Some(Self::of(self.source, table, name, value.span())),
            None => {
                self.wrong_type(key, value.get_ref(), &format!("{name} as a table"));
                None
            }
        }
    }

    /// The tables of a list: `[[key]]`.
    pub(super) fn sections(&self, key: &'static str) -> Vec<Self> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(
                key,
                value.get_ref(),
                &format!("[[{key}]] with two brackets: there may be several"),
            );
            return Vec::new();
        };
        let table = |item: &'s Spanned<DeValue<'t>>| match item.get_ref().as_table() {
            Some(table) => Some(Self::of(self.source, table, format!("[[{key}]]"), item.span())),
            None => {
                self.wrong_type(key, value.get_ref(), &format!("[[{key}]]"));
                None
            }
        };
        items.iter().filter_map(table).collect()
    }

    /// The named tables below a key, in the order of the file: `[key.NAME]`.
    pub(super) fn named(&self, key: &'static str) -> Vec<(&'s str, Self)> {
        let Some(parent) = self.section(key) else { return Vec::new() };
        let mut all: Vec<_> = parent.table.iter().collect();
        all.sort_by_key(|(name, _)| name.span().start);
        let mut found = Vec::new();
        for (name, value) in all {
            let text = name.get_ref().as_ref();
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if text.is_empty() || text.len() > 64 || !text.chars().all(is_plain) {
                let hint = "a name has 1 to 64 letters, digits, `-`, `_` or `.`".to_owned();
                self.source.fault(name.span(), format!("[{key}.{text:?}] has no usable name"), Some(hint));
            }
            match value.get_ref().as_table() {
                Some(table) => {
                    found.push((text, Self::of(self.source, table, format!("[{key}.{text}]"), value.span())));
                }
                None => {
                    let hint = format!("write a table: `[{key}.{text}]`");
                    self.source.fault(name.span(), format!("`{key}.{text}` is no table"), Some(hint));
                }
            }
        }
        found
    }

    /// The number of keys that stand in the table.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The name of the table, for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Notes a fault for each of these keys that stands in the table: it has no meaning here.
    pub(super) fn misplaced(&self, keys: &[&'static str], why: &str, hint: &str) {
        for key in keys {
            if self.value(key).is_some() {
                self.fault(key, format!("`{key}` in {}: {why}", self.name), Some(hint.to_owned()));
            }
        }
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self) {
        let known = self.known.into_inner();
        for (key, _) in self.table {
            let text = key.get_ref().as_ref();
            if known.contains(&text) {
                continue;
            }
            let hint = match nearest(text, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            self.source.fault(key.span(), format!("unknown key `{text}` in {}", self.name), Some(hint));
        }
    }
}

/// Reads `30s`, `5m`, `4h`, `7d`; at most 100 years.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let total = number.parse::<u64>().ok()?.checked_mul(seconds)?;
    (total <= 100 * 366 * 86_400).then(|| Duration::from_secs(total))
}

/// Reads `4096`, `64KiB`, `50MiB`, `2GiB`, `25MB`.
fn parse_size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "KiB" => 1_024,
        "MB" => 1_000_000,
        "MiB" => 1_024 * 1_024,
        "GB" => 1_000_000_000,
        "GiB" => 1_024 * 1_024 * 1_024,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes() {
        let cases = [("30s", 30), ("5m", 300), ("4h", 14_400), ("7d", 604_800)];
        for (text, seconds) in cases {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "5", "-5s", "5 s", "1y", "5ü", "99999999999999999999d", "400000d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        let cases = [("4096", Some(4_096)), ("50MiB", Some(52_428_800)), ("2 GB", Some(2_000_000_000))];
        for (text, want) in cases {
            assert_eq!(parse_size(text), want, "{text}");
        }
        for text in ["", "MiB", "5 apples", "0", "99999999999999999999GiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
