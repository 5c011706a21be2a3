//! libFuzzer on `targets::smtp_submit`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::smtp_submit::check(data));
