//! Static checks of the images of boards: they contain no panic, and their stacks are deep enough.

use smidgen::boards::board::{BOARDS, Board};
use smidgen::boards::image;
use smidgen_tests::call_graph::CallGraph;
use smidgen_tests::emulation::image_of;
use std::fs;

fn call_graph(board: &Board, test: &str) -> Option<CallGraph> {
    let (_, image) = image_of(board.name, test)?;
    Some(CallGraph::read(&fs::read(image).unwrap()))
}

#[test]
fn no_image_can_panic() {
    for board in BOARDS {
        let Some(graph) = call_graph(board, "no_image_can_panic") else { return };
        let panics = graph.panics();
        assert!(panics.is_empty(), "{} can panic: {panics:#?}", board.name);
    }
}

#[test]
fn recorder_cannot_panic() {
    let Some((board, _)) = image_of("mps2-m3", "recorder_cannot_panic") else { return };
    let program = image::build_example(board, "recorder").unwrap_or_else(|error| panic!("{error}"));
    let graph = CallGraph::read(&fs::read(program).unwrap());
    let panics = graph.panics();
    assert!(panics.is_empty(), "{panics:#?}");
}

#[test]
fn a_program_that_can_panic_is_found() {
    let test = "a_program_that_can_panic_is_found";
    let Some((board, _)) = image_of("mps2-m3", test) else { return };
    let program = image::build_example(board, "panic").unwrap_or_else(|error| panic!("{error}"));
    let graph = CallGraph::read(&fs::read(program).unwrap());
    for culprit in ["rust_begin_unwind", "panic::checked", "panic::__cortex_m_rt_main"] {
        let panics = graph.panics();
        assert!(panics.iter().any(|name| name.contains(culprit)), "{culprit}: {panics:#?}");
    }
}

#[test]
fn every_stack_is_deep_enough() {
    for board in BOARDS {
        let Some(graph) = call_graph(board, "every_stack_is_deep_enough") else { return };
        let deepest = graph.deepest().unwrap_or_else(|cycle| panic!("{}: {cycle}", board.name));
        println!("{}: {} of {} bytes of stack", board.name, deepest.len, graph.stack_len);
        deepest.path.iter().for_each(|(name, len)| println!("{len:>8} {name}"));
        assert!(deepest.len <= graph.stack_len, "the stack of {} is too small", board.name);
    }
}
