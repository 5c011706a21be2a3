//! libFuzzer on `targets::auth_results`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::auth_results::check(data));
