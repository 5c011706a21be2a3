//! Counts of the longest way, and the addresses that pass, from the leaves up.

use super::networks::Addresses;
use super::{Reach, Target, Tree, TreeNode};
use crate::authentication::spf::record::{Mechanism, Modifier, Qualifier, TermKind};

/// The counts of the longest way through a branch: a sender that nothing matches (RFC 7208 §4.6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Terms that query DNS; ten are allowed.
    pub lookups: u32,
    /// Terms with a void answer, for a client with an IPv4 address; two are allowed.
    pub voids_four: u32,
    /// The same for a client with an IPv6 address.
    pub voids_six: u32,
    /// True if the numbers are lower bounds: a branch depends on the sender, was not answered, or runs in a loop.
    pub is_lower_bound: bool,
}

impl Counts {
    /// Both together; saturates.
    fn plus(self, other: Self) -> Self {
        Self {
            lookups: self.lookups.saturating_add(other.lookups),
            voids_four: self.voids_four.saturating_add(other.voids_four),
            voids_six: self.voids_six.saturating_add(other.voids_six),
            is_lower_bound: self.is_lower_bound || other.is_lower_bound,
        }
    }
}

/// Which addresses a record authorizes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Authorized {
    /// The addresses whose result is pass, exactly, but for what depends on the sender.
    pub pass: Addresses,
    /// True if more may pass: macros, `exists`, `ptr`, or an answer that is not known.
    pub may_pass_more: bool,
}

/// Fills in the counts and addresses of every node.
pub(super) fn settle(tree: &mut Tree) {
    let mut states = vec![State::New; tree.nodes.len()];
    for at in 0..tree.nodes.len() {
        node(tree, at, &mut states);
    }
}

/// How far a node is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Open,
    Done,
}

/// Settles one node after those below it. The depth is bounded by the number of nodes.
fn node(tree: &mut Tree, at: usize, states: &mut [State]) {
    // Each frame: a node, and the next of its children to look at.
    let mut stack = vec![(at, 0_usize)];
    while let Some((at, next)) = stack.pop() {
        let Some(state) = states.get_mut(at).filter(|state| **state != State::Done) else { continue };
        *state = State::Open;
        let child = tree.nodes.get(at).and_then(|node| node.terms.get(next)).map(|term| term.child);
        match child {
            Some(child) => {
                stack.push((at, next + 1));
                match child.and_then(|child| Some((child, *states.get(child)?))) {
                    Some((child, State::New)) => stack.push((child, 0)),
                    Some((_, State::Open)) => {
                        if let Some(term) = tree.nodes.get_mut(at).and_then(|node| node.terms.get_mut(next)) {
                            term.is_loop = true;
                        }
                    }
                    _ => {}
                }
            }
            None => {
                settle_one(tree, at);
                if let Some(state) = states.get_mut(at) {
                    *state = State::Done;
                }
            }
        }
    }
}

/// Settles a node whose children are settled.
fn settle_one(tree: &mut Tree, at: usize) {
    let Some(node) = tree.nodes.get(at) else { return };
    let Some(record) = node.record() else {
        let is_known =
            matches!(node.found, super::Found::Texts(_) | super::Found::NoName | super::Found::NoTexts);
        if let Some(node) = tree.nodes.get_mut(at) {
            node.counts.is_lower_bound = !is_known;
            node.authorized.may_pass_more = !is_known;
        }
        return;
    };
    let mut sum = Counts::default();
    let mut authorized = Authorized::default();
    let mut decided = Addresses::default();
    let mut of_terms = Vec::with_capacity(node.terms.len());
    let redirect = record.redirect().map(|(at, _)| at);
    let order = (0..node.terms.len()).filter(|term| Some(*term) != redirect).chain(redirect);
    for number in order {
        let counts = term_counts(tree, node, number);
        of_terms.push((number, counts));
        let Some(term) = node.terms.get(number).filter(|term| term.reach == Reach::Yes) else { continue };
        sum = sum.plus(counts);
        let child = term.child.filter(|_| !term.is_loop).and_then(|child| tree.nodes.get(child));
        let (qualifier, matched, may_match_more) = match record.terms.get(number).map(|term| &term.kind) {
            Some(TermKind::Directive(qualifier, mechanism)) => match mechanism {
                Mechanism::All => (*qualifier, Addresses::everything(), false),
                Mechanism::Include(_) => match child {
                    Some(child) => {
                        (*qualifier, child.authorized.pass.clone(), child.authorized.may_pass_more)
                    }
                    None => (*qualifier, Addresses::default(), !term.is_loop),
                },
                Mechanism::Exists(_) | Mechanism::Ptr(_) => (*qualifier, Addresses::default(), true),
                _ => {
                    let is_unknown = matches!(term.target, Target::Macros(_)) || !term.unanswered.is_empty();
                    (*qualifier, Addresses::of(term.networks.iter().copied()), is_unknown)
                }
            },
            Some(TermKind::Modifier(Modifier::Redirect(_))) => match child {
                Some(child) => {
                    (Qualifier::Pass, child.authorized.pass.clone(), child.authorized.may_pass_more)
                }
                None => (Qualifier::Pass, Addresses::default(), !term.is_loop),
            },
            _ => continue,
        };
        if qualifier == Qualifier::Pass {
            // RFC 7208 §4.6.2: the first match decides.
            authorized.pass = authorized.pass.union(&matched.without(&decided));
            authorized.may_pass_more |= may_match_more;
        }
        decided = decided.union(&matched);
    }
    if let Some(node) = tree.nodes.get_mut(at) {
        for (number, counts) in of_terms {
            if let Some(term) = node.terms.get_mut(number) {
                term.counts = counts;
            }
        }
        node.counts = sum;
        node.authorized = authorized;
    }
}

/// The counts of one term: its own and those below it. A term that is never reached counts nothing.
fn term_counts(tree: &Tree, node: &TreeNode, number: usize) -> Counts {
    let written = node.record().and_then(|record| record.terms.get(number));
    let (Some(written), Some(term)) = (written, node.terms.get(number)) else { return Counts::default() };
    let target = match &written.kind {
        TermKind::Directive(_, mechanism) if mechanism.is_lookup() => mechanism.target(),
        TermKind::Modifier(Modifier::Redirect(target)) => Some(*target),
        _ => return Counts::default(),
    };
    if term.reach != Reach::Yes {
        return Counts::default();
    }
    let leads = matches!(
        written.kind,
        TermKind::Directive(_, Mechanism::Include(_)) | TermKind::Modifier(Modifier::Redirect(_))
    );
    let own = Counts {
        // RFC 7208 §4.6.4: the names asked for by `%{p}` are included.
        lookups: 1 + u32::from(target.is_some_and(|target| target.has_names)),
        voids_four: u32::from(!(term.voids.is_empty() && term.voids_four.is_empty())),
        voids_six: u32::from(!(term.voids.is_empty() && term.voids_six.is_empty())),
        is_lower_bound: matches!(term.target, Target::Macros(_))
            || !term.unanswered.is_empty()
            || term.is_loop
            || (leads && term.child.is_none()),
    };
    match term.child.filter(|_| !term.is_loop).and_then(|child| tree.nodes.get(child)) {
        Some(child) => own.plus(child.counts),
        None => own,
    }
}
