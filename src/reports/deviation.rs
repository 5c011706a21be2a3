//! How a report differs from its standard, recorded as data.

use crate::limits;

/// One deviation of a report from its standard and what we made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deviation {
    /// A stable name in kebab-case, for example `count-not-a-number`.
    pub name: &'static str,
    /// The element or field, for example `row/count`.
    pub place: String,
    /// The value as it stood there, cut to [`limits::HEADER_TEXT_BYTES`]; empty if there was none.
    pub original: String,
    /// The value that was used instead; empty for none.
    pub used: String,
}

/// The deviations of one report: a capped list, and exact counts by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deviations {
    list: Vec<Deviation>,
    counts: Vec<(&'static str, u64)>,
}

impl Deviations {
    /// Records one deviation. The first of each name is always kept in full.
    pub fn note(&mut self, name: &'static str, place: &str, original: &str, used: &str) {
        let seen = match self.counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => {
                *count += 1;
                true
            }
            None => {
                self.counts.push((name, 1));
                false
            }
        };
        if self.list.len() < limits::REPORT_DEVIATIONS || !seen {
            self.list.push(Deviation {
                name,
                place: cut(place).to_owned(),
                original: cut(original).to_owned(),
                used: cut(used).to_owned(),
            });
        }
    }

    /// Adds all deviations of `other`.
    pub fn extend(&mut self, other: &Self) {
        for (name, count) in &other.counts {
            match self.counts.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += count,
                None => self.counts.push((name, *count)),
            }
        }
        let room = limits::REPORT_DEVIATIONS.saturating_sub(self.list.len());
        self.list.extend(other.list.iter().take(room).cloned());
    }

    /// The deviations kept in full.
    pub fn list(&self) -> &[Deviation] {
        &self.list
    }

    /// Exact counts by name, in order of first appearance.
    pub fn counts(&self) -> &[(&'static str, u64)] {
        &self.counts
    }

    /// The names, in order of first appearance.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.counts.iter().map(|(name, _)| *name)
    }

    /// True if nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

/// Cuts a text to [`limits::HEADER_TEXT_BYTES`] on a character boundary.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(limits::HEADER_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
