//! Checkpoints: damaged files, and files with a corrected checksum.

use super::aggregator::Run;
use crc::{CRC_64_XZ, Crc};
use smidgen::record::checkpoint::Checkpoint;
use smidgen::record::{Cost, WorkerTimes};

/// Length of the checksum at the end of a file.
const CHECK_LEN: usize = 8;

/// A file, as it is and with a corrected checksum: a state that can be read is written as the same bytes again.
pub fn checkpoint(input: &[u8]) {
    let _ = Checkpoint::from_bytes(input);
    let content = &input[..input.len().saturating_sub(CHECK_LEN)];
    let check = Crc::<u64>::new(&CRC_64_XZ).checksum(content).to_le_bytes();
    let Ok(checkpoint) = Checkpoint::from_bytes(&[content, &check].concat()) else { return };
    let again =
        Checkpoint::from_bytes(&checkpoint.to_bytes()).expect("what is written can be read");
    assert_eq!(again.to_bytes(), checkpoint.to_bytes());
}

/// A file of a run after its first rounds.
pub fn seed(rounds: usize) -> Vec<u8> {
    let snapshot = Run::closed(rounds);
    let (arguments, folder) = (vec!["simulate".into()], "/".into());
    Checkpoint {
        arguments,
        folder,
        data_checksum: 1,
        rounds: 9,
        setup: Cost::default(),
        wall_seconds: 0.0,
        times: vec![WorkerTimes::default()],
        snapshot,
    }
    .to_bytes()
}
