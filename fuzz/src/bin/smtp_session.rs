//! libFuzzer on `targets::smtp_session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::smtp_session::check(data));
