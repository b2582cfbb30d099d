//! `smidgen new-board`: what it writes builds, runs and trains before anything is changed.

use super::{assert_cargo_run_starts, assert_trains, emulation};
use crate::support::{smidgen, stderr};
use smidgen::boards::board::{Board, Emulation, Flash};
use smidgen::boards::image;
use smidgen::boards::qemu::Qemu;
use smidgen::world::emulator::Emulator;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The row that `new-board` adds to the table, with the name and the package of the new board.
static MY_BOARD: Board =
    Board { name: NAME, package: NAME, ..include!("../../../src/boards/template_row.rs") };
const NAME: &str = "my-board";

/// As the table has it.
const fn qemu(qemu: Qemu) -> Option<Emulation> {
    Some(Emulation::Qemu(qemu))
}

/// Copies files, but neither what was built nor the history.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("there is room");
    for entry in fs::read_dir(from).expect("it is a folder") {
        let entry = entry.expect("it can be read");
        let kind = entry.file_type().expect("it has one");
        let (from, name) = (entry.path(), entry.file_name());
        if kind.is_file() {
            fs::copy(from, to.join(name)).expect("there is room");
        } else if kind.is_dir() && name != "target" && name != ".git" {
            copy(&from, &to.join(name));
        }
    }
}

/// Checks that a file of a checkout has a line.
fn assert_has(checkout: &Path, file: &str, line: &str) {
    let text = fs::read_to_string(checkout.join(file)).expect("the file is there");
    assert!(text.lines().any(|it| it == line), "{file} has no line {line}");
}

/// Writes the board to a copy of the checkout, builds its image there and trains with two such boards, which the library
/// starts by their row.
///
/// `smidgen` is not built again with the new row: that takes minutes. So the row is compiled here, apart from the table,
/// and compared with the text that was added; the tests of the new checkout are not run.
#[test]
fn new_board_trains_as_it_is() {
    let Some(directory) = emulation("new_board_trains_as_it_is", &["mps2-m3"]) else { return };
    let checkout = directory.path().join("checkout");
    let top = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    copy(top, &checkout);
    let written = smidgen(directory.path(), "new-board my-board --checkout checkout");
    let said = String::from_utf8_lossy(&written.stdout);
    assert!(written.status.success(), "{}", stderr(&written));
    assert!(said.contains("emulate --board my-board=2"), "{said}");
    let again = smidgen(directory.path(), "new-board my-board --checkout checkout");
    assert_eq!(again.status.code(), Some(2));
    assert!(
        stderr(&again).contains("a board, a package or a folder my-board already"),
        "{}",
        stderr(&again)
    );

    let table = checkout.join("host/src/boards/board.rs");
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--edition", "2024", "--check", "--config-path"]).arg(top).arg(&table);
    let formatted = rustfmt.status().expect("rustfmt is installed");
    assert!(formatted.success(), "the row of the table is formatted");
    let row = include_str!("../../../src/boards/template_row.rs").replace("template", NAME);
    let row = format!("    {},\n];\n", row.trim_end());
    let rows = fs::read_to_string(&table).expect("the table is there");
    assert!(rows.contains(&row), "the table ends with the row");

    let boards = checkout.join("firmware/boards");
    assert_has(&boards, "Cargo.toml", "    \"my-board\",");
    let command = MY_BOARD.documented_command().expect("it is emulated");
    assert_has(&boards, "README.md", &command);
    assert_cargo_run_starts(&[&MY_BOARD], &boards);

    let mut cargo = image::cargo(MY_BOARD.target).expect("it has built another board");
    let built = cargo
        .args(["build", "--locked", "--release", "--package", NAME, "--target", MY_BOARD.target])
        .current_dir(&boards)
        .env("CARGO_TARGET_DIR", directory.path().join("target"))
        .output()
        .expect("cargo starts");
    assert!(built.status.success(), "{}", stderr(&built));
    let image = directory.path().join(format!("target/{}/release/{NAME}", MY_BOARD.target));
    let started = [1, 2].map(|identity| {
        let image = image::open(&image).expect("it was built");
        Emulator::start(&MY_BOARD, image, identity).unwrap_or_else(|error| panic!("{error}"))
    });
    let address = |board: &Emulator| format!("unix:{}", board.socket().display());
    assert_trains(directory.path(), &started.each_ref().map(address), "");
}
