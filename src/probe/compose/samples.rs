//! What filters are tested with. The two texts that every filter knows are put together when they are needed:
//! no file of ours, source or program, holds either whole, or a scanner would take us for what we test with.

/// The text for virus scanners, backwards and each byte one higher.
const SCANNER_SHIFTED: &[u8] = b"+I,I%\"FMJG.UTFU.TVSJWJUOB.ESBEOBUT.SBDJF%~8*DD8*_Q)56Y[Q]5\\QBA&Q\"P6Y";
/// The text for spam filters, in the same way.
const SPAM_SHIFTED: &[u8] = b"Y54/D+MJBNF.UTFU.FCV.JUOB.ESBEOBUT.FCVUH+OFOEJ3+4OCTO/2OEBRCEK5D+TKY";

/// The 68 bytes that every virus scanner finds. They are harmless.
pub(super) fn scanner_test() -> Vec<u8> {
    unshifted(SCANNER_SHIFTED)
}

/// The 68 characters that every spam filter finds.
pub(super) fn spam_test() -> String {
    String::from_utf8_lossy(&unshifted(SPAM_SHIFTED)).into_owned()
}

/// Puts a text together. The black box keeps the compiler from doing it beforehand.
fn unshifted(bytes: &[u8]) -> Vec<u8> {
    let shift = std::hint::black_box(1);
    bytes.iter().rev().map(|byte| byte.wrapping_sub(shift)).collect()
}

/// Lines with numbers of cards that nobody has: the card companies publish them for tests. With the words beside
/// them that filters look for.
pub(super) const CARD_LINES: [&str; 5] = [
    "Credit card details (test numbers, no real cards)",
    "Visa card number: 4111 1111 1111 1111, expires 12/2030, CVV 123",
    "Mastercard number: 5555 5555 5555 4444, expires 11/2030, CVV 456",
    "American Express card number: 3782 822463 10005, expires 10/2030",
    "Cardholder name: Jane Example, credit card security code 789",
];

/// What a harmless attachment with a forbidden name holds.
pub(super) const HARMLESS: &str = "This file is a test of Mailsonde. It holds this text and nothing else,\r\n\
                                   whatever its name says, and cannot be run.\r\n";

/// Subject and text in ISO-2022-JP: "Japanese test" and "This is a test of Japanese." The shifts to and from the
/// two-byte set stand in each line, since a line begins and ends in ASCII (RFC 1468).
pub(super) const JAPANESE_SUBJECT: &[u8] = b"\x1b$BF|K\\8l%F%9%H\x1b(B";
/// See [`JAPANESE_SUBJECT`].
pub(super) const JAPANESE_TEXT: &[u8] = b"\x1b$B$3$l$OF|K\\8l$N%F%9%H$G$9!#\x1b(B\r\n";
/// [`JAPANESE_SUBJECT`] in Unicode.
pub(super) const JAPANESE_SUBJECT_TEXT: &str = "日本語テスト";
