//! Fuzzes WWW-Authenticate fields, one a line.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| manifest_fuzz::challenge(input));
