//! libFuzzer on `targets::health`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::health::check(data));
