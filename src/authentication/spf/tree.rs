//! Everything that a domain's record leads to: all branches, past every fault, for whoever publishes it.
//!
//! The tree judges nothing. It holds what is published under each name, what each term asks DNS, the counts of
//! the longest way through each branch (a sender that nothing matches), and the exact set of addresses that
//! pass, as far as it can be known without a sender: macros, `exists` and `ptr` make counts and addresses
//! lower bounds. A name that several terms lead to is one node.

mod breach;
mod count;
mod networks;
mod overlap;
mod published;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

pub use breach::{Breach, BreachKind};
pub use count::{Authorized, Counts};
pub use networks::{Addresses, Network, Ranges};
pub use overlap::{Overlap, Place, Repeated};
pub use published::{Almost, AlmostKind, Found, Published, PublishedRecord};

use super::macros::{self, Piece, pieces};
use super::record::{DomainSpec, Mechanism, Modifier, Prefixes, Record, TermKind};
use crate::dns::{Answer, Answers, Ask, Name, NotKnown, Question, RecordType};
use crate::limits;

/// The tree of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The names with what stands there; the first is the domain. Each name stands once.
    pub nodes: Vec<TreeNode>,
    /// The domain's records of the type SPF, which nobody asks for any more (RFC 7208 §3.1); their number.
    pub old_type: usize,
    /// True if not everything was looked at: a cap of ours was reached.
    pub is_cut: bool,
}

/// One name of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeNode {
    /// The name.
    pub domain: Name,
    /// Whose it is: the registrable domain by the Public Suffix List, if it has one.
    pub owner: Option<String>,
    /// What stands there.
    pub found: Found,
    /// The terms of its first record, in order; empty without one.
    pub terms: Vec<TreeTerm>,
    /// The longest way through it and below.
    pub counts: Counts,
    /// What it authorizes.
    pub authorized: Authorized,
}

/// One term of the record of a node, as the term of the same number there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeTerm {
    /// Whether any check gets to it.
    pub reach: Reach,
    /// The name that it looks up.
    pub target: Target,
    /// The node that `include` and `redirect` lead to.
    pub child: Option<usize>,
    /// True if the child is this node or one above it: a loop.
    pub is_loop: bool,
    /// The longest way through this term and below.
    pub counts: Counts,
    /// Its networks: those written, and the addresses that DNS gave for `a` and `mx` with their prefixes.
    pub networks: Vec<Network>,
    /// The hosts of `mx`, most preferred first.
    pub hosts: Vec<Name>,
    /// Void answers for every client: to MX, and to A of `exists`.
    pub voids: Vec<Question>,
    /// Void answers for clients with an IPv4 address: to A.
    pub voids_four: Vec<Question>,
    /// Void answers for clients with an IPv6 address: to AAAA.
    pub voids_six: Vec<Question>,
    /// Questions that nobody answered.
    pub unanswered: Vec<(Question, NotKnown)>,
    /// What `exp` leads to.
    pub explanation: Option<Explanation>,
}

/// Whether any check gets to a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Yes, where nothing before it matches.
    Yes,
    /// No: it stands after `all` (RFC 7208 §5.1).
    AfterAll,
    /// No: `redirect` beside `all` (RFC 7208 §6.1).
    BesideAll,
    /// No: it is a fault.
    Faulty,
}

/// The name that a term looks up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// None: `all`, networks, unknown modifiers.
    None,
    /// A name.
    Name(Name),
    /// It depends on the sender: the macros as written.
    Macros(String),
    /// What is written can be no name.
    NoName(String),
}

/// What `exp` leads to (RFC 7208 §6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explanation {
    /// One text that can be used.
    Text(String),
    /// No text.
    Absent,
    /// So many texts: none of them is used.
    Several(usize),
    /// A text that is not plain ASCII or has a bad macro: not used.
    Unusable(String),
    /// Nobody answered, or the name depends on the sender.
    NotKnown,
}

/// Finds everything that the record of a domain leads to.
///
/// Shape: the tree, or the questions of all branches whose answers are lacking, to be asked side by side.
/// Bounds: [`limits::SPF_TREE_RECORDS`] names and [`limits::SPF_TREE_QUESTIONS`] questions; then it is cut.
/// Standard: RFC 7208 §3 to §6.
pub fn tree(domain: &Name, answers: &Answers) -> Result<Tree, Ask> {
    let mut walk = Walk {
        answers,
        lacking: Vec::new(),
        questions: 0,
        tree: Tree { nodes: Vec::new(), old_type: 0, is_cut: false },
        numbers: HashMap::new(),
        open: VecDeque::new(),
    };
    walk.node(domain);
    while let Some(at) = walk.open.pop_front() {
        walk.look(at);
        if at == 0
            && let Some(answer) = walk.answer(domain, RecordType::Spf)
        {
            walk.tree.old_type = answer.data().len();
        }
    }
    let Walk { lacking, mut tree, .. } = walk;
    answers.need(lacking)?;
    count::settle(&mut tree);
    Ok(tree)
}

/// A tree being built.
struct Walk<'a> {
    answers: &'a Answers,
    lacking: Vec<Question>,
    questions: usize,
    tree: Tree,
    numbers: HashMap<Name, usize>,
    open: VecDeque<usize>,
}

impl<'a> Walk<'a> {
    /// The node of a name, made if there is none; none where the tree is large enough.
    fn node(&mut self, name: &Name) -> Option<usize> {
        if let Some(&at) = self.numbers.get(name) {
            return Some(at);
        }
        let at = self.tree.nodes.len();
        if at >= limits::SPF_TREE_RECORDS {
            self.tree.is_cut = true;
            return None;
        }
        self.tree.nodes.push(TreeNode {
            domain: name.clone(),
            owner: psl::domain_str(name.as_str()).map(str::to_owned),
            found: Found::NotAsked,
            terms: Vec::new(),
            counts: Counts::default(),
            authorized: Authorized::default(),
        });
        self.numbers.insert(name.clone(), at);
        self.open.push_back(at);
        Some(at)
    }

    /// An answer, if it is there; else the question is noted, unless the tree is large enough.
    fn answer(&mut self, name: &Name, record_type: RecordType) -> Option<&'a Answer> {
        if self.questions >= limits::SPF_TREE_QUESTIONS {
            self.tree.is_cut = true;
            return None;
        }
        self.questions += 1;
        let question = Question::new(name.clone(), record_type);
        let answer = self.answers.find(&question);
        if answer.is_none() {
            self.lacking.push(question);
        }
        answer
    }

    /// Looks at one node: its texts, then its terms.
    fn look(&mut self, at: usize) {
        let Some(domain) = self.tree.nodes.get(at).map(|node| node.domain.clone()) else { return };
        let Some(answer) = self.answer(&domain, RecordType::Txt) else { return };
        let found = Found::of(&domain, answer);
        let record = found.published().and_then(|published| published.records.first());
        let terms = match record.map(|published| &published.record) {
            Some(record) => {
                let all = record.all().map(|(at, _)| at);
                (0..record.terms.len()).map(|term| self.term(record, term, all, &domain)).collect()
            }
            None => Vec::new(),
        };
        if let Some(node) = self.tree.nodes.get_mut(at) {
            node.found = found;
            node.terms = terms;
        }
    }

    /// Looks at one term of a record.
    fn term(&mut self, record: &Record, number: usize, all: Option<usize>, domain: &Name) -> TreeTerm {
        let mut term = TreeTerm {
            reach: Reach::Yes,
            target: Target::None,
            child: None,
            is_loop: false,
            counts: Counts::default(),
            networks: Vec::new(),
            hosts: Vec::new(),
            voids: Vec::new(),
            voids_four: Vec::new(),
            voids_six: Vec::new(),
            unanswered: Vec::new(),
            explanation: None,
        };
        let Some(written) = record.terms.get(number) else { return term };
        match &written.kind {
            TermKind::Faulty => term.reach = Reach::Faulty,
            TermKind::Directive(_, mechanism) => {
                // RFC 7208 §5.1: what stands after `all` is never tested.
                if all.is_some_and(|all| number > all) {
                    term.reach = Reach::AfterAll;
                }
                self.mechanism(record, mechanism, domain, &mut term);
            }
            TermKind::Modifier(Modifier::Redirect(target)) => {
                if all.is_some() {
                    term.reach = Reach::BesideAll;
                }
                term.target = static_target(record, Some(*target), domain);
                self.follow(&mut term);
            }
            TermKind::Modifier(Modifier::Exp(target)) => {
                term.target = static_target(record, Some(*target), domain);
                term.explanation = match term.target.clone() {
                    Target::Name(name) => {
                        let answer = self.answer(&name, RecordType::Txt);
                        Some(answer.map_or(Explanation::NotKnown, explanation))
                    }
                    Target::NoName(_) => Some(Explanation::Absent),
                    _ => Some(Explanation::NotKnown),
                };
            }
            TermKind::Modifier(Modifier::Unknown(_)) => {}
        }
        term
    }

    /// Looks at one mechanism. Terms that are never reached are not looked up.
    fn mechanism(&mut self, record: &Record, mechanism: &Mechanism, domain: &Name, term: &mut TreeTerm) {
        let is_reached = term.reach == Reach::Yes;
        match *mechanism {
            Mechanism::All => {}
            Mechanism::Ip4(address, prefix) => {
                term.networks.push(Network { address: address.into(), prefix });
            }
            Mechanism::Ip6(address, prefix) => {
                term.networks.push(Network { address: address.into(), prefix });
            }
            Mechanism::Include(target) => {
                term.target = static_target(record, Some(target), domain);
                self.follow(term);
            }
            Mechanism::A(target, prefixes) => {
                term.target = static_target(record, target, domain);
                if let Target::Name(name) = term.target.clone()
                    && is_reached
                {
                    self.addresses(&name, prefixes, term, true);
                }
            }
            Mechanism::Mx(target, prefixes) => {
                term.target = static_target(record, target, domain);
                if let Target::Name(name) = term.target.clone()
                    && is_reached
                {
                    self.exchangers(&name, prefixes, term);
                }
            }
            Mechanism::Exists(target) => {
                term.target = static_target(record, Some(target), domain);
                if let Target::Name(name) = term.target.clone()
                    && is_reached
                    && let Some(answer) = self.answer(&name, RecordType::A)
                {
                    let question = Question::new(name, RecordType::A);
                    match answer.trouble() {
                        Some(trouble) => term.unanswered.push((question, trouble.clone())),
                        None if answer.is_void() => term.voids.push(question),
                        None => {}
                    }
                }
            }
            Mechanism::Ptr(target) => term.target = static_target(record, target, domain),
        }
    }

    /// Makes the node that a term leads to.
    fn follow(&mut self, term: &mut TreeTerm) {
        if let Target::Name(name) = &term.target
            && term.reach == Reach::Yes
        {
            term.child = self.node(name);
        }
    }

    /// Looks up the addresses of a name, of both families.
    fn addresses(&mut self, name: &Name, prefixes: Prefixes, term: &mut TreeTerm, is_own: bool) {
        for record_type in [RecordType::A, RecordType::Aaaa] {
            let Some(answer) = self.answer(name, record_type) else { continue };
            let question = Question::new(name.clone(), record_type);
            if let Some(trouble) = answer.trouble() {
                term.unanswered.push((question, trouble.clone()));
            } else if answer.is_void() {
                // The hosts of `mx` are looked at without being counted (RFC 7208 §4.6.4).
                match (is_own, record_type) {
                    (true, RecordType::A) => term.voids_four.push(question),
                    (true, _) => term.voids_six.push(question),
                    (false, _) => {}
                }
            }
            let mut addresses: Vec<IpAddr> = answer.addresses().collect();
            addresses.sort_unstable();
            term.networks.extend(addresses.into_iter().map(|address| Network {
                address,
                prefix: match address {
                    IpAddr::V4(_) => prefixes.four.unwrap_or(32),
                    IpAddr::V6(_) => prefixes.six.unwrap_or(128),
                },
            }));
        }
    }

    /// Looks up the mail exchangers of a name and their addresses.
    fn exchangers(&mut self, name: &Name, prefixes: Prefixes, term: &mut TreeTerm) {
        let Some(answer) = self.answer(name, RecordType::Mx) else { return };
        let question = Question::new(name.clone(), RecordType::Mx);
        if let Some(trouble) = answer.trouble() {
            term.unanswered.push((question, trouble.clone()));
        } else if answer.is_void() {
            term.voids.push(question);
        }
        // A null MX (RFC 7505 §3) has no host.
        let exchangers = answer.exchangers().into_iter().filter(|mx| !mx.exchange.is_root());
        term.hosts = exchangers.map(|mx| mx.exchange.clone()).collect();
        for host in term.hosts.clone().iter().take(limits::SPF_MX_HOSTS) {
            self.addresses(host, prefixes, term, false);
        }
    }
}

/// The target of a term, as far as it does not depend on the sender: `%{d}` is the name of the record.
fn static_target(record: &Record, target: Option<DomainSpec>, domain: &Name) -> Target {
    let Some(target) = target else { return Target::Name(domain.clone()) };
    let octets = record.part_octets(target.span);
    let mut text = String::new();
    for piece in pieces(octets) {
        match piece {
            Ok((Piece::Literal(literal), ..)) => text.push_str(&String::from_utf8_lossy(literal)),
            Ok((Piece::Escape(escape), ..)) => text.push_str(escape),
            Ok((Piece::Macro(expression), ..)) if expression.letter == b'd' => {
                expression.write(domain.as_str(), &mut text);
            }
            _ => return Target::Macros(record.part(target.span).into_owned()),
        }
    }
    match Name::from_dotted(macros::truncated(&text)) {
        Ok(name) if !name.is_root() => Target::Name(name),
        _ => Target::NoName(text),
    }
}

/// Reads the answer for an explanation.
fn explanation(answer: &Answer) -> Explanation {
    if answer.trouble().is_some() {
        return Explanation::NotKnown;
    }
    let texts: Vec<Vec<u8>> = answer.texts().collect();
    match texts.as_slice() {
        [] => Explanation::Absent,
        [text] => {
            let is_plain = text.iter().all(|octet| matches!(octet, b' '..=b'~'));
            let shown = super::record::shown(text).into_owned();
            if is_plain && pieces(text).all(|piece| piece.is_ok()) {
                Explanation::Text(shown)
            } else {
                Explanation::Unusable(shown)
            }
        }
        several => Explanation::Several(several.len()),
    }
}

impl Tree {
    /// The domain's own node.
    pub fn root(&self) -> Option<&TreeNode> {
        self.nodes.first()
    }
}

impl TreeNode {
    /// The record whose terms are looked at, if there is one.
    pub fn record(&self) -> Option<&Record> {
        Some(&self.found.published()?.records.first()?.record)
    }

    /// A term as written.
    pub fn term_text(&self, term: usize) -> Option<String> {
        let record = self.record()?;
        Some(record.part(record.terms.get(term)?.span).into_owned())
    }
}

#[cfg(test)]
mod tests;
