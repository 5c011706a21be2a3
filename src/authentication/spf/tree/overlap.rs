//! What stands in a tree more than once: networks within networks, records included again.

use std::collections::HashMap;

use super::networks::Network;
use super::{Reach, Tree};

/// A term of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The number of the node.
    pub node: usize,
    /// The number of the term there.
    pub term: usize,
}

/// A network that another one holds, or equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// The smaller one, or the second of two that are equal.
    pub inner: (Place, Network),
    /// The larger one.
    pub outer: (Place, Network),
}

/// A record that several terms lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated {
    /// The number of its node.
    pub node: usize,
    /// The terms, at least two.
    pub places: Vec<Place>,
    /// Terms that query DNS which one term in the place of all would save.
    pub lookups_saved: u32,
}

impl Tree {
    /// The written networks (`ip4`, `ip6`) that are within another one of the tree, each with the largest such.
    ///
    /// Terms that are never reached are left out. Takes time by the number of networks.
    pub fn overlaps(&self) -> Vec<Overlap> {
        let mut all: Vec<(Place, Network)> = Vec::new();
        for (node_number, node) in self.nodes.iter().enumerate() {
            for (term_number, term) in node.terms.iter().enumerate() {
                let is_written = term.target == super::Target::None && term.reach == Reach::Yes;
                let place = Place { node: node_number, term: term_number };
                all.extend(term.networks.iter().filter(|_| is_written).map(|network| (place, *network)));
            }
        }
        // By first address, the larger first: what holds a network stands before it.
        all.sort_by_key(|(place, network)| {
            let (first, last) = network.range();
            (network.is_four(), first, std::cmp::Reverse(last), *place)
        });
        let mut overlaps = Vec::new();
        let mut outer: Option<(Place, Network)> = None;
        for inner in all {
            match outer {
                Some(outer) if outer.1.contains(inner.1) => overlaps.push(Overlap { inner, outer }),
                _ => outer = Some(inner),
            }
        }
        overlaps.sort_by_key(|overlap| overlap.inner.0);
        overlaps
    }

    /// The records that several terms lead to, loops left out.
    pub fn repeated(&self) -> Vec<Repeated> {
        let mut places: HashMap<usize, Vec<Place>> = HashMap::new();
        for (node_number, node) in self.nodes.iter().enumerate() {
            for (term_number, term) in node.terms.iter().enumerate() {
                if let Some(child) = term.child.filter(|_| !term.is_loop && term.reach == Reach::Yes) {
                    places.entry(child).or_default().push(Place { node: node_number, term: term_number });
                }
            }
        }
        let mut repeated: Vec<Repeated> = places
            .into_iter()
            .filter(|(_, places)| places.len() > 1)
            .map(|(node, places)| {
                let below = self.nodes.get(node).map_or(0, |node| node.counts.lookups);
                let copies = u32::try_from(places.len() - 1).unwrap_or(u32::MAX);
                Repeated { node, places, lookups_saved: below.saturating_add(1).saturating_mul(copies) }
            })
            .collect();
        repeated.sort_by_key(|repeated| repeated.node);
        repeated
    }
}
