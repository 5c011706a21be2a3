//! libFuzzer on `targets::dmarc`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::dmarc::check(data));
