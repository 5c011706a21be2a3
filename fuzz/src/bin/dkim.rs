//! libFuzzer on `targets::dkim`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::dkim::check(data));
