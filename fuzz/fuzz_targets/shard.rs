#![no_main]
use libfuzzer_sys::fuzz_target;
use smidgen_tests::fuzz::shards::shard;

fuzz_target!(|input: &[u8]| shard(input));
