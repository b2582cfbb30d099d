//! Static checks of the images of boards: they contain no panic, their stacks are deep enough, and they have the memory
//! that is documented. `SMIDGEN_BOARDS=NAME` checks that of one board.

use smidgen::boards::board::Board;
use smidgen::boards::image;
use smidgen_tests::board_page::{self, MemoryRow, Room};
use smidgen_tests::call_graph::CallGraph;
use smidgen_tests::emulation::{image_of, tested};
use std::fs;

fn call_graph(board: &Board, test: &str) -> Option<CallGraph> {
    let (_, image) = image_of(board.name, test)?;
    Some(CallGraph::read(&fs::read(image).unwrap()))
}

/// Returns whether a function may panic: on a Pico the crates of USB, the clocks of its HAL, and the functions of the
/// core library that they call. A panic restarts the board.
fn may_panic(board: &Board, name: &str) -> bool {
    let excused = ["core::", "<core::", "__rustc::rust_begin_unwind", "rp2040_hal::clocks::"];
    let is_excused = excused.iter().any(|start| name.starts_with(start)) || name.contains("usb");
    board.package == "pico" && is_excused
}

#[test]
fn no_image_can_panic() {
    for board in tested("no_image_can_panic") {
        let Some(graph) = call_graph(board, "no_image_can_panic") else { return };
        let mut panics = graph.panics();
        panics.retain(|name| !may_panic(board, name));
        assert!(panics.is_empty(), "{} can panic: {panics:#?}", board.name);
    }
}

#[test]
fn a_program_that_can_panic_is_found() {
    let test = "a_program_that_can_panic_is_found";
    if tested(test).iter().all(|board| board.name != "mps2-m3") {
        return;
    }
    let Some((board, _)) = image_of("mps2-m3", test) else { return };
    let build = |name| image::build_example(board, name).unwrap_or_else(|error| panic!("{error}"));
    // They measure what comments and pages claim; nothing else builds them.
    ["recorder", "seal"].into_iter().for_each(|name| drop(build(name)));
    let program = build("panic");
    let graph = CallGraph::read(&fs::read(program).unwrap());
    for culprit in ["rust_begin_unwind", "panic::checked", "panic::__cortex_m_rt_main"] {
        let panics = graph.panics();
        assert!(panics.iter().any(|name| name.contains(culprit)), "{culprit}: {panics:#?}");
    }
}

#[test]
fn every_stack_is_deep_enough() {
    for board in tested("every_stack_is_deep_enough") {
        let Some(graph) = call_graph(board, "every_stack_is_deep_enough") else { return };
        let deepest = graph.deepest().unwrap_or_else(|cycle| panic!("{}: {cycle}", board.name));
        println!("{}: {} of {} bytes of stack", board.name, deepest.len, graph.stack_len);
        deepest.path.iter().for_each(|(name, len)| println!("{len:>8} {name}"));
        assert!(deepest.len <= graph.stack_len, "the stack of {} is too small", board.name);
    }
}

#[test]
fn documented_memory_is_that_of_the_images() {
    let test = "documented_memory_is_that_of_the_images";
    let page = fs::read_to_string(board_page::path()).unwrap();
    let (mut wrong, room) = (vec![], Room::of_digits());
    for board in tested(test) {
        let Some((_, image)) = image_of(board.name, test) else { return };
        let row = MemoryRow::of(board, &fs::read(image).unwrap(), &room);
        let row = row.unwrap_or_else(|reason| panic!("{reason}"));
        if !row.is_in(&page) {
            wrong.push(row.text());
        }
    }
    assert!(
        wrong.is_empty(),
        "The table \"Memory\" of firmware/boards/README.md has no such rows. This command writes them: `cargo run \
         --profile test -p smidgen-tests --example boards -- rows`.\n{}",
        wrong.join("\n")
    );
}
