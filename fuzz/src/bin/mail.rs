//! libFuzzer on `targets::mail`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::mail::check(data));
