//! libFuzzer on `targets::imap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::imap::check(data));
