//! libFuzzer on `targets::pop3`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::pop3::check(data));
