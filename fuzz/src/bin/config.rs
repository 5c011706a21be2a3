//! libFuzzer on `targets::config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::config::check(data));
