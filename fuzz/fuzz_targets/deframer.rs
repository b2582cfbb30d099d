#![no_main]
use libfuzzer_sys::fuzz_target;
use smidgen_tests::fuzz::wire::deframer;

fuzz_target!(|input: &[u8]| deframer(input));
