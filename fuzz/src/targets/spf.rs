//! SPF: records, the check of a sender, and the tree of all that a record leads to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use mailsonde::authentication::spf::tree::{Tree, tree};
use mailsonde::authentication::spf::{
    Identity, Input, Node, Record, SpfResult, StepOutcome, TermKind, Verdict, check as check_host, is_spf,
    meant_modifier,
};
use mailsonde::clock::Timestamp;
use mailsonde::limits;

use super::NOW_SECONDS;
use super::answers::{World, letter};

/// Places lie in the record, mends are sound; the check keeps its limits and its words, whatever DNS answers and in
/// whichever order; who passes is in the tree's addresses, and the other way round.
pub fn check(data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n').take(26) {
        check_record(line);
        let mut record = b"v=spf1 ".to_vec();
        record.extend_from_slice(line);
        check_record(&record);
    }
    let world = World::new(data);
    let tree = world.settle(|answers| tree(&letter(0), answers));
    check_tree(&tree);
    for ip in addresses(&tree) {
        check_sender(data, ip, &tree);
    }
}

fn check_record(octets: &[u8]) {
    let record = Record::parse(octets.to_vec());
    assert_eq!(record.octets(), octets);
    assert!(record.terms.len() <= octets.len());
    let mut end = 0;
    for (at, term) in record.terms.iter().enumerate() {
        assert!(end <= term.span.start && term.span.start < term.span.end, "{:?}", record.text());
        assert!(term.span.end <= octets.len());
        end = term.span.end;
        assert!(record.part(term.span).bytes().all(|b| b.is_ascii_graphic() || b == b' '));
        if let Some(meant) = meant_modifier(&record, at) {
            assert!(is_sound(&meant), "{meant:?} was made of {:?}", record.text());
        }
    }
    assert!(record.faults.windows(2).all(|pair| pair[0].span <= pair[1].span), "{:?}", record.faults);
    for fault in &record.faults {
        assert!(fault.span.start <= fault.span.end && fault.span.end <= octets.len(), "{fault:?}");
        assert!(!fault.kind.sentence().is_empty());
        if let Some(mend) = &fault.mend {
            assert!(is_sound(mend), "{mend:?} was made of {:?}", record.text());
        }
    }
    // Only a record; others have no version to take away.
    if !is_spf(octets) || !record.faults.is_empty() {
        return;
    }
    // A sound record is the same with one blank between its terms.
    let mut text = String::from("v=spf1");
    for term in &record.terms {
        assert!(!matches!(term.kind, TermKind::Faulty), "a fault that is not listed: {:?}", record.text());
        text.push(' ');
        text.push_str(&record.part(term.span));
    }
    let again = Record::parse(text.clone().into_bytes());
    assert_eq!(again.faults, [], "{text}");
    let parts = |record: &Record| {
        let part = |span| record.part(span).into_owned();
        record.terms.iter().map(|term| part(term.span)).collect::<Vec<_>>()
    };
    assert_eq!(parts(&again), parts(&record));
    assert_eq!(again.all().map(|(_, qualifier)| qualifier), record.all().map(|(_, qualifier)| qualifier));
    assert_eq!(again.redirect().is_some(), record.redirect().is_some());
}

/// What a mend must be: nothing, or valid terms.
fn is_sound(terms: &str) -> bool {
    Record::parse(format!("v=spf1 {terms}").into_bytes()).faults.is_empty()
}

fn check_tree(tree: &Tree) {
    assert!(!tree.nodes.is_empty() && tree.nodes.len() <= limits::SPF_TREE_RECORDS);
    for node in &tree.nodes {
        assert_eq!(node.terms.len(), node.record().map_or(0, |record| record.terms.len()), "{}", node.domain);
        assert_eq!(tree.nodes.iter().filter(|other| other.domain == node.domain).count(), 1);
        for child in node.terms.iter().filter_map(|term| term.child) {
            assert!(child < tree.nodes.len());
        }
        for ranges in [&node.authorized.pass.four, &node.authorized.pass.six] {
            assert!(ranges.ranges().iter().all(|(first, last)| first <= last));
            assert!(ranges.ranges().windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }
    for breach in tree.breaches() {
        assert!(!breach.kind.sentence().is_empty());
    }
    let _ = (tree.overlaps(), tree.repeated());
}

/// Clients to try: of each family one that is nowhere, and some that pass by the tree.
fn addresses(tree: &Tree) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> =
        vec![Ipv4Addr::new(192, 0, 2, 3).into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 3).into()];
    let Some(root) = tree.root() else { return found };
    let four =
        root.authorized.pass.four.ranges().iter().take(2).map(|(first, last)| first + (last - first) / 2);
    found.extend(
        four.filter_map(|number| u32::try_from(number).ok())
            .map(|number| IpAddr::from(Ipv4Addr::from(number))),
    );
    let six = root.authorized.pass.six.ranges().iter().take(1).map(|(first, _)| Ipv6Addr::from(*first));
    // An IPv4-mapped one is judged as the IPv4 address that it is.
    found.extend(six.map(IpAddr::from).filter(|ip| ip.to_canonical() == *ip));
    found
}

fn check_sender(data: &[u8], ip: IpAddr, tree: &Tree) {
    let input = Input {
        ip,
        identity: Identity::MailFrom,
        mail_from: "someone@a.example",
        helo: "h.example",
        receiver: "mx.example",
        now: Timestamp::from_seconds(NOW_SECONDS),
        void_limit: limits::SPF_VOIDS,
    };
    let mut world = World::new(data);
    let verdict = world.settle(|answers| check_host(&input, answers));
    check_verdict(&verdict);
    world.is_turned = true;
    assert_eq!(world.settle(|answers| check_host(&input, answers)), verdict, "the order of records matters");
    world.is_silent = true;
    let silent = world.settle(|answers| check_host(&input, answers));
    assert_eq!(silent.result, SpfResult::TempError, "silence is no answer");

    let Some(root) = tree.root().filter(|_| !tree.is_cut) else { return };
    let pass = &root.authorized;
    let (ranges, number) = match ip {
        IpAddr::V4(ip) => (&pass.pass.four, u128::from(u32::from(ip))),
        IpAddr::V6(ip) => (&pass.pass.six, u128::from(ip)),
    };
    let is_in = ranges.ranges().iter().any(|(first, last)| (*first..=*last).contains(&number));
    match verdict.result {
        SpfResult::Pass => assert!(is_in || pass.may_pass_more, "{ip} passes and is not in the tree"),
        // Errors end a check before the term that would match.
        SpfResult::TempError | SpfResult::PermError => {}
        // A record that cannot be used authorizes nobody.
        result => assert!(!is_in || has_faults(tree), "{ip} is in the tree and has {result:?}"),
    }
}

/// True if something in the tree is not evaluated as it stands there.
fn has_faults(tree: &Tree) -> bool {
    tree.nodes.iter().any(|node| {
        node.record().is_some_and(|record| !record.faults.is_empty())
            || node.terms.iter().any(|term| !term.unanswered.is_empty())
            || node.authorized.may_pass_more
    })
}

fn check_verdict(verdict: &Verdict) {
    use SpfResult::{Fail, None, Pass, PermError, TempError};
    let result = verdict.result;
    assert!(result == Fail || verdict.explanation.is_none());
    assert_eq!(verdict.trouble().is_some(), result == TempError, "{verdict:?}");
    let is_by_mechanism = !matches!(result, None | TempError | PermError) && verdict.reason().is_none();
    assert!(verdict.mechanism().is_some() || verdict.reason().is_some(), "{verdict:?}");
    if matches!(result, Pass | Fail | SpfResult::SoftFail) {
        assert!(is_by_mechanism && verdict.mechanism().is_some(), "{verdict:?}");
    }
    // One term too many ends the check; a term with `%{p}` counts twice.
    assert!(verdict.lookups() <= limits::SPF_LOOKUPS + 2, "{verdict:?}");
    assert!(verdict.voids() <= limits::SPF_VOIDS + 1, "{verdict:?}");
    check_node(&verdict.trace);
}

fn check_node(node: &Node) {
    let details = || node.steps.iter().filter_map(|step| step.detail.as_ref());
    assert_eq!(node.lookups, details().map(|detail| detail.lookups).sum::<u32>(), "{node:?}");
    assert_eq!(node.voids, details().map(|detail| detail.voids).sum::<u32>(), "{node:?}");
    if let Some(record) = node.record.as_ref().filter(|_| !node.steps.is_empty()) {
        assert_eq!(record.terms.len(), node.steps.len());
    }
    let matches = node.steps.iter().filter(|step| step.outcome == StepOutcome::Match).count();
    assert!(matches <= 1, "{node:?}");
    if let Some(at) = node.decided {
        assert!(at < node.steps.len() && node.decided_text().is_some() && node.span(at).is_some());
    }
    for child in details().filter_map(|detail| detail.child.as_ref()) {
        check_node(child);
    }
}
