#![no_main]
use libfuzzer_sys::fuzz_target;
use smidgen_tests::fuzz::text::model;

fuzz_target!(|input: &[u8]| model(input));
