//! libFuzzer on `targets::unpack`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailsonde_fuzz::targets::unpack::check(data));
