//! libFuzzer on `targets::mta_sts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::mta_sts::check(data));
