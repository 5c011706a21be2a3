//! libFuzzer on `targets::mbox`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::mbox::check(data));
