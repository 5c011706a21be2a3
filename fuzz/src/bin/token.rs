//! libFuzzer on `targets::token`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::token::check(data));
