//! The memory of each board in the table is that which the board reports.

use smidgen::world::World;
use smidgen_aggregator::Event;
use smidgen_tests::conformance::{FEW_DIGITS, experiment};
use smidgen_tests::emulation::{boards, driver, start};

/// Bytes by which a board may report more memory than the table.
const SLACK: usize = 512;

fn assert_memory(name: &'static str) {
    let Some(emulators) = start(&[name], &format!("memory_of_{name}")) else { return };
    let experiment = experiment(&format!("{FEW_DIGITS} --workers 1"));
    let mut driver = driver(&experiment, &emulators);
    let greeted = driver.next_event().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(greeted, Event::Greeted(0));
    let identity = driver.aggregator().identity(0).expect("it has said who it is");
    let (told, memory_len) = (identity.memory as usize, emulators[0].board().memory_len);
    assert!(
        (memory_len..memory_len + SLACK).contains(&told),
        "{name} reports {told} bytes of memory, but the table has {memory_len}"
    );
}

#[test]
fn every_board_has_the_memory_of_its_row() {
    let boards = boards("every_board_has_the_memory_of_its_row");
    boards.iter().for_each(|board| assert_memory(board.name));
}
