//! libFuzzer on `targets::received`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::received::check(data));
