//! libFuzzer on `targets::values`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::values::check(data));
