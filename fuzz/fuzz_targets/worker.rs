#![no_main]
use libfuzzer_sys::fuzz_target;
use smidgen_tests::fuzz::worker::worker;

fuzz_target!(|input: &[u8]| worker(input));
