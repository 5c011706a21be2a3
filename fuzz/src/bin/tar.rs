//! libFuzzer on `targets::tar`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::tar::check(data));
