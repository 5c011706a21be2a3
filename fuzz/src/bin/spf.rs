//! libFuzzer on `targets::spf`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::spf::check(data));
