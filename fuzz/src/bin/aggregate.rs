//! libFuzzer on `targets::aggregate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::aggregate::check(data));
