//! libFuzzer on `targets::failure`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::failure::check(data));
