//! What can be read from the images of boards: that no byte can make them panic, and that their stacks suffice.

use smidgen::board::{BOARDS, Board};
use smidgen_tests::call_graph::CallGraph;
use smidgen_tests::emulation::image_of;
use std::fs;

fn call_graph(board: &Board, test: &str) -> Option<CallGraph> {
    let (_, image) = image_of(board.name, test)?;
    Some(CallGraph::read(&fs::read(image).unwrap()))
}

/// What sets up clocks and port of an STM32F405 is its HAL, before a byte is received. Nothing else may panic.
const SETUP: [&str; 3] =
    ["stm32f4xx_hal::rcc", "stm32f4xx_hal::serial", "stm32f405::__cortex_m_rt_main"];

#[test]
fn no_byte_makes_a_board_panic() {
    for board in &BOARDS {
        let Some(graph) = call_graph(board, "no_byte_makes_a_board_panic") else { return };
        let panics = graph.panics();
        if board.name != "stm32f405" {
            assert!(panics.is_empty(), "{} can panic: {panics:#?}", board.name);
            continue;
        }
        // The search finds what there is.
        assert!(panics.iter().any(|name| name.contains("rust_begin_unwind")));
        let other = |name: &&&str| {
            !name.starts_with("core::")
                && !name.contains("rust_begin_unwind")
                && !SETUP.iter().any(|setup| name.contains(setup))
        };
        let others: Vec<_> = panics.iter().filter(other).collect();
        assert!(others.is_empty(), "{} can panic beyond its setup: {others:#?}", board.name);
    }
}

#[test]
fn every_stack_is_deep_enough() {
    for board in &BOARDS {
        let Some(graph) = call_graph(board, "every_stack_is_deep_enough") else { return };
        let deepest = graph.deepest().unwrap_or_else(|cycle| panic!("{}: {cycle}", board.name));
        println!("{}: {} of {} bytes of stack", board.name, deepest.len, graph.stack_len);
        deepest.path.iter().for_each(|(name, len)| println!("{len:>8} {name}"));
        assert!(deepest.len <= graph.stack_len, "the stack of {} is too small", board.name);
    }
}
