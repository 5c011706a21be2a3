//! libFuzzer on `targets::tls`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::tls::check(data));
