//! Percentages that never claim all or nothing when it is not so.

/// The share of `part` in `whole` in hundredths of a percent (0 to 10,000); `None` of nothing.
///
/// Rounded to the nearest, but cut away from 0 and 100: 9,999,999 of 10,000,000 is 99.99.
pub fn percent_hundredths(part: u64, whole: u64) -> Option<u32> {
    if whole == 0 {
        return None;
    }
    let part = part.min(whole);
    let scaled = (u128::from(part) * 10_000 + u128::from(whole) / 2) / u128::from(whole);
    let rounded = u32::try_from(scaled).unwrap_or(10_000);
    Some(match rounded {
        0 if part > 0 => 1,
        10_000 if part < whole => 9_999,
        other => other,
    })
}

/// The share as text with two decimals; `-` of nothing.
pub fn percent_text(part: u64, whole: u64) -> String {
    match percent_hundredths(part, whole) {
        Some(hundredths) => format!("{}.{:02}", hundredths / 100, hundredths % 100),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_all_nor_nothing() {
        let cases = [
            (0, 0, "-"),
            (0, 5, "0.00"),
            (5, 5, "100.00"),
            (9_999, 10_000, "99.99"),
            (9_999_999, 10_000_000, "99.99"),
            (1, 10_000_000, "0.01"),
            (2, 3, "66.67"),
            (900, 903, "99.67"),
            (u64::MAX - 1, u64::MAX, "99.99"),
        ];
        for (part, whole, want) in cases {
            assert_eq!(percent_text(part, whole), want, "{part} of {whole}");
        }
    }
}
