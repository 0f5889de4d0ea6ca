//! Fuzzes platform specifiers.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| manifest_fuzz::platform(input));
