//! Fuzzes references to images.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| manifest_fuzz::reference(input));
