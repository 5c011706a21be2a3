//! libFuzzer on `targets::escape`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::escape::check(data));
