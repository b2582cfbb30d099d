#![no_main]
use libfuzzer_sys::fuzz_target;
use smidgen_tests::fuzz::recordings::recordings;

fuzz_target!(|input: &[u8]| recordings(input));
