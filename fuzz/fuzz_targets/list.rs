//! Fuzzes documents that call themselves lists.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| manifest_fuzz::list(input));
