//! libFuzzer on `targets::delivery_status`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::delivery_status::check(data));
