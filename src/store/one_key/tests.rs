use proptest::prelude::*;

use super::*;

/// A copy as it is written down before its key is settled.
fn claim(
    number: i64,
    content: u8,
    own_trust: Trust,
    sender: &str,
    names_sender: bool,
    records: i64,
) -> Claim {
    Claim {
        report_id: number,
        status: Status::SetAside,
        is_conflicting: false,
        duplicate_of: None,
        message_id: MessageId(number),
        received_at_ms: number * 1_000,
        trust: own_trust,
        own_trust,
        sender: Some(sender.to_owned()),
        names_sender,
        content: vec![content],
        records,
    }
}

/// The reports under one key, as a store would hold them.
#[derive(Default)]
struct Key(Vec<Claim>);

impl Key {
    /// Brings the key in order, as the store does.
    fn settle(&mut self, counts: fn(Trust) -> bool) {
        let settled = settle(&self.0.iter().collect::<Vec<_>>(), counts);
        for change in settled.changes {
            let claim = self.0.iter_mut().find(|claim| claim.report_id == change.report_id).unwrap();
            claim.status = change.status;
            claim.is_conflicting = change.is_conflicting;
            claim.duplicate_of = change.duplicate_of;
            claim.trust = change.trust;
            let counted = self.0.iter().filter(|claim| claim.status == Status::Counted).count();
            assert!(counted <= 1, "two count for a moment");
        }
        let again = settle(&self.0.iter().collect::<Vec<_>>(), counts);
        assert_eq!((again.changes, again.winner), (Vec::new(), settled.winner), "not settled at once");
    }

    /// Another copy comes.
    fn add(&mut self, mut claim: Claim, counts: fn(Trust) -> bool) {
        if let Some(same) = self.0.iter().find(|held| held.has_rows_of(&claim.content)) {
            (claim.status, claim.duplicate_of) = (Status::Duplicate, Some(same.report_id));
        }
        self.0.push(claim);
        self.settle(counts);
    }

    /// The verdict on one copy comes.
    fn judge(&mut self, number: i64, trust: Trust, counts: fn(Trust) -> bool) {
        self.0.iter_mut().find(|claim| claim.report_id == number).unwrap().own_trust = trust;
        self.settle(counts);
    }

    /// The content that counts and its trust.
    fn counted(&self) -> Option<(Vec<u8>, Trust)> {
        self.0
            .iter()
            .find(|claim| claim.status == Status::Counted)
            .map(|claim| (claim.content.clone(), claim.trust))
    }
}

/// The contents that win, for pairs of copies in any order.
#[test]
fn who_counts() {
    use Trust::{Failed, Imported, Pending, Unverified, Verified};
    let of = |number, trust, names, records| {
        claim(number, u8::try_from(number).unwrap(), trust, if names { "a" } else { "b" }, names, records)
    };
    type Case = (&'static str, [(Trust, bool, i64); 2], fn(Trust) -> bool, Option<i64>);
    let any = Trust::is_counted as fn(Trust) -> bool;
    let tls = Trust::is_counted_for_tls as fn(Trust) -> bool;
    let cases: [Case; 15] = [
        ("verified before more records", [(Verified, true, 1), (Unverified, false, 9)], any, Some(1)),
        ("verified before a file", [(Imported, true, 9), (Verified, true, 1)], any, Some(2)),
        ("the reporter before somebody else", [(Verified, false, 9), (Verified, true, 1)], any, Some(2)),
        ("a file before what has no proof", [(Unverified, true, 9), (Imported, true, 1)], any, Some(2)),
        ("a file before what waits", [(Pending, true, 9), (Imported, true, 1)], any, Some(2)),
        ("what waits is as good as no proof", [(Pending, true, 1), (Unverified, false, 2)], any, Some(2)),
        ("more records of the same sender", [(Verified, true, 1), (Verified, true, 9)], any, Some(2)),
        ("the earlier", [(Imported, true, 1), (Imported, true, 1)], any, Some(1)),
        ("failed never", [(Failed, true, 9), (Unverified, false, 1)], any, Some(2)),
        ("only failed", [(Failed, true, 9), (Failed, true, 1)], any, None),
        ("TLS without a signature never", [(Unverified, true, 9), (Pending, true, 1)], tls, Some(2)),
        ("TLS only without", [(Unverified, true, 9), (Failed, true, 1)], tls, None),
        ("TLS from a file", [(Imported, true, 1), (Unverified, true, 9)], tls, Some(1)),
        ("TLS verified", [(Imported, true, 9), (Verified, true, 1)], tls, Some(2)),
        ("TLS by somebody else", [(Verified, false, 9), (Verified, true, 1)], tls, Some(2)),
    ];
    for (case, copies, counts, winner) in cases {
        for order in [[1, 2], [2, 1]] {
            let mut key = Key::default();
            for number in order {
                let (trust, names, records) = copies[usize::try_from(number).unwrap() - 1];
                key.add(of(number, trust, names, records), counts);
            }
            let expected = winner.map(|number| vec![u8::try_from(number).unwrap()]);
            assert_eq!(key.counted().map(|(content, _)| content), expected, "{case} {order:?}");
            let believed = copies.iter().filter(|(trust, ..)| counts(*trust)).count();
            let conflicts = key.0.iter().filter(|claim| claim.is_conflicting).count();
            assert_eq!(conflicts, if believed > 1 { believed } else { 0 }, "{case}");
        }
    }
}

/// Two that authenticate, neither named by the report: the one that was first stays, whatever the other brings.
#[test]
fn nobody_takes_the_place_of_a_verified_report() {
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
        let mut key = Key::default();
        for number in order {
            let copy = match number {
                1 => claim(1, 1, Trust::Verified, "yahoo.example", false, 5),
                2 => claim(2, 2, Trust::Verified, "evil.example", false, 500),
                // Sent again by the first, complete.
                _ => claim(3, 3, Trust::Verified, "yahoo.example", false, 6),
            };
            key.add(copy, Trust::is_counted);
        }
        assert_eq!(key.counted(), Some((vec![3], Trust::Verified)), "{order:?}");
    }
}

#[test]
fn what_is_rolled_up_counts_for_ever() {
    let mut key = Key::default();
    key.add(claim(1, 1, Trust::Pending, "a", true, 1), Trust::is_counted);
    key.0[0].status = Status::RolledUp;
    key.judge(1, Trust::Failed, Trust::is_counted);
    key.add(claim(2, 2, Trust::Verified, "a", true, 9), Trust::is_counted);
    assert_eq!(key.0[0].status, Status::RolledUp);
    assert_eq!((key.0[1].status, key.0[1].is_conflicting), (Status::SetAside, true));
}

/// What a forgery can be.
const UNPROVEN: [Trust; 4] = [Trust::Failed, Trust::Pending, Trust::Unverified, Trust::Imported];

/// A copy as proptest thinks it up: content, verdict, sender, named, records.
type Copy = (u8, Trust, bool, bool, i64);

fn copies() -> impl Strategy<Value = Vec<Copy>> {
    let trust = prop::sample::select(Trust::ALL.to_vec());
    prop::collection::vec((0u8..3, trust, any::<bool>(), any::<bool>(), 1i64..4), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the order in which copies and verdicts come, the same counts with the same trust.
    #[test]
    fn the_order_does_not_matter(
        copies in copies(),
        orders in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 12), 3),
        is_tls in any::<bool>(),
    ) {
        let counts: fn(Trust) -> bool = if is_tls { Trust::is_counted_for_tls } else { Trust::is_counted };
        let mut ends = Vec::new();
        for order in orders {
            // Steps: copy `n` comes, its verdict comes. A verdict comes after its copy.
            let mut steps: Vec<usize> = (0..copies.len()).flat_map(|at| [at, at]).collect();
            for (at, index) in order.iter().enumerate().take(steps.len()) {
                let other = index.index(steps.len());
                steps.swap(at, other);
            }
            let mut key = Key::default();
            for at in steps {
                let (content, trust, is_first_sender, names, records) = copies[at];
                let number = i64::try_from(at).unwrap();
                if key.0.iter().any(|held| held.report_id == number) {
                    key.judge(number, trust, counts);
                } else {
                    // Copies with the same values have as many records.
                    let records = copies.iter().find(|copy| copy.0 == content).map_or(records, |copy| copy.4);
                    let sender = if is_first_sender { "a" } else { "b" };
                    key.add(claim(number, content, Trust::Pending, sender, names, records), counts);
                }
            }
            let trusts: Vec<Trust> = copies.iter().map(|copy| copy.1).collect();
            prop_assert_eq!(key.counted().is_some(), trusts.iter().any(|trust| counts(*trust)));
            let has_verified = trusts.contains(&Trust::Verified);
            prop_assert_eq!(key.counted().is_some_and(|(_, trust)| trust == Trust::Verified), has_verified);
            ends.push(key.counted());
        }
        prop_assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "{:?}", ends);
    }

    /// What does not pass changes nothing of what does.
    #[test]
    fn forgeries_change_nothing_that_is_verified(
        true_ones in prop::collection::vec(0u8..3, 1..3),
        forged in prop::collection::vec((0u8..3, prop::sample::select(UNPROVEN.to_vec()), any::<bool>()), 1..4),
        all_alike in any::<bool>(),
    ) {
        let records = |content: u8| if all_alike { 1 } else { 1 + i64::from(content) };
        let mut alone = Key::default();
        for (at, content) in (100i64..).zip(&true_ones) {
            alone.add(claim(at, *content, Trust::Verified, "a", true, records(*content)), Trust::is_counted);
        }
        let mut key = Key::default();
        for (at, (content, trust, is_before)) in (0i64..).zip(&forged) {
            if *is_before {
                key.add(claim(at, *content, *trust, "b", false, records(*content)), Trust::is_counted);
            }
        }
        for (at, content) in (100i64..).zip(&true_ones) {
            key.add(claim(at, *content, Trust::Pending, "a", true, records(*content)), Trust::is_counted);
            key.judge(at, Trust::Verified, Trust::is_counted);
        }
        for (at, (content, trust, is_before)) in (200i64..).zip(&forged) {
            if !is_before {
                key.add(claim(at, *content, *trust, "b", false, records(*content)), Trust::is_counted);
            }
        }
        prop_assert_eq!(key.counted(), alone.counted());
    }
}
