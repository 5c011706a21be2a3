//! libFuzzer on `targets::zone`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::zone::check(data));
