//! The tree that a record leads to.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use super::{mend_text, texts, wide};
use crate::authentication::spf::tree::{
    Breach, BreachKind, Counts, Explanation, Found, Reach, Target, Tree, TreeNode, TreeTerm,
};
use crate::authentication::spf::{Mechanism, Modifier, TermKind, meant_modifier};
use crate::render::value::Object;
use crate::render::{Column, Kind, Show, Value};

/// One line of a tree: a record or a term of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeRow {
    /// How deep it stands; 0 is the domain.
    pub depth: u64,
    /// The line drawn.
    pub drawn: String,
    /// The name whose record it is of.
    pub domain: String,
    /// The term as written; absent for the first line.
    pub term: Option<String>,
    /// Where it begins in the record, from 1.
    pub column: Option<u64>,
    /// The mechanism or modifier.
    pub kind: Option<String>,
    /// What it looks up.
    pub target: Option<String>,
    /// Whose the target is.
    pub owner: Option<String>,
    /// Terms that query DNS, here and below.
    pub lookups: u64,
    /// Terms with a void answer for IPv4 clients.
    pub voids_four: u64,
    /// The same for IPv6 clients.
    pub voids_six: u64,
    /// True if the numbers are lower bounds.
    pub is_lower_bound: bool,
    /// Networks and addresses.
    pub networks: Vec<String>,
    /// Questions with a void answer.
    pub void_questions: Vec<String>,
    /// Questions that nobody answered.
    pub unanswered: Vec<String>,
    /// What gives permerror.
    pub faults: Vec<TreeFault>,
    /// Anything else to be known.
    pub remarks: Vec<String>,
}

/// One thing that gives permerror.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeFault {
    /// The name whose record it is in.
    pub domain: String,
    /// The term as written.
    pub term: Option<String>,
    /// The column of the fault itself, from 1.
    pub column: Option<u64>,
    /// Its word.
    pub kind: &'static str,
    /// In words.
    pub what: String,
    /// The section of the standard.
    pub standard: String,
    /// The term as it was probably meant; empty if it should go.
    pub mend: Option<String>,
}

impl fmt::Display for TreeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(term) = &self.term {
            write!(f, "`{term}` in the record of ")?;
        }
        write!(f, "{}", self.domain)?;
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {} ({}){}", self.what, self.standard, mend_text(self.mend.as_deref()))
    }
}

impl TreeFault {
    /// As a field of JSON and a text for eyes.
    fn object(&self) -> Object<'_> {
        let column = self.column.map(|column| format!(" (column {column})")).unwrap_or_default();
        let mend = mend_text(self.mend.as_deref());
        Object {
            text: format!("{}{column}{mend}", self.what),
            fields: vec![
                ("domain", Value::text(Some(&self.domain))),
                ("term", Value::text(self.term.as_deref())),
                ("column", Value::count(self.column)),
                ("kind", Value::text(Some(self.kind))),
                ("what", Value::text(Some(&self.what))),
                ("standard", Value::text(Some(&self.standard))),
                ("mend", Value::text(self.mend.as_deref())),
            ],
        }
    }
}

/// The sums of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeTotals {
    /// The record of the domain.
    pub record: Option<String>,
    /// Its octets.
    pub record_octets: Option<u64>,
    /// Octets of the whole answer of texts.
    pub answer_octets: Option<u64>,
    /// Terms that query DNS on the longest way.
    pub lookups: u64,
    /// Terms with a void answer on it, for IPv4 clients.
    pub voids_four: u64,
    /// The same for IPv6 clients.
    pub voids_six: u64,
    /// True if the numbers are lower bounds.
    pub is_lower_bound: bool,
    /// IPv4 addresses that pass.
    pub four_addresses: u64,
    /// True if more may pass.
    pub may_pass_more: bool,
    /// What gives permerror, in the whole tree.
    pub faults: Vec<TreeFault>,
}

/// Faults as a cell.
fn faults(items: &[TreeFault]) -> Value<'_> {
    Value::Objects(items.iter().map(TreeFault::object).collect())
}

/// The fields of a fault.
const FAULT_FIELDS: &str = "domain, term, column, kind, what, standard, mend";

/// A row a line of the tree, for programs.
pub static SPF_TREE: &[Column<TreeRow>] = &[
    Column::new(
        "depth",
        "depth",
        Kind::Count("levels"),
        Show::Whole,
        "0 for the domain's own record.",
        |row| Value::Count(row.depth),
    ),
    Column::new("domain", "domain", Kind::Text, Show::Cut(12), "The name whose record it is of.", |row| {
        Value::text(Some(&row.domain))
    }),
    Column::new(
        "term",
        "term",
        Kind::Text,
        Show::Cut(12),
        "As written; null for the record itself.",
        |row| Value::text(row.term.as_deref()),
    ),
    Column::new("column", "column", Kind::Count("octets"), Show::Whole, "Where it begins, from 1.", |row| {
        Value::count(row.column)
    }),
    Column::new(
        "kind",
        "kind",
        Kind::Text,
        Show::Whole,
        "The mechanism or modifier; null if unreadable.",
        |row| Value::text(row.kind.as_deref()),
    ),
    Column::new("target", "target", Kind::Text, Show::Cut(12), "The name that it looks up.", |row| {
        Value::text(row.target.as_deref())
    }),
    Column::new(
        "owner",
        "owner",
        Kind::Text,
        Show::Cut(12),
        "The registrable domain of the record that it leads to.",
        |row| Value::text(row.owner.as_deref()),
    ),
    Column::new(
        "lookups",
        "look-ups",
        Kind::Count("terms"),
        Show::Whole,
        "Terms that query DNS, this one and those below it, for a sender that nothing matches; 4294967295: no end.",
        |row| Value::Count(row.lookups),
    ),
    Column::new(
        "voids_ipv4",
        "voids v4",
        Kind::Count("terms"),
        Show::Whole,
        "Of these: with a void answer for a client with an IPv4 address.",
        |row| Value::Count(row.voids_four),
    ),
    Column::new(
        "voids_ipv6",
        "voids v6",
        Kind::Count("terms"),
        Show::Whole,
        "The same for a client with an IPv6 address.",
        |row| Value::Count(row.voids_six),
    ),
    Column::new(
        "is_lower_bound",
        "at least",
        Kind::Flag,
        Show::Whole,
        "True if the numbers may be larger: macros, a loop, or an answer that is not known.",
        |row| Value::Flag(row.is_lower_bound),
    ),
    Column::new(
        "networks",
        "networks",
        Kind::List,
        Show::Cut(12),
        "Written, or found by `a` and `mx`.",
        |row| texts(&row.networks),
    ),
    Column::new(
        "void_questions",
        "void",
        Kind::List,
        Show::Cut(12),
        "Questions with a void answer.",
        |row| texts(&row.void_questions),
    ),
    Column::new(
        "unanswered",
        "unanswered",
        Kind::List,
        Show::Cut(12),
        "Questions that nobody answered, with the cause.",
        |row| texts(&row.unanswered),
    ),
    Column::new(
        "faults",
        "faults",
        Kind::Objects(FAULT_FIELDS),
        Show::Cut(12),
        "What in this term gives permerror; `mend` is the term as it was probably meant, empty if it should go.",
        |row| faults(&row.faults),
    ),
    Column::new("remarks", "remarks", Kind::List, Show::Cut(12), "In words.", |row| texts(&row.remarks)),
];

/// The same for eyes: the tree drawn, counts, and everything else in one cell.
pub static SPF_TREE_DRAWN: &[Column<TreeRow>] = &[
    Column::new("tree", "record and terms", Kind::Text, Show::Cut(24), "Drawn.", |row| {
        Value::text(Some(&row.drawn))
    }),
    Column::new("lookups", "look-ups", Kind::Text, Show::Whole, "Here and below.", |row| {
        let bound = if row.is_lower_bound { "+" } else { "" };
        match row.lookups {
            0 => Value::Unknown,
            most if most == u64::from(u32::MAX) => Value::Text(Cow::Borrowed("endless")),
            count => Value::Text(Cow::Owned(format!("{count}{bound}"))),
        }
    }),
    Column::new("voids", "voids v4/v6", Kind::Text, Show::Whole, "Here and below.", |row| {
        if row.voids_four == 0 && row.voids_six == 0 {
            return Value::Unknown;
        }
        Value::Text(Cow::Owned(format!("{}/{}", row.voids_four, row.voids_six)))
    }),
    Column::new("remarks", "what there is to it", Kind::Text, Show::Cut(24), "In words.", |row| {
        let mut told: Vec<String> = row.faults.iter().map(|fault| fault.object().text).collect();
        told.extend(row.unanswered.iter().map(|question| format!("no answer: {question}")));
        told.extend(row.void_questions.iter().map(|question| format!("void: {question}")));
        told.extend(row.remarks.iter().cloned());
        // Those of `ip4` and `ip6` stand in the term.
        let is_found = row.kind.as_deref().is_some_and(|kind| matches!(kind, "a" | "mx"));
        if let Some(addresses) = shortened(&row.networks).filter(|_| is_found) {
            told.push(addresses);
        }
        if told.is_empty() { Value::Unknown } else { Value::Text(Cow::Owned(told.join("; "))) }
    }),
];

/// The sums of a tree.
pub static SPF_TREE_TOTALS: &[Column<TreeTotals>] = &[
    Column::total("record", Kind::Text, "The domain's record; null without exactly one.", |row| {
        Value::text(row.record.as_deref())
    }),
    Column::total("record_octets", Kind::Count("octets"), "Its length.", |row| {
        Value::count(row.record_octets)
    }),
    Column::total(
        "answer_octets",
        Kind::Count("octets"),
        "The whole answer with all texts of the name; above 512 and 1232 it goes over TCP for some.",
        |row| Value::count(row.answer_octets),
    ),
    Column::total(
        "lookups",
        Kind::Count("terms"),
        "Terms that query DNS on the longest way; 10 are allowed.",
        |row| Value::Count(row.lookups),
    ),
    Column::total(
        "voids_ipv4",
        Kind::Count("terms"),
        "Terms with a void answer on it for IPv4 clients; 2 are allowed.",
        |row| Value::Count(row.voids_four),
    ),
    Column::total("voids_ipv6", Kind::Count("terms"), "The same for IPv6 clients.", |row| {
        Value::Count(row.voids_six)
    }),
    Column::total("is_lower_bound", Kind::Flag, "True if these numbers may be larger.", |row| {
        Value::Flag(row.is_lower_bound)
    }),
    Column::total("ipv4_addresses", Kind::Count("addresses"), "IPv4 addresses that pass.", |row| {
        Value::Count(row.four_addresses)
    }),
    Column::total(
        "may_pass_more",
        Kind::Flag,
        "True if more may pass: macros, `exists`, `ptr`, or an answer that is not known.",
        |row| Value::Flag(row.may_pass_more),
    ),
    Column::total(
        "faults",
        Kind::Objects(FAULT_FIELDS),
        "Everything in the tree that gives permerror to some or all senders.",
        |row| faults(&row.faults),
    ),
];

/// The first few of a list, with the number of the others.
fn shortened(items: &[String]) -> Option<String> {
    const SHOWN: usize = 4;
    let shown = items.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(" ");
    match items.len() {
        0 => None,
        count if count > SHOWN => Some(format!("{shown} and {} more", count - SHOWN)),
        _ => Some(shown),
    }
}

/// The lines of a tree, from the domain down; a record that stands twice is drawn once.
pub fn tree_rows(tree: &Tree) -> (Vec<TreeRow>, TreeTotals) {
    let breaches = tree.breaches();
    let mut totals = TreeTotals { faults: told(tree, &breaches, |_| true), ..TreeTotals::default() };
    let mut rows = Vec::new();
    let Some(root) = tree.root() else { return (rows, totals) };
    let published = root.found.published();
    if let Some(record) = root.record().filter(|_| published.is_some_and(|found| found.records.len() == 1)) {
        totals.record = Some(record.text().into_owned());
        totals.record_octets = Some(wide(record.octets().len()));
    }
    totals.answer_octets = published.map(|published| wide(published.answer_octets));
    (totals.lookups, totals.is_lower_bound) = (root.counts.lookups.into(), root.counts.is_lower_bound);
    (totals.voids_four, totals.voids_six) = (root.counts.voids_four.into(), root.counts.voids_six.into());
    totals.four_addresses = root.authorized.pass.four_count();
    totals.may_pass_more = root.authorized.may_pass_more;
    let mut first = TreeRow {
        drawn: root.domain.to_string(),
        domain: root.domain.to_string(),
        target: Some(root.domain.to_string()),
        owner: root.owner.clone(),
        remarks: remarks_of_node(root),
        faults: told(tree, &breaches, |breach| breach.node == 0 && breach.term.is_none()),
        ..counted(root.counts)
    };
    if tree.old_type > 0 {
        first.remarks.push("a record of the type SPF, which nobody asks for: delete it".to_owned());
    }
    if tree.is_cut {
        first.remarks.push("too large: not everything was looked at".to_owned());
    }
    rows.push(first);
    let mut drawing = Drawing { tree, breaches: &breaches, drawn: HashSet::from([0]), rows };
    drawing.node(0, 1, "");
    (drawing.rows, totals)
}

/// A row with its counts alone.
fn counted(counts: Counts) -> TreeRow {
    TreeRow {
        lookups: counts.lookups.into(),
        voids_four: counts.voids_four.into(),
        voids_six: counts.voids_six.into(),
        is_lower_bound: counts.is_lower_bound,
        ..TreeRow::default()
    }
}

/// Some of the breaches, as they are printed.
fn told(tree: &Tree, breaches: &[Breach], which: impl Fn(&Breach) -> bool) -> Vec<TreeFault> {
    let of = |breach: &Breach| {
        let node = tree.nodes.get(breach.node)?;
        let (column, mend) = match &breach.kind {
            BreachKind::Fault(fault) => (Some(wide(fault.span.column())), fault.mend.clone()),
            _ => (None, None),
        };
        Some(TreeFault {
            domain: node.domain.to_string(),
            term: breach.term.and_then(|term| node.term_text(term)),
            column,
            kind: breach.kind.as_str(),
            what: breach.kind.sentence(),
            standard: format!("RFC 7208 §{}", breach.kind.section()),
            mend,
        })
    };
    breaches.iter().filter(|breach| which(breach)).filter_map(of).collect()
}

/// What there is to say about the texts of a name.
fn remarks_of_node(node: &TreeNode) -> Vec<String> {
    let mut remarks = Vec::new();
    match &node.found {
        Found::NoName => remarks.push("the name does not exist".to_owned()),
        Found::NoTexts => remarks.push("no SPF record".to_owned()),
        Found::NotKnown(why) => remarks.push(format!("not known: {}", why.cause.as_str())),
        Found::NotAsked => remarks.push("not asked".to_owned()),
        Found::Texts(published) => {
            if published.records.is_empty() {
                remarks.push("no SPF record".to_owned());
            }
            for record in published.records.iter().filter(|record| !record.glued.is_empty()) {
                remarks.push(format!("strings joined without a space; probably meant: {}", record.unglued()));
            }
            for almost in &published.almost {
                let mend = almost.mend.as_ref().map(|mend| format!("; probably meant: {mend}"));
                remarks.push(format!(
                    "{}: {}{}",
                    almost.kind.sentence(),
                    almost.text,
                    mend.unwrap_or_default()
                ));
            }
            if !published.sender_id.is_empty() {
                remarks.push("a record of Sender ID, which nobody reads any more".to_owned());
            }
        }
    }
    remarks
}

/// A tree on its way to lines.
struct Drawing<'t> {
    tree: &'t Tree,
    breaches: &'t [Breach],
    drawn: HashSet<usize>,
    rows: Vec<TreeRow>,
}

impl Drawing<'_> {
    /// Draws the terms of a node. The depth is bounded: each node is drawn once.
    fn node(&mut self, at: usize, depth: u64, before: &str) {
        let Some(node) = self.tree.nodes.get(at) else { return };
        let last = node.terms.len().saturating_sub(1);
        for (number, term) in node.terms.iter().enumerate() {
            let (branch, below) = if number == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let mut row = self.row(at, node, number, term);
            row.depth = depth;
            row.drawn = format!("{before}{branch}{}", row.term.as_deref().unwrap_or_default());
            let child = term.child.filter(|_| !term.is_loop);
            let is_new = child.is_some_and(|child| self.drawn.insert(child));
            let has_terms =
                child.and_then(|child| self.tree.nodes.get(child)).is_some_and(|c| !c.terms.is_empty());
            if child.is_some() && !is_new && has_terms {
                row.remarks.push("drawn above".to_owned());
            }
            self.rows.push(row);
            if let Some(child) = child.filter(|_| is_new) {
                self.node(child, depth + 1, &format!("{before}{below}"));
            }
        }
    }

    /// The row of one term.
    fn row(&self, at: usize, node: &TreeNode, number: usize, term: &TreeTerm) -> TreeRow {
        let written = node.record().and_then(|record| record.terms.get(number));
        let kind = written.map(|written| &written.kind);
        let question = |q: &crate::dns::Question| q.to_string();
        let mut row = TreeRow {
            domain: node.domain.to_string(),
            term: node.term_text(number),
            column: written.map(|written| wide(written.span.column())),
            kind: kind.and_then(|kind| kind_word(kind, node)),
            networks: term.networks.iter().map(ToString::to_string).collect(),
            void_questions: [&term.voids, &term.voids_four, &term.voids_six]
                .into_iter()
                .flatten()
                .map(question)
                .collect(),
            unanswered: term
                .unanswered
                .iter()
                .map(|(question, why)| format!("{question}, {}", why.cause.as_str()))
                .collect(),
            faults: told(self.tree, self.breaches, |breach| breach.node == at && breach.term == Some(number)),
            ..counted(term.counts)
        };
        row.target = match &term.target {
            Target::Name(name) => Some(name.to_string()),
            Target::Macros(text) | Target::NoName(text) => Some(text.clone()),
            Target::None => None,
        };
        let child = term.child.filter(|_| !term.is_loop).and_then(|child| self.tree.nodes.get(child));
        if let Some(child) = child {
            row.owner.clone_from(&child.owner);
            row.remarks = remarks_of_node(child);
            // Said by the fault already.
            row.remarks.retain(|remark| row.faults.is_empty() || !remark.starts_with("no SPF"));
        }
        match term.reach {
            Reach::AfterAll => row.remarks.push("never reached: it stands after `all`".to_owned()),
            Reach::BesideAll => row.remarks.push("never followed: there is an `all`".to_owned()),
            Reach::Yes | Reach::Faulty => {}
        }
        if matches!(term.target, Target::Macros(_)) {
            row.remarks.push("depends on the sender".to_owned());
        }
        match kind {
            Some(TermKind::Directive(_, Mechanism::Ptr(_))) => {
                row.remarks.push("`ptr` should not be used (RFC 7208 §5.5)".to_owned());
            }
            Some(TermKind::Modifier(Modifier::Unknown(_))) => {
                let meant = node.record().and_then(|record| meant_modifier(record, number));
                row.remarks.push(match meant.as_deref() {
                    None => "an unknown modifier: ignored".to_owned(),
                    Some("") => "ignored: a second record glued to the first?".to_owned(),
                    Some(meant) => format!("ignored: probably meant: {meant}"),
                });
            }
            _ => {}
        }
        row.remarks.extend(match &term.explanation {
            Some(Explanation::Absent) => Some("no explanation stands there".to_owned()),
            Some(Explanation::Several(count)) => Some(format!("{count} texts there: none is used")),
            Some(Explanation::Unusable(text)) => Some(format!("cannot be used: {text}")),
            Some(Explanation::Text(text)) => Some(format!("\"{text}\"")),
            Some(Explanation::NotKnown) | None => None,
        });
        row
    }
}

/// The word for a term.
fn kind_word(kind: &TermKind, node: &TreeNode) -> Option<String> {
    match kind {
        TermKind::Directive(_, mechanism) => Some(mechanism.as_str().to_owned()),
        TermKind::Modifier(Modifier::Redirect(_)) => Some("redirect".to_owned()),
        TermKind::Modifier(Modifier::Exp(_)) => Some("exp".to_owned()),
        TermKind::Modifier(Modifier::Unknown(name)) => Some(node.record()?.part(*name).to_ascii_lowercase()),
        TermKind::Faulty => None,
    }
}
