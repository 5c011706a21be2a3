//! Trees of records good and bad.

use proptest::prelude::*;

use super::*;
use crate::authentication::spf::sample::published;

/// The tree of example.com in a zone, with the rounds of questions.
fn tree_of(zone: &str) -> (Tree, Vec<Vec<String>>) {
    let name = Name::from_dotted("example.com").unwrap();
    published(zone).settle(|answers| tree(&name, answers))
}

#[test]
fn branches_are_asked_side_by_side_and_counted() {
    let (tree, rounds) = tree_of(
        "example.com TXT v=spf1 a mx include:one.example include:two.example ip4:192.0.2.0/24 ~all
         example.com A 192.0.2.1
         example.com AAAA 2001:db8::1
         example.com MX m.example.com
         m.example.com A 198.51.100.1
         one.example TXT v=spf1 include:three.example ip4:192.0.2.7 exists:%{i}.x.example -all
         two.example TXT v=spf1 a:none.example a:four.example include:three.example ?all
         four.example A 198.51.100.0
         three.example TXT v=spf1 ip4:203.0.113.0/25 -all",
    );
    // One round a level of the tree, not one a question.
    assert_eq!(rounds.len(), 3, "{rounds:?}");
    assert_eq!(rounds[0], ["example.com TXT", "example.com SPF"]);
    let root = tree.root().unwrap();
    let counts: Vec<u32> = root.terms.iter().map(|term| term.counts.lookups).collect();
    assert_eq!(counts, [1, 1, 3, 4, 0, 0]);
    assert_eq!((root.counts.lookups, root.counts.voids_four, root.counts.voids_six), (9, 1, 2));
    assert!(root.counts.is_lower_bound && root.authorized.may_pass_more);
    assert_eq!(root.authorized.pass.four_count(), 256 + 1 + 1 + 128);
    let repeated = tree.repeated();
    assert_eq!((repeated.len(), repeated[0].places.len(), repeated[0].lookups_saved), (1, 2, 1));
    let overlaps = tree.overlaps();
    assert_eq!(overlaps.len(), 1);
    assert_eq!(overlaps[0].inner.1.to_string(), "192.0.2.7");
    assert_eq!(overlaps[0].outer.1.to_string(), "192.0.2.0/24");
    assert_eq!(tree.nodes[1].owner.as_deref(), Some("one.example"));
}

#[test]
fn the_walk_goes_past_every_fault() {
    let (tree, _) = tree_of(
        "example.com TXT v=spf1 bad:x include:none.example include:loop.example include:silent.example ip4:1.2.3.4/99 include:last.example
         example.com TXT v=spf1 -all
         example.com SPF v=spf1 -all
         loop.example TXT v=spf1 include:example.com redirect=loop.example
         silent.example TXT !
         last.example TXT v=spf1 ip4:192.0.2.1 -all a:unseen.example redirect=unseen.example",
    );
    // Two records: the first by text, whatever the order of the answer.
    let published = tree.root().unwrap().found.published().unwrap();
    assert_eq!((published.records.len(), tree.old_type), (2, 1));
    assert_eq!(published.records[0].record.text(), "v=spf1 -all");

    let (tree, _) = tree_of(
        "example.com TXT v=spf1 bad:x include:none.example include:loop.example include:silent.example ip4:1.2.3.4/99 include:last.example
         loop.example TXT v=spf1 include:example.com redirect=loop.example
         silent.example TXT !
         last.example TXT v=spf1 ip4:192.0.2.1 -all a:unseen.example redirect=unseen.example",
    );
    let root = tree.root().unwrap();
    assert_eq!(root.record().unwrap().faults.len(), 2);
    let found: Vec<&Found> = tree.nodes[1..].iter().map(|node| &node.found).collect();
    assert!(matches!(found[0], Found::NoName) && matches!(found[2], Found::NotKnown(_)));
    assert!(tree.nodes[2].terms.iter().all(|term| term.is_loop));
    let last = &tree.nodes[4];
    let reach: Vec<Reach> = last.terms.iter().map(|term| term.reach).collect();
    assert_eq!(reach, [Reach::Yes, Reach::Yes, Reach::AfterAll, Reach::BesideAll]);
    assert!(!tree.nodes.iter().any(|node| node.domain.as_str() == "unseen.example"));
    assert_eq!(root.counts.lookups, 4 + 2);
    assert!(root.counts.is_lower_bound);
}

#[test]
fn the_addresses_that_pass_are_exact() {
    let cases = [
        ("v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all", 1_u64 << 32),
        ("v=spf1 -ip4:192.0.2.0/25 ip4:192.0.2.0/24 -all", 128),
        ("v=spf1 ?ip4:192.0.2.0/24 ip4:192.0.2.0/24 -all", 0),
        ("v=spf1 -all ip4:192.0.2.0/24", 0),
        ("v=spf1 +all", 1 << 32),
        ("v=spf1 -include:i.example +all", (1 << 32) - 4),
        ("v=spf1 include:i.example -all", 4),
        ("v=spf1 ip4:198.51.100.0/32 redirect=i.example", 4),
        ("v=spf1 include:open.example -all", 1 << 32),
    ];
    for (record, want) in cases {
        let (tree, _) = tree_of(&format!(
            "example.com TXT {record}
             i.example TXT v=spf1 ip4:198.51.100.0/30 ~all
             open.example TXT v=spf1 ?ip6:::/0 all"
        ));
        let authorized = &tree.root().unwrap().authorized;
        assert_eq!((authorized.pass.four_count(), authorized.may_pass_more), (want, false), "{record}");
        assert_eq!(
            authorized.pass.is_all_of_four(),
            want > 4_000_000_000 && !record.starts_with("v=spf1 -in")
        );
    }
}

#[test]
fn macros_of_the_records_own_name_are_no_secret() {
    let (tree, _) = tree_of(
        "example.com TXT v=spf1 include:%{d2}._spf.%{dr} exists:%{l}.x.example ptr a:%{p}.x exp=why.%{d} -all
         example.com._spf.com.example TXT v=spf1 -all
         why.example.com TXT %{i} may not
         why.example.com TXT two",
    );
    let root = tree.root().unwrap();
    assert_eq!(tree.nodes[1].domain.as_str(), "example.com._spf.com.example");
    assert_eq!(root.terms[1].target, Target::Macros("%{l}.x.example".to_owned()));
    assert_eq!(root.terms[4].explanation, Some(Explanation::Several(2)));
    // `%{p}` asks once more.
    assert_eq!(root.counts.lookups, 1 + 1 + 1 + 2);
}

#[test]
fn what_gives_permerror_is_named_with_its_place() {
    let cases = [
        ("example.com TXT v=spf1 -all", ""),
        ("example.com TXT v=spf1 -all\nexample.com TXT v=spf1 a:x", "0:-:several-records 0:0:single-label"),
        (
            "example.com TXT v=spf1 include:none.example include:example.com redirect=x.example",
            "0:0:leads-nowhere 0:1:loop 0:2:leads-nowhere",
        ),
        (
            "example.com TXT v=spf1 include:i.example\ni.example TXT v=spf1 mxx a:192.0.2.1",
            "1:0:unknown-mechanism 1:1:address-as-domain",
        ),
        ("example.com TXT v=spf1 -all include:none.example", ""),
        ("example.com TXT v=spf1 exists:a.test exists:b.test exists:c.test -all", "0:-:voids"),
        ("example.com TXT v=spf1 ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr", "0:-:lookups"),
        ("example.com TXT v=spf1 include:i.example\ni.example TXT !", ""),
    ];
    for (zone, want) in cases {
        let breaches = tree_of(zone).0.breaches();
        let told = breaches.iter().map(|breach| {
            let term = breach.term.map_or("-".to_owned(), |term| term.to_string());
            format!("{}:{term}:{}", breach.node, breach.kind.as_str())
        });
        assert_eq!(told.collect::<Vec<_>>().join(" "), want, "{zone}");
    }
}

#[test]
fn a_tree_without_end_is_cut() {
    let many = |term: &str, count: usize| {
        let terms: Vec<String> = (0..count).map(|at| format!("{term}:w{at}.example")).collect();
        ["example.com TXT v=spf1 ", &terms.join(" ")].concat()
    };
    let (tree, _) = tree_of(&many("include", 400));
    assert!(tree.is_cut && tree.nodes.len() == limits::SPF_TREE_RECORDS);
    let (tree, rounds) = tree_of(&many("a", 3_000));
    assert!(tree.is_cut && rounds.concat().len() <= limits::SPF_TREE_QUESTIONS + 1);
    // Every record includes the next one twice: the counts double, the work does not.
    let mut zone = String::from("example.com TXT v=spf1 include:d0.example -all\n");
    for at in 0..100 {
        let next = at + 1;
        zone += &["d", &at.to_string(), ".example TXT v=spf1 include:d", &next.to_string()].concat();
        zone += &[".example include:d", &next.to_string(), ".example -all\n"].concat();
    }
    let (tree, _) = tree_of(&zone);
    assert_eq!(tree.root().unwrap().counts.lookups, u32::MAX);
    assert_eq!(tree.nodes.len(), 102);
}

proptest! {
    /// Any records, leading anywhere: the tree ends, and the counts of a node are those of its terms.
    #[test]
    fn any_records_give_a_tree(
        records in proptest::collection::vec(
            proptest::collection::vec((0..9_usize, 0..6_usize), 0..10), 1..6),
    ) {
        let mut zone = String::from("h0.example.com A 192.0.2.7\nh1.example.com MX h0.example.com\n");
        for (at, terms) in records.iter().enumerate() {
            let domain = if at == 0 { String::from("example.com") } else { format!("d{at}.example.com") };
            let terms: Vec<String> = terms.iter().map(|(kind, to)| match kind {
                0 | 1 => format!("include:d{to}.example.com"),
                2 => format!("?a:h{to}.example.com"),
                3 => format!("mx:h{to}.example.com"),
                4 => format!("exists:h{to}.%{{d}}"),
                5 => String::from("-ptr"),
                6 => format!("ip4:192.0.{to}.0/2{to}"),
                7 => format!("redirect=d{to}.example.com"),
                _ => String::from("~all"),
            }).collect();
            zone += &[domain.as_str(), " TXT v=spf1 ", &terms.join(" "), "\n"].concat();
        }
        let (tree, _) = tree_of(&zone);
        for node in &tree.nodes {
            let sum = node.terms.iter().fold(0_u32, |sum, term| sum.saturating_add(term.counts.lookups));
            prop_assert_eq!(node.counts.lookups, sum);
        }
        let _ = (tree.overlaps(), tree.repeated());
    }
}
