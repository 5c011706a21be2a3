//! libFuzzer on `targets::proxy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::proxy::check(data));
