//! libFuzzer on `targets::https_policy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::https_policy::check(data));
